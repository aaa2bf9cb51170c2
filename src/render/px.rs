//! What every engine made of a `%px` cell: held-back output, then values, then failures. Engines with equal
//! values share a row; with `verbose` each has its own, because its time is its own.

use super::grid::Grid;
use super::{Style, failures, output, text, units, value};
use crate::ids::Rank;
use crate::outcome::{EngineOutcome, GroupOutputs, PxReport, PxRow, Value};

/// The whole report; nothing when every engine is done and has nothing to say.
pub(crate) fn px(report: &PxReport, style: &Style) -> String {
    let mut out = String::new();
    let rows: Vec<&PxRow> = report.engines.iter().collect();
    let printed = rows.iter().any(|row| !row.output.is_empty());
    if report.group == GroupOutputs::Engine && printed {
        out.push_str(&engine_by_engine(report, &rows, style));
    } else {
        for (rank, stream, printed) in output::held_back(report) {
            out.push_str(&output::tagged(&rank, stream, printed, style));
        }
        out.push_str(&values(report, &rows, style));
    }
    let failed: Vec<_> = rows
        .iter()
        .filter(|row| !row.outcome.is_ok())
        .copied()
        .collect();
    for (ranks, row) in group(&failed, |row| &row.outcome) {
        out.push_str(&failures::failure(&ranks, &row.outcome, style));
    }
    out
}

/// What each engine printed, and its value right below.
fn engine_by_engine(report: &PxReport, rows: &[&PxRow], style: &Style) -> String {
    let mut out = String::new();
    for row in rows {
        for (stream, printed) in &row.output {
            out.push_str(&output::tagged(&row.rank, *stream, printed, style));
        }
        if let Some(it) = value_of(row) {
            let prompt = format!("Out[{}:{}]", report.cell, row.rank);
            out.push_str(&value::block(&prompt, it, style));
        }
    }
    out
}

fn values(report: &PxReport, rows: &[&PxRow], style: &Style) -> String {
    let valued: Vec<_> = rows
        .iter()
        .filter(|row| value_of(row).is_some())
        .copied()
        .collect();
    let groups = group(&valued, |row| value_of(row));
    let short = groups
        .iter()
        .all(|(_, row)| value_of(row).is_none_or(|it| fits(it, style)));
    if short {
        let grid = if report.verbose {
            every_engine(rows, true)
        } else {
            grouped(&groups)
        };
        if grid.width() <= style.width {
            return grid.draw(style);
        }
    }
    let mut out = String::new();
    for (ranks, row) in &groups {
        if let Some(it) = value_of(row) {
            let prompt = format!(
                "Out[{}:{}]",
                report.cell,
                text::cut(&text::ranks(ranks), 40)
            );
            out.push_str(&value::block(&prompt, it, style));
        }
    }
    if report.verbose {
        out.push_str(&every_engine(rows, false).draw(style));
    }
    out
}

/// One row per distinct value.
fn grouped(groups: &[(Vec<Rank>, &PxRow)]) -> Grid {
    let mut grid = Grid::default();
    if !groups.is_empty() {
        let engines = groups.iter().map(|(ranks, _)| text::ranks(ranks));
        grid.push("engine", true, engines.collect());
        push_results(
            &mut grid,
            groups.iter().map(|(_, row)| shown(row)).collect(),
        );
    }
    grid
}

/// One row per engine, with its outcome, type and time.
fn every_engine(rows: &[&PxRow], results: bool) -> Grid {
    let mut grid = Grid::default();
    grid.push(
        "engine",
        true,
        rows.iter().map(|row| row.rank.to_string()).collect(),
    );
    if rows.iter().any(|row| !row.outcome.is_ok()) {
        let outcomes = rows.iter().map(|row| outcome_word(&row.outcome).to_owned());
        grid.push("outcome", false, outcomes.collect());
    }
    if results {
        push_results(&mut grid, rows.iter().map(|row| shown(row)).collect());
    }
    let types = rows
        .iter()
        .map(|row| value_of(row).map_or("", |it| it.type_name.as_str()));
    grid.push("type", false, types.map(str::to_owned).collect());
    grid.push(
        "busy",
        true,
        rows.iter().map(|row| units::duration(row.busy)).collect(),
    );
    grid
}

fn push_results(grid: &mut Grid, results: Vec<String>) {
    let numbers = results
        .iter()
        .all(|result| result.is_empty() || text::is_number(result));
    grid.push("result", numbers, results);
}

fn shown(row: &PxRow) -> String {
    value_of(row)
        .map(|it| value::plain(it).into_owned())
        .unwrap_or_default()
}

