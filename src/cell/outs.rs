//! Values of earlier cells: which expression's value a cell shows, whether it may be moved away, and where a
//! cell speaks of `_`, `_3` or `Out[3]`. A `_` in a pattern, a type or on the left of `=` stays Rust's own.

use std::ops::Range;

use ra_ap_syntax::ast;
use ra_ap_syntax::{AstNode, SyntaxKind, SyntaxNode, TextRange};

use super::syntax::{Tree, pattern_names, read};

/// The expression whose value a cell shows, as bytes of the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Its value belongs to nobody else.
    Fresh(Range<usize>),
    /// It names a variable, a part of one or a constant, which stays where it is.
    Place(Range<usize>),
}

/// The value that is meant by a word of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mention {
    /// `_` is the last value, `__` the one before it, `___` the one before that.
    Last(usize),
    /// `_3` and `Out[3]` are the value of `In [3]`.
    Cell(u32),
}

/// The last expression of a cell, when its value can be kept.
pub fn shown(code: &str) -> Option<Shown> {
    let look = |tree: &Tree| {
        if !tree.errors().is_empty() {
            return None;
        }
        let expression = ast::Expr::cast(tree.statements().last()?)?;
        let span = tree.span(expression.syntax());
        match kind(&expression)? {
            Kind::Fresh => Some(Shown::Fresh(span)),
            Kind::Place => Some(Shown::Place(span)),
        }
    };
    read(code, look).flatten()
}

enum Kind {
    Fresh,
    Place,
}

/// Macros that give nothing, or never return.
const WITHOUT_VALUE: &[&str] = &[
    "assert",
    "assert_eq",
    "assert_ne",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "eprint",
    "eprintln",
    "lazy_static",
    "panic",
    "print",
    "println",
    "thread_local",
    "todo",
    "unimplemented",
    "unreachable",
];

fn kind(expression: &ast::Expr) -> Option<Kind> {
    use ast::Expr;
    match expression {
        Expr::ParenExpr(inner) => kind(&inner.expr()?),
        Expr::PathExpr(_) | Expr::FieldExpr(_) | Expr::IndexExpr(_) | Expr::UnderscoreExpr(_) => {
            Some(Kind::Place)
        }
        Expr::PrefixExpr(prefix) => match prefix.op_kind()? {
            ast::UnaryOp::Deref => Some(Kind::Place),
            _ => Some(Kind::Fresh),
        },
        Expr::BinExpr(binary) => match binary.op_kind()? {
            ast::BinaryOp::Assignment { .. } => None,
            _ => Some(Kind::Fresh),
        },
        Expr::MacroExpr(call) => {
            let path = call.macro_call()?.path()?;
            let name = path.segment()?.name_ref()?.text().to_owned();
            (!WITHOUT_VALUE.contains(&name.as_str())).then_some(Kind::Fresh)
        }
        Expr::TupleExpr(tuple) => tuple.fields().next().map(|_| Kind::Fresh),
        Expr::BlockExpr(block) => block.modifier().is_none().then_some(Kind::Fresh),
        Expr::ArrayExpr(_)
        | Expr::AwaitExpr(_)
        | Expr::CallExpr(_)
        | Expr::CastExpr(_)
        | Expr::IfExpr(_)
        | Expr::Literal(_)
        | Expr::MatchExpr(_)
        | Expr::MethodCallExpr(_)
        | Expr::RangeExpr(_)
        | Expr::RecordExpr(_)
        | Expr::TryExpr(_) => Some(Kind::Fresh),
        _ => None,
    }
}

/// Macros whose input is expressions.
const TAKE_VALUES: &[&str] = &[
    "assert",
    "assert_eq",
    "assert_ne",
    "dbg",
    "eprint",
    "eprintln",
    "format",
    "panic",
    "print",
    "println",
    "vec",
    "write",
    "writeln",
];

