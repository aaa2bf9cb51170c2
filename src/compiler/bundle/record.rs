//! Which crates are in which bundle, and how one is linked. The build script reads this file too: it links the first one.

use std::fs;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// Beside the crates: what each bundle contains, as JSON.
pub const RECORD: &str = "regatta_bundles.json";

/// What a bundle's crate is called, with a number behind it.
pub const NAME: &str = "regatta_bundle_";

/// How rustc links one.
pub const FLAGS: [&str; 6] = [
    "--edition=2024",
    "--crate-type=dylib",
    "-Cprefer-dynamic",
    "-Crpath",
    "-Cstrip=debuginfo",
    "--cap-lints=allow",
];

/// One build of a crate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crate {
    /// As cells call it.
    pub name: String,
    /// The rlib's name, without its folder: a template moves.
    pub file: String,
    pub bytes: u64,
    /// When it was built: nanoseconds since 1970.
    pub built: u128,
}

impl Crate {
    /// The one that this file is.
    pub fn of(name: &str, path: &Path) -> io::Result<Self> {
        let about = fs::metadata(path)?;
        let built = about.modified()?.duration_since(SystemTime::UNIX_EPOCH);
        Ok(Self {
            name: name.to_owned(),
            file: path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            bytes: about.len(),
            built: built.map_or(0, |built| built.as_nanos()),
        })
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Bundle {
    pub crates: Vec<Crate>,
    /// The bundles that it builds on, by number.
    pub on: Vec<usize>,
    /// Crates that cannot be in a shared object: cells link them by themselves.
    pub failed: bool,
}

/// The source of a bundle of these crates and bundles.
pub fn source<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let line = |name| format!("pub extern crate {name};\n");
    names.into_iter().map(line).collect()
}
