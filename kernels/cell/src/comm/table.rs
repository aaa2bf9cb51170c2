//! The C side of messages: what the cell crate hands to the engine, which has all of it. Nothing here is copied or
//! encoded on the way of a number.

use std::ffi::c_void;

use crate::host::{Bytes, Write};

/// Stands for any rank, and for any tag.
pub const ANY_RANK: u32 = u32::MAX;
pub const ANY_TAG: i32 = -1;

/// Stands for nobody: what goes there is gone, and nothing comes from there.
pub const PROC_NULL: u32 = u32::MAX - 1;

/// The color of who is to be in no communicator.
pub const UNDEFINED: u32 = u32::MAX;

/// The number of the communicator that has no ranks.
pub const NULL: u32 = u32::MAX;

/// What a collective is called in the cell where it is made of another one: its envelope's tag.
pub mod called {
    pub const REDUCE: i32 = 1;
    pub const ALL_REDUCE: i32 = 2;
    pub const SCAN: i32 = 3;
    pub const EXSCAN: i32 = 4;
    pub const REDUCE_SCATTER: i32 = 5;

    /// As its function is called in `comm`.
    pub(in crate::comm) const fn name(call: i32) -> &'static str {
        match call {
            REDUCE => "reduce",
            ALL_REDUCE => "all_reduce",
            SCAN => "scan",
            EXSCAN => "exscan",
            _ => "reduce_scatter",
        }
    }
}

/// To or from whom, what, and where in the cell. All of it lives for the call alone.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Envelope {
    /// The communicator: 0 is all of the pool.
    pub comm: u32,
    /// The other rank, in the communicator's numbers; the root of a collective.
    pub peer: u32,
    pub tag: i32,
    /// See [`Kind`].
    pub kind: Kind,
    /// The type as its user calls it.
    pub name: Bytes,
    /// Where the call stands; the file as a panic's location has it, in the artifact's own memory.
    pub file: Bytes,
    pub line: u32,
}

/// How a value's bytes are to be read.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kind(pub u32);

impl Kind {
    /// Encoded by serde; the name of the type tells what it is.
    pub const ENCODED: Self = Self(0);
    /// No value at all.
    pub const NOTHING: Self = Self(1);
    const ONE: u32 = 0x100;
    const MANY: u32 = 0x200;

    /// One number as it lies in memory.
    #[must_use]
    #[inline]
    pub const fn one(number: Number) -> Self {
        Self(Self::ONE | number as u32)
    }

    /// A row of them.
    #[must_use]
    #[inline]
    pub const fn many(number: Number) -> Self {
        Self(Self::MANY | number as u32)
    }

    /// The type of its numbers, when it is of numbers.
    #[must_use]
    #[inline]
    pub fn number(self) -> Option<Number> {
        match self.0 & !0xff {
            Self::ONE | Self::MANY => Number::of(self.0 & 0xff),
            _ => None,
        }
    }

    #[must_use]
    #[inline]
    pub fn is_many(self) -> bool {
        self.0 & Self::MANY != 0
    }

    /// As its user calls it; empty when only the type's name tells.
    #[must_use]
    pub fn text(self) -> String {
        match self.number() {
            Some(number) if self.is_many() => format!("[{}]", number.name()),
            Some(number) => number.name().to_owned(),
            None => String::new(),
        }
    }
}

macro_rules! numbers {
    ($($name:ident $type:ident $code:literal),+ $(,)?) => {
        /// A type of plain numbers.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Number {
            $($name = $code),+
        }

        impl Number {
            #[must_use]
            pub const fn of(code: u32) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// As Rust calls it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($type)),+
                }
            }

            /// Of one, bytes.
            #[must_use]
            pub const fn size(self) -> usize {
                match self {
                    $(Self::$name => size_of::<$type>()),+
                }
            }
        }
    };
}

numbers!(
    U8 u8 1, U16 u16 2, U32 u32 3, U64 u64 4, U128 u128 5, Usize usize 6,
    I8 i8 7, I16 i16 8, I32 i32 9, I64 i64 10, I128 i128 11, Isize isize 12,
    F32 f32 13, F64 f64 14,
);

/// What comes of a call.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done = 0,
    /// See [`crate::host::Host::failure`].
    Failed = 1,
    /// It was not to be waited for.
    NotYet = 2,
}

/// Of a message that has come.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Got {
    pub from: u32,
    pub tag: i32,
    pub bytes: u64,
}

/// Makes room for so many bytes, of the part with this number where there are several; null when there is none.
pub type Room = extern "C" fn(ctx: *mut c_void, part: u64, bytes: u64) -> *mut u8;

