//! Bytes on their way out: kept while they are few, written to shared memory when they are many.

use std::ffi::c_void;

use regatta_cell::host::{Bytes, Write};

use super::buffers::Buffer;
use crate::wire::{INLINE, Payload};

#[derive(Default)]
pub struct Outgoing {
    inline: Vec<u8>,
    shared: Option<Buffer>,
    broken: Option<std::io::Error>,
}

impl Outgoing {
    pub fn write(&mut self, bytes: &[u8]) {
        if self.shared.is_none() && self.inline.len() + bytes.len() <= INLINE {
            self.inline.extend_from_slice(bytes);
        } else if let Err(error) = self.spill(bytes) {
            self.broken.get_or_insert(error);
        }
    }

    fn spill(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let buffer = match &mut self.shared {
            Some(buffer) => buffer,
            none => none.insert(Buffer::take(self.inline.len() + bytes.len())?),
        };
        if !self.inline.is_empty() {
            buffer.append(&std::mem::take(&mut self.inline))?;
        }
        buffer.append(bytes)
    }

    /// An error is the want of memory.
    pub fn finish(self) -> std::io::Result<Payload> {
        self.finished(Buffer::finish)
    }

    /// The same for what is kept for long.
    pub fn finish_alone(self) -> std::io::Result<Payload> {
        self.finished(Buffer::finish_alone)
    }

    fn finished(self, finish: fn(Buffer) -> Payload) -> std::io::Result<Payload> {
        match (self.broken, self.shared) {
            (Some(error), _) => Err(error),
            (None, Some(buffer)) => Ok(finish(buffer)),
            (None, None) => Payload::of(self.inline),
        }
    }

    /// What the C table takes for it.
    pub fn parts(&mut self) -> (*mut c_void, Write) {
        ((&raw mut *self).cast(), write)
    }
}

extern "C" fn write(to: *mut c_void, bytes: Bytes) {
    // SAFETY: only handed out together with an `Outgoing` by `parts`, and the bytes live for the call.
    unsafe { (*to.cast::<Outgoing>()).write(bytes.as_slice()) }
}
