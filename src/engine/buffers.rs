//! Buffers in shared memory, used again: fresh pages cost more than copying into them. A buffer's first page
//! says whether somebody still reads it; its reader, or the session for it, says when not any more.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::mman::{ProtFlags, munmap};

use super::shared::{KEPT, MOST, map};
use crate::wire::{DATA, Payload, memory_file};

/// The smallest buffer.
const LEAST: usize = 1 << 20;

static POOL: Mutex<Vec<Buffer>> = Mutex::new(Vec::new());

/// A file in memory, mapped for writing.
pub struct Buffer {
    file: Arc<OwnedFd>,
    start: NonNull<u8>,
    /// Bytes of data that fit.
    capacity: usize,
    length: usize,
}

// SAFETY: the mapping is the buffer's own.
unsafe impl Send for Buffer {}

impl Buffer {
    /// One that nobody reads, with room for so many bytes: a used one where there is one.
    pub fn take(least: usize) -> std::io::Result<Self> {
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        // The smallest that fits, or else the largest, which grows.
        let free = pool
            .iter()
            .enumerate()
            .filter(|(_, buffer)| buffer.users().load(Ordering::Acquire) == 0)
            .min_by_key(|(_, buffer)| {
                let short = buffer.capacity < least;
                (
                    short,
                    if short {
                        usize::MAX - buffer.capacity
                    } else {
                        buffer.capacity
                    },
                )
            })
            .map(|(place, _)| place);
        let mut buffer = match free {
            Some(place) => pool.remove(place),
            None => Self::new(least.max(LEAST))?,
        };
        drop(pool);
        buffer.length = 0;
        buffer.reserve(least)?;
        Ok(buffer)
    }

    fn new(capacity: usize) -> std::io::Result<Self> {
        let file = memory_file()?;
        let start = mapped(file.as_fd(), capacity)?;
        Ok(Self {
            file: Arc::new(file.into()),
            start,
            capacity,
            length: 0,
        })
    }

    fn users(&self) -> &AtomicU64 {
        // SAFETY: the mapping is as long as the buffer lives, and its first page is only looked at as atomic
        // numbers.
        unsafe { self.start.cast::<AtomicU64>().as_ref() }
    }

    /// Makes room for so many bytes in all.
    pub fn reserve(&mut self, bytes: usize) -> std::io::Result<()> {
        if bytes <= self.capacity {
            return Ok(());
        }
        let capacity = bytes.next_power_of_two();
        let start = mapped(self.file.as_fd(), capacity)?;
        self.unmap();
        (self.start, self.capacity) = (start, capacity);
        Ok(())
    }

    pub fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.reserve(self.length + bytes.len())?;
        // SAFETY: there is room, and nobody else has this part of the mapping: readers come after `finish`.
        unsafe {
            let to = self.start.as_ptr().add(DATA + self.length);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
        self.length += bytes.len();
        Ok(())
    }

    /// The payload, which is kept for long: the buffer is not used again.
    pub fn finish_alone(self) -> Payload {
        self.close();
        Payload::Shared(self.file.clone())
    }

    fn close(&self) {
        // SAFETY: as in `users`.
        let length = unsafe { &*self.start.as_ptr().add(8).cast::<AtomicU64>() };
        length.store(self.length as u64, Ordering::Release);
        self.users().store(1, Ordering::Release);
    }

    /// The payload; the buffer is used again when it has been released.
    pub fn finish(self) -> Payload {
        self.close();
        let payload = Payload::Shared(self.file.clone());
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        pool.push(self);
        while pool.len() > KEPT
            || pool.len() > 1 && pool.iter().map(|buffer| buffer.capacity).sum::<usize>() > MOST
        {
            // It lives on with its reader.
            pool.remove(0);
        }
        payload
    }

    fn unmap(&mut self) {
        // SAFETY: `mapped` made the mapping, and nobody can borrow from it any more.
        let _ = unsafe { munmap(self.start.cast(), DATA + self.capacity) };
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.unmap();
    }
}

/// Gives the file so much room for data, and maps it.
fn mapped(file: BorrowedFd<'_>, capacity: usize) -> std::io::Result<NonNull<u8>> {
    let length = DATA + capacity;
    rustix::fs::ftruncate(file, length as u64)?;
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    map(file, protection, length)
}
