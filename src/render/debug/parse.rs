//! The structure of a `Debug` text: brackets, the items between them, strings. It accepts what `{:?}` of
//! derived and standard types looks like and refuses the rest, so that no character is ever lost.

use crate::render::text;

/// A value: texts and bracketed groups in a row, such as `Point ` and `{ x: 1, y: 2 }`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seq<'a> {
    pub pieces: Vec<Piece<'a>>,
    /// Columns on one line.
    pub width: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    Text(&'a str),
    Group(Group<'a>),
}

/// What stands between two brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group<'a> {
    /// `[`, `(`, `{` or `{ `.
    pub open: &'a str,
    /// Separated by `, `.
    pub items: Vec<Seq<'a>>,
    /// `]`, `)`, `,)`, `}` or ` }`.
    pub close: &'a str,
    pub hidden: Hidden,
    /// Columns on one line.
    pub width: usize,
}

/// Items behind the last one that the engine did not write out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hidden {
    None,
    /// `… 12 more`
    Exactly(u64),
    /// `… more`: nobody has counted them.
    Uncounted,
}

impl Group<'_> {
    /// How many items there are, as far as that is known.
    pub fn total(&self) -> u64 {
        let more = match self.hidden {
            Hidden::Exactly(more) => more,
            Hidden::None | Hidden::Uncounted => 0,
        };
        self.items.len() as u64 + more
    }
}

/// Brackets inside each other; what is deeper is not taken apart, since a list of links may have thousands.
const DEEPEST: usize = 120;

/// The structure of a `Debug` text, or `None` when it has lines of its own, control characters or brackets
/// without a partner.
pub fn parse(text: &str) -> Option<Seq<'_>> {
    let mut parser = Parser { text, at: 0 };
    let seq = parser.seq(None, 0)?;
    if parser.at < text.len() {
        return None;
    }
    let mut again = String::with_capacity(text.len());
    flat(&seq, &mut again);
    (again == text).then_some(seq)
}

/// The text of a value on one line, as it was.
pub fn flat(seq: &Seq<'_>, to: &mut String) {
    for piece in &seq.pieces {
        match piece {
            Piece::Text(text) => to.push_str(text),
            Piece::Group(group) => flat_group(group, to),
        }
    }
}

fn flat_group(group: &Group<'_>, to: &mut String) {
    to.push_str(group.open);
    for (index, item) in group.items.iter().enumerate() {
        if index > 0 {
            to.push_str(", ");
        }
        flat(item, to);
    }
    if let Some(hidden) = hidden_text(group.hidden) {
        if !group.items.is_empty() {
            to.push_str(", ");
        }
        to.push_str(&hidden);
    }
    to.push_str(group.close);
}

/// How the engine writes what it left out.
fn hidden_text(hidden: Hidden) -> Option<String> {
    match hidden {
        Hidden::None => None,
        Hidden::Exactly(more) => Some(format!("… {more} more")),
        Hidden::Uncounted => Some("… more".to_owned()),
    }
}

fn hidden(item: &Seq<'_>) -> Hidden {
    let [Piece::Text(text)] = item.pieces.as_slice() else {
        return Hidden::None;
    };
    if *text == "… more" {
        return Hidden::Uncounted;
    }
    let number = text
        .strip_prefix("… ")
        .and_then(|rest| rest.strip_suffix(" more"));
    match number.and_then(|number| number.parse().ok()) {
        Some(more) => Hidden::Exactly(more),
        None => Hidden::None,
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    /// Reads a value: up to its end, or inside of `open` to the next item or the closing bracket.
    fn seq(&mut self, open: Option<&str>, depth: usize) -> Option<Seq<'a>> {
        let bytes = self.text.as_bytes();
        let mut seq = Seq::default();
        let mut from = self.at;
        while let Some(&byte) = bytes.get(self.at) {
            let next = bytes.get(self.at + 1);
            match byte {
                b'"' => self.string()?,
                b'\'' => self.character(),
                b'[' | b'(' | b'{' => {
                    self.text_piece(from, &mut seq);
                    let group = self.group(depth + 1)?;
                    seq.width += group.width;
                    seq.pieces.push(Piece::Group(group));
                    from = self.at;
                }
                b']' | b')' | b'}' => {
                    open?;
                    break;
                }
                b' ' if next == Some(&b'}') && open == Some("{ ") => break,
                b',' if open.is_some() && next == Some(&b' ') => break,
                b',' if open == Some("(") && next == Some(&b')') => break,
                0..=31 | 127 => return None,
                _ => self.at += 1,
            }
        }
        self.text_piece(from, &mut seq);
        Some(seq)
    }

    fn text_piece(&self, from: usize, seq: &mut Seq<'a>) {
        if from < self.at {
            let piece = &self.text[from..self.at];
            seq.width += text::width(piece);
            seq.pieces.push(Piece::Text(piece));
        }
    }

    /// Reads a group from its opening bracket on.
    fn group(&mut self, depth: usize) -> Option<Group<'a>> {
        if depth > DEEPEST {
            return None;
        }
        let rest = &self.text[self.at..];
        let open = if rest.starts_with("{ ") {
            &rest[..2]
        } else {
            &rest[..1]
        };
        self.at += open.len();
        let mut items = Vec::new();
        let mut width = open.len();
        loop {
            let item = self.seq(Some(open), depth)?;
            let rest = &self.text[self.at..];
            let more = rest.starts_with(", ");
            if more || !items.is_empty() || !item.pieces.is_empty() {
                width += item.width + if items.is_empty() { 0 } else { 2 };
                items.push(item);
            }
            if more {
                self.at += 2;
                continue;
            }
            let partner = match &open[..1] {
                "[" => ["]", "]"],
                "(" => [")", ",)"],
                _ => ["}", " }"],
            };
            let close = partner.iter().find(|close| rest.starts_with(**close))?;
            self.at += close.len();
            let close = &rest[..close.len()];
            let hidden = items.last().map_or(Hidden::None, hidden);
            if hidden != Hidden::None {
                items.pop();
            }
            return Some(Group {
                open,
                items,
                close,
                hidden,
                width: width + close.len(),
            });
        }
    }

    /// Moves behind a string, at whose opening quote it stands.
    fn string(&mut self) -> Option<()> {
        let bytes = self.text.as_bytes();
        self.at += 1;
        loop {
            match bytes.get(self.at)? {
                b'"' => break,
                b'\\' => self.at += 2,
                0..=31 | 127 => return None,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(())
    }

    /// Moves behind a character such as `'"'`; a quote that begins none is a letter like others.
    fn character(&mut self) {
        let rest = &self.text[self.at + 1..];
        let mut letters = rest.char_indices();
        let inside = match letters.next() {
            Some((_, '\\')) => match letters.next() {
                Some((_, 'u')) => rest.find('}').map(|end| end + 1),
                Some((at, letter)) => Some(at + letter.len_utf8()),
                None => None,
            },
            Some((_, letter)) => Some(letter.len_utf8()),
            None => None,
        };
        self.at += match inside {
            Some(inside) if rest[inside..].starts_with('\'') => inside + 2,
            _ => 1,
        };
    }
}
