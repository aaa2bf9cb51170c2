//! Jobs of a kept cluster that need no session: engines come again for them, they fail as others do, and they end when they
//! are cancelled or dropped, with what they have on the server.

mod support;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::hosts::Hosts;
use support::kept::Kept;
use support::serving::until;
use support::{PATIENCE, Session, contains, lacks, proc};

const NAP: &str = "fn nap(ms: u64) { std::thread::sleep(std::time::Duration::from_millis(ms)) }";

/// What starts it, with two engines on this host.
fn start(kept: &Kept) -> String {
    format!(
        "%pool start cluster --launcher 'env {{command}}' -n 2 --keep 1h --name {}",
        kept.name
    )
}

fn session(kept: &Kept) -> Session {
    let mut session = Session::start();
    contains(&session.cell(&start(kept)), &["2 cluster engines"]);
    session.cell(NAP);
    session
}

/// Has a job go on without the session.
fn leave(session: &mut Session, map: &str) {
    session.cell(&format!("%map -a {map}"));
    contains(&session.cell("%detach"), &["goes on without this session"]);
}

/// All engines of the cluster, of whichever session.
fn engines(kept: &Kept) -> Vec<i32> {
    let all = proc::below(kept.holder()).into_iter();
    all.filter(|pid| proc::alive(*pid) && proc::arguments(*pid).contains("__engine"))
        .collect()
}

/// Bytes of the files there.
fn size(folder: &Path) -> u64 {
    let length = |path: &std::path::PathBuf| path.metadata().map_or(0, |it| it.len());
    let files = proc::files(folder.to_owned(), &|_| true);
    files.iter().map(length).sum()
}

/// One item ends every engine that comes to it. The session does nothing, waits, or is gone.
#[test]
fn engines_come_again_for_a_job() {
    let kept = Kept::named("again");
    let mut session = session(&kept);
    let kills = "--on-error collect |x: u64| { nap(100); if x == 5 { std::process::abort() } x } over 0..40u64";
    leave(&mut session, kills);
    until(
        || session.cell("%jobs").contains("40/40").then_some(()),
        "the job does not go on beside an idle session",
    );
    contains(
        &session.cell("let r = %result 1\n(r.len(), r.iter().filter(|it| it.is_ok()).count())"),
        &["(40, 39)"],
    );
    leave(&mut session, kills);
    contains(&session.cell("%wait 2"), &["40 of 40"]);
    // Both have ended when the session does.
    leave(
        &mut session,
        "--on-error collect |x: u64| { if x < 2 { std::process::abort() } nap(50); x } over 0..40u64",
    );
    until(
        || engines(&kept).is_empty().then_some(()),
        "the engines are there",
    );
    session.signal(Signal::SIGKILL);
    drop(session);
    until(
        || {
            kept.attach_beside(&[], "%jobs")
                .contains("3 │")
                .then_some(())
        },
        "the job is lost",
    );
    until(
        || {
            let jobs = kept.attach_beside(&[], "%jobs");
            (jobs.matches("40/40").count() == 3).then_some(())
        },
        "the job does not go on without a session",
    );
    contains(&kept.end(), &["has ended"]);
}

/// Those that come again work where the others did, and have begun with the same.
#[test]
fn engines_that_come_again_have_the_same_around_them() {
    let kept = Kept::named("around");
    let mut session = Session::start();
    let init = "--init 'unsafe { std::env::set_var(\"BEGUN\", \"begun\") }'";
    // What starts nodes may be named from where the session is.
    let folder = tempfile::tempdir().expect("a folder");
    let launcher = folder.path().join("launch");
    std::fs::write(&launcher, "#!/bin/sh\nexec \"$@\"\n").expect("a file");
    std::fs::set_permissions(&launcher, Permissions::from_mode(0o755)).expect("a file");
    session.cell(&format!("%cd {}", folder.path().display()));
    let start = start(&kept).replace("env ", "./launch ");
    let start = format!("{start} {init}");
    contains(&session.cell(&start), &["2 cluster engines"]);
    session.cell("%env TOLD=told");
    session.cell("%cd /");
    session.cell(NAP);
    // Both end at once; the session does nothing about it.
    leave(
        &mut session,
        "--on-error collect |x: u64| { if x < 2 { std::process::abort() } nap(20); \
         let var = |name: &str| std::env::var(name).unwrap_or_default(); \
         format!(\"{} {} {}\", var(\"TOLD\"), var(\"BEGUN\"), std::env::current_dir().unwrap().display()) } \
         over 0..40u64",
    );
    until(
        || session.cell("%jobs").contains("40/40").then_some(()),
        "the job does not go on beside an idle session",
    );
    let same = "let r = %result 1\n\
                r.iter().filter(|it| it.as_ref().is_ok_and(|it| it == \"told begun /\")).count()";
    contains(&session.cell(same), &["38"]);
    // They are taken: nothing is lost with the pool.
    contains(&session.cell("%pool stop"), &["stopped"]);
    assert_eq!(session.end(), 0);
}

