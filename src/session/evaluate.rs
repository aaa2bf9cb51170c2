//! Plain cells: compiled and run in the local engine, and accounted for when they stop midway.

use std::collections::BTreeMap;

use super::crew::{Batch, Ended, Flight, Hold, Leg, is_ours};
use super::namespace::Namespace;
use super::workshop::{Ready, external_crate};
use super::{Code, Failed, Session, explain};
use crate::cell::{bound_at_top, lacks_a_pattern, normalised, split_items};
use crate::ids::{EngineId, Rank};
use crate::outcome::{ErrorKind, Gone, MapReport, Note, Notice, Origin, Report, Sink, Value};
use crate::pool::{MapFailure, MapFault, Payload};
use crate::wire::world::CommTold;

/// How often variables are forgotten whose types have changed before a cell is given up.
const ROUNDS: usize = 5;

/// What a cell in the local engine has produced besides its variables.
#[derive(Debug, Default)]
pub(super) struct Produced {
    /// Its value, where that was held back.
    pub value: Option<Value>,
    /// Values for the session to hand on.
    pub sent: Vec<Payload>,
    /// Of a `%px` on a thread pool: what each thread made of it.
    pub threads: BTreeMap<Rank, Leg>,
    /// Of its maps, where those were held back.
    pub reports: Vec<MapReport>,
    /// What ranks have told of their messages.
    pub comm: Vec<(Rank, CommTold)>,
    /// Ctrl-C has ended waits for messages.
    pub stopped: bool,
    /// When it began, on the machine's monotonic clock, nanoseconds.
    pub began: u64,
}

/// A cell's run in the local engine.
struct Run {
    leg: Leg,
    /// Why the last map of the cell failed.
    map_failure: Option<MapFailure>,
    interrupted: bool,
    /// Ctrl-C has ended its wait for others.
    stopped: bool,
}

impl Session {
    /// The value that code shows, which is not shown now.
    pub(super) fn value_of(
        &mut self,
        code: &Code,
        sink: &mut dyn Sink,
    ) -> Result<Option<Value>, Failed> {
        let hold = Hold {
            values: true,
            ..Hold::default()
        };
        let (produced, ran) = self.run(code, Vec::new(), hold, sink);
        ran?;
        Ok(produced.value)
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
        self.crew.hub().let_go_of(gone.collect());
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
        self.run(code, data, Hold::default(), sink).1
    }

    /// Runs code that sends values, and gives them.
    pub(super) fn sent_by(
        &mut self,
        code: &Code,
        sink: &mut dyn Sink,
    ) -> Result<Vec<Payload>, Failed> {
        let (produced, ran) = self.run(code, Vec::new(), Hold::default(), sink);
        ran.map(|()| produced.sent)
    }

    /// Runs code in the local engine: what it has produced, also when it failed, and how it ended.
    pub(super) fn run(
        &mut self,
        code: &Code,
        data: Vec<Payload>,
        hold: Hold,
        sink: &mut dyn Sink,
    ) -> (Produced, Result<(), Failed>) {
        let mut produced = Produced::default();
        let ended = self.run_rounds(code, data, hold, &mut produced, sink);
        (produced, ended)
    }

    /// Each round forgets the variables whose types were redefined.
    fn run_rounds(
        &mut self,
        code: &Code,
        data: Vec<Payload>,
        hold: Hold,
        produced: &mut Produced,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let is_empty = |c: char| c == ';' || c.is_whitespace();
        if normalised(&code.text).chars().all(is_empty) {
            return Ok(());
        }
        self.prepare(code, sink)?;
        self.tell_written();
        for _ in 0..ROUNDS {
            let local = self.crew.local();
            let before = self.namespace_of(local, sink)?;
            let ready = self.compile(code, &before, sink)?;
            if self.crew.local() != local {
                // It has died meanwhile, and the variables that this was compiled for with it.
                continue;
            }
            self.tell_redefined(&ready.lost, sink);
            self.crew.has_now(local, ready.before.clone());
            let cell = self.cell();
            let places = self.workshop.places(&ready.artifact, code, cell);
            let origins = vec![(local, Origin::Local)];
            let mut batch = Batch::new(origins, ready.artifact.clone(), places);
            batch.data = vec![data.clone()];
            batch.threads.clone_from(&code.threads);
            let flown = self.crew.fly(cell, &[batch], hold, sink)?;
            let Some((leg, map_failure)) = produced.take(flown.flight) else {
                return Ok(());
            };
            let run = Run {
                leg,
                map_failure,
                interrupted: flown.interrupted,
                stopped: produced.stopped,
            };
            let lost = self.settle(local, &ready.before, &ready.after, &run.leg, sink)?;
            self.note_outs(&run.leg, hold);
            if let Some(Ended::ChangedTypes(names)) = &run.leg.ended {
                self.tell_redefined(names, sink);
                let before = self.forget(&ready.before, names.clone(), sink)?;
                self.crew.has_now(local, before);
                continue;
            }
            return self.came_to(code, run, &ready, &lost, sink);
        }
        let what = "types keep changing under the variables";
        Err(Report::new(ErrorKind::Compile, what).into())
    }

