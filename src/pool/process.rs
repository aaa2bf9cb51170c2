//! Engines as processes on this host: started, spoken to without waiting, and buried with their cause of
//! death.

use std::ffi::OsString;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::ears::Ears;
use super::link::{Launcher, Link};
use super::wires::{Wires, resident};
use super::{Launch, MpiStart, Starter, mpi};
use crate::ids::JobId;
use crate::outcome::{DeathCause, Stream};
use crate::wire::{Channel, FromEngine, Payload, ToEngine, WireError, memory};

/// Engines as processes on this host, in this one's environment but for what was said of it.
pub struct Forks {
    environment: Environment,
    /// For engines on other hosts, which are no processes of this one's.
    ears: Ears,
}

impl Forks {
    pub fn new(ears: Ears) -> Self {
        let environment = Environment::default();
        Self { environment, ears }
    }
}

/// How the engines' environment differs from this process's.
#[derive(Clone, Default)]
pub struct Environment(Vec<(String, Option<OsString>)>);

impl From<Vec<(String, Option<String>)>> for Environment {
    fn from(changes: Vec<(String, Option<String>)>) -> Self {
        let change = |(name, value): (String, Option<String>)| (name, value.map(Into::into));
        Self(changes.into_iter().map(change).collect())
    }
}

impl Environment {
    /// What another host can be told of it.
    pub fn changes(&self) -> Vec<(String, Option<String>)> {
        let text = |value: &OsString| value.to_string_lossy().into_owned();
        let all = self.0.iter();
        all.map(|(name, value)| (name.clone(), value.as_ref().map(text)))
            .collect()
    }

    pub fn set(&mut self, name: &str, value: Option<&str>) {
        let new = value.map(Into::into);
        // What comes later counts.
        match self.0.iter_mut().rfind(|(other, _)| other == name) {
            Some((_, old)) => *old = new,
            None => self.0.push((name.to_owned(), new)),
        }
    }

    pub fn apply(&self, command: &mut Command) {
        for (name, value) in &self.0 {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if std::env::var_os(memory::TUNABLES).is_none() {
            command.env(memory::TUNABLES, memory::KEEP_MEMORY);
        }
    }
}

impl Launcher for Forks {
    fn launch(&mut self, launch: &Launch) -> std::io::Result<Box<dyn Link>> {
        match &launch.starter {
            Starter::Cluster(cluster) => cluster.launch(launch, &self.environment, &self.ears),
            _ => Ok(Box::new(Process::start(launch, &self.environment)?)),
        }
    }

    fn launch_together(
        &mut self,
        launches: &[Launch],
        start: &MpiStart,
    ) -> std::io::Result<Vec<Box<dyn Link>>> {
        mpi::start(launches, start, &self.environment)
    }

    fn set_environment(&mut self, name: &str, value: Option<&str>) {
        self.environment.set(name, value);
    }
}

/// An engine, by its connection.
pub struct Process {
    child: Child,
    wires: Wires,
}

impl Process {
    pub fn start(launch: &Launch, environment: &Environment) -> std::io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0("regatta-engine")
            .arg(crate::engine::ROLE)
            .arg(std::process::id().to_string())
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C in the terminal is for the session.
            .process_group(0);
        environment.apply(&mut command);
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().map(OwnedFd::from);
        let stderr = child.stderr.take().map(OwnedFd::from);
        let wires = Wires::open(Channel::new(socket), [stdout, stderr], launch)?;
        Ok(Self { child, wires })
    }

    pub fn connection(&self) -> BorrowedFd<'_> {
        self.wires.socket()
    }

    /// The page of numbers that it shares, see [`crate::wire::status`].
    pub fn page(&self) -> Vec<u8> {
        self.wires.page.copied()
    }

    fn number(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Link for Process {
    fn socket(&self) -> Option<BorrowedFd<'_>> {
        Some(self.wires.socket())
    }

    fn pipe(&self, stream: Stream) -> Option<BorrowedFd<'_>> {
        self.wires.pipe(stream)
    }

    fn wants_to_write(&self) -> bool {
        self.wires.wants_to_write()
    }

    fn send(&mut self, message: &ToEngine, payload: &Payload) {
        self.wires.send(message, payload);
    }

    fn flush(&mut self) {
        self.wires.flush();
    }

    fn hear(&mut self) -> (Vec<(FromEngine, Payload)>, Option<WireError>) {
        self.wires.hear()
    }

    fn at(&self, job: JobId) -> Option<(u64, u64)> {
        self.wires.page.at(job)
    }

    fn said(&self, place: usize) -> String {
        self.wires.page.said(place)
    }

    fn stop_job(&self, job: JobId) {
        self.wires.page.stop_job(job);
    }

    fn end_waits(&self) -> bool {
        self.wires.page.end_waits()
    }

    fn read_printed(&mut self, stream: Stream, at_most: usize, to: &mut Vec<u8>) {
        self.wires.read_printed(stream, at_most, to);
    }

    fn signal(&self, signal: Signal) {
        // It may be gone already, which is what the signal is for.
        let _ = kill(self.number(), signal);
    }

    fn has_ended(&mut self) -> Option<DeathCause> {
        self.child.try_wait().ok().flatten().map(cause)
    }

    fn bury(&mut self, patience: Duration) -> DeathCause {
        let since = Instant::now();
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break Some(status),
                Ok(None) if since.elapsed() < patience => {
                    std::thread::sleep(Duration::from_micros(500));
                }
                _ => {
                    let _ = self.child.kill();
                    break self.child.wait().ok();
                }
            }
        };
        let _ = killpg(self.number(), Signal::SIGKILL);
        status.map_or(DeathCause::Unknown, cause)
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn memory(&self) -> Option<u64> {
        resident(self.child.id())
    }
}

/// How a process ended.
pub fn cause(status: ExitStatus) -> DeathCause {
    match status.signal() {
        Some(signal) => DeathCause::Signal(signal),
        None => DeathCause::Exit(status.code().unwrap_or_default()),
    }
}
