//! The jobs whose pieces a node has had: what engines need for them, and when they are not wanted any more.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use async_nats::Message;
use tokio::sync::OnceCell;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::{Held, Worklist};
use crate::ids::JobId;
use crate::pool::COUNTDOWN;
use crate::pool::cluster::carry;
use crate::pool::cluster::queue::schema::{Manifest, Stored};
use crate::wire::{Payload, ToEngine};

/// Artifacts that stay when no job runs them.
const SPARED: usize = 32;

/// Jobs that are remembered as stopped.
const REMEMBERED: usize = 4096;

pub struct Job {
    pub manifest: Manifest,
    /// What engines need for it is here.
    ready: OnceCell<()>,
}

impl Job {
    pub fn is_ready(&self) -> bool {
        self.ready.initialized()
    }

    pub fn captures(&self) -> Option<u128> {
        self.manifest.captures()
    }
}

impl Worklist {
    /// A job is told of: what engines need for it is fetched before its first piece comes.
    pub(super) fn hears_of(self: &Rc<Self>, told: Message) {
        let number = told.subject.rsplit('.').next();
        let number = number.and_then(|it| it.parse().ok()).map(JobId);
        if number.is_none_or(|number| self.jobs.borrow().contains_key(&number)) {
            return;
        }
        if let Ok(Stored::Here(manifest)) = Stored::read(&told.payload) {
            return self.is_told(manifest);
        }
        let list = self.clone();
        spawn_local(async move {
            // Who needs it tries again.
            if let Ok(Some(manifest)) = list.taker.objects.manifest(&told.payload).await {
                list.is_told(manifest);
            }
        });
    }

    fn is_told(self: &Rc<Self>, manifest: Manifest) {
        let is_dropped = manifest.closed.contains(&manifest.job);
        if is_dropped || self.jobs.borrow().contains_key(&manifest.job) {
            return;
        }
        let Some(job) = self.add(manifest) else {
            return;
        };
        if self.has_all(&job) {
            // Its pieces need not wait for it.
            let _ = job.ready.set(());
            return;
        }
        let list = self.clone();
        spawn_local(async move {
            let _ = list.prepare(&job).await;
        });
    }

    /// Whether what engines need for a job is here, as it is for a map in a loop.
    fn has_all(&self, job: &Job) -> bool {
        let manifest = &job.manifest;
        let contents = self.contents.borrow();
        let captures = job.captures().map(|hash| (hash, false));
        let mut named = captures.into_iter().chain([(manifest.artifact, true)]);
        let libraries = manifest.libraries.iter();
        named.all(|it| contents.contains_key(&it))
            && libraries.copied().all(|it| self.shelf.has(it))
    }

    fn add(&self, manifest: Manifest) -> Option<Rc<Job>> {
        if self.stopped.borrow().contains(&manifest.job) {
            return None;
        }
        let number = manifest.job;
        let job = Rc::new(Job {
            manifest,
            ready: OnceCell::new(),
        });
        self.jobs.borrow_mut().insert(number, job.clone());
        Some(job)
    }

    /// A job, when it is wanted.
    pub(super) async fn job(&self, number: JobId) -> io::Result<Option<Rc<Job>>> {
        let known = self.jobs.borrow().get(&number).cloned();
        if known.is_some() || self.stopped.borrow().contains(&number) {
            return Ok(known);
        }
        let manifest = self.taker.manifest(number).await?;
        let known = self.jobs.borrow().get(&number).cloned();
        Ok(known.or_else(|| self.add(manifest?)))
    }

    /// Sees to it that what engines need for a job is here.
    pub(super) async fn prepare(&self, job: &Job) -> io::Result<()> {
        let fetched = || self.fetch(&job.manifest, job.captures());
        job.ready.get_or_try_init(fetched).await?;
        Ok(())
    }

    async fn fetch(&self, manifest: &Manifest, captures: Option<u128>) -> io::Result<()> {
        for library in &manifest.libraries {
            if self.shelf.has(*library) {
                continue;
            }
            let bytes = self.taker.objects.get(*library).await?;
            if let Some(library) = self.shelf.add(&bytes)? {
                for seat in self.seats.borrow().values() {
                    seat.hand.send(&ToEngine::Library, &library);
                }
            }
        }
        self.fetch_one(manifest.artifact, true).await?;
        if let Some(hash) = captures {
            self.fetch_one(hash, false).await?;
        }
        Ok(())
    }

    async fn fetch_one(&self, content: u128, is_file: bool) -> io::Result<Payload> {
        if let Some(known) = self.contents.borrow().get(&(content, is_file)) {
            return Ok(known.clone());
        }
        let bytes = self.taker.objects.get(content).await?;
        let payload = match is_file {
            true => carry::in_memory(&bytes)?,
            false => Payload::of(bytes)?,
        };
        let named = (content, is_file);
        self.contents.borrow_mut().insert(named, payload.clone());
        Ok(payload)
    }

