//! The shared objects that an artifact links to and that no other host need have: Rust's standard library, and what the
//! crates of cells were built into. They are found where the artifact itself says, and travel once to each node.

use std::collections::BTreeSet;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use object::Endianness;
use object::elf::{DT_NEEDED, DT_RPATH, DT_RUNPATH, DynamicTag, FileHeader64};
use object::read::elf::{Dyn as _, FileHeader as _};

/// Those that a node has: by name, and by when they were made.
pub type Known = BTreeSet<(String, Option<SystemTime>)>;

/// What the artifact in this file needs beside what `known` names, in the order in which it is to be loaded: what another
/// one links to comes before it.
pub fn needed(file: &OwnedFd, bytes: &[u8], known: &mut Known) -> Vec<Vec<u8>> {
    let path = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let folder = path.ok().and_then(|path| path.parent().map(Path::to_owned));
    let mut found = Vec::new();
    gather(bytes, &folder.unwrap_or_default(), known, &mut found);
    found
}

fn gather(bytes: &[u8], folder: &Path, known: &mut Known, found: &mut Vec<Vec<u8>>) {
    // What is no such file is told by whoever loads it.
    let Some(linked) = Linked::of(bytes) else {
        return;
    };
    for name in linked.needed {
        let there = linked
            .folders
            .iter()
            .map(|it| it.replace("$ORIGIN", &folder.to_string_lossy()));
        let Some(path) = there
            .map(|it| Path::new(&it).join(&name))
            .find(|path| path.is_file())
        else {
            continue;
        };
        let made = path.metadata().and_then(|about| about.modified()).ok();
        if known.contains(&(name.clone(), made)) {
            continue;
        }
        if let Ok(bytes) = std::fs::read(&path) {
            known.insert((name.clone(), made));
            let folder = path.parent().map(PathBuf::from).unwrap_or_default();
            gather(&bytes, &folder, known, found);
            found.push(bytes);
        }
    }
}

/// What a shared object says of others.
struct Linked {
    needed: Vec<String>,
    /// Where they are.
    folders: Vec<String>,
}

impl Linked {
    fn of(bytes: &[u8]) -> Option<Self> {
        let header = FileHeader64::<Endianness>::parse(bytes).ok()?;
        let endian = header.endian().ok()?;
        let sections = header.sections(endian, bytes).ok()?;
        let (entries, strings) = sections.dynamic(endian, bytes).ok()??;
        let strings = sections.strings(endian, bytes, strings).ok()?;
        let of_kind = |kinds: &[DynamicTag]| -> Vec<String> {
            let wanted = entries
                .iter()
                .filter(|entry| kinds.contains(&entry.tag(endian)));
            let texts = wanted.filter_map(|entry| entry.string(endian, strings).ok());
            texts
                .map(|text| String::from_utf8_lossy(text).into_owned())
                .collect()
        };
        let folders = of_kind(&[DT_RUNPATH, DT_RPATH]);
        Some(Self {
            needed: of_kind(&[DT_NEEDED]),
            folders: { folders.iter() }
                .flat_map(|all| all.split(':').map(str::to_owned))
                .collect(),
        })
    }
}
