//! Which engines run a `%px` cell, and compiled how: once for each set of variables that they have.

use std::collections::BTreeMap;
use std::time::Duration;

use super::crew::Batch;
use super::namespace::Namespace;
use super::px::{Asked, Plan, Planned};
use super::px_out::{OUT, sending, sent_type};
use super::workshop::Ready;
use super::{Code, Failed, Pool, Session, explain};
use crate::ids::{EngineId, Rank};
use crate::outcome::{About, EngineOutcome, Event, Notice, Origin, PxRow, Sink};
use crate::vocabulary::nearest;

/// Engines whose variables are the same.
type Group = (Namespace, Vec<(Rank, EngineId)>);

impl Session {
    /// Compiles the cell for each set of variables that the living engines have.
    pub(super) fn plan_px(
        &mut self,
        asked: &Asked,
        sink: &mut dyn Sink,
    ) -> Result<(Vec<Batch>, Plan), Failed> {
        let pool = &self.pool_named(Some(&asked.pool.0))?.clone();
        self.crew.await_beginnings(&pool.engines, sink)?;
        let sends = asked.options.out.is_some();
        let code = &if sends {
            sending(&asked.code)
        } else {
            asked.code.clone()
        };
        let mut plan = Plan {
            asked: asked.clone(),
            engines: BTreeMap::new(),
            skipped: Vec::new(),
            out_types: Vec::new(),
        };
        let groups = self.groups(pool, &asked.ranks, &mut plan, sink)?;
        let mut batches: Vec<Batch> = Vec::new();
        let mut refused = None;
        for (namespace, engines) in &groups {
            match self.compile(code, namespace, sink) {
                Ok(ready) => {
                    let batch = self.plan_group(ready, engines, code, &mut plan, sink)?;
                    batches.extend(batch);
                }
                // Of a cell that the user has stopped nothing runs anywhere.
                Err(failed) if failed.is_interrupted() => return Err(failed),
                Err(failed) => {
                    let elsewhere = self.elsewhere(&failed, pool, namespace);
                    let why = elsewhere.as_deref().unwrap_or("it does not compile there");
                    for (rank, _) in engines {
                        plan.skipped.push(skipped(*rank, why));
                    }
                    // A variable that only other engines have is said in the engine's row.
                    if elsewhere.is_none() || refused.is_none() {
                        refused = Some((failed, elsewhere));
                    }
                }
            }
        }
        match refused {
            Some((mut failed, elsewhere)) if batches.is_empty() => {
                if let (Some(report), Some(why)) = (failed.0.first_mut(), elsewhere) {
                    report.hint = Some(why.into());
                }
                Err(failed)
            }
            // What some engines refuse is said once, beside the others' results.
            Some((failed, None)) => {
                failed.tell(sink);
                Ok((batches, plan))
            }
            _ => Ok((batches, plan)),
        }
    }

    /// What engines with the same variables run; nothing when all of them have died meanwhile.
    fn plan_group(
        &mut self,
        ready: Ready,
        engines: &[(Rank, EngineId)],
        code: &Code,
        plan: &mut Plan,
        sink: &mut dyn Sink,
    ) -> Result<Option<Batch>, Failed> {
        let Ready {
            artifact,
            before,
            lost,
            mut after,
            ..
        } = ready;
        if plan.asked.options.out.is_some() {
            let kind = after.variables().get(OUT).map(String::as_str);
            let kind = kind.and_then(sent_type).unwrap_or_else(|| "_".to_owned());
            if !plan.out_types.contains(&kind) {
                plan.out_types.push(kind);
            }
            // Engines keep nothing of it.
            after = self.forget(&after, vec![OUT.to_owned()], sink)?;
        }
        let engines = engines.iter().copied();
        let (gone, engines): (Vec<_>, Vec<_>) =
            engines.partition(|(_, engine)| self.crew.is_dead(*engine));
        // Told when it happened.
        let gone = gone.into_iter();
        let gone = gone.map(|(rank, _)| skipped(rank, "it died before the cell ran"));
        plan.skipped.extend(gone);
        if engines.is_empty() {
            return Ok(None);
        }
        let ranks: Vec<Rank> = engines.iter().map(|(rank, _)| *rank).collect();
        if !lost.is_empty() {
            let (ranks, names) = (ranks.clone(), lost.to_vec());
            let about = About::cell(plan.asked.cell);
            sink.send(Event::Notice(about, Notice::RedefinedOn { ranks, names }));
        }
        let places = self.workshop.places(&artifact, code, self.cell());
        for (rank, engine) in &engines {
            self.crew.has_now(*engine, before.clone());
            let planned = Planned {
                rank: *rank,
                before: before.clone(),
                after: after.clone(),
                artifact: artifact.clone(),
            };
            plan.engines.insert(*engine, planned);
        }
        let origins = engines.iter();
        let origins = origins.map(|(rank, engine)| (*engine, Origin::Engine(*rank)));
        Ok(Some(Batch::new(origins.collect(), artifact, places)))
    }

