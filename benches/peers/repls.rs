//! evcxr's own REPL and ours, both typed into through the same pseudo-terminal, and how long warm cells take in
//! each. Rounds alternate between the two.

use std::path::Path;

use serde_json::{Value, json};

use crate::figures::{Ratio, Row, Target, median};
use crate::outside::{Failure, Outcome, Programs};
use crate::progress;

const CELL_ROUNDS: usize = 3;
/// Cells in front of the measured ones: the first fills what is filled once.
const WARMING: usize = 2;

pub struct Repl<'a> {
    pub program: &'a Path,
    pub prompt: &'static str,
    /// What stands before the value of the first cell.
    pub value: &'static str,
}

/// Ours is the first.
pub fn both(programs: &Programs) -> [Repl<'_>; 2] {
    let ours = Repl {
        program: &programs.regatta,
        prompt: r"In \[\d+\]: ",
        value: r"Out\[1\]: ",
    };
    let theirs = Repl {
        program: &programs.evcxr,
        prompt: ">> ",
        value: r"\n",
    };
    [ours, theirs]
}

/// Ten everyday cells, from Enter until the next prompt.
pub fn warm_cells(programs: &Programs) -> Outcome<(Vec<Row>, String)> {
    progress("ten everyday cells");
    let mut times = [vec![], vec![]];
    let mut each = [vec![vec![]; 10], vec![vec![]; 10]];
    for round in 0..CELL_ROUNDS {
        let input = json!(everyday(round)).to_string();
        for (side, repl) in both(programs).iter().enumerate() {
            let program = repl.program.to_string_lossy();
            let measured =
                programs.driver("terminal.py", &["cells", repl.prompt, &program], &input)?;
            let measured: Vec<f64> = measured
                .as_array()
                .map(|all| all.iter().filter_map(Value::as_f64).collect())
                .unwrap_or_default();
            if measured.len() != WARMING + 10 {
                return Err(Failure(format!("{program}: {} cells ran", measured.len())));
            }
            for (cell, &time) in measured[WARMING..].iter().enumerate() {
                times[side].push(time);
                each[side][cell].push(time);
            }
        }
    }
    let row = Row::against(
        "warm cell, median of ten everyday cells",
        &times[0],
        (&times[1], "evcxr"),
        Ratio::Share,
        Target::AtMost(0.75),
    );
    let words: Vec<String> = each[0]
        .iter()
        .zip(&each[1])
        .map(|(ours, theirs)| format!("{:.0}/{:.0}", median(ours) * 1e3, median(theirs) * 1e3))
        .collect();
    let note = format!(
        "warm cells, one by one, ours/evcxr in ms: {}.",
        words.join(", ")
    );
    Ok((vec![row], note))
}

/// The cells of one round; its number is in each, so that nothing is remembered from an earlier one.
fn everyday(round: usize) -> Vec<String> {
    let n = round + 20;
    vec![
        format!("let warm = {n};"),
        format!("warm + {n}"),
        format!("let a = {n};"),
        format!("a * 2 + {n}"),
        format!("fn square(x: i64) -> i64 {{ x * x + {n} - {n} }}"),
        format!("square({n})"),
        format!("#[derive(Debug, Clone)] struct Boat {{ crew: u32, l{n}: f64 }}"),
        format!("let boat = Boat {{ crew: 8, l{n}: 19.9 }};"),
        format!("vec![1, 2, {n}].iter().sum::<i32>()"),
        format!("format!(\"{{}} rows with {{}}\", {n}, boat.crew)"),
        format!("(1..{n}).map(|x| x * 3).collect::<Vec<i64>>()"),
        format!("for i in 0..3 {{ println!(\"{{}}\", i + {n}); }}"),
    ]
}
