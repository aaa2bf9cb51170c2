//! What rust-analyzer knows: the cell crate, the crates of `%dep`, the standard library, and one file that is
//! ours. It never writes to the folder in which cells are built.

use std::collections::HashMap;
use std::path::Path;
use std::{fs, io};

use ra_ap_ide::{Analysis, AnalysisHost, FileId, FilePosition, SourceRoot};
use ra_ap_ide_db::base_db::{AbsPathBuf, FileSet, VfsPath};
use ra_ap_ide_db::{ChangeWithProcMacros, FxHashMap};
use ra_ap_project_model::{CargoConfig, ProjectManifest, ProjectWorkspace, RustLibSource};

/// Deeper folders are none of a crate's sources.
const DEEPEST: usize = 24;

/// Loaded sources, and the text that questions are asked about.
pub struct World {
    host: AnalysisHost,
    files: Files,
    /// Ours: what questions are asked about.
    own: FileId,
    /// The manifest that the crates were loaded by.
    manifest: Vec<u8>,
}

impl World {
    /// Loads everything that cells built in `build` can name. `folder` is for the analysis alone.
    pub fn load(build: &Path, folder: &Path) -> Result<Self, String> {
        let own = absolute(&folder.join("src/lib.rs"))?;
        let mut files = Files::default();
        let mut world = Self {
            host: AnalysisHost::default(),
            own: files.name(&own).0,
            files,
            manifest: Vec::new(),
        };
        world.read_crates(build, folder)?;
        Ok(world)
    }

    /// Loads the crates again when there are others; whether there were.
    pub fn refresh(&mut self, build: &Path, folder: &Path) -> Result<bool, String> {
        let now = fs::read(build.join("Cargo.toml")).map_err(|error| error.to_string())?;
        if now == self.manifest {
            return Ok(false);
        }
        self.read_crates(build, folder)?;
        Ok(true)
    }

    /// Asks about a place in `text`, in bytes. The analysis must not outlive the question: the next change would
    /// wait for it for ever.
    pub fn ask<T: Default>(
        &mut self,
        text: String,
        at: usize,
        question: impl FnOnce(&Self, &Analysis, FilePosition) -> T,
    ) -> T {
        let mut change = ChangeWithProcMacros::default();
        change.change_file(self.own, Some(text));
        self.host.apply_change(change);
        let Ok(offset) = u32::try_from(at) else {
            return T::default();
        };
        let position = FilePosition {
            file_id: self.own,
            offset: offset.into(),
        };
        question(self, &self.host.analysis(), position)
    }

    /// Where a file is; `None` for our own.
    pub fn path(&self, file: FileId) -> Option<&str> {
        (file != self.own)
            .then(|| self.files.paths.get(file.index() as usize))
            .flatten()
            .map(|path| path.as_str())
    }

    fn read_crates(&mut self, build: &Path, folder: &Path) -> Result<(), String> {
        let manifest = copy_manifest(build, folder)
            .map_err(|error| format!("the cells' manifest cannot be read: {error}"))?;
        let path = absolute(&folder.join("Cargo.toml"))?;
        let loaded = ProjectManifest::from_manifest_file(path)
            .and_then(|manifest| ProjectWorkspace::load(manifest, &config(), &|_| {}));
        let workspace = loaded.map_err(|error| format!("{error:#}"))?;

        let mut change = ChangeWithProcMacros::default();
        change.change_file(self.own, Some(String::new()));
        for root in workspace.to_roots() {
            let mut found = Vec::new();
            let skipped = |path: &Path| {
                root.exclude
                    .iter()
                    .any(|out| path == Path::new(out.as_str()))
            };
            for include in &root.include {
                // A folder that is not there has nothing to say.
                let _ = rust_files(Path::new(include.as_str()), &skipped, DEEPEST, &mut found);
            }
            for path in found {
                let (file, new) = self.files.name(&path);
                if new && let Ok(text) = fs::read_to_string(path.as_str()) {
                    change.change_file(file, Some(text));
                }
            }
        }
        change.set_roots(self.files.roots(self.own));
        let files = &self.files;
        let (crates, _) =
            workspace.to_crate_graph(&mut |path| files.find(path.as_str()), &FxHashMap::default());
        change.set_crate_graph(crates);
        self.host.apply_change(change);
        self.manifest = manifest;
        Ok(())
    }
}

/// The files by the numbers under which rust-analyzer knows them.
#[derive(Default)]
struct Files {
    paths: Vec<AbsPathBuf>,
    numbers: HashMap<AbsPathBuf, FileId>,
}

impl Files {
    /// The file's number, and whether it is a new one.
    fn name(&mut self, path: &AbsPathBuf) -> (FileId, bool) {
        if let Some(known) = self.numbers.get(path) {
            return (*known, false);
        }
        let number = FileId::from_raw(u32::try_from(self.paths.len()).unwrap_or(0));
        self.paths.push(path.clone());
        self.numbers.insert(path.clone(), number);
        (number, true)
    }

    fn find(&self, path: &str) -> Option<FileId> {
        let path = AbsPathBuf::try_from(path).ok()?;
        self.numbers.get(&path).copied()
    }

    /// Our own file, and the libraries: what never changes is not looked at again with each question.
    fn roots(&self, own: FileId) -> Vec<SourceRoot> {
        let (mut ours, mut libraries) = (FileSet::default(), FileSet::default());
        for (path, &number) in &self.numbers {
            let set = if number == own {
                &mut ours
            } else {
                &mut libraries
            };
            set.insert(number, VfsPath::from(path.clone()));
        }
        vec![
            SourceRoot::new_local(ours),
            SourceRoot::new_library(libraries),
        ]
    }
}

fn config() -> CargoConfig {
    CargoConfig {
        sysroot: Some(RustLibSource::Discover),
        // What cells were built from is there; the prompt waits for no network.
        extra_env: [("CARGO_NET_OFFLINE".to_owned(), Some("true".to_owned()))]
            .into_iter()
            .collect(),
        ..CargoConfig::default()
    }
}

/// The cells' manifest and lock file in our own folder, where cargo may write beside them; gives the manifest.
fn copy_manifest(build: &Path, folder: &Path) -> io::Result<Vec<u8>> {
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("src/lib.rs"), "")?;
    // Without one, cargo makes its own choice among what is there.
    let _ = fs::copy(build.join("Cargo.lock"), folder.join("Cargo.lock"));
    let manifest = fs::read(build.join("Cargo.toml"))?;
    fs::write(folder.join("Cargo.toml"), &manifest)?;
    Ok(manifest)
}

fn absolute(path: &Path) -> Result<AbsPathBuf, String> {
    let text = path.to_str().ok_or("the folder's name is not UTF-8")?;
    AbsPathBuf::try_from(text).map_err(|path| format!("{path} is not absolute"))
}

fn rust_files(
    folder: &Path,
    skipped: &dyn Fn(&Path) -> bool,
    depth: usize,
    found: &mut Vec<AbsPathBuf>,
) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // By what a link leads to, as cargo has it.
        let is_folder = path.is_dir();
        if is_folder && depth > 0 && !skipped(&path) {
            let _ = rust_files(&path, skipped, depth - 1, found);
        } else if !is_folder && path.extension().is_some_and(|extension| extension == "rs") {
            found.extend(absolute(&path));
        }
    }
    Ok(())
}
