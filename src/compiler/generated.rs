//! What evcxr generates around a cell, mended: its variable store is the cell crate's, how a cell goes is told
//! to the engine as data instead of being printed, and the entry function lets no panic out.
//!
//! It must never touch the user's own text: each place is looked up in the item that evcxr generates for it.

use ra_ap_syntax::ast::{self, HasModuleItem as _, HasName as _};
use ra_ap_syntax::{AstNode as _, Edition, SourceFile, SyntaxKind};

use crate::cell::Edits;

const PANICKED: &str = "println!(\"EVCXR_PANIC_NOTIFICATION\");";
const ERRORED: &str = "println!(\"{}\", evcxr_internal_runtime::USER_ERROR_OCCURRED);";
/// What a `?` at the top level turns errors into, which tells of them.
const ERROR_TYPE: &str = "EvcxrUserCodeError";
/// What evcxr writes in front of the user's code: word for word, so that no `catch_unwind` of the user's own is taken for
/// it where there is none of evcxr's.
const CATCHING: [&str; 2] = [
    "match std::panic::catch_unwind(\n  std::panic::AssertUnwindSafe(||{\n",
    // Of a cell without variables.
    "if std::panic::catch_unwind(||{\n",
];
const GUARDING: [&str; 2] = [
    "match ::regatta_cell::variables::guarded(\n  std::panic::AssertUnwindSafe(||{\n",
    "if ::regatta_cell::variables::guarded_alone(||{\n",
];
const RUNTIME: &str = "evcxr_internal_runtime";
/// What the name of every cell's entry function begins with.
pub const ENTRY: &str = "run_user_code_";

/// The cell crate's rooms in which maps are.
const MAPS: [&str; 2] = ["magic", "pool"];

/// The name under which the generated entry goes on, behind the one that the engine calls.
const BODY: &str = "evcxr_regatta_body";

/// What a cell's generated source comes to.
pub struct Mended {
    pub edits: Edits,
    /// Bytes of the functions and types of the session, which come with every cell.
    pub items: usize,
    /// The cell calls the cell crate's maps, of which much is compiled with it.
    pub maps: bool,
}

/// For the whole of a cell's generated source; `None` when it has no entry function.
pub fn mended(source: &str) -> Option<Mended> {
    let mut edits = Edits::default();
    let mut items = 0;
    let file = SourceFile::parse(source, Edition::Edition2024).tree();
    let mut entry = None;
    for item in file.items() {
        let range = item.syntax().text_range();
        let (start, end) = (usize::from(range.start()), usize::from(range.end()));
        let text = source.get(start..end)?;
        match &item {
            ast::Item::Module(module)
                if module.name().is_some_and(|name| name.text() == RUNTIME) =>
            {
                let list = module.item_list()?.syntax().text_range();
                let inside = usize::from(list.start()) + 1..usize::from(list.end()) - 1;
                edits.insert(inside.start, "pub use ::regatta_cell::variables::*;");
                edits.remove(source, inside);
            }
            ast::Item::Impl(of)
                if of
                    .self_ty()
                    .is_some_and(|kind| kind.syntax().text() == ERROR_TYPE) =>
            {
                let at = start + text.find(ERRORED)?;
                edits.replace(
                    at..at + ERRORED.len(),
                    "::regatta_cell::variables::errored();",
                );
            }
            ast::Item::Fn(function) => match function.name() {
                Some(name) if name.text().starts_with(ENTRY) => {
                    entry = Some((name.text().to_string(), function.clone()));
                }
                _ => items += text.len(),
            },
            ast::Item::Use(_) | ast::Item::ExternCrate(_) => {}
            _ => items += text.len(),
        }
    }
    let (name, function) = entry?;
    // Of the items around it, such as the attribute, only the function's own words.
    let range = function.syntax().text_range();
    let (start, end) = (usize::from(range.start()), usize::from(range.end()));
    let body = usize::from(function.body()?.syntax().text_range().start());
    let words = source.get(start..body)?;
    let attribute = "#[unsafe(no_mangle)]";
    let at = start + words.find(attribute)?;
    edits.remove(source, at..at + attribute.len());
    let signature = format!("pub extern \"C\" fn {name}(");
    let at = start + words.find(&signature)?;
    edits.replace(at..at + signature.len(), format!("fn {BODY}("));
    let inside = source.get(body..end)?;
    let mut forms = CATCHING.iter().zip(GUARDING);
    if let Some((at, catching, guarding)) =
        forms.find_map(|(catching, guarding)| Some((inside.find(catching)?, catching, guarding)))
    {
        let at = body + at;
        edits.replace(at..at + catching.len(), guarding);
    }
    // evcxr's own is behind all of the user's; a cell of definitions alone has none.
    if let Some(at) = inside.rfind(PANICKED) {
        let at = body + at;
        edits.replace(
            at..at + PANICKED.len(),
            "::regatta_cell::variables::panicked();",
        );
    }
    edits.insert(
        source.len(),
        format!(
            "\n#[unsafe(no_mangle)] pub extern \"C\" fn {name}(store: *mut ::regatta_cell::variables::VariableStore) \
             -> *mut ::regatta_cell::variables::VariableStore {{ unsafe {{ ::regatta_cell::variables::run(store, \
             |store| {BODY}(store.cast()).cast()) }} }}\n"
        ),
    );
    let mut tokens = function.syntax().descendants_with_tokens();
    let maps = tokens.any(|token| {
        let token = token.into_token();
        token.is_some_and(|token| token.kind() == SyntaxKind::IDENT && MAPS.contains(&token.text()))
    });
    Some(Mended { edits, items, maps })
}

