//! What the place that text goes to can show, and the few looks that this room uses.

use std::io::IsTerminal;

use crossterm::style::{StyledContent, Stylize as _};

/// What the place that the text goes to can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Terminal columns.
    pub width: usize,
    /// Terminal rows: what is redrawn in place can't have more.
    pub height: usize,
    pub colour: bool,
    /// May redraw in place: a terminal that understands cursor movement.
    pub live: bool,
    /// Box drawing, bars and `µ`; otherwise ASCII stands in for them.
    pub unicode: bool,
}

impl Style {
    /// What standard output can show, from the terminal and the environment (`COLUMNS`, `NO_COLOR`, `TERM`,
    /// `LC_ALL`, `LC_CTYPE`, `LANG`).
    pub fn detect() -> Self {
        let terminal = std::io::stdout().is_terminal();
        let size = || {
            crossterm::terminal::size()
                .ok()
                .map(|(columns, rows)| (usize::from(columns), usize::from(rows)))
        };
        Self::from_environment(|name| std::env::var(name).ok(), terminal, size)
    }

    /// No colours, no redrawing: for files, pipes and tests.
    pub const fn plain(width: usize) -> Self {
        Self {
            width,
            height: usize::MAX,
            colour: false,
            live: false,
            unicode: true,
        }
    }

    fn from_environment(
        variable: impl Fn(&str) -> Option<String>,
        terminal: bool,
        size: impl Fn() -> Option<(usize, usize)>,
    ) -> Self {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let size = if terminal { size() } else { None };
        let width = variable("COLUMNS")
            .and_then(|columns| columns.parse().ok())
            .or_else(|| size.map(|(columns, _)| columns))
            .filter(|&width| width > 0)
            .unwrap_or(80)
            .max(20);
        let able = terminal && variable("TERM").is_none_or(|term| term != "dumb");
        let locale = variable("LC_ALL")
            .or_else(|| variable("LC_CTYPE"))
            .or_else(|| variable("LANG"));
        // Files hold UTF-8, and so does every terminal whose user did not ask for something else.
        let utf8 = locale.is_none_or(|name| {
            let name = name.to_ascii_lowercase();
            name.contains("utf-8") || name.contains("utf8")
        });
        let height = size.map(|(_, rows)| rows).filter(|&rows| rows > 0);
        Self {
            width,
            // Terminals that don't say have the classic 24.
            height: height.unwrap_or(if terminal { 24 } else { usize::MAX }),
            colour: able && variable("NO_COLOR").is_none(),
            live: able,
            unicode: utf8 || !terminal,
        }
    }

    /// This room's own glyphs in ASCII where the terminal has nothing else; widths stay.
    pub(crate) fn spell(&self, text: String) -> String {
        if self.unicode {
            return text;
        }
        let ascii = |char| match char {
            '┌' | '┬' | '┐' | '└' | '┴' | '┘' => '+',
            '─' | '·' => '-',
            '│' | '▕' | '▏' => '|',
            '█' | '▉' | '▊' | '▋' | '▌' => '#',
            '▍' | '▎' => ':',
            'µ' => 'u',
            '⏎' => '$',
            '…' | '±' => '~',
            '→' => '>',
            other => other,
        };
        text.chars().map(ascii).collect()
    }

    /// Prose broken between words where it would break within one: only on a terminal, as what reads a file or a pipe
    /// wants lines whole. `first` columns of its first line are taken, and the others begin with `indent` blanks.
    pub(crate) fn wrapped(&self, text: &str, first: usize, indent: usize) -> String {
        if !self.live {
            return text.to_owned();
        }
        let (first, indent) = (" ".repeat(first), " ".repeat(indent));
        let mut options = textwrap::Options::new(self.width)
            .initial_indent(&first)
            .subsequent_indent(&indent)
            .break_words(false)
            .word_splitter(textwrap::WordSplitter::NoHyphenation);
        let mut lines = Vec::new();
        for line in text.lines() {
            lines.extend(textwrap::wrap(line, &options));
            options = options.initial_indent(&indent);
        }
        let text = lines.join("\n");
        text.strip_prefix(&first).map(str::to_owned).unwrap_or(text)
    }

    fn painted<'t>(
        &self,
        text: &'t str,
        paint: impl FnOnce(&'t str) -> StyledContent<&'t str>,
    ) -> String {
        match self.colour {
            true => paint(text).to_string(),
            false => text.to_owned(),
        }
    }

    pub(crate) fn faint(&self, text: &str) -> String {
        self.painted(text, |text| text.dim())
    }

    pub(crate) fn warning(&self, text: &str) -> String {
        self.painted(text, |text| text.yellow())
    }

    pub(crate) fn failure(&self, text: &str) -> String {
        self.painted(text, |text| text.red().bold())
    }

    /// A line that is no more.
    pub(crate) fn removed(&self, text: &str) -> String {
        self.painted(text, |text| text.red())
    }

    /// A line that is new.
    pub(crate) fn added(&self, text: &str) -> String {
        self.painted(text, |text| text.green())
    }

    pub(crate) fn strong(&self, text: &str) -> String {
        self.painted(text, |text| text.bold())
    }

    pub(crate) fn code(&self, text: &str) -> String {
        self.painted(text, |text| text.cyan())
    }

    pub(crate) fn prompt(&self, text: &str) -> String {
        self.painted(text, |text| text.cyan().bold())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn style(variables: &[(&str, &str)], terminal: bool) -> Style {
        let variable = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Style::from_environment(variable, terminal, || Some((132, 43)))
    }

    #[test]
    fn the_environment_decides_what_is_shown() {
        let able = Style {
            width: 132,
            height: 43,
            colour: true,
            live: true,
            unicode: true,
        };
        assert_eq!(style(&[], true), able);
        assert_eq!(style(&[], false), Style::plain(80));
        assert_eq!(style(&[("COLUMNS", "100")], false), Style::plain(100));
        assert_eq!(style(&[("COLUMNS", "-7")], true).width, 132);
        assert_eq!(style(&[("COLUMNS", "1")], true).width, 20);
        assert_eq!(
            style(&[("NO_COLOR", "1")], true),
            Style {
                colour: false,
                ..able
            }
        );
        assert_eq!(style(&[("NO_COLOR", "")], true), able);
        assert_eq!(
            style(&[("TERM", "dumb")], true),
            Style {
                colour: false,
                live: false,
                ..able
            }
        );
        assert!(!style(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")], true).unicode);
        assert_eq!(style(&[("LANG", "C.utf8")], true), able);
        assert!(style(&[("LC_ALL", "C")], false).unicode);
    }
}
