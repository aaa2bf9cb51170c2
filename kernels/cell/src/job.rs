//! A map in the background: a handle on what has come of it so far.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::ItemError;
use crate::exchange::{Exchange, Handle, News, Plan};
use crate::host::Step;

/// A map that runs while the cell goes on. Its results stay until they are taken or it is dropped.
pub struct Job<O> {
    shared: Arc<Shared<O>>,
}

impl<O> Clone for Job<O> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

struct Shared<O> {
    state: Mutex<State<O>>,
    changed: Condvar,
    started: Instant,
}

struct State<O> {
    results: BTreeMap<u64, O>,
    /// Arrived, and not yet given out by `arrived`.
    order: VecDeque<u64>,
    /// First item, number of items and rank of what has come.
    ranks: Vec<(u64, u64, u32)>,
    done: u64,
    total: Option<u64>,
    /// While it runs.
    handle: Option<Handle>,
    job: u32,
    over: Option<Over>,
}

#[derive(Clone)]
struct Over {
    how: Step,
    why: String,
    wall: Duration,
    serial: Duration,
}

/// How a result of a job is decoded: as it is, or as a result or an error.
pub(crate) type Decode<O> = fn(u64, &mut &[u8]) -> Option<O>;

/// How results are decoded, and how an error becomes one where errors are collected.
pub(crate) type How<O> = (Decode<O>, Option<fn(ItemError) -> O>);

impl<O> Shared<O> {
    /// Takes what comes back; false when it can't be decoded.
    fn take(&self, news: News<'_>, (decode, fail): How<O>) -> bool {
        let state = match news {
            News::Results {
                first,
                count,
                rank,
                mut bytes,
            } => {
                let mut decoded = Vec::new();
                for item in first..first + count {
                    let Some(result) = decode(item, &mut bytes) else {
                        return false;
                    };
                    decoded.push((item, result));
                }
                let mut state = self.lock();
                state.done += count;
                state.ranks.push((first, count, rank));
                state.order.extend(first..first + count);
                state.results.extend(decoded);
                state
            }
            News::Failed(error) => {
                let mut state = self.lock();
                if let Some(fail) = fail {
                    let item = error.item();
                    state.done += 1;
                    state.order.push_back(item);
                    state.results.insert(item, fail(error.clone()));
                }
                state
            }
        };
        drop(state);
        self.changed.notify_all();
        true
    }
}

impl<O> Shared<O> {
    fn lock(&self) -> MutexGuard<'_, State<O>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `ready`, at most until `until`; whether it came to that.
    fn wait(&self, until: Option<Instant>, ready: impl Fn(&State<O>) -> bool) -> bool {
        let mut state = self.lock();
        while !ready(&state) {
            let Some(until) = until else {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let Some(left) = until.checked_duration_since(Instant::now()) else {
                return false;
            };
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }
}

/// An exchange on its way to the thread that follows it.
struct Moved(Exchange<'static>);

// SAFETY: only made by `Job::begin`, whose inputs, captured bytes and results are `Send`.
unsafe impl Send for Moved {}

impl<O: Send + 'static> Job<O> {
    /// `plan` is without what takes its results, and all of it may move to another thread.
    pub(crate) fn begin(mut plan: Plan<'static>, how: How<O>) -> Result<Self, String> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                results: BTreeMap::new(),
                order: VecDeque::new(),
                ranks: Vec::new(),
                done: 0,
                total: (plan.items != u64::MAX).then_some(plan.items),
                handle: None,
                job: 0,
                over: None,
            }),
            changed: Condvar::new(),
            started: Instant::now(),
        });
        let to = shared.clone();
        plan.take = Box::new(move |news| to.take(news, how));
        plan.ordered = false;
        let mut exchange = Exchange::begin(plan)?;
        // The session's number comes first.
        while exchange.handle().progress().job == 0 {
            match exchange.step(-1) {
                Step::Going | Step::Waited => {}
                over => {
                    shared.end(over, exchange.handle());
                    return Ok(Self { shared });
                }
            }
        }
        {
            let mut state = shared.lock();
            state.job = exchange.handle().progress().job;
            state.handle = Some(exchange.handle());
        }
        let to = shared.clone();
        let moved = Moved(exchange);
        let spawned = std::thread::Builder::new()
            .name("job".to_owned())
            .spawn(move || {
                let mut exchange = { moved }.0;
                let over = exchange.run();
                to.end(over, exchange.handle());
            });
        spawned.map_err(|error| error.to_string())?;
        Ok(Self { shared })
    }
}

impl<O> Shared<O> {
    fn end(&self, how: Step, handle: Handle) {
        let progress = handle.progress();
        let mut state = self.lock();
        state.handle = None;
        state.over = Some(Over {
            how,
            why: handle.failure(),
            wall: Duration::from_nanos(progress.wall),
            serial: Duration::from_nanos(progress.serial),
        });
        drop(state);
        self.changed.notify_all();
    }
}

