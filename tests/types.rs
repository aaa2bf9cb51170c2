//! The types of variables are inferred, from a copy of the standard library's sources that has neither all of
//! its parts nor the crates that it stands on. What is expected here is what the whole of it gives, and rustc
//! agrees, or the cell would not compile: a variable is kept under the type that was inferred.

mod support;

use std::fmt::Write as _;

use support::{contains, notebook};

const IMPORTS: &str = "use std::{any::*, cell::*, collections::*, error::Error, ffi::*, fmt::Debug, fs::File, marker::PhantomData};
use std::{cmp::Reverse, hash::{DefaultHasher, Hash, Hasher}, io::{BufRead, BufReader, BufWriter, Cursor, Write}, net::*, num::*};
use std::{path::*, process::Command, rc::Rc, sync::*, sync::atomic::*, time::*};
";

/// How many variables a cell binds.
const TOGETHER: usize = 75;

/// Types, and values as they are written every day: `TYPE ← VALUE`.
const EVERYDAY: &str = include_str!("types/everyday.txt");

/// Cells whose types the user leaves open.
const LEFT_OPEN: [&str; 6] = [
    "use std::collections::{HashMap, HashSet};",
    "let word = \"a\";",
    "let m: HashMap<_, _> = (0..3).map(|i| (i, i)).collect();",
    "let mut n = HashMap::new(); for c in \"abca\".chars() { *n.entry(c).or_insert(0) += 1; }",
    "let s: HashSet<_> = [word, \"b\"].into_iter().collect();",
    "(m[&2], n[&'a'], s.len())",
];

#[test]
fn types_are_inferred() {
    let rows: Vec<(&str, &str)> = EVERYDAY
        .lines()
        .map(|line| line.split_once(" ← ").expect("a type and a value"))
        .map(|(expected, code)| (expected.trim(), code))
        .collect();
    let mut text = String::new();
    for cell in LEFT_OPEN.into_iter().chain([IMPORTS]) {
        let _ = writeln!(text, "```rust\n{cell}\n```");
    }
    for (cell, rows) in rows.chunks(TOGETHER).enumerate() {
        text.push_str("```rust\n");
        for (row, (_, code)) in rows.iter().enumerate() {
            let _ = writeln!(text, "let v{} = {code};", cell * TOGETHER + row);
        }
        text.push_str("```\n");
    }
    text.push_str("```rust\n%whos\n```\n");
    let (ran, _) = notebook(&text, &["--keep-going"]);
    assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
    contains(&ran.out, &["(2, 2, 2)"]);
    let mut wrong = String::new();
    for (index, (expected, code)) in rows.iter().enumerate() {
        let start = format!("│ v{index} ");
        let row = ran.out.lines().find(|line| line.starts_with(&start));
        let inferred = row.and_then(|row| row.split('│').nth(2)).map(str::trim);
        if inferred != Some(expected) {
            let _ = writeln!(wrong, "{code}: {inferred:?}, expected {expected}");
        }
    }
    assert_eq!(wrong, "");
}
