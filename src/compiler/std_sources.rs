//! The standard library's sources as rust-analyzer reads them: a copy in the user's cache without the parts
//! that it reads for long and cells do not need, and with manifests of its own.
//!
//! rust-analyzer learns from `cargo metadata` how the crates of the standard library hang together. The
//! toolchain's own manifests want crates from a registry, which may be out of reach; without them it falls
//! back to crates that do not know each other, and no type that has to do with a hash map can be inferred.
//! So the copy's manifests name its own crates alone. Of the crates that are not there, only hashbrown's
//! types stand in the fields of public ones: they are declared, from what the standard library says of them.

use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use regex::Regex;

use super::rust_src::{self, sources};
use super::toolchain;

/// Raised whenever the copy is made in another way: old copies stay for older versions of this program.
const FORMAT: u32 = 2;

/// The crates that are copied; the first is what all others stand on.
const CRATES: [&str; 8] = [
    "core",
    "alloc",
    "std",
    "proc_macro",
    "panic_abort",
    "panic_unwind",
    "std_detect",
    "unwind",
];

/// Files and folders that say nothing about types.
const LEFT_OUT: [&str; 5] = ["Cargo.toml", "Cargo.lock", "benches", "tests", "stdarch"];

/// The crate whose types the standard library's hash maps and sets are made of.
const HASHBROWN: &str = "hashbrown";

/// Where the copy is, or will be.
pub fn place(sysroot: &Path) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    (toolchain::stamp(sysroot), FORMAT).hash(&mut hasher);
    toolchain::cache_dir()
        .join("std")
        .join(format!("{:016x}", hasher.finish()))
        .join("library")
}

/// The sources to read: the copy, made when it is not there, or the toolchain's own, or a library without content.
pub fn obtain() -> PathBuf {
    let sysroot = std::env::var_os(toolchain::SYSROOT_VARIABLE).unwrap_or_default();
    let sysroot = Path::new(&sysroot);
    // Without the copy, for want of room, less is inferred, and later.
    let _ = make(sysroot);
    let (copy, own) = (place(sysroot), sources(sysroot));
    [copy, own]
        .into_iter()
        .find(|library| has_content(library))
        .or_else(|| rust_src::stand_in().ok())
        .unwrap_or_default()
}

/// Whether a library is more than a stand-in.
pub fn has_content(library: &Path) -> bool {
    library.join("core/src/lib.rs").exists() && !library.starts_with(rust_src::none())
}

/// Makes the copy, unless it is there or there is nothing to copy.
fn make(sysroot: &Path) -> io::Result<()> {
    let target = place(sysroot);
    let wanted = sources(sysroot).exists() && !target.exists();
    let Some(parent) = target.parent().filter(|_| wanted) else {
        return Ok(());
    };
    let shelf = parent.parent().unwrap_or(parent);
    fs::create_dir_all(shelf)?;
    // Written beside and moved into place, so that two sessions at once do not see half of it.
    let beside = tempfile::tempdir_in(shelf)?;
    write(sysroot, &beside.path().join("library"))?;
    match fs::rename(beside.path(), parent) {
        Err(error) if !target.exists() => Err(error),
        Err(_) => Ok(()),
        Ok(()) => {
            let _ = beside.keep();
            Ok(())
        }
    }
}

/// Writes the copy into `target`.
fn write(sysroot: &Path, target: &Path) -> io::Result<()> {
    let original = sources(sysroot);
    let there: Vec<&str> = CRATES
        .into_iter()
        .filter(|name| original.join(name).join("src/lib.rs").exists())
        .collect();
    let mut members = vec![HASHBROWN];
    members.extend(&there);
    for name in &there {
        let (from, to) = (original.join(name), target.join(name));
        copy(&from, &to)?;
        let manifest = fs::read_to_string(from.join("Cargo.toml"))?;
        fs::write(
            to.join("Cargo.toml"),
            rewritten(name, &manifest, &members).as_bytes(),
        )?;
    }
    let hashbrown = target.join(HASHBROWN);
    fs::create_dir_all(hashbrown.join("src"))?;
    let manifest = rewritten(HASHBROWN, "", &members);
    fs::write(hashbrown.join("Cargo.toml"), manifest)?;
    let read =
        |file: &str| fs::read_to_string(original.join("std/src/collections/hash").join(file));
    let declared = declarations(&read("map.rs")?, &read("set.rs")?);
    fs::write(hashbrown.join("src/lib.rs"), declared)?;

    let quoted: Vec<String> = members.iter().map(|name| format!("{name:?}")).collect();
    let workspace = format!(
        "[workspace]\nresolver = \"2\"\nmembers = [{}]\n",
        quoted.join(", ")
    );
    fs::write(target.join("Cargo.toml"), workspace)?;
    let locked = Command::new(sysroot.join("bin/cargo"))
        .args(["generate-lockfile", "--offline", "--quiet"])
        .envs(toolchain::cargo_home().map(|home| ("CARGO_HOME", home)))
        .current_dir(target)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if locked.success() {
        Ok(())
    } else {
        Err(io::Error::other("cargo refuses the copy's manifests"))
    }
}

