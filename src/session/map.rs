//! `%map F over EXPR` and `%reduce … with OP`: written out as calls of the cell crate, and run in the local
//! engine.

use std::borrow::Cow;

use regatta_cell::options::{MapOptions, NeedsProcesses, PROCESSES_CAN, Schedule};

use super::explain;
use super::outs::cannot_be_kept;
use super::written::{Capture, Written};
use super::{Code, Failed, Pool, Session, types};
use crate::cell::{
    Binding, Inputs, Targets, arguments_of, captured, closure_parameters, identifiers, inputs,
    position, replaced,
};
use crate::outcome::{
    Cause, ErrorKind, Event, Label, MapCause, Mark, PoolKind, Report, Showing, Sink, Snippet, Stuck,
};

/// A map as the user wrote it; positions are lines and columns in the cell.
#[derive(Clone, Debug)]
pub struct MapRequest {
    pub function: String,
    pub function_at: (usize, usize),
    pub inputs: String,
    pub inputs_at: (usize, usize),
    /// The function is an expression, evaluated once.
    pub is_one_call: bool,
    /// `with OP` of `%reduce`.
    pub combine: Option<(String, (usize, usize))>,
    pub bind: Option<Binding>,
    pub targets: Option<Targets>,
    /// The session fills in what it knows itself: ranks, names, captures.
    pub options: MapOptions,
}

impl Session {
    /// Runs a map; its results become a local variable or the cell's value.
    pub fn map(&mut self, request: &MapRequest, sink: &mut dyn Sink) -> Result<(), Failed> {
        let pool = self.pool_named(request.options.pool.as_deref())?.clone();
        let kind = pool.kind;
        if kind == PoolKind::Threads {
            refused_on_threads(&request.options)?;
        }
        let ranks = match &request.targets {
            None => Vec::new(),
            Some(_)
                if kind == PoolKind::Threads && request.options.schedule != Schedule::Static =>
            {
                let what = NeedsProcesses::Targets.to_string();
                return Err(Report::usage(what).hint(PROCESSES_CAN).into());
            }
            Some(targets) => pool.ranks(targets)?,
        };
        let request = &self.with_values(request, sink)?;
        self.refused_arguments(request)?;
        self.revive(&pool.name, &pool.all_ranks(), sink);
        let ranks: Vec<u32> = ranks.iter().map(|rank| rank.0).collect();
        let residents = match kind {
            PoolKind::Processes => {
                // Engines that stand in for others have their variables when they have begun.
                self.crew.drain_events(sink);
                let pool = self.pool_named(Some(&pool.name.0))?.clone();
                self.crew.await_beginnings(&pool.engines, sink)?;
                self.residents(request, &pool, &ranks)?
            }
            PoolKind::Threads => Vec::new(),
        };
        if !residents.is_empty() && !request.options.quiet {
            let each = |one: &Capture| format!("{}: {}", one.name, types::shorten(&one.kind));
            let each: Vec<String> = residents.iter().map(each).collect();
            sink.send(Event::Text(format!(
                "uses the engines' own {}",
                each.join(", ")
            )));
        }
        let job = self.next_job_variable();
        let written = Written {
            ranks,
            residents,
            job: &job,
            ..self.to_write(request, kind)
        };
        let options = vec![written.options()?];
        let mut run =
            |code: Code, sink: &mut dyn Sink| self.run_local_with(&code, options.clone(), sink);
        let mut ran = run(written.code(), sink);
        if ran.as_ref().is_err_and(cannot_be_kept) {
            let unkept = Written {
                kept: false,
                ..written.clone()
            };
            ran = run(unkept.code(), sink);
        }
        let borrows = |failed: &Failed| failed.0.iter().any(explain::borrows);
        if request.options.background && ran.as_ref().is_err_and(borrows) {
            // Inputs that borrow from variables are collected first.
            let collected = Written {
                collected: true,
                kept: false,
                ..written
            };
            ran = run(collected.code(), sink);
        }
        ran.map_err(|failed| self.explained(failed, request))?;
        if request.options.background {
            self.job_begun(&job, sink);
        }
        Ok(())
    }

