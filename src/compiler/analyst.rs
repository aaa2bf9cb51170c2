//! The session's way to the analysis in its compiler's process.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::analysis::{Found, Name, Place, Question, Scenes};
use super::connection::{Awaited, Connection};
use super::message::ToCompiler;

/// Asks the analysis. Clones ask the same one.
#[derive(Clone)]
pub struct Analyst {
    /// The connection to the compiler that there is now; `None` when none could be started.
    home: Arc<Mutex<Option<Arc<Connection>>>>,
}

impl Analyst {
    pub(super) fn new(home: Option<Arc<Connection>>) -> Self {
        let home = Arc::new(Mutex::new(home));
        Self { home }
    }

    /// Another compiler has come in the place of the one before.
    pub(super) fn moves(&self, home: &Arc<Connection>) {
        *self.home.lock().unwrap_or_else(PoisonError::into_inner) = Some(home.clone());
    }

    fn home(&self) -> Option<Arc<Connection>> {
        self.home
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What can be named from now on.
    pub fn set_scenes(&self, scenes: Scenes) {
        if let Some(home) = self.home() {
            home.tell(&ToCompiler::Scenes(scenes));
        }
    }

    /// Says that the prompt waits for keys.
    pub fn prompt(&self) {
        if let Some(home) = self.home() {
            home.tell(&ToCompiler::Prompt);
        }
    }

    /// The names that can stand at a place; `None` when they are not known within `patience`.
    pub fn names(&self, place: Place, patience: Duration) -> Option<Vec<Name>> {
        let (answer, incoming) = channel();
        self.home()?
            .ask(Awaited::Names(answer), |id| ToCompiler::Names { id, place });
        incoming.recv_timeout(patience).ok()
    }

    /// Begins to look something up. The first time all libraries are read, which takes seconds.
    pub fn docs(&self, question: Question) -> Receiver<Result<Found, String>> {
        let (answer, incoming) = channel();
        // Without a compiler, the answer's channel closes.
        if let Some(home) = self.home() {
            home.ask(Awaited::Docs(answer), |id| ToCompiler::Docs {
                id,
                question,
            });
        }
        incoming
    }
}
