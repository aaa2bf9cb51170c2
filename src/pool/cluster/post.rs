//! One end of the way between a session and a node: messages to the other end, which come once and in order as long as
//! both live, whatever becomes of the server between them.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::body::Body;
use super::message::{GIVEN_UP, Join};
use super::ordered::{Came, Garbage, Inbox, Outbox, Writes};
use super::pace::Pace;
use super::users::inbox;
use crate::wire::memory_file;

/// How both ends connect to the server, under a name for its listings. `told` hears when they are connected and when not.
pub fn options(
    join: &Join,
    name: &str,
    told: UnboundedSender<Event>,
) -> std::io::Result<ConnectOptions> {
    let mut options = match (&join.credentials, &join.user, &join.password) {
        (Some(credentials), ..) => ConnectOptions::with_credentials(credentials)?,
        (None, user, _) if user.is_empty() => ConnectOptions::new(),
        // A URL with one word before the `@` has a token.
        (None, token, password) if password.is_empty() => ConnectOptions::with_token(token.clone()),
        (None, user, password) => {
            ConnectOptions::with_user_and_password(user.clone(), password.clone())
        }
    };
    let mut pinned = None;
    if let Some(certificate) = &join.certificate {
        // The client takes what it trusts from a file. This one has no name, and lives as long as the connection.
        let file = memory_file()?;
        file.write_all_at(certificate.as_bytes(), 0)?;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        options = options.add_root_certificates(path.into()).require_tls(true);
        pinned = Some(file);
    }
    let pinned = Arc::new(pinned);
    Ok(options
        .name(name)
        .custom_inbox_prefix(inbox(join))
        // Nodes are told the way by which they reach it; others that it knows are not theirs.
        .ignore_discovered_servers()
        .max_reconnects(None)
        .ping_interval(PING)
        .reconnect_delay_callback(delay)
        .event_callback(move |event| {
            let (told, pinned) = (told.clone(), pinned.clone());
            async move {
                // Who ends needs no word of it.
                let _ = told.send(event);
                drop(pinned);
            }
        }))
}

/// How long to wait before the server is tried again: it is back soon when it was killed.
fn delay(tries: usize) -> Duration {
    Duration::from_millis(5 << tries.min(6))
}

/// How often the server is asked whether it answers, when it says nothing. One that does not answer three times stands still.
const PING: Duration = Duration::from_secs(1);

/// When nothing has been acknowledged for so long, the other end is asked what it has.
const ASK: Duration = Duration::from_millis(300);

/// What has come is acknowledged after so long, when nothing goes the other way.
const TELL: Duration = Duration::from_millis(20);

/// A message of the server carries so many bytes of fragments that wait at the same time: it costs each side, and the server, as
/// much as a long one does. A longer fragment has one of its own.
const TOGETHER: usize = 16 * 1024;

/// What a letter holds, and the epoch of the session that it is from or to, which stands behind it in little-endian. Numbers of
/// fragments begin anew with each session.
fn parts(letter: &[u8]) -> Option<(&[u8], u64)> {
    let (letter, epoch) = letter.split_last_chunk()?;
    Some((letter, u64::from_le_bytes(*epoch)))
}

/// Puts a fragment behind those that are in a letter, and its length, little-endian, behind it.
fn enclose(letter: &mut Vec<u8>, fragment: Vec<u8>) {
    let length = fragment.len() as u32;
    match letter.is_empty() {
        true => *letter = fragment,
        false => letter.extend_from_slice(&fragment),
    }
    letter.extend_from_slice(&length.to_le_bytes());
}

/// The fragments of a letter.
fn enclosed(mut letter: &[u8]) -> Result<Vec<&[u8]>, Garbage> {
    let mut fragments = Vec::new();
    while let Some((rest, length)) = letter.split_last_chunk() {
        let length = u32::from_le_bytes(*length) as usize;
        let begin = rest.len().checked_sub(length).ok_or(Garbage)?;
        let (rest, fragment) = rest.split_at(begin);
        fragments.push(fragment);
        letter = rest;
    }
    fragments.reverse();
    match letter.is_empty() && !fragments.is_empty() {
        true => Ok(fragments),
        false => Err(Garbage),
    }
}

