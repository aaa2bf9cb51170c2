//! Ranks that make different collective calls at the same time. Inside such calls ranks wait for each other along trees,
//! and the first that finds it ends its cell, so that others only see that it has left: what each of them was in says
//! what has happened. Pure.

use std::collections::BTreeMap;

use super::place;
use super::troubles::{Stuck, Waited, call, missing, others, waits};
use crate::ids::Rank;
use crate::outcome::{CommAt, CommTrouble};
use crate::session::types::shorten;
use crate::wire::world::{Call, State, Waiting};

/// One collective call, and who waits in it.
struct Group {
    call: Call,
    comm: u32,
    number: u64,
    waits: Vec<Waited>,
    /// Ranks that it cannot do without.
    missing: Vec<u32>,
    /// Somebody in it has met another call.
    met: bool,
}

impl Group {
    fn has(&self, rank: u32) -> bool {
        self.waits.iter().any(|(of, _)| *of == rank)
    }

    fn needs(&self, other: &Self) -> bool {
        self.missing.iter().any(|rank| other.has(*rank))
    }

    /// Another call where the other one stands.
    fn contradicts(&self, other: &Self) -> bool {
        self.comm == other.comm && self.number == other.number && self.call != other.call
    }
}

/// Takes out of the stuck ranks those that make different collective calls, and who waits for them.
pub(super) fn taken_from(stuck: &mut Vec<Stuck>, crossed: Vec<Waited>) -> Vec<CommTrouble> {
    let of_stuck = stuck.iter().flat_map(|it| it.waits.iter().cloned());
    let groups = groups(crossed.into_iter().chain(of_stuck));
    let mut found = Vec::new();
    for together in crossings(&groups) {
        let mut waits: Vec<Waited> = Vec::new();
        for group in together.iter().map(|group| &groups[*group]) {
            waits.extend(group.waits.iter().cloned());
        }
        found.push(told(&waits, stuck));
    }
    stuck.retain(|it| !it.waits.is_empty());
    found
}

fn groups(waits: impl Iterator<Item = Waited>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (rank, wait) in waits.filter(|(_, wait)| wait.call.is_collective()) {
        let is_it = |group: &Group| {
            (group.call, group.comm, group.number) == (wait.call, wait.comm, wait.number)
        };
        let place = match groups.iter().position(is_it) {
            Some(place) => place,
            None => {
                groups.push(Group {
                    call: wait.call,
                    comm: wait.comm,
                    number: wait.number,
                    waits: Vec::new(),
                    missing: Vec::new(),
                    met: false,
                });
                groups.len() - 1
            }
        };
        let group = &mut groups[place];
        group.met |= !wait.met.is_empty();
        if !group.has(rank) {
            group.waits.push((rank, wait));
        }
    }
    let all: Vec<u32> = { groups.iter() }
        .flat_map(|group| group.waits.iter().map(|(rank, _)| *rank))
        .collect();
    for group in &mut groups {
        let there: Vec<&Waited> = group.waits.iter().collect();
        group.missing = missing(&there, &all);
    }
    groups
}

/// Which groups are in each other's way: sets of them.
fn crossings(groups: &[Group]) -> Vec<Vec<usize>> {
    let count = groups.len();
    // Who cannot go on before whom, also by others.
    let mut needs: Vec<Vec<bool>> = { groups.iter() }
        .map(|one| groups.iter().map(|other| one.needs(other)).collect())
        .collect();
    for by in 0..count {
        for from in 0..count {
            for to in 0..count {
                needs[from][to] |= needs[from][by] && needs[by][to];
            }
        }
    }
    let linked = |one: usize, other: usize| {
        let (a, b) = (&groups[one], &groups[other]);
        let follows = |a: &Group, b: &Group| a.met && a.comm == b.comm && b.number >= a.number;
        one != other
            && (a.contradicts(b)
                || follows(a, b)
                || follows(b, a)
                || needs[one][other] && needs[other][one])
    };
    let mut set_of: Vec<Option<usize>> = vec![None; count];
    let mut sets: Vec<Vec<usize>> = Vec::new();
    for start in 0..count {
        let crosses = groups[start].met || (0..count).any(|other| linked(start, other));
        if set_of[start].is_some() || !crosses {
            continue;
        }
        let (mut set, mut at) = (vec![start], 0);
        set_of[start] = Some(sets.len());
        while at < set.len() {
            let is_next = |other: &usize| set_of[*other].is_none() && linked(set[at], *other);
            let next: Vec<usize> = (0..count).filter(is_next).collect();
            for other in next {
                set_of[other] = Some(sets.len());
                set.push(other);
            }
            at += 1;
        }
        sets.push(set);
    }
    sets
}

/// Where a rank was.
struct At {
    call: Call,
    type_name: String,
    place: Option<String>,
    comm: u32,
    number: u64,
}

