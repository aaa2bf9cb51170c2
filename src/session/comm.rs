//! Messages between ranks: what engines tell of them, as outcomes; what nobody has received; `%comm`.

use std::time::Duration;

mod crossing;
mod troubles;

use super::crew::{Ended, Leg};
use super::types::shorten;
use super::{Failed, Session};
use crate::cell::Targets;
use crate::ids::{CellId, JobId, PoolName, Rank};
use crate::outcome::{
    About, CommReport, CommSpan, Event, LaneSpan, Notice, PoolKind, PxLane, PxTimeline, Sink,
    Unreceived,
};
use crate::wire::places::Place;
use crate::wire::world::CommTold;
use crate::wire::world::block::SPAN_COUNT;
pub(super) use troubles::troubles;

/// How long ranks may take to say what they have not received: some may be in another cell.
const PATIENCE: Duration = Duration::from_secs(2);
/// The same where nobody has asked for it.
const NOTICE: Duration = Duration::from_millis(500);

fn place(place: Option<Place>) -> Option<String> {
    place.map(|place| place.to_string())
}

/// What ranks say that they have not received.
pub(super) fn unreceived(to: Rank, told: &CommTold) -> Vec<Unreceived> {
    let CommTold::Unreceived { messages } = told else {
        return Vec::new();
    };
    let message = |it: &crate::wire::world::Unreceived| Unreceived {
        from: Rank(it.from),
        to,
        tag: it.tag,
        bytes: it.bytes,
        type_name: shorten(&it.type_name),
        at: place(it.at),
    };
    messages.iter().map(message).collect()
}

/// When ranks ran a cell.
#[derive(Clone, Debug, Default)]
pub(super) struct Ran {
    /// Of the whole, on the machine's monotonic clock, nanoseconds.
    began: u64,
    legs: Vec<(Rank, PxLane)>,
}

impl Ran {
    pub fn new(began: u64) -> Self {
        let legs = Vec::new();
        Self { began, legs }
    }

    pub fn note(&mut self, rank: Rank, leg: &Leg) {
        let failed = !matches!(leg.ended, None | Some(Ended::Returned));
        let lane = PxLane {
            rank,
            began: leg.ended_at.saturating_sub(leg.busy),
            ended: leg.ended_at,
            failed,
            known_from: None,
            spans: Vec::new(),
        };
        self.legs.push((rank, lane));
    }

    /// What the ranks did in that time.
    fn lanes(self, spans: &[Vec<CommSpan>]) -> Vec<PxLane> {
        let since = |at: u64| Duration::from_nanos(at.saturating_sub(self.began));
        let lane = |(rank, mut lane): (Rank, PxLane)| {
            let all = spans.get(rank.0 as usize).map_or(&[][..], Vec::as_slice);
            let of_cell = all.iter().filter(|span| span.from >= self.began);
            lane.spans = of_cell
                .map(|span| LaneSpan {
                    waits: span.waits,
                    from: since(span.from),
                    to: since(span.to),
                })
                .collect();
            if all.len() as u64 == SPAN_COUNT && lane.spans.len() == all.len() {
                lane.known_from = lane.spans.first().map(|span| span.from);
            }
            lane
        };
        let mut lanes: Vec<PxLane> = self.legs.into_iter().map(lane).collect();
        lanes.sort_by_key(|lane| lane.rank);
        lanes
    }
}

impl Session {
    /// A cell has ended on ranks of the pool: what they did is kept for `%timeline`, and messages that nobody has
    /// received are named, each time there are others.
    pub(super) fn after_px(
        &mut self,
        pool: &PoolName,
        cell: CellId,
        ran: Ran,
        job: Option<JobId>,
        sink: &mut dyn Sink,
    ) {
        let table = self.crew.hub().comm_table(pool);
        let comms = &mut self.crew.comms;
        let may_have_left = { table.as_ref() }.is_some_and(|it| comms.may_have_left(pool, it));
        let spans = table.map(|table| table.spans).unwrap_or_default();
        let newest = self.crew.hub().jobs().iter().map(|record| record.job).max();
        let timeline = PxTimeline {
            cell,
            pool: pool.clone(),
            lanes: ran.lanes(&spans),
        };
        self.crew.comms.ran(job, newest, timeline);
        if !may_have_left {
            return;
        }
        // Ctrl-C ends the wait for the names alone.
        let messages = self
            .crew
            .unreceived(pool, false, NOTICE, sink)
            .unwrap_or_default();
        if self.crew.comms.left(pool, &messages) {
            let notice = Notice::Unreceived { messages };
            sink.send(Event::Notice(About::cell(cell), notice));
        }
    }

    /// The timeline of a `%px`, when that is the job, or the last one.
    pub fn px_timeline(&self, job: Option<JobId>) -> Option<PxTimeline> {
        let newest = self.crew.hub().jobs().iter().map(|record| record.job).max();
        self.crew.comms.timeline(job, newest).cloned()
    }

    /// What the ranks of a pool have sent each other.
    pub fn comm_report(
        &mut self,
        pool: Option<&str>,
        targets: &Targets,
        sink: &mut dyn Sink,
    ) -> Result<CommReport, Failed> {
        let pool = self.pool_named(pool)?.clone();
        let ranks = pool.ranks(targets)?;
        let table = self.crew.hub().comm_table(&pool.name);
        let table = table.unwrap_or_default();
        let mut unreceived = self.crew.unreceived(&pool.name, false, PATIENCE, sink)?;
        unreceived.retain(|it| ranks.contains(&it.from) || ranks.contains(&it.to));
        Ok(CommReport {
            pool: pool.name,
            ranks,
            table,
            unreceived,
        })
    }

    /// Drops what the ranks of a pool have not received; what that was.
    pub fn drop_unreceived(
        &mut self,
        pool: Option<&str>,
        sink: &mut dyn Sink,
    ) -> Result<(PoolName, Vec<Unreceived>), Failed> {
        let pool = self.pool_named(pool)?.clone();
        if pool.kind == PoolKind::Processes {
            self.await_engines(&pool.name, &pool.all_ranks(), sink)?;
        }
        let dropped = self.crew.unreceived(&pool.name, true, PATIENCE, sink)?;
        self.crew.comms.left(&pool.name, &[]);
        Ok((pool.name, dropped))
    }
}
