//! Maps on a thread pool: workers borrow inputs and closure, nothing is encoded.

use std::any::type_name;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::sync::OnceLock;
use std::time::Instant;

use crate::catch::caught;
use crate::error::ItemError;
use crate::exchange::panicked;
use crate::host::{Bytes, ChunkEnd, End, MapEnd, ThreadsCall, host, text_of};
use crate::options::MapOptions;
use crate::pool::Pool;
use crate::processes::known;

impl Pool {
    /// A map on a thread pool.
    #[doc(hidden)]
    #[track_caller]
    pub fn on_threads<I, O, F>(&self, inputs: impl IntoIterator<Item = I>, f: F) -> Vec<O>
    where
        I: Send,
        O: Send + Sync,
        F: Fn(I) -> O + Sync,
    {
        self.threads(false, inputs, &f)
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
        self.threads(true, inputs, &f)
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
        collect: bool,
        inputs: impl IntoIterator<Item = I>,
        f: &F,
    ) -> Vec<Result<O, ItemError>>
    where
        I: Send,
        O: Send + Sync,
        F: Fn(I) -> O + Sync,
    {
        let mut options = self.options.clone();
        options.collect = collect;
        match run(&options, inputs, f) {
            Ok(results) => results,
            Err((MapEnd::Refused, why)) => panic!("{why}"),
            Err((_, why)) => known(why),
        }
    }
}

/// An input that exactly one worker takes out.
struct Cell<I>(MaybeUninit<I>);

// SAFETY: the host hands each index to exactly one worker, so no two threads touch the same input.
unsafe impl<I: Send> Sync for Cell<I> {}

struct Shared<'a, I, O, F> {
    inputs: &'a [Cell<I>],
    results: &'a [OnceLock<Result<O, ItemError>>],
    f: &'a F,
    collect: bool,
    seeded: bool,
}

/// Runs a map; an error says why it did not end well, and whether the session knows it already.
fn run<I, O, F>(
    options: &MapOptions,
    inputs: impl IntoIterator<Item = I>,
    f: &F,
) -> Result<Vec<Result<O, ItemError>>, (MapEnd, String)>
where
    I: Send,
    O: Send + Sync,
    F: Fn(I) -> O + Sync,
{
    let most = usize::try_from(options.most()).unwrap_or(usize::MAX);
    let inputs: Vec<Cell<I>> = inputs
        .into_iter()
        .take(most)
        .map(|input| Cell(MaybeUninit::new(input)))
        .collect();
    let results: Vec<OnceLock<Result<O, ItemError>>> =
        inputs.iter().map(|_| OnceLock::new()).collect();
    let shared = Shared {
        inputs: &inputs,
        results: &results,
        f,
        collect: options.collect,
        seeded: options.seed.is_some(),
    };
    let travelling = options.to_bytes();
    let call = ThreadsCall {
        options: Bytes::of(&travelling),
        input_type: Bytes::of(type_name::<I>().as_bytes()),
        output_type: Bytes::of(type_name::<O>().as_bytes()),
        items: inputs.len() as u64,
        ctx: (&raw const shared).cast_mut().cast(),
        run: run_items::<I, O, F>,
    };
    let end = (host().map_threads)(&raw const call);
    if end != MapEnd::Finished {
        return Err((end, text_of(|to, write| (host().failure)(to, write))));
    }
    let whole = |(item, result): (usize, OnceLock<_>)| {
        let item = item as u64;
        result
            .into_inner()
            .unwrap_or(Err(ItemError::Cancelled { item }))
    };
    Ok(results.into_iter().enumerate().map(whole).collect())
}

extern "C" fn run_items<I, O, F>(ctx: *mut c_void, first: u64, end: u64) -> ChunkEnd
where
    F: Fn(I) -> O,
{
    // SAFETY: `ctx` is the `Shared` of the `run` call that waits for this map.
    let shared = unsafe { &*ctx.cast::<Shared<'_, I, O, F>>() };
    let mut ended = ChunkEnd {
        done: 0,
        failed: 0,
        busy: 0,
        how: End::Finished,
    };
    let start = Instant::now();
    while first + ended.done < end && ended.how == End::Finished {
        let applied = caught(&mut || {
            for index in first + ended.done..end {
                // SAFETY: each index is run once, so the input is still there and is taken once.
                let input = unsafe { shared.inputs[index as usize].0.assume_init_read() };
                if shared.seeded {
                    (host().item_begins)(index);
                }
                let _ = shared.results[index as usize].set(Ok((shared.f)(input)));
                ended.done += 1;
            }
        });
        if !applied {
            if shared.collect {
                let item = first + ended.done;
                let why = text_of(|to, write| (host().take_panic)(to, write));
                let _ = shared.results[item as usize].set(Err(panicked(item, &why)));
                ended.done += 1;
                ended.failed += 1;
            } else {
                ended.how = End::Panicked;
            }
        }
    }
    ended.busy = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    ended
}
