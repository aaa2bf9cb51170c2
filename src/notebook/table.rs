//! Tables drawn with box-drawing characters, as far as masking must understand them: which lines are a
//! table's, and which columns hold what differs from run to run. Never draws one.

use super::mask::mask_values;

/// A line of a table: it begins and ends with a box-drawing character.
pub enum Row<'a> {
    /// A border, with its first character.
    Border(char),
    /// Trimmed cells.
    Cells(Vec<&'a str>),
}

impl<'a> Row<'a> {
    pub fn parse(line: &'a str) -> Option<Self> {
        let is_box = |c: &char| ('\u{2500}'..='\u{257f}').contains(c);
        if line.chars().count() < 2 {
            return None;
        }
        let first = line.chars().next().filter(is_box)?;
        line.chars().next_back().filter(is_box)?;
        match line
            .strip_prefix('│')
            .and_then(|line| line.strip_suffix('│'))
        {
            Some(inner) => Some(Self::Cells(
                inner.split(['│', '┆']).map(str::trim).collect(),
            )),
            None => Some(Self::Border(first)),
        }
    }
}

/// What the header of a table says about the cells below it.
pub struct Columns {
    count: usize,
    pid: Option<usize>,
    /// The column `engine` of a map's table, whose other columns depend on scheduling.
    map_engine: Option<usize>,
    /// The column `engine` of a table of items, or of commands that failed: scheduling decides it.
    item_engine: Option<usize>,
    /// The columns `speedup`, `efficiency` and `serial fraction`.
    ratios: [Option<usize>; 3],
}

impl Columns {
    pub fn of(header: &[&str]) -> Self {
        let find = |name: &str| header.iter().position(|cell| *cell == name);
        Self {
            count: header.len(),
            pid: find("pid"),
            map_engine: find("share").and_then(|_| find("engine")),
            item_engine: find("item").or(find("ended")).and_then(|_| find("engine")),
            ratios: ["speedup", "efficiency", "serial fraction"].map(find),
        }
    }

    pub fn mask(&self, cells: &[&str]) -> Vec<String> {
        if let Some(engine) = self.map_engine {
            // As many as the header has: a result's text may contain what looks like another column.
            return (0..self.count)
                .map(|at| {
                    if at == engine {
                        cells.get(at).copied().unwrap_or_default()
                    } else {
                        "⋯"
                    }
                    .to_owned()
                })
                .collect();
        }
        cells
            .iter()
            .enumerate()
            .map(|(at, cell)| {
                let number = !cell.is_empty() && cell.chars().all(|c| c.is_ascii_digit());
                if self.pid == Some(at) && number {
                    "⟨pid⟩".to_owned()
                } else if self.item_engine == Some(at) && number {
                    "⋯".to_owned()
                } else if self.ratios.contains(&Some(at)) && is_ratio(cell) {
                    "⟨n⟩".to_owned()
                } else {
                    mask_values(cell)
                }
            })
            .collect()
    }
}

/// `1.97` or `98 %`.
fn is_ratio(cell: &str) -> bool {
    cell.trim_end_matches([' ', '%']).parse::<f64>().is_ok()
}

/// Folds what only says how wide a column is.
pub fn fold(line: &str) -> String {
    let mut folded = String::with_capacity(line.len());
    for c in line.chars() {
        if !(matches!(c, ' ' | '─' | '═' | '╌') && folded.ends_with(c)) {
            folded.push(c);
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use crate::notebook::mask::mask;

    const MAP: &str = "\
fib: u64 → u64 · 6 items in 6 chunks on p0 (2 engines)
┌────────┬───────┬─────────┬─────────┬─────────────┐
│ engine │ items │    busy │ share   │ results     │
│      0 │     3 │ 0.120 s │ ████▉   │ 39088169, … │
│      1 │     3 │ 0.119 s │ ████▉   │ [\"a│b\"], …  │
└────────┴───────┴─────────┴─────────┴─────────────┘
wall 0.121 s · serial 0.239 s · speedup 1.97 of 2 · efficiency 98 %
";

    #[test]
    fn a_maps_table_keeps_its_engines_and_nothing_that_scheduling_decides() {
        assert_eq!(
            mask(MAP),
            "\
fib: u64 → u64 · 6 items in 6 chunks on p0 (2 engines)
┌─┬─┬─┬─┬─┐
│ engine │ items │ busy │ share │ results │
│ 0 │ ⋯ │ ⋯ │ ⋯ │ ⋯ │
│ 1 │ ⋯ │ ⋯ │ ⋯ │ ⋯ │
└─┴─┴─┴─┴─┘
wall ⟨time⟩ · serial ⟨time⟩ · speedup ⟨n⟩ of 2 · efficiency ⟨n⟩ %"
        );
    }

    #[test]
    fn a_result_table_keeps_its_results() {
        let narrow = "┌───┬───┐\n│ engine │ result │\n│ 0 │ 10 │\n└───┴───┘";
        let wide = "┌────┬─────┐\n│ engine │    result │\n│      0 │        10 │\n└─────┴─────┘\n";
        assert_eq!(mask(narrow), mask(wide));
        assert!(mask(wide).contains("│ 0 │ 10 │"));
    }

    #[test]
    fn pids_are_masked_in_their_column_only() {
        let table =
            "┌──┬──┬──┐\n│ engine │ pid │ tasks │\n╞══╪══╪══╡\n│ 0 │ 4711 │ 4711 │\n└──┴──┴──┘";
        assert!(
            mask(table).ends_with("│ 0 │ ⟨pid⟩ │ 4711 │\n└─┴─┴─┘"),
            "{}",
            mask(table)
        );
        let next = format!("{table}\n┌──┬──┐\n│ a │ b │\n│ 1 │ 2 │\n└──┴──┘");
        assert!(
            mask(&next).contains("│ 1 │ 2 │"),
            "a new table has its own columns"
        );
    }

    #[test]
    fn masking_twice_is_masking_once() {
        let once = mask(MAP);
        assert_eq!(mask(&once), once);
    }
}
