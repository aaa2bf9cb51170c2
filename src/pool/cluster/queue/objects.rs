//! What is too large for a message, in the object stores of a cluster: written once, and read by whoever has its name.

use std::fmt::Display;
use std::io;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::object_store::ObjectStore;
use futures_util::TryStreamExt as _;
use tokio::io::AsyncReadExt as _;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::schema::{Names, large_object, object};
use crate::ids::JobId;

/// How long the next part of an object may take, which is of 128 KB.
const PART: Duration = Duration::from_secs(5);

pub struct Objects {
    jetstream: Context,
    names: Names,
    /// By content, and large records.
    contents: OnceCell<ObjectStore>,
    large: OnceCell<ObjectStore>,
}

impl Objects {
    pub fn new(jetstream: Context, names: Names) -> Self {
        Self {
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
        let name = object(content);
        let store = self.contents().await?;
        // Whoever was here before has put it, if it is whole still.
        let is_there = store.info(&name).await.is_ok_and(|about| !about.deleted);
        if is_there && read(store, &name).await.is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        write(store, &name, bytes).await
    }

    pub async fn get(&self, content: u128) -> io::Result<Vec<u8>> {
        read(self.contents().await?, &object(content)).await
    }

    pub async fn put_large(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        write(self.large().await?, name, bytes).await
    }

    pub async fn get_large(&self, name: &str) -> io::Result<Vec<u8>> {
        read(self.large().await?, name).await
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
}

async fn open(jetstream: &Context, bucket: String) -> io::Result<ObjectStore> {
    jetstream.get_object_store(bucket).await.map_err(other)
}

async fn write(store: &ObjectStore, name: &str, mut bytes: &[u8]) -> io::Result<()> {
    { store.put(name, &mut bytes).await }.map_err(other)?;
    Ok(())
}

/// What is read is what was written: the client compares its digest.
async fn read(store: &ObjectStore, name: &str) -> io::Result<Vec<u8>> {
    let mut found = store.get(name).await.map_err(other)?;
    let mut bytes = Vec::with_capacity(found.info().size);
    if found.info().size > 0 {
        // The server may have been started again since: what it was to send does not come then.
        while timeout(PART, found.read_buf(&mut bytes)).await?? > 0 {}
    }
    Ok(bytes)
}

pub fn other(error: impl Display) -> io::Error {
    io::Error::other(error.to_string())
}
