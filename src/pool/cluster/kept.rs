//! A cluster that outlives its session: what the session has of it, and what it asks of the process that keeps it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use super::backbone::Which;
use super::home::Home;
use super::joins;
use super::keep::{self, Answer, Ask, Grant, Held};
use super::launch::Way;
use super::nodes::{NodeId, Nodes};
use super::server::wait_until_taken;
use super::session::Command;
use super::slurm::{Asked, Surroundings};
use super::{Cluster, PATIENCE, connect};
use crate::outcome::{KeepFault, NodeFault, SlurmState};

/// A process has the server and the connections to the nodes.
pub struct Kept {
    held: Arc<Held>,
    /// What it answers.
    answers: Mutex<Receiver<Answer>>,
    /// Questions that were asked.
    questions: AtomicU64,
    slurm: Mutex<Submitted>,
    /// What nodes join by that somebody starts, when that is no file.
    url: Option<String>,
    /// See [`Cluster::is_open`].
    is_open: bool,
    /// It is a pool's; before that it ends with what could not be started.
    is_kept: AtomicBool,
    /// Another session has it, or nobody keeps it any more.
    is_lost: Arc<AtomicBool>,
    /// The numbers of nodes begin here.
    first: u32,
}

/// What Slurm has been asked for by this session.
#[derive(Default)]
struct Submitted {
    /// By which question.
    question: Option<u64>,
    state: Option<(SlurmState, Option<u32>)>,
    /// When it was answered last how that stands; `None` while it is asked.
    answered: Option<Instant>,
}

/// How often it is looked whether the cluster is lost while an answer is waited for.
const GLANCE: Duration = Duration::from_millis(50);

/// How often it is asked how that stands.
const ASK: Duration = Duration::from_millis(500);

impl Kept {
    fn question(&self) -> u64 {
        self.questions.fetch_add(1, Ordering::Relaxed)
    }

    /// What the process answers to this; `its` reads the answer. It is not waited for when the cluster is lost
    /// ([`io::ErrorKind::NotConnected`]), nor for long ([`io::ErrorKind::TimedOut`]).
    fn answered<T>(
        &self,
        ask: &Ask,
        its: impl Fn(Answer) -> Option<Result<T, String>>,
    ) -> io::Result<T> {
        let answers = { self.answers.lock() }.unwrap_or_else(PoisonError::into_inner);
        self.held.ask(ask);
        let since = Instant::now();
        loop {
            // One that came too late is another question's.
            let answer = answers.recv_timeout(GLANCE);
            if let Some(answer) = answer.ok().and_then(&its) {
                return answer.map_err(io::Error::other);
            }
            if self.is_lost() {
                return Err(io::ErrorKind::NotConnected.into());
            }
            if since.elapsed() > PATIENCE {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }

    pub fn join_file(&self, path: Option<&Path>) -> io::Result<PathBuf> {
        let path = path.map(std::path::absolute).transpose()?;
        let question = self.question();
        let path = self.answered(&Ask::JoinFile { question, path }, |answer| match answer {
            Answer::JoinFile(of, written) if of == question => Some(written),
            _ => None,
        })?;
        // Who has the file may use it at once.
        let join = joins::read(File::open(&path)?).map_err(io::Error::other)?;
        wait_until_taken(&join).map_err(|_| io::Error::other(NodeFault::NoServer))?;
        Ok(path)
    }

    pub fn submit(&self, asked: &Asked, from: Surroundings) -> io::Result<()> {
        let question = self.question();
        *self.slurm() = Submitted {
            question: Some(question),
            ..Submitted::default()
        };
        let asked = asked.clone();
        let ask = Ask::Submit {
            question,
            asked,
            from,
        };
        self.answered(&ask, |answer| match answer {
            Answer::Submitted(of, submitted) if of == question => Some(submitted),
            _ => None,
        })?;
        let mut slurm = self.slurm();
        slurm.state = Some((SlurmState::Asked, None));
        slurm.answered = Some(Instant::now());
        Ok(())
    }

    pub fn submitted(&self) -> Option<(SlurmState, Option<u32>)> {
        let mut slurm = self.slurm();
        slurm.state.as_ref()?;
        let answers = { self.answers.lock() }.unwrap_or_else(PoisonError::into_inner);
        for answer in answers.try_iter() {
            if let Answer::Slurm(state, nodes) = answer {
                slurm.state = Some((state, nodes));
                slurm.answered = Some(Instant::now());
            }
        }
        if slurm.answered.take_if(|at| at.elapsed() >= ASK).is_some() {
            self.held.ask(&Ask::Slurm);
        }
        slurm.state.clone()
    }

    pub fn recall(&self) {
        // Also one that was not answered: the process may come to it later.
        let asked = std::mem::take(&mut *self.slurm());
        if let Some(question) = asked.question {
            self.held.ask(&Ask::Recall { question });
        }
    }

    pub fn url(&self) -> Option<String> {
        self.url.clone()
    }

    pub fn is_open(&self) -> bool {
        self.is_open
    }

    pub fn drop_node(&self, number: u32) {
        self.held.drop_node(number);
    }

    fn slurm(&self) -> MutexGuard<'_, Submitted> {
        self.slurm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn add(&self, nodes: &Nodes, host: &str, way: &Way, slots: Option<u32>) -> NodeId {
        let (node, number) = nodes.expect(host, self.first);
        self.held.add(number, host, way, slots);
        node
    }

    fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed)
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
            nodes.expect_as(&number.to_string(), &host);
        }
        for (seat, host) in &grant.met {
            nodes.expect_as(seat, host);
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
            questions: AtomicU64::new(0),
            slurm: Mutex::default(),
            url: grant.url,
            is_open: grant.is_open,
            is_kept: AtomicBool::new(false),
            is_lost,
            first: grant.first,
        }));
        Ok(Self::at(home, connected))
    }

    /// Whether another session has it, or nobody keeps it any more.
    pub fn is_lost(&self) -> bool {
        matches!(&self.home, Home::Kept(kept) if kept.is_lost())
    }

    /// Its name and its lease, when it outlives the session.
    pub fn kept(&self) -> Option<(&str, Duration)> {
        self.held().map(|held| (held.name.as_str(), held.lease))
    }

    /// The process that keeps it, as long as this session has it.
    pub fn keeper(&self) -> Option<(&str, u32)> {
        self.held().map(|held| (held.name.as_str(), held.pid))
    }

    /// What this session has of a cluster that outlives it, as long as it has it.
    fn held(&self) -> Option<&Held> {
        match &self.home {
            Home::Kept(kept) => (!kept.is_lost()).then_some(&kept.held),
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
        Some(Answer::Again { number, host }) => nodes.expect_as(&number.to_string(), &host),
        Some(answer @ (Answer::JoinFile(..) | Answer::Submitted(..) | Answer::Slurm(..))) => {
            drop(answered.send(answer))
        }
        Some(Answer::Status(_) | Answer::Granted(_) | Answer::Refused { .. }) => {}
    }
}
