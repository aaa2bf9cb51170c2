//! Links the crates that all cells name into the first shared object that artifacts load; see
//! `src/compiler/bundle.rs`, whose sessions find it there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

use super::{Done, linker, variable};

/// The crates, as cells call them.
const CRATES: [&str; 2] = ["regatta_cell", "serde"];

const NAME: &str = "regatta_bundle_0";

/// Beside the crates: what each bundle contains.
const RECORD: &str = "regatta_bundles.json";

/// Links what cargo has built in `folder`.
pub fn build(folder: &Path) -> Done<()> {
    let target = variable("TARGET")?;
    let host = folder.join("target/debug/deps");
    let deps = folder.join("target").join(&target).join("debug/deps");
    let source = deps.join(format!("{NAME}.rs"));
    let lines = CRATES.map(|name| format!("pub extern crate {name};\n"));
    fs::write(&source, lines.concat())?;
    let mut command = Command::new(variable("RUSTC")?);
    command
        .args(["--crate-name", NAME, "--edition=2024"])
        .args(["--crate-type=dylib", "-Cprefer-dynamic", "-Crpath"])
        .args(["-Cstrip=debuginfo", "--cap-lints=allow"])
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
        let about = fs::metadata(&library)?;
        let built = about.modified()?.duration_since(UNIX_EPOCH)?.as_nanos();
        let file = library.file_name().unwrap_or_default();
        crates.push(format!(
            r#"{{"name":{name:?},"file":{file:?},"bytes":{},"built":{built}}}"#,
            about.len()
        ));
    }
    if !command.output()?.status.success() {
        return Err("rustc links no bundle".into());
    }
    let record = format!(
        r#"[{{"crates":[{}],"on":[],"failed":false}}]"#,
        crates.join(",")
    );
    fs::write(deps.join(RECORD), record)?;
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
