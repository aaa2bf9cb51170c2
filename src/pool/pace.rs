//! How long items take, learnt from those that have ended: what sizes of chunks follow.

use std::time::Duration;

/// Up to this many items per engine travel one by one: enough of them to balance, few enough to afford it.
pub const ONE_BY_ONE: u64 = 32;

/// What a chunk should take: long against the cost of sending one, short against a user's patience.
pub const CHUNK_TIME: Duration = Duration::from_millis(20);

/// How much larger than the one before a chunk may be while the time per item is still being learnt.
pub const GROWTH: u64 = 8;

/// Items that have ended and the seconds that they took, newer ones weighing more.
#[derive(Debug, Default)]
pub struct Pace {
    items: f64,
    seconds: f64,
}

impl Pace {
    /// So many items have ended, after this time in all.
    pub fn ended(&mut self, items: u64, busy: Duration) {
        // Half-forgotten, so that a drift of the costs is followed.
        self.items = self.items / 2.0 + items as f64;
        self.seconds = self.seconds / 2.0 + busy.as_secs_f64();
    }

    /// Seconds that an item takes, when that is known.
    pub fn per_item(&self) -> Option<f64> {
        (self.items > 0.0).then(|| (self.seconds / self.items).max(1e-9))
    }

    /// Seconds that so many take; infinite when that is not known.
    pub fn of(&self, items: u64) -> f64 {
        if self.items == 0.0 {
            f64::INFINITY
        } else {
            items as f64 * self.seconds / self.items
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_items_weigh_more() {
        let mut pace = Pace::default();
        assert_eq!((pace.per_item(), pace.of(3)), (None, f64::INFINITY));
        pace.ended(2, Duration::from_secs(4));
        assert_eq!((pace.per_item(), pace.of(3)), (Some(2.0), 6.0));
        pace.ended(1, Duration::from_secs(8));
        assert_eq!((pace.per_item(), pace.of(3)), (Some(5.0), 15.0));
    }
}
