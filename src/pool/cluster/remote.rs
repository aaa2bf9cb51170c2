//! An engine of a node, as the hub has it. What the hub says goes to the thread of the cluster's session; what the engine says
//! is taken from its seat.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::Cluster;
use super::credit::TOLD;
use super::message::{ToNode, Urgent};
use super::nodes::NodeId;
use super::seat::Seat;
use super::session::Command;
use crate::ids::{EngineId, JobId};
use crate::outcome::{DeathCause, Stream};
use crate::pool::link::Link;
use crate::pool::numbers;
use crate::wire::{FromEngine, Payload, ToEngine, WireError};

pub struct Remote {
    /// As nodes have it: see [`ToNode::Start`].
    pub engine: EngineId,
    pub node: NodeId,
    pub seat: Arc<Seat>,
    pub cluster: Arc<Cluster>,
    /// How many cells it was given.
    pub runs: u64,
    /// Bytes that were taken, and the node does not know of.
    pub unheard: u64,
}

impl Remote {
    fn hurry(&self, word: Urgent) {
        self.cluster.tell(Command::Hurry(self.node, word));
    }

    fn tell(&self, message: ToNode) {
        self.cluster.tell(Command::Tell(self.node, message));
    }

    /// The hub has taken so much of its frames.
    fn heard(&mut self, bytes: u64) {
        self.unheard += bytes;
        if self.unheard >= TOLD {
            let bytes = std::mem::take(&mut self.unheard);
            let engine = self.engine;
            self.tell(ToNode::Heard { engine, bytes });
        }
    }
}

impl Link for Remote {
    fn is_far(&self) -> bool {
        true
    }

    fn send(&mut self, message: &ToEngine, payload: &Payload) {
        self.runs += u64::from(matches!(message, ToEngine::Run { .. }));
        let said = Box::new((message.clone(), payload.clone()));
        self.cluster
            .tell(Command::Say(self.node, self.engine, said));
    }

    fn flush(&mut self) {}

    fn wants_to_write(&self) -> bool {
        false
    }

    fn hear(&mut self) -> (Vec<(FromEngine, Payload)>, Option<WireError>) {
        let (frames, bytes, is_over) = self.seat.hear();
        self.heard(bytes);
        (frames, is_over.then_some(WireError::Closed))
    }

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn pipe(&self, _: Stream) -> Option<BorrowedFd<'_>> {
        None
    }

    fn has_printed(&self) -> bool {
        self.seat.has_printed()
    }

    fn read_printed(&mut self, stream: Stream, at_most: usize, to: &mut Vec<u8>) {
        let bytes = self.seat.read_printed(stream, at_most, to) as u64;
        if bytes > 0 {
            let engine = self.engine;
            self.tell(ToNode::Taken { engine, bytes });
        }
    }

    fn at(&self, job: JobId) -> Option<(u64, u64)> {
        numbers::at(&self.seat.page(), job)
    }

    fn said(&self, place: usize) -> String {
        numbers::said(&self.seat.page(), place)
    }

    fn stop_job(&self, job: JobId) {
        let engine = self.engine;
        self.hurry(Urgent::StopJob { engine, job });
    }

    fn takes_pieces(&self, takes: bool) {
        let engine = self.engine;
        self.tell(ToNode::TakesPieces { engine, takes });
    }

    fn begins_with(&self, run: &ToEngine) {
        let (engine, run) = (self.engine, Box::new(run.clone()));
        self.tell(ToNode::BeginsWith { engine, run });
    }

    fn end_waits(&self) -> bool {
        let engine = self.engine;
        let waits = numbers::waits(&self.seat.page());
        if waits {
            self.hurry(Urgent::EndWaits { engine });
        }
        waits
    }

    fn signal(&self, signal: Signal) {
        let (engine, signal) = (self.engine, signal as i32);
        self.tell(ToNode::Signal { engine, signal });
    }

    fn interrupt(&self, signal: Signal) {
        let (engine, run, signal) = (self.engine, self.runs, signal as i32);
        self.hurry(Urgent::Interrupt {
            engine,
            run,
            signal,
        });
    }

    fn has_ended(&mut self) -> Option<DeathCause> {
        self.seat.cause()
    }

    /// It does not wait: the end of an engine is known when its last word is heard, and whoever ends it by himself needs no word
    /// of that from another host.
    fn bury(&mut self, _: Duration) -> DeathCause {
        self.seat.cause().unwrap_or_else(|| {
            self.signal(Signal::SIGKILL);
            DeathCause::Unknown
        })
    }

    fn pid(&self) -> u32 {
        self.seat.pid()
    }

    fn memory(&self) -> Option<u64> {
        self.seat.memory()
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.cluster.tell(Command::LetGo(self.node, self.engine));
    }
}
