//! evcxr writes cargo's `Compiling …` lines straight to its process's standard error. They are taken off it
//! here and become progress; everything else is for the standard error of the session.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use super::message::FromCompiler;

/// The crates that the build under way has compiled so far.
#[derive(Clone, Debug, Default)]
pub struct Building(Arc<Mutex<Vec<String>>>);

impl Building {
    /// How many crates there were since the last [`Building::restart`], and the newest one.
    pub fn so_far(&self) -> (usize, Option<String>) {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (names.len(), names.last().cloned())
    }

    pub fn restart(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    pub(super) fn add(&self, name: String) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(name);
    }
}

/// Takes over this process's standard error; `tell` gets what is written to it.
pub fn take(tell: impl Fn(FromCompiler) + Send + 'static) -> std::io::Result<()> {
    let (from, to): (OwnedFd, OwnedFd) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    nix::unistd::dup2_stderr(&to)?;
    drop(to);
    std::thread::Builder::new()
        .name("stderr".to_owned())
        .spawn(move || {
            for line in BufReader::new(File::from(from)).split(b'\n') {
                let Ok(line) = line else { break };
                tell(match crate_of(&String::from_utf8_lossy(&line)) {
                    Some(name) => FromCompiler::Building(name),
                    None => FromCompiler::Stderr([&line[..], b"\n"].concat()),
                });
            }
        })?;
    Ok(())
}

/// `serde_json` of `   Compiling serde_json v1.0.1`.
fn crate_of(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    if words.next()? != "Compiling" {
        return None;
    }
    words.next().map(str::to_owned)
}
