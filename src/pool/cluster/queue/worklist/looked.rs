//! What a node looks at from time to time: pieces that are still its own, that wait for engines which do something else, and
//! items that take longer than they may.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::spawn_local;
use tokio::time::Instant;

use super::super::narrow::Narrowed;
use super::{Held, Worklist};

/// A piece that waits for so long while no engine may take it goes to another node.
const WAITS: Duration = Duration::from_secs(2);

impl Worklist {
    /// Tells the server which pieces are still the node's.
    pub(super) async fn keep(self: &Rc<Self>) {
        let all: Vec<Rc<Held>> = self.held.borrow().values().cloned().collect();
        for held in all {
            self.taker.keep(&held.taken).await;
        }
        self.taker.give_late().await;
        self.pass_on();
    }

    fn pass_on(self: &Rc<Self>) {
        let depth = self.depth();
        if self
            .seats
            .borrow()
            .values()
            .any(|seat| seat.has_room(depth))
        {
            return;
        }
        // What has been done of one would be done again.
        let is_begun = |held: &Held| held.state.borrow().as_ref().is_some_and(Narrowed::is_begun);
        let is_old = |held: &Rc<Held>| held.waits.get().elapsed() > WAITS && !is_begun(held);
        let old: VecDeque<Rc<Held>> = {
            let mut waiting = self.waiting.borrow_mut();
            let (old, kept) = waiting.drain(..).partition(is_old);
            *waiting = kept;
            old
        };
        for held in old {
            let list = self.clone();
            spawn_local(async move { list.give_back(&held, Duration::ZERO).await });
        }
    }

    pub(super) fn has_limits(&self) -> bool {
        let jobs = self.jobs.borrow();
        let has_limit = |job: &Rc<super::Job>| job.manifest.task.options.timeout.is_some();
        jobs.values().any(has_limit)
    }

    /// Ends engines that are at an item for longer than is allowed.
    pub(super) fn look_at_limits(&self) {
        for seat in self.seats.borrow_mut().values_mut() {
            let jobs = self.jobs.borrow();
            // Not always of the first: what has come of short ones comes later.
            let found = seat.given.iter().find_map(|(held, _)| {
                let number = held.taken.job;
                let limit = jobs.get(&number)?.manifest.task.options.timeout?;
                Some((limit, seat.hand.at(number)?))
            });
            let Some((limit, (item, begun))) = found else {
                seat.at = None;
                continue;
            };
            match seat.at {
                Some((before, since)) if before == begun => {
                    if since.elapsed() >= limit && seat.late.is_none() {
                        seat.late = Some(item);
                        seat.hand.kill();
                    }
                }
                _ => seat.at = Some((begun, Instant::now())),
            }
        }
    }
}
