//! What ranks of an MPI pool do for `comm`: each call as MPI makes it.

use std::ffi::c_int;

use regatta_cell::comm::table::{Envelope, Got, Op, Reduction};

use super::matching::Message;
use super::mpi::{Mpi, Posted};
use super::mpi_handle::Handle;
use super::mpi_layout::WHOLE;
use super::mpi_parts::Collective;
use super::mpi_receiving::take;
use super::shared::{next_request, want};
use super::{Into, Request, Transport, Trouble, words};
use crate::wire::world::{Call, Unreceived};

impl Transport for Mpi {
    fn begin(&mut self) {
        // Another artifact may lie where the last one did.
        self.bare = None;
        self.book.begin();
    }

    fn end(&mut self) {
        self.tidy();
        if !self.posted.is_empty() {
            self.finish_sending();
            self.tidy();
        }
        self.book.end();
        self.take_the_last();
    }

    fn place(&self, comm: u32) -> Result<(u32, u32), Trouble> {
        Transport::place(&self.book, comm)
    }

    fn send(&mut self, of: &Envelope, value: &[u8]) -> Result<(), Trouble> {
        let call = Call::Send;
        let to = self.book.other(call, of)?;
        if self.is_bare_again(of, value, to) {
            let total = value.len() as u64;
            self.book.count_one(to, total);
            return self.send_short(call, of, value, total, to);
        }
        self.send_anew(of, value, to)
    }

    fn ssend(&mut self, of: &Envelope, value: &[u8]) -> Result<(), Trouble> {
        self.send_and_wait(of, value)
    }

    fn post_send(&mut self, of: &Envelope, value: &[u8]) -> Result<Request, Trouble> {
        self.post(Call::Send, of, value, None)
    }

    fn recv(&mut self, of: &Envelope, into: Into) -> Result<Got, Trouble> {
        if of.comm != 0 || of.peer >= self.book.world.size() || !self.book.queue.is_empty() {
            return self.recv_from_many(of, into);
        }
        self.recv_next(Call::Recv, of, into)
    }

    fn post_recv(&mut self, of: &Envelope) -> Result<Request, Trouble> {
        let call = Call::Recv;
        let wanted = self.book.wanted(call, of)?;
        let mut posted = Posted {
            request: next_request(),
            handles: Vec::new(),
            whole: Box::default(),
            body: Vec::new(),
            to: 0,
            of: Some((wanted, of.comm)),
            message: None,
            forgotten: false,
        };
        let fits = |message: &Message| wanted.is(message.from, &message.header);
        match self.book.queue.iter().position(fits) {
            Some(at) => {
                posted.message = self.book.queue.remove(at);
                if let Some(message) = &posted.message {
                    self.book.note_synchronised(message.from, &message.header);
                }
            }
            None => {
                posted.whole = vec![0; WHOLE].into();
                // SAFETY: the buffer stays where it is until MPI is done with it.
                let handle = unsafe {
                    let (whole, room) = (posted.whole.as_mut_ptr(), WHOLE as u64);
                    (self.library.shim.irecv)(
                        of.comm as c_int,
                        0,
                        whole,
                        room,
                        0,
                        Self::peer(of),
                        of.tag,
                    )
                };
                if handle.is_null() {
                    return Err(words::of(call, "MPI does not take the request"));
                }
                posted.handles.push(Handle(handle));
            }
        }
        let request = posted.request;
        self.posted.push(posted);
        Ok(request)
    }

    fn complete(
        &mut self,
        of: &Envelope,
        request: Request,
        wait: bool,
        into: Into,
    ) -> Result<Option<Got>, Trouble> {
        let call = Call::Wait;
        let Some(at) = self.posted_at(request) else {
            return Err(words::of(call, words::OVER));
        };
        if !self.advance(at, call, of, wait)? {
            if wait || !self.is_left(&[request])? {
                return Ok(None);
            }
            self.advance(at, call, of, true)?;
        }
        let posted = self.posted.remove(at);
        let Some((wanted, _)) = posted.of else {
            return Ok(Some(Got::default()));
        };
        let Some(message) = posted.message else {
            return Err(words::of(call, "what came could not be received"));
        };
        let mut want = want(wanted, call, of, into);
        match message.give(&mut want) {
            true => self.book.count_taken(&message.header, message.from),
            false => self.give_back(message),
        }
        self.book.got(want, of).map(Some)
    }

