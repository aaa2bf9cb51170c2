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
    captured_variables_travel(&mut session);
    what_cannot_travel_is_refused_by_name(&mut session);
    odd_serde(&mut session);
    session.cells(&["fn twice(x: u32) -> u32 { 2 * x }"]);
    a_capturing_closure_in_code_is_told(&mut session);
    maps_within_maps(&mut session, false);
    let shown = session.cell("%px pool::map(0..3u64, |x| x + 1)");
    contains(
        &shown,
        &["a map inside the function of a map or inside %px"],
    );
    lacks(&shown, &["cell/src"]);
    contains(
        &session.cell("%px engine::size()"),
        &["│    0,1 │      2 │"],
    );
    errors_are_the_users_own(&mut session);
    a_map_after_a_failed_one_is_right(&mut session);
    a_comparison_is_of_the_same_map(&mut session);
    contains(&session.cell("masses.len() + 1"), &["4"]);
    assert_eq!(session.end(), 0);
}

fn errors_are_the_users_own(session: &mut Session) {
    let shown = session.cell("%map |x: u64| panic!(\"always\") over 0..3");
    contains(&shown, &["never returns a value", "-> u64"]);
    lacks(&shown, &["verbose", "E0277"]);
    let shown = session.cell("%reduce |x: u64| x over 0..0 with |a, b| a + b");
    contains(&shown, &["error: %reduce needs at least one input"]);
    lacks(&shown, &["panicked"]);
    let shown = session.cell("%map |x: u64| pool::map(0..x, |y: u64| y) over 0..3");
    contains(&shown, &["cannot command the others", "--> In ["]);
    lacks(&shown, &["pool.rs"]);
    let shown =
        session.cell("%map |x: u64| x over (0..3u64).map(|x| { assert!(x < 2, \"bad {x}\"); x })");
    contains(&shown, &["the inputs panicked: bad 2", "--> In ["]);
}

/// Results of a map that has failed may still come when the next one begins; they are not the next one's.
fn a_map_after_a_failed_one_is_right(session: &mut Session) {
    for _ in 0..5 {
        let shown =
            session.cell("%map |x: u64| x over (0..9u64).map(|x| { assert!(x < 8, \"bad\"); x })");
        contains(&shown, &["the inputs panicked: bad"]);
        let shown = session.cell("%map -q |x: u64| 100 * x over 1..6u64");
        contains(&shown, &["[100, 200, 300, 400, 500]"]);
    }
}

fn a_comparison_is_of_the_same_map(session: &mut Session) {
    // Random numbers among it, and of an endless iterator what `--take` says.
    let shown = session.cell(
        "%compare --seed 7 --take 5 serial p0 -- |x: u64| x ^ engine::rng().u64(..) over 0u64..",
    );
    contains(&shown, &["5 items", "where the time went"]);
    lacks(&shown, &["differ", "error"]);
    let shown = session.cell("%compare --timeout 5 serial p0 -- |x: u64| x over 0..3");
    contains(&shown, &["a thread cannot be stopped"]);
    lacks(&shown, &["panicked"]);
    // The pool of threads is there for the time, however it ends.
    let shown = session.cell("%compare serial threads processes -- |x: u64| x + 1 over 0..3");
    contains(&shown, &["started for the time: t0 (", "│ t0", "│ p0"]);
    let shown = session.cell("%compare threads serial -- |x: u64| 1 / x over 0..3u64");
    contains(&shown, &["started for the time: t0 (", "divide by zero"]);
    session.enter("%compare threads -- |x: u64| loop { std::hint::black_box(x); } over 0..3u64");
    session.shows("started for the time: t0", support::PATIENCE);
    let shown = session.interrupt();
    contains(&shown, &["interrupted"]);
    let pools = session.cell("%pool list");
    lacks(&pools, &["t0"]);
    contains(&pools, &["p0"]);
    contains(
        &session.cell("%px engine::size()"),
        &["│    0,1 │      2 │"],
    );
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
    maps_within_maps(&mut session, true);
    for option in ["--timeout 1", "--retries 2"] {
        let shown = session.cell(&format!("%map {option} |x: u32| x over 0..3"));
        contains(&shown, &["on a thread pool", "a process pool can do it"]);
        lacks(&shown, &["panicked"]);
    }
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
    odd_texts(session);
}

