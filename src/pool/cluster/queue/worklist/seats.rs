//! The engines of a node as the list has them: they come, are needed by the session, and end with what they had.

use std::collections::{HashSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use tokio::task::spawn_local;

use super::super::narrow::After;
use super::{Hand, Held, Seat, SeatId, Worklist};
use crate::outcome::DeathCause;
use crate::wire::Span;

impl Seat {
    /// Whether it may have pieces.
    pub(super) fn is_free(&self) -> bool {
        self.others == 0 && !self.is_held
    }
}

impl Worklist {
    /// An engine is there. `is_held`: it is given pieces when it has done something else first.
    pub fn joins(self: &Rc<Self>, at: SeatId, hand: Rc<dyn Hand>, is_held: bool) {
        let seat = Seat {
            hand,
            told: HashSet::new(),
            captures: HashSet::new(),
            given: VecDeque::new(),
            others: 0,
            is_leaving: false,
            is_held,
            at: None,
            late: None,
        };
        self.seats.borrow_mut().insert(at, seat);
        self.place();
        self.room.notify_one();
    }

    /// The session has an engine do something, or it has done it.
    pub fn is_busy(self: &Rc<Self>, at: SeatId, begins: bool) {
        if let Some(seat) = self.seats.borrow_mut().get_mut(&at) {
            seat.others = match begins {
                true => seat.others + 1,
                false => seat.others.saturating_sub(1),
            };
            seat.is_held &= begins;
        }
        if !begins {
            self.place();
            self.room.notify_one();
        }
    }

    /// Whether the session has an engine do something.
    pub fn does_for_session(&self, at: SeatId) -> bool {
        let seats = self.seats.borrow();
        seats.get(&at).is_some_and(|seat| !seat.is_free())
    }

    /// Whether an engine has no piece.
    pub fn has_nothing(&self, at: SeatId) -> bool {
        let seats = self.seats.borrow();
        seats.get(&at).is_none_or(|seat| seat.given.is_empty())
    }

    /// An engine will leave: it is given nothing any more, which it would be blamed for.
    pub fn is_leaving(&self, at: SeatId) {
        if let Some(seat) = self.seats.borrow_mut().get_mut(&at) {
            seat.is_leaving = true;
        }
    }

    /// An engine has ended: what it was at is gone on with, or goes back. `by_itself`: otherwise no item is to blame.
    pub fn left(self: &Rc<Self>, at: SeatId, cause: &DeathCause, by_itself: bool) {
        let Some(seat) = self.seats.borrow_mut().remove(&at) else {
            return;
        };
        let rank = seat.hand.rank();
        // What it was ended for is known also when its page says nothing any more.
        let item_of = |held: &Held, span: &Span| {
            let at = seat.hand.at(held.taken.job).map(|(item, _)| item);
            let of_it = span.first + span.from..span.first + span.to;
            at.or(seat.late).filter(|item| of_it.contains(item))
        };
        // Of short ones before, the results may not have come: they run again.
        let begun = { seat.given.iter() }.position(|(held, span)| item_of(held, span).is_some());
        let begun = begun.unwrap_or(0);
        for (place, (held, span)) in seat.given.into_iter().enumerate().rev() {
            let job = held.taken.job;
            if self.stopped.borrow().contains(&job) {
                let is_told = self.jobs.borrow().contains_key(&job);
                if let Some(state) = held.state.borrow_mut().as_mut().filter(|_| is_told) {
                    state.stop();
                }
                self.go_on(held, true);
                continue;
            }
            if place != begun || seat.others > 0 || !by_itself {
                self.go_on(held, false);
                continue;
            }
            let item = item_of(&held, &span);
            let is_late = item.is_some() && seat.late == item;
            let after = held.state.borrow_mut().as_mut().map(|state| {
                let after = state.died(rank, item, is_late, cause);
                (after, state.next().is_none())
            });
            match after {
                Some((After::GoOn, is_done)) => self.go_on(held, is_done),
                Some((After::GiveBack, _)) | None => {
                    let list = self.clone();
                    spawn_local(async move { list.give_back(&held, Duration::ZERO).await });
                }
            }
        }
    }
}
