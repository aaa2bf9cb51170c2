//! The hub thread: waits on all engines and all maps' callers at once, moves frames and printed bytes, and
//! lets the maps under way decide what is sent next. It alone owns the engine processes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU64;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;
use nix::sys::signal::Signal;

use super::captures::Captures;
use super::map::Map;
use super::process::Process;
use super::{
    Command, EngineState, Environment, Init, JobRecord, Notify, PoolEvent, PoolUse, Printed, Run,
    WhichMaps, Work,
};
use crate::ids::{EngineId, JobId};
use crate::outcome::{Stream, Timeline};
use crate::wire::{Channel, FromEngine, Payload, ToEngine};

/// How often engines are looked at without an event, and progress is told.
const TICK: Duration = Duration::from_millis(100);

/// The same while something is waited for that tells nobody: a time limit, a countdown.
const SHORT_TICK: Duration = Duration::from_millis(10);

/// Jobs that are remembered when they are over.
const REMEMBERED: usize = 64;

/// Chunks in the timelines of maps that are over.
const CHUNKS: usize = 200_000;

/// Printed bytes that may wait for the reader before engines are slowed down.
const ROOM: usize = 4 << 20;

/// What is read of one pipe before the other engines get their turn.
const SLICE: usize = 256 * 1024;

/// How long an engine that closed its connection may take to end.
const LAST_BREATH: Duration = Duration::from_millis(200);

pub fn serve(
    commands: &Receiver<Command>,
    wake: &EventFd,
    events: Sender<PoolEvent>,
    prompting: &AtomicBool,
) {
    let mut hub = State {
        processes: BTreeMap::new(),
        events,
        room: Arc::new(AtomicUsize::new(0)),
        maps: BTreeMap::new(),
        finished: VecDeque::new(),
        captures: Captures::default(),
        lines: BTreeMap::new(),
        next_line: 0,
        due: BTreeSet::new(),
        countdowns: BTreeMap::new(),
        late: BTreeMap::new(),
        next_job: 1,
        pools: Vec::new(),
        threads: None,
        notify: None,
        prompting: false,
        environment: Environment::new(),
    };
    let mut ticked = Instant::now();
    loop {
        let ready = hub.wait(wake);
        hub.prompting = prompting.load(Ordering::Relaxed);
        loop {
            match commands.try_recv() {
                Ok(Command::Quit) | Err(TryRecvError::Disconnected) => {
                    let all = hub.processes.keys().copied().collect();
                    hub.stop(all);
                    return;
                }
                Ok(command) => hub.command(command),
                Err(TryRecvError::Empty) => break,
            }
        }
        hub.serve_ready(ready, prompting);
        hub.go_on_with_due();
        if ticked.elapsed() >= hub.tick_time() {
            ticked = Instant::now();
            hub.find_ended(prompting);
            hub.tick();
        }
        hub.flush();
    }
}

/// Who has something to say.
#[derive(Default)]
struct Ready {
    jobs: Vec<JobId>,
    lines: Vec<LineId>,
    engines: Vec<EngineId>,
    printing: Vec<EngineId>,
}

enum Source {
    Wake,
    Engine(EngineId),
    Print(EngineId),
    Job(JobId),
    Line(LineId),
}

/// A connection on which maps are asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LineId(pub u64);

pub(super) struct State {
    pub(super) processes: BTreeMap<EngineId, Process>,
    pub(super) events: Sender<PoolEvent>,
    /// Printed bytes that the session has not taken yet.
    pub(super) room: Arc<AtomicUsize>,
    pub(super) maps: BTreeMap<JobId, Map>,
    /// Connections for maps that no map has, and whose they are.
    pub(super) lines: BTreeMap<LineId, (EngineId, Channel)>,
    pub(super) next_line: u64,
    /// Maps of which chunks have ended in this round.
    pub(super) due: BTreeSet<JobId>,
    /// Maps that are over.
    pub(super) finished: VecDeque<(JobRecord, Timeline)>,
    pub(super) captures: Captures,
    /// When the busy engines of a job that was cancelled are killed.
    pub(super) countdowns: BTreeMap<JobId, Instant>,
    /// Engines that were killed because of an item that took too long.
    pub(super) late: BTreeMap<EngineId, u64>,
    pub(super) next_job: u32,
    /// What the cell under way may map over; the pool in use comes first.
    pub(super) pools: Vec<PoolUse>,
    /// The plan of the thread map under way: when it began and whether it shows a table.
    pub(super) threads: Option<ThreadMap>,
    pub(super) notify: Option<Notify>,
    /// The prompt waits.
    pub(super) prompting: bool,
    /// How the engines' environment differs from the session's.
    pub(super) environment: Environment,
}

pub(super) struct ThreadMap {
    pub(super) shown: bool,
    pub(super) total: u64,
    pub(super) since: Instant,
    pub(super) pool: crate::ids::PoolName,
}

