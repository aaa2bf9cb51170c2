//! What `%px` binds, leaves on engines, and does in the background: results of some engines, queues, ends.

mod support;

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use support::table::{results, rows};
use support::{PATIENCE, Session, contains, lacks, notebook};

#[test]
fn a_result_is_bound_and_nothing_else_changes() {
    let mut session = Session::start();
    session.cells(&["%pool start -n 3", "%px let a = engine::rank() + 1;"]);

    // New variables and definitions of the cell stay; the value travels.
    results(
        &mut session,
        "%px -o r let b = 3; fn four() -> u32 { 4 } a + b",
        &[("0", "4"), ("1", "5"), ("2", "6")],
    );
    contains(&session.cell("r"), &["[4, 5, 6]"]);
    results(&mut session, "%px b + four()", &[("0-2", "7")]);
    // The engines' variable of that name stays what it is.
    results(
        &mut session,
        "%px -o a a + 10",
        &[("0", "11"), ("1", "12"), ("2", "13")],
    );
    contains(&session.cell("a"), &["[11, 12, 13]"]);
    results(&mut session, "%px a", &[("0", "1"), ("1", "2"), ("2", "3")]);
    lacks(&session.cell("%whos"), &["regatta", " r  │ u32"]);
    // Text in the program, and values that are in several lines.
    session.cells(&["%px -o s \"lit\""]);
    contains(&session.cell("%type s"), &["Vec<String>"]);
    results(
        &mut session,
        "%%px -o squares\nlet twice = a * 2;\n\ntwice * twice // of it",
        &[("0", "4"), ("1", "16"), ("2", "36")],
    );
    contains(&session.cell("squares"), &["[4, 16, 36]"]);
    contains(
        &session.cell("%px -o none_of_it let c = 3;"),
        &["error", "no value to bind to `none_of_it`", "without a `;`"],
    );
    contains(
        &session.cell("%px -o r a + \"x\""),
        &["error[E0277]", "%px -o r a + \"x\"", "^"],
    );
    contains(
        &session.cell("%px -o r std::time::Instant::now()"),
        &["cannot travel to other processes"],
    );

    // What some engines gave is bound.
    let shown = session.cell("%px -o part if engine::rank() == 1 { panic!(\"one\") }; a * 2");
    contains(
        &shown,
        &[
            "`part` is Vec<Option<u32>>",
            "engine 1 gave no value",
            "panicked: one",
        ],
    );
    contains(&session.cell("part"), &["[Some(2), None, Some(6)]"]);
    contains(
        &session.cell("%px -o gone panic!(\"all\"); 1"),
        &["`gone` is not bound"],
    );
    contains(&session.cell("gone"), &["error"]);

    targets(&mut session);
    configured(&mut session);
    threads(&mut session);
    assert_eq!(session.end(), 0);
}

fn targets(session: &mut Session) {
    results(session, "%px -t 2,0 a", &[("2", "3"), ("0", "1")]);
    results(session, "%px -t 0, 1 a", &[("0", "1"), ("1", "2")]);
    results(session, "%px --targets=[0, 2] a", &[("0", "1"), ("2", "3")]);
    session.cells(&["%px -t 2,0 -o backwards a"]);
    contains(&session.cell("backwards"), &["[3, 1]"]);
    contains(&session.cell("%pull a -t 2, 0"), &["[3, 1]"]);
}

