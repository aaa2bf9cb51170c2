//! `%parallel` on a cluster whose node sees neither the session's processes nor its files: what commands come to, what of
//! it is written, and when they begin and end is as on processes.

mod support;

use std::fs;
use std::path::Path;
use std::time::Instant;

use support::hosts::Hosts;
use support::{Session, contains, lacks};

/// Starts a node that has processes and a folder for temporary files of its own.
const APART: &str = "mount -t tmpfs none /tmp && exec \"$@\"";

/// A session with a cluster of two engines, in a folder that the node does not see.
fn session(folder: &Path, kind: &str) -> Session {
    let script = folder.join("apart.sh");
    fs::write(&script, APART).expect("a script");
    let mut session = Session::start();
    session.cells(&[&format!("%cd {}", folder.display())]);
    let node = format!(
        "unshare --pid --fork --mount --mount-proc sh {}",
        script.display()
    );
    let start = format!("%pool start cluster --launcher '{node} {{command}}' -n 2{kind}");
    contains(&session.cell(&start), &["2 cluster engines"]);
    // Neither is a file of the session's there.
    let shown = session.cell(&format!(
        "%parallel -q 'ls {}; true' ::: 1",
        script.display()
    ));
    contains(&shown, &["No such file"]);
    session
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(folder.path().starts_with("/tmp"), "a node would see it");
    folder
}

/// The fields of each line of a job log, by the commands' numbers.
fn logged(log: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(log).expect("a job log");
    let lines = text.lines().skip(1);
    let mut lines: Vec<Vec<String>> = lines
        .map(|line| line.split('\t').map(|it| it.trim().to_owned()).collect())
        .collect();
    lines.sort_by_key(|fields| fields[0].parse::<u64>().expect("a number"));
    lines
}

fn writes(session: &mut Session, folder: &Path) {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    let shown = session
        .cell("%parallel -q --joblog log --results out 'echo {}; echo no >&2; exit {}' ::: 0 3");
    contains(&shown, &["exit 3", "1 of 2 jobs failed"]);
    let lines = logged(&folder.join("log"));
    assert_eq!(lines.len(), 2, "{lines:?}");
    for (line, [seq, code]) in lines.iter().zip([["1", "0"], ["2", "3"]]) {
        assert_eq!(line[0], seq);
        assert_eq!(line[1], host.trim());
        assert!(
            line[2].parse::<f64>().is_ok_and(|began| began > 1e9),
            "{line:?}"
        );
        assert_eq!(line[4..8], ["0", "2", code, "0"]);
        assert_eq!(line[8], format!("echo {code}; echo no >&2; exit {code}"));
        let read = |name| fs::read_to_string(folder.join(format!("out/1/{code}/{name}"))).unwrap();
        assert_eq!(read("stdout"), format!("{code}\n"));
        assert_eq!((read("stderr"), read("seq")), ("no\n".into(), seq.into()));
    }
    let again = "%parallel -q --joblog log --resume-failed 'echo {}; echo no >&2; exit {}' ::: 0 3";
    contains(&session.cell(again), &["1 of 1 job failed"]);
    assert_eq!(logged(&folder.join("log")).len(), 3);
    // In the background.
    session.cells(&["%parallel -a --joblog later 'echo {}' ::: a b c", "%wait"]);
    assert_eq!(logged(&folder.join("later")).len(), 3);
    contains(&session.cell("%parallel -q 'echo {}' ::: a"), &["a"]);
    contains(
        &session.cell("let r = %parallel -q 'true {}' ::: a\nr[0].host.clone()"),
        &[&format!("\"{}\"", host.trim())],
    );
}

fn takes_input(session: &mut Session, folder: &Path) {
    let lines: String = (1..=2000).map(|line| format!("{line}\n")).collect();
    fs::write(folder.join("lines"), lines).expect("a file");
    let shown = session.cell("%parallel -q --joblog piped --pipe --block 4k wc -l :::: lines");
    contains(&shown, &["1021\n800\n179"]);
    let lines = logged(&folder.join("piped"));
    let sent = lines.iter().map(|line| line[4].as_str());
    assert_eq!(sent.collect::<Vec<_>>(), ["3998", "4000", "895"]);
    session.cells(&["let lines: Vec<String> = (1..=2000).map(|n| n.to_string()).collect();"]);
    let shown = session.cell("%parallel -q --pipe --block 4k wc -l over lines");
    contains(&shown, &["1021\n800\n179"]);
    session.cells(&[
        "%parallel -a --pipe -N 500 wc -l :::: lines",
        "let counted = %result",
    ]);
    let count = "counted.iter().map(|it| it.text().trim().parse::<u32>().unwrap()).sum::<u32>()";
    contains(&session.cell(count), &["2000"]);
}