impl State {
    fn wait(&self, wake: &EventFd) -> Ready {
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
        for (engine, process) in self
            .processes
            .iter()
            .filter(|(_, process)| process.is_alive())
        {
            fds.push(PollFd::new(
                process.socket(),
                flags(process.wants_to_write()),
            ));
            sources.push(Source::Engine(*engine));
            for stream in [Stream::Stdout, Stream::Stderr] {
                if let Some(pipe) = process.pipe(stream).filter(|_| !full) {
                    fds.push(PollFd::new(pipe, PollFlags::POLLIN));
                    sources.push(Source::Print(*engine));
                }
            }
        }
        for (job, map) in &self.maps {
            fds.push(PollFd::new(map.socket(), flags(map.wants_to_write())));
            sources.push(Source::Job(*job));
        }
        for (line, (_, channel)) in &self.lines {
            fds.push(PollFd::new(channel.socket(), PollFlags::POLLIN));
            sources.push(Source::Line(*line));
        }
        // A full reader is looked at again soon: it does not wake this thread when it has made room.
        let timeout = if full {
            Duration::from_millis(5)
        } else {
            self.tick_time()
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
                Source::Line(line) => ready.lines.push(line),
            }
        }
        ready
    }

    /// How often the clock is looked at.
    fn tick_time(&self) -> Duration {
        if self.countdowns.is_empty() && !self.maps.values().any(Map::has_limit) {
            TICK
        } else {
            SHORT_TICK
        }
    }

    pub(super) fn emit(&self, event: PoolEvent) {
        // Without a session there is nobody to tell, and the next command is `Quit`.
        let _ = self.events.send(event);
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Launch(launch) => {
                let engine = launch.id;
                match Process::start(launch, &self.environment) {
                    Ok(process) => {
                        self.processes.insert(engine, process);
                    }
                    Err(error) => {
                        self.emit(PoolEvent::NotStarted {
                            engine,
                            why: error.to_string(),
                        });
                    }
                }
            }
            Command::Run(run) => self.run(run),
            Command::Stop(engines) => self.stop(engines),
            Command::Signal(engines, signal) => {
                for process in engines
                    .iter()
                    .filter_map(|engine| self.processes.get(engine))
                {
                    process.signal(signal);
                }
            }
            Command::Maps(verb, which, answer) => {
                let jobs = self.jobs(which);
                let _ = answer.send(!jobs.is_empty());
                for job in jobs {
                    if let Some(map) = self.maps.get_mut(&job) {
                        map.awaited = matches!(which, WhichMaps::Job(_));
                    }
                    self.end_early(job, verb);
                }
            }
            Command::Jobs(answer) => {
                let over = self.finished.iter().map(|(record, _)| record.clone());
                let running = self.maps.values().map(Map::record);
                let _ = answer.send(over.chain(running).collect());
            }
            Command::Timeline(job, answer) => {
                let running = self.maps.get(&job).map(Map::timeline);
                let over = self.finished.iter().find(|(record, _)| record.job == job);
                let _ = answer.send(running.or_else(|| over.map(|(_, timeline)| timeline.clone())));
            }
            Command::Number(answer) => {
                let _ = answer.send(JobId(self.next_job));
                self.next_job += 1;
            }
            Command::Forget(job) => {
                for (record, _) in &mut self.finished {
                    // Its timeline stays for a while, as that of any map.
                    record.background &= record.job != job;
                    record.held &= record.job != job;
                }
            }
            Command::Resized(engines, size) => {
                for engine in engines {
                    if let Some(process) = self.processes.get_mut(&engine) {
                        // Also for those that will stand in for it.
                        process.launch.size = size;
                    }
                    self.send(engine, &ToEngine::Resized { size }, &Payload::None);
                }
            }
            Command::Environment(name, value) => {
                let there = self
                    .environment
                    .iter_mut()
                    .find(|(other, _)| *other == name);
                let new = value.clone().map(Into::into);
                match there {
                    Some((_, old)) => *old = new,
                    None => self.environment.push((name.clone(), new)),
                }
                self.tell_all(&ToEngine::Environment { name, value });
            }
            Command::Folder(path) => self.tell_all(&ToEngine::Folder { path }),
            Command::Init(engines, init) => {
                for engine in engines {
                    if let Some(process) = self.processes.get_mut(&engine) {
                        process.launch.init = Some(init.clone());
                    }
                }
            }
            Command::LetGo(variables) => self.let_go_of(&variables),
            Command::Status(answer) => {
                let all = self.processes.values().map(Process::status).collect();
                let _ = answer.send(all);
            }
            Command::Notify(notify) => self.notify = Some(notify),
            Command::Quit => {}
        }
    }

    fn run(&mut self, run: Run) {
        let pools = run.pools.iter().map(PoolUse::spec).collect();
        self.pools = run.pools;
        let message = ToEngine::Run {
            so: run.so,
            entry: run.entry,
            pools,
        };
        for (place, engine) in run.engines.into_iter().enumerate() {
            match self.processes.get_mut(&engine) {
                Some(process) if process.is_alive() => {
                    process.begins(Work::Cell(run.cell));
                    for value in run.data.get(place).into_iter().flatten() {
                        self.send(engine, &ToEngine::Data, value);
                    }
                    self.send(engine, &message, &Payload::None);
                }
                // Its death has been told, but perhaps after this command was given.
                Some(_) | None => self.emit(PoolEvent::Died {
                    engine,
                    cause: "it had ended before".to_owned(),
                    announced: false,
                    replaced: false,
                }),
            }
        }
    }

    fn stop(&mut self, engines: Vec<EngineId>) {
        let mut stopped: Vec<Process> = engines
            .iter()
            .filter_map(|engine| self.processes.remove(engine))
            .collect();
        for process in &stopped {
            process.signal(Signal::SIGKILL);
        }
        for process in &mut stopped {
            process.bury(LAST_BREATH);
        }
        for engine in engines {
            self.drop_maps_of(engine);
            self.died_in_maps(engine, "stopped", None, false);
        }
    }

    fn tell_all(&mut self, message: &ToEngine) {
        let engines: Vec<EngineId> = self.processes.keys().copied().collect();
        for engine in engines {
            self.send(engine, message, &Payload::None);
        }
    }

    /// Queues a frame for an engine; all of them are sent when this round has been worked off.
    pub(super) fn send(&mut self, engine: EngineId, message: &ToEngine, payload: &Payload) {
        if let Some(process) = self.processes.get_mut(&engine) {
            if let ToEngine::Chunk { job, span } = message {
                process.begins(Work::Map(*job));
                process.takes(span.to - span.from);
            }
            // A broken connection shows as the engine's end.
            let _ = process.send(message, payload);
        }
    }

    fn serve_ready(&mut self, ready: Ready, prompting: &AtomicBool) {
        for job in ready.jobs {
            self.hear_caller(job);
        }
        for line in ready.lines {
            self.line_ready(line);
        }
        for engine in ready.printing {
            if self.room.load(Ordering::Relaxed) < ROOM {
                self.read_prints(engine, SLICE);
                // A map that was over before this was printed is told before it.
                self.hear_callers_in(engine);
                self.show_prints(engine);
            }
        }
        for engine in ready.engines {
            let Some(process) = self
                .processes
                .get_mut(&engine)
                .filter(|process| process.is_alive())
            else {
                continue;
            };
            let (frames, ended) = process.receive();
            let chunk = |frame: &(FromEngine, _)| matches!(frame.0, FromEngine::ChunkDone { .. });
            if !frames.iter().all(chunk) {
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
                self.bury(engine, prompting, &error.to_string());
            }
        }
    }

    /// Engines that have ended while a child of theirs holds their socket open.
    fn find_ended(&mut self, prompting: &AtomicBool) {
        let ended: Vec<(EngineId, String)> = self
            .processes
            .iter_mut()
            .filter(|(_, process)| process.is_alive())
            .filter_map(|(engine, process)| Some((*engine, process.has_ended()?)))
            .collect();
        for (engine, cause) in ended {
            self.bury(engine, prompting, &cause);
        }
    }

    fn flush(&mut self) {
        for process in self.processes.values_mut() {
            // A broken connection shows as the engine's end.
            let _ = process.flush();
        }
        for map in self.maps.values_mut() {
            map.flush();
        }
    }

    /// Passes on what all engines have printed by now.
    pub(super) fn pass_on_all_prints(&mut self) {
        let engines: Vec<EngineId> = self.processes.keys().copied().collect();
        for engine in engines {
            self.pass_on_prints(engine, usize::MAX);
        }
    }

    /// Passes on what `engine` has printed by now.
    pub(super) fn pass_on_prints(&mut self, engine: EngineId, at_most: usize) {
        self.read_prints(engine, at_most);
        self.show_prints(engine);
    }

    fn read_prints(&mut self, engine: EngineId, at_most: usize) {
        if let Some(process) = self.processes.get_mut(&engine) {
            for stream in [Stream::Stdout, Stream::Stderr] {
                process.read_printed(stream, at_most);
            }
        }
    }

    fn show_prints(&mut self, engine: EngineId) {
        let Some(process) = self.processes.get_mut(&engine) else {
            return;
        };
        for stream in [Stream::Stdout, Stream::Stderr] {
            let bytes = process.take_printed(stream);
            if !bytes.is_empty() {
                self.room.fetch_add(bytes.len(), Ordering::Relaxed);
                let bytes = Printed {
                    bytes,
                    room: self.room.clone(),
                };
                let _ = self.events.send(PoolEvent::Output {
                    engine,
                    stream,
                    bytes,
                });
            }
        }
    }

    fn bury(&mut self, engine: EngineId, prompting: &AtomicBool, error: &str) {
        self.pass_on_prints(engine, usize::MAX);
        let Some(process) = self.processes.get_mut(&engine) else {
            return;
        };
        let cause = match process.bury(LAST_BREATH) {
            cause if cause == "ended itself with exit status 0" && error.contains("version") => {
                error.to_owned()
            }
            cause => cause,
        };
        let at = self
            .maps
            .keys()
            .find_map(|job| process.at(*job).map(|(item, _)| (*job, item)));
        // The owner of a cell tells how it ended.
        let idle = !matches!(process.state, EngineState::Busy(Work::Cell(_)));
        process.state = EngineState::Dead(cause.clone());
        let name = match &process.launch.pool {
            Some(pool) => format!("engine {} of {pool}", process.launch.rank),
            None => "the local engine".to_owned(),
        };
        let announced = idle && prompting.load(Ordering::Relaxed) && self.notify.is_some();
        let ready = process.was_ready();
        let used = self
            .maps
            .values()
            .any(|map| map.caller != engine && map.involves(engine));
        // An engine that does not even start is not tried again.
        let replaced = used && ready && self.replace(engine);
        self.drop_maps_of(engine);
        self.emit(PoolEvent::Died {
            engine,
            cause: cause.clone(),
            announced: announced && !replaced,
            replaced,
        });
        // After the event: whoever reads this line may type the next cell at once.
        if let Some(notify) = self.notify.as_mut().filter(|_| announced && !replaced) {
            notify(&format!("{name} died while idle: {cause}"));
        }
        self.died_in_maps(engine, &cause, at, replaced);
        let local = |process: &Process| process.launch.pool.is_none();
        if self.processes.get(&engine).is_some_and(local) {
            // The next one has a number of its own; this one's pipes and sockets are closed.
            self.processes.remove(&engine);
        }
    }

    /// Another process takes the place of an engine that has done all the items that one process may do.
    pub(super) fn renew_if_spent(&mut self, engine: EngineId) {
        let Some(process) = self.processes.get_mut(&engine) else {
            return;
        };
        if !process.is_spent() {
            return;
        }
        let items = process.launch.items.map_or(0, NonZeroU64::get);
        process.signal(Signal::SIGKILL);
        process.bury(LAST_BREATH);
        self.pass_on_prints(engine, usize::MAX);
        let cause = match items {
            1 => "it had done its item".to_owned(),
            items => format!("it had done its {items} items"),
        };
        let replaced = self.replace(engine);
        if let Some(process) = self.processes.get_mut(&engine).filter(|_| !replaced) {
            process.state = EngineState::Dead(cause.clone());
        }
        self.drop_maps_of(engine);
        self.emit(PoolEvent::Died {
            engine,
            cause: cause.clone(),
            announced: false,
            replaced,
        });
        if replaced {
            for map in self.maps.values_mut() {
                map.renewed(engine);
            }
        } else {
            self.died_in_maps(engine, &cause, None, false);
        }
    }

    /// Starts another process in the place of one that has died.
    fn replace(&mut self, engine: EngineId) -> bool {
        let Some(old) = self.processes.get(&engine) else {
            return false;
        };
        match Process::start(old.launch.clone(), &self.environment) {
            Ok(mut new) => {
                (new.tasks, new.busy) = (old.tasks, old.busy);
                let init = new.launch.init.clone();
                self.processes.insert(engine, new);
                if let Some(Init { so, entry, cell }) = init {
                    let pools = self.pools.iter().map(PoolUse::spec).collect();
                    let run = ToEngine::Run { so, entry, pools };
                    if let Some(process) = self.processes.get_mut(&engine) {
                        process.begins(Work::Cell(cell));
                    }
                    self.send(engine, &run, &Payload::None);
                }
                true
            }
            Err(_) => false,
        }
    }

    /// Remembers a map that is over.
    pub(super) fn remember(&mut self, record: JobRecord, timeline: Timeline) {
        self.finished.push_back((record, timeline));
        let chunks = |finished: &VecDeque<(_, Timeline)>| -> usize {
            finished
                .iter()
                .map(|(_, timeline)| timeline.chunks.len())
                .sum()
        };
        while self.finished.len() > REMEMBERED
            || self.finished.len() > 1 && chunks(&self.finished) > CHUNKS
        {
            // Background jobs stay until they are dropped.
            let Some(oldest) = self
                .finished
                .iter()
                .position(|(record, _)| !(record.background && record.held))
            else {
                break;
            };
            self.finished.remove(oldest);
        }
    }
}
