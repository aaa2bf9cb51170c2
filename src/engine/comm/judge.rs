//! Looks for deadlocks: ranks that wait for nothing but each other, and for ranks that send nothing any more.

use std::sync::atomic::Ordering;

use super::meeting::Meeting;
use super::ring::holds_something;
use super::synchronous::is_taken;
use super::world::World;
use crate::wire::world::{Call, State, Waiting, block, row};

/// How ranks speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Memory,
    /// A rank that waits notes what has come, and in a collective call it waits for all whom it names.
    Mpi,
}

/// What was seen of a rank.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    /// It may send something yet.
    Free,
    Waits(u64, Waiting),
    Gone(State),
}

/// All of a deadlock: who waits for what, and where the others are for whom they wait.
pub struct Deadlock {
    pub waits: Vec<(u32, Waiting)>,
    pub others: Vec<(u32, State)>,
    numbers: Vec<(u32, u64)>,
}

impl Deadlock {
    /// Whether somebody else tells of it: where ranks are on several hosts, the host of the first of them does.
    pub fn is_anothers(&self, world: &World) -> bool {
        let first = self.numbers.first();
        first.is_some_and(|(rank, _)| world.is_elsewhere(*rank))
    }
}

/// The deadlock that this rank is in. Two looks must agree: while it looked, nobody moved.
pub fn deadlock_of(world: &World, rank: u32, way: Way) -> Option<Deadlock> {
    let seen = look(world);
    let stuck = stuck(&seen, way);
    if !stuck[rank as usize] {
        return None;
    }
    let deadlock = taken_from(&seen, &stuck, way);
    let still = look(world);
    let is_same = |(of, _): &(u32, _)| still[*of as usize] == seen[*of as usize];
    let same = deadlock.waits.iter().all(is_same)
        && deadlock
            .others
            .iter()
            .all(|(of, _)| still[*of as usize] == seen[*of as usize]);
    // What is under way for one of them was written before its sender began to wait, or left.
    let all = 0..world.size();
    let quiet = |(of, waiting): &(u32, Waiting)| match way {
        Way::Memory => !all.clone().any(|from| holds(world, *of, from)),
        Way::Mpi if waiting.call.is_collective() => {
            Meeting::of(world, waiting.comm).round() == waiting.number
        }
        Way::Mpi if waiting.call == Call::Ssend => {
            let number = waiting.number as u32;
            !{ waiting.on.iter() }.any(|to| is_taken(world, *to, *of, number))
        }
        Way::Mpi => !waiting.on.iter().any(|from| comes(world, *of, *from)),
    };
    (same && deadlock.waits.iter().all(quiet) && unmoved(world, &deadlock)).then_some(deadlock)
}

/// Whether something is under way between ranks that share memory.
pub fn holds(world: &World, to: u32, from: u32) -> bool {
    world.has_spoken(to, from) && holds_something(world, to, from)
}

/// Whether a message of MPI's is under way.
pub fn comes(world: &World, to: u32, from: u32) -> bool {
    let count = |at: u64| world.word(at).load(Ordering::SeqCst);
    let sent = count(world.layout().row(from, to) + row::SENT);
    sent != count(world.layout().row(to, from) + row::ARRIVED)
}

fn unmoved(world: &World, deadlock: &Deadlock) -> bool {
    let numbers = &deadlock.numbers;
    numbers
        .iter()
        .all(|(of, number)| world.waiting_number(*of) == *number)
}

/// Ends the waits of all of them; false when another rank has done so.
pub fn condemn(world: &World, deadlock: &Deadlock, tell: impl FnOnce()) -> bool {
    let mut tell = Some(tell);
    for (of, number) in &deadlock.numbers {
        let word = world.of(*of, block::CONDEMNED);
        let before = word.load(Ordering::SeqCst);
        if tell.is_some() {
            let claimed = before != *number
                && word
                    .compare_exchange(before, *number, Ordering::SeqCst, Ordering::SeqCst)
                    .is_ok();
            let Some(tell) = tell.take_if(|_| claimed) else {
                return false;
            };
            tell();
        } else {
            word.store(*number, Ordering::SeqCst);
        }
        world.ring(*of);
    }
    true
}

fn look(world: &World) -> Vec<Seen> {
    let wants_room = |rank| world.of(rank, block::WANTS_ROOM).load(Ordering::SeqCst) != 0;
    let of = |rank| match world.state(rank) {
        // Who waits for room gets it from whoever waits too.
        State::Running | State::Due if wants_room(rank) => Seen::Free,
        State::Running | State::Due => world
            .waiting(rank)
            .map_or(Seen::Free, |(number, waiting)| Seen::Waits(number, waiting)),
        gone => Seen::Gone(gone),
    };
    (0..world.size()).map(of).collect()
}

/// Which ranks wait for ever: the largest set whose members wait for its members and for ranks that are gone.
fn stuck(seen: &[Seen], way: Way) -> Vec<bool> {
    let waits = |seen: &Seen| matches!(seen, Seen::Waits(..));
    let mut stuck: Vec<bool> = seen.iter().map(waits).collect();
    loop {
        let may_hear = |rank: usize| match &seen[rank] {
            // Who waits for nobody is about to go on.
            Seen::Waits(_, waiting) if waiting.on.is_empty() => true,
            Seen::Waits(_, waiting) => {
                let may_come = |of: &u32| {
                    let of = *of as usize;
                    !stuck.get(of).copied().unwrap_or(true)
                        && !matches!(seen.get(of), Some(Seen::Gone(_)) | None)
                };
                match way == Way::Mpi && waiting.call.is_collective() {
                    true => waiting.on.iter().all(may_come),
                    false => waiting.on.iter().any(may_come),
                }
            }
            _ => true,
        };
        let freed: Vec<usize> = (0..seen.len())
            .filter(|rank| stuck[*rank] && may_hear(*rank))
            .collect();
        if freed.is_empty() {
            return stuck;
        }
        for rank in freed {
            stuck[rank] = false;
        }
    }
}

