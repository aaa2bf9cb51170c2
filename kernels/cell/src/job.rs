//! A map in the background: a handle on what has come of it so far.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::error::ItemError;
use crate::exchange::{Handle, Movable, Outcome};
use crate::host::{Progress, Step, UNDECODABLE, host};
use crate::waiting::Bell;

/// A map that runs while the cell goes on. Its results stay, encoded as they came, until it and its clones are
/// dropped: each look at them gives new values.
pub struct Job<O> {
    shared: Arc<Shared<O>>,
    held: Arc<Held>,
}

impl<O> Clone for Job<O> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            held: self.held.clone(),
        }
    }
}

/// The session is told when nobody has the job any more.
struct Held(u32);

impl Drop for Held {
    fn drop(&mut self) {
        (host().job_dropped)(self.0);
    }
}

struct Shared<O> {
    how: How<O>,
    /// All results are given in the order of their arrival.
    unordered: bool,
    state: Mutex<State>,
    changed: Condvar,
    started: Instant,
}

#[derive(Default)]
struct State {
    /// By the index of their first item.
    came: BTreeMap<u64, Came>,
    /// The same indices in the order of arrival.
    order: Vec<u64>,
    done: u64,
    total: Option<u64>,
    /// While it runs.
    handle: Option<Handle>,
    job: u32,
    over: Option<Over>,
    /// Who waits for the end of this job among others.
    bells: Vec<Weak<Bell>>,
}

/// What has come of some items.
#[derive(Clone)]
enum Came {
    Results {
        count: u64,
        rank: u32,
        bytes: Arc<[u8]>,
    },
    Failed(ItemError),
}

#[derive(Clone)]
struct Over {
    how: Step,
    why: String,
    wall: Duration,
    serial: Duration,
}

/// How a result of a job is had, from the bytes that came of it: as it is, or as a result or an error.
pub(crate) type Decode<O> = Box<dyn Fn(u64, &mut &[u8]) -> Option<O> + Send + Sync>;

