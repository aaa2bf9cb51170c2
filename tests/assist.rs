//! Completion and documentation at the prompt, as in an editor.

mod support;

use std::time::Instant;

use support::{PATIENCE, SECOND, Session, contains, lacks};

#[test]
fn names_are_completed_and_explained() {
    let mut session = Session::start();
    session.cells(&[
        "/// Where it is.\n#[derive(Debug, Clone)]\nstruct Point { x: f64, y: f64 }\nimpl Point {\n    /// How far it is from the origin.\n    fn norm(&self) -> f64 { self.x.hypot(self.y) }\n    fn moved(&self, by: f64) -> Point { Point { x: self.x + by, y: self.y } }\n}",
        "#[derive(Debug)] enum Move { Up(u8), Stay }",
        "let p = Point { x: 3.0, y: 4.0 }; let points = vec![p.clone()];",
        "let maybe: Result<u8, String> = Ok(37);",
    ]);
    documentation(&mut session);
    // All libraries are read now, so every key is answered at once.
    completion(&mut session);
    session.cells(&["%pool start -n 1", "%px let far = String::from(\"there\");"]);
    offered(
        &mut session,
        "%px far.trim_e",
        &["trim_end()", "trim_end_matches("],
    );
    // What is completed runs.
    session.type_keys("p.nor\t");
    session.echoes("p.norm()", SECOND);
    session.type_keys("\r");
    contains(&session.prompt(PATIENCE), &["5.0"]);
    assert_eq!(session.end(), 0);
}

fn documentation(session: &mut Session) {
    contains(
        &session.cell("?Vec::push"),
        &[
            "alloc::vec::Vec",
            "pub fn push(&mut self, value: T)",
            "Appends an element",
            "EXAMPLES",
        ],
    );
    let own = session.cell("Point?");
    contains(&own, &["struct Point", "Where it is."]);
    lacks(&own, &["ctx", "regatta_", "evcxr"]);
    contains(
        &session.cell("?p.norm"),
        &["fn norm(&self) -> f64", "How far it is"],
    );
    contains(&session.cell("??Point::norm"), &["self.x.hypot(self.y)"]);
    contains(
        &session.cell("points?"),
        &["points: Vec<Point>", "growable array"],
    );
    contains(
        &session.cell("println!?"),
        &["macro_rules! println", "standard output"],
    );
    contains(&session.cell("?match"), &["match", "pattern matching"]);
    contains(
        &session.cell("%doc HashMap"),
        &[
            "in cells: use std::collections::HashMap;",
            "more lines: %doc --all HashMap",
        ],
    );
    contains(&session.cell("%px?"), &["every engine", "--targets"]);
    contains(&session.cell("?"), &["%help", "??name"]);
    // Mistyped, or nothing at all.
    contains(
        &session.cell("?Vec::psuh"),
        &["error", "did you mean `Vec::push`?"],
    );
    contains(
        &session.cell("?HashMpa"),
        &["error", "did you mean `HashMap`?"],
    );
    contains(&session.cell("?pionts"), &["did you mean `points`?"]);
    contains(
        &session.cell("?frobnicate_it"),
        &["nothing is known about `frobnicate_it`"],
    );
    // A type that came with its `impl` is defined anew, and then its `impl`.
    session.cells(&[
        "struct Acc { b: i64 }\nimpl Acc { fn new() -> Self { Acc { b: 0 } } fn deposit(&mut self, n: i64) { self.b += n } }",
        "struct Acc { b: i64, n: u8 }",
    ]);
    contains(
        &session.cell("?Acc::new"),
        &["nothing is known about `Acc::new`"],
    );
    session.cells(&[
        "impl Acc { fn new() -> Self { Acc { b: 0, n: 0 } } fn deposit(&mut self, n: i64) { self.b += n } }",
        "let acc = Acc::new();",
    ]);
    contains(&session.cell("?Acc::new"), &["fn new() -> Self"]);
    contains(
        &session.cell("?acc.deposit"),
        &["fn deposit(&mut self, n: i64)"],
    );
    // A question mark that is Rust's stays so.
    contains(&session.cell("?maybe"), &["maybe: Result<u8, String>"]);
    contains(&session.cell("maybe?"), &["37"]);
}

fn completion(session: &mut Session) {
    for (typed, shown) in [
        (
            "p.",
            &[
                "x ",
                "f64",
                "norm()",
                "How far it is from the origin.",
                "moved(",
            ][..],
        ),
        ("points[0].no", &["points[0].norm()"]),
        (
            "points.pu",
            &[
                "push(",
                "push_mut(",
                "fn(&mut self, T)",
                "Appends an element",
            ],
        ),
        ("std::coll", &["std::collections"]),
        (
            "use std::collections::HashM",
            &["use std::collections::HashMap"],
        ),
        ("HashM", &["std::collections::HashMap"]),
        ("pri", &["print!(", "println!("]),
        ("Move::", &["Up(", "Stay"]),
        ("Poi", &["Point"]),
        ("Point { ", &["x ", "y ", "f64"]),
        ("%time points.is_emp", &["points.is_empty()"]),
        ("fn f(q: &Point) {\nq.mo", &["q.moved("]),
        ("serde::Ser", &["Serialize", "Serializer"]),
        ("engine::ra", &["engine::rank()"]),
        ("comm::sse", &["ssend(", "ssend_tag("]),
        ("store::inc", &["store::incr("]),
        ("%doc Vec::with_c", &["%doc Vec::with_capacity"]),
    ] {
        offered(session, typed, shown);
    }
    // Inside of a map the function's parameter is an item of what is mapped over.
    session.type_keys("%map |q| q.nor over points\x1b[D\x1b[D\x1b[D\x1b[D\x1b[D\x1b[D\x1b[D\x1b[D\x1b[D\x1b[D\x1b[D\x1b[D\t");
    session.echoes("%map |q| q.norm() over points", SECOND);
    session.type_keys("\x03");
    session.prompt(PATIENCE);
    // A type is not called, and in texts and comments nothing is known.
    // What only regatta itself uses is not offered.
    for (typed, not) in [
        ("Poi", "Point("),
        ("\"p.", "norm"),
        ("// p.", "norm"),
        ("comm::tab", "table"),
        ("store::cal", "call"),
        ("children::Rep", "Reply"),
    ] {
        session.type_keys(&format!("{typed}\t#"));
        let seen = session.echoes("#", SECOND);
        lacks(&seen, &[not]);
        session.type_keys("\x15");
    }
}

/// Types something and Tab; waits for what is offered or inserted, and takes it back.
fn offered(session: &mut Session, typed: &str, shown: &[&str]) {
    // A paste, so that a line break is no Enter.
    session.type_keys(&format!("\x1b[200~{typed}\x1b[201~\t"));
    for (at, part) in shown.iter().enumerate() {
        // What is known too late for one key is known for the next.
        let until = Instant::now() + PATIENCE;
        while at == 0 && !session.has_echoed(part, SECOND / 10) && Instant::now() < until {
            session.type_keys("\t");
        }
        session.echoes(part, SECOND);
    }
    session.type_keys("\x03");
    session.prompt(PATIENCE);
}
