//! Sends and receives that go on while the cell does something else.

use std::any::type_name;
use std::ffi::c_void;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use super::table::{Envelope, Got, Kind, Outcome};
use super::{Status, checked, envelope, kind, table};

/// A send that goes on. Dropped, it goes on too, and what is kept of it is given back once it has gone: as with MPI's
/// `MPI_Request_free`.
#[derive(Debug)]
#[must_use = "whether the value has gone, `wait` tells"]
pub struct SendRequest {
    comm: u32,
    peer: u32,
    tag: i32,
    /// 0: it is completed.
    number: u64,
}

/// A receive that goes on. Dropped, it is withdrawn, and its message is there for others.
#[derive(Debug)]
#[must_use = "the value comes by `wait`"]
pub struct RecvRequest<T> {
    /// What all requests have; dropped, it is withdrawn.
    of: SendRequest,
    value: PhantomData<fn() -> T>,
}

/// What [`super::wait_all`] and [`super::wait_any`] wait for.
pub trait Wait {
    /// What comes of it.
    type Value;

    /// Waits until it is done.
    #[track_caller]
    fn wait(self) -> Self::Value;

    /// Its number; 0: it is over.
    #[doc(hidden)]
    fn number(&self) -> u64;

    #[doc(hidden)]
    #[track_caller]
    fn envelope(&self) -> Envelope;

    /// What has come of it, once.
    #[doc(hidden)]
    #[track_caller]
    fn take(&mut self) -> Self::Value;
}

/// A message that has come, and that no other receive gets. Dropped, it is there for others again.
#[derive(Debug)]
#[must_use = "the value comes by `recv`"]
pub struct Message {
    status: Status,
    request: RecvRequest<()>,
}

impl Message {
    pub(super) fn new(status: Status, request: RecvRequest<()>) -> Self {
        Self { status, request }
    }

    /// Who has sent it, its tag and its bytes.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// The value.
    ///
    /// # Panics
    /// When it was sent as another type.
    #[track_caller]
    pub fn recv<T: DeserializeOwned>(mut self) -> T {
        let of = &mut self.request.of;
        let number = std::mem::take(&mut of.number);
        RecvRequest::new(SendRequest::new(of.comm, of.peer, of.tag, number)).wait()
    }
}

impl SendRequest {
    pub(super) fn new(comm: u32, peer: u32, tag: i32, number: u64) -> Self {
        Self {
            comm,
            peer,
            tag,
            number,
        }
    }

    /// Waits until the value has gone.
    ///
    /// # Panics
    /// When that would be for ever.
    #[track_caller]
    pub fn wait(mut self) {
        self.complete(true);
    }

    /// Whether the value has gone.
    #[track_caller]
    pub fn test(&mut self) -> bool {
        self.complete(false)
    }

    #[track_caller]
    fn complete(&mut self, wait: bool) -> bool {
        extern "C" fn none(_: *mut c_void, _: u64, _: u64) -> *mut u8 {
            std::ptr::dangling_mut()
        }
        if self.number == 0 {
            return true;
        }
        let of = self.envelope();
        let (mut got, number) = (Got::default(), self.number);
        let ended = (table().complete)(&of, number, wait, std::ptr::null_mut(), none, &mut got);
        if ended == Outcome::NotYet {
            return false;
        }
        // One that has failed is let go of when it is dropped.
        checked(ended);
        self.number = 0;
        true
    }
}

impl Drop for SendRequest {
    fn drop(&mut self) {
        if self.number != 0 {
            (table().forget)(self.number);
        }
    }
}

impl Wait for SendRequest {
    type Value = ();

    #[track_caller]
    fn wait(self) {
        Self::wait(self);
    }

    fn number(&self) -> u64 {
        self.number
    }

    #[track_caller]
    fn envelope(&self) -> Envelope {
        envelope(self.comm, self.peer, self.tag, Kind::NOTHING, "")
    }

    #[track_caller]
    fn take(&mut self) {
        self.complete(true);
    }
}

impl<T> RecvRequest<T> {
    pub(super) fn new(of: SendRequest) -> Self {
        Self {
            of,
            value: PhantomData,
        }
    }

    #[track_caller]
    fn of_kind(&self, kind: Kind) -> Envelope {
        let of = &self.of;
        envelope(of.comm, of.peer, of.tag, kind, type_name::<T>())
    }
}

impl<T: DeserializeOwned> RecvRequest<T> {
    /// Waits for the value.
    ///
    /// # Panics
    /// When that would be for ever, or another type has come.
    #[track_caller]
    pub fn wait(self) -> T {
        self.wait_status().0
    }

    /// The same, and who has sent it.
    #[track_caller]
    pub fn wait_status(mut self) -> (T, Status) {
        self.done()
    }

    #[track_caller]
    fn done(&mut self) -> (T, Status) {
        match self.complete(true) {
            Some(done) => done,
            None => panic!("the value of this request was given before"),
        }
    }

    /// The value, once, if it is there now.
    ///
    /// # Panics
    /// When it is asked for again and again, nothing else is done, and nobody is left who could send it.
    #[track_caller]
    pub fn test(&mut self) -> Option<T> {
        self.complete(false).map(|(value, _)| value)
    }

    #[track_caller]
    fn complete(&mut self, wait: bool) -> Option<(T, Status)> {
        if self.of.number == 0 {
            return None;
        }
        let mut got = Got::default();
        let mut coming = kind::Coming::<T>::new();
        let (kind, mut landing) = coming.landing();
        let (of, number) = (self.of_kind(kind), self.of.number);
        let ended = (table().complete)(&of, number, wait, landing.ctx(), kind::room, &mut got);
        if ended == Outcome::NotYet {
            return None;
        }
        checked(ended);
        self.of.number = 0;
        Some((coming.landed(landing), Status::of(got)))
    }
}

impl<T: DeserializeOwned> Wait for RecvRequest<T> {
    type Value = T;

    #[track_caller]
    fn wait(self) -> T {
        Self::wait(self)
    }

    fn number(&self) -> u64 {
        self.of.number
    }

    #[track_caller]
    fn envelope(&self) -> Envelope {
        self.of_kind(kind::form::<T>(size_of::<T>()).kind)
    }

    #[track_caller]
    fn take(&mut self) -> T {
        self.done().0
    }
}
