//! A cell's build without cargo. When the manifest, the settings and the built crates are those of a build that
//! cargo has done before, all that is left to do is to run rustc as it did then. What cargo did is recorded in the
//! target folder, so that it travels with the built crates from session to session (see `template`).

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::SystemTime;

use super::super::wrapper::{self, CELL_CRATE, Cell, Compiled};
use super::linker::Linker;
use super::messages::{self, Said};
use super::record::{RECORDS, Record, Run, checking, made_in, number};
use super::{Surroundings, Tool};

/// In the target folder: what is left of checks.
const CHECKED: &str = "regatta-checked";

/// Set for a build whose result nobody loads: it need not be made, when nothing but the cell is new.
pub const NOT_LOADED_VARIABLE: &str = "REGATTA_NOT_LOADED";

/// Without this crate in the manifest, it is evcxr's own trial, whose result nobody loads.
const LOADED: &str = "regatta-cell";

/// Cargo's exit status for a crate that does not compile.
const REFUSED: u8 = 101;

/// Errors that say that the crates are not those of the record after all.
const OTHER_CRATES: [&str; 5] = ["E0460", "E0461", "E0462", "E0463", "E0514"];

/// How rustc words that it could not link.
const UNLINKED: &str = "linking with";

/// Builds or checks the cell in the working folder. `None` when cargo is not asked for just that, or cannot be asked.
pub fn build(tool: Tool, arguments: &[OsString]) -> Option<ExitCode> {
    let build = Build::asked(tool, arguments)?;
    if build.only_checked {
        return build.checked(&build.record()?);
    }
    if !build.manifest.contains(LOADED) {
        let file = build
            .target
            .join(&build.triple)
            .join("debug")
            .join(wrapper::SHARED_OBJECT);
        return Some(code(build.without_result(&file)));
    }
    match build.record() {
        Some(record) => build.without_cargo(&record),
        None => build.with_cargo(arguments),
    }
}

fn code(done: io::Result<ExitCode>) -> ExitCode {
    done.unwrap_or_else(|error| {
        wrapper::tell(&format!("error: the cell cannot be built: {error}"));
        ExitCode::from(REFUSED)
    })
}

/// What cargo is asked for.
struct Build {
    folder: PathBuf,
    target: PathBuf,
    triple: String,
    manifest: String,
    /// Where the record of this very build is.
    place: PathBuf,
    not_loaded: bool,
    /// What is wanted are rustc's messages alone.
    only_checked: bool,
    since: SystemTime,
}

