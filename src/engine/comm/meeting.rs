//! Where members of a communicator of MPI's meet before a collective call. MPI's own calls cannot be left once they have
//! begun, and what they do when members do not fit together is MPI's own affair: they hang, or give wrong numbers. So
//! nobody begins one before all are there with the same call, and until then each can turn back: when Ctrl-C ends the
//! wait, or when somebody will never come.

use std::sync::atomic::{AtomicU64, Ordering};

use regatta_cell::comm::table::{Envelope, Kind, Op};
use xxhash_rust::xxh3::xxh3_64;

use super::matching::{LONGEST_NAME, owned};
use super::shared::Shared;
use super::world::World;
use crate::wire::world::{Call, block, meeting};

/// What a member comes with, where that is the same for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Brings {
    pub call: Call,
    pub root: Option<u32>,
    /// How numbers are made one.
    pub op: Option<Op>,
    /// Of values that are given and taken; otherwise [`Kind::NOTHING`].
    pub kind: Kind,
    /// Of numbers that are folded.
    pub bytes: u64,
    /// Of values that serde writes: what the name of their type makes, see [`number_of`]; otherwise 0.
    pub name: u64,
}

/// The number of a type's name: what is borrowed travels as what is owned.
pub fn number_of(name: &[u8]) -> u64 {
    let name = owned(name);
    xxh3_64(&name[..name.len().min(LONGEST_NAME)]) | 1
}

impl Brings {
    pub fn call(call: Call) -> Self {
        Self {
            call,
            root: None,
            op: None,
            kind: Kind::NOTHING,
            bytes: 0,
            name: 0,
        }
    }

    /// With values of the envelope's type.
    pub fn values(self, of: &Envelope) -> Self {
        let name = match of.kind {
            Kind::ENCODED => number_of(Shared::name(of)),
            _ => 0,
        };
        Self {
            kind: of.kind,
            name,
            ..self
        }
    }

    pub fn to_root(call: Call, root: u32) -> Self {
        Self {
            root: Some(root),
            ..Self::call(call)
        }
    }

    /// `op and one 3 │ kind 13 │ root and one 11 │ call 5`, the bytes, and the name. A call is its place in [`Call::ALL`].
    fn words(self) -> [u64; 3] {
        let place = Call::ALL.iter().position(|it| *it == self.call);
        let root = self.root.map_or(0, |root| u64::from(root) + 1);
        let call = place.unwrap_or_default() as u64;
        let op = self.op.map_or(0, |op| op as u64 + 1);
        let head = op << 29 | u64::from(self.kind.0) << 16 | root << 5 | call;
        [head, self.bytes, self.name]
    }

    fn of(words: [u64; 3]) -> Self {
        let [head, bytes, name] = words;
        let call = Call::ALL.get((head & 0x1f) as usize);
        Self {
            call: call.copied().unwrap_or(Call::Barrier),
            root: (head >> 5 & 0x7ff).checked_sub(1).map(|root| root as u32),
            op: (head >> 29 & 7)
                .checked_sub(1)
                .and_then(|place| Op::ALL.get(place as usize).copied()),
            kind: Kind((head >> 16) as u32 & 0x1fff),
            bytes,
            name,
        }
    }
}

/// What stands at a meeting's place, one number, so that coming, going and beginning cannot overlap:
/// `round 18 │ come 11 │ differ 1 │ digest 32`, from the highest bit but two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct Come {
    round: u64,
    count: u64,
    /// Somebody came with something else than who came first; who has turned back may have been it.
    differ: bool,
    /// Of what the first one came with.
    digest: u64,
}

const ROUNDS: u64 = 1 << 18;

impl Come {
    fn of(number: u64) -> Self {
        let part = |at: u32, bits: u32| number >> at & ((1 << bits) - 1);
        Self {
            round: part(44, 18),
            count: part(33, 11),
            differ: part(32, 1) == 1,
            digest: part(0, 32),
        }
    }

    fn number(self) -> u64 {
        self.round << 44 | self.count << 33 | u64::from(self.differ) << 32 | self.digest
    }

    fn with(mut self, digest: u64) -> Self {
        if self.count == 0 {
            (self.digest, self.differ) = (digest, false);
        }
        self.differ |= self.digest != digest;
        self.count += 1;
        self
    }

    fn next_round(self) -> Self {
        Self {
            round: (self.round + 1) % ROUNDS,
            ..Self::default()
        }
    }
}

/// Two members that do not fit together: rank in the communicator, and what it came with.
pub type Crossed = [(u32, Brings); 2];

/// How a member has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Others are missing in this round.
    Early(u64),
    /// All are there.
    Last(u64),
}

/// The meeting of a communicator.
#[derive(Clone, Copy)]
pub struct Meeting<'a> {
    world: &'a World,
    /// Where it lies.
    at: u64,
}

