//! Ranks that share memory: point to point. While a rank waits, also for room, it takes what comes for it into memory of
//! its own: a full ring is no deadlock.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use regatta_cell::comm::table::{ANY_RANK, Envelope, Got, Kind, Op, Reduction};

use super::matching::{
    LONGEST_NAME, Message, Posted, Refusal, Sink, Target, Want, WantState, Wanted, Why,
};
use super::ring::{Header, Receiver, Sender};
use super::world::World;
use super::{Into, Request, Transport, Trouble, words};
use crate::engine::places;
use crate::wire::places::Place;
use crate::wire::world::{Call, CommTold, Unreceived, Word, block, row};

pub struct Shared {
    pub(super) world: Arc<World>,
    pub(super) rank: u32,
    /// The run of the cell under way.
    pub(super) run: u64,
    peers: Vec<Option<Box<Peer>>>,
    /// Came, and was not asked for.
    queue: VecDeque<Message>,
    posted: VecDeque<Posted>,
    requests: Request,
    /// By number; the world's own is 0.
    pub(super) comms: BTreeMap<u32, Comm>,
    /// Places of calls, as they were looked up: the file's name in memory, and the line.
    known: Vec<(*const u8, u32, Option<Place>)>,
    /// For a collective's own use.
    pub(super) spare: Vec<u8>,
}

// SAFETY: the pointers are to memory of the process, and one thread at a time has the rank.
unsafe impl Send for Shared {}

/// A communicator.
pub(super) struct Comm {
    /// Ranks of the world by rank here.
    pub members: Arc<[u32]>,
    pub rank: u32,
    /// Collective calls in the run.
    pub calls: u32,
}

struct Peer {
    sender: Sender,
    receiver: Receiver,
    /// Its message that is coming.
    partial: Option<Partial>,
    /// What is to go to it, behind each other.
    out: VecDeque<Outgoing>,
    /// It knows that this rank speaks to it.
    spoke: bool,
}

struct Partial {
    header: Header,
    name: Vec<u8>,
    at: u64,
    whose: Whose,
}

enum Whose {
    /// The waiting thread's.
    Want(Target),
    /// A posted request's.
    Posted(Request, Vec<u8>),
    /// Nobody's yet.
    Queue(Vec<u8>),
    /// It belongs to a cell that is over.
    Nobody,
}

/// A message that has not gone as a whole.
struct Outgoing {
    request: Request,
    header: Header,
    name: Vec<u8>,
    data: Vec<u8>,
    at: u64,
    begun: bool,
    /// Bytes of the message, with what had gone before it was kept here.
    whole: u64,
}

/// A send of a thread that waits for it.
pub(super) struct Sending<'a> {
    pub to: u32,
    pub header: Header,
    pub name: &'a [u8],
    pub data: &'a [u8],
    pub at: u64,
    pub begun: bool,
    pub done: bool,
    /// Bytes of the message; `header` may say less of one that has partly gone.
    pub whole: u64,
}

/// What a thread does until it is done.
#[derive(Default)]
pub(super) struct Work<'a, 'b> {
    pub sending: Option<&'b mut Sending<'a>>,
    pub want: Option<&'b mut Want<'a>>,
    /// A posted request that is to be done: a send's, or a receive's.
    pub request: Request,
    /// A message that is to have come.
    pub probe: Option<Wanted>,
    pub probed: Option<Got>,
    /// All that was posted is to go.
    pub flush: bool,
}

impl Shared {
    pub fn new(world: Arc<World>, rank: u32) -> Self {
        let size = world.size();
        let all = Comm {
            members: (0..size).collect(),
            rank,
            calls: 0,
        };
        Self {
            rank,
            run: 0,
            peers: (0..size).map(|_| None).collect(),
            queue: VecDeque::new(),
            posted: VecDeque::new(),
            requests: 0,
            comms: BTreeMap::from([(0, all)]),
            known: Vec::new(),
            spare: Vec::new(),
            world,
        }
    }

    #[inline]
    fn peer(&mut self, rank: u32) -> &mut Peer {
        if self.peers[rank as usize].is_none() {
            self.meet(rank);
        }
        match &mut self.peers[rank as usize] {
            Some(peer) => peer,
            None => unreachable!("it was just met"),
        }
    }

    #[cold]
    fn meet(&mut self, rank: u32) {
        self.peers[rank as usize] = Some(Box::new(Peer {
            sender: Sender::new(&self.world, rank, self.rank),
            receiver: Receiver::new(&self.world, self.rank, rank),
            partial: None,
            out: VecDeque::new(),
            spoke: false,
        }));
    }

