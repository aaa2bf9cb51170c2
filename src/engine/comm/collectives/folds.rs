//! Numbers made one: `reduce`, `all_reduce` and `scan`.

use regatta_cell::comm::table::{Envelope, Op, Reduction};

use super::{Round, WHOLE};
use crate::engine::comm::matching::{Sink, Terms};
use crate::engine::comm::numbers::{self, Fold};
use crate::engine::comm::shared::Shared;
use crate::engine::comm::{Trouble, words};
use crate::wire::world::Call;

impl Shared {
    pub(in crate::engine::comm) fn fold_all(
        &mut self,
        of: &Envelope,
        who: Reduction,
        op: Op,
        numbers: &[u8],
        to: *mut u8,
    ) -> Result<(), Trouble> {
        let call = Call::from(who);
        let fold = of
            .kind
            .number()
            .and_then(|number| numbers::fold(number, op));
        let (Some(number), Some(fold)) = (of.kind.number(), fold) else {
            return Err(words::of(call, "these are no numbers"));
        };
        let terms = Terms {
            root: (who == Reduction::Root).then_some(of.peer),
            op: Some(op),
        };
        let round = self.round(call, of, terms)?;
        match who {
            Reduction::Root => self.fold_to_root(&round, numbers, to, fold),
            Reduction::Scan => self.fold_up_to(&round, numbers, to, fold),
            Reduction::Before => self.fold_before(&round, numbers, to, fold),
            Reduction::All if round.size() > 1 && numbers.len() > WHOLE => {
                self.fold_in_parts(&round, number.size(), numbers, to, fold)
            }
            Reduction::All => self.fold_whole(&round, numbers, to, fold),
        }
    }

    /// Each folds with a partner, then with one twice as far: all have it after as many steps as the size has bits.
    fn fold_whole(
        &mut self,
        round: &Round,
        numbers: &[u8],
        to: *mut u8,
        fold: Fold,
    ) -> Result<(), Trouble> {
        let bytes = numbers.len();
        // SAFETY: there is room for as many.
        unsafe { std::ptr::copy_nonoverlapping(numbers.as_ptr(), to, bytes) };
        let (size, me) = (round.size(), round.rank);
        if size == 1 {
            return Ok(());
        }
        let even = 1 << size.ilog2();
        let mut spare = std::mem::take(&mut self.spare);
        spare.resize(bytes, 0);
        let done = (|| {
            // SAFETY: it was just filled, and nothing writes to it while this is used.
            let mine = || unsafe { std::slice::from_raw_parts(to.cast_const(), bytes) };
            let length = bytes as u64;
            if me >= even {
                // One too many for pairs: it hands its own on, and gets the result.
                self.trade(round, -2, Some((me - even, mine())), None)?;
                let sink = Sink::Memory(to, length);
                return self
                    .trade(round, -3, None, Some((me - even, sink)))
                    .map(drop);
            }
            if me + even < size {
                let sink = Sink::Fold(to, to, length, fold);
                self.trade(round, -2, None, Some((me + even, sink)))?;
            }
            let mut step = 0;
            while 1 << step < even {
                let other = me ^ (1 << step);
                let sink = Sink::Memory(spare.as_mut_ptr(), length);
                self.trade(round, step, Some((other, mine())), Some((other, sink)))?;
                let (low, high) = match me < other {
                    true => (to.cast_const(), spare.as_ptr()),
                    false => (spare.as_ptr(), to.cast_const()),
                };
                // SAFETY: all are as long; in the same order for both, so that both have the same.
                unsafe { fold(to, low, high, bytes) };
                step += 1;
            }
            if me + even < size {
                self.trade(round, -3, Some((me + even, mine())), None)?;
            }
            Ok(())
        })();
        self.spare = spare;
        done
    }

