//! One process computes what several want: locks on single bytes of a file, by key. The system gives them back when
//! their process ends, however it ends.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

pub struct Flights(File);

impl Flights {
    pub fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join("flights");
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)?;
        Ok(Self(file))
    }

    /// Takes the lock of a key; false when another process has it and it is not to be waited for. The threads of this
    /// process have agreed already on who asks.
    pub fn take(&self, key: &[u8; 32], waits: bool) -> io::Result<bool> {
        loop {
            match self.set(key, libc::F_WRLCK, waits) {
                Ok(()) => return Ok(true),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN | Errno::EACCES) if !waits => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub fn leave(&self, key: &[u8; 32]) {
        // The end of the process gives it back too.
        let _ = self.set(key, libc::F_UNLCK, false);
    }

    fn set(&self, key: &[u8; 32], kind: i32, waits: bool) -> Result<(), Errno> {
        let half = |at: usize| {
            let word = key[at..at + 8].try_into();
            word.map_or(0, u64::from_le_bytes)
        };
        // Keys are hashes: two that differ have the same byte as good as never, and would then only wait.
        let at = (half(0) ^ half(16)) >> 2;
        let lock = libc::flock {
            l_type: kind as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: at as libc::off_t,
            l_len: 1,
            l_pid: 0,
        };
        let how = match waits {
            true => FcntlArg::F_OFD_SETLKW(&lock),
            false => FcntlArg::F_OFD_SETLK(&lock),
        };
        fcntl(self.0.as_fd(), how).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_two_has_a_key_and_its_end_gives_it_back() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (
            Flights::open(folder.path()).unwrap(),
            Flights::open(folder.path()).unwrap(),
        );
        assert!(one.take(&[1; 32], true).unwrap());
        assert!(!other.take(&[1; 32], false).unwrap());
        let mut next = [1; 32];
        next[16] = 9;
        assert!(other.take(&next, false).unwrap());
        one.leave(&[1; 32]);
        assert!(other.take(&[1; 32], false).unwrap());
        assert!(!one.take(&[1; 32], false).unwrap());
        drop(other);
        assert!(one.take(&[1; 32], true).unwrap());
    }
}
