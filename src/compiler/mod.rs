//! The compiler room: the only importer of evcxr, which it uses as a pure compiler, and of rust-analyzer. It takes
//! code and the state of a namespace and gives an artifact and the state after it; running is the business of
//! engines. [`analysis`] tells what names there are and what they mean.
//!
//! Both live in a process of their own ([`process`]), which warms up while the user types the first cell; a
//! session asks it by messages. What stands in this file, with [`Analyst`], is the session's side.

pub mod analysis;
mod analyst;
mod artifact;
mod builds;
mod bundle;
mod carried;
mod cell_crate;
pub mod cleaner;
mod connection;
mod crates;
mod dependency;
mod diagnostics;
mod folder;
mod generated;
mod local_crates;
mod locked;
mod meaning;
mod message;
pub mod phrases;
pub mod process;
mod refusal;
pub mod relay;
mod rust_src;
mod served;
mod similar;
mod statics;
mod std_sources;
mod stderr;
mod template;
mod thread;
mod told;
pub mod toolchain;
pub mod tools;
pub mod warm;
pub mod wrapper;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Child;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::sync::{Arc, PoisonError, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

pub use analyst::Analyst;
pub use artifact::Artifact;
pub use cell_crate::KERNELS_PACKAGE;
use connection::{Awaited, Connection};
pub use dependency::Dependency;
pub use diagnostics::{Diagnostic, Extract, Place};
pub use generated::ENTRY;
pub use meaning::TABLE as MEMO_TABLE;
use message::{Beginning, Id, StateId, ToCompiler};
pub use refusal::is_full;
pub use stderr::Building;
use toolchain::Toolchain;

use crate::wire::Channel;

/// What is said of a compiler that dies while somebody waits for it.
const DIED: &str = "its process has died";

/// How long the end of a session waits for its compiler's process, which removes its folder.
const LAST_WORD: Duration = Duration::from_millis(2500);

/// The state of a namespace as the compiler knows it. Cloning shares it; it is freed with the last clone.
#[derive(Clone, Debug)]
pub struct State(Arc<StateHandle>);

#[derive(Debug)]
struct StateHandle {
    id: StateId,
    /// Types by variable name.
    variables: BTreeMap<String, String>,
    /// Where the compiler is that knows it.
    home: Weak<Connection>,
}

impl State {
    /// Whether these are clones of one state.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.0.variables
    }
}

/// A successful compilation.
#[derive(Clone, Debug)]
pub struct Compiled {
    pub artifact: Arc<Artifact>,
    /// The state after the cell, to be adopted when it has run.
    pub after: State,
}

#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
pub enum CompileError {
    /// rustc refuses the code.
    #[error("the cell does not compile")]
    Refused(Vec<Diagnostic>),
    /// Trouble around it: a crate that can't be fetched, a variable whose type can't be stored.
    #[error("{0}")]
    Trouble(String),
    #[error("interrupted")]
    Interrupted,
    #[error("the compiler is not available: {0}")]
    Unavailable(String),
}

/// What is compiled.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Source {
    /// Definitions that the namespace has not seen yet; before `code`, on lines of their own.
    pub prefix: String,
    /// The user's code.
    pub code: String,
    /// How often the names of definitions have changed.
    pub changes: BTreeMap<String, u64>,
}

/// A setting of all later compilations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Setting {
    /// `0` to `3`, `s`, `z`.
    OptLevel(String),
    /// Integer overflow checks and debug assertions.
    Checks(bool),
    /// For this host's processor alone, or for all of its architecture.
    NativeCpu(bool),
}

type Answer = Result<Compiled, CompileError>;

/// How the warm-up stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warmth {
    Warming,
    Ready,
    Failed(String),
}

/// The session's end of its compiler's process.
pub struct Compiler {
    /// `None` when it could not be started.
    home: Option<Arc<Connection>>,
    why_not: String,
    analyst: Analyst,
    toolchain: Toolchain,
    settings: Vec<Setting>,
    outlives: bool,
    building: Building,
    /// Of whoever waits for answers.
    waker: Waker,
    child: Option<Child>,
    /// A crate is in a folder of the user's, who may be editing it.
    has_local_crates: bool,
}

