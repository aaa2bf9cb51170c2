//! `%memo`: functions whose results are kept.

use std::ops::Range;

use super::crew::Hold;
use super::{Code, Done, Failed, MemoRow, Session};
use crate::cell::{Called, called, is_variable_name};
use crate::ids::CellId;
use crate::outcome::{Changed, ErrorKind, MemoExplained, Report, Sink};
use crate::vocabulary::nearest;

/// What keeps a value under a name.
const CACHED: [&str; 2] = ["memo::cached", "regatta_cell::memo::cached"];

impl Session {
    /// Defines functions of these names, whose results are kept.
    pub fn define_memo(&mut self, code: &Code, names: Vec<String>, sink: &mut dyn Sink) -> Done {
        self.run_local(code, sink)?;
        self.crew.memos.defined(names);
        Ok(())
    }

    /// The functions of this session whose results are kept, by name, and those that only other sessions have called.
    pub fn memos(&mut self, sink: &mut dyn Sink) -> Result<(Vec<MemoRow>, Vec<MemoRow>), Failed> {
        self.crew.memo_rows(sink)
    }

    pub fn memo_names(&self) -> impl Iterator<Item = &str> {
        self.crew.memos.names()
    }

    /// Drops the results that functions have kept; the rows as they were.
    pub fn clear_memo(
        &mut self,
        which: &Kept,
        sink: &mut dyn Sink,
    ) -> Result<Vec<MemoRow>, Failed> {
        let (mut rows, others) = self.memos(sink)?;
        match which {
            Kept::Session => {}
            Kept::All => rows.extend(others),
            Kept::Of(name) => {
                rows.extend(others);
                if !rows.iter().any(|row| row.function == *name) {
                    let known = nearest(name, rows.iter().map(|row| row.function.as_str()));
                    return Err(unknown(name, known, "%memo --all").into());
                }
                rows.retain(|row| row.function == *name);
            }
        }
        let names: Vec<String> = rows.iter().map(|row| row.function.clone()).collect();
        self.crew.memos.clear(&names);
        let all = matches!(which, Kept::All);
        self.crew.hub().clear_memo((!all).then_some(names));
        Ok(rows)
    }

    /// Why the result of a call is kept or not; its arguments are evaluated, and it does not run. `at` is where the text
    /// stands in the cell.
    pub fn explain_memo(
        &mut self,
        text: &str,
        at: (usize, usize),
        sink: &mut dyn Sink,
    ) -> Done<MemoExplained> {
        let text = text.trim_end().trim_end_matches(';').trim_end();
        let call = called(text).ok_or_else(|| self.no_call(text))?;
        let name = match CACHED.contains(&call.path.as_str()) {
            true => None,
            false => Some(call.path.trim_start_matches("r#")),
        };
        if let Some(name) = name {
            self.keeps_results(name)?;
        }
        let outs = self.outs_in(text, sink)?;
        let code = asking(text, at, &call, name, &self.spared(text, &call, &outs));
        let mut ran = self.explained_by(&code, sink);
        if let Err(Failed(reports)) = &ran
            && reports
                .iter()
                .any(|report| report.kind == ErrorKind::Compile)
        {
            // As it is written; what is wrong with it is told of that.
            let head = format!("regatta_cell::memo::explain({name:?}, || {{\n");
            let code = Code::default().generated(&head);
            let code = code.user_part(text, 0..text.len(), at, &outs);
            ran = self.explained_by(&code.generated("});\n"), sink);
        }
        let mut explained = ran?;
        if let Some(name) = name {
            let text = self.workshop.definitions().text(name);
            explained.good_only = text.is_some_and(|text| text.contains(".keep_good("));
        }
        self.note_cells(&mut explained);
        Ok(explained)
    }

    fn explained_by(&mut self, code: &Code, sink: &mut dyn Sink) -> Done<MemoExplained> {
        let (produced, ran) = self.run(code, Vec::new(), Hold::default(), sink);
        ran?;
        let explained = produced.sent.first().and_then(|payload| {
            let bytes = payload.copied();
            payload.release();
            postcard::from_bytes(&bytes).ok()
        });
        explained.ok_or_else(|| {
            let what = "the call has ended before it came to a function that keeps results";
            Report::new(ErrorKind::Error, what).into()
        })
    }

