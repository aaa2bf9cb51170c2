//! `%px` and maps on thread pools, and pools of all kinds beside each other.

mod support;

use std::thread;
use std::time::{Duration, Instant};

use support::table::{results, rows};
use support::{PATIENCE, SECOND, Session, contains, lacks};

#[test]
fn cells_on_threads_borrow() {
    let mut session = Session::start();
    session.cells(&[
        "%pool start threads -n 3",
        "let base = vec![10u64, 20, 30];",
    ]);
    results(
        &mut session,
        "%px base[engine::rank() as usize] + 1",
        &[("0", "11"), ("1", "21"), ("2", "31")],
    );
    results(&mut session, "%px engine::size()", &[("0-2", "3")]);
    results(
        &mut session,
        "%px -t 1: base.len() as u32 * engine::rank()",
        &[("1", "3"), ("2", "6")],
    );
    contains(&session.cell("base"), &["[10, 20, 30]"]);
    let shown = session.cell("%px assert!(engine::rank() != 2, \"not two\"); engine::rank()");
    contains(&shown, &["engine 2", "not two"]);
    assert_eq!(rows(&shown), [["0", "0"], ["1", "1"]], "{shown}");
    let shown = session.cell("%px println!(\"from {}\", engine::rank())");
    contains(&shown, &["from 0", "from 1", "from 2"]);
    contains(&session.cell("base.iter().sum::<u64>()"), &["60"]);

    // What threads must not share is told by name and once, and what can be in its place.
    session.cells(&[
        "use std::{cell::Cell, rc::Rc};",
        "let rc = Rc::new(5u64);",
        "let cell = Cell::new(3u64);",
    ]);
    for (cell, says, instead) in [
        (
            "pool::map(0..4u64, |x| x + *rc)",
            "`rc` of type `Rc<u64>` cannot be shared",
            "`std::sync::Arc`",
        ),
        (
            "%map |x: u64| x + *rc over 0..4",
            "`rc` of type `Rc<u64>` cannot be shared",
            "`std::sync::Arc`",
        ),
        (
            "%map |x: u64| x + cell.get() over 0..4",
            "`cell` of type `Cell<u64>` cannot be shared",
            "a `Mutex`",
        ),
        (
            "%map |x: u64| Rc::new(x) over 0..4",
            "`Rc<u64>` cannot be sent",
            "`std::sync::Arc`",
        ),
        (
            "pool::map(vec![Rc::new(1u64)], |x| *x)",
            "`Rc<u64>` cannot be sent",
            "`std::sync::Arc`",
        ),
        (
            "let all = pool::map(0.., |x: u64| x);",
            "the inputs never end",
            "`pool::map_iter`",
        ),
    ] {
        let shown = session.cell(cell);
        contains(&shown, &["In [", says]);
        contains(&shown, &[instead]);
        lacks(&shown, &["lib.rs", "travel"]);
        assert_eq!(shown.matches("error").count(), 1, "{shown}");
    }
    contains(&session.cell("*rc + cell.get()"), &["8"]);

    // Pools beside each other.
    for wrong in [
        "%pool use p9",
        "%pool stop p9",
        "%pool start -n 0",
        "%pool start -n -2",
        "%pool start -n 1000000",
        "%pool start --name t0",
        "%pool resize 0",
        "%pool start two",
    ] {
        contains(&session.cell(wrong), &["error"]);
    }
    contains(
        &session.cell("%pool start --name crew -n 1"),
        &["crew", "1 process engine"],
    );
    contains(&session.cell("%pool list"), &["crew", "t0", "idle", "pid"]);
    results(&mut session, "%px engine::size()", &[("0", "1")]);
    session.cells(&["%pool use t0"]);
    results(&mut session, "%px engine::size()", &[("0-2", "3")]);
    session.cells(&["%pool stop --all"]);
    contains(&session.cell("%px 1"), &["error", "no pool is started"]);
    session.enter("%quit");
    assert!(session.ended(PATIENCE).is_some());
}

