//! Notebooks: Markdown files whose `rust` fences are cells and whose `text` fences hold the output expected
//! of the cell above. This room takes text and gives text; it never runs a cell, reads a file or prints.
//!
//! The rules, by `CommonMark`'s grammar:
//!
//! - A cell is a fenced code block whose info string, trimmed, is exactly `rust`. So `rust,ignore` and
//!   `rust no_run` are code to look at, not cells. Fences may be of backticks or tildes, of any length, and
//!   stand in lists and block quotes.
//! - `rust needs=PROGRAM` is a cell too, for machines on which that program is installed; elsewhere a run ends in
//!   front of it, and says so.
//! - Its expected output is the fenced block with the info string `text` that is the next block in the same
//!   list item or quote, with nothing but blank lines between.
//! - Values that differ from run to run are masked before outputs are compared: see [`mask`] for the rule,
//!   [`compare`] for the comparison.

pub mod check;
pub mod mask;

mod align;
mod table;
mod update;

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

pub use check::{Verdict, compare};

/// A Markdown file, as it was read, and where its cells are.
#[derive(Clone, Debug)]
pub struct Notebook {
    text: String,
    cells: Vec<NotebookCell>,
}

/// One cell of a notebook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotebookCell {
    /// What stands in the fence: its indentation removed, lines ended by `\n`, no line ending at the end.
    pub code: String,
    /// The line of the file, from 1, on which the code begins: the one after the opening fence.
    pub line: usize,
    /// The content of the `text` fence below, if there is one; same form as `code`.
    pub expected: Option<String>,
    /// The program without which it is skipped, with what is below it.
    pub needs: Option<String>,
    place: Place,
}

/// Where a cell's output is, or would go; all positions are bytes of the notebook's text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    /// What a line needs in front of it to be in the same list item or quote as the cell's fence.
    prefix: String,
    /// The line ending of the opening fence, so that CRLF files stay what they are.
    newline: &'static str,
    /// Where the cell ends: behind its closing fence, in front of the line ending.
    end: usize,
    /// The closing fence that is missing at `end` because the file, list item or quote ended before it.
    missing: Option<String>,
    /// The expected output's fence, from the start of its first line to the end of its closing fence.
    expected: Option<Range<usize>>,
}

impl Notebook {
    /// Finds the cells of a Markdown text. Every text is a notebook; many have no cells.
    pub fn parse(text: &str) -> Self {
        let body = text.strip_prefix('\u{feff}').unwrap_or(text);
        let offset = text.len() - body.len();
        let mut cells: Vec<NotebookCell> = Vec::new();
        let mut open: Option<Fence> = None;
        let mut below_cell = false;
        for (event, range) in Parser::new(body).into_offset_iter() {
            let range = range.start + offset..range.end + offset;
            match (event, open.as_mut()) {
                (Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))), _) => {
                    open = Some(Fence::new(text, info.trim(), range));
                }
                (Event::Text(piece), Some(fence)) => {
                    fence.content.push_str(&piece);
                    fence.content_end = range.end;
                }
                (Event::End(TagEnd::CodeBlock), Some(_)) => {
                    let Some(fence) = open.take() else { continue };
                    let above = cells.last_mut().filter(|_| below_cell);
                    below_cell = fence.info == "rust" || fence.needs().is_some();
                    match above {
                        Some(cell) if fence.is_output_of(cell, text) => {
                            cell.place.expected = Some(fence.lines_in(text));
                            cell.expected = Some(fence.into_content());
                        }
                        _ if below_cell => cells.push(fence.into_cell(text)),
                        _ => {}
                    }
                }
                _ => below_cell = false,
            }
        }
        Self {
            text: text.to_owned(),
            cells,
        }
    }

    /// The cells in the order of the file.
    pub fn cells(&self) -> &[NotebookCell] {
        &self.cells
    }
}