#[cfg(test)]
mod tests {
    use super::mended;

    const SOURCE: &str = "#![allow(dead_code)]\n\
        fn user() { println!(\"EVCXR_PANIC_NOTIFICATION\"); }\n\
        struct EvcxrUserCodeError {}\n\
        impl<T: std::fmt::Debug> From<T> for EvcxrUserCodeError { fn from(error: T) -> Self {\n\
        println!(\"{}\", evcxr_internal_runtime::USER_ERROR_OCCURRED);\nEvcxrUserCodeError {} } }\n\
        mod evcxr_internal_runtime {\npub const A: u8 = 1;\npub struct VariableStore {}\n}\n\
        #[unsafe(no_mangle)]\npub extern \"C\" fn run_user_code_7(\n\
        mut s: *mut evcxr_internal_runtime::VariableStore)\n  -> *mut evcxr_internal_runtime::VariableStore {\n\
        match std::panic::catch_unwind(\n  std::panic::AssertUnwindSafe(||{\nprintln!(\"EVCXR_PANIC_NOTIFICATION\");\n\
        match std::panic::catch_unwind(f) { _ => {} }\n})) {\n  Ok(_) => {}\n  Err(_) => {\n    \
        println!(\"EVCXR_PANIC_NOTIFICATION\");\n}}\ns\n}\n";

    #[test]
    fn only_what_is_generated_changes() {
        let text = mended(SOURCE).unwrap().edits.apply(SOURCE);
        assert_eq!(
            text.matches("EVCXR_PANIC_NOTIFICATION").count(),
            2,
            "{text}"
        );
        assert!(
            text.contains("mod evcxr_internal_runtime {pub use ::regatta_cell::variables::*;\n")
        );
        assert!(!text.contains("USER_ERROR_OCCURRED") && !text.contains("pub const A"));
        assert!(text.contains("\n\nfn evcxr_regatta_body(\nmut s"), "{text}");
        assert!(text.contains(
            "match ::regatta_cell::variables::guarded(\n  std::panic::AssertUnwindSafe(||{\n"
        ));
        assert_eq!(text.matches("catch_unwind(f)").count(), 1, "the user's own");
        let line = |text: &str| {
            text.lines()
                .position(|line| line.contains("AssertUnwindSafe"))
                .unwrap()
        };
        assert_eq!(line(SOURCE), line(&text));
        assert!(
            text.trim_end()
                .ends_with("evcxr_regatta_body(store.cast()).cast()) } }"),
            "{text}"
        );
    }

    #[test]
    fn the_user_s_own_catching_stays() {
        let own = "match std::panic::catch_unwind(|| f()) { Ok(v) => v, Err(_) => 0 }";
        let evcxr = "if std::panic::catch_unwind(||{\n";
        let source = SOURCE.replace(
            "match std::panic::catch_unwind(\n  std::panic::AssertUnwindSafe(||{\n",
            &format!("{evcxr}{own}\n"),
        );
        let text = mended(&source).unwrap().edits.apply(&source);
        assert!(text.contains(own), "{text}");
        let guarding = "if ::regatta_cell::variables::guarded_alone(||{\n";
        assert!(text.contains(guarding) && !text.contains(evcxr), "{text}");
    }

    #[test]
    fn a_cell_of_definitions_alone_is_mended_too() {
        let body = SOURCE.find("match std::panic::catch_unwind(\n").unwrap();
        let text = mended(&format!("{}s\n}}\n", &SOURCE[..body]))
            .unwrap()
            .edits;
        let text = text.apply(&format!("{}s\n}}\n", &SOURCE[..body]));
        assert!(text.contains("fn evcxr_regatta_body("), "{text}");
        assert!(!text.contains("::store::panicked()"), "{text}");
    }

    #[test]
    fn what_cells_have_defined_is_measured() {
        let bytes = |source: &str| mended(source).unwrap().items;
        let functions = "fn user() {}\nstruct Boat { crew: u32 }\n";
        let before = bytes(SOURCE);
        assert_eq!(
            bytes(&format!("use a::b;\n{functions}{SOURCE}")) - before,
            functions.len() - 2
        );
    }

    #[test]
    fn a_cell_that_maps_is_known() {
        assert!(!mended(SOURCE).unwrap().maps);
        for own in [
            "let r = pool::map(v, f);",
            "dbg!(::regatta_cell::magic::asked(0));",
        ] {
            let source = SOURCE.replace("\ns\n}", &format!("\n{own}\ns\n}}"));
            assert!(mended(&source).unwrap().maps, "{own}");
        }
    }

    #[test]
    fn other_sources_are_left_alone() {
        assert!(mended("fn main() {}").is_none());
    }
}
