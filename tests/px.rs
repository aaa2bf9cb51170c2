//! `%px` and its family on engine processes.

mod support;

use support::table::{results, rows};
use support::{Session, contains, lacks};

#[test]
fn cells_on_engine_processes() {
    let mut session = Session::start();
    contains(
        &session.cell("%px 1"),
        &["error", "no pool is started", "%pool start"],
    );
    contains(
        &session.cell("%pool start -n 4"),
        &["p0", "4 process engines"],
    );
    results(
        &mut session,
        "%px engine::rank() * 10",
        &[("0", "0"), ("1", "10"), ("2", "20"), ("3", "30")],
    );
    results(&mut session, "%px engine::size()", &[("0-3", "4")]);
    results(
        &mut session,
        "%px engine::rank() / 2",
        &[("0,1", "0"), ("2,3", "1")],
    );

    // Engines' variables last and are not the session's; definitions are everybody's.
    session.cells(&[
        "%px let a = engine::rank() + 1;",
        "let b = 5;",
        "fn twice(x: u32) -> u32 { 2 * x }",
    ]);
    results(
        &mut session,
        "%px twice(a)",
        &[("0", "2"), ("1", "4"), ("2", "6"), ("3", "8")],
    );
    contains(&session.cell("a"), &["error", "cannot find value `a`"]);
    contains(
        &session.cell("%px b"),
        &["error", "`b`", "engines have variables of their own", "%px"],
    );
    contains(&session.cell("let a = \"local\"; a"), &["local"]);
    session.cells(&[
        "%px #[derive(Debug, PartialEq)] struct Pair(u32, u32);",
        "%px fn pair() -> Pair { Pair(1, 2) }",
    ]);
    contains(&session.cell("pair()"), &["Pair(1, 2)"]);
    results(
        &mut session,
        "%%px\nlet c = a * a;\nc + 1",
        &[("0", "2"), ("1", "5"), ("2", "10"), ("3", "17")],
    );

    targets(&mut session);
    outputs(&mut session);
    failures(&mut session);
    variables_on_some_engines(&mut session);
    options(&mut session);
    assert_eq!(session.end(), 0);
}

fn targets(session: &mut Session) {
    results(session, "%px -t 0,2 a", &[("0", "1"), ("2", "3")]);
    results(
        session,
        "%px -t 1: a",
        &[("1", "2"), ("2", "3"), ("3", "4")],
    );
    results(session, "%px --targets ::2 a", &[("0", "1"), ("2", "3")]);
    results(session, "%px -t -1 a", &[("3", "4")]);
    results(session, "%px --targets=1:3 a", &[("1", "2"), ("2", "3")]);
    contains(
        &session.cell("%px -t 9 a"),
        &["error", "engine 9", "4 engines"],
    );
    contains(&session.cell("%px -t two a"), &["error", "two"]);
    contains(
        &session.cell("%px --targts 0 a"),
        &["error", "did you mean --targets"],
    );
}

fn outputs(session: &mut Session) {
    let shown = session.cell("%px println!(\"hello {a}\"); eprintln!(\"oops {a}\");");
    for rank in 0..4 {
        let (out, err) = (
            format!("[stdout:{rank}] hello {}\n", rank + 1),
            format!("[stderr:{rank}] oops {}\n", rank + 1),
        );
        contains(&shown, &[&out, &err]);
    }
    // What ends without a line break is whole all the same.
    contains(
        &session.cell("%px -t 2 print!(\"no break\")"),
        &["[stdout:2] no break"],
    );

    let code = "%px for i in 0..2000 { println!(\"line {i} of {} {}\", engine::rank(), \"x\".repeat(i % 50)) }";
    let shown = session.cell(code);
    let mut next = [0usize; 4];
    for line in shown.lines() {
        let rank = line
            .strip_prefix("[stdout:")
            .and_then(|line| line.split(']').next());
        let rank: usize = rank
            .and_then(|rank| rank.parse().ok())
            .unwrap_or_else(|| panic!("{line:?}"));
        let i = next[rank];
        let wanted = format!("[stdout:{rank}] line {i} of {rank} {}", "x".repeat(i % 50));
        assert_eq!(line.trim_end(), wanted.trim_end());
        next[rank] += 1;
    }
    assert_eq!(next, [2000; 4], "every line of every engine");
}

