//! `%map F over EXPR`: written out as a call of the cell crate's map, and run in the local engine.

use std::time::Duration;

use super::explain::CAPTURES_HINT;
use super::{Code, Failed, Session};
use crate::cell::{Binding, Targets, identifiers, position};
use crate::outcome::{ErrorKind, Mark, PoolKind, Schedule, Sink, Snippet};

/// The options of `%map` and `%reduce`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MapOptions {
    /// The pool in use when `None`.
    pub pool: Option<String>,
    pub targets: Option<Targets>,
    /// Items per chunk; `None`: it adapts.
    pub chunk: Option<u64>,
    pub schedule: Schedule,
    /// Results in the order of arrival.
    pub unordered: bool,
    /// How often an item that panicked is tried again.
    pub retries: u32,
    /// Per item.
    pub timeout: Option<Duration>,
    /// Errors are results: `Vec<Result<O, ItemError>>`.
    pub collect: bool,
    /// No plan, no table.
    pub quiet: bool,
    /// A row per item.
    pub items: bool,
    /// Show the plan, run nothing.
    pub plan_only: bool,
    pub seed: Option<u64>,
    /// At most so many inputs.
    pub take: Option<u64>,
    /// Do not wait.
    pub background: bool,
}

/// A map as the user wrote it; positions are lines and columns in the cell.
#[derive(Clone, Debug)]
pub struct MapRequest {
    pub function: String,
    pub function_at: (usize, usize),
    pub inputs: String,
    pub inputs_at: (usize, usize),
    /// `with OP` of `%reduce`.
    pub combine: Option<(String, (usize, usize))>,
    pub bind: Option<Binding>,
    pub options: MapOptions,
}

impl Session {
    /// Runs a map on the pool in use; its results become a local variable or the cell's value.
    pub fn map(&mut self, request: &MapRequest, sink: &mut dyn Sink) -> Result<(), Failed> {
        let kind = self.pool_named(None)?.kind;
        let code = written_out(request, kind);
        self.run_local(&code, sink)
            .map_err(|failed| self.with_captures(failed, request))
    }
}

impl Session {
    /// Marks the function in an error that has no place of its own, and names what it captures.
    fn with_captures(&self, mut failed: Failed, request: &MapRequest) -> Failed {
        let [report] = failed.0.as_mut_slice() else {
            return failed;
        };
        let captures = report.hint.as_deref() == Some(CAPTURES_HINT);
        if !captures && (report.kind != ErrorKind::Compile || report.snippet.is_some()) {
            return failed;
        }
        let used = identifiers(&request.function);
        let names: Vec<String> = self
            .variables()
            .into_iter()
            .filter(|(name, _)| used.contains(name))
            .map(|(name, kind)| format!("`{name}`: {kind}"))
            .collect();
        if captures && !names.is_empty() {
            report.what = format!("the function captures {}", names.join(", "));
        }
        let mark = Mark {
            start: request.function_at,
            end: position(&request.function, request.function_at),
            label: if captures {
                "runs in other processes"
            } else {
                ""
            }
            .to_owned(),
            primary: true,
        };
        let source = self
            .history()
            .last()
            .map_or_else(String::new, |record| record.code.clone());
        let name = format!("In [{}]", self.cell());
        report.snippet = Some(Snippet {
            source,
            name,
            marks: vec![mark],
        });
        failed
    }
}

fn written_out(request: &MapRequest, kind: PoolKind) -> Code {
    let map = match kind {
        PoolKind::Threads => "map_threads",
        PoolKind::Processes => "map_processes",
    };
    let name: String = request
        .function
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let open = match &request.bind {
        Some(bind) => {
            let kind = bind
                .ty
                .as_ref()
                .map_or_else(String::new, |kind| format!(": {kind}"));
            format!("let {}{kind} = {{ ", bind.pattern)
        }
        None => "{ ".to_owned(),
    };
    let close = if request.bind.is_some() {
        "};\n"
    } else {
        "}\n"
    };
    Code::default()
        .generated(&format!(
            "{open}let regatta_results = ::regatta_cell::magic::{map}({name:?},\n"
        ))
        .user(&request.inputs, request.inputs_at)
        .generated(",\n")
        .user(&request.function, request.function_at)
        .generated("); { use ::regatta_cell::magic::{NoteDebug as _, NoteNothing as _}; ")
        .generated("(&::regatta_cell::magic::Results(&regatta_results)).note(); } regatta_results ")
        .generated(close)
}
