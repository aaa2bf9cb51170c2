//! The session's end of a cluster, a thread of its own: it carries what the hub and the engines of the nodes say to each
//! other, and knows which nodes there are and whether they live.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_nats::{Client, Event, Message};
use futures_util::StreamExt as _;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{AbortHandle, LocalSet, spawn_local};
use tokio::time::{Instant, MissedTickBehavior};

use super::libraries::Known;
use super::line::Line;
use super::message::{About, Beat, Content, FromNode, Join, LineId, Pulse, ToNode};
use super::nodes::{NodeId, Nodes};
use super::ordered::Garbage;
use super::post::{self, Post};
use super::proxy::{Ends, Proxy};
use crate::engine::libc_version;
use crate::ids::{EngineId, PoolName, Rank};
use crate::outcome::{DeathCause, NodeFault};
use crate::wire::{Channel, FromEngine, VERSION, monotonic};

/// How often nodes are told that the session lives.
const BEAT: Duration = Duration::from_millis(500);

/// A node that has answered none of so many is given up. Counted in beats: a session that is held up itself sends none.
const SILENT: u32 = 10;

/// What the session's thread is asked to do.
pub enum Command {
    Launch(Box<Launch>),
    /// Of an engine.
    Tell(NodeId, ToNode),
    /// What has started the node has ended, and why.
    Gone(NodeId, NodeFault),
    /// No node can be spoken with any more.
    Lost(NodeFault),
    /// Another session may come.
    Leave,
    Quit,
}

pub struct Launch {
    pub node: NodeId,
    pub engine: EngineId,
    pub rank: Rank,
    pub size: u32,
    pub pool: Option<PoolName>,
    pub environment: Vec<(String, Option<String>)>,
    pub ends: Ends,
}

/// Connects, and serves until it is told to quit. `connected` is told once, whether it can.
pub fn serve(
    join: &Join,
    nodes: &Arc<Nodes>,
    mut commands: UnboundedReceiver<Command>,
    connected: impl FnOnce(Result<(), String>),
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return connected(Err(error.to_string())),
    };
    LocalSet::new().block_on(&runtime, async {
        let (told, events) = unbounded_channel();
        match Side::connect(join, nodes.clone(), told).await {
            Ok((side, words, pulses)) => {
                connected(Ok(()));
                side.go(words, pulses, events, &mut commands).await;
            }
            Err(why) => connected(Err(why)),
        }
    });
    runtime.shutdown_background();
}

/// A node, as the session's thread has it.
pub struct Peer {
    pub post: Post,
    pub libraries: RefCell<Known>,
    id: NodeId,
    engines: RefCell<BTreeMap<EngineId, Rc<Proxy>>>,
    lines: RefCell<HashMap<LineId, Rc<Line>>>,
    /// What the node has, and the engines that have been given it.
    has: RefCell<HashMap<Content, BTreeSet<EngineId>>>,
    /// Beats since something was heard of it.
    unanswered: std::cell::Cell<u32>,
    serves: RefCell<Option<AbortHandle>>,
}

impl Peer {
    /// Sees to it that the node has this content before it is named to the engine.
    pub fn give(&self, content: Content, engine: EngineId, bytes: impl FnOnce() -> Vec<u8>) {
        let is_new = !self.has.borrow().contains_key(&content);
        if is_new {
            let bytes = bytes();
            self.post.send(&ToNode::Object { content, bytes });
        }
        self.has
            .borrow_mut()
            .entry(content)
            .or_default()
            .insert(engine);
    }

    /// The engine does not need it any more.
    pub fn forget(&self, content: Content, engine: EngineId) {
        let mut has = self.has.borrow_mut();
        if let Some(users) = has.get_mut(&content)
            && users.remove(&engine)
            && users.is_empty()
        {
            has.remove(&content);
            self.post.send(&ToNode::Forget { content });
        }
    }

    /// The hub has let go of an engine, or it has ended.
    pub fn let_go(&self, engine: EngineId) {
        self.engines.borrow_mut().remove(&engine);
        // Artifacts stay: the next engine takes them too.
        let captures = |content: &Content| matches!(content, Content::Capture(_));
        let has = self.has.borrow();
        let held: Vec<Content> = has.keys().copied().filter(captures).collect();
        drop(has);
        for content in held {
            self.forget(content, engine);
        }
    }
}

struct Side {
    client: Client,
    cluster: String,
    epoch: u64,
    nodes: Arc<Nodes>,
    peers: RefCell<BTreeMap<String, Rc<Peer>>>,
}

type Words = async_nats::Subscriber;

