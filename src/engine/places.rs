//! Where in the user's cells a line of an artifact's source stands.

use std::ffi::c_void;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Mutex, PoisonError};

use super::loader::home_of;
use crate::ids::ArtifactId;
use crate::wire::places::{self, Place, SOURCE};

/// The places that were looked at last: many panics come from one artifact.
static LAST: Mutex<Option<Known>> = Mutex::new(None);

struct Known {
    artifact: ArtifactId,
    /// Device, inode and time of the file: another run of the artifact has another one.
    version: (u64, u64, i64, i64),
    text: String,
}

/// The place of `line` in the source `file`, whose name lies in the memory of the artifact that says it.
pub fn place(file: &str, line: u32) -> Option<Place> {
    if file != SOURCE {
        return None;
    }
    let home = home_of(file.as_ptr().cast::<c_void>())?;
    let artifact = home.artifact?;
    let places = places::file_of(artifact, &home.file);
    let meta = std::fs::metadata(&places).ok()?;
    let version = (meta.dev(), meta.ino(), meta.mtime(), meta.mtime_nsec());
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let same = |known: &Known| known.artifact == artifact && known.version == version;
    if !last.as_ref().is_some_and(same) {
        let text = std::fs::read_to_string(places).ok()?;
        *last = Some(Known {
            artifact,
            version,
            text,
        });
    }
    places::find(&last.as_ref()?.text, line)
}
