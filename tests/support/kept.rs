//! Clusters that outlive their sessions: what is known of one by its name, also while no session has it.

use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;

use super::{BINARY, PATIENCE, Session, contains, proc, serving::until};

/// A name that no other test has. The cluster that has it is ended when this is dropped.
pub struct Kept {
    pub name: String,
}

impl Kept {
    pub fn named(name: &str) -> Self {
        Self {
            name: format!("k{}{name}", std::process::id()),
        }
    }

    /// A session that has come to it, with these options and in this environment.
    pub fn attach_with(&self, options: &str, environment: &[(&str, &str)]) -> Session {
        let temporary = std::env::temp_dir();
        let temporary = temporary.to_str().expect("a folder");
        let script = format!("exec \"$0\" attach {} {options}", self.name);
        // Compilers that fit have the same folder for temporary files.
        let environment = [environment, &[("TMPDIR", temporary)]].concat();
        let mut session = Session::under(&script, &environment);
        session.prompt(PATIENCE);
        session
    }

    pub fn attach(&self) -> Session {
        self.attach_with("", &[])
    }

    /// The same without a terminal, beside another session.
    pub fn attach_beside(&self, options: &[&str], code: &str) -> String {
        beside(&[&["attach", &self.name, "-e", code], options].concat())
    }

    fn folder() -> PathBuf {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = || PathBuf::from(std::env::var_os("HOME").expect("a home")).join(".cache");
        cache.unwrap_or_else(home).join("regatta/clusters")
    }

    pub fn record(&self) -> PathBuf {
        Self::folder().join(format!("{}.json", self.name))
    }

    /// A field of its file.
    pub fn told(&self, field: &str) -> Option<String> {
        let text = std::fs::read(self.record()).ok()?;
        let record: serde_json::Value = serde_json::from_slice(&text).ok()?;
        Some(record.get(field)?.to_string().trim_matches('"').to_owned())
    }

    pub fn holder(&self) -> i32 {
        let pid = self.told("pid").expect("a file of a kept cluster");
        pid.parse().expect("a process id")
    }

    /// Until nothing is left of it anywhere, nor any of these processes.
    pub fn is_gone(&self, holder: i32, data: &str, processes: impl Fn() -> Vec<i32>) {
        let left = || {
            let processes = [processes(), proc::below(holder)].concat();
            let files = [
                self.record(),
                self.record().with_extension("socket"),
                data.into(),
            ];
            let is_left = processes.iter().any(|pid| proc::alive(*pid))
                || proc::alive(holder)
                || files.iter().any(|file| file.exists());
            (!is_left).then_some(())
        };
        until(left, "something of a cluster is left");
    }

    /// Lets go of a job, the first one, of 600 items that take their time, and dies.
    pub fn leave_job(&self, mut session: Session) {
        let slow = "std::thread::sleep(std::time::Duration::from_millis(10));";
        session.cell(&format!(
            "let r = %map -a |x: u64| {{ {slow} x * 2 }} over 0..600u64"
        ));
        session.cell("%detach 1");
        session.signal(Signal::SIGKILL);
    }

    /// Takes its results in a later session.
    pub fn take_job(&self, session: &mut Session) {
        contains(
            &session.cell("let r = %result 1\n(r.iter().sum::<u64>(), r.len())"),
            &["(359400, 600)"],
        );
    }

    /// What is said when it is ended, with the jobs that it has.
    pub fn end(&self) -> String {
        beside(&["attach", "--end", "--drop", &self.name])
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.record().exists() {
            beside(&["attach", "--end", "--steal", "--drop", &self.name]);
        }
    }
}

/// What the binary says with these arguments, while there is a session.
pub fn beside(arguments: &[&str]) -> String {
    let output = Command::new(BINARY)
        .args(arguments)
        .env("NO_COLOR", "1")
        .env("COLUMNS", "100")
        .output()
        .expect("the binary");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}
