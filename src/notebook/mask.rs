//! What differs from run to run is masked before outputs are compared. This file is the whole rule; it
//! never compares, and it never looks at anything but the text it is given.
//!
//! | what | becomes |
//! |---|---|
//! | durations: `0.121 s`, `6 ms`, `1.23 µs`, `2min 3s` | ⟨time⟩ |
//! | times of day: `at 14:02`, `yesterday 14:02` | at ⟨time⟩ |
//! | rates: `1234 items/s`, `1.2 M items/s`, `80 MiB/s` | ⟨rate⟩ |
//! | sizes: `512 B`, `12.3 MB`, `80 MiB` | ⟨size⟩ |
//! | addresses of 8 digits or more: `0x7f12ab34` | ⟨addr⟩ |
//! | `speedup 1.97 of 2` | speedup ⟨n⟩ of 2 |
//! | `efficiency 98 %` | efficiency ⟨n⟩ % |
//! | `serial fraction 1.2 %` | serial fraction ⟨n⟩ % |
//! | `1,200,000 loops each` | ⟨n⟩ loops each |
//! | `pid 1234` | pid ⟨pid⟩ |
//! | numbers in the column `pid` of a table | ⟨pid⟩ |
//! | numbers in the columns `speedup`, `efficiency` and `serial fraction` of a table | ⟨n⟩ |
//! | what is drawn in a chart below `speedup over engines: …` | nothing |
//! | numbers in the column `engine`, in a table with the column `item` or `ended` | ⋯ |
//! | every cell outside `engine`, in a table with the columns `engine` and `share` | ⋯ |
//! | spaces in a row: in the lines of a table, and beside a masked value | one space |
//! | `─` in a row, in the lines of a table | one `─` |
//! | spaces at the end of a line, blank lines at the end of the text | nothing |
//! | a line of the expected text that is only `…` | any number of lines |

use std::sync::LazyLock;

use regex::Regex;

use super::table::{Columns, Row, fold};

/// Values recognised by their unit or by the word in front of them, in this order: `12 MB/s` is a rate, not
/// a size. `#` stands for a number.
static VALUES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        (r"\b# ?(?:[kKMGT] ?)?[A-Za-z]+/s\b", "⟨rate⟩"),
        (r"\b# ?(?:[kKMGT]i?)?B\b", "⟨size⟩"),
        (
            r"\b(?:# ?h(?: ?# ?min)?(?: ?# ?s)?|# ?min(?: ?# ?s)?|# ?(?:ns|µs|μs|us|ms|s))\b",
            "⟨time⟩",
        ),
        (r"\b(at|yesterday) \d\d:\d\d\b", "at ⟨time⟩"),
        (r"\b0x[0-9a-fA-F]{8,}\b", "⟨addr⟩"),
        (r"\bspeedup (?:#|∞)", "speedup ⟨n⟩"),
        (r"\befficiency # ?%", "efficiency ⟨n⟩ %"),
        (
            r"\bserial fraction # ?%(?: \(below 0: [a-z ]+\))?",
            "serial fraction ⟨n⟩ %",
        ),
        (r"\b\d[\d,]* loops? each\b", "⟨n⟩ loops each"),
        (r"\b(pid[ :=]+)\d+\b", "${1}⟨pid⟩"),
        // Right-aligned figures outside of tables: `  6 ms` and ` 16 ms` are to look the same.
        (r" {2,}⟨", " ⟨"),
        (r"⟩ {2,}", "⟩ "),
    ]
    .map(|(pattern, mask)| {
        let pattern = pattern.replace('#', r"\d[\d_]*(?:\.\d+)?(?:e[+-]?\d+)?");
        (
            Regex::new(&pattern).expect("the patterns are constants"),
            mask,
        )
    })
    .into()
});

/// What stands above a chart of measured speedups.
const OVER_ENGINES: &str = "speedup over engines:";

/// Its rows: a number at the axis or none, the axis, and what is drawn.
static CHART_ROW: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^( *[\d.]* ?[┤│])[\u{2800}-\u{28ff}● ]*$").expect("the pattern is a constant")
});

