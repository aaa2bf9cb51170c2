//! Jobs of which little is left on the server: it goes for many of them at once, so that a map in a loop does not wait for
//! what was before it. Manifests name them meanwhile, for a session that comes after this one.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::spawn_local;
use tokio::time::{Instant, sleep};

use super::super::objects::other;
use super::super::schema::{LOT, lot};
use super::{Ask, Publisher};
use crate::ids::JobId;

/// When no job was closed for so long, what is left of all of them goes.
const QUIET: Duration = Duration::from_millis(100);

/// The jobs that were closed and may be on the server still. Pure.
#[derive(Debug, Default)]
pub struct Closed {
    jobs: BTreeSet<JobId>,
    /// When the last one was closed.
    last: Option<Instant>,
    /// Somebody sees to it that they go.
    is_seen_to: bool,
}

/// Which of them go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    All,
    /// Those of lots of which no job will come any more.
    Whole,
}

/// What goes at once.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sweep {
    Lot(u32, Vec<JobId>),
    Job(JobId),
}

impl Sweep {
    fn jobs(&self) -> &[JobId] {
        match self {
            Self::Lot(_, jobs) => jobs,
            Self::Job(job) => std::slice::from_ref(job),
        }
    }
}

impl Closed {
    pub fn numbers(&self) -> Vec<JobId> {
        self.jobs.iter().copied().collect()
    }

    /// `living`: jobs that stay.
    fn sweeps(&self, which: Which, living: impl Iterator<Item = JobId>) -> Vec<Sweep> {
        let living: BTreeSet<u32> = living.map(lot).collect();
        let newest = self.jobs.last().copied().map(lot);
        let mut lots: BTreeMap<u32, Vec<JobId>> = BTreeMap::new();
        for job in &self.jobs {
            lots.entry(lot(*job)).or_default().push(*job);
        }
        let mut sweeps = Vec::new();
        for (lot, jobs) in lots {
            let is_whole =
                newest > Some(lot) || jobs.last().is_some_and(|it| it.0 % LOT == LOT - 1);
            match (living.contains(&lot), which) {
                (false, Which::All) => sweeps.push(Sweep::Lot(lot, jobs)),
                (false, Which::Whole) if is_whole => sweeps.push(Sweep::Lot(lot, jobs)),
                (true, Which::All) => sweeps.extend(jobs.into_iter().map(Sweep::Job)),
                (_, Which::Whole) => {}
            }
        }
        sweeps
    }
}

impl Publisher {
    /// Whether it was closed here, and may be on the server still.
    pub(in super::super) fn is_closed(&self, job: JobId) -> bool {
        self.closed.borrow().jobs.contains(&job)
    }

    /// What is left of a job goes with that of others.
    pub(in super::super) fn closes(self: &Rc<Self>, job: JobId) {
        self.formers.forget(job);
        let is_seen_to = {
            let mut closed = self.closed.borrow_mut();
            closed.jobs.insert(job);
            closed.last = Some(Instant::now());
            std::mem::replace(&mut closed.is_seen_to, true)
        };
        if is_seen_to {
            return;
        }
        let publisher = self.clone();
        spawn_local(async move {
            loop {
                sleep(QUIET).await;
                let last = publisher.closed.borrow().last;
                let is_quiet = last.is_none_or(|last| last.elapsed() >= QUIET);
                publisher
                    .sweep(if is_quiet { Which::All } else { Which::Whole })
                    .await;
                let mut closed = publisher.closed.borrow_mut();
                if closed.jobs.is_empty() || publisher.is_lost() {
                    closed.is_seen_to = false;
                    return;
                }
            }
        });
    }

    /// Nodes forget closed jobs, and so does the server. Those that it does not forget stay closed.
    pub(super) async fn sweep(&self, which: Which) {
        // Who asks again, does so in a while.
        let _ = self.try_to_sweep(which).await;
    }

    async fn try_to_sweep(&self, which: Which) -> io::Result<()> {
        if self.closed.borrow().jobs.is_empty() || !self.still_has().await {
            return Ok(());
        }
        let streams = [self.names.results(), self.names.jobs()];
        let mut ends = Vec::new();
        for stream in &streams {
            let stream = self.jetstream.get_stream(stream).await.map_err(other)?;
            ends.push(stream.cached_info().state.last_sequence + 1);
        }
        // What begins from here on comes behind that, and stays.
        let sweeps = {
            let jobs = self.jobs.borrow();
            let living = jobs.keys().copied().chain(self.formers.numbers());
            self.closed.borrow().sweeps(which, living)
        };
        for sweep in sweeps {
            // A later session gives none of their numbers again.
            if let Some(last) = sweep.jobs().last() {
                self.is_taken(*last).await;
            }
            for job in sweep.jobs() {
                self.ask(Ask::Stop(*job, false));
            }
            let names = &self.names;
            let (kept, jobs) = match &sweep {
                Sweep::Lot(lot, _) => (names.kept_of_lot(*lot), names.jobs_of_lot(*lot)),
                Sweep::Job(job) => (names.kept_of(*job), names.job(*job)),
            };
            for ((stream, end), subject) in streams.iter().zip(&ends).zip([kept, jobs]) {
                let stream = self.jetstream.get_stream_no_info(stream).await;
                let purge = stream.map_err(other)?.purge().filter(&subject);
                purge.sequence(*end).await.map_err(other)?;
            }
            let mut closed = self.closed.borrow_mut();
            for job in sweep.jobs() {
                closed.jobs.remove(job);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(jobs: impl IntoIterator<Item = u32>) -> Closed {
        Closed {
            jobs: jobs.into_iter().map(JobId).collect(),
            ..Closed::default()
        }
    }

    fn lot_of(number: u32, jobs: std::ops::Range<u32>) -> Sweep {
        Sweep::Lot(number, jobs.map(JobId).collect())
    }

    #[test]
    fn lots_without_a_living_job_go_as_one() {
        let some = closed(60..130);
        let none = || std::iter::empty();
        let whole = some.sweeps(Which::Whole, none());
        assert_eq!(whole, [lot_of(0, 60..64), lot_of(1, 64..128)]);
        let all = some.sweeps(Which::All, none());
        assert_eq!(all[2], lot_of(2, 128..130));
        // The last of a lot was closed: none of it comes any more.
        let last = closed(62..64).sweeps(Which::Whole, none());
        assert_eq!(last, [lot_of(0, 62..64)]);
        assert_eq!(closed(0..63).sweeps(Which::Whole, none()), []);
    }

    #[test]
    fn what_lives_keeps_its_results() {
        let some = closed([1, 2, 70]);
        let living = || [JobId(3)].into_iter();
        let all = some.sweeps(Which::All, living());
        let ones = [Sweep::Job(JobId(1)), Sweep::Job(JobId(2))];
        assert_eq!(all, [&ones[..], &[lot_of(1, 70..71)]].concat());
        assert_eq!(some.sweeps(Which::Whole, living()), []);
    }
}