    /// Each folds a part of the row, which goes from rank to rank; then the parts go round.
    fn fold_in_parts(
        &mut self,
        round: &Round,
        unit: usize,
        numbers: &[u8],
        to: *mut u8,
        fold: Fold,
    ) -> Result<(), Trouble> {
        let size = round.size();
        let count = numbers.len() / unit;
        let bound = |part: usize| count * part / size * unit;
        let range = |part: usize| bound(part)..bound(part + 1);
        // SAFETY: there is room for as many, and each part is read once it was written.
        let folded = |part: usize| unsafe {
            let range = range(part);
            std::slice::from_raw_parts(to.add(range.start).cast_const(), range.len())
        };
        let (next, before) = (round.after(1), round.before(1));
        for step in 0..size - 1 {
            let (goes, comes) = (round.before(step), round.before(step + 1));
            let data = match step {
                0 => &numbers[range(goes)],
                _ => folded(goes),
            };
            let at = range(comes);
            // SAFETY: the part lies in the row.
            let place = unsafe { to.add(at.start) };
            let sink = Sink::Fold(place, numbers[at.clone()].as_ptr(), at.len() as u64, fold);
            self.trade(round, step as i32, Some((next, data)), Some((before, sink)))?;
        }
        for step in 0..size - 1 {
            let (goes, comes) = (round.before(step + size - 1), round.before(step));
            let at = range(comes);
            // SAFETY: as above.
            let sink = Sink::Memory(unsafe { to.add(at.start) }, at.len() as u64);
            let number = (size + step) as i32;
            self.trade(
                round,
                number,
                Some((next, folded(goes))),
                Some((before, sink)),
            )?;
        }
        Ok(())
    }

    /// Up a tree whose top is the root.
    fn fold_to_root(
        &mut self,
        round: &Round,
        numbers: &[u8],
        to: *mut u8,
        fold: Fold,
    ) -> Result<(), Trouble> {
        let root = Self::root(round)?;
        let size = round.size();
        let me = (round.rank + size - root) % size;
        let member = |number: usize| (number + root) % size;
        let mut own = Vec::new();
        // Its own numbers, until it has folded others into the place that it has for them.
        let mut mine = numbers;
        let mut reach = 1;
        while reach < size {
            if me & reach != 0 {
                return self
                    .trade(round, 0, Some((member(me ^ reach), mine)), None)
                    .map(drop);
            }
            if me + reach < size {
                let place = if to.is_null() {
                    own.resize(numbers.len(), 0_u8);
                    own.as_mut_ptr()
                } else {
                    to
                };
                let sink = Sink::Fold(place, mine.as_ptr(), numbers.len() as u64, fold);
                self.trade(round, 0, None, Some((member(me + reach), sink)))?;
                // SAFETY: the place is as long as the numbers, and full.
                mine = unsafe { std::slice::from_raw_parts(place, numbers.len()) };
            }
            reach <<= 1;
        }
        if size == 1 {
            // SAFETY: the root has room for as many.
            unsafe { std::ptr::copy_nonoverlapping(numbers.as_ptr(), to, numbers.len()) };
        }
        Ok(())
    }

    /// From rank to rank, each one's own only for those behind it. The first has no room for a result.
    fn fold_before(
        &mut self,
        round: &Round,
        numbers: &[u8],
        to: *mut u8,
        fold: Fold,
    ) -> Result<(), Trouble> {
        let bytes = numbers.len();
        if round.rank > 0 {
            let sink = Sink::Memory(to, bytes as u64);
            self.trade(round, 0, None, Some((round.rank - 1, sink)))?;
        }
        if round.rank + 1 == round.size() {
            return Ok(());
        }
        let next = round.rank + 1;
        if round.rank == 0 {
            return self.trade(round, 0, Some((next, numbers)), None).map(drop);
        }
        let mut spare = std::mem::take(&mut self.spare);
        spare.resize(bytes, 0);
        // SAFETY: all are as long, and none lies in another.
        unsafe { fold(spare.as_mut_ptr(), to, numbers.as_ptr(), bytes) };
        let sent = self.trade(round, 0, Some((next, &spare)), None);
        self.spare = spare;
        sent.map(drop)
    }

    /// From rank to rank.
    fn fold_up_to(
        &mut self,
        round: &Round,
        numbers: &[u8],
        to: *mut u8,
        fold: Fold,
    ) -> Result<(), Trouble> {
        if round.rank == 0 {
            // SAFETY: there is room for as many.
            unsafe { std::ptr::copy_nonoverlapping(numbers.as_ptr(), to, numbers.len()) };
        } else {
            let sink = Sink::Fold(to, numbers.as_ptr(), numbers.len() as u64, fold);
            self.trade(round, 0, None, Some((round.rank - 1, sink)))?;
        }
        if round.rank + 1 < round.size() {
            // SAFETY: it was just filled.
            let folded = unsafe { std::slice::from_raw_parts(to.cast_const(), numbers.len()) };
            self.trade(round, 0, Some((round.rank + 1, folded)), None)?;
        }
        Ok(())
    }
}
