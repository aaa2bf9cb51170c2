//! Maps and `%px` in the background: the prompt is free meanwhile, results wait to be taken, cancelling stops.

mod support;

use std::thread;
use std::time::{Duration, Instant};

use support::{PATIENCE, SECOND, Session, contains, lacks, table};

const SLOW: &str =
    "fn slow(x: u64) -> u64 { std::thread::sleep(std::time::Duration::from_millis(50)); x * 2 }";

/// The row of a job in `%jobs`: job, what, state, items, rate, elapsed, pool, memory.
#[track_caller]
fn row(session: &mut Session, job: u32) -> Vec<String> {
    let shown = session.cell("%jobs");
    let mut rows = table::rows(&shown).into_iter();
    rows.find(|row| row[0] == job.to_string())
        .unwrap_or_else(|| panic!("no job {job}: {shown}"))
}

/// The number of the job that a cell began.
#[track_caller]
fn begun(shown: &str) -> u32 {
    let number = shown
        .split_once("job ")
        .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no job in: {shown}"))
}

/// Begins 5 s of work on two engines and gives its number.
#[track_caller]
fn begin(session: &mut Session) -> u32 {
    let shown = session.cell("%map -a slow over 0..200u64");
    contains(&shown, &["runs in the background", "%jobs", "%result"]);
    lacks(&shown, &["error"]);
    begun(&shown)
}

#[test]
fn maps_in_the_background() {
    let mut session = Session::start();
    session.cells(&["%pool start -n 2", SLOW, "let mine = 20;"]);
    contains(&session.cell("%jobs"), &["no jobs"]);
    contains(&session.cell("%result"), &["error", "%map -a"]);

    // The prompt is free while the engines work.
    let job = begin(&mut session);
    contains(&session.cell("mine + 1"), &["21"]);
    let running = row(&mut session, job);
    assert_eq!(running[1], "slow");
    assert_eq!(running[2], "running", "{running:?}");
    assert!(running[3].ends_with("/200"), "{running:?}");
    assert_eq!(running[6], "p0");
    contains(
        &session.cell(&format!("%wait {job} --timeout 0.1")),
        &["error", "not done", "of 200 items", "%cancel"],
    );
    assert_eq!(row(&mut session, job)[2], "running");
    // A map in the foreground beside it.
    contains(
        &session.cell("%map |x: u64| x + 1 over 0..3u64"),
        &["[1, 2, 3]"],
    );
    lacks(&session.cell(&format!("%wait {job}")), &["error"]);
    let done = row(&mut session, job);
    assert_eq!((&*done[2], &*done[3]), ("done", "200/200"), "{done:?}");
    assert!(done[4].ends_with("/s"), "no rate: {done:?}");
    assert!(!done[7].is_empty(), "its results have no size: {done:?}");
    // Waiting for what is over.
    lacks(&session.cell("%wait"), &["error"]);
    lacks(&session.cell(&format!("let r = %result {job}")), &["error"]);
    contains(
        &session.cell("r == (0..200u64).map(|x| 2 * x).collect::<Vec<_>>()"),
        &["true"],
    );
    contains(&session.cell("%type r"), &["Vec<u64>"]);
    // The job keeps them until it is dropped.
    contains(&session.cell(&format!("%result {job}")), &["0,   2,   4"]);
    session.cells(&["let again = %result", &format!("%jobs --drop {job}")]);
    contains(&session.cell("again == r"), &["true"]);
    contains(&session.cell("%jobs"), &["no jobs"]);
    contains(
        &session.cell(&format!("%result {job}")),
        &["error", &format!("no job {job}")],
    );

    // Its end is told above the prompt, and what is being typed stays.
    let shown = session.cell("%map -a slow over 0..60u64");
    let job = begun(&shown);
    session.type_keys("mine + ");
    session.echoes(&format!("job {job}"), PATIENCE);
    session.type_keys("2\r");
    contains(&session.prompt(PATIENCE), &["22"]);

    // What happens while the prompt waits is shown as it happens.
    session.cell(
        "std::thread::spawn(|| { std::thread::sleep(std::time::Duration::from_millis(700)); println!(\"land in sight\") });",
    );
    session.echoes("land in sight", PATIENCE);
    contains(&session.cell("mine + 3"), &["23"]);

    // `%result` waits by itself.
    contains(
        &session.cell(&format!("%result {job}")),
        &["  0,   2,   4,   6, "],
    );
    let job = begin(&mut session);
    contains(&session.cell("%result"), &["  0,   2,   4,   6, "]);
    assert_eq!(row(&mut session, job)[2], "done");
    contains(&session.cell("%jobs --drop all"), &["dropped"]);

    // Dropping.
    let job = begun(&session.cell("%map -a slow over 0..4u64"));
    lacks(&session.cell("%wait"), &["error"]);
    contains(
        &session.cell(&format!("%jobs --drop {job}")),
        &["dropped the results of 1 job"],
    );
    contains(&session.cell("%jobs"), &["no jobs"]);
    session.cells(&["%map -a slow over 0..4u64", "%map -a slow over 0..4u64"]);
    lacks(&session.cell("%wait"), &["error"]);
    contains(&session.cell("%jobs --drop all"), &["dropped", "2 jobs"]);
    let job = begin(&mut session);
    contains(
        &session.cell(&format!("%jobs --drop {job}")),
        &["error", "runs", "%cancel"],
    );
    lacks(&session.cell("%cancel"), &["error"]);
    lacks(&session.cell("%who"), &["regatta_job"]);
    assert_eq!(session.end(), 0);
}

