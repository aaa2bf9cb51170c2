//! `--update`: a notebook with its cells' real outputs written below them. Never touches a byte that is not
//! part of an output fence, so that a diff of the file shows changed outputs and nothing else.

use super::{Notebook, NotebookCell, Verdict, align::has_wildcard, check::compare, mask::lines};

impl Notebook {
    /// The notebook's text with `outputs[i]` in a `text` fence below cell `i`.
    ///
    /// A fence that says the same already stays as it is, also one that says it with `…`; an empty output removes the fence, and the blank
    /// lines above it. Cells beyond the end of `outputs` (a run that stopped early) keep what they have.
    /// Trailing spaces, trailing blank lines and carriage returns of an output are not written.
    pub fn with_outputs(&self, outputs: &[String]) -> String {
        let mut updated = String::with_capacity(self.text.len());
        let mut copied = 0;
        for (cell, output) in self.cells.iter().zip(outputs) {
            let (from, to, fence) = cell.edit(output);
            updated.push_str(&self.text[copied..from]);
            updated.push_str(&fence);
            copied = to;
        }
        updated.push_str(&self.text[copied..]);
        updated
    }
}

impl NotebookCell {
    /// What is to be replaced (start and end byte) and by which text, so that `output` stands below the cell.
    fn edit(&self, output: &str) -> (usize, usize, String) {
        let place = &self.place;
        let new = lines(output);
        let Some(old) = place.expected.clone() else {
            let mut text = String::new();
            if !new.is_empty() {
                if let Some(closing) = &place.missing {
                    text.push_str(place.newline);
                    place.push_line(&mut text, closing);
                }
                text.push_str(place.newline);
                place.push_line(&mut text, "");
                text.push_str(place.newline);
                place.push_fence(&mut text, &new);
            }
            return (place.end, place.end, text);
        };
        if new.is_empty() {
            return (place.end, old.end, String::new());
        }
        let expected = self.expected.as_deref().unwrap_or_default();
        let open = has_wildcard(expected) && compare(expected, output) == Verdict::Same;
        if open || lines(expected) == new {
            return (old.end, old.end, String::new());
        }
        let mut text = String::new();
        place.push_fence(&mut text, &new);
        (old.start, old.end, text)
    }
}

impl super::Place {
    fn push_line(&self, text: &mut String, line: &str) {
        let prefix = if line.is_empty() {
            self.prefix.trim_end()
        } else {
            &self.prefix
        };
        text.push_str(prefix);
        text.push_str(line);
    }

    /// The fence is longer than any run of backticks in the output, so nothing in there can close it.
    fn push_fence(&self, text: &mut String, output: &[&str]) {
        let run = output
            .iter()
            .flat_map(|line| line.split(|c| c != '`'))
            .map(str::len)
            .max();
        let fence = "`".repeat(run.map_or(3, |run| 3.max(run + 1)));
        self.push_line(text, &format!("{fence}text"));
        for line in output {
            text.push_str(self.newline);
            self.push_line(text, line);
        }
        text.push_str(self.newline);
        self.push_line(text, &fence);
    }
}

#[cfg(test)]
mod tests;
