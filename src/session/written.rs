//! A map on its way to become code: the call of the cell crate that it is written out as.

use std::borrow::Cow;

use regatta_cell::options::MapOptions;

use super::map::MapRequest;
use super::outs::KEPT;
use super::{Code, types};
use crate::cell::{
    Binding, Inputs, Parameters, closure_parameters, inputs, is_variable_name, position,
};
use crate::outcome::{ErrorKind, PoolKind, Report};
use crate::pool::Payload;

/// Captured variables that stand in one tuple.
const TOGETHER: usize = 8;

/// A captured session variable with its type.
#[derive(Clone, Debug)]
pub(super) struct Capture {
    pub name: String,
    pub kind: String,
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

/// A map on its way to become code. Of its options the code has those alone that change its types; how it is to
/// run travels beside it.
#[derive(Clone)]
pub(super) struct Written<'a> {
    pub request: &'a MapRequest,
    pub kind: PoolKind,
    pub ranks: Vec<u32>,
    /// Its options' place among the data of the cell, as code.
    pub place: Cow<'a, str>,
    pub captures: Vec<Capture>,
    /// Variables that the engines have.
    pub residents: Vec<Capture>,
    /// The variable of a job in the background.
    pub job: &'a str,
    /// The inputs are collected first.
    pub collected: bool,
    /// Inputs that are a variable stay there.
    pub cloned: bool,
    /// The inputs are tuples of so many arguments.
    pub unpacked: Option<usize>,
    /// A name of the user's is `grid`.
    pub own_grid: bool,
    /// Results that no variable takes are kept for `_`.
    pub kept: bool,
}

