//! A communicator: some of the ranks, or all of them.

use std::any::type_name;
use std::mem::MaybeUninit;

use serde::{Serialize, de::DeserializeOwned};

use super::kind::{self, Buffer, Place, fetched_all, lent, one_number, room};
use super::request::{Message, RecvRequest, SendRequest};
use super::table::{self as c, ANY_RANK, ANY_TAG, Envelope, Got, Kind, Outcome};
use super::{Status, checked, envelope, failed, table};
use crate::host::Bytes;

/// Some of the pool's ranks, numbered from 0. It can be kept in a variable for later cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Communicator {
    number: u32,
}

/// A tag that is sent.
#[track_caller]
#[inline]
fn tag_of(tag: i32) -> i32 {
    assert!(tag >= 0, "a tag is a number from 0 on, and {tag} is not");
    tag
}

/// What [`super::send`] and the others of that name do, among the communicator's ranks.
impl Communicator {
    pub(super) const WORLD: Self = Self { number: 0 };
    pub(super) const NULL: Self = Self { number: c::NULL };

    #[track_caller]
    #[inline]
    pub(super) fn to<T: ?Sized>(self, peer: u32, tag: i32, kind: Kind) -> Envelope {
        envelope(self.number, peer, tag, kind, type_name::<T>())
    }

    #[track_caller]
    fn known(number: u32) -> u32 {
        if number == ANY_RANK {
            failed();
        }
        number
    }

    /// This rank's number here.
    #[track_caller]
    #[must_use]
    pub fn rank(self) -> u32 {
        Self::known((table().rank)(self.number))
    }

    /// How many ranks there are.
    #[track_caller]
    #[must_use]
    pub fn size(self) -> u32 {
        Self::known((table().size)(self.number))
    }

    #[track_caller]
    pub fn send<T: Serialize + ?Sized>(self, value: &T, to: u32) {
        self.send_tag(value, to, 0);
    }

    #[track_caller]
    pub fn send_tag<T: Serialize + ?Sized>(self, value: &T, to: u32, tag: i32) {
        if let Some(kind) = one_number::<T>() {
            let bytes = Bytes {
                start: std::ptr::from_ref(value).cast(),
                len: size_of_val(value),
            };
            return checked((table().send)(&self.to::<T>(to, tag_of(tag), kind), bytes));
        }
        let lent = lent(value);
        let to = self.to::<T>(to, tag_of(tag), lent.kind);
        checked((table().send)(&to, lent.bytes));
    }

    #[track_caller]
    pub fn ssend<T: Serialize + ?Sized>(self, value: &T, to: u32) {
        self.ssend_tag(value, to, 0);
    }

    #[track_caller]
    pub fn ssend_tag<T: Serialize + ?Sized>(self, value: &T, to: u32, tag: i32) {
        let lent = lent(value);
        let to = self.to::<T>(to, tag_of(tag), lent.kind);
        checked((table().ssend)(&to, lent.bytes));
    }

    #[track_caller]
    pub fn recv<T: DeserializeOwned>(self, from: u32) -> T {
        self.receive(from, ANY_TAG).0
    }

    #[track_caller]
    pub fn recv_tag<T: DeserializeOwned>(self, from: u32, tag: i32) -> T {
        self.receive(from, tag_of(tag)).0
    }

    #[track_caller]
    pub fn recv_any<T: DeserializeOwned>(self) -> (T, Status) {
        self.receive(ANY_RANK, ANY_TAG)
    }

    #[track_caller]
    pub fn recv_any_tag<T: DeserializeOwned>(self, tag: i32) -> (T, Status) {
        self.receive(ANY_RANK, tag_of(tag))
    }

