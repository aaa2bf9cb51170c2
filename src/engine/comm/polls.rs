//! Polls that find nothing: `test`, `test_any`, `iprobe`. A rank that does nothing else waits, and when all for whom it
//! does so are gone it is to hear of that as in a call that waits. One that computes between its polls, or speaks with
//! others, may ask as often as it likes for what does not come.

use nix::time::{ClockId, clock_gettime};

use super::shared::Shared;
use crate::wire::monotonic;
use crate::wire::world::{State, row};

/// Polls between two looks at the clock.
const POLLS: u32 = 16;

/// What a rank has done is looked at after so long, nanoseconds.
const BETWEEN: u64 = 1_000_000;

/// A rank that has done nothing else for so long waits, nanoseconds.
const PATIENCE: u64 = 500_000_000;

/// A poll and what belongs to its loop take less of a processor, nanoseconds.
const ONE: u64 = 5_000;

/// One that computes has as much of a processor, also where others compute beside it: a part of so many.
const SHARE: u64 = 8;

/// What a rank has done up to a moment.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    /// When that was.
    at: u64,
    /// Nanoseconds of processors that its process has had.
    spent: u64,
    /// What it has sent and received.
    moved: u64,
}

#[derive(Debug, Default)]
pub struct Polls {
    /// In vain, since the mark.
    count: u32,
    mark: Mark,
    /// For so long it has done nothing else, nanoseconds.
    alone: u64,
}

impl Polls {
    /// One more was in vain; whether it is time to look at what the rank has done since.
    #[inline]
    pub fn is_time(&mut self) -> bool {
        self.count = self.count.wrapping_add(1);
        self.count.is_multiple_of(POLLS) && self.is_later(monotonic())
    }

    #[inline]
    fn is_later(&self, at: u64) -> bool {
        at.saturating_sub(self.mark.at) >= BETWEEN
    }

    /// Whether the rank has done nothing else for long.
    fn are_all(&mut self, now: Mark) -> bool {
        let took = now.at.saturating_sub(self.mark.at);
        let spent = now.spent.saturating_sub(self.mark.spent);
        let computes = spent > u64::from(self.count) * ONE && spent > took / SHARE;
        let is_first = self.mark.at == 0;
        self.alone = match is_first || computes || now.moved != self.mark.moved {
            true => 0,
            // Something else may have taken long, once.
            false => self.alone + took.min(PATIENCE / 4),
        };
        self.count = 0;
        self.mark = now;
        self.alone > PATIENCE
    }
}

impl Shared {
    /// Whether a poll that was in vain, when it is time to look, is one of a rank that does nothing else, and these are
    /// all gone for whom it waits: then it is to wait, and that ends.
    #[cold]
    pub(super) fn waits_for_the_gone(&mut self, on: &[u32]) -> bool {
        let now = Mark {
            at: monotonic(),
            spent: spent(),
            moved: self.moved(),
        };
        let are_all = self.polls.are_all(now);
        let is_gone = |rank: &u32| {
            let state = self.world.state(*rank);
            !matches!(state, State::Running | State::Due)
        };
        are_all && !on.is_empty() && on.iter().all(is_gone)
    }

    /// It grows with all that the rank sends and receives.
    fn moved(&self) -> u64 {
        use std::sync::atomic::Ordering;
        let words = [row::SENT, row::TAKEN, row::COLLECTIVE_BYTES];
        let of = |other: u32| {
            let at = self.world.layout().row(self.rank, other);
            words.map(|word| self.world.word(at + word).load(Ordering::Relaxed))
        };
        let all = (0..self.world.size()).flat_map(of);
        all.fold(0, u64::wrapping_add)
    }
}

/// Nanoseconds of processors that this process has had: also on threads that compute for the rank. In tests of this crate
/// others compute in it meanwhile.
fn spent() -> u64 {
    let clock = match cfg!(test) {
        true => ClockId::CLOCK_THREAD_CPUTIME_ID,
        false => ClockId::CLOCK_PROCESS_CPUTIME_ID,
    };
    clock_gettime(clock).map_or(0, |time| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or_default();
        seconds * 1_000_000_000 + u64::try_from(time.tv_nsec()).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A round of polls ends at this mark; whether the rank is found to wait.
    fn round(polls: &mut Polls, mark: Mark) -> bool {
        polls.count += POLLS;
        polls.is_later(mark.at) && polls.are_all(mark)
    }

    /// Whether a rank is found to wait that polls for two seconds: each poll with what is between two takes so long, and so
    /// much of a processor.
    fn waits(one: u64, spent: u64, moves: u64) -> bool {
        let mut polls = Polls::default();
        let mut mark = Mark::default();
        let mut found = false;
        while mark.at < 4 * PATIENCE {
            mark.at += one * u64::from(POLLS);
            mark.spent += spent * u64::from(POLLS);
            mark.moved += moves;
            found |= round(&mut polls, mark);
        }
        found
    }

    #[test]
    fn who_does_nothing_but_poll_waits() {
        assert!(waits(100, 100, 0));
        assert!(waits(10_000_000, 20_000, 0), "it sleeps");
        assert!(waits(2_000, 1_500, 0), "it yields");
        assert!(!waits(50_000, 50_000, 0), "it computes");
        let beside = waits(10_000_000, 3_000_000, 0);
        assert!(!beside, "it computes beside others");
        assert!(!waits(1_000, 1_000, 1), "it speaks with others");
    }

    #[test]
    fn who_has_polled_before_a_long_sleep_has_not_polled_all_the_time() {
        let mut polls = Polls::default();
        for at in [1, 2, 200].map(|round| round * PATIENCE) {
            let mark = Mark {
                at,
                ..Mark::default()
            };
            assert!(!round(&mut polls, mark));
        }
    }
}
