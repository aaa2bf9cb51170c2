//! What the ranks of a pool read of each other in the memory that the hub makes for their messages.

use std::sync::mpsc::{Receiver, channel};

use super::recorder::Office;
use super::*;
use crate::ids::{ArtifactId, CellId, PoolName, Rank};
use crate::pool::{Ends, EntryPoint, Launch, Run};
use crate::wire::RunEnd;
use crate::wire::world::{
    Layout, MAGIC, MOST_RANKS, State as At, Waiting, Word, block, header, row,
};

const LOCAL: EngineId = EngineId(0);

/// A pool of engines, and the local engine.
struct Pool {
    state: State,
    office: Office,
    _events: Receiver<Happening>,
    flights: u64,
}

fn named(pool: &str) -> PoolName {
    PoolName(pool.to_owned())
}

fn engine(rank: u32) -> EngineId {
    EngineId(rank + 1)
}

/// The memory that an engine was given.
struct Given(Payload);

impl Given {
    fn read(&self, at: u64) -> u64 {
        let Payload::Shared(file) = &self.0 else {
            panic!("it is no file");
        };
        let mut bytes = [0; 8];
        rustix::io::pread(file, &mut bytes, at).expect("its bytes");
        u64::from_ne_bytes(bytes)
    }

    fn write(&self, at: u64, number: u64) {
        let Payload::Shared(file) = &self.0 else {
            panic!("it is no file");
        };
        rustix::io::pwrite(file, &number.to_ne_bytes(), at).expect("its bytes");
    }

    fn layout(&self) -> Layout {
        assert_eq!(self.read(header::MAGIC), MAGIC);
        Layout::of(u32::try_from(self.read(header::SIZE)).unwrap())
    }

    fn word(&self, rank: u32) -> Word {
        Word::of(self.read(self.layout().block(rank) + block::HUB))
    }

    fn states(&self) -> Vec<At> {
        (0..self.layout().size())
            .map(|rank| self.word(rank).state)
            .collect()
    }

    fn is_retired(&self) -> bool {
        self.read(header::RETIRED) != 0
    }

    /// A rank has spoken in its run, as its own engine notes it.
    fn speaks(&self, rank: u32) {
        let run = self.word(rank).run;
        self.write(self.layout().block(rank) + block::RUN, run);
    }

    /// A rank waits, as its own engine notes it.
    fn waits(&self, rank: u32) {
        self.write(
            self.layout().block(rank) + block::WAIT_LENGTH,
            size_of::<Waiting>() as u64,
        );
    }
}

impl Pool {
    fn of(size: u32) -> Self {
        let office = Office::default();
        let (out, events) = channel();
        let mut pool = Self {
            state: State::new(Box::new(office.clone()), out),
            office,
            _events: events,
            flights: 0,
        };
        pool.launch(LOCAL, 0, 1, None);
        for rank in 0..size {
            pool.launch(engine(rank), rank, size, Some(named("p0")));
        }
        pool
    }

    fn launch(&mut self, id: EngineId, rank: u32, size: u32, pool: Option<PoolName>) {
        self.state.command(Command::Launch(Launch {
            id,
            rank: Rank(rank),
            size,
            pool,
            init: None,
            begins: false,
            items: None,
            starter: crate::pool::Starter::Session,
        }));
        self.says(id, FromEngine::Ready);
    }

    fn round(&mut self, engine: EngineId) {
        self.state.serve_ready(Ready {
            engines: vec![engine],
            ..Ready::default()
        });
        self.state.go_on_with_due();
    }

    fn says(&mut self, engine: EngineId, message: FromEngine) {
        self.office.with(engine, |desk| desk.says(message));
        self.round(engine);
    }

    /// What an engine is given that asks for the memory.
    fn asked(&mut self, engine: EngineId, pool: Option<&str>) -> Result<Given, String> {
        let pool = pool.map(named);
        self.says(engine, FromEngine::WantWorld { pool });
        let (payload, why) = self
            .office
            .with(engine, |desk| desk.worlds.pop())
            .expect("an answer");
        match payload {
            Payload::Shared(_) => Ok(Given(payload)),
            _ => Err(why),
        }
    }

    fn world(&mut self, rank: u32) -> Given {
        self.asked(engine(rank), None).expect("memory")
    }

    /// A `%px` on these ranks, as one flight in batches.
    fn runs(&mut self, batches: &[&[u32]]) {
        let together: Vec<EngineId> = batches.concat().into_iter().map(engine).collect();
        for batch in batches {
            let engines = batch.iter().copied().map(engine).collect();
            self.run(engines, together.clone(), Vec::new(), None);
        }
        self.flights += 1;
    }