/// Defaults, for all pools and for one.
fn configured(session: &mut Session) {
    session.cells(&["%pool start -n 2 --name crew", "%pool use p0"]);
    results(session, "%px_crew engine::size()", &[("0,1", "2")]);
    results(session, "%px -p crew -t 1 engine::rank()", &[("1", "1")]);
    contains(
        &session.cell("%px_nobody 1"),
        &["error", "no pool `nobody`", "p0, crew"],
    );
    contains(
        &session.cell("%px_crew -p p0 1"),
        &["error", "two pools, `crew` and `p0`"],
    );
    session.cells(&["%pxconfig_crew -t ::2", "%pxconfig -t 1:"]);
    results(session, "%px_crew engine::size()", &[("0", "2")]);
    results(session, "%px a", &[("1", "2"), ("2", "3")]);
    // Those of a pool are for all that runs on it.
    session.cells(&["%pool use crew"]);
    results(session, "%px engine::rank()", &[("0", "0")]);
    session.cells(&["%pool use p0"]);
    // A call's own targets change no defaults.
    results(
        session,
        "%px -t all a",
        &[("0", "1"), ("1", "2"), ("2", "3")],
    );
    contains(
        &session.cell("%pxconfig --progress-after -1 -o kept --signal-on-interrupt 9"),
        &["1:", "never", "kept", "SIGKILL"],
    );
    session.cells(&["%px a * 7"]);
    contains(&session.cell("kept"), &["[14, 21]"]);
    contains(&session.cell("%pxconfig -o none"), &["out", "none"]);
    contains(
        &session.cell("%pxconfig --signal-on-interrupt SIGFOO"),
        &["error", "no signal SIGFOO"],
    );
    contains(
        &session.cell("%pxconfig --reset"),
        &["all", "5 s", "SIGINT", "none"],
    );
    results(session, "%px_crew engine::size()", &[("0", "2")]);
    session.cells(&["%pxconfig_crew --reset", "%autopx_crew"]);
    results(session, "engine::size() * 2", &[("0,1", "4")]);
    session.cells(&["%autopx", "%pool stop crew"]);
}

fn threads(session: &mut Session) {
    session.cells(&["%pool start threads -n 3 --name crew"]);
    results(
        session,
        "%px -o ranks -t 2,0 engine::rank()",
        &[("2", "2"), ("0", "0")],
    );
    contains(&session.cell("ranks"), &["[2, 0]"]);
    contains(
        &session.cell("%px -o broken if engine::rank() == 1 { panic!(\"one\") }; 1"),
        &["`broken` is not bound", "engine 1 panicked: one"],
    );

    // In the background with copies of what it uses, while the session goes on; an outcome for each target.
    session.cells(&[NAP, "let base = vec![10u32];"]);
    contains(
        &session.cell("%px -a -t 2,0 let own = engine::rank(); nap(400); base[0] + own"),
        &["runs on the threads", "%pxresult"],
    );
    contains(&session.cell("base.len()"), &["1"]);
    contains(&session.cell("%jobs"), &["/2"]);
    session.cells(&["let later = %result"]);
    contains(&session.cell("later"), &["[Ok(12), Ok(10)]"]);
    session.cells(&["%jobs --drop all"]);
    session.cells(&["%px -a if engine::rank() == 1 { panic!(\"one\") }; engine::rank() * 2"]);
    let shown = session.cell("%result");
    assert_eq!(rows(&shown), [["0", "0"], ["2", "4"]], "{shown}");
    contains(
        &shown,
        &["] on crew:", "engine 1 panicked: one", "--> In ["],
    );
    // Shown, it is the last one, and no job any more: as on processes.
    contains(&session.cell("%jobs"), &["no jobs"]);
    let again = session.cell("%pxresult");
    assert_eq!(rows(&again), [["0", "0"], ["2", "4"]], "{again}");
    // What fails on one of them is told as a failure, in the words of a `%px`.
    let shown = session.cell("%px -a if engine::rank() == 1 { panic!(\"here\") }\n%wait\n%jobs");
    contains(
        &shown,
        &[
            "has failed: 2 of 3 engines: it failed on 1 of 3 threads; `%pxresult ",
            "%px of ",
            "2/3",
        ],
    );
    lacks(&shown, &["is done: ", "static schedule", "`%result"]);
    let shown = session.cell("%pxresult");
    contains(&shown, &["engine 1 panicked: here", "--> In ["]);
    lacks(&shown, &["Err(", "Ok("]);
    // Each that was not shown, in the order in which they began.
    session.cells(&["%px -a -t 2,0 engine::rank() + 7", "%px -a \"text\""]);
    let shown = session.cell("%pxresult");
    assert_eq!(
        rows(&shown),
        [
            ["2", "9"],
            ["0", "7"],
            ["engine", "result"],
            ["0-2", "\"text\""]
        ],
        "{shown}"
    );
    session.cells(&["%px -a let nothing = 1;"]);
    lacks(&session.cell("%pxresult"), &["()"]);
    contains(
        &session.cell("%px -a -o early 1"),
        &["error", "`early` cannot be bound", "let early = %result"],
    );
    session.cells(&["%pool stop crew"]);
}

