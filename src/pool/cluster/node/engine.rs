//! An engine of this node, and what carries its words to the session.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::Notify;
use tokio::task::spawn_local;

use super::super::credit::{Credit, FRAMES};
use super::super::line::Readiness;
use super::super::message::FromNode;
use super::super::page::{self, Change};
use super::super::queue::Hand;
use super::Node;
use super::around::Around;
use super::entry::ENDS;
use crate::ids::{EngineId, JobId, Rank};
use crate::outcome::{DeathCause, Stream};
use crate::pool::Launch;
use crate::pool::deaths::LAST_BREATH;
use crate::pool::link::Link as _;
use crate::pool::process::Process;
use crate::wire::{Payload, ToEngine};

/// Printed bytes that may be on their way to the session before the engine is slowed down.
const ROOM: i64 = 512 * 1024;

/// What is read of a pipe at once.
const SLICE: usize = 64 * 1024;

/// What is left in the pipes when the engine says something belongs before it.
const LEFT: usize = 1 << 20;

/// So many times as long a rank that Ctrl-C has ended may go on until its next call.
const NEXT_CALL: u32 = 4;
const GLANCE: Duration = Duration::from_millis(30);

pub struct Here {
    id: EngineId,
    launch: Launch,
    pub around: RefCell<Around>,
    rank: Cell<Rank>,
    process: RefCell<Process>,
    /// Of its connection.
    ready: Readiness,
    /// There may be something to write to it.
    due: Notify,
    /// Printed bytes that may still be sent.
    room: Cell<i64>,
    more_room: Notify,
    /// How many runs it was given, and has ended.
    runs: Cell<(u64, u64)>,
    /// The last of them that Ctrl-C has ended for its rank.
    stopped: Cell<u64>,
    /// Of what it says.
    pub frames: Credit,
    /// Its page of numbers as the session has it.
    page: RefCell<Vec<u8>>,
    /// Its end has been noticed.
    ends: Notify,
    /// Why it was ended here.
    failed: RefCell<Option<String>>,
    /// Nobody wants another one in its place.
    was_ended: Cell<bool>,
}

/// How much later than its engines a node may hear that it is to end.
const TOGETHER: Duration = Duration::from_millis(100);

/// Whether an engine has ended as others do at the same time.
fn is_told_to_all(cause: &DeathCause) -> bool {
    ENDS.into_iter()
        .any(|signal| *cause == DeathCause::Signal(signal as i32))
}

impl Here {
    pub fn start(
        id: EngineId,
        launch: &Launch,
        around: Around,
        node: &Rc<Node>,
    ) -> std::io::Result<Rc<Self>> {
        let process = Process::start(launch, &around.environment)?;
        let ready = Readiness::of(process.connection())?;
        let mut pipes = Vec::new();
        for stream in [Stream::Stdout, Stream::Stderr] {
            if let Some(pipe) = process.pipe(stream) {
                pipes.push((stream, Receiver::from_owned_fd(pipe.try_clone_to_owned()?)?));
            }
        }
        let here = Rc::new(Self {
            id,
            launch: launch.clone(),
            around: RefCell::new(around),
            rank: Cell::new(launch.rank),
            process: RefCell::new(process),
            ready,
            due: Notify::new(),
            room: Cell::new(ROOM),
            more_room: Notify::new(),
            runs: Cell::default(),
            stopped: Cell::new(0),
            frames: Credit::of(FRAMES),
            page: RefCell::default(),
            ends: Notify::new(),
            failed: RefCell::default(),
            was_ended: Cell::default(),
        });
        for (stream, pipe) in pipes {
            spawn_local(here.clone().print(stream, pipe, node.clone()));
        }
        spawn_local({
            let (here, node) = (here.clone(), node.clone());
            async move {
                tokio::select! {
                    () = here.hear(node) => {}
                    () = here.write() => {}
                }
                // Whoever waits for room to print ends too.
                here.room.set(ROOM);
                here.more_room.notify_waiters();
            }
        });
        Ok(here)
    }

    pub fn send(&self, message: &ToEngine, payload: &Payload) {
        let mut process = self.process.borrow_mut();
        process.send(message, payload);
        process.flush();
        if process.wants_to_write() {
            self.due.notify_one();
        }
    }

