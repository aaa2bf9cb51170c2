//! `%%memo`: what was computed is not computed again, wherever it is called, as long as it means the same.

mod support;

use support::{Session, contains, lacks};

#[test]
fn functions_keep_what_they_computed() {
    let mut session = Session::start();
    recursion_and_plain_cells(&mut session);
    results_go_by_what_the_function_means(&mut session);
    what_is_kept_and_what_is_not(&mut session);
    engines_and_threads(&mut session);
    what_cannot_be_kept_is_refused_by_name(&mut session);
    what_is_kept_is_listed_and_dropped(&mut session);
    values_are_kept_by_a_name_and_a_key(&mut session);
    a_result_is_good_for_a_time(&mut session);
    assert_eq!(session.end(), 0);
}

fn recursion_and_plain_cells(session: &mut Session) {
    session
        .cell("%%memo\nfn fib(n: u64) -> u64 { if n < 2 { n } else { fib(n - 1) + fib(n - 2) } }");
    contains(&session.cell("fib(90)"), &[": 2880067194370816120\n"]);

    session.cell("fn helper(n: u64) -> f64 { n as f64 * 2.0 }");
    session.cell(
        "%%memo\nfn slow(n: u64, scale: &f64) -> f64 {\n    println!(\"computing {n}\");\n    helper(n) * scale\n}",
    );
    contains(&session.cell("slow(3, &1.5)"), &["computing 3", ": 9.0\n"]);
    let kept = session.cell("slow(3, &1.5)");
    contains(&kept, &[": 9.0\n"]);
    lacks(&kept, &["computing"]);
    contains(&session.cell("slow(3, &1.0)"), &["computing 3", ": 6.0\n"]);
    contains(
        &session.cell("memo::fresh(|| slow(3, &1.5))"),
        &["computing 3", ": 9.0\n"],
    );
}

fn results_go_by_what_the_function_means(session: &mut Session) {
    session.cell("fn helper(n: u64) -> f64 { n as f64 * 4.0 }");
    contains(&session.cell("slow(3, &1.5)"), &["computing 3", ": 18.0\n"]);
    session.cell("// as before\nfn helper(n: u64) -> f64 {\n    n as f64 * 2.0\n}");
    let again = session.cell("slow(3, &1.5)");
    contains(&again, &[": 9.0\n"]);
    lacks(&again, &["computing"]);

    // What a helper of a helper is made of counts too.
    session.cell("const SCALE: u64 = 10;\nfn inner(n: u64) -> u64 { n * SCALE }\nfn outer(n: u64) -> u64 { inner(n) + 1 }");
    session.cell("%%memo\nfn far(n: u64) -> u64 { outer(n) }");
    contains(&session.cell("far(2)"), &[": 21\n"]);
    session.cell("const SCALE: u64 = 20;");
    contains(&session.cell("far(2)"), &[": 41\n"]);
    session.cell("const SCALE: u64 = 10;");
    contains(&session.cell("far(2)"), &[": 21\n"]);
    // A plain function of the same text keeps nothing.
    session.cell("fn slow(n: u64, scale: &f64) -> f64 {\n    println!(\"computing {n}\");\n    helper(n) * scale\n}");
    contains(&session.cell("slow(3, &1.5)"), &["computing 3", ": 9.0\n"]);
    contains(&session.cell("slow(3, &1.5)"), &["computing 3", ": 9.0\n"]);
}

fn what_is_kept_and_what_is_not(session: &mut Session) {
    session.cell("%%memo --ok\nfn half(n: u64) -> Result<u64, String> {\n    println!(\"halving {n}\");\n    if n % 2 == 1 { return Err(format!(\"{n} is odd\")); }\n    Ok(n / 2)\n}");
    for (call, value) in [("half(4)", "Ok(2)"), ("half(5)", "Err(\"5 is odd\")")] {
        contains(&session.cell(call), &["halving", value]);
    }
    let kept = session.cell("half(4)");
    contains(&kept, &["Ok(2)"]);
    lacks(&kept, &["halving"]);
    contains(&session.cell("half(5)"), &["halving 5", "5 is odd"]);

    session.cell("%%memo\nfn fails(n: u64) -> u64 {\n    println!(\"trying {n}\");\n    assert!(n > 1, \"too small\");\n    n\n}");
    for _ in 0..2 {
        contains(&session.cell("fails(1)"), &["trying 1", "too small"]);
    }
    contains(&session.cell("fails(2)"), &["trying 2", ": 2\n"]);
}

fn engines_and_threads(session: &mut Session) {
    session
        .cell("%%memo\nfn shout(n: u64) -> u64 {\n    println!(\"shouting {n}\");\n    n + 1\n}");
    session.cell("%pool start threads -n 2 --name t\n%pool start processes -n 2 --name p");
    // Two processes, one computation.
    let first = session.cell("%px_p shout(7)");
    assert_eq!(first.matches("shouting 7").count(), 1, "{first}");
    lacks(&session.cell("%px_p shout(7) + 0"), &["shouting"]);
    let mapped = session.cell("let v = %map shout over vec![7u64; 20]");
    lacks(&mapped, &["shouting"]);
    contains(&session.cell("v.iter().sum::<u64>()"), &[": 160\n"]);
    // Threads share a process: eight items, one computation.
    let first = session.cell("%map -p t shout over vec![9u64; 8]");
    contains(&first, &["shouting 9"]);
    assert!(first.matches("shouting 9").count() <= 1, "{first}");
    lacks(&session.cell("shout(9)"), &["shouting"]);
}

