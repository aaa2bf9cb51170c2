//! Changes to a text that leave its lines where they are, and the way back from a place in the changed text.
//! Pure: it knows nothing of Rust.

use std::ops::Range;

/// Replacements of parts of one text. Neither a part nor what replaces it adds or removes a line.
#[derive(Clone, Debug, Default)]
pub struct Edits(Vec<(Range<usize>, String)>);

impl Edits {
    pub fn insert(&mut self, at: usize, text: impl Into<String>) {
        self.replace(at..at, text);
    }

    /// Replaces a part of `old`'s text; the line ends in it stay.
    pub fn remove(&mut self, text: &str, part: Range<usize>) {
        let lines = text
            .get(part.clone())
            .map_or(0, |old| old.matches('\n').count());
        self.replace(part, "\n".repeat(lines));
    }

    /// Parts must not overlap; the line ends of both are to be as many.
    pub fn replace(&mut self, part: Range<usize>, text: impl Into<String>) {
        let place = self
            .0
            .partition_point(|(other, _)| other.start <= part.start);
        self.0.insert(place, (part, text.into()));
    }

    /// Adds another list's, which are for the same text and elsewhere in it.
    pub fn extend(&mut self, others: &Self) {
        for (part, text) in &others.0 {
            self.replace(part.clone(), text.clone());
        }
    }

    pub fn apply(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + 64 * self.0.len());
        let mut copied = 0;
        for (part, new) in &self.0 {
            out.push_str(text.get(copied..part.start).unwrap_or_default());
            out.push_str(new);
            copied = part.end;
        }
        out.push_str(text.get(copied..).unwrap_or_default());
        out
    }

    /// The column, from 1 and in characters, at which something on a line of the changed text stands in `old`.
    /// What stands in an insertion gets the column at which it was inserted.
    pub fn column_back(&self, old: &str, line: usize, column: usize) -> usize {
        let starts: Vec<usize> = std::iter::once(0)
            .chain(old.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        let Some(&start) = line.checked_sub(1).and_then(|line| starts.get(line)) else {
            return column;
        };
        let end = starts.get(line).map_or(old.len(), |next| next - 1);
        let mut wanted = column.saturating_sub(1);
        let mut at = start;
        let count = |range: Range<usize>| old.get(range).map_or(0, |text| text.chars().count());
        for (part, new) in &self.0 {
            // Of an edit over several lines, each line keeps what stands on it.
            let (from, to) = (part.start.max(start), part.end.min(end));
            if part.end < start
                || from > end
                || to < from
                || (new.contains('\n') && !part.is_empty())
            {
                continue;
            }
            let before = count(at..from);
            if wanted < before {
                break;
            }
            let inserted = new.chars().count();
            if wanted < before + inserted {
                return count(start..from) + 1;
            }
            wanted -= before + inserted;
            at = to;
        }
        count(start..at) + wanted + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_again_on_their_lines() {
        let old = "let é = 1; static N: u8 = 2;\nfn f() { static M: u8 = 3; }\n";
        let mut edits = Edits::default();
        edits.insert(old.find("static M").unwrap(), "#[b] ");
        edits.insert(old.find("static N").unwrap(), "#[a] ");
        edits.replace(0..3, "LET_");
        let new = edits.apply(old);
        assert_eq!(
            new,
            "LET_ é = 1; #[a] static N: u8 = 2;\nfn f() { #[b] static M: u8 = 3; }\n"
        );
        let column = |text: &str, line: usize, what: &str| {
            let line = text.lines().nth(line - 1).unwrap();
            line[..line.find(what).unwrap()].chars().count() + 1
        };
        for (line, what) in [
            (1, "é"),
            (1, "N:"),
            (1, "static"),
            (2, "fn"),
            (2, "M:"),
            (2, "3"),
        ] {
            let (before, after) = (column(old, line, what), column(&new, line, what));
            assert_eq!(edits.column_back(old, line, after), before, "{what}");
        }
        assert_eq!(
            edits.column_back(old, 1, column(&new, 1, "#[a]") + 2),
            column(old, 1, "static")
        );
        assert_eq!(edits.column_back(old, 9, 4), 4);
    }

    #[test]
    fn removing_keeps_the_lines() {
        let old = "a {\n  b\n} c";
        let mut edits = Edits::default();
        edits.remove(old, 2..9);
        assert_eq!(edits.apply(old), "a \n\n c");
    }
}
