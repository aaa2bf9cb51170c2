//! The built crates that every session starts with, kept in the user's cache: a session copies them instead
//! of building them.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{cell_crate, toolchain, tools};

/// What a build leaves that belongs to one session alone: the cells' own crate.
const OWN: &str = "ctx-";

/// Settings that all of a session's builds share. The second optimisation, across the units of a cell, took
/// a third of its compile time.
pub const PROFILE: [(&str, &str); 1] = [("CARGO_PROFILE_DEV_LTO", "off")];

/// Templates kept, of different versions of this program or of the toolchain.
const KEPT: usize = 4;

/// Where the template for this toolchain and these crates is; the toolchain is among the surroundings.
fn place(sysroot: &Path) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    let crates = (cell_crate::LOCK, cell_crate::version());
    let mut around = tools::Surroundings::of(sysroot);
    around.configuration(&toolchain::users_temp_dir());
    let around = around.number();
    (crates, PROFILE, around).hash(&mut hasher);
    toolchain::cache_dir()
        .join("built")
        .join(format!("{:016x}", hasher.finish()))
}

/// In a template: the path of the folder that it was built in.
const ORIGIN: &str = "origin";

/// Whether sessions find their crates built.
pub fn is_there(sysroot: &Path) -> bool {
    place(sysroot).join(ORIGIN).exists()
}

/// Puts the template into a session's build folder; false when there is none that fits.
pub fn lay(sysroot: &Path, build: &Path) -> bool {
    let template = place(sysroot);
    let new = build.as_os_str().as_bytes();
    let Ok(old) = fs::read(template.join(ORIGIN)) else {
        return false;
    };
    if old.len() != new.len() {
        return false;
    }
    let paths = Some((&old[..], new));
    let laid = whole(build, || {
        copy(&template.join("target"), &build.join("target"), paths)
    });
    laid.is_ok()
}

/// Puts crates into a session's build folder, all or none: cargo takes a file that was cut for the one it was.
pub fn whole(build: &Path, lay: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    lay().inspect_err(|_| {
        // Where not even that can be done, cargo's own errors are told.
        let _ = fs::remove_dir_all(build.join("target"));
    })
}

/// Keeps a session's built crates as the template, unless there is one that fits.
pub fn keep(sysroot: &Path, build: &Path) -> io::Result<()> {
    let template = place(sysroot);
    let Some(shelf) = template.parent() else {
        return Ok(());
    };
    fs::create_dir_all(shelf)?;
    // Written beside and moved into place, so that two sessions at once do not see half of it.
    let beside = tempfile::tempdir_in(shelf)?;
    let made = beside.path().join("template");
    copy(&build.join("target"), &made.join("target"), None)?;
    fs::write(made.join(ORIGIN), build.as_os_str().as_bytes())?;
    put(&made, &template)?;
    // A session that is just copying an older one builds instead. One that stays costs room alone.
    let _ = toolchain::keep_newest(shelf, KEPT);
    Ok(())
}

/// Moves a folder to a place where there may be one already, which is never seen missing: it takes the new one's place.
fn put(made: &Path, place: &Path) -> io::Result<()> {
    match fs::rename(made, place) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
        moved => return moved,
    }
    if renameat_with(CWD, made, CWD, place, RenameFlags::EXCHANGE).is_ok() {
        return Ok(());
    }
    // Some file systems cannot: there it is missing for a moment.
    fs::rename(place, made.with_extension("old"))?;
    fs::rename(made, place)
}

/// Copies a folder with its times, by which cargo tells what is fresh. What build scripts made is known to
/// cargo by absolute paths: they are replaced by ones of the same length.
fn copy(from: &Path, to: &Path, paths: Option<(&[u8], &[u8])>) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        let text = name.to_string_lossy();
        let own =
            text.starts_with(OWN) || text.starts_with("libctx") || text.starts_with("libcode_");
        if own || text == "incremental" {
            continue;
        }
        let target = to.join(&name);
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target, paths)?;
            continue;
        }
        match fs::copy(entry.path(), &target) {
            // Cargo and rustc write beside, and move into place.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            copied => copied?,
        };
        if let Some((old, new)) = paths.filter(|_| !is_linked(&target)) {
            let bytes = fs::read(&target)?;
            if let Some(bytes) = replaced(&bytes, old, new) {
                fs::write(&target, bytes)?;
            }
        }
        let modified = entry.metadata()?.modified()?;
        fs::File::options()
            .write(true)
            .open(&target)?
            .set_modified(modified)?;
    }
    Ok(())
}

