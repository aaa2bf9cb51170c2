//! The first minute at the keyboard: how long it takes from the start of the program until the prompt, and until the
//! value of a first cell, typed at the prompt as soon as it is there; against evcxr's own REPL. Ours starts its
//! compiler anew wherever a row does not say otherwise.

use std::path::Path;

use crate::figures::{Ratio, Row, Target, median};
use crate::outside::{Failure, Outcome, Programs, output, seconds};
use crate::progress;
use crate::repls::{Repl, both};

const ROUNDS: usize = 5;
/// Of what takes longest.
const FEW_ROUNDS: usize = 3;

/// A first cell and its value, as a regular expression.
const SUM: (&str, &str) = ("1 + 1", r"2\s");
const LET: (&str, &str) = ("let v = vec![1, 2]; v", r"\[1, 2\]\s");

/// Keeps a session from what earlier ones left running, and from leaving anything running itself.
const COLD: &str = "--no-warm";

/// Seconds since the start, round by round.
#[derive(Default)]
struct Times {
    prompt: Vec<f64>,
    result: Vec<f64>,
    /// How long a small cell after the first takes.
    again: Vec<f64>,
}

impl Times {
    /// One start. Caches are where the user has them, or in a folder of the round's own.
    fn add(
        &mut self,
        programs: &Programs,
        repl: &Repl<'_>,
        arguments: &[&str],
        (cell, value): (&str, &str),
        caches: Option<&Path>,
    ) -> Outcome<()> {
        let (program, value) = (
            repl.program.to_string_lossy(),
            format!("{}{value}", repl.value),
        );
        let mut words = vec!["start", repl.prompt, cell, &value, &program];
        words.extend(arguments);
        let environment: Vec<_> = caches
            .map(|caches| ("XDG_CACHE_HOME", caches))
            .into_iter()
            .collect();
        let times = programs.driver_in(&environment, "terminal.py", &words, "")?;
        self.prompt.push(seconds(&times, "prompt")?);
        self.result.push(seconds(&times, "result")?);
        self.again.push(seconds(&times, "again")?);
        Ok(())
    }

    fn parts(&self) -> String {
        let (prompt, whole) = (median(&self.prompt), median(&self.result));
        let cell = median(&self.again);
        format!(
            "{prompt:.2} s until the prompt, {cell:.2} s the cell (as the next one takes), {:.2} s the rest of \
             the compiler's warm-up",
            whole - prompt - cell
        )
    }
}

/// All starts.
pub fn first(programs: &Programs) -> Outcome<(Vec<Row>, String)> {
    let help = output(programs.command(&programs.regatta).arg("--help"), "")?;
    // An earlier one, measured by `REGATTA_BIN`, leaves nothing running.
    let outlives = help.contains(COLD);
    let cold: &[&str] = if outlives { &[COLD] } else { &[] };
    let alternating = |rounds, cell, fresh| alternating(programs, cold, rounds, cell, fresh);
    // What is cached once, is.
    alternating(1, SUM, false)?;

    progress("prompt and first result");
    let sum = alternating(ROUNDS, SUM, false)?;
    progress("first variable");
    let variable = alternating(ROUNDS, LET, false)?;
    progress("first-ever start");
    let ever = alternating(FEW_ROUNDS, SUM, true)?;
    progress("start with the warm compiler of an earlier session");
    let [ours, theirs] = both(programs);
    let mut taken_over = Times::default();
    // The first leaves what the others take over.
    Times::default().add(programs, &ours, &[], SUM, None)?;
    let mut evcxr = Times::default();
    for _ in 0..ROUNDS {
        taken_over.add(programs, &ours, &[], SUM, None)?;
        evcxr.add(programs, &theirs, &[], SUM, None)?;
    }
    if outlives {
        output(
            programs.command(&programs.regatta).args(["warm", "stop"]),
            "",
        )?;
    }

    // A cell takes as long as the next one does; the rest is the start.
    let without_cell: Vec<f64> = taken_over
        .result
        .iter()
        .zip(&taken_over.again)
        .map(|(result, cell)| result - cell)
        .collect();

    let against = |measure, [ours, theirs]: &[Times; 2], most| {
        Row::against(
            measure,
            &ours.result,
            (&theirs.result, "evcxr"),
            Ratio::Share,
            Target::AtMost(most),
        )
    };
    let rows = vec![
        Row::within("time until the prompt", &sum[0].prompt, 0.15),
        against("time until the first result of 1 + 1", &sum, 0.5),
        against("time until the first result of a let", &variable, 1.0),
        against("time until the first-ever result, no caches", &ever, 1.2),
        Row::within(
            "first result with an earlier session's compiler",
            &taken_over.result,
            1.0,
        )
        .beside((&evcxr.result, "evcxr")),
        Row::within(
            "of that, until the compiler was taken over",
            &without_cell,
            0.2,
        ),
    ];
    let note = format!(
        "first result, compiler started anew: ours {}; evcxr {}. The let: `{}`. With the compiler of an earlier \
         session: {}.",
        sum[0].parts(),
        sum[1].parts(),
        LET.0,
        taken_over.parts()
    );
    Ok((rows, note))
}

/// Starts of ours and of theirs in turn. `fresh` has no caches.
fn alternating(
    programs: &Programs,
    cold: &[&str],
    rounds: usize,
    cell: (&str, &str),
    fresh: bool,
) -> Outcome<[Times; 2]> {
    let mut times = [Times::default(), Times::default()];
    for _ in 0..rounds {
        for ((repl, arguments), times) in both(programs).iter().zip([cold, &[]]).zip(&mut times) {
            let folder =
                tempfile::tempdir().map_err(|error| Failure(format!("no folder: {error}")))?;
            times.add(
                programs,
                repl,
                arguments,
                cell,
                fresh.then(|| folder.path()),
            )?;
        }
    }
    Ok(times)
}
