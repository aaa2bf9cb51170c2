//! Nodes that Slurm starts: in a job of its own, which is cancelled when the session goes, or in the allocation in which the
//! session runs. All of them join with one file, in the user's cache folder, which Slurm's hosts are taken to share.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::net::ToSocketAddrs as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::listen::{Listen, outside, towards};
use super::server::secret;
use crate::outcome::SlurmState;

/// How often Slurm is asked for a job that waits.
const ASK: Duration = Duration::from_secs(1);

/// What is read of what Slurm and the job say, bytes.
const WORDS: u64 = 8192;

/// What is asked for: `-N 4 -n 64 -p short`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    pub options: Vec<String>,
    /// Hosts.
    nodes: Option<u32>,
    /// Tasks, each of them an engine.
    tasks: Option<u32>,
    /// Tasks of each host.
    each: Option<u32>,
    /// Those of the options that say neither this nor how many processors a task has.
    others: Vec<String>,
}

/// How it is said of how much there is to be.
const AMOUNTS: [(&str, &str); 4] = [
    ("-N", "--nodes"),
    ("-n", "--ntasks"),
    ("", "--ntasks-per-node"),
    ("-c", "--cpus-per-task"),
];

impl Asked {
    pub fn parse(options: Vec<String>) -> Self {
        let mut amounts = [None; AMOUNTS.len()];
        let mut others = Vec::new();
        let mut words = options.iter();
        while let Some(word) = words.next() {
            let found = AMOUNTS
                .iter()
                .zip(&mut amounts)
                .find_map(|(names, amount)| {
                    let value = value_of(word, names)?;
                    Some((amount, value))
                });
            let Some((amount, value)) = found else {
                others.push(word.clone());
                continue;
            };
            let value = value.or_else(|| words.next().map(String::as_str));
            // `-N 2-4` asks for at least two.
            let least = value.and_then(|value| value.split('-').next()?.parse().ok());
            *amount = least.or(*amount);
        }
        let [nodes, tasks, each, _] = amounts;
        Self {
            options,
            nodes,
            tasks,
            each,
            others,
        }
    }

    /// How much of an allocation of so many hosts is used: hosts, and tasks of each of them as Slurm writes it, where it is not
    /// what the allocation has.
    fn part_of(&self, hosts: Option<u32>) -> (Option<u32>, Option<String>) {
        let nodes = self.nodes.or(hosts);
        let (Some(nodes), Some(tasks)) = (nodes, self.tasks) else {
            let each = |each: u32| format!("{each}(x{})", nodes.unwrap_or(1));
            return (nodes, self.each.map(each));
        };
        let nodes = nodes.clamp(1, tasks.max(1));
        // No more on a host than there may be.
        let nodes = match self.each {
            Some(each) => nodes.min(tasks.div_ceil(each.max(1))),
            None => nodes,
        };
        let (each, more) = (tasks / nodes, tasks % nodes);
        let parts = [(each + 1, more), (each, nodes - more)];
        let parts = parts.iter().filter(|(_, hosts)| *hosts > 0);
        let parts: Vec<String> = parts
            .map(|(each, hosts)| format!("{each}(x{hosts})"))
            .collect();
        (Some(nodes), Some(parts.join(",")))
    }
}

/// Whether a word is this option; if so, the value that is in it.
fn value_of<'a>(word: &'a str, (short, long): &(&str, &str)) -> Option<Option<&'a str>> {
    match word.strip_prefix(long) {
        Some("") => return Some(None),
        Some(rest) if rest.starts_with('=') => return Some(Some(&rest[1..])),
        _ => {}
    }
    // `-n 4`, `-n4`; not `--no-requeue`.
    let rest = word.strip_prefix(short).filter(|_| !short.is_empty())?;
    Some((!rest.is_empty()).then_some(rest))
}

/// From where Slurm is asked: its programs look for their configuration, and for the allocation that they are in, in their
/// environment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Surroundings {
    folder: PathBuf,
    /// Where programs are.
    path: Option<String>,
    /// Those of Slurm's own.
    variables: Vec<(String, String)>,
}

/// What the names of its variables begin with.
const OWN: [&str; 5] = ["SLURM_", "SBATCH_", "SRUN_", "SALLOC_", "SQUEUE_"];

/// Whether a variable is Slurm's.
fn is_own(name: &str) -> bool {
    OWN.iter().any(|own| name.starts_with(own))
}

/// The variables of this process that are Slurm's.
fn variables() -> impl Iterator<Item = (String, String)> {
    let text = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    let all = std::env::vars_os().filter_map(text);
    all.filter(|(name, _)| is_own(name))
}

