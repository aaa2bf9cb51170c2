//! `%px` on thread pools, and pools of all kinds beside each other.

mod support;

use support::table::{results, rows};
use support::{PATIENCE, Session, contains};

#[test]
fn cells_on_threads_borrow() {
    let mut session = Session::start();
    session.cells(&[
        "%pool start threads -n 3",
        "let base = vec![10u64, 20, 30];",
    ]);
    results(
        &mut session,
        "%px base[engine::rank() as usize] + 1",
        &[("0", "11"), ("1", "21"), ("2", "31")],
    );
    results(&mut session, "%px engine::size()", &[("0-2", "3")]);
    results(
        &mut session,
        "%px -t 1: base.len() as u32 * engine::rank()",
        &[("1", "3"), ("2", "6")],
    );
    contains(&session.cell("base"), &["[10, 20, 30]"]);
    let shown = session.cell("%px assert!(engine::rank() != 2, \"not two\"); engine::rank()");
    contains(&shown, &["engine 2", "not two"]);
    assert_eq!(rows(&shown), [["0", "0"], ["1", "1"]], "{shown}");
    let shown = session.cell("%px println!(\"from {}\", engine::rank())");
    contains(&shown, &["from 0", "from 1", "from 2"]);
    contains(&session.cell("base.iter().sum::<u64>()"), &["60"]);

    // Pools beside each other.
    for wrong in [
        "%pool use p9",
        "%pool stop p9",
        "%pool start -n 0",
        "%pool start -n -2",
        "%pool start -n 1000000",
        "%pool start --name t0",
        "%pool resize 0",
        "%pool start two",
    ] {
        contains(&session.cell(wrong), &["error"]);
    }
    contains(
        &session.cell("%pool start --name crew -n 1"),
        &["crew", "1 process engine"],
    );
    contains(&session.cell("%pool list"), &["crew", "t0", "idle", "pid"]);
    results(&mut session, "%px engine::size()", &[("0", "1")]);
    session.cells(&["%pool use t0"]);
    results(&mut session, "%px engine::size()", &[("0-2", "3")]);
    session.cells(&["%pool stop --all"]);
    contains(&session.cell("%px 1"), &["error", "no pool is started"]);
    session.enter("%quit");
    assert!(session.ended(PATIENCE).is_some());
}
