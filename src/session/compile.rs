//! Compiling a piece of code in a namespace: waited for, found in the cache, or interrupted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::blocks::carriers;
use super::cache::Key;
use super::namespace::Namespace;
use super::pump::Awaited;
use super::{Code, Failed, GRACE, Grace, Session, TICK, explain};
use crate::cell::{
    Edits, boxed_closure, lifted, made_items, nests_too_deeply, split_items, with_pointers,
    with_semicolon,
};
use crate::compiler::analysis::expanded;
use crate::compiler::{Artifact, CompileError, Compiled, Pending, Source, Warmth};
use crate::ids::EngineId;
use crate::outcome::{ErrorKind, Event, Progress, Sink};
use crate::wire::places::Place;

/// Silence before progress is told.
const PATIENCE: Duration = Duration::from_millis(700);

/// A compiled piece: what to run, and the namespaces before and after it.
pub(super) struct Ready {
    pub artifact: Arc<Artifact>,
    /// Without `lost`.
    pub before: Namespace,
    /// Variables whose types the piece, or one that the namespace had not seen, has redefined.
    pub lost: Vec<String>,
    pub after: Namespace,
}

fn is_interrupted(failed: &Failed) -> bool {
    let mut kinds = failed.0.iter().map(|report| report.kind);
    kinds.any(|kind| kind == ErrorKind::Interrupted)
}

impl Session {
    /// A namespace without these variables.
    pub(super) fn forget(
        &mut self,
        namespace: &Namespace,
        names: Vec<String>,
        sink: &mut dyn Sink,
    ) -> Result<Namespace, Failed> {
        let namespace = &self.retold(namespace, sink)?;
        let pending = self.workshop.compiler.forget(names, &namespace.state);
        // It is short, and the account of what engines have must not be left half settled.
        let answer = self.await_answer(Answer::new(pending, "compiling", false), sink);
        match answer {
            Ok(compiled) => Ok(Namespace {
                state: compiled.after,
                seen: namespace.seen,
            }),
            Err(error) => Err(explain::compile_error(
                error,
                &Code::default(),
                self.cell(),
                "",
                namespace.variables(),
            )),
        }
    }

    /// The namespace of an engine; a fresh engine has the root's.
    pub(super) fn namespace_of(
        &mut self,
        engine: EngineId,
        sink: &mut dyn Sink,
    ) -> Result<Namespace, Failed> {
        if let Some(namespace) = self.crew.namespaces.get(&engine) {
            return Ok(namespace.clone());
        }
        let root = self.warm_root(sink)?;
        self.crew.namespaces.insert(engine, root.clone());
        Ok(root)
    }

    /// Waits for the rest of the warm-up.
    pub(super) fn warm_root(&mut self, sink: &mut dyn Sink) -> Result<Namespace, Failed> {
        if let Some(root) = &self.workshop.root {
            return Ok(root.clone());
        }
        self.see_to_the_compiler(sink);
        self.workshop.compiler.building().restart();
        let since = Instant::now();
        let root = self.until(Warm { since }, sink)?;
        self.workshop.root = Some(root.clone());
        self.history.timing.compile += since.elapsed();
        Ok(root)
    }

    /// Compiles code in a namespace, or finds it compiled. What the code lacks and can only mean is supplied.
    pub(super) fn compile(
        &mut self,
        code: &Code,
        namespace: &Namespace,
        sink: &mut dyn Sink,
    ) -> Result<Ready, Failed> {
        if nests_too_deeply(&code.text) {
            return Err(explain::too_deep().into());
        }
        let text = with_semicolon(&code.text);
        let names: Vec<String> = namespace.variables().keys().cloned().collect();
        let of = |text: String| Code {
            text,
            pieces: code.pieces.clone(),
        };
        if let Some(pointers) = with_pointers(&text, &names) {
            let answer = self.compile_as_it_is(&of(pointers), namespace, sink);
            // Types that cannot be told are an error of the user's own text.
            if answer.as_ref().err().is_none_or(is_interrupted) {
                return answer;
            }
        }
        let boxed = || boxed_closure(&text, &names);
        let answer = self.compile_as_it_is(&of(text.to_string()), namespace, sink);
        answer.map_err(|failed| explain::closure_borrows(failed, boxed))
    }

