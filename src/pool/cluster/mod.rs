//! Engines on other hosts. A host's part is a *node*: a process that runs engines there and carries what they say. Session
//! and nodes speak through a NATS server that the session starts for itself; nodes reach it through the connection by
//! which they were started, so that no port is open to anybody else. To the hub an engine of a node is one like any other:
//! a proxy stands at the other end of its connection.

mod carry;
pub mod keep;
mod launch;
mod libraries;
mod line;
mod message;
pub mod node;
mod nodes;
mod ordered;
mod post;
mod proxy;
mod seat;
mod server;
mod session;

use std::fmt;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::Launch;
use super::link::Link;
use super::process::Environment;
use super::wires::Wires;
use crate::ids::{EngineId, JobId, Rank};
use crate::outcome::{DeathCause, KeepFault, NodeFault, Stream};
use crate::wire::{Channel, FromEngine, Payload, ToEngine, WireError};
use keep::{Answer, Grant, Held};
use launch::Reached;
pub use launch::Way;
use message::{Join, ToNode};
use nodes::Nodes;
pub use nodes::{NodeId, NodeState, NodeStatus};
use proxy::Ends;
use seat::Seat;
use server::Private;
pub use server::ServerError;
use session::Command;

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a node may take to come, the time for the program to get there not counted.
const COMING: Duration = Duration::from_secs(30);

/// A cluster: its server, and the nodes that there are. All of it ends when this is dropped, but for what is kept.
pub struct Cluster {
    nodes: Arc<Nodes>,
    commands: UnboundedSender<Command>,
    thread: Option<JoinHandle<()>>,
    home: Home,
}

/// Who has the server and the connections to the nodes.
enum Home {
    /// This session.
    Own {
        reached: Mutex<Vec<(NodeId, Reached)>>,
        server: Box<Private>,
    },
    /// A process that outlives it.
    Kept {
        held: Held,
        /// It is a pool's; before that it ends with what could not be started.
        is_kept: AtomicBool,
        /// Another session has it, or nobody keeps it any more.
        is_lost: Arc<AtomicBool>,
        /// The numbers of nodes begin here.
        first: u32,
    },
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").finish_non_exhaustive()
    }
}

impl Cluster {
    /// Starts a server, found on this `PATH`, and connects to it. `waker` is woken when a node comes or goes.
    pub fn open(path: Option<&str>, waker: Waker) -> Result<Self, ServerError> {
        let mut server = Private::start(path)?;
        let failed = |why: String| ServerError::Start(io::Error::other(why));
        let join = server.session.clone();
        let has_ended = || match server.server.has_ended() {
            true => Some(server.server.last_words().unwrap_or_default()),
            false => None,
        };
        let (nodes, commands, thread) = connect(&join, waker, has_ended).map_err(failed)?;
        Ok(Self {
            nodes,
            commands,
            thread: Some(thread),
            home: Home::Own {
                reached: Mutex::default(),
                server: Box::new(server),
            },
        })
    }

    /// The same of a cluster that outlives the session: without one it goes on for as long as the lease.
    pub fn keep(
        path: Option<&str>,
        name: &str,
        lease: Duration,
        waker: Waker,
    ) -> Result<Self, KeepFault> {
        let cluster = Self::of(Held::start(path, name, lease)?, waker);
        if cluster.is_err() {
            // It may be what has failed.
            let _ = keep::end(name);
        }
        cluster
    }

    /// Takes a cluster that has outlived its session; with `steal` also one that another session has.
    pub fn attach(name: &str, steal: bool, waker: Waker) -> Result<Self, KeepFault> {
        let cluster = Self::of(Held::attach(name, steal)?, waker)?;
        cluster.keep_on();
        Ok(cluster)
    }

    fn of((held, grant): (Held, Grant), waker: Waker) -> Result<Self, KeepFault> {
        let failed = |error: io::Error| KeepFault::Failed(error.to_string());
        let (nodes, commands, thread) =
            connect(&grant.session, waker, || None).map_err(KeepFault::Failed)?;
        for (number, host) in grant.nodes {
            nodes.expect_as(number, &host);
        }
        let first = grant.first;
        let is_lost = Arc::new(AtomicBool::new(false));
        held.listen({
            let (nodes, commands, is_lost) = (nodes.clone(), commands.clone(), is_lost.clone());
            move |answer| {
                if let None | Some(Answer::TakenOver { .. }) = answer {
                    is_lost.store(true, Ordering::Relaxed);
                }
                hears(answer, &nodes, &commands);
            }
        })
        .map_err(failed)?;
        Ok(Self {
            nodes,
            commands,
            thread: Some(thread),
            home: Home::Kept {
                held,
                is_kept: AtomicBool::new(false),
                is_lost,
                first,
            },
        })
    }

