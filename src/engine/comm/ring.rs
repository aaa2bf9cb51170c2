//! A ring from one rank to another: messages in parts, each behind a header, in order. A part begins at a multiple of
//! [`LINE`], so a small message is one line of the processor's cache, and no other goes from one to the other: what says
//! that a part is there stands in it.

mod relayed;

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::world::World;
use crate::wire::world::ring;
pub use relayed::{copy, has_come_to, put, taken, written};

/// A cache line, bytes.
const LINE: u64 = 64;

/// What stands before each part; both sides are of one program.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Header {
    /// Written last: the part's position, mixed with the ring's key. What lay here before says something else, but by
    /// a chance of one in 2⁶⁴.
    pub(super) stamp: u64,
    /// Bytes of the message.
    pub total: u64,
    /// Bytes in this part, with the type's name.
    pub part: u32,
    /// Of a collective, which one it is; 0: point to point. [`super::matching::TAKEN`]: the answer to an `ssend`.
    pub collective: u32,
    pub comm: u32,
    pub tag: i32,
    /// The run in which it was sent; of an `ssend` its number instead, which its answer has as its tag.
    pub run: u32,
    /// Where that was: the cell, and its line.
    pub cell: u32,
    pub line: u16,
    pub kind: u16,
    /// Bytes of the type's name, which come before the data.
    pub name: u16,
    /// It is a message's first.
    pub first: bool,
    /// A [`crate::wire::world::Call`]; 0: point to point, and none of an `ssend`.
    pub call: u8,
}

const HEADER: u64 = size_of::<Header>() as u64;
const _: () = assert!(HEADER == 48, "sixteen bytes of data fit into its line");

/// Bytes of a whole part.
fn span(part: u32) -> u64 {
    (HEADER + u64::from(part)).next_multiple_of(LINE)
}

/// One side of a ring.
struct End {
    world: Arc<World>,
    at: u64,
    data: NonNull<u8>,
    /// The capacity less one.
    mask: u64,
    /// What stamps are mixed with; 0: not known yet.
    key: u64,
}

impl End {
    fn new(world: &Arc<World>, to: u32, from: u32) -> Self {
        let at = world.layout().ring(to, from);
        Self {
            world: world.clone(),
            at,
            data: world.bytes(at + ring::DATA),
            mask: world.layout().capacity() - 1,
            key: 0,
        }
    }

    fn word(&self, word: u64) -> &AtomicU64 {
        self.world.word(self.at + word)
    }

    /// Where the stamp of the part at a position stands.
    #[inline]
    fn stamp(&self, position: u64) -> &AtomicU64 {
        let (place, _) = self.place(position);
        // SAFETY: parts begin at multiples of a line, in the mapping; a stamp is looked at as an atomic number until it
        // is the right one.
        unsafe { place.cast::<AtomicU64>().as_ref() }
    }

    /// The memory at a position, and how many bytes there are until the ring's end.
    fn place(&self, position: u64) -> (NonNull<u8>, usize) {
        let offset = position & self.mask;
        // SAFETY: the offset is less than the capacity.
        let place = unsafe { self.data.add(offset as usize) };
        (place, (self.mask + 1 - offset) as usize)
    }

    /// # Safety
    /// There are `count` bytes to read, and as much room from `position` on.
    #[inline]
    unsafe fn copy_in(&self, position: u64, from: *const u8, count: usize) {
        let (place, straight) = self.place(position);
        // SAFETY: promised by the caller; what does not fit before the ring's end goes to its begin.
        unsafe {
            if count <= straight {
                std::ptr::copy_nonoverlapping(from, place.as_ptr(), count);
            } else {
                std::ptr::copy_nonoverlapping(from, place.as_ptr(), straight);
                let rest = from.add(straight);
                std::ptr::copy_nonoverlapping(rest, self.data.as_ptr(), count - straight);
            }
        }
    }
}

/// A ring's key: any number but 0.
fn any_key() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(0_u8) | 1
}

/// The sender's end.
pub struct Sender {
    end: End,
    head: u64,
    /// The receiver's, as it was last seen.
    tail: u64,
}

/// Parts are not larger, so that both sides copy at the same time.
const PART: u64 = 64 * 1024;

impl Sender {
    pub fn new(world: &Arc<World>, to: u32, from: u32) -> Self {
        let mut end = End::new(world, to, from);
        let key = end.word(ring::KEY);
        if key.load(Ordering::Acquire) == 0 {
            key.store(any_key(), Ordering::Release);
        }
        end.key = key.load(Ordering::Acquire);
        let head = end.word(ring::HEAD).load(Ordering::Acquire);
        let tail = end.word(ring::TAIL).load(Ordering::Acquire);
        Self { end, head, tail }
    }

    /// Whether a part of any length has room.
    pub fn has_room(&self) -> bool {
        let tail = self.end.word(ring::TAIL).load(Ordering::SeqCst);
        let most = span(self.most() as u32 + super::matching::LONGEST_NAME as u32);
        self.head + most - tail <= self.end.mask + 1
    }

    fn most(&self) -> u64 {
        PART.min((self.end.mask + 1) / 8)
    }

