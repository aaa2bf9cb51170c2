//! The read–evaluate–render loop.

use std::fs::File;
use std::io::{ErrorKind, Stdout, Write as _};
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

use super::editor::{Editor, EditorError, EditorOptions, Read};
use super::init::Startup;
use crate::compiler::Warmth;
use crate::magic::{evaluate, vocabulary};
use crate::outcome::{About, Event, Notice, Sink};
use crate::render::{Style, Terminal, pager};
use crate::session::{EndingJob, Session};
use crate::vocabulary::Vocabulary;

/// The exit status after a SIGTERM, as shells have it.
pub const TERMINATED: u8 = 143;

/// How long the loop may take to notice that the session was told to end.
const LAST_CALL: Duration = Duration::from_millis(300);

/// Between two looks at what ends the session.
const GLANCE: Duration = Duration::from_millis(50);

/// How long what is to be shown above the prompt waits until what came before it is.
const BREATH: Duration = Duration::from_millis(2);

/// How often and how long after one another a terminal is tried for which no file descriptor is left.
const TRIES: u32 = 100;
const AGAIN: Duration = Duration::from_millis(50);

/// Reads cells and runs them until the user leaves.
/// `startup`: whether the user's startup notebook is run; in the background of the first prompt.
pub fn run(session: Session, vi: bool, startup: bool, messages: &File) -> ExitCode {
    let style = Style::detect();
    let mut screen = Terminal::new(std::io::stdout(), style);
    let words = Arc::new(Mutex::new(Vocabulary::default()));
    let options = EditorOptions {
        vi,
        colour: style.colour,
        ..EditorOptions::default()
    };
    let editor = match Editor::new(options, words.clone(), session.analyst().clone()) {
        Ok(editor) => editor,
        Err(error) => {
            let why = error.to_string();
            screen.send(Event::Notice(
                About::default(),
                Notice::NoLineEditor { why },
            ));
            return ExitCode::FAILURE;
        }
    };
    let terminal = tcgetattr(std::io::stdin()).ok();
    leave_at_the_end(&session, terminal.clone());
    if let Some(terminal) = terminal.clone() {
        quieten(terminal);
    }
    let prompting = Prompting {
        session,
        editor,
        screen,
        terminal,
        style,
        words,
        above: None,
        startup: None,
        ok: true,
    };
    prompting.run(startup).unwrap_or_else(|error| {
        let _ = writeln!(&*messages, "regatta: the terminal cannot be read: {error}");
        ExitCode::FAILURE
    })
}

/// What is typed while a cell runs would stand in its output, and `^C` in the middle of the next line.
fn quieten(mut terminal: Termios) {
    terminal.local_flags.remove(LocalFlags::ECHOCTL);
    if editor_echoes() {
        // The line editor shows it when its turn comes.
        terminal
            .local_flags
            .remove(LocalFlags::ECHO | LocalFlags::ECHONL);
    }
    let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, &terminal);
}

/// A session at its prompt.
struct Prompting {
    session: Session,
    editor: Editor,
    screen: Terminal<Stdout>,
    /// As it was found.
    terminal: Option<Termios>,
    style: Style,
    words: Arc<Mutex<Vocabulary>>,
    above: Option<SyncSender<String>>,
    /// What the first prompt runs in its background.
    startup: Option<Startup>,
    /// Whether no cell has failed.
    ok: bool,
}

