//! The measures of somebody at the keyboard: prompt, first result, warm cells, against evcxr's own REPL,
//! both typed into through the same pseudo-terminal. Rounds alternate between the two.

use std::path::Path;

use serde_json::{Value, json};

use crate::figures::{Ratio, Row, Target, median};
use crate::outside::{Failure, Outcome, Programs, seconds};
use crate::progress;

const START_ROUNDS: usize = 5;
const CELL_ROUNDS: usize = 3;
/// Cells in front of the measured ones: the first fills what is filled once.
const WARMING: usize = 2;

struct Repl<'a> {
    program: &'a Path,
    prompt: &'static str,
    /// What the value of `1 + 1` looks like.
    result: &'static str,
}

fn both(programs: &Programs) -> [Repl<'_>; 2] {
    let ours = Repl {
        program: &programs.regatta,
        prompt: r"In \[\d+\]: ",
        result: r"Out\[1\]: 2\s",
    };
    let theirs = Repl {
        program: &programs.evcxr,
        prompt: ">> ",
        result: r"\n2\s",
    };
    [ours, theirs]
}

/// From the start of the program until its prompt, and until the value of `1 + 1`, typed at the prompt.
pub fn start(programs: &Programs) -> Outcome<(Vec<Row>, String)> {
    progress("prompt and first result");
    let [mut prompts, mut results, mut again] = [(); 3].map(|()| [vec![], vec![]]);
    // The first round fills both programs' caches.
    for round in 0..=START_ROUNDS {
        for (side, repl) in both(programs).iter().enumerate() {
            let program = repl.program.to_string_lossy();
            let arguments = ["start", repl.prompt, repl.result, &program];
            let times = programs.driver("terminal.py", &arguments, "")?;
            if round > 0 {
                prompts[side].push(seconds(&times, "prompt")?);
                results[side].push(seconds(&times, "result")?);
                again[side].push(seconds(&times, "again")?);
            }
        }
    }
    let rows = vec![
        Row::within("time until the prompt", &prompts[0], 0.15),
        Row::against(
            "time until the first result of 1 + 1",
            &results[0],
            (&results[1], "evcxr"),
            Ratio::Share,
            Target::AtMost(1.5),
        ),
    ];
    let parts = |side: usize| {
        let (prompt, whole) = (median(&prompts[side]), median(&results[side]));
        let cell = median(&again[side]);
        format!(
            "{prompt:.2} s until the prompt, {cell:.2} s the cell (as the next one takes), {:.2} s the rest of \
             the compiler's warm-up",
            whole - prompt - cell
        )
    };
    let note = format!("first result: ours {}; evcxr {}.", parts(0), parts(1));
    Ok((rows, note))
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
