//! Tables of ready texts: what hides, aligns and cuts columns so that a table is never wider than the terminal.
//! comfy-table draws; the widths are decided here, because it would break long cells into lines, as it does in tables of
//! prose. A number is not cut: where even numbers don't fit, columns are left out and named.

use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ContentArrangement, ContentLineStyle, LineStyle,
    TableStyle,
};

use super::{Style, text};

/// A text column is not cut to less.
const NARROWEST_TEXT: usize = 6;
/// A text column that is cut to less makes others give way.
const USEFUL_TEXT: usize = 10;
/// What is whole is still not wider than this.
const WIDEST_WHOLE: usize = 40;

const BORDERS: TableStyle = TableStyle::new()
    .top_border(LineStyle::new('┌', '─', '┬', '┐'))
    .header_lines(ContentLineStyle::new('│', '│', '│'))
    .content_lines(ContentLineStyle::new('│', '│', '│'))
    .bottom_border(LineStyle::new('└', '─', '┴', '┘'));

/// Columns of ready texts.
#[derive(Default)]
pub(crate) struct Grid {
    columns: Vec<Column>,
    /// By row, whether it is one of trouble, which stands out; none when empty.
    pub(crate) failed: Vec<bool>,
}

struct Column {
    head: String,
    cells: Vec<String>,
    /// Right-aligned, and only its head may be cut.
    numbers: bool,
    /// Its words say nothing when they are cut.
    whole: bool,
}

impl Column {
    fn natural(&self) -> usize {
        text::width(&self.head).max(self.body()).max(1)
    }

    fn body(&self) -> usize {
        self.cells
            .iter()
            .map(|cell| text::width(cell))
            .max()
            .unwrap_or(0)
    }

    /// What it needs to be read with ease.
    fn useful(&self) -> usize {
        if self.numbers {
            self.natural()
        } else if self.whole {
            self.natural().min(WIDEST_WHOLE)
        } else {
            self.natural().min(USEFUL_TEXT)
        }
    }

    fn least(&self) -> usize {
        if self.numbers {
            self.body().max(1)
        } else if self.whole {
            self.natural().min(WIDEST_WHOLE)
        } else {
            self.natural().min(NARROWEST_TEXT)
        }
    }
}

impl Grid {
    /// Adds a column, unless its cells have nothing to show.
    pub(crate) fn push(&mut self, head: &str, numbers: bool, cells: Vec<String>) {
        if cells.is_empty() || cells.iter().any(|cell| !cell.is_empty()) {
            let cells = cells
                .into_iter()
                .map(|cell| text::one_line(&cell))
                .collect();
            self.columns.push(Column {
                head: head.to_owned(),
                cells,
                numbers,
                whole: false,
            });
        }
    }

    /// Columns that the uncut table takes, borders included.
    pub(crate) fn width(&self) -> usize {
        total(&self.columns.iter().map(Column::natural).collect::<Vec<_>>())
    }

    /// Words of these columns are not cut while those of others can be.
    pub(crate) fn keep_whole(&mut self, heads: &[&str]) {
        for column in &mut self.columns {
            column.whole |= heads.contains(&column.head.as_str());
        }
    }

    /// Leaves out columns until the others fit into `room`, in the order of `heads`: the least useful first.
    /// Returns the heads of what was left out.
    pub(crate) fn give_way<'a>(&mut self, heads: &[&'a str], room: usize) -> Vec<&'a str> {
        let mut left_out = Vec::new();
        for &head in heads {
            let useful: Vec<_> = self.columns.iter().map(Column::useful).collect();
            if total(&useful) <= room {
                break;
            }
            let before = self.columns.len();
            self.columns.retain(|column| column.head != head);
            if self.columns.len() < before {
                left_out.push(head);
            }
        }
        left_out
    }

    /// The lines of a table of prose: long cells are broken into lines, and nothing is cut or left out.
    pub(crate) fn draw_prose(&self, style: &Style) -> String {
        let room = u16::try_from(style.width).unwrap_or(u16::MAX);
        let mut table = begin(style.colour);
        if self.width() > style.width {
            table
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_width(room);
        }
        let widths = vec![usize::MAX; self.columns.len()];
        fill(&mut table, &self.columns, &widths, &self.failed);
        style.spell(table.to_string()) + "\n"
    }

    /// The table's lines; nothing when every column is hidden.
    pub(crate) fn draw(&self, style: &Style) -> String {
        let mut kept = self.columns.len();
        let least: Vec<_> = self.columns.iter().map(Column::least).collect();
        while kept > 1 && total(&least[..kept]) > style.width {
            kept -= 1;
        }
        let (columns, hidden) = self.columns.split_at(kept);
        if columns.is_empty() {
            return String::new();
        }
        let widths = fit(columns, style.width);
        let mut out = style.spell(lay_out(columns, &widths, &self.failed, style.colour));
        out.push('\n');
        let names: Vec<_> = hidden.iter().map(|column| column.head.as_str()).collect();
        out.push_str(&no_room(&names, style));
        out
    }
}

