//! Where processes of this host find the session's stores: at sockets that lead to the session's host.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener as Listener;
use std::path::Path;
use std::rc::Rc;

use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::task::{AbortHandle, spawn_local};

use super::super::message::FromNode;
use super::super::session::is_of_host;
use super::super::tunnel::{Tunnel, Word};
use super::Node;
use crate::store::place::{is_this_users, listen};
use crate::store::redis;

/// What the folders of nodes are called: with the node's process.
const FOLDER: &str = "regatta-node-";

/// The doors of a node, by where they lead. A door has an abstract name, which is gone with the node; one to a server of
/// Redis has a path, because its clients know no other: in a folder of its own, which the next node takes away when this
/// one could not.
#[derive(Default)]
pub struct Doors {
    by_address: RefCell<BTreeMap<String, String>>,
    folder: RefCell<Option<TempDir>>,
    served: RefCell<Vec<AbortHandle>>,
}

impl Doors {
    /// A variable's value as it is for processes of this host.
    pub fn here(node: &Rc<Node>, name: &str, value: &str) -> String {
        if !is_of_host(name, value) {
            return value.to_owned();
        }
        let known = node.doors.by_address.borrow().get(value).cloned();
        if let Some(known) = known {
            return known;
        }
        // Without a door the address stays what it is, and whoever goes there is told.
        let opened = node.doors.open(value).and_then(|(listener, address)| {
            listener.set_nonblocking(true)?;
            Ok((UnixListener::from_std(listener)?, address))
        });
        let Ok((listener, address)) = opened else {
            return value.to_owned();
        };
        let mut doors = node.doors.by_address.borrow_mut();
        doors.insert(value.to_owned(), address.clone());
        let served = spawn_local(serve(node.clone(), listener, value.to_owned()));
        node.doors.served.borrow_mut().push(served.abort_handle());
        address
    }

    /// Nobody is let in any more.
    pub fn close(&self) {
        for served in self.served.take() {
            served.abort();
        }
        self.by_address.take();
        self.folder.take();
    }

    fn open(&self, leads_to: &str) -> io::Result<(Listener, String)> {
        if !redis::is_url(leads_to) {
            return listen();
        }
        let mut folder = self.folder.borrow_mut();
        let folder = match &*folder {
            Some(folder) => folder,
            None => folder.insert(private_folder()?),
        };
        let number = self.by_address.borrow().len();
        let path = folder.path().join(format!("store{number}"));
        let listener = Listener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let options = leads_to.split_once('?').map(|(_, options)| options);
        let options = options.map(|options| format!("?{options}"));
        let address = format!("unix://{}{}", path.display(), options.unwrap_or_default());
        Ok((listener, address))
    }
}

impl Node {
    /// A variable of the engines' environment as it is on this host.
    pub fn variable(node: &Rc<Self>, name: &str, value: &str) -> String {
        match name {
            PATH => with_own_folder(value),
            _ => Doors::here(node, name, value),
        }
    }

    /// How the engines' environment differs from this node's: they find the session's stores, and this program, with which
    /// their child scripts reach those.
    pub fn environment(
        node: &Rc<Self>,
        changes: Vec<(String, Option<String>)>,
    ) -> Vec<(String, Option<String>)> {
        let own = std::env::var(PATH).unwrap_or_default();
        let path = (PATH.to_owned(), Some(with_own_folder(&own)));
        let here = |(name, value): (String, Option<String>)| {
            let value = value.map(|value| Self::variable(node, &name, &value));
            (name, value)
        };
        // What comes later counts.
        [path]
            .into_iter()
            .chain(changes.into_iter().map(here))
            .collect()
    }
}

const PATH: &str = "PATH";

/// A `PATH` on which this program is the last that is found.
fn with_own_folder(path: &str) -> String {
    let own = std::env::current_exe().ok();
    let own = own.as_deref().and_then(Path::parent).map(Path::to_owned);
    let all = std::env::split_paths(path).filter(|it| !it.as_os_str().is_empty());
    let joined = std::env::join_paths(all.chain(own));
    // A folder with a colon in its name cannot be on it.
    joined.map_or_else(
        |_| path.to_owned(),
        |path| path.to_string_lossy().into_owned(),
    )
}

/// Lets in who knocks, as long as the node lives.
async fn serve(node: Rc<Node>, listener: UnixListener, leads_to: String) {
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            // No more files may be open: some are closed soon.
            tokio::time::sleep(super::TICK).await;
            continue;
        };
        if !is_this_users(&socket) {
            continue;
        }
        let tunnel = Tunnel::new();
        let number = node.next_line();
        node.tunnels.add(number, tunnel.clone());
        node.post.send(&FromNode::Store {
            line: number,
            address: leads_to.clone(),
        });
        let node = node.clone();
        spawn_local(async move {
            let tell = |word| node.post.send(&FromNode::Tunnel(number, word));
            let is_to_be_told = tunnel.serve(socket, tell).await;
            node.tunnels.remove(number);
            if is_to_be_told {
                tell(Word::Over);
            }
        });
    }
}

/// For this user alone. Those of nodes that were killed are taken away.
fn private_folder() -> io::Result<TempDir> {
    let base = std::env::temp_dir();
    for entry in std::fs::read_dir(&base).into_iter().flatten().flatten() {
        if is_left_over(&entry.file_name().to_string_lossy()) && is_own_folder(&entry.path()) {
            // Another node may do so too.
            let _ = remove(&entry.path());
        }
    }
    let prefix = format!("{FOLDER}{}-", std::process::id());
    tempfile::Builder::new().prefix(&prefix).tempdir_in(base)
}

/// A folder of a node whose process is gone.
fn is_left_over(name: &str) -> bool {
    let number = name
        .strip_prefix(FOLDER)
        .and_then(|rest| rest.split_once('-'));
    let number = number.and_then(|(number, _)| number.parse::<u32>().ok());
    number.is_some_and(|number| !Path::new(&format!("/proc/{number}")).exists())
}

/// And no link to one.
fn is_own_folder(path: &Path) -> bool {
    let own = rustix::process::geteuid().as_raw();
    let about = std::fs::symlink_metadata(path);
    about.is_ok_and(|about| about.is_dir() && about.uid() == own)
}

fn remove(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        std::fs::remove_file(entry?.path())?;
    }
    std::fs::remove_dir(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_nodes_that_live_stay() {
        let own = format!("{FOLDER}{}-x", std::process::id());
        assert!(!is_left_over(&own));
        assert!(is_left_over(&format!("{FOLDER}4294967295-x")));
        assert!(!is_left_over("regatta-node-x"));
        assert!(!is_left_over("other"));
    }
}
