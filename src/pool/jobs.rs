//! The maps under way, as the hub runs them: begun, asked, ended early, replaced engines and all.

use std::time::{Duration, Instant};

use super::dispatch::Elsewhere;
use super::hub::{LineId, State};
use super::map::{Map, Step};
use super::turns::{self, Jobs, Party};
use super::{EndEarly, MapFailure, MapFault, PoolEvent, PoolUse, WhichMaps};
use crate::ids::{EngineId, JobId, PoolName, Rank};
use crate::outcome::JobState;
use crate::wire::{Channel, FromCaller, MapBegin, Payload, ToCaller, ToEngine, monotonic};

/// How long the items of a cancelled map may go on before their engines are killed. The prompt is back
/// within a second of a Ctrl-C.
const COUNTDOWN: Duration = Duration::from_millis(700);

/// A map is looked at from here on.
const LIVE_AFTER: Duration = Duration::from_secs(1);

impl State {
    /// A connection on which maps will be asked for.
    pub(super) fn add_line(&mut self, caller: EngineId, payload: Payload) {
        // A caller without an answer is told by the connection's end.
        if let Some(socket) = payload.into_file() {
            let channel = Channel::new(socket.into());
            if channel.set_nonblocking().is_ok() {
                self.hear_line(caller, channel);
            }
        }
    }

