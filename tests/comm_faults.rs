//! Messages that never come: deadlocks, types that differ, ranks that leave or die, Ctrl-C. Nobody hangs, the session
//! lives, and the next cell finds its ranks again.

mod support;

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Session, contains, hosts::Hosts, table::results};

const PATIENCE: Duration = Duration::from_secs(20);

fn started(start: &str) -> Session {
    let mut session = Session::start();
    session.cell(start);
    whole(&mut session);
    session
}

const PROCESSES: &str = "%pool start processes -n 4";

/// All ranks hear of each other.
fn whole(session: &mut Session) {
    results(
        session,
        "%px comm::all_reduce(&comm::rank(), comm::op::sum)",
        &[("0-3", "6")],
    );
}

/// A cell that fails with these words, soon.
fn fails(session: &mut Session, code: &str, words: &[&str]) {
    let begun = Instant::now();
    let shown = session.cell(code);
    contains(&shown, words);
    assert!(begun.elapsed() < PATIENCE, "{code}\n{shown}");
}

fn waits_for_ever(start: &str) {
    let mut session = started(start);
    // A cycle, and one who waits for it.
    fails(
        &mut session,
        "%px comm::recv::<f64>((comm::rank() + 1) % 3)",
        &["deadlock", "rank 0", "rank 1", "rank 2", "f64", "In ["],
    );
    whole(&mut session);
    fails(
        &mut session,
        "%px { let any = comm::recv_any::<u8>(); any.0 }",
        &["deadlock", "recv_any", "u8"],
    );
    // A collective that not all reach.
    fails(
        &mut session,
        "%px if comm::rank() != 2 { comm::barrier(); }",
        &["barrier", "rank 2"],
    );
    fails(
        &mut session,
        "%px { let me = comm::rank(); if me == 1 { comm::recv::<u8>(0); } comm::all_reduce(&me, comm::op::sum) }",
        &["deadlock", "all_reduce", "recv", "rank 1"],
    );
    whole(&mut session);
    // One that has left.
    fails(
        &mut session,
        "%px if comm::rank() == 1 { comm::recv::<String>(0); }",
        &["rank 0", "left", "String"],
    );
    fails(
        &mut session,
        "%px -t 1 comm::recv::<u8>(3)",
        &[
            "rank 1 waits for rank 3",
            "rank 3 does not run this cell",
            "`%px` without `-t`",
        ],
    );
    // Into a ring that nobody empties.
    fails(
        &mut session,
        "%px if comm::rank() == 1 { comm::send(&vec![0_u8; 50_000_000], 0); }",
        &["rank 0", "left"],
    );
    whole(&mut session);
    // Other types, and other calls.
    fails(
        &mut session,
        "%px if comm::rank() == 0 { comm::send(&1_i32, 1); } else if comm::rank() == 1 { comm::recv::<f64>(0); }",
        &["i32", "f64", "rank 0"],
    );
    // What was refused is still there.
    results(
        &mut session,
        "%px if comm::rank() == 1 { comm::recv::<i32>(0) } else { 0 }",
        &[("0,2,3", "0"), ("1", "1")],
    );
    fails(
        &mut session,
        "%px if comm::rank() < 2 { comm::barrier(); } else { comm::all_gather(&1); }",
        &["barrier", "all_gather"],
    );
    whole(&mut session);
    mistakes(&mut session);
    whole(&mut session);
    assert_eq!(session.end(), 0);
}

/// What the user is told to change.
fn mistakes(session: &mut Session) {
    for (code, words) in [
        (
            "%px comm::send(&1, 9)",
            &["send", "no rank 9", "0 to 3", "In ["][..],
        ),
        ("%px comm::recv::<u8>(4)", &["recv", "no rank 4", "0 to 3"]),
        ("%px comm::send_tag(&1, 0, -2)", &["tag", "-2"]),
        (
            "%px comm::broadcast(&mut 1, 7)",
            &["broadcast", "no rank 7", "In ["],
        ),
        (
            "%px comm::scatter(&vec![1; if comm::rank() == 0 { 3 } else { 0 }], 0)",
            &["scatter", "3 parts", "4 ranks"],
        ),
        (
            "%px comm::all_reduce(&vec![1.0; 3 + comm::rank() as usize], comm::op::sum)",
            &["all_reduce", "values", "In ["],
        ),
        (
            "%px std::thread::spawn(|| comm::rank()).join().unwrap()",
            &["comm", "%px", "thread"],
        ),
    ] {
        fails(session, code, words);
    }
}

