//! What a child prints: cut into lines that harm no terminal, of which the last are kept. Both are bounded: a child may
//! print without end, and without ever ending a line.

use std::collections::VecDeque;

use crate::outcome::{ChildLine, Stream};

/// Bytes of a line; a longer one is cut into lines of so many.
const LONGEST: usize = 8 * 1024;

/// What is kept of a child's lines.
const KEPT_BYTES: usize = 256 * 1024;
const KEPT_LINES: usize = 10_000;

const ESCAPE: u8 = 0x1b;

/// One stream of a child, from bytes to lines.
#[derive(Debug, Default)]
pub struct Cutter {
    /// A line that has not ended.
    open: Vec<u8>,
}

impl Cutter {
    /// Takes bytes as they come in, and gives the lines that end in them.
    pub fn push(&mut self, mut bytes: &[u8], line: &mut dyn FnMut(String)) {
        while !bytes.is_empty() {
            let room = LONGEST - self.open.len();
            let within = &bytes[..bytes.len().min(room)];
            if let Some(end) = within.iter().position(|byte| *byte == b'\n') {
                self.open.extend_from_slice(&bytes[..end]);
                bytes = &bytes[end + 1..];
                line(clean(&std::mem::take(&mut self.open)));
                continue;
            }
            self.open.extend_from_slice(within);
            bytes = &bytes[within.len()..];
            if self.open.len() == LONGEST {
                let rest = self.open.split_off(whole_characters(&self.open));
                line(clean(&std::mem::replace(&mut self.open, rest)));
            }
        }
    }

    /// The line that has not ended, when nothing more can come.
    pub fn finish(&mut self) -> Option<String> {
        let open = std::mem::take(&mut self.open);
        (!open.is_empty()).then(|| clean(&open))
    }

    /// What is there of the line that has not ended.
    pub fn open(&self) -> Option<String> {
        (!self.open.is_empty()).then(|| clean(&self.open))
    }
}

/// The length without the beginning of a character at the end.
pub fn whole_characters(bytes: &[u8]) -> usize {
    let last = bytes.len().saturating_sub(3);
    let begins = |byte: &u8| *byte >= 0xC0;
    let Some(at) = bytes[last..].iter().rposition(begins).map(|at| last + at) else {
        return bytes.len();
    };
    match std::str::from_utf8(&bytes[at..]) {
        Err(error) if error.error_len().is_none() => at,
        _ => bytes.len(),
    }
}

/// A line as it may stand in a terminal beside others: its colours stay and end with it, a progress bar stands as it was
/// last drawn, and nothing moves the cursor.
fn clean(line: &[u8]) -> String {
    let is_plain = |byte: &u8| *byte >= b' ' && *byte != 0x7f;
    if line.iter().all(|byte| is_plain(byte) || *byte == b'\t') {
        return steering_none(line);
    }
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let drawn = line.rsplit(|byte| *byte == b'\r').next();
    let line = drawn.unwrap_or(line);
    let mut kept = Vec::with_capacity(line.len());
    let mut coloured = false;
    let mut at = 0;
    while let Some(byte) = line.get(at) {
        if *byte == ESCAPE {
            let (length, colour) = sequence(&line[at..]);
            if colour {
                kept.extend_from_slice(&line[at..at + length]);
                coloured = true;
            }
            at += length;
            continue;
        }
        if is_plain(byte) || *byte == b'\t' {
            kept.push(*byte);
        }
        at += 1;
    }
    if coloured {
        kept.extend_from_slice(b"\x1b[0m");
    }
    steering_none(&kept)
}

/// The text without the letters beyond ASCII that steer a terminal.
fn steering_none(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let steers = |letter: char| ('\u{80}'..'\u{a0}').contains(&letter);
    match text.chars().any(steers) {
        true => text.chars().filter(|letter| !steers(*letter)).collect(),
        false => text.into_owned(),
    }
}

/// The length of a control sequence, and whether it sets a colour or the like.
fn sequence(bytes: &[u8]) -> (usize, bool) {
    match bytes.get(1) {
        Some(b'[') => {
            let end = bytes[2..]
                .iter()
                .position(|byte| !(0x20..0x40).contains(byte));
            match end.map(|end| end + 2) {
                Some(end) => (end + 1, bytes[end] == b'm'),
                None => (bytes.len(), false),
            }
        }
        // A title or a link, up to a bell or ESC \.
        Some(b']' | b'P' | b'X' | b'^' | b'_') => {
            let bell = bytes.iter().position(|byte| *byte == 0x07);
            let string = bytes.windows(2).position(|two| two == b"\x1b\\");
            let end = match (bell.map(|at| at + 1), string.map(|at| at + 2)) {
                (Some(one), Some(other)) => one.min(other),
                (one, other) => one.or(other).unwrap_or(bytes.len()),
            };
            (end, false)
        }
        Some(_) => (2, false),
        None => (1, false),
    }
}

/// The last lines of a child.
#[derive(Debug, Default)]
pub struct Log {
    lines: VecDeque<ChildLine>,
    bytes: usize,
}

impl Log {
    pub fn push(&mut self, line: ChildLine) {
        self.bytes += line.text.len();
        self.lines.push_back(line);
        while self.bytes > KEPT_BYTES || self.lines.len() > KEPT_LINES {
            let Some(first) = self.lines.pop_front() else {
                break;
            };
            self.bytes -= first.text.len();
        }
    }

    /// The last so many.
    pub fn last(&self, lines: usize) -> Vec<ChildLine> {
        let from = self.lines.len().saturating_sub(lines);
        self.lines.range(from..).cloned().collect()
    }
}

