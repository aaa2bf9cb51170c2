//! What cargo did when it built a cell: how it ran rustc, and the files that it went by. It stands in the target
//! folder, beside the built crates that it is about.

use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::local_crates;
use super::super::wrapper::{self, CELL_CRATE, Rustc};
use super::Tool;
use super::messages;
use super::surroundings::stamp;
use super::units::without_cache;

/// In the target folder: what each build was.
pub(super) const RECORDS: &str = "regatta-builds";

/// How rustc was run for the cells' crate, as its wrapper saw it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
}

/// A file that a build went by.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamped {
    file: PathBuf,
    /// When it was written, in nanoseconds since 1970, and its length; `None` for one that is not there.
    stamp: Option<(u128, u64)>,
}

impl Stamped {
    pub fn new(file: PathBuf) -> Self {
        let stamp = stamp(&file);
        Self { file, stamp }
    }

    pub fn is_same(&self) -> bool {
        stamp(&self.file) == self.stamp
    }
}

/// A build that cargo has done.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub run: Run,
    /// Of the lock file before.
    lock_before: u64,
    lock: String,
    /// The built crates, and the sources of those that the user may be editing.
    files: Vec<Stamped>,
    /// Cargo's message about the result.
    pub artifact: Value,
}

/// Whether the build in this folder is recorded, as it is now.
pub fn is_recorded(folder: &Path) -> bool {
    fs::read_dir(folder.join("target").join(RECORDS))
        .is_ok_and(|mut records| records.next().is_some())
}

impl Record {
    /// The record at `place`, when all that the build went by is as it was. The lock file becomes what it was after
    /// that build.
    pub fn read(place: &Path, lock: &Path) -> Option<Self> {
        let record: Self = serde_json::from_slice(&fs::read(place).ok()?).ok()?;
        if !record.files.iter().all(Stamped::is_same) {
            return None;
        }
        let there = fs::read_to_string(lock).ok()?;
        if there != record.lock {
            if number(&there) != record.lock_before {
                return None;
            }
            // Cargo leaves only what the build needs.
            fs::write(lock, &record.lock).ok()?;
        }
        Some(record)
    }

    /// What cargo did since `since`, in the session's folder: how it ran rustc, and what it said. `None` when it is
    /// not known what it went by.
    pub fn of(
        run: Run,
        said: &str,
        session: &Path,
        since: SystemTime,
        lock: (u64, String),
    ) -> Option<Self> {
        let artifact = messages::artifact(said, CELL_CRATE)?;
        let edited = local_crates::of_finished_builds(session)?;
        let crates = run.arguments.windows(2).filter(|two| two[0] == "--extern");
        let crates = crates.filter_map(|two| two[1].split_once('='));
        let crates = crates.map(|(_, file)| PathBuf::from(file));
        let files: Vec<Stamped> = crates
            .chain(edited.iter().cloned())
            .map(Stamped::new)
            .collect();
        // One that was written meanwhile may have been read before.
        let since = since.duration_since(SystemTime::UNIX_EPOCH);
        let since = since.unwrap_or_default().as_nanos();
        let meanwhile = |one: &Stamped| one.stamp.is_some_and(|(written, _)| written >= since);
        let mut of_user = files.iter().filter(|one| edited.contains(&one.file));
        if of_user.any(meanwhile) {
            return None;
        }
        Some(Self {
            run,
            lock_before: lock.0,
            lock: lock.1,
            files,
            artifact,
        })
    }

    pub fn keep(&self, place: &Path) -> io::Result<()> {
        let folder = place.parent().unwrap_or(place);
        fs::create_dir_all(folder)?;
        let mut beside = tempfile::NamedTempFile::new_in(folder)?;
        beside.write_all(&serde_json::to_vec(self)?)?;
        beside.persist(place)?;
        Ok(())
    }
}

impl Run {
    pub fn rustc(&self) -> Rustc {
        let recorded = self
            .environment
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        let own = Tool::Rustc.environment().into_iter();
        Rustc {
            path: Tool::Rustc.real().get_program().to_owned(),
            environment: own
                .map(|(name, value)| (name.into(), value))
                .chain(recorded)
                .collect(),
        }
    }

    /// The arguments without colours, which cargo asks for to take them out again.
    pub fn uncoloured(&self) -> Vec<OsString> {
        let uncoloured =
            |argument: &String| argument.replace("diagnostic-rendered-ansi,", "").into();
        self.arguments.iter().map(uncoloured).collect()
    }
}

/// The arguments with which rustc only checks; what it writes goes to `beside`.
pub(super) fn checking(arguments: &[OsString], beside: &Path) -> Vec<OsString> {
    let mut checking: Vec<OsString> = Vec::new();
    for argument in without_cache(arguments) {
        if argument.to_string_lossy().starts_with("--emit=") {
            checking.push("--emit=metadata".into());
        } else if checking.last().is_some_and(|last| last == "--out-dir") {
            checking.push(beside.into());
        } else {
            checking.push(argument);
        }
    }
    checking
}

/// Where rustc writes the shared object.
pub(super) fn made_in(arguments: &[OsString]) -> Option<PathBuf> {
    let folder = arguments.windows(2).find(|two| two[0] == "--out-dir")?;
    Some(Path::new(&folder[1]).join(wrapper::SHARED_OBJECT))
}

pub(super) fn number(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_holds_while_everything_is_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("Cargo.lock"), "all").unwrap();
        fs::write(at("libserde.rlib"), "1").unwrap();
        let record = Record {
            run: Run {
                arguments: Vec::new(),
                environment: Vec::new(),
            },
            lock_before: number("all"),
            lock: "needed".to_owned(),
            files: vec![
                Stamped::new(at("libserde.rlib")),
                Stamped::new(at("build.rs")),
            ],
            artifact: Value::Null,
        };
        let place = at("records/1");
        record.keep(&place).unwrap();
        let read = || Record::read(&place, &at("Cargo.lock"));
        assert_eq!(read(), Some(record));
        assert_eq!(fs::read_to_string(at("Cargo.lock")).unwrap(), "needed");
        assert!(read().is_some());

        fs::write(at("Cargo.lock"), "another").unwrap();
        assert_eq!(read(), None);
        fs::write(at("Cargo.lock"), "needed").unwrap();
        assert!(read().is_some());
        fs::write(at("build.rs"), "it was not there").unwrap();
        assert_eq!(read(), None);
        fs::remove_file(at("build.rs")).unwrap();
        fs::write(at("libserde.rlib"), "22").unwrap();
        assert_eq!(read(), None);
    }

    #[test]
    fn a_check_links_nothing_and_writes_beside() {
        let words = |text: &str| -> Vec<OsString> { text.split(' ').map(Into::into).collect() };
        let built =
            "--crate-name ctx --emit=dep-info,link --out-dir /deps -C incremental=/i -C rpath";
        assert_eq!(
            checking(&words(built), Path::new("/beside")),
            words("--crate-name ctx --emit=metadata --out-dir /beside -C rpath")
        );
    }
}
