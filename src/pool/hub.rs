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

use super::map::{Map, Step};
use super::process::Process;
use super::{
    Command, EngineState, Environment, MapFailure, MapFault, Notify, PoolEvent, PoolUse, Printed,
    Run, Work,
};
use crate::ids::EngineId;
use crate::outcome::Stream;
use crate::wire::ToEngine;

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
    environment: Environment,
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
        environment,
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

pub(super) struct State {
    pub(super) processes: BTreeMap<EngineId, Process>,
    pub(super) events: Sender<PoolEvent>,
    /// Printed bytes that the session has not taken yet.
    pub(super) room: Arc<AtomicUsize>,
    pub(super) map: Option<Map>,
    pub(super) next_job: u32,
    /// What the cell under way maps over.
    pub(super) pool: Option<PoolUse>,
    /// The plan of the thread map under way: when it began and whether it shows a table.
    pub(super) threads: Option<ThreadMap>,
    pub(super) notify: Option<Notify>,
    /// How the engines' environment differs from the session's.
    pub(super) environment: Environment,
}

pub(super) struct ThreadMap {
    pub(super) shown: bool,
    pub(super) total: u64,
    pub(super) since: std::time::Instant,
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
            Command::InterruptMap(answer) => {
                let _ = answer.send(self.map.is_some());
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

    pub(super) fn send(&mut self, engine: EngineId, message: &ToEngine, payload: &[u8]) {
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
    pub(super) fn pass_on_prints(&mut self, engine: EngineId, at_most: usize) {
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
        if self.map.as_ref().is_some_and(|map| map.caller == engine) {
            self.map = None;
        }
        self.emit(PoolEvent::Died {
            engine,
            cause: cause.clone(),
            announced,
        });
        // After the event: whoever reads this line may type the next cell at once.
        if let Some(notify) = self.notify.as_mut().filter(|_| announced) {
            notify(&format!("{name} died while idle: {cause}"));
        }
        self.died_in_map(engine, &cause);
    }

    fn died_in_map(&mut self, engine: EngineId, cause: &str) {
        if let Some(map) = self.map.as_mut().filter(|map| map.involves(engine)) {
            map.died(engine, cause);
            self.go_on();
        }
    }

    /// Does what the map under way wants next.
    pub(super) fn go_on(&mut self) {
        let steps = self.map.as_mut().map(Map::steps).unwrap_or_default();
        self.take(steps);
    }

    pub(super) fn take(&mut self, steps: Vec<Step>) {
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

    pub(super) fn map_over(&mut self, failure: Option<MapFailure>) {
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
}