impl Side {
    async fn connect(
        join: &Join,
        nodes: Arc<Nodes>,
        told: UnboundedSender<Event>,
    ) -> Result<(Rc<Self>, Words, Words), String> {
        let options = post::options(join, "session", told).retry_on_initial_connect();
        let why = |error: &dyn std::fmt::Display| error.to_string();
        let client = { options.connect(&join.server).await }.map_err(|error| why(&error))?;
        let subject = |what: &str| format!("{}.{what}.*", join.cluster);
        let words = { client.subscribe(subject("from")).await }.map_err(|error| why(&error))?;
        let pulses = { client.subscribe(subject("pulse")).await }.map_err(|error| why(&error))?;
        // It is there when this has gone there and back.
        let flushed = tokio::time::timeout(super::PATIENCE, client.flush()).await;
        let flushed = flushed.map_err(|_| NodeFault::NoServer.to_string())?;
        flushed.map_err(|error| why(&error))?;
        let side = Rc::new(Self {
            client,
            cluster: join.cluster.clone(),
            epoch: join.epoch,
            nodes,
            peers: RefCell::default(),
        });
        Ok((side, words, pulses))
    }

    async fn go(
        self: Rc<Self>,
        mut words: Words,
        mut pulses: Words,
        mut events: UnboundedReceiver<Event>,
        commands: &mut UnboundedReceiver<Command>,
    ) {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Since when the server cannot be reached.
        let mut lost = None;
        let mut is_lost = false;
        loop {
            tokio::select! {
                word = words.next() => match word {
                    Some(word) => self.hears(&word),
                    None => break,
                },
                pulse = pulses.next() => if let Some(pulse) = pulse {
                    self.feels(&pulse);
                },
                command = commands.recv() => match command {
                    Some(Command::Quit) | None => {
                        self.say_to_all(&ToNode::Bye);
                        break;
                    }
                    Some(Command::Leave) => {
                        self.say_to_all(&ToNode::Leave);
                        break;
                    }
                    Some(Command::Lost(why)) => {
                        self.give_all_up(&why);
                        is_lost = true;
                    }
                    Some(command) => self.command(command),
                },
                event = events.recv() => match event {
                    Some(Event::Connected) => {
                        lost = None;
                        for peer in self.peers.borrow().values() {
                            peer.unanswered.set(0);
                            peer.post.send_again();
                        }
                    }
                    Some(Event::Disconnected) => lost = Some(Instant::now()),
                    _ => {}
                },
                _ = beat.tick() => {
                    match lost {
                        _ if is_lost => {}
                        None => {
                            // It waits when the server does not take what is sent to it.
                            let _ = tokio::time::timeout(BEAT, self.beat()).await;
                            self.look_for_silence();
                        }
                        Some(since) if since.elapsed() > super::PATIENCE => self.give_all_up(&NodeFault::NoServer),
                        Some(_) => {}
                    }
                }
            }
        }
        // What has been queued goes; nobody waits longer for what does not.
        tokio::time::sleep(Duration::from_millis(5)).await;
        let _ = tokio::time::timeout(Duration::from_millis(200), self.client.flush()).await;
    }

    /// The last word.
    fn say_to_all(&self, word: &ToNode) {
        for peer in self.peers.borrow().values() {
            peer.post.send(word);
        }
    }

    async fn beat(&self) {
        let beat = Beat {
            epoch: self.epoch,
            sent: monotonic(),
        };
        if let Ok(bytes) = postcard::to_stdvec(&beat) {
            let to = format!("{}.beat", self.cluster);
            let _ = self.client.publish(to, bytes.into()).await;
        }
    }

    fn peer(&self, id: NodeId) -> Option<Rc<Peer>> {
        let peers = self.peers.borrow();
        peers.values().find(|peer| peer.id == id).cloned()
    }

    fn look_for_silence(&self) {
        let silent = |peer: &&Rc<Peer>| {
            let beats = peer.unanswered.get() + 1;
            peer.unanswered.set(beats);
            beats > SILENT
        };
        let silent: Vec<Rc<Peer>> = self
            .peers
            .borrow()
            .values()
            .filter(silent)
            .cloned()
            .collect();
        for peer in silent {
            let seconds = (SILENT * BEAT).as_secs();
            self.give_up(&peer, &NodeFault::Silent { seconds });
        }
    }

    /// Of all nodes that there are.
    fn give_all_up(&self, why: &NodeFault) {
        let peers: Vec<Rc<Peer>> = self.peers.borrow().values().cloned().collect();
        for peer in peers {
            self.give_up(&peer, why);
        }
    }

