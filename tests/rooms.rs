//! The rooms of the house and the order of its floors: a lower room never imports a higher one. It reads the
//! sources and knows nothing else of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Floors from the top. A room imports from the floors below its own, never from its own or above.
const FLOORS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["repl", "notebook_run"],
    &["magic"],
    &["session", "render", "notebook", "assist"],
    &["compiler", "pool", "c", "children"],
    &["cell", "engine", "vocabulary"],
    &["wire", "outcome", "store"],
    &["ids", "servers"],
];

/// Edges that the floors allow and the plan forbids: the engines' room is the engine process itself.
const FORBIDDEN: &[(&str, &str)] = &[
    ("session", "engine"),
    ("magic", "engine"),
    ("compiler", "engine"),
    ("repl", "wire"),
    ("repl", "pool"),
    ("render", "wire"),
    ("render", "cell"),
];

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The room to which a file belongs: `src/pool/map.rs` → `pool`.
fn room(path: &Path) -> String {
    let inside = path.strip_prefix(SOURCES).expect("a source");
    let first = inside.iter().next().expect("a name").to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The code without comments and without what stands in quotes.
fn code(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if letter == '"' && !code.ends_with(['\'', '\\']) {
            rest = after_string(&code, &rest[1..]);
        } else {
            code.push(letter);
            rest = &rest[letter.len_utf8()..];
        }
    }
    code
}

/// What follows the string whose inside begins here; `before` tells whether it is a raw one.
fn after_string<'a>(before: &str, inside: &'a str) -> &'a str {
    let hashes = before.len() - before.trim_end_matches('#').len();
    if before.trim_end_matches('#').ends_with('r') {
        let end = format!("\"{}", "#".repeat(hashes));
        return inside.split_once(&end).map_or("", |(_, rest)| rest);
    }
    let mut letters = inside.chars();
    while let Some(letter) = letters.next().filter(|letter| *letter != '"') {
        if letter == '\\' {
            letters.next();
        }
    }
    letters.as_str()
}

/// Rooms that a file names by `crate::…` (or `regatta::…` in `main.rs`).
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for start in ["crate::", "regatta::"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|letter| letter.is_alphanumeric() || "_$:".contains(letter)) {
                continue;
            }
            let path = &code[at + start.len()..];
            match path.strip_prefix('{') {
                // `use crate::{ids::Rank, outcome::Event}`
                Some(group) => found.extend(group_heads(group)),
                None => found.extend(head(path)),
            }
        }
    }
    found
}

fn head(path: &str) -> Option<String> {
    let end = path.find(|letter: char| !(letter.is_alphanumeric() || letter == '_'));
    let name = &path[..end.unwrap_or(path.len())];
    (!name.is_empty()).then(|| name.to_owned())
}

fn group_heads(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut heads = Vec::new();
    let mut begins = true;
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            letter if letter.is_whitespace() => {}
            _ if begins && depth == 0 => {
                heads.extend(head(&group[at..]));
                begins = false;
            }
            _ => {}
        }
    }
    heads
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&room))
}

