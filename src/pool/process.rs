//! One engine process as the hub sees it: started, spoken to without waiting, and buried with its cause of
//! death.

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice, Read, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::{EngineState, EngineStatus, Environment, Launch};
use crate::outcome::Stream;
use crate::wire::{self, FrameReader, FromEngine, ToEngine, WireError};

pub struct Process {
    pub launch: Launch,
    pub state: EngineState,
    pub tasks: u64,
    pub busy: Duration,
    child: Child,
    socket: UnixStream,
    greeted: bool,
    reader: FrameReader,
    outgoing: VecDeque<Vec<u8>>,
    /// Bytes of the first outgoing part that are sent.
    sent: usize,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
}

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
        let mut process = Self {
            state: EngineState::Starting,
            tasks: 0,
            busy: Duration::ZERO,
            child,
            socket,
            greeted: false,
            reader: FrameReader::default(),
            outgoing: VecDeque::new(),
            sent: 0,
            stdout,
            stderr,
            launch,
        };
        process.outgoing.push_back(wire::greeting().to_vec());
        let Launch {
            id,
            rank,
            size,
            ref pool,
        } = process.launch;
        process.send(
            &ToEngine::Welcome {
                id,
                rank,
                size,
                local: pool.is_none(),
            },
            &[],
        )?;
        Ok(process)
    }

    pub fn is_alive(&self) -> bool {
        !matches!(self.state, EngineState::Dead(_))
    }

    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub fn pipe(&self, stream: Stream) -> Option<BorrowedFd<'_>> {
        match stream {
            Stream::Stdout => self.stdout.as_ref().map(AsFd::as_fd),
            Stream::Stderr => self.stderr.as_ref().map(AsFd::as_fd),
        }
    }

    pub fn wants_to_write(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Queues a frame and sends what goes at once. A broken connection shows when reading.
    pub fn send(&mut self, message: &ToEngine, payload: &[u8]) -> std::io::Result<()> {
        let mut frame = Vec::with_capacity(64 + payload.len());
        wire::write_frame(&mut frame, message, payload).map_err(std::io::Error::other)?;
        self.outgoing.push_back(frame);
        self.flush()
    }

    /// Sends as much as the socket takes.
    pub fn flush(&mut self) -> std::io::Result<()> {
        while !self.outgoing.is_empty() {
            let mut slices: Vec<IoSlice<'_>> = self
                .outgoing
                .iter()
                .take(16)
                .map(|part| IoSlice::new(part))
                .collect();
            slices[0] = IoSlice::new(&self.outgoing[0][self.sent..]);
            match self.socket.write_vectored(&slices) {
                Ok(mut written) => {
                    while let Some(first) = self.outgoing.front() {
                        let left = first.len() - self.sent;
                        if written < left {
                            self.sent += written;
                            break;
                        }
                        written -= left;
                        self.sent = 0;
                        self.outgoing.pop_front();
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.outgoing.clear();
                    self.sent = 0;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Reads what has come: whole frames, and whether the connection ended.
    pub fn receive(&mut self) -> (Vec<(FromEngine, Vec<u8>)>, Option<WireError>) {
        let mut frames = Vec::new();
        let mut buffer = [0; 64 * 1024];
        loop {
            let ended = match self.socket.read(&mut buffer) {
                Ok(0) => Some(WireError::Closed),
                Ok(count) => {
                    self.reader.extend(&buffer[..count]);
                    // A short read has emptied the socket.
                    if count == buffer.len() {
                        continue;
                    }
                    None
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => None,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Some(WireError::Io(error)),
            };
            if !self.greeted {
                match self.reader.take().map(wire::check_greeting) {
                    None => return (frames, ended),
                    Some(Err(error)) => return (frames, Some(error)),
                    Some(Ok(())) => self.greeted = true,
                }
            }
            loop {
                match self.reader.next_frame() {
                    Ok(Some(frame)) => frames.push(frame),
                    Ok(None) => return (frames, ended),
                    Err(error) => return (frames, Some(error)),
                }
            }
        }
    }

    /// What the user's code has printed by now, up to a bound; empty when there is nothing.
    pub fn printed(&mut self, stream: Stream, at_most: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 64 * 1024];
        while bytes.len() < at_most {
            let read = match stream {
                Stream::Stdout => self.stdout.as_mut().map(|pipe| pipe.read(&mut buffer)),
                Stream::Stderr => self.stderr.as_mut().map(|pipe| pipe.read(&mut buffer)),
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
        bytes
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
            memory: self.is_alive().then(|| resident(self.child.id())).flatten(),
        }
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
