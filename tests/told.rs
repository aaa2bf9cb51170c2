//! What is told of a cell that is refused: where, in the user's own words, and what to do now.

mod support;

use support::{PATIENCE, Session, contains, lacks};

#[test]
fn every_error_has_its_place_and_a_way_on() {
    let mut session = Session::start();
    session.cells(&[
        "%pool start -n 2",
        "let arr = [1, 2, 3]; let value = 1; let names = vec![1, 2]; let kept = vec![1];",
        "fn len(x: Vec<i32>) -> usize { x.len() }",
        "static G: i32 = 1;",
    ]);
    for (code, place, says) in [
        ("%px 1 +", ":1:8", "found the end of the cell"),
        ("use std::collections::HashMa;", ":1:5", "`HashMap`"),
        ("use std::{fmt, io::Reed};", ":1:20", "`Read`"),
        ("use crate;", ":1:5", "`crate as name`"),
        ("1/0", ":1:1", "attempt to divide `1_i32` by zero"),
        ("arr[\n   5]", ":1:1", "the length is 3 but the index is 5"),
        ("i32::MAX + 1", ":1:1", "which would overflow"),
        ("let z = 0; 1 / z", ":1:12", "`1_i32` by zero"),
        (
            "let p = vec![1]; let (q, r) = (p, 2); let s = r.foo();",
            ":1:49",
            "no method named `foo`",
        ),
        (
            "let at = 7; [1, 2, 3][at]",
            ":1:13",
            "the length is 3 but the index is 7",
        ),
        ("let p = 5\nlet q = 6\np + q", ":1:10", "add `;` here"),
        ("%px let p = 1; p +", ":1:19", "found the end of the cell"),
        ("vlaue + 1", ":1:1", "similar name exists: `value`"),
        ("F + 1", ":1:1", "cannot find value `F`"),
        (
            "struct T { width: i32 }\nfn h(t: T) -> i32 { t.widht }",
            ":2:23",
            "similar name exists: `width`",
        ),
        ("|x: i32| x + 1", ":1:1", "it is a closure"),
        ("use rand::Rng;", ":1:5", "`%dep rand = \"*\"`"),
        ("rand::thing!(1)", ":1:1", "`%dep rand = \"*\"`"),
        ("let r = %px 1", "error", "`%px -o r …`"),
        ("%exit", "error", "did you mean %quit?"),
        ("exit()", ":1:1", "`%quit` or Ctrl-D leaves"),
        ("ls -l", ":1:1", "`!ls -l` runs it in a shell"),
        ("cd src", ":1:3", "`%cd src` goes to another folder"),
        ("%ls /tmp", "error", "`!ls /tmp` runs it in a shell"),
    ] {
        let shown = session.cell(code);
        contains(&shown, &["error", place, says]);
        lacks(
            &shown,
            &[
                "earlier cell",
                "cargo add",
                "derive(Debug)",
                "`#[",
                "`G`",
                "const parameter",
            ],
        );
    }

    // What a cell has consumed is told of by name.
    session.cells(&["%map |x| x + 1 over names", "len(kept);"]);
    for name in ["names", "kept"] {
        let shown = session.cell(&format!("{name}.len()"));
        contains(
            &shown,
            &["cannot find value", &format!("`{name}` was moved in In [")],
        );
        contains(&shown, &[&format!("`{name}.clone()` keeps it")]);
    }
    session.cells(&["let kept = 1;", "kept + value"]);

    // A panic stands where its function was written, whoever calls it.
    session.cells(&[
        "fn g(x: u32) -> u32 {\n    if x == 2 { panic!(\"bad two\") }\n    x\n}",
        "let kept_boxed: Box<dyn Fn(u32) -> u32> = Box::new(|x|\n    if x == 2 { panic!(\"bad two\") } else { x });",
        "fn counted() { static N: AtomicU32 = AtomicU32::new(0);\n    panic!(\"bad two {}\", N.fetch_add(1, SeqCst)) }\nuse std::sync::atomic::{AtomicU32, Ordering::SeqCst};",
        "value",
    ]);
    for code in [
        "g(2)",
        "%map g over 0..4u32",
        "%px g(2)",
        "%px --local g(2)",
        "std::thread::spawn(|| g(2)).join().is_ok()",
        "%px std::thread::spawn(|| g(2)).join().is_ok()",
        "%map |x| std::thread::spawn(move || g(x)).join().is_ok() over 0..4u32",
        "kept_boxed(2)",
        "let n = 2;\nif n == 2 { panic!(\"bad two\") }",
        "counted()",
    ] {
        let shown = session.cell(code);
        contains(&shown, &["bad two", "]:2"]);
        lacks(&shown, &["]:1", "src/lib.rs"]);
    }
    session.cells(&["%px -a g(2)", "value"]);
    let shown = session.cell("%pxresult");
    contains(&shown, &["bad two", "]:2"]);
    session.cells(&["%map -a g over 0..4u32"]);
    let shown = session.cell("let r = %result");
    contains(&shown, &["item 2 panicked at In [", "]:2: bad two"]);
    session.cells(&["let r = %map --on-error collect -a g over 0..4u32"]);
    session.cells(&["let r = %result"]);
    contains(
        &session.cell("r[2].clone().unwrap_err().to_string()"),
        &["bad two", "]:2"],
    );
    what_never_ends_runs(&mut session);
    mistyped_variables_get_the_nearest_one(&mut session);
    the_users_words_decide_nothing(&mut session);
    what_cannot_be_shown_is_named(&mut session);
    what_a_job_or_a_map_in_code_needs_is_told(&mut session);
    session.end();
}

