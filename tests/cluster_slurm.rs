//! A cluster whose nodes Slurm starts: a real one, of the test's own.

mod support;

use nix::sys::signal::Signal;
use support::{PATIENCE, Session, contains, kept::Kept, serving::until, slurm::Slurm};

fn jobs(slurm: &Slurm) -> String {
    slurm.lists(&["--format=%i %T"])
}

/// Cancels all jobs.
fn cancel(slurm: &Slurm) {
    let cancelled = slurm.client("scancel").arg("--state=RUNNING").status();
    assert!(cancelled.unwrap().success());
}

fn becomes_idle(slurm: &Slurm) {
    until(|| jobs(slurm).is_empty().then_some(()), "a job is left");
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
    becomes_idle(&slurm);

    contains(
        &session.cell(&start("-N 1 -n 1 -p nowhere")),
        &["Slurm started no nodes", "partition"],
    );
    // One that cannot begin waits, and Ctrl-C takes it back.
    session.enter(&start("-N 1 -n 1 --begin=now+1hour"));
    session.shows("is pending", PATIENCE);
    session.press_interrupt();
    session.prompt(PATIENCE);
    becomes_idle(&slurm);

    // As the session's death does.
    contains(&session.cell(&start("-N 1 -n 1")), &["1 cluster engine"]);
    session.signal(Signal::SIGKILL);
    becomes_idle(&slurm);
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
        jobs(&slurm).contains("RUNNING"),
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
    becomes_idle(&slurm);
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
    assert!(jobs(&slurm).contains("RUNNING"), "{}", jobs(&slurm));
    let mut session = kept.attach_with("", &environment);
    contains(&session.cell("%px engine::size() + 40"), &["   42 │"]);
    session.cell("%wait 1");
    session.cell(&map("100", "late"));
    session.cell("%detach 2");
    session.signal(Signal::SIGKILL);
    drop(session);

    cancel(&slurm);
    becomes_idle(&slurm);
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
    let is_alone = || (!jobs(&slurm).contains("PENDING")).then_some(());
    until(is_alone, "the job that nobody waits for is left");
    contains(
        &session.cell(&format!("%pool attach {}", kept.name)),
        &["3 cluster engines"],
    );
    session.signal(Signal::SIGKILL);
    drop(session);
    contains(&kept.end(), &["has ended"]);
    becomes_idle(&slurm);
    kept.is_gone(holder, &data, Vec::new);
}
