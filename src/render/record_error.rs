//! The record behind JSON's `error` line, from a report or from one engine's failure.

use std::borrow::Cow;

use serde::Serialize;

use super::engines::death;
use super::explained;
use super::record_comm::{self, Together};
use super::{Style, comm};
use crate::ids::{CellId, Rank};
use crate::outcome::{CommTrouble, EngineOutcome, ErrorKind, Origin, Report};

#[derive(Default, Serialize)]
pub(crate) struct Error<'a> {
    cell: Option<CellId>,
    kind: &'static str,
    engine: Option<Rank>,
    message: Cow<'a, str>,
    code: Option<&'a str>,
    place: Option<&'a str>,
    line: Option<usize>,
    column: Option<usize>,
    notes: Vec<String>,
    hint: Option<String>,
    /// Ranks that went wrong together.
    #[serde(skip_serializing_if = "Option::is_none")]
    comm: Option<Together<'a>>,
}

pub(crate) fn error(cell: Option<CellId>, report: &Report) -> Error<'_> {
    let snippet = report.snippet.as_ref();
    let marks = snippet.map(|snippet| &snippet.marks);
    let mark = marks.and_then(|marks| marks.iter().find(|mark| mark.primary).or(marks.first()));
    Error {
        cell,
        kind: match report.kind {
            ErrorKind::Usage => "usage",
            ErrorKind::Compile => "compile",
            ErrorKind::Panic => "panic",
            ErrorKind::Error => "error",
            ErrorKind::EngineDied => "engine_died",
            ErrorKind::Interrupted => "interrupted",
            ErrorKind::Map => "map",
            ErrorKind::System => "system",
        },
        engine: match &report.origin {
            Origin::Local | Origin::Child(_) => None,
            Origin::Engine(rank) => Some(*rank),
        },
        message: report.to_string().into(),
        code: report.code.as_deref(),
        place: snippet.map(|snippet| snippet.name.as_str()),
        line: mark.map(|mark| mark.start.0),
        column: mark.map(|mark| mark.start.1),
        notes: explained::notes(report),
        hint: explained::hint(report),
        comm: None,
    }
}

/// One engine's failure in a `%px`; `None` when it did not fail.
pub(crate) fn failure(cell: CellId, rank: Rank, outcome: &EngineOutcome) -> Option<Error<'_>> {
    let (kind, message, place): (_, Cow<'_, str>, _) = match outcome {
        EngineOutcome::Done(_) => return None,
        EngineOutcome::Panicked { message, place } => {
            ("panic", message.as_str().into(), place.as_deref())
        }
        EngineOutcome::Errored { message } => ("error", message.as_str().into(), None),
        EngineOutcome::Died { cause, lost } => ("engine_died", death(cause, lost).into(), None),
        EngineOutcome::Skipped { why } => ("skipped", why.as_str().into(), None),
        EngineOutcome::Interrupted => ("interrupted", "interrupted".into(), None),
        EngineOutcome::Comm(trouble) => return Some(together_failed(cell, trouble)),
    };
    let (place, line, column) = place.map_or((None, None, None), |place| {
        let (name, line, column) = split_place(place);
        (Some(name), line, column)
    });
    Some(Error {
        cell: Some(cell),
        kind,
        engine: Some(rank),
        message,
        place,
        line,
        column,
        ..Error::default()
    })
}

/// Ranks that went wrong together: of no engine alone.
fn together_failed(cell: CellId, trouble: &CommTrouble) -> Error<'_> {
    Error {
        cell: Some(cell),
        kind: "comm",
        message: comm::head(trouble).into(),
        notes: comm::lines(trouble, &Style::plain(usize::MAX)),
        hint: Some(comm::hint(trouble)),
        comm: Some(record_comm::together(trouble)),
        ..Error::default()
    }
}

/// `In [3]:2:9` as name, line and column, as far as it has them.
fn split_place(place: &str) -> (&str, Option<usize>, Option<usize>) {
    let number = |text: &str| text.parse::<usize>().ok();
    let Some((head, last)) = place
        .rsplit_once(':')
        .and_then(|(head, n)| Some((head, number(n)?)))
    else {
        return (place, None, None);
    };
    match head
        .rsplit_once(':')
        .and_then(|(name, n)| Some((name, number(n)?)))
    {
        Some((name, line)) => (name, Some(line), Some(last)),
        None => (head, Some(last), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_split_as_far_as_they_go() {
        assert_eq!(split_place("In [3]:2:9"), ("In [3]", Some(2), Some(9)));
        assert_eq!(split_place("In [3]:2"), ("In [3]", Some(2), None));
        assert_eq!(split_place("src/lib.rs"), ("src/lib.rs", None, None));
        assert_eq!(split_place("a:漢:1"), ("a:漢", Some(1), None));
    }
}
