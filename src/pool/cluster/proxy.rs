//! What the session's thread has of an engine on a node: it carries to the node what the hub says to the engine, and puts on
//! the engine's seat what the node tells of it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use nix::sys::signal::Signal;
use tokio::sync::Notify;
use xxhash_rust::xxh3::xxh3_128;

use super::content::Source;
use super::message::{Carried, Content, ToNode};
use super::page::Change;
use super::seat::Seat;
use super::session::Peer;
use super::{carry, libraries};
use crate::ids::EngineId;
use crate::outcome::{DeathCause, Stream};
use crate::wire::{FromEngine, Payload, ToEngine};

pub struct Proxy {
    engine: EngineId,
    seat: Arc<Seat>,
    /// What the hub has said while there was no room on the way to the node.
    waiting: RefCell<VecDeque<(ToEngine, Payload)>>,
    /// There may be some of it, or nobody needs it any more.
    due: Notify,
    is_over: Cell<bool>,
    is_let_go: Cell<bool>,
}

impl Proxy {
    pub fn new(engine: EngineId, seat: Arc<Seat>) -> Self {
        Self {
            engine,
            seat,
            waiting: RefCell::default(),
            due: Notify::new(),
            is_over: Cell::new(false),
            is_let_go: Cell::new(false),
        }
    }

    /// Its resident memory, bytes.
    pub fn takes(&self, memory: u64) {
        self.seat.takes(memory);
    }

    pub fn started(&self, pid: u32) {
        self.seat.started(pid);
    }

    /// An engine of which something cannot be heard is ended.
    pub fn frame(&self, peer: &Peer, message: FromEngine, carried: Carried) {
        let weight = carried.weight() as u64;
        match carry::payload(carried, &peer.post) {
            Ok(payload) if !self.is_over.get() => self.seat.frame(message, payload, weight),
            Ok(_) => {}
            Err(error) => {
                self.kill(peer);
                let says = carry::Uncarried::Here(error).to_string();
                self.ended(DeathCause::Launcher { says });
            }
        }
    }

    pub fn connected(&self, message: FromEngine, socket: OwnedFd) {
        self.seat.frame(message, Payload::file(socket), 0);
    }

    pub fn printed(&self, stream: Stream, bytes: Vec<u8>) {
        self.seat.printed(stream, bytes);
    }

    pub fn page(&self, changes: &[Change]) {
        self.seat.write_page(changes);
    }

    pub fn ended(&self, cause: DeathCause) {
        self.is_over.set(true);
        self.seat.ended(cause);
    }

    fn kill(&self, peer: &Peer) {
        peer.post.send(&ToNode::Signal {
            engine: self.engine,
            signal: Signal::SIGKILL as i32,
        });
    }

    /// The hub has let go of it.
    pub fn let_go(&self, peer: &Peer) {
        self.is_let_go.set(true);
        self.due.notify_one();
        // Also one that has ended: nobody is to come in its place.
        self.kill(peer);
    }

    /// The hub says something to the engine.
    pub fn say(&self, peer: &Peer, message: ToEngine, payload: Payload) {
        if let (ToEngine::Data, Payload::Shared(value)) = (&message, &payload) {
            peer.expects(value, self.engine);
        }
        if self.waiting.borrow().is_empty() && !peer.post.is_full() {
            return self.said(peer, message, &payload);
        }
        self.waiting.borrow_mut().push_back((message, payload));
        self.due.notify_one();
    }

    /// Sends on what had to wait, until the hub lets go of the engine.
    pub async fn serve(self: Rc<Self>, peer: Rc<Peer>) {
        loop {
            self.due.notified().await;
            loop {
                peer.post.has_room().await;
                if self.is_let_go.get() {
                    return;
                }
                let next = self.waiting.borrow_mut().pop_front();
                let Some((message, payload)) = next else {
                    break;
                };
                self.said(&peer, message, &payload);
            }
        }
    }

    fn said(&self, peer: &Peer, message: ToEngine, payload: &Payload) {
        let engine = self.engine;
        let mut message = message;
        // What goes in the payload's place.
        let instead = match (&mut message, payload) {
            (ToEngine::Artifact { artifact, why }, Payload::Shared(file)) => {
                let content = Content::Artifact(artifact.content);
                let given = peer.give(content, engine, || {
                    let bytes = carry::whole(file)?;
                    let known = &mut peer.libraries.borrow_mut();
                    for bytes in libraries::needed(file, &bytes, known) {
                        let digest = xxh3_128(&bytes);
                        peer.post.send(&ToNode::Library { digest, bytes });
                    }
                    Ok(Source::Bytes(bytes))
                });
                match given {
                    Ok(()) => Some(Carried::Object(content)),
                    Err(error) => {
                        *why = carry::Uncarried::Unread(error).to_string();
                        Some(Carried::None)
                    }
                }
            }
            (ToEngine::Capture { hash }, payload) => {
                let content = Content::Capture(*hash);
                // What is in memory can be read.
                let _ = peer.give(content, engine, || Ok(Source::of(payload)));
                Some(Carried::Object(content))
            }
            (ToEngine::ForgetCapture { hash }, _) => {
                peer.forget(Content::Capture(*hash), engine);
                Some(Carried::None)
            }
            (ToEngine::Environment { name, value }, _) => {
                peer.stores.note(name, value.as_deref());
                None
            }
            (ToEngine::World { .. }, Payload::Shared(file)) => Some(peer.worlds.give(file)),
            (ToEngine::Data, Payload::Shared(value)) => {
                peer.give_value(value, payload).map(Carried::Object)
            }
            (ToEngine::Run { .. }, _) => {
                peer.runs(engine);
                // Its ranks know then who is in it.
                peer.worlds.look();
                None
            }
            _ => None,
        };
        let frame = |carried| ToNode::Frame {
            engine,
            message: Box::new(message),
            carried,
        };
        match instead {
            Some(carried) => peer.post.send(&frame(carried)),
            None => carry::send_copy(&peer.post, payload, frame),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Whoever looks for its end finds it.
        self.seat.ended(DeathCause::Unknown);
    }
}
