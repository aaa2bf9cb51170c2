//! `Out` and `_`: what became of the values that cells have shown. The local engine keeps the last ones; when a
//! cell speaks of one, it becomes the variable `_3` of the session, with all that Rust says about variables.

use std::collections::BTreeMap;
use std::ops::Range;

use super::names::nameable;
use super::types::shorten;
use super::{Code, Failed, Session};
use crate::cell::{Mention, Shown, mentions, replaced, shown};
use crate::ids::CellId;
use crate::outcome::{Report, Sink};
use crate::wire::{KEPT_BYTES, KEPT_VALUES};

/// How many shown values are remembered, also those that were not kept.
const REMEMBERED: usize = 200;

/// Where the value of a cell is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// The engine has it under this number.
    Engine(u64),
    /// It is the session's variable `_N`.
    Variable,
    /// It is the value of an expression that names it, such as `x`.
    Place(String),
    /// Why it is not there.
    Gone(String),
}

/// A value that a cell has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Out {
    /// As Rust names it, with all paths.
    type_name: String,
    /// What it takes; `None` where that was not measured.
    pub bytes: Option<u64>,
    pub place: Whereabouts,
}

impl Out {
    /// Its type, without paths.
    pub fn kind(&self) -> String {
        shorten(&self.type_name)
    }
}

/// A value that the engine has kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptNote {
    pub number: u64,
    pub type_name: String,
    pub bytes: u64,
    pub dropped: Vec<u64>,
}

#[derive(Debug, Default)]
pub struct Outs {
    all: BTreeMap<u32, Out>,
}

/// A value's variable.
fn variable(cell: u32) -> String {
    format!("_{cell}")
}