    /// Before anything else.
    pub fn goes_to_folder(&self) {
        if let Some(path) = self.around.borrow().folder.clone() {
            let asked = false;
            self.send(&ToEngine::Folder { path, asked }, &Payload::None);
        }
    }

    /// Writes what could not be written at once.
    async fn write(&self) {
        loop {
            self.due.notified().await;
            while self.process.borrow().wants_to_write() {
                if self.ready.writable().await.is_err() {
                    return std::future::pending().await;
                }
                self.process.borrow_mut().flush();
            }
        }
    }

    /// Sends on what it says, until it has ended.
    async fn hear(&self, node: Rc<Node>) {
        loop {
            tokio::select! {
                ready = self.ready.readable() => if ready.is_err() {
                    break;
                },
                () = self.ends.notified() => break,
            }
            // A read ends with a file that came, whatever is behind it: it is read until there is nothing.
            let mut is_over = false;
            while !is_over {
                let (frames, ended) = self.process.borrow_mut().hear();
                is_over = ended.is_some();
                if is_over {
                    self.takes_no_more(&node);
                }
                if frames.is_empty() {
                    break;
                }
                self.send_prints(&node);
                // Of what only the list hears the page is told from time to time.
                if node.list.is_none() {
                    self.send_page(&node);
                }
                for (message, payload) in frames {
                    Node::hears(&node, self.id, message, payload);
                }
                node.post.has_room().await;
                tokio::select! {
                    () = self.frames.any() => {}
                    () = self.ends.notified() => {}
                }
            }
            if is_over {
                break;
            }
        }
        self.takes_no_more(&node);
        let until = tokio::time::Instant::now() + LAST_BREATH;
        while self.process.borrow_mut().has_ended().is_none() && tokio::time::Instant::now() < until
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut cause = self.process.borrow_mut().bury(Duration::ZERO);
        if let Some(says) = self.failed.take() {
            cause = DeathCause::Launcher { says };
        }
        if node.list.is_some() && is_told_to_all(&cause) {
            // Slurm tells all processes of a host to end, in whatever order: if this node too, no item is to blame.
            tokio::time::sleep(TOGETHER).await;
        }
        self.send_prints(&node);
        node.tell_of_rank(self.rank.get(), true);
        let changes = self.page_changes();
        node.engines.borrow_mut().remove(&self.id);
        if let Some(list) = &node.list {
            list.left(node.seat(self.id), &cause, !self.was_ended());
        }
        let mut launch = self.launch.clone();
        launch.rank = self.rank.get();
        let around = self.around.borrow().clone();
        Node::ended(&node, self.id, (launch, around), self.was_ended());
        node.post.send(&FromNode::Ended {
            engine: self.id,
            cause,
            changes,
        });
    }

    /// Of the queue.
    fn takes_no_more(&self, node: &Node) {
        if let Some(list) = &node.list {
            list.is_leaving(node.seat(self.id));
        }
    }

    /// Sends on what it prints, as fast as the session takes it.
    async fn print(self: Rc<Self>, stream: Stream, pipe: Receiver, node: Rc<Node>) {
        loop {
            while self.room.get() <= 0 && !node.speaks_to_nobody(self.id) {
                self.more_room.notified().await;
            }
            if self.send_printed(stream, SLICE, &node) {
                continue;
            }
            if self.process.borrow().pipe(stream).is_none() {
                return;
            }
            if pipe.readable().await.is_err() {
                return;
            }
            // Before it is read: what comes meanwhile is told again.
            let _ = pipe.try_io(|| Err::<(), _>(std::io::ErrorKind::WouldBlock.into()));
        }
    }

    /// Whether there was anything.
    fn send_printed(&self, stream: Stream, at_most: usize, node: &Node) -> bool {
        let mut bytes = Vec::new();
        self.process
            .borrow_mut()
            .read_printed(stream, at_most, &mut bytes);
        if bytes.is_empty() {
            return false;
        }
        if node.speaks_to_nobody(self.id) && self.room.get() <= 0 {
            // Nobody reads it.
            return true;
        }
        self.room.set(self.room.get() - bytes.len() as i64);
        node.post.send(&FromNode::Printed {
            engine: self.id,
            stream,
            bytes,
        });
        true
    }

