//! What a session and the holder of a kept cluster say to each other: a line of JSON each.

use std::io::{self, BufRead, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::super::backbone::Which;
use super::super::launch::Way;
use super::super::message::Join;
use super::super::slurm::{Asked, Surroundings};
use crate::outcome::{NodeFault, SlurmState};

/// A line is no longer than this, bytes.
const LONGEST: u64 = 1 << 20;

/// What a holder is started with, on its standard input.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    pub name: String,
    pub lease: Duration,
    /// Where programs are.
    pub path: Option<String>,
    pub server: Which,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    pub pid: u32,
}

/// From a session.
#[derive(Debug, Serialize, Deserialize)]
pub enum Ask {
    /// How it is.
    Look,
    /// The cluster is to be this session's, for as long as the connection lasts.
    Attach {
        who: Who,
        /// Also when another session has it.
        steal: bool,
    },
    /// A node is to be started.
    Add {
        number: u32,
        host: String,
        way: Way,
        /// Where the session is; the holder is elsewhere.
        folder: Option<PathBuf>,
        slots: Option<u32>,
    },
    /// It is not wanted any more.
    Drop { number: u32 },
    /// A node has come that nobody has started from here: so it is called on its subjects, and this is its host. Without one it
    /// is gone.
    Met { seat: String, host: Option<String> },
    /// A file is to be written by which nodes join.
    JoinFile {
        question: u64,
        path: Option<PathBuf>,
    },
    /// Slurm is to start nodes.
    Submit {
        question: u64,
        asked: Asked,
        from: Surroundings,
    },
    /// How what Slurm was asked for stands.
    Slurm,
    /// What this asked Slurm for is not wanted.
    Recall { question: u64 },
}

/// From the holder.
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    Status(Box<Status>),
    Granted(Box<Grant>),
    /// Another session has the cluster.
    Refused {
        has: Who,
    },
    /// Another session has taken it.
    TakenOver {
        by: Who,
    },
    /// It has begun to send a node the program, or has done so.
    Tried {
        number: u32,
        is_waited_for: bool,
    },
    Gone {
        number: u32,
        why: NodeFault,
    },
    /// A node that was gone is started again.
    Again {
        number: u32,
        host: String,
    },
    /// Where the file is, or why there is none.
    JoinFile(u64, Result<PathBuf, String>),
    /// Whether Slurm could be asked.
    Submitted(u64, Result<(), String>),
    /// With how many nodes it will be, when that is known.
    Slurm(SlurmState, Option<u32>),
}

/// How a kept cluster is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// How a session reaches the server.
    pub session: Join,
    /// The hosts, and whether there is a connection to them; of those that came by themselves it is not known.
    pub nodes: Vec<(String, Option<bool>)>,
    /// Nodes reach the server by themselves, over the network.
    pub is_reached: bool,
    /// The session that has it.
    pub has: Option<Who>,
    /// What is left of the lease while no session has it.
    pub left: Option<Duration>,
}

/// What a session gets with the cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Grant {
    pub session: Join,
    /// The nodes that there are, by their numbers.
    pub nodes: Vec<(u32, String)>,
    /// Those that nobody has started from here, as they are called on their subjects.
    pub met: Vec<(String, String)>,
    /// Nodes may come by themselves.
    pub is_open: bool,
    /// What these join by, when that is no file.
    pub url: Option<String>,
    /// The numbers of nodes that the session starts begin here.
    pub first: u32,
}

pub fn write<T: Serialize>(mut stream: &UnixStream, message: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// The next message; `None` at the end.
pub fn read<T: DeserializeOwned>(from: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    from.take(LONGEST).read_until(b'\n', &mut line)?;
    match line.is_empty() {
        true => Ok(None),
        false => Ok(Some(serde_json::from_slice(&line)?)),
    }
}
