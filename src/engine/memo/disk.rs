//! Kept results on disk: one LMDB file in the user's cache folder for all processes of all sessions. A process that
//! is killed leaves the file as it was before its write. Every value has a checksum, and whoever opens the file while
//! nobody else has it open has it read through by a process of its own first: LMDB trusts its pages, and a file that
//! was cut or overwritten ends whoever reads it. A bad file is set aside, and a new one begun.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::time::{Duration, Instant, SystemTime};

use super::traces::{Trace, Traces, origin};
use crate::outcome::MadeOf;
use heed::types::Bytes;
use heed::{Database, Env, EnvFlags, EnvOpenOptions, MdbError, RoTxn, RwTxn, WithoutTls};
use nix::errno::Errno;
use xxhash_rust::xxh3::xxh3_64;

use crate::wire::MemoShare;

/// The first argument of the process that reads a file through.
pub const ROLE: &str = "__memo";

const FILE: &str = "data.mdb";
/// Held shared by every process that has the file open.
const GUARD: &str = "guard";
/// What the file looked like when it was last known to be good.
const SEAL: &str = "seal";
/// A bad file, for who wants to look.
const ASIDE: &str = "data.mdb.bad";

/// How far the file may grow; only what is used takes room.
const MAP: usize = 64 << 30;
/// Processes and threads that may read at once.
const READERS: u32 = 1024;
/// Checksum, when it was computed (milliseconds since 1970), how long that took (nanoseconds), how many bytes say by whom
/// and of what; these, and the value, follow.
const HEAD: usize = 28;
/// A file with less than LMDB's two first pages is none.
const LEAST: u64 = 8192;

pub type Key = [u8; 32];

/// A result as it is kept.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    pub value: Vec<u8>,
    /// Milliseconds since 1970.
    pub made: u64,
    /// Nanoseconds.
    pub took: u64,
}

/// A result that is to be kept.
pub struct Put {
    pub key: Key,
    pub found: Found,
    /// Of its function.
    pub name: &'static str,
    /// What the function is made of, as JSON.
    pub made_of: &'static str,
    /// By whom and of what it was made, see [`super::traces`].
    pub origin: Vec<u8>,
    /// Bytes that the function may have here; when it has more, its oldest results go.
    pub limit: u64,
    /// It may wait for others, to be written with them.
    pub soon: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The file is not what it was when it was opened: cut, replaced or deleted.
    #[error("it was changed by another program")]
    Changed,
    #[error("it is damaged: {0}")]
    Bad(String),
    #[error("{0}")]
    Other(String),
}

impl From<heed::Error> for DiskError {
    fn from(error: heed::Error) -> Self {
        match &error {
            heed::Error::Mdb(
                MdbError::PageNotFound
                | MdbError::Corrupted
                | MdbError::Panic
                | MdbError::VersionMismatch
                | MdbError::Invalid
                | MdbError::Incompatible
                | MdbError::PageFull
                | MdbError::CursorFull
                | MdbError::BadDbi
                | MdbError::Problem,
            ) => Self::Bad(error.to_string()),
            // LMDB's word for a write of which a part fitted.
            heed::Error::Io(cause) if cause.raw_os_error() == Some(Errno::EIO as i32) => {
                Self::Other(format!(
                    "No space left, it seems: a write was cut short ({cause})"
                ))
            }
            _ => Self::Other(error.to_string()),
        }
    }
}

impl From<io::Error> for DiskError {
    fn from(error: io::Error) -> Self {
        Self::Other(error.to_string())
    }
}

/// What a function has on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Share {
    entries: u64,
    bytes: u64,
}

pub struct Disk {
    env: Env<WithoutTls>,
    /// By function and arguments.
    values: Database<Bytes, Bytes>,
    /// By function: its entries, their bytes, its name.
    functions: Database<Bytes, Bytes>,
    traces: Traces,
    folder: PathBuf,
    path: PathBuf,
    inode: u64,
    /// It never gets shorter.
    length: AtomicU64,
    written: AtomicBool,
    _guard: File,
}

/// A file that was opened, and whether a bad one was set aside for it.
pub struct Opened {
    pub disk: Disk,
    pub aside: Option<PathBuf>,
}

