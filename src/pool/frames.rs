//! What engines say to the hub, and the maps that follow from it.

use std::time::Duration;

use super::hub::State;
use super::{EngineState, PoolEvent};
use crate::ids::EngineId;
use crate::outcome::Value;
use crate::wire::{FromEngine, Payload};

impl State {
    pub(super) fn frame(&mut self, engine: EngineId, message: FromEngine, payload: Payload) {
        match message {
            FromEngine::WantArtifact { artifact } => self.give_artifact(engine, artifact),
            FromEngine::Ready => {
                if let Some(process) = self.engines.get_mut(&engine) {
                    process.answered = true;
                    process.state = EngineState::Idle;
                }
                self.emit(engine, PoolEvent::Up { engine });
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
                self.emit(
                    engine,
                    PoolEvent::Shown {
                        engine,
                        rank,
                        value,
                    },
                );
            }
            FromEngine::RunDone { busy, end } => {
                self.hear_callers_in(engine);
                self.pass_on_all_prints();
                let busy = Duration::from_nanos(busy);
                self.rest(engine, busy, 1);
                self.engine_is_free(engine);
                self.emit(engine, PoolEvent::RunDone { engine, busy, end });
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
            FromEngine::Data => self.emit(
                engine,
                PoolEvent::Data {
                    engine,
                    value: payload,
                },
            ),
            FromEngine::Connect { service } => self.add_connection(engine, service, payload),
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
            FromEngine::BroadcastDone { threads } => {
                let threads = threads
                    .into_iter()
                    .map(|(busy, panic)| (Duration::from_nanos(busy), panic))
                    .collect();
                self.emit(engine, PoolEvent::Broadcast { threads });
            }
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
        }
    }

    fn rest(&mut self, engine: EngineId, busy: Duration, tasks: u64) {
        if let Some(process) = self.engines.get_mut(&engine) {
            process.ends();
            process.busy += busy;
            process.tasks += tasks;
        }
    }
}
