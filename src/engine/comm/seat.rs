//! Who the calling thread is: the thread that runs a cell is a rank, and so is each thread of a thread pool that runs
//! one. What a rank has stays from cell to cell: messages that came and were not received, communicators.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::judge::Way;
use super::mpi::Mpi;
use super::shared::Shared;
use super::world::World;
use super::{Request, Transport, Trouble};
use crate::engine::context::context;
use crate::engine::link;
use crate::engine::mpi::mpi;
use crate::ids::{PoolName, Rank};
use crate::wire::world::{CommTold, Layout, MAGIC, State, Unreceived, Word, block, header};
use crate::wire::{FromEngine, Payload, ToEngine, memory_file};

/// The rank that a thread is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seat {
    /// A thread pool of the local engine; `None`: the engine's own pool.
    pub pool: Option<PoolName>,
    pub rank: u32,
}

/// A rank of this process while no cell runs on it.
struct Kept {
    world: Arc<World>,
    transport: Box<dyn Transport + Send>,
    /// The run of its last cell.
    run: u64,
}

impl Kept {
    /// A cell begins.
    fn begin(&mut self, rank: u32) {
        self.transport.begin();
        self.run = run_of(&self.world, rank);
    }

    /// Ctrl-C has ended its run.
    #[inline]
    fn is_stopped(&self) -> bool {
        self.run != 0 && self.world.word(header::STOP).load(Ordering::Relaxed) == self.run
    }
}

/// The run that a rank is in.
fn run_of(world: &World, rank: u32) -> u64 {
    Word::of(world.of(rank, block::HUB).load(Ordering::Acquire)).run
}

/// Those of this process.
static RANKS: Mutex<BTreeMap<Seat, Kept>> = Mutex::new(BTreeMap::new());

/// The worlds that its threads are in.
static WORLDS: Mutex<BTreeMap<Option<PoolName>, Arc<World>>> = Mutex::new(BTreeMap::new());

/// Threads that have ended their part of a cell before anybody in it has asked for the pool's world.
static LEFT_EARLY: Mutex<BTreeSet<Seat>> = Mutex::new(BTreeSet::new());

struct Here {
    seat: Option<Seat>,
    /// Since it has called first in its cell.
    rank: Option<Kept>,
}

thread_local! {
    /// The seat once more, for what is told while the rank is at work.
    static SEAT: RefCell<Option<Seat>> = const { RefCell::new(None) };
    static HERE: RefCell<Here> = const { RefCell::new(Here { seat: None, rank: None }) };
}

fn ranks() -> MutexGuard<'static, BTreeMap<Seat, Kept>> {
    RANKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// This thread begins a cell as this rank.
pub fn sit_down(seat: Seat) {
    SEAT.set(Some(seat.clone()));
    HERE.with(|here| here.borrow_mut().seat = Some(seat));
}

/// The cell of this thread has ended.
pub fn leave() {
    HERE.with(|here| {
        let mut here = here.borrow_mut();
        let seat = here.seat.take();
        match (seat, here.rank.take()) {
            (Some(seat), Some(mut rank)) => {
                rank.transport.end();
                ranks().insert(seat, rank);
            }
            (Some(seat), None) if seat.pool.is_some() => left_unheard(seat),
            _ => {}
        }
    });
}

/// A cell begins on the threads of a pool.
pub fn begins(pool: &PoolName) {
    let mut early = LEFT_EARLY.lock().unwrap_or_else(PoisonError::into_inner);
    early.retain(|seat| seat.pool.as_ref() != Some(pool));
}

/// A thread has ended its part of a cell without a call: the session hears of that when all have, and the others do now.
fn left_unheard(seat: Seat) {
    let worlds = WORLDS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(world) = worlds.get(&seat.pool) {
        note_left(world, seat.rank);
    }
    let mut early = LEFT_EARLY.lock().unwrap_or_else(PoisonError::into_inner);
    early.insert(seat);
}

fn note_left(world: &World, rank: u32) {
    if rank < world.size() {
        let run = run_of(world, rank);
        world.of(rank, block::LEFT).store(run, Ordering::SeqCst);
    }
}

const NO_SEAT: &str = "`comm` works in `%px` cells, in the thread that runs the cell: not in the function of a map, and \
                       not in a thread that the cell has started";

/// Does it with the rank that the thread is. After Ctrl-C no call begins: so does a cell end that never waits.
#[inline]
pub fn with<R>(call: impl FnOnce(&mut dyn Transport) -> Result<R, Trouble>) -> Result<R, Trouble> {
    seated(|rank| match rank.is_stopped() {
        false => call(rank.transport.as_mut()),
        true => Err(Trouble::Interrupted),
    })
}

/// Lets go of a request, also after Ctrl-C: it is dropped while the cell ends.
pub fn forget(request: Request) {
    // A rank whose cell is over has no requests that anybody asks for.
    let _ = seated(|rank| {
        rank.transport.forget(request);
        Ok(())
    });
}

