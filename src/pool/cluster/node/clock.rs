//! How far a node's clock is ahead of its session's: the least difference between what the session's said when it sent a word and
//! what the node's says when it comes. Clocks drift: one that is long ago is worth less.

/// What clocks drift apart at most, a part of the time that passes. Those of computers keep within half of it.
const DRIFT: f64 = 200e-6;

/// The difference as it is known, nanoseconds; and when that was, by the node's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ahead(Option<(i64, u64)>);

impl Ahead {
    /// Nanoseconds; 0 when no word has come.
    pub fn nanoseconds(self) -> i64 {
        self.0.map_or(0, |(ahead, _)| ahead)
    }

    /// A word that was sent when the session's clock said `sent` has come `now`.
    pub fn heard(self, sent: u64, now: u64) -> Self {
        let told = now.cast_signed().wrapping_sub(sent.cast_signed());
        let ahead = self.0.map_or(told, |(before, at)| {
            let drifted = now.saturating_sub(at) as f64 * DRIFT;
            told.min(before.saturating_add(drifted as i64))
        });
        Self(Some((ahead, now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// The node's clock is 7 s ahead, and a word takes so many nanoseconds.
    fn after(ahead: Ahead, seconds: u64, drift: i64, takes: u64) -> Ahead {
        let sent = seconds * SECOND;
        let now = (sent + takes + 7 * SECOND).wrapping_add_signed(drift);
        ahead.heard(sent, now)
    }

    #[test]
    fn the_fastest_word_tells_it() {
        let ahead = [500_000, 40_000, 9_000_000]
            .into_iter()
            .zip(1..)
            .fold(Ahead::default(), |it, (takes, at)| after(it, at, 0, takes));
        let over = ahead.nanoseconds() - 7_000_000_000;
        assert!((40_000..=300_000).contains(&over), "{over}");
        assert_eq!(Ahead::default().nanoseconds(), 0);
    }

    #[test]
    fn clocks_that_drift_are_followed_for_days() {
        for part in [100_i64, -100] {
            // Parts of a million, for a day, with a word each half a minute.
            let drift = |at: u64| (at * 1_000).cast_signed() * part;
            let ahead = (0..2_880).fold(Ahead::default(), |it, n| {
                after(it, 30 * n, drift(30 * n), 100_000)
            });
            let really = 7_000_000_000 + drift(30 * 2_879);
            let over = ahead.nanoseconds() - really;
            assert!((0..=10_000_000).contains(&over), "{part}: {over}");
        }
    }
}