fn halts(session: &mut Session, folder: &Path) {
    let shown = session
        .cell("%parallel -q --halt soon,fail=1 'sleep 0.1; exit {}' ::: 1 0 0 0 0 0 0 0 0 0");
    contains(&shown, &["1 of 10 jobs failed", "never began"]);
    let shown = session.cell(
        "%parallel -q --halt now,fail=1 --joblog ended 'sleep {}; exit 1' ::: 0.5 8001 8002 8003",
    );
    contains(&shown, &["SIGTERM", "2 of 4 jobs failed, 2 never began"]);
    // Which were ended is not over.
    assert_eq!(logged(&folder.join("ended")).len(), 1);
    let shown = session
        .cell("%parallel -q --halt soon,success=50% 'sleep 0.1; true {}' ::: 1 2 3 4 5 6 7 8");
    lacks(&shown, &["error"]);
    let shown = session.cell(
        "let some = %parallel -q --halt soon,done=3 'sleep 0.1; true {}' ::: 1 2 3 4 5 6 7 8",
    );
    contains(&shown, &["of 8 jobs never began", "`--halt` left them out"]);
    lacks(&shown, &["said last"]);
    contains(
        &session.cell("some.iter().filter(|it| it.tries > 0).count() < 6"),
        &["true"],
    );
    session.cells(&["%parallel -a --halt now,success=1 'sleep {}' ::: 0.3 8004 8005"]);
    lacks(&session.cell("%wait"), &["error"]);
    // It was that call alone.
    let shown = session.cell("%parallel -q --halt soon,fail=1 'echo ran {}' ::: a b c");
    contains(&shown, &["ran a\nran b\nran c"]);
}

fn waits(session: &mut Session) {
    let since = Instant::now();
    session.cells(&["let begun = %parallel -q --delay 0.5 'date +%s%N; true {}' ::: 1 2 3 4"]);
    assert!(since.elapsed().as_secs_f64() >= 1.5);
    session.cells(&[
        "let begun: Vec<u64> = begun.iter().map(|it| it.text().trim().parse().unwrap()).collect();",
    ]);
    let apart = "let mut b = begun.clone(); b.sort(); b.windows(2).all(|two| two[1] - two[0] > 300_000_000)";
    contains(&session.cell(apart), &["true"]);
    let shown =
        session.cell("%parallel -q --timeout 400% 'sleep {}' ::: 0.2 0.2 0.2 0.2 0.2 0.2 8006");
    contains(&shown, &["timed out", "sleep 8006", "1 of 7 jobs failed"]);
}

#[test]
fn what_commands_came_to_is_written_where_the_session_is() {
    let folder = folder();
    let mut session = session(folder.path(), "");
    writes(&mut session, folder.path());
    assert_eq!(session.end(), 0);
}

#[test]
fn standard_input_goes_along() {
    let folder = folder();
    let mut session = session(folder.path(), "");
    takes_input(&mut session, folder.path());
    assert_eq!(session.end(), 0);
}

#[test]
fn hosts_halt_together() {
    let folder = folder();
    let mut session = session(folder.path(), "");
    halts(&mut session, folder.path());
    assert_eq!(session.end(), 0);
}

#[test]
fn hosts_wait_for_each_other() {
    let folder = folder();
    let mut session = session(folder.path(), "");
    waits(&mut session);
    assert_eq!(session.end(), 0);
}

#[test]
fn it_is_so_through_a_queue() {
    let folder = folder();
    let mut session = session(folder.path(), " --durable");
    writes(&mut session, folder.path());
    takes_input(&mut session, folder.path());
    halts(&mut session, folder.path());
    waits(&mut session);
    assert_eq!(session.end(), 0);
}

#[test]
fn several_hosts_are_named_and_counted_together() {
    let folder = folder();
    let hosts = Hosts::up("parallel");
    let mut session = hosts.session([1, 1]);
    let log = folder.path().join("log");
    // One that fails on each is two.
    let values = "1 1 0 0 0 0 0 0 0 0 0 0";
    let shown = session.cell(&format!(
        "%parallel -q --joblog {} --halt soon,fail=2 'sleep 0.2; exit {{}}' ::: {values}",
        log.display()
    ));
    contains(&shown, &["2 of 12 jobs failed", "never began"]);
    let mut of = logged(&log);
    of.sort_by(|one, other| one[1].cmp(&other[1]));
    of.dedup_by(|one, other| one[1] == other[1]);
    let of: Vec<&str> = of.iter().map(|fields| fields[1].as_str()).collect();
    assert_eq!(of, ["node1", "node2"]);
    assert_eq!(session.end(), 0);
}