/// Types and panics of the user's that leave nothing to show, or too much.
fn odd_texts(session: &mut Session) {
    session.cells(&[
        "#[derive(serde::Serialize, serde::Deserialize)] struct Shy(u8);",
        "impl std::fmt::Debug for Shy { fn fmt(&self, _: &mut std::fmt::Formatter) -> std::fmt::Result { panic!(\"no look\") } }",
    ]);
    // The table beside the results is no reason to lose them.
    let shown = session.cell("let shy = %map --items |x: u8| Shy(x) over 0..3u8");
    contains(&shown, &["(its `Debug` panicked: no look)", "wall"]);
    lacks(&shown, &["error"]);
    contains(&session.cell("shy"), &["error: panicked: no look"]);
    contains(&session.cell("shy.len() + 40"), &["43"]);
    // Of a message the screen gets what it has room for.
    for cell in [
        "%map |x: u64| -> u64 { panic!(\"{}{x}\", \"y\".repeat(5_000_000)) } over 7..8u64",
        "%px panic!(\"{}7\", \"y\".repeat(5_000_000))",
        "panic!(\"{}7\", \"y\".repeat(5_000_000))",
    ] {
        let shown = session.cell(cell);
        contains(&shown, &["panicked: yyyy", " more characters"]);
        assert!(shown.len() < 20_000, "{} bytes", shown.len());
    }
    let shown = session.cell("%map |x: u64| -> u64 { std::panic::panic_any(x) } over 0..1u64");
    contains(&shown, &["item 0 panicked: Box<dyn Any>"]);
}