    pub(super) fn comm(&self, number: u32) -> Result<&Comm, Trouble> {
        self.comms.get(&number).ok_or_else(|| {
            Trouble::Usage(
                "this communicator was made by engines that are gone: `split` anew".to_owned(),
            )
        })
    }

    /// The rank of the world that an envelope names.
    #[inline]
    fn other(&self, call: Call, of: &Envelope) -> Result<u32, Trouble> {
        if of.comm == 0 && of.peer < self.world.size() {
            return Ok(of.peer);
        }
        self.other_in(call, of)
    }

    #[cold]
    fn other_in(&self, call: Call, of: &Envelope) -> Result<u32, Trouble> {
        let members = &self.comm(of.comm)?.members;
        members.get(of.peer as usize).copied().ok_or_else(|| {
            let (rank, size) = (of.peer, members.len());
            words::of(
                call,
                &format!("there is no rank {rank}: the ranks are 0 to {}", size - 1),
            )
        })
    }

    /// What a receive or a probe is for.
    #[inline]
    fn wanted(&self, call: Call, of: &Envelope) -> Result<Wanted, Trouble> {
        let from = match of.peer {
            ANY_RANK => {
                self.comm(of.comm)?;
                None
            }
            _ => Some(self.other(call, of)?),
        };
        Ok(Wanted {
            comm: of.comm,
            from,
            tag: of.tag,
            collective: 0,
        })
    }

    pub(super) fn place(&mut self, of: &Envelope) -> Option<Place> {
        let (file, line) = (of.file.start, of.line);
        let found = self.known.iter().find(|(f, l, _)| *f == file && *l == line);
        if let Some((_, _, place)) = found {
            return *place;
        }
        // SAFETY: it is the name of a file in the artifact's memory.
        let name = std::str::from_utf8(unsafe { of.file.as_slice() }).unwrap_or_default();
        let place = places::place(name, line);
        if self.known.len() == 64 {
            self.known.clear();
        }
        self.known.push((file, line, place));
        place
    }

    #[inline]
    pub(super) fn header(&mut self, of: &Envelope, bytes: usize) -> Header {
        let place = self.place(of);
        Header {
            total: bytes as u64,
            kind: of.kind.0,
            comm: of.comm,
            tag: of.tag,
            run: self.run,
            cell: place.map_or(0, |place| place.cell.0),
            line: place.map_or(0, |place| place.line),
            ..Header::default()
        }
    }

    #[inline]
    pub(super) fn name<'a>(of: &Envelope) -> &'a [u8] {
        if of.kind != Kind::ENCODED {
            return &[];
        }
        // SAFETY: it is the name of a type, in the artifact's memory.
        let name: &[u8] = unsafe { of.name.as_slice() };
        &name[..name.len().min(LONGEST_NAME)]
    }

    /// Writes what there is room for of a message; true when all of it has gone.
    #[inline]
    pub(super) fn push(&mut self, sending: &mut Sending<'_>) -> bool {
        let to = sending.to;
        if to == self.rank {
            self.deliver_to_self(sending);
            return true;
        }
        if !self.peer(to).out.is_empty() && !self.push_out(to) {
            return false;
        }
        let peer = self.peer(to);
        let mut moved = false;
        while !sending.done {
            // SAFETY: the data are as long as the header says.
            let gone = unsafe {
                let from = sending.data.as_ptr().add(sending.at as usize);
                let first = !sending.begun;
                peer.sender
                    .write(&sending.header, sending.name, from, sending.at, first)
            };
            let Some(gone) = gone else {
                break;
            };
            moved = true;
            sending.begun = true;
            sending.at += gone;
            sending.done = sending.at == sending.header.total;
        }
        if moved {
            if !peer.spoke {
                peer.spoke = true;
                let bit = 1_u64 << (self.rank % 64);
                let word = block::SPOKE + u64::from(self.rank / 64) * 8;
                self.world.of(to, word).fetch_or(bit, Ordering::SeqCst);
            }
            self.world.wake(to);
        }
        if sending.done {
            self.count(&sending.header, to, sending.whole);
        }
        sending.done
    }

