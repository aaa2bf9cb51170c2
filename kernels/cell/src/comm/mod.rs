//! Ranks speak with each other, as in MPI: in `%px` cells each engine of the pool, or each thread of a thread pool, is
//! a rank. Names, the order of arguments and what they mean are MPI's. Values are whatever serde can write; numbers,
//! and `Vec`s, slices and arrays of them, are copied as they lie in memory.
//!
//! What would wait for ever ends the cell with what everybody waits for.
//!
//! To and from [`PROC_NULL`] nothing goes: so the ranks at the edge of a grid make the same calls as the others.
//! `recv_into`, `sendrecv_into` and `sendrecv_replace` leave the value as it is then.
//!
//! MPI's persistent requests have nothing to keep here: a message's way is set up when two ranks first speak, and a call
//! that is made again is a closure.

mod communicator;
pub(crate) mod kind;
pub mod op;
mod reductions;
mod request;
mod several;
#[doc(hidden)]
pub mod table;

use std::panic::Location;

use serde::{Serialize, de::DeserializeOwned};

pub use communicator::Communicator;
pub use kind::Buffer;
pub use request::{Message, RecvRequest, SendRequest, Wait};
pub use several::{test_all, test_any, test_some, wait_all, wait_any, wait_some};
use table::{Envelope, Got, Kind, Outcome, Table};
pub use table::{PROC_NULL, UNDEFINED};

use crate::host::{Bytes, host, text_of};

/// All ranks of the pool.
pub const WORLD: Communicator = Communicator::WORLD;

/// None of them: what `split` gives to a rank whose color is [`UNDEFINED`].
pub const NULL: Communicator = Communicator::NULL;

/// Of a message: who has sent it (a rank of the communicator), its tag, and its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    pub from: u32,
    pub tag: i32,
    pub bytes: u64,
}

impl Status {
    #[inline]
    fn of(got: Got) -> Self {
        Self {
            from: got.from,
            tag: got.tag,
            bytes: got.bytes,
        }
    }
}

#[inline]
fn table() -> &'static Table {
    &host().comm
}

#[track_caller]
#[inline]
fn envelope(comm: u32, peer: u32, tag: i32, kind: Kind, name: &'static str) -> Envelope {
    let at = Location::caller();
    Envelope {
        comm,
        peer,
        tag,
        kind,
        name: Bytes::of(name.as_bytes()),
        file: Bytes::of(at.file().as_bytes()),
        line: at.line(),
    }
}

/// Ends the cell when a call has failed.
#[track_caller]
#[inline]
fn checked(outcome: Outcome) {
    if outcome == Outcome::Failed {
        failed();
    }
}

#[track_caller]
#[cold]
fn failed() -> ! {
    panic!("{}", text_of(|to, write| (host().failure)(to, write)));
}

