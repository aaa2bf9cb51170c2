//! What is told of commands that did not go well: a table of them, and how many they were.

use regatta_cell::shell::{Counted, Halt, ShellResult, Told};

use crate::outcome::{ErrorKind, Field, Report, Table};

/// How a command ended, in a word or two.
fn ending(result: &ShellResult) -> String {
    match (result.status, result.signal) {
        _ if result.timed_out => "timed out".to_owned(),
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => crate::pool::Signal::try_from(signal).map_or_else(
            |_| format!("signal {signal}"),
            |signal| signal.as_str().to_owned(),
        ),
        (None, None) => "lost".to_owned(),
    }
}

/// A row for each command that failed.
pub(super) fn failures(told: &Told) -> Table {
    let last = |result: &ShellResult| {
        let said = result.stderr.text().into_owned();
        let lines: Vec<&str> = said
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        lines[lines.len().saturating_sub(2)..].join(" ⏎ ")
    };
    let row = |(seq, result): &(u64, ShellResult)| {
        vec![
            Field::Count(*seq),
            Field::Failure(ending(result)),
            Field::Count(u64::from(result.engine)),
            if result.tries > 1 {
                Field::Count(u64::from(result.tries))
            } else {
                Field::Empty
            },
            Field::Seconds(result.seconds),
            Field::Text(result.command.clone()),
            Field::Text(last(result)),
        ]
    };
    Table {
        title: None,
        columns: vec![
            "job",
            "ended",
            "engine",
            "tries",
            "took",
            "command",
            "said last",
        ],
        rows: told.failures.iter().map(row).collect(),
    }
}

/// Whether it has halted because enough commands went well.
pub(super) fn has_succeeded(halt: Option<Halt>, told: &Told) -> bool {
    let Some(halt) = halt.filter(|it| it.counted == Counted::WentWell) else {
        return false;
    };
    let went_well = told.ran - told.failed;
    match halt.share {
        Some(share) => went_well as f64 >= share * (told.ran + told.left) as f64,
        None => went_well >= halt.count,
    }
}

pub(super) fn summary(told: &Told, logged: bool, name: Option<&str>) -> Report {
    let all = told.ran + told.left;
    let jobs = if all == 1 { "job" } else { "jobs" };
    if told.failed == 0 && told.left > 0 {
        let what = format!("{} of {all} {jobs} never began", told.left);
        let report = Report::new(ErrorKind::Error, what);
        return match logged {
            true => report.hint("`--halt` left them out; `--resume` with the same line runs them"),
            false => report.hint("`--halt` left them out"),
        };
    }
    let mut what = format!("{} of {all} {jobs} failed", told.failed);
    if told.left > 0 {
        what += &format!(", {} never began", told.left);
    }
    let report = Report::new(ErrorKind::Error, what);
    match (logged, name) {
        (true, _) => report.hint("`--resume-failed` with the same line runs them again"),
        (false, Some(name)) => report.hint(format!("`{name}` has all results, theirs too")),
        (false, None) => {
            report.hint("`let done = %parallel …` keeps all results, `--retries 3` tries again")
        }
    }
}