    /// The edits that put the items which the session's macros make in the place of their calls.
    pub(super) fn made(&self, code: &str) -> Edits {
        made_items(code, self.workshop.definitions.items(), expanded)
    }

    fn compile_as_it_is(
        &mut self,
        code: &Code,
        namespace: &Namespace,
        sink: &mut dyn Sink,
    ) -> Result<Ready, Failed> {
        let answer = self.compile_once(code, namespace, sink);
        // Another compiler is asked the same. A cell that each of them dies of is told so.
        let died = answer.is_err() && self.workshop.compiler.has_died();
        if died && !answer.as_ref().is_err_and(is_interrupted) {
            return self.compile_once(code, namespace, sink);
        }
        answer
    }

    fn compile_once(
        &mut self,
        code: &Code,
        namespace: &Namespace,
        sink: &mut dyn Sink,
    ) -> Result<Ready, Failed> {
        let since = Instant::now();
        let sources = self.workshop.compiler.local_sources();
        if sources != self.workshop.sources {
            self.workshop.sources = sources;
            self.workshop.settings_version += 1;
        }
        let version = (
            self.workshop.definitions.version(),
            self.workshop.settings_version,
        );
        let key = Key {
            code: code.text.clone(),
            version,
        };
        let made = self.made(&code.text);
        let unlifted = made.apply(&code.text);
        let lifted = lifted(&unlifted, true);
        let text = lifted.apply(&unlifted);
        let (items, _) = split_items(&text);
        let carriers = carriers(&items);
        let lost = self.workshop.definitions.outdated(namespace, &items);
        let cached = self.workshop.cache.find(&key, namespace.variables());
        if let Some(artifact) = cached.filter(|_| lost.is_empty()) {
            return Ok(Ready {
                artifact,
                before: namespace.clone(),
                lost,
                after: namespace.clone(),
            });
        }
        let namespace = &if lost.is_empty() {
            self.retold(namespace, sink)?
        } else {
            self.forget(namespace, lost.clone(), sink)?
        };
        self.workshop.compiler.building().restart();
        let source = Source {
            prefix: self.workshop.definitions.before(namespace.seen, &items),
            code: carriers.apply(&text),
            changes: self.workshop.definitions.changes_with(&items),
        };
        let pending = self.workshop.compiler.compile(source, &namespace.state);
        let answer = self.await_compiler(pending, "compiling", sink);
        self.history.timing.compile += since.elapsed();
        let compiled = match answer {
            Ok(compiled) => compiled,
            Err(mut error) => {
                if let CompileError::Refused(told) = &mut error {
                    for place in told.iter_mut().flat_map(|one| &mut one.places) {
                        for (line, column) in [&mut place.start, &mut place.end] {
                            *column = carriers.column_back(&text, *line, *column);
                            *column = lifted.column_back(&unlifted, *line, *column);
                            *column = made.column_back(&code.text, *line, *column);
                        }
                    }
                }
                let cell = self.record().map_or("", |record| record.code.as_str());
                let variables = namespace.variables();
                let without = self.workshop.toolchain.no_sources.clone();
                let without = without.filter(|_| explain::wants_sources(&error));
                let mut failed = explain::compile_error(error, code, self.cell(), cell, variables);
                for report in &mut failed.0 {
                    report.notes.extend(without.clone());
                }
                self.tell_where(&mut failed);
                return Err(failed);
            }
        };
        self.crew
            .outs
            .redefined(&self.workshop.definitions.changed_by(&items));
        let cell = self.cell();
        self.workshop.definitions.add(&items, |line| {
            let line = u32::try_from(code.in_cell(line)?).ok()?;
            Some(Place { cell, line })
        });
        let version = (
            self.workshop.definitions.version(),
            self.workshop.settings_version,
        );
        self.workshop.cache.keep(
            Key {
                code: code.text.clone(),
                version,
            },
            namespace.variables(),
            &compiled,
        );
        let after = Namespace {
            state: compiled.after,
            seen: self.workshop.definitions.len(),
        };
        Ok(Ready {
            artifact: compiled.artifact,
            before: namespace.clone(),
            lost,
            after,
        })
    }

