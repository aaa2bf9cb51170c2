//! One engine process as the hub sees it: started, spoken to without waiting, and buried with its cause of
//! death.

use std::io::{ErrorKind, Read};
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::{EngineState, EngineStatus, Environment, Launch, Work};
use crate::ids::JobId;
use crate::outcome::Stream;
use crate::wire::{self, Channel, FromEngine, Payload, ToEngine, WireError, status};

pub struct Process {
    pub launch: Launch,
    pub state: EngineState,
    pub tasks: u64,
    pub busy: Duration,
    /// Captured variables that it has.
    pub captures: std::collections::BTreeSet<u128>,
    /// Jobs that are over, which it has not been told.
    pub over: Vec<JobId>,
    /// Cells and chunks that it was sent and has not ended.
    given: u32,
    /// Items of maps that it may still be sent; `None`: any number.
    left: Option<u64>,
    child: Child,
    channel: Channel,
    greeted: bool,
    /// What it shares with the engine; see [`status`].
    page: Arc<OwnedFd>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    /// Printed, read, and not passed on.
    pending: [Vec<u8>; 2],
    /// For reading the two.
    buffer: Vec<u8>,
}

/// Large arrays that were freed are used again: the first touch of a fresh page costs more than copying into
/// it.
const TUNABLES: &str = "GLIBC_TUNABLES";
const KEEP_MEMORY: &str =
    "glibc.malloc.mmap_threshold=268435456:glibc.malloc.trim_threshold=268435456";

/// What a pipe holds, bytes.
const PIPE: usize = 64 * 1024;

