//! What is too large for a message, in the object stores of a cluster: written once, and read by whoever has its name. A reader
//! asks the stream for its parts: nodes may make no consumers, which are the server's to keep.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Display;
use std::io;
use std::time::Duration;

use async_nats::header::NATS_ROLLUP;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::PublishAckFuture;
use async_nats::jetstream::object_store::{InfoErrorKind, ObjectInfo, ObjectOptions, ObjectStore};
use async_nats::{Client, HeaderMap, Message, StatusCode, Subject};
use bytes::Bytes;
use data_encoding::BASE64URL;
use futures_util::TryStreamExt as _;
use futures_util::future::try_join_all;
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::schema::{Large, Manifest, Names, Stored, content, large_object, object, record};
use crate::ids::JobId;
use crate::pool::cluster::aside::aside;

/// Bytes of an object's part: each is a message.
const PART_LENGTH: usize = 512 * 1024;

/// How long the next part of an object may take.
const PART: Duration = Duration::from_secs(5);

/// Parts that are under way at once: what else goes this way, such as that a node lives, waits behind them.
const AHEAD: usize = 8;

/// In the answer to a direct question: the place of the message in its stream.
const SEQUENCE: &str = "Nats-Sequence";

pub struct Objects {
    client: Client,
    jetstream: Context,
    names: Names,
    /// By content, and large records.
    contents: OnceCell<ObjectStore>,
    large: OnceCell<ObjectStore>,
    /// Of parts to the server, and from there.
    room: [Semaphore; 2],
}

impl Objects {
    pub fn new(client: Client, jetstream: Context, names: Names) -> Self {
        Self {
            client,
            jetstream,
            names,
            contents: OnceCell::new(),
            large: OnceCell::new(),
            room: [AHEAD; 2].map(Semaphore::new),
        }
    }

    async fn contents(&self) -> io::Result<&ObjectStore> {
        let opened = || open(&self.jetstream, self.names.objects());
        self.contents.get_or_try_init(opened).await
    }

    async fn large(&self) -> io::Result<&ObjectStore> {
        let opened = || open(&self.jetstream, self.names.large());
        self.large.get_or_try_init(opened).await
    }

    pub async fn put(&self, content: u128, bytes: &Bytes) -> io::Result<()> {
        // Whoever was here before has put it, if it is whole still.
        if self.get(content).await.is_ok_and(|there| there == *bytes) {
            return Ok(());
        }
        let (bucket, name) = (self.names.objects(), object(content));
        let before = { self.contents().await?.info(&name).await }.ok();
        let content = content_of(bytes).await;
        self.write(bucket.clone(), name, content, bytes).await?;
        // What is left of a damaged one goes.
        if let Some(before) = before {
            self.purge(&bucket, &before.nuid).await?;
        }
        Ok(())
    }

    pub async fn get(&self, content: u128) -> io::Result<Vec<u8>> {
        let (store, bucket) = (self.contents().await?, self.names.objects());
        self.read(store, &bucket, &object(content), None).await
    }

    /// No job needs it any more.
    pub async fn drop_content(&self, content: u128) -> io::Result<()> {
        { self.contents().await?.delete(object(content)).await }.map_err(other)
    }

    /// Stores a large record, which these bytes are.
    pub async fn put_large(&self, large: &Large, bytes: &Bytes) -> io::Result<()> {
        let (bucket, name) = (self.names.large(), large.name.clone());
        self.write(bucket, name, large.content, bytes).await
    }

    /// Writes an object that says what its content is. The crate's own waits for each part to be stored before it sends the next.
    async fn write(
        &self,
        bucket: String,
        name: String,
        content: u128,
        bytes: &Bytes,
    ) -> io::Result<()> {
        let inbox = self.client.new_inbox();
        let nuid = inbox.rsplit('.').next().unwrap_or_default().to_owned();
        let parts = Subject::from(parts(&bucket, &nuid));
        let mut under_way = VecDeque::new();
        let mut chunks = 0;
        for begin in (0..bytes.len()).step_by(PART_LENGTH) {
            let part = bytes.slice(begin..bytes.len().min(begin + PART_LENGTH));
            // Those of this object make room themselves.
            let room = loop {
                match (self.room[0].try_acquire(), under_way.pop_front()) {
                    (Ok(room), None) => break room,
                    (Ok(room), Some(first)) => {
                        under_way.push_front(first);
                        break room;
                    }
                    (Err(_), Some(first)) => is_stored(first).await?,
                    (Err(_), None) => break self.room[0].acquire().await.map_err(other)?,
                }
            };
            let sent = self.jetstream.publish(parts.clone(), part).await;
            under_way.push_back((sent.map_err(other)?, room));
            chunks += 1;
        }
        for sent in under_way {
            is_stored(sent).await?;
        }
        let subject = format!("$O.{bucket}.M.{}", BASE64URL.encode(name.as_bytes()));
        let about = ObjectInfo {
            name,
            description: Some(object(content)),
            metadata: HashMap::new(),
            headers: None,
            options: Some(ObjectOptions {
                link: None,
                max_chunk_size: Some(PART_LENGTH),
            }),
            bucket,
            nuid,
            size: bytes.len(),
            chunks,
            modified: None,
            digest: None,
            deleted: false,
        };
        // The one before it goes.
        let mut headers = HeaderMap::new();
        headers.insert(NATS_ROLLUP, "sub");
        let about = serde_json::to_vec(&about)?.into();
        let told = self
            .jetstream
            .publish_with_headers(subject, headers, about)
            .await;
        told.map_err(other)?.await.map_err(other)?;
        Ok(())
    }

