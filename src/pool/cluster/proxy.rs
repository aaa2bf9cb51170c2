//! What the session has of an engine on a node: the other end of the connection that the hub speaks on, of the pipes that
//! it reads, and of the page of numbers that it looks into, as if the engine were a process here.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use nix::sys::signal::Signal;
use tokio::net::unix::pipe::Sender;
use tokio::sync::Notify;
use xxhash_rust::xxh3::xxh3_128;

use super::content::Source;
use super::credit::TOLD;
use super::line::Line;
use super::message::{Carried, Content, ToNode};
use super::page::Change;
use super::seat::Seat;
use super::session::Peer;
use super::{carry, libraries};
use crate::ids::EngineId;
use crate::outcome::{DeathCause, Stream};
use crate::wire::{self, Channel, FromEngine, Payload, ToEngine, WireError};

/// What a proxy is made of.
pub struct Ends {
    pub channel: Channel,
    /// The writing ends of standard output and error.
    pub pipes: [OwnedFd; 2],
    pub seat: Arc<Seat>,
}

/// What the hub is told, in order.
enum Told {
    Frame(FromEngine, Carried),
    Connected(FromEngine, OwnedFd),
    Printed(Stream, Vec<u8>),
    Page(Vec<Change>),
    Ended(DeathCause),
}

pub struct Proxy {
    engine: EngineId,
    line: Line,
    pipes: [Sender; 2],
    /// Its page, once the hub has given it.
    page: RefCell<Option<Arc<OwnedFd>>>,
    /// What has changed in it before that.
    early: RefCell<Vec<Change>>,
    seat: Arc<Seat>,
    tells: RefCell<VecDeque<Told>>,
    due: Notify,
    /// Bytes that the hub has taken, and the node does not know of.
    unheard: Cell<u64>,
    is_over: Cell<bool>,
}

impl Proxy {
    pub fn new(engine: EngineId, ends: Ends) -> std::io::Result<Self> {
        let [stdout, stderr] = ends.pipes.map(Sender::from_owned_fd);
        Ok(Self {
            engine,
            line: Line::new(ends.channel)?,
            pipes: [stdout?, stderr?],
            page: RefCell::default(),
            early: RefCell::default(),
            seat: ends.seat,
            tells: RefCell::default(),
            due: Notify::new(),
            unheard: Cell::new(0),
            is_over: Cell::new(false),
        })
    }

    pub fn is_over(&self) -> bool {
        self.is_over.get()
    }

    fn tell(&self, told: Told) {
        self.tells.borrow_mut().push_back(told);
        self.due.notify_one();
    }

    /// Its resident memory, bytes.
    pub fn takes(&self, memory: u64) {
        self.seat.takes(memory);
    }

    pub fn started(&self, pid: u32) {
        self.seat.started(pid);
    }

    pub fn frame(&self, message: FromEngine, carried: Carried) {
        self.tell(Told::Frame(message, carried));
    }

    pub fn connected(&self, message: FromEngine, socket: OwnedFd) {
        self.tell(Told::Connected(message, socket));
    }

    pub fn printed(&self, stream: Stream, bytes: Vec<u8>) {
        self.tell(Told::Printed(stream, bytes));
    }

    pub fn page(&self, changes: Vec<Change>) {
        self.tell(Told::Page(changes));
    }

    pub fn ended(&self, cause: DeathCause) {
        self.tell(Told::Ended(cause));
    }

    /// Tells the hub what there is to tell, until the engine's end.
    pub async fn speak(self: Rc<Self>, peer: Rc<Peer>) {
        loop {
            let told = self.tells.borrow_mut().pop_front();
            match told {
                None => self.due.notified().await,
                Some(Told::Frame(message, carried)) => {
                    let bytes = carried.weight() as u64;
                    match carry::payload(carried) {
                        Ok(payload) => self.put(&message, &payload).await,
                        Err(error) => return self.fail(&peer, error),
                    }
                    self.heard(bytes, &peer);
                }
                Some(Told::Connected(message, socket)) => {
                    self.put(&message, &Payload::file(socket)).await;
                }
                Some(Told::Printed(stream, bytes)) => self.print(stream, &bytes, &peer).await,
                Some(Told::Page(changes)) => self.write_page(&changes),
                Some(Told::Ended(cause)) => return self.ends(cause),
            }
        }
    }

    /// The hub has taken it.
    fn heard(&self, bytes: u64, peer: &Peer) {
        let bytes = self.unheard.get() + bytes;
        self.unheard.set(bytes);
        if bytes >= TOLD {
            self.unheard.set(0);
            let engine = self.engine;
            peer.post.send(&ToNode::Heard { engine, bytes });
        }
    }

