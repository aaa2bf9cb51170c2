//! Engines as processes on this host: started, spoken to without waiting, and buried with their cause of
//! death.

use std::ffi::OsString;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use regatta_cell::host::now;

use super::Launch;
use super::link::{Launcher, Link};
use crate::ids::JobId;
use crate::outcome::{DeathCause, Stream};
use crate::wire::{self, Channel, FromEngine, Payload, ToEngine, WireError, status};

/// Engines as processes on this host, in this one's environment but for what was said of it.
#[derive(Default)]
pub struct Forks {
    environment: Environment,
}

/// How the engines' environment differs from this process's.
type Environment = Vec<(String, Option<OsString>)>;

impl Launcher for Forks {
    fn launch(&mut self, launch: &Launch) -> std::io::Result<Box<dyn Link>> {
        Ok(Box::new(Process::start(launch, &self.environment)?))
    }

    fn set_environment(&mut self, name: &str, value: Option<&str>) {
        let new = value.map(Into::into);
        match self.environment.iter_mut().find(|(other, _)| other == name) {
            Some((_, old)) => *old = new,
            None => self.environment.push((name.to_owned(), new)),
        }
    }
}

struct Process {
    child: Child,
    channel: Channel,
    greeted: bool,
    /// What it shares with the engine; see [`status`].
    page: Arc<OwnedFd>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
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

/// When this session started its first engine, milliseconds since 1970.
static BEGAN: LazyLock<u64> = LazyLock::new(now);

impl Process {
    fn start(launch: &Launch, environment: &Environment) -> std::io::Result<Self> {
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
            child,
            channel: Channel::new(socket),
            greeted: false,
            page: Arc::new(page.into()),
            stdout,
            stderr,
            buffer: Vec::new(),
        };
        process.channel.queue_plain(&wire::greeting());
        let welcome = ToEngine::Welcome {
            id: launch.id,
            rank: launch.rank,
            size: launch.size,
            pool: launch.pool.clone(),
            session: *BEGAN,
        };
        let page = Payload::Shared(process.page.clone());
        let channel = &mut process.channel;
        channel
            .queue(&welcome, &page)
            .map_err(std::io::Error::other)?;
        channel.flush()?;
        Ok(process)
    }

    fn word(&self, index: usize) -> u64 {
        let mut bytes = [0; 8];
        // A page that cannot be read tells of no item.
        let _ = rustix::io::pread(&self.page, &mut bytes, 8 * index as u64);
        u64::from_ne_bytes(bytes)
    }

    fn number(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Link for Process {
    fn socket(&self) -> Option<BorrowedFd<'_>> {
        Some(self.channel.socket())
    }

    fn pipe(&self, stream: Stream) -> Option<BorrowedFd<'_>> {
        match stream {
            Stream::Stdout => self.stdout.as_ref().map(AsFd::as_fd),
            Stream::Stderr => self.stderr.as_ref().map(AsFd::as_fd),
        }
    }

    fn wants_to_write(&self) -> bool {
        self.channel.wants_to_write()
    }

    fn send(&mut self, message: &ToEngine, payload: &Payload) {
        // What is too long for a frame is too long for anybody; nothing else can fail before it is sent.
        let _ = self.channel.queue(message, payload);
    }

    fn flush(&mut self) {
        let _ = self.channel.flush();
    }

    fn hear(&mut self) -> (Vec<(FromEngine, Payload)>, Option<WireError>) {
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

    fn at(&self, job: JobId) -> Option<(u64, u64)> {
        if self.word(status::JOB) != u64::from(job.0) {
            return None;
        }
        let item = self.word(status::ITEM).checked_sub(1)?;
        Some((item, self.word(status::BEGUN)))
    }

    fn said(&self, place: usize) -> String {
        let mut bytes = [0; 8 * status::SAID_WORDS];
        let from = status::SAID + place * status::SAID_WORDS;
        if place >= status::SAID_PLACES
            || rustix::io::pread(&self.page, &mut bytes, 8 * from as u64) != Ok(bytes.len())
        {
            return String::new();
        }
        let (length, text) = bytes.split_at(8);
        let length = length.try_into().map_or(0, u64::from_ne_bytes) as usize;
        String::from_utf8_lossy(&text[..length.min(text.len())]).into_owned()
    }

    fn stop_job(&self, job: JobId) {
        let bytes = u64::from(job.0).to_ne_bytes();
        // An engine that does not hear of it is killed later.
        let _ = rustix::io::pwrite(&self.page, &bytes, 8 * status::STOP as u64);
    }

    fn read_printed(&mut self, stream: Stream, at_most: usize, to: &mut Vec<u8>) {
        let buffer = &mut self.buffer;
        buffer.resize(PIPE, 0);
        while to.len() < at_most {
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
                Some(Ok(count)) => to.extend_from_slice(&buffer[..count]),
                Some(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
                Some(Err(_)) => break,
            }
        }
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

fn cause(status: ExitStatus) -> DeathCause {
    match status.signal() {
        Some(signal) => DeathCause::Signal(signal),
        None => DeathCause::Exit(status.code().unwrap_or_default()),
    }
}

/// Resident memory in bytes.
fn resident(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes * 1024)
}
