//! How an engine that was started by somebody else, by `mpiexec`, introduces itself, before the greetings: it dials
//! to the session, and gives the reading ends of its pipes.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

use serde::{Deserialize, Serialize};

/// From the engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Joining {
    /// First. `version`: of this protocol.
    Hello { version: u32 },
    /// Payload: a pipe by which its parent tells its wait status, four bytes.
    End,
    /// Payload: the reading end of its standard output.
    Stdout,
    /// Payload: the reading end of its standard error.
    Stderr,
    /// MPI is initialised: who it is there, and which library it is.
    Member {
        rank: u32,
        size: u32,
        library: String,
    },
    /// It cannot take part.
    Failed { why: String },
    /// Before its pipes: how many processes its launcher says that it has started.
    World { size: u32 },
}

/// The session's answer to [`Joining::Stderr`]. Payload: the shared object through which the engine reaches MPI.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined;

/// Where a session listens: a name in the kernel, and in no file system.
fn address(name: &str) -> std::io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(name.as_bytes())
}

pub fn listen(name: &str) -> std::io::Result<UnixListener> {
    UnixListener::bind_addr(&address(name)?)
}

pub fn dial(name: &str) -> std::io::Result<UnixStream> {
    UnixStream::connect_addr(&address(name)?)
}
