//! What stands in the place of a result that is missing.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why an item of a map has no result. `item` is the index of its input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ItemError {
    /// The function panicked; `place` such as `In [3]:2`.
    Panicked {
        item: u64,
        message: String,
        place: String,
    },
    /// The item ended three engines; how the last one ended.
    Crashed { item: u64, cause: String },
    /// Ten engines ended before they came to it; how the last one ended.
    Lost { item: u64, cause: String },
    /// It took longer than was allowed; its engine was replaced.
    TimedOut { item: u64 },
    /// The map was cancelled before it was done.
    Cancelled { item: u64 },
}

impl ItemError {
    /// The index of its input.
    #[must_use]
    pub fn item(&self) -> u64 {
        match self {
            Self::Panicked { item, .. }
            | Self::Crashed { item, .. }
            | Self::Lost { item, .. }
            | Self::TimedOut { item }
            | Self::Cancelled { item } => *item,
        }
    }
}

impl fmt::Display for ItemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked {
                item,
                message,
                place,
            } => {
                write!(f, "item {item} panicked: {message}")?;
                if place.is_empty() {
                    return Ok(());
                }
                write!(f, " ({place})")
            }
            Self::Crashed { item, cause } => {
                write!(f, "item {item} ended three engines: {cause}")
            }
            Self::Lost { item, cause } => {
                write!(
                    f,
                    "ten engines ended before they came to item {item}: {cause}"
                )
            }
            Self::TimedOut { item } => write!(f, "item {item} took longer than allowed"),
            Self::Cancelled { item } => write!(f, "item {item} was cancelled"),
        }
    }
}

impl std::error::Error for ItemError {}