#[test]
fn cancelling_keeps_what_is_done() {
    let mut session = Session::start();
    session.cells(&[
        "%pool start -n 2",
        SLOW,
        "fn endless(x: u64) -> u64 { loop { std::hint::black_box(x); } }",
        "%px let there = 7;",
    ]);
    contains(&session.cell("%cancel"), &["error", "no job"]);
    let job = begin(&mut session);
    thread::sleep(Duration::from_millis(1500));
    let began = Instant::now();
    let shown = session.cell(&format!("%cancel {job}"));
    assert!(began.elapsed() < SECOND, "{:?}: {shown}", began.elapsed());
    contains(&shown, &["cancelled", "of 200 items", "%result"]);
    lacks(&shown, &["was cancelled"]);
    assert_eq!(row(&mut session, job)[2], "cancelled");
    // Nobody had to be killed for it.
    contains(&session.cell("%px there"), &["│    0,1 │      7 │"]);
    contains(
        &session.cell(&format!("let pairs = %result {job}")),
        &["was cancelled", "index"],
    );
    contains(&session.cell("%type pairs"), &["Vec<(u64, u64)>"]);
    contains(
        &session.cell("(1..200).contains(&pairs.len()) && pairs.iter().all(|(i, y)| *y == 2 * i)"),
        &["true"],
    );

    // Engines that do not stop by themselves are replaced, and what they had is named.
    let shown = session.cell("%map -a endless over 0..10u64");
    let job = begun(&shown);
    thread::sleep(Duration::from_millis(300));
    let began = Instant::now();
    let shown = session.cell("%cancel");
    assert!(began.elapsed() < SECOND, "{:?}: {shown}", began.elapsed());
    contains(
        &shown,
        &[&format!("job {job} is cancelled: 0 of 10 items done")],
    );
    // Once, and without the offer of results that are not there.
    lacks(&shown, &["was cancelled", "%result"]);
    let after = session.cell("%px engine::size()");
    contains(&after, &["│    0,1 │      2 │"]);
    contains(&(shown + &after), &["lost there: there"]);
    contains(
        &session.cell(&format!("%cancel {job}")),
        &["error", "is over"],
    );
    contains(&session.cell("%jobs --drop all"), &["dropped"]);
    // Of one whose engines are started anew or stopped it is told.
    for end in ["%pool restart", "%pool stop"] {
        session.cells(&[
            "let job = %map -a |x: u64| -> u64 { loop { std::hint::black_box(x); } } over 0..4u64",
        ]);
        lacks(&session.cell(end), &["error"]);
        let shown = session.cell("job.get()");
        contains(&shown, &["Err(", "its engines were stopped"]);
    }
    assert_eq!(session.end(), 0);
}

