//! The worlds: the memory through which the ranks of a pool speak with each other. The hub makes it when an engine first
//! asks for it, keeps the ranks informed of each other there, and reads what they have noted. It alone knows who lives
//! and who runs what; what ranks send each other it never sees.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::cluster::WorldBell;
use super::hub::State;
use super::{Launch, PoolUse, Run};
use crate::ids::{EngineId, PoolName, Rank};
use crate::outcome::{CommSpan, CommTable, CommTraffic};
use crate::wire::world::{
    Layout, MAGIC, MOST_RANKS, SpanKind, State as At, Word, block, header, row,
};
use crate::wire::{Payload, ToEngine, memory_file};

/// How soon a rank ends whose messages Ctrl-C has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ends {
    /// It waits for others.
    Now,
    /// It has spoken with others in its cell; it may compute now, and not speak any more.
    WithNextCall,
}

/// A rank of a world that ends.
type Ending<'a> = (&'a World, Rank, Ends);

/// By pool; a pool of which no rank runs anything and none has asked has none.
#[derive(Default)]
pub struct Worlds(BTreeMap<PoolName, World>);

struct World {
    /// The ranks are threads of the local engine.
    threads: bool,
    /// Which flight has begun the last run.
    flight: Option<u64>,
    /// The number of the last run.
    run: u64,
    /// By rank.
    words: Vec<Word>,
    /// Once a rank has asked for it.
    memory: Option<Memory>,
    /// Rung with what is written into it, when ranks are on other hosts.
    far: Option<WorldBell>,
    /// Communicators that its former memory had: one that a variable still names is none of the new ones.
    contexts: u64,
}

/// An open world.
struct Memory {
    file: Arc<OwnedFd>,
    layout: Layout,
}

impl Memory {
    fn make(size: u32) -> io::Result<Self> {
        if size > MOST_RANKS {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let layout = Layout::of(size);
        let file = memory_file()?;
        file.set_len(layout.length())?;
        let memory = Self {
            file: Arc::new(file.into()),
            layout,
        };
        memory.write(header::SIZE, size.into());
        memory.write(header::MAGIC, MAGIC);
        Ok(memory)
    }

    fn write(&self, at: u64, number: u64) {
        // A page that cannot be had is told by the rank that maps it.
        let _ = rustix::io::pwrite(&self.file, &number.to_ne_bytes(), at);
    }

    fn read(&self, at: u64) -> u64 {
        let mut bytes = [0; 8];
        let _ = rustix::io::pread(&self.file, &mut bytes, at);
        u64::from_ne_bytes(bytes)
    }

    /// The last spans that a rank has noted in its run, the oldest first.
    fn spans(&self, rank: u32) -> Vec<CommSpan> {
        let begin = self.layout.block(rank);
        let head = self.read(begin + block::SPAN_HEAD);
        let mut bytes = vec![0; (head.min(block::SPAN_COUNT) * block::SPAN) as usize];
        let _ = rustix::io::pread(&self.file, &mut bytes, begin + block::SPANS);
        let span = |number: u64| {
            let at = number % block::SPAN_COUNT * block::SPAN;
            Some(CommSpan {
                waits: SpanKind::of(word(&bytes, at))? == SpanKind::Wait,
                from: word(&bytes, at + 8),
                to: word(&bytes, at + 16),
            })
        };
        (head.saturating_sub(block::SPAN_COUNT)..head)
            .filter_map(span)
            .collect()
    }

    /// What a rank counts of each other one.
    fn row(&self, rank: u32) -> Vec<Row> {
        let mut bytes = vec![0; self.layout.size() as usize * row::LENGTH as usize];
        let _ = rustix::io::pread(&self.file, &mut bytes, self.layout.row(rank, 0));
        let row = |entry: &[u8]| Row {
            sent: word(entry, row::SENT),
            bytes: word(entry, row::SENT_BYTES),
            taken: word(entry, row::TAKEN),
            collective_bytes: word(entry, row::COLLECTIVE_BYTES),
        };
        bytes.chunks(row::LENGTH as usize).map(row).collect()
    }

    /// `[from][to]`
    fn traffic(&self) -> Vec<Vec<CommTraffic>> {
        let rows: Vec<Vec<Row>> = (0..self.layout.size()).map(|rank| self.row(rank)).collect();
        let one = |from: usize, (to, it): (usize, &Row)| CommTraffic {
            messages: it.sent,
            bytes: it.bytes,
            collective_bytes: it.collective_bytes,
            unreceived: it.sent.saturating_sub(rows[to][from].taken),
        };
        let of_rank = |(from, row): (usize, &Vec<Row>)| {
            let cells = row.iter().enumerate();
            cells.map(|cell| one(from, cell)).collect()
        };
        rows.iter().enumerate().map(of_rank).collect()
    }
}

/// What a rank counts of another one.
#[derive(Clone, Copy, Default)]
struct Row {
    sent: u64,
    bytes: u64,
    taken: u64,
    collective_bytes: u64,
}

fn word(bytes: &[u8], at: u64) -> u64 {
    let at = at as usize;
    let bytes = bytes.get(at..at + 8).and_then(|word| word.try_into().ok());
    bytes.map_or(0, u64::from_ne_bytes)
}

impl World {
    fn new(threads: bool, size: u32) -> Self {
        Self {
            threads,
            flight: None,
            run: 0,
            words: vec![
                Word {
                    run: 0,
                    state: At::NotAsked,
                };
                size as usize
            ],
            memory: None,
            far: None,
            contexts: 0,
        }
    }

