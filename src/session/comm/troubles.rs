//! What went wrong between ranks in a cell, of what each of them has told.

use super::crossing;
use super::place;
use crate::ids::Rank;
use crate::outcome::{CommCall, CommTrouble, CommWait, RankState};
use crate::session::types::shorten;
use crate::wire::world::{Call, CommTold, State, Waiting};

/// A rank that waited in vain, and for what.
pub(super) type Waited = (u32, Waiting);

/// Ranks that wait for each other, or for those that are gone.
#[derive(Default)]
pub(super) struct Stuck {
    pub waits: Vec<Waited>,
    pub others: Vec<(u32, State)>,
}

/// What went wrong in a cell: ranks that wait in vain for the same are told of together.
pub(in crate::session) fn troubles(told: &[(Rank, CommTold)]) -> Vec<CommTrouble> {
    let mut all: Vec<CommTrouble> = Vec::new();
    let mut stuck: Vec<Stuck> = Vec::new();
    // Those who wait for one that is gone, each of whom tells for itself, and those who have met another call.
    let (mut gone, mut crossed) = (Stuck::default(), Vec::new());
    for (rank, told) in told {
        match told {
            CommTold::Deadlock { waits, others } => stuck.push(Stuck {
                waits: waits.clone(),
                others: others.clone(),
            }),
            CommTold::Gone {
                waiting,
                rank: other,
                state,
            } => {
                gone.waits.push((rank.0, waiting.clone()));
                if !gone.others.iter().any(|(of, _)| of == other) {
                    gone.others.push((*other, *state));
                }
            }
            CommTold::Crossed { waiting } => crossed.push((rank.0, waiting.clone())),
            CommTold::Mismatch {
                call: of,
                from,
                tag,
                sent,
                sent_at,
                wanted,
                wanted_at,
            } => all.push(CommTrouble::Mismatch {
                rank: *rank,
                call: call(*of),
                from: Rank(*from),
                tag: *tag,
                sent: shorten(sent),
                sent_at: place(*sent_at),
                wanted: shorten(wanted),
                wanted_at: place(*wanted_at),
            }),
            CommTold::Unreceived { .. } => {}
        }
    }
    stuck.push(gone);
    join(&mut stuck);
    all.extend(crossing::taken_from(&mut stuck, crossed));
    all.extend(stuck.into_iter().filter_map(told_of));
    all
}

/// Who comes later to a collective call, of which others have told by then that it would be for ever, belongs to them.
fn join(stuck: &mut [Stuck]) {
    for later in 1..stuck.len() {
        let (before, rest) = stuck.split_at_mut(later);
        let Some(of) = rest.first_mut() else {
            return;
        };
        for first in before {
            let same = |wait: &Waiting| {
                let is_it = |(_, other): &Waited| {
                    other.call == wait.call && is_of(other, wait.comm, wait.number)
                };
                wait.call.is_collective() && first.waits.iter().any(is_it)
            };
            let (moved, kept): (Vec<Waited>, Vec<Waited>) =
                { of.waits.drain(..) }.partition(|(_, wait)| same(wait));
            of.waits = kept;
            // Two that have found it at the same time may both tell of a third.
            for (rank, wait) in moved {
                if !first.waits.iter().any(|(of, _)| *of == rank) {
                    first.waits.push((rank, wait));
                }
            }
            if of.waits.is_empty() {
                let is_new = |(rank, _): &(u32, State)| {
                    !first.waits.iter().any(|(of, _)| of == rank)
                        && !first.others.iter().any(|(of, _)| of == rank)
                };
                let new: Vec<(u32, State)> = of.others.drain(..).filter(is_new).collect();
                first.others.extend(new);
            }
        }
    }
}

fn told_of(mut stuck: Stuck) -> Option<CommTrouble> {
    if stuck.waits.is_empty() {
        return None;
    }
    // Who waits in vain has left only for that.
    let waits_too = |(rank, _): &(u32, State)| stuck.waits.iter().any(|(of, _)| of == rank);
    stuck.others.retain(|other| !waits_too(other));
    stuck.waits.sort_by_key(|(rank, _)| *rank);
    stuck.others.sort_unstable_by_key(|(rank, _)| *rank);
    wait_for_the_missing(&mut stuck);
    Some(CommTrouble::Stuck {
        waits: waits(&stuck.waits),
        others: others(&stuck.others),
    })
}

/// Inside a collective call ranks wait for each other along a tree: what matters is who has not reached it.
fn wait_for_the_missing(stuck: &mut Stuck) {
    let before = stuck.waits.clone();
    let all = before.iter().map(|(rank, _)| *rank);
    let all: Vec<u32> = all
        .chain(stuck.others.iter().map(|(rank, _)| *rank))
        .collect();
    for (_, wait) in &mut stuck.waits {
        if !wait.call.is_collective() {
            continue;
        }
        let same =
            |other: &&Waited| other.1.call == wait.call && is_of(&other.1, wait.comm, wait.number);
        let there: Vec<&Waited> = before.iter().filter(same).collect();
        let missing = missing(&there, &all);
        if !missing.is_empty() {
            wait.on = missing;
        }
    }
}

/// Who has not reached a collective call that these wait in, in order; `all`: whoever is known of.
pub(super) fn missing(there: &[&Waited], all: &[u32]) -> Vec<u32> {
    let Some((_, wait)) = there.first() else {
        return Vec::new();
    };
    let mut missing: Vec<u32> = match wait.call.is_for_all() {
        true => {
            let is_member = |of: &&u32| wait.members.is_empty() || wait.members.contains(of);
            all.iter().filter(is_member).copied().collect()
        }
        false => there.iter().flat_map(|it| &it.1.on).copied().collect(),
    };
    missing.retain(|rank| there.iter().all(|it| it.0 != *rank));
    missing.sort_unstable();
    missing.dedup();
    missing
}

/// Whether it is that call of the communicator.
pub(super) fn is_of(waiting: &Waiting, comm: u32, number: u64) -> bool {
    waiting.comm == comm && waiting.number == number
}

pub(super) fn waits(of: &[Waited]) -> Vec<CommWait> {
    of.iter().map(|(rank, it)| wait(*rank, it)).collect()
}

fn wait(rank: u32, waiting: &Waiting) -> CommWait {
    let mut on: Vec<Rank> = waiting.on.iter().copied().map(Rank).collect();
    on.sort_unstable();
    CommWait {
        rank: Rank(rank),
        call: call(waiting.call),
        on,
        tag: waiting.tag,
        type_name: shorten(&waiting.type_name),
        place: place(waiting.place),
        comm: waiting.comm,
    }
}

pub(super) fn others(of: &[(u32, State)]) -> Vec<(Rank, RankState)> {
    let other = |(rank, at): &(u32, State)| (Rank(*rank), state(*at));
    of.iter().map(other).collect()
}

pub(super) fn call(call: Call) -> CommCall {
    CommCall {
        name: call.name(),
        collective: call.is_collective(),
        for_all: call.is_for_all(),
    }
}

fn state(state: State) -> RankState {
    match state {
        State::NotAsked => RankState::NotAsked,
        State::Due => RankState::Due,
        State::Running => RankState::Running,
        State::Left => RankState::Left,
        State::Dead => RankState::Dead,
    }
}

#[cfg(test)]
mod tests;