/// The two streams of a child and what is kept of them.
#[derive(Debug, Default)]
pub struct Printed {
    out: Cutter,
    err: Cutter,
    pub log: Log,
}

impl Printed {
    fn cutter(&mut self, stream: Stream) -> &mut Cutter {
        match stream {
            Stream::Stdout => &mut self.out,
            Stream::Stderr => &mut self.err,
        }
    }

    /// Takes bytes, and gives the lines that end in them.
    pub fn push(&mut self, stream: Stream, bytes: &[u8]) -> Vec<ChildLine> {
        let mut lines = Vec::new();
        self.cutter(stream)
            .push(bytes, &mut |text| lines.push(ChildLine { stream, text }));
        lines.iter().for_each(|line| self.log.push(line.clone()));
        lines
    }

    /// What is there of a stream's line that has not ended.
    pub fn open(&self, stream: Stream) -> Option<String> {
        match stream {
            Stream::Stdout => self.out.open(),
            Stream::Stderr => self.err.open(),
        }
    }

    /// A stream has ended.
    pub fn finish(&mut self, stream: Stream) -> Option<ChildLine> {
        let text = self.cutter(stream).finish()?;
        let line = ChildLine { stream, text };
        self.log.push(line.clone());
        Some(line)
    }

    /// The last line that says something, also when it has not ended.
    pub fn last_line(&self) -> String {
        let open = self.out.open().or_else(|| self.err.open());
        let said = |text: &String| !text.trim().is_empty();
        open.filter(said).unwrap_or_else(|| {
            let lines = self.log.lines.iter().rev().take(100);
            let mut lines = lines.map(|line| &line.text);
            lines.find(|text| said(text)).cloned().unwrap_or_default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_cut_only_at_the_end() {
        for (bytes, whole) in [
            (&b"abc"[..], 3),
            ("aé".as_bytes(), 3),
            (&"aé".as_bytes()[..2], 1),
            (&"a😀".as_bytes()[..4], 1),
            (b"\xff\xffa", 3),
            (&b"\xff\xc3"[..], 1),
            (b"", 0),
        ] {
            assert_eq!(whole_characters(bytes), whole, "{bytes:?}");
        }
    }

    fn lines(parts: &[&[u8]]) -> Vec<String> {
        let mut cutter = Cutter::default();
        let mut lines = Vec::new();
        for part in parts {
            cutter.push(part, &mut |line| lines.push(line));
        }
        lines.extend(cutter.finish());
        lines
    }

    #[test]
    fn lines_are_whole_wherever_the_stream_is_cut() {
        let text = "one\n\nzwei ä 漢\r\nno end".as_bytes();
        for cut in 1..text.len() {
            let parts: Vec<&[u8]> = text.chunks(cut).collect();
            assert_eq!(lines(&parts), ["one", "", "zwei ä 漢", "no end"], "{cut}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_cut_between_characters() {
        let text = "a".to_owned() + &"漢".repeat(LONGEST);
        let shown = lines(&[text.as_bytes()]);
        assert_eq!(shown.concat(), text);
        assert!(shown.iter().all(|line| line.len() <= LONGEST), "bounded");
        assert!(shown.len() > 3);
    }

    #[test]
    fn colours_stay_and_end_with_their_line_and_nothing_moves_the_cursor() {
        for (printed, shown) in [
            (&b"\x1b[31mred"[..], "\x1b[31mred\x1b[0m"),
            (
                b"\x1b[1;38;5;9mred\x1b[0m end",
                "\x1b[1;38;5;9mred\x1b[0m end\x1b[0m",
            ),
            (b"\x1b[2J\x1b[Hhome\x1b[3A", "home"),
            (b"a\x1b]0;title\x07b\x1b]8;;http://x\x1b\\c", "abc"),
            (b"\x1b(Bcharset\x1bc", "Bcharset"),
            (b"10 %\r50 %\r100 %", "100 %"),
            (b"100 %\r", "100 %"),
            (b"b\x07e\x08l\x00l\x7f\ttab", "bell\ttab"),
            (b"\xff\xfe binary \x80", "\u{fffd}\u{fffd} binary \u{fffd}"),
            ("c1 \u{9b}31m".as_bytes(), "c1 31m"),
            (b"cut \x1b[31", "cut "),
            (b"\x1b", ""),
        ] {
            assert_eq!(lines(&[printed]).concat(), shown, "{printed:?}");
        }
    }

    #[test]
    fn the_last_lines_are_kept_and_all_are_counted() {
        let mut printed = Printed::default();
        for number in 0..50_000 {
            printed.push(Stream::Stdout, format!("line {number}\n").as_bytes());
        }
        printed.push(Stream::Stderr, b"oops\n\n  \nhalf");
        assert!(printed.log.lines.len() <= KEPT_LINES && printed.log.bytes <= KEPT_BYTES);
        let last = printed.log.last(4);
        assert_eq!(last[0].text, "line 49999");
        assert_eq!((last[1].stream, &*last[1].text), (Stream::Stderr, "oops"));
        assert_eq!(printed.last_line(), "half");
        assert_eq!(
            printed.finish(Stream::Stderr).map(|line| line.text),
            Some("half".into())
        );
        assert_eq!(printed.finish(Stream::Stderr), None);
        printed.push(Stream::Stdout, b"\n \n");
        assert_eq!(printed.last_line(), "half");
        let long = vec![b'x'; 10 * KEPT_BYTES];
        printed.push(Stream::Stdout, &long);
        assert!(printed.log.bytes <= KEPT_BYTES);
    }
}
