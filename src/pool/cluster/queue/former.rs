//! Jobs on the server that are no map of this session's: what earlier sessions have left there, and what this one has
//! detached. They are known by their manifests and by their pieces: those of which there are results, and those that wait.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use super::publisher::Publisher;
use super::schema::{Inputs, Manifest};
use crate::ids::JobId;
use crate::wire::since_1970;

/// One of them, as it is now.
#[derive(Clone, Debug)]
pub struct Former {
    pub manifest: Manifest,
    /// Pieces with results.
    pub done: u64,
    /// Those that there will be.
    pub pieces: u64,
    pub is_cancelled: bool,
    /// An item has no result, of a job that stops then.
    pub has_failed: bool,
    /// When the last result came, since 1970.
    pub last: Option<Duration>,
    /// Why it is not known what it is.
    pub unknown: Option<String>,
    /// Why a node cannot do more of it: what it needs for that is not on the server any more, or cannot be read there.
    pub unreadable: Option<String>,
}

impl Former {
    /// Whether somebody may want its results: they are there, or come. Of one of which an item failed there are none to take.
    pub fn is_wanted(&self) -> bool {
        let is_there = self.done > 0 || self.done < self.pieces;
        is_there && !self.is_cancelled && !self.has_failed
    }
}

pub(super) struct Left {
    pub manifest: Manifest,
    pub done: BTreeSet<u32>,
    pub waiting: BTreeSet<u32>,
    pub last: Option<Duration>,
    pub has_failed: bool,
    pub unknown: Option<String>,
    pub unreadable: Option<String>,
}

impl Left {
    fn is_cancelled(&self) -> bool {
        self.manifest.inputs == Inputs::GivenUp
    }

    pub(super) fn now(&self) -> Former {
        let waiting = self.waiting.difference(&self.done).count();
        let done = self.done.len() as u64;
        Former {
            manifest: self.manifest.clone(),
            done,
            pieces: match self.is_cancelled() || self.has_failed {
                true => done.max(self.manifest.pieces.into()),
                false => done + waiting as u64,
            },
            is_cancelled: self.is_cancelled(),
            has_failed: self.has_failed,
            last: self.last,
            unknown: self.unknown.clone(),
            unreadable: self.unreadable.clone(),
        }
    }

    /// What the server has of it, now that it is there again. `under_way`: pieces that it may not have yet; `None` when those that
    /// wait are too many to tell. Of what neither waits nor is done nothing will come.
    fn looked_at(&mut self, new: Self, under_way: Option<BTreeSet<u32>>) {
        if self.unknown.is_some() {
            (self.manifest, self.unknown) = (new.manifest, new.unknown);
        }
        self.done.extend(new.done);
        self.has_failed |= new.has_failed;
        if let Some(under_way) = under_way {
            self.waiting = &(&new.waiting | &under_way) | &self.done;
        }
    }
}

/// All of a cluster, for the session.
pub struct Formers {
    left: Mutex<BTreeMap<JobId, Left>>,
    /// The highest number that any job has had.
    highest: AtomicU32,
    /// Woken when something has changed.
    waker: Waker,
}

impl Formers {
    pub fn new(waker: Waker) -> Self {
        Self {
            left: Mutex::default(),
            highest: AtomicU32::new(0),
            waker,
        }
    }

