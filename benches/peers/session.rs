//! One session of regatta that runs a list of cells, observed from outside: every JSON line with the time
//! at which it came. A cell that fails ends the bench with its error; nothing is measured around it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::gate::Gate;
use crate::outside::{Failure, Outcome, Programs, seconds};

/// A session that says nothing for so long has gone wrong.
const PATIENCE: Duration = Duration::from_mins(3);

/// A cell that has run.
pub struct Ran {
    /// From the line `cell_started` to the line `cell_finished`, as they came out. Seconds.
    pub observed: f64,
    /// Seconds the session says it spent in user code and in moving it there.
    pub run: f64,
    /// Seconds the session says it spent on compiling.
    pub compile: f64,
    events: Vec<Value>,
}

impl Ran {
    /// The first event of a kind; it is an error that there is none.
    pub fn event(&self, kind: &str) -> Outcome<&Value> {
        self.events
            .iter()
            .find(|event| event["event"] == kind)
            .ok_or_else(|| Failure(format!("no event `{kind}` in {:?}", self.events)))
    }

    /// What the cell printed first.
    pub fn text(&self) -> Outcome<String> {
        let text = self.event("output")?["text"].as_str().unwrap_or_default();
        Ok(text.to_owned())
    }

    /// The same, as a number.
    pub fn printed(&self) -> Outcome<f64> {
        let text = self.text()?;
        text.trim()
            .parse()
            .map_err(|_| Failure(format!("no number was printed: {text:?}")))
    }
}

/// Runs cells one after the other in a new session.
pub fn run(programs: &Programs, cells: &[String]) -> Outcome<Vec<Ran>> {
    observe(programs, cells, &mut || Ok(()))
}

/// Rounds of cells in one session, and after each a round of the peers, for which the session waits. Gives the
/// cells of each round. The first round warms both sides: it is not among them, and its numbers are `peers`' to
/// forget.
pub fn alternate(
    programs: &Programs,
    opening: &[String],
    rounds: usize,
    ours: impl Fn(usize) -> Vec<String>,
    peers: &mut dyn FnMut(usize) -> Outcome<()>,
) -> Outcome<Vec<Vec<Ran>>> {
    let gate = Gate::new()?;
    let wait = gate.cell()?;
    let mut cells = opening.to_vec();
    for round in 0..=rounds {
        cells.extend(ours(round));
        cells.push(wait.clone());
    }
    let mut round = 0;
    let ran = observe(programs, &cells, &mut || {
        let session = gate.waiting()?;
        peers(round)?;
        round += 1;
        drop(session);
        Ok(())
    })?;
    let mut ran = ran.into_iter().skip(opening.len());
    let mut of_round = |round| -> Vec<Ran> {
        let cells = ran.by_ref().take(ours(round).len()).collect();
        // The gate.
        ran.next();
        cells
    };
    Ok((0..=rounds).map(&mut of_round).skip(1).collect())
}

/// Runs cells in a new session and calls `at_gate` when it waits at a gate.
fn observe(
    programs: &Programs,
    cells: &[String],
    at_gate: &mut dyn FnMut() -> Outcome<()>,
) -> Outcome<Vec<Ran>> {
    let failed = |error: std::io::Error| Failure(format!("regatta: {error}"));
    let mut child = programs
        .command(&programs.regatta)
        .args(["run", "-", "--format", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(failed)?;
    let ran = follow(&mut child, cells, at_gate);
    if ran.is_err() {
        // Whether it can be killed or not, the bench ends here.
        let _ = child.kill();
    }
    let (ran, last) = ran?;
    let status = child.wait().map_err(failed)?;
    if !status.success() || ran.len() != cells.len() {
        let (done, all) = (ran.len(), cells.len());
        return Err(Failure(format!(
            "regatta: {status}, {done} of {all} cells: {last:?}"
        )));
    }
    Ok(ran)
}

/// The cells that ran, and the events of the last one.
fn follow(
    child: &mut Child,
    cells: &[String],
    at_gate: &mut dyn FnMut() -> Outcome<()>,
) -> Outcome<(Vec<Ran>, Vec<Value>)> {
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Failure("regatta has no pipes".to_owned()));
    };
    stdin
        .write_all(notebook(cells).as_bytes())
        .map_err(|error| Failure(format!("regatta: {error}")))?;
    drop(stdin);
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send((Instant::now(), line)).is_err() {
                return;
            }
        }
    });
    let mut ran: Vec<Ran> = Vec::new();
    let mut started = None;
    let mut events: Vec<Value> = Vec::new();
    loop {
        let (at, line) = match lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Disconnected) => {
                let last = ran.last().map(|cell| cell.events.clone());
                return Ok((ran, last.unwrap_or_default()));
            }
            Err(RecvTimeoutError::Timeout) => {
                return Err(Failure(format!("regatta hangs after {events:?}")));
            }
        };
        let event: Value = serde_json::from_str(&line)
            .map_err(|error| Failure(format!("not JSON ({error}): {line}")))?;
        match (event["event"].as_str(), started) {
            (Some("cell_started"), _) => started = Some(at),
            (Some("cell_finished"), Some(since)) => ran.push(Ran {
                observed: at.duration_since(since).as_secs_f64(),
                run: seconds(&event, "run")?,
                compile: seconds(&event, "compile")?,
                events: std::mem::take(&mut events),
            }),
            _ => {
                if Gate::is_reached(&event) {
                    at_gate()?;
                }
                events.push(event);
            }
        }
    }
}

fn notebook(cells: &[String]) -> String {
    let mut text = String::new();
    for cell in cells {
        text.push_str("```rust\n");
        text.push_str(cell);
        text.push_str("\n```\n\n");
    }
    text
}
