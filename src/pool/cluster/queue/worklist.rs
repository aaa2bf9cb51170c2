//! The pieces that a node has, and which of its engines is at which. A piece is taken when an engine has room for it, and is
//! the node's until its result is in a stream, or until it goes back because an engine has ended at it.

mod ended;
mod jobs;
mod looked;
mod received;
mod seats;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use async_nats::Client;
use futures_util::StreamExt as _;
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::narrow::Narrowed;
use super::objects::other;
use super::schema::{Names, Strikes};
use super::taker::{Came, Taken, Taker};
use crate::ids::{EngineId, JobId, Rank};
use crate::outcome::NodeFault;
use crate::pool::cluster::PATIENCE;
use crate::pool::cluster::aside::{aside, is_little};
use crate::pool::cluster::shelf::Shelf;
use crate::wire::{ChunkEnded, Payload, Span, ToEngine};
use jobs::Job;

/// Pieces that take less may wait at their engine: it hides the way there.
const SHORT: Duration = Duration::from_millis(10);

/// How often the server is told which pieces are still the node's.
const KEEP: Duration = Duration::from_millis(1500);

/// What could not be read is tried again after so long.
const AGAIN: Duration = Duration::from_millis(200);

/// A server that does not take a result for so long will not do it any more.
const UNTAKEN: Duration = Duration::from_secs(30);

/// How often engines are looked at whose items have a time limit.
const LOOK: Duration = Duration::from_millis(10);

/// What was on its way when nobody listens any more comes within this.
const STRAGGLING: Duration = Duration::from_millis(20);

/// Results that may be on their way to the server before no more pieces are taken.
const UNKEPT: usize = 256;

/// An engine as it is needed here.
pub trait Hand {
    fn rank(&self) -> Rank;
    fn send(&self, message: &ToEngine, payload: &Payload);
    /// The item of this job that it is at, and a number that changes with each item.
    fn at(&self, job: JobId) -> Option<(u64, u64)>;
    fn stop_job(&self, job: JobId);
    fn kill(&self);
}

/// An engine, of one of the sessions that the cluster has had one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeatId {
    pub epoch: u64,
    pub engine: EngineId,
}

/// What an engine has.
struct Seat {
    hand: Rc<dyn Hand>,
    told: HashSet<JobId>,
    captures: HashSet<u128>,
    /// In the order in which it was given them.
    given: VecDeque<(Rc<Held>, Span)>,
    /// Cells and chunks that the session has it do.
    others: usize,
    /// It has ended, and what it had is seen to soon.
    is_leaving: bool,
    /// It has not done yet what comes before all pieces.
    is_held: bool,
    /// The item that it is at, as a number that changes with each, and since when.
    at: Option<(u64, Instant)>,
    /// The item because of which it was ended.
    late: Option<u64>,
}

impl Seat {
    /// Whether it may have another piece, when each may have so many.
    fn has_room(&self, depth: usize) -> bool {
        self.is_free() && !self.is_leaving && self.given.len() < depth
    }
}

/// A piece of the node's.
struct Held {
    number: u64,
    taken: Taken,
    /// Since when it waits for an engine.
    waits: Cell<Instant>,
    inputs: RefCell<Payload>,
    /// What was known of it when it came, once that was asked for.
    strikes: RefCell<Option<Strikes>>,
    /// Once its message is understood, and until its result is made.
    state: RefCell<Option<Narrowed>>,
    /// Its results are the end of its job.
    fails: Cell<bool>,
}

