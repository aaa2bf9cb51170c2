//! Files with which somebody starts nodes by hand: each holds one user of one cluster, and is worth nothing when that has
//! ended. They are their owner's alone, written and read.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::geteuid;

use super::backbone::Backbone;
use super::configured::write_private;
use super::message::Join;

/// What a file may have at most, bytes.
const LONGEST: u64 = 64 * 1024;

/// Those of one cluster. They go with it.
#[derive(Default)]
pub struct JoinFiles {
    written: Mutex<Written>,
}

#[derive(Default)]
struct Written {
    paths: Vec<PathBuf>,
    /// The number of the last one, also of one that could not be written.
    last: u32,
}

impl JoinFiles {
    /// Writes one, to this place or to one beside the server's files; where it is, and what it says. The server takes
    /// that soon: see [`wait_until_taken`](super::server::wait_until_taken). `as_said`: what else the nodes are told.
    pub fn write(
        &self,
        server: &Backbone,
        path: Option<&Path>,
        as_said: impl FnOnce(Join) -> Join,
    ) -> io::Result<(PathBuf, Join)> {
        let mut written = self.written();
        let number = written.last + 1;
        let path = match path {
            Some(path) => std::path::absolute(path)?,
            None => match server.folder() {
                Some(folder) => folder.join(format!("join-{number}")),
                None => return Err(io::Error::other("say where: `--join-file FILE`")),
            },
        };
        written.last = number;
        let join = as_said(server.admit_file(number)?);
        if let Err(error) = put(&path, &join) {
            // Should the server not be told now, it is with the next change of its users.
            let _ = server.dismiss_file(number);
            return Err(error);
        }
        written.paths.push(path.clone());
        Ok((path, join))
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody may join with one.
    pub fn are_none(&self) -> bool {
        self.written().paths.is_empty()
    }
}

impl Drop for JoinFiles {
    fn drop(&mut self) {
        for path in &self.written().paths {
            // Somebody else may have removed it.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Writes a file to join with.
fn put(path: &Path, join: &Join) -> io::Result<()> {
    // One of an earlier cluster may be there; what is another's stays.
    if File::open(path).is_ok_and(|old| read(old).is_ok()) {
        std::fs::remove_file(path)?;
    }
    write_private(path, &(serde_json::to_string(join)? + "\n"))
}

/// Why a file is none to join with.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("others may read it (mode {0:o}), and join the cluster: `chmod 600` it")]
    Open(u32),
    #[error("it belongs to another user (number {0}), who could have it lead anywhere")]
    Foreign(u32),
    #[error("it does not say how to join a cluster: {0}")]
    Malformed(serde_json::Error),
}

/// Reads a file that nobody else can have read or written.
pub fn read(file: File) -> Result<Join, FileError> {
    let about = file.metadata()?;
    if about.uid() != geteuid().as_raw() {
        return Err(FileError::Foreign(about.uid()));
    }
    if about.mode() & 0o077 != 0 {
        return Err(FileError::Open(about.mode() & 0o777));
    }
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text)?;
    serde_json::from_str(&text).map_err(FileError::Malformed)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("join");
        write_private(&path, "{}").unwrap();
        let read = || read(File::open(&path).unwrap());
        assert!(matches!(read(), Err(FileError::Malformed(_))));
        for mode in [0o640, 0o604, 0o660] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert!(matches!(read(), Err(FileError::Open(said)) if said == mode));
        }
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        // Only root can have files of others.
        if geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(1), None).unwrap();
            assert!(matches!(read(), Err(FileError::Foreign(1))));
        }
    }
}