impl Compiler {
    /// Takes over a process that waits, or starts one, which is warm some seconds later. With `outlives` it may
    /// serve other sessions later. `waker`: of whoever waits for answers.
    pub fn start(toolchain: &Toolchain, outlives: bool, waker: Waker) -> Self {
        analysis::keep_panics_quiet();
        let building = Building::default();
        let (started, why_not) = match begin(toolchain, outlives, &building, &waker) {
            Ok(started) => (Some(started), String::new()),
            Err(error) => (None, format!("its process cannot be started: {error}")),
        };
        let (home, child) = started.unzip();
        Self {
            analyst: Analyst::new(home.clone()),
            home,
            why_not,
            building,
            waker,
            toolchain: toolchain.clone(),
            settings: Vec::new(),
            outlives,
            child: child.flatten(),
            has_local_crates: false,
        }
    }

    pub fn warmth(&self) -> Warmth {
        let failed = || Warmth::Failed(self.why_not.clone());
        self.home.as_ref().map_or_else(failed, |home| home.warmth())
    }

    /// Whether its process has died, by itself or by somebody's hand.
    pub fn has_died(&self) -> bool {
        self.home.as_ref().is_some_and(|home| home.ended())
    }

    /// Starts another process in the place of one that has died, in its folder; gives what is known of the end. No
    /// state of before is known there.
    pub fn start_again(&mut self) -> String {
        let ended = self.child.as_mut().and_then(|child| child.wait().ok());
        let estate = self.home.as_ref().and_then(|home| home.estate());
        let started = self.succeed(estate);
        match started {
            Ok((home, child)) => {
                self.analyst.moves(&home);
                (self.home, self.child) = (Some(home), Some(child));
            }
            Err(error) => {
                self.home = None;
                self.why_not = format!("its process cannot be started: {error}");
            }
        }
        ended.map_or_else(String::new, |status| format!(" ({status})"))
    }

    fn succeed(
        &self,
        estate: Option<(PathBuf, OwnedFd, Vec<String>)>,
    ) -> std::io::Result<(Arc<Connection>, Child)> {
        let mut beginning = Beginning {
            settings: self.settings.clone(),
            ..Beginning::default()
        };
        // It has what later sessions would not know, so it ends with this one.
        let sysroot = &self.toolchain.sysroot;
        let (socket, child) = match estate {
            Some((folder, held, crates)) => {
                beginning.adopts = true;
                beginning.crates = crates;
                process::start(sysroot, None, Some((&folder, held)))?
            }
            None => process::start(sysroot, None, None)?,
        };
        let home = welcome(socket, beginning, &self.building, &self.waker)?;
        Ok((home, child))
    }

    /// Whether the compiler that there is now knows the state.
    pub fn knows(&self, state: &State) -> bool {
        let home = self.home.as_ref().map(Arc::downgrade);
        home.is_some_and(|home| home.ptr_eq(&state.0.home))
    }

    /// The state without variables and definitions from which every namespace starts; there once the
    /// compiler is warm.
    pub fn root(&self) -> Option<State> {
        let root = self.home.as_ref()?.root();
        let root = root.lock().unwrap_or_else(PoisonError::into_inner);
        root.try_recv().ok()
    }

    /// Begins to compile `source` in a namespace.
    pub fn compile(&mut self, source: Source, state: &State) -> Pending {
        let state = state.0.id;
        self.ask(|id| ToCompiler::Compile { id, source, state })
    }

    /// Begins to forget variables that an engine has lost.
    pub fn forget(&mut self, names: Vec<String>, state: &State) -> Pending {
        let state = state.0.id;
        self.ask(|id| ToCompiler::Forget { id, names, state })
    }

    /// Begins to add a crate for all namespaces; the answer is a new root state.
    pub fn add_crate(&mut self, name: String, wanted: &Dependency) -> Pending {
        self.has_local_crates |= wanted.path().is_some();
        let config = wanted.to_string();
        self.ask(|id| ToCompiler::AddCrate { id, name, config })
    }

