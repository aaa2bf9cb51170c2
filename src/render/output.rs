//! What engines printed, line by line with its origin in front. User code's bytes stay as they are.

use super::{Style, text};
use crate::ids::Rank;
use crate::outcome::{GroupOutputs, PxReport, PxRow, Stream};

/// Each line of an engine's or a child's output behind `[stdout:1] `; the last line ends even when the text does not.
pub(crate) fn tagged(
    of: &dyn std::fmt::Display,
    stream: Stream,
    printed: &str,
    style: &Style,
) -> String {
    let tag = match stream {
        Stream::Stdout => style.prompt(&format!("[stdout:{of}]")),
        Stream::Stderr => style.failure(&format!("[stderr:{of}]")),
    };
    let mut out = String::with_capacity(printed.len() + tag.len() + 2);
    for line in printed.split_terminator('\n') {
        out.push_str(&tag);
        if !line.is_empty() {
            out.push(' ');
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}

/// Output that was held back until the cell's end, in the order in which the user asked to see it.
pub(crate) fn held_back(report: &PxReport) -> Vec<(Rank, Stream, &str)> {
    let mut rows: Vec<&PxRow> = report.engines.iter().collect();
    if report.group != GroupOutputs::Order {
        rows.sort_by_key(|row| row.rank);
    }
    let mut pieces: Vec<(Rank, Stream, &str)> = rows
        .into_iter()
        .flat_map(|row| {
            row.output
                .iter()
                .map(|(stream, text)| (row.rank, *stream, text.as_str()))
        })
        .collect();
    if report.group == GroupOutputs::Type {
        pieces.sort_by_key(|(_, stream, _)| *stream == Stream::Stderr);
    }
    pieces
}

/// `In [3]: ` before a cell's first line, `   ...: ` before the others.
pub(crate) fn echoed(cell: u32, code: &str, style: &Style) -> String {
    let first = format!("In [{cell}]: ");
    let next = format!("{:>1$}", "...: ", text::width(&first));
    let mut out = String::new();
    for (index, line) in code.trim_end().split('\n').enumerate() {
        let prompt = if index == 0 { &first } else { &next };
        let line = format!("{}{line}", style.prompt(prompt));
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ids::{CellId, PoolName};
    use crate::outcome::EngineOutcome;

    #[test]
    fn every_line_names_its_engine() {
        let style = Style::plain(80);
        let shown = tagged(&Rank(1), Stream::Stdout, "a\n\n漢\tb", &style);
        assert_eq!(shown, "[stdout:1] a\n[stdout:1]\n[stdout:1] 漢\tb\n");
        assert_eq!(
            tagged(&Rank(0), Stream::Stderr, "x\n", &style),
            "[stderr:0] x\n"
        );
        assert_eq!(tagged(&Rank(0), Stream::Stderr, "", &style), "");
    }

    #[test]
    fn held_back_output_comes_in_the_order_asked_for() {
        let row = |rank, output: &[(Stream, &str)]| PxRow {
            rank: Rank(rank),
            outcome: EngineOutcome::Done(None),
            busy: Duration::ZERO,
            output: output
                .iter()
                .map(|(stream, text)| (*stream, (*text).to_owned()))
                .collect(),
        };
        let mut report = PxReport {
            cell: CellId(1),
            pool: PoolName("p0".to_owned()),
            engines: vec![
                row(1, &[(Stream::Stderr, "c"), (Stream::Stdout, "d")]),
                row(0, &[(Stream::Stdout, "a"), (Stream::Stderr, "b")]),
            ],
            group: GroupOutputs::Type,
            verbose: false,
        };
        let texts = |report: &PxReport| {
            held_back(report)
                .iter()
                .map(|(_, _, text)| *text)
                .collect::<String>()
        };
        assert_eq!(texts(&report), "adbc");
        report.group = GroupOutputs::Engine;
        assert_eq!(texts(&report), "abcd");
        report.group = GroupOutputs::Order;
        assert_eq!(texts(&report), "cdab");
    }

    #[test]
    fn a_cell_is_echoed_as_typed() {
        let style = Style::plain(80);
        assert_eq!(
            echoed(3, "fn f() {\n\n}\n", &style),
            "In [3]: fn f() {\n   ...:\n   ...: }\n"
        );
        assert_eq!(echoed(12, "a\nb", &style), "In [12]: a\n    ...: b\n");
    }
}
