//! What a node of a durable cluster does beside what its session tells it: its engines have pieces of the queue too, and go on
//! with them when the session is gone.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::task::spawn_local;

use super::super::message::{Content, FromNode};
use super::super::queue::SeatId;
use super::around::Around;
use super::{Node, TICK};
use crate::ids::{ArtifactId, EngineId, JobId};
use crate::pool::Launch;
use crate::wire::{FromEngine, Payload, ToEngine};

/// A session of which nothing is heard for so long has given the node up, or is gone.
const UNATTENDED: Duration = Duration::from_secs(12);

impl Node {
    /// Nothing was heard of the session for so long. Without one nobody waits for it to take anything.
    pub(super) fn attends(&self, silent: Duration) {
        if let Some(list) = self.list.as_ref().filter(|_| silent >= UNATTENDED) {
            // Nobody will tell.
            list.has_room(true);
        }
        if self.is_left.get() {
            return;
        }
        let is_attended = self.list.is_none() || silent < UNATTENDED;
        self.is_attended(is_attended);
        self.post.is_waited_for(is_attended);
        if !is_attended {
            let engines = self.engines.borrow();
            engines.values().for_each(|it| it.waits_for_nobody());
        }
    }

    fn is_attended(&self, is_attended: bool) {
        self.is_attended.set(is_attended);
        if let Some(list) = &self.list {
            list.is_attended(is_attended);
        }
    }

    /// An engine, as the list knows it.
    pub(super) fn seat(&self, engine: EngineId) -> SeatId {
        SeatId {
            epoch: self.epoch,
            engine,
        }
    }

    /// The session is gone for good. What engines do for it ends with it; what they have of the queue does not.
    pub(super) fn leaves_queue(&self) {
        let Some(list) = &self.list else {
            return self.end_engines();
        };
        self.is_attended(false);
        for (id, engine) in self.engines.borrow().iter() {
            engine.waits_for_nobody();
            if list.does_for_session(self.seat(*id)) {
                engine.signal(Signal::SIGKILL as i32);
            }
        }
    }

    /// Another session has come, with engines of its own.
    pub(super) fn retire(&self) {
        self.is_retired.set(true);
        for engine in self.engines.borrow().keys() {
            self.takes_pieces(*engine, false);
        }
    }

    /// Without a session, the engines end when nothing is in the queue. As long as there is something, others come in the place
    /// of those that have ended by themselves, also when a session was told of it that has not done anything about it.
    pub(super) fn looks_whether_drained(node: &Rc<Self>) {
        let Some(list) = node.list.clone().filter(|_| !node.is_retired.get()) else {
            return;
        };
        if !node.is_left.get() && node.stand_ins.borrow().are_none() {
            return;
        }
        let node = node.clone();
        spawn_local(async move {
            let is_drained = list.is_drained().await;
            if node.is_retired.get() {
                return;
            }
            if !is_drained {
                let missing = node.stand_ins.borrow().missing();
                missing
                    .into_iter()
                    .for_each(|of| Self::stands_in(&node, of));
            } else if node.is_left.get() {
                node.is_retired.set(true);
                node.end_engines();
            } else {
                // There is nothing for them to do.
                let all = node.stand_ins.borrow().all();
                node.kill(all);
            }
        });
    }

    /// Starts an engine in the place of one that has ended by itself, unless somebody has.
    fn stands_in(node: &Rc<Self>, of: EngineId) {
        let next = node.stand_ins.borrow_mut().next(of);
        let Some((engine, launch, around)) = next else {
            return;
        };
        let first = around.first().cloned();
        if !Self::start(node, engine, &launch, around, first.is_some()) {
            // It is tried again later.
            return node.stand_ins.borrow_mut().over(engine);
        }
        if let Some(run) = first {
            node.with(engine, |it| it.send(&run, &Payload::None));
        }
    }

    /// Whether engines begin with this, or those that stand in for them.
    pub(super) fn begin_with(&self, content: Content) -> bool {
        let engines = self.engines.borrow();
        let mut all = engines.values();
        all.any(|it| it.around.borrow().needs(content)) || self.stand_ins.borrow().need(content)
    }

    fn kill(&self, engines: Vec<EngineId>) {
        for engine in engines {
            self.with(engine, |it| it.signal(Signal::SIGKILL as i32));
        }
    }

    /// The session starts an engine of this number of the hub's.
    pub(super) fn is_replaced(&self, of: EngineId) {
        let unneeded = self.stand_ins.borrow_mut().replaced(of);
        self.kill(unneeded);
    }

    /// The session ends an engine, which may have ended by itself.
    pub(super) fn is_unwanted(&self, engine: EngineId) {
        let unneeded = self.stand_ins.borrow_mut().unwanted(engine);
        self.kill(unneeded);
    }

    /// What an engine has to say beside what is for the list has nobody to hear it.
    pub(super) fn speaks_to_nobody(&self, engine: EngineId) -> bool {
        !self.is_attended.get() || self.stand_ins.borrow().is_one(engine)
    }

