//! What a map's chunks took: when each was sent, begun and ended, where, and what that comes to.

use std::time::Duration;

use super::Map;
use crate::ids::Rank;
use crate::outcome::{ChunkSpan, ItemRow};
use crate::wire::{ChunkEnded, FIRST_ITEMS, TIMES, monotonic};

impl Map {
    /// The worker at `place` has ended a chunk, whose items `first..first + done` are done.
    pub(super) fn note_ended(
        &mut self,
        place: usize,
        chunk: u32,
        first: u64,
        done: u64,
        ended: &ChunkEnded,
    ) {
        let busy = Duration::from_nanos(ended.busy);
        let worker = &mut self.workers[place];
        let (rank, sent) = (
            worker.rank,
            worker.sent.remove(&chunk).unwrap_or(ended.began),
        );
        worker.items += done;
        worker.chunks += 1;
        worker.busy += busy;
        worker.lookups += ended.lookups;
        self.served += busy.as_secs_f64();
        let wanted = FIRST_ITEMS.saturating_sub(worker.first_items.len());
        worker
            .first_items
            .extend((first..first + done).take(wanted));
        let here = worker.free.clamp(sent, ended.began.max(sent));
        worker.free = monotonic();
        self.spent.queue += Duration::from_nanos(here - sent);
        self.spent.send += Duration::from_nanos(ended.began.saturating_sub(here));
        self.spent.run += busy;
        self.failed += ended.failed;
        self.remember(rank, first, done, sent, ended);
    }

    pub(super) fn remember(
        &mut self,
        rank: Rank,
        first: u64,
        items: u64,
        sent: u64,
        ended: &ChunkEnded,
    ) {
        self.remember_chunk(ChunkSpan {
            rank,
            first,
            items,
            sent: self.since(sent),
            began: self.since(ended.began),
            ended: self.since(ended.began + ended.busy),
            failed: ended.error.is_some(),
        });
        for (index, (began, took)) in (first..).zip(&ended.items) {
            if self.items.len() < TIMES {
                self.items.push(ItemRow {
                    index,
                    input: String::new(),
                    result: String::new(),
                    rank,
                    queued: Duration::from_nanos(began.saturating_sub(sent)),
                    busy: Duration::from_nanos(*took),
                });
            }
        }
    }

    /// What the worker at `place` has is lost with it.
    pub(super) fn note_lost(&mut self, place: usize) {
        let worker = &mut self.workers[place];
        let (rank, lost) = (worker.rank, std::mem::take(&mut worker.sent));
        let now = self.since(monotonic());
        for (piece, sent) in lost {
            if let Some(piece) = self.assignment.ledger().piece(piece) {
                let sent = self.since(sent);
                self.remember_chunk(ChunkSpan {
                    rank,
                    first: piece.first(),
                    items: piece.items(),
                    sent,
                    began: sent,
                    ended: now,
                    failed: true,
                });
            }
        }
    }

    fn since(&self, at: u64) -> Duration {
        Duration::from_nanos(at.saturating_sub(self.began))
    }

    fn remember_chunk(&mut self, span: ChunkSpan) {
        if self.spans.len() < TIMES {
            self.spans.push(span);
        }
    }
}
