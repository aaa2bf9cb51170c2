//! Workers that claim a map's inputs themselves, threads of its caller's process: what the caller tells of them, and
//! what they are told.

use std::time::Duration;

use super::{Map, Runners, Step};
use crate::ids::EngineId;
use crate::pool::MapFault;
use crate::pool::dispatch::Elsewhere;
use crate::wire::{Payload, ThreadsOver, ThreadsTold, ToCaller};

impl Map {
    /// They end after the items that they are at.
    pub(super) fn stop_claims(&mut self) {
        if let Runners::Threads { map } = self.runners {
            self.tell(&ToCaller::Stop { map }, &Payload::None);
        }
    }

    /// Whether it is the one on threads that `caller` calls by this number.
    pub fn is_on_threads_of(&self, caller: EngineId, number: u64) -> bool {
        self.caller == caller && matches!(self.runners, Runners::Threads { map } if map == number)
    }

    /// What has become of the inputs that they had claimed.
    pub fn claims_told(&mut self, told: ThreadsTold) -> Vec<Step> {
        for (worker, thread) in self.workers.iter_mut().zip(&told.threads) {
            worker.items += self.assignment.ran(&thread.done);
            worker.chunks = thread.chunks;
            worker.busy = Duration::from_nanos(thread.busy);
            worker.lookups = thread.lookups;
            worker.claimed = thread.at;
        }
        self.failed = told.threads.iter().map(|thread| thread.failed).sum();
        self.spent.run = self.serial();
        for chunk in &told.chunks {
            let (first, ended) = (chunk.first, &chunk.ended);
            self.remember(chunk.rank, first, ended.done, ended.began, ended);
        }
        told.over
            .map_or_else(Vec::new, |over| self.claims_over(over))
    }

    fn claims_over(&mut self, over: ThreadsOver) -> Vec<Step> {
        self.assignment.claims_end(over.exhausted);
        // They may have done all before they heard that they should not.
        self.cancelled &= !self.assignment.ledger().is_complete();
        let steps = match over.error {
            Some((item, panic)) if !self.is_over() => {
                vec![self.fail(None, Some(item), MapFault::Panicked(panic))]
            }
            _ => self.steps(&Elsewhere::default()),
        };
        self.wall = Some(Duration::from_nanos(over.wall));
        self.closed = true;
        steps
    }
}
