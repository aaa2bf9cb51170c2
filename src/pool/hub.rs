//! The hub thread: waits on all engines at once, moves frames and printed bytes, and lets the map under way
//! decide what is sent next. It alone owns the engine processes.

use std::collections::BTreeMap;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;
use nix::sys::signal::Signal;

use super::map::{Map, Step, Wanted};
use super::process::Process;
use super::{
    Command, EngineState, MapFailure, MapFault, Notify, PoolEvent, PoolUse, Printed, Run, Work,
};
use crate::ids::{EngineId, JobId, PoolName, Rank};
use crate::outcome::{MapPlan, MapReport, MapRow, PoolKind, Stream, Value};
use crate::wire::{FromEngine, ToEngine};

/// How often engines are looked at without an event, and progress is told.
const TICK: Duration = Duration::from_millis(100);

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
    hidden: &'static [&'static str],
) {
    let mut hub = State {
        processes: BTreeMap::new(),
        events,
        room: Arc::new(AtomicUsize::new(0)),
        map: None,
        next_job: 1,
        pool: None,
        threads: None,
        notify: None,
        hidden,
    };
    loop {
        hub.wait(wake);
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
        hub.serve_processes(prompting);
    }
}

struct State {
    processes: BTreeMap<EngineId, Process>,
    events: Sender<PoolEvent>,
    /// Printed bytes that the session has not taken yet.
    room: Arc<AtomicUsize>,
    map: Option<Map>,
    next_job: u32,
    /// What the cell under way maps over.
    pool: Option<PoolUse>,
    /// The plan of the thread map under way: when it began and whether it shows a table.
    threads: Option<ThreadMap>,
    notify: Option<Notify>,
    /// Variables of the session's environment that user code must not inherit.
    hidden: &'static [&'static str],
}

struct ThreadMap {
    shown: bool,
    total: u64,
    since: std::time::Instant,
}

