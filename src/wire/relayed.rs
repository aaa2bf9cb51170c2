//! What is told of a pool's world to hosts that have a memory of their own for it: engines of several hosts share none, so
//! each host has a copy, and whoever relays carries into it what ranks elsewhere have written. See [`super::world`] for
//! what the words mean.

use serde::{Deserialize, Serialize};

/// What ranks of one host have done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    pub ranks: Vec<RankNews>,
    /// Ranks of other hosts whose wait with this number is part of a deadlock.
    pub condemned: Vec<(u32, u64)>,
}

/// One rank at one instant: when it waits, all that it has sent and taken before is in here, or was told before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RankNews {
    pub rank: u32,
    /// Rings to others that have moved.
    pub sent: Vec<Sent>,
    /// By sender: up to where its ring to this rank is taken.
    pub taken: Vec<(u32, u64)>,
    /// The rank's words: the run in which it speaks, the one that it has left, whether it waits for room.
    pub run: u64,
    pub left: u64,
    pub wants_room: u64,
    /// Of its wait record: the number, and what stands there.
    pub number: u64,
    pub waiting: Vec<u8>,
}

/// What a rank has written into its ring to another one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    pub to: u32,
    pub key: u64,
    /// Up to where.
    pub head: u64,
    /// From where it was told before; empty for who does not have that rank.
    pub bytes: Vec<u8>,
}

/// What a rank has counted and noted, for who shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notes {
    pub rank: u32,
    /// Nanoseconds in which the rank waited, and in which it sent.
    pub waited: u64,
    pub sending: u64,
    /// How many spans there are in its run.
    pub span_head: u64,
    /// Those since it was told last, the oldest first: kind, begin and end on the session's clock.
    pub spans: Vec<[u64; 3]>,
    /// By other rank: what has changed of the row, its words.
    pub rows: Vec<(u32, [u64; 4])>,
}

/// The hub's words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubWords {
    pub retired: u64,
    /// By rank, see [`super::world::Word`].
    pub ranks: Vec<u64>,
}