pub struct Worklist {
    taker: Taker,
    client: Client,
    shelf: Rc<Shelf>,
    seats: RefCell<BTreeMap<SeatId, Seat>>,
    jobs: RefCell<HashMap<JobId, Rc<Job>>>,
    /// Jobs that are not to be done any more.
    stopped: RefCell<HashSet<JobId>>,
    /// There is a session, which sees to its jobs.
    is_attended: Cell<bool>,
    /// By content, artifacts as files.
    contents: RefCell<HashMap<(u128, bool), Payload>>,
    /// Artifacts that no job runs, the newest last.
    spared: RefCell<VecDeque<u128>>,
    held: RefCell<BTreeMap<u64, Rc<Held>>>,
    /// Those that no engine has.
    waiting: RefCell<VecDeque<Rc<Held>>>,
    /// Those whose results no stream has acknowledged, by what the result is called.
    given: RefCell<BTreeMap<u64, Rc<Held>>>,
    next: Cell<u64>,
    /// The last piece was short.
    is_short: Cell<bool>,
    /// There may be room.
    room: Notify,
    /// The node ends; nothing comes any more.
    ending: Notify,
    drained: Notify,
    /// Jobs of which something could not be read on the server, or be written there.
    unread: RefCell<HashMap<JobId, Unread>>,
}

/// What could not be read, again and again.
struct Unread {
    since: Instant,
    times: u32,
    why: String,
}

/// Where a piece is among those that wait.
enum Place {
    First,
    Last,
}

impl Worklist {
    pub fn new(client: Client, cluster: &str, shelf: Rc<Shelf>) -> Self {
        Self {
            taker: Taker::new(client.clone(), Names::of(cluster)),
            client,
            shelf,
            seats: RefCell::default(),
            jobs: RefCell::default(),
            stopped: RefCell::default(),
            is_attended: Cell::new(true),
            contents: RefCell::default(),
            spared: RefCell::default(),
            held: RefCell::default(),
            waiting: RefCell::default(),
            given: RefCell::default(),
            next: Cell::new(0),
            is_short: Cell::new(false),
            room: Notify::new(),
            ending: Notify::new(),
            drained: Notify::new(),
            unread: RefCell::default(),
        }
    }

    /// Whether there is a session.
    pub fn is_attended(&self, is_attended: bool) {
        self.is_attended.set(is_attended);
    }

    pub fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// Takes pieces for as long as the node lives.
    pub async fn serve(self: Rc<Self>) -> io::Result<()> {
        let subscribe = async |subject: String| self.client.subscribe(subject).await.map_err(other);
        let mut words = subscribe(self.taker.subject()).await?;
        let mut manifests = subscribe(self.taker.names.all_jobs()).await?;
        let mut failed = subscribe(self.taker.names.all_failed()).await?;
        let [mut keep, mut look] = [KEEP, LOOK].map(interval);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut later: Option<Instant> = None;
        loop {
            let is_late = later.is_some_and(|later| later <= Instant::now());
            let left = self.taker.ask(self.room_for(), is_late).await;
            let waits = later.filter(|_| !is_late);
            later = left.map(|left| waits.unwrap_or_else(|| Instant::now() + left));
            tokio::select! {
                // A job is known before its pieces come, which come after its manifest.
                biased;
                told = manifests.next() => if let Some(told) = told {
                    self.hears_of(told);
                },
                told = failed.next() => if let Some(job) = told.and_then(|it| Names::failed_of(&it.subject)) {
                    // Without a session nobody else says so.
                    if !self.is_attended.get() {
                        self.stop(job, true);
                    }
                },
                _ = keep.tick() => self.keep().await,
                _ = look.tick(), if self.has_limits() => self.look_at_limits(),
                () = self.ending.notified() => {
                    // What the server gives to requests that wait there is on its way until it knows that nobody listens.
                    let _ = words.drain().await;
                    let _ = self.client.flush().await;
                    while let Ok(Some(word)) = timeout(STRAGGLING, words.next()).await {
                        self.hears(word).await;
                    }
                    self.drained.notify_one();
                    return Ok(());
                }
                word = words.next() => match word {
                    Some(word) => self.hears(word).await,
                    None => return Ok(()),
                },
                () = self.room.notified() => {}
                () = sleep_until(later.unwrap_or_else(Instant::now)), if later.is_some() => {}
            }
        }
    }