    /// Changes a setting for all later compilations.
    pub fn configure(&mut self, setting: Setting) -> Pending {
        self.settings.push(setting.clone());
        self.ask(|id| ToCompiler::Configure { id, setting })
    }

    /// Who knows names and their documentation.
    pub fn analyst(&self) -> &Analyst {
        &self.analyst
    }

    /// The crates that are built.
    pub fn building(&self) -> &Building {
        &self.building
    }

    /// Changes when the sources of a crate in a folder of the user's have changed since.
    pub fn local_sources(&self) -> u64 {
        match self.folder() {
            Some(folder) if self.has_local_crates => local_crates::stamp(folder),
            _ => 0,
        }
    }

    /// The version with which cells are built of a package, when cargo has locked one.
    pub fn locked(&self, package: &str) -> Option<String> {
        locked::version(&locked::lock(self.folder()?), package)
    }

    /// A folder for files that are gone with the session, however it ends.
    pub fn temporary(&self) -> Option<PathBuf> {
        self.folder().map(|folder| folder.join(builds::SESSION))
    }

    /// The compiler's own folder, once it has told where that is.
    fn folder(&self) -> Option<&PathBuf> {
        self.home.as_ref()?.folder()
    }

    fn ask(&self, question: impl FnOnce(Id) -> ToCompiler) -> Pending {
        let (answer, incoming) = channel();
        // When the process is gone, the answer's channel closes, which `Pending` reports.
        if let Some(home) = &self.home {
            home.ask(Awaited::Compiled(answer), question);
        }
        Pending {
            incoming,
            home: self.home.clone(),
        }
    }
}

impl Drop for Compiler {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            home.close();
        }
        // One that has come in the place of another stays for no other session.
        let Some(child) = self.child.as_mut().filter(|_| !self.outlives) else {
            return;
        };
        // When it takes longer, this process ends all the same, and the cleaner removes the folder.
        let since = Instant::now();
        while matches!(child.try_wait(), Ok(None)) && since.elapsed() < LAST_WORD {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A connection to a compiler, and its process if that is a child of this one.
fn begin(
    toolchain: &Toolchain,
    outlives: bool,
    building: &Building,
    waker: &Waker,
) -> std::io::Result<(Arc<Connection>, Option<Child>)> {
    // Without a place to wait at, a compiler ends with its session.
    let place =
        (|| outlives.then_some((warm::Shelf::find().ok()?, warm::Key::of(toolchain).ok()?)))();
    if let Some((shelf, key)) = &place
        && let Some((channel, socket, taken)) = warm::take(shelf, *key)
    {
        let home = Connection::start(
            channel,
            socket,
            Some(taken),
            building.clone(),
            waker.clone(),
        )?;
        return Ok((home, None));
    }
    let place = place.map(|(shelf, key)| shelf.folder().join(key.to_string()));
    let (socket, child) = process::start(&toolchain.sysroot, place.as_deref(), None)?;
    let home = welcome(socket, Beginning::default(), building, waker)?;
    Ok((home, Some(child)))
}

/// The connection to a compiler that has just been started.
fn welcome(
    socket: UnixStream,
    beginning: Beginning,
    building: &Building,
    waker: &Waker,
) -> std::io::Result<Arc<Connection>> {
    let channel = Channel::new(socket.try_clone()?);
    let home = Connection::start(channel, socket, None, building.clone(), waker.clone())?;
    home.tell(&ToCompiler::Begin(beginning));
    Ok(home)
}

/// A compilation under way.
pub struct Pending {
    incoming: Receiver<Answer>,
    home: Option<Arc<Connection>>,
}

impl Pending {
    /// The answer, when it is there.
    pub fn answer(&self) -> Option<Answer> {
        match self.incoming.try_recv() {
            Ok(answer) => Some(answer),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                Some(Err(CompileError::Unavailable(DIED.to_owned())))
            }
        }
    }

    /// Stops the compiler's child processes. Type inference can't be stopped, but nobody waits for it.
    pub fn interrupt(&self) {
        if let Some(folder) = self.home.as_ref().and_then(|home| home.folder()) {
            builds::stop(folder);
        }
    }
}
