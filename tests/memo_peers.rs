//! `%%memo` held against what its peers promise: Python's `lru_cache`, joblib's `Memory`, diskcache, and the crates
//! `cached`, `memoize` and `moka`. Their tests' cases, in our words.

mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{PATIENCE, Session, contains, lacks};

#[test]
fn what_the_peers_keep_is_kept() {
    let mut session = Session::start();
    session.cell("use std::sync::atomic::{AtomicU32, Ordering::SeqCst};");
    lru_cache(&mut session);
    arguments(&mut session);
    functions_as_they_are_written(&mut session);
    types_of_the_session(&mut session);
    what_does_not_go_through_serde(&mut session);
    values_by_name(&mut session);
    refusals(&mut session);
    assert_eq!(session.end(), 0);
}

/// `test_functools.py`: TestCache, TestLRU.
fn lru_cache(session: &mut Session) {
    session.cells(&[
        "%%memo --no-disk\nfn fib(n: u64) -> u64 { if n < 2 { n } else { fib(n - 1) + fib(n - 2) } }",
    ]);
    contains(
        &session.cell("(0..16).map(fib).collect::<Vec<_>>()"),
        &["[0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610]"],
    );
    contains(
        &session.cell("%memo"),
        &["│ fib      │   28 │         0 │     16 │      16 │"],
    );
    session.cell("%memo clear fib");
    contains(
        &session.cell("%memo"),
        &["│ fib      │    0 │         0 │      0 │       0 │"],
    );

    // Two that call one another, and one that another thread calls.
    session.cells(&[
        "%%memo\nfn even(n: u64) -> bool { n == 0 || odd(n - 1) }\nfn odd(n: u64) -> bool { n != 0 && even(n - 1) }\nlet both = 5;",
    ]);
    contains(
        &session.cell("(even(100), odd(100), even(7), both)"),
        &["(true, false, false, 5)"],
    );
    session.cells(&[
        "static RUNS: AtomicU32 = AtomicU32::new(0);",
        "%%memo\nfn sum(x: u64, y: u64) -> u64 { RUNS.fetch_add(1, SeqCst); 3 * x + y }",
        "let threads: Vec<_> = (0..16).map(|t| std::thread::spawn(move || (0..500).map(|n| sum((n + t) % 7, n % 3)).sum::<u64>())).collect();",
        "let sums: Vec<u64> = threads.into_iter().map(|t| t.join().unwrap()).collect();",
    ]);
    contains(
        &session
            .cell("(RUNS.load(SeqCst), (0..7).all(|x| (0..3).all(|y| sum(x, y) == 3 * x + y)))"),
        &["(21, true)"],
    );

    // A result is the caller's own.
    session.cells(&["%%memo\nfn list(n: u64) -> Vec<u64> { vec![n] }"]);
    contains(
        &session.cell("let mut first = list(1); first.push(9); (first, list(1))"),
        &["([1, 9], [1])"],
    );
    // One whose clone calls its function.
    session.cells(&[
        "%%memo\n#[derive(Serialize, Deserialize)] struct Chain { n: u64, depth: u64 }\n\
         impl Clone for Chain { fn clone(&self) -> Self { Chain { n: self.n, depth: if self.n == 0 { 0 } else { chain(self.n - 1).depth + 1 } } } }\n\
         impl Drop for Chain { fn drop(&mut self) {} }\n\
         fn chain(n: u64) -> Chain { Chain { n, depth: 0 } }",
        "for n in 0..4 { chain(n); }",
    ]);
    contains(&session.cell("chain(3).depth"), &[": 3\n"]);
}

