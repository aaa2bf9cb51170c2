//! `%memo explain`: whether a call would find its result, and why not, without running it.

mod support;

use std::path::Path;
use std::time::Duration;

use support::{Session, contains, lacks, notebook};

/// A session whose results are in this folder, and which breaks no line.
fn session(memo: &Path) -> Session {
    let memo = memo.to_str().expect("a path");
    Session::taking_over(&[("REGATTA_MEMO", memo), ("COLUMNS", "300")])
}

const HELPER: &str = "fn helper(n: u64) -> f64 { n as f64 }";
const SLOW: &str = "%%memo\nfn slow(n: u64, scale: f64) -> f64 {\n    println!(\"running {n}\");\n    \
                    let long = helper(n); // as it is\n    long * scale\n}";

/// What a call is told to be; it must not run.
fn explained(session: &mut Session, call: &str) -> String {
    let said = session.cell(&format!("%memo explain {call}"));
    lacks(&said, &["running", "Out["]);
    said
}

#[test]
fn a_call_is_a_hit_or_a_miss_for_what_the_session_has_done() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut session = session(folder.path());
    session.cells(&[HELPER, SLOW]);
    let never = "slow(3, 1.0): miss, never computed\n";
    contains(&explained(&mut session, "slow(3, 1.0)"), &[never]);
    contains(&session.cell("slow(3, 1.0)"), &["running 3", "3.0"]);
    let said = explained(&mut session, "slow(3, 1.0);");
    contains(
        &said,
        &["slow(3, 1.0): hit, the value is there, in memory and on disk, made by the local engine"],
    );
    contains(&said, &["in this session", "computing it took"]);
    // It counts as no call.
    let table = session.cell("%memo");
    let row = table.lines().find(|line| line.contains("slow"));
    let row: Vec<&str> = row.expect("a row").split('│').map(str::trim).collect();
    assert_eq!(row[1..6], ["slow", "0", "0", "1", "1"], "{table}");

    // The nearest, by their numbers.
    session.cell("for n in [100, 5, 90] { slow(n, 1.0); }");
    let said = explained(&mut session, "slow(4, 1.0)");
    contains(
        &said,
        &["slow(4, 1.0): miss, never computed; of 4 results the nearest"],
    );
    let nearest: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("made by"))
        .collect();
    let begins = ["  slow(3, 1.0)", "  slow(5, 1.0)", "  slow(90, 1.0)"];
    assert_eq!(nearest.len(), 3, "{said}");
    assert!(
        nearest
            .iter()
            .zip(begins)
            .all(|(line, begin)| line.starts_with(begin)),
        "{said}"
    );

    // The body changes, is as it was, and a helper changes.
    let other = SLOW.replace("long * scale", "long * scale + 1.0");
    session.cells(&[&other]);
    let said = explained(&mut session, "slow(3, 1.0)");
    let (_, after) = said
        .split_once("miss, the body changed in In [")
        .expect(&said);
    let cell: u32 = after
        .split(']')
        .next()
        .and_then(|n| n.parse().ok())
        .expect(&said);
    contains(
        &said,
        &[
            "  -     long * scale\n",
            "  +     long * scale + 1.0\n",
            "has a value, made by",
        ],
    );
    lacks(&said, &["println", "REGATTA_MEMO"]);
    let later = session.cell("panic!(\"here\")");
    contains(&later, &[&format!("In [{}]", cell + 2)]);
    session.cells(&[SLOW]);
    contains(&explained(&mut session, "slow(3, 1.0)"), &["hit"]);
    session.cells(&["fn helper(n: u64) -> f64 {\n    2.0 * n as f64\n}"]);
    let said = explained(&mut session, "slow(3, 1.0)");
    contains(
        &said,
        &[
            "miss, `helper` changed in In [",
            "  - fn helper(n: u64) -> f64 { n as f64 }\n",
            "  +     2.0 * n as f64\n",
        ],
    );

    // Its arguments are evaluated as always, also where they call it; what they are made of stays.
    session.cells(&["%%memo\nfn total(parts: Vec<f64>, of: &[u8]) -> f64 { parts.iter().sum::<f64>() + of.len() as f64 }"]);
    session.cells(&["let parts = vec![1.0, 2.5]; let n = 3_u64;"]);
    contains(
        &explained(&mut session, "total(parts, &[1, 2])"),
        &["total([1.0, 2.5], [1, 2]): miss, never"],
    );
    contains(&session.cell("total(parts.clone(), &[1, 2])"), &["5.5"]);
    contains(&explained(&mut session, "total(parts, &[1, 2])"), &["hit"]);
    contains(&session.cell("parts"), &["[1.0, 2.5]"]);
    let said = session.cell("%memo explain slow(slow(n, 2.0) as u64, 1.0)");
    contains(&said, &["running 3", "slow(12, 1.0): miss, never computed"]);
    contains(
        &explained(&mut session, "slow(n, 2.0)"),
        &["slow(3, 2.0): hit"],
    );
    let said = session.cell("%memo explain slow([1, 2][n as usize], 1.0)");
    contains(&said, &["panicked", "index out of bounds"]);
    contains(&session.cell("n"), &["3"]);

    // What is no such call.
    for (call, parts) in [
        ("", &["needs a call", "%memo explain"][..]),
        ("slow", &["`slow` is no call", "%memo explain slow("]),
        ("slow(1, 2.0) + 1.0", &["is no call"]),
        (
            "slwo(3, 1.0)",
            &["no function `slwo` keeps results", "did you mean slow?"],
        ),
        ("helper(3)", &["`helper` keeps no results", "%%memo"]),
        ("slow(\"3\", 1.0)", &["mismatched types", "expected `u64`"]),
        ("slow(3)", &["E0061"]),
    ] {
        contains(&session.cell(&format!("%memo explain {call}")), parts);
    }
    contains(
        &session.cell("%memo explian slow(3, 1.0)"),
        &["did you mean explain?"],
    );
    contains(
        &session.cell("%%memo explain\nfn f() {}\n"),
        &["`explain` stands with `%memo`"],
    );

    // By name.
    let cached = "memo::cached(\"squares\", &(7, 'x'), || { println!(\"running\"); 49_u64 })";
    contains(
        &explained(&mut session, cached),
        &["squares((7, 'x')): miss, never"],
    );
    session.cell(cached);
    contains(
        &explained(&mut session, cached),
        &["squares((7, 'x')): hit"],
    );
    contains(
        &session.cell("%memo explain \"squares\""),
        &["is no call", "memo::cached(\"squares\","],
    );
    // One that has become a plain function does not run either.
    session.cells(&[
        "fn slow(n: u64, scale: f64) -> f64 {\n    println!(\"running {n}\");\n    scale\n}",
    ]);
    contains(
        &explained(&mut session, "slow(3, 1.0)"),
        &["`slow` keeps no results"],
    );
    assert_eq!(session.end(), 0);
}

