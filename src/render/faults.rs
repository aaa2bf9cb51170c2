//! Why a map failed, as its caller is told: code that waits for it, and lists of jobs.

use std::fmt;
use std::path::Path;

use regatta_cell::host::UNDECODABLE;

use crate::outcome::{DeathCause, Deaths};
use crate::pool::{MapFailure, MapFault, MapRefusal, QueueFault};

/// The disk of a cluster's server has no room.
pub fn no_room(folder: &Path, left: u64) -> String {
    format!(
        "the disk on which the cluster's server has its queue is full ({:.1} MB are left): {}",
        left as f64 / 1e6,
        folder.display()
    )
}

impl fmt::Display for MapFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.item;
        let place = place.map_or_else(|| "the map".to_owned(), |item| format!("item {item}"));
        match &self.what {
            MapFault::Panicked(panic) => {
                write!(f, "{place} panicked{}: {}", panic.at(), panic.message)
            }
            MapFault::Crashed(cause) => write!(f, "{place} ended three engines: {cause}"),
            MapFault::Lost(cause) => {
                write!(f, "ten engines ended before they came to {place}: {cause}")
            }
            MapFault::TimedOut => write!(f, "{place} took longer than allowed"),
            MapFault::NoEngineLeft => {
                let stopped = |deaths: &Deaths| deaths.last == DeathCause::Stopped;
                f.write_str(match self.died.as_slice() {
                    died @ [_, ..] if died.iter().all(stopped) => "its engines were stopped",
                    _ => "no engine is left",
                })
            }
            MapFault::Interrupted { .. } => f.write_str("it was interrupted"),
            MapFault::PlanOnly => f.write_str("only the plan was wanted"),
            MapFault::Refused(why) => why.fmt(f),
            MapFault::Undecodable(None) => f.write_str(UNDECODABLE),
            MapFault::Undecodable(Some(why)) => f.write_str(&why.undecodable()),
            MapFault::Inputs(why) => f.write_str(why),
            MapFault::Queue(QueueFault::NoArtifact(why)) => {
                write!(f, "its compiled code cannot be read: {why}")
            }
            MapFault::Queue(QueueFault::Server(why)) => {
                write!(f, "the cluster's server does not take it: {why}")
            }
            MapFault::Queue(QueueFault::Lost { chunks }) => write!(
                f,
                "the cluster's server has lost {chunks} of its chunks for good; run it again"
            ),
            MapFault::Queue(QueueFault::NoResult { chunk }) => write!(
                f,
                "what has come for chunk {chunk} is no result, and the first that comes stays; run it again"
            ),
            MapFault::Queue(QueueFault::Unreadable(why)) => write!(
                f,
                "the cluster's server has lost some of what its nodes need ({why}); run it again"
            ),
            MapFault::Queue(QueueFault::NoRoom { folder, left }) => {
                write!(f, "{}", no_room(folder, *left))
            }
            MapFault::Queue(QueueFault::Detached) => {
                f.write_str("it was detached; `%result` gives what comes of it")
            }
            MapFault::InputsPanicked(panic) => {
                write!(f, "the inputs panicked{}: {}", panic.at(), panic.message)
            }
        }
    }
}

impl fmt::Display for MapRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPool(Some(wanted)) => write!(f, "there is no process pool `{wanted}`"),
            Self::NoPool(None) => f.write_str("no process pool is started: `%pool start`"),
            Self::NoRank {
                pool,
                rank,
                engines,
            } => write!(
                f,
                "{pool} has no engine {rank}: its ranks are 0 to {}",
                engines.saturating_sub(1)
            ),
            Self::NotCounted => f.write_str(
                "a static schedule deals all inputs before the start, and this iterator does not say how many it has: collect it first, or give a chunk size",
            ),
        }
    }
}
