//! What a session's folder is called. The build script reads this file too: crates that are built in such a folder can
//! be moved to another one whose path is as long, so all of them are of one length, wherever temporary files are.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// How the name of every session's folder begins; the session's process id follows.
pub const PREFIX: &str = "regatta-";

/// Bytes of a folder's path, unless what it lies in has too long a path itself.
const LENGTH: usize = 80;

/// A folder for this process among those in `shelf`.
pub fn choose(shelf: &Path) -> PathBuf {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    named(shelf, std::process::id(), now.as_nanos() & 0xff_ffff)
}

fn named(shelf: &Path, process: u32, number: u128) -> PathBuf {
    let around = shelf.join(PREFIX).as_os_str().as_bytes().len() + "-000000".len();
    // Process ids have up to seven digits.
    let digits = LENGTH.saturating_sub(around).max(7);
    shelf.join(format!("{PREFIX}{process:0digits$}-{number:06x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_paths_are_of_one_length() {
        for shelf in [
            "/tmp",
            "/tmp/",
            "/scratch/slurm/job.1234567/tmp",
            "/home/ö/t",
        ] {
            for (process, number) in [(1, 0), (4_194_304, 0xff_ffff)] {
                let folder = named(Path::new(shelf), process, number);
                assert_eq!(folder.as_os_str().as_bytes().len(), LENGTH, "{folder:?}");
                let name = folder.file_name().unwrap().to_str().unwrap();
                let rest = name.strip_prefix(PREFIX).unwrap();
                let its: u32 = rest.split('-').next().unwrap().parse().unwrap();
                assert_eq!(its, process);
            }
        }
        let deep = "/".to_owned() + &"d".repeat(LENGTH);
        let names = [1, 4_194_304].map(|process| named(Path::new(&deep), process, 9));
        let [one, other] = names.map(|name| name.as_os_str().len());
        assert_eq!(one, other);
    }
}
