//! C cells: compiled beside the session, then defined in Rust like any other cell's functions. The shared object goes
//! to engines when an artifact that calls it does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use super::crew::{Awaited, Crew};
use super::{Code, Failed, Session, explain};
use crate::c::{self, BuildError, Built, Function, Message, Severity, Source, Stop, Tool};
use crate::compiler::toolchain::cache_dir;
use crate::outcome::{Doing, ErrorKind, Event, Label, Mark, Notice, Report, Sink, Snippet};

/// What a `%%c` cell asks for.
#[derive(Debug)]
pub struct CRequest<'a> {
    pub text: &'a str,
    /// The line of the cell at which it begins.
    pub line: usize,
    /// The file that it is the text of.
    pub file: Option<PathBuf>,
    /// Arguments of the compiler.
    pub arguments: Vec<String>,
    /// What is linked.
    pub libraries: Vec<String>,
}

/// What `%%c` cells have defined.
#[derive(Debug, Default)]
pub(super) struct CDefinitions {
    functions: BTreeMap<String, Function>,
    /// Types and constants by their names.
    items: BTreeMap<String, String>,
}

impl CDefinitions {
    /// Takes what a cell has come to, and gives what is defined for it in Rust.
    fn take(&mut self, built: &Built) -> String {
        let mut code = String::new();
        let mut changed = BTreeSet::new();
        for (name, text) in &built.items {
            let old = self.items.insert(name.clone(), text.clone());
            if old.is_some_and(|old| old != *text) {
                changed.insert(name.clone());
            }
            code.push_str(text);
        }
        let is_new = |name: &String| built.functions.iter().any(|new| new.name == *name);
        // What was compiled with a struct as it was before must not be given the new one.
        for (name, old) in &self.functions {
            let concerned = old.structs.iter().any(|name| changed.contains(name));
            if concerned && !is_new(name) && old.raw.is_none() {
                code.push_str(&format!(
                    "pub {} {{ panic!(\"`{name}` was compiled with another struct: run its `%%c` cell again\") }}\n",
                    unused(&old.signature)
                ));
            }
        }
        self.functions.retain(|name, old| {
            is_new(name) || !old.structs.iter().any(|name| changed.contains(name))
        });
        let mut raw_changed = false;
        for function in &built.functions {
            let old = self
                .functions
                .insert(function.name.clone(), function.clone());
            match &function.raw {
                None => code.push_str(&function.text),
                Some(_) => raw_changed = true,
            }
            // The safe one from before would go on beside it.
            if function.raw.is_some() && old.is_some_and(|old| old.raw.is_none()) {
                code.push_str(&function.text);
            }
            raw_changed |= function.raw.is_none() && self.has_raw();
        }
        if raw_changed {
            let raw = self.functions.values().filter(|it| it.raw.is_some());
            let raw: String = raw.map(|function| function.text.as_str()).collect();
            code.push_str(&format!(
                "#[allow(unused_imports)]\npub mod kernels_raw {{\nuse super::*;\n{raw}}}\n"
            ));
        }
        code
    }

    fn has_raw(&self) -> bool {
        self.functions.values().any(|it| it.raw.is_some())
    }
}

/// A head whose parameters nobody uses.
fn unused(signature: &str) -> String {
    format!("#[allow(unused_variables)] {signature}").replacen(
        "#[allow(unused_variables)] fn",
        "fn",
        1,
    )
}

impl Session {
    /// Compiles C and defines its functions for all later cells; shows their signatures.
    pub fn c(&mut self, request: CRequest<'_>, sink: &mut dyn Sink) -> Result<(), Failed> {
        let source = Source {
            text: request.text.to_owned(),
            name: match &request.file {
                Some(file) => file.display().to_string(),
                None => self.cell().name(),
            },
            line: if request.file.is_some() {
                1
            } else {
                request.line
            },
            file: request.file.clone(),
        };
        let built = self.build_c(&source, &request, sink)?;
        for warning in self.grouped(&source, &built.messages) {
            self.notice(Notice::Warning(Box::new(warning)), sink);
        }
        if built.functions.is_empty() {
            return Err(nothing(&built).into());
        }
        self.crew
            .hub()
            .library(built.library, Arc::clone(&built.so));
        let before = std::mem::take(&mut self.c_definitions);
        let mut after = CDefinitions {
            functions: before.functions.clone(),
            items: before.items.clone(),
        };
        let code = Code::default().generated(&after.take(&built));
        match self.run_local(&code, sink) {
            Ok(()) => self.c_definitions = after,
            Err(failed) => {
                self.c_definitions = before;
                return Err(failed);
            }
        }
        sink.send(Event::Text(listed(&built)));
        Ok(())
    }