    /// Notes a message that has gone.
    #[inline]
    fn count(&self, header: &Header, to: u32, bytes: u64) {
        let at = self.world.layout().row(self.rank, to);
        let add = |word: u64, more: u64| {
            let word = self.world.word(at + word);
            word.store(word.load(Ordering::Relaxed) + more, Ordering::Relaxed);
        };
        if header.collective == 0 {
            add(row::SENT, 1);
            add(row::SENT_BYTES, bytes);
        } else {
            add(row::COLLECTIVE_BYTES, bytes);
        }
    }

    /// Notes a message that user code has received, or that was dropped.
    #[inline]
    fn count_taken(&self, header: &Header, from: u32) {
        if header.collective == 0 {
            let at = self.world.layout().row(self.rank, from);
            let word = self.world.word(at + row::TAKEN);
            word.store(word.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
    }

    fn deliver_to_self(&mut self, sending: &mut Sending<'_>) {
        let (from, header) = (self.rank, sending.header);
        let message = Message {
            from,
            header,
            name: sending.name.to_vec(),
            data: sending.data.to_vec(),
        };
        self.count(&header, from, sending.whole);
        self.arrived(message, None);
        sending.done = true;
    }

    /// Writes what there is room for of the messages that were posted to a rank; true when they all have gone.
    fn push_out(&mut self, to: u32) -> bool {
        while let Some(mut first) = self.peer(to).out.pop_front() {
            let mut rest = std::mem::take(&mut self.peer(to).out);
            let mut sending = Sending {
                to,
                header: first.header,
                name: &first.name,
                data: &first.data,
                at: first.at,
                begun: first.begun,
                done: false,
                whole: first.whole,
            };
            let done = self.push(&mut sending);
            (first.at, first.begun) = (sending.at, sending.begun);
            std::mem::swap(&mut self.peer(to).out, &mut rest);
            if !done {
                self.peer(to).out.push_front(first);
                return false;
            }
        }
        true
    }

    /// A whole message: for a posted request, or for the queue.
    fn arrived(&mut self, message: Message, posted: Option<Request>) {
        let fits = |it: &&mut Posted| match posted {
            Some(request) => it.request == request,
            None => !it.bound && it.wanted.is(message.from, &message.header),
        };
        match self.posted.iter_mut().find(fits) {
            Some(it) => {
                it.bound = true;
                it.message = Some(message);
            }
            None => self.queue.push_back(message),
        }
    }

    /// Takes what has come from a rank, at least until the want is done. True when there was something.
    #[inline]
    fn pump(&mut self, from: u32, want: &mut Option<&mut Want<'_>>) -> bool {
        let mut moved = false;
        loop {
            let peer = self.peer(from);
            let Some(header) = peer.receiver.next() else {
                break;
            };
            moved = true;
            if header.first {
                self.give_up_partial(from);
                let partial = self.begin(from, header, want);
                self.peer(from).partial = Some(partial);
            }
            let peer = self.peer(from);
            let Some(partial) = &mut peer.partial else {
                peer.receiver.pass(&header);
                continue;
            };
            let mut at = partial.at;
            match &mut partial.whose {
                Whose::Want(target) => peer.receiver.data(&header, |start, count| {
                    // SAFETY: the target was made for this message.
                    unsafe { target.take(at, start, count) };
                    at += count as u64;
                }),
                Whose::Posted(_, data) | Whose::Queue(data) => {
                    peer.receiver.data(&header, |start, count| {
                        // SAFETY: the sender has written so many bytes there.
                        data.extend_from_slice(unsafe { std::slice::from_raw_parts(start, count) });
                        at += count as u64;
                    });
                }
                Whose::Nobody => at += u64::from(header.part) - u64::from(header.name),
            }
            partial.at = at;
            let whole = at >= partial.header.total;
            // A sender that waits for room is woken as soon as there is some.
            if peer.receiver.pass(&header) {
                self.world.wake(from);
            }
            if whole {
                self.whole(from, want);
                if want.as_ref().is_some_and(|want| !want.is_waiting()) {
                    break;
                }
            }
        }
        moved
    }

    /// A message that was coming and was not finished, as its sender's call has failed.
    #[inline]
    fn give_up_partial(&mut self, from: u32) {
        if let Some(Partial {
            whose: Whose::Posted(request, _),
            ..
        }) = self.peer(from).partial.take()
        {
            let is_it = |it: &&mut Posted| it.request == request;
            if let Some(it) = self.posted.iter_mut().find(is_it) {
                it.bound = false;
            }
        }
    }

    /// Whether something has come that was not looked at.
    pub(super) fn has_some(&mut self) -> bool {
        let mut peers = self.peers.iter_mut().flatten();
        peers.any(|peer| peer.receiver.has_some()) || self.is_met_anew()
    }

    /// Whether a rank has spoken to this one that it does not know yet.
    fn is_met_anew(&self) -> bool {
        let spoke = |from: u32| {
            let word = self
                .world
                .of(self.rank, block::SPOKE + u64::from(from / 64) * 8);
            word.load(Ordering::Acquire) >> (from % 64) & 1 == 1
        };
        (0..)
            .zip(&self.peers)
            .any(|(from, peer)| peer.is_none() && spoke(from))
    }

    pub(super) fn has_room_for(&mut self, to: u32) -> bool {
        to == self.rank || self.peer(to).sender.has_room()
    }

    pub(super) fn has_room_for_posted(&self) -> bool {
        let mut peers = self.peers.iter().flatten();
        peers.any(|peer| !peer.out.is_empty() && peer.sender.has_room())
    }

    /// What was posted and has not gone never will.
    pub(super) fn drop_unsent(&mut self) {
        for peer in self.peers.iter_mut().flatten() {
            peer.out.clear();
        }
    }

    /// Whose message it is that begins.
    #[inline]
    fn begin(&mut self, from: u32, header: Header, want: &mut Option<&mut Want<'_>>) -> Partial {
        let peer = self.peers[from as usize].as_mut();
        let name = match (header.name, &peer) {
            (0, _) | (_, None) => Vec::new(),
            (_, Some(peer)) => peer.receiver.name(&header),
        };
        let partial = |name, whose| Partial {
            header,
            name,
            at: 0,
            whose,
        };
        if header.collective != 0 && header.run < self.run {
            return partial(name, Whose::Nobody);
        }
        let room = || Vec::with_capacity(header.total as usize);
        if !self.posted.is_empty() {
            let fits = |it: &&mut Posted| !it.bound && it.wanted.is(from, &header);
            if let Some(it) = self.posted.iter_mut().find(fits) {
                it.bound = true;
                let request = it.request;
                return partial(name, Whose::Posted(request, room()));
            }
        }
        if let Some(want) = want
            && want.is_open()
            && want.wanted.is(from, &header)
            && let Some(target) = want.open(from, &header, || name.clone())
        {
            want.state = WantState::Bound;
            return partial(name, Whose::Want(target));
        }
        partial(name, Whose::Queue(room()))
    }

    /// The message that was coming from a rank is there.
    #[inline]
    fn whole(&mut self, from: u32, want: &mut Option<&mut Want<'_>>) {
        let Some(partial) = self.peer(from).partial.take() else {
            return;
        };
        let Partial {
            header,
            name,
            whose,
            ..
        } = partial;
        let message = |data| Message {
            from,
            header,
            name,
            data,
        };
        match whose {
            Whose::Want(_) => {
                self.count_taken(&header, from);
                if let Some(want) = want {
                    want.done(from, &header);
                }
            }
            Whose::Posted(request, data) => self.arrived(message(data), Some(request)),
            Whose::Queue(data) => self.queue.push_back(message(data)),
            Whose::Nobody => {}
        }
    }

    /// Looks through what has come already.
    pub(super) fn find(&mut self, want: &mut Want<'_>) {
        if !self.queue.is_empty() {
            let fits = |message: &Message| want.wanted.is(message.from, &message.header);
            if let Some(at) = self.queue.iter().position(fits) {
                if self.queue[at].give(want)
                    && let Some(message) = self.queue.remove(at)
                {
                    self.count_taken(&message.header, message.from);
                }
                return;
            }
        }
        // What is coming and nobody's yet can become this one's.
        let ranks = match want.wanted.from {
            Some(rank) => rank..rank + 1,
            None => 0..self.world.size(),
        };
        for from in ranks {
            let Some(Some(peer)) = self.peers.get_mut(from as usize) else {
                continue;
            };
            let Some(partial) = &mut peer.partial else {
                continue;
            };
            let Whose::Queue(data) = &partial.whose else {
                continue;
            };
            if !want.wanted.is(from, &partial.header) {
                continue;
            }
            let name = &partial.name;
            if let Some(target) = want.open(from, &partial.header, || name.clone()) {
                // SAFETY: the target was made for the message, which has begun with these bytes.
                unsafe { target.take(0, data.as_ptr(), data.len()) };
                partial.whose = Whose::Want(target);
                want.state = WantState::Bound;
            }
            return;
        }
    }

    /// Takes what has come from anybody; true when there was something.
    pub(super) fn pump_all(&mut self, want: &mut Option<&mut Want<'_>>) -> bool {
        let mut moved = false;
        for group in 0..self.world.size().div_ceil(64) {
            let word = block::SPOKE + u64::from(group) * 8;
            let mut spoke = self.world.of(self.rank, word).load(Ordering::Acquire);
            while spoke != 0 {
                let from = group * 64 + spoke.trailing_zeros();
                spoke &= spoke - 1;
                if from < self.world.size() && from != self.rank {
                    moved |= self.pump(from, want);
                    if want.as_ref().is_some_and(|want| !want.is_waiting()) {
                        return moved;
                    }
                }
            }
        }
        moved
    }

    /// Tells senders of all room that they have.
    pub(super) fn tell_room(&mut self) {
        for from in 0..self.world.size() {
            if let Some(Some(peer)) = self.peers.get_mut(from as usize)
                && peer.receiver.tell()
            {
                self.world.wake(from);
            }
        }
    }

    /// Moves what can move. True when the work is done.
    #[inline]
    pub(super) fn step(&mut self, work: &mut Work<'_, '_>, all: bool) -> bool {
        let mut done = true;
        if let Some(sending) = &mut work.sending
            && !sending.done
        {
            done &= self.push(sending);
        }
        if let Some(want) = &mut work.want
            && want.is_waiting()
        {
            match want.wanted.from {
                Some(from) if from != self.rank => {
                    self.pump(from, &mut Some(want));
                }
                Some(_) => {}
                None => {
                    self.pump_all(&mut Some(want));
                }
            }
            done &= !want.is_waiting();
        }
        if work.request != 0 || work.flush || work.probe.is_some() {
            done &= self.step_posted(work);
        }
        if all && !done {
            self.pump_all(&mut work.want.as_deref_mut());
            for to in 0..self.world.size() {
                if self.peers[to as usize]
                    .as_ref()
                    .is_some_and(|peer| !peer.out.is_empty())
                {
                    self.push_out(to);
                }
            }
        }
        done
    }

    fn step_posted(&mut self, work: &mut Work<'_, '_>) -> bool {
        self.pump_all(&mut None);
        let mut out = false;
        for to in 0..self.world.size() {
            if self.peers[to as usize]
                .as_ref()
                .is_some_and(|peer| !peer.out.is_empty())
            {
                self.push_out(to);
                out |= self
                    .peer(to)
                    .out
                    .iter()
                    .any(|it| it.request == work.request || work.flush);
            }
        }
        if let Some(wanted) = work.probe {
            work.probed = self.probed(&wanted);
            return work.probed.is_some();
        }
        let missing = self
            .posted
            .iter()
            .any(|it| it.request == work.request && it.message.is_none());
        !out && !missing
    }

    fn probed(&self, wanted: &Wanted) -> Option<Got> {
        let got = |from: u32, header: &Header| Got {
            from,
            tag: header.tag,
            bytes: header.total,
        };
        let fits = |message: &&Message| wanted.is(message.from, &message.header);
        if let Some(message) = self.queue.iter().find(fits) {
            return Some(got(message.from, &message.header));
        }
        (0..).zip(&self.peers).find_map(|(from, peer)| {
            let partial = peer.as_ref()?.partial.as_ref()?;
            let is_free = matches!(partial.whose, Whose::Queue(_));
            (is_free && wanted.is(from, &partial.header)).then(|| got(from, &partial.header))
        })
    }

    /// The ranks for which the work waits.
    pub(super) fn waits_on(&self, work: &Work<'_, '_>) -> Vec<u32> {
        let mut on = Vec::new();
        if let Some(sending) = &work.sending
            && !sending.done
        {
            on.push(sending.to);
        }
        if let Some(want) = &work.want
            && want.is_waiting()
        {
            match want.state {
                // What has begun to come is its sender's to finish.
                WantState::Bound => on.extend(self.sender_of_want()),
                _ => self.add_senders(&want.wanted, &mut on),
            }
        }
        if let Some(probe) = &work.probe {
            self.add_senders(probe, &mut on);
        }
        for it in self.posted.iter().filter(|it| it.request == work.request) {
            self.add_senders(&it.wanted, &mut on);
        }
        for (to, peer) in (0..).zip(&self.peers) {
            let is_of = |it: &Outgoing| it.request == work.request || work.flush;
            if peer.as_ref().is_some_and(|peer| peer.out.iter().any(is_of)) {
                on.push(to);
            }
        }
        on.sort_unstable();
        on.dedup();
        on
    }

    /// Who may send what is wanted.
    fn add_senders(&self, wanted: &Wanted, to: &mut Vec<u32>) {
        match (wanted.from, self.comms.get(&wanted.comm)) {
            (Some(rank), _) => to.push(rank),
            (None, Some(comm)) => {
                let others = comm.members.iter().filter(|rank| **rank != self.rank);
                to.extend(others);
            }
            (None, None) => {}
        }
    }

    fn sender_of_want(&self) -> Option<u32> {
        let is_wants = |peer: &Option<Box<Peer>>| {
            let partial = peer.as_ref().and_then(|peer| peer.partial.as_ref());
            partial.is_some_and(|partial| matches!(partial.whose, Whose::Want(_)))
        };
        let at = self.peers.iter().position(is_wants)?;
        u32::try_from(at).ok()
    }

    /// The waiting thread goes away: what was coming for it is nobody's.
    pub(super) fn let_go(&mut self) {
        for peer in self.peers.iter_mut().flatten() {
            if let Some(partial) = &mut peer.partial
                && matches!(partial.whose, Whose::Want(_))
            {
                partial.whose = Whose::Nobody;
            }
        }
    }

    /// Ends a receive.
    pub(super) fn got(&mut self, want: Want<'_>, of: &Envelope) -> Result<Got, Trouble> {
        match want.state {
            WantState::Done(mut got) => {
                if of.comm != 0 {
                    let members = &self.comm(of.comm)?.members;
                    let is_it = |rank: &u32| *rank == got.from;
                    got.from = members.iter().position(is_it).unwrap_or_default() as u32;
                }
                Ok(got)
            }
            WantState::Refused(refusal) => Err(self.refused(refusal, want.call, want.kind, of)),
            WantState::Open | WantState::Bound => Err(Trouble::Deadlock(want.call)),
        }
    }

    #[cold]
    fn refused(&mut self, refusal: Refusal, call: Call, kind: Kind, of: &Envelope) -> Trouble {
        let Refusal {
            from,
            header,
            name,
            why,
        } = refusal;
        let sent_at = header.place();
        match why {
            Why::Type => {
                // SAFETY: it is the name of a type, in the artifact's memory.
                let wanted = unsafe { of.name.as_slice() };
                let wanted = match kind {
                    Kind::ENCODED => String::from_utf8_lossy(wanted).into_owned(),
                    kind => kind.text(),
                };
                Trouble::Told(Box::new(CommTold::Mismatch {
                    call,
                    from,
                    tag: header.tag,
                    sent: header.type_name(&name),
                    sent_at,
                    wanted,
                    wanted_at: self.place(of),
                }))
            }
            Why::Call => {
                let other_call = usize::from(header.call).checked_sub(1);
                let other_call = other_call.and_then(|call| Call::ALL.get(call).copied());
                Trouble::Told(Box::new(CommTold::Crossed {
                    call,
                    at: self.place(of),
                    other: from,
                    other_call: other_call.unwrap_or(call),
                    other_at: sent_at,
                }))
            }
            Why::Length => {
                let size = kind.number().map_or(1, |number| number.size() as u64);
                let at = sent_at.map_or_else(String::new, |at| format!(" at {at}"));
                let count = header.total / size;
                words::of(
                    call,
                    &format!(
                        "rank {from} has sent {count} values{at}, and there is room for another number of them"
                    ),
                )
            }
        }
    }

    fn next_request(&mut self) -> Request {
        self.requests += 1;
        self.requests
    }
}

impl Want<'_> {
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, WantState::Open | WantState::Bound)
    }
}

