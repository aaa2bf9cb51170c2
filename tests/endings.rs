//! However a session ends, nothing of it is left: no engine, no relay, no compiler, no file.

mod support;

use std::path::PathBuf;
use std::time::Duration;

use rexpect::process::Signal;
use support::{PATIENCE, Session, contains, proc};

/// Until everything is gone, on a busy machine.
const SOON: Duration = Duration::from_secs(5);

/// A session with engines of all kinds that has compiled something.
fn at_work() -> (Session, Vec<i32>) {
    let mut session = Session::start();
    session.cells(&[
        "%pool start -n 2",
        "%px let a = 1;",
        "%pool start threads -n 2",
    ]);
    contains(&session.cell("%px engine::rank()"), &["│"]);
    session.cells(&["%pool use p0"]);
    assert_eq!(
        session.engines().len(),
        3,
        "the local engine and two of the pool"
    );
    let below = proc::below(session.pid());
    assert!(below.len() > 3, "the relay is there too");
    (session, below)
}

fn entries(folder: PathBuf) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Asserts that the session, its processes and its files go away.
fn leaves_nothing(how: &str, session: &Session, processes: &[i32]) {
    assert!(
        session.ended(PATIENCE).is_some(),
        "{how}: the session still runs"
    );
    let left = proc::leftovers(processes, SOON);
    assert!(left.is_empty(), "{how}: still running: {left:?}");
    for _ in 0..50 {
        if entries(session.temporary()).is_empty() {
            return;
        }
        std::thread::sleep(SOON / 50);
    }
    panic!("{how}: still there: {:?}", entries(session.temporary()));
}

/// What runs when the session ends.
fn busy(session: &mut Session, code: &str) -> Vec<i32> {
    session.enter(code);
    session.shows("begun", PATIENCE);
    proc::below(session.pid())
}

#[test]
fn quit_and_end_of_input() {
    for keys in ["%quit\r", "\x04"] {
        let (mut session, processes) = at_work();
        assert!(
            !entries(session.temporary()).is_empty(),
            "a session at work has files"
        );
        session.type_keys(keys);
        leaves_nothing(&format!("{keys:?}"), &session, &processes);
    }
}

#[test]
fn signals_at_the_prompt() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGKILL] {
        let (mut session, processes) = at_work();
        session.signal(signal);
        leaves_nothing(&format!("{signal} at the prompt"), &session, &processes);
    }
}

#[test]
fn signals_while_cells_run() {
    let forever =
        "println!(\"begun\"); loop { std::thread::sleep(std::time::Duration::from_millis(1)) }";
    for (signal, code) in [
        (Signal::SIGTERM, format!("%px {forever}")),
        (Signal::SIGHUP, forever.to_owned()),
        (Signal::SIGKILL, format!("%px {forever}")),
        (
            Signal::SIGKILL,
            format!("%map |_: u8| -> u8 {{ {forever} }} over [1, 2]"),
        ),
    ] {
        let (mut session, mut processes) = at_work();
        processes.extend(busy(&mut session, &code));
        session.signal(signal);
        leaves_nothing(&format!("{signal} during {code}"), &session, &processes);
    }
}

#[test]
fn signals_while_the_compiler_warms() {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let mut session = Session::cold();
        session.enter("%pool start -n 1");
        session.prompt(PATIENCE);
        let processes = proc::below(session.pid());
        session.signal(signal);
        leaves_nothing(&format!("{signal} while it warms"), &session, &processes);
    }
}