impl State {
    fn wait(&self, wake: &EventFd) {
        let full = self.room.load(Ordering::Relaxed) >= ROOM;
        let mut fds = vec![PollFd::new(wake.as_fd(), PollFlags::POLLIN)];
        for process in self.processes.values().filter(|process| process.is_alive()) {
            let mut flags = PollFlags::POLLIN;
            if process.wants_to_write() {
                flags |= PollFlags::POLLOUT;
            }
            fds.push(PollFd::new(process.socket(), flags));
            for stream in [Stream::Stdout, Stream::Stderr] {
                if let Some(pipe) = process.pipe(stream).filter(|_| !full) {
                    fds.push(PollFd::new(pipe, PollFlags::POLLIN));
                }
            }
        }
        // A full reader is looked at again soon: it does not wake this thread when it has made room.
        let timeout = if full { Duration::from_millis(5) } else { TICK };
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::NONE);
        // An interrupted wait is a short one.
        let _ = poll(&mut fds, timeout);
        let _ = wake.read();
    }

    fn emit(&self, event: PoolEvent) {
        // Without a session there is nobody to tell, and the next command is `Quit`.
        let _ = self.events.send(event);
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Launch(launch) => {
                let engine = launch.id;
                match Process::start(launch, self.hidden) {
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
            Command::InterruptMap => {
                let failure = MapFailure {
                    rank: None,
                    item: None,
                    what: MapFault::Interrupted,
                    died: Vec::new(),
                };
                self.map_over(Some(failure));
            }
            Command::Resized(engines, size) => {
                for engine in engines {
                    self.send(engine, &ToEngine::Resized { size }, &[]);
                }
            }
            Command::Status(answer) => {
                let all = self.processes.values().map(Process::status).collect();
                let _ = answer.send(all);
            }
            Command::Notify(notify) => self.notify = Some(notify),
            Command::Quit => {}
        }
    }

    fn run(&mut self, run: Run) {
        let pool = run.pool.as_ref().map(PoolUse::spec);
        self.pool = run.pool;
        let message = ToEngine::Run {
            so: run.so,
            entry: run.entry,
            pool,
        };
        for engine in run.engines {
            match self.processes.get_mut(&engine) {
                Some(process) if process.is_alive() => {
                    process.state = EngineState::Busy(Work::Cell(run.cell));
                    self.send(engine, &message, &[]);
                }
                // Its death has been told, but perhaps after this command was given.
                Some(_) | None => self.emit(PoolEvent::Died {
                    engine,
                    cause: "it had ended before".to_owned(),
                    announced: false,
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
            if self.map.as_ref().is_some_and(|map| map.caller == engine) {
                self.map = None;
            } else {
                self.died_in_map(engine, "stopped");
            }
        }
    }

    fn send(&mut self, engine: EngineId, message: &ToEngine, payload: &[u8]) {
        if let Some(process) = self.processes.get_mut(&engine) {
            if let ToEngine::Chunk { .. } = message {
                process.state = EngineState::Busy(Work::Map);
            }
            // A broken connection shows as the engine's end.
            let _ = process.send(message, payload);
        }
    }

    fn serve_processes(&mut self, prompting: &AtomicBool) {
        let engines: Vec<EngineId> = self.processes.keys().copied().collect();
        for engine in engines {
            let Some(process) = self
                .processes
                .get_mut(&engine)
                .filter(|process| process.is_alive())
            else {
                continue;
            };
            let _ = process.flush();
            if self.room.load(Ordering::Relaxed) < ROOM {
                self.pass_on_prints(engine, SLICE);
            }
            let Some(process) = self.processes.get_mut(&engine) else {
                continue;
            };
            let (frames, ended) = process.receive();
            for (message, payload) in frames {
                self.frame(engine, message, payload);
            }
            let Some(process) = self.processes.get_mut(&engine) else {
                continue;
            };
            if let Some(error) = ended {
                self.bury(engine, prompting, &error.to_string());
            } else if let Some(cause) = process.has_ended() {
                // A child of the engine's holds its socket open.
                self.bury(engine, prompting, &cause);
            }
        }
        if let Some((done, total, elapsed)) = self.map.as_mut().and_then(Map::progress) {
            self.emit(PoolEvent::MapProgress {
                done,
                total,
                elapsed,
            });
        }
    }

    /// Passes on what `engine` has printed by now.
    fn pass_on_prints(&mut self, engine: EngineId, at_most: usize) {
        let Some(process) = self.processes.get_mut(&engine) else {
            return;
        };
        for stream in [Stream::Stdout, Stream::Stderr] {
            let bytes = process.printed(stream, at_most);
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
        process.state = EngineState::Dead(cause.clone());
        let name = match &process.launch.pool {
            Some(pool) => format!("engine {} of {pool}", process.launch.rank),
            None => "the local engine".to_owned(),
        };
        let announced = prompting.load(Ordering::Relaxed) && self.notify.is_some();
        if let Some(notify) = self.notify.as_mut().filter(|_| announced) {
            notify(&format!("{name} died while idle: {cause}"));
        }
        if self.map.as_ref().is_some_and(|map| map.caller == engine) {
            self.map = None;
        }
        self.emit(PoolEvent::Died {
            engine,
            cause: cause.clone(),
            announced,
        });
        self.died_in_map(engine, &cause);
    }

    fn died_in_map(&mut self, engine: EngineId, cause: &str) {
        if let Some(map) = self.map.as_mut().filter(|map| map.involves(engine)) {
            map.died(engine, cause);
            self.go_on();
        }
    }

    /// Does what the map under way wants next.
    fn go_on(&mut self) {
        let steps = self.map.as_mut().map(Map::steps).unwrap_or_default();
        self.take(steps);
    }

    fn take(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Send {
                    engine,
                    message,
                    payload,
                } => self.send(engine, &message, &payload),
                Step::Over(failure) => self.map_over(failure),
            }
        }
    }

    fn map_over(&mut self, failure: Option<MapFailure>) {
        let Some(map) = self.map.take() else { return };
        let error = failure.as_ref().map(|_| "the map has failed".to_owned());
        let over = ToEngine::MapOver {
            error,
            first_items: map.first_items(),
        };
        self.send(map.caller, &over, &[]);
        self.emit(match failure {
            Some(mut failure) => {
                failure.died = map.deaths();
                PoolEvent::MapFailed(failure)
            }
            None => PoolEvent::MapDone {
                report: map.report(),
                shown: map.shown,
            },
        });
    }

    fn frame(&mut self, engine: EngineId, message: FromEngine, payload: Vec<u8>) {
        match message {
            FromEngine::Ready => {
                self.rest(engine, Duration::ZERO, 0);
                self.emit(PoolEvent::Up { engine });
            }
            FromEngine::Shown {
                rank,
                mime,
                type_name,
            } => {
                self.pass_on_prints(engine, usize::MAX);
                let text = String::from_utf8_lossy(&payload).into_owned();
                let value = Value {
                    content: vec![(mime, text)],
                    type_name,
                };
                self.emit(PoolEvent::Shown {
                    engine,
                    rank,
                    value,
                });
            }
            FromEngine::RunDone { busy, end } => {
                // What was printed before is in the pipe by now, and belongs before the cell's end.
                self.pass_on_prints(engine, usize::MAX);
                let busy = Duration::from_nanos(busy);
                self.rest(engine, busy, 1);
                self.emit(PoolEvent::RunDone { engine, busy, end });
            }
            FromEngine::ChunkDone { job, chunk, ended } => {
                self.pass_on_prints(engine, usize::MAX);
                self.rest(engine, Duration::from_nanos(ended.busy), 1);
                if let Some(map) = self.map.as_mut().filter(|map| map.job == job) {
                    let steps = map.chunk_done(engine, chunk, &ended, payload);
                    self.take(steps);
                    self.go_on();
                }
            }
            FromEngine::MapBegin {
                function,
                input_type,
                output_type,
                items,
                address,
            } => {
                let wanted = Wanted {
                    function,
                    input_type,
                    output_type,
                    items,
                    address,
                };
                self.begin_map(engine, wanted);
            }
            FromEngine::Inputs {
                count,
                exhausted,
                error,
            } => {
                let Some(map) = self.map.as_mut().filter(|map| map.caller == engine) else {
                    return;
                };
                if let Some(error) = error {
                    let what = MapFault::Inputs(error);
                    return self.map_over(Some(MapFailure {
                        rank: None,
                        item: None,
                        what,
                        died: Vec::new(),
                    }));
                }
                map.inputs(count, exhausted, payload);
                self.go_on();
            }
            FromEngine::Undecodable => {
                let what = MapFault::Inputs("a result could not be decoded".to_owned());
                self.map_over(Some(MapFailure {
                    rank: None,
                    item: None,
                    what,
                    died: Vec::new(),
                }));
            }
            FromEngine::ThreadsBegin {
                function,
                input_type,
                output_type,
                items,
            } => {
                self.begin_threads(function, input_type, output_type, items);
            }
            FromEngine::ThreadsProgress { done } => {
                if let Some(ThreadMap { total, since, .. }) = self.threads {
                    let elapsed = since.elapsed();
                    self.emit(PoolEvent::MapProgress {
                        done,
                        total: Some(total),
                        elapsed,
                    });
                }
            }
            FromEngine::ThreadsDone {
                wall,
                rows,
                error,
                failed_item,
            } => {
                let shown = self.threads.take().is_some_and(|map| map.shown);
                self.emit(match error {
                    Some(panic) => PoolEvent::MapFailed(MapFailure {
                        rank: None,
                        item: failed_item,
                        what: MapFault::Panicked(panic),
                        died: Vec::new(),
                    }),
                    None => PoolEvent::MapDone {
                        report: thread_report(self.pool(), wall, rows),
                        shown,
                    },
                });
            }
            FromEngine::BroadcastDone { threads } => {
                let threads = threads
                    .into_iter()
                    .map(|(busy, panic)| (Duration::from_nanos(busy), panic))
                    .collect();
                self.emit(PoolEvent::Broadcast { threads });
            }
            FromEngine::FirstResults { rank, texts } => {
                self.emit(PoolEvent::FirstResults { rank, texts });
            }
            FromEngine::Timing { per_loop, loops } => {
                let per_loop = per_loop.into_iter().map(f64::from_bits).collect();
                self.emit(PoolEvent::Timing { per_loop, loops });
            }
        }
    }

    fn rest(&mut self, engine: EngineId, busy: Duration, tasks: u64) {
        if let Some(process) = self.processes.get_mut(&engine) {
            process.state = EngineState::Idle;
            process.busy += busy;
            process.tasks += tasks;
        }
    }

    fn begin_map(&mut self, caller: EngineId, wanted: Wanted) {
        let Some(PoolUse::Processes { name, engines }) = self.pool.clone() else {
            // The engine asks for the pool it was told of, so this is an engine's mistake.
            let over = ToEngine::MapOver {
                error: Some("the pool in use is no process pool".to_owned()),
                first_items: Vec::new(),
            };
            return self.send(caller, &over, &[]);
        };
        let alive = engines
            .iter()
            .filter_map(|engine| self.processes.get(engine))
            .filter(|process| process.is_alive())
            .map(|process| (process.launch.id, process.launch.rank))
            .collect();
        let job = JobId(self.next_job);
        self.next_job += 1;
        let (map, plan) = Map::new(job, caller, name, alive, wanted);
        if map.shown {
            self.emit(PoolEvent::MapPlanned(plan));
        }
        self.map = Some(map);
        self.go_on();
    }

    fn pool(&self) -> (PoolName, u32) {
        match &self.pool {
            Some(PoolUse::Threads { name, size }) => (name.clone(), *size),
            Some(PoolUse::Processes { name, engines }) => (name.clone(), engines.len() as u32),
            None => (PoolName(String::new()), 0),
        }
    }

    fn begin_threads(
        &mut self,
        function: String,
        input_type: String,
        output_type: String,
        items: u64,
    ) {
        let (pool, engines) = self.pool();
        let shown = !function.is_empty();
        self.threads = Some(ThreadMap {
            shown,
            total: items,
            since: std::time::Instant::now(),
        });
        if shown {
            self.emit(PoolEvent::MapPlanned(MapPlan {
                function,
                input_type,
                output_type,
                items: Some(items),
                // Threads take an eighth of their share of what is left: one by one when that is below one.
                chunks: (items < 16 * u64::from(engines)).then_some(items),
                pool,
                kind: PoolKind::Threads,
                engines,
            }));
        }
    }
}

fn thread_report(
    (pool, _): (PoolName, u32),
    wall: u64,
    rows: Vec<crate::wire::ThreadRow>,
) -> MapReport {
    let serial = rows.iter().map(|row| Duration::from_nanos(row.busy)).sum();
    let engines = rows
        .into_iter()
        .enumerate()
        .map(|(rank, row)| MapRow {
            rank: Rank(rank as u32),
            items: row.items,
            chunks: row.chunks,
            busy: Duration::from_nanos(row.busy),
            results: Vec::new(),
        })
        .collect();
    let wall = Duration::from_nanos(wall);
    MapReport {
        pool,
        kind: PoolKind::Threads,
        engines,
        wall,
        serial,
        died: Vec::new(),
    }
}
