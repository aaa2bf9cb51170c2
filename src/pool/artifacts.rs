//! The artifacts that engines may be told to run, and where their files lie: known to the hub alone. An engine that
//! lacks one asks for it, and gets it as an open file.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use super::EntryPoint;
use super::hub::State;
use crate::ids::{ArtifactId, EngineId, JobId};
use crate::wire::places::Places;
use crate::wire::{Payload, PoolSpec, Runs, Task, ToEngine};

/// All that were run: what an older one holds, a later cell may call.
#[derive(Default)]
pub struct Artifacts(HashMap<ArtifactId, Known>);

struct Known {
    file: Kept,
    /// As the cell has them that ran it last.
    places: Places,
}

enum Kept {
    /// A cell's, in the session's own folder.
    At(PathBuf),
    /// In a folder that others tidy, too.
    Open(Arc<OwnedFd>),
}

impl Artifacts {
    /// An artifact's open file, or why there is none.
    pub fn open(&self, artifact: ArtifactId) -> Result<Arc<OwnedFd>, String> {
        match self.0.get(&artifact) {
            Some(Known {
                file: Kept::At(file),
                ..
            }) => File::open(file)
                .map(|file| Arc::new(file.into()))
                .map_err(|error| format!("{}: {error}", file.display())),
            Some(Known {
                file: Kept::Open(file),
                ..
            }) => Ok(Arc::clone(file)),
            None => Err("the session knows of no such artifact".to_owned()),
        }
    }

    /// Where an artifact's lines stand.
    pub fn places(&self, artifact: ArtifactId) -> Places {
        let known = self.0.get(&artifact);
        known.map_or_else(Places::default, |known| known.places.clone())
    }

    /// What artifacts may call: by content, open.
    pub fn libraries(&self) -> Vec<(u128, Arc<OwnedFd>)> {
        let open = |(id, known): (&ArtifactId, &Known)| match &known.file {
            Kept::Open(file) => Some((id.content, Arc::clone(file))),
            Kept::At(_) => None,
        };
        self.0.iter().filter_map(open).collect()
    }
}

impl State {
    /// What tells an engine to run the function.
    pub(super) fn run_message(&mut self, entry: EntryPoint, pools: Vec<PoolSpec>) -> ToEngine {
        let EntryPoint {
            artifact,
            file,
            symbol,
            places,
        } = entry;
        let known = Known {
            file: Kept::At(file),
            places: places.clone(),
        };
        self.artifacts.0.insert(artifact, known);
        ToEngine::Run {
            artifact,
            entry: symbol,
            pools,
            places,
        }
    }

    /// Engines may ask for this one from now on.
    pub(super) fn know(&mut self, artifact: ArtifactId, file: Arc<OwnedFd>) {
        let known = Known {
            file: Kept::Open(file),
            places: Places::default(),
        };
        self.artifacts.0.insert(artifact, known);
    }

    /// What tells an engine what the chunks of a job run.
    pub(super) fn task_message(&self, job: JobId, task: Task) -> ToEngine {
        let Runs::Function(function) = task.runs;
        let places = self.artifacts.places(function.address.artifact);
        ToEngine::Task { job, task, places }
    }

    /// The answer to an engine that lacks an artifact.
    pub(super) fn give_artifact(&mut self, engine: EngineId, artifact: ArtifactId) {
        let (payload, why) = match self.artifacts.open(artifact) {
            Ok(file) => (Payload::Shared(file), String::new()),
            Err(why) => (Payload::None, why),
        };
        self.send(engine, &ToEngine::Artifact { artifact, why }, &payload);
    }
}
