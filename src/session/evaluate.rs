//! Plain cells: compiled and run in the local engine, and accounted for when they stop midway.

use super::flight::{Ended, Hold, Leg};
use super::follow::Batch;
use super::jobs::is_ours;
use super::moved::Why;
use super::namespace::{Namespace, external_crate};
use super::{Code, Failed, Session, explain};
use crate::cell::{bound_at_top, identifiers, lacks_a_pattern, normalised, split_items};
use crate::ids::EngineId;
use crate::outcome::{ErrorKind, Event, Origin, Report, Sink, Value};
use crate::pool::{MapFault, Payload};

/// Catches the value of a cell; everything else goes on.
struct Catcher<'a> {
    onward: &'a mut dyn Sink,
    value: Option<Value>,
}

impl Sink for Catcher<'_> {
    fn send(&mut self, event: Event) {
        match event {
            Event::Result { value, .. } => self.value = Some(value),
            event => self.onward.send(event),
        }
    }
}

fn lost_by_redefinition(name: &str) -> String {
    format!("the variable `{name}` is lost: its type was redefined")
}

impl Session {
    /// The value that code shows, which is not shown now.
    pub fn value_of(&mut self, code: &Code, sink: &mut dyn Sink) -> Result<Option<Value>, Failed> {
        let mut catcher = Catcher {
            onward: sink,
            value: None,
        };
        let shown = self.crew.outs.last();
        let ran = self.run_local(code, &mut catcher);
        // It was not shown to the user.
        self.crew.outs.restore(shown);
        ran?;
        Ok(catcher.value)
    }

    /// An expression's value with its whole text.
    pub fn whole_value(
        &mut self,
        expression: &str,
        at: (usize, usize),
        sink: &mut dyn Sink,
    ) -> Result<Value, Failed> {
        let code = Code::default().generated("regatta_cell::magic::show_whole(&(\n");
        let code = self
            .with_outs(expression, at, code, sink)?
            .generated("));\n");
        // Only `()` has no value.
        Ok(self
            .value_of(&code, sink)?
            .unwrap_or_else(|| Value::plain("()", "()")))
    }

    /// Engines need not keep the values of variables that are gone or bound anew.
    fn let_go(&self, before: &Namespace, after: &Namespace, code: &Code) {
        let bound = bound_at_top(&code.text);
        let is_gone =
            |name: &&String| !after.variables().contains_key(*name) || bound.contains(*name);
        let gone = before.variables().keys().filter(is_gone).cloned();
        self.crew.hub.let_go_of(gone.collect());
    }

    /// Runs plain Rust in the local engine.
    pub fn run_local(&mut self, code: &Code, sink: &mut dyn Sink) -> Result<(), Failed> {
        self.run_local_with(code, Vec::new(), sink)
    }

