//! `%map F over EXPR` and `%reduce … with OP`: written out as calls of the cell crate, and run in the local
//! engine.

use std::time::Duration;

use super::explain::{self, CAPTURES_HINT};
use super::{Code, Failed, Session, types};
use crate::cell::{Binding, Targets, captured, identifiers, position};
use crate::outcome::{ErrorKind, Mark, PoolKind, Report, Schedule, Sink, Snippet};

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

/// Errors of the borrow checker: what a job in the background is given does not live long enough.
const BORROWED: [&str; 5] = ["E0505", "E0506", "E0521", "E0597", "E0716"];

const NOTHING_TO_REDUCE: &str = "%reduce needs at least one input";

/// A captured session variable with its type.
#[derive(Clone, Debug)]
struct Capture {
    name: String,
    kind: String,
}

impl Capture {
    /// Text that stands in the program travels as a `String`.
    fn is_text(&self) -> bool {
        types::is_text(&self.kind)
    }

    fn lent(&self) -> String {
        if self.is_text() {
            format!("&{}.to_owned()", self.name)
        } else {
            format!("&{}", self.name)
        }
    }

    fn owned(&self) -> &str {
        if self.is_text() { "String" } else { &self.kind }
    }
}

impl Session {
    /// Runs a map; its results become a local variable or the cell's value.
    pub fn map(&mut self, request: &MapRequest, sink: &mut dyn Sink) -> Result<(), Failed> {
        let pool = self.pool_named(request.options.pool.as_deref())?.clone();
        let kind = pool.kind;
        if request.options.background && kind == PoolKind::Threads {
            return Err(
                Report::usage("a map on a thread pool cannot go on in the background")
                    .hint(
                        "the threads belong to the local engine; a process pool can: `%pool start`",
                    )
                    .into(),
            );
        }
        if kind == PoolKind::Threads {
            refused_on_threads(&request.options)?;
        }
        let ranks = match &request.options.targets {
            None => Vec::new(),
            Some(_) if kind == PoolKind::Threads => {
                return Err(Report::usage("a thread pool has no targets")
                    .hint("its threads share the work; a process pool has: `%pool start`")
                    .into());
            }
            Some(targets) => pool.ranks(targets)?,
        };
        self.revive(&pool.name, &pool.all_ranks(), sink);
        let ranks: Vec<u32> = ranks.iter().map(|rank| rank.0).collect();
        let job = self.next_job_variable();
        let write = |session: &Self, collected: bool| {
            let written = Written {
                request,
                kind,
                ranks: &ranks,
                captures: session.captures(request),
                job: &job,
                collected,
            };
            written.code()
        };
        let code = write(self, false);
        let mut ran = self.run_local(&code, sink);
        let borrowed = |failed: &Failed| {
            let codes = failed.0.iter().filter_map(|report| report.code.as_deref());
            codes.into_iter().any(|code| BORROWED.contains(&code))
        };
        if request.options.background && ran.as_ref().is_err_and(borrowed) {
            // Inputs that borrow from variables are collected first.
            let code = write(self, true);
            ran = self.run_local(&code, sink);
        }
        ran.map_err(|failed| self.explained(failed, request))?;
        if request.options.background {
            self.job_begun(&job, sink);
        }
        Ok(())
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

    /// A map on one pool as an expression, for a comparison.
    pub(super) fn written(&self, request: &MapRequest, kind: PoolKind, code: Code) -> Code {
        let written = Written {
            request,
            kind,
            ranks: &[],
            captures: self.captures(request),
            job: "",
            collected: false,
        };
        written.call(code)
    }

    /// The inputs of a map, for a comparison.
    pub(super) fn written_inputs(&self, request: &MapRequest, code: Code) -> Code {
        let written = Written {
            request,
            kind: PoolKind::Threads,
            ranks: &[],
            captures: Vec::new(),
            job: "",
            collected: false,
        };
        written.inputs(code)
    }

    /// Marks the function in an error that has no place of its own, and names what cannot travel.
    pub(super) fn explained(&self, mut failed: Failed, request: &MapRequest) -> Failed {
        let captures = self.captures(request);
        explain::only_stuck(&mut failed);
        for report in &mut failed.0 {
            let Some(stuck) = explain::stuck_type(report) else {
                continue;
            };
            let short = types::shorten(stuck);
            let kind_of = |capture: &Capture| types::shorten(&capture.kind).replace("'static ", "");
            let is_it = |capture: &&Capture| kind_of(capture) == short;
            let has_it = |capture: &&Capture| kind_of(capture).contains(&short);
            let name = captures
                .iter()
                .find(is_it)
                .or_else(|| captures.iter().find(has_it));
            if let Some(Capture { name, kind }) = name {
                report.what = format!(
                    "`{name}`: {} cannot travel to other processes",
                    types::shorten(kind)
                );
            }
            report.code = None;
            report.snippet = None;
            report.notes.clear();
            report.hint = Some(
                "capture plain data instead: `let` what the function needs of it in a variable of its own, or use a thread pool, whose threads borrow (`%pool start threads`)"
                    .to_owned(),
            );
        }
        failed.0.dedup_by(|one, other| one.what == other.what);
        let [report] = failed.0.as_mut_slice() else {
            return failed;
        };
        if report.what.ends_with(NOTHING_TO_REDUCE) {
            let report = Report::usage(NOTHING_TO_REDUCE);
            return report
                .hint("put a neutral value in front: `std::iter::once(…).chain(inputs)`, or `pool::reduce`, whose result is an Option")
                .into();
        }
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
            label: "runs in other processes".to_owned(),
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

/// Options that need an engine which can be replaced, and inputs that are still there after a panic.
pub(super) fn refused_on_threads(options: &MapOptions) -> Result<(), Report> {
    let hint = "a process pool can do it: `%pool start`";
    if options.timeout.is_some() {
        let what = "a thread cannot be stopped, so `--timeout` does not work on a thread pool";
        return Err(Report::usage(what).hint(hint));
    }
    if options.retries > 0 {
        let what = "`--retries` does not work on a thread pool: its inputs are moved into the function, not copied";
        return Err(Report::usage(what).hint(hint));
    }
    Ok(())
}

/// A map on its way to become code.
struct Written<'a> {
    request: &'a MapRequest,
    kind: PoolKind,
    ranks: &'a [u32],
    captures: Vec<Capture>,
    /// The variable of a job in the background.
    job: &'a str,
    /// The inputs are collected first.
    collected: bool,
}

impl Written<'_> {
    fn code(&self) -> Code {
        let MapRequest { options, .. } = self.request;
        let bind = self.request.bind.as_ref();
        let code = Code::default();
        if options.background {
            let code = self.call(code.generated(&format!("let {} = ", self.job)));
            let code = code.generated(";\n");
            return match bind {
                Some(bind) => code.generated(&format!("{}{}.clone();\n", bind.opening(), self.job)),
                None => code,
            };
        }
        let open = bind.map_or_else(String::new, Binding::opening);
        let close = if bind.is_some() { "};\n" } else { "}\n" };
        let mut code = code.generated(&format!("{open}{{ "));
        if options.items {
            code =
                code.generated("let regatta_inputs = ::regatta_cell::magic::Inputs::default(); ");
        }
        let mut code = self
            .call(code.generated("let regatta_results = "))
            .generated("; ");
        if options.items {
            code = code.generated("regatta_inputs.note(&regatta_results); ");
        }
        let first_results = !options.unordered && !options.quiet && self.request.combine.is_none();
        if first_results {
            code = code
                .generated("{ use ::regatta_cell::magic::{NoteDebug as _, NoteNothing as _}; ")
                .generated("(&::regatta_cell::magic::Results(&regatta_results)).note(); } ");
        }
        code.generated("regatta_results ").generated(close)
    }

    /// How it is to run, in the words of the cell crate.
    fn wish(&self) -> String {
        let MapOptions {
            pool,
            chunk,
            schedule,
            retries,
            timeout,
            quiet,
            items,
            plan_only,
            seed,
            unordered,
            collect,
            ..
        } = &self.request.options;
        let name = if *quiet {
            String::new()
        } else {
            let words: Vec<&str> = self.request.function.split_whitespace().collect();
            words.join(" ")
        };
        let pool = pool.as_deref().unwrap_or_default();
        let mut wish = format!("::regatta_cell::magic::on({pool:?}, {name:?})");
        let mut add = |text: String| wish.push_str(&text);
        if !self.ranks.is_empty() {
            add(format!(".targets(&{:?})", self.ranks));
        }
        if let Some(chunk) = chunk {
            add(format!(".chunk({chunk})"));
        }
        match schedule {
            Schedule::Dynamic => {}
            other => add(format!(
                ".schedule(::regatta_cell::pool::Schedule::{other:?})"
            )),
        }
        if *retries > 0 {
            add(format!(".retries({retries})"));
        }
        if let Some(timeout) = timeout {
            add(format!(
                ".timeout(::std::time::Duration::from_nanos({}))",
                timeout.as_nanos()
            ));
        }
        if *quiet {
            add(".quiet()".to_owned());
        }
        if *items {
            add(".timed()".to_owned());
        }
        if *unordered && *collect {
            add(".unordered()".to_owned());
        }
        if *plan_only {
            add(".plan_only()".to_owned());
        }
        if let Some(seed) = seed {
            add(format!(".seed({seed})"));
        }
        if self.kind == PoolKind::Processes && !self.captures.is_empty() {
            let names: String = self
                .captures
                .iter()
                .map(|capture| {
                    let kind = types::shorten(&capture.kind);
                    format!("{}\u{1f}{kind}\u{1f}", capture.name)
                })
                .collect();
            add(format!(".names({names:?})"));
        }
        wish
    }

    /// The call itself.
    fn call(&self, code: Code) -> Code {
        let options = &self.request.options;
        let processes = self.kind == PoolKind::Processes;
        let method = match (processes, &self.request.combine) {
            (true, Some(_)) => "reduce_on_processes",
            (false, Some(_)) => "reduce_on_threads",
            (true, None) if options.background && options.collect => "try_start_on_processes",
            (true, None) if options.background => "start_on_processes",
            (true, None) if options.collect => "try_on_processes",
            (true, None) if options.unordered => "unordered_on_processes",
            (true, None) => "on_processes",
            (false, None) if options.collect => "try_on_threads",
            (false, None) => "on_threads",
        };
        let checks: String = self
            .captures
            .iter()
            .filter(|capture| processes && !capture.is_text())
            .map(|capture| format!("::regatta_cell::pool::travels(&{}); ", capture.name))
            .collect();
        let mut code = code.generated(&format!("{{ {checks}{}.{method}(", self.wish()));
        if processes {
            let lent: String = self
                .captures
                .iter()
                .map(|capture| format!("{},", capture.lent()))
                .collect();
            code = code.generated(&format!("({lent}), "));
        }
        code = self.inputs(code).generated(", ");
        code = if processes {
            self.maker(code)
        } else {
            code.user(&self.request.function, self.request.function_at)
        };
        if let Some((combine, at)) = &self.request.combine {
            code = code.generated(",\n").user(combine, *at);
        }
        code = code.generated(")");
        if self.request.combine.is_some() {
            code = code.generated(&format!(".expect({NOTHING_TO_REDUCE:?})"));
        }
        code.generated(" }")
    }

    fn inputs(&self, code: Code) -> Code {
        let options = &self.request.options;
        let plain = !options.items && options.take.is_none() && !self.collected;
        if plain {
            return code
                .generated("\n")
                .user(&self.request.inputs, self.request.inputs_at);
        }
        let mut code = code
            .generated("::std::iter::IntoIterator::into_iter(\n")
            .user(&self.request.inputs, self.request.inputs_at)
            .generated(")");
        if let Some(take) = options.take {
            code = code.generated(&format!(".take({take})"));
        }
        if options.items {
            code = code.generated(".inspect(|input| regatta_inputs.add(input))");
        }
        if self.collected {
            code = code.generated(".collect::<::std::vec::Vec<_>>()");
        }
        code
    }

    /// What makes the function in the other process, from the captured variables.
    fn maker(&self, code: Code) -> Code {
        let names: String = self
            .captures
            .iter()
            .map(|capture| format!("{},", capture.name))
            .collect();
        let kinds: String = self
            .captures
            .iter()
            .map(|capture| format!("{},", capture.owned()))
            .collect();
        let texts: String = self
            .captures
            .iter()
            .filter(|capture| capture.is_text())
            .map(|capture| {
                let name = &capture.name;
                format!("let {name}: &'static str = {name}.leak(); ")
            })
            .collect();
        let code = code.generated(&format!("move |({names}): ({kinds})| {{ {texts}"));
        let MapRequest {
            function,
            function_at,
            combine,
            ..
        } = self.request;
        match combine {
            None => code
                .generated(moving(function))
                .user(function, *function_at)
                .generated("}"),
            Some((combine, at)) => {
                // Each of the two owns what it captures.
                let copies: String = if self.captures.is_empty() {
                    String::new()
                } else {
                    let copies = self
                        .captures
                        .iter()
                        .map(|capture| format!("::std::clone::Clone::clone(&{}), ", capture.name));
                    format!("let ({names}) = ({}); ", copies.collect::<String>())
                };
                code.generated(&format!("({{ {copies}{}", moving(function)))
                    .user(function, *function_at)
                    .generated(&format!("}}, {}", moving(combine)))
                    .user(combine, *at)
                    .generated(") }")
            }
        }
    }
}

/// A closure owns what it captures, in the process where it is made.
fn moving(function: &str) -> &'static str {
    if function.trim_start().starts_with('|') {
        "move "
    } else {
        ""
    }
}
