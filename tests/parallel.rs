//! `%parallel` and `shell::map`: commands, their outcomes, and that nothing is left of them.

mod support;

use std::time::{Duration, Instant};

use rexpect::process::Signal;
use support::{PATIENCE, Session, contains, lacks};

/// Until everything is gone, on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// The processes whose command line has this in it.
fn running(text: &str) -> usize {
    let processes = std::fs::read_dir("/proc").expect("processes");
    let lines = processes
        .flatten()
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines
        .filter(|line| {
            String::from_utf8_lossy(line)
                .replace('\0', " ")
                .contains(text)
        })
        .count()
}

fn gone(text: &str) {
    let until = Instant::now() + SOON;
    while running(text) > 0 {
        assert!(Instant::now() < until, "`{text}` still runs");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn begun(text: &str, count: usize) {
    let until = Instant::now() + SOON;
    while running(text) < count {
        assert!(Instant::now() < until, "`{text}` does not run");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Jobs that were on their way to the engine of a long one run on another.
#[test]
fn a_long_command_keeps_no_other_waiting() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut session = Session::start();
    session.cells(&[&format!("%cd {}", folder.path().display())]);
    session.cells(&["%pool start -n 2"]);
    let values = (1..=150).map(|at| if at == 60 { "10" } else { "0" });
    let values: Vec<&str> = values.collect();
    let script = format!(
        "%parallel -q --joblog log 'sleep {{}}' ::: {}\n!tail -n 1 log | cut -f 9; wc -l < log",
        values.join(" ")
    );
    // It is the last one to end.
    contains(&session.cell(&script), &["sleep 10\n151\n"]);
}

#[test]
fn commands_run_on_engines() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut session = Session::start();
    session.cells(&[&format!("%cd {}", folder.path().display())]);
    // Without a pool it has one for the time.
    let shown = session.cell("%parallel -j 2 'echo {} has {#} of {%}' ::: apple \"big fig\"");
    contains(
        &shown,
        &["apple has 1 of", "big fig has 2 of", "2 items", "engine"],
    );
    lacks(&session.cell("%pool list"), &["p0"]);
    session.cells(&["%pool start -n 2"]);
    let shown =
        session.cell("let done = %parallel -k 'echo out {}; echo err {} >&2; exit {}' ::: 0 3");
    contains(
        &shown,
        &[
            "(2 engines)\nout 0\nerr 0\nout 3\nerr 3\n┌",
            "exit 3",
            "error: 1 of 2 jobs failed",
            "`done` has all results",
        ],
    );
    // A variable takes standard output.
    let shown = session.cell("let kept = %parallel -q 'echo out {}; echo err {} >&2' ::: 1 2");
    contains(&shown, &["err 1\nerr 2\n"]);
    lacks(&shown, &["out"]);
    contains(
        &session.cell("kept.iter().map(|one| one.text()).collect::<String>()"),
        &["\"out 1\\nout 2\\n\""],
    );
    // Before anything runs.
    let shown = session.cell("!touch taken\n%parallel -q --results taken/x 'echo ran {}' ::: 1");
    contains(&shown, &["error: --results taken/x cannot be written: "]);
    lacks(&shown, &["ran"]);
    // The first is the last to end.
    let shown = session
        .cell("%parallel 'sleep 0.{}; echo out {}; echo err {} >&2; printf end{}' ::: 2 0 1");
    contains(
        &shown,
        &["(2 engines)\nout 2\nend2err 2\nout 0\nend0err 0\nout 1\nend1err 1\n┌"],
    );
    let shown = session
        .cell("(done[1].status, done[1].stderr.text().into_owned(), done[0].ok(), done[1].tries)");
    contains(&shown, &["(Some(3), \"err 3\\n\", true, 1)"]);
    // Without an end.
    session.cells(&[
        "let r = %parallel -q --retries 0 'echo x >> {}; test $(wc -l < {}) = 7' ::: endless",
    ]);
    contains(&session.cell("(r[0].tries, r[0].ok())"), &["(7, true)"]);
    // Values of the session's, which stay.
    session.cells(&["let xs = vec![\"a b\".to_owned(), \"$HOME\".to_owned()];"]);
    contains(
        &session.cell("%parallel -q printf %s. over xs"),
        &["a b.$HOME."],
    );
    contains(&session.cell("xs.len()"), &["2"]);
    // A signal, a limit, tries.
    contains(
        &session.cell("%parallel 'kill -9 $$' ::: 1"),
        &["SIGKILL", "1 of 1 job failed"],
    );
    contains(
        &session.cell("%parallel --timeout 2 'sleep {}' ::: 0 4321"),
        &["timed out", "1 of 2"],
    );
    gone("sleep 4321");
    let shown = session
        .cell("let r = %parallel -q --retries 3 'echo x >> {}; test $(wc -l < {}) = 3' ::: tries");
    lacks(&shown, &["error"]);
    contains(&session.cell("(r[0].tries, r[0].ok())"), &["(3, true)"]);
    session.cells(&["!rm tries"]);
    // Wrong input says what to do.
    contains(
        &session.cell("%parallel echo {} ::: a | wc"),
        &[
            "'|' stands outside of quotation marks",
            "put the command between",
        ],
    );
    contains(
        &session.cell("%parallel echo"),
        &["needs inputs", "over EXPR"],
    );
    contains(
        &session.cell("%parallel cat :::: no-such-file"),
        &["no-such-file cannot be read"],
    );
    contains(
        &session.cell("%parallel --halt often echo ::: 1"),
        &["not a way to halt", "soon,fail=1"],
    );
    contains(
        &session.cell("%parallel --resume echo ::: 1"),
        &["--joblog FILE"],
    );
    contains(
        &session.cell("%parallel 'no-such-command {}' ::: 1"),
        &["exit 127", "not found"],
    );
    // From code.
    contains(
        &session.cell("shell::run(\"echo hi; exit 4\").status"),
        &["Some(4)"],
    );
    let shown = session.cell("shell::map([\"echo a\", \"echo b\"]).iter().map(|r| r.text().into_owned()).collect::<String>()");
    contains(&shown, &["\"a\\nb\\n\""]);
    // In the background.
    session.cells(&[
        "%parallel -a 'sleep 0.{}; echo {}' ::: 2 1",
        "let later = %result",
    ]);
    contains(
        &session.cell("later.iter().map(|r| r.text().into_owned()).collect::<String>()"),
        &["\"2\\n1\\n\""],
    );
    // One that failed is told when it is waited for.
    session.cells(&["%parallel -a 'echo no >&2; exit {}' ::: 0 3"]);
    let shown = session.cell("%wait");
    contains(&shown, &["exit 3", "│ no", "1 of 2 jobs failed", "%result"]);
    lacks(&session.cell("%wait"), &["exit 3"]);
    // The command is the shell's, what stands behind `over` is Rust.
    let shown = session.cell("%parallel -q 'echo {//} {/.}' over [\"a/b.c\"] // one");
    contains(&shown, &["a b"]);
    // Standard input from a variable, and from what no input can be made of.
    session.cells(&["let lines: Vec<String> = (1..=2000).map(|n| n.to_string()).collect();"]);
    let shown = session.cell("%parallel -q --pipe --block 4k wc -l over lines");
    contains(&shown, &["1021\n800\n179"]);
    contains(&session.cell("lines.len()"), &["2000"]);
    contains(
        &session.cell("%parallel --pipe cat over 5"),
        &["cannot be the standard input of commands"],
    );
    // On threads.
    session.cells(&["%pool start threads -n 2"]);
    let shown = session.cell("%parallel 'sleep 0.{}; echo {}; echo err >&2' ::: 1 0");
    contains(&shown, &["(2 threads)\n1\nerr\n0\nerr\n┌"]);
    assert_eq!(session.end(), 0);
}

/// What one call has noted is not the next one's.
#[test]
fn a_call_that_has_halted_halts_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut session = Session::start();
    session.cells(&[&format!("%cd {}", folder.path().display())]);
    session.cells(&["%pool start -n 4"]);
    for round in 0..3 {
        let shown =
            session.cell("%parallel -q --halt soon,fail=1 'exit {}' ::: 1 0 0 0 0 0 0 0 0 0 0 0");
        contains(&shown, &["1 of 12 jobs failed"]);
        let shown = session.cell(&format!("%parallel -q 'touch ran{round}_{{}}' ::: a b c"));
        lacks(&shown, &["error"]);
        let script = format!("!ls ran{round}_* | wc -l");
        contains(&session.cell(&script), &["3\n"]);
    }
    assert_eq!(session.end(), 0);
}

#[test]
fn nothing_is_left_of_commands() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut session = Session::start();
    session.cells(&[&format!("%cd {}", folder.path().display())]);
    session.cells(&["let kept = 5;", "%pool start -n 2"]);
    // Ctrl-C ends grandchildren too, also those in groups of their own.
    session.enter("%parallel 'sh -c \"sleep {}; true\"; true' ::: 7001.1 7001.2");
    begun("sleep 7001", 2);
    session.interrupt();
    gone("sleep 7001");
    contains(&session.cell("kept"), &["5"]);
    // One that ignores the polite signal.
    session.enter("%parallel 'trap \"\" TERM; sleep {}; sleep {}' ::: 7002.1");
    begun("sleep 7002", 1);
    session.interrupt();
    gone("sleep 7002");
    // `%cancel` of a job in the background.
    session.cells(&["%parallel -a 'sleep {}; true' ::: 7003.1 7003.2"]);
    begun("sleep 7003", 2);
    session.cell("%cancel");
    gone("sleep 7003");
    // What a command has left running ends with its engine.
    session.cells(&["%parallel -q 'setsid sleep {} & true' ::: 7006.1"]);
    begun("sleep 7006", 1);
    session.cells(&["%pool stop p0"]);
    gone("sleep 7006");
    // Threads stay, and all variables, when their commands are ended.
    session.cells(&["%pool start threads -n 2"]);
    session.enter("%parallel 'sh -c \"sleep {}; true\"; true' ::: 7005.1 7005.2 7005.3");
    begun("sleep 7005", 2);
    session.interrupt();
    gone("sleep 7005");
    contains(&session.cell("kept"), &["5"]);
    session.cells(&["%pool start -n 2"]);
    // A session that is killed takes them along, also those in sessions of their own.
    session.enter("%parallel 'setsid sleep {} & sleep {}; true' ::: 7004.1 7004.2");
    begun("sleep 7004", 4);
    session.signal(Signal::SIGKILL);
    assert!(session.ended(PATIENCE).is_some());
    gone("sleep 7004");
}
