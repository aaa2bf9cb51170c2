//! What process supervisors and Python's `subprocess` promise of the programs that they start, of our children.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rexpect::process::Signal;
use support::{PATIENCE, Session, contains, lacks, proc, table};

/// Runs children of this name to their end, and gives what they printed.
fn printed(session: &mut Session, name: &str, spawn: &str) -> String {
    session.cell(&format!("%spawn -q --name {name} {spawn}"));
    session.cell(&format!("%wait {name}"));
    session.cell(&format!("%logs {name} -n 1000"))
}

/// A text whose long lines were broken.
fn unwrapped(shown: &str) -> String {
    shown.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The signals of a line of a process's status, a bit for each; those beyond the 28th are the C library's.
#[track_caller]
fn signals(status: &str, line: &str) -> u64 {
    let found = status.split_once(line).map(|(_, rest)| rest.trim_start());
    let digits = found.and_then(|rest| rest.split_whitespace().next());
    let number = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    number.expect("a number of signals") & ((1 << 28) - 1)
}

fn script(folder: &Path, name: &str, text: &str, mode: u32) {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("a script");
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("its mode");
}

#[test]
fn what_a_program_is_started_with() {
    let mut session = Session::cold();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("a path");

    // Variables: with `=`, blanks and nothing in the value; the last of a name counts, and its own before ours.
    let shown = printed(
        &mut session,
        "env",
        "--env A=b=c --env 'B=x  y' --env C= --env A2=1 --env A2=2 --env REGATTA_RANK=mine -- sh -c 'echo \"[$A|$B|${C-none}|$A2|$REGATTA_RANK]\"'",
    );
    contains(&shown, &["[b=c|x  y||2|"]);
    // What `%env` has set or removed is the child's too.
    session.cell("%env GREETING = hello");
    session.cell("%env -u HOME");
    contains(
        &printed(
            &mut session,
            "set",
            "-- sh -c 'echo \"$GREETING ${HOME-none}\"'",
        ),
        &["hello none"],
    );

    // Words: empty ones, blanks, quotes and letters beyond ASCII arrive as they are; braces that mean nothing stay.
    let shown = printed(
        &mut session,
        "words",
        "-n 2 -- printf '<%s>\\n' '' 'a b' \"it's\" 'größe' '*' '$HOME' '--x={rank}{rank}' '{row}' '{rank' '{{size}}'",
    );
    for word in [
        "<>",
        "<a b>",
        "<it's>",
        "<größe>",
        "<*>",
        "<$HOME>",
        "<--x=11>",
        "<{row}>",
        "<{rank>",
        "<{2}>",
    ] {
        contains(&shown, &[&format!("[stdout:words.1] {word}\n")]);
    }
    // In variables and in the folder too.
    for rank in 0..2 {
        std::fs::create_dir(folder.path().join(format!("run-{rank}"))).expect("a folder");
    }
    let shown = printed(
        &mut session,
        "fill",
        &format!(
            "-n 2 --cwd {path}/run-{{rank}} --env PORT=80{{rank}} -- sh -c 'echo $PORT ${{PWD##*/}}'"
        ),
    );
    contains(
        &shown,
        &["[stdout:fill.0] 800 run-0\n", "[stdout:fill.1] 801 run-1\n"],
    );
    // A line's end within a word is a part of it.
    let shown = printed(&mut session, "lines", "-- printf '<%s>\n' 'a\nb'");
    contains(&shown, &["[stdout:lines] <a\n", "[stdout:lines] b>\n"]);
    // The program itself may be one of the rank's own.
    script(folder.path(), "run0", "#!/bin/sh\necho zero\n", 0o755);
    script(folder.path(), "run1", "#!/bin/sh\necho one\n", 0o755);
    let shown = printed(
        &mut session,
        "own",
        &format!("-n 2 --cwd {path} -- ./run{{rank}}"),
    );
    contains(&shown, &["[stdout:own.0] zero", "[stdout:own.1] one"]);

    // Its folder, its empty input, no open file of the session's, and no signal that is ignored or held back.
    contains(
        &printed(&mut session, "cwd", &format!("--cwd {path} -- pwd -P")),
        &[&format!(
            "[stdout:cwd] {}\n",
            folder.path().canonicalize().expect("a path").display()
        )],
    );
    contains(
        &printed(&mut session, "input", "-- wc -c"),
        &["[stdout:input] 0\n"],
    );
    lacks(
        &printed(&mut session, "files", "-- ls -l /proc/self/fd"),
        &["socket:", "anon_inode:", "memfd:"],
    );
    let shown = printed(
        &mut session,
        "signals",
        "-- grep -E 'Sig(Blk|Ign)' /proc/self/status",
    );
    // None is blocked, and none ignored but those that whoever has started the session ignores.
    let own = std::fs::read_to_string("/proc/self/status").expect("a status");
    let pipe = 1 << (Signal::SIGPIPE as u64 - 1);
    let inherited = signals(&own, "SigIgn:") & !pipe;
    assert_eq!(signals(&shown, "SigBlk:"), 0, "{shown}");
    assert_eq!(signals(&shown, "SigIgn:") & !inherited, 0, "{shown}");

    // What cannot be started says why, and nothing of it runs or is listed.
    script(folder.path(), "plain.sh", "#!/bin/sh\n", 0o644);
    script(folder.path(), "lost.sh", "#!/no/such/interpreter\n", 0o755);
    script(folder.path(), "text", "no program\n", 0o755);
    for (words, told) in [
        (format!("-- {path}/plain.sh"), "it may not be executed"),
        (format!("-- {path}"), "it is a folder"),
        (
            format!("-- {path}/lost.sh"),
            "interpreter that its first line names is not found",
        ),
        (
            format!("-- {path}/text"),
            "neither a binary nor begins with `#!`",
        ),
        (format!("--cwd {path}/text -- pwd"), "there is no folder"),
        (
            format!("--cwd {path} -n 3 -- ./run{{rank}}"),
            "`./run2` is not found",
        ),
        ("-- ''".to_owned(), "is not found"),
        (
            "-- echo a-{rnak}.txt".to_owned(),
            "`{rnak}` is nothing that is filled in",
        ),
        (
            "--env DATA=d/{Rank} -- true".to_owned(),
            "did you mean `{rank}`?",
        ),
        (
            "--cwd {path}/{nmae} -- true".to_owned(),
            "did you mean `{name}`?",
        ),
        ("-n 1001 -- true".to_owned(), "it is from 1 to 1000"),
        ("-n -1 -- true".to_owned(), "not a number of children"),
        (
            "--restart on-failure:x -- true".to_owned(),
            "--restart on-failure:x",
        ),
        ("--env =x -- true".to_owned(), "--env NAME=VALUE"),
        ("--name '' -- true".to_owned(), "cannot name a child"),
    ] {
        let shown = session.cell(&format!("%spawn {words}"));
        contains(&unwrapped(&shown), &["error", told]);
    }
    let rows = table::rows(&session.cell("%children"));
    assert!(rows.iter().all(|row| row[2] == "done"), "{rows:?}");
}

/// What whoever started the session has open or ignores is not for its children.
#[test]
fn children_inherit_nothing_of_the_session_s_starter() {
    let cells = "%spawn -q --name files -- ls -l /proc/self/fd\n%wait files\n%logs files\n\
                 %spawn --name five -- sh -c 'exit 5'\n%wait five";
    let starts = "exec 7</etc/passwd 8>/dev/null; trap '' CHLD; exec \"$0\" --no-warm -e \"$1\"";
    let ran = Command::new("sh")
        .args(["-c", starts, support::BINARY, cells])
        .output()
        .expect("a shell");
    let shown = String::from_utf8_lossy(&ran.stdout).into_owned();
    let files = shown.lines().filter(|line| line.contains("[stdout:files]"));
    let files: Vec<&str> = files.filter(|line| line.contains(" -> ")).collect();
    // Its three streams, and the folder that `ls` reads.
    assert_eq!(files.len(), 4, "{shown}");
    lacks(&shown, &["/etc/passwd"]);
    let told = shown + &String::from_utf8_lossy(&ran.stderr);
    contains(&told, &["error", "five ended with exit code 5"]);
    assert_eq!(ran.status.code(), Some(1), "{told}");
}

#[test]
fn what_children_print_comes_whole() {
    let mut session = Session::cold();
    for (name, program, lines) in [
        ("last", "printf \"one\\ntwo\"", &["one\n", "two\n"][..]),
        ("crlf", "printf \"a\\r\\nb\\r\\n\"", &["a\n", "b\n"]),
        ("blank", "printf \"a\\n\\nb\\n\"", &["a\n", "b\n"]),
        (
            "cut",
            "printf \"\\303\"; sleep 0.1; printf \"\\251t\\303\\251\\n\"",
            &["été\n"],
        ),
        (
            "bad",
            "printf \"a\\377b\\300\\n\"",
            &["a\u{fffd}b\u{fffd}\n"],
        ),
        ("errors", "echo out; echo err >&2", &["out\n"]),
        (
            "fed",
            "printf \"half\"; sleep 0.2; echo \" whole\"",
            &["half whole\n"],
        ),
    ] {
        let shown = printed(&mut session, name, &format!("-- sh -c '{program}'"));
        for line in lines {
            contains(&shown, &[&format!("[stdout:{name}] {line}")]);
        }
    }
    contains(&session.cell("%logs errors"), &["[stderr:errors] err"]);
    // A line without an end is cut, and nothing of it is lost.
    let shown = printed(
        &mut session,
        "long",
        "-- sh -c 'head -c 30000 /dev/zero | tr \"\\0\" x; echo y'",
    );
    assert_eq!(shown.matches('x').count(), 30_000);
    contains(&shown, &["xy"]);
}

#[test]
fn how_children_end() {
    let mut session = Session::cold();
    for (name, program, told) in [
        ("term", "kill -TERM $$", "term was ended by SIGTERM"),
        ("segv", "kill -SEGV $$", "segv was ended by SIGSEGV"),
        ("high", "exit 255", "high ended with exit code 255"),
    ] {
        session.cell(&format!("%spawn --name {name} -- sh -c '{program}'"));
        contains(&session.cell(&format!("%wait {name}")), &["error", told]);
    }

    // A grandchild that holds the outputs open keeps no child from its end; what it prints comes all the same.
    session.cell("%spawn --name left -- sh -c '(sleep 2; echo late) & echo early'");
    contains(&session.cell("%wait left"), &["left: 1 child ended well"]);
    session.shows("[stdout:left] late", PATIENCE);
    // One that has left its parent and its group ends with `%stop`, also when the child is over.
    session.cell("%spawn --name twice -- sh -c '(setsid sleep 86021 &) ; exit 0'");
    contains(&session.cell("%wait twice"), &["ended well"]);
    proc::there_are(1, "86021");
    session.cell("%stop twice");
    proc::there_are(0, "86021");

    // A stopped one is ended too.
    session.cell("%spawn --name frozen -- sh -c 'kill -STOP $$; sleep 86022'");
    let row = |session: &mut Session, name: &str| {
        let rows = table::rows(&session.cell("%children"));
        let row = rows.into_iter().find(|row| row[0] == name);
        row.expect("a row")
    };
    let until = Instant::now() + PATIENCE;
    while row(&mut session, "frozen")[2] != "suspended" {
        assert!(Instant::now() < until, "it is not told to be suspended");
    }
    let shown = session.cell("%stop frozen --grace 60");
    contains(&shown, &["frozen: 1 child stopped"]);
    lacks(&shown, &["SIGKILL"]);
    assert_eq!(row(&mut session, "frozen")[3], "SIGTERM");
    // With time to tidy up.
    session.cell("%spawn --name tidy -- sh -c 'trap \"echo bye; exit 0\" TERM; echo up; while :; do sleep 0.05; done'");
    session.shows("[stdout:tidy] up", PATIENCE);
    let shown = session.cell("%stop tidy");
    contains(&shown, &["tidy: 1 child stopped"]);
    lacks(&shown, &["SIGKILL"]);
    contains(&session.cell("%logs tidy"), &["[stdout:tidy] bye"]);
    // One that waits for its restart is stopped at once.
    session.cell("%spawn -q --name again --restart always -- false");
    std::thread::sleep(Duration::from_millis(900));
    contains(&session.cell("%stop again"), &["again: 1 child stopped"]);
    assert_eq!(row(&mut session, "again")[2], "stopped");
    // Its name is free once it is over.
    contains(
        &session.cell("%spawn --name again -- true"),
        &["again runs"],
    );

    // A program that is gone when it is to be started again.
    let folder = tempfile::tempdir().expect("a folder");
    script(
        folder.path(),
        "once.sh",
        "#!/bin/sh\necho going >&2; rm once.sh; exit 1\n",
        0o755,
    );
    let path = folder.path().to_str().expect("a path");
    session.cell(&format!(
        "%spawn --name once --cwd {path} --restart on-failure:3 -- ./once.sh"
    ));
    contains(
        &session.cell("%wait once"),
        &["error", "once could not be started again"],
    );

    contains(&session.cell("%logs once"), &["[stderr:once] going"]);
    // One that is away for a while is tried until it is there.
    let program = "#!/bin/sh\nif [ -e here ]; then exec sleep 86025; fi\nrm back.sh; exit 1\n";
    script(folder.path(), "back.sh", program, 0o755);
    session.cell(&format!(
        "%spawn --name back --cwd {path} --restart always -- ./back.sh"
    ));
    session.shows(
        "back cannot be started again: `./back.sh` is not found; restart 2 in",
        PATIENCE,
    );
    std::fs::write(folder.path().join("here"), "").expect("a file");
    script(folder.path(), "back.sh", program, 0o755);
    proc::there_are(1, "86025");
    contains(&session.cell("%stop back"), &["back: 1 child stopped"]);

    // Ctrl-C at the prompt and in a cell is not for children.
    session.cell("%spawn --name kept -- sleep 86023");
    session.type_keys("abc");
    session.interrupt();
    proc::there_are(1, "86023");
    contains(&session.cell("%stop kept"), &["kept: 1 child stopped"]);
}

/// Of many, of names, and of those that there is no room for.
#[test]
fn many_children_and_too_many() {
    let mut session = Session::cold();
    contains(
        &session.cell("%spawn -q -n 200 --name many -- sh -c 'exit $(({rank} % 2))'"),
        &["many.0 … many.199: 200 children run"],
    );
    contains(
        &unwrapped(&session.cell("%wait many")),
        &[
            "error: 100 of 200 children failed: many.1 ended with exit code 1",
            "and 95 more",
        ],
    );
    assert_eq!(proc::zombies(session.pid()), [0; 0], "all are waited for");
    session.cell("%spawn -q -n 3 --name w -- sleep 86026");
    // A name that is mistyped ends none of the others.
    for (cell, told) in [
        ("%stop w x", "there is no child `x`"),
        ("%stop w:2", "did you mean w.2?"),
        ("%stop w.*", "did you mean w.0?"),
        ("%stop w.3", "did you mean w.0?"),
        ("%wait w many.200", "there is no child `many.200`"),
        ("%logs manny", "did you mean many?"),
    ] {
        contains(&session.cell(cell), &["error", told]);
    }
    proc::there_are(3, "86026");
    contains(
        &session.cell("%stop w.1 w.1 w"),
        &[
            "w.1: 1 child stopped",
            "w.1: no child runs",
            "w: 2 children stopped",
        ],
    );
    contains(
        &session.cell("%wait w.0 w.0 w"),
        &["w.0: 1 child stopped", "w: 3 children stopped"],
    );
    proc::there_are(0, "86026");
    drop(session);

    // What there is no room for does not run in part.
    let cells = "%spawn -q -n 200 -- sleep 86027";
    let limited = |cells: &str| {
        let starts = "ulimit -n 128; exec \"$0\" --no-warm -e \"$1\"";
        let ran = Command::new("sh")
            .args(["-c", starts, support::BINARY, cells])
            .output()
            .expect("a shell");
        let both = [ran.stdout, ran.stderr].concat();
        String::from_utf8_lossy(&both).into_owned()
    };
    contains(
        &limited(cells),
        &[
            "`sleep` cannot be started: too many files are open",
            "ulimit -n",
        ],
    );
    proc::there_are(0, "86027");
    contains(
        &limited("%spawn -q -n 9 --name few -- sh -c 'echo {rank}'\n%wait few\n%logs few"),
        &["[stdout:few.8] 8", "few: 9 children ended well"],
    );
}

/// Cases of pm2's and supervisor's tests: who names nobody has failed; names and lines of any letters; what a run has left
/// behind does not outlive the last one.
#[test]
fn nobody_is_an_error_and_names_have_any_letters() {
    for cell in [
        "%stop nobody",
        "%wait nobody",
        "%logs nobody",
        "%stop all",
        "%wait all",
        "%logs all",
    ] {
        let ran = support::regatta(&["--no-warm", "-e", cell], b"");
        assert_eq!(ran.status, 1, "{cell}: {} {}", ran.out, ran.err);
    }
    let mut session = Session::cold();
    let shown = printed(&mut session, "größe", "-- sh -c 'echo Øresund…'");
    contains(&shown, &["[stdout:größe] Øresund…"]);
    session.cell("%spawn -q --name leaves --restart on-failure:2 -- sh -c 'sleep 86031 & exit 1'");
    contains(
        &session.cell("%wait leaves"),
        &["leaves ended with exit code 1"],
    );
    proc::there_are(0, "86031");
}

#[test]
fn nothing_is_left_of_sessions_that_are_killed() {
    for _ in 0..10 {
        let mut session = Session::cold();
        session.cell(
            "%spawn -n 3 -- sh -c 'trap \"\" TERM HUP; setsid sleep 86024 & (sleep 86024 &) ; exec sleep 86024'",
        );
        proc::there_are(9, "86024");
        session.signal(Signal::SIGKILL);
        assert!(session.ended(PATIENCE).is_some(), "it is gone");
        proc::there_are(0, "86024");
    }
}
