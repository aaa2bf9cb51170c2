//! Cells whose crates are built are compiled without cargo, and say the same as with it; whatever is new, cargo
//! builds.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use support::contains;
use support::machine::Machine;

/// A crate in a folder of the user's.
fn write_crate(folder: &Path, name: &str, source: &str) -> String {
    let place = folder.join(name);
    fs::create_dir_all(place.join("src")).unwrap();
    let manifest =
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
    fs::write(place.join("Cargo.toml"), manifest).unwrap();
    fs::write(place.join("src/lib.rs"), source).unwrap();
    format!("%dep {name} = {{ path = {place:?} }}")
}

/// What stands between `<mark` and `>`.
fn marked<'s>(said: &'s str, mark: &str) -> &'s str {
    let behind = said.split_once(&format!("<{mark}"));
    let found = behind.and_then(|(_, rest)| rest.split_once('>'));
    found
        .unwrap_or_else(|| panic!("no <{mark}…> in:\n{said}"))
        .0
}

/// The errors of a cell that is refused, without the cell's number.
fn refusals(said: &str) -> Vec<String> {
    let parts = said.split("mismatched types").skip(1);
    let parts = parts.map(|part| part.split_once("<").map_or(part, |(error, _)| error));
    let lines = |part: &str| {
        let lines = part.lines().filter(|line| !line.contains("In [")).take(8);
        lines
            .map(|line| format!("{}\n", line.trim_end()))
            .collect::<String>()
    };
    parts.map(lines).collect()
}

/// The binary carries all other crates as built, when the toolchain is the one that it was built with.
#[test]
fn a_first_start_compiles_cells_alone() {
    let machine = Machine::new();
    let log = machine.log_rustc();
    let cells = ["%pool start -n 1", "%map |x: u64| x * 2 over [20, 21]"];
    contains(&machine.run(&[], &cells), &["[40, 42]"]);
    let log = fs::read_to_string(log).unwrap();
    let named = log
        .lines()
        .filter_map(|line| line.split_once("--crate-name "));
    let named: BTreeSet<&str> = named
        .filter_map(|(_, rest)| rest.split(' ').next())
        .collect();
    // Cargo asks what rustc calls its files.
    assert_eq!(named, BTreeSet::from(["___", "ctx"]), "{log}");
}

#[test]
fn with_another_toolchain_the_first_start_builds_all_crates() {
    const BUILT: &str = "the first start with this toolchain builds the crates";
    let machine = Machine::new();
    machine.is_another();
    let cells = ["[1, 2].map(|x| x + 1)"];
    // As `cargo run` starts it.
    let environment = [("CARGO", "/usr/bin/cargo")];
    let first = machine.run(&environment, &cells);
    contains(&first, &[BUILT, "[2, 3]"]);
    let again = machine.run(&environment, &cells);
    contains(&again, &["[2, 3]"]);
    assert!(!again.contains(BUILT), "{again}after\n{first}");
}

#[test]
fn cargo_builds_what_is_new_and_nothing_else() {
    let machine = Machine::new();
    let log = machine.count_builds();
    // The crates that every cell is compiled with.
    contains(&machine.run(&[], &["1 + 1"]), &["Out[1]: 2"]);
    assert!(
        !fs::read_to_string(&log).unwrap().is_empty(),
        "builds are counted"
    );
    fs::write(&log, "").unwrap();

    let own = write_crate(machine.folder(), "own", "pub fn answer() -> u8 { 40 }");
    let scripted = write_crate(
        machine.folder(),
        "scripted",
        "pub fn word() -> &'static str { env!(\"WORD\") }",
    );
    let word = machine.folder().join("word");
    fs::write(&word, "one").unwrap();
    let script = format!(
        "fn main() {{ let word = std::fs::read_to_string({word:?}).unwrap(); println!(\"cargo::rustc-env=WORD={{word}}\");\n\
         println!(\"cargo::rerun-if-changed={}\"); }}",
        word.display()
    );
    fs::write(machine.folder().join("scripted/build.rs"), script).unwrap();
    let refused = "let shown: u8 = 1;\nlet wrong: u8 = \"a\".len();";
    let count = |mark: &str, more: &str| {
        format!("println!(\"{{}}{mark}{{}} {{}}>\", '<', builds(), {more});")
    };
    let edit = |file: &Path, text: &str| format!("std::fs::write({file:?}, {text:?}).unwrap();");
    let source = machine.folder().join("own/src/lib.rs");
    let cells = [
        format!(
            "fn builds() -> usize {{ std::fs::read_to_string({log:?}).map_or(0, |log| log.lines().count()) }}"
        ),
        count("first ", "0"),
        refused.to_owned(),
        // Nothing was built in this way before.
        "%opt 1".to_owned(),
        refused.to_owned(),
        count("other ", "0"),
        count("other again ", "0"),
        "%opt 2".to_owned(),
        count("back ", "0"),
        own,
        count("own ", "own::answer()"),
        count("own again ", "own::answer()"),
        edit(&source, "pub fn answer() -> u8 { 41 }"),
        count("edited ", "own::answer()"),
        count("edited again ", "own::answer()"),
        scripted,
        count("scripted ", "scripted::word()"),
        count("scripted again ", "scripted::word()"),
        edit(&word, "two"),
        count("told ", "scripted::word()"),
    ];
    let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
    let said = machine.run(&[], &cells);
    let count = |mark: &str| {
        let (count, answer) = marked(&said, &format!("{mark} ")).split_once(' ').unwrap();
        (count.parse::<usize>().unwrap(), answer)
    };
    assert_eq!(count("first"), (0, "0"), "{said}");
    let errors = refusals(&said);
    assert_eq!(errors.len(), 2, "{said}");
    assert_eq!(errors[0], errors[1], "{said}");
    contains(&errors[0], &["expected `u8`, found `usize`"]);

    let other = count("other").0;
    assert!(other > 1, "{said}");
    assert_eq!(count("other again").0, other, "{said}");
    assert_eq!(count("back").0, other, "{said}");
    let own = count("own");
    assert!(own.0 > other && own.1 == "40", "{said}");
    assert_eq!(count("own again"), own, "{said}");
    assert_eq!(count("edited"), (own.0 + 1, "41"), "{said}");
    assert_eq!(count("edited again"), count("edited"), "{said}");
    // A build script may go by what it likes.
    assert_eq!(count("scripted").1, "one", "{said}");
    assert_eq!(
        count("scripted again"),
        (count("scripted").0 + 1, "one"),
        "{said}"
    );
    assert_eq!(count("told").1, "two", "{said}");
}
