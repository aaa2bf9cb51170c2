//! What rustyline asks for while a cell is typed: validation, hints, colours, completion. A thin layer
//! over other rooms' functions; the only thing done here is to take margins off and put them on again.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustyline::completion::{Completer, FilenameCompleter};
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hint, Hinter};
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Context, Helper, Result};

use crate::assist::{complete, is_file_place};
use crate::cell::completeness::{Completeness, completeness};
use crate::compiler::Analyst;
use crate::repl::continuation::{pad, pad_bytes, strip};
use crate::repl::highlight;
use crate::repl::history::suggestion;
use crate::repl::list::{self, Listed, listed, on_one_screen, room};
use crate::vocabulary::Vocabulary;

/// How long Tab may take; names that are known later are not offered. Usually a tenth of it is enough.
const PATIENCE: Duration = Duration::from_millis(400);

pub(super) struct LineHelper {
    pub vocabulary: Arc<Mutex<Vocabulary>>,
    analyst: Analyst,
    pub margin: Arc<AtomicUsize>,
    pub colour: bool,
    /// Whether a bracket at the cursor is marked; not in a cell that was accepted.
    brackets: Cell<bool>,
    files: FilenameCompleter,
}

impl LineHelper {
    pub fn new(
        vocabulary: Arc<Mutex<Vocabulary>>,
        analyst: Analyst,
        margin: Arc<AtomicUsize>,
        colour: bool,
    ) -> Self {
        let files = FilenameCompleter::new();
        Self {
            vocabulary,
            analyst,
            margin,
            colour,
            brackets: Cell::new(true),
            files,
        }
    }
}

impl Helper for LineHelper {}

impl Validator for LineHelper {
    fn validate(&self, ctx: &mut ValidationContext) -> Result<ValidationResult> {
        Ok(match completeness(&strip(ctx.input())) {
            Completeness::Complete => ValidationResult::Valid(None),
            Completeness::Incomplete => ValidationResult::Incomplete,
        })
    }
}

/// The rest of an earlier cell: its first line is shown, the right arrow takes all of it.
pub(super) struct Suggestion {
    shown: String,
    whole: String,
}

impl Hint for Suggestion {
    fn display(&self) -> &str {
        &self.shown
    }

    fn completion(&self) -> Option<&str> {
        Some(&self.whole)
    }
}

impl Hinter for LineHelper {
    type Hint = Suggestion;

    fn hint(&self, line: &str, pos: usize, ctx: &Context<'_>) -> Option<Suggestion> {
        // Without colour a hint could not be told from what was typed.
        if !self.colour {
            return None;
        }
        let last = ctx.history().len().checked_sub(1)?;
        let rest = suggestion(ctx.history(), ctx.history_index().min(last), line, pos)?;
        let mut lines = rest.lines();
        let mut shown = lines.next().unwrap_or_default().to_owned();
        if lines.next().is_some() {
            shown.push_str(" …");
        }
        let whole = pad(&rest, self.margin.load(Ordering::Relaxed)).into_owned();
        Some(Suggestion { shown, whole })
    }
}

impl Highlighter for LineHelper {
    fn highlight<'l>(&self, line: &'l str, pos: usize) -> Cow<'l, str> {
        let cursor = self.brackets.get().then_some(pos);
        Cow::Owned(highlight::paint(line, cursor, self.colour))
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        if self.colour {
            Cow::Owned(format!("\x1b[32m{prompt}\x1b[0m"))
        } else {
            Cow::Borrowed(prompt)
        }
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        if self.colour {
            Cow::Owned(format!("\x1b[2m{hint}\x1b[0m"))
        } else {
            Cow::Borrowed(hint)
        }
    }

    fn highlight_candidate<'c>(&self, candidate: &'c str, _: CompletionType) -> Cow<'c, str> {
        if self.colour {
            Cow::Owned(list::coloured(candidate))
        } else {
            Cow::Borrowed(candidate)
        }
    }

    /// Each typed character can change the colour of all that follows (a quote), so each one repaints.
    fn highlight_char(&self, _: &str, _: usize, kind: CmdKind) -> bool {
        self.brackets.set(kind != CmdKind::ForcedRefresh);
        true
    }
}

impl Completer for LineHelper {
    type Candidate = Listed;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> Result<(usize, Vec<Listed>)> {
        let cursor = pos - pad_bytes(&line[..pos]);
        let text = strip(line);
        let vocabulary = self
            .vocabulary
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if is_file_place(&text, cursor, &vocabulary) {
            let begin = text[..cursor].rfind('\n').map_or(0, |at| at + 1);
            let (start, files) = self
                .files
                .complete_path(&text[begin..cursor], cursor - begin)?;
            let files = files
                .into_iter()
                .map(|file| Listed::new(file.display, file.replacement));
            let files = on_one_screen(files.collect(), room());
            return Ok((pos - (cursor - begin - start), files));
        }
        let ask = |place| self.analyst.names(place, PATIENCE);
        let (start, found) = complete(&text, cursor, &vocabulary, &ask);
        // The word never reaches into a margin, so it is as long with pads as without.
        Ok((pos - (cursor - start), listed(found, room())))
    }
}