#[test]
fn jobs_in_code() {
    let mut session = Session::start();
    session.cells(&[
        "%pool start -n 2",
        SLOW,
        "use std::time::Duration;",
        "let v: Vec<u64> = (0..400).collect();",
    ]);
    // Inputs that borrow from a variable.
    let shown = session.cell("let j = %map -a slow over v.iter().copied()");
    contains(&shown, &["runs in the background"]);
    lacks(&shown, &["error"]);
    contains(&session.cell("%type j"), &["Job<u64>"]);
    contains(
        &session.cell("(j.ready(), j.speedup().is_none(), j.wait(Duration::from_millis(1)))"),
        &["(false, true, false)"],
    );
    contains(
        &session.cell("let (done, total) = j.progress(); done < 400 && total == Some(400)"),
        &["true"],
    );
    contains(&session.cell("j"), &["running", "of 400 items"]);
    contains(&session.cell("v.len()"), &["400"]);
    contains(
        &session.cell("j.get().unwrap() == v.iter().map(|x| 2 * x).collect::<Vec<_>>()"),
        &["true"],
    );
    contains(
        &session.cell(
            "(j.ready(), j.speedup().unwrap() > 1.1, j.elapsed() > Duration::from_secs(4), j.serial_time() > j.wall_time())",
        ),
        &["(true, true, true, true)"],
    );
    contains(&session.cell("j.get().is_ok()"), &["true"]);

    session.cells(&[
        "let all = [0u64, 100, 200].map(|from| pool::pool(\"p0\").start(from..from + 5, slow));",
    ]);
    contains(
        &session.cell("pool::join(&all).unwrap().iter().map(|one| one[4]).collect::<Vec<_>>()"),
        &["[8, 208, 408]"],
    );
    session.cells(&[
        "let long = pool::pool(\"p0\").start(0..200u64, slow);",
        "let short = pool::pool(\"p0\").start(0..2u64, slow);",
    ]);
    contains(
        &session.cell("pool::first_done(&[long.clone(), short.clone()])"),
        &["Some(1)"],
    );
    session.cells(&["long.cancel();"]);
    contains(
        &session.cell("(long.wait(Duration::from_secs(3)), long.get().is_err())"),
        &["(true, true)"],
    );
    contains(
        &session.cell(
            "let part = long.partial(); part.len() < 200 && part.iter().all(|(i, y)| *y == 2 * i)",
        ),
        &["true"],
    );
    session.cells(&["let j = pool::pool(\"p0\").start(0..20u64, slow);"]);
    // A look at them takes none away.
    session.cells(&["j.arriving().next().unwrap(); j.partial();"]);
    contains(
        &session.cell("j.get() == Ok((0..20).map(|x| 2 * x).collect()) && j.get() == j.get()"),
        &["true"],
    );
    contains(
        &session.cell("let mut got: Vec<(u64, u64)> = j.arriving().collect(); got.sort(); got == (0..20).map(|x| (x, 2 * x)).collect::<Vec<_>>()"),
        &["true"],
    );
    session.cells(&[
        "fn picky(x: u64) -> u64 { assert!(x != 3, \"three is wrong\"); x }",
        "let bad = pool::pool(\"p0\").start(0..5u64, picky);",
    ]);
    contains(&session.cell("bad.get().unwrap_err()"), &["three is wrong"]);
    contains(
        &session.cell("pool::first_error(&[short, bad])"),
        &["Some(1)"],
    );
    code_begins_jobs(&mut session);
    // What the guide shows.
    let (_, code) = include_str!("../guide/maps.md")
        .split_once("<!-- code -->\n```rust\n")
        .expect("code");
    let (code, _) = code.split_once("```").expect("its end");
    lacks(&session.cell(code), &["error:", "error["]);
    contains(
        &session.cell("(ys[99], sum, each.len(), first.is_some(), early.len() <= 100, rank.is_some(), all.unwrap()[1][8], one)"),
        &["(9801, Some(328350), 100, true, true, true, 64, Ok(49))"],
    );
    // They are no variables of a session that ends well.
    assert_eq!(session.end(), 0);
}

