//! Keys that differ from rustyline's own: line breaks bring the continuation margin with them, and keys
//! that meet a margin step over it as if it were part of the line break.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustyline::{
    CharSearch, Cmd, ConditionalEventHandler, EditMode, Event, EventContext, EventHandler,
    InputMode, KeyCode, KeyEvent, Modifiers, Movement, RepeatCount,
};

use crate::cell::completeness::{Completeness, completeness};
use crate::repl::continuation::{self, PAD};

/// What a key does to a margin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    /// Accepts a complete cell, breaks the line of another.
    Enter,
    /// Always breaks the line.
    Break,
    /// Indents where only white space stands before the cursor; completes elsewhere.
    Tab,
    Left,
    Right,
    Home,
    Backspace,
    Delete,
    KillToStart,
    KillToEnd,
}

const INDENT: &str = "    ";

/// All bindings, for `Editor::bind_sequence`. `margin` is the width of the continuation margin.
pub fn bindings(margin: &Arc<AtomicUsize>) -> Vec<(Event, EventHandler)> {
    let plain = |code| KeyEvent(code, Modifiers::NONE);
    let vi = |c| KeyEvent(KeyCode::Char(c), Modifiers::NONE);
    let keys = [
        (plain(KeyCode::Enter), Key::Enter),
        (KeyEvent::ctrl('J'), Key::Enter),
        (KeyEvent(KeyCode::Enter, Modifiers::ALT), Key::Break),
        (KeyEvent::new('\n', Modifiers::ALT), Key::Break),
        (plain(KeyCode::Tab), Key::Tab),
        (plain(KeyCode::Left), Key::Left),
        (KeyEvent::ctrl('B'), Key::Left),
        (plain(KeyCode::Right), Key::Right),
        (KeyEvent::ctrl('F'), Key::Right),
        (plain(KeyCode::Home), Key::Home),
        (KeyEvent::ctrl('A'), Key::Home),
        (plain(KeyCode::Backspace), Key::Backspace),
        (KeyEvent::ctrl('H'), Key::Backspace),
        (plain(KeyCode::Delete), Key::Delete),
        (KeyEvent::ctrl('D'), Key::Delete),
        (KeyEvent::ctrl('U'), Key::KillToStart),
        (KeyEvent::ctrl('K'), Key::KillToEnd),
    ];
    // In vi's command mode only; typed in insert mode they are text.
    let commands = [
        ('h', Key::Left),
        ('l', Key::Right),
        ('0', Key::Home),
        ('^', Key::Home),
        ('x', Key::Delete),
        ('X', Key::Backspace),
        ('D', Key::KillToEnd),
    ];
    let handler = |key, command| {
        let margin = Arc::clone(margin);
        EventHandler::Conditional(Box::new(MarginKey {
            key,
            command,
            margin,
        }))
    };
    let keys = keys.map(|(event, key)| (Event::from(event), handler(key, false)));
    let commands = commands.map(|(c, key)| (Event::from(vi(c)), handler(key, true)));
    keys.into_iter().chain(commands).collect()
}

struct MarginKey {
    key: Key,
    /// Only in vi's command mode.
    command: bool,
    margin: Arc<AtomicUsize>,
}

impl ConditionalEventHandler for MarginKey {
    fn handle(
        &self,
        event: &Event,
        n: RepeatCount,
        positive: bool,
        ctx: &EventContext,
    ) -> Option<Cmd> {
        let in_command = ctx.mode() == EditMode::Vi && ctx.input_mode() == InputMode::Command;
        // Counts (`3h`) keep rustyline's meaning; 0 is its way to say that there is none.
        if (self.command && !in_command) || n > 1 || !positive {
            return None;
        }
        // Ctrl-D ends the input in vi's modes.
        if ctx.mode() == EditMode::Vi && event.get(0) == Some(&KeyEvent::ctrl('D')) {
            return None;
        }
        // In vi's command mode Backspace moves.
        let key = match self.key {
            Key::Backspace if in_command && !self.command => Key::Left,
            key => key,
        };
        if key == Key::Right && ctx.has_hint() && ctx.pos() == ctx.line().len() {
            return None;
        }
        command(
            key,
            ctx.line(),
            ctx.pos(),
            self.margin.load(Ordering::Relaxed),
        )
    }
}