/// The text with everything masked that differs from run to run. Lines stay lines: line 3 of the result is
/// line 3 of `text`. Masking twice changes nothing more, so an expected output may hold masks itself.
pub fn mask(text: &str) -> String {
    let mut table: Option<Columns> = None;
    let mut in_chart = false;
    let masked: Vec<String> = lines(text)
        .into_iter()
        .map(|line| match Row::parse(line.trim()) {
            None => {
                table = None;
                let row = CHART_ROW.captures(line).filter(|_| in_chart);
                in_chart = row.is_some() || line.starts_with(OVER_ENGINES);
                match row {
                    Some(row) => row[1].to_owned(),
                    None => mask_values(line),
                }
            }
            Some(Row::Border(first)) => {
                if first != '├' && first != '╞' {
                    table = None;
                }
                fold(line)
            }
            Some(Row::Cells(cells)) => {
                let cells = if let Some(columns) = &table {
                    columns.mask(&cells)
                } else {
                    table = Some(Columns::of(&cells));
                    cells.iter().map(|&cell| cell.to_owned()).collect()
                };
                let indent = if line.starts_with(' ') { " " } else { "" };
                fold(&format!("{indent}│ {} │", cells.join(" │ ")))
            }
        })
        .collect();
    masked.join("\n")
}

/// The lines of an output as they are written and compared: without spaces at their ends, without blank
/// lines at the end of the text. A lone carriage return ends a line too.
pub(super) fn lines(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text
        .split('\n')
        .flat_map(|line| line.trim_end().split('\r'))
        .map(str::trim_end)
        .collect();
    while lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    lines
}

