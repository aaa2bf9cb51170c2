//! Rings whose ends are on different hosts: what was written on one is taken off, and put on in the memory of the other,
//! at the same positions.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::matching::LONGEST_NAME;
use super::super::world::World;
use super::{End, HEADER, Header, LINE, PART, span};
use crate::wire::relayed::Sent;
use crate::wire::world::ring;

/// Up to where a ring is written, and up to where it is taken.
pub fn written(world: &World, to: u32, from: u32) -> u64 {
    let at = world.layout().ring(to, from);
    world.word(at + ring::HEAD).load(Ordering::SeqCst)
}

pub fn taken(world: &World, to: u32, from: u32) -> u64 {
    let at = world.layout().ring(to, from);
    world.word(at + ring::TAIL).load(Ordering::SeqCst)
}

/// A ring between two ranks that are elsewhere is written up to here.
pub fn has_come_to(world: &World, to: u32, from: u32, head: u64) {
    let at = world.layout().ring(to, from);
    world.word(at + ring::HEAD).store(head, Ordering::SeqCst);
}

/// What was written from one position to another, and the ring's key.
pub fn copy(world: &Arc<World>, to: u32, from: u32, positions: Range<u64>) -> (u64, Vec<u8>) {
    let end = End::new(world, to, from);
    let key = end.word(ring::KEY).load(Ordering::Acquire);
    let count = (positions.end - positions.start).min(end.mask + 1) as usize;
    let (place, straight) = end.place(positions.start);
    let first = count.min(straight);
    let mut bytes = Vec::with_capacity(count);
    // SAFETY: the sender has written so many bytes there, and writes over none of them before it is told that they were
    // taken, by whoever calls this.
    unsafe {
        bytes.extend_from_slice(std::slice::from_raw_parts(place.as_ptr(), first));
        bytes.extend_from_slice(std::slice::from_raw_parts(end.data.as_ptr(), count - first));
    }
    (key, bytes)
}

/// Puts on what was written elsewhere. `missing`: bytes that its last message lacks. `None`, and nothing is put on: it is
/// none of what a sender writes.
pub fn put(world: &Arc<World>, to: u32, from: u32, sent: &Sent, missing: &mut u64) -> Option<()> {
    let mut end = End::new(world, to, from);
    let head = end.word(ring::HEAD).load(Ordering::Relaxed);
    let tail = end.word(ring::TAIL).load(Ordering::Acquire);
    let fits = head.checked_add(sent.bytes.len() as u64) == Some(sent.head)
        && sent.head - tail <= end.mask + 1
        && sent.key != 0;
    let key = end.word(ring::KEY);
    let before = key.load(Ordering::Relaxed);
    if !fits || (before != 0 && before != sent.key) {
        return None;
    }
    let parts = parts(&sent.bytes, missing)?;
    key.store(sent.key, Ordering::Release);
    end.key = sent.key;
    let mut position = head;
    for part in parts {
        let bytes = &sent.bytes[part];
        // SAFETY: the receiver has taken what lay here, and reads nothing of it before its stamp.
        unsafe { end.copy_in(position + 8, bytes[8..].as_ptr(), bytes.len() - 8) };
        let stamp = position ^ end.key;
        end.stamp(position).store(stamp, Ordering::Release);
        position += bytes.len() as u64;
        end.word(ring::HEAD).store(position, Ordering::SeqCst);
    }
    Some(())
}

/// Where the parts are. A receiver relies on what stands in their headers.
fn parts(bytes: &[u8], missing: &mut u64) -> Option<Vec<Range<usize>>> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut rest = *missing;
    while at < bytes.len() {
        let head = bytes.get(at..at + HEADER as usize)?;
        let number = |from: usize, count: usize| {
            let mut word = [0; 8];
            word[..count].copy_from_slice(&head[from..from + count]);
            u64::from_ne_bytes(word)
        };
        let total = number(std::mem::offset_of!(Header, total), 8);
        let part = number(std::mem::offset_of!(Header, part), 4);
        let name = number(std::mem::offset_of!(Header, name), 2);
        let first = number(std::mem::offset_of!(Header, first), 1);
        let data = part.checked_sub(name)?;
        if name > LONGEST_NAME as u64 || data > PART || first > 1 || (first == 0 && name > 0) {
            return None;
        }
        // One that was begun may be given up for another.
        let whole = if first == 1 { total } else { rest };
        rest = whole.checked_sub(data)?;
        let length = span(part as u32) as usize;
        bytes.get(at..at + length)?;
        found.push(at..at + length);
        at += length;
    }
    *missing = rest;
    Some(found)
}

