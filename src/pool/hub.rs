//! The hub thread: waits on all engines and all maps' callers at once, moves frames and printed bytes, and
//! lets the maps under way decide what is sent next. It alone owns the engine processes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;

use super::artifacts::Artifacts;
use super::captures::Captures;
use super::cluster::Cluster;
use super::connections::{Connection, ConnectionId};
use super::ears::Ears;
use super::engine::Engine;
use super::link::Launcher;
use super::map::{Map, Written};
use super::worlds::Worlds;
use super::{Command, Happening, JobRecord, PoolEvent, PoolUse, Work};
use crate::ids::{CellId, EngineId, JobId};
use crate::outcome::{About, Stream, Timeline};
use crate::wire::{FromEngine, Payload, PoolSpec, ToEngine};

/// How often engines are looked at without an event, and progress is told.
const TICK: Duration = Duration::from_millis(100);

/// The same while something is waited for that tells nobody: a time limit, a countdown.
const SHORT_TICK: Duration = Duration::from_millis(10);

/// Printed bytes that may wait for the reader before engines are slowed down.
const ROOM: usize = 4 << 20;

/// What is read of one pipe before the other engines get their turn.
const SLICE: usize = 256 * 1024;

pub fn serve(mut hub: State, commands: &Receiver<Command>, wake: &EventFd, ears: &Ears) {
    let mut ticked = Instant::now();
    loop {
        let ready = hub.wait(wake, ears);
        loop {
            match commands.try_recv() {
                Ok(Command::Quit) | Err(TryRecvError::Disconnected) => {
                    hub.quits = true;
                    let all = hub.engines.keys().copied().collect();
                    hub.stop(all);
                    return;
                }
                Ok(command) => hub.command(command),
                Err(TryRecvError::Empty) => break,
            }
        }
        hub.serve_ready(ready);
        hub.go_on_with_due();
        if ticked.elapsed() >= hub.tick_time() {
            ticked = Instant::now();
            hub.find_ended();
            hub.tick();
        }
        hub.flush();
    }
}

/// Who has something to say.
#[derive(Default)]
struct Ready {
    jobs: Vec<JobId>,
    queues: Vec<JobId>,
    connections: Vec<ConnectionId>,
    engines: Vec<EngineId>,
    printing: Vec<EngineId>,
}

enum Source {
    Wake,
    Engine(EngineId),
    Print(EngineId),
    Job(JobId),
    Queue(JobId),
    Connection(ConnectionId),
}

pub(super) struct State {
    /// Where they come from.
    pub(super) launcher: Box<dyn Launcher>,
    pub(super) engines: BTreeMap<EngineId, Engine>,
    /// Those that have connections and pipes here.
    near: BTreeSet<EngineId>,
    /// Those of the others of which something printed waits.
    unread: BTreeSet<EngineId>,
    pub(super) events: Sender<Happening>,
    /// Printed bytes that the session has not taken yet.
    pub(super) room: Arc<AtomicUsize>,
    pub(super) maps: BTreeMap<JobId, Map>,
    /// Lines that nobody uses now.
    pub(super) connections: BTreeMap<ConnectionId, Connection>,
    pub(super) next_connection: u64,
    /// Those on which what was said is due to be heard.
    pub(super) unheard: VecDeque<Connection>,
    /// Maps of which chunks have ended in this round.
    pub(super) due: BTreeSet<JobId>,
    /// The cells that have begun the maps which run or are remembered.
    pub(super) cells: BTreeMap<JobId, CellId>,
    /// Maps that are over.
    pub(super) finished: VecDeque<(JobRecord, Timeline)>,
    pub(super) captures: Captures,
    pub(super) artifacts: Artifacts,
    pub(super) worlds: Worlds,
    /// When the busy engines of a job that was cancelled are killed.
    pub(super) countdowns: BTreeMap<JobId, Instant>,
    /// Engines at items of a map whose caller is gone, and when they are killed.
    pub(super) unwanted: BTreeMap<EngineId, Instant>,
    /// Engines that were killed because of an item that took too long.
    pub(super) late: BTreeMap<EngineId, u64>,
    pub(super) next_job: u32,
    /// Jobs that are over, whose results are still on a cluster's server for whoever asks for them.
    pub(super) kept_queues: BTreeMap<JobId, Weak<Cluster>>,
    pub(super) written: Written,
    /// The session ends; what is queued stays.
    pub(super) quits: bool,
    /// What the cell under way may map over; the pool in use comes first.
    pub(super) pools: Vec<PoolUse>,
}

