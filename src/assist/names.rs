//! Names of the analysis as candidates: which of them are meant by what has been typed, in what order, and what
//! is inserted for them.

use std::collections::HashSet;

use super::code::Code;
use super::complete::{Candidate, Kind};
use crate::compiler::analysis::{self, Name};

/// What stands around the name.
pub(super) struct Around<'t> {
    /// The part of the name that has been typed.
    pub typed: &'t str,
    /// The code before that.
    pub before: &'t str,
    /// The text behind the cursor.
    pub behind: &'t str,
    /// A name is wanted, and no call of it.
    pub as_value: bool,
}

impl<'t> Around<'t> {
    /// What stands around the cursor, where a name can be completed.
    pub fn at(text: &'t str, cursor: usize, code: &Code) -> Option<Self> {
        let head = &text[..cursor];
        let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
        let start = head.trim_end_matches(is_name).len();
        let typed = &head[start..];
        if typed.starts_with(|letter: char| letter.is_ascii_digit()) {
            return None;
        }
        let around = Self {
            typed,
            before: &head[..start],
            behind: &text[cursor..],
            as_value: code.as_value,
        };
        let asked = !typed.is_empty() || around.is_member() || around.is_path();
        (asked || around.in_use() || around.may_be_field()).then_some(around)
    }

    /// Behind the dot of a field or a method.
    fn is_member(&self) -> bool {
        self.before.ends_with('.') && !self.before.ends_with("..")
    }

    fn is_path(&self) -> bool {
        self.before.ends_with("::")
    }

    /// In a `use` line, where functions and macros are named and not called.
    fn in_use(&self) -> bool {
        let statement = self.before.rfind([';', '\n']).map_or(0, |at| at + 1);
        let statement = self.before[statement..].trim_start();
        let statement = statement.strip_prefix("pub ").unwrap_or(statement);
        statement.starts_with("use ")
    }

    /// Where a struct's literal may want a field.
    fn may_be_field(&self) -> bool {
        self.before.trim_end().ends_with(['{', ','])
    }
}

/// How many bytes are typed of a name, and the candidates for it.
pub(super) fn candidates(names: Vec<Name>, around: &Around<'_>) -> Vec<Candidate> {
    let only_fields =
        around.typed.is_empty() && !(around.is_member() || around.is_path() || around.in_use());
    let mut ranked: Vec<(Match, Name)> = names
        .into_iter()
        .filter(|name| !only_fields || name.kind == analysis::Kind::Field)
        .filter_map(|name| Some((Match::of(around.typed, &name.name)?, name)))
        .collect();
    // The worse matches are noise where there is a good one.
    let best = ranked.iter().map(|(matched, _)| *matched).min();
    ranked.retain(|(matched, _)| Some(*matched) == best);
    ranked.sort_by(|(_, one), (_, other)| order(one).cmp(&order(other)));
    let mut seen = HashSet::new();
    ranked
        .into_iter()
        .map(|(_, name)| Candidate {
            replacement: inserted(&name, around),
            kind: Kind::Name(name.kind),
            signature: name.signature,
            summary: name.doc,
        })
        // A struct is offered as a pattern with its fields and as a type.
        .filter(|candidate| seen.insert(candidate.replacement.clone()))
        .collect()
}

/// How what was typed matches a name; the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Match {
    Prefix,
    /// But for capitals.
    LoosePrefix,
    /// All letters in their order, the first one first: `hm` for `HashMap`.
    Letters,
}

impl Match {
    fn of(typed: &str, name: &str) -> Option<Self> {
        if name.starts_with(typed) {
            return Some(Self::Prefix);
        }
        let (typed, name) = (typed.to_lowercase(), name.to_lowercase());
        if name.starts_with(&typed) {
            return Some(Self::LoosePrefix);
        }
        let mut letters = name.chars();
        let same_start = typed.chars().next() == name.chars().next();
        let all = typed
            .chars()
            .all(|wanted| letters.any(|letter| letter == wanted));
        (same_start && all).then_some(Self::Letters)
    }
}

/// What is in use before what isn't; the type's own before what traits add; then by kind and name.
fn order(name: &Name) -> (bool, bool, bool, analysis::Kind, &str) {
    (
        name.deprecated,
        name.path.is_some(),
        name.of_trait.is_some(),
        name.kind,
        &name.name,
    )
}

