//! Jobs that are not wanted any more: what is left of them on the server goes, and nodes stop.

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use futures_util::TryStreamExt as _;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::super::line::Told;
use super::super::objects::other;
use super::super::patience::patiently;
use super::super::schema::Manifest;
use super::swept::Which;
use super::{Ask, GLANCE, Job, Kept, Publisher};
use crate::ids::JobId;
use crate::outcome::NodeFault;
use crate::pool::QueueFault;

/// Large records that are deleted at once.
const AT_ONCE: usize = 16;

/// What comes now takes the place of what the server has not taken: sent again, that would take the place of this.
fn forget_subject(unacknowledged: &mut BTreeMap<u64, Kept>, subject: &str) {
    unacknowledged.retain(|_, kept| kept.subject != subject);
}

impl Publisher {
    /// What no node has taken of a job goes; then nodes are asked what they have. Later sessions find one that is none of this
    /// session's maps cancelled.
    pub(super) fn empty(self: &Rc<Self>, number: JobId) {
        self.forget_messages(number);
        if let Some(job) = self.job(number) {
            job.is_emptied.set(true);
        }
        self.goes_by_itself(async move |publisher: Rc<Self>| {
            if !publisher.still_has().await {
                return;
            }
            publisher.is_taken(number).await;
            let former = publisher.formers.get(number);
            if let Some(former) = former.filter(|it| it.unknown.is_none()) {
                // Without it, they find what there is of it.
                let _ = publisher.tell_of(&former.manifest).await;
            }
            let subject = publisher.names.work_of(number);
            let purge = || publisher.purge(publisher.names.works(), &subject);
            // Who does not hear of it stops with the job's end.
            let _ = patiently(purge).await;
            publisher.ask(Ask::Stop(number, true));
        });
    }

    /// An item of a job has no result.
    pub(in super::super) fn has_failed(self: &Rc<Self>, number: JobId) {
        match self.job(number) {
            Some(job) => job.has_failed.set(true),
            None if self.formers.failed(number) => self.stops(number),
            None => {}
        }
    }

    /// No more is done of a job that is none of this session's maps.
    pub(in super::super) fn stops(self: &Rc<Self>, number: JobId) {
        self.goes_by_itself(async move |publisher: Rc<Self>| {
            if publisher.still_has().await {
                let subject = publisher.names.work_of(number);
                let purge = || publisher.purge(publisher.names.works(), &subject);
                // Nodes do nothing of what stays.
                let _ = patiently(purge).await;
                publisher.ask(Ask::Stop(number, true));
            }
        });
    }

    /// No later job gets this number, also when nodes hear of its end alone: they would do nothing of another one.
    pub(super) async fn is_taken(&self, number: JobId) {
        self.formers.takes(number);
        if self.told.get() < number {
            // What earlier sessions have had is higher, perhaps.
            let highest = self.formers.highest();
            self.knows(highest);
            let digits = highest.to_string().into_bytes();
            forget_subject(&mut self.unacknowledged.borrow_mut(), &self.names.highest());
            self.publish(JobId(0), self.names.highest(), digits.into(), 0)
                .await;
        }
    }

    /// The server has this as the highest number.
    pub(in super::super) fn knows(&self, highest: JobId) {
        self.told.set(self.told.get().max(highest));
    }

    /// Another session has the cluster, or nobody: from now on nothing on the server is this one's to change.
    pub fn lose(&self, why: &NodeFault) {
        *self.lost.borrow_mut() = Some(why.clone());
        let all: Vec<JobId> = self.jobs.borrow().keys().copied().collect();
        for job in all.into_iter().filter_map(|number| self.take_job(number)) {
            let fault = QueueFault::Server(why.to_string());
            job.ear.tell(Told::Failed(fault));
        }
        self.unacknowledged.borrow_mut().clear();
        self.formers.lose();
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.borrow().is_some()
    }

    /// Whether what is on the server is this session's to change. One that stood still may not have been told that it is not.
    pub(super) async fn still_has(&self) -> bool {
        if self.is_lost() {
            return false;
        }
        let Some(epoch) = self.epoch else {
            return true;
        };
        let last = self
            .reader
            .last(self.names.jobs(), &self.names.epoch())
            .await;
        let last = last.and_then(|it| std::str::from_utf8(&it.payload).ok()?.parse::<u64>().ok());
        last.is_none_or(|last| last <= epoch)
    }

    /// Whether there were any.
    fn forget_messages(&self, number: JobId) -> bool {
        let mut all = self.unacknowledged.borrow_mut();
        let before = all.len();
        all.retain(|_, kept| kept.job != number);
        all.len() < before
    }

