//! The artifacts that engines may be told to run, and where their files lie: known to the hub alone. An engine that
//! lacks one asks for it, and gets it as an open file.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;

use super::EntryPoint;
use super::hub::State;
use crate::ids::{ArtifactId, EngineId};
use crate::wire::{Payload, PoolSpec, ToEngine};

/// All that were run: what an older one holds, a later cell may call.
#[derive(Default)]
pub struct Artifacts(HashMap<ArtifactId, PathBuf>);

impl State {
    /// What tells an engine to run the function.
    pub(super) fn run_message(&mut self, entry: EntryPoint, pools: Vec<PoolSpec>) -> ToEngine {
        let EntryPoint {
            artifact,
            file,
            symbol,
        } = entry;
        self.artifacts.0.insert(artifact, file);
        ToEngine::Run {
            artifact,
            entry: symbol,
            pools,
        }
    }

    /// Engines may ask for this one from now on.
    pub(super) fn know(&mut self, artifact: ArtifactId, file: PathBuf) {
        self.artifacts.0.insert(artifact, file);
    }

    /// The answer to an engine that lacks an artifact.
    pub(super) fn give_artifact(&mut self, engine: EngineId, artifact: ArtifactId) {
        let opened = match self.artifacts.0.get(&artifact) {
            Some(file) => File::open(file).map_err(|error| format!("{}: {error}", file.display())),
            None => Err("the session knows of no such artifact".to_owned()),
        };
        let (payload, why) = match opened {
            Ok(file) => (Payload::file(file.into()), String::new()),
            Err(why) => (Payload::None, why),
        };
        self.send(engine, &ToEngine::Artifact { artifact, why }, &payload);
    }
}
