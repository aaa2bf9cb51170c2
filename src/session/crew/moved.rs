//! Variables that are not here: because a cell has consumed them, or because they are the engines'. Who looks
//! for one is told where it is.

use std::collections::BTreeMap;

use super::Crew;
use crate::ids::{CellId, EngineId, PoolName, Rank};
use crate::outcome::{Gone, Help, Note};
use crate::session::Failed;
use crate::session::explain::no_value;
use crate::session::namespace::Namespace;

/// By variable the last cell after which it was gone, and why.
pub type Moved = BTreeMap<String, (CellId, Gone)>;

impl Crew {
    /// Notes that the session's variables are gone.
    pub fn note_gone<'a>(&mut self, names: impl IntoIterator<Item = &'a str>, why: Gone) {
        let cell = self.cell;
        let names = names.into_iter().map(str::to_owned);
        self.moved.extend(names.map(|name| (name, (cell, why))));
    }

    /// Notes what a cell that ran through has moved out of its variables.
    pub fn note_moved(&mut self, before: &Namespace, after: &Namespace) {
        let cell = self.cell;
        for name in before.variables().keys() {
            if !after.variables().contains_key(name) {
                self.moved.insert(name.clone(), (cell, Gone::Moved));
            }
        }
    }

    /// Says of each variable that is not found where it was moved, or which engines have it.
    pub fn tell_where(&self, failed: &mut Failed) {
        for report in &mut failed.0 {
            let Some(name) = no_value(report).map(str::to_owned) else {
                continue;
            };
            if let Some((cell, why)) = self.moved.get(&name).copied() {
                let moved = why == Gone::Moved;
                let gone = name.clone();
                report.hint = Some(Help::MakeAnew { name: gone, moved });
                report.notes.insert(0, Note::Gone { name, cell, why });
            } else if let Some((pool, ranks)) = self.engines_with(&name) {
                let there = || Help::UseThere { name: name.clone() };
                report.hint.get_or_insert_with(there);
                report.notes.insert(0, Note::There { name, pool, ranks });
            }
        }
    }

    /// The first pool with engines that have a variable, and those engines.
    fn engines_with(&self, name: &str) -> Option<(PoolName, Vec<Rank>)> {
        let has = |engine: &EngineId| {
            let namespace = self.namespaces.get(engine);
            namespace.is_some_and(|all| all.variables().contains_key(name))
        };
        self.pools.iter().find_map(|pool| {
            let ranks = (0..).map(Rank).zip(&pool.engines);
            let ranks = ranks.filter(|(_, engine)| has(engine));
            let ranks: Vec<Rank> = ranks.map(|(rank, _)| rank).collect();
            (!ranks.is_empty()).then(|| (pool.name.clone(), ranks))
        })
    }
}
