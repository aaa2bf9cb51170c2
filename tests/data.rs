//! `%push`, `%pull`, `%scatter` and `%gather`; and that nothing of shared memory stays behind.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use nix::sys::signal::kill;
use nix::unistd::Pid;
use rexpect::process::Signal;
use support::{PATIENCE, Session, contains, lacks, proc};

#[test]
fn variables_travel_there_and_back() {
    let mut session = Session::alone();
    contains(
        &session.cell("%push nothing"),
        &["error", "no pool is started"],
    );
    session.cells(&[
        "%pool start -n 3",
        "#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]\nstruct Body { mass: f64, name: String }",
        "let k = 2.5f64;",
        "let word = \"text\";",
        "let names = vec![String::from(\"a\"), String::from(\"b\")];",
        "let bodies: Vec<Body> = (0..7).map(|i| Body { mass: i as f64, name: format!(\"b{i}\") }).collect();",
        "let all: Vec<u64> = (0..10).collect();",
    ]);

    // Push.
    contains(
        &session.cell("%push k, names"),
        &["pushed k", "3 engines of p0", "k: f64", "Vec<String>"],
    );
    contains(&session.cell("%push word --as w"), &["as w: String"]);
    contains(
        &session.cell("%push bodies -t 0,2 --as them"),
        &["2 engines", "them: Vec<Body>"],
    );
    contains(
        &session.cell("%px k * 2.0 + names.len() as f64 + w.len() as f64"),
        &["│    0-2 │   11.0 │"],
    );
    contains(
        &session.cell("%px -t 0,2 them[6].name.clone()"),
        &["│    0,2 │", "\"b6\""],
    );
    contains(&session.cell("k + word.len() as f64"), &["6.5"]);

    // Pull.
    session.cells(&[
        "%px let rank = engine::rank() as u64; let body = Body { mass: 1.5, name: format!(\"e{rank}\") };",
        "let ranks = %pull rank",
        "let some = %pull body -t 1:",
    ]);
    contains(&session.cell("ranks"), &["[0, 1, 2]"]);
    contains(&session.cell("%type some"), &["Vec<Body>"]);
    contains(
        &session.cell("some.iter().map(|b| b.name.as_str()).collect::<Vec<_>>()"),
        &["[\"e1\", \"e2\"]"],
    );
    contains(&session.cell("%pull rank -t -1"), &["[2]"]);

    // Scatter and gather, in blocks and in turns.
    session.cells(&["%scatter all --as part"]);
    contains(
        &session.cell("%px part.clone()"),
        &["[0, 1, 2]", "[3, 4, 5]", "[6, 7, 8, 9]"],
    );
    session.cells(&[
        "%px let part: Vec<u64> = part.iter().map(|x| x * x).collect();",
        "let squares = %gather part",
    ]);
    contains(
        &session.cell("squares == (0..10u64).map(|x| x * x).collect::<Vec<_>>()"),
        &["true"],
    );
    session.cells(&["%scatter bodies --as turns --cyclic"]);
    contains(
        &session.cell("%px turns.iter().map(|b| b.name.as_str()).collect::<Vec<_>>().join(\" \")"),
        &["\"b0 b3 b6\"", "\"b1 b4\"", "\"b2 b5\""],
    );
    session.cells(&["let again = %gather turns --cyclic"]);
    contains(&session.cell("again == bodies"), &["true"]);
    session.cells(&[
        "%scatter names --as one -t 0,1",
        "let both = %gather one -t 0,1",
    ]);
    contains(&session.cell("both"), &["[\"a\", \"b\"]"]);
    // More engines than elements.
    session.cells(&[
        "let two = [5u8, 6];",
        "%scatter two",
        "let two_again = %gather two",
    ]);
    contains(&session.cell("two_again"), &["[5, 6]"]);
    // A large one, through shared memory.
    session.cells(&[
        "let large: Vec<f64> = (0..2_000_000).map(f64::from).collect();",
        "%scatter large --as slab",
        "%px let slab: Vec<f64> = slab.into_iter().map(|x| x + 1.0).collect();",
        "let larger = %gather slab",
    ]);
    contains(
        &session.cell(
            "larger.len() == large.len() && larger.iter().zip(&large).all(|(a, b)| *a == b + 1.0)",
        ),
        &["true"],
    );

    errors(&mut session);
    assert_eq!(session.end(), 0);
}

