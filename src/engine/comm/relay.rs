//! A world of which some ranks are on other hosts: this host's memory of it is kept as if they were here. What ranks of
//! this host write is taken off for the others, and what those have told is put on. Ranks themselves do not know.
//!
//! A host's view of ranks elsewhere is late, and is never wrong for that in who waits for whom: of a rank that waits, its
//! record and all that it had sent and taken by then are told as one. So whoever sees that all that was sent to some
//! ranks was taken by them, and that each waits, sees what was true at one time.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::Duration;

use super::ring;
use super::world::World;
use crate::wire::relayed::{HubWords, News, Notes, RankNews, Sent};
use crate::wire::world::{ELSEWHERE, block, header, row};

/// So often a rank's record is read before it counts as one that does not wait.
const TRIES: usize = 64;

/// What another host tells is none of what it could have seen.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("it tells of messages that cannot be")]
pub struct Nonsense;

/// This host's end.
pub struct Relay {
    world: Arc<World>,
    /// Ranks of this host, and what was told of them.
    here: BTreeMap<u32, Told>,
    /// Rings from ranks elsewhere to those here: what is missing of a message.
    missing: BTreeMap<(u32, u32), u64>,
    /// By rank elsewhere, and the bell's number when they were looked at.
    condemned: Vec<u64>,
    looked: u32,
    closed: Arc<AtomicBool>,
}

/// What was told of a rank last, of each other one by its number.
struct Told {
    /// Without its rank, and without what rings carry: that is counted below.
    news: RankNews,
    heads: Vec<u64>,
    tails: Vec<u64>,
    /// Without its rank, spans and rows.
    notes: Notes,
    /// The run that they are of.
    noted: u64,
    rows: Vec<[u64; 4]>,
}

/// What there is to tell.
fn news(ranks: Vec<RankNews>, condemned: Vec<(u32, u64)>) -> Option<News> {
    let news = News { ranks, condemned };
    (news != News::default()).then_some(news)
}

/// What tells that ranks of this host have done something that concerns others.
pub struct Bell {
    world: Arc<World>,
    closed: Arc<AtomicBool>,
}

impl Bell {
    /// Waits until it rings, or for a while; false: there is nothing to wait for any more.
    pub fn wait(&self, heard: &mut u32) -> bool {
        self.world.sleep_on_relay(*heard, Duration::from_secs(1));
        *heard = self.world.relay_bell();
        !self.closed.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        self.world.ring_relay();
    }
}

impl Relay {
    /// Of the world in this file, which nobody else has yet; `here`: the ranks of this host.
    pub fn open(file: OwnedFd, here: &[u32]) -> std::io::Result<Self> {
        let world = Arc::new(World::open(file)?);
        let size = world.size();
        for rank in (0..size).filter(|rank| !here.contains(rank)) {
            let word = world.of(rank, block::SLEEPS);
            word.store(ELSEWHERE, Ordering::SeqCst);
        }
        let here = here.iter().filter(|rank| **rank < size);
        Ok(Self {
            world,
            here: here.map(|rank| (*rank, Told::nothing(size))).collect(),
            missing: BTreeMap::new(),
            condemned: vec![0; size as usize],
            looked: 0,
            closed: Arc::default(),
        })
    }

    pub fn bell(&self) -> Bell {
        Bell {
            world: self.world.clone(),
            closed: self.closed.clone(),
        }
    }

    /// What ranks of this host have done since it was asked last; `None`: nothing.
    pub fn news(&mut self) -> Option<News> {
        let world = &self.world;
        let of = |(rank, told): (&u32, &mut Told)| told.news(world, *rank);
        let ranks = self.here.iter_mut().filter_map(of).collect();
        let condemned = self.condemned();
        news(ranks, condemned)
    }

    /// The same of one of them: to look at all takes long where there are many.
    pub fn news_of(&mut self, rank: u32) -> Option<News> {
        let told = self.here.get_mut(&rank);
        let of_it = told.and_then(|told| told.news(&self.world, rank));
        // Who condemns a rank elsewhere rings then.
        let condemned = match self.looked == self.world.relay_bell() {
            true => Vec::new(),
            false => self.condemned(),
        };
        news(of_it.into_iter().collect(), condemned)
    }