    /// The node is not one any more. Should it live, it is told so when it speaks.
    fn give_up(&self, peer: &Rc<Peer>, why: &NodeFault) {
        self.peers
            .borrow_mut()
            .retain(|_, other| other.id != peer.id);
        let host = self.nodes.gone(peer.id, why.clone());
        let engines = std::mem::take(&mut *peer.engines.borrow_mut());
        for proxy in engines.values() {
            let (host, why) = (host.clone(), why.clone());
            proxy.ended(DeathCause::NodeGone { host, why }, None);
        }
        for line in std::mem::take(&mut *peer.lines.borrow_mut()).values() {
            line.hang_up();
        }
        peer.post.send(&ToNode::Bye);
        let peer = peer.clone();
        spawn_local(async move {
            // For the word to go.
            tokio::time::sleep(BEAT).await;
            peer.post.close();
            if let Some(serves) = peer.serves.take() {
                serves.abort();
            }
        });
    }

    fn feels(&self, pulse: &Message) {
        let peer = self.peers.borrow().get(number_of(pulse)).cloned();
        let (Some(peer), Ok(pulse)) = (peer, postcard::from_bytes::<Pulse>(&pulse.payload)) else {
            return;
        };
        if pulse.epoch != self.epoch {
            return;
        }
        peer.unanswered.set(0);
        let engines = peer.engines.borrow();
        for (engine, memory) in &pulse.engines {
            if let Some(proxy) = engines.get(engine) {
                proxy.takes(*memory);
            }
        }
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        self.nodes.feels(peer.id, &pulse, monotonic(), now);
    }

    fn hears(self: &Rc<Self>, word: &Message) {
        // It has not heard of this session yet, or has of the next one.
        if !post::is_of(&word.payload, self.epoch) {
            return;
        }
        let number = number_of(word);
        let known = self.peers.borrow().get(number).cloned();
        let peer = match known {
            Some(peer) => peer,
            None if self.nodes.was(number) => {
                // Given up, and it lives.
                let to = format!("{}.to.{number}", self.cluster);
                let post = Post::new(self.client.clone(), to, self.epoch);
                return self.say_bye(post);
            }
            None => self.meet(number.to_owned()),
        };
        peer.unanswered.set(0);
        match peer.post.take(&word.payload) {
            Ok(Some(message)) => self.told(&peer, message),
            Ok(None) => {}
            Err(Garbage) => self.give_up(&peer, &NodeFault::Garbage),
        }
    }

    fn say_bye(&self, post: Post) {
        post.send(&ToNode::Bye);
        spawn_local(async move {
            let _ = tokio::time::timeout(BEAT, post.serve()).await;
        });
    }

    /// Somebody new speaks.
    fn meet(&self, number: String) -> Rc<Peer> {
        let to = format!("{}.to.{number}", self.cluster);
        let peer = Rc::new(Peer {
            post: Post::new(self.client.clone(), to, self.epoch),
            libraries: RefCell::default(),
            id: self.nodes.meets(&number),
            engines: RefCell::default(),
            lines: RefCell::default(),
            has: RefCell::default(),
            unanswered: std::cell::Cell::new(0),
            serves: RefCell::default(),
        });
        let serves = spawn_local({
            let peer = peer.clone();
            async move { peer.post.serve().await }
        });
        *peer.serves.borrow_mut() = Some(serves.abort_handle());
        self.peers.borrow_mut().insert(number, peer.clone());
        peer
    }

    fn told(&self, peer: &Rc<Peer>, message: FromNode) {
        let proxy = |engine: EngineId| peer.engines.borrow().get(&engine).cloned();
        match message {
            FromNode::Hello(about) => match why_not(&about) {
                None => self.nodes.joined(peer.id, about),
                Some(why) => {
                    self.nodes.refused(peer.id, about, why.clone());
                    peer.post.send(&ToNode::Refused { why });
                }
            },
            FromNode::Started { engine, pid } => {
                if let Some(proxy) = proxy(engine) {
                    proxy.started(pid);
                }
            }
            FromNode::Frame {
                engine,
                message,
                carried,
            } => {
                if let Some(proxy) = proxy(engine) {
                    proxy.frame(message, carried);
                }
            }
            FromNode::Connect {
                engine,
                message,
                line,
            } => {
                if let Some(proxy) = proxy(engine)
                    && self.connect_line(peer, &proxy, message, line).is_err()
                {
                    peer.post.send(&ToNode::LineOver { line });
                }
            }
            FromNode::Line {
                line,
                header,
                carried,
            } => {
                if let Some(line) = peer.lines.borrow().get(&line) {
                    line.put(&header, carried);
                }
            }
            FromNode::LineOver { line } => {
                if let Some(line) = peer.lines.borrow_mut().remove(&line) {
                    line.hang_up();
                }
            }
            FromNode::Printed {
                engine,
                stream,
                bytes,
            } => {
                if let Some(proxy) = proxy(engine) {
                    proxy.printed(stream, bytes);
                }
            }
            FromNode::Page { engine, page } => {
                if let Some(proxy) = proxy(engine) {
                    proxy.page(page);
                }
            }
            FromNode::Ended {
                engine,
                cause,
                page,
            } => {
                if let Some(proxy) = proxy(engine) {
                    proxy.ended(cause, Some(page));
                }
            }
        }
    }

