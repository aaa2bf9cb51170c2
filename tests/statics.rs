//! Statics are one for all cells of an engine: the user's, those of crates, one per thread where they are
//! thread-local. And what a cell prints, how it returns and what panics in a drop steer nothing.

mod support;

use std::fs;
use std::path::Path;

use support::{Session, contains, lacks};

#[test]
fn the_user_s_statics_are_shared_by_cells_threads_and_maps() {
    let mut session = Session::start();
    session.cells(&[
        "use std::sync::atomic::{AtomicU32, Ordering::SeqCst};\nuse std::sync::{Mutex, OnceLock};",
        "static N: AtomicU32 = AtomicU32::new(0);",
        "N.fetch_add(1, SeqCst);",
        "std::thread::spawn(|| N.fetch_add(10, SeqCst)).join().unwrap();",
    ]);
    contains(&session.cell("N.fetch_add(1, SeqCst)"), &[": 11\n"]);
    // The same text again is the same static; another text is another one, also one that was there before.
    session.cell("static N: AtomicU32 = AtomicU32::new(0);");
    contains(&session.cell("N.load(SeqCst)"), &[": 12\n"]);
    session.cell("static N: AtomicU32 = AtomicU32::new(7);");
    contains(&session.cell("N.load(SeqCst) + 100"), &[": 107\n"]);
    session.cell("static N: AtomicU32 = AtomicU32::new(0);");
    contains(&session.cell("N.load(SeqCst) + 200"), &[": 200\n"]);

    // In functions, generic ones too, in methods and modules, and `static mut`.
    session.cells(&[
        "fn count<T>(_: T) -> u32 { static C: AtomicU32 = AtomicU32::new(0); C.fetch_add(1, SeqCst) }",
        "struct S; impl S { fn count() -> u32 { static C: AtomicU32 = AtomicU32::new(50); C.fetch_add(1, SeqCst) } }",
        "mod m { pub static mut M: [u8; 2] = [1, 2]; }",
        "count(1u8); count(\"x\"); S::count(); unsafe { m::M[0] = 9 };",
    ]);
    contains(
        &session.cell("(count(1.5), S::count(), unsafe { m::M[0] })"),
        &["(2, 51, 9)"],
    );
    session.cell("fn count<T>(_: T) -> u32 { static C: AtomicU32 = AtomicU32::new(90); C.fetch_add(1, SeqCst) }");
    contains(&session.cell("count(0)"), &[": 90\n"]);

    // One of a type that is redefined is a new one: its bytes are the old type's.
    session.cells(&[
        "#[derive(Debug, Clone)] struct P { a: u8 }\nstatic G: Mutex<Option<P>> = Mutex::new(None);",
        "*G.lock().unwrap() = Some(P { a: 1 });",
    ]);
    contains(
        &session.cell("G.lock().unwrap().clone()"),
        &["Some(P { a: 1 })"],
    );
    session.cell("#[derive(Debug, Clone)] struct P { a: String, b: [u64; 9] }");
    contains(&session.cell("G.lock().unwrap().clone()"), &[": None\n"]);

    // Thread-local ones keep their name, and are one per thread.
    session.cells(&[
        "thread_local! {\n    /// documented\n    static T: std::cell::Cell<u32> = const { std::cell::Cell::new(5) };\n    \
         static V: std::cell::RefCell<Vec<u8>> = std::cell::RefCell::new(vec![]);\n}",
        "fn deep() -> u32 { thread_local! { static D: std::cell::Cell<u32> = std::cell::Cell::new(0); } D.set(D.get() + 1); D.get() }",
        "T.set(T.get() + 1); V.with_borrow_mut(|v| v.push(1)); deep();",
        "V.with_borrow_mut(|v| v.push(2));",
    ]);
    contains(
        &session.cell(
            "(T.get(), V.with_borrow(|v| v.len()), deep(), std::thread::spawn(|| (T.get(), deep())).join().unwrap())",
        ),
        &["(6, 2, 2, (5, 1))"],
    );

    // Each engine has its own; a mapped function's is made once per engine, not once per map.
    session.cells(&[
        "%pool start -n 1",
        "fn made(x: u32) -> (u32, u32) { static ONCE: OnceLock<u32> = OnceLock::new(); static HOW: AtomicU32 = AtomicU32::new(0); \
         let once = *ONCE.get_or_init(|| { HOW.fetch_add(1, SeqCst); x }); (once, HOW.load(SeqCst)) }",
        "let first = %map made over [3u32]",
        "let second = %map made over [4u32]",
    ]);
    contains(
        &session.cell("(first, second, made(5))"),
        &["([(3, 1)], [(3, 1)], (5, 1))"],
    );
    session.cell("%px N.store(3, SeqCst);");
    contains(&session.cell("%px N.load(SeqCst)"), &["│      3 │"]);
    contains(&session.cell("N.load(SeqCst) + 300"), &[": 300\n"]);

    // Places in errors are the user's.
    let shown = session.cell("static Q: u8 = 1; static R: u8 = \"x\";");
    contains(&shown, &[":1:34", "expected `u8`"]);
    lacks(&shown, &["export_name", "regatta_static"]);
    let shown = session.cell("thread_local! { static W: u8 = \"x\"; }");
    contains(&shown, &[":1:32", "expected `u8`"]);
    // Several are told in the order in which they stand.
    for _ in 0..2 {
        let shown = session.cell(
            "fn a1() -> u8 { one }\nfn a2() -> u8 { two }\nstruct A3(Three);\nlet four = five;",
        );
        let at = |name: &str| shown.rfind(&format!("`{name}` in this scope")).expect(name);
        assert!(
            at("one") < at("two") && at("two") < at("Three") && at("Three") < at("five"),
            "{shown}"
        );
    }
}

