//! The crates of which cells are built: cargo's lock file and the manifest that evcxr writes.

use std::path::Path;

use super::dependency::Dependency;
use super::message::Beginning;
use super::{cell_crate, toolchain};

/// Sees to it that there is a lock file, and gives it.
pub(super) fn lock(folder: &Path, beginning: &Beginning) -> std::io::Result<String> {
    let build = folder.join("build");
    std::fs::create_dir_all(&build)?;
    let file = build.join("Cargo.lock");
    let there = std::fs::read_to_string(&file).ok();
    if let Some(there) = there.filter(|there| beginning.adopts && !there.is_empty()) {
        return Ok(there);
    }
    std::fs::write(file, cell_crate::LOCK)?;
    Ok(cell_crate::LOCK.to_owned())
}

/// The crates of which cells are built now: lines of the manifest that evcxr has written.
pub(super) fn listed(build: &Path) -> Vec<String> {
    let manifest = std::fs::read_to_string(build.join("Cargo.toml")).unwrap_or_default();
    let crates = manifest
        .split_once("[dependencies]\n")
        .map(|(_, rest)| rest);
    let lines = crates.unwrap_or_default().lines().map(str::trim);
    let lines = lines.take_while(|line| !line.starts_with('['));
    lines
        .filter(|line| line.contains('='))
        .map(str::to_owned)
        .collect()
}

pub(super) fn add_all(
    build: &Path,
    beginning: &Beginning,
    mut add: impl FnMut(&str, &str) -> Result<(), evcxr::Error>,
) -> Result<(), String> {
    let own = cell_crate::own(build)
        .map_err(|error| format!("cannot write the cell crate's sources: {error}"))?;
    let asked = beginning.crates.iter();
    let asked = asked.filter_map(|line| line.split_once('='));
    let asked = asked.map(|(name, config)| (name.trim(), config.trim()));
    let own = own.iter().map(|(name, config)| (*name, config.as_str()));
    own.chain(asked)
        .try_for_each(|(name, config)| add(name, config).map_err(|error| error.to_string()))
}

/// `%dep kernels` means the compute kernels that this binary carries, and so does a table that names no other place:
/// `{ features = ["c"] }`.
pub(super) fn config(name: &str, config: &str) -> Result<String, String> {
    let ours = Dependency::parse(config).ok().filter(|_| name == "kernels");
    let Some(ours) = ours.and_then(Dependency::placeless) else {
        return Ok(config.to_owned());
    };
    let folder = cell_crate::kernels(&toolchain::cache_dir())
        .map_err(|error| format!("cannot write the kernels' sources: {error}"))?;
    Ok(ours
        .of_package(cell_crate::KERNELS_PACKAGE)
        .at(&folder)
        .to_string())
}

#[cfg(test)]
mod tests {
    use super::config;

    #[test]
    fn the_kernels_are_ours_unless_another_place_is_named() {
        let ours = |given| config("kernels", given).unwrap();
        assert!(ours("\"*\"").contains("regatta-kernels"));
        let with_c = ours(r#"{ features = ["c"] }"#);
        assert!(with_c.contains("regatta-kernels") && with_c.contains(r#"features = ["c"]"#));
        for other in [r#""1""#, r#"{ path = "mine" }"#, "no table"] {
            assert_eq!(ours(other), other);
        }
        assert_eq!(config("rand", "\"*\"").as_deref(), Ok("\"*\""));
    }
}
