//! How much of what a child prints is shown: a burst at once, and then what somebody can read who types meanwhile. The
//! rest is counted, and told of now and then. Nothing here is lost for the log.

use std::time::{Duration, Instant};

/// Lines shown at once, and then per second, where somebody reads them.
const BURST: f64 = 1000.0;
const PER_SECOND: f64 = 100.0;

/// Bytes of lines that may wait to be shown.
const WAITING: usize = 64 * 1024;

/// What was not shown is told of after so long a silence, or at the latest after so long.
const SILENCE: Duration = Duration::from_millis(500);
const AT_LATEST: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Flow {
    lines: f64,
    at: Instant,
    /// Bytes of lines that wait.
    waiting: usize,
    skipped: u64,
    /// The first and the last line that was not shown.
    first: Instant,
    last: Instant,
}

impl Flow {
    pub fn new(now: Instant) -> Self {
        Self {
            lines: BURST,
            at: now,
            waiting: 0,
            skipped: 0,
            first: now,
            last: now,
        }
    }

    /// Whether nothing more should be read for now, where all is to be shown.
    pub fn is_full(&self) -> bool {
        self.waiting >= WAITING
    }

    /// Whether a line of so many bytes is shown. `lossy`: lines that come too fast are not.
    pub fn shows(&mut self, bytes: usize, lossy: bool, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.lines = (self.lines + passed * PER_SECOND).min(BURST);
        self.at = now;
        if lossy && (self.is_full() || self.lines < 1.0) {
            if self.skipped == 0 {
                self.first = now;
            }
            self.skipped += 1;
            self.last = now;
            return false;
        }
        self.lines = (self.lines - 1.0).max(0.0);
        self.waiting += bytes;
        true
    }

    /// So many bytes of lines have been taken.
    pub fn taken(&mut self, bytes: usize) {
        self.waiting = self.waiting.saturating_sub(bytes);
    }

    /// How many lines were not shown, when it is time to tell.
    pub fn skipped(&mut self, over: bool, now: Instant) -> Option<u64> {
        let due = self.due()?;
        (over || now >= due).then(|| std::mem::take(&mut self.skipped))
    }

    /// When it is time to tell.
    pub fn due(&self) -> Option<Instant> {
        let (silent, late) = (self.last + SILENCE, self.first + AT_LATEST);
        (self.skipped > 0).then(|| silent.min(late))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_shown_and_then_what_can_be_read() {
        let start = Instant::now();
        let mut flow = Flow::new(start);
        let mut shown = |seconds: f64| {
            let now = start + Duration::from_secs_f64(seconds);
            let shown = (0..5000).filter(|_| flow.shows(10, true, now)).count();
            flow.taken(usize::MAX);
            shown
        };
        assert_eq!(shown(0.0), 1000);
        assert_eq!(shown(0.0), 0);
        assert_eq!(shown(1.0), 100);
        assert_eq!(shown(1000.0), 1000);
    }

    #[test]
    fn nothing_is_skipped_where_all_is_to_be_shown() {
        let now = Instant::now();
        let mut flow = Flow::new(now);
        assert!((0..100_000).all(|_| flow.shows(10, false, now)));
        assert!(flow.is_full(), "so that no more is read");
        flow.taken(1_000_000);
        assert!(!flow.is_full());
        assert_eq!(flow.skipped(true, now), None);
    }

    #[test]
    fn what_nobody_takes_is_bounded() {
        let now = Instant::now();
        let mut flow = Flow::new(now);
        let shown = (0..1_000_000).filter(|_| flow.shows(100, true, now));
        assert_eq!(shown.count(), WAITING / 100 + 1);
        assert_eq!(flow.skipped(false, now), None, "it may go on");
        let later = now + SILENCE;
        assert_eq!(flow.due(), Some(later));
        let skipped = 1_000_000 - (WAITING as u64 / 100 + 1);
        assert_eq!(flow.skipped(false, later), Some(skipped));
        assert_eq!((flow.skipped(true, later), flow.due()), (None, None));
    }

    #[test]
    fn who_prints_on_is_told_of_at_the_latest_after_a_while() {
        let start = Instant::now();
        let mut flow = Flow::new(start);
        let mut told = 0;
        for tenth in 0..300 {
            let now = start + Duration::from_millis(100 * tenth);
            let shown = (0..2000).filter(|_| flow.shows(10, true, now));
            assert!(shown.count() < 2000);
            flow.taken(usize::MAX);
            told += u32::from(flow.skipped(false, now).is_some());
        }
        assert_eq!(told, 2);
    }
}
