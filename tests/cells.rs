//! How cells are read: what they bind, where they end, what is supplied.

mod support;

use support::{Session, contains, lacks};

#[test]
fn cells_are_read_as_they_are_meant() {
    let mut session = Session::start();
    what_a_failed_cell_did_not_bind_is_kept(&mut session);
    what_a_cell_lacks_is_supplied(&mut session);
    assert_eq!(session.end(), 0);
}

fn what_a_failed_cell_did_not_bind_is_kept(session: &mut Session) {
    session.cells(&["let y = 5;", "let kept = vec![1];"]);
    let shown = session.cell("let x = { let y = 1; if y == 1 { panic!(\"inner\") }; y };");
    contains(&shown, &["panicked: inner"]);
    lacks(&shown, &["lost"]);
    let shown = session.cell("if let Some(kept) = kept.get(0) { panic!(\"got {kept}\") }");
    contains(&shown, &["panicked: got 1"]);
    lacks(&shown, &["lost"]);
    contains(&session.cell("y + kept.len()"), &["6"]);
    // What the cell itself binds anew is gone.
    let shown = session.cell("let y = 6; panic!(\"after\");");
    contains(&shown, &["panicked: after", "lost", "`y`"]);
}

fn what_a_cell_lacks_is_supplied(session: &mut Session) {
    session.cells(&[
        "let five = 5",
        "let a = five;\nlet b = a\n    + 1 // six",
        "let add = |x: i32| x + 1;",
        "let label = |n: usize, s: &str| format!(\"{s}{n}\")",
        "let k = 10;",
    ]);
    contains(&session.cell("add(five) + b"), &["12"]);
    contains(&session.cell("label(3, \"no. \")"), &["no. 3"]);
    contains(
        &session.cell("%whos"),
        &["fn(i32) -> i32", "fn(usize, &str) -> String"],
    );
    // One that captures cannot be a pointer; the error is that of the text as it was written.
    let shown = session.cell("let more = |x: i32| x + k;");
    contains(&shown, &["error", "closure", "Box<dyn Fn"]);
    let shown = session.cell("let odd = |x| x.wrong();");
    contains(&shown, &["error", "let odd = |x| x.wrong();"]);
    lacks(&shown, &["fn(_)"]);
    let shown = session.cell(&format!(
        "let deep = {}1{};",
        "(".repeat(3000),
        ")".repeat(3000)
    ));
    contains(&shown, &["nests more than 2000 levels deep"]);
    contains(&session.cell("five"), &["5"]);
}
