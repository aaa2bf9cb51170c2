//! Outcomes for this room's tests, as small as they can be.

use std::time::Duration;

use crate::ids::{CellId, PoolName, Rank};
use crate::outcome::{
    ChunkSpan, Compare, CompareRow, DeathCause, Deaths, EngineActivity, EngineOutcome, EngineView,
    ErrorKind, GroupOutputs, ItemRow, JobState, JobView, MapPlan, MapReport, MapRow, Mark,
    PoolKind, PxReport, PxRow, Report, Scaling, ScalingRow, Schedule, Snippet, Spent, Timeline,
    Value,
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

pub(crate) fn killed(rank: u32) -> Deaths {
    Deaths {
        rank: Rank(rank),
        times: 1,
        last: DeathCause::Signal(9),
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
        lookups: Default::default(),
        results: results.iter().map(|&result| result.to_owned()).collect(),
    };
    MapReport {
        job: crate::ids::JobId(1),
        done: 6,
        failed: 0,
        spent: Spent::default(),
        items: Vec::new(),
        pool: PoolName("p0".to_owned()),
        engines: vec![
            row(0, 120, &["39088169", "9227465", "5702887"]),
            row(1, 119, &["24157817", "14930352", "3524578"]),
        ],
        wall: Duration::from_micros(121_500),
        serial: Duration::from_millis(239),
        died: Vec::new(),
    }
}

/// A job of 100 items half a minute after its start.
pub(crate) fn job() -> JobView {
    let engine = |rank, activity, item, done, memory, last_line: &str| EngineView {
        rank: Rank(rank),
        activity,
        item,
        done,
        memory,
        command: String::new(),
        last_line: last_line.to_owned(),
    };
    JobView {
        job: crate::ids::JobId(3),
        what: "|x| x * k".to_owned(),
        pool: PoolName("p0".to_owned()),
        state: JobState::Running,
        done: 36,
        total: Some(100),
        elapsed: Duration::from_secs(30),
        engines: vec![
            engine(
                0,
                EngineActivity::Busy,
                Some(37),
                18,
                Some(12_300_000),
                "epoch 3: loss 0.25\n",
            ),
            engine(
                1,
                EngineActivity::Busy,
                Some(36),
                12,
                Some(9_870_000),
                "10 %\r20 %\n",
            ),
            engine(2, EngineActivity::Starting, None, 6, None, ""),
            engine(
                3,
                EngineActivity::Idle,
                None,
                0,
                Some(9_000_000),
                "\u{1b}[31mred\t漢字",
            ),
        ],
    }
}

/// Two engines that take turns with seven chunks of ever other lengths; the fifth fails.
pub(crate) fn timeline() -> Timeline {
    let millis = Duration::from_millis;
    let chunk = |rank, first, began, ended| ChunkSpan {
        rank: Rank(rank),
        first,
        items: 8,
        sent: millis(began - 2),
        began: millis(began),
        ended: millis(ended),
        failed: first == 32,
    };
    Timeline {
        job: crate::ids::JobId(3),
        what: "|x| x < 3 && \"é\".len() > x".to_owned(),
        pool: PoolName("p0".to_owned()),
        engines: 3,
        wall: millis(2410),
        chunks: vec![
            chunk(0, 0, 10, 600),
            chunk(1, 8, 12, 200),
            chunk(1, 16, 202, 230),
            chunk(1, 24, 232, 900),
            chunk(0, 32, 602, 800),
            chunk(1, 40, 902, 1600),
            chunk(0, 48, 1810, 2400),
        ],
        cut: false,
    }
}

/// `fib` over six items, in chunks that adapt.
pub(crate) fn plan() -> MapPlan {
    MapPlan {
        function: "fib".to_owned(),
        input_type: "u64".to_owned(),
        output_type: "u64".to_owned(),
        items: Some(6),
        chunks: None,
        schedule: Schedule::Dynamic,
        captures: Vec::new(),
        captures_there: false,
        pool: PoolName("p0".to_owned()),
        kind: PoolKind::Processes,
        engines: 2,
    }
}

/// Rows of `--items`.
pub(crate) fn items(count: u64) -> Vec<ItemRow> {
    let row = |index: u64| ItemRow {
        index,
        input: index.to_string(),
        result: format!("Point {{ x: {index}, name: 'a longer text' }}"),
        rank: Rank(u32::from(!index.is_multiple_of(2))),
        queued: Duration::from_micros(45 + index),
        busy: Duration::from_millis(12),
    };
    (0..count).map(row).collect()
}

/// A map one after the other, on two threads and on two processes, whose results differ.
pub(crate) fn comparison() -> Compare {
    let row = |pool: &str, kind, engines, wall: u64, micros: u64| CompareRow {
        pool: pool.to_owned(),
        kind,
        engines,
        items: 100,
        wall: Duration::from_millis(wall),
        spent: Spent {
            encode: Duration::from_micros(micros),
            send: Duration::from_micros(micros * 4),
            queue: Duration::from_micros(micros * 30),
            run: Duration::from_millis(1200),
            decode: Duration::from_micros(micros / 2),
        },
        same: kind != Some(PoolKind::Processes),
    };
    Compare {
        function: "fib".to_owned(),
        rows: vec![
            row("serial", None, 1, 1210, 0),
            row("t0", Some(PoolKind::Threads), 2, 612, 0),
            row("p0", Some(PoolKind::Processes), 2, 650, 123),
        ],
    }
}

/// Two runs each on one, two and four engines, of which two cores are there.
pub(crate) fn scaling() -> Scaling {
    let row = |engines, millis: u64| ScalingRow {
        engines,
        walls: vec![
            Duration::from_millis(millis + 100),
            Duration::from_millis(millis),
        ],
    };
    Scaling {
        function: "fib".to_owned(),
        kind: PoolKind::Threads,
        items: 100,
        repeat: 2,
        cores: 2,
        rows: vec![row(1, 1200), row(2, 630), row(4, 620)],
    }
}

/// A type error in the second line of `In [3]`, behind characters of several bytes.
pub(crate) fn mismatch() -> Report {
    let mark = |start, end, label: &str, primary| Mark {
        start,
        end,
        label: label.into(),
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