#[test]
fn no_room_imports_one_above_it() {
    let mut wrong = Vec::new();
    for path in rust_files(Path::new(SOURCES)) {
        let from = room(&path);
        if from == "lib" {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a source");
        let shown = path.strip_prefix(SOURCES).expect("a source").display();
        let Some(own) = floor(&from) else {
            wrong.push(format!(
                "src/{shown}: the room `{from}` has no floor in this test"
            ));
            continue;
        };
        for to in imports(&code(&text)) {
            // What is no room is a name that the crate's root gives.
            let Some(other) = floor(&to).filter(|_| to != from) else {
                continue;
            };
            if other <= own || FORBIDDEN.contains(&(from.as_str(), to.as_str())) {
                wrong.push(format!("src/{shown}: `{from}` must not import `{to}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The workshop waits on the crew, which goes on meanwhile; so the crew knows no workshop.
#[test]
fn the_crew_knows_no_workshop() {
    let crew = rust_files(&Path::new(SOURCES).join("session/crew"));
    assert!(crew.len() > 5, "the crew is read");
    for path in crew {
        let text = code(&fs::read_to_string(&path).expect("a source")).to_lowercase();
        assert!(!text.contains("workshop"), "{}", path.display());
    }
}

#[test]
fn only_the_compilers_room_knows_evcxr_and_its_analysis() {
    for path in rust_files(Path::new(SOURCES)) {
        let text = code(&fs::read_to_string(&path).expect("a source"));
        let parts = [
            "evcxr::",
            "extern crate evcxr",
            "ra_ap_ide",
            "ra_ap_project_model",
        ];
        let imported = parts.iter().any(|part| text.contains(part));
        assert!(
            !imported || room(&path) == "compiler",
            "{} imports evcxr or rust-analyzer",
            path.display()
        );
    }
}

/// The literals of files that look like words for a user: two of them or more. Attributes say why a lint is off or what
/// an error is.
fn worded(files: &[PathBuf]) -> Vec<String> {
    let (mut read, mut worded) = (0, Vec::new());
    for path in files {
        if path
            .iter()
            .any(|part| part == "tests" || part == "tests.rs")
        {
            continue;
        }
        let text = fs::read_to_string(path).expect("a source");
        let text = text.split("#[cfg(test)]").next().expect("a beginning");
        let lines = text.lines().map(str::trim_start);
        let lines = lines.filter(|line| {
            !["//", "#[", "reason ="]
                .iter()
                .any(|no| line.starts_with(no))
        });
        for literal in lines.flat_map(|line| line.split('"').skip(1).step_by(2)) {
            read += 1;
            let words = literal.split(' ').filter(|word| word.len() > 1);
            let words = words.filter(|word| word.chars().all(char::is_alphabetic));
            if words.count() > 1 {
                worded.push(format!("{}: {literal}", path.display()));
            }
        }
    }
    assert!(read > 5, "they are read");
    worded
}

/// Words are the renderer's: what the hub has to tell is data.
#[test]
fn the_hub_makes_no_words() {
    // An engine's loader is told it, as it is told the system's own errors.
    let told_to_engines = "the session knows of no such artifact";
    // What is looked for in the words of `mpiexec`, of ssh and of `squeue`.
    let others = [
        "process rank ",
        "on signal ",
        "Allocated port ",
        "for remote forward to ",
        "Warning: remote port forwarding failed for listen port 0",
        "Warning: Permanently added",
        "banner exchange",
        "Not allowed at this time",
        "Invalid job id",
    ];
    let mut wrong = worded(&rust_files(&Path::new(SOURCES).join("pool")));
    wrong.retain(|line| !line.ends_with(told_to_engines));
    wrong.retain(|line| {
        !others
            .iter()
            .any(|words| line.ends_with(&format!(": {words}")))
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What an error is about is understood in one place and worded in another.
#[test]
fn causes_of_errors_are_no_words() {
    let session = Path::new(SOURCES).join("session");
    let mut files = rust_files(&session.join("explain"));
    files.extend(rust_files(&session.join("crew")));
    files.push(session.join("explain.rs"));
    let wrong = worded(&files);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_stands_in_two_rooms() {
    let kernels = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/kernels/compute/src"));
    // Functions in C are declared there, and called.
    let in_c = kernels.join("c.rs");
    let mut seen = 0;
    for path in rust_files(Path::new(SOURCES))
        .into_iter()
        .chain(rust_files(kernels))
        .filter(|path| *path != in_c)
    {
        let text = code(&fs::read_to_string(&path).expect("a source"));
        let words = text.split(|letter: char| !(letter.is_alphanumeric() || letter == '_'));
        let is_unsafe = words.filter(|word| *word == "unsafe").count() > 0;
        if path.starts_with(Path::new(SOURCES).join("engine")) {
            seen += usize::from(is_unsafe);
        } else {
            assert!(!is_unsafe, "{} has unsafe code", path.display());
        }
    }
    assert!(seen > 0, "the engine's room is read");
}

#[test]
fn imports_are_found() {
    let text = "use crate::ids::Rank;\nuse crate::{outcome::{Event, Sink}, wire as w};\nlet x = crate::pool::f();";
    let found: Vec<String> = imports(&code(text)).into_iter().collect();
    assert_eq!(found, ["ids", "outcome", "pool", "wire"]);
    assert!(
        imports(&code(
            "let b = \"crate::repl::x // \\\" unsafe\"; 1 // crate::cell"
        ))
        .is_empty()
    );
    assert!(
        imports(&code(
            "// crate::repl::x\nlet a = $crate::cell::x; regatta_cell::y();"
        ))
        .is_empty()
    );
}
