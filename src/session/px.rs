//! `%px`: a cell on every engine of a pool, compiled once for each set of variables that the engines have.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::flight::{Ended, Flight, Hold, Leg};
use super::follow::Wait;
use super::namespace::Namespace;
use super::{Code, Failed, JobStatus, Pool, Session, explain};
use crate::cell::{Binding, Targets};
use crate::ids::{CellId, EngineId, JobId, Rank};
use crate::outcome::{
    EngineOutcome, Event, GroupOutputs, JobState, Origin, PoolKind, PxReport, PxRow, Report, Sink,
};
use crate::pool::{JobRecord, Payload, PoolEvent, Signal};

/// The options of `%px`, with ipyparallel's meaning.
#[derive(Clone, Debug)]
pub struct PxOptions {
    pub targets: Targets,
    pub block: bool,
    /// Show output while it is printed.
    pub stream: bool,
    pub verbose: bool,
    pub progress_after: Duration,
    pub signal_on_interrupt: Option<Signal>,
    pub group_outputs: GroupOutputs,
    /// Bind the results, by rank, to this local variable.
    pub out: Option<String>,
    /// Run the cell in the local engine too.
    pub local: bool,
}

impl Default for PxOptions {
    fn default() -> Self {
        Self {
            targets: Targets::all(),
            block: true,
            stream: true,
            verbose: false,
            progress_after: Duration::from_secs(5),
            signal_on_interrupt: None,
            group_outputs: GroupOutputs::default(),
            out: None,
            local: false,
        }
    }
}
/// A `%px` under way that nobody waits for.
#[derive(Debug)]
pub(super) struct Background {
    job: JobId,
    flight: Flight,
    course: Course,
}

/// What is needed to settle the engines' account after a flight.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) cell: CellId,
    pub(super) pool: Pool,
    pub(super) options: PxOptions,
    pub(super) code: Code,
    pub(super) legs:
        BTreeMap<EngineId, (Rank, Namespace, Namespace, Arc<crate::compiler::Artifact>)>,
    pub(super) skipped: Vec<PxRow>,
}

/// What a flight of a `%px` came to.
struct Landed {
    report: PxReport,
    /// Ranks on which the cell has to run again, without variables that were in its way.
    again: Vec<Rank>,
    /// What the engines have sent, by rank.
    sent: Vec<Payload>,
    /// The type of the variable that `-o` names.
    out_type: Option<String>,
}

impl Session {
    /// Runs a cell on the targeted engines of the pool in use.
    pub fn px(
        &mut self,
        code: &Code,
        options: &PxOptions,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let pool = self.pool_named(None)?.clone();
        let ranks = pool.ranks(&options.targets)?;
        if options.local {
            self.run_local(code, sink)?;
        }
        if pool.kind == PoolKind::Threads && !options.block {
            return Err(
                Report::usage("a %px on a thread pool cannot go on in the background")
                    .hint(
                        "the threads belong to the local engine; a process pool can: `%pool start`",
                    )
                    .into(),
            );
        }
        if pool.kind == PoolKind::Threads {
            return self.px_threads(code, &pool, &ranks, options, sink);
        }
        if !options.block
            && let Some(busy) = self
                .background
                .iter()
                .find(|b| b.course.pool.name == pool.name)
        {
            let what = format!(
                "the engines of {} are busy with In [{}]",
                pool.name, busy.course.cell
            );
            return Err(Report::usage(what)
                .hint("`%pxresult` waits for it; a %px without `-a` does so too")
                .into());
        }
        self.finish_background(&pool, sink)?;
        let bound = options.out.as_ref().map(|name| sending(code, name));
        let code = bound.as_ref().unwrap_or(code);
        let (batches, course) = self.plan_px(code, &pool, &ranks, options, sink)?;
        let hold = Hold {
            values: true,
            output: !options.stream || !options.block,
        };
        if !options.block {
            let flight = self.take_off(&batches, hold);
            let job = self.hub.number();
            self.background.push(Background {
                job,
                flight,
                course,
            });
            sink.send(Event::Text(format!(
                "job {job} runs on the engines; `%pxresult` shows the result"
            )));
            return Ok(());
        }
        let wait = Wait {
            signal: options.signal_on_interrupt,
            progress_after: Some(options.progress_after),
        };
        let (flight, interrupted) = self.fly(&batches, hold, wait, sink)?;
        self.land(flight, course, interrupted, sink)
    }

