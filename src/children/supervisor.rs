//! The supervisor: a thread that waits for what children print, for their ends and for times, and the ways in which the
//! rest of the session asks it for something.

mod crowd;
mod round;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::census::Census;
use super::launch::{NotStarted, Program};
use super::machine::Restart;
use super::named::chosen;
use super::one::One;
use super::tail::Tail;
use crate::outcome::{About, ChildLine, ChildState};
use crowd::Crowd;
pub use crowd::{MOST, Taken};

/// A child, and lines of what it has printed.
pub type Lines = (String, Vec<ChildLine>);

/// How long children have to end with the session before they are killed, and then to be gone.
const LAST_GRACE: Duration = Duration::from_millis(1000);

/// What is to be started.
#[derive(Clone, Debug)]
pub struct Request {
    pub name: Option<String>,
    pub count: u32,
    pub restart: Restart,
    /// What they print is kept and not shown.
    pub quiet: bool,
    /// They do not end with the session.
    pub detach: bool,
    /// Who starts them.
    pub about: About,
    pub program: Program,
}

/// A child that has started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    pub number: u64,
    pub name: String,
    pub pid: u32,
    /// Where it prints to, when it lives on.
    pub prints_to: Option<PathBuf>,
}

/// Why nothing was started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("a child `{0}` is there already")]
    Taken(String),
    #[error("{0} children are too many: there can be {MOST}")]
    TooMany(u64),
    #[error("what `{name}` prints cannot be written to a file: {why}")]
    NoFile { name: String, why: String },
    #[error(transparent)]
    NotStarted(#[from] NotStarted),
    #[error("children cannot be followed: {0}")]
    System(String),
}

/// A child at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    pub number: u64,
    pub name: String,
    pub pid: u32,
    pub state: ChildState,
    pub cpu: Duration,
    /// Resident memory of its process group in bytes.
    pub memory: u64,
    /// Of its last process.
    pub ran: Duration,
    pub restarts: u32,
    pub detached: bool,
    /// Its process stands still until SIGCONT.
    pub suspended: bool,
    pub last_line: String,
}

struct Shared {
    crowd: Mutex<Crowd>,
    /// A child is over.
    changed: Condvar,
    /// Ends the thread's wait.
    bell: EventFd,
    /// Ends the session's.
    waker: Waker,
}

impl Shared {
    fn crowd(&self) -> MutexGuard<'_, Crowd> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        // The counter is full when it has been rung more often than anybody can.
        let _ = self.bell.write(1);
    }
}

/// All children of a session. Clones are of the same.
#[derive(Clone)]
pub struct Supervisor {
    shared: Arc<Shared>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Supervisor {
    /// None yet; `waker` is woken when there is something to tell.
    pub fn new(waker: Waker) -> std::io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let bell = EventFd::from_flags(flags)?;
        Ok(Self {
            shared: Arc::new(Shared {
                crowd: Mutex::new(Crowd::default()),
                changed: Condvar::new(),
                bell,
                waker,
            }),
            thread: Arc::default(),
        })
    }

