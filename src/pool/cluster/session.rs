//! The session's end of a cluster, a thread of its own: it carries what the hub and the engines of the nodes say to each
//! other, and knows which nodes there are and whether they live.

mod held;
mod stores;
mod worlds;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, Event, Message};
use futures_util::StreamExt as _;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{AbortHandle, LocalSet, spawn_local};
use tokio::time::{Instant, MissedTickBehavior};

use super::content::{Source, pieces};
use super::libraries::Known;
use super::line::Line;
use super::message::{About, Beat, Content, FromNode, Join, LineId, Pulse, ToNode, Urgent};
use super::nodes::{NodeId, Nodes};
use super::ordered::Garbage;
use super::post::{self, Post};
use super::processor;
use super::proxy::{Ends, Proxy};
use super::queue::{self, Ears, Formers, Publisher};
use super::tunnel::Tunnels;
use crate::engine::libc_version;
use crate::ids::{EngineId, PoolName, Rank};
use crate::outcome::{DeathCause, NodeFault};
use crate::wire::{Channel, FromEngine, VERSION, monotonic, since_1970};
use stores::Named;
pub use stores::is_of_host;
use worlds::Worlds;

/// How often nodes are told that the session lives.
const BEAT: Duration = Duration::from_millis(500);

/// A node that has answered none of so many is given up. Counted in beats: a session that is held up itself sends none.
const SILENT: u32 = 10;

/// What the session's thread is asked to do.
pub enum Command {
    Launch(Box<Launch>),
    /// Of an engine.
    Tell(NodeId, ToNode),
    /// The same, before all else.
    Hurry(NodeId, Urgent),
    /// Of a queued map.
    Order(queue::Order),
    /// What has started the node has ended, and why.
    Gone(NodeId, NodeFault),
    /// No node can be spoken with any more.
    Lost(NodeFault),
    /// Another session may come.
    Leave,
    /// The hub has written into the pool's world.
    WorldChanged,
    Quit,
}

pub struct Launch {
    pub node: NodeId,
    /// As nodes have it, and as the hub has it: see [`ToNode::Start`].
    pub engine: EngineId,
    pub id: EngineId,
    pub rank: Rank,
    pub size: u32,
    pub pool: Option<PoolName>,
    pub environment: Vec<(String, Option<String>)>,
    pub ends: Ends,
}

