//! Values made one: of numbers and MPI's operations by the engine, of others here.

use serde::{Serialize, de::DeserializeOwned};

use super::communicator::Communicator;
use super::kind::{folded, given};
use super::table::{Kind, Op, Outcome, Reduction, called};
use super::{checked, failed, op, table};

/// What [`super::reduce`] and the others of that name do, among the communicator's ranks.
impl Communicator {
    #[track_caller]
    pub fn reduce<T: Serialize + DeserializeOwned, F: Fn(T, T) -> T>(
        self,
        value: &T,
        op: F,
        root: u32,
    ) -> Option<T> {
        if let Some(known) = op::known::<F>() {
            if self.rank() == root {
                let sum = self.folded(value, Reduction::Root, known, root);
                if sum.is_some() {
                    return sum;
                }
            } else if self.gave(value, Reduction::Root, known, root) {
                return None;
            }
        }
        self.agreed(&op, called::REDUCE);
        let values = self.gather_as(value, root, called::REDUCE)?;
        values.into_iter().reduce(op)
    }

    #[track_caller]
    pub fn all_reduce<T: Serialize + DeserializeOwned, F: Fn(T, T) -> T>(
        self,
        value: &T,
        op: F,
    ) -> T {
        if let Some(known) = op::known::<F>()
            && let Some(sum) = self.folded(value, Reduction::All, known, 0)
        {
            return sum;
        }
        self.agreed(&op, called::ALL_REDUCE);
        let values = self.all_gather_as(value, called::ALL_REDUCE);
        match values.into_iter().reduce(op) {
            Some(folded) => folded,
            None => failed(),
        }
    }

    #[track_caller]
    pub fn scan<T: Serialize + DeserializeOwned, F: Fn(T, T) -> T>(self, value: &T, op: F) -> T {
        if let Some(known) = op::known::<F>()
            && let Some(sum) = self.folded(value, Reduction::Scan, known, 0)
        {
            return sum;
        }
        self.agreed(&op, called::SCAN);
        let values = self.all_gather_as(value, called::SCAN).into_iter();
        match values.take(self.rank() as usize + 1).reduce(op) {
            Some(folded) => folded,
            None => failed(),
        }
    }

    #[track_caller]
    pub fn exscan<T: Serialize + DeserializeOwned, F: Fn(T, T) -> T>(
        self,
        value: &T,
        op: F,
    ) -> Option<T> {
        let rank = self.rank();
        if let Some(known) = op::known::<F>() {
            if rank > 0 {
                let sum = self.folded(value, Reduction::Before, known, 0);
                if sum.is_some() {
                    return sum;
                }
            } else if self.gave(value, Reduction::Before, known, 0) {
                return None;
            }
        }
        self.agreed(&op, called::EXSCAN);
        let values = self.all_gather_as(value, called::EXSCAN).into_iter();
        values.take(rank as usize).reduce(op)
    }

    #[track_caller]
    pub fn reduce_scatter<T: Serialize + DeserializeOwned, F: Fn(T, T) -> T>(
        self,
        parts: &[T],
        op: F,
    ) -> T {
        self.agreed(&op, called::REDUCE_SCATTER);
        let mine = self.all_to_all_as(parts, called::REDUCE_SCATTER);
        match mine.into_iter().reduce(op) {
            Some(folded) => folded,
            None => failed(),
        }
    }

    /// All ranks have the same function in a function pointer. Of other operations their type tells, or nothing does.
    #[track_caller]
    fn agreed<F>(self, op: &F, call: i32) {
        let Some(function) = op::pointed(op) else {
            return;
        };
        let ours = (table().function)(function);
        let all = self.all_gather_as(&ours, call);
        if let Some(other) = all.iter().position(|theirs| *theirs != ours) {
            panic!(
                "`comm::{}`: rank {other} has another function in its function pointer than this rank: all have the \
                 same",
                called::name(call)
            );
        }
    }

    /// Gives numbers to be folded where no result comes; whether these are numbers.
    #[track_caller]
    fn gave<T: Serialize>(self, value: &T, who: Reduction, op: Op, root: u32) -> bool {
        let mut of = self.to::<T>(root, 0, Kind::NOTHING);
        let mut ended = Outcome::Done;
        let is_given = given(value, |lent| {
            of.kind = lent.kind;
            ended = (table().reduce)(&of, who, op, lent.bytes, std::ptr::null_mut());
        });
        checked(ended);
        is_given
    }

    /// Folds numbers in the engine; `None`: these are none.
    #[track_caller]
    fn folded<T: Serialize>(self, value: &T, who: Reduction, op: Op, root: u32) -> Option<T> {
        let mut of = self.to::<T>(root, 0, Kind::NOTHING);
        let mut ended = Outcome::Done;
        let sum = folded(value, |lent, to| {
            of.kind = lent.kind;
            ended = (table().reduce)(&of, who, op, lent.bytes, to);
        });
        checked(ended);
        sum
    }
}