#[test]
fn processes_that_would_wait_for_ever() {
    waits_for_ever(PROCESSES);
}

#[test]
fn threads_that_would_wait_for_ever() {
    waits_for_ever("%pool start threads -n 4");
}

#[test]
fn hosts_that_would_wait_for_ever() {
    let hosts = Hosts::up("waits");
    waits_for_ever(&hosts.start([2, 2]));
}

/// Rank 2 dies while the others are in a call that needs it.
#[test]
fn a_rank_that_dies_is_named() {
    dies(started(PROCESSES), |session| session.engines()[3]);
}

#[test]
fn a_rank_that_dies_on_another_host_is_named() {
    let hosts = Hosts::up("dies");
    dies(started(&hosts.start([2, 2])), |session| {
        let shown = session.cell("%px -t 2 std::process::id()");
        let numbers = shown.split(|letter: char| !letter.is_ascii_digit());
        numbers.filter_map(|it| it.parse().ok()).max().unwrap()
    });
}

fn dies(mut session: Session, victim: impl Fn(&mut Session) -> i32) {
    for code in [
        "comm::recv::<u8>(2);",
        "comm::barrier();",
        "{ let it = vec![0.0_f64; 3_000_000]; loop { comm::all_reduce(&it, comm::op::sum); } }",
        "loop { comm::send(&vec![0_u8; 3_000_000], 2); }",
    ] {
        let victim = victim(&mut session);
        session.enter(&format!(
            "%px if comm::rank() == 2 {{ println!(\"here\"); let it = vec![0.0_f64; 3_000_000]; if {} {{ loop {{ comm::all_reduce(&it, comm::op::sum); }} }} std::thread::sleep(std::time::Duration::from_secs(60)); }} else {{ {code} }}",
            code.contains("all_reduce")
        ));
        session.shows("here", PATIENCE);
        std::thread::sleep(Duration::from_millis(300));
        let _ = kill(Pid::from_raw(victim), Signal::SIGKILL);
        let shown = session.prompt(PATIENCE);
        contains(&shown, &["2", "SIGKILL"]);
        contains(&shown, &["rank 2", "died"]);
        // Another one takes its place, and hears of the others.
        std::thread::sleep(Duration::from_millis(300));
        session.cell("%pool restart");
        whole(&mut session);
    }
    assert_eq!(session.end(), 0);
}

#[test]
fn ctrl_c_ends_every_wait() {
    interrupts(started(PROCESSES));
}

#[test]
fn ctrl_c_ends_every_wait_for_another_host() {
    let hosts = Hosts::up("interrupts");
    interrupts(started(&hosts.start([2, 2])));
}

fn interrupts(mut session: Session) {
    session.cell("%px let kept = comm::rank() + 1;");
    let asleep = "std::thread::sleep(std::time::Duration::from_secs(1))";
    for code in [
        "comm::recv::<u8>(0);",
        "comm::barrier();",
        "comm::send(&vec![0_u8; 50_000_000], 0);",
        "comm::probe(0);",
    ] {
        session.enter(&format!(
            "%px if comm::rank() == 0 {{ println!(\"here\"); loop {{ {asleep}; }} }} else {{ {code} }}"
        ));
        session.shows("here", PATIENCE);
        std::thread::sleep(Duration::from_millis(200));
        session.press_interrupt();
        session.prompt(PATIENCE);
        whole(&mut session);
    }
    assert_eq!(session.end(), 0);
}
