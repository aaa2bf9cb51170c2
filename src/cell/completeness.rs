//! Whether a cell is finished when the user presses Enter. It must never refuse a finished cell: what is
//! wrong with a text is for the parser and the compiler to say, and they can say it only of a finished one.

use ra_ap_rustc_lexer::TokenKind;

use super::SegmentKind;
use super::scan::{Scan, Stop, scan};
use super::syntax::{Tree, is_semicolon_error, read};
use super::token::{Lexer, Tok};

/// What the line editor asks on Enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completeness {
    Complete,
    /// Another line must follow: a bracket, a string or a comment is open, a `%%` cell has no empty line at its
    /// end, an attribute has no item, or the parser wants more where the text ends.
    Incomplete,
}

/// Looks at the whole text of the cell, without the newline that Enter would add. Two empty lines end what is
/// incomplete, unless they stand in a string or a comment.
pub fn completeness(text: &str) -> Completeness {
    // Whatever it asks about, such as `match`, it asks for nothing more.
    if super::question(text).is_some() {
        return Completeness::Complete;
    }
    let finished = match scan(text, None) {
        Err(Stop::Unclosed(_)) => empty_lines_at_end(text) >= 2,
        Err(Stop::Wrong(_)) => true,
        Ok(scan) if scan.tail.unterminated => false,
        Ok(scan) => match scan.segments.last().map(|segment| &segment.kind) {
            Some(SegmentKind::Magic(call)) if call.cell_form => empty_lines_at_end(text) >= 1,
            _ => empty_lines_at_end(text) >= 2 || is_finished(&scan),
        },
    };
    if finished {
        Completeness::Complete
    } else {
        Completeness::Incomplete
    }
}

/// Lines without anything at the end of a text of several lines.
fn empty_lines_at_end(text: &str) -> usize {
    text[text.trim_end().len()..].matches('\n').count()
}

fn is_finished(scan: &Scan) -> bool {
    let tail = &scan.tail;
    if tail.shell_continues {
        return false;
    }
    if tail.brackets.mismatched {
        return true;
    }
    // The parser lets `0..=` be a range.
    let assigns = tail.last.is_some_and(|last| last.kind == TokenKind::Eq);
    if tail.brackets.depth() > 0 || assigns {
        return false;
    }
    match scan.segments.last().map(|segment| &segment.kind) {
        // No line more helps what is too deep for a parser.
        Some(SegmentKind::Rust(code)) => read(code, ends_finished).unwrap_or(true),
        _ => true,
    }
}

/// Whether the parser wants nothing more where the code ends. What it complains of before that, no further
/// line would mend.
fn ends_finished(tree: &Tree) -> bool {
    let end = tree.code_end();
    let wants_more = |(at, what): &(usize, String)| *at >= end && !is_semicolon_error(what);
    let earlier = |(at, _): &(usize, String)| *at < end;
    if tree.ends_in_documentation() {
        return false;
    }
    tree.errors().iter().any(earlier) || !tree.errors().iter().any(wants_more)
}

