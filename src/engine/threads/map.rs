//! A map on a thread pool: its threads take the items themselves, nothing is encoded. Whoever follows it tells the
//! session how far they are, and tells them when to stop.

use std::ffi::c_void;
use std::ops::Range;
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use regatta_cell::host::{ChunkEnd, End, Step, ThreadsCall, ThreadsTask};
use regatta_cell::options::{Chunks, MapOptions};

use super::claims::Claims;
use super::{Shared, ThreadPool};
use crate::engine::begun::{Begun, Follower, Outside};
use crate::engine::connections::Connection;
use crate::engine::{caller, host, nanoseconds, notes};
use crate::ids::{JobId, PoolName, Rank};
use crate::wire::{
    ChunkEnded, FIRST_ITEMS, FromCaller, MapBegin, PROGRESS, PanicInfo, Payload, Service, TIMES,
    ThreadChunk, ThreadTold, ThreadsOver, ThreadsTold, ToCaller, WireError, Workers, monotonic,
};

/// The next map's number.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Begins a map; an error says why not.
pub fn begin(
    call: &ThreadsCall,
    options: MapOptions,
    name: PoolName,
    pool: ThreadPool,
) -> Result<Begun, String> {
    let trouble = |error: &dyn std::fmt::Display| format!("the map cannot begin: {error}");
    let connection =
        Connection::take(Service::Map, options.background).map_err(|error| trouble(&error))?;
    let outside = Outside::new(Some(connection.writer.clone()));
    let map = Map {
        outside: outside.clone(),
        number: NEXT.fetch_add(1, Ordering::Relaxed),
        pool,
        call: *call,
        options,
        connection,
        over: None,
    };
    let begin = FromCaller::Begin(Box::new(MapBegin {
        options: map.options.clone(),
        input_type: host::text(call.input_type),
        output_type: host::text(call.output_type),
        items: map.items(),
        workers: Workers::Threads {
            pool: name,
            size: map.pool.size,
            map: map.number,
            began: monotonic(),
        },
    }));
    outside
        .send(&begin, &Payload::None)
        .map_err(|error| trouble(&error))?;
    Ok(Begun::new(outside, Box::new(map)))
}

/// A map inside the function of a map: the thread that asks for it does all of it. Another round over the same
/// threads could wait for itself.
pub fn alone(call: &ThreadsCall) -> Begun {
    let alone = Alone {
        call: *call,
        over: None,
    };
    Begun::new(Outside::new(None), Box::new(alone))
}

struct Alone {
    call: ThreadsCall,
    over: Option<Step>,
}

impl Follower for Alone {
    fn step(&mut self, _: i64) -> Step {
        *self.over.get_or_insert_with(|| {
            let (at, stop) = (AtomicU64::new(0), AtomicBool::new(false));
            let task = ThreadsTask {
                first: 0,
                end: self.call.items,
                rank: 0,
                at: &raw const at,
                stop: &raw const stop,
            };
            let ended = (self.call.run)(self.call.ctx, &raw const task);
            // A panic is noted, and tells what it was to whoever runs the item that this map is in.
            match ended.how {
                End::Finished => Step::Finished,
                _ => Step::Failed,
            }
        })
    }

    fn end(self: Box<Self>) {}
}

struct Map {
    outside: Arc<Outside>,
    number: u64,
    pool: ThreadPool,
    call: ThreadsCall,
    options: MapOptions,
    connection: Connection,
    over: Option<Step>,
}

/// What the threads of a map share with whoever follows it.
struct Work {
    claims: Claims,
    stop: Arc<AtomicBool>,
    /// A thread has ended before its items.
    stopped: AtomicBool,
    /// A thread has waited for an item that does not come.
    exhausted: AtomicBool,
    failed: Mutex<Option<(u64, PanicInfo)>>,
    workers: Vec<Worker>,
    /// Threads that are not done.
    left: AtomicUsize,
    timed: bool,
}

/// On cache lines of its own: its thread writes to it with every item.
#[derive(Default)]
#[repr(align(128))]
struct Worker {
    /// The item that it is at, plus one.
    at: AtomicU64,
    done: Mutex<Done>,
}

#[derive(Default)]
struct Done {
    items: u64,
    /// What is to be told.
    told: ThreadTold,
    /// The items of the chunk that it is at, without those of which it was told that they are done.
    chunk: Range<u64>,
    first_items: Vec<u64>,
    chunks: Vec<ThreadChunk>,
    /// Chunks and items whose times it may still tell.
    room: (usize, usize),
}

impl Worker {
    fn done(&self) -> MutexGuard<'_, Done> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Follower for Map {
    fn step(&mut self, _: i64) -> Step {
        if let Some(over) = self.over {
            return over;
        }
        // A job is known by its number before it runs.
        let is_known = !self.options.background || self.outside.progress().job > 0;
        let step = if is_known { self.run() } else { self.hear() };
        let step = step.unwrap_or_else(|error| {
            *self.outside.lock_failure() = error.to_string();
            Step::Failed
        });
        if step != Step::Going {
            self.over = Some(step);
        }
        step
    }

