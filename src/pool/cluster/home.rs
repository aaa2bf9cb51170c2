//! Who has the server of a cluster and the connections to its nodes: the session, or a process that outlives it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::UnboundedSender;

use super::backbone::Backbone;
use super::joins::JoinFiles;
use super::kept::Kept;
use super::launch::{self, Reached, Way};
use super::nodes::{NodeId, Nodes};
use super::server::wait_until_taken;
use super::session::Command;
use super::slurm::{Asked, Slurm, Surroundings};
use super::{do_aside, drop_aside};
use crate::outcome::{NodeFault, SlurmState};

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

    /// See [`Cluster::submit`].
    pub fn submit(&self, asked: &Asked, from: Surroundings) -> io::Result<()> {
        match self {
            Self::Own(own) => own.submit(asked, &from),
            Self::Kept(kept) => kept.submit(asked, from),
        }
    }

    /// See [`Cluster::submitted`].
    pub fn submitted(&self) -> Option<(SlurmState, Option<u32>)> {
        match self {
            Self::Own(own) => own.submitted(),
            Self::Kept(kept) => kept.submitted(),
        }
    }

    /// See [`Cluster::recall`].
    pub fn recall(&self) {
        match self {
            Self::Own(own) => {
                let gone = own.slurm().take();
                gone.into_iter().for_each(drop_aside);
            }
            Self::Kept(kept) => kept.recall(),
        }
    }

    /// See [`Cluster::way_in`].
    pub fn way_in(&self) -> io::Result<String> {
        let url = match self {
            Self::Own(own) => own.server.url(None),
            Self::Kept(kept) => kept.url(),
        };
        match url {
            Some(url) => Ok(url),
            None => Ok(self.join_file(None)?.display().to_string()),
        }
    }

    /// See [`Cluster::join_file`].
    pub fn join_file(&self, path: Option<&Path>) -> io::Result<PathBuf> {
        match self {
            Self::Own(own) => own.join_file(path),
            Self::Kept(kept) => kept.join_file(path),
        }
    }

    /// See [`Cluster::is_open`].
    pub fn is_open(&self) -> bool {
        match self {
            Self::Own(_) => false,
            Self::Kept(kept) => kept.is_open(),
        }
    }

    /// The connection to the node ends, and so does its right to one.
    pub fn drop_node(&self, nodes: &Nodes, node: NodeId) {
        let number = nodes.number(node);
        match self {
            Self::Own(own) => {
                let is_it = |(of, _): &mut (NodeId, Reached)| *of == node;
                let gone: Vec<_> = own.reached().extract_if(.., is_it).collect();
                let is_durable = self.is_durable();
                let server = Arc::downgrade(&own.server);
                do_aside(move || {
                    for (_, reached) in gone {
                        if is_durable {
                            // It gives back what it has.
                            reached.ends();
                        }
                    }
                    // A server that cannot be told is none for anybody, and the cluster may have ended.
                    let server = number.zip(server.upgrade());
                    let _ = server.map(|(number, server)| server.dismiss(number));
                });
            }
            Self::Kept(kept) => {
                if let Some(number) = number {
                    kept.drop_node(number);
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
    server: Arc<Backbone>,
}

impl Own {
    pub fn with(server: Backbone) -> Self {
        Self {
            reached: Mutex::default(),
            slurm: Mutex::default(),
            files: JoinFiles::default(),
            server: Arc::new(server),
        }
    }

    fn reached(&self) -> MutexGuard<'_, Vec<(NodeId, Reached)>> {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slurm(&self) -> MutexGuard<'_, Option<Slurm>> {
        self.slurm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn submit(&self, asked: &Asked, from: &Surroundings) -> io::Result<()> {
        let write = |file: &Path| self.join_file(Some(file)).map(drop);
        let slurm = Slurm::start(asked, from, write)?;
        let before = self.slurm().replace(slurm);
        before.into_iter().for_each(drop_aside);
        Ok(())
    }

    fn submitted(&self) -> Option<(SlurmState, Option<u32>)> {
        self.slurm().as_ref().map(Slurm::look)
    }

    fn join_file(&self, path: Option<&Path>) -> io::Result<PathBuf> {
        let (path, join) = self.files.write(&self.server, path, |join| join)?;
        // Who has the file may use it at once.
        wait_until_taken(&join)?;
        Ok(path)
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
        let (folder, tunnel) = (std::env::current_dir().ok(), self.server.tunnel());
        match launch::start(way, folder, join, tunnel, tried, ended) {
            Ok(reached) => self.reached().push((node, reached)),
            Err(error) => drop(nodes.gone(node, NodeFault::Says(error.to_string()))),
        }
        node
    }
}
