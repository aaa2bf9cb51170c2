//! Messages between ranks: what engines tell of them, as outcomes; what nobody has received; `%comm`.

use std::time::Duration;

use super::crew::{Ended, Leg};
use super::types::shorten;
use super::{Failed, Session};
use crate::cell::Targets;
use crate::ids::{CellId, JobId, PoolName, Rank};
use crate::outcome::{
    About, CommCall, CommReport, CommSpan, CommTable, CommTrouble, CommWait, Event, LaneSpan,
    Notice, PoolKind, PxLane, PxTimeline, RankState, Sink, Unreceived,
};
use crate::wire::places::Place;
use crate::wire::world::block::SPAN_COUNT;
use crate::wire::world::{Call, CommTold, State, Waiting};

/// How long ranks may take to say what they have not received: some may be in another cell.
const PATIENCE: Duration = Duration::from_secs(2);
/// The same where nobody has asked for it.
const NOTICE: Duration = Duration::from_millis(500);

/// What went wrong in a cell: ranks that wait in vain for the same are told of together.
pub(super) fn troubles(told: &[(Rank, CommTold)]) -> Vec<CommTrouble> {
    let mut all: Vec<CommTrouble> = Vec::new();
    let (mut waits, mut others): (Vec<CommWait>, Vec<(Rank, RankState)>) = Default::default();
    for (rank, told) in told {
        match told {
            CommTold::Deadlock {
                waits: theirs,
                others: gone,
            } => all.push(CommTrouble::Stuck {
                waits: theirs.iter().map(|(rank, it)| wait(*rank, it)).collect(),
                others: gone
                    .iter()
                    .map(|(rank, at)| (Rank(*rank), state(*at)))
                    .collect(),
            }),
            CommTold::Gone {
                waiting,
                rank: gone,
                state: at,
            } => {
                waits.push(wait(rank.0, waiting));
                if !others.iter().any(|(other, _)| other.0 == *gone) {
                    others.push((Rank(*gone), state(*at)));
                }
            }
            CommTold::Mismatch {
                call: of,
                from,
                tag,
                sent,
                sent_at,
                wanted,
                wanted_at,
            } => all.push(CommTrouble::Mismatch {
                rank: *rank,
                call: call(*of),
                from: Rank(*from),
                tag: *tag,
                sent: shorten(sent),
                sent_at: place(*sent_at),
                wanted: shorten(wanted),
                wanted_at: place(*wanted_at),
            }),
            CommTold::Crossed {
                call: of,
                at,
                other,
                other_call,
                other_at,
            } => all.push(CommTrouble::Crossed {
                rank: *rank,
                call: call(*of),
                at: place(*at),
                other: Rank(*other),
                other_call: call(*other_call),
                other_at: place(*other_at),
            }),
            CommTold::Unreceived { .. } => {}
        }
    }
    if !waits.is_empty() {
        waits.sort_by_key(|wait| wait.rank);
        others.sort_by_key(|(rank, _)| *rank);
        all.push(CommTrouble::Stuck { waits, others });
    }
    for trouble in &mut all {
        if let CommTrouble::Stuck { waits, .. } = trouble {
            wait_for_the_missing(waits);
        }
    }
    all
}

/// Inside a collective call ranks wait for each other along a tree: what matters is who has not reached it.
fn wait_for_the_missing(waits: &mut [CommWait]) {
    let before = waits.to_vec();
    for wait in waits.iter_mut().filter(|wait| wait.call.collective) {
        let same = |other: &&CommWait| other.call == wait.call && other.comm == wait.comm;
        let there: Vec<&CommWait> = before.iter().filter(same).collect();
        let mut missing: Vec<Rank> = there.iter().flat_map(|it| &it.on).copied().collect();
        missing.retain(|rank| there.iter().all(|it| it.rank != *rank));
        missing.sort_unstable();
        missing.dedup();
        if !missing.is_empty() {
            wait.on = missing;
        }
    }
}

