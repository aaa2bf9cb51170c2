//! The function of a map that captures where none can.

use std::collections::BTreeMap;

use regatta_cell::checks;

use crate::cell::{bound, captured, closure, defines_items};
use crate::compiler::Diagnostic;
use crate::ids::CellId;
use crate::outcome::{ErrorKind, Label, MapCause, Mark, Note, Report, Snippet};
use crate::session::marks::{marked, word};
use crate::session::types;

/// Whether the cell crate's check says so.
pub fn captures(diagnostic: &Diagnostic) -> bool {
    let mut told = std::iter::once(&diagnostic.message).chain(&diagnostic.notes);
    told.any(|text| text.contains(checks::CAPTURES))
}

/// Names what the closure of a map captures, and marks the map or the closure in the cell.
pub fn capturing(
    diagnostic: &Diagnostic,
    cell: CellId,
    source: &str,
    variables: &BTreeMap<String, String>,
) -> Report {
    let mut names: Vec<String> = bound(source);
    names.extend(variables.keys().cloned());
    let defined = defines_items(source);
    // A function is no variable, whatever a pattern elsewhere in the cell is called.
    let is_item = |name: &String| {
        let mut names = defined.iter().filter_map(|item| item.name.as_ref());
        !variables.contains_key(name) && names.any(|item| item == name)
    };
    let mut used: Vec<String> = Vec::new();
    let mut mark = word(source, "map");
    let mut notes = Vec::new();
    for function in &diagnostic.closures {
        let function = closure(function);
        let new = captured(function, &names).into_iter();
        let new = new.filter(|name| !is_item(name));
        used.extend(new.filter(|name| !used.contains(name)).collect::<Vec<_>>());
        match source.find(function) {
            Some(at) => {
                mark.get_or_insert_with(|| Mark {
                    label: Label::RunsInProcesses,
                    ..marked(source, at..at + function.len())
                });
            }
            None => {
                let line = function.lines().next().unwrap_or_default();
                notes.insert(0, Note::EarlierCell(line.to_owned()));
            }
        }
    }
    let typed = |name: String| {
        let kind = variables.get(&name).map(|kind| types::shorten(kind));
        (name, kind)
    };
    let cause = MapCause::Captures {
        pointer: diagnostic.closures.is_empty(),
        variables: used.into_iter().map(typed).collect(),
    };
    let mut report = Report::new(ErrorKind::Compile, cause);
    report.snippet = mark.map(|mark| Snippet::of(cell, source, vec![mark]));
    report.notes = notes;
    report
}
