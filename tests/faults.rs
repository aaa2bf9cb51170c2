//! What breaks while a session works: engines that are killed, cells that crash, Ctrl-C at any moment.

mod support;

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{PATIENCE, SECOND, Session, contains, dose, lacks};

/// The process id of an engine of the pool in use.
fn engine(session: &mut Session, rank: usize) -> i32 {
    let list = session.cell("%pool list");
    let rows = list.lines().filter(|line| line.starts_with('│'));
    let fields = rows.map(|line| line.split('│').map(str::trim).collect::<Vec<_>>());
    let mut pids = fields.filter(|row| row[1].ends_with('*') && row[2] == rank.to_string());
    pids.find_map(|row| row[3].parse().ok())
        .unwrap_or_else(|| panic!("no engine {rank}: {list}"))
}

fn kill_engine(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("a living engine");
}

/// Waits until the list of engines knows of the death.
fn listed_as_dead(session: &mut Session) {
    let until = Instant::now() + SECOND;
    let mut list = session.cell("%pool list");
    while !list.contains("dead") && Instant::now() < until {
        list = session.cell("%pool list");
    }
    contains(&list, &["dead", "SIGKILL"]);
}

#[test]
fn killed_engines_are_told_and_their_work_is_not_lost() {
    let mut session = Session::start();
    session.cells(&[
        "%pool start -n 3",
        "%px let a = engine::rank() * 10;",
        "let mine = 5;",
    ]);

    // Idle: told above the prompt.
    let pid = engine(&mut session, 1);
    kill_engine(pid);
    session.shows("starts it again", SECOND);
    contains(
        &session.shown(),
        &["engine 1 of p0 died: killed by SIGKILL; lost there: a;"],
    );
    listed_as_dead(&mut session);
    contains(&session.cell("mine"), &["5"]);
    // It comes back with the next cell that needs it, and what it had is named.
    let shown = session.cell("%px a");
    contains(
        &shown,
        &[
            "engine 1 of p0 was dead (killed by SIGKILL)",
            "lost there: a",
        ],
    );
    contains(&shown, &["│      0 │      0 │", "│      2 │     20 │"]);
    contains(
        &session.cell("%px engine::rank()"),
        &["│      1 │      1 │"],
    );

    // In a `%px`: the others' results stand.
    session.cells(&["%px let a = engine::rank() * 10;"]);
    let pid = engine(&mut session, 1);
    session
        .enter("%px println!(\"begun\"); std::thread::sleep(std::time::Duration::from_secs(5)); a");
    session.shows("[stdout:1] begun", PATIENCE);
    kill_engine(pid);
    contains(&session.shows("SIGKILL", SECOND), &["engine 1"]);
    let shown = session.prompt(PATIENCE);
    contains(
        &shown,
        &[
            "engine 1",
            "killed by SIGKILL",
            "│      0 │      0 │",
            "│      2 │     20 │",
        ],
    );
    contains(&session.cell("%px -t 0,2 a + 1"), &["│      2 │     21 │"]);

    // In a `%map`: every item has its result.
    session.cells(&["fn slow(x: u64) -> u64 { std::thread::sleep(std::time::Duration::from_millis(50)); x * x }"]);
    let pid = engine(&mut session, 2);
    session.enter("let squares = %map slow over 0..150u64");
    session.shows("150 items", PATIENCE);
    std::thread::sleep(Duration::from_millis(400));
    kill_engine(pid);
    let shown = session.prompt(PATIENCE);
    // It is replaced at once; what only it had is named.
    contains(
        &shown,
        &["engine 2 died (killed by SIGKILL)", "lost there: a", "wall"],
    );
    lacks(&shown, &["error"]);
    assert_ne!(engine(&mut session, 2), pid, "not replaced");
    lacks(&session.cell("%pool list"), &["dead"]);
    contains(
        &session.cell("squares == (0..150u64).map(|x| x * x).collect::<Vec<_>>()"),
        &["true"],
    );
    contains(&session.cell("mine"), &["5"]);
    // All of them.
    let pids: Vec<i32> = (0..3).map(|rank| engine(&mut session, rank)).collect();
    session.enter("let squares = %map slow over 0..60u64");
    session.shows("60 items", PATIENCE);
    std::thread::sleep(Duration::from_millis(200));
    pids.into_iter().for_each(kill_engine);
    let shown = session.prompt(PATIENCE);
    for rank in 0..3 {
        contains(
            &shown,
            &[&format!("engine {rank} died (killed by SIGKILL)")],
        );
    }
    lacks(&shown, &["error"]);
    contains(
        &session.cell("squares == (0..60u64).map(|x| x * x).collect::<Vec<_>>()"),
        &["true"],
    );
    contains(&session.cell("%map slow over 0..4u64"), &["[0, 1, 4, 9]"]);

    // A map in code brings dead ones back, by whatever name it is called.
    session.cells(&[
        "use pool as crew;",
        "fn tripled() -> Vec<u64> { crew::map(0..3u64, |x| x * 3) }",
        "%px let a = 1;",
    ]);
    for call in ["tripled()", "shell::map([\"echo 0\"]).len()"] {
        kill_engine(engine(&mut session, 1));
        listed_as_dead(&mut session);
        let shown = session.cell(call);
        let told = "engine 1 of p0 was dead (killed by SIGKILL) and started again";
        contains(&shown, &[told, "Out["]);
        lacks(&shown, &["error"]);
        assert_eq!(shown.contains("[0, 3, 6]"), call == "tripled()", "{shown}");
        assert_eq!(
            shown.contains("lost there: a"),
            call == "tripled()",
            "{shown}"
        );
        contains(
            &session.cell("%px engine::size()"),
            &["│    0-2 │      3 │"],
        );
    }
    assert_eq!(session.end(), 0);
}

