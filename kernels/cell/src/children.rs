//! Children from code: programs of any language that the session starts and keeps track of, as `%spawn` does. They belong
//! to the session, not to the engine that asks for them: they outlive the cell, and end with the session.
//!
//! ```ignore
//! let child = children::spawn(&["python3", "child.py"]);
//! assert!(child.wait().is_ok());
//! ```

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::host::{Bytes, bytes_of, host, packed};

/// A program on its way to be started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    pub words: Vec<String>,
    pub name: Option<String>,
    pub count: u32,
    pub restart: Restart,
    pub folder: Option<String>,
    pub environment: Vec<(String, String)>,
    pub quiet: bool,
}

/// Whether a child that has ended by itself is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Restart {
    #[default]
    Never,
    Always,
    /// When it failed, at most so many times.
    OnFailure(u32),
}

/// How a child is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    Running,
    /// Its process has ended, and the next one starts after a while.
    Restarting,
    /// It was told to end.
    Stopping,
    Over(Exit),
}

/// How a child has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    Code(i32),
    Signal(i32),
    /// It was told to end, and has.
    Stopped,
    /// It could not be started again, or is forgotten.
    Lost,
}

impl Exit {
    /// Whether it ended by itself with exit code 0.
    #[must_use]
    pub fn is_ok(self) -> bool {
        self == Self::Code(0)
    }
}

/// Why nothing was started, or the session cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error(pub String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// A child of the session's; a plain value, which may go to other engines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Child {
    number: u64,
    name: String,
    pid: u32,
}

/// What the session is asked for.
#[doc(hidden)]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Call {
    Spawn(Program),
    State(u64),
    /// Until it is over, at most so many milliseconds.
    Wait(u64, Option<u64>),
    Stop(u64),
    /// Its last lines.
    Lines(u64, u64),
}

#[doc(hidden)]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// Number, name and process id of each.
    Spawned(Vec<(u64, String, u32)>),
    /// And its process id.
    State(State, u32),
    Lines(Vec<String>),
    Refused(Error),
    Interrupted,
}

/// Starts a program with its arguments; no shell is needed.
///
/// # Panics
/// When it cannot be started; [`Program::try_spawn`] gives the error instead.
#[track_caller]
pub fn spawn<S: AsRef<str>>(words: &[S]) -> Child {
    program(words).spawn()
}

/// A program with its arguments, and what else is to be said before it is started.
pub fn program<S: AsRef<str>>(words: &[S]) -> Program {
    Program {
        words: words.iter().map(|word| word.as_ref().to_owned()).collect(),
        count: 1,
        ..Program::default()
    }
}

impl Program {
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The folder in which it runs; the session's else.
    #[must_use]
    pub fn cwd(mut self, folder: impl Into<String>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    #[must_use]
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// What it prints is kept and not shown.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    #[must_use]
    pub fn spawn(self) -> Child {
        match self.try_spawn() {
            Ok(child) => child,
            Err(error) => panic!("{error}"),
        }
    }

    /// # Errors
    /// When it cannot be started.
    pub fn try_spawn(self) -> Result<Child, Error> {
        let mut all = Self { count: 1, ..self }.started()?;
        all.pop().ok_or_else(answered_else)
    }

    /// Starts so many, each with a rank of its own.
    ///
    /// # Panics
    /// When one of them cannot be started; then none is.
    #[track_caller]
    #[must_use]
    pub fn spawn_many(self, count: u32) -> Vec<Child> {
        match (Self { count, ..self }).started() {
            Ok(children) => children,
            Err(error) => panic!("{error}"),
        }
    }

    fn started(self) -> Result<Vec<Child>, Error> {
        match call(&Call::Spawn(self)) {
            Reply::Spawned(all) => Ok(all
                .into_iter()
                .map(|(number, name, pid)| Child { number, name, pid })
                .collect()),
            Reply::Refused(error) => Err(error),
            Reply::Interrupted => Err(Error("interrupted before it was started".to_owned())),
            _ => Err(answered_else()),
        }
    }
}

impl Child {
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id; that of the next process when it has been started again.
    #[must_use]
    pub fn pid(&self) -> u32 {
        match call(&Call::State(self.number)) {
            Reply::State(_, pid) => pid,
            _ => self.pid,
        }
    }

    #[must_use]
    pub fn state(&self) -> State {
        match call(&Call::State(self.number)) {
            Reply::State(state, _) => state,
            _ => State::Over(Exit::Lost),
        }
    }

    /// Waits until it is over.
    ///
    /// # Panics
    /// On Ctrl-C.
    #[track_caller]
    pub fn wait(&self) -> Exit {
        match self.waited(None) {
            State::Over(exit) => exit,
            _ => Exit::Lost,
        }
    }

    /// The same, at most so long.
    ///
    /// # Panics
    /// On Ctrl-C.
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> Option<Exit> {
        let milliseconds = u64::try_from(timeout.as_millis()).ok();
        match self.waited(milliseconds) {
            State::Over(exit) => Some(exit),
            _ => None,
        }
    }

    #[track_caller]
    fn waited(&self, milliseconds: Option<u64>) -> State {
        match call(&Call::Wait(self.number, milliseconds)) {
            Reply::State(state, _) => state,
            Reply::Interrupted => panic!("interrupted: waiting for {}", self.name),
            _ => State::Over(Exit::Lost),
        }
    }

    /// Ends it, with all that it has started: SIGTERM, and SIGKILL after five seconds. It waits for the end.
    pub fn stop(&self) -> Exit {
        match call(&Call::Stop(self.number)) {
            Reply::State(State::Over(exit), _) => exit,
            _ => Exit::Lost,
        }
    }

    /// The last lines that it has printed.
    #[must_use]
    pub fn lines(&self, count: usize) -> Vec<String> {
        match call(&Call::Lines(self.number, count as u64)) {
            Reply::Lines(lines) => lines,
            _ => Vec::new(),
        }
    }
}

fn answered_else() -> Error {
    Error("the session has answered something else".to_owned())
}

fn call(call: &Call) -> Reply {
    let asked = packed(call);
    let bytes = bytes_of(|to, write| (host().children)(Bytes::of(&asked), to, write));
    postcard::from_bytes(&bytes).unwrap_or_else(|error| Reply::Refused(Error(error.to_string())))
}
