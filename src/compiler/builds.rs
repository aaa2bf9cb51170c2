//! The processes that build in a session's folder, and the end of that folder.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::sys::signal::{Signal, kill as send_signal};
use nix::unistd::{Pid, getpid};

/// Prefix of the name of every session's folder; the session's process id follows.
const PREFIX: &str = "regatta-";

/// A name for this session's folder, as long as any other session's (see `template`).
pub fn choose_folder() -> PathBuf {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let name = format!(
        "{PREFIX}{:07}-{:06x}",
        getpid().as_raw(),
        now.as_nanos() & 0xff_ffff
    );
    std::env::temp_dir().join(name)
}

/// Makes the folder, for this user alone, and removes those of sessions that were killed together with their
/// cleaners.
pub fn make_folder(folder: &Path) -> std::io::Result<()> {
    sweep(folder.parent().unwrap_or(folder));
    fs::DirBuilder::new().mode(0o700).create(folder)?;
    fs::create_dir(folder.join("tmp"))
}

fn sweep(shelf: &Path) {
    let Ok(entries) = fs::read_dir(shelf) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
            continue;
        };
        let pid = rest.split('-').next().and_then(|pid| pid.parse().ok());
        let Some(pid) = pid else {
            continue;
        };
        if send_signal(Pid::from_raw(pid), None) == Err(nix::errno::Errno::ESRCH) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Kills what builds in `folder`: cargo and rustc name it in their working directory or on their command
/// line. Engines and the relay, which are this binary, are spared.
pub fn kill(folder: &Path) {
    let own = fs::read_link("/proc/self/exe").ok();
    let Ok(processes) = fs::read_dir("/proc") else {
        return;
    };
    for process in processes.flatten() {
        let Some(pid) = process
            .file_name()
            .to_str()
            .and_then(|pid| pid.parse().ok())
        else {
            continue;
        };
        let path = process.path();
        if Pid::from_raw(pid) == getpid() || works_in(&path, folder).is_none() {
            continue;
        }
        // As rustc's wrapper this binary does belong to a build.
        let exe = fs::read_link(path.join("exe")).ok();
        let wrapper =
            || fs::read(path.join("cmdline")).is_ok_and(|line| contains(&line, b"--crate-name"));
        if exe != own || wrapper() {
            let _ = send_signal(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

fn works_in(process: &Path, folder: &Path) -> Option<()> {
    let cwd = fs::read_link(process.join("cwd")).ok();
    if cwd.is_some_and(|cwd| cwd.starts_with(folder)) {
        return Some(());
    }
    let line = fs::read(process.join("cmdline")).ok()?;
    contains(&line, folder.as_os_str().as_bytes()).then_some(())
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Removes a session's folder, with whatever still writes into it.
pub fn remove(folder: &Path) {
    for _ in 0..50 {
        kill(folder);
        if fs::remove_dir_all(folder).is_ok() || !folder.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
