//! What a function means: its tokens, and those of all definitions of the session that it reaches by name. Two
//! functions of the same meaning give the same result for the same arguments, so the kept results of `%%memo` go
//! by it.
//!
//! Types are not known here, so more may be reached than is used: then something is computed again that need not
//! be, never the other way round.

use std::collections::{BTreeSet, HashMap, HashSet};

use ra_ap_syntax::ast::{self, HasName};
use ra_ap_syntax::{AstNode as _, SyntaxNode};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::statics::{Changes, identifiers, tokens};
use crate::outcome::{MadeOf, Part};

/// What tables of kept results are called by the code that `%%memo` writes out.
pub const TABLE: &str = "REGATTA_MEMO";

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

    /// The same for the same definitions, in whatever order and layout they stand, in every session with the same
    /// compiler and crates; and what it goes by.
    pub fn meaning(&self, item: &ast::Item, changes: &Changes) -> (u128, MadeOf) {
        let own = meant(item.syntax());
        let mut reached: BTreeSet<Vec<String>> = BTreeSet::from([own.clone()]);
        let mut crates: BTreeSet<Vec<String>> = BTreeSet::new();
        let mut seen: HashSet<usize> = HashSet::new();
        let mut names: HashSet<String> = HashSet::new();
        let mut open: Vec<String> = identifiers(item.syntax()).collect();
        let mut next: Vec<usize> = self.everywhere.clone();
        loop {
            while let Some(at) = next.pop() {
                if seen.insert(at) {
                    reached.insert(meant(self.items[at].syntax()));
                    open.extend(identifiers(self.items[at].syntax()));
                    // A format string and a macro's literal name what they capture.
                    open.extend(words_of_literals(self.items[at].syntax()));
                }
            }
            let Some(name) = open.pop() else { break };
            if names.insert(name.clone()) {
                if let Some(version) = changes.versions.get(&name) {
                    crates.insert(vec![name.clone(), version.clone()]);
                }
                next.extend(self.named.get(&name).into_iter().flatten());
            }
        }
        let mut hasher = Xxh3::new();
        // The function is told from another one that reaches the same.
        let lists = [&own].into_iter().chain(&reached).chain(&crates);
        for list in lists {
            hasher.update(&(list.len() as u64).to_le_bytes());
            for text in list {
                hasher.update(&(text.len() as u64).to_le_bytes());
                hasher.update(text.as_bytes());
            }
        }
        hasher.update(changes.rustc.as_bytes());
        let others = seen.iter().map(|at| &self.items[*at]);
        let mut items: Vec<Part> = others.filter(|other| *other != item).map(part).collect();
        items.sort_by(|one, other| (&one.name, one.tokens).cmp(&(&other.name, other.tokens)));
        let made_of = MadeOf {
            function: part(item),
            items,
            crates: crates
                .into_iter()
                .filter_map(|two| <[String; 2]>::try_from(two).ok())
                .map(|[name, version]| (name, version))
                .collect(),
            rustc: changes.rustc.clone(),
        };
        (hasher.digest128(), made_of)
    }
}

/// An item's tokens, but for how much is kept of its results and how long.
fn meant(item: &SyntaxNode) -> Vec<String> {
    let mut all = tokens(item);
    let mut statics = item.descendants().filter_map(ast::Static::cast);
    if let Some(table) = statics.find(keeps_results) {
        let about = tokens(table.syntax());
        let found = all.windows(about.len()).position(|some| some == about);
        if let Some(at) = found {
            all.drain(at..at + about.len());
        }
    }
    all
}

/// An item as it is compared with what it was before.
fn part(item: &ast::Item) -> Part {
    let head = |node: Option<ast::Type>| node.map_or_else(String::new, |node| node.to_string());
    let name = match item {
        ast::Item::Impl(item) => match item.trait_() {
            Some(of) => format!("impl {of} for {}", head(item.self_ty())),
            None => format!("impl {}", head(item.self_ty())),
        },
        ast::Item::Use(item) => item.to_string().trim_end_matches(';').to_owned(),
        other => item_name(other).map_or_else(String::new, |name| name.text().to_string()),
    };
    Part {
        name,
        tokens: xxh3_64(meant(item.syntax()).join("\0").as_bytes()),
        text: as_written(item),
    }
}