    /// The living engines by their variables.
    fn groups(
        &mut self,
        pool: &Pool,
        ranks: &[Rank],
        plan: &mut Plan,
        sink: &mut dyn Sink,
    ) -> Result<Vec<Group>, Failed> {
        let dead = self.crew.dead_engines();
        let mut groups: Vec<Group> = Vec::new();
        for rank in ranks {
            let Some(engine) = pool.engines.get(rank.0 as usize).copied() else {
                // While the cell waited for its turn.
                let why = format!("{} was resized to {}", pool.name, pool.size);
                plan.skipped.push(skipped(*rank, &why));
                continue;
            };
            if let Some(cause) = dead.get(&engine) {
                let why = format!("dead ({cause}); `%pool restart` starts it again");
                plan.skipped.push(skipped(*rank, &why));
                continue;
            }
            let namespace = self.namespace_of(engine, sink)?;
            let same = groups
                .iter_mut()
                .find(|(other, _)| other.variables() == namespace.variables());
            match same {
                Some((other, engines)) => {
                    if namespace.seen > other.seen {
                        *other = namespace;
                    }
                    engines.push((*rank, engine));
                }
                None => groups.push((namespace, vec![(*rank, engine)])),
            }
        }
        Ok(groups)
    }

    /// When the code is refused for a variable that lives elsewhere: where.
    fn elsewhere(&self, failed: &Failed, pool: &Pool, namespace: &Namespace) -> Option<String> {
        let name = failed.0.iter().find_map(explain::not_found)?;
        if namespace.variables().contains_key(name) {
            return None;
        }
        let has = |engine: &EngineId| {
            self.crew
                .namespace(*engine)
                .is_some_and(|namespace| namespace.variables().contains_key(name))
        };
        let ranks: Vec<String> = (0..)
            .zip(&pool.engines)
            .filter(|(_, engine)| has(engine))
            .map(|(rank, _): (u32, _)| rank.to_string())
            .collect();
        match ranks.as_slice() {
            [] if has(&self.crew.local()) => Some(lives_here(name)),
            [] => self.meant_variable(name, namespace),
            [rank] => Some(format!(
                "`{name}` is not defined there (only on engine {rank})"
            )),
            ranks => {
                let ranks = ranks.join(",");
                Some(format!(
                    "`{name}` is not defined there (only on engines {ranks})"
                ))
            }
        }
    }

    /// The variable that an unknown name most likely means: one of the engines', or else one of the session's.
    fn meant_variable(&self, typed: &str, namespace: &Namespace) -> Option<String> {
        let engines = namespace.variables().keys().map(String::as_str);
        if let Some(near) = nearest(typed, engines) {
            return Some(format!("did you mean `{near}`?"));
        }
        let local = self.variables();
        let near = nearest(typed, local.iter().map(|(name, _)| name.as_str()))?;
        Some(format!("did you mean `{near}`? {}", lives_here(near)))
    }
}

fn lives_here(name: &str) -> String {
    format!(
        "`{name}` lives in the local engine; engines have variables of their own: `%push {name}` gives it to them"
    )
}

fn skipped(rank: Rank, why: &str) -> PxRow {
    let outcome = EngineOutcome::Skipped {
        why: why.to_owned(),
    };
    PxRow {
        rank,
        outcome,
        busy: Duration::ZERO,
        output: Vec::new(),
    }
}
