//! The calls of a cell.

use std::sync::atomic::Ordering;

use regatta_cell::comm::table::{ANY_RANK, Envelope, Got, Kind, Op, Reduction};

use super::{Sending, Shared, Whose, Work, next_request};
use crate::engine::comm::matching::{Message, Posted, Sink, Terms, Want, WantState, Wanted};
use crate::engine::comm::polls::Polls;
use crate::engine::comm::{Into, Request, Transport, Trouble, words};
use crate::wire::world::{Call, Unreceived, Word, block};

pub(in crate::engine::comm) fn want<'a>(
    wanted: Wanted,
    call: Call,
    of: &Envelope,
    into: Into,
) -> Want<'a> {
    Want {
        wanted,
        call,
        terms: Terms::default(),
        kind: of.kind,
        name: Shared::name(of),
        sink: Sink::Room(into, 0),
        placed: std::ptr::null_mut(),
        state: WantState::Open,
    }
}

impl Shared {
    /// Whether a poll that was in vain is to wait, as nobody is left for it.
    #[inline]
    fn is_left(&mut self, work: &Work<'_, '_>) -> bool {
        self.polls.is_time() && {
            let on = self.waits_on(work);
            self.waits_for_the_gone(&on)
        }
    }
}

impl Transport for Shared {
    fn begin(&mut self) {
        let word = Word::of(self.world.of(self.rank, block::HUB).load(Ordering::Acquire));
        self.run = word.run;
        self.polls = Polls::default();
        self.known.clear();
        for comm in self.comms.values_mut() {
            comm.calls = 0;
        }
        self.world
            .of(self.rank, block::RUN)
            .store(word.run, Ordering::Relaxed);
        self.world
            .of(self.rank, block::SPAN_HEAD)
            .store(0, Ordering::Relaxed);
        let run = self.run as u32;
        self.queue
            .retain(|it| it.header.collective == 0 || it.header.run >= run);
    }

    fn end(&mut self) {
        if self.peers.iter().flatten().any(|peer| !peer.out.is_empty()) {
            self.finish_sending();
        }
        self.let_go();
        self.tell_room();
        let word = self.world.of(self.rank, block::LEFT);
        word.store(self.run, Ordering::SeqCst);
        for rank in 0..self.world.size() {
            self.world.wake(rank);
        }
        // As long as nobody runs, another cell's file name may come to lie where one of this cell's was.
        self.known.clear();
    }

    fn place(&self, comm: u32) -> Result<(u32, u32), Trouble> {
        let comm = self.comm(comm)?;
        Ok((comm.rank, comm.members.len() as u32))
    }

    fn send(&mut self, of: &Envelope, value: &[u8]) -> Result<(), Trouble> {
        let call = Call::Send;
        let to = self.other(call, of)?;
        let header = self.header(of, value.len());
        let mut sending = Sending::new(to, header, Self::name(of), value);
        if self.push(&mut sending) {
            return Ok(());
        }
        let mut work = Work {
            sending: Some(&mut sending),
            ..Work::default()
        };
        self.wait(&mut work, call, of)
    }

    fn ssend(&mut self, of: &Envelope, value: &[u8]) -> Result<(), Trouble> {
        self.send_and_wait(of, value)
    }

    fn post_send(&mut self, of: &Envelope, value: &[u8]) -> Result<Request, Trouble> {
        let to = self.other(Call::Send, of)?;
        let header = self.header(of, value.len());
        Ok(self.post(Sending::new(to, header, Self::name(of), value)))
    }

    fn recv(&mut self, of: &Envelope, into: Into) -> Result<Got, Trouble> {
        let call = match of.peer {
            ANY_RANK => Call::RecvAny,
            _ => Call::Recv,
        };
        let wanted = self.wanted(call, of)?;
        let mut want = want(wanted, call, of, into);
        self.find(&mut want);
        if want.is_waiting() {
            let mut work = Work {
                want: Some(&mut want),
                ..Work::default()
            };
            if !self.step(&mut work, false) {
                self.wait(&mut work, call, of)?;
            }
        }
        self.got(want, of)
    }

    fn post_recv(&mut self, of: &Envelope) -> Result<Request, Trouble> {
        let wanted = self.wanted(Call::Recv, of)?;
        let request = next_request();
        let mut posted = Posted {
            request,
            wanted,
            bound: false,
            message: None,
        };
        self.pump_all(&mut None);
        for from in 0..self.world.size() {
            while self.is_free(from, &wanted) && self.gives_up(from) {}
        }
        let fits = |message: &Message| wanted.is(message.from, &message.header);
        let mut taken = None;
        if let Some(at) = self.queue.iter().position(fits) {
            posted.bound = true;
            posted.message = self.queue.remove(at);
            taken = posted.message.as_ref().map(|it| (it.from, it.header));
        } else {
            for (from, peer) in (0..).zip(&mut self.peers) {
                if let Some(peer) = peer
                    && let Some(partial) = &mut peer.partial
                    && let Whose::Queue(data) = &mut partial.whose
                    && wanted.is(from, &partial.header)
                {
                    posted.bound = true;
                    taken = Some((from, partial.header));
                    partial.whose = Whose::Posted(request, std::mem::take(data));
                    break;
                }
            }
        }
        self.posted.push_back(posted);
        if let Some((from, header)) = taken {
            self.took(from, &header);
        }
        Ok(request)
    }

