//! The Rust toolchain, resolved once: calls through rustup's proxies cost tens of milliseconds each, and
//! evcxr makes some twenty of them.
//!
//! The session keeps the user's own environment; that of its compiler's process names this toolchain.

use std::ffi::OsString;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use xxhash_rust::xxh3::Xxh3;

use super::{carried, relay, rust_src, std_sources, template, tools};
use crate::ids::ToolchainStamp;

pub const SYSROOT_VARIABLE: &str = "REGATTA_SYSROOT";

/// Where temporary files went before they got a folder of the compiler's own.
pub const TMPDIR_VARIABLE: &str = "REGATTA_TMPDIR";

/// The PATH as the user has it.
pub const PATH_VARIABLE: &str = "REGATTA_PATH";

/// `CARGO_HOME` as the user has it, when it is set.
pub const CARGO_HOME_VARIABLE: &str = "REGATTA_CARGO_HOME";

/// The folder for temporary files as the user has it: that of sessions' folders, and of files that outlive them.
pub fn users_temp_dir() -> PathBuf {
    std::env::var_os(TMPDIR_VARIABLE).map_or_else(std::env::temp_dir, PathBuf::from)
}

/// A variable of the environment as the user has it. A compiler's process, and whatever it starts, has it under the
/// other name.
fn users(name: &str, kept: &str) -> Option<OsString> {
    let in_compiler = std::env::var_os(relay::FOLDER_VARIABLE).is_some();
    std::env::var_os(if in_compiler { kept } else { name })
}

fn users_path() -> Option<OsString> {
    users("PATH", PATH_VARIABLE)
}

/// The PATH as the user has it, behind other folders.
pub fn users_path_after(folders: &[&Path]) -> OsString {
    path_with(folders, users_path())
}

/// `CARGO_HOME` as the user has it.
pub fn users_cargo_home() -> Option<OsString> {
    users("CARGO_HOME", CARGO_HOME_VARIABLE)
}

/// Where cargo keeps what it fetched, and the user's configuration of it.
pub fn cargo_home() -> Option<PathBuf> {
    let set = users_cargo_home().map(PathBuf::from);
    set.or_else(|| Some(dirs::home_dir()?.join(".cargo")))
}

/// Which toolchain is in this folder: what is built or kept for one is no good for another.
pub fn stamp(sysroot: &Path) -> ToolchainStamp {
    let mut hasher = Xxh3::new();
    sysroot.hash(&mut hasher);
    for program in ["bin/rustc", "bin/cargo"] {
        tools::stamp(&sysroot.join(program)).hash(&mut hasher);
    }
    ToolchainStamp(hasher.finish())
}

#[derive(Debug, thiserror::Error)]
pub enum ToolchainError {
    #[error("rustc cannot be run: {0}; regatta compiles each cell, so it needs a Rust toolchain")]
    NoRustc(io::Error),
    #[error("rustc does not run here: {0}")]
    NoSysroot(String),
    #[error("the working folder does not exist any more: `cd` to another one and start again")]
    NoWorkingFolder,
    #[error(
        "cannot make a folder for temporary files in {shelf}: {0}; \
         `TMPDIR=FOLDER regatta` takes another one",
        shelf = users_temp_dir().display()
    )]
    Folder(io::Error),
    #[error("cannot execute this program again: {0}")]
    Exec(io::Error),
}

/// Where a session finds its tools.
#[derive(Clone, Debug)]
pub struct Toolchain {
    pub sysroot: PathBuf,
    /// Why the standard library's sources are missing, and what to do: types can't be inferred then.
    pub no_sources: Option<String>,
}

impl Toolchain {
    /// The toolchain that this process's environment and folder mean. `say` tells the user of what takes its time.
    pub fn find(say: impl Fn(&str)) -> Result<Self, ToolchainError> {
        if std::env::current_dir().is_err() {
            return Err(ToolchainError::NoWorkingFolder);
        }
        // Where cells can't be built, nothing need be started.
        tempfile::tempfile().map_err(ToolchainError::Folder)?;
        let sysroot = tools::sysroot(find_sysroot)?;
        let no_sources = rust_src::obtain(&sysroot, &say).err();
        if !template::is_there(&sysroot) && !carried::fits(&sysroot) {
            say(
                "the first start with this toolchain builds the crates that cells link to, in some 20 s; later ones \
                 find them built",
            );
        }
        Ok(Self {
            sysroot,
            no_sources,
        })
    }

    /// What rustc says of itself, `rustc -vV`: the version on the first line, then `host: …` and others.
    pub fn description(&self) -> io::Result<String> {
        self.asked(&["--version", "--verbose"])
            .map(|(text, _)| text)
    }

