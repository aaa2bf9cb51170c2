//! Who is served now, and how the compiler stands: what a session that comes later must be told as well.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::reply::Outbox;
use crate::compiler::message::{FromCompiler, StateId};

#[derive(Default)]
pub struct Desk(Mutex<Standing>);

#[derive(Default)]
struct Standing {
    session: Option<Outbox>,
    warmth: Warmth,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Warmth {
    #[default]
    Warming,
    /// With the root's state.
    Ready(StateId),
    Failed(String),
}

impl Desk {
    /// A session is served from now on; it is told what those before it know.
    pub fn receive(&self, session: Outbox) {
        let mut standing = self.standing();
        standing.session = Some(session);
        standing.tell_warmth();
    }

    /// The session is gone.
    pub fn leave(&self) {
        self.standing().session = None;
    }

    pub fn session(&self) -> Option<Outbox> {
        self.standing().session.clone()
    }

    pub fn is_warm(&self) -> bool {
        matches!(self.standing().warmth, Warmth::Ready(_))
    }

    pub fn ready(&self, root: StateId) {
        self.stands(Warmth::Ready(root));
    }

    pub fn failed(&self, why: String) {
        self.stands(Warmth::Failed(why));
    }

    /// Tells the session, if there is one.
    pub fn tell(&self, message: &FromCompiler) {
        if let Some(session) = self.session() {
            session.send(message);
        }
    }

    fn stands(&self, warmth: Warmth) {
        let mut standing = self.standing();
        standing.warmth = warmth;
        standing.tell_warmth();
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Standing {
    fn tell_warmth(&self) {
        let message = match &self.warmth {
            Warmth::Warming => return,
            Warmth::Ready(root) => FromCompiler::Ready(*root),
            Warmth::Failed(why) => FromCompiler::Failed(why.clone()),
        };
        if let Some(session) = &self.session {
            session.send(&message);
        }
    }
}
