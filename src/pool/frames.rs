//! What engines say to the hub, and the maps that follow from it.

use std::time::Duration;

use super::hub::{State, ThreadMap};
use super::map::{Map, Wanted};
use super::{EngineState, MapFailure, MapFault, PoolEvent, PoolUse};
use crate::ids::{EngineId, JobId, PoolName, Rank};
use crate::outcome::{MapPlan, MapReport, MapRow, PoolKind, Value};
use crate::wire::{FromEngine, ToEngine};

impl State {
    pub(super) fn frame(&mut self, engine: EngineId, message: FromEngine, payload: Vec<u8>) {
        match message {
            FromEngine::Ready => {
                self.rest(engine, Duration::ZERO, 0);
                self.emit(PoolEvent::Up { engine });
            }
            FromEngine::Shown {
                rank,
                mime,
                type_name,
            } => {
                self.pass_on_prints(engine, usize::MAX);
                let text = String::from_utf8_lossy(&payload).into_owned();
                let value = Value {
                    content: vec![(mime, text)],
                    type_name,
                };
                self.emit(PoolEvent::Shown {
                    engine,
                    rank,
                    value,
                });
            }
            FromEngine::RunDone { busy, end } => {
                // What was printed before is in the pipe by now, and belongs before the cell's end.
                self.pass_on_prints(engine, usize::MAX);
                let busy = Duration::from_nanos(busy);
                self.rest(engine, busy, 1);
                self.emit(PoolEvent::RunDone { engine, busy, end });
            }
            FromEngine::ChunkDone { job, chunk, ended } => {
                self.pass_on_prints(engine, usize::MAX);
                self.rest(engine, Duration::from_nanos(ended.busy), 1);
                if let Some(map) = self.map.as_mut().filter(|map| map.job == job) {
                    let steps = map.chunk_done(engine, chunk, &ended, payload);
                    self.take(steps);
                    self.go_on();
                }
            }
            FromEngine::MapBegin {
                function,
                input_type,
                output_type,
                items,
                address,
            } => {
                let wanted = Wanted {
                    function,
                    input_type,
                    output_type,
                    items,
                    address,
                };
                self.begin_map(engine, wanted);
            }
            FromEngine::Inputs {
                count,
                exhausted,
                error,
            } => {
                let Some(map) = self.map.as_mut().filter(|map| map.caller == engine) else {
                    return;
                };
                if let Some(error) = error {
                    let what = MapFault::Inputs(error);
                    return self.map_over(Some(MapFailure {
                        rank: None,
                        item: None,
                        what,
                        died: Vec::new(),
                    }));
                }
                map.inputs(count, exhausted, payload);
                self.go_on();
            }
            FromEngine::Undecodable => {
                let what = MapFault::Inputs("a result could not be decoded".to_owned());
                self.map_over(Some(MapFailure {
                    rank: None,
                    item: None,
                    what,
                    died: Vec::new(),
                }));
            }
            FromEngine::ThreadsBegin {
                function,
                input_type,
                output_type,
                items,
            } => {
                self.begin_threads(function, input_type, output_type, items);
            }
            FromEngine::ThreadsProgress { done } => {
                if let Some(ThreadMap { total, since, .. }) = self.threads {
                    let elapsed = since.elapsed();
                    self.emit(PoolEvent::MapProgress {
                        done,
                        total: Some(total),
                        elapsed,
                    });
                }
            }
            FromEngine::ThreadsDone {
                wall,
                rows,
                error,
                failed_item,
            } => {
                let shown = self.threads.take().is_some_and(|map| map.shown);
                self.emit(match error {
                    Some(panic) => PoolEvent::MapFailed(MapFailure {
                        rank: None,
                        item: failed_item,
                        what: MapFault::Panicked(panic),
                        died: Vec::new(),
                    }),
                    None => PoolEvent::MapDone {
                        report: thread_report(self.pool(), wall, rows),
                        shown,
                    },
                });
            }
            FromEngine::BroadcastDone { threads } => {
                let threads = threads
                    .into_iter()
                    .map(|(busy, panic)| (Duration::from_nanos(busy), panic))
                    .collect();
                self.emit(PoolEvent::Broadcast { threads });
            }
            FromEngine::FirstResults { rank, texts } => {
                self.emit(PoolEvent::FirstResults { rank, texts });
            }
            FromEngine::Timing { per_loop, loops } => {
                let per_loop = per_loop.into_iter().map(f64::from_bits).collect();
                self.emit(PoolEvent::Timing { per_loop, loops });
            }
        }
    }

    fn rest(&mut self, engine: EngineId, busy: Duration, tasks: u64) {
        if let Some(process) = self.processes.get_mut(&engine) {
            process.state = EngineState::Idle;
            process.busy += busy;
            process.tasks += tasks;
        }
    }

    fn begin_map(&mut self, caller: EngineId, wanted: Wanted) {
        let Some(PoolUse::Processes { name, engines }) = self.pool.clone() else {
            // The engine asks for the pool it was told of, so this is an engine's mistake.
            let over = ToEngine::MapOver {
                error: Some("the pool in use is no process pool".to_owned()),
                first_items: Vec::new(),
            };
            return self.send(caller, &over, &[]);
        };
        let alive = engines
            .iter()
            .filter_map(|engine| self.processes.get(engine))
            .filter(|process| process.is_alive())
            .map(|process| (process.launch.id, process.launch.rank))
            .collect();
        let job = JobId(self.next_job);
        self.next_job += 1;
        let (map, plan) = Map::new(job, caller, name, alive, wanted);
        if map.shown {
            self.emit(PoolEvent::MapPlanned(plan));
        }
        self.map = Some(map);
        self.go_on();
    }

    fn pool(&self) -> (PoolName, u32) {
        match &self.pool {
            Some(PoolUse::Threads { name, size }) => (name.clone(), *size),
            Some(PoolUse::Processes { name, engines }) => (name.clone(), engines.len() as u32),
            None => (PoolName(String::new()), 0),
        }
    }

    fn begin_threads(
        &mut self,
        function: String,
        input_type: String,
        output_type: String,
        items: u64,
    ) {
        let (pool, engines) = self.pool();
        let shown = !function.is_empty();
        self.threads = Some(ThreadMap {
            shown,
            total: items,
            since: std::time::Instant::now(),
        });
        if shown {
            self.emit(PoolEvent::MapPlanned(MapPlan {
                function,
                input_type,
                output_type,
                items: Some(items),
                // Threads take an eighth of their share of what is left: one by one when that is below one.
                chunks: (items < 16 * u64::from(engines)).then_some(items),
                schedule: crate::outcome::Schedule::Guided,
                captures: Vec::new(),
                pool,
                kind: PoolKind::Threads,
                engines,
            }));
        }
    }
}

fn thread_report(
    (pool, _): (PoolName, u32),
    wall: u64,
    rows: Vec<crate::wire::ThreadRow>,
) -> MapReport {
    let serial = rows.iter().map(|row| Duration::from_nanos(row.busy)).sum();
    let engines = rows
        .into_iter()
        .enumerate()
        .map(|(rank, row)| MapRow {
            rank: Rank(rank as u32),
            items: row.items,
            chunks: row.chunks,
            busy: Duration::from_nanos(row.busy),
            results: Vec::new(),
        })
        .collect();
    let wall = Duration::from_nanos(wall);
    MapReport {
        job: JobId(0),
        failed: 0,
        spent: crate::outcome::Spent::default(),
        items: Vec::new(),
        pool,
        kind: PoolKind::Threads,
        engines,
        wall,
        serial,
        died: Vec::new(),
    }
}
