//! Why a map failed, as its caller is told: code that waits for it, and lists of jobs.

use std::fmt;

use crate::pool::{MapFailure, MapFault};

impl fmt::Display for MapFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.item;
        let place = place.map_or_else(|| "the map".to_owned(), |item| format!("item {item}"));
        match &self.what {
            MapFault::Panicked(panic) => {
                write!(f, "{place} panicked{}: {}", panic.at(), panic.message)
            }
            MapFault::Crashed(cause) => write!(f, "{place} ended three engines: {cause}"),
            MapFault::Lost(cause) => {
                write!(f, "ten engines ended before they came to {place}: {cause}")
            }
            MapFault::TimedOut => write!(f, "{place} took longer than allowed"),
            MapFault::NoEngineLeft => f.write_str("no engine is left"),
            MapFault::Interrupted { .. } => f.write_str("it was interrupted"),
            MapFault::PlanOnly => f.write_str("only the plan was wanted"),
            MapFault::Inputs(why) => f.write_str(why),
            MapFault::InputsPanicked(panic) => {
                write!(f, "the inputs panicked{}: {}", panic.at(), panic.message)
            }
        }
    }
}
