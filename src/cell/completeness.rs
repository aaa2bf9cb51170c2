//! Whether a cell is finished when the user presses Enter. It must never refuse a finished cell: what is
//! wrong with a text is for the parser and the compiler to say, and they can say it only of a finished one.

use super::SegmentKind;
use super::scan::{Stop, Tail, scan};
use super::statement::can_end;

/// What the line editor asks on Enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completeness {
    Complete,
    /// Another line must follow: a bracket, a string or a comment is open, a `%%` cell has no empty line at its
    /// end, the last line ends with an operator, or an attribute has no item.
    Incomplete,
}

/// Looks at the whole text of the cell, without the newline that Enter would add.
#[must_use]
pub fn completeness(text: &str) -> Completeness {
    let finished = match scan(text) {
        Err(Stop::Unclosed(_)) => false,
        Err(Stop::Wrong(_)) => true,
        Ok(scan) => match scan.segments.last().map(|segment| &segment.kind) {
            Some(SegmentKind::Magic(call)) if call.cell_form => ends_with_empty_line(text),
            _ => is_finished(text, &scan.tail),
        },
    };
    if finished {
        Completeness::Complete
    } else {
        Completeness::Incomplete
    }
}

fn ends_with_empty_line(text: &str) -> bool {
    text.rsplit_once('\n')
        .is_some_and(|(_, last)| last.trim().is_empty())
}

fn is_finished(text: &str, tail: &Tail) -> bool {
    if tail.unterminated || tail.shell_continues {
        return false;
    }
    if tail.brackets.mismatched {
        return true;
    }
    tail.brackets.depth() == 0
        && !tail.wants_item
        && tail
            .last
            .is_none_or(|last| can_end(text, last, tail.before_last))
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
            "fn f()",
            "return",
            "#![allow(unused)]",
            "// a = (",
            "'('",
            "'a: loop {}",
            "%px x",
            "%px x +",
            "%px x;",
            "let f = %map |x| { x } over v",
            "%run it's",
            "!echo '",
            "% ",
            ":vars",
            "f(1))",
            "f(1]",
            "(]{",
            "%%px\n1\n",
            "%%px\n\n",
            "%%px\nx\n   ",
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
            "x,",
            "fn f() ->",
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
            "#[test] pub",
            "%px f(",
            "%map |x| {\n x",
            "%px \"a",
            "let f = %map (",
            "1;\n%px [",
            "%px x\nlet y =",
            "!echo \\",
            "%%px",
            "%%px -t 0\nx",
            "%%px\n\nx",
        ] {
            assert_eq!(completeness(text), Completeness::Incomplete, "{text:?}");
        }
    }
}