    /// The server is there again. Nothing is given to it before its session says that it has room.
    pub fn again(&self) {
        self.taker.again();
    }

    /// Whether the server has room for results.
    pub fn has_room(self: &Rc<Self>, room: bool) {
        if self.taker.has_room(room) {
            let list = self.clone();
            spawn_local(async move {
                list.taker.give_again(Duration::ZERO).await;
                list.room.notify_one();
            });
        }
    }

    /// How many pieces engines could begin.
    fn room_for(&self) -> usize {
        if self.given.borrow().len() >= UNKEPT {
            return 0;
        }
        let depth = self.depth();
        let seats = self.seats.borrow();
        let free = seats.values().filter(|seat| seat.has_room(depth));
        let room: usize = free.map(|seat| depth - seat.given.len()).sum();
        let coming = self.held.borrow().len() - self.given.borrow().len();
        let at_engines: usize = seats.values().map(|seat| seat.given.len()).sum();
        room.saturating_sub(coming.saturating_sub(at_engines))
    }

    fn depth(&self) -> usize {
        if self.is_short.get() { 2 } else { 1 }
    }

    async fn hears(self: &Rc<Self>, word: async_nats::Message) {
        match self.taker.came(word) {
            Came::Nothing => {}
            Came::Kept(number, before) => {
                let held = self.given.borrow_mut().remove(&number);
                match (held, before) {
                    (Some(held), Some(before)) if held.fails.get() => {
                        let list = self.clone();
                        spawn_local(async move {
                            let Taken { job, piece, .. } = held.taken;
                            if list.taker.has_result(job, piece, &before).await {
                                list.taker.tell_failed(job).await;
                            }
                            list.done_with(&held).await;
                        });
                    }
                    (Some(held), _) => {
                        if held.fails.get() {
                            self.taker.tell_failed(held.taken.job).await;
                        }
                        self.done_with(&held).await;
                    }
                    (None, _) => {}
                }
            }
            // Of a queue that was made anew. Who is to do it twice at once ends it once.
            Came::Taken(taken) if self.has(taken.job, taken.piece) => {}
            // Nobody wants it any more.
            Came::Taken(taken) if self.stopped.borrow().contains(&taken.job) => {
                self.taker.acknowledge(&taken).await;
                self.room.notify_one();
            }
            Came::Taken(taken) => {
                let number = self.next.replace(self.next.get() + 1);
                let held = Rc::new(Held {
                    number,
                    taken: *taken,
                    waits: Cell::new(Instant::now()),
                    inputs: RefCell::default(),
                    strikes: RefCell::default(),
                    state: RefCell::default(),
                    fails: Cell::default(),
                });
                self.held.borrow_mut().insert(number, held.clone());
                let is_known = self.understand_at_once(&held);
                if is_known {
                    self.place();
                } else {
                    spawn_local(self.clone().receive(held));
                }
            }
        }
    }

    /// Gives engines what waits, as far as they have room.
    fn place(self: &Rc<Self>) {
        loop {
            let depth = self.depth();
            let chosen = {
                let seats = self.seats.borrow();
                let free = seats.iter().filter(|(_, seat)| seat.has_room(depth));
                let freest = free.min_by_key(|(_, seat)| seat.given.len());
                freest.map(|(at, _)| *at)
            };
            let Some(at) = chosen else { return };
            let Some(held) = self.waiting.borrow_mut().pop_front() else {
                return;
            };
            if !self.give(at, &held) {
                // Nobody wants it any more, or it is done.
                spawn_local(self.clone().finish(held));
            }
        }
    }