/// Says which columns are left out, if any.
pub(crate) fn no_room(heads: &[&str], style: &Style) -> String {
    if heads.is_empty() {
        return String::new();
    }
    let note = format!("note: no room for {}", heads.join(", "));
    let words: Vec<_> = note.split(' ').collect();
    style.faint(&text::fold(&words, " ", "", style.width)) + "\n"
}

/// Borders and padding take three columns per column and one more.
fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + 3 * widths.len() + 1
}

/// Takes from the widest text column, then from the widest head, until the table fits.
fn fit(columns: &[Column], room: usize) -> Vec<usize> {
    let mut widths: Vec<_> = columns.iter().map(Column::natural).collect();
    while total(&widths) > room {
        let widest = (0..columns.len())
            .filter(|&index| widths[index] > columns[index].least())
            .max_by_key(|&index| (!columns[index].numbers, widths[index]))
            // The only column that is left must fit even so.
            .or_else(|| (0..columns.len()).find(|&index| widths[index] > 1));
        match widest {
            Some(index) => widths[index] -= 1,
            None => break,
        }
    }
    widths
}

fn lay_out(columns: &[Column], widths: &[usize], failed: &[bool], colour: bool) -> String {
    let mut table = begin(colour);
    fill(&mut table, columns, widths, failed);
    table.to_string()
}

fn begin(colour: bool) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table
        .load_style(BORDERS)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.force_no_tty();
    if colour {
        table.enforce_styling().style_text_only();
    }
    table
}

fn fill(table: &mut comfy_table::Table, columns: &[Column], widths: &[usize], failed: &[bool]) {
    let cell = |content: &str, index: usize| {
        let side = if columns[index].numbers {
            CellAlignment::Right
        } else {
            CellAlignment::Left
        };
        Cell::new_owned(text::cut(content, widths[index])).set_alignment(side)
    };
    let heads = columns.iter().enumerate();
    table.set_header(
        heads.map(|(index, column)| cell(&column.head, index).add_attribute(Attribute::Bold)),
    );
    for row in 0..columns
        .iter()
        .map(|column| column.cells.len())
        .max()
        .unwrap_or(0)
    {
        let cells = columns.iter().enumerate();
        table.add_row(cells.map(|(index, column)| {
            let cell = cell(column.cells.get(row).map_or("", String::as_str), index);
            if failed.get(row) == Some(&true) {
                cell.fg(Color::Red)
            } else {
                cell
            }
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let texts = [
            "漢字漢字漢字",
            "👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦",
            "e\u{301}e\u{301}",
            "\u{7}\u{1b}[31m",
            "ﷺ",
            "Vec<u64>",
        ];
        for width in 20..100 {
            let mut grid = Grid::default();
            for (index, text) in texts.iter().enumerate() {
                let long = text.repeat(index * 3 + 1);
                grid.push(text, false, vec![(*text).to_owned(), String::new(), long]);
            }
            let drawn = grid.draw(&Style::plain(width));
            let lines: Vec<_> = drawn
                .lines()
                .take_while(|line| !line.starts_with("note"))
                .collect();
            assert!(
                lines.iter().all(|line| text::width(line) <= width),
                "{width}\n{drawn}"
            );
            assert!(
                lines
                    .iter()
                    .all(|line| text::width(line) == text::width(lines[0])),
                "{drawn}"
            );
        }
    }
}
