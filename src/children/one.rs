//! One child: its process, its life, what it prints.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::census::{self, Census, Usage};
use super::flow::Flow;
use super::launch::{Life, NotStarted, Process, Program, start};
use super::log::Printed;
use super::machine::{Machine, Restart};
use super::supervisor::Refused;
use crate::outcome::{About, ChildEnd, ChildLine, ChildState, Stream};

/// Bytes read at once of one stream, so that every child has its turn.
const AT_ONCE: usize = 256 * 1024;

/// A stream of the child's, read without waiting.
pub struct Pipe {
    pub stream: Stream,
    pub file: Arc<OwnedFd>,
}

pub struct One {
    pub number: u64,
    pub name: String,
    pub program: Program,
    pub machine: Machine,
    pub printed: Printed,
    /// What it prints is kept and not shown.
    pub quiet: bool,
    process: Option<std::process::Child>,
    /// Readable when the process has ended.
    pub end: Option<Arc<OwnedFd>>,
    pub pipes: Vec<Pipe>,
    pub pid: u32,
    since: Instant,
    /// How long the last process ran, once it has ended, and the processor time that it took.
    ran: Option<Duration>,
    spent: Duration,
    /// It was told to end, and its process has, though perhaps not all of its processes.
    pub gone: bool,
    /// Where it prints to, when it lives on after the session.
    pub prints_to: Option<PathBuf>,
    /// What stands before that in the file is an earlier one's, bytes.
    pub prints_from: u64,
    pub flow: Flow,
    /// The cell that has started it.
    pub about: About,
}

impl One {
    pub fn start(
        number: u64,
        name: String,
        program: Program,
        restart: Restart,
        quiet: bool,
    ) -> Result<Self, Refused> {
        let process = start(&program, Life::WithSession(number))?;
        Ok(Self::of(number, name, program, restart, quiet, process))
    }

    /// Starts one that lives on after the session, and prints to a file in its folder.
    pub fn detached(
        number: u64,
        name: String,
        program: Program,
        quiet: bool,
    ) -> Result<Self, Refused> {
        // What cannot be started leaves no file.
        program.find()?;
        let path = program.folder.join(format!("{name}.log"));
        let file = File::options().append(true).create(true).open(&path);
        let file = file.map_err(|error| Refused::NoFile {
            name: name.clone(),
            why: format!("{}: {error}", path.display()),
        })?;
        let before = file.metadata().map_or(0, |about| about.len());
        let process = start(&program, Life::Detached(&file))?;
        let mut one = Self::of(number, name, program, Restart::Never, quiet, process);
        one.prints_to = Some(path);
        one.prints_from = before;
        Ok(one)
    }

    fn of(
        number: u64,
        name: String,
        program: Program,
        restart: Restart,
        quiet: bool,
        process: Process,
    ) -> Self {
        let now = Instant::now();
        let mut one = Self {
            number,
            name,
            program,
            machine: Machine::new(restart, now),
            printed: Printed::default(),
            quiet,
            process: None,
            end: None,
            pipes: Vec::new(),
            pid: 0,
            since: now,
            ran: None,
            spent: Duration::ZERO,
            gone: false,
            prints_to: None,
            prints_from: 0,
            flow: Flow::new(now),
            about: About::default(),
        };
        one.adopt(process, now);
        one
    }

    /// Ends one that was started with others, of which one could not be.
    pub fn abandon(mut self) {
        self.signal_group(Signal::SIGKILL);
        self.bury();
    }

    fn adopt(&mut self, process: Process, now: Instant) {
        self.pid = process.child.id();
        self.process = Some(process.child);
        self.end = Some(Arc::new(process.end));
        let out = process.out.map(|file| (Stream::Stdout, file));
        let err = process.err.map(|file| (Stream::Stderr, file));
        let pipes = out.into_iter().chain(err).map(|(stream, file)| Pipe {
            stream,
            file: Arc::new(file),
        });
        self.pipes = pipes.collect();
        self.since = now;
        self.ran = None;
        self.gone = false;
    }

