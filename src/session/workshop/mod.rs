//! The workshop: everything that turns text into artifacts. It has the compiler, what cells have defined, the
//! crates and settings that they are built with, and what was compiled before. It knows of no engine.

use std::collections::BTreeMap;

use super::cache::Cache;
use super::namespace::{Definitions, Namespace};
use crate::compiler::toolchain::Toolchain;
use crate::compiler::{Compiler, Setting, State};

pub struct Workshop {
    pub(super) compiler: Compiler,
    pub(super) toolchain: Toolchain,
    /// `None` until the compiler is warm.
    pub(super) root: Option<Namespace>,
    /// States of a compiler that has died, and what they are in the one that there is now.
    pub(super) retellings: Vec<(State, State)>,
    pub(super) definitions: Definitions,
    /// The crates of `%dep`, and what stands behind their names.
    pub(super) crates: BTreeMap<String, String>,
    pub(super) cache: Cache,
    /// Changes with crates and settings.
    pub(super) settings_version: u64,
    /// Changes when the user has edited a crate.
    pub(super) sources: u64,
    pub(super) settings: Vec<Setting>,
}

impl Workshop {
    /// Starts the compiler's warm-up, and does not wait for it. With `outlives` the compiler may have served other
    /// sessions, and may serve others later.
    pub fn start(toolchain: Toolchain, outlives: bool) -> Self {
        Self {
            compiler: Compiler::start(&toolchain, outlives),
            toolchain,
            root: None,
            retellings: Vec::new(),
            definitions: Definitions::default(),
            crates: BTreeMap::new(),
            cache: Cache::default(),
            settings_version: 0,
            sources: 0,
            settings: Vec::new(),
        }
    }
}
