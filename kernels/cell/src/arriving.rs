//! The results of a map on a thread pool as they arrive: whoever takes them gives the inputs meanwhile, no further
//! ahead of its threads than they need. The threads own what they work on, so that nothing is borrowed by a map that
//! is forgotten.

use std::any::type_name;
use std::collections::VecDeque;
use std::ffi::c_void;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::catch::caught;
use crate::exchange::Hosted;
use crate::host::{Bytes, ChunkEnd, End, Lookups, Step, ThreadsCall, ThreadsTask, host};
use crate::memo;
use crate::pool::PoolView;
use crate::processes::known;
use crate::threads::{MovableWork, nanoseconds};

/// A thread that waits for an input looks this often whether it should still.
const LOOK: Duration = Duration::from_millis(50);

/// Inputs for each thread that are there before they are needed; twice as many each time that one waits for them.
const AHEAD: u64 = 2;
const MOST_AHEAD: u64 = 1024;

impl PoolView {
    /// As [`Self::map_iter`] on a thread pool.
    #[track_caller]
    pub(crate) fn iter_on_threads<'a, It, O, F>(
        &self,
        inputs: It,
        f: F,
    ) -> Box<dyn Iterator<Item = (u64, O)> + 'a>
    where
        It: Iterator + 'a,
        It::Item: Send + 'static,
        O: Send + 'static,
        F: Fn(It::Item) -> O + Send + Sync + 'static,
    {
        let work = Arc::new(Work {
            f,
            seeded: self.options.seed.is_some(),
            state: Mutex::default(),
            given: Condvar::new(),
            came: Condvar::new(),
        });
        let begun = work.begin(self).and_then(|hosted| {
            let mut moving = MovableWork {
                hosted,
                work: work.clone(),
            };
            let follow = move || {
                // All of it, not only the part that is used.
                let moving = &mut moving;
                let over = moving.hosted.run();
                moving.work.ends(over, moving.hosted.handle().failure());
            };
            let spawned = std::thread::Builder::new()
                .name("map".to_owned())
                .spawn(follow);
            let thread =
                spawned.map_err(|error| format!("the map has no thread to follow it: {error}"))?;
            Ok(thread)
        });
        let thread = match begun {
            Ok(thread) => Some(thread),
            Err(why) => panic!("{why}"),
        };
        let most = usize::try_from(self.options.most()).unwrap_or(usize::MAX);
        let mut arriving = Arriving {
            inputs: Some(inputs.take(most)),
            ahead: AHEAD * self.options.chunk.unwrap_or(1).clamp(1, 1 << 32),
            work,
            thread,
        };
        // They begin before anybody asks for their results.
        arriving.give();
        Box::new(arriving)
    }
}

/// What the threads share with whoever takes the results.
struct Work<I, O, F> {
    f: F,
    seeded: bool,
    state: Mutex<State<I, O>>,
    /// An input, or that no more come.
    given: Condvar,
    /// A result, the end, or a thread.
    came: Condvar,
}

struct State<I, O> {
    /// The first of them has the index `next`; `None`: a thread has it.
    inputs: VecDeque<Option<I>>,
    next: u64,
    /// No more come.
    exhausted: bool,
    /// Nobody takes the results any more.
    dropped: bool,
    /// Inputs that no thread has.
    waiting: u64,
    /// Threads that have been seen.
    threads: u64,
    arrived: VecDeque<(u64, O)>,
    /// Somebody waits for results, or for what else there is to do.
    awaited: bool,
    /// A thread waits for an input, and was not told of one since.
    idle: bool,
    over: Option<(Step, String)>,
}

impl<I, O> Default for State<I, O> {
    fn default() -> Self {
        Self {
            inputs: VecDeque::new(),
            next: 0,
            exhausted: false,
            dropped: false,
            waiting: 0,
            threads: 1,
            arrived: VecDeque::new(),
            awaited: false,
            idle: false,
            over: None,
        }
    }
}

impl<I, O> State<I, O> {
    fn take(&mut self, item: u64) -> Option<I> {
        let place = usize::try_from(item.checked_sub(self.next)?).ok()?;
        let input = self.inputs.get_mut(place)?.take()?;
        self.waiting -= 1;
        while let Some(None) = self.inputs.front() {
            self.inputs.pop_front();
            self.next += 1;
        }
        Some(input)
    }
}