    /// What is said on a connection that no map has.
    fn hear_line(&mut self, caller: EngineId, mut channel: Channel) {
        loop {
            match channel.next_frame() {
                Ok(Some((FromCaller::Begin(begin), _))) => {
                    return self.begin_map(caller, channel, *begin);
                }
                // What was on its way when the last map ended.
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
        let line = LineId(self.next_line);
        self.next_line += 1;
        self.lines.insert(line, (caller, channel));
    }

    pub(super) fn line_ready(&mut self, line: LineId) {
        if let Some((caller, mut channel)) = self.lines.remove(&line)
            && channel.fill().is_none()
        {
            self.hear_line(caller, channel);
        }
    }

    /// A map that a caller asks for.
    fn begin_map(&mut self, caller: EngineId, mut channel: Channel, begin: MapBegin) {
        let (pool, engines) = match self.engines_for(&begin) {
            Ok(found) => found,
            Err(why) => {
                self.emit(PoolEvent::MapFailed(MapFailure {
                    rank: None,
                    item: None,
                    what: MapFault::Inputs(why.clone()),
                    died: Vec::new(),
                }));
                let over = ToCaller::Over {
                    error: Some(why),
                    cancelled: false,
                    wall: 0,
                    serial: 0,
                    first_items: Vec::new(),
                };
                // A caller that is gone needs no answer.
                let _ = channel.queue(&over, &Payload::None);
                let _ = channel.flush();
                return self.hear_line(caller, channel);
            }
        };
        let job = JobId(self.next_job);
        self.next_job += 1;
        let (mut map, mut plan) = Map::new(job, caller, channel, pool, &engines, begin);
        let now = monotonic();
        let served = self.maps.values().map(|map| map.served(now));
        map.join_at(served.reduce(f64::min).unwrap_or_default());
        let limits = engines
            .iter()
            .filter_map(|(engine, ..)| self.processes.get(engine)?.launch.items);
        if let Some(limit) = limits.min() {
            map.pull_at_most(limit.get());
        }
        plan.captures_there = map.captures().is_some_and(|hash| {
            let has = |engine| {
                self.processes
                    .get(engine)
                    .is_some_and(|process| process.captures.contains(&hash))
            };
            engines.iter().all(|(engine, ..)| has(engine))
        });
        if map.wish.background {
            map.tell(&ToCaller::Job { job }, &Payload::None);
        }
        if !map.wish.function.is_empty() {
            self.pass_on_prints(caller, usize::MAX);
            self.emit(PoolEvent::MapPlanned(plan));
        }
        if map.wish.plan_only {
            let _ = map.fail(None, None, MapFault::PlanOnly);
            self.emit(PoolEvent::MapFailed(MapFailure {
                rank: None,
                item: None,
                what: MapFault::PlanOnly,
                died: Vec::new(),
            }));
        } else if map.captures().is_some_and(|hash| !self.captures.has(hash)) {
            map.tell(&ToCaller::WantCaptures, &Payload::None);
        }
        self.maps.insert(job, map);
        self.answer_heard(job);
    }

    /// Pool, engines, their ranks and whether they live.
    #[expect(clippy::type_complexity, reason = "two values, named by the caller")]
    fn engines_for(
        &self,
        begin: &MapBegin,
    ) -> Result<(PoolName, Vec<(EngineId, Rank, bool)>), String> {
        let wanted = begin.wish.pool.as_deref();
        let found = self.pools.iter().find_map(|pool| match pool {
            PoolUse::Processes { name, engines }
                if wanted.is_none_or(|wanted| wanted == name.0) =>
            {
                Some((name, engines))
            }
            _ => None,
        });
        let Some((name, engines)) = found else {
            return Err(match wanted {
                Some(wanted) => format!("there is no process pool `{wanted}`"),
                None => "no process pool is started: `%pool start`".to_owned(),
            });
        };
        if begin.wish.schedule == crate::wire::Schedule::Static
            && begin.wish.chunk.is_none()
            && begin.items.is_none()
        {
            return Err(
                "a static schedule deals all inputs before the start, and this iterator does not say how many it has: collect it first, or give a chunk size"
                    .to_owned(),
            );
        }
        let ranks = &begin.wish.ranks;
        let chosen: Vec<(EngineId, Rank, bool)> = (0..)
            .zip(engines)
            .filter(|(rank, _)| ranks.is_empty() || ranks.contains(rank))
            .map(|(rank, engine)| {
                let alive = self
                    .processes
                    .get(engine)
                    .is_some_and(super::process::Process::is_alive);
                (*engine, Rank(rank), alive)
            })
            .collect();
        if let Some(rank) = ranks.iter().find(|rank| **rank as usize >= engines.len()) {
            return Err(format!(
                "{name} has no engine {rank}: its ranks are 0 to {}",
                engines.len().saturating_sub(1)
            ));
        }
        Ok((name.clone(), chosen))
    }

    /// What the caller of a map says.
    pub(super) fn hear_caller(&mut self, job: JobId) {
        if let Some(map) = self.maps.get_mut(&job) {
            map.fill();
            self.answer_heard(job);
        }
    }

    fn answer_heard(&mut self, job: JobId) {
        while let Some((message, payload)) = self.maps.get_mut(&job).and_then(Map::heard) {
            self.answer_caller(job, message, payload);
        }
        self.go_on(job);
        if self.maps.get(&job).is_some_and(Map::is_closed) {
            self.conclude(job);
        }
    }

    /// What was said on maps' connections before this engine spoke on its own.
    pub(super) fn hear_callers_in(&mut self, engine: EngineId) {
        let lines: Vec<LineId> = self
            .lines
            .iter()
            .filter(|(_, (caller, _))| *caller == engine)
            .map(|(line, _)| *line)
            .collect();
        for line in lines {
            self.line_ready(line);
        }
        let jobs: Vec<JobId> = self
            .maps
            .iter()
            .filter(|(_, map)| map.caller == engine)
            .map(|(job, _)| *job)
            .collect();
        for job in jobs {
            self.hear_caller(job);
        }
    }

    fn answer_caller(&mut self, job: JobId, message: FromCaller, payload: Payload) {
        let Some(map) = self.maps.get_mut(&job) else {
            return;
        };
        match message {
            FromCaller::Inputs {
                error: Some(error), ..
            } => {
                let fault = if error.file.is_empty() {
                    MapFault::Inputs(error.message)
                } else {
                    MapFault::InputsPanicked(*error)
                };
                let step = map.fail(None, None, fault);
                self.take(job, vec![step]);
            }
            FromCaller::Inputs {
                count,
                exhausted,
                encode,
                ..
            } => map.inputs(count, exhausted, encode, payload),
            FromCaller::Captures => {
                if let Some(hash) = map.captures() {
                    let names = map.capture_names.clone();
                    let needed = self.needed();
                    for hash in self.captures.keep(hash, names, payload, &needed) {
                        self.forget_capture(hash);
                    }
                }
            }
            FromCaller::Undecodable => {
                let what = MapFault::Inputs("a result could not be decoded".to_owned());
                let step = map.fail(None, None, what);
                self.take(job, vec![step]);
            }
            FromCaller::Cancel => self.end_early(job, EndEarly::Cancel),
            FromCaller::Closed { decode } => map.close(decode),
            // One map at a time.
            FromCaller::Begin(_) => {}
        }
    }

    /// Captured values of the maps under way.
    fn needed(&self) -> Vec<u128> {
        self.maps.values().filter_map(Map::captures).collect()
    }

    /// These variables are gone, or have another value.
    pub(super) fn let_go_of(&mut self, variables: &[String]) {
        let needed = self.needed();
        for hash in self.captures.drop_those_of(variables, &needed) {
            self.forget_capture(hash);
        }
    }

    fn forget_capture(&mut self, hash: u128) {
        let engines: Vec<EngineId> = self.processes.keys().copied().collect();
        for engine in engines {
            if let Some(process) = self.processes.get_mut(&engine)
                && process.captures.remove(&hash)
            {
                self.send(engine, &ToEngine::ForgetCapture { hash }, &Payload::None);
            }
        }
    }

    /// Does what a map wants next, and what others want that were waiting for its engines.
    pub(super) fn go_on(&mut self, job: JobId) {
        if self.is_alone() {
            Jobs::go_on(self, job, &Elsewhere::default());
        } else {
            self.due.insert(job);
            self.go_on_with_due();
        }
    }

    /// One map, whose engines have nothing else: there is nothing to weigh.
    fn is_alone(&self) -> bool {
        let mut maps = self.maps.values();
        let (Some(map), None) = (maps.next(), maps.next()) else {
            return self.maps.is_empty();
        };
        let party = map.party();
        let mut workers = party.engines.iter().enumerate();
        workers
            .all(|(worker, engine)| self.given(*engine) == party.assignment.ledger().held(worker))
    }

    /// Goes on with the maps to which something has happened, and gives engines that are free to whichever map
    /// has had the least of them.
    pub(super) fn go_on_with_due(&mut self) {
        let due = std::mem::take(&mut self.due);
        if due.is_empty() {
            return;
        }
        if self.is_alone() {
            for job in due {
                Jobs::go_on(self, job, &Elsewhere::default());
            }
        } else {
            turns::round(self, &due);
        }
    }

    /// An engine has become free of something that no map had sent: maps may wait for it.
    pub(super) fn engine_is_free(&mut self, engine: EngineId) {
        let waits = |map: &Map| map.is_waiting() && map.involves(engine);
        let waiting = self.maps.iter().filter(|(_, map)| waits(map));
        self.due.extend(waiting.map(|(job, _)| *job));
    }

    pub(super) fn take(&mut self, job: JobId, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Send {
                    engine,
                    message,
                    payload,
                } => self.send(engine, &message, &payload),
                Step::Prepare { engine, task } => {
                    if let Some(hash) = task.captures
                        && let Some(payload) = self.captures.get(hash)
                        && let Some(process) = self.processes.get_mut(&engine)
                        && process.captures.insert(hash)
                    {
                        self.send(engine, &ToEngine::Capture { hash }, &payload);
                    }
                    let over = self.processes.get_mut(&engine);
                    for job in over
                        .map(|process| std::mem::take(&mut process.over))
                        .unwrap_or_default()
                    {
                        self.send(engine, &ToEngine::JobOver { job }, &Payload::None);
                    }
                    self.send(engine, &ToEngine::Function { job, task }, &Payload::None);
                }
                Step::Stop(engines) => self.stop_items(job, &engines),
                Step::Failed(failure) => {
                    let engines = self.maps.get(&job).map(Map::engines).unwrap_or_default();
                    self.stop_items(job, &engines);
                    if self.maps.get(&job).is_some_and(|map| !map.wish.background) {
                        self.pass_on_all_prints();
                        self.emit(PoolEvent::MapFailed(failure));
                    }
                }
            }
        }
    }

