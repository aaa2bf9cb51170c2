//! `Out` and `_`: when a cell speaks of a value that an earlier one has shown, it becomes the variable `_3` of the
//! session, with all that Rust says about variables.

use std::ops::Range;

use super::crew::{Out, Whereabouts, is_out, variable};
use super::names::nameable;
use super::types::shorten;
use super::{Code, Failed, Session, explain};
use crate::cell::{Mention, Shown, mentions, replaced, shown};
use crate::outcome::{Cause, CodeCause, NotKept, Notice, Report, Sink};

impl Session {
    /// Runs a cell's Rust: `_` and `Out[3]` in it mean earlier values, and its own value is kept.
    pub fn run_cell(&mut self, code: &str, line: usize, sink: &mut dyn Sink) -> Result<(), Failed> {
        let instead = self.outs_in(code, sink)?;
        let plain = Code::default().user_part(code, 0..code.len(), (line, 1), &instead);
        let cell = self.cell();
        // The call of a macro that makes items has no value.
        let made = self.workshop.made(code).apply(code);
        match shown(code).filter(|_| shown(&made).is_some()) {
            Some(Shown::Fresh(span)) => {
                let wrapped = keeping(code, span, line, &instead);
                match self.run_local(&wrapped, sink) {
                    // It can't be shown; without our text the reason is told better.
                    Err(failed) if cannot_be_kept(&failed) => self.run_local(&plain, sink),
                    ran => {
                        self.tell_released(sink);
                        ran
                    }
                }
            }
            Some(Shown::Place(span)) => {
                self.run_local(&plain, sink)?;
                let place = replaced(code, span, &instead);
                self.crew.outs.moves_to(cell.0, Whereabouts::Place(place));
                Ok(())
            }
            None => self.run_local(&plain, sink),
        }
    }

    /// Says that the cell has let go what it has just got.
    fn tell_released(&self, sink: &mut dyn Sink) {
        let released = Whereabouts::Gone(NotKept::Released);
        let out = self.crew.outs.get(self.cell().0);
        if out.is_some_and(|out| out.place == released) {
            self.notice(Notice::Released, sink);
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
        let local = self.crew.namespace(self.crew.local());
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
        let Some(out) = self.crew.outs.get(cell).cloned() else {
            let what = format!("In [{cell}] has shown no value for `{written}`");
            return Err(Report::usage(what)
                .hint("`%out` lists the values that cells have shown")
                .into());
        };
        match out.place {
            Whereabouts::Variable => Ok(variable(cell)),
            Whereabouts::Place(expression) => Ok(format!("({expression}).clone()")),
            Whereabouts::Gone(why) => Err(gone(written, cell, &why.to_string()).into()),
            Whereabouts::Engine(number) => {
                self.take_out(cell, number, &out.type_name, sink)
                    .map_err(|failed| {
                        let why = failed.0.first().map_or_else(String::new, Report::to_string);
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
        self.crew.outs.moves_to(cell, Whereabouts::Variable);
        Ok(())
    }

    /// The values that cells have shown, with the cells' numbers.
    pub fn outs(&self) -> impl Iterator<Item = (u32, &Out)> {
        self.crew.outs.iter()
    }

    /// Drops a kept value, all of them when `None`; how many there were.
    pub fn drop_outs(&mut self, cell: Option<u32>, sink: &mut dyn Sink) -> Result<usize, Failed> {
        let wanted = |(number, _): &(u32, &Out)| cell.is_none_or(|cell| cell == *number);
        let (mut numbers, mut variables, mut cells) = (Vec::new(), String::new(), Vec::new());
        for (cell, out) in self.crew.outs.iter().filter(wanted) {
            match out.place {
                Whereabouts::Engine(number) => numbers.push(number.to_string()),
                Whereabouts::Variable => {
                    variables.push_str(&format!("drop({});\n", variable(cell)));
                }
                Whereabouts::Place(_) | Whereabouts::Gone(_) => continue,
            }
            cells.push(cell);
        }
        if !numbers.is_empty() {
            variables.push_str(&format!(
                "regatta_cell::out::forget(&[{}]);\n",
                numbers.join(", ")
            ));
        }
        self.run_local(&Code::default().generated(&variables), sink)?;
        for cell in &cells {
            let dropped = Whereabouts::Gone(NotKept::Dropped);
            self.crew.outs.moves_to(*cell, dropped);
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
    "match (regatta_cell::out::begin(), \n",
    ") { (regatta_before, regatta_value) => { regatta_value.evcxr_display(); \
     regatta_cell::out::keep(regatta_before, regatta_value); } };\n",
);

/// Whether code was refused for what stands around it.
pub(super) fn cannot_be_kept(failed: &Failed) -> bool {
    // What never returns has no type that a variable could have; of which part of a type has no `Debug`, rustc
    // speaks where nothing is kept.
    let around = |report: &Report| {
        let around = matches!(report.cause, Cause::Code(CodeCause::Around(_)));
        around || explain::no_debug(report).is_some() || report.code.as_deref() == Some("E0282")
    };
    failed.0.iter().any(around)
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
