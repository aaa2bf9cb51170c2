//! The same map on several pools, side by side. What a speedup is measured against is named below the table.

use std::time::Duration;

use super::grid::{Grid, no_room};
use super::{Style, record, text, units};
use crate::outcome::{Compare, CompareRow, Spent};

/// Columns that give way in a narrow terminal, the least useful first.
const GIVE_WAY: &[&str] = &[
    "decode",
    "encode",
    "send",
    "queue",
    "run",
    "kind",
    "engines",
    "efficiency",
];

/// The time of one stage.
type Stage = fn(&Spent) -> Duration;

/// Where the time goes, in the order in which a chunk meets it.
const STAGES: [(&str, Stage); 5] = [
    ("encode", |spent| spent.encode),
    ("send", |spent| spent.send),
    ("queue", |spent| spent.queue),
    ("run", |spent| spent.run),
    ("decode", |spent| spent.decode),
];

/// Where the time went, for a terminal that has no room for it beside the rest: a row per pool, or where not
/// even that fits, a row per stage.
fn stages(rows: &[CompareRow], style: &Style) -> String {
    let mut grid = Grid::default();
    grid.push(
        "pool",
        false,
        rows.iter().map(|row| row.pool.clone()).collect(),
    );
    let took =
        |row: &CompareRow, took: fn(&Spent) -> Duration| units::duration_column(took(&row.spent));
    for (stage, of) in STAGES {
        grid.push(stage, true, rows.iter().map(|row| took(row, of)).collect());
    }
    if grid.width() > style.width {
        grid = Grid::default();
        let names = STAGES
            .iter()
            .map(|(stage, _)| (*stage).to_owned())
            .collect();
        grid.push("time", false, names);
        for row in rows {
            let cells = STAGES.iter().map(|(_, of)| took(row, *of)).collect();
            grid.push(&row.pool, true, cells);
        }
    }
    let title = text::cut("where the time went, summed over chunks", style.width);
    style.spell(title) + "\n" + &grid.draw(style)
}

/// Speedup over the first row, and that per engine; `None` when nothing was measured.
pub(crate) fn speedup(compare: &Compare, row: &CompareRow) -> Option<(f64, f64)> {
    let first = compare.rows.first()?;
    let speedup = first.wall.as_secs_f64() / row.wall.as_secs_f64();
    let engines = f64::from(row.engines.max(1)) / f64::from(first.engines.max(1));
    (speedup.is_finite() && speedup > 0.0).then(|| (speedup, speedup / engines))
}

/// The table, and what it measures against.
pub(crate) fn compare(compare: &Compare, style: &Style) -> String {
    let Some(first) = compare.rows.first() else {
        return String::new();
    };
    let rows = &compare.rows;
    let column = |text: &dyn Fn(&CompareRow) -> String| rows.iter().map(text).collect();
    let ratio = |row: &CompareRow, show: &dyn Fn((f64, f64)) -> String| {
        speedup(compare, row).map_or_else(String::new, show)
    };
    // Widths that don't hang on what was measured keep the choice of columns the same from run to run.
    let mut grid = Grid::default();
    grid.push("pool", false, column(&|row| row.pool.clone()));
    grid.push(
        "kind",
        false,
        column(&|row| row.kind.map_or("", record::kind_name).to_owned()),
    );
    grid.push("engines", true, column(&|row| row.engines.to_string()));
    grid.push(
        "wall",
        true,
        column(&|row| units::duration_column(row.wall)),
    );
    grid.push(
        "speedup",
        true,
        column(&|row| ratio(row, &|(speedup, _)| format!("{speedup:.2}"))),
    );
    grid.push(
        "efficiency",
        true,
        column(&|row| ratio(row, &|(_, share)| format!("{:.0} %", share * 100.0))),
    );
    for (stage, took) in STAGES {
        let cells = column(&|row| units::duration_column(took(&row.spent)));
        grid.push(stage, true, cells);
    }
    let same = if style.unicode { "✓" } else { "same" };
    let outputs = |row: &CompareRow| if row.same { same } else { "differ" }.to_owned();
    grid.push("outputs", false, column(&outputs));
    let mut left_out = grid.give_way(GIVE_WAY, style.width);
    let mut out = title(compare, first, style);
    out.push_str(&grid.draw(style));
    let before = left_out.len();
    left_out.retain(|head| STAGES.iter().all(|(stage, _)| stage != head));
    out.push_str(&no_room(&left_out, style));
    if left_out.len() < before {
        out.push_str(&stages(rows, style));
    }
    out.push_str(&style.spell(text::cut(
        &format!(
            "speedup and efficiency against {}",
            text::one_line(&first.pool)
        ),
        style.width,
    )));
    out.push('\n');
    for row in rows.iter().filter(|row| !row.same) {
        let (pool, first) = (text::one_line(&row.pool), text::one_line(&first.pool));
        let line = format!("the outputs of {pool} are not those of {first}");
        out.push_str(&style.failure(&line));
        out.push('\n');
    }
    out
}

