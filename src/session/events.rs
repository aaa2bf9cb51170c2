//! What happens to engines outside of a cell's own flight: maps that begin and end, deaths, listings.

use std::time::Duration;

use super::Session;
use crate::ids::{EngineId, PoolName, Rank};
use crate::outcome::{Event, Origin, Sink, Value};
use crate::pool::{EngineState, EngineStatus, PoolEvent};
use crate::wire::RunEnd;

impl Session {
    /// All engines with pool and rank, for listings.
    pub fn engines(&mut self, sink: &mut dyn Sink) -> Vec<(Option<PoolName>, Rank, EngineStatus)> {
        self.drain_events(sink);
        let all = self.crew.hub.status();
        let mut rows = Vec::new();
        let find = |id: EngineId| all.iter().find(|status| status.id == id).cloned();
        rows.extend(find(self.crew.local).map(|status| (None, Rank(0), status)));
        for pool in &self.crew.pools {
            for (rank, engine) in pool.engines.iter().enumerate() {
                let status = find(*engine).unwrap_or(EngineStatus {
                    id: *engine,
                    pid: 0,
                    state: EngineState::Dead("not started".to_owned()),
                    tasks: 0,
                    busy: Duration::ZERO,
                    memory: None,
                });
                rows.push((Some(pool.name.clone()), Rank(rank as u32), status));
            }
        }
        rows
    }

    pub(super) fn origin_of(&self, engine: EngineId) -> Origin {
        self.place(engine)
            .map_or(Origin::Local, |(_, rank)| Origin::Engine(rank))
    }

    pub(super) fn place(&self, engine: EngineId) -> Option<(PoolName, Rank)> {
        self.crew.pools.iter().find_map(|pool| {
            let rank = pool.engines.iter().position(|other| *other == engine)?;
            Some((pool.name.clone(), Rank(rank as u32)))
        })
    }

    /// What is not printed and no value.
    pub(super) fn other_event(&mut self, event: PoolEvent, sink: &mut dyn Sink) {
        match event {
            PoolEvent::MapPlanned(mut plan) => {
                self.flush_map_report(sink);
                plan.input_type = super::types::shorten(&plan.input_type);
                plan.output_type = super::types::shorten(&plan.output_type);
                sink.send(Event::MapPlan(plan));
            }
            PoolEvent::MapDone { report, shown } => {
                self.flush_map_report(sink);
                if let Some(reports) = &mut self.crew.screen.quiet_reports {
                    reports.push(report);
                } else {
                    self.crew.screen.map_report = shown.then_some(report);
                }
            }
            PoolEvent::FirstResults { rank, texts } => {
                let rows = self
                    .crew
                    .screen
                    .map_report
                    .iter_mut()
                    .flat_map(|report| report.engines.iter_mut());
                for row in rows.filter(|row| row.rank == rank) {
                    row.results.clone_from(&texts);
                }
            }
            PoolEvent::Broadcast { threads } => self.broadcast = threads,
            PoolEvent::Timing { per_loop, loops } => {
                let timing = crate::outcome::Timing {
                    per_loop,
                    loops,
                    compile: None,
                };
                sink.send(Event::Timing(timing));
            }
            PoolEvent::Died {
                engine,
                cause,
                replaced: true,
                ..
            } => self.note_replaced(engine, &cause, sink),
            PoolEvent::Died {
                engine,
                cause,
                announced,
                ..
            } => self.note_death(engine, &cause, announced, sink),
            PoolEvent::JobOver { job, text } => {
                if !self.crew.jobs.awaited.remove(&job) {
                    sink.send(Event::Text(text));
                }
            }
            PoolEvent::Live(mut view) => {
                for engine in &mut view.engines {
                    if let Some(line) = self
                        .crew
                        .screen
                        .last_lines
                        .get(&(view.pool.clone(), engine.rank))
                    {
                        engine.last_line.clone_from(line);
                    }
                }
                sink.send(Event::Live(Some(view)));
            }
            PoolEvent::ItemTexts { first, texts } => {
                let items = self
                    .crew
                    .screen
                    .map_report
                    .iter_mut()
                    .flat_map(|report| &mut report.items);
                for item in items {
                    let text = item
                        .index
                        .checked_sub(first)
                        .and_then(|place| texts.get(usize::try_from(place).ok()?));
                    if let Some((input, result)) = text {
                        item.input.clone_from(input);
                        item.result.clone_from(result);
                    }
                }
            }
            // Of a pool that was given up for it, nobody need hear the same of each further engine.
            PoolEvent::NotStarted { engine, why } => {
                if engine == self.crew.local || self.place(engine).is_some() {
                    sink.send(Event::Notice(format!(
                        "an engine could not be started: {why}"
                    )));
                }
            }
            PoolEvent::Output {
                engine,
                stream,
                bytes,
            } => {
                self.stray_print(engine, stream, bytes.as_slice(), sink);
            }
            // Of what an engine begins with that stands in for another.
            PoolEvent::RunDone { engine, end, .. } => {
                self.crew.unready.remove(&engine);
                let Some(after) = self.crew.begun_with.get(&engine) else {
                    return;
                };
                if matches!(&end, RunEnd::Returned { facts, .. } if facts.ran_through()) {
                    self.crew.namespaces.insert(engine, after.clone());
                } else if let Some((pool, rank)) = self.place(engine) {
                    sink.send(Event::Notice(format!(
                        "engine {rank} of {pool}: what it begins with failed; `%pool restart {rank}` tries again"
                    )));
                }
            }
            PoolEvent::Up { .. }
            | PoolEvent::Shown { .. }
            | PoolEvent::Data { .. }
            | PoolEvent::Kept { .. }
            | PoolEvent::MapFailed(_) => {}
        }
    }

