//! Namespaces after the compiler's death: engines have kept the values, and the next compiler is told of them.

use std::fmt::Write as _;
use std::time::Instant;

use super::Workshop;
use super::waiting::Meanwhile;
use crate::compiler::{CompileError, Compiled, Source, State};
use crate::outcome::Notice;
use crate::session::namespace::Namespace;
use crate::session::{Code, Failed, explain};

impl Workshop {
    /// The same namespace as the compiler that there is now knows it.
    pub fn retold(
        &mut self,
        namespace: &Namespace,
        meanwhile: &mut Meanwhile<'_>,
    ) -> Result<Namespace, Failed> {
        self.see_to_the_compiler(meanwhile);
        if self.compiler.knows(&namespace.state) {
            return Ok(namespace.clone());
        }
        let mut told = self.retellings.iter();
        let told = told.find(|(old, new)| old.is(&namespace.state) && self.compiler.knows(new));
        if let Some((_, state)) = told {
            return Ok(Namespace {
                state: state.clone(),
                seen: namespace.seen,
            });
        }
        let state = self.retell(namespace, meanwhile)?;
        self.retellings
            .push((namespace.state.clone(), state.clone()));
        Ok(Namespace {
            state,
            seen: namespace.seen,
        })
    }

    /// Starts another compiler in the place of one that has died.
    pub fn see_to_the_compiler(&mut self, meanwhile: &mut Meanwhile<'_>) {
        if !self.compiler.has_died() {
            return;
        }
        let how = self.compiler.start_again();
        self.root = None;
        self.retellings.clear();
        meanwhile.notice(Notice::CompilerDied { how });
    }

    /// The variables and definitions of an engine that has run nothing, once the compiler is warm.
    pub fn warm_root(&mut self, meanwhile: &mut Meanwhile<'_>) -> Result<Namespace, Failed> {
        if let Some(root) = &self.root {
            return Ok(root.clone());
        }
        self.see_to_the_compiler(meanwhile);
        self.compiler.building().restart();
        let since = Instant::now();
        let state = meanwhile.warm(&self.compiler, since)?;
        let root = Namespace { state, seen: 0 };
        self.root = Some(root.clone());
        self.spent += since.elapsed();
        Ok(root)
    }

    fn retell(
        &mut self,
        namespace: &Namespace,
        meanwhile: &mut Meanwhile<'_>,
    ) -> Result<State, Failed> {
        let root = self.warm_root(meanwhile)?.state;
        let variables = namespace.variables().clone();
        let definitions = self.definitions.until(namespace.seen);
        if variables.is_empty() && definitions.is_empty() {
            return Ok(root);
        }
        let all: Vec<(&String, &String)> = variables.iter().collect();
        if let Ok(all) = self.declare(&definitions, &all, &root, meanwhile) {
            return Ok(all.after);
        }
        // One by one: those that can't be declared are named.
        let mut state = self.declare(&definitions, &[], &root, meanwhile);
        let mut lost = Vec::new();
        for variable in all {
            let Ok(before) = &state else { break };
            match self.declare("", &[variable], &before.after, meanwhile) {
                Ok(after) => state = Ok(after),
                Err(_) => lost.push(variable.0.clone()),
            }
        }
        if !lost.is_empty() {
            meanwhile.notice(Notice::CompilerLacks { names: lost });
        }
        state.map(|state| state.after).map_err(|error| {
            let (code, cell) = (Code::default(), meanwhile.cell.cell);
            explain::compile_error(error, &code, cell, "", &variables)
        })
    }

    /// A state with these variables, of which nothing is run: engines have their values.
    fn declare(
        &mut self,
        definitions: &str,
        variables: &[(&String, &String)],
        state: &State,
        meanwhile: &mut Meanwhile<'_>,
    ) -> Result<Compiled, CompileError> {
        let mut code = String::new();
        for (name, kind) in variables {
            // Writing to a string succeeds.
            let _ = writeln!(code, "let mut {name}: {kind} = ::core::unreachable!();");
        }
        let source = Source {
            prefix: definitions.to_owned(),
            code,
            changes: self.definitions.changes_with(&[]),
        };
        let pending = self.compiler.compile(source, state);
        meanwhile.answered(pending, "telling the compiler of variables", &self.compiler)
    }
}
