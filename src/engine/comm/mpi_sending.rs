//! Messages on MPI of which senders wait for whoever takes them: long ones, and very many. So who waits takes in what
//! comes, and who leaves a cell takes what was sent to it before.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{Ordering, fence};

use regatta_cell::comm::table::Envelope;

use super::mpi::{Mpi, Posted};
use super::mpi_handle::Handle;
use super::mpi_layout::SHORT;
use super::mpi_waiting::Vigil;
use super::ring::Header;
use super::shared::{NOBODY, next_request};
use super::waiting::gone;
use super::{Request, Transport as _, Trouble, judge, words};
use crate::engine::mpi::Mpi as Library;
use crate::engine::mpi::shim::Check;
use crate::wire::monotonic;
use crate::wire::world::{Call, State};

/// So long the last messages of a cell may take to come, nanoseconds.
const LAST: u64 = 200_000_000;

/// MPI sends at most so many bytes in one message.
pub(super) const LONGEST: usize = 1 << 30;

impl Mpi {
    /// A send that is not just like the last one.
    pub(super) fn send_anew(
        &mut self,
        of: &Envelope,
        value: &[u8],
        to: u32,
    ) -> Result<(), Trouble> {
        let call = Call::Send;
        if to == self.book.rank {
            let request = self.post_send(of, value)?;
            self.forget(request);
            return Ok(());
        }
        if let Some(header) = self.bare(of, value, to) {
            self.book.count(&header, to, header.total);
            return self.send_short(call, of, value, header.total, to);
        }
        let is_long = value.len() > SHORT;
        let (header, to) = self.prepare(call, of, value, None)?;
        if is_long && let Err(gone) = self.must_be_there(call, of, to) {
            self.book.count_back(to, header.total);
            return Err(gone);
        }
        let going = std::mem::take(&mut self.going);
        let gone = self.send_short(call, of, &going, header.total, to);
        self.going = going;
        gone?;
        match is_long {
            true => self.send_body(call, of, &header, value),
            false => Ok(()),
        }
    }

    /// Sends what was counted and is short, of a message of `total` bytes. MPI may have no room for it: then the wait for
    /// that ends when nobody is there to make some.
    #[inline]
    pub(super) fn send_short(
        &mut self,
        call: Call,
        of: &Envelope,
        bytes: &[u8],
        total: u64,
        to: u32,
    ) -> Result<(), Trouble> {
        let mut later = std::ptr::null_mut();
        // SAFETY: the bytes are there for the call, which copies them.
        let code = unsafe {
            (self.library.shim.send)(
                of.comm as c_int,
                bytes.as_ptr(),
                bytes.len() as c_int,
                Self::peer(of),
                of.tag,
                &raw mut later,
            )
        };
        if code != 0 {
            self.book.count_back(to, total);
            return self.checked(call, code);
        }
        match later.is_null() {
            true => Ok(()),
            false => self.wait_for_room(call, of, Handle(later), total, to),
        }
    }

    /// The shim has a copy of the message, and MPI takes it when it can, also after this wait.
    #[cold]
    fn wait_for_room(
        &mut self,
        call: Call,
        of: &Envelope,
        handle: Handle,
        total: u64,
        to: u32,
    ) -> Result<(), Trouble> {
        self.tidy();
        self.posted.push(Posted {
            request: next_request(),
            handles: vec![handle],
            whole: Box::default(),
            body: Vec::new(),
            to,
            of: None,
            message: None,
            forgotten: true,
        });
        // Whoever gets a long message's header waits for its body: that follows in any case.
        if total as usize > SHORT {
            return Ok(());
        }
        let at = self.posted.len() - 1;
        self.advance(at, call, of, true)?;
        self.posted.remove(at);
        Ok(())
    }

