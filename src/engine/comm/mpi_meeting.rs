//! How ranks of an MPI pool begin a collective call: all members of the communicator are there before MPI's own call
//! begins.

use std::borrow::Cow;
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use regatta_cell::comm::table::{Envelope, Kind};
use regatta_cell::host::Bytes;

use super::meeting::{Arrival, Brings, Meeting, number_of};
use super::mpi::Mpi;
use super::mpi_waiting::Vigil;
use super::shared::Shared;
use super::world::World;
use super::{Trouble, words};
use crate::wire::monotonic;
use crate::wire::world::{Call, CommTold, block, header, meeting};

/// So long a rank that waits for a call to begin stays awake, nanoseconds, and so often it looks around.
const AWAKE: u64 = 100_000;
const BETWEEN_LOOKS: u64 = 500_000;

/// After so long it lets others have the processor.
const ALONE: u64 = 5_000;

/// Looks between two looks at the clock.
const LOOKS: u32 = 64;

impl Mpi {
    /// Waits until all members have come to a collective call with the same as this one; only then MPI's own call begins.
    pub(super) fn arrive(&mut self, brings: Brings, of: &Envelope) -> Result<(), Trouble> {
        let call = brings.call;
        let comm = self.book.comm(of.comm)?;
        let (members, rank) = (comm.members.clone(), comm.rank);
        if members.len() < 2 {
            return Ok(());
        }
        let context = comm.context;
        let world = self.book.world.clone();
        let place = Meeting::of(&world, context);
        // One that was written before is still there.
        let own = self.book.rank;
        let written = world.of(own, block::BRINGS[2]).load(Ordering::Relaxed);
        if brings.name != 0 && brings.name != written {
            world.put_name(own, Shared::name(of));
        }
        let round = match place.arrive(&members, rank, brings) {
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
                let is_other = |(_, theirs): &&(u32, Brings)| *theirs != brings;
                let (other, theirs) = crossed.iter().find(is_other).unwrap_or(&crossed[1]);
                Err(self.does_not_fit(of, members[*other as usize], *theirs, brings))
            }
        }
    }

    /// This rank and another one of the world come to a call with different things.
    fn does_not_fit(&mut self, of: &Envelope, other: u32, theirs: Brings, ours: Brings) -> Trouble {
        let call = ours.call;
        let text = if theirs.call != call {
            let theirs = theirs.call.name();
            format!(
                "rank {other} is in `comm::{theirs}` meanwhile: all ranks make the same calls in the same order"
            )
        } else if let (Some(root), Some(own)) = (theirs.root, ours.root)
            && root != own
        {
            words::another_root(other, root, own)
        } else if let (Some(op), Some(own)) = (theirs.op, ours.op)
            && op != own
        {
            words::another_op(other, op, own)
        } else if (theirs.kind, theirs.name) != (ours.kind, ours.name) {
            return Trouble::Told(Box::new(CommTold::Mismatch {
                call,
                from: other,
                tag: 0,
                sent: self.type_of(other, theirs),
                sent_at: None,
                wanted: Shared::type_name(of, ours.kind),
                wanted_at: self.book.place(of),
            }));
        } else {
            let count = |brings: Brings| {
                let size = brings
                    .kind
                    .number()
                    .map_or(1, |number| number.size() as u64);
                brings.bytes / size
            };
            let (theirs, ours) = (count(theirs), count(ours));
            format!("rank {other} gives {theirs} values, and this rank {ours}: all give as many")
        };
        words::of(call, &text)
    }

    /// The type of the values with which a rank of the world has come.
    fn type_of(&self, rank: u32, theirs: Brings) -> String {
        if theirs.kind != Kind::ENCODED {
            return theirs.kind.text();
        }
        let name = self.book.world.name(rank);
        match number_of(&name) == theirs.name {
            true => String::from_utf8_lossy(&name).into_owned(),
            // It has come to another call since.
            false => "another type".to_owned(),
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
            name: Bytes::of(&[]),
            file: of.file,
            line: of.line,
        };
        self.words(call, &made, 0, &[], &mut number, 1, 0)?;
        let [number] = number;
        match u32::try_from(number) {
            Ok(number) if number < meeting::MOST => {
                if let Some(comm) = self.book.comms.get_mut(&local) {
                    comm.context = number;
                }
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
fn missing(vigil: &Vigil<'_>, members: &[u32], world: &World) -> Vec<u32> {
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
