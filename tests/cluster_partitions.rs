//! Maps through a cluster's queue on networks that are cut, one way or both, for short or for long, and on bad ones. Results
//! are those of a local run, one per index; nodes that were cut off for short stay, others are named and end.
//!
//! Chances are logged (`REGATTA_SEED`). `REGATTA_DOSE=full` gives 30 short cuts, 20 long ones and 10 rounds on bad cables.

mod support;

use std::time::Duration;

use support::hosts::{Cut, Faults};
use support::trial::{ALONE, Trial, Work};
use support::{contains, dose, proc};

#[test]
fn a_queued_map_outlives_short_cuts() {
    let mut trial = Trial::durable("short-queue");
    let mut kinds = Vec::new();
    for round in 1..=dose::of(2, 30) {
        if kinds.is_empty() {
            kinds = Cut::OUTLIVED.to_vec();
            trial.random.shuffle(&mut kinds);
        }
        let how = kinds.pop().expect("one");
        let host = trial.random.usize(1..=2);
        trial.begin(Work::Map);
        trial.pause(300);
        trial.hosts.cut(host, how);
        let long = Duration::from_millis(trial.random.u64(100..1200));
        std::thread::sleep(long);
        trial.hosts.mend(host, how);
        dose::told(&format!("round {round}: {how:?} {long:?} node{host}"));
        trial.ends(Work::Map, true);
        trial.goes_on();
        contains(&trial.node(host), &["up"]);
    }
    assert_eq!(trial.hosts.engines().len(), 4);
    trial.end();
}

#[test]
fn a_queued_map_goes_on_without_a_node_that_is_cut_off() {
    let mut trial = Trial::durable("long-queue");
    for round in 1..=dose::of(1, 20) {
        let how = match trial.random.usize(0..9) {
            8 => Cut::Reset,
            other => Cut::OUTLIVED[other],
        };
        let host = trial.random.usize(1..=2);
        trial.begin(Work::Map);
        trial.pause(300);
        let zombies = [trial.hosts.nodes_of(host), trial.hosts.engines_of(host)].concat();
        trial.hosts.cut(host, how);
        dose::told(&format!("round {round}: {how:?} node{host}"));
        trial.ends(Work::Map, false);
        trial.loses(host);
        trial.goes_on();
        // It has no word of that before the network is whole; or ends by itself.
        trial.hosts.mend(host, how);
        let left = proc::leftovers(&zombies, ALONE + Duration::from_secs(5));
        assert!(left.is_empty(), "{left:?}");
        trial.goes_on();
        trial.anew();
    }
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
