//! What a user types and what a cell is then made of; and that no input at all upsets the room.

use super::*;

/// A segment in a notation of one line.
fn shown(segment: Segment) -> String {
    let kind = match segment.kind {
        SegmentKind::Rust(code) => format!("rust {code:?}"),
        SegmentKind::Shell(ShellCall { command, bind }) => {
            let bind = bind.map_or(String::new(), |bind| format!("{} = ", bind.pattern));
            format!("{bind}shell {command:?}")
        }
        SegmentKind::Magic(MagicCall {
            name,
            args,
            body,
            bind,
            cell_form,
            ..
        }) => {
            assert_eq!(cell_form, body.is_some());
            let bind = bind.map_or(String::new(), |bind| {
                let ty = bind.ty.map_or(String::new(), |ty| format!(": {ty}"));
                format!("{}{ty} = ", bind.pattern)
            });
            let body = body.map_or(String::new(), |body| format!(" body {body:?}"));
            format!("{bind}%{name} {args:?}{body}")
        }
    };
    format!("{} {kind}", segment.line)
}

fn show(text: &str) -> Vec<String> {
    match parse(text) {
        Ok(cell) => cell.segments.into_iter().map(shown).collect(),
        Err(error) => panic!("{text:?}: {error:?}"),
    }
}

#[track_caller]
fn check(table: &[(&str, &[&str])]) {
    for (text, segments) in table {
        assert_eq!(show(text), *segments, "{text:?}");
    }
}

fn error(text: &str) -> CellError {
    parse(text).expect_err(text)
}

#[test]
fn rust_and_magics_alternate() {
    check(&[
        ("", &[]),
        ("\n  // only a comment\n", &[]),
        ("1 + 1", &["1 rust \"1 + 1\""]),
        (
            "let x = 5;\n%px x",
            &["1 rust \"let x = 5;\"", "2 %px \"x\""],
        ),
        (
            "%px x\nlet y = 1;\n\n  y\n",
            &["1 %px \"x\"", "2 rust \"let y = 1;\\n\\n  y\""],
        ),
        ("\n\n  a();\n  b()", &["3 rust \"  a();\\n  b()\""]),
        (
            "fn f() {}\n%px f()\n%px 2",
            &["1 rust \"fn f() {}\"", "2 %px \"f()\"", "3 %px \"2\""],
        ),
        ("// why\n%px x // here\n", &["2 %px \"x // here\""]),
        ("%px x;", &["1 %px \"x;\""]),
        (
            "%pool start -n 4\r\n%who\r\n",
            &["1 %pool \"start -n 4\"", "2 %who \"\""],
        ),
        (
            "x = vec![1]\n;\n%px x",
            &["1 rust \"x = vec![1]\\n;\"", "3 %px \"x\""],
        ),
        (":dep serde = \"1\"", &["1 %dep \"serde = \\\"1\\\"\""]),
        (
            ":dep a = { features = [\n\"b\"] }\n1",
            &[
                "1 %dep \"a = { features = [\\n\\\"b\\\"] }\"",
                "3 rust \"1\"",
            ],
        ),
    ]);
}

#[test]
fn the_remainder_operator_stays_rust() {
    for text in [
        "a % b",
        "a %b",
        "a\n    % b",
        "a\n    %b",
        "f(\n%px\n)",
        "let x = [1,\n%b];",
        "{\n%px x\n}",
        "\"\n%px x\n\"",
        "r#\"\n%px \"\n%who\n\"#",
        "/*\n%px x\n*/ 1",
        "let a = S { b: 1 }\n    % 3;",
        "a == b\n    %c",
        "fib(3)?\n%px",
    ] {
        assert_eq!(show(text), [format!("1 rust {text:?}")], "{text:?}");
    }
}

#[test]
fn a_magic_needs_no_semicolon_before_it_where_rust_needs_none() {
    check(&[
        (
            "if a { b }\n%who",
            &["1 rust \"if a { b }\"", "2 %who \"\""],
        ),
        ("a +\n%px b", &["1 rust \"a +\"", "2 %px \"b\""]),
    ]);
}

