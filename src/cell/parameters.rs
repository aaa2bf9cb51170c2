//! How many arguments a function takes, and how many iterables a map goes over: read from the syntax tree.

use std::ops::Range;

use ra_ap_syntax::ast::{self, HasArgList as _};
use ra_ap_syntax::{AstNode, SyntaxNode};

use super::syntax::{Tree, read};

/// A closure's parameters, in bytes of its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Pattern and type of each.
    pub each: Vec<(Range<usize>, Option<Range<usize>>)>,
    /// The bars with what is between them.
    pub bars: Range<usize>,
    /// What it does; a return type stands between the bars and this.
    pub body: Range<usize>,
}

/// The parameters of the closure that a text is; `None` when it is none.
pub fn closure_parameters(text: &str) -> Option<Parameters> {
    let text_end = text.trim_end().len();
    read(text, |tree| {
        let closure = tree.root().descendants().find_map(ast::ClosureExpr::cast)?;
        let span = tree.span(closure.syntax());
        if span.start > text.len() - text.trim_start().len() || span.end < text_end {
            return None;
        }
        let list = closure.param_list()?;
        let each = list.params().map(|parameter| {
            let kind = parameter.ty().map(|kind| tree.span(kind.syntax()));
            Some((tree.span(parameter.pat()?.syntax()), kind))
        });
        Some(Parameters {
            each: each.collect::<Option<_>>()?,
            bars: tree.span(list.syntax()),
            body: tree.span(closure.body()?.syntax()),
        })
    })
    .flatten()
}

/// How many arguments the function of this definition takes.
pub fn arguments_of(definition: &str) -> Option<usize> {
    read(definition, |tree| {
        let function = |node: SyntaxNode| ast::Fn::cast(node);
        let mut functions = tree.statements().find_map(function).into_iter();
        Some(functions.next()?.param_list()?.params().count())
    })
    .flatten()
}

/// What a map goes over, in bytes of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inputs {
    One,
    /// `xs, ys`: side by side.
    Beside(Vec<Range<usize>>),
    /// `grid(xs, ys)`: crossed.
    Crossed(Vec<Range<usize>>),
}

/// The iterables behind `over`.
pub fn inputs(text: &str) -> Inputs {
    const OPENING: &str = "f(";
    let parts = |tree: &Tree, call: &ast::CallExpr| -> Vec<Range<usize>> {
        let arguments = call.arg_list().into_iter().flat_map(|list| list.args());
        let span = |one: ast::Expr| {
            let span = tree.span(one.syntax());
            span.start - OPENING.len()..span.end - OPENING.len()
        };
        arguments.map(span).collect()
    };
    let found = read(&format!("{OPENING}{text}\n)"), |tree| {
        let calls = |node: &SyntaxNode| node.descendants().find_map(ast::CallExpr::cast);
        let outer = calls(tree.root())?;
        if !tree.errors().is_empty() {
            return None;
        }
        let all = parts(tree, &outer);
        let list = outer.arg_list()?;
        let mut arguments = list.args();
        match (arguments.next(), all.len()) {
            (Some(ast::Expr::CallExpr(call)), 1)
                if call.expr()?.syntax().text() == "grid"
                    && call.arg_list()?.args().count() > 1 =>
            {
                Some(Inputs::Crossed(parts(tree, &call)))
            }
            (_, 0 | 1) => None,
            _ => Some(Inputs::Beside(all)),
        }
    });
    found.flatten().unwrap_or(Inputs::One)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closures_have_their_parameters() {
        let shown = |text: &str| {
            let Parameters { each, bars, body } = closure_parameters(text)?;
            let one = |(pattern, kind): (Range<usize>, Option<Range<usize>>)| {
                let kind = kind.map_or("_", |kind| &text[kind]);
                format!("{} : {kind}", &text[pattern])
            };
            let each: Vec<String> = each.into_iter().map(one).collect();
            let result = &text[bars.end..body.start];
            Some(format!("{} ·{result}· {}", each.join(" ; "), &text[body]))
        };
        for (text, parts) in [
            ("|x| x * 2", Some("x : _ · · x * 2")),
            (
                "|x, mut y: HashMap<u8, u8>| -> u8 { x }",
                Some("x : _ ; mut y : HashMap<u8, u8> · -> u8 · { x }"),
            ),
            (
                " move |(a, b), [c, ..]: [u8; 3]| a",
                Some("(a, b) : _ ; [c, ..] : [u8; 3] · · a"),
            ),
            ("|| 3", Some(" · · 3")),
            ("f", None),
            ("make(|x, y| x)", None),
            ("a || b", None),
        ] {
            assert_eq!(shown(text).as_deref(), parts, "{text}");
        }
    }

    #[test]
    fn functions_have_their_arguments() {
        assert_eq!(arguments_of("fn f(a: u8, (b, c): (u8, u8)) {}"), Some(2));
        assert_eq!(
            arguments_of("/// Doc.\npub fn f<T: Into<u8>>() {}"),
            Some(0)
        );
        assert_eq!(arguments_of("struct S(u8, u8);"), None);
    }

    #[test]
    fn several_iterables_stand_beside_each_other() {
        let shown = |text: &str| {
            let (word, parts) = match inputs(text) {
                Inputs::One => return "one".to_owned(),
                Inputs::Beside(parts) => ("beside", parts),
                Inputs::Crossed(parts) => ("crossed", parts),
            };
            let parts: Vec<&str> = parts.into_iter().map(|part| &text[part]).collect();
            format!("{word} {}", parts.join(" ; "))
        };
        for (text, parts) in [
            ("xs", "one"),
            ("0..10", "one"),
            ("xs,", "one"),
            ("f(xs, ys)", "one"),
            ("grid(xs)", "one"),
            ("xs.zip(ys)", "one"),
            ("xs, ys", "beside xs ; ys"),
            (
                "xs.iter().map(|(a, b)| a), 0.., // numbers",
                "beside xs.iter().map(|(a, b)| a) ; 0..",
            ),
            ("grid(xs, 0..3)", "crossed xs ; 0..3"),
            ("grid(xs, 0..3).take(2)", "one"),
            ("m::grid(xs, ys)", "one"),
            ("xs, ]", "one"),
        ] {
            assert_eq!(shown(text), parts, "{text}");
        }
    }
}
