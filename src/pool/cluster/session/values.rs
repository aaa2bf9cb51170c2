//! Values that engines of a node are to take from the session, such as those of a push: they go to the node once, and are there
//! until the last of these engines runs its cell. Pure.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::ids::EngineId;

#[derive(Debug, Default)]
pub struct Values {
    all: Vec<Value>,
    next: u64,
}

#[derive(Debug)]
struct Value {
    /// Kept, so that no other value is at the same place meanwhile.
    file: Arc<OwnedFd>,
    number: u64,
    is_sent: bool,
    /// Those that are to take it, and do not run yet.
    engines: BTreeSet<EngineId>,
}

/// A value as the node knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbered {
    pub number: u64,
    /// The node does not have it.
    pub is_new: bool,
}

impl Values {
    /// An engine is to take it. Whoever takes it too is told of before the first one runs.
    pub fn expects(&mut self, file: &Arc<OwnedFd>, engine: EngineId) {
        let known = self.all.iter_mut().find(|it| Arc::ptr_eq(&it.file, file));
        if let Some(known) = known {
            known.engines.insert(engine);
            return;
        }
        self.next += 1;
        self.all.push(Value {
            file: file.clone(),
            number: self.next,
            is_sent: false,
            engines: BTreeSet::from([engine]),
        });
    }

    /// It goes there now, if it is not there; `None` when no engine is to take it.
    pub fn sent(&mut self, file: &Arc<OwnedFd>) -> Option<Numbered> {
        let value = self.all.iter_mut().find(|it| Arc::ptr_eq(&it.file, file))?;
        let is_new = !std::mem::replace(&mut value.is_sent, true);
        let number = value.number;
        Some(Numbered { number, is_new })
    }

    /// An engine runs, or is no more; what the node needs no longer.
    pub fn runs(&mut self, engine: EngineId) -> Vec<u64> {
        let is_over = |value: &mut Value| value.engines.remove(&engine) && value.engines.is_empty();
        let over = self.all.extract_if(.., is_over);
        { over.filter(|value| value.is_sent) }
            .map(|value| value.number)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Arc<OwnedFd> {
        Arc::new(std::fs::File::open("/dev/null").unwrap().into())
    }

    #[test]
    fn a_value_goes_once_for_all_engines_and_stays_until_the_last_one_runs() {
        let mut values = Values::default();
        let (one, other) = (file(), file());
        let [first, second, third] = [1, 2, 3].map(EngineId);
        values.expects(&one, first);
        values.expects(&one, second);
        values.expects(&other, second);
        let numbered = |number, is_new| Some(Numbered { number, is_new });
        assert_eq!(values.sent(&one), numbered(1, true));
        assert!(values.runs(third).is_empty());
        assert!(values.runs(first).is_empty());
        assert_eq!(values.sent(&one), numbered(1, false));
        // What was not sent need not be forgotten.
        assert_eq!(values.runs(second), [1]);
        assert_eq!((values.sent(&one), values.sent(&other)), (None, None));
        values.expects(&one, first);
        assert_eq!(values.sent(&one), numbered(3, true));
        assert_eq!(values.runs(first), [3]);
    }
}
