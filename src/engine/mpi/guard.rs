//! The guard of an MPI pool: it starts `mpiexec`, waits for its end or for the session's, and sees to it that neither
//! leaves anything behind: no proxy of `mpiexec`'s, no engine, no file of the MPI library's.

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::engine::guard::{hold_out, processes};

/// The first command line argument of a guard.
pub const ROLE: &str = "__mpi";

/// How often the end of `mpiexec` is looked for.
const TICK: u16 = 10;

/// How long `mpiexec` may take to end what it has started.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Runs `command` while standard input is open, and ends as it does. `folder` is for the MPI library's files.
pub fn main(folder: &Path, command: &[std::ffi::OsString]) -> io::Result<i32> {
    hold_out()?;
    // Orphans of `mpiexec`'s become this one's children.
    nix::sys::prctl::set_child_subreaper(true)?;
    let ran = run(command);
    bury_children();
    let _ = std::fs::remove_dir_all(folder);
    let status = ran?;
    Ok(match status.signal() {
        Some(signal) => 128 + signal,
        None => status.code().unwrap_or(1),
    })
}

fn run(command: &[std::ffi::OsString]) -> io::Result<ExitStatus> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    // SAFETY: between fork and exec it calls two functions of the system's, which allocate nothing.
    unsafe {
        command.pre_exec(|| {
            nix::sys::signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
            Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?)
        });
    }
    let mut child = command.spawn()?;
    let mut asked: Option<Instant> = None;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        match asked {
            None if session_is_gone()? => {
                asked = Some(Instant::now());
                signal(&child, Signal::SIGTERM);
            }
            None => {}
            Some(since) => {
                if since.elapsed() > PATIENCE {
                    signal(&child, Signal::SIGKILL);
                }
                std::thread::sleep(Duration::from_millis(TICK.into()));
            }
        }
    }
}

fn signal(child: &Child, signal: Signal) {
    // It may have ended by itself in this moment.
    let _ = kill(Pid::from_raw(child.id().cast_signed()), signal);
}

/// Waits for a moment; whether the other end of standard input is closed.
fn session_is_gone() -> io::Result<bool> {
    let stdin = io::stdin();
    let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, PollTimeout::from(TICK)) {
        Ok(ready) => Ok(ready > 0),
        Err(nix::errno::Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Ends what `mpiexec` has left.
fn bury_children() {
    let since = Instant::now();
    while since.elapsed() < PATIENCE {
        for child in children() {
            let _ = kill(child, Signal::SIGKILL);
        }
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(nix::errno::Errno::ECHILD) => return,
            _ => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// The processes whose parent this one is.
fn children() -> Vec<Pid> {
    let ours = std::process::id().to_string();
    let is_ours = |pid: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // Behind the name, which may hold anything: the state, and then the parent.
        let rest = stat.rsplit_once(')').map(|(_, rest)| rest);
        rest.and_then(|rest| rest.split_whitespace().nth(1)) == Some(&ours)
    };
    let all = processes().into_iter().flatten();
    all.filter(is_ours).map(Pid::from_raw).collect()
}
