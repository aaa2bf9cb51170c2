//! What ranks have told of the messages that they have not received, and what they did in their last cell.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::Crew;
use super::pump::Awaited;
use crate::ids::{EngineId, JobId, PoolName, Rank};
use crate::outcome::{CommTable, PoolKind, PxTimeline, Sink, Unreceived};
use crate::session::Failed;
use crate::wire::world::CommTold;

/// Timelines of `%px` cells that are kept.
const KEPT: usize = 16;

struct Kept {
    /// Of one in the background.
    job: Option<JobId>,
    /// The newest map then.
    map: Option<JobId>,
    timeline: PxTimeline,
}

#[derive(Default)]
struct Left {
    /// Messages that had been sent, and those of them that nobody had received.
    counts: (u64, u64),
    messages: Vec<Unreceived>,
}

#[derive(Default)]
pub struct Comms {
    /// By pool, what nobody had received when that was looked at last.
    left: BTreeMap<PoolName, Left>,
    /// What was answered since it was asked for.
    answers: Vec<(EngineId, Rank, CommTold)>,
    /// The last `%px` cells, the newest at the end.
    timelines: VecDeque<Kept>,
}

impl Comms {
    pub(super) fn answered(&mut self, engine: EngineId, rank: Rank, told: CommTold) {
        self.answers.push((engine, rank, told));
    }

    /// Whether messages wait for somebody to receive them that may be others than the last time.
    pub fn may_have_left(&mut self, pool: &PoolName, table: &CommTable) -> bool {
        let all = || table.traffic.iter().flatten();
        let sent = all().map(|one| one.messages).sum();
        let left = all().map(|one| one.unreceived).sum();
        let known = self.left.entry(pool.clone()).or_default();
        let before = std::mem::replace(&mut known.counts, (sent, left));
        left > 0 && before != (sent, left)
    }

    /// These wait now; whether there are others among them than the last time.
    pub fn left(&mut self, pool: &PoolName, messages: &[Unreceived]) -> bool {
        let known = self.left.entry(pool.clone()).or_default();
        let before = std::mem::replace(&mut known.messages, messages.to_vec());
        let count =
            |all: &[Unreceived], one: &Unreceived| all.iter().filter(|it| *it == one).count();
        { messages.iter() }.any(|one| count(messages, one) > count(&before, one))
    }

    /// A `%px` has ended; `map`: the newest map then.
    pub fn ran(&mut self, job: Option<JobId>, map: Option<JobId>, timeline: PxTimeline) {
        self.timelines.push_back(Kept { job, map, timeline });
        if self.timelines.len() > KEPT {
            self.timelines.pop_front();
        }
    }

    /// The timeline of the `%px` with this number; without one of the last `%px`, unless `newest`, a map, is newer.
    pub fn timeline(&self, job: Option<JobId>, newest: Option<JobId>) -> Option<&PxTimeline> {
        let mut all = self.timelines.iter().rev();
        let found = match job {
            Some(_) => all.find(|kept| kept.job == job),
            None => all.next().filter(|kept| newest <= kept.map),
        };
        found.map(|kept| &kept.timeline)
    }
}

impl Crew {
    /// What the living ranks of a pool have not received, as far as they say it in time; `clear`: it is dropped.
    pub fn unreceived(
        &mut self,
        pool: &PoolName,
        clear: bool,
        patience: Duration,
        sink: &mut dyn Sink,
    ) -> Result<Vec<Unreceived>, Failed> {
        let pool = self.pool_named(Some(&pool.0))?.clone();
        let Some(table) = self.hub.comm_table(&pool.name) else {
            return Ok(Vec::new());
        };
        let all = (0..table.size).map(Rank);
        let ranks: Vec<Rank> = all.filter(|rank| table.waits_for(*rank) > 0).collect();
        if ranks.is_empty() {
            return Ok(Vec::new());
        }
        let (engines, threads) = match pool.kind {
            PoolKind::Threads => (vec![self.local], Some(pool.name.clone())),
            PoolKind::Processes => {
                let engine = |rank: &Rank| pool.engines.get(rank.0 as usize).copied();
                (ranks.iter().filter_map(engine).collect(), None)
            }
        };
        self.comms.answers.clear();
        self.hub.ask_messages(engines, threads, clear);
        let until = Instant::now() + patience;
        self.until(Answers { ranks, until }, sink)?;
        let mut all = Vec::new();
        let mut answers = std::mem::take(&mut self.comms.answers);
        answers.sort_by_key(|(_, rank, _)| *rank);
        for (_, rank, told) in &answers {
            all.extend(crate::session::comm::unreceived(*rank, told));
        }
        Ok(all)
    }
}

/// All ranks have answered; who does not is not waited for.
struct Answers {
    ranks: Vec<Rank>,
    until: Instant,
}

impl Awaited for Answers {
    type Outcome = ();

    fn look(&mut self, crew: &mut Crew, _: &mut dyn Sink) -> Result<Option<()>, Failed> {
        let has = |of: &Rank| crew.comms.answers.iter().any(|(_, rank, _)| rank == of);
        let all = self.ranks.iter().all(has);
        Ok((all || Instant::now() >= self.until).then_some(()))
    }

    fn interrupted(&mut self, _: &mut Crew) -> Result<(), Failed> {
        self.until = Instant::now();
        Ok(())
    }
}