    fn size(&self) -> u32 {
        self.words.len() as u32
    }

    /// The memory is another one's from now on: whoever has the old one asks for it.
    fn retire(&mut self) {
        if let Some(memory) = self.memory.take() {
            memory.write(header::RETIRED, 1);
            self.ring();
            let all_are_dead = self.words.iter().all(|word| word.state == At::Dead);
            self.contexts = match all_are_dead {
                true => 0,
                false => memory.read(header::CONTEXTS),
            };
        }
    }

    fn note(&mut self, rank: Rank, word: Word) {
        let Some(slot) = self.words.get_mut(rank.0 as usize) else {
            return;
        };
        *slot = word;
        if let Some(memory) = &self.memory {
            memory.write(memory.layout.block(rank.0) + block::HUB, word.number());
            self.ring();
        }
    }

    fn set_state(&mut self, rank: Rank, state: At) {
        if let Some(word) = self.words.get(rank.0 as usize) {
            let run = word.run;
            self.note(rank, Word { run, state });
        }
    }

    /// Another run begins: of the ranks that are asked all are told, before the first of them begins.
    fn begin(&mut self, flight: u64, asked: impl Fn(Rank) -> bool) {
        self.flight = Some(flight);
        self.run += 1;
        let run = self.run;
        for rank in (0..self.size()).map(Rank) {
            let state = match self.words[rank.0 as usize].state {
                At::Dead => At::Dead,
                _ if asked(rank) => At::Due,
                // It is in another run.
                At::Due | At::Running => continue,
                _ => At::NotAsked,
            };
            self.note(rank, Word { run, state });
        }
    }

    /// How soon these ranks end when their waits do, and one of those that will.
    fn ends(&self, ranks: impl Iterator<Item = Rank> + Clone) -> Option<(Rank, Ends)> {
        let memory = self.memory.as_ref()?;
        let of = |rank: &Rank, word| memory.read(memory.layout.block(rank.0) + word);
        let waits = |rank: &Rank| of(rank, block::WAIT_LENGTH) > 0;
        if let Some(rank) = ranks.clone().find(waits) {
            return Some((rank, Ends::Now));
        }
        let speaks = |rank: &Rank| {
            let word = self.words.get(rank.0 as usize);
            word.is_some_and(|it| it.state == At::Running && of(rank, block::RUN) == it.run)
        };
        let speaker = { ranks }.find(speaks)?;
        Some((speaker, Ends::WithNextCall))
    }

    /// Ends the waits of all ranks that are in the same run as this one, and the next call of each that does not wait.
    fn stop(&self, rank: Rank) {
        if let (Some(memory), Some(word)) = (&self.memory, self.words.get(rank.0 as usize)) {
            memory.write(header::STOP, word.run);
            self.ring();
        }
    }

    fn ring(&self) {
        if let Some(far) = &self.far {
            far.ring();
        }
    }

