//! Messages in order, each exactly once, over something that may lose them: the server that carries them may be killed.
//! Pure: what is to be sent is taken from an [`Outbox`], what has come is given to an [`Inbox`].
//!
//! A fragment is a byte of kind, its number, the number up to which its sender has all of the other direction (both
//! little-endian `u64`), and then part of a message.

use std::borrow::Cow;
use std::collections::VecDeque;

/// A fragment carries at most so many bytes of a message: well below what any server takes.
pub const LONGEST: usize = 256 * 1024;

/// What is under way at most, bytes.
pub const WINDOW: usize = 8 << 20;

/// From so many bytes on that wait, no more should be pushed.
const FULL: usize = 32 << 20;

/// A message may have so many bytes, and so many beside it. A value of so many is memory that nobody has twice; one that a node
/// only pretends to send takes no more than what has come of it.
pub const LONGEST_MESSAGE: usize = 1 << 34;

const HEAD: usize = 17;

/// What has to go as one message, bytes.
pub const LARGEST: usize = 2 * LONGEST;

/// What a fragment takes beside its part of a message, bytes.
const COST: usize = 64;

/// The last fragment of a message.
const LAST: u8 = 0;
/// Another follows.
const MORE: u8 = 1;
/// It carries nothing: its sender has come so far.
const ACK: u8 = 2;
/// The same, and something in between is missing.
const GAP: u8 = 3;
/// It carries nothing: whoever has all before its number says so, and who has not says that something is missing. What was
/// sent before it comes before it, or not at all: a way that is only slow is not taken for one that loses.
const ASK: u8 = 4;
/// A piece of what the next message has beside itself.
const BODY: u8 = 5;

/// Appends bytes, the same each time.
pub type Writes = Box<dyn Fn(&mut Vec<u8>)>;

/// What a fragment carries of a message.
enum Part {
    Bytes(Vec<u8>),
    /// So many bytes, made each time that they are sent.
    Later(usize, Writes),
}

impl Part {
    /// In bytes.
    fn length(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Later(length, _) => *length,
        }
    }

    fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Bytes(bytes) => to.extend_from_slice(bytes),
            Self::Later(_, write) => write(to),
        }
    }
}

/// One direction's sending end.
#[derive(Default)]
pub struct Outbox {
    /// The first that has not been acknowledged.
    first: u64,
    kept: VecDeque<(u8, Part)>,
    /// Of those kept: sent since the last [`Self::resend`].
    sent: usize,
    /// Bytes kept, and of them sent.
    bytes: usize,
    under_way: usize,
    /// What was first when a gap was last told of.
    gap_at: Option<u64>,
}

impl Outbox {
    pub fn push(&mut self, message: Vec<u8>) {
        if message.len() <= LONGEST {
            return self.keep(LAST, Part::Bytes(message));
        }
        let mut parts = message.chunks(LONGEST).peekable();
        while let Some(part) = parts.next() {
            let kind = if parts.peek().is_some() { MORE } else { LAST };
            self.keep(kind, Part::Bytes(part.to_vec()));
        }
    }

    /// A message of so many bytes, no more than [`LONGEST`], that takes no room before it is sent: `write` makes it, as often
    /// as that is.
    pub fn push_later(&mut self, length: usize, write: Writes) {
        self.keep(LAST, Part::Later(length, write));
    }

    /// The next piece of what the message after it has beside itself, in the same way.
    pub fn push_body(&mut self, length: usize, write: Writes) {
        self.keep(BODY, Part::Later(length, write));
    }

    fn keep(&mut self, kind: u8, part: Part) {
        self.bytes += part.length() + COST;
        self.kept.push_back((kind, part));
    }

    /// How many fragments have been acknowledged.
    pub fn acknowledged_so_far(&self) -> u64 {
        self.first
    }

    /// Nothing goes any more.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether it waits for acknowledgements.
    pub fn is_waiting(&self) -> bool {
        self.sent > 0
    }

    pub fn is_full(&self) -> bool {
        self.bytes >= FULL
    }

    /// How many fragments were sent: the number of the next one.
    pub fn sent_so_far(&self) -> u64 {
        self.first + self.sent as u64
    }

    /// Bytes that were sent and are not acknowledged.
    pub fn under_way(&self) -> usize {
        self.under_way
    }

    /// The next fragment to send, unless so much is under way. `received`: see [`Inbox::received`].
    pub fn next(&mut self, received: u64, window: usize) -> Option<Vec<u8>> {
        if self.under_way >= window {
            return None;
        }
        let (kind, part) = self.kept.get(self.sent)?;
        let number = self.sent_so_far();
        self.sent += 1;
        self.under_way += part.length() + COST;
        let mut bytes = head(*kind, number, received, part.length());
        part.write(&mut bytes);
        Some(bytes)
    }