const NAP: &str =
    "fn nap(ms: u64) -> u64 { std::thread::sleep(std::time::Duration::from_millis(ms)); ms }";

/// Tables, timelines and items as of any map; what is borrowed stays the session's.
#[test]
fn maps_are_jobs_like_others() {
    let mut session = Session::start();
    session.cells(&[
        "%pool start threads -n 2",
        NAP,
        "let words = vec![String::from(\"ab\"), String::from(\"c\")];",
    ]);
    contains(&session.cell("%timeline"), &["error", "no map has run yet"]);
    let shown = session.cell("%map nap over vec![30u64; 6]");
    contains(
        &shown,
        &["6 items in 6 chunks on t0 (2 threads)", "speedup"],
    );
    let shown = session.cell("%timeline");
    contains(&shown, &["job 1", "6 chunks on 2 engines", "0 │", "1 │"]);
    lacks(&shown, &["error"]);

    let shown = session.cell("%map --items |w: &String| { nap(5); w.len() } over words.iter()");
    contains(&shown, &["│ item │ input │ result │", "[2, 1]"]);
    let rows = rows(&shown);
    for (row, (word, length)) in rows.iter().zip([("\"ab\"", "2"), ("\"c\"", "1")]) {
        assert_eq!((&*row[1], &*row[2]), (word, length), "{shown}");
        assert!(row[5].ends_with("ms"), "its time is told: {shown}");
    }
    contains(&session.cell("words.len()"), &["2"]);

    // While it runs, each thread is looked at; an item's panic is an item's error.
    session.enter(
        "%map --on-error collect |x: u64| { nap(x); assert!(x != 1, \"not one\"); x } over [0, 1, 2500, 2600]",
    );
    session.taken(PATIENCE);
    session.shows("busy     │    2 │", PATIENCE);
    let shown = session.prompt(PATIENCE);
    contains(
        &shown,
        &[
            "Ok(0)",
            "Panicked { item: 1, message: \"not one\"",
            "Ok(2600)",
            "1 of 4 items failed",
        ],
    );
    assert_eq!(session.end(), 0);
}

/// Ctrl-C lets the items that run come to their end, and nothing is lost by it.
#[test]
fn items_are_stopped_between_two_of_them() {
    let mut session = Session::start();
    session.cells(&["%pool start threads -n 2", NAP, "let kept = 7;"]);
    session.enter("let some = %map --on-error collect nap over vec![200u64; 1000]");
    session.taken(PATIENCE);
    session.shows("busy", PATIENCE);
    let since = Instant::now();
    contains(&session.interrupt(), &["what was done is kept"]);
    assert!(since.elapsed() < SECOND, "{:?}", since.elapsed());
    session.cells(&["let done = some.iter().filter(|one| one.is_ok()).count();"]);
    contains(
        &session.cell("(some.len(), some[0].is_ok(), some[999].is_err(), done > 1 && done < 500)"),
        &["(1000, true, true, true)"],
    );
    session.enter("%map nap over vec![200u64; 1000]");
    session.taken(PATIENCE);
    session.shows("busy", PATIENCE);
    let shown = session.interrupt();
    contains(
        &shown,
        &["the map was interrupted", "of 1000 items were done"],
    );
    lacks(&shown, &["restarted"]);
    contains(&session.cell("kept"), &["7"]);

    // Those under way come to their end, however long that takes.
    session.enter("%map nap over [5_000u64, 5_000, 1, 1]");
    session.taken(PATIENCE);
    session.shows("busy", PATIENCE);
    session.press_interrupt();
    session.shows("waiting for 2 items under way", PATIENCE);
    let shown = session.prompt(PATIENCE);
    contains(
        &shown,
        &["the map was interrupted", "2 of 4 items were done"],
    );
    lacks(&shown, &["restarted"]);
    contains(&session.cell("kept"), &["7"]);

    // A cell that goes on without the map is ended as any other; another Ctrl-C ends the items by force.
    session.enter(
        "let _ = pool::pool(\"t0\").try_map([4_000u64, 4_000, 1], nap); println!(\"on\"); nap(60_000);",
    );
    session.taken(PATIENCE);
    session.shows("busy", PATIENCE);
    session.press_interrupt();
    session.shows("waiting for 2 items", PATIENCE);
    session.shows("on", PATIENCE);
    contains(
        &session.prompt(4 * SECOND),
        &["the local engine was restarted", "`kept`"],
    );
    session.cells(&["let kept = 8;"]);
    session.enter("%map nap over [60_000u64, 60_000]");
    session.taken(PATIENCE);
    session.shows("busy", PATIENCE);
    session.press_interrupt();
    session.shows(
        "Ctrl-C again ends the local engine and loses its variables",
        PATIENCE,
    );
    let since = Instant::now();
    contains(
        &session.interrupt(),
        &["the local engine was restarted", "`kept`"],
    );
    assert!(since.elapsed() < 2 * SECOND, "{:?}", since.elapsed());
    contains(&session.cell("%map nap over [1u64, 2]"), &["[1, 2]"]);
    assert_eq!(session.end(), 0);
}