/// Connects, and serves until it is told to quit. `connected` is told once, whether it can.
pub fn serve(
    join: &Join,
    (nodes, formers): (&Arc<Nodes>, Arc<Formers>),
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
        match Side::connect(join, (nodes.clone(), formers), told).await {
            Ok((side, words, pulses, ears)) => {
                connected(Ok(()));
                side.go(words, pulses, ears, events, &mut commands).await;
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
    /// What it calls itself.
    number: String,
    engines: RefCell<BTreeMap<EngineId, Rc<Proxy>>>,
    lines: RefCell<HashMap<LineId, Rc<Line>>>,
    /// Connections to stores.
    tunnels: Tunnels,
    /// The stores that it may reach.
    pub stores: Rc<Named>,
    pub worlds: Rc<Worlds>,
    /// What the node has, and the engines that have been given it.
    has: RefCell<HashMap<Content, BTreeSet<EngineId>>>,
    /// Artifacts that it has, in the order in which they were sent.
    artifacts: RefCell<VecDeque<Content>>,
    /// Beats since something was heard of it.
    unanswered: Cell<u32>,
    serves: RefCell<Option<AbortHandle>>,
}

impl Peer {
    pub fn hurry(&self, word: Urgent) {
        self.post.hurry(|number| ToNode::Urgent { number, word });
    }

    /// Sees to it that the node has this content before it is named to the engine.
    pub fn give(
        &self,
        content: Content,
        engine: EngineId,
        source: impl FnOnce() -> std::io::Result<Source>,
    ) -> std::io::Result<()> {
        let is_new = !self.has.borrow().contains_key(&content);
        if is_new {
            let source = source()?;
            let bytes = source.length();
            self.post.send(&ToNode::Object { content, bytes });
            for piece in pieces(source) {
                let (part, length) = (ToNode::Part { content }, piece.length());
                self.post
                    .send_later(&part, length, move |to| piece.write(to));
            }
            self.keep_few(content);
        }
        self.has
            .borrow_mut()
            .entry(content)
            .or_default()
            .insert(engine);
        Ok(())
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
    /// It has no cluster any more: what becomes of the nodes is another session's.
    is_lost: Cell<bool>,
    nodes: Arc<Nodes>,
    peers: RefCell<BTreeMap<String, Rc<Peer>>>,
    /// Of a durable cluster.
    publisher: Option<Rc<Publisher>>,
    stores: Rc<Named>,
    worlds: Rc<Worlds>,
}

type Words = async_nats::Subscriber;

impl Side {
    async fn connect(
        join: &Join,
        (nodes, formers): (Arc<Nodes>, Arc<Formers>),
        told: UnboundedSender<Event>,
    ) -> Result<(Rc<Self>, Words, Words, Option<Ears>), String> {
        let why = |error: &dyn std::fmt::Display| error.to_string();
        let options = post::options(join, "session", told).map_err(|error| why(&error))?;
        let options = options.retry_on_initial_connect();
        let client = { options.connect(&join.server).await }.map_err(|error| why(&error))?;
        let subject = |what: &str| format!("{}.{what}.>", join.cluster);
        let words = { client.subscribe(subject("from")).await }.map_err(|error| why(&error))?;
        let pulses = { client.subscribe(subject("pulse")).await }.map_err(|error| why(&error))?;
        // It is there when this has gone there and back.
        let flushed = tokio::time::timeout(super::PATIENCE, client.flush()).await;
        let flushed = flushed.map_err(|_| NodeFault::NoServer.to_string())?;
        flushed.map_err(|error| why(&error))?;
        let queue = match join.is_durable {
            true => Some(
                { Publisher::open(&client, &join.cluster, formers).await }
                    .map_err(|error| why(&error))?,
            ),
            false => None,
        };
        let (publisher, ears) = queue.unzip();
        let side = Rc::new(Self {
            client,
            publisher,
            cluster: join.cluster.clone(),
            epoch: join.epoch,
            is_lost: Cell::new(false),
            worlds: Rc::new(Worlds::new(nodes.clone())),
            nodes,
            peers: RefCell::default(),
            stores: Rc::default(),
        });
        Ok((side, words, pulses, ears))
    }

    async fn go(
        self: Rc<Self>,
        mut words: Words,
        mut pulses: Words,
        mut ears: Option<Ears>,
        mut events: UnboundedReceiver<Event>,
        commands: &mut UnboundedReceiver<Command>,
    ) {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Since when the server cannot be reached.
        let mut lost = None;
        loop {
            tokio::select! {
                word = words.next() => match word {
                    Some(word) => self.hears(&word),
                    None => break,
                },
                pulse = pulses.next() => if let Some(pulse) = pulse {
                    self.feels(&pulse);
                },
                told = queue::told(&mut ears) => self.told_of_queue(told),
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
                        self.is_lost.set(true);
                        self.give_all_up(&why);
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
                        if let Some(publisher) = &self.publisher {
                            publisher.again();
                        }
                    }
                    Some(Event::Disconnected) => lost = Some(Instant::now()),
                    _ => {}
                },
                _ = beat.tick() => {
                    match lost {
                        _ if self.is_lost.get() => {}
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

    /// What the node calls itself that says this.
    fn number_of<'a>(&self, message: &'a Message) -> &'a str {
        let below = message.subject.strip_prefix(&self.cluster);
        // `.from.3`, or of one of several nodes with one file `.from.f1.…`
        let words = below.and_then(|it| it.strip_prefix('.')?.split_once('.'));
        words.map_or("", |(_, number)| number)
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
        self.peers.borrow_mut().retain(|number, other| {
            let is_other = other.id != peer.id;
            if !is_other {
                self.dismiss(number);
            }
            is_other
        });
        let host = self.nodes.gone(peer.id, why.clone());
        if let Some(publisher) = &self.publisher {
            publisher.without(&peer.number);
        }
        let engines = std::mem::take(&mut *peer.engines.borrow_mut());
        for proxy in engines.values() {
            let (host, why) = (host.clone(), why.clone());
            proxy.ended(DeathCause::NodeGone { host, why });
        }
        for line in std::mem::take(&mut *peer.lines.borrow_mut()).values() {
            line.hang_up();
        }
        peer.tunnels.hang_up();
        peer.post.close();
        if let Some(serves) = peer.serves.take() {
            serves.abort();
        }
    }

    /// Tells a node that it was given up, as often as it speaks: it lives, and the word may be lost.
    fn dismiss(&self, number: &str) {
        if self.is_lost.get() {
            return;
        }
        let to = format!("{}.to.{number}", self.cluster);
        let (client, word) = (self.client.clone(), post::given_up(self.epoch));
        spawn_local(async move {
            let _ = client.publish(to, word.into()).await;
        });
    }

    fn feels(&self, pulse: &Message) {
        let number = self.number_of(pulse);
        let Ok(pulse) = postcard::from_bytes::<Pulse>(&pulse.payload) else {
            return;
        };
        if pulse.epoch != self.epoch {
            return;
        }
        let peer = self.peers.borrow().get(number).cloned();
        let Some(peer) = peer else {
            if self.nodes.was(number) {
                self.dismiss(number);
            }
            return;
        };
        peer.unanswered.set(0);
        let engines = peer.engines.borrow();
        for (engine, memory) in &pulse.engines {
            if let Some(proxy) = engines.get(engine) {
                proxy.takes(*memory);
            }
        }
        let now = since_1970();
        self.nodes.feels(peer.id, &pulse, monotonic(), now);
    }

    fn hears(self: &Rc<Self>, word: &Message) {
        // It has not heard of this session yet, or has of the next one.
        if !post::is_of(&word.payload, self.epoch) {
            return;
        }
        let number = self.number_of(word);
        let known = self.peers.borrow().get(number).cloned();
        let peer = match known {
            Some(peer) => peer,
            None if self.nodes.was(number) => return self.dismiss(number),
            None => self.meet(number.to_owned()),
        };
        peer.unanswered.set(0);
        let told = |message, _: &[u8]| self.told(&peer, message);
        if let Err(Garbage) = peer.post.take(&word.payload, told) {
            self.give_up(&peer, &NodeFault::Garbage);
        }
    }

    /// Somebody new speaks.
    fn meet(&self, number: String) -> Rc<Peer> {
        let [to, fast] = ["to", "now"].map(|way| format!("{}.{way}.{number}", self.cluster));
        let peer = Rc::new(Peer {
            post: Post::new(self.client.clone(), to, Some(fast), self.epoch),
            libraries: RefCell::default(),
            id: self.nodes.meets(&number),
            number: number.clone(),
            engines: RefCell::default(),
            lines: RefCell::default(),
            tunnels: Tunnels::default(),
            stores: self.stores.clone(),
            worlds: self.worlds.clone(),
            has: RefCell::default(),
            artifacts: RefCell::default(),
            unanswered: Cell::new(0),
            serves: RefCell::default(),
        });
        self.worlds.meets(&peer);
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
            FromNode::Hello(about) => match why_not(&about, self.nodes.for_this_processor()) {
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
            FromNode::Store { line, address } => {
                stores::connect(peer, &peer.stores, line, &address);
            }
            FromNode::Lacks { content } => peer.lacks(content),
            FromNode::World(word) => {
                if self.worlds.hear(peer, word).is_err() {
                    self.give_up(peer, &NodeFault::Garbage);
                }
            }
            FromNode::Tunnel(line, word) => peer.tunnels.hear(line, word),
            FromNode::Printed {
                engine,
                stream,
                bytes,
            } => {
                if let Some(proxy) = proxy(engine) {
                    proxy.printed(stream, bytes);
                }
            }
            FromNode::Holding { job, pieces } => {
                if let Some(publisher) = &self.publisher {
                    publisher.holds(job, &peer.number, &pieces);
                }
            }
            FromNode::Page { engine, changes } => {
                if let Some(proxy) = proxy(engine) {
                    proxy.page(changes);
                }
            }
            FromNode::Ended {
                engine,
                cause,
                changes,
            } => {
                if let Some(proxy) = proxy(engine) {
                    proxy.page(changes);
                    proxy.ended(cause);
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

    fn told_of_queue(&self, told: queue::Word) {
        let Some(publisher) = &self.publisher else {
            return;
        };
        match told {
            queue::Word::Result(message) => publisher.heard(&message),
            queue::Word::Answer(message) => publisher.answered(&message),
            queue::Word::Stop(job, told) => {
                let peers = self.peers.borrow();
                for peer in peers.values() {
                    peer.post.send(&ToNode::StopQueued { job, told });
                }
                if told {
                    publisher.asks(job, peers.keys().cloned().collect());
                }
            }
        }
    }

    fn command(&self, command: Command) {
        match command {
            Command::Launch(launch) => self.launch(*launch),
            Command::Tell(node, message) => {
                if let Some(peer) = self.peer(node) {
                    peer.post.send(&message);
                }
            }
            Command::Hurry(node, word) => {
                if let Some(peer) = self.peer(node) {
                    peer.hurry(word);
                }
            }
            Command::Gone(node, why) => match self.peer(node) {
                Some(peer) => self.give_up(&peer, &why),
                None => drop(self.nodes.gone(node, why)),
            },
            Command::Order(order) => {
                if let Some(publisher) = &self.publisher {
                    publisher.order(order);
                }
            }
            Command::WorldChanged => self.worlds.look(),
            Command::Lost(_) | Command::Leave | Command::Quit => {}
        }
    }

    fn launch(&self, launch: Launch) {
        let Launch {
            node,
            engine,
            id,
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
        for (name, value) in &environment {
            self.stores.note(name, value.as_deref());
        }
        peer.post.send(&ToNode::Start {
            engine,
            id,
            rank,
            size,
            pool,
            environment,
        });
        spawn_local(proxy.clone().speak(peer.clone()));
        spawn_local(proxy.listen(peer));
    }
}

/// Why a node cannot take part. `native`: cells are compiled for this host's processor.
fn why_not(about: &About, native: bool) -> Option<NodeFault> {
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
    if version(&its) < version(&ours) {
        return Some(NodeFault::Libc { its, ours });
    }
    native.then(|| processor::lacks(&about.features)).flatten()
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
            features: processor::features(),
        };
        assert_eq!(why_not(&fits, true), None);
        // Another processor is as good as long as nobody has asked for this one.
        let small = About {
            features: BTreeSet::new(),
            ..fits.clone()
        };
        assert_eq!(why_not(&small, false), None);
        if let Some(first) = processor::features().pop_first() {
            let fault = why_not(&small, true);
            assert!(
                matches!(&fault, Some(NodeFault::Processor { lacks }) if lacks.contains(&first)),
                "{fault:?}"
            );
        }
        let old = About {
            libc: "2.9".to_owned(),
            ..fits.clone()
        };
        assert!(matches!(why_not(&old, false), Some(NodeFault::Libc { its, .. }) if its == "2.9"));
        let other = About {
            version: VERSION + 1,
            ..fits.clone()
        };
        assert!(matches!(
            why_not(&other, false),
            Some(NodeFault::Version { .. })
        ));
        let other = About {
            architecture: "riscv64".to_owned(),
            ..fits
        };
        assert!(matches!(
            why_not(&other, false),
            Some(NodeFault::Architecture { .. })
        ));
    }
}