    fn table(&self) -> CommTable {
        let ranks = 0..self.size();
        let Some(memory) = &self.memory else {
            return CommTable {
                size: self.size(),
                ..CommTable::default()
            };
        };
        let waited = |rank: u32| memory.read(memory.layout.block(rank) + block::WAITED);
        let sending = |rank: u32| memory.read(memory.layout.block(rank) + block::SENDING);
        CommTable {
            size: self.size(),
            traffic: memory.traffic(),
            waited: ranks.clone().map(waited).collect(),
            sending: ranks.clone().map(sending).collect(),
            spans: ranks.map(|rank| memory.spans(rank)).collect(),
        }
    }
}

impl State {
    /// A cell is about to be sent to engines: the ranks are told who is in it.
    pub(super) fn world_begins(&mut self, run: &Run) {
        if run.engines.iter().any(|engine| self.is_local(*engine)) {
            self.threads_begin(run);
            return;
        }
        let pool = |engine| {
            let process = self.engines.get(engine)?;
            process.launch.pool.clone()
        };
        let Some(pool) = run.engines.iter().find_map(pool) else {
            return;
        };
        let Some(world) = self.worlds.0.get_mut(&pool) else {
            return;
        };
        let ranks_of = |engines: &[EngineId]| -> Vec<Rank> {
            let rank = |engine| Some(self.engines.get(engine)?.launch.rank);
            engines.iter().filter_map(rank).collect()
        };
        if world.flight != Some(run.flight) {
            let asked = ranks_of(&run.together);
            world.begin(run.flight, |rank| asked.contains(&rank));
        }
        let alive = |engine: &&EngineId| {
            let process = self.engines.get(engine);
            process.is_some_and(super::engine::Engine::is_alive)
        };
        let begin: Vec<EngineId> = run.engines.iter().filter(alive).copied().collect();
        for rank in ranks_of(&begin) {
            world.set_state(rank, At::Running);
        }
    }

    fn threads_begin(&mut self, run: &Run) {
        for pool in &run.pools {
            let PoolUse::Threads { name, size } = pool else {
                continue;
            };
            let fits = |world: &World| world.threads && world.size() == *size;
            if !self.worlds.0.get(name).is_some_and(fits) {
                self.world_is_now(name, true, *size);
            }
            if let Some(world) = self.worlds.0.get_mut(name) {
                let of_this = run.threads.as_ref().filter(|(pool, _)| pool == name);
                let asked = |rank: Rank| of_this.is_none_or(|(_, ranks)| ranks.contains(&rank));
                world.begin(run.flight, asked);
                for rank in (0..*size).map(Rank).filter(|rank| asked(*rank)) {
                    world.set_state(rank, At::Running);
                }
            }
        }
    }

    /// An engine has ended its cell.
    pub(super) fn world_left(&mut self, engine: EngineId) {
        if self.is_local(engine) {
            for world in self.worlds.0.values_mut().filter(|world| world.threads) {
                for rank in (0..world.size()).map(Rank) {
                    if world.words[rank.0 as usize].state == At::Running {
                        world.set_state(rank, At::Left);
                    }
                }
            }
        } else {
            self.world_state(engine, At::Left);
        }
    }

    /// An engine has died. With the local engine all its threads are gone.
    pub(super) fn world_died(&mut self, engine: EngineId) {
        if self.is_local(engine) {
            self.worlds.0.retain(|_, world| !world.threads);
        } else {
            self.world_state(engine, At::Dead);
        }
    }

    fn world_state(&mut self, engine: EngineId, state: At) {
        let launch = self.engines.get(&engine).map(|process| &process.launch);
        if let Some((pool, rank)) = launch.and_then(|of| Some((of.pool.as_ref()?, of.rank)))
            && let Some(world) = self.worlds.0.get_mut(pool)
        {
            world.set_state(rank, state);
        }
    }

    /// An engine is launched: it has a rank, and its pool a size.
    pub(super) fn world_joined(&mut self, launch: &Launch) {
        let Some(pool) = &launch.pool else { return };
        let rank = launch.rank;
        let size = launch.size.max(rank.0 + 1);
        self.world_is_now(pool, false, size);
        if let Some(world) = self.worlds.0.get_mut(pool) {
            world.far = launch.starter.cluster().map(|it| it.world_bell());
            let run = world.run;
            let state = At::NotAsked;
            world.note(rank, Word { run, state });
        }
    }

    /// A pool's members are others than before, so it gets another memory when one is wanted. Runs go on being counted.
    pub(super) fn world_is_now(&mut self, pool: &PoolName, threads: bool, size: u32) {
        let new = || World::new(threads, size);
        let world = self.worlds.0.entry(pool.clone()).or_insert_with(new);
        world.retire();
        world.threads = threads;
        let run = world.run;
        let state = At::NotAsked;
        world.words.resize(size as usize, Word { run, state });
    }

