//! What engines say to the hub, and the maps that follow from it.

use std::time::Duration;

use regatta_cell::options::{MapOptions, Schedule};

use super::hub::{State, ThreadMap};
use super::{EngineState, MapFailure, MapFault, PoolEvent, PoolUse};
use crate::ids::{EngineId, JobId, PoolName, Rank};
use crate::outcome::{self, MapPlan, MapReport, MapRow, PoolKind, Value};
use crate::wire::{FromEngine, Payload};

impl State {
    pub(super) fn frame(&mut self, engine: EngineId, message: FromEngine, payload: Payload) {
        match message {
            FromEngine::Ready => {
                if let Some(process) = self.engines.get_mut(&engine) {
                    process.answered = true;
                    process.state = EngineState::Idle;
                }
                self.emit(PoolEvent::Up { engine });
                self.revived(engine);
            }
            FromEngine::Shown {
                rank,
                mime,
                type_name,
            } => {
                // A map that was over before it is told before it.
                self.hear_callers_in(engine);
                let text = String::from_utf8_lossy(&payload.copied()).into_owned();
                let value = Value {
                    content: vec![(mime, text)],
                    type_name,
                    ..Value::default()
                };
                self.emit(PoolEvent::Shown {
                    engine,
                    rank,
                    value,
                });
            }
            FromEngine::RunDone { busy, end } => {
                self.hear_callers_in(engine);
                self.pass_on_all_prints();
                let busy = Duration::from_nanos(busy);
                self.rest(engine, busy, 1);
                self.engine_is_free(engine);
                self.emit(PoolEvent::RunDone { engine, busy, end });
                self.renew_if_spent(engine);
            }
            FromEngine::ChunkDone { job, chunk, ended } => {
                self.rest(engine, Duration::from_nanos(ended.busy), 1);
                self.chunk_done(engine, job, chunk, &ended, payload);
                self.renew_if_spent(engine);
            }
            FromEngine::Kept {
                number,
                type_name,
                bytes,
                dropped,
            } => self.emit(PoolEvent::Kept {
                engine,
                number,
                type_name,
                bytes,
                dropped,
            }),
            FromEngine::Data => self.emit(PoolEvent::Data {
                engine,
                value: payload,
            }),
            FromEngine::Line => self.add_line(engine, payload),
            FromEngine::JobDropped { job } => {
                // Its end may have been said before.
                self.hear_callers_in(engine);
                let record = self.finished.iter_mut().map(|(record, _)| record);
                for record in record.filter(|record| record.job == job) {
                    record.held = false;
                }
                if let Some(map) = self.maps.get_mut(&job) {
                    map.held = false;
                }
            }
            FromEngine::ThreadsBegin {
                options,
                input_type,
                output_type,
                items,
            } => {
                self.begin_threads(*options, input_type, output_type, items);
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
                let Some(map) = self.threads.take() else {
                    return;
                };
                let shown = map.shown;
                self.emit(match error {
                    Some(panic) => PoolEvent::MapFailed(MapFailure {
                        rank: None,
                        item: failed_item,
                        what: MapFault::Panicked(panic),
                        died: Vec::new(),
                    }),
                    None => PoolEvent::MapDone {
                        report: thread_report(map.pool, wall, rows),
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
            FromEngine::ItemTexts { first, texts } => {
                self.hear_callers_in(engine);
                self.emit(PoolEvent::ItemTexts { first, texts });
            }
            FromEngine::FirstResults { rank, texts } => {
                self.hear_callers_in(engine);
                self.emit(PoolEvent::FirstResults { rank, texts });
            }
            FromEngine::Timing { per_loop, loops } => {
                let per_loop = per_loop.into_iter().map(f64::from_bits).collect();
                self.emit(PoolEvent::Timing { per_loop, loops });
            }
        }
    }

    fn rest(&mut self, engine: EngineId, busy: Duration, tasks: u64) {
        if let Some(process) = self.engines.get_mut(&engine) {
            process.ends();
            process.busy += busy;
            process.tasks += tasks;
        }
    }

    fn begin_threads(
        &mut self,
        options: MapOptions,
        input_type: String,
        output_type: String,
        items: u64,
    ) {
        let found = self.pools.iter().find_map(|pool| match pool {
            PoolUse::Threads { name, size }
                if options.pool.as_ref().is_none_or(|wanted| *wanted == name.0) =>
            {
                Some((name.clone(), *size))
            }
            _ => None,
        });
        let (pool, engines) = found.unwrap_or((PoolName(String::new()), 0));
        let shown = !options.function.is_empty();
        self.threads = Some(ThreadMap {
            shown,
            total: items,
            since: std::time::Instant::now(),
            pool: pool.clone(),
        });
        if shown {
            // Threads take an eighth of their share of what is left: one by one when that is below one.
            let one_by_one = (items < 16 * u64::from(engines)).then_some(items);
            let chunks = match (options.schedule, options.chunk) {
                (_, Some(chunk)) => Some(items.div_ceil(chunk)),
                (Schedule::Static, None) => Some(items.min(engines.into())),
                _ => one_by_one,
            };
            self.emit(PoolEvent::MapPlanned(MapPlan {
                function: options.function,
                input_type,
                output_type,
                items: Some(items),
                chunks,
                schedule: options.schedule,
                captures: Vec::new(),
                captures_there: false,
                pool,
                kind: PoolKind::Threads,
                engines,
            }));
        }
        if options.plan_only {
            self.threads = None;
            self.emit(PoolEvent::MapFailed(MapFailure {
                rank: None,
                item: None,
                what: MapFault::PlanOnly,
                died: Vec::new(),
            }));
        }
    }
}

fn thread_report(pool: PoolName, wall: u64, rows: Vec<crate::wire::ThreadRow>) -> MapReport {
    let serial = rows.iter().map(|row| Duration::from_nanos(row.busy)).sum();
    let done = rows.iter().map(|row| row.items).sum();
    let failed = rows.iter().map(|row| row.failed).sum();
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
        done,
        failed,
        spent: outcome::Spent::default(),
        items: Vec::new(),
        pool,
        kind: PoolKind::Threads,
        engines,
        wall,
        serial,
        died: Vec::new(),
    }
}