    /// Variables that the function uses, and that the engines have while the session does not.
    fn residents(
        &self,
        request: &MapRequest,
        pool: &Pool,
        ranks: &[u32],
    ) -> Result<Vec<Capture>, Failed> {
        let local = self.variables();
        let is_meant = |rank: &usize| ranks.is_empty() || ranks.contains(&(*rank as u32));
        let engines = || (0..pool.engines.len()).filter(is_meant);
        let has = |rank: usize| self.crew.namespace(pool.engines[rank]);
        let mut names: Vec<String> = engines()
            .filter_map(has)
            .flat_map(|namespace| namespace.variables().keys().cloned())
            .filter(|name| !local.iter().any(|(other, _)| other == name))
            .collect();
        names.sort();
        names.dedup();
        let mut residents: Vec<Capture> = Vec::new();
        for name in captured(&request.function, &names) {
            let kinds: Vec<(usize, Option<&String>)> = engines()
                .map(|rank| (rank, has(rank).and_then(|all| all.variables().get(&name))))
                .collect();
            let Some(kind) = kinds.iter().find_map(|(_, kind)| *kind) else {
                continue;
            };
            if let Some((rank, other)) = kinds.iter().find(|(_, other)| *other != Some(kind)) {
                let what = match other {
                    None => format!("engine {rank} of {} has no variable `{name}`", pool.name),
                    Some(other) => format!(
                        "`{name}` is {} on engine {rank} of {}, and {} on another one",
                        types::shorten(other),
                        pool.name,
                        types::shorten(kind)
                    ),
                };
                return Err(Report::usage(what)
                    .hint(format!("`%px let {name} = …` gives it to all of them, `-t` says which engines the map is for"))
                    .into());
            }
            let kind = kind.clone();
            residents.push(Capture { name, kind });
        }
        let combine = request.combine.as_ref();
        if let Some(name) = combine.and_then(|(text, _)| captured(text, &names).into_iter().next())
        {
            return Err(Report::usage(format!(
                "`{name}` is a variable of the engines, and results are combined here too"
            ))
            .hint(format!("`let {name} = …` in a cell gives it to all; the function before `over` can use the engines'"))
            .into());
        }
        let is_closure = request.is_one_call || closure_parameters(&request.function).is_some();
        match residents.first() {
            Some(Capture { name, .. }) if !is_closure => Err(Report::usage(format!(
                "`{name}` is a variable of the engines, and only a closure can use it there"
            ))
            .hint(format!("`%map |x| … {name} … over …`"))
            .into()),
            _ => Ok(residents),
        }
    }

