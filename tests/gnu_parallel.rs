//! `%parallel` against GNU parallel itself: both run the same command lines in folders of their own, and print the
//! same, end the same and leave the same files. How they differ on purpose stands in `lines.txt` too, and in the
//! guide.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use support::{Ran, regatta};

const LINES: &str = include_str!("gnu_parallel/lines.txt");

/// What one line came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Came {
    stdout: String,
    stderr: String,
    /// How many jobs failed; with `--halt` whether any did.
    failed: u64,
}

/// A line that both run.
struct Case {
    line: &'static str,
    /// Why it comes to something else here.
    differs: Option<&'static str>,
}

impl Case {
    /// GNU parallel tells by its exit status how many failed, unless it halts.
    fn halts(&self) -> bool {
        self.line.contains("--halt")
    }
}

/// What prepares the folders, and the lines.
fn lines() -> (Vec<&'static str>, Vec<Case>) {
    let (mut first, mut cases, mut differs) = (Vec::new(), Vec::new(), None);
    for line in LINES.lines() {
        match line.split_once(' ') {
            Some(("#" | "*", _)) => {}
            Some(("$", command)) => first.push(command),
            Some(("~", why)) => differs = Some(why),
            _ if line.is_empty() => {}
            _ => cases.push(Case {
                line,
                differs: differs.take(),
            }),
        }
    }
    (first, cases)
}

fn sh(script: &str, folder: &Path) -> std::process::Output {
    Command::new("bash")
        .args(["-c", script])
        .current_dir(folder)
        .env("PARALLEL_SHELL", "/bin/sh")
        .env("PARALLEL_HOME", folder.join(".parallel"))
        .env_remove("PARALLEL")
        .stdin(Stdio::null())
        .output()
        .expect("bash")
}

fn theirs(case: &Case, folder: &Path) -> Came {
    let line = match case.line.split_once(" :::: ") {
        // It reads what it cuts from its standard input.
        Some((line, file)) if line.starts_with("--pipe") => format!("{line} < {file}"),
        _ => case.line.to_owned(),
    };
    let ran = sh(&format!("parallel -j2 -k {line}"), folder);
    let code = ran.status.code().unwrap_or(255) as u64;
    // What it says in its own name.
    let mut command = false;
    let stderr = String::from_utf8_lossy(&ran.stderr);
    let said = stderr.split_inclusive('\n').filter(|line| {
        let of_command = std::mem::take(&mut command);
        command = line.contains("This job ");
        !(of_command || line.starts_with("parallel: "))
    });
    Came {
        stdout: String::from_utf8_lossy(&ran.stdout).into_owned(),
        stderr: said.collect(),
        failed: if case.halts() { code.min(1) } else { code },
    }
}

/// What each line came to in a session: one, since sessions are slow to start.
fn ours(cases: &[Case], folder: &Path) -> Vec<Came> {
    let mut notebook = format!("```rust\n%cd {}\n%pool start -n 2\n```\n", folder.display());
    for case in cases {
        notebook += &format!("\n```rust\n%parallel -q {}\n```\n", case.line);
    }
    let options = ["run", "--format", "json", "--keep-going", "-"];
    let Ran { out, err, .. } = regatta(&options, notebook.as_bytes());
    let mut came = vec![Came::default(); cases.len() + 1];
    let mut cells = 0;
    for line in out.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
        let cell = event["cell"].as_u64().expect("each line is of a cell") as usize;
        let Some(came) = came.get_mut(cell - 1) else {
            panic!("a line of another cell: {line}");
        };
        let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
        match event["event"].as_str() {
            Some("output") if event["stream"] == "stdout" => came.stdout += &text("text"),
            Some("output") => came.stderr += &text("text"),
            Some("text") => came.stdout += &(text("text") + "\n"),
            Some("error") => {
                let message = text("message");
                let failed = message
                    .split_once(" of ")
                    .filter(|(_, rest)| rest.contains("failed"))
                    .and_then(|(failed, _)| failed.parse().ok());
                match failed {
                    Some(failed) => came.failed = failed,
                    None => came.stderr += &format!("regatta: {message}\n"),
                }
            }
            Some("cell_finished") => cells += 1,
            _ => {}
        }
    }
    assert_eq!(cells, cases.len() + 1, "not all cells have run: {err}");
    came.remove(0);
    for (case, came) in cases.iter().zip(&mut came) {
        if case.halts() {
            came.failed = came.failed.min(1);
        }
    }
    came
}

