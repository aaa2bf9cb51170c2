//! Programs on their way to run: found on the path or refused with what was meant, and started in a process group of
//! their own.

use std::ffi::OsString;
use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use regatta_cell::store::call::ADDRESS;
use rustix::process::{PidfdFlags, pidfd_open};

use super::RANK;
use crate::engine::guard;
use crate::store::redis::REDIS_URL;
use crate::vocabulary::nearest;

/// What is filled in where it stands in braces.
const FILLED: [&str; 3] = ["rank", "size", "name"];

/// Tells the processes of one child from those of others.
pub const NUMBER: &str = "REGATTA_CHILD";

/// A program with its words and surroundings.
#[derive(Clone, Debug)]
pub struct Program {
    pub words: Vec<String>,
    /// The whole path of its folder.
    pub folder: PathBuf,
    /// Variables that differ from the session's own; those of `--env` come last.
    pub environment: Vec<(String, Option<OsString>)>,
    /// The first so many of them are the session's.
    pub shared: usize,
}

/// Why a program does not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotStarted {
    #[error("there is no program to start")]
    Nothing,
    #[error("`{word}` is not found")]
    NotFound { word: String, meant: Option<String> },
    #[error("`{word}` is no program: {why}")]
    NotRun { word: String, why: &'static str },
    #[error("there is no folder {0}")]
    NoFolder(String),
    #[error("`{0}` cannot name a variable")]
    Variable(String),
    #[error("`{{{0}}}` is nothing that is filled in")]
    Placeholder(String, &'static str),
    #[error("a zero byte in {0}: programs take none")]
    ZeroByte(&'static str),
    #[error("`{0}` cannot be started: too many files are open")]
    Files(String),
    #[error("`{0}` cannot be started: too many processes run")]
    Processes(String),
    #[error("`{word}` cannot be started: {why}")]
    System { word: String, why: String },
}

impl Program {
    /// The value of a variable for it.
    fn variable(&self, name: &str) -> Option<OsString> {
        let set = self.environment.iter().rev().find(|(of, _)| of == name);
        match set {
            Some((_, value)) => value.clone(),
            None => std::env::var_os(name),
        }
    }

    /// Gives it the session's variables, which its own ones come after.
    pub fn surround(&mut self, session: &[(String, Option<OsString>)]) {
        let own = std::mem::take(&mut self.environment);
        self.environment = session.iter().cloned().chain(own).collect();
        self.shared = session.len();
    }

    /// It finds the store where the session has it now; what it was given of its own stays.
    pub fn move_store(&mut self, session: &[(String, Option<OsString>)]) {
        let is_place = |(name, _): &(String, _)| [ADDRESS, REDIS_URL].contains(&name.as_str());
        let own = self.environment.split_off(self.shared);
        self.environment.retain(|variable| !is_place(variable));
        let places = session.iter().filter(|variable| is_place(variable));
        self.environment.extend(places.cloned());
        self.shared = self.environment.len();
        self.environment.extend(own);
    }

    /// Refuses what was meant to be filled in and is misspelt. Programs' texts have braces of their own, and blanks,
    /// quotes or parentheses too.
    pub fn misspells(&self) -> Result<(), NotStarted> {
        let values = { self.environment.iter() }.filter_map(|(_, value)| value.as_ref()?.to_str());
        let words = self.words.iter().map(String::as_str);
        for text in words.chain(values).chain(self.folder.to_str()) {
            let is_plain =
                |letter: char| letter.is_alphanumeric() || "_-./:=,@+%{}".contains(letter);
            if !text.chars().all(is_plain) {
                continue;
            }
            let braced = text.match_indices('{').filter_map(|(at, _)| {
                let (typed, rest) = text[at + 1..].split_once('}')?;
                // Templates of other programs, as docker's `{{.Name}}`, have two.
                let twice = text[..at].ends_with('{') && rest.starts_with('}');
                (!twice && !typed.contains('{')).then_some(typed)
            });
            for typed in braced {
                let means = |name: &&&str| {
                    let typed = typed.to_lowercase();
                    strsim::damerau_levenshtein(&typed, name) <= 1
                };
                if !FILLED.contains(&typed)
                    && let Some(meant) = FILLED.iter().find(means)
                {
                    return Err(NotStarted::Placeholder(typed.to_owned(), meant));
                }
            }
        }
        Ok(())
    }

    /// The same for the child of this rank.
    pub fn of(&self, rank: u32, size: u32, name: &str) -> Self {
        let filled = |word: &str| {
            let values = [&rank.to_string(), &size.to_string(), name];
            let filled = FILLED.iter().zip(values);
            filled.fold(word.to_owned(), |word, (of, value)| {
                word.replace(&format!("{{{of}}}"), value)
            })
        };
        let mut environment = self.environment.clone();
        for (_, value) in &mut environment {
            if let Some(text) = value.as_ref().and_then(|value| value.to_str()) {
                *value = Some(filled(text).into());
            }
        }
        let own = [
            (RANK, rank.to_string()),
            (super::SIZE, size.to_string()),
            (super::NAME, name.to_owned()),
        ];
        // Where the command is with which it reaches the store.
        if let Ok(regatta) = std::env::current_exe() {
            environment.push((super::COMMAND.to_owned(), Some(regatta.into())));
        }
        environment.extend(own.map(|(name, value)| (name.to_owned(), Some(value.into()))));
        Self {
            words: self.words.iter().map(|word| filled(word)).collect(),
            folder: match self.folder.to_str() {
                Some(folder) => filled(folder).into(),
                None => self.folder.clone(),
            },
            environment,
            shared: self.shared,
        }
    }

    /// Whether the system takes its words and variables as they are meant.
    fn check(&self) -> Result<(), NotStarted> {
        if self.words.iter().any(|word| word.contains('\0')) {
            return Err(NotStarted::ZeroByte("a word"));
        }
        for (name, value) in &self.environment {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(NotStarted::Variable(name.escape_debug().to_string()));
            }
            let value = value.as_ref().map(|value| value.as_encoded_bytes());
            if value.is_some_and(|value| value.contains(&0)) {
                return Err(NotStarted::ZeroByte("the value of a variable"));
            }
        }
        Ok(())
    }

    /// The file that the first word means.
    ///
    /// # Errors
    /// When there is none that can be run.
    pub fn find(&self) -> Result<PathBuf, NotStarted> {
        let word = self.words.first().ok_or(NotStarted::Nothing)?;
        self.check()?;
        if !self.folder.is_dir() {
            return Err(NotStarted::NoFolder(self.folder.display().to_string()));
        }
        if word.contains('/') {
            let file = self.folder.join(word);
            return runs(&file)
                .map(|()| file.clone())
                .map_err(|trouble| refused(word, &file, trouble));
        }
        let path = self.variable("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = std::env::split_paths(&path)
            .map(|folder| self.folder.join(folder))
            .collect();
        let files = folders.iter().map(|folder| folder.join(word));
        if let Some(file) = { files }.find(|file| runs(file).is_ok()) {
            return Ok(file);
        }
        let is_here = self.folder.join(word).is_file();
        let meant = match is_here && !word.is_empty() {
            true => Some(format!("./{word}")),
            false => similar(word, &folders),
        };
        let word = word.clone();
        Err(NotStarted::NotFound { word, meant })
    }
}

enum Trouble {
    Missing,
    Folder,
    NoPermission,
}

/// Whether a file can be run.
fn runs(file: &Path) -> Result<(), Trouble> {
    let about = std::fs::metadata(file).map_err(|_| Trouble::Missing)?;
    if about.is_dir() {
        return Err(Trouble::Folder);
    }
    match about.permissions().mode() & 0o111 {
        0 => Err(Trouble::NoPermission),
        _ => Ok(()),
    }
}

fn refused(word: &str, file: &Path, trouble: Trouble) -> NotStarted {
    let word = word.to_owned();
    match trouble {
        Trouble::Missing => {
            let folder = file.parent().map(Path::to_owned);
            let typed = file.file_name().map(|name| name.to_string_lossy());
            let meant = folder.zip(typed).and_then(|(folder, typed)| {
                let meant = similar(&typed, &[folder])?;
                Some(format!("{}{meant}", word.strip_suffix(&*typed)?))
            });
            NotStarted::NotFound { word, meant }
        }
        Trouble::Folder => NotStarted::NotRun {
            word,
            why: "it is a folder",
        },
        Trouble::NoPermission => NotStarted::NotRun {
            word,
            why: "it may not be executed",
        },
    }
}

/// A program in these folders of nearly this name.
fn similar(word: &str, folders: &[PathBuf]) -> Option<String> {
    let entries = folders.iter().flat_map(std::fs::read_dir).flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let near: Vec<String> = names
        .filter(|name| name.len().abs_diff(word.len()) <= 2)
        .collect();
    let found = nearest(word, near.iter().map(String::as_str))?.to_owned();
    let is_one = |folder: &PathBuf| runs(&folder.join(&found)).is_ok();
    folders.iter().any(is_one).then_some(found)
}

/// A process that has been started.
pub struct Process {
    pub child: Child,
    /// Readable when it has ended.
    pub end: OwnedFd,
    /// What it prints, read without waiting.
    pub out: Option<OwnedFd>,
    pub err: Option<OwnedFd>,
}

/// How a program is started.
#[derive(Clone, Copy)]
pub enum Life<'a> {
    /// It ends with the session; its number.
    WithSession(u64),
    /// It lives on, and prints to a file.
    Detached(&'a File),
}

/// Starts a program.
///
/// # Errors
/// When it cannot be started, with nothing left of it.
pub fn start(program: &Program, life: Life<'_>) -> Result<Process, NotStarted> {
    let file = program.find()?;
    let word = program.words[0].clone();
    let failed = |error: std::io::Error| {
        match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE) => return NotStarted::Files(word.clone()),
            Some(libc::EAGAIN) => return NotStarted::Processes(word.clone()),
            _ => {}
        }
        let why = match error.kind() {
            // The file is there: what its first line names is not.
            ErrorKind::NotFound => "the interpreter that its first line names is not found".into(),
            _ if error.raw_os_error() == Some(libc::ENOEXEC) => {
                "it is neither a binary nor begins with `#!`".to_owned()
            }
            _ => error.to_string(),
        };
        let word = word.clone();
        NotStarted::System { word, why }
    };
    let mut command = Command::new(&file);
    command
        .arg0(&program.words[0])
        .args(&program.words[1..])
        .current_dir(&program.folder)
        .stdin(Stdio::null())
        .process_group(0);
    for (name, value) in &program.environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    match life {
        Life::WithSession(number) => {
            command.env(guard::VARIABLE, guard::mark());
            command.env(NUMBER, number.to_string());
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
        }
        Life::Detached(file) => {
            let twice = file
                .try_clone()
                .and_then(|one| Ok((one, file.try_clone()?)));
            let (one, other) = twice.map_err(failed)?;
            command.stdout(one).stderr(other);
        }
    }
    let mut child = command.spawn().map_err(failed)?;
    match followed(&mut child) {
        Ok((end, out, err)) => Ok(Process {
            child,
            end,
            out,
            err,
        }),
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait();
            Err(failed(error))
        }
    }
}