    fn stop_items(&self, job: JobId, engines: &[EngineId]) {
        for process in engines.iter().filter_map(|id| self.processes.get(id)) {
            process.stop_job(job);
        }
    }

    /// An engine has ended a chunk.
    pub(super) fn chunk_done(
        &mut self,
        engine: EngineId,
        job: JobId,
        chunk: u32,
        ended: &crate::wire::ChunkEnded,
        results: Payload,
    ) {
        let Some(map) = self.maps.get_mut(&job) else {
            // It is over.
            results.release();
            return self.engine_is_free(engine);
        };
        let steps = map.chunk_done(engine, chunk, ended, results);
        self.take(job, steps);
        self.due.insert(job);
    }

    /// A map is over, and its caller has heard so or is gone.
    fn conclude(&mut self, job: JobId) {
        let Some(mut map) = self.maps.remove(&job) else {
            return;
        };
        self.tell_end(&mut map);
        let caller = map.caller;
        if let Some(channel) = map.into_channel() {
            self.hear_line(caller, channel);
        }
    }

    fn tell_end(&mut self, map: &mut Map) {
        let job = map.job;
        self.countdowns.remove(&job);
        let engines = map.engines();
        let record = map.record();
        if record.state != JobState::Done {
            // What still runs for it is not wanted any more.
            self.stop_items(job, &engines);
        }
        for engine in engines {
            if let Some(process) = self.processes.get_mut(&engine) {
                // Told with the next job's function: it is no reason to wake the engine.
                process.over.push(job);
            }
        }
        let timeline = map.last_timeline();
        if map.wish.background {
            let text = said(&record);
            self.remember(record, timeline);
            self.pass_on_all_prints();
            // Code that begins many short ones knows of them.
            let by_code = map.wish.function.is_empty();
            let unasked = by_code && (map.wish.quiet || map.elapsed() < LIVE_AFTER);
            if map.awaited || unasked {
                return;
            }
            // Above the prompt, or among what a cell shows.
            match &mut self.notify {
                Some(notify) if self.prompting => notify(&text),
                _ => self.emit(PoolEvent::JobOver { job, text }),
            }
            return;
        }
        let silent = map.wish.function.is_empty() && !map.wish.quiet;
        if !silent {
            // Not its caller's, who may have gone on.
            for engine in map.engines() {
                self.pass_on_prints(engine, usize::MAX);
            }
        }
        match record.state {
            JobState::Failed => {}
            // Of a map that collects errors the rest are errors.
            JobState::Cancelled if !map.wish.collect => {
                self.emit(PoolEvent::MapFailed(MapFailure {
                    rank: None,
                    item: None,
                    what: MapFault::Interrupted {
                        done: record.done,
                        total: record.total,
                    },
                    died: Vec::new(),
                }));
            }
            // A map from code shows nothing.
            _ if silent => {}
            _ => self.emit(PoolEvent::MapDone {
                report: map.report(),
                shown: !map.wish.function.is_empty(),
            }),
        }
        self.remember(record, timeline);
    }

