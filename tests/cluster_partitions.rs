//! Maps through a cluster's queue on networks that are cut, one way or both, for short or for long, and on bad ones. Results
//! are those of a local run, one per index; nodes that were cut off for short stay, others are named and end.
//!
//! Chances are logged (`REGATTA_SEED`). `REGATTA_DOSE=full` gives 30 short cuts, 20 long ones and 10 rounds on bad cables.

mod support;

use support::dose;
use support::hosts::Faults;
use support::trial::{Trial, Work};

#[test]
fn a_queued_map_outlives_short_cuts() {
    let mut trial = Trial::durable("short-queue");
    trial.short_cuts(dose::of(2, 30), &[Work::Map]);
    assert_eq!(trial.hosts.engines().len(), 4);
    trial.end();
}

#[test]
fn a_queued_map_goes_on_without_a_node_that_is_cut_off() {
    let mut trial = Trial::durable("long-queue");
    trial.long_cuts(dose::of(1, 20), &[Work::Map]);
    trial.end();
}

#[test]
fn a_queued_map_takes_only_time_on_bad_cables() {
    let mut trial = Trial::durable("cable-queue");
    let seed = trial.random.u64(..);
    let faults = Faults {
        delay_ms: 100,
        lost: 0.02,
        repeated: 0.02,
        late: 0.02,
        bytes_per_second: 1e7,
        seed,
    };
    let cables = [1, 2].map(|host| trial.hosts.bad_cable(host, &faults));
    for round in 1..=dose::of(1, 10) {
        trial.begin(Work::Map);
        trial.ends(Work::Map, true);
        trial.goes_on();
        dose::told(&format!("round {round}"));
    }
    drop(cables);
    trial.goes_on();
    assert_eq!(trial.hosts.engines().len(), 4);
    trial.end();
}
