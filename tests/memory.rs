//! What a large map costs the session itself: its memory holds a window of the map, not the map.

mod support;

use support::{Session, contains, dose, lacks, proc};

/// What the session may need beside the results, which live in the local engine. Bytes.
const BESIDES: u64 = 64 << 20;

#[test]
fn a_million_items_on_32_engines_stay_out_of_the_session() {
    let mut session = Session::start();
    session.cells(&[
        "%pool start -n 32",
        "fn inc(x: u64) -> u64 { x + 1 }",
        "let count = 100u64;",
    ]);
    // The compiler and the engines have had all they need; the same cell again differs in its number only.
    let map = "let got = %map inc over 0..count";
    lacks(&session.cell(map), &["error"]);
    session.cells(&["let count = 1_000_000u64;"]);
    lacks(&session.cell("got.len()"), &["error"]);

    proc::forget_peak(session.pid());
    let before = proc::memory(session.pid(), "VmRSS");
    let shown = session.cell(map);
    let peak = proc::memory(session.pid(), "VmHWM");
    lacks(&shown, &["error"]);
    contains(&shown, &["wall"]);
    let right =
        "got.len() == 1_000_000 && got.iter().zip(1u64..).all(|(got, wanted)| *got == wanted)";
    contains(&session.cell(right), &["true"]);
    let grown = peak.saturating_sub(before);
    dose::told(&format!(
        "{before} bytes before the map, {grown} more at its peak"
    ));
    assert!(grown <= BESIDES, "the session grew by {grown} bytes");
    assert_eq!(session.end(), 0);
}
