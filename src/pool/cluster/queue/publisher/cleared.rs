//! Jobs that are not wanted any more: what is left of them on the server goes, and nodes stop.

use std::collections::BTreeSet;
use std::rc::Rc;

use tokio::task::spawn_local;

use super::super::line::Told;
use super::super::objects::other;
use super::{Publisher, patiently};
use crate::ids::JobId;

impl Publisher {
    /// What no node has taken of a job goes; then nodes are asked what they have.
    pub(super) fn empty(self: &Rc<Self>, number: JobId) {
        self.forget_messages(number);
        let publisher = self.clone();
        spawn_local(async move {
            let subject = publisher.names.work_of(number);
            let purge = || publisher.purge(publisher.names.works(), &subject);
            // Who does not hear of it stops with the job's end.
            let _ = patiently(purge).await;
            let _ = publisher.stops.send((number, true));
        });
    }

    /// These nodes were asked what they have of a job.
    pub fn asks(&self, number: JobId, nodes: BTreeSet<String>) {
        if let Some(job) = self.job(number) {
            *job.asked.borrow_mut() = Some((nodes, Vec::new()));
            self.look_at_asked(number);
        }
    }

    /// A node has these pieces of a job.
    pub fn holds(&self, number: JobId, node: &str, pieces: &[u32]) {
        if let Some(job) = self.job(number) {
            if let Some((nodes, holding)) = &mut *job.asked.borrow_mut()
                && nodes.remove(node)
            {
                holding.extend_from_slice(pieces);
            }
            self.look_at_asked(number);
        }
    }

    /// A node is gone, with what it has.
    pub fn without(&self, node: &str) {
        let jobs: Vec<JobId> = self.jobs.borrow().keys().copied().collect();
        for job in jobs {
            self.holds(job, node, &[]);
        }
    }

    fn look_at_asked(&self, number: JobId) {
        let Some(job) = self.job(number) else { return };
        let told = job
            .asked
            .borrow_mut()
            .take_if(|(nodes, _)| nodes.is_empty());
        if let Some((_, pieces)) = told {
            job.ear.tell(Told::Holding(pieces));
        }
    }

    fn forget_messages(&self, number: JobId) {
        let mut all = self.unacknowledged.borrow_mut();
        all.retain(|_, kept| kept.job != number);
    }

    /// Nothing of a job stays.
    pub(super) fn close(self: &Rc<Self>, number: JobId) {
        self.forget_messages(number);
        let job = self.take_job(number);
        self.formers.forget(number);
        let _ = self.stops.send((number, false));
        let publisher = self.clone();
        spawn_local(async move {
            let names = &publisher.names;
            for (stream, subject) in [
                (names.works(), names.work_of(number)),
                (names.results(), names.kept_of(number)),
                (names.jobs(), names.job(number)),
            ] {
                // What stays goes with the cluster.
                let _ = patiently(|| publisher.purge(stream.clone(), &subject)).await;
            }
            let large = match job {
                Some(job) => job.large.take(),
                None => { publisher.objects.large_of(number).await }.unwrap_or_default(),
            };
            for name in large {
                let _ = publisher.objects.drop_large(&name).await;
            }
        });
    }

    async fn purge(&self, stream: String, subject: &str) -> std::io::Result<()> {
        let stream = self.jetstream.get_stream_no_info(stream).await;
        let stream = stream.map_err(other)?;
        stream.purge().filter(subject).await.map_err(other)?;
        Ok(())
    }
}