impl At {
    fn of(wait: &Waiting) -> Self {
        Self {
            call: wait.call,
            type_name: shorten(&wait.type_name),
            place: place(wait.place),
            comm: wait.comm,
            number: wait.number,
        }
    }

    /// The same call at the same place; of what types is not known of all.
    fn is_like(&self, other: &Self) -> bool {
        let types = [&self.type_name, &other.type_name];
        (self.call, &self.place, self.comm, self.number)
            == (other.call, &other.place, other.comm, other.number)
            && (types[0] == types[1] || types.iter().any(|name| name.is_empty()))
    }
}

fn told(crossed: &[Waited], stuck: &mut [Stuck]) -> CommTrouble {
    let mut at: BTreeMap<u32, At> = { crossed.iter() }
        .map(|(rank, wait)| (*rank, At::of(wait)))
        .collect();
    let mut ended: Vec<Rank> = at.keys().copied().map(Rank).collect();
    // What a rank was seen to do stands before where it is by now: that is where it went another way.
    for (_, wait) in crossed {
        for met in &wait.met {
            let is_later = |at: &At| at.comm != wait.comm || at.number > wait.number;
            if at.get(&met.rank).is_none_or(is_later) {
                let seen = At {
                    call: met.call,
                    type_name: String::new(),
                    place: place(met.place),
                    comm: wait.comm,
                    number: wait.number,
                };
                at.insert(met.rank, seen);
            }
        }
    }
    let mut gone: Vec<(u32, State)> = Vec::new();
    let mut following: Vec<Waited> = Vec::new();
    for it in stuck.iter_mut() {
        let before = it.waits.len();
        it.waits.retain(|(rank, wait)| {
            let same = |(of, other): &Waited| of == rank && other.number == wait.number;
            !(wait.call.is_collective() && crossed.iter().any(same))
        });
        // Who waits for one of them, or for one that does.
        loop {
            let waits_for_them = |(_, wait): &Waited| {
                let is_of = |rank: &u32| {
                    at.contains_key(rank) || following.iter().any(|(of, _)| of == rank)
                };
                wait.on.iter().any(is_of)
            };
            let Some(place) = it.waits.iter().position(waits_for_them) else {
                break;
            };
            following.push(it.waits.remove(place));
        }
        if it.waits.len() < before {
            gone.extend(it.others.iter().copied());
        }
    }
    gone.sort_unstable_by_key(|(rank, _)| *rank);
    gone.dedup_by_key(|(rank, _)| *rank);
    // Of other communicators another crossing tells.
    let is_member = |rank: &u32| {
        let of = |(_, wait): &Waited| wait.members.is_empty() || wait.members.contains(rank);
        crossed.iter().any(of)
    };
    gone.retain(|(rank, _)| {
        is_member(rank) && !at.contains_key(rank) && following.iter().all(|(of, _)| of != rank)
    });
    following.sort_by_key(|(rank, _)| *rank);
    following.dedup_by_key(|(rank, _)| *rank);
    ended.extend(following.iter().map(|(rank, _)| Rank(*rank)));
    CommTrouble::Crossed {
        ended,
        calls: together(at),
        waits: waits(&following),
        others: others(&gone),
    }
}

