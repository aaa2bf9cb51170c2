//! Parallel maps from code: `pool::map(inputs, f)` runs `f` on the engines of the pool in use, and
//! `pool("p0").chunk(8).map(inputs, f)` says which pool and how.
//!
//! On a process pool inputs and results travel by serde, and `f` must capture nothing: it is found again in
//! the other process by its address. What all items share goes once to each engine with [`map_with`]. On a
//! thread pool nothing is encoded.
//!
//! A map that fails (no pool, an item that panics, something that can't be encoded) panics with a message
//! that names the item; the cell ends with it and the session tells why.

use std::any::type_name;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::iter::FusedIterator;
use std::rc::Rc;
use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

use crate::captures::{Captured, Travels};
use crate::codec;
pub use crate::error::ItemError;
use crate::exchange::{Exchange, Iterated, News, Plan, Take, feed_of, length, tagged};
pub use crate::host::Schedule;
use crate::host::{Bytes, Describe, MapEnd, PoolKind, Step, Wish, host};
pub use crate::job::Job;
use crate::job::{Decode, How};
use crate::remote::{mapping, reducing};
use crate::threads;
pub use crate::together::{Grid, Zip, grid, zip};
pub use crate::waiting::{Until, Waited, as_completed, first_done, first_error, join, wait};
pub use crate::with::{map_iter_with, submit, submit_with};

/// Applies `f` to every input on the engines of the pool in use; results in input order.
#[track_caller]
pub fn map<I, O, F>(inputs: impl IntoIterator<Item = I>, f: F) -> Vec<O>
where
    I: Serialize + DeserializeOwned + Send,
    O: Serialize + DeserializeOwned + Send + Sync,
    F: Fn(I) -> O + Sync,
{
    Pool::default().map(inputs, f)
}

/// As [`map`], with a value that all items share: it goes to each engine once, and again only when it has
/// changed.
#[track_caller]
pub fn map_with<S, I, O, F>(shared: &S, inputs: impl IntoIterator<Item = I>, f: F) -> Vec<O>
where
    S: Serialize + DeserializeOwned + Sync,
    I: Serialize + DeserializeOwned + Send,
    O: Serialize + DeserializeOwned + Send + Sync,
    F: Fn(&S, I) -> O + Sync,
{
    Pool::default().map_with(shared, inputs, f)
}

/// Applies `f` to every input and combines the results with `op`, in input order; `None` without inputs.
/// `op` has to be associative, and need not be commutative.
#[track_caller]
pub fn reduce<I, O, F, P>(inputs: impl IntoIterator<Item = I>, f: F, op: P) -> Option<O>
where
    I: Serialize + DeserializeOwned + Send,
    O: Serialize + DeserializeOwned + Send + Sync,
    F: Fn(I) -> O + Sync,
    P: Fn(O, O) -> O + Sync,
{
    Pool::default().reduce(inputs, f, op)
}

/// Applies `f` to every input for what it does.
#[track_caller]
pub fn for_each<I, F>(inputs: impl IntoIterator<Item = I>, f: F)
where
    I: Serialize + DeserializeOwned + Send,
    F: Fn(I) + Sync,
{
    Pool::default().for_each(inputs, f);
}

/// The results as they arrive, each with the index of its input. Process pools only.
#[track_caller]
pub fn map_iter<'a, It, O, F>(inputs: It, f: F) -> MapIter<'a, O>
where
    It: IntoIterator,
    It::IntoIter: 'a,
    It::Item: Serialize + DeserializeOwned,
    O: Serialize + DeserializeOwned + 'a,
    F: Fn(It::Item) -> O,
{
    Pool::default().map_iter(inputs, f)
}

/// The pool of this name, and how a map is to run on it.
#[must_use]
pub fn pool(name: &str) -> Pool {
    Pool {
        name: name.to_owned(),
        ..Pool::default()
    }
}

/// How a map is to run: which pool, and the options of `%map`.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    name: String,
    function: String,
    ranks: Vec<u32>,
    chunk: u64,
    schedule: Schedule,
    timeout: Option<Duration>,
    retries: u32,
    seed: Option<u64>,
    unordered: bool,
    timed: bool,
    plan_only: bool,
    quiet: bool,
    single: bool,
    names: String,
}

