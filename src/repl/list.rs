//! Candidates as rustyline lists them: one a line where something is told about them, in three columns.

use unicode_width::UnicodeWidthStr;

use crate::assist::Candidate;

/// Between columns. It does not occur in a candidate or in a signature.
const GAP: &str = "  ";
/// Where the terminal does not say how many columns and lines it has.
const USUAL_SIZE: (usize, usize) = (80, 24);
/// Lines of the screen that the list leaves to what is typed.
const KEPT_LINES: usize = 4;
/// Where a list stops to be readable in one glance.
const WIDEST: usize = 160;
/// Columns that a long name may take before what is told about it moves to the right.
const WIDEST_NAME: usize = 32;

/// A completion as rustyline lists it.
pub(super) struct Listed {
    shown: String,
    replacement: String,
}

impl Listed {
    pub fn new(shown: String, replacement: String) -> Self {
        Self { shown, replacement }
    }
}

impl rustyline::completion::Candidate for Listed {
    fn display(&self) -> &str {
        &self.shown
    }

    fn replacement(&self) -> &str {
        &self.replacement
    }
}

/// Columns and lines that the list may take: the last column stays free, where rustyline would break the line.
pub(super) fn room() -> (usize, usize) {
    let (columns, rows) = crossterm::terminal::size()
        .map_or(USUAL_SIZE, |(columns, rows)| (columns.into(), rows.into()));
    (columns.clamp(20, WIDEST) - 2, rows)
}

/// Candidates with signatures and summaries in columns; more of them than a screen has lines, by name only.
pub(super) fn listed(found: Vec<Candidate>, (width, rows): (usize, usize)) -> Vec<Listed> {
    if found.len() + KEPT_LINES > rows {
        let name = |one: Candidate| Listed::new(one.replacement.clone(), one.replacement);
        return found.into_iter().map(name).collect();
    }
    let widest = |of: fn(&Candidate) -> &str, most: usize| {
        found
            .iter()
            .map(|one| of(one).width())
            .max()
            .unwrap_or(0)
            .min(most)
    };
    let names = widest(|one| &one.replacement, WIDEST_NAME);
    // Half of the rest for each, unless a column needs less.
    let rest = width.saturating_sub(names + 2 * GAP.len());
    let summaries = widest(|one| &one.summary, rest);
    let signatures = widest(
        |one| &one.signature,
        (rest / 2).max(rest.saturating_sub(summaries)),
    );
    let line = |one: Candidate| {
        let mut shown = padded(one.replacement.clone(), names);
        for (text, columns) in [(&one.signature, signatures), (&one.summary, rest)] {
            if columns > 0 {
                shown.push_str(GAP);
                shown.push_str(&padded(cut(text, columns), columns));
            }
        }
        let shown = cut(shown.trim_end(), width);
        // rustyline would put short lines side by side.
        let shown = if signatures + summaries > 0 {
            padded(shown, width)
        } else {
            shown
        };
        Listed::new(shown, one.replacement)
    };
    found.into_iter().map(line).collect()
}

/// A listed line with what is told about the candidate dimmed.
pub(super) fn coloured(line: &str) -> String {
    match line.split_once(GAP) {
        Some((name, told)) => format!("{name}{GAP}\x1b[2m{told}\x1b[0m"),
        None => line.to_owned(),
    }
}

fn padded(mut text: String, columns: usize) -> String {
    let missing = columns.saturating_sub(text.width());
    text.extend(std::iter::repeat_n(' ', missing));
    text
}

/// The text in at most so many columns.
fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut short = String::new();
    for letter in text.chars() {
        short.push(letter);
        if short.width() >= columns {
            short.pop();
            break;
        }
    }
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use rustyline::completion::Candidate as _;

    use super::*;
    use crate::assist::Kind;

    fn lines(found: &[(&str, &str, &str)], width: usize) -> Vec<String> {
        let candidate = |&(name, signature, summary): &(&str, &str, &str)| Candidate {
            replacement: name.to_owned(),
            kind: Kind::Code,
            signature: signature.to_owned(),
            summary: summary.to_owned(),
        };
        let found = found.iter().map(candidate).collect();
        let shown = listed(found, (width, 24));
        shown
            .iter()
            .map(|one| one.display().trim_end().to_owned())
            .collect()
    }

    #[test]
    fn names_signatures_and_summaries_stand_in_columns() {
        let found = [
            ("push(", "fn(&mut self, T)", "Appends an element."),
            ("len()", "fn(&self) -> usize", ""),
            ("x", "u8", "Across."),
        ];
        assert_eq!(
            lines(&found, 78),
            [
                "push(  fn(&mut self, T)    Appends an element.",
                "len()  fn(&self) -> usize",
                "x      u8                  Across.",
            ]
        );
        for line in lines(&found, 30) {
            assert!(line.width() <= 30, "{line}");
        }
        assert_eq!(lines(&found, 30)[0], "push(  fn(&mut s…  Appends an…");
        assert_eq!(lines(&[("a", "", ""), ("bc", "", "")], 78), ["a", "bc"]);
        assert_eq!(lines(&[("%px", "", "runs")], 78), ["%px  runs"]);
        assert_eq!(lines(&[("a", "u8", ""); 30], 78)[0], "a");
    }
}
