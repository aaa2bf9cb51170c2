//! What is told of a map: its live table, its line among the jobs, its report and its timeline.

use std::time::{Duration, Instant};

use super::{Map, Worker};
use crate::ids::{CellId, EngineId, Rank};
use crate::outcome::{
    ChunkSpan, Deaths, EngineActivity, EngineView, JobState, JobView, MapReport, MapRow, Timeline,
};
use crate::pool::JobRecord;
use crate::pool::dispatch::Health;
use crate::wire::{PROGRESS, TIMES};

/// What an engine is seen to be at.
#[derive(Debug, Default)]
pub struct Seen {
    pub item: Option<u64>,
    /// Bytes.
    pub memory: Option<u64>,
    /// The last line of its command.
    pub said: String,
}

impl Map {
    /// The live table's content, some ten times a second. `look` tells of an engine, and of one of its threads where it
    /// has any.
    pub fn view(
        &mut self,
        look: impl Fn(EngineId, usize) -> Seen,
        left: Option<Duration>,
    ) -> Option<JobView> {
        if self.told.elapsed() < PROGRESS || self.closing {
            return None;
        }
        self.told = Instant::now();
        let view = |(place, worker): (usize, &Worker)| {
            let Seen { item, memory, said } = match self.engines.get(place) {
                Some(engine) => look(*engine, 0),
                None => Seen {
                    item: worker.claimed,
                    memory: None,
                    ..look(self.caller, place)
                },
            };
            EngineView {
                rank: worker.rank,
                activity: match self.assignment.health(place) {
                    Health::Starting => EngineActivity::Starting,
                    Health::Dead => EngineActivity::Dead,
                    Health::Alive if self.is_queued() && item.is_some() => EngineActivity::Busy,
                    Health::Alive if self.is_queued() => EngineActivity::Idle,
                    Health::Alive if self.assignment.ledger().held(place) > 0 => {
                        EngineActivity::Busy
                    }
                    Health::Alive if worker.claimed.is_some() => EngineActivity::Busy,
                    Health::Alive => EngineActivity::Idle,
                },
                item,
                done: worker.items,
                memory,
                command: String::new(),
                last_line: said,
            }
        };
        Some(JobView {
            job: self.job,
            what: self.what(),
            pool: self.pool.clone(),
            state: match self.is_stopping() {
                true => JobState::Stopping { left },
                false => JobState::Running,
            },
            done: self.assignment.ledger().settled(),
            total: self.assignment.ledger().total(),
            elapsed: self.elapsed(),
            engines: self.workers.iter().enumerate().map(view).collect(),
        })
    }

    /// What tables call it.
    fn what(&self) -> String {
        if self.options.function.is_empty() {
            "pool::map".to_owned()
        } else {
            self.options.function.clone()
        }
    }

    pub fn record(&self) -> JobRecord {
        let state = match (&self.failure, self.cancelled, self.closing) {
            (Some(_), _, _) => JobState::Failed,
            // Its caller has ended in the middle of it.
            (None, _, false) if self.closed => JobState::Failed,
            (None, true, true) => JobState::Cancelled,
            (None, true, false) => JobState::Stopping { left: None },
            (None, false, true) => JobState::Done,
            (None, false, false) => JobState::Running,
        };
        JobRecord {
            job: self.job,
            what: self.what(),
            state,
            background: self.options.background,
            done: self.assignment.ledger().settled(),
            total: self.assignment.ledger().total(),
            elapsed: self.elapsed(),
            pool: self.pool.clone(),
            kind: self.runners.kind(),
            bytes: self.bytes,
            output: self.output.clone(),
            single: self.options.single,
            held: self.options.background && self.held && !self.gone,
            failed: self.failed,
            why: self.why.clone(),
            pulled: self.assignment.ledger().pulled(),
            is_detached: self.has_gone_on(),
            queued: self.in_queue(),
            px: self.options.px.map(CellId),
            ranks: self.options.ranks.iter().copied().map(Rank).collect(),
        }
    }

    /// Per rank, the indices of its first results.
    pub(super) fn first_items(&self) -> Vec<Vec<u64>> {
        let ranks = self
            .workers
            .iter()
            .map(|worker| worker.rank.0 as usize + 1)
            .max();
        let mut items = vec![Vec::new(); ranks.unwrap_or(0)];
        for worker in &self.workers {
            items[worker.rank.0 as usize] = worker.first_items.clone();
        }
        items
    }

    /// Engines that died meanwhile, and how.
    pub(super) fn deaths(&self) -> Vec<Deaths> {
        let died = |worker: &Worker| {
            Some(Deaths {
                rank: worker.rank,
                times: worker.deaths.len(),
                last: worker.deaths.last()?.clone(),
            })
        };
        self.workers.iter().filter_map(died).collect()
    }

    pub(super) fn serial(&self) -> Duration {
        self.workers.iter().map(|worker| worker.busy).sum()
    }

    pub fn report(&self) -> MapReport {
        let row = |worker: &Worker| MapRow {
            rank: worker.rank,
            items: worker.items,
            chunks: worker.chunks,
            busy: worker.busy,
            lookups: worker.lookups,
            results: Vec::new(),
        };
        let mut items = self.items.clone();
        items.sort_by_key(|item| item.index);
        MapReport {
            job: self.job,
            pool: self.pool.clone(),
            engines: self.workers.iter().map(row).collect(),
            wall: self.elapsed(),
            serial: self.serial(),
            done: self.assignment.ledger().settled(),
            failed: self.failed,
            died: self.deaths(),
            spent: self.spent,
            items,
        }
    }

    pub fn timeline(&self) -> Timeline {
        self.timeline_of(self.spans.clone())
    }

    /// The last one: the map forgets its chunks.
    pub fn last_timeline(&mut self) -> Timeline {
        let spans = std::mem::take(&mut self.spans);
        self.timeline_of(spans)
    }

    fn timeline_of(&self, chunks: Vec<ChunkSpan>) -> Timeline {
        Timeline {
            job: self.job,
            what: self.what(),
            pool: self.pool.clone(),
            engines: self.workers.len() as u32,
            wall: self.elapsed(),
            cut: chunks.len() >= TIMES,
            chunks,
        }
    }
}