#[inline]
fn seated<R>(call: impl FnOnce(&mut Kept) -> Result<R, Trouble>) -> Result<R, Trouble> {
    HERE.with(|here| {
        let Ok(mut here) = here.try_borrow_mut() else {
            return Err(Trouble::Usage("`comm` is at work already".to_owned()));
        };
        match &mut here.rank {
            Some(rank) => call(rank),
            None => call(first_called(&mut here)?),
        }
    })
}

/// The rank calls for the first time in its cell.
#[cold]
fn first_called(here: &mut Here) -> Result<&mut Kept, Trouble> {
    let Some(seat) = &here.seat else {
        return Err(Trouble::Usage(NO_SEAT.to_owned()));
    };
    let rank = open(seat).map_err(Trouble::Usage)?;
    Ok(here.rank.insert(rank))
}

/// Tells the session, in the thread's name; also amid a call.
pub fn tell(told: CommTold) {
    SEAT.with_borrow(|seat| {
        if let Some(seat) = seat {
            tell_of(seat, told);
        }
    });
}

fn tell_of(seat: &Seat, told: CommTold) {
    let message = FromEngine::Comm {
        pool: seat.pool.clone(),
        rank: Rank(seat.rank),
        told,
    };
    // A session that is gone will end this process.
    let _ = link::send(&message, &Payload::None);
}

/// The answer to `AskMessages`.
pub fn answer(pool: &Option<PoolName>, clear: bool) {
    for (seat, rank) in ranks().iter_mut().filter(|(seat, _)| seat.pool == *pool) {
        let messages: Vec<Unreceived> = match rank.world.is_retired() {
            true => Vec::new(),
            false => rank.transport.unreceived(clear),
        };
        tell_of(seat, CommTold::Unreceived { messages });
    }
}

/// What this seat's rank has had, or a new one in its pool's world.
fn open(seat: &Seat) -> Result<Kept, String> {
    let kept = ranks().remove(seat);
    if let Some(mut kept) = kept
        && !kept.world.is_retired()
    {
        if is_alone(seat) {
            runs_again(&kept.world);
        }
        kept.begin(seat.rank);
        return Ok(kept);
    }
    let world = world_of(seat)?;
    if seat.rank >= world.size() {
        let size = world.size();
        return Err(format!("there is no rank {} among {size}", seat.rank));
    }
    let book = |way| Shared::new(world.clone(), seat.rank, way);
    let transport: Box<dyn Transport + Send> = match mpi() {
        Some(library) if seat.pool.is_none() => Box::new(Mpi::new(book(Way::Mpi), library)),
        _ => Box::new(book(Way::Memory)),
    };
    let mut kept = Kept {
        world,
        transport,
        run: 0,
    };
    kept.begin(seat.rank);
    Ok(kept)
}

fn world_of(seat: &Seat) -> Result<Arc<World>, String> {
    let pool = &seat.pool;
    let mut worlds = WORLDS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(world) = worlds.get(pool)
        && !world.is_retired()
    {
        return Ok(world.clone());
    }
    let file = match is_alone(seat) {
        true => alone().map_err(|error| error.to_string())?,
        false => asked(pool)?,
    };
    let world = World::open(file).map_err(|error| format!("no memory for messages: {error}"))?;
    let world = Arc::new(world);
    let early = LEFT_EARLY.lock().unwrap_or_else(PoisonError::into_inner);
    for seat in early.iter().filter(|seat| seat.pool == *pool) {
        note_left(&world, seat.rank);
    }
    drop(early);
    worlds.insert(pool.clone(), world.clone());
    Ok(world)
}

/// Whether it is the one rank of a plain cell.
fn is_alone(seat: &Seat) -> bool {
    seat.pool.is_none() && context().is_local()
}

/// Whether this thread is in a plain cell.
pub fn in_plain_cell() -> bool {
    SEAT.with_borrow(|seat| seat.as_ref().is_some_and(is_alone))
}

/// Another plain cell begins: nobody but the rank itself counts its runs.
fn runs_again(world: &World) {
    let running = Word {
        run: world.of(0, block::LEFT).load(Ordering::Relaxed) + 1,
        state: State::Running,
    };
    world
        .of(0, block::HUB)
        .store(running.number(), Ordering::SeqCst);
}

/// The world of a plain cell: one rank.
fn alone() -> std::io::Result<OwnedFd> {
    use std::os::unix::fs::FileExt as _;
    let (file, layout) = (memory_file()?, Layout::of(1));
    file.set_len(layout.length())?;
    let running = Word {
        run: 1,
        state: State::Running,
    };
    for (at, number) in [
        (header::MAGIC, MAGIC),
        (header::SIZE, 1),
        (layout.block(0) + block::HUB, running.number()),
    ] {
        file.write_all_at(&number.to_ne_bytes(), at)?;
    }
    Ok(file.into())
}

fn asked(pool: &Option<PoolName>) -> Result<OwnedFd, String> {
    let link = &context().link;
    let question = FromEngine::WantWorld { pool: pool.clone() };
    let is_answer =
        |message: &ToEngine| matches!(message, ToEngine::World { pool: of, .. } if of == pool);
    match link.ask(&question, is_answer) {
        Ok((ToEngine::World { why, .. }, payload)) => payload.into_file().ok_or(why),
        Ok(_) => Err("the session answered something else".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