fn want<'a>(wanted: Wanted, call: Call, of: &Envelope, into: Into) -> Want<'a> {
    Want {
        wanted,
        call,
        kind: of.kind,
        name: Shared::name(of),
        sink: Sink::Room(into, 0),
        placed: std::ptr::null_mut(),
        state: WantState::Open,
    }
}

impl Transport for Shared {
    fn begin(&mut self) {
        let word = Word::of(self.world.of(self.rank, block::HUB).load(Ordering::Acquire));
        self.run = word.run;
        self.known.clear();
        for comm in self.comms.values_mut() {
            comm.calls = 0;
        }
        self.world
            .of(self.rank, block::RUN)
            .store(word.run, Ordering::Relaxed);
        self.world
            .of(self.rank, block::SPAN_HEAD)
            .store(0, Ordering::Relaxed);
        let run = self.run;
        self.queue
            .retain(|it| it.header.collective == 0 || it.header.run >= run);
    }

    fn end(&mut self) {
        let has_out = |peer: &Box<Peer>| !peer.out.is_empty();
        if self.peers.iter().flatten().any(has_out) {
            self.finish_sending();
        }
        self.let_go();
        self.tell_room();
        let word = self.world.of(self.rank, block::LEFT);
        word.store(self.run, Ordering::SeqCst);
        for rank in 0..self.world.size() {
            self.world.wake(rank);
        }
        // As long as nobody runs, another cell's file name may come to lie where one of this cell's was.
        self.known.clear();
    }

