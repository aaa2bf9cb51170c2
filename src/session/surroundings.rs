//! The user's environment and working folder: of this session's commands, and of every engine.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::Session;
use crate::outcome::Report;
use crate::pool::JobRecord;

/// What the user has changed.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    environment: BTreeMap<String, Option<String>>,
    /// Where `%cd -` leads.
    before: Option<PathBuf>,
}

impl Surroundings {
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        let value = value.map(str::to_owned);
        self.environment.insert(name.to_owned(), value);
    }
}

impl Session {
    /// How the environment of the user's programs differs from this process's.
    pub(super) fn environment(&self) -> Vec<(String, Option<OsString>)> {
        let changed = self.surroundings.environment.iter();
        changed
            .map(|(name, value)| (name.clone(), value.clone().map(Into::into)))
            .collect()
    }

    /// A folder for files that are to be gone with it, or with the session.
    pub fn temporary_folder(&self) -> std::io::Result<TempDir> {
        match self.workshop.temporary() {
            Some(folder) => tempfile::tempdir_in(folder),
            None => tempfile::tempdir(),
        }
    }

    /// Every variable of the environment that the user's programs see, sorted by name.
    pub fn environment_variables(&self) -> BTreeMap<String, String> {
        let text = |value: OsString| value.to_string_lossy().into_owned();
        let mut variables: BTreeMap<String, String> = std::env::vars_os()
            .map(|(name, value)| (text(name), text(value)))
            .collect();
        for (name, value) in self.environment() {
            match value {
                Some(value) => variables.insert(name, text(value)),
                None => variables.remove(&name),
            };
        }
        variables
    }

    /// One of them.
    pub fn environment_variable(&self, name: &str) -> Option<String> {
        self.environment_variables().remove(name)
    }

    /// Sets a variable of the environment, or removes it, for cells on all engines and for shell commands.
    pub fn set_environment(&mut self, name: &str, value: Option<&str>) -> Result<(), Report> {
        // Setting one while another thread reads it is no Rust.
        if let Some(JobRecord { job, .. }) = self.crew.jobs_on_threads().next() {
            let what = format!(
                "job {job} runs on threads of the local engine, which may read the environment"
            );
            let hint = format!("`%wait {job}` waits for its end, `%cancel {job}` ends it");
            return Err(Report::usage(what).hint(hint));
        }
        self.surroundings.set(name, value);
        self.crew.hub().set_environment(name, value);
        self.crew.children.set_environment(self.environment());
        Ok(())
    }

    /// Goes to another folder, with all engines, and gives its whole path. `None` is the home folder, `-` the
    /// one before.
    pub fn change_folder(&mut self, to: Option<&str>) -> Result<PathBuf, Report> {
        let here = std::env::current_dir().ok();
        let home = || dirs::home_dir().ok_or_else(|| Report::usage("there is no home folder"));
        let to = match to {
            None | Some("~") => home()?,
            Some("-") => self.surroundings.before.clone().ok_or_else(|| {
                Report::usage("there is no folder to go back to").hint("`%cd` goes home")
            })?,
            Some(path) => match path.strip_prefix("~/") {
                Some(rest) => home()?.join(rest),
                None => Path::new(path).to_owned(),
            },
        };
        let gone = std::env::set_current_dir(&to).and_then(|()| std::env::current_dir());
        let there = gone.map_err(|error| {
            Report::usage(format!("cannot go to {}: {error}", to.display()))
                .hint("`!ls` lists this folder")
        })?;
        if here.as_ref() != Some(&there) {
            self.surroundings.before = here;
        }
        self.crew.homeless.clear();
        self.crew.hub().change_folder(there.clone());
        Ok(there)
    }
}
