//! Notebooks and single cells, run without a terminal's help.

use crate::magic::evaluate;
use crate::notebook::{Notebook, Verdict, compare};
use crate::outcome::{ErrorKind, Event, Report, Sink};
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

#[derive(Debug)]
pub struct NotebookOutcome {
    pub ok: bool,
    /// The file's new text.
    pub updated: Option<String>,
}

/// Runs one cell and what it leaves in the background; whether all of it ended well.
pub fn cell(session: &mut Session, code: &str, sink: &mut dyn Sink) -> bool {
    let ok = evaluate(session, code, sink);
    show_loaded(session, sink);
    ok && (session.quitting || session.finish_jobs(sink))
}

/// Without a prompt to put it into, what `%load` found is shown.
fn show_loaded(session: &mut Session, sink: &mut dyn Sink) {
    if let Some(code) = session.next_input.take() {
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
    for cell in notebook.cells() {
        let mut recorder = Recorder {
            events: Vec::new(),
            onward: sink,
        };
        let ran = evaluate(session, &cell.code, &mut recorder);
        show_loaded(session, &mut recorder);
        let output = transcript(&recorder.events, WIDTH);
        let expected = cell.expected.as_deref();
        let verdict = compare(expected.unwrap_or_default(), &output);
        match (mode, verdict) {
            (Mode::Check, Verdict::Different { diff }) if expected.is_some() => {
                ok = false;
                let what = format!(
                    "the output of the cell at line {} is another one",
                    cell.line
                );
                let mut report = Report::new(ErrorKind::Error, what);
                report.notes = diff.lines().map(str::to_owned).collect();
                sink.send(Event::Error(
                    report.hint("`regatta run --update` writes the new outputs"),
                ));
            }
            _ => {}
        }
        // What differs in masked values alone is left as it stands, with its `…` lines.
        let same = matches!(
            compare(expected.unwrap_or_default(), &output),
            Verdict::Same
        );
        outputs.push(if same {
            expected.unwrap_or_default().to_owned()
        } else {
            output
        });
        // A failure that the notebook shows on purpose is checked like any output.
        let meant = mode == Mode::Check && expected.is_some_and(|text| text.contains("error"));
        ok &= ran || meant || mode == Mode::Update;
        let stop = !ran && !meant && !keep_going && mode != Mode::Update;
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
    NotebookOutcome { ok, updated }
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