    fn run(
        &mut self,
        engines: Vec<EngineId>,
        together: Vec<EngineId>,
        pools: Vec<PoolUse>,
        threads: Option<(PoolName, Vec<Rank>)>,
    ) {
        self.state.command(Command::Run(Run {
            engines,
            entry: EntryPoint {
                artifact: ArtifactId::default(),
                file: "code.so".into(),
                symbol: "run".to_owned(),
                places: Places::default(),
            },
            cell: CellId(1),
            pools,
            data: Vec::new(),
            flight: self.flights,
            together,
            threads,
        }));
    }

    /// A `%px` on these threads of a pool of four.
    fn runs_threads(&mut self, size: u32, ranks: &[u32]) {
        let name = named("t0");
        let pools = vec![PoolUse::Threads {
            name: name.clone(),
            size,
        }];
        let ranks = ranks.iter().copied().map(Rank).collect();
        self.run(vec![LOCAL], vec![LOCAL], pools, Some((name, ranks)));
        self.flights += 1;
    }

    fn ends(&mut self, engine: EngineId) {
        let end = RunEnd::NotLoaded { why: String::new() };
        self.says(engine, FromEngine::RunDone { busy: 1, end });
    }

    /// It is killed.
    fn dies(&mut self, rank: u32) {
        let id = engine(rank);
        self.office.with(id, |desk| desk.is_gone = true);
        self.round(id);
    }
}

use At::{Dead, Due, Left, NotAsked, Running};

#[test]
fn ranks_read_who_is_in_the_run_who_has_left_and_who_has_died() {
    let mut pool = Pool::of(4);
    // Nobody has asked yet: it is known all the same once one does.
    pool.runs(&[&[0, 1, 3]]);
    let world = pool.world(1);
    assert_eq!(world.states(), [Running, Running, NotAsked, Running]);
    assert_eq!(world.word(0).run, 1);
    pool.ends(engine(0));
    assert_eq!(world.states(), [Left, Running, NotAsked, Running]);
    pool.dies(3);
    assert_eq!(world.states(), [Left, Running, NotAsked, Dead]);
    // All have the same memory.
    assert_eq!(pool.world(2).states(), [Left, Running, NotAsked, Dead]);
    assert!(!world.is_retired());
}

#[test]
fn batches_of_one_flight_are_one_run_and_those_of_the_next_another() {
    let mut pool = Pool::of(3);
    let world = pool.world(0);
    assert_eq!(world.states(), [NotAsked; 3]);
    // The second batch is not sent yet when the first begins.
    let together: Vec<EngineId> = (0..3).map(engine).collect();
    pool.run(vec![engine(0)], together.clone(), Vec::new(), None);
    assert_eq!(world.states(), [Running, Due, Due]);
    pool.run(vec![engine(1), engine(2)], together, Vec::new(), None);
    assert_eq!(world.states(), [Running; 3]);
    assert_eq!([0, 1, 2].map(|rank| world.word(rank).run), [1; 3]);
    pool.flights += 1;
    pool.ends(engine(1));
    // Two are in the first run yet.
    pool.runs(&[&[1]]);
    assert_eq!(world.states(), [Running; 3]);
    assert_eq!([0, 1, 2].map(|rank| world.word(rank).run), [1, 2, 1]);
}

#[test]
fn a_rank_that_was_started_again_is_in_another_memory() {
    let mut pool = Pool::of(2);
    pool.runs(&[&[0, 1]]);
    let before = pool.world(0);
    pool.dies(1);
    assert!(!before.is_retired());
    pool.launch(engine(1), 1, 2, Some(named("p0")));
    // Who has the old one reads there that the other has died, and asks anew.
    assert!(before.is_retired());
    assert_eq!(before.word(1).state, Dead);
    pool.ends(engine(0));
    pool.runs(&[&[0, 1]]);
    let (mine, its) = (pool.world(0), pool.world(1));
    assert!(!mine.is_retired());
    assert_eq!(its.states(), [Running; 2]);
    // A run is not taken for one that was before.
    assert!(mine.word(0).run > before.word(0).run);
    its.write(header::CONTEXTS, 9);
    assert_eq!(mine.read(header::CONTEXTS), 9);
}

#[test]
fn a_pool_of_another_size_has_another_memory() {
    let mut pool = Pool::of(2);
    pool.runs(&[&[0, 1]]);
    let before = pool.world(0);
    (0..2).for_each(|rank| pool.ends(engine(rank)));
    pool.launch(engine(2), 2, 3, Some(named("p0")));
    let engines = (0..3).map(engine).collect();
    pool.state.command(Command::Resized(engines, 3));
    assert!(before.is_retired());
    pool.runs(&[&[0, 1, 2]]);
    let after = pool.world(0);
    assert_eq!(after.states(), [Running; 3]);
    // Smaller again.
    (0..3).for_each(|rank| pool.ends(engine(rank)));
    pool.state
        .command(Command::Stop(vec![engine(2), engine(1)]));
    pool.state.command(Command::Resized(vec![engine(0)], 1));
    assert!(after.is_retired());
    pool.runs(&[&[0]]);
    let last = pool.world(0);
    assert_eq!(last.states(), [Running]);
    // The pool is stopped, and so is its memory.
    pool.state.command(Command::Stop(vec![engine(0)]));
    assert!(last.is_retired());
    assert!(pool.state.comm_table(&named("p0")).is_none());
}

