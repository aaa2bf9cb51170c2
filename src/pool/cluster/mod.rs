//! Engines on other hosts. A host's part is a *node*: a process that runs engines there and carries what they say. Session
//! and nodes speak through a NATS server. Unless it is told otherwise, the session starts one for itself, and nodes reach it
//! through the connection by which they were started, so that no port is open to anybody else. To the hub an engine of a node
//! is one like any other, but without a connection of its own: it is heard through a seat.

mod allowed;
mod aside;
mod backbone;
mod body;
mod bring;
mod carry;
mod certificate;
mod cipher;
mod configured;
mod content;
mod credit;
mod home;
mod joins;
pub mod keep;
mod kept;
mod launch;
mod libraries;
mod line;
mod listen;
mod message;
pub mod node;
mod nodes;
mod ordered;
mod pace;
mod page;
mod post;
mod processor;
mod proxy;
pub mod queue;
mod remote;
mod seat;
mod server;
mod session;
mod shelf;
mod slurm;
mod tunnel;
mod upkeep;
mod users;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::Launch;
use super::ears::Ears;
use super::link::Link;
use super::process::Environment;
use crate::ids::{EngineId, JobId, Rank};
use crate::outcome::{NodeFault, ServerFault, SlurmState};
use crate::servers::Tries;
use backbone::Backbone;
pub use backbone::Which;
use home::{Home, Own};
pub use launch::{Wanted, Way};
pub use listen::Listen;
use message::Join;
use nodes::Nodes;
pub use nodes::{MOST as MOST_ON_HOST, NodeId, NodeState, NodeStatus};
use queue::{Formers, Results};
use remote::Remote;
use seat::Seat;
use session::Command;
pub use slurm::{Asked, Surroundings, address as slurm_address};

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a node may take to come, the time for the program to get there not counted.
const COMING: Duration = Duration::from_secs(30);

/// A cluster: its server, and the nodes that there are. All of it ends when this is dropped, but for what is kept.
pub struct Cluster {
    nodes: Arc<Nodes>,
    commands: UnboundedSender<Command>,
    thread: Option<JoinHandle<()>>,
    /// Processes of engines that nodes were asked for.
    launched: AtomicU32,
    formers: Arc<Formers>,
    /// By which hosts are reached with ssh: the last that were given.
    ssh_options: Mutex<Vec<String>>,
    home: Home,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").finish_non_exhaustive()
    }
}

impl Cluster {
    /// Starts a server, found on this `PATH`, and connects to it. `is_durable`: maps go through its queue. `waker` is woken when
    /// a node comes or goes.
    pub fn open(
        path: Option<&str>,
        which: &Which,
        is_durable: bool,
        waker: Waker,
    ) -> Result<Self, ServerFault> {
        let mut server = Backbone::open(path, which, is_durable, Tries::Few, server::own_folder)?;
        let (session, folder) = (server.session().clone(), server.folder());
        let connected = connect(&session, folder, waker, || server.has_ended());
        let connected = connected.map_err(|why| server.failed(&why))?;
        let home = Home::Own(Box::new(Own::with(server)));
        Ok(Self::at(home, connected))
    }

    fn at(home: Home, connected: Connected) -> Self {
        let Connected {
            nodes,
            formers,
            commands,
            thread,
        } = connected;
        Self {
            nodes,
            commands,
            thread: Some(thread),
            launched: AtomicU32::new(0),
            formers,
            ssh_options: Mutex::default(),
            home,
        }
    }

    /// Whether its nodes take maps from a queue, which outlives the session.
    pub fn is_durable(&self) -> bool {
        self.home.is_durable()
    }

    /// Jobs on its server that are no map of this session's.
    pub fn formers(&self) -> &Formers {
        &self.formers
    }

    /// The results of one of them, when they are read.
    pub fn results_of(&self, job: JobId) -> Receiver<io::Result<Results>> {
        let (told, results) = channel();
        self.order(queue::Order::Results(job, told));
        results
    }

    /// No more of such a job is done; what was done stays.
    pub fn cancel_former(&self, job: JobId) {
        self.formers.cancelled(job);
        self.order(queue::Order::Empty(job));
    }

    /// Nothing of such a job stays.
    pub fn drop_former(&self, job: JobId) {
        self.order(queue::Order::Close(job));
    }

