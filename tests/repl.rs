//! Plain cells and the magics around them, typed into a terminal.

mod support;

use std::fs;

use support::{PATIENCE, SECOND, Session, contains, lacks};

/// What the user never wrote and must never read.
const GENERATED: [&str; 4] = ["evcxr", "Evcxr", "regatta_cell", "src/lib.rs"];

#[test]
fn definitions_and_variables_last() {
    let mut session = Session::start();
    session.cells(&[
        "let v = vec![1u64, 2, 3];",
        "fn double(x: u64) -> u64 { x * 2 }",
        "trait Shape { fn area(&self) -> f64; }",
        "#[derive(Debug)] struct Square(f64);\nimpl Shape for Square {\n    fn area(&self) -> f64 { self.0 * self.0 }\n}",
        "macro_rules! twice { ($e:expr) => { $e + $e } }",
        "use std::collections::BTreeMap;",
        "let mut counts: BTreeMap<&str, i32> = BTreeMap::new();",
        "counts.insert(\"a\", 1);",
        "const LIMIT: usize = 5;",
    ]);
    contains(
        &session.cell("v.iter().map(|x| double(*x)).collect::<Vec<_>>()"),
        &["[2, 4, 6]"],
    );
    contains(&session.cell("Square(3.0).area()"), &["9.0"]);
    contains(&session.cell("twice!(21)"), &["42"]);
    contains(&session.cell("counts"), &["{\"a\": 1}"]);
    contains(&session.cell("LIMIT + counts.len()"), &["6"]);
    let silent = session.cell("let quiet = 1;");
    assert_eq!(silent.trim(), "", "a cell without a value shows nothing");
    contains(
        &session.cell("println!(\"to out\"); eprintln!(\"to err\")"),
        &["to out", "to err"],
    );

    // A function anew, a variable anew and of another type.
    session.cells(&["fn double(x: u64) -> u64 { x * 20 }", "let v = \"seven\";"]);
    contains(&session.cell("double(v.len() as u64)"), &["100"]);

    question_marks_leave_the_cell(&mut session);
    a_redefined_type_loses_its_variables(&mut session);
    a_panic_keeps_what_it_did_not_consume(&mut session);
    compile_errors_show_the_users_lines(&mut session);
    async_and_crates(&mut session);
    assert_eq!(session.end(), 0);
}

fn question_marks_leave_the_cell(session: &mut Session) {
    session.cells(&["let n: i32 = \"12\".parse()?;"]);
    let shown = session.cell("let m: i32 = \"x\".parse::<i32>()?;");
    contains(&shown, &["error", "invalid digit found in string"]);
    assert_eq!(
        shown.matches("invalid digit").count(),
        1,
        "said once: {shown}"
    );
    lacks(&shown, &GENERATED);
    contains(&session.cell("n"), &["12"]);
    let shown = session.cell("fn early() -> Option<u8> { None }\nearly()?");
    contains(&shown, &["early()?"]);
    lacks(&shown, &GENERATED);
}

fn a_redefined_type_loses_its_variables(session: &mut Session) {
    session.cells(&[
        "#[derive(Debug)] struct Point { x: i32 }",
        "let origin = Point { x: 0 };",
        "let other = 5;",
        "let shape = Square(2.0);",
    ]);
    let mut shown = session.cell("#[derive(Debug)] struct Point { x: f64, y: f64 }");
    // It is told when it is found, in this cell or in the next one that runs.
    shown += &session.cell("other + 1");
    contains(&shown, &["origin", "6"]);
    lacks(
        &shown,
        &[
            "`other`",
            "`shape`",
            "`v`",
            "error",
            "The type of the variable",
        ],
    );
    contains(&session.cell("shape.area()"), &["4.0"]);
    contains(&session.cell("origin"), &["error", "origin"]);
    contains(&session.cell("Point { x: 0.5, y: 1.0 }.y"), &["1.0"]);
}

