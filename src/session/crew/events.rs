//! What happens to engines outside of a cell's own flight: maps that begin and end, deaths, listings.

use std::time::Duration;

use super::prints::{Prints, Told};
use super::{Crew, Pool};
use crate::ids::{CellId, EngineId, PoolName, Rank};
use crate::outcome::{
    About, DeathCause, EngineChange, Event, Gone, JobEnd, Notice, Origin, Sink, StartFault, Stream,
    Timing, Value,
};
use crate::pool::{EngineState, EngineStatus, PoolEvent};
use crate::wire::RunEnd;

/// Whether an engine is a cluster's: what it does is known here a little later, and a signal does not reach it once its cell
/// has ended.
pub fn is_far(pools: &[Pool], engine: EngineId) -> bool {
    let pool = pools.iter().find(|pool| pool.engines.contains(&engine));
    pool.is_some_and(|pool| pool.starter.cluster().is_some())
}

/// What words to and from engines of other hosts may wait for there, beside the way.
const FAR: Duration = Duration::from_millis(1200);

/// How much longer than others these engines may take to do what they are told: none, unless one of them is far.
pub fn travel(pools: &[Pool], engines: &[EngineId]) -> Duration {
    let has_one = |pool: &&Pool| pool.engines.iter().any(|it| engines.contains(it));
    let clusters = { pools.iter().filter(has_one) }.filter_map(|pool| pool.starter.cluster());
    let longest = clusters.map(|cluster| {
        let nodes = cluster.nodes();
        nodes.iter().filter_map(|node| node.round_trip).max()
    });
    // The longest way to a node now may be twice as long the next moment.
    let longest = longest.max();
    longest.map_or(Duration::ZERO, |way| FAR + 2 * way.unwrap_or_default())
}

impl Crew {
    /// All engines with pool and rank, for listings.
    pub fn engines(&self) -> Vec<(Option<PoolName>, Rank, EngineStatus)> {
        let all = self.hub.status();
        let mut rows = Vec::new();
        let find = |id: EngineId| all.iter().find(|status| status.id == id).cloned();
        rows.extend(find(self.local).map(|status| (None, Rank(0), status)));
        for pool in &self.pools {
            for (rank, engine) in pool.engines.iter().enumerate() {
                let status = find(*engine).unwrap_or(EngineStatus {
                    id: *engine,
                    pid: 0,
                    state: EngineState::Dead(DeathCause::NotStarted),
                    tasks: 0,
                    busy: Duration::ZERO,
                    memory: None,
                });
                rows.push((Some(pool.name.clone()), Rank(rank as u32), status));
            }
        }
        rows
    }

    fn origin_of(&self, engine: EngineId) -> Origin {
        self.place(engine)
            .map_or(Origin::Local, |(_, rank)| Origin::Engine(rank))
    }

    pub fn place(&self, engine: EngineId) -> Option<(PoolName, Rank)> {
        self.pools.iter().find_map(|pool| {
            let rank = pool.engines.iter().position(|other| *other == engine)?;
            Some((pool.name.clone(), Rank(rank as u32)))
        })
    }

    /// The host of a cluster's engine.
    fn host_of(&self, engine: EngineId) -> Option<String> {
        self.pools.iter().find_map(|pool| {
            let rank = pool.engines.iter().position(|other| *other == engine)?;
            pool.starter.cluster()?.host_of(Rank(rank as u32))
        })
    }

