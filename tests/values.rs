//! What is shown of values, and what becomes of them: folded to the width, kept for `_` and `Out[n]`, drawn.

mod support;

use support::{contains, lacks, notebook};

/// The cells' outputs, without their inputs.
struct Shown(Vec<String>);

impl Shown {
    /// Runs cells, each of one line, in one session.
    fn of(cells: &[&str]) -> Self {
        let fences = cells.iter().map(|code| format!("```rust\n{code}\n```\n\n"));
        let (ran, _) = notebook(&fences.collect::<String>(), &["--keep-going"]);
        let mut rest = ran.out.as_str();
        let mut outputs = Vec::new();
        for (index, code) in cells.iter().enumerate() {
            let prompt = format!("In [{}]: ", index + 1);
            let at = rest
                .find(&prompt)
                .unwrap_or_else(|| panic!("no {prompt} in\n{}", ran.out));
            rest = &rest[at..];
            let end = rest
                .find(&format!("In [{}]: ", index + 2))
                .unwrap_or(rest.len());
            let lines = rest[..end].lines().skip(code.lines().count());
            outputs.push(lines.map(|line| format!("{line}\n")).collect());
        }
        Self(outputs)
    }

    /// What the cell of this number has shown.
    fn out(&self, cell: usize) -> &str {
        self.0[cell - 1].trim_end()
    }
}

#[test]
fn earlier_values_can_be_used() {
    let shown = Shown::of(&[
        "6 * 7",
        "_ + 1",
        "(_, __, Out[1])",
        "vec![1.5, 2.5]",
        "println!(\"{} {:?}\", _.len(), _3);",
        "let s = String::from(\"abc\"); s",
        "_ + \"d\"",
        "s",
        "s.as_str()",
        "_",
        "_4.into_iter().sum::<f64>()",
        "_4",
        "#[derive(Debug)] struct Point { x: i32, m: std::collections::HashMap<u8, String> }\nPoint { x: 1, m: [(1, \"a\".to_owned())].into() }",
        "_.m[&1].clone() + \"!\"",
        "#[derive(Debug)] struct Point { x: i64 }",
        "_13.x",
        "let _ = 5; let v: Vec<_> = (0..3).map(|_| 1).collect::<Vec<_>>(); match 3 { 1 => 2, _ => v.len() }",
        "vec![0_u8; 300_000_000]",
        "_[0]",
        "vec![1_u8; 50_000_000]",
        "%out",
        "%out --drop 20",
        "Out[20].len()",
        "(0..3).map(|x| x * 2)",
        "_.count()",
        "String::from(\"ab\").as_str().len()",
        "\"x\".parse::<f64>()",
        "_.is_err()",
        "struct Mute; fn mute() -> Mute { Mute }\nmute()",
        "_99",
        "let x = 1; x + nothing",
        "%show vec![7; 200].len() + _1 as usize",
        "std::process::abort()",
        "_1",
        "#[derive(Debug)] struct Star { name: String, size: f64 }\nlet stars: Vec<Star> = (0..30).map(|n| Star { name: format!(\"s{n}\"), size: f64::from(n) * 1.5 }).collect();",
        "%table stars",
        "%table -n 2 stars.iter().map(|s| (s.size, s.name.len())).collect::<Vec<_>>()",
        "%table 3",
        "let xs: Vec<f64> = (0..200).map(|x| f64::from(x) / 20.0).collect(); let ys: Vec<f64> = xs.iter().map(|x| x.sin()).collect();",
        "%plot ys",
        "%plot xs ys",
        "%plot --svg /no/such/folder/chart.svg xs ys",
        "%plot stars",
        "%plot xs vec![1]",
        "stars",
        "%opt --lines 5",
        "stars.len(); xs",
        "%show xs",
        "vec![3, 4]",
        "%pool start threads -n 2",
        "%map --quiet |x| x * 2 over _",
        "_.len() + Out[51].len()",
        "stars",
        "_.len() + nothing",
        "%types on",
        "xs.get(2)",
        "%types",
        "xs.len()",
        "%types sometimes",
        "(std::thread::spawn(|| 7), (0..9).rev())",
        "{ let (seven, down) = _; seven.join().unwrap() + down.sum::<i32>() }",
        "Out[8]",
    ]);
    let outs = [
        (1, "Out[1]: 42"),
        (2, "Out[2]: 43"),
        (3, "Out[3]: (43, 42, 42)"),
        (5, "2 (43, 42, 42)"),
        (7, "Out[7]: \"abcd\""),
        (8, "Out[8]: \"abc\""),
        (11, "Out[11]: 4.0"),
        (14, "Out[14]: \"a!\""),
        (17, "Out[17]: 3"),
        (26, "Out[26]: 2"),
        (28, "Out[28]: true"),
        (32, "242"),
        (51, "Out[51]: [6, 8]"),
        (52, "Out[52]: 4"),
        (56, "Out[56]: Option<&f64> = Some(0.1)"),
        (57, "%types off: values are shown without their types"),
        (58, "Out[58]: 200"),
        (61, "Out[61]: 43"),
    ];
    for (cell, wanted) in outs {
        // The first cells may wait for the compiler, and say so.
        let last = shown.out(cell).lines().last();
        assert_eq!(last, Some(wanted), "In [{cell}]");
    }
    let refused = [
        (
            10,
            "`_` is not there: a value of the type str may borrow from others",
        ),
        (12, "`_4` is not there: it was moved in In [11]"),
        (16, "`_13` is not there: its type was redefined"),
        (19, "`_` is not there: it was too large"),
        (23, "it was dropped by `%out --drop`"),
        (25, "has no name that a cell could write"),
        (29, "`Mute` has no `Debug`"),
        (30, "In [99] has shown no value for `_99`"),
        (31, "cannot find value `nothing`"),
        (34, "it went with the session's other variables"),
        (54, " --> In [54]:1:11"),
        (59, "on, off"),
        (62, "it went with the session's other variables"),
    ];
    for (cell, wanted) in refused {
        contains(shown.out(cell), &["error", wanted]);
        lacks(shown.out(cell), &["regatta_", "evcxr"]);
    }
    contains(
        shown.out(36),
        &[
            "│    │ name │ size │",
            "│ 19 │ s19  │ 28.5 │",
            "… 10 more of 30",
        ],
    );
    contains(shown.out(37), &["│ 1 │ 1.5 │ 2 │", "… 28 more of 30"]);
    contains(shown.out(38), &["error: i32 is no list"]);
    contains(shown.out(40), &[" 0.5 ┤", "└┬─", "160"]);
    contains(shown.out(41), &[" 0.5 ┤", "└┬─", "  8"]);
    contains(
        shown.out(42),
        &["error", "there is no folder /no/such/folder"],
    );
    contains(shown.out(43), &["error", "`s0, 0.0` is no number"]);
    contains(shown.out(44), &["error", "200 values of x and 1 of y"]);
    let folded = shown.out(45);
    contains(
        folded,
        &[
            "Out[45]:\n[\n    Star { name: \"s0\", size: 0.0 },\n",
            "\n    … 23 more of 30\n",
        ],
    );
    assert_eq!(folded.lines().count(), 11, "{folded}");
    assert_eq!(shown.out(47).lines().count(), 6, "{}", shown.out(47));
    let whole = shown.out(48);
    assert_eq!(whole.matches(',').count(), 200, "{whole}");
    contains(
        shown.out(21),
        &[
            "a clone of s",
            "kept as _1",
            "50.0 MB",
            "not kept: it was too large",
            "│ Out[20] │ Vec<u8> ",
        ],
    );
}