    /// The jobs that a command is about; none that is over and waits for its caller's word.
    pub(super) fn jobs(&self, which: WhichMaps) -> Vec<JobId> {
        self.maps
            .iter()
            .filter(|(job, map)| match which {
                _ if map.is_over() => false,
                WhichMaps::Foreground => !map.wish.background,
                WhichMaps::Job(wanted) => **job == wanted,
            })
            .map(|(job, _)| *job)
            .collect()
    }

    pub(super) fn end_early(&mut self, job: JobId, how: EndEarly) {
        let Some(map) = self.maps.get_mut(&job) else {
            return;
        };
        match how {
            EndEarly::Cancel => {
                let steps = map.cancel();
                if map.is_stopping() {
                    self.countdowns
                        .entry(job)
                        .or_insert_with(|| Instant::now() + COUNTDOWN);
                }
                self.take(job, steps);
            }
            EndEarly::Kill => {
                let steps = map.cancel();
                let busy = map.busy_engines();
                self.take(job, steps);
                self.countdowns.remove(&job);
                for process in busy.iter().filter_map(|engine| self.processes.get(engine)) {
                    process.signal(nix::sys::signal::Signal::SIGKILL);
                }
            }
            EndEarly::Abandon => {
                let (done, total) = map.progress();
                let step = map.fail(None, None, MapFault::Interrupted { done, total });
                self.take(job, vec![step]);
            }
        }
        self.go_on(job);
    }