/// Whether this is of the session of this epoch; what is of none is told when it is taken.
pub fn is_of(fragment: &[u8], epoch: u64) -> bool {
    parts(fragment).is_none_or(|(_, of)| of == epoch)
}

/// What a node hears that the session of this epoch has given up.
pub fn given_up(epoch: u64) -> Vec<u8> {
    [GIVEN_UP, &epoch.to_le_bytes()].concat()
}

pub struct Post {
    client: Client,
    epoch: u64,
    /// The other end's.
    subject: String,
    /// Of what overtakes.
    fast: Option<String>,
    outbox: RefCell<Outbox>,
    inbox: RefCell<Inbox>,
    /// What has come beside the next message.
    body: RefCell<Body>,
    pace: RefCell<Pace>,
    /// Messages that overtake, and how many there were; how many have come from the other end.
    urgent: RefCell<VecDeque<Vec<u8>>>,
    hurried: Cell<u64>,
    heard: Cell<u64>,
    /// There may be something to send.
    due: Notify,
    /// The outbox is not full any more.
    room: Notify,
    /// When it went on last.
    progress: Cell<Instant>,
    is_closed: Cell<bool>,
    /// Whether what takes from the outbox lives.
    is_waited_for: Cell<bool>,
}

impl Post {
    /// `fast`: the other end's subject for what overtakes, where something does.
    pub fn new(client: Client, subject: String, fast: Option<String>, epoch: u64) -> Self {
        Self {
            client,
            epoch,
            subject,
            fast,
            outbox: RefCell::default(),
            inbox: RefCell::default(),
            body: RefCell::default(),
            pace: RefCell::default(),
            urgent: RefCell::default(),
            hurried: Cell::new(0),
            heard: Cell::new(0),
            due: Notify::new(),
            room: Notify::new(),
            progress: Cell::new(Instant::now()),
            is_closed: Cell::new(false),
            is_waited_for: Cell::new(true),
        }
    }

    /// Queues a message.
    pub fn send<T: Serialize>(&self, message: &T) {
        if let Some(bytes) = self.encoded(message) {
            self.queue(|outbox| outbox.push(bytes));
        }
    }

    /// Queues a message with so many bytes behind it, which `write` makes when they are sent, and again when they are sent
    /// again. Both together are no longer than a fragment.
    pub fn send_later<T: Serialize>(
        &self,
        message: &T,
        length: usize,
        write: impl Fn(&mut Vec<u8>) + 'static,
    ) {
        if let Some(head) = self.encoded(message) {
            let length = head.len() + length;
            let write = move |to: &mut Vec<u8>| {
                to.extend_from_slice(&head);
                write(to);
            };
            self.queue(|outbox| outbox.push_later(length, Box::new(write)));
        }
    }

    /// Queues a piece of what the next message has beside itself, before which nothing else is sent: see
    /// [`super::carry::send`].
    pub fn send_body(&self, length: usize, write: Writes) {
        if !self.is_closed.get() {
            self.queue(|outbox| outbox.push_body(length, write));
        }
    }

    /// What has come beside the message that is being told.
    pub fn body(&self) -> Body {
        self.body.take()
    }

    /// None once nothing is sent any more.
    fn encoded<T: Serialize>(&self, message: &T) -> Option<Vec<u8>> {
        if self.is_closed.get() {
            return None;
        }
        // Into memory, of types that can be: it cannot fail.
        postcard::to_stdvec(message).ok()
    }

    fn queue(&self, push: impl FnOnce(&mut Outbox)) {
        let mut outbox = self.outbox.borrow_mut();
        if !outbox.is_waiting() {
            self.progress.set(Instant::now());
        }
        push(&mut outbox);
        self.due.notify_one();
    }

