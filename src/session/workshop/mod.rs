//! The workshop: everything that turns text into artifacts. It has the compiler, what cells have defined, the
//! crates and settings that they are built with, and what was compiled before. It runs nothing.

mod blocks;
mod cache;
mod compile;
mod crates;
mod definitions;
mod places;
mod retold;
mod settings;
mod sources;
mod waiting;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::task::Waker;
use std::time::Duration;

pub use compile::Ready;
pub use crates::{Now, added_now, as_entered, folder_of};
pub use definitions::{Definitions, external_crate};
pub use waiting::Meanwhile;

use crate::compiler::toolchain::Toolchain;
use crate::compiler::{Analyst, Compiler, Dependency, Setting, State, Warmth};
use crate::session::namespace::Namespace;
use cache::Cache;
use settings::Settings;

pub struct Workshop {
    compiler: Compiler,
    toolchain: Toolchain,
    /// `None` until the compiler is warm.
    root: Option<Namespace>,
    /// States of a compiler that has died, and what they are in the one that there is now.
    retellings: Vec<(State, State)>,
    definitions: Definitions,
    /// The crates of `%dep`, and what stands behind their names.
    crates: BTreeMap<String, String>,
    /// The same with the folders of those of the user's.
    placed: BTreeMap<String, Dependency>,
    cache: Cache,
    /// Changes with crates and settings.
    settings_version: u64,
    /// Changes when the user has edited a crate.
    sources: u64,
    settings: Settings,
    /// Time in which the compiler was waited for since the cell began.
    spent: Duration,
}

impl Workshop {
    /// Starts the compiler's warm-up, and does not wait for it. With `outlives` the compiler may have served other
    /// sessions, and may serve others later. `waker`: of whoever waits for it.
    pub fn start(toolchain: Toolchain, outlives: bool, waker: Waker) -> Self {
        Self {
            compiler: Compiler::start(&toolchain, outlives, waker),
            toolchain,
            root: None,
            retellings: Vec::new(),
            definitions: Definitions::default(),
            crates: BTreeMap::new(),
            placed: BTreeMap::new(),
            cache: Cache::default(),
            settings_version: 0,
            sources: 0,
            settings: Settings::default(),
            spent: Duration::ZERO,
        }
    }

    pub fn toolchain(&self) -> &Toolchain {
        &self.toolchain
    }

    pub fn warmth(&self) -> Warmth {
        self.compiler.warmth()
    }

    /// Who knows the names that code can use, and what they mean.
    pub fn analyst(&self) -> &Analyst {
        self.compiler.analyst()
    }

    pub fn definitions(&self) -> &Definitions {
        &self.definitions
    }

    /// A folder for files that are gone with the session, however it ends.
    pub fn temporary(&self) -> Option<PathBuf> {
        self.compiler.temporary()
    }

    /// Time in which the compiler was waited for since the cell began.
    pub fn spent(&self) -> Duration {
        self.spent
    }

    /// A cell begins.
    pub fn begin_cell(&mut self) {
        self.spent = Duration::ZERO;
    }

    /// Changes a setting of the compiler for all later cells.
    pub fn configure(&mut self, setting: Setting) {
        self.settings.set(setting.clone());
        self.settings_version += 1;
        // Takes effect in the order of requests, so nobody need wait for the answer.
        drop(self.compiler.configure(setting));
    }

    pub fn settings(&self) -> &[Setting] {
        self.settings.now()
    }

    /// Whether some of what was compiled, or will be, is for this host's processor alone.
    pub fn is_for_this_processor(&self) -> bool {
        self.settings.has_native()
    }

    /// Forgets what cells have defined.
    pub fn forget_all(&mut self) {
        self.definitions.clear();
        self.cache.clear();
        self.settings.forget_compiled();
    }
}