impl Pool {
    /// Only the engines with these ranks.
    #[must_use]
    pub fn targets(mut self, ranks: &[u32]) -> Self {
        self.ranks = ranks.to_vec();
        self
    }

    /// Items per chunk; 0: it adapts to their time.
    #[must_use]
    pub fn chunk(mut self, items: u64) -> Self {
        self.chunk = items;
        self
    }

    /// How chunks are given to engines.
    #[must_use]
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// Results in the order in which they arrive.
    #[must_use]
    pub fn unordered(mut self) -> Self {
        self.unordered = true;
        self
    }

    /// How often an item that panicked is tried again.
    #[must_use]
    pub fn retries(mut self, times: u32) -> Self {
        self.retries = times;
        self
    }

    /// The most that one item may take; its engine is replaced then. Process pools only.
    #[must_use]
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = Some(time);
        self
    }

    /// Gives each item a random generator of its own, [`crate::engine::rng`], which depends on this number and
    /// the item alone.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Without plan, live table and report.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// What tables call the function. For the code that magics generate.
    #[doc(hidden)]
    #[must_use]
    pub fn shown(mut self, function: &str) -> Self {
        function.clone_into(&mut self.function);
        self
    }

    /// Times every item. For the code that magics generate.
    #[doc(hidden)]
    #[must_use]
    pub fn timed(mut self) -> Self {
        self.timed = true;
        self
    }

    /// Shows the plan and runs nothing. For the code that magics generate.
    #[doc(hidden)]
    #[must_use]
    pub fn plan_only(mut self) -> Self {
        self.plan_only = true;
        self
    }

    /// Its one item is the whole result.
    pub(crate) fn single(mut self) -> Self {
        self.single = true;
        self
    }

    /// Names and types of captured variables. For the code that magics generate.
    #[doc(hidden)]
    #[must_use]
    pub fn names(mut self, names: &str) -> Self {
        names.clone_into(&mut self.names);
        self
    }

    fn wish(&self) -> Wish {
        Wish {
            function: Bytes::of(self.function.as_bytes()),
            pool: Bytes::of(self.name.as_bytes()),
            ranks: self.ranks.as_ptr(),
            rank_count: self.ranks.len(),
            chunk: self.chunk,
            schedule: self.schedule,
            timeout: self.timeout.map_or(0, |time| {
                u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1)
            }),
            collect: false,
            timed: self.timed,
            background: false,
            plan_only: self.plan_only,
            quiet: self.quiet,
            single: self.single,
            has_seed: self.seed.is_some(),
            retries: self.retries,
            seed: self.seed.unwrap_or_default(),
        }
    }

    #[track_caller]
    pub(crate) fn kind(&self) -> PoolKind {
        let kind = (host().pool_kind)(Bytes::of(self.name.as_bytes()));
        match (kind, self.name.as_str()) {
            (PoolKind::None, "") => {
                panic!("no pool is started: `%pool start` starts one engine per core")
            }
            (PoolKind::None, name) => panic!("there is no pool `{name}`"),
            (kind, _) => kind,
        }
    }

    /// As [`map`].
    #[track_caller]
    pub fn map<I, O, F>(&self, inputs: impl IntoIterator<Item = I>, f: F) -> Vec<O>
    where
        I: Serialize + DeserializeOwned + Send,
        O: Serialize + DeserializeOwned + Send + Sync,
        F: Fn(I) -> O + Sync,
    {
        match self.kind() {
            PoolKind::Threads => self.on_threads(inputs, f),
            _ if self.unordered => self.unordered_on_processes((), inputs, move |()| f),
            _ => self.on_processes((), inputs, move |()| f),
        }
    }

    /// As [`map_with`].
    #[track_caller]
    pub fn map_with<S, I, O, F>(
        &self,
        shared: &S,
        inputs: impl IntoIterator<Item = I>,
        f: F,
    ) -> Vec<O>
    where
        S: Serialize + DeserializeOwned + Sync,
        I: Serialize + DeserializeOwned + Send,
        O: Serialize + DeserializeOwned + Send + Sync,
        F: Fn(&S, I) -> O + Sync,
    {
        match self.kind() {
            PoolKind::Threads => self.on_threads(inputs, |input| f(shared, input)),
            _ => {
                let maker = move |(shared,)| move |input| f(&shared, input);
                self.sharing::<S>().on_processes((shared,), inputs, maker)
            }
        }
    }

    /// As [`map`]; an item that panics, crashes or takes too long is an error in the place of its result.
    #[track_caller]
    pub fn try_map<I, O, F>(
        &self,
        inputs: impl IntoIterator<Item = I>,
        f: F,
    ) -> Vec<Result<O, ItemError>>
    where
        I: Serialize + DeserializeOwned + Send,
        O: Serialize + DeserializeOwned + Send + Sync,
        F: Fn(I) -> O + Sync,
    {
        match self.kind() {
            PoolKind::Threads => self.try_on_threads(inputs, f),
            _ => self.try_on_processes((), inputs, move |()| f),
        }
    }

    /// As [`reduce`].
    #[track_caller]
    pub fn reduce<I, O, F, P>(&self, inputs: impl IntoIterator<Item = I>, f: F, op: P) -> Option<O>
    where
        I: Serialize + DeserializeOwned + Send,
        O: Serialize + DeserializeOwned + Send + Sync,
        F: Fn(I) -> O + Sync,
        P: Fn(O, O) -> O + Sync,
    {
        match self.kind() {
            PoolKind::Threads => self.reduce_on_threads(inputs, f, op),
            _ => {
                let maker = move |()| (f, op);
                self.reduce_on_processes((), inputs, maker, |before, next| {
                    // SAFETY: `P` has no bytes, which `reducing` checks, so reading one touches no memory.
                    let op: P = unsafe { std::ptr::NonNull::dangling().read() };
                    op(before, next)
                })
            }
        }
    }

    /// As [`for_each`].
    #[track_caller]
    pub fn for_each<I, F>(&self, inputs: impl IntoIterator<Item = I>, f: F)
    where
        I: Serialize + DeserializeOwned + Send,
        F: Fn(I) + Sync,
    {
        self.map(inputs, f);
    }

    /// As [`map_iter`].
    #[track_caller]
    pub fn map_iter<'a, It, O, F>(&self, inputs: It, f: F) -> MapIter<'a, O>
    where
        It: IntoIterator,
        It::IntoIter: 'a,
        It::Item: Serialize + DeserializeOwned,
        O: Serialize + DeserializeOwned + 'a,
        F: Fn(It::Item) -> O,
    {
        self.iter_on_processes((), inputs, move |()| f)
    }

    /// As [`Self::map_iter`]; `maker` makes the function from the captured variables.
    #[track_caller]
    pub(crate) fn iter_on_processes<'a, C, It, O, M, F>(
        &self,
        captured: C,
        inputs: It,
        maker: M,
    ) -> MapIter<'a, O>
    where
        C: Captured + 'a,
        It: IntoIterator,
        It::IntoIter: 'a,
        It::Item: Serialize + DeserializeOwned,
        O: Serialize + DeserializeOwned + 'a,
        M: FnOnce(C::Owned) -> F,
        F: Fn(It::Item) -> O,
    {
        if self.kind() == PoolKind::Threads {
            panic!("the results of a thread pool come all at once: `pool::map`");
        }
        let describe = described::<C, _, _, It::Item, O>(maker);
        let arrived = Rc::new(RefCell::new(VecDeque::new()));
        let to = arrived.clone();
        let mut plan = self.plan::<_, _, O>(
            self.wish(),
            captured,
            inputs.into_iter(),
            describe,
            Box::new(move |news| {
                each(news, &mut |item, result| {
                    to.borrow_mut().push_back((item, result))
                })
            }),
        );
        plan.ordered = false;
        MapIter {
            exchange: begun(plan),
            arrived,
            over: false,
        }
    }

    /// Begins a map and does not wait for it. Process pools only.
    #[track_caller]
    pub fn start<It, O, F>(&self, inputs: It, f: F) -> Job<O>
    where
        It: IntoIterator,
        It::IntoIter: Send + 'static,
        It::Item: Serialize + DeserializeOwned,
        O: Serialize + DeserializeOwned + Send + 'static,
        F: Fn(It::Item) -> O,
    {
        self.must_be_processes("a map on a thread pool cannot go on in the background");
        self.start_on_processes((), inputs, move |()| f)
    }

    /// A map as it will be asked for; results are taken in the order of their inputs.
    fn plan<'a, C, It, O>(
        &self,
        wish: Wish,
        captured: C,
        inputs: It,
        describe: Describe,
        take: Take<'a>,
    ) -> Plan<'a>
    where
        C: Captured + 'a,
        It: Iterator + 'a,
        It::Item: Serialize,
    {
        Plan {
            wish,
            items: length(&inputs),
            input_type: type_name::<It::Item>(),
            output_type: type_name::<O>(),
            describe,
            names: self.names.clone(),
            feed: feed_of(captured),
            source: Box::new(Iterated(inputs)),
            take,
            ordered: true,
        }
    }

    /// A map on a process pool; `maker` makes the function from the captured variables.
    #[doc(hidden)]
    #[track_caller]
    pub fn on_processes<C, I, O, M, F>(
        &self,
        captured: C,
        inputs: impl IntoIterator<Item = I>,
        maker: M,
    ) -> Vec<O>
    where
        C: Captured,
        I: Serialize + DeserializeOwned,
        O: Serialize + DeserializeOwned,
        M: FnOnce(C::Owned) -> F,
        F: Fn(I) -> O,
    {
        self.gathered(captured, inputs, maker, true)
    }

    /// As [`Self::on_processes`], in the order of arrival.
    #[doc(hidden)]
    #[track_caller]
    pub fn unordered_on_processes<C, I, O, M, F>(
        &self,
        captured: C,
        inputs: impl IntoIterator<Item = I>,
        maker: M,
    ) -> Vec<O>
    where
        C: Captured,
        I: Serialize + DeserializeOwned,
        O: Serialize + DeserializeOwned,
        M: FnOnce(C::Owned) -> F,
        F: Fn(I) -> O,
    {
        self.gathered(captured, inputs, maker, false)
    }

    #[track_caller]
    fn gathered<C, I, O, M, F>(
        &self,
        captured: C,
        inputs: impl IntoIterator<Item = I>,
        maker: M,
        ordered: bool,
    ) -> Vec<O>
    where
        C: Captured,
        I: Serialize + DeserializeOwned,
        O: Serialize + DeserializeOwned,
        M: FnOnce(C::Owned) -> F,
        F: Fn(I) -> O,
    {
        let describe = described::<C, _, _, I, O>(maker);
        let inputs = inputs.into_iter();
        let mut results = Vec::with_capacity(room(length(&inputs)));
        let take = |news: News<'_>| match news {
            News::Results {
                count, mut bytes, ..
            } => codec::take_many(count as usize, &mut bytes, &mut results).is_ok(),
            News::Failed(_) => true,
        };
        let wish = self.wish();
        let mut plan = self.plan::<_, _, O>(wish, captured, inputs, describe, Box::new(take));
        plan.ordered = ordered;
        follow(plan);
        results
    }

    /// As [`Self::on_processes`], collecting errors.
    #[doc(hidden)]
    #[track_caller]
    pub fn try_on_processes<C, I, O, M, F>(
        &self,
        captured: C,
        inputs: impl IntoIterator<Item = I>,
        maker: M,
    ) -> Vec<Result<O, ItemError>>
    where
        C: Captured,
        I: Serialize + DeserializeOwned,
        O: Serialize + DeserializeOwned,
        M: FnOnce(C::Owned) -> F,
        F: Fn(I) -> O,
    {
        let describe = described::<C, _, _, I, O>(maker);
        let mut results = Vec::new();
        let mut arrived = Vec::new();
        let unordered = self.unordered;
        let take = |news: News<'_>| match news {
            News::Results {
                first,
                count,
                mut bytes,
                ..
            } => (first..first + count).all(|item| {
                arrived.extend(unordered.then_some(item));
                let result = tagged(item, &mut bytes);
                result.is_some_and(|result| place(&mut results, item, result))
            }),
            News::Failed(error) => {
                arrived.extend(unordered.then_some(error.item()));
                place(&mut results, error.item(), Err(error.clone()))
            }
        };
        let mut wish = self.wish();
        wish.collect = true;
        let mut plan =
            self.plan::<_, _, O>(wish, captured, inputs.into_iter(), describe, Box::new(take));
        plan.ordered = false;
        let all = plan.items;
        let mut exchange = begun(plan);
        match exchange.run() {
            Step::Finished => drop(exchange),
            // What is done is kept, and the rest is told to be missing.
            Step::Cancelled => {
                drop(exchange);
                if all <= MOST_CANCELLED {
                    let all = results.len().max(all as usize);
                    results.resize_with(all, || None);
                }
            }
            _ => known(exchange.handle().failure()),
        }
        let whole =
            |(item, result): (u64, Option<_>)| result.unwrap_or(Err(ItemError::Cancelled { item }));
        if !unordered {
            return (0..).zip(results).map(whole).collect();
        }
        let mut missing: Vec<u64> = (0..)
            .zip(&results)
            .filter(|(_, result)| result.is_none())
            .map(|(item, _)| item)
            .collect();
        // What did not arrive comes last.
        arrived.append(&mut missing);
        arrived
            .into_iter()
            .filter_map(|item| Some((item, results.get_mut(usize::try_from(item).ok()?)?.take())))
            .map(whole)
            .collect()
    }

    /// A reduction on a process pool; `maker` makes both functions.
    #[doc(hidden)]
    #[track_caller]
    pub fn reduce_on_processes<C, I, O, M, F, P>(
        &self,
        captured: C,
        inputs: impl IntoIterator<Item = I>,
        maker: M,
        combine: impl Fn(O, O) -> O,
    ) -> Option<O>
    where
        C: Captured,
        I: Serialize + DeserializeOwned,
        O: Serialize + DeserializeOwned,
        M: FnOnce(C::Owned) -> (F, P),
        F: Fn(I) -> O,
        P: Fn(O, O) -> O,
    {
        std::mem::forget(maker);
        // One of each chunk, in order.
        let mut parts: Vec<O> = Vec::new();
        let take = |news: News<'_>| match news {
            News::Results { mut bytes, .. } => codec::take_many(1, &mut bytes, &mut parts).is_ok(),
            News::Failed(_) => true,
        };
        let describe = reducing::<C, M, F, P, I, O>;
        follow(self.plan::<_, _, O>(
            self.wish(),
            captured,
            inputs.into_iter(),
            describe,
            Box::new(take),
        ));
        parts.into_iter().reduce(combine)
    }

    /// A map on a thread pool.
    #[doc(hidden)]
    #[track_caller]
    pub fn on_threads<I, O, F>(&self, inputs: impl IntoIterator<Item = I>, f: F) -> Vec<O>
    where
        I: Send,
        O: Send + Sync,
        F: Fn(I) -> O + Sync,
    {
        self.threads(self.wish(), inputs, &f)
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
        let mut wish = self.wish();
        wish.collect = true;
        self.threads(wish, inputs, &f)
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
        self.on_threads(inputs, f).into_iter().reduce(combine)
    }

    #[track_caller]
    fn threads<I, O, F>(
        &self,
        wish: Wish,
        inputs: impl IntoIterator<Item = I>,
        f: &F,
    ) -> Vec<Result<O, ItemError>>
    where
        I: Send,
        O: Send + Sync,
        F: Fn(I) -> O + Sync,
    {
        match threads::run(wish, inputs, f) {
            Ok(results) => results,
            Err((MapEnd::Refused, why)) => panic!("{why}"),
            Err((_, why)) => known(why),
        }
    }

    /// A map in the background; `maker` makes the function from the captured variables.
    #[doc(hidden)]
    #[track_caller]
    pub fn start_on_processes<C, It, O, M, F>(&self, captured: C, inputs: It, maker: M) -> Job<O>
    where
        C: Captured,
        It: IntoIterator,
        It::IntoIter: Send + 'static,
        It::Item: Serialize + DeserializeOwned,
        O: Serialize + DeserializeOwned + Send + 'static,
        M: FnOnce(C::Owned) -> F,
        F: Fn(It::Item) -> O,
    {
        let describe = described::<C, _, _, It::Item, O>(maker);
        let whole = |_: u64, bytes: &mut &[u8]| codec::take(bytes, codec::form::<O>()).ok();
        self.start_job::<C, It, O, O>(captured, inputs, describe, (whole, None))
    }

    /// As [`Self::start_on_processes`], collecting errors.
    #[doc(hidden)]
    #[track_caller]
    pub fn try_start_on_processes<C, It, O, M, F>(
        &self,
        captured: C,
        inputs: It,
        maker: M,
    ) -> Job<Result<O, ItemError>>
    where
        C: Captured,
        It: IntoIterator,
        It::IntoIter: Send + 'static,
        It::Item: Serialize + DeserializeOwned,
        O: Serialize + DeserializeOwned + Send + 'static,
        M: FnOnce(C::Owned) -> F,
        F: Fn(It::Item) -> O,
    {
        let describe = described::<C, _, _, It::Item, O>(maker);
        let how = (tagged::<O> as Decode<_>, Some(Err as fn(ItemError) -> _));
        self.start_job::<C, It, Result<O, ItemError>, O>(captured, inputs, describe, how)
    }

    #[track_caller]
    fn start_job<C, It, O, R>(
        &self,
        captured: C,
        inputs: It,
        describe: Describe,
        how: How<O>,
    ) -> Job<O>
    where
        C: Captured,
        It: IntoIterator,
        It::IntoIter: Send + 'static,
        It::Item: Serialize,
        O: Send + 'static,
    {
        let mut wish = self.wish();
        wish.background = true;
        wish.collect = how.1.is_some();
        // What is captured is handed over now: its variables may change while the job runs.
        let kept = crate::captures::Kept::of(&captured);
        // Set by the job.
        let take = Box::new(|_: News<'_>| false);
        let plan = self.plan::<_, _, R>(wish, kept, inputs.into_iter(), describe, take);
        match Job::begin(plan, how) {
            Ok(job) => job,
            Err(why) => panic!("{why}"),
        }
    }
}

