//! Clusters that outlive their session. A process of its own, the holder, has what a session has of another cluster: the
//! server, and the connections to the nodes. It ends them when nobody has come back before the lease is over, or when it is
//! told to. A file per cluster, in a folder of this user's alone, says that it is there; its holder's socket lies beside it.

mod farewell;
mod held;
pub mod holder;
mod jobs;
mod protocol;
mod watch;

use std::fs;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

pub use held::{Grant, Held, Status, end, end_unused, is_reached, look};
pub use jobs::jobs;
pub use protocol::{Answer, Ask};

use super::configured::write_private;
use crate::outcome::KeepFault;
use crate::wire::VERSION;

const RECORD: &str = "json";
const SOCKET: &str = "socket";

/// What a file says of a cluster. Whatever else a session needs, its holder tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The wire's version: its holder speaks it.
    pub version: u32,
    pub name: String,
    /// Where its holder runs: the folder may be on a disk that several hosts share.
    pub host: String,
    /// Which host of that name this is, where hosts know.
    #[serde(default)]
    pub machine: Option<String>,
    /// The holder's.
    pub pid: u32,
    /// What the server keeps, when the cluster has one of its own.
    pub data: Option<PathBuf>,
    /// When it was started, since 1970.
    pub since: Duration,
    /// How long it goes on without a session.
    pub lease: Duration,
}

impl Record {
    /// Whether its holder runs on this host. Several that share the folder may have one name.
    fn is_here(&self) -> bool {
        let is_it = |(one, other): (&String, String)| *one == other;
        self.host == host() && self.machine.as_ref().zip(machine()).is_none_or(is_it)
    }
}

/// The folder of kept clusters.
pub struct Shelf(PathBuf);

impl Shelf {
    /// Finds it, or makes it.
    pub fn find() -> Result<Self, KeepFault> {
        let cache = dirs::cache_dir().ok_or(KeepFault::NoHome)?;
        let above = cache.join("regatta");
        let folder = above.join("clusters");
        let made = fs::create_dir_all(&above).and_then(|()| {
            match fs::DirBuilder::new().mode(0o700).create(&folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                made => made,
            }
        });
        let about = made.and_then(|()| fs::symlink_metadata(&folder));
        let named = folder.display();
        let about = about.map_err(|error| KeepFault::NoFolder(format!("{named}: {error}")))?;
        let own = about.uid() == rustix::process::getuid().as_raw();
        match about.is_dir() && own && about.permissions().mode() & 0o077 == 0 {
            true => Ok(Self(folder)),
            false => Err(KeepFault::Open(named.to_string())),
        }
    }

    fn record(&self, name: &str) -> PathBuf {
        self.0.join(name).with_added_extension(RECORD)
    }

    fn socket(&self, name: &str) -> PathBuf {
        self.0.join(name).with_added_extension(SOCKET)
    }

    /// Where the server keeps its data.
    fn data(&self) -> io::Result<tempfile::TempDir> {
        tempfile::Builder::new().prefix("nats-").tempdir_in(&self.0)
    }

