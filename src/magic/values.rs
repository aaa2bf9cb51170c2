//! Single words of magics as values: names of variables, times, numbers of jobs, targets.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::cell::{TargetError, Targets, is_variable_name};
use crate::ids::JobId;
use crate::outcome::Report;

/// A variable's name.
pub fn variable(name: &str) -> Result<String, Report> {
    if is_variable_name(name) {
        return Ok(name.to_owned());
    }
    Err(Report::usage(format!("`{name}` cannot name a variable"))
        .hint("a name has letters, digits and `_`, and is no keyword"))
}

/// The value of an option that is a time in seconds, 0 among them.
pub fn seconds(option: &str, text: &str) -> Result<Duration, Report> {
    text.parse::<f64>()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| {
            Report::usage(format!("{option} {text}: not a time in seconds"))
                .hint("seconds are written `2` or `0.5`")
        })
}

/// A number of bytes: `500KB`, `1GB`, `1.5 GiB`; at least one.
pub fn size(option: &str, text: &str) -> Result<u64, Report> {
    const UNITS: [(&str, f64); 9] = [
        ("B", 1.0),
        ("KB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
        ("TB", 1e12),
        ("KIB", 1024.0),
        ("MIB", 1_048_576.0),
        ("GIB", 1_073_741_824.0),
        ("", 1.0),
    ];
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text[number.len()..].to_uppercase();
    let unit = UNITS.iter().find(|(name, _)| *name == unit);
    let bytes = number.trim().parse::<f64>().ok().zip(unit);
    bytes
        .map(|(number, (_, unit))| number * unit)
        .filter(|bytes| bytes.is_finite() && *bytes >= 1.0)
        .map(|bytes| bytes as u64)
        .ok_or_else(|| {
            Report::usage(format!("{option} {text}: not a size"))
                .hint("a size is written `500KB`, `100MB` or `2GB`")
        })
}

/// A time with a unit: `90s`, `1h`, `500ms`; at least a millisecond.
pub fn time(option: &str, text: &str) -> Result<Duration, Report> {
    const UNITS: [(&str, f64); 5] = [
        ("ms", 1e-3),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3600.0),
        ("d", 86400.0),
    ];
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = UNITS
        .iter()
        .find(|(name, _)| *name == &text[number.len()..]);
    let time = number.parse::<f64>().ok().zip(unit);
    time.and_then(|(number, (_, unit))| Duration::try_from_secs_f64(number * unit).ok())
        .filter(|time| time.as_millis() > 0)
        .ok_or_else(|| {
            Report::usage(format!("{option} {text}: not a time"))
                .hint("a time is written `500ms`, `90s`, `10m`, `1h` or `7d`")
        })
}

/// A job's number.
pub fn job(text: &str) -> Result<JobId, Report> {
    text.parse().map(JobId).map_err(|_| {
        Report::usage(format!("`{text}` is no job's number"))
            .hint("`%jobs` lists the jobs with their numbers")
    })
}

/// The name of a child, or of several; `all`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildName(pub String);

impl From<&str> for ChildName {
    fn from(word: &str) -> Self {
        Self(word.to_owned())
    }
}

impl ChildName {
    pub fn texts(names: &[Self]) -> Vec<&str> {
        names.iter().map(|Self(name)| name.as_str()).collect()
    }
}

/// What `%wait` waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobOrChild {
    Job(JobId),
    Child(ChildName),
}

impl From<&str> for JobOrChild {
    fn from(word: &str) -> Self {
        match word.parse() {
            Ok(number) => Self::Job(JobId(number)),
            Err(_) => Self::Child(word.into()),
        }
    }
}

/// A word that names engines; `0, 1` is two.
#[derive(Clone)]
pub struct TargetsPart(pub String);

impl From<&str> for TargetsPart {
    fn from(word: &str) -> Self {
        Self(word.to_owned())
    }
}

/// Which engines.
pub fn targets(text: &str) -> Result<Targets, Report> {
    text.parse()
        .map_err(|error: TargetError| Report::usage(error.to_string()))
}

#[derive(Args)]
pub struct OnTargets {
    /// which engines: `all`, `2`, `0,2`, `1:3`, `::2`, `-1`
    #[arg(short, long, value_name = "TARGETS", allow_hyphen_values = true, value_parser = targets)]
    pub targets: Option<Targets>,
}

/// `on` or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    On,
    Off,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_finite_and_not_negative() {
        assert_eq!(
            seconds("--timeout", "0.5").ok(),
            Some(Duration::from_millis(500))
        );
        assert_eq!(seconds("--timeout", "0").ok(), Some(Duration::ZERO));
        for text in ["-1", "nan", "inf", "1e300", "2s", ""] {
            let report = seconds("--timeout", text).expect_err(text);
            assert_eq!(
                report.to_string(),
                format!("--timeout {text}: not a time in seconds")
            );
        }
    }

    #[test]
    fn a_size_has_a_unit() {
        for (text, bytes) in [
            ("1GB", 1_000_000_000),
            ("1.5kb", 1500),
            ("2MiB", 2 << 20),
            ("7", 7),
        ] {
            assert_eq!(size("--limit", text).ok(), Some(bytes), "{text}");
        }
        for text in ["", "GB", "-1GB", "1X", "0", "nanGB", "1e400"] {
            assert!(size("--limit", text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_has_a_unit() {
        for (text, milliseconds) in [
            ("1h", 3_600_000),
            ("1.5s", 1500),
            ("20ms", 20),
            ("2d", 172_800_000),
        ] {
            let time = time("--ttl", text).ok().map(|time| time.as_millis());
            assert_eq!(time, Some(milliseconds), "{text}");
        }
        for text in ["", "1", "h", "-1s", "1x", "1 h", "0s", "nans", "1e300d"] {
            assert!(time("--ttl", text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_job_is_a_number() {
        assert_eq!(job("3").ok(), Some(JobId(3)));
        for text in ["", "-1", "last", "3.5", "99999999999"] {
            assert!(job(text).is_err(), "{text}");
        }
    }
}