fn what_cannot_be_kept_is_refused_by_name(session: &mut Session) {
    session.cell("#[derive(Clone)] struct Plain(u8);");
    contains(
        &session.cell("%%memo\nfn gives(n: u64) -> Plain { Plain(n as u8) }"),
        &["`Plain` cannot be kept by `%%memo`"],
    );
    contains(
        &session.cell("%%memo\nfn takes(p: Plain) -> u8 { p.0 }"),
        &["Plain", "Serialize"],
    );
    contains(
        &session.cell("%%memo\nfn any<T>(t: T) -> u8 { 1 }"),
        &["cannot keep the results of `any`", "generic over `T`"],
    );
    contains(
        &session.cell("%%memo\nlet a = 1;"),
        &["%%memo needs a function"],
    );
    // What does not compile is shown where it stands.
    contains(
        &session.cell("%%memo\nfn wrong(n: u64) -> u64 { n + missing }"),
        &["missing", "2:31"],
    );
    contains(&session.cell("fib(10)"), &[": 55\n"]);
}

fn what_is_kept_is_listed_and_dropped(session: &mut Session) {
    session.cell("%memo clear");
    session
        .cell("%%memo\nfn listed(n: u64) -> u64 {\n    println!(\"listing {n}\");\n    n + 1\n}");
    assert_eq!(
        row(&session.cell("%memo"), "listed")[..4],
        ["0", "0", "0", "0"]
    );
    session.cell("for n in [1, 2, 1, 1] { listed(n); }");
    assert_eq!(
        row(&session.cell("%memo"), "listed")[..4],
        ["2", "0", "2", "2"]
    );
    // What an engine has kept is there for the others, and stays behind it.
    session.cell("%px_p listed(5) + listed(5)");
    assert_eq!(
        row(&session.cell("%memo"), "listed")[..4],
        ["4", "1", "3", "3"]
    );
    session.cell("%pool stop p");
    assert_eq!(
        row(&session.cell("%memo"), "listed")[..4],
        ["4", "1", "3", "3"]
    );
    let table = session.cell("%memo");
    contains(
        &table,
        &[
            "function",
            "hits",
            "misses",
            "entries",
            "size",
            "time saved",
        ],
    );

    contains(
        &session.cell("%memo clear listed"),
        &["dropped 3 results of listed"],
    );
    assert_eq!(
        row(&session.cell("%memo"), "listed")[..4],
        ["0", "0", "0", "0"]
    );
    contains(&session.cell("listed(1)"), &["listing 1"]);
    lacks(&session.cell("listed(1) + 0"), &["listing"]);
    contains(
        &session.cell("%memo clear listd"),
        &["no function `listd`", "did you mean listed?"],
    );
    contains(&session.cell("%memo clear"), &["functions"]);

    contains(
        &session.cell("%memo fn on_one_line() {}"),
        &["%memo: ", "`%%memo`"],
    );
    contains(
        &session.cell("%memo --ok"),
        &["its options stand with `%%memo`"],
    );
    contains(&session.cell("%memo claer"), &["did you mean clear?"]);
}

/// The numbers of a function's row.
fn row(table: &str, function: &str) -> Vec<String> {
    let cells = |line: &str| {
        line.split('│')
            .map(|cell| cell.trim().to_owned())
            .collect::<Vec<_>>()
    };
    let rows = table.lines().map(cells);
    let mut found = rows.filter(|cells| cells.get(1).is_some_and(|name| name == function));
    found
        .next()
        .unwrap_or_else(|| panic!("no {function} in {table}"))[2..]
        .to_vec()
}

fn values_are_kept_by_a_name_and_a_key(session: &mut Session) {
    let call = |key: &str| {
        format!("memo::cached(\"squares\", &{key}, || {{ println!(\"squaring\"); 49_u64 }})")
    };
    contains(&session.cell(&call("7")), &["squaring", ": 49\n"]);
    let again = session.cell(&format!("{} + 0", call("7")));
    contains(&again, &[": 49\n"]);
    lacks(&again, &["squaring"]);
    contains(&session.cell(&call("(7, \"x\")")), &["squaring"]);
    contains(
        &session.cell(&format!("memo::fresh(|| {})", call("7"))),
        &["squaring"],
    );
    // Results of another type are others.
    let text = "memo::cached(\"squares\", &7, || String::from(\"seven\"))";
    contains(&session.cell(text), &["\"seven\""]);
    session.cell("#[derive(Serialize, Deserialize, Debug)] struct Point { x: u8 }");
    let point = "memo::cached(\"point\", &1, || Point { x: 3 })";
    contains(&session.cell(point), &["x: 3"]);
    session.cell("#[derive(Serialize, Deserialize, Debug)] struct Point { x: f64, y: f64 }");
    let point = "memo::cached(\"point\", &1, || Point { x: 3.5, y: 1.0 })";
    contains(&session.cell(point), &["x: 3.5"]);
    contains(&session.cell("%memo"), &["squares", "point"]);
}

fn a_result_is_good_for_a_time(session: &mut Session) {
    let define = |ttl: &str| {
        format!(
            "%%memo --ttl {ttl}\nfn short(n: u64) -> u64 {{\n    println!(\"anew {{n}}\");\n    n\n}}"
        )
    };
    session.cell(&define("1h"));
    let twice = session.cell("short(1); short(1);");
    assert_eq!(twice.matches("anew").count(), 1, "{twice}");
    session.cell(&define("1ms"));
    session.cell("short(1);");
    let later = session.cell("std::thread::sleep(std::time::Duration::from_millis(20)); short(1)");
    contains(&later, &["anew 1"]);
    contains(
        &session.cell("%%memo --ttl 5\nfn f() {}"),
        &["--ttl 5: not a time", "`1h`"],
    );
}
