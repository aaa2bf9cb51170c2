//! What can be asked of a session without running anything: types and whereabouts.

use std::collections::BTreeMap;

use super::{Code, Failed, Session};
use crate::outcome::Sink;

impl Session {
    /// Every variable with its type and where it lives, such as `local` or `p0: 0,2`.
    pub fn whereabouts(&self) -> Vec<(String, String, String)> {
        let mut rows: Vec<(String, String, String)> = self
            .variables()
            .into_iter()
            .map(|(name, kind)| (name, kind, "local".to_owned()))
            .collect();
        for pool in &self.pools {
            let mut places: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
            for (rank, engine) in pool.engines.iter().enumerate() {
                let variables = self
                    .namespaces
                    .get(engine)
                    .map(|namespace| namespace.variables());
                for (name, kind) in variables.into_iter().flatten() {
                    places
                        .entry((name.clone(), kind.clone()))
                        .or_default()
                        .push(rank.to_string());
                }
            }
            for ((name, kind), ranks) in places {
                let place = if ranks.len() == pool.engines.len() {
                    format!("{}: all", pool.name)
                } else {
                    format!("{}: {}", pool.name, ranks.join(","))
                };
                rows.push((name, kind, place));
            }
        }
        rows
    }

    /// The type of an expression in the local namespace. It is compiled, but not run.
    pub fn type_of(
        &mut self,
        expression: &str,
        at: (usize, usize),
        sink: &mut dyn Sink,
    ) -> Result<String, Failed> {
        const NAME: &str = "regatta_type";
        let namespace = self.namespace_of(self.local, sink)?;
        let code = Code::default()
            .generated(&format!("let {NAME} = {{\n"))
            .user(expression, at)
            .generated("};\n");
        match self.compile(&code, &namespace, sink) {
            Ok(ready) => {
                let kind = ready.after.variables().get(NAME);
                Ok(kind.cloned().unwrap_or_else(|| "unknown".to_owned()))
            }
            Err(failed)
                if failed
                    .0
                    .iter()
                    .any(|report| report.what.contains("is a closure")) =>
            {
                Ok("a closure, whose type has no name".to_owned())
            }
            Err(failed) => Err(failed),
        }
    }
}
