//! Where a session's own store is: a socket with an abstract name, which no file system has, or one with a path. Only
//! this user's processes speak with each other there.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

/// Whether this user's process is at the other end.
pub fn is_this_users(socket: &impl AsFd) -> bool {
    let own = rustix::process::geteuid();
    rustix::net::sockopt::socket_peercred(socket).is_ok_and(|peer| peer.uid == own)
}

/// A connection to whoever serves at an address: a path, or with `@` in front an abstract name. An error when that is
/// another user's process.
pub fn dial(address: &str) -> io::Result<UnixStream> {
    let stream = match address.strip_prefix('@') {
        Some(name) => UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        None => UnixStream::connect(address)?,
    };
    // A name is anybody's to take once its session is over.
    if !is_this_users(&stream) {
        return Err(io::Error::other("it belongs to another user"));
    }
    Ok(stream)
}

/// A new abstract name that is served from now on, and its address. Whoever lets somebody in looks who it is.
pub fn listen() -> io::Result<(UnixListener, String)> {
    // No secret: the owner of the other side is looked at. But no two have the same.
    let random = RandomState::new().build_hasher().finish();
    let name = format!("regatta-{}-{random:016x}", std::process::id());
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
    listener.set_nonblocking(true)?;
    Ok((listener, format!("@{name}")))
}
