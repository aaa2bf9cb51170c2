//! Where members of a communicator of MPI's meet before a collective call. MPI's own calls cannot be left once they have
//! begun; so nobody begins one before all are there, and until then each can turn back: when Ctrl-C ends the wait, or
//! when somebody will never come.

use std::sync::atomic::{AtomicU64, Ordering};

use super::world::World;
use crate::wire::world::{Call, meeting};

/// What stands at a meeting's place, one number, so that coming, going and beginning cannot overlap:
/// `round 22 │ come 11 │ first call 5 │ first rank 10 │ other call 5 │ other rank 10`, from the highest bit but one. A
/// call is its place in [`Call::ALL`] and 1; 0: none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct Come {
    round: u64,
    count: u64,
    first: Caller,
    /// One that makes another call than the first.
    other: Caller,
}

/// A member's rank in the communicator, and its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct Caller {
    call: u64,
    rank: u64,
}

const ROUNDS: u64 = 1 << 22;

impl Come {
    fn of(number: u64) -> Self {
        let part = |at: u32, bits: u32| number >> at & ((1 << bits) - 1);
        Self {
            round: part(41, 22),
            count: part(30, 11),
            first: Caller {
                call: part(25, 5),
                rank: part(15, 10),
            },
            other: Caller {
                call: part(10, 5),
                rank: part(0, 10),
            },
        }
    }

    fn number(self) -> u64 {
        self.round << 41
            | self.count << 30
            | self.first.call << 25
            | self.first.rank << 15
            | self.other.call << 10
            | self.other.rank
    }

    fn with(mut self, caller: Caller) -> Self {
        if self.count == 0 {
            (self.first, self.other) = (caller, Caller::default());
        } else if self.first.call != caller.call && self.other.call == 0 {
            self.other = caller;
        }
        self.count += 1;
        self
    }

    fn next_round(self) -> Self {
        Self {
            round: (self.round + 1) % ROUNDS,
            ..Self::default()
        }
    }
}

/// Two members make different calls: rank in the communicator and call.
pub type Crossed = [(u32, Call); 2];

/// How a member has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Others are missing in this round.
    Early(u64),
    /// All are there.
    Last(u64),
}

/// The meeting of a communicator.
#[derive(Clone, Copy)]
pub struct Meeting<'a> {
    come: &'a AtomicU64,
    found: [&'a AtomicU64; 2],
}

impl<'a> Meeting<'a> {
    /// `comm`: its number in the world, less than [`meeting::MOST`].
    pub fn of(world: &'a World, comm: u32) -> Self {
        let at = world.layout().meeting(comm.min(meeting::MOST - 1));
        Self {
            come: world.word(at + meeting::COME),
            found: meeting::FOUND.map(|word| world.word(at + word)),
        }
    }

    pub fn round(&self) -> u64 {
        Come::of(self.come.load(Ordering::SeqCst)).round
    }

    /// A member comes.
    pub fn arrive(&self, size: usize, rank: u32, call: Call) -> Arrival {
        let place = Call::ALL.iter().position(|it| *it == call);
        let caller = Caller {
            call: place.map_or(0, |place| place as u64 + 1),
            rank: rank.into(),
        };
        let mut number = self.come.load(Ordering::SeqCst);
        loop {
            let come = Come::of(number).with(caller);
            let all = come.count == size as u64;
            let next = if all {
                // Only who is last writes here, and nobody reads it before the round is over.
                self.found_of(come.round)
                    .store(come.number(), Ordering::SeqCst);
                come.next_round()
            } else {
                come
            };
            match self.swap(number, next) {
                Ok(_) if all => return Arrival::Last(come.round),
                Ok(_) => return Arrival::Early(come.round),
                Err(now) => number = now,
            }
        }
    }

    /// A member turns back; false: all have come meanwhile.
    pub fn turn_back(&self, round: u64) -> bool {
        let mut number = self.come.load(Ordering::SeqCst);
        loop {
            let mut come = Come::of(number);
            if come.round != round || come.count == 0 {
                return false;
            }
            come.count -= 1;
            match self.swap(number, come) {
                Ok(_) => return true,
                Err(now) => number = now,
            }
        }
    }

    fn swap(&self, from: u64, to: Come) -> Result<u64, u64> {
        let (to, order) = (to.number(), Ordering::SeqCst);
        self.come.compare_exchange(from, to, order, order)
    }

    fn found_of(&self, round: u64) -> &AtomicU64 {
        self.found[(round % 2) as usize]
    }

    /// Of a round that is over, and whose next one is not: whether its members have made different calls.
    pub fn crossed(&self, round: u64) -> Option<Crossed> {
        let come = Come::of(self.found_of(round).load(Ordering::SeqCst));
        let of = |caller: Caller| {
            let place = (caller.call as usize).checked_sub(1)?;
            Some((caller.rank as u32, *Call::ALL.get(place)?))
        };
        Some([of(come.first)?, of(come.other)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(test: impl FnOnce(Meeting<'_>)) {
        let [come, even, odd] = [0, 0, 0].map(AtomicU64::new);
        test(Meeting {
            come: &come,
            found: [&even, &odd],
        });
    }

    #[test]
    fn the_last_ends_the_round() {
        with(|meeting| {
            for round in 0..5 {
                assert_eq!(meeting.arrive(2, 1, Call::Barrier), Arrival::Early(round));
                assert_eq!(meeting.round(), round);
                assert_eq!(meeting.arrive(2, 0, Call::Barrier), Arrival::Last(round));
                assert_eq!(meeting.round(), round + 1);
                assert_eq!(meeting.crossed(round), None);
            }
        });
    }

    #[test]
    fn nobody_turns_back_when_all_have_come() {
        with(|meeting| {
            assert_eq!(meeting.arrive(2, 0, Call::Barrier), Arrival::Early(0));
            assert!(meeting.turn_back(0));
            assert_eq!(meeting.arrive(2, 1, Call::Barrier), Arrival::Early(0));
            assert_eq!(meeting.arrive(2, 0, Call::Barrier), Arrival::Last(0));
            assert!(!meeting.turn_back(0));
            assert_eq!(meeting.arrive(2, 0, Call::Barrier), Arrival::Early(1));
            assert!(!meeting.turn_back(0));
        });
    }

    #[test]
    fn who_makes_another_call_is_named() {
        with(|meeting| {
            meeting.arrive(3, 2, Call::Barrier);
            meeting.arrive(3, 1, Call::Split);
            meeting.arrive(3, 0, Call::Barrier);
            let crossed = Some([(2, Call::Barrier), (1, Call::Split)]);
            assert_eq!(meeting.crossed(0), crossed);
            // The next round begins while some still read.
            meeting.arrive(3, 1, Call::Scan);
            assert_eq!(meeting.crossed(0), crossed);
        });
    }

    #[test]
    fn a_number_holds_the_largest_that_there_are() {
        let caller = Caller {
            call: Call::ALL.len() as u64,
            rank: 1023,
        };
        let come = Come {
            round: ROUNDS - 1,
            count: 1024,
            first: caller,
            other: caller,
        };
        assert_eq!(Come::of(come.number()), come);
        assert_eq!(come.next_round().round, 0);
        assert!(Call::ALL.len() < 1 << 5);
    }
}
