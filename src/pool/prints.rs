//! What user code has printed, on its way from the engines to the session.

use std::sync::atomic::Ordering;

use super::hub::State;
use super::{PoolEvent, Printed};
use crate::ids::EngineId;
use crate::outcome::Stream;

impl State {
    /// Passes on what all engines have printed by now.
    pub(super) fn pass_on_all_prints(&mut self) {
        let engines: Vec<EngineId> = self.engines.keys().copied().collect();
        for engine in engines {
            self.pass_on_prints(engine, usize::MAX);
        }
    }

    /// Passes on what `engine` has printed by now.
    pub(super) fn pass_on_prints(&mut self, engine: EngineId, at_most: usize) {
        self.read_prints(engine, at_most);
        self.show_prints(engine);
    }

    pub(super) fn read_prints(&mut self, engine: EngineId, at_most: usize) {
        if let Some(process) = self.engines.get_mut(&engine) {
            for stream in [Stream::Stdout, Stream::Stderr] {
                process.read_printed(stream, at_most);
            }
        }
    }

    pub(super) fn show_prints(&mut self, engine: EngineId) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let Some(process) = self.engines.get_mut(&engine) else {
                return;
            };
            let bytes = process.take_printed(stream);
            if !bytes.is_empty() {
                self.room.fetch_add(bytes.len(), Ordering::Relaxed);
                let bytes = Printed {
                    bytes,
                    room: self.room.clone(),
                };
                self.emit(
                    engine,
                    PoolEvent::Output {
                        engine,
                        stream,
                        bytes,
                    },
                );
            }
        }
    }
}
