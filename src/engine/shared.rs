//! Memory that this process shares with others: the status page, and payloads that came as files.

use std::num::NonZeroUsize;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use regatta_cell::host::Bytes;

use super::laid;
use crate::wire::{DATA, Payload, status};

/// The status page: at first one of this process's own.
#[derive(Default)]
pub struct Status {
    page: AtomicPtr<AtomicU64>,
    own: [AtomicU64; 4],
}

impl Status {
    /// Maps the page that came with the welcome.
    pub fn open(&self, page: &Payload) -> std::io::Result<()> {
        if let Payload::Shared(file) = page {
            let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
            if page.file_number().1 < status::LENGTH {
                return Err(std::io::Error::other(
                    "the status page is shorter than a page",
                ));
            }
            let start = map(file.as_fd(), protection, status::LENGTH as usize)?;
            self.page.store(start.as_ptr().cast(), Ordering::Release);
        }
        Ok(())
    }

    /// A number of the page.
    pub fn word(&self, index: usize) -> &AtomicU64 {
        let page = self.page.load(Ordering::Acquire);
        if page.is_null() {
            return &self.own[index];
        }
        // SAFETY: the page is mapped for the life of the process, is larger than any index, and is only looked at
        // as atomic numbers, here and by the session through the file.
        unsafe { &*page.add(index) }
    }
}

impl Status {
    /// Notes what a command has said last: as much of the line's end as there is room for. Whoever looks at the moment
    /// may see half of it.
    pub fn say(&self, place: usize, line: &[u8]) {
        if self.page.load(Ordering::Acquire).is_null() || place >= status::SAID_PLACES {
            return;
        }
        let from = status::SAID + place * status::SAID_WORDS;
        let room = 8 * (status::SAID_WORDS - 1);
        let line = &line[line.len().saturating_sub(room)..];
        for (at, bytes) in (from + 1..).zip(line.chunks(8)) {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            self.word(at)
                .store(u64::from_ne_bytes(word), Ordering::Relaxed);
        }
        self.word(from).store(line.len() as u64, Ordering::Relaxed);
    }
}

/// Maps a file with all its pages.
pub fn map(
    file: BorrowedFd<'_>,
    protection: ProtFlags,
    length: usize,
) -> std::io::Result<NonNull<u8>> {
    map_with(MapFlags::MAP_POPULATE, file, protection, length)
}

fn map_with(
    flags: MapFlags,
    file: BorrowedFd<'_>,
    protection: ProtFlags,
    length: usize,
) -> std::io::Result<NonNull<u8>> {
    let length = NonZeroUsize::new(length).unwrap_or(NonZeroUsize::MIN);
    let flags = MapFlags::MAP_SHARED | flags;
    // SAFETY: a new mapping at an address of the system's choice touches no other memory.
    Ok(unsafe { mmap(None, length, protection, flags, file, 0) }?.cast())
}

/// What is kept for the next payload in the same buffer: so many buffers and mappings, and bytes in them.
pub const KEPT: usize = 16;
pub const MOST: usize = 128 << 20;

/// The file's number, and its mapping.
static MAPPED: Mutex<Vec<(u64, Arc<Mapping>)>> = Mutex::new(Vec::new());

pub struct Mapping {
    start: NonNull<u8>,
    length: usize,
    /// Of what stays.
    file: Option<Arc<OwnedFd>>,
}

impl Mapping {
    /// Where in its file these bytes are.
    pub fn place_of(&self, bytes: Bytes) -> Option<usize> {
        let at = (bytes.start as usize).checked_sub(self.start.as_ptr() as usize)?;
        (at + bytes.len <= self.length).then_some(at)
    }

    pub fn file(&self) -> Option<&OwnedFd> {
        self.file.as_deref()
    }
}

// SAFETY: it is only read, and writers wait until its readers have released the buffer.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `map` made it, and nobody can borrow from it any more.
        let _ = unsafe { munmap(self.start.cast(), self.length) };
    }
}

/// A payload's bytes, where they are.
pub struct View {
    payload: Payload,
    mapping: Option<Arc<Mapping>>,
    length: usize,
}

impl View {
    pub fn of(payload: Payload) -> std::io::Result<Self> {
        let length = usize::try_from(payload.length()).unwrap_or_default();
        let mapping = match &payload {
            Payload::Shared(file) => Some(mapping(&payload, file, DATA + length)?),
            _ => None,
        };
        Ok(Self {
            payload,
            mapping,
            length,
        })
    }

    /// One that stays for long: its mapping is no other payload's, and values may be laid over it.
    pub fn alone(payload: Payload) -> std::io::Result<Self> {
        let length = usize::try_from(payload.length()).unwrap_or_default();
        let Payload::Shared(file) = &payload else {
            return Self::of(payload);
        };
        let (_, size) = payload.file_number();
        if size < (DATA + length) as u64 {
            return Err(std::io::Error::other("a payload is shorter than it says"));
        }
        // Of what is laid over hardly anything is looked at here.
        let flags = match length >= laid::LARGE {
            true => MapFlags::empty(),
            false => MapFlags::MAP_POPULATE,
        };
        let start = map_with(flags, file.as_fd(), ProtFlags::PROT_READ, DATA + length)?;
        let mapping = Arc::new(Mapping {
            start,
            length: DATA + length,
            file: Some(file.clone()),
        });
        laid::may_be(&mapping);
        Ok(Self {
            payload: Payload::None,
            mapping: Some(mapping),
            length,
        })
    }

    pub fn bytes(&self) -> &[u8] {
        match &self.mapping {
            None => self.payload.inline(),
            // SAFETY: the mapping is as long, and nobody writes to the buffer before it is released.
            Some(mapping) => unsafe {
                std::slice::from_raw_parts(mapping.start.as_ptr().add(DATA), self.length)
            },
        }
    }

    /// The buffer may be used again.
    pub fn release(self) {
        self.payload.release();
    }
}

/// A mapping of the payload's file, which may have been mapped before.
fn mapping(payload: &Payload, file: &OwnedFd, length: usize) -> std::io::Result<Arc<Mapping>> {
    let (number, size) = payload.file_number();
    let mut mapped = MAPPED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(place) = mapped.iter().position(|(other, _)| *other == number) {
        let entry = mapped.remove(place);
        if entry.1.length >= length {
            let mapping = entry.1.clone();
            // The one that is used stays longest.
            mapped.push(entry);
            return Ok(mapping);
        }
    }
    let size = usize::try_from(size).unwrap_or_default();
    if size < length {
        return Err(std::io::Error::other("a payload is shorter than it says"));
    }
    let start = map(file.as_fd(), ProtFlags::PROT_READ, size)?;
    let mapping = Arc::new(Mapping {
        start,
        length: size,
        file: None,
    });
    mapped.push((number, mapping.clone()));
    while mapped.len() > KEPT
        || mapped.len() > 1 && mapped.iter().map(|(_, one)| one.length).sum::<usize>() > MOST
    {
        mapped.remove(0);
    }
    Ok(mapping)
}