    /// Something else than a call.
    fn no_call(&self, text: &str) -> Report {
        let name = text.trim_matches('"');
        let known = self.memo_names().find(|known| *known == name);
        let example = known.or_else(|| self.memo_names().next());
        let example = example.unwrap_or("slow");
        let report = match text.is_empty() {
            true => Report::usage("%memo explain needs a call"),
            false => Report::usage(format!("%memo explain: `{text}` is no call of a function")),
        };
        report.hint(match known.filter(|_| !self.is_function(name)) {
            Some(name) => {
                format!(
                    "`%memo explain memo::cached(\"{name}\", &KEY, || VALUE)`, as it is written"
                )
            }
            None => format!("such as `%memo explain {example}(…)`, with its arguments"),
        })
    }

    fn is_function(&self, name: &str) -> bool {
        self.workshop.definitions().text(name).is_some()
    }

    fn keeps_results(&self, name: &str) -> Result<(), Report> {
        let definitions = self.workshop.definitions();
        let keeps = |name: &str| {
            let text = definitions.text(name);
            text.is_some_and(|text| text.contains(crate::compiler::MEMO_TABLE))
        };
        if keeps(name) {
            return Ok(());
        }
        if self.is_function(name) {
            let report = Report::usage(format!("`{name}` keeps no results"));
            return Err(report.hint("`%%memo` above its definition makes it one that does"));
        }
        let known = self.memo_names().filter(|name| keeps(name));
        Err(unknown(name, nearest(name, known), "%memo"))
    }

    /// What stands for some expressions: for a variable that is an argument, a copy, since the call would consume it.
    fn spared(
        &self,
        text: &str,
        call: &Called,
        outs: &[(Range<usize>, String)],
    ) -> Vec<(Range<usize>, String)> {
        let local = self.crew.namespace(self.crew.local());
        let is_variable = |name: &str| {
            let mut all = local.iter().flat_map(|it| it.variables().keys());
            is_variable_name(name) && all.any(|known| known == name)
        };
        let arguments = call.arguments.iter().map(|one| one.range.clone());
        let variables = arguments.filter(|range| is_variable(&text[range.clone()]));
        let copy = |range: Range<usize>| {
            let copy = format!("::std::clone::Clone::clone(&{})", &text[range.clone()]);
            (range, copy)
        };
        let mut all: Vec<_> = outs.iter().cloned().chain(variables.map(copy)).collect();
        all.sort_by_key(|(range, _)| range.start);
        all
    }

    /// Names the cells of this session that have changed something.
    fn note_cells(&self, explained: &mut MemoExplained) {
        let crate::outcome::MemoWhy::Changed { changes, .. } = &mut explained.why else {
            return;
        };
        for change in changes {
            change.cell = match &change.what {
                Changed::Body { .. } => self.changed_in(&explained.function),
                Changed::Item { name, .. } | Changed::Added { name } => self.changed_in(name),
                Changed::Gone { .. } | Changed::Crate { .. } | Changed::Rustc { .. } => None,
            };
        }
    }

    fn changed_in(&self, name: &str) -> Option<CellId> {
        self.workshop.definitions().changed_in(name)
    }
}

/// No function of this name keeps results; `listed` by are those that do.
fn unknown(name: &str, known: Option<&str>, listed: &str) -> Report {
    let report = Report::usage(format!("no function `{name}` keeps results"));
    report.hint(match known {
        Some(known) => format!("did you mean {known}?"),
        None => format!("`{listed}` lists the functions that do"),
    })
}

/// The code that has a call explained.
fn asking(
    text: &str,
    at: (usize, usize),
    call: &Called,
    name: Option<&str>,
    instead: &[(Range<usize>, String)],
) -> Code {
    let explain = format!("regatta_cell::memo::explain({name:?}, || {{\n");
    let Some(name) = name.filter(|_| call.arguments.iter().any(|one| !one.is_plain)) else {
        let code = Code::default().generated(&explain);
        let code = code.user_part(text, 0..text.len(), at, instead);
        return code.generated("});\n");
    };
    // What the arguments call is no matter of this call: they may call the same function.
    let mut code = Code::default().generated("match (\n");
    for one in &call.arguments {
        code = code.user_part(text, one.range.clone(), at, instead);
        code = code.generated(",");
    }
    let names: Vec<String> = (0..call.arguments.len())
        .map(|n| format!("regatta_{n}"))
        .collect();
    let names = names.join(", ");
    code.generated(&format!(
        ") {{ ({names},) => {{ {explain} {name}({names}) }}); }} }}\n"
    ))
}

/// Functions that keep their results.
pub enum Kept {
    /// Those that this session has defined or called.
    Session,
    /// Those of all sessions.
    All,
    Of(String),
}