#[test]
fn threads_that_were_not_asked_do_not_take_part() {
    let mut pool = Pool::of(0);
    pool.runs_threads(4, &[1, 2]);
    let world = pool.asked(LOCAL, Some("t0")).expect("memory");
    assert_eq!(world.states(), [NotAsked, Running, Running, NotAsked]);
    pool.ends(LOCAL);
    assert_eq!(world.states(), [NotAsked, Left, Left, NotAsked]);
    pool.runs_threads(4, &[0, 1, 2, 3]);
    assert_eq!(world.states(), [Running; 4]);
    assert!(!world.is_retired());
    pool.ends(LOCAL);
    pool.runs_threads(2, &[0, 1]);
    assert!(world.is_retired());
    // With the local engine all of it is gone.
    pool.office.with(LOCAL, |desk| desk.is_gone = true);
    pool.round(LOCAL);
    assert!(pool.state.comm_table(&named("t0")).is_none());
}

#[test]
fn what_cannot_be_had_is_told() {
    let mut pool = Pool::of(1);
    assert!(pool.asked(LOCAL, Some("t7")).is_err());
    assert!(pool.asked(LOCAL, None).is_err());
    pool.launch(engine(1), MOST_RANKS, MOST_RANKS + 1, Some(named("p1")));
    assert!(pool.asked(engine(1), None).is_err());
    assert!(pool.asked(engine(0), None).is_ok());
}

#[test]
fn a_wait_is_ended_in_its_own_run_alone() {
    let mut pool = Pool::of(3);
    let world = pool.world(0);
    pool.runs(&[&[0, 1]]);
    pool.ends(engine(0));
    pool.runs(&[&[2]]);
    // Nobody waits: whoever computes is left to the signal.
    assert_eq!(pool.state.end_waits(&[engine(1), engine(2)]), []);
    assert_eq!(world.read(header::STOP), 0);
    world.waits(1);
    assert_eq!(
        pool.state.end_waits(&[engine(1), engine(2)]),
        [(engine(1), Ends::Now)]
    );
    assert_eq!(world.read(header::STOP), world.word(1).run);
    assert_ne!(world.read(header::STOP), world.word(2).run);
}

#[test]
fn who_speaks_in_its_run_ends_with_its_next_call() {
    let mut pool = Pool::of(3);
    let world = pool.world(0);
    pool.runs(&[&[0, 1, 2]]);
    (0..3).for_each(|rank| world.speaks(rank));
    (0..3).for_each(|rank| pool.ends(engine(rank)));
    let all = [engine(0), engine(1), engine(2)];
    assert_eq!(pool.state.end_waits(&all), []);
    pool.runs(&[&[0, 1, 2]]);
    // They have spoken in another run.
    assert_eq!(pool.state.end_waits(&all), []);
    world.speaks(1);
    world.waits(2);
    assert_eq!(
        pool.state.end_waits(&all),
        [(engine(1), Ends::WithNextCall), (engine(2), Ends::Now)]
    );
    assert_eq!(world.read(header::STOP), world.word(1).run);
}

#[test]
fn threads_end_as_soon_as_one_of_them() {
    let mut pool = Pool::of(0);
    pool.runs_threads(3, &[0, 1]);
    let world = pool.asked(LOCAL, Some("t0")).expect("memory");
    assert_eq!(pool.state.end_waits(&[LOCAL]), []);
    world.speaks(1);
    let speaks = [(LOCAL, Ends::WithNextCall)];
    assert_eq!(pool.state.end_waits(&[LOCAL]), speaks);
    world.waits(0);
    assert_eq!(pool.state.end_waits(&[LOCAL]), [(LOCAL, Ends::Now)]);
}

#[test]
fn what_was_sent_and_not_received_is_counted() {
    let mut pool = Pool::of(2);
    assert!(pool.state.comm_table(&named("p0")).is_none());
    let world = pool.world(0);
    let layout = world.layout();
    world.write(layout.row(0, 1) + row::SENT, 5);
    world.write(layout.row(0, 1) + row::SENT_BYTES, 40);
    world.write(layout.row(1, 0) + row::TAKEN, 3);
    // What it has taken before its sender has counted it.
    world.write(layout.row(0, 0) + row::TAKEN, 1);
    let table = pool.state.comm_table(&named("p0")).expect("a table");
    let sent = table.traffic[0][1];
    assert_eq!((sent.messages, sent.bytes, sent.unreceived), (5, 40, 2));
    assert_eq!(table.traffic[0][0].unreceived, 0);
    assert_eq!(table.waits_for(Rank(1)), 2);
}
