//! What a session and a compiler must have in common.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::os::unix::fs::MetadataExt as _;

use crate::compiler::toolchain::{self, Toolchain};

/// Variables of the environment that differ from one terminal to the next and say nothing to a compiler.
const VARYING: [&str; 23] = [
    "PWD",
    "OLDPWD",
    "SHLVL",
    "_",
    "COLORTERM",
    "COLUMNS",
    "LINES",
    "WINDOWID",
    "STY",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "NO_COLOR",
    "CLICOLOR",
    "PAGER",
    "EDITOR",
    "VISUAL",
    "VTE_VERSION",
    "DBUS_SESSION_BUS_ADDRESS",
    "GPG_TTY",
    // Where this program keeps its history and finds its startup notebook; git has its own there too, which
    // cargo reads anew for each crate that it fetches.
    "XDG_DATA_HOME",
    "XDG_CONFIG_HOME",
    // Where engines keep results.
    "REGATTA_MEMO",
];

/// The same, by how their names begin.
const VARYING_KINDS: [&str; 8] = [
    "TERM",
    "TMUX",
    "SSH_",
    "XDG_SESSION_",
    "KITTY_",
    "ALACRITTY_",
    "WEZTERM_",
    "KONSOLE_",
];

/// What a session gives to its children and to its commands, in which other sessions may run. A compiler has none of
/// them, so that no cell is compiled with those of another session; engines have their own session's.
pub const OF_CHILDREN: [&str; 9] = [
    "REGATTA",
    "REGATTA_RANK",
    "REGATTA_SIZE",
    "REGATTA_NAME",
    "REGATTA_STORE",
    "REGATTA_REDIS_URL",
    "REGATTA_FENCE",
    "REGATTA_CHILD",
    "REGATTA_COMMAND_OF",
];

/// Equal for sessions and compilers that fit each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(u64);

impl Key {
    /// That of this process's environment.
    pub fn of(toolchain: &Toolchain) -> io::Result<Self> {
        let mut hasher = DefaultHasher::new();
        let program = std::env::current_exe()?;
        let about = fs::metadata(&program)?;
        (program, about.size(), about.mtime(), about.mtime_nsec()).hash(&mut hasher);
        let stamp = toolchain::stamp(&toolchain.sysroot);
        (stamp, toolchain.no_sources.is_some()).hash(&mut hasher);
        // What is mounted where: files of the same name may be others.
        fs::read_link("/proc/self/ns/mnt").ok().hash(&mut hasher);
        let root = fs::metadata("/")?;
        (root.dev(), root.ino()).hash(&mut hasher);
        let environment: BTreeMap<_, _> = std::env::vars_os()
            .filter(|(name, _)| !name.to_str().is_some_and(varies))
            .collect();
        environment.hash(&mut hasher);
        Ok(Self(hasher.finish()))
    }
}

fn varies(name: &str) -> bool {
    VARYING.contains(&name)
        || OF_CHILDREN.contains(&name)
        || VARYING_KINDS.iter().any(|kind| name.starts_with(kind))
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_makes_no_difference_and_what_tools_read_does() {
        for name in ["TERM", "TERM_PROGRAM", "SSH_TTY", "TMUX_PANE", "PWD", "_"] {
            assert!(varies(name), "{name}");
        }
        for name in OF_CHILDREN {
            assert!(varies(name), "{name}");
        }
        for name in ["PATH", "RUSTFLAGS", "CARGO_HOME", "HOME", "TMPDIR", "CC"] {
            assert!(!varies(name), "{name}");
        }
    }
}
