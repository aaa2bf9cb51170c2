//! The memory of a pool's *world*: the file that the hub makes and the pool's engines map, through which ranks speak with
//! each other. Here stands where everything lies in it; who maps it is the engine's business, and the hub reads and
//! writes single words of it (`pread`, `pwrite`).
//!
//! ```text
//! header page │ one block per rank │ rings: one per pair of ranks, [to][from]
//! ```
//!
//! The file is sparse: a ring takes memory once the two have spoken. All numbers are eight bytes in the machine's order;
//! the file never leaves it.

use regatta_cell::comm::table::Reduction;
use serde::{Deserialize, Serialize};

use super::places::Place;

/// Of the header page: bytes from the file's begin.
pub mod header {
    /// [`super::MAGIC`].
    pub const MAGIC: u64 = 0;
    /// How many ranks there are.
    pub const SIZE: u64 = 8;
    /// Written by the hub: another world takes this one's place, and engines ask for it at their next call.
    pub const RETIRED: u64 = 16;
    /// The next number of a communicator; 0 is the world's own.
    pub const CONTEXTS: u64 = 24;
    /// Written by the hub: Ctrl-C has ended the run of this number, and whoever waits in it ends its call.
    pub const STOP: u64 = 40;
    /// Whoever relays to other hosts sleeps on it: a `u32` that is added to for each rank elsewhere that is rung.
    pub const RELAY: u64 = 48;
    /// How many numbers of communicators are taken at once, where several hosts take some; 0: as many as are needed.
    pub const CONTEXT_STEP: u64 = 56;
    /// The last roots of calls in which a root gives, see `engine::comm::roots`: a word of some communicators each.
    pub const ROOTS: u64 = 2048;
    pub const ROOTS_COUNT: u64 = 32;
    pub const ROOTS_STRIDE: u64 = 64;
}

pub const MAGIC: u64 = u64::from_ne_bytes(*b"regcomm6");

/// Of a rank's block: bytes from the block's begin.
pub mod block {
    /// The hub's word on the rank, see [`super::Word`].
    pub const HUB: u64 = 0;
    /// The rank's own: the run that it has left last; see [`super::Word::run`].
    pub const LEFT: u64 = 8;
    /// The rank's own: the run in which it has called `comm` last.
    pub const RUN: u64 = 16;
    /// It is slept on: a `u32` that others add to before they wake.
    pub const BELL: u64 = 128;
    /// Whether the rank sleeps, or is about to: others then ring. [`super::ELSEWHERE`] when it is on another host.
    pub const SLEEPS: u64 = 136;
    /// Whether the rank waits for room: then its receiver, as long as it lives, will make some.
    pub const WANTS_ROOM: u64 = 144;
    /// The judge's: the rank's wait with this number is part of a deadlock.
    pub const CONDEMNED: u64 = 192;
    /// The processor on which the rank was when it waited last, and one; 0: it has not waited, or is not told.
    pub const PROCESSOR: u64 = 200;
    /// On MPI: what the rank came with to the collective call that it is in, see `engine::comm::meeting`.
    pub const BRINGS: [u64; 3] = [208, 216, 224];
    /// Nanoseconds waited for others, since the world began.
    pub const WAITED: u64 = 256;
    /// Nanoseconds inside sends of much.
    pub const SENDING: u64 = 264;
    /// Collective calls of the rank on the world itself.
    pub const COLLECTIVES: u64 = 288;
    /// How many spans the rank has noted in its run; those of number `n` stand at `SPANS + n % SPAN_COUNT * SPAN`.
    pub const SPAN_HEAD: u64 = 296;
    /// A bit for each rank to which this one has sent something, from the lowest: sixteen numbers.
    pub const SPOKE_TO: u64 = 384;
    /// The same for each rank that has sent something to this one.
    pub const SPOKE: u64 = 512;
    /// On MPI: bytes of the name of the type of the values that the rank has come with last, and the name.
    pub const NAME_LENGTH: u64 = 640;
    pub const NAME: u64 = 648;
    pub const NAME_ROOM: usize = 256;
    /// The wait record: its number (odd while it is written; it grows with each), its length, then a
    /// [`super::Waiting`] in postcard; length 0: the rank does not wait.
    pub const WAIT: u64 = 1024;
    pub const WAIT_LENGTH: u64 = 1032;
    pub const WAIT_RECORD: u64 = 1040;
    /// Bytes that a record may take.
    pub const WAIT_ROOM: usize = 3056;
    /// Spans of the current run, the last so many.
    pub const SPANS: u64 = 4096;
    pub const SPAN_COUNT: u64 = 1024;
    /// A span: its kind (see [`super::SpanKind`]), its begin and its end on the machine's monotonic clock, nanoseconds.
    pub const SPAN: u64 = 24;
    /// Here the row of the matrix begins: for each other rank [`super::row::LENGTH`] bytes.
    pub const ROW: u64 = SPANS + SPAN_COUNT * SPAN;
}

