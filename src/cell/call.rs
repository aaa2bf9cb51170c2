//! The text of one magic call: its name, its arguments (which go on over lines while a bracket, a string or
//! a comment is open) and its body. It must never look into the arguments further than that.

use ra_ap_rustc_lexer::{TokenKind, is_id_continue};

use super::line;
use super::scan::Stop;
use super::token::{Brackets, Lexer, Lines};
use super::{Binding, CellError, MagicCall, SegmentKind};

/// A segment that isn't Rust, and the byte offset of the end of its last line.
pub(super) struct Call {
    pub kind: SegmentKind,
    pub end: usize,
}

/// The name at the start of a text that starts with one.
pub(super) fn name(text: &str) -> &str {
    text.find(|c| !is_id_continue(c))
        .map_or(text, |end| &text[..end])
}

/// `%%name args` and everything below; `at` is where its first percent sign stands.
pub(super) fn cell_form(text: &str, lines: &Lines, at: usize) -> Call {
    let name = name(&text[at + 2..]);
    let after_name = at + 2 + name.len();
    let line_end = lines.end_of_line(after_name);
    let (args, args_at) = trimmed(text, lines, after_name, line_end);
    let kind = SegmentKind::Magic(MagicCall {
        name: name.to_owned(),
        args,
        body: Some(text.get(line_end + 1..).unwrap_or_default().to_owned()),
        bind: None,
        cell_form: true,
        args_at,
        body_line: lines.line(at) + 1,
    });
    Call {
        kind,
        end: text.len(),
    }
}

/// `name args`; `at` is where the name begins.
///
/// # Errors
/// When the text ends before a bracket, a string, a comment or a quotation mark in the arguments does.
pub(super) fn line_form(
    text: &str,
    lines: &Lines,
    at: usize,
    bind: Option<Binding>,
) -> Result<Call, Stop> {
    let name = name(&text[at..]);
    let after_name = at + name.len();
    let mut from = after_name;
    let of_shell = line::is_of_shell(name);
    let end = if line::is_of_words(name) {
        words_end(text, lines, from, of_shell)?
    } else if name == "parallel" {
        // In front of `over` stands a command, which is the shell's.
        let end = words_end(text, lines, from, of_shell)?;
        match super::gnu::over_at(&text[from..end]) {
            Some(over) => {
                from += over;
                args_end(text, lines, from)?
            }
            None => end,
        }
    } else {
        args_end(text, lines, from)?
    };
    // A `let` statement's semicolon isn't part of what the magic is asked to do.
    let to = match (&bind, last_semicolon(text, from, end)) {
        (Some(_), Some(semicolon)) => semicolon,
        _ => end,
    };
    let (args, args_at) = trimmed(text, lines, after_name, to);
    let kind = SegmentKind::Magic(MagicCall {
        name: name.to_owned(),
        args,
        body: None,
        bind,
        cell_form: false,
        args_at,
        body_line: 0,
    });
    Ok(Call { kind, end })
}

/// Where words as in a shell end.
fn words_end(text: &str, lines: &Lines, from: usize, of_shell: bool) -> Result<usize, Stop> {
    line::words_end(text, from, of_shell).map_err(|at| match text[at..].starts_with('\\') {
        true => unclosed(
            lines,
            at,
            "a line must follow the one that ends with `\\`".to_owned(),
        ),
        false => unclosed(lines, at, "this quotation mark is never closed".to_owned()),
    })
}

/// Where the line ends on which all that was opened since `from` is closed. Brackets that don't match say
/// that the arguments aren't code, or are broken: then they end with the line.
fn args_end(text: &str, lines: &Lines, from: usize) -> Result<usize, Stop> {
    let line = text[from..].split('\n').next().unwrap_or_default();
    if super::gnu::is_for_the_shell(line) {
        return Ok(from + line.len());
    }
    let mut brackets = Brackets::default();
    for tok in Lexer::new(text, from) {
        if let Some(what) = tok.unterminated(text) {
            return Err(unclosed(
                lines,
                tok.start,
                format!("this {what} is never closed"),
            ));
        }
        if tok.kind == TokenKind::Whitespace {
            if let Some(newline) = tok.text(text).find('\n')
                && (brackets.depth() == 0 || brackets.mismatched)
            {
                return Ok(tok.start + newline);
            }
        } else {
            brackets.step(&tok);
        }
    }
    match brackets.innermost() {
        Some(opened) if !brackets.mismatched => {
            let bracket = &text[opened.at..=opened.at];
            Err(unclosed(
                lines,
                opened.at,
                format!("this `{bracket}` is never closed"),
            ))
        }
        _ => Ok(text.len()),
    }
}

fn unclosed(lines: &Lines, at: usize, what: String) -> Stop {
    let (line, column) = lines.place(at);
    let hint = "a magic's arguments go on over lines until everything in them is closed";
    Stop::Unclosed(CellError {
        what,
        line,
        column,
        hint: Some(hint.to_owned()),
    })
}

/// The semicolon that ends the arguments, if one does; a comment may follow it.
fn last_semicolon(text: &str, from: usize, to: usize) -> Option<usize> {
    let last = Lexer::new(&text[..to], from)
        .filter(|t| !t.is_comment() && t.is_significant())
        .last()?;
    (last.kind == TokenKind::Semi).then_some(last.start)
}

/// A part of the text without the blanks around it, and its place.
fn trimmed(text: &str, lines: &Lines, from: usize, to: usize) -> (String, (usize, usize)) {
    let part = &text[from..to];
    let args = part.trim();
    let blanks = if args.is_empty() {
        0
    } else {
        part.len() - part.trim_start().len()
    };
    (args.to_owned(), lines.place(from + blanks))
}
