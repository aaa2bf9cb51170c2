//! The page of numbers that an engine writes while it works, and the hub reads and asks by: see [`status`].

use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::ids::JobId;
use crate::wire::{memory_file, status};

/// A file in memory; its layout is [`status`]'.
#[derive(Clone)]
pub struct Numbers(Arc<OwnedFd>);

impl Numbers {
    /// All of them 0.
    pub fn new() -> std::io::Result<Self> {
        let page = memory_file()?;
        page.set_len(status::LENGTH)?;
        Ok(Self(Arc::new(page.into())))
    }

    pub fn file(&self) -> Arc<OwnedFd> {
        self.0.clone()
    }

    /// All of it as it is now.
    pub fn copied(&self) -> Vec<u8> {
        let mut bytes = vec![0; status::LENGTH as usize];
        let read = rustix::io::pread(&self.0, &mut bytes, 0).unwrap_or_default();
        bytes.truncate(read);
        bytes
    }

    /// See [`at`].
    pub fn at(&self, job: JobId) -> Option<(u64, u64)> {
        at(&self.copied(), job)
    }

    /// See [`said`].
    pub fn said(&self, place: usize) -> String {
        said(&self.copied(), place)
    }

    /// Asks for the end of this job's chunks after their current item.
    pub fn stop_job(&self, job: JobId) {
        let bytes = u64::from(job.0).to_ne_bytes();
        // An engine that does not hear of it is killed later.
        let _ = rustix::io::pwrite(&self.0, &bytes, 8 * status::STOP as u64);
    }

    /// Ends the calls in which the engine waits for others; false when it waits in none.
    pub fn end_waits(&self) -> bool {
        let page = self.copied();
        if !waits(&page) {
            return false;
        }
        let bytes = (word(&page, status::END_WAITS) + 1).to_ne_bytes();
        rustix::io::pwrite(&self.0, &bytes, 8 * status::END_WAITS as u64).is_ok()
    }
}

/// 0 of a page that could not be read.
fn word(page: &[u8], index: usize) -> u64 {
    let bytes = page.get(8 * index..).and_then(<[u8]>::first_chunk);
    bytes.map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}

/// The item of this job that the page's engine is at, and a number that changes with each item.
pub fn at(page: &[u8], job: JobId) -> Option<(u64, u64)> {
    if word(page, status::JOB) != u64::from(job.0) {
        return None;
    }
    let item = word(page, status::ITEM).checked_sub(1)?;
    Some((item, word(page, status::BEGUN)))
}

/// The last line that the command of the thread with this number has printed.
pub fn said(page: &[u8], place: usize) -> String {
    let from = status::SAID + place * status::SAID_WORDS;
    let text = page.get(8 * (from + 1)..8 * (from + status::SAID_WORDS));
    let text = text.filter(|_| place < status::SAID_PLACES);
    let text = text.unwrap_or_default();
    let length = word(page, from) as usize;
    String::from_utf8_lossy(&text[..length.min(text.len())]).into_owned()
}

/// Whether the engine waits for others in a call.
pub fn waits(page: &[u8]) -> bool {
    word(page, status::WAITS) != 0
}
