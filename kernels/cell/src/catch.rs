//! Where panics are caught. Catching in generic code would compile the machinery anew with every cell.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::host::{Bytes, host_if_any};

/// What stands for the message of a panic whose payload is no text, as in Rust's own words.
pub(crate) const NO_TEXT: &str = "Box<dyn Any>";

/// Runs it; false when it panicked, of which the host is told what has escaped.
#[inline(never)]
pub(crate) fn caught(run: &mut dyn FnMut()) -> bool {
    let caught = catch_unwind(AssertUnwindSafe(run));
    if let Err(payload) = caught {
        escaped(text_of(payload.as_ref()));
        // A panic's payload may panic when it is dropped.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
        return false;
    }
    true
}

fn text_of(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&'static str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or(NO_TEXT)
}

/// Tells the host with which words the user's code has failed on this thread: of the panics that were noted here, others
/// may have been caught by the user's code itself. Empty: the last one is meant.
pub(crate) fn escaped(message: &str) {
    if let Some(host) = host_if_any() {
        (host.escaped)(Bytes::of(message.as_bytes()));
    }
}

/// Ends the cell with what was told last.
pub(crate) fn give_up() -> ! {
    resume_unwind(Box::new(""))
}

/// What it gives; `None` when it panicked.
pub(crate) fn value_of<R>(run: impl FnOnce() -> R) -> Option<R> {
    let (mut run, mut value) = (Some(run), None);
    caught(&mut || value = run.take().map(|run| run()));
    value
}
