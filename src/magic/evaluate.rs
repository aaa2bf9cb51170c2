//! One cell from its text to its end: parsed whole first, so that a typo in its last line runs nothing.

use super::call::{Call, prepare};
use super::declared::Run;
use crate::cell::{self, CellError, Completeness, Kind, SegmentKind, ShellCall};
use crate::outcome::{About, Event, Mark, Notice, Report, Sink, Snippet};
use crate::session::{Code, Done, Failed, Session, ShellRequest};

/// Cells that run others, as `%run` does, may do so to this depth.
const DEEPEST: usize = 16;

/// Runs a cell as the next one of the session; whether it ended well.
pub fn evaluate(session: &mut Session, text: &str, sink: &mut dyn Sink) -> bool {
    session.begin_cell(text, sink);
    session.depth += 1;
    let ran = if session.depth > DEEPEST {
        let what = format!("cells run each other {DEEPEST} deep");
        Err(Report::usage(what)
            .hint("does a file or a `%rerun` run itself?")
            .into())
    } else {
        run_text(session, text, 1, sink)
    };
    session.depth -= 1;
    let ok = match ran {
        Ok(()) => true,
        Err(Failed(reports)) => {
            sink.send(Event::Progress(None));
            for report in reports {
                sink.send(Event::Error(report));
            }
            false
        }
    };
    session.end_cell(ok, sink);
    ok
}

enum Step<'a> {
    Rust(&'a str, usize),
    Shell(&'a ShellCall),
    Magic(Run, Call<'a>),
}

/// Runs text that stands in the cell from `line` on.
pub fn run_text(session: &mut Session, text: &str, line: usize, sink: &mut dyn Sink) -> Done {
    let name = session.cell().name();
    if let Some(call) = cell::question(text).filter(|_| !is_operator(session, text)) {
        let (run, call) = prepare(&call)?;
        return run(&call, session, sink);
    }
    let parsed = cell::parse(text, Some(&session.known()));
    let mut parsed = parsed.map_err(|error| unreadable(error, text, name.clone()))?;
    for line in &parsed.negations {
        let line = line.clone();
        let about = About::cell(session.cell());
        sink.send(Event::Notice(about, Notice::ReadAsRust { line }));
    }
    for segment in &mut parsed.segments {
        segment.line += line - 1;
        if let SegmentKind::Magic(call) = &mut segment.kind {
            call.args_at.0 += line - 1;
            call.body_line += line - 1;
        }
    }
    let steps: Vec<Step<'_>> = parsed
        .segments
        .iter()
        .map(|segment| {
            Ok(match &segment.kind {
                SegmentKind::Rust(code) => {
                    if cell::completeness(code) == Completeness::Incomplete {
                        return Err(unfinished(code, segment.line, text, &name));
                    }
                    if continues_nothing(code) {
                        return Err(continuation(code, segment.line, text, &name));
                    }
                    Step::Rust(code, segment.line)
                }
                SegmentKind::Shell(command) => Step::Shell(command),
                SegmentKind::Magic(call) => {
                    let (run, call) = prepare(call)?;
                    Step::Magic(run, call)
                }
            })
        })
        .collect::<Result<_, Report>>()?;
    for step in steps {
        match step {
            Step::Rust(code, line) => match session.autopx.clone() {
                Some(options) => session.px(&Code::verbatim(code, line), &options, sink)?,
                None => session.run_cell(code, line, sink)?,
            },
            Step::Shell(call) => {
                let request = ShellRequest {
                    shell: "sh",
                    text: &call.command,
                    fills_in: true,
                    bind: call.bind.as_ref(),
                };
                session.shell(&request, sink)?;
            }
            Step::Magic(run, call) => run(&call, session, sink)?,
        }
        if session.quitting {
            break;
        }
    }
    Ok(())
}

/// Whether code begins in the middle of a chain: `.len()`.
fn continues_nothing(code: &str) -> bool {
    let mut letters = code.trim_start().chars();
    letters.next() == Some('.')
        && letters
            .next()
            .is_some_and(|c| c.is_alphabetic() || c == '_')
}

fn continuation(code: &str, line: usize, source: &str, name: &str) -> Report {
    let blanks = code.len() - code.trim_start().len();
    let (line, column) = cell::position(&code[..blanks], (line, 1));
    let mut report =
        Report::usage("the cell begins with a `.`, so it goes on with what is not there");
    report.snippet = Some(Snippet {
        source: source.to_owned(),
        name: name.to_owned(),
        marks: vec![Mark::primary((line, column), (line, column + 1))],
    });
    report.hint("a cell is entered whole: Alt-Enter breaks a line within it, and so does Enter in an open bracket")
}

/// Whether the question mark behind a variable is Rust's: it is a `Result`. At the top level of a cell Rust has
/// none for an `Option`.
fn is_operator(session: &Session, text: &str) -> bool {
    let name = cell::asks_behind(text);
    let variables = session.variables();
    let kind = variables
        .iter()
        .find(|(other, _)| Some(other.as_str()) == name);
    // Libraries have their own: `io::Result`, `LocalResult`.
    kind.is_some_and(|(_, kind)| match Kind::of(kind) {
        Kind::Named { name, .. } => name.ends_with("Result"),
        _ => false,
    })
}

/// Code that stops in the middle: an open bracket, string or comment, an operator at its end.
fn unfinished(code: &str, line: usize, source: &str, name: &str) -> Report {
    let last = code.trim_end().lines().last().unwrap_or_default();
    let line = line + code.trim_end().matches('\n').count();
    let end = last.chars().count() + 1;
    let mark = Mark {
        label: "it ends here".into(),
        ..Mark::primary((line, end.saturating_sub(1).max(1)), (line, end))
    };
    let mut report = Report::usage("the cell is not finished");
    let name = name.to_owned();
    report.snippet = Some(Snippet {
        source: source.to_owned(),
        name,
        marks: vec![mark],
    });
    report
        .hint("a bracket, a string or a comment is still open, or the last statement lacks its end")
}

fn unreadable(error: CellError, source: &str, name: String) -> Failed {
    let mut report = Report::usage(error.what);
    let line = source
        .lines()
        .nth(error.line.saturating_sub(1))
        .unwrap_or_default();
    let end = line.trim_end().chars().count() + 1;
    let end = end.max(error.column + 1);
    let mark = Mark::primary((error.line, error.column), (error.line, end));
    report.snippet = Some(Snippet {
        source: source.to_owned(),
        name,
        marks: vec![mark],
    });
    report.hint = error.hint.map(Into::into);
    report.into()
}
