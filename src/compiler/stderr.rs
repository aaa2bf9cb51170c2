//! evcxr writes cargo's `Compiling …` lines straight to this process's standard error. They are taken off
//! it here and become progress; everything else goes on to where standard error was.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

/// The crates that the build under way has compiled so far.
#[derive(Clone, Debug, Default)]
pub struct Building(Arc<Mutex<Vec<String>>>);

impl Building {
    /// How many crates there were since the last [`Building::restart`], and the newest one.
    #[must_use]
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
}

/// Standard error with cargo's lines taken out.
pub struct Silenced {
    pub building: Building,
    /// Where standard error went before: for what the renderers write there.
    pub original: File,
}

/// Redirects this process's standard error.
pub fn silence() -> std::io::Result<Silenced> {
    let original = File::from(nix::unistd::dup(std::io::stderr())?);
    let (from, to): (OwnedFd, OwnedFd) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    nix::unistd::dup2_stderr(&to)?;
    drop(to);
    let building = Building::default();
    let (seen, mut onward) = (building.clone(), original.try_clone()?);
    std::thread::Builder::new()
        .name("stderr".to_owned())
        .spawn(move || {
            for line in BufReader::new(File::from(from)).split(b'\n') {
                let Ok(line) = line else { break };
                match crate_of(&String::from_utf8_lossy(&line)) {
                    Some(name) => seen
                        .0
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(name),
                    // A terminal that is gone takes nothing; there is nobody to tell.
                    None => drop(onward.write_all(&[&line[..], b"\n"].concat())),
                }
            }
        })?;
    Ok(Silenced { building, original })
}

/// `serde_json` of `   Compiling serde_json v1.0.1`.
fn crate_of(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    if words.next()? != "Compiling" {
        return None;
    }
    words.next().map(str::to_owned)
}