    /// Whether there was something to give.
    fn give(self: &Rc<Self>, at: SeatId, held: &Rc<Held>) -> bool {
        let mut seats = self.seats.borrow_mut();
        let Some(seat) = seats.get_mut(&at) else {
            return false;
        };
        let rank = seat.hand.rank();
        let next = { held.state.borrow_mut() }
            .as_mut()
            .and_then(|state| state.next_by(rank));
        let job = self.jobs.borrow().get(&held.taken.job).cloned();
        let (Some((span, told)), Some(job)) = (next, job) else {
            return false;
        };
        seat.given.push_back((held.clone(), span));
        match told {
            None => self.have_run(seat, &job, held, span),
            Some(strikes) => {
                let (list, held) = (self.clone(), held.clone());
                spawn_local(async move {
                    list.taker.store_strikes(&held.taken, &strikes).await;
                    list.is_stored(at, &job, held, span);
                });
            }
        }
        true
    }

    /// An engine may begin what it has been given, unless it has ended or nobody wants it any more.
    fn is_stored(self: &Rc<Self>, at: SeatId, job: &Job, held: Rc<Held>, span: Span) {
        let is_stopped = self.stopped.borrow().contains(&held.taken.job);
        {
            let mut seats = self.seats.borrow_mut();
            let is_it = |(other, _): &(Rc<Held>, Span)| Rc::ptr_eq(other, &held);
            let Some(seat) = seats.get_mut(&at) else {
                return;
            };
            let Some(place) = seat.given.iter().position(is_it) else {
                return;
            };
            if !is_stopped {
                return self.have_run(seat, job, &held, span);
            }
            seat.given.remove(place);
        }
        if let Some(state) = held.state.borrow_mut().as_mut() {
            state.stop();
        }
        self.go_on(held, true);
    }

    /// Has an engine run this of a piece, which it has been given.
    fn have_run(&self, seat: &mut Seat, job: &Job, held: &Held, span: Span) {
        let number = held.taken.job;
        if seat.told.insert(number) {
            if let Some(hash) = job.captures()
                && seat.captures.insert(hash)
                && let Some(value) = self.contents.borrow().get(&(hash, false))
            {
                seat.hand.send(&ToEngine::Capture { hash }, value);
            }
            let manifest = &job.manifest;
            let task = ToEngine::Task {
                job: number,
                task: manifest.task.clone(),
                places: manifest.places.clone(),
            };
            seat.hand.send(&task, &Payload::None);
        }
        let chunk = ToEngine::Chunk { job: number, span };
        seat.hand.send(&chunk, &held.inputs.borrow());
    }

    /// An engine has ended a chunk; whether it was of a piece.
    pub fn chunk_done(
        self: &Rc<Self>,
        at: SeatId,
        job: JobId,
        chunk: u32,
        ended: &ChunkEnded,
        results: &Payload,
    ) -> bool {
        let taken = {
            let mut seats = self.seats.borrow_mut();
            let Some(seat) = seats.get_mut(&at) else {
                return false;
            };
            let is_it =
                |(held, span): &(Rc<Held>, Span)| held.taken.job == job && span.chunk == chunk;
            let Some(place) = seat.given.iter().position(is_it) else {
                return false;
            };
            seat.at = None;
            let rank = seat.hand.rank();
            seat.given.remove(place).map(|(held, _)| (held, rank))
        };
        let Some((held, rank)) = taken else {
            return false;
        };
        let busy = Duration::from_nanos(ended.busy);
        self.is_short.set(busy < SHORT);
        let length = usize::try_from(results.length()).unwrap_or(usize::MAX);
        let (ended, results) = (ended.clone(), results.clone());
        let copied = move || {
            let bytes = results.copied();
            results.release();
            bytes
        };
        if is_little(length) {
            self.has_come(held, rank, ended, copied());
            return true;
        }
        let list = self.clone();
        spawn_local(async move {
            let bytes = aside(length, copied).await;
            // The node may have given it back meanwhile.
            if list.held.borrow().contains_key(&held.number) {
                list.has_come(held, rank, ended, bytes);
            }
        });
        self.place();
        true
    }

