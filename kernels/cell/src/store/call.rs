//! What is asked of a store and what it answers: plain data, the same for the session's own store, for Redis, and for
//! child scripts. Values are JSON texts on this border.
//!
//! A time to wait is in milliseconds: `None` waits for ever, `Some(0)` not at all.

use std::fmt::{self, Write as _};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A JSON text.
pub type Json = String;

/// The variable of the environment that names the store: the path of the session's socket, or a Redis URL.
pub const ADDRESS: &str = "REGATTA_STORE";

/// What is asked of a store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Call {
    /// → `Done`. Whatever was there is replaced, a list too; `expire` is the milliseconds after which the key goes.
    Set {
        key: String,
        value: Json,
        expire: Option<u64>,
    },
    /// → `Value`. A list is given as a JSON array.
    Get { key: String },
    /// → `Value`; the key is gone.
    Take { key: String },
    /// → `Is`: whether the value was `before` (`None`: was not there), text for text, and is `after` now (`None`: gone).
    /// What it had of a time to live, it keeps.
    Swap {
        key: String,
        before: Option<Json>,
        after: Option<Json>,
    },
    /// → `Number`: the sum. A key that is not there counts from 0.
    Incr { key: String, by: Number },
    /// → `Count`: how many are in the list now. Appends.
    Push { key: String, values: Vec<Json> },
    /// → `Value`: the first of the list, taken off; `None` when nothing came in time.
    Pop { key: String, wait: Option<u64> },
    /// → `Count`: of values in the list.
    Len { key: String },
    /// → `Keys`, sorted by name, of the keys that match: `*`, `?`, `[a-z]`, `\` as Redis has them. With `details` also
    /// locks, semaphores, barriers and channels, and everything that is known of each; without, names and nothing else.
    Keys { pattern: String, details: bool },
    /// → `Count`: of those that were there.
    Delete { keys: Vec<String> },
    /// → `Is`: whether the key is there. It goes after so many milliseconds; `None`: stays.
    Expire { key: String, after: Option<u64> },
    /// → `Value` once the value is another than `unlike` (`None`: is not there), or `TimedOut`.
    Wait {
        key: String,
        unlike: Option<Json>,
        wait: Option<u64>,
    },
    /// → `Granted`, or `Held` when the time is over. `limit` is how many may hold it at once: 1 for a lock. It is held until
    /// it is released, until its holder is gone, and no longer than the lease, if it has one.
    Acquire {
        kind: Kind,
        name: String,
        limit: u32,
        lease: Option<u64>,
        wait: Option<u64>,
        who: Who,
    },
    /// → `Is`: whether it was still held.
    Release {
        kind: Kind,
        name: String,
        fence: u64,
    },
    /// → `Is`: whether it is still held; its lease begins anew.
    Renew {
        kind: Kind,
        name: String,
        fence: u64,
        lease: Option<u64>,
    },
    /// → `Count` (which one this caller was, from 0) once `size` callers are there, or `Missing`.
    Barrier {
        name: String,
        size: u32,
        wait: Option<u64>,
        who: Who,
    },
    /// → `Count`: of those that it reaches.
    Publish { channel: String, message: Json },
    /// → `Subscribed`. Channels whose names match get their messages into one queue from now on.
    Subscribe { pattern: String },
    /// → `Message`, or `TimedOut`.
    Next {
        subscription: u64,
        wait: Option<u64>,
    },
    /// → `Done`.
    Unsubscribe { subscription: u64 },
}

impl Call {
    /// Whether its answer may take its time.
    #[must_use]
    pub fn may_wait(&self) -> bool {
        match self {
            Self::Pop { wait, .. }
            | Self::Wait { wait, .. }
            | Self::Acquire { wait, .. }
            | Self::Barrier { wait, .. }
            | Self::Next { wait, .. } => *wait != Some(0),
            _ => false,
        }
    }
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    Done,
    Is(bool),
    Count(u64),
    Number(Number),
    Value(Option<Json>),
    Keys(Vec<Entry>),
    /// It is held; its fencing number is larger than any that was given before.
    Granted {
        fence: u64,
    },
    /// By these, in the order in which they got it.
    Held {
        by: Vec<Who>,
    },
    /// These have come to the barrier, this caller among them.
    Missing {
        size: u32,
        here: Vec<Who>,
    },
    Subscribed {
        subscription: u64,
    },
    /// `missed` messages before it did not fit into the queue.
    Message {
        channel: String,
        message: Json,
        missed: u64,
    },
    TimedOut,
    /// The wait was ended by Ctrl-C, or by a job's end.
    Interrupted,
    Failed(Trouble),
}