/// A variable of what never comes to its end has no type, and the cell runs all the same.
fn what_never_ends_runs(session: &mut Session) {
    for (code, says) in [
        ("let (a, b) = (1, panic!());", "panicked: explicit panic"),
        ("let never = panic!(\"now\");", "panicked: now"),
        (
            "let never = Some(todo!());",
            "panicked: not yet implemented",
        ),
    ] {
        let shown = session.cell(code);
        contains(&in_one_line(&shown), &[says, ":1:1"]);
        lacks(&shown, &["unreachable", "unused"]);
    }
}

/// The type that lacks `Debug`, in whatever it stands; what shows a value is no business of the user's.
fn what_cannot_be_shown_is_named(session: &mut Session) {
    session.cells(&["struct Bare { x: u64 }", "struct Of<T>(T);"]);
    session.cells(&["let bare = vec![Bare { x: 1 }]; let other = 1;"]);
    let bare = "cannot be shown: `Bare` has no `Debug`";
    let end = "add #[derive(Debug)] to `Bare`, or end the cell with `;`";
    let bind = "add #[derive(Debug)] to `Bare`, or bind the results: `let r = %map …`";
    for (code, place, says, hint) in [
        ("vec![Bare { x: 1 }]", ":1:1", bare, end),
        ("(1, Some(&bare))", ":1:1", bare, end),
        ("%px Bare { x: 1 }", ":1:5", bare, end),
        (
            "vec![Of(1)]",
            ":1:1",
            "cannot be shown: `Of<{integer}>` has no `Debug`",
            "add #[derive(Debug)] to `Of`,",
        ),
        ("vec![|x: u8| x]", ":1:1", "it is a closure", "call it"),
        (
            "%px -o sent Bare { x: 1 }",
            ":1:13",
            "`Bare` cannot travel to other processes",
            "needs `#[derive(Serialize, Deserialize)]`",
        ),
        ("%pool start threads -n 2", "t", "2 thread", "engines"),
        ("%map |x: u64| Bare { x } over 0..3u64", ":1:6", bare, bind),
        (
            "%map |x: u64| (x, Some(Bare { x })) over 0..3u64",
            ":1:6",
            bare,
            bind,
        ),
    ] {
        let shown = session.cell(code);
        contains(&in_one_line(&shown), &[place, says, hint]);
        lacks(&shown, &["Vec<", "Option<", "E0599", "evcxr", "regatta_"]);
    }
    session.cells(&["let bares = %map |x: u64| Bare { x } over 0..3u64"]);
    contains(&session.cell("bares[2].x + bare[0].x"), &["]: 3"]);
}

/// On a thread pool: what a map in code captures is refused there too, and a job owns its inputs.
fn what_a_job_or_a_map_in_code_needs_is_told(session: &mut Session) {
    session.cells(&[
        "let k = 3u64; let v = vec![1u64, 2];",
        "fn f(x: &u64) -> u64 { x + 1 }",
    ]);
    let shown = session.cell("pool::map(0..3u64, |x| x * k)");
    contains(
        &in_one_line(&shown),
        &["captures `k`", "pools of either kind", "pool::map_with"],
    );
    lacks(&shown, &["%pool start threads"]);
    contains(
        &session.cell("pool::map_with(&k, 0..3u64, |k, x| x * k)"),
        &["[0, 3, 6]"],
    );
    contains(&session.cell("%map |x| x * k over 0..3u64"), &["[0, 3, 6]"]);
    for inputs in ["&v", "v.iter()"] {
        let shown = session.cell(&format!("%map -a f over {inputs}"));
        contains(
            &in_one_line(&shown),
            &[
                ":1:16",
                "goes on after its cell",
                "borrow `v`",
                "`over v.clone()`",
            ],
        );
        lacks(&shown, &["E0505", "E0597"]);
    }
    session.cells(&["let job = %map -a |x| f(&x) over v.clone()"]);
    contains(&session.cell("job.get()"), &["Ok([2, 3])"]);
    contains(&session.cell("%map f over &v"), &["[2, 3]"]);
}

