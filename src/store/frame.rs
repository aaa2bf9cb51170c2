//! Frames between a client and the session's store: a little-endian `u32` of length, a byte that says what it is, and what
//! was packed. A connection begins with [`GREETING`] from the client's side.

use std::io::{self, Read};

use regatta_cell::store::call::Call;
use serde::{Deserialize, Serialize};

/// Changes with every change of `Call` or `Reply`.
pub const GREETING: [u8; 8] = *b"regatta1";

/// The most that a frame may have, bytes.
pub const LIMIT: usize = 256 << 20;

/// What a client sends.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum Asked<C = Call> {
    Call(C),
    /// Ends the wait of the call under way, which is answered then; nothing when there is none.
    Cancel,
}

/// Appends a frame.
pub fn write(message: &impl Serialize, to: &mut Vec<u8>) -> Result<(), usize> {
    let start = to.len();
    to.extend_from_slice(&[0; 4]);
    // Into memory, of plain fields: there is nothing that could fail.
    let Ok(()) = postcard::to_io(message, &mut *to).map(|_| ()) else {
        to.truncate(start);
        return Err(0);
    };
    let length = to.len() - start - 4;
    if length > LIMIT {
        to.truncate(start);
        return Err(length);
    }
    to[start..start + 4].copy_from_slice(&(length as u32).to_le_bytes());
    Ok(())
}

/// What has come and was not taken yet.
#[derive(Default)]
pub struct Incoming {
    bytes: Vec<u8>,
    taken: usize,
    filled: usize,
}

/// What one read asks for at least.
const ROOM: usize = 16 * 1024;

impl Incoming {
    /// Reads what there is; 0 at the end.
    pub fn fill(&mut self, from: &mut impl Read) -> io::Result<usize> {
        if self.taken == self.filled {
            (self.taken, self.filled) = (0, 0);
            // A large one has gone: it is not kept for ever.
            if self.bytes.len() > 64 * ROOM {
                self.bytes = Vec::new();
            }
        } else if self.taken > 0 && self.bytes.len() - self.filled < ROOM {
            self.bytes.copy_within(self.taken..self.filled, 0);
            self.filled -= self.taken;
            self.taken = 0;
        }
        if self.bytes.len() - self.filled < ROOM {
            let more = (2 * self.bytes.len()).max(ROOM);
            self.bytes.resize(more, 0);
        }
        let read = from.read(&mut self.bytes[self.filled..])?;
        self.filled += read;
        Ok(read)
    }

    /// Takes so many bytes, if they are there.
    pub fn take(&mut self, count: usize) -> Option<&[u8]> {
        let taken = self.bytes[self.taken..self.filled].get(..count)?;
        self.taken += count;
        Some(taken)
    }

    /// Takes the next whole frame; an error means that the other side does not speak this language.
    pub fn frame<'a, T: Deserialize<'a>>(&'a mut self) -> io::Result<Option<T>> {
        let there = &self.bytes[self.taken..self.filled];
        let Some(head) = there.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*head) as usize;
        if length > LIMIT {
            return Err(io::Error::other("a frame is longer than allowed"));
        }
        let Some(body) = there.get(4..4 + length) else {
            return Ok(None);
        };
        self.taken += 4 + length;
        let (message, rest) = postcard::take_from_bytes(body).map_err(io::Error::other)?;
        match rest {
            [] => Ok(Some(message)),
            _ => Err(io::Error::other("a frame has more than its message")),
        }
    }
}
