//! `%px`: a cell on every engine of a pool, compiled once for each set of variables that the engines have.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::crew::{Followed, Hold, OnInterrupt, Wait};
use super::namespace::Namespace;
use super::px_out::Values;
use super::px_outcome::Outcome;
use super::{Code, Failed, Session};
use crate::cell::Targets;
use crate::compiler::Artifact;
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
    pub done: Option<Arc<Outcome>>,
}

impl Asked {
    /// The same for the engines that have to run again.
    pub fn again(&self, mut outcome: Outcome) -> Self {
        Self {
            ranks: std::mem::take(&mut outcome.again),
            done: Some(Arc::new(outcome)),
            ..self.clone()
        }
    }

    pub fn wait(&self) -> Wait {
        Wait {
            on_interrupt: self.options.on_interrupt,
            progress_after: self.options.progress_after,
            interrupted: false,
        }
    }

    pub fn hold(&self) -> Hold {
        Hold {
            values: true,
            output: !self.options.stream || !self.options.block,
            ..Hold::default()
        }
    }
}

/// What runs where, and what the engines will have then.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) asked: Asked,
    pub(super) engines: BTreeMap<EngineId, Planned>,
    pub(super) skipped: Vec<PxRow>,
    /// The types of the values that `-o` binds, one for each way in which it was compiled.
    pub(super) out_types: Vec<String>,
}

/// What one engine runs, and its variables before and after.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub rank: Rank,
    pub before: Namespace,
    pub after: Namespace,
    pub artifact: Arc<Artifact>,
}

/// An engine, what it has begun with, and its variables then.
pub(super) type Begun = (EngineId, Arc<Artifact>, Namespace);

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
        if let Some(name) = &options.out {
            super::px_out::check(code, name)?;
        }
        if options.local {
            self.run_local(code, sink)?;
        }
        if pool.kind == PoolKind::Threads && !options.block {
            return self.px_threads_later(code, options, sink);
        }
        if pool.kind == PoolKind::Threads {
            return self.px_threads(code, &pool, &ranks, options, sink);
        }
        let asked = self.asked(code, options, &pool.name, &ranks);
        if !options.block {
            return self.px_later(asked, sink);
        }
        self.await_engines(&asked.pool, &asked.ranks, sink)?;
        self.px_now(asked, sink)
    }

    /// Runs it while the cell waits.
    fn px_now(&mut self, mut asked: Asked, sink: &mut dyn Sink) -> Result<(), Failed> {
        let mut outcome = loop {
            self.revive(&asked.pool, &asked.ranks, sink);
            let (batches, plan) = self.plan_px(&asked, sink)?;
            let id = self.crew.take_off(asked.cell, &batches, asked.hold());
            let outcome = match self.crew.follow(id, asked.wait(), sink)? {
                Followed::Over(flown) => self.settle_flown(*flown, plan, sink)?,
                Followed::Left(id) => return self.left_behind(id, plan),
            };
            if outcome.again.is_empty() {
                break outcome;
            }
            // The variables in the way are gone, so this ends.
            asked = asked.again(outcome);
        };
        let values = outcome.values();
        let bound = match &asked.options.out {
            Some(name) => self.bind_values(name, &values, sink),
            None => Ok(()),
        };
        let (pool, cell) = (outcome.report.pool.clone(), outcome.report.cell);
        let ran = std::mem::take(&mut outcome.ran);
        let shown = self.show_px(outcome.report, values, sink);
        self.after_px(&pool, cell, ran, None, sink);
        shown?;
        bound
    }

    /// Runs a session's own code on engines; shows them only when one fails. Also gives what they have sent, in
    /// the targets' order. `data`: what each of them takes from the session.
    pub(super) fn px_quietly(
        &mut self,
        code: &Code,
        options: &PxOptions,
        data: &[Vec<Payload>],
        sink: &mut dyn Sink,
    ) -> Result<(PxReport, Vec<Payload>), Failed> {
        let pool = self.pool_named(options.pool.as_deref())?.clone();
        let ranks = pool.ranks(&options.targets)?;
        let asked = self.asked(code, options, &pool.name, &ranks);
        self.await_engines(&asked.pool, &asked.ranks, sink)?;
        let outcome = loop {
            self.revive(&asked.pool, &asked.ranks, sink);
            let (mut batches, plan) = self.plan_px(&asked, sink)?;
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
                ..Hold::default()
            };
            let flown = self.crew.fly(asked.cell, &batches, hold, sink)?;
            let outcome = self.settle_flown(flown, plan, sink)?;
            if outcome.again.is_empty() {
                break outcome;
            }
            // As in `px_now`.
        };
        let sent = outcome.sent.into_iter().flat_map(|(_, sent)| sent);
        let sent: Vec<Payload> = sent.collect();
        if !outcome.report.is_ok() {
            sent.iter().for_each(Payload::release);
            sink.send(Event::Px(outcome.report));
            return Err(Failed::default());
        }
        Ok((outcome.report, sent))
    }

    /// Runs what engines begin with, and shows it only when it fails. Per engine how it was compiled, and what
    /// the engine has then. `killed`: takes the engines that Ctrl-C has killed meanwhile.
    pub(super) fn px_init(
        &mut self,
        pool: &PoolName,
        ranks: &[Rank],
        code: &Code,
        killed: &mut Vec<EngineId>,
        sink: &mut dyn Sink,
    ) -> Result<Vec<Begun>, Failed> {
        let asked = self.asked(code, &PxOptions::default(), pool, ranks);
        let (batches, plan) = self.plan_px(&asked, sink)?;
        let begun = plan.engines.iter();
        let begun = begun
            .map(|(engine, planned)| (*engine, planned.artifact.clone(), planned.after.clone()))
            .collect();
        let flown = self.crew.fly(asked.cell, &batches, asked.hold(), sink)?;
        killed.extend(&flown.killed);
        let outcome = self.settle_px(flown.flight, plan, flown.interrupted, sink)?;
        if !outcome.report.is_ok() {
            sink.send(Event::Px(outcome.report));
            return Err(Report::new(
                ErrorKind::Error,
                format!("what the engines of {pool} begin with failed"),
            )
            .into());
        }
        Ok(begun)
    }

    fn asked(&self, code: &Code, options: &PxOptions, pool: &PoolName, ranks: &[Rank]) -> Asked {
        Asked {
            cell: self.cell(),
            code: code.clone(),
            options: options.clone(),
            pool: pool.clone(),
            ranks: ranks.to_vec(),
            done: None,
        }
    }

    /// Shows what a `%px` came to; an error without words when it failed on an engine.
    pub(super) fn show_px(
        &mut self,
        mut report: PxReport,
        values: Values,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let ok = report.is_ok();
        let lines = self.crew.value_style().lines;
        for row in &mut report.engines {
            if let EngineOutcome::Done(Some(value)) = &mut row.outcome {
                value.most_lines = lines;
            }
        }
        sink.send(Event::Px(report.clone()));
        if let Some(last) = self.last_px.replace(LastPx { report, values }) {
            last.values.release();
        }
        if ok { Ok(()) } else { Err(Failed::default()) }
    }
}
