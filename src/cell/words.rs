//! What a cell's Rust code says by its words alone: which names it uses, and whether it is the same as
//! another. It must never claim to know what a name means.

use std::collections::BTreeSet;
use std::ops::Range;

use ra_ap_rustc_lexer::{LiteralKind, TokenKind, is_id_continue, is_ident};

use super::token::{Brackets, Lexer, Tok, significant};

/// Rust's keywords, strict and reserved ones that a user types.
pub const KEYWORDS: &[&str] = &[
    "Self", "as", "async", "await", "break", "const", "continue", "crate", "dyn", "else", "enum",
    "extern", "false", "fn", "for", "if", "impl", "in", "let", "loop", "match", "mod", "move",
    "mut", "pub", "ref", "return", "self", "static", "struct", "super", "trait", "true", "type",
    "unsafe", "use", "where", "while",
];

/// Whether a variable can have this name; `r#type` and `größe` are names, `_` and `type` are none.
pub fn is_variable_name(text: &str) -> bool {
    let name = text.strip_prefix("r#");
    let is_raw = name.is_some();
    let name = name.unwrap_or(text);
    let never = ["_", "self", "Self", "super", "crate"].contains(&name);
    is_ident(name) && !never && (is_raw || !KEYWORDS.contains(&name))
}

/// The first name of the path that code begins with: `a` of `::a::b(c)`.
pub fn root_of_path(code: &str) -> Option<&str> {
    let mut tokens = Lexer::new(code, 0).filter(Tok::is_significant);
    let first = tokens.find(|tok| tok.kind != TokenKind::Colon)?;
    (first.kind == TokenKind::Ident).then(|| first.text(code))
}

/// The identifiers in Rust code, keywords among them, `r#x` as `x`. Those in strings and comments don't
/// count, but what a string in a macro call captures does: `println!("{x:?}")` uses `x`.
pub fn identifiers(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut brackets = Brackets::default();
    // How many brackets are open in the input of the outermost macro call.
    let mut call = None;
    let mut last = [None; 2];
    for tok in Lexer::new(code, 0).filter(|tok| !tok.is_comment() && tok.is_significant()) {
        let text = tok.text(code);
        match tok.kind {
            TokenKind::Ident | TokenKind::UnknownPrefix => {
                names.insert(text.to_owned());
            }
            TokenKind::RawIdent => {
                names.insert(text.trim_start_matches("r#").to_owned());
            }
            TokenKind::Literal { kind, .. } if call.is_some() && is_text(kind) => {
                names.extend(format_names(text));
            }
            _ => {}
        }
        let depth = brackets.depth();
        brackets.step(&tok);
        if call.is_none() && brackets.depth() > depth && is_macro_call(last, code) {
            call = Some(brackets.depth());
        }
        call = call.filter(|open| *open <= brackets.depth());
        last = [last[1], Some(tok)];
    }
    names
}

/// Whether code calls one of these macros, also in the input of another one.
pub fn calls_macro(code: &str, names: &[&str]) -> bool {
    let tokens: Vec<Tok> = Lexer::new(code, 0)
        .filter(|tok| !tok.is_comment() && tok.is_significant())
        .collect();
    tokens.windows(2).any(|pair| {
        names.contains(&pair[0].text(code)) && is_macro_call([Some(pair[0]), Some(pair[1])], code)
    })
}

/// Where code says a name first: as a word, or else in a string, which may be a format's.
pub fn place_of(code: &str, name: &str) -> Option<Range<usize>> {
    let tokens = || Lexer::new(code, 0).filter(|tok| !tok.is_comment());
    let word = tokens().find(|tok| tok.text(code).trim_start_matches("r#") == name);
    let in_string = || {
        tokens().find_map(|tok| {
            let TokenKind::Literal { kind, .. } = tok.kind else {
                return None;
            };
            let text = tok.text(code);
            let says = is_text(kind) && format_names(text).iter().any(|found| found == name);
            let mut places = text.match_indices(name).filter(|_| says);
            let (at, _) = places.find(|(at, _)| {
                !text[..*at].ends_with(is_id_continue)
                    && !text[at + name.len()..].starts_with(is_id_continue)
            })?;
            let start = tok.start + at;
            Some(start..start + name.len())
        })
    };
    word.map(|tok| tok.start..tok.end).or_else(in_string)
}

