//! Compiling a piece of code in a namespace: waited for, found in the cache, or interrupted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use super::Workshop;
use super::blocks::carriers;
use super::cache::Key;
use super::waiting::Meanwhile;
use crate::cell::{
    Edits, boxed_closure, lifted, made_items, memoised, nests_too_deeply, split_items,
    with_pointers, with_semicolon,
};
use crate::compiler::analysis::expanded;
use crate::compiler::{Artifact, CompileError, Source};
use crate::outcome::{Note, Report};
use crate::session::namespace::Namespace;
use crate::session::{Code, Failed, explain};
use crate::wire::places::Place;

/// A compiled piece: what to run, and the namespaces before and after it.
pub struct Ready {
    pub artifact: Arc<Artifact>,
    /// Without `lost`.
    pub before: Namespace,
    /// Variables whose types the piece, or one that the namespace had not seen, has redefined.
    pub lost: Vec<String>,
    pub after: Namespace,
    /// Names that mean another thing with it.
    pub redefined: BTreeSet<String>,
}

impl Workshop {
    /// A namespace without these variables.
    pub fn forget(
        &mut self,
        namespace: &Namespace,
        names: Vec<String>,
        meanwhile: &mut Meanwhile<'_>,
    ) -> Result<Namespace, Failed> {
        let namespace = &self.retold(namespace, meanwhile)?;
        let pending = self.compiler.forget(names, &namespace.state);
        let compiled = meanwhile.finished(pending, &self.compiler);
        let compiled = compiled.map_err(|error| {
            let (code, cell) = (Code::default(), meanwhile.cell.cell);
            explain::compile_error(error, &code, cell, "", namespace.variables())
        })?;
        Ok(Namespace {
            state: compiled.after,
            seen: namespace.seen,
        })
    }

    /// Compiles code in a namespace, or finds it compiled. What the code lacks and can only mean is supplied.
    pub fn compile(
        &mut self,
        code: &Code,
        namespace: &Namespace,
        meanwhile: &mut Meanwhile<'_>,
    ) -> Result<Ready, Failed> {
        if nests_too_deeply(&code.text) {
            return Err(explain::too_deep().into());
        }
        let text = with_semicolon(&code.text);
        let names: Vec<String> = namespace.variables().keys().cloned().collect();
        let of = |text: String| Code {
            text,
            ..code.clone()
        };
        if let Some(pointers) = with_pointers(&text, &names) {
            let answer = self.compile_as_it_is(&of(pointers), namespace, meanwhile);
            // Types that cannot be told are an error of the user's own text.
            if answer.as_ref().err().is_none_or(Failed::is_interrupted) {
                return answer;
            }
        }
        let boxed = || boxed_closure(&text, &names);
        let answer = self.compile_as_it_is(&of(text.to_string()), namespace, meanwhile);
        answer.map_err(|failed| explain::closure_borrows(failed, boxed))
    }

    /// The edits that put the items which the session's macros make in the place of their calls.
    pub fn made(&self, code: &str) -> Edits {
        made_items(code, self.definitions.items(), expanded)
    }

    fn compile_as_it_is(
        &mut self,
        code: &Code,
        namespace: &Namespace,
        meanwhile: &mut Meanwhile<'_>,
    ) -> Result<Ready, Failed> {
        let answer = self.compile_once(code, namespace, meanwhile);
        // Another compiler is asked the same. A cell that each of them dies of is told so.
        let died = answer.is_err() && self.compiler.has_died();
        if died && !answer.as_ref().is_err_and(Failed::is_interrupted) {
            return self.compile_once(code, namespace, meanwhile);
        }
        answer
    }

    fn compile_once(
        &mut self,
        code: &Code,
        namespace: &Namespace,
        meanwhile: &mut Meanwhile<'_>,
    ) -> Result<Ready, Failed> {
        let since = Instant::now();
        let sources = self.compiler.local_sources();
        if sources != self.sources {
            self.sources = sources;
            self.settings_version += 1;
        }
        let version = (self.definitions.version(), self.settings_version);
        let key = Key {
            code: code.text.clone(),
            memo: code.memo,
            version,
        };
        let made = self.made(&code.text);
        let unlifted = made.apply(&code.text);
        let lifted = lifted(&unlifted, true);
        let plain = lifted.apply(&unlifted);
        let memo = match code.memo {
            Some(keeps) => {
                memoised(&plain, keeps)
                    .map_err(|why| Report::usage(why.to_string()))?
                    .0
            }
            None => Edits::default(),
        };
        let text = memo.apply(&plain);
        let (items, _) = split_items(&text);
        let carriers = carriers(&items);
        let lost = self.definitions.outdated(namespace, &items);
        let cached = self.cache.find(&key, namespace.variables());
        if let Some(artifact) = cached.filter(|_| lost.is_empty()) {
            return Ok(Ready {
                artifact,
                before: namespace.clone(),
                lost,
                after: namespace.clone(),
                redefined: BTreeSet::new(),
            });
        }
        let namespace = &if lost.is_empty() {
            self.retold(namespace, meanwhile)?
        } else {
            self.forget(namespace, lost.clone(), meanwhile)?
        };
        self.compiler.building().restart();
        let source = Source {
            prefix: self.definitions.before(namespace.seen, &items),
            code: carriers.apply(&text),
            changes: self.definitions.changes_with(&items),
        };
        let pending = self.compiler.compile(source, &namespace.state);
        let answer = meanwhile.answered(pending, "compiling", &self.compiler);
        self.spent += since.elapsed();
        let compiled = match answer {
            Ok(compiled) => compiled,
            Err(mut error) => {
                if let CompileError::Refused(told) = &mut error {
                    for place in told.iter_mut().flat_map(|one| &mut one.places) {
                        for (line, column) in [&mut place.start, &mut place.end] {
                            *column = carriers.column_back(&text, *line, *column);
                            *column = memo.column_back(&plain, *line, *column);
                            *column = lifted.column_back(&unlifted, *line, *column);
                            *column = made.column_back(&code.text, *line, *column);
                        }
                    }
                }
                return Err(self.explained(error, code, namespace, meanwhile));
            }
        };
        let redefined = self.definitions.changed_by(&items);
        let cell = meanwhile.cell.cell;
        self.definitions.add(&items, |line| {
            let line = u32::try_from(code.in_cell(line)?).ok()?;
            Some(Place { cell, line })
        });
        let version = (self.definitions.version(), self.settings_version);
        self.cache.keep(
            Key {
                code: code.text.clone(),
                memo: code.memo,
                version,
            },
            namespace.variables(),
            &compiled,
        );
        let after = Namespace {
            state: compiled.after,
            seen: self.definitions.len(),
        };
        Ok(Ready {
            artifact: compiled.artifact,
            before: namespace.clone(),
            lost,
            after,
            redefined,
        })
    }

    /// What the compiler has refused, at its places in the cell.
    fn explained(
        &self,
        error: CompileError,
        code: &Code,
        namespace: &Namespace,
        meanwhile: &Meanwhile<'_>,
    ) -> Failed {
        let without = self.toolchain.no_sources.clone();
        let without = without.filter(|_| explain::wants_sources(&error));
        let (cell, variables) = (meanwhile.cell, namespace.variables());
        let mut failed = explain::compile_error(error, code, cell.cell, &cell.code, variables);
        for report in &mut failed.0 {
            report.notes.extend(without.clone().map(Note::Told));
        }
        failed
    }
}
