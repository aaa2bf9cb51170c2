//! What comes from other ranks: into the value that waits for it, or aside.

use std::sync::atomic::Ordering;

use super::{Partial, Shared, Whose};
use crate::engine::comm::Request;
use crate::engine::comm::matching::{Message, Posted, Want, WantState, Wanted};
use crate::engine::comm::ring::Header;
use crate::wire::world::{State, block};

impl Shared {
    /// A whole message: for a posted request, or for the queue.
    pub(super) fn arrived(&mut self, message: Message, posted: Option<Request>) {
        let fits = |it: &&mut Posted| match posted {
            Some(request) => it.request == request,
            None => !it.bound && it.wanted.is(message.from, &message.header),
        };
        match self.posted.iter_mut().find(fits) {
            Some(it) => {
                let (from, header) = (message.from, message.header);
                it.bound = true;
                it.message = Some(message);
                if posted.is_none() {
                    self.took(from, &header);
                }
            }
            None => self.queue.push_back(message),
        }
    }

    /// Takes what has come from a rank, at least until the want is done. True when there was something.
    #[inline]
    pub(super) fn pump(&mut self, from: u32, want: &mut Option<&mut Want<'_>>) -> bool {
        let mut moved = false;
        loop {
            let peer = self.peer(from);
            let Some(header) = peer.receiver.next() else {
                break;
            };
            moved = true;
            if header.first {
                self.give_up_partial(from, want);
                let partial = self.begin(from, header, want);
                self.peer(from).partial = Some(partial);
            }
            let peer = self.peer(from);
            let Some(partial) = &mut peer.partial else {
                peer.receiver.pass(&header);
                continue;
            };
            let mut at = partial.at;
            match &mut partial.whose {
                Whose::Want(target) => peer.receiver.data(&header, |start, count| {
                    // SAFETY: the target was made for this message.
                    unsafe { target.take(at, start, count) };
                    at += count as u64;
                }),
                Whose::Posted(_, data) | Whose::Queue(data) => {
                    peer.receiver.data(&header, |start, count| {
                        // SAFETY: the sender has written so many bytes there.
                        data.extend_from_slice(unsafe { std::slice::from_raw_parts(start, count) });
                        at += count as u64;
                    });
                }
                Whose::Nobody => at += u64::from(header.part) - u64::from(header.name),
            }
            partial.at = at;
            let whole = at >= partial.header.total;
            // A sender that waits for room is woken as soon as there is some.
            if peer.receiver.pass(&header) {
                self.world.wake(from);
            }
            if whole {
                self.whole(from, want);
                if want.as_ref().is_some_and(|want| !want.is_waiting()) {
                    break;
                }
            }
        }
        moved
    }

    /// A message that was coming and was not finished, as its sender's call has failed.
    #[inline]
    pub(super) fn give_up_partial(&mut self, from: u32, want: &mut Option<&mut Want<'_>>) {
        if let Some(partial) = self.peer(from).partial.take() {
            self.is_given_up(&partial.whose, want);
        }
    }

    /// Whose message does not come: it waits for another one.
    #[cold]
    fn is_given_up(&mut self, whose: &Whose, want: &mut Option<&mut Want<'_>>) {
        match whose {
            Whose::Want(_) => {
                if let Some(want) = want {
                    want.state = WantState::Open;
                }
            }
            Whose::Posted(request, _) => {
                let is_it = |it: &&mut Posted| it.request == *request;
                if let Some(it) = self.posted.iter_mut().find(is_it) {
                    it.bound = false;
                }
            }
            Whose::Queue(_) | Whose::Nobody => {}
        }
    }

    /// Gives up what is coming from a rank and never will as a whole, as its sender has left the cell before it had gone;
    /// true when something else is there, or coming, now.
    #[cold]
    pub(super) fn gives_up(&mut self, from: u32) -> bool {
        if !self.is_cut(from) {
            return false;
        }
        // What that one has written before it left is there.
        self.pump(from, &mut None);
        if self.is_cut(from) {
            self.give_up_partial(from, &mut None);
        }
        true
    }

    /// Whether the cell has ended in which its sender has begun what is coming from it.
    fn is_cut(&self, from: u32) -> bool {
        let peer = self.peers.get(from as usize).and_then(Option::as_ref);
        let Some(partial) = peer.and_then(|peer| peer.partial.as_ref()) else {
            return false;
        };
        let state = self.world.state(from);
        let left = self.world.of(from, block::LEFT).load(Ordering::Acquire);
        match partial.header.synchronous() {
            // It does not say in which run that was.
            Some(_) => !matches!(state, State::Running | State::Due),
            None => state == State::Dead || left as u32 >= partial.header.run,
        }
    }

    /// Whether something has come that was not looked at.
    pub(in crate::engine::comm) fn has_some(&mut self) -> bool {
        let mut peers = self.peers.iter_mut().flatten();
        peers.any(|peer| peer.receiver.has_some()) || self.is_met_anew()
    }

    /// Whether a rank has spoken to this one that it does not know yet.
    pub(super) fn is_met_anew(&self) -> bool {
        let spoke = |from: u32| self.world.has_spoken(self.rank, from);
        (0..)
            .zip(&self.peers)
            .any(|(from, peer)| peer.is_none() && spoke(from))
    }

