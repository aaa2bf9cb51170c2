//! Servers that run for a session alone: a program that is installed, in a folder that nobody else may enter. A process
//! beside it, the keeper, starts it again when it is killed, and when the session is gone, however it ended, ends it and
//! removes the folder.

pub mod mortal;
pub mod tree;

use std::ffi::OsStr;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::unistd::{AccessFlags, access};
use rustix::process::{PidfdFlags, pidfd_open};
use tempfile::TempDir;

/// The first command line argument of a keeper; the folder, how often it tries, the program and its arguments follow.
pub const ROLE: &str = "__keep";

/// How often a server is started again that does not live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tries {
    /// A few times: its session is told.
    Few,
    /// As often as it takes, ever more slowly: what it keeps outlives sessions.
    All,
}

impl Tries {
    fn word(self) -> &'static str {
        match self {
            Self::Few => "few",
            Self::All => "all",
        }
    }

    /// As a keeper is told.
    pub fn of(word: &OsStr) -> Self {
        match word == Self::All.word() {
            true => Self::All,
            false => Self::Few,
        }
    }
}

const LOG: &str = "log";

/// A server that lives for less is not started again so often.
const SHORT: Duration = Duration::from_secs(1);
const SHORT_LIVES: u32 = 5;

/// Between two tries after those, the first and the longest: who comes back to the server waits longer for it.
const AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// A server that the session has started. It ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    folder: TempDir,
    /// What starts a keeper.
    command: Command,
    /// While it is open, the keeper keeps.
    pipe: Option<ChildStdin>,
    keeper: Child,
}

impl Server {
    /// Starts a program in its folder, which is its working folder too. `variables` are added to its environment.
    pub fn start(
        folder: TempDir,
        program: &Path,
        arguments: &[&OsStr],
        variables: &[(&str, String)],
        tries: Tries,
    ) -> std::io::Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0("regatta-keeper")
            .arg(ROLE)
            .arg(folder.path())
            .arg(tries.word())
            .arg(program)
            .args(arguments)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut keeper = command.spawn()?;
        Ok(Self {
            folder,
            command,
            pipe: keeper.stdin.take(),
            keeper,
        })
    }

    /// Starts another keeper when this one has ended, and with it the server.
    pub fn keep_up(&mut self) -> std::io::Result<()> {
        if self.has_ended() {
            self.keeper = self.command.spawn()?;
            self.pipe = self.keeper.stdin.take();
        }
        Ok(())
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// It does not run any more, and is not started again.
    pub fn has_ended(&mut self) -> bool {
        self.keeper.try_wait().ok().flatten().is_some()
    }

    /// The last thing that it has said.
    pub fn last_words(&self) -> Option<String> {
        let log = std::fs::read_to_string(self.folder().join(LOG)).ok()?;
        let last = log.lines().rev().find(|line| !line.trim().is_empty());
        last.map(str::to_owned)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = self.keeper.wait();
    }
}

/// Where a program is.
pub fn installed(name: &str, path: Option<&str>) -> Option<PathBuf> {
    // Debian keeps some of them where only the system's users look.
    let places = std::env::split_paths(path?).chain([PathBuf::from("/usr/sbin")]);
    places
        .map(|folder| folder.join(name))
        .find(|file| file.is_file() && access(file, AccessFlags::X_OK).is_ok())
}

/// Whether this process ignores a signal.
pub fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = { status.lines() }.find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    ignored.is_some_and(|set| set >> (signal as i32 - 1) & 1 == 1)
}

/// The keeper: keeps the server running until standard input closes.
pub fn main(
    folder: &Path,
    tries: Tries,
    program: &Path,
    arguments: &[std::ffi::OsString],
) -> std::io::Result<()> {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let mut set = nix::sys::signal::SigSet::empty();
        set.add(signal);
        set.thread_block()?;
    }
    let kept = keep(folder, tries, program, arguments);
    // Of the session that is gone; else it is the session that removes it.
    if kept.is_ok() {
        let _ = std::fs::remove_dir_all(folder);
    }
    kept
}

fn keep(
    folder: &Path,
    tries: Tries,
    program: &Path,
    arguments: &[std::ffi::OsString],
) -> std::io::Result<()> {
    let mut short = 0;
    loop {
        let since = Instant::now();
        let ended = live(folder, program, arguments);
        if matches!(ended, Ok(None)) {
            return Ok(());
        }
        short = match since.elapsed() < SHORT {
            true => short + 1,
            false => 0,
        };
        match (tries, ended) {
            (Tries::Few, Err(error)) => return Err(error),
            (Tries::Few, Ok(ended)) if short == SHORT_LIVES => {
                say_if_nothing_was_said(&folder.join(LOG), ended)?;
                return Err(std::io::Error::other("it ends as soon as it is started"));
            }
            (Tries::Few, Ok(_)) => {}
            (Tries::All, _) => {
                if is_over_within(pause(short))? {
                    return Ok(());
                }
            }
        }
    }
}

/// How long to wait after so many short lives.
fn pause(short: u32) -> Duration {
    let [first, longest] = AGAIN;
    match short.checked_sub(SHORT_LIVES) {
        None => Duration::ZERO,
        Some(more) => (first * (1 << more.min(8))).min(longest),
    }
}

/// One life of the server; `None`: it was ended because the session has.
fn live(
    folder: &Path,
    program: &Path,
    arguments: &[std::ffi::OsString],
) -> std::io::Result<Option<ExitStatus>> {
    let log = std::fs::File::create(folder.join(LOG))?;
    let mut server = mortal::command(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    let ended = wait(&mut server);
    if !matches!(ended, Ok(Some(_))) {
        let _ = server.kill();
        server.wait()?;
    }
    ended
}

/// Its last words, where it has none, are how it ended.
fn say_if_nothing_was_said(log: &Path, ended: Option<ExitStatus>) -> std::io::Result<()> {
    if let Some(ended) = ended
        && std::fs::metadata(log)?.len() == 0
    {
        std::fs::write(log, format!("{ended}\n"))?;
    }
    Ok(())
}

/// Waits so long; whether the session ends meanwhile.
fn is_over_within(pause: Duration) -> std::io::Result<bool> {
    let until = Instant::now() + pause;
    let input = std::io::stdin();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        let mut fds = [PollFd::new(
            std::os::fd::AsFd::as_fd(&input),
            PollFlags::POLLIN,
        )];
        match poll(&mut fds, left) {
            Ok(0) => return Ok(false),
            Ok(_) if input.lock().read(&mut [0])? == 0 => return Ok(true),
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_live_is_tried_ever_more_slowly() {
        let seconds = |short| pause(short).as_secs();
        assert_eq!([0, 1, SHORT_LIVES - 1].map(seconds), [0, 0, 0]);
        let later = [0, 1, 2, 3, 1000].map(|more| seconds(SHORT_LIVES + more));
        assert_eq!(later, [1, 2, 4, 5, 5]);
        for tries in [Tries::Few, Tries::All] {
            assert_eq!(Tries::of(OsStr::new(tries.word())), tries);
        }
    }
}
