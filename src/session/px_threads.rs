//! `%px` on a thread pool: once per thread, borrowing the session's variables.

use std::collections::BTreeMap;
use std::time::Duration;

use regatta_cell::options::{MapOptions, Schedule};
use regatta_cell::pool::ItemError;

use super::code::Piece;
use super::comm::Ran;
use super::crew::Hold;
use super::px_out::Values;
use super::px_outcome::row;
use super::types::shorten;
use super::{Code, Failed, MapRequest, Pool, PxOptions, Session};
use crate::cell::{ItemText, split_items};
use crate::ids::{CellId, Rank};
use crate::outcome::{
    EngineOutcome, ErrorKind, GroupOutputs, Notice, PoolKind, PxReport, PxRow, Report, Sink, Value,
};
use crate::pool::{JobRecord, Payload};

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
        let (mut produced, ran) = self.run(&on_threads, Vec::new(), Hold::default(), sink);
        produced.threads.retain(|_, leg| leg.ended.is_some());
        if produced.threads.is_empty() {
            ran?;
        }
        let with_type = self.crew.value_style().types;
        let troubles = super::comm::troubles(&produced.comm);
        let mut ran = Ran::new(produced.began);
        let mut of_thread = |rank: &Rank| {
            let mut leg = produced.threads.remove(rank)?;
            ran.note(*rank, &leg);
            leg.value = leg.value.map(|value| Value { with_type, ..value });
            let mut row = row(*rank, leg, &[], false, &troubles);
            if produced.stopped && !row.outcome.is_ok() {
                row.outcome = EngineOutcome::Interrupted;
            }
            Some(row)
        };
        let rows = ranks.iter().filter_map(&mut of_thread).collect();
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
        let cell = report.cell;
        let shown = self.show_px(report, Values::default(), sink);
        self.after_px(&pool.name, cell, ran, None, sink);
        shown
    }

    /// The same without waiting: a map whose items are the targets, each dealt to its thread, with copies of the
    /// variables that the cell uses.
    pub(super) fn px_threads_later(
        &mut self,
        code: &Code,
        options: &PxOptions,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        if let Some(name) = &options.out {
            let what = format!("`{name}` cannot be bound before the threads are done");
            return Err(Report::usage(what)
                .hint(format!(
                    "`let {name} = %result` waits for them and binds it"
                ))
                .into());
        }
        let Some(piece) = code.pieces.first() else {
            return Ok(());
        };
        let (items, statements) = split_items(&code.text);
        self.run_local(&outside(&items, piece), sink)?;
        if statements.trim().is_empty() {
            return Ok(());
        }
        let at = (piece.cell_line, piece.column + 1);
        let request = MapRequest {
            function: statements,
            function_at: at,
            inputs: String::new(),
            inputs_at: at,
            is_one_call: true,
            combine: None,
            bind: None,
            targets: Some(options.targets.clone()),
            options: MapOptions {
                pool: options.pool.clone(),
                schedule: Schedule::Static,
                chunk: Some(1),
                background: true,
                collect: true,
                quiet: true,
                px: Some(self.cell().0),
                ..MapOptions::default()
            },
        };
        self.map(&request, sink)
    }

    /// What came of it, in the targets' order; its results are gone then.
    pub(super) fn settle_threads(
        &mut self,
        record: &JobRecord,
        variable: &str,
        sink: &mut dyn Sink,
    ) -> Result<PxReport, Failed> {
        let code = format!("::regatta_cell::magic::tell_threads({variable});\n");
        let sent = self.sent_by(&Code::default().generated(&code), sink)?;
        let told = sent.first().map(Payload::copied).unwrap_or_default();
        sent.iter().for_each(Payload::release);
        let told = postcard::from_bytes::<Vec<(u64, Came)>>(&told);
        let told = told.map_err(|error| Report::new(ErrorKind::System, error.to_string()))?;
        let mut told: BTreeMap<u64, Came> = told.into_iter().collect();
        let all = record.total.unwrap_or_default();
        let ranks = match record.ranks.as_slice() {
            [] => (0..).map(Rank).zip(0..all).collect(),
            ranks => ranks.iter().copied().zip(0..).collect::<Vec<_>>(),
        };
        let with_type = self.crew.value_style().types;
        let rows = ranks.into_iter().map(|(rank, place)| PxRow {
            rank,
            outcome: outcome(told.remove(&place), with_type),
            busy: Duration::ZERO,
            output: Vec::new(),
        });
        Ok(PxReport {
            cell: record.px.unwrap_or(CellId::STARTUP),
            pool: record.pool.clone(),
            engines: rows.collect(),
            group: GroupOutputs::default(),
            verbose: false,
        })
    }
}

/// The text of a thread's value and its type, or why there is none.
type Came = Result<(String, String), ItemError>;

/// `None`: it was cancelled before it came to its end.
fn outcome(came: Option<Came>, with_type: bool) -> EngineOutcome {
    match came {
        None | Some(Err(ItemError::Cancelled { .. })) => EngineOutcome::Interrupted,
        Some(Ok((_, kind))) if kind == "()" => EngineOutcome::Done(None),
        Some(Ok((text, kind))) => EngineOutcome::Done(Some(Value {
            content: vec![("text/plain".to_owned(), text)],
            type_name: shorten(&kind),
            with_type,
            ..Value::default()
        })),
        Some(Err(ItemError::Panicked { message, place, .. })) => EngineOutcome::Panicked {
            message,
            place: (!place.is_empty()).then_some(place),
        },
        Some(Err(error)) => EngineOutcome::Errored {
            message: error.to_string(),
        },
    }
}

/// The definitions of a cell, where later cells find them.
fn outside(items: &[ItemText], piece: &Piece) -> Code {
    let line = |item: &ItemText| piece.cell_line + item.line - 1;
    let add = |code: Code, item: &ItemText| code.user(&item.text, (line(item), 1));
    items.iter().fold(Code::default(), add)
}

/// The code as one closure for all threads; definitions stay outside, where later cells find them.
fn broadcasting(code: &Code, pool: &Pool, ranks: &[Rank], out: Option<&str>) -> Code {
    let Some(piece) = code.pieces.first() else {
        return code.clone();
    };
    let (items, statements) = split_items(&code.text);
    let mut whole = outside(&items, piece);
    whole.threads = Some((pool.name.clone(), ranks.to_vec()));
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
