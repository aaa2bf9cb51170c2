//! The user's C compiler: run so that it can be stopped, and not run at all for what it has compiled before.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::messages::{Message, Severity, messages, other, undefined};
use super::{BuildError, Source};

/// What makes a shared object whose functions call each other and nobody else's of the same name.
const SHARED: [&str; 4] = ["-fPIC", "-shared", "-Wl,-Bsymbolic", "-Wl,-z,defs"];

/// How many compiled objects the cache keeps.
const KEPT: usize = 400;

/// No compiler works for so long on a cell.
const ABANDONED: Duration = Duration::from_hours(24);

/// A C compiler, and where what it makes is kept.
#[derive(Clone, Debug)]
pub struct Tool {
    /// It, and its first arguments: `$CC`, else `cc`.
    pub words: Vec<String>,
    /// How its environment differs from this process's.
    pub environment: Vec<(String, Option<OsString>)>,
    /// The folder of what was compiled.
    pub shelf: PathBuf,
}

/// Ends the compiler from another thread.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    stopped: bool,
    running: Option<Pid>,
}

impl Stop {
    pub fn stop(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.stopped = true;
        if let Some(group) = state.running {
            // It may have ended by itself in this moment.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }

    /// Takes the process that runs now; whether it may go on.
    pub fn runs(&self, process: Option<&Child>) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.running = process.map(|child| Pid::from_raw(child.id().cast_signed()));
        if let (true, Some(group)) = (state.stopped, state.running) {
            let _ = killpg(group, Signal::SIGKILL);
        }
        !state.stopped
    }
}

/// A compiled shared object.
pub struct Made {
    pub so: Arc<OwnedFd>,
    /// The hash of its bytes.
    pub content: u128,
    pub messages: Vec<Message>,
}

struct Said {
    ok: bool,
    out: Vec<u8>,
    err: String,
}

impl Tool {
    fn program(&self) -> &str {
        self.words.first().map_or("cc", String::as_str)
    }

    /// The source as the compiler sees it behind its preprocessor.
    pub fn preprocess(
        &self,
        source: &Source,
        extra: &[String],
        stop: &Stop,
    ) -> Result<String, BuildError> {
        let mut command = self.command(source, extra);
        // With what macros were defined as.
        command.args(["-E", "-dD"]);
        let said = self.run(command, source, stop)?;
        if !said.ok {
            return Err(refused(&said.err));
        }
        Ok(String::from_utf8_lossy(&said.out).into_owned())
    }

    /// The shared object that the compiler makes of it.
    pub fn compile(
        &self,
        source: &Source,
        preprocessed: &str,
        extra: &[String],
        libraries: &[String],
        stop: &Stop,
    ) -> Result<Made, BuildError> {
        let name = self.key(preprocessed, &[extra, libraries].concat());
        let (so, log) = (
            self.shelf.join(format!("{name}.so")),
            self.shelf.join(format!("{name}.txt")),
        );
        if let Some(made) = kept(&so, &log) {
            return Ok(made);
        }
        let cannot = |error: io::Error| match error.raw_os_error() {
            _ if is_full(&error.to_string()) => no_room(&self.shelf),
            _ => BuildError::Failed(format!("{}: {error}", self.shelf.display())),
        };
        fs::create_dir_all(&self.shelf).map_err(cannot)?;
        let folder = tempfile::tempdir_in(&self.shelf).map_err(cannot)?;
        let made = folder.path().join("made.so");
        let mut command = self.command(source, extra);
        command.args(SHARED).arg("-o").arg(&made).args(libraries);
        // Its own files between its steps are gone with the folder too.
        command.env("TMPDIR", folder.path());
        let said = self.run(command, source, stop)?;
        if !said.ok && is_full(&said.err) {
            return Err(no_room(&self.shelf));
        }
        if !said.ok {
            return Err(refused(&said.err));
        }
        let (file, content) = opened(&made).map_err(cannot)?;
        let noted = folder.path().join("made.txt");
        fs::write(&noted, format!("{content:032x}\n{}", said.err)).map_err(cannot)?;
        fs::rename(&noted, &log).map_err(cannot)?;
        fs::rename(&made, &so).map_err(cannot)?;
        // What cannot be tidied is not in the way.
        let _ = keep_newest(&self.shelf);
        Ok(Made {
            so: file,
            content,
            messages: messages(&said.err),
        })
    }

    fn command(&self, source: &Source, extra: &[String]) -> Command {
        let mut command = Command::new(self.program());
        command.args(self.words.iter().skip(1)).args(extra);
        for (name, value) in &self.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        // Its words are read.
        command.env("LC_ALL", "C");
        match &source.file {
            Some(file) => command.args(["-x", "c"]).arg(file),
            // The words of a kernel's head are there without asking.
            None => command.args([
                "-include", "stddef.h", "-include", "stdint.h", "-x", "c", "-",
            ]),
        };
        command.args(["-x", "none"]);
        command
    }

