//! A map under way: the schedule plus what it must not know, the payloads, the engines and the clock. It
//! speaks with its caller; what engines are to get it says, and the hub sends it.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::schedule::{Decision, Elsewhere, GivenUp, Schedule};
use super::turns::Party;
use super::{JobRecord, MapFailure, MapFault};
use crate::ids::{EngineId, JobId, PoolName, Rank};
use crate::outcome::{
    self, CaptureSize, ChunkSpan, EngineActivity, EngineView, ItemRow, JobState, JobView, MapPlan,
    MapReport, MapRow, PoolKind, Spent, Timeline,
};
use crate::wire::{
    AWAKE, Channel, ChunkEnded, EAGER, FromCaller, ItemFault, MapBegin, MapWish, PanicInfo,
    Payload, Schedule as Kind, Task, ToCaller, ToEngine, monotonic,
};

/// How many of an engine's first items the map table looks at.
const FIRST: usize = 8;

/// How often a running map tells how far it is.
const PROGRESS: Duration = Duration::from_millis(100);

/// Chunks and items whose times are kept.
const REMEMBERED: usize = 50_000;

pub struct Map {
    pub job: JobId,
    /// The local engine.
    pub caller: EngineId,
    pub wish: MapWish,
    channel: Channel,
    /// The variables that the function captures.
    pub capture_names: Vec<String>,
    pool: PoolName,
    /// The type of a result.
    output: String,
    total: Option<u64>,
    task: Task,
    schedule: Schedule,
    workers: Vec<Worker>,
    /// By worker.
    engines: Vec<EngineId>,
    /// Seconds of engines that it had, and a start that is as good as that of the jobs before it.
    served: f64,
    payloads: FxHashMap<u32, Payload>,
    started: Instant,
    began: u64,
    told: Instant,
    spans: Vec<ChunkSpan>,
    items: Vec<ItemRow>,
    spent: Spent,
    failed: u64,
    bytes: u64,
    wall: Option<Duration>,
    cancelled: bool,
    failure: Option<MapFailure>,
    /// The same in words.
    why: Option<String>,
    /// `Over` was sent.
    closing: bool,
    /// Somebody waits for its end and tells it.
    pub awaited: bool,
    /// User code can reach its results.
    pub held: bool,
    /// The caller has answered it, or is gone.
    closed: bool,
    /// The caller is gone.
    gone: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    Alive,
    /// Another process is on its way.
    Starting,
    Dead,
}

struct Worker {
    engine: EngineId,
    rank: Rank,
    health: Health,
    /// The function was sent.
    told: bool,
    items: u64,
    chunks: u64,
    busy: Duration,
    first_items: Vec<u64>,
    deaths: Vec<String>,
    sent: FxHashMap<u32, u64>,
    /// When it ended its last chunk, on the monotonic clock.
    free: u64,
    /// The item that it was at, as a number that changes with each, and since when.
    at: Option<(u64, Instant)>,
}

/// What the hub is to do.
#[derive(Debug)]
pub enum Step {
    Send {
        engine: EngineId,
        message: ToEngine,
        payload: Payload,
    },
    /// The engine gets what the job's chunks run, unless it has it.
    Prepare { engine: EngineId, task: Task },
    /// These engines are to end their chunks after the item that they are at.
    Stop(Vec<EngineId>),
    /// It has failed; the caller has been told.
    Failed(MapFailure),
}

