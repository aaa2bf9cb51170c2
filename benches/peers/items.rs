//! Many items with next to nothing to do: what is measured is what a map costs beside its function.

use crate::driver::Driver;
use crate::figures::{Ratio, Row, Target};
use crate::outside::{Outcome, Programs};
use crate::{progress, session};

const ROUNDS: usize = 5;

/// Twenty thousand items, each sent alone.
pub fn tiny(programs: &Programs) -> Outcome<(Vec<Row>, String)> {
    progress("20 000 tiny items");
    let mut pool = Driver::start(programs, "pool_rounds.py")?;
    let mut joblib = Driver::start(programs, "joblib_rounds.py")?;
    let mut cluster = Driver::start(programs, "ipyparallel_rounds.py")?;
    let [mut pools, mut joblibs, mut clusters] = [(); 3].map(|()| Vec::new());
    let ours = maps(
        programs,
        "let got = %map -q -c 1 |x: u64| x + 1 over 0..20000u64",
        20_000,
        &mut |round| {
            let times = [
                (&mut pools, pool.ask("tiny")?),
                (&mut joblibs, joblib.ask("tiny")?),
                // It tells the time of one item.
                (&mut clusters, cluster.ask("tiny")? * 20_000.0),
            ];
            for (times, time) in times.into_iter().filter(|_| round > 0) {
                times.push(time);
            }
            Ok(())
        },
    )?;
    let row = |peer: &[f64], name, least| {
        Row::against(
            "20 000 tiny items, chunk 1, 2 engines",
            &ours,
            (peer, name),
            Ratio::Faster,
            Target::AtLeast(least),
        )
    };
    let rows = vec![
        row(&pools, "Pool(2).map(chunksize=1)", 6.0),
        row(&joblibs, "joblib, its own batches", 2.0),
        row(&clusters, "ipyparallel, load-balanced", 500.0),
    ];
    let note = format!(
        "tiny items: the `run` of a whole cell `let got = %map -q -c 1 …`, {ROUNDS} alternating rounds. joblib \
         sends batches, which grow to thousands of such items, where ours sends each item alone. ipyparallel ran \
         400 items per round with chunksize=1; its time is that of one item, 20 000 times."
    );
    Ok((rows, note))
}

/// A million numbers in chunks of either side's choice.
pub fn million(programs: &Programs) -> Outcome<(Vec<Row>, String)> {
    progress("a million numbers");
    let mut pool = Driver::start(programs, "pool_rounds.py")?;
    let mut pools = Vec::new();
    let ours = maps(
        programs,
        "let got = %map -q |x: u64| x + 1 over 0..1_000_000u64",
        1_000_000,
        &mut |round| {
            let time = pool.ask("many")?;
            if round > 0 {
                pools.push(time);
            }
            Ok(())
        },
    )?;
    let row = Row::against(
        "1 000 000 u64 → u64, default chunks",
        &ours,
        (&pools, "Pool(2).map"),
        Ratio::Faster,
        Target::AtLeast(10.0),
    );
    let note = format!(
        "a million numbers: the `run` of a whole cell `let got = %map -q …`, {ROUNDS} alternating rounds."
    );
    Ok((vec![row], note))
}

/// The run times of a map of so many numbers to the next ones, and a look at each result.
fn maps(
    programs: &Programs,
    map: &str,
    items: u64,
    peers: &mut dyn FnMut(usize) -> Outcome<()>,
) -> Outcome<Vec<f64>> {
    let check = format!("assert!(got.iter().copied().eq(1..={items}u64));");
    let rounds = session::alternate(
        programs,
        &["%pool start -n 2".to_owned()],
        ROUNDS,
        |_| vec![map.to_owned(), check.clone()],
        peers,
    )?;
    Ok(rounds.iter().map(|round| round[0].run).collect())
}
