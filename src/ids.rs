//! Ids and names as types of their own, so that a rank cannot be passed where a job is meant.
//! The lowest room: it knows nothing of any other.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u32);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number_id!(
    /// An engine, unique in its session and never given out twice.
    EngineId
);
number_id!(
    /// An engine's number in its pool, from 0 (MPI's word).
    Rank
);
number_id!(
    /// One map or one `%px` in flight.
    JobId
);
number_id!(
    /// The number in `In [n]`, from 1.
    CellId
);

impl CellId {
    /// Every cell of the startup notebook.
    pub const STARTUP: Self = Self(0);

    /// What places in it begin with: `In [3]`.
    pub fn name(self) -> String {
        if self == Self::STARTUP {
            "init.md".to_owned()
        } else {
            format!("In [{self}]")
        }
    }
}

/// Which toolchain it is: another one has another number, and so has the same one after an update.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ToolchainStamp(pub u64);

/// A compiled cell, by what is in it and by the toolchain that built it. Wherever the same is, it has the same name;
/// where its file lies says nothing.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct ArtifactId {
    /// The hash of its bytes.
    pub content: u128,
    pub toolchain: ToolchainStamp,
}

impl fmt::Display for ArtifactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}-{:016x}", self.content, self.toolchain.0)
    }
}

/// The name of a pool, such as `p0`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PoolName(pub String);

impl From<&str> for PoolName {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl fmt::Display for PoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