    /// What an engine has made of a chunk.
    fn has_come(self: &Rc<Self>, held: Rc<Held>, rank: Rank, ended: ChunkEnded, results: Vec<u8>) {
        let is_stopped = self.stopped.borrow().contains(&held.taken.job);
        let is_done = held.state.borrow_mut().as_mut().is_none_or(|state| {
            state.ended(rank, ended, results);
            if is_stopped {
                state.stop();
            }
            state.next().is_none()
        });
        self.go_on(held, is_done);
    }

    /// With a piece: it is done, or is the next one.
    fn go_on(self: &Rc<Self>, held: Rc<Held>, is_done: bool) {
        if is_done {
            spawn_local(self.clone().finish(held));
        } else {
            self.waits(held, Place::First);
        }
        self.place();
        self.room.notify_one();
    }

    /// An engine gives back chunks that it has not begun; whether they were of pieces.
    pub fn given_back(self: &Rc<Self>, at: SeatId, job: JobId, chunks: &[u32]) -> bool {
        let mut back: Vec<Rc<Held>> = Vec::new();
        if let Some(seat) = self.seats.borrow_mut().get_mut(&at) {
            seat.given.retain(|(held, span)| {
                let is_it = held.taken.job == job && chunks.contains(&span.chunk);
                if is_it {
                    back.push(held.clone());
                }
                !is_it
            });
        }
        let was_of_pieces = !back.is_empty();
        let is_stopped = self.stopped.borrow().contains(&job);
        for held in back.into_iter().rev() {
            if is_stopped && let Some(state) = held.state.borrow_mut().as_mut() {
                state.stop();
            }
            self.waits(held, Place::First);
        }
        // One that waits behind a command which takes its time waits no better here.
        self.is_short.set(false);
        self.place();
        was_of_pieces
    }

    /// It waits for an engine.
    fn waits(&self, held: Rc<Held>, place: Place) {
        held.waits.set(Instant::now());
        let mut waiting = self.waiting.borrow_mut();
        match place {
            Place::First => waiting.push_front(held),
            Place::Last => waiting.push_back(held),
        }
    }

    /// Something of a job could not be read, or written, so often.
    fn is_unread(&self, job: JobId, times: u32, why: String) {
        let mut all = self.unread.borrow_mut();
        let unread = all.entry(job).or_insert_with(|| Unread {
            since: Instant::now(),
            times: 0,
            why,
        });
        unread.times += times;
    }

    /// Whether a piece is here already.
    fn has(&self, job: JobId, piece: u32) -> bool {
        let held = self.held.borrow();
        held.values()
            .any(|it| (it.taken.job, it.taken.piece) == (job, piece))
    }

    /// The pieces of a job that will come to an end here.
    pub fn pieces_of(&self, job: JobId) -> Vec<u32> {
        let held = self.held.borrow();
        let of_it = held.values().filter(|held| held.taken.job == job);
        of_it.map(|held| held.taken.piece).collect()
    }

    /// Jobs of which something could not be read, or was not taken, for long, and why.
    pub fn unreadable(&self) -> Vec<(JobId, String)> {
        let mut unread = self.unread.borrow_mut();
        // One that failed once may have gone to another node.
        let long = unread.extract_if(|_, it| it.times > 1 && it.since.elapsed() > PATIENCE);
        let mut all: Vec<(JobId, String)> = long.map(|(job, it)| (job, it.why)).collect();
        let untaken = self.taker.untaken(UNTAKEN);
        all.extend(
            untaken
                .into_iter()
                .map(|job| (job, NodeFault::NoServer.to_string())),
        );
        all
    }

    /// Whether this node has no piece, and no node has.
    pub async fn is_drained(&self) -> bool {
        // A server that does not answer may have some.
        self.held.borrow().is_empty() && self.taker.is_drained().await.unwrap_or(false)
    }
}