#[test]
fn maps_go_on_in_the_background() {
    let mut session = Session::start();
    session.cells(&[
        "%pool start threads -n 2",
        NAP,
        "let k = 10u64;",
        "#[derive(Debug)] struct Plain(u64);",
        "let plain = Plain(1);",
    ]);
    // What it captures is a copy, also of what is gone meanwhile.
    let shown = session.cell("%map -a |x: u64| nap(50) * x + k over 0..40u64");
    contains(&shown, &["40 items", "job 1 runs in the background"]);
    session.cells(&["drop(k);", "let k = 1u64;"]);
    contains(
        &session.cell("%map |x: u64| x + k over 0..3u64"),
        &["[1, 2, 3]"],
    );
    lacks(&session.cell("let r = %result 1"), &["error"]);
    contains(
        &session.cell("r == (0..40).map(|x| 50 * x + 10).collect::<Vec<u64>>()"),
        &["true"],
    );
    let shown = session.cell("%timeline 1");
    contains(&shown, &["job 1", "chunks on 2 engines"]);

    // What its items show is no value of the cell under way.
    session.cells(&["%map -a |x: u64| { nap(30); x.evcxr_display(); } over 0..200u64"]);
    let shown = session.cell("%px nap(300);");
    contains(&shown, &["[stdout:0] ", "[stdout:1] "]);
    lacks(&shown, &["result", "Out["]);
    session.cells(&["%cancel"]);

    // Cancelled between two items: what is done stays, and so does everything else.
    let shown = session.cell("%map -a |x: u64| nap(100) + x over 0..1000u64");
    contains(&shown, &["job 4"]);
    thread::sleep(Duration::from_millis(700));
    let jobs = session.cell("%jobs");
    contains(&jobs, &["running", "/1000", "t0"]);
    lacks(&jobs, &[" 0/1000"]);
    let since = Instant::now();
    let shown = session.cell("%cancel 4");
    contains(
        &shown,
        &["job 4 is cancelled", "of 1000 items", "%result 4"],
    );
    assert!(since.elapsed() < SECOND, "{:?}", since.elapsed());
    contains(
        &session.cell("let pairs = %result 4"),
        &["was cancelled", "index"],
    );
    contains(
        &session.cell(
            "pairs.iter().all(|(i, x)| *x == 100 + i) && pairs.len() > 1 && pairs.len() < 900",
        ),
        &["true"],
    );
    // An item that does not end costs nobody his variables.
    session.cells(&["let job = %submit nap(8_000) + k"]);
    contains(
        &session.cell("%cancel"),
        &["error", "not done within 5", "`%reset`"],
    );
    contains(&session.cell("k"), &["1"]);
    contains(&session.cell("job.get()"), &["Ok([8001])"]);

    // One result or one error of each item, and each look gives them anew.
    session.cells(&[
        "let tried = %map -a --on-error collect |x: u64| { assert!(x != 3, \"not three\"); x } over 0..5u64",
    ]);
    let shown = session.cell("%result");
    contains(
        &shown,
        &[
            "Ok(2)",
            "Panicked { item: 3, message: \"not three\"",
            "Ok(4)",
        ],
    );
    contains(
        &session.cell("tried.get().unwrap().len() + tried.get().unwrap().len()"),
        &["10"],
    );
    session.cells(&[
        "let broken = %map -a |x: u64| { assert!(x != 3, \"not three\"); x } over 0..5u64",
    ]);
    contains(&session.cell("broken.get()"), &["Err(", "not three"]);
    contains(
        &session.cell("%wait"),
        &["has failed", "item 3 panicked", "not three"],
    );

    // From code, where serde makes the copies; results come as they are done.
    contains(
        &session.cell(
            "let code = pool::pool(\"t0\").start(0..5u64, |x| x * x);\n\
             let sum = pool::pool(\"t0\").start_with(&k, 0..3u64, |k, x| x + k);\n\
             (code.get(), sum.get(), pool::submit(|| 5).result(), pool::submit_with(&k, |k| k + 5).result())",
        ),
        &["(Ok([0, 1, 4, 9, 16]), Ok([1, 2, 3]), Ok(5), Ok(6))"],
    );
    contains(
        &session.cell("pool::pool(\"t0\").start([2000u64, 0, 0, 0], nap).arriving().last()"),
        &["Some((0, 2000))"],
    );
    refused_in_the_background(&mut session);

    // A job ends with its pool, and a session with jobs ends at once.
    session.cells(&["let long = %map -a |x: u64| nap(100) + x over 0..1000u64"]);
    contains(
        &session.cell("%env A=1"),
        &["error", "may read the environment"],
    );
    session.cells(&["%pool stop t0"]);
    contains(&session.cell("%wait"), &["was cancelled"]);
    contains(&session.cell("long.partial().len() < 500"), &["true"]);
    session.cells(&["%env A=1", "%pool start threads -n 2"]);
    // And with the engine that it runs in.
    session.cells(&[
        "let gone = %map -a |x: u64| { if x == 2 { nap(1_000); std::process::exit(3) } nap(x) } over 0..4u64",
    ]);
    contains(&session.cell("%wait"), &["has failed", "3 of 4"]);
    contains(&session.cell("%jobs"), &["failed"]);
    session.cells(&["%map -a nap over [60_000u64, 60_000]"]);
    // Whoever leaves is asked first.
    session.enter("%quit");
    session.shows("a job still runs", PATIENCE);
    session.type_keys("\r");
    session.prompt(PATIENCE);
    contains(&session.cell("%jobs"), &["running"]);
    session.type_keys("\x04");
    session.shows("a job still runs", PATIENCE);
    let since = Instant::now();
    session.type_keys("y\r");
    assert!(session.ended(PATIENCE).is_some());
    assert!(since.elapsed() < 5 * SECOND, "{:?}", since.elapsed());
}

fn refused_in_the_background(session: &mut Session) {
    for code in [
        "%map -a |x: u64| x + plain.0 over 0..3u64",
        "%map -a |x: u64| Plain(x) over 0..3u64",
    ] {
        let shown = session.cell(code);
        let why = "`Plain` cannot be copied for a job in the background";
        contains(&shown, &[why, "derive `Clone`"]);
        lacks(&shown, &["regatta_cell", "other processes"]);
    }
    contains(
        &session.cell("pool::map(0..2u64, |x| pool::submit(|| 1u64).number() as u64 + x)"),
        &["cannot go on in the background"],
    );
    contains(
        &session.cell("pool::pool(\"t0\").retries(1).map(0..2u64, |x| x)"),
        &[
            "`retries` does not work on a thread pool",
            "a process pool can do it",
        ],
    );
    // A plan takes nothing away.
    session.cells(&["let list = vec![1u64, 2]", "%map --plan |x| x over list"]);
    contains(&session.cell("list"), &["[1, 2]"]);
    contains(&session.cell("plain"), &["Plain(1)"]);
}
