//! What an `impl` is for and what is in it: which one an edited one replaces.

use std::collections::BTreeSet;
use std::ops::Range;

use ra_ap_syntax::ast::{self, HasGenericParams as _, HasName as _};
use ra_ap_syntax::{AstNode as _, SyntaxNode};

use super::edits::Edits;
use super::syntax::{Tree, read};
use super::words::normalised;

/// An `impl`, of whose members those with a name are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Impl {
    /// Trait and type, in which it does not matter how the parameters are called and bounded.
    pub header: String,
    pub of_trait: bool,
    members: Vec<Member>,
    /// Something in it has no name: what a macro makes.
    has_unnamed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Member {
    name: String,
    /// Bytes of the item's text.
    span: Range<usize>,
    /// What types can be made of: a constant, a type or a `const fn`, without what is layout alone.
    makes_types: Option<String>,
}

/// What an `impl` says that types can be made of: its constants, its types and its `const fn`s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Associated {
    /// Tells it from those of other `impl`s.
    pub key: String,
    pub name: String,
    pub text: String,
}

/// What an `impl` is; `None` for other text.
pub fn implementation(item: &str) -> Option<Impl> {
    let look = |tree: &Tree| {
        let found = tree.statements().find_map(ast::Impl::cast)?;
        let self_type = found.self_ty()?;
        let parameters = parameters(&found);
        let mut seen = Vec::new();
        let of_trait = found.trait_().map(|of_trait| {
            let not = if found.excl_token().is_some() {
                "! "
            } else {
                ""
            };
            let of_trait = spelled(of_trait.syntax(), &parameters, &mut seen);
            format!("{not}{of_trait} for ")
        });
        let self_type = spelled(self_type.syntax(), &parameters, &mut seen);
        let mut members = Vec::new();
        let mut has_unnamed = false;
        for member in found.assoc_item_list()?.assoc_items() {
            let Some(name) = name(&member) else {
                has_unnamed = true;
                continue;
            };
            let makes_types = match &member {
                ast::AssocItem::Fn(function) => function.const_token().is_some(),
                _ => true,
            };
            let text = || normalised(&member.syntax().text().to_string());
            members.push(Member {
                name,
                span: tree.span(member.syntax()),
                makes_types: makes_types.then(text),
            });
        }
        Some(Impl {
            header: format!("{}{self_type}", of_trait.as_deref().unwrap_or_default()),
            of_trait: of_trait.is_some(),
            members,
            has_unnamed,
        })
    };
    read(item, look).flatten()
}

fn name(member: &ast::AssocItem) -> Option<String> {
    let name = match member {
        ast::AssocItem::Const(item) => item.name(),
        ast::AssocItem::TypeAlias(item) => item.name(),
        ast::AssocItem::Fn(item) => item.name(),
        ast::AssocItem::MacroCall(_) => None,
    };
    Some(name?.text().trim_start_matches("r#").to_owned())
}

/// The names of an `impl`'s own parameters, lifetimes with their tick.
fn parameters(item: &ast::Impl) -> BTreeSet<String> {
    let list = item.generic_param_list();
    let parameters = list.into_iter().flat_map(|list| list.generic_params());
    let name = |parameter: ast::GenericParam| {
        Some(match parameter {
            ast::GenericParam::TypeParam(parameter) => parameter.name()?.text().to_string(),
            ast::GenericParam::ConstParam(parameter) => parameter.name()?.text().to_string(),
            ast::GenericParam::LifetimeParam(parameter) => parameter.lifetime()?.text().to_string(),
        })
    };
    parameters.filter_map(name).collect()
}

/// The tokens of a type, its parameters numbered in the order in which they appear.
fn spelled(node: &SyntaxNode, parameters: &BTreeSet<String>, seen: &mut Vec<String>) -> String {
    let tokens = node
        .descendants_with_tokens()
        .filter_map(|element| element.into_token())
        .filter(|token| !token.kind().is_trivia());
    let words = tokens.map(|token| {
        let word = token.text().to_owned();
        if !parameters.contains(&word) {
            return word;
        }
        let number = seen.iter().position(|other| *other == word);
        let number = number.unwrap_or_else(|| {
            seen.push(word);
            seen.len() - 1
        });
        format!("#{number}")
    });
    words.collect::<Vec<_>>().join(" ")
}

