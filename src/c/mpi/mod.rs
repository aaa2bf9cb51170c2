//! What an MPI pool takes from the user's MPI: `mpiexec`, with the options that it needs here, and the shim, compiled by
//! the `mpicc` beside it, through which engines reach the library. regatta itself knows nothing of any MPI.

use std::ffi::OsString;
use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use xxhash_rust::xxh3::xxh3_64;

use super::{BuildError, Message, Source, Stop, Tool};

/// What stands between an engine and MPI.
const SHIM: &str = include_str!("shim.c");

/// Programs that start MPI's processes, by the standard's name and the older one.
const LAUNCHERS: [&str; 2] = ["mpiexec", "mpirun"];

/// How engines are started, and how they reach MPI.
#[derive(Debug)]
pub struct Mpi {
    /// The command in front of the engine's own; `{n}` is how many there are.
    pub command: Vec<String>,
    /// What started them says of itself: `Open MPI 4.1.4`, `MPICH 4.0.2`.
    pub launcher: String,
    pub shim: Arc<OwnedFd>,
}

#[derive(Debug, thiserror::Error)]
pub enum MpiError {
    #[error("there is no program that starts MPI's processes: {0:?}")]
    NoLauncher(Vec<String>),
    #[error("`{program}` is no program: {why}")]
    NotRun { program: String, why: &'static str },
    #[error("there is no compiler for MPI: {0:?}")]
    NoCompiler(Vec<String>),
    #[error("`{program}` cannot compile what engines need: {says}")]
    Refused { program: String, says: String },
    #[error("{0}")]
    Failed(String),
    #[error("interrupted")]
    Stopped,
}

/// Where the user's programs are looked for, and where what is compiled is kept.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// How the environment differs from this process's.
    pub environment: Vec<(String, Option<OsString>)>,
    /// Values of `MPICC` and `PATH`.
    pub compiler: Option<String>,
    pub path: OsString,
    pub shelf: PathBuf,
    pub root: bool,
}

/// Finds what starts MPI's processes, and compiles the shim for it. `launcher` is the user's own words for it.
pub fn prepare(
    launcher: Option<&[String]>,
    around: &Surroundings,
    stop: &Stop,
) -> Result<Mpi, MpiError> {
    let words = match launcher {
        Some(words) => words.to_vec(),
        None => {
            let found = LAUNCHERS.iter().find(|name| around.finds(name));
            vec![found.unwrap_or(&LAUNCHERS[0]).to_string()]
        }
    };
    let program = words.first().cloned().unwrap_or_default();
    if let Some(why) = unusable(&program) {
        return Err(MpiError::NotRun { program, why });
    }
    if !around.finds(&program) {
        let programs = match launcher {
            Some(_) => vec![program],
            None => LAUNCHERS.map(str::to_owned).to_vec(),
        };
        return Err(MpiError::NoLauncher(programs));
    }
    let version = around.says(&program, "--version", stop)?;
    let command = command(&words, &version, around.root);
    let compilers = compilers(&program, around.compiler.as_deref());
    let Some(compiler) = compilers.iter().find(|words| around.finds(&words[0])) else {
        return Err(MpiError::NoCompiler(
            compilers.into_iter().map(|words| words.join(" ")).collect(),
        ));
    };
    Ok(Mpi {
        command,
        launcher: name_of(&version),
        shim: shim(compiler, around, stop)?,
    })
}

fn shim(compiler: &[String], around: &Surroundings, stop: &Stop) -> Result<Arc<OwnedFd>, MpiError> {
    let tool = Tool {
        words: compiler.to_vec(),
        environment: around.environment.clone(),
        shelf: around.shelf.clone(),
    };
    let source = Source {
        text: SHIM.to_owned(),
        name: "shim.c".to_owned(),
        line: 1,
        file: None,
    };
    // Another library under the same compiler's name is another shim.
    let shows = around.says(&compiler[0], "-show", stop)?;
    let extra = [
        format!("-DREGATTA_MPI_OF=0x{:016x}", xxh3_64(shows.as_bytes())),
        "-O2".to_owned(),
    ];
    let made = tool
        .preprocess(&source, &extra, stop)
        .and_then(|text| tool.compile(&source, &text, &extra, &[], stop));
    match made {
        Ok(made) => Ok(made.so),
        Err(BuildError::Stopped) => Err(MpiError::Stopped),
        Err(BuildError::NoCompiler { program, .. }) => Err(MpiError::NoCompiler(vec![program])),
        Err(BuildError::Refused(messages)) => Err(MpiError::Refused {
            program: compiler.join(" "),
            says: words_of(&messages),
        }),
        Err(BuildError::Failed(why)) => Err(MpiError::Failed(why)),
    }
}

