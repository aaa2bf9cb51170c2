//! The records behind JSON's `comm` line, and behind what an error says of ranks that went wrong together.

use serde::Serialize;

use super::comm::{self, Graph};
use super::record::Line;
use crate::ids::{CellId, Rank};
use crate::outcome::{self, CommAt, CommReport, CommTrouble, CommWait, RankState};

#[derive(Serialize)]
pub(crate) struct Comm<'a> {
    pool: &'a str,
    ranks: Vec<OfRank>,
    sent: Vec<Sent>,
    unreceived: Vec<Unreceived<'a>>,
}

#[derive(Serialize)]
struct OfRank {
    rank: Rank,
    waited: f64,
    sending: f64,
}

#[derive(Serialize)]
struct Sent {
    from: Rank,
    to: Rank,
    messages: u64,
    bytes: u64,
    collective_bytes: u64,
    unreceived: u64,
}

#[derive(Serialize)]
struct Unreceived<'a> {
    from: Rank,
    to: Rank,
    tag: i32,
    bytes: u64,
    #[serde(rename = "type")]
    type_name: &'a str,
    at: Option<&'a str>,
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds as seconds")]
pub(crate) fn comm(report: &CommReport) -> Line<'_> {
    let seconds = |of: &[u64], rank: &Rank| {
        let time = of.get(rank.0 as usize).copied().unwrap_or_default();
        time as f64 / 1e9
    };
    let ranks = report.ranks.iter().map(|rank| OfRank {
        rank: *rank,
        waited: seconds(&report.table.waited, rank),
        sending: seconds(&report.table.sending, rank),
    });
    let sent = comm::each(report).map(|(from, to, one)| Sent {
        from,
        to,
        messages: one.messages,
        bytes: one.bytes,
        collective_bytes: one.collective_bytes,
        unreceived: one.unreceived,
    });
    let unreceived = report.unreceived.iter().map(|it| Unreceived {
        from: it.from,
        to: it.to,
        tag: it.tag,
        bytes: it.bytes,
        type_name: &it.type_name,
        at: it.at.as_deref(),
    });
    Line::Comm(Comm {
        pool: &report.pool.0,
        ranks: ranks.collect(),
        sent: sent
            .filter(|it| it.messages > 0 || it.collective_bytes > 0)
            .collect(),
        unreceived: unreceived.collect(),
    })
}

#[derive(Serialize)]
pub(crate) struct PxTimeline<'a> {
    of: CellId,
    pool: &'a str,
    engines: Vec<PxLane>,
}

#[derive(Serialize)]
struct PxLane {
    engine: Rank,
    began: f64,
    ended: f64,
    failed: bool,
    known_from: Option<f64>,
    spans: Vec<Span>,
}

#[derive(Serialize)]
struct Span {
    is: &'static str,
    from: f64,
    to: f64,
}

pub(crate) fn px_timeline(timeline: &outcome::PxTimeline) -> Line<'_> {
    let span = |span: &outcome::LaneSpan| Span {
        is: if span.waits { "wait" } else { "send" },
        from: span.from.as_secs_f64(),
        to: span.to.as_secs_f64(),
    };
    let lane = |lane: &outcome::PxLane| PxLane {
        engine: lane.rank,
        began: lane.began.as_secs_f64(),
        ended: lane.ended.as_secs_f64(),
        failed: lane.failed,
        known_from: lane.known_from.map(|from| from.as_secs_f64()),
        spans: lane.spans.iter().map(span).collect(),
    };
    Line::PxTimeline(PxTimeline {
        of: timeline.cell,
        pool: &timeline.pool.0,
        engines: timeline.lanes.iter().map(lane).collect(),
    })
}

/// What an error says of ranks that went wrong together.
#[derive(Serialize)]
pub(crate) struct Together<'a> {
    what: &'static str,
    /// Each waits for the next, the last one for the first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cycle: Vec<Rank>,
    ranks: Vec<Call<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    others: Vec<Other>,
}

#[derive(Default, Serialize)]
struct Call<'a> {
    rank: u32,
    call: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    on: Vec<Rank>,
    tag: Option<i32>,
    #[serde(rename = "type")]
    type_name: Option<&'a str>,
    place: Option<&'a str>,
}

#[derive(Serialize)]
struct Other {
    rank: Rank,
    state: &'static str,
}

fn waiting(waits: &[CommWait]) -> impl Iterator<Item = Call<'_>> {
    waits.iter().map(|wait| Call {
        rank: wait.rank.0,
        call: wait.call.name,
        on: wait.on.clone(),
        tag: wait.tag,
        type_name: Some(wait.type_name.as_str()).filter(|name| !name.is_empty()),
        place: wait.place.as_deref(),
    })
}

fn others(of: &[(Rank, RankState)]) -> Vec<Other> {
    let other = |(rank, state): &(Rank, RankState)| Other {
        rank: *rank,
        state: match state {
            RankState::NotAsked => "not_asked",
            RankState::Due => "due",
            RankState::Running => "running",
            RankState::Left => "left",
            RankState::Dead => "dead",
        },
    };
    of.iter().map(other).collect()
}

pub(crate) fn together<'a>(trouble: &'a CommTrouble) -> Together<'a> {
    match trouble {
        CommTrouble::Stuck {
            waits,
            others: gone,
        } => {
            let cycle = Graph::of(waits).ranks_in_cycle();
            Together {
                what: if cycle.is_empty() { "gone" } else { "deadlock" },
                cycle,
                ranks: waiting(waits).collect(),
                others: others(gone),
            }
        }
        CommTrouble::Mismatch {
            rank,
            call,
            from,
            tag,
            sent,
            sent_at,
            wanted,
            wanted_at,
        } => Together {
            what: "type",
            cycle: Vec::new(),
            ranks: vec![
                Call {
                    rank: from.0,
                    call: "send",
                    on: vec![*rank],
                    tag: Some(*tag),
                    type_name: Some(sent),
                    place: sent_at.as_deref(),
                },
                Call {
                    rank: rank.0,
                    call: call.name,
                    on: vec![*from],
                    tag: Some(*tag),
                    type_name: Some(wanted),
                    place: wanted_at.as_deref(),
                },
            ],
            others: Vec::new(),
        },
        CommTrouble::Crossed {
            calls,
            waits,
            others: gone,
            ..
        } => {
            let of = |at: &'a CommAt| {
                at.ranks.iter().map(move |rank| Call {
                    rank: rank.0,
                    call: at.call.name,
                    type_name: Some(at.type_name.as_str()).filter(|name| !name.is_empty()),
                    place: at.place.as_deref(),
                    ..Call::default()
                })
            };
            Together {
                what: "order",
                cycle: Vec::new(),
                ranks: calls.iter().flat_map(of).chain(waiting(waits)).collect(),
                others: others(gone),
            }
        }
    }
}
