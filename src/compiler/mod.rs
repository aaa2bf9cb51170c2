//! The compiler room: the only importer of evcxr, which it uses as a pure compiler, and of rust-analyzer. It takes
//! code and the state of a namespace and gives an artifact and the state after it; running is the business of
//! engines. [`analysis`] tells what names there are and what they mean.
//!
//! The context (one rust-analyzer for all namespaces) lives on a thread of its own, which warms it up while
//! the user types the first cell.

pub mod analysis;
mod builds;
mod bundle;
mod cell_crate;
pub mod cleaner;
mod diagnostics;
mod generated;
mod local_crates;
mod locked;
pub mod relay;
mod rust_src;
mod similar;
mod statics;
mod std_sources;
mod stderr;
mod template;
mod thread;
mod told;
pub mod toolchain;
pub mod tools;
pub mod wrapper;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use analysis::Analyst;
pub use diagnostics::{Diagnostic, Extract, Place};
pub use stderr::{Building, Silenced, silence};
pub use thread::is_full;

/// How long the end of a session waits for the compiler thread.
const LAST_WORD: Duration = Duration::from_millis(500);

/// A cell compiled to a shared object.
#[derive(Debug, PartialEq, Eq)]
pub struct Artifact {
    pub so: PathBuf,
    /// The entry function's symbol.
    pub entry: String,
    /// The generated source, whose lines a panic's place is one of.
    pub source: String,
}

/// The state of a namespace as the compiler knows it. Cloning shares it; it is freed with the last clone.
#[derive(Clone, Debug)]
pub struct State(Arc<StateHandle>);

#[derive(Debug)]
struct StateHandle {
    id: u64,
    /// Types by variable name.
    variables: BTreeMap<String, String>,
    free: Sender<Request>,
}

impl State {
    #[must_use]
    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.0.variables
    }
}

impl Drop for StateHandle {
    fn drop(&mut self) {
        // A compiler thread that is gone has freed everything.
        let _ = self.free.send(Request::Free(self.id));
    }
}

/// A successful compilation.
#[derive(Clone, Debug)]
pub struct Compiled {
    pub artifact: Arc<Artifact>,
    /// The state after the cell, to be adopted when it has run.
    pub after: State,
}

#[derive(Debug, thiserror::Error)]
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
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// Definitions that the namespace has not seen yet; before `code`, on lines of their own.
    pub prefix: String,
    /// The user's code.
    pub code: String,
    /// How often the names of definitions have changed: `name=count` each, with commas between them.
    pub changes: String,
}

enum Request {
    Compile {
        source: Source,
        state: u64,
        answer: Sender<Answer>,
    },
    /// The state without these variables.
    Forget {
        names: Vec<String>,
        state: u64,
        answer: Sender<Answer>,
    },
    AddCrate {
        name: String,
        config: String,
        answer: Sender<Answer>,
    },
    Configure {
        setting: Setting,
        answer: Sender<Answer>,
    },
    Free(u64),
    Quit,
}

/// A setting of all later compilations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// `0` to `3`, `s`, `z`.
    OptLevel(String),
    /// Integer overflow checks and debug assertions.
    Checks(bool),
}

type Answer = Result<Compiled, CompileError>;

/// How the warm-up stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warmth {
    Warming,
    Ready,
    Failed(String),
}

/// The session's end of the compiler thread.
pub struct Compiler {
    requests: Sender<Request>,
    warmth: Arc<Mutex<Warmth>>,
    root: Mutex<Option<Receiver<State>>>,
    analyst: Analyst,
    folder: PathBuf,
    thread: Option<std::thread::JoinHandle<()>>,
    builds: u64,
    /// A crate is in a folder of the user's, who may be editing it.
    has_local_crates: bool,
}