impl<'a> Meeting<'a> {
    /// `comm`: its number in the world, less than [`meeting::MOST`].
    pub fn of(world: &'a World, comm: u32) -> Self {
        let at = world.layout().meeting(comm.min(meeting::MOST - 1));
        Self { world, at }
    }

    fn come(&self) -> &'a AtomicU64 {
        self.world.word(self.at + meeting::COME)
    }

    pub fn round(&self) -> u64 {
        Come::of(self.come().load(Ordering::SeqCst)).round
    }

    /// A member comes. `members`: ranks of the world.
    pub fn arrive(&self, members: &[u32], rank: u32, brings: Brings) -> Arrival {
        let words = brings.words();
        let own = members[rank as usize];
        for (at, word) in block::BRINGS.into_iter().zip(words) {
            self.world.of(own, at).store(word, Ordering::SeqCst);
        }
        let digest = xxh3_64(words.map(u64::to_ne_bytes).as_flattened()) & u64::from(u32::MAX);
        let mut number = self.come().load(Ordering::SeqCst);
        loop {
            let come = Come::of(number).with(digest);
            let all = come.count == members.len() as u64;
            let next = if all {
                // Only who is last writes here, and nobody reads it before the round is over.
                self.write_found(come, members);
                come.next_round()
            } else {
                come
            };
            match self.swap(number, next) {
                Ok(_) if all => return Arrival::Last(come.round),
                Ok(_) => return Arrival::Early(come.round),
                Err(now) => number = now,
            }
        }
    }

    /// A member turns back; false: all have come meanwhile.
    pub fn turn_back(&self, round: u64) -> bool {
        let mut number = self.come().load(Ordering::SeqCst);
        loop {
            let mut come = Come::of(number);
            if come.round != round || come.count == 0 {
                return false;
            }
            come.count -= 1;
            match self.swap(number, come) {
                Ok(_) => return true,
                Err(now) => number = now,
            }
        }
    }

    fn swap(&self, from: u64, to: Come) -> Result<u64, u64> {
        let (to, order) = (to.number(), Ordering::SeqCst);
        self.come().compare_exchange(from, to, order, order)
    }

    fn found(&self, round: u64) -> [&'a AtomicU64; 5] {
        let words = meeting::FOUND[(round % 2) as usize];
        words.map(|at| self.world.word(self.at + at))
    }

    /// `heads of both`, `first rank │ bytes`, `other rank and one │ bytes`, and the names of both; in the third, 0: all
    /// fit together.
    fn write_found(&self, come: Come, members: &[u32]) {
        let words = match come.differ {
            true => self.differing(members).map_or([0; 5], |pair| {
                let [(first, words), (other, others)] = pair;
                let ([head, bytes, name], [other_head, other_bytes, other_name]) = (words, others);
                let with = |rank: u64, bytes: u64| rank << 48 | bytes & BYTES;
                [
                    other_head << 32 | head,
                    with(first, bytes),
                    with(other + 1, other_bytes),
                    name,
                    other_name,
                ]
            }),
            false => [0; 5],
        };
        for (word, number) in self.found(come.round).iter().zip(words) {
            word.store(number, Ordering::SeqCst);
        }
    }

    /// The first member that came with something else than another one, and that one.
    fn differing(&self, members: &[u32]) -> Option<[(u64, [u64; 3]); 2]> {
        let of = |rank: u32| block::BRINGS.map(|at| self.world.of(rank, at).load(Ordering::SeqCst));
        let first = of(*members.first()?);
        let mut others = (0..)
            .zip(members)
            .map(|(rank, of_world)| (rank, of(*of_world)));
        let other = others.find(|(_, words)| *words != first)?;
        Some([(0, first), other])
    }

    /// Of a round that is over, and whose next one is not: members that do not fit together.
    pub fn crossed(&self, round: u64) -> Option<Crossed> {
        let found = self.found(round).map(|it| it.load(Ordering::SeqCst));
        let [heads, first, other, name, other_name] = found;
        let rank = |word: u64| (word >> 48) as u32;
        let other_rank = rank(other).checked_sub(1)?;
        let low = heads & u64::from(u32::MAX);
        Some([
            (rank(first), Brings::of([low, first & BYTES, name])),
            (
                other_rank,
                Brings::of([heads >> 32, other & BYTES, other_name]),
            ),
        ])
    }
}