    fn crowd(&self) -> MutexGuard<'_, Crowd> {
        self.shared.crowd()
    }

    /// The thread, which a session without children does not need.
    fn begin(&self) -> std::io::Result<()> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            let shared = self.shared.clone();
            let name = "children".to_owned();
            let started = std::thread::Builder::new()
                .name(name)
                .spawn(move || round::run(&shared))?;
            *thread = Some(started);
        }
        Ok(())
    }

    /// How the environment of children to come differs from this process's.
    pub fn set_environment(&self, changed: Vec<(String, Option<OsString>)>) {
        self.crowd().environment = changed;
    }

    /// Whether what children print too fast to be shown is left out; otherwise they wait.
    pub fn set_lossy(&self, lossy: bool) {
        self.crowd().lossy = lossy;
    }

    /// From now on only what children of these names print is shown, also of quiet ones; gives their last lines before
    /// that, and the files of those that print to one.
    pub fn follow(&self, names: &[&str], lines: usize) -> (Vec<Lines>, Vec<(String, Tail)>) {
        let mut crowd = self.crowd();
        crowd.only = names.iter().map(ToString::to_string).collect();
        let (mut printed, mut tails) = (Vec::new(), Vec::new());
        for name in names {
            // What waits to be shown is among the last lines.
            crowd.drop_lines(name);
            for one in crowd.children.iter().filter(|one| chosen(name, &one.name)) {
                let last = match &one.prints_to {
                    Some(file) => {
                        let (tail, last) = Tail::begin(file, one.prints_from, lines);
                        tails.push((one.name.clone(), tail));
                        last
                    }
                    None => one.last(lines),
                };
                printed.push((one.name.clone(), last));
            }
        }
        (printed, tails)
    }

    /// What all children print is shown again.
    pub fn follow_none(&self) {
        self.crowd().only.clear();
    }

    /// Starts children, all of them or none.
    ///
    /// # Errors
    /// When one cannot be started.
    pub fn spawn(&self, request: Request) -> Result<Vec<Child>, Refused> {
        self.begin()
            .map_err(|error| Refused::System(error.to_string()))?;
        let started = self.crowd().spawn(request);
        self.shared.ring();
        started
    }

    /// Names of all children, in the order of their starts.
    pub fn names(&self) -> Vec<String> {
        let crowd = self.crowd();
        crowd.children.iter().map(|one| one.name.clone()).collect()
    }

    /// Those that one of these names means as they are now, in the order of their starts.
    pub fn statuses(&self, wanted: &[&str]) -> Vec<Status> {
        let crowd = self.crowd();
        let is_wanted = |one: &&One| wanted.iter().any(|name| chosen(name, &one.name));
        let mut all = crowd.children.iter().filter(is_wanted).peekable();
        if all.peek().is_none() {
            return Vec::new();
        }
        let census = Census::take();
        all.map(|one| one.status(&census)).collect()
    }

    /// The states of those, which takes no look at their processes.
    pub fn states(&self, wanted: &str) -> Vec<(String, ChildState)> {
        let crowd = self.crowd();
        let all = crowd
            .children
            .iter()
            .filter(|one| chosen(wanted, &one.name));
        all.map(|one| (one.name.clone(), one.state())).collect()
    }

    /// Those of a name that live on when the session ends.
    pub fn detached(&self, wanted: &str) -> Vec<String> {
        let crowd = self.crowd();
        let lives_on = |one: &&One| one.prints_to.is_some() && chosen(wanted, &one.name);
        let all = crowd.children.iter().filter(lives_on);
        all.map(|one| one.name.clone()).collect()
    }

    /// Forgets those that one of these names means and that are over; how many there were.
    pub fn forget(&self, wanted: &[&str]) -> usize {
        let mut crowd = self.crowd();
        let before = crowd.children.len();
        crowd.children.retain(|one| {
            let is_wanted = wanted.iter().any(|name| chosen(name, &one.name));
            !(is_wanted && one.state().is_over())
        });
        before - crowd.children.len()
    }

    /// Names of those that end with the session and have not ended.
    pub fn running(&self) -> Vec<String> {
        let crowd = self.crowd();
        let lives = |one: &&One| !one.state().is_over() && one.prints_to.is_none();
        let running = crowd.children.iter().filter(lives);
        running.map(|one| one.name.clone()).collect()
    }

    /// Tells those that a name means to end; how many there were to tell.
    pub fn stop(&self, wanted: &str, grace: Duration) -> usize {
        let told = self
            .crowd()
            .stop(&|one| chosen(wanted, &one.name), grace, Instant::now());
        self.shared.ring();
        told
    }

    /// The last lines of those that a name means, child by child.
    pub fn lines(&self, wanted: &str, lines: usize) -> Vec<Lines> {
        self.crowd().last_lines(wanted, lines)
    }

    /// What there is to show.
    pub fn take(&self) -> Vec<Taken> {
        let mut crowd = self.crowd();
        let (taken, paused) = crowd.take();
        drop(crowd);
        if paused {
            self.shared.ring();
        }
        taken
    }

    /// The state of one, by its number; `None` when another one has its name by now.
    pub fn state(&self, number: u64) -> Option<(ChildState, u32)> {
        let crowd = self.crowd();
        let one = crowd.children.iter().find(|one| one.number == number)?;
        Some((one.state(), one.pid))
    }

    /// The same of one, by its number.
    pub fn stop_one(&self, number: u64, grace: Duration) {
        let now = Instant::now();
        self.crowd().stop(&|one| one.number == number, grace, now);
        self.shared.ring();
    }

    /// Waits until the child of this number is over, at most a moment; its state then.
    pub fn await_change(&self, number: u64, moment: Duration) -> Option<(ChildState, u32)> {
        let state = self.state(number)?;
        if state.0.is_over() {
            return Some(state);
        }
        let crowd = self.crowd();
        drop(self.shared.changed.wait_timeout(crowd, moment));
        self.state(number)
    }

    /// The last lines of one, by its number.
    pub fn lines_of(&self, number: u64, lines: usize) -> Vec<String> {
        let crowd = self.crowd();
        let one = crowd.children.iter().find(|one| one.number == number);
        let last = one.map(|one| one.last(lines)).unwrap_or_default();
        last.into_iter().map(|line| line.text).collect()
    }

    /// Ends all that end with the session.
    pub fn close(&self) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(thread) = thread.take() else {
            return;
        };
        let mut crowd = self.crowd();
        crowd.close(LAST_GRACE, Instant::now());
        drop(crowd);
        self.shared.ring();
        let _ = thread.join();
    }
}
