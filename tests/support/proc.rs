//! Processes of a session, as Linux tells them in `/proc`. It only looks; ended but unreaped processes count
//! as gone.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A process and its parent.
struct Entry {
    pid: i32,
    parent: i32,
    zombie: bool,
    /// In clock ticks since the machine's start.
    started: u64,
}

fn entry(pid: i32) -> Option<Entry> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let zombie = fields.next()? == "Z";
    let parent = fields.next()?.parse().ok()?;
    Some(Entry {
        pid,
        parent,
        zombie,
        started: fields.nth(17)?.parse().ok()?,
    })
}

fn all() -> Vec<Entry> {
    let folders = fs::read_dir("/proc").expect("Linux's list of processes");
    let names = folders.filter_map(|folder| folder.ok()?.file_name().into_string().ok());
    names.filter_map(|name| entry(name.parse().ok()?)).collect()
}

/// Its command line.
pub fn arguments(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

/// Children of this process that have ended and that it has not waited for.
pub fn zombies(parent: i32) -> Vec<i32> {
    let ended = all().into_iter().filter(|entry| entry.zombie);
    let own = ended.filter(|entry| entry.parent == parent);
    own.map(|entry| entry.pid).collect()
}

/// Processes of which an argument is this.
pub fn with_argument(argument: &str) -> Vec<i32> {
    let pids = all().into_iter().map(|entry| entry.pid);
    pids.filter(|pid| {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        arguments
            .split(|byte| *byte == 0)
            .any(|word| word == argument.as_bytes())
    })
    .collect()
}

/// Waits until so many processes have this argument.
#[track_caller]
pub fn there_are(count: usize, argument: &str) {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let found = with_argument(argument);
        if found.len() == count {
            return;
        }
        assert!(Instant::now() < until, "{count} wanted: {found:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Engines of the session with this process id, in the order in which they were started.
pub fn engines(session: i32) -> Vec<i32> {
    let children = all()
        .into_iter()
        .filter(|entry| entry.parent == session && !entry.zombie);
    let mut engines: Vec<Entry> = children
        .filter(|entry| arguments(entry.pid).contains("__engine"))
        .collect();
    // Process ids begin anew some time.
    engines.sort_unstable_by_key(|entry| (entry.started, entry.pid));
    engines.into_iter().map(|entry| entry.pid).collect()
}

/// All processes below this one.
pub fn below(pid: i32) -> Vec<i32> {
    let all = all();
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(
            all.iter()
                .filter(|entry| entry.parent == parent)
                .map(|entry| entry.pid),
        );
        next += 1;
    }
    found.split_off(1)
}

/// Whether the process runs.
pub fn alive(pid: i32) -> bool {
    entry(pid).is_some_and(|entry| !entry.zombie)
}

/// Waits until these processes are gone; gives the ones that are not, with their command lines.
pub fn leftovers(pids: &[i32], within: Duration) -> Vec<(i32, String)> {
    let until = Instant::now() + within;
    loop {
        let left: Vec<i32> = pids.iter().copied().filter(|pid| alive(*pid)).collect();
        if left.is_empty() || Instant::now() >= until {
            return left.into_iter().map(|pid| (pid, arguments(pid))).collect();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Files below a folder whose name passes.
pub fn files(folder: PathBuf, wanted: &dyn Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(path, wanted));
        } else if entry.file_name().to_str().is_some_and(wanted) {
            found.push(path);
        }
    }
    found
}

/// A process's memory in bytes, by its name in `/proc/PID/status`: `VmRSS` is what it has, `VmHWM` the most it
/// ever had.
pub fn memory(pid: i32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a living process");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .unwrap_or_else(|| panic!("no {name} in {status}"));
    let kilobytes = line.trim().trim_end_matches(" kB");
    kilobytes.parse::<u64>().expect("a number") * 1024
}

/// Lets the most memory that a process ever had be what it has now.
pub fn forget_peak(pid: i32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("a process of the same user");
}
