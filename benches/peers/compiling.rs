//! What a map costs the compiler beyond the function call that it stands for.

use crate::figures::{Ratio, Row, Target};
use crate::outside::{Outcome, Programs};
use crate::{progress, session};

const ROUNDS: usize = 7;

/// The compile time of a `%map` cell against that of a plain cell that calls the function.
pub fn compile(programs: &Programs) -> Outcome<(Vec<Row>, String)> {
    progress("the compile time of a map");
    let mut cells = vec![
        "fn work(x: u64) -> u64 { (1..=x).map(|y| y * y % 7).sum() }".to_owned(),
        "%pool start -n 2".to_owned(),
    ];
    let opening = cells.len();
    for round in 0..=ROUNDS {
        // New text each time, so that nothing is remembered.
        let n = 100 + round;
        cells.push(format!("let one = work({n});"));
        cells.push(format!("let many = %map -q work over {n}..{n} + 4u64"));
    }
    let ran = session::run(programs, &cells)?;
    let (mut plain, mut map) = (Vec::new(), Vec::new());
    // The first pair warms.
    for pair in ran[opening + 2..].chunks(2) {
        plain.push(pair[0].compile);
        map.push(pair[1].compile);
    }
    let row = Row::against(
        "compile time of a %map cell",
        &map,
        (&plain, "a plain cell that calls the function"),
        Ratio::Share,
        Target::AtMost(1.5),
    );
    let note = format!(
        "compile time: `{}` against `{}`, alternating, new text each time, median of {ROUNDS} (`compile` of \
         cell_finished).",
        cells[opening + 1],
        cells[opening]
    );
    Ok((vec![row], note))
}