    /// Queues a message, made with its number, that overtakes those that wait. It goes in its turn as well, should it be lost.
    pub fn hurry<T: Serialize>(&self, message: impl FnOnce(u64) -> T) {
        if self.is_closed.get() {
            return;
        }
        let number = self.hurried.get() + 1;
        self.hurried.set(number);
        let message = message(number);
        if let (Some(_), Ok(bytes)) = (&self.fast, postcard::to_stdvec(&message)) {
            self.urgent.borrow_mut().push_back(bytes);
        }
        self.send(&message);
    }

    /// Whether the urgent message of this number is the next one; one that has come is not. They are heard in their order.
    pub fn is_next(&self, number: u64) -> bool {
        number == self.heard.get() + 1
    }

    /// It was heard.
    pub fn was_heard(&self, number: u64) {
        self.heard.set(number);
    }

    /// Takes what has come on the other way.
    pub fn take_urgent<T: DeserializeOwned>(&self, message: &[u8]) -> Result<Option<T>, Garbage> {
        let (message, epoch) = parts(message).ok_or(Garbage)?;
        if epoch != self.epoch || self.is_closed.get() {
            return Ok(None);
        }
        postcard::from_bytes(message).map(Some).map_err(|_| Garbage)
    }

    /// Whether too much is queued.
    pub fn is_full(&self) -> bool {
        self.is_waited_for.get() && self.outbox.borrow().is_full()
    }

    /// Waits while too much is queued.
    pub async fn has_room(&self) {
        while self.is_full() {
            self.room.notified().await;
        }
    }

    /// Whether [`Self::has_room`] waits for the other end.
    pub fn is_waited_for(&self, is: bool) {
        if self.is_waited_for.replace(is) != is {
            self.room.notify_waiters();
        }
    }

    /// Takes what has come from the other end. When a message is whole, `told` gets it, and the bytes behind it. What is of
    /// another session is not looked at.
    pub fn take<T: DeserializeOwned>(
        &self,
        letter: &[u8],
        mut told: impl FnMut(T, &[u8]),
    ) -> Result<(), Garbage> {
        let (letter, epoch) = parts(letter).ok_or(Garbage)?;
        if epoch != self.epoch {
            return Ok(());
        }
        let mut fragments = enclosed(letter)?.into_iter();
        fragments.try_for_each(|fragment| self.take_one(fragment, &mut told))
    }

    fn take_one<T: DeserializeOwned>(
        &self,
        fragment: &[u8],
        told: &mut impl FnMut(T, &[u8]),
    ) -> Result<(), Garbage> {
        if self.is_closed.get() {
            return Ok(());
        }
        let came = {
            let (mut inbox, mut outbox) = (self.inbox.borrow_mut(), self.outbox.borrow_mut());
            let before = (outbox.acknowledged_so_far(), outbox.sent_so_far());
            let came = inbox.take(fragment, &mut outbox)?;
            let mut pace = self.pace.borrow_mut();
            if outbox.sent_so_far() < before.1 {
                // Something was missing.
                pace.again();
            }
            if outbox.acknowledged_so_far() > before.0 {
                let now = Instant::now();
                self.progress.set(now);
                pace.acknowledged(outbox.acknowledged_so_far(), now.into_std());
            }
            if !outbox.is_full() {
                self.room.notify_waiters();
            }
            came
        };
        self.due.notify_one();
        match came {
            Came::Message(bytes) => {
                let (message, behind) = postcard::take_from_bytes(&bytes).map_err(|_| Garbage)?;
                told(message, behind);
                // Nobody wanted it.
                drop(self.body());
            }
            Came::Body(piece) => self.body.borrow_mut().put(piece),
            Came::Nothing => {}
        }
        Ok(())
    }