/// See [`block::SLEEPS`].
pub const ELSEWHERE: u64 = 2;

/// What a rank counts of another one: bytes from the entry's begin.
pub mod row {
    /// Messages sent to it, and their bytes.
    pub const SENT: u64 = 0;
    pub const SENT_BYTES: u64 = 8;
    /// Messages from it that user code has received, or dropped.
    pub const TAKEN: u64 = 16;
    /// Bytes that collective calls have sent to it.
    pub const COLLECTIVE_BYTES: u64 = 24;
    /// Those that are told of ranks on other hosts.
    pub const COUNTS: [u64; 4] = [SENT, SENT_BYTES, TAKEN, COLLECTIVE_BYTES];
    /// On MPI: messages from it that have come, as of the rank's last look around while it waits.
    pub const ARRIVED: u64 = 32;
    /// On MPI: the last number of those that were sent by `ssend` and that a receive has taken.
    pub const SYNCHRONISED: u64 = 40;
    pub const LENGTH: u64 = 48;
}

/// On MPI ranks have no rings: where those would be, each communicator has a place at which its members meet before a
/// collective call. Bytes from the place's begin.
pub mod meeting {
    /// Who has come: see `engine::comm::meeting`.
    pub const COME: u64 = 0;
    /// What was found of the last round of an even number, and of the last one of an odd number.
    pub const FOUND: [[u64; 5]; 2] = [[8, 16, 24, 32, 40], [48, 56, 64, 72, 80]];
    pub const LENGTH: u64 = 128;
    /// More communicators than this have none.
    pub const MOST: u32 = 1 << 14;
}

/// Of a ring: bytes from the ring's begin. Positions count bytes since the world began and do not wrap.
pub mod ring {
    /// Up to where the sender has written.
    pub const HEAD: u64 = 0;
    /// The sender's: what it mixes the positions of parts with; 0 before it has spoken.
    pub const KEY: u64 = 8;
    /// Up to where the receiver has taken, or a little less.
    pub const TAIL: u64 = 128;
    pub const DATA: u64 = 4096;
}

/// What a rank's time went to; what is in no span is computing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SpanKind {
    /// It copied a large message, or waited for room for it.
    Send,
    /// It waited for another rank.
    Wait,
}

impl SpanKind {
    pub fn word(self) -> u64 {
        match self {
            Self::Send => 1,
            Self::Wait => 2,
        }
    }

    pub fn of(word: u64) -> Option<Self> {
        match word {
            1 => Some(Self::Send),
            2 => Some(Self::Wait),
            _ => None,
        }
    }
}

/// More ranks than this have no world.
pub const MOST_RANKS: u32 = 1024;

const PAGE: u64 = 4096;

/// Where a world of so many ranks has what; bytes from the file's begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    size: u32,
    block: u64,
    capacity: u64,
}

impl Layout {
    pub fn of(size: u32) -> Self {
        let forms = Self::forms(size) + 8 * u64::from(size);
        let block = forms.next_multiple_of(PAGE);
        let capacity = match size {
            0..=16 => 1 << 20,
            17..=64 => 1 << 18,
            65..=256 => 1 << 16,
            _ => 1 << 14,
        };
        Self {
            size,
            block,
            capacity,
        }
    }

    pub fn size(&self) -> u32 {
        self.size
    }

