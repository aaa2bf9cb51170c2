//! Puts the peers under `target/peers`, so that they are there for the next run too: a Python environment
//! with ipyparallel, joblib, Dask, diskcache and mpi4py, and evcxr's REPL. It never skips one: a peer that cannot be installed ends the bench.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::outside::{Failure, Outcome, Programs, output, without_cargo};
use crate::progress;

/// The evcxr whose compiler regatta uses: the ratio is then what regatta adds or saves.
const EVCXR: &str = "0.22.0";

/// What pip installs, and what of it has to be importable.
const PACKAGES: [&str; 6] = [
    "ipyparallel",
    "joblib",
    "dask[distributed]",
    "numpy",
    "diskcache",
    "mpi4py",
];
const IMPORTS: &str = "import ipyparallel, joblib, distributed, numpy, diskcache, mpi4py";

/// Installs what is missing.
pub fn peers() -> Outcome<Programs> {
    // Cargo's folder for a bench's files is `<target>/tmp`.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .ok_or_else(|| Failure("the target folder has no parent".to_owned()))?;
    let peers = target.join("peers");
    let folder = peers.join("work");
    fs::create_dir_all(&folder)
        .map_err(|error| Failure(format!("{}: {error}", folder.display())))?;
    let regatta = std::env::var_os("REGATTA_BIN").map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_regatta")),
        PathBuf::from,
    );
    let regatta = regatta
        .canonicalize()
        .map_err(|error| Failure(format!("{}: {error}", regatta.display())))?;
    crate::shell::install()?;
    Ok(Programs {
        regatta,
        evcxr: evcxr(&peers)?,
        python: python(&peers)?,
        folder,
    })
}

fn python(peers: &Path) -> Outcome<PathBuf> {
    let environment = peers.join("python");
    let python = environment.join("bin/python");
    if works(Command::new(&python).args(["-c", IMPORTS])) {
        return Ok(python);
    }
    let packages = PACKAGES.join(", ");
    progress(&format!("installing {packages}"));
    install(
        "a Python environment (python3 with its venv module is needed)",
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&environment),
    )?;
    install(
        &packages,
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet"])
            .args(PACKAGES),
    )?;
    Ok(python)
}

fn evcxr(peers: &Path) -> Outcome<PathBuf> {
    let root = peers.join("evcxr");
    let program = root.join("bin/evcxr");
    if works(Command::new(&program).arg("--version")) {
        return Ok(program);
    }
    progress("building evcxr's REPL, which takes some minutes");
    let mut command = Command::new("cargo");
    without_cargo(&mut command);
    command
        .args([
            "install",
            "evcxr_repl",
            "--version",
            EVCXR,
            "--locked",
            "--quiet",
            "--root",
        ])
        .arg(&root)
        .env("CARGO_TARGET_DIR", peers.join("build"))
        .current_dir(peers);
    install("evcxr_repl", &mut command)?;
    Ok(program)
}

/// Debian's packages, where one of these programs is missing.
pub fn debian(programs: &[&str], packages: &[&str]) -> Outcome<()> {
    let is_there = |program: &&str| {
        let mut which = Command::new("sh");
        works(which.args(["-c", "command -v \"$0\"", program]))
    };
    if programs.iter().all(is_there) {
        return Ok(());
    }
    self::packages(packages)
}

/// Installs Debian's packages.
pub fn packages(packages: &[&str]) -> Outcome<()> {
    let packages = packages.join(" ");
    progress(&format!("installing {packages}"));
    let script = format!(
        "apt-get update --quiet && apt-get install --yes --quiet --no-install-recommends {packages}"
    );
    install(&packages, Command::new("sh").args(["-c", &script]))
}

fn works(command: &mut Command) -> bool {
    output(command, "").is_ok()
}

fn install(what: &str, command: &mut Command) -> Outcome<()> {
    output(command, "")
        .map(drop)
        .map_err(|Failure(why)| Failure(format!("the peer {what} cannot be installed: {why}")))
}

/// One line about the machine, how busy it is, and the versions that were measured.
pub fn versions(programs: &Programs) -> Outcome<String> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let rustc = output(programs.command(Path::new("rustc")).arg("--version"), "")?;
    let script = format!(
        "{IMPORTS}, sys; print('Python', sys.version.split()[0], *(f'· {{it.__name__}} {{it.__version__}}' \
         for it in (ipyparallel, joblib, distributed, numpy, diskcache, mpi4py)))"
    );
    let python = output(programs.command(&programs.python).args(["-c", &script]), "")?;
    let evcxr = output(programs.command(&programs.evcxr).arg("--version"), "")?;
    // Where the system tells it: a busy machine makes small ratios of parallel work meaningless.
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    Ok(format!(
        "{cores} cores (load {load} at the start) · {} · {} · {}",
        rustc.trim(),
        python.trim(),
        evcxr.trim()
    ))
}
