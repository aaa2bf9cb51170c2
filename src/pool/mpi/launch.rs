//! Starts `mpiexec` under its guard, and waits, on threads of its own, for the engines to join.

use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::Member;
use super::world::{Joined, World};
use crate::engine::mpi::guard;
use crate::outcome::MpiFault;
use crate::pool::link::Link;
use crate::pool::process::Environment;
use crate::pool::{Launch, MpiStart};
use crate::wire::join::{self, Joining, listen};
use crate::wire::{Channel, Payload, VERSION, WireError, monotonic, process_behind};

/// How often a thread that waits for engines looks whether `mpiexec` still runs.
const TICK: Duration = Duration::from_millis(50);

/// How long engines may take to come. Shorter than the session waits for them, so that what their launcher has to say is
/// told.
const LIMIT: Duration = Duration::from_secs(15);

/// And MPI to begin in them, by then.
const BEGIN: Duration = Duration::from_secs(3);

/// Starts the engines of an MPI pool, in the order of their ranks.
pub fn start(
    launches: &[Launch],
    start: &MpiStart,
    environment: &Environment,
) -> std::io::Result<Vec<Box<dyn Link>>> {
    let name = format!("regatta-{}-{}", std::process::id(), monotonic());
    let listener = listen(&name)?;
    listener.set_nonblocking(true)?;
    let mut guard = spawn(&name, launches.len(), start, environment)?;
    let bell = || EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC);
    let bells: Vec<Arc<EventFd>> = launches
        .iter()
        .map(|_| bell().map(Arc::new))
        .collect::<Result<_, _>>()?;
    let world = Arc::new(World::new(bells.clone(), &mut guard));
    std::thread::Builder::new()
        .name("mpiexec".to_owned())
        .spawn({
            let world = world.clone();
            move || watch(guard, &world)
        })?;
    std::thread::Builder::new()
        .name("mpi-join".to_owned())
        .spawn({
            let (world, start) = (world.clone(), start.clone());
            move || {
                if let Err(why) = welcome(&listener, &start, &world) {
                    world.refuse(why);
                }
            }
        })?;
    let member = |(launch, bell): (&Launch, Arc<EventFd>)| {
        Box::new(Member {
            launch: launch.clone(),
            world: world.clone(),
            bell,
            wires: None,
            pid: 0,
            end: None,
            is_gone: false,
            early: Vec::new(),
        }) as Box<dyn Link>
    };
    Ok(launches.iter().zip(bells).map(member).collect())
}

/// Starts the guard, and by it `mpiexec`.
fn spawn(
    session: &str,
    size: usize,
    start: &MpiStart,
    environment: &Environment,
) -> std::io::Result<Child> {
    let folder = files()?;
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("regatta-mpi")
        .arg(guard::ROLE)
        .arg(&folder)
        .args(
            start
                .command
                .iter()
                .map(|word| word.replace("{n}", &size.to_string())),
        )
        .arg(std::env::current_exe()?)
        .args(["engine", session])
        .stdin(Stdio::piped())
        .process_group(0);
    environment.apply(&mut command);
    for name in FOLDERS {
        command.env(name, &folder);
    }
    for (name, value) in SETTINGS {
        if std::env::var_os(name).is_none() {
            command.env(name, value);
        }
    }
    // Both streams come by one pipe, so that what belongs together stays together.
    let (reader, writer) = std::io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut guard = command.spawn()?;
    guard.stdout = Some(OwnedFd::from(reader).into());
    Ok(guard)
}

/// Where Open MPI 4 and 5 put files for the time of their run; MPICH's have no name by then.
const FOLDERS: [&str; 4] = [
    "OMPI_MCA_orte_tmpdir_base",
    "PRTE_MCA_prte_tmpdir_base",
    "OMPI_MCA_btl_vader_backing_directory",
    "OMPI_MCA_btl_sm_backing_directory",
];

/// An engine's end is told by regatta: Open MPI, and UCX below MPICH, print no stack. And Open MPI does not wait for a
/// second before it ends the others.
const SETTINGS: [(&str, &str); 4] = [
    ("OMPI_MCA_opal_signal", ""),
    ("UCX_ERROR_SIGNALS", ""),
    ("OMPI_MCA_odls_base_sigkill_timeout", "0"),
    ("PRTE_MCA_odls_base_sigkill_timeout", "0"),
];

/// A folder for files of the MPI library's, which the guard removes.
fn files() -> std::io::Result<PathBuf> {
    let memory = Path::new("/dev/shm");
    let within = match memory.is_dir() {
        true => memory.to_owned(),
        false => std::env::temp_dir(),
    };
    let folder = tempfile::Builder::new()
        .prefix("regatta-mpi-")
        .tempdir_in(within)?;
    Ok(folder.keep())
}

/// Reads what `mpiexec` says, and waits for its end.
fn watch(mut guard: Child, world: &World) {
    if let Some(mut pipe) = guard.stdout.take() {
        let mut part = [0; 4096];
        while let Ok(read @ 1..) = pipe.read(&mut part) {
            world.hears(&part[..read]);
        }
    }
    let status = guard.wait().ok();
    let code = status.and_then(|status| status.code().or(status.signal().map(|it| 128 + it)));
    world.ends(code.unwrap_or(1));
}

