//! One static for all cells. Each artifact contains every definition of the session anew, its statics too. A
//! static that carries a name of its own as its symbol is the same for all artifacts of a process: the dynamic
//! linker gives to every one of them the first that was loaded.
//!
//! The symbol is made of the item in which the static stands and of whatever has changed under the names that
//! the item uses: a static that was redefined, or whose type was, is a new one. Statics in a cell's own
//! statements belong to that cell and keep to it.
//!
//! The table of a function in `%%memo` goes by the function's meaning instead (`super::meaning`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use ra_ap_syntax::ast::{self, HasAttrs as _, HasModuleItem as _, HasName as _};
use ra_ap_syntax::{AstNode as _, Edition, SourceFile, SyntaxKind, SyntaxNode};

use super::generated::ENTRY;
use super::meaning::{Meanings, keeps_results};
use crate::cell::Edits;

/// What all symbols of shared statics begin with.
pub const SYMBOL: &str = "regatta_static_";

/// Attributes by which a static has a symbol already.
const OWN_SYMBOL: [&str; 2] = ["export_name", "no_mangle"];
/// Attributes of statics that must not have one.
const ELSEWHERE: [&str; 2] = ["link_name", "thread_local"];

/// How often what a name means has changed in this session: of the user's definitions, and of crates. Names
/// that never changed may be missing.
#[derive(Debug, Default)]
pub struct Changes {
    pub definitions: BTreeMap<String, u64>,
    pub crates: HashMap<String, u64>,
    /// Which version of each crate cells are built with, and by which compiler: the same in all sessions. Known where a
    /// function keeps its results.
    pub versions: HashMap<String, String>,
    pub rustc: String,
}

/// The edits that give a symbol to each static of `source`, the whole of a cell's generated source.
pub fn shared(source: &str, changes: &Changes) -> Edits {
    let mut edits = Edits::default();
    if !source.contains("static") {
        return edits;
    }
    let file = SourceFile::parse(source, Edition::Edition2024).tree();
    let items: Vec<ast::Item> = file.items().filter(|item| !is_generated(item)).collect();
    let mut given: BTreeSet<String> = BTreeSet::new();
    let mut names = None;
    let mut meanings = None;
    for item in &items {
        for (ordinal, found) in item
            .syntax()
            .descendants()
            .filter_map(ast::Static::cast)
            .filter(may_be_shared)
            .enumerate()
        {
            let Some(name) = found.name() else { continue };
            let names = names.get_or_insert_with(|| Names::of(&items));
            if let Some(own) = own_symbol(&found) {
                // The first that was loaded is everyone's, so one that has changed cannot go by its own name.
                if names.changes(item.syntax(), changes).is_empty() {
                    continue;
                }
                let range = own.syntax().text_range();
                edits.remove(source, range.start().into()..range.end().into());
            }
            let mut hasher = DefaultHasher::new();
            (tokens(item.syntax()), ordinal).hash(&mut hasher);
            names.changes(item.syntax(), changes).hash(&mut hasher);
            let mut symbol = format!("{SYMBOL}{:016x}_{}", hasher.finish(), name.text());
            if keeps_results(&found) {
                let names = meanings.get_or_insert_with(|| Meanings::of(&items));
                let (meaning, made_of) = names.meaning(item, changes);
                let mut hasher = DefaultHasher::new();
                // With how much is kept, and how long.
                tokens(found.syntax()).hash(&mut hasher);
                symbol = format!(
                    "{SYMBOL}{meaning:032x}_{:016x}_{}",
                    hasher.finish(),
                    name.text()
                );
                if let Some(end) = found.semicolon_token() {
                    let (upper, lower) = ((meaning >> 64) as u64, meaning as u64);
                    let end = end.text_range().start().into();
                    let made_of = serde_json::to_string(&made_of).unwrap_or_default();
                    edits.insert(end, format!(".meaning({upper}, {lower}, {made_of:?})"));
                }
            }
            // Two items of the same text, such as `const _`.
            while !given.insert(symbol.clone()) {
                symbol.push('_');
            }
            edits.insert(
                after_attributes(&found),
                format!("#[unsafe(export_name = \"{symbol}\")] "),
            );
        }
    }
    edits
}

/// The entry function with the user's statements, and what evcxr adds.
fn is_generated(item: &ast::Item) -> bool {
    let name = match item {
        ast::Item::Fn(item) => item.name(),
        ast::Item::Module(item) => item.name(),
        _ => None,
    };
    name.is_some_and(|name| {
        let name = name.text();
        name.starts_with(ENTRY) || name.starts_with("evcxr_")
    })
}

