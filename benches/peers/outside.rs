//! Programs run from outside, as a user runs them: in a folder of their own and without what cargo puts
//! into a bench's environment. A program that fails is an error with what it said, never a missing figure.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// What went wrong, in words for whoever started the bench.
#[derive(Debug)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub type Outcome<T> = Result<T, Failure>;

/// The programs that are measured and where they run.
pub struct Programs {
    pub regatta: PathBuf,
    pub evcxr: PathBuf,
    pub python: PathBuf,
    /// The working directory of all of them, with nothing in it that one could find and the other not.
    pub folder: PathBuf,
}

impl Programs {
    /// A command without cargo's own variables and library path.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder);
        without_cargo(&mut command);
        command
    }

    /// Runs one of the Python drivers beside this file and parses the JSON value it prints.
    pub fn driver(&self, script: &str, arguments: &[&str], input: &str) -> Outcome<Value> {
        self.driver_in(&[], script, arguments, input)
    }

    /// The same with variables of the environment.
    pub fn driver_in(
        &self,
        environment: &[(&str, &Path)],
        script: &str,
        arguments: &[&str],
        input: &str,
    ) -> Outcome<Value> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("benches/peers")
            .join(script);
        let mut command = self.command(&self.python);
        // No `__pycache__` beside the sources.
        command.arg("-B").arg(path).args(arguments);
        command.envs(environment.iter().copied());
        let text = output(&mut command, input)?;
        serde_json::from_str(&text)
            .map_err(|error| Failure(format!("{script} printed no JSON ({error}): {text}")))
    }
}

/// Takes back what `cargo bench` put into the environment, which a user's shell would not have.
pub fn without_cargo(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let kept = matches!(
            text,
            "CARGO_HOME" | "CARGO_NET_OFFLINE" | "CARGO_HTTP_CAINFO"
        ) || text.starts_with("CARGO_REGISTR");
        if text == "LD_LIBRARY_PATH" || (text.starts_with("CARGO") && !kept) {
            command.env_remove(name);
        }
    }
}

/// Gives `input` to a program and returns what it printed.
pub fn output(command: &mut Command, input: &str) -> Outcome<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let failed = |error: &dyn fmt::Display| Failure(format!("{name}: {error}"));
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(&error))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input is free not to.
        let _ = stdin.write_all(input.as_bytes());
    }
    let done = child.wait_with_output().map_err(|error| failed(&error))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(failed(&format_args!(
        "{}\n{}",
        done.status,
        said.trim_end()
    )))
}

/// A number of seconds from a driver's or a session's JSON.
pub fn seconds(value: &Value, field: &str) -> Outcome<f64> {
    value[field]
        .as_f64()
        .ok_or_else(|| Failure(format!("no number `{field}` in {value}")))
}