impl<I, O, F> Work<I, O, F> {
    fn lock(&self) -> MutexGuard<'_, State<I, O>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ends(&self, how: Step, why: String) {
        self.lock().over = Some((how, why));
        self.came.notify_all();
    }

    /// The input of this index, which is waited for; or why there is none.
    fn input(&self, item: u64, task: &ThreadsTask) -> Result<I, End> {
        let mut state = self.lock();
        let rank = u64::from(task.rank);
        if state.threads <= rank {
            state.threads = rank + 1;
            self.came.notify_all();
        }
        loop {
            // SAFETY: the host's words live for the call.
            if state.dropped || unsafe { &*task.stop }.load(Relaxed) {
                return Err(End::Stopped);
            }
            if let Some(input) = state.take(item) {
                return Ok(input);
            }
            if state.exhausted {
                return Err(End::Finished);
            }
            state.idle = true;
            state = self
                .given
                .wait_timeout(state, LOOK)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

impl<I, O, F> Work<I, O, F>
where
    I: Send + 'static,
    O: Send + 'static,
    F: Fn(I) -> O + Send + Sync + 'static,
{
    /// Begins the map, which must be dropped before this is; an error says why it was refused.
    fn begin(&self, pool: &PoolView) -> Result<Hosted, String> {
        let options = pool.options.to_bytes();
        let call = ThreadsCall {
            options: Bytes::of(&options),
            input_type: Bytes::of(type_name::<I>().as_bytes()),
            output_type: Bytes::of(type_name::<O>().as_bytes()),
            items: u64::MAX,
            ctx: std::ptr::from_ref(self).cast_mut().cast(),
            run: run::<I, O, F>,
        };
        Hosted::of((host().threads_begin)(&raw const call))
    }
}

extern "C" fn run<I, O, F>(ctx: *mut c_void, task: *const ThreadsTask) -> ChunkEnd
where
    F: Fn(I) -> O,
{
    // SAFETY: `ctx` is the `Work` that the map was begun with, which is kept until the map has ended; so are the
    // host's words for the call.
    let (work, task) = unsafe { (&*ctx.cast::<Work<I, O, F>>(), &*task) };
    let lookups = memo::lookups();
    let mut ended = ChunkEnd {
        done: 0,
        failed: 0,
        busy: 0,
        lookups: Lookups::default(),
        how: End::Finished,
    };
    for item in task.first..task.end {
        let input = match work.input(item, task) {
            Ok(input) => input,
            Err(why) => {
                ended.how = why;
                break;
            }
        };
        // SAFETY: as above.
        unsafe { &*task.at }.store(item + 1, Relaxed);
        if work.seeded {
            (host().item_begins)(item);
        }
        let start = Instant::now();
        let (mut input, mut result) = (Some(input), None);
        let applied = caught(&mut || result = input.take().map(|input| (work.f)(input)));
        ended.busy += nanoseconds(start);
        let Some(result) = result.filter(|_| applied) else {
            ended.how = End::Panicked;
            break;
        };
        ended.done += 1;
        let mut state = work.lock();
        state.arrived.push_back((item, result));
        let is_awaited = std::mem::take(&mut state.awaited);
        drop(state);
        if is_awaited {
            work.came.notify_all();
        }
    }
    ended.lookups = memo::lookups().since(lookups);
    ended
}

/// Whoever takes the results.
struct Arriving<It, I, O, F> {
    /// `None`: all are given.
    inputs: Option<It>,
    /// Inputs for each thread that are there before they are needed.
    ahead: u64,
    work: Arc<Work<I, O, F>>,
    thread: Option<JoinHandle<()>>,
}

impl<It: Iterator<Item = I>, I, O, F> Arriving<It, I, O, F> {
    /// Whether another input should be given now.
    fn wants(&self, state: &State<I, O>) -> bool {
        let ahead = self.ahead.saturating_mul(state.threads);
        // Of results that nobody takes there are no more than of inputs.
        self.inputs.is_some() && state.waiting < ahead && (state.arrived.len() as u64) < 2 * ahead
    }

    /// One more input; not while others are at work with the state, since it is the user's code that makes it.
    fn give(&mut self) {
        let input = self.inputs.as_mut().and_then(Iterator::next);
        let mut state = self.work.lock();
        let mut is_awaited = std::mem::take(&mut state.idle);
        match input {
            Some(input) => {
                state.inputs.push_back(Some(input));
                state.waiting += 1;
            }
            None => {
                state.exhausted = true;
                self.inputs = None;
                is_awaited = true;
            }
        }
        drop(state);
        if is_awaited {
            // Each waits for an input of its own.
            self.work.given.notify_all();
        }
    }
}

impl<It: Iterator<Item = I>, I, O, F> Iterator for Arriving<It, I, O, F> {
    type Item = (u64, O);

    fn next(&mut self) -> Option<(u64, O)> {
        // The threads do not wait for inputs because there are results.
        for _ in 0..2 {
            if self.wants(&self.work.lock()) {
                self.give();
            }
        }
        loop {
            let work = self.work.clone();
            let mut state = work.lock();
            if let Some(arrived) = state.arrived.pop_front() {
                return Some(arrived);
            }
            if let Some((how, why)) = &state.over {
                let (how, why) = (*how, why.clone());
                drop(state);
                match how {
                    Step::Finished => return None,
                    _ => known(why),
                }
            }
            if self.inputs.is_some() && state.idle {
                self.ahead = self.ahead.max((2 * self.ahead).min(MOST_AHEAD));
            }
            if self.wants(&state) {
                drop(state);
                self.give();
                continue;
            }
            state.awaited = true;
            drop(
                work.came
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
            );
        }
    }
}

impl<It, I, O, F> Drop for Arriving<It, I, O, F> {
    fn drop(&mut self) {
        // A map of which no more is wanted is over, and not a failure beside one that may have brought this about.
        self.work.lock().dropped = true;
        self.work.given.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
