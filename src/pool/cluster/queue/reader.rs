//! What streams have, read: after the server was gone, of jobs that earlier sessions have left, and their results.

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use async_nats::Message;
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::time::timeout;

use super::objects::{Objects, is_damaged, other};
use super::schema::{Done, Names, Results, Stored, record};
use crate::ids::JobId;
use crate::pool::cluster::PATIENCE;

/// Messages that are read at once.
const BATCH: usize = 256;
const BATCH_OF_NAMES: usize = 8192;

/// Messages whose subjects the server lists in no time.
const MANY: u64 = 200_000;

/// Reads what is on the server of a cluster, and changes nothing there.
pub struct Reader {
    jetstream: Context,
    pub(super) names: Names,
    pub(super) objects: Rc<Objects>,
}

impl Reader {
    pub fn new(jetstream: Context, names: Names, objects: Rc<Objects>) -> Self {
        Self {
            jetstream,
            names,
            objects,
        }
    }

    /// What a stream has under these subjects.
    pub async fn read_all(&self, stream: String, filter: String) -> io::Result<Vec<Message>> {
        self.read(stream, filter, false).await
    }

    /// The same, or what they are called alone.
    async fn read(
        &self,
        stream: String,
        filter: String,
        headers_only: bool,
    ) -> io::Result<Vec<Message>> {
        let at_once = match headers_only {
            true => BATCH_OF_NAMES,
            false => BATCH,
        };
        let stream = { self.jetstream.get_stream(stream).await }.map_err(other)?;
        let mut all = Vec::new();
        if stream.cached_info().state.messages == 0 {
            return Ok(all);
        }
        let consumer = pull::Config {
            filter_subject: filter,
            ack_policy: AckPolicy::None,
            inactive_threshold: PATIENCE,
            headers_only,
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(consumer).await.map_err(other)?;
        loop {
            let batch = consumer.fetch().max_messages(at_once).messages().await;
            let mut batch = batch.map_err(other)?;
            let before = all.len();
            // A server that was started again since knows nothing of it.
            while let Some(message) = timeout(PATIENCE, batch.next()).await? {
                all.push(message.map_err(other)?.message);
            }
            if all.len() - before < at_once {
                return Ok(all);
            }
        }
    }

    /// The subjects of a stream's messages, of those that this filter names.
    pub async fn subjects(&self, stream: String, filter: String) -> io::Result<Vec<String>> {
        let all = self.fewer_subjects(stream, filter, u64::MAX).await?;
        Ok(all.unwrap_or_default())
    }

    /// The same; `None` when the stream has more messages than that.
    async fn fewer_subjects(
        &self,
        stream: String,
        filter: String,
        most: u64,
    ) -> io::Result<Option<Vec<String>>> {
        let stream = { self.jetstream.get_stream(stream).await }.map_err(other)?;
        match stream.cached_info().state.messages {
            0 => return Ok(Some(Vec::new())),
            messages if messages > most => return Ok(None),
            _ => {}
        }
        let all = stream.info_with_subjects(filter).await.map_err(other)?;
        let all: BTreeMap<String, usize> = all.try_collect().await.map_err(other)?;
        Ok(Some(all.into_keys().collect()))
    }

    /// The subjects of all pieces that wait; `None` when they are many.
    pub async fn works_there(&self) -> io::Result<Option<Vec<String>>> {
        let (works, all) = (self.names.works(), self.names.all_work());
        self.fewer_subjects(works, all, MANY).await
    }

    /// The subjects of the results.
    pub async fn results_there(&self) -> io::Result<Vec<String>> {
        let (results, all) = (self.names.results(), self.names.all_results());
        let few = self.fewer_subjects(results.clone(), all.clone(), MANY);
        match few.await? {
            Some(subjects) => Ok(subjects),
            None => {
                let all = self.read(results, all, true).await?;
                Ok(all.into_iter().map(|it| it.subject.to_string()).collect())
            }
        }
    }

    /// How many pieces of a job were queued, when some of them wait.
    pub async fn queued_of(&self, job: JobId) -> u32 {
        let (works, subject) = (self.names.works(), self.names.work_of(job));
        let last = self.last(works, &subject).await;
        let last = last.and_then(|it| Names::piece_of(&it.subject));
        last.map_or(0, |(_, piece)| piece + 1)
    }

    /// A stream's last message of a subject.
    pub async fn last(&self, stream: String, subject: &str) -> Option<StreamMessage> {
        let stream = self.jetstream.get_stream_no_info(stream).await.ok()?;
        stream.get_last_raw_message_by_subject(subject).await.ok()
    }

    /// Whether the server says that there is no job of this number.
    pub async fn is_without_manifest(&self, job: JobId) -> bool {
        let Ok(stream) = self.jetstream.get_stream_no_info(self.names.jobs()).await else {
            return false;
        };
        let subject = self.names.job(job);
        let last = stream.get_last_raw_message_by_subject(&subject).await;
        last.is_err_and(|error| error.kind() == LastRawMessageErrorKind::NoMessageFound)
    }

    /// When the last result of a job came, since 1970.
    pub async fn last_of(&self, job: JobId) -> Option<Duration> {
        let (results, subject) = (self.names.results(), self.names.results_of(job));
        let last = self.last(results, &subject).await?;
        let nanoseconds = u64::try_from(last.time.unix_timestamp_nanos()).ok()?;
        Some(Duration::from_nanos(nanoseconds))
    }

    /// The results of a job. Those of a piece that are damaged are not there; the others are.
    pub async fn results(&self, job: JobId) -> io::Result<Results> {
        let names = &self.names;
        let all = { self.read_all(names.results(), names.results_of(job)).await }?;
        let mut results = Results::default();
        for Message {
            subject, payload, ..
        } in all
        {
            let Some((_, piece)) = Names::piece_of(&subject) else {
                continue;
            };
            let done = match Stored::<Done>::read(&payload) {
                Ok(Stored::Here(done)) => Some(done),
                Ok(Stored::Object(large)) => match self.objects.get_large(&large).await {
                    Ok(bytes) => record(&bytes).ok(),
                    Err(error) if is_damaged(&error) => None,
                    Err(error) => return Err(error),
                },
                Err(_) => None,
            };
            results.add(piece, done);
        }
        Ok(results)
    }
}
