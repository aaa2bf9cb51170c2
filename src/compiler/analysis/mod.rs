//! What an editor's language server would say: the names that can stand at a place, with their signatures and
//! documentation, and the types of variables. A rust-analyzer of its own answers on a thread of its own, also while
//! a cell is compiled; it is loaded beside the first cells, which mostly need none of it.
//!
//! evcxr has one too, but gives nobody access to it: it reads no standard library, so that it is there at once.

mod docs;
mod expand;
mod markup;
mod names;
mod scene;
mod types;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

pub use docs::{Found, Question};
pub use expand::expanded;
pub use names::{Kind, Name};
pub use scene::{Place, Scene, Scenes};

use super::builds::ANALYSIS;
use super::process::Reply;
use super::told::Bound;
use super::{cell_crate, std_sources};
use world::World;

/// How often it is looked whether the libraries are loaded.
const GLANCE: Duration = Duration::from_millis(20);
/// What is read ahead gives way to whatever else wants the processor.
const NICENESS: i32 = 15;
/// rust-analyzer recurses over syntax trees and types.
const STACK: usize = 64 << 20;
/// The name of its threads. A panic of rust-analyzer is a question without an answer, and told to nobody.
const THREAD: &str = "analysis";

enum Request {
    /// The prompt waits for keys: that is the time to take over new crates.
    Prompt,
    Types {
        text: String,
        answer: Sender<Types>,
    },
    Names {
        place: Place,
        answer: Reply<Vec<Name>>,
    },
    Docs {
        question: Question,
        answer: Reply<Result<Found, String>>,
    },
}

/// Of each `let` statement what it binds; `None` when that can't be told, an error when nothing can be told of any.
type Types = Result<Option<Vec<Vec<Bound>>>, String>;

/// Asks the analysis. Clones ask the same one.
#[derive(Clone)]
pub(super) struct Analysis {
    requests: Sender<Request>,
    scenes: Arc<Mutex<Scenes>>,
}

impl Analysis {
    /// Starts the thread, which begins to load. `folder` is the compiler's own.
    pub(super) fn start(folder: &Path) -> Self {
        let (requests, incoming) = channel();
        let scenes = Arc::new(Mutex::new(Scenes::default()));
        let server = Server {
            build: folder.join("build"),
            folder: folder.join(ANALYSIS),
            scenes: scenes.clone(),
            world: Loading::Asleep,
            warmed: 0,
            warming: None,
            waiting: Vec::new(),
            untold: Vec::new(),
        };
        // Without the thread every question goes without an answer.
        let _ = std::thread::Builder::new()
            .name(THREAD.to_owned())
            .stack_size(STACK)
            .spawn(move || server.serve(&incoming));
        Self { requests, scenes }
    }

    /// What can be named from now on.
    pub(super) fn set_scenes(&self, scenes: Scenes) {
        *self.scenes.lock().unwrap_or_else(PoisonError::into_inner) = scenes;
    }

    /// Says that the prompt waits for keys.
    pub(super) fn prompt(&self) {
        let _ = self.requests.send(Request::Prompt);
    }

    /// What the `let` statements bind in a cell that evcxr has laid out as `text`. The first time all libraries
    /// must have been read, which takes seconds.
    pub(super) fn types(&self, text: String) -> Types {
        let (answer, incoming) = channel();
        let asked = self.requests.send(Request::Types { text, answer });
        // Without the thread there is no answer.
        asked.map_or(Ok(None), |()| incoming.recv().unwrap_or(Ok(None)))
    }

    /// The names that can stand at a place. There is no answer while the libraries are read.
    pub(super) fn names(&self, place: Place, answer: Reply<Vec<Name>>) {
        // When the thread is gone, the session is told that there is no answer.
        let _ = self.requests.send(Request::Names { place, answer });
    }

    /// Looks something up. The first time all libraries must have been read, which takes seconds.
    pub(super) fn docs(&self, question: Question, answer: Reply<Result<Found, String>>) {
        let _ = self.requests.send(Request::Docs { question, answer });
    }
}

enum Loading {
    Asleep,
    Underway(JoinHandle<Result<World, String>>),
    Ready(Box<World>),
    Failed(String),
}

struct Server {
    build: PathBuf,
    folder: PathBuf,
    scenes: Arc<Mutex<Scenes>>,
    world: Loading,
    /// How many of the common places have been looked at since.
    warmed: usize,
    warming: Option<JoinHandle<bool>>,
    /// Questions that wait for the libraries.
    waiting: Vec<(Question, Reply<Result<Found, String>>)>,
    /// Cells that wait for them.
    untold: Vec<(String, Sender<Types>)>,
}

