//! A terminal for this room's tests: a screen that carries out the few control sequences that the renderer
//! uses, scrolls, wraps, and joins and wraps lines anew when it is resized, as most terminals do.

use super::text;

pub(crate) struct Vt {
    width: usize,
    height: usize,
    /// All rows since the beginning.
    rows: Vec<Row>,
    /// The first row on the screen.
    top: usize,
    row: usize,
    column: usize,
    /// Control sequences that it doesn't know.
    pub(crate) unknown: Vec<String>,
    /// It was cleared from its first cell on.
    pub(crate) scrolled_away: bool,
    /// Between the begin and the end of a synchronized update.
    pub(crate) held: bool,
}

#[derive(Clone, Default)]
struct Row {
    /// One entry per column; a wide character is followed by an empty one.
    cells: Vec<String>,
    /// It goes on in the next row.
    wrapped: bool,
}

impl Vt {
    pub(crate) fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            rows: vec![Row::default()],
            top: 0,
            row: 0,
            column: 0,
            unknown: Vec::new(),
            scrolled_away: false,
            held: false,
        }
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        let text = std::str::from_utf8(bytes).expect("text");
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            rest = &rest[letter.len_utf8()..];
            match letter {
                // As the line discipline has it: a line feed also returns.
                '\n' => self.line_feed(),
                '\r' => self.column = 0,
                '\x1b' => {
                    let end = rest
                        .find(|c: char| c.is_ascii_alphabetic())
                        .expect("a sequence ends");
                    self.control(&rest[..=end]);
                    rest = &rest[end + 1..];
                }
                letter => self.print(letter),
            }
        }
    }

    fn control(&mut self, sequence: &str) {
        let inside = sequence.strip_prefix('[').unwrap_or_default();
        let (parameter, end) = inside.split_at(inside.len() - 1);
        let count = parameter.parse::<usize>().unwrap_or(1);
        match (parameter, end) {
            (_, "A") => self.row = self.row.saturating_sub(count.max(1)).max(self.top),
            (_, "G") => self.column = count - 1,
            ("2", "K") => self.rows[self.row] = Row::default(),
            ("" | "0", "J") => {
                // tmux takes this for the clearing of a screen, and keeps what it showed in its history.
                self.scrolled_away |= (self.row, self.column) == (self.top, 0);
                self.rows[self.row].cells.truncate(self.column);
                self.rows[self.row].wrapped = false;
                self.rows.truncate(self.row + 1);
            }
            ("?2026", "h") => self.held = true,
            ("?2026", "l") => self.held = false,
            (_, "m") => {}
            _ => self.unknown.push(sequence.to_owned()),
        }
    }

    fn line_feed(&mut self) {
        self.row += 1;
        self.column = 0;
        if self.row == self.rows.len() {
            self.rows.push(Row::default());
        }
        self.top = self.top.max((self.row + 1).saturating_sub(self.height));
    }

    fn print(&mut self, letter: char) {
        let columns = text::width(&letter.to_string());
        if self.column + columns > self.width {
            self.rows[self.row].wrapped = true;
            self.line_feed();
        }
        let cells = &mut self.rows[self.row].cells;
        if cells.len() < self.column + columns {
            cells.resize(self.column + columns, " ".to_owned());
        }
        cells[self.column] = letter.to_string();
        for cell in &mut cells[self.column + 1..self.column + columns] {
            cell.clear();
        }
        self.column += columns;
    }

    /// Another size of the window. What no longer fits scrolls away at the top; the cursor stays with the
    /// text that it stands on.
    pub(crate) fn resize(&mut self, width: usize, height: usize) {
        let old = std::mem::take(&mut self.rows);
        let (row, column) = (self.row, self.column);
        (self.width, self.height) = (width, height);
        let mut line: Vec<String> = Vec::new();
        for (index, mut piece) in old.into_iter().enumerate() {
            let cursor = (index == row).then_some(line.len() + column);
            line.append(&mut piece.cells);
            if let Some(at) = cursor {
                self.row = self.rows.len() + at / width;
                self.column = at % width;
            }
            if piece.wrapped {
                continue;
            }
            let mut pieces: Vec<Row> = line
                .chunks(width)
                .map(|cells| Row {
                    cells: cells.to_vec(),
                    wrapped: true,
                })
                .collect();
            if pieces.is_empty() {
                pieces.push(Row::default());
            }
            pieces.last_mut().expect("it has one").wrapped = false;
            self.rows.append(&mut pieces);
            line.clear();
        }
        while self.rows.len() <= self.row {
            self.rows.push(Row::default());
        }
        // Rows below the cursor leave the screen before the cursor's own does.
        self.rows.truncate(self.row + height);
        self.top = self.rows.len().saturating_sub(height);
    }

    /// Everything that stands on the screen and above it, as lines without trailing blanks.
    pub(crate) fn text(&self) -> String {
        let lines = self.rows.iter().map(|row| {
            let line = row.cells.concat();
            line.trim_end().to_owned()
        });
        lines.collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }

    pub(crate) fn cursor(&self) -> (usize, usize) {
        (self.row, self.column)
    }
}
