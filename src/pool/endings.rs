//! How maps end: of themselves, on request, when their time is up, and with their caller; and what is told and
//! remembered of them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::connections::Connection;
use super::engine::Engine;
use super::hub::State;
use super::map::{Map, Seen};
use super::{EndEarly, JobRecord, MapFailure, MapFault, PoolEvent, WhichMaps};
use crate::ids::{EngineId, JobId};
use crate::outcome::{JobEnd, JobState, JobWork, Timeline};
use crate::wire::Service;

/// How long the items of a cancelled map may go on before their engines are killed. The prompt is back
/// within a second of a Ctrl-C.
pub(super) const COUNTDOWN: Duration = Duration::from_millis(700);

/// A map is looked at from here on.
const LIVE_AFTER: Duration = Duration::from_secs(1);

/// Jobs that are remembered when they are over.
const REMEMBERED: usize = 64;

/// Chunks in the timelines of maps that are over.
const CHUNKS: usize = 200_000;

impl State {
    /// A map is over, and its caller has heard so or is gone.
    pub(super) fn conclude(&mut self, job: JobId) {
        let Some(mut map) = self.maps.remove(&job) else {
            return;
        };
        self.tell_end(&mut map);
        let caller = map.caller;
        if let Some(channel) = map.into_channel() {
            let connection = Connection::new(caller, Service::Map, channel);
            self.unheard.push_back(connection);
        }
    }

    fn tell_end(&mut self, map: &mut Map) {
        let job = map.job;
        self.countdowns.remove(&job);
        let engines = match map.is_queued() {
            true => Vec::new(),
            false => map.engines(),
        };
        let record = map.record();
        self.leave_queue(map, record.state);
        if record.state != JobState::Done {
            // What still runs for it is not wanted any more.
            self.stop_items(job, &engines);
        }
        if map.is_gone() {
            self.leave_items(map);
        }
        for engine in engines {
            if let Some(process) = self.engines.get_mut(&engine) {
                // Told with the next job's function: it is no reason to wake the engine.
                process.over.push(job);
            }
        }
        let timeline = map.last_timeline();
        if map.options.background {
            let end = JobEnd {
                job,
                work: JobWork::Map {
                    state: record.state,
                    done: record.done,
                    total: record.total,
                    held: record.held,
                },
                took: record.elapsed,
            };
            self.remember(record, timeline);
            self.pass_on_all_prints();
            // Code that begins many short ones knows of them.
            let by_code = map.options.function.is_empty();
            let unasked = by_code && (map.options.quiet || map.elapsed() < LIVE_AFTER);
            if map.awaited || unasked {
                return;
            }
            self.emit_of(job, PoolEvent::JobOver(end));
            return;
        }
        let silent = map.options.function.is_empty() && !map.options.quiet;
        if !silent {
            // Not its caller's, who may have gone on.
            for engine in map.processes() {
                self.pass_on_prints(engine, usize::MAX);
            }
        }
        match record.state {
            JobState::Failed => {}
            // Of a map that collects errors the rest are errors.
            JobState::Cancelled if !map.options.collect => {
                self.emit_of(
                    job,
                    PoolEvent::MapFailed(MapFailure {
                        rank: None,
                        item: None,
                        what: MapFault::Interrupted {
                            done: record.done,
                            total: record.total,
                        },
                        died: Vec::new(),
                    }),
                );
            }
            // A map from code shows nothing.
            _ if silent => {}
            _ => self.emit_of(
                job,
                PoolEvent::MapDone {
                    report: map.report(),
                    shown: !map.options.function.is_empty(),
                },
            ),
        }
        self.remember(record, timeline);
    }

    /// The jobs that a command is about; none that is over and waits for its caller's word.
    pub(super) fn jobs(&self, which: WhichMaps) -> Vec<JobId> {
        self.maps
            .iter()
            .filter(|(job, map)| match which {
                _ if map.is_over() => false,
                WhichMaps::Foreground => !map.options.background,
                WhichMaps::Job(wanted) => **job == wanted,
            })
            .map(|(job, _)| *job)
            .collect()
    }

    pub(super) fn end_early(&mut self, job: JobId, how: EndEarly) {
        let Some(map) = self.maps.get_mut(&job) else {
            return;
        };
        match how {
            EndEarly::Cancel => {
                let steps = map.cancel();
                // Threads are waited for: to kill them is to lose the session's variables.
                if map.is_stopping() && map.has_engines() {
                    self.countdowns
                        .entry(job)
                        .or_insert_with(|| Instant::now() + COUNTDOWN);
                }
                self.take(job, steps);
            }
            EndEarly::Kill => {
                let steps = map.cancel();
                let busy = map.busy_processes();
                let is_queued = map.is_queued();
                map.abandon_queue();
                self.take(job, steps);
                self.countdowns.remove(&job);
                let busy = match is_queued {
                    true => self.engines_at(job, busy),
                    false => busy,
                };
                for process in busy.iter().filter_map(|engine| self.engines.get(engine)) {
                    process.link.signal(nix::sys::signal::Signal::SIGKILL);
                }
            }
            EndEarly::Abandon => {
                let (done, total) = map.progress();
                let step = map.fail(None, None, MapFault::Interrupted { done, total });
                self.take(job, vec![step]);
            }
        }
        self.go_on(job);
    }

