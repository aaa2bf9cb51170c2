//! Payloads of frames on their way between hosts: what is shared memory on one becomes bytes, and shared memory again on
//! the other. What is long goes before its message.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use serde::Serialize;

use super::body::{self, LONG};
use super::content::Source;
use super::message::Carried;
use super::ordered::{LONGEST_MESSAGE, Writes};
use super::post::Post;
use crate::wire::{DATA, Payload, memory_file};

/// Why an engine cannot be told something, or not be heard.
#[derive(Debug, thiserror::Error)]
pub enum Uncarried {
    #[error("what a map captures is not there: {0}")]
    Captures(String),
    #[error("what its cell takes is not there: {0}")]
    Value(String),
    #[error("its host has no memory for what it was sent: {0}")]
    There(std::io::Error),
    #[error("there is no memory for what it sent: {0}")]
    Here(std::io::Error),
    #[error("it cannot be read: {0}")]
    Unread(std::io::Error),
}

/// Sends what `message` makes of a payload that nobody else takes; whoever made it may use its memory again.
pub fn send<T: Serialize>(post: &Post, payload: &Payload, message: impl FnOnce(Carried) -> T) {
    let carried = pack(payload, true, |length, write| post.send_body(length, write));
    post.send(&message(carried));
}

/// The same of a payload that others may be sent too, or whose maker may use its memory again at any time.
pub fn send_copy<T: Serialize>(post: &Post, payload: &Payload, message: impl FnOnce(Carried) -> T) {
    let carried = pack(payload, false, |length, write| {
        post.send_body(length, write)
    });
    post.send(&message(carried));
}

/// What a message has of a payload; `before` gets what goes before the message.
pub fn pack(payload: &Payload, is_last: bool, mut before: impl FnMut(usize, Writes)) -> Carried {
    let carried = match payload {
        Payload::None => Carried::None,
        Payload::Inline(bytes) => Carried::Inline(bytes.to_vec()),
        Payload::Shared(_) => {
            let length = payload.length();
            let (_, size) = payload.file_number();
            if length > size.saturating_sub(DATA as u64) || length > LONGEST_MESSAGE as u64 {
                // Whoever reads it says that it cannot be.
                Carried::Shared(Vec::new())
            } else if length > LONG {
                let (source, whose) = match is_last {
                    true => (Source::of(payload), payload.clone()),
                    false => (Source::Bytes(payload.copied()), Payload::None),
                };
                for (length, write) in body::pieces(source, whose) {
                    before(length, write);
                }
                return Carried::Body(length);
            } else {
                Carried::Shared(payload.copied())
            }
        }
    };
    if is_last {
        payload.release();
    }
    carried
}

/// What a message has of it as the payload that it was.
pub fn payload(carried: Carried, post: &Post) -> std::io::Result<Payload> {
    match carried {
        Carried::None | Carried::Object(_) | Carried::World(_) => Ok(Payload::None),
        Carried::Inline(bytes) => Ok(Payload::Inline(bytes.into())),
        Carried::Shared(bytes) => Payload::of(bytes),
        Carried::Body(length) => post.body().payload(length),
    }
}

/// A file's bytes.
pub fn whole(file: &Arc<OwnedFd>) -> std::io::Result<Vec<u8>> {
    let file = File::from(file.try_clone()?);
    let length = usize::try_from(file.metadata()?.len()).unwrap_or_default();
    let mut bytes = vec![0; length];
    // Not by its place, which others who have it open share.
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// A file in memory with these bytes.
pub fn in_memory(bytes: &[u8]) -> std::io::Result<Payload> {
    let file = memory_file()?;
    file.write_all_at(bytes, 0)?;
    Ok(Payload::file(file.into()))
}
