//! Compiling a piece of code in a namespace and running it, with Ctrl-C at any moment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cache::Key;
use super::explain;
use super::flight::{Ended, Flight, Hold, Shown};
use super::namespace::{Namespace, bound_names, external_crate};
use super::{Grace, Session};
use crate::cell::{normalised, split_items};
use crate::compiler::{Artifact, CompileError, Pending, Source, Warmth};
use crate::ids::EngineId;
use crate::outcome::{ErrorKind, Event, Origin, Progress, Report, Sink};
use crate::pool::{EngineState, Run, Signal, Work};

/// How often flags are looked at while something is awaited.
const TICK: Duration = Duration::from_millis(20);

/// How long a Ctrl-C leaves to what it interrupts before that is killed.
const GRACE: Duration = Duration::from_millis(300);

/// Silence before progress is told.
const PATIENCE: Duration = Duration::from_millis(700);

/// Rust code with the places in the cell that its lines come from.
#[derive(Clone, Debug, Default)]
pub struct Code {
    pub text: String,
    pub pieces: Vec<Piece>,
}

/// Lines of the code that stand in the cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// First line in the code, from 1.
    pub line: usize,
    pub lines: usize,
    /// The line of the cell that it comes from.
    pub cell_line: usize,
    /// How many columns of the cell's first line stand before it.
    pub column: usize,
}

impl Code {
    /// Code that stands in the cell as it is, from `line` on.
    pub fn verbatim(text: &str, line: usize) -> Self {
        Self::default().user(text, (line, 1))
    }

    /// Adds generated text.
    #[must_use]
    pub fn generated(mut self, text: &str) -> Self {
        self.text.push_str(text);
        self
    }

    /// Adds the user's text, on lines of its own; `at` is its line and column in the cell.
    #[must_use]
    pub fn user(mut self, text: &str, at: (usize, usize)) -> Self {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        self.pieces.push(Piece {
            line: self.text.lines().count() + 1,
            lines: text.lines().count().max(1),
            cell_line: at.0,
            column: at.1.saturating_sub(1),
        });
        self.text.push_str(text);
        self.text.push('\n');
        self
    }
}

impl Code {
    /// The cell's line that a line of this code comes from.
    pub fn in_cell(&self, line: usize) -> Option<usize> {
        let has = |piece: &&Piece| (piece.line..piece.line + piece.lines).contains(&line);
        self.pieces
            .iter()
            .find(has)
            .map(|piece| piece.cell_line + line - piece.line)
    }
}

/// A cell that did not end well; the reports say why.
#[derive(Debug, Default)]
pub struct Failed(pub Vec<Report>);

impl From<Report> for Failed {
    fn from(report: Report) -> Self {
        Self(vec![report])
    }
}

fn lost_by_redefinition(name: &str) -> String {
    format!("the variable `{name}` is lost: its type was redefined")
}

/// A compiled piece: what to run, and the namespaces before and after it.
pub(super) struct Ready {
    pub artifact: Arc<Artifact>,
    /// Without `lost`.
    pub before: Namespace,
    /// Variables whose types the piece, or one that the namespace had not seen, has redefined.
    pub lost: Vec<String>,
    pub after: Namespace,
}