impl State {
    pub(super) fn new(launcher: Box<dyn Launcher>, events: Sender<Happening>) -> Self {
        Self {
            launcher,
            engines: BTreeMap::new(),
            near: BTreeSet::new(),
            unread: BTreeSet::new(),
            events,
            room: Arc::new(AtomicUsize::new(0)),
            maps: BTreeMap::new(),
            cells: BTreeMap::new(),
            finished: VecDeque::new(),
            captures: Captures::default(),
            artifacts: Artifacts::default(),
            worlds: Worlds::default(),
            connections: BTreeMap::new(),
            next_connection: 0,
            unheard: VecDeque::new(),
            due: BTreeSet::new(),
            countdowns: BTreeMap::new(),
            unwanted: BTreeMap::new(),
            late: BTreeMap::new(),
            next_job: 1,
            kept_queues: BTreeMap::new(),
            written: Written::default(),
            quits: false,
            pools: Vec::new(),
        }
    }

    /// The process that an engine is from now on.
    pub(super) fn is_now(&mut self, engine: EngineId, process: Engine) {
        if process.link.is_far() {
            self.near.remove(&engine);
        } else {
            self.near.insert(engine);
        }
        self.engines.insert(engine, process);
    }

    /// An engine is none any more.
    pub(super) fn is_gone(&mut self, engine: EngineId) -> Option<Engine> {
        self.near.remove(&engine);
        self.engines.remove(&engine)
    }

