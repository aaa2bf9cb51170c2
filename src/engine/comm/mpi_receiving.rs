//! Receives on MPI: what comes into the buffer, and from there to where it is wanted, or aside. A message that is there
//! soon needs no more than MPI's own calls; a longer wait is kept watch over.

use std::ffi::c_int;

use regatta_cell::comm::table::{ANY_RANK, Envelope, Got};

use super::matching::{Message, Want};
use super::mpi::{Mpi, body, checked, stored, world_rank};
use super::mpi_handle::Handle;
use super::mpi_layout::{Came, SHORT, WHOLE, bare_kind, parts};
use super::mpi_waiting::Vigil;
use super::shared::{Shared, want};
use super::{Into, Trouble};
use crate::engine::mpi::Mpi as Library;
use crate::engine::mpi::shim::{Check, GIVEN_UP};
use crate::wire::world::Call;

impl Mpi {
    /// Receives a message into the buffer: who sent it, and its length. Ends with a trouble when nobody will send it.
    #[inline]
    pub(super) fn receive(&mut self, call: Call, of: &Envelope) -> Result<Came, Trouble> {
        let (mut source, mut tag, mut length) = (0, 0, 0);
        let mut later = std::ptr::null_mut();
        // SAFETY: the buffer is as long as it says, and stays where it is.
        let code = unsafe {
            (self.library.shim.recv)(
                of.comm as c_int,
                self.buffer.as_mut_ptr(),
                WHOLE as c_int,
                Self::peer(of),
                of.tag,
                &raw mut source,
                &raw mut tag,
                &raw mut length,
                &raw mut later,
            )
        };
        if !later.is_null() {
            return self.await_message(call, of, Handle(later));
        }
        self.checked(call, code)?;
        Ok(Came::of(source, tag, length))
    }

    /// The ranks of the world that may send what a receive is for.
    pub(super) fn senders(&self, call: Call, of: &Envelope) -> Result<Vec<u32>, Trouble> {
        Ok(match of.peer {
            ANY_RANK => {
                let (ours, members) = (self.book.rank, &self.book.comm(of.comm)?.members);
                { members.iter().copied() }
                    .filter(|rank| *rank != ours)
                    .collect()
            }
            _ => vec![self.book.other(call, of)?],
        })
    }

    /// The wait for a message that does not come at once.
    #[cold]
    fn await_message(
        &mut self,
        call: Call,
        of: &Envelope,
        handle: Handle,
    ) -> Result<Came, Trouble> {
        let on = self.senders(call, of)?;
        let posted = &mut self.posted[..];
        let mut vigil = Vigil::new(self.library, &mut self.book, posted, call, of, &on);
        let look = Some((Vigil::look as Check, &mut vigil));
        let ended = handle.end(self.library, true, look);
        let trouble = vigil.end();
        self.waited(ended.waited, false);
        if ended.code != GIVEN_UP {
            self.checked(call, ended.code)?;
            return Ok(ended.came);
        }
        match handle.cancel(self.library) {
            Ok(Some(came)) => Ok(came),
            Ok(None) => Err(trouble.unwrap_or(Trouble::Stopped(call))),
            Err(code) => Err(self
                .checked(call, code)
                .err()
                .unwrap_or(Trouble::Stopped(call))),
        }
    }

    /// Receives from any rank or among some, or when there are messages that nobody has received.
    pub(super) fn recv_from_many(&mut self, of: &Envelope, into: Into) -> Result<Got, Trouble> {
        let call = match of.peer {
            ANY_RANK => Call::RecvAny,
            _ => Call::Recv,
        };
        let wanted = self.book.wanted(call, of)?;
        if !self.book.queue.is_empty() {
            let mut want = want(wanted, call, of, into);
            self.fulfil(call, of, &mut want)?;
            return self.book.got(want, of);
        }
        self.recv_next(call, of, into)
    }

    /// Receives what comes next: nothing that has come before is in the queue.
    #[inline]
    pub(super) fn recv_next(
        &mut self,
        call: Call,
        of: &Envelope,
        into: Into,
    ) -> Result<Got, Trouble> {
        let came = self.receive(call, of)?;
        match self.take_bare(of, came, into) {
            Some(got) => Ok(got),
            None => self.recv_with_header(call, of, came, into),
        }
    }

    /// Puts the message in the buffer where it is wanted.
    fn recv_with_header(
        &mut self,
        call: Call,
        of: &Envelope,
        came: Came,
        into: Into,
    ) -> Result<Got, Trouble> {
        let mut want = want(self.book.wanted(call, of)?, call, of, into);
        self.give(call, of, came, &mut want)?;
        self.book.got(want, of)
    }

