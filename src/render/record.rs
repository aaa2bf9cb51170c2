//! The records behind the JSON lines: the field names that the module `json` documents, in its order. They
//! borrow from the events and are only ever written, never read.

use std::collections::BTreeMap;

use serde::Serialize;

use super::record_child::Child;
use super::record_comm::{Comm, PxTimeline};
use super::record_error::Error;
use super::record_job::{Compare, MapFinished, MapPlan, Scaling, Timeline};
use super::record_memo::Memo;
use super::timing as statistics;
use crate::ids::{CellId, JobId, Rank};
use crate::outcome::{Docs, Field, Plot, PoolKind, Rows, Stream, Table, Timing, Value};

/// A line, and the cell and the job that it belongs to.
#[derive(Serialize)]
pub(crate) struct Told<'a> {
    #[serde(flatten)]
    pub line: Line<'a>,
    pub cell: Option<CellId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Line<'a> {
    CellStarted {
        cell: CellId,
        code: &'a str,
    },
    Output {
        engine: Option<Rank>,
        #[serde(skip_serializing_if = "Option::is_none")]
        child: Option<&'a str>,
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
    Child(Child<'a>),
    MapPlan(MapPlan<'a>),
    MapFinished(MapFinished<'a>),
    Timeline(Timeline<'a>),
    Compare(Compare<'a>),
    Scaling(Scaling<'a>),
    Memo(Memo<'a>),
    Comm(Comm<'a>),
    PxTimeline(PxTimeline<'a>),
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
        columns: Vec<&'a str>,
        rows: Vec<Vec<Cell<'a>>>,
    },
    Docs {
        path: &'a str,
        signature: &'a str,
        text: &'a str,
        imports: &'a [String],
        source: Option<Source<'a>>,
    },
    Plot {
        title: &'a str,
        x: Vec<f64>,
        y: Vec<f64>,
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
pub(crate) struct Source<'a> {
    place: &'a str,
    code: &'a str,
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

pub(crate) fn kind_name(kind: PoolKind) -> &'static str {
    match kind {
        PoolKind::Threads => "threads",
        PoolKind::Processes => "processes",
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
        Field::Text(word) | Field::Failure(word) => Cell::Text(word),
        Field::Count(number) | Field::Bytes(number) => Cell::Whole(*number),
        Field::Seconds(seconds) => Cell::Real(*seconds),
        Field::Empty => Cell::Empty,
    }
}

pub(crate) fn docs(docs: &Docs) -> Line<'_> {
    let source = docs.source.as_ref();
    Line::Docs {
        path: &docs.path,
        signature: &docs.signature,
        text: &docs.text,
        imports: &docs.imports,
        source: source.map(|source| Source {
            place: &source.place,
            code: &source.code,
        }),
    }
}

pub(crate) fn rows(rows: &Rows) -> Line<'_> {
    Line::Table {
        title: None,
        columns: rows.heads.iter().map(String::as_str).collect(),
        rows: rows
            .rows
            .iter()
            .map(|row| row.iter().map(|text| Cell::Text(text)).collect())
            .collect(),
    }
}

pub(crate) fn plot(plot: &Plot) -> Line<'_> {
    let (x, y) = plot.points.iter().copied().unzip();
    Line::Plot {
        title: &plot.title,
        x,
        y,
    }
}

pub(crate) fn table(table: &Table) -> Line<'_> {
    Line::Table {
        title: table.title.as_deref(),
        columns: table.columns.clone(),
        rows: table
            .rows
            .iter()
            .map(|row| row.iter().map(cell).collect())
            .collect(),
    }
}
