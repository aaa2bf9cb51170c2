//! What ranks of an MPI pool do for `comm`: each call as MPI makes it.

use std::ffi::c_int;

use regatta_cell::comm::table::{ANY_RANK, Envelope, Got, Op, Reduction};

use super::matching::Message;
use super::mpi::{Handle, Mpi, Posted, take};
use super::mpi_layout::{SHORT, WHOLE};
use super::mpi_parts::Collective;
use super::mpi_sending::LONGEST;
use super::shared::{next_request, want};
use super::{Into, Request, Transport, Trouble, words};
use crate::wire::world::{Call, Unreceived};

impl Transport for Mpi {
    fn begin(&mut self) {
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
        if to == self.book.rank {
            let request = self.post_send(of, value)?;
            self.forget(request);
            return Ok(());
        }
        if let Some(header) = self.bare(of, value, to) {
            self.book.count(&header, to, header.total);
            return self.send_short(call, of, value, &header, to);
        }
        let is_long = value.len() > SHORT;
        let (header, to) = self.prepare(call, of, value)?;
        if is_long && let Err(gone) = self.must_be_there(call, of, to) {
            self.book.count_back(to, header.total);
            return Err(gone);
        }
        let going = std::mem::take(&mut self.going);
        let gone = self.send_short(call, of, &going, &header, to);
        self.going = going;
        gone?;
        match is_long {
            true => self.send_body(call, of, &header, value),
            false => Ok(()),
        }
    }

    fn post_send(&mut self, of: &Envelope, value: &[u8]) -> Result<Request, Trouble> {
        let call = Call::Send;
        let (header, to) = self.prepare(call, of, value)?;
        self.tidy();
        let mut posted = Posted {
            request: next_request(),
            handles: Vec::new(),
            whole: self.going.as_slice().into(),
            body: if value.len() > SHORT {
                value.to_vec()
            } else {
                Vec::new()
            },
            to,
            of: None,
            message: None,
            forgotten: false,
        };
        let shim = &self.library.shim;
        let (comm, peer) = (of.comm as c_int, Self::peer(of));
        let (number, tag) = (Self::number(header.kind), header.part.cast_signed());
        // The body first: whoever gets the header waits for it.
        let mut is_taken = true;
        for part in posted.body.chunks(LONGEST) {
            let (start, length) = (part.as_ptr(), part.len() as u64);
            // SAFETY: the buffers stay where they are until MPI is done with them.
            let handle = unsafe { (shim.isend)(comm, 1, start, length, number, peer, tag) };
            is_taken &= !handle.is_null();
            posted.handles.push(Handle(handle));
            if !is_taken {
                break;
            }
        }
        if is_taken {
            let (start, length) = (posted.whole.as_ptr(), posted.whole.len() as u64);
            // SAFETY: as above.
            let handle = unsafe { (shim.isend)(comm, 0, start, length, 0, peer, of.tag) };
            is_taken = !handle.is_null();
            posted.handles.push(Handle(handle));
        }
        // What MPI has taken it still reads.
        posted.handles.retain(|handle| !handle.0.is_null());
        posted.forgotten = !is_taken;
        let request = posted.request;
        self.posted.push(posted);
        if !is_taken {
            self.book.count_back(to, header.total);
            return Err(words::of(call, "MPI does not take the message"));
        }
        Ok(request)
    }

    fn recv(&mut self, of: &Envelope, into: Into) -> Result<Got, Trouble> {
        let call = match of.peer {
            ANY_RANK => Call::RecvAny,
            _ => Call::Recv,
        };
        let wanted = self.book.wanted(call, of)?;
        let mut want = want(wanted, call, of, into);
        self.fulfil(call, of, &mut want)?;
        self.book.got(want, of)
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
            Some(at) => posted.message = self.book.queue.remove(at),
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
            return Ok(None);
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

    fn probe(&mut self, of: &Envelope, wait: bool) -> Result<Option<Got>, Trouble> {
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
                return Ok(None);
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
