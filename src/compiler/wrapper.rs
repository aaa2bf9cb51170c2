//! rustc's wrapper: cargo runs this binary instead of rustc. For the cells' own crate it mends what evcxr
//! generated (see `generated` and `statics`) and links the crates as `bundle` has
//! them; for all others it becomes rustc.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde_json::Value;

use super::diagnostics::ELSEWHERE;
use super::generated::Mended;
use super::meaning::TABLE;
use super::statics::{self, Changes};
use super::told::taken_out;
use super::tools::linker::Linker;
use super::tools::record::Run;
use super::tools::units;
use super::{bundle, generated};
use crate::cell::{Edits, lifted};

/// Set for cargo, and so for its wrapper.
pub const ROLE_VARIABLE: &str = "REGATTA_RUSTC_WRAPPER";

/// How often definitions have changed: `name=count` each, with commas between them.
pub const CHANGES_VARIABLE: &str = "REGATTA_CHANGES";

/// Which processor cells are compiled for, when it is not any of the architecture.
pub const CPU_VARIABLE: &str = "REGATTA_CPU";

/// This host's.
pub const NATIVE: &str = "native";

/// The name that evcxr gives to the crate of every cell.
pub const CELL_CRATE: &str = "ctx";

/// What is made of it.
pub const SHARED_OBJECT: &str = "libctx.so";

/// Names a file for how rustc is run for the cells' crate (see `tools::direct`).
pub const RECORD_VARIABLE: &str = "REGATTA_RECORD";

/// The cell's source, as cargo names it.
const SOURCE: &str = "src/lib.rs";

/// What distinguishes crates of the same name; any fixed value.
const METADATA: &str = "metadata=regatta";

/// Whether cargo has started this process as its wrapper: with rustc's path and arguments.
pub fn is_role() -> bool {
    std::env::var_os(ROLE_VARIABLE).is_some()
        && std::env::args_os().nth(1).is_some_and(|rustc| {
            Path::new(&rustc)
                .file_stem()
                .is_some_and(|name| name == "rustc")
        })
}

/// Compiles the cell, or becomes rustc.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let Some((rustc, rest)) = arguments.split_first() else {
        return ExitCode::FAILURE;
    };
    let mut rest = rest.to_vec();
    if is_cell(&rest) {
        rest = steady(&rest);
        if is_linked(&rest) {
            record(&rest);
            let own = Rustc {
                path: rustc.clone(),
                environment: Vec::new(),
            };
            match Cell::read(&own, &rest) {
                Ok(Some(cell)) => return compiled(cell.compile(&own, &rest, None)),
                Ok(None) => {}
                Err(error) => tell(&format!("error: the cell cannot be prepared: {error}")),
            }
        }
    } else if is_local(&rest) {
        rest.extend(["-C".into(), new_metadata()]);
    }
    let _ = Command::new(rustc).args(rest).exec();
    ExitCode::FAILURE
}

/// Which compiler it is, such as `rustc 1.95.0 (59807616e 2026-04-14) for x86_64-unknown-linux-gnu`: another one may give
/// other results. It is asked once.
fn version(rustc: &Rustc) -> String {
    static KNOWN: Mutex<Vec<(Stamp, String)>> = Mutex::new(Vec::new());
    let about = fs::metadata(&rustc.path).ok();
    let changed = about.as_ref().and_then(|about| about.modified().ok());
    let stamp = (rustc.path.clone(), about.map(|about| about.len()), changed);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, version)) = known.iter().find(|(other, _)| *other == stamp) {
        return version.clone();
    }
    let output = rustc.command().arg("-vV").output();
    let output = output.ok().filter(|output| output.status.success());
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let version = said
        .as_deref()
        .and_then(described)
        .unwrap_or_else(|| format!("{stamp:?}"));
    known.push((stamp, version.clone()));
    version
}

/// A program's path, length and time.
type Stamp = (OsString, Option<u64>, Option<SystemTime>);

/// What `rustc -vV` says, as one line.
fn described(said: &str) -> Option<String> {
    let host = said.lines().find_map(|line| line.strip_prefix("host: "))?;
    Some(format!("{} for {host}", said.lines().next()?))
}