    fn run(&self, mut command: Command, source: &Source, stop: &Stop) -> Result<Said, BuildError> {
        let lost = |error: io::Error| BuildError::Failed(error.to_string());
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn().map_err(|error| BuildError::NoCompiler {
            program: self.program().to_owned(),
            why: error.to_string(),
        })?;
        stop.runs(Some(&child));
        let mut stdin = child.stdin.take();
        let mut stdout = child.stdout.take();
        let mut stderr = child.stderr.take();
        let mut said = Said {
            ok: false,
            out: Vec::new(),
            err: String::new(),
        };
        let mut err = Vec::new();
        std::thread::scope(|scope| {
            if let Some(mut pipe) = stdin.take().filter(|_| source.file.is_none()) {
                scope.spawn(move || {
                    let name = source.name.replace('\\', "\\\\").replace('"', "\\\"");
                    let head = format!("#line {} \"{name}\"\n", source.line);
                    // A compiler that refuses its arguments reads nothing.
                    let _ = pipe
                        .write_all(head.as_bytes())
                        .and_then(|()| pipe.write_all(source.text.as_bytes()))
                        .and_then(|()| pipe.write_all(b"\n"));
                });
            }
            if let Some(pipe) = stderr.as_mut() {
                let err = &mut err;
                scope.spawn(move || pipe.read_to_end(err));
            }
            if let Some(pipe) = stdout.as_mut() {
                let _ = pipe.read_to_end(&mut said.out);
            }
        });
        let status = child.wait().map_err(lost)?;
        if !stop.runs(None) {
            return Err(BuildError::Stopped);
        }
        said.ok = status.success();
        said.err = String::from_utf8_lossy(&err).into_owned();
        Ok(said)
    }

    /// Names what is compiled by everything that it is made of.
    fn key(&self, preprocessed: &str, arguments: &[String]) -> String {
        let mut hasher = Xxh3::new();
        for word in self.words.iter().chain(arguments) {
            hasher.update(word.as_bytes());
            hasher.update(b"\0");
        }
        if let Some(file) = self.found() {
            hasher.update(file.as_os_str().as_encoded_bytes());
            // Another compiler under the name of the one before.
            if let Ok(about) = fs::metadata(&file) {
                let changed = about.modified().ok();
                let changed = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                hasher.update(&changed.unwrap_or_default().as_nanos().to_le_bytes());
                hasher.update(&about.len().to_le_bytes());
            }
        }
        for argument in SHARED {
            hasher.update(argument.as_bytes());
        }
        hasher.update(preprocessed.as_bytes());
        format!("{:032x}", hasher.digest128())
    }

    /// The compiler's file.
    fn found(&self) -> Option<PathBuf> {
        let program = Path::new(self.program());
        if program.components().count() > 1 {
            return Some(program.to_owned());
        }
        let changed = self.environment.iter().find(|(name, _)| name == "PATH");
        let path = match changed {
            Some((_, value)) => value.clone(),
            None => std::env::var_os("PATH"),
        };
        std::env::split_paths(&path?)
            .map(|folder| folder.join(program))
            .find(|file| file.is_file())
    }
}

/// What was compiled before, when it is still what was compiled then.
fn kept(so: &Path, log: &Path) -> Option<Made> {
    let noted = fs::read_to_string(log).ok()?;
    let (hash, printed) = noted.split_once('\n')?;
    let (file, content) = opened(so).ok()?;
    (format!("{content:032x}") == hash).then(|| Made {
        so: file,
        content,
        messages: messages(printed),
    })
}

/// An open file, and the hash of its bytes.
fn opened(path: &Path) -> io::Result<(Arc<OwnedFd>, u128)> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok((Arc::new(file.into()), xxh3_128(&bytes)))
}

fn refused(printed: &str) -> BuildError {
    let mut said = messages(printed);
    if said.iter().any(|it| it.severity == Severity::Error) {
        return BuildError::Refused(said);
    }
    let missing = undefined(printed);
    let bare = |text: String| Message {
        severity: Severity::Error,
        text,
        file: String::new(),
        line: 0,
        column: 0,
    };
    if missing.is_empty() {
        said.push(bare(other(printed)));
    }
    for name in missing {
        said.push(bare(format!("no library defines `{name}`")));
    }
    BuildError::Refused(said)
}

fn is_full(message: &str) -> bool {
    [
        "No space left on device",
        "Disk quota exceeded",
        "os error 28",
        "File size limit exceeded",
    ]
    .iter()
    .any(|words| message.contains(words))
}

fn no_room(folder: &Path) -> BuildError {
    BuildError::Failed(format!("there is no room in {}", folder.display()))
}

/// Removes the oldest of what was compiled, an object with what was said of it, and folders of compilers that were
/// killed.
fn keep_newest(shelf: &Path) -> io::Result<()> {
    let mut there = Vec::new();
    for entry in fs::read_dir(shelf)?.flatten() {
        let (path, about) = (entry.path(), entry.metadata()?);
        let changed = about.modified()?;
        if path.extension().is_some_and(|end| end == "so") {
            there.push((changed, path));
        } else if about.is_dir() && changed.elapsed().is_ok_and(|age| age > ABANDONED) {
            fs::remove_dir_all(path)?;
        }
    }
    there.sort();
    for (_, path) in there.iter().rev().skip(KEPT) {
        fs::remove_file(path)?;
        fs::remove_file(path.with_extension("txt"))?;
    }
    Ok(())
}