impl Session {
    /// Runs plain Rust in the local engine.
    pub fn run_local(&mut self, code: &Code, sink: &mut dyn Sink) -> Result<(), Failed> {
        if normalised(&code.text)
            .chars()
            .all(|c| c == ';' || c.is_whitespace())
        {
            return Ok(());
        }
        let (items, _) = split_items(&code.text);
        for name in items.iter().filter_map(external_crate) {
            self.add_crate(name, "\"*\"", sink)?;
        }
        // Each round forgets the variables whose types were redefined.
        for _ in 0..5 {
            let before = self.namespace_of(self.local, sink)?;
            let ready = self.compile(code, &before, sink)?;
            let local = self.local;
            for name in &ready.lost {
                sink.send(Event::Notice(lost_by_redefinition(name)));
            }
            let before = ready.before;
            self.namespaces.insert(local, before.clone());
            self.last_artifact = Some(ready.artifact.clone());
            let runs = [(vec![(local, Origin::Local)], ready.artifact.clone())];
            let (flight, interrupted) = self.fly(&runs, Hold::default(), Wait::default(), sink)?;
            let failure = flight.map_failure.clone();
            let Some(ended) = flight.legs.into_values().next().and_then(|leg| leg.ended) else {
                return Ok(());
            };
            match ended {
                Ended::Returned => {
                    self.namespaces.insert(local, ready.after);
                    return Ok(());
                }
                Ended::ChangedTypes(names) => {
                    for name in &names {
                        sink.send(Event::Notice(lost_by_redefinition(name)));
                    }
                    let before = self.forget(&before, names)?;
                    self.namespaces.insert(local, before);
                }
                Ended::Died(cause) => {
                    self.launch_local();
                    let lost: Vec<&str> = before.variables().keys().map(String::as_str).collect();
                    return Err(explain::local_death(&cause, interrupted, &lost).into());
                }
                Ended::NotLoaded(why) => {
                    let what = format!("the compiled cell cannot be loaded: {why}");
                    return Err(Report::new(ErrorKind::System, what).into());
                }
                ended @ (Ended::Panicked(_) | Ended::Errored(_)) => {
                    let lost = self.settle(local, &before, &ready.after, code)?;
                    let mut report = match (ended, failure) {
                        (_, Some(failure)) => self.map_failure(&failure, &ready.artifact, code),
                        (Ended::Panicked(panic), None) => {
                            self.panic_report(&panic, &ready.artifact, code, Origin::Local)
                        }
                        (Ended::Errored(_), None) => explain::errored(),
                        _ => Report::new(ErrorKind::Error, "the cell failed"),
                    };
                    report.notes.extend(explain::lost(&lost));
                    return Err(report.into());
                }
            }
        }
        Err(Report::new(
            ErrorKind::Compile,
            "types keep changing under the variables",
        )
        .into())
    }

    /// Keeps account after a cell that stopped midway: its new variables were not stored, and what it
    /// consumed is gone. Names what the user has lost.
    pub(super) fn settle(
        &mut self,
        engine: EngineId,
        before: &Namespace,
        after: &Namespace,
        code: &Code,
    ) -> Result<Vec<String>, Failed> {
        let bound = bound_names(&code.text);
        let lost: Vec<String> = before
            .variables()
            .keys()
            .filter(|name| !after.variables().contains_key(*name) || bound.contains(*name))
            .cloned()
            .collect();
        let settled = if lost.is_empty() {
            before.clone()
        } else {
            self.forget(before, lost.clone())?
        };
        self.namespaces.insert(engine, settled);
        Ok(lost)
    }