/// Ranks in the same call at the same place together.
fn together(at: BTreeMap<u32, At>) -> Vec<CommAt> {
    let mut calls: Vec<(At, Vec<Rank>)> = Vec::new();
    for (rank, at) in at {
        match calls.iter_mut().find(|(of, _)| of.is_like(&at)) {
            Some((of, ranks)) => {
                if of.type_name.is_empty() {
                    of.type_name = at.type_name;
                }
                ranks.push(Rank(rank));
            }
            None => calls.push((at, vec![Rank(rank)])),
        }
    }
    let of = |(at, ranks): (At, Vec<Rank>)| CommAt {
        ranks,
        call: call(at.call),
        type_name: at.type_name,
        place: at.place,
        comm: at.comm,
        number: at.number,
    };
    calls.into_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::comm::troubles::troubles;
    use crate::wire::world::{CommTold, Met};

    fn in_call(call: Call, number: u64, on: &[u32]) -> Waiting {
        Waiting {
            call,
            on: on.to_vec(),
            tag: None,
            type_name: String::new(),
            place: None,
            comm: 0,
            members: Vec::new(),
            number,
            since: 0,
            met: Vec::new(),
        }
    }

    fn met(mut waiting: Waiting, rank: u32, call: Call) -> CommTold {
        waiting.met = vec![Met {
            rank,
            call,
            place: None,
        }];
        CommTold::Crossed { waiting }
    }

    fn gone(waiting: Waiting, rank: u32) -> CommTold {
        let state = State::Left;
        CommTold::Gone {
            waiting,
            rank,
            state,
        }
    }

    /// Of one crossing: who is in what.
    #[track_caller]
    fn who(all: &[CommTrouble]) -> Vec<(Vec<u32>, &'static str)> {
        let [CommTrouble::Crossed { calls, .. }] = all else {
            panic!("{all:?}");
        };
        let of = |at: &CommAt| (at.ranks.iter().map(|it| it.0).collect(), at.call.name);
        calls.iter().map(of).collect()
    }

    #[test]
    fn the_first_tells_what_it_has_met_and_the_others_that_it_has_left() {
        let told = [
            (
                Rank(0),
                met(in_call(Call::Barrier, 1, &[3]), 1, Call::AllReduce),
            ),
            (Rank(1), gone(in_call(Call::AllReduce, 1, &[0]), 0)),
            (Rank(3), gone(in_call(Call::AllReduce, 1, &[2]), 2)),
            (Rank(2), gone(in_call(Call::AllReduce, 1, &[0]), 0)),
        ];
        let all = troubles(&told);
        assert_eq!(
            who(&all),
            [(vec![0], "barrier"), (vec![1, 2, 3], "all_reduce")]
        );
        assert_eq!(all[0].ranks(), [0, 1, 2, 3].map(Rank));
    }

    #[test]
    fn of_a_deadlock_the_calls_tell() {
        let told = CommTold::Deadlock {
            waits: vec![
                (0, in_call(Call::Barrier, 4, &[2])),
                (1, in_call(Call::Broadcast, 4, &[0])),
                (2, in_call(Call::Recv, 0, &[1])),
            ],
            others: vec![(3, State::Left)],
        };
        let all = troubles(&[(Rank(1), told)]);
        assert_eq!(who(&all), [(vec![0], "barrier"), (vec![1], "broadcast")]);
        let [CommTrouble::Crossed { waits, others, .. }] = &all[..] else {
            panic!("{all:?}");
        };
        assert_eq!(waits[0].rank, Rank(2));
        assert_eq!(others[0].0, Rank(3));
        assert_eq!(all[0].ranks(), [0, 1, 2].map(Rank));
    }

    #[test]
    fn who_has_gone_on_is_told_where_it_went_another_way() {
        // Rank 0 has sent its part of a gather and is in the barrier that comes next; rank 2 has ended after it.
        let told = [
            (
                Rank(1),
                met(in_call(Call::Barrier, 1, &[0]), 0, Call::Gather),
            ),
            (Rank(0), gone(in_call(Call::Barrier, 2, &[1]), 1)),
        ];
        let all = troubles(&told);
        assert_eq!(who(&all), [(vec![0], "gather"), (vec![1], "barrier")]);
        assert_eq!(all[0].ranks(), [0, 1].map(Rank));
        let left = [(
            Rank(1),
            met(in_call(Call::Barrier, 1, &[0]), 0, Call::Gather),
        )];
        assert_eq!(troubles(&left)[0].ranks(), [Rank(1)]);
    }

    #[test]
    fn two_communicators_that_wait_for_each_other() {
        let of = |comm: u32, members: &[u32], on: &[u32]| {
            let mut waiting = in_call(Call::Barrier, 1, on);
            (waiting.comm, waiting.members) = (comm, members.to_vec());
            waiting
        };
        let told = CommTold::Deadlock {
            waits: vec![
                (0, of(3, &[0, 2], &[2])),
                (1, of(0, &[], &[0])),
                (2, of(0, &[], &[1])),
            ],
            others: Vec::new(),
        };
        assert_eq!(
            who(&troubles(&[(Rank(1), told)])),
            [(vec![0], "barrier"), (vec![1, 2], "barrier")]
        );
        // Halves that each go wrong are told of apart.
        let halves = [
            (Rank(0), met(of(5, &[0, 2], &[2]), 2, Call::Scan)),
            (Rank(1), met(of(6, &[1, 3], &[3]), 3, Call::Scan)),
        ];
        assert_eq!(troubles(&halves).len(), 2);
    }

    #[test]
    fn a_collective_that_some_have_not_reached_is_no_crossing() {
        let told = CommTold::Deadlock {
            waits: vec![
                (0, in_call(Call::Barrier, 1, &[4])),
                (1, in_call(Call::Barrier, 1, &[0])),
                (2, in_call(Call::Recv, 0, &[0])),
            ],
            others: vec![(3, State::Left), (4, State::Left)],
        };
        let all = troubles(&[(Rank(1), told)]);
        let [CommTrouble::Stuck { waits, .. }] = &all[..] else {
            panic!("{all:?}");
        };
        // All who are missing, whomever a rank waits for along the tree.
        assert_eq!(waits[0].on, [2, 3, 4].map(Rank));
    }
}
