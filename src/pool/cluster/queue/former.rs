//! Jobs on the server that are no map of this session's: what earlier sessions have left there, and what this one has
//! detached. They are known by their manifests and by their pieces: those of which there are results, and those that wait.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use super::objects::other;
use super::publisher::{Publisher, unless_damaged};
use super::schema::{Inputs, Malformed, Manifest, Names};
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

struct Left {
    manifest: Manifest,
    done: BTreeSet<u32>,
    waiting: BTreeSet<u32>,
    last: Option<Duration>,
    has_failed: bool,
    unknown: Option<String>,
    unreadable: Option<String>,
}

impl Left {
    fn is_cancelled(&self) -> bool {
        self.manifest.inputs == Inputs::GivenUp
    }

    fn now(&self) -> Former {
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

    /// What the server has of it, now that it is there again. `waiting`: pieces that wait there, or nodes have them; `None`:
    /// they are too many to tell. Of what is in neither nothing will come.
    fn looked_at(&mut self, waiting: Option<BTreeSet<u32>>, done: BTreeSet<u32>) {
        self.done.extend(done);
        if let Some(waiting) = waiting {
            self.waiting = &waiting | &self.done;
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

/// The pieces of each job that these subjects are of.
fn pieces<'a>(subjects: impl Iterator<Item = &'a String>) -> BTreeMap<JobId, BTreeSet<u32>> {
    let mut of: BTreeMap<JobId, BTreeSet<u32>> = BTreeMap::new();
    for (job, piece) in subjects.filter_map(|subject| Names::piece_of(subject)) {
        of.entry(job).or_default().insert(piece);
    }
    of
}

/// A node may say that it has results of any job: numbers so far from all others say nothing.
const NEAR: u32 = 100_000;

/// The highest number that a job has had. `stored`: as the server was told; its file may be damaged, and then what is `left` of
/// jobs says it.
fn highest(stored: JobId, left: impl Iterator<Item = JobId>) -> JobId {
    let near = stored.0.saturating_add(NEAR);
    left.filter(|job| job.0 <= near).fold(stored, JobId::max)
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
        let names = &self.names;
        // In this order: a piece waits until it has results.
        let works = self.works_there().await?;
        let are_many = works.is_none();
        let works = works.unwrap_or_default();
        let results = self.results_there().await?;
        let (mut waiting, mut done) = (pieces(works.iter()), pieces(results.iter()));
        let failed: BTreeSet<JobId> = results
            .iter()
            .filter_map(|it| Names::failed_of(it))
            .collect();
        let all = self.read_all(names.jobs(), names.all_jobs()).await?;
        let mut stored = JobId(0);
        let mut found = BTreeMap::new();
        let mut closed = BTreeSet::new();
        let mut dropped = Vec::new();
        let mut unknown = BTreeMap::new();
        for message in all {
            if message.subject.as_str() == names.highest() {
                let text = std::str::from_utf8(&message.payload).unwrap_or_default();
                let told = JobId(text.parse().unwrap_or_default());
                self.knows(told);
                stored = stored.max(told);
            } else if message.subject.as_str() == names.epoch() {
                // Of this session.
            } else if let Some(job) = Names::job_of(&message.subject) {
                stored = stored.max(job);
                let payload = &message.payload;
                let read = unless_damaged(|| self.objects.manifest(payload)).await;
                let manifest = match read {
                    Ok(Some(manifest)) if manifest.job == job => manifest,
                    // Its object is damaged: the other jobs are there nevertheless.
                    Err(why) => {
                        unknown.insert(job, why.to_string());
                        Manifest::unknown(job)
                    }
                    Ok(_) => {
                        unknown.insert(job, other(Malformed).to_string());
                        Manifest::unknown(job)
                    }
                };
                if manifest.closed.contains(&manifest.job) {
                    // An earlier session was at it when it ended.
                    if !self.is_its_own(manifest.job) {
                        dropped.push(manifest);
                    }
                    continue;
                }
                closed.extend(manifest.closed.iter().copied());
                found.insert(manifest.job, manifest);
            }
        }
        // Sessions alone give numbers and queue work; what nodes say is believed as far as it may be so.
        let stored = waiting.keys().copied().fold(stored, JobId::max);
        let highest = highest(stored, done.keys().copied());
        let is_known = |job: JobId| {
            let is_dropped = || dropped.iter().any(|it: &Manifest| it.job == job);
            found.contains_key(&job)
                || is_dropped()
                || self.is_its_own(job)
                || self.is_closed(job)
                || self.formers.get(job).is_some()
        };
        for job in orphans(&done, is_known) {
            // It is asked for by its name: what was not read is not dropped.
            if job <= highest && self.is_without_manifest(job).await {
                self.goes(job, None, None);
            }
        }
        let mut lasts = BTreeMap::new();
        for job in found.keys().filter(|job| done.contains_key(job)) {
            lasts.extend(self.last_of(*job).await.map(|at| (*job, at)));
        }
        for (job, manifest) in found.iter().filter(|_| are_many) {
            let queued = match manifest.inputs {
                Inputs::Coming => self.queued_of(*job).await,
                _ => manifest.pieces,
            };
            waiting.insert(*job, (0..queued).collect());
        }
        let formers = &self.formers;
        formers.highest.fetch_max(highest.0, Ordering::Relaxed);
        let mut gone = Vec::new();
        let mut left = formers.left();
        for (job, manifest) in found {
            if self.is_its_own(job) {
                continue;
            }
            // Of an earlier session that has not come to it; here it is.
            if closed.contains(&job) || self.is_closed(job) {
                gone.push(job);
                continue;
            }
            let new = Left {
                manifest,
                done: done.remove(&job).unwrap_or_default(),
                waiting: waiting.remove(&job).unwrap_or_default(),
                last: lasts.remove(&job),
                has_failed: failed.contains(&job),
                unknown: unknown.remove(&job),
                unreadable: None,
            };
            match left.get_mut(&job) {
                Some(known) => {
                    if known.unknown.is_some() {
                        (known.manifest, known.unknown) = (new.manifest, new.unknown);
                    }
                    let waiting = (!are_many).then(|| &new.waiting | &self.under_way(job));
                    known.looked_at(waiting, new.done);
                    known.has_failed |= new.has_failed;
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
        for manifest in dropped {
            self.goes(manifest.job, Some(manifest), None);
        }
        formers.waker.wake_by_ref();
        Ok(())
    }

    /// From now on a map of the session's is none, once all that was ordered for it is done.
    pub(super) async fn detach(self: &Rc<Self>, number: JobId) {
        self.until_all_is_there(number).await;
        self.until_looked_at(number).await;
        let last = self.last_of(number).await;
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
        let looked_at = |waiting: Option<BTreeSet<u32>>, done: BTreeSet<u32>| {
            let mut left = formers.left();
            let left = left.get_mut(&JobId(3)).expect("it is known");
            left.looked_at(waiting, done);
            (left.now().done, left.now().pieces)
        };
        assert_eq!(looked_at(None, BTreeSet::new()), (2, 5));
        // Of one piece there is a result meanwhile, and one is nowhere.
        let (waiting, done) = (BTreeSet::from([4]), BTreeSet::from([0, 1]));
        assert_eq!(looked_at(Some(waiting), done), (3, 4));
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
    fn numbers_are_given_once_and_not_to_be_used_up() {
        let of = |stored, left: &[u32]| highest(JobId(stored), left.iter().copied().map(JobId));
        assert_eq!(of(7, &[3, 9]), JobId(9));
        assert_eq!(of(7, &[]), JobId(7));
        assert_eq!(of(7, &[3, u32::MAX, NEAR + 8]), JobId(7));
    }

    #[test]
    fn results_without_a_job_are_found() {
        let done = [1, 2, 3].map(|job| (JobId(job), BTreeSet::from([0])));
        let found = orphans(&done.into(), |job| job == JobId(2));
        assert_eq!(found, [JobId(1), JobId(3)]);
    }

    #[test]
    fn subjects_are_pieces_of_jobs() {
        let subjects = ["c.work.now.3.0", "c.work.later.3.7", "c.work.now.4.1", "x"];
        let subjects = subjects.map(str::to_owned);
        let of = pieces(subjects.iter());
        let expected = [(3, vec![0, 7]), (4, vec![1])];
        let expected = expected.map(|(job, of)| (JobId(job), BTreeSet::from_iter(of)));
        assert_eq!(of, BTreeMap::from(expected));
    }
}
