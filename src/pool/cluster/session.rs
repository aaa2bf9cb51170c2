//! The session's end of a cluster, a thread of its own: it carries what the hub and the engines of the nodes say to each
//! other, and knows which nodes there are and whether they live.

mod fit;
mod gone;
mod held;
mod peer;
mod stores;
mod told;
mod values;
mod worlds;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, Event, Message};
use futures_util::StreamExt as _;
use regatta_cell::shell::HOST;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, MissedTickBehavior};

use super::message::{Beat, Join, ToNode, Urgent};
use super::nodes::{NodeId, Nodes};
use super::post::{self, Post};
use super::proxy::Proxy;
use super::queue::{self, Formers, Publisher};
use super::seat::Seat;
use super::tunnel::Tunnels;
use super::upkeep::Upkeep;
use crate::ids::{EngineId, PoolName, Rank};
use crate::outcome::{DeathCause, NodeFault};
use crate::wire::{Payload, ToEngine, monotonic};
pub use peer::Peer;
use stores::Named;
pub use stores::is_of_host;
use worlds::Worlds;

/// So long a server that is others' too may take to forget the cluster.
const GOING: Duration = Duration::from_secs(2);

/// How often nodes are told that the session lives.
const BEAT: Duration = Duration::from_millis(500);

/// A node that has answered none of so many is given up. Counted in beats: a session that is held up itself sends none.
const SILENT: u32 = 10;

/// When a node has answered none of so many, the server may have no ear for it: some cannot write and then stand still.
const SUSPICIOUS: u32 = 5;

/// A server that did not answer, and that cannot be reached again for so long, is ended.
const STILL: Duration = Duration::from_secs(2);

/// What the session's thread is asked to do.
pub enum Command {
    Launch(Box<Launch>),
    /// The hub says this to an engine, with what goes with it.
    Say(NodeId, EngineId, Box<(ToEngine, Payload)>),
    /// The hub has let go of an engine.
    LetGo(NodeId, EngineId),
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
    pub folder: Option<PathBuf>,
    pub is_held: bool,
    pub seat: Arc<Seat>,
}

/// Connects, and serves until it is told to quit. `connected` is told once, whether it can.
pub fn serve(
    join: &Join,
    folder: Option<PathBuf>,
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
        let is_guest = folder.is_none();
        let upkeep = Rc::new(Upkeep::of(folder));
        match Side::connect(join, (upkeep, is_guest), (nodes.clone(), formers), told).await {
            Ok((side, words, pulses, ears)) => {
                connected(Ok(()));
                side.go(words, pulses, ears, events, &mut commands).await;
            }
            Err(why) => connected(Err(why)),
        }
    });
    runtime.shutdown_background();
}

/// What has come to its end.
enum Over {
    /// The session, and the cluster goes on.
    Session,
    Cluster,
}

struct Side {
    client: Client,
    cluster: String,
    epoch: u64,
    /// It has no cluster any more: what becomes of the nodes is another session's.
    is_lost: Cell<bool>,
    nodes: Arc<Nodes>,
    peers: RefCell<BTreeMap<String, Rc<Peer>>>,
    by_id: RefCell<BTreeMap<NodeId, Rc<Peer>>>,
    /// Of a durable cluster.
    publisher: Option<Rc<Publisher>>,
    stores: Rc<Named>,
    worlds: Rc<Worlds>,
    upkeep: Rc<Upkeep>,
    /// The server is others' too.
    is_guest: bool,
}

type Words = async_nats::Subscriber;