impl Disk {
    /// Opens the file in `folder`. `checks` reads a file through in another process, and says what is wrong.
    pub fn open(
        folder: &Path,
        checks: impl Fn(&Path) -> Result<(), String>,
    ) -> Result<Opened, DiskError> {
        fs::create_dir_all(folder)?;
        let open = || {
            File::options()
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .open(folder.join(GUARD))
        };
        let guard = open()?;
        let mut aside = None;
        match guard.try_lock() {
            Ok(()) => {
                let path = folder.join(FILE);
                if path.exists() && !is_sealed(folder) && checks(folder).is_err() {
                    aside = Some(set_aside(folder)?);
                }
                let disk = Self::with(folder, guard)?;
                disk._guard.lock_shared()?;
                Ok(Opened { disk, aside })
            }
            Err(TryLockError::WouldBlock) => {
                // Others have it, or one of them is reading it through.
                guard.lock_shared()?;
                let disk = Self::with(folder, guard)?;
                Ok(Opened { disk, aside })
            }
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    fn with(folder: &Path, guard: File) -> Result<Self, DiskError> {
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(MAP).max_readers(READERS).max_dbs(4);
        // SAFETY: the file is changed through LMDB alone, as far as that is in our hands. Without a wait for the disk a
        // write is safe from the end of its process, and what the end of the machine leaves is read through first.
        let env = unsafe {
            options.flags(EnvFlags::NO_SYNC | EnvFlags::NO_READ_AHEAD);
            options.open(folder)?
        };
        let _ = env.clear_stale_readers();
        let mut write = env.write_txn()?;
        let values = env.create_database(&mut write, Some("values"))?;
        let functions = env.create_database(&mut write, Some("functions"))?;
        let traces = Traces::open(&env, &mut write)?;
        write.commit()?;
        let path = folder.join(FILE);
        let about = fs::metadata(&path)?;
        Ok(Self {
            env,
            values,
            functions,
            traces,
            folder: folder.to_owned(),
            path,
            inode: about.ino(),
            length: AtomicU64::new(about.len()),
            written: AtomicBool::new(false),
            _guard: guard,
        })
    }

    /// Whether the file at its place is this one.
    pub fn is_its_own(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|about| about.ino() == self.inode)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether the file is still the one that was opened, as long as it was.
    fn is_there(&self) -> Result<(), DiskError> {
        // As long as it was before it is looked at: other threads let it grow meanwhile.
        let least = self.length.load(Acquire).max(LEAST);
        let about = fs::metadata(&self.path).map_err(|_| DiskError::Changed)?;
        if about.ino() != self.inode || about.len() < least {
            return Err(DiskError::Changed);
        }
        self.length.fetch_max(about.len(), Release);
        Ok(())
    }

    fn read(&self) -> Result<RoTxn<'_, WithoutTls>, DiskError> {
        Ok(match self.env.read_txn() {
            // Readers that were killed hold their places.
            Err(heed::Error::Mdb(MdbError::ReadersFull)) => {
                self.env.clear_stale_readers()?;
                self.env.read_txn()?
            }
            read => read?,
        })
    }

    pub fn get(&self, key: &Key) -> Result<Option<Found>, DiskError> {
        self.is_there()?;
        let read = self.read()?;
        let Some(bytes) = self.values.get(&read, key)? else {
            return Ok(None);
        };
        let found = found(key, bytes)
            .ok_or_else(|| DiskError::Bad("a value does not have its checksum".to_owned()))?;
        Ok(Some(found))
    }

    /// Keeps results, all or none.
    pub fn put(&self, puts: &[Put]) -> Result<(), DiskError> {
        self.is_there()?;
        let mut write = self.env.write_txn()?;
        for put in puts {
            self.put_one(&mut write, put)?;
        }
        write.commit()?;
        self.written.store(true, Relaxed);
        Ok(())
    }

    fn put_one(&self, write: &mut RwTxn<'_>, put: &Put) -> Result<(), DiskError> {
        let Put { key, found, .. } = put;
        let size = (key.len() + HEAD + put.origin.len() + found.value.len()) as u64;
        if size > put.limit {
            return Ok(());
        }
        let function = &key[..16];
        let known = self.functions.get(write, function)?.map(share);
        if known.is_none() {
            let made_of = put.made_of.as_bytes();
            self.traces.made_of.put(write, function, made_of)?;
        }
        let mut share = known.unwrap_or_default();
        if let Some(old) = self.values.get(write, key)? {
            share.entries = share.entries.saturating_sub(1);
            share.bytes = share.bytes.saturating_sub((key.len() + old.len()) as u64);
        }
        self.values
            .put(write, key, &bytes(key, found, &put.origin))?;
        share.entries += 1;
        share.bytes += size;
        if share.bytes > put.limit {
            let mut ages = Vec::new();
            for entry in self.values.prefix_iter(write, function)? {
                let (other, value) = entry?;
                if other != key {
                    ages.push((
                        number(value, 8),
                        other.to_vec(),
                        (other.len() + value.len()) as u64,
                    ));
                }
            }
            ages.sort_unstable();
            // Some more than must, so that not every write looks for the oldest.
            for (_, other, size) in ages {
                if share.bytes <= put.limit / 8 * 7 {
                    break;
                }
                self.values.delete(write, &other)?;
                self.traces.goes(write, &other)?;
                share.entries = share.entries.saturating_sub(1);
                share.bytes = share.bytes.saturating_sub(size);
            }
        }
        let mut record = Vec::with_capacity(16 + put.name.len());
        record.extend(share.entries.to_le_bytes());
        record.extend(share.bytes.to_le_bytes());
        record.extend(put.name.as_bytes());
        self.functions.put(write, function, &record)?;
        Ok(())
    }

    /// What the functions of each name have here, whichever they meant.
    pub fn shares(&self) -> Result<Vec<MemoShare>, DiskError> {
        self.is_there()?;
        let read = self.env.read_txn()?;
        let mut found: BTreeMap<String, MemoShare> = BTreeMap::new();
        for entry in self.functions.iter(&read)? {
            let (_, record) = entry?;
            let (name, one) = (name(record), share(record));
            let sum = found.entry(name.clone()).or_default();
            sum.name = name;
            sum.entries += one.entries;
            sum.bytes += one.bytes;
        }
        Ok(found.into_values().collect())
    }

    /// Who made a result, when and of what.
    pub fn trace(&self, key: &Key) -> Result<Option<Trace>, DiskError> {
        self.is_there()?;
        let read = self.read()?;
        Ok(self.values.get(&read, key)?.and_then(trace))
    }

    /// Looks at the results of a function, while it is wanted to go on.
    pub fn each(
        &self,
        function: &[u8],
        mut look: impl FnMut(Trace) -> bool,
    ) -> Result<(), DiskError> {
        self.is_there()?;
        let read = self.read()?;
        for entry in self.values.prefix_iter(&read, function)? {
            let (_, value) = entry?;
            if !trace(value).is_none_or(&mut look) {
                break;
            }
        }
        Ok(())
    }

    /// The other functions of a name, with what they are made of.
    pub fn namesakes(&self, of: &[u8], wanted: &str) -> Result<Vec<(Key, MadeOf)>, DiskError> {
        self.is_there()?;
        let read = self.read()?;
        let mut found = Vec::new();
        for entry in self.functions.iter(&read)? {
            let (function, record) = entry?;
            let made_of = self.traces.made_of.get(&read, function)?;
            let made_of = made_of.and_then(|text| serde_json::from_slice(text).ok());
            if function != of
                && name(record) == wanted
                && let Some(made_of) = made_of
            {
                let mut key = [0; 32];
                key[..16].copy_from_slice(function);
                found.push((key, made_of));
            }
        }
        Ok(found)
    }

    /// When a result went for others, milliseconds since 1970.
    pub fn went(&self, key: &Key) -> Result<Option<u64>, DiskError> {
        self.is_there()?;
        let read = self.read()?;
        let at = self.traces.dropped.get(&read, key)?;
        Ok(at.map(|at| number(at, 0)))
    }

    pub fn entries(&self, function: &[u8]) -> Result<u64, DiskError> {
        self.is_there()?;
        let read = self.read()?;
        let record = self.functions.get(&read, function)?;
        Ok(record.map_or(0, |record| share(record).entries))
    }

    /// Drops the results of the functions of these names, or all.
    pub fn clear(&self, wanted: Option<&[String]>) -> Result<(), DiskError> {
        self.is_there()?;
        let mut write = self.env.write_txn()?;
        if wanted.is_none() {
            self.values.clear(&mut write)?;
            self.functions.clear(&mut write)?;
            self.traces.clear(&mut write)?;
        }
        let mut functions = Vec::new();
        for entry in self.functions.iter(&write)? {
            let (function, record) = entry?;
            if wanted.is_some_and(|wanted| wanted.contains(&name(record))) {
                functions.push(function.to_vec());
            }
        }
        for function in functions {
            self.functions.delete(&mut write, &function)?;
            let (mut from, mut to) = ([0; 32], [0xff; 32]);
            from[..16].copy_from_slice(&function);
            to[..16].copy_from_slice(&function);
            let range = (Bound::Included(&from[..]), Bound::Included(&to[..]));
            self.values.delete_range(&mut write, &range)?;
            self.traces.forget(&mut write, &function, &range)?;
        }
        write.commit()?;
        self.written.store(true, Relaxed);
        Ok(())
    }

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

fn number(bytes: &[u8], at: usize) -> u64 {
    let word = bytes.get(at..at + 8).and_then(|word| word.try_into().ok());
    word.map_or(0, u64::from_le_bytes)
}

fn share(record: &[u8]) -> Share {
    Share {
        entries: number(record, 0),
        bytes: number(record, 8),
    }
}

fn name(record: &[u8]) -> String {
    String::from_utf8_lossy(record.get(16..).unwrap_or_default()).into_owned()
}

fn bytes(key: &Key, found: &Found, origin: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + origin.len() + found.value.len());
    bytes.extend([0; 8]);
    bytes.extend(found.made.to_le_bytes());
    bytes.extend(found.took.to_le_bytes());
    bytes.extend((origin.len() as u32).to_le_bytes());
    bytes.extend(origin);
    bytes.extend(&found.value);
    let sum = checksum(key, &bytes[8..]);
    bytes[..8].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn checksum(key: &[u8], bytes: &[u8]) -> u64 {
    // A value under another key is wrong too.
    xxh3_64(bytes) ^ xxh3_64(key)
}

/// What says by whom and of what a value was made, and the value.
fn parts(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let length = u32::from_le_bytes(head[24..].try_into().ok()?);
    rest.split_at_checked(length as usize)
}

fn found(key: &[u8], bytes: &[u8]) -> Option<Found> {
    let (_, value) = parts(bytes)?;
    (number(bytes, 0) == checksum(key, &bytes[8..])).then(|| Found {
        value: value.to_vec(),
        made: number(bytes, 8),
        took: number(bytes, 16),
    })
}

fn trace(bytes: &[u8]) -> Option<Trace> {
    Some(Trace {
        made: number(bytes, 8),
        took: number(bytes, 16),
        origin: origin(parts(bytes)?.0),
    })
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

fn is_sealed(folder: &Path) -> bool {
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

/// Milliseconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Path) -> Opened {
        // In a process of its own it would be this test's.
        Disk::open(folder, |folder| {
            check(folder).map_err(|error| error.to_string())
        })
        .unwrap()
    }

    fn key(function: u8, n: u32) -> Key {
        let mut key = [function; 32];
        key[16..20].copy_from_slice(&n.to_be_bytes());
        key
    }

    fn result(value: &[u8], made: u64) -> Found {
        Found {
            value: value.to_vec(),
            made,
            took: 5,
        }
    }

    const LIMIT: u64 = 1 << 30;

    fn put(
        disk: &Disk,
        key: Key,
        name: &'static str,
        found: Found,
        limit: u64,
    ) -> Result<(), DiskError> {
        disk.put(&[Put {
            key,
            found,
            name,
            made_of: "",
            origin: Vec::new(),
            limit,
            soon: false,
        }])
    }

    #[test]
    fn results_are_there_for_the_next_one_who_opens() {
        let folder = tempfile::tempdir().unwrap();
        let disk = open(folder.path()).disk;
        let big = vec![7; 100_000];
        put(&disk, key(1, 1), "f", result(b"one", 3), LIMIT).unwrap();
        put(&disk, key(1, 2), "f", result(&big, 4), LIMIT).unwrap();
        put(&disk, key(2, 1), "g", result(b"", 4), LIMIT).unwrap();
        put(&disk, key(1, 1), "f", result(b"anew", 5), LIMIT).unwrap();
        drop(disk);
        let opened = open(folder.path());
        assert_eq!(opened.aside, None);
        let disk = opened.disk;
        assert_eq!(disk.get(&key(1, 1)).unwrap(), Some(result(b"anew", 5)));
        assert_eq!(disk.get(&key(1, 2)).unwrap(), Some(result(&big, 4)));
        assert_eq!(disk.get(&key(2, 2)).unwrap(), None);
        let of = |name: &str, entries, bytes| MemoShare {
            name: name.to_owned(),
            entries,
            bytes,
        };
        let shares = disk.shares().unwrap();
        assert_eq!(shares, [of("f", 2, 2 * 60 + 4 + 100_000), of("g", 1, 60)]);
        disk.clear(Some(&["f".to_owned()])).unwrap();
        assert_eq!(disk.get(&key(1, 1)).unwrap(), None);
        assert_eq!(disk.get(&key(2, 1)).unwrap(), Some(result(b"", 4)));
        disk.clear(None).unwrap();
        assert_eq!(disk.shares().unwrap(), []);
    }

    #[test]
    fn the_oldest_results_go_when_a_function_has_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let disk = open(folder.path()).disk;
        put(&disk, key(2, 0), "other", result(&[0; 100], 0), LIMIT).unwrap();
        let limit = 100 * 160;
        for n in 0..150 {
            let made = u64::from(1000 + n);
            put(&disk, key(1, n), "f", result(&[0; 100], made), limit).unwrap();
            let share = &disk.shares().unwrap()[0];
            assert!(share.bytes <= limit && share.bytes == 160 * share.entries);
        }
        let has = |n| disk.get(&key(1, n)).unwrap().is_some();
        assert!(has(149) && has(100) && !has(0));
        let went = |n| disk.went(&key(1, n)).unwrap().is_some();
        assert!(went(0) && !went(149) && !went(999));
        assert!(disk.get(&key(2, 0)).unwrap().is_some());
        put(&disk, key(1, 999), "f", result(&vec![0; 20_000], 9), limit).unwrap();
        assert!(!has(999) && has(149), "it is more than all may take");
    }

    #[test]
    fn a_file_that_was_cut_replaced_or_deleted_is_noticed_while_it_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        let harms: [&dyn Fn(); 3] = [
            &|| {
                File::options()
                    .write(true)
                    .open(&file)
                    .unwrap()
                    .set_len(5000)
                    .unwrap()
            },
            &|| fs::remove_file(&file).unwrap(),
            &|| {
                fs::copy(&file, folder.path().join("copy")).unwrap();
                fs::rename(folder.path().join("copy"), &file).unwrap();
            },
        ];
        for harm in harms {
            let disk = open(folder.path()).disk;
            for n in 0..100 {
                put(&disk, key(1, n), "f", result(&[1; 500], 1), LIMIT).unwrap();
            }
            harm();
            assert!(matches!(disk.get(&key(1, 1)), Err(DiskError::Changed)));
            let put = put(&disk, key(1, 1), "f", result(b"", 1), LIMIT);
            assert!(matches!(put, Err(DiskError::Changed)));
        }
    }

    #[test]
    fn a_file_that_grows_is_no_other_file() {
        let folder = tempfile::tempdir().unwrap();
        let disk = &open(folder.path()).disk;
        let done = &AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(move || {
                    while !done.load(Relaxed) {
                        disk.get(&key(1, 1)).unwrap();
                    }
                });
            }
            for n in 0..3000 {
                put(disk, key(1, n), "f", result(&[1; 5000], 1), LIMIT).unwrap();
            }
            done.store(true, Relaxed);
        });
    }

    #[test]
    fn a_seal_fits_the_file_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let disk = open(folder.path()).disk;
        put(&disk, key(1, 1), "f", result(b"one", 3), LIMIT).unwrap();
        assert!(!is_sealed(folder.path()));
        disk.seal();
        assert!(is_sealed(folder.path()));
        std::thread::sleep(Duration::from_millis(20));
        put(&disk, key(1, 2), "f", result(b"two", 3), LIMIT).unwrap();
        assert!(!is_sealed(folder.path()));
    }
}