type Ends = (OwnedFd, Option<OwnedFd>, Option<OwnedFd>);

fn followed(child: &mut Child) -> std::io::Result<Ends> {
    let end = pidfd_open(rustix::process::Pid::from_child(child), PidfdFlags::empty())?;
    let out = child.stdout.take().map(OwnedFd::from);
    let err = child.stderr.take().map(OwnedFd::from);
    for pipe in out.iter().chain(&err) {
        fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    }
    Ok((end, out, err))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    fn program(words: &[&str], folder: &Path) -> Program {
        Program {
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            folder: folder.to_owned(),
            environment: Vec::new(),
            shared: 0,
        }
    }

    fn script(folder: &Path, name: &str, mode: u32) {
        let path = folder.join(name);
        std::fs::write(&path, "#!/bin/sh\n").expect("a file");
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).expect("its mode");
    }

    #[test]
    fn words_are_filled_in_and_other_braces_stay() {
        let of = |words: &[&str]| program(words, Path::new("/")).of(2, 5, "w.2").words;
        assert_eq!(
            of(&["a{rank}b", "{size}{name}", "{x}", "{ rank }", "{{rank}}"]),
            ["a2b", "5w.2", "{x}", "{ rank }", "{2}"]
        );
    }

    #[test]
    fn what_is_misspelt_is_not_started() {
        let of = |word: &str| program(&["echo", word], Path::new("/")).misspells();
        for (typed, meant) in [
            ("rnak", "rank"),
            ("RANK", "rank"),
            ("ranks", "rank"),
            ("siz", "size"),
            ("nmae", "name"),
            (".name", "name"),
        ] {
            let error = Err(NotStarted::Placeholder(typed.to_owned(), meant));
            assert_eq!(of(&format!("out-{{rank}}-{{{typed}}}.txt")), error);
        }
        for word in [
            "{rank}",
            "{x}",
            "{}",
            "{rnak",
            "f'{names}'",
            "{ rnak }",
            "{print $1}",
            "{{name}}",
            "{{.Name}}",
            "{{.Names}}:{{.Size}}",
        ] {
            assert_eq!(of(word), Ok(()), "{word}");
        }
    }

    #[test]
    fn variables_and_the_folder_are_filled_in_too() {
        let mut all = program(&["x"], Path::new("/run{rank}"));
        all.environment = vec![
            ("PORT".to_owned(), Some("80{rank}".into())),
            ("HOME".to_owned(), None),
        ];
        let one = all.of(3, 4, "w.3");
        assert_eq!(one.folder, Path::new("/run3"));
        assert_eq!(one.variable("PORT"), Some("803".into()));
        assert_eq!(one.variable("HOME"), None);
        assert_eq!(one.variable(RANK), Some("3".into()));
    }

    #[test]
    fn a_program_that_starts_again_finds_the_store_where_it_is_now() {
        let set = |name: &str, value: &str| (name.to_owned(), Some(OsString::from(value)));
        let mut program = program(&["x"], Path::new("/"));
        program.environment = vec![set("A", "own"), set(REDIS_URL, "own")];
        program.surround(&[set("A", "1"), set(ADDRESS, "@old")]);
        program.move_store(&[set("A", "2"), set(ADDRESS, "@new"), set(REDIS_URL, "new")]);
        assert_eq!(program.variable(ADDRESS), Some("@new".into()));
        assert_eq!(program.variable(REDIS_URL), Some("own".into()));
        program.environment.truncate(program.shared);
        assert_eq!(program.variable("A"), Some("1".into()));
        program.move_store(&[set(ADDRESS, "@old"), (REDIS_URL.to_owned(), None)]);
        assert_eq!(program.variable(REDIS_URL), None);
    }

    #[test]
    fn what_the_system_would_take_otherwise_is_refused() {
        let find = |words: &[&str], name: &str, value: &str| {
            let mut program = program(words, Path::new("/"));
            program.environment = vec![(name.to_owned(), Some(value.into()))];
            program.find().map(|_| ()).map_err(|why| why.to_string())
        };
        assert_eq!(find(&["sh"], "A", "b=c"), Ok(()));
        for (words, name, value, said) in [
            (&["sh"][..], "A=B", "x", "`A=B` cannot name a variable"),
            (&["sh"], "", "x", "`` cannot name a variable"),
            (&["sh"], "A\0", "x", "`A\\0` cannot name a variable"),
            (
                &["sh"],
                "A",
                "x\0",
                "a zero byte in the value of a variable: programs take none",
            ),
            (
                &["sh", "a\0b"],
                "A",
                "x",
                "a zero byte in a word: programs take none",
            ),
            (
                &["sh\0"],
                "A",
                "x",
                "a zero byte in a word: programs take none",
            ),
        ] {
            assert_eq!(find(words, name, value), Err(said.to_owned()));
        }
    }

    #[test]
    fn a_program_is_found_as_a_shell_finds_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        script(folder, "works", 0o755);
        script(folder, "plain", 0o644);
        std::fs::create_dir(folder.join("dir")).expect("a folder");
        let find = |word: &str| program(&[word], folder).find();
        assert_eq!(find("./works"), Ok(folder.join("./works")));
        assert!(find("sh").is_ok_and(|file| file.ends_with("sh")));
        let not_found = |word: &str, meant: Option<&str>| {
            let (word, meant) = (word.to_owned(), meant.map(str::to_owned));
            Err(NotStarted::NotFound { word, meant })
        };
        assert_eq!(find("./wroks"), not_found("./wroks", Some("./works")));
        assert_eq!(find("works"), not_found("works", Some("./works")));
        assert_eq!(find("/no/such/thing"), not_found("/no/such/thing", None));
        assert_eq!(find("qqqqqqqqqq"), not_found("qqqqqqqqqq", None));
        assert_eq!(find(""), not_found("", None));
        for (word, why) in [
            ("./plain", "it may not be executed"),
            ("./dir", "it is a folder"),
        ] {
            let word = word.to_owned();
            assert_eq!(
                find(&word),
                Err(NotStarted::NotRun {
                    word: word.clone(),
                    why
                })
            );
        }
        assert_eq!(program(&[], folder).find(), Err(NotStarted::Nothing));
        let gone = folder.join("gone");
        let error = NotStarted::NoFolder(gone.display().to_string());
        assert_eq!(program(&["sh"], &gone).find(), Err(error));
    }

    #[test]
    fn the_path_is_the_child_s_own() {
        let folder = tempfile::tempdir().expect("a folder");
        script(folder.path(), "mine", 0o755);
        let mut own = program(&["mine"], Path::new("/"));
        assert!(own.find().is_err());
        let path = folder.path().as_os_str().to_owned();
        own.environment = vec![("PATH".to_owned(), Some(path))];
        assert_eq!(own.find(), Ok(folder.path().join("mine")));
    }
}
