//! Kept results on disk: one LMDB file in the user's cache folder for all processes of all sessions. A process that
//! is killed leaves the file as it was before its write. Every value has a checksum, and whoever opens the file while
//! nobody else has it open has it read through by a process of its own first: LMDB trusts its pages, and a file that
//! was cut or overwritten ends whoever reads it. A bad file is set aside, and a new one begun.

mod entry;
mod sound;

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use heed::types::Bytes;
use heed::{Database, Env, EnvFlags, EnvOpenOptions, MdbError, RoTxn, RwTxn, WithoutTls};
use nix::errno::Errno;

use super::traces::{Trace, Traces};
use crate::outcome::MadeOf;
use crate::wire::MemoShare;
pub use entry::{Found, Key};
use entry::{HEAD, bytes, found, name, number, share, trace};
use sound::is_sealed;
pub use sound::{ROLE, check, checked, set_aside};

const FILE: &str = "data.mdb";
/// Held shared by every process that has the file open.
const GUARD: &str = "guard";

/// How far the file may grow; only what is used takes room.
const MAP: usize = 64 << 30;
/// Processes and threads that may read at once.
const READERS: u32 = 1024;
/// A file with less than LMDB's two first pages is none.
const LEAST: u64 = 8192;

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
        self.is_there()?;
        Ok(match self.env.read_txn() {
            // Readers that were killed hold their places.
            Err(heed::Error::Mdb(MdbError::ReadersFull)) => {
                self.env.clear_stale_readers()?;
                self.env.read_txn()?
            }
            read => read?,
        })
    }

    fn write(&self) -> Result<RwTxn<'_>, DiskError> {
        self.is_there()?;
        Ok(self.env.write_txn()?)
    }

    pub fn get(&self, key: &Key) -> Result<Option<Found>, DiskError> {
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
        let mut write = self.write()?;
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
        let read = self.read()?;
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
        let read = self.read()?;
        Ok(self.values.get(&read, key)?.and_then(trace))
    }

    /// Looks at the results of a function, while it is wanted to go on.
    pub fn each(
        &self,
        function: &[u8],
        mut look: impl FnMut(Trace) -> bool,
    ) -> Result<(), DiskError> {
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
        let read = self.read()?;
        let mut found = Vec::new();
        for entry in self.functions.iter(&read)? {
            let (function, record) = entry?;
            if function == of || name(record) != wanted {
                continue;
            }
            let made_of = self.traces.made_of.get(&read, function)?;
            if let Some(made_of) = made_of.and_then(|text| serde_json::from_slice(text).ok()) {
                let mut key = [0; 32];
                key[..16].copy_from_slice(function);
                found.push((key, made_of));
            }
        }
        Ok(found)
    }

    /// When a result went for others, milliseconds since 1970.
    pub fn went(&self, key: &Key) -> Result<Option<u64>, DiskError> {
        let read = self.read()?;
        let at = self.traces.dropped.get(&read, key)?;
        Ok(at.map(|at| number(at, 0)))
    }

    pub fn entries(&self, function: &[u8]) -> Result<u64, DiskError> {
        let read = self.read()?;
        let record = self.functions.get(&read, function)?;
        Ok(record.map_or(0, |record| share(record).entries))
    }

    /// Drops the results of the functions of these names, or all.
    pub fn clear(&self, wanted: Option<&[String]>) -> Result<(), DiskError> {
        let mut write = self.write()?;
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
}

#[cfg(test)]
mod tests;
