//! A cluster whose nodes Slurm starts: a real one, of the test's own.

mod support;

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use support::{PATIENCE, Session, contains, kept::Kept, serving::until};
use tempfile::TempDir;

/// See tests/slurm/private.
struct Slurm {
    process: Child,
    folder: TempDir,
}

impl Slurm {
    fn start() -> Self {
        Self::of(1)
    }

    /// With so many nodes.
    fn of(nodes: usize) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slurm/private");
        let folder = tempfile::tempdir().unwrap();
        let mut process = Command::new(script)
            .arg(folder.path())
            .arg(nodes.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        out.read_line(&mut said).unwrap();
        if said != "ready\n" {
            out.read_to_string(&mut said).unwrap();
            panic!("Slurm (slurm-wlm) does not start: {said}");
        }
        Self { process, folder }
    }

    fn conf(&self) -> String {
        self.folder.path().join("slurm.conf").display().to_string()
    }

    fn jobs(&self) -> String {
        let said = Command::new("squeue")
            .env("SLURM_CONF", self.conf())
            .args(["--noheader", "--format=%i %T"])
            .output()
            .unwrap();
        String::from_utf8(said.stdout).unwrap()
    }

    /// Cancels all jobs.
    fn cancel(&self) {
        let cancelled = Command::new("scancel")
            .env("SLURM_CONF", self.conf())
            .arg("--state=RUNNING")
            .status();
        assert!(cancelled.unwrap().success());
    }

