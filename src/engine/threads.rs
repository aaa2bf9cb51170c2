//! Thread pools: rayon pools inside the local engine, built when a cell first needs one and dropped with the
//! cell. A map in the background has one of its own, which goes with it.

mod claims;
mod map;

use std::ffi::c_void;
use std::sync::Arc;
use std::time::Instant;

use regatta_cell::host::{End, RunOnThread};

use super::comm::{self, Seat};
use super::nanoseconds;
use super::notes::{self, Worker};
use crate::ids::PoolName;
use crate::wire::FromEngine;
pub use map::{alone, begin};

#[derive(Clone)]
pub struct ThreadPool {
    rayon: Arc<rayon::ThreadPool>,
    size: u32,
}

/// A pointer of the cell's that workers share.
struct Shared(*mut c_void);

// SAFETY: the cell crate only passes pointers to data that its own bounds make `Sync`, and keeps it until all workers
// are done.
unsafe impl Sync for Shared {}

impl ThreadPool {
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

    pub fn size(&self) -> u32 {
        self.size
    }

    /// Runs `run` once on every thread.
    pub fn broadcast(
        &self,
        name: &PoolName,
        ctx: *mut c_void,
        run: RunOnThread,
    ) -> Result<FromEngine, String> {
        let ctx = &Shared(ctx);
        comm::begins(name);
        let threads = self.rayon.broadcast(|worker| {
            let rank = worker.index() as u32;
            let size = self.size;
            notes::as_worker(
                Worker {
                    rank,
                    size,
                    map: None,
                    seed: None,
                },
                || {
                    comm::sit_down(Seat {
                        pool: Some(name.clone()),
                        rank,
                    });
                    let start = Instant::now();
                    let ended = run(ctx.0, rank);
                    let busy = nanoseconds(start);
                    comm::leave();
                    // A panic that user code caught itself is no outcome.
                    (busy, notes::take_panic().filter(|_| ended != End::Finished))
                },
            )
        });
        Ok(FromEngine::BroadcastDone { threads })
    }
}
