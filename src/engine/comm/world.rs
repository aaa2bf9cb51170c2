//! A world in this process's memory: its words, as atomic numbers, and the waking of ranks that sleep.

use std::fs::File;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd as _, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::time::Duration;

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use crate::wire::world::{ELSEWHERE, Layout, MAGIC, State, Waiting, Word, block, header};

/// A mapped world.
pub struct World {
    start: NonNull<u8>,
    length: usize,
    layout: Layout,
    _file: OwnedFd,
}

// SAFETY: what is shared of it are atomic numbers, and ring bytes that the numbers hand from one rank to another.
unsafe impl Send for World {}
// SAFETY: as above.
unsafe impl Sync for World {}

impl Drop for World {
    fn drop(&mut self) {
        // SAFETY: `open` mapped it, and whoever borrows from it holds it.
        let _ = unsafe { munmap(self.start.cast(), self.length) };
    }
}

impl World {
    /// Maps the file of a world.
    pub fn open(file: OwnedFd) -> std::io::Result<Self> {
        let file = File::from(file);
        let mut words = [0; 16];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut words, header::MAGIC)?;
        let word = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&words[at..at + 8]);
            u64::from_ne_bytes(bytes)
        };
        let layout = Layout::of(u32::try_from(word(header::SIZE as usize)).unwrap_or_default());
        if word(0) != MAGIC || file.metadata()?.len() < layout.length() {
            return Err(std::io::Error::other("it is no memory for messages"));
        }
        let length = NonZeroUsize::new(layout.length() as usize).unwrap_or(NonZeroUsize::MIN);
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_NORESERVE;
        // SAFETY: a new mapping at an address of the system's choice touches no other memory.
        let start = unsafe { mmap(None, length, protection, flags, file.as_fd(), 0) }?;
        Ok(Self {
            start: start.cast(),
            length: length.get(),
            layout,
            _file: file.into(),
        })
    }

    pub fn layout(&self) -> Layout {
        self.layout
    }

    pub fn size(&self) -> u32 {
        self.layout.size()
    }

    /// Another world takes its place.
    pub fn is_retired(&self) -> bool {
        self.word(header::RETIRED).load(Ordering::Acquire) != 0
    }

    /// A number.
    pub fn word(&self, at: u64) -> &AtomicU64 {
        assert!(at as usize + 8 <= self.length && at.is_multiple_of(8));
        // SAFETY: it lies in the mapping, aligned, and is only looked at as an atomic number.
        unsafe { self.start.add(at as usize).cast::<AtomicU64>().as_ref() }
    }

    fn bell(&self, rank: u32) -> &AtomicU32 {
        self.bell_at(self.layout.block(rank) + block::BELL)
    }

    fn bell_at(&self, at: u64) -> &AtomicU32 {
        // SAFETY: as in `word`; a bell is looked at as this type alone.
        unsafe { self.start.add(at as usize).cast::<AtomicU32>().as_ref() }
    }

    /// The bytes from here on: a ring's.
    pub fn bytes(&self, at: u64) -> NonNull<u8> {
        assert!(at as usize <= self.length);
        // SAFETY: it lies in the mapping.
        unsafe { self.start.add(at as usize) }
    }

    pub fn of(&self, rank: u32, word: u64) -> &AtomicU64 {
        self.word(self.layout.block(rank) + word)
    }

    /// Where a rank is now.
    pub fn state(&self, rank: u32) -> State {
        let word = Word::of(self.of(rank, block::HUB).load(Ordering::Acquire));
        let left = self.of(rank, block::LEFT).load(Ordering::Acquire);
        match word.state {
            State::Running | State::Due if left == word.run && left != 0 => State::Left,
            state => state,
        }
    }

    /// Wakes a rank if it sleeps. What it is to see was written before.
    #[inline]
    pub fn wake(&self, rank: u32) {
        fence(Ordering::SeqCst);
        if self.of(rank, block::SLEEPS).load(Ordering::Relaxed) != 0 {
            self.ring(rank);
        }
    }

    #[cold]
    pub fn ring(&self, rank: u32) {
        match self.is_elsewhere(rank) {
            true => self.ring_relay(),
            false => wake_all_of(self.bell(rank)),
        }
    }

    /// Whether a rank is on another host.
    pub fn is_elsewhere(&self, rank: u32) -> bool {
        self.of(rank, block::SLEEPS).load(Ordering::Relaxed) == ELSEWHERE
    }

    /// Whether a rank has written into its ring to another one; the rings of others stay without memory.
    pub fn has_spoken(&self, to: u32, from: u32) -> bool {
        let (word, bit) = spoken(block::SPOKE, from);
        self.of(to, word).load(Ordering::SeqCst) & bit != 0
    }

    pub fn note_spoken(&self, to: u32, from: u32) {
        for (of, set, other) in [(to, block::SPOKE, from), (from, block::SPOKE_TO, to)] {
            let (word, bit) = spoken(set, other);
            self.of(of, word).fetch_or(bit, Ordering::SeqCst);
        }
    }

    /// The ranks that have written to this one, from the lowest.
    pub fn senders(&self, to: u32) -> impl Iterator<Item = u32> {
        self.ranks_in(to, block::SPOKE)
    }

    /// The ranks to which this one has written.
    pub fn receivers(&self, from: u32) -> impl Iterator<Item = u32> {
        self.ranks_in(from, block::SPOKE_TO)
    }

    fn ranks_in(&self, of: u32, set: u64) -> impl Iterator<Item = u32> {
        let groups = 0..self.size().div_ceil(64);
        groups.flat_map(move |group| {
            let (word, _) = spoken(set, 64 * group);
            let mut bits = self.of(of, word).load(Ordering::SeqCst);
            std::iter::from_fn(move || {
                let next = bits.trailing_zeros();
                bits &= bits.wrapping_sub(1);
                (next < 64).then_some(64 * group + next)
            })
        })
    }

    /// Wakes who relays to other hosts.
    pub fn ring_relay(&self) {
        wake_all_of(self.bell_at(header::RELAY));
    }

    /// The number of the relay's bell, to [`Self::sleep_on_relay`] on.
    pub fn relay_bell(&self) -> u32 {
        self.bell_at(header::RELAY).load(Ordering::SeqCst)
    }

    pub fn sleep_on_relay(&self, heard: u32, longest: Duration) {
        sleep_on(self.bell_at(header::RELAY), heard, longest);
    }

    /// The bell's number, to [`Self::sleep`] on: from now on others ring.
    pub fn lie_down(&self, rank: u32) -> u32 {
        let heard = self.bell(rank).load(Ordering::SeqCst);
        self.of(rank, block::SLEEPS).store(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        heard
    }

    pub fn get_up(&self, rank: u32) {
        self.of(rank, block::SLEEPS).store(0, Ordering::Relaxed);
    }

    /// Sleeps until the bell is rung, or so long.
    pub fn sleep(&self, rank: u32, heard: u32, longest: Duration) {
        sleep_on(self.bell(rank), heard, longest);
    }

    /// Writes a rank's own wait record; returns its number.
    pub fn write_waiting(&self, rank: u32, waiting: Option<&Waiting>) -> u64 {
        let number = self.of(rank, block::WAIT);
        let next = number.load(Ordering::Relaxed).next_multiple_of(2) + 2;
        number.store(next - 1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let bytes = waiting.map_or_else(Vec::new, |waiting| {
            let bytes = postcard::to_allocvec(waiting).unwrap_or_default();
            if bytes.len() <= block::WAIT_ROOM {
                return bytes;
            }
            // Very many ranks or a very long name: others may do without them.
            let short = Waiting {
                type_name: String::new(),
                members: Vec::new(),
                ..waiting.clone()
            };
            postcard::to_allocvec(&short).unwrap_or_default()
        });
        let bytes = &bytes[..bytes.len().min(block::WAIT_ROOM)];
        self.put_record_bytes(rank, bytes);
        number.store(next, Ordering::SeqCst);
        next
    }

    /// Writes bytes as numbers.
    fn put_bytes(&self, at: u64, bytes: &[u8]) {
        for (place, part) in bytes.chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.word(at + 8 * place as u64)
                .store(u64::from_ne_bytes(word), Ordering::Relaxed);
        }
    }

    fn bytes_at(&self, at: u64, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length.next_multiple_of(8));
        for place in 0..length.div_ceil(8) {
            let word = self.word(at + 8 * place as u64).load(Ordering::Relaxed);
            bytes.extend_from_slice(&word.to_ne_bytes());
        }
        bytes.truncate(length);
        bytes
    }

    /// Writes the name of the type of the values with which a rank comes to a meeting.
    pub fn put_name(&self, rank: u32, name: &[u8]) {
        let name = &name[..name.len().min(block::NAME_ROOM)];
        self.put_bytes(self.layout.block(rank) + block::NAME, name);
        let length = self.of(rank, block::NAME_LENGTH);
        length.store(name.len() as u64, Ordering::SeqCst);
    }

    /// The name that a rank has written last.
    pub fn name(&self, rank: u32) -> Vec<u8> {
        let length = self.of(rank, block::NAME_LENGTH).load(Ordering::SeqCst) as usize;
        let at = self.layout.block(rank) + block::NAME;
        self.bytes_at(at, length.min(block::NAME_ROOM))
    }

    fn put_record_bytes(&self, rank: u32, bytes: &[u8]) {
        let record = self.layout.block(rank) + block::WAIT_RECORD;
        self.put_bytes(record, bytes);
        self.of(rank, block::WAIT_LENGTH)
            .store(bytes.len() as u64, Ordering::Relaxed);
    }

    /// Writes the record of a rank elsewhere, as that has it.
    pub fn put_record(&self, rank: u32, number: u64, bytes: &[u8]) {
        let word = self.of(rank, block::WAIT);
        if word.load(Ordering::Relaxed) == number {
            return;
        }
        self.put_record_bytes(rank, &bytes[..bytes.len().min(block::WAIT_ROOM)]);
        word.store(number, Ordering::SeqCst);
    }

    /// The number of a rank's wait record.
    pub fn waiting_number(&self, rank: u32) -> u64 {
        self.of(rank, block::WAIT).load(Ordering::SeqCst)
    }

    /// What a rank waits for, and the record's number; `None` when it does not wait.
    pub fn waiting(&self, rank: u32) -> Option<(u64, Waiting)> {
        let (number, bytes) = self.record(rank)?;
        let waiting = postcard::from_bytes(&bytes).ok()?;
        Some((number, waiting))
    }

    /// A rank's record and its number; empty when it does not wait. `None`: it is being written.
    pub fn record(&self, rank: u32) -> Option<(u64, Vec<u8>)> {
        let number = self.waiting_number(rank);
        let length = self.of(rank, block::WAIT_LENGTH).load(Ordering::Acquire) as usize;
        if !number.is_multiple_of(2) || length > block::WAIT_ROOM {
            return None;
        }
        let record = self.layout.block(rank) + block::WAIT_RECORD;
        let bytes = self.bytes_at(record, length);
        fence(Ordering::SeqCst);
        (self.waiting_number(rank) == number).then_some((number, bytes))
    }
}

/// Where in a rank's block this one's bit of a set stands.
fn spoken(set: u64, rank: u32) -> (u64, u64) {
    (set + u64::from(rank / 64) * 8, 1 << (rank % 64))
}

/// Rings a bell.
fn wake_all_of(bell: &AtomicU32) {
    bell.fetch_add(1, Ordering::SeqCst);
    // SAFETY: the address is a live futex word; the call has no other effect.
    unsafe {
        libc::syscall(libc::SYS_futex, bell.as_ptr(), libc::FUTEX_WAKE, i32::MAX);
    }
}

/// Sleeps until a bell is rung, or so long.
fn sleep_on(bell: &AtomicU32, heard: u32, longest: Duration) {
    let time = libc::timespec {
        tv_sec: longest.as_secs().cast_signed(),
        tv_nsec: i64::from(longest.subsec_nanos()),
    };
    // SAFETY: the address is a live futex word, and the time lives for the call.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            bell.as_ptr(),
            libc::FUTEX_WAIT,
            heard,
            &raw const time,
        );
    }
}
