//! How a rank waits: awake for a moment, then asleep until it is woken; and how it finds out that it would wait for
//! ever.

use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use regatta_cell::comm::table::{ANY_TAG, Envelope};

use super::judge::{Way, condemn, deadlock_of, holds};
use super::seat::tell;
use super::shared::{NOBODY, Shared, Work};
use super::{Trouble, judge};
use crate::wire::monotonic;
use crate::wire::world::{Call, CommTold, SpanKind, State, Waiting, Word, block, header};

/// So long a rank looks again and again, nanoseconds; then it lets others have the processor between its looks. It does
/// so at once when the one for whom it waits is on the same processor.
const AWAKE: u64 = 5_000;

/// After so long it sleeps.
const UNTIL_SLEEP: u64 = 60_000;

/// Looks between two looks at the clock.
const LOOKS: u32 = 64;

/// As long as this a rank sleeps at most before it looks around.
const SLEEP: Duration = Duration::from_millis(50);

/// After so long it looks for a deadlock, nanoseconds.
const SUSPICIOUS: u64 = 100_000_000;

/// Shorter waits are not drawn.
pub(super) const DRAWN: u64 = 20_000;

impl Shared {
    /// Works until it is done.
    #[inline(never)]
    pub(super) fn wait(
        &mut self,
        work: &mut Work<'_, '_>,
        call: Call,
        of: &Envelope,
    ) -> Result<(), Trouble> {
        let began = monotonic();
        let sends = work.sending.is_some() && work.want.is_none();
        let mut now = began;
        let mut done = false;
        while !done && now - began < UNTIL_SLEEP {
            let in_its_way = self.is_in_the_way_of(work.waits_on_one());
            for _ in 0..if in_its_way { 1 } else { LOOKS } {
                if self.step(work, false) {
                    done = true;
                    break;
                }
                std::hint::spin_loop();
            }
            if !done {
                done = self.step(work, true);
                now = monotonic();
                if in_its_way || now - began > AWAKE {
                    std::thread::yield_now();
                }
            }
        }
        let mut ended = Ok(());
        if !done {
            ended = self.sleep(work, call, of, began);
            now = monotonic();
        }
        self.note(began, now, sends);
        if ended.is_err() {
            self.let_go();
        }
        ended
    }

    /// Whether this rank has the processor on which the other one was last.
    #[inline]
    fn is_in_the_way_of(&self, other: Option<u32>) -> bool {
        let processor = this_processor();
        let ours = self.world.of(self.rank, block::PROCESSOR);
        if ours.load(Ordering::Relaxed) != processor {
            ours.store(processor, Ordering::Relaxed);
        }
        other.is_some_and(|rank| {
            let theirs = self.world.of(rank, block::PROCESSOR);
            processor != 0 && theirs.load(Ordering::Relaxed) == processor
        })
    }

    /// Adds to what the rank has waited.
    pub(super) fn note(&self, began: u64, now: u64, sends: bool) {
        let (word, kind) = match sends {
            true => (block::SENDING, SpanKind::Send),
            false => (block::WAITED, SpanKind::Wait),
        };
        let word = self.world.of(self.rank, word);
        let waited = word.load(Ordering::Relaxed) + (now - began);
        word.store(waited, Ordering::Relaxed);
        if now - began < DRAWN {
            return;
        }
        let head = self.world.of(self.rank, block::SPAN_HEAD);
        let number = head.load(Ordering::Relaxed);
        let at = block::SPANS + number % block::SPAN_COUNT * block::SPAN;
        for (word, value) in (0..).zip([kind.word(), began, now]) {
            let word = self.world.of(self.rank, at + 8 * word);
            word.store(value, Ordering::Relaxed);
        }
        head.store(number + 1, Ordering::Release);
    }