/// Tells cargo how it went.
fn compiled(compiled: io::Result<Compiled>) -> ExitCode {
    let told = compiled.and_then(|compiled| {
        let mut stderr = io::stderr().lock();
        for line in &compiled.lines {
            writeln!(stderr, "{line}")?;
        }
        Ok(compiled.status)
    });
    match told {
        Ok(status) => {
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            code.map_or(ExitCode::FAILURE, ExitCode::from)
        }
        Err(error) => {
            tell(&format!("error: the cell cannot be compiled: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Writes down how rustc is run, for who asked cargo.
fn record(arguments: &[OsString]) {
    let Some(file) = std::env::var_os(RECORD_VARIABLE) else {
        return;
    };
    let arguments: Option<Vec<String>> = arguments
        .iter()
        .map(|argument| argument.to_str().map(str::to_owned))
        .collect();
    let told = |name: &str| {
        name == "LD_LIBRARY_PATH" || name.starts_with("CARGO") && name != "CARGO_MAKEFLAGS"
    };
    let environment = std::env::vars().filter(|(name, _)| told(name)).collect();
    if let Some(arguments) = arguments
        && let Ok(run) = serde_json::to_vec(&Run {
            arguments,
            environment,
        })
    {
        // Without it, cargo is asked again.
        let _ = fs::write(file, run);
    }
}

/// The compiler, and what its environment has beside this process's.
pub struct Rustc {
    pub path: OsString,
    pub environment: Vec<(OsString, OsString)>,
}

impl Rustc {
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        let environment = self.environment.iter().map(|(name, value)| (name, value));
        command.envs(environment);
        command
    }
}

/// What a cell came to.
pub struct Compiled {
    pub status: ExitStatus,
    /// What rustc wrote on its standard error.
    pub lines: Vec<String>,
}

fn is_cell(arguments: &[OsString]) -> bool {
    arguments
        .windows(2)
        .any(|two| two[0] == "--crate-name" && two[1] == CELL_CRATE)
}

/// Not only checked.
fn is_linked(arguments: &[OsString]) -> bool {
    arguments
        .iter()
        .filter_map(|text| text.to_str()?.strip_prefix("--emit="))
        .any(|kinds| kinds.split(',').any(|kind| kind == "link"))
}

/// Whether the crate is one that the user may be editing: cargo compiles these incrementally.
fn is_local(arguments: &[OsString]) -> bool {
    arguments
        .iter()
        .any(|text| text.to_string_lossy().starts_with("incremental="))
}

/// An edited crate is another crate: its functions and types must not be taken for those of the build before,
/// which the engine has loaded.
fn new_metadata() -> OsString {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    format!("metadata={}", now.unwrap_or_default().as_nanos()).into()
}

/// The arguments with metadata that stay the same. Cargo's contain the crates that the cell depends on; a
/// type's id depends on them, so that adding a crate would make every value of the user's own types another
/// type's.
fn steady(arguments: &[OsString]) -> Vec<OsString> {
    let is_metadata = |text: &OsString| text.to_string_lossy().starts_with("metadata=");
    arguments
        .iter()
        .map(|text| {
            if is_metadata(text) {
                METADATA.into()
            } else {
                text.clone()
            }
        })
        .collect()
}

/// A cell's source on its way to rustc.
pub struct Cell {
    file: PathBuf,
    written: SystemTime,
    /// As evcxr wrote it.
    original: String,
    /// Without what only evcxr is told; its lines are where they were.
    source: String,
    /// Turns it into what the other edits are made to.
    lifted: Edits,
    between: String,
    mended: Mended,
    statics: Edits,
    /// What follows the source.
    appended: String,
    arguments: Vec<OsString>,
}

impl Cell {
    /// `None` for a source that is not a cell's with the cell crate: evcxr's own trials.
    pub fn read(rustc: &Rustc, arguments: &[OsString]) -> io::Result<Option<Self>> {
        let own_crate = |text: &OsString| text.to_string_lossy().starts_with("regatta_cell=");
        if !arguments.iter().any(own_crate) {
            return Ok(None);
        }
        let file = PathBuf::from(SOURCE);
        let original = fs::read_to_string(&file)?;
        let source = taken_out(&original);
        let written = fs::metadata(&file)?.modified()?;
        let lifted = lifted(&source, false);
        let between = lifted.apply(&source);
        let Some(mended) = generated::mended(&between) else {
            return Ok(None);
        };
        let linked = bundle::linked(rustc, arguments)?;
        let definitions = std::env::var(CHANGES_VARIABLE).unwrap_or_default();
        let mut changes = Changes {
            definitions: serde_json::from_str(&definitions).unwrap_or_default(),
            crates: linked.rebuilt,
            ..Changes::default()
        };
        if between.contains(TABLE) {
            changes.versions = bundle::versions(arguments);
            changes.rustc = version(rustc);
        }
        Ok(Some(Self {
            statics: statics::shared(&between, &changes),
            file,
            written,
            original,
            source,
            lifted,
            between,
            mended,
            appended: linked.source,
            arguments: linked.arguments,
        }))
    }

    pub fn compile(
        &self,
        rustc: &Rustc,
        arguments: &[OsString],
        linker: Option<&Linker>,
    ) -> io::Result<Compiled> {
        // The user's functions are the artifact's own, whatever another one calls by the same name.
        let functions = OsString::from("-Clink-arg=-Wl,-Bsymbolic-functions");
        let own: Vec<OsString> = self.arguments.iter().cloned().chain([functions]).collect();
        let own = match linker {
            Some(linker) => linker.arguments(own),
            None => own,
        };
        let cpu = std::env::var(CPU_VARIABLE)
            .ok()
            .filter(|cpu| !cpu.is_empty());
        let cpu = cpu.map(|cpu| OsString::from(format!("-Ctarget-cpu={cpu}")));
        let arguments: Vec<OsString> = units::for_cell(arguments, &self.mended)
            .into_iter()
            .chain(own)
            .chain(cpu)
            .collect();
        let compiled = self.compile_with(rustc, &arguments, true);
        // Put back, with its time: cargo and evcxr go by it.
        let restored = fs::write(&self.file, &self.original).and_then(|()| {
            let file = fs::File::options().write(true).open(&self.file)?;
            file.set_modified(self.written)
        });
        compiled.and_then(|compiled| restored.map(|()| compiled))
    }

    fn compile_with(
        &self,
        rustc: &Rustc,
        arguments: &[OsString],
        sharing: bool,
    ) -> io::Result<Compiled> {
        let mut edits = self.mended.edits.clone();
        if sharing {
            edits.extend(&self.statics);
        }
        let text = edits.apply(&self.between) + &self.appended;
        fs::write(&self.file, text)?;
        let mut child = rustc
            .command()
            .args(arguments)
            .env_remove(CHANGES_VARIABLE)
            .stderr(Stdio::piped())
            .spawn()?;
        let mut lines = Vec::new();
        let mut refused = false;
        if let Some(stderr) = child.stderr.take() {
            for line in BufReader::new(stderr).lines() {
                let line = line?;
                refused |= line.contains(statics::SYMBOL);
                lines.push(self.in_source(&line, &edits));
            }
        }
        let status = child.wait()?;
        if !status.success() && refused && sharing {
            // Not the user's mistake: better a static of the cell's own.
            return self.compile_with(rustc, arguments, false);
        }
        if !status.success() {
            // evcxr takes a warning about the user's code for more than an error that is elsewhere.
            lines.retain(|line| !is_warning(line));
        }
        Ok(Compiled { status, lines })
    }

    /// A line of rustc's with the places in it as they are in the source that evcxr wrote.
    fn in_source(&self, line: &str, edits: &Edits) -> String {
        if !line.contains(SOURCE) {
            return line.to_owned();
        }
        let Ok(mut message) = serde_json::from_str::<Value>(line) else {
            return line.to_owned();
        };
        self.relocate(&mut message, edits);
        keep_the_error_in_front(&mut message);
        message.to_string()
    }

    fn relocate(&self, value: &mut Value, edits: &Edits) {
        match value {
            Value::Array(values) => {
                for value in values {
                    self.relocate(value, edits);
                }
            }
            Value::Object(fields) => {
                if fields.get("file_name").and_then(Value::as_str) == Some(SOURCE) {
                    let number = |name: &str| fields.get(name).and_then(Value::as_u64);
                    let (from, to) = (number("line_start"), number("line_end"));
                    let columns = [("column_start", from), ("column_end", to)]
                        .map(|(name, line)| (name, line, number(name)));
                    for (name, line, column) in columns {
                        if let (Some(line), Some(column)) = (line, column) {
                            let column = self.column_back(line, column, edits);
                            fields.insert(name.to_owned(), column.into());
                        }
                    }
                    let lines = from.zip(to).map(|(from, to)| self.lines(from, to));
                    let marked = fields.get_mut("text").and_then(Value::as_array_mut);
                    for ((place, marked), text) in (from.unwrap_or(1)..)
                        .zip(marked.into_iter().flatten())
                        .zip(lines.unwrap_or_default())
                    {
                        for name in ["highlight_start", "highlight_end"] {
                            if let Some(column) = marked[name].as_u64() {
                                marked[name] = self.column_back(place, column, edits).into();
                            }
                        }
                        marked["text"] = text.into();
                    }
                }
                for value in fields.values_mut() {
                    self.relocate(value, edits);
                }
            }
            _ => {}
        }
    }

    fn column_back(&self, line: u64, column: u64, edits: &Edits) -> u64 {
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let column = edits.column_back(&self.between, number(line), number(column));
        self.lifted.column_back(&self.source, number(line), column) as u64
    }

    fn lines(&self, from: u64, to: u64) -> Vec<&str> {
        let skipped = usize::try_from(from.saturating_sub(1)).unwrap_or(usize::MAX);
        let wanted = usize::try_from(to.saturating_sub(from) + 1).unwrap_or(usize::MAX);
        self.source.lines().skip(skipped).take(wanted).collect()
    }
}

/// Whether a line of rustc's is a message of this level.
fn is_warning(line: &str) -> bool {
    let level = |message: Value| message["level"] == "warning";
    line.contains("warning") && serde_json::from_str(line).is_ok_and(level)
}

/// evcxr shows a note in place of its error when it takes the error's line for a generated one, such as that of
/// an expression whose value is shown. It does not see the places of notes that are elsewhere than their error:
/// they go by [`super::diagnostics::ELSEWHERE`].
fn keep_the_error_in_front(message: &mut Value) {
    let lines = |spans: &Value| -> BTreeSet<u64> {
        let spans = spans.as_array().into_iter().flatten();
        let here = spans.filter(|span| span["file_name"].as_str() == Some(SOURCE));
        here.filter_map(|span| Some(span["line_start"].as_u64()?..=span["line_end"].as_u64()?))
            .flatten()
            .collect()
    };
    let own = lines(&message["spans"]);
    if own.is_empty() {
        return;
    }
    let children = message.get_mut("children").and_then(Value::as_array_mut);
    for child in children.into_iter().flatten() {
        if !lines(&child["spans"]).is_subset(&own) {
            let spans = child["spans"].take();
            child[ELSEWHERE] = spans;
            child["spans"] = Value::Array(Vec::new());
        }
    }
}

/// Cargo shows it with rustc's messages.
pub fn tell(text: &str) {
    // Nobody is left to hear of a failure to write.
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_metadata_change() {
        let given = [
            "--crate-name",
            "ctx",
            "-C",
            "metadata=0123",
            "-C",
            "extra-filename=-0123",
        ];
        let given: Vec<OsString> = given.iter().map(OsString::from).collect();
        let steady = steady(&given);
        assert_eq!(steady[3], "metadata=regatta");
        assert_eq!(steady[5], given[5]);
    }

    #[test]
    fn a_compiler_is_known_by_its_version_and_host() {
        let said = "rustc 1.95.0 (59807616e 2026-04-14)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\nrelease: 1.95.0\n";
        let one = described(said);
        let expected = "rustc 1.95.0 (59807616e 2026-04-14) for x86_64-unknown-linux-gnu";
        assert_eq!(one.as_deref(), Some(expected));
        assert_ne!(one, described(&said.replace("1.95.0", "1.96.0")));
        assert_ne!(one, described(&said.replace("x86_64", "aarch64")));
        assert_eq!(described("rustc 1.95.0"), None);
    }

    #[test]
    fn a_place_in_rustc_s_message_is_the_one_that_the_user_wrote() {
        let source = "fn f() { static N: u8 = 300; }\n";
        let mut statics = Edits::default();
        statics.insert(9, "#[x] ");
        let cell = Cell {
            file: PathBuf::new(),
            written: SystemTime::UNIX_EPOCH,
            original: source.to_owned(),
            source: source.to_owned(),
            lifted: Edits::default(),
            between: source.to_owned(),
            mended: Mended {
                edits: Edits::default(),
                items: 0,
                maps: false,
            },
            statics: statics.clone(),
            appended: String::new(),
            arguments: Vec::new(),
        };
        let line = r#"{"spans":[{"file_name":"src/lib.rs","line_start":1,"line_end":1,"column_start":30,"column_end":33,
            "text":[{"text":"fn f() { #[x] static N: u8 = 300; }","highlight_start":30,"highlight_end":33}]}]}"#;
        let moved = cell.in_source(&line.replace('\n', ""), &statics);
        let moved: Value = serde_json::from_str(&moved).unwrap();
        let span = &moved["spans"][0];
        assert_eq!(span["column_start"], 25);
        assert_eq!(span["text"][0]["highlight_end"], 28);
        assert_eq!(span["text"][0]["text"], source.trim_end());
        assert_eq!(
            cell.in_source("not json src/lib.rs", &statics),
            "not json src/lib.rs"
        );
    }
}
