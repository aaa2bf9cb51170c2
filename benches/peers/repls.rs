//! evcxr's own REPL and ours, both typed into through the same pseudo-terminal, and how long warm cells take in
//! each. Rounds alternate between the two.

use std::path::Path;

use serde_json::{Value, json};

use crate::figures::{Ratio, Row, Target, median};
use crate::outside::{Failure, Outcome, Programs};
use crate::progress;

const CELL_ROUNDS: usize = 3;

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

/// What a measured cell is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// In front of others, and not measured: it fills what is filled once.
    Warming,
    /// One of ten everyday ones.
    Everyday,
    /// An everyday one that keeps a variable, whose type has to be inferred.
    Variable,
    /// Keeps a variable as well, and is none of the ten.
    OtherVariable,
    /// The cell before, word for word.
    Repeated,
}

/// Everyday cells, from Enter until the next prompt.
pub fn warm_cells(programs: &Programs) -> Outcome<(Vec<Row>, String)> {
    progress("everyday cells");
    let kinds: Vec<Kind> = everyday(0).into_iter().map(|(kind, _)| kind).collect();
    let mut each = [vec![vec![]; kinds.len()], vec![vec![]; kinds.len()]];
    for round in 0..CELL_ROUNDS {
        let cells: Vec<String> = everyday(round).into_iter().map(|(_, cell)| cell).collect();
        let input = json!(cells).to_string();
        for (side, repl) in both(programs).iter().enumerate() {
            let program = repl.program.to_string_lossy();
            let measured =
                programs.driver("terminal.py", &["cells", repl.prompt, &program], &input)?;
            let measured: Vec<f64> = measured
                .as_array()
                .map(|all| all.iter().filter_map(Value::as_f64).collect())
                .unwrap_or_default();
            if measured.len() != cells.len() {
                return Err(Failure(format!("{program}: {} cells ran", measured.len())));
            }
            for (times, time) in each[side].iter_mut().zip(measured) {
                times.push(time);
            }
        }
    }
    let times = |wanted: &[Kind]| {
        each.each_ref().map(|side| -> Vec<f64> {
            let of_kind = kinds.iter().zip(side);
            let of_kind = of_kind.filter(|(kind, _)| wanted.contains(kind));
            of_kind.flat_map(|(_, times)| times).copied().collect()
        })
    };
    let against = |measure, wanted: &[Kind], most| {
        let [ours, theirs] = times(wanted);
        let theirs = (theirs.as_slice(), "evcxr");
        Row::against(measure, &ours, theirs, Ratio::Share, Target::AtMost(most))
    };
    let ten = [Kind::Everyday, Kind::Variable];
    let [repeated, repeated_theirs] = times(&[Kind::Repeated]);
    let rows = vec![
        against("warm cell, median of ten everyday cells", &ten, 0.35),
        against(
            "warm let, median of four",
            &[Kind::Variable, Kind::OtherVariable],
            0.5,
        ),
        Row::within("repeated cell", &repeated, 0.005).beside((&repeated_theirs, "evcxr")),
    ];
    let words: Vec<String> = each[0]
        .iter()
        .zip(&each[1])
        .zip(&kinds)
        .filter(|(_, kind)| **kind != Kind::Warming)
        .map(|((ours, theirs), _)| format!("{:.1}/{:.0}", median(ours) * 1e3, median(theirs) * 1e3))
        .collect();
    let note = format!(
        "warm cells, one by one, ours/evcxr in ms: {}. The last two are repeated ones, the two before them further \
         lets.",
        words.join(", ")
    );
    Ok((rows, note))
}

/// The cells of one round; its number is in each, so that nothing is remembered from an earlier one.
fn everyday(round: usize) -> Vec<(Kind, String)> {
    use Kind::{Everyday, OtherVariable, Repeated, Variable, Warming};
    let n = round + 20;
    let again = format!("square({n}) + 1");
    vec![
        (Warming, format!("let warm = {n};")),
        (Warming, format!("warm + {n}")),
        (Variable, format!("let a = {n};")),
        (Everyday, format!("a * 2 + {n}")),
        (
            Everyday,
            format!("fn square(x: i64) -> i64 {{ x * x + {n} - {n} }}"),
        ),
        (Everyday, format!("square({n})")),
        (
            Everyday,
            format!("#[derive(Debug, Clone)] struct Boat {{ crew: u32, l{n}: f64 }}"),
        ),
        (
            Variable,
            format!("let boat = Boat {{ crew: 8, l{n}: 19.9 }};"),
        ),
        (Everyday, format!("vec![1, 2, {n}].iter().sum::<i32>()")),
        (
            Everyday,
            format!("format!(\"{{}} rows with {{}}\", {n}, boat.crew)"),
        ),
        (
            Everyday,
            format!("(1..{n}).map(|x| x * 3).collect::<Vec<i64>>()"),
        ),
        (
            Everyday,
            format!("for i in 0..3 {{ println!(\"{{}}\", i + {n}); }}"),
        ),
        (
            OtherVariable,
            format!("let names = vec![\"ann\".to_string(), \"bo{n}\".to_string()];"),
        ),
        (
            OtherVariable,
            format!("let total: f64 = [1.5, 2.5, {n}.0].iter().sum();"),
        ),
        (Warming, again.clone()),
        (Repeated, again.clone()),
        (Repeated, again),
    ]
}