/// What `Incr` adds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Number {
    Int(i64),
    Float(f64),
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(int) => int.fmt(f),
            // With a point, so that it stays one.
            Self::Float(float) => write!(f, "{float:?}"),
        }
    }
}

/// What may be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    Lock,
    Semaphore,
}

impl Kind {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lock => "lock",
            Self::Semaphore => "semaphore",
        }
    }
}

/// Who holds or waits: an engine or a thread of a pool, a child script, or a process of which nothing else is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Who {
    /// The pool's name, or the children's; empty without any.
    pub group: String,
    pub rank: Option<u32>,
    /// How many ranks the group has.
    pub size: Option<u32>,
    pub pid: u32,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.rank, self.group.as_str()) {
            (Some(rank), "") => write!(f, "rank {rank} (pid {})", self.pid),
            (Some(rank), group) => write!(f, "rank {rank} of {group}"),
            (None, "") => write!(f, "pid {}", self.pid),
            (None, group) => write!(f, "{group} (pid {})", self.pid),
        }
    }
}

/// A time as calls have it. Rounded up: a short wait is no look.
#[must_use]
pub fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// Who has come to a barrier and who has not: `2 of 4 are there (rank 0 of p0, rank 2 of p0); missing: rank 1, 3 of p0`.
#[must_use]
pub fn missing(size: u32, here: &[Who]) -> String {
    // Some may have left before the last one came.
    let all = here.len() >= size as usize;
    let mut text = match all {
        true => format!("all {size} have come, but not at the same time ("),
        false => format!("{} of {size} are there (", here.len()),
    };
    for (at, who) in here.iter().enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        let _ = write!(text, "{comma}{who}");
    }
    text.push(')');
    if all {
        return text;
    }
    text.push_str("; missing: ");
    // Of the groups that are there it is known which ranks they have.
    let mut left = (size as usize).saturating_sub(here.len());
    let mut groups: Vec<(&str, u32)> = Vec::new();
    for who in here {
        let group = (who.group.as_str(), who.size.unwrap_or(0));
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    let absent: Vec<(&str, Vec<u32>)> = groups
        .into_iter()
        .map(|(group, size)| {
            let is_here = |rank: &u32| {
                let same = |who: &Who| who.group == group && who.rank == Some(*rank);
                here.iter().any(same)
            };
            (group, (0..size).filter(|rank| !is_here(rank)).collect())
        })
        .collect();
    let known = absent.iter().map(|(_, ranks)| ranks.len()).sum();
    if left < known {
        let _ = write!(text, "{left} of ");
    }
    let mut first = true;
    for (group, ranks) in absent.iter().filter(|(_, ranks)| !ranks.is_empty()) {
        let comma = if first { "rank " } else { ", rank " };
        first = false;
        text.push_str(comma);
        for (at, rank) in ranks.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            let _ = write!(text, "{comma}{rank}");
        }
        if !group.is_empty() {
            let _ = write!(text, " of {group}");
        }
    }
    left = left.saturating_sub(known);
    if left > 0 {
        let and = if first { "" } else { ", and " };
        let _ = write!(text, "{and}{left} of whom nothing is known");
    }
    text
}

