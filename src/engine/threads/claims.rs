//! Which items a thread of a map takes next. No other thread has to be asked: whoever counts on takes what was
//! counted, so every item is taken once.

use std::sync::atomic::{AtomicU64, Ordering};

use regatta_cell::options::Schedule;

/// Where the next item would be when no more are to be taken.
const NONE: u64 = u64::MAX / 2;

/// The items of a map that no thread has taken.
pub struct Claims {
    kind: Schedule,
    /// Items per chunk; 0: it adapts.
    fixed: u64,
    threads: u64,
    items: u64,
    next: AtomicU64,
}

/// What one thread has still to take of items that are dealt before the start.
pub struct Dealt {
    at: u64,
    step: u64,
    size: u64,
}

impl Claims {
    /// `items`: `None` when nobody knows how many there are; then each is taken before it is there.
    pub fn new(kind: Schedule, fixed: Option<u64>, threads: u32, items: Option<u64>) -> Self {
        let (kind, fixed, items) = match items {
            Some(items) => (kind, fixed, items),
            None => (Schedule::Dynamic, fixed.or(Some(1)), NONE),
        };
        Self {
            kind,
            // More than all of them is all of them: what is counted must not wrap.
            fixed: fixed.unwrap_or(0).min(items.max(1)),
            threads: u64::from(threads),
            items,
            next: AtomicU64::new(0),
        }
    }

    /// No more are taken.
    pub fn close(&self) {
        self.next.store(NONE, Ordering::Relaxed);
    }

    /// What is dealt to a thread: a block, or every so-manieth chunk.
    pub fn dealt(&self, rank: u32) -> Dealt {
        let rank = u64::from(rank);
        if self.fixed > 0 {
            return Dealt {
                at: self.fixed * rank,
                step: self.fixed * self.threads,
                size: self.fixed,
            };
        }
        let from = self.items * rank / self.threads;
        let to = self.items * (rank + 1) / self.threads;
        Dealt {
            at: from,
            step: self.items.max(1),
            size: to - from,
        }
    }

    /// The next items of one thread, from the first up to the second of these.
    pub fn next(&self, dealt: &mut Dealt) -> Option<(u64, u64)> {
        if self.kind == Schedule::Static {
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
            let left = self.items - first;
            let count = match self.fixed {
                // An eighth of a fair share of what is left.
                0 => (left / (8 * self.threads)).max(1),
                fixed => fixed.min(left),
            };
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
    use super::*;

    const KINDS: [Schedule; 3] = [Schedule::Dynamic, Schedule::Static, Schedule::Guided];

    fn chunks(claims: &Claims, rank: u32) -> Vec<(u64, u64)> {
        let mut dealt = claims.dealt(rank);
        std::iter::from_fn(|| claims.next(&mut dealt)).collect()
    }

    /// However threads come to their turns, each item is one thread's.
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
                    let claims = Claims::new(kind, fixed, threads, Some(items));
                    let mut taken = vec![0; items as usize];
                    std::thread::scope(|scope| {
                        let claims = &claims;
                        let ran: Vec<_> = (0..threads)
                            .map(|rank| scope.spawn(move || chunks(claims, rank)))
                            .collect();
                        for (from, to) in ran.into_iter().flat_map(|one| one.join().unwrap()) {
                            assert!(from < to);
                            taken[from as usize..to as usize]
                                .iter_mut()
                                .for_each(|count| *count += 1);
                        }
                    });
                    let how = format!("{kind:?} {fixed:?} {threads} {items}: {taken:?}");
                    assert!(taken.iter().all(|count| *count == 1), "{how}");
                }
            }
        }
    }

    #[test]
    fn what_is_fixed_is_kept_and_what_adapts_shrinks() {
        let dynamic = Claims::new(Schedule::Dynamic, Some(4), 2, Some(10));
        assert_eq!(chunks(&dynamic, 0), [(0, 4), (4, 8), (8, 10)]);
        let block = Claims::new(Schedule::Static, None, 3, Some(10));
        assert_eq!(
            [0, 1, 2].map(|rank| chunks(&block, rank)),
            [[(0, 3)], [(3, 6)], [(6, 10)]]
        );
        let dealt = Claims::new(Schedule::Static, Some(2), 2, Some(7));
        assert_eq!(chunks(&dealt, 1), [(2, 4), (6, 7)]);
        let guided = chunks(&Claims::new(Schedule::Guided, None, 2, Some(160)), 0);
        assert_eq!((guided[0], guided.last()), ((0, 10), Some(&(159, 160))));
        assert!(guided.is_sorted_by_key(|(from, to)| std::cmp::Reverse(to - from)));
    }

    #[test]
    fn nothing_is_taken_once_it_is_closed() {
        for kind in KINDS {
            let claims = Claims::new(kind, Some(1), 2, Some(10));
            let mut dealt = claims.dealt(0);
            assert_eq!(claims.next(&mut dealt), Some((0, 1)));
            claims.close();
            assert_eq!(claims.next(&mut dealt), None);
            assert!(chunks(&claims, 1).is_empty());
        }
    }
}