/// How numbers are made one.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Sum = 0,
    Prod = 1,
    Min = 2,
    Max = 3,
}

impl Op {
    pub const ALL: [Self; 4] = [Self::Sum, Self::Prod, Self::Min, Self::Max];

    /// As its function is called in `comm::op`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Prod => "prod",
            Self::Min => "min",
            Self::Max => "max",
        }
    }
}

/// Who gets the result of a reduction.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// The root.
    Root = 0,
    All = 1,
    /// Each rank that of the ranks up to itself.
    Scan = 2,
    /// Each rank that of the ranks before it; the first one nothing.
    Before = 3,
}

/// The services for messages. See [`crate::host::Host`].
#[repr(C)]
pub struct Table {
    /// The caller's rank in a communicator, and how many there are; [`ANY_RANK`] when it cannot be told, see `failure`.
    pub rank: extern "C" fn(comm: u32) -> u32,
    pub size: extern "C" fn(comm: u32) -> u32,
    pub processor_name: extern "C" fn(to: *mut c_void, write: Write),
    /// Returns when the bytes may change again.
    pub send: extern "C" fn(to: *const Envelope, value: Bytes) -> Outcome,
    /// Returns when a receive has taken it.
    pub ssend: extern "C" fn(to: *const Envelope, value: Bytes) -> Outcome,
    /// Returns at once; the number of the request, 0 when it failed.
    pub post_send: extern "C" fn(to: *const Envelope, value: Bytes) -> u64,
    pub recv: extern "C" fn(
        from: *const Envelope,
        ctx: *mut c_void,
        room: Room,
        got: *mut Got,
    ) -> Outcome,
    pub post_recv: extern "C" fn(from: *const Envelope) -> u64,
    /// Ends a request, or with `wait` false only when that needs no waiting.
    pub complete: extern "C" fn(
        of: *const Envelope,
        request: u64,
        wait: bool,
        ctx: *mut c_void,
        room: Room,
        got: *mut Got,
    ) -> Outcome,
    /// Nobody will complete this request. What is being sent goes on.
    pub forget: extern "C" fn(request: u64),
    pub sendrecv: extern "C" fn(
        to: *const Envelope,
        value: Bytes,
        from: *const Envelope,
        ctx: *mut c_void,
        room: Room,
        got: *mut Got,
    ) -> Outcome,
    /// Whether such a message has come, and of which kind; it stays.
    pub probe: extern "C" fn(of: *const Envelope, wait: bool, got: *mut Got) -> Outcome,
    pub barrier: extern "C" fn(of: *const Envelope) -> Outcome,
    /// From the root into the room of the others.
    pub broadcast:
        extern "C" fn(of: *const Envelope, value: Bytes, ctx: *mut c_void, room: Room) -> Outcome,
    /// From the root, a part for each rank, into everyone's room.
    pub scatter: extern "C" fn(
        of: *const Envelope,
        parts: *const Bytes,
        count: u64,
        ctx: *mut c_void,
        room: Room,
    ) -> Outcome,
    /// Into the root's room, a part from each rank.
    pub gather:
        extern "C" fn(of: *const Envelope, value: Bytes, ctx: *mut c_void, room: Room) -> Outcome,
    /// The same into everyone's room.
    pub all_gather:
        extern "C" fn(of: *const Envelope, value: Bytes, ctx: *mut c_void, room: Room) -> Outcome,
    /// From each rank a part for each rank.
    pub all_to_all: extern "C" fn(
        of: *const Envelope,
        parts: *const Bytes,
        count: u64,
        ctx: *mut c_void,
        room: Room,
    ) -> Outcome,
    /// Of numbers, one by one; `to` has room for as many, or is null where nothing comes.
    pub reduce: extern "C" fn(
        of: *const Envelope,
        who: Reduction,
        op: Op,
        numbers: Bytes,
        to: *mut u8,
    ) -> Outcome,
    /// Makes a communicator of all that give the same color, in the order of their keys; [`NULL`] for [`UNDEFINED`].
    pub split: extern "C" fn(of: *const Envelope, color: u32, key: i64, comm: *mut u32) -> Outcome,
    /// The place of a request that [`Self::complete`] can end at once; requests of number 0 are none.
    pub await_any: extern "C" fn(
        of: *const Envelope,
        requests: *const u64,
        count: u64,
        wait: bool,
        done: *mut u64,
    ) -> Outcome,
    /// A number of this function, the same in all engines; 0 when it has none.
    pub function: extern "C" fn(function: *const c_void) -> u64,
}
