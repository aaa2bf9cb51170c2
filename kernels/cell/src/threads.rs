//! Maps on a thread pool: workers borrow inputs and closure, nothing is encoded. A map in the background owns what
//! its workers borrow.

use std::any::type_name;
use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use crate::catch::caught;
use crate::error::ItemError;
use crate::exchange::{Handle, Hosted, Movable, Outcome, panicked};
use crate::host::{
    Bytes, ChunkEnd, End, Lookups, Step, ThreadsCall, ThreadsTask, host, take_panic,
};
use crate::inputs::must_end;
use crate::job::{Decode, Job, SharedSink};
use crate::memo;
use crate::options::MapOptions;
use crate::pool::PoolView;
use crate::processes::{known, whole};

impl PoolView {
    /// A map on a thread pool.
    #[doc(hidden)]
    #[track_caller]
    pub fn on_threads<I, O, F>(&self, inputs: impl IntoIterator<Item = I>, f: F) -> Vec<O>
    where
        I: Send,
        O: Send + Sync,
        F: Fn(I) -> O + Sync,
    {
        self.threads(false, inputs, &f, &|_| {})
            .into_iter()
            .map(|result| result.expect("a map that does not collect errors has none"))
            .collect()
    }

    /// As [`Self::on_threads`], collecting errors.
    #[doc(hidden)]
    #[track_caller]
    pub fn try_on_threads<I, O, F>(
        &self,
        inputs: impl IntoIterator<Item = I>,
        f: F,
    ) -> Vec<Result<O, ItemError>>
    where
        I: Send,
        O: Send + Sync,
        F: Fn(I) -> O + Sync,
    {
        self.try_on_threads_begun(inputs, f, &|_| {})
    }

    /// The same; `begun` is given the map before its first item.
    #[track_caller]
    pub(crate) fn try_on_threads_begun<I, O, F>(
        &self,
        inputs: impl IntoIterator<Item = I>,
        f: F,
        begun: &dyn Fn(&Handle),
    ) -> Vec<Result<O, ItemError>>
    where
        I: Send,
        O: Send + Sync,
        F: Fn(I) -> O + Sync,
    {
        self.threads(true, inputs, &f, begun)
    }

    /// A reduction on a thread pool.
    #[doc(hidden)]
    #[track_caller]
    pub fn reduce_on_threads<I, O, F, P>(
        &self,
        inputs: impl IntoIterator<Item = I>,
        f: F,
        combine: P,
    ) -> Option<O>
    where
        I: Send,
        O: Send + Sync,
        F: Fn(I) -> O + Sync,
        P: Fn(O, O) -> O,
    {
        let mut ordered = self.clone();
        ordered.options.unordered = false;
        ordered.on_threads(inputs, f).into_iter().reduce(combine)
    }

    #[track_caller]
    fn threads<I, O, F>(
        &self,
        collect: bool,
        inputs: impl IntoIterator<Item = I>,
        f: &F,
        begun: &dyn Fn(&Handle),
    ) -> Vec<Result<O, ItemError>>
    where
        I: Send,
        O: Send + Sync,
        F: Fn(I) -> O + Sync,
    {
        let mut options = self.options.clone();
        options.collect = collect;
        let inputs = inputs.into_iter();
        must_end(&inputs, &options);
        let work = Work::new(&options, inputs, f, None);
        let mut hosted = match work.begin(&options) {
            Ok(hosted) => hosted,
            Err(why) => panic!("{why}"),
        };
        begun(hosted.handle());
        match hosted.run() {
            Step::Finished => {}
            // What is done is kept, and the rest is told to be missing.
            Step::Cancelled if collect => {}
            _ => known(hosted.handle().failure()),
        }
        drop(hosted);
        let results = Arc::into_inner(work.results).unwrap_or_default();
        let results: Vec<Option<_>> = results.into_iter().map(OnceLock::into_inner).collect();
        let arrived = work.arrived.map(|arrived| {
            let chunks = arrived.into_inner().unwrap_or_else(PoisonError::into_inner);
            chunks.into_iter().flatten().collect()
        });
        whole(results, arrived)
    }

    /// A map on a thread pool in the background.
    #[doc(hidden)]
    #[track_caller]
    pub fn start_on_threads<It, O, F>(&self, inputs: It, f: F) -> Job<O>
    where
        It: IntoIterator,
        It::Item: Send + 'static,
        O: Copies,
        F: Fn(It::Item) -> O + Send + Sync + 'static,
    {
        self.start_copying(inputs, f, |result: &O| Some(result.clone()))
    }