/// What is known of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub key: String,
    pub kind: EntryKind,
    /// Bytes of its JSON.
    pub bytes: u64,
    /// Values of a list, holders of a lock or a semaphore, callers at a barrier, subscribers of a channel.
    pub count: Option<u64>,
    /// Of how many: a semaphore's limit, a barrier's size.
    pub of: Option<u64>,
    /// Milliseconds since it was last written; `None` where that is not known.
    pub age: Option<u64>,
    /// Milliseconds until it goes.
    pub expires: Option<u64>,
    /// The holders of a lock or semaphore, the callers at a barrier.
    pub who: Vec<Who>,
    /// How a value begins, or the first of a list.
    pub preview: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EntryKind {
    #[default]
    Value,
    List,
    Lock,
    Semaphore,
    Barrier,
    Channel,
    /// A key of Redis that is of another type, which this store does not read.
    Other,
}

impl EntryKind {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::List => "list",
            Self::Lock => "lock",
            Self::Semaphore => "semaphore",
            Self::Barrier => "barrier",
            Self::Channel => "channel",
            Self::Other => "other",
        }
    }
}

/// Why a call failed; nothing was changed by it, but for `Lost`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trouble {
    /// `found` is a JSON text or its beginning, or "a list".
    WrongType {
        key: String,
        wanted: String,
        found: String,
    },
    /// The sum would be no number that fits.
    Overflow {
        key: String,
    },
    /// A semaphore's limit or a barrier's size, as others gave it.
    OtherSize {
        name: String,
        given: u32,
        theirs: u32,
    },
    TooLarge {
        bytes: u64,
        limit: u64,
    },
    NoSubscription,
    /// The process has no store: it runs outside of a session.
    NoStore,
    /// There is no reaching it.
    Unavailable {
        address: String,
        why: String,
    },
    /// The connection broke while the call was under way: it may have been done or not.
    Lost {
        address: String,
        why: String,
    },
    /// The store refused the call in its own words.
    Refused {
        why: String,
    },
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongType { key, wanted, found } => {
                write!(f, "`{key}` in the store is no {wanted}: found {found}")
            }
            Self::Overflow { key } => write!(f, "`{key}` in the store would overflow"),
            Self::OtherSize {
                name,
                given,
                theirs,
            } => write!(
                f,
                "`{name}` is for {theirs} as others have called it, and this call says {given}"
            ),
            Self::TooLarge { bytes, limit } => write!(
                f,
                "{bytes} bytes are too much for one call of the store, which takes {limit}"
            ),
            Self::NoSubscription => f.write_str("the subscription is over"),
            Self::NoStore => write!(
                f,
                "there is no store here: {ADDRESS} is not set, which every session sets for its engines and children"
            ),
            Self::Unavailable { address, why } => {
                write!(f, "the store at {address} cannot be reached: {why}")
            }
            Self::Lost { address, why } => write!(
                f,
                "the connection to the store at {address} was lost, and the call may have been done or not: {why}"
            ),
            Self::Refused { why } => write!(f, "the store refused the call: {why}"),
        }
    }
}

impl std::error::Error for Trouble {}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(group: &str, rank: Option<u32>, size: Option<u32>) -> Who {
        Who {
            group: group.to_owned(),
            rank,
            size,
            pid: 7,
        }
    }

    #[test]
    fn who_is_missing_at_a_barrier_is_named_as_far_as_that_is_known() {
        let p0 = |rank| who("p0", Some(rank), Some(4));
        assert_eq!(
            missing(4, &[p0(0), p0(2)]),
            "2 of 4 are there (rank 0 of p0, rank 2 of p0); missing: rank 1, 3 of p0"
        );
        assert_eq!(
            missing(3, &[p0(0), p0(2)]),
            "2 of 3 are there (rank 0 of p0, rank 2 of p0); missing: 1 of rank 1, 3 of p0"
        );
        let session = who("the session", None, None);
        assert_eq!(
            missing(6, &[p0(0), p0(1), p0(2), session.clone()]),
            "4 of 6 are there (rank 0 of p0, rank 1 of p0, rank 2 of p0, the session (pid 7)); missing: rank 3 of p0, and 1 of whom nothing is known"
        );
        assert_eq!(
            missing(2, &[p0(1), p0(0)]),
            "all 2 have come, but not at the same time (rank 1 of p0, rank 0 of p0)"
        );
        assert_eq!(
            missing(2, &[session]),
            "1 of 2 are there (the session (pid 7)); missing: 1 of whom nothing is known"
        );
    }
}
