//! Markdown as text for a terminal: documentation as it comes from Rust's sources. What can't be shown, such as
//! links and pictures, leaves its text.

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::Style;
use super::grid::Grid;
use super::text::width;

/// Columns at which long lines become hard to read.
const WIDEST: usize = 100;
const CODE_INDENT: &str = "    ";

/// The text in lines of at most `columns`, but for code.
pub(crate) fn markdown(text: &str, columns: usize, style: &Style) -> String {
    let mut page = Page {
        style,
        columns: columns.min(WIDEST),
        out: String::new(),
        words: Vec::new(),
        word: Word::default(),
        margins: Vec::new(),
        lists: Vec::new(),
        looks: Vec::new(),
        code: None,
        table: None,
    };
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        page.event(event);
    }
    page.flush();
    page.out.trim_end().to_owned()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    Strong,
    Heading,
}

#[derive(Default)]
struct Word {
    text: String,
    columns: usize,
}

/// What lines begin with: the first one of a list's item has a bullet.
struct Margin {
    first: Option<String>,
    other: String,
}

#[derive(Default)]
struct Table {
    rows: Vec<Vec<String>>,
    cell: String,
}

struct Page<'s> {
    style: &'s Style,
    columns: usize,
    out: String,
    words: Vec<Word>,
    word: Word,
    margins: Vec<Margin>,
    /// The number of the next item, where items are numbered.
    lists: Vec<Option<u64>>,
    looks: Vec<Look>,
    /// The code of a block, and whether it is Rust's.
    code: Option<(String, bool)>,
    table: Option<Table>,
}

impl Page<'_> {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(end) => self.end(end),
            Event::Text(text) => match (&mut self.code, &mut self.table) {
                (Some((code, _)), _) => code.push_str(&text),
                (_, Some(table)) => table.cell.push_str(&text),
                _ => self.text(&text, false),
            },
            Event::Code(code) => match &mut self.table {
                Some(table) => table.cell.push_str(&code),
                None if self.style.colour => self.text(&code, true),
                None => self.text(&format!("`{code}`"), true),
            },
            Event::SoftBreak => self.finish_word(),
            Event::HardBreak => self.flush(),
            Event::Rule => self.blank_line(),
            _ => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Heading { level, .. } => {
                self.blank_line();
                self.looks.push(match level {
                    HeadingLevel::H1 | HeadingLevel::H2 => Look::Heading,
                    _ => Look::Strong,
                });
            }
            Tag::Strong => self.looks.push(Look::Strong),
            Tag::Paragraph if self.at_item() => {}
            Tag::Paragraph => self.blank_line(),
            Tag::BlockQuote(_) => {
                self.blank_line();
                self.margins.push(Margin {
                    first: None,
                    other: self.style.spell("│ ".to_owned()),
                });
            }
            Tag::CodeBlock(kind) => {
                self.flush();
                self.blank_line();
                let rust = match kind {
                    CodeBlockKind::Indented => true,
                    CodeBlockKind::Fenced(info) => is_rust(&info),
                };
                self.code = Some((String::new(), rust));
            }
            Tag::List(first) => {
                self.flush();
                if self.lists.is_empty() {
                    self.blank_line();
                }
                self.lists.push(first);
            }
            Tag::Item => {
                let bullet = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{}. ", *number - 1)
                    }
                    _ => "* ".to_owned(),
                };
                let other = " ".repeat(width(&bullet));
                let first = Some(bullet);
                self.margins.push(Margin { first, other });
            }
            Tag::Table(_) => {
                self.blank_line();
                self.table = Some(Table::default());
            }
            Tag::TableHead | Tag::TableRow => {
                if let Some(table) = &mut self.table {
                    table.rows.push(Vec::new());
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, end: TagEnd) {
        match end {
            TagEnd::Heading(_) => {
                self.flush();
                self.looks.pop();
            }
            TagEnd::Strong => {
                self.looks.pop();
            }
            TagEnd::Paragraph => self.flush(),
            TagEnd::BlockQuote(_) | TagEnd::Item => {
                self.flush();
                self.margins.pop();
            }
            TagEnd::List(_) => {
                self.lists.pop();
            }
            TagEnd::CodeBlock => {
                if let Some((code, rust)) = self.code.take() {
                    self.code_block(&code, rust);
                }
            }
            TagEnd::TableCell => {
                if let Some(table) = &mut self.table
                    && let Some(row) = table.rows.last_mut()
                {
                    row.push(std::mem::take(&mut table.cell));
                }
            }
            TagEnd::Table => {
                if let Some(table) = self.table.take() {
                    let mut grid = Grid::default();
                    if let Some((heads, rows)) = table.rows.split_first() {
                        for (column, head) in heads.iter().enumerate() {
                            let cell = |row: &Vec<String>| row.get(column).cloned();
                            let cells = rows.iter().map(|row| cell(row).unwrap_or_default());
                            grid.push(head, false, cells.collect());
                        }
                    }
                    self.out.push_str(&grid.draw_prose(self.style));
                }
            }
            _ => {}
        }
    }

    /// Right behind the bullet of a list's item.
    fn at_item(&self) -> bool {
        let margin = self.margins.last();
        margin.is_some_and(|margin| margin.first.is_some())
    }

    fn text(&mut self, text: &str, code: bool) {
        let heading = self.looks.contains(&Look::Heading);
        let strong = !self.looks.is_empty();
        let mut rest = text;
        loop {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            if end > 0 {
                let piece = &rest[..end];
                let piece = if heading {
                    piece.to_uppercase()
                } else {
                    piece.to_owned()
                };
                self.word.columns += width(&piece);
                self.word.text.push_str(&match (strong, code) {
                    (true, _) => self.style.strong(&piece),
                    (false, true) => self.style.code(&piece),
                    (false, false) => piece,
                });
            }
            let Some(blank) = rest[end..].chars().next() else {
                return;
            };
            self.finish_word();
            rest = &rest[end + blank.len_utf8()..];
        }
    }

    fn finish_word(&mut self) {
        if self.word.columns > 0 {
            self.words.push(std::mem::take(&mut self.word));
        }
    }

    /// Writes what has been collected, broken into lines.
    fn flush(&mut self) {
        self.finish_word();
        if self.words.is_empty() {
            return;
        }
        let mut column = self.margin();
        let begin = column;
        for (at, word) in std::mem::take(&mut self.words).into_iter().enumerate() {
            if at > 0 && column + 1 + word.columns > self.columns {
                self.out.push('\n');
                column = self.margin();
            } else if at > 0 && column > begin {
                self.out.push(' ');
                column += 1;
            }
            column += word.columns;
            self.out.push_str(&word.text);
        }
        self.out.push('\n');
    }

    /// Begins a line; gives the columns of its margin.
    fn margin(&mut self) -> usize {
        let mut columns = 0;
        for margin in &mut self.margins {
            let part = margin.first.take().unwrap_or_else(|| margin.other.clone());
            columns += width(&part);
            self.out.push_str(&part);
        }
        columns
    }

    fn blank_line(&mut self) {
        self.flush();
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }

    fn code_block(&mut self, code: &str, rust: bool) {
        for line in code.lines() {
            let hidden = line.trim_start();
            if rust && (hidden == "#" || hidden.starts_with("# ")) {
                continue;
            }
            let line = if rust {
                line.replacen("##", "#", 1)
            } else {
                line.to_owned()
            };
            if line.trim().is_empty() {
                self.out.push('\n');
                continue;
            }
            self.margin();
            self.out.push_str(CODE_INDENT);
            self.out.push_str(&line);
            self.out.push('\n');
        }
    }
}

