//! Calls that all ranks of a communicator make together, of messages point to point. Each has a number on its
//! communicator, by which its messages are told from others, and one that some rank does not reach is a deadlock like
//! any other.

mod folds;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use regatta_cell::comm::table::{ANY_TAG, Envelope, Kind, NULL, UNDEFINED};

use super::matching::{Sink, Terms, Want, WantState, Wanted};
use super::ring::Header;
use super::roots::Roots;
use super::shared::{Comm, Sending, Shared, Work};
use super::{Into, Trouble, words};
use crate::wire::world::{Call, block, header};

/// One call.
struct Round {
    call: Call,
    of: Envelope,
    members: Arc<[u32]>,
    rank: usize,
    number: u32,
    terms: Terms,
    header: Header,
}

/// What goes to a member, and what comes from one.
type Goes<'a> = Option<(usize, &'a [u8])>;
type Comes = Option<(usize, Sink)>;

/// Values up to this many bytes go to all before any is awaited.
const SMALL: usize = 4096;

/// Rows of numbers up to this many bytes are folded as a whole.
const WHOLE: usize = 16 * 1024;

impl Round {
    fn size(&self) -> usize {
        self.members.len()
    }

    /// The member so many ranks behind this one.
    fn after(&self, by: usize) -> usize {
        (self.rank + by) % self.size()
    }

    fn before(&self, by: usize) -> usize {
        (self.rank + self.size() - by % self.size()) % self.size()
    }
}

