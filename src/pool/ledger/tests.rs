//! Small maps in every order in which inputs can come, be given to any engine, be done, partly done or lost, and
//! be stopped; whatever the dispatch is.

use rustc_hash::FxHashMap;

use super::*;

/// A map as it is tried out.
#[derive(Clone, Copy)]
struct Sizes {
    workers: usize,
    /// Chunks, and items in each.
    chunks: u64,
    items: u64,
    /// How many pieces a worker may have.
    depth: usize,
    /// How many engines may be lost.
    losses: u32,
    /// How often what waits at an engine may be given back.
    given_back: u32,
}

#[derive(Clone)]
struct Tried {
    ledger: Ledger,
    sizes: Sizes,
    /// By index, the results and errors that were told.
    told: Vec<u32>,
    losses: u32,
    given_back: u32,
    /// Chunks that have come, also those that nobody wanted any more.
    come: u64,
    /// What an engine that was lost last had: its answer may come late.
    late: Option<(usize, u32)>,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Comes,
    /// The waiting piece at this place, or so many of its items, to the worker.
    Given(usize, usize, u64),
    /// The worker's first piece, and how many of its items were done.
    Ended(usize, u64),
    /// The worker, the item that it was at, and whether that took too long.
    Lost(usize, Option<u64>, bool),
    /// What waits behind the worker's first piece.
    GivenBack(usize),
    Late,
    Stopped,
}

impl Tried {
    fn new(sizes: Sizes) -> Self {
        let total = sizes.chunks * sizes.items;
        Self {
            ledger: Ledger::new(Some(total), sizes.workers),
            sizes,
            told: vec![0; total as usize],
            losses: 0,
            given_back: 0,
            come: 0,
            late: None,
        }
    }

    fn first_of(&self, worker: usize) -> Option<Piece> {
        self.ledger.piece(self.ledger.first_held(worker)?)
    }

    fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        if self.come < self.sizes.chunks {
            events.push(Event::Comes);
        }
        let mut asked_idle = false;
        for worker in 0..self.sizes.workers {
            // Engines that have nothing are alike.
            let idle = self.ledger.held(worker) == 0;
            let asked = asked_idle;
            asked_idle |= idle;
            if self.ledger.held(worker) < self.sizes.depth && !(idle && asked) {
                for place in 0..self.ledger.waiting.len() {
                    let piece = self.ledger.pieces[&self.ledger.waiting[place]];
                    let parts = 1..=piece.items();
                    events.extend(parts.map(|part| Event::Given(place, worker, part)));
                }
            }
            let Some(piece) = self.first_of(worker) else {
                continue;
            };
            events.extend((0..=piece.items()).map(|done| Event::Ended(worker, done)));
            if self.ledger.held(worker) > 1 && self.given_back < self.sizes.given_back {
                events.push(Event::GivenBack(worker));
            }
            if self.losses < self.sizes.losses {
                events.push(Event::Lost(worker, None, false));
                for item in piece.first()..piece.first() + piece.items() {
                    events.push(Event::Lost(worker, Some(item), false));
                    events.push(Event::Lost(worker, Some(item), true));
                }
            }
        }
        events.extend(self.late.map(|_| Event::Late));
        if !self.ledger.stopped {
            events.push(Event::Stopped);
        }
        // A piece of which nothing was done would be given and ended for ever.
        events.retain(|event| !matches!(event, Event::Ended(_, 0)) || self.ledger.stopped);
        events
    }

    fn tell(&mut self, items: impl Iterator<Item = u64>) {
        for item in items {
            self.told[item as usize] += 1;
        }
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Comes => {
                self.come += 1;
                self.ledger.came(self.sizes.items, false, None);
            }
            Event::Given(place, worker, part) => {
                self.ledger.give(place, worker, part).unwrap();
            }
            Event::Ended(worker, done) => {
                let number = self.ledger.first_held(worker).unwrap();
                let piece = self.ledger.finished(worker, number, done).unwrap();
                self.tell(piece.first()..piece.first() + done);
            }
            Event::Lost(worker, at, give_up) => {
                self.losses += 1;
                self.late = self.ledger.first_held(worker).map(|piece| (worker, piece));
                let given_up = self.ledger.lost(worker, at, give_up);
                self.tell(given_up.into_iter().map(|one| one.item));
            }
            Event::GivenBack(worker) => {
                self.given_back += 1;
                let (first, behind) = {
                    let held = self.ledger.held.of(worker).unwrap();
                    (held[0], held.iter().skip(1).copied().collect::<Vec<_>>())
                };
                let items: Vec<u64> = behind
                    .iter()
                    .map(|number| self.ledger.pieces[number].first())
                    .collect();
                self.ledger.given_back(worker, &behind);
                assert_eq!(*self.ledger.held.of(worker).unwrap(), [first]);
                let next = self.ledger.waiting.iter();
                let next = next.map(|number| self.ledger.pieces[number].first());
                let next: Vec<u64> = next.take(items.len()).collect();
                assert!(
                    self.ledger.stopped || next == items,
                    "they come next, in their order"
                );
            }
            Event::Late => {
                let (worker, piece) = self.late.take().unwrap();
                let late = self.ledger.finished(worker, piece, 1);
                assert_eq!(late, None, "its items run elsewhere");
            }
            Event::Stopped => self.ledger.stop(),
        }
    }

    /// What holds after each event.
    fn check(&self) {
        let ledger = &self.ledger;
        let mut have = self.told.clone();
        for piece in ledger.pieces.values() {
            for item in piece.first()..piece.first() + piece.items() {
                have[item as usize] += 1;
            }
        }
        let (come, to_come) = have.split_at(ledger.pulled as usize);
        assert!(to_come.iter().all(|count| *count == 0));
        let whole = |count: &u32| *count == 1 || *count == 0 && ledger.stopped;
        assert!(come.iter().all(whole), "{have:?}");
        let told: u32 = self.told.iter().sum();
        assert_eq!(u64::from(told), ledger.settled());
        let held = (0..ledger.held.workers())
            .filter_map(|worker| ledger.held.of(worker))
            .flatten();
        let mut placed: Vec<u32> = held.chain(&ledger.waiting).copied().collect();
        let mut there: Vec<u32> = ledger.pieces.keys().copied().collect();
        placed.sort_unstable();
        there.sort_unstable();
        assert_eq!(placed, there, "each piece is in one place");
        for source in 0..ledger.next_piece {
            let parts = ledger.pieces.values();
            let parts = parts.filter(|piece| piece.source == source).count() as u32;
            assert_eq!(ledger.sources.get(&source).copied().unwrap_or(0), parts);
        }
        if ledger.is_over() && !ledger.stopped {
            assert!(self.told.iter().all(|count| *count == 1), "{have:?}");
        }
    }

    /// All that matters for what can come.
    fn state(&self) -> Vec<u64> {
        let late = |worker| self.late.is_some_and(|(late, _)| late == worker);
        let mut state = self.ledger.state(late);
        state.extend(self.told.iter().map(|count| u64::from(*count)));
        state.extend([self.come, self.losses.into(), self.given_back.into()]);
        state
    }
}

