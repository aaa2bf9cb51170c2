//! Which items a thread of a map takes next. No other thread has to be asked: whoever counts on takes what was
//! counted, so every item is taken once.

use std::sync::atomic::{AtomicU64, Ordering};

use regatta_cell::options::{Chunks, Schedule};

/// Where the next item would be when no more are to be taken.
const NONE: u64 = u64::MAX / 2;

/// The items of a map that no thread has taken.
pub struct Claims {
    chunks: Chunks,
    items: u64,
    next: AtomicU64,
}

/// What one thread has still to take of items that are dealt before the start.
pub struct Dealt {
    at: u64,
    size: u64,
    step: u64,
}

impl Claims {
    /// `items`: `None` when nobody knows how many there are; then each is taken before it is there.
    pub fn new(mut chunks: Chunks, items: Option<u64>) -> Self {
        if items.is_none() {
            chunks.schedule = Schedule::Dynamic;
            chunks.fixed = chunks.fixed.or(Some(1));
        }
        Self {
            chunks,
            items: items.unwrap_or(NONE),
            next: AtomicU64::new(0),
        }
    }

    /// No more are taken.
    pub fn close(&self) {
        self.next.store(NONE, Ordering::Relaxed);
    }

    /// What is dealt to a thread: a block, or every so-manieth chunk.
    pub fn dealt(&self, rank: u32) -> Dealt {
        let (at, size, step) = match self.chunks.schedule {
            Schedule::Static => self.chunks.dealt(rank, self.items),
            _ => (0, 0, 0),
        };
        Dealt { at, size, step }
    }

    /// The next items of one thread, from the first up to the second of these.
    pub fn next(&self, dealt: &mut Dealt) -> Option<(u64, u64)> {
        if self.chunks.schedule == Schedule::Static {
            let first = dealt.at;
            let is_closed = self.next.load(Ordering::Relaxed) >= NONE;
            if is_closed || first >= self.items || dealt.size == 0 {
                return None;
            }
            dealt.at += dealt.step;
            return Some((first, (first + dealt.size).min(self.items)));
        }
        let mut first = self.next.load(Ordering::Relaxed);
        loop {
            if first >= self.items {
                return None;
            }
            let count = self.chunks.claimed(self.items - first);
            let ordering = Ordering::Relaxed;
            let claimed = self
                .next
                .compare_exchange_weak(first, first + count, ordering, ordering);
            match claimed {
                Ok(_) => return Some((first, first + count)),
                Err(now) => first = now,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use regatta_cell::options::MapOptions;

    use super::*;

    const KINDS: [Schedule; 3] = [Schedule::Dynamic, Schedule::Static, Schedule::Guided];

    fn new(schedule: Schedule, fixed: Option<u64>, threads: u32, items: u64) -> Claims {
        let threads = threads.into();
        let chunks = Chunks {
            schedule,
            fixed,
            threads,
            ranks: Vec::new(),
        };
        Claims::new(chunks, Some(items))
    }

    fn chunks(claims: &Claims, rank: u32) -> Vec<(u64, u64)> {
        let mut dealt = claims.dealt(rank);
        std::iter::from_fn(|| claims.next(&mut dealt)).collect()
    }

    /// However threads come to their turns, each item is one thread's, and there are as many chunks as were planned.
    #[test]
    fn every_item_is_taken_once() {
        for kind in KINDS {
            for fixed in [
                None,
                Some(1),
                Some(3),
                Some(100),
                Some(1 << 63),
                Some(u64::MAX),
            ] {
                for (threads, items) in [(1, 0), (1, 7), (2, 1), (3, 10), (4, 1000), (7, 5)] {
                    let claims = new(kind, fixed, threads, items);
                    let mut taken = vec![0; items as usize];
                    let mut count = 0;
                    std::thread::scope(|scope| {
                        let claims = &claims;
                        let ran: Vec<_> = (0..threads)
                            .map(|rank| scope.spawn(move || chunks(claims, rank)))
                            .collect();
                        for (from, to) in ran.into_iter().flat_map(|one| one.join().unwrap()) {
                            assert!(from < to);
                            count += 1;
                            taken[from as usize..to as usize]
                                .iter_mut()
                                .for_each(|count| *count += 1);
                        }
                    });
                    let how = format!("{kind:?} {fixed:?} {threads} {items}: {taken:?}");
                    assert!(taken.iter().all(|count| *count == 1), "{how}");
                    let planned = claims.chunks.planned(items);
                    assert_eq!(planned.unwrap_or(count), count, "{how}");
                }
            }
        }
    }

    #[test]
    fn what_is_fixed_is_kept_and_what_adapts_shrinks() {
        let dynamic = new(Schedule::Dynamic, Some(4), 2, 10);
        assert_eq!(chunks(&dynamic, 0), [(0, 4), (4, 8), (8, 10)]);
        let block = new(Schedule::Static, None, 3, 10);
        assert_eq!(
            [0, 1, 2].map(|rank| chunks(&block, rank)),
            [[(0, 3)], [(3, 6)], [(6, 10)]]
        );
        let dealt = new(Schedule::Static, Some(2), 2, 7);
        assert_eq!(chunks(&dealt, 1), [(2, 4), (6, 7)]);
        let guided = chunks(&new(Schedule::Guided, None, 2, 160), 0);
        assert_eq!((guided[0], guided.last()), ((0, 10), Some(&(159, 160))));
        assert!(guided.is_sorted_by_key(|(from, to)| std::cmp::Reverse(to - from)));
    }

    /// In the order in which the threads were named.
    #[test]
    fn what_is_dealt_to_some_is_theirs_alone() {
        let options = MapOptions {
            schedule: Schedule::Static,
            ranks: vec![3, 1],
            ..MapOptions::default()
        };
        for (chunk, third, first) in [
            (Some(1), vec![(0, 1), (2, 3)], vec![(1, 2), (3, 4)]),
            (None, vec![(0, 2)], vec![(2, 4)]),
        ] {
            let options = MapOptions {
                chunk,
                ..options.clone()
            };
            let claims = Claims::new(Chunks::of(&options, 4), Some(4));
            let all = [0, 1, 2, 3].map(|rank| chunks(&claims, rank));
            assert_eq!(all, [vec![], first, vec![], third]);
        }
    }

    #[test]
    fn nothing_is_taken_once_it_is_closed() {
        for kind in KINDS {
            let claims = new(kind, Some(1), 2, 10);
            let mut dealt = claims.dealt(0);
            assert_eq!(claims.next(&mut dealt), Some((0, 1)));
            claims.close();
            assert_eq!(claims.next(&mut dealt), None);
            assert!(chunks(&claims, 1).is_empty());
        }
    }
}