    /// What is of no flight.
    pub(super) fn other_event(&mut self, about: About, event: PoolEvent, sink: &mut dyn Sink) {
        match event {
            PoolEvent::MapPlanned(plan) => self.screen.plan(about, plan, sink),
            PoolEvent::MapDone { report, shown } => {
                let report = shown.then_some((about, report));
                self.screen.map_done(report, sink);
            }
            PoolEvent::FirstResults { rank, texts } => self.screen.first_results(rank, &texts),
            PoolEvent::ItemTexts { first, texts } => self.screen.item_texts(first, &texts),
            PoolEvent::Live(view) => self.screen.live(about, view, sink),
            PoolEvent::Timing { per_loop, loops } => sink.send(Event::Timing(Timing {
                per_loop,
                loops,
                compile: None,
            })),
            PoolEvent::Died {
                engine,
                cause,
                replaced: true,
                ..
            } => self.note_replaced(about, engine, cause, sink),
            PoolEvent::Died { engine, cause, .. } => self.note_death(about, engine, cause, sink),
            PoolEvent::Revived { dead } => self.note_revived(about, dead, sink),
            PoolEvent::NoFolder {
                engine,
                path,
                stays,
            } => {
                let host = self.host_of(engine);
                // Of the engines of a host the first one tells.
                if self.homeless.insert((host.clone(), path.clone())) {
                    let folder = path;
                    let notice = Notice::NoFolder {
                        host,
                        folder,
                        stays,
                    };
                    sink.send(Event::Notice(about, notice));
                }
            }
            PoolEvent::MemoTrouble(trouble) => {
                // Every engine may come upon it.
                if let Some(notice) = self.memos.trouble(trouble) {
                    sink.send(Event::Notice(about, notice));
                }
            }
            PoolEvent::MemoShelf(shares) => self.memos.told_shelf(shares),
            PoolEvent::Memo { engine, functions } => self.memos.told(engine, functions),
            PoolEvent::Comm {
                engine, rank, told, ..
            } => self.comms.answered(engine, rank, told),
            PoolEvent::JobOver(end) => self.note_job_over(about, end, sink),
            PoolEvent::Children(asked) => self.children.serve(about, asked.0),
            PoolEvent::NotStarted { engine, why } => {
                self.note_not_started(about, engine, why, sink)
            }
            PoolEvent::Output {
                engine,
                stream,
                bytes,
            } => self.stray_print(about, engine, stream, bytes.as_slice(), sink),
            PoolEvent::Shown {
                engine,
                rank,
                value,
                ..
            } => {
                let origin = rank.map_or_else(|| self.origin_of(engine), Origin::Engine);
                let text = format!("{}\n", value.text());
                self.screen
                    .output(about, origin, Stream::Stdout, text, sink);
            }
            PoolEvent::RunDone { engine, end, .. } => self.note_begun(about, engine, &end, sink),
            PoolEvent::Unwanted { engine } => {
                self.unready.insert(engine);
            }
            PoolEvent::Free { engine } => {
                self.unready.remove(&engine);
            }
            PoolEvent::Up { .. }
            | PoolEvent::Data { .. }
            | PoolEvent::Kept { .. }
            | PoolEvent::Broadcast { .. }
            | PoolEvent::Woken
            | PoolEvent::MapFailed(_) => {}
        }
    }

    fn note_job_over(&mut self, about: About, mut end: JobEnd, sink: &mut dyn Sink) {
        if !self.jobs.awaited.remove(&end.job) {
            if let Some(work) = self.px_on_threads(&end) {
                end.work = work;
            }
            sink.send(Event::JobOver(about, end));
        }
    }

    /// Of a pool that was given up for it, nobody need hear the same of each further engine.
    fn note_not_started(
        &self,
        about: About,
        engine: EngineId,
        why: StartFault,
        sink: &mut dyn Sink,
    ) {
        if engine == self.local || self.place(engine).is_some() {
            sink.send(Event::Engines(about, EngineChange::NotStarted { why }));
        }
    }

    /// An engine that stands in for another has run what its pool begins with.
    fn note_begun(&mut self, about: About, engine: EngineId, end: &RunEnd, sink: &mut dyn Sink) {
        self.unready.remove(&engine);
        let Some(after) = self.begun_with.get(&engine) else {
            return;
        };
        if matches!(end, RunEnd::Returned { facts, .. } if facts.ran_through()) {
            self.namespaces.insert(engine, after.clone());
        } else if let Some((pool, rank)) = self.place(engine) {
            sink.send(Event::Engines(about, EngineChange::NotBegun { pool, rank }));
        }
    }

