//! `ssend`: a send that waits until a receive has taken its message. Between ranks that share memory the receiver answers
//! with a message of its own; on MPI, where what comes is taken in early and MPI's own `Ssend` would end with that, it
//! writes the message's number where its sender looks.

use std::sync::atomic::Ordering;
use std::time::Duration;

use regatta_cell::comm::table::{Envelope, Kind};

use super::matching::{Sink, TAKEN, Terms, Want, WantState, Wanted};
use super::mpi::Mpi;
use super::mpi_waiting::Vigil;
use super::ring::Header;
use super::shared::{Sending, Shared, Work};
use super::world::World;
use super::{Transport as _, Trouble};
use crate::wire::monotonic;
use crate::wire::world::{Call, row};

/// Looks at the number before the clock is.
const LOOKS: u32 = 256;

/// So long a rank on MPI is awake, nanoseconds; then it naps between its looks.
const AWAKE: u64 = 20_000_000;
const NAP: Duration = Duration::from_micros(50);

/// How often it looks around, nanoseconds, and so often in vain before it gives up.
const AROUND: u64 = 500_000;
const IN_VAIN: u32 = 3;

/// Whether a receive of `to` has taken what `from` has sent with this number; numbers begin anew at the end.
pub fn is_taken(world: &World, to: u32, from: u32, number: u32) -> bool {
    let at = world.layout().row(to, from) + row::SYNCHRONISED;
    let last = world.word(at).load(Ordering::SeqCst) as u32;
    last.wrapping_sub(number).cast_signed() >= 0
}

impl Shared {
    /// Sends a message, and waits for the answer.
    pub(super) fn send_and_wait(&mut self, of: &Envelope, value: &[u8]) -> Result<(), Trouble> {
        let call = Call::Ssend;
        let to = self.other(call, of)?;
        let number = self.next_synchronous();
        let header = Header {
            call: Header::SSEND,
            run: number,
            ..self.header(of, value.len())
        };
        let mut want = Want {
            wanted: Wanted {
                comm: of.comm,
                from: Some(to),
                tag: tag_of(number),
                collective: TAKEN,
            },
            call,
            terms: Terms::default(),
            kind: Kind::NOTHING,
            name: &[],
            sink: Sink::None,
            placed: std::ptr::null_mut(),
            state: WantState::Open,
        };
        let mut sending = Sending::new(to, header, Self::name(of), value);
        self.push(&mut sending);
        // The rank itself may have answered.
        self.find(&mut want);
        let mut work = Work {
            sending: Some(&mut sending),
            want: Some(&mut want),
            ..Work::default()
        };
        match self.step(&mut work, false) {
            true => Ok(()),
            false => self.wait(&mut work, call, of),
        }
    }

    pub(super) fn next_synchronous(&mut self) -> u32 {
        self.synchronous = self.synchronous.wrapping_add(1);
        self.synchronous
    }

    /// A receive has this message: its sender may wait for that.
    #[inline]
    pub(super) fn took(&mut self, from: u32, header: &Header) {
        if let Some(number) = header.synchronous() {
            self.answer(from, header.comm, number);
        }
    }

    #[cold]
    fn answer(&mut self, to: u32, comm: u32, number: u32) {
        let header = Header {
            comm,
            tag: tag_of(number),
            collective: TAKEN,
            run: self.run as u32,
            call: Header::SSEND,
            kind: Kind::NOTHING.0 as u16,
            ..Header::default()
        };
        self.post(Sending::new(to, header, &[], &[]));
    }

    /// The same on MPI.
    #[inline]
    pub(super) fn note_synchronised(&self, from: u32, header: &Header) {
        if let Some(number) = header.synchronous()
            && !is_taken(&self.world, self.rank, from, number)
        {
            let at = self.world.layout().row(self.rank, from) + row::SYNCHRONISED;
            self.world.word(at).store(number.into(), Ordering::SeqCst);
        }
    }
}

/// Of the answer to an `ssend` with this number.
fn tag_of(number: u32) -> i32 {
    (number & i32::MAX.cast_unsigned()).cast_signed()
}

impl Mpi {
    /// Sends a message, and waits until its number is there.
    pub(super) fn send_and_wait(&mut self, of: &Envelope, value: &[u8]) -> Result<(), Trouble> {
        let call = Call::Ssend;
        let to = self.book.other(call, of)?;
        let number = self.book.next_synchronous();
        let request = self.post(call, of, value, Some(number))?;
        if let Some(at) = self.posted_at(request) {
            if let Err(trouble) = self.advance(at, call, of, true) {
                self.forget(request);
                return Err(trouble);
            }
            self.posted.remove(at);
        }
        self.await_taken(of, to, number)
    }

    fn await_taken(&mut self, of: &Envelope, to: u32, number: u32) -> Result<(), Trouble> {
        let (world, from) = (self.book.world.clone(), self.book.rank);
        for _ in 0..LOOKS {
            if is_taken(&world, to, from, number) {
                return Ok(());
            }
            std::hint::spin_loop();
        }
        let (began, on) = (monotonic(), [to]);
        let (call, posted) = (Call::Ssend, &mut self.posted[..]);
        let mut vigil = Vigil::new(self.library, &mut self.book, posted, call, of, &on);
        vigil.round = number.into();
        let (mut asked, mut in_vain) = (began, 0);
        while in_vain <= IN_VAIN && !is_taken(&world, to, from, number) {
            let now = monotonic();
            match now - began > AWAKE {
                true => std::thread::sleep(NAP),
                false => std::thread::yield_now(),
            }
            if now - asked > AROUND {
                asked = now;
                in_vain = if vigil.looks_in_vain() {
                    in_vain + 1
                } else {
                    0
                };
            }
        }
        let trouble = vigil.end();
        self.waited(monotonic() - began, false);
        match is_taken(&world, to, from, number) {
            true => Ok(()),
            false => Err(trouble.unwrap_or(Trouble::Stopped(call))),
        }
    }
}