impl Map {
    /// A map for some engines, with its plan.
    pub fn new(
        job: JobId,
        caller: EngineId,
        channel: Channel,
        pool: PoolName,
        engines: &[(EngineId, Rank, bool)],
        begin: MapBegin,
    ) -> (Self, MapPlan) {
        let MapBegin {
            wish,
            input_type,
            output_type,
            items,
            function,
            captures,
        } = begin;
        let mut schedule = Schedule::new(wish.schedule, items, wish.chunk, engines.len());
        let capture = |(name, kind, bytes): &(String, String, u64)| CaptureSize {
            name: name.clone(),
            type_name: kind.clone(),
            bytes: *bytes,
        };
        let plan = MapPlan {
            function: wish.function.clone(),
            input_type,
            output_type: output_type.clone(),
            items,
            chunks: schedule.planned_chunks(),
            schedule: told(wish.schedule),
            captures: captures
                .iter()
                .flat_map(|info| info.variables.iter().map(capture))
                .collect(),
            captures_there: false,
            pool: pool.clone(),
            kind: PoolKind::Processes,
            engines: engines.len() as u32,
        };
        let worker = |(engine, rank, alive): &(EngineId, Rank, bool)| Worker {
            engine: *engine,
            rank: *rank,
            health: if *alive { Health::Alive } else { Health::Dead },
            told: false,
            items: 0,
            chunks: 0,
            busy: Duration::ZERO,
            first_items: Vec::new(),
            deaths: Vec::new(),
            sent: FxHashMap::default(),
            free: 0,
            at: None,
        };
        let workers: Vec<Worker> = engines.iter().map(worker).collect();
        for (place, worker) in workers.iter().enumerate() {
            if worker.health == Health::Dead {
                schedule.died(place, None, false, false);
            }
        }
        if wish.schedule == Kind::Dynamic && !wish.plan_only {
            // The caller sends its first inputs along.
            schedule.eager(EAGER);
        }
        let output = if wish.collect {
            format!("Result<{output_type}, ItemError>")
        } else {
            output_type
        };
        let variables = captures.iter().flat_map(|info| &info.variables);
        let capture_names = variables.map(|(name, ..)| name.clone()).collect();
        let task = Task {
            function,
            captures: captures.map(|info| info.hash),
            collect: wish.collect,
            timed: wish.timed,
            retries: wish.retries,
            seed: wish.seed,
        };
        let map = Self {
            job,
            caller,
            wish,
            channel,
            capture_names,
            pool,
            output,
            total: items,
            task,
            schedule,
            workers,
            engines: engines.iter().map(|(engine, ..)| *engine).collect(),
            served: 0.0,
            payloads: FxHashMap::default(),
            started: Instant::now(),
            began: monotonic(),
            told: Instant::now(),
            spans: Vec::new(),
            items: Vec::new(),
            spent: Spent::default(),
            failed: 0,
            bytes: 0,
            wall: None,
            cancelled: false,
            failure: None,
            why: None,
            closing: false,
            awaited: false,
            held: true,
            closed: false,
            gone: false,
        };
        (map, plan)
    }

