//! Shell commands: many short ones, and one large standard input cut into blocks. Peers are GNU parallel, xargs, and a
//! plain pipe.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::figures::{Ratio, Row, Target, median};
use crate::outside::{Failure, Outcome, Programs, output};
use crate::{install, progress, session};

const COMMANDS: usize = 1000;
const ROUNDS: usize = 5;
/// Lines of nine digits each.
const LINES: usize = 10_000_000;

/// A thousand times `true`, on two engines.
pub fn commands(programs: &Programs) -> Outcome<(Vec<Row>, String)> {
    progress("shell commands");
    let values = format!("$(seq {COMMANDS})");
    let cell = format!("let done = %parallel -q 'true {{}}' ::: {values}");
    let check = format!("assert!(done.len() == {COMMANDS} && done.iter().all(|it| it.ok()));");
    let theirs = [
        format!("parallel -j2 true {{}} ::: {values}"),
        format!("seq {COMMANDS} | xargs -P2 -I{{}} sh -c 'true {{}}'"),
    ];
    let [ours, gnu, xargs] = alternating(programs, &[&cell, &check], &theirs)?;
    let rows = vec![
        Row::against(
            "1 000 shell commands, 2 engines",
            &ours,
            (&gnu, "GNU parallel -j2"),
            Ratio::Faster,
            Target::AtLeast(5.0),
        ),
        Row::against(
            "  the same",
            &ours,
            (&xargs, "xargs -P2 -I{} sh -c"),
            Ratio::Faster,
            Target::AtLeast(1.1),
        ),
    ];
    let note = format!(
        "shell commands: the `run` of the cell `{cell}`, {:.0} commands/s, {ROUNDS} alternating rounds; the peers from a \
         shell's begin to its end.",
        COMMANDS as f64 / median(&ours)
    );
    Ok((rows, note))
}

/// 100 MB of lines, counted by `wc -l`.
pub fn pipe(programs: &Programs) -> Outcome<(Vec<Row>, String)> {
    progress("a standard input in blocks");
    let file = programs.folder.join("lines");
    let digits = (0..LINES).map(|line| format!("{line:09}\n"));
    fs::write(&file, digits.collect::<String>())
        .map_err(|error| Failure(format!("{}: {error}", file.display())))?;
    let cell = "let counted = %parallel -q --pipe --block 10M wc -l :::: lines".to_owned();
    let check = format!(
        "assert_eq!(counted.iter().map(|it| it.text().trim().parse::<usize>().unwrap()).sum::<usize>(), {LINES});"
    );
    let theirs = [
        "parallel -j2 --pipe --block 10M wc -l < lines".to_owned(),
        "cat lines | wc -l".to_owned(),
    ];
    let [ours, gnu, plain] = alternating(programs, &[&cell, &check], &theirs)?;
    // It is large.
    let _ = fs::remove_file(&file);
    let rows = vec![
        Row::against(
            "100 MB through --pipe, 2 engines",
            &ours,
            (&gnu, "GNU parallel --pipe"),
            Ratio::Faster,
            Target::AtLeast(3.0),
        ),
        Row::against(
            "  the same",
            &ours,
            (&plain, "cat into one wc"),
            Ratio::Faster,
            Target::Informative,
        ),
    ];
    let note = format!("--pipe: the `run` of the cell `{cell}`, {ROUNDS} alternating rounds.");
    Ok((rows, note))
}

/// Seconds of the first of these cells on two engines, and of two scripts, in alternating rounds.
fn alternating(
    programs: &Programs,
    cells: &[&str],
    theirs: &[String; 2],
) -> Outcome<[Vec<f64>; 3]> {
    let (mut one, mut other) = (Vec::new(), Vec::new());
    let rounds = session::alternate(
        programs,
        &["%pool start -n 2".to_owned()],
        ROUNDS,
        |_| cells.iter().map(|cell| (*cell).to_owned()).collect(),
        &mut |round| {
            let times = [timed(programs, &theirs[0])?, timed(programs, &theirs[1])?];
            if round > 0 {
                one.push(times[0]);
                other.push(times[1]);
            }
            Ok(())
        },
    )?;
    let ours = rounds.iter().map(|round| round[0].run).collect();
    Ok([ours, one, other])
}

/// Seconds of a script.
fn timed(programs: &Programs, script: &str) -> Outcome<f64> {
    let begun = Instant::now();
    output(programs.command(Path::new("bash")).args(["-c", script]), "")?;
    Ok(begun.elapsed().as_secs_f64())
}

/// Installs GNU parallel where it is missing.
pub fn install() -> Outcome<()> {
    let version = || output(Command::new("parallel").arg("--version"), "");
    let there = |said: Outcome<String>| said.is_ok_and(|said| said.starts_with("GNU parallel"));
    if there(version()) {
        return Ok(());
    }
    install::packages(&["parallel"])?;
    if there(version()) {
        Ok(())
    } else {
        let why = "the peer GNU parallel cannot be installed: Debian's package `parallel` has it";
        Err(Failure(why.to_owned()))
    }
}
