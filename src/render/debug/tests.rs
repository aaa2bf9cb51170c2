use super::parse::{flat, parse};
use super::*;

fn folded(text: &str, width: usize, most: usize) -> String {
    let lines = lay(text, width, most);
    let lines = lines.into_iter().map(|line| match line {
        Line::Value(text) | Line::LeftOut(text) => text + "\n",
    });
    lines.collect()
}

fn numbers(count: u32) -> String {
    format!("{:?}", (0..count).map(f64::from).collect::<Vec<_>>())
}

#[test]
fn what_fits_stays_on_its_line() {
    for text in [
        "[1, 2]",
        "",
        "()",
        "Point { x: 1, y: 2 }",
        "\"a\\nb\"",
        "漢字",
    ] {
        assert_eq!(folded(text, 40, 10), format!("{text}\n"));
    }
}

#[test]
fn numbers_stand_side_by_side_with_the_middle_left_out() {
    let shown = folded(&numbers(1000), 40, 10);
    let expected = "\
[
      0.0,   1.0,   2.0,   3.0,   4.0,
      5.0,   6.0,   7.0,   8.0,   9.0,
     10.0,  11.0,  12.0,  13.0,  14.0,
     15.0,  16.0,  17.0,  18.0,  19.0,
    … 965 more of 1000
    985.0, 986.0, 987.0, 988.0, 989.0,
    990.0, 991.0, 992.0, 993.0, 994.0,
    995.0, 996.0, 997.0, 998.0, 999.0,
]
";
    assert_eq!(shown, expected);
    let all = folded(&numbers(1000), 40, usize::MAX);
    assert_eq!(all.lines().count(), 202);
    assert!(!all.contains('…'));
}

#[derive(Debug)]
#[allow(dead_code, reason = "shown by its Debug")]
struct Body {
    name: &'static str,
    mass: f64,
    path: Vec<u32>,
    kind: Option<(u8, char)>,
}

fn body(steps: u32) -> Body {
    Body {
        name: "a, [b] {c} \"d\" 漢",
        mass: 1.5,
        path: (0..steps).collect(),
        kind: Some((1, '"')),
    }
}

#[test]
fn a_struct_is_folded_as_alternate_debug_folds_it() {
    let shown = folded(&format!("{:?}", body(4)), 60, 10);
    let expected = "\
Body {
    name: \"a, [b] {c} \\\"d\\\" 漢\",
    mass: 1.5,
    path: [0, 1, 2, 3],
    kind: Some((1, '\"')),
}
";
    assert_eq!(shown, expected);
    let long = folded(&format!("{:?}", body(300)), 60, 10);
    let expected = "\
Body {
    name: \"a, [b] {c} \\\"d\\\" 漢\",
    mass: 1.5,
    path: [
          0,   1,   2,   3,   4,   5,   6,   7,   8,   9,
        … 280 more of 300
        290, 291, 292, 293, 294, 295, 296, 297, 298, 299,
    ],
    kind: Some((1, '\"')),
}
";
    assert_eq!(long, expected);
}

#[test]
fn many_structs_take_a_line_each() {
    let all: Vec<Body> = (0..50).map(|_| body(40)).collect();
    let shown = folded(&format!("{all:?}"), 80, 10);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 10, "{shown}");
    assert!(lines[5].contains("… 43 more of 50"), "{shown}");
    assert!(lines.iter().all(|line| text_width(line) <= 80), "{shown}");
    assert!(lines[1].starts_with("    Body { name: "), "{shown}");
}

fn text_width(text: &str) -> usize {
    crate::render::text::width(text)
}

#[test]
fn what_the_engine_left_out_is_counted() {
    let shown = folded("[0.5, 1.5, 2.5, … 9997 more]", 20, 10);
    assert_eq!(
        shown,
        "[\n    0.5, 1.5, 2.5,\n    … 9997 more of 10000\n]\n"
    );
    let nested = folded("[[1, 2, … 8 more], … 99 more]", 24, 10);
    assert!(nested.contains("… 99 more of 100"), "{nested}");
    let unknown = folded("{\"key\": 1, \"kez\": 2, … more}", 20, 10);
    assert!(unknown.contains("… more than 2 in all"), "{unknown}");
    assert_eq!(parse("… 3 more").map(|seq| seq.pieces.len()), Some(1));
}