    /// What it says cannot be heard.
    fn fail(&self, peer: &Peer, error: std::io::Error) {
        let says = carry::Uncarried::Here(error).to_string();
        peer.post.send(&ToNode::Signal {
            engine: self.engine,
            signal: Signal::SIGKILL as i32,
        });
        self.ends(DeathCause::Launcher { says });
    }

    fn ends(&self, cause: DeathCause) {
        self.is_over.set(true);
        self.seat.ended(cause);
        self.line.hang_up();
    }

    async fn put(&self, message: &FromEngine, payload: &Payload) {
        let queued = {
            let mut channel = self.line.channel.borrow_mut();
            channel.queue(message, payload)
        };
        // What the engine could frame can be framed here.
        if queued.is_ok() {
            self.line.flush().await;
        }
    }

    async fn print(&self, stream: Stream, mut bytes: &[u8], peer: &Peer) {
        let pipe = &self.pipes[stream as usize];
        while !bytes.is_empty() {
            if pipe.writable().await.is_err() {
                return;
            }
            match pipe.try_write(bytes) {
                Ok(written) => {
                    bytes = &bytes[written..];
                    peer.post.send(&ToNode::Taken {
                        engine: self.engine,
                        bytes: written as u64,
                    });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // The hub is gone from it.
                Err(_) => return,
            }
        }
    }

    fn write_page(&self, changes: &[Change]) {
        let file = self.page.borrow();
        let Some(file) = &*file else {
            // Each change is told once.
            return self.early.borrow_mut().extend_from_slice(changes);
        };
        for change in changes.iter().filter(|change| change.is_of_engine()) {
            // A page that cannot be written tells of no item.
            let _ = rustix::io::pwrite(file, &change.bytes, change.at());
        }
    }

    /// Sends on what the hub says, until it lets go of the engine.
    pub async fn listen(self: Rc<Self>, peer: Rc<Peer>) {
        let mut greeted = false;
        loop {
            let ended = self.line.fill().await;
            if !greeted {
                match self.line.channel.borrow_mut().take::<12>() {
                    Some(_) => greeted = true,
                    None if ended.is_some() => break,
                    None => continue,
                }
                self.line
                    .channel
                    .borrow_mut()
                    .queue_plain(&wire::greeting());
                self.line.flush().await;
            }
            let heard = self.hear(&peer);
            peer.post.has_room().await;
            if ended.is_some() || heard.is_err() {
                break;
            }
        }
        if !self.is_over() {
            peer.post.send(&ToNode::Signal {
                engine: self.engine,
                signal: Signal::SIGKILL as i32,
            });
        }
        peer.let_go(self.engine);
    }

    fn hear(&self, peer: &Peer) -> Result<(), WireError> {
        loop {
            let next = self.line.channel.borrow_mut().next_frame()?;
            let Some((message, payload)) = next else {
                return Ok(());
            };
            self.said(peer, message, &payload);
        }
    }

    fn said(&self, peer: &Peer, message: ToEngine, payload: &Payload) {
        let engine = self.engine;
        let mut message = message;
        let carried = match (&mut message, payload) {
            // The node welcomes its engines itself.
            (ToEngine::Welcome { .. }, Payload::Shared(page)) => {
                *self.page.borrow_mut() = Some(page.clone());
                self.write_page(&self.early.take());
                return;
            }
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
                    Ok(()) => Carried::Object(content),
                    Err(error) => {
                        *why = carry::Uncarried::Unread(error).to_string();
                        Carried::None
                    }
                }
            }
            (ToEngine::Capture { hash }, payload) => {
                let content = Content::Capture(*hash);
                // What is in memory can be read.
                let _ = peer.give(content, engine, || Ok(Source::of(payload)));
                Carried::Object(content)
            }
            (ToEngine::ForgetCapture { hash }, _) => {
                peer.forget(Content::Capture(*hash), engine);
                Carried::None
            }
            (ToEngine::Environment { name, value }, payload) => {
                peer.stores.note(name, value.as_deref());
                carry::carried(payload)
            }
            (ToEngine::World { .. }, Payload::Shared(file)) => peer.worlds.give(file),
            (ToEngine::Run { .. }, payload) => {
                // Its ranks know then who is in it.
                peer.worlds.look();
                carry::carried(payload)
            }
            (_, payload) => carry::carried(payload),
        };
        peer.post.send(&ToNode::Frame {
            engine,
            message: Box::new(message),
            carried,
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Whoever looks for its end finds it.
        self.seat.ended(DeathCause::Unknown);
    }
}