/// What is told of the stuck ranks.
fn taken_from(seen: &[Seen], stuck: &[bool], way: Way) -> Deadlock {
    let mut waits = Vec::new();
    let mut numbers = Vec::new();
    let mut others: Vec<(u32, State)> = Vec::new();
    for (rank, seen_of) in (0..).zip(seen) {
        let Seen::Waits(number, waiting) = seen_of else {
            continue;
        };
        if !stuck[rank as usize] {
            continue;
        }
        let members = waiting.members.iter().chain(&waiting.on);
        for other in members {
            if let Some(Seen::Gone(state)) = seen.get(*other as usize)
                && !others.iter().any(|(of, _)| of == other)
            {
                others.push((*other, *state));
            }
        }
        if waiting.call.is_collective() && waiting.members.is_empty() {
            for (other, seen) in (0..).zip(seen) {
                if let Seen::Gone(state) = seen
                    && !others.iter().any(|(of, _)| *of == other)
                {
                    others.push((other, *state));
                }
            }
        }
        numbers.push((rank, *number));
        waits.push((rank, waiting.clone()));
    }
    others.sort_unstable_by_key(|(of, _)| *of);
    if way == Way::Mpi {
        forget_who_came(&mut waits);
    }
    Deadlock {
        waits,
        others,
        numbers,
    }
}

/// What a rank has written of a collective call names those who were not there then: some are by now.
fn forget_who_came(waits: &mut [(u32, Waiting)]) {
    let call = |waiting: &Waiting| (waiting.call, waiting.comm, waiting.number);
    let there: Vec<_> = waits.iter().map(|(rank, it)| (*rank, call(it))).collect();
    for (_, waiting) in waits.iter_mut().filter(|(_, it)| it.call.is_collective()) {
        let own = call(waiting);
        waiting.on.retain(|on| !there.contains(&(*on, own)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::world::Call;

    fn waits(on: &[u32]) -> Seen {
        let waiting = Waiting {
            call: Call::Recv,
            on: on.to_vec(),
            tag: None,
            type_name: "f64".to_owned(),
            place: None,
            comm: 0,
            members: Vec::new(),
            number: 0,
            since: 0,
            met: Vec::new(),
        };
        Seen::Waits(2, waiting)
    }

    fn stuck_of(seen: &[Seen]) -> Vec<u32> {
        let stuck = stuck(seen, Way::Memory);
        (0..)
            .zip(stuck)
            .filter(|(_, is)| *is)
            .map(|(of, _)| of)
            .collect()
    }

    #[test]
    fn a_cycle_is_stuck_and_so_is_who_waits_for_it() {
        let seen = [
            waits(&[1]),
            waits(&[0]),
            waits(&[0]),
            Seen::Free,
            waits(&[3]),
        ];
        assert_eq!(stuck_of(&seen), [0, 1, 2]);
    }

    #[test]
    fn who_waits_for_any_is_stuck_when_all_are() {
        let any = waits(&[0, 1, 2]);
        let gone = Seen::Gone(State::Left);
        assert_eq!(stuck_of(&[any.clone(), waits(&[0]), gone.clone()]), [0, 1]);
        assert_eq!(stuck_of(&[any, Seen::Free, gone]), [] as [u32; 0]);
    }

    #[test]
    fn a_collective_of_mpi_waits_for_all() {
        let mut meets = waits(&[1, 2]);
        if let Seen::Waits(_, waiting) = &mut meets {
            waiting.call = Call::Barrier;
        }
        let seen = [meets, Seen::Free, Seen::Gone(State::Left)];
        assert_eq!(stuck(&seen, Way::Mpi), [true, false, false]);
        assert_eq!(stuck(&seen, Way::Memory), [false, false, false]);
    }

    #[test]
    fn who_has_come_to_a_collective_of_mpi_is_not_waited_for() {
        let barrier = |on: &[u32]| match waits(on) {
            Seen::Waits(number, mut waiting) => {
                waiting.call = Call::Barrier;
                Seen::Waits(number, waiting)
            }
            other => other,
        };
        // The first has not looked since the third came.
        let seen = [barrier(&[1, 2]), Seen::Gone(State::Left), barrier(&[1])];
        let deadlock = taken_from(&seen, &stuck(&seen, Way::Mpi), Way::Mpi);
        let on: Vec<&[u32]> = deadlock.waits.iter().map(|(_, it)| &it.on[..]).collect();
        assert_eq!(on, [[1], [1]]);
    }

    #[test]
    fn who_waits_for_one_that_is_gone_is_stuck() {
        let seen = [waits(&[1]), Seen::Gone(State::Dead), waits(&[0])];
        assert_eq!(stuck_of(&seen), [0, 2]);
        let deadlock = taken_from(&seen, &stuck(&seen, Way::Memory), Way::Memory);
        assert_eq!(deadlock.others, [(1, State::Dead)]);
        assert_eq!(deadlock.waits.len(), 2);
    }
}