/// Whether these two tokens are `name!`, so that a bracket after them holds a macro's input.
fn is_macro_call(last: [Option<Tok>; 2], code: &str) -> bool {
    matches!(last, [Some(name), Some(bang)] if bang.kind == TokenKind::Bang
        && name.end == bang.start
        && is_ident(name.text(code)))
}

pub(super) fn is_text(kind: LiteralKind) -> bool {
    matches!(kind, LiteralKind::Str { .. } | LiteralKind::RawStr { .. })
}

/// The names that a format string captures: `{x}`, `{x:?}`, and `{:width$.precision$}`.
pub(super) fn format_names(literal: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = literal;
    while let Some(open) = rest.find(['{', '}']) {
        let (brace, after) = rest[open..].split_at(1);
        if after.starts_with(brace) {
            // `{{` and `}}` stand for themselves.
            rest = &after[1..];
            continue;
        }
        rest = after;
        if brace == "}" {
            continue;
        }
        let field = after
            .find(['{', '}'])
            .map_or(after, |close| &after[..close]);
        let (argument, format) = field.split_once(':').unwrap_or((field, ""));
        let counts = format.rsplit_once('$').map_or("", |(counts, _)| counts);
        let counts = counts.split('$').map(last_word);
        names.extend(
            std::iter::once(argument.trim())
                .chain(counts)
                .filter(|name| is_ident(name))
                .map(str::to_owned),
        );
    }
    names
}

/// Where a text that is no Rust has `{name}` or `{name:…}` with a known name, as bytes of the text. A `$` or a
/// brace in front makes it another's.
pub fn format_fields(text: &str, known: &dyn Fn(&str) -> bool) -> Vec<Range<usize>> {
    let opened = text.match_indices('{').filter_map(|(at, _)| {
        let rest = &text[at + 1..];
        let length = rest.find(['{', '}', '\n', '"', '\''])?;
        let field = rest[..length].split(':').next()?;
        let anothers = text[..at].ends_with(['$', '{', '\\']);
        let closed = rest[length..].starts_with('}');
        (closed && !anothers && known(field)).then_some(at..at + length + 2)
    });
    opened.collect()
}

/// The identifier at the end of a text: `width` of `>width`.
fn last_word(text: &str) -> &str {
    let start = text
        .trim_end_matches(|c: char| c == '_' || c.is_alphanumeric())
        .len();
    &text[start..]
}

/// The tokens of Rust code, one blank between any two but those that make up an operator: equal for texts
/// that differ in plain comments and layout alone. Documentation stays, as macros see it. Mind that equal
/// texts can still differ in the lines that `line!()` and panics name.
pub fn normalised(code: &str) -> String {
    let mut text = String::with_capacity(code.len());
    let mut last: Option<Tok> = None;
    for tok in significant(code, 0, code.len()) {
        if let Some(last) = last
            && !(last.end == tok.start && joins(last.kind, tok.kind))
        {
            // Nothing may slip into a line of documentation.
            text.push(if matches!(last.kind, TokenKind::LineComment { .. }) {
                '\n'
            } else {
                ' '
            });
        }
        text.push_str(tok.text(code));
        last = Some(tok);
    }
    text
}

