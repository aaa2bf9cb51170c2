//! What the engines of one call share: how many commands failed, whether more may begin, when the last one began, and how
//! long they took. On one host it is a page of numbers; for those of a cluster a server of the session's has it.

mod page;
mod served;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use regatta_cell::shell::{Board as Place, Counted, Halt, How};

use page::Page;
use served::Served;
pub use served::is_at;

/// Jobs that must have failed, or gone well, before a part of all counts: the first ones say little.
const LEAST: u64 = 3;

/// 1: no command is to begin; 2: those under way are to end.
const SOON: u64 = 1;
const NOW: u64 = 2;

pub trait Board: Send + Sync {
    /// One of the above, or 0.
    fn halted(&self) -> u64;

    /// Waits until `delay` seconds have gone by since the last command began; false when it stops before.
    fn take_turn(&self, delay: f64, stops: &dyn Fn() -> bool) -> bool;

    /// How long the next one may take.
    fn limit(&self, how: &How) -> Option<Duration>;

    /// Notes how a command ended, and whether that was one too many.
    fn note(&self, how: &How, ok: bool, took: Duration);
}

/// The last one, which the next command will want too, by its call's mark.
static LAST: Mutex<Option<(u64, Arc<dyn Board>)>> = Mutex::new(None);

/// That of a command's call; `None` without one, or when it is gone, as is who made it.
pub fn of(how: &How) -> Result<Option<Arc<dyn Board>>, String> {
    let Some(place) = &how.board else {
        return Ok(None);
    };
    let (Place::Page { mark, .. } | Place::Served { mark }) = place;
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, board)) = last.as_ref().filter(|(other, _)| other == mark) {
        return Ok(Some(board.clone()));
    }
    let board: Arc<dyn Board> = match place {
        Place::Page { path, mark } => match Page::open(path, *mark) {
            Some(page) => Arc::new(page),
            None => return Ok(None),
        },
        Place::Served { mark } => match Served::open(*mark, how)? {
            Some(served) => Arc::new(served),
            None => return Ok(None),
        },
    };
    *last = Some((*mark, board.clone()));
    Ok(Some(board))
}

/// Whether a command that ended so counts.
fn counts(halt: &Halt, ok: bool) -> bool {
    match halt.counted {
        Counted::Failed => !ok,
        Counted::WentWell => ok,
        Counted::Ended => true,
    }
}

/// Whether so many that count are one too many, of all that there are.
fn is_enough(halt: &Halt, count: u64, total: u64) -> bool {
    match halt.share {
        None => count >= halt.count,
        Some(share) => count >= LEAST && count as f64 >= share * total as f64,
    }
}

fn word(halt: &Halt) -> u64 {
    if halt.now { NOW } else { SOON }
}

fn fixed_limit(how: &How) -> Option<Duration> {
    how.timeout.map(Duration::from_secs_f64)
}

/// A part of the median of these times, nanoseconds; `None` while they are too few.
fn part_of_median(share: f64, times: &mut [u64]) -> Option<Duration> {
    if (times.len() as u64) < LEAST {
        return None;
    }
    times.sort_unstable();
    Some(Duration::from_nanos(times[times.len() / 2]).mul_f64(share))
}
