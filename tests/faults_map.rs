//! Maps whose engines are killed, stopped or crash: every item has exactly one result, and the right one.
//!
//! Chances are logged (`REGATTA_SEED`). The usual dose is small; `REGATTA_DOSE=full` gives 50 maps of 10 000 items
//! with 300 kills in all, and 20 maps with engines that are stopped for 5 s.

mod support;

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{PATIENCE, Session, contains, dose, lacks, proc};

/// A millisecond per item: on four engines a map takes some three seconds.
const SLOW: &str =
    "fn slow(x: u64) -> u64 { std::thread::sleep(std::time::Duration::from_millis(1)); x * 3 + 1 }";
const WANTED: &str = "let wanted: Vec<u64> = (0..10_000).map(|x| x * 3 + 1).collect();";
const MAP: &str = "let got = %map slow over 0..10_000u64";

/// How far apart kills are at most.
const GAP: Duration = Duration::from_millis(500);
const KILLS_PER_MAP: usize = 6;
const STOPPED: Duration = Duration::from_secs(5);

/// A map on four engines that finds trouble; gives what it showed and what `trouble` made of it. `trouble` gets a
/// receiver that is disconnected when the map has ended.
fn troubled<T: Send>(
    session: &mut Session,
    trouble: impl FnOnce(i32, i32, &Receiver<()>) -> T + Send,
) -> (String, T) {
    let (pid, local) = (session.pid(), session.engines()[0]);
    session.enter(MAP);
    session.shows("u64 → u64", PATIENCE);
    let (running, over) = channel();
    thread::scope(|scope| {
        let trouble = scope.spawn(move || trouble(pid, local, &over));
        let shown = session.prompt(PATIENCE);
        drop(running);
        (shown, trouble.join().expect("the trouble came to its end"))
    })
}

/// Waits; whether the map still runs after it.
fn runs_after(wait: Duration, over: &Receiver<()>) -> bool {
    over.recv_timeout(wait) == Err(RecvTimeoutError::Timeout)
}

/// One of the pool's engines.
fn any_engine(random: &mut fastrand::Rng, session: i32, local: i32) -> Option<Pid> {
    let mut engines = proc::engines(session);
    engines.retain(|pid| *pid != local);
    random.choice(engines).map(Pid::from_raw)
}

/// Asserts that the last map's results are complete and right, and that the pool has all its engines.
#[track_caller]
fn all_is_well(session: &mut Session, shown: &str) {
    lacks(shown, &["error"]);
    contains(shown, &["wall"]);
    contains(&session.cell("got == wanted"), &["true"]);
    contains(
        &session.cell("%px engine::size()"),
        &["│    0-3 │      4 │"],
    );
}

#[test]
fn killed_engines_lose_no_item() {
    let mut random = dose::random();
    let (maps, kills) = (dose::of(3, 50), dose::of(18, 300));
    let mut session = Session::start();
    session.cells(&["%pool start -n 4", SLOW, WANTED]);
    let (mut map, mut killed) = (0, 0);
    while map < maps || killed < kills {
        assert!(map < 2 * maps, "only {killed} engines were killed");
        let (shown, kills) = troubled(&mut session, |session, local, over| {
            let mut kills = 0;
            while kills < KILLS_PER_MAP
                && runs_after(GAP.mul_f64(random.f64()), over)
                // The first chunk may be lost too.
                && let Some(pid) = any_engine(&mut random, session, local)
            {
                // It may have ended since it was seen.
                kills += usize::from(kill(pid, Signal::SIGKILL).is_ok());
            }
            kills
        });
        map += 1;
        killed += kills;
        dose::told(&format!("map {map}: {kills} kills"));
        all_is_well(&mut session, &shown);
        // A single one may have come after the last result.
        if kills > 1 {
            contains(&shown, &[" died (", "killed by SIGKILL) and was replaced"]);
        }
    }
    assert_eq!(session.end(), 0);
}