/// Whether a variable is a value that a cell has shown; the user sees it as `Out[n]`.
pub(super) fn is_out(name: &str) -> bool {
    let digits = name.strip_prefix('_').unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

impl Outs {
    /// A cell has shown a value of this type, which is not kept so far.
    pub fn shown(&mut self, cell: CellId, type_name: &str) {
        let place = Whereabouts::Gone(why_not(type_name));
        self.insert(cell, type_name, None, place);
    }

    fn insert(&mut self, cell: CellId, type_name: &str, bytes: Option<u64>, place: Whereabouts) {
        let type_name = type_name.to_owned();
        self.all.insert(
            cell.0,
            Out {
                type_name,
                bytes,
                place,
            },
        );
        while self.all.len() > REMEMBERED {
            self.all.pop_first();
        }
    }

    /// The engine says what it did with the cell's value.
    pub fn kept(&mut self, cell: CellId, note: &KeptNote) {
        let (place, bytes) = (Whereabouts::Engine(note.number), Some(note.bytes));
        self.insert(cell, &note.type_name, bytes, place);
        let large = note.bytes > KEPT_BYTES;
        for out in self.all.values_mut() {
            if matches!(out.place, Whereabouts::Engine(number) if note.dropped.contains(&number)) {
                let limits = format!(
                    "the last {KEPT_VALUES} values are kept, of {} MB in all",
                    KEPT_BYTES >> 20
                );
                out.place = Whereabouts::Gone(if large {
                    format!("it was too large: {limits}")
                } else {
                    format!("newer values took its room: {limits}")
                });
            }
        }
    }

    /// What is known of the last value, to go back to.
    pub fn last(&self) -> Option<(u32, Out)> {
        let (cell, out) = self.all.last_key_value()?;
        Some((*cell, out.clone()))
    }

    /// Forgets what was shown since.
    pub fn restore(&mut self, last: Option<(u32, Out)>) {
        let since = last.as_ref().map_or(0, |(cell, _)| *cell + 1);
        self.all.split_off(&since);
        self.all.extend(last);
    }

    /// The cell has shown what an expression names.
    pub fn is_place(&mut self, cell: CellId, expression: &str) {
        if let Some(out) = self.all.get_mut(&cell.0) {
            out.place = Whereabouts::Place(expression.to_owned());
        }
    }

    /// The engine is gone and has taken its values and variables along.
    pub fn engine_gone(&mut self) {
        for out in self.all.values_mut() {
            if !matches!(out.place, Whereabouts::Gone(_)) {
                let why = "it went with the session's other variables";
                out.place = Whereabouts::Gone(why.to_owned());
            }
        }
    }

    /// These names mean another thing from now on.
    pub fn redefined(&mut self, names: &std::collections::BTreeSet<String>) {
        for out in self.all.values_mut() {
            let words = crate::cell::identifiers(&out.type_name);
            let concerned = names.iter().any(|name| words.contains(name));
            if concerned && matches!(out.place, Whereabouts::Engine(_) | Whereabouts::Variable) {
                out.place = Whereabouts::Gone("its type was redefined".to_owned());
            }
        }
    }

    /// After a cell: variables that are not there any more were moved.
    pub fn check_variables(&mut self, cell: CellId, has: impl Fn(&str) -> bool) {
        for (number, out) in &mut self.all {
            if out.place == Whereabouts::Variable && !has(&variable(*number)) {
                out.place = Whereabouts::Gone(format!("it was moved in In [{cell}]"));
            }
        }
    }

    /// The cell that a mention means, before the cell `now`.
    fn cell_of(&self, mention: Mention, now: CellId) -> Option<u32> {
        match mention {
            Mention::Cell(cell) => Some(cell),
            Mention::Last(back) => {
                let before = self.all.range(..now.0).rev();
                before.map(|(cell, _)| *cell).nth(back - 1)
            }
        }
    }
}

/// Why a value of this type is not kept.
fn why_not(type_name: &str) -> String {
    if type_name.is_empty() {
        return "its type shows itself, and only plain values are kept".to_owned();
    }
    let kind = shorten(type_name);
    if type_name.contains('{') {
        format!("the type {kind} has no name that a cell could write")
    } else if type_name.contains(['\'', '&', '*'])
        || type_name.contains("dyn ")
        || is_part(type_name)
    {
        format!("a value of the type {kind} may borrow from others")
    } else {
        "only values of plain expressions are kept".to_owned()
    }
}

/// Whether it is a type that values are only lent as.
fn is_part(type_name: &str) -> bool {
    type_name == "str" || type_name.starts_with('[') && !type_name.contains(';')
}

impl Session {
    /// Runs a cell's Rust: `_` and `Out[3]` in it mean earlier values, and its own value is kept.
    pub fn run_cell(&mut self, code: &str, line: usize, sink: &mut dyn Sink) -> Result<(), Failed> {
        let instead = self.outs_in(code, sink)?;
        let plain = Code::default().user_part(code, 0..code.len(), (line, 1), &instead);
        let cell = self.cell();
        // The call of a macro that makes items has no value.
        let made = self.made(code).apply(code);
        match shown(code).filter(|_| shown(&made).is_some()) {
            Some(Shown::Fresh(span)) => {
                let wrapped = keeping(code, span, line, &instead);
                match self.run_local(&wrapped, sink) {
                    // It can't be shown; without our text the reason is told better.
                    Err(failed) if cannot_be_kept(&failed) => self.run_local(&plain, sink),
                    ran => ran,
                }
            }
            Some(Shown::Place(span)) => {
                self.run_local(&plain, sink)?;
                let place = replaced(code, span, &instead);
                self.crew.outs.is_place(cell, &place);
                Ok(())
            }
            None => self.run_local(&plain, sink),
        }
    }

    /// Code in which variables stand for `_`, `_3` and `Out[3]`.
    pub fn with_outs(
        &mut self,
        text: &str,
        at: (usize, usize),
        code: Code,
        sink: &mut dyn Sink,
    ) -> Result<Code, Failed> {
        let instead = self.outs_in(text, sink)?;
        Ok(code.user_part(text, 0..text.len(), at, &instead))
    }

    /// The earlier values that code speaks of, and the expressions that stand for them. They become variables
    /// first.
    pub(super) fn outs_in(
        &mut self,
        code: &str,
        sink: &mut dyn Sink,
    ) -> Result<Vec<(Range<usize>, String)>, Failed> {
        let local = self.crew.namespaces.get(&self.crew.local);
        let variables = local
            .into_iter()
            .flat_map(|it| it.variables().keys().cloned());
        let variables: Vec<String> = variables.filter(|name| !is_out(name)).collect();
        let found = mentions(code, &variables);
        let mut texts = Vec::with_capacity(found.len());
        for (range, mention) in found {
            let written = code[range.clone()].to_owned();
            let text = self.variable_for(&written, mention, sink)?;
            texts.push((range, text));
        }
        Ok(texts)
    }

    /// An expression for an earlier value.
    fn variable_for(
        &mut self,
        written: &str,
        mention: Mention,
        sink: &mut dyn Sink,
    ) -> Result<String, Failed> {
        let Some(cell) = self.crew.outs.cell_of(mention, self.cell()) else {
            let what = format!("there is no value for `{written}` yet");
            return Err(Report::usage(what)
                .hint("`_` is the value that the last cell has shown; `%out` lists them")
                .into());
        };
        let Some(out) = self.crew.outs.all.get(&cell).cloned() else {
            let what = format!("In [{cell}] has shown no value for `{written}`");
            return Err(Report::usage(what)
                .hint("`%out` lists the values that cells have shown")
                .into());
        };
        match out.place {
            Whereabouts::Variable => Ok(variable(cell)),
            Whereabouts::Place(expression) => Ok(format!("({expression}).clone()")),
            Whereabouts::Gone(why) => Err(gone(written, cell, &why).into()),
            Whereabouts::Engine(number) => {
                self.take_out(cell, number, &out.type_name, sink)
                    .map_err(|failed| {
                        let why = failed.0.first().map_or("", |report| report.what.as_str());
                        let kind = shorten(&out.type_name);
                        gone(written, cell, &format!("no cell can name its type {kind}")).note(why)
                    })?;
                Ok(variable(cell))
            }
        }
    }

    /// Makes a kept value a variable.
    fn take_out(
        &mut self,
        cell: u32,
        number: u64,
        type_name: &str,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let kind = nameable(type_name);
        let name = variable(cell);
        let code = format!("let {name}: {kind} = regatta_cell::out::take::<{kind}>({number});\n");
        self.run_local(&Code::default().generated(&code), sink)?;
        if let Some(out) = self.crew.outs.all.get_mut(&cell) {
            out.place = Whereabouts::Variable;
        }
        Ok(())
    }

    /// The values that cells have shown, with the cells' numbers.
    pub fn outs(&self) -> impl Iterator<Item = (u32, &Out)> {
        self.crew.outs.all.iter().map(|(cell, out)| (*cell, out))
    }

    /// Drops a kept value, all of them when `None`; how many there were.
    pub fn drop_outs(&mut self, cell: Option<u32>, sink: &mut dyn Sink) -> Result<usize, Failed> {
        let wanted = |(number, _): &(&u32, &Out)| cell.is_none_or(|cell| cell == **number);
        let (mut numbers, mut variables, mut cells) = (Vec::new(), String::new(), Vec::new());
        for (cell, out) in self.crew.outs.all.iter().filter(wanted) {
            match out.place {
                Whereabouts::Engine(number) => numbers.push(number.to_string()),
                Whereabouts::Variable => {
                    variables.push_str(&format!("drop({});\n", variable(*cell)));
                }
                Whereabouts::Place(_) | Whereabouts::Gone(_) => continue,
            }
            cells.push(*cell);
        }
        if !numbers.is_empty() {
            variables.push_str(&format!(
                "regatta_cell::out::forget(&[{}]);\n",
                numbers.join(", ")
            ));
        }
        self.run_local(&Code::default().generated(&variables), sink)?;
        for cell in &cells {
            if let Some(out) = self.crew.outs.all.get_mut(cell) {
                out.place = Whereabouts::Gone("it was dropped by `%out --drop`".to_owned());
            }
        }
        Ok(cells.len())
    }
}

fn gone(written: &str, cell: u32, why: &str) -> Report {
    Report::usage(format!("`{written}` is not there: {why}")).hint(format!(
        "`let x = …` in a cell like In [{cell}] keeps a value under a name"
    ))
}

/// What stands around an expression whose value is shown and then kept.
pub(super) const KEPT: (&str, &str) = (
    "match (regatta_cell::out::begin(), (\n",
    ")) { (regatta_before, regatta_value) => { regatta_value.evcxr_display(); \
     regatta_cell::out::keep(regatta_before, regatta_value); } };\n",
);

/// Whether code was refused for what stands around it.
pub(super) fn cannot_be_kept(failed: &Failed) -> bool {
    failed.0.iter().any(is_ours)
}

fn is_ours(report: &Report) -> bool {
    let told = |text: &str| text.contains("evcxr_display") || text.contains("regatta_value");
    let labels = report.snippet.iter().flat_map(|snippet| &snippet.marks);
    // What never returns has no type that a variable could have.
    report.code.as_deref() == Some("E0282")
        || told(&report.what)
        || report.notes.iter().any(|note| told(note))
        || labels.into_iter().any(|mark| told(&mark.label))
}

/// The code with its last expression's value shown and then kept.
fn keeping(
    code: &str,
    span: Range<usize>,
    line: usize,
    instead: &[(Range<usize>, String)],
) -> Code {
    let mut wrapped = Code::default();
    if !code[..span.start].trim().is_empty() {
        wrapped = wrapped.user_part(code, 0..span.start, (line, 1), instead);
    }
    wrapped
        .generated(KEPT.0)
        .user_part(code, span, (line, 1), instead)
        .generated(KEPT.1)
}
