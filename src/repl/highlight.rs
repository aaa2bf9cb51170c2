//! Colours for a cell's text. Only escape sequences are added: the painted text is exactly as wide as
//! the text itself, because rustyline places the cursor by the latter.

use crate::assist::syntax::{Class, Span, classify};
use crate::repl::continuation::{self, PAD};

const RESET: &str = "\x1b[0m";
const DIM: &str = "\x1b[2m";
const BRACKET: &str = "\x1b[1;4m";

/// The text with colours, if wanted, continuation prompts over its margins, and, where the cursor (in
/// bytes) is at a bracket, that bracket and its partner marked.
pub fn paint(text: &str, cursor: Option<usize>, colour: bool) -> String {
    let spans = classify(text);
    let pair = cursor
        .filter(|_| colour)
        .and_then(|cursor| matching(text, &spans, cursor));
    let mut painter = Painter {
        out: String::with_capacity(text.len() * 2),
        fresh: false,
        colour,
    };
    for span in &spans {
        let marked = pair.is_some_and(|(open, close)| span.start == open || span.start == close);
        let style = if marked { BRACKET } else { style(span.class) };
        painter.piece(&text[span.start..span.end], style);
    }
    painter.out
}

/// The bracket at the cursor, or else right before it, and its partner: (open, close) in bytes.
/// Brackets in strings and comments are text.
fn matching(text: &str, spans: &[Span], cursor: usize) -> Option<(usize, usize)> {
    let at = |place: usize| {
        let found = spans.binary_search_by_key(&place, |span| span.start).ok()?;
        matches!(spans[found].class, Class::Open | Class::Close).then_some(place)
    };
    let wanted = at(cursor).or_else(|| at(cursor.checked_sub(1)?))?;
    let mut open = Vec::new();
    for span in spans {
        match span.class {
            Class::Open => open.push(span.start),
            Class::Close => {
                let start = open.pop()?;
                if start == wanted || span.start == wanted {
                    return partners(&text[start..], &text[span.start..])
                        .then_some((start, span.start));
                }
            }
            _ => {}
        }
    }
    None
}

fn partners(open: &str, close: &str) -> bool {
    matches!(
        (open.as_bytes().first(), close.as_bytes().first()),
        (Some(b'('), Some(b')')) | (Some(b'['), Some(b']')) | (Some(b'{'), Some(b'}'))
    )
}

/// The escape sequence that begins a class; empty for the terminal's own colour. Only the sixteen colours
/// of every terminal, which its user has chosen to be readable.
fn style(class: Class) -> &'static str {
    match class {
        Class::Plain | Class::Open | Class::Close => "",
        Class::Keyword => "\x1b[35m",
        Class::Type | Class::Lifetime => "\x1b[33m",
        Class::Macro => "\x1b[34m",
        Class::Text => "\x1b[32m",
        Class::Number | Class::Flag => "\x1b[36m",
        Class::Comment => "\x1b[90m",
        Class::Magic => "\x1b[1;34m",
        Class::Shell => "\x1b[1;33m",
    }
}

struct Painter {
    out: String,
    /// A line break was written last, so pads are a margin.
    fresh: bool,
    colour: bool,
}

impl Painter {
    fn piece(&mut self, piece: &str, style: &str) {
        let mut rest = piece;
        while let Some(first) = rest.chars().next() {
            let len = match first {
                '\n' => {
                    self.out.push('\n');
                    self.fresh = true;
                    1
                }
                PAD => {
                    let len = rest.find(|c| c != PAD).unwrap_or(rest.len());
                    self.margin(len / PAD.len_utf8());
                    len
                }
                _ if is_unprintable(first) => first.len_utf8(),
                _ => {
                    let stop = |c| c == '\n' || c == PAD || is_unprintable(c);
                    let len = rest.find(stop).unwrap_or(rest.len());
                    self.styled(&rest[..len], style);
                    len
                }
            };
            rest = &rest[len..];
        }
    }

    fn margin(&mut self, width: usize) {
        if self.fresh {
            self.styled(&continuation::marker(width), DIM);
        } else {
            self.out.extend(std::iter::repeat_n(' ', width));
        }
    }

    fn styled(&mut self, text: &str, style: &str) {
        self.fresh = false;
        if style.is_empty() || !self.colour {
            self.out.push_str(text);
        } else {
            self.out.push_str(style);
            self.out.push_str(text);
            self.out.push_str(RESET);
        }
    }
}

/// Control characters, as in a pasted binary, count as no column and would command the terminal.
fn is_unprintable(c: char) -> bool {
    c.is_control() && c != '\n' && c != '\t'
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn highlight(text: &str) -> String {
        paint(text, None, true)
    }

    /// The text as a terminal shows it.
    fn plain(painted: &str) -> String {
        let mut out = String::new();
        let mut chars = painted.chars();
        while let Some(c) = chars.next() {
            if c == '\x1b' {
                chars.by_ref().find(|&c| c == 'm');
            } else {
                out.push(c);
            }
        }
        out
    }

    #[test]
    fn colours_never_change_the_text() {
        let cells = [
            "fn fib(n: u64) -> u64 { if n <= 2 { 1 } else { fib(n - 1) } } // λ",
            "%px -t ::2 engine::rank() * 10",
            "let 变 = \"宽\n字\"; /* open",
            "!ls | wc -l\n\tx",
        ];
        for cell in cells {
            let painted = highlight(cell);
            assert_eq!(plain(&painted), cell);
            assert!(painted.len() > cell.len(), "no colour in {cell:?}");
            assert_eq!(paint(cell, Some(3), false), cell);
        }
    }

    #[test]
    fn magics_and_keywords_stand_out() {
        assert_eq!(highlight("%who"), "\x1b[1;34m%who\x1b[0m");
        assert_eq!(highlight("let x"), "\x1b[35mlet\x1b[0m x");
    }

    #[test]
    fn margins_show_the_continuation_prompt() {
        let padded = continuation::pad("f(\"a\nb\")", 8);
        assert_eq!(paint(&padded, None, false), "f(\"a\n   ...: b\")");
        assert_eq!(plain(&highlight(&padded)), "f(\"a\n   ...: b\")");
        // A margin that an edit has moved into a line is blank there.
        assert_eq!(paint(&format!("a{PAD}b"), None, false), "a b");
    }

    #[test]
    fn the_partner_of_a_bracket_is_marked() {
        let spans = classify("f(\")\", [1])");
        assert_eq!(matching("f(\")\", [1])", &spans, 1), Some((1, 10)));
        assert_eq!(matching("f(\")\", [1])", &spans, 11), Some((1, 10)));
        assert_eq!(matching("f(\")\", [1])", &spans, 0), None);
        let spans = classify("(]");
        assert_eq!(matching("(]", &spans, 0), None);
        assert_eq!(
            paint("()", Some(2), true),
            "\x1b[1;4m(\x1b[0m\x1b[1;4m)\x1b[0m"
        );
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(
            plain(&highlight("a\x1b]0;title\x07b\u{9b}c")),
            "a]0;titlebc"
        );
    }

    #[test]
    fn a_large_paste_is_painted_at_once() {
        let text = "let s = f(\"(\", 'x', [1, 2]); // ok\n%px -t 0 x\n".repeat(20_000);
        let start = Instant::now();
        let painted = paint(&text, Some(9), true);
        assert!(painted.len() > text.len());
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "took {:?}",
            start.elapsed()
        );
    }
}
