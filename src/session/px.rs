//! `%px`: a cell on every engine of a pool, compiled once for each set of variables that the engines have.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::evaluate::{Batch, Code, Ready, Wait};
use super::flight::{Ended, Flight, Hold, Leg};
use super::namespace::Namespace;
use super::{Failed, Pool, Session, explain};
use crate::cell::{Targets, split_items};
use crate::ids::{CellId, EngineId, Rank};
use crate::outcome::{
    EngineOutcome, ErrorKind, Event, GroupOutputs, Origin, PoolKind, PxReport, PxRow, Report, Sink,
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

/// Engines whose variables are the same.
type Group = (Namespace, Vec<(Rank, EngineId)>);

/// A `%px` under way that nobody waits for.
#[derive(Debug)]
pub(super) struct Background {
    flight: Flight,
    course: Course,
}

/// What is needed to settle the engines' account after a flight.
#[derive(Debug)]
struct Course {
    cell: CellId,
    pool: Pool,
    options: PxOptions,
    code: Code,
    legs: BTreeMap<EngineId, (Rank, Namespace, Namespace, Arc<crate::compiler::Artifact>)>,
    skipped: Vec<PxRow>,
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

    /// Compiles the cell for each set of variables that the engines have.
    fn plan_px(
        &mut self,
        code: &Code,
        pool: &Pool,
        ranks: &[Rank],
        options: &PxOptions,
        sink: &mut dyn Sink,
    ) -> Result<(Vec<Batch>, Course), Failed> {
        let mut course = Course {
            cell: self.cell(),
            pool: pool.clone(),
            options: options.clone(),
            code: code.clone(),
            legs: BTreeMap::new(),
            skipped: Vec::new(),
        };
        let groups = self.groups(pool, ranks, &mut course, sink)?;
        let mut batches: Vec<Batch> = Vec::new();
        let mut refused = None;
        for (namespace, engines) in &groups {
            match self.compile(code, namespace, sink) {
                Ok(Ready {
                    artifact,
                    before,
                    lost,
                    after,
                }) => {
                    let ranks: Vec<Rank> = engines.iter().map(|(rank, _)| *rank).collect();
                    if !lost.is_empty() {
                        sink.send(Event::Notice(lost_there(&lost, &ranks)));
                    }
                    let origins = engines
                        .iter()
                        .map(|(rank, engine)| (*engine, Origin::Engine(*rank)));
                    batches.push((origins.collect(), artifact.clone()));
                    for (rank, engine) in engines {
                        self.namespaces.insert(*engine, before.clone());
                        let leg = (*rank, before.clone(), after.clone(), artifact.clone());
                        course.legs.insert(*engine, leg);
                    }
                }
                Err(failed) => {
                    let elsewhere = self.elsewhere(&failed, pool, namespace);
                    let why = elsewhere.as_deref().unwrap_or("it does not compile there");
                    for (rank, _) in engines {
                        course.skipped.push(skipped(*rank, why));
                    }
                    // A variable that only other engines have is said in the engine's row.
                    if elsewhere.is_none() || refused.is_none() {
                        refused = Some((failed, elsewhere));
                    }
                }
            }
        }
        match refused {
            Some((mut failed, elsewhere)) if batches.is_empty() => {
                if let (Some(report), Some(why)) = (failed.0.first_mut(), elsewhere) {
                    report.hint = Some(why);
                }
                Err(failed)
            }
            // What some engines refuse is said once, beside the others' results.
            Some((failed, None)) => {
                for report in failed.0 {
                    sink.send(Event::Error(report));
                }
                Ok((batches, course))
            }
            _ => Ok((batches, course)),
        }
    }

    /// The living engines by their variables.
    fn groups(
        &mut self,
        pool: &Pool,
        ranks: &[Rank],
        course: &mut Course,
        sink: &mut dyn Sink,
    ) -> Result<Vec<Group>, Failed> {
        let dead: BTreeMap<EngineId, String> = self.dead_engines();
        let mut groups: Vec<Group> = Vec::new();
        for rank in ranks {
            let Some(engine) = pool.engines.get(rank.0 as usize).copied() else {
                continue;
            };
            if let Some(cause) = dead.get(&engine) {
                let why = format!("dead ({cause}); `%pool restart` starts it again");
                course.skipped.push(skipped(*rank, &why));
                continue;
            }
            let namespace = self.namespace_of(engine, sink)?;
            let same = groups
                .iter_mut()
                .find(|(other, _)| other.variables() == namespace.variables());
            match same {
                Some((other, engines)) => {
                    if namespace.seen > other.seen {
                        *other = namespace;
                    }
                    engines.push((*rank, engine));
                }
                None => groups.push((namespace, vec![(*rank, engine)])),
            }
        }
        Ok(groups)
    }

    /// When the code is refused for a variable that lives elsewhere: where.
    fn elsewhere(&self, failed: &Failed, pool: &Pool, namespace: &Namespace) -> Option<String> {
        let unknown = failed
            .0
            .iter()
            .find(|report| report.code.as_deref() == Some("E0425"))?;
        let name = unknown.what.split('`').nth(1)?;
        if namespace.variables().contains_key(name) {
            return None;
        }
        let has = |engine: &EngineId| {
            self.namespaces
                .get(engine)
                .is_some_and(|namespace| namespace.variables().contains_key(name))
        };
        let ranks: Vec<String> = (0..)
            .zip(&pool.engines)
            .filter(|(_, engine)| has(engine))
            .map(|(rank, _): (u32, _)| rank.to_string())
            .collect();
        match ranks.as_slice() {
            [] if has(&self.local) => Some(format!(
                "`{name}` lives in the local engine; engines have variables of their own: define it with %px too"
            )),
            [] => None,
            [rank] => Some(format!(
                "`{name}` is not defined there (only on engine {rank})"
            )),
            ranks => {
                let ranks = ranks.join(",");
                Some(format!(
                    "`{name}` is not defined there (only on engines {ranks})"
                ))
            }
        }
    }

    fn dead_engines(&self) -> BTreeMap<EngineId, String> {
        self.hub
            .status()
            .into_iter()
            .filter_map(|status| match status.state {
                crate::pool::EngineState::Dead(cause) => Some((status.id, cause)),
                _ => None,
            })
            .collect()
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

    /// On a thread pool the cell runs once per thread and borrows the session's variables.
    fn px_threads(
        &mut self,
        code: &Code,
        pool: &Pool,
        ranks: &[Rank],
        options: &PxOptions,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        self.broadcast.clear();
        self.thread_values.clear();
        let on_threads = broadcasting(code, ranks, pool.size);
        self.run_local(&on_threads, sink)?;
        let mut values: BTreeMap<Rank, _> = std::mem::take(&mut self.thread_values)
            .into_iter()
            .collect();
        let artifact = self.last_artifact.clone();
        let rows: Vec<PxRow> = std::mem::take(&mut self.broadcast)
            .into_iter()
            .enumerate()
            .map(|(rank, ended)| (Rank(rank as u32), ended))
            .filter(|(rank, _)| ranks.contains(rank))
            .map(|(rank, (busy, panic))| {
                let outcome = match panic {
                    Some(panic) => {
                        let place = artifact
                            .as_ref()
                            .and_then(|artifact| self.panic_place(&panic, artifact, &on_threads));
                        EngineOutcome::Panicked {
                            message: panic.message,
                            place,
                        }
                    }
                    None => EngineOutcome::Done(values.remove(&rank)),
                };
                PxRow {
                    rank,
                    outcome,
                    busy,
                    output: Vec::new(),
                }
            })
            .collect();
        let failed = rows.iter().any(|row| !row.outcome.is_ok());
        let report = PxReport {
            cell: self.cell(),
            pool: pool.name.clone(),
            kind: PoolKind::Threads,
            engines: rows,
            group: options.group_outputs,
            verbose: options.verbose,
        };
        self.last_px = Some(report.clone());
        sink.send(Event::Px(report));
        if failed {
            Err(Failed::default())
        } else {
            Ok(())
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

fn lost_there(names: &[String], ranks: &[Rank]) -> String {
    let ranks: Vec<String> = ranks.iter().map(ToString::to_string).collect();
    let engines = if ranks.len() == 1 {
        "engine"
    } else {
        "engines"
    };
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let (names, ranks) = (names.join(", "), ranks.join(","));
    format!("lost on {engines} {ranks}: {names}: the type was redefined")
}

fn skipped(rank: Rank, why: &str) -> PxRow {
    let outcome = EngineOutcome::Skipped {
        why: why.to_owned(),
    };
    PxRow {
        rank,
        outcome,
        busy: Duration::ZERO,
        output: Vec::new(),
    }
}

/// The code as one closure for all threads; definitions stay outside, where later cells find them.
fn broadcasting(code: &Code, ranks: &[Rank], size: u32) -> Code {
    let Some(piece) = code.pieces.first() else {
        return code.clone();
    };
    let (items, statements) = split_items(&code.text);
    let mut whole = Code::default();
    for item in items {
        whole = whole.user(&item.text, (piece.cell_line + item.line - 1, 1));
    }
    let guard = if ranks.len() == size as usize {
        String::new()
    } else {
        let numbers: Vec<String> = ranks.iter().map(|rank| format!("{rank}u32")).collect();
        format!(
            "if ![{}].contains(&engine::rank()) {{ return; }} ",
            numbers.join(", ")
        )
    };
    whole
        .generated(&format!(
            "regatta_cell::magic::broadcast(|| {{ {guard}::regatta_cell::magic::show_value(&{{\n"
        ))
        .user(&statements, (piece.cell_line, piece.column + 1))
        .generated("}) });\n")
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