/// More bytes than a number has room for beside a rank are no machine's.
const BYTES: u64 = (1 << 48) - 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::memory_file;
    use crate::wire::world::{Layout, MAGIC, header};
    use std::os::unix::fs::FileExt as _;

    fn with(size: u32, test: impl FnOnce(&dyn Fn(u32, Brings) -> Arrival, Meeting<'_>)) {
        let (file, layout) = (memory_file().expect("memory"), Layout::of(size));
        file.set_len(layout.length()).expect("room");
        for (at, number) in [(header::MAGIC, MAGIC), (header::SIZE, size.into())] {
            file.write_all_at(&number.to_ne_bytes(), at).expect("room");
        }
        let world = World::open(file.into()).expect("a world");
        let meeting = Meeting::of(&world, 0);
        let members: Vec<u32> = (0..size).collect();
        test(
            &|rank, brings| meeting.arrive(&members, rank, brings),
            meeting,
        );
    }

    fn sum(bytes: u64) -> Brings {
        Brings {
            op: Some(Op::Sum),
            kind: Kind(0x20e),
            bytes,
            ..Brings::to_root(Call::Reduce, 1)
        }
    }

    const BARRIER: Brings = Brings {
        call: Call::Barrier,
        root: None,
        op: None,
        kind: Kind::NOTHING,
        bytes: 0,
        name: 0,
    };

    #[test]
    fn the_last_ends_the_round() {
        with(2, |arrive, meeting| {
            for round in 0..5 {
                assert_eq!(arrive(1, sum(8)), Arrival::Early(round));
                assert_eq!(meeting.round(), round);
                assert_eq!(arrive(0, sum(8)), Arrival::Last(round));
                assert_eq!(meeting.round(), round + 1);
                assert_eq!(meeting.crossed(round), None);
            }
        });
    }

    #[test]
    fn nobody_turns_back_when_all_have_come() {
        with(2, |arrive, meeting| {
            assert_eq!(arrive(0, BARRIER), Arrival::Early(0));
            assert!(meeting.turn_back(0));
            assert_eq!(arrive(1, BARRIER), Arrival::Early(0));
            assert_eq!(arrive(0, BARRIER), Arrival::Last(0));
            assert!(!meeting.turn_back(0));
            assert_eq!(arrive(0, BARRIER), Arrival::Early(1));
            assert!(!meeting.turn_back(0));
        });
    }

    #[test]
    fn who_does_not_fit_is_named_with_what_it_came_with() {
        with(3, |arrive, meeting| {
            for (round, other) in (0..).zip([
                BARRIER,
                sum(16),
                Brings {
                    kind: Kind(0x20d),
                    ..sum(8)
                },
                Brings {
                    root: Some(0),
                    ..sum(8)
                },
                Brings {
                    op: Some(Op::Max),
                    ..sum(8)
                },
                Brings {
                    name: number_of(b"(u64, u16)"),
                    ..sum(8)
                },
            ]) {
                arrive(2, sum(8));
                arrive(1, other);
                arrive(0, sum(8));
                let crossed = Some([(0, sum(8)), (1, other)]);
                assert_eq!(meeting.crossed(round), crossed);
                // The next round begins while some still read.
                arrive(1, BARRIER);
                assert_eq!(meeting.crossed(round), crossed);
                assert!(meeting.turn_back(round + 1));
            }
        });
    }

    #[test]
    fn what_is_borrowed_has_the_number_of_what_is_owned() {
        assert_eq!(number_of(b"&ctx::Shape"), number_of(b"ctx::Shape"));
        assert_ne!(number_of(b"(u32, u32)"), number_of(b"(u64, u16)"));
        let long = [b'x'; LONGEST_NAME + 1];
        assert_eq!(number_of(&long), number_of(&long[..LONGEST_NAME]));
    }

    /// Also when it was the first, and when others wait on.
    #[test]
    fn who_has_turned_back_is_forgotten() {
        with(3, |arrive, meeting| {
            for (round, leaver) in (0..).zip([0, 1]) {
                for rank in [0, 1] {
                    arrive(rank, if rank == leaver { BARRIER } else { sum(8) });
                }
                assert!(meeting.turn_back(round));
                assert_eq!(arrive(leaver, sum(8)), Arrival::Early(round));
                assert_eq!(arrive(2, sum(8)), Arrival::Last(round));
                assert_eq!(meeting.crossed(round), None);
            }
        });
    }

    #[test]
    fn numbers_hold_the_largest_that_there_are() {
        let come = Come {
            round: ROUNDS - 1,
            count: 1024,
            differ: true,
            digest: u32::MAX.into(),
        };
        assert_eq!(Come::of(come.number()), come);
        assert_eq!(come.next_round().round, 0);
        assert!(Call::ALL.len() < 1 << 5);
        for call in Call::ALL {
            let brings = Brings {
                call,
                root: Some(1023),
                op: Some(Op::Max),
                kind: Kind(0x2ff),
                bytes: BYTES,
                name: u64::MAX,
            };
            assert_eq!(Brings::of(brings.words()), brings);
            assert!(brings.words()[0] <= u32::MAX.into());
        }
        assert_eq!(Brings::of(BARRIER.words()), BARRIER);
    }
}