fn may_be_shared(found: &ast::Static) -> bool {
    let foreign = |node: SyntaxNode| node.kind() == SyntaxKind::EXTERN_ITEM_LIST;
    let elsewhere = found.attrs().any(|attr| names_one_of(&attr, &ELSEWHERE));
    !found.syntax().ancestors().any(foreign) && !elsewhere
}

fn own_symbol(found: &ast::Static) -> Option<ast::Attr> {
    found.attrs().find(|attr| names_one_of(attr, &OWN_SYMBOL))
}

fn names_one_of(attr: &ast::Attr, names: &[&str]) -> bool {
    let text = attr.syntax().text().to_string();
    names.iter().any(|name| text.contains(name))
}

/// Where the static begins behind its attributes and documentation.
fn after_attributes(found: &ast::Static) -> usize {
    let attribute = |kind| {
        matches!(
            kind,
            SyntaxKind::ATTR | SyntaxKind::COMMENT | SyntaxKind::WHITESPACE
        )
    };
    let start = found
        .syntax()
        .children_with_tokens()
        .find(|child| !attribute(child.kind()))
        .map_or(found.syntax().text_range().start(), |child| {
            child.text_range().start()
        });
    start.into()
}

/// The text without what only lays it out.
pub(super) fn tokens(node: &SyntaxNode) -> Vec<String> {
    node.descendants_with_tokens()
        .filter_map(ra_ap_syntax::NodeOrToken::into_token)
        .filter(|token| !matches!(token.kind(), SyntaxKind::WHITESPACE | SyntaxKind::COMMENT))
        .map(|token| token.text().to_owned())
        .collect()
}

pub(super) fn identifiers(node: &SyntaxNode) -> impl Iterator<Item = String> {
    node.descendants_with_tokens()
        .filter_map(ra_ap_syntax::NodeOrToken::into_token)
        .filter(|token| token.kind() == SyntaxKind::IDENT)
        .map(|token| token.text().trim_start_matches("r#").to_owned())
}

/// What the names of a source stand for, as far as a static's bytes may depend on it.
struct Names {
    /// The identifiers of a definition.
    meant: HashMap<String, Vec<String>>,
    /// The identifiers of `use …::*`, which may mean any name.
    globs: Vec<String>,
}

impl Names {
    fn of(items: &[ast::Item]) -> Self {
        let mut names = Self {
            meant: HashMap::new(),
            globs: Vec::new(),
        };
        for item in items {
            let name = match item {
                ast::Item::Struct(item) => item.name(),
                ast::Item::Enum(item) => item.name(),
                ast::Item::Union(item) => item.name(),
                ast::Item::TypeAlias(item) => item.name(),
                ast::Item::Const(item) => item.name(),
                ast::Item::Trait(item) => item.name(),
                ast::Item::Module(item) => item.name(),
                ast::Item::MacroRules(item) => item.name(),
                ast::Item::Use(item) => {
                    if let Some(tree) = item.use_tree() {
                        names.add_use(&tree, &[]);
                    }
                    None
                }
                _ => None,
            };
            if let Some(name) = name {
                let meant = identifiers(item.syntax());
                let name = name.text().trim_start_matches("r#").to_owned();
                names.meant.entry(name).or_default().extend(meant);
            }
        }
        names
    }

    fn add_use(&mut self, tree: &ast::UseTree, before: &[String]) {
        let mut path = before.to_vec();
        path.extend(
            tree.path()
                .iter()
                .flat_map(|path| identifiers(path.syntax())),
        );
        if let Some(list) = tree.use_tree_list() {
            for tree in list.use_trees() {
                self.add_use(&tree, &path);
            }
        } else if tree.star_token().is_some() {
            // The prelude of every cell: no static is made of what it brings in.
            if path.first().is_none_or(|first| first != "regatta_cell") {
                self.globs.extend(path);
            }
        } else {
            let alias = tree.rename().and_then(|rename| rename.name());
            let name = alias.map(|name| name.text().to_string());
            if let Some(name) = name.or_else(|| path.last().cloned()) {
                self.meant.entry(name).or_default().extend(path);
            }
        }
    }

