//! Input that nobody meant: random bytes and mutated cells. The session answers what follows.

mod support;

use std::time::Duration;

use serde_json::Value;
use support::{PATIENCE, Session, contains, dose, regatta};

/// Cells that do no harm, however they are changed: no loops, no recursion, no files, no processes.
const CELLS: [&str; 14] = [
    "let a = 1 + 2;",
    "let text = String::from(\"boat\");",
    "fn double(x: u64) -> u64 { x * 2 }",
    "struct Oar { length: f64, side: Side }\nenum Side { Port, Starboard }",
    "let v = vec![3, 1, 2];\nv.iter().max()",
    "impl Oar { fn new() -> Self { Oar { length: 3.5, side: Side::Port } } }",
    "use std::collections::HashMap;",
    "let parsed: i32 = \"12\".parse()?;",
    "macro_rules! sum { ($($x:expr),*) => { 0 $(+ $x)* } }",
    "(1..5).map(|x| x * x).sum::<i32>()",
    "let pair = (1u8, 'x');\nlet (left, right) = pair;",
    "match 7 % 3 { 0 => \"zero\", 1 => \"one\", _ => \"more\" }",
    "%type 1 + 1",
    "const LIMIT: usize = 4;\n[0u8; LIMIT].len()",
];

const LETTERS: &[u8] = b"(){}[]<>;:,.=+-*/&|^'\"#$@?_ \nabcxyz019rb\\";

/// A cell with one to three changes.
fn mutated(random: &mut fastrand::Rng) -> String {
    let mut letters: Vec<u8> = random.choice(CELLS).unwrap_or_default().bytes().collect();
    for _ in 0..random.usize(1..4) {
        let at = random
            .usize(0..letters.len().max(1))
            .min(letters.len().saturating_sub(1));
        let other = LETTERS[random.usize(0..LETTERS.len())];
        match random.u8(0..6) {
            _ if letters.is_empty() => letters.push(other),
            0 => drop(letters.remove(at)),
            1 => letters.insert(at, other),
            2 => letters[at] = other,
            3 => letters.truncate(at),
            4 => letters.swap(at, 0),
            _ => letters.extend_from_within(at..),
        }
    }
    String::from_utf8_lossy(&letters).into_owned()
}

fn noise(random: &mut fastrand::Rng) -> Vec<u8> {
    let length = random.usize(1..40);
    std::iter::repeat_with(|| random.u8(..))
        .take(length)
        .collect()
}

/// Whether a cell may be run: it reaches no shell, no registry and no file, and does not end the session.
fn harmless(cell: &str) -> bool {
    let reaches = |line: &str| {
        let line = line.trim_start();
        line.starts_with('!')
            || line.starts_with(':')
            || ["%d", "%r", "%q"]
                .iter()
                .any(|start| line.starts_with(start))
    };
    !cell.trim().is_empty() && !cell.contains("```") && !cell.lines().any(reaches)
}

#[test]
fn the_401st_input_is_answered() {
    let mut random = dose::random();
    let mut cells: Vec<String> = Vec::new();
    while cells.len() < 200 {
        cells.push(String::from_utf8_lossy(&noise(&mut random)).into_owned());
        cells.retain(|cell| harmless(cell));
    }
    while cells.len() < 400 {
        cells.push(mutated(&mut random));
        cells.retain(|cell| harmless(cell));
    }
    random.shuffle(&mut cells);
    let fence = |cell: &str| format!("````rust\n{cell}\n````\n\n");
    let mut notebook = fence("fn answer(x: u64) -> u64 { x + 2 }");
    notebook.extend(cells.iter().map(|cell| fence(cell)));
    notebook += &fence("answer(40)");
    let ran = regatta(
        &["run", "-", "--keep-going", "--format", "json"],
        notebook.as_bytes(),
    );
    assert_eq!(ran.status, 1, "{}", ran.err);
    let events: Vec<Value> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).expect("an event"))
        .collect();
    let count = |name: &str| events.iter().filter(|event| event["event"] == name).count();
    assert_eq!((count("cell_started"), count("cell_finished")), (402, 402));
    let result = events
        .iter()
        .rfind(|event| event["event"] == "result")
        .expect("a result");
    assert!(result["cell"] == 402 && result["value"] == "42", "{result}");
    for event in events.iter().filter(|event| event["event"] == "error") {
        assert!(
            event["kind"] != "system" && event["kind"] != "engine_died",
            "{event}"
        );
    }
}

