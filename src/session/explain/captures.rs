//! The function of a map that captures where none can.

use std::collections::BTreeMap;

use regatta_cell::checks;

use crate::cell::{bound, captured, closure, defines_items, position};
use crate::compiler::Diagnostic;
use crate::ids::CellId;
use crate::outcome::{Mark, Report, Snippet};
use crate::session::types;

/// Why a map in code refuses it, whatever pool is in use: its kind is known when the code runs.
pub(super) const CAPTURES_WHY: &str = "maps in code are compiled for pools of either kind, and in another process these variables are not";

pub(super) const CAPTURES_HINT: &str = "share a value by `pool::map_with(&value, inputs, |value, x| …)`, or write `%map`, which takes variables along, and on a thread pool borrows them";

/// Whether the cell crate's check says so.
pub fn captures(diagnostic: &Diagnostic) -> bool {
    let mut told = std::iter::once(&diagnostic.message).chain(&diagnostic.notes);
    told.any(|text| text.contains(checks::CAPTURES))
}

/// Names what the closure of a map captures, and marks the closure in the cell.
pub fn capturing(
    mut report: Report,
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
    for function in &diagnostic.closures {
        let function = closure(function);
        let new = captured(function, &names).into_iter();
        let new = new.filter(|name| !is_item(name));
        used.extend(new.filter(|name| !used.contains(name)).collect::<Vec<_>>());
        match source.find(function) {
            Some(at) if report.snippet.is_none() => {
                let start = position(&source[..at], (1, 1));
                let mark = Mark {
                    start,
                    end: position(function, start),
                    label: "runs in other processes".to_owned(),
                    primary: true,
                };
                report.snippet = Some(Snippet {
                    source: source.to_owned(),
                    name: cell.name(),
                    marks: vec![mark],
                });
            }
            Some(_) => {}
            None => {
                let line = function.lines().next().unwrap_or_default();
                let note = format!("in code of an earlier cell: `{line}`");
                report.notes.insert(0, note);
            }
        }
    }
    let named: Vec<String> = used
        .iter()
        .map(|name| match variables.get(name) {
            Some(kind) => format!("`{name}`: {}", types::shorten(kind)),
            None => format!("`{name}`"),
        })
        .collect();
    if !named.is_empty() {
        report.what = format!("the function captures {}", named.join(", "));
    } else if diagnostic.closures.is_empty() {
        report.what.push_str(", or is a function pointer");
    }
    report
}
