//! Whether the file of kept results is sound: a seal says so of what it looks like; without one, another process reads it
//! through, which a bad file may end.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::entry::{found, share};
use super::{Disk, DiskError, FILE, GUARD, LEAST};

/// The first argument of the process that reads a file through.
pub const ROLE: &str = "__memo";

/// What the file looked like when it was last known to be good.
const SEAL: &str = "seal";
/// A bad file, for who wants to look.
const ASIDE: &str = "data.mdb.bad";

impl Disk {
    /// Notes that the file is good as it is now, if this process has written to it.
    pub fn seal(&self) {
        if self.written.swap(false, Relaxed)
            && let Some(now) = looks(&self.folder)
        {
            // Without it, the next one to open it has it read through.
            let _ = fs::write(self.folder.join(SEAL), now);
        }
    }
}

/// Length and times of the file, and when the machine was started.
fn looks(folder: &Path) -> Option<String> {
    let about = fs::metadata(folder.join(FILE)).ok()?;
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(format!(
        "{} {} {}.{:09} {}.{:09} {}",
        about.ino(),
        about.len(),
        about.mtime(),
        about.mtime_nsec(),
        about.ctime(),
        about.ctime_nsec(),
        boot.trim()
    ))
}

pub(super) fn is_sealed(folder: &Path) -> bool {
    let sealed = fs::read_to_string(folder.join(SEAL)).ok();
    sealed.is_some() && sealed == looks(folder)
}

/// Puts a bad file out of the way, in the place of an earlier one.
pub fn set_aside(folder: &Path) -> io::Result<PathBuf> {
    let aside = folder.join(ASIDE);
    // First the locks, which a new file must not share with the old one.
    let _ = fs::remove_file(folder.join("lock.mdb"));
    fs::rename(folder.join(FILE), &aside)?;
    Ok(aside)
}

/// Has the file of a folder read through by another process, which a bad one may end.
pub fn checked(folder: &Path) -> Result<(), String> {
    let mut child = Command::new("/proc/self/exe")
        .arg(ROLE)
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let since = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(status.to_string()),
            // A bad file may be read for ever.
            Ok(None) if since.elapsed() < Duration::from_secs(60) => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(None) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err("it takes too long to read".to_owned());
            }
        }
    }
}

/// Reads a file through, and writes to it.
pub fn check(folder: &Path) -> Result<(), DiskError> {
    if fs::metadata(folder.join(FILE))?.len() < LEAST {
        return Err(DiskError::Changed);
    }
    let disk = Disk::with(folder, File::open(folder.join(GUARD))?)?;
    let read = disk.env.read_txn()?;
    let mut counted: Vec<(Vec<u8>, u64)> = Vec::new();
    for entry in disk.values.iter(&read)? {
        let (key, value) = entry?;
        if key.len() != 32 || found(key, value).is_none() {
            return Err(DiskError::Bad(
                "a value does not have its checksum".to_owned(),
            ));
        }
        match counted
            .last_mut()
            .filter(|(function, _)| function == &key[..16])
        {
            Some((_, count)) => *count += 1,
            None => counted.push((key[..16].to_vec(), 1)),
        }
    }
    disk.traces.check(&read)?;
    for (function, count) in counted {
        let record = disk.functions.get(&read, &function)?;
        if record.map(|record| share(record).entries) != Some(count) {
            return Err(DiskError::Bad("values are missing".to_owned()));
        }
    }
    drop(read);
    // What is free is looked at when something is written.
    let mut write = disk.env.write_txn()?;
    disk.values.put(&mut write, &[0; 32], &[0; 5000])?;
    disk.values.delete(&mut write, &[0; 32])?;
    write.commit()?;
    Ok(())
}