    /// The same, with values that the code takes from the session.
    pub(super) fn run_local_with(
        &mut self,
        code: &Code,
        data: Vec<Payload>,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        if normalised(&code.text)
            .chars()
            .all(|c| c == ';' || c.is_whitespace())
        {
            return Ok(());
        }
        if lacks_a_pattern(&code.text) {
            // evcxr leaves such a statement out.
            return Err(explain::no_pattern(self.history().last()).into());
        }
        let (items, _) = split_items(&code.text);
        for name in items.iter().filter_map(external_crate) {
            self.add_crate(name, "\"*\"", sink)?;
        }
        if !self.crew.dead.is_empty() && identifiers(&code.text).contains("pool") {
            for pool in self.crew.pools.clone() {
                self.revive(&pool.name, &pool.all_ranks(), sink);
            }
        }
        // Each round forgets the variables whose types were redefined.
        for _ in 0..5 {
            let local = self.crew.local;
            let before = self.namespace_of(local, sink)?;
            let ready = self.compile(code, &before, sink)?;
            if self.crew.local != local {
                // It has died meanwhile, and the variables that this was compiled for with it.
                continue;
            }
            for name in &ready.lost {
                sink.send(Event::Notice(lost_by_redefinition(name)));
            }
            self.note_gone(ready.lost.iter().map(String::as_str), Why::Redefined);
            let before = ready.before;
            self.crew.namespaces.insert(local, before.clone());
            let mut batch = Batch::new(vec![(local, Origin::Local)], ready.artifact.clone());
            batch.data = vec![data.clone()];
            self.leave_places(&ready.artifact, code);
            let (flight, interrupted) = self.fly(&[batch], Hold::default(), sink)?;
            let failure = flight.map_failure.clone();
            let Some(mut leg) = flight.legs.into_values().next() else {
                return Ok(());
            };
            self.sent = std::mem::take(&mut leg.sent);
            let lost = self.settle(local, &before, &ready.after, &leg, sink)?;
            let cell = self.cell();
            if let Some(note) = &leg.kept {
                self.crew.outs.kept(cell, note);
            }
            if let Some(namespace) = self.crew.namespaces.get(&local) {
                let variables = namespace.variables();
                self.crew
                    .outs
                    .check_variables(cell, |name| variables.contains_key(name));
            }
            let Some(ended) = leg.ended else {
                return Ok(());
            };
            match ended {
                Ended::Returned => {
                    self.note_moved(&before, &ready.after);
                    self.let_go(&before, &ready.after, code);
                    if !lost.is_empty() {
                        sink.send(Event::Notice(explain::returned_early(&lost)));
                    }
                    let collects = ["try_on_processes", "try_on_threads"];
                    if interrupted && collects.iter().any(|call| code.text.contains(call)) {
                        let kept =
                            "the map was interrupted: what was done is kept, the rest are errors";
                        sink.send(Event::Notice(kept.to_owned()));
                    }
                    return Ok(());
                }
                Ended::ChangedTypes(names) => {
                    for name in &names {
                        sink.send(Event::Notice(lost_by_redefinition(name)));
                    }
                    self.note_gone(names.iter().map(String::as_str), Why::Redefined);
                    let before = self.forget(&before, names, sink)?;
                    self.crew.namespaces.insert(local, before);
                }
                Ended::Died(cause) => {
                    self.launch_local();
                    let names = before.variables().keys().map(String::as_str);
                    let lost: Vec<&str> = names.filter(|name| !is_ours(name)).collect();
                    self.note_gone(lost.iter().copied(), Why::Died);
                    return Err(explain::local_death(&cause, interrupted, &lost).into());
                }
                Ended::NotLoaded(why) => {
                    let what = format!("the compiled cell cannot be loaded: {why}");
                    return Err(Report::new(ErrorKind::System, what).into());
                }
                ended @ (Ended::Panicked(_) | Ended::PanickedAtEnd(_) | Ended::Errored(_)) => {
                    if failure
                        .as_ref()
                        .is_some_and(|failure| failure.what == MapFault::PlanOnly)
                    {
                        return Ok(());
                    }
                    let mut report = match (ended, failure) {
                        (_, Some(failure)) => self.map_failure(&failure),
                        (Ended::Panicked(panic), None) => self.panic_report(&panic, Origin::Local),
                        (Ended::PanickedAtEnd(panic), None) => {
                            let mut report = self.panic_report(&panic, Origin::Local);
                            let note = "it panicked while a value was dropped at the cell's end; the cell's variables are kept";
                            report.notes.push(note.to_owned());
                            report
                        }
                        (Ended::Errored(_), None) => explain::errored(),
                        _ => Report::new(ErrorKind::Error, "the cell failed"),
                    };
                    report.notes.extend(explain::lost(&lost));
                    self.note_gone(lost.iter().map(String::as_str), Why::Panicked);
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

    /// Keeps account of a cell that an engine has run: adopts the variables that it has now, and names those
    /// that are gone though the namespace would have them. A cell that stopped midway has stored nothing new,
    /// and what it consumed is gone; one that returned early has not stored what it bound.
    pub(super) fn settle(
        &mut self,
        engine: EngineId,
        before: &Namespace,
        after: &Namespace,
        leg: &Leg,
        sink: &mut dyn Sink,
    ) -> Result<Vec<String>, Failed> {
        let namespace = match leg.ended {
            Some(Ended::Returned | Ended::PanickedAtEnd(_)) => after,
            Some(Ended::Panicked(_) | Ended::Errored(_)) => before,
            _ => return Ok(Vec::new()),
        };
        let mut lost: Vec<String> = namespace.variables().keys().cloned().collect();
        lost.retain(|name| !leg.variables.contains(name));
        let settled = if lost.is_empty() {
            namespace.clone()
        } else {
            self.forget(namespace, lost.clone(), sink)?
        };
        self.crew.namespaces.insert(engine, settled);
        lost.retain(|name| !is_ours(name));
        Ok(lost)
    }
}
