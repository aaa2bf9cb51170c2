//! Messages between ranks: what they have sent each other, and what has gone wrong between them, as data.

use std::time::Duration;

use crate::ids::{CellId, PoolName, Rank};

/// What the ranks of a pool have sent each other since its world began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommTable {
    pub size: u32,
    /// `[from][to]`; empty when nobody has used `comm`.
    pub traffic: Vec<Vec<CommTraffic>>,
    /// Nanoseconds that each rank has waited for others.
    pub waited: Vec<u64>,
    /// Nanoseconds inside sends of much.
    pub sending: Vec<u64>,
    /// What each rank has last sent and waited for, in its last run.
    pub spans: Vec<Vec<CommSpan>>,
}

impl CommTable {
    /// Messages that have come for a rank and that it has not received.
    pub fn waits_for(&self, rank: Rank) -> u64 {
        let column = self
            .traffic
            .iter()
            .filter_map(|row| row.get(rank.0 as usize));
        column.map(|one| one.unreceived).sum()
    }
}

/// What one rank has sent to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommTraffic {
    pub messages: u64,
    pub bytes: u64,
    /// Bytes that collective calls have sent.
    pub collective_bytes: u64,
    /// Of the messages, those that nobody has received yet.
    pub unreceived: u64,
}

/// Time in which a rank was not computing; nanoseconds on the machine's monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommSpan {
    /// It waited for another rank; otherwise it sent.
    pub waits: bool,
    pub from: u64,
    pub to: u64,
}

/// What went wrong between ranks in a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommTrouble {
    /// All of these wait for each other, or for ranks that send nothing any more.
    Stuck {
        waits: Vec<CommWait>,
        /// Where the others are of which somebody waits for one.
        others: Vec<(Rank, RankState)>,
    },
    /// A message has another type than it is received as.
    Mismatch {
        rank: Rank,
        call: CommCall,
        from: Rank,
        tag: i32,
        sent: String,
        sent_at: Option<String>,
        wanted: String,
        wanted_at: Option<String>,
    },
    /// Ranks make different collective calls at the same time.
    Crossed {
        /// Whose cells have ended with it.
        ended: Vec<Rank>,
        /// Who is in which call, by the first rank.
        calls: Vec<CommAt>,
        /// Who waits for those.
        waits: Vec<CommWait>,
        /// Where others are that are missing.
        others: Vec<(Rank, RankState)>,
    },
}

impl CommTrouble {
    /// The ranks whose cells it has ended.
    pub fn ranks(&self) -> Vec<Rank> {
        match self {
            Self::Stuck { waits, .. } => waits.iter().map(|wait| wait.rank).collect(),
            Self::Mismatch { rank, .. } => vec![*rank],
            Self::Crossed { ended, .. } => ended.clone(),
        }
    }
}

/// A call between ranks, as it is called in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommCall {
    pub name: &'static str,
    /// All members make it together.
    pub collective: bool,
    /// Nobody leaves it before all have reached it.
    pub for_all: bool,
}

/// Ranks in a collective call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommAt {
    pub ranks: Vec<Rank>,
    pub call: CommCall,
    /// Empty when that does not matter, or is not known.
    pub type_name: String,
    /// `In [3]:2`
    pub place: Option<String>,
    /// 0: all ranks; otherwise the number of what `split` has made.
    pub comm: u32,
    /// Which collective call of the communicator it is in this cell, from 1.
    pub number: u64,
}

/// What a rank waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommWait {
    pub rank: Rank,
    pub call: CommCall,
    /// For one of these.
    pub on: Vec<Rank>,
    /// `None`: any.
    pub tag: Option<i32>,
    /// What is to come or to go; empty when that does not matter.
    pub type_name: String,
    /// `In [3]:2`
    pub place: Option<String>,
    /// 0: all ranks; otherwise the number of what `split` has made.
    pub comm: u32,
}

/// Where a rank is in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RankState {
    NotAsked,
    Due,
    Running,
    Left,
    Dead,
}

/// `%comm`: what the ranks of a pool have sent each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommReport {
    pub pool: PoolName,
    /// The ranks that are shown.
    pub ranks: Vec<Rank>,
    pub table: CommTable,
    /// What nobody has received, in the order in which it came.
    pub unreceived: Vec<Unreceived>,
}

/// A message that nobody has received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreceived {
    pub from: Rank,
    pub to: Rank,
    pub tag: i32,
    pub bytes: u64,
    pub type_name: String,
    /// Where it was sent.
    pub at: Option<String>,
}

/// `%timeline` of a `%px`: what each engine did when. Times since the begin of the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PxTimeline {
    pub cell: CellId,
    pub pool: PoolName,
    pub lanes: Vec<PxLane>,
}

/// What one engine did in a `%px`; what is in no span is computing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PxLane {
    pub rank: Rank,
    pub began: Duration,
    pub ended: Duration,
    pub failed: bool,
    /// Spans before are not kept.
    pub known_from: Option<Duration>,
    /// One after the other.
    pub spans: Vec<LaneSpan>,
}

/// Time in which an engine sent or waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneSpan {
    /// It waited for another rank; otherwise it sent.
    pub waits: bool,
    pub from: Duration,
    pub to: Duration,
}