impl Surroundings {
    /// Those of a session with these variables.
    pub fn of(mut environment: BTreeMap<String, String>) -> Self {
        Self {
            // Where a session has no folder, Slurm has nothing to find there.
            folder: std::env::current_dir().unwrap_or_else(|_| "/".into()),
            path: environment.remove("PATH"),
            variables: environment
                .into_iter()
                .filter(|(name, _)| is_own(name))
                .collect(),
        }
    }

    /// A program that runs there.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (name, _) in variables() {
            command.env_remove(name);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        command.current_dir(&self.folder);
        command
    }

    fn variable(&self, name: &str) -> Option<&str> {
        let found = self.variables.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// What Slurm has been asked to start. Dropped, it ends.
pub struct Slurm {
    input: Option<ChildStdin>,
    guard: Child,
    folder: PathBuf,
    told: Arc<Mutex<Told>>,
    from: Surroundings,
}

struct Told {
    job: Option<String>,
    over: bool,
    says: String,
    /// How the job stood last, and when that was known.
    state: SlurmState,
    /// Hosts that will come, when that is known.
    nodes: Option<u32>,
    known: Option<Instant>,
    /// Slurm is being asked.
    is_asked: bool,
}

impl Slurm {
    /// Asks for it. `write` writes the file with which the nodes join.
    pub fn start(
        asked: &Asked,
        from: &Surroundings,
        write: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<Self> {
        let cache =
            dirs::cache_dir().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "$HOME"))?;
        let folder = cache.join("regatta").join(format!("slurm-{}", secret()?));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        let started =
            write(&folder.join("join")).and_then(|()| Self::in_folder(asked, from, &folder));
        if started.is_err() {
            let _ = std::fs::remove_dir_all(&folder);
        }
        started
    }

    fn in_folder(asked: &Asked, from: &Surroundings, folder: &Path) -> io::Result<Self> {
        let is_inside = from
            .variable("SLURM_JOB_ID")
            .is_some_and(|job| !job.is_empty());
        let hosts = { from.variable("SLURM_JOB_NUM_NODES") }.or(from.variable("SLURM_NNODES"));
        let hosts = hosts
            .filter(|_| is_inside)
            .and_then(|hosts| hosts.parse().ok());
        let (nodes, tasks) = asked.part_of(hosts);
        let mut command = from.command("sh");
        command
            .args(["-c", include_str!("slurm.sh"), "regatta-slurm"])
            .arg(folder)
            .arg(std::env::current_exe()?)
            .arg(nodes.map_or_else(String::new, |nodes| nodes.to_string()))
            .arg(tasks.unwrap_or_default())
            .args(match is_inside {
                true => &asked.others,
                false => &asked.options,
            })
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut guard = command.spawn()?;
        let told = Arc::new(Mutex::new(Told {
            job: None,
            over: false,
            says: String::new(),
            state: SlurmState::Asked,
            nodes,
            known: None,
            is_asked: false,
        }));
        if let (Some(output), Some(errors)) = (guard.stdout.take(), guard.stderr.take()) {
            let (of, folder) = (told.clone(), folder.to_owned());
            let says = std::thread::Builder::new().spawn(move || {
                let mut words = String::new();
                let _ = errors.take(WORDS).read_to_string(&mut words);
                words
            })?;
            std::thread::Builder::new()
                .name("slurm".to_owned())
                .spawn(move || {
                    for line in BufReader::new(output).lines().map_while(Result::ok) {
                        let mut told = of.lock().unwrap_or_else(PoisonError::into_inner);
                        if let Some(job) = line.strip_prefix("job ") {
                            told.job = Some(job.to_owned());
                        } else if line == "over" {
                            (told.over, told.says) = (true, printed(&folder));
                        }
                    }
                    let words = says.join().unwrap_or_default();
                    let mut told = of.lock().unwrap_or_else(PoisonError::into_inner);
                    told.over = true;
                    if !words.trim().is_empty() {
                        words.trim().clone_into(&mut told.says);
                    }
                })?;
        }
        Ok(Self {
            input: guard.stdin.take(),
            guard,
            folder: folder.to_owned(),
            told,
            from: from.clone(),
        })
    }

    /// How it stood when Slurm was asked last, and how many hosts will come, when that is known; it is asked again when that is
    /// a while ago.
    pub fn look(&self) -> (SlurmState, Option<u32>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.over {
            let says = told.says.clone();
            return (SlurmState::Over { says }, told.nodes);
        }
        let is_due = told.known.is_none_or(|known| known.elapsed() >= ASK) && !told.is_asked;
        if let (Some(job), true) = (told.job.clone(), is_due) {
            let (of, from, folder) = (self.told.clone(), self.from.clone(), self.folder.clone());
            // Slurm may take its time, or not answer at all.
            let asks = std::thread::Builder::new().spawn(move || {
                let found = ask(&from, &folder, job);
                let mut told = of.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some((state, nodes)) = found {
                    told.state = state;
                    told.nodes = nodes.or(told.nodes);
                }
                (told.is_asked, told.known) = (false, Some(Instant::now()));
            });
            // Without a thread for it, it is asked the next time.
            told.is_asked = asks.is_ok();
        }
        (told.state.clone(), told.nodes)
    }
}

