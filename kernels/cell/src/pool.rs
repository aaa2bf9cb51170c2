//! Parallel maps from code: `pool::map(inputs, f)` runs `f` on the engines of the pool in use, and
//! `pool("p0").chunk(8).map(inputs, f)` says which pool and how.
//!
//! On a process pool inputs and results travel by serde, and `f` must capture nothing: it is found again in
//! the other process by its address. What all items share goes once to each engine with [`map_with`]. On a
//! thread pool nothing is encoded.
//!
//! A map that fails (no pool, an item that panics, something that can't be encoded) panics with a message
//! that names the item; the cell ends with it and the session tells why.

use std::time::Duration;

use crate::checks::{Exchanged, Travels};
use crate::codec;
pub use crate::error::ItemError;
use crate::host::{Bytes, PoolKind, host};
pub use crate::job::Job;
use crate::options::MapOptions;
pub use crate::options::Schedule;
pub use crate::processes::MapIter;
pub use crate::together::{Grid, Zip, grid, zip};
pub use crate::waiting::{Until, Waited, as_completed, first_done, first_error, join, wait};
pub use crate::with::{map_iter_with, submit, submit_with};

/// Applies `f` to every input on the engines of the pool in use; results in input order.
#[track_caller]
pub fn map<I, O, F>(inputs: impl IntoIterator<Item = I>, f: F) -> Vec<O>
where
    I: Exchanged + Send,
    O: Exchanged + Send + Sync,
    F: Fn(I) -> O + Sync,
{
    PoolView::default().map(inputs, f)
}

/// As [`map`], with a value that all items share: it goes to each engine once, and again only when it has
/// changed.
#[track_caller]
pub fn map_with<S, I, O, F>(shared: &S, inputs: impl IntoIterator<Item = I>, f: F) -> Vec<O>
where
    S: Exchanged + Sync,
    I: Exchanged + Send,
    O: Exchanged + Send + Sync,
    F: Fn(&S, I) -> O + Sync,
{
    PoolView::default().map_with(shared, inputs, f)
}

/// Applies `f` to every input and combines the results with `op`, in input order; `None` without inputs.
/// `op` has to be associative, and need not be commutative.
#[track_caller]
pub fn reduce<I, O, F, P>(inputs: impl IntoIterator<Item = I>, f: F, op: P) -> Option<O>
where
    I: Exchanged + Send,
    O: Exchanged + Send + Sync,
    F: Fn(I) -> O + Sync,
    P: Fn(O, O) -> O + Sync,
{
    PoolView::default().reduce(inputs, f, op)
}

/// Applies `f` to every input for what it does.
#[track_caller]
pub fn for_each<I, F>(inputs: impl IntoIterator<Item = I>, f: F)
where
    I: Exchanged + Send,
    F: Fn(I) + Sync,
{
    PoolView::default().for_each(inputs, f);
}

/// The results as they arrive, each with the index of its input. Inputs are taken while results are, no further
/// ahead than the engines need: there may be any number of them.
#[track_caller]
pub fn map_iter<'a, It, O, F>(inputs: It, f: F) -> MapIter<'a, O>
where
    It: IntoIterator,
    It::IntoIter: 'a,
    It::Item: Exchanged + Send + 'static,
    O: Exchanged + Send + 'static,
    F: Fn(It::Item) -> O + Send + Sync + 'static,
{
    PoolView::default().map_iter(inputs, f)
}

/// The pool of this name, and how a map is to run on it.
#[must_use]
pub fn pool(name: &str) -> PoolView {
    let mut pool = PoolView::default();
    pool.options.pool = (!name.is_empty()).then(|| name.to_owned());
    pool
}

/// How a map is to run: which pool, and the options of `%map`.
#[derive(Clone, Debug, Default)]
pub struct PoolView {
    pub(crate) options: MapOptions,
}

