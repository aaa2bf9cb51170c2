//! What the session sees to of the cluster's own server: whether it stands still, and whether there is room below its folder.
//! It only ends the server; what keeps it, starts it again.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::sys::statvfs::statvfs;
use nix::unistd::Pid;

use super::PATIENCE;
use super::configured::process_in;

/// A disk with less room, bytes, is full: some of what is on its way to it cannot be held up any more, and there are servers
/// that stand still for good when they cannot write.
const ROOM: u64 = 16 << 20;

/// The server of a cluster, by its folder; nothing of one that is not the cluster's own.
#[derive(Debug, Default)]
pub struct Upkeep {
    folder: Option<PathBuf>,
    /// The process that answered last.
    process: Cell<Option<i32>>,
    /// Bytes that are left, when those are too few.
    left: Cell<Option<u64>>,
    /// When there was no room last.
    full: Cell<Option<Instant>>,
    /// When it was ended the last two times.
    ended: Cell<[Option<Instant>; 2]>,
}

/// What a look at the disk tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    Is,
    IsAgain,
    IsNot,
}

impl Upkeep {
    pub fn of(folder: Option<PathBuf>) -> Self {
        Self {
            folder,
            ..Self::default()
        }
    }

    /// The server answers.
    pub fn answers(&self) {
        let process = self.folder.as_deref().and_then(process_in);
        self.process.set(process);
    }

    /// Ends the process that answered last, if it is the server still; whether it was.
    pub fn end(&self) -> bool {
        let process = self.process.take();
        let process = process.filter(|it| self.folder.as_deref().and_then(process_in) == Some(*it));
        process.is_some_and(|it| kill(Pid::from_raw(it), Signal::SIGKILL).is_ok())
    }

    /// The same, when it could be the server because of which nodes are silent, `all` or some: there was no room for it a while
    /// ago, or it is all of them. Once in a while, or twice when one that was started again may have found no room either: when
    /// it was not the server, it helps nothing.
    pub fn end_if_it_may_be(&self, all: bool) {
        let is_late = |at: Option<Instant>| at.is_some_and(|at| at.elapsed() < PATIENCE);
        let is_full = is_late(self.full.get());
        let [last, before] = self.ended.get();
        let is_enough = if is_full { before } else { last };
        if (all || is_full) && !is_late(is_enough) && self.end() {
            self.ended.set([Some(Instant::now()), last]);
        }
    }

    /// Looks whether there is room for what the server is given.
    pub fn look(&self) -> Room {
        let folder = self.folder.as_deref();
        let left = folder.and_then(left_at).filter(|left| *left < ROOM);
        let before = self.left.replace(left);
        match (before, left) {
            (_, Some(_)) => {
                self.full.set(Some(Instant::now()));
                Room::IsNot
            }
            (None, None) => Room::Is,
            (Some(_), None) => Room::IsAgain,
        }
    }

    pub fn has_room(&self) -> bool {
        self.left.get().is_none()
    }

    /// The server's folder and the bytes that are left there, when those are too few.
    pub fn full(&self) -> Option<(PathBuf, u64)> {
        self.folder.clone().zip(self.left.get())
    }
}

/// Bytes that can be written below a folder.
fn left_at(folder: &Path) -> Option<u64> {
    let disk = statvfs(folder).ok()?;
    // Some of it may be the administrator's alone.
    let blocks = match rustix::process::geteuid().is_root() {
        true => disk.blocks_free(),
        false => disk.blocks_available(),
    };
    Some(blocks * disk.fragment_size())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::super::configured::PID;
    use super::*;

    #[test]
    fn only_the_process_that_answered_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let start = |folder: &Path| {
            let mut command = Command::new("sleep");
            command.arg("1000").stdin(Stdio::null());
            let child = command.current_dir(folder).spawn().unwrap();
            std::fs::write(folder.join(PID), child.id().to_string()).unwrap();
            child
        };
        let upkeep = Upkeep::of(Some(folder.path().to_owned()));
        assert!(!upkeep.end());
        let mut first = start(folder.path());
        upkeep.answers();
        let mut second = start(folder.path());
        assert!(!upkeep.end());
        upkeep.answers();
        assert!(upkeep.end());
        assert!(!second.wait().unwrap().success());
        assert_eq!(first.try_wait().unwrap(), None);
        first.kill().unwrap();
        first.wait().unwrap();
        assert!(!Upkeep::default().end());
    }
}