    /// Writes as much of a message as there is room for: a part, if any. Returns how many bytes of the data have gone,
    /// `None` when there was no room.
    ///
    /// # Safety
    /// There are `header.total - at` readable bytes at `data`.
    #[inline]
    pub unsafe fn write(
        &mut self,
        header: &Header,
        name: &[u8],
        data: *const u8,
        at: u64,
        first: bool,
    ) -> Option<u64> {
        let name = if first { name } else { &[] };
        let bytes = (header.total - at).min(self.most());
        let part = bytes as u32 + name.len() as u32;
        let span = span(part);
        let capacity = self.end.mask + 1;
        if self.head + span - self.tail > capacity {
            self.tail = self.end.word(ring::TAIL).load(Ordering::Acquire);
            if self.head + span - self.tail > capacity {
                return None;
            }
        }
        let header = Header {
            stamp: 0,
            part,
            first,
            name: name.len() as u16,
            ..*header
        };
        let (place, _) = self.end.place(self.head);
        // SAFETY: parts begin at multiples of a line, and the ring's end is one: the header does not wrap. The receiver
        // reads nothing here before the head says so.
        unsafe { place.cast::<Header>().write(header) };
        let begin = self.head;
        let mut position = self.head + HEADER;
        if !name.is_empty() {
            // SAFETY: there is room, see above.
            unsafe { self.end.copy_in(position, name.as_ptr(), name.len()) };
            position += name.len() as u64;
        }
        // SAFETY: as above, and the caller promises the bytes.
        unsafe { self.end.copy_in(position, data, bytes as usize) };
        // Whoever sees it sees what was written before.
        let stamp = begin ^ self.end.key;
        self.end.stamp(begin).store(stamp, Ordering::Release);
        self.head += span;
        self.end
            .word(ring::HEAD)
            .store(self.head, Ordering::Release);
        Some(bytes)
    }
}

/// The receiver's end.
pub struct Receiver {
    end: End,
    tail: u64,
    /// What the sender was told of it.
    told: u64,
}

impl Receiver {
    pub fn new(world: &Arc<World>, to: u32, from: u32) -> Self {
        let end = End::new(world, to, from);
        let tail = end.word(ring::TAIL).load(Ordering::Acquire);
        Self {
            end,
            tail,
            told: tail,
        }
    }

    /// The part that is next.
    #[inline]
    pub fn next(&mut self) -> Option<Header> {
        if self.end.key == 0 && !self.has_key() {
            return None;
        }
        let stamp = self.end.stamp(self.tail).load(Ordering::Acquire);
        if stamp != self.tail ^ self.end.key {
            return None;
        }
        let (place, _) = self.end.place(self.tail);
        // SAFETY: the sender has written the header before its stamp.
        Some(unsafe { place.cast::<Header>().read() })
    }

    /// Looks for the sender's key.
    #[cold]
    fn has_key(&mut self) -> bool {
        self.end.key = self.end.word(ring::KEY).load(Ordering::Acquire);
        let stamp = self.end.stamp(self.tail).load(Ordering::Acquire);
        self.end.key != 0 && stamp == self.tail ^ self.end.key
    }

    /// Whether a part is there.
    pub fn has_some(&mut self) -> bool {
        self.next().is_some()
    }

    /// The name of the type, of the part that is next.
    pub fn name(&self, header: &Header) -> Vec<u8> {
        let mut name = Vec::with_capacity(usize::from(header.name));
        self.pieces(HEADER, usize::from(header.name), |start, count| {
            // SAFETY: the sender has written so many bytes there, and does not touch them before the tail moves.
            name.extend_from_slice(unsafe { std::slice::from_raw_parts(start, count) });
        });
        name
    }

    /// The data of the part that is next, in one or two pieces.
    #[inline]
    pub fn data(&self, header: &Header, each: impl FnMut(*const u8, usize)) {
        let name = u64::from(header.name);
        self.pieces(HEADER + name, (header.part - name as u32) as usize, each);
    }

    #[inline]
    fn pieces(&self, from: u64, count: usize, mut each: impl FnMut(*const u8, usize)) {
        let (place, straight) = self.end.place(self.tail + from);
        if count <= straight {
            each(place.as_ptr(), count);
        } else {
            each(place.as_ptr(), straight);
            each(self.end.data.as_ptr(), count - straight);
        }
    }

    /// Passes over the part that is next; true when the sender was told of the new room.
    #[inline]
    pub fn pass(&mut self, header: &Header) -> bool {
        self.tail += span(header.part);
        // The sender hears of it when that is much: each word costs both a cache line.
        if self.tail - self.told >= (self.end.mask + 1) / 8 {
            return self.tell();
        }
        false
    }

    /// Tells the sender of all room; true when there is more than it knew.
    pub fn tell(&mut self) -> bool {
        if self.told == self.tail {
            return false;
        }
        self.told = self.tail;
        self.end
            .word(ring::TAIL)
            .store(self.tail, Ordering::Release);
        true
    }
}

/// Whether something is under way between two ranks, as anybody sees it.
pub fn holds_something(world: &World, to: u32, from: u32) -> bool {
    let at = world.layout().ring(to, from);
    let head = world.word(at + ring::HEAD).load(Ordering::SeqCst);
    head != world.word(at + ring::TAIL).load(Ordering::SeqCst)
}
