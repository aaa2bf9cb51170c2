//! `%map` and `pool::map`, on threads and on processes.

mod support;

use support::{Session, contains, lacks};

#[test]
fn maps_on_processes() {
    let mut session = Session::start();
    session.cells(&["fn fib(n: u64) -> u64 { if n <= 2 { 1 } else { fib(n - 1) + fib(n - 2) } }"]);
    no_pool(&mut session);
    session.cells(&["%pool start -n 2"]);
    what_threads_can_too(&mut session, "p0");

    // What travels.
    let shown = session.cell(
        "#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]\nstruct Body { mass: f64, name: String, kind: Kind }\n\
         use serde::{Serialize, Deserialize};\n#[derive(Debug, Clone, Serialize, Deserialize)]\nenum Kind { Star, Planet(u8) }",
    );
    lacks(&shown, &["error"]);
    session.cells(&["let bodies = %map |i: u8| Body { mass: i as f64 / 2.0, name: format!(\"b{i}\"), kind: if i == 0 { Kind::Star } else { Kind::Planet(i) } } over 0..3u8"]);
    contains(
        &session.cell("bodies[2].clone()"),
        &["Body { mass: 1.0, name: \"b2\", kind: Planet(2) }"],
    );
    session.cells(&["let masses = %map |b: Body| b.mass * 10.0 over bodies"]);
    contains(&session.cell("masses"), &["[0.0, 5.0, 10.0]"]);

    the_type_cannot_travel(&mut session);
    the_closure_captures(&mut session);
    contains(&session.cell("masses.len() + 1"), &["4"]);
    assert_eq!(session.end(), 0);
}

#[test]
fn maps_on_threads() {
    let mut session = Session::start();
    session.cells(&[
        "fn fib(n: u64) -> u64 { if n <= 2 { 1 } else { fib(n - 1) + fib(n - 2) } }",
        "%pool start threads -n 2",
    ]);
    what_threads_can_too(&mut session, "t0");

    // Nothing is encoded: captures, borrows and types without serde.
    session.cells(&[
        "let k = 4u32;",
        "let words = vec![String::from(\"ab\"), String::from(\"c\")];",
        "#[derive(Debug)] struct Plain(usize);",
    ]);
    contains(
        &session.cell("%map |x: u32| x * k over 1..4u32"),
        &["[4, 8, 12]"],
    );
    contains(
        &session.cell("%map |w: &String| Plain(w.len()) over words.iter()"),
        &["[Plain(2), Plain(1)]"],
    );
    contains(&session.cell("words"), &["[\"ab\", \"c\"]"]);
    assert_eq!(session.end(), 0);
}