const NAP: &str =
    "fn nap(ms: u64) -> u64 { std::thread::sleep(std::time::Duration::from_millis(ms)); ms }";

#[test]
fn jobs_of_px_take_their_turn() {
    let mut session = Session::start();
    session.cells(&[NAP, "%pool start -n 3", "%px let mut a = engine::rank();"]);

    // Whatever else is waited for, a job comes to its end.
    session.cells(&["%px -a nap(100)\n%pool start -n 20 --name many"]);
    contains(&session.cell("%wait 1"), &["job 1 is done: 3 of 3 engines"]);
    session.cells(&["%pool stop many"]);
    results(&mut session, "%pxresult 1", &[("0-2", "100")]);
    contains(&session.cell("%jobs"), &["no jobs"]);

    // One after the other on the same engines, at once on others; `-o` binds when they are done.
    contains(
        &session.cell("%px -a -t 0,1 nap(3000); a += 1; a"),
        &["job 2 runs"],
    );
    contains(
        &session.cell("%px -a -t 1,2 -o sum a += 10; a"),
        &["job 3 waits for job 2"],
    );
    contains(
        &session.cell("%px -a -t 2 nap(1)"),
        &["job 4 waits for job 3"],
    );
    results(&mut session, "%px -t 0 a", &[("0", "1")]);
    session.cells(&["%wait 3 4"]);
    contains(&session.cell("sum"), &["[12, 12]"]);
    let shown = session.cell("%pxresult -e");
    contains(&shown, &["In [10] on p0:", "In [11] on p0:"]);
    assert_eq!(rows(&shown).len(), 2 + 2 + 2, "with two headings: {shown}");
    contains(&session.cell("let again = %px -a 1"), &["error"]);
    session.cells(&["%px -a -o values a * 2"]);
    session.cells(&["let again = %result 5"]);
    contains(&session.cell("again == values"), &["true"]);
    session.cells(&["%px -a a * 3"]);
    contains(
        &session.cell("let other = %result 6"),
        &["error", "shown, not sent", "%px -o NAME"],
    );

    // Told above the prompt, while what is typed stays; the next in line has begun by then.
    session.cells(&["%px -a nap(300)", "%px -a nap(301)"]);
    session.type_keys("1 + ");
    session.echoes("job 8 finished: %px of In", PATIENCE);
    session.type_keys("2\r");
    contains(&session.prompt(PATIENCE), &["3"]);

    cancelled(&mut session);
    autopx(&mut session);
    failures(&mut session);
    interrupts(&mut session);
    stopped(&mut session);
    revived(&mut session);
    initialised(&mut session);
    assert_eq!(session.end(), 0);
}

fn autopx(session: &mut Session) {
    session.cells(&[
        "%pool use p0",
        "%autopx --noblock",
        "let b = 12345;",
        "let b = b * 2;",
        "%autopx",
    ]);
    results(session, "%px b", &[("0-2", "24690")]);
    session.cells(&["%jobs --drop all", "%px b + 1"]);
    results(session, "%pxresult", &[("0-2", "24691")]);
}

/// One in line that is cancelled never runs; the one in front goes on.
fn cancelled(session: &mut Session) {
    let shown = session.cell("%px -a nap(3000)\n%px -a let a = a + 1000;\n%cancel");
    contains(&shown, &["waits for job", "is cancelled"]);
    contains(&session.cell("%jobs"), &["│ running"]);
    contains(&session.cell("%wait"), &["3 of 3 engines"]);
    results(session, "%px -t 0 a", &[("0", "1")]);
    session.cells(&["%px -a loop {}"]);
    contains(
        &session.cell("%cancel"),
        &["engines 0-2 interrupted", "is cancelled"],
    );
    session.cells(&["%jobs --drop all"]);
}

