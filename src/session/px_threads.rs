//! `%px` on a thread pool: once per thread, borrowing the session's variables.

use std::collections::BTreeMap;

use super::crew::Hold;
use super::places::panic_place;
use super::px_out::Values;
use super::{Code, Failed, Pool, PxOptions, Session};
use crate::cell::split_items;
use crate::ids::Rank;
use crate::outcome::{EngineOutcome, Notice, PoolKind, PxReport, PxRow, Sink, Value};

impl Session {
    /// On a thread pool the cell runs once per thread and borrows the session's variables.
    pub(super) fn px_threads(
        &mut self,
        code: &Code,
        pool: &Pool,
        ranks: &[Rank],
        options: &PxOptions,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let on_threads = broadcasting(code, pool, ranks, options.out.as_deref());
        let (produced, ran) = self.run(&on_threads, Vec::new(), Hold::default(), sink);
        if produced.threads.is_empty() {
            ran?;
        }
        let with_type = self.crew.value_style().types;
        let values = produced.thread_values.into_iter();
        let mut values: BTreeMap<Rank, Value> = values
            .map(|(rank, value)| (rank, Value { with_type, ..value }))
            .collect();
        let ended: BTreeMap<Rank, _> = (0..).map(Rank).zip(produced.threads).collect();
        let ended = |rank: &Rank| Some((*rank, ended.get(rank)?.clone()));
        let rows: Vec<PxRow> = ranks
            .iter()
            .filter_map(ended)
            .map(|(rank, (busy, panic))| {
                let outcome = match panic {
                    Some(panic) => {
                        let place = panic_place(&panic);
                        EngineOutcome::Panicked {
                            message: panic.message,
                            place,
                        }
                    }
                    None => EngineOutcome::Done(values.remove(&rank)),
                };
                PxRow {
                    rank,
                    outcome,
                    busy,
                    output: Vec::new(),
                }
            })
            .collect();
        let report = PxReport {
            cell: self.cell(),
            pool: pool.name.clone(),
            engines: rows,
            group: options.group_outputs,
            verbose: options.verbose,
        };
        if let (Some(name), false) = (&options.out, report.is_ok()) {
            let (name, kind) = (name.clone(), PoolKind::Threads);
            self.notice(Notice::NotBound { name, kind }, sink);
        }
        self.show_px(report, Values::default(), sink)
    }
}

/// The code as one closure for all threads; definitions stay outside, where later cells find them.
fn broadcasting(code: &Code, pool: &Pool, ranks: &[Rank], out: Option<&str>) -> Code {
    let Some(piece) = code.pieces.first() else {
        return code.clone();
    };
    let (items, statements) = split_items(&code.text);
    let mut whole = Code::default();
    for item in items {
        whole = whole.user(&item.text, (piece.cell_line + item.line - 1, 1));
    }
    let at = (piece.cell_line, piece.column + 1);
    let (name, numbers) = (&pool.name.0, numbers(ranks));
    if let Some(out) = out {
        return whole
            .generated(&format!(
                "let {out} = ::regatta_cell::magic::broadcast_values({name:?}, &[{numbers}], || {{\n"
            ))
            .user(&statements, at)
            .generated("});\n");
    }
    let guard = if ranks.len() == pool.size as usize {
        String::new()
    } else {
        format!("if ![{numbers}].contains(&engine::rank()) {{ return; }} ")
    };
    whole
        .generated(&format!(
            "regatta_cell::magic::broadcast({name:?}, || {{ {guard}::regatta_cell::magic::show_value(&{{\n"
        ))
        .user(&statements, at)
        .generated("}) });\n")
}

fn numbers(ranks: &[Rank]) -> String {
    let numbers: Vec<String> = ranks.iter().map(|rank| format!("{rank}u32")).collect();
    numbers.join(", ")
}