    /// What the clock asks for: limits of items, countdowns, the live table.
    pub(super) fn tick(&mut self) {
        let now = Instant::now();
        let due: Vec<JobId> = self
            .countdowns
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(job, _)| *job)
            .collect();
        for job in due {
            self.end_early(job, EndEarly::Kill);
        }
        let mut views = Vec::new();
        for (job, map) in &mut self.maps {
            let at = |engine: EngineId| self.processes.get(&engine)?.at(*job);
            for (engine, item) in map.late(at) {
                if let Some(process) = self.processes.get(&engine)
                    && self.late.insert(engine, item).is_none()
                {
                    process.signal(nix::sys::signal::Signal::SIGKILL);
                }
            }
            let left = self
                .countdowns
                .get(job)
                .map(|at| at.saturating_duration_since(now));
            let shown = !map.wish.background && !map.wish.quiet;
            let long = map.elapsed() >= LIVE_AFTER || left.is_some();
            if shown && long {
                let look = |engine: EngineId| {
                    let process = self.processes.get(&engine);
                    let item = process.and_then(|process| process.at(*job));
                    let memory = process.and_then(super::process::Process::memory);
                    (item.map(|(item, _)| item), memory)
                };
                views.extend(map.view(look, left));
            }
        }
        for view in views {
            self.emit(PoolEvent::Live(view));
        }
    }

    /// An engine is gone: its items run elsewhere.
    pub(super) fn died_in_maps(
        &mut self,
        engine: EngineId,
        cause: &str,
        at: Option<(JobId, u64)>,
        replaced: bool,
    ) {
        let late = self.late.remove(&engine);
        let jobs: Vec<JobId> = self.maps.keys().copied().collect();
        for job in jobs {
            let Some(map) = self.maps.get_mut(&job) else {
                continue;
            };
            let item = at.filter(|(at, _)| *at == job).map(|(_, item)| item);
            let slow = late.is_some() && item == late;
            let steps = map.died(engine, cause, item, slow, replaced);
            self.take(job, steps);
            self.go_on(job);
        }
    }

    /// The maps of a caller that is gone.
    pub(super) fn drop_maps_of(&mut self, caller: EngineId) {
        let of_caller = |process: &super::process::Process| process.launch.pool.is_none();
        if self.processes.get(&caller).is_none_or(of_caller) {
            for (record, _) in &mut self.finished {
                record.held = false;
            }
        }
        self.lines.retain(|_, (of, _)| *of != caller);
        for job in self.maps.keys().copied().collect::<Vec<_>>() {
            if self.maps.get(&job).is_some_and(|map| map.caller == caller)
                && let Some(mut map) = self.maps.remove(&job)
            {
                self.countdowns.remove(&job);
                self.stop_items(job, &map.engines());
                let mut record = map.record();
                if record.state != JobState::Done {
                    record.state = JobState::Failed;
                }
                let timeline = map.last_timeline();
                self.remember(record, timeline);
            }
        }
    }

    /// An engine answers for the first time.
    pub(super) fn revived(&mut self, engine: EngineId) {
        for job in self.maps.keys().copied().collect::<Vec<_>>() {
            if let Some(map) = self.maps.get_mut(&job).filter(|map| map.involves(engine)) {
                map.revived(engine);
                self.go_on(job);
            }
        }
    }
}

impl Jobs for State {
    fn numbers(&self) -> Vec<JobId> {
        self.maps.keys().copied().collect()
    }

    fn party(&self, job: JobId) -> Option<Party<'_>> {
        self.maps.get(&job).map(Map::party)
    }

    fn served(&self, job: JobId) -> f64 {
        let now = monotonic();
        self.maps.get(&job).map_or(0.0, |map| map.served(now))
    }

    fn given(&self, engine: EngineId) -> usize {
        let process = self.processes.get(&engine);
        process.map_or(0, |process| process.given() as usize)
    }

    fn go_on(&mut self, job: JobId, elsewhere: &Elsewhere) {
        let Some(map) = self.maps.get_mut(&job) else {
            return;
        };
        // Nothing is sent before what the function captures is here.
        if map.captures().is_some_and(|hash| !self.captures.has(hash)) {
            return;
        }
        let left = |engine: &EngineId| {
            let process = self.processes.get(engine);
            process.and_then(super::process::Process::left)
        };
        if map.is_limited() {
            map.has_left(map.engines().iter().map(left));
        }
        let steps = map.steps(elsewhere);
        self.take(job, steps);
    }
}

/// `job 3 finished: 1000 items in 2.1 s; `let r = %result 3` gives them`
fn said(record: &super::JobRecord) -> String {
    let job = record.job;
    let items = match (record.total, record.done) {
        (Some(total), done) if total != done => format!("{done} of {total} items"),
        (_, 1) => "1 item".to_owned(),
        (_, done) => format!("{done} items"),
    };
    let time = format!("{:.3} s", record.elapsed.as_secs_f64());
    match record.state {
        JobState::Done if !record.held => {
            format!("job {job} finished: {items} in {time}; nothing keeps its results")
        }
        JobState::Done => {
            format!(
                "job {job} finished: {items} in {time}; `let r = %result {job}` gives the results"
            )
        }
        JobState::Cancelled => format!("job {job} was cancelled after {items}"),
        _ => format!("job {job} failed after {items}: `%result {job}` tells why"),
    }
}
