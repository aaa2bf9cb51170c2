//! A session with a cluster of two hosts for which trouble is made, and what has to hold whatever befalls it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::hosts::Hosts;
use super::{Session, contains, dose, lacks, proc, serving::until};

/// What a map of four engines takes some 600 ms for.
pub const SLOW: &str =
    "fn slow(x: u64) -> u64 { std::thread::sleep(std::time::Duration::from_millis(2)); x * 3 + 1 }";
pub const WANTED: &str = "let wanted: Vec<u64> = (0..1_200).map(|x| x * 3 + 1).collect();";
const DURABLE: &str = " --durable";
pub const PART: &str = "%px let part = vec![engine::rank(); 300_000];";
pub const BIG: &str = "let big: Vec<u64> = (0..500_000).collect();";

/// Whatever befalls it, a cell ends within this.
pub const BOUND: Duration = Duration::from_secs(60);

/// A node that has heard nothing of the session for 30 s ends itself, as guide/clusters.md says.
pub const ALONE: Duration = Duration::from_secs(30);

/// A session with a cluster of two nodes with two engines each.
pub struct Trial {
    pub session: Session,
    pub hosts: Hosts,
    pub random: fastrand::Rng,
    /// What its start says behind the hosts.
    options: &'static str,
}

/// What runs when trouble comes.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    Map,
    Px,
    Push,
    Pull,
}

pub const WORKS: [Work; 4] = [Work::Map, Work::Px, Work::Push, Work::Pull];

impl Trial {
    pub fn start(name: &str) -> Self {
        Self::of(name, Session::start(), "")
    }

    /// Both kinds, one after the other: maps that are sent to engines, and maps that go through a queue.
    pub fn both(name: &str, mut tried: impl FnMut(Self)) {
        for (options, way) in [("", "sent"), (DURABLE, "queued")] {
            dose::told(&format!("maps are {way}"));
            tried(Self::of(name, Session::start(), options));
        }
    }

    /// One whose maps go through a queue.
    pub fn durable(name: &str) -> Self {
        Self::of(name, Session::start(), DURABLE)
    }

    /// The same, with its server's files on a disk of its own.
    pub fn durable_on(name: &str, disk: &Disk) -> Self {
        let at = disk.0.to_str().expect("a path");
        Self::of(name, Session::taking_over(&[("TMPDIR", at)]), DURABLE)
    }

    fn of(name: &str, mut session: Session, options: &'static str) -> Self {
        let random = dose::random();
        let hosts = Hosts::up(name);
        session.cells(&[SLOW, WANTED, BIG, "let kept = 41;"]);
        let mut trial = Self {
            session,
            hosts,
            random,
            options,
        };
        trial.cluster();
        // What cells link to is there from now on.
        contains(&trial.cell("%map -q slow over 0..4u64"), &["[1, 4, 7, 10]"]);
        trial
    }

    pub fn cluster(&mut self) {
        let start = self.hosts.start([2, 2]) + self.options;
        contains(
            &self.cell(&start),
            &["4 cluster engines on node1, node2, up in"],
        );
        // What can be pulled.
        lacks(&self.cell(PART), &["error"]);
    }

    pub fn cell(&mut self, code: &str) -> String {
        self.session.enter(code);
        self.session.prompt(BOUND)
    }

    /// Begins something, and is back when it runs.
    pub fn begin(&mut self, work: Work) {
        match work {
            Work::Map => {
                self.session.enter("let got = %map slow over 0..1_200u64");
                self.session.shows("u64 → u64", BOUND);
            }
            Work::Px => {
                self.session.enter(
                    "%px println!(\"begun\"); std::thread::sleep(std::time::Duration::from_millis(500)); engine::rank() + 7",
                );
                self.session.shows("begun", BOUND);
            }
            Work::Push => self.session.enter("%push big"),
            Work::Pull => {
                self.session.enter("let pulled = %pull part");
            }
        }
    }

    /// A pause below so many milliseconds.
    pub fn pause(&mut self, below: u64) {
        std::thread::sleep(Duration::from_millis(self.random.u64(0..below)));
    }

    /// Waits for the end of what was begun. `outlived`: nothing may be lost.
    #[track_caller]
    pub fn ends(&mut self, work: Work, outlived: bool) -> String {
        let shown = self.session.prompt(BOUND);
        if outlived {
            lacks(&shown, &["error", "died", "gone", "dead"]);
        }
        match work {
            // Maps outlive everything.
            Work::Map => {
                lacks(&shown, &["error"]);
                contains(&self.cell("got == wanted"), &["true"]);
            }
            Work::Px if outlived => contains(
                &shown,
                &[
                    "│      0 │      7 │",
                    "│      1 │      8 │",
                    "│      2 │      9 │",
                    "│      3 │     10 │",
                ],
            ),
            Work::Push if outlived => contains(
                &self.cell("%px big.len() + big[7] as usize"),
                &["│    0-3 │ 500007 │"],
            ),
            Work::Pull if outlived => contains(
                &self.cell(
                    "pulled.iter().enumerate().all(|(rank, it)| it.len() == 300_000 && it.iter().all(|one| *one as usize == rank))",
                ),
                &["true"],
            ),
            _ => {}
        }
        shown
    }

    /// The session has its variables, and its pool works, on all of its engines and with the next cell.
    #[track_caller]
    pub fn goes_on(&mut self) {
        contains(&self.cell("kept + 1"), &["42"]);
        let all = self.cell("%px engine::size()");
        contains(&all, &["│    0-3 │      4 │"]);
        // For those that were replaced.
        lacks(&self.cell(PART), &["error"]);
        contains(
            &self.cell("let got = %map -q slow over 0..1_200u64\ngot == wanted"),
            &["true"],
        );
    }

