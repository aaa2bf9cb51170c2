//! What user code has printed, on its way from the engines to the session.

use std::sync::atomic::Ordering;

use super::hub::State;
use super::{PoolEvent, Printed};
use crate::ids::EngineId;
use crate::outcome::Stream;
use crate::wire::Payload;

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
            self.show(engine, stream, bytes);
        }
    }

    /// What the caller of a map has printed in its name: the first `out` bytes on standard output, then the others on
    /// standard error.
    pub(super) fn caller_printed(&mut self, caller: EngineId, out: u64, bytes: &Payload) {
        self.pass_on_prints(caller, usize::MAX);
        let mut stdout = bytes.copied();
        bytes.release();
        let out = usize::try_from(out).unwrap_or(usize::MAX);
        let stderr = stdout.split_off(out.min(stdout.len()));
        self.show(caller, Stream::Stdout, stdout);
        self.show(caller, Stream::Stderr, stderr);
    }

    fn show(&mut self, engine: EngineId, stream: Stream, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
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
