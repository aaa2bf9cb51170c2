//! Reaches hosts by ssh, or by whatever else starts a program on one, and starts nodes there. What a node has to know goes
//! to its standard input; that stays open as long as the session wants it.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::bring::{self, Ends, Over, accompany};
use super::cipher;
use super::message::Join;
use crate::outcome::NodeFault;
use crate::servers::mortal;

/// How a host is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Way {
    /// `user@host`, with what stands before it on ssh's command line.
    Ssh { to: String, options: Vec<String> },
    /// A command, in which `{command}` is what has to run there.
    Launcher(Vec<String>),
}

/// A host that is to be a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// As it is called.
    pub host: String,
    pub way: Way,
    /// Engines that it may run; as many as it has cores without it.
    pub slots: Option<u32>,
}

/// A host that turns ssh away is tried again for so long, after at most so long each time.
const BUSY: Duration = Duration::from_secs(20);
const LONGEST_WAIT: u64 = 2000;

/// How long a node that was taken out may take to give back what it has, and how often it is looked whether it has.
const ENDING: Duration = Duration::from_millis(1500);
const GLANCE: Duration = Duration::from_millis(5);

/// A host's connection: dropped, its node ends.
pub struct Reached(Arc<Mutex<Connection>>);

/// What reaches a host, anew when it was turned away.
struct Connection {
    /// Once it was started.
    child: Option<Child>,
    /// Nobody wants it any more.
    is_dropped: bool,
}

fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connection {
    /// Its number stays its own until it is dropped.
    fn has_ended(&self) -> bool {
        let Some(child) = &self.child else {
            return true;
        };
        let id = Id::Pid(Pid::from_raw(child.id().cast_signed()));
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        !matches!(waitid(id, look), Ok(WaitStatus::StillAlive))
    }
}

impl Reached {
    /// Waits until the node has ended by itself, for a while.
    pub fn ends(&self) {
        let since = Instant::now();
        while !lock(&self.0).has_ended() && since.elapsed() < ENDING {
            std::thread::sleep(GLANCE);
        }
    }
}

