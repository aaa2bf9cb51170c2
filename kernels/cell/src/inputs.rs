//! The inputs of a map on processes: pulled from their iterator as engines want them, and encoded.

use std::ffi::c_void;

use serde::Serialize;

use crate::codec;
use crate::host::{Bytes, End, Pulled, Write};
use crate::options::MapOptions;

/// Gives inputs.
pub(crate) trait Source {
    fn pull(&mut self, to: &mut Inputs);
}

impl<S: Source + ?Sized> Source for Box<S> {
    fn pull(&mut self, to: &mut Inputs) {
        (**self).pull(to);
    }
}

/// Those of an iterator.
pub(crate) struct Iterated<It> {
    inputs: It,
    /// At most so many more.
    left: u64,
}

impl<It> Iterated<It> {
    pub fn new(inputs: It, options: &MapOptions) -> Self {
        let left = options.most();
        Self { inputs, left }
    }
}

impl<It: Iterator> Source for Iterated<It>
where
    It::Item: Serialize,
{
    fn pull(&mut self, to: &mut Inputs) {
        let form = codec::form::<It::Item>().among_errors(to.collects);
        while to.wants_more() {
            let next = if self.left > 0 {
                self.inputs.next()
            } else {
                None
            };
            let Some(input) = next else {
                to.pulled.exhausted = true;
                return;
            };
            self.left -= 1;
            if codec::append(&input, form, &mut to.bytes).is_err() {
                return to.fail(End::NotEncodable);
            }
            to.pulled.count += 1;
        }
        to.pulled.exhausted = self.left == 0 || self.inputs.size_hint() == (0, Some(0));
    }
}

/// Encoded inputs on their way to the host.
pub(crate) struct Inputs {
    pulled: Pulled,
    bytes: Vec<u8>,
    written: u64,
    /// How many are wanted, and the bytes that are enough.
    max: u64,
    most: u64,
    /// Errors may stand in the place of results.
    collects: bool,
    to: *mut c_void,
    write: Write,
}

/// Encoded bytes are handed on in parts of about this size.
const PART: usize = 1 << 20;

impl Inputs {
    #[inline]
    fn wants_more(&mut self) -> bool {
        if self.bytes.len() > PART {
            self.hand_on();
        }
        self.pulled.count < self.max && self.written + (self.bytes.len() as u64) < self.most
    }

    /// None so far: at the most `max`, and few more bytes than `most`.
    pub fn new(max: u64, most: u64, collects: bool, to: *mut c_void, write: Write) -> Self {
        Self {
            pulled: Pulled {
                count: 0,
                exhausted: false,
                how: End::Finished,
            },
            bytes: Vec::new(),
            written: 0,
            max,
            most,
            collects,
            to,
            write,
        }
    }

    pub fn fail(&mut self, how: End) {
        self.pulled.how = how;
    }

    /// What has been pulled, all of it handed on.
    pub fn pulled(mut self) -> Pulled {
        self.hand_on();
        self.pulled
    }

    fn hand_on(&mut self) {
        (self.write)(self.to, Bytes::of(&self.bytes));
        self.written += self.bytes.len() as u64;
        self.bytes.clear();
    }
}

/// How many inputs a map has; `u64::MAX` when the iterator does not say.
pub(crate) fn length(inputs: &impl Iterator, options: &MapOptions) -> u64 {
    exact(inputs.size_hint(), options.most())
}

/// Refuses inputs that say themselves that they never end, of a map that wants all of them.
///
/// # Panics
/// When they do.
#[track_caller]
pub(crate) fn must_end(inputs: &impl Iterator, options: &MapOptions) {
    if options.most() == u64::MAX && inputs.size_hint().0 == usize::MAX {
        panic!("{ENDLESS}");
    }
}

const ENDLESS: &str = "the inputs never end: `.take(n)` takes the first ones, `pool::map_iter` as many as are asked for";

fn exact(hint: (usize, Option<usize>), most: u64) -> u64 {
    match hint {
        (low, _) if low as u64 >= most => most,
        (low, Some(high)) if low == high => low as u64,
        _ => u64::MAX,
    }
}