#[test]
fn bytes_that_are_no_text_spoil_their_own_lines_only() {
    let mut random = dose::random();
    let mut input = Vec::new();
    for _ in 0..60 {
        // Nothing that another line would have to end.
        let line = noise(&mut random);
        input.extend(
            line.into_iter()
                .filter(|byte| !b"\"'([{/`%!:\n\r\\r".contains(byte)),
        );
        // An operator or a `#` at its end would have the next line go on.
        input.extend(b";\n");
    }
    input.extend(b"40 + 2\n");
    let ran = regatta(&[], &input);
    assert_eq!(ran.status, 1, "lines that are no cells fail: {}", ran.err);
    contains(ran.out.lines().last().unwrap_or_default(), &["42"]);
}

/// Bytes as someone's cat types them: all but those that leave the session, stop it, or open what only more of
/// the same would close.
fn typed(random: &mut fastrand::Rng) -> Vec<u8> {
    let mut line = noise(random);
    // Ctrl-D, Ctrl-Z and Ctrl-\ (a quit, between two prompts); Ctrl-C, -S and -Q may come, Ctrl-V and Escape eat
    // what follows them.
    line.retain(|byte| !matches!(byte, 0x04 | 0x1a | 0x1c));
    line
}

/// A session that may have been left in the middle of anything begins a new line.
fn afresh(session: &mut Session) {
    // What Ctrl-V or Escape left open takes the first, the search through the history the second.
    for _ in 0..3 {
        session.type_keys("\x03");
        std::thread::sleep(Duration::from_millis(100));
    }
    // Prompts before this one are of what was typed before.
    session.type_keys("afresh");
    session.echoes("afresh", PATIENCE);
    session.type_keys("\x03");
    session.prompt(PATIENCE);
}

#[test]
fn a_cat_on_the_keyboard() {
    let mut random = dose::random();
    let mut session = Session::start();
    session.cells(&[
        "fn answer(x: u64) -> u64 { x + 2 }",
        "let kept = vec![40u64];",
    ]);
    let lines = dose::of(300, 10_000);
    for number in 1..=lines {
        let mut line = typed(&mut random);
        // Nothing is run: what would be a cell is dropped.
        line.retain(|byte| !matches!(byte, b'\r' | b'\n'));
        line.extend(b"\x03");
        session.type_bytes(&line);
        if number % 100 == 0 {
            afresh(&mut session);
            dose::told(&format!("{number} of {lines} lines"));
            contains(&session.cell("answer(kept[0])"), &["42"]);
        }
    }
    // Cells that nobody meant, as typed text; each is answered.
    let cells = dose::of(25, 500);
    for _ in 0..cells {
        let cell = std::iter::repeat_with(|| mutated(&mut random))
            .find(|cell| harmless(cell) && !cell.starts_with("%%"))
            .unwrap_or_default();
        session.enter(&cell);
        // What is not finished waits for more of it.
        session.type_keys("\x03");
        session.prompt(PATIENCE);
    }
    afresh(&mut session);
    contains(&session.cell("answer(40)"), &["42"]);
    assert_eq!(session.end(), 0);
}

#[test]
fn a_resize_storm_and_a_megabyte_pasted() {
    let mut random = dose::random();
    let mut session = Session::start();
    session.type_keys("let word = \"");
    for _ in 0..dose::of(200, 5_000) {
        session.resize(random.u16(1..60), random.u16(1..200));
        session.type_keys("x");
    }
    session.resize(50, 100);
    let typed = dose::of(200, 5_000);
    session.type_keys("\"; word.len()\r");
    contains(&session.prompt(PATIENCE), &[&format!("Out[2]: {typed}")]);
    // While a cell runs, a live table stands and a job goes on.
    session.cells(&["%pool start -n 2"]);
    session.enter("%map |x: u64| { std::thread::sleep(std::time::Duration::from_millis(20)); x } over 0..400u64");
    for _ in 0..dose::of(50, 500) {
        session.resize(random.u16(1..60), random.u16(1..200));
        std::thread::sleep(Duration::from_millis(10));
    }
    session.resize(50, 100);
    contains(&session.prompt(PATIENCE), &["speedup"]);

    let pasted = "0123456789 abcdef\n".repeat((1 << 20) / 18);
    let lines = pasted.lines().count();
    session.enter(&format!("let long = \"{pasted}\";\nlong.lines().count()"));
    contains(&session.prompt(PATIENCE), &[&lines.to_string()]);
    // Dropped, not run.
    session.type_keys("\x1b[200~");
    session.type_keys(&pasted);
    session.type_keys("\x1b[201~");
    session.type_keys("\x03");
    session.prompt(PATIENCE);
    contains(&session.cell("40 + 2"), &["42"]);
    assert_eq!(session.end(), 0);
}
