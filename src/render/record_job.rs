//! The records of maps and jobs among the JSON lines: plan, report, timeline, comparison. Field names and their
//! order are those that the module `json` documents.

use std::time::Duration;

use serde::Serialize;

use super::record::{Line, kind_name};
use super::{compare as ratios, map};
use crate::ids::{JobId, PoolName, Rank};
use crate::outcome::{self, ChunkSpan, CompareRow, ItemRow, MapReport, ScalingRow, Schedule};

#[derive(Serialize)]
pub(crate) struct MapPlan<'a> {
    function: &'a str,
    input_type: &'a str,
    output_type: &'a str,
    items: Option<u64>,
    chunks: Option<u64>,
    schedule: &'static str,
    captures: Vec<Capture<'a>>,
    captures_there: bool,
    pool: &'a PoolName,
    kind: &'static str,
    engines: u32,
}

#[derive(Serialize)]
struct Capture<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    type_name: &'a str,
    bytes: u64,
}

#[derive(Serialize)]
pub(crate) struct MapFinished<'a> {
    pool: &'a PoolName,
    engines: Vec<Engine>,
    wall: f64,
    serial: f64,
    speedup: Option<f64>,
    efficiency: Option<f64>,
    failed: u64,
    died: Vec<Died>,
    spent: Spent,
    items: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Engine {
    engine: Rank,
    items: u64,
    chunks: u64,
    busy: f64,
    #[serde(flatten)]
    lookups: Option<Lookups>,
}

/// Where the items reached a function whose results are kept.
#[derive(Serialize)]
struct Lookups {
    hits: u64,
    misses: u64,
}

#[derive(Serialize)]
struct Died {
    engine: Rank,
    cause: String,
}

#[derive(Serialize)]
struct Spent {
    encode: f64,
    send: f64,
    queue: f64,
    run: f64,
    decode: f64,
}

#[derive(Serialize)]
struct Item<'a> {
    item: u64,
    input: &'a str,
    result: &'a str,
    engine: Rank,
    queued: f64,
    busy: f64,
}

#[derive(Serialize)]
pub(crate) struct Timeline<'a> {
    job: JobId,
    function: &'a str,
    pool: &'a PoolName,
    engines: u32,
    wall: f64,
    chunks: Vec<Chunk>,
    cut: bool,
}

#[derive(Serialize)]
struct Chunk {
    engine: Rank,
    first: u64,
    items: u64,
    sent: f64,
    began: f64,
    ended: f64,
    failed: bool,
}

#[derive(Serialize)]
pub(crate) struct Compare<'a> {
    function: &'a str,
    rows: Vec<Compared<'a>>,
}

#[derive(Serialize)]
struct Compared<'a> {
    pool: &'a str,
    kind: Option<&'static str>,
    engines: u32,
    items: u64,
    wall: f64,
    speedup: Option<f64>,
    efficiency: Option<f64>,
    spent: Spent,
    same: bool,
}

#[derive(Serialize)]
pub(crate) struct Scaling<'a> {
    function: &'a str,
    kind: &'static str,
    items: u64,
    cores: u32,
    rows: Vec<Scaled>,
    serial_fraction: Option<f64>,
    fitted: Vec<u32>,
}

#[derive(Serialize)]
struct Scaled {
    engines: u32,
    walls: Vec<f64>,
    wall: f64,
    speedup: Option<f64>,
    efficiency: Option<f64>,
    serial_fraction: Option<f64>,
}

pub(crate) fn map_plan(plan: &outcome::MapPlan) -> Line<'_> {
    let captures = plan.captures.iter().map(|capture| Capture {
        name: &capture.name,
        type_name: &capture.type_name,
        bytes: capture.bytes,
    });
    Line::MapPlan(MapPlan {
        function: &plan.function,
        input_type: &plan.input_type,
        output_type: &plan.output_type,
        items: plan.items,
        chunks: plan.chunks,
        schedule: match plan.schedule {
            Schedule::Dynamic => "dynamic",
            Schedule::Static => "static",
            Schedule::Guided => "guided",
        },
        captures: captures.collect(),
        captures_there: plan.captures_there,
        pool: &plan.pool,
        kind: kind_name(plan.kind),
        engines: plan.engines,
    })
}

