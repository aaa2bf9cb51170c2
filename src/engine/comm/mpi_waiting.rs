//! What a rank of an MPI pool does while it waits for long: it takes in what has come, so that a sender of much need not
//! wait for it; it writes down what it waits for and what has come, where the others and the judge of deadlocks can read
//! it; and it looks whether its wait is one that ends.

use std::borrow::Cow;
use std::ffi::{c_int, c_void};
use std::sync::atomic::Ordering;

use regatta_cell::comm::table::{ANY_TAG, Envelope, Kind};

use super::Trouble;
use super::mpi::{Handle, Posted, stored};
use super::mpi_layout::{Came, WHOLE};
use super::shared::Shared;
use crate::engine::mpi::Mpi as Library;
use crate::wire::monotonic;
use crate::wire::world::{Call, Waiting, block, row};

/// A wait.
pub(super) struct Vigil<'a> {
    pub library: &'static Library,
    pub book: &'a mut Shared,
    pub posted: &'a mut [Posted],
    pub call: Call,
    pub of: &'a Envelope,
    /// The ranks of the world for whom it waits.
    pub on: Cow<'a, [u32]>,
    /// Of a collective call: which one.
    pub round: u64,
    /// It waits for others to take what it sends.
    pub sends: bool,
    /// The place of the request that it waits for.
    pub waited: Option<usize>,
    /// When it looked first; 0 before.
    pub began: u64,
    /// What is written down, and its number.
    record: Option<(u64, Waiting)>,
    trouble: Option<Trouble>,
    room: Vec<u8>,
}

impl<'a> Vigil<'a> {
    pub fn new(
        library: &'static Library,
        book: &'a mut Shared,
        posted: &'a mut [Posted],
        call: Call,
        of: &'a Envelope,
        on: &'a [u32],
    ) -> Self {
        Self {
            library,
            book,
            posted,
            call,
            of,
            on: Cow::Borrowed(on),
            round: 0,
            waited: None,
            sends: false,
            began: 0,
            record: None,
            trouble: None,
            room: Vec::new(),
        }
    }

