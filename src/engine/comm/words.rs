//! What a cell's panic says when a call has failed. How the ranks have come to that the session tells, which knows of
//! all of them.

use regatta_cell::comm::table::Op;

use super::{Trouble, in_plain_cell};
use crate::wire::world::{Call, CommTold, State};

impl Trouble {
    pub fn text(&self) -> String {
        match self {
            Self::Usage(text) => text.clone(),
            Self::Deadlock(call) => {
                let alone = match in_plain_cell() {
                    true => ": a plain cell is one rank alone; ranks are those of `%px`",
                    false => "",
                };
                format!("`comm::{}` would wait for ever{alone}", call.name())
            }
            Self::Stopped(call) => format!("`comm::{}` was interrupted", call.name()),
            Self::Interrupted => "`comm`: the cell was interrupted".to_owned(),
            Self::Told(told) => text_of(told),
        }
    }
}

fn text_of(told: &CommTold) -> String {
    match told {
        CommTold::Deadlock { waits, .. } => match &waits[..] {
            [(_, waiting)] => {
                let call = waiting.call.name();
                format!("`comm::{call}` would wait for ever: nobody is left to end that")
            }
            _ => "a deadlock: these ranks would wait for ever".to_owned(),
        },
        CommTold::Gone {
            waiting,
            rank,
            state,
        } => {
            let call = waiting.call.name();
            format!(
                "`comm::{call}` would wait for ever: rank {rank} {}",
                where_is(*state)
            )
        }
        CommTold::Mismatch {
            call,
            from,
            sent,
            sent_at,
            wanted,
            ..
        } => {
            let at = sent_at.map_or_else(String::new, |at| format!(" at {at}"));
            let call = call.name();
            format!("rank {from} has sent `{sent}`{at}, and `comm::{call}` receives `{wanted}`")
        }
        CommTold::Crossed { waiting } => {
            let call = waiting.call.name();
            let Some(met) = waiting.met.first() else {
                return format!("`comm::{call}` would wait for ever");
            };
            let at = met.place.map_or_else(String::new, |at| format!(" at {at}"));
            let (other, other_call) = (met.rank, met.call.name());
            format!("rank {other} is in `comm::{other_call}`{at}, and this rank in `comm::{call}`")
        }
        CommTold::Unreceived { .. } => String::new(),
    }
}

/// Of a rank that sends nothing any more.
fn where_is(state: State) -> &'static str {
    match state {
        State::NotAsked => "does not take part in this cell",
        State::Left => "has left the cell",
        State::Dead => "has died",
        State::Due | State::Running => "is still running",
    }
}

/// Of a request.
pub const OVER: &str = "the request is over, or belongs to engines that are gone";

/// Ranks that do not agree in their root.
pub fn another_root(rank: u32, theirs: u32, ours: u32) -> String {
    format!("rank {rank} has rank {theirs} as the root, and this rank {ours}: all have the same")
}

/// Ranks that do not agree in what they do with their numbers.
pub fn another_op(rank: u32, theirs: Op, ours: Op) -> String {
    let (theirs, ours) = (theirs.name(), ours.name());
    format!(
        "rank {rank} has `comm::op::{theirs}`, and this rank `comm::op::{ours}`: all have the same"
    )
}

/// What stands in front of a call that cannot be made.
pub fn of(call: Call, what: &str) -> Trouble {
    Trouble::Usage(format!("`comm::{}`: {what}", call.name()))
}