impl<O> Job<O> {
    /// The session's number of the job.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.shared.lock().job
    }

    /// Whether it is over, well or not.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.shared.lock().over.is_some()
    }

    /// Items done, and how many there are when that is known.
    #[must_use]
    pub fn progress(&self) -> (u64, Option<u64>) {
        let state = self.shared.lock();
        (state.done, state.total)
    }

    /// Waits until it is over, but not longer than `timeout`; whether it is.
    pub fn wait(&self, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        self.shared.wait(Some(until), |state| state.over.is_some())
    }

    /// Ends it: no new chunks are sent, and items that run come to their end. What is done stays.
    pub fn cancel(&self) {
        if let Some(handle) = self.shared.lock().handle {
            handle.cancel();
        }
    }

    /// Time since the start; the whole time when it is over.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.wall_time()
            .unwrap_or_else(|| self.shared.started.elapsed())
    }

    /// From the first chunk until the last result; `None` while it runs.
    #[must_use]
    pub fn wall_time(&self) -> Option<Duration> {
        self.shared.lock().over.as_ref().map(|over| over.wall)
    }

    /// Time in the function, summed over all engines; `None` while it runs.
    #[must_use]
    pub fn serial_time(&self) -> Option<Duration> {
        self.shared.lock().over.as_ref().map(|over| over.serial)
    }

    /// Serial over wall time; `None` while it runs.
    #[must_use]
    pub fn speedup(&self) -> Option<f64> {
        Some(self.serial_time()?.as_secs_f64() / self.wall_time()?.as_secs_f64())
    }

    /// Waits for the end and gives all results in input order, or why there are not all of them. Results are
    /// given once.
    ///
    /// # Errors
    /// The reason for which the map failed, or that it was cancelled.
    pub fn get(&self) -> Result<Vec<O>, String> {
        self.shared.wait(None, |state| state.over.is_some());
        let mut state = self.shared.lock();
        match &state.over {
            Some(over) if over.how != Step::Finished => Err(if over.why.is_empty() {
                "the job was cancelled; `job.partial()` gives what was done".to_owned()
            } else {
                over.why.clone()
            }),
            _ if (state.results.len() as u64) < state.done => {
                Err("the results were taken before".to_owned())
            }
            _ => Ok(std::mem::take(&mut state.results).into_values().collect()),
        }
    }

    /// Takes the results that are there, each with the index of its input.
    #[must_use]
    pub fn partial(&self) -> Vec<(u64, O)> {
        let mut state = self.shared.lock();
        state.order.clear();
        std::mem::take(&mut state.results).into_iter().collect()
    }

    /// Results as they arrive, each with the index of its input; taken from the job.
    pub fn arriving(&self) -> impl Iterator<Item = (u64, O)> + '_ {
        std::iter::from_fn(|| {
            let there = |state: &State<O>| !state.order.is_empty() || state.over.is_some();
            loop {
                self.shared.wait(None, there);
                let mut state = self.shared.lock();
                if state.order.is_empty() {
                    return None;
                }
                let item = state.order.pop_front();
                if let Some((item, result)) =
                    item.and_then(|item| state.results.remove_entry(&item))
                {
                    return Some((item, result));
                }
            }
        })
    }

    /// The rank of the engine that an item's result came from; `None` while it has none.
    #[must_use]
    pub fn engine_of(&self, item: u64) -> Option<u32> {
        let state = self.shared.lock();
        let has = |(first, count, _): &&(u64, u64, u32)| (*first..*first + *count).contains(&item);
        state.ranks.iter().find(has).map(|(_, _, rank)| *rank)
    }

    fn is_failed(&self) -> bool {
        let state = self.shared.lock();
        state
            .over
            .as_ref()
            .is_some_and(|over| over.how == Step::Failed)
    }
}

impl<O> fmt::Debug for Job<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        let how = match state.over.as_ref().map(|over| over.how) {
            None => "running",
            Some(Step::Finished) => "done",
            Some(Step::Cancelled) => "cancelled",
            Some(_) => "failed",
        };
        write!(f, "job {}: {how}, {}", state.job, state.done)?;
        match state.total {
            Some(total) => write!(f, " of {total} items"),
            None => write!(f, " items"),
        }
    }
}

/// How often several jobs are looked at together.
const TICK: Duration = Duration::from_millis(5);

/// Waits for all of them; all results, or the first reason.
///
/// # Errors
/// As [`Job::get`].
pub fn join<O>(jobs: &[Job<O>]) -> Result<Vec<Vec<O>>, String> {
    jobs.iter().map(Job::get).collect()
}

/// Waits for the first job that is over; its place in the slice, `None` for no jobs.
pub fn first_done<O>(jobs: &[Job<O>]) -> Option<usize> {
    first(jobs, Job::ready)
}

/// Waits for the first job that fails; `None` when all of them end well.
pub fn first_error<O>(jobs: &[Job<O>]) -> Option<usize> {
    first(jobs, Job::is_failed)
}

fn first<O>(jobs: &[Job<O>], is_it: impl Fn(&Job<O>) -> bool) -> Option<usize> {
    loop {
        if let Some(place) = jobs.iter().position(&is_it) {
            return Some(place);
        }
        if jobs.iter().all(Job::ready) {
            // One may have become so since.
            return jobs.iter().position(&is_it);
        }
        std::thread::sleep(TICK);
    }
}
