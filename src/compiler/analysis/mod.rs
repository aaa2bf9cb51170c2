//! What an editor's language server would say: the names that can stand at a place, with their signatures and
//! documentation. A rust-analyzer of its own answers on a thread of its own, also while a cell is compiled; it
//! is loaded while the prompt is idle, or when it is asked for the first time.
//!
//! evcxr has one too, but gives nobody access to it, and it is busy while a cell compiles.

mod docs;
mod expand;
mod markup;
mod names;
mod scene;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use docs::{Found, Question};
pub use expand::expanded;
pub use names::{Kind, Name};
pub use scene::{Place, Scene, Scenes};

use super::Warmth;
use world::World;

/// How long the prompt is idle before the libraries are loaded.
const IDLE: Duration = Duration::from_millis(1000);
/// How often it is looked whether that is so, and whether they are loaded.
const GLANCE: Duration = Duration::from_millis(100);
/// Loading gives way to whatever else wants the processor.
const NICENESS: i32 = 15;
/// rust-analyzer recurses over syntax trees and types.
const STACK: usize = 64 << 20;
/// The name of its threads. A panic of rust-analyzer is a question without an answer, and told to nobody.
const THREAD: &str = "analysis";

enum Request {
    /// Whether the prompt waits for keys.
    Prompt(bool),
    Names {
        place: Place,
        answer: Sender<Vec<Name>>,
    },
    Docs {
        question: Question,
        answer: Sender<Result<Found, String>>,
    },
}

/// Asks the analysis. Clones ask the same one.
#[derive(Clone)]
pub struct Analyst {
    requests: Sender<Request>,
    scenes: Arc<Mutex<Scenes>>,
}

impl Analyst {
    /// Starts the thread, which loads nothing yet. `folder` is the session's own.
    pub(super) fn start(folder: &Path, warmth: Arc<Mutex<Warmth>>) -> Self {
        keep_panics_quiet();
        let (requests, incoming) = channel();
        let scenes = Arc::new(Mutex::new(Scenes::default()));
        let server = Server {
            build: folder.join("build"),
            folder: folder.join("analysis"),
            scenes: scenes.clone(),
            warmth,
            idle_since: None,
            world: Loading::Asleep,
            waiting: Vec::new(),
        };
        // Without the thread every question goes without an answer.
        let _ = std::thread::Builder::new()
            .name(THREAD.to_owned())
            .stack_size(STACK)
            .spawn(move || server.serve(&incoming));
        Self { requests, scenes }
    }

    /// What can be named from now on.
    pub fn set_scenes(&self, scenes: Scenes) {
        *self.scenes.lock().unwrap_or_else(PoisonError::into_inner) = scenes;
    }

    /// Says whether the prompt waits for keys: then is the time to load the libraries.
    pub fn prompt(&self, waits: bool) {
        let _ = self.requests.send(Request::Prompt(waits));
    }

    /// The names that can stand at a place; `None` when they are not known within `patience`.
    #[must_use]
    pub fn names(&self, place: Place, patience: Duration) -> Option<Vec<Name>> {
        let (answer, incoming) = channel();
        self.requests.send(Request::Names { place, answer }).ok()?;
        incoming.recv_timeout(patience).ok()
    }

    /// Begins to look something up. The first time all libraries are read, which takes seconds.
    #[must_use]
    pub fn docs(&self, question: Question) -> Receiver<Result<Found, String>> {
        let (answer, incoming) = channel();
        // When the thread is gone, the answer's channel closes.
        let _ = self.requests.send(Request::Docs { question, answer });
        incoming
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
    warmth: Arc<Mutex<Warmth>>,
    /// Since when the prompt has waited for keys.
    idle_since: Option<Instant>,
    world: Loading,
    /// Questions that wait for the libraries.
    waiting: Vec<(Question, Sender<Result<Found, String>>)>,
}

impl Server {
    fn serve(mut self, incoming: &Receiver<Request>) {
        loop {
            let sleeps = matches!(self.world, Loading::Asleep);
            let watches = matches!(self.world, Loading::Underway(_))
                || sleeps && (self.idle_since.is_some() || !self.waiting.is_empty());
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
        }
    }

    fn answer(&mut self, request: Request) {
        match request {
            Request::Prompt(waits) => {
                self.idle_since = waits.then(Instant::now);
                if waits {
                    self.refresh();
                }
            }
            Request::Names { place, answer } => {
                let Loading::Ready(world) = &mut self.world else {
                    // Somebody wants names: the next time they are there.
                    self.load();
                    return;
                };
                let scenes = self
                    .scenes
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone();
                if let Ok(names) = quietly(|| names::at(world, &scenes, &place)) {
                    let _ = answer.send(names);
                }
            }
            Request::Docs { question, answer } => self.waiting.push((question, answer)),
        }
    }

    /// Does what it is time for: load, take over what was loaded, answer who waited for it.
    fn look(&mut self) {
        let idle = self.idle_since.is_some_and(|since| since.elapsed() >= IDLE);
        if matches!(self.world, Loading::Failed(_)) && !self.waiting.is_empty() {
            self.world = Loading::Asleep;
        }
        if matches!(self.world, Loading::Asleep) && (idle || !self.waiting.is_empty()) {
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
                    let _ = answer.send(Err(why.clone()));
                }
                // The idle prompt doesn't try it over and over.
                self.idle_since = None;
            }
            Loading::Ready(_) => self.look_up(),
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
            let _ = answer.send(found.map_err(|()| gave_up()));
        }
    }

    /// Begins to load, once there is something to load.
    fn load(&mut self) {
        let warmth = self
            .warmth
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match warmth {
            Warmth::Ready if matches!(self.world, Loading::Asleep) => {}
            Warmth::Failed(why) => {
                self.world = Loading::Failed(why);
                return;
            }
            _ => return,
        }
        let (build, folder) = (self.build.clone(), self.folder.clone());
        let loader = std::thread::Builder::new()
            .name(THREAD.to_owned())
            .stack_size(STACK)
            .spawn(move || {
                // Only politeness depends on it.
                let _ = rustix::process::setpriority_process(None, NICENESS);
                let mut world = World::load(&build, &folder)?;
                names::warm(&mut world);
                Ok(world)
            });
        self.world = match loader {
            Ok(thread) => Loading::Underway(thread),
            Err(error) => Loading::Failed(error.to_string()),
        };
    }

    /// Takes over crates that were added since.
    fn refresh(&mut self) {
        if let Loading::Ready(world) = &mut self.world {
            // With the crates that were there before, if need be.
            let changed = quietly(|| world.refresh(&self.build, &self.folder));
            if matches!(changed, Ok(Ok(true))) {
                let _ = quietly(|| names::warm(world));
            }
        }
    }
}

/// rust-analyzer panics on some code; that costs an answer, not the session.
fn quietly<T>(work: impl FnOnce() -> T) -> Result<T, ()> {
    catch_unwind(AssertUnwindSafe(work)).map_err(drop)
}

/// A panic's message would stand in the middle of what is typed.
fn keep_panics_quiet() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() != Some(THREAD) {
            usual(panic);
        }
    }));
}
