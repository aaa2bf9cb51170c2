//! A time axis: round steps, a unit that fits, and labels that don't touch.

/// Marks of an axis: where they stand, as a share of the span, and what they say.
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) label: String,
}

/// Columns from one label's beginning to the next.
const APART: usize = 8;

/// Units as (seconds, name), and the span from which they are used.
const UNITS: [(f64, &str, f64); 6] = [
    (3600.0, "h", 7200.0),
    (60.0, "min", 300.0),
    (1.0, "s", 1.0),
    (1e-3, "ms", 1e-3),
    (1e-6, "µs", 1e-6),
    (1e-9, "ns", 0.0),
];

/// At most `most` ticks behind the one at zero.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a handful of ticks"
)]
pub(super) fn ticks(span: f64, most: usize) -> Vec<Tick> {
    let (size, unit, _) = UNITS
        .into_iter()
        .find(|&(_, _, from)| span >= from)
        .unwrap_or(UNITS[5]);
    let zero = Tick {
        at: 0.0,
        label: format!("0 {unit}"),
    };
    if span <= 0.0 || !span.is_finite() {
        return vec![zero];
    }
    let length = span / size;
    let step = round_step(length / most.max(1) as f64);
    let decimals = (-step.log10()).ceil().max(0.0) as usize;
    let count = (length / step + 1e-9) as usize;
    let later = (1..=count).map(|index| {
        let value = step * index as f64;
        Tick {
            at: value / length,
            label: format!("{value:.decimals$} {unit}"),
        }
    });
    std::iter::once(zero).chain(later).collect()
}

/// The next of 1, 2, 5, 10, 20, …
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    let fits = steps.into_iter().find(|&step| step >= least * (1.0 - 1e-9));
    fits.unwrap_or(steps[3])
}

/// The axis under a chart of so many columns: the border with its ticks, and the labels below it, each beginning
/// at its tick.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a terminal's columns"
)]
pub(super) fn lines(span: f64, columns: usize) -> (String, String) {
    let mut border = vec!['─'; columns];
    let mut labels = String::new();
    let mut written = 0;
    for tick in ticks(span, columns / APART) {
        let at = ((tick.at * columns as f64).round() as usize).min(columns.saturating_sub(1));
        border[at] = '┬';
        let width = super::text::width(&tick.label);
        // The last one may lean to the left.
        let begin = at.min(columns.saturating_sub(width));
        if begin + width > columns || (written > 0 && begin <= written) {
            continue;
        }
        labels.push_str(&" ".repeat(begin - written));
        labels.push_str(&tick.label);
        written = begin + width;
    }
    (border.into_iter().collect(), labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(span: f64, most: usize) -> Vec<String> {
        ticks(span, most)
            .into_iter()
            .map(|tick| tick.label)
            .collect()
    }

    #[test]
    fn steps_are_round_and_units_fit() {
        assert_eq!(labels(2.41, 5), ["0 s", "0.5 s", "1.0 s", "1.5 s", "2.0 s"]);
        assert_eq!(labels(0.1, 2), ["0 ms", "50 ms", "100 ms"]);
        assert_eq!(labels(3e-6, 3), ["0 µs", "1 µs", "2 µs", "3 µs"]);
        assert_eq!(labels(600.0, 3), ["0 min", "5 min", "10 min"]);
        assert_eq!(labels(0.0, 3), ["0 ns"]);
    }

    #[test]
    fn labels_stay_inside_and_apart() {
        for columns in 1..230 {
            for span in [0.0, 1e-9, 0.003, 0.97, 1.0, 59.0, 3e5, 1e12] {
                let (border, labels) = lines(span, columns);
                assert_eq!(border.chars().count(), columns);
                assert!(labels.chars().count() <= columns, "{columns} {labels}");
            }
        }
        assert_eq!(
            lines(1.0, 26),
            (
                "┬────────────┬───────────┬".to_owned(),
                "0 s          0.5 s   1.0 s".to_owned()
            )
        );
    }
}