    /// Whether engines do something for a session that is gone. Those that don't end.
    pub(super) fn is_at_work(&self) -> bool {
        let Some(list) = &self.list else {
            return !self.engines.borrow().is_empty();
        };
        let free: Vec<EngineId> = {
            let engines = self.engines.borrow();
            let ids = engines.keys().copied();
            ids.filter(|it| list.has_nothing(self.seat(*it))).collect()
        };
        // It is told to the list when they have ended.
        self.kill(free);
        self.look_at_engines();
        !self.engines.borrow().is_empty()
    }

    /// No more of a queued job is done.
    pub(super) fn stop_queued(&self, job: JobId, told: bool) {
        if let Some(list) = &self.list {
            let pieces = list.stop(job, told);
            if told {
                self.post.send(&FromNode::Holding { job, pieces });
            }
        }
    }

    /// The session wants to know which pieces of a queued job are here.
    pub(super) fn tell_queued(&self, job: JobId) {
        let list = self.list.as_ref();
        let pieces = list.map_or_else(Vec::new, |list| list.pieces_of(job));
        self.post.send(&FromNode::Holding { job, pieces });
    }

    /// Tells of what cannot be read on the server, or is not taken there: once, as long as that goes on.
    pub(super) fn tell_unreadable(&self) {
        let found = self.list.iter().flat_map(|list| list.unreadable());
        let found: BTreeMap<JobId, String> = found.collect();
        let before = self.unreadable.replace(found.keys().copied().collect());
        for (job, why) in found.into_iter().filter(|(job, _)| !before.contains(job)) {
            self.post.send(&FromNode::Unreadable { job, why });
        }
    }

    /// Whether an engine gets more pieces.
    pub(super) fn takes_pieces(&self, engine: EngineId, takes: bool) {
        if let Some(list) = &self.list {
            list.is_busy(self.seat(engine), !takes);
        }
    }

    /// Tells the list what the session has an engine do; whether the list needs the engine to keep what it should forget.
    pub(super) fn is_for_list(&self, engine: EngineId, message: &ToEngine) -> bool {
        let Some(list) = &self.list else {
            return false;
        };
        match message {
            ToEngine::Run { .. } | ToEngine::Chunk { .. } => list.is_busy(self.seat(engine), true),
            ToEngine::Capture { hash } => list.shelf().names(*hash, true),
            ToEngine::ForgetCapture { hash } => {
                list.shelf().names(*hash, false);
                return list.needs(*hash);
            }
            _ => {}
        }
        false
    }

    /// An engine has ended. Its session starts another one when it wants one; without a session the node does, at once.
    pub(super) fn ended(
        node: &Rc<Self>,
        engine: EngineId,
        (launch, around): (Launch, Around),
        was_ended: bool,
    ) {
        if node.list.is_none() || node.is_retired.get() {
            return;
        }
        if was_ended && node.is_attended.get() {
            return node.stand_ins.borrow_mut().over(engine);
        }
        let of = launch.id;
        { node.stand_ins.borrow_mut() }.fell(engine, launch, around);
        if node.is_attended.get() {
            return;
        }
        let node = node.clone();
        spawn_local(async move {
            // One that ends as soon as it is started is not started all the time.
            tokio::time::sleep(TICK).await;
            if !node.is_attended.get() && !node.is_retired.get() {
                Self::stands_in(&node, of);
            }
        });
    }

    /// Whether what an engine says is for the list alone.
    pub(super) fn list_hears(
        node: &Rc<Self>,
        engine: EngineId,
        message: &FromEngine,
        payload: &Payload,
    ) -> bool {
        let Some(list) = &node.list else {
            return false;
        };
        match message {
            FromEngine::ChunkDone { job, chunk, ended } => {
                let is_its = list.chunk_done(node.seat(engine), *job, *chunk, ended, payload);
                if !is_its {
                    list.is_busy(node.seat(engine), false);
                }
                is_its
            }
            FromEngine::GivenBack { job, chunks } => {
                let is_its = list.given_back(node.seat(engine), *job, chunks);
                if !is_its {
                    chunks
                        .iter()
                        .for_each(|_| list.is_busy(node.seat(engine), false));
                }
                is_its
            }
            FromEngine::RunDone { .. } => {
                list.is_busy(node.seat(engine), false);
                false
            }
            FromEngine::WantArtifact { artifact } => {
                if let Some(file) = list.artifact(artifact.content) {
                    node.give(engine, *artifact, Ok(file));
                    return true;
                }
                if !node.speaks_to_nobody(engine) {
                    return false;
                }
                // What it begins with has come for others.
                let content = Content::Artifact(artifact.content);
                let known = node.objects.borrow().get(content);
                if known.is_ok() {
                    node.give(engine, *artifact, known);
                    return true;
                }
                let (node, list, artifact) = (node.clone(), list.clone(), *artifact);
                spawn_local(async move {
                    let fetched = list.fetch_artifact(artifact.content).await;
                    node.give(engine, artifact, fetched.map_err(|error| error.to_string()));
                });
                true
            }
            _ => false,
        }
    }

    /// The answer to an engine that lacks an artifact.
    fn give(&self, engine: EngineId, artifact: ArtifactId, file: Result<Payload, String>) {
        let (file, why) = match file {
            Ok(file) => (file, String::new()),
            Err(why) => (Payload::None, why),
        };
        let answer = ToEngine::Artifact { artifact, why };
        self.with(engine, |it| it.send(&answer, &file));
    }
}