impl Process {
    /// Starts the process, in this one's environment but for what `environment` says.
    pub fn start(launch: Launch, environment: &Environment) -> std::io::Result<Self> {
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
        for (name, value) in environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if std::env::var_os(TUNABLES).is_none() {
            command.env(TUNABLES, KEEP_MEMORY);
        }
        let mut child = command.spawn()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        for fd in [
            stdout.as_ref().map(AsFd::as_fd),
            stderr.as_ref().map(AsFd::as_fd),
        ]
        .into_iter()
        .flatten()
        {
            let flags = nix::fcntl::OFlag::O_NONBLOCK;
            nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETFL(flags))?;
        }
        socket.set_nonblocking(true)?;
        let page = wire::memory_file()?;
        page.set_len(status::LENGTH)?;
        let mut process = Self {
            state: EngineState::Starting,
            tasks: 0,
            busy: Duration::ZERO,
            captures: std::collections::BTreeSet::new(),
            over: Vec::new(),
            given: 0,
            left: launch.items.map(NonZeroU64::get),
            child,
            channel: Channel::new(socket),
            greeted: false,
            page: Arc::new(page.into()),
            stdout,
            stderr,
            pending: Default::default(),
            buffer: Vec::new(),
            launch,
        };
        process.channel.queue_plain(&wire::greeting());
        let Launch {
            id,
            rank,
            size,
            ref pool,
            ..
        } = process.launch;
        let local = pool.is_none();
        let welcome = ToEngine::Welcome {
            id,
            rank,
            size,
            local,
        };
        let page = Payload::Shared(process.page.clone());
        process.send(&welcome, &page)?;
        process.flush()?;
        Ok(process)
    }

    /// It was given a cell or a chunk.
    pub fn begins(&mut self, work: Work) {
        self.given += 1;
        self.state = EngineState::Busy(work);
    }

    /// It has ended one.
    pub fn ends(&mut self) {
        self.given = self.given.saturating_sub(1);
        if self.given == 0 {
            self.state = EngineState::Idle;
        }
    }

    /// It was given items of a map.
    pub fn takes(&mut self, items: u64) {
        self.left = self.left.map(|left| left.saturating_sub(items));
    }

    /// Items of maps that it may still be given; `None`: any number.
    pub fn left(&self) -> Option<u64> {
        self.left
    }

    /// It has done all that it may.
    pub fn is_spent(&self) -> bool {
        self.left == Some(0) && self.given == 0 && self.is_alive()
    }

    /// Cells and chunks that it was sent and has not ended.
    pub fn given(&self) -> u32 {
        self.given
    }

    /// Whether it has answered since its start.
    pub fn was_ready(&self) -> bool {
        self.greeted
    }

    pub fn is_alive(&self) -> bool {
        !matches!(self.state, EngineState::Dead(_))
    }

    pub fn socket(&self) -> BorrowedFd<'_> {
        self.channel.socket()
    }

    pub fn pipe(&self, stream: Stream) -> Option<BorrowedFd<'_>> {
        match stream {
            Stream::Stdout => self.stdout.as_ref().map(AsFd::as_fd),
            Stream::Stderr => self.stderr.as_ref().map(AsFd::as_fd),
        }
    }

    pub fn wants_to_write(&self) -> bool {
        self.channel.wants_to_write()
    }

    /// Queues a frame. A broken connection shows when reading.
    pub fn send(&mut self, message: &ToEngine, payload: &Payload) -> std::io::Result<()> {
        self.channel
            .queue(message, payload)
            .map_err(std::io::Error::other)
    }

    /// Sends as much as the socket takes.
    pub fn flush(&mut self) -> std::io::Result<()> {
        self.channel.flush()
    }

    /// Reads what has come: whole frames, and whether the connection ended.
    pub fn receive(&mut self) -> (Vec<(FromEngine, Payload)>, Option<WireError>) {
        let mut frames = Vec::new();
        let ended = self.channel.fill();
        if !self.greeted {
            match self.channel.take().map(wire::check_greeting) {
                None => return (frames, ended),
                Some(Err(error)) => return (frames, Some(error)),
                Some(Ok(())) => self.greeted = true,
            }
        }
        loop {
            match self.channel.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => return (frames, ended),
                Err(error) => return (frames, Some(error)),
            }
        }
    }

    fn word(&self, index: usize) -> u64 {
        let mut bytes = [0; 8];
        // A page that cannot be read tells of no item.
        let _ = rustix::io::pread(&self.page, &mut bytes, 8 * index as u64);
        u64::from_ne_bytes(bytes)
    }

    /// The item of this job that the engine is at, and a number that changes with each item.
    pub fn at(&self, job: JobId) -> Option<(u64, u64)> {
        if self.word(status::JOB) != u64::from(job.0) {
            return None;
        }
        let item = self.word(status::ITEM).checked_sub(1)?;
        Some((item, self.word(status::BEGUN)))
    }

    /// Tells the engine to end the chunks of a job after their current item.
    pub fn stop_job(&self, job: JobId) {
        let bytes = u64::from(job.0).to_ne_bytes();
        // An engine that does not hear of it is killed later.
        let _ = rustix::io::pwrite(&self.page, &bytes, 8 * status::STOP as u64);
    }

    /// What was read of what the user's code has printed.
    pub fn take_printed(&mut self, stream: Stream) -> Vec<u8> {
        std::mem::take(&mut self.pending[stream as usize])
    }

    /// Reads what the user's code has printed by now, up to a bound.
    pub fn read_printed(&mut self, stream: Stream, at_most: usize) {
        let bytes = &mut self.pending[stream as usize];
        let buffer = &mut self.buffer;
        buffer.resize(PIPE, 0);
        while bytes.len() < at_most {
            let read = match stream {
                Stream::Stdout => self.stdout.as_mut().map(|pipe| pipe.read(buffer)),
                Stream::Stderr => self.stderr.as_mut().map(|pipe| pipe.read(buffer)),
            };
            match read {
                None => break,
                Some(Ok(0)) => {
                    match stream {
                        Stream::Stdout => self.stdout = None,
                        Stream::Stderr => self.stderr = None,
                    }
                    break;
                }
                Some(Ok(count)) => bytes.extend_from_slice(&buffer[..count]),
                Some(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
                Some(Err(_)) => break,
            }
        }
    }

    pub fn signal(&self, signal: Signal) {
        // It may be gone already, which is what the signal is for.
        let _ = kill(self.pid(), signal);
    }

    /// Whether the process has ended, and how.
    pub fn has_ended(&mut self) -> Option<String> {
        self.child.try_wait().ok().flatten().map(cause)
    }

    /// Ends the process and whatever it started in its process group; tells how it ended.
    pub fn bury(&mut self, patience: Duration) -> String {
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
        let _ = killpg(self.pid(), Signal::SIGKILL);
        status.map_or_else(|| "ended".to_owned(), cause)
    }

    pub fn status(&self) -> EngineStatus {
        EngineStatus {
            id: self.launch.id,
            pid: self.child.id(),
            state: self.state.clone(),
            tasks: self.tasks,
            busy: self.busy,
            memory: self.memory(),
        }
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> Option<u64> {
        self.is_alive().then(|| resident(self.child.id())).flatten()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

/// `killed by SIGKILL`, `ended itself with exit status 3`.
fn cause(status: ExitStatus) -> String {
    match status.signal().map(Signal::try_from) {
        Some(Ok(Signal::SIGSEGV)) => "segmentation fault (SIGSEGV)".to_owned(),
        Some(Ok(Signal::SIGABRT)) => "aborted (SIGABRT)".to_owned(),
        Some(Ok(signal)) => format!("killed by {signal}"),
        Some(Err(_)) => "killed by a signal".to_owned(),
        None => format!(
            "ended itself with exit status {}",
            status.code().unwrap_or_default()
        ),
    }
}

/// Resident memory in bytes.
fn resident(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes * 1024)
}
