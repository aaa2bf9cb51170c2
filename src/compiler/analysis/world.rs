//! What rust-analyzer knows: the cell crate, the crates of `%dep`, the standard library, and one file that is
//! ours. It never writes to the folder in which cells are built.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::{fs, io};

use ra_ap_ide::{Analysis, AnalysisHost, FileId, FilePosition, SourceRoot};
use ra_ap_ide_db::base_db::{AbsPathBuf, FileSet, VfsPath};
use ra_ap_ide_db::{ChangeWithProcMacros, FxHashMap, RootDatabase};
use ra_ap_project_model::{
    CargoConfig, ProjectManifest, ProjectWorkspace, ProjectWorkspaceKind, RustLibSource,
};

use crate::compiler::cell_crate;

/// What the package of cells is called in its manifest.
const PACKAGE: &str = "name = \"ctx\"";

/// What stands before the crates in a manifest of evcxr's.
const DEPENDENCIES: &str = "[dependencies]\n";

/// Deeper folders are none of a crate's sources.
const DEEPEST: usize = 24;

/// Loaded sources, and the text that questions are asked about.
pub struct World {
    host: AnalysisHost,
    files: Files,
    /// Ours: what questions are asked about.
    own: FileId,
    /// Where the standard library's sources are.
    library: PathBuf,
    /// The crates that were loaded: the lines of a manifest.
    crates: BTreeSet<String>,
}

impl World {
    /// Loads everything that cells can name: these crates, written as in a manifest, and the standard library of
    /// which `library` are the sources. `folder` is for the analysis alone.
    pub fn load(crates: &str, library: &Path, folder: &Path) -> Result<Self, String> {
        let own = absolute(&folder.join("src/lib.rs"))?;
        let mut files = Files::default();
        let mut world = Self {
            host: AnalysisHost::default(),
            own: files.name(&own).0,
            files,
            library: library.to_owned(),
            crates: BTreeSet::new(),
        };
        world.read_crates(crates, cell_crate::LOCK.as_bytes(), folder)?;
        Ok(world)
    }

    /// Loads the crates again when cells are built with others in `build`; whether they were.
    pub fn refresh(&mut self, build: &Path, folder: &Path) -> Result<bool, String> {
        let manifest = fs::read_to_string(build.join("Cargo.toml")).unwrap_or_default();
        // Not there yet, or evcxr just looks whether there is such a crate.
        let Some(now) = manifest
            .split_once(DEPENDENCIES)
            .filter(|(package, _)| package.contains(PACKAGE))
            .map(|(_, crates)| crates)
            .filter(|crates| lines(crates) != self.crates)
        else {
            return Ok(false);
        };
        // Without one, cargo makes its own choice among what is there.
        let lock = fs::read(build.join("Cargo.lock")).unwrap_or_default();
        self.read_crates(now, &lock, folder)?;
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
        match self.about(text, at) {
            Some((analysis, position)) => question(self, &analysis, position),
            None => T::default(),
        }
    }

    /// The analysis of `text` and a place in it, in bytes. The next question ends what is asked of it.
    pub fn about(&mut self, text: String, at: usize) -> Option<(Analysis, FilePosition)> {
        let (_, file_id) = self.with(text);
        let offset = u32::try_from(at).ok()?.into();
        Some((self.host.analysis(), FilePosition { file_id, offset }))
    }

    /// What there is to know when our own file has this text, and the file's number.
    pub fn with(&mut self, text: String) -> (&RootDatabase, FileId) {
        let mut change = ChangeWithProcMacros::default();
        change.change_file(self.own, Some(text));
        self.host.apply_change(change);
        (self.host.raw_database(), self.own)
    }

    /// Where a file is; `None` for our own.
    pub fn path(&self, file: FileId) -> Option<&str> {
        (file != self.own)
            .then(|| self.files.paths.get(file.index() as usize))
            .flatten()
            .map(|path| path.as_str())
    }

    fn read_crates(&mut self, crates: &str, lock: &[u8], folder: &Path) -> Result<(), String> {
        write_manifest(crates, lock, folder)
            .map_err(|error| format!("the libraries' manifest cannot be written: {error}"))?;
        let path = absolute(&folder.join("Cargo.toml"))?;
        let config = config(absolute(&self.library)?);
        let loaded = ProjectManifest::from_manifest_file(path)
            .and_then(|manifest| ProjectWorkspace::load(manifest, &config, &|_| {}));
        let workspace = loaded.map_err(|error| format!("{error:#}"))?;
        is_whole(&workspace)?;

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
        let (graph, _) =
            workspace.to_crate_graph(&mut |path| files.find(path.as_str()), &FxHashMap::default());
        change.set_crate_graph(graph);
        self.host.apply_change(change);
        self.crates = lines(crates);
        Ok(())
    }
}

/// An error where rust-analyzer makes do with less, for which it asks nobody again: without the crates, when cargo does not
/// tell which there are.
fn is_whole(workspace: &ProjectWorkspace) -> Result<(), String> {
    if workspace.sysroot.root().is_none() {
        return Err("rustc does not tell where its libraries are".to_owned());
    }
    match &workspace.kind {
        ProjectWorkspaceKind::Cargo {
            error: Some(error), ..
        } => Err(format!("{error:#}")),
        _ => Ok(()),
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

fn config(library: AbsPathBuf) -> CargoConfig {
    CargoConfig {
        sysroot: Some(RustLibSource::Discover),
        sysroot_src: Some(library),
        // What cells were built from is there; the prompt waits for no network.
        extra_env: [("CARGO_NET_OFFLINE".to_owned(), Some("true".to_owned()))]
            .into_iter()
            .collect(),
        ..CargoConfig::default()
    }
}

fn lines(crates: &str) -> BTreeSet<String> {
    crates.lines().map(str::to_owned).collect()
}

/// A manifest like that of the cells, in our own folder, where cargo may write beside it.
fn write_manifest(crates: &str, lock: &[u8], folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("src/lib.rs"), "")?;
    fs::write(folder.join("Cargo.lock"), lock)?;
    let package = "version = \"1.0.0\"\nedition = \"2024\"\n";
    let manifest = format!("[package]\n{PACKAGE}\n{package}\n{DEPENDENCIES}{crates}");
    fs::write(folder.join("Cargo.toml"), manifest)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_that_cargo_does_not_know_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let library = crate::compiler::rust_src::stand_in().unwrap();
        let load = |crates: &str| World::load(crates, &library, &folder.path().join("analysis"));
        assert!(load("").is_ok());
        let why = load("gone = { path = \"/nowhere/at/all\" }\n")
            .err()
            .unwrap();
        assert!(why.contains("/nowhere/at/all"), "{why}");
    }
}
