//! Several jobs played on the same simulated engines.

use std::collections::BTreeMap;
use std::time::Duration;

use regatta_cell::options::Schedule as Kind;

use super::*;
use crate::pool::assignment::Next;
use crate::pool::dispatch::Decision;
use crate::pool::schedule::Schedule;

struct Simulated {
    assignment: Assignment,
    engines: Vec<EngineId>,
    /// Seconds per item; what is left to pull.
    cost: f64,
    left: u64,
    begins: f64,
    served: f64,
    sent: BTreeMap<u32, f64>,
    /// When its items ended.
    ended: Vec<f64>,
    /// By worker, the items that it did.
    by: Vec<u64>,
    is_over: bool,
}

/// A job of `items` items that take `cost` seconds each on `engines`, from `begins` on.
fn job(items: u64, cost: f64, engines: &[u32], begins: f64) -> Simulated {
    Simulated {
        assignment: Assignment::new(
            Some(items),
            engines.len(),
            Box::new(Schedule::new(Kind::Dynamic, None)),
        ),
        engines: engines.iter().copied().map(EngineId).collect(),
        cost,
        left: items,
        begins,
        served: 0.0,
        sent: BTreeMap::new(),
        ended: Vec::new(),
        by: vec![0; engines.len()],
        is_over: false,
    }
}

#[derive(Default)]
struct Machine {
    jobs: BTreeMap<JobId, Simulated>,
    now: f64,
    /// Per engine what it does, the first of it until when, in order: job, piece, worker.
    queues: BTreeMap<EngineId, Vec<(JobId, u32, usize)>>,
    until: BTreeMap<EngineId, f64>,
    /// Engines with a cell.
    cells: Vec<EngineId>,
}

impl Jobs for Machine {
    fn numbers(&self) -> Vec<JobId> {
        let begun = |job: &Simulated| job.begins <= self.now && !job.is_over;
        let jobs = self.jobs.iter().filter(|(_, job)| begun(job));
        jobs.map(|(number, _)| *number).collect()
    }

    fn active(&self, job: JobId) -> Option<ActiveJob<'_>> {
        let Simulated {
            assignment,
            engines,
            ..
        } = self.jobs.get(&job)?;
        Some(ActiveJob {
            assignment,
            engines,
        })
    }

    fn served(&self, job: JobId) -> f64 {
        self.jobs[&job].served
    }

    fn given(&self, engine: EngineId) -> usize {
        let cells = self.cells.iter().filter(|other| **other == engine).count();
        cells + self.queues.get(&engine).map_or(0, Vec::len)
    }

    fn go_on(&mut self, number: JobId, elsewhere: &Elsewhere) {
        let job = self.jobs.get_mut(&number).unwrap();
        loop {
            let mut pulled = false;
            let decisions = match job.assignment.next(elsewhere) {
                Next::Do(decisions) => decisions,
                Next::Finish => {
                    job.is_over = true;
                    return;
                }
                Next::Stranded => panic!("stranded"),
            };
            for decision in decisions {
                match decision {
                    Decision::Pull { items, chunks } => {
                        for _ in 0..chunks {
                            let items = items.min(job.left);
                            job.left -= items;
                            job.assignment.pulled(items, job.left == 0);
                        }
                        pulled = true;
                    }
                    Decision::Send { piece, worker } => {
                        let engine = job.engines[worker];
                        let queue = self.queues.entry(engine).or_default();
                        if queue.is_empty() {
                            let span = job.assignment.ledger().piece(piece).unwrap().span;
                            let cost = (span.to - span.from) as f64 * job.cost;
                            self.until.insert(engine, self.now + cost);
                        }
                        queue.push((number, piece, worker));
                        job.sent.insert(piece, self.now);
                    }
                }
            }
            if !pulled {
                return;
            }
        }
    }
}

/// Plays them to their end.
fn play(jobs: Vec<Simulated>) -> Vec<Simulated> {
    let mut machine = Machine::default();
    let mut arrivals: Vec<(f64, JobId)> = Vec::new();
    for (number, job) in (1..).zip(jobs) {
        arrivals.push((job.begins, JobId(number)));
        machine.jobs.insert(JobId(number), job);
    }
    arrivals.sort_by(|one, other| other.0.total_cmp(&one.0));
    loop {
        let ends = machine.until.iter().map(|(engine, at)| (*at, *engine));
        let next = ends.min_by(|one, other| one.0.total_cmp(&other.0));
        let arrival = arrivals.last().copied();
        let due = match (next, arrival) {
            (None, None) => break,
            (Some((at, _)), Some((begins, job))) if begins <= at => {
                arrive(&mut machine, begins, job)
            }
            (None, Some((begins, job))) => arrive(&mut machine, begins, job),
            (Some((at, engine)), _) => end(&mut machine, at, engine),
        };
        if arrival.is_some_and(|(_, job)| job == due) {
            arrivals.pop();
        }
        round(&mut machine, &BTreeSet::from([due]));
    }
    for job in machine.jobs.values() {
        assert!(job.is_over, "a job does not end");
    }
    machine.jobs.into_values().collect()
}

fn arrive(machine: &mut Machine, begins: f64, job: JobId) -> JobId {
    machine.now = begins;
    let others = machine.numbers().into_iter().filter(|other| *other != job);
    let served = others.map(|other| machine.served(other)).reduce(f64::min);
    machine.jobs.get_mut(&job).unwrap().served = served.unwrap_or_default();
    job
}