/// A job that failed says so wherever it is named.
fn failures(session: &mut Session) {
    let shown = session.cell("%px -a if engine::rank() == 1 { panic!(\"here\") }\n%wait\n%jobs");
    contains(
        &shown,
        &[
            "has failed: 2 of 3 engines: engine 1: panicked: here",
            "│ failed",
        ],
    );
    contains(&session.cell("%pxresult"), &["engine 1 panicked: here"]);
    contains(&session.cell("%wait 99"), &["error", "no job 99"]);
    // Told once, and placed in the cell that asked, also when it is a later one that looks.
    session.cells(&["%px -a panic!(\"later\")"]);
    let waited = session.cell("%wait");
    contains(&waited, &["has failed: 0 of 3 engines", "`%pxresult "]);
    let shown = session.cell("%pxresult");
    let (_, cell) = shown.split_once("In [").expect("a heading");
    let (cell, _) = cell.split_once(']').expect("a number");
    contains(
        &shown,
        &["engines 0-2 panicked: later", &format!("--> In [{cell}]:1")],
    );
    session.cells(&["%map -a |x: u64| { assert!(x > 9, \"small\"); x } over 0..3u64"]);
    let waited = session.cell("%wait");
    contains(
        &waited,
        &["has failed: 0 of 3 items", "panicked at In [", ": small"],
    );
    lacks(&session.cell("%jobs"), &["failed after"]);
    session.cells(&["%jobs --drop all"]);
}

/// Ctrl-C ends the waiting, as in `%wait`.
fn interrupts(session: &mut Session) {
    session.cells(&["%px -a nap(5000); 5"]);
    for wait in ["%pxresult", "%wait", "%px 1 + 1"] {
        session.enter(wait);
        session.taken(PATIENCE);
        std::thread::sleep(Duration::from_millis(100));
        contains(&session.interrupt(), &["interrupted", "goes on", "%cancel"]);
    }
    results(session, "%pxresult", &[("0-2", "5")]);

    // A signal that engines cannot catch ends them at once, none lets them go on.
    session.enter("%px --signal-on-interrupt SIGKILL println!(\"begun\"); loop {}");
    session.shows("[stdout:2] begun", PATIENCE);
    contains(&session.interrupt(), &["interrupted", "were restarted"]);
    session.enter("%px --signal-on-interrupt 0 println!(\"on\"); nap(5000); 6");
    session.shows("[stdout:2] on", PATIENCE);
    contains(&session.interrupt(), &["interrupted", "goes on"]);
    results(session, "%pxresult", &[("0-2", "6")]);
}

/// What ran on a pool that is stopped is over.
fn stopped(session: &mut Session) {
    session.cells(&["%px -a loop {}", "%px -a 1"]);
    session.cells(&["%pool stop\n%pool start -n 2"]);
    results(session, "%px 1 + 1", &[("0,1", "2")]);
    contains(&session.cell("%jobs"), &["│ failed"]);
    session.cells(&["%jobs --drop all"]);
    contains(&session.cell("%jobs"), &["no jobs"]);
}

/// Kills an engine of the pool in use; gives the list that tells so.
fn killed(session: &mut Session, rank: u32) -> String {
    let shown = session.cell("%pool list");
    let mut rows = rows(&shown).into_iter();
    let row = rows.find(|row| row[0].ends_with('*') && row[1] == rank.to_string());
    let pid = row.unwrap_or_else(|| panic!("no engine {rank}: {shown}"))[2].clone();
    session.cell(&format!("!kill -9 {pid}; sleep 0.3"));
    session.cell("%pool list")
}

