//! Listings of magics: typed fields to aligned columns. How a table fits the terminal is the grid's matter.

use super::grid::{Grid, no_room};
use super::{Style, text, units};
use crate::outcome::{Field, Rows, Table};

/// Rows shown of a listing; more would only push the beginning off the screen.
const MOST_ROWS: usize = 500;

/// How a listing becomes narrow.
struct Narrow {
    /// The head of its first column.
    first: &'static str,
    /// Columns whose words are not cut.
    whole: &'static [&'static str],
    /// Columns that go before those are cut, the least useful first.
    goes: &'static [&'static str],
}

const NARROW: [Narrow; 3] = [
    Narrow {
        first: "child",
        whole: &["child", "state", "end"],
        goes: &["restarts", "memory", "cpu", "pid"],
    },
    Narrow {
        first: "node",
        whole: &["node", "state", "engines", "clock"],
        goes: &["heard", "cores", "memory", "load"],
    },
    Narrow {
        first: "pool",
        whole: &["state"],
        goes: &["memory", "busy", "tasks"],
    },
];

/// The listing of a magic.
pub(crate) fn table(table: &Table, style: &Style) -> String {
    let mut out = String::new();
    if let Some(title) = &table.title {
        out.push_str(title.trim_end());
        out.push('\n');
    }
    let shown = &table.rows[..table.rows.len().min(MOST_ROWS)];
    let columns = shown
        .iter()
        .map(Vec::len)
        .max()
        .unwrap_or(0)
        .max(table.columns.len());
    let mut grid = Grid::default();
    for index in 0..columns {
        let head = table.columns.get(index).copied().unwrap_or_default();
        let fields = || {
            shown
                .iter()
                .map(move |row| row.get(index).unwrap_or(&Field::Empty))
        };
        let numbers = fields().all(|field| match field {
            Field::Text(word) => word.is_empty() || text::is_number(word),
            Field::Failure(_) => false,
            _ => true,
        });
        grid.push(
            head,
            numbers && !shown.is_empty(),
            fields().map(field).collect(),
        );
    }
    let is_failure = |field: &Field| matches!(field, Field::Failure(_));
    let failed = shown.iter().map(|row| row.iter().any(is_failure));
    grid.failed = failed.collect();
    let narrow = NARROW
        .iter()
        .find(|narrow| table.columns.first() == Some(&narrow.first));
    let gone = narrow.map_or_else(Vec::new, |narrow| {
        grid.keep_whole(narrow.whole);
        grid.give_way(narrow.goes, style.width)
    });
    out.push_str(&grid.draw(style));
    out.push_str(&no_room(&gone, style));
    if shown.len() < table.rows.len() {
        let left_out = (table.rows.len() - shown.len()) as u64;
        out.push_str(&style.spell(format!("… {} more rows\n", units::count(left_out))));
    }
    out
}

/// The items of a list, numbered.
pub(crate) fn rows(rows: &Rows, style: &Style) -> String {
    let mut grid = Grid::default();
    let numbers = 0..rows.rows.len();
    grid.push("", true, numbers.map(|number| number.to_string()).collect());
    for (at, head) in rows.heads.iter().enumerate() {
        let texts = rows
            .rows
            .iter()
            .map(|row| row.get(at).cloned().unwrap_or_default());
        let texts: Vec<String> = texts.collect();
        let numbers = texts
            .iter()
            .all(|text| text.is_empty() || text::is_number(text));
        grid.push(head, numbers, texts);
    }
    let mut out = grid.draw(style);
    if rows.left_out > 0 {
        let all = rows.rows.len() as u64 + rows.left_out;
        let said = format!("… {} more of {all}", rows.left_out);
        out.push_str(&style.faint(&style.spell(said)));
        out.push('\n');
    }
    out
}

