//! Large values that are not copied out of the payload in which they came: the pages of their memory are the payload's, for all
//! engines of a host the same, until one of them writes to a page and gets its own.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd as _, OwnedFd};
use std::ptr::NonNull;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous};
use regatta_cell::host::Bytes;

use super::shared::Mapping;
use crate::wire::memory;

/// What is laid over has at least so many bytes.
pub const LARGE: usize = 32 << 20;

/// Mappings of payloads that came to stay: their files are written to by nobody any more.
static STAYING: Mutex<Vec<Weak<Mapping>>> = Mutex::new(Vec::new());

/// Values may be laid over this payload's.
pub fn may_be(mapping: &Arc<Mapping>) {
    let mut all = STAYING.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|other| other.strong_count() > 0);
    all.push(Arc::downgrade(mapping));
}

/// A mapping with these bytes, and where in its file they are.
fn found(bytes: Bytes) -> Option<(usize, Arc<Mapping>)> {
    let all = STAYING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut all = all.iter().filter_map(Weak::upgrade);
    all.find_map(|mapping| Some((mapping.place_of(bytes)?, mapping)))
}

/// See [`regatta_cell::host::Host::may_lay`].
pub extern "C" fn may_lay(bytes: Bytes) -> bool {
    *IS_KNOWN && found(bytes).is_some() && {
        map_blocks_from(LARGE as i32);
        true
    }
}

/// It is known where the allocator has large blocks: it is glibc's, and told what it is told here.
static IS_KNOWN: LazyLock<bool> = LazyLock::new(|| {
    let told = std::env::var_os(memory::TUNABLES);
    // What may be another allocator, or tells this one more.
    let is_other = |name: &OsString| {
        let name = name.to_string_lossy();
        name == "LD_PRELOAD" || name.starts_with("MALLOC_")
    };
    let mut names = std::env::vars_os().map(|(name, _)| name);
    told.is_some_and(|told| told == memory::KEEP_MEMORY) && !names.any(|name| is_other(&name))
});

/// Blocks of so many bytes are mapped for themselves.
fn map_blocks_from(bytes: i32) {
    // SAFETY: it changes which memory later blocks get, and no block that there is.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, bytes) };
}

/// See [`regatta_cell::host::Host::lay_over`].
pub extern "C" fn lay_over(to: *mut u8, bytes: Bytes) -> bool {
    if *IS_KNOWN {
        map_blocks_from(memory::MAPPED_FROM);
    }
    let found = found(bytes);
    let Some((at, mapping)) = found else {
        return false;
    };
    let Some(file) = mapping.file() else {
        return false;
    };
    let page = rustix::param::page_size();
    let begin = to as usize;
    // Whole pages: what is before and behind them is copied.
    let first = begin.next_multiple_of(page);
    let end = (begin + bytes.len) / page * page;
    if begin % page != at % page || end <= first {
        return false;
    }
    let (before, pages) = (first - begin, end - first);
    // SAFETY: the pages lie within the memory that the caller has for this.
    if !unsafe { map_over(to.wrapping_add(before), pages, file, at + before) } {
        return false;
    }
    for part in [0..before, before + pages..bytes.len] {
        // SAFETY: both are as long as the bytes, and the caller's memory is no part of a payload.
        unsafe {
            let (from, to) = (bytes.start.add(part.start), to.add(part.start));
            std::ptr::copy_nonoverlapping(from, to, part.len());
        }
    }
    true
}

/// Puts pages of a file in the place of others; whether it was done. Who writes to one gets its own.
///
/// # Safety
/// The pages must be writable memory of which nobody needs what it holds.
unsafe fn map_over(first: *mut u8, length: usize, file: &OwnedFd, at: usize) -> bool {
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_FIXED;
    let place = NonZeroUsize::new(first as usize).zip(NonZeroUsize::new(length));
    let (Some((address, length)), Ok(at)) = (place, i64::try_from(at)) else {
        return false;
    };
    // SAFETY: promised by the caller.
    let mapped = unsafe { mmap(Some(address), length, protection, flags, file.as_fd(), at) };
    match mapped {
        Ok(_) => return true,
        // It was not even tried.
        Err(Errno::EINVAL | Errno::EBADF | Errno::EACCES) => return false,
        Err(_) => {}
    }
    // The system may have taken the memory away before it found that it cannot.
    // SAFETY: as above.
    let again = unsafe { mmap_anonymous(Some(address), length, protection, flags) };
    if again.map(NonNull::cast::<u8>).is_err() {
        std::process::abort();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::shared::View;
    use super::*;
    use crate::wire::Payload;

    /// A payload whose value begins at this place of a page.
    fn staying(place: usize, value: &[u8]) -> View {
        let bytes = [&vec![0; place][..], value].concat();
        View::alone(Payload::of(bytes).unwrap()).unwrap()
    }

    /// Memory of a block of its own, and where in it there is room that begins at this place of a page.
    fn room(place: usize) -> (Vec<u8>, usize) {
        let page = rustix::param::page_size();
        let block = vec![0_u8; LENGTH + 2 * page];
        let begin = block.as_ptr() as usize;
        (block, begin.next_multiple_of(page) - begin + place)
    }

    const LENGTH: usize = (33 << 20) + 77;

    #[test]
    fn what_lies_alike_is_laid_over_and_each_has_its_own() {
        let value: Vec<u8> = (0..LENGTH).map(|n| (n % 251) as u8).collect();
        for place in [0, 16, 1000] {
            let view = staying(place, &value);
            let rooms = [room(place), room(place)].map(|(mut block, at)| {
                let source = Bytes::of(&view.bytes()[place..]);
                assert!(lay_over(block[at..].as_mut_ptr(), source));
                assert!(block[at..at + LENGTH] == value);
                block[at + 5000] ^= 0xff;
                (block, at)
            });
            assert!(view.bytes()[place..] == value, "its own is as it was");
            drop(view);
            let mut wanted = value.clone();
            wanted[5000] ^= 0xff;
            for (block, at) in rooms {
                assert!(block[at..at + LENGTH] == wanted);
                assert!(block[..at].iter().all(|byte| *byte == 0));
                assert!(block[at + LENGTH..].iter().all(|byte| *byte == 0));
            }
        }
    }

    #[test]
    fn what_lies_otherwise_or_nowhere_is_not() {
        let value = vec![7; LENGTH];
        let view = staying(0, &value);
        let passing = View::of(Payload::of(value.clone()).unwrap()).unwrap();
        let (mut block, at) = room(1);
        let mut is_laid = |at: usize, bytes| lay_over(block[at..].as_mut_ptr(), Bytes::of(bytes));
        assert!(!is_laid(at, view.bytes()), "one byte beside");
        assert!(!is_laid(at - 1, &value), "of no payload");
        assert!(
            !is_laid(at - 1, passing.bytes()),
            "of one that is used again"
        );
        assert!(is_laid(at - 1, view.bytes()));
    }
}