/// The command for a key with the cursor at `pos`; `None` for rustyline's own. rustyline overwrites
/// counts in what is returned here, so these say by a character how far to go.
fn command(key: Key, line: &str, pos: usize, width: usize) -> Option<Cmd> {
    let (head, tail) = (&line[..pos], &line[pos..]);
    let code_start = head.len()
        - head
            .rsplit('\n')
            .next()
            .map_or(0, |l| l.trim_start_matches(PAD).len());
    let has_margin = head[..code_start].ends_with(PAD);
    let to_code = Movement::ViCharSearch(1, CharSearch::BackwardAfter(PAD));
    let to_break = Movement::ViCharSearch(1, CharSearch::Backward('\n'));
    match key {
        Key::Enter if completeness(&continuation::strip(line)) == Completeness::Complete => {
            Some(Cmd::AcceptOrInsertLine {
                accept_in_the_middle: true,
            })
        }
        Key::Enter | Key::Break => Some(Cmd::Insert(1, continuation::line_break(width))),
        Key::Tab => {
            let blank = line.contains('\n') && head[code_start..].trim().is_empty();
            blank.then(|| Cmd::Insert(1, INDENT.to_owned()))
        }
        Key::Left if has_margin && code_start == pos => Some(Cmd::Move(to_break)),
        Key::Backspace if has_margin && code_start == pos => Some(Cmd::Kill(to_break)),
        Key::Home if has_margin => Some(Cmd::Move(to_code)),
        Key::KillToStart if has_margin && code_start < pos => Some(Cmd::Kill(to_code)),
        Key::KillToStart if has_margin => Some(Cmd::Kill(to_break)),
        Key::Right => next_line(tail, CharSearch::Forward).map(Cmd::Move),
        Key::Delete | Key::KillToEnd => next_line(tail, CharSearch::ForwardBefore).map(Cmd::Kill),
        _ => None,
    }
}

/// From a line break to the first character behind the margin that follows it.
fn next_line(tail: &str, search: fn(char) -> CharSearch) -> Option<Movement> {
    let code = tail.strip_prefix('\n')?.trim_start_matches(PAD);
    if code.len() + 1 == tail.len() {
        return None;
    }
    Some(match code.chars().next() {
        Some(c) => Movement::ViCharSearch(1, search(c)),
        None => Movement::EndOfBuffer,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repl::continuation::pad;

    fn at(key: Key, line: &str, pos: usize) -> Option<Cmd> {
        command(key, line, pos, 8)
    }

    #[test]
    fn enter_accepts_what_is_complete_and_breaks_what_is_not() {
        assert!(matches!(
            at(Key::Enter, "1 + 1", 0),
            Some(Cmd::AcceptOrInsertLine { .. })
        ));
        assert_eq!(
            at(Key::Enter, "f(", 2),
            Some(Cmd::Insert(1, continuation::line_break(8)))
        );
        assert_eq!(
            at(Key::Break, "1", 1),
            Some(Cmd::Insert(1, continuation::line_break(8)))
        );
        let padded = pad("f(\n1)", 8);
        assert!(matches!(
            at(Key::Enter, &padded, 0),
            Some(Cmd::AcceptOrInsertLine { .. })
        ));
    }

    #[test]
    fn a_margin_is_crossed_at_one_stroke() {
        let line = pad("f(\nab\n", 8);
        let second = line.find("ab").expect("the second line");
        let to_break = Movement::ViCharSearch(1, CharSearch::Backward('\n'));
        assert_eq!(
            at(Key::Left, &line, second),
            Some(Cmd::Move(to_break.clone()))
        );
        assert_eq!(at(Key::Backspace, &line, second), Some(Cmd::Kill(to_break)));
        assert_eq!(at(Key::Left, &line, second + 1), None);
        let to_code = Movement::ViCharSearch(1, CharSearch::BackwardAfter(PAD));
        assert_eq!(
            at(Key::Home, &line, second + 2),
            Some(Cmd::Move(to_code.clone()))
        );
        assert_eq!(
            at(Key::KillToStart, &line, second + 2),
            Some(Cmd::Kill(to_code))
        );
        // To the first character behind the margin, or to the end where there is none.
        let to_a = Movement::ViCharSearch(1, CharSearch::Forward('a'));
        assert_eq!(at(Key::Right, &line, 2), Some(Cmd::Move(to_a)));
        let before_a = Movement::ViCharSearch(1, CharSearch::ForwardBefore('a'));
        assert_eq!(at(Key::Delete, &line, 2), Some(Cmd::Kill(before_a)));
        assert_eq!(
            at(Key::Right, &line, second + 2),
            Some(Cmd::Move(Movement::EndOfBuffer))
        );
    }

    #[test]
    fn text_without_margins_is_left_to_rustyline() {
        for key in [
            Key::Left,
            Key::Right,
            Key::Home,
            Key::Backspace,
            Key::Delete,
            Key::KillToStart,
        ] {
            for pos in 0..=5 {
                assert_eq!(at(key, "ab\ncd", pos), None, "{key:?} at {pos}");
            }
        }
    }

    #[test]
    fn tab_indents_only_empty_beginnings_of_later_lines() {
        let line = pad("f(\n", 8);
        assert_eq!(
            at(Key::Tab, &line, line.len()),
            Some(Cmd::Insert(1, INDENT.to_owned()))
        );
        assert_eq!(at(Key::Tab, "", 0), None);
        assert_eq!(at(Key::Tab, "f(\nfi", 5), None);
    }
}
