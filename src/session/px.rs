//! `%px`: a cell on every engine of a pool, compiled once for each set of variables that the engines have.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::flight::{Ended, Flight, Hold, Leg};
use super::follow::{Followed, OnInterrupt, Wait};
use super::namespace::Namespace;
use super::places::panic_place;
use super::px_out::Values;
use super::{Code, Failed, Session, explain};
use crate::cell::Targets;
use crate::ids::{CellId, EngineId, PoolName, Rank};
use crate::outcome::{
    EngineOutcome, ErrorKind, Event, GroupOutputs, Origin, PoolKind, PxReport, PxRow, Report, Sink,
};
use crate::pool::Payload;

/// The options of `%px`, with ipyparallel's meaning.
#[derive(Clone, Debug)]
pub struct PxOptions {
    /// The pool in use when `None`.
    pub pool: Option<String>,
    pub targets: Targets,
    pub block: bool,
    /// Show output while it is printed.
    pub stream: bool,
    pub verbose: bool,
    /// `None`: no progress at all.
    pub progress_after: Option<Duration>,
    pub on_interrupt: OnInterrupt,
    pub group_outputs: GroupOutputs,
    /// Bind the results, by target, to this local variable.
    pub out: Option<String>,
    /// Run the cell in the local engine too.
    pub local: bool,
}

impl Default for PxOptions {
    fn default() -> Self {
        Self {
            pool: None,
            targets: Targets::all(),
            block: true,
            stream: true,
            verbose: false,
            progress_after: Some(Duration::from_secs(5)),
            on_interrupt: OnInterrupt::default(),
            group_outputs: GroupOutputs::default(),
            out: None,
            local: false,
        }
    }
}

/// What `%px` does where nothing else is said.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub defaults: PxOptions,
    pub of_pools: BTreeMap<PoolName, PxOptions>,
}

/// A `%px` as it was asked for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub cell: CellId,
    pub code: Code,
    pub options: PxOptions,
    pub pool: PoolName,
    /// In the order in which they were named.
    pub ranks: Vec<Rank>,
    /// What came of the engines that need not run again.
    pub done: Option<Arc<Landed>>,
}

impl Asked {
    /// The same for the engines that have to run again.
    pub fn again(&self, mut landed: Landed) -> Self {
        Self {
            ranks: std::mem::take(&mut landed.again),
            done: Some(Arc::new(landed)),
            ..self.clone()
        }
    }

    pub fn wait(&self) -> Wait {
        Wait {
            on_interrupt: self.options.on_interrupt,
            progress_after: self.options.progress_after,
        }
    }

    pub fn hold(&self) -> Hold {
        Hold {
            values: true,
            output: !self.options.stream || !self.options.block,
        }
    }
}

/// What is needed to settle the engines' account after a flight.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) asked: Asked,
    pub(super) legs:
        BTreeMap<EngineId, (Rank, Namespace, Namespace, Arc<crate::compiler::Artifact>)>,
    pub(super) skipped: Vec<PxRow>,
    /// The types of the values that `-o` binds, one for each way in which it was compiled.
    pub(super) out_types: Vec<String>,
}

/// What a flight of a `%px` came to.
#[derive(Clone, Debug)]
pub(super) struct Landed {
    pub report: PxReport,
    /// Ranks on which the cell has to run again, without variables that were in its way.
    pub again: Vec<Rank>,
    /// What each target has sent.
    pub sent: Vec<(Rank, Vec<Payload>)>,
    pub out_types: Vec<String>,
    /// In this order the targets were named.
    order: Vec<Rank>,
}

impl Landed {
    /// What `-o` binds. What an engine has sent before it failed does not count.
    pub fn values(&mut self) -> Values {
        let mut came = Vec::new();
        let mut sent = Vec::new();
        for row in &self.report.engines {
            let place = self.sent.iter().position(|(rank, _)| *rank == row.rank);
            let of_row = place.map(|place| self.sent.swap_remove(place).1);
            let of_row = of_row.unwrap_or_default();
            let ok = row.outcome.is_ok();
            came.push((row.rank, ok));
            if ok {
                sent.extend(of_row);
            } else {
                of_row.iter().for_each(Payload::release);
            }
        }
        Values {
            kinds: std::mem::take(&mut self.out_types),
            came,
            sent,
        }
    }

    /// Takes in what came of other engines before.
    fn join(&mut self, earlier: Self) {
        self.order = earlier.order;
        self.report.engines.extend(earlier.report.engines);
        self.sent.extend(earlier.sent);
        for kind in earlier.out_types {
            if !self.out_types.contains(&kind) {
                self.out_types.push(kind);
            }
        }
    }

    fn sort(&mut self) {
        let order = &self.order;
        let place = |rank: Rank| order.iter().position(|other| *other == rank);
        self.report.engines.sort_by_key(|row| place(row.rank));
        self.sent.sort_by_key(|(rank, _)| place(*rank));
    }
}

/// An engine, what it has begun with, and its variables then.
pub(super) type Begun = (EngineId, Arc<crate::compiler::Artifact>, Namespace);

