//! How a map comes to its end, well or not, and what its caller is told of it.

use std::time::Duration;

use super::{Map, Step};
use crate::ids::Rank;
use crate::pool::dispatch::Elsewhere;
use crate::pool::{MapFailure, MapFault};
use crate::wire::{Payload, ToCaller};

impl Map {
    /// No new chunks; what runs comes to its end.
    pub fn cancel(&mut self) -> Vec<Step> {
        if self.closing || self.assignment.ledger().is_stopped() {
            return Vec::new();
        }
        self.cancelled = true;
        self.assignment.stop();
        self.stop_claims();
        self.empty_queue();
        let mut steps = vec![Step::Stop(self.engines())];
        steps.extend(self.steps(&Elsewhere::default()));
        steps
    }

    /// The caller has been told its end.
    pub fn is_over(&self) -> bool {
        self.closing
    }

    pub fn is_stopping(&self) -> bool {
        self.assignment.ledger().is_stopped() && !self.closing
    }

    /// Ends it at once: the caller is told.
    pub fn fail(&mut self, rank: Option<Rank>, item: Option<u64>, what: MapFault) -> Step {
        let failure = MapFailure {
            rank,
            item,
            what,
            died: self.deaths(),
        };
        self.failure = Some(failure.clone());
        self.assignment.stop();
        self.over(Some(failure.to_string()));
        Step::Failed(failure)
    }

    pub(super) fn over(&mut self, error: Option<String>) {
        if self.closing {
            return;
        }
        self.why.clone_from(&error);
        // Engines may still read them: whoever made them is not told that they are free.
        self.payloads.clear();
        let wall = self.started.elapsed();
        self.wall = Some(wall);
        // Whoever runs them itself knows better.
        if self.has_engines() {
            let message = ToCaller::Over {
                error,
                cancelled: self.cancelled,
                wall: nanoseconds(wall),
                serial: nanoseconds(self.serial()),
                first_items: self.first_items(),
            };
            self.tell(&message, &Payload::None);
        } else {
            // Of what was only planned they say nothing.
            self.closed |= self.options.plan_only;
        }
        self.closing = true;
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