#[test]
fn what_is_too_old_too_much_or_not_kept_is_told_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut session = session(folder.path());
    session.cells(&[
        "%%memo --ttl 1s\nfn short(n: u64) -> u64 { n }",
        "%%memo --limit 2kB\nfn much(n: u64) -> Vec<u8> { vec![n as u8; 100] }",
        "%%memo --ok\nfn half(n: u64) -> Option<u64> { (n % 2 == 0).then_some(n / 2) }",
        "%%memo --no-disk\nfn passing(n: u64) -> u64 { n }",
    ]);
    session.cell("short(1)");
    std::thread::sleep(Duration::from_millis(1100));
    let said = explained(&mut session, "short(1)");
    contains(
        &said,
        &[
            "short(1): miss, expired at ",
            "results are good for 1.00 s",
            "made by the local engine",
        ],
    );

    session.cell("%pool start processes -n 1");
    session.cell(
        "%px for n in 0..30 { much(n); std::thread::sleep(std::time::Duration::from_millis(2)); }",
    );
    let said = explained(&mut session, "much(0)");
    contains(
        &said,
        &[
            "much(0): miss, dropped for space at ",
            "may take 2.00 kB on disk (`--limit`)",
        ],
    );
    contains(&explained(&mut session, "much(29)"), &["hit"]);
    session.cell("memo::fresh(|| much(0).len())");
    contains(&explained(&mut session, "much(0)"), &["hit"]);

    session.cell("(half(3), half(4))");
    let said = explained(&mut session, "half(3)");
    contains(
        &said,
        &[
            "half(3): miss, never computed",
            "only `Ok` and `Some` are kept",
            "half(4)",
        ],
    );
    contains(&explained(&mut session, "half(4)"), &["hit"]);

    let said = explained(&mut session, "passing(1)");
    contains(&said, &["passing(1): miss, never computed", "not on disk"]);
    session.cell("passing(1)");
    contains(
        &explained(&mut session, "passing(1)"),
        &["hit, the value is there, in memory\n"],
    );
    contains(
        &explained(&mut session, "passing(2)"),
        &["miss, never computed; 1 result of other arguments"],
    );
    session.cell("%memo clear");
    contains(
        &explained(&mut session, "passing(1)"),
        &["miss, never computed"],
    );
    contains(
        &explained(&mut session, "half(4)"),
        &["miss, never computed"],
    );
    assert_eq!(session.end(), 0);
}