pub(crate) fn map_finished(report: &MapReport) -> Line<'_> {
    let speedup = map::speedup(report);
    let engines = report.engines.iter().map(|row| Engine {
        engine: row.rank,
        items: row.items,
        chunks: row.chunks,
        busy: row.busy.as_secs_f64(),
        lookups: map::reached_memo(report).then_some(Lookups {
            hits: row.lookups.hits,
            misses: row.lookups.misses,
        }),
    });
    let died = report.died.iter().map(|deaths| Died {
        engine: deaths.rank,
        cause: deaths.to_string(),
    });
    Line::MapFinished(MapFinished {
        pool: &report.pool,
        engines: engines.collect(),
        wall: report.wall.as_secs_f64(),
        serial: report.serial.as_secs_f64(),
        speedup: speedup.map(|(speedup, _)| speedup),
        efficiency: speedup.map(|(_, efficiency)| efficiency),
        failed: report.failed,
        died: died.collect(),
        spent: spent(&report.spent),
        items: report.items.iter().map(item).collect(),
    })
}

fn spent(spent: &outcome::Spent) -> Spent {
    let [encode, send, queue, run, decode] = [
        spent.encode,
        spent.send,
        spent.queue,
        spent.run,
        spent.decode,
    ]
    .map(|duration: Duration| duration.as_secs_f64());
    Spent {
        encode,
        send,
        queue,
        run,
        decode,
    }
}

fn item(row: &ItemRow) -> Item<'_> {
    Item {
        item: row.index,
        input: &row.input,
        result: &row.result,
        engine: row.rank,
        queued: row.queued.as_secs_f64(),
        busy: row.busy.as_secs_f64(),
    }
}

pub(crate) fn timeline(timeline: &outcome::Timeline) -> Line<'_> {
    let chunk = |chunk: &ChunkSpan| Chunk {
        engine: chunk.rank,
        first: chunk.first,
        items: chunk.items,
        sent: chunk.sent.as_secs_f64(),
        began: chunk.began.as_secs_f64(),
        ended: chunk.ended.as_secs_f64(),
        failed: chunk.failed,
    };
    Line::Timeline(Timeline {
        job: timeline.job,
        function: &timeline.what,
        pool: &timeline.pool,
        engines: timeline.engines,
        wall: timeline.wall.as_secs_f64(),
        chunks: timeline.chunks.iter().map(chunk).collect(),
        cut: timeline.cut,
    })
}

pub(crate) fn compare(compare: &outcome::Compare) -> Line<'_> {
    let row = |row| compared(compare, row);
    Line::Compare(Compare {
        function: &compare.function,
        rows: compare.rows.iter().map(row).collect(),
    })
}

fn compared<'a>(compare: &outcome::Compare, row: &'a CompareRow) -> Compared<'a> {
    let speedup = ratios::speedup(compare, row);
    Compared {
        pool: &row.pool,
        kind: row.kind.map(kind_name),
        engines: row.engines,
        items: row.items,
        wall: row.wall.as_secs_f64(),
        speedup: speedup.map(|(speedup, _)| speedup),
        efficiency: speedup.map(|(_, efficiency)| efficiency),
        spent: spent(&row.spent),
        same: row.same,
    }
}

pub(crate) fn scaling(scaling: &outcome::Scaling) -> Line<'_> {
    let row = |row: &ScalingRow| Scaled {
        engines: row.engines,
        walls: row.walls.iter().map(Duration::as_secs_f64).collect(),
        wall: row.best().as_secs_f64(),
        speedup: scaling.speedup(row),
        efficiency: scaling.efficiency(row),
        serial_fraction: scaling.serial_fraction_of(row),
    };
    Line::Scaling(Scaling {
        function: &scaling.function,
        kind: kind_name(scaling.kind),
        items: scaling.items,
        cores: scaling.cores,
        rows: scaling.rows.iter().map(row).collect(),
        serial_fraction: scaling.serial_fraction(),
        fitted: scaling.fitted_rows().map(|row| row.engines).collect(),
    })
}
