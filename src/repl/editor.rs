//! The editor of the REPL: gives the text of one cell after the other, from a terminal with all comfort
//! or from a pipe without. It never looks into a cell beyond whether it is complete.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{
    ColorMode, CompletionType, Config, EditMode, ExternalPrinter, GraphemeClusterMode,
};
use unicode_width::UnicodeWidthStr;

use crate::cell::completeness::{Completeness, completeness};
use crate::compiler::Analyst;
use crate::repl::helper::LineHelper;
use crate::repl::history::{CellHistory, default_path};
use crate::repl::{continuation, keys, plain};
use crate::store::redis::hide_passwords;
use crate::vocabulary::Vocabulary;

/// Columns. Lines that continue a cell under a longer prompt begin at the left edge.
const WIDEST_MARGIN: usize = 40;

/// What came of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// A cell, never blank.
    Cell(String),
    /// Ctrl-C: what was typed is dropped.
    Interrupted,
    /// Ctrl-D on an empty line, or the input's end.
    Eof,
}

#[derive(Debug, thiserror::Error)]
pub enum EditorError {
    #[error("the terminal cannot be used: {0}")]
    Terminal(#[from] ReadlineError),
    #[error("the input cannot be read: {0}")]
    Input(#[from] io::Error),
}

impl EditorError {
    /// Whether the process has as many files open as it may.
    pub fn is_out_of_files(&self) -> bool {
        let code = match self {
            Self::Terminal(ReadlineError::Io(error)) | Self::Input(error) => error.raw_os_error(),
            Self::Terminal(ReadlineError::Errno(error)) => Some(*error as i32),
            Self::Terminal(_) => None,
        };
        code.is_some_and(|code| code == rustix::io::Errno::MFILE.raw_os_error())
    }
}

#[derive(Clone, Debug)]
pub struct EditorOptions {
    /// vi's keys instead of Emacs's.
    pub vi: bool,
    /// Where cells are remembered; `None` for nowhere.
    pub history: Option<PathBuf>,
    /// Colours and, because they would look like typed text otherwise, hints.
    pub colour: bool,
}

impl Default for EditorOptions {
    /// Emacs keys, colours, and the history in the user's data directory.
    fn default() -> Self {
        Self {
            vi: false,
            history: default_path(),
            colour: true,
        }
    }
}

pub struct Editor {
    source: Source,
    warning: Option<String>,
}

enum Source {
    Terminal(Box<Terminal>),
    /// Standard input is not a terminal.
    Pipe(plain::Lines<io::Stdin>),
}

struct Terminal {
    line: rustyline::Editor<LineHelper, CellHistory>,
    /// Width of the prompt, shared with all who pad and unpad.
    margin: Arc<AtomicUsize>,
}

impl Editor {
    /// An editor on standard input and output. The session puts words into the vocabulary between cells.
    ///
    /// # Errors
    /// When standard input is a terminal that cannot be set up. A history that cannot be used is no
    /// error: see [`Editor::history_warning`].
    pub fn new(
        options: EditorOptions,
        vocabulary: Arc<Mutex<Vocabulary>>,
        analyst: Analyst,
    ) -> Result<Self, EditorError> {
        if !io::stdin().is_terminal() {
            return Ok(Self {
                source: Source::Pipe(plain::Lines::new(io::stdin(), more_is_there)),
                warning: None,
            });
        }
        let margin = Arc::new(AtomicUsize::new(0));
        let (history, warning) = CellHistory::open(options.history, Arc::clone(&margin));
        let mut line = rustyline::Editor::with_history(config(options.vi), history)?;
        line.set_helper(Some(LineHelper::new(
            vocabulary,
            analyst,
            Arc::clone(&margin),
            options.colour,
        )));
        for (event, handler) in keys::bindings(&margin) {
            line.bind_sequence(event, handler);
        }
        Ok(Self {
            source: Source::Terminal(Box::new(Terminal { line, margin })),
            warning,
        })
    }

    /// Reads the next cell, showing `prompt`, such as `In [3]: `, if somebody is there to see it, with `begin`
    /// as if it had been typed. A cell
    /// from a terminal goes into the history, and into its file at once.
    ///
    /// # Errors
    /// When the terminal or the input fails.
    pub fn read(&mut self, prompt: &str, begin: &str) -> Result<Read, EditorError> {
        let terminal = match &mut self.source {
            Source::Terminal(terminal) => terminal,
            Source::Pipe(lines) => {
                let cell = lines.read_cell()?;
                return Ok(cell.map_or(Read::Eof, Read::Cell));
            }
        };
        let width = prompt.rsplit('\n').next().map_or(0, UnicodeWidthStr::width);
        let margin = if width <= WIDEST_MARGIN { width } else { 0 };
        terminal.margin.store(margin, Ordering::Relaxed);
        loop {
            let begin = continuation::pad(begin, margin);
            match terminal.line.readline_with_initial(prompt, (&begin, "")) {
                Ok(text) => {
                    let cell = continuation::strip(&text);
                    if cell.trim().is_empty() {
                        continue;
                    }
                    // A paste often ends with line breaks.
                    let cell = plain::finished(cell.into_owned());
                    if let Err(error) = terminal
                        .line
                        .history_mut()
                        .record(&remembered(&hide_passwords(&cell)))
                    {
                        self.warning = Some(format!("history is no longer kept: {error}"));
                    }
                    return Ok(Read::Cell(cell));
                }
                Err(ReadlineError::Interrupted) => return Ok(Read::Interrupted),
                Err(error) if is_end(&error) => return Ok(Read::Eof),
                // A byte that is not UTF-8 was typed: the line is lost, the session is not.
                Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                    return Ok(Read::Interrupted);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Something to print with above the prompt, from another thread.
    ///
    /// # Errors
    /// When the terminal cannot be set up for it.
    pub fn printer(&mut self) -> Result<Box<dyn ExternalPrinter + Send>, EditorError> {
        match &mut self.source {
            Source::Terminal(terminal) if io::stdout().is_terminal() => {
                Ok(Box::new(terminal.line.create_external_printer()?))
            }
            _ => Ok(Box::new(StandardOutput)),
        }
    }

    /// Whether somebody edits what is read.
    pub fn is_terminal(&self) -> bool {
        matches!(self.source, Source::Terminal(_))
    }

    /// Asks a question that is answered with yes or no. Without a terminal there is nobody to ask and the
    /// answer is yes; so it is for Ctrl-D, which insists on leaving. Ctrl-C and anything unclear is no.
    pub fn confirm(&mut self, question: &str) -> bool {
        if matches!(self.source, Source::Pipe(_)) {
            return true;
        }
        let ask =
            rustyline::Editor::<(), MemHistory>::with_history(config(false), MemHistory::new());
        let Ok(mut ask) = ask else {
            return false;
        };
        match ask.readline(&format!("{question} [y/N] ")) {
            Ok(answer) => matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"),
            Err(error) => is_end(&error),
        }
    }

    /// Why the history is not kept in its file, if that is so; told once.
    pub fn history_warning(&mut self) -> Option<String> {
        self.warning.take()
    }
}

fn config(vi: bool) -> Config {
    Config::builder()
        .edit_mode(if vi { EditMode::Vi } else { EditMode::Emacs })
        .completion_type(CompletionType::List)
        .completion_show_all_if_ambiguous(true)
        // Lists are as long as the screen at most.
        .completion_prompt_limit(usize::MAX)
        .auto_add_history(false)
        .indent_size(4)
        // The highlighter also draws continuation prompts, which NO_COLOR does not forbid.
        .color_mode(ColorMode::Forced)
        .grapheme_cluster_mode(GraphemeClusterMode::from_env())
        .build()
}

/// The cell as it is recalled. What only an empty line ended, as `%%px`, keeps it: Enter then runs the
/// recalled cell at once.
fn remembered(cell: &str) -> Cow<'_, str> {
    match completeness(cell) {
        Completeness::Complete => Cow::Borrowed(cell),
        Completeness::Incomplete => Cow::Owned(format!("{cell}\n")),
    }
}

/// So many milliseconds a script may take to write its next line, when that could belong to the one before.
const NEXT_LINE: u8 = 20;

/// Whether standard input has more, or has ended.
fn more_is_there() -> bool {
    let stdin = io::stdin();
    let mut wanted = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    poll(&mut wanted, PollTimeout::from(NEXT_LINE)).is_ok_and(|ready| ready > 0)
}

/// The end of input, also because the terminal has gone away.
fn is_end(error: &ReadlineError) -> bool {
    match error {
        ReadlineError::Eof => true,
        ReadlineError::Io(error) => error.raw_os_error() == Some(libc::EIO),
        ReadlineError::Errno(errno) => *errno as i32 == libc::EIO,
        _ => false,
    }
}

/// A printer where no prompt can be disturbed.
struct StandardOutput;

impl ExternalPrinter for StandardOutput {
    fn print(&mut self, msg: String) -> rustyline::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(msg.as_bytes())?;
        Ok(out.flush()?)
    }
}
