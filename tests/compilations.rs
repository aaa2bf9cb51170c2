//! A cell is compiled once, whatever the number of engines, and not again when it is repeated.

mod support;

use support::proc::files;
use support::table::rows;
use support::{Session, contains};

/// How often this session has compiled: each time makes a shared object with the next number.
fn compilations(session: &Session) -> usize {
    let object = |name: &str| name.starts_with("libcode_") && name.ends_with(".so");
    let numbers = files(session.temporary(), &object)
        .into_iter()
        .filter_map(|path| {
            path.file_stem()?
                .to_str()?
                .strip_prefix("libcode_")?
                .parse()
                .ok()
        });
    numbers.max().unwrap_or(0)
}

#[test]
fn a_cell_is_compiled_once_for_all_engines() {
    let mut session = Session::alone();
    session.cells(&["%pool start -n 8", "%px let a = engine::rank();"]);
    let before = compilations(&session);
    assert!(before > 0, "compiled cells are found");
    let eight = session.cell("%px a * 3");
    assert_eq!(rows(&eight).len(), 8, "{eight}");
    assert_eq!(
        compilations(&session),
        before + 1,
        "one compilation for eight engines"
    );
    let again = session.cell("%px a * 3");
    assert_eq!(rows(&again), rows(&eight));
    assert_eq!(
        compilations(&session),
        before + 1,
        "none for the same cell again"
    );
    session.cells(&["let x = 20;"]);
    contains(&session.cell("x + 1"), &["21"]);
    let before = compilations(&session);
    contains(&session.cell("x + 1"), &["21"]);
    assert_eq!(
        compilations(&session),
        before,
        "none for a plain cell again"
    );
    session.cells(&["let x = 30;"]);
    contains(&session.cell("x + 1"), &["31"]);
    session.cells(&["fn f() -> u8 { 1 }"]);
    contains(&session.cell("f()"), &["1"]);
    session.cells(&["fn f() -> u8 { 2 }"]);
    contains(&session.cell("f()"), &["2"]);
    assert_eq!(session.end(), 0);
}

/// What a cell shows that compiles nothing.
fn known(session: &mut Session, cell: &str) -> String {
    let before = compilations(session);
    let shown = session.cell(cell);
    assert_eq!(compilations(session), before, "{cell} compiles: {shown}");
    shown
}

#[test]
fn a_map_is_not_compiled_again_for_other_options() {
    let mut session = Session::alone();
    session.cells(&[
        "%pool start -n 2",
        "%pool start -n 3 --name wide",
        "%pool start threads -n 2 --name two",
        "%pool start threads -n 3 --name three",
        "%pool use p0",
        "let k = 2u64;",
        "fn slow(n: u64) -> u64 { std::thread::sleep(std::time::Duration::from_millis(n)); n }",
    ]);
    let map = |options: &str| format!("%map {options} |x: u64| x * k over 1..=6u64");
    let first = session.cell(&map("-c 1"));
    contains(&first, &["6 items in 6 chunks", "[2, 4, 6, 8, 10, 12]"]);
    for (options, shows) in [
        ("-c 2", "6 items in 3 chunks on p0"),
        ("-c 3 --schedule static", "static schedule"),
        ("-p wide -c 1", "on wide (3 engines)"),
        ("-t 1 -c 6", "on p0"),
        ("--timeout 5 --retries 2", "[2, 4, 6, 8, 10, 12]"),
        ("--seed 7", "[2, 4, 6, 8, 10, 12]"),
        ("--take 2", "[2, 4]"),
        ("--take 0", "[]"),
        ("--take 100", "[2, 4, 6, 8, 10, 12]"),
        ("--plan -c 2", "6 items in 3 chunks"),
    ] {
        contains(&known(&mut session, &map(options)), &[shows]);
    }
    let quiet = known(&mut session, &map("-q"));
    assert!(
        quiet.contains("[2, 4, 6, 8, 10, 12]") && !quiet.contains("engine"),
        "{quiet}"
    );
    let one = known(&mut session, &map("-t 1"));
    assert_eq!(rows(&one).len(), 1, "{one}");
    let unordered = known(&mut session, "%map -q -u |x: u64| x * k over 1..=6u64");
    contains(&unordered, &["12"]);

    let map = |options: &str| format!("%map {options} slow over [1u64, 900]");
    contains(&session.cell(&map("-q")), &["[1, 900]"]);
    contains(&known(&mut session, &map("--timeout 0.3")), &["time"]);
    contains(&known(&mut session, &map("-q")), &["[1, 900]"]);

    let map = |options: &str| format!("%map {options} |x: u64| x + k over 10..");
    contains(
        &session.cell(&map("-p two --take 3")),
        &["[12, 13, 14]", "on two (2 threads)"],
    );
    for (options, shows) in [
        ("-p three --take 2", "on three (3 threads)"),
        ("-p two -q --take 2 --schedule static", "[12, 13]"),
        ("-p two --take 4 -c 4", "4 items in 1 chunk"),
    ] {
        contains(&known(&mut session, &map(options)), &[shows]);
    }

    let reduce = |options: &str| {
        format!("%reduce {options} |x: u64| x * k over 1..=4u64 with |a: u64, b: u64| a + b")
    };
    contains(&session.cell(&reduce("-c 1")), &["20"]);
    for options in ["-c 2 --retries 1", "-q -p wide", "-t 0 --schedule guided"] {
        contains(&known(&mut session, &reduce(options)), &["20"]);
    }

    let compare = |options: &str| {
        format!("%compare {options} -- |x: u64| x * k + engine::rng().u64(..1) over 0..50u64")
    };
    contains(&session.cell(&compare("serial two p0")), &["serial"]);
    for options in [
        "-c 5 serial three wide",
        "--take 3 --seed 1 serial two p0",
        "--schedule static serial two wide",
    ] {
        let shown = known(&mut session, &compare(options));
        assert_eq!(shown.matches('✓').count(), 3, "{shown}");
    }

    // Once for all numbers of engines, and not again for others.
    let scaling = |options: &str| format!("%scaling |x: u64| x * k over 0..50u64 {options}");
    let before = compilations(&session);
    contains(
        &session.cell(&scaling("--engines 2,3 --kind processes")),
        &["serial fraction"],
    );
    assert_eq!(compilations(&session), before + 1);
    for options in [
        "--engines 4 --kind processes",
        "--repeat 1 -c 2 --kind processes",
    ] {
        contains(
            &known(&mut session, &scaling(options)),
            &["serial fraction"],
        );
    }
    assert_eq!(session.end(), 0);
}
