//! Captured variables: lent by the cell, owned again in the other process.

use crate::checks::Travels;
use crate::codec;

/// A tuple of references to variables, which arrives as a tuple of values.
pub trait Captured {
    type Owned;

    /// How many variables there are.
    const COUNT: u64;

    /// Hands the encoded bytes over, variable by variable; false when one can't be encoded.
    fn feed(&self, to: &mut dyn FnMut(u64, &[u8])) -> bool;

    /// The values, from all their bytes.
    fn own(bytes: &mut &[u8]) -> Option<Self::Owned>;
}

/// More variables than one tuple holds.
pub struct Both<A, B>(pub A, pub B);

impl<A: Captured, B: Captured> Captured for Both<A, B> {
    type Owned = (A::Owned, B::Owned);

    const COUNT: u64 = A::COUNT + B::COUNT;

    fn feed(&self, to: &mut dyn FnMut(u64, &[u8])) -> bool {
        self.0.feed(to) && self.1.feed(&mut |index, bytes| to(A::COUNT + index, bytes))
    }

    fn own(bytes: &mut &[u8]) -> Option<Self::Owned> {
        Some((A::own(bytes)?, B::own(bytes)?))
    }
}

impl Captured for () {
    type Owned = ();

    const COUNT: u64 = 0;

    fn feed(&self, _: &mut dyn FnMut(u64, &[u8])) -> bool {
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

            fn feed(&self, to: &mut dyn FnMut(u64, &[u8])) -> bool {
                $(codec::write(self.$index, &mut |bytes| to($index, bytes)).is_ok())&&+
            }

            fn own(bytes: &mut &[u8]) -> Option<Self::Owned> {
                Some(($(codec::take(bytes, codec::form::<$name>()).ok()?,)+))
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
        let fed = captured.feed(&mut |variable, bytes| parts.push((variable, bytes.to_vec())));
        Self(fed.then_some(parts))
    }
}

impl Captured for Kept {
    type Owned = ();

    // Its variables have their places already.
    const COUNT: u64 = 0;

    fn feed(&self, to: &mut dyn FnMut(u64, &[u8])) -> bool {
        for (variable, bytes) in self.0.iter().flatten() {
            to(*variable, bytes);
        }
        self.0.is_some()
    }

    fn own(_: &mut &[u8]) -> Option<()> {
        None
    }
}
