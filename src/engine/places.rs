//! Where in the user's cells a line of an artifact's source stands.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::{Mutex, PoisonError};

use super::loader::home_of;
use crate::ids::ArtifactId;
use crate::wire::places::{Place, Places, SOURCE};

/// Those of each artifact, as the cell has them that ran it last. Any thread may panic in any of them.
static KNOWN: Mutex<BTreeMap<ArtifactId, Places>> = Mutex::new(BTreeMap::new());

/// The places of an artifact that is to run.
pub fn know(artifact: ArtifactId, places: Places) {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.insert(artifact, places);
}

/// The place of `line` in the source `file`, whose name lies in the memory of the artifact that says it.
pub fn place(file: &str, line: u32) -> Option<Place> {
    if file != SOURCE {
        return None;
    }
    let artifact = home_of(file.as_ptr().cast::<c_void>())?.artifact?;
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.get(&artifact)?.find(line)
}