    /// Sleeps until the work is done, or never will be.
    fn sleep(
        &mut self,
        work: &mut Work<'_, '_>,
        call: Call,
        of: &Envelope,
        began: u64,
    ) -> Result<(), Trouble> {
        let mut ended = None;
        while ended.is_none() {
            self.tell_room();
            // What is done from here on is done by one whose record is there: it shows that it does so.
            if self.step(work, true) {
                ended = Some(Ok(()));
                break;
            }
            self.tell_room();
            let waiting = self.describe(work, call, of, began);
            let wants_room = self.wants_room(work);
            let word = self.world.of(self.rank, block::WANTS_ROOM);
            word.store(u64::from(wants_room), Ordering::SeqCst);
            let number = self.world.write_waiting(self.rank, Some(&waiting));
            ended = loop {
                let heard = self.world.lie_down(self.rank);
                fence(Ordering::SeqCst);
                if self.has_some() || self.has_room(work) {
                    break None;
                }
                let ends = { self.look_around(&waiting, number, began) }
                    .and_then(|()| self.both_may_end(work, &waiting, began));
                if let Err(trouble) = ends {
                    break Some(Err(trouble));
                }
                if self.wants_room(work) != wants_room {
                    break None;
                }
                self.world.sleep(self.rank, heard, SLEEP);
            };
            self.world.get_up(self.rank);
            self.world.write_waiting(self.rank, None);
            word_off(self);
        }
        ended.unwrap_or(Ok(()))
    }

    /// Whether something is to go that waits for room: somebody who lives makes some, and the rank is in no deadlock yet.
    fn wants_room(&self, work: &Work<'_, '_>) -> bool {
        let sends = work.sending.as_ref().is_some_and(|it| !it.done);
        sends || work.flush || self.has_unsent()
    }

    /// Whether what waits for room has some.
    fn has_room(&mut self, work: &Work<'_, '_>) -> bool {
        match &work.sending {
            Some(sending) if !sending.done => self.has_room_for(sending.to),
            _ => self.has_room_for_posted(),
        }
    }

    fn describe(&mut self, work: &Work<'_, '_>, call: Call, of: &Envelope, since: u64) -> Waiting {
        let on = self.waits_on(work);
        if !call.is_collective() {
            return self.waiting(call, of, on, 0, since);
        }
        let number = self.comms.get(&of.comm).map_or(0, |comm| comm.calls);
        Waiting {
            met: self.met(call, of.comm, number),
            ..self.waiting(call, of, on, number.into(), since)
        }
    }

    /// A wait as it is written down, for these ranks; `number`: of a collective call, which one.
    pub(super) fn waiting(
        &mut self,
        call: Call,
        of: &Envelope,
        on: Vec<u32>,
        number: u64,
        since: u64,
    ) -> Waiting {
        let members = match self.comms.get(&of.comm) {
            Some(comm) if of.comm != 0 => comm.members.to_vec(),
            _ => Vec::new(),
        };
        Waiting {
            call: called(call, of),
            on,
            tag: (!call.is_collective() && of.tag != ANY_TAG).then_some(of.tag),
            type_name: Self::type_name(of, of.kind),
            place: self.place(of),
            comm: self.context(of.comm),
            members,
            number,
            since,
            met: Vec::new(),
        }
    }

    /// Whether the wait is one that ends.
    pub(super) fn look_around(
        &self,
        waiting: &Waiting,
        number: u64,
        began: u64,
    ) -> Result<(), Trouble> {
        let world = &self.world;
        let call = waiting.call;
        if world.of(self.rank, block::CONDEMNED).load(Ordering::SeqCst) == number {
            return Err(Trouble::Deadlock(call));
        }
        let hub = Word::of(world.of(self.rank, block::HUB).load(Ordering::Acquire));
        if world.word(header::STOP).load(Ordering::Acquire) == hub.run && hub.run != 0 {
            return Err(Trouble::Stopped(call));
        }
        if monotonic() - began < SUSPICIOUS {
            return Ok(());
        }
        if !waiting.met.is_empty() {
            let waiting = waiting.clone();
            return Err(Trouble::Told(Box::new(CommTold::Crossed { waiting })));
        }
        let wants_room = world
            .of(self.rank, block::WANTS_ROOM)
            .load(Ordering::Relaxed)
            != 0;
        if wants_room {
            return self.may_end(waiting, &waiting.on);
        }
        if let Some(deadlock) = deadlock_of(world, self.rank, self.way) {
            return self.end_deadlock(deadlock, waiting);
        }
        if world.is_retired() {
            return Err(self.world_is_over(waiting));
        }
        Ok(())
    }