    /// All engines answer, after cells that name those that do not.
    #[track_caller]
    pub fn settles(&mut self) {
        for _ in 0..3 {
            let all = self.cell("%px engine::size()");
            if all.contains("│    0-3 │      4 │") {
                return;
            }
            assert!(all.contains("died") || all.contains("dead"), "{all}");
        }
    }

    /// What `%nodes` says of a host.
    pub fn node(&mut self, host: usize) -> String {
        let nodes = self.cell("%nodes");
        let row = nodes
            .lines()
            .rfind(|line| line.contains(&format!("node{host}")));
        row.unwrap_or_else(|| panic!("no node{host}: {nodes}"))
            .to_owned()
    }

    /// Waits until a host is known to be gone.
    #[track_caller]
    pub fn loses(&mut self, host: usize) {
        let is_gone = || self.node(host).contains("gone").then_some(());
        until(is_gone, "word of its end");
    }

    /// Another cluster in the place of this one.
    #[track_caller]
    pub fn anew(&mut self) {
        lacks(&self.cell("%pool stop"), &["error"]);
        self.nothing_runs();
        self.cluster();
    }

    /// No engine and no node runs on any host.
    #[track_caller]
    pub fn nothing_runs(&self) {
        let all = || [self.hosts.engines(), self.hosts.nodes()].concat();
        let since = Instant::now();
        while !all().is_empty() {
            let left: Vec<(i32, String)> = all()
                .into_iter()
                .map(|pid| (pid, proc::arguments(pid)))
                .collect();
            assert!(since.elapsed() < ALONE + Duration::from_secs(5), "{left:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The server's process, when there is one.
    pub fn serves(&self) -> Option<i32> {
        let pids = proc::below(self.session.pid());
        pids.into_iter().find(|pid| is_server(*pid))
    }

    /// The server's process and folder.
    pub fn server(&self) -> (i32, PathBuf) {
        let server = until(|| self.serves(), "server");
        let folder = std::fs::read_link(format!("/proc/{server}/cwd"));
        (server, folder.expect("its folder"))
    }

    /// Ends the session; nothing of it is left.
    pub fn end(self) {
        let (_, folder) = self.server();
        let below = proc::below(self.session.pid());
        assert!(folder.exists(), "{folder:?}");
        assert_eq!(self.session.end(), 0);
        nothing_is_left(&self.hosts, &folder, &below);
    }
}

pub fn is_server(pid: i32) -> bool {
    let arguments = proc::arguments(pid);
    arguments.contains("nats-server -c") && !arguments.contains("__")
}

pub fn send(pid: i32, signal: Signal) {
    // It may have ended by itself.
    let _ = kill(Pid::from_raw(pid), signal);
}

/// The folders of servers in a folder for temporary files.
pub fn server_folders(temporary: &Path) -> Vec<PathBuf> {
    let all = std::fs::read_dir(temporary).into_iter().flatten().flatten();
    let is_one = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with("regatta-nats-")
    };
    all.map(|entry| entry.path()).filter(is_one).collect()
}

/// `server`: the folder of the session's server, or the one for temporary files of sessions that are all over. `below`: the
/// processes that the session had.
#[track_caller]
pub fn nothing_is_left(hosts: &Hosts, server: &Path, below: &[i32]) {
    for host in [1, 2] {
        let since = Instant::now();
        while !hosts.guests(host).is_empty() {
            assert!(
                since.elapsed() < ALONE + Duration::from_secs(5),
                "on node{host}: {:?}",
                hosts.guests(host)
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        // The program stays for the next cluster.
        let mut files = hosts.files(host);
        files.retain(|file| !file.ends_with("regatta") || !file.starts_with(hosts.home(host)));
        assert!(files.is_empty(), "on node{host}: {files:?}");
    }
    let is_one = server.to_string_lossy().contains("regatta-nats-");
    let is_gone = || match is_one {
        true => !server.exists(),
        false => server_folders(server).is_empty(),
    };
    until(|| is_gone().then_some(()), "end of its folder");
    // The compiler goes on, for the next session.
    let is_ours = |pid: &&i32| {
        let arguments = proc::arguments(**pid);
        let words = ["__keep", "nats-server", "ssh ", "__engine"];
        words.iter().any(|word| arguments.contains(word))
    };
    let ours: Vec<i32> = below.iter().filter(is_ours).copied().collect();
    let left = proc::leftovers(&ours, Duration::from_secs(20));
    assert!(left.is_empty(), "{left:?}");
}

/// A small disk; it is there until this is dropped.
pub struct Disk(
    pub PathBuf,
    #[allow(unused, reason = "it holds the disk")] tempfile::TempDir,
);

impl Disk {
    pub fn mount() -> Self {
        // As long a name as other sessions' folders have: compilers have built everything for those.
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path().join("tmp");
        std::fs::create_dir(&at).expect("a folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256m", "none"])
            .arg(&at)
            .status();
        assert!(mounted.expect("mount").success(), "root is needed");
        Self(at, folder)
    }

    /// Until nothing goes there any more.
    pub fn fill(&self) {
        let file = std::fs::File::create(self.0.join("filler")).expect("a file");
        while std::io::Write::write(&mut &file, &[0; 4096]).is_ok() {}
    }

    pub fn free(&self) {
        std::fs::remove_file(self.0.join("filler")).expect("the file");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
