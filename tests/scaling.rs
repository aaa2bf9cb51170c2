//! `%scaling`: a map on ever more engines, in pools that are there for the time and gone when it ends, however it
//! ends.

mod support;

use std::time::Duration;

use support::proc::{arguments, below, leftovers};
use support::table::rows;
use support::{PATIENCE, Session, contains, lacks, regatta};

#[test]
fn each_number_of_engines_has_a_row() {
    let mut session = Session::start();
    session.cells(&[
        "fn fib(n: u64) -> u64 { if n <= 2 { 1 } else { fib(n - 1) + fib(n - 2) } }",
        "let inputs = vec![24u64; 16];",
        "%pool start processes -n 1 --name mine",
    ]);
    let shown = session.cell("%scaling fib over inputs --engines 3, 2 --repeat 2");
    contains(
        &shown,
        &[
            "fib · 16 items · processes · best of 2 runs",
            "serial fraction",
            "speedup over engines: ● measured",
            "┤",
        ],
    );
    lacks(&shown, &["error", "chunks", "[1, 1"]);
    let table = rows(&shown);
    let engines: Vec<&str> = table.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(engines, ["1", "2", "3"], "{shown}");
    assert!(
        table[0][4].is_empty() && table[2][4].ends_with('%'),
        "{shown}"
    );
    // The variable is still there, and the user's pool is the only one and the one in use.
    contains(&session.cell("inputs.len()"), &["16"]);
    let pools = session.cell("%pool list");
    contains(&pools, &["mine *"]);
    lacks(&pools, &["p0", "p1"]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("fib.svg");
    let shown = session.cell(&format!(
        "let k = 2u64;\n%scaling --kind threads --svg {} |n| fib(n) * k over inputs.clone() --engines 1,2",
        file.display()
    ));
    contains(&shown, &["16 items · threads · best of 3 runs", "wrote "]);
    let picture = std::fs::read_to_string(file).expect("a picture");
    assert!(picture.contains("<polyline") && picture.ends_with("</svg>\n"));
    contains(&session.cell("%pool list"), &["mine *"]);
    // What goes wrong is told, and leaves no pool either.
    for (cell, says) in [
        (
            "%scaling fib over inputs.into_iter() --engines 2",
            "so its inputs must last",
        ),
        (
            "%scaling |x: u64| 6 / x over 0..4u64 --engines 2",
            "divide by zero",
        ),
        (
            "%scaling --kind threads --timeout 1 fib over 0..4",
            "a thread cannot be stopped",
        ),
        (
            "%scaling fib over 0..4 --svg /no/such/folder/x.svg",
            "there is no folder /no/such/folder",
        ),
        (
            "%scaling fib over nothing --engines 2",
            "cannot find value `nothing`",
        ),
        (
            "%scaling fib over 0..4 --engine 2",
            "did you mean --engines?",
        ),
        (
            "%scaling fib over Vec::<u64>::new() --engines 2",
            "the map has no items",
        ),
    ] {
        contains(&session.cell(cell), &[says]);
        let pools = session.cell("%pool list");
        contains(&pools, &["mine *"]);
        lacks(&pools, &["p0", "t0"]);
    }
    contains(&session.cell("inputs.len()"), &["16"]);
    assert_eq!(session.end(), 0);
}

#[test]
fn ctrl_c_leaves_no_pool() {
    let mut session = Session::start();
    session.cells(&[
        "fn nap(x: u64) -> u64 { std::thread::sleep(std::time::Duration::from_millis(x)); x }",
        "let kept = 7;",
    ]);
    let engines = session.engines();
    // In a long item, between short maps, and on threads, which end with the item under way.
    for (cell, shows) in [
        ("%scaling nap over vec![60_000u64; 4] --engines 2", "busy"),
        (
            "%scaling nap over vec![40u64; 4] --repeat 500 --engines 2",
            "pools",
        ),
        (
            "%scaling --kind threads nap over vec![300u64; 40] --engines 2",
            "run 1 of 3",
        ),
    ] {
        session.enter(cell);
        session.shows(shows, PATIENCE);
        std::thread::sleep(Duration::from_millis(300));
        let shown = session.interrupt();
        contains(
            &shown,
            &["interrupted", "the pools of %scaling are stopped"],
        );
        contains(&session.cell("kept"), &["7"]);
        lacks(&session.cell("%pool list"), &["p0", "t0"]);
        assert_eq!(session.engines(), engines, "{cell}");
    }
    // Nor does the end of the session, or its death.
    session.enter("%scaling nap over vec![60_000u64; 4] --engines 4");
    session.shows("busy", PATIENCE);
    // The compiler may go on.
    let mut all = below(session.pid());
    all.retain(|pid| arguments(*pid).contains("__engine"));
    assert!(all.len() > engines.len());
    session.signal(rexpect::process::Signal::SIGKILL);
    session.ended(PATIENCE);
    assert_eq!(leftovers(&all, PATIENCE), []);
}

#[test]
fn numbers_are_told_as_json() {
    let ran = regatta(
        &[
            "-e",
            "%scaling --kind threads --repeat 2 |x: u64| (0..x * 1000).map(std::hint::black_box).sum::<u64>() over 1..9",
            "--format",
            "json",
        ],
        b"",
    );
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    let event = ran
        .out
        .lines()
        .find(|line| line.contains("\"event\":\"scaling\""));
    let event: serde_json::Value = serde_json::from_str(event.expect("an event")).expect("JSON");
    assert_eq!(event["items"], 8);
    assert_eq!(event["kind"], "threads");
    let rows = event["rows"].as_array().expect("rows");
    assert_eq!(
        (rows[0]["engines"].as_u64(), rows[1]["engines"].as_u64()),
        (Some(1), Some(2))
    );
    for row in rows {
        let walls = row["walls"].as_array().expect("times");
        assert_eq!(walls.len(), 2);
        let best = walls
            .iter()
            .filter_map(serde_json::Value::as_f64)
            .fold(f64::MAX, f64::min);
        assert_eq!(row["wall"].as_f64(), Some(best));
        let first = rows[0]["wall"].as_f64().expect("a time");
        // Times read back from JSON may differ in their last digit.
        let speedup = row["speedup"].as_f64().expect("a speedup");
        assert!((speedup * best / first - 1.0).abs() < 1e-9, "{row}");
    }
    assert!(event["serial_fraction"].is_f64());
}
