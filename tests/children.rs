//! `%spawn` and what belongs to it: children of any language, what they print, how they end, and that nothing is left of
//! them.

mod support;

use std::time::{Duration, Instant};

use rexpect::process::Signal;
use support::{PATIENCE, Session, contains, lacks, notebook, proc, regatta, table};

/// The rows of `%children`.
fn rows(session: &mut Session) -> Vec<Vec<String>> {
    let shown = session.cell("%children");
    table::rows(&shown)
}

#[test]
fn children_at_the_prompt() {
    let mut session = Session::cold();
    contains(&session.cell("%children"), &["no children", "%spawn"]);
    contains(
        &session.cell("%wait worker"),
        &["error", "no child `worker`"],
    );

    // Ranks, names, words with blanks, and standard input.
    let shown = session.cell(
        "%spawn -n 3 --name w --env GREETING='good day' -- sh -c 'cat; echo $GREETING $REGATTA_RANK/$REGATTA_SIZE $REGATTA_NAME \"$1\"' sh '{name} of {size}'",
    );
    contains(&shown, &["w.0 … w.2: 3 children run"]);
    contains(&session.cell("%wait w"), &["w: 3 children ended well"]);
    let logs = session.cell("%logs w");
    contains(&logs, &["[stdout:w.2] good day 2/3 w.2 w.2 of 3"]);
    let all = rows(&mut session);
    assert_eq!(all.len(), 3, "{all:?}");
    assert_eq!((&*all[1][0], &*all[1][2]), ("w.1", "done"), "{all:?}");

    // A failure is told of while somebody types, and fails the wait.
    session.cell("%spawn --name bad -- sh -c 'echo oops >&2; sleep 3; exit 7'");
    session.type_keys("1 + ");
    session.echoes("bad (pid", PATIENCE);
    session.type_keys("\x15");
    contains(
        &session.cell("%wait bad"),
        &["error", "bad ended with exit code 7", "%logs bad"],
    );
    contains(&session.cell("%logs bad"), &["[stderr:bad] oops"]);

    // Restarts are counted, and used up.
    session.cell("%spawn --name again --restart on-failure:2 -- sh -c 'exit 3'");
    contains(
        &session.cell("%wait again"),
        &["error", "again ended with exit code 3"],
    );
    let row = rows(&mut session).into_iter().find(|row| row[0] == "again");
    let row = row.expect("a row");
    assert!(row.contains(&"2".to_owned()), "two restarts: {row:?}");

    // One that ends well is started again when always is said, and no more once it is stopped.
    session.cell("%spawn --name on --restart always -q -- sh -c 'echo run'");
    let runs = |session: &mut Session| session.cell("%logs on").matches("run").count();
    let until = Instant::now() + PATIENCE;
    while runs(&mut session) < 2 {
        assert!(Instant::now() < until, "it is not started again");
    }
    contains(&session.cell("%stop on"), &["on: 1 child stopped"]);
    let before = runs(&mut session);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(runs(&mut session), before, "it stays stopped");

    // Names that are taken, mistyped, or none.
    session.cell("%spawn --name s -n 2 -- sleep 86001");
    for (cell, told) in [
        (
            "%spawn --name s -- sleep 1",
            "a child `s.0` is there already",
        ),
        ("%spawn --name a.b -- sleep 1", "`a.b` cannot name a child"),
        ("%spawn --name all -- sleep 1", "`all` cannot name a child"),
        ("%spawn -- slep 1", "did you mean"),
        ("%spawn --naem y true", "`--naem` is no option of %spawn"),
        ("%spawn -- ./nothing.py", "`./nothing.py` is not found"),
        (
            "%spawn --cwd /no/such -- sleep 1",
            "there is no folder /no/such",
        ),
        ("%spawn -- sleep 1 | cat", "no shell reads this"),
        ("%spawn -n 0 -- sleep 1", "not a number of children"),
        ("%spawn --restart often -- sleep 1", "--restart often"),
        ("%spawn --env A -- sleep 1", "--env NAME=VALUE"),
        (
            "%spawn --restart always --detach -- sleep 1",
            "cannot be used with",
        ),
        ("%spawn", "%spawn needs PROGRAM"),
        ("%logs x", "there is no child `x`"),
        ("%logs s -n x", "not a number of lines"),
        ("%stop", "%stop needs NAME"),
        ("%children s x", "there is no child `x`"),
        ("%logs s x", "there is no child `x`"),
        ("%stop s --grace -1", "not a time in seconds"),
        ("%wait s --timeout 0.1", "not over within 0.1 s: s.0, s.1"),
    ] {
        contains(&session.cell(cell), &["error", told]);
    }
    proc::there_are(2, "86001");

    // Ctrl-C ends a wait and no child.
    session.enter("%wait s");
    std::thread::sleep(Duration::from_millis(300));
    contains(&session.interrupt(), &["interrupted", "%stop s"]);
    proc::there_are(2, "86001");
    contains(&session.cell("%stop s"), &["s: 2 children stopped"]);
    proc::there_are(0, "86001");
    contains(&session.cell("%stop s"), &["no child runs"]);

    // Those that are over are listed by name, and forgotten when that is wanted.
    let listed = session.cell("%children s.1");
    assert!(
        listed.contains("s.1") && !listed.contains("s.0"),
        "{listed}"
    );
    contains(&session.cell("%children s --clear"), &["forgot 2 children"]);
    contains(
        &session.cell("%logs s"),
        &["error", "there is no child `s`"],
    );

    // Following ends with the child, and with Ctrl-C.
    session.cell("%spawn -q --name f -- sh -c 'echo one; sleep 0.5; echo two'");
    contains(
        &session.cell("%logs -f f"),
        &["[stdout:f] one", "[stdout:f] two"],
    );
    session.cell("%spawn -q --name g -- sh -c 'echo one; sleep 86002'");
    session.enter("%logs -f g");
    session.shows("[stdout:g] one", PATIENCE);
    lacks(&session.interrupt(), &["error"]);
    proc::there_are(1, "86002");

    // Ctrl-D asks, and they end with the session.
    session.type_keys("\x04");
    session.echoes("ends with the session", PATIENCE);
    session.type_keys("y\r");
    assert!(session.ended(PATIENCE).is_some(), "it ends");
    proc::there_are(0, "86002");
}

