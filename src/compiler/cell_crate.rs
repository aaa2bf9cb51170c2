//! The crates that cells link to, carried inside this binary: an installed `regatta` needs no checkout. Each of
//! them gives its own files, since a package of one crate has none of another's. They are written to the user's
//! cache directory under a name that contains their content's hash.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};

type Files = &'static [(&'static str, &'static str)];

const CELL: Files = regatta_cell::sources::FILES;
/// The name under which the compute kernels are published.
pub const KERNELS_PACKAGE: &str = "regatta-kernels";
const KERNELS: Files = regatta_kernels::sources::FILES;

/// The versions that this binary was built with: a session's first build then needs nothing from the
/// network that the build of this binary has not fetched already.
pub const LOCK: &str = include_str!("../../Cargo.lock");

/// Where the sources of `regatta-cell` are.
fn cell(cache: &Path) -> io::Result<PathBuf> {
    unpack(cache, "cell", CELL)
}

/// The crates that every cell can name, and what stands behind their names in a manifest.
pub fn own(cache: &Path) -> io::Result<[(&'static str, String); 2]> {
    Ok([
        ("regatta-cell", format!("{{ path = {:?} }}", cell(cache)?)),
        (
            "serde",
            r#"{ version = "1", features = ["derive"] }"#.to_owned(),
        ),
    ])
}

/// The lines that a manifest has for them, and for the kernels.
pub fn lines(cache: &Path) -> io::Result<Vec<String>> {
    let kernels = format!(
        "kernels = {{ package = {KERNELS_PACKAGE:?}, path = {:?} }}",
        kernels(cache)?
    );
    let own = own(cache)?.into_iter();
    let own = own.map(|(name, config)| format!("{name} = {config}"));
    Ok(own.chain([kernels]).collect())
}

/// Where the sources of `regatta-kernels` are.
pub fn kernels(cache: &Path) -> io::Result<PathBuf> {
    unpack(cache, "compute", KERNELS)
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

fn unpack(cache: &Path, name: &str, files: Files) -> io::Result<PathBuf> {
    let folder = cache
        .join("crates")
        .join(format!("{:016x}", hash(files)))
        .join(name);
    if folder.exists() {
        return Ok(folder);
    }
    // Written beside and moved into place, so that two sessions at once do not see half of it.
    let parent = folder.parent().unwrap_or(cache);
    fs::create_dir_all(parent)?;
    let beside = tempfile::tempdir_in(parent)?;
    for (file, text) in files {
        let path = beside.path().join(file);
        fs::create_dir_all(path.parent().unwrap_or(cache))?;
        fs::write(path, text)?;
    }
    match fs::rename(beside.path(), &folder) {
        // The other session was first.
        Err(_) if folder.exists() => Ok(folder),
        Err(error) => Err(error),
        Ok(()) => {
            let _ = beside.keep();
            Ok(folder)
        }
    }
}
