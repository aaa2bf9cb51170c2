//! Why the result of a call is kept, or is not: `%memo explain`.

use serde::{Deserialize, Serialize};

use crate::ids::CellId;

/// What a function whose results are kept goes by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeOf {
    pub function: Part,
    /// The definitions that it reaches.
    pub items: Vec<Part>,
    /// The crates, with their versions.
    pub crates: Vec<(String, String)>,
    /// As it describes itself.
    pub rustc: String,
}

/// A definition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Of an `impl`: what it is for.
    pub name: String,
    /// A hash of its tokens: two of the same mean the same.
    pub tokens: u64,
    /// As it was written.
    pub text: String,
}

/// What is known of the result of a call, without running it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoExplained {
    pub function: String,
    /// As the user wrote them, or as they were encoded.
    pub arguments: String,
    pub why: MemoWhy,
    pub disk: MemoDisk,
    /// Only good results are kept of it.
    pub good_only: bool,
}

/// Whether results of a function are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemoDisk {
    Used,
    /// `--no-disk`, or there is no folder for it.
    Unwanted,
    /// Its file cannot be read.
    Unreadable,
}

/// Why a call would find its result, or would compute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemoWhy {
    /// It would find it.
    There {
        /// In the memory of the local engine; otherwise on disk.
        in_memory: bool,
        /// Nanoseconds that computing it took.
        took: u64,
        /// Who made it, where that is known.
        made: Option<Made>,
        /// Milliseconds since 1970.
        good_until: Option<u64>,
    },
    /// It has not been computed by this definition, nor by an earlier one.
    Never {
        nearest: Vec<Nearest>,
        /// How many other results this definition has.
        others: u64,
    },
    /// An earlier definition has computed it.
    Changed { changes: Vec<Change>, made: Made },
    /// It is too old.
    Expired {
        /// Milliseconds since 1970.
        at: u64,
        /// For how many milliseconds a result is good.
        ttl: u64,
        made: Option<Made>,
    },
    /// It had to go for other results.
    Dropped {
        /// From the memory of the local engine; otherwise from the disk.
        from_memory: bool,
        /// Bytes that the function's results may take.
        limit: u64,
        /// Milliseconds since 1970, where that is known.
        at: Option<u64>,
    },
}

impl MemoWhy {
    pub fn is_hit(&self) -> bool {
        matches!(self, Self::There { .. })
    }
}

/// By whom and when a result was computed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// Milliseconds since 1970.
    pub at: u64,
    /// When that session began, milliseconds since 1970.
    pub session: u64,
    pub this_session: bool,
    pub by: Maker,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Maker {
    /// The local engine.
    #[default]
    Local,
    /// A thread of its pools.
    Thread(u32),
    Engine {
        pool: String,
        rank: u32,
    },
}

/// Other arguments whose result is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nearest {
    pub arguments: String,
    pub made: Made,
}

/// What has changed since a result was computed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub what: Changed,
    /// The cell of this session that has changed it, if it was one.
    pub cell: Option<CellId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Changed {
    /// The function itself.
    Body {
        lines: Vec<DiffLine>,
    },
    /// A definition that it reaches.
    Item {
        name: String,
        lines: Vec<DiffLine>,
    },
    /// It did not reach this one.
    Added {
        name: String,
    },
    /// It reaches this one no more.
    Gone {
        name: String,
    },
    /// Another version; of a crate that is new or gone, an empty one.
    Crate {
        name: String,
        before: String,
        now: String,
    },
    Rustc {
        before: String,
        now: String,
    },
}

/// A line of a changed definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffLine {
    pub kind: DiffKind,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiffKind {
    Same,
    Before,
    Now,
}