const _: () = assert!(HEADER <= LINE, "a header is in its part's first line");

#[cfg(test)]
mod tests {
    use super::super::{Receiver, Sender};
    use super::*;
    use crate::wire::memory_file;
    use crate::wire::world::{Layout, MAGIC, header};
    use std::os::unix::fs::FileExt as _;

    fn world() -> Arc<World> {
        let (file, layout) = (memory_file().unwrap(), Layout::of(2));
        file.set_len(layout.length()).unwrap();
        for (at, number) in [(header::MAGIC, MAGIC), (header::SIZE, 2)] {
            file.write_all_at(&number.to_ne_bytes(), at).unwrap();
        }
        Arc::new(World::open(file.into()).unwrap())
    }

    fn sent(of: &Arc<World>, before: u64) -> Sent {
        let head = written(of, 1, 0);
        let (key, bytes) = copy(of, 1, 0, before..head);
        Sent {
            to: 1,
            key,
            head,
            bytes,
        }
    }

    /// More than a ring holds goes from one host's memory to the other's, in order, round the ring's end.
    #[test]
    fn messages_go_from_memory_to_memory() {
        let (here, there) = (world(), world());
        let mut sender = Sender::new(&here, 1, 0);
        let mut receiver = Receiver::new(&there, 1, 0);
        let (mut before, mut missing) = (0, 0);
        let mut random = fastrand::Rng::with_seed(7);
        for round in 0..300_u64 {
            let data: Vec<u8> = (0..random.usize(0..60_000))
                .map(|n| (n as u64 + round) as u8)
                .collect();
            let head = Header {
                total: data.len() as u64,
                tag: round as i32,
                ..Header::default()
            };
            // SAFETY: there are as many bytes.
            let gone = unsafe { sender.write(&head, b"name", data.as_ptr(), 0, true) };
            assert_eq!(gone, Some(data.len() as u64));
            let sent = sent(&here, before);
            before = sent.head;
            put(&there, 1, 0, &sent, &mut missing).unwrap();
            let header = receiver.next().unwrap();
            assert_eq!((header.tag, header.total), (head.tag, head.total));
            assert_eq!(receiver.name(&header), b"name");
            let mut came = Vec::new();
            // SAFETY: the receiver lends so many bytes.
            receiver.data(&header, |start, count| unsafe {
                came.extend_from_slice(std::slice::from_raw_parts(start, count));
            });
            assert!(came == data);
            receiver.pass(&header);
            receiver.tell();
            let at = here.layout().ring(1, 0) + ring::TAIL;
            here.word(at).store(taken(&there, 1, 0), Ordering::SeqCst);
        }
    }

    #[test]
    fn what_no_sender_writes_is_not_put_on() {
        let (here, there) = (world(), world());
        let mut sender = Sender::new(&here, 1, 0);
        let head = Header {
            total: 100,
            ..Header::default()
        };
        // SAFETY: there are as many bytes.
        unsafe { sender.write(&head, b"", [7; 100].as_ptr(), 0, true) };
        let good = sent(&here, 0);
        let bad = |change: &dyn Fn(&mut Sent)| {
            let mut sent = good.clone();
            change(&mut sent);
            let mut missing = 0;
            assert_eq!(put(&there, 1, 0, &sent, &mut missing), None);
            assert_eq!(written(&there, 1, 0), 0);
        };
        bad(&|sent| sent.head += 64);
        bad(&|sent| sent.key = 0);
        bad(&|sent| sent.bytes.truncate(64));
        // More data than the message has, a longer part than was sent, a name longer than the part, no truth value.
        bad(&|sent| sent.bytes[8] = 1);
        bad(&|sent| sent.bytes[16] = 255);
        bad(&|sent| sent.bytes[45] = 255);
        bad(&|sent| sent.bytes[46] = 2);
        bad(&|sent| sent.bytes[46] = 0);
        assert_eq!(put(&there, 1, 0, &good, &mut 0), Some(()));
    }
}