    fn left(&self) -> MutexGuard<'_, BTreeMap<JobId, Left>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn all(&self) -> Vec<Former> {
        self.left().values().map(Left::now).collect()
    }

    pub fn get(&self, job: JobId) -> Option<Former> {
        self.left().get(&job).map(Left::now)
    }

    /// A job has this number.
    pub fn takes(&self, number: JobId) {
        self.highest.fetch_max(number.0, Ordering::Relaxed);
    }

    /// Numbers of jobs are given once, whatever session gives them.
    pub fn highest(&self) -> JobId {
        JobId(self.highest.load(Ordering::Relaxed))
    }

    /// What it was, if it was one.
    pub(super) fn forget(&self, job: JobId) -> Option<Manifest> {
        self.left().remove(&job).map(|left| left.manifest)
    }

    /// Their numbers.
    pub(super) fn numbers(&self) -> Vec<JobId> {
        self.left().keys().copied().collect()
    }

    /// Another session has them.
    pub(super) fn lose(&self) {
        self.left().clear();
        self.changed();
    }

    /// Whether one of them is so, or may be: it is not known what it is.
    pub(super) fn any(&self, is_so: impl Fn(&Manifest) -> bool) -> bool {
        let left = self.left();
        let mut all = left.values();
        all.any(|left| left.unknown.is_some() || is_so(&left.manifest))
    }

    /// No more of it is done.
    pub fn cancelled(&self, job: JobId) {
        if let Some(left) = self.left().get_mut(&job) {
            left.manifest.give_up();
        }
    }

    /// Whoever waits looks again.
    pub(super) fn changed(&self) {
        self.waker.wake_by_ref();
    }

    /// A piece has results.
    pub(super) fn heard(&self, job: JobId, piece: u32) {
        if let Some(left) = self.left().get_mut(&job) {
            left.done.insert(piece);
            left.unreadable = None;
            left.last = Some(since_1970());
            self.waker.wake_by_ref();
        }
    }

    /// An item has no result; whether it is one of them.
    pub(super) fn failed(&self, job: JobId) -> bool {
        let mut left = self.left();
        let found = left.get_mut(&job);
        let is_one = found.map(|left| left.has_failed = true).is_some();
        self.waker.wake_by_ref();
        is_one
    }

    /// A node cannot read what it needs for a job.
    pub(super) fn is_unreadable(&self, job: JobId, why: String) {
        if let Some(left) = self.left().get_mut(&job) {
            left.unreadable = Some(why);
            self.waker.wake_by_ref();
        }
    }

    /// A job is none of the session's maps any more. `waiting`: pieces of which nothing was heard; `last`: when the last
    /// result came, since 1970.
    pub(super) fn detached(
        &self,
        manifest: Manifest,
        waiting: BTreeSet<u32>,
        last: Option<Duration>,
    ) {
        let pieces = 0..manifest.pieces;
        let left = Left {
            done: pieces.filter(|it| !waiting.contains(it)).collect(),
            waiting,
            manifest,
            last,
            has_failed: false,
            unknown: None,
            unreadable: None,
        };
        self.left().insert(left.manifest.job, left);
        self.waker.wake_by_ref();
    }
}

/// How often the server was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    First,
    /// It was gone, and is there again.
    Again,
}

/// Jobs that are no more and have results nevertheless: those of nodes that had not heard of their end.
fn orphans(done: &BTreeMap<JobId, BTreeSet<u32>>, is_known: impl Fn(JobId) -> bool) -> Vec<JobId> {
    let all = done.keys().copied();
    all.filter(|job| !is_known(*job)).collect()
}

impl Publisher {
    /// Looks at what is on the server that is no map of this session's. Later there are only those that it has found, or detached
    /// itself.
    pub(super) async fn look_back(self: &Rc<Self>, look: Look) -> io::Result<()> {
        let mut found = self.reader.found().await?;
        self.knows(found.told);
        let highest = found.highest();
        let formers = &self.formers;
        formers.takes(highest);
        let is_known = |job: JobId| {
            found.jobs.contains_key(&job)
                || self.is_its_own(job)
                || self.is_closed(job)
                || formers.get(job).is_some()
        };
        for job in orphans(&found.done, is_known) {
            // It is asked for by its name: what was not read is not dropped.
            if job <= highest && self.reader.is_without_manifest(job).await {
                self.goes(job, None, None);
            }
        }
        let (dropped, closed) = found.over();
        let are_many = found.waiting.is_none();
        let mut all = Vec::new();
        for job in found.jobs.keys().copied().collect::<Vec<_>>() {
            if !dropped.contains(&job) && !self.is_its_own(job) {
                all.extend(self.reader.left(&mut found, job).await);
            }
        }
        let mut gone = Vec::new();
        let mut left = formers.left();
        for new in all {
            let job = new.manifest.job;
            // It may have begun meanwhile.
            if self.is_its_own(job) {
                continue;
            }
            // Of an earlier session that has not come to it; here it is.
            if closed.contains(&job) || self.is_closed(job) {
                gone.push(job);
                continue;
            }
            match left.get_mut(&job) {
                Some(known) => {
                    let under_way = self.under_way(job);
                    known.looked_at(new, (!are_many).then_some(under_way));
                }
                None if look == Look::First => drop(left.insert(job, new)),
                None => {}
            }
        }
        let of_it = |(job, left): (&JobId, &Left)| left.has_failed.then_some(*job);
        let failed: Vec<JobId> = left.iter().filter_map(of_it).collect();
        drop(left);
        for job in gone {
            self.closes(job);
        }
        for job in failed {
            self.stops(job);
        }
        for job in dropped.into_iter().filter(|job| !self.is_its_own(*job)) {
            // An earlier session was at it when it ended.
            let manifest = found.jobs.remove(&job).and_then(Result::ok);
            self.goes(job, manifest, None);
        }
        formers.waker.wake_by_ref();
        Ok(())
    }

