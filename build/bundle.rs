//! Links the crates that all cells name into the first shared object that artifacts load; see
//! `src/compiler/bundle.rs`, whose sessions find it there.

#[path = "../src/compiler/bundle/record.rs"]
mod record;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Done, linker, variable};
use record::{Bundle, Crate, FLAGS, NAME, RECORD};

/// The crates, as cells call them.
const CRATES: [&str; 2] = ["regatta_cell", "serde"];

/// Links what cargo has built in `folder`.
pub fn build(folder: &Path) -> Done<()> {
    let target = variable("TARGET")?;
    let host = folder.join("target/debug/deps");
    let deps = folder.join("target").join(&target).join("debug/deps");
    let name = format!("{NAME}0");
    let source = deps.join(format!("{name}.rs"));
    fs::write(&source, record::source(CRATES))?;
    let mut command = Command::new(variable("RUSTC")?);
    command
        .args(["--crate-name", &name])
        .args(FLAGS)
        .args(linker())
        .arg("--target")
        .arg(&target)
        .arg("--out-dir")
        .arg(&deps)
        .arg(&source);
    for folder in [&deps, &host] {
        command
            .arg("-L")
            .arg(format!("dependency={}", folder.display()));
    }
    let mut crates = Vec::new();
    for name in CRATES {
        let library = library(&deps, name)?;
        command
            .arg("--extern")
            .arg(format!("{name}={}", library.display()));
        crates.push(Crate::of(name, &library)?);
    }
    if !command.output()?.status.success() {
        return Err("rustc links no bundle".into());
    }
    let bundle = Bundle {
        crates,
        on: Vec::new(),
        failed: false,
    };
    fs::write(deps.join(RECORD), serde_json::to_vec(&[bundle])?)?;
    Ok(())
}

/// The one build of a crate.
fn library(deps: &Path, name: &str) -> Done<PathBuf> {
    let start = format!("lib{name}-");
    for entry in fs::read_dir(deps)? {
        let path = entry?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        if file.starts_with(&start) && file.ends_with(".rlib") {
            return Ok(path);
        }
    }
    Err(format!("cargo has built no {name}").into())
}