    /// What has changed of all that an item is made of, in order.
    fn changes(&self, item: &SyntaxNode, changes: &Changes) -> BTreeSet<(String, u64, u64)> {
        let mut found = BTreeSet::new();
        if changes.definitions.is_empty() && changes.crates.is_empty() {
            return found;
        }
        let mut seen: BTreeSet<String> = BTreeSet::new();
        let mut open: Vec<String> = identifiers(item)
            .chain(self.globs.iter().cloned())
            .collect();
        while let Some(name) = open.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            let definitions = changes.definitions.get(&name).copied().unwrap_or(0);
            let counts = (definitions, changes.crates.get(&name).copied().unwrap_or(0));
            if counts != (0, 0) {
                found.insert((name.clone(), counts.0, counts.1));
            }
            open.extend(self.meant.get(&name).into_iter().flatten().cloned());
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols(source: &str, changes: &Changes) -> Vec<String> {
        let text = shared(source, changes).apply(source);
        assert_eq!(text.lines().count(), source.lines().count());
        text.match_indices(SYMBOL)
            .map(|(at, _)| text[at..].split('"').next().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn each_static_outside_the_cell_s_own_statements_gets_a_symbol() {
        let source = "/// how many\n#[allow(dead_code)] pub(crate) static N: u8 = 1;\n\
            fn f<T>() { static C: u8 = 2; { static C: u8 = 3; } }\n\
            impl S { fn m() { static mut C: u8 = 4; } }\n\
            mod m { pub mod n { pub static N: u8 = 1; } }\n\
            extern \"C\" { static environ: u8; }\n\
            #[unsafe(no_mangle)] static OWN: u8 = 1;\n\
            macro_rules! m { ($n:ident) => { static $n: u8 = 1; } }\n\
            fn run_user_code_3() { static HERE: u8 = 1; let x: &'static str = \"static Q: u8\"; }";
        let found = symbols(source, &Changes::default());
        let unique: BTreeSet<&String> = found.iter().collect();
        assert_eq!(found.len(), 5, "{found:?}");
        assert_eq!(unique.len(), 5);
        let text = shared(source, &Changes::default()).apply(source);
        assert!(
            text.contains("#[allow(dead_code)] #[unsafe(export_name"),
            "{text}"
        );
        assert!(text.contains(")] pub(crate) static N"), "{text}");
    }

    #[test]
    fn a_static_is_new_when_it_or_what_it_is_made_of_has_changed() {
        let none = Changes::default();
        let one = |source: &str, changes: &Changes| symbols(source, changes).remove(0);
        let first = one("static N: u8 = 1;", &none);
        assert_eq!(first, one("// why\nstatic N :\n u8 = 1;\nfn g() {}", &none));
        assert_ne!(first, one("static N: u8 = 2;", &none));
        let again = Changes {
            definitions: [("N".to_owned(), 2), ("other".to_owned(), 1)].into(),
            ..Changes::default()
        };
        assert_ne!(first, one("static N: u8 = 1;", &again));

        let made_of =
            "static G: Option<W> = None;\nstruct W(Rt);\nuse dep::sub::{Runtime as Rt, Other};";
        let unrelated = Changes {
            definitions: [("Other".to_owned(), 3)].into(),
            crates: [("log".to_owned(), 1)].into(),
            ..Changes::default()
        };
        assert_eq!(one(made_of, &none), one(made_of, &unrelated));
        for rebuilt in [1, 2] {
            let changed = Changes {
                crates: [("dep".to_owned(), rebuilt)].into(),
                ..Changes::default()
            };
            assert_ne!(one(made_of, &none), one(made_of, &changed));
            assert_ne!(first, one("static N: u8 = 1;\nuse dep::*;", &changed));
        }
        let aliased = Changes {
            definitions: [("Rt".to_owned(), 1)].into(),
            ..Changes::default()
        };
        assert_ne!(one(made_of, &none), one(made_of, &aliased));
    }

    #[test]
    fn a_symbol_of_the_user_s_lasts_until_its_static_changes() {
        let source = "#[unsafe(no_mangle)]\npub static OWN: [u8; 3] = [1; 3];";
        assert!(symbols(source, &Changes::default()).is_empty());
        let changed = Changes {
            definitions: [("OWN".to_owned(), 1)].into(),
            ..Changes::default()
        };
        assert_eq!(symbols(source, &changed).len(), 1);
        let text = shared(source, &changed).apply(source);
        assert!(!text.contains("no_mangle"), "{text}");
    }

    #[test]
    fn equal_items_have_statics_of_their_own() {
        let found = symbols(
            "const _: () = { static A: u8 = 1; };\nconst _: () = { static A: u8 = 1; };",
            &Changes::default(),
        );
        assert_ne!(found[0], found[1]);
    }
}