fn failures(session: &mut Session) {
    let shown =
        session.cell("%%px\nlet d = 1;\nif engine::rank() == 1 { panic!(\"one broke\") };\na");
    contains(&shown, &["engine 1", "one broke", ":3"]);
    let shown_rows: Vec<_> = rows(&shown)
        .into_iter()
        .map(|row| row[..2].join(" "))
        .collect();
    assert_eq!(shown_rows, ["0 1", "2 3", "3 4"], "{shown}");
    results(
        session,
        "%px a",
        &[("0", "1"), ("1", "2"), ("2", "3"), ("3", "4")],
    );
    let shown = session.cell("%px -t 0 \"x\".parse::<i32>()?;");
    contains(&shown, &["engine 0", "invalid digit"]);
    let shown = session.cell("%px let wrong: String = a;");
    contains(&shown, &["error[E0308]", "%px let wrong: String = a;", "^"]);
    assert_eq!(
        shown.matches("mismatched types").count(),
        1,
        "said once: {shown}"
    );
    lacks(&shown, &["evcxr", "regatta_cell"]);
    // Neither the session nor the other engines have changed.
    results(
        session,
        "%px a * 10",
        &[("0", "10"), ("1", "20"), ("2", "30"), ("3", "40")],
    );
}

fn variables_on_some_engines(session: &mut Session) {
    session.cells(&["%px -t 0 let only = String::from(\"zero\");"]);
    let shown = session.cell("%px only.len()");
    contains(&shown, &["1-3", "`only`", "engine 0"]);
    assert_eq!(rows(&shown), [["0", "4"]], "{shown}");
    contains(&session.cell("%whos"), &["only", "p0: 0", "p0: all"]);
    let shown = session.cell("%pool restart 3");
    contains(&shown, &["3", "a"]);
    let shown = session.cell("%px a");
    contains(&shown, &["engine 3", "`a`"]);
    assert_eq!(rows(&shown).len(), 3, "{shown}");
    results(
        session,
        "%px engine::rank()",
        &[("0", "0"), ("1", "1"), ("2", "2"), ("3", "3")],
    );
    session.cells(&["%px -t 3 let a = 4u32;"]);
    results(
        session,
        "%px a",
        &[("0", "1"), ("1", "2"), ("2", "3"), ("3", "4")],
    );
}

fn options(session: &mut Session) {
    // Bound to a local variable, by rank and typed.
    let shown = session.cell("%px -o squares a * a");
    lacks(&shown, &["error"]);
    contains(&session.cell("squares"), &["[1, 4, 9, 16]"]);
    contains(&session.cell("%type squares"), &["Vec<u32>"]);

    let shown =
        session.cell("%px -a std::thread::sleep(std::time::Duration::from_millis(500)); a * 100");
    lacks(&shown, &["│"]);
    contains(&session.cell("1 + 1"), &["2"]);
    results(
        session,
        "%pxresult",
        &[("0", "100"), ("1", "200"), ("2", "300"), ("3", "400")],
    );
    results(
        session,
        "%pxresult",
        &[("0", "100"), ("1", "200"), ("2", "300"), ("3", "400")],
    );

    let held = session.cell("%px --no-stream for i in 0..3 { println!(\"held {i}\") }");
    let ranks: Vec<&str> = held
        .lines()
        .filter_map(|line| line.split(']').next())
        .collect();
    let wanted: Vec<String> = (0..4)
        .flat_map(|rank| vec![format!("[stdout:{rank}"); 3])
        .collect();
    assert_eq!(ranks, wanted, "held back, engine by engine: {held}");
    contains(&session.cell("%px --verbose a"), &["u32", "type"]);
    contains(
        &session.cell("%px -t 0 --local println!(\"from both\")"),
        &["[stdout:0] from both\n", "\nfrom both\n"].map(|text| text.trim_start_matches('\n')),
    );

    session.cells(&["%autopx"]);
    results(
        session,
        "engine::rank() + 7",
        &[("0", "7"), ("1", "8"), ("2", "9"), ("3", "10")],
    );
    session.cells(&["%autopx"]);
    contains(&session.cell("engine::size() + 7"), &["8"]);
    session.cells(&["%pxconfig --targets 1"]);
    results(session, "%px a", &[("1", "2")]);
    session.cells(&["%pxconfig --targets all", "%pool resize 2"]);
    results(session, "%px engine::size()", &[("0,1", "2")]);
}
