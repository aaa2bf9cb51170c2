//! The table of `--items`: what each item came from and became, where, and how long it waited and ran.

use super::grid::{Grid, no_room};
use super::{Style, text, units};
use crate::outcome::ItemRow;

/// Of a longer table, so many rows at either end are shown.
const EITHER_END: usize = 100;
/// Columns that give way in a narrow terminal, the least useful first.
const GIVE_WAY: &[&str] = &["queued", "engine", "busy"];
/// A longer number is cut like a text.
const LONGEST_NUMBER: usize = 20;

pub(crate) fn items(items: &[ItemRow], style: &Style) -> String {
    if items.is_empty() {
        return String::new();
    }
    let between = items.len().saturating_sub(2 * EITHER_END);
    let (begin, end) = if between > 0 {
        (&items[..EITHER_END], &items[items.len() - EITHER_END..])
    } else {
        (items, &items[..0])
    };
    let shown = || begin.iter().chain(end);
    // One row of the table stands for what is left out.
    let column = |gap: &str, text: &dyn Fn(&ItemRow) -> String| -> Vec<String> {
        let mut cells: Vec<String> = begin.iter().map(text).collect();
        if between > 0 {
            cells.push(gap.to_owned());
            cells.extend(end.iter().map(text));
        }
        cells
    };
    let numbers = |text: &dyn Fn(&ItemRow) -> &str| {
        shown()
            .map(text)
            .all(|text| text.is_empty() || text::is_number(text) && text.len() <= LONGEST_NUMBER)
    };
    let mut grid = Grid::default();
    grid.push("item", true, column("…", &|row| units::count(row.index)));
    for (head, text) in [
        ("input", (|row| &row.input) as fn(&ItemRow) -> &str),
        ("result", |row| &row.result),
    ] {
        let cells = column("", &|row| text(row).to_owned());
        grid.push(head, numbers(&text), cells);
    }
    grid.push("engine", true, column("", &|row| row.rank.to_string()));
    grid.push(
        "queued",
        true,
        column("", &|row| units::duration_column(row.queued)),
    );
    grid.push(
        "busy",
        true,
        column("", &|row| units::duration_column(row.busy)),
    );
    let left_out = grid.give_way(GIVE_WAY, style.width);
    let mut out = grid.draw(style);
    if between > 0 {
        let line = format!(
            "… {} between are not shown\n",
            units::counted(between as u64, "items")
        );
        out.push_str(&style.spell(line));
    }
    out.push_str(&no_room(&left_out, style));
    out
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    fn show(count: u64, width: usize) -> String {
        items(&samples::items(count), &Style::plain(width))
    }

    #[test]
    fn a_narrow_terminal_cuts_texts_before_it_drops_numbers() {
        let wide = "\
┌──────┬───────┬───────────────────────────────────────┬────────┬─────────┬─────────┐
│ item │ input │ result                                │ engine │  queued │    busy │
│    0 │     0 │ Point { x: 0, name: 'a longer text' } │      0 │ 45.0 µs │ 12.0 ms │
│    1 │     1 │ Point { x: 1, name: 'a longer text' } │      1 │ 46.0 µs │ 12.0 ms │
└──────┴───────┴───────────────────────────────────────┴────────┴─────────┴─────────┘
";
        assert_eq!(show(2, 200), wide);
        let page = "\
┌──────┬───────┬──────────────────────────────────┬────────┬─────────┬─────────┐
│ item │ input │ result                           │ engine │  queued │    busy │
│    0 │     0 │ Point { x: 0, name: 'a longer t… │      0 │ 45.0 µs │ 12.0 ms │
│    1 │     1 │ Point { x: 1, name: 'a longer t… │      1 │ 46.0 µs │ 12.0 ms │
└──────┴───────┴──────────────────────────────────┴────────┴─────────┴─────────┘
";
        assert_eq!(show(2, 80), page);
        let narrow = "\
┌──────┬───────┬─────────────┬─────────┐
│ item │ input │ result      │    busy │
│    0 │     0 │ Point { x:… │ 12.0 ms │
│    1 │     1 │ Point { x:… │ 12.0 ms │
└──────┴───────┴─────────────┴─────────┘
note: no room for queued, engine
";
        assert_eq!(show(2, 40), narrow);
        assert_eq!(show(0, 80), "");
    }

    #[test]
    fn of_many_items_both_ends_are_shown() {
        let shown = show(1234, 100);
        assert_eq!(shown.lines().count(), 3 + 100 + 1 + 100 + 1);
        let lines: Vec<_> = shown.lines().collect();
        assert!(lines[101].starts_with("│   99 │    99 │"), "{}", lines[101]);
        assert!(
            lines[102].starts_with("│    … │       │ "),
            "{}",
            lines[102]
        );
        assert!(lines[103].starts_with("│ 1134 │  1134 │"), "{}", lines[103]);
        assert!(shown.ends_with("┘\n… 1034 items between are not shown\n"));
        let all = show(200, 100);
        assert_eq!(all.lines().count(), 203);
        assert!(!all.contains('…'));
    }

    #[test]
    fn what_has_no_debug_has_no_column_and_long_numbers_are_cut() {
        let mut rows = samples::items(3);
        for row in &mut rows {
            row.input.clear();
            row.result = "9".repeat(300);
        }
        let shown = items(&rows, &Style::plain(60));
        assert!(!shown.contains("input"), "{shown}");
        assert!(shown.lines().all(|line| text::width(line) <= 60), "{shown}");
        assert!(shown.contains("│ 999999"), "{shown}");
    }
}
