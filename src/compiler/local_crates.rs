//! The crates that lie in folders of the user's: whether they have changed is told by the files that rustc read.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use super::toolchain;

/// Folders of sources that nobody edits, in cargo's own.
const FETCHED: [&str; 2] = ["registry/src", "git/checkouts"];

fn fetched() -> Vec<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(dirs::home_dir()?.join(".cargo")));
    let folders = FETCHED.iter();
    home.map(|home| folders.map(|folder| home.join(folder)).collect())
        .unwrap_or_default()
}

/// Changes with every source file of such a crate, and with its manifest. `folder` is the session's own.
pub fn stamp(folder: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in sources(folder) {
        let about = fs::metadata(&file).ok();
        let changed = about.as_ref().and_then(|about| about.modified().ok());
        (file, changed, about.map(|about| about.len())).hash(&mut hasher);
    }
    hasher.finish()
}

fn sources(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let own = toolchain::cache_dir();
    let fetched = fetched();
    for target in children(&folder.join("build/target")) {
        for told in children(&target.join("debug/deps")) {
            if told.extension().is_none_or(|end| end != "d") {
                continue;
            }
            let text = fs::read_to_string(&told).unwrap_or_default();
            for file in named(&text) {
                if file.starts_with(&own) || fetched.iter().any(|folder| file.starts_with(folder)) {
                    continue;
                }
                let manifests = file.ancestors().skip(1).map(|at| at.join("Cargo.toml"));
                found.extend(manifests.into_iter().find(|manifest| manifest.exists()));
                found.insert(file);
            }
        }
    }
    found
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// The sources in what rustc says of its dependencies: `made: source source`, with `\\ ` for a blank in a name.
/// Those of a crate of the user's are absolute.
fn named(text: &str) -> impl Iterator<Item = PathBuf> {
    let lines = text.lines().filter_map(|line| line.split_once(": "));
    lines.flat_map(|(_, files)| {
        let files = files.replace("\\ ", "\0");
        let files: Vec<PathBuf> = files
            .split_whitespace()
            .map(|file| PathBuf::from(file.replace('\0', " ")))
            .filter(|file| file.is_absolute())
            .collect();
        files
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_of_the_user_s_is_stamped_by_its_files() {
        let shelf = tempfile::tempdir().unwrap();
        let deps = shelf.path().join("build/target/x86/debug/deps");
        let own = shelf.path().join("my crate");
        fs::create_dir_all(&deps).unwrap();
        fs::create_dir_all(own.join("src")).unwrap();
        fs::write(own.join("Cargo.toml"), "[package]").unwrap();
        fs::write(own.join("src/lib.rs"), "1").unwrap();
        let source = own.join("src/lib.rs");
        let escaped = source.to_string_lossy().replace(' ', "\\ ");
        let registry = fetched().remove(0).join("x/serde-1/src/lib.rs");
        let registry = registry.display();
        fs::write(
            deps.join("own-1.d"),
            format!("/t/own-1.d: {escaped} {registry} src/lib.rs\n\n{escaped}:\n"),
        )
        .unwrap();
        let found: Vec<PathBuf> = sources(shelf.path()).into_iter().collect();
        assert_eq!(found, [own.join("Cargo.toml"), source.clone()]);
        let before = stamp(shelf.path());
        assert_eq!(before, stamp(shelf.path()));
        fs::write(&source, "22").unwrap();
        assert_ne!(before, stamp(shelf.path()));
    }
}
