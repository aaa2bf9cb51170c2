//! The guard: a process beside an engine that has run commands. When the engine is gone, however it ended, it kills
//! what is left of them, grandchildren too. It knows them by a variable of their environment, which children inherit
//! whatever group or session they move to.

use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::unistd::{Pid, getpgid, getpgrp};

/// The first command line argument of a guard.
pub const ROLE: &str = "__guard";

/// The variable; its value is one engine's own.
pub const VARIABLE: &str = "REGATTA_COMMAND_OF";

/// A command may be between its fork and its `exec` when its engine dies: it has its environment a moment later.
const AGAIN: Duration = Duration::from_millis(20);
const LEAST_ROUNDS: u32 = 3;
const MOST_ROUNDS: u32 = 100;

/// The guard of this process: while the pipe is open, its engine lives.
static GUARD: OnceLock<(String, Option<ChildStdin>)> = OnceLock::new();

/// The value of the variable for commands of this process, whose guard is up from then on.
pub fn mark() -> &'static str {
    let (mark, _) = GUARD.get_or_init(|| {
        let mark = format!("{}-{}", std::process::id(), crate::wire::monotonic());
        let child = Command::new("/proc/self/exe")
            .arg0("regatta-guard")
            .args([ROLE, &mark])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .env_remove(VARIABLE)
            .current_dir("/")
            .process_group(0)
            .spawn();
        // Without one, commands still end with Ctrl-C and at their limits.
        (mark, child.ok().and_then(|mut child| child.stdin.take()))
    });
    mark
}

/// From now on this process lives until it ends itself.
pub fn hold_out() -> std::io::Result<()> {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let mut set = SigSet::empty();
        set.add(signal);
        set.thread_block()?;
    }
    Ok(())
}

/// The numbers of all processes.
pub fn processes() -> std::io::Result<impl Iterator<Item = i32>> {
    let entries = std::fs::read_dir("/proc")?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()))
}

/// Waits for the engine's end, and cleans up.
pub fn main(mark: &str) -> std::io::Result<()> {
    hold_out()?;
    let _ = std::io::stdin().read(&mut [0])?;
    let wanted = format!("{VARIABLE}={mark}");
    for round in 0..MOST_ROUNDS {
        let found = marked(wanted.as_bytes())?;
        if found.is_empty() && round >= LEAST_ROUNDS {
            break;
        }
        for pid in found {
            if let Ok(group) = getpgid(Some(pid))
                && group != getpgrp()
            {
                let _ = killpg(group, Signal::SIGKILL);
            }
            let _ = kill(pid, Signal::SIGKILL);
        }
        std::thread::sleep(AGAIN);
    }
    Ok(())
}

/// The processes with this in their environment.
fn marked(wanted: &[u8]) -> std::io::Result<Vec<Pid>> {
    let mut found = Vec::new();
    for pid in processes()? {
        // Of another user's processes, and of those that have just ended, it cannot be read.
        let Ok(environment) = std::fs::read(format!("/proc/{pid}/environ")) else {
            continue;
        };
        if environment
            .split(|byte| *byte == 0)
            .any(|entry| entry == wanted)
        {
            found.push(Pid::from_raw(pid));
        }
    }
    Ok(found)
}