fn errors(session: &mut Session) {
    session.cells(&[
        "use std::rc::Rc;",
        "let shared = Rc::new(1u8);",
        "#[derive(Debug)] struct Plain(u8);",
        "let plain = Plain(1);",
        "%px -t 0 let only = 1u8;",
        "%px if engine::rank() == 0 { 1 } else { 2 };",
    ]);
    for (code, parts) in [
        ("%push nmes", &["`nmes`", "did you mean `names`"][..]),
        ("%push shared", &["`shared`", "cannot travel", "Rc<u8>"]),
        ("%push plain", &["`plain`", "cannot travel", "derive"]),
        ("%scatter k", &["`k` is f64", "Vec or an array", "%push k"]),
        ("%push k -t 7", &["7", "3"]),
        ("%push k names --as both", &["both"]),
        ("let x = %pull nowhere", &["no `nowhere`", "0, 1, 2"]),
        ("let x = %pull only", &["no `only`", "1, 2", "-t"]),
        ("let x = %gather rank", &["`rank` is u64"]),
        ("%scatter all --block --cyclic", &["--block", "--cyclic"]),
        ("%push", &["name of a variable"]),
    ] {
        let shown = session.cell(code);
        contains(&shown, &["error"]);
        contains(&shown, parts);
        assert_eq!(shown.matches("error").count(), 1, "said once: {shown}");
        lacks(&shown, &["regatta_cell", "evcxr"]);
    }
    contains(&session.cell("k"), &["2.5"]);
    contains(&session.cell("%px k"), &["│    0-2 │    2.5 │"]);
}

/// Files in memory that processes have open, by number, with their size in bytes.
fn open_in_memory(pids: &[i32]) -> BTreeMap<u64, u64> {
    let mut found = BTreeMap::new();
    for pid in pids {
        let open = fs::read_dir(format!("/proc/{pid}/fd"));
        for entry in open.into_iter().flatten().flatten() {
            let is_ours = fs::read_link(entry.path())
                .is_ok_and(|path| path.to_string_lossy().starts_with("/memfd:regatta"));
            if let Some(data) = fs::metadata(entry.path()).ok().filter(|_| is_ours) {
                found.insert(data.ino(), data.len());
            }
        }
    }
    found
}

/// Every process of the machine.
fn everyone() -> Vec<i32> {
    let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = folders.filter_map(|folder| folder.file_name().into_string().ok());
    names.filter_map(|name| name.parse().ok()).collect()
}

fn shared_files() -> Vec<std::ffi::OsString> {
    let folder = fs::read_dir("/dev/shm").into_iter().flatten().flatten();
    let mut names: Vec<_> = folder.map(|entry| entry.file_name()).collect();
    names.sort();
    names
}

