//! The world of a cluster's pool: its ranks are on several hosts, each of which has a memory of its own for it. What ranks
//! of one node have done goes from here to the others, and into the memory that the hub reads.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use super::super::Nodes;
use super::super::message::{Carried, OpenWorld, ToNode, Urgent, WorldTold, WorldWord};
use super::Peer;
use crate::wire::relayed::{HubWords, News, Notes, RankNews, Sent};
use crate::wire::world::{Layout, block, header, row};

/// The worlds of a session's cluster: the one that there is.
pub struct Worlds {
    /// They know where each rank is.
    nodes: Arc<Nodes>,
    peers: RefCell<Vec<Weak<Peer>>>,
    current: RefCell<Option<World>>,
    count: Cell<u32>,
}

struct World {
    number: u32,
    file: Arc<OwnedFd>,
    layout: Layout,
    seats: BTreeMap<u32, Weak<Peer>>,
    told: HubWords,
    /// The run that nodes were told last was ended by Ctrl-C.
    stopped: u64,
}

/// A rank that is not the teller's, or none of the world.
#[derive(Debug)]
pub struct Foreign;

impl Worlds {
    pub fn new(nodes: Arc<Nodes>) -> Self {
        Self {
            nodes,
            peers: RefCell::default(),
            current: RefCell::default(),
            count: Cell::default(),
        }
    }

    /// Ranks may be on this node from now on.
    pub fn meets(&self, peer: &Rc<Peer>) {
        let mut peers = self.peers.borrow_mut();
        peers.retain(|peer| peer.strong_count() > 0);
        peers.push(Rc::downgrade(peer));
    }

    /// Where the ranks of a world of this size are now.
    fn seats(&self, size: u32) -> BTreeMap<u32, Weak<Peer>> {
        let all = self.nodes.all();
        let mut seats = BTreeMap::new();
        for peer in self.peers.borrow().iter().filter_map(Weak::upgrade) {
            let ranks = all.get(peer.id.0).into_iter().flat_map(|node| &node.ranks);
            for rank in ranks.filter(|rank| rank.0 < size) {
                seats.insert(rank.0, Rc::downgrade(&peer));
            }
        }
        seats
    }

    /// The hub gives an engine its pool's world. All nodes have it before one of its ranks speaks.
    pub fn give(&self, file: &Arc<OwnedFd>) -> Carried {
        let known = {
            let current = self.current.borrow();
            let world = current.as_ref();
            world
                .filter(|world| same(&world.file, file))
                .map(|world| world.number)
        };
        let number = known.unwrap_or_else(|| self.open(file));
        Carried::World(number)
    }

    fn open(&self, file: &Arc<OwnedFd>) -> u32 {
        // Whoever is in the former one is told that it is over.
        self.look();
        let number = self.count.get() + 1;
        self.count.set(number);
        let size = u32::try_from(read(file, header::SIZE)).unwrap_or_default();
        let layout = Layout::of(size);
        let world = World {
            number,
            told: hub_words(file, layout),
            stopped: 0,
            file: file.clone(),
            layout,
            seats: self.seats(size),
        };
        let peers = world.peers();
        let step = u64::from(size) * peers.len() as u64;
        let first = read(file, header::CONTEXTS);
        for (place, peer) in (0_u64..).zip(&peers) {
            peer.post.send(&ToNode::World(WorldWord {
                number,
                told: WorldTold::Open(OpenWorld {
                    size,
                    here: world.ranks_of(peer),
                    // No two nodes give out the same.
                    contexts: first + place * u64::from(size),
                    context_step: step,
                    words: world.told.clone(),
                }),
            }));
        }
        *self.current.borrow_mut() = Some(world);
        number
    }

    /// Tells nodes what the hub has written since.
    pub fn look(&self) {
        let mut current = self.current.borrow_mut();
        let Some(world) = &mut *current else { return };
        let stopped = read(&world.file, header::STOP);
        if std::mem::replace(&mut world.stopped, stopped) != stopped {
            // Behind what ranks send each other it would come late.
            for peer in world.peers() {
                peer.hurry(Urgent::StopRun {
                    world: world.number,
                    run: stopped,
                });
            }
        }
        let words = hub_words(&world.file, world.layout);
        if words == world.told {
            return;
        }
        world.told = words.clone();
        let told = WorldTold::Hub(words);
        let word = ToNode::World(WorldWord {
            number: world.number,
            told,
        });
        for peer in world.peers() {
            peer.post.send(&word);
        }
    }

    /// A node tells.
    pub fn hear(&self, from: &Rc<Peer>, word: WorldWord) -> Result<(), Foreign> {
        let current = self.current.borrow();
        // Of a world that is over it says nothing to anybody.
        let Some(world) = current.as_ref().filter(|it| it.number == word.number) else {
            return Ok(());
        };
        match word.told {
            WorldTold::News(news) => world.news(from, news),
            WorldTold::Notes(notes, contexts) => {
                world.write_more(header::CONTEXTS, contexts);
                notes.iter().try_for_each(|notes| world.notes(from, notes))
            }
            WorldTold::Open(_) | WorldTold::Hub(_) => Err(Foreign),
        }
    }
}

