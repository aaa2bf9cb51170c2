//! The folder of this user's alone in which compilers are found.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use rustix::process::getuid;

use super::key::Key;
use super::record::{Record, Use};
use crate::compiler::toolchain::{cache_dir, is_closed, users_temp_dir};

/// A socket's path is no longer than this; a name of ours takes the rest.
const LONGEST: usize = 107 - NAME;
/// `/`, the key, `-` and a process id.
const NAME: usize = 1 + 16 + 1 + 10;

const RECORD: &str = "json";

/// Where compilers of one key are.
#[derive(Clone, Debug)]
pub struct Shelf(PathBuf);

impl Shelf {
    /// Finds the folder, or makes it.
    pub fn find() -> io::Result<Self> {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let runtime = runtime.filter(|folder| folder.is_absolute());
        let own = format!("regatta-warm-{}", getuid().as_raw());
        let folders = [
            runtime.map(|folder| folder.join("regatta")),
            Some(cache_dir().join("warm")),
            Some(users_temp_dir().join(own)),
        ];
        let mut folders = folders.into_iter().flatten();
        let found = folders.find(|folder| {
            folder.as_os_str().as_bytes().len() <= LONGEST && is_this_users_alone(folder)
        });
        found
            .map(Self)
            .ok_or_else(|| io::Error::other("there is no place for the sockets of compilers"))
    }

    /// The one at `folder`, as a session has found it.
    pub fn at(folder: PathBuf) -> Self {
        Self(folder)
    }

    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Held while compilers are counted.
    pub fn lock(&self) -> io::Result<Flock<fs::File>> {
        let file = fs::File::create(self.0.join("lock"))?;
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error.into())
    }

    /// Where a compiler listens while it waits.
    pub fn socket(&self, key: &str, pid: i32) -> PathBuf {
        self.0.join(format!("{key}-{pid}"))
    }

    /// Writes a compiler's record, or replaces it.
    pub fn put(&self, key: &str, record: &Record) -> io::Result<()> {
        let file = self.socket(key, record.pid).with_extension(RECORD);
        // Whoever reads it meanwhile reads the old one.
        let new = file.with_extension("new");
        fs::write(&new, serde_json::to_vec(record)?)?;
        fs::rename(&new, &file)
    }

    /// Removes what is there of a compiler.
    pub fn remove(&self, key: &str, pid: i32) {
        let socket = self.socket(key, pid);
        // It may have no socket now, and another may have removed its record.
        let _ = fs::remove_file(socket.with_extension(RECORD));
        let _ = fs::remove_file(socket);
    }

    /// The compilers that there are, those first that began to wait last; what is left of others is removed.
    pub fn records(&self) -> Vec<Record> {
        self.keyed().into_iter().map(|(_, record)| record).collect()
    }

    /// Those of one key that wait, or will do so soon.
    pub fn waiting(&self, key: Key) -> Vec<Record> {
        let key = key.to_string();
        let all = self.keyed().into_iter();
        all.filter(|(of, record)| *of == key && record.usage != Use::Session)
            .map(|(_, record)| record)
            .collect()
    }

    /// The same with their keys.
    pub fn keyed(&self) -> Vec<(String, Record)> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_none_or(|end| end != RECORD) {
                continue;
            }
            let name = path.file_stem().and_then(|name| name.to_str());
            let Some((key, _)) = name.and_then(|name| name.split_once('-')) else {
                continue;
            };
            let record: Option<Record> = fs::read(&path)
                .ok()
                .and_then(|bytes| serde_json::from_slice(&bytes).ok());
            match record {
                Some(record) if record.is_alive() => found.push((key.to_owned(), record)),
                Some(record) => self.remove(key, record.pid),
                // Just removed by its compiler, or of another version of this program.
                None => {}
            }
        }
        found.sort_by_key(|(_, record)| match record.usage {
            Use::Session => (0, 0),
            Use::Forgets => (0, 1),
            Use::Waits { until } => (1, u64::MAX - until),
        });
        found
    }
}

/// Makes the folder, or looks at the one that is there.
fn is_this_users_alone(folder: &Path) -> bool {
    // The folder above it may be missing too.
    let _ = folder.parent().map(fs::create_dir_all);
    is_closed(folder, 0o077)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_folder_that_others_may_look_into_is_no_shelf() {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("new");
        assert!(is_this_users_alone(&folder) && is_this_users_alone(&folder));
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o750)).unwrap();
        assert!(!is_this_users_alone(&folder));
    }

    #[test]
    fn what_is_left_of_compilers_that_are_gone_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::at(folder.path().to_owned());
        // This process is no compiler.
        let pid = i32::try_from(std::process::id()).unwrap();
        let record = Record {
            pid,
            toolchain: "/t".to_owned(),
            usage: Use::waits(Duration::from_secs(9)),
        };
        shelf.put("00", &record).unwrap();
        fs::write(shelf.socket("00", pid), "").unwrap();
        assert_eq!(shelf.records(), []);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
