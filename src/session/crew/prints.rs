//! What user code prints, and the rich output in it: blocks between `EVCXR_BEGIN_CONTENT text/html` and
//! `EVCXR_END_CONTENT`, which crates such as plotters print. Nothing else in it means anything: how a cell went
//! is told by other ways.

use crate::outcome::Stream;

/// What came through a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Text of the user's.
    Text(Stream, String),
    /// Rich output: MIME type and content.
    Content(String, String),
}

const BEGIN: &str = "EVCXR_BEGIN_CONTENT ";
const END: &str = "EVCXR_END_CONTENT";

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
        let mark = BEGIN.as_bytes();
        let held = (0..self.waiting.len())
            .find(|&at| {
                let rest = &self.waiting[at..];
                let common = rest.len().min(mark.len());
                self.stream == Stream::Stdout && mark.starts_with(&rest[..common])
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
            if bare == END {
                let (mime, text) = self.content.take().unwrap_or_default();
                told.push(Told::Content(mime, text));
            } else {
                if !text.is_empty() {
                    text.push('\n');
                }
                text.push_str(bare);
            }
            return;
        }
        // User code may have printed the beginning of the line.
        match bare.split_once(BEGIN) {
            Some((before, mime)) if self.stream == Stream::Stdout => {
                self.content = Some((mime.to_owned(), String::new()));
                if !before.is_empty() {
                    let end = if self.whole_lines { "\n" } else { "" };
                    push_text(told, self.stream, &format!("{before}{end}"));
                }
            }
            _ => push_text(told, self.stream, line),
        }
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
    fn rich_output_is_taken_out_wherever_the_stream_is_cut_and_nothing_else_is() {
        let stream =
            b"one\ntwoEVCXR_BEGIN_CONTENT text/html\n<b>\nEVCXR_PANIC_NOTIFICATION\n</b>\n\
            EVCXR_END_CONTENT\nEVCXR_PANIC_NOTIFICATION\nEVCXR_ERROR_OCCURRED\n\
            EVCXR_VARIABLE_CHANGED_TYPE:x\nEVCXR_END_CONTENT\n";
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
                    other @ Told::Content(..) => others.push(other),
                }
            }
            assert_eq!(
                texts,
                "one\ntwo\nEVCXR_PANIC_NOTIFICATION\nEVCXR_ERROR_OCCURRED\n\
                 EVCXR_VARIABLE_CHANGED_TYPE:x\nEVCXR_END_CONTENT\n",
                "cut {cut}"
            );
            let html = "<b>\nEVCXR_PANIC_NOTIFICATION\n</b>".to_owned();
            let html = Told::Content("text/html".to_owned(), html);
            assert_eq!(others, [html], "cut {cut}");
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
    fn an_engine_s_last_line_is_made_whole() {
        let mut prints = Prints::new(Stream::Stdout, true);
        assert_eq!(prints.push(b"no newline"), []);
        assert_eq!(prints.finish(), [text("no newline\n")]);
    }
}