    #[track_caller]
    fn receive<T: DeserializeOwned>(self, from: u32, tag: i32) -> (T, Status) {
        let mut got = Got::default();
        if let Some(kind) = one_number::<T>() {
            let mut value = MaybeUninit::<T>::uninit();
            let mut place = Place::of(&mut value);
            let from = self.to::<T>(from, tag, kind);
            checked((table().recv)(&from, place.ctx(), Place::room, &mut got));
            place.has_come();
            // SAFETY: it is a number, and has come.
            return (unsafe { value.assume_init() }, Status::of(got));
        }
        let mut coming = kind::Coming::<T>::new();
        let (kind, mut landing) = coming.landing();
        let from = self.to::<T>(from, tag, kind);
        checked((table().recv)(&from, landing.ctx(), room, &mut got));
        (coming.landed(landing), Status::of(got))
    }

    #[track_caller]
    pub fn recv_into<T: Buffer + ?Sized>(self, value: &mut T, from: u32) -> Status {
        self.receive_into(value, from, ANY_TAG)
    }

    #[track_caller]
    pub fn recv_into_tag<T: Buffer + ?Sized>(self, value: &mut T, from: u32, tag: i32) -> Status {
        self.receive_into(value, from, tag_of(tag))
    }

    #[track_caller]
    fn receive_into<T: Buffer + ?Sized>(self, value: &mut T, from: u32, tag: i32) -> Status {
        let mut got = Got::default();
        let mut from = self.to::<T>(from, tag, Kind::NOTHING);
        let mut ended = Outcome::Done;
        value.fill(&mut |kind, ctx| {
            from.kind = kind;
            ended = (table().recv)(&from, ctx, room, &mut got);
            ended == Outcome::Done
        });
        checked(ended);
        Status::of(got)
    }

    #[track_caller]
    pub fn sendrecv<T: Serialize + DeserializeOwned>(self, value: &T, to: u32, from: u32) -> T {
        self.trade(value, (to, 0), (from, ANY_TAG))
    }

    #[track_caller]
    pub fn sendrecv_tag<T: Serialize + DeserializeOwned>(
        self,
        value: &T,
        to: u32,
        from: u32,
        tag: i32,
    ) -> T {
        let tag = tag_of(tag);
        self.trade(value, (to, tag), (from, tag))
    }

    #[track_caller]
    fn trade<T: Serialize + DeserializeOwned>(
        self,
        value: &T,
        to: (u32, i32),
        from: (u32, i32),
    ) -> T {
        let lent = lent(value);
        let mut got = Got::default();
        let mut coming = kind::Coming::<T>::new();
        let (kind, mut landing) = coming.landing();
        let to = self.to::<T>(to.0, to.1, lent.kind);
        let from = self.to::<T>(from.0, from.1, kind);
        let ended = (table().sendrecv)(&to, lent.bytes, &from, landing.ctx(), room, &mut got);
        checked(ended);
        coming.landed(landing)
    }

    #[track_caller]
    pub fn sendrecv_into<V: Serialize + ?Sized, T: Buffer + ?Sized>(
        self,
        value: &V,
        to: u32,
        came: &mut T,
        from: u32,
    ) -> Status {
        let lent = lent(value);
        let to = self.to::<V>(to, 0, lent.kind);
        let mut from = self.to::<T>(from, ANY_TAG, Kind::NOTHING);
        let (mut got, mut ended) = (Got::default(), Outcome::Done);
        came.fill(&mut |kind, ctx| {
            from.kind = kind;
            ended = (table().sendrecv)(&to, lent.bytes, &from, ctx, room, &mut got);
            ended == Outcome::Done
        });
        checked(ended);
        Status::of(got)
    }

    #[track_caller]
    pub fn sendrecv_replace<T: Serialize + Buffer + ?Sized>(
        self,
        value: &mut T,
        to: u32,
        from: u32,
    ) -> Status {
        let sent = self.isend(value, to);
        let status = self.recv_into(value, from);
        sent.wait();
        status
    }

    #[track_caller]
    pub fn isend<T: Serialize + ?Sized>(self, value: &T, to: u32) -> SendRequest {
        self.isend_tag(value, to, 0)
    }