/// Where a cell speaks of earlier values, in order. `variables` are the user's own, which go before.
pub fn mentions(code: &str, variables: &[String]) -> Vec<(Range<usize>, Mention)> {
    if !code.contains('_') && !code.contains("Out") {
        return Vec::new();
    }
    let look = |tree: &Tree| {
        let mut own: Vec<String> = variables.to_vec();
        own.extend(pattern_names(tree.root()));
        let mut found = Vec::new();
        in_tree(tree, &own, &mut found);
        found.sort_by_key(|(range, _)| range.start);
        found
    };
    read(code, look).unwrap_or_default()
}

fn in_tree(tree: &Tree, own: &[String], found: &mut Vec<(Range<usize>, Mention)>) {
    for node in tree.root().descendants() {
        if let Some(call) = ast::MacroCall::cast(node.clone()) {
            let name = call.path().and_then(|path| path.segment()?.name_ref());
            let takes =
                name.is_some_and(|name| TAKE_VALUES.contains(&name.text().to_string().as_str()));
            if takes && let Some(input) = tree.macro_input(&call) {
                in_tree(&input, own, found);
            }
        } else if let Some((range, mention)) = mention(&node, own) {
            found.push((tree.range(range), mention));
        }
    }
}

fn mention(node: &SyntaxNode, own: &[String]) -> Option<(TextRange, Mention)> {
    let meant = match ast::Expr::cast(node.clone())? {
        ast::Expr::UnderscoreExpr(_) if is_value(node) => Mention::Last(1),
        ast::Expr::PathExpr(path) => {
            let name = path.syntax().text().to_string();
            if own.contains(&name) {
                return None;
            }
            match name.as_str() {
                "__" => Mention::Last(2),
                "___" => Mention::Last(3),
                name => Mention::Cell(number(name.strip_prefix('_')?)?),
            }
        }
        ast::Expr::IndexExpr(index) => {
            let base = index.base()?.syntax().text().to_string();
            if base != "Out" || own.contains(&base) {
                return None;
            }
            let index = index.index()?.syntax().text().to_string();
            Mention::Cell(number(&index)?)
        }
        _ => return None,
    };
    Some((node.text_range(), meant))
}

fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| digits && !text.starts_with('0'))
}

/// Whether a `_` stands for a value: not on the left of an assignment, not for the length of an array.
fn is_value(underscore: &SyntaxNode) -> bool {
    let mut below = underscore.clone();
    while let Some(node) = below.parent() {
        match node.kind() {
            SyntaxKind::BIN_EXPR => {
                let assigned = ast::BinExpr::cast(node.clone()).is_some_and(|binary| {
                    let plain = matches!(
                        binary.op_kind(),
                        Some(ast::BinaryOp::Assignment { op: None })
                    );
                    plain && binary.lhs().is_some_and(|lhs| *lhs.syntax() == below)
                });
                if assigned {
                    return false;
                }
            }
            SyntaxKind::ARRAY_TYPE | SyntaxKind::CONST_ARG => return false,
            // What is called with it is an expression, unless something assigns to that.
            _ if ast::Stmt::can_cast(node.kind()) => return true,
            _ => {}
        }
        below = node;
    }
    true
}