    /// What the clock asks for: limits of items, countdowns, the live table.
    pub(super) fn tick(&mut self) {
        let now = Instant::now();
        let due: Vec<JobId> = self
            .countdowns
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(job, _)| *job)
            .collect();
        for job in due {
            self.end_early(job, EndEarly::Kill);
        }
        let overdue = self.unwanted.iter().filter(|(_, at)| **at <= now);
        for process in overdue.filter_map(|(engine, _)| self.engines.get(engine)) {
            process.link.signal(nix::sys::signal::Signal::SIGKILL);
        }
        let alone = self.maps.values().filter(|map| map.is_alone());
        let alone: Vec<JobId> = alone.map(|map| map.job).collect();
        alone.into_iter().for_each(|job| self.go_on(job));
        let mut views = Vec::new();
        for (job, map) in &mut self.maps {
            let at = |engine: EngineId| self.engines.get(&engine)?.link.at(*job);
            for (engine, item) in map.late(at) {
                if let Some(process) = self.engines.get(&engine)
                    && self.late.insert(engine, item).is_none()
                {
                    process.link.signal(nix::sys::signal::Signal::SIGKILL);
                }
            }
            let left = self
                .countdowns
                .get(job)
                .map(|at| at.saturating_duration_since(now));
            let stops = map.is_stopping();
            // Whoever has pressed Ctrl-C hears what is waited for.
            let shown = !map.options.background && (!map.options.quiet || stops && left.is_none());
            if shown && (map.elapsed() >= LIVE_AFTER || stops) {
                let look = |engine: EngineId, thread| {
                    let process = self.engines.get(&engine);
                    let item = process.and_then(|process| process.link.at(*job));
                    Seen {
                        item: item.map(|(item, _)| item),
                        memory: process.and_then(Engine::memory),
                        said: process.map_or_else(String::new, |it| it.link.said(thread)),
                    }
                };
                views.extend(map.view(look, left));
            }
        }
        for view in views {
            self.emit_of(view.job, PoolEvent::Live(view));
        }
    }

    /// The maps of a caller that is gone. With the local engine go the results that user code had of finished ones.
    pub(super) fn drop_maps_of(&mut self, caller: EngineId, is_local: bool) {
        if is_local {
            for (record, _) in &mut self.finished {
                record.held = false;
            }
        }
        self.connections
            .retain(|_, connection| connection.owner != caller);
        for job in self.maps.keys().copied().collect::<Vec<_>>() {
            if self.maps.get(&job).is_some_and(|map| map.caller == caller)
                && let Some(mut map) = self.maps.remove(&job)
            {
                self.countdowns.remove(&job);
                self.stop_items(job, &map.engines());
                self.leave_items(&map);
                let mut record = map.record();
                if record.state != JobState::Done {
                    record.state = JobState::Failed;
                }
                self.leave_queue(&mut map, record.state);
                let timeline = map.last_timeline();
                self.remember(record, timeline);
            }
        }
    }

    /// What engines are at for a map whose caller is gone may go on as long as that of a cancelled one.
    fn leave_items(&mut self, map: &Map) {
        // Nodes are told that what they have of a queue is not wanted.
        let sees = map.has_engines() && !map.is_queued();
        let busy = sees.then(|| map.busy_processes());
        for engine in busy.unwrap_or_default() {
            if self.engines.contains_key(&engine) {
                self.unwanted.insert(engine, Instant::now() + COUNTDOWN);
                self.emit_of(map.job, PoolEvent::Unwanted { engine });
            }
        }
    }

    /// Whether an engine has ended the items of a caller that is gone.
    pub(super) fn free_if_idle(&mut self, engine: EngineId) {
        let idle = |process: &Engine| process.given() == 0;
        if self.unwanted.contains_key(&engine) && self.engines.get(&engine).is_some_and(idle) {
            self.unwanted.remove(&engine);
            self.emit(engine, PoolEvent::Free { engine });
        }
    }

    /// Remembers a map that is over.
    pub(super) fn remember(&mut self, record: JobRecord, timeline: Timeline) {
        self.finished.push_back((record, timeline));
        let chunks = |finished: &VecDeque<(_, Timeline)>| -> usize {
            finished
                .iter()
                .map(|(_, timeline)| timeline.chunks.len())
                .sum()
        };
        while self.finished.len() > REMEMBERED
            || self.finished.len() > 1 && chunks(&self.finished) > CHUNKS
        {
            // Background jobs stay until they are dropped.
            let Some(oldest) = self
                .finished
                .iter()
                .position(|(record, _)| !(record.background && record.held))
            else {
                break;
            };
            if let Some((record, _)) = self.finished.remove(oldest) {
                self.cells.remove(&record.job);
            }
        }
    }
}