    /// As [`Self::start_on_threads`], collecting errors.
    #[doc(hidden)]
    #[track_caller]
    pub fn try_start_on_threads<It, O, F>(&self, inputs: It, f: F) -> Job<Result<O, ItemError>>
    where
        It: IntoIterator,
        It::Item: Send + 'static,
        O: Copies,
        F: Fn(It::Item) -> O + Send + Sync + 'static,
    {
        self.start_threads(true, inputs, f, |slots| {
            Box::new(move |item, _| slots.get(usize::try_from(item).ok()?)?.get().cloned())
        })
    }

    /// One call on a thread pool in the background.
    #[doc(hidden)]
    #[track_caller]
    pub fn submit_on_threads<O, F>(&self, f: F) -> Job<O>
    where
        O: Copies,
        F: Fn() -> O + Send + Sync + 'static,
    {
        self.clone().single().start_on_threads([()], move |()| f())
    }

    /// One call on each of these threads of a pool, in the background.
    #[doc(hidden)]
    #[track_caller]
    pub fn each_on_threads<O, F>(&self, f: F) -> Job<Result<O, ItemError>>
    where
        O: Copies,
        F: Fn() -> O + Send + Sync + 'static,
    {
        self.try_start_on_threads(self.options.ranks.clone(), move |_| f())
    }

    /// A map on a thread pool in the background. Each look at its results is at copies of them.
    #[track_caller]
    pub(crate) fn start_copying<It, O, F>(
        &self,
        inputs: It,
        f: F,
        copy: fn(&O) -> Option<O>,
    ) -> Job<O>
    where
        It: IntoIterator,
        It::Item: Send + 'static,
        O: Send + Sync + 'static,
        F: Fn(It::Item) -> O + Send + Sync + 'static,
    {
        self.start_threads(false, inputs, f, move |slots| {
            Box::new(move |item, _| {
                let slot = slots.get(usize::try_from(item).ok()?)?;
                copy(slot.get()?.as_ref().ok()?)
            })
        })
    }

    #[track_caller]
    fn start_threads<It, O, F, R>(
        &self,
        collect: bool,
        inputs: It,
        f: F,
        look: impl FnOnce(Slots<O>) -> Decode<R>,
    ) -> Job<R>
    where
        It: IntoIterator,
        It::Item: Send + 'static,
        O: Send + Sync + 'static,
        F: Fn(It::Item) -> O + Send + Sync + 'static,
        R: Send + 'static,
    {
        let mut options = self.options.clone();
        options.collect = collect;
        options.background = true;
        let inputs = inputs.into_iter();
        must_end(&inputs, &options);
        let mut work = Work::new(&options, inputs, f, None);
        let items = work.inputs.len() as u64;
        // Its errors stand among its results.
        let how = (look(work.results.clone()), None);
        let begun = Job::begin(items, how, options.unordered, |take| {
            work.take = Some(take);
            let work = Arc::new(work);
            let hosted = work.begin(&options)?;
            Ok(MovableWork { hosted, work })
        });
        match begun {
            Ok(job) => job,
            Err(why) => panic!("{why}"),
        }
    }
}

/// What a job on a thread pool can give again and again.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be copied for a job in the background",
    label = "is copied for the job",
    note = "such a job keeps copies of what its function captures and gives copies of its results: derive `Clone`, or put it in an `Arc`"
)]
pub trait Copies: Clone + Send + Sync + 'static {}

impl<T: Clone + Send + Sync + 'static> Copies for T {}

/// An input that exactly one worker takes out.
struct Input<I>(UnsafeCell<Option<I>>);

// SAFETY: the host hands each index to exactly one worker, so no two threads touch the same input.
unsafe impl<I: Send> Sync for Input<I> {}

/// By index, what has come of the inputs.
type Slots<O> = Arc<Vec<OnceLock<Result<O, ItemError>>>>;

/// What the workers of a map share.
struct Work<I, O, F> {
    inputs: Vec<Input<I>>,
    results: Slots<O>,
    f: F,
    collect: bool,
    seeded: bool,
    timed: bool,
    /// The items of each chunk in the order in which they were done, where that is the order of the results.
    arrived: Option<Mutex<Vec<Range<u64>>>>,
    /// Is told what has come of a job.
    take: Option<SharedSink>,
}

