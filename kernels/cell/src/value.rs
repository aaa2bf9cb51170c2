//! Values on their way to the user's eyes.

use std::any::{TypeId, type_name};
use std::fmt::{self, Debug, Write as _};

use crate::catch::caught;
use crate::host::{Bytes, host, take_panic};

/// The most that one value's text may take, in bytes; the rest is counted, not shown.
const LONGEST: usize = 256 * 1024;

/// The same for `%show`, which was asked for the whole.
const LONGEST_WHOLE: usize = 64 * 1024 * 1024;

/// So many bytes more are written, into nothing, to count how many entries are left out.
const COUNTED: usize = 4 * 1024 * 1024;

/// Shows the value of a cell's last expression. evcxr looks for a method of this name first, so a type can
/// still bring its own.
pub trait CellValue {
    fn evcxr_display(&self);
}

impl<T: Debug + ?Sized> CellValue for T {
    fn evcxr_display(&self) {
        show_debug(&self, length(self), type_name::<T>());
    }
}

// Compiled once, and not with every cell.
#[inline(never)]
fn show_debug(value: &dyn Debug, length: Option<usize>, type_name: &str) {
    show(&text_up_to(value, LONGEST, length), type_name);
}

#[inline(never)]
pub(crate) fn show(text: &str, type_name: &str) {
    (host().show)(
        Bytes::of(b"text/plain"),
        Bytes::of(text.as_bytes()),
        Bytes::of(type_name.as_bytes()),
    );
}

/// The `Debug` text, cut at [`LONGEST`] bytes so that a huge value neither fills memory nor the screen. What
/// was left out of a list is counted as far as that is cheap: `[0, 1, … 9998 more]`. For what stands beside values: a
/// `Debug` that panics is told in it, and ends nothing.
pub(crate) fn debug_text<T: Debug + ?Sized>(value: &T) -> String {
    text_beside(&value, length(value))
}

#[inline(never)]
fn text_beside(value: &dyn Debug, length: Option<usize>) -> String {
    let mut text = None;
    caught(&mut || text = Some(text_up_to(value, LONGEST, length)));
    text.unwrap_or_else(|| {
        // It is told with this.
        let (message, _) = take_panic();
        format!("(its `Debug` panicked: {message})")
    })
}

/// The `Debug` text, for somebody who asked for all of it.
pub(crate) fn whole_text<T: Debug + ?Sized>(value: &T) -> String {
    text_up_to(&value, LONGEST_WHOLE, length(value))
}

/// How many elements a `Vec` or slice of numbers has, which are the ones that get long.
fn length<T: ?Sized>(value: &T) -> Option<usize> {
    // SAFETY: `typeid::of` tells types apart, so the pointer is one to the type that it names.
    unsafe {
        let pointer = (&raw const *value).cast();
        length_of(typeid::of::<T>(), pointer, size_of_val(value))
    }
}

/// # Safety
/// `value` points to a value of the type `id`, which takes so many bytes.
#[inline(never)]
unsafe fn length_of(id: TypeId, value: *const (), bytes: usize) -> Option<usize> {
    macro_rules! lists {
        ($($element:ty)*) => {$(
            if id == TypeId::of::<Vec<$element>>() {
                // SAFETY: it is this type, says the caller.
                return Some(unsafe { &*value.cast::<Vec<$element>>() }.len());
            }
            if id == TypeId::of::<[$element]>() {
                return Some(bytes / size_of::<$element>());
            }
        )*};
    }
    lists!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64 bool char String);
    None
}

#[inline(never)]
fn text_up_to(value: &dyn Debug, longest: usize, length: Option<usize>) -> String {
    let mut text = Shortened {
        text: String::new(),
        longest,
        beyond: None,
        counts: length.is_none(),
    };
    // Fails when it is given up, or when the type's own `Debug` does: both leave the text so far.
    let _ = write!(text, "{value:?}");
    match text.beyond {
        None => text.text,
        Some(beyond) => beyond.ended(text.text, length),
    }
}

