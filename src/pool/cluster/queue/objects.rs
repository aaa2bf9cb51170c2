//! What is too large for a message, in the object stores of a cluster: written once, and read by whoever has its name. A reader
//! asks the stream for its parts: nodes may make no consumers, by which the server would send somebody else what is stored.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::object_store::{ObjectMetadata, ObjectStore};
use async_nats::{Client, Message, StatusCode};
use futures_util::TryStreamExt as _;
use futures_util::future::try_join_all;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::schema::{Large, Manifest, Names, Stored, content, large_object, object, record};
use crate::ids::JobId;

/// Bytes of an object's part: each is a message, and waits for the one before it to be stored.
const PART_LENGTH: usize = 512 * 1024;

/// How long the next part of an object may take.
const PART: Duration = Duration::from_secs(5);

/// Parts that are asked for at once.
const AHEAD: usize = 32;

/// In the answer to a direct question: the place of the message in its stream.
const SEQUENCE: &str = "Nats-Sequence";

pub struct Objects {
    client: Client,
    jetstream: Context,
    names: Names,
    /// By content, and large records.
    contents: OnceCell<ObjectStore>,
    large: OnceCell<ObjectStore>,
}

impl Objects {
    pub fn new(client: Client, jetstream: Context, names: Names) -> Self {
        Self {
            client,
            jetstream,
            names,
            contents: OnceCell::new(),
            large: OnceCell::new(),
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

    pub async fn put(&self, content: u128, bytes: &[u8]) -> io::Result<()> {
        // Whoever was here before has put it, if it is whole still.
        if self.get(content).await.is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        write(self.contents().await?, object(content), bytes).await
    }

    pub async fn get(&self, content: u128) -> io::Result<Vec<u8>> {
        let (store, bucket) = (self.contents().await?, self.names.objects());
        self.read(store, &bucket, &object(content), None).await
    }

    /// No job needs it any more.
    pub async fn drop_content(&self, content: u128) -> io::Result<()> {
        { self.contents().await?.delete(object(content)).await }.map_err(other)
    }

    /// Stores a large record; what names it from then on.
    pub async fn put_large(&self, name: String, bytes: &[u8]) -> io::Result<Large> {
        write(self.large().await?, name.clone(), bytes).await?;
        let content = content(bytes);
        Ok(Large { name, content })
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

    pub async fn drop_large(&self, name: &str) -> io::Result<()> {
        { self.large().await?.delete(name).await }.map_err(other)
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
        let about = store.info(name).await.map_err(other)?;
        if about.deleted {
            return Err(io::ErrorKind::NotFound.into());
        }
        let stream = format!("$JS.API.DIRECT.GET.OBJ_{bucket}");
        let subject = format!("$O.{bucket}.C.{}", about.nuid);
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
        let bytes: Vec<u8> = parts.into_values().flatten().collect();
        let content = content(&bytes);
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

async fn open(jetstream: &Context, bucket: String) -> io::Result<ObjectStore> {
    jetstream.get_object_store(bucket).await.map_err(other)
}

/// Writes an object that says what its content is.
async fn write(store: &ObjectStore, name: String, mut bytes: &[u8]) -> io::Result<()> {
    let about = ObjectMetadata {
        name,
        description: Some(object(content(bytes))),
        chunk_size: Some(PART_LENGTH),
        ..ObjectMetadata::default()
    };
    { store.put(about, &mut bytes).await }.map_err(other)?;
    Ok(())
}

pub fn other(error: impl Display) -> io::Error {
    io::Error::other(error.to_string())
}