    /// The ranks elsewhere that some here have condemned since this was asked last.
    fn condemned(&mut self) -> Vec<(u32, u64)> {
        self.looked = self.world.relay_bell();
        let mut condemned = Vec::new();
        for (rank, told) in (0..).zip(&mut self.condemned) {
            let number = self.world.of(rank, block::CONDEMNED).load(Ordering::SeqCst);
            if *told != number && !self.here.contains_key(&rank) {
                *told = number;
                condemned.push((rank, number));
            }
        }
        condemned
    }

    /// What they have counted and noted; `ahead`: this host's clock before the session's, nanoseconds.
    pub fn notes(&mut self, ahead: i64) -> Vec<Notes> {
        let world = &self.world;
        let of = |(rank, told): (&u32, &mut Told)| told.notes(world, *rank, ahead);
        self.here.iter_mut().filter_map(of).collect()
    }

    /// The same of one of them.
    pub fn notes_of(&mut self, rank: u32, ahead: i64) -> Vec<Notes> {
        let told = self.here.get_mut(&rank);
        let notes = told.and_then(|told| told.notes(&self.world, rank, ahead));
        notes.into_iter().collect()
    }

    /// The next number of a communicator that this host gives out.
    pub fn contexts(&self) -> u64 {
        let next = self.world.word(header::CONTEXTS);
        next.load(Ordering::Relaxed)
    }

    /// Puts on what the hub has written.
    pub fn hub(&self, words: &HubWords) {
        let world = &self.world;
        for (rank, word) in (0..world.size()).zip(&words.ranks) {
            world.of(rank, block::HUB).store(*word, Ordering::SeqCst);
        }
        let retired = world.word(header::RETIRED);
        retired.store(words.retired, Ordering::SeqCst);
        self.wake_all();
    }

    /// Ctrl-C has ended this run.
    pub fn stop(&self, run: u64) {
        let word = self.world.word(header::STOP);
        word.store(run, Ordering::SeqCst);
        self.wake_all();
    }

    fn wake_all(&self) {
        for rank in self.here.keys() {
            self.world.ring(*rank);
        }
    }

    /// Puts on what another host has told.
    pub fn put(&mut self, news: &News) -> Result<(), Nonsense> {
        for rank in &news.ranks {
            self.put_rank(rank)?;
        }
        for (rank, number) in &news.condemned {
            if self.here.contains_key(rank) {
                let word = self.world.of(*rank, block::CONDEMNED);
                word.store(*number, Ordering::SeqCst);
                self.world.ring(*rank);
            }
        }
        Ok(())
    }

    fn put_rank(&mut self, news: &RankNews) -> Result<(), Nonsense> {
        let rank = news.rank;
        let size = self.world.size();
        if rank >= size || self.here.contains_key(&rank) {
            return Err(Nonsense);
        }
        // Who looks for deadlocks meanwhile sees that the record is another one, whatever else it sees.
        let number = self.world.of(rank, block::WAIT);
        if number.load(Ordering::Relaxed) != news.number {
            number.store(news.number | 1, Ordering::SeqCst);
            fence(Ordering::SeqCst);
        }
        for sent in &news.sent {
            self.put_sent(rank, sent)?;
        }
        let world = self.world.clone();
        for (from, tail) in &news.taken {
            if *from >= size {
                return Err(Nonsense);
            }
            let word =
                world.word(world.layout().ring(rank, *from) + crate::wire::world::ring::TAIL);
            word.store(*tail, Ordering::SeqCst);
            if self.here.contains_key(from) {
                world.wake(*from);
            }
        }
        for (at, value) in [(block::RUN, news.run), (block::WANTS_ROOM, news.wants_room)] {
            world.of(rank, at).store(value, Ordering::SeqCst);
        }
        world.put_record(rank, news.number, &news.waiting);
        let left = world.of(rank, block::LEFT);
        if left.swap(news.left, Ordering::SeqCst) != news.left {
            self.wake_all();
        }
        Ok(())
    }

