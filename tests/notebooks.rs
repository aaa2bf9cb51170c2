//! `regatta run` and `regatta -e`: exit statuses, checks against expected outputs, updates and JSON events.

mod support;

use std::path::PathBuf;

use serde_json::Value;
use support::{Ran, contains, lacks, notebook, regatta, run_file};

/// A notebook with these cells.
fn cells(cells: &[&str]) -> String {
    cells
        .iter()
        .map(|code| format!("Prose.\n\n```rust\n{code}\n```\n\n"))
        .collect()
}

#[track_caller]
fn ended(ran: &Ran, status: i32) {
    assert_eq!(ran.status, status, "out:\n{}\nerr:\n{}", ran.out, ran.err);
}

/// The events of a run, by name.
fn events(out: &str) -> Vec<(String, Value)> {
    let lines = out.lines().map(|line| {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
        (event["event"].as_str().expect("its name").to_owned(), event)
    });
    lines.collect()
}

#[test]
fn every_example_shows_what_it_says() {
    checks_out("examples");
}

#[test]
fn every_notebook_beside_shows_what_it_says() {
    checks_out("tests/notebooks");
}

/// Checks the notebooks in a folder of the package.
fn checks_out(folder: &str) {
    let folder = &format!("{}/{folder}", env!("CARGO_MANIFEST_DIR"));
    let entries = std::fs::read_dir(folder)
        .expect("the folder of examples")
        .flatten();
    let mut examples: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    examples.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    examples.sort();
    assert!(!examples.is_empty(), "no notebook in {folder}");
    for example in examples {
        let ran = run_file(&example, &["--check"]);
        assert_eq!(
            ran.status,
            0,
            "{}:\n{}\n{}",
            example.display(),
            ran.out,
            ran.err
        );
        if ran.err.contains("skipped: ") {
            // CI has all that they need.
            assert!(!is_installed("mpiexec"), "{}", ran.err);
            support::dose::told(&ran.err);
        }
    }
}

