//! What a session sent to its terminal, collected by a thread, and read as a person would. It tells cells'
//! output from the line editor's by the editor's own marks: bracketed paste is on while it reads.

use std::fs::File;
use std::io::Read as _;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The editor begins and ends to read.
const READING: &str = "\x1b[?2004h";
const READ: &str = "\x1b[?2004l";

#[derive(Clone, Default)]
pub struct Screen(Arc<(Mutex<Vec<u8>>, Condvar)>);

impl Screen {
    /// Collects all that comes out of the terminal until it is closed.
    pub fn new(mut terminal: File) -> Self {
        let screen = Self::default();
        let collected = screen.clone();
        std::thread::spawn(move || {
            let mut bytes = vec![0; 1 << 16];
            // Linux gives an error, not an end, when the last process has left the terminal.
            while let Ok(count @ 1..) = terminal.read(&mut bytes) {
                let mut all = collected.0.0.lock().unwrap_or_else(PoisonError::into_inner);
                all.extend(&bytes[..count]);
                collected.0.1.notify_all();
            }
        });
        screen
    }

    pub fn len(&self) -> usize {
        self.0
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// What came from this byte on.
    pub fn text(&self, from: usize) -> String {
        let all = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&all[from..]).into_owned()
    }

    /// Waits until `find` finds something in what came from this byte on.
    pub fn wait<T>(
        &self,
        from: usize,
        within: Duration,
        find: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let until = Instant::now() + within;
        let (bytes, changed) = &*self.0;
        let mut all = bytes.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(found) = find(&String::from_utf8_lossy(&all[from..])) {
                return Some(found);
            }
            let left = until.checked_duration_since(Instant::now())?;
            all = changed
                .wait_timeout(all, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// What stands between the end of an input and the next prompt, as plain text.
pub fn between_prompts(raw: &str) -> Option<String> {
    let (before, prompt) = raw.rsplit_once(READING)?;
    let (_, number) = prompt.split_once("In [")?;
    number.split_once("]: ")?;
    // At the very first prompt nothing was read before.
    let output = before
        .rsplit_once(READ)
        .map_or(before, |(_, output)| output);
    Some(plain(output))
}

/// What came after the first input was read; `None` while that is still edited.
pub fn after_input(raw: &str) -> Option<&str> {
    raw.split_once(READ).map(|(_, output)| output)
}

/// Text as it stays on a screen: control sequences carried out as far as they move within what was written
/// and erase it.
pub fn plain(raw: &str) -> String {
    let mut lines: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0, 0);
    let mut rest = raw.chars();
    while let Some(letter) = rest.next() {
        let line = &mut lines[row];
        match letter {
            '\n' => {
                row += 1;
                column = 0;
                if row == lines.len() {
                    lines.push(Vec::new());
                }
            }
            '\r' => column = 0,
            '\x1b' => match sequence(&mut rest) {
                Some(('K', "2")) => line.clear(),
                Some(('K', _)) => line.truncate(column),
                Some(('J', "" | "0")) => {
                    line.truncate(column);
                    lines.truncate(row + 1);
                }
                Some(('A', by)) => row = row.saturating_sub(by.parse().unwrap_or(1)),
                Some(('G', to)) => column = to.parse::<usize>().unwrap_or(1).saturating_sub(1),
                Some(('C', by)) => column += by.parse::<usize>().unwrap_or(1),
                _ => {}
            },
            letter => {
                line.resize(line.len().max(column + 1), ' ');
                line[column] = letter;
                column += 1;
            }
        }
    }
    let lines: Vec<String> = lines.into_iter().map(String::from_iter).collect();
    lines.join("\n").trim_start_matches('\n').to_owned()
}

/// What stands behind an escape: the letter that ends the sequence, and its parameters.
fn sequence<'a>(rest: &mut std::str::Chars<'a>) -> Option<(char, &'a str)> {
    let text = rest.as_str().strip_prefix('[')?;
    let length = text.find(|letter: char| letter.is_ascii_alphabetic())?;
    let (parameters, end) = text.split_at(length);
    *rest = end.chars();
    Some((rest.next()?, parameters))
}