    pub async fn get_large(&self, large: &Large) -> io::Result<Vec<u8>> {
        let (store, bucket) = (self.large().await?, self.names.large());
        {
            self.read(store, &bucket, &large.name, Some(large.content))
                .await
        }
    }

    /// The manifest that a message has, or names; `None` when it is something else.
    pub async fn manifest(&self, message: &[u8]) -> io::Result<Option<Manifest>> {
        Ok(match Stored::read(message) {
            Ok(Stored::Here(manifest)) => Some(manifest),
            Ok(Stored::Object(large)) => record(&self.get_large(&large).await?).ok(),
            Err(_) => None,
        })
    }

    /// The names of a job's large records.
    pub async fn large_of(&self, job: JobId) -> io::Result<Vec<String>> {
        let prefix = large_object(job, "");
        let list = self.large().await?.list().await.map_err(other)?;
        let names = list.map_ok(|about| about.name).map_err(other);
        let names: Vec<String> = names.try_collect().await?;
        Ok(names
            .into_iter()
            .filter(|name| name.starts_with(&prefix))
            .collect())
    }

    /// Its parts first: what is deleted is listed no more.
    pub async fn drop_large(&self, name: &str) -> io::Result<()> {
        let store = self.large().await?;
        let about = store.info(name).await.map_err(other)?;
        self.purge(&self.names.large(), &about.nuid).await?;
        store.delete(name).await.map_err(other)
    }

    /// The parts of an object go.
    async fn purge(&self, bucket: &str, nuid: &str) -> io::Result<()> {
        let stream = format!("OBJ_{bucket}");
        let stream = self.jetstream.get_stream_no_info(stream).await;
        let parts = parts(bucket, nuid);
        let purged = stream.map_err(other)?.purge().filter(parts).await;
        purged.map_err(other)?;
        Ok(())
    }

    /// What is read is what was written: its content is compared with what the object says, and with what is `expected`. What is
    /// said of its length is believed as far as so much comes.
    async fn read(
        &self,
        store: &ObjectStore,
        bucket: &str,
        name: &str,
        expected: Option<u128>,
    ) -> io::Result<Vec<u8>> {
        let about = store.info(name).await.map_err(|error| match error.kind() {
            InfoErrorKind::NotFound => io::ErrorKind::NotFound.into(),
            _ => other(error),
        })?;
        if about.deleted {
            return Err(io::ErrorKind::NotFound.into());
        }
        let stream = format!("$JS.API.DIRECT.GET.OBJ_{bucket}");
        let subject = parts(bucket, &about.nuid);
        let mut parts = BTreeMap::new();
        let mut next = 1;
        while parts.len() < about.chunks {
            // Where the first one lies is not known; the others follow it, perhaps with others' in between.
            let ahead = match parts.len() {
                0 => 1,
                there => AHEAD.min(about.chunks - there),
            };
            let from = (next..).take(ahead);
            let asked = from.map(|from| self.part(&stream, &subject, from));
            let came = try_join_all(asked).await?;
            let before = parts.len();
            next += ahead as u64;
            for (at, part) in came.into_iter().flatten() {
                next = next.max(at + 1);
                parts.insert(at, part.payload);
            }
            if parts.len() == before {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let parts: Vec<Bytes> = parts.into_values().collect();
        let length = parts.iter().map(Bytes::len).sum();
        let whole = move || {
            let bytes = parts.concat();
            let content = content(&bytes);
            (bytes, content)
        };
        let (bytes, content) = aside(length, whole).await;
        let is_whole = about.description == Some(object(content));
        match is_whole && expected.is_none_or(|expected| expected == content) {
            true => Ok(bytes),
            // It is not what was stored.
            false => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// The first part of an object that lies from there on in the stream, and where.
    async fn part(
        &self,
        stream: &str,
        subject: &str,
        from: u64,
    ) -> io::Result<Option<(u64, Message)>> {
        let _room = self.room[1].acquire().await.map_err(other)?;
        let question = serde_json::json!({ "seq": from, "next_by_subj": subject }).to_string();
        let asked = self.client.request(stream.to_owned(), question.into());
        // The server may have been started again since: what it was to send does not come then.
        let answer = timeout(PART, asked).await?.map_err(other)?;
        match answer.status {
            Some(StatusCode::NOT_FOUND) => return Ok(None),
            Some(status) if status != StatusCode::OK => return Err(other(status)),
            _ => {}
        }
        let headers = answer.headers.as_ref();
        let at = headers.and_then(|all| all.get(SEQUENCE)?.as_str().parse().ok());
        match at {
            Some(at) => Ok(Some((at, answer))),
            None => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Waits for a part's acknowledgement; then there is room for another.
async fn is_stored((sent, _room): (PublishAckFuture, SemaphorePermit<'_>)) -> io::Result<()> {
    sent.await.map_err(other)?;
    Ok(())
}

/// What names the content of these bytes; of many it is found beside the thread.
pub async fn content_of(bytes: &Bytes) -> u128 {
    let bytes = bytes.clone();
    aside(bytes.len(), move || content(&bytes)).await
}

/// The subject of an object's parts.
fn parts(bucket: &str, nuid: &str) -> String {
    format!("$O.{bucket}.C.{nuid}")
}

async fn open(jetstream: &Context, bucket: String) -> io::Result<ObjectStore> {
    jetstream.get_object_store(bucket).await.map_err(other)
}

/// Whether what could not be read is damaged, or not there: it stays so.
pub fn is_damaged(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
    matches!(error.kind(), InvalidData | NotFound | UnexpectedEof)
}

pub fn other(error: impl Display) -> io::Error {
    io::Error::other(error.to_string())
}