    /// Held while clusters come, and while what is left of others is removed.
    fn lock(&self) -> io::Result<Flock<fs::File>> {
        let file = fs::File::create(self.0.join("lock"))?;
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error.into())
    }

    /// Calls `with` with a path to the socket that is short however long the folder's is.
    fn at_socket<T>(&self, name: &str, with: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
        let folder = fs::File::open(&self.0)?;
        let short = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
        with(&short.join(self.socket(name).file_name().unwrap_or_default()))
    }

    fn connect(&self, name: &str) -> io::Result<UnixStream> {
        self.at_socket(name, |path| UnixStream::connect(path))
    }

    fn listen(&self, name: &str) -> io::Result<UnixListener> {
        self.at_socket(name, |path| UnixListener::bind(path))
    }

    /// The cluster is there from now on.
    fn put(&self, record: &Record) -> io::Result<()> {
        let text = serde_json::to_string(record)?;
        let file = self.record(&record.name);
        // Whoever reads it meanwhile reads none.
        let new = file.with_extension("new");
        let _ = fs::remove_file(&new);
        write_private(&new, &text)?;
        fs::rename(&new, &file)
    }

    /// It is not any more. The record goes last: as long as it is there, what is left is removed by the next look.
    fn remove(&self, record: &Record) {
        let data = record.data.as_deref();
        if let Some(data) = data.filter(|data| data.starts_with(&self.0) && *data != self.0) {
            let _ = fs::remove_dir_all(data);
        }
        let _ = fs::remove_file(self.socket(&record.name));
        let _ = fs::remove_file(self.record(&record.name));
    }

    /// Whether its holder is gone, and with it the cluster.
    fn is_stale(&self, record: &Record) -> bool {
        let gone = [io::ErrorKind::ConnectionRefused, io::ErrorKind::NotFound];
        record.is_here()
            && matches!(self.connect(&record.name), Err(error) if gone.contains(&error.kind()))
    }

    fn read(&self, name: &str) -> Option<Record> {
        let text = fs::read(self.record(name)).ok()?;
        let record: Record = serde_json::from_slice(&text).ok()?;
        (record.name == name).then_some(record)
    }

    /// Those that are there, by name. What is left of those whose holder is gone, also because the machine was started anew, is removed.
    pub fn all(&self) -> Vec<Record> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_none_or(|end| end != RECORD) {
                continue;
            }
            let name = path.file_stem().and_then(|name| name.to_str());
            let Some(record) = name.and_then(|name| self.read(name)) else {
                continue;
            };
            if !self.is_stale(&record) {
                found.push(record);
                continue;
            }
            // Another of this name may have come meanwhile.
            if let Ok(_lock) = self.lock()
                && self.is_stale(&record)
            {
                self.remove(&record);
            }
        }
        found.sort_by(|one, other| one.name.cmp(&other.name));
        found
    }

    /// The one of this name, with a connection to its holder.
    fn reach(&self, name: &str) -> Result<(Record, UnixStream), KeepFault> {
        let all = self.all();
        let Some(record) = all.iter().find(|record| record.name == name) else {
            return Err(KeepFault::Unknown {
                name: name.to_owned(),
                others: all.into_iter().map(|record| record.name).collect(),
            });
        };
        Ok((record.clone(), self.reach_that(record)?))
    }

    /// A connection to this one's holder.
    fn reach_that(&self, record: &Record) -> Result<UnixStream, KeepFault> {
        // Who can be reached is here, whatever this host is called by now.
        self.connect(&record.name).map_err(|error| {
            let (name, host) = (record.name.clone(), record.host.clone());
            match record.is_here() {
                true => KeepFault::Failed(error.to_string()),
                false => KeepFault::Elsewhere { name, host },
            }
        })
    }

    /// The one of this name, when its holder speaks as this program does.
    fn speak(&self, name: &str) -> Result<(Record, UnixStream), KeepFault> {
        let (record, stream) = self.reach(name)?;
        speaks(&record)?;
        Ok((record, stream))
    }
}

/// Whether the holder speaks as this program does.
fn speaks(record: &Record) -> Result<(), KeepFault> {
    match record.version {
        VERSION => Ok(()),
        says => Err(KeepFault::Version {
            name: record.name.clone(),
            says,
            ours: VERSION,
        }),
    }
}

/// This host's name.
fn host() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// What tells this host from others of its name.
fn machine() -> Option<String> {
    let id = fs::read_to_string("/etc/machine-id").ok()?;
    let id = id.trim();
    (!id.is_empty()).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_of_another_host_with_the_same_name_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let shelf = Shelf(folder.path().to_owned());
        let record = |name: &str, machine: Option<String>| {
            let data = folder.path().join(format!("nats-{name}"));
            fs::create_dir(&data).expect("a folder");
            let record = Record {
                version: VERSION,
                name: name.to_owned(),
                host: host(),
                machine,
                pid: 1,
                data: Some(data),
                since: Duration::ZERO,
                lease: Duration::ZERO,
            };
            shelf.put(&record).expect("a file");
        };
        // Nobody listens at their sockets here.
        record("own", machine());
        record("old", None);
        record("other", Some("another machine".to_owned()));
        let is_known = machine().is_some();
        let names: Vec<String> = { shelf.all().into_iter() }.map(|it| it.name).collect();
        assert_eq!(names, Vec::from_iter(is_known.then_some("other")));
        let data = |name: &str| folder.path().join(format!("nats-{name}")).exists();
        assert_eq!(["own", "old", "other"].map(data), [false, false, is_known]);
    }
}
