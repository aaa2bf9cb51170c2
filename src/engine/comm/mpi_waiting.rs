//! What a rank of an MPI pool does while it waits for long: it takes in what has come, so that a sender of much need not
//! wait for it; it writes down what it waits for and what has come, where the others and the judge of deadlocks can read
//! it; and it looks whether its wait is one that ends.

use std::borrow::Cow;
use std::ffi::{c_int, c_void};
use std::sync::atomic::Ordering;

use regatta_cell::comm::table::Envelope;

use super::Trouble;
use super::mpi::Posted;
use super::mpi_layout::WHOLE;
use super::mpi_receiving::take;
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
        let (on, round, began) = (self.on.to_vec(), self.round, self.began);
        self.book.waiting(self.call, self.of, on, round, began)
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
        self.room.resize(WHOLE, 0);
        for comm in comms {
            let (library, call) = (self.library, self.call);
            while matches!(
                take(library, self.book, call, comm, (-1, -1), &mut self.room),
                Ok(true)
            ) {}
        }
        self.note_arrived();
    }

    /// What was posted and is not waited for now: MPI may be done with it.
    pub fn drain_posted(&mut self) -> Result<(), Trouble> {
        for (at, posted) in self.posted.iter_mut().enumerate() {
            if self.waited == Some(at) {
                continue;
            }
            let Some(handle) = posted.handles.first() else {
                continue;
            };
            let ended = handle.end(self.library, false, None);
            if ended.code == 0 && ended.done {
                posted.ended(self.library, self.book, self.call, ended.came)?;
            }
        }
        Ok(())
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