    /// Runs a session's own code on engines; shows them only when one fails. What they send is in
    /// `self.sent`, by rank. `data`: what each of them takes from the session.
    pub(super) fn px_quietly(
        &mut self,
        code: &Code,
        options: &PxOptions,
        data: Vec<Vec<Payload>>,
        sink: &mut dyn Sink,
    ) -> Result<PxReport, Failed> {
        let pool = self.pool_named(None)?.clone();
        let ranks = pool.ranks(&options.targets)?;
        self.finish_background(&pool, sink)?;
        let (mut batches, course) = self.plan_px(code, &pool, &ranks, options, sink)?;
        for batch in &mut batches {
            let of_engine = |(engine, _): &(EngineId, Origin)| {
                let rank = pool.engines.iter().position(|other| other == engine)?;
                let place = ranks.iter().position(|other| other.0 as usize == rank)?;
                data.get(place).cloned()
            };
            let values = batch.engines.iter().map(of_engine);
            batch.data = values.map(Option::unwrap_or_default).collect();
        }
        let hold = Hold {
            values: true,
            output: false,
        };
        let (flight, interrupted) = self.fly(&batches, hold, Wait::default(), sink)?;
        let landed = self.landed(flight, course, interrupted, sink)?;
        if !landed.again.is_empty() {
            // As in `land`.
            return self.px_quietly(code, options, data, sink);
        }
        self.sent = landed.sent;
        if !landed.report.is_ok() {
            sink.send(Event::Px(landed.report));
            return Err(Failed::default());
        }
        Ok(landed.report)
    }

    /// Keeps account of what the engines have now, and reports.
    fn land(
        &mut self,
        flight: Flight,
        course: Course,
        interrupted: bool,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let (options, code) = (course.options.clone(), course.code.clone());
        let Landed {
            report,
            again,
            sent,
            out_type,
        } = self.landed(flight, course, interrupted, sink)?;
        if !again.is_empty() {
            // The variables in the way are gone, so this ends.
            let options = PxOptions {
                targets: Targets::of(&again),
                local: false,
                ..options
            };
            return self.px(&code, &options, sink);
        }
        self.show_px(report, sink)?;
        match (out_type, &options.out) {
            (Some(kind), Some(name)) => self.bind_values(name, &kind, sent, sink),
            _ => Ok(()),
        }
    }

    /// Shows what a `%px` came to; an error without words when it failed on an engine.
    pub(super) fn show_px(
        &mut self,
        mut report: PxReport,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let ok = report.is_ok();
        for row in &mut report.engines {
            if let EngineOutcome::Done(Some(value)) = &mut row.outcome {
                value.most_lines = self.lines;
            }
        }
        self.last_px = Some(report.clone());
        sink.send(Event::Px(report));
        if ok { Ok(()) } else { Err(Failed::default()) }
    }

