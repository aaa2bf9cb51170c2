//! Ranks that share memory: point to point. While a rank waits, also for room, it takes what comes for it into memory of
//! its own: a full ring is no deadlock.

mod calls;
mod incoming;
mod outgoing;
#[cfg(test)]
mod tests;
mod work;

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use regatta_cell::comm::table::{ANY_RANK, Envelope, Got, Kind, NULL};
use regatta_cell::host::Bytes;

use super::judge::Way;
use super::matching::{
    LONGEST_NAME, Message, Posted, Refusal, Target, Want, WantState, Wanted, Why,
};
use super::polls::Polls;
use super::ring::{Header, Receiver, Sender};
use super::world::World;
use super::{Request, Trouble, words};
use crate::engine::places;
use crate::wire::places::Place;
use crate::wire::world::{Call, CommTold};
pub(super) use calls::want;

/// For what no call of a cell's asks for.
pub(super) const NOBODY: Envelope = Envelope {
    comm: 0,
    peer: 0,
    tag: 0,
    kind: Kind::NOTHING,
    name: Bytes::of(&[]),
    file: Bytes::of(&[]),
    line: 0,
};

pub struct Shared {
    pub(super) world: Arc<World>,
    pub(super) rank: u32,
    /// How its ranks speak.
    pub(super) way: Way,
    /// The run of the cell under way.
    pub(super) run: u64,
    peers: Vec<Option<Box<Peer>>>,
    /// Came, and was not asked for.
    pub(super) queue: VecDeque<Message>,
    posted: VecDeque<Posted>,
    /// The number of its last `ssend`.
    pub(super) synchronous: u32,
    pub(super) polls: Polls,
    /// How many messages have come.
    came: Cell<u64>,
    /// Whom a receive from any looks at first.
    turn: u32,
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
    /// Its number in the world, the same for all its members: on MPI each process has another one of its own.
    pub context: u32,
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

impl<'a> Sending<'a> {
    /// Nothing of it has gone.
    #[inline]
    pub fn new(to: u32, header: Header, name: &'a [u8], data: &'a [u8]) -> Self {
        Self {
            to,
            header,
            name,
            data,
            at: 0,
            begun: false,
            done: false,
            whole: data.len() as u64,
        }
    }
}

/// What a thread does until it is done.
#[derive(Default)]
pub(super) struct Work<'a, 'b> {
    pub sending: Option<&'b mut Sending<'a>>,
    pub want: Option<&'b mut Want<'a>>,
    /// A posted request that is to be done: a send's, or a receive's.
    pub request: Request,
    /// Posted requests of which one is to be done; 0 is none.
    pub any: &'b [Request],
    /// A message that is to have come.
    pub probe: Option<Wanted>,
    pub probed: Option<Got>,
    /// All that was posted is to go.
    pub flush: bool,
}

impl Work<'_, '_> {
    /// The rank on which all depends, where that is one.
    pub fn waits_on_one(&self) -> Option<u32> {
        match (&self.sending, &self.want) {
            (Some(sending), _) if !sending.done => Some(sending.to),
            (_, Some(want)) => want.wanted.from,
            _ => None,
        }
    }
}

impl Shared {
    pub fn new(world: Arc<World>, rank: u32, way: Way) -> Self {
        let size = world.size();
        let all = Comm {
            context: 0,
            members: (0..size).collect(),
            rank,
            calls: 0,
        };
        Self {
            rank,
            way,
            run: 0,
            peers: (0..size).map(|_| None).collect(),
            queue: VecDeque::new(),
            posted: VecDeque::new(),
            synchronous: 0,
            polls: Polls::default(),
            came: Cell::new(0),
            turn: 0,
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
            let why = match number {
                NULL => {
                    "`comm::NULL` has no ranks: `split` gives it to those whose color is `comm::UNDEFINED`"
                }
                _ => "this communicator was made by engines that are gone: `split` anew",
            };
            Trouble::Usage(why.to_owned())
        })
    }

    /// The number of a communicator in the world.
    pub(super) fn context(&self, comm: u32) -> u32 {
        self.comms.get(&comm).map_or(comm, |it| it.context)
    }

    /// The rank of the world that an envelope names.
    #[inline]
    pub(super) fn other(&self, call: Call, of: &Envelope) -> Result<u32, Trouble> {
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
    pub(super) fn wanted(&self, call: Call, of: &Envelope) -> Result<Wanted, Trouble> {
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
            kind: of.kind.0 as u16,
            comm: of.comm,
            tag: of.tag,
            run: self.run as u32,
            cell: place.map_or(0, |place| place.cell.0),
            line: place.map_or(0, |place| place.line.min(u16::MAX.into()) as u16),
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

    /// The type as its user calls it; empty when there is no value.
    pub(super) fn type_name(of: &Envelope, kind: Kind) -> String {
        match kind {
            // SAFETY: it is the name of a type, in the artifact's memory.
            Kind::ENCODED => String::from_utf8_lossy(unsafe { of.name.as_slice() }).into_owned(),
            kind => kind.text(),
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
            Why::Type => Trouble::Told(Box::new(CommTold::Mismatch {
                call,
                from,
                tag: header.tag,
                sent: header.type_name(&name),
                sent_at,
                wanted: Self::type_name(of, kind),
                wanted_at: self.place(of),
            })),
            Why::Root(theirs, ours) => words::of(call, &words::another_root(from, theirs, ours)),
            Why::Op(theirs, ours) => words::of(call, &words::another_op(from, theirs, ours)),
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

    /// The number of a message that has come now.
    pub(super) fn next_message(&self) -> u64 {
        self.came.set(self.came.get() + 1);
        self.came.get()
    }

    /// A message that a request had, and that nobody has received: for the oldest request that it fits, or back to where
    /// it stood among the others.
    pub(super) fn give_back(&mut self, message: Message) {
        let fits = |it: &&mut Posted| !it.bound && it.wanted.is(message.from, &message.header);
        if let Some(it) = self.posted.iter_mut().find(fits) {
            let (from, header) = (message.from, message.header);
            it.bound = true;
            it.message = Some(message);
            self.took(from, &header);
            return;
        }
        let is_later = |it: &Message| it.number > message.number;
        let at = { self.queue.iter() }.position(is_later);
        self.queue.insert(at.unwrap_or(self.queue.len()), message);
    }
}

/// Numbers of requests are the process's: one that was made among ranks that are gone is none of another's.
pub(super) fn next_request() -> Request {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

impl Want<'_> {
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, WantState::Open | WantState::Bound)
    }
}
