//! Who has the server of a cluster and the connections to its nodes: the session, or a process that outlives it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use super::backbone::{Backbone, Which};
use super::joins::JoinFiles;
use super::keep::{self, Answer, Ask, Grant, Held};
use super::launch::{self, Reached, Way};
use super::nodes::{NodeId, Nodes};
use super::session::Command;
use super::slurm::{Asked, Slurm};
use super::{Cluster, PATIENCE, connect};
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

    /// See [`Cluster::submit`].
    pub fn submit(&self, asked: &Asked, path: Option<&str>) -> io::Result<()> {
        // Where a session has no folder, Slurm has nothing to find there.
        let from = std::env::current_dir().unwrap_or_else(|_| "/".into());
        match self {
            Self::Own(own) => own.submit(asked, &from, path),
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
            Self::Own(own) => drop(own.slurm().take()),
            Self::Kept(kept) => {
                kept.slurm().state = None;
                kept.held.ask(&Ask::Recall);
            }
        }
    }

    /// See [`Cluster::way_in`].
    pub fn way_in(&self) -> io::Result<String> {
        let url = match self {
            Self::Own(own) => own.server.url(None),
            Self::Kept(kept) => kept.url.clone(),
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

    /// See [`Cluster::is_reached`].
    pub fn is_reached(&self) -> bool {
        match self {
            Self::Own(own) => own.server.session().is_reached(),
            Self::Kept(kept) => kept.is_reached,
        }
    }

    /// See [`Cluster::is_open`].
    pub fn is_open(&self) -> bool {
        match self {
            Self::Own(_) => false,
            Self::Kept(kept) => kept.is_open,
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

    fn submit(&self, asked: &Asked, from: &Path, path: Option<&str>) -> io::Result<()> {
        let write = |file: &Path| self.join_file(Some(file)).map(drop);
        let slurm = Slurm::start(asked, from, path, write)?;
        *self.slurm() = Some(slurm);
        Ok(())
    }

    fn submitted(&self) -> Option<(SlurmState, Option<u32>)> {
        let mut slurm = self.slurm();
        let slurm = slurm.as_mut()?;
        Some((slurm.look(), slurm.nodes))
    }

    fn join_file(&self, path: Option<&Path>) -> io::Result<PathBuf> {
        self.files.write(&self.server, path, |join| join)
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
    held: Arc<Held>,
    /// What it answers.
    answers: Mutex<Receiver<Answer>>,
    slurm: Mutex<Submitted>,
    /// What nodes join by that somebody starts, when that is no file.
    url: Option<String>,
    /// See [`Cluster::is_reached`] and [`Cluster::is_open`].
    is_reached: bool,
    is_open: bool,
    /// It is a pool's; before that it ends with what could not be started.
    is_kept: AtomicBool,
    /// Another session has it, or nobody keeps it any more.
    is_lost: Arc<AtomicBool>,
    /// The numbers of nodes begin here.
    first: u32,
}

/// What Slurm has been asked for by this session: how it stands, and when that was asked.
#[derive(Default)]
struct Submitted {
    state: Option<(SlurmState, Option<u32>)>,
    asked: Option<Instant>,
}

/// How often it is asked how that stands.
const ASK: Duration = Duration::from_millis(500);

impl Kept {
    /// What the process answers to the question that `ask` is, as `its` reads it.
    fn answered<T>(
        &self,
        ask: &Ask,
        its: impl Fn(Answer) -> Option<Result<T, String>>,
    ) -> io::Result<T> {
        let answers = { self.answers.lock() }.unwrap_or_else(PoisonError::into_inner);
        self.held.ask(ask);
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let answer = answers.recv_timeout(left);
            let answer = answer.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
            if let Some(answer) = its(answer) {
                return answer.map_err(io::Error::other);
            }
        }
    }

    fn join_file(&self, path: Option<&Path>) -> io::Result<PathBuf> {
        let path = path.map(std::path::absolute).transpose()?;
        self.answered(&Ask::JoinFile { path }, |answer| match answer {
            Answer::JoinFile(written) => Some(written),
            _ => None,
        })
    }

    fn submit(&self, asked: &Asked, from: PathBuf) -> io::Result<()> {
        let asked = asked.clone();
        self.answered(&Ask::Submit { asked, from }, |answer| match answer {
            Answer::Submitted(submitted) => Some(submitted),
            _ => None,
        })?;
        self.slurm().state = Some((SlurmState::Asked, None));
        Ok(())
    }

    fn submitted(&self) -> Option<(SlurmState, Option<u32>)> {
        let mut slurm = self.slurm();
        slurm.state.as_ref()?;
        let answers = { self.answers.lock() }.unwrap_or_else(PoisonError::into_inner);
        for answer in answers.try_iter() {
            if let Answer::Slurm(state, nodes) = answer {
                slurm.state = Some((state, nodes));
            }
        }
        if slurm.asked.is_none_or(|asked| asked.elapsed() >= ASK) {
            slurm.asked = Some(Instant::now());
            self.held.ask(&Ask::Slurm);
        }
        slurm.state.clone()
    }

    fn slurm(&self) -> MutexGuard<'_, Submitted> {
        self.slurm.lock().unwrap_or_else(PoisonError::into_inner)
    }

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
        server: &Which,
        (name, lease): (&str, Duration),
        waker: Waker,
    ) -> Result<Self, KeepFault> {
        let cluster = Self::of(Held::start(path, server, name, lease)?, waker);
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
        let held = Arc::new(held);
        let connected = connect(&grant.session, held.data.clone(), waker, || None)
            .map_err(KeepFault::Failed)?;
        let (nodes, commands) = (&connected.nodes, &connected.commands);
        for (number, host) in grant.nodes {
            nodes.expect_as(number, &host);
        }
        for (seat, host) in &grant.met {
            nodes.expect_met(seat, host);
        }
        // The connection ends with the cluster, not with what is told of its nodes.
        let teller = Arc::downgrade(&held);
        nodes.tell(Box::new(move |seat, host| {
            if let Some(held) = teller.upgrade() {
                held.met(seat, host);
            }
        }));
        let (answered, answers) = channel();
        let is_lost = Arc::new(AtomicBool::new(false));
        held.listen({
            let (nodes, commands, is_lost) = (nodes.clone(), commands.clone(), is_lost.clone());
            move |answer| {
                if let None | Some(Answer::TakenOver { .. }) = answer {
                    is_lost.store(true, Ordering::Relaxed);
                }
                hears(answer, &nodes, &commands, &answered);
            }
        })
        .map_err(failed)?;
        let home = Home::Kept(Box::new(Kept {
            held,
            answers: Mutex::new(answers),
            slurm: Mutex::default(),
            url: grant.url,
            is_reached: grant.session.is_reached(),
            is_open: grant.is_open,
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
fn hears(
    answer: Option<Answer>,
    nodes: &Nodes,
    commands: &UnboundedSender<Command>,
    answered: &Sender<Answer>,
) {
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
        Some(answer @ (Answer::JoinFile(_) | Answer::Submitted(_) | Answer::Slurm(..))) => {
            drop(answered.send(answer))
        }
        Some(Answer::Status(_) | Answer::Granted(_) | Answer::Refused { .. }) => {}
    }
}