    pub fn socket(&self) -> BorrowedFd<'_> {
        self.channel.socket()
    }

    pub fn wants_to_write(&self) -> bool {
        self.channel.wants_to_write()
    }

    pub fn flush(&mut self) {
        // A caller that is gone shows when reading.
        let _ = self.channel.flush();
    }

    /// Reads what the caller has sent.
    pub fn fill(&mut self) {
        self.gone |= self.channel.fill().is_some();
    }

    /// What the caller says next; nothing after the map's end.
    pub fn heard(&mut self) -> Option<(FromCaller, Payload)> {
        if self.closed {
            return None;
        }
        if let Ok(Some(frame)) = self.channel.next_frame() {
            return Some(frame);
        }
        if self.gone {
            self.closed = true;
            self.cancelled |= !self.closing;
        }
        None
    }

    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Its next event may come before this thread would have been woken for it.
    pub fn is_young(&self) -> bool {
        self.started.elapsed() < AWAKE
    }

    /// How long it has been under way, or was.
    pub fn elapsed(&self) -> Duration {
        self.wall.unwrap_or_else(|| self.started.elapsed())
    }

    /// Items done, and how many there are when that is known.
    pub fn progress(&self) -> (u64, Option<u64>) {
        (self.schedule.done(), self.total)
    }

    /// The connection, for its caller's next map.
    pub fn into_channel(self) -> Option<Channel> {
        (!self.gone).then_some(self.channel)
    }

    pub fn close(&mut self, decode: u64) {
        self.spent.decode = Duration::from_nanos(decode);
        self.closed = true;
    }

    pub fn captures(&self) -> Option<u128> {
        self.task.captures
    }

    /// Says something to the caller; nothing after the end, when the connection is for the next map.
    pub fn tell(&mut self, message: &ToCaller, payload: &Payload) {
        if self.closing {
            return payload.release();
        }
        // A caller that is gone shows when reading.
        let _ = self.channel.queue(message, payload);
    }

    /// Itself beside other jobs.
    pub fn party(&self) -> Party<'_> {
        Party {
            schedule: &self.schedule,
            engines: &self.engines,
        }
    }

    /// Inputs wait for an engine.
    pub fn is_waiting(&self) -> bool {
        !self.closing && self.schedule.is_waiting()
    }

    /// Seconds of engines that it has had; the job with the least is served first.
    pub fn served(&self, now: u64) -> f64 {
        let running = |(place, worker): (usize, &Worker)| {
            let piece = self.schedule.first_held(place)?;
            let sent = *worker.sent.get(&piece)?;
            Some(now.saturating_sub(sent.max(worker.free)) as f64 / 1e9)
        };
        let running = self.workers.iter().enumerate().filter_map(running);
        self.served + running.sum::<f64>()
    }

    /// Its turn is no earlier than that of a job that has had so much.
    pub fn join_at(&mut self, served: f64) {
        self.served = served;
    }

    /// One process may do so many items.
    pub fn pull_at_most(&mut self, items: u64) {
        self.schedule.pull_at_most(items);
    }

    /// Its engines' processes may do a limited number of items each.
    pub fn is_limited(&self) -> bool {
        self.schedule.is_limited()
    }

    /// Before [`Map::steps`]: the items that each engine's process may still be given; `None`: any number.
    pub fn has_left(&mut self, items: impl Iterator<Item = Option<u64>>) {
        self.schedule.has_left(items);
    }

    /// Another process takes the place of an engine's that has nothing of this map.
    pub fn renewed(&mut self, engine: EngineId) {
        if let Some(place) = self.place(engine) {
            let worker = &mut self.workers[place];
            (worker.health, worker.told, worker.at) = (Health::Starting, false, None);
            self.schedule.renewed(place);
        }
    }

    /// What to do now; to be called after each of the events below.
    pub fn steps(&mut self, elsewhere: &Elsewhere) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.closing {
            return steps;
        }
        let now = monotonic();
        for decision in self.schedule.decide(elsewhere) {
            match decision {
                Decision::Pull { items, chunks } => {
                    self.tell(&ToCaller::Pull { items, chunks }, &Payload::None);
                }
                Decision::Send { piece, worker } => self.send(piece, worker, now, &mut steps),
                Decision::Finish => self.over(None),
                Decision::Stranded => {
                    steps.push(self.fail(None, None, MapFault::NoEngineLeft));
                }
            }
        }
        steps
    }

    fn send(&mut self, piece: u32, worker: usize, now: u64, steps: &mut Vec<Step>) {
        let Some(found) = self.schedule.piece(piece) else {
            return;
        };
        let (Some(payload), Some(worker)) = (
            self.payloads.get(&found.source),
            self.workers.get_mut(worker),
        ) else {
            return;
        };
        if !worker.told {
            worker.told = true;
            steps.push(Step::Prepare {
                engine: worker.engine,
                task: self.task.clone(),
            });
        }
        worker.sent.insert(piece, now);
        steps.push(Step::Send {
            engine: worker.engine,
            message: ToEngine::Chunk {
                job: self.job,
                span: found.span,
            },
            payload: payload.clone(),
        });
    }

    /// The caller has encoded inputs.
    pub fn inputs(&mut self, count: u64, exhausted: bool, encode: u64, payload: Payload) {
        self.spent.encode += Duration::from_nanos(encode);
        if let Some(source) = self.schedule.pulled(count, exhausted) {
            self.payloads.insert(source, payload);
        }
    }

    /// An engine has ended a chunk; the results go to the caller.
    pub fn chunk_done(
        &mut self,
        engine: EngineId,
        chunk: u32,
        ended: &ChunkEnded,
        results: Payload,
    ) -> Vec<Step> {
        let Some(index) = self.place(engine) else {
            return Vec::new();
        };
        let Some(piece) = self.schedule.piece(chunk) else {
            return Vec::new();
        };
        let first = piece.span.first + piece.span.from;
        let busy = Duration::from_nanos(ended.busy);
        let worker = &mut self.workers[index];
        let (rank, sent) = (
            worker.rank,
            worker.sent.remove(&chunk).unwrap_or(ended.began),
        );
        let done = if ended.error.is_some() && !self.wish.collect {
            // Of a reduction nothing is written when an item panics.
            ended.done.min(piece.span.to - piece.span.from)
        } else {
            ended.done
        };
        worker.items += done;
        worker.chunks += 1;
        worker.busy += busy;
        self.served += busy.as_secs_f64();
        let wanted = FIRST.saturating_sub(worker.first_items.len());
        worker
            .first_items
            .extend((first..first + done).take(wanted));
        let here = worker.free.clamp(sent, ended.began.max(sent));
        worker.free = monotonic();
        self.spent.queue += Duration::from_nanos(here - sent);
        self.spent.send += Duration::from_nanos(ended.began.saturating_sub(here));
        self.spent.run += busy;
        self.failed += ended.failed;
        self.remember(rank, first, done, sent, ended);
        if let Some(panic) = &ended.error {
            let fault = MapFault::Panicked(PanicInfo::clone(panic));
            self.bytes += results.length();
            return vec![self.fail(Some(rank), Some(first + ended.done), fault)];
        }
        self.schedule.finished(index, chunk, done, busy);
        if !self.schedule.needs(piece.source)
            && let Some(inputs) = self.payloads.remove(&piece.source)
        {
            inputs.release();
        }
        if done > 0 {
            self.bytes += results.length();
            let count = done;
            self.tell(&ToCaller::Results { first, count, rank }, &results);
        }
        Vec::new()
    }

    fn remember(&mut self, rank: Rank, first: u64, items: u64, sent: u64, ended: &ChunkEnded) {
        let since = |at: u64| Duration::from_nanos(at.saturating_sub(self.began));
        if self.spans.len() < REMEMBERED {
            self.spans.push(ChunkSpan {
                rank,
                first,
                items,
                sent: since(sent),
                began: since(ended.began),
                ended: since(ended.began + ended.busy),
                failed: ended.error.is_some(),
            });
        }
        for (index, (began, took)) in (first..).zip(&ended.items) {
            if self.items.len() < REMEMBERED {
                self.items.push(ItemRow {
                    index,
                    input: String::new(),
                    result: String::new(),
                    rank,
                    queued: Duration::from_nanos(began.saturating_sub(sent)),
                    busy: Duration::from_nanos(*took),
                });
            }
        }
    }

    /// An engine is gone. `at`: the item that it was at; `late`: it was ended for taking too long.
    pub fn died(
        &mut self,
        engine: EngineId,
        cause: &str,
        at: Option<u64>,
        late: bool,
        replaced: bool,
    ) -> Vec<Step> {
        let Some(place) = self.place(engine) else {
            return Vec::new();
        };
        let worker = &mut self.workers[place];
        worker.deaths.push(cause.to_owned());
        worker.health = if replaced {
            Health::Starting
        } else {
            Health::Dead
        };
        worker.told = false;
        worker.at = None;
        let (rank, sent) = (worker.rank, std::mem::take(&mut worker.sent));
        let now = monotonic();
        for (piece, sent) in sent {
            let since = |at: u64| Duration::from_nanos(at.saturating_sub(self.began));
            if let Some(piece) = self.schedule.piece(piece)
                && self.spans.len() < REMEMBERED
            {
                self.spans.push(ChunkSpan {
                    rank,
                    first: piece.span.first + piece.span.from,
                    items: piece.span.to - piece.span.from,
                    sent: since(sent),
                    began: since(sent),
                    ended: since(now),
                    failed: true,
                });
            }
        }
        if self.closing {
            return Vec::new();
        }
        if self.schedule.is_stopped() {
            // Nothing runs again, and what it was at has no result.
            self.schedule.died(place, None, false, replaced);
            return Vec::new();
        }
        let given_up = self.schedule.died(place, at, late, replaced);
        for GivenUp { item, begun } in given_up {
            let cause = cause.to_owned();
            if !self.wish.collect {
                let fault = match (late, begun) {
                    (true, true) => MapFault::TimedOut,
                    (false, true) => MapFault::Crashed(cause),
                    (_, false) => MapFault::Lost(cause),
                };
                return vec![self.fail(Some(rank), Some(item), fault)];
            }
            self.failed += 1;
            let fault = match (late, begun) {
                (true, true) => ItemFault::TimedOut,
                (false, true) => ItemFault::Crashed(cause),
                (_, false) => ItemFault::Lost(cause),
            };
            self.tell(&ToCaller::Failed { item, fault }, &Payload::None);
        }
        Vec::new()
    }

    /// Another process stands in for an engine that had died.
    pub fn revived(&mut self, engine: EngineId) {
        if let Some(place) = self.place(engine) {
            self.workers[place].health = Health::Alive;
            self.schedule.revived(place);
        }
    }

    /// Engines at an item for longer than is allowed. `at` tells where an engine is.
    pub fn late(&mut self, at: impl Fn(EngineId) -> Option<(u64, u64)>) -> Vec<(EngineId, u64)> {
        let Some(limit) = self.wish.timeout.map(Duration::from_nanos) else {
            return Vec::new();
        };
        if self.closing {
            return Vec::new();
        }
        let mut late = Vec::new();
        for worker in &mut self.workers {
            let Some((item, number)) = at(worker.engine) else {
                worker.at = None;
                continue;
            };
            match worker.at {
                Some((before, since)) if before == number => {
                    if since.elapsed() >= limit {
                        late.push((worker.engine, item));
                    }
                }
                _ => worker.at = Some((number, Instant::now())),
            }
        }
        late
    }

    /// Whether items have a time limit, so that engines have to be looked at often.
    pub fn has_limit(&self) -> bool {
        self.wish.timeout.is_some()
    }

    /// No new chunks; what runs comes to its end.
    pub fn cancel(&mut self) -> Vec<Step> {
        if self.closing || self.schedule.is_stopped() {
            return Vec::new();
        }
        self.cancelled = true;
        self.schedule.stop();
        let mut steps = vec![Step::Stop(self.engines())];
        steps.extend(self.steps(&Elsewhere::default()));
        steps
    }

    /// The caller has been told its end.
    pub fn is_over(&self) -> bool {
        self.closing
    }

    pub fn is_stopping(&self) -> bool {
        self.schedule.is_stopped() && !self.closing
    }

    /// Ends it at once: the caller is told.
    pub fn fail(&mut self, rank: Option<Rank>, item: Option<u64>, what: MapFault) -> Step {
        let failure = MapFailure {
            rank,
            item,
            what,
            died: self.deaths(),
        };
        self.failure = Some(failure.clone());
        self.schedule.stop();
        let place = item.map_or_else(|| "the map".to_owned(), |item| format!("item {item}"));
        self.over(Some(match &failure.what {
            MapFault::Panicked(panic) => {
                format!("{place} panicked{}: {}", panic.at(), panic.message)
            }
            MapFault::Crashed(cause) => format!("{place} ended three engines: {cause}"),
            MapFault::Lost(cause) => {
                format!("ten engines ended before they came to {place}: {cause}")
            }
            MapFault::TimedOut => format!("{place} took longer than allowed"),
            MapFault::NoEngineLeft => "no engine is left".to_owned(),
            MapFault::Interrupted { .. } => "it was interrupted".to_owned(),
            MapFault::PlanOnly => "only the plan was wanted".to_owned(),
            MapFault::Inputs(why) => why.clone(),
            MapFault::InputsPanicked(panic) => {
                format!("the inputs panicked{}: {}", panic.at(), panic.message)
            }
        }));
        Step::Failed(failure)
    }

    fn over(&mut self, error: Option<String>) {
        if self.closing {
            return;
        }
        self.why.clone_from(&error);
        self.payloads.clear();
        let wall = self.started.elapsed();
        self.wall = Some(wall);
        let message = ToCaller::Over {
            error,
            cancelled: self.cancelled,
            wall: nanoseconds(wall),
            serial: nanoseconds(self.serial()),
            first_items: self.first_items(),
        };
        self.tell(&message, &Payload::None);
        self.closing = true;
    }

    fn place(&self, engine: EngineId) -> Option<usize> {
        self.workers
            .iter()
            .position(|worker| worker.engine == engine)
    }

    pub fn involves(&self, engine: EngineId) -> bool {
        self.place(engine).is_some()
    }

    pub fn engines(&self) -> Vec<EngineId> {
        self.engines.clone()
    }

    /// Engines that have chunks of it.
    pub fn busy_engines(&self) -> Vec<EngineId> {
        self.workers
            .iter()
            .enumerate()
            .filter(|(place, _)| self.schedule.held(*place) > 0)
            .map(|(_, worker)| worker.engine)
            .collect()
    }

    /// The live table's content, some ten times a second. `look` tells item and memory of an engine.
    pub fn view(
        &mut self,
        look: impl Fn(EngineId) -> (Option<u64>, Option<u64>),
        left: Option<Duration>,
    ) -> Option<JobView> {
        if self.told.elapsed() < PROGRESS || self.closing {
            return None;
        }
        self.told = Instant::now();
        let view = |(place, worker): (usize, &Worker)| {
            let (item, memory) = look(worker.engine);
            EngineView {
                rank: worker.rank,
                activity: match worker.health {
                    Health::Starting => EngineActivity::Starting,
                    Health::Dead => EngineActivity::Dead,
                    Health::Alive if self.schedule.held(place) > 0 => EngineActivity::Busy,
                    Health::Alive => EngineActivity::Idle,
                },
                item,
                done: worker.items,
                memory,
                last_line: String::new(),
            }
        };
        Some(JobView {
            job: self.job,
            what: self.what(),
            pool: self.pool.clone(),
            state: match left {
                Some(left) => JobState::Stopping { left },
                None => JobState::Running,
            },
            done: self.schedule.done(),
            total: self.total,
            elapsed: self.elapsed(),
            engines: self.workers.iter().enumerate().map(view).collect(),
        })
    }

    /// What tables call it.
    fn what(&self) -> String {
        if self.wish.function.is_empty() {
            "pool::map".to_owned()
        } else {
            self.wish.function.clone()
        }
    }

    pub fn record(&self) -> JobRecord {
        let state = match (&self.failure, self.cancelled, self.closing) {
            (Some(_), _, _) => JobState::Failed,
            (None, true, true) => JobState::Cancelled,
            (None, true, false) => JobState::Stopping {
                left: Duration::ZERO,
            },
            (None, false, true) => JobState::Done,
            (None, false, false) => JobState::Running,
        };
        JobRecord {
            job: self.job,
            what: self.what(),
            state,
            background: self.wish.background,
            done: self.schedule.done(),
            total: self.total,
            elapsed: self.elapsed(),
            pool: self.pool.clone(),
            bytes: self.bytes,
            output: self.output.clone(),
            single: self.wish.single,
            held: self.wish.background && self.held && !self.gone,
            why: self.why.clone(),
        }
    }

    /// Per rank, the indices of its first results.
    fn first_items(&self) -> Vec<Vec<u64>> {
        let ranks = self
            .workers
            .iter()
            .map(|worker| worker.rank.0 as usize + 1)
            .max();
        let mut items = vec![Vec::new(); ranks.unwrap_or(0)];
        for worker in &self.workers {
            items[worker.rank.0 as usize] = worker.first_items.clone();
        }
        items
    }

    /// Engines that died meanwhile, and how.
    fn deaths(&self) -> Vec<(Rank, String)> {
        let died = |worker: &Worker| {
            let last = worker.deaths.last()?;
            Some((
                worker.rank,
                match worker.deaths.len() {
                    1 => last.clone(),
                    times => format!("{times} times, last {last}"),
                },
            ))
        };
        self.workers.iter().filter_map(died).collect()
    }

    fn serial(&self) -> Duration {
        self.workers.iter().map(|worker| worker.busy).sum()
    }

    pub fn report(&self) -> MapReport {
        let row = |worker: &Worker| MapRow {
            rank: worker.rank,
            items: worker.items,
            chunks: worker.chunks,
            busy: worker.busy,
            results: Vec::new(),
        };
        let mut items = self.items.clone();
        items.sort_by_key(|item| item.index);
        MapReport {
            job: self.job,
            pool: self.pool.clone(),
            kind: PoolKind::Processes,
            engines: self.workers.iter().map(row).collect(),
            wall: self.elapsed(),
            serial: self.serial(),
            done: self.schedule.done(),
            failed: self.failed,
            died: self.deaths(),
            spent: self.spent,
            items,
        }
    }

    pub fn timeline(&self) -> Timeline {
        self.timeline_of(self.spans.clone())
    }

    /// The last one: the map forgets its chunks.
    pub fn last_timeline(&mut self) -> Timeline {
        let spans = std::mem::take(&mut self.spans);
        self.timeline_of(spans)
    }

    fn timeline_of(&self, chunks: Vec<ChunkSpan>) -> Timeline {
        Timeline {
            job: self.job,
            what: self.what(),
            pool: self.pool.clone(),
            engines: self.workers.len() as u32,
            wall: self.elapsed(),
            cut: chunks.len() >= REMEMBERED,
            chunks,
        }
    }
}