impl<I, O, F> Work<I, O, F>
where
    I: Send,
    O: Send + Sync,
    F: Fn(I) -> O + Sync,
{
    fn new(
        options: &MapOptions,
        inputs: impl IntoIterator<Item = I>,
        f: F,
        take: Option<SharedSink>,
    ) -> Self {
        let most = usize::try_from(options.most()).unwrap_or(usize::MAX);
        let inputs = inputs.into_iter().take(most);
        let inputs: Vec<Input<I>> = inputs
            .map(|input| Input(UnsafeCell::new(Some(input))))
            .collect();
        Self {
            results: Arc::new(inputs.iter().map(|_| OnceLock::new()).collect()),
            inputs,
            f,
            collect: options.collect,
            seeded: options.seed.is_some(),
            timed: options.items,
            arrived: options.unordered.then(Mutex::default),
            take,
        }
    }

    /// Begins the map, which must be dropped before this is touched again; an error says why it was refused.
    fn begin(&self, options: &MapOptions) -> Result<Hosted, String> {
        let options = options.to_bytes();
        let call = ThreadsCall {
            options: Bytes::of(&options),
            input_type: Bytes::of(type_name::<I>().as_bytes()),
            output_type: Bytes::of(type_name::<O>().as_bytes()),
            items: self.inputs.len() as u64,
            ctx: std::ptr::from_ref(self).cast_mut().cast(),
            run: run::<I, O, F>,
        };
        Hosted::of((host().threads_begin)(&raw const call))
    }
}

/// A map in the background, with what its workers work on.
pub(crate) struct MovableWork<W> {
    // Dropped first: it works on the other.
    pub hosted: Hosted,
    pub work: Arc<W>,
}

impl<W: Send + Sync> Movable for MovableWork<W> {
    fn hosted(&mut self) -> &mut Hosted {
        &mut self.hosted
    }
}

extern "C" fn run<I, O, F>(ctx: *mut c_void, task: *const ThreadsTask) -> ChunkEnd
where
    F: Fn(I) -> O,
{
    // SAFETY: `ctx` is the `Work` that the map was begun with, which is kept until the map has ended.
    let (work, task) = unsafe { (&*ctx.cast::<Work<I, O, F>>(), &*task) };
    // SAFETY: the host's words live for the call.
    let (at, stop) = unsafe { (&*task.at, &*task.stop) };
    let lookups = memo::lookups();
    let mut ended = ChunkEnd {
        done: 0,
        failed: 0,
        busy: 0,
        lookups: Lookups::default(),
        how: End::Finished,
    };
    let start = Instant::now();
    let mut began = start;
    while task.first + ended.done < task.end && ended.how == End::Finished {
        let applied = caught(&mut || {
            for index in task.first + ended.done..task.end {
                if stop.load(Relaxed) {
                    ended.how = End::Stopped;
                    return;
                }
                at.store(index + 1, Relaxed);
                // SAFETY: the host hands out each index once, so nobody else is at this input.
                let input = unsafe { (*work.inputs[index as usize].0.get()).take() };
                let Some(input) = input else { return };
                if work.seeded {
                    (host().item_begins)(index);
                }
                if work.timed {
                    began = Instant::now();
                }
                let result = (work.f)(input);
                if work.timed {
                    (host().item_ran)(0, nanoseconds(began));
                }
                let _ = work.results[index as usize].set(Ok(result));
                ended.done += 1;
            }
        });
        if applied {
            break;
        }
        if !work.collect {
            ended.how = End::Panicked;
            continue;
        }
        let item = task.first + ended.done;
        if work.timed {
            (host().item_ran)(0, nanoseconds(began));
        }
        let _ = work.results[item as usize].set(Err(panicked(item, take_panic())));
        ended.done += 1;
        ended.failed += 1;
    }
    ended.busy = nanoseconds(start);
    ended.lookups = memo::lookups().since(lookups);
    if let Some(arrived) = &work.arrived {
        let mut arrived = arrived.lock().unwrap_or_else(PoisonError::into_inner);
        arrived.push(task.first..task.first + ended.done);
    }
    if let Some(take) = work.take.as_ref().filter(|_| ended.done > 0) {
        take(Outcome::Results {
            first: task.first,
            count: ended.done,
            rank: task.rank,
            bytes: &[],
        });
    }
    ended
}

pub(crate) fn nanoseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