impl Written<'_> {
    pub fn code(&self) -> Code {
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
        let (open, close) = match bind {
            Some(_) => (open.as_str(), "};\n"),
            None if self.kept => KEPT,
            None => ("", "}\n"),
        };
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
        if self.request.combine.is_none() {
            code = code
                .generated("{ use ::regatta_cell::magic::{NoteDebug as _, NoteNothing as _}; ")
                .generated("(&::regatta_cell::magic::Results(&regatta_results)).note(); } ");
        }
        let code = code.generated("regatta_results ");
        let code = if bind.is_none() && self.kept {
            code.generated("}")
        } else {
            code
        };
        code.generated(close)
    }

    /// How it is to run, as the cell is given it.
    pub fn options(&self) -> Result<Payload, Report> {
        let options = &self.request.options;
        let words: Vec<&str> = self.request.function.split_whitespace().collect();
        let travelling = |one: &&Capture| (one.name.clone(), types::shorten(&one.kind));
        let captures = self.captures.iter().filter(|_| self.processes());
        let options = MapOptions {
            function: if options.quiet {
                String::new()
            } else {
                words.join(" ")
            },
            ranks: self.ranks.clone(),
            captures: captures.map(|one| travelling(&one)).collect(),
            ..options.clone()
        };
        Payload::of(options.to_bytes()).map_err(|error| {
            let what = format!("no memory for the options of the map: {error}");
            Report::new(ErrorKind::System, what)
        })
    }

    fn processes(&self) -> bool {
        self.kind == PoolKind::Processes
    }

    /// Where the code finds it.
    pub fn asked(&self) -> String {
        format!("::regatta_cell::magic::asked({})", self.place)
    }

    /// The call itself.
    pub fn call(&self, code: Code) -> Code {
        let options = &self.request.options;
        let processes = self.processes();
        let method = match (processes, &self.request.combine) {
            (true, _) if self.request.is_one_call => "submit_on_processes",
            (false, _) if self.request.is_one_call && !self.ranks.is_empty() => "each_on_threads",
            (false, _) if self.request.is_one_call => "submit_on_threads",
            (true, Some(_)) => "reduce_on_processes",
            (false, Some(_)) => "reduce_on_threads",
            (true, None) if options.background && options.collect => "try_start_on_processes",
            (true, None) if options.background => "start_on_processes",
            (true, None) if options.collect => "try_on_processes",
            (true, None) => "on_processes",
            (false, None) if options.background && options.collect => "try_start_on_threads",
            (false, None) if options.background => "start_on_threads",
            (false, None) if options.collect => "try_on_threads",
            (false, None) => "on_threads",
        };
        let checks: String = self
            .captures
            .iter()
            .filter(|capture| processes && !capture.is_text())
            .map(|capture| format!("::regatta_cell::pool::travels(&{}); ", capture.name))
            .collect();
        let reduces = self.request.combine.is_some();
        let reduced = if reduces {
            "::regatta_cell::magic::reduced("
        } else {
            ""
        };
        let mut code = code.generated(&format!("{{ {checks}{reduced}{}.{method}(", self.asked()));
        code.collects |= options.collect && !options.background;
        if processes {
            let lent = self.captures.iter().map(Capture::lent).collect::<Vec<_>>();
            let lent = nested(&lent, "::regatta_cell::magic::Both");
            code = code.generated(&format!("{lent}, "));
        }
        if !self.request.is_one_call {
            code = self.inputs(code).generated(", ");
        }
        code = if processes {
            self.maker(code)
        } else if options.background {
            self.owner(code)
        } else {
            self.function(code, "")
        };
        if let Some((combine, at)) = &self.request.combine {
            code = code.generated(",\n").user(combine, *at);
        }
        code.generated(if reduces { ")) }" } else { ") }" })
    }

    pub fn inputs(&self, code: Code) -> Code {
        let options = &self.request.options;
        let plain = !options.items && !self.collected;
        if plain {
            return self.iterable(code.generated("\n"));
        }
        let mut code = self
            .iterable(code.generated("::std::iter::IntoIterator::into_iter(\n"))
            .generated(")");
        if options.items {
            code = code.generated(".inspect(|input| regatta_inputs.add(input))");
        }
        if self.collected {
            code = code.generated(".collect::<::std::vec::Vec<_>>()");
        }
        code
    }

    /// What is mapped over.
    fn iterable(&self, code: Code) -> Code {
        let MapRequest {
            inputs: text,
            inputs_at: at,
            ..
        } = self.request;
        let (function, parts) = match inputs(text) {
            Inputs::Beside(parts) => ("zip", parts),
            Inputs::Crossed(parts) if !self.own_grid => ("grid", parts),
            // A comma may end a list.
            _ => {
                let code = code.user(text.trim_end().trim_end_matches(','), *at);
                // A plan takes nothing.
                let kept = self.request.options.plan_only || self.cloned;
                let kept = kept && is_variable_name(text.trim());
                return if kept {
                    code.generated(".clone()")
                } else {
                    code
                };
            }
        };
        let code = code.generated(&format!("::regatta_cell::pool::{function}(("));
        let part = |code: Code, part: std::ops::Range<usize>| {
            let place = position(&text[..part.start], *at);
            code.user(&text[part], place).generated(", ")
        };
        parts.into_iter().fold(code, part).generated("))")
    }

    /// The function, with tuples taken apart for one of several arguments. `moving`: what stands in front of a
    /// closure that owns what it captures.
    pub fn function(&self, code: Code, moving: &str) -> Code {
        let MapRequest {
            function: text,
            function_at: at,
            ..
        } = self.request;
        let parameters = closure_parameters(text);
        let user = |code: Code, range: std::ops::Range<usize>| {
            let place = position(&text[..range.start], *at);
            code.user(&text[range], place)
        };
        let body = |code: Code, parameters: &Parameters, from: usize| {
            if self.residents.is_empty() {
                return user(code, from..text.len());
            }
            let code = user(code, from..parameters.body.start)
                .generated(&format!(" {{ {}\n", self.used_residents()));
            user(code, parameters.body.start..text.len()).generated(" }")
        };
        let Some(arguments) = self.unpacked else {
            return match parameters {
                Some(parameters) if text.trim_start().starts_with('|') => {
                    body(code.generated(moving), &parameters, 0)
                }
                Some(parameters) => body(code, &parameters, 0),
                None => user(code, 0..text.len()),
            };
        };
        let Some(parameters) = parameters else {
            let names: String = (0..arguments).map(|n| format!("regatta_{n}, ")).collect();
            return code
                .generated(&format!("{moving}|({names})| (\n"))
                .user(text, *at)
                .generated(&format!(")({names})"));
        };
        let mut code = code.generated(moving).generated("|(");
        for (pattern, _) in &parameters.each {
            code = user(code, pattern.clone()).generated(", ");
        }
        code = code.generated("): (");
        for (_, kind) in &parameters.each {
            code = match kind {
                Some(kind) => user(code, kind.clone()),
                None => code.generated("_"),
            }
            .generated(", ");
        }
        body(code.generated(")|\n"), &parameters, parameters.bars.end)
    }

    /// The engines' variables as the user's code sees them.
    fn used_residents(&self) -> String {
        if self.residents.is_empty() {
            return String::new();
        }
        let each = self
            .residents
            .iter()
            .map(|Capture { name, .. }| format!("let {name} = (&{name}.used()).value(); "));
        let each: String = each.collect();
        format!("use ::regatta_cell::magic::{{Borrowed as _, Copied as _}}; {each}")
    }

    /// The function with copies of the captured variables, which outlive the cell.
    fn owner(&self, code: Code) -> Code {
        let copied = |Capture { name, .. }: &Capture| {
            format!("let {name} = ::regatta_cell::magic::copied(&{name}); ")
        };
        let copies: String = self.captures.iter().map(copied).collect();
        let code = code.generated(&format!("{{ {copies}"));
        let code = if self.request.is_one_call {
            self.one_call(code)
        } else {
            self.function(code, "move ")
        };
        code.generated("}")
    }

    /// What makes the function in the other process, from the captured variables.
    fn maker(&self, code: Code) -> Code {
        let names: Vec<String> = self.captures.iter().map(|one| one.name.clone()).collect();
        let kinds: Vec<String> = self
            .captures
            .iter()
            .map(|one| one.owned().to_owned())
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
        let residents: String = self
            .residents
            .iter()
            .map(|Capture { name, kind }| {
                format!("let {name} = ::regatta_cell::magic::Resident::<{kind}>::new({name:?}); ")
            })
            .collect();
        let code = code.generated(&format!(
            "move |{}: {}| {{ {texts}{residents}",
            nested(&names, ""),
            nested(&kinds, "")
        ));
        match &self.request.combine {
            None if self.request.is_one_call => self.one_call(code).generated("}"),
            None => self.function(code, "move ").generated("}"),
            Some((combine, at)) => {
                // Each of the two owns what it captures.
                let copies: String = if self.captures.is_empty() {
                    String::new()
                } else {
                    let copies = self
                        .captures
                        .iter()
                        .map(|capture| format!("::std::clone::Clone::clone(&{}), ", capture.name));
                    let names = names.join(", ");
                    format!("let ({names},) = ({}); ", copies.collect::<String>())
                };
                self.function(code.generated(&format!("({{ {copies}")), "move ")
                    .generated(&format!("}}, {}", moving(combine)))
                    .user(combine, *at)
                    .generated(") }")
            }
        }
    }

    /// What a submitted expression, or a closure without parameters, is called as.
    fn one_call(&self, code: Code) -> Code {
        let MapRequest {
            function: text,
            function_at: at,
            ..
        } = self.request;
        let is_closure = closure_parameters(text).is_some_and(|found| found.each.is_empty());
        if is_closure {
            return self.function(code, "move ");
        }
        code.generated(&format!("move || {{ {}\n", self.used_residents()))
            .user(text, *at)
            .generated("}")
    }
}

/// A tuple, or a pair of one and the rest where it would have too many parts.
fn nested(parts: &[String], pair: &str) -> String {
    let (first, rest) = parts.split_at(parts.len().min(TOGETHER));
    let tuple: String = first.iter().map(|part| format!("{part},")).collect();
    match rest {
        [] => format!("({tuple})"),
        rest => format!("{pair}(({tuple}), {})", nested(rest, pair)),
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

#[cfg(test)]
mod tests {
    use super::nested;

    #[test]
    fn many_variables_stand_in_pairs() {
        let parts = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
        assert_eq!(nested(&parts(0), "P"), "()");
        assert_eq!(nested(&parts(2), "P"), "(0,1,)");
        assert_eq!(nested(&parts(9), "P"), "P((0,1,2,3,4,5,6,7,), (8,))");
        assert_eq!(nested(&parts(17), "").matches("((").count(), 2);
    }
}