#[test]
fn what_a_cell_prints_or_drops_and_where_it_returns_costs_nothing_else() {
    let mut session = Session::start();
    session.cell("let kept = String::from(\"kept\");");
    // Words of evcxr's are text like any other.
    let shown = session.cell(
        "println!(\"EVCXR_PANIC_NOTIFICATION\"); println!(\"EVCXR_ERROR_OCCURRED\");\n\
         println!(\"EVCXR_VARIABLE_CHANGED_TYPE:kept\"); let a = 3;",
    );
    contains(
        &shown,
        &["EVCXR_PANIC_NOTIFICATION", "EVCXR_ERROR_OCCURRED", ":kept"],
    );
    lacks(&shown, &["error", "lost"]);
    contains(&session.cell("(a, kept.len())"), &["(3, 4)"]);
    contains(
        &session.cell("println!(\"EVCXR_BEGIN_CONTENT text/plain\\nrich\\nEVCXR_END_CONTENT\");"),
        &["rich"],
    );

    // A value whose drop panics.
    session.cell(
        "struct DropPanics; impl Drop for DropPanics { fn drop(&mut self) { panic!(\"in drop\") } }\n\
         let d = DropPanics;",
    );
    contains(
        &session.cell("let d = 5;"),
        &["panicked: in drop", "variables are kept"],
    );
    contains(&session.cell("d + a"), &[": 8\n"]);

    // A `return` at the top ends the cell, and what it bound is told.
    let shown = session.cell("let n = 1; if n > 0 { return; }");
    contains(&shown, &["returned before its end", "`n`"]);
    let shown = session.cell("let Some(z) = kept.get(9..).map(|s| s.len()) else { return; };");
    contains(&shown, &["`z`"]);
    lacks(&shown, &["`kept`"]);
    contains(&session.cell("n"), &["cannot find value `n`"]);
    lacks(
        &session.cell("let n = 1; if n > 1 { return; }"),
        &["returned", "error"],
    );
    contains(&session.cell("n + a + kept.len() as i32"), &[": 8\n"]);

    // What a failed cell had only in an inner scope, or borrowed, is still there.
    session.cell("let y = 5;");
    contains(
        &session.cell("let x = { let y = 1; if y == 1 { panic!(\"inner\") }; y };"),
        &["panicked: inner"],
    );
    contains(
        &session.cell("if let Some(kept) = kept.get(0..) { panic!(\"{kept}\") }"),
        &["panicked: kept"],
    );
    let shown = session.cell("let y = { drop(kept); if d > 0 { panic!(\"moved\") } 1 };");
    contains(&shown, &["panicked: moved", "lost", "`kept`", "`y`"]);
    contains(&session.cell("d + a"), &[": 8\n"]);
    contains(
        &session.cell("let e: u8 = \"x\".parse()?;"),
        &["a `?` ended the cell"],
    );
    contains(&session.cell("d + a + 1"), &[": 9\n"]);

    // The same on engines.
    session.cells(&["%pool start -n 2", "%px let k = engine::rank() + 10;"]);
    let shown =
        session.cell("%px let j = 1; if k == 11 { return; } println!(\"EVCXR_ERROR_OCCURRED\");");
    contains(&shown, &["engine 1", "`j`"]);
    lacks(&shown, &["engine 0 has"]);
    contains(&session.cell("%px k"), &["10", "11"]);
    contains(&session.cell("%px -t 0 j + k as i32"), &["11"]);
}

/// A crate in a folder of the user's.
fn write_crate(folder: &Path, name: &str, source: &str) {
    let src = folder.join(name).join("src");
    fs::create_dir_all(&src).unwrap();
    let manifest =
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n");
    fs::write(folder.join(name).join("Cargo.toml"), manifest).unwrap();
    fs::write(src.join("lib.rs"), source).unwrap();
}