    fn becomes_idle(&self) {
        until(|| self.jobs().is_empty().then_some(()), "a job is left");
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

#[test]
fn slurm_starts_nodes_and_ends_them() {
    let slurm = Slurm::start();
    let conf = slurm.conf();
    let mut session = Session::taking_over(&[("SLURM_CONF", &conf)]);
    let start = |options: &str| format!("%pool start cluster --slurm '{options}'");
    contains(
        &session.cell(&start("-N 1 -n 2")),
        &["Slurm's job", "2 cluster engines"],
    );
    contains(&session.cell("%px engine::rank() * 10"), &["0", "10"]);
    contains(&session.cell("%pool stop"), &["stopped c0"]);
    slurm.becomes_idle();

    contains(
        &session.cell(&start("-N 1 -n 1 -p nowhere")),
        &["Slurm started no nodes", "partition"],
    );
    // One that cannot begin waits, and Ctrl-C takes it back.
    session.enter(&start("-N 1 -n 1 --begin=now+1hour"));
    session.shows("is pending", PATIENCE);
    session.press_interrupt();
    session.prompt(PATIENCE);
    slurm.becomes_idle();

    // As the session's death does.
    contains(&session.cell(&start("-N 1 -n 1")), &["1 cluster engine"]);
    session.signal(Signal::SIGKILL);
    slurm.becomes_idle();
}

#[test]
fn a_session_in_an_allocation_uses_it() {
    let slurm = Slurm::start();
    let conf = slurm.conf();
    let script = "exec salloc --quiet -N 1 -n 3 \"$0\"";
    let mut session = Session::under(script, &[("SLURM_CONF", &conf)]);
    session.prompt(PATIENCE);
    contains(
        &session.cell("%pool start cluster --slurm ''"),
        &["3 cluster engines"],
    );
    contains(&session.cell("%px engine::size()"), &["3"]);
    contains(&session.cell("%pool stop"), &["stopped c0"]);
    assert!(
        slurm.jobs().contains("RUNNING"),
        "the allocation is the user's"
    );
}

/// Where hosts have room for different numbers of tasks, Slurm gives each another share. One of them dies in the middle.
#[test]
fn hosts_have_different_shares_of_a_job() {
    let slurm = Slurm::of(4);
    let conf = slurm.conf();
    let marker = slurm.folder.path().join("killed");
    let mut session = Session::taking_over(&[("SLURM_CONF", &conf)]);
    contains(
        &session.cell("%pool start cluster --slurm '-N 4 -n 8'"),
        &["8 cluster engines"],
    );
    let nodes = session.cell("%nodes");
    contains(&nodes, &["5 of 5"]);
    assert_eq!(nodes.matches("1 of 1").count(), 3, "{nodes}");
    let dies = format!(
        "if x == 7 && std::fs::File::create_new({marker:?}).is_ok() {{ \
         let node = std::os::unix::process::parent_id().to_string(); \
         std::process::Command::new(\"kill\").args([\"-9\", &node]).status().unwrap(); }}"
    );
    let slow = "std::thread::sleep(std::time::Duration::from_millis(20));";
    session.cell(&format!(
        "let xs = %map -q |x: u64| {{ {dies} {slow} x * 2 }} over 0..200u64"
    ));
    contains(&session.cell("xs.iter().sum::<u64>()"), &["39800"]);
    assert!(marker.exists());
    let nodes = session.cell("%nodes");
    assert_eq!(nodes.matches(" up ").count(), 3, "{nodes}");
    contains(&session.cell("%pool stop"), &["stopped c0"]);
    slurm.becomes_idle();
}

/// As much of an allocation is used as is asked for, and no engine that was asked for is missing.
#[test]
fn a_part_of_an_allocation_is_used() {
    let slurm = Slurm::of(2);
    let conf = slurm.conf();
    let script = "exec salloc --quiet -N 2 -n 5 \"$0\"";
    let mut session = Session::under(script, &[("SLURM_CONF", &conf)]);
    session.prompt(PATIENCE);
    let mut starts = |options: &str, says: &str| {
        let start = format!("%pool start cluster --slurm '{options}'");
        contains(&session.cell(&start), &[says]);
    };
    starts("", "5 cluster engines");
    starts("-n 3", "3 cluster engines");
    starts("-N 1 -n 2 -w test2", "2 cluster engines");
    starts("--ntasks-per-node=3", "6 cluster engines");
    starts("-N 3", "allocated 2 nodes");
    starts("--bogus", "unrecognized option");
    contains(&session.cell("%px engine::size()"), &["6"]);
}

/// What Slurm has started goes on without a session. When its time is over, what it has done is there still, and Slurm
/// starts other nodes for what is not done.
#[test]
fn nodes_of_slurm_are_kept() {
    let slurm = Slurm::start();
    let conf = slurm.conf();
    let environment = [("SLURM_CONF", conf.as_str())];
    let kept = Kept::named("slurm");
    let mut session = Session::taking_over(&environment);
    contains(
        &session.cell(&format!(
            "%pool start cluster --slurm '-N 1 -n 2' --keep 1h --name {}",
            kept.name
        )),
        &["2 cluster engines", "kept for 1 h"],
    );
    let (holder, data) = (kept.holder(), kept.told("data").unwrap());
    let map = |wait: &str, name: &str| {
        let slow = format!("std::thread::sleep(std::time::Duration::from_millis({wait}));");
        format!("let {name} = %map -a |x: u64| {{ {slow} x * 2 }} over 0..100u64")
    };
    session.cell(&map("10", "r"));
    session.cell("%detach 1");
    session.signal(Signal::SIGKILL);
    drop(session);
    assert!(slurm.jobs().contains("RUNNING"), "{}", slurm.jobs());
    let mut session = kept.attach_with("", &environment);
    contains(&session.cell("%px engine::size() + 40"), &["   42 │"]);
    session.cell("%wait 1");
    session.cell(&map("100", "late"));
    session.cell("%detach 2");
    session.signal(Signal::SIGKILL);
    drop(session);

    slurm.cancel();
    slurm.becomes_idle();
    let none = kept.attach_beside(&[], "1");
    contains(&none, &["no node of the cluster", "--slurm"]);
    let more = "--slurm '-N 1 -n 3'";
    let mut session = kept.attach_with(more, &environment);
    contains(&session.cell("%px engine::size() + 50"), &["   53 │"]);
    let sum = |job: usize| format!("let r{job} = %result {job}\nr{job}.iter().sum::<u64>()");
    contains(&session.cell(&sum(1)), &["9900"]);
    contains(&session.cell(&sum(2)), &["9900"]);
    session.signal(Signal::SIGKILL);
    drop(session);
    // One that cannot begin waits, and Ctrl-C takes it back; the cluster stays.
    let mut session = Session::taking_over(&environment);
    session.enter(&format!(
        "%pool attach {} --slurm '-N 1 -n 1 --begin=now+1hour'",
        kept.name
    ));
    session.shows("is pending", PATIENCE);
    session.press_interrupt();
    session.prompt(PATIENCE);
    let is_alone = || (!slurm.jobs().contains("PENDING")).then_some(());
    until(is_alone, "the job that nobody waits for is left");
    contains(
        &session.cell(&format!("%pool attach {}", kept.name)),
        &["3 cluster engines"],
    );
    session.signal(Signal::SIGKILL);
    drop(session);
    contains(&kept.end(), &["has ended"]);
    slurm.becomes_idle();
    kept.is_gone(holder, &data, Vec::new);
}