/// The last `%px` that was shown.
#[derive(Debug)]
pub(super) struct LastPx {
    pub report: PxReport,
    pub values: Values,
}

impl Session {
    /// The defaults of `%px` on this pool, or of everybody where it has none of its own.
    pub fn px_defaults(&self, pool: Option<&str>) -> &PxOptions {
        let own = pool.and_then(|name| self.px_settings.of_pools.get(&PoolName(name.to_owned())));
        own.unwrap_or(&self.px_settings.defaults)
    }

    /// Sets them, or sets them back.
    pub fn set_px_defaults(&mut self, pool: Option<&str>, defaults: Option<PxOptions>) {
        match (pool.map(|name| PoolName(name.to_owned())), defaults) {
            (Some(pool), Some(defaults)) => drop(self.px_settings.of_pools.insert(pool, defaults)),
            (Some(pool), None) => drop(self.px_settings.of_pools.remove(&pool)),
            (None, defaults) => self.px_settings.defaults = defaults.unwrap_or_default(),
        }
    }

    /// Runs a cell on the targeted engines of a pool.
    pub fn px(
        &mut self,
        code: &Code,
        options: &PxOptions,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let pool = self.pool_named(options.pool.as_deref())?.clone();
        let ranks = pool.ranks(&options.targets)?;
        if pool.kind == PoolKind::Threads && !options.block {
            return Err(
                Report::usage("a %px on a thread pool cannot go on in the background")
                    .hint(
                        "the threads belong to the local engine; a process pool can: `%pool start`",
                    )
                    .into(),
            );
        }
        if let Some(name) = &options.out {
            super::px_out::check(code, name)?;
        }
        if options.local {
            self.run_local(code, sink)?;
        }
        if pool.kind == PoolKind::Threads {
            return self.px_threads(code, &pool, &ranks, options, sink);
        }
        let asked = Asked {
            cell: self.cell(),
            code: code.clone(),
            options: options.clone(),
            pool: pool.name.clone(),
            ranks,
            done: None,
        };
        if !options.block {
            return self.px_later(asked, sink);
        }
        self.await_engines(&asked.pool, &asked.ranks, sink)?;
        self.px_now(asked, sink)
    }

    /// Runs it while the cell waits.
    fn px_now(&mut self, asked: Asked, sink: &mut dyn Sink) -> Result<(), Failed> {
        let (batches, course) = self.plan_px(&asked, sink)?;
        let id = self.take_off(&batches, asked.hold());
        let (flight, interrupted) = match self.follow(id, asked.wait(), sink)? {
            Followed::Over {
                flight,
                interrupted,
            } => (flight, interrupted),
            Followed::Left(id) => return self.left_behind(id, course),
        };
        let mut landed = self.landed(flight, course, interrupted, sink)?;
        if !landed.again.is_empty() {
            // The variables in the way are gone, so this ends.
            return self.px_now(asked.again(landed), sink);
        }
        let values = landed.values();
        let bound = match &asked.options.out {
            Some(name) => self.bind_values(name, &values, sink),
            None => Ok(()),
        };
        self.show_px(landed.report, values, sink)?;
        bound
    }

    /// Runs a session's own code on engines; shows them only when one fails. What they send is in
    /// `self.sent`, in the targets' order. `data`: what each of them takes from the session.
    pub(super) fn px_quietly(
        &mut self,
        code: &Code,
        options: &PxOptions,
        data: Vec<Vec<Payload>>,
        sink: &mut dyn Sink,
    ) -> Result<PxReport, Failed> {
        let pool = self.pool_named(options.pool.as_deref())?.clone();
        let ranks = pool.ranks(&options.targets)?;
        let asked = Asked {
            cell: self.cell(),
            code: code.clone(),
            options: options.clone(),
            pool: pool.name,
            ranks,
            done: None,
        };
        self.await_engines(&asked.pool, &asked.ranks, sink)?;
        let (mut batches, course) = self.plan_px(&asked, sink)?;
        for batch in &mut batches {
            let of_engine = |(_, origin): &(EngineId, Origin)| {
                let Origin::Engine(rank) = origin else {
                    return None;
                };
                let place = asked.ranks.iter().position(|other| other == rank)?;
                data.get(place).cloned()
            };
            let values = batch.engines.iter().map(of_engine);
            batch.data = values.map(Option::unwrap_or_default).collect();
        }
        let hold = Hold {
            values: true,
            output: false,
        };
        let (flight, interrupted) = self.fly(&batches, hold, sink)?;
        let landed = self.landed(flight, course, interrupted, sink)?;
        if !landed.again.is_empty() {
            // As in `px_now`.
            return self.px_quietly(code, options, data, sink);
        }
        self.sent = landed.sent.into_iter().flat_map(|(_, sent)| sent).collect();
        if !landed.report.is_ok() {
            sink.send(Event::Px(landed.report));
            return Err(Failed::default());
        }
        Ok(landed.report)
    }

