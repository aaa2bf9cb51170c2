//! Captured variables: lent by the cell, owned again in the other process. A large `Vec` of numbers is laid so that its pages
//! in the other process can be those of the memory in which it came: see [`crate::host::Host::lay_over`].

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::checks::Travels;
use crate::codec::{self, Form, NotEncodable};

/// Where glibc's `malloc` has the memory of a block that is mapped for itself, within a page.
const PLACE: u64 = 16;
const PAGE: u64 = 4096;

/// In the length of a `Vec`: the number of bytes follows that are between it and the `Vec`'s memory, and then these.
const LAID: u64 = 1 << 63;

/// What takes the bytes of captured variables, in the order in which the other process reads them, from the begin of a page on.
pub struct Feed<'a> {
    to: &'a mut dyn FnMut(u64, &[u8]),
    /// The number of the first variable of those that feed now.
    first: u64,
    /// Bytes so far.
    at: u64,
}

impl<'a> Feed<'a> {
    pub fn new(to: &'a mut dyn FnMut(u64, &[u8])) -> Self {
        Self {
            to,
            first: 0,
            at: 0,
        }
    }

    fn give(&mut self, variable: u64, bytes: &[u8]) {
        self.at += bytes.len() as u64;
        (self.to)(self.first + variable, bytes);
    }

    fn write<T: Serialize>(&mut self, variable: u64, value: &T) -> bool {
        if let Some(memory) = codec::large(value) {
            self.lay(variable, memory);
            return true;
        }
        codec::write(value, &mut |bytes| self.give(variable, bytes)).is_ok()
    }

    fn lay(&mut self, variable: u64, memory: &[u8]) {
        self.give(variable, &(LAID | memory.len() as u64).to_le_bytes());
        let begin = self.at + size_of::<u64>() as u64;
        let between = (PLACE + PAGE - begin % PAGE) % PAGE;
        self.give(variable, &between.to_le_bytes());
        self.give(variable, &[0; PAGE as usize][..between as usize]);
        self.give(variable, memory);
    }
}

/// Takes the first variable off `bytes`, as [`Feed::write`] has written it.
fn take<T: DeserializeOwned>(bytes: &mut &[u8]) -> Result<T, NotEncodable> {
    let form = codec::form::<T>();
    match laid(form, bytes) {
        Some(memory) => codec::vec_from(memory?).ok_or(NotEncodable),
        None => codec::take(bytes, form),
    }
}

/// The memory of a `Vec` that was laid, when this is one.
fn laid<'a>(form: Form, bytes: &mut &'a [u8]) -> Option<Result<&'a [u8], NotEncodable>> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = u64::from_le_bytes(*length);
    if form != Form::Vec || length & LAID == 0 {
        return None;
    }
    let mut memory = || {
        let (between, rest) = rest.split_first_chunk()?;
        let rest = rest.get(usize::try_from(u64::from_le_bytes(*between)).ok()?..)?;
        let (memory, rest) = rest.split_at_checked(usize::try_from(length & !LAID).ok()?)?;
        *bytes = rest;
        Some(memory)
    };
    Some(memory().ok_or(NotEncodable))
}

/// A tuple of references to variables, which arrives as a tuple of values.
pub trait Captured {
    type Owned;

    /// How many variables there are.
    const COUNT: u64;

    /// Hands the encoded bytes over, variable by variable; false when one can't be encoded.
    fn feed(&self, to: &mut Feed<'_>) -> bool;

    /// The values, from all their bytes.
    fn own(bytes: &mut &[u8]) -> Option<Self::Owned>;
}

/// More variables than one tuple holds.
pub struct Both<A, B>(pub A, pub B);

impl<A: Captured, B: Captured> Captured for Both<A, B> {
    type Owned = (A::Owned, B::Owned);

    const COUNT: u64 = A::COUNT + B::COUNT;

    fn feed(&self, to: &mut Feed<'_>) -> bool {
        if !self.0.feed(to) {
            return false;
        }
        to.first += A::COUNT;
        let fed = self.1.feed(to);
        to.first -= A::COUNT;
        fed
    }

