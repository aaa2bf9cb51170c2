//! Maps of which the nodes of a cluster take the inputs from a queue, as the hub runs them.

use std::sync::Arc;

use regatta_cell::options::{MapOptions, Schedule};

use super::cluster::queue::{Begin, Queue};
use super::engine::Engine;
use super::hub::State;
use super::map::Map;
use super::{EngineState, EngineStatus, MapFault, QueueFault, Work};
use crate::ids::{EngineId, JobId, Rank};
use crate::outcome::JobState;

impl State {
    /// The queue for a map on these engines: that of their cluster, unless which of them does what matters.
    pub(super) fn queue_for(
        &self,
        engines: &[(EngineId, Rank, bool)],
        options: &MapOptions,
    ) -> Option<Queue> {
        let (first, ..) = engines.first()?;
        let launch = &self.engines.get(first)?.launch;
        let cluster = launch.starter.cluster().filter(|it| it.is_durable())?;
        let is_any = options.ranks.is_empty() && options.schedule != Schedule::Static;
        if !is_any || launch.items.is_some() || options.plan_only {
            return None;
        }
        // Without one they are sent what they do.
        Queue::of(cluster).ok()
    }

    /// Tells the queue what nodes need for a map, unless it knows.
    pub(super) fn begin_queue(&mut self, job: JobId) {
        let Some(function) = self.maps.get(&job).and_then(Map::begins_queue) else {
            return;
        };
        let opened = self.artifacts.open(function.artifact);
        let libraries = self.artifacts.libraries();
        let places = self.artifacts.places(function.artifact);
        let captures = self.maps.get(&job).and_then(Map::captures);
        let captures = captures.and_then(|hash| Some((hash, self.captures.get(hash)?)));
        let Some(map) = self.maps.get_mut(&job) else {
            return;
        };
        let artifact = match opened {
            Ok(artifact) => artifact,
            Err(why) => {
                let step = map.fail(None, None, MapFault::Queue(QueueFault::NoArtifact(why)));
                return self.take(job, vec![step]);
            }
        };
        let begin = Begin {
            artifact,
            libraries,
            captures,
        };
        map.begin_queue(begin, places, &self.written);
    }

    /// What the queue has to say of a map.
    pub(super) fn hear_queue(&mut self, job: JobId) {
        if let Some(map) = self.maps.get_mut(&job) {
            let steps = map.hear_queue();
            for (rank, busy) in map.ended_parts() {
                let is_it =
                    |process: &&mut Engine| process.is_alive() && map.is_of(&process.launch, rank);
                if let Some(process) = self.engines.values_mut().find(is_it) {
                    process.busy += busy;
                    process.tasks += 1;
                }
            }
            self.take(job, steps);
            self.due.insert(job);
        }
    }

    /// The map of which this engine has taken an item from the queue.
    pub(super) fn taken_by(&self, process: &Engine) -> Option<JobId> {
        let is_at = |map: &&Map| map.is_queued() && process.link.at(map.job).is_some();
        Some(self.maps.values().find(is_at)?.job)
    }

    /// An engine as it is listed: it says by itself what it has taken from a queue.
    pub(super) fn status(&self, process: &Engine) -> EngineStatus {
        let mut status = process.status();
        if status.state == EngineState::Idle
            && let Some(job) = self.taken_by(process)
        {
            status.state = EngineState::Busy(Work::Map(job));
        }
        status
    }

    /// Of a map that is over nothing is left on the server, but for results that somebody may still ask for.
    pub(super) fn leave_queue(&mut self, map: &mut Map, state: JobState) {
        if !map.is_queued() || map.has_gone_on() {
            return;
        }
        if state == JobState::Done && map.options.background && map.held && !map.is_gone() {
            let (first, job) = (map.engines().first().copied(), map.job);
            let cluster = first.and_then(|it| self.engines.get(&it)?.launch.starter.cluster());
            self.kept_queues
                .extend(cluster.map(|it| (job, Arc::downgrade(it))));
        } else if !self.quits {
            map.close_queue();
        }
    }

    /// A job in the background is to go on without the session; whether it can.
    pub(super) fn detach(&mut self, job: JobId) -> bool {
        if let Some(cluster) = self.kept_queues.remove(&job) {
            let cluster = cluster.upgrade();
            if let Some(cluster) = &cluster {
                cluster.order(super::cluster::queue::Order::Detach(job));
            }
            return cluster.is_some();
        }
        let is_its = self.maps.get_mut(&job).is_some_and(Map::detach);
        self.due.insert(job);
        self.go_on_with_due();
        is_its
    }

    /// A job that is about to go on without the session is not to; whether that is not too late.
    pub(super) fn stays(&mut self, job: JobId) -> bool {
        self.maps.get_mut(&job).is_some_and(Map::stays)
    }

    /// Nobody will ask for its results any more.
    pub(super) fn forget_queue(&mut self, job: JobId) {
        if let Some(cluster) = self.kept_queues.remove(&job)
            && let Some(cluster) = cluster.upgrade()
        {
            cluster.order(super::cluster::queue::Order::Close(job));
        }
    }

    /// Those of these engines that are at an item of the job.
    pub(super) fn engines_at(&self, job: JobId, engines: Vec<EngineId>) -> Vec<EngineId> {
        let is_at = |engine: &EngineId| {
            let process = self.engines.get(engine).filter(|it| Engine::is_alive(it));
            process.is_some_and(|process| process.link.at(job).is_some())
        };
        engines.into_iter().filter(is_at).collect()
    }
}