fn a_panic_keeps_what_it_did_not_consume(session: &mut Session) {
    session.cells(&[
        "let kept = vec![1, 2, 3];",
        "let eaten = String::from(\"cake\");",
    ]);
    let shown = session.cell("let first = kept[0];\nkept[7]");
    contains(
        &shown,
        &[
            "panicked",
            "the len is 3 but the index is 7",
            ":2:",
            "kept[7]",
        ],
    );
    lacks(&shown, &GENERATED);
    contains(&session.cell("kept"), &["[1, 2, 3]"]);
    contains(&session.cell("first"), &["error"]);
    let shown = session.cell("drop(eaten);\npanic!(\"after it\")");
    contains(
        &shown,
        &[
            "panicked: after it",
            "lost: `eaten`",
            "panic!(\"after it\")",
        ],
    );
    contains(&session.cell("kept.len()"), &["3"]);
    // A cell whose text is part of a later one is not mistaken for it.
    let shown = session.cell("let late = 1;\nif late == 1 { panic!(\"here\") }; kept");
    contains(&shown, &["panicked: here", ":2:"]);
}

fn compile_errors_show_the_users_lines(session: &mut Session) {
    let shown = session.cell("let right = 1;\nlet wrong: String = right;");
    contains(
        &shown,
        &[
            "error[E0308]",
            "mismatched types",
            ":2:21",
            "let wrong: String = right;",
        ],
    );
    let mark = shown.lines().find(|line| line.contains("^^^^^"));
    assert!(mark.is_some(), "the place is marked: {shown}");
    lacks(&shown, &GENERATED);
    for code in [
        "undefined + 1",
        "let x: u8 = 300;",
        "kept.push(4)",
        "fn f) {}",
        "let;",
        "1 +* 2",
    ] {
        let shown = session.cell(code);
        contains(&shown, &["error"]);
        lacks(&shown, &GENERATED);
        lacks(&shown, &["unused", "earlier cell"]);
    }
    contains(
        &session.cell("fn unused_parts() { let q = 1; }\n40 + 2"),
        &["42"],
    );
    contains(&session.cell("kept"), &["[1, 2, 3]"]);
}

fn async_and_crates(session: &mut Session) {
    // It is fetched and built.
    session.enter(":dep tokio = { version = \"1\", features = [\"full\"] }");
    let shown = session.prompt(5 * PATIENCE);
    lacks(&shown, &["error"]);
    session.cells(&["async fn seven() -> u8 { 7 }"]);
    contains(&session.cell("seven().await + 1"), &["Out[", "8"]);
    contains(&session.cell("kept"), &["[1, 2, 3]"]);
    let shown = session.cell("%dep no-such-crate-as-this = \"99\"");
    contains(&shown, &["error", "no-such-crate-as-this"]);
    lacks(&shown, &GENERATED);
    contains(&session.cell("kept"), &["[1, 2, 3]"]);
}