    /// An engine died in a map, and another process stands in for it: the map's table tells so. What it had
    /// is told here.
    pub(super) fn note_replaced(&mut self, engine: EngineId, cause: &str, sink: &mut dyn Sink) {
        let lost = self.lost_with(engine);
        self.crew.namespaces.remove(&engine);
        if self.crew.begun_with.contains_key(&engine) {
            self.crew.unready.insert(engine);
        }
        if let (Some((pool, rank)), false) = (self.place(engine), lost.is_empty()) {
            sink.send(Event::Notice(format!(
                "engine {rank} of {pool} was replaced ({cause}); lost there: {}",
                lost.join(", ")
            )));
        }
    }

    fn note_death(&mut self, engine: EngineId, cause: &str, announced: bool, sink: &mut dyn Sink) {
        let lost = self.lost_with(engine);
        self.bury(engine);
        if self.crew.interrupting {
            return;
        }
        if let Some((pool, rank)) = self.place(engine) {
            let died = if announced {
                String::new()
            } else {
                format!("engine {rank} of {pool} died: {cause}")
            };
            let lost = if lost.is_empty() {
                String::new()
            } else {
                format!("lost with engine {rank} of {pool}: {}", lost.join(", "))
            };
            let parts: Vec<String> = [died, lost]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect();
            if !parts.is_empty() {
                sink.send(Event::Notice(format!(
                    "{}; the next %px or map starts it again",
                    parts.join("; ")
                )));
            }
        } else if engine == self.crew.local {
            self.launch_local();
            self.note_gone(lost.iter().map(String::as_str), super::moved::Why::Died);
            let lost = super::explain::lost(&lost);
            match (announced, lost) {
                (true, None) => {}
                (true, Some(lost)) => sink.send(Event::Notice(lost)),
                (false, lost) => {
                    let lost = lost.unwrap_or_else(|| "no variables were lost".to_owned());
                    sink.send(Event::Notice(format!(
                        "the local engine died while idle: {cause}; {lost}"
                    )));
                }
            }
        }
    }

    pub(super) fn show_value(&mut self, origin: Origin, mut value: Value, sink: &mut dyn Sink) {
        value.most_lines = self.crew.screen.style.lines;
        value.with_type = self.crew.screen.style.types;
        if origin == Origin::Local {
            let cell = self.cell();
            self.crew.outs.shown(cell, &value.type_name);
        }
        match origin {
            Origin::Local => sink.send(Event::Result {
                cell: self.cell(),
                value,
            }),
            Origin::Engine(rank) => self.thread_values.push((rank, value)),
        }
    }

    /// Shows the finished map's table once its first results have come.
    pub(super) fn flush_map_report(&mut self, sink: &mut dyn Sink) {
        if let Some(report) = self.crew.screen.map_report.take() {
            sink.send(Event::Progress(None));
            sink.send(Event::Live(None));
            sink.send(Event::MapFinished(report));
        }
    }
}
