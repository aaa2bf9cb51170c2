//! A server of the session's own: the installed `redis-server` or `valkey-server`, on a socket in a folder that nobody else
//! may enter, without a port. A process beside it, the keeper, starts it again when it is killed, and when the session is
//! gone, however it ended, ends it and removes the folder. What it has acknowledged is in a file of that folder, so that it
//! forgets nothing when it is killed.

use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use redis::cmd;
use rustix::process::{PidfdFlags, pidfd_open};
use tempfile::TempDir;

use super::address::Address;
use super::line::{KEEPS_ALL, Server};
use super::mortal;

/// The first command line argument of a keeper; the folder and the program follow.
pub const ROLE: &str = "__redis";

/// The programs, in the order in which they are looked for.
const PROGRAMS: [&str; 2] = ["redis-server", "valkey-server"];

const SOCKET: &str = "redis.sock";
const LOG: &str = "log";

/// The longest path of a socket, bytes.
const LONGEST: usize = 100;

/// How long it may take to come up.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that lives for less is not started again so often.
const SHORT: Duration = Duration::from_secs(1);
const SHORT_LIVES: usize = 5;

/// A server that the session has started. It ends when this is dropped.
#[derive(Debug)]
pub struct Private {
    folder: TempDir,
    /// While it is open, the keeper keeps.
    pipe: Option<ChildStdin>,
    keeper: Child,
    /// `redis-server`, `valkey-server`
    pub program: &'static str,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum PrivateError {
    /// Nothing is installed that could be started.
    #[error("there is no {} on the PATH", .0.join(" and no "))]
    Missing(Vec<&'static str>),
    /// It could not be started, or came to an end.
    #[error("{program} does not come up: {why}")]
    Start { program: &'static str, why: String },
}

impl Private {
    /// Starts the server of this name, or any that is installed.
    pub fn start(wanted: Option<&str>, path: Option<&str>) -> Result<Self, PrivateError> {
        let names: Vec<&'static str> = PROGRAMS
            .into_iter()
            .filter(|name| wanted.is_none_or(|wanted| name.starts_with(wanted)))
            .collect();
        let found = names
            .iter()
            .find_map(|name| Some((*name, installed(name, path)?)));
        let (program, file) = found.ok_or(PrivateError::Missing(names))?;
        let trouble = |why: String| PrivateError::Start { program, why };
        let failed = |error: std::io::Error| trouble(error.to_string());
        let folder = folder().map_err(failed)?;
        let mut keeper = Command::new("/proc/self/exe")
            .arg0("regatta-redis")
            .arg(ROLE)
            .arg(folder.path())
            .arg(file)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let pipe = keeper.stdin.take();
        let mut private = Self {
            folder,
            pipe,
            keeper,
            program,
        };
        private.wait().map_err(trouble)?;
        Ok(private)
    }

    pub fn address(&self) -> String {
        format!("unix:{}", self.folder.path().join(SOCKET).display())
    }

    /// Until it answers; an error is what it has said.
    fn wait(&mut self) -> Result<(), String> {
        let address = Address::parse(&self.address(), None).map_err(|error| error.to_string())?;
        let server = Server::new(address);
        let since = Instant::now();
        loop {
            let up = server
                .line(&|| false)
                .and_then(|mut line| line.ask::<()>(cmd("SET").arg(KEEPS_ALL).arg(1)));
            let Err(error) = up else {
                return Ok(());
            };
            let ended = self.keeper.try_wait().ok().flatten().is_some();
            if ended || since.elapsed() > PATIENCE {
                let log = std::fs::read_to_string(self.folder.path().join(LOG));
                let log = log.unwrap_or_default();
                let last = log.lines().rev().find(|line| !line.trim().is_empty());
                return Err(last.map_or_else(|| error.to_string(), str::to_owned));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = self.keeper.wait();
    }
}

/// A folder whose paths are short enough for a socket.
fn folder() -> std::io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("regatta-redis-");
    let folder = builder.tempdir()?;
    if folder.path().as_os_str().as_bytes().len() + SOCKET.len() < LONGEST {
        return Ok(folder);
    }
    builder.tempdir_in("/tmp")
}

/// Where a program is.
fn installed(name: &str, path: Option<&str>) -> Option<PathBuf> {
    use nix::unistd::{AccessFlags, access};
    // Debian keeps some of them where only the system's users look.
    let places = std::env::split_paths(path?).chain([PathBuf::from("/usr/sbin")]);
    places
        .map(|folder| folder.join(name))
        .find(|file| file.is_file() && access(file, AccessFlags::X_OK).is_ok())
}

/// The keeper: keeps the server running until standard input closes.
pub fn main(folder: &Path, program: &Path) -> std::io::Result<()> {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let mut set = nix::sys::signal::SigSet::empty();
        set.add(signal);
        set.thread_block()?;
    }
    let kept = keep(folder, program);
    // Of the session that is gone; else it is the session that removes it.
    if kept.is_ok() {
        let _ = std::fs::remove_dir_all(folder);
    }
    kept
}

fn keep(folder: &Path, program: &Path) -> std::io::Result<()> {
    let mut short = 0;
    loop {
        let since = Instant::now();
        let log = std::fs::File::create(folder.join(LOG))?;
        let mut server = mortal::command(program)
            .args(["--port", "0"])
            .args(["--unixsocket", SOCKET, "--unixsocketperm", "700"])
            .args(["--appendonly", "yes", "--appendfsync", "no"])
            .args(["--save", "", "--daemonize", "no", "--logfile", ""])
            .args(["--loglevel", "warning"])
            // Who is slow to listen is not given up for what the session's own store keeps for it.
            .args(["--client-output-buffer-limit", "pubsub", "256mb", "0", "0"])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        if wait(&mut server)?.is_none() {
            let _ = server.kill();
            server.wait()?;
            return Ok(());
        }
        short = if since.elapsed() < SHORT {
            short + 1
        } else {
            0
        };
        if short == SHORT_LIVES {
            return Err(std::io::Error::other("it ends as soon as it is started"));
        }
    }
}

/// Waits for the end of the server, or of the session: then `None`.
fn wait(server: &mut Child) -> std::io::Result<Option<ExitStatus>> {
    let process = pidfd_open(
        rustix::process::Pid::from_child(server),
        PidfdFlags::empty(),
    )?;
    let input = std::io::stdin();
    loop {
        let mut fds = [
            PollFd::new(std::os::fd::AsFd::as_fd(&process), PollFlags::POLLIN),
            PollFd::new(std::os::fd::AsFd::as_fd(&input), PollFlags::POLLIN),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        if fds[1].any() == Some(true) && input.lock().read(&mut [0])? == 0 {
            return Ok(None);
        }
        if fds[0].any() == Some(true) {
            return server.wait().map(Some);
        }
    }
}