/// A part of the code with each mention in it replaced.
pub fn replaced(code: &str, part: Range<usize>, mentions: &[(Range<usize>, String)]) -> String {
    let mut out = String::with_capacity(part.len());
    let mut copied = part.start;
    let inside = |range: &Range<usize>| part.start <= range.start && range.end <= part.end;
    for (range, text) in mentions.iter().filter(|(range, _)| inside(range)) {
        out.push_str(&code[copied..range.start]);
        out.push_str(text);
        copied = range.end;
    }
    out.push_str(&code[copied..part.end]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(code: &str) -> String {
        let found = mentions(code, &["_9".to_owned()]);
        let texts = found.into_iter().map(|(range, mention)| {
            let text = match mention {
                Mention::Last(back) => format!("<{back}>"),
                Mention::Cell(cell) => format!("<In {cell}>"),
            };
            (range, text)
        });
        replaced(code, 0..code.len(), &texts.collect::<Vec<_>>())
    }

    #[test]
    fn values_of_earlier_cells_are_found() {
        for (code, wanted) in [
            ("_", "<1>"),
            ("_ + 1", "<1> + 1"),
            ("__ * ___", "<2> * <3>"),
            ("let x = _.len();", "let x = <1>.len();"),
            ("f(_, _3)", "f(<1>, <In 3>)"),
            ("Out[3].iter().sum::<f64>()", "<In 3>.iter().sum::<f64>()"),
            (
                "println!(\"{} {}\", _, Out[12]);",
                "println!(\"{} {}\", <1>, <In 12>);",
            ),
            ("vec![_; 2]", "vec![<1>; 2]"),
            ("x = _", "x = <1>"),
            ("if _ { 1 } else { _2 }", "if <1> { 1 } else { <In 2> }"),
            (
                "(0..3).map(|_| _4).count()",
                "(0..3).map(|_| <In 4>).count()",
            ),
            ("{ let y = _; y }", "{ let y = <1>; y }"),
        ] {
            assert_eq!(meant(code), wanted, "{code}");
        }
    }

    #[test]
    fn what_rust_means_by_an_underscore_stays() {
        for code in [
            "let _ = f();",
            "_ = f();",
            "(_, x) = f();",
            "[_, x] = [1, 2];",
            "S { a: _, .. } = s;",
            "(0..3).map(|_| 1)",
            "match x { Some(_) => 1, _ => 2 }",
            "let v: Vec<_> = it.collect::<Vec<_>>();",
            "let a: [u8; _] = [1, 2];",
            "matches!(x, Some(_))",
            "for _ in 0..3 {}",
            "fn f(_: u8) {}",
            "let _3 = 1; _3 + 1",
            "_9",
            "a._3",
            "_x + _0 + _3a + 1_000 + _03",
            "let Out = [1]; Out[0]",
            "Outs[3]",
            "\"_ _3\" // _ Out[3]",
            "'_'",
            "my_macro!(_)",
        ] {
            assert_eq!(meant(code), code);
        }
    }

    #[test]
    fn what_is_shown_is_fresh_or_a_place() {
        let told = |code: &str| match shown(code) {
            Some(Shown::Fresh(range)) => format!("fresh {}", &code[range]),
            Some(Shown::Place(range)) => format!("place {}", &code[range]),
            None => "nothing".to_owned(),
        };
        for (code, wanted) in [
            ("1", "fresh 1"),
            ("let a = 2;\na * 2 // twice", "fresh a * 2"),
            (
                "v.iter().map(|x| x + 1).collect::<Vec<_>>()",
                "fresh v.iter().map(|x| x + 1).collect::<Vec<_>>()",
            ),
            ("vec![1, 2]", "fresh vec![1, 2]"),
            ("if a { b } else { c }", "fresh if a { b } else { c }"),
            ("match x { _ => 1 }", "fresh match x { _ => 1 }"),
            ("f()?", "fresh f()?"),
            ("P { x: 1 }", "fresh P { x: 1 }"),
            ("-x", "fresh -x"),
            ("x", "place x"),
            ("(x.y)", "place (x.y)"),
            ("x[3]", "place x[3]"),
            ("*x", "place *x"),
            ("None", "place None"),
            ("x;", "nothing"),
            ("let x = 1;", "nothing"),
            ("fn f() {}", "nothing"),
            ("println!(\"a\")", "nothing"),
            ("thread_local! { static A: u8 = 1; }", "nothing"),
            ("x = 3", "nothing"),
            ("&x", "nothing"),
            ("|x| x", "nothing"),
            ("()", "nothing"),
            ("for x in 0..3 {}", "nothing"),
            ("loop {}", "nothing"),
            ("", "nothing"),
            ("1 +", "nothing"),
        ] {
            assert_eq!(told(code), wanted, "{code}");
        }
    }
}
