//! The engine process: loads artifacts, runs them, and answers on one control socket. One of the two rooms
//! with `unsafe`: it loads foreign code and serves it through a C table.
//!
//! It never compiles, and never uses stdout or stderr for control: those belong to user code. While idle it
//! has exactly one thread.

mod begun;
mod buffers;
mod caller;
mod host;
mod lines;
mod link;
mod loader;
mod outgoing;
mod outs;
mod places;
mod shared;
mod tasks;
mod threads;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::unistd::{Pid, dup2_stdin, getppid};

use crate::wire::{FromEngine, INLINE, Payload, RunEnd, ToEngine, WireError, monotonic};
use loader::Loader;
use tasks::Tasks;

/// The first command line argument of an engine process.
pub const ROLE: &str = "__engine";

/// Runs as an engine until the session ends. `session` is the session's process.
pub fn main(session: Option<i32>) -> Result<(), WireError> {
    die_with_session(session)?;
    link::open(control_socket()?)?;
    let mut engine = Engine {
        loader: Loader::default(),
        tasks: Tasks::default(),
        variables: std::ptr::null_mut(),
    };
    loop {
        // Answers to what has come together go together.
        let frame = match link::waiting()? {
            Some(frame) => frame,
            None => {
                engine.send_answers()?;
                match link::receive() {
                    Err(WireError::Closed) => return Ok(()),
                    received => received?,
                }
            }
        };
        engine.take(frame.0, frame.1)?;
    }
}

struct Engine {
    loader: Loader,
    tasks: Tasks,
    /// Null, or the store of the cells' variables.
    variables: *mut std::ffi::c_void,
}

/// A chunk that took longer has its results sent at once.
const LONG: u64 = 100_000;

impl Engine {
    /// Sends what is queued, and first what user code has printed: it belongs before.
    fn send_answers(&mut self) -> Result<(), WireError> {
        self.loader.flush();
        link::flush()
    }

    fn take(&mut self, message: ToEngine, payload: Payload) -> Result<(), WireError> {
        match message {
            ToEngine::Welcome {
                id,
                rank,
                size,
                local,
            } => {
                shared::open_status(&payload)?;
                host::welcome(id, rank, size, local);
                link::send(&FromEngine::Ready, &Payload::None)
            }
            ToEngine::Resized { size } => {
                host::resized(size);
                Ok(())
            }
            ToEngine::Environment { name, value } => {
                // SAFETY: between cells this thread is the engine's only one, but for maps in the background and
                // what user code has left running, which is the user's to keep from reading what is being set.
                unsafe {
                    match value {
                        Some(value) => std::env::set_var(name, value),
                        None => std::env::remove_var(name),
                    }
                }
                Ok(())
            }
            ToEngine::Folder { path } => {
                // The session has been there; if the folder is gone by now, the engine stays where it is.
                let _ = std::env::set_current_dir(path);
                Ok(())
            }
            ToEngine::Data => {
                host::add_data(shared::View::of(payload)?);
                Ok(())
            }
            ToEngine::Run { so, entry, pools } => {
                self.tasks.put_variables_back();
                host::cell_starts(pools);
                let (busy, end) = match self.loader.entry(&so, &entry) {
                    Err(why) => (0, RunEnd::NotLoaded { why }),
                    Ok(entry) => {
                        let start = Instant::now();
                        // SAFETY: `variables` is null or what the artifact run before this one returned,
                        // and all artifacts of a session share the store's layout.
                        self.variables = unsafe { entry(self.variables) };
                        host::keep_variables(self.variables);
                        let (panic, facts) = (host::take_panic(), host::take_facts());
                        (nanoseconds(start), RunEnd::Returned { panic, facts })
                    }
                };
                self.loader.flush();
                host::cell_ends();
                lines::flush();
                link::send(&FromEngine::RunDone { busy, end }, &Payload::None)
            }
            ToEngine::Capture { hash } => Ok(self.tasks.add_capture(hash, payload)?),
            ToEngine::ForgetCapture { hash } => {
                self.tasks.forget_capture(hash);
                Ok(())
            }
            ToEngine::Function { job, task } => {
                self.tasks.add_job(job, task);
                Ok(())
            }
            ToEngine::JobOver { job } => {
                self.tasks.remove_job(job);
                Ok(())
            }
            ToEngine::Chunk { job, span } => {
                let (ended, results) = self.tasks.run(&mut self.loader, job, span, payload);
                host::chunk_ends();
                let long = ended.busy > LONG;
                let chunk = span.chunk;
                let queued = link::queue(&FromEngine::ChunkDone { job, chunk, ended }, &results)?;
                if long || queued > INLINE {
                    self.send_answers()?;
                }
                Ok(())
            }
        }
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
