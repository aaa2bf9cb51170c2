//! A program that is killed when the process that has started it is gone, however that ended: this binary becomes it.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::sys::signal::Signal;
use nix::unistd::getppid;

/// The first command line argument; the number of the process that starts it, the program and its arguments follow.
pub const ROLE: &str = "__mortal";

/// As `Command::new`; the thread that spawns it must live as long as the process.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    in_role(ROLE, program)
}

/// This binary in a role that is told who starts it, and with which program.
pub(super) fn in_role(role: &str, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command
        .arg(role)
        .arg(std::process::id().to_string())
        .arg(program);
    command
}

/// Becomes the program; an error says why not.
pub fn main(mut arguments: impl Iterator<Item = OsString>) -> std::io::Error {
    let parent = arguments.next().unwrap_or_default();
    let program = arguments.next().unwrap_or_default();
    if let Err(error) = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL) {
        return error.into();
    }
    // It may have died before the line above.
    if parent.to_string_lossy().parse() != Ok(getppid().as_raw()) {
        return std::io::Error::other("the process that has started it is gone");
    }
    let error = Command::new(&program).args(arguments).exec();
    std::io::Error::new(error.kind(), format!("{}: {error}", program.display()))
}