#[test]
fn what_does_not_end_by_itself_is_ended() {
    let mut session = Session::cold();
    // One that ignores SIGTERM, with a grandchild that does too and another one in a group of its own.
    session.cell(
        "%spawn --name deaf -- sh -c 'trap \"\" TERM; sleep 86003 & setsid sleep 86003 & echo up; while :; do sleep 86003; done'",
    );
    session.shows("[stdout:deaf] up", PATIENCE);
    proc::there_are(3, "86003");
    let shown = session.cell("%stop deaf --grace 0.3");
    contains(&shown, &["deaf: 1 child stopped, 1 of them by SIGKILL"]);
    proc::there_are(0, "86003");

    // Grandchildren of grandchildren.
    session.cell(
        "%spawn -n 3 --name bomb -- sh -c 'for a in 1 2 3; do (for b in 1 2 3; do sleep 86004 & done; wait) & done; wait'",
    );
    proc::there_are(27, "86004");
    contains(&session.cell("%stop all"), &["3 children stopped"]);
    proc::there_are(0, "86004");

    // One that lives on says so, and what it prints is in a file.
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("a path");
    let shown = session.cell(&format!(
        "%spawn --detach --name on --cwd {path} -- sh -c 'echo hello; exec sleep 86005'"
    ));
    contains(
        &shown,
        &["lives on when the session ends, pid", "on.log", "kill -- -"],
    );
    proc::there_are(1, "86005");
    contains(&session.cell("%logs on"), &["[stdout:on] hello"]);
    session.cell(&format!(
        "%spawn --detach --name later --cwd {path} -- sh -c 'echo first; sleep 1; echo second; printf open; sleep 0.3'"
    ));
    contains(
        &session.cell("%logs later -f"),
        &[
            "[stdout:later] first",
            "[stdout:later] second",
            "[stdout:later] open",
        ],
    );
    // The next one of the name has nothing to do with what stands in the file.
    session.cell(&format!(
        "%spawn --detach --name later --cwd {path} -- echo third {{{{.Name}}}}"
    ));
    session.cell("%wait later");
    let logs = session.cell("%logs later");
    contains(&logs, &["[stdout:later] third {{.Name}}"]);
    lacks(&logs, &["first", "open"]);
    // Nobody waits for it who has not named it.
    session.cell("%children --clear");
    contains(
        &session.cell("%wait"),
        &["error", "on may run on after it", "`%wait on`"],
    );
    session.cell("%spawn --name off -n 4 -- sh -c 'setsid sleep 86006 & exec sleep 86006'");
    proc::there_are(8, "86006");
    session.signal(Signal::SIGKILL);
    assert!(session.ended(PATIENCE).is_some(), "it is gone");
    proc::there_are(0, "86006");
    let left = proc::with_argument("86005");
    assert_eq!(left.len(), 1, "it lives on");
    let pid = rustix::process::Pid::from_raw(left[0]).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("ours");
    assert_eq!(
        std::fs::read_to_string(folder.path().join("on.log")).expect("its file"),
        "hello\n"
    );
}

