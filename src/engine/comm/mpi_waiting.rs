//! What a rank of an MPI pool does while it waits for long: it takes in what has come, so that a sender of much need not
//! wait for it; it writes down what it waits for and what has come, where the others and the judge of deadlocks can read
//! it; and it looks whether its wait is one that ends.

use std::borrow::Cow;
use std::ffi::{c_int, c_void};
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use regatta_cell::comm::table::{ANY_TAG, Envelope, Kind};

use super::meeting::{Arrival, Meeting};
use super::mpi::{Handle, Mpi, Posted, stored};
use super::mpi_layout::{Came, WHOLE};
use super::ring::Header;
use super::shared::Shared;
use super::waiting::gone;
use super::{Trouble, judge, words};
use crate::engine::mpi::Mpi as Library;
use crate::wire::monotonic;
use crate::wire::world::{Call, State, Waiting, block, header, meeting, row};

/// So long a rank that waits for a collective call to begin stays awake, nanoseconds, and so often it looks around.
const AWAKE: u64 = 100_000;
const BETWEEN_LOOKS: u64 = 500_000;

/// After so long it lets others have the processor.
const ALONE: u64 = 5_000;

/// So long the last messages of a cell may take to come, nanoseconds.
const LAST: u64 = 200_000_000;

/// MPI sends at most so many bytes in one message.
const LONGEST: usize = 1 << 30;