/// What holds on either kind of pool.
fn what_threads_can_too(session: &mut Session, pool: &str) {
    let shown = session.cell("let f = %map fib over [20, 19, 18, 17]");
    contains(
        &shown,
        &[
            "fib: u64 → u64",
            "4 items",
            pool,
            "wall",
            "serial",
            "busy",
            "share",
        ],
    );
    lacks(&shown, &["Out["]);
    let slow =
        "%map |x: u8| { std::thread::sleep(std::time::Duration::from_millis(50)); x } over 0..8u8";
    contains(
        &session.cell(slow),
        &["speedup", " of 2", "efficiency", "[0, 1, 2, 3, 4, 5, 6, 7]"],
    );
    contains(&session.cell("f"), &["[6765, 4181, 2584, 1597]"]);
    contains(&session.cell("%type f"), &["Vec<u64>"]);
    contains(
        &session.cell("let g: Vec<u64> = %map fib over vec![3, 4]"),
        &["2 items"],
    );
    contains(&session.cell("g"), &["[2, 3]"]);
    contains(
        &session.cell("%map |x| x * 2 over 0..5"),
        &["[0, 2, 4, 6, 8]"],
    );
    contains(
        &session.cell("%%map\n|x: i64| {\n    let y = x - 1;\n    y * y\n}\nover (0..4)"),
        &["[1, 0, 1, 4]"],
    );
    contains(
        &session.cell("%map |s: String| s.len() over [\"a\", \"bcd\", \"\"].map(String::from)"),
        &["[1, 3, 0]"],
    );
    contains(
        &session.cell(
            "%map |v: Vec<Vec<u32>>| v.concat() over vec![vec![vec![1u32], vec![2, 3]], vec![]]",
        ),
        &["[[1, 2, 3], []]"],
    );
    contains(
        &session.cell("%map |x: Option<(u8, char)>| x.map(|x| x.1) over [None, Some((1, 'z'))]"),
        &["[None, Some('z')]"],
    );
    contains(
        &session.cell("%map fib over Vec::<u64>::new()"),
        &["0 items", "Out[", "[]"],
    );
    contains(&session.cell("%map fib over [10]"), &["1 item", "[55]"]);
    contains(
        &session.cell("let unit = %map |_: u8| () over 0..3u8"),
        &["3 items"],
    );
    contains(&session.cell("unit.len()"), &["3"]);
    session.cells(&["let big = %map |x: u64| x * x + 1 over 0..100_000u64"]);
    contains(
        &session.cell(
            "big.len() == 100_000 && big.iter().enumerate().all(|(i, y)| *y == (i * i + 1) as u64)",
        ),
        &["true"],
    );
    contains(
        &session.cell("pool::map(0..4u64, |x| x + 1)"),
        &["[1, 2, 3, 4]"],
    );
    contains(
        &session.cell("let sum: u64 = pool::map([5, 6], fib).into_iter().sum();\nsum"),
        &["13"],
    );

    let shown = session
        .cell("let broken = %map |x: u32| { assert!(x != 3, \"not three\"); x } over 0..10u32");
    contains(&shown, &["error", "item 3", "not three"]);
    contains(&session.cell("broken"), &["error", "broken"]);
    contains(&session.cell("%map fib over [7, 8]"), &["[13, 21]"]);
    contains(&session.cell("%map fib ovr [1]"), &["error", "over"]);
    contains(&session.cell("%map fib over"), &["error", "over"]);
    contains(&session.cell("%map fibb over [1]"), &["error", "fibb", "^"]);
    let shown = session.cell("%map |x: u64| -> String { x } over [1]");
    contains(&shown, &["error[E0308]", "^"]);
    lacks(&shown, &["evcxr", "regatta_cell"]);
    contains(&session.cell("f"), &["[6765, 4181, 2584, 1597]"]);
}

fn no_pool(session: &mut Session) {
    contains(
        &session.cell("%map fib over [1]"),
        &["error", "no pool is started", "%pool start"],
    );
    let shown = session.cell("pool::map([1u64], fib)");
    contains(&shown, &["error", "no pool is started", "%pool start"]);
    lacks(&shown, &["cell/src"]);
    contains(&session.cell("fib(10)"), &["55"]);
}

fn the_type_cannot_travel(session: &mut Session) {
    session.cells(&["#[derive(Debug)] struct Plain(u8);"]);
    for code in [
        "%map |x: u8| Plain(x) over 0..3u8",
        "%map |x: Plain| x.0 over [Plain(1)]",
        "pool::map(0..3u8, |x| Plain(x))",
    ] {
        let shown = session.cell(code);
        contains(
            &shown,
            &[
                "error",
                "Plain",
                "derive(Serialize, Deserialize)",
                "%pool start threads",
            ],
        );
        assert_eq!(shown.matches("error").count(), 1, "said once: {shown}");
        lacks(&shown, &["regatta_cell", "evcxr"]);
    }
    contains(&session.cell("%map fib over [7, 8]"), &["[13, 21]"]);
}

fn the_closure_captures(session: &mut Session) {
    session.cells(&["let k = 4u32;", "let shift = 1u32;"]);
    for code in [
        "%map |x: u32| x * k + shift over 0..3u32",
        "%map move |x: u32| x * k + shift over 0..3u32",
    ] {
        let shown = session.cell(code);
        contains(
            &shown,
            &["error", "captures", "`k`", "`shift`", "%pool start threads"],
        );
        assert_eq!(shown.matches("error").count(), 1, "said once: {shown}");
        lacks(
            &shown,
            &[
                "regatta_cell",
                "evcxr",
                "on_processes",
                "$crate",
                "src/lib.rs",
            ],
        );
    }
    contains(&session.cell("k + shift"), &["5"]);
    contains(&session.cell("%map fib over [7, 8]"), &["[13, 21]"]);
}