    /// Whether to give up.
    pub extern "C" fn look(vigil: *mut c_void) -> c_int {
        // SAFETY: it is the vigil of the call that waits.
        let vigil = unsafe { &mut *vigil.cast::<Vigil<'_>>() };
        c_int::from(vigil.looks_in_vain())
    }

    /// The same for a call whose memory MPI keeps: it takes in what has come, and never gives up.
    pub extern "C" fn take_in(vigil: *mut c_void) -> c_int {
        // SAFETY: as above.
        let vigil = unsafe { &mut *vigil.cast::<Vigil<'_>>() };
        vigil.drain();
        0
    }

    pub fn looks_in_vain(&mut self) -> bool {
        if self.trouble.is_some() {
            return true;
        }
        if self.began == 0 {
            self.began = monotonic();
        }
        self.drain();
        let waiting = self.describe();
        let is_old = matches!(&self.record, Some((_, old)) if *old == waiting);
        if !is_old {
            let (world, rank) = (&self.book.world, self.book.rank);
            let word = world.of(rank, block::WANTS_ROOM);
            word.store(self.sends.into(), Ordering::SeqCst);
            let number = world.write_waiting(rank, Some(&waiting));
            self.record = Some((number, waiting));
        }
        if let Some((number, waiting)) = &self.record {
            let ended = self.book.look_around(waiting, *number, self.began);
            self.trouble = ended.err();
        }
        self.trouble.is_some()
    }

    pub fn describe(&mut self) -> Waiting {
        let of = self.of;
        let is_collective = self.call.is_collective();
        let type_name = match of.kind {
            Kind::NOTHING => String::new(),
            // SAFETY: it is the name of a type, in the artifact's memory.
            Kind::ENCODED => String::from_utf8_lossy(unsafe { of.name.as_slice() }).into_owned(),
            kind => kind.text(),
        };
        let members = match self.book.comms.get(&of.comm) {
            Some(comm) if of.comm != 0 => comm.members.to_vec(),
            _ => Vec::new(),
        };
        Waiting {
            call: self.call,
            on: self.on.to_vec(),
            tag: (!is_collective && of.tag != ANY_TAG).then_some(of.tag),
            type_name,
            place: self.book.place(of),
            comm: self.book.context(of.comm),
            members,
            number: self.round,
            since: self.began,
            met: Vec::new(),
        }
    }

    /// Ends the wait; what has come of it.
    pub fn end(mut self) -> Option<Trouble> {
        if self.record.is_some() {
            let (world, rank) = (&self.book.world, self.book.rank);
            world.write_waiting(rank, None);
            let word = world.of(rank, block::WANTS_ROOM);
            word.store(0, Ordering::SeqCst);
        }
        self.trouble.take()
    }

    /// Takes what has come from MPI, and notes how much that is.
    pub fn drain(&mut self) {
        // What cannot be taken is found by whoever asks for it.
        let _ = self.drain_posted();
        let comms: Vec<u32> = self.book.comms.keys().copied().collect();
        for comm in comms {
            while matches!(self.take_one(comm), Ok(true)) {}
        }
        self.note_arrived();
    }

    /// Receives that were posted and that nobody waits for now: MPI may be done with them.
    fn drain_posted(&mut self) -> Result<(), Trouble> {
        for (at, posted) in self.posted.iter_mut().enumerate() {
            if self.waited == Some(at) {
                continue;
            }
            let (Some((_, comm)), Some(Handle(handle))) = (posted.of, posted.handles.first())
            else {
                continue;
            };
            let (mut done, mut source, mut tag, mut length) = (0, 0, 0, 0);
            // SAFETY: the handle is one of MPI's that has not ended.
            let code = unsafe {
                (self.library.shim.end)(
                    *handle,
                    0,
                    &raw mut done,
                    &raw mut source,
                    &raw mut tag,
                    &raw mut length,
                    None,
                    std::ptr::null_mut(),
                    std::ptr::null_mut(),
                )
            };
            if code == 0 && done != 0 {
                posted.handles.remove(0);
                let whole = std::mem::take(&mut posted.whole);
                let came = Came::of(source, tag, length);
                let message = stored(self.library, self.book, self.call, comm, came, &whole)?;
                posted.message = Some(message);
            }
        }
        Ok(())
    }

    /// A message that no receive waits for goes to the queue; whether there was one.
    fn take_one(&mut self, comm: u32) -> Result<bool, Trouble> {
        let (mut there, mut source, mut tag, mut length) = (0, 0, 0, 0);
        let shim = &self.library.shim;
        // SAFETY: it writes to what it is given.
        let code = unsafe {
            (shim.probe)(
                comm as c_int,
                -1,
                -1,
                &raw mut there,
                &raw mut source,
                &raw mut tag,
            )
        };
        if code != 0 || there == 0 {
            return Ok(false);
        }
        self.room.resize(WHOLE, 0);
        // SAFETY: the room is as long as it says.
        let code = unsafe {
            (shim.recv)(
                comm as c_int,
                self.room.as_mut_ptr(),
                WHOLE as c_int,
                source,
                tag,
                &raw mut source,
                &raw mut tag,
                &raw mut length,
                goes_on,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
            )
        };
        if code != 0 {
            return Ok(false);
        }
        let (call, came) = (self.call, Came::of(source, tag, length));
        let message = stored(self.library, self.book, call, comm, came, &self.room)?;
        self.book.queue.push_back(message);
        Ok(true)
    }

    pub fn note_arrived(&self) {
        let (world, rank) = (&self.book.world, self.book.rank);
        let mut here = vec![0_u64; world.size() as usize];
        let posted = self.posted.iter().filter_map(|it| it.message.as_ref());
        for message in self.book.queue.iter().chain(posted) {
            if let Some(count) = here.get_mut(message.from as usize) {
                *count += 1;
            }
        }
        for (from, here) in (0..).zip(here) {
            let at = world.layout().row(rank, from);
            let taken = world.word(at + row::TAKEN).load(Ordering::Relaxed);
            let arrived = world.word(at + row::ARRIVED);
            arrived.store(taken + here, Ordering::SeqCst);
        }
    }
}

extern "C" fn goes_on(_: *mut c_void) -> c_int {
    0
}

impl Shared {
    /// The number of a communicator in the world, the same for all its members.
    pub(super) fn context(&self, comm: u32) -> u32 {
        self.contexts.get(&comm).copied().unwrap_or(comm)
    }
}
