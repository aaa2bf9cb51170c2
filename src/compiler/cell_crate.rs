//! The crates that cells link to, carried inside this binary: an installed `regatta` needs no checkout. Each of
//! them gives its own files, since a package of one crate has none of another's.
//!
//! The cell crate is written into each session's build folder: cargo knows a crate in there by its path below the
//! folder, so that one build of it serves all sessions. The kernels are written to the user's cache directory, under
//! a name that contains their content's hash.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

type Files = &'static [(&'static str, &'static str)];

const CELL: Files = regatta_cell::sources::FILES;
/// The name under which the compute kernels are published.
pub const KERNELS_PACKAGE: &str = "regatta-kernels";
const KERNELS: Files = regatta_kernels::sources::FILES;

/// The versions that this binary was built with: a session's first build then needs nothing from the
/// network that the build of this binary has not fetched already.
pub const LOCK: &str = include_str!("../../Cargo.lock");

/// The cell crate's folder, in a session's build folder.
pub const FOLDER: &str = "regatta-cell";

/// When its files were written, in seconds since 1970: before each build of them.
const WRITTEN: u64 = 1_000_000_000;

/// Where the sources of `regatta-cell` are.
fn cell(build: &Path) -> io::Result<PathBuf> {
    unpack(build.join(FOLDER), CELL)
}

/// The crates that every cell can name, and what stands behind their names in the manifest of a session's `build`
/// folder.
pub fn own(build: &Path) -> io::Result<[(&'static str, String); 2]> {
    Ok([
        ("regatta-cell", format!("{{ path = {:?} }}", cell(build)?)),
        (
            "serde",
            r#"{ version = "1", features = ["derive"] }"#.to_owned(),
        ),
    ])
}

/// The lines that a manifest has for them, and for the kernels.
pub fn lines(cache: &Path, build: &Path) -> io::Result<Vec<String>> {
    let kernels = format!(
        "kernels = {{ package = {KERNELS_PACKAGE:?}, path = {:?} }}",
        kernels(cache)?
    );
    let own = own(build)?.into_iter();
    let own = own.map(|(name, config)| format!("{name} = {config}"));
    Ok(own.chain([kernels]).collect())
}

/// Where the sources of `regatta-kernels` are.
pub fn kernels(cache: &Path) -> io::Result<PathBuf> {
    let name = format!("{:016x}", hash(KERNELS));
    unpack(cache.join("crates").join(name).join("compute"), KERNELS)
}

/// Changes with the cell crate's sources.
pub fn version() -> u64 {
    hash(CELL)
}

fn hash(files: Files) -> u64 {
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    hasher.finish()
}

fn unpack(folder: PathBuf, files: Files) -> io::Result<PathBuf> {
    if folder.exists() {
        return Ok(folder);
    }
    // Written beside and moved into place, so that two at once do not see half of it.
    let parent = folder.parent().unwrap_or(&folder);
    fs::create_dir_all(parent)?;
    let beside = tempfile::tempdir_in(parent)?;
    for (file, text) in files {
        let path = beside.path().join(file);
        fs::create_dir_all(path.parent().unwrap_or(parent))?;
        fs::write(&path, text)?;
        let file = fs::File::options().write(true).open(&path)?;
        file.set_modified(UNIX_EPOCH + Duration::from_secs(WRITTEN))?;
    }
    match fs::rename(beside.path(), &folder) {
        // The other one was first.
        Err(_) if folder.exists() => Ok(folder),
        Err(error) => Err(error),
        Ok(()) => {
            let _ = beside.keep();
            Ok(folder)
        }
    }
}