#[test]
fn arguments_go_on_while_something_is_open() {
    check(&[
        (
            "%map |x| {\n  x + 1\n} over xs\nxs",
            &["1 %map \"|x| {\\n  x + 1\\n} over xs\"", "4 rust \"xs\""],
        ),
        (
            "%px \"a\nb\"\n1",
            &["1 %px \"\\\"a\\nb\\\"\"", "3 rust \"1\""],
        ),
        (
            "%px r#\"a\n\"\n\"#\n1",
            &["1 %px \"r#\\\"a\\n\\\"\\n\\\"#\"", "4 rust \"1\""],
        ),
        (
            "%px /* a\nb */ 2\n1",
            &["1 %px \"/* a\\nb */ 2\"", "3 rust \"1\""],
        ),
        ("%map fib\nover", &["1 %map \"fib\"", "2 rust \"over\""]),
        ("%run it's\n1", &["1 %run \"it's\"", "2 rust \"1\""]),
        ("%help )\n1", &["1 %help \")\"", "2 rust \"1\""]),
        ("%help (]\n1", &["1 %help \"(]\"", "2 rust \"1\""]),
    ]);
    let open = error("1;\n%px f(\n 2");
    assert_eq!(
        (open.what.as_str(), open.line, open.column),
        ("this `(` is never closed", 2, 6)
    );
    assert_eq!(error("%px \"abc").what, "this string is never closed");
}

#[test]
fn a_let_takes_a_magics_value() {
    check(&[
        ("let f = %map fib over xs", &["1 f = %map \"fib over xs\""]),
        (
            "let f = %map fib over xs ; // six",
            &["1 f = %map \"fib over xs\""],
        ),
        (
            "let mut f: Vec<u64> = %map fib over xs;",
            &["1 mut f: Vec<u64> = %map \"fib over xs\""],
        ),
        (
            "let f =\n  %map fib over xs;\nf",
            &["1 f = %map \"fib over xs\"", "3 rust \"f\""],
        ),
        (
            "let f = %map |x| {\n x; \n} over v;",
            &["1 f = %map \"|x| {\\n x; \\n} over v\""],
        ),
        (
            "let a = 1;  let f = %px a;\n",
            &["1 rust \"let a = 1;\"", "1 f = %px \"a\""],
        ),
        (
            "if a {}\nlet f = %px a",
            &["1 rust \"if a {}\"", "2 f = %px \"a\""],
        ),
        (
            "let f: Box<dyn Iterator<Item = u8>> = %px a",
            &["1 f: Box<dyn Iterator<Item = u8>> = %px \"a\""],
        ),
        ("let r#fn = %px a", &["1 r#fn = %px \"a\""]),
    ]);
    let simple = "the value of a magic can only be bound to a name";
    for (text, what, column) in [
        ("let (a, b) = %px x", simple, 5),
        ("let ref a = %px x", simple, 5),
        ("let Some(a) = %px x", simple, 5),
        ("let a = b = %px x", simple, 7),
        ("let a: u8 = b = %px x", simple, 11),
        ("let _ = %px x", "`_` binds nothing", 5),
        (
            "a = %px x",
            "only `let name =` can take the value of a magic",
            3,
        ),
        (
            "let a = %%px x",
            "`%%px` must be the first line of its cell",
            9,
        ),
    ] {
        let error = error(text);
        assert_eq!(
            (error.what.as_str(), error.line, error.column),
            (what, 1, column),
            "{text:?}"
        );
        assert!(error.hint.is_some());
    }
}

#[test]
fn a_cell_magic_takes_all_that_follows() {
    check(&[
        (
            "%%px -t 0\nlet x = 1;\n%px x\n",
            &["1 %px \"-t 0\" body \"let x = 1;\\n%px x\\n\""],
        ),
        ("\n  %%time\r\n1", &["2 %time \"\" body \"1\""]),
        ("%%px", &["1 %px \"\" body \"\""]),
        ("%%px (\n)", &["1 %px \"(\" body \")\""]),
    ]);
    let late = error("let x = 1;\n  %%px\nx");
    assert_eq!((late.line, late.column), (2, 3));
    assert_eq!(late.what, "`%%px` must be the first line of its cell");
    assert_eq!(show("a %%px"), ["1 rust \"a %%px\""]);
}

#[test]
fn places_count_characters_from_one() {
    let call = |text: &str| match parse(text).map(|mut cell| cell.segments.pop()) {
        Ok(Some(Segment {
            kind: SegmentKind::Magic(call),
            ..
        })) => call,
        other => panic!("{other:?}"),
    };
    assert_eq!(call("let ä = %px  -t 0 x").args_at, (1, 14));
    assert_eq!(call("1;\n%px x").args_at, (2, 5));
    assert_eq!(call("%who").args_at, (1, 5));
    let px = call("\n%%px  -t 0\nx");
    assert_eq!((px.args_at, px.body_line), ((2, 7), 3));
}

#[test]
fn shell_commands() {
    check(&[
        ("!ls -l | wc", &["1 shell \"ls -l | wc\""]),
        (
            "a;\n!echo it's \"\n1",
            &[
                "1 rust \"a;\"",
                "2 shell \"echo it's \\\"\"",
                "3 rust \"1\"",
            ],
        ),
        (
            "!echo a \\\n  b\n1",
            &["1 shell \"echo a \\\\\\n  b\"", "3 rust \"1\""],
        ),
        ("!(a && b)", &["1 rust \"!(a && b)\""]),
        ("let a = !b;", &["1 rust \"let a = !b;\""]),
        (
            "let a = if b { 1 } else { 2 }\n!= 3;",
            &["1 rust \"let a = if b { 1 } else { 2 }\\n!= 3;\""],
        ),
        ("a\n!ls", &["1 rust \"a\\n!ls\""]),
    ]);
    assert_eq!(error("! ").what, "a shell command must follow `!`");
}

