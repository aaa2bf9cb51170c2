//! The stores that engines of nodes reach through the session: those that it has named to them, and no other socket of
//! this host.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use regatta_cell::shell::BOARD;
use regatta_cell::store::call::ADDRESS;
use tokio::net::UnixStream;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::super::message::{LineId, ToNode};
use super::super::tunnel::{Tunnel, Word};
use super::Peer;
use crate::store::place::is_this_users;
use crate::store::redis::{self, REDIS_URL};

/// Connections to stores that a node may have at the same time: each is an open file of this process.
const MOST: usize = 1024;

/// A store that has no place for one more connection is tried again after so long.
const AGAIN: Duration = Duration::from_millis(10);

/// Sockets of this host, as the environment of engines has named them.
#[derive(Default)]
pub struct Named(RefCell<BTreeSet<String>>);

impl Named {
    /// A variable of the engines' environment has this value.
    pub fn note(&self, name: &str, value: Option<&str>) {
        if let Some(value) = value.filter(|value| is_of_host(name, value)) {
            self.0.borrow_mut().insert(value.to_owned());
        }
    }

    /// Where one of them is.
    fn find(&self, address: &str) -> Option<Socket> {
        if !self.0.borrow().contains(address) {
            return None;
        }
        if redis::is_url(address) {
            let path = socket_of(address)?;
            return Some(Socket {
                path,
                is_own: false,
            });
        }
        let path = match address.strip_prefix('@') {
            // As an abstract name is a path.
            Some(name) => format!("\0{name}").into(),
            None => address.into(),
        };
        Some(Socket { path, is_own: true })
    }
}

struct Socket {
    path: PathBuf,
    /// It is the session's, and no other user's process serves there.
    is_own: bool,
}

impl Socket {
    /// Connects for who is at the other end of a tunnel. Whoever serves there may have no place for one more yet: the thread
    /// has other work meanwhile.
    async fn open(&self, tunnel: &Tunnel) -> io::Result<UnixStream> {
        let opened = loop {
            match UnixStream::connect(&self.path).await {
                Err(error) if error.kind() == ErrorKind::WouldBlock && !tunnel.is_over() => {
                    sleep(AGAIN).await;
                }
                opened => break opened?,
            }
        };
        match self.is_own && !is_this_users(&opened) {
            true => Err(ErrorKind::PermissionDenied.into()),
            false => Ok(opened),
        }
    }
}

/// Whether a variable names a store that only this host's processes reach.
pub fn is_of_host(name: &str, value: &str) -> bool {
    [ADDRESS, REDIS_URL, BOARD].contains(&name)
        && (!redis::is_url(value) || socket_of(value).is_some())
}

/// The path of the socket, of the address of a Redis server that has one.
fn socket_of(address: &str) -> Option<PathBuf> {
    let address = redis::Address::parse(address, None).ok()?;
    address.socket().map(Path::to_owned)
}

/// A process on the node has opened a connection to a store.
pub fn connect(peer: &Rc<Peer>, named: &Named, number: LineId, address: &str) {
    let found = named.find(address);
    let Some(socket) = found.filter(|_| peer.tunnels.count() < MOST) else {
        return peer.post.send(&ToNode::Tunnel(number, Word::Over));
    };
    let tunnel = Tunnel::new();
    peer.tunnels.add(number, tunnel.clone());
    let peer = peer.clone();
    spawn_local(async move {
        let tell = |word| peer.post.send(&ToNode::Tunnel(number, word));
        let is_to_be_told = match socket.open(&tunnel).await {
            Ok(opened) => tunnel.serve(opened, tell).await,
            Err(_) => !tunnel.is_over(),
        };
        peer.tunnels.remove(number);
        if is_to_be_told {
            tell(Word::Over);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixListener, UnixStream as Other};

    #[test]
    fn a_store_that_lets_nobody_in_is_waited_for_beside_other_work() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let listener = UnixListener::bind(&path).unwrap();
        // One may wait at its door.
        rustix::net::listen(&listener, 0).unwrap();
        let _waits = Other::connect(&path).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (tunnel, is_own) = (Tunnel::new(), true);
            let socket = Socket { path, is_own };
            let lets_in = async {
                sleep(3 * AGAIN).await;
                listener.accept().unwrap()
            };
            let (opened, _) = tokio::join!(socket.open(&tunnel), lets_in);
            assert!(opened.is_ok());
            // Now this one waits there, and for who has gone nobody else does.
            tunnel.hang_up();
            let full = socket.open(&tunnel).await.map(drop);
            assert_eq!(full.unwrap_err().kind(), ErrorKind::WouldBlock);
        });
    }
}