/// Whether the line below a finished cell can only go on with it, as rustfmt breaks lines: `.len()`, `+ 1`,
/// `else {`, `where T: Copy`. `None` when the line is blank or a comment, so that the next one says.
pub fn goes_on(cell: &str, line: &str) -> Option<bool> {
    let of_line = |text: &str| -> Vec<Tok> {
        let tokens = Lexer::new(text, 0).filter(|tok| tok.is_significant() && !tok.is_comment());
        tokens.take(2).collect()
    };
    let indent = |text: &str| text.len() - text.trim_start().len();
    let found = of_line(line);
    let Some(first) = found.first() else {
        let in_chain = !line.trim().is_empty() && indent(line) > 0;
        return if in_chain { None } else { Some(false) };
    };
    let ended = match scan(cell, None) {
        Ok(scan) => match (
            scan.segments.last().map(|segment| &segment.kind),
            scan.tail.last,
        ) {
            (Some(SegmentKind::Rust(_)), Some(last)) => last.kind == TokenKind::Semi,
            _ => true,
        },
        Err(_) => true,
    };
    if ended {
        return Some(false);
    }
    let second = found.get(1).filter(|second| second.start == first.end);
    let joined = second.map(|second| second.kind);
    let is_broken = indent(line) > indent(cell) && joined.is_none();
    Some(match first.kind {
        TokenKind::Dot => joined == Some(TokenKind::Ident),
        TokenKind::Question
        | TokenKind::Slash
        | TokenKind::Plus
        | TokenKind::Caret
        | TokenKind::Gt => true,
        TokenKind::Eq => true,
        TokenKind::Ident => matches!(first.text(line), "as" | "else" | "where"),
        TokenKind::Bang => joined == Some(TokenKind::Eq),
        TokenKind::And
        | TokenKind::Or
        | TokenKind::Lt
        | TokenKind::Percent
        | TokenKind::Star
        | TokenKind::Minus => {
            let is_double = joined == Some(first.kind)
                && line[first.end + 1..].starts_with([' ', '\t'])
                && matches!(first.kind, TokenKind::And | TokenKind::Or | TokenKind::Lt);
            is_broken || joined == Some(TokenKind::Eq) || (indent(line) > indent(cell) && is_double)
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn finished_cells() {
        for text in [
            "",
            "  \n",
            "1 + 1",
            "let x = 1;",
            "x",
            "fn f() {}",
            "a >= b",
            "0..",
            "use std::fmt::*",
            "f()?",
            "size_of::<Vec<u8>>",
            "return",
            "#![allow(unused)]",
            "// a = (",
            "//! doc",
            "//// no doc",
            "/// doc\nfn f() {}",
            "'('",
            "'a: loop {}",
            "%px x",
            "%px x +",
            "%px x;",
            "let f = %map |x| { x } over v",
            "%run it's",
            "%spawn -- sh -c \"echo (\"",
            "%spawn -- sh -c 'echo ('",
            "%spawn -- sh -c '[ { (' )",
            "%spawn -- echo it's /* (",
            "%env A = (",
            "%cd /tmp/a(1",
            "%run [a.md",
            "%sh echo $(( 1 + 2",
            "%sh awk -F'\"' '{print $2}' f",
            "%parallel cut -d'\"' -f2 ::: f",
            "%bash case a in a) echo '{'; esac",
            "%parallel 'echo (' ::: a",
            "%parallel -a list 'echo ('",
            "%parallel sh -c 'echo (' over [1]",
            "let a = %sh echo '('",
            "%wait a(",
            "%comm_p0 (",
            "!echo (",
            "!echo '{",
            "%spawn -- sh -c 'a\nb (\n\nc'",
            "%spawn -- sh -c 'a\n\n",
            "!echo '",
            "% ",
            ":vars",
            "f(1))",
            "f(1]",
            "(]{",
            "%%px\n1\n",
            "%%px\n\n",
            "%%px\nx\n   ",
            "let x = 5",
            "let x",
            "use std::fmt",
            "struct P(u8)",
            "x++",
            "x ++ 5",
            "let x = = 5 +",
            "x,",
            "1 + ;",
            "(\n\n",
            "fn f() {\n    1 +\n\n\n",
            "%px f(\n \n\t",
            "x +\n\n",
            "#[a]\n\n",
            "let x = 1;\n%%px",
            "\"a\\\"b\"",
            "1 +\n%px x",
            "r#~",
        ] {
            assert_eq!(completeness(text), Completeness::Complete, "{text:?}");
        }
    }

    #[test]
    fn unfinished_cells() {
        for text in [
            "f(",
            "fn f() {",
            "[1,\n2",
            "\"a",
            "\"a\\\"",
            "b\"a",
            "r\"a",
            "r##\"a\"#",
            "br#\"",
            "/* a",
            "/* /* */",
            "let x =",
            "let x = // later",
            "1 +",
            "a &&",
            "a ||",
            "f(1).",
            "fn f() ->",
            "fn f()",
            "fn f<T>(x: T) -> T",
            "fn f<T>(x: T)\nwhere\n    T: Copy,",
            "struct P",
            "impl P",
            "impl<T> P<T>\nwhere",
            "if x",
            "match x",
            "loop",
            "for i in 0..3",
            "while let Some(x) = f()",
            "x - -",
            "let x = if a { 1 } else",
            "unsafe",
            "fn f() {\n",
            "fn f() {\n    let x = 5 let y = 6;",
            "\"a\n\n\n",
            "/*\n\n\n",
            "match x { 1 =>",
            "a >",
            "a <",
            "use a::",
            "let x:",
            "x as",
            "if a {} else",
            "let",
            "0..=",
            "|x|",
            "#[derive(Debug)]",
            "#[a]\n#[b]",
            "/// doc",
            "/// doc\n// plain",
            "/** doc */",
            "#[test] pub",
            "%px f(",
            "%map |x| {\n x",
            "%px \"a",
            "let f = %map (",
            "1;\n%px [",
            "%px x\nlet y =",
            "!echo \\",
            "%spawn -- sh \\",
            "%spawn -- sh -c 'echo",
            "%spawn -- sh -c \"echo",
            "%spawn -- sh -c 'a\nb (\n",
            "%sh echo 'a",
            "%parallel 'echo",
            "%parallel echo '(' over [",
            "%%px",
            "%%px -t 0\nx",
            "%%px\n\nx",
        ] {
            assert_eq!(completeness(text), Completeness::Incomplete, "{text:?}");
        }
    }

    #[test]
    fn lines_that_can_only_go_on() {
        for (cell, line, is) in [
            ("let n = \"abc\"", "    .len();", Some(true)),
            ("xs", ".iter()", Some(true)),
            ("f(1)", "    ?;", Some(true)),
            ("let a = b", "    + c", Some(true)),
            ("let a = b", "    && c", Some(true)),
            ("let a = b", "    || c", Some(true)),
            ("let a = b", "    - c", Some(true)),
            ("let a = b", "    % c", Some(true)),
            ("let a = b", "    != c", Some(true)),
            ("let a = b", "    << c", Some(true)),
            ("let a", "    = c;", Some(true)),
            ("a", "    as u8", Some(true)),
            ("struct P<T>(T)", "where", Some(true)),
            ("if a {}", "else {", Some(true)),
            ("match a {}", "    .b()", Some(true)),
            ("xs.iter()", "    // doubled", None),
            ("xs.iter()", "// another", Some(false)),
            ("xs.iter()", "", Some(false)),
            ("let a = b;", "    .len()", Some(false)),
            ("a", "-b", Some(false)),
            ("a", "*b = 1;", Some(false)),
            ("a", "    -b", Some(false)),
            ("a", "&b", Some(false)),
            ("a", "|| b", Some(false)),
            ("a", "||b", Some(false)),
            ("a", "..3", Some(false)),
            ("a", "<T as U>::f()", Some(false)),
            ("a", "%px x", Some(false)),
            ("a", "!ls", Some(false)),
            ("a", "b", Some(false)),
            ("%px a", "    .b()", Some(false)),
            ("!ls", "    .b()", Some(false)),
        ] {
            assert_eq!(goes_on(cell, line), is, "{cell:?} {line:?}");
        }
    }
}