/// Looks between two looks at the clock.
const LOOKS: u32 = 64;

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
    began: u64,
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

    fn looks_in_vain(&mut self) -> bool {
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

    fn describe(&mut self) -> Waiting {
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
    fn drain(&mut self) {
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

    fn note_arrived(&self) {
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
    fn context(&self, comm: u32) -> u32 {
        self.contexts.get(&comm).copied().unwrap_or(comm)
    }
}

impl Mpi {
    /// Waits until all members have come to a collective call of this kind; only then MPI's own call begins.
    pub(super) fn arrive(&mut self, call: Call, of: &Envelope) -> Result<(), Trouble> {
        let comm = self.book.comm(of.comm)?;
        let (members, rank) = (comm.members.clone(), comm.rank);
        if members.len() < 2 {
            return Ok(());
        }
        let context = self.book.context(of.comm);
        let world = self.book.world.clone();
        let place = Meeting::of(&world, context);
        let round = match place.arrive(members.len(), rank, call) {
            Arrival::Last(round) => {
                for member in members.iter() {
                    world.wake(*member);
                }
                round
            }
            Arrival::Early(round) => {
                self.wait_to_begin(call, of, &members, place, round)?;
                round
            }
        };
        match place.crossed(round) {
            None => Ok(()),
            Some(crossed) => {
                let is_other = |(_, other): &&(u32, Call)| *other != call;
                let other = crossed.iter().find(is_other).unwrap_or(&crossed[1]);
                let (of, theirs) = (members[other.0 as usize], other.1.name());
                Err(words::of(
                    call,
                    &format!(
                        "rank {of} is in `comm::{theirs}` meanwhile: all ranks make the same calls in the same order"
                    ),
                ))
            }
        }
    }

    fn wait_to_begin(
        &mut self,
        call: Call,
        of: &Envelope,
        members: &[u32],
        place: Meeting<'_>,
        round: u64,
    ) -> Result<(), Trouble> {
        let world = self.book.world.clone();
        let rank = self.book.rank;
        let posted = &mut self.posted[..];
        let mut vigil = Vigil::new(self.library, &mut self.book, posted, call, of, &[]);
        vigil.round = round;
        let began = monotonic();
        let (mut now, mut looked) = (began, began);
        let mut has_turned = false;
        let has_begun = || place.round() != round;
        'waits: loop {
            for _ in 0..LOOKS {
                if has_begun() {
                    break 'waits;
                }
                std::hint::spin_loop();
            }
            now = monotonic();
            if now - looked > BETWEEN_LOOKS {
                looked = now;
                vigil.on = Cow::Owned(missing(&vigil, members, &world));
                if vigil.looks_in_vain() && place.turn_back(round) {
                    has_turned = true;
                    break;
                }
            }
            if now - began > AWAKE {
                let heard = world.lie_down(rank);
                fence(Ordering::SeqCst);
                if !has_begun() {
                    world.sleep(rank, heard, Duration::from_nanos(BETWEEN_LOOKS));
                }
                world.get_up(rank);
            } else if now - began > ALONE {
                std::thread::yield_now();
            }
        }
        let trouble = vigil.end();
        self.book.note(began, now.max(began), false);
        match trouble {
            Some(trouble) if has_turned => Err(trouble),
            _ => Ok(()),
        }
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
    pub(super) fn finish_sending(&mut self, nobody: &Envelope) {
        for at in 0..self.posted.len() {
            if self.posted[at].of.is_none() {
                // Its memory stays, whether it has gone or not.
                let _ = self.advance(at, Call::Wait, nobody, true);
            }
        }
    }

    /// The rank has left its cell: what was sent to it before is taken in, as its senders may wait for that.
    pub(super) fn take_the_last(&mut self, nobody: &Envelope) {
        let (rank, size) = (self.book.rank, self.book.world.size());
        let since = monotonic();
        fence(Ordering::SeqCst);
        let posted = &mut self.posted[..];
        let mut vigil = Vigil::new(
            self.library,
            &mut self.book,
            posted,
            Call::Probe,
            nobody,
            &[],
        );
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
        let posted = &mut self.posted[..];
        let mut vigil = Vigil::new(self.library, &mut self.book, posted, call, of, &[]);
        let shim = &self.library.shim;
        let (number, tag) = (Self::number(header.kind), header.part.cast_signed());
        let (mut code, mut time) = (0, 0);
        for part in value.chunks(LONGEST) {
            let (comm, to, length) = (of.comm as c_int, Self::peer(of), part.len() as u64);
            let (mut done, mut source, mut got, mut count) = (0, 0, 0, 0);
            // SAFETY: the bytes are there until the request has ended, and it is not left before.
            code = unsafe {
                let handle = (shim.isend)(comm, 1, part.as_ptr(), length, number, to, tag);
                if handle.is_null() {
                    return Err(words::of(call, "MPI does not take the message"));
                }
                (shim.end)(
                    handle,
                    1,
                    &raw mut done,
                    &raw mut source,
                    &raw mut got,
                    &raw mut count,
                    Some(Vigil::take_in),
                    (&raw mut vigil).cast(),
                    &raw mut time,
                )
            };
            if code != 0 {
                break;
            }
        }
        drop(vigil);
        self.waited(time);
        self.checked(call, code)
    }

    /// Numbers a communicator that was just made, the same in all its members; MPI's own numbers are each process's.
    pub(super) fn name(&mut self, call: Call, of: &Envelope, local: u32) -> Result<(), Trouble> {
        let rank = self.book.comm(local)?.rank;
        let mut number = [0];
        if rank == 0 {
            let next = self.book.world.word(header::CONTEXTS);
            number[0] = next.fetch_add(1, Ordering::SeqCst) + 1;
        }
        let made = Envelope {
            comm: local,
            peer: 0,
            tag: of.tag,
            kind: of.kind,
            name: regatta_cell::host::Bytes::of(&[]),
            file: of.file,
            line: of.line,
        };
        self.words(call, &made, 0, &[], &mut number, 1, 0)?;
        let [number] = number;
        match u32::try_from(number) {
            Ok(number) if number < meeting::MOST => {
                self.book.contexts.insert(local, number);
                Ok(())
            }
            _ => Err(words::of(
                call,
                &format!(
                    "the pool has had {} communicators, and that is the most",
                    meeting::MOST
                ),
            )),
        }
    }
}

/// Who has not come yet, as far as that is written down.
fn missing(vigil: &Vigil<'_>, members: &[u32], world: &super::world::World) -> Vec<u32> {
    let context = vigil.book.context(vigil.of.comm);
    let is_here = |rank: u32| {
        let waits = world.waiting(rank).map(|(_, waiting)| waiting);
        waits.is_some_and(|it| {
            it.call.is_collective() && it.comm == context && it.number == vigil.round
        })
    };
    let others = members.iter().filter(|rank| **rank != vigil.book.rank);
    others.copied().filter(|rank| !is_here(*rank)).collect()
}
