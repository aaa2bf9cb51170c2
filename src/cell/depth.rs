//! How deep code nests, told from its tokens before a parser goes down into it: parsers recurse, and a stack that
//! is too small ends the process.

use ra_ap_rustc_lexer::TokenKind;

use super::token::{Lexer, Tok};

/// A code that nests further is not parsed: parsers go down a level with each, rustc too.
pub const DEEPEST: usize = 2000;

/// Whether code nests too deeply to be read by any parser.
pub fn nests_too_deeply(code: &str) -> bool {
    levels(code) > DEEPEST
}

/// At most how many levels deep a parser's tree of the code is. Besides brackets it is operators and keywords
/// that nest, until a separator ends them.
pub(super) fn levels(code: &str) -> usize {
    // Of each open bracket: what closes it, and what may nest since its last separator.
    let mut open = vec![(TokenKind::Eof, 0_usize)];
    let (mut sum, mut most) = (0, 0);
    let mut after_brace = false;
    for tok in Lexer::new(code, 0).filter(|tok| tok.is_significant() && !tok.is_comment()) {
        let goes_on = !matches!(tok.kind, TokenKind::Ident | TokenKind::Pound)
            || matches!(tok.text(code), "else" | "as");
        let ends = matches!(tok.kind, TokenKind::Comma | TokenKind::Semi);
        if let Some((_, here)) = open.last_mut()
            && (ends || (after_brace && !goes_on))
        {
            sum -= std::mem::take(here);
        }
        after_brace = tok.kind == TokenKind::CloseBrace;
        let closer = match tok.kind {
            TokenKind::OpenParen => Some(TokenKind::CloseParen),
            TokenKind::OpenBracket => Some(TokenKind::CloseBracket),
            TokenKind::OpenBrace => Some(TokenKind::CloseBrace),
            _ => None,
        };
        if let Some(closer) = closer {
            open.push((closer, 0));
            sum += 1;
        } else if let Some((_, here)) = open.pop_if(|(closer, _)| *closer == tok.kind) {
            sum -= 1 + here;
        } else if !ends && nests(&tok, code) {
            // A bracket that closes another kind ends nothing for sure.
            sum += 1;
            if let Some((_, here)) = open.last_mut() {
                *here += 1;
            }
        }
        most = most.max(sum);
    }
    most
}

fn nests(tok: &Tok, code: &str) -> bool {
    match tok.kind {
        TokenKind::Ident => super::KEYWORDS.contains(&tok.text(code)),
        TokenKind::Literal { .. } | TokenKind::RawIdent => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::bound_at_top;

    #[test]
    fn deep_code_is_read_or_refused_but_overflows_nothing() {
        for piece in [
            "(",
            "{",
            "-",
            "1+",
            "a.b().",
            "if a {} else ",
            "|x| ",
            "&",
            "x = ",
            "f::<",
            "!",
            "(]",
        ] {
            let deep = piece.repeat(100_000);
            assert!(nests_too_deeply(&deep), "{piece}");
            assert!(bound_at_top(&deep).is_empty(), "{piece}");
            let _ = bound_at_top(&piece.repeat(300));
        }
        for piece in [
            "f(1, 2.5, \"x\");\n",
            "fn f() {}\n",
            "1, ",
            "x\n",
            "if a {} else {}\n",
        ] {
            assert!(!nests_too_deeply(&piece.repeat(100_000)), "{piece}");
        }
        assert_eq!(
            bound_at_top(&format!("let x = {}0;", "1 + ".repeat(1500))),
            ["x"]
        );
    }
}