    /// rustc's explanation of an error code, as Markdown; `None` for a code that it does not explain.
    pub fn explain(&self, code: &str) -> io::Result<Option<String>> {
        let (text, ok) = self.asked(&["--explain", code])?;
        Ok(Some(text).filter(|text| ok && !text.trim().is_empty()))
    }

    /// What rustc prints, and whether it succeeds.
    fn asked(&self, arguments: &[&str]) -> io::Result<(String, bool)> {
        let output = Command::new(self.sysroot.join("bin/rustc"))
            .args(arguments)
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok((text, output.status.success()))
    }

    /// Where rust-analyzer reads the standard library.
    pub fn std_sources(&self) -> Option<PathBuf> {
        let found = self.no_sources.is_none();
        found.then(|| std_sources::place(&self.sysroot))
    }

    /// `rustc 1.95.0`.
    pub fn version(&self) -> String {
        let output = Command::new(self.sysroot.join("bin/rustc"))
            .arg("--version")
            .output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let text = text.unwrap_or_default();
        text.split_whitespace()
            .take(2)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// The user's cache directory for this program.
pub fn cache_dir() -> PathBuf {
    let usual = dirs::cache_dir().map(|folder| folder.join("regatta"));
    let writable = |folder: &PathBuf| {
        fs::create_dir_all(folder).is_ok()
            && nix::unistd::access(folder, nix::unistd::AccessFlags::W_OK).is_ok()
    };
    // A home that is full, read-only or missing costs speed, not the session.
    usual.filter(writable).unwrap_or_else(|| {
        let name = |n: u32| format!("regatta-cache-{}-{n}", rustix::process::getuid().as_raw());
        let folders = (0..100).map(|n| users_temp_dir().join(name(n)));
        let mut folders = folders.skip_while(|folder| !is_private(folder));
        folders
            .next()
            .unwrap_or_else(|| users_temp_dir().join(name(0)))
    })
}

/// Removes all but the newest files and folders of a shelf in the cache.
pub fn keep_newest(shelf: &Path, count: usize) -> io::Result<()> {
    let mut there: Vec<_> = fs::read_dir(shelf)?
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    there.sort();
    for (_, path) in there.iter().rev().skip(count) {
        if path.is_dir() {
            fs::remove_dir_all(path)?;
        } else {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Makes a folder where others may make folders too; whether it is this user's alone. What is in it becomes
/// part of every cell.
fn is_private(folder: &Path) -> bool {
    is_closed(folder, 0o022)
}

/// Makes a folder; whether it is this user's, and closed to others in the ways of these bits of its mode.
pub fn is_closed(folder: &Path, to: u32) -> bool {
    // One that is there already is looked at like a new one.
    let _ = fs::DirBuilder::new().mode(0o700).create(folder);
    fs::symlink_metadata(folder).is_ok_and(|about| {
        let own = about.uid() == rustix::process::getuid().as_raw();
        about.is_dir() && own && about.mode() & to == 0
    })
}

fn find_sysroot() -> Result<PathBuf, ToolchainError> {
    let output = Command::new("rustc")
        .args(["--print", "sysroot"])
        .output()
        .map_err(ToolchainError::NoRustc)?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || text.trim().is_empty() {
        let why = String::from_utf8_lossy(&output.stderr);
        let why: Vec<&str> = why.lines().take(2).collect();
        let why = why.join("; ");
        return Err(ToolchainError::NoSysroot(why));
    }
    Ok(PathBuf::from(text.trim()))
}

pub fn path_with(first: &[&Path], path: Option<OsString>) -> OsString {
    let path = path.unwrap_or_default();
    let first = first.iter().map(|&folder| folder.to_owned());
    let folders = first.chain(std::env::split_paths(&path));
    // A folder with a colon in its name can't be in a PATH; the old value still works.
    std::env::join_paths(folders).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_folder_that_others_can_write_to_or_have_linked_is_not_private() {
        let shelf = tempfile::tempdir().expect("a folder");
        let at = |name: &str| shelf.path().join(name);
        assert!(is_private(&at("new")));
        assert!(is_private(&at("new")), "the second session finds it");
        fs::create_dir(at("open")).expect("a folder");
        fs::set_permissions(at("open"), fs::Permissions::from_mode(0o777)).expect("its mode");
        assert!(!is_private(&at("open")));
        std::os::unix::fs::symlink(at("new"), at("link")).expect("a link");
        assert!(!is_private(&at("link")));
    }
}
