//! That no input at all upsets the room, and no length of it.

use super::*;

/// Marsaglia's xorshift: the same inputs on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit.max(1) as u64).unwrap_or_default()
    }

    fn text(&mut self) -> String {
        const PIECES: &[&str] = &[
            "%px x",
            "%%px -t 0",
            "let f = %map ",
            "let mut g: Vec<u8> =",
            "!ls \\",
            ":dep a",
            "\n",
            "\n",
            "\n",
            "\r\n",
            " ",
            "\"",
            "'",
            "r#\"",
            "\"#",
            "/*",
            "*/",
            "//",
            "///",
            "{",
            "}",
            "(",
            ")",
            "[",
            "]",
            ";",
            "=",
            "%",
            "!",
            ":",
            "#[a]",
            "#![b]",
            "fn f()",
            "pub struct S<",
            ">",
            "->",
            "impl",
            "macro_rules! m",
            "if",
            "else",
            "let",
            "x",
            "é",
            "1.5e",
            "b'",
            "println!(\"{x:>w$}\")",
            "const",
            "unsafe",
            "\\",
            "\u{feff}",
        ];
        let length = self.below(40);
        match self.below(4) {
            0 => {
                let bytes: Vec<u8> = (0..length)
                    .map(|_| self.below(256).to_le_bytes()[0])
                    .collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
            1 => (0..length)
                .map(|_| PIECES[self.below(PIECES.len())])
                .collect(),
            _ => self.mutated(PIECES),
        }
    }

    /// A sound cell with a few characters lost and a few pieces put in.
    fn mutated(&mut self, pieces: &[&str]) -> String {
        const CELL: &str = "use std::fmt;\n#[derive(Debug)]\npub struct P<T>(T);\n// plain\n\
            fn f(n: u64) -> u64 { if n < 2 { n } else { f(n - 1) % 7 } }\n\
            let xs = vec![1, 2, \"a\\n\".len()];\n%pool start -n 4 --name 'a'\n\
            let mut r: Vec<u64> = %map |x| {\n  f(*x)\n} over &xs; // go\n\
            !echo \\\n  it's\nimpl fmt::Display for P<r#\"x\"#> {}\nlet z = r\n    % 2;\n%who\nz\n";
        let mut text: Vec<char> = CELL.chars().collect();
        for _ in 0..self.below(8) {
            let at = self.below(text.len());
            if self.below(2) == 0 {
                text.remove(at);
            } else {
                let piece = pieces[self.below(pieces.len())];
                text.splice(at..at, piece.chars());
            }
        }
        text.into_iter().collect()
    }
}

/// The byte offset of a line and column.
fn offset(text: &str, (line, column): (usize, usize)) -> usize {
    let start: usize = text
        .split_inclusive('\n')
        .take(line - 1)
        .map(str::len)
        .sum();
    start
        + text[start..]
            .chars()
            .take(column - 1)
            .map(char::len_utf8)
            .sum::<usize>()
}

/// Walks over a cell and its segments: between them stands nothing that the compiler would have seen.
fn assert_nothing_lost(text: &str, parsed: &Cell, case: &str) {
    let mut at = 0;
    for segment in &parsed.segments {
        let start = offset(text, (segment.line, 1)).max(at);
        assert!(
            is_comment(&text[at..start]),
            "{case}: lost before line {}",
            segment.line
        );
        at = match &segment.kind {
            SegmentKind::Rust(code) => {
                assert!(text[start..].starts_with(code.as_str()), "{case}");
                start + code.len()
            }
            SegmentKind::Shell(ShellCall { command, bind }) => {
                let sign = start + text[start..].find('!').expect(case) + 1;
                let end = sign + text[sign..].find(command).expect(case) + command.len();
                let rest = text[end..].trim_start_matches([' ', '\t', '\r']);
                match (bind, rest.strip_prefix(';')) {
                    (Some(_), Some(rest)) => text.len() - rest.len(),
                    _ => end,
                }
            }
            SegmentKind::Magic(call) if call.cell_form => text.len(),
            SegmentKind::Magic(call) => {
                let args = offset(text, call.args_at);
                assert!(text[args..].starts_with(call.args.as_str()), "{case}");
                let end = args + call.args.len();
                let rest = text[end..].trim_start_matches([' ', '\t', '\r']);
                match (&call.bind, rest.strip_prefix(';')) {
                    (Some(_), Some(rest)) => text.len() - rest.len(),
                    _ => end,
                }
            }
        };
    }
    assert!(is_comment(&text[at..]), "{case}: lost at the end");
}

