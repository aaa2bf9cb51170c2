//! Payloads of frames on their way between hosts: what is shared memory on one becomes bytes, and shared memory again on
//! the other.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use super::message::Carried;
use crate::wire::{Payload, memory_file};

/// Why an engine cannot be told something, or not be heard.
#[derive(Debug, thiserror::Error)]
pub enum Uncarried {
    #[error("what a map captures is not there: {0}")]
    Captures(String),
    #[error("its host has no memory for what it was sent: {0}")]
    There(std::io::Error),
    #[error("there is no memory for what it sent: {0}")]
    Here(std::io::Error),
    #[error("it cannot be read: {0}")]
    Unread(std::io::Error),
}

/// The bytes of a payload that nobody else takes; whoever made it may use its memory again.
pub fn carried(payload: &Payload) -> Carried {
    let carried = copied(payload);
    payload.release();
    carried
}

/// The bytes of a payload that others may be sent too.
pub fn copied(payload: &Payload) -> Carried {
    match payload {
        Payload::None => Carried::None,
        Payload::Inline(bytes) => Carried::Inline(bytes.to_vec()),
        Payload::Shared(_) => Carried::Shared(payload.copied()),
    }
}

/// Bytes as the payload that they were.
pub fn payload(carried: Carried) -> std::io::Result<Payload> {
    match carried {
        Carried::None | Carried::Object(_) | Carried::World(_) => Ok(Payload::None),
        Carried::Inline(bytes) => Ok(Payload::Inline(bytes.into())),
        Carried::Shared(bytes) => Payload::of(bytes),
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
