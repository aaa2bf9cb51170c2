//! The engine process: loads artifacts, runs them, and answers on one control socket. One of the two rooms
//! with `unsafe`: it loads foreign code and serves it through a C table.
//!
//! It never compiles, and never uses stdout or stderr for control: those belong to user code. While idle it
//! has exactly one thread.

mod host;
mod link;
mod loader;
mod threads;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::unistd::{Pid, dup2_stdin, getppid};

use crate::wire::{ChunkEnded, FromEngine, RunEnd, ToEngine, WireError};
use loader::Loader;

/// The first command line argument of an engine process.
pub const ROLE: &str = "__engine";

/// Runs as an engine until the session ends. `session` is the session's process.
pub fn main(session: Option<i32>) -> Result<(), WireError> {
    die_with_session(session)?;
    link::open(control_socket()?)?;
    let mut loader = Loader::default();
    let mut variables = std::ptr::null_mut();
    loop {
        let (message, payload) = match link::receive() {
            Err(WireError::Closed) => return Ok(()),
            received => received?,
        };
        match message {
            ToEngine::Welcome {
                id,
                rank,
                size,
                local,
            } => {
                host::welcome(id, rank, size, local);
                link::send(&FromEngine::Ready, &[])?;
            }
            ToEngine::Resized { size } => host::resized(size),
            ToEngine::Run { so, entry, pool } => {
                host::cell_starts(pool);
                let (busy, end) = match loader.entry(&so, &entry) {
                    Err(why) => (0, RunEnd::NotLoaded { why }),
                    Ok(entry) => {
                        let start = Instant::now();
                        // SAFETY: `variables` is null or what the artifact run before this one returned,
                        // and all artifacts of a session share the store's layout.
                        variables = unsafe { entry(variables) };
                        (
                            nanoseconds(start),
                            RunEnd::Returned {
                                panic: host::take_panic(),
                            },
                        )
                    }
                };
                loader.flush();
                host::cell_ends();
                link::send(&FromEngine::RunDone { busy, end }, &[])?;
            }
            ToEngine::Chunk {
                job,
                chunk,
                count,
                function,
            } => {
                host::chunk_starts();
                let (ended, results) = match loader.trampoline(&function) {
                    Err(why) => (not_run(why), Vec::new()),
                    Ok(trampoline) => host::run_chunk(trampoline, count, &payload),
                };
                loader.flush();
                host::cell_ends();
                link::send(&FromEngine::ChunkDone { job, chunk, ended }, &results)?;
            }
            // Only sent while a map of this engine's runs, and then read there.
            ToEngine::Pull { .. } | ToEngine::Results { .. } | ToEngine::MapOver { .. } => {}
        }
    }
}

fn not_run(why: String) -> ChunkEnded {
    let error = crate::wire::PanicInfo {
        message: why,
        file: String::new(),
        line: 0,
        column: 0,
    };
    ChunkEnded {
        done: 0,
        busy: 0,
        error: Some(error),
    }
}

fn nanoseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// The session passes the control socket as standard input; user code gets an empty one instead.
fn control_socket() -> io::Result<UnixStream> {
    let socket: OwnedFd = nix::fcntl::fcntl(io::stdin(), nix::fcntl::FcntlArg::F_DUPFD_CLOEXEC(3))
        .map(|fd| {
            // SAFETY: `fcntl` has just made this descriptor, so nobody else owns it.
            unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) }
        })?;
    dup2_stdin(File::open("/dev/null")?)?;
    Ok(UnixStream::from(socket))
}

/// A session that is killed takes its engines along.
fn die_with_session(session: Option<i32>) -> io::Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    nix::sys::prctl::set_name(c"regatta-engine")?;
    // It may have died before the line above.
    if session.is_some_and(|session| getppid() != Pid::from_raw(session)) {
        std::process::exit(1);
    }
    Ok(())
}