impl Prompting {
    /// An error is the terminal's.
    fn run(mut self, startup: bool) -> Result<ExitCode, EditorError> {
        self.session.is_live(self.style.live);
        self.begin(startup);
        let left = self.prompt();
        if let Some(terminal) = &self.terminal {
            let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, terminal);
        }
        left?;
        if self.session.interrupt().is_ended() {
            self.session.leave(&mut self.screen);
            return Ok(ExitCode::from(TERMINATED));
        }
        if !self.style.live && !self.session.quitting {
            self.ok &= self.session.finish_jobs(&mut self.screen);
        }
        self.session.leave(&mut self.screen);
        // Piped input is a script: it succeeds when all its cells do, and their output has arrived.
        Ok(
            match (self.ok && !self.screen.broken()) || self.style.live {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            },
        )
    }

    /// One prompt after the other, until the user leaves.
    fn prompt(&mut self) -> Result<(), EditorError> {
        while !self.session.quitting && !self.session.interrupt().is_ended() {
            let read = self.next()?;
            if self.act(read).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// What comes before the first prompt.
    fn begin(&mut self, startup: bool) {
        if self.editor.is_terminal() {
            self.session.remember();
        }
        if self.style.live {
            self.screen.send(Event::Text(banner(&self.session)));
        }
        self.session.begin(&mut self.screen);
        self.above = print_above(&mut self.editor).ok();
        let found = startup.then(Startup::find).unwrap_or(Ok(None));
        let startup = found.unwrap_or_else(|why| {
            self.screen.send(Event::Error(why));
            None
        });
        if self.style.live && self.above.is_some() {
            self.startup = startup;
        } else if let Some(startup) = startup {
            self.ok &= startup.run(&mut self.session, &mut self.screen);
        }
    }

    /// Prompts until something is read, also when no file descriptor is left for a while: those of engines that were
    /// just stopped come back.
    fn next(&mut self) -> Result<Read, EditorError> {
        let mut tries = 0;
        loop {
            let begin = self.prepare();
            let read = self.read(&begin);
            match &read {
                Err(error) if error.is_out_of_files() && tries < TRIES => {
                    tries += 1;
                    self.session.next_inputs.push_front(begin);
                    std::thread::sleep(AGAIN);
                }
                _ => return read,
            }
        }
    }

    /// What the next prompt begins with.
    fn prepare(&mut self) -> String {
        if let Some(why) = self.editor.history_warning() {
            let warning = Notice::HistoryFile { why };
            self.screen.send(Event::Notice(About::default(), warning));
        }
        *self.words.lock().unwrap_or_else(PoisonError::into_inner) = vocabulary(&self.session);
        if !self.editor.is_terminal() {
            for code in self.session.next_inputs.drain(..) {
                self.screen.send(Event::Text(code));
            }
        }
        // What is never asked for by a key is not loaded.
        if self.style.live {
            let analyst = self.session.analyst();
            analyst.set_scenes(self.session.scenes());
            analyst.prompt();
        }
        self.session.next_inputs.pop_front().unwrap_or_default()
    }

    /// Reads a cell. On a live terminal the session goes on meanwhile, with the startup notebook and with whatever
    /// happens to jobs and engines: what it says stands above the prompt, or on the screen when the cell waits for it.
    fn read(&mut self, begin: &str) -> Result<Read, EditorError> {
        let prompt = prompt(&self.session);
        let above = self.above.clone().filter(|_| self.style.live);
        let Some(lines) = above else {
            return self.editor.read(&prompt, begin);
        };
        let (session, startup) = (&mut self.session, self.startup.take());
        let (interrupt, waker) = (session.interrupt().clone(), session.waker());
        let (is_read, starts_up) = (AtomicBool::new(false), AtomicBool::new(startup.is_some()));
        let mut sink = AboveOrOn {
            above: Above {
                screen: Terminal::new(Printed(lines, &is_read), self.style),
            },
            screen: &mut self.screen,
            is_read: &is_read,
        };
        let read = std::thread::scope(|scope| {
            let goes_on = || {
                if let Some(startup) = &startup {
                    startup.run(session, &mut sink);
                    starts_up.store(false, Ordering::Relaxed);
                }
                session.idle(&|| is_read.load(Ordering::Relaxed), &mut sink);
            };
            // Where no thread is left, what happens is told with the next cell.
            let _ = std::thread::Builder::new().spawn_scoped(scope, goes_on);
            let read = self.editor.read(&prompt, begin);
            is_read.store(true, Ordering::Relaxed);
            // Whoever drops the prompt means the startup notebook too.
            if starts_up.load(Ordering::Relaxed) && !matches!(read, Ok(Read::Cell(_))) {
                interrupt.press();
            }
            waker.wake();
            read
        });
        if starts_up.into_inner() {
            // It has not begun.
            self.startup = startup;
        }
        read
    }

    /// Does what was typed; whether that was the last.
    fn act(&mut self, read: Read) -> ControlFlow<()> {
        let leaves = match read {
            Read::Cell(text) => {
                self.screen.set_style(Style::detect());
                let wanted = self.session.environment_variable("PAGER");
                self.screen.set_pager(pager(wanted.as_deref()));
                self.ok &= evaluate(&mut self.session, &text, &mut self.screen);
                self.screen.broken()
            }
            Read::Interrupted => {
                // Who does not want one of several loaded cells wants none of the rest.
                self.session.next_inputs.clear();
                let _ = self.session.interrupt().take();
                false
            }
            Read::Eof => self.leaves_what_runs(),
        };
        // `%quit` in what a terminal's user has typed.
        if self.session.quitting && self.style.live {
            self.session.quitting = self.leaves_what_runs();
        }
        match leaves {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    /// Whether the user leaves, also when something is lost with the session: that is asked.
    fn leaves_what_runs(&mut self) -> bool {
        let jobs = self.session.ending_jobs();
        let children = self.session.running_children();
        let question = match (&jobs[..], &children[..]) {
            ([], []) => return true,
            ([], names) => running_words(names),
            (jobs, _) => ending_words(jobs),
        };
        self.editor.confirm(&question)
    }
}

/// What is asked before jobs are left that end with the session, or of which a part does.
fn ending_words(jobs: &[EndingJob]) -> String {
    let in_part = |job: &EndingJob| Some((job.job, job.queued?));
    let (running, asked) = match jobs {
        [one] => ("a job still runs".to_owned(), in_part(one)),
        several => (
            format!("{} jobs still run", several.len()),
            several.iter().find_map(in_part),
        ),
    };
    let part = asked.map_or_else(String::new, |(job, (queued, all))| {
        let of = all.map_or_else(String::new, |all| format!(" of {all}"));
        format!(
            ", and without it job {job} comes to the end of the {queued}{of} items that are queued (`%detach {job}` queues \
             all of them)"
        )
    });
    format!("{running}{part}; leave all the same?")
}

/// What is asked before children are left.
fn running_words(names: &[String]) -> String {
    const MOST: usize = 3;
    let named = match names {
        [rest @ .., last] if (2..=MOST).contains(&names.len()) => {
            format!("the children {} and {last}", rest.join(", "))
        }
        [first, second, rest @ ..] => {
            format!("the children {first}, {second} and {} more", rest.len())
        }
        _ => format!("the child {}", names.join("")),
    };
    let (runs, ends) = match names.len() {
        1 => ("runs", "ends"),
        _ => ("run", "end"),
    };
    format!("{named} still {runs}, and {ends} with the session; leave all the same?")
}

/// Where lines go that are to stand above the prompt. The line editor takes one of them when it looks for keys and
/// lets whoever has the next one wait, also when the prompt has just ended: so a thread has them, and nobody else
/// waits for the next prompt.
fn print_above(editor: &mut Editor) -> Result<SyncSender<String>, EditorError> {
    let mut printer = editor.printer()?;
    let (lines, printed) = sync_channel(1);
    let print = move || {
        for line in printed {
            // Without a terminal to print above, the next cell tells it.
            let _ = printer.print(line);
        }
    };
    std::thread::Builder::new()
        .name("above".to_owned())
        .spawn(print)?;
    Ok(lines)
}

/// Above the prompt while there is one.
struct AboveOrOn<'a> {
    above: Above<'a>,
    screen: &'a mut Terminal<Stdout>,
    is_read: &'a AtomicBool,
}

impl Sink for AboveOrOn<'_> {
    fn send(&mut self, event: Event) {
        if self.is_read.load(Ordering::Relaxed) {
            self.screen.send(event);
        } else {
            self.above.send(event);
        }
    }
}

/// What is shown while the prompt waits: nothing that moves.
struct Above<'a> {
    screen: Terminal<Printed<'a>>,
}

