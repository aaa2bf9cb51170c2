//! Which versions of crates the cells of a session are built with: what cargo has locked.

use std::path::Path;

/// The package that evcxr makes of each cell.
const CELL: &str = "ctx";

/// One package of a lock file.
struct Package<'a> {
    name: &'a str,
    version: &'a str,
    source: Option<&'a str>,
    /// `name`, or `name version` where there are several of that name.
    dependencies: Vec<&'a str>,
}

/// What cargo has locked for the cells of the session in `folder`. Empty before the compiler is warm.
pub(super) fn lock(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("build/Cargo.lock")).unwrap_or_default()
}

/// The version of a package that cells depend on, or else of the only one of that name.
pub(super) fn version(lock: &str, package: &str) -> Option<String> {
    let same = |name: &str| name.replace('-', "_") == package.replace('-', "_");
    let packages = packages(lock);
    let cell = packages.iter().find(|other| other.name == CELL);
    let direct = cell.iter().flat_map(|cell| &cell.dependencies);
    let exact = direct
        .filter_map(|dependency| dependency.split_once(' '))
        .find(|(name, _)| same(name));
    if let Some((_, version)) = exact {
        return version.split(' ').next().map(str::to_owned);
    }
    let mut named = packages.iter().filter(|other| same(other.name));
    let version = named.next()?.version.to_owned();
    named.next().is_none().then_some(version)
}

/// The same of a package that comes from a registry or a repository.
pub(super) fn published(lock: &str, package: &str) -> Option<String> {
    let version = version(lock, package)?;
    let same = |one: &Package<'_>| {
        one.version == version && one.name.replace('-', "_") == package.replace('-', "_")
    };
    let packages = packages(lock);
    let source = packages.iter().find(|one| same(one))?.source?;
    Some(format!("{version} {source}"))
}

fn packages(lock: &str) -> Vec<Package<'_>> {
    lock.split("[[package]]")
        .skip(1)
        .filter_map(|block| {
            let of = |key: &str| {
                let lines = block.lines();
                let mut values = lines.filter_map(|line| line.strip_prefix(key));
                values.next()?.trim().strip_prefix('"')?.strip_suffix('"')
            };
            let list = block.split_once("dependencies = [");
            let list = list.and_then(|(_, rest)| rest.split(']').next());
            let listed = list.unwrap_or_default().split('"').skip(1).step_by(2);
            Some(Package {
                name: of("name = ")?,
                version: of("version = ")?,
                source: of("source = "),
                dependencies: listed.collect(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{published, version};

    const LOCK: &str = r#"version = 4

[[package]]
name = "ctx"
version = "1.0.0"
dependencies = [
 "rand 0.8.5",
 "serde_json",
]

[[package]]
name = "rand"
version = "0.8.5"
source = "registry+somewhere"

[[package]]
name = "rand"
version = "0.9.1"

[[package]]
name = "serde_json"
version = "1.0.140"
dependencies = [
 "twice",
]

[[package]]
name = "twice"
version = "1.0.0"

[[package]]
name = "twice"
version = "2.0.0"
"#;

    #[test]
    fn the_version_is_the_one_that_cells_use() {
        assert_eq!(version(LOCK, "rand").as_deref(), Some("0.8.5"));
        assert_eq!(version(LOCK, "serde-json").as_deref(), Some("1.0.140"));
        assert_eq!(version(LOCK, "twice"), None, "cells use neither");
        assert_eq!(version(LOCK, "none"), None);
        assert_eq!(version("", "rand"), None);
        let registry = "0.8.5 registry+somewhere";
        assert_eq!(published(LOCK, "rand").as_deref(), Some(registry));
        assert_eq!(published(LOCK, "serde_json"), None, "it lies in a folder");
    }
}
