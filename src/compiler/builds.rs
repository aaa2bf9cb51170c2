//! The processes that build in a session's folder, and the end of that folder.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::sys::signal::{Signal, kill as send_signal};
use nix::unistd::{Pid, getpid};
use rustix::process::getuid;

use super::cleaner;
use super::folder::{self, PREFIX};
use super::tools::Tool;

/// In a compiler's folder: the files of the session that it serves.
pub const SESSION: &str = "session";

/// The same: where the analysis asks cargo and rustc about what cells can name.
pub const ANALYSIS: &str = "analysis";

/// A name for this session's folder, as long as any other session's (see `template`).
pub fn choose_folder() -> PathBuf {
    folder::choose(&std::env::temp_dir())
}

/// Makes the folder, for this user alone, and removes those of sessions that were killed together with their
/// cleaners.
pub fn make_folder(folder: &Path) -> std::io::Result<()> {
    sweep(folder.parent().unwrap_or(folder));
    fs::DirBuilder::new().mode(0o700).create(folder)?;
    fs::create_dir(folder.join("tmp"))?;
    fs::create_dir(folder.join(SESSION))
}

/// Removes the session's own files from a compiler's folder.
pub fn empty(folder: &Path) -> std::io::Result<()> {
    fs::remove_dir_all(folder.join(SESSION))?;
    fs::create_dir(folder.join(SESSION))
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
        let about = entry.metadata();
        let own = about.is_ok_and(|about| about.is_dir() && about.uid() == getuid().as_raw());
        // A compiler that has died may have left it to the next one.
        if own && is_gone(pid, &entry.path()) && !has_cleaner(&entry.path()) {
            remove(&entry.path());
        }
    }
}

/// Whether the session that made `folder` is gone: its process is, or another one has its number by now.
fn is_gone(pid: i32, folder: &Path) -> bool {
    if send_signal(Pid::from_raw(pid), None) == Err(nix::errno::Errno::ESRCH) {
        return true;
    }
    let made = fs::metadata(folder).and_then(|folder| folder.modified());
    match (made, started(pid)) {
        // A session is there before its folder.
        (Ok(made), Some(started)) => started > made + CLOCKS,
        _ => false,
    }
}

/// Whether somebody will remove the folder when its time has come.
fn has_cleaner(folder: &Path) -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
        .any(|line| {
            let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
            let role = cleaner::ROLE.as_bytes();
            words
                .windows(2)
                .any(|two| two == [role, folder.as_os_str().as_bytes()])
        })
}

/// How far the two clocks by which a folder's and a process's age are told may differ.
const CLOCKS: Duration = Duration::from_secs(5);

/// When a process began, as far as `/proc` tells.
fn started(pid: i32) -> Option<SystemTime> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; the start is the 22nd field, in hundredths of a second.
    let fields = stat.rsplit_once(')')?.1;
    let start: u64 = fields.split_whitespace().nth(19)?.parse().ok()?;
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    let age = Duration::try_from_secs_f64(uptime).ok()?;
    let age = age.saturating_sub(Duration::from_millis(start * 10));
    SystemTime::now().checked_sub(age)
}

/// Stops what builds cells in `folder`. What the analysis asks goes on: it has no other answer than that it gets now.
pub fn stop(folder: &Path) {
    kill_all(folder, Some(&folder.join(ANALYSIS)));
}

/// Kills what builds in `folder`: cargo and rustc name it in their working directory or on their command
/// line. Engines and the relay, which are this binary, are spared. Whether there was something.
pub fn kill(folder: &Path) -> bool {
    kill_all(folder, None)
}

/// `spared`: a folder whose processes live on.
fn kill_all(folder: &Path, spared: Option<&Path>) -> bool {
    let own = fs::read_link("/proc/self/exe").ok();
    let Ok(processes) = fs::read_dir("/proc") else {
        return false;
    };
    let mut has_killed = false;
    for process in processes.flatten() {
        let Some(pid) = process
            .file_name()
            .to_str()
            .and_then(|pid| pid.parse().ok())
        else {
            continue;
        };
        let path = process.path();
        let cwd = fs::read_link(path.join("cwd")).ok();
        let is_spared =
            spared.is_some_and(|spared| cwd.as_ref().is_some_and(|cwd| cwd.starts_with(spared)));
        let is_own = Pid::from_raw(pid) == getpid();
        if is_own || is_spared || works_in(&path, cwd.as_deref(), folder).is_none() {
            continue;
        }
        // As cargo and as rustc's wrapper this binary does belong to a build.
        let exe = fs::read_link(path.join("exe")).ok();
        if exe != own || fs::read(path.join("cmdline")).is_ok_and(|line| builds(&line)) {
            let _ = send_signal(Pid::from_raw(pid), Signal::SIGKILL);
            has_killed = true;
        }
    }
    has_killed
}

/// Whether a process of this binary, by its command line, is part of a build.
fn builds(line: &[u8]) -> bool {
    let name = line.split(|&byte| byte == 0).next().unwrap_or_default();
    contains(line, b"--crate-name") || Tool::named(OsStr::from_bytes(name)).is_some()
}

fn works_in(process: &Path, cwd: Option<&Path>, folder: &Path) -> Option<()> {
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
        // What had just begun makes the folder anew.
        let is_gone = fs::remove_dir_all(folder).is_ok() || !folder.exists();
        if is_gone && !kill(folder) && !folder.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_ours_belongs_to_a_build_by_its_name_or_its_arguments() {
        assert!(builds(b"/tmp/regatta-1/bin/cargo\0build\0--target\0x86\0"));
        assert!(builds(
            b"/usr/bin/regatta\0/rust/bin/rustc\0--crate-name\0ctx\0"
        ));
        assert!(!builds(b"regatta-engine\0__engine\0/tmp/regatta-1\0"));
        assert!(!builds(
            b"/usr/bin/regatta\0__cleaner\0/tmp/regatta-1/bin\0"
        ));
        assert!(!builds(b""));
    }

    #[test]
    fn what_the_analysis_asks_is_not_stopped_with_a_build() {
        let folder = tempfile::tempdir().unwrap();
        let begin = |name: &str| {
            let place = folder.path().join(name);
            fs::create_dir(&place).unwrap();
            let mut sleep = std::process::Command::new("sleep");
            sleep.arg("60").current_dir(place).spawn().unwrap()
        };
        let (mut build, mut asked) = (begin("build"), begin(ANALYSIS));
        stop(folder.path());
        assert!(!build.wait().unwrap().success());
        assert!(asked.try_wait().unwrap().is_none());
        kill(folder.path());
        assert!(!asked.wait().unwrap().success());
    }

    #[test]
    fn folders_of_sessions_that_are_gone_are_swept() {
        let shelf = tempfile::tempdir().unwrap();
        let make = |name: String| {
            let folder = shelf.path().join(name);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("file"), "").unwrap();
            folder
        };
        let alive = make(format!("{PREFIX}{:07}-000001", getpid().as_raw()));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let dead = make(format!("{PREFIX}{:07}-000002", child.id()));
        // Made long before the process of that number began.
        let reused = make(format!("{PREFIX}{:07}-000003", getpid().as_raw()));
        let long_ago = SystemTime::now() - Duration::from_secs(10_000_000);
        fs::File::open(&reused)
            .unwrap()
            .set_modified(long_ago)
            .unwrap();
        let other = make("regatta-cache-somebody".to_owned());
        sweep(shelf.path());
        assert!(alive.exists() && other.exists());
        assert!(!dead.exists() && !reused.exists());
    }
}