impl Impl {
    /// What is left of this one, which was written as `text`, when `later` is there: all of it (`None`), nothing
    /// (an empty text), or what `later` has not. Its lines stay where they are.
    pub fn left_by(&self, text: &str, later: &Self) -> Option<String> {
        if self.header != later.header || self.of_trait != later.of_trait {
            return None;
        }
        if self.of_trait {
            return Some(String::new());
        }
        let is_gone = |member: &&Member| later.members.iter().any(|new| new.name == member.name);
        let gone: Vec<&Member> = self.members.iter().filter(is_gone).collect();
        if gone.is_empty() {
            return None;
        }
        if gone.len() == self.members.len() && !self.has_unnamed {
            return Some(String::new());
        }
        let mut edits = Edits::default();
        for member in gone {
            edits.remove(text, member.span.clone());
        }
        Some(edits.apply(text))
    }

    /// What types can be made of.
    pub fn associated(&self) -> impl Iterator<Item = Associated> {
        self.members.iter().filter_map(|member| {
            Some(Associated {
                key: format!("{}::{}", self.header, member.name),
                name: member.name.clone(),
                text: member.makes_types.clone()?,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_the_trait_and_the_type_alone() {
        let header = |item: &str| implementation(item).unwrap().header;
        for same in [
            [
                "impl A {}",
                "/// Why.\n#[cfg(all())]\nimpl  A/* why */ { fn f() {} }",
            ],
            ["impl<T> W<T> {}", "impl<U: Copy> W<U> where U: Send {}"],
            [
                "impl<'a, const N: usize> Tr<'a> for [u8; N] {}",
                "impl<'b, const M: usize> Tr<'b> for [u8; M] {}",
            ],
            [
                "unsafe impl Send for A {}",
                "unsafe impl Send for A where {}",
            ],
        ] {
            assert_eq!(header(same[0]), header(same[1]));
        }
        for other in [
            ["impl A {}", "impl B {}"],
            ["impl A {}", "impl Tr for A {}"],
            ["impl Tr for A {}", "impl Ts for A {}"],
            ["impl<T> W<T> {}", "impl W<T> {}"],
            ["impl W<u8> {}", "impl W<u16> {}"],
            [
                "impl<A, B> Tr<A> for W<B> {}",
                "impl<A, B> Tr<A> for W<A> {}",
            ],
        ] {
            assert_ne!(header(other[0]), header(other[1]));
        }
        assert_eq!(implementation("fn f() {}"), None);
    }

    #[test]
    fn a_later_impl_leaves_what_it_has_not() {
        let old =
            "impl A {\n    /// One.\n    fn f(&self) -> u8 {\n        1\n    }\n    fn g() {}\n}";
        let left = |old: &str, later: &str| {
            let [old_impl, later] = [old, later].map(|item| implementation(item).unwrap());
            old_impl.left_by(old, &later)
        };
        assert_eq!(left(old, "impl A { fn h() {} }"), None);
        assert_eq!(left(old, "impl B { fn f() {} }"), None);
        assert_eq!(left(old, "impl Tr for A { fn f() {} }"), None);
        assert_eq!(
            left(old, "impl A { fn f() {} }").as_deref(),
            Some("impl A {\n    \n\n\n\n    fn g() {}\n}")
        );
        assert_eq!(
            left(old, "impl A { const f: u8 = 1; fn r#g() {} }").as_deref(),
            Some("")
        );
        assert_eq!(
            left("impl A { fn f() {} more!(); }", "impl A { fn f() {} }").as_deref(),
            Some("impl A {  more!(); }")
        );
        assert_eq!(
            left("impl Tr for A { fn f() {} }", "impl Tr for A {}").as_deref(),
            Some("")
        );
    }
}
