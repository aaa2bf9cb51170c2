//! `%map F over EXPR`: written out as a call of the cell crate's map, and run in the local engine.

use super::evaluate::Code;
use super::{Failed, Session};
use crate::cell::Binding;
use crate::outcome::{PoolKind, Sink};

/// A map as the user wrote it; positions are lines and columns in the cell.
#[derive(Clone, Debug)]
pub struct MapRequest {
    pub function: String,
    pub function_at: (usize, usize),
    pub inputs: String,
    pub inputs_at: (usize, usize),
    pub bind: Option<Binding>,
}

impl Session {
    /// Runs a map on the pool in use; its results become a local variable or the cell's value.
    pub fn map(&mut self, request: &MapRequest, sink: &mut dyn Sink) -> Result<(), Failed> {
        let kind = self.pool_named(None)?.kind;
        let code = written_out(request, kind);
        self.run_local(&code, sink)
    }
}

fn written_out(request: &MapRequest, kind: PoolKind) -> Code {
    let map = match kind {
        PoolKind::Threads => "map_threads",
        PoolKind::Processes => "map_processes",
    };
    let name: String = request.function.split_whitespace().collect::<Vec<_>>().join(" ");
    let open = match &request.bind {
        Some(bind) => {
            let kind = bind.ty.as_ref().map_or_else(String::new, |kind| format!(": {kind}"));
            format!("let {}{kind} = {{ ", bind.pattern)
        }
        None => "{ ".to_owned(),
    };
    let close = if request.bind.is_some() { "};\n" } else { "}\n" };
    Code::default()
        .generated(&format!("{open}let regatta_results = ::regatta_cell::magic::{map}({name:?},\n"))
        .user(&request.inputs, request.inputs_at)
        .generated(",\n")
        .user(&request.function, request.function_at)
        .generated("); { use ::regatta_cell::magic::{NoteDebug as _, NoteNothing as _}; ")
        .generated("(&::regatta_cell::magic::Results(&regatta_results)).note(); } regatta_results ")
        .generated(close)
}