    /// Bytes that are under way between two ranks at most; a power of two.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    pub fn block(&self, rank: u32) -> u64 {
        PAGE + u64::from(rank) * self.block
    }

    /// What `rank` counts of `other`.
    pub fn row(&self, rank: u32, other: u32) -> u64 {
        self.block(rank) + block::ROW + u64::from(other) * row::LENGTH
    }

    /// In a rank's block: behind what is written with each message, for it is read with each.
    fn forms(size: u32) -> u64 {
        (block::ROW + u64::from(size) * row::LENGTH).next_multiple_of(128)
    }

    /// What messages from `rank` to `other` that have no header are, on MPI; 0: there was none yet.
    pub fn form(&self, rank: u32, other: u32) -> u64 {
        self.block(rank) + Self::forms(self.size) + 8 * u64::from(other)
    }

    pub fn ring(&self, to: u32, from: u32) -> u64 {
        let number = u64::from(to) * u64::from(self.size) + u64::from(from);
        self.block(self.size) + number * (ring::DATA + self.capacity)
    }

    /// Where the members of a communicator of MPI's meet.
    pub fn meeting(&self, comm: u32) -> u64 {
        self.ring(0, 0) + u64::from(comm) * meeting::LENGTH
    }

    /// Of the whole file, bytes.
    pub fn length(&self) -> u64 {
        self.ring(self.size, 0).max(self.meeting(meeting::MOST))
    }
}

/// The hub's word on a rank: what it is doing in which run. A run is one `%px`; runs are numbered from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    pub run: u64,
    pub state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// The run is not for it, as with `%px -t`.
    NotAsked,
    /// It is to run and has not begun.
    Due,
    Running,
    /// Its cell has ended.
    Left,
    /// The engine has ended.
    Dead,
}

impl Word {
    pub fn number(self) -> u64 {
        self.run << 8
            | match self.state {
                State::NotAsked => 0,
                State::Due => 1,
                State::Running => 2,
                State::Left => 3,
                State::Dead => 4,
            }
    }

    pub fn of(number: u64) -> Self {
        let state = match number & 0xff {
            1 => State::Due,
            2 => State::Running,
            3 => State::Left,
            4 => State::Dead,
            _ => State::NotAsked,
        };
        Self {
            run: number >> 8,
            state,
        }
    }
}

/// A call in which a rank can wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Call {
    Send,
    Recv,
    RecvAny,
    Sendrecv,
    Wait,
    Probe,
    Barrier,
    Broadcast,
    Scatter,
    Gather,
    AllGather,
    Reduce,
    AllReduce,
    Scan,
    AllToAll,
    Split,
    Exscan,
    WaitAny,
    ReduceScatter,
    Ssend,
}

impl Call {
    pub const ALL: [Self; 20] = [
        Self::Send,
        Self::Recv,
        Self::RecvAny,
        Self::Sendrecv,
        Self::Wait,
        Self::Probe,
        Self::Barrier,
        Self::Broadcast,
        Self::Scatter,
        Self::Gather,
        Self::AllGather,
        Self::Reduce,
        Self::AllReduce,
        Self::Scan,
        Self::AllToAll,
        Self::Split,
        Self::Exscan,
        Self::WaitAny,
        Self::ReduceScatter,
        Self::Ssend,
    ];

    /// As it is called in a cell.
    pub fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Recv => "recv",
            Self::RecvAny => "recv_any",
            Self::Sendrecv => "sendrecv",
            Self::Wait => "wait",
            Self::Probe => "probe",
            Self::Barrier => "barrier",
            Self::Broadcast => "broadcast",
            Self::Scatter => "scatter",
            Self::Gather => "gather",
            Self::AllGather => "all_gather",
            Self::Reduce => "reduce",
            Self::AllReduce => "all_reduce",
            Self::Scan => "scan",
            Self::AllToAll => "all_to_all",
            Self::Split => "split",
            Self::Exscan => "exscan",
            Self::WaitAny => "wait_any",
            Self::ReduceScatter => "reduce_scatter",
            Self::Ssend => "ssend",
        }
    }

    /// Whether all members of a communicator make it together.
    pub fn is_collective(self) -> bool {
        !matches!(
            self,
            Self::Send
                | Self::Ssend
                | Self::Recv
                | Self::RecvAny
                | Self::Sendrecv
                | Self::Wait
                | Self::WaitAny
                | Self::Probe
        )
    }

    /// Whether nobody leaves it before all have reached it.
    pub fn is_for_all(self) -> bool {
        matches!(
            self,
            Self::Barrier
                | Self::AllGather
                | Self::AllReduce
                | Self::AllToAll
                | Self::ReduceScatter
                | Self::Split
        )
    }
}

