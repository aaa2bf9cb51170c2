//! The workshop at work for the cell under way, while the crew goes on.

use std::time::Duration;

use super::namespace::Namespace;
use super::workshop::{Meanwhile, Ready, Workshop};
use super::{Code, Failed, Record, Session};
use crate::ids::{CellId, EngineId};
use crate::outcome::Sink;

impl Session {
    /// Has the workshop do something for the cell under way.
    fn at_work<T>(
        &mut self,
        sink: &mut dyn Sink,
        work: impl FnOnce(&mut Workshop, &mut Meanwhile<'_>) -> T,
    ) -> T {
        let none = Record::default();
        let mut meanwhile = Meanwhile {
            cell: self.history.record().unwrap_or(&none),
            crew: &mut self.crew,
            sink,
        };
        work(&mut self.workshop, &mut meanwhile)
    }

    /// Compiles code in a namespace, or finds it compiled. What is refused is told where its variables are.
    pub(super) fn compile(
        &mut self,
        code: &Code,
        namespace: &Namespace,
        sink: &mut dyn Sink,
    ) -> Result<Ready, Failed> {
        let compiled = self.at_work(sink, |workshop, meanwhile| {
            workshop.compile(code, namespace, meanwhile)
        });
        match compiled {
            Ok(ready) => {
                self.crew.outs.redefined(&ready.redefined);
                Ok(ready)
            }
            Err(mut failed) => {
                self.crew.tell_where(&mut failed);
                Err(failed)
            }
        }
    }

    /// A namespace without these variables.
    pub(super) fn forget(
        &mut self,
        namespace: &Namespace,
        names: Vec<String>,
        sink: &mut dyn Sink,
    ) -> Result<Namespace, Failed> {
        self.at_work(sink, |workshop, meanwhile| {
            workshop.forget(namespace, names, meanwhile)
        })
    }

    /// The namespace of an engine; a fresh engine has the root's.
    pub(super) fn namespace_of(
        &mut self,
        engine: EngineId,
        sink: &mut dyn Sink,
    ) -> Result<Namespace, Failed> {
        if let Some(namespace) = self.crew.namespace(engine) {
            return Ok(namespace.clone());
        }
        let root = self.at_work(sink, Workshop::warm_root)?;
        self.crew.has_now(engine, root.clone());
        Ok(root)
    }

    /// Adds a crate and builds it.
    pub fn add_crate(
        &mut self,
        name: &str,
        config: &str,
        sink: &mut dyn Sink,
    ) -> Result<Duration, Failed> {
        // The local engine's variables are older than the crate.
        self.namespace_of(self.crew.local(), sink)?;
        self.at_work(sink, |workshop, meanwhile| {
            workshop.add_crate(name, config, meanwhile)
        })
    }

    /// The version with which cells are built of a package, when cargo has locked one.
    pub fn locked(&self, package: &str) -> Option<String> {
        self.workshop.locked(package)
    }

    /// The crates that cells can use: name, version, and as they were asked for.
    pub fn crates(&self) -> Vec<[String; 3]> {
        self.workshop.crates()
    }

    /// Does something for an earlier cell.
    pub(super) fn acting_for<T>(&mut self, cell: CellId, act: impl FnOnce(&mut Self) -> T) -> T {
        self.history.acting = Some(cell);
        self.crew.acts_for(self.cell());
        let done = act(self);
        self.history.acting = None;
        self.crew.acts_for(self.cell());
        done
    }
}
