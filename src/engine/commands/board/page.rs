//! The page of numbers that the engines of one call share on one host.

use std::fs::{File, Metadata};
use std::os::unix::fs::FileExt as _;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use nix::sys::mman::{ProtFlags, munmap};
use regatta_cell::shell::{Counted, How, board};

use super::{Board, counts, fixed_limit, is_enough, part_of_median, word};
use crate::engine::commands::LOOK;
use crate::engine::shared::map;
use crate::wire::monotonic;

pub struct Page {
    start: NonNull<AtomicU64>,
}

// SAFETY: what it points to is shared memory that is only looked at as atomic numbers.
unsafe impl Send for Page {}
// SAFETY: as above.
unsafe impl Sync for Page {}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: `open` mapped it, and nobody can borrow from it any more.
        let _ = unsafe { munmap(self.start.cast(), board::LENGTH as usize) };
    }
}

impl Page {
    /// The page of this call; `None` when it is gone, as is who made it.
    pub fn open(path: &str, mark: u64) -> Option<Self> {
        let file = file_of(path, mark)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let start = map(
            std::os::fd::AsFd::as_fd(&file),
            protection,
            board::LENGTH as usize,
        )
        .ok()?;
        Some(Self {
            start: start.cast(),
        })
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        debug_assert!(index < board::LENGTH as usize / 8);
        // SAFETY: the page is mapped as long as `self` lives, is larger than any index, and is only looked at as
        // atomic numbers by everybody.
        unsafe { self.start.add(index).as_ref() }
    }
}

impl Board for Page {
    fn halted(&self) -> u64 {
        self.word(board::HALTED).load(SeqCst)
    }

    fn take_turn(&self, delay: f64, stops: &dyn Fn() -> bool) -> bool {
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

    fn limit(&self, how: &How) -> Option<Duration> {
        let Some(share) = how.timeout_share else {
            return fixed_limit(how);
        };
        let count = self.word(board::WENT_WELL).load(SeqCst) as usize;
        let time = |at| self.word(board::FIRST_TIME + at).load(SeqCst);
        let mut times: Vec<u64> = (0..count.min(board::TIMES)).map(time).collect();
        part_of_median(share, &mut times).or_else(|| fixed_limit(how))
    }

    fn note(&self, how: &How, ok: bool, took: Duration) {
        let place = if ok { board::WENT_WELL } else { board::FAILED };
        let before = self.word(place).fetch_add(1, SeqCst);
        if ok {
            let place = board::FIRST_TIME + before as usize % board::TIMES;
            self.word(place).store(took.as_nanos() as u64, SeqCst);
        }
        let Some(halt) = how.halt.filter(|halt| counts(halt, ok)) else {
            return;
        };
        let count = match halt.counted {
            Counted::Failed | Counted::WentWell => before + 1,
            Counted::Ended => {
                let ended = [board::WENT_WELL, board::FAILED].map(|it| self.word(it).load(SeqCst));
                ended.iter().sum()
            }
        };
        if is_enough(&halt, count, how.total) {
            self.word(board::HALTED).fetch_max(word(&halt), SeqCst);
        }
    }
}

/// The file, if it is this call's page: what else has its path by now is not written to.
fn file_of(path: &str, mark: u64) -> Option<File> {
    let is_page = |about: &Metadata| about.is_file() && about.len() >= board::LENGTH;
    // What is no file may do something when it is opened.
    std::fs::metadata(path).ok().filter(is_page)?;
    let file = File::options().read(true).write(true).open(path).ok()?;
    let mut there = [0; 8];
    file.read_exact_at(&mut there, 8 * board::MARK as u64)
        .ok()?;
    let is_this = is_page(&file.metadata().ok()?) && there == mark.to_ne_bytes();
    is_this.then_some(file)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use regatta_cell::shell::{Halt, board::LENGTH};

    use super::*;

    fn page(mark: u64) -> (File, String) {
        let page = crate::wire::memory_file().unwrap();
        page.set_len(LENGTH).unwrap();
        let at = 8 * board::MARK as u64;
        page.write_all_at(&mark.to_ne_bytes(), at).unwrap();
        let path = format!("/proc/self/fd/{}", page.as_raw_fd());
        (page, path)
    }

    #[test]
    fn each_call_has_its_own_page_and_no_other_file_is_one() {
        let (file, path) = page(71);
        let board = Page::open(&path, 71).unwrap();
        board.note(&How::default(), false, Duration::ZERO);
        assert!(Page::open(&path, 72).is_none());
        file.write_all_at(&72_u64.to_ne_bytes(), 8 * board::MARK as u64)
            .unwrap();
        let board = Page::open(&path, 72).unwrap();
        assert_eq!(board.word(board::FAILED).load(SeqCst), 1);
        for path in ["/dev/null", "/proc/self/fd/9999", "/proc/self/exe"] {
            assert!(Page::open(path, 73).is_none());
        }
    }

    #[test]
    fn failures_halt_what_follows() {
        let (_page, path) = page(1);
        let board = Page::open(&path, 1).unwrap();
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
        let (_page, path) = page(2);
        let board = Page::open(&path, 2).unwrap();
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
        let (_page, path) = page(3);
        let board = Page::open(&path, 3).unwrap();
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
