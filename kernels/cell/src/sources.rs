//! This crate's own files, as text: `regatta` carries them, so that sessions can build the crate where there is no
//! checkout. Only the program asks for them, by the feature `sources`; cells never do.

/// Paths below this crate's folder, and what stands in them.
pub const FILES: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../Cargo.toml")),
    ("src/lib.rs", include_str!("../src/lib.rs")),
    ("src/arguments.rs", include_str!("../src/arguments.rs")),
    ("src/arriving.rs", include_str!("../src/arriving.rs")),
    ("src/c.rs", include_str!("../src/c.rs")),
    ("src/captures.rs", include_str!("../src/captures.rs")),
    ("src/catch.rs", include_str!("../src/catch.rs")),
    ("src/checks.rs", include_str!("../src/checks.rs")),
    ("src/children.rs", include_str!("../src/children.rs")),
    ("src/chunk.rs", include_str!("../src/chunk.rs")),
    ("src/codec.rs", include_str!("../src/codec.rs")),
    (
        "src/comm/communicator.rs",
        include_str!("comm/communicator.rs"),
    ),
    ("src/comm/kind.rs", include_str!("comm/kind.rs")),
    ("src/comm/mod.rs", include_str!("comm/mod.rs")),
    ("src/comm/op.rs", include_str!("comm/op.rs")),
    ("src/comm/reductions.rs", include_str!("comm/reductions.rs")),
    ("src/comm/request.rs", include_str!("comm/request.rs")),
    ("src/comm/several.rs", include_str!("comm/several.rs")),
    ("src/comm/table.rs", include_str!("comm/table.rs")),
    ("src/engine.rs", include_str!("../src/engine.rs")),
    ("src/entry.rs", include_str!("../src/entry.rs")),
    ("src/error.rs", include_str!("../src/error.rs")),
    ("src/exchange.rs", include_str!("../src/exchange.rs")),
    ("src/host.rs", include_str!("../src/host.rs")),
    ("src/inputs.rs", include_str!("../src/inputs.rs")),
    ("src/job.rs", include_str!("../src/job.rs")),
    ("src/kept.rs", include_str!("../src/kept.rs")),
    ("src/key.rs", include_str!("../src/key.rs")),
    ("src/magic.rs", include_str!("../src/magic.rs")),
    ("src/memo.rs", include_str!("../src/memo.rs")),
    ("src/options.rs", include_str!("../src/options.rs")),
    ("src/out.rs", include_str!("../src/out.rs")),
    ("src/piped.rs", include_str!("../src/piped.rs")),
    ("src/pool.rs", include_str!("../src/pool.rs")),
    ("src/processes.rs", include_str!("../src/processes.rs")),
    ("src/remote.rs", include_str!("../src/remote.rs")),
    ("src/resident.rs", include_str!("../src/resident.rs")),
    ("src/shell.rs", include_str!("../src/shell.rs")),
    ("src/sources.rs", include_str!("../src/sources.rs")),
    ("src/store/call.rs", include_str!("../src/store/call.rs")),
    ("src/store/held.rs", include_str!("../src/store/held.rs")),
    (
        "src/store/messages.rs",
        include_str!("../src/store/messages.rs"),
    ),
    (
        "src/store/number.rs",
        include_str!("../src/store/number.rs"),
    ),
    ("src/store/wait.rs", include_str!("../src/store/wait.rs")),
    ("src/store/mod.rs", include_str!("../src/store/mod.rs")),
    ("src/variables.rs", include_str!("../src/variables.rs")),
    ("src/threads.rs", include_str!("../src/threads.rs")),
    ("src/timing.rs", include_str!("../src/timing.rs")),
    ("src/together.rs", include_str!("../src/together.rs")),
    ("src/typed.rs", include_str!("../src/typed.rs")),
    ("src/value.rs", include_str!("../src/value.rs")),
    ("src/waiting.rs", include_str!("../src/waiting.rs")),
    ("src/with.rs", include_str!("../src/with.rs")),
    ("src/written.rs", include_str!("../src/written.rs")),
];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::FILES;

    /// A file that is missing here is missing in every session.
    #[test]
    fn every_source_file_is_carried() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut there = vec!["Cargo.toml".to_owned()];
        let mut folders = vec![root.join("src")];
        while let Some(folder) = folders.pop() {
            for file in fs::read_dir(folder).unwrap() {
                let path = file.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let inside = path.strip_prefix(root).unwrap();
                    there.push(inside.display().to_string());
                }
            }
        }
        let mut carried: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        there.sort();
        carried.sort_unstable();
        assert_eq!(carried, there);
    }
}
