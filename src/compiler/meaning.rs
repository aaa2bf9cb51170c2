//! What a function means: its tokens, and those of all definitions of the session that it reaches by name. Two
//! functions of the same meaning give the same result for the same arguments, so the kept results of `%%memo` go
//! by it.
//!
//! Types are not known here, so more may be reached than is used: then something is computed again that need not
//! be, never the other way round.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use ra_ap_syntax::ast::{self, HasName};
use ra_ap_syntax::{AstNode as _, SyntaxNode};

use super::statics::{Changes, identifiers, tokens};

/// What tables of kept results are called by the code that `%%memo` writes out.
const TABLE: &str = "REGATTA_MEMO";

/// Whether a static is a table of kept results.
pub fn keeps_results(found: &ast::Static) -> bool {
    found.name().is_some_and(|name| name.text() == TABLE)
}

/// The definitions of a source by the names under which they may be reached.
pub struct Meanings<'a> {
    items: &'a [ast::Item],
    named: HashMap<String, Vec<usize>>,
    /// `use …::*`: may mean any name.
    everywhere: Vec<usize>,
}

impl<'a> Meanings<'a> {
    pub fn of(items: &'a [ast::Item]) -> Self {
        let mut found = Self {
            items,
            named: HashMap::new(),
            everywhere: Vec::new(),
        };
        for (at, item) in items.iter().enumerate() {
            let names: HashSet<String> = match item {
                ast::Item::Impl(item) => {
                    let heads = item.self_ty().into_iter().chain(item.trait_());
                    let mut names: HashSet<String> = heads
                        .flat_map(|head| identifiers(head.syntax()).collect::<Vec<_>>())
                        .collect();
                    names.extend(names_in(item.syntax()));
                    names
                }
                ast::Item::Use(item) => {
                    let text = item.syntax().text().to_string();
                    if text.contains('*') && !text.contains("regatta_cell") {
                        found.everywhere.push(at);
                    }
                    identifiers(item.syntax()).collect()
                }
                // Its functions are called as methods, the variants and modules by their own names.
                other => names_in(other.syntax()).collect(),
            };
            for name in names {
                found.named.entry(name).or_default().push(at);
            }
        }
        found
    }

    /// The same for the same definitions, in whatever order and layout they stand.
    pub fn meaning(&self, item: &ast::Item, changes: &Changes) -> u64 {
        let mut reached: BTreeSet<Vec<String>> = BTreeSet::from([tokens(item.syntax())]);
        let mut crates: BTreeSet<(String, u64)> = BTreeSet::new();
        let mut seen: HashSet<usize> = HashSet::new();
        let mut names: HashSet<String> = HashSet::new();
        let mut open: Vec<String> = identifiers(item.syntax()).collect();
        let mut next: Vec<usize> = self.everywhere.clone();
        loop {
            while let Some(at) = next.pop() {
                if seen.insert(at) {
                    reached.insert(tokens(self.items[at].syntax()));
                    open.extend(identifiers(self.items[at].syntax()));
                    // A format string and a macro's literal name what they capture.
                    open.extend(words_of_literals(self.items[at].syntax()));
                }
            }
            let Some(name) = open.pop() else { break };
            if names.insert(name.clone()) {
                if let Some(count) = changes.crates.get(&name) {
                    crates.insert((name.clone(), *count));
                }
                next.extend(self.named.get(&name).into_iter().flatten());
            }
        }
        let mut hasher = DefaultHasher::new();
        // The function is told from another one that reaches the same.
        (tokens(item.syntax()), reached, crates).hash(&mut hasher);
        hasher.finish()
    }
}

/// The names of an item and of what is defined in it.
fn names_in(node: &SyntaxNode) -> impl Iterator<Item = String> + use<> {
    let defined = node.descendants().filter_map(|node| {
        let name = ast::Item::cast(node.clone())
            .and_then(|item| item_name(&item))
            .or_else(|| ast::AssocItem::cast(node).and_then(|item| assoc_name(&item)))?;
        Some(name.text().trim_start_matches("r#").to_owned())
    });
    defined.collect::<Vec<_>>().into_iter()
}

