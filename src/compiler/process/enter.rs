//! The first steps of a compiler's process: away from the session's terminal, folder and open files, and into
//! the environment that its tools need.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::ROLE;
use crate::compiler::toolchain::{self, ToolchainError};
use crate::compiler::{builds, relay, rust_src, tools, warm};

/// The argument behind the role: the process has been started, or executed again.
pub const STEP: &str = "enter";
pub const NEXT_STEP: &str = "serve";

/// Starts a compiler's process; gives the connection to it. `place` is where it is to wait when its session is gone:
/// the path of its socket without its process id. `estate`: the folder of one that has died, and what holds back the
/// folder's cleaner.
pub fn start(
    sysroot: &Path,
    place: Option<&Path>,
    estate: Option<(&Path, OwnedFd)>,
) -> io::Result<(UnixStream, Child)> {
    let (ours, theirs) = UnixStream::pair()?;
    let (folder, held) = estate.map_or((Path::new(""), Stdio::null()), |(folder, held)| {
        (folder, Stdio::from(held))
    });
    let child = Command::new(std::env::current_exe()?)
        .args([ROLE, STEP])
        .arg(sysroot)
        .arg(place.unwrap_or(Path::new("")))
        .arg(folder)
        .stdin(OwnedFd::from(theirs))
        .stdout(held)
        .stderr(Stdio::null())
        .spawn()?;
    Ok((ours, child))
}

/// Leaves what is the session's and executes this program again; why that failed.
pub fn enter(sysroot: &Path, place: &Path, adopted: &Path) -> ToolchainError {
    // It is no session's leader yet, as it has just been started.
    let _ = nix::unistd::setsid();
    close_inherited();
    let adopts = !adopted.as_os_str().is_empty();
    let folder = if adopts {
        adopted.to_owned()
    } else {
        builds::choose_folder()
    };
    // What evcxr's rust-analyzer reads before every session's first cell; ours reads the real one.
    let nothing = match rust_src::stand_in() {
        Ok(nothing) => nothing,
        Err(error) => return ToolchainError::Folder(error),
    };
    let exe = match std::env::current_exe() {
        Ok(exe) => exe,
        Err(error) => return ToolchainError::Exec(error),
    };
    let mut command = Command::new(exe);
    for (name, kept) in [
        ("PATH", toolchain::PATH_VARIABLE),
        ("CARGO_HOME", toolchain::CARGO_HOME_VARIABLE),
    ] {
        match std::env::var_os(name) {
            Some(value) => command.env(kept, value),
            None => command.env_remove(kept),
        };
    }
    // It may serve sessions of which these say something else, and outlive the one that it is started in.
    for name in warm::OF_CHILDREN {
        command.env_remove(name);
    }
    let path = toolchain::path_with(
        &[&tools::bin(&folder), &sysroot.join("bin")],
        std::env::var_os("PATH"),
    );
    let error = command
        .args([ROLE, NEXT_STEP])
        .args([sysroot, place, adopted])
        .env(toolchain::SYSROOT_VARIABLE, sysroot)
        .env(relay::FOLDER_VARIABLE, &folder)
        .env(toolchain::TMPDIR_VARIABLE, std::env::temp_dir())
        // rust-analyzer, rustc and the linker leave files when they are killed.
        .env("TMPDIR", folder.join("tmp"))
        .env("EVCXR_TMPDIR", folder.join("build"))
        .env("EVCXR_CONFIG_DIR", &folder)
        .env("PATH", path)
        // rust-analyzer looks there for tools before it looks into the PATH.
        .env("CARGO_HOME", &folder)
        // What cargo has started this program by.
        .env_remove("CARGO")
        .env("RUST_SRC_PATH", nothing)
        .current_dir("/")
        .exec();
    ToolchainError::Exec(error)
}

/// Closes what the session's own parents have left open in it: a pipe whose other end somebody waits for.
fn close_inherited() {
    let Ok(open) = fs::read_dir("/proc/self/fd") else {
        return;
    };
    let numbers: Vec<i32> = open
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2)
        .collect();
    for number in numbers {
        // That of the list itself is closed already.
        let _ = nix::unistd::close(number);
    }
}
