//! The same map on ever more engines, and what its times say: speedup, efficiency, and the share of the work that
//! more engines do not shorten.
//!
//! With `T(n)` the wall time on `n` engines, Amdahl's law (1967) is `T(n) / T(1) = s + (1 - s) / n`, where `s` is
//! the serial fraction. Karp and Flatt (1990) solve it for the `s` of each `n`; a least-squares fit takes all of
//! them together.

use std::time::Duration;

use super::PoolKind;

/// `%scaling`: the same map on pools of one kind and of ever more engines.
#[derive(Clone, Debug)]
pub struct Scaling {
    pub function: String,
    pub kind: PoolKind,
    pub items: u64,
    /// How often each pool ran it.
    pub repeat: u32,
    /// Of this machine.
    pub cores: u32,
    /// In the order of their engines; the first has one.
    pub rows: Vec<ScalingRow>,
}

#[derive(Clone, Debug)]
pub struct ScalingRow {
    pub engines: u32,
    /// The wall time of each run.
    pub walls: Vec<Duration>,
}

impl ScalingRow {
    /// The shortest wall time.
    pub fn best(&self) -> Duration {
        self.walls.iter().min().copied().unwrap_or_default()
    }
}

/// How many engines, and their time as a share of the time of one.
type Point = (f64, f64);

impl Scaling {
    /// How many times as fast as on one engine; `None` when nothing was measured.
    pub fn speedup(&self, row: &ScalingRow) -> Option<f64> {
        let one = self.rows.first()?.best().as_secs_f64();
        let speedup = one / row.best().as_secs_f64();
        (speedup.is_finite() && speedup > 0.0).then_some(speedup)
    }

    /// The speedup per engine: 1 when none of them waits.
    pub fn efficiency(&self, row: &ScalingRow) -> Option<f64> {
        Some(self.speedup(row)? / f64::from(row.engines))
    }

    /// The serial fraction by Karp and Flatt, from this row alone; `None` on one engine.
    pub fn serial_fraction_of(&self, row: &ScalingRow) -> Option<f64> {
        fitted(&[self.point(row)?])
    }

    /// The serial fraction that fits all rows best (least squares of the times). More engines than cores wait for
    /// each other's cores, which is no part of the work, so those rows count only where there are no others.
    pub fn serial_fraction(&self) -> Option<f64> {
        let points: Vec<Point> = self
            .fitted_rows()
            .filter_map(|row| self.point(row))
            .collect();
        fitted(&points)
    }

    /// The rows that the serial fraction is from.
    pub fn fitted_rows(&self) -> impl Iterator<Item = &ScalingRow> {
        let within = |row: &&ScalingRow| row.engines <= self.cores;
        let beside_one = |row: &&ScalingRow| row.engines > 1;
        let any = self.rows.iter().filter(within).any(|row| row.engines > 1);
        let counts = move |row: &&ScalingRow| beside_one(row) && (!any || within(row));
        self.rows.iter().filter(counts)
    }

    fn point(&self, row: &ScalingRow) -> Option<Point> {
        let speedup = self.speedup(row)?;
        (row.engines > 1).then(|| (f64::from(row.engines), 1.0 / speedup))
    }
}

/// The `s` of `time = s + (1 - s) / engines` with the least squares of what is left over; for one point it is exact.
fn fitted(points: &[Point]) -> Option<f64> {
    let (mut upper, mut lower) = (0.0, 0.0);
    for (engines, time) in points {
        let gap = 1.0 - 1.0 / engines;
        upper += gap * (time - 1.0 / engines);
        lower += gap * gap;
    }
    (lower > 0.0).then(|| upper / lower)
}

/// The speedup of `engines` by Amdahl's law.
pub fn amdahl(serial_fraction: f64, engines: f64) -> f64 {
    1.0 / (serial_fraction + (1.0 - serial_fraction) / engines)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times on one, two, … engines, in milliseconds.
    fn scaling(cores: u32, times: &[(u32, f64)]) -> Scaling {
        let row = |(engines, millis): &(u32, f64)| ScalingRow {
            engines: *engines,
            walls: vec![
                Duration::from_secs_f64(millis / 900.0),
                Duration::from_secs_f64(millis / 1000.0),
            ],
        };
        Scaling {
            function: "f".to_owned(),
            kind: PoolKind::Threads,
            items: 8,
            repeat: 2,
            cores,
            rows: times.iter().map(row).collect(),
        }
    }

    fn close(found: Option<f64>, wanted: f64) -> bool {
        found.is_some_and(|found| (found - wanted).abs() < 1e-6)
    }

    #[test]
    fn each_count_has_the_serial_fraction_of_karp_and_flatt() {
        // (1/1.95 - 1/2) / (1 - 1/2) = 0.0256, (1/3.88 - 1/4) / (1 - 1/4) = 0.0103.
        let it = scaling(64, &[(1, 1000.0), (2, 1000.0 / 1.95), (4, 1000.0 / 3.88)]);
        assert!(close(it.speedup(&it.rows[1]), 1.95));
        assert!(close(it.efficiency(&it.rows[2]), 0.97));
        let each: Vec<String> = it.rows[1..]
            .iter()
            .filter_map(|row| it.serial_fraction_of(row))
            .map(|s| format!("{s:.3}"))
            .collect();
        assert_eq!(each, ["0.026", "0.010"]);
        assert_eq!(it.serial_fraction_of(&it.rows[0]), None);
    }

    #[test]
    fn times_by_the_law_give_its_serial_fraction() {
        let law = |s: f64| {
            let times = [1, 2, 4, 8].map(|n| (n, 1000.0 / amdahl(s, f64::from(n))));
            scaling(8, &times)
        };
        for s in [0.0, 0.1, 0.5, 1.0] {
            let it = law(s);
            assert!(close(it.serial_fraction(), s), "{s}");
            assert!(
                it.rows[1..]
                    .iter()
                    .all(|row| close(it.serial_fraction_of(row), s))
            );
        }
        assert!((amdahl(0.1, f64::INFINITY) - 10.0).abs() < 1e-9);
        // Faster than the engines are many: what they share fits into their caches, say.
        assert!(scaling(2, &[(1, 1000.0), (2, 400.0)]).serial_fraction() < Some(0.0));
    }

    #[test]
    fn engines_that_share_cores_are_left_out_of_the_fit() {
        let times = [(1, 1000.0), (2, 500.0), (4, 500.0)];
        assert!(close(scaling(2, &times).serial_fraction(), 0.0));
        assert!(scaling(4, &times).serial_fraction() > Some(0.1));
        // Where there are no others they are what there is.
        let one = scaling(1, &times);
        assert_eq!(one.fitted_rows().count(), 2);
        assert!(one.serial_fraction() > Some(0.1));
        assert_eq!(scaling(2, &times[..1]).serial_fraction(), None);
        assert_eq!(scaling(2, &[(1, 0.0), (2, 0.0)]).serial_fraction(), None);
    }
}
