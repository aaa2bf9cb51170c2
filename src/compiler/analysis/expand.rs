//! What a call of a macro by example comes to, when the macro is one of the session's own.

use ra_ap_ide::{Analysis, FilePosition};
use ra_ap_ide_db::base_db::AbsPathBuf;

use super::{STACK, THREAD};

/// What rust-analyzer puts before an expansion that it could not do as rustc would.
const WRONG: &str = "Expansion had errors";

/// The expansion of `call`, which begins with its macro's name and stands where items do; calls in it of `macros`
/// are expanded too, others stay. `None` when there is none: rustc tells why.
pub fn expanded(macros: &str, call: &str) -> Option<String> {
    // It needs a stack, and its panics are told to nobody.
    let work = || expanded_here(macros, call);
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name(THREAD.to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, work);
        thread.ok()?.join().ok()?
    })
}

fn expanded_here(macros: &str, call: &str) -> Option<String> {
    let root = AbsPathBuf::try_from("/").ok()?;
    let offset = u32::try_from(macros.len() + 1).ok()?.into();
    let text = format!("{macros}\n{call}\n");
    let (analysis, file_id) = Analysis::from_single_file(text, root.into());
    let place = FilePosition { file_id, offset };
    let expansion = analysis.expand_macro(place).ok()??.expansion;
    // The session's macros are its crate's.
    (!expansion.starts_with(WRONG)).then(|| expansion.replace("$crate", "crate"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::normalised;

    #[test]
    fn macros_by_example_are_expanded() {
        let macros = "macro_rules! one { ($n:ident) => { fn $n() -> u8 { 1 } } }\n\
             macro_rules! many { ($($n:ident),*) => { $(one!($n);)* #[derive(Debug)] pub struct S; } }\n\
             macro_rules! sum { ($a:expr) => { println!(\"{}\", $a) } }";
        let expansion = |call| expanded(macros, call).map(|text| normalised(&text));
        assert_eq!(
            expansion("many! { a, b }").as_deref(),
            Some("fn a ( ) -> u8 { 1 } fn b ( ) -> u8 { 1 } # [ derive ( Debug ) ] pub struct S ;")
        );
        assert_eq!(expansion("one!(+);"), None);
        assert_eq!(expansion("other!(a);"), None);
    }
}