    #[track_caller]
    pub fn isend_tag<T: Serialize + ?Sized>(self, value: &T, to: u32, tag: i32) -> SendRequest {
        let lent = lent(value);
        let of = self.to::<T>(to, tag_of(tag), lent.kind);
        let number = (table().post_send)(&of, lent.bytes);
        if number == 0 {
            failed();
        }
        SendRequest::new(self.number, to, tag, number)
    }

    #[track_caller]
    pub fn irecv<T: DeserializeOwned>(self, from: u32) -> RecvRequest<T> {
        self.post(from, ANY_TAG)
    }

    #[track_caller]
    pub fn irecv_tag<T: DeserializeOwned>(self, from: u32, tag: i32) -> RecvRequest<T> {
        self.post(from, tag_of(tag))
    }

    #[track_caller]
    pub fn irecv_any<T: DeserializeOwned>(self) -> RecvRequest<T> {
        self.post(ANY_RANK, ANY_TAG)
    }

    #[track_caller]
    fn post<T: DeserializeOwned>(self, from: u32, tag: i32) -> RecvRequest<T> {
        let number = (table().post_recv)(&self.to::<T>(from, tag, Kind::NOTHING));
        if number == 0 {
            failed();
        }
        RecvRequest::new(SendRequest::new(self.number, from, tag, number))
    }

    #[track_caller]
    pub fn probe(self, from: u32) -> Status {
        self.waits_for(from, ANY_TAG)
    }

    #[track_caller]
    pub fn probe_tag(self, from: u32, tag: i32) -> Status {
        self.waits_for(from, tag_of(tag))
    }

    #[track_caller]
    pub fn probe_any(self) -> Status {
        self.waits_for(ANY_RANK, ANY_TAG)
    }

    #[track_caller]
    pub fn iprobe(self, from: u32) -> Option<Status> {
        self.looks_for(from, ANY_TAG, false)
    }

    #[track_caller]
    pub fn iprobe_any(self) -> Option<Status> {
        self.looks_for(ANY_RANK, ANY_TAG, false)
    }

    #[track_caller]
    pub fn mprobe(self, from: u32) -> Message {
        self.taken(self.probe(from))
    }

    #[track_caller]
    pub fn mprobe_any(self) -> Message {
        self.taken(self.probe_any())
    }

    #[track_caller]
    pub fn improbe(self, from: u32) -> Option<Message> {
        self.iprobe(from).map(|status| self.taken(status))
    }

    #[track_caller]
    pub fn improbe_any(self) -> Option<Message> {
        self.iprobe_any().map(|status| self.taken(status))
    }

    /// The message that was seen: the first one that is like it.
    #[track_caller]
    fn taken(self, status: Status) -> Message {
        Message::new(status, self.post(status.from, status.tag))
    }

    #[track_caller]
    fn waits_for(self, from: u32, tag: i32) -> Status {
        match self.looks_for(from, tag, true) {
            Some(status) => status,
            None => failed(),
        }
    }

    #[track_caller]
    fn looks_for(self, from: u32, tag: i32, wait: bool) -> Option<Status> {
        let mut got = Got::default();
        let of = envelope(self.number, from, tag, Kind::NOTHING, "");
        let ended = (table().probe)(&of, wait, &mut got);
        checked(ended);
        (ended == Outcome::Done).then(|| Status::of(got))
    }

    #[track_caller]
    pub fn barrier(self) {
        let of = envelope(self.number, 0, 0, Kind::NOTHING, "");
        checked((table().barrier)(&of));
    }

    #[track_caller]
    pub fn broadcast<T: Serialize + Buffer + ?Sized>(self, value: &mut T, root: u32) {
        let mut of = self.to::<T>(root, 0, Kind::NOTHING);
        if self.rank() == root {
            let lent = lent(value);
            of.kind = lent.kind;
            let none = std::ptr::null_mut();
            checked((table().broadcast)(&of, lent.bytes, none, room));
            return;
        }
        let mut ended = Outcome::Done;
        value.fill(&mut |kind, ctx| {
            of.kind = kind;
            ended = (table().broadcast)(&of, Bytes::of(&[]), ctx, room);
            ended == Outcome::Done
        });
        checked(ended);
    }