    /// The ranks of a pool are those that had these before, in this order: each is as it was.
    pub(super) fn world_renumbered(&mut self, pool: &PoolName, before: &[Rank]) {
        if let Some(world) = self.worlds.0.get_mut(pool) {
            world.retire();
            let word = |rank: &Rank| world.words.get(rank.0 as usize).copied();
            world.words = before.iter().filter_map(word).collect();
        }
    }

    /// Engines were stopped, and are not in their pools any more.
    pub(super) fn world_without(&mut self, pools: &[PoolName]) {
        for pool in pools {
            let of_pool = |process: &super::engine::Engine| {
                process.launch.pool.as_ref().is_some_and(|of| of == pool)
            };
            if !self.engines.values().any(of_pool)
                && let Some(mut world) = self.worlds.0.remove(pool)
            {
                world.retire();
            }
        }
    }

    /// The answer to an engine that lacks its pool's memory.
    pub(super) fn give_world(&mut self, engine: EngineId, pool: Option<PoolName>) {
        let own = self.engines.get(&engine).and_then(|process| {
            let launch = &process.launch;
            launch.pool.clone()
        });
        let (payload, why) = match self.world_file(pool.as_ref().or(own.as_ref())) {
            Ok(file) => (Payload::Shared(file), String::new()),
            Err(error) => (Payload::None, error.to_string()),
        };
        self.send(engine, &ToEngine::World { pool, why }, &payload);
    }

    fn world_file(&mut self, pool: Option<&PoolName>) -> io::Result<Arc<OwnedFd>> {
        let found = pool.and_then(|pool| self.worlds.0.get_mut(pool));
        // Of the local engine itself, or of a pool that was stopped meanwhile.
        let world = found.ok_or(io::ErrorKind::NotFound)?;
        if world.memory.is_none() {
            let memory = Memory::make(world.size())?;
            memory.write(header::CONTEXTS, world.contexts);
            world.memory = Some(memory);
            let words = world.words.clone();
            for (rank, word) in (0..).map(Rank).zip(words) {
                world.note(rank, word);
            }
        }
        let file = world.memory.as_ref().map(|memory| memory.file.clone());
        file.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// What the ranks of a pool have sent each other; `None` when none of them has used `comm`.
    pub(super) fn comm_table(&self, pool: &PoolName) -> Option<CommTable> {
        let world = self.worlds.0.get(pool)?;
        world.memory.is_some().then(|| world.table())
    }

    /// Ranks of these engines that wait for others, or speak with them, end their calls; the answer is which ones.
    pub(super) fn end_waits(&mut self, engines: &[EngineId]) -> Vec<(EngineId, Ends)> {
        // Who waits is looked at before one of them is told: that ends the waits of all.
        let ending: Vec<(EngineId, Vec<Ending<'_>>)> = { engines.iter() }
            .map(|engine| (*engine, self.ending_ranks(*engine)))
            .collect();
        for (world, rank, _) in ending.iter().flat_map(|(_, ranks)| ranks) {
            world.stop(*rank);
        }
        let ends = |(engine, ranks): (EngineId, Vec<Ending<'_>>)| {
            let process = self.engines.get(&engine)?;
            let soonest = ranks.iter().map(|(_, _, ends)| *ends).min();
            let ends = match process.link.end_waits() {
                true => Some(Ends::Now),
                false => soonest,
            };
            ends.map(|ends| (engine, ends))
        };
        ending.into_iter().filter_map(ends).collect()
    }

    /// A rank of the engine that waits for others or speaks with them, of each world that it is in.
    fn ending_ranks(&self, engine: EngineId) -> Vec<Ending<'_>> {
        let Some(process) = self.engines.get(&engine) else {
            return Vec::new();
        };
        let launch = &process.launch;
        let ending = |(name, world): (&PoolName, &'_ World)| match &launch.pool {
            Some(pool) if pool == name => world.ends([launch.rank].into_iter()),
            None if world.threads => world.ends((0..world.size()).map(Rank)),
            _ => None,
        };
        let one = |(name, world)| {
            let (rank, ends) = ending((name, world))?;
            Some((world, rank, ends))
        };
        self.worlds.0.iter().filter_map(one).collect()
    }

    /// It belongs to no pool.
    pub(super) fn is_local(&self, engine: EngineId) -> bool {
        let process = self.engines.get(&engine);
        process.is_some_and(|process| process.launch.pool.is_none())
    }
}