impl Build {
    fn asked(tool: Tool, arguments: &[OsString]) -> Option<Self> {
        let words: Vec<&str> = arguments
            .iter()
            .map(|word| word.to_str())
            .collect::<Option<_>>()?;
        // Whether there is a network does not matter to crates that are built.
        let words = words.strip_prefix(&["--offline"]).unwrap_or(&words);
        let [
            verb @ ("build" | "check"),
            "--target",
            triple,
            "--message-format=json",
        ] = words
        else {
            return None;
        };
        let only_checked = *verb == "check";
        if tool != Tool::Cargo || std::env::var_os("CARGO_TARGET_DIR")? != "target" {
            return None;
        }
        let folder = std::env::current_dir().ok()?;
        let target = folder.join("target");
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).ok()?;
        let mut surroundings = Surroundings::new();
        if !surroundings.configuration(&folder) {
            return None;
        }
        surroundings.manifests_above(&folder);
        surroundings.text(triple);
        surroundings.text(&sorted(&manifest));
        let place = target
            .join(RECORDS)
            .join(format!("{:016x}", surroundings.number()));
        Some(Self {
            triple: (*triple).to_owned(),
            not_loaded: std::env::var_os(NOT_LOADED_VARIABLE)
                .is_some_and(|value| !value.is_empty()),
            only_checked,
            since: SystemTime::now(),
            folder,
            target,
            manifest,
            place,
        })
    }

    fn lock(&self) -> PathBuf {
        self.folder.join("Cargo.lock")
    }

    fn record(&self) -> Option<Record> {
        Record::read(&self.place, &self.lock())
    }

    /// A result that nobody loads.
    fn without_result(&self, file: &Path) -> io::Result<ExitCode> {
        fs::create_dir_all(file.parent().unwrap_or(&self.target))?;
        fs::write(file, "")?;
        let told = messages::shared_object(file, CELL_CRATE);
        writeln!(io::stdout(), "{told}")?;
        Ok(ExitCode::SUCCESS)
    }

    /// Runs rustc as cargo did. `None` when it turns out that the crates are others.
    fn without_cargo(&self, record: &Record) -> Option<ExitCode> {
        let result = record.artifact["filenames"][0]
            .as_str()
            .map(PathBuf::from)?;
        if self.not_loaded {
            return Some(code(self.without_result(&result)));
        }
        let rustc = record.run.rustc();
        let arguments = record.run.uncoloured();
        let cell = match Cell::read(&rustc, &arguments) {
            Ok(Some(cell)) => cell,
            Ok(None) => return None,
            Err(error) => return Some(code(Err(error))),
        };
        let made = made_in(&arguments)?;
        // The last cell's is the same file, under another name.
        if let Err(error) = fs::remove_file(&made)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Some(code(Err(error)));
        }
        let linker = Linker::known(&self.target.join(RECORDS), &self.triple, &record.run);
        let compiled = self.compiled(linker, |linker| cell.compile(&rustc, &arguments, linker));
        let compiled = match compiled {
            Ok(compiled) => compiled,
            Err(error) => return Some(code(Err(error))),
        };
        let said: Vec<Said> = compiled
            .lines
            .iter()
            .map(|line| messages::message(line, &record.artifact))
            .collect();
        if !compiled.status.success() && said.iter().any(is_of_other_crates) {
            let _ = fs::remove_file(&self.place);
            return None;
        }
        Some(code(tell(said).and_then(|()| {
            if !compiled.status.success() {
                wrapper::tell(&format!(
                    "error: could not compile `{CELL_CRATE}` (lib): rustc ended with {}",
                    compiled.status
                ));
                return Ok(ExitCode::from(REFUSED));
            }
            link(&made, &result)?;
            writeln!(io::stdout(), "{}", record.artifact)?;
            Ok(ExitCode::SUCCESS)
        })))
    }

    /// Compiles with the linker, and with `cc` where that fails.
    fn compiled(
        &self,
        linker: Option<Linker>,
        compile: impl Fn(Option<&Linker>) -> io::Result<Compiled>,
    ) -> io::Result<Compiled> {
        let compiled = compile(linker.as_ref())?;
        let unlinked = compiled.lines.iter().any(|line| line.contains(UNLINKED));
        let Some(linker) = linker.filter(|_| !compiled.status.success() && unlinked) else {
            return Ok(compiled);
        };
        let compiled = compile(None)?;
        if compiled.status.success() {
            linker.has_failed(&self.target.join(RECORDS));
        }
        Ok(compiled)
    }

    /// Has rustc tell what is wrong with the cell, which it can with the crates as they are built: cargo would have
    /// it check all of them first.
    fn checked(&self, record: &Record) -> Option<ExitCode> {
        let beside = self.target.join(CHECKED);
        fs::create_dir_all(&beside).ok()?;
        let arguments = checking(&record.run.uncoloured(), &beside);
        let output = record.run.rustc().command().args(arguments).output().ok()?;
        let told = String::from_utf8_lossy(&output.stderr);
        let said: Vec<Said> = told
            .lines()
            .map(|line| messages::message(line, &record.artifact))
            .collect();
        if said.iter().any(is_of_other_crates) {
            return None;
        }
        let refused = ExitCode::from(REFUSED);
        Some(code(tell(said).map(|()| {
            if output.status.success() {
                ExitCode::SUCCESS
            } else {
                refused
            }
        })))
    }

    /// Has cargo do it, and records what it did.
    fn with_cargo(&self, arguments: &[OsString]) -> Option<ExitCode> {
        let lock_before = fs::read_to_string(self.lock()).map_or(0, |lock| number(&lock));
        let run = tempfile::NamedTempFile::new().ok()?;
        let mut cargo = Tool::Cargo
            .real()
            .args(arguments)
            .env(wrapper::RECORD_VARIABLE, run.path())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut said = String::new();
        if let Some(stdout) = cargo.stdout.take() {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if writeln!(io::stdout(), "{line}").is_err() {
                    break;
                }
                said.push_str(&line);
                said.push('\n');
            }
        }
        let status = cargo.wait().ok()?;
        if status.success() {
            // Without a record, cargo does the next one as well.
            let _ = self.keep(run.path(), lock_before, &said);
        }
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        Some(ExitCode::from(code.unwrap_or(REFUSED)))
    }

    fn keep(&self, run: &Path, lock_before: u64, said: &str) -> io::Result<()> {
        let run: Run = serde_json::from_slice(&fs::read(run)?)?;
        let lock = (lock_before, fs::read_to_string(self.lock())?);
        let session = self.folder.parent().unwrap_or(&self.folder);
        if let Some(record) = Record::of(run, said, session, self.since, lock) {
            record.keep(&self.place)?;
            // It travels with the record.
            let _ = Linker::known(&self.target.join(RECORDS), &self.triple, &record.run);
        }
        Ok(())
    }
}

