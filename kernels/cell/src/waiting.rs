//! Waiting for several jobs together.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::job::Job;

/// Rung by each of several jobs when it is over.
#[derive(Default)]
pub(crate) struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    pub fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits until it rings, at most until then; whether it did.
    fn wait(&self, until: Option<Instant>) -> bool {
        let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        while !std::mem::take(&mut *rung) {
            rung = match until {
                None => self
                    .changed
                    .wait(rung)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let Some(left) = until.checked_duration_since(Instant::now()) else {
                        return false;
                    };
                    let waited = self.changed.wait_timeout(rung, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        true
    }
}

/// Waits until `is_enough`, which is asked again whenever a job is over; whether it came to that in time.
fn until<O>(jobs: &[Job<O>], end: Option<Instant>, is_enough: impl Fn() -> bool) -> bool {
    let bell = Arc::new(Bell::default());
    for job in jobs {
        job.hang(&bell);
    }
    // A job may have ended before the bell hung there.
    while !is_enough() {
        if !bell.wait(end) {
            return is_enough();
        }
    }
    true
}

/// What [`wait`] waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Until {
    /// Every job is over.
    #[default]
    All,
    /// One of them is.
    First,
    /// One of them has failed, or every one is over.
    Error,
}

/// Places of jobs in the slice that [`wait`] was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waited {
    pub done: Vec<usize>,
    pub pending: Vec<usize>,
}

/// Waits for some of these jobs, at most `timeout` where there is one; which of them are over then.
pub fn wait<O>(jobs: &[Job<O>], timeout: impl Into<Option<Duration>>, how: Until) -> Waited {
    let end = timeout
        .into()
        .and_then(|time| Instant::now().checked_add(time));
    until(jobs, end, || match how {
        Until::All => jobs.iter().all(Job::ready),
        Until::First => jobs.is_empty() || jobs.iter().any(Job::ready),
        Until::Error => jobs.iter().any(Job::is_failed) || jobs.iter().all(Job::ready),
    });
    let (done, pending) = (0..jobs.len()).partition(|place| jobs[*place].ready());
    Waited { done, pending }
}

/// The jobs in the order in which they end, each with its place in the slice.
pub fn as_completed<O>(jobs: &[Job<O>]) -> impl Iterator<Item = (usize, &Job<O>)> {
    let mut given = vec![false; jobs.len()];
    std::iter::from_fn(move || {
        let next = |given: &[bool]| (0..jobs.len()).find(|at| !given[*at] && jobs[*at].ready());
        if given.iter().all(|given| *given) {
            return None;
        }
        until(jobs, None, || next(&given).is_some());
        let place = next(&given)?;
        given[place] = true;
        Some((place, &jobs[place]))
    })
}

/// Waits for all of them; all results, or the first reason.
///
/// # Errors
/// As [`Job::get`].
pub fn join<O>(jobs: &[Job<O>]) -> Result<Vec<Vec<O>>, String> {
    jobs.iter().map(Job::get).collect()
}

/// Waits for the first job that is over; its place in the slice, `None` for no jobs.
pub fn first_done<O>(jobs: &[Job<O>]) -> Option<usize> {
    wait(jobs, None, Until::First).done.first().copied()
}

/// Waits for the first job that fails; `None` when all of them end well.
pub fn first_error<O>(jobs: &[Job<O>]) -> Option<usize> {
    wait(jobs, None, Until::Error);
    jobs.iter().position(Job::is_failed)
}