    /// An engine has opened a connection to a service of the hub: this is the hub's end of it.
    fn connect_line(
        &self,
        peer: &Rc<Peer>,
        proxy: &Proxy,
        message: FromEngine,
        number: LineId,
    ) -> std::io::Result<()> {
        let (ours, theirs) = UnixStream::pair()?;
        let line = Rc::new(Line::new(Channel::new(ours))?);
        peer.lines.borrow_mut().insert(number, line.clone());
        proxy.connected(message, theirs.into());
        let peer = peer.clone();
        spawn_local(async move {
            let message = |header, carried| ToNode::Line {
                line: number,
                header,
                carried,
            };
            line.serve(&peer.post, message).await;
            if peer.lines.borrow_mut().remove(&number).is_some() {
                peer.post.send(&ToNode::LineOver { line: number });
            }
        });
        Ok(())
    }

    fn command(&self, command: Command) {
        match command {
            Command::Launch(launch) => self.launch(*launch),
            Command::Tell(node, message) => {
                if let Some(peer) = self.peer(node) {
                    peer.post.send(&message);
                }
            }
            Command::Gone(node, why) => match self.peer(node) {
                Some(peer) => self.give_up(&peer, &why),
                None => drop(self.nodes.gone(node, why)),
            },
            Command::Lost(_) | Command::Leave | Command::Quit => {}
        }
    }

    fn launch(&self, launch: Launch) {
        let Launch {
            node,
            engine,
            rank,
            size,
            pool,
            environment,
            ends,
        } = launch;
        let seat = ends.seat.clone();
        let gone = |why: NodeFault| {
            seat.ended(DeathCause::NodeGone {
                host: self.nodes.host(node),
                why,
            });
        };
        let Some(peer) = self.peer(node) else {
            return gone(NodeFault::Ended);
        };
        let proxy = match Proxy::new(engine, ends) {
            Ok(proxy) => Rc::new(proxy),
            Err(error) => return gone(NodeFault::Says(error.to_string())),
        };
        peer.engines.borrow_mut().insert(engine, proxy.clone());
        peer.post.send(&ToNode::Start {
            engine,
            rank,
            size,
            pool,
            environment,
        });
        spawn_local(proxy.clone().speak(peer.clone()));
        spawn_local(proxy.listen(peer));
    }
}

/// What the node calls itself that says this.
fn number_of(message: &Message) -> &str {
    message.subject.rsplit('.').next().unwrap_or_default()
}

/// Why a node cannot take part.
fn why_not(about: &About) -> Option<NodeFault> {
    if about.version != VERSION {
        let (says, ours) = (about.version, VERSION);
        return Some(NodeFault::Version { says, ours });
    }
    let (its, ours) = (
        about.architecture.clone(),
        std::env::consts::ARCH.to_owned(),
    );
    if its != ours {
        return Some(NodeFault::Architecture { its, ours });
    }
    let (its, ours) = (about.libc.clone(), libc_version());
    (version(&its) < version(&ours)).then_some(NodeFault::Libc { its, ours })
}

/// `2.36` as numbers.
fn version(text: &str) -> Vec<u32> {
    text.split('.')
        .map_while(|part| part.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_that_cannot_run_what_is_compiled_here_are_refused() {
        let fits = About {
            version: VERSION,
            host: "node1".to_owned(),
            pid: 1,
            slots: 1,
            cores: 1,
            memory: 1,
            libc: libc_version(),
            architecture: std::env::consts::ARCH.to_owned(),
        };
        assert_eq!(why_not(&fits), None);
        let old = About {
            libc: "2.9".to_owned(),
            ..fits.clone()
        };
        assert!(matches!(why_not(&old), Some(NodeFault::Libc { its, .. }) if its == "2.9"));
        let other = About {
            version: VERSION + 1,
            ..fits.clone()
        };
        assert!(matches!(why_not(&other), Some(NodeFault::Version { .. })));
        let other = About {
            architecture: "riscv64".to_owned(),
            ..fits
        };
        assert!(matches!(
            why_not(&other),
            Some(NodeFault::Architecture { .. })
        ));
    }
}