    /// From now on a map of the session's is none, once all that was ordered for it is done.
    pub(super) async fn detach(self: &Rc<Self>, number: JobId) {
        self.until_all_is_there(number).await;
        self.until_looked_at(number).await;
        let last = self.reader.last_of(number).await;
        // Also when another session has the cluster by now.
        let Some(job) = self.take_job(number) else {
            return;
        };
        let (manifest, waiting) = (job.manifest.borrow().clone(), job.open.borrow().numbers());
        self.formers.detached(manifest, waiting, last);
        if job.has_failed.get() {
            self.has_failed(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(job: u32, pieces: u32) -> Manifest {
        Manifest {
            total: Some(10),
            items: 10,
            pieces,
            inputs: Inputs::Exhausted,
            ..Manifest::unknown(JobId(job))
        }
    }

    #[test]
    fn a_job_is_over_when_each_piece_that_was_queued_has_results() {
        let formers = Formers::new(Waker::noop().clone());
        formers.detached(some(3, 4), BTreeSet::from([1, 3]), None);
        let now = || {
            let it = formers.get(JobId(3)).expect("it is known");
            (it.done, it.pieces)
        };
        assert_eq!(now(), (2, 4));
        formers.heard(JobId(3), 1);
        // Told twice, as after the server was gone.
        formers.heard(JobId(3), 1);
        assert_eq!(now(), (3, 4));
        formers.heard(JobId(3), 3);
        assert_eq!(now(), (4, 4));
    }

    #[test]
    fn a_cancelled_job_has_what_was_done() {
        let formers = Formers::new(Waker::noop().clone());
        formers.detached(some(3, 4), BTreeSet::from([1, 3]), None);
        formers.cancelled(JobId(3));
        let it = formers.get(JobId(3)).expect("it is known");
        assert_eq!((it.done, it.pieces, it.is_cancelled), (2, 4, true));
        formers.forget(JobId(3));
        assert!(formers.all().is_empty());
    }

    #[test]
    fn what_the_server_has_lost_is_not_waited_for() {
        let formers = Formers::new(Waker::noop().clone());
        formers.detached(some(3, 5), BTreeSet::from([1, 3, 4]), None);
        let looked_at = |waiting: &[u32], done: &[u32], under_way: Option<&[u32]>| {
            let mut left = formers.left();
            let left = left.get_mut(&JobId(3)).expect("it is known");
            let set = |of: &[u32]| of.iter().copied().collect::<BTreeSet<u32>>();
            let new = Left {
                manifest: some(3, 5),
                waiting: set(waiting),
                done: set(done),
                last: None,
                has_failed: false,
                unknown: None,
                unreadable: None,
            };
            left.looked_at(new, under_way.map(set));
            (left.now().done, left.now().pieces)
        };
        assert_eq!(looked_at(&[], &[], None), (2, 5));
        // Of one piece there is a result meanwhile, one waits, and one is on its way there.
        assert_eq!(looked_at(&[4], &[0, 1], Some(&[3])), (3, 5));
        assert_eq!(looked_at(&[4], &[0, 1], Some(&[])), (3, 4));
        // Its result turns up.
        formers.heard(JobId(3), 3);
        formers.heard(JobId(3), 4);
        let it = formers.get(JobId(3)).expect("it is known");
        assert_eq!((it.done, it.pieces), (5, 5));
    }

    #[test]
    fn a_job_that_no_node_can_do_goes_on_when_one_can() {
        let formers = Formers::new(Waker::noop().clone());
        formers.detached(some(3, 4), BTreeSet::from([1, 3]), None);
        formers.is_unreadable(JobId(3), "damaged".to_owned());
        let unreadable = || formers.get(JobId(3)).and_then(|it| it.unreadable);
        assert_eq!(unreadable().as_deref(), Some("damaged"));
        formers.heard(JobId(3), 1);
        assert_eq!(unreadable(), None);
    }

    #[test]
    fn results_without_a_job_are_found() {
        let done = [1, 2, 3].map(|job| (JobId(job), BTreeSet::from([0])));
        let found = orphans(&done.into(), |job| job == JobId(2));
        assert_eq!(found, [JobId(1), JobId(3)]);
    }
}
