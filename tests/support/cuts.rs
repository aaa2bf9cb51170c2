//! Cut networks, for a [`Trial`] of whichever cluster: what is outlived, and what costs the node that is cut off.

use std::time::Duration;

use super::hosts::Cut;
use super::trial::{ALONE, Trial, Work};
use super::{contains, dose, proc};

impl Trial {
    /// So many that are short, during these works in turn: nothing is lost, and the node stays one.
    #[track_caller]
    pub fn short_cuts(&mut self, rounds: usize, works: &[Work]) {
        let mut kinds = Vec::new();
        for round in 1..=rounds {
            if kinds.is_empty() {
                kinds = Cut::OUTLIVED.to_vec();
                self.random.shuffle(&mut kinds);
            }
            let how = kinds.pop().expect("one");
            let host = self.random.usize(1..=2);
            let work = works[round % works.len()];
            self.begin(work);
            self.pause(300);
            self.hosts.cut(host, how);
            // TCP waits twice as long before it tries again.
            let long = Duration::from_millis(self.random.u64(100..1200));
            std::thread::sleep(long);
            self.hosts.mend(host, how);
            dose::told(&format!(
                "round {round}: {how:?} {long:?} node{host} in {work:?}"
            ));
            self.ends(work, true);
            self.goes_on();
            contains(&self.node(host), &["up"]);
        }
    }

    /// So many that are long, during one of these works each: the node is named and ends, and the other one goes on.
    #[track_caller]
    pub fn long_cuts(&mut self, rounds: usize, works: &[Work]) {
        for round in 1..=rounds {
            let how = match self.random.usize(0..9) {
                8 => Cut::Reset,
                other => Cut::OUTLIVED[other],
            };
            let host = self.random.usize(1..=2);
            let work = self.random.choice(works).copied().expect("a work");
            self.begin(work);
            self.pause(300);
            let zombies = [self.hosts.nodes_of(host), self.hosts.engines_of(host)].concat();
            self.hosts.cut(host, how);
            dose::told(&format!("round {round}: {how:?} node{host} in {work:?}"));
            let shown = self.ends(work, false);
            self.loses(host);
            if shown.contains("died") || shown.contains("error") {
                contains(&shown, &[&format!("node{host}")]);
            }
            self.goes_on();
            // It has no word of that before the network is whole; or ends by itself.
            self.hosts.mend(host, how);
            let left = proc::leftovers(&zombies, ALONE + Duration::from_secs(5));
            assert!(left.is_empty(), "{left:?}");
            self.goes_on();
            self.anew();
        }
    }
}
