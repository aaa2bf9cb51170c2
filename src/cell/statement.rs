//! What a token says about the statement around it: whether it can end there, go on, or begin a block. It
//! must never look at more than a token or two: the compiler parses, this only guesses where lines belong.

use ra_ap_rustc_lexer::TokenKind;

use super::token::Tok;

/// Whether an operator may follow this token, so that a `%` after it is the remainder.
pub(super) fn ends_operand(text: &str, last: Tok) -> bool {
    match last.kind {
        TokenKind::Ident => !matches!(
            last.text(text),
            "as" | "break" | "continue" | "else" | "in" | "move" | "return" | "yield"
        ),
        TokenKind::Semi
        | TokenKind::CloseBrace
        | TokenKind::Comma
        | TokenKind::Dot
        | TokenKind::Eq
        | TokenKind::Bang
        | TokenKind::Lt
        | TokenKind::Minus
        | TokenKind::And
        | TokenKind::Or
        | TokenKind::Plus
        | TokenKind::Star
        | TokenKind::Slash
        | TokenKind::Caret
        | TokenKind::Percent
        | TokenKind::Colon
        | TokenKind::Lifetime { .. } => false,
        _ => true,
    }
}

/// Whether a statement that begins with this token ends at its closing brace.
pub(super) fn ends_with_brace(kind: TokenKind, text: &str) -> bool {
    match kind {
        TokenKind::OpenBrace | TokenKind::Pound | TokenKind::Lifetime { .. } => true,
        TokenKind::Ident => matches!(
            text,
            "async"
                | "const"
                | "else"
                | "enum"
                | "extern"
                | "fn"
                | "for"
                | "if"
                | "impl"
                | "loop"
                | "macro_rules"
                | "match"
                | "mod"
                | "pub"
                | "struct"
                | "trait"
                | "union"
                | "unsafe"
                | "use"
                | "while"
        ),
        _ => false,
    }
}