#[test]
fn shared_memory_is_given_back() {
    /// What one of the variables below takes.
    const LARGE: u64 = 80 << 20;
    /// What three processes may keep for later, and a value in flight.
    const MOST: u64 = 600 << 20;
    let files = shared_files();
    let mut session = Session::alone();
    session.cells(&[
        "%pool start -n 2",
        "let table: Vec<f64> = vec![1.0; 10 << 20];",
        "fn slow(x: u64) -> u64 { std::thread::sleep(std::time::Duration::from_millis(50)); x }",
        "%px let there = 1;",
    ]);
    let held = |session: &Session| -> u64 {
        let mut pids = vec![session.pid()];
        pids.extend(session.engines());
        open_in_memory(&pids).values().sum()
    };
    let moved = |session: &mut Session| {
        session.cells(&["%scatter table --as part", "let again = %gather part"]);
        session.cells(&["%push table --as whole", "let wholes = %pull whole"]);
        contains(&session.cell("wholes.len() + again.len()"), &["10485762"]);
        session
            .cells(&["let table_by_map = %map |i: usize| vec![i as f64; 1 << 20] over 0..4usize"]);
    };
    // Buffers are used again or given back: a round moves some 450 MB.
    for _ in 0..6 {
        moved(&mut session);
        let now = held(&session);
        assert!(now <= MOST, "shared memory grows to {now} bytes");
    }
    assert_eq!(shared_files(), files);

    // `kill -9` of engines while large inputs and results travel.
    for _ in 0..3 {
        let engine = session.engines()[1];
        session.enter("let big = %map |x: Vec<f64>| { std::thread::sleep(std::time::Duration::from_millis(20)); x } over (0..40).map(|i| vec![i as f64; 1 << 18])");
        session.shows("40 items", PATIENCE);
        std::thread::sleep(Duration::from_millis(150));
        // It may have been replaced.
        let _ = kill(Pid::from_raw(engine), Signal::SIGKILL);
        let shown = session.prompt(PATIENCE);
        lacks(&shown, &["error"]);
        contains(
            &session.cell("big.len() == 40 && big.iter().enumerate().all(|(i, v)| v.len() == 1 << 18 && v[7] == i as f64)"),
            &["true"],
        );
        let now = held(&session);
        assert!(now <= MOST, "shared memory grows to {now} bytes");
    }
    assert_eq!(shared_files(), files);

    // `kill -9` of the session, in the middle of a map with a large capture.
    session.enter("%map |x: u64| slow(x) + table.len() as u64 over 0..400u64");
    session.shows("captures table", PATIENCE);
    std::thread::sleep(Duration::from_millis(300));
    let mut pids = session.engines();
    pids.push(session.pid());
    let shared = open_in_memory(&pids);
    assert!(
        shared.values().any(|bytes| *bytes >= LARGE),
        "nothing is shared: {shared:?}"
    );
    let below = proc::below(session.pid());
    session.signal(Signal::SIGKILL);
    assert!(session.ended(PATIENCE).is_some());
    let left = proc::leftovers(&below, PATIENCE);
    assert!(left.is_empty(), "processes go on: {left:?}");
    let still: Vec<u64> = open_in_memory(&everyone())
        .into_keys()
        .filter(|file| shared.contains_key(file))
        .collect();
    assert!(still.is_empty(), "files in memory stay: {still:?}");
    assert_eq!(shared_files(), files);
}

#[test]
fn a_captured_value_is_sent_once() {
    const LARGE: u64 = 80 << 20;
    let mut session = Session::alone();
    session.cells(&[
        "%pool start -n 2",
        "let mut table: Vec<f64> = vec![1.0; 10 << 20];",
        "let k = 1.0f64;",
    ]);
    let map = "let got = %map |i: usize| { std::thread::sleep(std::time::Duration::from_millis(50)); table[i] + k } over 0..8usize";
    let processes = |session: &Session| [session.engines(), vec![session.pid()]].concat();
    let engines = processes(&session);
    // A value that was sent stays, in a file of its own.
    let large = || -> Vec<u64> {
        let files = open_in_memory(&engines).into_iter();
        files
            .filter(|(_, bytes)| *bytes >= LARGE)
            .map(|(file, _)| file)
            .collect()
    };
    assert!(large().is_empty(), "{:?}", large());
    let shown = session.cell(map);
    contains(
        &shown,
        &[
            "captures",
            "table: Vec<f64> (83.9 MB)",
            "k: f64 (8 B)",
            "once per engine",
        ],
    );
    contains(&session.cell("got"), &["[2.0, 2.0, 2.0, 2.0, "]);
    let first = large();
    assert_eq!(first.len(), 1, "{first:?}");
    // Engines read it where it is: a copy has the session's own alone.
    let own = session.engines().into_iter();
    let own: Vec<u64> = own.map(|pid| proc::memory(pid, "RssAnon")).collect();
    let small = own.iter().filter(|bytes| **bytes < LARGE / 2);
    assert_eq!(small.count(), own.len() - 1, "{own:?}");
    // More maps send nothing of it again.
    for _ in 0..5 {
        contains(&session.cell(map), &["already there", "wall"]);
        contains(&session.cell("got.len()"), &["8"]);
    }
    assert_eq!(processes(&session), engines);
    assert_eq!(large(), first);

    // A changed value is another one, and the one before, which no variable has any more, is given back.
    session.cells(&["table[3] = 41.0;", map]);
    contains(&session.cell("got"), &["[2.0, 2.0, 2.0, 42.0, "]);
    let second = large();
    assert!(second.len() == 1 && second != first, "{second:?}");
    // An engine that is new has none yet.
    session.cells(&["%pool restart", map]);
    contains(&session.cell("got"), &["[2.0, 2.0, 2.0, 42.0, "]);
    assert_eq!(large(), second);
    assert_eq!(session.end(), 0);
}
