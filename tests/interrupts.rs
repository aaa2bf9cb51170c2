//! Ctrl-C at random moments of a map, a `%px`, a cell that runs here and one that compiles: the prompt comes
//! back within a second, and the next cell is right.
//!
//! Chances are logged (`REGATTA_SEED`). `REGATTA_DOSE=full` gives a hundred of them.

mod support;

use std::thread;
use std::time::Duration;

use support::{PATIENCE, Session, contains, dose, lacks};

/// Before, Ctrl-C is a key that the line editor may still read.
const EARLIEST: Duration = Duration::from_millis(20);
/// So late that compiling and running are both met.
const LATEST: Duration = Duration::from_millis(1500);

#[test]
fn the_prompt_is_back_within_a_second() {
    let mut random = dose::random();
    let mut session = Session::start();
    session.cells(&[
        "fn twice(x: i64) -> i64 { 2 * x }",
        "fn long(x: u64) -> u64 { std::thread::sleep(std::time::Duration::from_secs(60)); x }",
        "fn busy(x: u64) -> u64 { loop { std::hint::black_box(x); } }",
        "fn short(x: u64) -> u64 { std::thread::sleep(std::time::Duration::from_millis(2)); x }",
        "%pool start -n 2",
    ]);
    for round in 0..dose::of(8, 100) {
        // Every round compiles anew.
        let code = match random.u8(0..8) {
            0 => format!("%map long over {round}..{round} + 10u64"),
            1 => format!("%map busy over {round}..{round} + 10u64"),
            2 => format!("%map short over {round}..{round} + 1_000_000u64"),
            3 => format!("%px long({round})"),
            4 => format!("%px busy({round})"),
            5 => format!("long({round})"),
            6 => format!("busy({round})"),
            _ => format!(
                "#[allow(long_running_const_eval)]\nconst LONG: u64 = {{ let mut i = {round}; while i < 1 << 40 {{ i += 1 }} i }};\nLONG"
            ),
        };
        let after = EARLIEST + LATEST.mul_f64(random.f64());
        dose::told(&format!("round {round}: {after:?} into {code}"));
        session.enter(&code);
        session.taken(PATIENCE);
        thread::sleep(after);
        contains(&session.interrupt(), &["interrupted"]);
        // A function is no variable that an interrupted engine could take with it.
        let number = random.i64(0..1000);
        let next = session.cell(&format!("twice({number})"));
        contains(&next, &["Out[", &(2 * number).to_string()]);
        lacks(&next, &["error"]);
        if random.bool() {
            let next = session.cell("%map |x: u64| x + 1 over 0..3u64");
            contains(&next, &["[1, 2, 3]"]);
        } else {
            contains(
                &session.cell("%px engine::size()"),
                &["│    0,1 │      2 │"],
            );
        }
    }
    assert_eq!(session.end(), 0);
}

/// Ctrl-C is meant for what runs, not for a map that is over.
#[test]
fn a_loop_after_a_map_is_interrupted() {
    let mut session = Session::start();
    session.cells(&[
        "%pool start -n 2",
        "let kept = pool::map(0..4u64, |x: u64| x);",
    ]);
    session.enter(
        "println!(\"{:?}\", pool::map(0..4u64, |x: u64| x)); loop { std::hint::black_box(0); }",
    );
    session.shows("[0, 1, 2, 3]", PATIENCE);
    contains(&session.interrupt(), &["interrupted"]);
    contains(&session.cell("1 + 1"), &["Out[", "2"]);
    assert_eq!(session.end(), 0);
}

#[test]
fn a_map_that_collects_errors_keeps_what_is_done() {
    let mut session = Session::start();
    session.cells(&[
        "fn nap(x: u64) -> u64 { std::thread::sleep(std::time::Duration::from_secs(x)); x }",
        "%pool start -n 2",
    ]);
    session.enter("let some = %map --on-error collect nap over vec![0, 0, 60, 60, 60]");
    session.taken(PATIENCE);
    // The live table comes when it has run for a second.
    session.shows("busy", PATIENCE);
    contains(&session.interrupt(), &["what was done is kept"]);
    let some = session.cell("some");
    contains(&some, &["[Ok(0), Ok(0), Err(Cancelled { item: 2 }), "]);
    contains(&some, &["Err(Cancelled { item: 4 })]"]);
    lacks(&some, &["error"]);
    assert_eq!(session.end(), 0);
}

/// A map that has ended early ends nothing that its engines wait for later.
#[test]
fn what_waits_after_a_map_that_has_failed_waits() {
    let mut session = Session::start();
    session.cell("%pool start -n 2");
    let shown = session.cell("%map |x: u32| { assert!(x != 1); x } over 0..8");
    contains(&shown, &["item 1"]);
    let shown = session
        .cell("%px store::pop_wait::<u8>(\"nothing\", std::time::Duration::from_millis(300))");
    contains(&shown, &["│    0,1 │ None   │"]);
    let shown = session.cell("%px children::spawn(&[\"true\"]).wait() == children::Exit::Code(0)");
    contains(&shown, &["│    0,1 │ true   │"]);
    assert_eq!(session.end(), 0);
}

/// Nobody waits for the items of a map whose caller is gone.
#[test]
fn engines_of_a_map_are_free_again_when_its_caller_has_died() {
    let mut session = Session::start();
    session.cells(&[
        "fn busy(x: u64) -> u64 { loop { std::hint::black_box(x); } }",
        "fn short(x: u64) -> u64 { std::thread::sleep(std::time::Duration::from_millis(50)); x }",
        "%pool start -n 2",
    ]);
    for function in ["busy", "short"] {
        session.cell(&format!("%map -a {function} over 0..10u64"));
        contains(
            &session.cell("std::process::abort()"),
            &["the local engine died"],
        );
        contains(
            &session.cell("%px engine::size()"),
            &["│    0,1 │      2 │"],
        );
        session.cell(&format!("%map -a {function} over 0..10u64"));
        session.cell("std::process::abort()");
        let next = session.cell("%map |x: u64| x + 1 over 0..3u64");
        contains(&next, &["[1, 2, 3]"]);
        lacks(&next, &["died"]);
    }
    assert_eq!(session.end(), 0);
}