/// What a panic says is the user's, whatever it says.
fn the_users_words_decide_nothing(session: &mut Session) {
    for code in [
        "panic!(\"it cannot unwind\")",
        "%px panic!(\"it cannot unwind\")",
        "%map |x: u64| -> u64 { panic!(\"it cannot unwind\") } over 0..1",
    ] {
        let shown = session.cell(code);
        contains(&shown, &["it cannot unwind", "In ["]);
        lacks(&shown, &["died", "stderr"]);
    }
    // Nor is a panic told that the user's code has caught; one that it carries on is.
    for (escapes, says) in [
        ("panic!(\"real\")", "panicked: real"),
        (
            "std::panic::resume_unwind(Box::new(\"carried\"))",
            "panicked: carried",
        ),
        ("std::panic::panic_any(7)", "panicked: Box<dyn Any>"),
    ] {
        let code =
            format!("{{ let _ = std::panic::catch_unwind(|| panic!(\"handled\")); {escapes} }}");
        for cell in [
            code.clone(),
            format!("let x: u8 = {code};"),
            format!("%px {code}"),
            format!("%map |x: u64| -> u64 {code} over 0..1"),
            format!(
                "pool(\"p0\").try_map(0..1u64, |_| -> u64 {code})[0].clone().map_err(|e| e.to_string()).unwrap()"
            ),
        ] {
            let shown = session.cell(&cell);
            contains(&in_one_line(&shown), &[says]);
            lacks(&shown, &["panicked: handled"]);
        }
    }
    let shown = session.cell(
        "%reduce |x: u64| if x == 1 { panic!(\"%reduce needs at least one input\") } else { x } over 0..2 with |a, b| a + b",
    );
    contains(&shown, &["item 1 panicked", "needs at least one input"]);
    lacks(&shown, &["neutral value"]);
    let shown = session.cell("%reduce |x: u64| x over 0..0 with |a, b| a + b");
    contains(
        &shown,
        &["error: %reduce needs at least one input", "neutral value"],
    );
    lacks(&shown, &["panicked"]);
    // Two cells of the same text are one artifact; each panic is told of the cell that ran.
    for code in [
        "%px panic!(\"again\")",
        "%map |x: u64| -> u64 { panic!(\"again\") } over 0..1",
    ] {
        session.cell(code);
        let first = session.cell("engine::rank()");
        let first: u32 = number_of(&first);
        let shown = session.cell(code);
        contains(
            &in_one_line(&shown),
            &["again", &format!("In [{}]:1", first + 1)],
        );
    }
}

/// The number of a cell that has shown its value.
fn number_of(shown: &str) -> u32 {
    let number = shown
        .rsplit("Out[")
        .next()
        .and_then(|rest| rest.split(']').next());
    number
        .and_then(|number| number.parse().ok())
        .expect("a value")
}

fn mistyped_variables_get_the_nearest_one(session: &mut Session) {
    session.cells(&["let local_one = 1;", "%px let theirs = 2;"]);
    for (code, says) in [
        ("%px thiers", "did you mean `theirs`?"),
        ("%px local_one", "`%push local_one` gives it to them"),
        (
            "%px local_oen",
            "did you mean `local_one`? `local_one` lives in the local engine",
        ),
    ] {
        contains(
            &in_one_line(&session.cell(code)),
            &["cannot find value", says],
        );
    }
    session.cells(&["%push local_one", "%px local_one"]);
    lacks(&session.cell("%px utterly_unknown"), &["help"]);
}

/// A text whose lines were broken for the terminal.
fn in_one_line(shown: &str) -> String {
    shown.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_compiler_its_errors_and_its_crates_are_told_of() {
    let mut session = Session::start();
    for (code, says) in [
        ("%explain e9999", "no explanation of E9999"),
        ("%explain moved", "`moved` is no error code"),
        ("%explain", "%explain"),
    ] {
        contains(&session.cell(code), &["error", says]);
    }
    session.type_keys("%explain E0382\r");
    session.shows(
        "A variable was used after its contents have been moved",
        PATIENCE,
    );
    session.type_keys("q");
    session.echoes("In [", PATIENCE);
    let shown = session.cell("%toolchain");
    contains(&shown, &["rustc 1.", "target", "std sources", "postcard"]);
    lacks(&shown, &["not built yet"]);
    let shown = session.cell("%dep");
    contains(&shown, &["serde", "1.0.", "there from the start"]);
    lacks(&shown, &["not built yet"]);
    session.end();
}