#[test]
fn engines_killed_at_random_moments() {
    let mut random = dose::random();
    let mut session = Session::start();
    session.cells(&[
        "%pool start -n 3",
        "fn slow(x: u64) -> u64 { std::thread::sleep(std::time::Duration::from_millis(20)); x + 1 }",
        "let wanted: Vec<u64> = (1..=60).collect();",
    ]);
    for round in 0..8 {
        let rank = random.usize(0..3);
        let pid = engine(&mut session, rank);
        let map = random.bool();
        session.enter(if map {
            "let got = %map slow over 0..60u64"
        } else {
            "%px slow(engine::rank() as u64)"
        });
        std::thread::sleep(Duration::from_millis(random.u64(0..700)));
        kill_engine(pid);
        let shown = session.prompt(PATIENCE);
        if map {
            contains(&session.cell("got == wanted"), &["true"]);
            // Replaced, or dead where it was idle before the map or after it.
            if !shown.contains("was replaced") && !shown.contains("started again") {
                listed_as_dead(&mut session);
            }
        } else {
            for other in (0..3).filter(|other| *other != rank) {
                contains(&shown, &[&format!("│      {other} │      {} │", other + 1)]);
            }
            if !shown.contains("started again") {
                listed_as_dead(&mut session);
            }
        }
        lacks(&session.cell("%pool restart"), &["error"]);
        let all = session.cell("%px engine::size()");
        contains(&all, &["│    0-2 │      3 │"]);
        let what = if map { "map" } else { "px" };
        dose::told(&format!("round {round}: engine {rank}, {what}"));
    }
    assert_eq!(session.end(), 0);
}

