//! Notebooks and single cells, run without a terminal's help.

use crate::magic::evaluate;
use crate::notebook::{Notebook, Verdict, compare};
use crate::outcome::{ErrorKind, Event, Note, Report, Sink};
use crate::render::transcript;
use crate::session::Session;

/// Width of the outputs that notebooks hold, wherever they run.
pub const WIDTH: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Run,
    /// Compare outputs with the ones in the file.
    Check,
    /// Write them into it.
    Update,
}

#[derive(Debug, Default)]
pub struct NotebookOutcome {
    pub ok: bool,
    /// The file's new text.
    pub updated: Option<String>,
    /// Where in the file cells failed that the notebook doesn't show failing; each the line, from 1, on which
    /// the cell's code begins.
    pub failed: Vec<usize>,
    /// How many cells stand below the failed one at which the run stopped.
    pub left: usize,
    /// What was skipped, of a machine without a program that it needs.
    pub skipped: Option<Skipped>,
}

/// The end of a notebook that needs a program which is not installed.
#[derive(Debug)]
pub struct Skipped {
    pub program: String,
    /// The line of its first cell.
    pub line: usize,
    /// How many cells it has.
    pub cells: usize,
}

impl NotebookOutcome {
    /// What there is to say about the notebook `name` when all else is said, a line each.
    pub fn remarks(&self, name: &str, mode: Mode) -> Vec<String> {
        let mut remarks: Vec<String> = self
            .failed
            .iter()
            .map(|line| match mode {
                Mode::Update => format!("note: the cell at line {line} of {name} fails"),
                Mode::Run | Mode::Check => format!("the cell at line {line} of {name} failed"),
            })
            .collect();
        if let Some(line) = self.failed.last().filter(|_| self.left > 0) {
            let (done, does) = match mode {
                Mode::Check => ("checked", "checks"),
                Mode::Run | Mode::Update => ("run", "runs"),
            };
            let cells = match self.left {
                1 => format!("1 cell was not {done} (--keep-going {does} it)"),
                left => format!("{left} cells were not {done} (--keep-going {does} them)"),
            };
            remarks.pop();
            remarks.push(format!(
                "stopped at the cell at line {line} of {name}; {cells}"
            ));
        }
        if let Some(Skipped {
            program,
            line,
            cells,
        }) = &self.skipped
        {
            let cells = match cells {
                1 => "1 cell".to_owned(),
                cells => format!("{cells} cells"),
            };
            remarks.push(format!(
                "skipped: {cells} from line {line} of {name} on: there is no `{program}` here"
            ));
        }
        remarks
    }
}

/// Runs one cell and what it leaves in the background; whether all of it ended well.
pub fn cell(session: &mut Session, code: &str, sink: &mut dyn Sink) -> bool {
    let ok = evaluate(session, code, sink);
    show_loaded(session, sink);
    ok && (session.quitting || session.finish_jobs(sink))
}

/// Without a prompt to put it into, what `%load` found is shown.
fn show_loaded(session: &mut Session, sink: &mut dyn Sink) {
    for code in session.next_inputs.drain(..) {
        sink.send(Event::Text(code));
    }
}