    /// What it has printed by now.
    fn send_prints(&self, node: &Node) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            self.send_printed(stream, LEFT, node);
        }
    }

    fn send_page(&self, node: &Node) {
        let changes = self.page_changes();
        if !changes.is_empty() {
            node.post.send(&FromNode::Page {
                engine: self.id,
                changes,
            });
        }
    }

    /// What has changed in its page since this was last asked.
    fn page_changes(&self) -> Vec<Change> {
        let page = self.process.borrow().page();
        let before = self.page.replace(page);
        page::changes(&before, &self.page.borrow())
    }

    /// The session has room for so many printed bytes more.
    pub fn taken(&self, bytes: u64) {
        self.room.set(self.room.get() + bytes.cast_signed());
        self.more_room.notify_waiters();
    }

    pub fn stop_job(&self, job: JobId) {
        self.process.borrow().stop_job(job);
    }

    pub fn end_waits(&self) {
        self.process.borrow().end_waits();
    }

    /// Whether it was told to end.
    pub fn was_ended(&self) -> bool {
        self.was_ended.get()
    }

    pub fn signal(&self, signal: i32) {
        if let Ok(signal) = Signal::try_from(signal) {
            self.was_ended
                .set(self.was_ended.get() || signal == Signal::SIGKILL);
            self.process.borrow().signal(signal);
        }
    }

    pub fn sends_run(&self, message: &ToEngine) {
        if let ToEngine::Run { .. } = message {
            let (begun, ended) = self.runs.get();
            self.runs.set((begun + 1, ended));
        }
    }

    pub fn has_run(&self) {
        let (begun, ended) = self.runs.get();
        self.runs.set((begun, ended + 1));
    }

    /// Whether it was given this run.
    pub fn has_begun(&self, run: u64) -> bool {
        self.runs.get().0 >= run
    }

    /// Its rank ends the run that it is in with its next call.
    pub fn is_stopped(&self) {
        self.stopped.set(self.runs.get().0);
    }

    /// A signal for this run, and for nothing that comes after it.
    pub fn interrupt(self: Rc<Self>, run: u64, signal: i32) {
        if self.stopped.get() != run {
            return self.signal_in(run, signal);
        }
        spawn_local(async move {
            // Both words may have come at once, and what it has said meanwhile is heard between these.
            for _ in 0..NEXT_CALL {
                tokio::time::sleep(GLANCE).await;
            }
            self.signal_in(run, signal);
        });
    }

    fn signal_in(&self, run: u64, signal: i32) {
        // It may have begun to wait since the session heard of it: that is ended, and nothing else.
        if self.runs.get().1 < run && !self.process.borrow().end_waits() {
            self.signal(signal);
        }
    }

    /// It cannot go on.
    pub fn fail(&self, why: String) {
        *self.failed.borrow_mut() = Some(why);
        self.process.borrow().signal(Signal::SIGKILL);
    }

    /// It ends now, and nobody is told.
    pub fn kill(&self) {
        let mut process = self.process.borrow_mut();
        process.signal(Signal::SIGKILL);
        process.bury(LAST_BREATH);
    }

    pub fn look(&self, node: &Node) {
        if self.process.borrow_mut().has_ended().is_some() {
            self.ends.notify_one();
        } else {
            self.send_page(node);
        }
    }

    /// There is no session that takes what it prints and says.
    pub fn waits_for_nobody(&self) {
        self.more_room.notify_waiters();
        self.frames.go_on();
    }

    /// The session has another rank for it.
    pub fn renumbered(&self, rank: Rank) {
        self.rank.set(rank);
    }

    pub fn pid(&self) -> u32 {
        self.process.borrow().pid()
    }

    pub fn memory(&self) -> Option<u64> {
        self.process.borrow().memory()
    }
}

impl Hand for Here {
    fn rank(&self) -> Rank {
        self.rank.get()
    }

    fn send(&self, message: &ToEngine, payload: &Payload) {
        Self::send(self, message, payload);
    }

    fn at(&self, job: JobId) -> Option<(u64, u64)> {
        self.process.borrow().at(job)
    }

    fn stop_job(&self, job: JobId) {
        Self::stop_job(self, job);
    }

    fn kill(&self) {
        self.process.borrow().signal(Signal::SIGKILL);
    }
}