#[test]
fn a_crash_loses_variables_by_name_and_nothing_else() {
    let mut session = Session::start();
    session.cells(&[
        "%pool start -n 1",
        "%px let there = 7;",
        "fn inc(x: i32) -> i32 { x + 1 }",
    ]);
    session.cells(&["fn deep(n: u64) -> u64 { 1 + deep(std::hint::black_box(n + 1)) }"]);
    for (code, cause) in [
        ("unsafe { (8 as *mut u8).write_volatile(1) }", "SIGSEGV"),
        ("std::process::abort()", "SIGABRT"),
        ("deep(0)", "SIGABRT"),
        ("println!(\"last words\"); std::process::exit(3)", "3"),
    ] {
        session.cells(&["let counted = 41;", "let named = String::from(\"n\");"]);
        let shown = session.cell(code);
        contains(&shown, &["error", cause, "`counted`", "`named`"]);
        contains(&session.cell("inc(1)"), &["Out[", "2"]);
        contains(&session.cell("counted"), &["error"]);
        lacks(&session.cell("%who"), &["counted", "named"]);
    }
    // The local engine, idle.
    session.cells(&["let counted = 41;"]);
    let engines = session.engines();
    kill_engine(*engines.last().expect("the youngest is the local engine"));
    let told = session.shows("`counted`", SECOND);
    contains(&told, &["local engine died while idle: killed by SIGKILL"]);
    let next = session.cell("inc(2)");
    contains(&next, &["3"]);
    lacks(&next, &["lost"]);
    contains(&session.cell("%px there"), &["7"]);
    // A crash on an engine is that engine's.
    session.cells(&["let kept = 1;", "%pool start -n 2"]);
    let shown = session.cell("%px if engine::rank() == 0 { std::process::abort() }; 5");
    contains(&shown, &["engine 0", "SIGABRT", "│      1 │      5 │"]);
    let shown = session.cell("%map |x: u8| { if x == 3 { std::process::abort() }; x } over 0..6u8");
    contains(&shown, &["error", "item 3 ended three engines", "SIGABRT"]);
    contains(
        &session.cell("%px engine::size()"),
        &["│    0,1 │      2 │"],
    );
    contains(&session.cell("kept"), &["1"]);
    assert_eq!(session.end(), 0);
}

#[test]
fn ctrl_c_gives_the_prompt_back() {
    let mut session = Session::start();
    let sleep = "std::thread::sleep(std::time::Duration::from_secs(60))";
    session.cells(&[
        "let kept = 6;",
        "fn twice(x: i32) -> i32 { 2 * x }",
        "%pool start -n 2",
        "%px let there = 7;",
    ]);

    // While it compiles nothing is lost.
    session.enter(
        "#[allow(long_running_const_eval)]\nconst LONG: u64 = { let mut i = 0u64; while i < 1 << 40 { i += 1 } i };\nLONG",
    );
    std::thread::sleep(Duration::from_millis(1500));
    contains(&session.interrupt(), &["interrupted"]);
    contains(&session.cell("twice(kept)"), &["12"]);

    for code in [
        format!("println!(\"begun\"); {sleep}"),
        "println!(\"begun\"); loop {}".to_owned(),
    ] {
        session.cells(&["let counted = 41;"]);
        session.enter(&code);
        session.shows("begun", PATIENCE);
        contains(&session.interrupt(), &["interrupted", "`counted`"]);
        contains(&session.cell("twice(4)"), &["8"]);
    }

    session.cells(&["let kept = 6;"]);
    for code in [
        format!("%px println!(\"begun\"); {sleep}; there"),
        "%px println!(\"begun\"); loop {}".to_owned(),
    ] {
        session.enter(&code);
        session.shows("[stdout:1] begun", PATIENCE);
        contains(&session.interrupt(), &["interrupted", "there"]);
        lacks(
            &session.cell("%px let there = 7; engine::rank()"),
            &["error", "skipped"],
        );
    }

    for code in [
        format!("%map |x: u64| {{ {sleep}; x }} over 0..10u64"),
        "%map |x: u64| { loop { std::hint::black_box(x); } x } over 0..10u64".to_owned(),
    ] {
        session.enter(&code);
        session.shows("10 items", PATIENCE);
        contains(&session.interrupt(), &["interrupted"]);
        contains(&session.cell("kept"), &["6"]);
        contains(
            &session.cell("%map |x: u64| x + 1 over 0..3u64"),
            &["[1, 2, 3]"],
        );
    }
    session.cells(&["%pool start threads -n 2"]);
    session.enter(&format!("%map |x: u64| {{ {sleep}; x }} over 0..10u64"));
    session.shows("10 items", PATIENCE);
    // Threads come to the end of their items, unless Ctrl-C is pressed once more.
    session.press_interrupt();
    session.shows("Ctrl-C again", PATIENCE);
    contains(&session.interrupt(), &["interrupted", "`kept`"]);
    contains(
        &session.cell("%map |x: u64| x + 1 over 0..3u64"),
        &["[1, 2, 3]"],
    );
    contains(&session.cell("twice(21)"), &["42"]);
    assert_eq!(session.end(), 0);
}