    /// Waits for the compiler's answer. Ctrl-C ends the wait within a second.
    pub(super) fn await_compiler(
        &mut self,
        pending: Pending,
        what: &str,
        sink: &mut dyn Sink,
    ) -> Result<Compiled, CompileError> {
        self.await_answer(Answer::new(pending, what, true), sink)
    }

    fn await_answer(
        &mut self,
        answer: Answer<'_>,
        sink: &mut dyn Sink,
    ) -> Result<Compiled, CompileError> {
        self.until(answer, sink).unwrap_or_else(|failed| {
            let why = failed.0.into_iter().next().map(|report| report.what);
            Err(CompileError::Unavailable(why.unwrap_or_default()))
        })
    }

    fn tell_building(&self, what: &str, since: Instant, sink: &mut dyn Sink) {
        if since.elapsed() < PATIENCE {
            return;
        }
        let (crates, newest) = self.workshop.compiler.building().so_far();
        let what = newest.map_or_else(|| what.to_owned(), |name| format!("{what}: {name}"));
        let done = crates as u64;
        let elapsed = since.elapsed();
        let progress = Progress {
            what,
            unit: "crates",
            done,
            total: None,
            elapsed,
        };
        sink.send(Event::Progress(Some(progress)));
    }
}

/// The rest of the warm-up.
struct Warm {
    since: Instant,
}

impl Awaited for Warm {
    type Outcome = Namespace;

    fn patience(&self) -> Duration {
        Duration::ZERO
    }

    fn look(
        &mut self,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<Option<Namespace>, Failed> {
        if let Some(state) = session.workshop.compiler.root(TICK) {
            sink.send(Event::Progress(None));
            return Ok(Some(Namespace { state, seen: 0 }));
        }
        if let Warmth::Failed(why) = session.workshop.compiler.warmth() {
            return Err(explain::no_compiler(&why).into());
        }
        session.tell_building("warming up the compiler", self.since, sink);
        Ok(None)
    }

    fn interrupted(&mut self, _: &mut Session, _: &mut dyn Sink) -> Result<(), Failed> {
        Err(explain::interrupted("waiting for the compiler").into())
    }
}

/// An answer of the compiler.
struct Answer<'a> {
    pending: Pending,
    what: &'a str,
    since: Instant,
    /// Whether Ctrl-C stops the compiler; else it counts when the answer is there.
    stops: bool,
    pressed: bool,
    /// How long a stopped compiler may still take.
    grace: Grace,
}

impl<'a> Answer<'a> {
    fn new(pending: Pending, what: &'a str, stops: bool) -> Self {
        Self {
            pending,
            what,
            since: Instant::now(),
            stops,
            pressed: false,
            grace: Grace(None),
        }
    }
}

impl Awaited for Answer<'_> {
    type Outcome = Result<Compiled, CompileError>;

    fn patience(&self) -> Duration {
        Duration::ZERO
    }

    fn look(
        &mut self,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<Option<Self::Outcome>, Failed> {
        let answer = self.pending.wait(TICK);
        if answer.is_none() && !self.grace.over() {
            session.tell_building(self.what, self.since, sink);
            return Ok(None);
        }
        sink.send(Event::Progress(None));
        if !self.stops {
            if self.pressed {
                session.crew.interrupt.press();
            }
            return Ok(answer);
        }
        // Ctrl-C in a terminal reaches cargo too, which may be quicker.
        let failed = answer.as_ref().is_none_or(Result::is_err);
        if self.pressed || failed && session.crew.interrupt.take() {
            return Ok(Some(Err(CompileError::Interrupted)));
        }
        Ok(answer)
    }

    fn interrupted(&mut self, _: &mut Session, _: &mut dyn Sink) -> Result<(), Failed> {
        if self.stops && !self.pressed {
            self.pending.interrupt();
            self.grace = Grace(Some(Instant::now() + GRACE));
        }
        self.pressed = true;
        Ok(())
    }
}