    fn put_sent(&mut self, from: u32, sent: &Sent) -> Result<(), Nonsense> {
        let world = self.world.clone();
        if sent.to >= world.size() {
            return Err(Nonsense);
        }
        let is_here = self.here.contains_key(&sent.to);
        if is_here {
            let missing = self.missing.entry((sent.to, from)).or_default();
            ring::put(&world, sent.to, from, sent, missing).ok_or(Nonsense)?;
        } else {
            ring::has_come_to(&world, sent.to, from, sent.head);
        }
        world.note_spoken(sent.to, from);
        if is_here {
            world.wake(sent.to);
        }
        Ok(())
    }
}

impl Told {
    /// In a world of this size.
    fn nothing(size: u32) -> Self {
        let size = size as usize;
        Self {
            news: RankNews::default(),
            heads: vec![0; size],
            tails: vec![0; size],
            notes: Notes::default(),
            noted: 0,
            rows: vec![[0; 4]; size],
        }
    }

    /// Whether the rank has done nothing since.
    fn is_all(&self, world: &World, rank: u32) -> bool {
        let is = |at: u64, told: u64| world.of(rank, at).load(Ordering::SeqCst) == told;
        is(block::LEFT, self.news.left)
            && is(block::RUN, self.news.run)
            && is(block::WANTS_ROOM, self.news.wants_room)
            && is(block::WAIT, self.news.number)
            && { world.senders(rank) }
                .all(|from| ring::taken(world, rank, from) == self.tails[from as usize])
            && { world.receivers(rank) }
                .all(|to| ring::written(world, to, rank) == self.heads[to as usize])
    }

    fn news(&mut self, world: &Arc<World>, rank: u32) -> Option<RankNews> {
        if self.is_all(world, rank) {
            return None;
        }
        let word = |at: u64| world.of(rank, at).load(Ordering::SeqCst);
        let mut news = RankNews::default();
        let (mut heads, mut tails) = (Vec::new(), Vec::new());
        for _ in 0..TRIES {
            // A rank that has left has sent all before.
            news.left = word(block::LEFT);
            (news.run, news.wants_room) = (word(block::RUN), word(block::WANTS_ROOM));
            let record = world.record(rank);
            tails = { world.senders(rank) }
                .map(|from| (from, ring::taken(world, rank, from)))
                .collect();
            heads = { world.receivers(rank) }
                .map(|to| (to, ring::written(world, to, rank)))
                .collect();
            fence(Ordering::SeqCst);
            let number = world.waiting_number(rank);
            match record {
                Some((of, bytes)) if of == number => {
                    (news.number, news.waiting) = (number, bytes);
                    break;
                }
                // It does not stand still: so it does not wait.
                _ => (news.number, news.waiting) = (number | 1, Vec::new()),
            }
        }
        let mut sent = Vec::new();
        for (to, head) in heads {
            let before = std::mem::replace(&mut self.heads[to as usize], head);
            if before != head {
                // Between ranks of this host bytes go by themselves, and are written over at any time.
                let (key, bytes) = match world.is_elsewhere(to) {
                    true => ring::copy(world, to, rank, before..head),
                    false => (0, Vec::new()),
                };
                sent.push(Sent {
                    to,
                    key,
                    head,
                    bytes,
                });
            }
        }
        let mut taken = Vec::new();
        for (from, tail) in tails {
            if std::mem::replace(&mut self.tails[from as usize], tail) != tail {
                taken.push((from, tail));
            }
        }
        if sent.is_empty() && taken.is_empty() && news == self.news {
            return None;
        }
        self.news = news.clone();
        Some(RankNews {
            rank,
            sent,
            taken,
            ..news
        })
    }

