//! Sends and receives that go on while the cell does something else.

use std::any::type_name;
use std::ffi::c_void;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use super::table::{Got, Kind, Outcome};
use super::{Status, checked, envelope, kind, table};

/// A send that goes on. Dropped, it goes on too.
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
    of: SendRequest,
    value: PhantomData<fn() -> T>,
}

/// What [`super::wait_all`] waits for.
pub trait Wait {
    /// What comes of it.
    type Value;

    /// Waits until it is done.
    #[track_caller]
    fn wait(self) -> Self::Value;
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
        let of = envelope(self.comm, self.peer, self.tag, Kind::NOTHING, "");
        let (mut got, number) = (Got::default(), self.number);
        let ended = (table().complete)(&of, number, wait, std::ptr::null_mut(), none, &mut got);
        if ended == Outcome::NotYet {
            return false;
        }
        self.number = 0;
        checked(ended);
        true
    }
}

impl Wait for SendRequest {
    type Value = ();

    #[track_caller]
    fn wait(self) {
        Self::wait(self);
    }
}

impl<T> RecvRequest<T> {
    pub(super) fn new(of: SendRequest) -> Self {
        Self {
            of,
            value: PhantomData,
        }
    }
}

impl<T> Drop for RecvRequest<T> {
    fn drop(&mut self) {
        if self.of.number != 0 {
            (table().forget)(self.of.number);
        }
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
        match self.complete(true) {
            Some(done) => done,
            None => panic!("the value of this request was given before"),
        }
    }

    /// The value, once, if it is there now.
    #[track_caller]
    pub fn test(&mut self) -> Option<T> {
        self.complete(false).map(|(value, _)| value)
    }

    #[track_caller]
    fn complete(&mut self, wait: bool) -> Option<(T, Status)> {
        if self.of.number == 0 {
            return None;
        }
        let SendRequest {
            comm,
            peer,
            tag,
            number,
        } = self.of;
        let mut got = Got::default();
        let mut coming = kind::Coming::<T>::new();
        let (kind, mut landing) = coming.landing();
        let of = envelope(comm, peer, tag, kind, type_name::<T>());
        let ended = (table().complete)(&of, number, wait, landing.ctx(), kind::room, &mut got);
        if ended == Outcome::NotYet {
            return None;
        }
        self.of.number = 0;
        checked(ended);
        Some((coming.landed(landing), Status::of(got)))
    }
}

impl<T: DeserializeOwned> Wait for RecvRequest<T> {
    type Value = T;

    #[track_caller]
    fn wait(self) -> T {
        Self::wait(self)
    }
}