/// The text that takes the place of what was typed.
fn inserted(name: &Name, around: &Around<'_>) -> String {
    let written = name.path.as_deref().unwrap_or(&name.name);
    let behind = around.behind;
    let called = behind.starts_with('(');
    match name.kind {
        _ if around.as_value || around.in_use() => written.to_owned(),
        analysis::Kind::Function | analysis::Kind::Method if !called => {
            if takes_nothing(&name.signature, around.is_member()) {
                format!("{written}()")
            } else {
                format!("{written}(")
            }
        }
        analysis::Kind::Variant if !called && name.signature.contains('(') => {
            format!("{written}(")
        }
        analysis::Kind::Macro if !behind.starts_with('!') => match name.name.as_str() {
            "vec" => format!("{written}!["),
            "macro_rules" => format!("{written}! "),
            _ => format!("{written}!("),
        },
        _ => written.to_owned(),
    }
}

/// Whether nothing stands between the brackets: `fn()`, and `fn(&self) -> T` behind a dot.
fn takes_nothing(signature: &str, member: bool) -> bool {
    let arguments = signature
        .split_once("fn(")
        .and_then(|(_, rest)| rest.split_once(')'))
        .map(|(arguments, _)| arguments.trim());
    match arguments {
        Some("") => true,
        Some("self" | "mut self" | "&self" | "&mut self") => member,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use analysis::Kind as K;

    fn name(name: &str, kind: K, signature: &str) -> Name {
        Name {
            name: name.to_owned(),
            kind,
            signature: signature.to_owned(),
            doc: String::new(),
            of_trait: None,
            path: None,
            deprecated: false,
        }
    }

    fn around<'t>(before: &'t str, typed: &'t str, behind: &'t str) -> Around<'t> {
        Around {
            typed,
            before,
            behind,
            as_value: false,
        }
    }

    fn shown(names: Vec<Name>, around: &Around<'_>) -> Vec<String> {
        candidates(names, around)
            .into_iter()
            .map(|candidate| candidate.replacement)
            .collect()
    }

    #[test]
    fn what_is_inserted_fits_what_it_is() {
        let all = || {
            vec![
                name("fold", K::Method, "fn(self, B, F) -> B"),
                name("foot", K::Method, "fn(&self) -> usize"),
                name("foo", K::Field, "u8"),
                name("Foo", K::Type, ""),
                name("For", K::Variant, "For(u8)"),
                name("Fox", K::Variant, "Fox"),
                name("format", K::Macro, ""),
            ]
        };
        assert_eq!(
            shown(all(), &around("x.", "fo", "")),
            ["foo", "fold(", "foot()", "format!("]
        );
        assert_eq!(shown(all(), &around("S::", "foot", "")), ["foot("]);
        assert_eq!(shown(all(), &around("", "Fo", "")), ["For(", "Fox", "Foo"]);
        assert_eq!(shown(all(), &around("x.", "fol", "(1)")), ["fold"]);
        assert_eq!(shown(all(), &around("use a::", "format", "")), ["format"]);
        // Without anything typed only a struct's fields are offered.
        assert_eq!(shown(all(), &around("S { ", "", "")), ["foo"]);
    }

    #[test]
    fn the_best_matches_hide_the_others() {
        let all = || {
            let mut of_trait = name("hash", K::Method, "fn(&self, H)");
            of_trait.of_trait = Some("Hash".to_owned());
            let mut elsewhere = name("HashMap", K::Type, "");
            elsewhere.path = Some("std::collections::HashMap".to_owned());
            vec![of_trait, elsewhere, name("hamper", K::Variable, "u8")]
        };
        assert_eq!(shown(all(), &around("", "ha", "")), ["hamper", "hash("]);
        assert_eq!(
            shown(all(), &around("", "hashm", "")),
            ["std::collections::HashMap"]
        );
        assert_eq!(
            shown(all(), &around("", "hm", "")),
            ["hamper", "std::collections::HashMap"]
        );
        assert!(shown(all(), &around("", "xy", "")).is_empty());
    }

    #[test]
    fn names_are_completed_where_names_can_stand() {
        let code = Code {
            place: analysis::Place::default(),
            as_value: false,
        };
        for (text, wanted) in [
            ("v.", true),
            ("0..", false),
            ("Vec::", true),
            ("x", true),
            ("f(", false),
            ("use ", true),
            ("S { ", true),
            ("12", false),
            ("", false),
        ] {
            let around = Around::at(text, text.len(), &code);
            assert_eq!(around.is_some(), wanted, "{text}");
        }
    }
}