/// Takes what comes back, on whichever thread; false when it can't be decoded.
pub(crate) type SharedSink = Box<dyn Fn(Outcome<'_>) -> bool + Send + Sync>;

/// How results are decoded, and how an error becomes one where errors are collected.
pub(crate) type How<O> = (Decode<O>, Option<fn(ItemError) -> O>);

impl<O> Shared<O> {
    /// Takes what comes back.
    fn take(&self, outcome: Outcome<'_>) -> bool {
        let (first, count, came) = match outcome {
            Outcome::Results {
                first,
                count,
                rank,
                bytes,
            } => {
                let bytes = bytes.into();
                (first, count, Came::Results { count, rank, bytes })
            }
            Outcome::Failed(error) if self.how.1.is_some() => {
                (error.item(), 1, Came::Failed(error.clone()))
            }
            Outcome::Failed(_) => return true,
        };
        let mut state = self.lock();
        state.done += count;
        state.order.push(first);
        state.came.insert(first, came);
        drop(state);
        self.changed.notify_all();
        true
    }

    /// The items of what has come, each with its index; false when one cannot be decoded.
    fn decode(&self, first: u64, came: &Came, to: &mut dyn FnMut(u64, O)) -> bool {
        let (decode, fail) = &self.how;
        match came {
            Came::Results { count, bytes, .. } => {
                let mut bytes = &bytes[..];
                (first..first + count).all(|item| match decode(item, &mut bytes) {
                    Some(result) => {
                        to(item, result);
                        true
                    }
                    None => false,
                })
            }
            Came::Failed(error) => {
                if let Some(fail) = fail {
                    to(first, fail(error.clone()));
                }
                true
            }
        }
    }

    /// All that is there, in the order of the inputs.
    fn all(&self, came: &BTreeMap<u64, Came>, to: &mut dyn FnMut(u64, O)) -> Result<(), String> {
        came.iter()
            .try_for_each(|(first, came)| self.one(*first, came, to))
    }

    fn one(&self, first: u64, came: &Came, to: &mut dyn FnMut(u64, O)) -> Result<(), String> {
        match self.decode(first, came, to) {
            true => Ok(()),
            false => Err(UNDECODABLE.to_owned()),
        }
    }
}

impl<O> Shared<O> {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `ready`, at most until `until`; whether it came to that.
    fn wait(&self, until: Option<Instant>, ready: impl Fn(&State) -> bool) -> bool {
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

impl<O: Send + 'static> Job<O> {
    /// `items`: how many there are; `u64::MAX` when the iterator does not say. `begin` gets what takes the results;
    /// all that it works on may move to another thread, and does.
    pub(crate) fn begin<M: Movable + 'static>(
        items: u64,
        how: How<O>,
        unordered: bool,
        begin: impl FnOnce(SharedSink) -> Result<M, String>,
    ) -> Result<Self, String> {
        let shared = Arc::new(Shared {
            how,
            unordered,
            state: Mutex::new(State {
                total: (items != u64::MAX).then_some(items),
                ..State::default()
            }),
            changed: Condvar::new(),
            started: Instant::now(),
        });
        let to = shared.clone();
        let mut moving = begin(Box::new(move |outcome: Outcome<'_>| to.take(outcome)))?;
        let hosted = moving.hosted();
        // The session's number comes first.
        let number = |handle: &Handle| handle.progress().map_or(0, |progress| progress.job);
        while number(hosted.handle()) == 0 {
            match hosted.step(-1) {
                Step::Going | Step::Waited => {}
                over => {
                    shared.end(over, hosted.handle());
                    let held = Arc::new(Held(0));
                    return Ok(Self { shared, held });
                }
            }
        }
        let job = number(hosted.handle());
        let held = Arc::new(Held(job));
        {
            let mut state = shared.lock();
            state.job = job;
            state.handle = Some(hosted.handle().clone());
        }
        let to = shared.clone();
        let spawned = std::thread::Builder::new()
            .name("job".to_owned())
            .spawn(move || {
                let hosted = moving.hosted();
                let over = hosted.run();
                to.end(over, hosted.handle());
            });
        spawned.map_err(|error| format!("the job has no thread to follow it: {error}"))?;
        Ok(Self { shared, held })
    }
}

impl<O> Shared<O> {
    fn end(&self, how: Step, handle: &Handle) {
        let times = handle.progress();
        let time = |of: fn(Progress) -> u64| Duration::from_nanos(times.map_or(0, of));
        let mut state = self.lock();
        state.handle = None;
        state.over = Some(Over {
            how,
            why: handle.failure(),
            wall: time(|times| times.wall),
            serial: time(|times| times.serial),
        });
        let bells = std::mem::take(&mut state.bells);
        drop(state);
        self.changed.notify_all();
        for bell in bells.iter().filter_map(Weak::upgrade) {
            bell.ring();
        }
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
        // One that ends beyond what the clock can tell has no end.
        let until = Instant::now().checked_add(timeout);
        self.shared.wait(until, |state| state.over.is_some())
    }

    /// Ends it: no new chunks are sent, and items that run come to their end. What is done stays.
    pub fn cancel(&self) {
        if let Some(handle) = &self.shared.lock().handle {
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

    /// Waits for the end and gives all results, in input order unless it was begun
    /// [`unordered`](crate::pool::PoolView::unordered), or why there are not all of them.
    ///
    /// # Errors
    /// The reason for which the map failed, or that it was cancelled.
    pub fn get(&self) -> Result<Vec<O>, String> {
        self.shared.wait(None, |state| state.over.is_some());
        let state = self.shared.lock();
        match &state.over {
            Some(over) if over.how != Step::Finished => Err(if over.why.is_empty() {
                "the job was cancelled; `job.partial()` gives what was done".to_owned()
            } else {
                over.why.clone()
            }),
            _ => {
                // Decoding is the user's code: it may look at the job itself.
                let came = state.came.clone();
                let order = self.shared.unordered.then(|| state.order.clone());
                let mut results = Vec::with_capacity(state.done as usize);
                drop(state);
                let mut add = |_, result| results.push(result);
                match order {
                    None => self.shared.all(&came, &mut add)?,
                    Some(order) => order
                        .iter()
                        .filter_map(|first| came.get_key_value(first))
                        .try_for_each(|(first, came)| self.shared.one(*first, came, &mut add))?,
                }
                Ok(results)
            }
        }
    }

    /// Waits for the end and gives the result of a job of one item, as [`crate::pool::submit`] begins one.
    ///
    /// # Errors
    /// As [`Job::get`], and when there is not one item.
    pub fn result(&self) -> Result<O, String> {
        let mut results = self.get()?;
        match (results.pop(), results.len()) {
            (Some(result), 0) => Ok(result),
            (None, _) => Err("the job has no items".to_owned()),
            (Some(_), others) => Err(format!(
                "the job has {} results: `job.get()` gives them",
                others + 1
            )),
        }
    }

    /// The results that are there, each with the index of its input, in the order of the inputs.
    ///
    /// # Panics
    /// When a result's own code cannot decode it.
    #[must_use]
    pub fn partial(&self) -> Vec<(u64, O)> {
        let came = self.shared.lock().came.clone();
        let mut results = Vec::new();
        let all = self
            .shared
            .all(&came, &mut |item, result| results.push((item, result)));
        assert!(all.is_ok(), "{UNDECODABLE}");
        results
    }

    /// All results as they arrive, each with the index of its input: those that are there, then those that
    /// come, until the job is over.
    pub fn arriving(&self) -> impl Iterator<Item = (u64, O)> + '_ {
        let mut next = 0;
        let mut decoded = VecDeque::new();
        std::iter::from_fn(move || {
            while decoded.is_empty() {
                let there = |state: &State| next < state.order.len() || state.over.is_some();
                self.shared.wait(None, there);
                let state = self.shared.lock();
                let first = *state.order.get(next)?;
                let came = state.came.get(&first)?.clone();
                drop(state);
                next += 1;
                let all = self.shared.decode(first, &came, &mut |item, result| {
                    decoded.push_back((item, result));
                });
                assert!(all, "{UNDECODABLE}");
            }
            decoded.pop_front()
        })
    }

    /// The rank of the engine that an item's result came from; `None` while it has none.
    #[must_use]
    pub fn engine_of(&self, item: u64) -> Option<u32> {
        let state = self.shared.lock();
        let (first, came) = state.came.range(..=item).next_back()?;
        match came {
            Came::Results { count, rank, .. } if item < first + count => Some(*rank),
            _ => None,
        }
    }

    /// Whether it has ended without its results.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        let state = self.shared.lock();
        let over = state.over.as_ref();
        over.is_some_and(|over| over.how == Step::Failed)
    }

    /// Rings when it is over.
    pub(crate) fn hang(&self, bell: &Arc<Bell>) {
        let mut state = self.shared.lock();
        state.bells.retain(|bell| bell.strong_count() > 0);
        state.bells.push(Arc::downgrade(bell));
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