impl Ledger {
    /// All that matters for what can come, with workers that are alike in one order; `marked`: a worker that is
    /// not like the others.
    pub(in crate::pool) fn state(&self, marked: impl Fn(usize) -> bool) -> Vec<u64> {
        let of = |number: &u32| {
            let piece = &self.pieces[number];
            [piece.first(), piece.items(), u64::from(piece.losses), 90]
        };
        let mut held: Vec<Vec<u64>> = (0..)
            .zip((0..self.held.workers()).filter_map(|worker| self.held.of(worker)))
            .map(|(worker, held)| {
                let mark = [u64::from(marked(worker)), 91];
                held.iter().flat_map(of).chain(mark).collect()
            })
            .collect();
        held.sort();
        let mut state: Vec<u64> = self.waiting.iter().flat_map(of).collect();
        state.push(92);
        state.extend(held.into_iter().flatten());
        let mut strikes: Vec<_> = self.strikes.iter().map(|(item, n)| (*item, *n)).collect();
        strikes.sort_unstable();
        for (item, strikes) in strikes {
            state.extend([item, strikes.into()]);
        }
        state.extend([93, self.pulled, self.settled(), self.stopped.into()]);
        state.push(self.exhausted.into());
        state
    }
}

/// Lets everything happen that can; how many different ways there are from here to an end. What was seen before
/// is not played again, since the same comes of it.
fn try_all(tried: &Tried, seen: &mut FxHashMap<Vec<u64>, u128>) -> u128 {
    if tried.ledger.is_over() {
        return 1;
    }
    let state = tried.state();
    if let Some(ways) = seen.get(&state) {
        return *ways;
    }
    let mut ways = 0;
    for event in tried.events() {
        let mut next = tried.clone();
        next.happens(event);
        next.check();
        ways += try_all(&next, seen);
    }
    assert!(ways > 0, "it hangs: {:?}", tried.ledger);
    seen.insert(state, ways);
    ways
}

fn every_order(sizes: Sizes) {
    let mut seen = FxHashMap::default();
    let ways = try_all(&Tried::new(sizes), &mut seen);
    let states = seen.len();
    assert!(
        ways > 1_000_000 && states > 5000,
        "{ways} orders, {states} states"
    );
}

#[test]
fn four_chunks_on_three_engines_in_every_order() {
    every_order(Sizes {
        workers: 3,
        chunks: 4,
        items: 1,
        depth: 1,
        losses: 2,
        given_back: 0,
    });
}

#[test]
fn an_item_may_end_three_engines_in_every_order() {
    every_order(Sizes {
        workers: 2,
        chunks: 2,
        items: 1,
        depth: 2,
        losses: 6,
        given_back: 0,
    });
}

#[test]
fn what_waits_is_given_back_in_every_order() {
    every_order(Sizes {
        workers: 2,
        chunks: 3,
        items: 1,
        depth: 3,
        losses: 2,
        given_back: 2,
    });
}