/// A file's bytes with every `old` replaced; `None` without one, and for what is linked, in which no path matters.
pub fn replaced_in(path: &Path, bytes: &[u8], old: &[u8], new: &[u8]) -> Option<Vec<u8>> {
    (!is_linked(path))
        .then(|| replaced(bytes, old, new))
        .flatten()
}

fn is_linked(path: &Path) -> bool {
    path.extension()
        .is_some_and(|end| ["rlib", "rmeta", "so"].iter().any(|linked| end == *linked))
}

/// The bytes with every `old` replaced; `None` without one.
fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Option<Vec<u8>> {
    let mut places = memmem(bytes, old).peekable();
    places.peek()?;
    let mut out = bytes.to_vec();
    for at in places {
        out[at..at + new.len()].copy_from_slice(new);
    }
    Some(out)
}

fn memmem<'a>(bytes: &'a [u8], part: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let ends = bytes
        .len()
        .checked_sub(part.len())
        .map_or(0, |last| last + 1);
    (0..ends).filter(move |&at| bytes[at] == part[0] && bytes[at..].starts_with(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_names_its_own_folder_and_keeps_its_times() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("deep")).unwrap();
        let file = from.join("deep/dep-lib");
        fs::write(&file, b"\x05/a/b1/out /a/b1").unwrap();
        let before = fs::metadata(&file).unwrap().modified().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        copy(&from, &to, Some((b"/a/b1", b"/a/b2"))).unwrap();
        assert_eq!(
            fs::read(to.join("deep/dep-lib")).unwrap(),
            b"\x05/a/b2/out /a/b2"
        );
        let after = fs::metadata(to.join("deep/dep-lib"))
            .unwrap()
            .modified()
            .unwrap();
        assert_eq!(after, before);
    }

    #[test]
    fn what_vanishes_while_a_folder_is_copied_is_not_missed() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir(&from).unwrap();
        fs::write(from.join("lib"), "built").unwrap();
        // It is listed, and can't be read.
        std::os::unix::fs::symlink("gone", from.join("rustc_info.tmp")).unwrap();
        copy(&from, &to, None).unwrap();
        let there = fs::read_dir(&to)
            .unwrap()
            .map(|one| one.unwrap().file_name());
        assert_eq!(there.collect::<Vec<_>>(), ["lib"]);
    }

    #[test]
    fn a_folder_takes_the_place_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for made in ["one", "two"] {
            fs::create_dir(at(made)).unwrap();
            fs::write(at(made).join("says"), made).unwrap();
            put(&at(made), &at("place")).unwrap();
            assert_eq!(fs::read(at("place/says")).unwrap(), made.as_bytes());
        }
        assert_eq!(
            fs::read(at("two/says")).unwrap(),
            b"one",
            "it goes with where it is now"
        );
    }

    #[test]
    fn nothing_is_left_of_a_copy_that_failed() {
        let folder = tempfile::tempdir().unwrap();
        let (from, build) = (folder.path().join("from"), folder.path().join("build"));
        fs::create_dir_all(&from).unwrap();
        for file in ["a", "b"] {
            fs::write(from.join(file), file).unwrap();
        }
        // Nothing can be written there.
        fs::create_dir_all(build.join("target/b")).unwrap();
        let lay = || copy(&from, &build.join("target"), None);
        assert!(whole(&build, lay).is_err());
        assert!(!build.join("target").exists());
        whole(&build, lay).unwrap();
        assert!(build.join("target/a").exists());
    }
}