impl World {
    /// The nodes that have ranks of it, each once.
    fn peers(&self) -> Vec<Rc<Peer>> {
        let mut found: Vec<Rc<Peer>> = Vec::new();
        for peer in self.seats.values().filter_map(Weak::upgrade) {
            if !found.iter().any(|other| Rc::ptr_eq(other, &peer)) {
                found.push(peer);
            }
        }
        found
    }

    fn ranks_of(&self, peer: &Rc<Peer>) -> Vec<u32> {
        let is_its = |of: &Weak<Peer>| std::ptr::eq(of.as_ptr(), Rc::as_ptr(peer));
        let all = self.seats.iter();
        let its = all.filter(|(_, of)| is_its(of));
        its.map(|(rank, _)| *rank).collect()
    }

    fn is_of(&self, rank: u32, peer: &Rc<Peer>) -> Result<(), Foreign> {
        let seat = self.seats.get(&rank).ok_or(Foreign)?;
        match std::ptr::eq(seat.as_ptr(), Rc::as_ptr(peer)) {
            true => Ok(()),
            false => Err(Foreign),
        }
    }

    fn news(&self, from: &Rc<Peer>, news: News) -> Result<(), Foreign> {
        for rank in &news.ranks {
            self.is_of(rank.rank, from)?;
            let at = |word: u64| self.layout.block(rank.rank) + word;
            write(&self.file, at(block::RUN), rank.run);
            write(&self.file, at(block::LEFT), rank.left);
            // The hub only looks whether there is one.
            write(
                &self.file,
                at(block::WAIT_LENGTH),
                rank.waiting.len() as u64,
            );
        }
        for peer in self.peers() {
            if Rc::ptr_eq(&peer, from) {
                continue;
            }
            let its = self.ranks_of(&peer);
            let told = WorldTold::News(for_host(&news, &its));
            let number = self.number;
            peer.post.send(&ToNode::World(WorldWord { number, told }));
        }
        Ok(())
    }

    fn notes(&self, from: &Rc<Peer>, notes: &Notes) -> Result<(), Foreign> {
        self.is_of(notes.rank, from)?;
        let begin = self.layout.block(notes.rank);
        let first = notes.span_head.saturating_sub(notes.spans.len() as u64);
        for (number, span) in (first..).zip(&notes.spans) {
            let at = begin + block::SPANS + number % block::SPAN_COUNT * block::SPAN;
            for (word, value) in (0..).zip(span) {
                write(&self.file, at + 8 * word, *value);
            }
        }
        for (other, counts) in &notes.rows {
            if *other >= self.layout.size() {
                return Err(Foreign);
            }
            let at = self.layout.row(notes.rank, *other);
            for (word, value) in row::COUNTS.into_iter().zip(counts) {
                write(&self.file, at + word, *value);
            }
        }
        for (word, value) in [
            (block::WAITED, notes.waited),
            (block::SENDING, notes.sending),
            (block::SPAN_HEAD, notes.span_head),
        ] {
            write(&self.file, begin + word, value);
        }
        Ok(())
    }

    /// A counter that goes on.
    fn write_more(&self, at: u64, number: u64) {
        if number > read(&self.file, at) {
            write(&self.file, at, number);
        }
    }
}

/// What concerns a host that has these ranks: messages' bytes go to nobody else.
fn for_host(news: &News, ranks: &[u32]) -> News {
    let sent = |sent: &Sent| Sent {
        bytes: match ranks.contains(&sent.to) {
            true => sent.bytes.clone(),
            false => Vec::new(),
        },
        ..*sent
    };
    let rank = |of: &RankNews| RankNews {
        sent: of.sent.iter().map(sent).collect(),
        taken: of.taken.clone(),
        waiting: of.waiting.clone(),
        ..*of
    };
    News {
        ranks: news.ranks.iter().map(rank).collect(),
        condemned: news.condemned.clone(),
    }
}

/// Whether two open files are of the same memory.
fn same(one: &OwnedFd, other: &OwnedFd) -> bool {
    let of = |file| rustix::fs::fstat(file).map(|about| (about.st_dev, about.st_ino));
    of(one).is_ok_and(|one| of(other) == Ok(one))
}

fn hub_words(file: &OwnedFd, layout: Layout) -> HubWords {
    let of = |rank| read(file, layout.block(rank) + block::HUB);
    HubWords {
        retired: read(file, header::RETIRED),
        ranks: (0..layout.size()).map(of).collect(),
    }
}

fn read(file: &OwnedFd, at: u64) -> u64 {
    let mut bytes = [0; 8];
    // A page that cannot be had says nothing.
    let _ = rustix::io::pread(file, &mut bytes, at);
    u64::from_ne_bytes(bytes)
}

fn write(file: &OwnedFd, at: u64, number: u64) {
    let _ = rustix::io::pwrite(file, &number.to_ne_bytes(), at);
}
