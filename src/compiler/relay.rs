//! The relay role: the child process that evcxr believes runs the code. It answers every request at once,
//! so that evaluating becomes compiling, and leaves in a file which artifact was meant.

use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// evcxr starts its child with this variable set.
pub const ROLE_VARIABLE: &str = "EVCXR_IS_RUNTIME";

/// The session's folder, for the relay.
pub const FOLDER_VARIABLE: &str = "REGATTA_FOLDER";

/// In the folder: the artifact and the entry function of the newest request, divided by a blank.
pub const ARTIFACT_FILE: &str = "relay-artifact";

/// While this file is in the folder, requests are answered as if the code had panicked: evcxr then forgets
/// the variables that the cell defines.
pub const PANIC_FILE: &str = "relay-panics";

/// Serves until the session closes the pipe or is gone.
pub fn main() -> std::io::Result<()> {
    for signal in [
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
        signal_hook::consts::SIGHUP,
    ] {
        // A flag nobody reads: the signal is for the session.
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    let folder = std::env::var_os(FOLDER_VARIABLE);
    let panics = folder
        .as_ref()
        .map(|folder| Path::new(folder).join(PANIC_FILE));
    let told = folder
        .as_ref()
        .map(|folder| Path::new(folder).join(ARTIFACT_FILE));
    let mut stdout = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let Some(artifact) = line.strip_prefix("LOAD_AND_RUN ") else {
            continue;
        };
        // Written before the answer, so that it is there when evcxr goes on.
        let told = told
            .as_ref()
            .map_or(Ok(()), |file| std::fs::write(file, artifact));
        let told = told
            .and_then(|()| {
                if panics.as_ref().is_some_and(|file| file.exists()) {
                    writeln!(stdout, "EVCXR_PANIC_NOTIFICATION")?;
                }
                writeln!(stdout, "EVCXR_EXECUTION_COMPLETE")
            })
            .and_then(|()| stdout.flush());
        if told.is_err() {
            break;
        }
    }
    Ok(())
}
