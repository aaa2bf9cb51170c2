//! The toolchain's programs as evcxr and rust-analyzer find them: this binary under their names, in a folder of
//! the session's that comes first in their PATH. They ask the same of them at each start, and are answered from
//! what the real ones said before (`answers`); and a cell whose crates are built is compiled without cargo
//! (`direct`). Whatever is not exactly known goes to the real program, as the user has it: user code and the
//! builds that the real cargo runs never see this folder.

mod answers;
mod chosen;
pub(super) mod direct;
pub(super) mod linker;
mod messages;
pub(super) mod record;
mod surroundings;
pub(super) mod units;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use super::{relay, toolchain};
pub(super) use chosen::sysroot;
pub(super) use surroundings::{Surroundings, stamp};

/// In the session's folder.
const FOLDER: &str = "bin";

/// A program that this one stands in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    Cargo,
    Rustc,
    Rustup,
}

impl Tool {
    const ALL: [Self; 3] = [Self::Cargo, Self::Rustc, Self::Rustup];

    fn name(self) -> &'static str {
        match self {
            Self::Cargo => "cargo",
            Self::Rustc => "rustc",
            Self::Rustup => "rustup",
        }
    }

    /// The tool of this name, which may be a path to it.
    pub(super) fn named(path: &OsStr) -> Option<Self> {
        let name = Path::new(path).file_name()?;
        Self::ALL.into_iter().find(|tool| name == tool.name())
    }

    /// The real program, in the environment in which it is used.
    fn real(self) -> Command {
        let sysroot = std::env::var_os(toolchain::SYSROOT_VARIABLE).unwrap_or_default();
        let own = Path::new(&sysroot).join("bin").join(self.name());
        // Rustup is never there, and a toolchain may come without cargo.
        let program = if own.exists() {
            own
        } else {
            found(self.name()).unwrap_or_else(|| self.name().into())
        };
        let mut command = Command::new(program);
        command.envs(self.environment());
        if toolchain::users_cargo_home().is_none() {
            command.env_remove("CARGO_HOME");
        }
        command
    }

    /// What is otherwise in the real programs' environment.
    fn environment(self) -> Vec<(&'static str, OsString)> {
        let sysroot = std::env::var_os(toolchain::SYSROOT_VARIABLE).unwrap_or_default();
        let bin = Path::new(&sysroot).join("bin");
        let mut changed = vec![("PATH", toolchain::users_path_after(&[&bin]))];
        changed.extend(toolchain::users_cargo_home().map(|home| ("CARGO_HOME", home)));
        let ours =
            std::env::var_os("RUSTC").is_some_and(|rustc| Path::new(&rustc) == place(Self::Rustc));
        if ours {
            changed.push(("RUSTC", bin.join("rustc").into()));
        }
        changed
    }

    fn become_real(self, arguments: &[OsString]) -> ExitCode {
        let error = self.real().args(arguments).exec();
        // Nothing else is there that could render; who asked shows it.
        let _ = writeln!(
            io::stderr(),
            "error: {} cannot be run: {error}",
            self.name()
        );
        ExitCode::from(127)
    }
}

/// A program in the PATH as the user has it.
fn found(name: &str) -> Option<PathBuf> {
    let path = toolchain::users_path_after(&[]);
    let mut there = std::env::split_paths(&path).map(|folder| folder.join(name));
    there.find(|program| program.is_file())
}

/// Where this program stands in for a tool in this session.
fn place(tool: Tool) -> PathBuf {
    let folder = std::env::var_os(relay::FOLDER_VARIABLE).unwrap_or_default();
    bin(Path::new(&folder)).join(tool.name())
}

/// The folder of the tools that stand in.
pub fn bin(folder: &Path) -> PathBuf {
    folder.join(FOLDER)
}

/// Makes the folder. Without it, only speed is lost.
pub fn make(folder: &Path) -> io::Result<()> {
    let exe = std::env::current_exe()?;
    let bin = bin(folder);
    fs::create_dir(&bin)?;
    for tool in Tool::ALL {
        std::os::unix::fs::symlink(&exe, bin.join(tool.name()))?;
    }
    Ok(())
}

/// The tool as which this process was started.
pub fn role() -> Option<Tool> {
    // A session's children alone know its folder.
    std::env::var_os(relay::FOLDER_VARIABLE)?;
    Tool::named(&std::env::args_os().next()?)
}

/// Answers in the place of a tool, or becomes it.
pub fn main(tool: Tool) -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some(code) = direct::build(tool, &arguments) {
        return code;
    }
    if let Some(told) = which(tool, &arguments) {
        return ended(writeln!(io::stdout(), "{}", told.display()));
    }
    answers::answer(tool, &arguments).unwrap_or_else(|| tool.become_real(&arguments))
}

/// `rustup which cargo` is the one that stands in.
fn which(tool: Tool, arguments: &[OsString]) -> Option<PathBuf> {
    let [which, name] = arguments else {
        return None;
    };
    let asked = Tool::named(name).filter(|asked| *asked != Tool::Rustup && name == asked.name())?;
    let place = place(asked);
    (tool == Tool::Rustup && which == "which" && place.exists()).then_some(place)
}

fn ended(told: io::Result<()>) -> ExitCode {
    if told.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_known_by_its_name_alone() {
        let named = |path: &str| Tool::named(OsStr::new(path));
        assert_eq!(named("/tmp/regatta-1/bin/cargo"), Some(Tool::Cargo));
        assert_eq!(named("rustup"), Some(Tool::Rustup));
        assert_eq!(named("/usr/bin/regatta"), None);
        assert_eq!(named("/usr/bin/cargo-clippy"), None);
        assert_eq!(named(""), None);
    }
}