#[test]
fn magics_around_a_cell() {
    let mut session = Session::start();
    session.cells(&[
        "let v = vec![1u64, 2];",
        "let name = String::from(\"x\");",
        "fn f(x: u64) -> u64 { x + 1 }",
    ]);
    contains(&session.cell("%who"), &["name", "v"]);
    contains(
        &session.cell("%whos"),
        &["Vec<u64>", "String", "local", "variable", "type"],
    );
    contains(&session.cell("%type f(v[0])"), &["u64"]);
    contains(
        &session.cell("%type v.iter().map(|x| x + 1).collect::<Vec<_>>()"),
        &["Vec<u64>"],
    );
    contains(&session.cell("%time f(41)"), &["42", "wall", "compile"]);
    contains(&session.cell("%timeit f(v[1])"), &["per loop", "±", "best"]);
    let shown = session.cell("%history");
    contains(&shown, &["let v = vec![1u64, 2];", "%who", "%history"]);
    contains(&session.cell("%opt 3"), &["3"]);
    contains(&session.cell("f(1)"), &["2"]);
    contains(&session.cell("%opt 9"), &["error"]);
    contains(&session.cell("%help"), &["%px", "%map", "%pool", "%timeit"]);
    contains(&session.cell("%help map"), &["over"]);
    contains(
        &session.cell("!echo from the $((40 + 2)) shell"),
        &["from the 42 shell"],
    );
    contains(&session.cell("!exit 3"), &["3"]);
    lacks(&session.cell("%dep kernels"), &["error"]);
    contains(&session.cell("kernels::fib(20)"), &["6765"]);

    // A typo runs nothing, whatever stands before it in the cell.
    let shown = session.cell("println!(\"ran\");\n%whoo");
    contains(&shown, &["unknown magic %whoo", "did you mean %who"]);
    lacks(&shown, &["ran\n"]);
    let shown = session.cell("let typo = 1;\n%pool start --nam x");
    contains(&shown, &["--nam", "did you mean --name"]);
    contains(&session.cell("%who"), &["name", "v"]);
    lacks(&session.cell("%who"), &["typo"]);
    for wrong in [
        "%hlp",
        "%help nothing",
        "%pool strt",
        "%time",
        "%run /no/such/file",
        "%",
    ] {
        contains(&session.cell(wrong), &["error"]);
    }

    let file = session.temporary().join("cells.rs");
    fs::write(
        &file,
        "fn from_file() -> u8 { 9 }\nlet of_file = from_file() + 1;\n",
    )
    .expect("a file");
    lacks(
        &session.cell(&format!("%run {}", file.display())),
        &["error"],
    );
    contains(&session.cell("of_file + from_file()"), &["19"]);
    let notebook = session.temporary().join("cells.md");
    fs::write(&notebook, "Prose.\n\n```rust\nlet of_notebook = 77;\n```\n").expect("a file");
    lacks(
        &session.cell(&format!("%run {}", notebook.display())),
        &["error"],
    );
    contains(&session.cell("of_notebook"), &["77"]);

    lacks(&session.cell("%reset"), &["error"]);
    contains(&session.cell("%who"), &["no variables"]);
    contains(&session.cell("f(1)"), &["error"]);
    contains(&session.cell("let v = 2; v"), &["2"]);
    session.enter("%quit");
    let ended = session.ended(PATIENCE);
    assert!(format!("{ended:?}").contains("Exited"), "%quit: {ended:?}");
}

#[test]
fn keys_at_the_prompt() {
    let mut session = Session::start();
    // Typed line by line: the editor knows that the cell goes on.
    session.type_keys("fn typed(\rx: u8,\r) -> u8 {\rx + 1\r}\r");
    let shown = session.prompt(PATIENCE);
    lacks(&shown, &["error"]);
    session.type_keys("\"a {\r}\".len()\r");
    contains(&session.prompt(PATIENCE), &["Out[", "5"]);
    session.type_keys("r#\"raw\r\"\r\"#.len() /* and\ra comment */\r");
    contains(&session.prompt(PATIENCE), &["Out[", "6"]);
    session.type_keys("%%time\rlet a = typed(1);\ra + 1\r\r");
    contains(&session.prompt(PATIENCE), &["3", "wall"]);
    // A paste of a whole program is one cell.
    let shown = session.cell("fn one() -> u8 { 1 }\n\nfn two() -> u8 {\n    one() + 1\n}\n\nlet sum = one() + two();\nsum");
    contains(&shown, &["Out[6]: 3"]);
    // Ctrl-C drops what is typed and takes no number.
    session.type_keys("let dropped = (");
    session.echoes("let dropped = (", SECOND);
    session.type_keys("\x03");
    session.prompt(SECOND);
    contains(&session.cell("sum + 1"), &["Out[7]: 4"]);
    contains(&session.cell("dropped"), &["error"]);
    // A line of the past by the arrow key.
    session.type_keys("\x1b[A\x1b[A\r");
    contains(&session.prompt(PATIENCE), &["Out[9]: 4"]);

    let history = session.data().join("regatta").join("history.txt");
    let history = fs::read_to_string(history).expect("the history's file");
    contains(&history, &["1 + 1", "fn typed(", "sum + 1"]);
    lacks(&history, &["let dropped"]);
    assert_eq!(session.end(), 0);
}
