//! Thread pools: rayon pools inside the local engine, built when a cell first needs one and dropped with
//! the cell.

use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use regatta_cell::host::{End, RunOnThread, ThreadsCall};
use regatta_cell::options::Schedule;

use super::{host, link, nanoseconds};
use crate::wire::{FromEngine, PanicInfo, Payload, ThreadRow};

/// How often a running map tells how far it is.
const PROGRESS: Duration = Duration::from_millis(200);

/// How many of a thread's first items the map table looks at.
const FIRST: usize = 8;

#[derive(Clone)]
pub struct Pool {
    rayon: Arc<rayon::ThreadPool>,
    size: u32,
}

/// A pointer of the cell's that workers share.
struct Shared(*mut c_void);

// SAFETY: the cell crate only passes pointers to data that its own bounds make `Sync`, and the cell's thread
// waits until all workers are done.
unsafe impl Sync for Shared {}

impl Pool {
    pub fn new(size: u32) -> Result<Self, String> {
        let rayon = rayon::ThreadPoolBuilder::new()
            .num_threads(size as usize)
            .thread_name(|rank| format!("thread {rank}"))
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self {
            rayon: Arc::new(rayon),
            size,
        })
    }

    /// Runs all items, each on the thread that is free next, in chunks that shrink towards the end.
    pub fn map(
        &self,
        call: &ThreadsCall,
        kind: Schedule,
        chunk: Option<u64>,
    ) -> Result<FromEngine, String> {
        let (ctx, run, items) = (Shared(call.ctx), call.run, call.items);
        let ctx = &ctx;
        let fixed = chunk.unwrap_or(0);
        let next = AtomicU64::new(0);
        let done = AtomicU64::new(0);
        let failed: Mutex<Option<(u64, PanicInfo)>> = Mutex::new(None);
        let told = Mutex::new(Instant::now());
        let start = Instant::now();
        let rows = self.rayon.broadcast(|worker| {
            host::as_worker(worker.index() as u32, self.size, || {
                let mut row = ThreadRow::default();
                let (rank, threads) = (worker.index() as u64, u64::from(self.size));
                let mut block = block(kind, fixed, rank, threads, items);
                while let Some((first, end)) = match kind {
                    Schedule::Static => block.next(),
                    _ => claim(&next, items, threads, fixed),
                } {
                    if next.load(Ordering::Relaxed) >= FAILED {
                        break;
                    }
                    let ended = run(ctx.0, first, end);
                    row.chunks += 1;
                    row.items += ended.done;
                    row.failed += ended.failed;
                    row.busy += ended.busy;
                    let few = first..(first + ended.done);
                    row.first_items
                        .extend(few.take(FIRST - row.first_items.len().min(FIRST)));
                    if ended.how != End::Finished {
                        next.store(FAILED, Ordering::Relaxed);
                        let panic =
                            host::take_panic().unwrap_or_else(|| PanicInfo::plain("it panicked"));
                        let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                        if failed
                            .as_ref()
                            .is_none_or(|(index, _)| *index > first + ended.done)
                        {
                            *failed = Some((first + ended.done, panic));
                        }
                        break;
                    }
                    let done = done.fetch_add(ended.done, Ordering::Relaxed) + ended.done;
                    tell(&told, done);
                }
                row
            })
        });
        let wall = nanoseconds(start);
        let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (failed_item, error) = failed.unzip();
        Ok(FromEngine::ThreadsDone {
            wall,
            rows,
            error,
            failed_item,
        })
    }

    /// Runs `run` once on every thread.
    pub fn broadcast(&self, ctx: *mut c_void, run: RunOnThread) -> Result<FromEngine, String> {
        let ctx = &Shared(ctx);
        let threads = self.rayon.broadcast(|worker| {
            let rank = worker.index() as u32;
            host::as_worker(rank, self.size, || {
                let start = Instant::now();
                let ended = run(ctx.0, rank);
                let busy = nanoseconds(start);
                // A panic that user code caught itself is no outcome.
                (busy, host::take_panic().filter(|_| ended != End::Finished))
            })
        });
        Ok(FromEngine::BroadcastDone { threads })
    }
}

/// Where the next item would be when a map has failed.
const FAILED: u64 = u64::MAX / 2;

/// The next items for one thread: as many as are fixed, or an eighth of its fair share of what is left.
fn claim(next: &AtomicU64, items: u64, threads: u64, fixed: u64) -> Option<(u64, u64)> {
    let mut first = next.load(Ordering::Relaxed);
    loop {
        if first >= items {
            return None;
        }
        let count = match fixed {
            0 => ((items - first) / (8 * threads)).max(1),
            fixed => fixed.min(items - first),
        };
        match next.compare_exchange_weak(first, first + count, Ordering::Relaxed, Ordering::Relaxed)
        {
            Ok(_) => return Some((first, first + count)),
            Err(now) => first = now,
        }
    }
}

/// The items of one thread when they are dealt before the start: a block, or every so-manieth chunk.
fn block(
    kind: Schedule,
    fixed: u64,
    rank: u64,
    threads: u64,
    items: u64,
) -> impl Iterator<Item = (u64, u64)> {
    let (first, step, size) = match (kind, fixed) {
        (Schedule::Static, 0) => {
            let (from, to) = (items * rank / threads, items * (rank + 1) / threads);
            (from, items.max(1), to - from)
        }
        (Schedule::Static, fixed) => (fixed * rank, fixed * threads, fixed),
        _ => (items, 1, 1),
    };
    (first..items)
        .step_by(usize::try_from(step).unwrap_or(usize::MAX))
        .map(move |at| (at, (at + size).min(items)))
        .filter(|(from, to)| from < to)
}

fn tell(told: &Mutex<Instant>, done: u64) {
    let Ok(mut told) = told.try_lock() else {
        return;
    };
    if told.elapsed() >= PROGRESS {
        *told = Instant::now();
        let _ = link::send(&FromEngine::ThreadsProgress { done }, &Payload::None);
    }
}
