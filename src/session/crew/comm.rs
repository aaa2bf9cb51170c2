//! What ranks have told of the messages that they have not received, and what they did in their last cell.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Crew;
use super::pump::Awaited;
use crate::ids::{CellId, EngineId, PoolName, Rank};
use crate::outcome::{CommTable, PoolKind, Sink, Unreceived};
use crate::session::Failed;
use crate::wire::world::CommTold;

#[derive(Default)]
pub struct Comms {
    /// By pool, how many messages nobody had received when that was last told.
    told: BTreeMap<PoolName, u64>,
    /// What was answered since it was asked for.
    answers: Vec<(EngineId, Rank, CommTold)>,
    /// The last cell in which ranks spoke with each other: its pool, and what they had done then.
    last: Option<(PoolName, Option<CellId>, CommTable)>,
}

impl Comms {
    pub(super) fn answered(&mut self, engine: EngineId, rank: Rank, told: CommTold) {
        self.answers.push((engine, rank, told));
    }

    /// Whether more messages than at the last time wait for somebody to receive them.
    pub fn grown(&mut self, pool: &PoolName, left: u64) -> bool {
        left > self.told.insert(pool.clone(), left).unwrap_or_default()
    }

    /// A cell in which ranks may have spoken with each other has ended.
    pub fn ran(&mut self, pool: &PoolName, cell: Option<CellId>, table: CommTable) {
        self.last = Some((pool.clone(), cell, table));
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
        let (engines, threads) = match pool.kind {
            PoolKind::Threads => (vec![self.local], Some(pool.name.clone())),
            PoolKind::Processes => (pool.engines.clone(), None),
        };
        let expected = match pool.kind {
            PoolKind::Threads => pool.size as usize,
            PoolKind::Processes => {
                let living = engines.iter().filter(|engine| !self.is_dead(**engine));
                living.count()
            }
        };
        self.comms.answers.clear();
        self.hub.ask_messages(engines, threads, clear);
        let until = Instant::now() + patience;
        self.until(Answers { expected, until }, sink)?;
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
    expected: usize,
    until: Instant,
}

impl Awaited for Answers {
    type Outcome = ();

    fn look(&mut self, crew: &mut Crew, _: &mut dyn Sink) -> Result<Option<()>, Failed> {
        let all = crew.comms.answers.len() >= self.expected;
        Ok((all || Instant::now() >= self.until).then_some(()))
    }

    fn interrupted(&mut self, _: &mut Crew) -> Result<(), Failed> {
        self.until = Instant::now();
        Ok(())
    }
}
