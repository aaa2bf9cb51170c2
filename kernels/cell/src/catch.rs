//! Where panics are caught. Catching in generic code would compile the machinery anew with every cell.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs it; false when it panicked.
#[inline(never)]
pub(crate) fn caught(run: &mut dyn FnMut()) -> bool {
    let caught = catch_unwind(AssertUnwindSafe(run));
    if let Err(payload) = caught {
        // A panic's payload may panic when it is dropped.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
        return false;
    }
    true
}

/// What it gives; `None` when it panicked.
pub(crate) fn value_of<R>(run: impl FnOnce() -> R) -> Option<R> {
    let (mut run, mut value) = (Some(run), None);
    caught(&mut || value = run.take().map(|run| run()));
    value
}