    /// Keeps account of what the engines have now; what they came to.
    fn landed(
        &mut self,
        flight: Flight,
        course: Course,
        interrupted: bool,
        sink: &mut dyn Sink,
    ) -> Result<Landed, Failed> {
        let Course {
            cell,
            pool,
            options,
            code,
            legs,
            mut skipped,
        } = course;
        let out_name = options.out.clone().unwrap_or_default();
        let out_name = out_name.as_str();
        let (mut sent, mut out_type) = (Vec::new(), None);
        let mut rows = Vec::new();
        let mut again = Vec::new();
        for (engine, mut leg) in flight.legs {
            let Some((rank, before, after, artifact)) = legs.get(&engine) else {
                continue;
            };
            if let Some(Ended::ChangedTypes(names)) = &leg.ended {
                let settled = self.forget(before, names.clone())?;
                self.namespaces.insert(engine, settled);
                sink.send(Event::Notice(format!(
                    "engine {rank}: lost {}: the type was redefined",
                    names.join(", ")
                )));
                again.push(*rank);
                continue;
            }
            if leg.ended == Some(Ended::Returned) {
                self.namespaces.insert(engine, after.clone());
            } else if matches!(leg.ended, Some(Ended::Panicked(_) | Ended::Errored(_))) {
                let lost = self.settle(engine, before, after, &code)?;
                if let Some(lost) = explain::lost(&lost) {
                    sink.send(Event::Notice(format!("engine {rank} has {lost}")));
                }
            }
            sent.push((*rank, std::mem::take(&mut leg.sent)));
            out_type = out_type.or_else(|| after.variables().get(out_name).cloned());
            if let (Some(Ended::Died(cause)), Some(lost)) =
                (&mut leg.ended, self.graves.get(&engine))
            {
                cause.push_str(&format!("; lost there: {}", lost.join(", ")));
            }
            rows.push(self.row(*rank, leg, artifact, &code, interrupted));
        }
        rows.append(&mut skipped);
        rows.sort_by_key(|row| row.rank);
        // In the order of ranks, as the values are bound.
        sent.sort_by_key(|(rank, _)| *rank);
        let report = PxReport {
            cell,
            pool: pool.name,
            kind: pool.kind,
            engines: rows,
            group: options.group_outputs,
            verbose: options.verbose,
        };
        Ok(Landed {
            report,
            again,
            sent: sent.into_iter().flat_map(|(_, values)| values).collect(),
            out_type,
        })
    }

    /// Binds the engines' values, by rank, to a local variable.
    fn bind_values(
        &mut self,
        name: &str,
        kind: &str,
        values: Vec<Payload>,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let code = Code::default().generated(&format!(
            "let {name}: Vec<{kind}> = regatta_cell::magic::received();\n"
        ));
        self.run_local_with(&code, values, sink)
    }