/// Runs a notebook's cells in order. It stops at the first that fails, unless it is to go on.
pub fn notebook(
    session: &mut Session,
    text: &str,
    mode: Mode,
    keep_going: bool,
    sink: &mut dyn Sink,
) -> NotebookOutcome {
    let notebook = Notebook::parse(text);
    let mut ok = true;
    let mut outputs = Vec::new();
    let mut whole = true;
    let mut failed = Vec::new();
    let mut left = 0;
    let mut skipped = None;
    for (number, cell) in (1..).zip(notebook.cells()) {
        if let Some(program) = &cell.needs
            && !is_installed(session, program)
        {
            skipped = Some(Skipped {
                program: program.clone(),
                line: cell.line,
                cells: notebook.cells().len() - number + 1,
            });
            break;
        }
        let mut recorder = Recorder {
            events: Vec::new(),
            onward: sink,
        };
        let ran = evaluate(session, &cell.code, &mut recorder);
        show_loaded(session, &mut recorder);
        let output = transcript(&recorder.events, WIDTH);
        let expected = cell.expected.as_deref();
        let verdict = compare(expected.unwrap_or_default(), &output);
        // What differs in masked values alone is left as it stands, with its `…` lines.
        let same = matches!(verdict, Verdict::Same);
        match (mode, verdict) {
            (Mode::Check, Verdict::Different { diff }) if expected.is_some() => {
                ok = false;
                let what = format!(
                    "the output of the cell at line {} is another one",
                    cell.line
                );
                let mut report = Report::new(ErrorKind::Error, what);
                report.notes = diff.lines().map(Note::from).collect();
                sink.send(Event::Error(
                    report.hint("`regatta run --update` writes the new outputs"),
                ));
            }
            _ => {}
        }
        outputs.push(if same {
            expected.unwrap_or_default().to_owned()
        } else {
            output
        });
        // A failure that the notebook shows on purpose is like any other output.
        let meant = mode != Mode::Run && same && expected.is_some_and(|text| !text.is_empty());
        ok &= ran || meant || mode == Mode::Update;
        if !ran && !meant {
            failed.push(cell.line);
        }
        let stop = !ran && !meant && !keep_going && mode != Mode::Update;
        if stop {
            left = notebook.cells().len() - number;
        }
        if stop || session.quitting || session.interrupt().is_ended() {
            whole = false;
            break;
        }
    }
    if whole {
        // What nobody has looked at counts too.
        ok &= session.finish_jobs(sink);
    }
    let updated = (mode == Mode::Update).then(|| notebook.with_outputs(&outputs));
    NotebookOutcome {
        ok,
        updated,
        failed,
        left,
        skipped,
    }
}

fn is_installed(session: &Session, program: &str) -> bool {
    let path = session.environment_variable("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

struct Recorder<'a> {
    events: Vec<Event>,
    onward: &'a mut dyn Sink,
}

impl Sink for Recorder<'_> {
    fn send(&mut self, event: Event) {
        if !matches!(event, Event::Progress(_)) {
            self.events.push(event.clone());
        }
        self.onward.send(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_skipped_is_told() {
        let skipped = Skipped {
            program: "mpiexec".to_owned(),
            line: 11,
            cells: 4,
        };
        let outcome = NotebookOutcome {
            ok: true,
            skipped: Some(skipped),
            ..NotebookOutcome::default()
        };
        let told = "skipped: 4 cells from line 11 of x.md on: there is no `mpiexec` here";
        assert_eq!(outcome.remarks("x.md", Mode::Check), [told]);
    }

    #[test]
    fn what_failed_and_what_was_left_is_told_by_line() {
        let remarks = |failed: &[usize], left, mode| {
            let outcome = NotebookOutcome {
                failed: failed.to_vec(),
                left,
                ..NotebookOutcome::default()
            };
            outcome.remarks("x.md", mode)
        };
        assert!(remarks(&[], 0, Mode::Run).is_empty());
        assert_eq!(
            remarks(&[30], 2, Mode::Run),
            [
                "stopped at the cell at line 30 of x.md; 2 cells were not run (--keep-going runs them)"
            ]
        );
        assert_eq!(
            remarks(&[30], 1, Mode::Check),
            [
                "stopped at the cell at line 30 of x.md; 1 cell was not checked (--keep-going checks it)"
            ]
        );
        // The last cell, or all with --keep-going.
        assert_eq!(
            remarks(&[3, 30], 0, Mode::Run),
            [
                "the cell at line 3 of x.md failed",
                "the cell at line 30 of x.md failed"
            ]
        );
        assert_eq!(
            remarks(&[30], 0, Mode::Update),
            ["note: the cell at line 30 of x.md fails"]
        );
    }
}
