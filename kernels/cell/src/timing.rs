//! `%timeit`: how long an expression takes.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::host::host;

const RUNS: usize = 7;
const AT_LEAST: Duration = Duration::from_millis(200);

/// Calls `f` in runs of as many loops as make one run last 0.2 s (at least one), seven runs, and shows the
/// seconds per loop of each. The first calls, which find the number of loops, also warm up.
pub fn timeit<T>(mut f: impl FnMut() -> T) {
    let mut loops: u64 = 1;
    let mut took = run(&mut f, loops);
    while took < AT_LEAST {
        let factor = AT_LEAST.as_secs_f64() / took.as_secs_f64().max(1e-9);
        loops *= if factor >= 10.0 {
            10
        } else {
            (factor.ceil() as u64).max(2)
        };
        took = run(&mut f, loops);
    }
    // A slow expression is not run seven times more: what one look costs is bounded.
    let runs = if took > Duration::from_secs(2) {
        3
    } else {
        RUNS
    };
    let mut per_loop = vec![took.as_secs_f64() / loops as f64];
    per_loop.extend((1..runs).map(|_| run(&mut f, loops).as_secs_f64() / loops as f64));
    (host().timing)(per_loop.as_ptr(), per_loop.len() as u64, loops);
}

fn run<T>(f: &mut impl FnMut() -> T, loops: u64) -> Duration {
    let start = Instant::now();
    for _ in 0..loops {
        black_box(f());
    }
    start.elapsed()
}