#[test]
fn what_needs_a_program_that_is_missing_is_skipped_and_told() {
    let text = "```rust\n1 + 1\n```\n\n```text\nOut[1]: 2\n```\n\n```rust needs=sh\n2 + 2\n```\n\n```text\nOut[2]: 4\n```\n\n\
        ```rust needs=no-such-program\npanic!()\n```\n\n```rust\npanic!()\n```\n";
    let (ran, _) = notebook(text, &["--check"]);
    ended(&ran, 0);
    contains(&ran.out, &["Out[1]: 2", "Out[2]: 4"]);
    lacks(&ran.out, &["panic"]);
    let told = " on: there is no `no-such-program` here\n";
    contains(&ran.err, &["skipped: 2 cells from line 18 of ", told]);
    // Its outputs stay as they are written.
    let (ran, updated) = notebook(text, &["--update"]);
    ended(&ran, 0);
    assert_eq!(updated, text);
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[test]
fn a_failed_cell_ends_the_run_or_not() {
    let text = cells(&["let a = 20;\na + 1", "panic!(\"on purpose\")", "a * 3"]);
    let (ran, after) = notebook(&text, &[]);
    ended(&ran, 1);
    contains(
        &ran.out,
        &["In [1]: let a = 20;", "Out[1]: 21", "on purpose"],
    );
    lacks(&ran.out, &["In [3]", "Out[3]"]);
    contains(
        &ran.err,
        &[
            "stopped at the cell at line 11 of ",
            ".md; 1 cell was not run (--keep-going runs it)\n",
        ],
    );
    assert_eq!(after, text, "a run changes no file");
    let (ran, _) = notebook(&text, &["--keep-going"]);
    ended(&ran, 1);
    contains(&ran.out, &["Out[1]: 21", "on purpose", "Out[3]: 60"]);
    contains(&ran.err, &["the cell at line 11 of ", ".md failed\n"]);
    // What fails now and didn't is written, and told.
    let (ran, updated) = notebook(&text, &["--update"]);
    ended(&ran, 0);
    contains(&updated, &["on purpose", "Out[3]: 60"]);
    contains(&ran.err, &["note: the cell at line 11 of ", ".md fails\n"]);
    let (ran, _) = notebook(&updated, &["--update"]);
    ended(&ran, 0);
    assert_eq!(ran.err, "", "the notebook says that it fails");
}

#[test]
fn wrong_usage_is_status_2() {
    for arguments in [
        &["run"][..],
        &["run", "/no/such/notebook.md"],
        &["run", "--chek", "x.md"],
        &["run", "-", "--update"],
        &["run", "x.md", "--check", "--update"],
        &["run", "x.md", "--format", "xml"],
        &["--no-such-option"],
        &["row", "x.md"],
        &["x.md"],
        &["run", "x.rs"],
    ] {
        let ran = regatta(arguments, b"");
        assert_eq!(ran.status, 2, "{arguments:?}: {}{}", ran.out, ran.err);
        assert!(ran.out.len() + ran.err.len() > 0, "{arguments:?} says why");
    }
    let ran = regatta(&["--version"], b"");
    ended(&ran, 0);
    contains(&ran.out, &[env!("CARGO_PKG_VERSION")]);
    ended(&regatta(&["--help"], b""), 0);
}

#[test]
fn what_was_written_by_update_passes_the_check() {
    let text = cells(&[
        "let squares: Vec<u32> = (1..4).map(|x| x * x).collect();\nsquares",
        "println!(\"one\\n\\n```\\nthree\"); \"value\"",
        "let silent = 1;",
        "%pool start -n 2",
        "%pool list",
        "let f = %map |x: u64| x + 1 over 0..5",
        "f",
        "%px engine::rank()",
        "%px --no-stream println!(\"from {}\", engine::rank())",
        "%timeit 1 + 1",
    ]);
    let (ran, updated) = notebook(&text, &["--update"]);
    ended(&ran, 0);
    contains(
        &updated,
        &[
            "[1, 4, 9]",
            "[1, 2, 3, 4, 5]",
            "```text",
            "[stdout:1] from 1",
        ],
    );
    let (ran, again) = notebook(&updated, &["--update"]);
    ended(&ran, 0);
    assert_eq!(again, updated, "a second update changes nothing");
    let (ran, after) = notebook(&updated, &["--check"]);
    ended(&ran, 0);
    assert_eq!(after, updated, "a check changes nothing");
    let (ran, _) = notebook(&updated.replace("[1, 4, 9]", "[1, 4, 10]"), &["--check"]);
    ended(&ran, 1);
    let all = ran.out + &ran.err;
    contains(&all, &["[1, 4, 10]", "[1, 4, 9]", "--update"]);
    let marked = |sign: char, text: &str| {
        all.lines()
            .any(|line| line.contains(sign) && line.contains(text))
    };
    assert!(
        marked('-', "[1, 4, 10]") && marked('+', "[1, 4, 9]"),
        "a diff: {all}"
    );
}

#[test]
fn standard_input_and_events_as_json() {
    let text = cells(&[
        "println!(\"out\"); eprintln!(\"err\"); vec![1u8, 2]",
        "%pool start -n 2",
        "%%px\nprintln!(\"hi {}\", engine::rank());\nif engine::rank() == 1 { panic!(\"no\") };\nengine::rank()",
        "let f = %map |x: u64| x * x over 0..10u64",
        "%time f.len()",
        "%pool list",
        "let s: String = 1;",
        "let z: i32 = \"x\".parse()?;",
        "%pol",
        "f[9]",
    ]);
    let ran = regatta(
        &["run", "-", "--format", "json", "--keep-going"],
        text.as_bytes(),
    );
    ended(&ran, 1);
    let events = events(&ran.out);
    let of = |cell: u64, name: &str| -> Vec<&Value> {
        let started = |event: &Value| event["cell"] == cell && event["event"] == "cell_started";
        let from = events.iter().position(|(_, event)| started(event));
        let from = from.unwrap_or_else(|| panic!("cell {cell} did not start"));
        let rest = events[from..].iter();
        let length = rest
            .clone()
            .position(|(name, _)| name == "cell_finished")
            .expect("an end");
        rest.take(length + 1)
            .filter(|(other, _)| other == name)
            .map(|(_, event)| event)
            .collect()
    };

    assert_eq!(
        of(1, "cell_started")[0]["code"].as_str().map(str::trim_end),
        Some("println!(\"out\"); eprintln!(\"err\"); vec![1u8, 2]")
    );
    let outputs = of(1, "output");
    let stream = |name: &str| -> String {
        let texts = outputs
            .iter()
            .filter(|output| output["stream"] == name && output["engine"].is_null());
        texts.filter_map(|output| output["text"].as_str()).collect()
    };
    assert_eq!(
        (stream("stdout").as_str(), stream("stderr").as_str()),
        ("out\n", "err\n")
    );
    let result = of(1, "result")[0];
    assert_eq!(
        (&result["value"], &result["type"]),
        (&"[1, 2]".into(), &"Vec<u8>".into())
    );
    assert_eq!(result["mime"]["text/plain"], "[1, 2]");
    let finished = of(1, "cell_finished")[0];
    assert!(
        finished["ok"] == true
            && finished["compile"].as_f64() > Some(0.0)
            && finished["run"].is_f64()
    );

    let results = of(3, "result");
    assert_eq!(results.len(), 1);
    assert!(
        results[0]["engine"] == 0 && results[0]["value"] == "0",
        "{results:?}"
    );
    let error = of(3, "error")[0];
    assert!(
        error["kind"] == "panic"
            && error["engine"] == 1
            && error["message"]
                .as_str()
                .is_some_and(|text| text.contains("no")),
        "{error}"
    );
    assert!(
        of(3, "output")
            .iter()
            .any(|output| output["engine"] == 1 && output["text"] == "hi 1\n")
    );
    assert_eq!(of(3, "cell_finished")[0]["ok"], false);

    let plan = of(4, "map_plan")[0];
    assert!(
        plan["items"] == 10
            && plan["input_type"] == "u64"
            && plan["pool"] == "p0"
            && plan["engines"] == 2,
        "{plan}"
    );
    let map = of(4, "map_finished")[0];
    let engines = map["engines"].as_array().expect("engines");
    let sum = |field: &str| {
        engines
            .iter()
            .filter_map(|engine| engine[field].as_f64())
            .sum::<f64>()
    };
    assert!(
        (sum("items") - 10.0).abs() < 0.1 && sum("chunks") >= 2.0,
        "{map}"
    );
    let (wall, serial) = (map["wall"].as_f64(), map["serial"].as_f64());
    assert!(
        wall > Some(0.0) && (sum("busy") - serial.unwrap_or(-1.0)).abs() < 1e-6,
        "{map}"
    );
    assert_eq!(of(5, "timing").len(), 1);
    assert!(
        of(6, "table")[0]["rows"]
            .as_array()
            .is_some_and(|rows| rows.len() == 3)
    );

    let error = of(7, "error")[0];
    assert!(
        error["kind"] == "compile"
            && error["code"] == "E0308"
            && error["line"] == 1
            && error["column"] == 17,
        "{error}"
    );
    assert_eq!(of(8, "error")[0]["kind"], "error");
    let error = of(9, "error")[0];
    assert!(
        error["kind"] == "usage"
            && error["hint"]
                .as_str()
                .is_some_and(|hint| hint.contains("%pool")),
        "{error}"
    );
    assert_eq!(of(10, "result")[0]["value"], "81");
    assert_eq!(
        events
            .iter()
            .filter(|(name, _)| name == "cell_finished")
            .count(),
        10
    );
}

#[test]
fn one_cell_from_the_command_line() {
    let ran = regatta(&["-e", "let x = 6;\nx * 7"], b"");
    ended(&ran, 0);
    contains(&ran.out, &["42"]);
    let ran = regatta(&["-e", "let x: u8 = \"six\";"], b"");
    ended(&ran, 1);
    contains(&(ran.out + &ran.err), &["E0308"]);
    let ran = regatta(&["-e", "-6 * 7", "--format", "json"], b"");
    ended(&ran, 0);
    let events = events(&ran.out);
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["cell_started", "result", "cell_finished"]);
    assert_eq!(events[1].1["value"], "-42");
}