/// What the compiler says; Open MPI's frames it.
fn words_of(messages: &[Message]) -> String {
    let is_frame = |text: &str| text.chars().all(|letter| letter == '-');
    let mut texts = messages.iter().map(|message| message.text.as_str());
    let first = texts.find(|text| !is_frame(text));
    first.unwrap_or("it fails without a word").to_owned()
}

/// Compilers of the MPI that a launcher is of: the user's choice, else the one that is named as it, or lies beside it.
fn compilers(launcher: &str, chosen: Option<&str>) -> Vec<Vec<String>> {
    if let Some(words) = chosen.and_then(|text| shell_words::split(text).ok())
        && !words.is_empty()
    {
        return vec![words];
    }
    let mut found = Vec::new();
    let path = Path::new(launcher);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Debian's `mpiexec.mpich` belongs to `mpicc.mpich`.
    let suffix = LAUNCHERS.iter().find_map(|known| name.strip_prefix(known));
    let beside = |name: String| path.with_file_name(name).to_string_lossy().into_owned();
    if let Some(suffix) = suffix {
        found.push(beside(format!("mpicc{suffix}")));
    }
    found.push(beside("mpicc".to_owned()));
    found.push("mpicc".to_owned());
    found.dedup();
    found.into_iter().map(|name| vec![name]).collect()
}

/// The launcher's words, with how many engines there are, and what Open MPI needs here: it starts no processes as root,
/// and none beyond the number of cores, unless it is told to. The user's own words on that hold.
fn command(words: &[String], version: &str, root: bool) -> Vec<String> {
    let mut command = words.to_vec();
    let has = |part: &str| words.iter().any(|word| word.to_lowercase().contains(part));
    if is_open_mpi(version) {
        // In front of the user's, behind which a program may stand that starts engines in its own way.
        if !has("oversubscribe") {
            command.insert(1, "--oversubscribe".to_owned());
        }
        if root && !has("--allow-run-as-root") {
            command.insert(1, "--allow-run-as-root".to_owned());
        }
    }
    if !has("{n}") {
        command.extend(["-n".to_owned(), "{n}".to_owned()]);
    }
    command
}

/// A number of processes among a launcher's words, which would meet the one of the pool: `-n 2`.
pub fn own_count(words: &[String]) -> Option<String> {
    const OPTIONS: [&str; 5] = ["-n", "-np", "--n", "--np", "--ntasks"];
    if words.iter().any(|word| word.contains("{n}")) {
        return None;
    }
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let of = |(at, word): (usize, &String)| {
        let next = words.get(at + 1).map(String::as_str).unwrap_or_default();
        if OPTIONS.contains(&word.as_str()) && is_number(next) {
            return Some(format!("{word} {next}"));
        }
        let (option, value) = word.split_once('=').unwrap_or((word, ""));
        let joined = word.strip_prefix("-n").is_some_and(is_number);
        (joined || OPTIONS.contains(&option) && is_number(value)).then(|| word.clone())
    };
    words.iter().enumerate().find_map(of)
}

fn is_open_mpi(version: &str) -> bool {
    version.contains("Open MPI") || version.contains("OpenRTE")
}

/// `Open MPI 4.1.4`, `MPICH 4.0.2`, or what else it says first of itself.
fn name_of(version: &str) -> String {
    let first = version.lines().next().unwrap_or_default().trim();
    if is_open_mpi(version) {
        return format!("Open MPI {}", first.rsplit(' ').next().unwrap_or_default());
    }
    if first.contains("HYDRA") {
        let mut lines = version.lines();
        let version = lines.find_map(|line| line.trim().strip_prefix("Version:"));
        return format!("MPICH {}", version.unwrap_or_default().trim());
    }
    first.to_owned()
}

/// Why what is named by its path is there and cannot be run.
fn unusable(program: &str) -> Option<&'static str> {
    let about = Path::new(program).metadata().ok();
    let about = about.filter(|_| program.contains('/'))?;
    match (about.is_dir(), about.permissions().mode() & 0o111) {
        (true, _) => Some("it is a folder"),
        (false, 0) => Some("it may not be executed"),
        (false, _) => None,
    }
}

