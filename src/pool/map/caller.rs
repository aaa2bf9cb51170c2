//! A map's connection to its caller: what is heard from it and said to it, until it is for the next map.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::Map;
use crate::wire::{Channel, FromCaller, Payload, ToCaller};

impl Map {
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.channel.socket()
    }

    pub fn wants_to_write(&self) -> bool {
        self.channel.wants_to_write()
    }

    pub fn flush(&mut self) {
        // A caller that is gone shows when reading.
        let _ = self.channel.flush();
    }

    /// Reads what the caller has sent.
    pub fn fill(&mut self) {
        self.gone |= self.channel.fill().is_some();
    }

    /// What the caller says next; nothing after the map's end.
    pub fn heard(&mut self) -> Option<(FromCaller, Payload)> {
        if self.closed {
            return None;
        }
        if let Ok(Some(frame)) = self.channel.next_frame() {
            return Some(frame);
        }
        if self.gone {
            self.closed = true;
            self.cancelled |= !self.closing;
        }
        None
    }

    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether its caller is gone.
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// The connection, for its caller's next map.
    pub fn into_channel(self) -> Option<Channel> {
        (!self.gone).then_some(self.channel)
    }

    pub fn close(&mut self, decode: u64) {
        self.spent.decode = Duration::from_nanos(decode);
        self.closed = true;
    }

    /// Says something to the caller; nothing after the end, when the connection is for the next map.
    pub fn tell(&mut self, message: &ToCaller, payload: &Payload) {
        if self.closing {
            return payload.release();
        }
        // A caller that is gone shows when reading.
        let _ = self.channel.queue(message, payload);
    }
}
