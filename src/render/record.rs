//! The records behind the JSON lines: the field names that the module `json` documents, in its order. They
//! borrow from the events and are only ever written, never read.

use std::collections::BTreeMap;

use serde::Serialize;

use super::record_error::Error;
use super::{map, timing as statistics};
use crate::ids::{CellId, PoolName, Rank};
use crate::outcome::{Field, MapPlan, MapReport, PoolKind, Stream, Table, Timing, Value};

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Line<'a> {
    CellStarted {
        cell: CellId,
        code: &'a str,
    },
    Output {
        cell: Option<CellId>,
        engine: Option<Rank>,
        stream: &'static str,
        text: &'a str,
    },
    Result {
        cell: CellId,
        engine: Option<Rank>,
        mime: BTreeMap<&'a str, &'a str>,
        value: &'a str,
        #[serde(rename = "type")]
        type_name: &'a str,
    },
    MapPlan {
        function: &'a str,
        input_type: &'a str,
        output_type: &'a str,
        items: Option<u64>,
        chunks: Option<u64>,
        pool: &'a PoolName,
        kind: &'static str,
        engines: u32,
    },
    MapFinished {
        pool: &'a PoolName,
        engines: Vec<MapEngine>,
        wall: f64,
        serial: f64,
        speedup: Option<f64>,
        efficiency: Option<f64>,
        died: Vec<Died<'a>>,
    },
    Timing {
        per_loop: &'a [f64],
        loops: u64,
        mean: Option<f64>,
        deviation: Option<f64>,
        best: Option<f64>,
        compile: Option<f64>,
    },
    Table {
        title: Option<&'a str>,
        columns: &'a [&'static str],
        rows: Vec<Vec<Cell<'a>>>,
    },
    Text {
        text: &'a str,
    },
    Notice {
        text: &'a str,
    },
    Error(Error<'a>),
    CellFinished {
        cell: CellId,
        ok: bool,
        compile: f64,
        run: f64,
    },
}

#[derive(Serialize)]
pub(crate) struct MapEngine {
    engine: Rank,
    items: u64,
    chunks: u64,
    busy: f64,
}

#[derive(Serialize)]
pub(crate) struct Died<'a> {
    engine: Rank,
    cause: &'a str,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Cell<'a> {
    Text(&'a str),
    Whole(u64),
    Real(f64),
    Empty,
}

pub(crate) fn stream_name(stream: Stream) -> &'static str {
    match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    }
}

pub(crate) fn result(cell: CellId, engine: Option<Rank>, value: &Value) -> Line<'_> {
    let content = value.content.iter();
    Line::Result {
        cell,
        engine,
        mime: content
            .map(|(mime, data)| (mime.as_str(), data.as_str()))
            .collect(),
        value: value.text(),
        type_name: &value.type_name,
    }
}

pub(crate) fn map_plan(plan: &MapPlan) -> Line<'_> {
    Line::MapPlan {
        function: &plan.function,
        input_type: &plan.input_type,
        output_type: &plan.output_type,
        items: plan.items,
        chunks: plan.chunks,
        pool: &plan.pool,
        kind: match plan.kind {
            PoolKind::Threads => "threads",
            PoolKind::Processes => "processes",
        },
        engines: plan.engines,
    }
}

pub(crate) fn map_finished(report: &MapReport) -> Line<'_> {
    let speedup = map::speedup(report);
    let engines = report.engines.iter().map(|row| MapEngine {
        engine: row.rank,
        items: row.items,
        chunks: row.chunks,
        busy: row.busy.as_secs_f64(),
    });
    let died = report.died.iter().map(|(engine, cause)| Died {
        engine: *engine,
        cause,
    });
    Line::MapFinished {
        pool: &report.pool,
        engines: engines.collect(),
        wall: report.wall.as_secs_f64(),
        serial: report.serial.as_secs_f64(),
        speedup: speedup.map(|(speedup, _)| speedup),
        efficiency: speedup.map(|(_, efficiency)| efficiency),
        died: died.collect(),
    }
}

pub(crate) fn timing(timing: &Timing) -> Line<'_> {
    let statistics = statistics::statistics(timing);
    Line::Timing {
        per_loop: &timing.per_loop,
        loops: timing.loops,
        mean: statistics.as_ref().map(|it| it.mean),
        deviation: statistics.as_ref().map(|it| it.deviation),
        best: statistics.as_ref().map(|it| it.best),
        compile: timing.compile.map(|compile| compile.as_secs_f64()),
    }
}

fn cell(field: &Field) -> Cell<'_> {
    match field {
        Field::Text(word) => Cell::Text(word),
        Field::Count(number) | Field::Bytes(number) => Cell::Whole(*number),
        Field::Seconds(seconds) => Cell::Real(*seconds),
        Field::Empty => Cell::Empty,
    }
}

pub(crate) fn table(table: &Table) -> Line<'_> {
    Line::Table {
        title: table.title.as_deref(),
        columns: &table.columns,
        rows: table
            .rows
            .iter()
            .map(|row| row.iter().map(cell).collect())
            .collect(),
    }
}