    /// The open file of an artifact that jobs run.
    pub fn artifact(&self, content: u128) -> Option<Payload> {
        self.contents.borrow().get(&(content, true)).cloned()
    }

    /// The same of one that only the server has.
    pub async fn fetch_artifact(&self, content: u128) -> io::Result<Payload> {
        self.fetch_one(content, true).await
    }

    /// Whether engines need these captured values for a job.
    pub fn needs(&self, captures: u128) -> bool {
        let jobs = self.jobs.borrow();
        jobs.values().any(|job| job.captures() == Some(captures))
    }

    /// Whether a job runs this artifact.
    fn runs(&self, artifact: u128) -> bool {
        let jobs = self.jobs.borrow();
        jobs.values().any(|job| job.manifest.artifact == artifact)
    }

    /// No more of a job is done. `told`: what is being done will be told of; otherwise nobody wants to know. Gives the pieces
    /// that will be told of.
    pub fn stop(self: &Rc<Self>, number: JobId, told: bool) -> Vec<u32> {
        {
            let mut stopped = self.stopped.borrow_mut();
            if stopped.len() >= REMEMBERED {
                stopped.clear();
            }
            stopped.insert(number);
        }
        let of_it = |held: &Rc<Held>| held.taken.job == number;
        let mut dropped: VecDeque<Rc<Held>> = {
            let mut waiting = self.waiting.borrow_mut();
            let (gone, kept) = waiting.drain(..).partition(of_it);
            *waiting = kept;
            gone
        };
        let mut holding = Vec::new();
        for seat in self.seats.borrow().values() {
            let mut given = seat.given.iter().filter(|(held, _)| of_it(held)).peekable();
            if given.peek().is_some() {
                seat.hand.stop_job(number);
            }
            holding.extend(given.map(|(held, _)| held.taken.piece));
        }
        let unkept: Vec<(u64, Rc<Held>)> = {
            let given = self.given.borrow();
            let of_it = given.iter().filter(|(_, held)| of_it(held));
            of_it.map(|(at, held)| (*at, held.clone())).collect()
        };
        holding.extend(unkept.iter().map(|(_, held)| held.taken.piece));
        if !told {
            for (result, held) in unkept {
                self.taker.drop_result(result);
                self.given.borrow_mut().remove(&result);
                dropped.push_back(held);
            }
            self.forget(number);
        }
        let list = self.clone();
        spawn_local(async move {
            for held in dropped {
                list.done_with(&held).await;
            }
            // Nobody waits for what is at work. A session that is there, and does, ends it first.
            if told {
                sleep(2 * COUNTDOWN).await;
                list.end_items(number);
            }
        });
        holding
    }

    /// Engines that are still at an item of a job which is stopped are ended.
    fn end_items(&self, number: JobId) {
        for seat in self.seats.borrow().values() {
            let first = seat.given.front();
            let is_of_it = first.is_some_and(|(held, _)| held.taken.job == number);
            if is_of_it && seat.hand.at(number).is_some() {
                seat.hand.kill();
            }
        }
    }

    /// No job runs this artifact now. The last few stay: a map in a loop is of the same again.
    fn spare(&self, artifact: u128) {
        let mut spared = self.spared.borrow_mut();
        spared.retain(|other| *other != artifact);
        spared.push_back(artifact);
        if spared.len() > SPARED
            && let Some(oldest) = spared.pop_front()
            && !self.runs(oldest)
        {
            self.contents.borrow_mut().remove(&(oldest, true));
        }
    }

    /// Engines forget a job, and its captured values unless others need them.
    fn forget(&self, number: JobId) {
        self.unread.borrow_mut().remove(&number);
        let Some(job) = self.jobs.borrow_mut().remove(&number) else {
            return;
        };
        let unneeded = job.captures().filter(|hash| !self.needs(*hash));
        if let Some(hash) = unneeded {
            self.contents.borrow_mut().remove(&(hash, false));
        }
        let artifact = job.manifest.artifact;
        if !self.runs(artifact) {
            self.spare(artifact);
        }
        for seat in self.seats.borrow_mut().values_mut() {
            if seat.told.remove(&number) {
                let over = ToEngine::JobOver { job: number };
                seat.hand.send(&over, &Payload::None);
            }
            if let Some(hash) = unneeded
                && seat.captures.remove(&hash)
                && !self.shelf.is_named(hash)
            {
                let forget = ToEngine::ForgetCapture { hash };
                seat.hand.send(&forget, &Payload::None);
            }
        }
    }
}
