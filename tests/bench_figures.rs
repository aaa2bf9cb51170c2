//! The arithmetic of the table that `cargo bench` prints; the benches themselves have no test runner.

#[path = "../benches/peers/figures.rs"]
mod figures;

use figures::{Ratio, Row, Target, median};

#[test]
fn one_slow_run_does_not_move_the_median() {
    assert_eq!(median(&[0.2, 9.0, 0.1]).to_bits(), 0.2_f64.to_bits());
    assert_eq!(median(&[4.0, 1.0, 2.0, 100.0]).to_bits(), 3.0_f64.to_bits());
}

#[test]
fn faster_and_share_are_each_others_inverse() {
    let (ours, peer) = ([1.0], [4.0]);
    let row = |ratio, target| Row::against("start", &ours, (&peer, "python"), ratio, target);
    let faster = row(Ratio::Faster, Target::AtLeast(4.0));
    assert_eq!(faster.reached(), Some(true));
    assert_eq!(faster.ratio, Some(4.0));
    let share = row(Ratio::Share, Target::AtMost(0.2));
    assert_eq!(share.reached(), Some(false));
    assert_eq!(share.ratio, Some(0.25));
    assert_eq!(row(Ratio::Faster, Target::Informative).reached(), None);
}

#[test]
fn a_limit_is_held_against_our_own_time() {
    assert_eq!(Row::within("prompt", &[0.1], 0.15).reached(), Some(true));
    assert_eq!(Row::within("prompt", &[0.2], 0.15).reached(), Some(false));
}

#[test]
fn a_peer_beside_a_limit_changes_nothing_about_it() {
    let slow = Row::within("first", &[2.0], 1.0).beside((&[4.0], "evcxr"));
    assert_eq!((slow.reached(), slow.ratio), (Some(false), Some(0.5)));
}

#[test]
fn nothing_measured_is_not_reached() {
    assert!(median(&[]).is_nan());
    assert_eq!(Row::within("prompt", &[], 0.15).reached(), Some(false));
    let row = Row::against(
        "px",
        &[],
        (&[1.0], "one engine"),
        Ratio::Share,
        Target::AtMost(1.2),
    );
    assert_eq!(row.reached(), Some(false));
}
