//! Numbers as people read them: durations, sizes, counts, rates. Pure functions from numbers to text; they
//! never measure anything themselves and never round a value up into the next unit's look (`1000 ms`).

use std::time::Duration;

/// A duration as tables and summaries show it: `120 ns`, `45.6 µs`, `12.3 ms`, `0.120 s`, `12.3 s`,
/// `2 min 3 s`, `1 h 2 min`. Seconds begin at 0.1 s, so that a column of engines' times lines up.
pub fn duration(duration: Duration) -> String {
    seconds(duration.as_secs_f64())
}

/// A duration in a column that keeps its width, whatever is measured (up to 100 s).
pub(crate) fn duration_column(duration: Duration) -> String {
    format!("{:>7}", self::duration(duration))
}

/// Like [`duration`], for seconds that may be anything a computation produced.
pub fn seconds(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return format!("{seconds} s");
    }
    if seconds < 0.099_95 {
        return match seconds {
            s if s < 999.5e-9 => format!("{:.0} ns", s * 1e9),
            s if s < 999.5e-6 => format!("{} µs", significant(s * 1e6)),
            s => format!("{} ms", significant(s * 1e3)),
        };
    }
    if seconds < 0.999_5 {
        return format!("{seconds:.3} s");
    }
    if seconds < 99.95 {
        return format!("{} s", significant(seconds));
    }
    let whole = Duration::from_secs_f64(seconds.round().min(1e15)).as_secs();
    let (hours, minutes) = (whole / 3600, whole / 60 % 60);
    if hours > 0 {
        format!("{hours} h {minutes} min")
    } else {
        format!("{minutes} min {} s", whole % 60)
    }
}

/// Seconds as `%time` and `%timeit` show them, after `IPython`: three significant digits without trailing
/// zeros, milliseconds up to a second: `1.23 µs`, `45 ns`, `210 ms`.
pub fn timing(seconds: f64) -> String {
    if !seconds.is_finite() || !(0.0..99.95).contains(&seconds) {
        return self::seconds(seconds);
    }
    let (value, unit) = match seconds {
        s if s < 999.5e-9 => (s * 1e9, "ns"),
        s if s < 999.5e-6 => (s * 1e6, "µs"),
        s if s < 0.999_5 => (s * 1e3, "ms"),
        s => (s, "s"),
    };
    let digits = significant(value);
    let digits = if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        &digits
    };
    format!("{digits} {unit}")
}

/// A size in decimal units: `12 B`, `1.23 kB`, `265 MB`.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn bytes(bytes: u64) -> String {
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1e3;
    for unit in ["kB", "MB", "GB", "TB"] {
        if value < 999.5 {
            return format!("{} {unit}", significant(value));
        }
        value /= 1e3;
    }
    format!("{} PB", significant(value))
}

/// A count, with thousands separators from 10,000 on: four digits are read at a glance.
pub fn count(count: u64) -> String {
    if count < 10_000 {
        count.to_string()
    } else {
        thousands(count)
    }
}

/// A count with thousands separators: `1,000`.
pub fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count and its noun, which loses its plural `s` at one: `1 item`, `6 items`.
pub fn counted(number: u64, plural: &str) -> String {
    let noun = if number == 1 {
        plural.strip_suffix('s').unwrap_or(plural)
    } else {
        plural
    };
    format!("{} {noun}", count(number))
}

/// How many of something per second: `0.25 items/s`, `12 items/s`, `1.2 M items/s`.
pub fn rate(per_second: f64, unit: &str) -> String {
    match per_second {
        r if !r.is_finite() || r < 0.0 => format!("? {unit}/s"),
        r if r < 0.995 => format!("{r:.2} {unit}/s"),
        r if r < 9.95 => format!("{r:.1} {unit}/s"),
        r if r < 9_999.5 => format!("{r:.0} {unit}/s"),
        r if r < 999_500.0 => format!("{:.0} k {unit}/s", r / 1e3),
        r if r < 9.95e6 => format!("{:.1} M {unit}/s", r / 1e6),
        r => format!("{:.0} M {unit}/s", r / 1e6),
    }
}

/// A duration as a clock: `0:03`, `12:34`, `1:02:03`. Begun seconds count, so that `0:00` means done.
pub fn clock(duration: Duration) -> String {
    let whole = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

/// Three significant digits for values up to a thousand: `1.23`, `12.3`, `123`.
fn significant(value: f64) -> String {
    match value {
        v if v < 9.995 => format!("{v:.2}"),
        v if v < 99.95 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_three_digits_and_never_overflow_their_unit() {
        let cases = [
            (0.0, "0 ns"),
            (120e-9, "120 ns"),
            (999.6e-9, "1.00 µs"),
            (45.6e-6, "45.6 µs"),
            (0.0123, "12.3 ms"),
            (0.099_96, "0.100 s"),
            (0.12, "0.120 s"),
            (0.9996, "1.00 s"),
            (12.34, "12.3 s"),
            (99.96, "1 min 40 s"),
            (123.4, "2 min 3 s"),
            (3725.0, "1 h 2 min"),
            (-1.0, "-1 s"),
            (f64::NAN, "NaN s"),
        ];
        for (input, text) in cases {
            assert_eq!(seconds(input), text, "{input}");
        }
        assert!(seconds(f64::MAX).ends_with("min"));
        assert_eq!(duration(Duration::from_millis(119)), "0.119 s");
    }

    #[test]
    fn timings_look_like_ipython() {
        assert_eq!(timing(1.23e-6), "1.23 µs");
        assert_eq!(timing(45e-9), "45 ns");
        assert_eq!(timing(0.21), "210 ms");
        assert_eq!(timing(1.5), "1.5 s");
        assert_eq!(timing(0.0), "0 ns");
        assert_eq!(timing(0.3e-9), "0.3 ns");
        assert_eq!(timing(150.0), "2 min 30 s");
    }

    #[test]
    fn counts_and_sizes() {
        assert_eq!(count(9_999), "9999");
        assert_eq!(count(10_000), "10,000");
        assert_eq!(thousands(1_000), "1,000");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(counted(1, "engines"), "1 engine");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_000), "1.00 kB");
        assert_eq!(bytes(265_000_000), "265 MB");
        assert_eq!(bytes(999_999), "1.00 MB");
    }

    #[test]
    fn rates_and_clocks() {
        assert_eq!(rate(12.2, "items"), "12 items/s");
        assert_eq!(rate(1.24e6, "items"), "1.2 M items/s");
        assert_eq!(rate(0.25, "crates"), "0.25 crates/s");
        assert_eq!(rate(f64::INFINITY, "items"), "? items/s");
        assert_eq!(clock(Duration::from_millis(2_100)), "0:03");
        assert_eq!(clock(Duration::from_secs(3_723)), "1:02:03");
    }
}