fn field(field: &Field) -> String {
    match field {
        Field::Text(word) | Field::Failure(word) => word.clone(),
        Field::Count(number) => units::count(*number),
        Field::Seconds(seconds) => units::seconds(*seconds),
        Field::Bytes(bytes) => units::bytes(*bytes),
        Field::Empty => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pools() -> Table {
        let row = |engine, pid: &str, state: &str, tasks, busy, memory| {
            let (pid, state) = (Field::Text(pid.to_owned()), Field::Text(state.to_owned()));
            vec![
                Field::Count(engine),
                pid,
                state,
                Field::Count(tasks),
                Field::Seconds(busy),
                memory,
            ]
        };
        Table {
            title: Some("pool p0".to_owned()),
            columns: vec!["engine", "pid", "state", "tasks", "busy", "memory", "job"],
            rows: vec![
                row(0, "12345", "idle", 12_345, 0.12, Field::Bytes(12_300_000)),
                row(
                    1,
                    "12346",
                    "dead: killed by SIGKILL\nnow",
                    5,
                    12.0,
                    Field::Empty,
                ),
            ],
        }
    }

    #[test]
    fn a_row_of_a_failure_is_red() {
        let row = |ended: Field| vec![Field::Count(1), ended];
        let listing = Table {
            title: None,
            columns: vec!["job", "ended"],
            rows: vec![
                row(Field::Text("exit 0".to_owned())),
                row(Field::Failure("exit 3".to_owned())),
            ],
        };
        let style = Style {
            colour: true,
            ..Style::plain(80)
        };
        let shown = table(&listing, &style);
        let red: Vec<bool> = shown
            .lines()
            .map(|line| line.contains("\u{1b}[38;5;9m"))
            .collect();
        assert_eq!(red, [false, false, false, true, false], "{shown}");
    }

    #[test]
    fn a_listing_is_aligned_and_hides_what_is_empty() {
        let full = "\
pool p0
┌────────┬───────┬─────────────────────────────┬────────┬─────────┬─────────┐
│ engine │   pid │ state                       │  tasks │    busy │  memory │
│      0 │ 12345 │ idle                        │ 12,345 │ 0.120 s │ 12.3 MB │
│      1 │ 12346 │ dead: killed by SIGKILL⏎now │      5 │  12.0 s │         │
└────────┴───────┴─────────────────────────────┴────────┴─────────┴─────────┘
";
        for width in [80, 200] {
            assert_eq!(table(&pools(), &Style::plain(width)), full);
        }
    }

    #[test]
    fn a_narrow_terminal_cuts_words_and_leaves_numbers_whole() {
        let cut = "\
pool p0
┌────────┬───────┬────────────┬────────┐
│ engine │   pid │ state      │  tasks │
│      0 │ 12345 │ idle       │ 12,345 │
│      1 │ 12346 │ dead: kil… │      5 │
└────────┴───────┴────────────┴────────┘
note: no room for busy, memory
";
        assert_eq!(table(&pools(), &Style::plain(40)), cut);
    }

    #[test]
    fn nodes_are_told_from_each_other() {
        let text = |word: &str| Field::Text(word.to_owned());
        let row = |host: &str| {
            vec![
                text(host),
                text("up"),
                text("2 of 2"),
                Field::Count(2),
                text("4.34"),
                text("33 %"),
                Field::Seconds(0.00114),
                text("+0.4 ms"),
                text("0.5 s"),
            ]
        };
        let nodes = Table {
            title: None,
            columns: vec![
                "node", "state", "engines", "cores", "load", "memory", "rtt", "clock", "heard",
            ],
            rows: vec![
                row("compute-101.example.org"),
                row("compute-102.example.org"),
            ],
        };
        let shown = table(&nodes, &Style::plain(80));
        for whole in [
            "compute-101.example.org",
            "compute-102.example.org",
            "+0.4 ms",
        ] {
            assert!(shown.contains(whole), "{shown}");
        }
        assert!(
            shown.lines().all(|line| line.chars().count() <= 80),
            "{shown}"
        );
        assert!(shown.contains("no room for heard"), "{shown}");
    }

    #[test]
    fn how_children_ended_is_whole_and_lesser_columns_go() {
        let text = |word: &str| Field::Text(word.to_owned());
        let children = Table {
            title: None,
            columns: vec![
                "child",
                "pid",
                "state",
                "end",
                "cpu",
                "memory",
                "run time",
                "restarts",
                "last line",
            ],
            rows: vec![
                vec![
                    text("worker.0"),
                    text("123456"),
                    Field::Failure("failed".to_owned()),
                    text("exit 1"),
                    Field::Seconds(0.0),
                    Field::Empty,
                    Field::Seconds(2.0),
                    Field::Count(2),
                    text("a line that is long enough to be cut"),
                ],
                vec![
                    text("worker.1"),
                    text("123457"),
                    text("restarting"),
                    text("SIGSEGV"),
                    Field::Seconds(0.0),
                    Field::Bytes(12_300_000),
                    Field::Seconds(2.0),
                    Field::Empty,
                    text("a"),
                ],
            ],
        };
        let drawn = table(&children, &Style::plain(80));
        for whole in ["worker.1", "restarting", "exit 1", "SIGSEGV", "a line th"] {
            assert!(drawn.contains(whole), "{drawn}");
        }
        assert!(
            drawn.contains("note: no room for restarts, memory"),
            "{drawn}"
        );
        assert!(drawn.lines().all(|line| text::width(line) <= 80), "{drawn}");
        let pools = Table {
            title: None,
            columns: vec!["pool", "engine", "pid", "state", "tasks", "busy", "memory"],
            rows: vec![vec![
                text("p0 *"),
                Field::Count(0),
                text("123456"),
                text("dead: ended by MPI with engine 1"),
                Field::Count(5),
                Field::Seconds(1.0),
                Field::Bytes(12_300_000),
            ]],
        };
        let drawn = table(&pools, &Style::plain(80));
        assert!(drawn.contains("ended by MPI with engine 1"), "{drawn}");
    }

    #[test]
    fn ascii_stands_in_where_there_is_nothing_else() {
        let mut pools = pools();
        pools.rows.truncate(1);
        pools.columns.truncate(2);
        pools.rows[0].truncate(2);
        let ascii = "\
pool p0
+--------+-------+
| engine |   pid |
|      0 | 12345 |
+--------+-------+
";
        assert_eq!(
            table(
                &pools,
                &Style {
                    unicode: false,
                    ..Style::plain(80)
                }
            ),
            ascii
        );
    }

    #[test]
    fn long_listings_are_shortened_and_ragged_rows_kept() {
        let rows = (0..1734)
            .map(|row| vec![Field::Count(row), Field::Count(1)])
            .collect();
        let long = Table {
            title: None,
            columns: vec!["n"],
            rows,
        };
        let shown = table(&long, &Style::plain(80));
        assert!(shown.ends_with("┘\n… 1234 more rows\n"));
        assert!(shown.contains("│ 499 │ 1 │\n"));
    }

    #[test]
    fn an_empty_listing_shows_its_head() {
        let empty = Table {
            title: None,
            columns: vec!["name", "type"],
            rows: Vec::new(),
        };
        let head = "┌──────┬──────┐\n│ name │ type │\n└──────┴──────┘\n";
        assert_eq!(table(&empty, &Style::plain(80)), head);
    }
}
