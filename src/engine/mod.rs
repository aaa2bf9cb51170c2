//! The engine process: loads artifacts, runs them, and answers on one control socket. One of the two rooms
//! with `unsafe`: it loads foreign code and serves it through a C table.
//!
//! It never compiles, and never uses stdout or stderr for control: those belong to user code. While idle it
//! has exactly one thread.

mod begun;
mod buffers;
mod caller;
mod children;
mod comm;
mod commands;
mod connections;
mod context;
mod functions;
mod host;
mod inherited;
mod laid;
mod libraries;
mod link;
mod loader;
mod memo;
pub mod mpi;
mod notes;
mod outgoing;
mod outs;
mod places;
mod shared;
mod store;
mod stuck;
mod tasks;
#[cfg(test)]
mod tests;
mod threads;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::unistd::{Pid, dup2_stdin, getppid};
use regatta_cell::shell::BOARD;

use crate::ids::{ArtifactId, JobId};
use crate::wire::{
    FromEngine, INLINE, Payload, PoolSpec, RunEnd, Runs, Span, ToEngine, WireError, monotonic,
};
use comm::Seat;
use context::Context;
use link::Link;
use loader::{LoadError, Loader};
use shared::View;
use tasks::Tasks;

pub use comm::relay;
use commands::PATIENCE;
pub use commands::guard;
pub use inherited::{hand_on_nothing, open_many_files};
pub use loader::libc_version;
pub use memo::disk;

/// The first command line argument of an engine process.
pub const ROLE: &str = "__engine";

/// Runs as an engine until the session ends. `session` is the session's process.
pub fn main(session: Option<i32>) -> Result<(), WireError> {
    die_with_session(session)?;
    loader::print_c_by_lines();
    let link = Link::open(control_socket()?)?;
    serve(Context::new(link).install())
}

/// Does what the session asks for, until it closes the connection.
fn serve(context: &Context) -> Result<(), WireError> {
    let mut engine = Engine {
        context,
        loader: Loader::default(),
        tasks: Tasks::default(),
        unsaid: None,
    };
    loop {
        // Answers to what has come together go together.
        let (message, payload) = match context.link.waiting()? {
            Some(frame) => frame,
            None => {
                engine.send_answers()?;
                match context.link.receive() {
                    Err(WireError::Closed) => return Ok(()),
                    received => received?,
                }
            }
        };
        match engine.take(message, payload) {
            // It has left while it was asked for something.
            Err(WireError::Closed) => return Ok(()),
            taken => taken?,
        }
    }
}

struct Engine<'a> {
    context: &'a Context,
    loader: Loader,
    tasks: Tasks,
    /// When the first result came that is queued.
    unsaid: Option<Instant>,
}

/// A chunk that took longer has its results sent at once.
const LONG: u64 = 100_000;

