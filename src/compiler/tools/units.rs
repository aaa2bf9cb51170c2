//! Into how many units a cell's crate is compiled. Cargo's sixteen and a cache of what is compiled pay when a cell
//! uses functions of earlier ones: these are not compiled again. They cost a cell some 20 ms of its 100, measured, so a
//! session that has hardly defined anything yet does without.

use std::ffi::OsString;

/// Functions and types of so many bytes of source are compiled again as quickly as they are found in the cache;
/// those of the cell crate's own entries are among them.
const FEW: usize = 400;

/// As many as there are cores on small machines.
const UNITS: &str = "codegen-units=2";

/// rustc's arguments for a cell that comes with functions and types of so many bytes.
pub fn for_items(arguments: &[OsString], items: usize) -> impl Iterator<Item = OsString> {
    let few = items <= FEW;
    let is_unit = |text: &str| text.starts_with("codegen-units=");
    let is_cache = |text: &str| text.starts_with("incremental=");
    let mut kept: Vec<OsString> = Vec::new();
    for argument in arguments {
        let text = argument.to_string_lossy();
        if few && is_cache(&text) && kept.last().is_some_and(|last| last == "-C") {
            kept.pop();
        } else if few && is_unit(&text) {
            kept.push(UNITS.into());
        } else {
            kept.push(argument.clone());
        }
    }
    kept.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_definitions_need_no_cache() {
        let words = |text: &str| -> Vec<OsString> { text.split(' ').map(Into::into).collect() };
        let given = words("-C codegen-units=16 -C incremental=/i -C rpath");
        let kept = |items| for_items(&given, items).collect::<Vec<_>>();
        assert_eq!(kept(FEW), words("-C codegen-units=2 -C rpath"));
        assert_eq!(kept(FEW + 1), given);
    }
}
