//! What user code prints, freed of the lines by which generated code tells how it went.

use crate::outcome::Stream;

/// What generated code tells through standard output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Text of the user's.
    Text(Stream, String),
    Panicked,
    /// A `?` returned early.
    Errored,
    /// The variable's type was redefined; the cell has not run.
    ChangedType(String),
    /// Rich output: MIME type and content.
    Content(String, String),
}

const MARK: &[u8] = b"EVCXR_";
const PANIC: &str = "EVCXR_PANIC_NOTIFICATION";
const ERROR: &str = "EVCXR_ERROR_OCCURRED";
const CHANGED: &str = "EVCXR_VARIABLE_CHANGED_TYPE:";
const BEGIN: &str = "EVCXR_BEGIN_CONTENT ";
const END: &str = "EVCXR_END_CONTENT";

/// Said on standard error beside [`CHANGED`]; the session says it itself.
const LOST: (&str, &str) = ("The type of the variable ", " was redefined, so was lost.");

/// One stream of one engine.
#[derive(Debug)]
pub struct Prints {
    stream: Stream,
    /// Give whole lines only.
    whole_lines: bool,
    waiting: Vec<u8>,
    content: Option<(String, String)>,
}

impl Prints {
    pub fn new(stream: Stream, whole_lines: bool) -> Self {
        Self {
            stream,
            whole_lines,
            waiting: Vec::new(),
            content: None,
        }
    }

    /// Takes bytes as they come in.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Told> {
        self.waiting.extend_from_slice(bytes);
        let mut told = Vec::new();
        while let Some(end) = self.waiting.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.waiting.drain(..=end).collect();
            self.line(&String::from_utf8_lossy(&line), &mut told);
        }
        if !self.whole_lines && self.content.is_none() {
            self.partial_line(&mut told);
        }
        told
    }

    /// The rest, when nothing more can come.
    pub fn finish(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        let rest = std::mem::take(&mut self.waiting);
        if !rest.is_empty() {
            let mut line = String::from_utf8_lossy(&rest).into_owned();
            if self.whole_lines {
                line.push('\n');
            }
            self.line(&line, &mut told);
        }
        if let Some((mime, text)) = self.content.take() {
            told.push(Told::Content(mime, text));
        }
        told
    }

    /// Gives the unfinished line as far as it can't be a mark's beginning.
    fn partial_line(&mut self, told: &mut Vec<Told>) {
        let lost = LOST.0.as_bytes();
        if self.stream == Stream::Stderr
            && (lost.starts_with(&self.waiting) || self.waiting.starts_with(lost))
        {
            return;
        }
        let held = (0..self.waiting.len())
            .find(|&at| {
                let rest = &self.waiting[at..];
                MARK.starts_with(&rest[..rest.len().min(MARK.len())])
            })
            .unwrap_or(self.waiting.len());
        let whole = match std::str::from_utf8(&self.waiting[..held]) {
            Ok(_) => held,
            // A character that is cut in two waits for its other half, at most three bytes.
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => held,
        };
        if whole > 0 {
            let text: Vec<u8> = self.waiting.drain(..whole).collect();
            push_text(told, self.stream, &String::from_utf8_lossy(&text));
        }
    }

    fn line(&mut self, line: &str, told: &mut Vec<Told>) {
        let bare = line.trim_end_matches(['\n', '\r']);
        if let Some((_, text)) = &mut self.content {
            if bare == END || bare.ends_with(PANIC) {
                let (mime, text) = self.content.take().unwrap_or_default();
                told.push(Told::Content(mime, text));
                if bare.ends_with(PANIC) {
                    told.push(Told::Panicked);
                }
            } else {
                if !text.is_empty() {
                    text.push('\n');
                }
                text.push_str(bare);
            }
            return;
        }
        if self.stream == Stream::Stderr {
            if !(bare.starts_with(LOST.0) && bare.ends_with(LOST.1)) {
                push_text(told, self.stream, line);
            }
            return;
        }
        // User code may have printed the beginning of the line.
        let (before, mark) = if let Some(before) = bare.strip_suffix(PANIC) {
            (before, Some(Told::Panicked))
        } else if let Some(before) = bare.strip_suffix(ERROR) {
            (before, Some(Told::Errored))
        } else if let Some((before, name)) = bare.split_once(CHANGED) {
            (before, Some(Told::ChangedType(name.to_owned())))
        } else if let Some((before, mime)) = bare.split_once(BEGIN) {
            self.content = Some((mime.to_owned(), String::new()));
            (before, None)
        } else {
            push_text(told, self.stream, line);
            return;
        };
        if !before.is_empty() {
            let end = if self.whole_lines { "\n" } else { "" };
            push_text(told, self.stream, &format!("{before}{end}"));
        }
        told.extend(mark);
    }
}

fn push_text(told: &mut Vec<Told>, stream: Stream, text: &str) {
    if let Some(Told::Text(_, last)) = told.last_mut() {
        last.push_str(text);
    } else {
        told.push(Told::Text(stream, text.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Told {
        Told::Text(Stream::Stdout, text.to_owned())
    }

    #[test]
    fn marks_are_taken_out_wherever_the_stream_is_cut() {
        let stream = b"one\ntwoEVCXR_PANIC_NOTIFICATION\nEVCXR_BEGIN_CONTENT text/html\n<b>\n</b>\nEVCXR_END_CONTENT\nEVCXR_none\n";
        for cut in 1..stream.len() {
            let mut prints = Prints::new(Stream::Stdout, true);
            let mut told: Vec<Told> = stream
                .chunks(cut)
                .flat_map(|part| prints.push(part))
                .collect();
            told.extend(prints.finish());
            let mut texts = String::new();
            let mut others = Vec::new();
            for one in told {
                match one {
                    Told::Text(_, text) => texts.push_str(&text),
                    other => others.push(other),
                }
            }
            assert_eq!(texts, "one\ntwo\nEVCXR_none\n", "cut {cut}");
            let html = Told::Content("text/html".to_owned(), "<b>\n</b>".to_owned());
            assert_eq!(others, [Told::Panicked, html], "cut {cut}");
        }
    }

    #[test]
    fn the_local_engine_s_unfinished_line_shows_at_once() {
        let mut prints = Prints::new(Stream::Stdout, false);
        assert_eq!(prints.push(b"50 %\r"), [text("50 %\r")]);
        assert_eq!(prints.push(b"EV"), []);
        assert_eq!(prints.push(b"EN"), [text("EVEN")]);
        assert_eq!(prints.push("ä".as_bytes().split_at(1).0), []);
        assert_eq!(prints.push("ä".as_bytes().split_at(1).1), [text("ä")]);
    }

    #[test]
    fn what_generated_code_says_of_a_lost_variable_is_left_out_piece_by_piece() {
        let mut prints = Prints::new(Stream::Stderr, false);
        for piece in [
            "The type of the variable ",
            "x",
            " was redefined, so was lost.\n",
        ] {
            assert_eq!(prints.push(piece.as_bytes()), []);
        }
        let told = prints.push(b"The typist\n");
        assert_eq!(
            told,
            [Told::Text(Stream::Stderr, "The typist\n".to_owned())]
        );
    }

    #[test]
    fn an_engine_s_last_line_is_made_whole() {
        let mut prints = Prints::new(Stream::Stdout, true);
        assert_eq!(prints.push(b"no newline"), []);
        assert_eq!(prints.finish(), [text("no newline\n")]);
    }
}
