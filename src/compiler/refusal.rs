//! What evcxr's errors say: of the cell, or of the machine.

use evcxr::EvalContext;

use super::told::taken_out;
use super::{CompileError, diagnostics};

/// The errors without warnings, in the order of their places; `prefix_lines` stood before the user's code.
pub(super) fn refusal(
    error: evcxr::Error,
    prefix_lines: usize,
    context: &EvalContext,
) -> CompileError {
    match error {
        evcxr::Error::CompilationErrors(mut errors) => {
            // `cargo check` also tells its warnings.
            if errors.iter().any(|error| error.level() != "warning") {
                errors.retain(|error| error.level() != "warning");
            }
            // A linker without room says so among notes that show the generated source.
            let outside = errors
                .iter()
                .filter(|error| error.code().is_none() && error.spanned_messages().is_empty());
            if let Some(full) = outside
                .map(|error| error.rendered())
                .find(|told| is_full(told))
            {
                return CompileError::Trouble(full);
            }
            let source = source(context);
            let mut told: Vec<_> = errors
                .iter()
                .map(|error| diagnostics::diagnostic(error, prefix_lines, &source))
                .collect();
            // evcxr lays definitions out in the order of a hash map.
            told.sort_by(diagnostics::by_place);
            CompileError::Refused(told)
        }
        other => CompileError::Trouble(other.to_string()),
    }
}

/// How Linux words `ENOSPC` and `EDQUOT`, and how a linker ends whose mapped output file finds no room.
const FULL: [&str; 3] = [
    "No space left on device",
    "Disk quota exceeded",
    "signal 7 [Bus error]",
];

/// Whether a tool's message is about a disk that is full.
pub fn is_full(message: &str) -> bool {
    FULL.iter().any(|full| message.contains(full))
}

/// What rustc read last, but for what its wrapper adds.
pub(super) fn source(context: &EvalContext) -> String {
    taken_out(&context.last_source().unwrap_or_default())
}