#[test]
fn what_children_print_is_bounded_and_harms_no_terminal() {
    let mut session = Session::cold();
    // 100 MB beside the prompt: its answers come as fast as ever, and the session does not grow.
    session.cell("%spawn --name flood -- sh -c 'yes 0123456789012345678901234567890123456789 | head -c 100000000; echo end'");
    contains(&session.cell("%env HOME"), &["/"]);
    contains(&session.cell("%wait flood"), &["flood: 1 child ended well"]);
    let logs = session.cell("%logs flood -n 2");
    contains(&logs, &["end\n"]);
    let memory = proc::memory(session.pid(), "VmRSS");
    assert!(memory < 400 << 20, "{memory} bytes");

    session.cell(
        r"%spawn -q --name odd -- sh -c 'printf \\033\\13331mred\\n; printf \\033\\1332J\\033\\133Hmoved\\n; printf 10%%\\r99%%\\n; printf \\377\\376bin\\n; printf open'",
    );
    session.cell("%wait odd");
    let logs = session.cell("%logs odd");
    contains(
        &logs,
        &[
            "[stdout:odd] red",
            "[stdout:odd] moved",
            "[stdout:odd] 99%",
            "\u{fffd}\u{fffd}bin",
            "[stdout:odd] open",
        ],
    );
    // Closed outputs are no end.
    session.cell("%spawn --name shut -- sh -c 'exec >&- 2>&-; sleep 0.3; exit 5'");
    contains(
        &session.cell("%wait shut"),
        &["shut ended with exit code 5"],
    );
    // Killed from outside.
    session.cell("%spawn --name hit -- sh -c 'kill -9 $$'");
    contains(&session.cell("%wait hit"), &["hit was ended by SIGKILL"]);
}

#[test]
fn fifty_children_in_a_notebook() {
    let script = "%spawn -n 50 --name many -- sh -c 'echo I am $REGATTA_RANK'\n%wait many";
    let text =
        format!("```rust\n{script}\n```\n\n```rust\n%spawn --name left -- sleep 86007\n```\n");
    let (ran, _) = notebook(&text, &[]);
    assert_eq!(ran.status, 0, "{}\n{}", ran.out, ran.err);
    contains(&ran.out, &["many: 50 children ended well"]);
    for rank in 0..50 {
        contains(&ran.out, &[&format!("[stdout:many.{rank}] I am {rank}\n")]);
    }
    proc::there_are(0, "86007");

    // A child that fails fails the cell, and all lines are shown where nobody types.
    let cell = "%spawn --name n -- sh -c 'seq 1 20000; exit 2'\n%wait all";
    let ran = regatta(&["--format", "json", "-e", cell], b"");
    assert_eq!(ran.status, 1, "{}", ran.err);
    let events: Vec<serde_json::Value> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let lines: String = events
        .iter()
        .filter(|event| event["event"] == "output" && event["child"] == "n")
        .filter_map(|event| event["text"].as_str())
        .collect();
    assert_eq!(lines.lines().count(), 20_000);
    let ended = events.iter().find(|event| event["what"] == "ended");
    let ended = ended.expect("its end");
    assert_eq!(
        (&ended["child"], &ended["exit_code"]),
        (&"n".into(), &2.into())
    );
}

#[test]
fn children_of_code() {
    let cells = [
        r#"let c = children::program(&["sh", "-c", "echo from $REGATTA_NAME; sleep 0.2; exit 4"]).name("coded").spawn();"#,
        r#"assert_eq!(c.name(), "coded"); assert!(c.pid() > 1); assert_eq!(c.wait(), children::Exit::Code(4)); assert_eq!(c.lines(5), ["from coded"]);"#,
        r#"assert!(children::program(&["no-such-program"]).try_spawn().is_err());"#,
        r#"for (words, name, value) in [(&["echo", "a\0b"][..], "A", "x"), (&["echo"], "A=B", "x"), (&["echo"], "", "x"), (&["echo"], "A", "\0"), (&["echo\0"], "A", "x"), (&[""], "A", "x"), (&[], "A", "x")] { let refused = children::program(words).env(name, value).try_spawn(); assert!(refused.is_err(), "{words:?} {name:?} {value:?}"); }"#,
        r#"let many = children::program(&["sleep", "86008"]).name("m").spawn_many(3); assert_eq!(many[2].state(), children::State::Running); assert_eq!(many[2].stop(), children::Exit::Stopped);"#,
        "%pool start -n 2\n%px children::spawn(&[\"sh\", \"-c\", \"exit 0\"]).wait().is_ok()",
        "%stop m",
    ];
    let text: String = cells
        .iter()
        .map(|cell| format!("```rust\n{cell}\n```\n\n"))
        .collect();
    let (ran, _) = notebook(&text, &[]);
    contains(&ran.out, &["coded (pid", "m: 2 children stopped", "true"]);
    assert_eq!(ran.status, 0, "{}\n{}", ran.out, ran.err);
    proc::there_are(0, "86008");
}
