//! What can be asked of a session without running anything: types, whereabouts and documentation.

use std::collections::{BTreeMap, BTreeSet};

use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Instant;

use super::crew::{Awaited, Crew, is_ours};
use super::namespace::Namespace;
use super::{Code, Failed, Session, explain};
use crate::compiler::Analyst;
use crate::compiler::analysis::{Found, Question, Scene, Scenes};
use crate::outcome::{Doing, ErrorKind, Event, Progress, Report, Sink};

impl Session {
    /// Every variable with its type and where it lives, such as `local` or `p0: 0,2`.
    pub fn whereabouts(&self) -> Vec<(String, String, String)> {
        let mut rows: Vec<(String, String, String)> = self
            .variables()
            .into_iter()
            .map(|(name, kind)| (name, kind, "local".to_owned()))
            .collect();
        for pool in self.pools() {
            let mut places: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
            for (rank, engine) in pool.engines.iter().enumerate() {
                let variables = self
                    .crew
                    .namespace(*engine)
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

    /// Names of the variables that engines of the pool in use have.
    pub fn engines_variables(&self) -> Vec<String> {
        let engines = self
            .current_pool()
            .into_iter()
            .flat_map(|pool| &pool.engines);
        let names: BTreeSet<String> = engines
            .flat_map(|engine| self.crew.variables_of(*engine))
            .collect();
        names.into_iter().collect()
    }

    /// Who knows the names that code can use, and what they mean.
    pub fn analyst(&self) -> &Analyst {
        self.workshop.analyst()
    }

    /// What cells can name now.
    pub fn scenes(&self) -> Scenes {
        let scene = |namespace: Option<&Namespace>| Scene {
            variables: namespace
                .into_iter()
                .flat_map(|namespace| namespace.variables().clone())
                .filter(|(name, _)| !is_ours(name))
                .collect(),
        };
        let engine = self.current_pool().and_then(|pool| pool.engines.first());
        Scenes {
            items: self.workshop.definitions().source(),
            local: scene(self.crew.namespace(self.crew.local())),
            engines: engine.map(|engine| scene(self.crew.namespace(*engine))),
        }
    }

    /// Looks up what something is. The first time, all libraries are read.
    pub fn docs(&mut self, question: Question, sink: &mut dyn Sink) -> Result<Found, Failed> {
        self.analyst().set_scenes(self.scenes());
        let answer = self.analyst().docs(question);
        let since = Instant::now();
        let found = self.until(LookedUp { answer, since }, sink)?;
        sink.send(Event::Progress(None));
        found.map_err(|why| {
            Report::new(
                ErrorKind::System,
                format!("nothing can be looked up: {why}"),
            )
            .into()
        })
    }

    /// The type of an expression in the local namespace. It is compiled, but not run.
    pub fn type_of(
        &mut self,
        expression: &str,
        at: (usize, usize),
        sink: &mut dyn Sink,
    ) -> Result<String, Failed> {
        const NAME: &str = "regatta_type";
        let code = Code::default().generated(&format!("let {NAME} = {{\n"));
        let code = self
            .with_outs(expression, at, code, sink)?
            .generated("};\n");
        let namespace = self.namespace_of(self.crew.local(), sink)?;
        match self.compile(&code, &namespace, sink) {
            Ok(ready) => {
                let kind = ready.after.variables().get(NAME);
                Ok(kind.cloned().unwrap_or_else(|| "unknown".to_owned()))
            }
            Err(failed) if failed.0.iter().any(explain::is_closure) => {
                Ok("a closure, whose type has no name".to_owned())
            }
            Err(failed) => Err(failed),
        }
    }
}

/// What the analyst has found.
struct LookedUp {
    answer: Receiver<Result<Found, String>>,
    since: Instant,
}

impl Awaited for LookedUp {
    type Outcome = Result<Found, String>;

    fn look(&mut self, _: &mut Crew, sink: &mut dyn Sink) -> Result<Option<Self::Outcome>, Failed> {
        match self.answer.try_recv() {
            Ok(found) => return Ok(Some(found)),
            Err(TryRecvError::Disconnected) => {
                return Ok(Some(Err("its process has ended".to_owned())));
            }
            Err(TryRecvError::Empty) => {}
        }
        sink.send(Event::Progress(Some(Progress {
            what: "reading the libraries".to_owned(),
            unit: "crates",
            done: 0,
            total: None,
            elapsed: self.since.elapsed(),
        })));
        Ok(None)
    }

    fn interrupted(&mut self, _: &mut Crew) -> Result<(), Failed> {
        Err(explain::interrupted(Doing::ReadingDocs).into())
    }
}