    #[track_caller]
    pub fn scatter<T: Serialize + DeserializeOwned>(self, parts: &[T], root: u32) -> T {
        let mut of = self.to::<T>(root, 0, Kind::NOTHING);
        let mut lents = Vec::new();
        if self.rank() == root {
            for part in parts {
                lents.push(lent(part));
            }
        }
        let parts: Vec<Bytes> = lents.iter().map(|lent| lent.bytes).collect();
        let (start, count) = (parts.as_ptr(), parts.len() as u64);
        let mut coming = kind::Coming::<T>::new();
        let (kind, mut landing) = coming.landing();
        of.kind = kind;
        checked((table().scatter)(&of, start, count, landing.ctx(), room));
        coming.landed(landing)
    }

    #[track_caller]
    pub fn gather<T: Serialize + DeserializeOwned>(self, value: &T, root: u32) -> Option<Vec<T>> {
        self.gather_as(value, root, 0)
    }

    #[track_caller]
    pub(super) fn gather_as<T: Serialize + DeserializeOwned>(
        self,
        value: &T,
        root: u32,
        name: i32,
    ) -> Option<Vec<T>> {
        let lent = lent(value);
        let of = self.to::<T>(root, name, lent.kind);
        let is_root = self.rank() == root;
        let count = if is_root { self.size() as usize } else { 0 };
        let mut ended = Outcome::Done;
        let values = fetched_all(count, |_, landing| {
            ended = (table().gather)(&of, lent.bytes, landing.ctx(), room);
            count == 0 || ended == Outcome::Done
        });
        checked(ended);
        is_root.then_some(values)
    }

    #[track_caller]
    pub fn all_gather<T: Serialize + DeserializeOwned>(self, value: &T) -> Vec<T> {
        self.all_gather_as(value, 0)
    }

    #[track_caller]
    pub(super) fn all_gather_as<T: Serialize + DeserializeOwned>(
        self,
        value: &T,
        name: i32,
    ) -> Vec<T> {
        let lent = lent(value);
        let of = self.to::<T>(0, name, lent.kind);
        let mut ended = Outcome::Done;
        let values = fetched_all(self.size() as usize, |_, landing| {
            ended = (table().all_gather)(&of, lent.bytes, landing.ctx(), room);
            ended == Outcome::Done
        });
        checked(ended);
        values
    }

    #[track_caller]
    pub fn all_to_all<T: Serialize + DeserializeOwned>(self, parts: &[T]) -> Vec<T> {
        self.all_to_all_as(parts, 0)
    }

    #[track_caller]
    pub(super) fn all_to_all_as<T: Serialize + DeserializeOwned>(
        self,
        parts: &[T],
        name: i32,
    ) -> Vec<T> {
        let mut lents = Vec::new();
        for part in parts {
            lents.push(lent(part));
        }
        let parts: Vec<Bytes> = lents.iter().map(|lent| lent.bytes).collect();
        let (start, count) = (parts.as_ptr(), parts.len() as u64);
        let mut of = self.to::<T>(0, name, Kind::NOTHING);
        let mut ended = Outcome::Done;
        let values = fetched_all(self.size() as usize, |kind, landing| {
            of.kind = kind;
            ended = (table().all_to_all)(&of, start, count, landing.ctx(), room);
            ended == Outcome::Done
        });
        checked(ended);
        values
    }

    #[track_caller]
    pub fn split(self, color: u32, key: i64) -> Self {
        let of = envelope(self.number, 0, 0, Kind::NOTHING, "");
        let mut number = 0;
        checked((table().split)(&of, color, key, &mut number));
        Self { number }
    }
}