    /// The map with variables in the place of `_` and `Out[3]`.
    pub(super) fn with_values<'a>(
        &mut self,
        request: &'a MapRequest,
        sink: &mut dyn Sink,
    ) -> Result<Cow<'a, MapRequest>, Failed> {
        let mut request = Cow::Borrowed(request);
        let function = self.outs_in(&request.function, sink)?;
        if !function.is_empty() {
            let whole = 0..request.function.len();
            request.to_mut().function = replaced(&request.function, whole, &function);
        }
        let inputs = self.outs_in(&request.inputs, sink)?;
        if !inputs.is_empty() {
            let whole = 0..request.inputs.len();
            request.to_mut().inputs = replaced(&request.inputs, whole, &inputs);
        }
        Ok(request)
    }

    /// The session variables that travel with the functions.
    fn captures(&self, request: &MapRequest) -> Vec<Capture> {
        let variables = self.variables();
        let names: Vec<String> = variables.iter().map(|(name, _)| name.clone()).collect();
        let combine = request.combine.as_ref().map(|(text, _)| text.as_str());
        let mut used = captured(&request.function, &names);
        for name in combine
            .map(|text| captured(text, &names))
            .unwrap_or_default()
        {
            if !used.contains(&name) {
                used.push(name);
            }
        }
        let kind = |name: &String| {
            let (_, kind) = variables.iter().find(|(other, _)| other == name)?;
            Some(Capture {
                name: name.clone(),
                kind: kind.clone(),
            })
        };
        used.iter().filter_map(kind).collect()
    }

    /// A map on its way to become code.
    pub(super) fn to_write<'a>(&self, request: &'a MapRequest, kind: PoolKind) -> Written<'a> {
        let is_grid = |name: &str| name == "grid";
        Written {
            request,
            kind,
            ranks: Vec::new(),
            place: "0".into(),
            captures: self.captures(request),
            residents: Vec::new(),
            job: "",
            collected: false,
            cloned: false,
            unpacked: self.arguments(request),
            kept: true,
            own_grid: self.variables().iter().any(|(name, _)| is_grid(name))
                || self
                    .workshop
                    .definitions()
                    .names()
                    .any(|(name, _)| is_grid(name)),
        }
    }

    /// How many arguments the function takes, where that is several: its inputs are tuples of them.
    fn arguments(&self, request: &MapRequest) -> Option<usize> {
        self.known_arguments(request)
            .or_else(|| side_by_side(request))
            .filter(|several| *several > 1 && !request.is_one_call)
    }

    /// The same where the function's own text tells it.
    fn known_arguments(&self, request: &MapRequest) -> Option<usize> {
        let function = request.function.trim();
        match closure_parameters(function) {
            Some(parameters) => Some(parameters.each.len()),
            None => self
                .workshop
                .definitions()
                .text(function)
                .and_then(arguments_of),
        }
    }

    pub(super) fn refused_arguments(&self, request: &MapRequest) -> Result<(), Report> {
        match (self.known_arguments(request), side_by_side(request)) {
            (Some(arguments), Some(inputs)) if arguments > 1 && arguments != inputs => {
                Err(Report::usage(format!(
                    "the function takes {arguments} arguments, and there are {inputs} inputs behind `over`"
                ))
                .hint("one input for each argument; a function of one argument gets them as a tuple"))
            }
            _ => Ok(()),
        }
    }

    /// Names what cannot travel, and what of the inputs cannot be.
    pub(super) fn explained(&self, mut failed: Failed, request: &MapRequest) -> Failed {
        let captures = self.captures(request);
        explain::only_stuck(&mut failed, |stuck| {
            let short = types::shorten(stuck);
            let kind_of = |capture: &Capture| types::shorten(&capture.kind).replace("'static ", "");
            let is_it = |capture: &&Capture| kind_of(capture) == short;
            let has_it = |capture: &&Capture| kind_of(capture).contains(&short);
            let name = captures
                .iter()
                .find(is_it)
                .or_else(|| captures.iter().find(has_it));
            let with_type = |it: &Capture| (it.name.clone(), types::shorten(&it.kind));
            Stuck::Captured(name.map(with_type))
        });
        if let (Some(arguments), None) = (self.arguments(request), side_by_side(request)) {
            explain::no_tuples(&mut failed, arguments);
        }
        if request.options.background {
            let names: Vec<String> = self.variables().into_iter().map(|(name, _)| name).collect();
            explain::borrowing(&mut failed, request, &names);
        }
        failed.0.dedup_by(|one, other| one.cause == other.cause);
        if let [report] = failed.0.as_mut_slice() {
            self.mark_function(report, request);
        }
        failed
    }

    /// Marks the function in an error that has no place of its own, or is about it.
    fn mark_function(&self, report: &mut Report, request: &MapRequest) {
        let unshown =
            explain::no_debug(report).map(|kind| explain::unshown(kind, Showing::Results));
        let label = match (&mut report.cause, unshown) {
            (cause, Some(unshown)) => {
                *cause = unshown.into();
                Label::default()
            }
            (Cause::Map(MapCause::Captures { variables, .. }), None) => {
                let used = identifiers(&request.function);
                let ours = self.variables().into_iter();
                let ours = ours.filter(|(name, _)| used.contains(name));
                let ours: Vec<_> = ours.map(|(name, kind)| (name, Some(kind))).collect();
                if !ours.is_empty() {
                    *variables = ours;
                }
                self.where_it_runs(request)
            }
            _ if report.kind != ErrorKind::Compile || report.snippet.is_some() => return,
            _ => self.where_it_runs(request),
        };
        let (start, name) = (request.function_at, self.cell());
        let mark = Mark {
            label,
            ..Mark::primary(start, position(&request.function, start))
        };
        let source = self.history().last();
        let source = source.map_or("", |record| &record.code);
        report.snippet = Some(Snippet::of(name, source, vec![mark]));
    }

    fn where_it_runs(&self, request: &MapRequest) -> Label {
        match self.pool_named(request.options.pool.as_deref()) {
            Ok(pool) if pool.kind == PoolKind::Threads => Label::RunsInThreads,
            _ => Label::RunsInProcesses,
        }
    }
}

/// How many inputs stand behind `over`, where that is several.
fn side_by_side(request: &MapRequest) -> Option<usize> {
    match inputs(&request.inputs) {
        Inputs::One => None,
        Inputs::Beside(parts) | Inputs::Crossed(parts) => Some(parts.len()),
    }
}

/// Options that need an engine which can be replaced, and inputs that are still there after a panic.
pub(super) fn refused_on_threads(options: &MapOptions) -> Result<(), Report> {
    if let Some(need) = options.needs_processes() {
        return Err(Report::usage(need.to_string()).hint(PROCESSES_CAN));
    }
    Ok(())
}
