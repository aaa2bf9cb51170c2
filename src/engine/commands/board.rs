//! The page of numbers that the engines of one call share: how many commands failed, whether more may begin, when the
//! last one began, and how long they took.

use std::fs::{File, Metadata};
use std::os::unix::fs::FileExt as _;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::mman::{ProtFlags, munmap};
use regatta_cell::shell::{Board as Place, Counted, Halt, How, board};

use super::LOOK;
use crate::engine::shared::map;
use crate::wire::monotonic;

/// Jobs that must have failed, or gone well, before a part of all counts: the first ones say little.
const LEAST: u64 = 3;

pub struct Board {
    start: NonNull<AtomicU64>,
}

// SAFETY: what it points to is shared memory that is only looked at as atomic numbers.
unsafe impl Send for Board {}
// SAFETY: as above.
unsafe impl Sync for Board {}

impl Drop for Board {
    fn drop(&mut self) {
        // SAFETY: `open` mapped it, and nobody can borrow from it any more.
        let _ = unsafe { munmap(self.start.cast(), board::LENGTH as usize) };
    }
}

/// The last one, which the next command will want too, by its call's mark.
static LAST: Mutex<Option<(u64, Arc<Board>)>> = Mutex::new(None);

impl Board {
    /// The page of this call; `None` when it is gone, as is who made it.
    pub fn open(place: &Place) -> Option<Arc<Self>> {
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, board)) = last.as_ref().filter(|(mark, _)| *mark == place.mark) {
            return Some(board.clone());
        }
        let file = page_of(place)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let start = map(
            std::os::fd::AsFd::as_fd(&file),
            protection,
            board::LENGTH as usize,
        )
        .ok()?;
        let board = Arc::new(Self {
            start: start.cast(),
        });
        *last = Some((place.mark, board.clone()));
        Some(board)
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        debug_assert!(index < board::LENGTH as usize / 8);
        // SAFETY: the page is mapped as long as `self` lives, is larger than any index, and is only looked at as
        // atomic numbers by everybody.
        unsafe { self.start.add(index).as_ref() }
    }

    /// 1: no command is to begin; 2: those under way are to end.
    pub fn halted(&self) -> u64 {
        self.word(board::HALTED).load(SeqCst)
    }

    /// Waits until `delay` seconds have gone by since the last command began; false when it stops before.
    pub fn take_turn(&self, delay: f64, stops: &dyn Fn() -> bool) -> bool {
        if delay <= 0.0 {
            return true;
        }
        let delay = Duration::from_secs_f64(delay).as_nanos() as u64;
        loop {
            let (last, now) = (self.word(board::BEGAN).load(SeqCst), monotonic());
            let due = if last == 0 { 0 } else { last + delay };
            if now >= due {
                let taken = self
                    .word(board::BEGAN)
                    .compare_exchange(last, now, SeqCst, SeqCst);
                if taken.is_ok() {
                    return true;
                }
            } else if stops() || self.halted() != 0 {
                return false;
            } else {
                std::thread::sleep(LOOK.min(Duration::from_nanos(due - now)));
            }
        }
    }

    /// How long the next one may take.
    pub fn limit(&self, how: &How) -> Option<Duration> {
        let fixed = how.timeout.map(Duration::from_secs_f64);
        let Some(share) = how.timeout_share else {
            return fixed;
        };
        let count = self.word(board::WENT_WELL).load(SeqCst);
        if count < LEAST {
            return fixed;
        }
        let count = (count as usize).min(board::TIMES);
        let time = |at| self.word(board::FIRST_TIME + at).load(SeqCst);
        let mut times: Vec<u64> = (0..count).map(time).collect();
        times.sort_unstable();
        let median = Duration::from_nanos(times[times.len() / 2]);
        Some(median.mul_f64(share))
    }

    /// Notes how a command ended, and whether that was one too many.
    pub fn note(&self, how: &How, ok: bool, took: Duration) {
        let place = if ok { board::WENT_WELL } else { board::FAILED };
        let before = self.word(place).fetch_add(1, SeqCst);
        if ok {
            let place = board::FIRST_TIME + before as usize % board::TIMES;
            self.word(place).store(took.as_nanos() as u64, SeqCst);
        }
        let count = |halt: &Halt| match (halt.counted, ok) {
            (Counted::Failed, false) | (Counted::WentWell, true) => Some(before + 1),
            (Counted::Failed, true) | (Counted::WentWell, false) => None,
            (Counted::Ended, _) => {
                let ended = [board::WENT_WELL, board::FAILED].map(|it| self.word(it).load(SeqCst));
                Some(ended.iter().sum())
            }
        };
        if let Some(halt) = how.halt
            && count(&halt).is_some_and(|count| is_enough(&halt, count, how.total))
        {
            let word = if halt.now { 2 } else { 1 };
            self.word(board::HALTED).fetch_max(word, SeqCst);
        }
    }
}

