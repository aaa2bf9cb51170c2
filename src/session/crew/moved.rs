//! Variables that are not here: because a cell has consumed them, or because they are the engines'. Who looks
//! for one is told where it is.

use std::collections::BTreeMap;

use super::Crew;
use crate::ids::{CellId, EngineId};
use crate::outcome::Cause;
use crate::session::Failed;
use crate::session::namespace::Namespace;

/// By variable the last cell after which it was gone, and why.
pub type Moved = BTreeMap<String, (CellId, Why)>;

/// Why a variable is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Moved,
    Redefined,
    Panicked,
    Died,
}

impl Why {
    /// Of the variable `name`, after the cell `cell`.
    fn told(self, name: &str, cell: &str) -> String {
        match self {
            Self::Moved => format!("`{name}` was moved in {cell}"),
            Self::Redefined => format!("`{name}` was lost in {cell}: its type was redefined"),
            Self::Panicked => format!("`{name}` was lost in {cell}, which did not come to its end"),
            Self::Died => format!("`{name}` was lost in {cell}: the local engine died"),
        }
    }
}

impl Crew {
    /// Notes that the session's variables are gone.
    pub fn note_gone<'a>(&mut self, names: impl IntoIterator<Item = &'a str>, why: Why) {
        let cell = self.cell;
        let names = names.into_iter().map(str::to_owned);
        self.moved.extend(names.map(|name| (name, (cell, why))));
    }

    /// Notes what a cell that ran through has moved out of its variables.
    pub fn note_moved(&mut self, before: &Namespace, after: &Namespace) {
        let cell = self.cell;
        for name in before.variables().keys() {
            if !after.variables().contains_key(name) {
                self.moved.insert(name.clone(), (cell, Why::Moved));
            }
        }
    }

    /// Says of each variable that is not found where it was moved, or which engines have it.
    pub fn tell_where(&self, failed: &mut Failed) {
        for report in &mut failed.0 {
            let Cause::NoValue(name) = report.cause.clone() else {
                continue;
            };
            let Some((cell, why)) = self.moved.get(&name) else {
                if let Some(engines) = self.engines_with(&name) {
                    report.notes.insert(0, engines);
                    report.hint.get_or_insert_with(|| format!(
                        "`%px` and `%map` use it there; `%pull {name}` takes it here, from each engine"
                    ));
                }
                continue;
            };
            report.notes.insert(0, why.told(&name, &cell.name()));
            report.hint = Some(match why {
                Why::Moved => {
                    format!("there `&{name}` or `{name}.clone()` keeps it; make it anew here")
                }
                _ => "make it anew; `%rerun N` runs the cell that made it".to_owned(),
            });
        }
    }

    /// `engines 0,2 of p0 have a variable `table``
    fn engines_with(&self, name: &str) -> Option<String> {
        let has = |engine: &EngineId| {
            let namespace = self.namespaces.get(engine);
            namespace.is_some_and(|all| all.variables().contains_key(name))
        };
        self.pools.iter().find_map(|pool| {
            let ranks = pool.engines.iter().enumerate().filter(|(_, id)| has(id));
            let ranks: Vec<String> = ranks.map(|(rank, _)| rank.to_string()).collect();
            let of = format!("of {}", pool.name);
            match ranks.as_slice() {
                [] => None,
                [one] => Some(format!("engine {one} {of} has a variable `{name}`")),
                several => Some(format!(
                    "engines {} {of} have a variable `{name}`",
                    several.join(",")
                )),
            }
        })
    }
}