    /// Sends a message that MPI reads from a copy. `number`: of an `ssend`.
    pub(super) fn post(
        &mut self,
        call: Call,
        of: &Envelope,
        value: &[u8],
        number: Option<u32>,
    ) -> Result<Request, Trouble> {
        let (header, to) = self.prepare(call, of, value, number)?;
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

    /// Of much that is to be sent, and that is counted already: its receiver is one that may take it. When it leaves
    /// later it takes what was counted.
    pub(super) fn must_be_there(
        &mut self,
        call: Call,
        of: &Envelope,
        to: u32,
    ) -> Result<(), Trouble> {
        fence(Ordering::SeqCst);
        let state = self.book.world.state(to);
        if matches!(state, State::Running | State::Due) {
            return Ok(());
        }
        let (posted, to) = (&mut self.posted[..], [to]);
        let mut vigil = Vigil::new(self.library, &mut self.book, posted, call, of, &to);
        Err(gone(&vigil.describe(), to[0], state))
    }

    /// The cell has ended: what it has posted still goes, as long as there is somebody to take it.
    pub(super) fn finish_sending(&mut self) {
        for at in 0..self.posted.len() {
            if self.posted[at].of.is_none() {
                // Its memory stays, whether it has gone or not.
                let _ = self.advance(at, Call::Wait, &NOBODY, true);
            }
        }
    }

    /// The vigil of a rank that waits for nobody.
    pub(super) fn idle(&mut self, call: Call) -> Vigil<'_> {
        let posted = &mut self.posted[..];
        Vigil::new(self.library, &mut self.book, posted, call, &NOBODY, &[])
    }

    /// The rank has left its cell: what was sent to it before is taken in, as its senders may wait for that.
    pub(super) fn take_the_last(&mut self) {
        let (rank, size) = (self.book.rank, self.book.world.size());
        let since = monotonic();
        fence(Ordering::SeqCst);
        let mut vigil = self.idle(Call::Probe);
        while monotonic() - since < LAST {
            vigil.note_arrived();
            let world = &vigil.book.world;
            if !(0..size).any(|from| judge::comes(world, rank, from)) {
                break;
            }
            vigil.drain();
            std::thread::yield_now();
        }
    }

    /// Sends what a header was sent of, and takes in what comes meanwhile, also from one that does the same.
    pub(super) fn send_body(
        &mut self,
        call: Call,
        of: &Envelope,
        header: &Header,
        value: &[u8],
    ) -> Result<(), Trouble> {
        let shim = &self.library.shim;
        let (number, tag) = (Self::number(header.kind), header.part.cast_signed());
        let (comm, to) = (of.comm as c_int, Self::peer(of));
        // All of it is under way before it takes in what comes: the other one may wait for all of it in between.
        let isend = |part: &[u8]| unsafe {
            // SAFETY: the bytes are there until the requests have ended, and they are not left before.
            (shim.isend)(comm, 1, part.as_ptr(), part.len() as u64, number, to, tag)
        };
        let handles: Vec<*mut c_void> = value.chunks(LONGEST).map(isend).collect();
        let posted = &mut self.posted[..];
        let mut vigil = Vigil::new(self.library, &mut self.book, posted, call, of, &[]);
        let (code, time) = end_all(self.library, &handles, Some(&mut vigil));
        drop(vigil);
        self.waited(time, true);
        if handles.iter().any(|handle| handle.is_null()) {
            return Err(words::of(call, "MPI does not take the message"));
        }
        self.checked(call, code)
    }
}

/// Waits until MPI is done with all of these, of which those that it has refused are NULL. With a vigil it takes in
/// what comes meanwhile. Gives the first error's code, or 0, and how long it waited, nanoseconds.
pub(super) fn end_all(
    library: &Library,
    handles: &[*mut c_void],
    mut vigil: Option<&mut Vigil<'_>>,
) -> (c_int, u64) {
    let (mut first, mut time) = (0, 0);
    for handle in handles.iter().filter(|handle| !handle.is_null()) {
        let vigil = { vigil.as_deref_mut() }.map(|vigil| (Vigil::take_in as Check, vigil));
        let ended = Handle(*handle).end(library, true, vigil);
        first = if first == 0 { ended.code } else { first };
        time += ended.waited;
    }
    (first, time)
}