    /// The other side has all before this number.
    fn acknowledged(&mut self, before: u64) {
        while self.first < before
            && let Some((_, part)) = self.kept.pop_front()
        {
            self.first += 1;
            self.bytes -= part.length() + COST;
            if self.sent > 0 {
                self.sent -= 1;
                self.under_way -= part.length() + COST;
            }
        }
    }

    /// What asks the other side whether all that was sent has come.
    pub fn ask(&mut self, received: u64) -> Vec<u8> {
        // Its answer counts, whatever was told before.
        self.gap_at = None;
        head(ASK, self.sent_so_far(), received, 0)
    }

    /// All that has not been acknowledged is to be sent again.
    pub fn resend(&mut self) {
        self.sent = 0;
        self.under_way = 0;
    }
}

/// A fragment without its part of a message, of so many bytes.
fn head(kind: u8, number: u64, received: u64, part: usize) -> Vec<u8> {
    // With room for what `post` sets behind it.
    let mut bytes = Vec::with_capacity(HEAD + part + 12);
    bytes.push(kind);
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(&received.to_le_bytes());
    bytes
}

/// What is no fragment, or belongs to no message that could be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("it sends what is no part of a message")]
pub struct Garbage;

/// What has come of a fragment.
#[derive(Debug, PartialEq, Eq)]
pub enum Came<'a> {
    Message(Cow<'a, [u8]>),
    /// The next piece of what the next message has beside itself.
    Body(&'a [u8]),
    /// More of a message, what was there already, or an acknowledgement.
    Nothing,
}

/// One direction's receiving end.
#[derive(Debug, Default)]
pub struct Inbox {
    next: u64,
    begun: Vec<u8>,
    /// Bytes that have come beside it.
    body: usize,
    /// Something was missing.
    gap: bool,
    /// Fragments since it was last told.
    untold: usize,
    /// The other side waits for it to be told.
    asked: bool,
}

impl Inbox {
    /// The number before which everything has come.
    pub fn received(&self) -> u64 {
        self.next
    }

    /// Nobody waits for the rest of what has begun to come.
    pub fn forget(&mut self) {
        self.begun = Vec::new();
    }

    /// Takes a fragment; `outbox` is the other direction's.
    pub fn take<'a>(
        &mut self,
        fragment: &'a [u8],
        outbox: &mut Outbox,
    ) -> Result<Came<'a>, Garbage> {
        let (head, part) = fragment.split_at_checked(HEAD).ok_or(Garbage)?;
        let number = |at: usize| {
            let bytes = head.get(at..at + 8)?.try_into().ok()?;
            Some(u64::from_le_bytes(bytes))
        };
        let (kind, number, received) = (
            head[0],
            number(1).ok_or(Garbage)?,
            number(9).ok_or(Garbage)?,
        );
        if received > outbox.first + outbox.kept.len() as u64 || kind > BODY {
            return Err(Garbage);
        }
        outbox.acknowledged(received);
        match kind {
            // What was under way when it was told may tell it again.
            GAP if outbox.gap_at.replace(outbox.first) != Some(outbox.first) => outbox.resend(),
            GAP => {}
            ACK => {}
            ASK => {
                self.asked = true;
                self.gap |= number > self.next;
            }
            _ => return self.take_part(kind, number, part),
        }
        Ok(Came::Nothing)
    }

    fn take_part<'a>(
        &mut self,
        kind: u8,
        number: u64,
        part: &'a [u8],
    ) -> Result<Came<'a>, Garbage> {
        self.untold += 1;
        if number != self.next {
            self.gap |= number > self.next;
            return Ok(Came::Nothing);
        }
        let before = if kind == BODY {
            self.body
        } else {
            self.begun.len()
        };
        if part.len() > LONGEST || before + part.len() > LONGEST_MESSAGE {
            return Err(Garbage);
        }
        self.next += 1;
        self.gap = false;
        if kind == BODY {
            self.body += part.len();
            return Ok(Came::Body(part));
        }
        if kind == LAST {
            self.body = 0;
        }
        if kind == LAST && self.begun.is_empty() {
            return Ok(Came::Message(Cow::Borrowed(part)));
        }
        self.begun.extend_from_slice(part);
        Ok(match kind {
            LAST => Came::Message(Cow::Owned(std::mem::take(&mut self.begun))),
            _ => Came::Nothing,
        })
    }

    /// Whether there is something to tell.
    pub fn is_to_tell(&self) -> bool {
        self.untold > 0 || self.asked
    }

    /// What tells the other side how far this one is, when there is something to tell.
    pub fn tell(&mut self) -> Option<Vec<u8>> {
        if !self.is_to_tell() {
            return None;
        }
        (self.untold, self.asked) = (0, false);
        let kind = if self.gap { GAP } else { ACK };
        Some(head(kind, 0, self.next, 0))
    }

    /// A fragment has told it.
    pub fn told(&mut self) {
        if !self.gap {
            (self.untold, self.asked) = (0, false);
        }
    }

    /// Whether it should be told before long.
    pub fn is_behind(&self) -> bool {
        self.asked || self.untold >= 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever is lost, repeated or comes late, the messages come once and in order.
    #[test]
    fn messages_survive_a_lossy_way() {
        let seed = std::env::var("REGATTA_SEED").ok();
        let seed = seed.and_then(|seed| seed.parse().ok());
        let seed: u64 = seed.unwrap_or_else(|| fastrand::u64(..));
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut outbox, mut inbox) = (Outbox::default(), Inbox::default());
        let (mut idle, mut back) = (Inbox::default(), Outbox::default());
        let messages: Vec<Vec<u8>> = (0..200_usize)
            .map(|n| vec![n as u8; [0, 1, 70, 5000, LONGEST, 3 * LONGEST + 1][n % 6]])
            .collect();
        let (mut pushed, mut seen, mut body) = (0, Vec::new(), Vec::new());
        let mut way: VecDeque<Vec<u8>> = VecDeque::new();
        for round in 0..1_000_000 {
            if seen.len() == messages.len() && outbox.kept.is_empty() {
                break;
            }
            if pushed < messages.len() && !outbox.is_full() {
                let message = messages[pushed].clone();
                if message.len() == LONGEST {
                    // It may be made more than once, and is the same each time.
                    let write = move |to: &mut Vec<u8>| to.extend_from_slice(&message);
                    outbox.push_later(LONGEST, Box::new(write));
                } else {
                    for piece in 0..pushed % 3 {
                        let write = move |to: &mut Vec<u8>| to.push(piece as u8);
                        outbox.push_body(1, Box::new(write));
                    }
                    outbox.push(message);
                }
                pushed += 1;
            }
            while let Some(fragment) = outbox.next(0, WINDOW) {
                way.push_back(fragment);
            }
            for _ in 0..random.usize(0..20) {
                let Some(fragment) = way.pop_front() else {
                    break;
                };
                if random.u8(..) < 20 {
                    continue;
                }
                if random.u8(..) < 20 {
                    way.push_back(fragment.clone());
                }
                match inbox.take(&fragment, &mut back).unwrap() {
                    Came::Body(piece) => body.extend_from_slice(piece),
                    Came::Message(message) => {
                        let pieces = match message.len() {
                            LONGEST => 0,
                            _ => seen.len() % 3,
                        };
                        assert_eq!(std::mem::take(&mut body), [0, 1][..pieces]);
                        seen.push(message.into_owned());
                    }
                    Came::Nothing => {}
                }
            }
            if random.u8(..) < 100
                && let Some(told) = inbox.tell()
            {
                idle.take(&told, &mut outbox).unwrap();
            }
            if round % 50 == 0 && outbox.is_waiting() {
                way.push_back(outbox.ask(0));
            }
        }
        assert!(
            seen == messages,
            "{} of {} messages, REGATTA_SEED={seed}",
            seen.len(),
            messages.len()
        );
        assert!(!outbox.is_waiting() && outbox.bytes == 0 && outbox.under_way == 0);
    }

    /// However long acknowledgements take, what is only under way is not sent twice.
    #[test]
    fn a_slow_way_is_not_flooded() {
        let (mut outbox, mut inbox) = (Outbox::default(), Inbox::default());
        let (mut idle, mut back) = (Inbox::default(), Outbox::default());
        outbox.push(vec![7; 10 * LONGEST]);
        let mut way: VecDeque<Vec<u8>> = VecDeque::new();
        let (mut bytes, mut came) = (0, None);
        while came.is_none() {
            while let Some(fragment) = outbox.next(0, WINDOW) {
                way.push_back(fragment);
            }
            // Nobody has heard anything for a while.
            way.push_back(outbox.ask(0));
            let fragment = way.pop_front().unwrap();
            bytes += fragment.len();
            if let Came::Message(message) = inbox.take(&fragment, &mut back).unwrap() {
                came = Some(message.len());
            }
            if let Some(told) = inbox.tell() {
                idle.take(&told, &mut outbox).unwrap();
            }
        }
        assert_eq!(came, Some(10 * LONGEST));
        assert!(bytes < 11 * LONGEST, "{bytes} bytes");
    }

    #[test]
    fn garbage_is_no_message() {
        let (mut inbox, mut outbox) = (Inbox::default(), Outbox::default());
        for garbage in [&b""[..], b"hello", &[9; HEAD], &[0xff; 100]] {
            assert_eq!(inbox.take(garbage, &mut outbox), Err(Garbage));
        }
        // It acknowledges what was never sent.
        let lie = head(ACK, 0, 1, 0);
        assert_eq!(inbox.take(&lie, &mut outbox), Err(Garbage));
    }
}
