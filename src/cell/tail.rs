//! The last expression of some code, which is its value. It must never judge the code: what does not parse has
//! whatever value the parser still finds in it.

use ra_ap_syntax::ast::{self, AstNode as _};

use super::syntax::read;

/// The byte offset at which the code's last expression begins; `None` when a semicolon or an item ends it.
pub fn tail(code: &str) -> Option<usize> {
    read(code, |tree| {
        let list = tree.root().descendants().find_map(ast::StmtList::cast)?;
        Some(tree.span(list.tail_expr()?.syntax()).start)
    })?
}

#[cfg(test)]
mod tests {
    use super::tail;

    #[test]
    fn the_value_is_what_no_semicolon_ends() {
        for (code, value) in [
            ("a + b", Some("a + b")),
            ("let b = 3; a + b // sum", Some("a + b // sum")),
            ("let b = 3;\n\n  b\n", Some("b\n")),
            ("fn f() -> u8 { 1 }\nf()", Some("f()")),
            ("if a { 1 } else { 2 }", Some("if a { 1 } else { 2 }")),
            (
                "f(); match a { _ => 1 }.pow(2)",
                Some("match a { _ => 1 }.pow(2)"),
            ),
            ("use std::fmt; \"text\"", Some("\"text\"")),
            ("let é = 1; vec![é; 3]", Some("vec![é; 3]")),
            ("let v = { 1; 2 }; -v", Some("-v")),
            ("|x: u8| x + 1", Some("|x: u8| x + 1")),
            ("let b = 3;", None),
            ("a + b;", None),
            ("struct S;", None),
            ("", None),
        ] {
            assert_eq!(tail(code).map(|at| &code[at..]), value, "{code}");
        }
    }
}