/// Serde code of the user's that refuses or panics: it is told why, and what is not concerned has its result.
fn odd_serde(session: &mut Session) {
    session.cells(&[
        "use serde::{Deserializer, Serializer};",
        "#[derive(Debug, Clone)] struct Odd(u8);",
        "impl Serialize for Odd { fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {\n\
         if self.0 == 2 { return Err(serde::ser::Error::custom(\"never 2\")); }\n self.0.to_string().serialize(s) } }",
        "impl<'de> Deserialize<'de> for Odd { fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {\n\
         match String::deserialize(d)?.parse().unwrap() { 3 => Err(serde::de::Error::custom(\"never 3\")), 4 => panic!(\"never 4\"), n => Ok(Odd(n)) } } }",
        "#[derive(Debug, Clone, Serialize, Deserialize)] #[serde(untagged)] enum Either { One(u8), Other(String) }",
    ]);
    let encode = "serde could not encode a value: its type's own code refused it";
    let decode = "serde could not decode a value: its type's own code refused it";
    for (cell, says) in [
        ("%map |x: u8| Odd(x) over [1, 2]", encode),
        ("%map |x: u8| Odd(x) over [1, 3]", decode),
        ("%map |x: u8| Odd(x) over [1, 4]", "never 4 at In ["),
        ("%map |x: Odd| x.0 over [Odd(1), Odd(2)]", encode),
        ("%map |x: Odd| x.0 over [Odd(1), Odd(3)]", decode),
        (
            "%map |x: Odd| x.0 over [Odd(1), Odd(4)]",
            "item 1 panicked: never 4",
        ),
        (
            "%map |x: Either| 1u8 over [Either::One(1)]",
            "as `#[serde(untagged)]` and",
        ),
        ("let odd = Odd(2);\n%push odd", encode),
        ("let odd = Odd(3);\n%push odd", decode),
        (
            "%px let odd = Odd(engine::rank() as u8 + 3);\n%pull odd",
            decode,
        ),
    ] {
        let shown = session.cell(cell);
        let line = shown.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        contains(&line, &[says]);
        lacks(&line, &["cell/src", "NotEncodable"]);
    }
    // One that cannot be decoded, among others of the same chunk.
    session.cells(&[
        "let some = pool(\"p0\").chunk(6).try_map([1, 3, 4, 5].map(Odd), |x| x.0);",
        "let made = pool(\"p0\").chunk(6).try_map([1, 2, 5], |x| Odd(x));",
    ]);
    let shown = session.cell("some.iter().flatten().collect::<Vec<_>>()");
    contains(&shown, &["[1, 5]"]);
    let shown = session.cell("made.iter().flatten().map(|odd| odd.0).collect::<Vec<_>>()");
    contains(&shown, &["[1, 5]"]);
    let shown = session.cell("some[1].clone().unwrap_err().to_string().replace(' ', \"\")");
    contains(&shown, &["item1panicked:serdecouldnotdecode"]);
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

fn captured_variables_travel(session: &mut Session) {
    session.cells(&[
        "let k = 4u32;",
        "let table: Vec<u32> = (0..10).map(|i| i * 100).collect();",
        "let (low, high) = (1u32, 3u32);",
        "let word = \"ab\";",
        "#[derive(Clone, serde::Serialize, serde::Deserialize)] struct Scale { by: f64, name: String }",
        "let scale = Scale { by: 0.5, name: \"half\".into() };",
    ]);
    let shown = session.cell("%map |x| x * k + table[x as usize] over 0..3u32");
    contains(
        &shown,
        &[
            "captures k: u32 (",
            "table: Vec<u32> (",
            "once per engine",
            "[0, 104, 208]",
        ],
    );
    for (code, wanted) in [
        ("%map move |x: u32| x * k + low over 0..3u32", "[1, 5, 9]"),
        (
            "%map |x| x.clamp(low, high) over 0..5u32",
            "[1, 1, 2, 3, 3]",
        ),
        (
            "%map |n: usize| word.repeat(n) over 0..3usize",
            "[\"\", \"ab\", \"abab\"]",
        ),
        (
            "%map |x: u32| format!(\"{k} {} {x}\", scale.name) over 0..2u32",
            "[\"4 half 0\", \"4 half 1\"]",
        ),
        ("%map |x: f64| x * scale.by over [1.0, 2.0]", "[0.5, 1.0]"),
        (
            "%map --on-error collect |x: u32| { assert!(x != low); x } over 0..3u32",
            "Ok(2)",
        ),
        (
            "%reduce |x| x * k over 0..4u32 with |a, b| a + b + low",
            "27",
        ),
        (
            "pool::map_with(&table, 0..3usize, |table, i| table[i])",
            "[0, 100, 200]",
        ),
    ] {
        contains(&session.cell(code), &[wanted]);
    }
    // They are still here.
    contains(&session.cell("table.len() as u32 + k"), &["14"]);
    contains(&session.cell("scale.name.len()"), &["4"]);
}

fn what_cannot_travel_is_refused_by_name(session: &mut Session) {
    session.cells(&[
        "use std::rc::Rc;",
        "let shared = Rc::new(5u32);",
        "let file = std::fs::File::open(\"/dev/null\").unwrap();",
        "let fixed: &'static [u32] = &[1, 2];",
        "let several = vec![std::rc::Rc::new(1u32), std::rc::Rc::new(2)];",
    ]);
    for (code, name, kind) in [
        (
            "%map |x: u32| x * k + *shared over 0..3u32",
            "`shared`",
            "Rc<u32>",
        ),
        (
            "%map |x: u32| { let _ = file.metadata(); x } over 0..3u32",
            "`file`",
            "File",
        ),
        ("%map |x: usize| fixed[x] over 0..2usize", "`fixed`", "&"),
        (
            "%map |x: usize| *several[x] over 0..2usize",
            "`several`",
            "Vec<Rc<u32>>",
        ),
    ] {
        let shown = session.cell(code);
        contains(
            &shown,
            &["error", name, kind, "cannot travel", "%pool start threads"],
        );
        assert_eq!(shown.matches("error").count(), 1, "said once: {shown}");
        lacks(&shown, &["regatta_cell", "evcxr", "wall", " items in "]);
    }
    contains(&session.cell("*shared"), &["5"]);
}

fn a_capturing_closure_in_code_is_told(session: &mut Session) {
    session.cells(&["let shift = 1u32;"]);
    for (code, told) in [
        (
            "pool::map(0..3u32, |x| x * k + shift)",
            "captures `k`: u32, `shift`: u32",
        ),
        (
            "let add = 5u32;\npool::map(0..3u32, |x| twice(x) + add)",
            "captures `add`",
        ),
        (
            "{\n    let add = 5u32;\n    let f = move |x: u32| x + add;\n    pool::map((0..3u32).map(|i| i + k), f)\n}",
            "captures `add`",
        ),
        (
            "pool(\"p0\").chunk(1).map(0..3u32, move |x| x + shift)",
            "captures `shift`: u32",
        ),
        (
            "pool::reduce(0..3u32, |x| x, |a, b| a + b * k)",
            "captures `k`: u32",
        ),
    ] {
        let shown = session.cell(code);
        contains(
            &shown,
            &[
                "error: the function",
                told,
                "^",
                "pool::map_with",
                "on a thread pool",
            ],
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
    // In an earlier cell's function. A warning is no error, whatever else there is.
    session.cells(&[
        "const lower: u32 = 1;",
        "fn shifted(by: u32) -> Vec<u32> { pool::map(0..3u32, |x| x + by) }",
    ]);
    contains(
        &session.cell("shifted(3)"),
        &["error: the function", "earlier cell", "|x| x + by"],
    );
    let shown = session.cell("let f: fn(u32) -> u32 = twice; pool::map(0..3u32, f)");
    contains(&shown, &["error", "function pointer"]);
    contains(&session.cell("k + shift"), &["5"]);
    contains(&session.cell("%map fib over [7, 8]"), &["[13, 21]"]);
}

fn maps_within_maps(session: &mut Session, works: bool) {
    let within = [
        "%map |x: u64| pool::map(0..x, |y: u64| y + 1).into_iter().sum::<u64>() over 0..4u64",
        "fn below(x: u64) -> u64 { pool::map(0..x, |y: u64| y + 1).into_iter().sum() }\npool::map(0..4u64, below)",
    ];
    for code in within {
        let shown = session.cell(code);
        if works {
            contains(&shown, &["[0, 1, 3, 6]"]);
        } else {
            contains(&shown, &["error", "a map inside the function of a map"]);
            lacks(&shown, &["cell/src"]);
        }
    }
}
