//! Large data: scattered over engines and gathered again, and as something a function captures.

use crate::driver::Driver;
use crate::figures::{Ratio, Row, Target};
use crate::outside::{Outcome, Programs};
use crate::{alone, progress, session};

const NUMBERS: usize = 8_000_000;
const SCATTER_ROUNDS: usize = 5;
/// The peer's takes twenty seconds each.
const CAPTURE_ROUNDS: usize = 3;
const MAPS: usize = 10;

/// 64 MB to two engines and back.
pub fn scatter(programs: &Programs) -> Outcome<(Vec<Row>, String)> {
    progress("scatter and gather");
    let mut cluster = Driver::start(programs, "ipyparallel_rounds.py")?;
    let (mut clusters, mut copies) = (Vec::new(), Vec::new());
    let opening = [
        "%pool start -n 2".to_owned(),
        format!("let v: Vec<f64> = (0..{NUMBERS}).map(|x| x as f64).collect();"),
    ];
    let round = [
        "%scatter v --as part",
        "let w = %gather part",
        "assert!(v == w);",
    ]
    .map(str::to_owned);
    let rounds = session::alternate(
        programs,
        &opening,
        SCATTER_ROUNDS,
        |_| round.to_vec(),
        &mut |round| {
            let (time, copy) = (cluster.ask("data")?, alone::copy(NUMBERS));
            if round > 0 {
                clusters.push(time);
                copies.push(copy);
            }
            Ok(())
        },
    )?;
    let ours: Vec<f64> = rounds
        .iter()
        .map(|round| round[0].run + round[1].run)
        .collect();
    let measure = "scatter and gather of 64 MB, 2 engines";
    let rows = vec![
        Row::against(
            measure,
            &ours,
            (&clusters, "ipyparallel, a numpy array"),
            Ratio::Faster,
            Target::AtLeast(8.0),
        ),
        Row::against(
            "  as multiples of a copy",
            &ours,
            (&copies, "one memcpy of 64 MB"),
            Ratio::Share,
            Target::Informative,
        ),
    ];
    let each = |cell: usize| {
        let times: Vec<f64> = rounds.iter().map(|round| round[cell].run).collect();
        crate::figures::median(&times) * 1e3
    };
    let note = format!(
        "scatter and gather: the `run` of the cells `{}` ({:.1} ms) and `{}` ({:.1} ms), {SCATTER_ROUNDS} \
         alternating rounds; the copy is between two vectors that were touched before.",
        round[0],
        each(0),
        round[1],
        each(1)
    );
    Ok((rows, note))
}

/// Ten maps whose function looks things up in the same 80 MB.
pub fn capture(programs: &Programs) -> Outcome<(Vec<Row>, String)> {
    progress("a capture of 80 MB");
    let mut pool = Driver::start(programs, "pool_rounds.py")?;
    let mut pools = Vec::new();
    // A table that no engine has yet in every round.
    let ours = |round: usize| {
        let table = format!(
            "let table: Vec<f64> = (0..10_000_000).map(|x| (x + {round}) as f64).collect();"
        );
        let map = "let got = %map -q |i: usize| table[i] over 0..100usize".to_owned();
        let check =
            format!("assert!(got.iter().copied().eq((0..100).map(|x| (x + {round}) as f64)));");
        let mut cells = vec![table];
        cells.extend(vec![map; MAPS]);
        cells.push(check);
        cells
    };
    let rounds = session::alternate(
        programs,
        &["%pool start -n 2".to_owned()],
        CAPTURE_ROUNDS,
        ours,
        &mut |round| {
            let time = pool.ask("capture")?;
            if round > 0 {
                pools.push(time);
            }
            Ok(())
        },
    )?;
    let of_maps = |from: usize, to: usize| -> Vec<f64> {
        let maps = |round: &Vec<session::Ran>| round[from..to].iter().map(|cell| cell.run).sum();
        rounds.iter().map(maps).collect()
    };
    let all = of_maps(1, MAPS + 1);
    let row = Row::against(
        "80 MB capture, 10 maps of 100 items",
        &all,
        (&pools, "Pool(2).map, functools.partial"),
        Ratio::Faster,
        Target::AtLeast(20.0),
    );
    let note = format!(
        "capture: the `run` of ten cells `%map -q |i: usize| table[i] over 0..100usize`, {CAPTURE_ROUNDS} \
         alternating rounds, each with a new table; the first of the ten, which sends it, {:.1} ms, the others \
         together {:.1} ms. The peer binds a numpy array.",
        crate::figures::median(&of_maps(1, 2)) * 1e3,
        crate::figures::median(&of_maps(2, MAPS + 1)) * 1e3
    );
    Ok((vec![row], note))
}
