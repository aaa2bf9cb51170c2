//! What happens to children, the programs that the session has started beside itself: as data, of which the renderer
//! makes words.

use std::time::Duration;

use super::Stream;

/// How a child's process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildEnd {
    Exit(i32),
    Signal(i32),
}

impl ChildEnd {
    pub fn is_ok(self) -> bool {
        self == Self::Exit(0)
    }
}

/// Where a child is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildState {
    Running,
    /// Its last process has failed or ended so, and the next one is started after a while.
    Restarting(ChildEnd),
    /// It was told to end, and has not yet.
    Stopping,
    /// It has ended by itself, and stays so.
    Ended(ChildEnd),
    /// It was told to end, and has.
    Stopped(ChildEnd),
    /// The program could not be started again.
    Lost,
}

impl ChildState {
    /// Whether nothing more comes of it.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Ended(_) | Self::Stopped(_) | Self::Lost)
    }

    /// How its last process has ended.
    pub fn end(self) -> Option<ChildEnd> {
        match self {
            Self::Restarting(end) | Self::Ended(end) | Self::Stopped(end) => Some(end),
            Self::Running | Self::Stopping | Self::Lost => None,
        }
    }

    /// Whether it went as it was meant to.
    pub fn is_ok(self) -> bool {
        match self {
            Self::Ended(end) => end.is_ok(),
            Self::Lost => false,
            Self::Running | Self::Restarting(_) | Self::Stopping | Self::Stopped(_) => true,
        }
    }
}

/// What has happened to a child, or comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildNews {
    pub name: String,
    pub what: ChildChange,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChildChange {
    Started {
        pid: u32,
        detached: bool,
    },
    /// By itself, for good. `spent`: its restarts are used up, and how many there were.
    Ended {
        pid: u32,
        end: ChildEnd,
        ran: Duration,
        spent: Option<u32>,
    },
    /// By itself; the next process starts after a while.
    Restarts {
        pid: u32,
        end: ChildEnd,
        after: Duration,
        /// Which restart that is, and how many there can be.
        number: u32,
        most: Option<u32>,
    },
    /// It was to start again, and cannot.
    NotRestarted {
        why: String,
        /// The restart that is tried next, and after which while; `None`: it is given up.
        again: Option<(u32, Duration)>,
        most: Option<u32>,
    },
    Stopped {
        end: ChildEnd,
        /// It did not end when it was told to.
        killed: bool,
    },
    /// It prints faster than that can be shown: so many lines were not.
    Skipped {
        lines: u64,
    },
}

/// A line that a child has printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildLine {
    pub stream: Stream,
    pub text: String,
}
