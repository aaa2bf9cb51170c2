//! `%%memo` on disk: results are there for other processes and later sessions; processes that want the same compute it
//! once; what harms the file costs a notice.

mod support;

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{PATIENCE, Session, contains, lacks};

/// Defines `noted(n)`, which adds a line to `log` when it is computed.
fn define(session: &mut Session, log: &Path, options: &str) {
    session.cell("use std::io::Write as _;");
    let said = session.cell(&format!(
        "%%memo {options}\nfn noted(n: u64) -> u64 {{\n    \
         let mut log = std::fs::File::options().create(true).append(true).open({log:?}).unwrap();\n    \
         log.write_all(format!(\"{{n}}\\n\").as_bytes()).unwrap();\n    n * n\n}}"
    ));
    lacks(&said, &["error"]);
}

/// What was computed, line by line.
fn computed(log: &Path) -> Vec<u64> {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

const DAMAGED: &str = "the file of kept results was damaged";

#[test]
fn later_sessions_and_other_processes_find_what_was_computed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (memo, log) = (folder.path().join("memo"), folder.path().join("log"));
    let mut first = Session::keeping(&memo);
    define(&mut first, &log, "");
    contains(&first.cell("noted(3) + noted(4)"), &[": 25\n"]);
    first.cell("memo::cached(\"by name\", &(1, \"x\"), || vec![1.5, 2.5])");
    assert_eq!(first.end(), 0);

    let mut second = Session::keeping(&memo);
    define(&mut second, &log, "--limit 2GB");
    contains(&second.cell("noted(3)"), &[": 9\n"]);
    contains(
        &second.cell("memo::cached(\"by name\", &(1, \"x\"), || vec![0.0])"),
        &["[1.5, 2.5]"],
    );
    second.cell("%pool start processes -n 2");
    second.cell("%px noted(4)");
    assert_eq!(computed(&log), [3, 4]);
    let table = second.cell("%memo");
    let row = table.lines().find(|line| line.contains("noted"));
    let row: Vec<&str> = row.expect("a row").split('│').map(str::trim).collect();
    assert_eq!(row[1..6], ["noted", "0", "3", "0", "2"], "{table}");

    // Anew, and for all.
    second.cell("memo::fresh(|| noted(3))");
    assert_eq!(computed(&log), [3, 4, 3]);
    contains(
        &second.cell("%memo clear noted"),
        &["dropped 2 results of noted"],
    );
    second.cell("%px noted(4)");
    assert_eq!(computed(&log), [3, 4, 3, 4]);

    // Its name alone makes it no other function, another body does.
    second.cell(
        "%%memo --no-disk\nfn passing(n: u64) -> u64 {\n    println!(\"passing {n}\");\n    n\n}",
    );
    let both = second.cell("%px passing(1)");
    assert_eq!(both.matches("passing 1").count(), 2, "{both}");
    assert_eq!(second.end(), 0);

    // A session that has called nothing lists what others have, and drops it when it is told to.
    let mut third = Session::keeping(&memo);
    contains(&third.cell("%memo"), &["no function keeps its results"]);
    contains(
        &third.cell("%memo clear"),
        &["dropped 0 results of 0 functions"],
    );
    let all = third.cell("%memo --all");
    contains(&all, &["noted", "by name"]);
    lacks(&all, &["passing"]);
    define(&mut third, &log, "");
    let table = third.cell("%memo");
    contains(
        &table,
        &["│ noted    │    0 │         0 │      0 │       1 │"],
    );
    contains(
        &third.cell("%memo clear by"),
        &["no function `by` keeps results"],
    );
    contains(
        &third.cell("%memo clear --all"),
        &["dropped 2 results of 2 functions"],
    );
    lacks(&third.cell("%memo --all"), &["by name"]);
    third.cell("noted(4)");
    assert_eq!(computed(&log), [3, 4, 3, 4, 4]);
    assert_eq!(third.end(), 0);
}

#[test]
fn eight_processes_compute_a_thousand_results_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (memo, log) = (folder.path().join("memo"), folder.path().join("log"));
    let mut session = Session::keeping(&memo);
    define(&mut session, &log, "");
    session.cell("%pool start processes -n 8");
    let said = session.cell("%px (0..1000).map(noted).sum::<u64>()");
    contains(&said, &["│    0-7 │ 332833500 │"]);
    let mut found = computed(&log);
    assert_eq!(found.len(), 1000);
    found.sort_unstable();
    assert!(found.into_iter().eq(0..1000));
    assert_eq!(session.end(), 0);
}