    fn notes(&mut self, world: &World, rank: u32, ahead: i64) -> Option<Notes> {
        let word = |at: u64| world.of(rank, at).load(Ordering::Acquire);
        let head = word(block::SPAN_HEAD);
        // Each run begins to count anew.
        let run = word(block::RUN);
        let before = match std::mem::replace(&mut self.noted, run) == run {
            true => self.notes.span_head,
            false => 0,
        };
        let from = if head < before { 0 } else { before };
        let span = |number: u64| {
            let at = block::SPANS + number % block::SPAN_COUNT * block::SPAN;
            let time = |at: u64| word(at).saturating_add_signed(-ahead);
            [word(at), time(at + 8), time(at + 16)]
        };
        let mut rows = Vec::new();
        for (other, told) in (0..).zip(&mut self.rows) {
            let at = world.layout().row(rank, other);
            let count = |of: u64| world.word(at + of).load(Ordering::Acquire);
            let row = row::COUNTS.map(count);
            if *told != row {
                *told = row;
                rows.push((other, row));
            }
        }
        let spans: Vec<[u64; 3]> = (from.max(head.saturating_sub(block::SPAN_COUNT))..head)
            .map(span)
            .collect();
        let notes = Notes {
            waited: word(block::WAITED),
            sending: word(block::SENDING),
            span_head: head,
            ..Notes::default()
        };
        if spans.is_empty() && rows.is_empty() && notes == self.notes {
            return None;
        }
        self.notes = notes.clone();
        Some(Notes {
            rank,
            spans,
            rows,
            ..notes
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::super::ring::{Header, Receiver, Sender};
    use super::*;
    use crate::wire::memory_file;
    use crate::wire::world::{Call, Layout, MAGIC, Waiting};

    /// A world of two hosts' memories, with one rank on each.
    fn hosts() -> [Relay; 2] {
        [0, 1].map(|rank| host(2, &[rank]))
    }

    /// One host's memory of a world of this size.
    fn host(size: u32, here: &[u32]) -> Relay {
        let (file, layout) = (memory_file().unwrap(), Layout::of(size));
        file.set_len(layout.length()).unwrap();
        for (at, number) in [(header::MAGIC, MAGIC), (header::SIZE, size.into())] {
            file.write_all_at(&number.to_ne_bytes(), at).unwrap();
        }
        Relay::open(file.into(), here).unwrap()
    }

    #[test]
    fn ranks_know_to_whom_they_have_spoken() {
        let host = host(200, &[0, 1]);
        let world = &host.world;
        let spoken = [(0, 63), (0, 64), (0, 199), (1, 0), (199, 0), (64, 0)];
        for (from, to) in spoken {
            world.note_spoken(to, from);
        }
        for rank in 0..200 {
            let of = |to: bool| {
                spoken
                    .iter()
                    .filter(move |it| rank == if to { it.0 } else { it.1 })
            };
            let mut senders: Vec<u32> = of(false).map(|it| it.0).collect();
            senders.sort_unstable();
            assert_eq!(world.senders(rank).collect::<Vec<u32>>(), senders);
            let receivers: Vec<u32> = of(true).map(|it| it.1).collect();
            assert_eq!(world.receivers(rank).collect::<Vec<u32>>(), receivers);
        }
    }

    /// Before what an engine says comes what its rank has done, and nothing of the others is looked for.
    #[test]
    fn one_rank_is_told_of_alone() {
        let mut host = host(4, &[0, 1]);
        let world = host.world.clone();
        for rank in [0, 1] {
            world.note_spoken(2, rank);
            ring::has_come_to(&world, 2, rank, 64);
            world.of(rank, block::WAITED).store(7, Ordering::SeqCst);
            let row = world.layout().row(rank, 2) + row::SENT;
            world.word(row).store(1, Ordering::SeqCst);
        }
        let ranks = |news: Option<News>| -> Vec<u32> {
            { news.iter() }
                .flat_map(|it| it.ranks.iter().map(|it| it.rank))
                .collect()
        };
        let noted = |notes: Vec<Notes>| -> Vec<(u32, usize)> {
            notes.iter().map(|it| (it.rank, it.rows.len())).collect()
        };
        assert_eq!(ranks(host.news_of(1)), [1]);
        assert_eq!(noted(host.notes_of(1, 0)), [(1, 1)]);
        // It is not on this host.
        assert_eq!(ranks(host.news_of(2)), [0; 0]);
        assert_eq!(ranks(host.news()), [0]);
        assert_eq!(noted(host.notes(0)), [(0, 1)]);
        assert_eq!(host.news(), None);
        assert_eq!(noted(host.notes(0)), []);
        // But for who was condemned elsewhere.
        world.of(3, block::CONDEMNED).store(5, Ordering::SeqCst);
        world.ring(3);
        let condemned = host.news_of(0).map(|it| it.condemned);
        assert_eq!(condemned, Some(vec![(3, 5)]));
        assert_eq!(host.news_of(0), None);
        // A word that goes on is told, whatever stands still beside it.
        for at in [block::LEFT, block::RUN, block::WANTS_ROOM] {
            world.of(1, at).store(3, Ordering::SeqCst);
            assert_eq!(ranks(host.news()), [1]);
        }
        world.write_waiting(0, Some(&waiting(2)));
        assert_eq!(ranks(host.news()), [0]);
        world.note_spoken(0, 3);
        let tail = world.layout().ring(0, 3) + crate::wire::world::ring::TAIL;
        world.word(tail).store(64, Ordering::SeqCst);
        assert_eq!(ranks(host.news()), [0]);
        assert_eq!(host.news(), None);
    }

    fn carry(hosts: &mut [Relay; 2], from: usize) -> bool {
        let news = hosts[from].news();
        if let Some(news) = &news {
            let bytes = postcard::to_stdvec(news).unwrap();
            let news = postcard::from_bytes(&bytes).unwrap();
            hosts[1 - from].put(&news).unwrap();
        }
        news.is_some()
    }

    fn waiting(on: u32) -> Waiting {
        Waiting {
            call: Call::Recv,
            on: vec![on],
            tag: None,
            type_name: "f64".to_owned(),
            place: None,
            comm: 0,
            members: Vec::new(),
            number: 0,
            since: 0,
            met: Vec::new(),
        }
    }

    #[test]
    fn what_a_rank_writes_is_there_on_the_other_host() {
        let mut hosts = hosts();
        let worlds = [0, 1].map(|host: usize| hosts[host].world.clone());
        assert!(worlds[0].is_elsewhere(1) && !worlds[0].is_elsewhere(0));
        let mut sender = Sender::new(&worlds[0], 1, 0);
        let mut receiver = Receiver::new(&worlds[1], 1, 0);
        let header = Header {
            total: 3,
            tag: 9,
            ..Header::default()
        };
        // SAFETY: there are three bytes.
        unsafe { sender.write(&header, b"", b"abc".as_ptr(), 0, true) };
        worlds[0].note_spoken(1, 0);
        let number = worlds[0].write_waiting(0, Some(&waiting(1)));
        assert!(carry(&mut hosts, 0));
        assert!(!carry(&mut hosts, 0));
        // What was sent is there, and under way as long as nobody has taken it.
        let came = receiver.next().unwrap();
        assert_eq!((came.tag, came.total), (9, 3));
        assert_eq!(worlds[1].waiting(0), Some((number, waiting(1))));
        assert!(ring::holds_something(&worlds[0], 1, 0));
        receiver.pass(&came);
        receiver.tell();
        assert!(carry(&mut hosts, 1));
        assert!(!ring::holds_something(&worlds[0], 1, 0));
        // Who waits no longer is seen to do so, and who is condemned hears of it.
        worlds[0].write_waiting(0, None);
        assert!(carry(&mut hosts, 0));
        assert_eq!(worlds[1].waiting(0).map(|(_, it)| it), None);
        worlds[1].of(0, block::CONDEMNED).store(6, Ordering::SeqCst);
        assert!(carry(&mut hosts, 1));
        assert_eq!(worlds[0].of(0, block::CONDEMNED).load(Ordering::SeqCst), 6);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let mut hosts = hosts();
        let of = |rank| RankNews {
            rank,
            ..RankNews::default()
        };
        for rank in [0, 2, u32::MAX] {
            let news = News {
                ranks: vec![of(rank)],
                ..News::default()
            };
            assert_eq!(hosts[0].put(&news), Err(Nonsense));
        }
        let mut news = of(1);
        news.taken = vec![(7, 64)];
        let ranks = vec![news];
        let news = News {
            ranks,
            ..News::default()
        };
        assert_eq!(hosts[0].put(&news), Err(Nonsense));
    }
}
