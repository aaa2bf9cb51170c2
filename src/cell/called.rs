//! A call of a function, taken apart: `%memo explain`.

use std::ops::Range;

use ra_ap_syntax::ast::{self, HasArgList as _};
use ra_ap_syntax::{AstNode as _, SyntaxKind};

use super::syntax::{Tree, read};

/// A call of a function by its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    /// As it is written, without blanks.
    pub path: String,
    pub arguments: Vec<Argument>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Bytes of the code.
    pub range: Range<usize>,
    /// It calls nothing.
    pub is_plain: bool,
}

/// The call that this code is; `None` when it is something else.
pub fn called(code: &str) -> Option<Called> {
    let look = |tree: &Tree| {
        let mut statements = tree.statements();
        let expression = statements.next().and_then(ast::Expr::cast)?;
        let ast::Expr::CallExpr(call) = expression else {
            return None;
        };
        if statements.next().is_some() {
            return None;
        }
        let ast::Expr::PathExpr(path) = call.expr()? else {
            return None;
        };
        let argument = |argument: ast::Expr| {
            let calls = |kind| {
                matches!(
                    kind,
                    SyntaxKind::CALL_EXPR
                        | SyntaxKind::METHOD_CALL_EXPR
                        | SyntaxKind::MACRO_EXPR
                        | SyntaxKind::BLOCK_EXPR
                )
            };
            let mut nodes = argument.syntax().descendants();
            Argument {
                range: tree.range(argument.syntax().text_range()),
                is_plain: !nodes.any(|node| calls(node.kind())),
            }
        };
        let path = path.syntax().text().to_string();
        Some(Called {
            path: path.chars().filter(|c| !c.is_whitespace()).collect(),
            arguments: call.arg_list()?.args().map(argument).collect(),
        })
    };
    read(code, look).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_a_path_and_arguments() {
        let of = |code: &str| {
            let found = called(code)?;
            let argument = |one: &Argument| (code[one.range.clone()].to_owned(), one.is_plain);
            let arguments: Vec<_> = found.arguments.iter().map(argument).collect();
            Some((found.path, arguments))
        };
        let some = |path: &str, arguments: &[(&str, bool)]| {
            let arguments = arguments.iter();
            let arguments = arguments.map(|(text, plain)| ((*text).to_owned(), *plain));
            Some((path.to_owned(), arguments.collect()))
        };
        assert_eq!(of("f()"), some("f", &[]));
        assert_eq!(
            of("slow(3, -x.y[1], &g(2) , vec![1], |a| a + 1)"),
            some(
                "slow",
                &[
                    ("3", true),
                    ("-x.y[1]", true),
                    ("&g(2)", false),
                    ("vec![1]", false),
                    ("|a| a + 1", true)
                ]
            )
        );
        assert_eq!(
            of("memo :: cached(\"a, b\", &1, || 2)").map(|found| found.0),
            Some("memo::cached".to_owned())
        );
        for other in [
            "",
            "f",
            "f(1) + 1",
            "f(1); f(2)",
            "a.f(1)",
            "f!(1)",
            "\"f(1)\"",
            "f(1)(2)",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