impl Shared {
    fn round(&mut self, call: Call, of: &Envelope, terms: Terms) -> Result<Round, Trouble> {
        let mut header = self.header(of, 0);
        self.comm(of.comm)?;
        let Some(comm) = self.comms.get_mut(&of.comm) else {
            return Err(words::of(call, "there is no such communicator"));
        };
        comm.calls += 1;
        header.call = terms.call(call);
        header.collective = comm.calls;
        let round = Round {
            call,
            of: *of,
            members: comm.members.clone(),
            rank: comm.rank as usize,
            number: comm.calls,
            terms,
            header,
        };
        if of.comm == 0 {
            let calls = self.world.of(self.rank, block::COLLECTIVES);
            calls.store(calls.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
        if terms.root == Some(round.rank as u32) {
            self.is_the_root(&round)?;
        }
        Ok(round)
    }

    fn rooted(&mut self, call: Call, of: &Envelope) -> Result<Round, Trouble> {
        let terms = Terms {
            root: Some(of.peer),
            op: None,
        };
        self.round(call, of, terms)
    }

    /// Notes that this rank is the root of a call, and looks whether another one is as well.
    fn is_the_root(&self, round: &Round) -> Result<(), Trouble> {
        let says = Roots {
            run: self.run,
            call: round.call,
            comm: self.context(round.of.comm),
            number: round.number,
            root: round.of.peer,
        };
        let word = self.world.word(header::ROOTS + says.place());
        match says.other_root(word.swap(says.word(), Ordering::AcqRel)) {
            None => Ok(()),
            Some(other) => {
                let member = round.members.get(other as usize).copied();
                let rank = member.unwrap_or(other);
                let text = words::another_root(rank, other, round.of.peer);
                Err(words::of(round.call, &text))
            }
        }
    }

    /// The root of a call.
    fn root(round: &Round) -> Result<usize, Trouble> {
        let (root, size) = (round.of.peer as usize, round.size());
        match root < size {
            true => Ok(root),
            false => Err(words::of(
                round.call,
                &format!("there is no rank {root}: the ranks are 0 to {}", size - 1),
            )),
        }
    }

    /// Sends and receives at the same time; what has come lies at the given place, so many bytes.
    #[inline]
    fn trade(
        &mut self,
        round: &Round,
        step: i32,
        goes: Goes<'_>,
        comes: Comes,
    ) -> Result<(*mut u8, u64), Trouble> {
        let mut sending = goes.map(|(to, data)| {
            let header = Header {
                total: data.len() as u64,
                tag: round.terms.root.map_or(step, u32::cast_signed),
                ..round.header
            };
            Sending::new(round.members[to], header, Self::name(&round.of), data)
        });
        let mut want = comes.map(|(from, sink)| Want {
            wanted: Wanted {
                comm: round.of.comm,
                from: Some(round.members[from]),
                tag: round.terms.root.map_or(step, |_| ANY_TAG),
                collective: round.number,
            },
            call: round.call,
            terms: round.terms,
            kind: round.of.kind,
            name: Self::name(&round.of),
            sink,
            placed: std::ptr::null_mut(),
            state: WantState::Open,
        });
        if let Some(sending) = &mut sending {
            self.push(sending);
        }
        if let Some(want) = &mut want {
            self.find(want);
        }
        let mut work = Work {
            sending: sending.as_mut(),
            want: want.as_mut(),
            ..Work::default()
        };
        if !self.step(&mut work, false) {
            self.wait(&mut work, round.call, &round.of)?;
        }
        match want {
            None => Ok((std::ptr::null_mut(), 0)),
            Some(want) => {
                let placed = want.placed;
                let got = self.got(want, &round.of)?;
                Ok((placed, got.bytes))
            }
        }
    }

    pub(super) fn all_wait(&mut self, of: &Envelope) -> Result<(), Trouble> {
        let round = self.round(Call::Barrier, of, Terms::default())?;
        let mut step = 0;
        while 1 << step < round.size() {
            let (to, from) = (round.after(1 << step), round.before(1 << step));
            self.trade(&round, step, Some((to, &[])), Some((from, Sink::None)))?;
            step += 1;
        }
        Ok(())
    }

    pub(super) fn spread(
        &mut self,
        of: &Envelope,
        value: &[u8],
        into: Into,
    ) -> Result<(), Trouble> {
        let round = self.rooted(Call::Broadcast, of)?;
        let root = Self::root(&round)?;
        let size = round.size();
        // The root is 0 here.
        let me = (round.rank + size - root) % size;
        let member = |number: usize| (number + root) % size;
        let mut value = value;
        let mut reach = 1;
        if me != 0 {
            // It comes from the one without this one's lowest bit.
            while me & reach == 0 {
                reach <<= 1;
            }
            let sink = Sink::Room(into, 0);
            let (place, bytes) = self.trade(&round, 0, None, Some((member(me ^ reach), sink)))?;
            // SAFETY: the room is as long as what came, and stays for the call.
            value = unsafe { std::slice::from_raw_parts(place, bytes as usize) };
        } else {
            while reach < size {
                reach <<= 1;
            }
        }
        reach >>= 1;
        while reach > 0 {
            if me + reach < size {
                self.trade(&round, 0, Some((member(me + reach), value)), None)?;
            }
            reach >>= 1;
        }
        Ok(())
    }

    pub(super) fn deal(
        &mut self,
        of: &Envelope,
        parts: &[&[u8]],
        into: Into,
    ) -> Result<(), Trouble> {
        let round = self.rooted(Call::Scatter, of)?;
        let root = Self::root(&round)?;
        if round.rank != root {
            let sink = Sink::Room(into, 0);
            return self.trade(&round, 0, None, Some((root, sink))).map(drop);
        }
        check_count(&round, parts.len())?;
        for to in (0..round.size()).filter(|to| *to != root) {
            self.trade(&round, 0, Some((to, parts[to])), None)?;
        }
        put(round.call, into, 0, parts[root])
    }

    pub(super) fn collect(
        &mut self,
        of: &Envelope,
        value: &[u8],
        into: Into,
    ) -> Result<(), Trouble> {
        let round = self.rooted(Call::Gather, of)?;
        let root = Self::root(&round)?;
        if round.rank != root {
            return self.trade(&round, 0, Some((root, value)), None).map(drop);
        }
        put(round.call, into, root as u64, value)?;
        for from in (0..round.size()).filter(|from| *from != root) {
            let sink = Sink::Room(into, from as u64);
            self.trade(&round, 0, None, Some((from, sink)))?;
        }
        Ok(())
    }

    pub(super) fn collect_all(
        &mut self,
        of: &Envelope,
        value: &[u8],
        into: Into,
    ) -> Result<(), Trouble> {
        let round = self.round(Call::AllGather, of, Terms::default())?;
        self.swap(&round, |_| value, into)
    }

    pub(super) fn exchange_all(
        &mut self,
        of: &Envelope,
        parts: &[&[u8]],
        into: Into,
    ) -> Result<(), Trouble> {
        let round = self.round(Call::AllToAll, of, Terms::default())?;
        check_count(&round, parts.len())?;
        self.swap(&round, |to| parts[to], into)
    }

    /// A part to each, and one from each.
    fn swap<'a>(
        &mut self,
        round: &Round,
        part: impl Fn(usize) -> &'a [u8],
        into: Into,
    ) -> Result<(), Trouble> {
        put(round.call, into, round.rank as u64, part(round.rank))?;
        let size = round.size();
        let early = |to: usize| part(to).len() <= SMALL;
        for by in 1..size {
            let to = round.after(by);
            if early(to) {
                self.trade(round, 0, Some((to, part(to))), None)?;
            }
        }
        for by in 1..size {
            let (to, from) = (round.after(by), round.before(by));
            let goes = (!early(to)).then(|| (to, part(to)));
            let sink = Sink::Room(into, from as u64);
            self.trade(round, 0, goes, Some((from, sink)))?;
        }
        Ok(())
    }

    pub(super) fn part(&mut self, of: &Envelope, color: u32, key: i64) -> Result<u32, Trouble> {
        let of = &Envelope {
            kind: Kind::NOTHING,
            ..*of
        };
        let round = self.round(Call::Split, of, Terms::default())?;
        let size = round.size();
        // The first has numbers for as many as there can be, and tells them along.
        let base = match round.rank {
            0 => {
                let next = self.world.word(header::CONTEXTS);
                let step = self.world.word(header::CONTEXT_STEP);
                let step = step.load(Ordering::Relaxed).max(size as u64);
                next.fetch_add(step, Ordering::SeqCst) + 1
            }
            _ => 0,
        };
        let mut said = vec![[0_u8; 24]; size];
        let mine = &mut said[round.rank];
        mine[..8].copy_from_slice(&u64::from(color).to_le_bytes());
        mine[8..16].copy_from_slice(&key.to_le_bytes());
        mine[16..].copy_from_slice(&base.to_le_bytes());
        let mine = *mine;
        for by in 1..size {
            self.trade(&round, 0, Some((round.after(by), &mine)), None)?;
        }
        for by in 1..size {
            let from = round.before(by);
            let sink = Sink::Memory(said[from].as_mut_ptr(), 24);
            self.trade(&round, 0, None, Some((from, sink)))?;
        }
        if color == UNDEFINED {
            return Ok(NULL);
        }
        let word = |rank: usize, at: usize| {
            let bytes = said[rank][at..at + 8].try_into();
            u64::from_le_bytes(bytes.unwrap_or_default())
        };
        let mut colors: Vec<u64> = (0..size).map(|rank| word(rank, 0)).collect();
        colors.sort_unstable();
        colors.dedup();
        let index = colors.iter().position(|of| *of == u64::from(color));
        let number = word(0, 16) + index.unwrap_or_default() as u64;
        let mut ranks: Vec<usize> = (0..size)
            .filter(|rank| word(*rank, 0) == u64::from(color))
            .collect();
        ranks.sort_by_key(|rank| (word(*rank, 8).cast_signed(), *rank));
        let rank = ranks.iter().position(|rank| *rank == round.rank);
        let number = u32::try_from(number)
            .map_err(|_| words::of(Call::Split, "there are too many communicators"))?;
        let comm = Comm {
            context: number,
            members: ranks.iter().map(|rank| round.members[*rank]).collect(),
            rank: rank.unwrap_or_default() as u32,
            calls: 0,
        };
        self.comms.insert(number, comm);
        Ok(number)
    }
}

/// As many parts as ranks.
fn check_count(round: &Round, parts: usize) -> Result<(), Trouble> {
    let size = round.size();
    if parts == size {
        return Ok(());
    }
    let what = format!("there are {parts} parts for {size} ranks: it takes one for each");
    Err(words::of(round.call, &what))
}

/// A rank's own part.
fn put(call: Call, into: Into, part: u64, value: &[u8]) -> Result<(), Trouble> {
    let place = into.room(part, value.len() as u64);
    if place.is_null() {
        return Err(words::of(call, "there is no room for this rank's own part"));
    }
    // SAFETY: the room is as long.
    unsafe { std::ptr::copy_nonoverlapping(value.as_ptr(), place, value.len()) };
    Ok(())
}