fn arguments(session: &mut Session) {
    session.cells(&[
        "use std::collections::{HashMap, HashSet};",
        "static CALLS: AtomicU32 = AtomicU32::new(0);",
        "fn calls() -> u32 { CALLS.swap(0, SeqCst) }",
        "%%memo\nfn turned(x: f64) -> f64 { CALLS.fetch_add(1, SeqCst); 1.0 / x }",
    ]);
    contains(
        &session.cell(
            "(turned(0.0), turned(-0.0), turned(f64::NAN), turned(f64::NAN), turned(0.0), calls())",
        ),
        &["(inf, -inf, NaN, NaN, inf, 3)"],
    );
    // Tables that give the same in another order are the same.
    session.cells(&[
        "%%memo\nfn total(of: &HashMap<String, u64>, but: HashSet<u64>) -> u64 {\n    CALLS.fetch_add(1, SeqCst);\n    of.values().filter(|n| !but.contains(n)).sum()\n}",
        "fn table(n: u64) -> HashMap<String, u64> { (0..n).map(|n| (n.to_string(), n)).collect() }",
        "for _ in 0..8 { assert_eq!(total(&table(20), (0..10).collect()), 145); }",
    ]);
    contains(
        &session.cell(
            "(total(&table(21), HashSet::new()), total(&table(21), HashSet::from([1])), calls())",
        ),
        &["(210, 209, 3)"],
    );
    session.cells(&[
        "%%memo\nfn wide(n: u128, c: char, o: Option<Option<u8>>, t: (u8, i16, f32, bool, ()), a: [u8; 3], s: &str) -> (u128, char, Option<Option<u8>>) {\n    CALLS.fetch_add(1, SeqCst);\n    (n, c, o)\n}",
    ]);
    let wide = |n: &str, o: &str, s: &str| {
        format!("wide({n}, 'é', {o}, (1, -2, 0.5, true, ()), [1, 2, 3], {s:?})")
    };
    let all = [
        wide("u128::MAX", "Some(None)", "ü"),
        wide("u128::MAX", "None", "ü"),
        wide("u128::MAX", "Some(None)", "ü"),
        wide("u128::MAX", "Some(None)", ""),
        wide("1", "Some(Some(1))", "ü"),
    ];
    contains(
        &session.cell(&format!("({}.2, calls())", all.join(".2, "))),
        &["(Some(None), None, Some(None), Some(None), Some(Some(1)), 4)"],
    );
    // Megabytes.
    session.cells(&[
        "%%memo\nfn scaled(v: &[f64], by: f64) -> Vec<f64> { CALLS.fetch_add(1, SeqCst); v.iter().map(|x| x * by).collect() }",
        "let large: Vec<f64> = (0..1_000_000).map(f64::from).collect();",
        "let mut other = large.clone(); other[999_999] = 0.0;",
    ]);
    contains(
        &session.cell("(scaled(&large, 2.0)[999_999], scaled(&large, 2.0)[7], scaled(&other, 2.0)[999_999], calls())"),
        &["(1999998.0, 14.0, 0.0, 2)"],
    );
    // What cannot travel cannot be kept.
    contains(
        &session.cell("%%memo\nfn shared(n: u64) -> std::sync::Arc<Vec<u64>> { std::sync::Arc::new(vec![n; 3]) }"),
        &["`Arc<Vec<u64>>` cannot be kept by `%%memo`"],
    );
}

/// `cached`'s macro tests.
fn functions_as_they_are_written(session: &mut Session) {
    session.cells(&[
        "%%memo\n/// How many.\n#[must_use]\n#[inline]\npub(crate) fn attributed(n: u64) -> u64 {\n    #![allow(unused_variables)]\n    //! More of it.\n    let unused = 1;\n    CALLS.fetch_add(1, SeqCst);\n    return n + 1;\n}",
    ]);
    contains(
        &session.cell("(attributed(1), attributed(1), calls())"),
        &["(2, 2, 1)"],
    );
    // Names that what is written out might use too.
    session.cells(&[
        "%%memo\nfn place(place: u64, kept: u64, r#type: u64) -> u64 { CALLS.fetch_add(1, SeqCst); place + kept + r#type }",
    ]);
    contains(
        &session.cell("(place(1, 2, 3), place(1, 2, 3), calls())"),
        &["(6, 6, 1)"],
    );
    session.cells(&[
        "%%memo\nfn patterns((a, [b, ..]): (u64, [u64; 2]), _: u8, mut v: Vec<u64>) -> Vec<u64> {\n    CALLS.fetch_add(1, SeqCst);\n    v.push(a + b);\n    v\n}",
    ]);
    contains(
        &session.cell("(patterns((1, [2, 3]), 0, vec![7]), patterns((1, [2, 3]), 0, vec![7]), patterns((1, [2, 4]), 0, vec![7]), calls())"),
        &["([7, 3], [7, 3], [7, 3], 2)"],
    );
    session.cells(&[
        "%%memo\nfn bounded<'a>(v: &'a [u64], n: &'a u64) -> u64 where u64: Copy { CALLS.fetch_add(1, SeqCst); fn bounded(n: u64) -> u64 { n } bounded(v.iter().sum::<u64>() + n) }\n\
         fn nothing() { CALLS.fetch_add(1, SeqCst); }\n\
         fn Größe(名: &str) -> String { CALLS.fetch_add(1, SeqCst); format!(\"{名}é\") }",
    ]);
    contains(
        &session.cell("(bounded(&[1, 2], &3), bounded(&[1, 2], &3), nothing(), nothing(), Größe(\"ü\"), Größe(\"ü\"), calls())"),
        &["(6, 6, (), (), \"üé\", \"üé\", 3)"],
    );
    // Errors are results like others, unless only good ones are wanted.
    session.cells(&[
        "%%memo\nfn parsed(s: &str) -> Result<u64, String> {\n    CALLS.fetch_add(1, SeqCst);\n    let n: u64 = s.parse().map_err(|why| format!(\"{why}\"))?;\n    Ok(n)\n}",
        "%%memo --ok\nfn positive(n: i64) -> Option<i64> { CALLS.fetch_add(1, SeqCst); (n > 0).then_some(n) }",
    ]);
    contains(
        &session.cell("(parsed(\"3\"), parsed(\"x\").is_err(), parsed(\"3\"), parsed(\"x\").is_err(), calls())"),
        &["(Ok(3), true, Ok(3), true, 2)"],
    );
    contains(
        &session.cell("(positive(1), positive(-1), positive(1), positive(-1), calls())"),
        &["(Some(1), None, Some(1), None, 3)"],
    );
}

