//! What a session and the nodes of its cluster say to each other, in postcard.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::page::Change;
use super::tunnel::Word;
use crate::ids::{EngineId, JobId, PoolName, Rank};
use crate::outcome::{DeathCause, NodeFault, Stream};
use crate::wire::relayed::{HubWords, News, Notes};
use crate::wire::{FromEngine, ToEngine};

/// What a node has to know to join: in a file, or on its standard input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// The wire's version: both sides are the same program.
    pub version: u32,
    /// What all subjects of the cluster begin with.
    pub cluster: String,
    /// `nats://127.0.0.1:4222`, `tls://192.0.2.1:4222`
    pub server: String,
    /// Of the server, in PEM: no other one is spoken to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// A user's key, as NATS' own tools write it, in the place of user and password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<String>,
    pub user: String,
    pub password: String,
    /// The number of the node, when the session has started it.
    pub node: Option<u32>,
    /// The number of the file that this is, of which several nodes may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<u32>,
    /// As the session names the node; its host's name without it.
    pub host: Option<String>,
    /// Engines that it may run; as many as it has cores without it.
    pub slots: Option<u32>,
    /// Maps go through a queue, from which nodes take them.
    #[serde(default)]
    pub is_durable: bool,
    /// Which of the sessions that the cluster has had one after the other.
    #[serde(default)]
    pub epoch: u64,
    /// How long the cluster goes on without a session, seconds, when it outlives its own.
    #[serde(default)]
    pub keeps: Option<u64>,
}

impl Join {
    /// Whether the server's address is one of its own host alone.
    pub fn is_near(&self) -> bool {
        let host = self.address().rsplit_once(':').map_or("", |(host, _)| host);
        let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
        host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
    }

    /// Whether the server is reached over the network, and not by ways that a session makes.
    pub fn is_reached(&self) -> bool {
        self.certificate.is_some() || !self.is_near()
    }

    /// Of the server.
    pub fn address(&self) -> &str {
        let server = self.server.as_str();
        server.split_once("://").map_or(server, |(_, it)| it)
    }
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
    /// What its processor can beside what all of the architecture can: `avx2`
    pub features: BTreeSet<String>,
    /// It takes pieces of maps from the queue.
    pub is_durable: bool,
}

/// The bytes behind a frame's header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Carried {
    #[default]
    None,
    /// In the frame.
    Inline(#[serde(with = "serde_bytes")] Vec<u8>),
    /// In a buffer that is shared within the host.
    Shared(#[serde(with = "serde_bytes")] Vec<u8>),
    /// The same, of so many bytes that it goes before the message: see [`super::body`].
    Body(u64),
    /// What the node has by this name.
    Object(Content),
    /// The node's memory of this world.
    World(u32),
}

impl Carried {
    /// What it counts as on its way, bytes.
    pub fn weight(&self) -> usize {
        let bytes = match self {
            Self::Inline(bytes) | Self::Shared(bytes) => bytes.len(),
            Self::Body(bytes) => usize::try_from(*bytes).unwrap_or(usize::MAX / 2),
            _ => 0,
        };
        bytes + 64
    }
}

/// Content that many engines take, by its hash where it may be taken again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Content {
    Artifact(u128),
    Capture(u128),
    /// A value for the next cell, by a number of the session's.
    Value(u64),
}