    /// Nothing more is sent, and nobody waits for that. What has come in part is of no use.
    pub fn close(&self) {
        self.is_closed.set(true);
        self.outbox.borrow_mut().clear();
        self.inbox.borrow_mut().forget();
        drop(self.body());
        self.urgent.borrow_mut().clear();
        self.room.notify_waiters();
    }

    /// The server is there again: what was under way may be lost.
    pub fn send_again(&self) {
        self.outbox.borrow_mut().resend();
        self.pace.borrow_mut().again();
        self.progress.set(Instant::now());
        self.due.notify_one();
    }

    fn next(&self) -> Option<Vec<u8>> {
        let received = self.inbox.borrow().received();
        let (mut outbox, mut pace) = (self.outbox.borrow_mut(), self.pace.borrow_mut());
        let (number, now) = (outbox.sent_so_far(), Instant::now().into_std());
        let fragment = outbox.next(received, pace.window(now));
        if fragment.is_some() {
            pace.sends(number, outbox.under_way(), now);
            self.inbox.borrow_mut().told();
        }
        fragment
    }

    /// Sends what is queued, for ever.
    pub async fn serve(&self) {
        loop {
            loop {
                let urgent = self.urgent.borrow_mut().pop_front();
                if let (Some(message), Some(to)) = (urgent, &self.fast) {
                    self.publish_to(to, message).await;
                    continue;
                }
                let mut letter = Vec::new();
                while letter.len() < TOGETHER
                    && self.urgent.borrow().is_empty()
                    && let Some(fragment) = self.next()
                {
                    if fragment.len() > TOGETHER && !letter.is_empty() {
                        self.publish(std::mem::take(&mut letter)).await;
                    }
                    enclose(&mut letter, fragment);
                }
                if letter.is_empty() {
                    break;
                }
                self.publish(letter).await;
            }
            if self.inbox.borrow().is_behind() {
                self.tell().await;
            }
            let waits = self.outbox.borrow().is_waiting();
            let ask = self.progress.get() + ASK;
            let tells = self.inbox.borrow().is_to_tell();
            // Whoever has nothing to say sleeps until there is something.
            let until = if tells { Instant::now() + TELL } else { ask };
            tokio::select! {
                () = self.due.notified() => {}
                () = tokio::time::sleep_until(until), if tells || waits => self.tell().await,
            }
            if waits && Instant::now() >= ask {
                self.progress.set(Instant::now());
                let received = self.inbox.borrow().received();
                let asks = self.outbox.borrow_mut().ask(received);
                self.send_alone(asks).await;
            }
        }
    }

    async fn tell(&self) {
        let told = self.inbox.borrow_mut().tell();
        if let Some(told) = told {
            self.send_alone(told).await;
        }
    }

    async fn send_alone(&self, fragment: Vec<u8>) {
        let mut letter = Vec::new();
        enclose(&mut letter, fragment);
        self.publish(letter).await;
    }

    async fn publish(&self, letter: Vec<u8>) {
        self.publish_to(&self.subject, letter).await;
    }

    async fn publish_to(&self, subject: &str, mut message: Vec<u8>) {
        message.extend_from_slice(&self.epoch.to_le_bytes());
        // It fails for good only when the client has been closed, and then nobody waits for it.
        let _ = self
            .client
            .publish(subject.to_owned(), message.into())
            .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_holds_fragments_in_their_order_or_is_garbage() {
        let mut letter = Vec::new();
        let fragments: [&[u8]; 3] = [b"one", b"", b"three"];
        for fragment in fragments {
            enclose(&mut letter, fragment.to_vec());
        }
        assert_eq!(enclosed(&letter), Ok(fragments.to_vec()));
        for wrong in [&b""[..], b"abc", &letter[1..], &[1, 0, 0, 0], &[0xff; 4]] {
            assert_eq!(enclosed(wrong), Err(Garbage), "{wrong:?}");
        }
    }
}
