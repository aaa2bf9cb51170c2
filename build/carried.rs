//! Builds the crates that cells link to, as sessions do, and packs what comes of it for the binary to carry: the
//! first start with the same toolchain finds them built. Only speed depends on it: what does not fit, cargo
//! builds anew. See `src/compiler/carried.rs`, which unpacks it.

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

#[path = "bundle.rs"]
mod bundle;
#[path = "../src/compiler/folder.rs"]
mod folder;

use miniz_oxide::deflate::compress_to_vec_zlib;

type Done<T> = Result<T, Box<dyn Error>>;

/// The crate's folder, in the session's build folder; see `src/compiler/cell_crate.rs`.
const CELL: &str = "regatta-cell";

/// The cells' package as evcxr writes it.
const MANIFEST: &str = r#"
[package]
name = "ctx"
version = "1.0.0"
edition = "2024"

[lib]
crate-type = ["rlib"]
path = "src/lib.rs"

[profile.dev]
opt-level = 2
debug = false
strip = "debuginfo"
rpath = true
lto = "off"
debug-assertions = true
codegen-units = 16
panic = 'unwind'
incremental = true
overflow-checks = true

[dependencies]
"#;

/// Fast, and not much larger than the best.
const LEVEL: u8 = 3;

/// What cargo tells a build script alone, by how the names begin, and flags of the build that this is a part of.
const OURS: [&str; 9] = [
    "CARGO_CFG_",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_FEATURE_",
    "CARGO_MANIFEST_",
    "CARGO_PKG_",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_UNSTABLE_",
    "RUSTC",
    "RUSTFLAGS",
];

/// Writes what is carried, and of which rustc it is; of none where the binary is only made to be tried out.
pub fn write() -> Done<()> {
    let out = PathBuf::from(variable("OUT_DIR")?);
    for file in ["carried", "carried.length", "carried.rustc"] {
        fs::write(out.join(file), "")?;
    }
    println!("cargo::rerun-if-changed=Cargo.lock");
    println!("cargo::rerun-if-changed=src/compiler/bundle/record.rs");
    println!("cargo::rerun-if-changed=src/compiler/folder.rs");
    if variable("PROFILE")? != "release" || variable("HOST")? != variable("TARGET")? {
        return Ok(());
    }
    // Named like a session's folder, so that paths in it are as long as a session's.
    let session = folder::choose(&env::temp_dir());
    let folder = session.join("build");
    let packed = build(&folder).and_then(|()| {
        // Without it, sessions link one.
        let _ = bundle::build(&folder);
        pack(&folder)
    });
    // What may be left there is removed by the next session.
    let _ = fs::remove_dir_all(&session);
    let packed = packed?;
    let rustc = Command::new(variable("RUSTC")?).arg("-vV").output()?;
    fs::write(out.join("carried.length"), packed.len().to_string())?;
    fs::write(out.join("carried"), compress_to_vec_zlib(&packed, LEVEL))?;
    fs::write(out.join("carried.rustc"), rustc.stdout)?;
    Ok(())
}

fn variable(name: &str) -> Done<OsString> {
    env::var_os(name).ok_or_else(|| format!("cargo sets no {name}").into())
}