/// Jobs that code began are jobs as any other, as long as code has them.
fn code_begins_jobs(session: &mut Session) {
    session.cells(&[
        "drop((long, j));",
        "%jobs --drop all",
        "let several: Vec<_> = (0..2u64).map(|n| pool::pool(\"p0\").start(n..n + 3, slow)).collect();",
        "let single = pool::pool(\"p0\").start(0..400u64, slow);",
    ]);
    let shown = session.cell("single.number()");
    let (_, number) = shown.split_once("]: ").expect("a number");
    let job: u32 = number.trim().parse().expect("a number");
    assert_eq!(row(session, job)[2], "running");
    assert_eq!(row(session, job - 2)[1], "pool::map");
    lacks(&session.cell(&format!("%wait {}", job - 1)), &["error"]);
    lacks(
        &session.cell(&format!("let second = %result {}", job - 1)),
        &["error"],
    );
    contains(&session.cell("second"), &["[2, 4, 6]"]);
    contains(
        &session.cell(&format!("%cancel {job}")),
        &["is cancelled", "of 400"],
    );
    contains(
        &session.cell(&format!("%result {job}")),
        &["was cancelled", "(0, 0), (1, 2)"],
    );
    // What nobody has is no job any more.
    session.cells(&["drop(several);"]);
    contains(
        &session.cell(&format!("%result {}", job - 1)),
        &["error", "no job"],
    );
    assert_eq!(row(session, job)[2], "cancelled");
    session.cells(&["drop(single);"]);
    contains(&session.cell("%jobs"), &["no jobs"]);
    // Nor what died with the local engine.
    session.cells(&["let lost = %map -a slow over 0..3u64", "lost.get().is_ok()"]);
    contains(&session.cell("std::process::abort()"), &["lost: "]);
    contains(&session.cell("%jobs"), &["no jobs"]);
    // Nor is there a result to promise.
    session.cell("drop(pool::pool(\"p0\").start(0..2u64, slow)); std::thread::sleep(std::time::Duration::from_millis(400));");
    contains(&session.cell("%jobs"), &["no jobs"]);
}

#[test]
fn px_in_the_background() {
    let mut session = Session::start();
    session.cells(&["%pool start -n 2", "%px let there = 7;", SLOW]);
    let sleep = "std::thread::sleep(std::time::Duration::from_secs(2))";
    let shown = session.cell(&format!("%px -a {sleep}; engine::rank() * 10"));
    let job = begun(&shown);
    contains(&session.cell("1 + 1"), &["2"]);
    let running = row(&mut session, job);
    contains(&running[1], &["px"]);
    assert_eq!((&*running[2], &*running[3]), ("running", "0/2"));
    lacks(&session.cell(&format!("%wait {job}")), &["error"]);
    let done = row(&mut session, job);
    assert_eq!((&*done[2], &*done[3]), ("done", "2/2"));
    contains(
        &session.cell(&format!("%result {job}")),
        &["│      1 │     10 │"],
    );
    contains(&session.cell("%jobs"), &["no jobs"]);

    // What does not stop by itself is killed and replaced.
    let job = begun(&session.cell("%px -a loop { std::hint::black_box(1); }"));
    let began = Instant::now();
    let shown = session.cell(&format!("%cancel {job}"));
    assert!(began.elapsed() < SECOND, "{:?}: {shown}", began.elapsed());
    lacks(&shown, &["error"]);
    contains(
        &session.cell("%px engine::size()"),
        &["│    0,1 │      2 │"],
    );
    assert_eq!(session.end(), 0);
}

#[test]
fn results_of_finished_maps_outlive_engines() {
    let mut session = Session::start();
    session.cells(&["%pool start -n 2", "%map -a |x: u64| x * 3 over 0..10u64"]);
    while !row(&mut session, 1)[2].contains("done") {
        thread::sleep(Duration::from_millis(20));
    }
    contains(&session.cell("%pool resize 1"), &["1 process engine"]);
    session.cell("let taken = %result");
    contains(&session.cell("taken.iter().sum::<u64>()"), &["135"]);
}