/// Whether a fence's words say that rustdoc takes the block for Rust.
fn is_rust(info: &str) -> bool {
    let mut words = info.split([',', ' ', '{']).filter(|word| !word.is_empty());
    words.all(|word| {
        matches!(
            word,
            "rust" | "ignore" | "should_panic" | "no_run" | "compile_fail" | "test_harness"
        ) || word.starts_with("edition")
            || word.starts_with("ignore-")
            || word.starts_with('E')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        markdown(text, 30, &Style::plain(30))
    }

    #[test]
    fn paragraphs_are_broken_into_lines() {
        assert_eq!(
            plain("Appends an `element` to the\nback of a [collection](x) of *many*.\n\nMore."),
            "Appends an `element` to the\nback of a collection of many.\n\nMore."
        );
    }

    #[test]
    fn examples_are_shown_without_their_hidden_lines() {
        let docs = "Text.\n\n# Examples\n\n```\n# use std::fmt;\n#\nlet x = 1; // long enough to be broken\n\n##[a]\n```\nEnd.";
        assert_eq!(
            plain(docs),
            "Text.\n\nEXAMPLES\n\n    let x = 1; // long enough to be broken\n\n    #[a]\n\nEnd."
        );
        assert_eq!(plain("```text\n# kept\n```"), "    # kept");
    }

    #[test]
    fn lists_have_bullets_and_margins() {
        assert_eq!(
            plain("Some:\n\n* one that is longer than its line\n* two\n  1. a\n  2. b\n\nEnd"),
            "Some:\n\n* one that is longer than its\n  line\n* two\n  1. a\n  2. b\n\nEnd"
        );
        assert_eq!(plain("> quoted"), "│ quoted");
    }

    #[test]
    fn tables_are_drawn() {
        let shown = plain("| a | b |\n|---|---|\n| `x` | y |");
        assert!(shown.contains("│ x │ y │"), "{shown}");
        let long = "what is said here takes more than one line of a narrow terminal";
        let shown = plain(&format!("| a | b |\n|---|---|\n| `x` | {long} |"));
        assert!(long.split(' ').all(|word| shown.contains(word)), "{shown}");
        assert!(shown.lines().all(|line| width(line) <= 30), "{shown}");
    }
}