    fn place(&self, comm: u32) -> Result<(u32, u32), Trouble> {
        let comm = self.comm(comm)?;
        Ok((comm.rank, comm.members.len() as u32))
    }

    fn send(&mut self, of: &Envelope, value: &[u8]) -> Result<(), Trouble> {
        let call = Call::Send;
        let to = self.other(call, of)?;
        let mut sending = Sending {
            to,
            header: self.header(of, value.len()),
            name: Self::name(of),
            data: value,
            at: 0,
            begun: false,
            done: false,
            whole: value.len() as u64,
        };
        if self.push(&mut sending) {
            return Ok(());
        }
        let mut work = Work {
            sending: Some(&mut sending),
            ..Work::default()
        };
        self.wait(&mut work, call, of)
    }

    fn post_send(&mut self, of: &Envelope, value: &[u8]) -> Result<Request, Trouble> {
        let to = self.other(Call::Send, of)?;
        let mut sending = Sending {
            to,
            header: self.header(of, value.len()),
            name: Self::name(of),
            data: value,
            at: 0,
            begun: false,
            done: false,
            whole: value.len() as u64,
        };
        let request = self.next_request();
        if !self.push(&mut sending) {
            let (at, begun) = (sending.at, sending.begun);
            let out = Outgoing {
                request,
                header: Header {
                    total: sending.header.total - at,
                    ..sending.header
                },
                name: sending.name.to_vec(),
                data: value[at as usize..].to_vec(),
                at: 0,
                begun,
                whole: sending.whole,
            };
            self.peer(to).out.push_back(out);
        }
        Ok(request)
    }