fn wait(rank: u32, waiting: &Waiting) -> CommWait {
    let mut on: Vec<Rank> = waiting.on.iter().copied().map(Rank).collect();
    on.sort_unstable();
    CommWait {
        rank: Rank(rank),
        call: call(waiting.call),
        on,
        tag: waiting.tag,
        type_name: shorten(&waiting.type_name),
        place: place(waiting.place),
        comm: waiting.comm,
    }
}

fn call(call: Call) -> CommCall {
    CommCall {
        name: call.name(),
        collective: call.is_collective(),
    }
}

fn place(place: Option<Place>) -> Option<String> {
    place.map(|place| place.to_string())
}

fn state(state: State) -> RankState {
    match state {
        State::NotAsked => RankState::NotAsked,
        State::Due => RankState::Due,
        State::Running => RankState::Running,
        State::Left => RankState::Left,
        State::Dead => RankState::Dead,
    }
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
    /// received are named, each time there are more.
    pub(super) fn after_px(
        &mut self,
        pool: &PoolName,
        cell: CellId,
        ran: Ran,
        job: Option<JobId>,
        sink: &mut dyn Sink,
    ) {
        let table = self.crew.hub().comm_table(pool);
        let left = table.as_ref().map_or(0, waiting);
        let spans = table.map(|table| table.spans).unwrap_or_default();
        let newest = self.crew.hub().jobs().iter().map(|record| record.job).max();
        let timeline = PxTimeline {
            cell,
            pool: pool.clone(),
            lanes: ran.lanes(&spans),
        };
        self.crew.comms.ran(job, newest, timeline);
        if !self.crew.comms.grown(pool, left) {
            return;
        }
        // Ctrl-C ends the wait for the names alone.
        let messages = self
            .crew
            .unreceived(pool, false, NOTICE, sink)
            .unwrap_or_default();
        if !messages.is_empty() {
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
        let left = self.crew.hub().comm_table(&pool.name);
        let left = left.as_ref().map_or(0, waiting);
        self.crew.comms.grown(&pool.name, left);
        Ok((pool.name, dropped))
    }
}

fn waiting(table: &CommTable) -> u64 {
    let all = table.traffic.iter().flatten();
    all.map(|one| one.unreceived).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(call: Call, on: &[u32]) -> Waiting {
        Waiting {
            call,
            on: on.to_vec(),
            tag: Some(0),
            type_name: "alloc::string::String".to_owned(),
            place: None,
            comm: 0,
            members: Vec::new(),
            number: 0,
            since: 0,
        }
    }

    #[test]
    fn in_a_collective_all_wait_for_who_has_not_reached_it() {
        let told = CommTold::Deadlock {
            waits: vec![
                (1, waits(Call::AllReduce, &[0])),
                (2, waits(Call::AllReduce, &[0])),
                (3, waits(Call::AllReduce, &[1])),
                (4, waits(Call::Recv, &[3])),
            ],
            others: vec![(0, State::Left)],
        };
        let all = troubles(&[(Rank(1), told)]);
        let [CommTrouble::Stuck { waits, .. }] = &all[..] else {
            panic!("{all:?}");
        };
        let on = waits.iter().map(|it| it.on[0].0);
        assert_eq!(on.collect::<Vec<_>>(), [0, 0, 0, 3]);
    }

    #[test]
    fn ranks_that_wait_for_one_that_is_gone_are_told_of_together() {
        let gone = |rank: u32| {
            let told = CommTold::Gone {
                waiting: waits(Call::Recv, &[1]),
                rank: 1,
                state: State::Left,
            };
            (Rank(rank), told)
        };
        let all = troubles(&[gone(2), gone(0)]);
        let [CommTrouble::Stuck { waits, others }] = &all[..] else {
            panic!("{all:?}");
        };
        assert_eq!(waits.iter().map(|it| it.rank.0).collect::<Vec<_>>(), [0, 2]);
        assert_eq!(waits[0].type_name, "String");
        assert_eq!(others[..], [(Rank(1), RankState::Left)]);
        assert_eq!(all[0].ranks(), [Rank(0), Rank(2)]);
    }
}
