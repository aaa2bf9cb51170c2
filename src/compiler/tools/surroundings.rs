//! Everything around a question that its answer depends on, as one number that is the same in every session: the
//! session's own folder counts by what is in it, not by its name.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::super::{cell_crate, relay, toolchain, wrapper};

/// Stands for the session's folder, in what is kept from one session to the next.
pub const HERE: &str = "\u{1}here\u{1}";

/// Raised whenever what is kept means something else.
const FORMAT: u32 = 1;

/// Variables by which cargo, rustc or a build script go, by how their names begin.
const RELEVANT: [&str; 12] = [
    "CARGO",
    "__CARGO",
    "RUST",
    "CC",
    "CXX",
    "CFLAGS",
    "AR",
    "LD_",
    "LDFLAGS",
    "LIBRARY_PATH",
    "PKG_CONFIG",
    "SOURCE_DATE_EPOCH",
];

/// Relevant by their names alone, or told to the real tools in another way.
const IRRELEVANT: [&str; 9] = [
    "RUST_BACKTRACE",
    "RUST_LOG",
    "RUST_SRC_PATH",
    "RUSTC",
    "RUSTC_WRAPPER",
    "CARGO_HOME",
    // Who has started the session, which a compiler is not told.
    "CARGO",
    // A copy of the lock file that lies beside the manifest, in a folder of a random name.
    "CARGO_RESOLVER_LOCKFILE_PATH",
    "CARGO_MAKEFLAGS",
];

/// In a configuration file: what brings in other files.
const ELSEWHERE: [&str; 3] = ["patch", "paths", "include"];

/// Collects what a question depends on.
pub struct Surroundings {
    hasher: DefaultHasher,
    /// Of the session.
    folder: PathBuf,
}

impl Surroundings {
    /// The toolchain that a compiler's process has been given, and the environment in which its programs run.
    pub fn new() -> Self {
        let sysroot = std::env::var_os(toolchain::SYSROOT_VARIABLE).unwrap_or_default();
        Self::of(Path::new(&sysroot))
    }

    /// The same of a toolchain that is known to the session.
    pub fn of(sysroot: &Path) -> Self {
        let folder = std::env::var_os(relay::FOLDER_VARIABLE).unwrap_or_default();
        let mut new = Self {
            hasher: DefaultHasher::new(),
            folder: folder.into(),
        };
        (FORMAT, env!("CARGO_PKG_VERSION"), cell_crate::version()).hash(&mut new.hasher);
        toolchain::stamp(sysroot).hash(&mut new.hasher);
        toolchain::cargo_home().hash(&mut new.hasher);
        let mut variables: Vec<_> = std::env::vars_os()
            .filter(|(name, _)| relevant(name))
            .collect();
        variables.sort();
        for (name, value) in variables {
            new.word(&name);
            new.word(&value);
        }
        new
    }

    /// One word of a command line.
    pub fn word(&mut self, word: &OsStr) {
        let here = word.as_bytes();
        match std::str::from_utf8(here) {
            Ok(text) => self.text(text),
            Err(_) => here.hash(&mut self.hasher),
        }
    }

    /// A text in which the session's folder may be named.
    pub fn text(&mut self, text: &str) {
        kept(text, &self.folder).hash(&mut self.hasher);
    }

    /// cargo's configuration for a project; false when it leads to files that nobody looks at here.
    pub fn configuration(&mut self, project: &Path) -> bool {
        let folders = project.ancestors().map(|folder| folder.join(".cargo"));
        let mut known = true;
        for folder in folders.chain(toolchain::cargo_home()) {
            for name in ["config", "config.toml"] {
                let Ok(text) = fs::read_to_string(folder.join(name)) else {
                    continue;
                };
                known &= !ELSEWHERE.iter().any(|word| text.contains(word));
                // Whether there is a network changes no answer that was given.
                let text = text.replace("offline = false", "offline = true");
                (name, text).hash(&mut self.hasher);
            }
        }
        known
    }

    /// The manifests of the folders above a project: one of them may make a workspace of it.
    pub fn manifests_above(&mut self, project: &Path) {
        for folder in project.ancestors().skip(1) {
            if let Ok(text) = fs::read_to_string(folder.join("Cargo.toml")) {
                text.hash(&mut self.hasher);
            }
        }
    }

    pub fn number(&self) -> u64 {
        self.hasher.finish()
    }

    /// A text as it is kept: without the name of the session's folder.
    pub fn kept(&self, text: &str) -> String {
        kept(text, &self.folder)
    }

    /// A text that was kept, as it is for this session.
    pub fn told(&self, text: &str) -> String {
        text.replace(HERE, &self.folder.to_string_lossy())
    }
}

fn kept(text: &str, folder: &Path) -> String {
    let folder = folder.to_string_lossy();
    if folder.is_empty() {
        return text.to_owned();
    }
    text.replace(&*folder, HERE)
}

fn relevant(name: &OsString) -> bool {
    let name = name.to_string_lossy();
    RELEVANT.iter().any(|start| name.starts_with(start))
        && !IRRELEVANT.contains(&&*name)
        && name != wrapper::CHANGES_VARIABLE
}

/// When a file was written and how long it is.
pub fn stamp(file: &Path) -> Option<(u128, u64)> {
    let about = fs::metadata(file).ok()?;
    let written = about.modified().ok()?;
    let written = written
        .duration_since(std::time::SystemTime::UNIX_EPOCH)
        .ok()?;
    Some((written.as_nanos(), about.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_folder(folder: &str) -> Surroundings {
        Surroundings {
            hasher: DefaultHasher::new(),
            folder: folder.into(),
        }
    }

    #[test]
    fn the_session_s_folder_counts_by_what_is_in_it() {
        let (mut one, mut other, mut third) = (
            in_folder("/tmp/regatta-1"),
            in_folder("/tmp/regatta-2"),
            in_folder("/tmp/regatta-2"),
        );
        one.text("--manifest-path /tmp/regatta-1/build/Cargo.toml");
        other.text("--manifest-path /tmp/regatta-2/build/Cargo.toml");
        third.text("--manifest-path /tmp/regatta-1/build/Cargo.toml");
        assert_eq!(one.number(), other.number());
        assert_ne!(one.number(), third.number());
        let kept = one.kept("made in /tmp/regatta-1/build");
        assert_eq!(other.told(&kept), "made in /tmp/regatta-2/build");
    }

    #[test]
    fn what_a_tool_goes_by_is_relevant() {
        let relevant = |name: &str| relevant(&OsString::from(name));
        assert!(relevant("RUSTFLAGS") && relevant("CARGO_PROFILE_DEV_OPT_LEVEL") && relevant("CC"));
        assert!(!relevant("HOME") && !relevant("RUST_BACKTRACE") && !relevant("CARGO_HOME"));
        assert!(!relevant("CARGO"));
        assert!(!relevant(wrapper::CHANGES_VARIABLE));
    }

    #[test]
    fn a_configuration_that_brings_in_other_files_is_not_known() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join(".cargo");
        fs::create_dir(&config).unwrap();
        let number = |text: &str| {
            fs::write(config.join("config.toml"), text).unwrap();
            let mut surroundings = in_folder("");
            let known = surroundings.configuration(folder.path());
            (known, surroundings.number())
        };
        let (known, online) = number("[net]\noffline = false\n");
        assert!(known);
        assert_eq!(number("[net]\noffline = true\n"), (true, online));
        assert_ne!(number("[build]\njobs = 1\n"), (true, online));
        assert!(!number("[patch.crates-io]\nserde = { path = \"x\" }\n").0);
    }
}