#[test]
fn other_engines_and_other_sessions_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = session(folder.path());
    first.cells(&[HELPER, SLOW, "%pool start processes -n 2"]);
    first.cell("%px -t 1 slow(3, 1.0)");
    let said = explained(&mut first, "slow(3, 1.0)");
    contains(
        &said,
        &["hit, the value is there, on disk, made by engine 1 of p0 in this session at "],
    );
    assert_eq!(first.end(), 0);

    let mut second = session(folder.path());
    second.cells(&[HELPER, SLOW]);
    let said = explained(&mut second, "slow(3, 1.0)");
    contains(
        &said,
        &[
            "slow(3, 1.0): hit",
            "on disk",
            "engine 1 of p0",
            "the session of",
        ],
    );
    assert_eq!(second.end(), 0);

    let mut third = session(folder.path());
    third.cells(&["fn helper(n: u64) -> f64 { n as f64 / 2.0 }", SLOW]);
    let said = explained(&mut third, "slow(3, 1.0)");
    contains(
        &said,
        &[
            "miss, `helper` is another one than in that session",
            "engine 1 of p0",
        ],
    );
    assert_eq!(third.end(), 0);
}

#[test]
fn programs_get_it_as_fields() {
    let cell = |code: &str| format!("```rust\n{code}\n```\n");
    let changed = SLOW.replace("long * scale", "long");
    let cells = [
        HELPER,
        SLOW,
        "slow(3, 1.0);",
        "%memo explain slow(3, 1.0)",
        &changed,
        "%memo explain slow(3, 1.0)",
    ];
    let text: String = cells.iter().map(|code| cell(code)).collect();
    let (ran, _) = notebook(&text, &["--format", "json"]);
    let told: Vec<serde_json::Value> = ran
        .out
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &serde_json::Value| line["event"] == "memo")
        .collect();
    assert_eq!(told.len(), 2, "{}", ran.out);
    let (hit, miss) = (&told[0], &told[1]);
    assert_eq!(
        (hit["hit"].as_bool(), hit["why"].as_str()),
        (Some(true), Some("there"))
    );
    assert_eq!(hit["arguments"], "3, 1.0");
    assert_eq!(hit["made"]["this_session"], true);
    assert_eq!(
        (&miss["hit"], &miss["why"]),
        (&false.into(), &"changed".into())
    );
    let change = &miss["changes"][0];
    assert_eq!(
        (&change["what"], &change["cell"]),
        (&"body".into(), &5.into())
    );
    let lines = change["lines"].as_array().expect("lines");
    assert!(lines.contains(&"-    long * scale".into()), "{change}");
}
