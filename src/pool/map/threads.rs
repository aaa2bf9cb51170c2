//! A map on threads of its caller's process: what the caller tells of it, and what it is told.

use std::time::Duration;

use super::{Map, Step};
use crate::ids::EngineId;
use crate::outcome::PoolKind;
use crate::pool::MapFault;
use crate::wire::{Payload, ThreadsOver, ThreadsTold, ToCaller};

impl Map {
    pub fn is_on_threads(&self) -> bool {
        self.on_threads.is_some()
    }

    pub(super) fn kind(&self) -> PoolKind {
        match self.on_threads {
            Some(_) => PoolKind::Threads,
            None => PoolKind::Processes,
        }
    }

    /// The engine whose threads are busy with it, as far as it may be killed: all of the user's variables are there,
    /// so nobody does that for a job in the background.
    pub(super) fn threads_engine(&self) -> Vec<EngineId> {
        let caller = (!self.options.background).then_some(self.caller);
        caller.into_iter().collect()
    }

    /// The threads end after the items that they are at.
    pub(super) fn stop_threads(&mut self) {
        if let Some(map) = self.on_threads {
            self.tell(&ToCaller::Stop { map }, &Payload::None);
        }
    }

    /// No more than the plan was wanted, of which threads hear nothing.
    pub fn plan_told(&mut self) {
        self.closed |= self.is_on_threads();
    }

    /// How far the threads are.
    pub fn threads_told(&mut self, told: ThreadsTold) -> Vec<Step> {
        for (worker, thread) in self.workers.iter_mut().zip(&told.threads) {
            worker.items = thread.items;
            worker.chunks = thread.chunks;
            worker.busy = Duration::from_nanos(thread.busy);
            worker.thread_at = thread.at;
        }
        self.failed = told.threads.iter().map(|thread| thread.failed).sum();
        self.spent.run = self.serial();
        let done = told.threads.iter().map(|thread| thread.items).sum();
        self.assignment.ran(done);
        for chunk in &told.chunks {
            let (first, ended) = (chunk.first, &chunk.ended);
            self.remember(chunk.rank, first, ended.done, ended.began, ended);
        }
        match told.over {
            Some(over) => self.threads_over(over),
            None => Vec::new(),
        }
    }

    fn threads_over(&mut self, over: ThreadsOver) -> Vec<Step> {
        // They may have done all before they heard that they should not.
        self.cancelled &= over.stopped;
        let steps = match over.error {
            Some((item, panic)) if !self.is_over() => {
                vec![self.fail(None, Some(item), MapFault::Panicked(panic))]
            }
            _ => Vec::new(),
        };
        self.over(None);
        self.wall = Some(Duration::from_nanos(over.wall));
        self.closed = true;
        steps
    }
}
