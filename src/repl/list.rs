//! Candidates as rustyline lists them: one a line where something is told about them, in three columns.

use rustyline::completion::longest_common_prefix;
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
        return on_one_screen(found.into_iter().map(name).collect(), (width, rows));
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

/// As many as a screen has room for, in rustyline's columns, and how many more there are: a list that the user would
/// have to leaf through is left by typing on.
pub(super) fn on_one_screen(mut all: Vec<Listed>, (width, rows): (usize, usize)) -> Vec<Listed> {
    let more = |count: usize| format!("… {count} more");
    let widest = all.iter().map(|one| one.shown.width()).max().unwrap_or(0);
    let columns = width / (widest.max(more(all.len()).width()) + GAP.len()).max(1);
    let most = columns.max(1) * rows.saturating_sub(KEPT_LINES).max(2);
    if all.len() <= most {
        return all;
    }
    // rustyline types what all have in common, also those that are not shown.
    let common = longest_common_prefix(&all).unwrap_or_default().to_owned();
    let left = all.len() + 1 - most;
    all.truncate(most - 1);
    all.push(Listed::new(more(left), common));
    all
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
    }

    #[test]
    fn more_than_a_screen_has_room_for_is_counted() {
        let named = |count: usize| -> Vec<Listed> {
            let name = |n: usize| format!("é_name_{n:03}");
            let all = (0..count).map(|n| Listed::new(name(n), name(n)));
            all.chain([Listed::new("ébène".into(), "ébène".into())])
                .collect()
        };
        // Columns of 12 letters, and 20 lines.
        assert_eq!(on_one_screen(named(119), (78, 24)).len(), 120);
        let shown = on_one_screen(named(120), (78, 24));
        assert_eq!(shown.len(), 120);
        assert_eq!(shown[118].display(), "é_name_118");
        assert_eq!(shown[119].display(), "… 2 more");
        assert_eq!(shown[119].replacement(), "é");
        assert_eq!(on_one_screen(named(500), (8, 3)).len(), 2);
    }

    #[test]
    fn lines_of_one_candidate_stand_by_themselves() {
        assert_eq!(lines(&[("a", "u8", ""); 30], 78)[0], "a");
    }
}