    /// What its queue is to do.
    pub(super) fn order(&self, order: queue::Order) {
        self.tell(Command::Order(order));
    }

    /// Has Slurm start nodes, asked from there.
    pub fn submit(&self, asked: &Asked, from: Surroundings) -> io::Result<()> {
        { self.home.submit(asked, from) }.map_err(|error| self.why_lost(error))
    }

    /// When the session has the cluster no more, why.
    fn why_lost(&self, error: io::Error) -> io::Error {
        match error.kind() {
            io::ErrorKind::NotConnected => io::Error::other(self.nodes.why_none()),
            _ => error,
        }
    }

    /// How what Slurm was asked for stands, and how many nodes it will be, when that is known.
    pub fn submitted(&self) -> Option<(SlurmState, Option<u32>)> {
        self.home.submitted()
    }

    /// What Slurm was asked for last is not wanted any more.
    pub fn recall(&self) {
        self.home.recall();
    }

    /// What nodes join by that are started by hand: a URL, in which words stand for the user, or a file.
    pub fn way_in(&self) -> io::Result<String> {
        self.home.way_in().map_err(|error| self.why_lost(error))
    }

    /// Whether some may come by themselves that are not known here.
    pub fn is_open(&self) -> bool {
        self.home.is_open()
    }

    /// Whether cells are compiled for this host's processor from now on; an error names the nodes that could not run them.
    pub fn are_for_this_processor(&self, native: bool) -> Result<(), Vec<(String, NodeFault)>> {
        self.nodes.are_for_this_processor(native)
    }

    /// Writes what nodes need that are started by hand, to this file or to one beside the server's.
    pub fn join_file(&self, path: Option<&Path>) -> io::Result<Invitation> {
        let file = { self.home.join_file(path) }.map_err(|error| self.why_lost(error))?;
        let join = joins::read(std::fs::File::open(&file)?).map_err(io::Error::other)?;
        let is_for_others = join.is_reached();
        Ok(Invitation {
            file,
            is_for_others,
        })
    }

    /// Tells nodes that the hub has written into the pool's world.
    pub(super) fn world_bell(&self) -> WorldBell {
        WorldBell(self.commands.clone())
    }

    /// Begins to start a node; what comes of it shows in [`Self::nodes`]. It is reached as `wanted` says then.
    pub fn add(&self, wanted: &mut Wanted) -> NodeId {
        self.complete(&mut wanted.way);
        let Wanted { host, way, slots } = &*wanted;
        match &self.home {
            Home::Own(own) => own.add(&self.nodes, &self.commands, host, way, *slots),
            Home::Kept(kept) => kept.add(&self.nodes, host, way, *slots),
        }
    }

    /// Reached as the hosts before it, unless it says otherwise.
    fn complete(&self, way: &mut Way) {
        let mut known = { self.ssh_options.lock() }.unwrap_or_else(PoisonError::into_inner);
        match way {
            Way::Ssh { options, .. } if options.is_empty() => options.clone_from(&known),
            Way::Ssh { options, .. } => known.clone_from(options),
            Way::Launcher(_) => {}
        }
    }

    /// By their numbers.
    pub fn nodes(&self) -> Vec<NodeStatus> {
        self.nodes.all()
    }

