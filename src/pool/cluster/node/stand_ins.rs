//! Engines of a durable cluster that have ended by themselves, and those that their node has started in their place, as long as
//! the session has not.

use std::collections::BTreeMap;

use super::super::message::Content;
use super::around::Around;
use crate::ids::EngineId;
use crate::pool::Launch;

/// What an engine was.
struct Fallen {
    /// As its node has it.
    engine: EngineId,
    launch: Launch,
    around: Around,
}

/// By what the hub calls them: whoever stands in for an engine is called so too.
#[derive(Default)]
pub struct StandIns {
    fallen: BTreeMap<EngineId, Fallen>,
    /// Those that run, as the node has them, and for which engine of the hub's.
    standing: BTreeMap<EngineId, EngineId>,
    /// How many there were.
    count: u32,
}

impl StandIns {
    /// An engine has ended by itself.
    pub fn fell(&mut self, engine: EngineId, launch: Launch, around: Around) {
        self.standing.remove(&engine);
        self.fallen.entry(launch.id).or_insert_with(|| Fallen {
            engine,
            launch,
            around,
        });
    }

    pub fn is_one(&self, engine: EngineId) -> bool {
        self.standing.contains_key(&engine)
    }

    pub fn are_none(&self) -> bool {
        self.fallen.is_empty()
    }

    /// Engines in whose place nobody is.
    pub fn missing(&self) -> Vec<EngineId> {
        let stands = |id: &EngineId| self.standing.values().any(|of| of == id);
        let missing = self.fallen.keys().filter(|id| !stands(id));
        missing.copied().collect()
    }

    /// What is to be started in the place of one; what it is called. The session counts from the other end.
    pub fn next(&mut self, of: EngineId) -> Option<(EngineId, Launch, Around)> {
        if self.standing.values().any(|other| *other == of) {
            return None;
        }
        let fallen = self.fallen.get(&of)?;
        let engine = EngineId(u32::MAX - self.count);
        self.count += 1;
        self.standing.insert(engine, of);
        Some((engine, fallen.launch.clone(), fallen.around.clone()))
    }

    /// It has ended, or could not be started.
    pub fn over(&mut self, engine: EngineId) {
        self.standing.remove(&engine);
    }

    /// The session has another one; who is not needed any more.
    pub fn replaced(&mut self, of: EngineId) -> Vec<EngineId> {
        self.fallen.remove(&of);
        let standing = self.standing.extract_if(.., |_, other| *other == of);
        standing.map(|(engine, _)| engine).collect()
    }

    /// The session wants none in the place of this one, as its node has it.
    pub fn unwanted(&mut self, engine: EngineId) -> Vec<EngineId> {
        let is_it = |(of, fallen): (&EngineId, &Fallen)| (fallen.engine == engine).then_some(*of);
        let found = self.fallen.iter().find_map(is_it);
        found.map_or_else(Vec::new, |of| self.replaced(of))
    }

    /// Whether one begins with this.
    pub fn need(&self, content: Content) -> bool {
        self.fallen.values().any(|it| it.around.needs(content))
    }

    pub fn all(&self) -> Vec<EngineId> {
        self.standing.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Rank;

    fn with_fallen(engine: u32, hub: u32) -> StandIns {
        let mut all = StandIns::default();
        let launch = Launch::on_node(EngineId(hub), Rank(0), 1, None);
        all.fell(EngineId(engine), launch, Around::default());
        all
    }

    #[test]
    fn one_stands_in_for_an_engine_until_the_session_has_another() {
        let mut all = with_fallen(3, 70);
        assert_eq!(all.missing(), [EngineId(70)]);
        let (first, launch, around) = all.next(EngineId(70)).unwrap();
        assert!(all.missing().is_empty() && all.next(EngineId(70)).is_none());
        // It ends too.
        all.fell(first, launch, around);
        assert_eq!(all.missing(), [EngineId(70)]);
        let (second, ..) = all.next(EngineId(70)).unwrap();
        assert_ne!(first, second);
        assert_eq!(all.replaced(EngineId(70)), [second]);
        assert!(all.missing().is_empty() && all.are_none());
    }

    #[test]
    fn none_stands_in_for_one_that_is_not_wanted() {
        let mut all = with_fallen(3, 70);
        let (stands, ..) = all.next(EngineId(70)).unwrap();
        assert!(all.unwanted(EngineId(4)).is_empty());
        assert_eq!(all.unwanted(EngineId(3)), [stands]);
        assert!(all.missing().is_empty());
    }
}
