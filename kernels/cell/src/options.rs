//! How a map is to run: the one record of its options. What asks for a map fills it (a magic, or code through
//! [`crate::pool::PoolView`]), and whoever serves the map reads it: the cell, the hub, the engines. Between them it
//! travels as bytes, so that no option stands in generated code and none has a name of its own on the way.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The options of a map. An option is a field here, and an argument of the magic that sets it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapOptions {
    /// The function as the user wrote it; empty for a call from code, which shows no plan and no table.
    pub function: String,
    /// The pool in use when `None`.
    pub pool: Option<String>,
    /// The engines; all when empty.
    pub ranks: Vec<u32>,
    /// Items per chunk; `None`: it adapts.
    pub chunk: Option<u64>,
    pub schedule: Schedule,
    /// Results in the order of arrival.
    pub unordered: bool,
    /// How often an item that panicked is tried again.
    pub retries: u32,
    /// The most that one item may take.
    pub timeout: Option<Duration>,
    /// Errors are results: `Vec<Result<O, ItemError>>`.
    pub collect: bool,
    /// No plan, no table.
    pub quiet: bool,
    /// Each item is timed, for a table with a row per item.
    pub items: bool,
    /// Show the plan, run nothing.
    pub plan_only: bool,
    /// Each item has a random generator of its own that depends on this number.
    pub seed: Option<u64>,
    /// At most so many inputs.
    pub take: Option<u64>,
    /// Nobody waits for it.
    pub background: bool,
    /// The result of its one item is the whole result.
    pub single: bool,
    /// Its items are shell commands: what waits at an engine behind one that takes its time goes to another.
    pub commands: bool,
    /// The cell whose `%px` in the background it is: each item is what one thread runs.
    pub px: Option<u32>,
    /// Name and type of each variable that travels with the function.
    pub captures: Vec<(String, String)>,
}

/// What a map on a thread pool cannot do, which a process pool can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeedsProcesses {
    Timeout,
    Retries,
    Targets,
}

impl fmt::Display for NeedsProcesses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "a thread cannot be stopped, so `timeout` does not work on a thread pool",
            Self::Retries => "`retries` does not work on a thread pool: its inputs are moved into the function, not copied",
            Self::Targets => "a thread pool has no targets: its threads share the work, unless it is dealt to them (`--schedule static`)",
        })
    }
}

/// What to do instead.
pub const PROCESSES_CAN: &str = "a process pool can do it: `%pool start`";

/// How chunks are given to engines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Schedule {
    /// Whoever is free takes the next chunk (ipyparallel's load-balanced view).
    #[default]
    Dynamic,
    /// One block per engine, fixed before the start (ipyparallel's direct view).
    Static,
    /// As dynamic, with chunks that shrink towards the end.
    Guided,
}

/// How many items the threads of a pool claim at once.
#[derive(Clone, Debug)]
pub struct Chunks {
    pub schedule: Schedule,
    /// Items per chunk; `None`: it adapts.
    pub fixed: Option<u64>,
    pub threads: u64,
    /// The threads that items are dealt to; all when empty.
    pub ranks: Vec<u32>,
}

impl Chunks {
    /// For a pool of so many threads.
    #[must_use]
    pub fn of(options: &MapOptions, threads: u32) -> Self {
        let ranks = options.ranks.clone();
        Self {
            schedule: options.schedule,
            fixed: options.chunk,
            threads: if ranks.is_empty() {
                threads.into()
            } else {
                ranks.len() as u64
            },
            ranks,
        }
    }

    /// How many whoever is free claims of so many that are left: an eighth of a fair share, unless it is fixed.
    #[must_use]
    pub fn claimed(&self, left: u64) -> u64 {
        let adapted = || (left / (8 * self.threads)).max(1);
        self.fixed.unwrap_or_else(adapted).min(left)
    }

    /// What is dealt to a thread before the start: its first item, how many at once, and how far it is from one
    /// chunk to the next.
    #[must_use]
    pub fn dealt(&self, rank: u32, items: u64) -> (u64, u64, u64) {
        let place = match self.ranks.iter().position(|other| *other == rank) {
            Some(place) => place as u64,
            None if self.ranks.is_empty() => rank.into(),
            None => return (items, 0, 0),
        };
        if let Some(fixed) = self.fixed {
            // More than all of them is all of them: what is counted must not wrap.
            let size = fixed.min(items.max(1));
            return (size * place, size, size * self.threads);
        }
        let (from, to) = (
            items * place / self.threads,
            items * (place + 1) / self.threads,
        );
        (from, to - from, items.max(1))
    }

    /// How many chunks there will be, when that is known before the start.
    #[must_use]
    pub fn planned(&self, items: u64) -> Option<u64> {
        match (self.schedule, self.fixed) {
            (_, Some(fixed)) => Some(items.div_ceil(fixed)),
            (Schedule::Static, None) => Some(items.min(self.threads)),
            _ => (self.claimed(items) <= 1).then_some(items),
        }
    }
}

impl MapOptions {
    /// As it travels.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Plain fields in memory: there is nothing that could fail.
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// From what [`Self::to_bytes`] made; `None` for anything else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }

    /// For what it needs a process pool.
    #[must_use]
    pub fn needs_processes(&self) -> Option<NeedsProcesses> {
        // What is dealt before the start is dealt to whichever threads are meant.
        let has_targets = !self.ranks.is_empty() && self.schedule != Schedule::Static;
        [
            (self.timeout.is_some(), NeedsProcesses::Timeout),
            (self.retries > 0, NeedsProcesses::Retries),
            (has_targets, NeedsProcesses::Targets),
        ]
        .into_iter()
        .find_map(|(asked, need)| asked.then_some(need))
    }

    /// Inputs beyond which none is taken.
    pub(crate) fn most(&self) -> u64 {
        self.take.unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_travel() {
        let options = MapOptions {
            function: "|x| x * k".to_owned(),
            pool: Some("p0".to_owned()),
            ranks: vec![0, 2],
            chunk: Some(8),
            schedule: Schedule::Guided,
            timeout: Some(Duration::from_millis(1500)),
            captures: vec![("k".to_owned(), "f64".to_owned())],
            take: Some(0),
            ..MapOptions::default()
        };
        let bytes = options.to_bytes();
        assert_eq!(MapOptions::from_bytes(&bytes), Some(options));
        assert_eq!(MapOptions::from_bytes(&bytes[..bytes.len() - 1]), None);
        assert_eq!(MapOptions::from_bytes(&[]), None);
    }
}
