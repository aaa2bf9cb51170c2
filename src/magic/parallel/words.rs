//! The values of `%parallel`'s options, as GNU parallel writes them.

use std::time::Duration;

use regatta_cell::shell::{Counted, Halt};

use crate::outcome::Report;
use crate::session::{Limit, cores};

/// Never, or at a number of outcomes.
pub type HaltAt = Option<Halt>;

pub const MEBIBYTE: u64 = 1 << 20;

pub fn jobs(text: &str) -> Result<i64, Report> {
    let wrong = || {
        Report::usage(format!("-j {text}: not a number of engines"))
            .hint("`-j 8`, or `-j 200%` for two per core")
    };
    let number = match text.strip_suffix('%') {
        Some(share) => {
            let share: f64 = share.parse().map_err(|_| wrong())?;
            ((share / 100.0 * f64::from(cores())).round() as i64).max(1)
        }
        None => text.parse().map_err(|_| wrong())?,
    };
    if number < 1 { Err(wrong()) } else { Ok(number) }
}

pub fn delay(text: &str) -> Result<f64, Report> {
    Ok(time("--delay", text)?.as_secs_f64())
}

/// Seconds, or with units: `1.5m`, `1h30m`.
fn time(option: &str, text: &str) -> Result<Duration, Report> {
    let wrong = || {
        Report::usage(format!("{option} {text}: not a time"))
            .hint("seconds are written `2` or `0.5`, longer ones `1.5m` or `1h30m`")
    };
    let (mut rest, mut seconds) = (text, 0.0);
    loop {
        let end = rest
            .find(|c: char| c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let (number, unit) = rest.split_at(end);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let mut units = unit.chars();
        seconds += number
            * match units.next().map(|unit| unit.to_ascii_lowercase()) {
                None | Some('s') => 1.0,
                Some('m') => 60.0,
                Some('h') => 3600.0,
                Some('d') => 86400.0,
                Some(_) => return Err(wrong()),
            };
        rest = units.as_str();
        if rest.is_empty() {
            break;
        }
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

/// A part of a whole, as `30%`.
fn share(text: &str) -> Option<f64> {
    let share: f64 = text.strip_suffix('%')?.parse().ok()?;
    (share.is_finite() && share > 0.0).then_some(share / 100.0)
}

pub fn limit(text: &str) -> Result<Limit, Report> {
    if let Some(share) = share(text) {
        return Ok(Limit::Share(share));
    }
    let limit = time("--timeout", text)?.as_secs_f64();
    if limit == 0.0 {
        return Err(Report::usage("--timeout 0: no command can be that fast")
            .hint("leave `--timeout` out to let each command take its time"));
    }
    Ok(Limit::Seconds(limit))
}

pub fn halt(text: &str) -> Result<HaltAt, Report> {
    let wrong = || {
        Report::usage(format!("--halt {text}: not a way to halt"))
            .hint("`never`, `soon,fail=1`, `now,fail=10%`, `now,success=1`, `soon,done=5`")
    };
    // As they were written once.
    let text = match text {
        "never" | "0" => return Ok(None),
        "1" => "soon,fail=1",
        "2" => "now,fail=1",
        "-1" => "soon,success=1",
        "-2" => "now,success=1",
        text => text,
    };
    let (when, what) = text.split_once(',').ok_or_else(wrong)?;
    let (outcome, count) = what.split_once('=').ok_or_else(wrong)?;
    let now = match when {
        "now" => true,
        "soon" => false,
        _ => return Err(wrong()),
    };
    let counted = match outcome {
        "fail" => Counted::Failed,
        "success" => Counted::WentWell,
        "done" => Counted::Ended,
        _ => return Err(wrong()),
    };
    let share = share(count);
    let count = match share {
        Some(_) => 0,
        None => count
            .parse()
            .ok()
            .filter(|count| *count > 0)
            .ok_or_else(wrong)?,
    };
    Ok(Some(Halt {
        now,
        counted,
        count,
        share,
    }))
}

pub fn columns(text: &str) -> Result<regex::Regex, Report> {
    // The shell would leave `\t` as it is too.
    regex::Regex::new(text).map_err(|_| {
        Report::usage(format!("--colsep {text}: not a regular expression"))
            .hint("`--colsep ,` or `--colsep '\\t'`")
    })
}

pub fn size(text: &str) -> Result<u64, Report> {
    let wrong = || Report::usage(format!("--block {text}: not a size")).hint("`100k`, `10M`, `1G`");
    let end = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit: u64 = match unit {
        "" => 1,
        "k" => 1000,
        "K" => 1 << 10,
        "m" => 1_000_000,
        "M" => MEBIBYTE,
        "g" => 1_000_000_000,
        "G" => 1 << 30,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let size = number * unit as f64;
    if size >= 1.0 && size < u64::MAX as f64 {
        Ok(size as u64)
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, seconds) in [
            ("2", 2.0),
            ("0.5", 0.5),
            ("0.05s", 0.05),
            ("1.5m", 90.0),
            ("1h30m", 5400.0),
            ("1d1H1m1s", 90061.0),
            ("0", 0.0),
        ] {
            assert_eq!(delay(text).ok(), Some(seconds), "{text}");
        }
        for text in ["", "s", "-1", "1x", "nan", "inf", "1m-90s", "1e300h"] {
            assert!(delay(text).is_err(), "{text}");
        }
        assert!(limit("0").is_err());
        assert_eq!(limit("200%").ok(), Some(Limit::Share(2.0)));
        assert_eq!(limit("1m").ok(), Some(Limit::Seconds(60.0)));
    }

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("7", 7),
            ("1k", 1000),
            ("1K", 1024),
            ("0.5k", 500),
            ("10M", 10 << 20),
            ("1.5m", 1_500_000),
        ] {
            assert_eq!(size(text).ok(), Some(bytes), "{text}");
        }
        for text in ["", "0", "-1", "k", "1x", "0.1", "99999999999G", "nan"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ways_to_halt() {
        let halted = |text| halt(text).ok().flatten();
        let old = [("1", "soon,fail=1"), ("-2", "now,success=1")];
        for (old, new) in old {
            assert_eq!(halted(old), halted(new));
        }
        let share = halted("soon,done=20%").unwrap();
        assert_eq!((share.counted, share.share), (Counted::Ended, Some(0.2)));
        for text in [
            "",
            "3",
            "now",
            "now,fail",
            "now,fail=0",
            "later,fail=1",
            "now,lost=1",
        ] {
            assert!(halt(text).is_err(), "{text}");
        }
    }
}
