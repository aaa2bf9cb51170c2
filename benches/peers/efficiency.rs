//! How much of two cores a map uses: threads against rayon alone, and items of very different length on
//! processes against what no schedule can beat.

use crate::figures::{Ratio, Row, Target};
use crate::outside::{Outcome, Programs};
use crate::{alone, progress, session};

const ROUNDS: usize = 7;

/// Ten thousand items of 50 µs on a thread pool.
pub fn threads(programs: &Programs) -> Outcome<(Vec<Row>, String)> {
    progress("a thread pool against rayon");
    let spin = format!(
        "fn spin(x: u64) -> u64 {{ let begin = std::time::Instant::now(); \
         while begin.elapsed() < std::time::Duration::from_micros({}) {{}} x }}",
        alone::SPIN.as_micros()
    );
    let round = [
        format!("let got = %map -q spin over 0..{}u64", alone::SPIN_ITEMS),
        format!(
            "assert!(got.iter().copied().eq(0..{}u64));",
            alone::SPIN_ITEMS
        ),
    ];
    let mut rayon = Vec::new();
    let rounds = session::alternate(
        programs,
        &[spin, "%pool start threads -n 2".to_owned()],
        ROUNDS,
        |_| round.to_vec(),
        &mut |round| {
            let time = alone::rayon_program(programs)?;
            if round > 0 {
                rayon.push(time);
            }
            Ok(())
        },
    )?;
    let ours: Vec<f64> = rounds.iter().map(|round| round[0].run).collect();
    let row = Row::against(
        "10 000 items of 50 µs, 2 threads",
        &ours,
        (&rayon, "rayon's par_iter, a plain program"),
        Ratio::Faster,
        Target::AtLeast(0.95),
    );
    let note = format!(
        "threads: the `run` of a whole cell `{}` against the expression `(0..n).into_par_iter().map(spin).collect()` \
         on a warm pool of two threads; both spin by the clock. {ROUNDS} alternating rounds.",
        round[0]
    );
    Ok((vec![row], note))
}

const ITEMS: usize = 1000;
const SIGMA: f64 = 1.5;
const MEAN: f64 = 3e-3;
const SEED: u64 = 3;

/// A thousand items of very different length on two process engines.
pub fn balance(programs: &Programs) -> Outcome<(Vec<Row>, String)> {
    progress("scheduling efficiency");
    let times = log_normal();
    let literals: Vec<String> = times.iter().map(u64::to_string).collect();
    let mut cells = vec![
        "fn spin(ns: u64) -> u64 { let begin = std::time::Instant::now(); \
         while begin.elapsed() < std::time::Duration::from_nanos(ns) {} ns }"
            .to_owned(),
        "%pool start -n 2".to_owned(),
        format!("let times: Vec<u64> = vec![{}];", literals.join(", ")),
    ];
    let opening = cells.len();
    let map = "let got = %map -q spin over times.clone()";
    for _ in 0..=ROUNDS {
        cells.push(map.to_owned());
        cells.push("assert!(got == times);".to_owned());
    }
    let ran = session::run(programs, &cells)?;
    // The first round warms.
    let ours: Vec<f64> = ran[opening + 2..].chunks(2).map(|it| it[0].run).collect();
    let total = times.iter().sum::<u64>() as f64 / 1e9;
    let longest = times.iter().copied().max().unwrap_or_default() as f64 / 1e9;
    let bound = (total / 2.0).max(longest);
    let row = Row::against(
        "1000 items, log-normal, 2 engines",
        &ours,
        (&[bound], "the bound max(total/2, longest)"),
        Ratio::Faster,
        Target::AtLeast(0.97),
    );
    let alone = bound / in_order(&times) * 100.0;
    let note = format!(
        "log-normal items (sigma {SIGMA}, mean {:.0} ms, seed {SEED}): {total:.2} s in all, the longest {:.0} ms; \
         the `run` of a whole cell `{map}`, median of {ROUNDS}; items spin by the clock. Handed out one by one \
         in this order and at no cost, they would reach {alone:.1} % of the bound.",
        MEAN * 1e3,
        longest * 1e3
    );
    Ok((vec![row], note))
}

/// Seconds that two engines need when each takes the next item as soon as it is free.
fn in_order(times: &[u64]) -> f64 {
    let mut busy_until = [0, 0];
    for time in times {
        busy_until.sort_unstable();
        busy_until[0] += time;
    }
    busy_until[0].max(busy_until[1]) as f64 / 1e9
}

/// Nanoseconds, the same in every run.
fn log_normal() -> Vec<u64> {
    let mut random = fastrand::Rng::with_seed(SEED);
    let mu = MEAN.ln() - SIGMA * SIGMA / 2.0;
    let mut one = || {
        // Box and Muller's way to a normal number; 1 - x is never zero.
        let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * random.f64()).cos();
        ((mu + SIGMA * normal).exp() * 1e9) as u64
    };
    std::iter::repeat_with(&mut one).take(ITEMS).collect()
}
