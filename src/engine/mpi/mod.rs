//! An engine that `mpiexec` has started: it dials to its session, initialises MPI, serves like any other engine, and
//! finalises MPI at its end.

pub mod guard;
pub mod shim;

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, raise};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, pipe2};

use super::context::Context;
use super::link::Link;
use super::{die_with_session, loader, serve};
use crate::wire::join::{Joined, Joining, dial};
use crate::wire::{Channel, Payload, VERSION, WireError};
use shim::Shim;

/// MPI of this process; no other kind of engine has it.
static MPI: OnceLock<Mpi> = OnceLock::new();

pub struct Mpi {
    pub shim: Shim,
    /// The largest tag that a message can have.
    pub most_tag: i32,
}

/// MPI, in an engine that `mpiexec` has started.
pub fn mpi() -> Option<&'static Mpi> {
    MPI.get()
}

/// The first command line argument of such an engine's own process.
pub const ROLE: &str = "__mpi_engine";

/// What `mpiexec` starts: it starts the engine, and tells the session how that ended, which only a parent is told.
/// Then it ends in the same way, for `mpiexec`.
pub fn main(session: &str) -> io::Result<i32> {
    die_with_session(None)?;
    let (told, tell) = pipe2(OFlag::O_CLOEXEC)?;
    let mut engine = Command::new("/proc/self/exe")
        .arg0("regatta-engine")
        .args([ROLE, session, &std::process::id().to_string()])
        .stdin(Stdio::from(told))
        .spawn()?;
    let status = engine.wait()?;
    File::from(tell).write_all(&status.into_raw().to_ne_bytes())?;
    if let Some(signal) = status
        .signal()
        .and_then(|signal| Signal::try_from(signal).ok())
    {
        // One core file is enough.
        nix::sys::prctl::set_dumpable(false)?;
        raise(signal)?;
    }
    Ok(status.code().unwrap_or(1))
}

/// Runs as an engine of the session that listens there.
pub fn serve_session(session: &str, parent: Option<i32>) -> Result<(), WireError> {
    die_with_session(parent)?;
    loader::print_c_by_lines();
    let socket = dial(session).inspect_err(|error| {
        let host = rustix::system::uname();
        say(&format!(
            "regatta engine: no session listens at {session} on {}, and engines run on their session's host: {error}\n",
            host.nodename().to_string_lossy()
        ));
    })?;
    let mut channel = Channel::new(socket.try_clone()?);
    let hello = Joining::Hello { version: VERSION };
    channel.queue(&hello, &Payload::None)?;
    if let Some(size) = world_size() {
        channel.queue(&Joining::World { size }, &Payload::None)?;
    }
    let streams = [Joining::End, Joining::Stdout, Joining::Stderr];
    for (end, stream) in pipes()?.into_iter().zip(streams) {
        channel.queue(&stream, &Payload::file(end))?;
    }
    channel.flush()?;
    let (Joined, shim) = channel.receive()?;
    let shim = shim.into_file().ok_or(WireError::NoFile)?;
    let joined = Shim::load(&shim).and_then(|shim| {
        let about = shim.initialise()?;
        Ok((shim, about))
    });
    let (shim, (about, most_tag)) = match joined {
        Ok(joined) => joined,
        Err(why) => {
            channel.queue(&Joining::Failed { why }, &Payload::None)?;
            channel.flush()?;
            // Were it to end now, `mpiexec` would tell of that instead.
            channel.wait()?;
            return Err(WireError::Closed);
        }
    };
    let member = Joining::Member {
        rank: about.rank,
        size: about.size,
        library: about.library,
    };
    channel.queue(&member, &Payload::None)?;
    channel.flush()?;
    let _ = MPI.set(Mpi { shim, most_tag });
    let served = Link::open(socket).and_then(|link| serve(Context::new(link).install()));
    if let Some(mpi) = MPI.get() {
        mpi.shim.finalise();
    }
    served
}

/// How many processes this one's launcher has started, as Open MPI, MPICH and Slurm say it before MPI begins.
fn world_size() -> Option<u32> {
    let names = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"];
    names
        .iter()
        .find_map(|name| std::env::var(name).ok()?.parse().ok())
}

/// Makes pipes of standard output and error, and gives their reading ends, behind that which is standard input.
fn pipes() -> io::Result<[OwnedFd; 3]> {
    let end = io::stdin().as_fd().try_clone_to_owned()?;
    let (out, to_out) = pipe2(OFlag::O_CLOEXEC)?;
    let (err, to_err) = pipe2(OFlag::O_CLOEXEC)?;
    dup2_stdin(File::open("/dev/null")?)?;
    dup2_stdout(to_out)?;
    dup2_stderr(to_err)?;
    Ok([end, out, err])
}

/// Says something to whoever has started this process, before there is a session to say it to.
fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