/// As much of tokio as an `await` at the top level takes.
fn tokio(field: &str) -> String {
    format!(
        "pub mod runtime {{ use std::{{future::Future, io, pin::pin, task::*}}; pub struct Runtime {{ pub x: {field} }}
         impl Runtime {{ pub fn new() -> io::Result<Self> {{ Ok(Self {{ x: Default::default() }}) }}
         pub fn block_on<F: Future>(&self, f: F) -> F::Output {{ let mut f = pin!(f);
         let mut c = Context::from_waker(Waker::noop());
         loop {{ if let Poll::Ready(r) = f.as_mut().poll(&mut c) {{ return r }} }} }} }} }}"
    )
}

#[test]
fn crates_keep_their_statics_and_an_edited_one_is_built_anew() {
    let folder = tempfile::tempdir().unwrap();
    let dep = |name: &str| format!("%dep {name} = {{ path = {:?} }}", folder.path().join(name));
    let source = |answer: u32| {
        format!(
            "use std::sync::atomic::{{AtomicU32, Ordering}};
             static HIDDEN: AtomicU32 = AtomicU32::new({answer});
             pub static OPEN: AtomicU32 = AtomicU32::new(0);
             pub struct Kept {{ pub answer: u32 }}
             pub fn answer() -> u32 {{ {answer} }}
             pub fn next() -> u32 {{ HIDDEN.fetch_add(1, Ordering::SeqCst) }}
             #[inline] pub fn inlined() -> u32 {{ HIDDEN.fetch_add(1, Ordering::SeqCst) }}
             pub fn generic<T>(_: T) -> u32 {{ HIDDEN.fetch_add(1, Ordering::SeqCst) }}
             std::thread_local! {{ pub static LOCAL: std::cell::Cell<u32> = const {{ std::cell::Cell::new(0) }}; }}"
        )
    };
    write_crate(folder.path(), "keeps", &source(40));
    let mut session = Session::start();
    session.cells(&[
        "%dep log",
        "struct Logs; impl log::Log for Logs { fn enabled(&self, _: &log::Metadata) -> bool { true }\n\
         fn log(&self, record: &log::Record) { println!(\"logged: {}\", record.args()) } fn flush(&self) {} }\n\
         static LOGS: Logs = Logs;\nlog::set_logger(&LOGS).unwrap();\nlog::set_max_level(log::LevelFilter::Info);",
    ]);
    contains(&session.cell("log::info!(\"one\");"), &["logged: one"]);
    session.cells(&[
        &dep("keeps"),
        "keeps::next(); keeps::LOCAL.set(3); keeps::OPEN.store(5, std::sync::atomic::Ordering::SeqCst);",
    ]);
    // A crate more leaves the others' as they are.
    contains(&session.cell("log::info!(\"two\");"), &["logged: two"]);
    contains(
        &session.cell(
            "(keeps::inlined(), keeps::generic(\"\"), keeps::LOCAL.get(), keeps::OPEN.load(std::sync::atomic::Ordering::SeqCst))",
        ),
        &["(41, 42, 3, 5)"],
    );
    contains(&session.cell("keeps::answer()"), &[": 40\n"]);
    contains(&session.cell("keeps::answer()"), &[": 40\n"]);
    session.cells(&[
        "%pool start -n 2",
        "%px -t 0 let kept = keeps::Kept { answer: 1 };",
    ]);
    write_crate(folder.path(), "keeps", &source(70));
    // One engine has a value of the old crate's and runs the cell again; what the other one gave is kept.
    let shown = session.cell("%px -o both engine::rank() + 10");
    contains(
        &shown,
        &["lost on engine 0: `kept`", " 0 │     10 ", " 1 │     11 "],
    );
    contains(&session.cell("both"), &["[10, 11]"]);
    session.cells(&["%pool stop"]);
    contains(&session.cell("keeps::answer()"), &[": 70\n"]);
    // What a cell reads while it is compiled is read anew.
    let text = folder.path().join("text");
    let read = format!("include_str!({text:?})");
    for word in ["one", "two"] {
        fs::write(&text, word).unwrap();
        contains(&session.cell(&read), &[word]);
    }
    contains(
        &session.cell("(keeps::next(), keeps::generic(0))"),
        &["(70, 71)"],
    );
    contains(&session.cell("log::info!(\"three\");"), &["logged: three"]);

    // A runtime of another build makes way.
    write_crate(folder.path(), "tokio", &tokio("u8"));
    session.cells(&[&dep("tokio"), "async fn f() -> u8 { 7 }"]);
    contains(&session.cell("f().await"), &[": 7\n"]);
    write_crate(folder.path(), "tokio", &tokio("String"));
    contains(&session.cell("f().await + 1"), &[": 8\n"]);
    contains(&session.cell("let g = f().await; g + 2"), &[": 9\n"]);
}
