//! Where a cell returns before its end.

use std::ops::Range;

use ra_ap_syntax::ast;
use ra_ap_syntax::{AstNode as _, SyntaxKind, SyntaxNode, WalkEvent};

use super::syntax::{Tree, read};

/// Every `return` that would end the cell itself, as bytes of the code.
#[must_use]
pub fn returns_at_top(code: &str) -> Vec<Range<usize>> {
    read(code, returns).unwrap_or_default()
}

/// Every `return` that would leave the cell: those outside of closures, functions and `async` blocks.
fn returns(tree: &Tree) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for statement in tree.statements() {
        let mut walk = statement.preorder();
        while let Some(event) = walk.next() {
            let WalkEvent::Enter(node) = event else {
                continue;
            };
            if let Some(call) = ast::MacroCall::cast(node.clone()) {
                let input = tree.macro_input(&call);
                found.extend(input.iter().flat_map(returns));
            } else if leaves_elsewhere(&node) {
                walk.skip_subtree();
            } else if node.kind() == SyntaxKind::RETURN_EXPR {
                found.push(tree.span(&node));
            }
        }
    }
    found
}

/// Whether a `return` below this node leaves something else than what the node stands in.
fn leaves_elsewhere(node: &SyntaxNode) -> bool {
    match node.kind() {
        kind if ast::Item::can_cast(kind) => true,
        SyntaxKind::CLOSURE_EXPR => true,
        SyntaxKind::BLOCK_EXPR => ast::BlockExpr::cast(node.clone()).is_some_and(|block| {
            matches!(
                block.modifier(),
                Some(
                    ast::BlockModifier::Async(_)
                        | ast::BlockModifier::Gen(_)
                        | ast::BlockModifier::AsyncGen(_)
                        | ast::BlockModifier::Const(_)
                )
            )
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::returns_at_top;

    #[test]
    fn a_return_leaves_the_cell_unless_something_else_returns() {
        for (code, returns) in [
            ("let n = 1; if n > 0 { return; }", vec!["return"]),
            ("let Some(z) = f() else { return };", vec!["return"]),
            (
                "loop { return 5 }; 'a: { return }",
                vec!["return 5", "return"],
            ),
            (
                "|x| { return x }; fn f() { return } impl T for S { fn g() { return } }",
                vec![],
            ),
            ("async { return 1 }.await; async move |x| return x;", vec![]),
            ("const N: u8 = { return 1 };", vec![]),
            (
                "unsafe { return }; { |x| return; return 1; }",
                vec!["return", "return 1"],
            ),
            (
                "println!(\"{}\", { return; 1 }); vec![return 2; 3]",
                vec!["return", "return 2"],
            ),
            ("m!(|x| return x); \"return\" // return", vec![]),
            ("f(return é) ", vec!["return é"]),
            ("let r#return = 1;", vec![]),
        ] {
            let found: Vec<&str> = returns_at_top(code)
                .into_iter()
                .map(|at| &code[at])
                .collect();
            assert_eq!(found, returns, "{code}");
        }
    }
}