/// What a job has printed.
fn printed(folder: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = std::fs::File::open(folder.join("out")) {
        let _ = file.take(WORDS).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

/// How a job stands, and with how many hosts; `None` when Slurm does not say.
fn ask(from: &Surroundings, folder: &Path, job: String) -> Option<(SlurmState, Option<u32>)> {
    let said = from
        .command("squeue")
        // The folder may be gone by now.
        .current_dir("/")
        .args(["--noheader", "--format=%T|%D|%r", "--jobs", &job])
        .stdin(Stdio::null())
        .output();
    let said = said.ok()?;
    let errors = String::from_utf8_lossy(&said.stderr);
    // One that it has forgotten is over; a controller that is away says nothing of any.
    if !said.status.success() && !errors.contains("Invalid job id") {
        return None;
    }
    let said = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    let mut words = said.splitn(3, '|');
    let mut word = || words.next().unwrap_or_default().to_owned();
    let (state, nodes, reason) = (word(), word(), word());
    if ["", "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT"].contains(&state.as_str()) {
        let says = printed(folder);
        return Some((SlurmState::Over { says }, None));
    }
    let state = match state.as_str() {
        "PENDING" => SlurmState::Pending { job, reason },
        _ => SlurmState::Running { job },
    };
    Some((state, nodes.parse().ok()))
}

impl Drop for Slurm {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.guard.wait();
    }
}

/// Where Slurm's hosts reach this one: the address from which the controller is reached.
pub fn address(from: &Surroundings) -> Option<Listen> {
    let said = from
        .command("scontrol")
        .args(["show", "config"])
        .stdin(Stdio::null())
        .output()
        .ok();
    let said = said.map(|it| String::from_utf8_lossy(&it.stdout).into_owned());
    let line = said.as_deref().unwrap_or_default().lines();
    let controller = line
        .filter_map(|line| line.split_once('='))
        .find_map(|(name, value)| name.starts_with("SlurmctldHost").then(|| value.trim()));
    // `name(address)`
    let host = controller.map(|it| match it.split_once('(') {
        Some((_, address)) => address.trim_end_matches(')'),
        None => it,
    });
    let there = host.and_then(|host| (host, 9).to_socket_addrs().ok()?.next());
    let own = there.and_then(towards).or_else(outside)?;
    Some(Listen {
        host: own.to_string(),
        port: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_tasks_are_read_as_slurm_reads_them() {
        let read = |text: &str| {
            let asked = Asked::parse(text.split(' ').map(str::to_owned).collect());
            (asked.nodes, asked.tasks, asked.each, asked.others.join(" "))
        };
        let none = String::new;
        assert_eq!(
            read("-N 4 -n 64 -p short"),
            (Some(4), Some(64), None, "-p short".into())
        );
        assert_eq!(read("-N2 --ntasks=8"), (Some(2), Some(8), None, none()));
        assert_eq!(
            read("--nodes=2-4 --ntasks 6"),
            (Some(2), Some(6), None, none())
        );
        assert_eq!(
            read("--ntasks-per-node 3 -c 2 --no-requeue --partition=long"),
            (None, None, Some(3), "--no-requeue --partition=long".into())
        );
        assert_eq!(read("-p short -n"), (None, None, None, "-p short".into()));
    }

    #[test]
    fn all_tasks_of_an_allocation_have_a_host() {
        let part = |text: &str, hosts| {
            let asked = Asked::parse(text.split(' ').map(str::to_owned).collect());
            let (nodes, tasks) = asked.part_of(hosts);
            (nodes, tasks.unwrap_or_default())
        };
        assert_eq!(part("-n 7", Some(2)), (Some(2), "4(x1),3(x1)".into()));
        assert_eq!(part("-N 4 -n 8", Some(9)), (Some(4), "2(x4)".into()));
        assert_eq!(part("-n 2", Some(3)), (Some(2), "1(x2)".into()));
        assert_eq!(
            part("--ntasks-per-node=5", Some(3)),
            (Some(3), "5(x3)".into())
        );
        assert_eq!(part("-N 2", Some(3)), (Some(2), String::new()));
        let three_each = part("-n 6 --ntasks-per-node=3", Some(4));
        assert_eq!(three_each, (Some(2), "3(x2)".into()));
        assert_eq!(part("-p short", Some(3)), (Some(3), String::new()));
    }
}
