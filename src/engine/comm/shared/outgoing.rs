//! What goes to other ranks.

use std::sync::atomic::Ordering;

use super::{Outgoing, Sending, Shared, next_request};
use crate::engine::comm::Request;
use crate::engine::comm::matching::Message;
use crate::engine::comm::ring::Header;
use crate::wire::world::{State, row};

impl Shared {
    /// Writes what there is room for of a message; true when all of it has gone.
    #[inline]
    pub(in crate::engine::comm) fn push(&mut self, sending: &mut Sending<'_>) -> bool {
        let to = sending.to;
        if to == self.rank {
            self.deliver_to_self(sending);
            return true;
        }
        if !self.peer(to).out.is_empty() && !self.push_out(to) {
            return false;
        }
        let peer = self.peer(to);
        let mut moved = false;
        while !sending.done {
            // SAFETY: the data are as long as the header says.
            let gone = unsafe {
                let from = sending.data.as_ptr().add(sending.at as usize);
                let first = !sending.begun;
                peer.sender
                    .write(&sending.header, sending.name, from, sending.at, first)
            };
            let Some(gone) = gone else {
                break;
            };
            moved = true;
            sending.begun = true;
            sending.at += gone;
            sending.done = sending.at == sending.header.total;
        }
        if moved {
            if !peer.spoke {
                peer.spoke = true;
                self.world.note_spoken(to, self.rank);
            }
            self.world.wake(to);
        }
        if sending.done {
            self.count(&sending.header, to, sending.whole);
        }
        sending.done
    }

    /// Writes what there is room for of a message, and keeps the rest until there is some.
    pub(in crate::engine::comm) fn post(&mut self, mut sending: Sending<'_>) -> Request {
        let request = next_request();
        if !self.push(&mut sending) {
            let at = sending.at;
            let out = Outgoing {
                request,
                header: Header {
                    total: sending.header.total - at,
                    ..sending.header
                },
                name: sending.name.to_vec(),
                data: sending.data[at as usize..].to_vec(),
                at: 0,
                begun: sending.begun,
                whole: sending.whole,
            };
            self.peer(sending.to).out.push_back(out);
        }
        request
    }

    /// Notes a message that has gone.
    #[inline]
    pub(in crate::engine::comm) fn count(&self, header: &Header, to: u32, bytes: u64) {
        if header.collective == 0 {
            return self.count_one(to, bytes);
        }
        self.count_collective(to, bytes);
    }

    /// Notes what a collective call gives to another rank.
    #[inline]
    pub(in crate::engine::comm) fn count_collective(&self, to: u32, bytes: u64) {
        let at = self.world.layout().row(self.rank, to);
        let word = self.world.word(at + row::COLLECTIVE_BYTES);
        word.store(word.load(Ordering::Relaxed) + bytes, Ordering::Relaxed);
    }

    /// Notes a message of no collective call.
    #[inline]
    pub(in crate::engine::comm) fn count_one(&self, to: u32, bytes: u64) {
        let at = self.world.layout().row(self.rank, to);
        for (word, more) in [(row::SENT, 1), (row::SENT_BYTES, bytes)] {
            let word = self.world.word(at + word);
            word.store(word.load(Ordering::Relaxed) + more, Ordering::Relaxed);
        }
    }

    /// A message that was counted does not go.
    pub(in crate::engine::comm) fn count_back(&self, to: u32, bytes: u64) {
        let at = self.world.layout().row(self.rank, to);
        for (word, less) in [(row::SENT, 1), (row::SENT_BYTES, bytes)] {
            let word = self.world.word(at + word);
            word.store(word.load(Ordering::Relaxed) - less, Ordering::SeqCst);
        }
    }

    /// Notes a message that user code has received, or that was dropped.
    #[inline]
    pub(in crate::engine::comm) fn count_taken(&self, header: &Header, from: u32) {
        if header.collective == 0 {
            self.note_taken(from);
        }
    }

    /// The same of one that is known to be none of a collective call's.
    #[inline]
    pub(in crate::engine::comm) fn note_taken(&self, from: u32) {
        let at = self.world.layout().row(self.rank, from);
        let word = self.world.word(at + row::TAKEN);
        // Its sender may say from then on that messages without a header are something else.
        word.store(word.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    pub(super) fn deliver_to_self(&mut self, sending: &mut Sending<'_>) {
        let (from, header) = (self.rank, sending.header);
        let message = Message {
            number: self.next_message(),
            from,
            header,
            name: sending.name.to_vec(),
            data: sending.data.to_vec(),
        };
        self.count(&header, from, sending.whole);
        self.arrived(message, None);
        sending.done = true;
    }

    /// Writes what there is room for of the messages that were posted to a rank; true when they all have gone.
    pub(super) fn push_out(&mut self, to: u32) -> bool {
        while let Some(mut first) = self.peer(to).out.pop_front() {
            let mut rest = std::mem::take(&mut self.peer(to).out);
            let mut sending = Sending {
                to,
                header: first.header,
                name: &first.name,
                data: &first.data,
                at: first.at,
                begun: first.begun,
                done: false,
                whole: first.whole,
            };
            let done = self.push(&mut sending);
            (first.at, first.begun) = (sending.at, sending.begun);
            std::mem::swap(&mut self.peer(to).out, &mut rest);
            if !done {
                self.peer(to).out.push_front(first);
                return false;
            }
        }
        true
    }

    pub(in crate::engine::comm) fn has_room_for(&mut self, to: u32) -> bool {
        to == self.rank || self.peer(to).sender.has_room()
    }

    /// Whether something that was posted has not gone to a rank that may take it yet.
    pub(in crate::engine::comm) fn has_unsent(&self) -> bool {
        let mut peers = (0..).zip(&self.peers);
        peers.any(|(rank, peer)| {
            let waits = peer.as_ref().is_some_and(|peer| !peer.out.is_empty());
            waits && matches!(self.world.state(rank), State::Running | State::Due)
        })
    }

    pub(in crate::engine::comm) fn has_room_for_posted(&self) -> bool {
        let mut peers = self.peers.iter().flatten();
        peers.any(|peer| !peer.out.is_empty() && peer.sender.has_room())
    }

    /// What was posted and has not gone never will.
    pub(in crate::engine::comm) fn drop_unsent(&mut self) {
        for peer in self.peers.iter_mut().flatten() {
            peer.out.clear();
        }
    }
}
