//! Jobs that are not wanted any more: what is left of them on the server goes, and nodes stop.

use std::rc::Rc;

use tokio::task::spawn_local;

use super::super::objects::other;
use super::{Ask, Publisher, patiently};
use crate::ids::JobId;

impl Publisher {
    /// What no node has taken of a job goes; then nodes are asked what they have.
    pub(super) fn empty(self: &Rc<Self>, number: JobId) {
        self.forget_messages(number);
        let publisher = self.clone();
        spawn_local(async move {
            publisher.is_taken(number).await;
            let subject = publisher.names.work_of(number);
            let purge = || publisher.purge(publisher.names.works(), &subject);
            // Who does not hear of it stops with the job's end.
            let _ = patiently(purge).await;
            let _ = publisher.stops.send(Ask::Stop(number, true));
        });
    }

    /// No later job gets this number, also when nodes hear of its end alone: they would do nothing of another one.
    pub(super) async fn is_taken(&self, number: JobId) {
        if self.formers.takes(number) {
            let digits = number.to_string().into_bytes();
            self.publish(JobId(0), self.names.highest(), digits, 0)
                .await;
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
        let publisher = self.clone();
        spawn_local(async move {
            publisher.is_taken(number).await;
            let _ = publisher.stops.send(Ask::Stop(number, false));
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
                // All that there is was heard of, and all of it is small.
                Some(job) if job.large.borrow().is_empty() && job.open.borrow().is_empty() => {
                    Vec::new()
                }
                _ => { publisher.objects.large_of(number).await }.unwrap_or_default(),
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