fn types_of_the_session(session: &mut Session) {
    session.cells(&[
        "%%memo\n#[derive(Serialize, Deserialize, Clone, Debug)] enum Shape { Circle(f64), Rect { w: f64, h: f64 }, Nothing }\n\
         impl Shape { fn scaled(&self) -> f64 { 2.0 } }\n\
         fn area(shape: &Shape) -> (f64, Vec<Shape>) { CALLS.fetch_add(1, SeqCst); (match shape { Shape::Circle(r) => r * r, Shape::Rect { w, h } => w * h, Shape::Nothing => 0.0 } * shape.scaled(), vec![shape.clone()]) }",
    ]);
    contains(
        &session.cell("(area(&Shape::Circle(2.0)).0, area(&Shape::Rect { w: 2.0, h: 1.0 }).0, area(&Shape::Nothing).0, area(&Shape::Circle(2.0)).0, calls())"),
        &["(8.0, 4.0, 0.0, 8.0, 3)"],
    );
    // Values that serde writes alike.
    session.cells(&[
        "#[derive(Serialize, Deserialize, Debug)] #[serde(untagged)] enum Any { Number(u8), Truth(bool) }",
        "#[derive(Serialize, Deserialize, Debug)] struct Sparse { #[serde(skip_serializing_if = \"Option::is_none\")] a: Option<u8>, #[serde(skip_serializing_if = \"Option::is_none\")] b: Option<u8> }",
        "#[derive(Serialize, Debug)] struct Flat { n: u8, #[serde(flatten)] rest: HashMap<String, u8> }",
        "%%memo\nfn any(any: Any) -> String { format!(\"{any:?}\") }\nfn sparse(s: Sparse) -> String { format!(\"{:?} {:?}\", s.a, s.b) }\nfn flat(f: Flat) -> usize { f.rest.len() }",
    ]);
    contains(
        &session.cell("(any(Any::Number(1)), any(Any::Truth(true)))"),
        &["(\"Number(1)\", \"Truth(true)\")"],
    );
    contains(
        &session.cell(
            "(sparse(Sparse { a: Some(1), b: None }), sparse(Sparse { a: None, b: Some(1) }))",
        ),
        &["(\"Some(1) None\", \"None Some(1)\")"],
    );
    contains(
        &session.cell("(flat(Flat { n: 1, rest: HashMap::new() }), flat(Flat { n: 1, rest: HashMap::from([(\"a\".into(), 1)]) }))"),
        &["(0, 1)"],
    );
    // A type that is defined anew.
    for (fields, first) in [
        ("n: u8, m: u8", "1"),
        ("n: u8", "2"),
        ("n: i8", "3"),
        ("n: u8", "2"),
    ] {
        let kind = format!(
            "#[derive(Serialize, Deserialize, Clone, Debug, Default)] struct Size {{ {fields} }}"
        );
        session.cells(&[&kind]);
        if first == "1" {
            session.cells(&[
                "%%memo\nfn sized(s: &Size) -> Size { CALLS.fetch_add(1, SeqCst); Size { n: s.n + 1, ..Size::default() } }",
            ]);
        }
        session.cell("calls();");
        let call = format!("(sized(&Size {{ n: {first}, ..Size::default() }}).n, calls())");
        let value: u8 = first.parse().expect("a number");
        contains(&session.cell(&call), &[&format!("({}, ", value + 1)]);
    }
    // As it was two definitions ago.
    contains(
        &session.cell("(sized(&Size { n: 2 }).n, calls())"),
        &["(3, 0)"],
    );
}