fn end(machine: &mut Machine, at: f64, engine: EngineId) -> JobId {
    machine.now = at;
    let queue = machine.queues.get_mut(&engine).unwrap();
    let (number, piece, worker) = queue.remove(0);
    match queue.first() {
        None => {
            machine.until.remove(&engine);
        }
        Some((next, piece, _)) => {
            let job = &machine.jobs[next];
            let span = job.assignment.ledger().piece(*piece).unwrap().span;
            let cost = (span.to - span.from) as f64 * job.cost;
            machine.until.insert(engine, at + cost);
        }
    }
    let job = machine.jobs.get_mut(&number).unwrap();
    let span = job.assignment.ledger().piece(piece).unwrap().span;
    let items = span.to - span.from;
    let busy = items as f64 * job.cost;
    job.served += busy;
    job.by[worker] += items;
    for _ in 0..items {
        job.ended.push(at);
    }
    job.assignment
        .finished(worker, piece, items, Duration::from_secs_f64(busy));
    number
}

fn last(job: &Simulated) -> f64 {
    job.ended.iter().copied().fold(0.0, f64::max)
}

#[test]
fn jobs_of_one_item_share_the_engines() {
    let one = || job(1, 0.3, &[0, 1, 2], 0.0);
    let played = play(vec![one(), one(), one()]);
    assert!(played.iter().all(|job| last(job) < 0.31));
    // A fourth one waits for whoever is free first, not behind one of them.
    let played = play(vec![
        job(1, 0.3, &[0, 1, 2], 0.0),
        job(1, 5.0, &[0, 1, 2], 0.0),
        one(),
        one(),
    ]);
    assert!(last(&played[3]) < 0.61, "{}", last(&played[3]));
    // Hundreds of them are done in the order in which they came.
    let played = play(
        (0..300)
            .map(|n| job(1, 0.01, &[0, 1, 2], f64::from(n) * 1e-5))
            .collect(),
    );
    assert!(last(&played[299]) < 1.01);
    assert!(played.is_sorted_by(|one, next| last(one) <= last(next) + 0.01));
}

#[test]
fn an_item_waits_for_the_first_engine_that_is_free() {
    // One engine has an item of a minute, which another job chose; nothing is sent behind it.
    let played = play(vec![job(1, 60.0, &[1], 0.0), job(9, 1.0, &[0, 1, 2], 0.1)]);
    assert_eq!(played[1].by, [5, 0, 4]);
    assert!(last(&played[1]) < 5.2);
    // Who may use two engines does not wait for the one that another job needs.
    let played = play(vec![job(30, 1.0, &[0], 0.0), job(1, 1.0, &[0, 1], 0.5)]);
    assert_eq!(played[1].by, [0, 1]);
    assert!(last(&played[0]) < 30.1);
}

#[test]
fn long_jobs_get_equal_parts_of_the_engines() {
    let played = play(vec![
        job(300, 0.1, &[0, 1, 2], 0.0),
        job(300, 0.1, &[0, 1, 2], 5.0),
    ]);
    // 5 s alone, then half of the engines until both have as much left.
    let halves: Vec<usize> = played
        .iter()
        .map(|job| {
            job.ended
                .iter()
                .filter(|at| (5.0..12.0).contains(*at))
                .count()
        })
        .collect();
    let most = halves.iter().max().unwrap() - halves.iter().min().unwrap();
    assert!(most <= 8, "{halves:?}");
    assert!(last(&played[0]).max(last(&played[1])) < 20.3);
}

#[test]
fn short_items_are_not_starved_by_long_ones_nor_these_by_them() {
    // 2 s of work each on one engine.
    let played = play(vec![job(200_000, 1e-5, &[0], 0.0), job(20, 0.1, &[0], 0.0)]);
    let early = |job: &Simulated| job.ended.iter().filter(|at| **at < 2.0).count() as f64;
    let (short, long) = (early(&played[0]) * 1e-5, early(&played[1]) * 0.1);
    assert!((0.7..1.3).contains(&short), "{short}");
    assert!((0.7..1.3).contains(&long), "{long}");
}

#[test]
fn a_job_that_comes_later_is_not_behind_chunks_that_wait() {
    // Some hundred items of 20 ms in the air, and one item: it is next.
    let played = play(vec![
        job(1000, 0.02, &[0, 1], 0.0),
        job(1, 0.02, &[0, 1], 3.0),
    ]);
    assert!(last(&played[1]) < 3.07, "{}", last(&played[1]));
}

#[test]
fn an_engine_with_a_cell_gets_nothing() {
    let mut machine = Machine {
        cells: vec![EngineId(0)],
        ..Machine::default()
    };
    machine.jobs.insert(JobId(1), job(4, 1.0, &[0, 1], 0.0));
    round(&mut machine, &BTreeSet::from([JobId(1)]));
    assert_eq!(machine.given(EngineId(0)), 1);
    assert_eq!(machine.given(EngineId(1)), 1);
    // It waits in the hub until the cell is over.
    machine.cells.clear();
    round(&mut machine, &BTreeSet::new());
    assert_eq!(machine.given(EngineId(0)), 1);
}