impl PoolView {
    /// For shell commands: each goes to whoever is free, as nothing says how long the next one will take.
    pub(crate) fn of_commands() -> Self {
        let mut view = Self::default();
        (view.options.chunk, view.options.commands) = (Some(1), true);
        view
    }

    /// Only the engines with these ranks.
    #[must_use]
    pub fn targets(mut self, ranks: &[u32]) -> Self {
        self.options.ranks = ranks.to_vec();
        self
    }

    /// Items per chunk; 0: it adapts to their time.
    #[must_use]
    pub fn chunk(mut self, items: u64) -> Self {
        self.options.chunk = (items > 0).then_some(items);
        self
    }

    /// How chunks are given to engines.
    #[must_use]
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.options.schedule = schedule;
        self
    }

    /// Results in the order in which they arrive.
    #[must_use]
    pub fn unordered(mut self) -> Self {
        self.options.unordered = true;
        self
    }

    /// How often an item that panicked is tried again.
    #[must_use]
    pub fn retries(mut self, times: u32) -> Self {
        self.options.retries = times;
        self
    }

    /// The most that one item may take; its engine is replaced then. Process pools only.
    #[must_use]
    pub fn timeout(mut self, time: Duration) -> Self {
        self.options.timeout = Some(time);
        self
    }

    /// Gives each item a random generator of its own, [`crate::engine::rng`], which depends on this number and
    /// the item alone.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.options.seed = Some(seed);
        self
    }

    /// Without plan, live table and report.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.options.quiet = true;
        self
    }

    /// Its one item is the whole result.
    pub(crate) fn single(mut self) -> Self {
        self.options.single = true;
        self
    }

    /// Empty: the one in use.
    fn name(&self) -> &str {
        self.options.pool.as_deref().unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn kind(&self) -> PoolKind {
        let kind = (host().pool_kind)(Bytes::of(self.name().as_bytes()));
        match (kind, self.name()) {
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
        I: Exchanged + Send,
        O: Exchanged + Send + Sync,
        F: Fn(I) -> O + Sync,
    {
        match self.kind() {
            PoolKind::Threads => self.on_threads(inputs, f),
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
        S: Exchanged + Sync,
        I: Exchanged + Send,
        O: Exchanged + Send + Sync,
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
        I: Exchanged + Send,
        O: Exchanged + Send + Sync,
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
        I: Exchanged + Send,
        O: Exchanged + Send + Sync,
        F: Fn(I) -> O + Sync,
        P: Fn(O, O) -> O + Sync,
    {
        match self.kind() {
            PoolKind::Threads => self.reduce_on_threads(inputs, f, op),
            _ => self.reduce_both_on_processes(inputs, move |()| (f, op)),
        }
    }

    /// As [`for_each`].
    #[track_caller]
    pub fn for_each<I, F>(&self, inputs: impl IntoIterator<Item = I>, f: F)
    where
        I: Exchanged + Send,
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
        It::Item: Exchanged + Send + 'static,
        O: Exchanged + Send + 'static,
        F: Fn(It::Item) -> O + Send + Sync + 'static,
    {
        match self.kind() {
            PoolKind::Threads => MapIter(self.iter_on_threads(inputs.into_iter(), f)),
            _ => self.iter_on_processes((), inputs, move |()| f),
        }
    }

    /// Begins a map and does not wait for it.
    #[track_caller]
    pub fn start<It, O, F>(&self, inputs: It, f: F) -> Job<O>
    where
        It: IntoIterator,
        It::IntoIter: Send + 'static,
        It::Item: Exchanged + Send + 'static,
        O: Exchanged + Send + Sync + 'static,
        F: Fn(It::Item) -> O + Send + Sync + 'static,
    {
        match self.kind() {
            PoolKind::Threads => self.start_copying(inputs, f, codec::copy),
            _ => self.start_on_processes((), inputs, move |()| f),
        }
    }
}

/// Checked where captured variables are handed over, so that the error names the variable.
#[doc(hidden)]
pub fn travels<T: Travels>(_: &T) {}
