//! Who has the server of a cluster and the connections to its nodes: the session, or a process that outlives it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::backbone::Backbone;
use super::joins::JoinFiles;
use super::keep::{self, Answer, Grant, Held};
use super::launch::{self, Reached, Way};
use super::nodes::{NodeId, Nodes};
use super::session::Command;
use super::slurm::{Asked, Slurm};
use super::{Cluster, connect};
use crate::outcome::{KeepFault, NodeFault, SlurmState};

pub enum Home {
    Own(Box<Own>),
    Kept(Box<Kept>),
}

impl Home {
    /// Whether its nodes take maps from a queue. What is kept has one always.
    pub fn is_durable(&self) -> bool {
        match self {
            Self::Own(own) => own.server.session().is_durable,
            Self::Kept(_) => true,
        }
    }

    /// What only a session has that ends with the cluster.
    pub fn own(&self) -> io::Result<&Own> {
        match self {
            Self::Own(own) => Ok(own),
            Self::Kept(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// The connection to the node ends, and so does its right to one.
    pub fn drop_node(&self, nodes: &Nodes, node: NodeId) {
        let number = nodes.number(node);
        match self {
            Self::Own(own) => {
                let is_it = |(of, _): &mut (NodeId, Reached)| *of == node;
                let gone: Vec<_> = own.reached().extract_if(.., is_it).collect();
                if self.is_durable() {
                    // It gives back what it has.
                    gone.iter().for_each(|(_, reached)| reached.ends());
                }
                // A server that cannot be told is none for anybody.
                let _ = number.map(|number| own.server.dismiss(number));
            }
            Self::Kept(kept) => {
                if let Some(number) = number {
                    kept.held.drop_node(number);
                }
            }
        }
    }
}

/// The session has them, until the cluster ends.
pub struct Own {
    reached: Mutex<Vec<(NodeId, Reached)>>,
    slurm: Mutex<Option<Slurm>>,
    files: JoinFiles,
    server: Backbone,
}

impl Own {
    pub fn with(server: Backbone) -> Self {
        Self {
            reached: Mutex::default(),
            slurm: Mutex::default(),
            files: JoinFiles::default(),
            server,
        }
    }

    fn reached(&self) -> MutexGuard<'_, Vec<(NodeId, Reached)>> {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slurm(&self) -> MutexGuard<'_, Option<Slurm>> {
        self.slurm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`Cluster::submit`].
    pub fn submit(&self, asked: &Asked, path: Option<&str>) -> io::Result<()> {
        let write = |file: &Path| self.join_file(Some(file)).map(drop);
        let slurm = Slurm::start(asked, path, write)?;
        *self.slurm() = Some(slurm);
        Ok(())
    }

    /// See [`Cluster::submitted`].
    pub fn submitted(&self) -> Option<(SlurmState, Option<u32>)> {
        let mut slurm = self.slurm();
        let slurm = slurm.as_mut()?;
        Some((slurm.look(), slurm.nodes))
    }

    /// See [`Cluster::way_in`].
    pub fn way_in(&self) -> io::Result<String> {
        match self.server.url() {
            Some(url) => Ok(url),
            None => Ok(self.join_file(None)?.display().to_string()),
        }
    }

    /// See [`Cluster::join_file`].
    pub fn join_file(&self, path: Option<&Path>) -> io::Result<PathBuf> {
        self.files.write(&self.server, path)
    }

    /// See [`Cluster::add`].
    pub fn add(
        &self,
        nodes: &Arc<Nodes>,
        commands: &UnboundedSender<Command>,
        host: &str,
        way: &Way,
        slots: Option<u32>,
    ) -> NodeId {
        let (node, number) = nodes.expect(host, 0);
        let mut join = match self.server.admit(number) {
            Ok(join) => join,
            Err(error) => {
                nodes.gone(node, NodeFault::Says(error.to_string()));
                return node;
            }
        };
        join.slots = slots;
        if matches!(way, Way::Ssh { .. }) {
            join.host = Some(host.to_owned());
        }
        let (told, commands) = (nodes.clone(), commands.clone());
        let tried = move |is_waited_for| told.waited_for(node, is_waited_for);
        let ended = move |why| {
            // Of a cluster that has ended too.
            let _ = commands.send(Command::Gone(node, why));
        };
        match launch::start(way, join, self.server.tunnel(), tried, ended) {
            Ok(reached) => self.reached().push((node, reached)),
            Err(error) => drop(nodes.gone(node, NodeFault::Says(error.to_string()))),
        }
        node
    }
}

/// A process has them that outlives the session.
pub struct Kept {
    held: Held,
    /// It is a pool's; before that it ends with what could not be started.
    is_kept: AtomicBool,
    /// Another session has it, or nobody keeps it any more.
    is_lost: Arc<AtomicBool>,
    /// The numbers of nodes begin here.
    first: u32,
}

impl Kept {
    pub fn add(&self, nodes: &Nodes, host: &str, way: &Way, slots: Option<u32>) -> NodeId {
        let (node, number) = nodes.expect(host, self.first);
        self.held.add(number, host, way, slots);
        node
    }

    pub fn is_kept(&self) -> bool {
        self.is_kept.load(Ordering::Relaxed)
    }
}

/// Clusters that outlive their session.
impl Cluster {
    /// Opens one, which goes on without a session for as long as the lease.
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
        let connected = connect(&grant.session, Some(held.data.clone()), waker, || None)
            .map_err(KeepFault::Failed)?;
        let (nodes, commands) = (&connected.nodes, &connected.commands);
        for (number, host) in grant.nodes {
            nodes.expect_as(number, &host);
        }
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
        let home = Home::Kept(Box::new(Kept {
            held,
            is_kept: AtomicBool::new(false),
            is_lost,
            first: grant.first,
        }));
        Ok(Self::at(home, connected))
    }

    /// Its name and its lease, when it outlives the session.
    pub fn kept(&self) -> Option<(&str, Duration)> {
        self.held().map(|held| (held.name.as_str(), held.lease))
    }

    /// What this session has of a cluster that outlives it, as long as it has it.
    fn held(&self) -> Option<&Held> {
        match &self.home {
            Home::Kept(kept) => (!kept.is_lost.load(Ordering::Relaxed)).then_some(&kept.held),
            Home::Own(_) => None,
        }
    }

    /// From now on what is kept goes on when the session ends.
    pub fn keep_on(&self) {
        if let Home::Kept(kept) = &self.home {
            kept.is_kept.store(true, Ordering::Relaxed);
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
