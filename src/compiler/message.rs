//! What a session and its compiler's process say to each other. Frames go by the wire's rules: a header in
//! postcard; a question has a number, and its answer has the same.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::analysis::{Found, Name, Place, Question, Scenes};
use super::{Artifact, CompileError, Setting, Source};

/// The number of a question.
pub type Id = u64;

/// The number of a namespace's state. The compiler gives it.
pub type StateId = u64;

/// From the session to the compiler.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToCompiler {
    /// To a compiler that waits: serve this session.
    Serve,
    /// To a compiler that waits: it is wanted no longer.
    End,
    /// The first message of a session: what it begins with. Only a compiler of its own begins with anything.
    Begin(Beginning),
    Compile {
        id: Id,
        source: Source,
        state: StateId,
    },
    /// The state without these variables.
    Forget {
        id: Id,
        names: Vec<String>,
        state: StateId,
    },
    AddCrate {
        id: Id,
        name: String,
        config: String,
    },
    Configure {
        id: Id,
        setting: Setting,
    },
    /// Nobody needs the state any more.
    Free(StateId),
    Scenes(Scenes),
    Prompt,
    Names {
        id: Id,
        place: Place,
    },
    Docs {
        id: Id,
        question: Question,
    },
}

/// What a session has when its compiler begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beginning {
    /// It goes on in the folder of one that has died.
    pub adopts: bool,
    /// The crates that its namespaces had: lines of a manifest.
    pub crates: Vec<String>,
    pub settings: Vec<Setting>,
}

/// From the compiler to the session.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromCompiler {
    /// The first message: who answers, and the folder in which it builds. Payload: what keeps the folder's cleaner
    /// from its work.
    Hello {
        pid: u32,
        folder: PathBuf,
    },
    /// The compiler is warm; this is the state from which every namespace starts.
    Ready(StateId),
    /// It will never be.
    Failed(String),
    Compiled {
        id: Id,
        answer: Result<Made, CompileError>,
    },
    Names {
        id: Id,
        names: Vec<Name>,
    },
    Docs {
        id: Id,
        found: Result<Found, String>,
    },
    /// There will be no answer to this question.
    Nothing {
        id: Id,
    },
    /// Cargo builds this crate.
    Building(String),
    /// What is for the user's standard error.
    Stderr(Vec<u8>),
}

/// What a compilation makes.
#[derive(Debug, Serialize, Deserialize)]
pub struct Made {
    pub artifact: Artifact,
    /// The state after the cell.
    pub after: StateId,
    /// Its variables with their types.
    pub variables: BTreeMap<String, String>,
    /// The crates that there are now: lines of a manifest.
    pub crates: Vec<String>,
}
