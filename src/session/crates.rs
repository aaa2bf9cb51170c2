//! `%dep`: crates for all later cells, here and on engines.

use std::time::{Duration, Instant};

use super::namespace::Namespace;
use super::{Failed, Session, explain};
use crate::outcome::Sink;

impl Session {
    /// Adds a crate and builds it.
    pub fn add_crate(
        &mut self,
        name: &str,
        config: &str,
        sink: &mut dyn Sink,
    ) -> Result<Duration, Failed> {
        self.namespace_of(self.local, sink)?;
        let since = Instant::now();
        self.building.restart();
        let pending = self.compiler.add_crate(name.to_owned(), config.to_owned());
        let answer = self.await_compiler(pending, &format!("adding {name}"), sink);
        self.timing.compile += since.elapsed();
        let compiled = answer.map_err(|error| {
            let (code, none) = (super::Code::default(), std::collections::BTreeMap::new());
            explain::compile_error(error, &code, self.cell(), "", &none)
        })?;
        self.root = Some(Namespace {
            state: compiled.after,
            seen: 0,
        });
        self.settings_version += 1;
        Ok(since.elapsed())
    }
}
