//! The crates that lie in folders of the user's: whether they have changed is told by the files that rustc read.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use super::toolchain;

/// Folders of sources that nobody edits, in cargo's own.
const FETCHED: [&str; 2] = ["registry/src", "git/checkouts"];

fn fetched() -> Vec<PathBuf> {
    let home = toolchain::cargo_home();
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
    for file in told(folder, "deps", |_| true) {
        let manifests = file.ancestors().skip(1).map(|at| at.join("Cargo.toml"));
        found.extend(manifests.into_iter().find(|manifest| manifest.exists()));
        found.insert(file);
    }
    found
}

/// The files in folders of the user's that the builds so far went by, whether they are there or not. `None` when
/// build scripts may have gone by others. `folder` is the session's own.
pub fn of_finished_builds(folder: &Path) -> Option<BTreeSet<PathBuf>> {
    if !told(folder, "build", |_| true).is_empty() || watch_other_files(folder) {
        return None;
    }
    // The cells' own is compiled in any case.
    let sources = told(folder, "deps", |name| name != "ctx.d");
    // One above may make a workspace of it, from which a crate inherits.
    let above = sources.iter().flat_map(|file| file.ancestors().skip(1));
    let manifests: BTreeSet<PathBuf> = above.map(|at| at.join("Cargo.toml")).collect();
    Some(sources.into_iter().chain(manifests).collect())
}

/// The files in folders of the user's that rustc read: for crates (`deps`), or for their build scripts (`build`).
/// What it read stands in files with names of which some are `wanted`.
fn told(folder: &Path, of: &str, wanted: fn(&str) -> bool) -> BTreeSet<PathBuf> {
    let (own, fetched) = (toolchain::cache_dir(), fetched());
    let mut found = BTreeSet::new();
    for told in built(folder, of) {
        let name = told.file_name().and_then(|name| name.to_str());
        if name.is_none_or(|name| !name.ends_with(".d") || !wanted(name)) {
            continue;
        }
        let text = fs::read_to_string(&told).unwrap_or_default();
        found.extend(named(&text).filter(|file| {
            let given = [&own, folder].iter().any(|given| file.starts_with(given));
            !given && !fetched.iter().any(|folder| file.starts_with(folder))
        }));
    }
    found
}

/// Whether a build script has asked cargo to look at files that it did not come with.
fn watch_other_files(folder: &Path) -> bool {
    let fetched = fetched();
    built(folder, "build")
        .iter()
        .filter(|file| file.ends_with("output"))
        .any(|output| {
            let text = fs::read_to_string(output).unwrap_or_default();
            let watched = text
                .lines()
                .filter_map(|line| line.split_once("rerun-if-changed="));
            let mut watched = watched.map(|(_, file)| Path::new(file.trim()));
            watched.any(|file| {
                let given = file.starts_with(folder)
                    || fetched.iter().any(|fetched| file.starts_with(fetched));
                file.is_absolute() && !given
            })
        })
}

/// What cargo has put into such a folder, for this machine and for the target; of the folders in it, their files.
fn built(folder: &Path, of: &str) -> Vec<PathBuf> {
    let target = folder.join("build/target");
    let targets = children(&target)
        .into_iter()
        .map(|target| target.join("debug"));
    let folders = targets
        .chain([target.join("debug")])
        .map(|debug| debug.join(of));
    folders
        .flat_map(|folder| children(&folder))
        .flat_map(|path| {
            if path.is_dir() {
                children(&path)
            } else {
                vec![path]
            }
        })
        .collect()
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
        let session = shelf.path().join("session");
        let deps = session.join("build/target/x86/debug/deps");
        let own = shelf.path().join("my crate");
        fs::create_dir_all(&deps).unwrap();
        fs::create_dir_all(own.join("src")).unwrap();
        fs::write(own.join("Cargo.toml"), "[package]").unwrap();
        fs::write(own.join("src/lib.rs"), "1").unwrap();
        let source = own.join("src/lib.rs");
        let escaped = source.to_string_lossy().replace(' ', "\\ ");
        let host = session.join("build/target/debug/deps");
        fs::create_dir_all(&host).unwrap();
        let registry = fetched().remove(0).join("x/serde-1/src/lib.rs");
        let registry = registry.display();
        fs::write(
            deps.join("own-1.d"),
            format!("/t/own-1.d: {escaped} {registry} src/lib.rs\n\n{escaped}:\n"),
        )
        .unwrap();
        let found: Vec<PathBuf> = sources(&session).into_iter().collect();
        assert_eq!(found, [own.join("Cargo.toml"), source.clone()]);
        // A crate of macros is built for this machine.
        let macros = own.join("macros/src/lib.rs");
        let escaped = macros.to_string_lossy().replace(' ', "\\ ");
        fs::write(
            host.join("macros-1.d"),
            format!("/t/macros-1.d: {escaped}\n"),
        )
        .unwrap();
        assert!(sources(&session).contains(&macros));
        let before = stamp(&session);
        assert_eq!(before, stamp(&session));
        fs::write(&source, "22").unwrap();
        assert_ne!(before, stamp(&session));
    }

    #[test]
    fn builds_are_known_by_their_files_unless_a_script_went_by_others() {
        let shelf = tempfile::tempdir().unwrap();
        let (session, own) = (shelf.path().join("session"), shelf.path().join("own"));
        let deps = session.join("build/target/x86/debug/deps");
        let script = session.join("build/target/debug/build/sys-1");
        for folder in [&deps, &script] {
            fs::create_dir_all(folder).unwrap();
        }
        let source = own.join("src/lib.rs");
        fs::write(
            deps.join("own-1.d"),
            format!("/t/own-1.d: {}\n", source.display()),
        )
        .unwrap();
        let found = of_finished_builds(&session).unwrap();
        assert!(found.contains(&source) && found.contains(&own.join("Cargo.toml")));
        assert!(
            found.contains(&own.join("src/Cargo.toml")),
            "it may come to be"
        );

        let output = script.join("output");
        let inside = session.join("build/target/debug/build/sys-1/out/x.h");
        let watched = |file: &Path| {
            let text = format!(
                "cargo:rerun-if-changed=build.rs\ncargo::rerun-if-changed={}\n",
                file.display()
            );
            fs::write(&output, text).unwrap();
        };
        watched(&inside);
        assert!(of_finished_builds(&session).is_some());
        watched(Path::new("/usr/include/x.h"));
        assert!(of_finished_builds(&session).is_none());
        fs::remove_file(&output).unwrap();
        let text = format!(
            "/t/build_script_build-1.d: {}\n",
            own.join("build.rs").display()
        );
        fs::write(script.join("build_script_build-1.d"), text).unwrap();
        assert!(
            of_finished_builds(&session).is_none(),
            "a script of the user's"
        );
    }
}