/// Whether this file can be run.
fn runs(file: &Path) -> bool {
    let about = file.metadata().ok();
    about.is_some_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

/// A program tells of itself within this time, and in so many bytes, or has not understood what was asked.
const TELLS_WITHIN: Duration = Duration::from_secs(10);
const MOST_TOLD: usize = 64 * 1024;

/// What a program prints, as far as it does in time.
fn told(child: &mut Child, until: Instant) -> Vec<u8> {
    let mut told = Vec::new();
    let Some(mut pipe) = child.stdout.take() else {
        return told;
    };
    let mut part = [0; 4096];
    while told.len() < MOST_TOLD {
        let left = until.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        let mut wanted = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
        match poll(&mut wanted, left) {
            Err(Errno::EINTR) => continue,
            Ok(1..) => {}
            Ok(_) | Err(_) => break,
        }
        match pipe.read(&mut part) {
            Ok(read @ 1..) => told.extend_from_slice(&part[..read]),
            Ok(0) | Err(_) => break,
        }
    }
    told
}

impl Surroundings {
    /// Whether there is such a program.
    fn finds(&self, program: &str) -> bool {
        if Path::new(program).components().count() > 1 {
            return runs(Path::new(program));
        }
        let mut folders = std::env::split_paths(&self.path);
        !program.is_empty() && folders.any(|folder| runs(&folder.join(program)))
    }

    /// What a program says to one argument; nothing, when it does not understand it.
    fn says(&self, program: &str, argument: &str, stop: &Stop) -> Result<String, MpiError> {
        let mut command = Command::new(program);
        for (name, value) in &self.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
            .arg(argument)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0);
        let Ok(mut child) = command.spawn() else {
            return Ok(String::new());
        };
        stop.runs(Some(&child));
        let until = Instant::now() + TELLS_WITHIN;
        let told = told(&mut child, until);
        while told.len() < MOST_TOLD
            && Instant::now() < until
            && matches!(child.try_wait(), Ok(None))
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        // It may do something else, and for how long nobody knows.
        if matches!(child.try_wait(), Ok(None)) {
            let _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
            let _ = child.wait();
        }
        match stop.runs(None) {
            true => Ok(String::from_utf8_lossy(&told).into_owned()),
            false => Err(MpiError::Stopped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: &str = "mpiexec (OpenRTE) 4.1.4\n\nReport bugs to …\n";
    const HYDRA: &str =
        "HYDRA build details:\n    Version:                                 4.0.2\n";

    fn words(text: &str) -> Vec<String> {
        shell_words::split(text).unwrap()
    }

    #[test]
    fn open_mpi_is_told_what_it_needs_and_others_are_not() {
        let told =
            |text: &str, version: &str, root: bool| command(&words(text), version, root).join(" ");
        assert_eq!(
            told("mpiexec", OPEN, true),
            "mpiexec --allow-run-as-root --oversubscribe -n {n}"
        );
        assert_eq!(
            told("mpiexec", OPEN, false),
            "mpiexec --oversubscribe -n {n}"
        );
        assert_eq!(told("mpiexec.mpich", HYDRA, true), "mpiexec.mpich -n {n}");
        assert_eq!(
            told("srun --ntasks={n}", "slurm 23.02", true),
            "srun --ntasks={n}"
        );
        assert_eq!(
            told("mpirun --oversubscribe -np {n}", OPEN, false),
            "mpirun --oversubscribe -np {n}"
        );
        assert_eq!(
            told("mpirun --nooversubscribe -n {n} numactl -l", OPEN, true),
            "mpirun --allow-run-as-root --nooversubscribe -n {n} numactl -l"
        );
    }

    #[test]
    fn a_launcher_has_no_number_of_its_own() {
        for (text, found) in [
            ("mpiexec.mpich -n 2", Some("-n 2")),
            ("mpirun --host a:2 -np 4", Some("-np 4")),
            ("srun --ntasks=3 --mpi=pmix", Some("--ntasks=3")),
            ("srun -n3", Some("-n3")),
            ("mpiexec -n {n}", None),
            ("mpirun -n {n} numactl -n 0", None),
            ("mpirun -n", None),
            ("srun --nodes=2", None),
        ] {
            assert_eq!(own_count(&words(text)).as_deref(), found, "{text}");
        }
    }

    #[test]
    fn a_launcher_has_the_compiler_of_its_mpi() {
        let of = |launcher: &str| {
            let all = compilers(launcher, None);
            all.into_iter()
                .map(|words| words.join(" "))
                .collect::<Vec<_>>()
        };
        assert_eq!(of("mpiexec"), ["mpicc"]);
        assert_eq!(of("mpiexec.mpich"), ["mpicc.mpich", "mpicc"]);
        assert_eq!(of("/opt/mpi/bin/mpirun"), ["/opt/mpi/bin/mpicc", "mpicc"]);
        assert_eq!(of("srun"), ["mpicc"]);
        assert_eq!(
            compilers("mpiexec", Some("my-mpicc -g")),
            [words("my-mpicc -g")]
        );
    }

    #[test]
    fn a_launcher_is_called_by_its_name_and_version() {
        assert_eq!(name_of(OPEN), "Open MPI 4.1.4");
        assert_eq!(name_of(HYDRA), "MPICH 4.0.2");
        assert_eq!(name_of("slurm 23.02.6\n"), "slurm 23.02.6");
    }
}