/// A manifest that names the crates of the copy alone.
fn rewritten(name: &str, manifest: &str, members: &[&str]) -> String {
    static EDITION: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"(?m)^\s*edition\s*=\s*["'](\d{4})["']"#).ok());
    let edition = EDITION
        .as_ref()
        .and_then(|edition| Some(edition.captures(manifest)?.get(1)?.as_str()))
        .unwrap_or("2024");
    let mut text = format!(
        "[package]\nname = {name:?}\nversion = \"0.0.0\"\nedition = {edition:?}\n\
         autobins = false\n\n[dependencies]\n"
    );
    for other in members.iter().filter(|other| **other != name) {
        let below = match (name, *other) {
            ("core", _) => false,
            (_, "core") => true,
            ("alloc" | HASHBROWN, _) => false,
            (_, "alloc") => true,
            ("std", HASHBROWN) => true,
            // `core = { path = "../core" }`
            _ => manifest.contains(&format!("\"../{other}\"")),
        };
        if below {
            let _ = writeln!(text, "{other} = {{ path = \"../{other}\" }}");
        }
    }
    text
}

/// hashbrown as far as the standard library's public types need it: which types there are, and of what.
fn declarations(map: &str, set: &str) -> String {
    static NAMED: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"\bbase::([A-Z]\w*)<([^<>;{}()]*)>").ok());
    let mut text = "#![no_std]\nuse core::marker::PhantomData;\n".to_owned();
    for (module, source) in [("hash_map", map), ("hash_set", set)] {
        let _ = writeln!(text, "pub mod {module} {{\nuse super::*;");
        let mut declared: Vec<&str> = Vec::new();
        let named = NAMED.iter().flat_map(|named| named.captures_iter(source));
        for found in named {
            let [name, parameters] = found.extract().1;
            if declared.contains(&name) {
                continue;
            }
            declared.push(name);
            let parts: String = parameters
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(|part| match part.strip_prefix('\'') {
                    Some(_) => format!("&{part} (), "),
                    None => format!("{part}, "),
                })
                .collect();
            let _ = writeln!(
                text,
                "pub struct {name}<{parameters}>(PhantomData<({parts})>);"
            );
        }
        text.push_str("}\n");
    }
    text.push_str(
        "pub enum TryReserveError { CapacityOverflow, AllocError { layout: core::alloc::Layout } }\n",
    );
    text
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| LEFT_OUT.contains(&name)) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to.join(&name))?;
        } else {
            fs::copy(entry.path(), to.join(&name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copys_crates_know_each_other_without_any_registry() {
        let folder = tempfile::tempdir().unwrap();
        let output = Command::new("rustc")
            .args(["--print", "sysroot"])
            .output()
            .unwrap();
        let sysroot = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
        let target = folder.path().join("library");
        write(&sysroot, &target).unwrap();
        // As on a machine that has never built anything and has no network.
        let output = Command::new(sysroot.join("bin/cargo"))
            .args(["metadata", "--format-version=1", "--offline", "--locked"])
            .current_dir(&target)
            .env("CARGO_HOME", folder.path().join("empty"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let names_of_std: Vec<String> = metadata["resolve"]["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|node| node["id"].as_str().unwrap().contains("/std#"))
            .flat_map(|node| node["deps"].as_array().unwrap())
            .map(|dep| dep["name"].as_str().unwrap().to_owned())
            .collect();
        for name in ["alloc", "core", "hashbrown", "unwind"] {
            assert!(
                names_of_std.iter().any(|other| other == name),
                "{name}: {names_of_std:?}"
            );
        }
        let hashbrown = fs::read_to_string(target.join("hashbrown/src/lib.rs")).unwrap();
        for declared in [
            "struct HashMap<K, V, S, A>",
            "struct HashSet<T, S, A>",
            "struct Iter<'a, K, V>",
        ] {
            assert!(hashbrown.contains(declared), "{declared}: {hashbrown}");
        }
    }

    #[test]
    fn types_are_declared_once_with_their_parameters() {
        let map = "base: base::HashMap<K, V, S, A>,\nfn f() -> base::HashMap<K, V, S, A> { base::HashMap::new() }";
        let declared = declarations(map, "base: base::Iter<'a, K>,");
        assert_eq!(declared.matches("struct HashMap").count(), 1);
        assert!(declared.contains("pub struct HashMap<K, V, S, A>(PhantomData<(K, V, S, A, )>);"));
        assert!(declared.contains("pub struct Iter<'a, K>(PhantomData<(&'a (), K, )>);"));
    }
}