impl Side {
    async fn connect(
        join: &Join,
        (upkeep, is_guest): (Rc<Upkeep>, bool),
        (nodes, formers): (Arc<Nodes>, Arc<Formers>),
        told: UnboundedSender<Event>,
    ) -> Result<(Rc<Self>, Words, Words, Option<queue::Ears>), String> {
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
        // Of others' server: its own refuses an earlier session.
        let epoch = (is_guest && join.epoch > 0).then_some(join.epoch);
        let queue = match join.is_durable {
            true => {
                let (cluster, upkeep) = (&join.cluster, upkeep.clone());
                let opened = Publisher::open(&client, cluster, formers, upkeep, epoch).await;
                Some(opened.map_err(|error| why(&error))?)
            }
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
            by_id: RefCell::default(),
            stores: Rc::default(),
            upkeep,
            is_guest,
        });
        Ok((side, words, pulses, ears))
    }

    async fn go(
        self: Rc<Self>,
        mut words: Words,
        mut pulses: Words,
        mut ears: Option<queue::Ears>,
        mut events: UnboundedReceiver<Event>,
        commands: &mut UnboundedReceiver<Command>,
    ) {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Since when the server cannot be reached.
        let mut lost = None;
        let over = 'serving: loop {
            tokio::select! {
                word = words.next() => match word {
                    Some(word) => self.hears(&word),
                    None => break Over::Cluster,
                },
                pulse = pulses.next() => if let Some(pulse) = pulse {
                    self.feels(&pulse);
                },
                told = queue::told(&mut ears) => self.told_of_queue(told),
                command = commands.recv() => {
                    // Nobody has said that the cluster ends.
                    let mut next = command.or(Some(Command::Leave));
                    // All that there are, before anybody else's turn.
                    while let Some(command) = next {
                        if let ControlFlow::Break(over) = self.command(command) {
                            break 'serving over;
                        }
                        next = commands.try_recv().ok();
                    }
                },
                event = events.recv() => match event {
                    Some(Event::Connected) => {
                        lost = None;
                        self.upkeep.answers();
                        self.upkeep.look();
                        // Nodes wait for it.
                        let _ = tokio::time::timeout(BEAT, self.beat()).await;
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
                        // It is started again.
                        Some(since) if since.elapsed() > STILL && self.upkeep.end() => {}
                        Some(_) => {}
                    }
                    if let Some(publisher) = &self.publisher {
                        publisher.look_at(self.upkeep.look());
                    }
                }
            }
        };
        if matches!(over, Over::Session) {
            if let Some(publisher) = &self.publisher {
                // The next session finds no job that this one has dropped, and nodes are told to stop.
                let _ = tokio::time::timeout(GOING, publisher.until_dropped()).await;
                while let Some(Ok(word)) = ears.as_mut().map(|ears| ears.words.try_recv()) {
                    self.told_of_queue(word);
                }
            }
            self.say_to_all(&ToNode::Leave);
        }
        // What has been queued goes; nobody waits longer for what does not.
        tokio::time::sleep(Duration::from_millis(5)).await;
        let _ = tokio::time::timeout(Duration::from_millis(200), self.client.flush()).await;
        if let (Over::Cluster, true, true) = (over, self.is_guest, self.publisher.is_some()) {
            let going = queue::leave_nothing(&self.client, &self.cluster);
            let _ = tokio::time::timeout(GOING, going).await;
        }
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
            has_room: self.upkeep.has_room(),
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

    fn engine(&self, node: NodeId, engine: EngineId) -> Option<(Rc<Peer>, Rc<Proxy>)> {
        let peer = self.peer(node)?;
        let proxy = peer.engines.borrow().get(&engine).cloned()?;
        Some((peer, proxy))
    }

    fn peer(&self, id: NodeId) -> Option<Rc<Peer>> {
        self.by_id.borrow().get(&id).cloned()
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
            values: RefCell::default(),
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
        self.by_id.borrow_mut().insert(peer.id, peer.clone());
        self.peers.borrow_mut().insert(number, peer.clone());
        peer
    }

    /// Breaks with the last one.
    fn command(&self, command: Command) -> ControlFlow<Over> {
        match command {
            Command::Quit => {
                self.say_to_all(&ToNode::Bye);
                return ControlFlow::Break(Over::Cluster);
            }
            Command::Leave => return ControlFlow::Break(Over::Session),
            Command::Lost(why) => {
                self.is_lost.set(true);
                if let Some(publisher) = &self.publisher {
                    publisher.lose(&why);
                }
                self.give_all_up(&why);
            }
            Command::Launch(launch) => self.launch(*launch),
            Command::Say(node, engine, said) => {
                if let Some((peer, proxy)) = self.engine(node, engine) {
                    let (message, payload) = *said;
                    proxy.say(&peer, message, payload);
                }
            }
            Command::LetGo(node, engine) => {
                if let Some(peer) = self.peer(node) {
                    peer.let_go(engine);
                }
            }
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
        }
        ControlFlow::Continue(())
    }

    fn launch(&self, launch: Launch) {
        let Launch {
            node,
            engine,
            id,
            rank,
            size,
            pool,
            mut environment,
            folder,
            is_held,
            seat,
        } = launch;
        let gone = |why: NodeFault| {
            seat.ended(DeathCause::NodeGone {
                host: self.nodes.host(node),
                why,
            });
        };
        let Some(peer) = self.peer(node) else {
            return gone(NodeFault::Ended);
        };
        let proxy = Rc::new(Proxy::new(engine, seat.clone()));
        peer.engines.borrow_mut().insert(engine, proxy.clone());
        for (name, value) in &environment {
            self.stores.note(name, value.as_deref());
        }
        environment.push((HOST.to_owned(), Some(self.nodes.host(node))));
        peer.post.send(&ToNode::Start {
            engine,
            id,
            rank,
            size,
            pool,
            environment,
            folder,
            is_held,
        });
        spawn_local(proxy.serve(peer));
    }
}