fn what_does_not_go_through_serde(session: &mut Session) {
    session.cells(&[
        "#[derive(Debug, Clone)] struct Bad(u8);",
        "impl Serialize for Bad { fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> { if self.0 == 1 { panic!(\"not written\") } to.serialize_u8(self.0) } }",
        "impl<'de> Deserialize<'de> for Bad { fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Bad, D::Error> { panic!(\"not read\") } }",
        "%%memo\nfn bad(n: u8) -> Bad { CALLS.fetch_add(1, SeqCst); Bad(n) }\nfn of_bad(bad: Bad) -> u8 { bad.0 }",
    ]);
    for call in ["bad(1)", "bad(1)", "of_bad(Bad(1))"] {
        contains(&session.cell(call), &["panicked: not written", "In ["]);
    }
    contains(
        &session.cell("(bad(2).0, bad(2).0, of_bad(Bad(3)), calls())"),
        &["(2, 2, 3, 3)"],
    );
    session.cells(&["%pool start processes -n 2 --name bad"]);
    contains(&session.cell("%px_bad bad(2).0"), &["│    0,1 │      2 │"]);
    // serde leaves out what is empty, and does not find its way back: it is computed again.
    session.cells(&[
        "%%memo\nfn gap(n: u8) -> Sparse2 { Sparse2 { a: None, b: n } }\n#[derive(Serialize, Deserialize, Clone)] struct Sparse2 { #[serde(skip_serializing_if = \"Option::is_none\")] a: Option<u8>, b: u8 }",
        "gap(0); gap(1);",
    ]);
    contains(
        &session.cell("%px_bad (gap(0).a, gap(0).b, gap(1).a, gap(1).b)"),
        &["(None, 0, None, 1)"],
    );
    session.cells(&["%pool stop bad"]);
    // An argument that refuses says so where it is asked.
    session.cells(&[
        "struct No;",
        "impl Serialize for No { fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> { Err(serde::ser::Error::custom(\"never\")) } }",
        "%%memo\nfn no(n: No) -> u8 { 1 }",
    ]);
    let said = session.cell("no(No)");
    contains(&said, &["cannot encode an argument of type", "No: never"]);
    lacks(&said, &["key.rs"]);
}

/// What `memo::cached` keeps is told apart by the types of the key and of the value.
fn values_by_name(session: &mut Session) {
    for (kind, value, shown) in [
        (
            "struct Point { x: u8, y: u8 }",
            "Point { x: 1, y: 2 }",
            "x: 1, y: 2",
        ),
        ("struct Point { x: u8 }", "Point { x: 77 }", "x: 77"),
        ("struct Point { x: i8 }", "Point { x: -5 }", "x: -5"),
    ] {
        session.cells(&[&format!("#[derive(Serialize, Deserialize, Debug)] {kind}")]);
        let call = format!("memo::cached(\"point\", &1, || {value})");
        contains(&session.cell(&call), &[shown]);
        let again = "memo::cached(\"point\", &1, || -> Point { panic!(\"kept\") })";
        contains(&session.cell(again), &[shown]);
    }
    contains(
        &session.cell("(memo::cached(\"n\", &7u64, || 1), memo::cached(\"n\", &7u8, || 2), memo::cached(\"n\", &7.0, || 3), memo::cached(\"n\", &\"7\", || 4), memo::cached(\"n\", &7u8, || 5))"),
        &["(1, 2, 3, 4, 2)"],
    );
}