impl Server {
    fn serve(mut self, incoming: &Receiver<Request>) {
        self.load();
        loop {
            let watches = matches!(self.world, Loading::Underway(_)) || self.warming.is_some();
            let request = if watches {
                match incoming.recv_timeout(GLANCE) {
                    Ok(request) => Some(request),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            } else {
                match incoming.recv() {
                    Ok(request) => Some(request),
                    Err(_) => return,
                }
            };
            let mut requests: Vec<Request> =
                request.into_iter().chain(incoming.try_iter()).collect();
            self.look();
            while !requests.is_empty() {
                let request = requests.remove(0);
                let outdated = matches!(request, Request::Names { .. })
                    && requests
                        .iter()
                        .any(|later| matches!(later, Request::Names { .. }));
                // Nobody waits any longer for the names at an earlier key.
                if !outdated {
                    self.answer(request);
                }
            }
            self.look();
            self.warm();
        }
    }

    fn answer(&mut self, request: Request) {
        match request {
            Request::Prompt => self.refresh(),
            Request::Types { text, answer } => self.untold.push((text, answer)),
            Request::Names { place, answer } => {
                let Loading::Ready(world) = &mut self.world else {
                    return;
                };
                let scenes = self
                    .scenes
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone();
                if let Ok(names) = quietly(|| names::at(world, &scenes, &place)) {
                    answer.send(names);
                }
            }
            Request::Docs { question, answer } => self.waiting.push((question, answer)),
        }
    }

    /// Does what it is time for: load, take over what was loaded, answer who waited for it.
    fn look(&mut self) {
        let wanted = !self.waiting.is_empty() || !self.untold.is_empty();
        if matches!(self.world, Loading::Asleep | Loading::Failed(_)) && wanted {
            self.load();
        }
        if let Loading::Underway(thread) = &self.world
            && thread.is_finished()
            && let Loading::Underway(thread) = std::mem::replace(&mut self.world, Loading::Asleep)
        {
            self.world = match thread.join() {
                Ok(Ok(world)) => Loading::Ready(Box::new(world)),
                Ok(Err(why)) => Loading::Failed(why),
                Err(_) => Loading::Failed("rust-analyzer gave up on the libraries".to_owned()),
            };
        }
        match &self.world {
            Loading::Asleep | Loading::Underway(_) => {}
            Loading::Failed(why) => {
                for (_, answer) in self.waiting.drain(..) {
                    answer.send(Err(why.clone()));
                }
                for (_, answer) in self.untold.drain(..) {
                    // A session that has been interrupted no longer waits.
                    let _ = answer.send(Err(why.clone()));
                }
            }
            Loading::Ready(_) => {
                self.tell();
                self.look_up();
            }
        }
    }

    fn tell(&mut self) {
        if self.untold.is_empty() {
            return;
        }
        self.refresh();
        let Loading::Ready(world) = &mut self.world else {
            return;
        };
        for (text, answer) in self.untold.drain(..) {
            let told = quietly(|| types::of(world, text));
            // A session that has been interrupted no longer waits.
            let _ = answer.send(Ok(told.ok().flatten()));
        }
    }

    fn look_up(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        self.refresh();
        let scenes = self
            .scenes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Loading::Ready(world) = &mut self.world else {
            return;
        };
        for (question, answer) in self.waiting.drain(..) {
            let found = quietly(|| docs::look_up(world, &scenes, &question));
            let gave_up = || "rust-analyzer gave up on it".to_owned();
            answer.send(found.map_err(|()| gave_up()));
        }
    }

    /// Begins to load.
    fn load(&mut self) {
        let (build, folder) = (self.build.clone(), self.folder.clone());
        let loader = std::thread::Builder::new()
            .name(THREAD.to_owned())
            .stack_size(STACK)
            .spawn(move || {
                let own = cell_crate::own(&build);
                let own =
                    own.map_err(|error| format!("the cells' crates cannot be written: {error}"))?;
                let crates: String = own
                    .iter()
                    .map(|(name, config)| format!("{name} = {config}\n"))
                    .collect();
                let library = std_sources::obtain();
                let mut world = World::load(&crates, &library, &folder)?;
                // One that knows nothing of the standard library would stay so; the next question loads another.
                match types::prepare(&mut world) || !std_sources::has_content(&library) {
                    true => Ok(world),
                    false => Err(format!("{} cannot be read", library.display())),
                }
            });
        self.world = match loader {
            Ok(thread) => Loading::Underway(thread),
            Err(error) => Loading::Failed(error.to_string()),
        };
    }

    /// Reads on what the next questions will need, for as long as there is none.
    fn warm(&mut self) {
        let ended = self.warming.take_if(|thread| thread.is_finished());
        // Where rust-analyzer gives up, it would again.
        if let Some(Ok(true) | Err(_)) = ended.map(JoinHandle::join) {
            self.warmed += 1;
        }
        let Loading::Ready(world) = &mut self.world else {
            return;
        };
        let next = names::COMMON.get(self.warmed);
        if let Some(code) = next.filter(|_| self.warming.is_none()) {
            let work = names::warm(world, code);
            let thread = std::thread::Builder::new()
                .name(THREAD.to_owned())
                .stack_size(STACK)
                .spawn(move || {
                    politely();
                    work()
                });
            // Without one, the first questions take longer.
            self.warming = thread.ok();
        }
    }

    /// Takes over crates that were added since.
    fn refresh(&mut self) {
        let Loading::Ready(world) = &mut self.world else {
            return;
        };
        // With the crates that were there before, if need be.
        let changed = quietly(|| world.refresh(&self.build, &self.folder));
        if matches!(changed, Ok(Ok(true))) {
            self.warmed = 0;
        }
    }
}

/// Lets whatever else wants the processor go before this thread.
fn politely() {
    // Only politeness depends on it.
    let _ = rustix::process::setpriority_process(None, NICENESS);
}

/// rust-analyzer panics on some code; that costs an answer, not the session.
fn quietly<T>(work: impl FnOnce() -> T) -> Result<T, ()> {
    catch_unwind(AssertUnwindSafe(work)).map_err(drop)
}

/// A panic's message would stand in the middle of what is typed.
pub(super) fn keep_panics_quiet() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() != Some(THREAD) {
            usual(panic);
        }
    }));
}