/// Takes the engines in: each is told the shim, and joins the world when it has initialised MPI.
fn welcome(listener: &UnixListener, start: &MpiStart, world: &World) -> Result<(), String> {
    let mut come = Vec::new();
    let until = Instant::now() + LIMIT;
    while come.len() < world.size() {
        if Instant::now() > until {
            return Err(late(come.len(), world));
        }
        match listener.accept() {
            Ok((socket, _)) => come.extend(hello(socket, start, world)?),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                let mut fds = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
                let tick = PollTimeout::try_from(TICK).unwrap_or(PollTimeout::NONE);
                let _ = poll(&mut fds, tick);
                if world.has_ended() {
                    return Ok(());
                }
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    let mut seen = vec![false; world.size()];
    // MPI begins in none of them before it does in all.
    let mut begins = || {
        if let Ok((socket, _)) = listener.accept()
            && hello(socket, start, world)?.is_some()
        {
            let size = world.size();
            return Err(MpiFault::TooMany { size }.to_string());
        }
        match Instant::now() > until + BEGIN {
            true => Err(no_begin(world)),
            false => Ok(()),
        }
    };
    for mut joined in come {
        let Some(message) = receive(&mut joined.channel, world, &mut begins)? else {
            // Nobody else reads what it has printed before it ended.
            world.hears(&printed(&joined.pipes[2]));
            return Ok(());
        };
        match message {
            (
                Joining::Member {
                    rank,
                    size,
                    library,
                },
                _,
            ) => {
                if size as usize != world.size() {
                    return Err(start.other_library(size, world.size(), &library));
                }
                let rank = rank as usize;
                if std::mem::replace(&mut seen[rank], true) {
                    return Err(MpiFault::Twice(rank).to_string());
                }
                world.joins(rank, joined);
            }
            (Joining::Failed { why }, _) => return Err(why),
            (other, _) => {
                let fault = MpiFault::NotAnEngine(format!("{other:?}"));
                return Err(fault.to_string());
            }
        }
    }
    Ok(())
}

/// Not all engines have come in time.
fn late(come: usize, world: &World) -> String {
    let fault = MpiFault::Late {
        come,
        size: world.size(),
        seconds: LIMIT.as_secs(),
        says: world.said(),
    };
    fault.to_string()
}

/// MPI does not begin in those that have come.
fn no_begin(world: &World) -> String {
    let fault = MpiFault::NoBegin {
        size: world.size(),
        seconds: (LIMIT + BEGIN).as_secs(),
        says: world.said(),
    };
    fault.to_string()
}

/// What is left in a pipe whose writer has ended.
fn printed(pipe: &OwnedFd) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    let flags = nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK);
    let read = nix::fcntl::fcntl(pipe, flags)
        .map_err(std::io::Error::from)
        .and_then(|_| Ok(rustix::io::read(pipe, &mut bytes)?));
    bytes.truncate(read.unwrap_or_default());
    bytes
}

/// What an engine says first; `None`: somebody who is not one.
fn hello(socket: UnixStream, start: &MpiStart, world: &World) -> Result<Option<Joined>, String> {
    let text = |error: std::io::Error| error.to_string();
    let Some(pid) = process_behind(&socket) else {
        return Ok(None);
    };
    socket.set_nonblocking(false).map_err(text)?;
    socket.set_read_timeout(Some(TICK)).map_err(text)?;
    let mut channel = Channel::new(socket);
    let mut pipes = Vec::new();
    while pipes.len() < 3 {
        match receive(&mut channel, world, &mut || Ok(()))? {
            Some((Joining::Hello { version }, _)) if version != VERSION => {
                return Err(WireError::Version(version).to_string());
            }
            Some((Joining::Hello { .. }, _)) => {}
            // Those that are missing will not come.
            Some((Joining::World { size }, _)) if size as usize != world.size() => {
                let wanted = world.size();
                return Err(MpiFault::World { size, wanted }.to_string());
            }
            Some((Joining::World { .. }, _)) => {}
            Some((Joining::End | Joining::Stdout | Joining::Stderr, payload)) => {
                match payload.into_file() {
                    Some(pipe) => pipes.push(pipe),
                    None => return Ok(None),
                }
            }
            _ => return Ok(None),
        }
    }
    let Ok(pipes) = <[OwnedFd; 3]>::try_from(pipes) else {
        return Ok(None);
    };
    let flags = nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK);
    nix::fcntl::fcntl(&pipes[0], flags).map_err(|error| error.to_string())?;
    let shim = Payload::Shared(start.shim.clone());
    let told = channel.queue(&join::Joined, &shim);
    told.map_err(|error| error.to_string())?;
    channel.flush().map_err(text)?;
    Ok(Some(Joined {
        channel,
        pipes,
        pid,
    }))
}

/// Waits for what an engine says; `None`: it is gone. `waits` may end the wait, and is asked now and then.
fn receive(
    channel: &mut Channel,
    world: &World,
    waits: &mut dyn FnMut() -> Result<(), String>,
) -> Result<Option<(Joining, Payload)>, String> {
    loop {
        match channel.receive() {
            Ok(message) => return Ok(Some(message)),
            Err(WireError::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if world.has_ended() {
                    return Ok(None);
                }
                waits()?;
            }
            // What has become of it, `mpiexec` tells.
            Err(WireError::Closed | WireError::Cut | WireError::Io(_)) => return Ok(None),
            Err(error) => return Err(error.to_string()),
        }
    }
}