fn refusals(session: &mut Session) {
    for (code, what, marked, hint) in [
        (
            "async fn f() {}",
            "it is `async`",
            "2 | async fn f() {}",
            "a plain `fn`",
        ),
        (
            "fn f<T: Serialize>(t: T) {}",
            "generic over `T: Serialize`",
            "   |      ^^^^^^^^^^^^",
            "one type",
        ),
        (
            "fn f(a: &str) -> &str { a }",
            "`&str` is borrowed",
            "^^^^",
            "`String`",
        ),
        (
            "fn f(a: &mut u8) {}",
            "is changed by it",
            "^^^^^^^^^^",
            "give it back",
        ),
        (
            "impl Shape { fn f(&self) {} }",
            "not stand in an `impl`",
            "",
            "beside it",
        ),
        (
            "mod m { pub fn f() {} }",
            "not stand in a module",
            "",
            "beside it",
        ),
    ] {
        let said = session.cell(&format!("%%memo\n{code}"));
        let marked = marked.trim_start_matches("   |      ");
        contains(&said, &["error: %%memo", what, marked, hint]);
        lacks(&said, &["REGATTA", "regatta_"]);
    }
    for code in [
        "fn f(n: u8) -> Box<dyn std::fmt::Debug> { Box::new(n) }",
        "fn f(g: &dyn Fn(u64) -> u64) -> u64 { g(1) }",
        "fn f(g: fn(u64) -> u64) -> u64 { g(1) }",
        "struct Plain;\nfn f(n: u8) -> Plain { Plain }",
        "fn f(n: u64) -> u64 { n + both }",
        "fn f(n: u64) -> Strin { n }",
        "fn f(n: u64) -> u64 { n +",
        "fn f(n: u64) -> u64 { \"text\" }",
    ] {
        let said = session.cell(&format!("%%memo\n{code}"));
        contains(&said, &["error", "In ["]);
        lacks(&said, &["REGATTA", "regatta_", "method `find`"]);
    }
    // The types of the value and the last definition are as they were.
    contains(&session.cell("place(1, 2, 3)"), &[": 6\n"]);
}

/// Defines `slow(n)`, which writes its process's number to a file in `begun`, and then takes long for 1 where it is the
/// first.
fn define_slow(session: &mut Session, begun: &Path) {
    fs::create_dir_all(begun).expect("a folder");
    let said = session.cell(&format!(
        "%%memo\nfn slow(n: u64) -> u64 {{\n    let begun = std::path::Path::new({begun:?});\n    \
         let first = std::fs::read_dir(begun).unwrap().count() == 0;\n    std::fs::write(begun.join(std::process::id().to_string()), \"\").unwrap();\n    \
         if first && n == 1 {{ std::thread::sleep(std::time::Duration::from_secs(300)); }}\n    n + 1\n}}"
    ));
    lacks(&said, &["error"]);
}

