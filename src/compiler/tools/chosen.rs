//! Which toolchain the user's `rustc` is: rustup decides it anew at each call, by files that seldom change, and takes
//! tens of milliseconds for it.

use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::answers::{self, Answer};
use super::surroundings::stamp;

/// Files in the working folder or above it that choose a toolchain.
const CHOOSING: [&str; 2] = ["rust-toolchain", "rust-toolchain.toml"];

/// Variables by which rustup goes.
const VARIABLES: [&str; 3] = ["RUSTUP_TOOLCHAIN", "RUSTUP_HOME", "HOME"];

/// The toolchain's folder, as it was found before, or by `find`.
pub fn sysroot<E>(find: impl FnOnce() -> Result<PathBuf, E>) -> Result<PathBuf, E> {
    let Some(number) = surroundings() else {
        return find();
    };
    let shelf = answers::shelf();
    let file = shelf.join(format!("sysroot-{number:016x}"));
    if let Some(known) = answers::read(&file) {
        return Ok(known.stdout.into());
    }
    let sysroot = find()?;
    if let Some(text) = sysroot.to_str() {
        let known = Answer {
            stdout: text.to_owned(),
            stderr: String::new(),
            about: vec![sysroot.join("bin/rustc")],
        };
        // Without room for it, it is found again.
        let _ = answers::keep(&shelf, &file, &known);
    }
    Ok(sysroot)
}

/// What the choice depends on; `None` when it is not rustup's.
fn surroundings() -> Option<u64> {
    let path = std::env::var_os("PATH")?;
    let mut there = std::env::split_paths(&path).map(|folder| folder.join("rustc"));
    let rustc = there.find(|rustc| rustc.is_file())?;
    if !is_rustup(&rustc) {
        return None;
    }
    let here = std::env::current_dir().ok()?;
    let variables = VARIABLES.map(std::env::var_os);
    let home = variables[1].clone().map(PathBuf::from);
    let home = home.or_else(|| Some(dirs::home_dir()?.join(".rustup")));
    Some(number(&rustc, &here, &home?, &variables))
}

/// Whether this `rustc` is rustup under that name.
fn is_rustup(rustc: &Path) -> bool {
    let file = |path: &Path| {
        fs::metadata(path)
            .ok()
            .map(|about| (about.dev(), about.ino()))
    };
    let named = fs::canonicalize(rustc).is_ok_and(|real| real.ends_with("rustup"));
    named
        || file(rustc)
            .is_some_and(|rustc_file| file(&rustc.with_file_name("rustup")) == Some(rustc_file))
}

fn number(rustc: &Path, here: &Path, home: &Path, variables: &[Option<OsString>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    // By rustup's settings, a folder may have a toolchain of its own.
    (rustc, stamp(rustc), here, variables).hash(&mut hasher);
    fs::read(home.join("settings.toml")).ok().hash(&mut hasher);
    for folder in here.ancestors() {
        for name in CHOOSING {
            fs::read(folder.join(name)).ok().hash(&mut hasher);
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rustup_is_known_by_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("rustc"), "").unwrap();
        assert!(!is_rustup(&at("rustc")));
        fs::write(at("rustup"), "").unwrap();
        assert!(!is_rustup(&at("rustc")), "another program");
        fs::remove_file(at("rustc")).unwrap();
        fs::hard_link(at("rustup"), at("rustc")).unwrap();
        assert!(is_rustup(&at("rustc")));
        fs::create_dir(at("bin")).unwrap();
        std::os::unix::fs::symlink(at("rustup"), at("bin/rustc")).unwrap();
        assert!(is_rustup(&at("bin/rustc")));
    }

    #[test]
    fn the_choice_is_another_one_with_every_file_that_chooses() {
        let folder = tempfile::tempdir().unwrap();
        let (here, home) = (folder.path().join("a/b"), folder.path().join("rustup"));
        fs::create_dir_all(&here).unwrap();
        fs::create_dir_all(&home).unwrap();
        let rustc = folder.path().join("rustc");
        let now = |variables: &[Option<OsString>]| number(&rustc, &here, &home, variables);
        let mut seen = vec![now(&[None])];
        assert_eq!(now(&[None]), seen[0]);
        let mut differs = |number: u64| {
            assert!(!seen.contains(&number));
            seen.push(number);
        };
        differs(now(&[Some("nightly".into())]));
        for file in [
            "rustc",
            "a/rust-toolchain.toml",
            "a/b/rust-toolchain",
            "rustup/settings.toml",
        ] {
            fs::write(folder.path().join(file), "nightly").unwrap();
            differs(now(&[None]));
        }
    }
}