/// The schedule's name for plans.
pub fn told(schedule: Kind) -> outcome::Schedule {
    match schedule {
        Kind::Dynamic => outcome::Schedule::Dynamic,
        Kind::Static => outcome::Schedule::Static,
        Kind::Guided => outcome::Schedule::Guided,
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::wire::FunctionAddress;

    fn begun(engines: &[(EngineId, Rank, bool)]) -> (Map, Channel) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let begin = MapBegin {
            wish: MapWish::default(),
            input_type: String::new(),
            output_type: String::new(),
            items: Some(9),
            function: FunctionAddress {
                so: "code.so".into(),
                offset: 0,
            },
            captures: None,
        };
        let pool = PoolName("p0".to_owned());
        let channel = Channel::new(ours);
        let (map, _) = Map::new(JobId(1), EngineId(0), channel, pool, engines, begin);
        (map, Channel::new(theirs))
    }

    #[test]
    fn what_is_dead_does_not_start() {
        let engines = [1, 2, 3, 4].map(|id| (EngineId(id), Rank(id), id != 1));
        let (mut map, _theirs) = begun(&engines);
        map.died(EngineId(2), "killed", None, false, false);
        map.died(EngineId(3), "killed", None, false, true);
        map.told -= 2 * PROGRESS;
        let view = map.view(|_| (None, None), None).unwrap();
        let shown: Vec<_> = view.engines.into_iter().map(|one| one.activity).collect();
        use EngineActivity::{Dead, Idle, Starting};
        assert_eq!(shown, [Dead, Dead, Starting, Idle]);
    }

    /// The connection is the next map's then.
    #[test]
    fn nothing_is_told_after_the_end() {
        let engines = [(EngineId(1), Rank(0), true), (EngineId(2), Rank(1), true)];
        let (mut map, mut theirs) = begun(&engines);
        for _ in 0..EAGER {
            map.inputs(1, false, 0, Payload::of(vec![7]).unwrap());
        }
        let sent = |step: &Step| match step {
            Step::Send {
                engine,
                message: ToEngine::Chunk { span, .. },
                ..
            } => Some((*engine, span.chunk)),
            _ => None,
        };
        let chunks: Vec<(EngineId, u32)> = map
            .steps(&Elsewhere::default())
            .iter()
            .filter_map(sent)
            .collect();
        assert_eq!(chunks.len(), 2);
        map.fail(None, None, MapFault::Inputs("as wanted".to_owned()));
        for (engine, chunk) in chunks {
            let ended = ChunkEnded {
                done: 1,
                failed: 0,
                busy: 1,
                began: 1,
                error: None,
                stopped: false,
                items: Vec::new(),
            };
            map.chunk_done(engine, chunk, &ended, Payload::of(vec![7]).unwrap());
            map.died(engine, "killed", None, false, false);
        }
        map.steps(&Elsewhere::default());
        map.flush();
        drop(map);
        let mut told = Vec::new();
        while let Ok((message, _)) = theirs.receive::<ToCaller>() {
            told.push(message);
        }
        assert!(
            matches!(told.last(), Some(ToCaller::Over { .. })),
            "{told:?}"
        );
    }
}