    fn complete(
        &mut self,
        of: &Envelope,
        request: Request,
        wait: bool,
        into: Into,
    ) -> Result<Option<Got>, Trouble> {
        let mut work = Work {
            request,
            ..Work::default()
        };
        if !self.step(&mut work, true) {
            if !wait && !self.is_left(&work) {
                return Ok(None);
            }
            self.wait(&mut work, Call::Wait, of)?;
        }
        let Some(at) = self.posted.iter().position(|it| it.request == request) else {
            return match of.kind {
                // A send.
                Kind::NOTHING => Ok(Some(Got::default())),
                _ => Err(words::of(Call::Wait, words::OVER)),
            };
        };
        let Some(Posted {
            wanted,
            message: Some(message),
            ..
        }) = self.posted.remove(at)
        else {
            return Ok(None);
        };
        let mut want = want(wanted, Call::Wait, of, into);
        if message.give(&mut want) {
            self.count_taken(&message.header, message.from);
        } else {
            self.give_back(message);
        }
        self.got(want, of).map(Some)
    }

    fn await_any(
        &mut self,
        of: &Envelope,
        requests: &[Request],
        wait: bool,
    ) -> Result<Option<usize>, Trouble> {
        let mut work = Work {
            any: requests,
            ..Work::default()
        };
        if !self.step(&mut work, true) {
            if !wait && !self.is_left(&work) {
                return Ok(None);
            }
            self.wait(&mut work, Call::WaitAny, of)?;
        }
        Ok(requests.iter().position(|request| self.is_done(*request)))
    }

    fn forget(&mut self, request: Request) {
        let Some(at) = self.posted.iter().position(|it| it.request == request) else {
            return;
        };
        if let Some(Posted {
            message: Some(message),
            ..
        }) = self.posted.remove(at)
        {
            self.give_back(message);
            return;
        }
        for (from, peer) in (0..).zip(&mut self.peers) {
            if let Some(partial) = peer.as_mut().and_then(|peer| peer.partial.as_mut())
                && let Whose::Posted(of, data) = &mut partial.whose
                && *of == request
            {
                let header = &partial.header;
                let fits = |it: &&mut Posted| !it.bound && it.wanted.is(from, header);
                match self.posted.iter_mut().find(fits) {
                    Some(it) => {
                        it.bound = true;
                        *of = it.request;
                    }
                    None => partial.whose = Whose::Queue(std::mem::take(data)),
                }
            }
        }
    }

    fn sendrecv(
        &mut self,
        to: &Envelope,
        value: &[u8],
        from: &Envelope,
        into: Into,
    ) -> Result<Got, Trouble> {
        let call = Call::Sendrecv;
        let rank = self.other(call, to)?;
        let wanted = self.wanted(call, from)?;
        let header = self.header(to, value.len());
        let mut sending = Sending::new(rank, header, Self::name(to), value);
        self.push(&mut sending);
        let mut want = want(wanted, call, from, into);
        self.find(&mut want);
        let mut work = Work {
            sending: Some(&mut sending),
            want: Some(&mut want),
            ..Work::default()
        };
        if !self.step(&mut work, false) {
            self.wait(&mut work, call, from)?;
        }
        self.got(want, from)
    }

    fn probe(&mut self, of: &Envelope, wait: bool) -> Result<Option<Got>, Trouble> {
        let wanted = self.wanted(Call::Probe, of)?;
        let mut work = Work {
            probe: Some(wanted),
            ..Work::default()
        };
        if !self.step(&mut work, false) {
            if !wait && !self.is_left(&work) {
                return Ok(None);
            }
            self.wait(&mut work, Call::Probe, of)?;
        }
        let mut got = work.probed;
        if of.comm != 0
            && let Some(got) = &mut got
        {
            let members = &self.comm(of.comm)?.members;
            let is_it = |rank: &u32| *rank == got.from;
            got.from = members.iter().position(is_it).unwrap_or_default() as u32;
        }
        Ok(got)
    }

    fn barrier(&mut self, of: &Envelope) -> Result<(), Trouble> {
        self.all_wait(of)
    }

    fn broadcast(&mut self, of: &Envelope, value: &[u8], into: Into) -> Result<(), Trouble> {
        self.spread(of, value, into)
    }

    fn scatter(&mut self, of: &Envelope, parts: &[&[u8]], into: Into) -> Result<(), Trouble> {
        self.deal(of, parts, into)
    }

    fn gather(&mut self, of: &Envelope, value: &[u8], into: Into) -> Result<(), Trouble> {
        self.collect(of, value, into)
    }

    fn all_gather(&mut self, of: &Envelope, value: &[u8], into: Into) -> Result<(), Trouble> {
        self.collect_all(of, value, into)
    }

    fn all_to_all(&mut self, of: &Envelope, parts: &[&[u8]], into: Into) -> Result<(), Trouble> {
        self.exchange_all(of, parts, into)
    }

    fn reduce(
        &mut self,
        of: &Envelope,
        who: Reduction,
        op: Op,
        numbers: &[u8],
        to: *mut u8,
    ) -> Result<(), Trouble> {
        self.fold_all(of, who, op, numbers, to)
    }

    fn split(&mut self, of: &Envelope, color: u32, key: i64) -> Result<u32, Trouble> {
        self.part(of, color, key)
    }

    fn unreceived(&mut self, clear: bool) -> Vec<Unreceived> {
        self.pump_all(&mut None);
        self.tell_room();
        let of = |message: &Message| Unreceived {
            from: message.from,
            tag: message.header.tag,
            bytes: message.header.total,
            type_name: message.header.type_name(&message.name),
            at: message.header.place(),
            comm: message.header.comm,
        };
        let is_users = |message: &&Message| message.header.collective == 0;
        let told = self.queue.iter().filter(is_users).map(of).collect();
        if clear {
            for message in std::mem::take(&mut self.queue) {
                self.count_taken(&message.header, message.from);
            }
        }
        told
    }
}
