//! What stands under a key in the file, as bytes.

use xxhash_rust::xxh3::xxh3_64;

use super::super::traces::{Trace, origin};

/// Checksum, when it was computed (milliseconds since 1970), how long that took (nanoseconds), how many bytes say by whom
/// and of what; these, and the value, follow.
pub(super) const HEAD: usize = 28;

pub type Key = [u8; 32];

/// A result as it is kept.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    pub value: Vec<u8>,
    /// Milliseconds since 1970.
    pub made: u64,
    /// Nanoseconds.
    pub took: u64,
}

/// What a function has on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub entries: u64,
    pub bytes: u64,
}

pub(super) fn number(bytes: &[u8], at: usize) -> u64 {
    let word = bytes.get(at..at + 8).and_then(|word| word.try_into().ok());
    word.map_or(0, u64::from_le_bytes)
}

pub(super) fn share(record: &[u8]) -> Share {
    Share {
        entries: number(record, 0),
        bytes: number(record, 8),
    }
}

pub(super) fn name(record: &[u8]) -> String {
    String::from_utf8_lossy(record.get(16..).unwrap_or_default()).into_owned()
}

pub(super) fn bytes(key: &Key, found: &Found, origin: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + origin.len() + found.value.len());
    bytes.extend([0; 8]);
    bytes.extend(found.made.to_le_bytes());
    bytes.extend(found.took.to_le_bytes());
    bytes.extend((origin.len() as u32).to_le_bytes());
    bytes.extend(origin);
    bytes.extend(&found.value);
    let sum = checksum(key, &bytes[8..]);
    bytes[..8].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn checksum(key: &[u8], bytes: &[u8]) -> u64 {
    // A value under another key is wrong too.
    xxh3_64(bytes) ^ xxh3_64(key)
}

/// What says by whom and of what a value was made, and the value.
fn parts(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let length = u32::from_le_bytes(head[24..].try_into().ok()?);
    rest.split_at_checked(length as usize)
}

pub(super) fn found(key: &[u8], bytes: &[u8]) -> Option<Found> {
    let (_, value) = parts(bytes)?;
    (number(bytes, 0) == checksum(key, &bytes[8..])).then(|| Found {
        value: value.to_vec(),
        made: number(bytes, 8),
        took: number(bytes, 16),
    })
}

pub(super) fn trace(bytes: &[u8]) -> Option<Trace> {
    Some(Trace {
        made: number(bytes, 8),
        took: number(bytes, 16),
        origin: origin(parts(bytes)?.0),
    })
}