/// From the session to a node.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToNode {
    /// It cannot take part.
    Refused {
        why: NodeFault,
    },
    /// It takes part.
    Joined,
    /// `engine` is the number of this process, here and in all other messages: the one that takes its place when it dies has
    /// another, and `id` is the same.
    Start {
        engine: EngineId,
        id: EngineId,
        rank: Rank,
        size: u32,
        pool: Option<PoolName>,
        /// How its environment differs from the node's.
        environment: Vec<(String, Option<String>)>,
        /// Where it works; where the host has no such folder it begins in its user's home.
        folder: Option<PathBuf>,
        /// It is given pieces of queued jobs after its first run.
        is_held: bool,
    },
    /// What the engine has run first, or will: so does one that the node starts in its place.
    BeginsWith {
        engine: EngineId,
        run: Box<ToEngine>,
    },
    Frame {
        engine: EngineId,
        message: Box<ToEngine>,
        carried: Carried,
    },
    /// A frame on a connection that an engine has opened, its header as it is.
    Line {
        line: LineId,
        #[serde(with = "serde_bytes")]
        header: Vec<u8>,
        carried: Carried,
    },
    /// The session has closed it.
    LineOver {
        line: LineId,
    },
    World(WorldWord),
    /// Of a connection to a store.
    Tunnel(LineId, Word),
    /// For later frames; so many bytes of it follow.
    Object {
        content: Content,
        bytes: u64,
    },
    /// The next piece of the content, which stands behind this message: see [`super::content`].
    Part {
        content: Content,
    },
    /// No frame will name it any more.
    Forget {
        content: Content,
    },
    /// A shared object that artifacts link to.
    Library {
        digest: u128,
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// The session has taken so much of what the engine has printed.
    Taken {
        engine: EngineId,
        bytes: u64,
    },
    /// The hub has taken so much of what the engine has said.
    Heard {
        engine: EngineId,
        bytes: u64,
    },
    /// What overtakes the rest, by number from 1: it goes by a way of its own too, which may lose it. What has come by that is
    /// not heard again.
    Urgent {
        number: u64,
        word: Urgent,
    },
    /// No more of a queued job is to be done. `told`: what is being done is to be told of, and what that is.
    StopQueued {
        job: JobId,
        told: bool,
    },
    /// It is to tell which pieces of a queued job it has.
    AskQueued {
        job: JobId,
    },
    /// Whether the engine gets more pieces of queued jobs.
    TakesPieces {
        engine: EngineId,
        takes: bool,
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

/// What a node hears before what it was told earlier and has not come to. Each does no harm when what it is about is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Urgent {
    /// Ctrl-C has ended this run of the ranks in the world of that number.
    StopRun {
        world: u32,
        run: u64,
    },
    StopJob {
        engine: EngineId,
        job: JobId,
    },
    EndWaits {
        engine: EngineId,
    },
    /// For an engine as long as it is in this run, of those that it was given, counted from 1.
    Interrupt {
        engine: EngineId,
        run: u64,
        signal: i32,
    },
}

/// A connection that an engine has opened, as its node numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LineId(pub u64);

/// Of the world of the pool, by how many there were before.
#[derive(Debug, Serialize, Deserialize)]
pub struct WorldWord {
    pub number: u32,
    pub told: WorldTold,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum WorldTold {
    /// From the session, first: there is one.
    Open(OpenWorld),
    /// From the session: what the hub has written.
    Hub(HubWords),
    /// From a node, and from there to the others.
    News(News),
    /// From a node, with the next number that it has for a communicator.
    Notes(Vec<Notes>, u64),
}

/// See [`crate::wire::world`].
#[derive(Debug, Serialize, Deserialize)]
pub struct OpenWorld {
    pub size: u32,
    /// Ranks of the node.
    pub here: Vec<u32>,
    pub contexts: u64,
    pub context_step: u64,
    pub words: HubWords,
}

/// What a node that was given up hears in place of a part of a message, with the epoch of who says so behind it: how far it
/// has come with those does not matter.
pub const GIVEN_UP: &[u8] = b"given-up";

/// What the nodes of a cluster that has outlived its session hear in place of a [`Beat`] when it ends.
pub const OVER: &[u8] = b"over";

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
        #[serde(with = "serde_bytes")]
        header: Vec<u8>,
        carried: Carried,
    },
    LineOver {
        line: LineId,
    },
    /// A process of the node has opened a connection to a store, by the address that the session has named.
    Store {
        line: LineId,
        address: String,
    },
    Tunnel(LineId, Word),
    World(WorldWord),
    /// It does not have this that it was given; `None`: a library.
    Lacks {
        content: Option<Content>,
    },
    /// In the frame's place: a connection for a service of the hub.
    Connect {
        engine: EngineId,
        message: FromEngine,
        line: LineId,
    },
    /// The pieces of a queued job of which it will tell, and of no others.
    Holding {
        job: JobId,
        pieces: Vec<u32>,
    },
    /// What a queued job needs cannot be read on the server, again and again.
    Unreadable {
        job: JobId,
        why: String,
    },
    Printed {
        engine: EngineId,
        stream: Stream,
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// What has changed in the engine's page of numbers since this was last told.
    Page {
        engine: EngineId,
        changes: Vec<Change>,
    },
    Ended {
        engine: EngineId,
        cause: DeathCause,
        changes: Vec<Change>,
    },
}

/// From the session to all nodes, some times a second: it lives.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Beat {
    /// The session's.
    pub epoch: u64,
    /// On its own clock, nanoseconds.
    pub sent: u64,
    /// The server has room for results.
    pub has_room: bool,
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