impl From<Reduction> for Call {
    fn from(who: Reduction) -> Self {
        match who {
            Reduction::Root => Self::Reduce,
            Reduction::All => Self::AllReduce,
            Reduction::Scan => Self::Scan,
            Reduction::Before => Self::Exscan,
        }
    }
}

/// What a rank waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    pub call: Call,
    /// For which ranks, numbers in the world; one of them is enough.
    pub on: Vec<u32>,
    /// `None`: any, or none in a collective.
    pub tag: Option<i32>,
    /// What is to come or to go; empty when that does not matter.
    pub type_name: String,
    pub place: Option<Place>,
    /// The communicator: 0, the world, or the number of one that `split` has made.
    pub comm: u32,
    /// Who is in it, by rank there; empty: the whole world.
    pub members: Vec<u32>,
    /// Of a collective: which one it is on this communicator, from 1; of an `ssend` on MPI: see [`row::SYNCHRONISED`].
    pub number: u64,
    /// When the rank began to wait, nanoseconds on the machine's monotonic clock.
    pub since: u64,
    /// Of a collective: members that are known to make another call where this rank makes this one.
    pub met: Vec<Met>,
}

/// The other call of a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Met {
    /// Its rank in the world.
    pub rank: u32,
    pub call: Call,
    pub place: Option<Place>,
}

/// What engines tell of their messages, as data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommTold {
    /// All ranks of `waits` wait for each other, or for ranks that send nothing any more; the teller has found it.
    Deadlock {
        waits: Vec<(u32, Waiting)>,
        /// Where the others are of which somebody waits for one.
        others: Vec<(u32, State)>,
    },
    /// The rank waits for one that sends nothing any more: it has left, died, or does not take part.
    Gone {
        waiting: Waiting,
        rank: u32,
        state: State,
    },
    /// A message has another type than it is received as.
    Mismatch {
        call: Call,
        from: u32,
        tag: i32,
        sent: String,
        sent_at: Option<Place>,
        wanted: String,
        wanted_at: Option<Place>,
    },
    /// The rank waits in a collective call, and a member of the communicator makes another one: see [`Waiting::met`].
    Crossed { waiting: Waiting },
    /// The answer to `AskMessages`: what has come for the rank and has not been received, in the order in which it came.
    Unreceived { messages: Vec<Unreceived> },
}

/// A message that nobody has received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreceived {
    /// The sender, a rank of the world.
    pub from: u32,
    pub tag: i32,
    pub bytes: u64,
    pub type_name: String,
    /// Where it was sent.
    pub at: Option<Place>,
    /// The communicator.
    pub comm: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_overlaps() {
        for size in [1, 2, 8, 17, 64, 65, 257, MOST_RANKS] {
            let layout = Layout::of(size);
            assert!(layout.capacity().is_power_of_two());
            let mut end = PAGE;
            for rank in 0..size {
                assert_eq!(layout.block(rank), end);
                assert!(layout.row(rank, 0) >= end + block::SPANS);
                end = layout.block(rank + 1);
                assert!(layout.row(rank, size - 1) + row::LENGTH <= layout.form(rank, 0));
                assert!(layout.form(rank, size - 1) + 8 <= end);
            }
            assert_eq!(layout.ring(0, 0), end);
            assert_eq!(layout.ring(0, size), layout.ring(1, 0));
            let last = layout.ring(size - 1, size - 1);
            assert!(last + ring::DATA + layout.capacity() <= layout.length());
            assert!(layout.meeting(meeting::MOST) <= layout.length());
        }
        let record = block::WAIT_RECORD + block::WAIT_ROOM as u64;
        assert!(record <= block::SPANS);
        let name = block::NAME + block::NAME_ROOM as u64;
        let set = u64::from(MOST_RANKS / 8);
        assert!(name <= block::WAIT && block::SPOKE + set <= block::NAME_LENGTH);
        assert!(block::SPAN_HEAD + 8 <= block::SPOKE_TO && block::SPOKE_TO + set <= block::SPOKE);
    }

    #[test]
    fn a_word_says_what_was_written() {
        for state in [
            State::NotAsked,
            State::Due,
            State::Running,
            State::Left,
            State::Dead,
        ] {
            let word = Word { run: 77, state };
            assert_eq!(Word::of(word.number()), word);
        }
    }
}