macro_rules! of_all {
    ($($(#[$doc:meta])* fn $name:ident $([$($generic:tt)*])? ($($argument:ident: $type:ty),*) $(-> $result:ty)?;)+) => {
        $($(#[$doc])*
        #[track_caller]
        #[inline]
        pub fn $name $(<$($generic)*>)? ($($argument: $type),*) $(-> $result)? {
            WORLD.$name($($argument),*)
        })+
    };
}

of_all! {
    /// This rank's number, from 0.
    fn rank() -> u32;
    /// How many ranks there are.
    fn size() -> u32;
    /// Sends a value to a rank; returns when the value may change again, which may be before it is received.
    fn send[T: Serialize + ?Sized](value: &T, to: u32);
    /// The same with a tag, from 0 on, by which the receiver can tell messages apart; `send`'s is 0.
    fn send_tag[T: Serialize + ?Sized](value: &T, to: u32, tag: i32);
    /// Sends a value to a rank, and waits until a receive there has taken it.
    fn ssend[T: Serialize + ?Sized](value: &T, to: u32);
    /// The same with a tag.
    fn ssend_tag[T: Serialize + ?Sized](value: &T, to: u32, tag: i32);
    /// Waits for the next value from a rank, whatever its tag.
    fn recv[T: DeserializeOwned](from: u32) -> T;
    /// The same of those with a tag.
    fn recv_tag[T: DeserializeOwned](from: u32, tag: i32) -> T;
    /// Waits for the next value from any rank; the status tells from which.
    fn recv_any[T: DeserializeOwned]() -> (T, Status);
    /// The same of those with a tag.
    fn recv_any_tag[T: DeserializeOwned](tag: i32) -> (T, Status);
    /// Receives into a value that is there: a `Vec` of numbers keeps its memory, a slice takes just as many numbers.
    fn recv_into[T: Buffer + ?Sized](value: &mut T, from: u32) -> Status;
    /// The same with a tag.
    fn recv_into_tag[T: Buffer + ?Sized](value: &mut T, from: u32, tag: i32) -> Status;
    /// Sends to one rank and receives from one, at the same time.
    fn sendrecv[T: Serialize + DeserializeOwned](value: &T, to: u32, from: u32) -> T;
    /// The same with a tag for both.
    fn sendrecv_tag[T: Serialize + DeserializeOwned](value: &T, to: u32, from: u32, tag: i32) -> T;
    /// Sends to one rank and receives from one into a value that is there.
    fn sendrecv_into[V: Serialize + ?Sized, T: Buffer + ?Sized](value: &V, to: u32, came: &mut T, from: u32) -> Status;
    /// Sends a value, and puts what comes in its place.
    fn sendrecv_replace[T: Serialize + Buffer + ?Sized](value: &mut T, to: u32, from: u32) -> Status;
    /// Sends, and does not wait for the value to go. A large one that has no room goes on as long as its receiver is in
    /// the cell, and is dropped then: a `wait` for it tells so.
    fn isend[T: Serialize + ?Sized](value: &T, to: u32) -> SendRequest;
    /// The same with a tag.
    fn isend_tag[T: Serialize + ?Sized](value: &T, to: u32, tag: i32) -> SendRequest;
    /// Receives, and does not wait for the value; receives get values in the order in which they were called.
    fn irecv[T: DeserializeOwned](from: u32) -> RecvRequest<T>;
    /// The same with a tag.
    fn irecv_tag[T: DeserializeOwned](from: u32, tag: i32) -> RecvRequest<T>;
    /// The same from any rank.
    fn irecv_any[T: DeserializeOwned]() -> RecvRequest<T>;
    /// Waits until there is a message from a rank, and leaves it there.
    fn probe(from: u32) -> Status;
    /// The same of those with a tag.
    fn probe_tag(from: u32, tag: i32) -> Status;
    /// The same from any rank.
    fn probe_any() -> Status;
    /// Whether there is a message from a rank. Asked again and again, and nothing else done, it ends as `probe` does when
    /// that rank has left.
    fn iprobe(from: u32) -> Option<Status>;
    /// Whether there is a message from any rank.
    fn iprobe_any() -> Option<Status>;
    /// Waits for a message from a rank and takes it, to receive it when its status has been looked at.
    fn mprobe(from: u32) -> Message;
    /// The same from any rank.
    fn mprobe_any() -> Message;
    /// Takes a message from a rank, if there is one.
    fn improbe(from: u32) -> Option<Message>;
    /// The same from any rank.
    fn improbe_any() -> Option<Message>;
    /// Waits until all ranks are here.
    fn barrier();
    /// The root's value comes into everybody's.
    fn broadcast[T: Serialize + Buffer + ?Sized](value: &mut T, root: u32);
    /// The root deals parts out, one for each rank; the others' parts do not matter.
    fn scatter[T: Serialize + DeserializeOwned](parts: &[T], root: u32) -> T;
    /// The root gets everybody's value, in the order of the ranks; the others `None`.
    fn gather[T: Serialize + DeserializeOwned](value: &T, root: u32) -> Option<Vec<T>>;
    /// Everybody gets everybody's value, in the order of the ranks.
    fn all_gather[T: Serialize + DeserializeOwned](value: &T) -> Vec<T>;
    /// Each rank sends a part to each, and gets one from each.
    fn all_to_all[T: Serialize + DeserializeOwned](parts: &[T]) -> Vec<T>;
    /// The root gets the values made one by an operation, as those in [`op`]; the others `None`.
    fn reduce[T: Serialize + DeserializeOwned, F: Fn(T, T) -> T](value: &T, op: F, root: u32) -> Option<T>;
    /// Everybody gets it.
    fn all_reduce[T: Serialize + DeserializeOwned, F: Fn(T, T) -> T](value: &T, op: F) -> T;
    /// Each rank gets that of the ranks up to itself.
    fn scan[T: Serialize + DeserializeOwned, F: Fn(T, T) -> T](value: &T, op: F) -> T;
    /// Each rank gets that of the ranks before it; the first one `None`.
    fn exscan[T: Serialize + DeserializeOwned, F: Fn(T, T) -> T](value: &T, op: F) -> Option<T>;
    /// Each rank gives a part for each; what comes for a rank is made one.
    fn reduce_scatter[T: Serialize + DeserializeOwned, F: Fn(T, T) -> T](parts: &[T], op: F) -> T;
    /// A communicator of all ranks that give the same color; they are numbered in the order of their keys. Who gives
    /// [`UNDEFINED`] is in none, and gets [`NULL`].
    fn split(color: u32, key: i64) -> Communicator;
}

/// The name of the machine on which this rank runs.
#[must_use]
pub fn processor_name() -> String {
    text_of(|to, write| (table().processor_name)(to, write))
}