/// A session with a variable `flag`, on a machine with the commands `ls`, `cat`, `flag` and `test`.
struct Machine;

impl Known for Machine {
    fn is_variable(&self, name: &str) -> bool {
        name == "flag"
    }

    fn is_command(&self, word: &str) -> bool {
        ["ls", "cat", "flag", "test"].contains(&word)
    }
}

#[test]
fn a_bang_negates_where_rust_can_read_it_and_no_command_is_meant() {
    for (text, segments, negations) in [
        ("!ok", "rust \"!ok\"", "!ok"),
        ("!ok && f(1)", "rust \"!ok && f(1)\"", "!ok && f(1)"),
        ("!v.is_empty()", "rust \"!v.is_empty()\"", "!v.is_empty()"),
        ("!ls", "shell \"ls\"", ""),
        ("!ls -l", "shell \"ls -l\"", ""),
        ("!nothing here", "shell \"nothing here\"", ""),
        ("let a = !b;", "rust \"let a = !b;\"", ""),
        ("let a = !b // why", "rust \"let a = !b // why\"", ""),
        ("let a = !flag", "rust \"let a = !flag\"", ""),
        (
            "let test = true; let a = !test;",
            "rust \"let test = true; let a = !test;\"",
            "",
        ),
        ("let a = !f(\n1);", "rust \"let a = !f(\\n1);\"", ""),
        (
            "let a = !b\n    && c;",
            "rust \"let a = !b\\n    && c;\"",
            "",
        ),
        ("let a = b == !c;", "rust \"let a = b == !c;\"", ""),
        ("let (a, b) = !c;", "rust \"let (a, b) = !c;\"", ""),
        ("let out = !ls", "out = shell \"ls\"", ""),
        ("let out = !ls -l;", "out = shell \"ls -l\"", ""),
        (
            "let mut out: Vec<String> = !cat 'a b' | sort",
            "mut out = shell \"cat 'a b' | sort\"",
            "",
        ),
        (
            "let out = !find . -exec ls {} \\;",
            "out = shell \"find . -exec ls {} \\\\;\"",
            "",
        ),
        (
            "let out = !awk '{print $1}' x",
            "out = shell \"awk '{print $1}' x\"",
            "",
        ),
        (
            "let out = !cat \\\n  x",
            "out = shell \"cat \\\\\\n  x\"",
            "",
        ),
    ] {
        let cell = parse_knowing(text, &Machine).expect(text);
        let shown: Vec<String> = cell.segments.into_iter().map(shown).collect();
        assert_eq!(shown, [format!("1 {segments}")], "{text:?}");
        assert_eq!(cell.negations.join("|"), negations, "{text:?}");
    }
    let both = parse_knowing("let a = 1;\nlet out = !ls\nout", &Machine).expect("a cell");
    assert_eq!(both.segments.len(), 3);
}

#[test]
fn signs_without_a_name_are_told() {
    for (text, place) in [
        ("%", (1, 1)),
        ("1;\n %%", (2, 2)),
        ("%123", (1, 1)),
        ("fn f() {}\n% 3", (2, 1)),
    ] {
        let error = error(text);
        assert_eq!((error.line, error.column), place, "{text:?}");
        assert_eq!(error.what, "a magic's name must follow `%`");
    }
}

#[test]
fn evcxrs_commands_are_told_by_the_names_they_have_here() {
    for (text, hint) in [
        (":vars", "write `%who`"),
        ("1;\n:t x", "write `%type`"),
        (":timing", "write `%time`"),
        (":sccache 1", "`%help` lists the magics"),
    ] {
        assert_eq!(error(text).hint.as_deref(), Some(hint), "{text:?}");
    }
    assert_eq!(
        show("::std::mem::drop(1)"),
        ["1 rust \"::std::mem::drop(1)\""]
    );
}

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
    let _ = parse_knowing(text, &Machine);
    let _ = captured(text, &names);
    let _ = closure(text);
    let _ = bound(text);
    let _ = split_items(text);
    for name in bound_at_top(text) {
        assert!(text.contains(&name), "{text:?}");
    }
    for at in returns_at_top(text) {
        assert!(text[at].starts_with("return"), "{text:?}");
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
        match parse(&text) {
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
        let _ = parse(&text);
        let _ = parse(&format!("%px {text}"));
        let _ = parse(&format!("!{text}"));
    }
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}