    fn end(self: Box<Self>) {
        if self.over.is_some() {
            self.connection.keep();
        }
    }
}

impl Map {
    fn hear(&mut self) -> Result<Step, WireError> {
        let (message, _) = self.connection.reader.receive::<ToCaller>()?;
        if let ToCaller::Job { job: JobId(job) } = message {
            self.outside.lock_progress().job = job;
        }
        Ok(Step::Going)
    }

    /// Runs all items.
    fn run(&mut self) -> Result<Step, WireError> {
        if self.options.plan_only {
            "only the plan was wanted".clone_into(&mut self.outside.lock_failure());
            return Ok(Step::Failed);
        }
        let start = Instant::now();
        let work = self.work();
        let ctx = Shared(self.call.ctx);
        let (rayon, size, call) = (self.pool.rayon.clone(), self.pool.size, self.call);
        let (map, seed) = (Some(self.number), self.options.seed);
        // Written to when all threads are done.
        let done = EventFd::from_flags(EfdFlags::EFD_CLOEXEC).map_err(std::io::Error::from)?;
        let followed = rayon.in_place_scope(|scope| {
            let (work, ctx, done) = (&work, &ctx, &done);
            scope.spawn_broadcast(move |_, worker| {
                let rank = worker.index() as u32;
                let worker = notes::Worker {
                    rank,
                    size,
                    map,
                    seed,
                };
                notes::as_worker(worker, || work.run(rank, call.run, ctx));
                if work.left.fetch_sub(1, Ordering::AcqRel) == 1 {
                    // It is looked at from time to time anyway.
                    let _ = done.write(1);
                }
            });
            self.follow(work, done)
        });
        let wall = nanoseconds(start);
        followed?;
        self.ended(work, wall)
    }

    /// How many there are; `None` while they are given one by one.
    fn items(&self) -> Option<u64> {
        (self.call.items != u64::MAX).then_some(self.call.items)
    }

    fn work(&self) -> Work {
        let size = self.pool.size;
        let room = TIMES / size as usize + 1;
        let worker = || {
            let worker = Worker::default();
            worker.done().room = (room, room);
            worker
        };
        let chunks = Chunks::of(&self.options, size);
        Work {
            claims: Claims::new(chunks, self.items()),
            stop: Arc::default(),
            stopped: AtomicBool::new(false),
            exhausted: AtomicBool::new(false),
            failed: Mutex::new(None),
            workers: std::iter::repeat_with(worker).take(size as usize).collect(),
            left: AtomicUsize::new(size as usize),
            timed: self.options.items,
        }
    }

    /// Until all threads are done: tells how far they are, and hears when they are to stop.
    fn follow(&mut self, work: &Work, done: &EventFd) -> Result<(), WireError> {
        let mut told = Instant::now();
        let heard = loop {
            if work.left.load(Ordering::Acquire) == 0 {
                break Ok(());
            }
            if let Err(error) = self.hear_stop(work) {
                break Err(error);
            }
            let patience = PROGRESS.saturating_sub(told.elapsed());
            let patience = PollTimeout::try_from(patience).unwrap_or(PollTimeout::ZERO);
            let mut fds = [
                PollFd::new(done.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.connection.reader.socket(), PollFlags::POLLIN),
            ];
            // An interrupted wait is a short one.
            let _ = poll(&mut fds, patience);
            let has_come = fds[1].revents().is_some_and(|events| !events.is_empty());
            if has_come && let Some(error) = self.connection.reader.fill() {
                break Err(error);
            }
            if told.elapsed() >= PROGRESS {
                told = Instant::now();
                let message = FromCaller::Threads(Box::new(work.told()));
                if let Err(error) = self.outside.send(&message, &Payload::None) {
                    break Err(error);
                }
            }
        };
        if heard.is_err() {
            // Nobody can be told any more what comes of it.
            work.stop();
        }
        heard
    }

    fn hear_stop(&mut self, work: &Work) -> Result<(), WireError> {
        while let Some((message, _)) = self.connection.reader.next_frame::<ToCaller>()? {
            // Others may be for a map before this one.
            if message == (ToCaller::Stop { map: self.number }) {
                work.stop();
            }
        }
        Ok(())
    }

