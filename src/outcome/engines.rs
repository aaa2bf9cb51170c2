//! What happens to engines and jobs besides what cells come to: as data, of which the renderer makes words.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::JobState;
use crate::ids::{CellId, JobId, PoolName, Rank};

/// Why an engine is no more. Its words are the renderer's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeathCause {
    /// The number of the signal that ended it.
    Signal(i32),
    /// It ended itself.
    Exit(i32),
    /// It speaks another version of the protocol.
    Version {
        says: u32,
        ours: u32,
    },
    /// It has done all the items that one process does.
    Spent {
        items: u64,
    },
    Stopped,
    NotStarted,
    /// It was dead before.
    EndedBefore,
    /// It could not be ended, and nobody waits for it any more.
    GivenUp,
    Unknown,
    /// MPI has ended it, because this one had ended.
    Together {
        first: Rank,
    },
    /// Its node is not there any more.
    NodeGone {
        host: String,
        why: NodeFault,
    },
    /// What had to start it did not; its words.
    Launcher {
        says: String,
    },
    /// Its node has ended with it, each time.
    WithNode,
}

/// Why a host is no node of a cluster, or not any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeFault {
    /// Nothing was heard of it for so long.
    Silent { seconds: u64 },
    /// It speaks another version of the protocol.
    Version { says: u32, ours: u32 },
    /// It is of another kind of processor.
    Architecture { its: String, ours: String },
    /// Its processor lacks what cells are compiled for.
    Processor { lacks: Vec<String> },
    /// Its C library is older than what cells are linked with.
    Libc { its: String, ours: String },
    /// It takes nothing from the cluster's queue.
    NoQueue,
    /// It sends what is no message.
    Garbage,
    /// It has ended, and said nothing.
    Ended,
    /// What it, or what was to start it, has said last; or the system.
    Says(String),
    /// ssh has made no way back from it.
    NoWayBack,
    /// The server does not answer.
    NoServer,
    /// The user has taken it out of the cluster.
    Removed,
    /// None is left.
    NoneLeft,
    /// Another session, of this process, has taken the cluster.
    TakenOver { pid: u32 },
    /// What has kept the cluster has ended.
    NoHolder,
    /// None for messages.
    NoMemory,
}

/// Why a cluster that outlives its session cannot be started, taken or ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeepFault {
    /// It has no server.
    Server(ServerFault),
    /// The user has no home.
    NoHome,
    /// The folder for it is open to others.
    Open(String),
    /// There is no folder for it; the system's words.
    NoFolder(String),
    /// There is none of this name.
    Unknown { name: String, others: Vec<String> },
    /// There is one of this name already.
    Exists(String),
    /// A session, of this process, has it.
    Has { name: String, pid: u32 },
    /// It is kept by another version of regatta.
    Version { name: String, says: u32, ours: u32 },
    /// It was started on another host.
    Elsewhere { name: String, host: String },
    /// The process that keeps it does not answer.
    Silent { name: String, pid: u32 },
    /// None of its nodes answers.
    NoNode { name: String },
    /// Something else; the system's words.
    Failed(String),
}

/// How what Slurm was asked to start stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SlurmState {
    /// It has not answered yet, or the session is in an allocation and need not wait for one.
    Asked,
    Pending {
        job: String,
        reason: String,
    },
    Running {
        job: String,
    },
    /// It has ended, and this is what it, or Slurm, has said.
    Over {
        says: String,
    },
}

/// Why a cluster has no server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerFault {
    /// The program, `nats-server`, is not installed.
    Missing,
    /// It cannot be started, or has ended: its words, or the system's.
    NotStarted { says: String },
    /// There is no room for its files.
    NoRoom { says: String },
    /// Something else listens there.
    PortTaken { address: String },
    /// It is no address of this host.
    NoSuchAddress { address: String },
    /// The system does not let this user listen there.
    NotAllowed { address: String },
    /// The name has no address.
    UnknownHost { host: String, says: String },
    /// No address is known by which others reach this host.
    NoAddress,
    /// There is no certificate for it.
    NoCertificate { says: String },
    /// It is no URL of a NATS server.
    NoUrl { url: String },
    /// The file of a user's key cannot be read.
    NoCredentials { file: String, says: String },
    /// Nobody answers there.
    Unreached { url: String, says: String },
    /// It does not know the user, or wants one.
    NotLetIn { url: String },
    /// It takes messages of so many bytes only.
    SmallMessages {
        url: String,
        most: usize,
        needs: usize,
    },
    /// It has no streams.
    NoStreams { url: String },
    /// The user may not say or hear this there.
    NotAllowedThere {
        url: String,
        subject: String,
        says: String,
    },
}

