//! Builds the crates that cells link to, as sessions do, and packs what comes of it for the binary to carry: the
//! first start with the same toolchain finds them built. Only speed depends on it: what does not fit, cargo
//! builds anew. See `src/compiler/carried.rs`, which unpacks it.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::time::UNIX_EPOCH;

use miniz_oxide::deflate::compress_to_vec_zlib;

type Done<T> = Result<T, Box<dyn Error>>;

/// The dependencies of the cell crate, in its place: the crate itself lies elsewhere in each user's cache.
const DEPENDENCIES: &str = include_str!("dependencies.toml");

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
    if variable("PROFILE")? != "release" || variable("HOST")? != variable("TARGET")? {
        return Ok(());
    }
    // Named like a session's folder, so that paths in it are as long as a session's.
    let now = UNIX_EPOCH.elapsed()?.as_nanos() & 0xff_ffff;
    let session = env::temp_dir().join(format!("regatta-{:07}-{now:06x}", process::id()));
    let folder = session.join("build");
    let packed = build(&folder).and_then(|()| pack(&folder));
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
    fs::write(
        folder.join("Cargo.toml"),
        format!("{MANIFEST}{DEPENDENCIES}"),
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
    let linker = if !is_there("mold") && is_there("lld") {
        " -Clink-arg=-fuse-ld=lld"
    } else {
        ""
    };
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

/// Whether a program is in the PATH: evcxr takes the first of these linkers that is.
fn is_there(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The folder's own path, then of each file its path in it, when it was written, in seconds and nanoseconds, its
/// mode and what is in it: all of them behind their lengths.
fn pack(folder: &Path) -> Done<Vec<u8>> {
    let mut packed = Vec::new();
    put(&mut packed, folder.as_os_str().as_bytes())?;
    let mut folders = vec![folder.join("target")];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next)? {
            let (path, about) = entry.and_then(|it| Ok((it.path(), it.metadata()?)))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // Of the package in the place of the cells' own.
            if name.starts_with("ctx-") || name.starts_with("libctx") || name == "incremental" {
                continue;
            }
            if about.is_dir() {
                folders.push(path);
                continue;
            }
            let written = about.modified()?.duration_since(UNIX_EPOCH)?;
            put(
                &mut packed,
                path.strip_prefix(folder)?.as_os_str().as_bytes(),
            )?;
            put(&mut packed, &written.as_secs().to_le_bytes())?;
            put(&mut packed, &written.subsec_nanos().to_le_bytes())?;
            put(&mut packed, &about.permissions().mode().to_le_bytes())?;
            put(&mut packed, &fs::read(&path)?)?;
        }
    }
    Ok(packed)
}

fn put(packed: &mut Vec<u8>, bytes: &[u8]) -> Done<()> {
    packed.extend(u32::try_from(bytes.len())?.to_le_bytes());
    packed.extend(bytes);
    Ok(())
}