#[test]
fn chunks_are_divided_by_limits_and_deaths_in_every_order() {
    every_order(Sizes {
        workers: 2,
        chunks: 2,
        items: 2,
        depth: 1,
        losses: 2,
        given_back: 0,
    });
}

/// No engine comes to them, and none of them is to blame.
#[test]
fn what_is_lost_ten_times_is_given_up() {
    let mut ledger = Ledger::new(Some(3), 1);
    ledger.came(3, false, None);
    let mut given_up = Vec::new();
    let mut times = 0;
    while !ledger.is_over() {
        assert_eq!(given_up, []);
        ledger.give(0, 0, u64::MAX).unwrap();
        given_up = ledger.lost(0, None, false);
        times += 1;
    }
    let lost = |item| GivenUp { item, begun: false };
    assert_eq!(given_up, [0, 1, 2].map(lost));
    assert_eq!((times, ledger.settled()), (10, 3));
}

fn ran(ledger: &mut Ledger, inputs: Range<u64>) -> u64 {
    ledger.ran(std::slice::from_ref(&inputs))
}

/// Inputs that workers claim themselves, told in any order and by whichever of them.
#[test]
fn what_is_claimed_has_one_result_each() {
    let parts = [0..2, 2..3, 3..6, 6..7];
    let orders = (0..parts.len()).fold(vec![Vec::new()], |orders, _| {
        let longer = |order: Vec<usize>| {
            let left: Vec<usize> = (0..parts.len()).filter(|i| !order.contains(i)).collect();
            left.into_iter().map(move |i| [&order[..], &[i]].concat())
        };
        orders.into_iter().flat_map(longer).collect()
    });
    assert_eq!(orders.len(), 24);
    for (order, total) in orders
        .iter()
        .flat_map(|order| [(order, Some(7)), (order, None)])
    {
        let mut ledger = Ledger::claimed(total, 2);
        let mut done = 0;
        for part in order {
            assert!(!ledger.is_complete(), "{order:?}");
            let items = parts[*part].end - parts[*part].start;
            assert_eq!(ran(&mut ledger, parts[*part].clone()), items);
            // What is told again, and what was never there.
            assert_eq!(ran(&mut ledger, parts[*part].clone()), 0);
            assert!(total.is_none() || ran(&mut ledger, 7..9) == 0);
            done += items;
            assert_eq!((ledger.settled(), ledger.is_over()), (done, false));
        }
        ledger.claims_end(true);
        assert!(ledger.is_over() && ledger.is_complete() && !ledger.is_stopped());
    }
}

/// Whoever claims may say what it likes.
#[test]
fn what_was_claimed_and_not_done_is_not_complete() {
    for (total, exhausted) in [
        (Some(7), true),
        (Some(7), false),
        (None, true),
        (None, false),
    ] {
        let mut ledger = Ledger::claimed(total, 2);
        assert_eq!(ledger.ran(&[0..1, 4..7]), 4);
        assert_eq!(ledger.ran(&[6..7, 0..2]), 1);
        ledger.stop();
        assert!(!ledger.is_over(), "they are still at it");
        assert_eq!(ran(&mut ledger, 2..3), 1);
        ledger.claims_end(exhausted);
        assert!(ledger.is_over() && !ledger.is_complete());
        assert_eq!(ledger.settled(), 6);
    }
}

/// A queue is one worker, which tells of each piece as a whole.
#[test]
fn a_queue_tells_of_whole_pieces() {
    let mut ledger = Ledger::new(Some(6), 1);
    for _ in 0..3 {
        ledger.came(2, false, None);
    }
    let pieces: Vec<u32> = (0..3).filter_map(|_| ledger.give(0, 0, 9)).collect();
    assert!(ledger.settled_piece(0, pieces[1], 1, 1));
    assert!(
        !ledger.settled_piece(0, pieces[1], 2, 0),
        "the first one counts"
    );
    assert!(ledger.settled_piece(0, pieces[0], 2, 0));
    assert!(!ledger.is_over());
    assert!(ledger.settled_piece(0, pieces[2], 2, 0));
    assert!(ledger.is_complete());
    assert_eq!(ledger.settled(), 6);
}

#[test]
fn of_a_stopped_map_a_queue_holds_only_what_it_says() {
    let mut ledger = Ledger::new(None, 1);
    ledger.came(2, false, None);
    ledger.came(2, false, None);
    let pieces: Vec<u32> = (0..2).filter_map(|_| ledger.give(0, 0, 9)).collect();
    ledger.holds_only(0, &[]);
    assert_eq!(ledger.held(0), 2, "it is not stopped");
    ledger.stop();
    ledger.holds_only(0, &pieces[1..]);
    assert!(!ledger.is_over());
    assert!(!ledger.settled_piece(0, pieces[0], 2, 0));
    assert!(ledger.settled_piece(0, pieces[1], 1, 0));
    assert!(ledger.is_over());
    assert_eq!(ledger.settled(), 1);
}
