//! Encoded arguments, by which kept results are looked up, and the hash of them.

use std::hash::Hasher;

use crate::memo::Argument;
use crate::typed::Typed;

/// Bytes of encoded arguments that need no heap.
pub(crate) const SHORT: usize = 96;

/// Encoded arguments.
pub struct Key {
    short: [u8; SHORT],
    len: usize,
    /// All of them, once they are longer.
    long: Vec<u8>,
}

impl Key {
    #[inline]
    #[must_use]
    #[expect(clippy::new_without_default, reason = "generated code begins one")]
    pub const fn new() -> Self {
        Self {
            short: [0; SHORT],
            len: 0,
            long: Vec::new(),
        }
    }

    /// Adds an argument.
    ///
    /// # Panics
    /// When its own `Serialize` fails.
    #[inline]
    #[must_use]
    #[track_caller]
    pub fn and<T: Argument + ?Sized>(mut self, argument: &T) -> Self {
        if let Err(why) = argument.serialize(Typed(&mut self)) {
            panic!(
                "%%memo cannot encode an argument of type {}: {why}",
                std::any::type_name::<T>()
            );
        }
        self
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        if self.long.is_empty() {
            &self.short[..self.len]
        } else {
            &self.long
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if self.long.is_empty() && end <= SHORT {
            self.short[self.len..end].copy_from_slice(bytes);
            self.len = end;
        } else {
            self.push_long(bytes);
        }
    }

    /// The same of so many bytes that the compiler knows the number.
    #[inline]
    pub(crate) fn push_array<const N: usize>(&mut self, bytes: &[u8; N]) {
        let rest = self.short.get_mut(self.len..).unwrap_or_default();
        match rest.first_chunk_mut() {
            Some(place) if self.long.is_empty() => {
                *place = *bytes;
                self.len += N;
            }
            _ => self.push(bytes),
        }
    }

    #[cold]
    fn push_long(&mut self, bytes: &[u8]) {
        if self.long.is_empty() {
            self.long.extend_from_slice(&self.short[..self.len]);
        }
        self.long.extend_from_slice(bytes);
    }
}

/// A multiplying hash of eight bytes at a time: a table's own, of keys that nobody else chooses.
#[derive(Default)]
pub struct Fold(u64);

impl Hasher for Fold {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        // A call of `memcpy` would take longer than the rest.
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let word = rest
                .iter()
                .fold(0, |word, byte| word << 8 | u64::from(*byte));
            self.write_u64(word);
        }
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        let wide = u128::from(self.0 ^ word ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
        self.0 = (wide as u64) ^ (wide >> 64) as u64;
    }

    #[inline]
    fn write_usize(&mut self, length: usize) {
        self.write_u64(length as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}
