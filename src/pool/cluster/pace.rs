//! How much may be under way to the other end: as much as comes there soon. On a way that is slow, more of it would only
//! hold up what comes behind it, and a node whose answers wait there for long is taken for gone. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::ordered::{LONGEST, WINDOW};

/// What may be under way before anything is known of it, and always, bytes.
const LEAST: usize = LONGEST;

/// What comes within so long, beyond what the way takes when it is empty, has not waited on it.
const SOON: Duration = Duration::from_millis(200);

/// What takes so much longer has waited too long.
const LATE: Duration = Duration::from_millis(600);

pub struct Pace {
    window: usize,
    /// Fragments under way, by number, and when each was sent.
    sent: VecDeque<(u64, Instant)>,
    /// How long the quickest took until it was acknowledged.
    least: Option<Duration>,
    /// What was sent before the window changed says nothing of the new one.
    since: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            window: LEAST,
            sent: VecDeque::new(),
            least: None,
            since: 0,
        }
    }
}

impl Pace {
    /// Bytes that may be under way.
    pub fn window(&self) -> usize {
        self.window
    }

    pub fn sends(&mut self, number: u64, now: Instant) {
        self.sent.push_back((number, now));
    }

    /// The other end has all before this number.
    pub fn acknowledged(&mut self, before: u64, now: Instant) {
        let mut last = None;
        while self
            .sent
            .front()
            .is_some_and(|(number, _)| *number < before)
        {
            last = self.sent.pop_front();
        }
        let Some((number, at)) = last else { return };
        let took = now.saturating_duration_since(at);
        let least = self.least.map_or(took, |least| least.min(took));
        self.least = Some(least);
        if number < self.since {
            return;
        }
        let waited = took - least;
        let window = match () {
            () if waited < SOON => (2 * self.window).min(WINDOW),
            () if waited > LATE => (self.window / 2).max(LEAST),
            () => return,
        };
        if window != self.window {
            self.window = window;
            self.since = self.sent.back().map_or(number, |(last, _)| *last) + 1;
        }
    }

    /// What was under way is sent again.
    pub fn again(&mut self) {
        self.sent.clear();
        self.since = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends fragments one behind the other over a way of so many bytes per second and this delay each way; how much is under
    /// way in the end, and how long the last waited.
    fn over(bytes_per_second: f64, delay: Duration, fragments: u64) -> (usize, Duration) {
        let begin = Instant::now();
        let (mut pace, mut now) = (Pace::default(), begin);
        let (mut free, mut next) = (begin, 0);
        let mut arriving: VecDeque<(u64, Instant, Instant)> = VecDeque::new();
        let mut waited = Duration::ZERO;
        while next < fragments || !arriving.is_empty() {
            while next < fragments && arriving.len() * LONGEST < pace.window() {
                let takes = Duration::from_secs_f64(LONGEST as f64 / bytes_per_second);
                free = free.max(now) + takes;
                pace.sends(next, now);
                arriving.push_back((next, now, free + 2 * delay));
                next += 1;
            }
            if let Some((number, sent, at)) = arriving.pop_front() {
                now = now.max(at);
                waited = at - sent;
                pace.acknowledged(number + 1, now);
            }
        }
        (pace.window(), waited)
    }

    #[test]
    fn a_slow_way_has_little_under_way_and_a_quick_one_as_much_as_it_takes() {
        let (window, waited) = over(200e3, Duration::from_millis(300), 20);
        assert!(window <= 2 * LONGEST, "{window}");
        assert!(waited < Duration::from_secs(4), "{waited:?}");
        let (window, _) = over(1e9, Duration::from_micros(100), 100);
        assert_eq!(window, WINDOW);
        // One that is long, and wide.
        let (window, _) = over(100e6, Duration::from_millis(150), 200);
        assert_eq!(window, WINDOW);
    }

    #[test]
    fn who_stood_still_for_a_while_goes_on_as_before() {
        let (mut pace, begin) = (Pace::default(), Instant::now());
        let at = |milliseconds| begin + Duration::from_millis(milliseconds);
        for number in 0..10 {
            pace.sends(number, at(number));
            pace.acknowledged(number + 1, at(number + 1));
        }
        assert_eq!(pace.window(), WINDOW);
        pace.sends(10, at(20));
        pace.acknowledged(11, at(5000));
        assert_eq!(pace.window(), WINDOW / 2);
        pace.sends(11, at(5000));
        pace.again();
        pace.sends(11, at(5001));
        pace.acknowledged(12, at(5002));
        assert_eq!(pace.window(), WINDOW);
    }
}