    fn recv(&mut self, of: &Envelope, into: Into) -> Result<Got, Trouble> {
        let call = match of.peer {
            ANY_RANK => Call::RecvAny,
            _ => Call::Recv,
        };
        let wanted = self.wanted(call, of)?;
        let mut want = want(wanted, call, of, into);
        self.find(&mut want);
        if want.is_waiting() {
            let mut work = Work {
                want: Some(&mut want),
                ..Work::default()
            };
            if !self.step(&mut work, false) {
                self.wait(&mut work, call, of)?;
            }
        }
        self.got(want, of)
    }

    fn post_recv(&mut self, of: &Envelope) -> Result<Request, Trouble> {
        let wanted = self.wanted(Call::Recv, of)?;
        let request = self.next_request();
        let mut posted = Posted {
            request,
            wanted,
            bound: false,
            message: None,
        };
        self.pump_all(&mut None);
        let fits = |message: &Message| wanted.is(message.from, &message.header);
        if let Some(at) = self.queue.iter().position(fits) {
            posted.bound = true;
            posted.message = self.queue.remove(at);
        } else {
            for (from, peer) in (0..).zip(&mut self.peers) {
                if let Some(peer) = peer
                    && let Some(partial) = &mut peer.partial
                    && let Whose::Queue(data) = &mut partial.whose
                    && wanted.is(from, &partial.header)
                {
                    posted.bound = true;
                    partial.whose = Whose::Posted(request, std::mem::take(data));
                    break;
                }
            }
        }
        self.posted.push_back(posted);
        Ok(request)
    }

