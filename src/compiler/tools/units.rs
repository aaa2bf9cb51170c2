//! Into how many units a cell's crate is compiled. Cargo's sixteen and a cache of what is compiled pay when a cell
//! uses functions of earlier ones, and for maps, where most of what is compiled is the same as last time. They cost a
//! cell some 20 ms of its 100, measured, so others do without while a session has hardly defined anything.

use std::ffi::OsString;

use super::super::generated::Mended;

/// Functions and types of so many bytes of source are compiled again as quickly as they are found in the cache;
/// those of the cell crate's own entries are among them.
const FEW: usize = 400;

/// As many as there are cores on small machines.
const UNITS: &str = "codegen-units=2";

/// rustc's arguments for a cell.
pub fn for_cell(arguments: &[OsString], cell: &Mended) -> Vec<OsString> {
    if cell.items > FEW || cell.maps {
        return arguments.to_vec();
    }
    let mut few = without_cache(arguments);
    for argument in &mut few {
        if argument.to_string_lossy().starts_with("codegen-units=") {
            *argument = UNITS.into();
        }
    }
    few
}

/// The arguments without the folder of what is compiled, and the option before it.
pub fn without_cache(arguments: &[OsString]) -> Vec<OsString> {
    let mut kept: Vec<OsString> = Vec::new();
    for argument in arguments {
        if argument.to_string_lossy().starts_with("incremental=") {
            kept.pop();
        } else {
            kept.push(argument.clone());
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Edits;

    #[test]
    fn only_what_is_compiled_again_needs_a_cache() {
        let words = |text: &str| -> Vec<OsString> { text.split(' ').map(Into::into).collect() };
        let given = words("-C codegen-units=16 -C incremental=/i -C rpath");
        let kept = |items, maps| {
            let edits = Edits::default();
            let cell = Mended { edits, items, maps };
            for_cell(&given, &cell)
        };
        assert_eq!(kept(FEW, false), words("-C codegen-units=2 -C rpath"));
        assert_eq!(kept(FEW + 1, false), given);
        assert_eq!(kept(FEW, true), given);
    }
}
