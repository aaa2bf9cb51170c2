//! The stores that engines of nodes reach through the session: those that it has named to them, and no other socket of
//! this host.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use regatta_cell::shell::BOARD;
use regatta_cell::store::call::ADDRESS;
use tokio::task::spawn_local;

use super::super::message::{LineId, ToNode};
use super::super::tunnel::{Tunnel, Word};
use super::Peer;
use crate::store::place::dial;
use crate::store::redis::{self, REDIS_URL};

/// Connections to stores that a node may have at the same time: each is an open file of this process.
const MOST: usize = 1024;

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

    /// Connects to one of them.
    fn dial(&self, address: &str) -> io::Result<UnixStream> {
        if !self.0.borrow().contains(address) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        if !redis::is_url(address) {
            return dial(address);
        }
        let socket = socket_of(address).ok_or(io::ErrorKind::NotFound)?;
        UnixStream::connect(socket)
    }
}

/// Whether a variable names a store that only this host's processes reach.
pub fn is_of_host(name: &str, value: &str) -> bool {
    [ADDRESS, REDIS_URL, BOARD].contains(&name)
        && (!redis::is_url(value) || socket_of(value).is_some())
}

/// The path of the socket, of the address of a Redis server that has one.
fn socket_of(address: &str) -> Option<std::path::PathBuf> {
    let address = redis::Address::parse(address, None).ok()?;
    address.socket().map(std::path::Path::to_owned)
}

/// A process on the node has opened a connection to a store.
pub fn connect(peer: &Rc<Peer>, named: &Named, number: LineId, address: &str) {
    let opened = match peer.tunnels.count() < MOST {
        true => named.dial(address).and_then(Tunnel::of),
        false => Err(io::ErrorKind::QuotaExceeded.into()),
    };
    let Ok(tunnel) = opened else {
        return peer.post.send(&ToNode::Tunnel(number, Word::Over));
    };
    peer.tunnels.add(number, tunnel.clone());
    let peer = peer.clone();
    spawn_local(async move {
        let tell = |word| peer.post.send(&ToNode::Tunnel(number, word));
        let is_to_be_told = tunnel.serve(tell).await;
        if peer.tunnels.remove(number) && is_to_be_told {
            tell(Word::Over);
        }
    });
}
