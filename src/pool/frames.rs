//! What engines say to the hub, and the maps that follow from it.

use std::time::Duration;

use super::hub::State;
use super::map::Map;
use super::{EngineState, PoolEvent};
use crate::ids::{EngineId, JobId, Rank};
use crate::outcome::Value;
use crate::wire::{FromEngine, PanicInfo, Payload, RunEnd};

impl State {
    pub(super) fn frame(&mut self, engine: EngineId, message: FromEngine, payload: Payload) {
        match message {
            FromEngine::WantArtifact { artifact } => self.give_artifact(engine, artifact),
            FromEngine::Ready => self.engine_ready(engine),
            FromEngine::Shown {
                rank,
                map,
                mime,
                type_name,
            } => {
                let text = String::from_utf8_lossy(&payload.copied()).into_owned();
                let value = Value {
                    content: vec![(mime, text)],
                    type_name,
                    ..Value::default()
                };
                self.value_shown(engine, rank, map, value);
            }
            FromEngine::RunDone { busy, end } => self.run_done(engine, busy, end),
            FromEngine::ChunkDone { job, chunk, ended } => {
                self.rest(engine, Duration::from_nanos(ended.busy));
                self.chunk_done(engine, job, chunk, &ended, payload);
                self.renew_if_spent(engine);
            }
            FromEngine::GivenBack { job, chunks } => self.given_back(engine, job, &chunks),
            FromEngine::Kept {
                number,
                type_name,
                bytes,
                dropped,
            } => self.emit(
                engine,
                PoolEvent::Kept {
                    engine,
                    number,
                    type_name,
                    bytes,
                    dropped,
                },
            ),
            FromEngine::Data => {
                let value = payload;
                self.emit(engine, PoolEvent::Data { engine, value });
            }
            FromEngine::Connect { service } => self.add_connection(engine, service, payload),
            FromEngine::JobDropped { job } => self.job_dropped(engine, job),
            FromEngine::BroadcastDone { threads } => self.broadcast_done(engine, threads),
            FromEngine::ItemTexts { first, texts } => {
                self.hear_callers_in(engine);
                self.emit(engine, PoolEvent::ItemTexts { first, texts });
            }
            FromEngine::FirstResults { rank, texts } => {
                self.hear_callers_in(engine);
                self.emit(engine, PoolEvent::FirstResults { rank, texts });
            }
            FromEngine::Timing { per_loop, loops } => {
                let per_loop = per_loop.into_iter().map(f64::from_bits).collect();
                self.emit(engine, PoolEvent::Timing { per_loop, loops });
            }
            FromEngine::NoFolder { path, stays } => {
                let told = PoolEvent::NoFolder {
                    engine,
                    path,
                    stays,
                };
                self.emit(engine, told);
            }
            FromEngine::MemoTrouble { trouble } => {
                self.emit(engine, PoolEvent::MemoTrouble(trouble));
            }
            FromEngine::MemoShelf { shares } => self.emit(engine, PoolEvent::MemoShelf(shares)),
            FromEngine::Memo { functions } => {
                self.emit(engine, PoolEvent::Memo { engine, functions });
            }
            FromEngine::WantWorld { pool } => self.give_world(engine, pool),
            FromEngine::Comm { rank, told, .. } => {
                self.emit(engine, PoolEvent::Comm { engine, rank, told });
            }
        }
    }

    fn engine_ready(&mut self, engine: EngineId) {
        if let Some(process) = self.engines.get_mut(&engine) {
            process.answered = true;
            process.state = EngineState::Idle;
        }
        self.emit(engine, PoolEvent::Up { engine });
        self.revived(engine);
    }

    fn value_shown(
        &mut self,
        engine: EngineId,
        rank: Option<Rank>,
        map: Option<u64>,
        value: Value,
    ) {
        let job = |state: &Self| {
            let is_it =
                |(_, it): &(_, &Map)| map.is_some_and(|map| it.is_on_threads_of(engine, map));
            state.maps.iter().find(is_it).map(|(job, _)| *job)
        };
        let begun = job(self);
        // A map that was over before it is told before it.
        self.hear_callers_in(engine);
        let shown = PoolEvent::Shown {
            engine,
            rank,
            in_map: map.is_some(),
            value,
        };
        // Its caller may run another cell meanwhile.
        match begun.or_else(|| job(self)) {
            Some(job) => self.emit_of(job, shown),
            None => self.emit(engine, shown),
        }
    }

    fn run_done(&mut self, engine: EngineId, busy: u64, end: RunEnd) {
        self.hear_callers_in(engine);
        self.pass_on_all_prints();
        let busy = Duration::from_nanos(busy);
        self.rest(engine, busy);
        self.world_left(engine);
        self.engine_is_free(engine);
        self.emit(engine, PoolEvent::RunDone { engine, busy, end });
        self.renew_if_spent(engine);
    }

    fn job_dropped(&mut self, engine: EngineId, job: JobId) {
        // Its end may have been said before.
        self.hear_callers_in(engine);
        for (record, _) in &mut self.finished {
            record.held &= record.job != job;
        }
        if let Some(map) = self.maps.get_mut(&job) {
            map.held = false;
        }
        self.forget_queue(job);
    }

    fn broadcast_done(&mut self, engine: EngineId, threads: Vec<(u64, Option<PanicInfo>)>) {
        let threads = threads
            .into_iter()
            .map(|(busy, panic)| (Duration::from_nanos(busy), panic))
            .collect();
        self.emit(engine, PoolEvent::Broadcast { threads });
    }

    /// A cell or a chunk has taken so much of the engine's time.
    fn rest(&mut self, engine: EngineId, busy: Duration) {
        if let Some(process) = self.engines.get_mut(&engine) {
            process.ends();
            process.busy += busy;
            process.tasks += 1;
        }
        self.free_if_idle(engine);
    }
}