pub(super) fn mask_values(text: &str) -> String {
    VALUES
        .iter()
        .fold(text.to_owned(), |text, (pattern, mask)| {
            pattern.replace_all(&text, *mask).into_owned()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rule as (what, becomes), for the table in guide/notebooks.md. The last line is `compare`'s.
    const RULES: &[(&str, &str)] = &[
        (
            "durations: `0.121 s`, `6 ms`, `1.23 µs`, `2min 3s`",
            "⟨time⟩",
        ),
        ("times of day: `at 14:02`, `yesterday 14:02`", "at ⟨time⟩"),
        (
            "rates: `1234 items/s`, `1.2 M items/s`, `80 MiB/s`",
            "⟨rate⟩",
        ),
        ("sizes: `512 B`, `12.3 MB`, `80 MiB`", "⟨size⟩"),
        ("addresses of 8 digits or more: `0x7f12ab34`", "⟨addr⟩"),
        ("`speedup 1.97 of 2`", "speedup ⟨n⟩ of 2"),
        ("`efficiency 98 %`", "efficiency ⟨n⟩ %"),
        ("`serial fraction 1.2 %`", "serial fraction ⟨n⟩ %"),
        ("`1,200,000 loops each`", "⟨n⟩ loops each"),
        ("`pid 1234`", "pid ⟨pid⟩"),
        ("numbers in the column `pid` of a table", "⟨pid⟩"),
        (
            "numbers in the columns `speedup`, `efficiency` and `serial fraction` of a table",
            "⟨n⟩",
        ),
        (
            "what is drawn in a chart below `speedup over engines: …`",
            "nothing",
        ),
        (
            "numbers in the column `engine`, in a table with the column `item` or `ended`",
            "⋯",
        ),
        (
            "every cell outside `engine`, in a table with the columns `engine` and `share`",
            "⋯",
        ),
        (
            "spaces in a row: in the lines of a table, and beside a masked value",
            "one space",
        ),
        ("`─` in a row, in the lines of a table", "one `─`"),
        (
            "spaces at the end of a line, blank lines at the end of the text",
            "nothing",
        ),
        (
            "a line of the expected text that is only `…`",
            "any number of lines",
        ),
    ];

    #[test]
    fn every_example_of_the_rule_becomes_what_the_rule_says() {
        let mut examples = 0;
        for (what, becomes) in RULES {
            for example in what
                .split('`')
                .skip(1)
                .step_by(2)
                .filter(|text| text.contains(char::is_numeric))
            {
                assert_eq!(mask(example), *becomes);
                examples += 1;
            }
        }
        assert!(examples >= 14, "only {examples} examples in the rule");
    }

    #[test]
    fn the_table_in_the_documentation_is_the_rule() {
        let table: Vec<&str> = include_str!("mask.rs")
            .lines()
            .filter(|line| line.starts_with("//! | "))
            .skip(1)
            .collect();
        let rules: Vec<String> = RULES
            .iter()
            .map(|(what, becomes)| format!("//! | {what} | {becomes} |"))
            .collect();
        assert_eq!(table, rules);
    }

    #[test]
    fn tables_of_items_and_comparisons_hold_still() {
        let items = "\
│ item │ input │ result │ engine │  queued │    busy │
│    0 │     7 │     13 │      1 │ 45.0 µs │ 12.0 ms │
";
        let masked = "\
│ item │ input │ result │ engine │ queued │ busy │
│ 0 │ 7 │ 13 │ ⋯ │ ⟨time⟩ │ ⟨time⟩ │";
        assert_eq!(mask(items), masked);
        let comparison = "\
│ pool   │ engines │    wall │ speedup │ efficiency │ outputs │
│ p0     │       2 │ 0.650 s │    1.86 │       93 % │ ✓       │
";
        let masked = "\
│ pool │ engines │ wall │ speedup │ efficiency │ outputs │
│ p0 │ 2 │ ⟨time⟩ │ ⟨n⟩ │ ⟨n⟩ │ ✓ │";
        assert_eq!(mask(comparison), masked);
        assert_eq!(mask(masked), masked);
    }

    #[test]
    fn measured_speedups_hold_still() {
        let scaling = "\
│ engines │    wall │ speedup │ efficiency │ serial fraction │
│       1 │ 0.650 s │    1.00 │      100 % │                 │
│       2 │ 0.350 s │    1.86 │       93 % │           0.0 % │
serial fraction 0.0 % (below 0: noise) by Amdahl's law: speedup ∞ at most
speedup over engines: ● measured
2.0 ┤      ●⠉
    │ ⠒⠒
  0 ┤
    └┬──────┬
     1      2
2.0 ┤      ●⠉
";
        let masked = "\
│ engines │ wall │ speedup │ efficiency │ serial fraction │
│ 1 │ ⟨time⟩ │ ⟨n⟩ │ ⟨n⟩ │ │
│ 2 │ ⟨time⟩ │ ⟨n⟩ │ ⟨n⟩ │ ⟨n⟩ │
serial fraction ⟨n⟩ % by Amdahl's law: speedup ⟨n⟩ at most
speedup over engines: ● measured
2.0 ┤
    │
  0 ┤
 └┬─┬
     1      2
2.0 ┤      ●⠉";
        assert_eq!(mask(scaling), masked);
        assert_eq!(mask(masked), masked);
        let other = scaling.replace(" ⠒⠒", "⠉").replace("-0.1 %", "4.2 %");
        assert_eq!(mask(&other), masked);
    }

    #[test]
    fn durations_as_rust_and_the_renderer_write_them() {
        for time in [
            "1.5µs",
            "100ns",
            "2.000000123s",
            "3 us",
            "1 h",
            "1 h 5 min",
            "90 min",
            "1e-6 s",
        ] {
            assert_eq!(mask(time), "⟨time⟩", "{time}");
        }
        assert_eq!(
            mask("12.1 ms ± 0.3 ms, best 11.9 ms"),
            "⟨time⟩ ± ⟨time⟩, best ⟨time⟩"
        );
        assert_eq!(mask("mean   6 ms  x"), mask("mean 16 ms x"));
    }

    #[test]
    fn results_are_left_alone() {
        for text in [
            "Out[4]: [39088169, 24157817]",
            "3 items",
            "0xff",
            "5 seconds",
            "a2 s",
            "10%",
            "In [3]: f",
            "  indented  twice",
            "speed 3",
            "3.14",
        ] {
            assert_eq!(mask(text), text);
        }
    }

    #[test]
    fn space_at_the_ends_does_not_matter() {
        assert_eq!(mask("a  \r\n\r\n b\t\n \n\n"), "a\n\n b");
        assert_eq!(mask("\n \n"), "");
    }
}
