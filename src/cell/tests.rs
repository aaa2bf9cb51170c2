//! What a user types and what a cell is then made of.

mod any_text;

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
    match parse(text, None) {
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
    parse(text, None).expect_err(text)
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
    let call = |text: &str| match parse(text, None).map(|mut cell| cell.segments.pop()) {
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
        let cell = parse(text, Some(&Machine)).expect(text);
        let shown: Vec<String> = cell.segments.into_iter().map(shown).collect();
        assert_eq!(shown, [format!("1 {segments}")], "{text:?}");
        assert_eq!(cell.negations.join("|"), negations, "{text:?}");
    }
    let both = parse("let a = 1;\nlet out = !ls\nout", Some(&Machine)).expect("a cell");
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
