//! How much may be under way to the other end: as much as comes there soon. On a way that is slow, more of it would only
//! hold up what comes behind it, and a node whose answers wait there for long is taken for gone. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::ordered::{LONGEST, WINDOW};

/// What may be under way before anything is known of it, and always, bytes.
const LEAST: usize = LONGEST;

/// What comes within so long, beyond what the way takes when it is empty, has not waited on it.
const SOON: Duration = Duration::from_millis(200);

/// What takes so much longer, or so long in all, holds up what is behind it.
const LATE: Duration = Duration::from_millis(600);
const LONG: Duration = Duration::from_secs(1);

/// After so long without anything under way it is another way, perhaps.
const IDLE: Duration = Duration::from_millis(500);

/// A fragment that is under way.
struct Sent {
    number: u64,
    at: Instant,
    /// With it so much was under way, bytes.
    under_way: usize,
}

pub struct Pace {
    window: usize,
    sent: VecDeque<Sent>,
    /// How long the quickest took until it was acknowledged.
    least: Option<Duration>,
    /// What was sent before the window changed says nothing of the new one.
    since: u64,
    /// When something was acknowledged last.
    last: Option<Instant>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            window: LEAST,
            sent: VecDeque::new(),
            least: None,
            since: 0,
            last: None,
        }
    }
}

impl Pace {
    /// Bytes that may be under way.
    pub fn window(&mut self, now: Instant) -> usize {
        let is_idle = |last| now.saturating_duration_since(last) > IDLE;
        if self.sent.is_empty() && self.last.is_some_and(is_idle) {
            self.window = LEAST;
        }
        self.window
    }

    /// `under_way`: so many bytes are, with it.
    pub fn sends(&mut self, number: u64, under_way: usize, now: Instant) {
        self.sent.push_back(Sent {
            number,
            at: now,
            under_way,
        });
    }

    /// The other end has all before this number.
    pub fn acknowledged(&mut self, before: u64, now: Instant) {
        let mut last = None;
        while self.sent.front().is_some_and(|sent| sent.number < before) {
            last = self.sent.pop_front();
        }
        self.last = Some(now);
        let Some(sent) = last else { return };
        let took = now.saturating_duration_since(sent.at);
        let least = self.least.map_or(took, |least| least.min(took));
        self.least = Some(least);
        if sent.number < self.since {
            return;
        }
        let waited = took - least;
        let window = if waited > LATE || took > LONG {
            (self.window / 2).max(LEAST)
        } else if waited < SOON && 2 * sent.under_way >= self.window {
            (2 * self.window).min(WINDOW)
        } else {
            return;
        };
        if window != self.window {
            self.window = window;
            self.since = self.sent.back().map_or(sent.number, |last| last.number) + 1;
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
            while next < fragments && arriving.len() * LONGEST < pace.window(now) {
                let takes = Duration::from_secs_f64(LONGEST as f64 / bytes_per_second);
                free = free.max(now) + takes;
                arriving.push_back((next, now, free + 2 * delay));
                pace.sends(next, arriving.len() * LONGEST, now);
                next += 1;
            }
            if let Some((number, sent, at)) = arriving.pop_front() {
                now = now.max(at);
                waited = at - sent;
                pace.acknowledged(number + 1, now);
            }
        }
        (pace.window(now), waited)
    }

    #[test]
    fn a_slow_way_has_little_under_way_and_a_quick_one_as_much_as_it_takes() {
        let (window, waited) = over(200e3, Duration::from_millis(300), 20);
        assert_eq!(window, LEAST);
        assert!(waited < Duration::from_secs(2), "{waited:?}");
        let (window, _) = over(1e9, Duration::from_micros(100), 100);
        assert_eq!(window, WINDOW);
        // One that is long, and wide.
        let (window, _) = over(100e6, Duration::from_millis(150), 200);
        assert_eq!(window, WINDOW);
    }

    #[test]
    fn what_is_small_says_nothing_of_the_way_and_what_is_known_is_forgotten() {
        let (mut pace, begin) = (Pace::default(), Instant::now());
        let at = |milliseconds| begin + Duration::from_millis(milliseconds);
        for number in 0..10 {
            pace.sends(number, 100, at(number));
            pace.acknowledged(number + 1, at(number + 1));
        }
        assert_eq!(pace.window(at(10)), LEAST);
        for number in 10..20 {
            pace.sends(number, WINDOW, at(number));
            pace.acknowledged(number + 1, at(number + 1));
        }
        assert_eq!(pace.window(at(20)), WINDOW);
        // The other end stood still for a while.
        pace.sends(20, WINDOW, at(20));
        pace.acknowledged(21, at(5000));
        assert_eq!(pace.window(at(5000)), WINDOW / 2);
        pace.sends(21, WINDOW, at(5000));
        pace.again();
        pace.sends(21, WINDOW, at(5001));
        pace.acknowledged(22, at(5002));
        assert_eq!(pace.window(at(5002)), WINDOW);
        assert_eq!(pace.window(at(6000)), LEAST);
    }
}
