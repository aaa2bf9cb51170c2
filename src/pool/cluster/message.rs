//! What a session and the nodes of its cluster say to each other, in postcard.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{EngineId, JobId, PoolName, Rank};
use crate::outcome::{DeathCause, NodeFault, Stream};
use crate::wire::{FromEngine, ToEngine};

/// What a node has to know to join: in a file, or on its standard input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// The wire's version: both sides are the same program.
    pub version: u32,
    /// What all subjects of the cluster begin with.
    pub cluster: String,
    /// `nats://127.0.0.1:4222`
    pub server: String,
    pub user: String,
    pub password: String,
    /// The number of the node, when the session has started it.
    pub node: Option<u32>,
    /// As the session names the node; its host's name without it.
    pub host: Option<String>,
    /// Engines that it may run; as many as it has cores without it.
    pub slots: Option<u32>,
    /// Which of the sessions that the cluster has had one after the other.
    #[serde(default)]
    pub epoch: u64,
    /// How long the cluster goes on without a session, seconds, when it outlives its own.
    #[serde(default)]
    pub keeps: Option<u64>,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    pub version: u32,
    pub host: String,
    pub pid: u32,
    pub slots: u32,
    pub cores: u32,
    /// Of the host, bytes.
    pub memory: u64,
    /// The C library that it runs on: `2.36`.
    pub libc: String,
    /// `x86_64`
    pub architecture: String,
}

/// The bytes behind a frame's header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Carried {
    #[default]
    None,
    /// In the frame.
    Inline(Vec<u8>),
    /// In a buffer that is shared within the host.
    Shared(Vec<u8>),
    /// What the node has by this name.
    Object(Content),
}

/// Content that many engines take, by its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Content {
    Artifact(u128),
    Capture(u128),
}

/// From the session to a node.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToNode {
    /// It cannot take part.
    Refused {
        why: NodeFault,
    },
    Start {
        engine: EngineId,
        rank: Rank,
        size: u32,
        pool: Option<PoolName>,
        /// How its environment differs from the node's.
        environment: Vec<(String, Option<String>)>,
    },
    Frame {
        engine: EngineId,
        message: Box<ToEngine>,
        carried: Carried,
    },
    /// A frame on a connection that an engine has opened, its header as it is.
    Line {
        line: LineId,
        header: Vec<u8>,
        carried: Carried,
    },
    /// The session has closed it.
    LineOver {
        line: LineId,
    },
    /// For later frames.
    Object {
        content: Content,
        bytes: Vec<u8>,
    },
    /// No frame will name it any more.
    Forget {
        content: Content,
    },
    /// A shared object that artifacts link to.
    Library {
        bytes: Vec<u8>,
    },
    /// The session has taken so much of what the engine has printed.
    Taken {
        engine: EngineId,
        bytes: u64,
    },
    StopJob {
        engine: EngineId,
        job: JobId,
    },
    EndWaits {
        engine: EngineId,
    },
    Signal {
        engine: EngineId,
        signal: i32,
    },
    /// Its work is over.
    Bye,
    /// The session goes, and another may come.
    Leave,
}

/// A connection that an engine has opened, as its node numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LineId(pub u64);

/// From a node to the session.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromNode {
    Hello(About),
    Started {
        engine: EngineId,
        pid: u32,
    },
    Frame {
        engine: EngineId,
        message: FromEngine,
        carried: Carried,
    },
    /// The engine has opened a connection: the frame before it says what for.
    Line {
        line: LineId,
        header: Vec<u8>,
        carried: Carried,
    },
    LineOver {
        line: LineId,
    },
    /// In the frame's place: a connection for a service of the hub.
    Connect {
        engine: EngineId,
        message: FromEngine,
        line: LineId,
    },
    Printed {
        engine: EngineId,
        stream: Stream,
        bytes: Vec<u8>,
    },
    /// The engine's page of numbers, when it has changed.
    Page {
        engine: EngineId,
        page: Vec<u8>,
    },
    Ended {
        engine: EngineId,
        cause: DeathCause,
        page: Vec<u8>,
    },
}

/// From the session to all nodes, some times a second: it lives.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Beat {
    /// The session's.
    pub epoch: u64,
    /// On its own clock, nanoseconds.
    pub sent: u64,
}

/// A node's answer to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pulse {
    /// The beat's.
    pub epoch: u64,
    /// The beat's.
    pub sent: u64,
    /// The node's own clock, time since 1970.
    pub now: Duration,
    /// Processes that run or wait for a core, over the last minute.
    pub load: f64,
    /// Memory of the host in use, bytes.
    pub used: u64,
    /// Resident memory of its engines, bytes.
    pub engines: Vec<(EngineId, u64)>,
}