/// The file, if it is this call's page: what else has its path by now is not written to.
fn page_of(place: &Place) -> Option<File> {
    let is_page = |about: &Metadata| about.is_file() && about.len() >= board::LENGTH;
    // What is no file may do something when it is opened.
    std::fs::metadata(&place.path).ok().filter(is_page)?;
    let file = File::options()
        .read(true)
        .write(true)
        .open(&place.path)
        .ok()?;
    let mut mark = [0; 8];
    file.read_exact_at(&mut mark, 8 * board::MARK as u64).ok()?;
    let is_this = is_page(&file.metadata().ok()?) && mark == place.mark.to_ne_bytes();
    is_this.then_some(file)
}

fn is_enough(halt: &Halt, count: u64, total: u64) -> bool {
    match halt.share {
        None => count >= halt.count,
        Some(share) => count >= LEAST && count as f64 >= share * total as f64,
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use regatta_cell::shell::board::LENGTH;

    use super::*;

    fn page(mark: u64) -> (File, Place) {
        let page = crate::wire::memory_file().unwrap();
        page.set_len(LENGTH).unwrap();
        let at = 8 * board::MARK as u64;
        page.write_all_at(&mark.to_ne_bytes(), at).unwrap();
        let path = format!("/proc/self/fd/{}", page.as_raw_fd());
        (page, Place { path, mark })
    }

    #[test]
    fn each_call_has_its_own_page_and_no_other_file_is_one() {
        let (file, place) = page(71);
        let board = Board::open(&place).unwrap();
        board.note(&How::default(), false, Duration::ZERO);
        let other = Place { mark: 72, ..place };
        assert!(Board::open(&other).is_none());
        file.write_all_at(&72_u64.to_ne_bytes(), 8 * board::MARK as u64)
            .unwrap();
        let board = Board::open(&other).unwrap();
        assert_eq!(board.word(board::FAILED).load(SeqCst), 1);
        for path in ["/dev/null", "/proc/self/fd/9999", "/proc/self/exe"] {
            let path = path.to_owned();
            assert!(Board::open(&Place { path, mark: 73 }).is_none());
        }
    }

    #[test]
    fn failures_halt_what_follows() {
        let (_page, place) = page(1);
        let board = Board::open(&place).unwrap();
        let halt = Halt {
            now: false,
            counted: Counted::Failed,
            count: 2,
            share: None,
        };
        let how = How {
            halt: Some(halt),
            total: 10,
            ..How::default()
        };
        board.note(&how, false, Duration::ZERO);
        board.note(&how, true, Duration::ZERO);
        assert_eq!(board.halted(), 0);
        board.note(&how, false, Duration::ZERO);
        assert_eq!(board.halted(), 1);
        let now = Halt {
            now: true,
            share: Some(0.3),
            ..halt
        };
        board.note(
            &How {
                halt: Some(now),
                ..how
            },
            false,
            Duration::ZERO,
        );
        assert_eq!(board.halted(), 2);
        let (_page, place) = page(2);
        let board = Board::open(&place).unwrap();
        let done = Halt {
            counted: Counted::Ended,
            ..halt
        };
        let how = How {
            halt: Some(done),
            ..How::default()
        };
        board.note(&how, false, Duration::ZERO);
        assert_eq!(board.halted(), 0);
        board.note(&how, true, Duration::ZERO);
        assert_eq!(board.halted(), 1);
    }

    #[test]
    fn a_part_of_the_median_is_a_limit_once_three_went_well() {
        let (_page, place) = page(3);
        let board = Board::open(&place).unwrap();
        let how = How {
            timeout_share: Some(2.0),
            ..How::default()
        };
        for seconds in [1, 9, 2] {
            assert_eq!(board.limit(&how), None);
            board.note(&how, true, Duration::from_secs(seconds));
        }
        assert_eq!(board.limit(&how), Some(Duration::from_secs(4)));
    }
}