    fn own(bytes: &mut &[u8]) -> Option<Self::Owned> {
        Some((A::own(bytes)?, B::own(bytes)?))
    }
}

impl Captured for () {
    type Owned = ();

    const COUNT: u64 = 0;

    fn feed(&self, _: &mut Feed<'_>) -> bool {
        true
    }

    fn own(_: &mut &[u8]) -> Option<()> {
        Some(())
    }
}

macro_rules! captured {
    ($($name:ident $index:tt),+) => {
        impl<$($name: Travels),+> Captured for ($(&$name,)+) {
            type Owned = ($($name,)+);

            const COUNT: u64 = [$($index),+].len() as u64;

            fn feed(&self, to: &mut Feed<'_>) -> bool {
                $(to.write($index, self.$index))&&+
            }

            fn own(bytes: &mut &[u8]) -> Option<Self::Owned> {
                Some(($(take::<$name>(bytes).ok()?,)+))
            }
        }
    };
}

captured!(A 0);
captured!(A 0, B 1);
captured!(A 0, B 1, C 2);
captured!(A 0, B 1, C 2, D 3);
captured!(A 0, B 1, C 2, D 3, E 4);
captured!(A 0, B 1, C 2, D 3, E 4, F 5);
captured!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
captured!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

/// Encoded at once, for a map that outlives the cell.
pub(crate) struct Kept(Option<Vec<(u64, Vec<u8>)>>);

impl Kept {
    pub fn of(captured: &impl Captured) -> Self {
        let mut parts = Vec::new();
        let mut keep = |variable, bytes: &[u8]| parts.push((variable, bytes.to_vec()));
        let fed = captured.feed(&mut Feed::new(&mut keep));
        Self(fed.then_some(parts))
    }
}

impl Captured for Kept {
    type Owned = ();

    // Its variables have their places already.
    const COUNT: u64 = 0;

    fn feed(&self, to: &mut Feed<'_>) -> bool {
        for (variable, bytes) in self.0.iter().flatten() {
            to.give(*variable, bytes);
        }
        self.0.is_some()
    }

    fn own(_: &mut &[u8]) -> Option<()> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(captured: &impl Captured) -> (Vec<u8>, Vec<u64>) {
        let (mut bytes, mut variables) = (Vec::new(), Vec::new());
        let mut take = |variable, part: &[u8]| {
            bytes.extend_from_slice(part);
            variables.push(variable);
        };
        assert!(captured.feed(&mut Feed::new(&mut take)));
        variables.dedup();
        (bytes, variables)
    }

    #[test]
    fn large_numbers_lie_where_blocks_begin_and_all_come_back() {
        let count = codec::LARGE / 8 + 3;
        let large: Vec<u64> = (0..count as u64).map(|n| n | 7 << 40).collect();
        let small = vec![1.5_f32; 9];
        let one = (&"a text".to_owned(), &large);
        let (bytes, variables) = fed(&Both(one, (&small, &large, &3_u8)));
        assert_eq!(variables, [0, 1, 2, 3, 4]);
        let first = large[0].to_le_bytes();
        let second = large[1].to_le_bytes();
        let begins = bytes.windows(16).enumerate();
        let begins = begins.filter(|(_, it)| it[..8] == first && it[8..] == second);
        let begins: Vec<u64> = begins.map(|(at, _)| at as u64 % PAGE).collect();
        assert_eq!(begins, [PLACE, PLACE]);
        type All<'a> = Both<(&'a String, &'a Vec<u64>), (&'a Vec<f32>, &'a Vec<u64>, &'a u8)>;
        let mut rest = &bytes[..];
        let ((text, one), (few, other, number)) = All::own(&mut rest).unwrap();
        assert_eq!((&text[..], few, number), ("a text", small, 3));
        assert!(rest.is_empty() && one == large && other == large);
        // Cut anywhere, it is none.
        for end in [3, 20, 30, 4100, bytes.len() - 1] {
            assert!(All::own(&mut &bytes[..end]).is_none());
        }
    }
}
