//! Several jobs on the same engines: whose turn it is, and what each has to know of the others. Pure, as a
//! dispatch is.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use super::assignment::Assignment;
use super::dispatch::{Elsewhere, SHORT};
use crate::ids::{EngineId, JobId};

/// A job beside others.
#[derive(Clone, Copy)]
pub struct ActiveJob<'a> {
    pub assignment: &'a Assignment,
    /// By worker.
    pub engines: &'a [EngineId],
}

/// The jobs under way, as their owner has them.
pub trait Jobs {
    fn numbers(&self) -> Vec<JobId>;
    fn active(&self, job: JobId) -> Option<ActiveJob<'_>>;
    /// Seconds of engines that it has had.
    fn served(&self, job: JobId) -> f64;
    /// The cells and chunks, of whatever job, that an engine has.
    fn given(&self, engine: EngineId) -> usize;
    /// Lets a job decide.
    fn go_on(&mut self, job: JobId, elsewhere: &Elsewhere);
}

/// Lets the jobs decide to which something has happened, and those that wait for an engine: whichever has had
/// the least of them comes first.
pub fn round(jobs: &mut impl Jobs, due: &BTreeSet<JobId>) {
    let is_waiting = |jobs: &_, job| {
        Jobs::active(jobs, job).is_some_and(|active| active.assignment.is_waiting())
    };
    let numbers = jobs.numbers();
    let mut turns = Turns::of(numbers.iter().filter_map(|job| jobs.active(*job)));
    for (engine, load) in &mut turns.loads {
        load.other = jobs.given(*engine).saturating_sub(load.chunks);
    }
    let mut order: Vec<(f64, JobId)> = numbers
        .into_iter()
        .filter(|job| due.contains(job) || is_waiting(&*jobs, *job))
        .map(|job| (jobs.served(job), job))
        .collect();
    order.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
    let mut waits = false;
    for (_, job) in order {
        let Some(active) = jobs.active(job) else {
            continue;
        };
        if due.contains(&job) || turns.is_room(active) {
            let elsewhere = turns.elsewhere(active, waits);
            jobs.go_on(job, &elsewhere);
            if let Some(active) = jobs.active(job) {
                turns.add(active);
            }
        }
        waits |= is_waiting(&*jobs, job);
    }
}

/// What an engine has.
#[derive(Clone, Copy, Default)]
struct Load {
    /// Cells, and chunks of jobs that are over.
    other: usize,
    /// Chunks of the jobs; those of them whose length nobody knows; seconds of the rest.
    chunks: usize,
    unknown: usize,
    ahead: f64,
    /// Parties that have inputs which wait for an engine.
    waiting: usize,
}

/// The load of all engines in one round of decisions.
struct Turns {
    loads: FxHashMap<EngineId, Load>,
}

impl Turns {
    fn of<'a>(jobs: impl Iterator<Item = ActiveJob<'a>>) -> Self {
        let mut turns = Self {
            loads: FxHashMap::default(),
        };
        for job in jobs {
            turns.add(job);
        }
        turns
    }

    /// What a job has to know of the others, itself left out of the account until it is added again.
    fn elsewhere(&mut self, job: ActiveJob<'_>, waits: bool) -> Elsewhere {
        self.remove(job);
        let loads = || {
            job.engines
                .iter()
                .filter_map(|engine| self.loads.get(engine))
        };
        Elsewhere {
            ahead: loads().map(Load::seconds).collect(),
            wanted: loads().any(|load| load.waiting > 0),
            waits,
        }
    }

    /// Whether an engine of the job's could begin something at once.
    fn is_room(&self, job: ActiveJob<'_>) -> bool {
        let load = |engine| self.loads.get(engine).map_or(0.0, Load::seconds);
        job.engines.iter().any(|engine| load(engine) <= SHORT)
    }

    fn add(&mut self, job: ActiveJob<'_>) {
        self.count(job, |load, chunks, ahead, waiting| {
            load.chunks += chunks;
            if ahead.is_finite() {
                load.ahead += ahead;
            } else {
                load.unknown += 1;
            }
            load.waiting += waiting;
        });
    }

    fn remove(&mut self, job: ActiveJob<'_>) {
        self.count(job, |load, chunks, ahead, waiting| {
            load.chunks -= chunks;
            if ahead.is_finite() {
                load.ahead -= ahead;
            } else {
                load.unknown -= 1;
            }
            load.waiting -= waiting;
        });
    }

    fn count(&mut self, job: ActiveJob<'_>, change: impl Fn(&mut Load, usize, f64, usize)) {
        let waiting = usize::from(job.assignment.is_waiting());
        for (worker, engine) in job.engines.iter().enumerate() {
            let load = self.loads.entry(*engine).or_default();
            let (chunks, ahead) = (
                job.assignment.ledger().held(worker),
                job.assignment.ahead(worker),
            );
            change(load, chunks, ahead, waiting);
        }
    }
}

impl Load {
    fn seconds(&self) -> f64 {
        if self.other + self.unknown > 0 {
            f64::INFINITY
        } else if self.chunks == 0 {
            // No rest of a sum.
            0.0
        } else {
            self.ahead.max(0.0)
        }
    }
}

#[cfg(test)]
mod tests;