/// `fib · 100 items`; the function is cut when it does not fit.
fn title(compare: &Compare, first: &CompareRow, style: &Style) -> String {
    let items = format!(" · {}", units::counted(first.items, "items"));
    let function = compare
        .function
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let room = style.width.saturating_sub(text::width(&items));
    style.spell(text::cut(&text::one_line(&function), room) + &items) + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    fn at(width: usize) -> String {
        compare(&samples::comparison(), &Style::plain(width))
    }

    #[test]
    fn a_narrow_terminal_keeps_wall_and_speedup() {
        let wide = "\
fib · 100 items
┌────────┬───────────┬─────────┬─────────┬─────────┬────────────┬─────────┬─────────┬─────────┬─────────┬─────────┬─────────┐
│ pool   │ kind      │ engines │    wall │ speedup │ efficiency │  encode │    send │   queue │     run │  decode │ outputs │
│ serial │           │       1 │  1.21 s │    1.00 │      100 % │    0 ns │    0 ns │    0 ns │  1.20 s │    0 ns │ ✓       │
│ t0     │ threads   │       2 │ 0.612 s │    1.98 │       99 % │    0 ns │    0 ns │    0 ns │  1.20 s │    0 ns │ ✓       │
│ p0     │ processes │       2 │ 0.650 s │    1.86 │       93 % │  123 µs │  492 µs │ 3.69 ms │  1.20 s │ 61.0 µs │ differ  │
└────────┴───────────┴─────────┴─────────┴─────────┴────────────┴─────────┴─────────┴─────────┴─────────┴─────────┴─────────┘
speedup and efficiency against serial
the outputs of p0 are not those of serial
";
        assert_eq!(at(200), wide);
        let page = "\
fib · 100 items
┌────────┬───────────┬─────────┬─────────┬─────────┬────────────┬─────────┐
│ pool   │ kind      │ engines │    wall │ speedup │ efficiency │ outputs │
│ serial │           │       1 │  1.21 s │    1.00 │      100 % │ ✓       │
│ t0     │ threads   │       2 │ 0.612 s │    1.98 │       99 % │ ✓       │
│ p0     │ processes │       2 │ 0.650 s │    1.86 │       93 % │ differ  │
└────────┴───────────┴─────────┴─────────┴─────────┴────────────┴─────────┘
where the time went, summed over chunks
┌────────┬─────────┬─────────┬─────────┬─────────┬─────────┐
│ pool   │  encode │    send │   queue │     run │  decode │
│ serial │    0 ns │    0 ns │    0 ns │  1.20 s │    0 ns │
│ t0     │    0 ns │    0 ns │    0 ns │  1.20 s │    0 ns │
│ p0     │  123 µs │  492 µs │ 3.69 ms │  1.20 s │ 61.0 µs │
└────────┴─────────┴─────────┴─────────┴─────────┴─────────┘
speedup and efficiency against serial
the outputs of p0 are not those of serial
";
        assert_eq!(at(80), page);
        let narrow = "\
fib · 100 items
┌────────┬─────────┬─────────┬─────────┐
│ pool   │    wall │ speedup │ outputs │
│ serial │  1.21 s │    1.00 │ ✓       │
│ t0     │ 0.612 s │    1.98 │ ✓       │
│ p0     │ 0.650 s │    1.86 │ differ  │
└────────┴─────────┴─────────┴─────────┘
note: no room for kind, engines,
efficiency
where the time went, summed over chunks
┌────────┬─────────┬─────────┬─────────┐
│ time   │  serial │      t0 │      p0 │
│ encode │    0 ns │    0 ns │  123 µs │
│ send   │    0 ns │    0 ns │  492 µs │
│ queue  │    0 ns │    0 ns │ 3.69 ms │
│ run    │  1.20 s │  1.20 s │  1.20 s │
│ decode │    0 ns │    0 ns │ 61.0 µs │
└────────┴─────────┴─────────┴─────────┘
speedup and efficiency against serial
the outputs of p0 are not those of serial
";
        assert_eq!(at(40), narrow);
    }

    #[test]
    fn efficiency_is_per_engine_of_the_first_row() {
        let mut comparison = samples::comparison();
        comparison.rows.remove(0);
        comparison.rows[1].engines = 4;
        comparison.rows[1].wall = comparison.rows[0].wall / 2;
        let found = speedup(&comparison, &comparison.rows[1]);
        assert_eq!(found, Some((2.0, 1.0)));
        comparison.rows[1].wall = Duration::ZERO;
        assert_eq!(speedup(&comparison, &comparison.rows[1]), None);
    }

    #[test]
    fn equal_outputs_and_no_rows_are_not_worth_a_line() {
        let mut comparison = samples::comparison();
        comparison.rows.truncate(2);
        let ascii = Style {
            unicode: false,
            ..Style::plain(120)
        };
        let shown = compare(&comparison, &ascii);
        assert!(shown.is_ascii() && shown.contains("| same    |"), "{shown}");
        assert!(shown.ends_with("against serial\n"), "{shown}");
        comparison.rows.clear();
        assert_eq!(compare(&comparison, &ascii), "");
    }
}