    /// Starts its next process.
    pub fn start_again(&mut self) -> Result<(), NotStarted> {
        let process = start(&self.program, Life::WithSession(self.number))?;
        let now = Instant::now();
        self.adopt(process, now);
        self.machine.started(now);
        Ok(())
    }

    /// Whether its process has not been waited for: until then its group cannot be another's.
    pub fn has_process(&self) -> bool {
        self.process.is_some()
    }

    /// Reads what is there of a stream, and gives the lines that end in it.
    pub fn read(&mut self, stream: Stream) -> Vec<ChildLine> {
        let Some(at) = self.pipes.iter().position(|pipe| pipe.stream == stream) else {
            return Vec::new();
        };
        let file = self.pipes[at].file.clone();
        let mut lines = Vec::new();
        let mut buffer = [0; 32 * 1024];
        let mut taken = 0;
        let ended = loop {
            match nix::unistd::read(&*file, &mut buffer) {
                Ok(0) => break true,
                Ok(count) => {
                    lines.extend(self.printed.push(stream, &buffer[..count]));
                    taken += count;
                    if taken >= AT_ONCE {
                        break false;
                    }
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break false,
                Err(_) => break true,
            }
        };
        if ended {
            self.pipes.remove(at);
            lines.extend(self.printed.finish(stream));
        }
        lines
    }

    /// What its process has printed before its end is in the pipes; what else holds them may print on.
    pub fn read_last(&mut self) -> Vec<ChildLine> {
        let mut lines = self.read(Stream::Stdout);
        lines.extend(self.read(Stream::Stderr));
        lines
    }

    /// The open lines, when its next process begins others.
    pub fn finish_lines(&mut self) -> Vec<ChildLine> {
        let streams = [Stream::Stdout, Stream::Stderr];
        streams
            .into_iter()
            .filter_map(|stream| self.printed.finish(stream))
            .collect()
    }

    /// Its process has ended: notes what it took, while that can still be asked for.
    pub fn note_end(&mut self) {
        self.end = None;
        self.ran = Some(self.since.elapsed());
        self.spent = census::spent(self.pid).unwrap_or_default();
    }

    /// How its process has ended, which is waited for.
    pub fn bury(&mut self) -> ChildEnd {
        let status = self.process.take().map(|mut process| process.wait());
        match status {
            Some(Ok(status)) => match status.signal() {
                Some(signal) => ChildEnd::Signal(signal),
                None => ChildEnd::Exit(status.code().unwrap_or_default()),
            },
            // Nobody else waits for it.
            Some(Err(_)) | None => ChildEnd::Exit(0),
        }
    }

    /// Sends a signal to its whole group, as long as that is its own.
    pub fn signal_group(&self, signal: Signal) {
        if self.has_process()
            && let Ok(pid) = i32::try_from(self.pid)
        {
            let _ = killpg(Pid::from_raw(pid), signal);
        }
    }

    /// All its processes that live.
    pub fn members(&self, census: &Census, marked: &[Pid]) -> Vec<Pid> {
        let group = self.has_process().then_some(self.pid);
        let group = group.into_iter().flat_map(|pid| census.of_group(pid));
        let mut all: Vec<Pid> = group.chain(marked.iter().copied()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    pub fn ran(&self) -> Duration {
        self.ran.unwrap_or_else(|| self.since.elapsed())
    }

    /// What it takes now, and has taken.
    pub fn usage(&self, census: &Census) -> Usage {
        if !self.has_process() {
            return Usage {
                cpu: self.spent,
                memory: 0,
            };
        }
        census.usage(self.pid)
    }

    pub fn state(&self) -> ChildState {
        self.machine.state()
    }
}

pub fn signal(members: &[Pid], signal: Signal) {
    for pid in members {
        // It may have ended by itself in this moment.
        let _ = kill(*pid, signal);
    }
}