/// A fenced block while the parser is in it.
struct Fence {
    info: String,
    /// From the first character of the opening fence to the last of the closing one.
    range: Range<usize>,
    content: String,
    content_end: usize,
}

impl Fence {
    fn new(text: &str, info: &str, range: Range<usize>) -> Self {
        let content_end = text[range.clone()]
            .find('\n')
            .map_or(range.end, |at| range.start + at);
        Self {
            info: info.to_owned(),
            range,
            content: String::new(),
            content_end,
        }
    }

    /// The program of `rust needs=PROGRAM`.
    fn needs(&self) -> Option<&str> {
        let program = self.info.strip_prefix("rust needs=")?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
        (!program.is_empty() && program.chars().all(is_name)).then_some(program)
    }

    /// Whether this is the output fence of the cell that ended last: link definitions and comments give no
    /// event between two blocks, so what stands between is looked at.
    fn is_output_of(&self, cell: &NotebookCell, text: &str) -> bool {
        let between = text
            .get(cell.place.end..self.range.start)
            .unwrap_or_default();
        self.info == "text" && between.chars().all(|c| c.is_whitespace() || c == '>')
    }

    /// The fence's lines without the last line ending.
    fn lines_in(&self, text: &str) -> Range<usize> {
        let block = &text[self.range.clone()];
        line_start(text, self.range.start)
            ..self.range.start + block.trim_end_matches(['\r', '\n']).len()
    }

    fn into_content(self) -> String {
        let mut content = self.content;
        content.truncate(content.trim_end_matches('\n').len());
        content
    }

    fn into_cell(self, text: &str) -> NotebookCell {
        let start = self.range.start;
        let fence_char = text[start..].chars().next().unwrap_or('`');
        let closed = text
            .get(self.content_end..self.range.end)
            .is_some_and(|rest| rest.contains(fence_char));
        let opening = text[start..].lines().next().unwrap_or_default();
        let newline = if text[start + opening.len()..].starts_with('\r') {
            "\r\n"
        } else {
            "\n"
        };
        let (end, missing) = if closed {
            (self.range.end, None)
        } else {
            let kept = text[..self.content_end]
                .trim_end_matches(['\r', '\n'])
                .len();
            (
                kept,
                Some(opening.chars().take_while(|c| *c == fence_char).collect()),
            )
        };
        let place = Place {
            prefix: continuation(&text[line_start(text, start)..start]),
            newline,
            end,
            missing,
            expected: None,
        };
        let line = text[..start].matches('\n').count() + 2;
        let needs = self.needs().map(str::to_owned);
        NotebookCell {
            code: self.into_content(),
            line,
            expected: None,
            needs,
            place,
        }
    }
}

/// `CommonMark` ends lines at a lone carriage return, too.
fn line_start(text: &str, at: usize) -> usize {
    text[..at]
        .rfind(['\n', '\r'])
        .map_or(0, |newline| newline + 1)
}

/// What continues the containers that `before`, the text in front of an opening fence, opens or continues.
/// Quote marks stay, and so does indentation; list markers become spaces, as wide as they are.
fn continuation(before: &str) -> String {
    let opens_item = before.contains(|c| !matches!(c, '>' | ' ' | '\t'));
    let mut prefix = String::with_capacity(before.len() + 1);
    let mut column = 0;
    for c in before.chars() {
        // A quote mark swallows the space behind it, which must be there before spaces that count.
        if prefix.ends_with('>') && !matches!(c, '>' | ' ' | '\t') {
            prefix.push(' ');
        }
        let width = if c == '\t' { 4 - column % 4 } else { 1 };
        column += width;
        match c {
            '>' | '\t' if c == '>' || !opens_item => prefix.push(c),
            _ => prefix.extend(std::iter::repeat_n(' ', width)),
        }
    }
    if prefix.ends_with('>') {
        prefix.push(' ');
    }
    prefix
}

#[cfg(test)]
mod tests;