/// Whether two tokens mean something else together than apart.
fn joins(left: TokenKind, right: TokenKind) -> bool {
    use TokenKind::{
        And, Bang, Caret, Colon, Dot, Eq, Gt, Lt, Minus, Or, Percent, Plus, Slash, Star,
        UnknownPrefix, UnknownPrefixLifetime,
    };
    matches!(
        (left, right),
        (
            Eq | Bang | Lt | Gt | Plus | Minus | Star | Slash | Percent | Caret | And | Or | Dot,
            Eq
        ) | (And, And)
            | (Or, Or)
            | (Lt, Lt)
            | (Gt | Minus | Eq, Gt)
            | (Colon, Colon)
            | (Dot, Dot)
            | (UnknownPrefix | UnknownPrefixLifetime, _)
    )
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn a_macro_s_call_is_no_word_in_a_comment_or_a_string() {
        let calls = |code| calls_macro(code, &["env", "include_str"]);
        assert!(calls("let a = include_str! (\"a.txt\");"));
        assert!(calls("println!(\"{}\", std::env![\"PATH\"]);"));
        assert!(!calls("// included via include_str!() then\nlet a = env;"));
        assert!(!calls("let a = \"env!(\\\"PATH\\\")\"; a != 1"));
    }

    #[test]
    fn identifiers_are_those_that_the_code_uses() {
        for (code, names) in [
            ("a + b.c(d)", vec!["a", "b", "c", "d"]),
            ("\"a {b}\" // c\n/* d */", vec![]),
            ("r#type + x", vec!["type", "x"]),
            ("'a: loop { break 'a }", vec!["break", "loop"]),
            ("'a' b'b' 1u8", vec![]),
            (
                "println!(\"{x} {{no}} {y:?} {:>w$.p$} {0}\", z)",
                vec!["p", "println", "w", "x", "y", "z"],
            ),
            ("format!(r#\"{k}\"#)", vec!["format", "k"]),
            ("f!(g(\"{x}\"))", vec!["f", "g", "x"]),
            ("if !(\"{x}\" == y) {}", vec!["if", "y"]),
            ("größe", vec!["größe"]),
        ] {
            let expected = names.into_iter().map(str::to_owned).collect();
            assert_eq!(identifiers(code), expected, "{code}");
        }
    }

    #[test]
    fn a_name_is_found_as_a_word() {
        for (code, found) in [
            ("let data = 1; a", Some(14)),
            ("// a\nb(\"a\", 'a', a)", Some(17)),
            ("println!(\"bar {a:?}\")", Some(15)),
            ("\"a\"", None),
            ("ab", None),
        ] {
            assert_eq!(place_of(code, "a").map(|at| at.start), found, "{code}");
        }
        assert_eq!(place_of("r#type", "type"), Some(0..6));
    }

    #[test]
    fn fields_of_text_that_is_no_rust() {
        let known = |name: &str| ["n", "größe"].contains(&name);
        for (text, fields) in [
            ("head -{n} {größe:>5} x", vec!["{n}", "{größe:>5}"]),
            ("awk '{print $1}' {a,b} ${n} {{n}} \\{n} {} {n {m}", vec![]),
            ("{n}{n:?}", vec!["{n}", "{n:?}"]),
            ("{n", vec![]),
        ] {
            let found = format_fields(text, &known).into_iter();
            let found: Vec<&str> = found.map(|field| &text[field]).collect();
            assert_eq!(found, fields, "{text}");
        }
    }

    #[test]
    fn a_variable_is_named_by_an_identifier() {
        for name in ["x", "_x", "größe", "r#type", "union", "x1"] {
            assert!(is_variable_name(name), "{name}");
        }
        for name in [
            "", "_", "1x", "x y", "x[0]", "a.b", "type", "self", "r#self", "r#", "x-y",
        ] {
            assert!(!is_variable_name(name), "{name}");
        }
    }

    #[test]
    fn layout_and_comments_make_no_difference() {
        for (one, other) in [
            ("a+b", " a  +\tb // sum\n"),
            ("f(x)\n", "f( /* y */ x )"),
            ("let v:Vec<u8> = a..=b;", "let v : Vec < u8 > = a ..= b ;"),
            ("// c\n", ""),
        ] {
            assert_eq!(normalised(one), normalised(other));
        }
    }

    #[test]
    fn what_the_compiler_tells_apart_stays_apart() {
        for (one, other) in [
            ("a + b", "a - b"),
            ("\"a b\"", "\"a  b\""),
            ("a && b", "a & & b"),
            ("a >> b", "a > > b"),
            ("a == b", "a = = b"),
            ("x.0.1", "x.01"),
            ("ab", "a b"),
            ("/// d\nfn f() {}", "/// d fn f() {}"),
            ("1..2", "1. .2"),
            ("r#x", "r # x"),
        ] {
            assert_ne!(normalised(one), normalised(other));
        }
    }
}