    fn row(
        &self,
        rank: Rank,
        leg: Leg,
        artifact: &crate::compiler::Artifact,
        code: &Code,
        interrupted: bool,
    ) -> PxRow {
        let outcome = match leg.ended {
            None | Some(Ended::Returned) => EngineOutcome::Done(leg.value),
            Some(Ended::Panicked(panic)) => {
                let place = self.panic_place(&panic, artifact, code);
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

    /// Gives an event to the background flight that it belongs to.
    pub(super) fn route(&mut self, event: PoolEvent) -> Option<PoolEvent> {
        let engine = match &event {
            PoolEvent::Output { engine, .. }
            | PoolEvent::Shown { engine, .. }
            | PoolEvent::RunDone { engine, .. }
            | PoolEvent::Data { engine, .. }
            | PoolEvent::Died { engine, .. } => *engine,
            _ => return Some(event),
        };
        let background = self
            .background
            .iter_mut()
            .find(|b| b.flight.has(engine) && !b.flight.is_over());
        match background {
            // Everything is held back in such a flight.
            Some(background) => {
                let died = matches!(event, PoolEvent::Died { .. });
                background.flight.take(event);
                if died {
                    self.bury(engine);
                }
                None
            }
            None => Some(event),
        }
    }

    /// Waits for background `%px` cells on this pool's engines, which run one cell after the other.
    fn finish_background(&mut self, pool: &Pool, sink: &mut dyn Sink) -> Result<(), Failed> {
        if self
            .background
            .iter()
            .any(|background| background.course.pool.name == pool.name)
        {
            return self.px_result(sink);
        }
        Ok(())
    }

    /// Waits for the background `%px` cells and shows their results; without any, the last result again.
    pub fn px_result(&mut self, sink: &mut dyn Sink) -> Result<(), Failed> {
        if self.background.is_empty() {
            let Some(report) = self.last_px.clone() else {
                return Err(Report::usage("no %px has run yet").into());
            };
            sink.send(Event::Px(report));
            return Ok(());
        }
        let mut failed = Failed::default();
        let mut any = false;
        for background in std::mem::take(&mut self.background) {
            if let Err(mut more) = self.bring_in(background, sink) {
                any = true;
                failed.0.append(&mut more.0);
            }
        }
        if any { Err(failed) } else { Ok(()) }
    }

    /// Waits for a `%px` in the background and shows what it came to.
    fn bring_in(&mut self, background: Background, sink: &mut dyn Sink) -> Result<(), Failed> {
        let Background {
            mut flight, course, ..
        } = background;
        let wait = Wait {
            signal: course.options.signal_on_interrupt,
            progress_after: Some(course.options.progress_after),
        };
        let interrupted = self.follow(&mut flight, wait, sink)?;
        sink.send(Event::Text(format!(
            "In [{}] on {}:",
            course.cell, course.pool.name
        )));
        self.land(flight, course, interrupted, sink)
    }

    /// Whether a background `%px` or map still runs.
    pub fn has_background(&self) -> bool {
        let running = |record: &JobRecord| record.background && record.state == JobState::Running;
        self.background
            .iter()
            .any(|background| !background.flight.is_over())
            || self.hub.jobs().iter().any(running)
    }

    /// The `%px` cells in the background, engine by engine.
    pub(super) fn px_jobs(&self) -> Vec<JobStatus> {
        let status = |background: &Background| {
            let Background {
                job,
                flight,
                course,
            } = background;
            let total = flight.legs.len();
            JobStatus {
                job: *job,
                what: format!("%px of In [{}]", course.cell),
                state: if flight.is_over() {
                    JobState::Done
                } else {
                    JobState::Running
                },
                done: (total - flight.flying().len()) as u64,
                total: Some(total as u64),
                elapsed: flight.elapsed(),
                pool: course.pool.name.clone(),
                bytes: 0,
            }
        };
        self.background.iter().map(status).collect()
    }

    /// Shows what a `%px` in the background came to.
    pub(super) fn px_job_result(
        &mut self,
        job: JobId,
        bind: Option<&Binding>,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        if bind.is_some() {
            return Err(
                Report::usage(format!("job {job} is a %px, whose values are shown"))
                    .hint("`%px -o NAME` binds its values by rank")
                    .into(),
            );
        }
        match self.take_background(job) {
            Some(background) => self.bring_in(background, sink),
            None => Ok(()),
        }
    }

    fn take_background(&mut self, job: JobId) -> Option<Background> {
        let place = self.background.iter().position(|other| other.job == job)?;
        Some(self.background.remove(place))
    }

    /// Interrupts a `%px` in the background as Ctrl-C does and shows what it came to; false when there is none
    /// of this number.
    pub(super) fn cancel_px_job(
        &mut self,
        job: JobId,
        sink: &mut dyn Sink,
    ) -> Result<bool, Failed> {
        let Some(background) = self.take_background(job) else {
            return Ok(false);
        };
        self.interrupt.press();
        match self.bring_in(background, sink) {
            // The table has told it.
            Err(failed) if failed.0.is_empty() => Ok(true),
            landed => landed.map(|()| true),
        }
    }

    pub(super) fn drop_px_job(&mut self, job: JobId) {
        self.background.retain(|other| other.job != job);
    }
}

/// The code with its value bound on the engine and sent to the session.
fn sending(code: &Code, name: &str) -> Code {
    let Some(piece) = code.pieces.first() else {
        return code.clone();
    };
    Code::default()
        .generated(&format!("let {name} = {{\n"))
        .user(
            code.text.trim_end_matches('\n'),
            (piece.cell_line, piece.column + 1),
        )
        .generated(&format!("}};\nregatta_cell::magic::send_value(&{name});\n"))
}