    fn build_c(
        &mut self,
        source: &Source,
        request: &CRequest<'_>,
        sink: &mut dyn Sink,
    ) -> Result<Built, Failed> {
        let variables = self.environment_variables();
        let named = variables.get("CC").filter(|value| !value.trim().is_empty());
        let words = named.and_then(|value| shell_words::split(value).ok());
        let tool = Tool {
            words: words.unwrap_or_else(|| vec!["cc".to_owned()]),
            environment: self.environment(),
            shelf: cache_dir().join("c"),
        };
        let stop = Stop::default();
        let (built, answer) = channel();
        std::thread::spawn({
            let (source, stop, waker) = (source.clone(), stop.clone(), self.waker());
            let (arguments, libraries) = (request.arguments.clone(), request.libraries.clone());
            move || {
                // Who has gone takes no answer.
                let _ = built.send(c::build(&source, &tool, &arguments, &libraries, &stop));
                waker.wake();
            }
        });
        let built = self.until(Building { answer, stop }, sink)?;
        built.map_err(|error| self.not_built(source, error))
    }

    fn not_built(&self, source: &Source, error: BuildError) -> Failed {
        let what = error.to_string();
        match error {
            BuildError::Refused(messages) => {
                let mut reports = self.grouped(source, &messages);
                // One error brings others with it, and warnings are for what compiles.
                reports.retain(|report| report.kind == ErrorKind::Compile);
                Failed(reports)
            }
            BuildError::NoCompiler { .. } => Report::new(ErrorKind::System, what)
                .hint(
                    "install one: `apt install gcc` (Debian, Ubuntu), `dnf install gcc` (Fedora), `apk add build-base` \
                     (Alpine); `%env CC=clang` chooses another",
                )
                .into(),
            BuildError::Failed(_) => Report::new(ErrorKind::System, what)
                .hint("make room there, or set XDG_CACHE_HOME to another folder, and run the cell again")
                .into(),
            BuildError::Stopped => explain::interrupted(Doing::CompilingC).into(),
        }
    }

    /// Errors and warnings, each with the notes that follow it.
    fn grouped(&self, source: &Source, messages: &[Message]) -> Vec<Report> {
        let mut reports: Vec<Report> = Vec::new();
        // gcc says it below the first such error.
        let needed = |message: &&Message| !message.text.starts_with("each undeclared identifier");
        for message in messages.iter().filter(needed) {
            let here = message.file == source.name && message.line > 0;
            match (message.severity, reports.last_mut()) {
                (Severity::Note, Some(last)) => {
                    let mark = here.then(|| mark(message, &self.text_of(source), false));
                    match (mark, &mut last.snippet) {
                        (Some(mark), Some(snippet)) => snippet.marks.push(mark),
                        _ => last.notes.push(message.text.as_str().into()),
                    }
                }
                (severity, _) => {
                    let kind = match severity {
                        Severity::Error => ErrorKind::Compile,
                        _ => ErrorKind::Usage,
                    };
                    let mut report = Report::new(kind, message.text.clone());
                    if here {
                        let text = self.text_of(source);
                        report.snippet = Some(Snippet {
                            marks: vec![mark(message, &text, true)],
                            source: text,
                            name: source.name.clone(),
                        });
                    } else if message.line > 0 {
                        report
                            .notes
                            .push(format!("in {}:{}", message.file, message.line).into());
                    }
                    report.hint = hint(&message.text).map(Into::into);
                    reports.push(report);
                }
            }
        }
        reports
    }

    /// The text that lines of the source are lines of.
    fn text_of(&self, source: &Source) -> String {
        match (&source.file, self.history().last()) {
            (None, Some(record)) => record.code.clone(),
            _ => source.text.clone(),
        }
    }
}