    /// An engine died in a map, and another process stands in for it: the map's table tells so. What it had
    /// is told here.
    pub(super) fn note_replaced(
        &mut self,
        about: About,
        engine: EngineId,
        cause: DeathCause,
        sink: &mut dyn Sink,
    ) {
        let lost = self.lost_with(engine);
        self.namespaces.remove(&engine);
        self.unready.remove(&engine);
        if self.begun_with.contains_key(&engine) {
            self.unready.insert(engine);
        }
        if let (Some((pool, rank)), false) = (self.place(engine), lost.is_empty()) {
            sink.send(Event::Engines(
                about,
                EngineChange::Replaced {
                    pool,
                    rank,
                    cause,
                    lost,
                },
            ));
        }
    }

    /// A map called from code found engines of its pool dead, and they have been started again.
    fn note_revived(
        &mut self,
        about: About,
        engines: Vec<(EngineId, DeathCause)>,
        sink: &mut dyn Sink,
    ) {
        let (mut of, mut dead, mut lost) = (None, Vec::new(), Vec::new());
        for (engine, cause) in engines {
            self.dead.remove(&engine);
            lost.extend(self.graves.remove(&engine).unwrap_or_default());
            if self.begun_with.contains_key(&engine) {
                self.unready.insert(engine);
            }
            if let Some((pool, rank)) = self.place(engine) {
                of = Some(pool);
                dead.push((rank, cause));
            }
        }
        lost.sort();
        lost.dedup();
        if let Some(pool) = of {
            let revived = EngineChange::Revived { pool, dead, lost };
            sink.send(Event::Engines(about, revived));
        }
    }

    fn note_death(
        &mut self,
        about: About,
        engine: EngineId,
        cause: DeathCause,
        sink: &mut dyn Sink,
    ) {
        let lost = self.lost_with(engine);
        self.bury(engine);
        if self.flights.values().any(|flight| flight.interrupted) {
            return;
        }
        // It has ended with another, of which this is told.
        if matches!(cause, DeathCause::Together { .. }) {
            return;
        }
        let died = if let Some((pool, rank)) = self.place(engine) {
            let of = |other: &&Pool| other.name == pool;
            let all = self
                .pools
                .iter()
                .find(of)
                .is_some_and(|it| it.starter.mpi().is_some());
            EngineChange::Died {
                pool,
                rank,
                cause,
                lost,
                all,
            }
        } else if engine == self.local {
            self.launch_local();
            self.note_gone(lost.iter().map(String::as_str), Gone::Died);
            EngineChange::LocalDied { cause, lost }
        } else {
            return;
        };
        sink.send(Event::Engines(about, died));
    }

    /// The value of a cell in the local engine.
    pub(super) fn show_value(&mut self, cell: CellId, mut value: Value, sink: &mut dyn Sink) {
        self.screen.flush(sink);
        value.most_lines = self.screen.style.lines;
        value.with_type = self.screen.style.types;
        self.outs.shown(cell, &value.type_name);
        sink.send(Event::Result { cell, value });
    }

    /// What an engine prints outside of a cell of its own: whole lines.
    fn stray_print(
        &mut self,
        about: About,
        engine: EngineId,
        stream: Stream,
        bytes: &[u8],
        sink: &mut dyn Sink,
    ) {
        let prints = self.screen.stray.entry((engine, stream));
        let (of, prints) = prints.or_insert_with(|| (about, Prints::new(stream, true)));
        *of = about;
        let told = prints.push(bytes);
        self.show_stray(about, engine, told, sink);
    }

    pub(super) fn finish_stray_prints(&mut self, sink: &mut dyn Sink) {
        for ((engine, _), (about, mut prints)) in std::mem::take(&mut self.screen.stray) {
            let told = prints.finish();
            self.show_stray(about, engine, told, sink);
        }
    }

    fn show_stray(&mut self, about: About, engine: EngineId, told: Vec<Told>, sink: &mut dyn Sink) {
        let origin = self.origin_of(engine);
        for one in told {
            if let Told::Text(stream, text) = one {
                if let (Some((pool, rank)), Some(line)) = (self.place(engine), text.lines().last())
                {
                    self.screen.note_line(pool, rank, line);
                }
                self.screen
                    .output(about, origin.clone(), stream, text, sink);
            }
        }
    }
}
