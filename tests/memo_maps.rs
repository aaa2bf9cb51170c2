//! The column `hits` of a map: what its items found of functions in `%%memo`, wherever they ran.

mod support;

use serde_json::Value;
use support::table::rows;
use support::{Session, contains, lacks};

/// The hits of a map and the calls, of all engines; `None` when its table has no such column.
#[track_caller]
fn hits(shown: &str) -> Option<(u64, u64)> {
    let heads = shown.lines().find(|line| line.contains("│ engine │"));
    let heads = heads.unwrap_or_else(|| panic!("no table: {shown}"));
    let heads = heads.trim_matches('│').split('│').map(str::trim);
    let place = heads.clone().position(|head| head == "hits")?;
    assert_eq!(heads.clone().nth(1), Some("items"), "{shown}");
    let counts = rows(shown).into_iter().filter_map(|row| {
        let number = |text: &str| text.replace(',', "").parse::<u64>().expect("a number");
        let (hits, all) = row[place].split_once(" of ")?;
        Some((number(hits), number(all)))
    });
    Some(counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1)))
}

#[test]
fn a_map_tells_what_its_items_found() {
    let mut session = Session::start();
    session.cells(&["%%memo\nfn square(n: u64) -> u64 { n * n }"]);
    session.cells(&[
        "%%memo\nfn fib(n: u64) -> u64 { if n < 2 { n } else { fib(n - 1) + fib(n - 2) } }",
    ]);
    session.cells(&["fn plain(n: u64) -> u64 { n + 1 }"]);
    for (pool, from) in [("processes", 0), ("threads", 1000)] {
        session.cell(&format!("%pool start {pool} -n 2"));
        let map = |what: &str, over: &str| format!("let v = %map {what} over {over}");
        let all = format!("{from}..{}u64", from + 40);
        for (what, over, wanted) in [
            ("plain", &*all, None),
            ("square", &all, Some((0, 40))),
            ("square", &all, Some((40, 40))),
            ("|x| square(x) + square(x + 2)", &all, Some((78, 80))),
            // A call is one, however many calls computing it takes.
            (
                "-c 1 fib",
                &format!("vec![{0}u64, {0}, {0}]", from / 100 + 50),
                Some((2, 3)),
            ),
            (
                "|x: u64| memo::cached(\"by name\", &(x / 20), || x / 20)",
                &all,
                Some((38, 40)),
            ),
        ] {
            let shown = session.cell(&map(what, over));
            assert_eq!(hits(&shown), wanted, "{what} on {pool}: {shown}");
        }
        let again = session.cell(&map("|x| memo::fresh(|| square(x))", &all));
        assert_eq!(hits(&again), Some((0, 40)), "{again}");
        let reduced = session.cell(&format!("%reduce square over {all} with |a, b| a + b"));
        assert_eq!(hits(&reduced), Some((40, 40)), "{reduced}");
        // On processes five items are tried three times; threads try none again.
        let (retries, tries) = if from == 0 {
            ("--retries 2", 20)
        } else {
            ("", 10)
        };
        let tried = "--on-error collect |x: u64| { assert!(square(x) < 25 * 25); x }";
        let tried = session.cell(&map(&format!("{retries} {tried}"), "20..30u64"));
        assert_eq!(hits(&tried), Some((tries, tries)), "{tried}");
    }
    // The map inside is counted with the item that it is in.
    let within = session.cell(
        "let v = %map |x: u64| pool::map(x..x + 10, square).into_iter().sum::<u64>() over vec![1000u64, 1020]",
    );
    assert_eq!(hits(&within), Some((20, 20)), "{within}");
    assert_eq!(session.end(), 0);
}

/// An engine that dies takes what it counted in that chunk with it; what is told is never more than what was called.
#[test]
fn engines_that_die_and_events_as_json() {
    let notebook = "```rust\n%%memo\nfn square(n: u64) -> u64 { n * n }\n```\n\n```rust\n%pool start processes -n 2\n```\n\n\
        ```rust\nlet first = %map square over 0..20u64\n```\n\n\
        ```rust\nlet plain = %map |x: u64| x over 0..20u64\n```\n\n\
        ```rust\nlet dies = %map -c 1 --on-error collect |x: u64| { if square(x) == 49 { std::process::abort() }; x } over 0..20u64\n```\n";
    let ran = support::regatta(
        &["run", "-", "--format", "json", "--keep-going"],
        notebook.as_bytes(),
    );
    let events = ran
        .out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("an event"));
    let maps: Vec<Value> = events
        .filter(|event| event["event"] == "map_finished")
        .collect();
    assert_eq!(maps.len(), 3, "{}", ran.out);
    let sum = |map: &Value, what: &str| -> u64 {
        let engines = map["engines"].as_array().expect("engines").iter();
        engines.filter_map(|engine| engine[what].as_u64()).sum()
    };
    assert_eq!((sum(&maps[0], "hits"), sum(&maps[0], "misses")), (0, 20));
    assert!(maps[1]["engines"][0].get("hits").is_none());
    assert_eq!((sum(&maps[2], "hits"), sum(&maps[2], "misses")), (19, 0));
    contains(&ran.out, &["\"hits\":"]);
    lacks(&ran.out, &["panicked"]);
}