    /// Gives up the nodes that do not come.
    pub fn look_for_late(&self) {
        for (node, patience) in self.nodes.late() {
            self.nodes.is_late(node, patience);
            // Should it come after all, it is none.
            self.home.drop_node(&self.nodes, node);
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

    /// The nodes of this host that are up: by their names, or by the host of `user@host`.
    pub fn nodes_of(&self, host: &str) -> Vec<NodeId> {
        self.nodes.of_host(host, |state| *state == NodeState::Up)
    }

    /// Nodes of a host that are gone are not listed any more; whether there were any.
    pub fn forget(&self, host: &str) -> bool {
        let is_listed =
            |state: &NodeState| matches!(state, NodeState::Gone(why) if *why != NodeFault::Removed);
        let gone = self.nodes.of_host(host, is_listed);
        gone.iter().for_each(|node| self.nodes.forget(*node));
        !gone.is_empty()
    }

    /// Engines that nodes could run and do not.
    pub fn free(&self) -> u32 {
        let free = |node: &NodeStatus| node.slots().saturating_sub(node.ranks.len() as u32);
        let all = self.nodes.all();
        all.iter()
            .filter(|node| node.state == NodeState::Up)
            .map(free)
            .sum()
    }

    /// A node that has no engines any more goes.
    pub fn remove(&self, node: NodeId) {
        // From now on nobody asks it for anything; its end comes later.
        self.nodes.gone(node, NodeFault::Removed);
        self.tell(Command::Gone(node, NodeFault::Removed));
        self.home.drop_node(&self.nodes, node);
    }

    /// Engines have other ranks now, or none.
    pub fn renumber(&self, now: impl Fn(Rank) -> Option<Rank>) {
        self.nodes.renumber(now);
    }

    /// The pool has engines of these ranks alone now.
    pub fn has_size(&self, size: u32) {
        self.nodes.renumber(|rank| (rank.0 < size).then_some(rank));
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
        ears: &Ears,
    ) -> io::Result<Box<dyn Link>> {
        let node = self.nodes.place(launch.rank);
        let node = node.ok_or_else(|| io::Error::other(self.nodes.why_none()))?;
        let seat = Arc::new(Seat::new(launch.id, ears.clone()));
        let engine = EngineId(self.launched.fetch_add(1, Ordering::Relaxed));
        self.tell(Command::Launch(Box::new(session::Launch {
            node,
            engine,
            id: launch.id,
            rank: launch.rank,
            size: launch.size,
            pool: launch.pool.clone(),
            environment: environment.changes(),
            // As a process here would.
            folder: std::env::current_dir().ok(),
            is_held: launch.begins || launch.init.is_some(),
            seat: seat.clone(),
        })));
        Ok(Box::new(Remote {
            engine,
            node,
            seat,
            cluster: self.clone(),
            runs: 0,
            unheard: 0,
        }))
    }
}

/// A file to join with.
#[derive(Debug)]
pub struct Invitation {
    pub file: PathBuf,
    /// Other hosts reach the server.
    pub is_for_others: bool,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        match &self.home {
            Home::Kept(kept) => {
                self.tell(Command::Leave);
                if !kept.is_kept() {
                    // It ends with its lease at the latest.
                    let _ = self.end();
                }
            }
            Home::Own(_) => self.tell(Command::Quit),
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Connected {
    nodes: Arc<Nodes>,
    formers: Arc<Formers>,
    commands: UnboundedSender<Command>,
    thread: JoinHandle<()>,
}

/// Connects to a server on a thread of its own. `folder`: the server's, when it is the cluster's own. `has_ended`: the server's
/// last words, should it not run any more.
fn connect(
    join: &Join,
    folder: Option<PathBuf>,
    waker: Waker,
    mut has_ended: impl FnMut() -> Option<String>,
) -> Result<Connected, String> {
    let formers = Arc::new(Formers::new(waker.clone()));
    let nodes = Arc::new(Nodes::new(waker));
    let (commands, received) = unbounded_channel();
    let (told, connected) = channel();
    let thread = std::thread::Builder::new()
        .name("cluster".to_owned())
        .spawn({
            let (join, nodes, formers) = (join.clone(), nodes.clone(), formers.clone());
            move || {
                session::serve(&join, folder, (&nodes, formers), received, |result| {
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
    answer.map(|()| Connected {
        nodes,
        formers,
        commands,
        thread,
    })
}

/// See [`Cluster::world_bell`].
pub(super) struct WorldBell(UnboundedSender<Command>);

impl WorldBell {
    pub fn ring(&self) {
        // Of a cluster that has ended too.
        let _ = self.0.send(Command::WorldChanged);
    }
}

/// Ends something that may take its time.
fn drop_aside<T: Send + 'static>(what: T) {
    do_aside(move || drop(what));
}

/// Does what may take its time: beside the caller, unless there is no thread for it.
fn do_aside<W: FnOnce() + Send + 'static>(work: W) {
    let (give, given) = channel::<W>();
    let thread = std::thread::Builder::new().spawn(move || {
        if let Ok(work) = given.recv() {
            work();
        }
    });
    match thread {
        Ok(_) => drop(give.send(work)),
        Err(_) => work(),
    }
}