/// Why engines that MPI has started cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MpiFault {
    /// `program` has started so many processes, and to the library of `mpicc` each of them is one of `size`.
    OtherLibrary {
        program: String,
        launcher: String,
        wanted: usize,
        size: u32,
        library: String,
    },
    /// Two processes have this rank.
    Twice(usize),
    /// One says something else than engines do.
    NotAnEngine(String),
    /// So few of them have come in this time; what was to start them says this.
    Late {
        come: usize,
        size: usize,
        seconds: u64,
        says: String,
    },
    /// What was to start them says that it has started so many.
    World { size: u32, wanted: usize },
    /// More have come than were asked for.
    TooMany { size: usize },
    /// All have come, and MPI does not begin in them.
    NoBegin {
        size: usize,
        seconds: u64,
        says: String,
    },
    /// What was to start them ended with this status, and said nothing.
    Ended(i32),
}

/// The deaths of the processes that one engine was during a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deaths {
    pub rank: Rank,
    pub times: usize,
    pub last: DeathCause,
}

/// Why an engine could not be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartFault {
    /// There is no node for it.
    Node(NodeFault),
    /// The system's words.
    Says(String),
}

impl std::error::Error for NodeFault {}

impl From<std::io::Error> for StartFault {
    fn from(error: std::io::Error) -> Self {
        match error.downcast() {
            Ok(fault) => Self::Node(fault),
            Err(error) => Self::Says(error.to_string()),
        }
    }
}

/// What has happened to engines outside of what a cell came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineChange {
    NotStarted {
        why: StartFault,
    },
    /// In a cell in which others go on.
    DiedInCell {
        rank: Rank,
        cause: DeathCause,
    },
    Died {
        pool: PoolName,
        rank: Rank,
        cause: DeathCause,
        lost: Vec<String>,
        /// All others of the pool have ended with it.
        all: bool,
    },
    /// The local engine, for which another one stands in.
    LocalDied {
        cause: DeathCause,
        lost: Vec<String>,
    },
    /// In a map: another process stands in for it.
    Replaced {
        pool: PoolName,
        rank: Rank,
        cause: DeathCause,
        lost: Vec<String>,
    },
    /// After Ctrl-C. `lost`: `None` when they did not come up again.
    Restarted {
        pool: PoolName,
        ranks: Vec<Rank>,
        lost: Option<Vec<String>>,
    },
    /// They were dead, and are started again for a cell.
    Revived {
        pool: PoolName,
        dead: Vec<(Rank, DeathCause)>,
        lost: Vec<String>,
    },
    /// What it begins with failed in a process that stands in for another.
    NotBegun {
        pool: PoolName,
        rank: Rank,
    },
}

/// A job in the background is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobEnd {
    pub job: JobId,
    pub work: JobWork,
    pub took: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobWork {
    Map {
        state: JobState,
        done: u64,
        total: Option<u64>,
        /// Code can still reach its results.
        held: bool,
    },
    /// `failed`: why, when it did.
    Px {
        cell: CellId,
        pool: PoolName,
        failed: Option<String>,
    },
}

/// What `%wait` and `%cancel` say of a job that has come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobAnswer {
    pub job: JobId,
    /// It has just been cancelled; otherwise it was waited for.
    pub cancelled_now: bool,
    pub state: JobState,
    pub counted: Counted,
    /// Why it failed.
    pub why: Option<String>,
}

/// How much of a job is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    pub done: u64,
    /// `None` when the inputs don't say how many they are.
    pub total: Option<u64>,
    /// What is counted: `items`, `engines`.
    pub unit: &'static str,
}