    /// Nothing of a job stays.
    pub(super) fn close(self: &Rc<Self>, number: JobId) {
        let is_told = !self.forget_messages(number);
        let job = self.take_job(number);
        // All of one like this is on the server, all that nodes had of it is done, and nothing of it takes room.
        let is_slight = |job: &Job| {
            let (is_done, is_small) = (job.open.borrow().is_empty(), job.large.borrow().is_empty());
            let is_whole = job.is_prepared.get() && is_told && !job.is_emptied.get();
            is_done && is_small && is_whole && job.manifest.borrow().captures().is_none()
        };
        if job.as_deref().is_some_and(is_slight) {
            return self.closes(number);
        }
        let former = self.formers.forget(number);
        let manifest = job.as_ref().map(|job| job.manifest.borrow().clone());
        self.goes(number, manifest.or(former), job);
    }

    /// What the server has of a job goes, last of all that there was one: what a session does not come to, the next one does.
    pub(in super::super) fn goes(
        self: &Rc<Self>,
        number: JobId,
        manifest: Option<Manifest>,
        job: Option<Rc<Job>>,
    ) {
        let captures = manifest.as_ref().and_then(Manifest::captures);
        let unneeded = captures.filter(|content| !self.needs(*content));
        self.goes_by_itself(async move |publisher: Rc<Self>| {
            if !publisher.still_has().await {
                return;
            }
            publisher.is_taken(number).await;
            publisher.ask(Ask::Stop(number, false));
            // Otherwise all that there is was heard of, and all of it is small.
            let has_large = job.is_none_or(|job| {
                let is_small = job.large.borrow().is_empty();
                !is_small || !job.open.borrow().is_empty()
            });
            if let Some(mut manifest) = manifest.filter(|_| has_large) {
                // As little as it can be: it has to fit into a message.
                manifest.closed = vec![number];
                (manifest.source, manifest.places) = Default::default();
                manifest.definitions.clear();
                manifest.libraries.clear();
                let _ = publisher.tell_of(&manifest).await;
            }
            let names = &publisher.names;
            for (stream, subject) in [
                (names.works(), names.work_of(number)),
                (names.results(), names.kept_of(number)),
            ] {
                // What stays goes with the cluster.
                let _ = patiently(|| publisher.purge(stream.clone(), &subject)).await;
            }
            if let Some(content) = unneeded {
                publisher.spares(content).await;
            }
            let is_gone = !has_large || publisher.drop_all_large(number).await.is_ok();
            if is_gone {
                let (jobs, subject) = (names.jobs(), names.job(number));
                let _ = patiently(|| publisher.purge(jobs.clone(), &subject)).await;
            }
        });
    }

    /// Does something that the session's end waits for, for a while.
    fn goes_by_itself(self: &Rc<Self>, what: impl AsyncFnOnce(Rc<Self>) + 'static) {
        self.going.set(self.going.get() + 1);
        let publisher = self.clone();
        spawn_local(async move {
            what(publisher.clone()).await;
            publisher.going.set(publisher.going.get() - 1);
        });
    }

    async fn drop_all_large(&self, number: JobId) -> io::Result<()> {
        let names = patiently(|| self.objects.large_of(number)).await?;
        let all = futures_util::stream::iter(names.into_iter().map(Ok));
        let drop_one = async |name: String| self.objects.drop_large(&name).await;
        all.try_for_each_concurrent(AT_ONCE, drop_one).await
    }

    /// Waits until nothing is left on the server of the jobs that were closed.
    pub async fn until_dropped(&self) {
        self.sweep(Which::All).await;
        while self.going.get() > 0 && !self.is_lost() {
            sleep(GLANCE).await;
        }
    }

    /// No job needs these captured values now.
    async fn spares(&self, content: u128) {
        let gone = self.contents.borrow_mut().spares(content);
        for content in gone {
            self.forget_content(content).await;
        }
    }

    /// Whether a job is run with these captured values.
    fn needs(&self, captures: u128) -> bool {
        let is_it = |manifest: &Manifest| manifest.captures() == Some(captures);
        let jobs = self.jobs.borrow();
        self.formers.any(is_it) || jobs.values().any(|job| is_it(&job.manifest.borrow()))
    }

    /// The server needs captured values no more. A job that begins meanwhile with the same waits, and gives them anew.
    async fn forget_content(&self, content: u128) {
        if self.needs(content) || !self.dropped.borrow_mut().insert(content) {
            return;
        }
        self.contents.borrow_mut().forget(content);
        // What stays goes with the cluster.
        let _ = self.objects.drop_content(content).await;
        self.dropped.borrow_mut().remove(&content);
    }

    pub(super) async fn purge(&self, stream: String, subject: &str) -> io::Result<()> {
        let stream = self.jetstream.get_stream_no_info(stream).await;
        let stream = stream.map_err(other)?;
        stream.purge().filter(subject).await.map_err(other)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_number_that_the_server_refused_is_not_sent_behind_a_higher_one() {
        let of = |subject: &str| Kept::of(JobId(0), subject.to_owned(), Bytes::new());
        let mut all = BTreeMap::from([(1, of("highest")), (2, of("work")), (3, of("highest"))]);
        forget_subject(&mut all, "highest");
        all.insert(4, of("highest"));
        assert_eq!(all.into_keys().collect::<Vec<_>>(), [2, 4]);
    }
}