struct Shortened {
    text: String,
    longest: usize,
    /// What came after `longest` bytes.
    beyond: Option<Beyond>,
    counts: bool,
}

impl fmt::Write for Shortened {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let (beyond, rest) = match &mut self.beyond {
            Some(beyond) => (beyond, part),
            None if self.text.len() + part.len() <= self.longest => {
                self.text.push_str(part);
                return Ok(());
            }
            none => {
                let (kept, rest) =
                    part.split_at(part.floor_char_boundary(self.longest - self.text.len()));
                self.text.push_str(kept);
                let mut brackets = Brackets::default();
                brackets.read(&self.text);
                brackets.totals = vec![None; brackets.open.len()];
                (none.insert(Beyond { brackets, bytes: 0 }), rest)
            }
        };
        beyond.bytes += rest.len();
        if !self.counts || beyond.bytes > COUNTED {
            return Err(fmt::Error);
        }
        beyond.brackets.read(rest);
        Ok(())
    }
}

/// A text's end that is not kept: its brackets, and how long it was.
struct Beyond {
    brackets: Brackets,
    bytes: usize,
}

impl Beyond {
    /// The text with its brackets closed, and with how many entries are left out of each.
    fn ended(self, mut text: String, length: Option<usize>) -> String {
        let mut kept = Brackets::default();
        kept.read(&text);
        // The entry in which it was cut is left out too.
        let entry = kept.open.last().map_or(0, |innermost| innermost.entry);
        if kept.unsound || entry < text.len() / 2 {
            text.push('…');
            return text;
        }
        text.truncate(entry);
        let behind = text.trim_end_matches([',', ' ']).len();
        if text.ends_with(", ") {
            text.truncate(behind);
        }
        for (depth, bracket) in kept.open.iter().enumerate().rev() {
            let within = depth + 1 < kept.open.len();
            let all = match length {
                Some(length) if depth == 0 => Some(length),
                _ => self.brackets.totals.get(depth).copied().flatten(),
            };
            let gap = if !within && bracket.entries == 0 {
                ""
            } else {
                ", "
            };
            let seen = bracket.entries + usize::from(within);
            match all.map(|all| all.saturating_sub(seen)) {
                Some(0) => {}
                Some(more) => text.push_str(&format!("{gap}… {more} more")),
                None => text.push_str(&format!("{gap}… more")),
            }
            text.push_str(match bracket.with {
                b'[' => "]",
                b'(' => ")",
                _ if bracket.spaced => " }",
                _ => "}",
            });
        }
        text
    }
}

/// Follows the brackets of a `Debug` text, and counts the entries between them.
#[derive(Default)]
struct Brackets {
    open: Vec<Bracket>,
    /// How many entries those had in all that were open when this was set, from the outermost on.
    totals: Vec<Option<usize>>,
    at: usize,
    quoted: bool,
    letter: Letter,
    escaped: bool,
    last: u8,
    unsound: bool,
}

/// A character between single quotes.
#[derive(Clone, Copy, Default)]
enum Letter {
    #[default]
    None,
    Opened,
    /// It has been read, and the closing quote should follow.
    Read,
    Escape,
}

#[derive(Clone, Copy)]
struct Bracket {
    with: u8,
    /// `{ `, as structs have it.
    spaced: bool,
    /// Where the entry under way begins.
    entry: usize,
    /// Entries before that one.
    entries: usize,
}

impl Brackets {
    fn read(&mut self, text: &str) {
        for byte in text.bytes() {
            self.step(byte);
            self.at += 1;
            self.last = byte;
        }
    }