    fn wait(&mut self, wake: &EventFd, ears: &Ears) -> Ready {
        let full = self.room.load(Ordering::Relaxed) >= ROOM;
        let mut fds = vec![PollFd::new(wake.as_fd(), PollFlags::POLLIN)];
        let mut sources = vec![Source::Wake];
        let flags = |writes: bool| {
            if writes {
                PollFlags::POLLIN | PollFlags::POLLOUT
            } else {
                PollFlags::POLLIN
            }
        };
        let near = self.near.iter();
        let near = near.filter_map(|engine| Some((engine, self.engines.get(engine)?)));
        for (engine, process) in near.filter(|(_, process)| process.is_alive()) {
            if let Some(socket) = process.link.socket() {
                fds.push(PollFd::new(socket, flags(process.link.wants_to_write())));
                sources.push(Source::Engine(*engine));
            }
            for stream in [Stream::Stdout, Stream::Stderr] {
                if let Some(pipe) = process.link.pipe(stream).filter(|_| !full) {
                    fds.push(PollFd::new(pipe, PollFlags::POLLIN));
                    sources.push(Source::Print(*engine));
                }
            }
        }
        for (job, map) in &self.maps {
            fds.push(PollFd::new(map.socket(), flags(map.wants_to_write())));
            sources.push(Source::Job(*job));
            if let Some(bell) = map.queue_bell() {
                fds.push(PollFd::new(bell, PollFlags::POLLIN));
                sources.push(Source::Queue(*job));
            }
        }
        for (id, connection) in &self.connections {
            fds.push(PollFd::new(connection.channel.socket(), PollFlags::POLLIN));
            sources.push(Source::Connection(*id));
        }
        // A full reader is looked at again soon: it does not wake this thread when it has made room.
        let timeout = match full {
            true => Duration::from_millis(5),
            false if !self.unread.is_empty() => Duration::ZERO,
            false => self.tick_time(),
        };
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::NONE);
        // An interrupted wait is a short one.
        while self.maps.values().any(Map::is_young) {
            if poll(&mut fds, PollTimeout::ZERO).unwrap_or(0) > 0 {
                break;
            }
            // Whoever is to answer may need this very core.
            std::thread::yield_now();
        }
        let _ = poll(&mut fds, timeout);
        let mut ready = Ready::default();
        for (fd, source) in fds.iter().zip(sources) {
            if fd.revents().is_none_or(|events| events.is_empty()) {
                continue;
            }
            match source {
                Source::Wake => {
                    let _ = wake.read();
                }
                Source::Engine(engine) => ready.engines.push(engine),
                Source::Print(engine) => ready.printing.push(engine),
                Source::Job(job) => ready.jobs.push(job),
                Source::Queue(job) => ready.queues.push(job),
                Source::Connection(connection) => ready.connections.push(connection),
            }
        }
        // After the wake was read: what comes from now on wakes anew.
        let heard = ears.heard();
        let printed =
            { heard.iter().copied() }.filter(|engine| has_printed(&self.engines, *engine));
        self.unread.extend(printed);
        ready.engines.extend(heard);
        if !full {
            ready.printing.extend(&self.unread);
        }
        ready
    }

    pub(super) fn is_far(&self, engine: EngineId) -> bool {
        let process = self.engines.get(&engine);
        process.is_some_and(|process| process.link.is_far())
    }

    /// What the cell under way may map over, as the local engine is told.
    pub(super) fn pool_specs(&self) -> Vec<PoolSpec> {
        let spec = |pool: &PoolUse| pool.spec(|engine| self.is_far(engine));
        self.pools.iter().map(spec).collect()
    }

    /// How often the clock is looked at.
    fn tick_time(&self) -> Duration {
        let counts = !(self.countdowns.is_empty() && self.unwanted.is_empty());
        if !counts && !self.maps.values().any(Map::has_limit) {
            TICK
        } else {
            SHORT_TICK
        }
    }

    /// Tells the session of something that an engine has done.
    pub(super) fn emit(&self, engine: EngineId, event: PoolEvent) {
        self.tell_session(self.about_engine(engine), event);
    }

    /// The same of a map.
    pub(super) fn emit_of(&self, job: JobId, event: PoolEvent) {
        self.tell_session(self.about_job(job), event);
    }

    fn tell_session(&self, about: About, event: PoolEvent) {
        // Without a session there is nobody to tell, and the next command is `Quit`.
        let _ = self.events.send(Happening { about, event });
    }

    fn about_engine(&self, engine: EngineId) -> About {
        match self.engines.get(&engine).and_then(Engine::work) {
            Some(Work::Cell(cell)) => About {
                cell: Some(cell),
                job: None,
            },
            Some(Work::Map(job)) => self.about_job(job),
            None => About::default(),
        }
    }

    pub(super) fn about_job(&self, job: JobId) -> About {
        About {
            cell: self.cells.get(&job).copied(),
            job: Some(job),
        }
    }

    /// Queues a frame for an engine; all of them are sent when this round has been worked off.
    pub(super) fn send(&mut self, engine: EngineId, message: &ToEngine, payload: &Payload) {
        if let Some(process) = self.engines.get_mut(&engine) {
            if let ToEngine::Chunk { job, span } = message {
                process.begins(Work::Map(*job));
                process.takes(span.to - span.from);
            }
            process.link.send(message, payload);
        }
    }

    fn serve_ready(&mut self, ready: Ready) {
        for job in ready.jobs {
            self.hear_caller(job);
        }
        for connection in ready.connections {
            self.connection_ready(connection);
        }
        for engine in ready.printing {
            if self.room.load(Ordering::Relaxed) < ROOM {
                self.read_prints(engine, SLICE);
                // A map that was over before this was printed is told before it.
                self.hear_callers_in(engine);
                self.show_prints(engine);
            }
        }
        self.unread
            .retain(|engine| has_printed(&self.engines, *engine));
        for job in ready.queues {
            self.hear_queue(job);
        }
        for engine in ready.engines {
            let Some(process) = self
                .engines
                .get_mut(&engine)
                .filter(|process| process.is_alive())
            else {
                continue;
            };
            let (frames, ended) = process.link.hear();
            let of_map = |(message, _): &(FromEngine, _)| {
                matches!(
                    message,
                    FromEngine::ChunkDone { .. } | FromEngine::GivenBack { .. }
                )
            };
            if !frames.iter().all(of_map) {
                // What was printed before these were sent is in the pipe by now, and belongs before them. What
                // chunks print belongs before their map's end.
                self.read_prints(engine, usize::MAX);
                self.hear_callers_in(engine);
                self.show_prints(engine);
            }
            for (message, payload) in frames {
                self.frame(engine, message, payload);
            }
            if let Some(error) = ended {
                self.bury(engine, Some(&error));
            }
        }
    }

    fn flush(&mut self) {
        for engine in &self.near {
            if let Some(process) = self.engines.get_mut(engine) {
                process.link.flush();
            }
        }
        for map in self.maps.values_mut() {
            map.flush();
        }
    }
}

fn has_printed(engines: &BTreeMap<EngineId, Engine>, engine: EngineId) -> bool {
    let process = engines.get(&engine);
    process.is_some_and(|process| process.link.has_printed())
}

#[cfg(test)]
mod tests;
