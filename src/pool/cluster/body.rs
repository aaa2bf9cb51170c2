//! What a message carries that is long: it goes before the message, in pieces. A piece is in memory as soon as it has come,
//! and is read when it is sent, unless whoever made it may write there at any time: then all of it is copied before. So no end
//! stands still for longer than it has to: a node that did would be taken for one that is gone.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::rc::Rc;

use super::content::Source;
use super::ordered::{LONGEST, Writes};
use crate::wire::{DATA, Payload};

/// What is no longer is copied into its message, bytes: its memory is its maker's again at once.
pub const LONG: u64 = 4 << 20;

/// What is sent.
struct Sent {
    source: Source,
    /// Whose memory its maker may use again when all of it has been sent.
    whose: Payload,
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.whose.release();
    }
}

/// The pieces of it, in order, and the length of each. `whose`: what is released when they are gone.
pub fn pieces(source: Source, whose: Payload) -> impl Iterator<Item = (usize, Writes)> {
    let length = source.length();
    let sent = Rc::new(Sent { source, whose });
    (0..length).step_by(LONGEST).map(move |at| {
        let (sent, bytes) = (sent.clone(), (length - at).min(LONGEST as u64) as usize);
        // Of what cannot be read nothing comes, and that is seen.
        let write = move |to: &mut Vec<u8>| sent.source.read(at, bytes, to);
        (bytes, Box::new(write) as Writes)
    })
}

/// What has come.
#[derive(Default)]
pub struct Body {
    file: Option<File>,
    length: u64,
    fault: Option<io::Error>,
}

impl Body {
    /// The next piece.
    pub fn put(&mut self, piece: &[u8]) {
        if self.fault.is_none() {
            self.fault = self.write(piece).err();
        }
    }

    fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => Payload::room(0)?,
        };
        file.write_all_at(piece, DATA as u64 + self.length)?;
        self.length += piece.len() as u64;
        self.file = Some(file);
        Ok(())
    }

    /// All of it, which is so many bytes.
    pub fn payload(self, length: u64) -> io::Result<Payload> {
        match (self.fault, self.file) {
            (Some(fault), _) => Err(fault),
            (None, Some(file)) if self.length == length => Payload::written(file, length),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::carry;
    use super::super::message::Carried;
    use super::super::ordered::{Came, Inbox, LONGEST_MESSAGE, Outbox, WINDOW};
    use super::*;

    fn released(payload: &Payload) -> bool {
        let Payload::Shared(file) = payload else {
            panic!("no file");
        };
        let mut users = [1; 8];
        rustix::io::pread(file, &mut users, 0).unwrap();
        users == [0; 8]
    }

    /// Nothing of a large payload is read, or written, before its turn: between any two of its pieces there is time for
    /// something else. Its maker has its memory back when all has come.
    #[test]
    fn a_large_payload_goes_and_comes_by_pieces() {
        let bytes: Vec<u8> = (0..LONG as usize + 70_000)
            .map(|at| (at % 251) as u8)
            .collect();
        let payload = Payload::of(bytes.clone()).unwrap();
        let (mut outbox, mut inbox) = (Outbox::default(), Inbox::default());
        let (mut back, mut idle) = (Outbox::default(), Inbox::default());
        let carried = carry::pack(&payload, true, |length, write| {
            outbox.push_body(length, write);
        });
        let Carried::Body(length) = carried else {
            panic!("it is in its message");
        };
        assert_eq!(length, bytes.len() as u64);
        outbox.push(b"that was it".to_vec());
        let (mut body, mut pieces) = (Body::default(), 0);
        while let Some(fragment) = outbox.next(0, WINDOW) {
            assert!(fragment.len() <= LONGEST + 64);
            assert!(!released(&payload));
            match inbox.take(&fragment, &mut back).unwrap() {
                Came::Body(piece) => {
                    body.put(piece);
                    pieces += 1;
                }
                Came::Message(message) => assert_eq!(*message, *b"that was it"),
                Came::Nothing => panic!("a piece is a fragment"),
            }
        }
        assert_eq!(pieces, bytes.len().div_ceil(LONGEST));
        // It may have to be sent again until then.
        idle.take(&inbox.tell().unwrap(), &mut outbox).unwrap();
        assert!(released(&payload));
        assert!(body.payload(length).unwrap().copied() == bytes);
    }

    #[test]
    fn what_is_not_as_long_as_it_says_is_an_error() {
        let mut body = Body::default();
        body.put(b"abc");
        assert!(body.payload(4).is_err());
        assert!(Body::default().payload(0).is_err());
        // Its maker says that it is longer than its memory.
        let file = Payload::room(1 << 40).unwrap();
        let payload = Payload::file(file.into());
        let carried = carry::pack(&payload, true, |_, _| panic!("there is nothing"));
        assert_eq!(carried, Carried::Shared(Vec::new()));
    }

    /// To who takes it it would be garbage, and its sender given up.
    #[test]
    fn what_is_longer_than_a_message_may_be_is_not_sent() {
        let length = LONGEST_MESSAGE as u64 + 1;
        let file = Payload::room(length).unwrap();
        // Nothing of it takes memory.
        file.set_len(DATA as u64 + length).unwrap();
        let payload = Payload::written(file, length).unwrap();
        let carried = carry::pack(&payload, true, |_, _| panic!("it goes"));
        assert_eq!(carried, Carried::Shared(Vec::new()));
    }
}