impl Compiler {
    /// Starts the thread; the context is warm some seconds later. `folder` is the session's own, and the
    /// cleaner process removes it when the session has ended, however it ended.
    pub fn start(folder: PathBuf) -> Self {
        let (requests, incoming) = channel();
        let (root_out, root) = channel();
        let warmth = Arc::new(Mutex::new(Warmth::Warming));
        let analyst = Analyst::start(&folder);
        let thread = std::thread::Builder::new()
            .name("compiler".to_owned())
            // evcxr and rust-analyzer recurse over syntax trees.
            .stack_size(64 << 20)
            .spawn({
                let (warmth, free, folder) = (warmth.clone(), requests.clone(), folder.clone());
                let analyst = analyst.clone();
                move || {
                    let ended =
                        thread::serve(&folder, &analyst, &incoming, &free, &root_out, &warmth);
                    if let Err(why) = ended {
                        *warmth.lock().unwrap_or_else(PoisonError::into_inner) =
                            Warmth::Failed(why);
                    }
                }
            });
        if let Err(error) = &thread {
            *warmth.lock().unwrap_or_else(PoisonError::into_inner) =
                Warmth::Failed(error.to_string());
        }
        let root = Mutex::new(Some(root));
        Self {
            requests,
            warmth,
            root,
            analyst,
            folder,
            thread: thread.ok(),
            builds: 0,
            has_local_crates: false,
        }
    }

    #[must_use]
    pub fn warmth(&self) -> Warmth {
        self.warmth
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The state without variables and definitions from which every namespace starts; there once the
    /// compiler is warm.
    pub fn root(&self, patience: Duration) -> Option<State> {
        let root = self.root.lock().unwrap_or_else(PoisonError::into_inner);
        root.as_ref()?.recv_timeout(patience).ok()
    }

    /// Begins to compile `source` in a namespace.
    pub fn compile(&mut self, source: Source, state: &State) -> Pending {
        self.builds += 1;
        let state_id = state.0.id;
        self.ask(|answer| Request::Compile {
            source,
            state: state_id,
            answer,
        })
    }

    /// Begins to forget variables that an engine has lost.
    pub fn forget(&mut self, names: Vec<String>, state: &State) -> Pending {
        self.builds += 1;
        let state_id = state.0.id;
        self.ask(|answer| Request::Forget {
            names,
            state: state_id,
            answer,
        })
    }

    /// Begins to add a crate for all namespaces; the answer is a new root state.
    pub fn add_crate(&mut self, name: String, config: String) -> Pending {
        self.has_local_crates |= config.contains("path");
        self.ask(|answer| Request::AddCrate {
            name,
            config,
            answer,
        })
    }

    /// Changes a setting for all later compilations.
    pub fn configure(&mut self, setting: Setting) -> Pending {
        self.ask(|answer| Request::Configure { setting, answer })
    }

    /// Who knows names and their documentation.
    #[must_use]
    pub fn analyst(&self) -> &Analyst {
        &self.analyst
    }

    /// How often something was compiled in this session.
    #[must_use]
    pub fn builds(&self) -> u64 {
        self.builds
    }

    /// Changes when the sources of a crate in a folder of the user's have changed since.
    #[must_use]
    pub fn local_sources(&self) -> u64 {
        if self.has_local_crates {
            local_crates::stamp(&self.folder)
        } else {
            0
        }
    }

    fn ask(&self, request: impl FnOnce(Sender<Answer>) -> Request) -> Pending {
        let (answer, incoming) = channel();
        // When the thread is gone, the answer's channel closes, which `Pending` reports.
        let _ = self.requests.send(request(answer));
        Pending {
            incoming,
            folder: self.folder.clone(),
            since: Instant::now(),
        }
    }
}

impl Drop for Compiler {
    fn drop(&mut self) {
        let _ = self.requests.send(Request::Quit);
        builds::kill(&self.folder);
        let Some(thread) = self.thread.take() else {
            return;
        };
        // Type inference can't be stopped. When it takes longer, the process ends all the same, and the
        // cleaner removes the folder.
        let since = Instant::now();
        while !thread.is_finished() && since.elapsed() < LAST_WORD {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A compilation under way.
pub struct Pending {
    incoming: Receiver<Answer>,
    folder: PathBuf,
    since: Instant,
}

impl Pending {
    /// The answer, when it is there within `patience`.
    pub fn wait(&self, patience: Duration) -> Option<Answer> {
        match self.incoming.recv_timeout(patience) {
            Ok(answer) => Some(answer),
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => None,
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => Some(Err(
                CompileError::Unavailable("its thread has ended; start regatta again".to_owned()),
            )),
        }
    }

    /// Time since the request.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// Stops the compiler's child processes. Type inference can't be stopped, but nobody waits for it.
    pub fn interrupt(&self) {
        builds::kill(&self.folder);
    }
}