    /// Whose message it is that begins.
    #[inline]
    pub(super) fn begin(
        &mut self,
        from: u32,
        header: Header,
        want: &mut Option<&mut Want<'_>>,
    ) -> Partial {
        let peer = self.peers[from as usize].as_mut();
        let name = match (header.name, &peer) {
            (0, _) | (_, None) => Vec::new(),
            (_, Some(peer)) => peer.receiver.name(&header),
        };
        let partial = |name, whose| Partial {
            header,
            name,
            at: 0,
            whose,
        };
        if header.collective != 0 && header.run < self.run as u32 {
            return partial(name, Whose::Nobody);
        }
        let room = || Vec::with_capacity(header.total as usize);
        if !self.posted.is_empty() {
            let fits = |it: &&mut Posted| !it.bound && it.wanted.is(from, &header);
            if let Some(it) = self.posted.iter_mut().find(fits) {
                it.bound = true;
                let request = it.request;
                self.took(from, &header);
                return partial(name, Whose::Posted(request, room()));
            }
        }
        if let Some(want) = want
            && want.is_open()
            && want.wanted.is(from, &header)
            && let Some(target) = want.open(from, &header, || name.clone())
        {
            want.state = WantState::Bound;
            self.took(from, &header);
            return partial(name, Whose::Want(target));
        }
        partial(name, Whose::Queue(room()))
    }

    /// The message that was coming from a rank is there.
    #[inline]
    pub(super) fn whole(&mut self, from: u32, want: &mut Option<&mut Want<'_>>) {
        let Some(partial) = self.peer(from).partial.take() else {
            return;
        };
        let Partial {
            header,
            name,
            whose,
            ..
        } = partial;
        let number = self.next_message();
        let message = |data| Message {
            number,
            from,
            header,
            name,
            data,
        };
        match whose {
            Whose::Want(_) => {
                self.count_taken(&header, from);
                if let Some(want) = want {
                    want.done(from, &header);
                }
            }
            Whose::Posted(request, data) => self.arrived(message(data), Some(request)),
            Whose::Queue(data) => self.queue.push_back(message(data)),
            Whose::Nobody => {}
        }
    }

    /// Looks through what has come already.
    pub(in crate::engine::comm) fn find(&mut self, want: &mut Want<'_>) {
        if !self.queue.is_empty() {
            let fits = |message: &Message| want.wanted.is(message.from, &message.header);
            if let Some(at) = self.queue.iter().position(fits) {
                if self.queue[at].give(want)
                    && let Some(message) = self.queue.remove(at)
                {
                    self.count_taken(&message.header, message.from);
                    self.took(message.from, &message.header);
                }
                return;
            }
        }
        // What is coming and nobody's yet can become this one's.
        let ranks = match want.wanted.from {
            Some(rank) => rank..rank + 1,
            None => 0..self.world.size(),
        };
        for from in ranks {
            if !self.is_free(from, &want.wanted) {
                continue;
            }
            if self.gives_up(from) {
                return self.find(want);
            }
            let Some(Some(peer)) = self.peers.get_mut(from as usize) else {
                continue;
            };
            let Some(partial) = &mut peer.partial else {
                continue;
            };
            let Whose::Queue(data) = &partial.whose else {
                continue;
            };
            let name = &partial.name;
            if let Some(target) = want.open(from, &partial.header, || name.clone()) {
                // SAFETY: the target was made for the message, which has begun with these bytes.
                unsafe { target.take(0, data.as_ptr(), data.len()) };
                partial.whose = Whose::Want(target);
                want.state = WantState::Bound;
                let header = partial.header;
                self.took(from, &header);
            }
            return;
        }
    }

    /// Whether what is coming from a rank is nobody's yet, and is wanted.
    #[inline]
    pub(super) fn is_free(&self, from: u32, wanted: &Wanted) -> bool {
        let peer = self.peers.get(from as usize).and_then(Option::as_ref);
        peer.and_then(|peer| peer.partial.as_ref())
            .is_some_and(|partial| {
                matches!(partial.whose, Whose::Queue(_)) && wanted.is(from, &partial.header)
            })
    }

    /// Takes what has come from anybody; true when there was something. It begins with the one behind whom it was given
    /// last: nobody who sends much keeps others from being heard.
    pub(in crate::engine::comm) fn pump_all(&mut self, want: &mut Option<&mut Want<'_>>) -> bool {
        let size = self.world.size();
        let mut moved = false;
        for range in [self.turn..size, 0..self.turn] {
            for group in range.start / 64..range.end.div_ceil(64) {
                let word = block::SPOKE + u64::from(group) * 8;
                let mut spoke = self.world.of(self.rank, word).load(Ordering::Acquire);
                while spoke != 0 {
                    let from = group * 64 + spoke.trailing_zeros();
                    spoke &= spoke - 1;
                    if !range.contains(&from) || from == self.rank {
                        continue;
                    }
                    moved |= self.pump(from, want);
                    if want.as_ref().is_some_and(|want| !want.is_waiting()) {
                        self.turn = (from + 1) % size;
                        return moved;
                    }
                }
            }
        }
        moved
    }

    /// Tells senders of all room that they have.
    pub(in crate::engine::comm) fn tell_room(&mut self) {
        for from in 0..self.world.size() {
            if let Some(Some(peer)) = self.peers.get_mut(from as usize)
                && peer.receiver.tell()
            {
                self.world.wake(from);
            }
        }
    }
}
