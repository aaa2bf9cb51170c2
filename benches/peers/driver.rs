//! A Python driver that stays for a whole measure, so that its pool is warm as regatta's is. It is asked for one
//! round after the other and ends with the value that stands for it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::outside::{Failure, Outcome, Programs};

/// For one round; the slowest pickles gigabytes.
const PATIENCE: Duration = Duration::from_mins(5);
/// For the end of its pool.
const FAREWELL: Duration = Duration::from_secs(20);

pub struct Driver {
    script: &'static str,
    child: Child,
    /// `None` once it was told to end.
    questions: Option<ChildStdin>,
    answers: Receiver<String>,
    /// What it and its workers say beside the answers.
    log: PathBuf,
}

impl Driver {
    /// Starts one of the scripts beside this file.
    pub fn start(programs: &Programs, script: &'static str) -> Outcome<Self> {
        Self::start_with(programs, script, &[])
    }

    /// The same with arguments.
    pub fn start_with(
        programs: &Programs,
        script: &'static str,
        arguments: &[&str],
    ) -> Outcome<Self> {
        let failed = |error: std::io::Error| Failure(format!("{script}: {error}"));
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("benches/peers")
            .join(script);
        let log = programs.folder.join(script).with_extension("log");
        let mut child = programs
            .command(&programs.python)
            // No `__pycache__` beside the sources.
            .arg("-B")
            .arg(path)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).map_err(failed)?)
            .spawn()
            .map_err(failed)?;
        let (Some(questions), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure(format!("{script} has no pipes")));
        };
        let (sender, answers) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            script,
            child,
            questions: Some(questions),
            answers,
            log,
        })
    }

    /// Seconds of one round of a measure.
    pub fn ask(&mut self, measure: &str) -> Outcome<f64> {
        // One that has ended gives no answer, which is told below with its last words.
        if let Some(questions) = &mut self.questions {
            let _ = writeln!(questions, "{measure}");
        }
        let answer = self.answers.recv_timeout(PATIENCE).map_err(|error| {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            Failure(format!("{}, {measure}: {error}\n{log}", self.script))
        })?;
        answer
            .trim()
            .parse()
            .map_err(|_| Failure(format!("{}, {measure}: {answer}", self.script)))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.questions = None;
        let until = Instant::now() + FAREWELL;
        while Instant::now() < until {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        // It hangs; the bench has what it wanted of it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