/// Engines that died come back for what needs them, and what was lost is named.
fn revived(session: &mut Session) {
    session.cells(&[
        "%px let mine = engine::rank();",
        "let xs: Vec<u64> = (0..4).collect();",
    ]);
    contains(&killed(session, 1), &["dead: killed by SIGKILL"]);
    let shown = session.cell("%scatter xs");
    contains(
        &shown,
        &[
            "engine 1 of p",
            "started again",
            "lost there: mine",
            "2 engines",
        ],
    );
    contains(&session.cell("%gather xs"), &["[0, 1, 2, 3]"]);
    killed(session, 0);
    let shown = session.cell("%px engine::size()");
    contains(&shown, &["engine 0 of p", "started again"]);
    assert_eq!(rows(&shown), [["0,1", "2"]], "{shown}");
    killed(session, 0);
    contains(
        &session.cell("%map |x: u64| x + 1 over 0..3"),
        &["started again", "[1, 2, 3]"],
    );
    killed(session, 1);
    contains(
        &session.cell("pool::map(0..3u64, |x| x * 2)"),
        &["started again", "[0, 2, 4]"],
    );

    // Collected errors come in the order of arrival too, where that is asked for.
    contains(
        &session.cell("%map -u -c 1 --on-error collect |x: u64| { nap(x); assert!(x < 100); x } over [600u64, 50]"),
        &["[Ok(50), Err(Panicked { item: 0"],
    );

    // A job that lost all its engines says so at once, and they come back.
    let shown = session.cell("%map -a nap over [60_000u64; 4]");
    contains(&shown, &["runs in the background"]);
    // Faster than they can be replaced.
    let until = Instant::now() + PATIENCE;
    loop {
        for pid in session.engines().into_iter().skip(1) {
            // It may have ended by itself in this moment.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        if session.engines().len() == 1 {
            std::thread::sleep(Duration::from_millis(100));
            if session.engines().len() == 1 {
                break;
            }
        }
        assert!(Instant::now() < until, "they are replaced for ever");
    }
    contains(&session.cell("%jobs"), &["│ failed"]);
    contains(&session.cell("let lost = %result"), &["error", "failed: "]);
    contains(
        &session.cell("%map |x: u64| x + 1 over 0..3"),
        &["engines 0,1 of p", "started again", "[1, 2, 3]"],
    );

    // Sizes agree after a resize and a replacement.
    session.cells(&["%pool resize 4"]);
    session.cell("%map |x: u64| if x == 3 { std::process::abort() } else { x } over 0..6u64");
    results(session, "%px engine::size()", &[("0-3", "4")]);
}

/// What a pool begins with runs on every engine that it ever has.
fn initialised(session: &mut Session) {
    contains(
        &session.cell("%pool start -n 2 --name broken --init 'let x: u8 = \"\";'"),
        &["error[E0308]"],
    );
    contains(
        &session.cell("%pool start -n 2 --name broken --init 'panic!(\"no\")'"),
        &["error", "begin with failed", "engines 0,1 panicked: no"],
    );
    lacks(&session.cell("%pool list"), &["broken"]);
    session.cells(&[
        "%pool start -n 2 --name ready --init 'let mine = engine::rank() + 5; let text = String::from(\"x\");'",
    ]);
    let all = [("0", "5"), ("1", "6")];
    results(session, "%px mine", &all);
    session.cells(&["%pool restart 0, 1"]);
    results(session, "%px mine", &all);
    killed(session, 0);
    let shown = session.cell("%px text.len()");
    contains(&shown, &["started again", "0,1"]);
    // Also in the middle of a map.
    let shown =
        session.cell("%map |x: u64| if x == 3 { std::process::abort() } else { x } over 0..6u64");
    contains(&shown, &["item 3"]);
    results(session, "%px mine", &all);
    session.cells(&["%pool resize 3"]);
    results(session, "%px mine", &[("0", "5"), ("1", "6"), ("2", "7")]);
}

#[test]
fn jobs_count_at_the_end_of_a_notebook() {
    let text = "```rust\n%pool start -n 2\n%px -a std::thread::sleep(std::time::Duration::from_millis(300)); if engine::rank() == 1 { panic!(\"late\") }\n```\n";
    let (ran, _) = notebook(text, &[]);
    assert_ne!(ran.status, 0, "{}", ran.out);
    contains(&ran.out, &["engine 1 panicked: late"]);
    let text =
        "```rust\n%pool start -n 2\n%map -a |x: u64| { assert!(x != 3); x } over 0..5\n```\n";
    let (ran, _) = notebook(text, &[]);
    assert_ne!(ran.status, 0, "{}", ran.out);
    contains(&ran.out, &["job 1 failed", "item 3"]);
    let text = "```rust\n%pool start -n 2\n%px -a engine::rank() + 40\n%map -a |x: u64| x + 1 over 0..5\n```\n";
    let (ran, _) = notebook(text, &[]);
    assert_eq!(ran.status, 0, "{}", ran.out);
    contains(&ran.out, &["41"]);
}
