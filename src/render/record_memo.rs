//! The record of `%memo explain`; see [`super::record`].

use serde::Serialize;

use super::record::Line;
use crate::ids::CellId;
use crate::outcome::{
    Change, Changed, DiffKind, DiffLine, Made, Maker, MemoDisk, MemoExplained, MemoWhy,
};

#[derive(Serialize)]
pub(crate) struct Memo<'a> {
    function: &'a str,
    arguments: &'a str,
    hit: bool,
    why: &'static str,
    on_disk: bool,
    made: Option<Maked<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_memory: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    took: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    good_until: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    others: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    nearest: Vec<Near<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<Difference<'a>>,
}

#[derive(Serialize)]
struct Maked<'a> {
    at: f64,
    session: f64,
    this_session: bool,
    pool: Option<&'a str>,
    engine: Option<u32>,
    thread: Option<u32>,
}

#[derive(Serialize)]
struct Near<'a> {
    arguments: &'a str,
    made: Maked<'a>,
}

#[derive(Serialize)]
struct Difference<'a> {
    what: &'static str,
    name: Option<&'a str>,
    cell: Option<CellId>,
    before: Option<&'a str>,
    now: Option<&'a str>,
    lines: Vec<String>,
}

/// Seconds of milliseconds.
#[expect(
    clippy::cast_precision_loss,
    reason = "it is precise for 285 000 years"
)]
fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1e3
}

fn made(made: &Made) -> Maked<'_> {
    let (pool, engine, thread) = match &made.by {
        Maker::Local => (None, None, None),
        Maker::Thread(rank) => (None, None, Some(*rank)),
        Maker::Engine { pool, rank } => (Some(pool.as_str()), Some(*rank), None),
    };
    Maked {
        at: seconds(made.at),
        session: seconds(made.session),
        this_session: made.this_session,
        pool,
        engine,
        thread,
    }
}

fn difference(change: &Change) -> Difference<'_> {
    let none: &[DiffLine] = &[];
    let (what, name, lines) = match &change.what {
        Changed::Body { lines } => ("body", None, lines.as_slice()),
        Changed::Item { name, lines } => ("item", Some(name), lines.as_slice()),
        Changed::Added { name } => ("added", Some(name), none),
        Changed::Gone { name } => ("gone", Some(name), none),
        Changed::Crate { name, .. } => ("crate", Some(name), none),
        Changed::Rustc { .. } => ("rustc", None, none),
    };
    let (before, now) = match &change.what {
        Changed::Crate { before, now, .. } | Changed::Rustc { before, now } => {
            (Some(before.as_str()), Some(now.as_str()))
        }
        _ => (None, None),
    };
    let line = |line: &DiffLine| {
        let sign = match line.kind {
            DiffKind::Same => ' ',
            DiffKind::Before => '-',
            DiffKind::Now => '+',
        };
        format!("{sign}{}", line.text)
    };
    Difference {
        what,
        name: name.map(String::as_str),
        cell: change.cell,
        before,
        now,
        lines: lines.iter().map(line).collect(),
    }
}

pub(crate) fn memo(it: &MemoExplained) -> Line<'_> {
    let mut told = Memo {
        function: &it.function,
        arguments: &it.arguments,
        hit: it.why.is_hit(),
        why: "",
        on_disk: it.disk == MemoDisk::Used,
        made: None,
        in_memory: None,
        took: None,
        good_until: None,
        at: None,
        ttl: None,
        limit: None,
        others: None,
        nearest: Vec::new(),
        changes: Vec::new(),
    };
    match &it.why {
        MemoWhy::There {
            in_memory,
            took,
            made: of,
            good_until,
        } => {
            told.why = "there";
            told.in_memory = Some(*in_memory);
            told.took = Some(std::time::Duration::from_nanos(*took).as_secs_f64());
            told.made = of.as_ref().map(made);
            told.good_until = good_until.map(seconds);
        }
        MemoWhy::Never { nearest, others } => {
            told.why = "never";
            told.others = Some(*others);
            let near = nearest.iter().map(|one| Near {
                arguments: &one.arguments,
                made: made(&one.made),
            });
            told.nearest = near.collect();
        }
        MemoWhy::Changed { changes, made: of } => {
            told.why = "changed";
            told.made = Some(made(of));
            told.changes = changes.iter().map(difference).collect();
        }
        MemoWhy::Expired { at, ttl, made: of } => {
            told.why = "expired";
            told.at = Some(seconds(*at));
            told.ttl = Some(seconds(*ttl));
            told.made = of.as_ref().map(made);
        }
        MemoWhy::Dropped {
            from_memory,
            limit,
            at,
        } => {
            told.why = "dropped";
            told.in_memory = Some(*from_memory);
            told.limit = (*limit > 0).then_some(*limit);
            told.at = at.map(seconds);
        }
    }
    Line::Memo(told)
}
