//! What the sources of a crate of the user's are, as a number: with others its types may be others, in the same version.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

/// Where cargo puts what it builds.
const BUILT: &str = "target";

/// The hash of the code and the manifests in a crate's folder, of their names too.
pub fn hash(folder: &Path) -> io::Result<u64> {
    let mut files = Vec::new();
    find(folder, &mut files)?;
    files.sort();
    let mut hasher = Xxh3::new();
    let mut hash = |bytes: &[u8]| {
        hasher.update(&bytes.len().to_le_bytes());
        hasher.update(bytes);
    };
    for file in files {
        let name = file.strip_prefix(folder).unwrap_or(&file);
        hash(name.as_os_str().as_encoded_bytes());
        hash(&fs::read(&file)?);
    }
    Ok(hasher.digest())
}

/// Links are not followed to folders: they may go round.
fn find(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        if name == BUILT || name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if entry.file_type()?.is_dir() {
            find(&path, files)?;
        } else if name == "Cargo.toml" || path.extension().is_some_and(|it| it == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_code_is_another_crate_and_what_is_built_of_it_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            hash(folder.path()).unwrap()
        };
        write("Cargo.toml", "[package]");
        let was = write("src/lib.rs", "pub struct Size(u64);");
        for other in ["target/x/y.rs", ".git/z.rs", "README.md", "src/data.csv"] {
            assert_eq!(write(other, "other"), was, "{other}");
        }
        assert_ne!(write("src/lib.rs", "pub struct Size(u32);"), was);
        assert_eq!(write("src/lib.rs", "pub struct Size(u64);"), was);
        assert_ne!(write("src/of/it.rs", ""), was);
        assert!(hash(&folder.path().join("none")).is_err());
    }
}