impl Drop for Reached {
    fn drop(&mut self) {
        let mut connection = lock(&self.0);
        connection.is_dropped = true;
        let Some(child) = &mut connection.child else {
            return;
        };
        // With all that it has started; it may be gone already.
        let group = Pid::from_raw(child.id().cast_signed());
        let _ = killpg(group, Signal::SIGKILL);
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Starts a node by a way. `ended` is told why it is none any more; `tried` when the host is reached: before and after it is sent the program, or that it has it.
/// `folder`: where the session was that has asked for it; what reaches the host may be named from there.
pub fn start(
    way: &Way,
    folder: Option<PathBuf>,
    join: Join,
    tunnel: Option<String>,
    tried: impl Fn(bool) + Send + 'static,
    ended: impl FnOnce(NodeFault) + Send + 'static,
) -> std::io::Result<Reached> {
    let connection = Arc::new(Mutex::new(Connection {
        child: None,
        is_dropped: false,
    }));
    let reached = Reached(connection.clone());
    let way = way.clone();
    // What ssh's configuration has it look at may take its time, for each host.
    std::thread::Builder::new()
        .name("node".to_owned())
        .spawn(move || {
            let (tunnel, folder) = (tunnel.as_deref(), folder.as_deref());
            ended(reach(&way, folder, &join, tunnel, &connection, &tried));
            // It dies with the thread that has started it.
            while !lock(&connection).has_ended() {
                std::thread::sleep(GLANCE);
            }
        })?;
    Ok(reached)
}

/// Reaches a host, anew when it was turned away, until its node has ended; why it has.
fn reach(
    way: &Way,
    folder: Option<&Path>,
    join: &Join,
    tunnel: Option<&str>,
    connection: &Mutex<Connection>,
    tried: &dyn Fn(bool),
) -> NodeFault {
    let is_ssh = matches!(way, Way::Ssh { .. });
    let says = |error: std::io::Error| NodeFault::Says(error.to_string());
    let mut command = match command(way, folder, tunnel) {
        Ok(command) => command,
        Err(error) => return says(error),
    };
    let since = Instant::now();
    let mut turned_away = NodeFault::Ended;
    loop {
        let ends = {
            let mut connection = lock(connection);
            if connection.is_dropped {
                return turned_away;
            }
            match spawn(&mut command) {
                Ok((child, ends)) => {
                    let before = connection.child.replace(child);
                    if let Some(mut before) = before {
                        let _ = before.wait();
                    }
                    ends
                }
                Err(error) => return says(error),
            }
        };
        turned_away = match accompany(ends, join.clone(), is_ssh, tunnel, tried) {
            Over::TurnedAway(why) if since.elapsed() < BUSY => why,
            Over::TurnedAway(why) | Over::Ended(why) => return why,
        };
        // Others that were turned away come at other times.
        std::thread::sleep(Duration::from_millis(fastrand::u64(100..LONGEST_WAIT)));
    }
}

/// Where a launcher's words have the command.
const COMMAND: &str = "{command}";

/// A launcher's words with a command in them, or behind them. Within a word, as in `sh -c 'cd /x; {command}'`, it is quoted for a
/// shell.
fn launched(words: &[String], command: &[String]) -> Vec<String> {
    let mut all = Vec::new();
    for word in words {
        // A shell's `-c` takes one word.
        let is_script = all.last().is_some_and(|before: &String| {
            before.starts_with('-') && !before.starts_with("--") && before.ends_with('c')
        });
        match word.as_str() {
            COMMAND if !is_script => all.extend_from_slice(command),
            word => all.push(word.replace(COMMAND, &shell_words::join(command))),
        }
    }
    if !words.iter().any(|word| word.contains(COMMAND)) {
        all.extend_from_slice(command);
    }
    all
}

/// What reaches a host by this way, from this folder as long as it is there.
fn command(way: &Way, folder: Option<&Path>, tunnel: Option<&str>) -> std::io::Result<Command> {
    let folder = folder.filter(|it| it.is_dir());
    let mut command = match way {
        Way::Ssh { to, options } => {
            let mut command = mortal::command("ssh");
            command
                .args(["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"])
                .args(["-o", "ServerAliveInterval=5"])
                // What the user's configuration has a login do. A way of theirs that is taken is no reason to fail.
                .args(["-o", "RemoteCommand=none", "-o", "ExitOnForwardFailure=no"])
                .args(["-o", "ClearAllForwardings=no"])
                // Its word of the way back is an ordinary one.
                .args(["-o", "LogLevel=INFO"])
                // The tunnel is this connection's own.
                .args(["-o", "ControlMaster=no", "-o", "ControlPath=none"])
                .args(options)
                .args(cipher::options(to, options, folder));
            if let Some(to) = tunnel {
                command.arg("-R").arg(format!("127.0.0.1:0:{to}"));
            }
            command.arg(to).arg(bring::command()?);
            command
        }
        Way::Launcher(words) => {
            let own = std::env::current_exe()?;
            let own = [&own.to_string_lossy(), "node", "--join", "-"].map(str::to_owned);
            let all = launched(words, &own);
            let mut command = mortal::command(&all[0]);
            command.args(&all[1..]);
            command
        }
    };
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    Ok(command)
}

/// Starts what reaches a host.
fn spawn(command: &mut Command) -> std::io::Result<(Child, Ends)> {
    let mut child = command.spawn()?;
    let ends = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(input), Some(output), Some(errors)) = ends else {
        return Err(std::io::ErrorKind::BrokenPipe.into());
    };
    let ends = Ends {
        input,
        output,
        errors,
    };
    Ok((child, ends))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launchers_words_have_the_command_in_them_or_behind_them() {
        let words = |words: &[&str]| words.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let command = words(&["/a b/regatta", "node", "--join", "-"]);
        let launched = |launcher: &[&str]| launched(&words(launcher), &command).join("|");
        assert_eq!(
            launched(&["srun", "-n", "1"]),
            "srun|-n|1|/a b/regatta|node|--join|-"
        );
        assert_eq!(
            launched(&["env", "{command}", "x"]),
            "env|/a b/regatta|node|--join|-|x"
        );
        let quoted = "'/a b/regatta' node --join -";
        assert_eq!(
            launched(&["sh", "-c", "cd /x; {command}"]),
            format!("sh|-c|cd /x; {quoted}")
        );
        assert_eq!(
            launched(&["sh", "-lc", "{command}"]),
            format!("sh|-lc|{quoted}")
        );
    }

    #[test]
    fn what_reaches_a_host_is_started_where_the_session_was() {
        let way = Way::Launcher(vec!["./launch".to_owned()]);
        let folder = tempfile::tempdir().unwrap();
        let from = |folder: &Path| {
            let command = command(&way, Some(folder), None).unwrap();
            command.get_current_dir().map(Path::to_owned)
        };
        assert_eq!(from(folder.path()).as_deref(), Some(folder.path()));
        // One that is gone keeps nobody from it.
        assert_eq!(from(&folder.path().join("gone")), None);
    }
}