    /// Whether one of these is there, for whom a rank waits that has something to send meanwhile: one is enough.
    fn may_end(&self, waiting: &Waiting, on: &[u32]) -> Result<(), Trouble> {
        let states = on.iter().map(|rank| (*rank, self.world.state(*rank)));
        let (there, others): (Vec<_>, Vec<_>) =
            states.partition(|(_, state)| matches!(state, State::Running | State::Due));
        // What comes from one that has left was written before.
        let comes = |(from, _): &(u32, State)| {
            self.way == Way::Memory && holds(&self.world, self.rank, *from)
        };
        if there.is_empty() && !others.iter().any(comes) {
            match others[..] {
                [] => {}
                [(rank, state)] => return Err(gone(waiting, rank, state)),
                _ => {
                    let waits = vec![(self.rank, waiting.clone())];
                    let told = CommTold::Deadlock { waits, others };
                    return Err(Trouble::Told(Box::new(told)));
                }
            }
        }
        match self.world.is_retired() {
            true => Err(self.world_is_over(waiting)),
            false => Ok(()),
        }
    }

    /// The same of a send and a receive in one: it takes both.
    fn both_may_end(
        &self,
        work: &Work<'_, '_>,
        waiting: &Waiting,
        began: u64,
    ) -> Result<(), Trouble> {
        let (Some(sending), Some(want)) = (&work.sending, &work.want) else {
            return Ok(());
        };
        if sending.done || !want.is_waiting() || monotonic() - began < SUSPICIOUS {
            return Ok(());
        }
        self.may_end(waiting, &[sending.to])?;
        self.may_end(waiting, &self.senders_to(want))
    }

    fn end_deadlock(&self, deadlock: judge::Deadlock, waiting: &Waiting) -> Result<(), Trouble> {
        let told = match (&deadlock.waits[..], &deadlock.others[..]) {
            ([(_, waiting)], [(rank, state)]) if !waiting.call.is_collective() => CommTold::Gone {
                waiting: waiting.clone(),
                rank: *rank,
                state: *state,
            },
            _ => CommTold::Deadlock {
                waits: deadlock.waits.clone(),
                others: deadlock.others.clone(),
            },
        };
        let text_is_ours = matches!(told, CommTold::Gone { .. });
        if text_is_ours {
            // Whoever it is tells it with the call's end.
            return Err(Trouble::Told(Box::new(told)));
        }
        if deadlock.is_anothers(&self.world) {
            return Ok(());
        }
        // Another rank may tell of some of them just now: when this one is not among those, it looks again.
        match condemn(&self.world, &deadlock, || tell(told)) {
            true => Err(Trouble::Deadlock(waiting.call)),
            false => Ok(()),
        }
    }

    /// A rank has died, and its pool goes on in another world.
    fn world_is_over(&self, waiting: &Waiting) -> Trouble {
        let mut ranks = 0..self.world.size();
        match ranks.find(|rank| self.world.state(*rank) == State::Dead) {
            Some(rank) => gone(waiting, rank, State::Dead),
            None => Trouble::Usage(format!(
                "`comm::{}`: the pool has other engines than when this cell began",
                waiting.call.name()
            )),
        }
    }

    /// The cell has ended; what it has posted still goes, as long as there is somebody to take it.
    pub(super) fn finish_sending(&mut self) {
        let mut work = Work {
            flush: true,
            ..Work::default()
        };
        if !self.step(&mut work, true) && self.wait(&mut work, Call::Wait, &NOBODY).is_err() {
            self.drop_unsent();
        }
    }
}

fn this_processor() -> u64 {
    // SAFETY: it takes nothing, and gives a number.
    processor_word(unsafe { libc::sched_getcpu() })
}

/// As [`block::PROCESSOR`] has it; 0 when the system does not tell.
fn processor_word(number: libc::c_int) -> u64 {
    u64::try_from(number).map_or(0, |number| number + 1)
}

/// As a call is called in the cell.
fn called(call: Call, of: &Envelope) -> Call {
    use regatta_cell::comm::table::called as names;
    match of.tag {
        _ if !call.is_collective() => call,
        names::REDUCE => Call::Reduce,
        names::ALL_REDUCE => Call::AllReduce,
        names::SCAN => Call::Scan,
        names::EXSCAN => Call::Exscan,
        names::REDUCE_SCATTER => Call::ReduceScatter,
        _ => call,
    }
}

fn word_off(shared: &Shared) {
    let word = shared.world.of(shared.rank, block::WANTS_ROOM);
    word.store(0, Ordering::SeqCst);
}

pub(super) fn gone(waiting: &Waiting, rank: u32, state: State) -> Trouble {
    Trouble::Told(Box::new(CommTold::Gone {
        waiting: waiting.clone(),
        rank,
        state,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_that_is_not_told_is_nobodys() {
        assert_eq!(processor_word(0), 1);
        assert_eq!(processor_word(63), 64);
        assert_eq!(processor_word(-1), 0);
    }
}
