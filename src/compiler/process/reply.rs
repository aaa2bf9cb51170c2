//! Where the inside of the compiler's process puts its answers: they go to the session that asked, in one frame.

use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};

use crate::compiler::message::{FromCompiler, Id};
use crate::wire::{Channel, Payload};

/// The way to one session. What is sent to one that is gone is lost.
#[derive(Clone)]
pub struct Outbox(Arc<Mutex<Channel>>);

impl Outbox {
    pub fn new(socket: UnixStream) -> Self {
        Self(Arc::new(Mutex::new(Channel::new(socket))))
    }

    pub fn send(&self, message: &FromCompiler) {
        self.send_with(message, &Payload::None);
    }

    pub fn send_with(&self, message: &FromCompiler, payload: &Payload) {
        let mut channel = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let queued = channel.queue(message, payload);
        if queued.is_ok() {
            // The end of the connection is noticed where it is read.
            let _ = channel.flush();
        }
    }
}

/// The answer that is owed to one question. When it is dropped, the session is told that none will come.
pub struct Reply<T> {
    id: Id,
    out: Outbox,
    form: fn(Id, T) -> FromCompiler,
    given: bool,
}

impl<T> Reply<T> {
    pub fn new(id: Id, out: &Outbox, form: fn(Id, T) -> FromCompiler) -> Self {
        Self {
            id,
            out: out.clone(),
            form,
            given: false,
        }
    }

    pub fn send(mut self, answer: T) {
        self.given = true;
        self.out.send(&(self.form)(self.id, answer));
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        if !self.given {
            self.out.send(&FromCompiler::Nothing { id: self.id });
        }
    }
}
