//! `%time` and `%timeit` in `IPython`'s words.

use super::{Style, units};
use crate::outcome::Timing;

/// `wall 1.23 ms · compile 210 ms`, or mean, deviation and best of several runs.
pub(crate) fn timing(timing: &Timing, style: &Style) -> String {
    let Some(Statistics {
        mean,
        deviation,
        best,
    }) = statistics(timing)
    else {
        return String::new();
    };
    let mut line = if timing.per_loop.len() == 1 && timing.loops <= 1 {
        format!("wall {}", units::timing(mean))
    } else {
        let runs = units::counted(timing.per_loop.len() as u64, "runs");
        let loops = if timing.loops == 1 { "loop" } else { "loops" };
        format!(
            "{} {} {} per loop (mean {1} std. dev. of {runs}, {} {loops} each) · best {}",
            units::timing(mean),
            if style.unicode { "±" } else { "+-" },
            units::timing(deviation),
            units::thousands(timing.loops),
            units::timing(best),
        )
    };
    if let Some(compile) = timing.compile {
        line.push_str(&format!(
            " · compile {}",
            units::timing(compile.as_secs_f64())
        ));
    }
    line.push('\n');
    style.spell(line)
}

/// Seconds per loop over all runs.
pub(crate) struct Statistics {
    pub(crate) mean: f64,
    /// Of the runs themselves, not an estimate from a sample: `IPython`'s choice.
    pub(crate) deviation: f64,
    pub(crate) best: f64,
}

/// `None` without a run.
#[expect(clippy::cast_precision_loss, reason = "nobody waits for 2^53 runs")]
pub(crate) fn statistics(timing: &Timing) -> Option<Statistics> {
    let runs = &timing.per_loop;
    let best = runs.iter().copied().reduce(f64::min)?;
    let count = runs.len() as f64;
    let mean = runs.iter().sum::<f64>() / count;
    let variance = runs.iter().map(|run| (run - mean).powi(2)).sum::<f64>() / count;
    Some(Statistics {
        mean,
        deviation: variance.sqrt(),
        best,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn show(per_loop: &[f64], loops: u64, compile: Option<u64>) -> String {
        let compile = compile.map(Duration::from_millis);
        timing(
            &Timing {
                per_loop: per_loop.to_vec(),
                loops,
                compile,
            },
            &Style::plain(80),
        )
    }

    #[test]
    fn time_tells_wall_and_compile() {
        assert_eq!(
            show(&[0.001_23], 1, Some(210)),
            "wall 1.23 ms · compile 210 ms\n"
        );
        assert_eq!(show(&[0.5], 1, None), "wall 500 ms\n");
        assert_eq!(show(&[], 1, None), "");
    }

    #[test]
    fn timeit_tells_mean_deviation_and_best() {
        assert_eq!(
            show(&[1.19e-6, 1.21e-6, 1.29e-6], 1000, None),
            "1.23 µs ± 43.2 ns per loop (mean ± std. dev. of 3 runs, 1,000 loops each) · best 1.19 µs\n"
        );
        assert_eq!(
            show(&[2.0, 2.0], 1, None),
            "2 s ± 0 ns per loop (mean ± std. dev. of 2 runs, 1 loop each) · best 2 s\n"
        );
    }
}
