//! Types as texts taken apart by Rust's parser: what they are called, and what they are types of.

use ra_ap_syntax::ast::{self, HasGenericArgs as _};
use ra_ap_syntax::{AstNode as _, Edition, SourceFile};

/// A type in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `std::vec::Vec<u8>`: the last name of its path, and the types in its brackets.
    Named {
        name: String,
        arguments: Vec<String>,
    },
    /// `[u8; 3]`: what its elements are.
    Array(String),
    /// A reference, a tuple, a closure, …
    Other,
}

impl Kind {
    pub fn of(text: &str) -> Self {
        let file = SourceFile::parse(&format!("const _: {text} = f();"), Edition::Edition2024);
        let kind = file.syntax_node().descendants().find_map(ast::Type::cast);
        match kind.filter(|kind| kind.syntax().text() == text.trim()) {
            Some(ast::Type::PathType(path)) => named(&path).unwrap_or(Self::Other),
            Some(ast::Type::ArrayType(array)) => array
                .ty()
                .map_or(Self::Other, |element| Self::Array(element.to_string())),
            _ => Self::Other,
        }
    }

    /// The only type in the brackets of a type of this name: `u8` of `Vec<u8>`.
    pub fn only_argument(&self, wanted: &str) -> Option<&str> {
        match self {
            Self::Named { name, arguments } if name == wanted => match arguments.as_slice() {
                [only] => Some(only),
                _ => None,
            },
            _ => None,
        }
    }
}

fn named(path: &ast::PathType) -> Option<Kind> {
    let segment = path.path()?.segment()?;
    let list = segment.generic_arg_list();
    let arguments = list.iter().flat_map(|list| list.generic_args());
    let types = arguments.filter_map(|argument| match argument {
        ast::GenericArg::TypeArg(argument) => Some(argument.ty()?.to_string()),
        _ => None,
    });
    Some(Kind::Named {
        name: segment.name_ref()?.text().to_string(),
        arguments: types.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn types_have_names_and_parts() {
        let named = |name: &str, arguments: &[&str]| Kind::Named {
            name: name.to_owned(),
            arguments: arguments.iter().map(|&text| text.to_owned()).collect(),
        };
        for (text, kind) in [
            ("u8", named("u8", &[])),
            ("std::vec::Vec<Vec<u8>>", named("Vec", &["Vec<u8>"])),
            (
                "HashMap<u8, (f64, Vec<u8>)>",
                named("HashMap", &["u8", "(f64, Vec<u8>)"]),
            ),
            ("std::io::Result<()>", named("Result", &["()"])),
            ("[Vec<u8>; 3]", Kind::Array("Vec<u8>".to_owned())),
            ("&'static str", Kind::Other),
            ("(u8, Vec<u8>)", Kind::Other),
            ("{closure@src/lib.rs:1:2: 3:4}", Kind::Other),
            ("", Kind::Other),
        ] {
            assert_eq!(Kind::of(text), kind, "{text}");
        }
        assert_eq!(Kind::of("Vec<u8>").only_argument("Vec"), Some("u8"));
        assert_eq!(Kind::of("Vec<u8>").only_argument("Job"), None);
    }
}