/// The files below a folder, by path. In job logs, times are there or not, and jobs stand in the order of their numbers:
/// the one in which they end is not certain.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(&at).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).expect("it is below");
            let name = name.to_string_lossy().into_owned();
            // GNU parallel's own.
            if name.starts_with(".parallel") {
                continue;
            }
            let bytes = std::fs::read(&path).expect("a file");
            let mut text = String::from_utf8_lossy(&bytes).into_owned();
            if name.starts_with("log-") {
                text = log(&text);
            }
            files.insert(name, text);
        }
    }
    files
}

fn log(text: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(logged).collect();
    // Stable: a job that was run twice has its lines in this order.
    lines.sort_by_key(|line| {
        line.split('\t')
            .next()
            .and_then(|seq| seq.parse::<u64>().ok())
    });
    lines.join("\n")
}

fn logged(line: &str) -> String {
    let mut columns: Vec<&str> = line.split('\t').collect();
    let is_time = |text: &str, width| {
        let at = text.find('.').unwrap_or_default();
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        text.len() == width
            && digits(text[..at].trim_start())
            && digits(&text[at + 1..])
            && text.len() - at == 4
    };
    if columns.len() >= 9 && columns[0] != "Seq" {
        columns[2] = if is_time(columns[2], 14) {
            "time"
        } else {
            columns[2]
        };
        columns[3] = if is_time(columns[3], 10) {
            "time"
        } else {
            columns[3]
        };
    }
    columns.join("\t")
}

#[test]
fn command_lines_come_to_the_same_as_with_gnu_parallel() {
    let version = sh("parallel --version", Path::new("/"));
    assert!(
        String::from_utf8_lossy(&version.stdout).starts_with("GNU parallel"),
        "this test runs GNU parallel: install Debian's package `parallel` (`.ci/run` does)"
    );
    let (first, cases) = lines();
    assert!(cases.len() >= 60, "{} lines", cases.len());
    let (here, there) = (tempfile::tempdir(), tempfile::tempdir());
    let (here, there) = (here.expect("a folder"), there.expect("a folder"));
    for (command, folder) in first.iter().flat_map(|it| [(it, &here), (it, &there)]) {
        assert!(sh(command, folder.path()).status.success(), "{command}");
    }
    let (ours, theirs) = std::thread::scope(|scope| {
        let run = || cases.iter().map(|case| theirs(case, there.path()));
        let theirs = scope.spawn(move || run().collect::<Vec<_>>());
        (ours(&cases, here.path()), theirs.join().expect("all lines"))
    });
    let mut wrong = String::new();
    for ((case, ours), theirs) in cases.iter().zip(&ours).zip(&theirs) {
        if (ours == theirs) == case.differs.is_some() {
            let what = if ours == theirs {
                "is the same"
            } else {
                "differs"
            };
            wrong += &format!("{} {what}:\n ours {ours:?}\n GNU  {theirs:?}\n", case.line);
        }
    }
    let (ours, theirs) = (files(here.path()), files(there.path()));
    let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    for name in names {
        let (ours, theirs) = (ours.get(name), theirs.get(name));
        if ours != theirs {
            wrong += &format!("{name} differs:\n ours {ours:?}\n GNU  {theirs:?}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The list in the guide is that of the lines.
#[test]
fn how_they_differ_stands_in_the_guide() {
    let told = LINES.lines().filter_map(|line| {
        let (mark, text) = line.split_once(' ')?;
        matches!(mark, "~" | "*").then(|| format!("- {text}\n"))
    });
    let wanted: String = told.collect();
    let page = include_str!("../guide/shell.md");
    let listed = page
        .split_once("<!-- gnu -->\n")
        .and_then(|(_, rest)| rest.split_once("<!-- /gnu -->"));
    assert_eq!(
        listed.map(|(listed, _)| listed),
        Some(&*wanted),
        "put this between the marks of guide/shell.md:\n{wanted}"
    );
}
