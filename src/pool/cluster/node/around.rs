//! What an engine of a node has around it before it does anything: its environment, its folder, and what its session has it run
//! first. One that the node starts in its place has the same.

use std::path::{Path, PathBuf};

use super::super::message::Content;
use crate::pool::process::Environment;
use crate::wire::ToEngine;

#[derive(Clone, Default)]
pub struct Around {
    pub environment: Environment,
    pub folder: Option<PathBuf>,
    first: Option<ToEngine>,
}

impl Around {
    pub fn new(environment: Environment, folder: Option<PathBuf>) -> Self {
        Self {
            environment,
            folder,
            first: None,
        }
    }

    pub fn begins_with(&mut self, run: ToEngine) {
        self.first = Some(run);
    }

    /// What it runs first.
    pub fn first(&self) -> Option<&ToEngine> {
        self.first.as_ref()
    }

    /// Whether that is this.
    pub fn needs(&self, content: Content) -> bool {
        match &self.first {
            Some(ToEngine::Run { artifact, .. }) => content == Content::Artifact(artifact.content),
            _ => false,
        }
    }

    /// The session says this to the engine.
    pub fn is_told(&mut self, message: &ToEngine) {
        match message {
            ToEngine::Environment { name, value } => self.environment.set(name, value.as_deref()),
            ToEngine::Folder { path, .. } => self.folder = Some(path.clone()),
            _ => {}
        }
    }

    /// The engine could not go where it was told to.
    pub fn stays(&mut self, folder: &Path) {
        self.folder = Some(folder.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ArtifactId, ToolchainStamp};

    #[test]
    fn what_an_engine_is_told_is_around_the_next_one() {
        let before = vec![("A".to_owned(), Some("1".to_owned()))];
        let mut around = Around::new(before.into(), Some("/home".into()));
        let variable = |name: &str, value: Option<&str>| ToEngine::Environment {
            name: name.to_owned(),
            value: value.map(str::to_owned),
        };
        around.is_told(&variable("B", Some("2")));
        around.is_told(&variable("A", None));
        let asked = true;
        around.is_told(&ToEngine::Folder {
            path: "/nowhere".into(),
            asked,
        });
        around.stays(Path::new("/home"));
        let artifact = ArtifactId {
            content: 7,
            toolchain: ToolchainStamp(0),
        };
        assert!(!around.needs(Content::Artifact(7)));
        around.begins_with(ToEngine::Run {
            artifact,
            entry: "first".to_owned(),
            pools: Vec::new(),
            places: Default::default(),
        });
        let next = around.clone();
        let changes = next.environment.changes();
        let expected = [("A", None), ("B", Some("2"))];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.map(str::to_owned)));
        assert_eq!(changes, expected);
        assert_eq!(next.folder.as_deref(), Some(Path::new("/home")));
        assert!(next.first().is_some() && next.needs(Content::Artifact(7)));
        assert!(!next.needs(Content::Artifact(8)) && !next.needs(Content::Capture(7)));
    }
}