fn value_of(row: &PxRow) -> Option<&Value> {
    match &row.outcome {
        EngineOutcome::Done(value) => value.as_ref(),
        _ => None,
    }
}

/// Whether a value has one line that a table could hold. The length is looked at first, since values may be
/// huge.
fn fits(value: &Value, style: &Style) -> bool {
    let plain = value::plain(value);
    plain.len() <= 8 * style.width
        && !plain.contains('\n')
        && text::width(&text::one_line(&plain)) <= style.width
}

/// Rows that are equal in `key`, with the ranks of each, in the order of their first rank.
fn group<'a, K: PartialEq>(
    rows: &[&'a PxRow],
    key: impl Fn(&'a PxRow) -> K,
) -> Vec<(Vec<Rank>, &'a PxRow)> {
    let mut groups: Vec<(Vec<Rank>, &PxRow)> = Vec::new();
    for &row in rows {
        match groups.iter_mut().find(|(_, first)| key(first) == key(row)) {
            Some((ranks, _)) => ranks.push(row.rank),
            None => groups.push((vec![row.rank], row)),
        }
    }
    groups
}

fn outcome_word(outcome: &EngineOutcome) -> &'static str {
    match outcome {
        EngineOutcome::Done(_) => "done",
        EngineOutcome::Panicked { .. } => "panicked",
        EngineOutcome::Errored { .. } => "error",
        EngineOutcome::Died { .. } => "died",
        EngineOutcome::Skipped { .. } => "skipped",
        EngineOutcome::Interrupted => "interrupted",
        EngineOutcome::Comm(_) => "stuck",
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{done, px as sample};
    use super::*;
    use crate::outcome::Stream;

    fn show(outcomes: Vec<EngineOutcome>, width: usize) -> String {
        px(&sample(outcomes), &Style::plain(width))
    }

    #[test]
    fn engines_with_nothing_to_say_are_silent_unless_asked() {
        let mut report = sample(vec![EngineOutcome::Done(None), EngineOutcome::Done(None)]);
        assert_eq!(px(&report, &Style::plain(80)), "");
        report.verbose = true;
        let table = "\
┌────────┬─────────┐
│ engine │    busy │
│      0 │ 0.120 s │
│      1 │ 0.121 s │
└────────┴─────────┘
";
        assert_eq!(px(&report, &Style::plain(80)), table);
    }

    #[test]
    fn equal_values_share_a_row() {
        let table = "\
┌────────┬────────┐
│ engine │ result │
│  0,2-4 │      0 │
│      1 │     10 │
└────────┴────────┘
";
        let values = || ["0", "10", "0", "0", "0"].map(done).into();
        for width in [40, 80, 200] {
            assert_eq!(show(values(), width), table);
        }
    }

    #[test]
    fn wide_and_control_characters_stay_in_their_column() {
        let table = "\
┌────────┬───────────────┐
│ engine │ result        │
│      0 │ 漢字 🦀       │
│      1 │ a\\tb\\u{1b}[0m │
└────────┴───────────────┘
";
        assert_eq!(
            show(vec![done("漢字 🦀"), done("a\tb\u{1b}[0m")], 80),
            table
        );
    }

    #[test]
    fn values_that_do_not_fit_become_blocks() {
        let line = "x".repeat(50);
        let blocks = format!("Out[5:0,1]: {line}\nOut[5:2]: y\n");
        assert_eq!(show(vec![done(&line), done(&line), done("y")], 40), blocks);
        assert!(show(vec![done(&line), done(&line), done("y")], 80).starts_with('┌'));
        let blocks = "Out[5:0-2]:\na\nb\n";
        assert_eq!(
            show(vec![done("a\nb"), done("a\nb"), done("a\nb")], 200),
            blocks
        );
    }

    #[test]
    fn verbose_gives_each_engine_its_type_and_time() {
        let mut report = sample(vec![done("1"), EngineOutcome::Interrupted]);
        report.verbose = true;
        let shown = "\
┌────────┬─────────────┬────────┬──────┬─────────┐
│ engine │ outcome     │ result │ type │    busy │
│      0 │ done        │      1 │ T    │ 0.120 s │
│      1 │ interrupted │        │      │ 0.121 s │
└────────┴─────────────┴────────┴──────┴─────────┘
engine 1 interrupted
";
        assert_eq!(px(&report, &Style::plain(80)), shown);
    }

    #[test]
    fn held_back_output_comes_first() {
        let mut report = sample(vec![done("1")]);
        report.engines[0]
            .output
            .push((Stream::Stderr, "careful".to_owned()));
        let shown = px(&report, &Style::plain(80));
        assert!(shown.starts_with("[stderr:0] careful\n┌"), "{shown}");
    }
}
