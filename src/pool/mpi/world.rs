//! What the engines of an MPI pool have in common: the `mpiexec` that started them, its words and its end, and whose
//! connection ended first.

use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdin};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::eventfd::EventFd;

use super::words;
use crate::ids::Rank;
use crate::outcome::DeathCause;
use crate::wire::Channel;

/// How long MPI may take to end the others when one has ended.
const LATE: Duration = Duration::from_secs(2);

/// More than this is not kept of what is printed, bytes.
const MOST_SAID: usize = 1 << 20;

/// How long the guard may take.
const GUARD: Duration = Duration::from_secs(4);

/// An engine that has joined.
pub struct Joined {
    pub channel: Channel,
    /// For its wait status, its standard output, its standard error.
    pub pipes: [OwnedFd; 3],
    pub pid: u32,
}

pub struct World {
    state: Mutex<State>,
    changed: Condvar,
    /// By rank.
    bells: Vec<Arc<EventFd>>,
}

#[derive(Default)]
struct State {
    /// By rank; until their links take them.
    joined: Vec<Option<Joined>>,
    /// One has joined: what ends from now on is an engine.
    has_begun: bool,
    /// While it is open, the guard lets `mpiexec` run.
    lifeline: Option<ChildStdin>,
    /// Who was gone first, and when.
    first: Option<(Rank, Instant)>,
    /// Why it cannot be used.
    refused: Option<String>,
    /// What `mpiexec` has printed, and engines that did not get so far as to have somebody who reads it.
    said: Vec<u8>,
    /// The exit status of `mpiexec`.
    ended: Option<i32>,
}

impl World {
    pub fn new(bells: Vec<Arc<EventFd>>, guard: &mut Child) -> Self {
        let size = bells.len();
        Self {
            state: Mutex::new(State {
                joined: (0..size).map(|_| None).collect(),
                lifeline: guard.stdin.take(),
                ..State::default()
            }),
            changed: Condvar::new(),
            bells,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn size(&self) -> usize {
        self.bells.len()
    }

    /// An engine has joined.
    pub fn joins(&self, rank: usize, joined: Joined) {
        let mut state = self.state();
        state.joined[rank] = Some(joined);
        state.has_begun = true;
        drop(state);
        let _ = self.bells[rank].write(1);
    }

    pub fn take(&self, rank: Rank) -> Option<Joined> {
        self.state().joined.get_mut(rank.0 as usize)?.take()
    }

    /// It cannot be used.
    pub fn refuse(&self, why: String) {
        self.state().refused.get_or_insert(why);
        self.kill();
    }

    /// The connection of one has ended.
    pub fn left(&self, rank: Rank) {
        let first = (rank, Instant::now());
        self.state().first.get_or_insert(first);
    }

    /// Has the guard end everything.
    pub fn kill(&self) {
        self.state().lifeline = None;
    }

    /// The same, when MPI does not end the others of one that has ended.
    pub fn end_if_late(&self) {
        let mut state = self.state();
        if state.first.is_some_and(|(_, at)| at.elapsed() > LATE) {
            state.lifeline = None;
        }
    }

    /// Something was printed.
    pub fn hears(&self, bytes: &[u8]) {
        let mut state = self.state();
        let room = MOST_SAID.saturating_sub(state.said.len());
        state.said.extend(bytes.iter().take(room));
    }

    /// What was printed by now, in short.
    pub fn said(&self) -> String {
        words::short(&String::from_utf8_lossy(&self.state().said))
    }

    /// The guard has ended, and with it everything.
    pub fn ends(&self, status: i32) {
        self.state().ended = Some(status);
        self.changed.notify_all();
        for bell in &self.bells {
            let _ = bell.write(1);
        }
    }

    pub fn has_ended(&self) -> bool {
        self.state().ended.is_some()
    }

    /// Waits for its end, and brings it about when it does not come.
    pub fn wait_for_end(&self, patience: Duration) {
        let goes_on = |state: &mut State| state.ended.is_none();
        let mut state = self.state();
        for patience in [patience, GUARD] {
            let waited = self.changed.wait_timeout_while(state, patience, goes_on);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.ended.is_some() {
                return;
            }
            state.lifeline = None;
        }
    }

    /// How one of them ended; `own`: as its parent has told.
    pub fn cause_of(&self, rank: Rank, own: Option<DeathCause>) -> DeathCause {
        let state = self.state();
        if let Some(why) = &state.refused {
            return DeathCause::Launcher { says: why.clone() };
        }
        let Some(status) = state.ended else {
            return DeathCause::Unknown;
        };
        let said = &String::from_utf8_lossy(&state.said);
        let seen = state.first.map(|(rank, _)| rank);
        let first = words::rank(said, self.size()).or(seen);
        match first.filter(|_| state.has_begun) {
            None => DeathCause::Launcher {
                says: words::summary(said, status),
            },
            Some(first) if first != rank => DeathCause::Together { first },
            // A parent that was ended with its engine has told nothing.
            Some(_) => own.unwrap_or_else(|| words::cause(said, status)),
        }
    }
}
