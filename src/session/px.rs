//! `%px`: a cell on every engine of a pool, compiled once for each set of variables that the engines have.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::flight::{Ended, Flight, Hold, Leg};
use super::follow::Wait;
use super::namespace::Namespace;
use super::{Code, Failed, Pool, Session, explain};
use crate::cell::Targets;
use crate::ids::{CellId, EngineId, Rank};
use crate::outcome::{
    EngineOutcome, ErrorKind, Event, GroupOutputs, PoolKind, PxReport, PxRow, Report, Sink,
};
use crate::pool::{PoolEvent, Signal};

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

impl Session {
    /// Runs a cell on the targeted engines of the pool in use.
    pub fn px(
        &mut self,
        code: &Code,
        options: &PxOptions,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let pool = self.pool_named(None)?.clone();
        let ranks = options
            .targets
            .resolve(pool.size)
            .map_err(|error| Failed::from(Report::new(ErrorKind::Usage, error.to_string())))?;
        if options.local {
            self.run_local(code, sink)?;
        }
        if pool.kind == PoolKind::Threads && !options.block {
            return Err(Report::new(
                ErrorKind::Usage,
                "a %px on a thread pool cannot go on in the background",
            )
            .hint("the threads belong to the local engine; a process pool can: `%pool start`")
            .into());
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
            return Err(Report::new(ErrorKind::Usage, what)
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
            self.background.push(Background { flight, course });
            sink.send(Event::Text(
                "running on the engines; `%pxresult` shows the result".to_owned(),
            ));
            return Ok(());
        }
        let wait = Wait {
            signal: options.signal_on_interrupt,
            progress_after: Some(options.progress_after),
        };
        let (flight, interrupted) = self.fly(&batches, hold, wait, sink)?;
        self.land(flight, course, interrupted, sink)
    }

    /// Keeps account of what the engines have now, and reports.
    fn land(
        &mut self,
        flight: Flight,
        course: Course,
        interrupted: bool,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
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
        let (mut sent_values, mut out_type) = (Vec::new(), None);
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
            if let Some(sent) = &leg.sent {
                sent_values.push(sent.clone());
            }
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
        if !again.is_empty() {
            // The variables in the way are gone, so this ends.
            let ranks: Vec<String> = again.iter().map(ToString::to_string).collect();
            let targets = ranks.join(",").parse().unwrap_or_else(|_| Targets::all());
            return self.px(
                &code,
                &PxOptions {
                    targets,
                    local: false,
                    ..options
                },
                sink,
            );
        }
        let failed = rows.iter().any(|row| !row.outcome.is_ok());
        let name = pool.name.clone();
        let report = PxReport {
            cell,
            pool: name,
            kind: pool.kind,
            engines: rows,
            group: options.group_outputs,
            verbose: options.verbose,
        };
        self.last_px = Some(report.clone());
        sink.send(Event::Px(report));
        if failed {
            return Err(Failed::default());
        }
        match out_type {
            Some(kind) if options.out.is_some() => {
                self.bind_values(out_name, &kind, &sent_values, sink)
            }
            _ => Ok(()),
        }
    }

    /// Binds the engines' values, by rank, to a local variable.
    fn bind_values(
        &mut self,
        name: &str,
        kind: &str,
        values: &[String],
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let file = self.toolchain.folder.join("values");
        std::fs::write(&file, values.join("\n")).map_err(|error| {
            Report::new(
                ErrorKind::System,
                format!("the results cannot be kept: {error}"),
            )
        })?;
        let code = Code::default().generated(&format!(
            "let {name}: Vec<{kind}> = regatta_cell::magic::received({file:?});\n"
        ));
        let bound = self.run_local(&code, sink);
        // Only a full folder minds, and it is removed with the session.
        let _ = std::fs::remove_file(&file);
        bound
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
                return Err(Report::new(ErrorKind::Usage, "no %px has run yet").into());
            };
            sink.send(Event::Px(report));
            return Ok(());
        }
        let mut failed = Failed::default();
        let mut any = false;
        for Background { mut flight, course } in std::mem::take(&mut self.background) {
            let wait = Wait {
                signal: course.options.signal_on_interrupt,
                progress_after: Some(course.options.progress_after),
            };
            let interrupted = self.follow(&mut flight, wait, sink)?;
            sink.send(Event::Text(format!(
                "In [{}] on {}:",
                course.cell, course.pool.name
            )));
            if let Err(mut more) = self.land(flight, course, interrupted, sink) {
                any = true;
                failed.0.append(&mut more.0);
            }
        }
        if any { Err(failed) } else { Ok(()) }
    }

    /// Whether a background `%px` still runs.
    pub fn has_background(&self) -> bool {
        self.background
            .iter()
            .any(|background| !background.flight.is_over())
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
