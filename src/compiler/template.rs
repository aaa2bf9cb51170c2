//! The built crates that every session starts with, kept in the user's cache: a session copies them instead
//! of building them.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};

use super::{cell_crate, toolchain};

/// What a build leaves that belongs to one session alone: the cells' own crate.
const OWN: &str = "ctx-";

/// Where the template for this toolchain and these crates is.
fn place(sysroot: &Path) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    let changed = fs::metadata(sysroot.join("bin/rustc"))
        .and_then(|rustc| rustc.modified())
        .ok();
    (sysroot, changed, cell_crate::LOCK, cell_crate::version()).hash(&mut hasher);
    toolchain::cache_dir()
        .join("built")
        .join(format!("{:016x}", hasher.finish()))
}

/// Puts the template into a session's build folder; false when there is none yet.
pub fn lay(sysroot: &Path, build: &Path) -> bool {
    let template = place(sysroot);
    template.exists() && copy(&template, &build.join("target")).is_ok()
}

/// Keeps a session's built crates as the template, unless there is one.
pub fn keep(sysroot: &Path, build: &Path) -> io::Result<()> {
    let template = place(sysroot);
    let Some(shelf) = template.parent().filter(|_| !template.exists()) else {
        return Ok(());
    };
    fs::create_dir_all(shelf)?;
    // Written beside and moved into place, so that two sessions at once do not see half of it.
    let beside = tempfile::tempdir_in(shelf)?;
    copy(&build.join("target"), &beside.path().join("target"))?;
    match fs::rename(beside.path().join("target"), &template) {
        Err(error) if !template.exists() => Err(error),
        _ => Ok(()),
    }
}

/// Copies a folder with its times, by which cargo tells what is fresh.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        let text = name.to_string_lossy();
        if text.starts_with(OWN)
            || text.starts_with("libctx")
            || text.starts_with("code_")
            || text == "incremental"
        {
            continue;
        }
        let target = to.join(&name);
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
            let modified = entry.metadata()?.modified()?;
            fs::File::options()
                .write(true)
                .open(&target)?
                .set_modified(modified)?;
        }
    }
    Ok(())
}
