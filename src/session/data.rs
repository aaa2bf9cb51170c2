//! Moving variables between the local engine and the engines of a pool.

use super::{Code, Failed, Pool, PxOptions, Session, explain, types};
use crate::cell::{Binding, Kind, Targets};
use crate::ids::Rank;
use crate::outcome::{Event, PoolKind, Report, Sink, Stuck};
use crate::pool::Payload;
use crate::vocabulary::nearest;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataVerb {
    /// A local variable to every target.
    Push,
    /// A variable of every target, a `Vec` by rank.
    Pull,
    /// Parts of a local collection to the targets.
    Scatter,
    /// The parts back in one collection.
    Gather,
}

/// One variable to move.
#[derive(Clone, Debug, PartialEq)]
pub struct DataRequest {
    pub verb: DataVerb,
    /// The variable at the place it is taken from.
    pub name: String,
    /// What it is called at the place it goes to, where that is the engines; as `name` when `None`.
    pub as_name: Option<String>,
    /// All engines of the pool in use when `None`.
    pub targets: Option<Targets>,
    /// Scatter and gather: one by one in turns, instead of one block per engine.
    pub cyclic: bool,
    /// What takes the value of a pull or a gather; the cell's value when `None`.
    pub bind: Option<Binding>,
}

impl Session {
    /// Moves a variable between the local engine and the engines of the pool in use.
    pub fn move_data(&mut self, request: &DataRequest, sink: &mut dyn Sink) -> Result<(), Failed> {
        let pool = self.pool_named(None)?.clone();
        if pool.kind == PoolKind::Threads {
            return Err(Report::usage(format!(
                "{} is a thread pool: its threads borrow the session's variables",
                pool.name
            ))
            .hint("a process pool's engines have variables of their own: `%pool start`")
            .into());
        }
        let targets = request.targets.clone().unwrap_or_else(Targets::all);
        let ranks = pool.ranks(&targets)?;
        match request.verb {
            DataVerb::Push | DataVerb::Scatter => self.give(request, &pool, &ranks, sink),
            DataVerb::Pull | DataVerb::Gather => self.fetch(request, &pool, &ranks, sink),
        }
    }

    /// From the local engine to the others.
    fn give(
        &mut self,
        request: &DataRequest,
        pool: &Pool,
        ranks: &[Rank],
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let name = &request.name;
        let kind = self.kind_of(name)?;
        let there = request.as_name.as_ref().unwrap_or(name);
        let parts = ranks.len();
        let (sending, kind) = match request.verb {
            DataVerb::Scatter => {
                let how = if request.cyclic { "cyclic" } else { "blocks" };
                let element = element_of(&kind).ok_or_else(|| cannot_scatter(name, &kind))?;
                (
                    format!("regatta_cell::magic::scatter_{how}(&{name}, {parts});\n"),
                    format!("Vec<{element}>"),
                )
            }
            _ if types::is_text(&kind) => (
                format!("regatta_cell::magic::send(&{name}.to_owned());\n"),
                "String".to_owned(),
            ),
            _ => (format!("regatta_cell::magic::send(&{name});\n"), kind),
        };
        let sent = self
            .sent_by(&Code::default().generated(&sending), sink)
            .map_err(|failed| stuck(failed, name))?;
        let data: Vec<Vec<Payload>> = match request.verb {
            DataVerb::Scatter => sent.into_iter().map(|part| vec![part]).collect(),
            _ => vec![sent; parts],
        };
        let code = Code::default().generated(&format!(
            "let {there}: {kind} = regatta_cell::magic::received_one();\n"
        ));
        let options = PxOptions {
            targets: Targets::of(ranks),
            ..PxOptions::default()
        };
        let given = self.px_quietly(&code, &options, &data, sink);
        data.iter().flatten().for_each(Payload::release);
        let (report, _) = given?;
        let said = match request.verb {
            DataVerb::Scatter => "scattered",
            _ => "pushed",
        };
        let done = report
            .engines
            .iter()
            .filter(|row| row.outcome.is_ok())
            .count();
        let kind = types::shorten(&kind);
        sink.send(Event::Text(format!(
            "{said} {name} to {done} engines of {} as {there}: {kind}",
            pool.name
        )));
        Ok(())
    }