/// The processes that have begun, once there is one.
fn begun(folder: &Path) -> Vec<i32> {
    let since = Instant::now();
    loop {
        let entries = fs::read_dir(folder).expect("a folder").flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let found: Vec<i32> = names.filter_map(|name| name.parse().ok()).collect();
        if !found.is_empty() {
            return found;
        }
        assert!(since.elapsed() < PATIENCE, "nothing has begun");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn who_waits_for_a_stopped_engine_can_be_freed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (memo, path) = (folder.path().join("memo"), folder.path().join("begun"));
    let mut session = Session::keeping(&memo);
    define_slow(&mut session, &path);
    session.cell("%pool start processes -n 1 --name a\n%pool start processes -n 2 --name b");
    session.cell("%px_a -a slow(1)");
    let stopped = begun(&path);
    assert_eq!(stopped.len(), 1);
    kill(Pid::from_raw(stopped[0]), Signal::SIGSTOP).expect("an engine");

    // The local engine, a pool, and a map in the background wait.
    for cell in [
        "slow(1)",
        "%px_b slow(1)",
        "%map -p b slow over vec![1, 1, 1]",
    ] {
        session.enter(cell);
        session.taken(PATIENCE);
        std::thread::sleep(Duration::from_millis(500));
        contains(&session.interrupt(), &["interrupted"]);
    }
    // What is not the stopped one's is found.
    contains(&session.cell("slow(2)"), &[": 3\n"]);
    let said = session.cell("let later = %map -a -p b slow over vec![1, 2, 1];");
    lacks(&said, &["error"]);
    std::thread::sleep(Duration::from_millis(500));
    let since = Instant::now();
    let said = session.cell("%cancel");
    lacks(&said, &["error"]);
    let jobs = session.cell("%jobs");
    contains(&jobs, &["cancelled"]);
    assert!(since.elapsed() < PATIENCE / 4, "{:?}", since.elapsed());
    contains(&session.cell("%px_b slow(2) + 1"), &["│    0,1 │      4 │"]);

    // When it is killed, another one takes over.
    kill(Pid::from_raw(stopped[0]), Signal::SIGKILL).expect("an engine");
    contains(&session.cell("%px_b slow(1)"), &["│    0,1 │      2 │"]);
    contains(&session.cell("slow(1)"), &[": 2\n"]);
    assert_eq!(session.end(), 0);
}

/// What is in a folder, by name.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

const NOTED: &str = "%%memo\nfn noted(n: u64) -> Vec<u64> { vec![n; 100] }";

#[test]
fn a_session_that_is_killed_in_its_writes_leaves_the_file_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let memo = folder.path().join("memo");
    let mut session = Session::keeping(&memo);
    session.cells(&[NOTED, "%pool start processes -n 3"]);
    session.cell("%px -a for n in 0..1_000_000_u64 { noted(n % 1000 + n / 1000 * 10_000 + engine::rank() as u64 * 1000); }");
    session.cell("noted(1)[0]");
    std::thread::sleep(Duration::from_millis(700));
    let engines = session.engines();
    assert_eq!(engines.len(), 4);
    session.signal(Signal::SIGKILL);
    let _ = session.ended(PATIENCE);
    drop(session);
    let since = Instant::now();
    let lives = |engine: &i32| Path::new(&format!("/proc/{engine}/exe")).exists();
    while engines.iter().any(lives) {
        assert!(since.elapsed() < PATIENCE, "an engine outlives its session");
        std::thread::sleep(Duration::from_millis(20));
    }
    lacks(&names(&memo).join(" "), &["bad", "tmp"]);
    let before = names(&memo);

    let mut next = Session::keeping(&memo);
    next.cells(&[NOTED]);
    let said = next.cell("(0..1000).map(|n| noted(n)[99]).sum::<u64>()");
    contains(&said, &[": 499500\n"]);
    lacks(&said, &["damaged", "not on disk"]);
    let table = next.cell("%memo");
    let row = table.lines().find(|line| line.contains("noted"));
    let row: Vec<&str> = row.expect("a row").split('│').map(str::trim).collect();
    let found: u64 = row[3].parse().expect("a number");
    assert!(found > 100, "what was written is there: {table}");
    assert_eq!(next.end(), 0);
    let after = names(&memo);
    assert!(
        after
            .iter()
            .all(|name| before.contains(name) || name == "seal"),
        "{after:?}"
    );
}

#[test]
fn one_session_drops_everything_while_another_computes() {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().expect("a folder");
    let memo = folder.path().join("memo");
    let mut session = Session::keeping(&memo);
    session.cells(&[NOTED, "%pool start processes -n 2"]);
    let mut other = Command::new(support::BINARY)
        .env("XDG_DATA_HOME", folder.path())
        .env("XDG_CONFIG_HOME", folder.path())
        .env("REGATTA_MEMO", &memo)
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    let cells = format!(
        "{NOTED}\n\n(0..400_000_u64).map(|n| memo::fresh(|| noted(n % 500))[99]).sum::<u64>()\n%memo\n"
    );
    let mut input = other.stdin.take().expect("a pipe");
    input.write_all(cells.as_bytes()).expect("cells");
    drop(input);
    let mut rounds = 0;
    while other.try_wait().expect("a child").is_none() {
        let said =
            session.cell("%px (0..300).map(|n| noted(n)[5]).sum::<u64>()\n%memo clear --all");
        contains(&said, &["│    0,1 │  44850 │", "dropped"]);
        lacks(&said, &["damaged", "not on disk", "error"]);
        rounds += 1;
    }
    assert!(rounds > 1);
    let output = other.wait_with_output().expect("its output");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    contains(&said, &[": 99800000\n", "noted"]);
    lacks(&said, &["damaged", "not on disk", "error"]);
    session.cell("%memo clear --all");
    contains(&session.cell("noted(7)[0]"), &[": 7\n"]);
    assert_eq!(session.end(), 0);
}