fn is_comment(text: &str) -> bool {
    token::significant(text, 0, text.len())
        .iter()
        .all(token::Tok::is_comment)
}

/// Every question that the room answers about a text; what is asked of a cell at least.
fn everything_reads(text: &str) {
    let names = ["xs".to_owned(), "x".to_owned()];
    let _ = completeness(text);
    let _ = completeness::goes_on(text, text);
    let _ = identifiers(text);
    let _ = normalised(text);
    let _ = parse(text, Some(&Machine));
    let _ = captured(text, &names);
    let _ = closure(text);
    let _ = bound(text);
    let _ = split_items(text);
    for name in bound_at_top(text) {
        assert!(text.contains(&name), "{text:?}");
    }
    let _ = with_semicolon(text);
    let _ = with_pointers(text, &names);
    let _ = boxed_closure(text, &names);
    let _ = call_of_main(text);
    let _ = over(text);
    let mut at = 0;
    for found in foreign(text) {
        assert!(
            at <= found.span.start && found.span.end <= found.end,
            "{text:?}"
        );
        at = found.end;
    }
    let _ = format_fields(text, &|_| true);
}

#[test]
fn no_input_upsets_the_room_and_no_code_is_lost() {
    let mut parsed = 0;
    for seed in 1..=4000 {
        let text = Random(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed)).text();
        let case = format!("seed {seed}: {text:?}");
        everything_reads(&text);
        let (items, statements) = split_items(&text);
        assert_eq!(
            statements.matches('\n').count(),
            text.matches('\n').count(),
            "{case}"
        );
        for item in items {
            assert!(
                text[offset(&text, (item.line, 1))..].contains(&item.text),
                "{case}"
            );
        }
        match parse(&text, None) {
            Ok(cell) => {
                parsed += 1;
                let calls = cell
                    .segments
                    .iter()
                    .filter(|segment| !matches!(segment.kind, SegmentKind::Rust(_)));
                let with_body = cell.segments.iter().any(
                    |segment| matches!(&segment.kind, SegmentKind::Magic(call) if call.cell_form),
                );
                assert!(with_body || calls.count() == foreign(&text).len(), "{case}");
                assert_nothing_lost(&text, &cell, &case);
            }
            Err(error) => assert!(error.line >= 1 && error.column >= 1, "{case}"),
        }
    }
    assert!(
        parsed > 1000,
        "only {parsed} of the random cells can be taken apart"
    );
}

#[test]
fn long_cells_take_linear_time() {
    let started = std::time::Instant::now();
    for piece in [
        "(",
        "}",
        "(]",
        "{)",
        "#[",
        "#[a]",
        "let x = ",
        "<",
        "impl<",
        "x\n",
        "\"{",
        "%px x\n",
        "pub(",
        "\\\n",
        "x++\n",
        "let a = !b;\n",
        "let a = !ls;\n",
        "return;",
        "|x| x,",
        "m!(x);",
        "1, ",
        "'",
        "\u{feff}",
        "let f = |x| x;\n",
        "m!(m!(",
        "{{x}",
        "#",
        "fn f() {}\n",
        "if x {} ",
        "/// d\n",
        "r#\"",
        "..",
        "=> ",
    ] {
        let text = piece.repeat(60_000 / piece.len());
        everything_reads(&text);
        let _ = parse(&text, None);
        let _ = parse(&format!("%px {text}"), None);
        let _ = parse(&format!("!{text}"), None);
    }
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}
