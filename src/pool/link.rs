//! One engine as the hub sees it, and where engines come from: what every kind of engine has to be able to do.
//! Neither waits for anything but an engine's end.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::{Launch, MpiStart};
use crate::ids::JobId;
use crate::outcome::{DeathCause, Stream};
use crate::wire::{FromEngine, Payload, ToEngine, WireError};

/// Where engines come from.
pub trait Launcher: Send {
    fn launch(&mut self, launch: &Launch) -> io::Result<Box<dyn Link>>;

    /// Starts engines that begin and end together, by rank.
    fn launch_together(
        &mut self,
        launches: &[Launch],
        start: &MpiStart,
    ) -> io::Result<Vec<Box<dyn Link>>>;

    /// A variable of the environment that later engines begin with; `None`: they do not have it.
    fn set_environment(&mut self, name: &str, value: Option<&str>);
}

/// A connection to one engine. That it is broken shows when hearing.
pub trait Link: Send {
    /// Queues a frame.
    fn send(&mut self, message: &ToEngine, payload: &Payload);

    /// The engine is on another host.
    fn is_far(&self) -> bool {
        false
    }

    /// Sends as much of what is queued as goes without waiting.
    fn flush(&mut self);

    fn wants_to_write(&self) -> bool;

    /// The whole frames that have come, and whether the connection has ended.
    fn hear(&mut self) -> (Vec<(FromEngine, Payload)>, Option<WireError>);

    /// What is ready to be read when there is something to hear.
    fn socket(&self) -> Option<BorrowedFd<'_>>;

    /// What is ready to be read when there is something printed.
    fn pipe(&self, stream: Stream) -> Option<BorrowedFd<'_>>;

    /// Something printed waits that no file tells of.
    fn has_printed(&self) -> bool {
        false
    }

    /// Reads what the user's code has printed by now, until `to` has so many bytes.
    fn read_printed(&mut self, stream: Stream, at_most: usize, to: &mut Vec<u8>);

    /// The item of this job that the engine is at, and a number that changes with each item.
    fn at(&self, job: JobId) -> Option<(u64, u64)>;

    /// The last line that a command of the engine's has printed; on threads that of the thread with this number.
    fn said(&self, place: usize) -> String;

    /// Tells the engine to end the chunks of a job after their current item.
    fn stop_job(&self, job: JobId);

    /// Ends the calls in which the engine waits for others; false when it waits in none.
    fn end_waits(&self) -> bool;

    fn signal(&self, signal: Signal);

    /// A signal for the cell that it was given last: one on another host does not get it when that has ended meanwhile.
    fn interrupt(&self, signal: Signal) {
        self.signal(signal);
    }

    /// Whether it gets something to do that does not come from the hub.
    fn takes_pieces(&self, _takes: bool) {}

    /// What this engine has run first, or will: so does one that its host starts in its place without the hub.
    fn begins_with(&self, _run: &ToEngine) {}

    /// It is not wanted any more.
    fn dismiss(&self, _is_idle: bool) {
        self.signal(Signal::SIGKILL);
    }

    /// Whether the engine has ended, and how.
    fn has_ended(&mut self) -> Option<DeathCause>;

    /// Ends the engine and whatever it started, unless it ends itself so soon; tells how it ended.
    fn bury(&mut self, patience: Duration) -> DeathCause;

    fn pid(&self) -> u32;

    /// Resident memory in bytes.
    fn memory(&self) -> Option<u64>;
}
