//! One line that says how far a job is. It decides the line's text; the terminal decides when it may stand.

use std::time::Duration;

use super::{Style, text, units};
use crate::outcome::Progress;

const BAR: usize = 10;
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const ASCII_SPINNER: [&str; 4] = ["|", "/", "-", "\\"];
/// Where lines cannot be redrawn, one this often.
const PERIOD: Duration = Duration::from_secs(5);
/// Narrower terminals get no bar, so that the numbers fit.
const ROOM_FOR_BAR: usize = 60;

/// `map ▕██████▋   ▏ 4 / 6 items · 12 items/s · 0:03 left`, one column short of the width, since a cursor
/// behind the last column makes some terminals wrap.
pub(crate) fn line(progress: &Progress, style: &Style) -> String {
    let mut line = text::one_line(&progress.what);
    if style.live {
        match progress.total {
            Some(total) if style.width >= ROOM_FOR_BAR => {
                line.push_str(&style.spell(format!(" ▕{}▏", bar(progress.done, total))));
            }
            Some(_) => {}
            None => {
                let spinner: &[&str] = if style.unicode {
                    &SPINNER
                } else {
                    &ASCII_SPINNER
                };
                let step = (progress.elapsed.as_millis() / 100) as usize % spinner.len();
                line = format!("{} {line}", spinner[step]);
            }
        }
    }
    line.push_str(&style.spell(numbers(progress)));
    let line = text::cut(&line, style.width.saturating_sub(1));
    if style.unicode {
        line
    } else {
        style.spell(line)
    }
}

/// ` 4 / 6 items · 12 items/s · 0:03 left`
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub(crate) fn numbers(progress: &Progress) -> String {
    let Progress {
        unit,
        done,
        total,
        elapsed,
        ..
    } = *progress;
    let mut numbers = match total {
        Some(total) => format!(" {} / {}", units::count(done), units::counted(total, unit)),
        // Nothing is counted yet: only the time passes.
        None if done == 0 => String::new(),
        None => format!(" {}", units::counted(done, unit)),
    };
    // How long one of them runs says nothing about the others.
    if ["children", "nodes"].contains(&unit) {
        numbers.push_str(&format!(" · {}", units::clock(elapsed)));
        return numbers;
    }
    let rate = done as f64 / elapsed.as_secs_f64();
    if done > 0 && rate.is_finite() {
        numbers.push_str(&format!(" · {}", units::rate(rate, unit)));
    }
    let left = total.map(|total| total.saturating_sub(done) as f64 / rate);
    match left.and_then(|left| Duration::try_from_secs_f64(left).ok()) {
        Some(left) => numbers.push_str(&format!(" · {} left", units::clock(left))),
        None if total.is_none() => numbers.push_str(&format!(" · {}", units::clock(elapsed))),
        None => {}
    }
    numbers
}

fn bar(done: u64, total: u64) -> String {
    let bar = text::bar(done.into(), total.into(), BAR);
    let room = BAR - text::width(&bar);
    bar + &" ".repeat(room)
}

/// When a line is due where lines cannot be redrawn: at most one in five seconds of a job, and none for a
/// job that takes less.
#[derive(Default)]
pub(crate) struct Pace {
    job: String,
    last: Duration,
}

impl Pace {
    pub(crate) fn due(&mut self, progress: &Progress) -> bool {
        if self.job != progress.what || progress.elapsed < self.last {
            self.job.clone_from(&progress.what);
            self.last = Duration::ZERO;
        }
        let due = progress.elapsed.saturating_sub(self.last) >= PERIOD;
        if due {
            self.last = progress.elapsed;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(width: usize) -> Style {
        Style {
            live: true,
            ..Style::plain(width)
        }
    }

    #[test]
    fn of_children_no_end_is_foreseen() {
        let mut waited = progress(1, Some(2), 5000);
        waited.unit = "children";
        assert_eq!(numbers(&waited), " 1 / 2 children · 0:05");
    }

    fn progress(done: u64, total: Option<u64>, millis: u64) -> Progress {
        let elapsed = Duration::from_millis(millis);
        Progress {
            what: "map".to_owned(),
            unit: "items",
            done,
            total,
            elapsed,
        }
    }

    #[test]
    fn the_line_fits_and_keeps_its_numbers() {
        let halfway = progress(4, Some(6), 400);
        let full = "map ▕██████▋   ▏ 4 / 6 items · 10 items/s · 0:01 left";
        assert_eq!(line(&halfway, &live(80)), full);
        assert_eq!(line(&halfway, &live(200)), full);
        assert_eq!(
            line(&halfway, &live(40)),
            "map 4 / 6 items · 10 items/s · 0:01 le…"
        );
        assert_eq!(
            line(&halfway, &Style::plain(80)),
            "map 4 / 6 items · 10 items/s · 0:01 left"
        );
    }

    #[test]
    fn odd_numbers_do_not_break_it() {
        assert_eq!(
            line(&progress(0, Some(0), 0), &live(80)),
            "map ▕          ▏ 0 / 0 items"
        );
        assert_eq!(
            line(&progress(9, Some(6), 1000), &live(80)),
            "map ▕██████████▏ 9 / 6 items · 9.0 items/s · 0:00 left"
        );
        let endless = line(&progress(u64::MAX, None, 0), &live(80));
        assert!(endless.starts_with("⠋ map 18,446,"), "{endless}");
    }

    #[test]
    fn without_a_total_time_passes() {
        assert_eq!(
            line(&progress(4, None, 2_000), &live(80)),
            "⠋ map 4 items · 2.0 items/s · 0:02"
        );
        let ascii = Style {
            unicode: false,
            ..live(80)
        };
        assert_eq!(
            line(&progress(4, None, 2_100), &ascii),
            "/ map 4 items - 1.9 items/s - 0:03"
        );
    }

    #[test]
    fn files_get_a_line_in_five_seconds() {
        let mut pace = Pace::default();
        let due: Vec<_> = [1, 4, 5, 6, 9, 10, 15]
            .map(|s| pace.due(&progress(1, None, s * 1000)))
            .into();
        assert_eq!(due, [false, false, true, false, false, true, true]);
        assert!(!pace.due(&progress(1, None, 1000)));
    }
}