    /// What code needs before it can be compiled.
    fn prepare(&mut self, code: &Code, sink: &mut dyn Sink) -> Result<(), Failed> {
        if lacks_a_pattern(&code.text) {
            // evcxr leaves such a statement out.
            return Err(explain::no_pattern(self.history().last()).into());
        }
        let (items, _) = split_items(&code.text);
        for name in items.iter().filter_map(external_crate) {
            self.add_crate(name, "\"*\"", sink)?;
        }
        Ok(())
    }

    /// Variables of the local engine whose types were redefined.
    fn tell_redefined(&mut self, names: &[String], sink: &mut dyn Sink) {
        for name in names {
            let name = name.clone();
            self.notice(Notice::Redefined { name }, sink);
        }
        let names = names.iter().map(String::as_str);
        self.crew.note_gone(names, Gone::Redefined);
    }

    /// What has become of the values that cells have shown.
    fn note_outs(&mut self, leg: &Leg, hold: Hold) {
        let cell = self.cell();
        match &leg.kept {
            // It was not shown to the user.
            Some(note) if hold.values => self.crew.outs.dropped(note),
            Some(note) => self.crew.outs.kept(cell, note),
            None => {}
        }
        self.crew.check_outs(cell);
    }

    /// How a run has ended.
    fn came_to(
        &mut self,
        code: &Code,
        run: Run,
        ready: &Ready,
        lost: &[String],
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let Run {
            leg,
            map_failure: failure,
            interrupted,
            stopped,
        } = run;
        let mut report = match (leg.ended, failure) {
            (None | Some(Ended::ChangedTypes(_)), _) => return Ok(()),
            (Some(Ended::Returned), _) => {
                self.crew.note_moved(&ready.before, &ready.after);
                self.let_go(&ready.before, &ready.after, code);
                if !lost.is_empty() {
                    let names = lost.to_vec();
                    self.notice(Notice::ReturnedEarly { names }, sink);
                }
                if interrupted && code.collects {
                    self.notice(Notice::MapInterrupted, sink);
                }
                return Ok(());
            }
            (Some(Ended::Died(cause)), _) => {
                self.crew.launch_local();
                let names = ready.before.variables().keys().map(String::as_str);
                let lost: Vec<&str> = names.filter(|name| !is_ours(name)).collect();
                self.crew.note_gone(lost.iter().copied(), Gone::Died);
                let lost = lost.into_iter().map(str::to_owned).collect();
                return Err(explain::local_death(cause, interrupted, lost).into());
            }
            (Some(Ended::NotLoaded(why)), _) => {
                let what = format!("the compiled cell cannot be loaded: {why}");
                return Err(Report::new(ErrorKind::System, what).into());
            }
            (_, Some(failure)) if failure.what == MapFault::PlanOnly => return Ok(()),
            (_, Some(failure)) => explain::map_failure(&failure, &self.history),
            (Some(Ended::Panicked(panic)), None) if stopped => {
                let report = Report::new(ErrorKind::Interrupted, panic.message.clone());
                self.history.placed(report, &panic)
            }
            (Some(Ended::Panicked(panic)), None) => {
                self.history.panic_report(&panic, Origin::Local)
            }
            (Some(Ended::NothingToReduce), None) => explain::nothing_to_reduce(),
            (Some(Ended::PanickedAtEnd(panic)), None) => {
                let note = "it panicked while a value was dropped at the cell's end; the cell's variables are kept";
                self.history.panic_report(&panic, Origin::Local).note(note)
            }
            (Some(Ended::Errored(_)), None) => explain::errored(),
        };
        if !lost.is_empty() {
            report.notes.push(Note::Lost(lost.to_vec()));
        }
        let lost = lost.iter().map(String::as_str);
        self.crew.note_gone(lost, Gone::Panicked);
        Err(report.into())
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
            Some(Ended::Panicked(_) | Ended::NothingToReduce | Ended::Errored(_)) => before,
            _ => return Ok(Vec::new()),
        };
        let mut lost: Vec<String> = namespace.variables().keys().cloned().collect();
        lost.retain(|name| !leg.variables.contains(name));
        let settled = if lost.is_empty() {
            namespace.clone()
        } else {
            self.forget(namespace, lost.clone(), sink)?
        };
        self.crew.has_now(engine, settled);
        lost.retain(|name| !is_ours(name));
        Ok(lost)
    }
}

impl Produced {
    /// Takes what a flight of the local engine has brought, and gives the rest of it.
    fn take(&mut self, flight: Flight) -> Option<(Leg, Option<MapFailure>)> {
        let mut leg = flight.legs.into_values().next()?;
        *self = Self {
            value: leg.value.take(),
            sent: std::mem::take(&mut leg.sent),
            threads: flight.threads,
            reports: flight.reports,
            comm: flight.comm,
            began: flight.began,
            stopped: !flight.stopped.is_empty(),
        };
        Some((leg, flight.map_failure))
    }
}