fn item_name(item: &ast::Item) -> Option<ast::Name> {
    match item {
        ast::Item::Fn(item) => item.name(),
        ast::Item::Struct(item) => item.name(),
        ast::Item::Enum(item) => item.name(),
        ast::Item::Union(item) => item.name(),
        ast::Item::TypeAlias(item) => item.name(),
        ast::Item::Const(item) => item.name(),
        ast::Item::Static(item) => item.name(),
        ast::Item::Trait(item) => item.name(),
        ast::Item::Module(item) => item.name(),
        ast::Item::MacroRules(item) => item.name(),
        ast::Item::MacroDef(item) => item.name(),
        _ => None,
    }
}

fn assoc_name(item: &ast::AssocItem) -> Option<ast::Name> {
    match item {
        ast::AssocItem::Fn(item) => item.name(),
        ast::AssocItem::Const(item) => item.name(),
        ast::AssocItem::TypeAlias(item) => item.name(),
        ast::AssocItem::MacroCall(_) => None,
    }
}

/// The words in an item's string literals, which a format string captures.
fn words_of_literals(node: &SyntaxNode) -> Vec<String> {
    let literals = tokens(node)
        .into_iter()
        .filter(|token| token.contains('{') && token.contains('"'));
    literals
        .flat_map(|text| {
            let words = text.split(|c: char| c != '_' && !c.is_alphanumeric());
            words.map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use ra_ap_syntax::ast::HasModuleItem as _;
    use ra_ap_syntax::{Edition, SourceFile};

    use super::*;

    /// The meaning of `f`.
    fn of(source: &str) -> u64 {
        let file = SourceFile::parse(source, Edition::Edition2024).tree();
        let items: Vec<ast::Item> = file.items().collect();
        let f = items
            .iter()
            .find(|item| item_name(item).is_some_and(|name| name.text() == "f"));
        Meanings::of(&items).meaning(f.unwrap(), &Changes::default())
    }

    #[test]
    fn what_a_function_reaches_is_its_meaning() {
        const F: &str = "fn f(n: u64) -> u64 { g(n).area() + n.twice() + m!(n) }\n";
        const REST: [&str; 7] = [
            "fn g(n: u64) -> Boat { Boat(n * SCALE) }\n",
            "const SCALE: u64 = 3;\n",
            "struct Boat(u64);\n",
            "impl Boat { fn area(&self) -> u64 { self.0 } }\n",
            "trait Twice { fn twice(self) -> u64; } \n",
            "impl Twice for u64 { fn twice(self) -> u64 { 2 * self } }\n",
            "macro_rules! m { ($n:expr) => { $n + 1 } }\n",
        ];
        let whole = F.to_owned() + &REST.concat();
        for at in 0..REST.len() {
            let mut other = REST;
            let changed = REST[at]
                .replace(['1', '2', '3', '0'], "7")
                .replace("u64", "u32");
            assert_ne!(changed, REST[at]);
            other[at] = &changed;
            assert_ne!(
                of(&whole),
                of(&(F.to_owned() + &other.concat())),
                "{changed}"
            );
        }
        let mut turned = REST;
        turned.reverse();
        let laid_out =
            "// why\nfn f(n: u64)\n    -> u64 {\n    g(n).area() + n.twice() /* so */ + m!(n)\n}\n";
        let others = "fn unrelated() { f(1); }\nstruct Other;\n";
        let same = turned.concat() + others + laid_out;
        assert_eq!(
            of(&whole),
            of(&same),
            "order, layout, comments, what it does not reach"
        );
        assert_ne!(
            of(&whole),
            of(&whole.replace("g(n).area()", "1 + g(n).area()"))
        );
    }
}
