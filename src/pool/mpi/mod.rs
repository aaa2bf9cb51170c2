//! Engines that `mpiexec` starts, all of a pool by one command. MPI ends them together, so what has happened to one
//! has happened to all: they share a [`World`].

mod launch;
mod words;
mod world;

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::eventfd::EventFd;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Launch;
use super::link::Link;
use super::process::cause;
use super::wires::{Wires, resident};
use crate::ids::{JobId, Rank};
use crate::outcome::{DeathCause, Stream};
use crate::wire::{FromEngine, Payload, ToEngine, WireError};
pub use launch::start;
use world::World;

/// An engine of an MPI pool.
struct Member {
    launch: Launch,
    world: Arc<World>,
    /// Rings when it has joined, and when the world has ended.
    bell: Arc<EventFd>,
    /// Once it has joined.
    wires: Option<Wires>,
    pid: u32,
    /// By which its wait status is told.
    end: Option<OwnedFd>,
    /// Its connection has ended.
    is_gone: bool,
    /// What it is sent before it has joined.
    early: Vec<(ToEngine, Payload)>,
}

impl Member {
    fn rank(&self) -> Rank {
        self.launch.rank
    }

    /// Takes its connection, when it has come.
    fn join(&mut self) {
        let Some(joined) = self.world.take(self.rank()) else {
            return;
        };
        self.pid = joined.pid;
        let [end, stdout, stderr] = joined.pipes;
        self.end = Some(end);
        match Wires::open(joined.channel, [Some(stdout), Some(stderr)], &self.launch) {
            Ok(mut wires) => {
                for (message, payload) in self.early.drain(..) {
                    wires.send(&message, &payload);
                }
                wires.flush();
                self.wires = Some(wires);
            }
            Err(_) => self.leaves(),
        }
    }

    fn ended(&self) -> DeathCause {
        let mut status = [0; 4];
        let read = self
            .end
            .as_ref()
            .map(|pipe| rustix::io::read(pipe, &mut status));
        let told = read.is_some_and(|read| read == Ok(status.len()));
        let told = told.then(|| ExitStatus::from_raw(i32::from_ne_bytes(status)));
        self.world.cause_of(self.rank(), told.map(cause))
    }

    /// Its connection has ended; what becomes of it is known when the world has ended.
    fn leaves(&mut self) {
        if !self.is_gone {
            self.is_gone = true;
            self.world.left(self.rank());
        }
    }
}

impl Link for Member {
    fn send(&mut self, message: &ToEngine, payload: &Payload) {
        match &mut self.wires {
            Some(wires) => wires.send(message, payload),
            None => self.early.push((message.clone(), payload.clone())),
        }
    }

    fn flush(&mut self) {
        if let Some(wires) = self.wires.as_mut() {
            wires.flush();
        }
    }

    fn wants_to_write(&self) -> bool {
        !self.is_gone && self.wires.as_ref().is_some_and(Wires::wants_to_write)
    }

    fn hear(&mut self) -> (Vec<(FromEngine, Payload)>, Option<WireError>) {
        let _ = self.bell.read();
        if self.wires.is_none() {
            self.join();
        }
        let mut frames = Vec::new();
        if let Some(wires) = self.wires.as_mut().filter(|_| !self.is_gone) {
            let (heard, ended) = wires.hear();
            frames = heard;
            match ended {
                Some(error @ WireError::Version(_)) => return (frames, Some(error)),
                Some(_) => self.leaves(),
                None => {}
            }
        }
        let ended = self.world.has_ended().then_some(WireError::Closed);
        (frames, ended)
    }

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        match &self.wires {
            Some(wires) if !self.is_gone => Some(wires.socket()),
            _ => Some(self.bell.as_fd()),
        }
    }

    fn pipe(&self, stream: Stream) -> Option<BorrowedFd<'_>> {
        self.wires.as_ref()?.pipe(stream)
    }

    fn read_printed(&mut self, stream: Stream, at_most: usize, to: &mut Vec<u8>) {
        if let Some(wires) = &mut self.wires {
            wires.read_printed(stream, at_most, to);
        }
    }

    fn at(&self, job: JobId) -> Option<(u64, u64)> {
        self.wires.as_ref()?.page.at(job)
    }

    fn said(&self, place: usize) -> String {
        let said = |wires: &Wires| wires.page.said(place);
        self.wires.as_ref().map(said).unwrap_or_default()
    }

    fn stop_job(&self, job: JobId) {
        if let Some(wires) = &self.wires {
            wires.page.stop_job(job);
        }
    }

    fn end_waits(&self) -> bool {
        self.wires.as_ref().is_some_and(|it| it.page.end_waits())
    }

    fn signal(&self, signal: Signal) {
        if self.pid == 0 {
            return self.world.kill();
        }
        // It may be gone already, which is what the signal is for.
        if !self.world.has_ended() {
            let _ = kill(Pid::from_raw(self.pid.cast_signed()), signal);
        }
    }

    /// An idle one is let go: it ends its part in MPI itself, so that MPI's own files go too.
    fn dismiss(&self, is_idle: bool) {
        match &self.wires {
            Some(wires) if is_idle => wires.hang_up(),
            _ => self.signal(Signal::SIGKILL),
        }
    }

    fn has_ended(&mut self) -> Option<DeathCause> {
        self.world.end_if_late();
        let ended = self.world.has_ended();
        // How is told once, when it is buried.
        ended.then(|| self.world.cause_of(self.rank(), None))
    }

    fn bury(&mut self, patience: Duration) -> DeathCause {
        self.world.wait_for_end(patience);
        self.ended()
    }

    fn pid(&self) -> u32 {
        self.pid
    }

    fn memory(&self) -> Option<u64> {
        resident(self.pid)
    }
}
