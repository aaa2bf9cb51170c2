//! A cluster whose nodes Slurm starts: a real one, of the test's own.

mod support;

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use support::{PATIENCE, Session, contains, serving::until};
use tempfile::TempDir;

/// See tests/slurm/private.
struct Slurm {
    process: Child,
    folder: TempDir,
}

impl Slurm {
    fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slurm/private");
        let folder = tempfile::tempdir().unwrap();
        let mut process = Command::new(script)
            .arg(folder.path())
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
