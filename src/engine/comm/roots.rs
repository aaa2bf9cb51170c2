//! Who is the root of a `broadcast` or `scatter` waits for nobody, so that several roots of one call would not hear of
//! each other. Each root notes in a word of its communicator which call that is; the next one finds it there.

use crate::wire::world::{Call, header};

/// `run 18 │ call 2 │ comm 10 │ number 24 │ root 10`, from the highest bit; the place holds the lowest bits of `comm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roots {
    pub run: u64,
    pub call: Call,
    /// The communicator's number in the world.
    pub comm: u32,
    /// Which of its collective calls in the run.
    pub number: u32,
    /// A rank of the communicator.
    pub root: u32,
}

const NUMBERS: u64 = 1 << 24;

impl Roots {
    /// Bytes from where these words begin.
    pub fn place(self) -> u64 {
        u64::from(self.comm) % header::ROOTS_COUNT * header::ROOTS_STRIDE
    }

    pub fn word(self) -> u64 {
        let comm = u64::from(self.comm) / header::ROOTS_COUNT;
        let call = match self.call {
            Call::Broadcast => 0,
            Call::Scatter => 1,
            Call::Gather => 2,
            _ => 3,
        };
        let low = |number: u64, bits: u32| number & ((1 << bits) - 1);
        low(self.run, 18) << 46
            | call << 44
            | low(comm, 10) << 34
            | low(self.number.into(), 24) << 10
            | low(self.root.into(), 10)
    }

    /// Another root of this call. Also of a later one when this one's root gives: nobody passes it before.
    pub fn other_root(self, before: u64) -> Option<u32> {
        let is_of_this = before >> 34 == self.word() >> 34;
        let number = |word: u64| word >> 10 & (NUMBERS - 1);
        let ahead = number(before).wrapping_sub(number(self.word())) & (NUMBERS - 1);
        let gives = matches!(self.call, Call::Broadcast | Call::Scatter);
        let has_passed = ahead == 0 || gives && ahead < NUMBERS / 2;
        let root = (before & 0x3ff) as u32;
        (is_of_this && has_passed && root != self.root).then_some(root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Roots = Roots {
        run: 7,
        call: Call::Broadcast,
        comm: 0,
        number: 5,
        root: 0,
    };

    #[test]
    fn another_root_of_the_call_is_found_and_no_earlier_one() {
        let second = Roots { root: 1, ..FIRST };
        assert_eq!(second.other_root(FIRST.word()), Some(0));
        assert_eq!(FIRST.other_root(second.word()), Some(1));
        let number = 6;
        // The same rank again, another one later, and one that is ahead.
        assert_eq!(Roots { number, ..FIRST }.other_root(FIRST.word()), None);
        assert_eq!(Roots { number, ..second }.other_root(FIRST.word()), None);
        assert_eq!(second.other_root(Roots { number, ..FIRST }.word()), Some(0));
    }

    #[test]
    fn who_gives_to_a_root_may_be_the_next_one() {
        let call = Call::Gather;
        let (first, second) = (Roots { call, ..FIRST }, Roots { root: 1, ..FIRST });
        let second = Roots { call, ..second };
        assert_eq!(second.other_root(first.word()), Some(0));
        assert_eq!(second.other_root(FIRST.word()), None);
        let next = Roots { number: 6, ..first };
        assert_eq!(second.other_root(next.word()), None);
    }

    #[test]
    fn other_runs_and_communicators_are_others() {
        let second = Roots { root: 1, ..FIRST };
        assert_eq!(second.other_root(Roots { run: 8, ..FIRST }.word()), None);
        let comm = header::ROOTS_COUNT as u32;
        assert_eq!(second.place(), Roots { comm, ..second }.place());
        assert_eq!(second.other_root(Roots { comm, ..FIRST }.word()), None);
        assert_eq!(second.other_root(0), None);
    }

    #[test]
    fn numbers_may_begin_anew() {
        let last = Roots {
            number: NUMBERS as u32 - 1,
            ..FIRST
        };
        let next = Roots {
            number: NUMBERS as u32,
            root: 1,
            ..FIRST
        };
        assert_eq!(next.other_root(last.word()), None);
        assert_eq!(last.other_root(next.word()), Some(1));
    }
}
