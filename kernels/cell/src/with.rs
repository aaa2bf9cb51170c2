//! Calls of a pool with a value that goes to each engine once: what a closure would capture.

use crate::checks::Exchanged;
use crate::codec;
use crate::error::ItemError;
use crate::host::PoolKind;
use crate::job::Job;
use crate::pool::{MapIter, PoolView};

/// As [`PoolView::map_iter_with`] on the pool in use.
#[track_caller]
pub fn map_iter_with<'a, S, It, O, F>(shared: &'a S, inputs: It, f: F) -> MapIter<'a, O>
where
    S: Exchanged + Send + Sync + 'static,
    It: IntoIterator,
    It::IntoIter: 'a,
    It::Item: Exchanged + Send + 'static,
    O: Exchanged + Send + 'static,
    F: Fn(&S, It::Item) -> O + Send + Sync + 'static,
{
    PoolView::default().map_iter_with(shared, inputs, f)
}

/// Runs `f` once, on whichever engine of the pool in use is free first, and does not wait for it:
/// [`Job::result`] does.
#[track_caller]
pub fn submit<O, F>(f: F) -> Job<O>
where
    O: Exchanged + Send + Sync + 'static,
    F: Fn() -> O + Send + Sync + 'static,
{
    PoolView::default().submit(f)
}

/// As [`submit`], with a value that `f` needs.
#[track_caller]
pub fn submit_with<S, O, F>(shared: &S, f: F) -> Job<O>
where
    S: Exchanged + Send + Sync + 'static,
    O: Exchanged + Send + Sync + 'static,
    F: Fn(&S) -> O + Send + Sync + 'static,
{
    PoolView::default().submit_with(shared, f)
}

impl PoolView {
    /// What the plan calls the value.
    pub(crate) fn sharing<S>(&self) -> Self {
        self.sharing_one(std::any::type_name::<S>())
    }

    fn sharing_one(&self, kind: &str) -> Self {
        let mut pool = self.clone();
        pool.options.captures = vec![("shared".to_owned(), kind.to_owned())];
        pool
    }

    /// As [`PoolView::try_map`], with a value that all items share.
    #[track_caller]
    pub fn try_map_with<S, I, O, F>(
        &self,
        shared: &S,
        inputs: impl IntoIterator<Item = I>,
        f: F,
    ) -> Vec<Result<O, ItemError>>
    where
        S: Exchanged + Sync,
        I: Exchanged + Send,
        O: Exchanged + Send + Sync,
        F: Fn(&S, I) -> O + Sync,
    {
        match self.kind() {
            PoolKind::Threads => self.try_on_threads(inputs, |input| f(shared, input)),
            _ => {
                let maker = move |(shared,)| move |input| f(&shared, input);
                self.sharing::<S>()
                    .try_on_processes((shared,), inputs, maker)
            }
        }
    }

    /// As [`PoolView::map_iter`], with a value that all items share.
    #[track_caller]
    pub fn map_iter_with<'a, S, It, O, F>(&self, shared: &'a S, inputs: It, f: F) -> MapIter<'a, O>
    where
        S: Exchanged + Send + Sync + 'static,
        It: IntoIterator,
        It::IntoIter: 'a,
        It::Item: Exchanged + Send + 'static,
        O: Exchanged + Send + 'static,
        F: Fn(&S, It::Item) -> O + Send + Sync + 'static,
    {
        match self.kind() {
            PoolKind::Threads => {
                let shared = copied(shared);
                let f = move |input| f(&shared, input);
                MapIter(self.iter_on_threads(inputs.into_iter(), f))
            }
            _ => {
                let maker = move |(shared,)| move |input| f(&shared, input);
                self.sharing::<S>()
                    .iter_on_processes((shared,), inputs, maker)
            }
        }
    }

    /// As [`PoolView::start`], with a value that all items share; it is copied now.
    #[track_caller]
    pub fn start_with<S, It, O, F>(&self, shared: &S, inputs: It, f: F) -> Job<O>
    where
        S: Exchanged + Send + Sync + 'static,
        It: IntoIterator,
        It::IntoIter: Send + 'static,
        It::Item: Exchanged + Send + 'static,
        O: Exchanged + Send + Sync + 'static,
        F: Fn(&S, It::Item) -> O + Send + Sync + 'static,
    {
        match self.kind() {
            PoolKind::Threads => {
                let shared = copied(shared);
                self.start_copying(inputs, move |input| f(&shared, input), codec::copy)
            }
            _ => {
                let maker = move |(shared,)| move |input| f(&shared, input);
                self.sharing::<S>()
                    .start_on_processes((shared,), inputs, maker)
            }
        }
    }

    /// As [`submit`].
    #[track_caller]
    pub fn submit<O, F>(&self, f: F) -> Job<O>
    where
        O: Exchanged + Send + Sync + 'static,
        F: Fn() -> O + Send + Sync + 'static,
    {
        match self.kind() {
            PoolKind::Threads => {
                self.clone()
                    .single()
                    .start_copying([()], move |()| f(), codec::copy)
            }
            _ => self.submit_on_processes((), move |()| f),
        }
    }

    /// As [`submit_with`].
    #[track_caller]
    pub fn submit_with<S, O, F>(&self, shared: &S, f: F) -> Job<O>
    where
        S: Exchanged + Send + Sync + 'static,
        O: Exchanged + Send + Sync + 'static,
        F: Fn(&S) -> O + Send + Sync + 'static,
    {
        match self.kind() {
            PoolKind::Threads => {
                let shared = copied(shared);
                let once = move |()| f(&shared);
                self.clone().single().start_copying([()], once, codec::copy)
            }
            _ => self
                .sharing::<S>()
                .submit_on_processes((shared,), move |(shared,)| move || f(&shared)),
        }
    }

    /// One call in the background; `maker` makes what is called from the captured variables.
    #[doc(hidden)]
    #[track_caller]
    pub fn submit_on_processes<C, O, M, F>(&self, captured: C, maker: M) -> Job<O>
    where
        C: crate::captures::Captured,
        O: Exchanged + Send + 'static,
        M: FnOnce(C::Owned) -> F,
        F: Fn() -> O,
    {
        let maker = move |owned| {
            let f = maker(owned);
            move |()| f()
        };
        self.clone()
            .single()
            .start_on_processes(captured, [()], maker)
    }
}

/// What outlives the cell that has it.
#[track_caller]
fn copied<S: Exchanged>(shared: &S) -> S {
    codec::copy(shared).expect("serde carries what the items share")
}