/// The marked place of a message: the word that begins there.
fn mark(message: &Message, text: &str, primary: bool) -> Mark {
    let line = text.lines().nth(message.line.saturating_sub(1));
    let line = line.unwrap_or_default();
    let begins = line.len() - line.trim_start().len();
    let at = if message.column == 0 {
        begins
    } else {
        message.column - 1
    };
    let at = (0..=at.min(line.len()))
        .rev()
        .find(|at| line.is_char_boundary(*at));
    let (before, rest) = line.split_at(at.unwrap_or(0));
    let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
    let word = if message.column == 0 {
        rest.trim_end().chars().count()
    } else {
        rest.chars().take_while(is_word).count()
    };
    let column = before.chars().count() + 1;
    Mark {
        start: (message.line, column),
        end: (message.line, column + word.max(1)),
        label: match primary {
            true => Label::default(),
            false => message.text.as_str().into(),
        },
        primary,
    }
}

fn hint(message: &str) -> Option<String> {
    const MATHS: [&str; 22] = [
        "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "exp",
        "exp2", "log", "log2", "log10", "pow", "sqrt", "cbrt", "hypot", "fmod", "floor", "ceil",
    ];
    if let Some(name) = message.strip_prefix("no library defines `") {
        let name = name.trim_end_matches('`');
        let bare = name.trim_end_matches(['f', 'l']);
        return Some(if MATHS.contains(&name) || MATHS.contains(&bare) {
            "it is in the library of mathematics: `%%c --libs m`".to_owned()
        } else {
            "`--libs NAME` links a library; functions of other %%c cells are not there: define them in this one"
                .to_owned()
        });
    }
    if message.contains("No such file or directory") && !message.starts_with("cannot find -l") {
        return Some("`-I FOLDER` says where headers are, from the working folder".to_owned());
    }
    if message.starts_with("cannot find -l") {
        return Some("is it installed? `-L FOLDER` says where libraries are".to_owned());
    }
    if message.contains("unrecognized command-line option") || message.contains("unknown argument")
    {
        return Some("`%help c` shows which options go to the compiler".to_owned());
    }
    None
}

/// There is nothing that Rust could call.
fn nothing(built: &Built) -> Report {
    let mut report = Report::usage("the cell has no function that Rust can call");
    for (name, why) in &built.left_out {
        report = report.note(format!("`{name}`: {why}"));
    }
    report.hint("a function of the cell's own, not `static` or `inline`, whose parameters are numbers, slices, text or structs of numbers")
}

/// The signatures as the user can call them.
fn listed(built: &Built) -> String {
    let mut lines = Vec::new();
    for (_, text) in &built.items {
        let shown = text
            .lines()
            .find(|line| line.starts_with("pub ") || line.contains(" pub "));
        let shown = shown.unwrap_or_default();
        let shown = shown.split_once("pub ").map_or(shown, |(_, rest)| rest);
        lines.push(shown.replace("pub ", "").replace(", }", " }"));
    }
    let longest = built
        .functions
        .iter()
        .map(|it| it.signature.chars().count());
    let width = longest.max().unwrap_or(0);
    for function in &built.functions {
        match &function.raw {
            None => lines.push(function.signature.clone()),
            Some(why) => lines.push(format!("{:width$}  // {why}", function.signature)),
        }
    }
    for (name, why) in &built.left_out {
        lines.push(format!("// `{name}` is left out: {why}"));
    }
    lines.join("\n")
}

/// The compiler at work.
struct Building {
    answer: Receiver<Result<Built, BuildError>>,
    stop: Stop,
}

impl Awaited for Building {
    type Outcome = Result<Built, BuildError>;

    fn look(&mut self, _: &mut Crew, _: &mut dyn Sink) -> Result<Option<Self::Outcome>, Failed> {
        Ok(match self.answer.try_recv() {
            Ok(built) => Some(built),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                Some(Err(BuildError::Failed("it is lost".to_owned())))
            }
        })
    }

    fn interrupted(&mut self, _: &mut Crew) -> Result<(), Failed> {
        self.stop.stop();
        Ok(())
    }
}
