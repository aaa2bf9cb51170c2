//! Messages between ranks. What a cell calls comes here by the C table, and goes to a [`Transport`]: memory that the
//! ranks share, or MPI.

mod collectives;
mod judge;
mod matching;
mod meeting;
mod mpi;
mod mpi_any;
mod mpi_collectives;
mod mpi_handle;
mod mpi_layout;
mod mpi_meeting;
mod mpi_parts;
mod mpi_receiving;
mod mpi_sending;
mod mpi_transport;
mod mpi_waiting;
mod numbers;
mod polls;
pub mod relay;
mod ring;
mod roots;
mod seat;
mod shared;
mod synchronous;
mod waiting;
mod words;
mod world;

use regatta_cell::comm::table::{Envelope, Got, Op, Reduction, Room};
use std::ffi::c_void;

use crate::wire::world::{Call, CommTold, Unreceived};
pub use seat::{Seat, answer, begins, forget, in_plain_cell, leave, sit_down, tell, with};

/// Why a call has failed.
#[derive(Debug)]
pub enum Trouble {
    /// What the user is to change.
    Usage(String),
    /// What the session is told, too.
    Told(Box<CommTold>),
    /// The rank's wait is part of a deadlock, of which another has told.
    Deadlock(Call),
    /// Ctrl-C has ended it.
    Stopped(Call),
    /// Ctrl-C had ended the run before it began.
    Interrupted,
}

/// Where the bytes of what comes are put.
#[derive(Clone, Copy)]
pub struct Into {
    pub ctx: *mut c_void,
    pub room: Room,
}

impl Into {
    /// Room for so many bytes; null when there is none.
    pub fn room(self, part: u64, bytes: u64) -> *mut u8 {
        (self.room)(self.ctx, part, bytes)
    }
}

/// A request that was posted; from 1.
pub type Request = u64;

/// How ranks of a pool speak. Its user is the one thread that is the rank. Ranks are those of the envelope's
/// communicator, tags and types are checked by the receiver, and whatever waits ends with a [`Trouble`] when it would
/// wait for ever.
pub trait Transport {
    /// A cell begins.
    fn begin(&mut self);

    /// The cell has ended, and the rank sends nothing more in it.
    fn end(&mut self);

    /// The caller's rank in a communicator, and its size.
    fn place(&self, comm: u32) -> Result<(u32, u32), Trouble>;

    fn send(&mut self, to: &Envelope, value: &[u8]) -> Result<(), Trouble>;

    /// Sends it, and waits until a receive has taken it.
    fn ssend(&mut self, to: &Envelope, value: &[u8]) -> Result<(), Trouble>;

    fn post_send(&mut self, to: &Envelope, value: &[u8]) -> Result<Request, Trouble>;

    fn recv(&mut self, from: &Envelope, into: Into) -> Result<Got, Trouble>;

    fn post_recv(&mut self, from: &Envelope) -> Result<Request, Trouble>;

    /// `None`: it is not done, and was not to be waited for.
    fn complete(
        &mut self,
        of: &Envelope,
        request: Request,
        wait: bool,
        into: Into,
    ) -> Result<Option<Got>, Trouble>;

    /// The place of a request that is done; 0 is none. `None`: none is done, and it was not to be waited for.
    fn await_any(
        &mut self,
        of: &Envelope,
        requests: &[Request],
        wait: bool,
    ) -> Result<Option<usize>, Trouble>;

    fn forget(&mut self, request: Request);

    fn sendrecv(
        &mut self,
        to: &Envelope,
        value: &[u8],
        from: &Envelope,
        into: Into,
    ) -> Result<Got, Trouble>;

    fn probe(&mut self, of: &Envelope, wait: bool) -> Result<Option<Got>, Trouble>;

    fn barrier(&mut self, of: &Envelope) -> Result<(), Trouble>;

    /// `value`: the root's.
    fn broadcast(&mut self, of: &Envelope, value: &[u8], into: Into) -> Result<(), Trouble>;

    /// `parts`: the root's.
    fn scatter(&mut self, of: &Envelope, parts: &[&[u8]], into: Into) -> Result<(), Trouble>;

    fn gather(&mut self, of: &Envelope, value: &[u8], into: Into) -> Result<(), Trouble>;

    fn all_gather(&mut self, of: &Envelope, value: &[u8], into: Into) -> Result<(), Trouble>;

    fn all_to_all(&mut self, of: &Envelope, parts: &[&[u8]], into: Into) -> Result<(), Trouble>;

    /// `to`: room for as many numbers, or null where nothing comes.
    fn reduce(
        &mut self,
        of: &Envelope,
        who: Reduction,
        op: Op,
        numbers: &[u8],
        to: *mut u8,
    ) -> Result<(), Trouble>;

    /// The number of the new communicator.
    fn split(&mut self, of: &Envelope, color: u32, key: i64) -> Result<u32, Trouble>;

    /// What has come and has not been received; dropped with `clear`.
    fn unreceived(&mut self, clear: bool) -> Vec<Unreceived>;
}
