//! A cell is compiled once, whatever the number of engines, and not again when it is repeated.

mod support;

use support::proc::files;
use support::table::rows;
use support::{Session, contains};

/// How often this session has compiled: each time makes a shared object with the next number.
fn compilations(session: &Session) -> usize {
    let object = |name: &str| name.starts_with("libcode_") && name.ends_with(".so");
    let numbers = files(session.temporary(), &object)
        .into_iter()
        .filter_map(|path| {
            path.file_stem()?
                .to_str()?
                .strip_prefix("libcode_")?
                .parse()
                .ok()
        });
    numbers.max().unwrap_or(0)
}

#[test]
fn a_cell_is_compiled_once_for_all_engines() {
    let mut session = Session::alone();
    session.cells(&["%pool start -n 8", "%px let a = engine::rank();"]);
    let before = compilations(&session);
    assert!(before > 0, "compiled cells are found");
    let eight = session.cell("%px a * 3");
    assert_eq!(rows(&eight).len(), 8, "{eight}");
    assert_eq!(
        compilations(&session),
        before + 1,
        "one compilation for eight engines"
    );
    let again = session.cell("%px a * 3");
    assert_eq!(rows(&again), rows(&eight));
    assert_eq!(
        compilations(&session),
        before + 1,
        "none for the same cell again"
    );
    session.cells(&["let x = 20;"]);
    contains(&session.cell("x + 1"), &["21"]);
    let before = compilations(&session);
    contains(&session.cell("x + 1"), &["21"]);
    assert_eq!(
        compilations(&session),
        before,
        "none for a plain cell again"
    );
    session.cells(&["let x = 30;"]);
    contains(&session.cell("x + 1"), &["31"]);
    session.cells(&["fn f() -> u8 { 1 }"]);
    contains(&session.cell("f()"), &["1"]);
    session.cells(&["fn f() -> u8 { 2 }"]);
    contains(&session.cell("f()"), &["2"]);
    assert_eq!(session.end(), 0);
}