/// The text of an item without what `%%memo` has put around a function's body.
fn as_written(item: &ast::Item) -> String {
    let text = item.syntax().text().to_string();
    let unwrapped = || {
        let mut statics = item.syntax().descendants().filter_map(ast::Static::cast);
        let table = statics.find(keeps_results)?.syntax().text_range().start();
        let ast::Item::Fn(function) = item else {
            return None;
        };
        let mut closures = item
            .syntax()
            .descendants()
            .filter_map(ast::ClosureExpr::cast);
        let inner = closures.find_map(|closure| {
            let behind = closure.syntax().text_range().start() > table;
            let body = ast::BlockExpr::cast(closure.body()?.syntax().clone())?;
            (behind && closure.ret_type().is_some()).then(|| body.stmt_list())?
        })?;
        let outer = function.body()?.stmt_list()?;
        let start = item.syntax().text_range().start();
        let end = |token: ra_ap_syntax::SyntaxToken| usize::from(token.text_range().end() - start);
        let begin =
            |token: ra_ap_syntax::SyntaxToken| usize::from(token.text_range().start() - start);
        Some(
            text[..end(outer.l_curly_token()?)].to_owned()
                + &text[end(inner.l_curly_token()?)..begin(inner.r_curly_token()?)]
                + &text[begin(outer.r_curly_token()?)..],
        )
    };
    unwrapped().unwrap_or(text)
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
    use crate::cell::{Keeping, memoised};

    /// The meaning of `f`.
    fn of(source: &str) -> u128 {
        let file = SourceFile::parse(source, Edition::Edition2024).tree();
        let items: Vec<ast::Item> = file.items().collect();
        let f = items
            .iter()
            .find(|item| item_name(item).is_some_and(|name| name.text() == "f"));
        Meanings::of(&items)
            .meaning(f.unwrap(), &Changes::default())
            .0
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
    #[test]
    fn what_is_kept_how_long_is_no_part_of_it_and_crates_and_the_compiler_are() {
        let f = |table: &str| {
            format!("fn f() -> u8 {{ static REGATTA_MEMO: Memo<u8> = {table}; rand::random() }}")
        };
        let own = f("Memo::new().of(\"f\", 1, 0)");
        assert_eq!(of(&own), of(&f("Memo::new().of(\"f\", 9, 50)")));
        let meaning = |changes: &Changes| {
            let file = SourceFile::parse(&own, Edition::Edition2024).tree();
            let items: Vec<ast::Item> = file.items().collect();
            Meanings::of(&items).meaning(&items[0], changes).0
        };
        let with = |name: &str, version: &str, rustc: &str| {
            meaning(&Changes {
                versions: [(name.to_owned(), version.to_owned())].into(),
                rustc: rustc.to_owned(),
                ..Changes::default()
            })
        };
        let one = with("rand", "1.0", "1.95");
        assert_eq!(one, with("rand", "1.0", "1.95"));
        assert_ne!(one, with("rand", "1.1", "1.95"));
        assert_ne!(one, with("rand", "1.0", "1.96"));
        assert_eq!(with("other", "1", "1.95"), with("other", "2", "1.95"));
    }

    #[test]
    fn what_it_goes_by_is_told_as_the_user_wrote_it() {
        let written =
            "fn f(n: u64) -> u64 {\n    let by = |a: u64| -> u64 { a };\n    g(by(n)) // why\n}";
        let (edits, _) = memoised(written, Keeping::default()).unwrap();
        let source = edits.apply(written)
            + "\nfn g(n: u64) -> u64 { N(n).0 }\nstruct N(u64);\nimpl N { fn m() {} }\nfn other() {}";
        let file = SourceFile::parse(&source, Edition::Edition2024).tree();
        let items: Vec<ast::Item> = file.items().collect();
        let changes = Changes {
            rustc: "rustc 1".to_owned(),
            ..Changes::default()
        };
        let (_, made_of) = Meanings::of(&items).meaning(&items[0], &changes);
        assert_eq!(made_of.function.text, written);
        assert_eq!(made_of.function.name, "f");
        let names = made_of.items.iter().map(|item| item.name.as_str());
        assert_eq!(names.collect::<Vec<_>>(), ["N", "g", "impl N"]);
        assert_eq!(made_of.rustc, "rustc 1");
    }
}