    /// Puts a number that has come without a header to where it is wanted. `None`: it is something else, and is in the
    /// buffer.
    #[inline]
    pub(super) fn take_bare(&mut self, of: &Envelope, came: Came, into: Into) -> Option<Got> {
        let kind = bare_kind(&self.book, of.comm, came)?;
        if kind != of.kind {
            return None;
        }
        let to = into.room(0, came.length as u64);
        if to.is_null() {
            return None;
        }
        let whole = self.buffer.first_chunk::<8>().filter(|_| came.length == 8);
        // SAFETY: there is room for so many bytes, and they are in the buffer.
        unsafe {
            match whole {
                Some(whole) => to.cast::<[u8; 8]>().write(*whole),
                None => std::ptr::copy_nonoverlapping(self.buffer.as_ptr(), to, came.length),
            }
        }
        self.book.note_taken(came.source);
        Some(Got {
            from: came.source,
            tag: came.tag,
            bytes: came.length as u64,
        })
    }

    /// Gives the message in the buffer to the want, or stores it.
    #[inline]
    pub(super) fn give(
        &mut self,
        call: Call,
        of: &Envelope,
        came: Came,
        want: &mut Want<'_>,
    ) -> Result<(), Trouble> {
        let from = world_rank(&self.book, of.comm, came.source)?;
        let (header, name, data) = parts(&self.book, of.comm, from, came, &self.buffer[..]);
        let Some(target) = want.open(from, &header, || name.to_vec()) else {
            let message = self.stored(call, of.comm, came, &self.buffer[..])?;
            self.book.queue.push_back(message);
            return Ok(());
        };
        if header.total as usize <= SHORT {
            // SAFETY: the target was made for the message's length.
            unsafe { target.take(0, data.as_ptr(), header.total as usize) };
        } else {
            let to = target.to;
            body(
                self.library,
                &self.book,
                call,
                of.comm,
                came.source,
                &header,
                to,
            )?;
        }
        self.book.count_taken(&header, from);
        self.book.note_synchronised(from, &header);
        want.done(from, &header);
        Ok(())
    }

    /// Takes what fits from the queue, or else waits for it.
    #[inline]
    pub(super) fn fulfil(
        &mut self,
        call: Call,
        of: &Envelope,
        want: &mut Want<'_>,
    ) -> Result<(), Trouble> {
        if !self.book.queue.is_empty() {
            let fits = |message: &Message| want.wanted.is(message.from, &message.header);
            if let Some(at) = self.book.queue.iter().position(fits) {
                if self.book.queue[at].give(want)
                    && let Some(message) = self.book.queue.remove(at)
                {
                    self.book.count_taken(&message.header, message.from);
                    self.book.note_synchronised(message.from, &message.header);
                }
                return Ok(());
            }
        }
        let came = self.receive(call, of)?;
        self.give(call, of, came, want)
    }
}

/// Takes a message from this rank of the communicator and with this tag into the queue, if there is one; -1: from any,
/// with any. `room` is as long as [`WHOLE`].
pub(super) fn take(
    library: &Library,
    book: &mut Shared,
    call: Call,
    comm: u32,
    (from, tag): (c_int, c_int),
    room: &mut [u8],
) -> Result<bool, Trouble> {
    let (mut there, mut source, mut its_tag, mut length) = (0, 0, 0, 0);
    // SAFETY: it writes to what it is given.
    let code = unsafe {
        let (there, source, tag_to) = (&raw mut there, &raw mut source, &raw mut its_tag);
        (library.shim.probe)(comm as c_int, from, tag, there, source, tag_to)
    };
    checked(library, call, code)?;
    if there == 0 {
        return Ok(false);
    }
    let mut later = std::ptr::null_mut();
    // SAFETY: the room is as long as it says, and the message is there.
    let code = unsafe {
        (library.shim.recv)(
            comm as c_int,
            room.as_mut_ptr(),
            room.len() as c_int,
            source,
            its_tag,
            &raw mut source,
            &raw mut its_tag,
            &raw mut length,
            &raw mut later,
        )
    };
    let (code, came) = if later.is_null() {
        (code, Came::of(source, its_tag, length))
    } else {
        let ended = Handle(later).end(library, true, None);
        (ended.code, ended.came)
    };
    checked(library, call, code)?;
    let message = stored(library, book, call, comm, came, room)?;
    book.queue.push_back(message);
    Ok(true)
}