#[test]
fn one_waits_for_another_and_takes_over_when_that_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (memo, path) = (folder.path().join("memo"), folder.path());
    let mut session = Session::keeping(&memo);
    session.cell(&format!(
        "%%memo\nfn slow(n: u64) -> u64 {{\n    let begun = std::path::Path::new({path:?}).join(std::process::id().to_string());\n    \
         let first = std::fs::read_dir({path:?}).unwrap().count() == 1;\n    std::fs::write(begun, \"\").unwrap();\n    \
         if first {{ std::thread::sleep(std::time::Duration::from_secs(300)); }}\n    n + 1\n}}"
    ));
    fs::create_dir_all(&memo).expect("a folder");
    session.cell("%pool start processes -n 2\n%px -a slow(1)");
    // One has begun, and the other waits.
    let since = Instant::now();
    let begun = || -> Vec<i32> {
        let entries = fs::read_dir(path).expect("a folder").flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter_map(|name| name.parse().ok()).collect()
    };
    while begun().is_empty() && since.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(300));
    let first = begun();
    assert_eq!(first.len(), 1, "one computes");
    kill(Pid::from_raw(first[0]), Signal::SIGKILL).expect("an engine");
    let said = session.cell("%pxresult");
    contains(&said, &["2"]);
    assert_eq!(begun().len(), 2, "the other has taken over");
    assert_eq!(session.end(), 0);
}

#[test]
fn a_kill_during_writes_loses_no_other_result() {
    let folder = tempfile::tempdir().expect("a folder");
    let (memo, log) = (folder.path().join("memo"), folder.path().join("log"));
    let done = folder.path().join("done");
    let mut session = Session::keeping(&memo);
    define(&mut session, &log, "");
    // What takes some time is on disk before the call returns.
    session.cell("%%memo\nfn slowly(n: u64) -> u64 { std::thread::sleep(std::time::Duration::from_millis(1)); noted(n) }");
    session.cell(&format!(
        "fn all(from: u64) {{\n    let mut done = std::fs::File::options().create(true).append(true).open({done:?}).unwrap();\n    \
         for n in from.. {{ slowly(n); done.write_all(format!(\"{{n}}\\n\").as_bytes()).unwrap(); }}\n}}"
    ));
    for round in 0..3 {
        session.cell(&format!("%pool start processes -n 3 --name p{round}"));
        session.cell(&format!(
            "%px_p{round} -a all({round}_000_000 + 100_000 * engine::rank() as u64)"
        ));
        let local = session.pid();
        std::thread::sleep(Duration::from_millis(400));
        for engine in session.engines() {
            assert_ne!(engine, local);
            kill(Pid::from_raw(engine), Signal::SIGKILL).expect("an engine");
        }
        session.cell(&format!("%pool stop p{round}"));
    }
    assert_eq!(session.end(), 0);
    let returned = computed(&done);
    assert!(returned.len() > 100, "{} results", returned.len());
    let before = computed(&log).len();

    let mut later = Session::keeping(&memo);
    define(&mut later, &log, "");
    later.cell("%%memo\nfn slowly(n: u64) -> u64 { std::thread::sleep(std::time::Duration::from_millis(1)); noted(n) }");
    let sum: u64 = returned.iter().map(|n| n * n).sum();
    let said = later.cell(&format!(
        "std::fs::read_to_string({done:?}).unwrap().lines().map(|n| slowly(n.parse().unwrap())).sum::<u64>()"
    ));
    contains(&said, &[&sum.to_string()]);
    lacks(&said, &[DAMAGED]);
    assert_eq!(computed(&log).len(), before, "none is computed again");
    assert_eq!(later.end(), 0);
}

