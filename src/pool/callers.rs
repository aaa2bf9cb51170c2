//! Whoever calls maps, as the hub hears them: connections on which maps are asked for, what their callers say,
//! and the values that they capture.

use regatta_cell::options::Schedule;

use super::connections::{Connection, ConnectionId};
use super::engine::Engine;
use super::hub::State;
use super::map::Map;
use super::{EndEarly, MapFailure, MapFault, MapRefusal, PoolEvent, PoolUse, Work};
use crate::ids::{EngineId, JobId, PoolName, Rank};
use crate::wire::{
    Channel, FromCaller, MapBegin, PanicInfo, Payload, Service, ToCaller, ToEngine, Workers,
    monotonic,
};

impl State {
    /// What is said on a connection for maps while no map has it.
    pub(super) fn hear_for_maps(&mut self, mut connection: Connection) {
        loop {
            match connection.channel.next_frame() {
                Ok(Some((FromCaller::Begin(begin), _))) => {
                    return self.begin_map(connection.owner, connection.channel, *begin);
                }
                // What was on its way when the last map ended.
                Ok(Some(_)) => {}
                Ok(None) => return self.wait_for(connection),
                Err(_) => return,
            }
        }
    }

    /// A map that a caller asks for.
    fn begin_map(&mut self, caller: EngineId, channel: Channel, begin: MapBegin) {
        let (pool, mut engines) = match self.engines_for(&begin) {
            Ok(found) => found,
            Err(why) => return self.refuse_map(caller, channel, why),
        };
        let job = JobId(self.next_job);
        self.next_job += 1;
        let begun = self.engines.get(&caller).and_then(Engine::work);
        if let Some(Work::Cell(cell)) = begun {
            self.cells.insert(job, cell);
        }
        if !begin.options.plan_only {
            self.revive(caller, &mut engines);
        }
        let queue = self.queue_for(&engines, &begin.options);
        let (mut map, mut plan) = Map::new(job, caller, channel, pool, &engines, begin, queue);
        map.far = engines.iter().any(|(engine, ..)| self.is_far(*engine));
        let now = monotonic();
        let others = self.maps.values().filter(|map| map.has_engines());
        let served = others.map(|map| map.served(now));
        map.join_at(served.reduce(f64::min).unwrap_or_default());
        let limits = engines
            .iter()
            .filter_map(|(engine, ..)| self.engines.get(engine)?.launch.items);
        if let Some(limit) = limits.min() {
            map.pull_at_most(limit.get());
        }
        plan.captures_there = map.captures().is_some_and(|hash| {
            let has = |engine| {
                self.engines
                    .get(engine)
                    .is_some_and(|process| process.captures.contains(&hash))
            };
            engines.iter().all(|(engine, ..)| has(engine))
        });
        if map.options.background {
            map.tell(&ToCaller::Job { job }, &Payload::None);
        }
        if !map.options.function.is_empty() {
            self.pass_on_prints(caller, usize::MAX);
            self.emit_of(job, PoolEvent::MapPlanned(plan));
        }
        if map.options.plan_only {
            let _ = map.fail(None, None, MapFault::PlanOnly);
            let failure = MapFailure::of_whole(MapFault::PlanOnly);
            self.emit_of(job, PoolEvent::MapFailed(failure));
        } else if map.captures().is_some_and(|hash| !self.captures.has(hash)) {
            map.tell(&ToCaller::WantCaptures, &Payload::None);
        }
        self.maps.insert(job, map);
        self.answer_heard(job);
    }

    fn refuse_map(&mut self, caller: EngineId, mut channel: Channel, why: MapRefusal) {
        let failure = MapFailure::of_whole(MapFault::Refused(why));
        let error = Some(failure.to_string());
        self.emit(caller, PoolEvent::MapFailed(failure));
        let over = ToCaller::Over {
            error,
            cancelled: false,
            wall: 0,
            serial: 0,
            first_items: Vec::new(),
        };
        // A caller that is gone needs no answer.
        let _ = channel.queue(&over, &Payload::None);
        let _ = channel.flush();
        let connection = Connection::new(caller, Service::Map, channel);
        self.unheard.push_back(connection);
    }