    fn complete(
        &mut self,
        of: &Envelope,
        request: Request,
        wait: bool,
        into: Into,
    ) -> Result<Option<Got>, Trouble> {
        let mut work = Work {
            request,
            ..Work::default()
        };
        if !self.step(&mut work, true) {
            if !wait {
                return Ok(None);
            }
            self.wait(&mut work, Call::Wait, of)?;
        }
        let Some(at) = self.posted.iter().position(|it| it.request == request) else {
            // A send.
            return Ok(Some(Got::default()));
        };
        let Some(Posted {
            wanted,
            message: Some(message),
            ..
        }) = self.posted.remove(at)
        else {
            return Ok(None);
        };
        let mut want = want(wanted, Call::Wait, of, into);
        if message.give(&mut want) {
            self.count_taken(&message.header, message.from);
        } else {
            self.queue.push_front(message);
        }
        self.got(want, of).map(Some)
    }

    fn forget(&mut self, request: Request) {
        let Some(at) = self.posted.iter().position(|it| it.request == request) else {
            return;
        };
        if let Some(Posted {
            message: Some(message),
            ..
        }) = self.posted.remove(at)
        {
            // It came before what is in the queue, as the order of its sender goes.
            self.queue.push_front(message);
            return;
        }
        for peer in self.peers.iter_mut().flatten() {
            if let Some(partial) = &mut peer.partial
                && let Whose::Posted(of, data) = &mut partial.whose
                && *of == request
            {
                partial.whose = Whose::Queue(std::mem::take(data));
            }
        }
    }

