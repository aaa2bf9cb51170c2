//! What a compilation makes: a shared object with an entry, named by its content and its toolchain.

use std::path::{Path, PathBuf};

use evcxr::EvalContext;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::message::Beginning;
use super::{CompileError, refusal, relay, toolchain};
use crate::ids::ArtifactId;

/// A cell compiled to a shared object.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    pub id: ArtifactId,
    /// Where it lies on this host.
    pub so: PathBuf,
    /// The entry function's symbol.
    pub entry: String,
    /// The generated source, whose lines a panic's place is one of.
    pub source: String,
}

/// Forgets which artifact the relay was asked to run.
pub fn clear(folder: &Path) {
    // It is not there before the first request.
    let _ = std::fs::remove_file(folder.join(relay::ARTIFACT_FILE));
}

/// The artifact that the relay was asked to run last; evcxr may have tried more than one.
pub fn last(
    folder: &Path,
    context: &EvalContext,
    beginning: &Beginning,
) -> Result<Artifact, CompileError> {
    let told = std::fs::read_to_string(folder.join(relay::ARTIFACT_FILE))
        .map_err(|_| CompileError::Trouble("nothing was compiled".to_owned()))?;
    let (so, entry) = told
        .rsplit_once(' ')
        .ok_or_else(|| CompileError::Trouble(format!("the relay said {told:?}")))?;
    let source = refusal::source(context);
    let mut so = PathBuf::from(so);
    if beginning.adopts {
        // evcxr's numbers begin anew, and engines have loaded those of the compiler before.
        let own = so.with_extension(format!("{}.so", std::process::id()));
        std::fs::rename(&so, &own).map_err(|error| CompileError::Trouble(error.to_string()))?;
        so = own;
    }
    let content = std::fs::read(&so).map_err(|error| CompileError::Trouble(error.to_string()))?;
    let sysroot = std::env::var_os(toolchain::SYSROOT_VARIABLE).unwrap_or_default();
    let id = ArtifactId {
        content: xxh3_128(&content),
        toolchain: toolchain::stamp(Path::new(&sysroot)),
    };
    Ok(Artifact {
        id,
        so,
        entry: entry.to_owned(),
        source,
    })
}