    /// Runs what engines begin with, and shows it only when it fails. Per engine how it was compiled, and what
    /// the engine has then.
    pub(super) fn px_init(
        &mut self,
        pool: &PoolName,
        ranks: &[Rank],
        code: &Code,
        sink: &mut dyn Sink,
    ) -> Result<Vec<Begun>, Failed> {
        let asked = Asked {
            cell: self.cell(),
            code: code.clone(),
            options: PxOptions::default(),
            pool: pool.clone(),
            ranks: ranks.to_vec(),
            done: None,
        };
        let (batches, course) = self.plan_px(&asked, sink)?;
        let begun = course.legs.iter();
        let begun = begun
            .map(|(engine, (_, _, after, artifact))| (*engine, artifact.clone(), after.clone()))
            .collect();
        let (flight, interrupted) = self.fly(&batches, asked.hold(), sink)?;
        let landed = self.landed(flight, course, interrupted, sink)?;
        if !landed.report.is_ok() {
            sink.send(Event::Px(landed.report));
            return Err(Report::new(
                ErrorKind::Error,
                format!("what the engines of {pool} begin with failed"),
            )
            .into());
        }
        Ok(begun)
    }

    /// Shows what a `%px` came to; an error without words when it failed on an engine.
    pub(super) fn show_px(
        &mut self,
        mut report: PxReport,
        values: Values,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let ok = report.is_ok();
        for row in &mut report.engines {
            if let EngineOutcome::Done(Some(value)) = &mut row.outcome {
                value.most_lines = self.crew.screen.style.lines;
            }
        }
        sink.send(Event::Px(report.clone()));
        if let Some(last) = self.last_px.replace(LastPx { report, values }) {
            last.values.release();
        }
        if ok { Ok(()) } else { Err(Failed::default()) }
    }

    /// Keeps account of what the engines have now; what they came to.
    pub(super) fn landed(
        &mut self,
        flight: Flight,
        course: Course,
        interrupted: bool,
        sink: &mut dyn Sink,
    ) -> Result<Landed, Failed> {
        let Course {
            asked,
            legs,
            mut skipped,
            out_types,
        } = course;
        let mut sent = Vec::new();
        let mut rows = Vec::new();
        let mut again = Vec::new();
        for (engine, mut leg) in flight.legs {
            let Some((rank, before, after, _)) = legs.get(&engine) else {
                continue;
            };
            if let Some(Ended::ChangedTypes(names)) = &leg.ended {
                let settled = self.forget(before, names.clone(), sink)?;
                self.crew.namespaces.insert(engine, settled);
                sink.send(Event::Notice(format!(
                    "engine {rank}: lost {}: the type was redefined",
                    names.join(", ")
                )));
                again.push(*rank);
                continue;
            }
            // An engine that was stopped meanwhile has no namespace any more.
            if self.place(engine).is_some() {
                if leg.ended == Some(Ended::Returned) {
                    self.note_moved(before, after);
                }
                let lost = self.settle(engine, before, after, &leg, sink)?;
                if let Some(lost) = explain::lost(&lost) {
                    sink.send(Event::Notice(format!("engine {rank} has {lost}")));
                }
            }
            sent.push((*rank, std::mem::take(&mut leg.sent)));
            if let (Some(Ended::Died(cause)), Some(lost)) =
                (&mut leg.ended, self.crew.graves.get(&engine))
            {
                cause.push_str(&format!("; lost there: {}", lost.join(", ")));
            }
            rows.push(row(*rank, leg, interrupted));
        }
        rows.append(&mut skipped);
        let report = PxReport {
            cell: asked.cell,
            pool: asked.pool,
            kind: PoolKind::Processes,
            engines: rows,
            group: asked.options.group_outputs,
            verbose: asked.options.verbose,
        };
        let mut landed = Landed {
            report,
            again,
            sent,
            out_types,
            order: asked.ranks,
        };
        if let Some(done) = asked.done {
            landed.join(Arc::unwrap_or_clone(done));
        }
        landed.sort();
        Ok(landed)
    }
}

/// What an engine's leg of the cell came to.
fn row(rank: Rank, leg: Leg, interrupted: bool) -> PxRow {
    let outcome = match leg.ended {
        None | Some(Ended::Returned) => EngineOutcome::Done(leg.value),
        Some(Ended::Panicked(panic) | Ended::PanickedAtEnd(panic)) => {
            let place = panic_place(&panic);
            EngineOutcome::Panicked {
                message: panic.message,
                place,
            }
        }
        Some(Ended::Errored(message)) => EngineOutcome::Errored { message },
        Some(Ended::Died(_)) if interrupted => EngineOutcome::Interrupted,
        Some(Ended::Died(cause)) => EngineOutcome::Died { cause },
        Some(Ended::NotLoaded(why)) => EngineOutcome::Skipped { why },
        Some(Ended::ChangedTypes(names)) => EngineOutcome::Skipped {
            why: format!("lost {}", names.join(", ")),
        },
    };
    PxRow {
        rank,
        outcome,
        busy: leg.busy,
        output: leg.held,
    }
}