    fn step(&mut self, byte: u8) {
        if std::mem::take(&mut self.escaped) {
            return;
        }
        if self.quoted {
            match byte {
                b'"' => self.quoted = false,
                b'\\' => self.escaped = true,
                _ => {}
            }
            return;
        }
        // The character `'"'` opens no string, and `'['` no list.
        match (self.letter, byte) {
            (Letter::None, b'\'') => self.letter = Letter::Opened,
            (Letter::Opened, b'\\') => (self.letter, self.escaped) = (Letter::Escape, true),
            (Letter::Opened, _) => self.letter = Letter::Read,
            (Letter::Read | Letter::Escape, b'\'') => self.letter = Letter::None,
            (Letter::Escape, _) | (Letter::Read, 0x80..=0xbf) => {}
            // It was an apostrophe.
            (Letter::Read, _) => {
                self.letter = Letter::None;
                self.structure(byte);
            }
            (Letter::None, _) => self.structure(byte),
        }
    }

    fn structure(&mut self, byte: u8) {
        match byte {
            b'"' => self.quoted = true,
            b'[' | b'(' | b'{' => self.open.push(Bracket {
                with: byte,
                spaced: false,
                entry: self.at + 1,
                entries: 0,
            }),
            b']' | b')' | b'}' => match self.open.pop() {
                Some(closed) => {
                    if let Some(total @ None) = self.totals.get_mut(self.open.len()) {
                        *total = Some(closed.entries + 1);
                    }
                }
                None => self.unsound = true,
            },
            b' ' => {
                if let Some(bracket) = self.open.last_mut() {
                    if self.last == b'{' && bracket.with == b'{' {
                        bracket.spaced = true;
                    }
                    if self.last == b',' {
                        bracket.entry = self.at + 1;
                        bracket.entries += 1;
                    }
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn cut(value: &dyn Debug, longest: usize) -> String {
        text_up_to(value, longest, None)
    }

    #[test]
    fn what_is_short_stays_whole() {
        assert_eq!(debug_text(&vec![1, 2, 3]), "[1, 2, 3]");
        assert_eq!(debug_text("a\"b"), "\"a\\\"b\"");
        assert_eq!(cut(&[1, 2, 3], 9), "[1, 2, 3]");
    }

    #[test]
    fn what_is_left_out_is_counted_in_each_list() {
        let numbers: Vec<u32> = (10..60).collect();
        assert_eq!(cut(&numbers, 19), "[10, 11, 12, 13, … 46 more]");
        assert_eq!(cut(&(1, &numbers), 19), "(1, [10, 11, 12, … 47 more])");
        let rows = vec![vec![10, 11]; 9];
        assert_eq!(cut(&rows, 25), "[[10, 11], [10, 11], [… 2 more], … 6 more]");
        let map: BTreeMap<u8, &str> = (1..6).map(|n| (n, "a, [b")).collect();
        assert_eq!(cut(&map, 25), "{1: \"a, [b\", 2: \"a, [b\", … 3 more}");
        let marks = vec!['"', '[', '\'', ','];
        assert_eq!(
            cut(&vec![marks; 3], 30),
            "[['\"', '[', '\\'', ','], ['\"', … 3 more], … 1 more]"
        );
        #[derive(Debug)]
        #[expect(dead_code, reason = "shown by its Debug")]
        struct Point {
            x: Vec<u32>,
            y: u8,
        }
        let point = Point { x: numbers, y: 1 };
        assert_eq!(
            cut(&point, 24),
            "Point { x: [10, 11, 12, … 47 more], … 1 more }"
        );
    }

    #[test]
    fn a_huge_list_is_not_written_out() {
        let numbers = vec![0.5_f64; 10_000_000];
        let text = debug_text(&numbers);
        assert!(text.len() < LONGEST + 40);
        let seen = text.matches("0.5").count();
        assert!(text.ends_with(&format!(", … {} more]", 10_000_000 - seen)));
        // Nobody counts these to the end.
        let pairs = vec![(1_u8, 2_u8); 3_000_000];
        assert!(debug_text(&pairs).ends_with("(1, 2), … more]"));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = "漢".repeat(100_000);
        let shown = debug_text(&text);
        assert!(shown.ends_with("漢…") && shown.len() < LONGEST + 4);
        let shown = debug_text(&vec![text; 2]);
        assert!(shown.ends_with('…'), "its begin says more than none of it");
    }
}
