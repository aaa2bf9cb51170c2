//! A session that serves its store, and scripts that use it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{BINARY, PATIENCE};

/// A session without a terminal that does nothing but serve its store. It ends when it is dropped.
pub struct Serving {
    folder: TempDir,
    pub session: Child,
    pub address: String,
}

impl Serving {
    pub fn start() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Command)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let cell = format!(
            "!echo $REGATTA_STORE > {0}.part && mv {0}.part {0}; while [ -e {0} ] && [ ! -e {1} ]; do sleep 0.05; done",
            at("address").display(),
            at("stop").display()
        );
        let mut command = Command::new(BINARY);
        command
            .args(["--no-warm", "-e", &cell])
            .env("XDG_DATA_HOME", folder.path())
            .env("XDG_CONFIG_HOME", folder.path())
            .env_remove("REGATTA_STORE")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        change(&mut command);
        let session = command.spawn().expect("the binary");
        let address = until(|| fs::read_to_string(at("address")).ok(), "an address");
        Self {
            session,
            address: address.trim().to_owned(),
            folder,
        }
    }

    /// A script's command, in the folder.
    pub fn sh(&self, script: &str) -> Command {
        self.named("sh", script)
    }

    pub fn named(&self, shell: &str, script: &str) -> Command {
        let bin = Path::new(BINARY).parent().expect("a folder");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(shell);
        command
            .args(["-c", script])
            .current_dir(self.folder.path())
            .env("PATH", format!("{}:{path}", bin.display()))
            .env("REGATTA_STORE", &self.address)
            .stdin(Stdio::null());
        command
    }

    /// Runs a script; its exit status and what it printed.
    pub fn run(&self, script: &str) -> (i32, String, String) {
        said(self.sh(script).output().expect("sh"))
    }

    /// The same of one that goes well.
    #[track_caller]
    pub fn ok(&self, script: &str) -> String {
        let (status, out, err) = self.run(script);
        assert_eq!((status, err.as_str()), (0, ""), "{script}\n{out}");
        out
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = fs::write(self.file("stop"), "");
        let _ = self.session.wait();
    }
}

pub fn said(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (
        output.status.code().unwrap_or(-1),
        text(output.stdout),
        text(output.stderr),
    )
}

/// Waits until there is something.
#[track_caller]
pub fn until<T>(mut look: impl FnMut() -> Option<T>, what: &str) -> T {
    let since = Instant::now();
    while since.elapsed() < PATIENCE {
        if let Some(found) = look() {
            return found;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("there is no {what} in {PATIENCE:?}");
}