/// A map of the session's has no engine for a while: the node starts others, or is reached again.
#[test]
fn a_map_waits_for_engines_that_may_come() {
    let kept = Kept::named("waits");
    let hosts = Hosts::up("waits");
    let mut session = Session::start();
    let config = hosts.0.join("config");
    let start = format!(
        "%pool start cluster --ssh node1:2 --ssh-options '-F {}' --keep 1h --name {}",
        config.display(),
        kept.name
    );
    contains(&session.cell(&start), &["2 cluster engines"]);
    let started = Instant::now();
    session.cell(NAP);
    contains(
        &session.cell(
            "let r = %map -q --on-error collect |x: u64| { if x == 3 { std::process::abort() } nap(20); x } over 0..60u64\n\
             (r.len(), r.iter().filter(|it| it.is_err()).count())",
        ),
        &["(60, 1)"],
    );
    session.cell("%px 1");
    // One that breaks at once is not made again.
    std::thread::sleep(Duration::from_secs(6).saturating_sub(started.elapsed()));
    session.cell("%map -a |x: u64| { nap(100); x } over 0..60u64");
    let is_ssh = |pid: &i32| proc::arguments(*pid).starts_with("ssh ");
    let ssh = proc::below(kept.holder()).into_iter().find(is_ssh);
    kill(Pid::from_raw(ssh.expect("ssh")), Signal::SIGKILL).expect("ssh");
    contains(
        &session.cell("let s = %result\n(s.len(), s.iter().sum::<u64>())"),
        &["(60, 1770)"],
    );
    contains(&session.cell("%px engine::rank() + 40"), &["40", "41"]);
    contains(&session.cell("%pool stop"), &["stopped"]);
}

#[test]
fn a_job_that_fails_says_so_and_stops() {
    let kept = Kept::named("fails");
    let mut session = session(&kept);
    let fails = "|x: u64| { nap(50); if x == 7 { nap(3000); panic!(\"seven\") } x } over 0..600u64";
    leave(&mut session, fails);
    contains(
        &session.cell("%wait 1"),
        &["job 1 has failed", "of 600 chunks", "%result 1"],
    );
    contains(&session.cell("%jobs"), &["failed"]);
    contains(
        &session.cell("let r = %result 1"),
        &["job 1 failed: item 7 panicked", "seven"],
    );
    // It fails when there is no session.
    leave(&mut session, fails);
    session.signal(Signal::SIGKILL);
    drop(session);
    until(
        || {
            let jobs = kept.attach_beside(&[], "%jobs");
            (jobs.matches("failed").count() == 2).then_some(())
        },
        "it does not fail",
    );
    let listed = kept.attach_beside(&[], "%jobs");
    lacks(&listed, &["600/600", "running"]);
    contains(
        &kept.attach_beside(&[], "let r = %result 2"),
        &["job 2 failed: item 7 panicked"],
    );
    contains(&kept.end(), &["has ended"]);
}

#[test]
fn what_runs_for_a_cancelled_job_is_ended() {
    let kept = Kept::named("cancelled");
    let mut session = session(&kept);
    leave(&mut session, "|x: u64| { nap(100_000); x } over 0..8u64");
    contains(
        &session.cell("%cancel"),
        &["job 1 is cancelled: 0 of 8 chunks done"],
    );
    let next = "let r = %map -q |x: u64| x over 0..8u64\nr.iter().sum::<u64>()";
    contains(&session.cell(next), &["28"]);
    session.cell("%jobs --drop all");
    leave(
        &mut session,
        "|x: u64| { loop { std::hint::black_box(0); } x } over 0..8u64",
    );
    until(
        || (engines(&kept).len() == 2).then_some(()),
        "an engine is missing",
    );
    let runaways = engines(&kept);
    session.signal(Signal::SIGKILL);
    drop(session);
    // The session that cancels it ends at once.
    contains(
        &kept.attach_beside(&[], "%cancel\n%jobs --drop all"),
        &["is cancelled: 0 of 8 chunks done", "dropped"],
    );
    until(
        || (!runaways.iter().any(|pid| proc::alive(*pid))).then_some(()),
        "an engine goes on with what nobody wants",
    );
    contains(&kept.end(), &["has ended"]);
}

