//! Outcomes for this room's tests, as small as they can be.

use std::time::Duration;

use crate::ids::{CellId, PoolName, Rank};
use crate::outcome::{
    EngineOutcome, ErrorKind, GroupOutputs, MapReport, MapRow, Mark, PoolKind, PxReport, PxRow,
    Report, Snippet, Value,
};

pub(crate) fn done(text: &str) -> EngineOutcome {
    EngineOutcome::Done(Some(Value::plain(text, "T")))
}

pub(crate) fn panicked(message: &str) -> EngineOutcome {
    let place = Some("In [5]:1:9".to_owned());
    EngineOutcome::Panicked {
        message: message.to_owned(),
        place,
    }
}

pub(crate) fn px(outcomes: Vec<EngineOutcome>) -> PxReport {
    let engines = (0..).zip(outcomes).map(|(rank, outcome)| PxRow {
        rank: Rank(rank),
        outcome,
        busy: Duration::from_millis(120 + u64::from(rank)),
        output: Vec::new(),
    });
    PxReport {
        cell: CellId(5),
        pool: PoolName("p0".to_owned()),
        kind: PoolKind::Processes,
        engines: engines.collect(),
        group: GroupOutputs::Type,
        verbose: false,
    }
}

/// The design page's map.
pub(crate) fn map() -> MapReport {
    let row = |rank, millis, results: &[&str]| MapRow {
        rank: Rank(rank),
        items: 3,
        chunks: 3,
        busy: Duration::from_millis(millis),
        results: results.iter().map(|&result| result.to_owned()).collect(),
    };
    MapReport {
        job: crate::ids::JobId(1),
        failed: 0,
        spent: crate::outcome::Spent::default(),
        items: Vec::new(),
        pool: PoolName("p0".to_owned()),
        kind: PoolKind::Processes,
        engines: vec![
            row(0, 120, &["39088169", "9227465", "5702887"]),
            row(1, 119, &["24157817", "14930352", "3524578"]),
        ],
        wall: Duration::from_micros(121_500),
        serial: Duration::from_millis(239),
        died: Vec::new(),
    }
}

/// A type error in the second line of `In [3]`, behind characters of several bytes.
pub(crate) fn mismatch() -> Report {
    let mark = |start, end, label: &str, primary| Mark {
        start,
        end,
        label: label.to_owned(),
        primary,
    };
    Report {
        code: Some("E0308".to_owned()),
        snippet: Some(Snippet {
            source: "let é = 1;\nlet x: u8 = \"é漢\";\nx".to_owned(),
            name: "In [3]".to_owned(),
            marks: vec![
                mark((2, 13), (2, 17), "expected `u8`, found `&str`", true),
                mark((2, 8), (2, 10), "expected due to this", false),
            ],
        }),
        ..Report::new(ErrorKind::Compile, "mismatched types")
            .note("a note")
            .hint("a hint")
    }
}