#[test]
fn a_harmed_file_is_set_aside_with_one_notice() {
    let folder = tempfile::tempdir().expect("a folder");
    let (memo, log) = (folder.path().join("memo"), folder.path().join("log"));
    let file = memo.join("data.mdb");
    let cut = |part: u64| {
        let open = File::options().write(true).open(&file).expect("the file");
        let length = open.metadata().expect("its length").len();
        open.set_len(length / 8 * part).expect("a shorter file");
    };
    let scribble = |from: usize| {
        let mut bytes = fs::read(&file).expect("the file");
        let mut random = fastrand::Rng::with_seed(7);
        for byte in &mut bytes[from..] {
            *byte = random.u8(..);
        }
        fs::write(&file, bytes).expect("the file");
    };
    let harms: [&dyn Fn(); 5] = [
        &|| cut(4),
        &|| cut(0),
        &|| scribble(0),
        &|| scribble(8192),
        &|| {
            scribble(40_000);
        },
    ];
    for harm in harms {
        let mut session = Session::keeping(&memo);
        define(&mut session, &log, "");
        session.cell("(0..500).map(noted).sum::<u64>()");
        assert_eq!(session.end(), 0);
        harm();
        let _ = fs::remove_file(&log);
        let mut session = Session::keeping(&memo);
        define(&mut session, &log, "");
        session.cell("%pool start processes -n 3");
        let mut said = session.cell("%px (0..500).map(noted).sum::<u64>()");
        contains(&said, &["│    0-2 │ 41541750 │"]);
        said += &session.cell("noted(7)");
        said += &session.cell("1 + 1");
        assert_eq!(said.matches(DAMAGED).count(), 1, "{said}");
        assert_eq!(computed(&log).len(), 500);
        assert_eq!(session.end(), 0);
    }

    // While it is open.
    let mut session = Session::keeping(&memo);
    define(&mut session, &log, "");
    session.cell("%pool start processes -n 3");
    lacks(&session.cell("%px noted(7)"), &[DAMAGED]);
    cut(4);
    let mut said = session.cell("%px (2000..2100).map(noted).sum::<u64>()");
    said += &session.cell("noted(8)");
    contains(&said, &["420128350"]);
    assert_eq!(said.matches(DAMAGED).count(), 1, "{said}");
    fs::remove_dir_all(&memo).expect("a folder");
    let said = session.cell("%px (3000..3100).map(noted).sum::<u64>()");
    contains(&said, &["930028350"]);
    lacks(&said, &["error", "died"]);
    assert_eq!(session.end(), 0);
}

#[test]
fn no_room_and_no_folder_cost_a_notice() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    // A file stands where the folder should.
    let memo = folder.path().join("file");
    fs::write(&memo, "").expect("a file");
    let mut blocked = Session::keeping(&memo);
    define(&mut blocked, &log, "");
    blocked.cell("%pool start processes -n 2");
    let mut said = blocked.cell("noted(2)");
    said += &blocked.cell("%px noted(3)");
    said += &blocked.cell("noted(2) + noted(4)");
    contains(&said, &[": 4\n", ": 20\n"]);
    assert_eq!(said.matches("not on disk").count(), 1, "{said}");
    assert_eq!(blocked.end(), 0);

    // A small disk.
    let temporary = std::env::temp_dir();
    let temporary = temporary.to_str().expect("a path");
    let memo = folder.path().join("small");
    fs::create_dir(&memo).expect("a folder");
    let memo = memo.to_str().expect("a path");
    let script = "exec unshare -m sh -c 'mount -t tmpfs -o size=300k none \"$REGATTA_MEMO\" && exec \"$0\"' \"$0\"";
    let mut small = Session::under(script, &[("TMPDIR", temporary), ("REGATTA_MEMO", memo)]);
    small.prompt(PATIENCE);
    let _ = fs::remove_file(&log);
    define(&mut small, &log, "");
    small.cell("%%memo\nfn large(n: u64) -> Vec<u64> { vec![n; 40_000] }");
    let mut said = small.cell("(0..50).map(|n| large(n)[0]).sum::<u64>()");
    said += &small.cell("(0..50).map(|n| large(n)[0]).sum::<u64>() + noted(5)");
    said += &small.cell("noted(5)");
    contains(&said, &[": 1225\n", ": 1250\n", ": 25\n"]);
    assert_eq!(said.matches("not on disk").count(), 1, "{said}");
    contains(&said, &["No space left"]);
    assert_eq!(small.end(), 0);
}