/// Also when the session dies that drops it.
#[test]
fn large_inputs_of_a_dropped_job_leave_the_server() {
    let kept = Kept::named("dropped");
    let mut session = session(&kept);
    let data = kept.told("data").expect("a folder");
    leave(
        &mut session,
        "|xs: Vec<u64>| { nap(100_000); xs.len() } over (0..60).map(|x| vec![x; 130_000])",
    );
    assert!(size(Path::new(&data)) > 60 << 20);
    session.cell("%cancel");
    session.enter("%jobs --drop all");
    session.shows("dropped", PATIENCE);
    session.signal(Signal::SIGKILL);
    drop(session);
    until(
        || {
            let jobs = kept.attach_beside(&[], "%jobs --drop all\n%jobs");
            let is_gone = jobs.contains("no jobs") && size(Path::new(&data)) < 30 << 20;
            is_gone.then_some(())
        },
        "what was dropped is on the server still",
    );
    contains(&kept.end(), &["has ended"]);
}

/// Jobs that begin at once need the same of the server.
#[test]
fn what_a_burst_of_jobs_needs_is_stored_once() {
    let kept = Kept::named("burst");
    let mut session = session(&kept);
    let data = kept.told("data").expect("a folder");
    let burst = "let many: Vec<_> = (0..30u64).map(|i| pool::submit_with(&i, |i| i * 2)).collect(); \
                 many.iter().map(|j| j.result().unwrap()).sum::<u64>()";
    contains(&session.cell(burst), &["870"]);
    let size = size(Path::new(&data));
    assert!(size < 40 << 20, "{size}");
    session.cell("%pool stop");
}

/// What the host is called may change.
#[test]
fn a_cluster_is_known_whatever_its_host_is_called() {
    let kept = Kept::named("host");
    let script = "exec unshare --uts sh -c 'hostname first; exec \"$0\"' \"$0\"";
    let mut session = Session::under(script, &[]);
    session.prompt(PATIENCE);
    contains(&session.cell(&start(&kept)), &["2 cluster engines"]);
    assert_eq!(kept.told("host").as_deref(), Some("first"));
    session.cell("!hostname other");
    contains(&session.cell("%pool stop"), &["stopped"]);
    until(
        || (!kept.record().exists()).then_some(()),
        "the cluster is left",
    );
}

/// Its server is killed as often as would be enough to give up one that is not kept, and so is what starts it.
#[test]
fn a_kept_cluster_outlives_its_server() {
    let kept = Kept::named("server");
    let session = session(&kept);
    let holder = kept.holder();
    let find = |is_it: &dyn Fn(&str) -> bool| {
        let is_it = |pid: &i32| proc::alive(*pid) && is_it(&proc::arguments(*pid));
        let found = || proc::below(holder).into_iter().find(is_it);
        until(found, "a process of the cluster is missing")
    };
    let end = |pid: i32| {
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("a living process");
        assert_eq!(proc::leftovers(&[pid], PATIENCE), []);
    };
    kept.leave_job(session);
    for _ in 0..7 {
        end(find(&|it| {
            it.contains("nats-server -c") && !it.contains("__keep")
        }));
    }
    end(find(&|it| it.contains("__keep")));
    find(&|it| it.contains("__keep"));
    assert!(proc::alive(holder));
    kept.take_job(&mut kept.attach());
    contains(&kept.end(), &["has ended"]);
}

/// A server that stands still is ended without a session, and another one has what it had.
#[test]
fn a_server_that_stands_still_is_replaced_without_a_session() {
    let kept = Kept::named("still");
    let session = session(&kept);
    let holder = kept.holder();
    let server = || {
        let is_it = |pid: &i32| {
            let arguments = proc::arguments(*pid);
            proc::alive(*pid) && arguments.contains("nats-server -c") && !arguments.contains("__")
        };
        proc::below(holder).into_iter().find(is_it)
    };
    let first = until(server, "no server");
    kept.leave_job(session);
    // It is known by having answered.
    std::thread::sleep(Duration::from_secs(8));
    kill(Pid::from_raw(first), Signal::SIGSTOP).expect("a server");
    until(
        || server().filter(|next| *next != first),
        "the server stands still",
    );
    kept.take_job(&mut kept.attach());
    contains(&kept.end(), &["has ended"]);
}