    /// Pool, engines, their ranks and whether they live.
    #[expect(clippy::type_complexity, reason = "two values, named by the caller")]
    fn engines_for(
        &self,
        begin: &MapBegin,
    ) -> Result<(PoolName, Vec<(EngineId, Rank, bool)>), MapRefusal> {
        if let Workers::Threads { pool, .. } = &begin.workers {
            return Ok((pool.clone(), Vec::new()));
        }
        let wanted = begin.options.pool.as_deref();
        let found = self.pools.iter().find_map(|pool| match pool {
            PoolUse::Processes { name, engines }
                if wanted.is_none_or(|wanted| wanted == name.0) =>
            {
                Some((name, engines))
            }
            _ => None,
        });
        let Some((name, engines)) = found else {
            return Err(MapRefusal::NoPool(wanted.map(str::to_owned)));
        };
        if begin.options.schedule == Schedule::Static
            && begin.options.chunk.is_none()
            && begin.items.is_none()
        {
            return Err(MapRefusal::NotCounted);
        }
        let ranks = &begin.options.ranks;
        let chosen: Vec<(EngineId, Rank, bool)> = (0..)
            .zip(engines)
            .filter(|(rank, _)| ranks.is_empty() || ranks.contains(rank))
            .map(|(rank, engine)| {
                let alive = self.engines.get(engine).is_some_and(Engine::is_alive);
                (*engine, Rank(rank), alive)
            })
            .collect();
        if let Some(rank) = ranks.iter().find(|rank| **rank as usize >= engines.len()) {
            return Err(MapRefusal::NoRank {
                pool: name.clone(),
                rank: *rank,
                engines: engines.len(),
            });
        }
        Ok((name.clone(), chosen))
    }

    /// What the caller of a map says.
    pub(super) fn hear_caller(&mut self, job: JobId) {
        if let Some(map) = self.maps.get_mut(&job) {
            map.fill();
            self.answer_heard(job);
            self.hear_due();
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
        let connections: Vec<ConnectionId> = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.owner == engine)
            .map(|(connection, _)| *connection)
            .collect();
        for connection in connections {
            self.connection_ready(connection);
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
                let step = map.fail(None, None, fault_of_inputs(*error));
                self.take(job, vec![step]);
            }
            FromCaller::Inputs {
                count,
                exhausted,
                encode,
                ..
            } => map.inputs(count, exhausted, encode, payload),
            FromCaller::Captures => self.keep_captures(job, payload),
            FromCaller::Undecodable { panic } => {
                let fault = MapFault::Undecodable(panic.map(|panic| *panic));
                let step = map.fail(None, None, fault);
                self.take(job, vec![step]);
            }
            FromCaller::Threads(told) => {
                let steps = map.claims_told(*told);
                self.take(job, steps);
            }
            FromCaller::Printed { out } => {
                let caller = map.caller;
                self.caller_printed(caller, out, &payload);
            }
            FromCaller::Cancel => self.end_early(job, EndEarly::Cancel),
            FromCaller::Closed { decode } => map.close(decode),
            // One map at a time.
            FromCaller::Begin(_) => {}
        }
    }

    fn keep_captures(&mut self, job: JobId, payload: Payload) {
        let Some(map) = self.maps.get(&job) else {
            return;
        };
        if let Some(hash) = map.captures() {
            let names = map.options.captures.iter();
            let names = names.map(|(name, _)| name.clone()).collect();
            let needed = self.needed();
            for hash in self.captures.keep(hash, names, payload, &needed) {
                self.forget_capture(hash);
            }
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
        let engines: Vec<EngineId> = self.engines.keys().copied().collect();
        for engine in engines {
            if let Some(process) = self.engines.get_mut(&engine)
                && process.captures.remove(&hash)
            {
                self.send(engine, &ToEngine::ForgetCapture { hash }, &Payload::None);
            }
        }
    }
}

fn fault_of_inputs(error: PanicInfo) -> MapFault {
    if error.file.is_empty() {
        MapFault::Inputs(error.message)
    } else {
        MapFault::InputsPanicked(error)
    }
}