/// Builds the crates as evcxr has cargo do it.
fn build(folder: &Path) -> Done<()> {
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("src/lib.rs"), "")?;
    let cell = folder.join(CELL);
    for (file, text) in regatta_cell::sources::FILES {
        let file = cell.join(file);
        fs::create_dir_all(file.parent().unwrap_or(&cell))?;
        fs::write(file, text)?;
    }
    let dependencies = format!(
        "regatta-cell = {{ path = {cell:?} }}\nserde = {{ version = \"1\", features = [\"derive\"] }}\n"
    );
    fs::write(
        folder.join("Cargo.toml"),
        format!("{MANIFEST}{dependencies}"),
    )?;
    let lock = Path::new(&variable("CARGO_MANIFEST_DIR")?).join("Cargo.lock");
    fs::copy(lock, folder.join("Cargo.lock"))?;
    let mut command = Command::new(variable("CARGO")?);
    for (name, _) in env::vars_os() {
        if OURS
            .iter()
            .any(|start| name.as_bytes().starts_with(start.as_bytes()))
        {
            command.env_remove(name);
        }
    }
    let linker = linker().map_or(String::new(), |linker| format!(" {linker}"));
    let output = command
        .args(["build", "--offline", "--target"])
        .arg(variable("TARGET")?)
        .current_dir(folder)
        .env("RUSTC", variable("RUSTC")?)
        .env("RUSTFLAGS", format!("-Cprefer-dynamic{linker}"))
        .env("CARGO_TARGET_DIR", "target")
        .env("CARGO_BUILD_BUILD_DIR", "target")
        .env("CARGO_PROFILE_DEV_LTO", "off")
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said
        .trim()
        .lines()
        .next_back()
        .unwrap_or("cargo failed")
        .into())
}

/// How evcxr has rustc link.
fn linker() -> Option<&'static str> {
    (!is_there("mold") && is_there("lld")).then_some("-Clink-arg=-fuse-ld=lld")
}

/// Whether a program is in the PATH: evcxr takes the first of these linkers that is.
fn is_there(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The folder's own path and what is in the files, then of each file its path in the folder, when it was written, in
/// seconds and nanoseconds, its mode, and where its bytes begin and how many they are: all of them behind their lengths.
fn pack(folder: &Path) -> Done<Vec<u8>> {
    let mut files = files(folder)?;
    // The metadata of a crate stand in its library too.
    files.sort_by_key(|(path, _)| path.extension().is_some_and(|end| end == "rmeta"));
    let (mut bytes, mut list) = (Vec::new(), Vec::new());
    let mut known: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut libraries: HashMap<PathBuf, usize> = HashMap::new();
    for (path, about) in files {
        let written = about.modified()?.duration_since(UNIX_EPOCH)?;
        let content = fs::read(&path)?;
        let library = libraries.get(&path.with_extension("rlib"));
        let inside = library.and_then(|&from| find(&bytes[from..], &content).map(|at| from + at));
        let at = match inside.or_else(|| known.get(&content).copied()) {
            Some(at) => at,
            None => {
                let at = bytes.len();
                bytes.extend(&content);
                at
            }
        };
        libraries.insert(path.clone(), at);
        put(&mut list, path.strip_prefix(folder)?.as_os_str().as_bytes())?;
        put(&mut list, &written.as_secs().to_le_bytes())?;
        put(&mut list, &written.subsec_nanos().to_le_bytes())?;
        put(&mut list, &about.permissions().mode().to_le_bytes())?;
        put(&mut list, &u32::try_from(at)?.to_le_bytes())?;
        put(&mut list, &u32::try_from(content.len())?.to_le_bytes())?;
        known.insert(content, at);
    }
    let mut packed = Vec::new();
    put(&mut packed, folder.as_os_str().as_bytes())?;
    put(&mut packed, &bytes)?;
    packed.extend(list);
    Ok(packed)
}

/// What cargo has made, without what belongs to the package in the place of the cells' own.
fn files(folder: &Path) -> Done<Vec<(PathBuf, Metadata)>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.join("target")];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next)? {
            let (path, about) = entry.and_then(|it| Ok((it.path(), it.metadata()?)))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("ctx-") || name.starts_with("libctx") || name == "incremental" {
                continue;
            }
            if about.is_dir() {
                folders.push(path);
            } else {
                found.push((path, about));
            }
        }
    }
    // The same from build to build.
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(found)
}

/// Where a part begins.
fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    let (first, last) = (part.first()?, bytes.len().checked_sub(part.len())?);
    (0..=last).find(|&at| bytes[at] == *first && bytes[at..].starts_with(part))
}

fn put(packed: &mut Vec<u8>, bytes: &[u8]) -> Done<()> {
    packed.extend(u32::try_from(bytes.len())?.to_le_bytes());
    packed.extend(bytes);
    Ok(())
}