#[test]
fn maps_have_a_line_per_entry() {
    let map: std::collections::BTreeMap<_, _> =
        (0..30).map(|n| (format!("key {n}"), vec![n; 3])).collect();
    let shown = folded(&format!("{map:?}"), 60, 7);
    let expected = "\
{
    \"key 0\": [0, 0, 0],
    \"key 1\": [1, 1, 1],
    … 26 more of 30
    \"key 8\": [8, 8, 8],
    \"key 9\": [9, 9, 9],
}
";
    assert_eq!(shown, expected);
    let set: std::collections::BTreeSet<u32> = (0..30).collect();
    assert_eq!(folded(&format!("{set:?}"), 60, 10).lines().count(), 5);
}

#[test]
fn a_long_text_says_how_long_it_is() {
    let text = format!("{:?}", "ab漢 ".repeat(500));
    let shown = folded(&text, 50, 4);
    assert!(shown.ends_with("more of 2002 characters\n"), "{shown}");
    assert!(shown.starts_with("\"ab漢 "), "{shown}");
    let two = format!("({text}, 1)");
    let shown = folded(&two, 50, 4);
    assert!(
        shown.lines().last().is_some_and(|last| last == ")"),
        "{shown}"
    );
}

#[test]
fn what_is_not_understood_stays_as_it_is() {
    for text in [
        "a) b",
        "[1, 2",
        "\"open",
        "{(})",
        "x\u{7}y",
        ":-) [",
        "don't, [1",
        "]",
    ] {
        assert_eq!(parse(text), None, "{text}");
        assert_eq!(folded(text, 20, 10), format!("{text}\n"));
    }
    let matrix = "[[1, 2],\n [3, 4]], shape=[2, 2]";
    assert_eq!(folded(matrix, 20, 3), format!("{matrix}\n"));
    let many: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let shown = folded(&many.join("\n"), 20, 3);
    assert!(shown.ends_with("39\n… 60 more of 100 lines\n"), "{shown}");
}

#[test]
fn a_list_of_links_ends_no_stack() {
    let deep = format!("{}Nil{}", "Cons(1, ".repeat(20_000), ")".repeat(20_000));
    assert_eq!(folded(&deep, 80, 3).lines().count(), 2);
    let brackets = "[".repeat(100_000);
    assert_eq!(parse(&brackets), None);
}

/// Any text keeps its characters: cut and folded at random, from a logged seed.
#[test]
fn no_character_is_lost() {
    let parts = [
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        "{ ",
        " }",
        ", ",
        ",",
        "\"a, b\"",
        "'\"'",
        "'",
        "x: ",
        "Some(",
        "1.5",
        "..",
        "漢",
        "\\",
        "\"",
        "… 3 more",
        "… more",
        " ",
        "-1",
        "Foo ",
        "<locked>",
    ];
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..20_000 {
        let count = random.usize(..14);
        let text: String = (0..count).filter_map(|_| random.choice(parts)).collect();
        if let Some(seq) = parse(&text) {
            let mut again = String::new();
            flat(&seq, &mut again);
            assert_eq!(again, text, "seed {seed}");
            assert_eq!(seq.width, text_width(&text), "seed {seed}: {text}");
        }
        let bare = |text: &str| -> String {
            let kept = |c: &char| !c.is_whitespace() && *c != ',';
            text.chars().filter(kept).collect()
        };
        let shown: String = lay(&text, 20, usize::MAX)
            .into_iter()
            .filter_map(|line| match line {
                Line::Value(text) => Some(text),
                Line::LeftOut(_) => None,
            })
            .collect();
        if !text.contains('…') {
            assert_eq!(bare(&shown), bare(&text), "seed {seed}: {text}");
        }
        for most in [1, 2, 3, 5] {
            let lines = lay(&text, 20, most);
            assert!(lines.len() <= most.max(1), "seed {seed}: {text}");
        }
    }
}