    /// From the engines to the local one: a `Vec` by rank, or the parts joined.
    fn fetch(
        &mut self,
        request: &DataRequest,
        pool: &Pool,
        ranks: &[Rank],
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let name = &request.name;
        let kinds = ranks.iter().map(|rank| {
            let engine = pool.engines.get(rank.0 as usize)?;
            self.crew.namespace(*engine)?.variables().get(name).cloned()
        });
        let kinds: Vec<Option<String>> = kinds.collect();
        let missing: Vec<String> = ranks
            .iter()
            .zip(&kinds)
            .filter(|(_, kind)| kind.is_none())
            .map(|(rank, _)| rank.to_string())
            .collect();
        let Some(kind) = kinds
            .iter()
            .flatten()
            .next()
            .cloned()
            .filter(|_| missing.is_empty())
        else {
            let hint = if missing.len() < ranks.len() {
                "`-t` takes it from the engines that have it".to_owned()
            } else {
                format!("`%px let {name} = …` defines it, and so does `%push`")
            };
            let what = format!("there is no `{name}` on engine {}", missing.join(", "));
            return Err(Report::usage(what).hint(hint).into());
        };
        if let Some(other) = kinds.iter().flatten().find(|other| **other != kind) {
            let what = format!("`{name}` is {kind} on one engine and {other} on another");
            return Err(Report::usage(what)
                .hint("`-t` takes it from engines where it is the same")
                .into());
        }
        let text = types::is_text(&kind);
        let sending = if text {
            format!("regatta_cell::magic::send(&{name}.to_owned());\n")
        } else {
            format!("regatta_cell::magic::send(&{name});\n")
        };
        let options = PxOptions {
            targets: Targets::of(ranks),
            ..PxOptions::default()
        };
        let code = Code::default().generated(&sending);
        let (_, values) = self
            .px_quietly(&code, &options, &[], sink)
            .map_err(|failed| stuck(failed, name))?;
        let kind = if text { "String".to_owned() } else { kind };
        let expression = match request.verb {
            DataVerb::Gather => {
                let element = element_of(&kind).ok_or_else(|| cannot_scatter(name, &kind))?;
                let how = if request.cyclic { "cyclic" } else { "blocks" };
                format!("regatta_cell::magic::gather_{how}::<{element}>()")
            }
            _ => format!("regatta_cell::magic::received::<{kind}>()"),
        };
        let code = match &request.bind {
            Some(bind) => format!("{}{expression};\n", bind.opening()),
            None => format!("{expression}\n"),
        };
        let taken = values.clone();
        let ran = self.run_local_with(&Code::default().generated(&code), values, sink);
        taken.iter().for_each(Payload::release);
        ran
    }

    fn kind_of(&self, name: &str) -> Result<String, Report> {
        let variables = self.variables();
        let found = variables.iter().find(|(other, _)| other == name);
        found.map(|(_, kind)| kind.clone()).ok_or_else(|| {
            let report = Report::usage(format!("there is no variable `{name}`"));
            match nearest(name, variables.iter().map(|(name, _)| name.as_str())) {
                Some(near) => report.hint(format!("did you mean `{near}`?")),
                None => report.hint("`%who` lists the session's variables"),
            }
        })
    }
}

/// The element's type of a `Vec` or an array.
fn element_of(kind: &str) -> Option<String> {
    match Kind::of(kind) {
        Kind::Array(element) => Some(element),
        vec => vec.only_argument("Vec").map(str::to_owned),
    }
}

fn cannot_scatter(name: &str, kind: &str) -> Report {
    let kind = types::shorten(kind);
    Report::usage(format!(
        "`{name}` is {kind}: parts are made of a Vec or an array"
    ))
    .hint(format!(
        "`%push {name}` gives the whole of it to each engine"
    ))
}

/// What cannot travel is named.
fn stuck(mut failed: Failed, name: &str) -> Failed {
    explain::only_stuck(&mut failed, |_| Stuck::Variable(name.to_owned()));
    failed
}

#[cfg(test)]
mod tests {
    #[test]
    fn elements_of_vecs_and_arrays() {
        let element_of = |kind| super::element_of(kind);
        let some = |kind: &str| Some(kind.to_owned());
        assert_eq!(element_of("Vec<f64>"), some("f64"));
        assert_eq!(element_of("std::vec::Vec<Vec<u8>>"), some("Vec<u8>"));
        assert_eq!(element_of("[f64; 3]"), some("f64"));
        assert_eq!(element_of("String"), None);
        assert_eq!(element_of("HashMap<u8, Vec<u8>>"), None);
    }
}