impl Engine<'_> {
    /// Sends what is queued, and first what user code has printed: it belongs before.
    fn send_answers(&mut self) -> Result<(), WireError> {
        self.unsaid = None;
        self.loader.flush();
        self.context.memos.tell(self.context)?;
        self.context.link.flush()
    }

    fn take(&mut self, message: ToEngine, payload: Payload) -> Result<(), WireError> {
        let context = self.context;
        match message {
            ToEngine::Welcome {
                id,
                rank,
                size,
                pool,
                session,
            } => {
                context.status.open(&payload)?;
                context.welcome(id, rank, size, pool.is_none());
                context.memos.made_by(pool, rank, session);
                context.link.send(&FromEngine::Ready, &Payload::None)?;
            }
            ToEngine::Resized { size } => context.resized(size),
            ToEngine::Renumbered { rank, size } => context.renumbered(rank, size),
            ToEngine::Environment { name, value } => set_environment(&name, value.as_deref()),
            ToEngine::Folder { path, asked } => {
                if std::env::set_current_dir(&path).is_err() && asked {
                    // The session has been there: it is gone by now, or is one of another host.
                    let stays = std::env::current_dir().unwrap_or_default();
                    let told = FromEngine::NoFolder { path, stays };
                    context.link.send(&told, &Payload::None)?;
                }
            }
            ToEngine::Data => context.cell().data.push(View::of(payload)?),
            ToEngine::Run {
                artifact,
                entry,
                pools,
                places,
            } => {
                places::know(artifact, places);
                self.run(artifact, &entry, pools)?;
            }
            ToEngine::ClearMemo { functions } => {
                let on_disk = context.is_local();
                context.memos.clear(functions.as_deref(), on_disk);
            }
            ToEngine::AskMemo => context.memos.tell_shelf(context)?,
            ToEngine::Library => libraries::open(payload),
            // Nobody waits for it.
            ToEngine::Artifact { .. } | ToEngine::World { .. } => {}
            ToEngine::AskMessages { pool, clear } => comm::answer(&pool, clear),
            ToEngine::Capture { hash } => self.tasks.functions.add_capture(hash, payload)?,
            ToEngine::ForgetCapture { hash } => self.tasks.functions.forget_capture(hash),
            ToEngine::Task { job, task, places } => {
                let Runs::Function(function) = task.runs;
                places::know(function.address.artifact, places);
                self.tasks.add_job(job, task);
            }
            ToEngine::JobOver { job } => self.tasks.remove_job(job),
            ToEngine::Chunk { job, span } => self.run_chunk(job, span, payload)?,
        }
        Ok(())
    }

    fn run(
        &mut self,
        artifact: ArtifactId,
        entry: &str,
        pools: Vec<PoolSpec>,
    ) -> Result<(), WireError> {
        let context = self.context;
        self.tasks.functions.put_variables_back(context);
        context.cell_starts(pools);
        notes::watch();
        let (busy, end) = match self.loader.entry(&context.link, artifact, entry) {
            Err(LoadError::Lost(error)) => return Err(error),
            Err(LoadError::NotLoaded(why)) => (0, RunEnd::NotLoaded { why }),
            Ok(entry) => {
                comm::sit_down(Seat {
                    pool: None,
                    rank: context.rank(),
                });
                let start = Instant::now();
                // SAFETY: `variables` is null or what the artifact run before this one returned,
                // and all artifacts of a session share the store's layout.
                let variables = unsafe { entry(context.variables()) };
                context.keep_variables(variables);
                let (panic, facts) = (notes::take_panic(), context.take_facts());
                let busy = nanoseconds(start);
                comm::leave();
                (busy, RunEnd::Returned { panic, facts })
            }
        };
        self.loader.flush();
        notes::unwatch();
        context.cell_ends();
        context.connections.flush();
        context.memos.tell(context)?;
        let done = FromEngine::RunDone { busy, end };
        context.link.send(&done, &Payload::None)
    }

    fn run_chunk(&mut self, job: JobId, span: Span, inputs: Payload) -> Result<(), WireError> {
        let context = self.context;
        let (ended, results) = self
            .tasks
            .run(context, &mut self.loader, job, span, inputs)?;
        notes::unwatch();
        let since = *self.unsaid.get_or_insert_with(Instant::now);
        let long = match self.tasks.are_commands(job) {
            true => since.elapsed() >= PATIENCE,
            false => ended.busy > LONG,
        };
        let chunk = span.chunk;
        let done = FromEngine::ChunkDone { job, chunk, ended };
        let queued = context.link.queue(&done, &results)?;
        if long || queued > INLINE {
            self.send_answers()?;
        }
        Ok(())
    }
}

fn set_environment(name: &str, value: Option<&str>) {
    if name == BOARD {
        // No user code's, so that it may come at any time.
        return commands::board_is_at(value);
    }
    // SAFETY: between cells this thread is the engine's only one, but for those of maps in the background, which read
    // no variables on processes, and while one runs on threads the session does not ask for this; and for what user
    // code has left running, which is the user's to keep from reading what is being set.
    unsafe {
        match value {
            Some(value) => std::env::set_var(name, value),
            None => std::env::remove_var(name),
        }
    }
    store::environment_changed(name);
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