impl Sink for Above<'_> {
    fn send(&mut self, event: Event) {
        self.screen.set_style(Style::detect());
        match event {
            Event::Progress(_) | Event::Live(_) => {}
            Event::Text(text) => {
                let said = Notice::Said { text };
                self.screen.send(Event::Notice(About::default(), said));
            }
            other => self.screen.send(other),
        }
    }
}

/// Above the prompt, as fast as the line editor shows it: whoever prints without end is slowed down.
struct Printed<'a>(SyncSender<String>, &'a AtomicBool);

impl std::io::Write for Printed<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // The renderer writes whole lines, each at once.
        let mut text = String::from_utf8_lossy(bytes).into_owned();
        while let Err(error) = self.0.try_send(text) {
            match error {
                TrySendError::Full(back) if !self.1.load(Ordering::Relaxed) => text = back,
                // The prompt is gone, and with it whoever would take them.
                TrySendError::Full(back) => {
                    std::io::stdout().write_all(back.as_bytes())?;
                    break;
                }
                TrySendError::Disconnected(_) => return Err(ErrorKind::BrokenPipe.into()),
            }
            std::thread::sleep(BREATH);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Whether the line editor shows itself what is typed: not on terminals that it only reads lines from.
fn editor_echoes() -> bool {
    let term = std::env::var("TERM").unwrap_or_default().to_lowercase();
    !matches!(term.as_str(), "dumb" | "cons25" | "emacs")
}

fn banner(session: &Session) -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cores = if cores == 1 {
        "1 core".to_owned()
    } else {
        format!("{cores} cores")
    };
    let (version, rustc) = (env!("CARGO_PKG_VERSION"), session.toolchain().version());
    format!("regatta {version} · {rustc} · {cores} · %help lists the magics")
}

