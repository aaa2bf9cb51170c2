//! A program that is killed with all that it has started, whatever group or session that has moved to, when the process
//! that has started it is gone, however that ended. Ended by itself, it leaves what it has started as it is.
//!
//! A process between the two sees to it. It takes no signal but the one that nobody can refuse: Ctrl-C is for the
//! program, and for whoever has started it.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd as _;
use std::process::Command;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::{Pid, getpid, getppid};
use rustix::process::{PidfdFlags, pidfd_open};

use super::mortal;

/// The first command line argument; the number of the process that starts it, the program and its arguments follow.
pub const ROLE: &str = "__tree";

/// How often it is looked whether something is left.
const LOOK: Duration = Duration::from_millis(2);

/// As `Command::new`.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    mortal::in_role(ROLE, program)
}

/// Runs the program, and gives its exit status as a shell has it.
pub fn main(mut arguments: impl Iterator<Item = OsString>) -> io::Result<u8> {
    let parent: i32 = { arguments.next() }
        .and_then(|number| number.to_str()?.parse().ok())
        .ok_or(io::ErrorKind::InvalidInput)?;
    let of = rustix::process::Pid::from_raw(parent).ok_or(io::ErrorKind::InvalidInput)?;
    let is_alone = move || getppid().as_raw() != parent;
    let end = pidfd_open(of, PidfdFlags::empty());
    // Then nobody holds anything for the program.
    if is_alone() {
        return Err(io::Error::other("the process that has started it is gone"));
    }
    let end = end?;
    // What loses its parent becomes this one's child.
    nix::sys::prctl::set_child_subreaper(true)?;
    let program = arguments.next().unwrap_or_default();
    let child = mortal::command(program).args(arguments).spawn()?;
    let child = Pid::from_raw(child.id().cast_signed());
    // After the program has begun, which is to take signals.
    SigSet::all().thread_block()?;
    let watch = std::thread::Builder::new().spawn(move || {
        let mut ends = [PollFd::new(end.as_fd(), PollFlags::POLLIN)];
        while !is_alone() {
            let _ = poll(&mut ends, PollTimeout::NONE);
        }
        kill_below();
    })?;
    let status = loop {
        match wait()? {
            WaitStatus::Exited(pid, code) if pid == child => break code,
            WaitStatus::Signaled(pid, signal, _) if pid == child => break 128 + signal as i32,
            _ => {}
        }
    };
    if is_alone() {
        let _ = watch.join();
        kill_below();
    }
    Ok(u8::try_from(status).unwrap_or(u8::MAX))
}

/// Kills all that this process's children have started, and these, until nothing is left.
fn kill_below() {
    loop {
        let below = below(getpid());
        if below.is_empty() {
            return;
        }
        for pid in below {
            let _ = kill(pid, Signal::SIGKILL);
        }
        std::thread::sleep(LOOK);
    }
}

/// The living that stand below a process.
fn below(top: Pid) -> Vec<Pid> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for entry in entries {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if let Some((pid, parent)) = parent(&stat) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut left = vec![top.as_raw()];
    while let Some(next) = left.pop() {
        let of = children.remove(&next).unwrap_or_default();
        found.extend(of.iter().copied().map(Pid::from_raw));
        left.extend(of);
    }
    found
}

/// The number of a process that has not ended, and its parent's.
fn parent(stat: &str) -> Option<(i32, i32)> {
    let (pid, _) = stat.split_once(' ')?;
    // The name in parentheses may hold anything.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let lives = !matches!(fields.next()?, "Z" | "X");
    let both = (pid.parse().ok()?, fields.next()?.parse().ok()?);
    lives.then_some(both)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stands_below_is_found() {
        assert_eq!(parent("7 (a) Z 1 (b) S 3 42"), Some((7, 3)));
        assert_eq!(parent("7 (a) Z 3 42"), None);
        assert_eq!(parent("of no process"), None);
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_raw(child.id().cast_signed());
        assert!(below(getpid()).contains(&pid));
        assert!(!below(pid).contains(&pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!below(getpid()).contains(&pid));
    }
}