    /// Its name and its lease, when it outlives the session.
    pub fn kept(&self) -> Option<(&str, Duration)> {
        self.held().map(|held| (held.name.as_str(), held.lease))
    }

    /// What this session has of a cluster that outlives it, as long as it has it.
    fn held(&self) -> Option<&Held> {
        match &self.home {
            Home::Kept { held, is_lost, .. } => (!is_lost.load(Ordering::Relaxed)).then_some(held),
            Home::Own { .. } => None,
        }
    }

    /// From now on what is kept goes on when the session ends.
    pub fn keep_on(&self) {
        if let Home::Kept { is_kept, .. } = &self.home {
            is_kept.store(true, Ordering::Relaxed);
        }
    }

    /// The session ends, and the cluster does not. Nothing is said to its nodes any more.
    pub fn leave(&self) {
        self.tell(Command::Leave);
    }

    /// Ends it, also when it is kept.
    pub fn end(&self) -> Result<(), KeepFault> {
        self.held().map_or(Ok(()), Held::end)
    }

    /// Begins to start a node; what comes of it shows in [`Self::nodes`].
    pub fn add(&self, host: &str, way: &Way, slots: Option<u32>) -> NodeId {
        let (reached, server) = match &self.home {
            Home::Own { reached, server } => (reached, server),
            Home::Kept { held, first, .. } => {
                let (node, number) = self.nodes.expect(host, *first);
                held.add(number, host, way, slots);
                return node;
            }
        };
        let (node, number) = self.nodes.expect(host, 0);
        let mut join = server.node.clone();
        (join.node, join.slots) = (Some(number), slots);
        if matches!(way, Way::Ssh { .. }) {
            join.host = Some(host.to_owned());
        }
        let (nodes, commands) = (self.nodes.clone(), self.commands.clone());
        let tried = move |is_waited_for| nodes.waited_for(node, is_waited_for);
        let ended = move |why| {
            // Of a cluster that has ended too.
            let _ = commands.send(Command::Gone(node, why));
        };
        match launch::start(way, join, server.port, tried, ended) {
            Ok(it) => lock(reached).push((node, it)),
            Err(error) => drop(self.nodes.gone(node, NodeFault::Says(error.to_string()))),
        }
        node
    }

    /// By their numbers.
    pub fn nodes(&self) -> Vec<NodeStatus> {
        self.nodes.all()
    }

    /// Gives up the nodes that do not come.
    pub fn look_for_late(&self) {
        for node in self.nodes.late(COMING) {
            let seconds = COMING.as_secs();
            self.nodes.gone(node, NodeFault::Silent { seconds });
            match &self.home {
                Home::Own { reached, .. } => lock(reached).retain(|(of, _)| *of != node),
                Home::Kept { held, .. } => {
                    { self.nodes.number(node).into_iter() }.for_each(|it| held.drop_node(it));
                }
            }
        }
    }

    /// Where the engine of this rank is.
    pub fn host_of(&self, rank: Rank) -> Option<String> {
        let nodes = self.nodes.all();
        nodes
            .into_iter()
            .find(|node| node.ranks.contains(&rank))
            .map(|node| node.host)
    }

    /// The pool has engines of these ranks alone now.
    pub fn has_size(&self, size: u32) {
        self.nodes.without(|rank| rank.0 >= size);
    }

    fn tell(&self, command: Command) {
        // Its thread lives as long as this.
        let _ = self.commands.send(command);
    }