    fn await_any(
        &mut self,
        of: &Envelope,
        requests: &[Request],
        wait: bool,
    ) -> Result<Option<usize>, Trouble> {
        self.any_of(of, requests, wait)
    }

    fn forget(&mut self, request: Request) {
        let Some(at) = self.posted_at(request) else {
            return;
        };
        if self.posted[at].of.is_none() {
            self.posted[at].forgotten = true;
            self.tidy();
            return;
        }
        // What has come is noted in the order in which it was posted.
        let _ = self.idle(Call::Recv).drain_posted();
        let mut posted = self.posted.remove(at);
        self.withdraw(&mut posted);
        if let Some(message) = posted.message {
            self.give_back(message);
        }
    }

    fn sendrecv(
        &mut self,
        to: &Envelope,
        value: &[u8],
        from: &Envelope,
        into: Into,
    ) -> Result<Got, Trouble> {
        let request = self.post_send(to, value)?;
        let got = self.recv(from, into);
        match got {
            Ok(_) => {
                self.complete(to, request, true, into)?;
            }
            Err(_) => self.forget(request),
        }
        got
    }

    fn probe(&mut self, of: &Envelope, mut wait: bool) -> Result<Option<Got>, Trouble> {
        let call = Call::Probe;
        let wanted = self.book.wanted(call, of)?;
        loop {
            let fits = |message: &&Message| wanted.is(message.from, &message.header);
            if let Some(message) = self.book.queue.iter().find(fits) {
                let members = &self.book.comm(of.comm)?.members;
                let from = members.iter().position(|rank| *rank == message.from);
                return Ok(Some(Got {
                    from: from.unwrap_or_default() as u32,
                    tag: message.header.tag,
                    bytes: message.header.total,
                }));
            }
            if wait {
                let came = self.receive(call, of)?;
                let message = self.stored(call, of.comm, came, &self.buffer[..])?;
                self.book.queue.push_back(message);
                continue;
            }
            let (library, of_whom) = (self.library, (Self::peer(of), of.tag));
            let room = &mut self.buffer[..];
            if !take(library, &mut self.book, call, of.comm, of_whom, room)? {
                wait = self.book.polls.is_time() && {
                    let on = self.senders(call, of)?;
                    self.book.waits_for_the_gone(&on)
                };
                if !wait {
                    return Ok(None);
                }
            }
        }
    }

    fn barrier(&mut self, of: &Envelope) -> Result<(), Trouble> {
        self.meet(of)
    }

    fn broadcast(&mut self, of: &Envelope, value: &[u8], into: Into) -> Result<(), Trouble> {
        self.spread(of, value, into)
    }

    fn scatter(&mut self, of: &Envelope, parts: &[&[u8]], into: Into) -> Result<(), Trouble> {
        self.exchange(Collective::Scatter, of, parts, into)
    }

    fn gather(&mut self, of: &Envelope, value: &[u8], into: Into) -> Result<(), Trouble> {
        self.exchange(Collective::Gather, of, &[value], into)
    }

    fn all_gather(&mut self, of: &Envelope, value: &[u8], into: Into) -> Result<(), Trouble> {
        self.exchange(Collective::AllGather, of, &[value], into)
    }

    fn all_to_all(&mut self, of: &Envelope, parts: &[&[u8]], into: Into) -> Result<(), Trouble> {
        self.exchange(Collective::AllToAll, of, parts, into)
    }

    fn reduce(
        &mut self,
        of: &Envelope,
        who: Reduction,
        op: Op,
        numbers: &[u8],
        to: *mut u8,
    ) -> Result<(), Trouble> {
        self.fold(of, who, op, numbers, to)
    }

    fn split(&mut self, of: &Envelope, color: u32, key: i64) -> Result<u32, Trouble> {
        self.divide(of, color, key)
    }

    fn unreceived(&mut self, clear: bool) -> Vec<Unreceived> {
        self.idle(Call::Probe).drain();
        self.book.unreceived(clear)
    }
}
