//! The bench's one table as text. It decides nothing: rows come in with their numbers and targets.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};

use crate::figures::{Row, Target};

/// The table with the notes below it.
pub fn render(rows: &[Row], notes: &[String]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header([
        "measure", "ours", "peer's", "peer", "ratio", "target", "reached",
    ]);
    for row in rows {
        let (time, name) = row
            .peer
            .map_or((String::new(), ""), |(time, name)| (duration(time), name));
        table.add_row([
            row.measure.to_owned(),
            row.ours.map_or_else(String::new, duration),
            time,
            name.to_owned(),
            row.ratio.map_or_else(String::new, ratio),
            target(row.target),
            match row.reached() {
                Some(true) => "yes",
                Some(false) => "no",
                None => "",
            }
            .to_owned(),
        ]);
    }
    for column in [1, 2, 4, 5] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = format!("{table}\n");
    for note in notes {
        text.push_str(note);
        text.push('\n');
    }
    text
}

fn target(target: Target) -> String {
    match target {
        Target::AtLeast(least) => format!("≥ {least}×"),
        Target::AtMost(most) => format!("≤ {most}×"),
        Target::Within(seconds) => format!("≤ {}", duration(seconds)),
        Target::Informative => String::new(),
    }
}

/// Three digits that count.
fn duration(seconds: f64) -> String {
    if seconds < 1e-3 {
        let microseconds = seconds * 1e6;
        let digits = usize::from(microseconds < 100.0) + usize::from(microseconds < 10.0);
        format!("{microseconds:.digits$} µs")
    } else if seconds < 1.0 {
        let milliseconds = seconds * 1e3;
        let digits = usize::from(milliseconds < 100.0) + usize::from(milliseconds < 10.0);
        format!("{milliseconds:.digits$} ms")
    } else {
        format!("{seconds:.2} s")
    }
}

fn ratio(ratio: f64) -> String {
    if ratio < 10.0 {
        format!("{ratio:.2}×")
    } else {
        format!("{ratio:.0}×")
    }
}