fn prompt(session: &Session) -> String {
    let warming = if session.warmth() == Warmth::Warming {
        "warming up · "
    } else {
        ""
    };
    let px = if session.autopx.is_some() { "%px " } else { "" };
    format!("{warming}{px}In [{}]: ", session.next_cell())
}

/// SIGTERM, SIGHUP and a terminal that is gone end the session also while the prompt waits for a key or a cell
/// runs: the terminal is made sane, the engines and the cleaner notice the rest.
fn leave_at_the_end(session: &Session, terminal: Option<Termios>) {
    let ended = session.ended_flag();
    // A session that can't have this thread still ends by its engines' death signal.
    let _ = std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                if terminal.is_some() && hung_up() {
                    ended.store(true, Ordering::Relaxed);
                } else {
                    std::thread::sleep(GLANCE);
                }
            }
            std::thread::sleep(LAST_CALL);
            if let Some(terminal) = terminal {
                let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, &terminal);
            }
            std::process::exit(TERMINATED.into());
        });
}

/// Whether the other end of the terminal is closed. SIGHUP tells this only to those whose controlling terminal
/// it was, and a session that runs a cell reads no keys.
fn hung_up() -> bool {
    let stdin = std::io::stdin();
    let mut terminal = [PollFd::new(stdin.as_fd(), PollFlags::empty())];
    // `POLLHUP` and `POLLERR` are told unasked.
    matches!(poll(&mut terminal, PollTimeout::ZERO), Ok(1..))
}

#[cfg(test)]
mod tests {
    use super::running_words;

    #[test]
    fn children_that_run_are_named_before_they_are_left() {
        for (names, said) in [
            (1, "the child w.0 still runs, and ends"),
            (2, "the children w.0 and w.1 still run, and end"),
            (3, "the children w.0, w.1 and w.2 still run, and end"),
            (9, "the children w.0, w.1 and 7 more still run, and end"),
        ] {
            let names: Vec<String> = (0..names).map(|rank| format!("w.{rank}")).collect();
            let asked = format!("{said} with the session; leave all the same?");
            assert_eq!(running_words(&names), asked);
        }
    }
}