    fn ended(&self, work: Work, wall: u64) -> Result<Step, WireError> {
        let error = work
            .failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let why = error.as_ref().map(|(_, panic)| panic.message.clone());
        let mut told = work.told();
        let items: u64 = work.workers.iter().map(|worker| worker.done().items).sum();
        let exhausted = match self.items() {
            Some(all) => items == all,
            None => {
                let is = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
                !is(&work.stopped) && (is(&work.exhausted) || !is(&work.stop))
            }
        };
        told.over = Some(ThreadsOver {
            wall,
            exhausted,
            error,
        });
        {
            let mut progress = self.outside.lock_progress();
            progress.wall = wall;
            progress.serial = told.threads.iter().map(|thread| thread.busy).sum();
        }
        if !self.options.background {
            let first = |worker: &Worker| std::mem::take(&mut worker.done().first_items);
            let shown = work
                .workers
                .iter()
                .filter(|_| caller::shows_results(&self.options));
            host::keep_first_items(shown.map(first).collect());
        }
        self.outside
            .send(&FromCaller::Threads(Box::new(told)), &Payload::None)?;
        let how = match (&why, exhausted) {
            (Some(_), _) => Step::Failed,
            (None, false) => Step::Cancelled,
            (None, true) => Step::Finished,
        };
        *self.outside.lock_failure() = why.unwrap_or_default();
        Ok(how)
    }
}

impl Work {
    fn stop(&self) {
        self.claims.close();
        self.stop.store(true, Ordering::Relaxed);
    }

    /// What one thread does.
    fn run(
        &self,
        rank: u32,
        run: extern "C" fn(*mut c_void, *const ThreadsTask) -> ChunkEnd,
        ctx: &Shared,
    ) {
        let worker = &self.workers[rank as usize];
        notes::ends_with(self.stop.clone());
        let mut dealt = self.claims.dealt(rank);
        while let Some((first, end)) = self.claims.next(&mut dealt) {
            worker.done().chunk = first..end;
            let task = ThreadsTask {
                first,
                end,
                rank,
                at: &raw const worker.at,
                stop: Arc::as_ptr(&self.stop),
            };
            let began = monotonic();
            let ended = run(ctx.0, &raw const task);
            let is_last = ended.how != End::Finished || ended.done < end - first;
            let mut done = worker.done();
            worker.at.store(0, Ordering::Relaxed);
            // One that waited for an item that does not come was no chunk.
            if ended.done > 0 || ended.how == End::Panicked {
                // It may have waited for its items.
                let began = began.max(monotonic().saturating_sub(ended.busy));
                done.add(rank, first, began, &ended, self.timed);
            }
            drop(done);
            match ended.how {
                End::Stopped => self.stopped.store(true, Ordering::Relaxed),
                End::Finished if is_last => self.exhausted.store(true, Ordering::Relaxed),
                _ => {}
            }
            if ended.how == End::Panicked {
                let panic = notes::take_panic().unwrap_or_else(|| PanicInfo::plain("it panicked"));
                self.fail(first + ended.done, panic);
            }
            if is_last {
                break;
            }
        }
    }

    /// An item has failed; of several the first is told.
    fn fail(&self, item: u64, panic: PanicInfo) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.as_ref().is_none_or(|(earlier, _)| *earlier > item) {
            *failed = Some((item, panic));
        }
        drop(failed);
        self.stop();
    }

    fn told(&self) -> ThreadsTold {
        let mut chunks = Vec::new();
        let look = |worker: &Worker| {
            let mut done = worker.done();
            chunks.append(&mut done.chunks);
            let at = worker.at.load(Ordering::Relaxed).checked_sub(1);
            let at = at.filter(|at| done.chunk.contains(at));
            if let Some(at) = at {
                done.ran_to(at);
            }
            ThreadTold {
                at,
                done: std::mem::take(&mut done.told.done),
                ..done.told
            }
        };
        let threads = self.workers.iter().map(look).collect();
        ThreadsTold {
            threads,
            chunks,
            over: None,
        }
    }
}

impl Done {
    /// The items of its chunk before this one are done.
    fn ran_to(&mut self, item: u64) {
        let from = std::mem::replace(&mut self.chunk.start, item);
        match self.told.done.last_mut() {
            _ if from == item => {}
            Some(last) if last.end == from => last.end = item,
            _ => self.told.done.push(from..item),
        }
    }

    fn add(&mut self, rank: u32, first: u64, began: u64, ended: &ChunkEnd, timed: bool) {
        self.ran_to(first + ended.done);
        self.items += ended.done;
        self.told.chunks += 1;
        self.told.failed += ended.failed;
        self.told.busy += ended.busy;
        self.told.lookups += ended.lookups;
        let wanted = FIRST_ITEMS.saturating_sub(self.first_items.len());
        self.first_items
            .extend((first..first + ended.done).take(wanted));
        let mut items = if timed {
            notes::take_items()
        } else {
            Vec::new()
        };
        items.truncate(self.room.1);
        self.room.1 -= items.len();
        if self.room.0 == 0 {
            return;
        }
        self.room.0 -= 1;
        self.chunks.push(ThreadChunk {
            rank: Rank(rank),
            first,
            ended: ChunkEnded {
                done: ended.done,
                failed: ended.failed,
                busy: ended.busy,
                lookups: ended.lookups,
                began,
                error: (ended.how == End::Panicked).then(Box::default),
                stopped: ended.how == End::Stopped,
                items,
            },
        });
    }
}