/// A cancelled map of more inputs has no errors for those that were not even pulled.
const MOST_CANCELLED: u64 = 10_000_000;

/// Results that room is made for before they come.
const ROOM: u64 = 1 << 24;

fn room(items: u64) -> usize {
    if items < ROOM { items as usize } else { 0 }
}

/// How other processes find the function that `maker` makes.
fn described<C, M, F, I, O>(maker: M) -> Describe
where
    C: Captured,
    M: FnOnce(C::Owned) -> F,
    F: Fn(I) -> O,
    I: DeserializeOwned,
    O: Serialize,
{
    std::mem::forget(maker);
    mapping::<C, M, F, I, O>
}

/// Ends the cell for a reason that the session knows already.
fn known(why: String) -> ! {
    // Not a panic of the user's code: no hook, no message.
    std::panic::resume_unwind(Box::new(why))
}

#[track_caller]
fn begun(plan: Plan<'_>) -> Exchange<'_> {
    match Exchange::begin(plan) {
        Ok(exchange) => exchange,
        Err(why) => panic!("{why}"),
    }
}

/// A map from its begin to its end.
#[track_caller]
fn follow(plan: Plan<'_>) {
    let mut exchange = begun(plan);
    if exchange.run() != Step::Finished {
        known(exchange.handle().failure());
    }
}

/// Decodes results one by one, each with the index of its input.
fn each<O: DeserializeOwned>(news: News<'_>, to: &mut dyn FnMut(u64, O)) -> bool {
    let News::Results {
        first,
        count,
        mut bytes,
        ..
    } = news
    else {
        return true;
    };
    let form = codec::form::<O>();
    (first..first + count).all(|item| match codec::take(&mut bytes, form) {
        Ok(result) => {
            to(item, result);
            true
        }
        Err(_) => false,
    })
}

/// Puts a result where its input stands.
fn place<R>(results: &mut Vec<Option<R>>, item: u64, result: R) -> bool {
    let item = item as usize;
    if results.len() <= item {
        results.resize_with(item + 1, || None);
    }
    results[item] = Some(result);
    true
}

/// The results of a map as they arrive; see [`map_iter`].
pub struct MapIter<'a, O> {
    exchange: Exchange<'a>,
    arrived: Rc<RefCell<VecDeque<(u64, O)>>>,
    over: bool,
}

impl<O> Iterator for MapIter<'_, O> {
    type Item = (u64, O);

    fn next(&mut self) -> Option<(u64, O)> {
        loop {
            let next = self.arrived.borrow_mut().pop_front();
            if next.is_some() || self.over {
                return next;
            }
            match self.exchange.step(-1) {
                Step::Going | Step::Waited => {}
                Step::Finished => self.over = true,
                Step::Failed | Step::Cancelled => known(self.exchange.handle().failure()),
            }
        }
    }
}

impl<O> FusedIterator for MapIter<'_, O> {}

/// Checked where captured variables are handed over, so that the error names the variable.
#[doc(hidden)]
pub fn travels<T: Travels>(_: &T) {}