    /// An engine on one of the nodes.
    pub(super) fn launch(
        self: &Arc<Self>,
        launch: &Launch,
        environment: &Environment,
    ) -> io::Result<Box<dyn Link>> {
        let node = self.nodes.place(launch.rank);
        let node = node.ok_or_else(|| io::Error::other(self.nodes.why_none().to_string()))?;
        let (ours, theirs) = UnixStream::pair()?;
        let (stdout, out) = io::pipe()?;
        let (stderr, err) = io::pipe()?;
        let pipes = [stdout, stderr].map(|pipe| Some(OwnedFd::from(pipe)));
        let wires = Wires::open(Channel::new(ours), pipes, launch)?;
        let seat = Arc::new(Seat::default());
        self.tell(Command::Launch(Box::new(session::Launch {
            node,
            engine: launch.id,
            rank: launch.rank,
            size: launch.size,
            pool: launch.pool.clone(),
            environment: environment.changes(),
            ends: Ends {
                channel: Channel::new(theirs),
                pipes: [out.into(), err.into()],
                seat: seat.clone(),
            },
        })));
        Ok(Box::new(Remote {
            engine: launch.id,
            node,
            wires,
            seat,
            cluster: self.clone(),
        }))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        match &self.home {
            Home::Kept { is_kept, .. } => {
                self.tell(Command::Leave);
                if !is_kept.load(Ordering::Relaxed) {
                    // It ends with its lease at the latest.
                    let _ = self.end();
                }
            }
            Home::Own { .. } => self.tell(Command::Quit),
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Connected = (Arc<Nodes>, UnboundedSender<Command>, JoinHandle<()>);

/// Connects to a server on a thread of its own. `has_ended`: the server's last words, should it not run any more.
fn connect(
    join: &Join,
    waker: Waker,
    mut has_ended: impl FnMut() -> Option<String>,
) -> Result<Connected, String> {
    let nodes = Arc::new(Nodes::new(waker));
    let (commands, received) = unbounded_channel();
    let (told, connected) = channel();
    let thread = std::thread::Builder::new()
        .name("cluster".to_owned())
        .spawn({
            let (join, nodes) = (join.clone(), nodes.clone());
            move || {
                session::serve(&join, &nodes, received, |result| {
                    // Who has given up takes no answer.
                    let _ = told.send(result);
                });
            }
        });
    let thread = thread.map_err(|error| error.to_string())?;
    let answer = loop {
        match connected.recv_timeout(Duration::from_millis(50)) {
            Ok(answer) => break answer,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                if let Some(said) = has_ended() {
                    return Err(said);
                }
            }
            Err(error) => return Err(error.to_string()),
        }
    };
    answer.map(|()| (nodes, commands, thread))
}

/// What the holder of a kept cluster says.
fn hears(answer: Option<Answer>, nodes: &Nodes, commands: &UnboundedSender<Command>) {
    // Nobody is told whose cluster has ended.
    let tell = |command| drop(commands.send(command));
    match answer {
        None => tell(Command::Lost(NodeFault::NoHolder)),
        Some(Answer::TakenOver { by }) => tell(Command::Lost(NodeFault::TakenOver { pid: by.pid })),
        Some(Answer::Tried {
            number,
            is_waited_for,
        }) => {
            if let Some(node) = nodes.of(number) {
                nodes.waited_for(node, is_waited_for);
            }
        }
        Some(Answer::Gone { number, why }) => {
            if let Some(node) = nodes.of(number) {
                tell(Command::Gone(node, why));
            }
        }
        Some(Answer::Again { number, host }) => nodes.expect_as(number, &host),
        Some(Answer::Status(_) | Answer::Granted(_) | Answer::Refused { .. }) => {}
    }
}

/// An engine of a node, as the hub has it.
struct Remote {
    engine: EngineId,
    node: NodeId,
    wires: Wires,
    seat: Arc<Seat>,
    cluster: Arc<Cluster>,
}

impl Remote {
    fn tell(&self, message: ToNode) {
        self.cluster.tell(Command::Tell(self.node, message));
    }
}

impl Link for Remote {
    fn send(&mut self, message: &ToEngine, payload: &Payload) {
        self.wires.send(message, payload);
    }

    fn flush(&mut self) {
        self.wires.flush();
    }

    fn wants_to_write(&self) -> bool {
        self.wires.wants_to_write()
    }

    fn hear(&mut self) -> (Vec<(FromEngine, Payload)>, Option<WireError>) {
        self.wires.hear()
    }

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        Some(self.wires.socket())
    }

    fn pipe(&self, stream: Stream) -> Option<BorrowedFd<'_>> {
        self.wires.pipe(stream)
    }

    fn read_printed(&mut self, stream: Stream, at_most: usize, to: &mut Vec<u8>) {
        self.wires.read_printed(stream, at_most, to);
    }

    fn at(&self, job: JobId) -> Option<(u64, u64)> {
        self.wires.at(job)
    }

    fn said(&self, place: usize) -> String {
        self.wires.said(place)
    }

    fn stop_job(&self, job: JobId) {
        let engine = self.engine;
        self.tell(ToNode::StopJob { engine, job });
    }

    fn end_waits(&self) -> bool {
        let engine = self.engine;
        let waits = self.wires.end_waits();
        if waits {
            self.tell(ToNode::EndWaits { engine });
        }
        waits
    }

    fn signal(&self, signal: Signal) {
        let (engine, signal) = (self.engine, signal as i32);
        self.tell(ToNode::Signal { engine, signal });
    }

    fn has_ended(&mut self) -> Option<DeathCause> {
        self.seat.cause()
    }

    fn bury(&mut self, patience: Duration) -> DeathCause {
        if let Some(cause) = self.seat.wait(patience) {
            return cause;
        }
        self.signal(Signal::SIGKILL);
        self.seat.ended(DeathCause::Unknown);
        self.seat.cause().unwrap_or(DeathCause::Unknown)
    }

    fn pid(&self) -> u32 {
        self.seat.pid()
    }

    fn memory(&self) -> Option<u64> {
        self.seat.memory()
    }
}