    fn sendrecv(
        &mut self,
        to: &Envelope,
        value: &[u8],
        from: &Envelope,
        into: Into,
    ) -> Result<Got, Trouble> {
        let call = Call::Sendrecv;
        let rank = self.other(call, to)?;
        let wanted = self.wanted(call, from)?;
        let mut sending = Sending {
            to: rank,
            header: self.header(to, value.len()),
            name: Self::name(to),
            data: value,
            at: 0,
            begun: false,
            done: false,
            whole: value.len() as u64,
        };
        self.push(&mut sending);
        let mut want = want(wanted, call, from, into);
        self.find(&mut want);
        let mut work = Work {
            sending: Some(&mut sending),
            want: Some(&mut want),
            ..Work::default()
        };
        if !self.step(&mut work, false) {
            self.wait(&mut work, call, from)?;
        }
        self.got(want, from)
    }

    fn probe(&mut self, of: &Envelope, wait: bool) -> Result<Option<Got>, Trouble> {
        let wanted = self.wanted(Call::Probe, of)?;
        let mut work = Work {
            probe: Some(wanted),
            ..Work::default()
        };
        if !self.step(&mut work, false) {
            if !wait {
                return Ok(None);
            }
            self.wait(&mut work, Call::Probe, of)?;
        }
        let mut got = work.probed;
        if of.comm != 0
            && let Some(got) = &mut got
        {
            let members = &self.comm(of.comm)?.members;
            let is_it = |rank: &u32| *rank == got.from;
            got.from = members.iter().position(is_it).unwrap_or_default() as u32;
        }
        Ok(got)
    }

    fn barrier(&mut self, of: &Envelope) -> Result<(), Trouble> {
        self.all_wait(of)
    }

    fn broadcast(&mut self, of: &Envelope, value: &[u8], into: Into) -> Result<(), Trouble> {
        self.spread(of, value, into)
    }

    fn scatter(&mut self, of: &Envelope, parts: &[&[u8]], into: Into) -> Result<(), Trouble> {
        self.deal(of, parts, into)
    }

    fn gather(&mut self, of: &Envelope, value: &[u8], into: Into) -> Result<(), Trouble> {
        self.collect(of, value, into)
    }

    fn all_gather(&mut self, of: &Envelope, value: &[u8], into: Into) -> Result<(), Trouble> {
        self.collect_all(of, value, into)
    }

    fn all_to_all(&mut self, of: &Envelope, parts: &[&[u8]], into: Into) -> Result<(), Trouble> {
        self.exchange_all(of, parts, into)
    }

    fn reduce(
        &mut self,
        of: &Envelope,
        who: Reduction,
        op: Op,
        numbers: &[u8],
        to: *mut u8,
    ) -> Result<(), Trouble> {
        self.fold_all(of, who, op, numbers, to)
    }

    fn split(&mut self, of: &Envelope, color: u32, key: i64) -> Result<u32, Trouble> {
        self.part(of, color, key)
    }

    fn unreceived(&mut self, clear: bool) -> Vec<Unreceived> {
        self.pump_all(&mut None);
        self.tell_room();
        let of = |message: &Message| Unreceived {
            from: message.from,
            tag: message.header.tag,
            bytes: message.header.total,
            type_name: message.header.type_name(&message.name),
            at: message.header.place(),
            comm: message.header.comm,
        };
        let is_users = |message: &&Message| message.header.collective == 0;
        let told = self.queue.iter().filter(is_users).map(of).collect();
        if clear {
            for message in std::mem::take(&mut self.queue) {
                self.count_taken(&message.header, message.from);
            }
        }
        told
    }
}
