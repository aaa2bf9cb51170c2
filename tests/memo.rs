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
    contains(&session.cell("%px_p shout(7)"), &["shouting 7"]);
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
