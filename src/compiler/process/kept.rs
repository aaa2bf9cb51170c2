//! The build folder as it is before the first session's first cell: what sessions add to it is removed before
//! the next one comes.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Files up to this size are kept with their content, unless they are built.
const SMALL: u64 = 1 << 20;

/// What belongs to cells: each build makes it anew.
const CELLS: [&str; 3] = ["libctx", "ctx-", "libcode_"];

/// How built files end.
const BUILT: [&str; 4] = ["rlib", "rmeta", "so", "o"];

struct File {
    bytes: u64,
    modified: Option<SystemTime>,
    content: Option<Vec<u8>>,
}

/// What is kept of a folder.
pub struct Kept {
    folder: PathBuf,
    files: BTreeMap<PathBuf, File>,
}

impl Kept {
    pub fn of(folder: &Path) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        for path in below(folder)? {
            let about = fs::metadata(&path)?;
            let text = !is_built(&path) && about.len() <= SMALL && !is_of_cells(&path, folder);
            let file = File {
                bytes: about.len(),
                modified: about.modified().ok(),
                content: text.then(|| fs::read(&path)).transpose()?,
            };
            files.insert(path, file);
        }
        Ok(Self {
            folder: folder.to_owned(),
            files,
        })
    }

    /// Makes the folder what it was; false when crates that all sessions share are other builds by now.
    pub fn restore(&self) -> io::Result<bool> {
        for path in below(&self.folder)? {
            if !self.files.contains_key(&path) {
                fs::remove_file(&path)?;
            }
        }
        for (path, file) in &self.files {
            let now = fs::metadata(path).ok();
            let modified = now.as_ref().and_then(|now| now.modified().ok());
            let same = now.is_some_and(|now| now.len() == file.bytes) && modified == file.modified;
            if same || is_of_cells(path, &self.folder) {
                continue;
            }
            let Some(content) = &file.content else {
                return Ok(false);
            };
            fs::write(path, content)?;
            if let Some(modified) = file.modified {
                fs::File::options()
                    .write(true)
                    .open(path)?
                    .set_modified(modified)?;
            }
        }
        Ok(true)
    }
}

fn is_built(path: &Path) -> bool {
    let end = path.extension().and_then(|end| end.to_str());
    end.is_some_and(|end| BUILT.contains(&end))
}

/// Whether it is a file of a cell's build, or in a folder of one.
fn is_of_cells(path: &Path, below: &Path) -> bool {
    let names = path.strip_prefix(below).into_iter().flatten();
    let mut names = names.filter_map(|name| name.to_str());
    names.any(|name| CELLS.iter().any(|cells| name.starts_with(cells)))
}

/// All files in a folder and in its folders.
fn below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_session_has_added_or_changed_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("deps/ctx-1")).unwrap();
        fs::write(at("Cargo.toml"), "[package]").unwrap();
        fs::write(at("deps/libserde-1.rlib"), "built").unwrap();
        fs::write(at("deps/ctx-1/stamp"), "1").unwrap();
        let kept = Kept::of(folder.path()).unwrap();

        fs::write(at("Cargo.toml"), "[package]\nrand").unwrap();
        fs::write(at("deps/libcode_7.so"), "").unwrap();
        fs::create_dir_all(at("deps/rand-1")).unwrap();
        fs::write(at("deps/rand-1/out"), "").unwrap();
        fs::write(at("deps/ctx-1/stamp"), "of the last cell").unwrap();
        assert!(kept.restore().unwrap());
        assert_eq!(fs::read(at("Cargo.toml")).unwrap(), b"[package]");
        assert!(!at("deps/libcode_7.so").exists() && !at("deps/rand-1/out").exists());
        // Cargo compares it with what it builds next.
        assert_eq!(
            fs::read(at("deps/ctx-1/stamp")).unwrap(),
            b"of the last cell"
        );

        fs::write(at("deps/libserde-1.rlib"), "built otherwise").unwrap();
        assert!(!kept.restore().unwrap());
    }
}