fn is_of_other_crates(said: &Said) -> bool {
    match said {
        Said::Message(message) => message["message"]["code"]["code"]
            .as_str()
            .is_some_and(|code| OTHER_CRATES.contains(&code)),
        _ => false,
    }
}

/// Puts the result where cargo has it.
fn link(made: &Path, result: &Path) -> io::Result<()> {
    match fs::remove_file(result) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::hard_link(made, result).or_else(|_| fs::copy(made, result).map(|_| ()))
}

fn tell(said: Vec<Said>) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for one in said {
        match one {
            Said::Message(message) => writeln!(stdout, "{message}")?,
            Said::Line(line) => wrapper::tell(&line),
            Said::Nothing => {}
        }
    }
    Ok(())
}

/// A manifest with its dependencies in order: evcxr lays them out as a hash map has them.
fn sorted(manifest: &str) -> String {
    let Some((package, dependencies)) = manifest.split_once("[dependencies]") else {
        return manifest.to_owned();
    };
    let mut lines: Vec<&str> = dependencies.lines().collect();
    lines.sort_unstable();
    format!("{package}[dependencies]{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_dependencies_does_not_matter() {
        let manifest =
            |lines: &str| format!("[profile.dev]\nopt-level = 2\n[dependencies]\n{lines}");
        assert_eq!(
            sorted(&manifest("a = 1\nb = 2\n")),
            sorted(&manifest("b = 2\na = 1\n"))
        );
        assert_ne!(sorted(&manifest("a = 1\n")), sorted(&manifest("a = 2\n")));
        assert_ne!(
            sorted(&manifest("a = 1\n")),
            sorted(&manifest("a = 1\n").replace("= 2", "= 3"))
        );
    }

    #[test]
    fn a_result_is_a_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let (made, result) = (folder.path().join("made"), folder.path().join("result"));
        fs::write(&made, "1").unwrap();
        link(&made, &result).unwrap();
        fs::rename(&result, folder.path().join("code_1")).unwrap();
        fs::remove_file(&made).unwrap();
        fs::write(&made, "2").unwrap();
        link(&made, &result).unwrap();
        link(&made, &result).unwrap();
        let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(
            (text("code_1").as_str(), text("result").as_str()),
            ("1", "2")
        );
    }
}