    /// A namespace without these variables.
    pub(super) fn forget(
        &mut self,
        namespace: &Namespace,
        names: Vec<String>,
    ) -> Result<Namespace, Failed> {
        let pending = self.compiler.forget(names, &namespace.state);
        let answer = loop {
            if let Some(answer) = pending.wait(TICK) {
                break answer;
            }
        };
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
            )),
        }
    }

    /// The namespace of an engine; a fresh engine has the root's.
    pub(super) fn namespace_of(
        &mut self,
        engine: EngineId,
        sink: &mut dyn Sink,
    ) -> Result<Namespace, Failed> {
        if let Some(namespace) = self.namespaces.get(&engine) {
            return Ok(namespace.clone());
        }
        let root = self.warm_root(sink)?;
        self.namespaces.insert(engine, root.clone());
        Ok(root)
    }

    /// Waits for the rest of the warm-up.
    fn warm_root(&mut self, sink: &mut dyn Sink) -> Result<Namespace, Failed> {
        if let Some(root) = &self.root {
            return Ok(root.clone());
        }
        let since = Instant::now();
        self.building.restart();
        loop {
            if let Some(state) = self.compiler.root(TICK) {
                let root = Namespace { state, seen: 0 };
                self.root = Some(root.clone());
                self.timing.compile += since.elapsed();
                sink.send(Event::Progress(None));
                return Ok(root);
            }
            if let Warmth::Failed(why) = self.compiler.warmth() {
                return Err(explain::no_compiler(&why).into());
            }
            if self.interrupt.is_pressed() {
                let _ = self.interrupt.take();
                return Err(explain::interrupted("waiting for the compiler").into());
            }
            self.tell_building("warming up the compiler", since, sink);
        }
    }

    /// Compiles code in a namespace, or finds it compiled.
    pub(super) fn compile(
        &mut self,
        code: &Code,
        namespace: &Namespace,
        sink: &mut dyn Sink,
    ) -> Result<Ready, Failed> {
        let since = Instant::now();
        let version = (self.definitions.version(), self.settings_version);
        let key = Key {
            code: code.text.clone(),
            version,
        };
        let (items, _) = split_items(&code.text);
        let lost = self.definitions.outdated(namespace, &items);
        let cached = self.cache.find(&key, namespace.variables());
        if let Some(artifact) = cached.filter(|_| lost.is_empty()) {
            return Ok(Ready {
                artifact,
                before: namespace.clone(),
                lost,
                after: namespace.clone(),
            });
        }
        let without;
        let namespace = if lost.is_empty() {
            namespace
        } else {
            without = self.forget(namespace, lost.clone())?;
            &without
        };
        self.building.restart();
        let source = Source {
            prefix: self.definitions.unseen(namespace.seen),
            code: code.text.clone(),
        };
        let pending = self.compiler.compile(source, &namespace.state);
        let answer = self.await_compiler(&pending, "compiling", sink);
        self.timing.compile += since.elapsed();
        let compiled = match answer {
            Ok(compiled) => compiled,
            Err(error) => {
                let cell = self
                    .history
                    .last()
                    .map_or("", |record| record.code.as_str());
                return Err(explain::compile_error(error, code, self.cell(), cell));
            }
        };
        self.definitions.add(&items);
        let version = (self.definitions.version(), self.settings_version);
        self.cache.keep(
            Key {
                code: code.text.clone(),
                version,
            },
            namespace.variables(),
            &compiled,
        );
        let after = Namespace {
            state: compiled.after,
            seen: self.definitions.len(),
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
        pending: &Pending,
        what: &str,
        sink: &mut dyn Sink,
    ) -> Result<crate::compiler::Compiled, CompileError> {
        let since = Instant::now();
        let mut grace = Grace(None);
        loop {
            if let Some(answer) = pending.wait(TICK) {
                sink.send(Event::Progress(None));
                return if grace.0.is_some() {
                    Err(CompileError::Interrupted)
                } else {
                    answer
                };
            }
            if self.interrupt.is_pressed() && grace.0.is_none() {
                let _ = self.interrupt.take();
                pending.interrupt();
                grace = Grace(Some(Instant::now() + GRACE));
            }
            if grace.over() {
                sink.send(Event::Progress(None));
                return Err(CompileError::Interrupted);
            }
            self.tell_building(what, since, sink);
        }
    }

    fn tell_building(&self, what: &str, since: Instant, sink: &mut dyn Sink) {
        if since.elapsed() < PATIENCE {
            return;
        }
        let (crates, newest) = self.building.so_far();
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

    /// Runs artifacts on engines and follows them to their end; also tells whether Ctrl-C ended it.
    pub(super) fn fly(
        &mut self,
        runs: &[Batch],
        hold: Hold,
        wait: Wait,
        sink: &mut dyn Sink,
    ) -> Result<(Flight, bool), Failed> {
        let mut flight = self.take_off(runs, hold);
        let interrupted = self.follow(&mut flight, wait, sink)?;
        Ok((flight, interrupted))
    }

    /// Starts artifacts on engines.
    pub(super) fn take_off(&mut self, runs: &[Batch], hold: Hold) -> Flight {
        let all = runs.iter().flat_map(|(engines, _)| engines.iter().cloned());
        let flight = Flight::new(all, hold);
        for (engines, artifact) in runs {
            self.hub.run(Run {
                engines: engines.iter().map(|(engine, _)| *engine).collect(),
                so: artifact.so.clone(),
                entry: artifact.entry.clone(),
                cell: self.cell(),
                pool: self.pool_use(),
            });
        }
        flight
    }

    /// Follows a flight until all its engines have ended.
    pub(super) fn follow(
        &mut self,
        flight: &mut Flight,
        wait: Wait,
        sink: &mut dyn Sink,
    ) -> Result<bool, Failed> {
        self.in_flight = true;
        let followed = self.follow_events(flight, wait, sink);
        self.in_flight = false;
        self.interrupting = false;
        self.finish_stray_prints(sink);
        self.flush_map_report(sink);
        sink.send(Event::Progress(None));
        self.timing.run += flight.started.elapsed();
        let mut interruption = followed?;
        if interruption.since.is_some() {
            self.end_map_engines(&mut interruption);
            let pool_engines: Vec<EngineId> = interruption
                .killed
                .iter()
                .copied()
                .filter(|engine| *engine != self.local)
                .collect();
            self.replace(&pool_engines, sink);
        }
        Ok(interruption.since.is_some())
    }

    fn follow_events(
        &mut self,
        flight: &mut Flight,
        wait: Wait,
        sink: &mut dyn Sink,
    ) -> Result<Interruption, Failed> {
        let mut interruption = Interruption {
            signal: wait.signal,
            ..Interruption::default()
        };
        while !flight.is_over() {
            let event = self
                .hub
                .event(TICK)
                .map_err(|gone| Failed::from(Report::new(ErrorKind::System, gone.to_string())))?;
            if let Some(event) = event.and_then(|event| self.route(event)) {
                for shown in flight.take(event) {
                    self.show(shown, sink);
                }
            }
            if let Some(after) = wait
                .progress_after
                .filter(|after| flight.started.elapsed() >= *after)
            {
                let total = flight.legs.len() as u64;
                let done = total - flight.flying().len() as u64;
                let elapsed = flight.started.elapsed().saturating_sub(after);
                let what = "px".to_owned();
                let progress = Progress {
                    what,
                    unit: "engines",
                    done,
                    total: Some(total),
                    elapsed,
                };
                sink.send(Event::Progress(Some(progress)));
            }
            if self.interrupt.is_pressed() && interruption.since.is_none() {
                let _ = self.interrupt.take();
                interruption.since = Some(Instant::now());
                self.interrupting = true;
                self.interrupt_softly(flight, &mut interruption);
            }
            if interruption
                .since
                .is_some_and(|since| since.elapsed() >= GRACE)
            {
                self.interrupt_hard(flight, &mut interruption);
            }
        }
        Ok(interruption)
    }

    /// A map that was interrupted is over for its caller at once; an engine that does not end its chunk by
    /// itself is killed.
    fn end_map_engines(&self, interruption: &mut Interruption) {
        let since = Instant::now();
        loop {
            let busy: Vec<EngineId> = self
                .hub
                .status()
                .iter()
                .filter(|status| status.state == EngineState::Busy(Work::Map))
                .map(|status| status.id)
                .collect();
            if busy.is_empty() {
                return;
            }
            if since.elapsed() >= GRACE {
                self.hub.signal(busy.clone(), Signal::SIGKILL);
                interruption.killed.extend(busy);
                return;
            }
            std::thread::sleep(TICK);
        }
    }

    /// The first moment of a Ctrl-C: a map is told to end, a cell gets its signal.
    fn interrupt_softly(&self, flight: &Flight, interruption: &mut Interruption) {
        if self.map_is_running(flight) {
            self.hub.interrupt_map();
        } else {
            let signal = interruption.signal.unwrap_or(Signal::SIGINT);
            interruption.killed.extend(flight.flying());
            self.hub.signal(flight.flying(), signal);
        }
    }

    /// What has not ended by now is killed: a map's busy engines first, then the cell's own.
    fn interrupt_hard(&mut self, flight: &Flight, interruption: &mut Interruption) {
        let mut victims: Vec<EngineId> = Vec::new();
        if !interruption.map_engines_done {
            interruption.map_engines_done = true;
            let busy =
                |status: &crate::pool::EngineStatus| status.state == EngineState::Busy(Work::Map);
            victims.extend(
                self.hub
                    .status()
                    .iter()
                    .filter(|status| busy(status))
                    .map(|s| s.id),
            );
            interruption.killed.extend(&victims);
        }
        if victims.is_empty() {
            victims = flight.flying();
            interruption.killed.extend(&victims);
        }
        // The next round, if this was not enough.
        interruption.since = Some(Instant::now());
        self.hub.signal(victims, Signal::SIGKILL);
    }

    fn map_is_running(&self, flight: &Flight) -> bool {
        flight.legs.contains_key(&self.local)
            && self
                .hub
                .status()
                .iter()
                .any(|status| status.state == EngineState::Busy(Work::Map))
    }

    fn show(&mut self, shown: Shown, sink: &mut dyn Sink) {
        match shown {
            Shown::Output {
                origin,
                stream,
                text,
            } => {
                self.flush_map_report(sink);
                sink.send(Event::Output {
                    origin,
                    stream,
                    text,
                });
            }
            Shown::Value { origin, value } => {
                self.flush_map_report(sink);
                self.show_value(origin, value, sink);
            }
            Shown::Other(event) => self.other_event(event, sink),
        }
    }
}

/// Engines that run the same artifact.
pub(super) type Batch = (Vec<(EngineId, Origin)>, Arc<Artifact>);

/// How a flight is waited for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wait {
    /// What Ctrl-C sends first; SIGINT when `None`.
    pub signal: Option<Signal>,
    /// When to begin to tell how many engines are done.
    pub progress_after: Option<Duration>,
}

/// A Ctrl-C that is being carried out.
#[derive(Debug, Default)]
struct Interruption {
    since: Option<Instant>,
    signal: Option<Signal>,
    map_engines_done: bool,
    killed: Vec<EngineId>,
}