#[test]
fn stopped_engines_lose_no_item() {
    let mut random = dose::random();
    let mut session = Session::start();
    session.cells(&["%pool start -n 4", SLOW, WANTED]);
    for map in 1..=dose::of(1, 20) {
        let (shown, stopped) = troubled(&mut session, |session, local, over| {
            runs_after(GAP.mul_f64(random.f64()), over);
            let pid = any_engine(&mut random, session, local).expect("an engine of the pool");
            kill(pid, Signal::SIGSTOP).expect("a living engine");
            // All of the time, also when the others have done its work.
            thread::sleep(STOPPED);
            // It may have been given up and replaced.
            kill(pid, Signal::SIGCONT).is_ok()
        });
        dose::told(&format!("map {map}: the engine went on: {stopped}"));
        all_is_well(&mut session, &shown);
    }
    assert_eq!(session.end(), 0);
}

#[test]
fn exactly_the_items_that_panic_are_errors() {
    let mut session = Session::start();
    session.cells(&["%pool start -n 4"]);
    let shown = session.cell(
        "let got = %map --on-error collect |x: u64| { assert!(x % 10 != 3, \"not {x}\"); x + 1 } over 0..10_000u64",
    );
    lacks(&shown, &["error"]);
    contains(&shown, &["items failed", "wall"]);
    contains(
        &session.cell("got.iter().filter(|one| one.is_err()).count()"),
        &["1000"],
    );
    let exact = "got.iter().zip(0u64..).all(|(one, x)| match one {\n    \
                 Ok(y) => x % 10 != 3 && *y == x + 1,\n    \
                 Err(error) => x % 10 == 3 && error.to_string().contains(&format!(\"not {x}\")),\n})";
    contains(&session.cell(exact), &["true"]);
    contains(&session.cell("%type got"), &["Vec<Result<u64, ItemError>>"]);

    // The line is the one in the user's cell.
    session.cells(&[
        "fn picky(x: u64) -> u64 {\n    let y = x + 1;\n    assert!(x != 2, \"two is wrong\");\n    y\n}",
        "let some = %map --on-error collect picky over 0..4u64",
    ]);
    let shown = session.cell("some[2].as_ref().unwrap_err().to_string()");
    contains(&shown, &["two is wrong"]);
    assert!(
        shown.contains("line 3") || shown.contains(":3"),
        "no line in: {shown}"
    );
    contains(
        &session.cell("some.into_iter().filter_map(Result::ok).collect::<Vec<_>>()"),
        &["[1, 2, 4]"],
    );
    assert_eq!(session.end(), 0);
}

#[test]
fn an_item_that_crashes_its_engines_is_given_up_by_name() {
    let mut session = Session::start();
    session.cells(&[
        "%pool start -n 4",
        "fn deep(n: u64) -> u64 { 1 + deep(std::hint::black_box(n + 1)) }",
        "let kept = 6;",
    ]);
    for (crash, cause) in [
        ("unsafe { (8 as *mut u8).write_volatile(1) }", "SIGSEGV"),
        ("std::process::abort()", "SIGABRT"),
        ("{ deep(0); }", "SIGABRT"),
        ("std::process::exit(3)", "exit status 3"),
    ] {
        let function = format!("|x: u64| {{ if x == 77 {{ {crash} }}; x * 2 }}");
        let began = Instant::now();
        let shown = session.cell(&format!(
            "let got = %map --on-error collect {function} over 0..200u64"
        ));
        // An overflowed stack is told as a "fatal runtime error".
        assert!(
            !shown.lines().any(|line| line.starts_with("error")),
            "{shown}"
        );
        contains(&shown, &["items failed"]);
        let wrong = "got.iter().zip(0u64..).filter(|(one, x)| !matches!(one, Ok(y) if *y == x * 2))\
                     .map(|(_, x)| x).collect::<Vec<_>>()";
        contains(&session.cell(wrong), &["[77]"]);
        let told = session.cell("got[77].as_ref().unwrap_err().to_string()");
        contains(&told, &["77", cause]);

        let shown = session.cell(&format!("let got = %map {function} over 0..200u64"));
        contains(&shown, &["error", "item 77", cause]);
        dose::told(&format!("{crash}: {:?}", began.elapsed()));
        contains(
            &session.cell("%px engine::size()"),
            &["│    0-3 │      4 │"],
        );
        contains(&session.cell("kept"), &["6"]);
    }
    contains(
        &session.cell("%map |x: u64| x + 1 over 0..3u64"),
        &["[1, 2, 3]"],
    );
    assert_eq!(session.end(), 0);
}
