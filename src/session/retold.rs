//! Namespaces after the compiler's death: engines have kept the values, and the next compiler is told of them.

use std::fmt::Write as _;

use super::namespace::Namespace;
use super::{Failed, Session};
use crate::compiler::{CompileError, Compiled, Source, State};
use crate::outcome::{Event, Sink};

impl Session {
    /// The same namespace as the compiler that there is now knows it.
    pub(super) fn retold(
        &mut self,
        namespace: &Namespace,
        sink: &mut dyn Sink,
    ) -> Result<Namespace, Failed> {
        self.see_to_the_compiler(sink);
        if self.workshop.compiler.knows(&namespace.state) {
            return Ok(namespace.clone());
        }
        let mut told = self.workshop.retellings.iter();
        let told =
            told.find(|(old, new)| old.is(&namespace.state) && self.workshop.compiler.knows(new));
        if let Some((_, state)) = told {
            return Ok(Namespace {
                state: state.clone(),
                seen: namespace.seen,
            });
        }
        let state = self.retell(namespace, sink)?;
        self.workshop
            .retellings
            .push((namespace.state.clone(), state.clone()));
        Ok(Namespace {
            state,
            seen: namespace.seen,
        })
    }

    /// Starts another compiler in the place of one that has died.
    pub(super) fn see_to_the_compiler(&mut self, sink: &mut dyn Sink) {
        if !self.workshop.compiler.has_died() {
            return;
        }
        let how = self.workshop.compiler.start_again();
        self.workshop.root = None;
        self.workshop.retellings.clear();
        sink.send(Event::Notice(format!(
            "the compiler's process has died{how}; it is started again, and variables and definitions stay"
        )));
    }

    fn retell(&mut self, namespace: &Namespace, sink: &mut dyn Sink) -> Result<State, Failed> {
        let root = self.warm_root(sink)?.state;
        let variables = namespace.variables().clone();
        let definitions = self.workshop.definitions.until(namespace.seen);
        if variables.is_empty() && definitions.is_empty() {
            return Ok(root);
        }
        let all: Vec<(&String, &String)> = variables.iter().collect();
        if let Ok(all) = self.declare(&definitions, &all, &root, sink) {
            return Ok(all.after);
        }
        // One by one: those that can't be declared are named.
        let mut state = self.declare(&definitions, &[], &root, sink);
        let mut lost = Vec::new();
        for variable in all {
            let Ok(before) = &state else { break };
            match self.declare("", &[variable], &before.after, sink) {
                Ok(after) => state = Ok(after),
                Err(_) => lost.push(variable.0.as_str()),
            }
        }
        if !lost.is_empty() {
            sink.send(Event::Notice(format!(
                "the new compiler cannot be told of {}: cells no longer know of it",
                lost.join(", ")
            )));
        }
        state.map(|state| state.after).map_err(|error| {
            let code = super::Code::default();
            super::explain::compile_error(error, &code, self.cell(), "", &variables)
        })
    }

    /// A state with these variables, of which nothing is run: engines have their values.
    fn declare(
        &mut self,
        definitions: &str,
        variables: &[(&String, &String)],
        state: &State,
        sink: &mut dyn Sink,
    ) -> Result<Compiled, CompileError> {
        let mut code = String::new();
        for (name, kind) in variables {
            // Writing to a string succeeds.
            let _ = writeln!(code, "let mut {name}: {kind} = ::core::unreachable!();");
        }
        let source = Source {
            prefix: definitions.to_owned(),
            code,
            changes: self.workshop.definitions.changes_with(&[]),
        };
        let pending = self.workshop.compiler.compile(source, state);
        self.await_compiler(pending, "telling the compiler of variables", sink)
    }
}
