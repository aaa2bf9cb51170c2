//! A machine of its own: a copy of the toolchain in use, with caches that are empty.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use super::BINARY;

/// Files above this are linked: rustup replaces them, and never writes into them.
const LARGE: u64 = 1 << 20;

/// A copy of the toolchain in use, as rustup keeps it, with caches of its own.
pub struct Machine {
    folder: TempDir,
    name: String,
}

impl Machine {
    pub fn new() -> Self {
        let output = Command::new("rustc").args(["--print", "sysroot"]).output();
        let output = output.expect("rustc").stdout;
        let sysroot = PathBuf::from(String::from_utf8_lossy(&output).trim());
        let name = sysroot.file_name().expect("a name").to_string_lossy();
        // Beside the original, so that large files can be linked.
        let folder = tempfile::tempdir_in(sysroot.parent().expect("a folder"))
            .or_else(|_| tempfile::tempdir());
        let machine = Self {
            folder: folder.expect("a folder"),
            name: name.into_owned(),
        };
        copy(&sysroot, &machine.sysroot());
        fs::write(
            machine.rustup_home().join("settings.toml"),
            format!(
                "version = \"12\"\ndefault_toolchain = \"{}\"\n",
                machine.name
            ),
        )
        .expect("rustup's settings");
        machine
    }

    fn rustup_home(&self) -> PathBuf {
        self.folder.path().join("rustup")
    }

    pub fn sysroot(&self) -> PathBuf {
        self.rustup_home().join("toolchains").join(&self.name)
    }

    pub fn has_sources(&self) -> bool {
        self.sysroot()
            .join("lib/rustlib/src/rust/library/core/src/lib.rs")
            .exists()
    }

    pub fn remove_sources(&self) {
        if !self.has_sources() {
            return;
        }
        let mut rustup = Command::new("rustup");
        rustup.args(["component", "remove", "rust-src", "--toolchain", &self.name]);
        let output = self.at_home(&mut rustup).output().expect("rustup");
        assert!(output.status.success(), "{output:?}");
        assert!(!self.has_sources());
    }

    /// Takes the toolchain out of rustup's hands.
    pub fn taken_from_rustup(&self) -> PathBuf {
        let place = self.folder.path().join("rust");
        fs::rename(self.sysroot(), &place).expect("a move within a file system");
        place.join("bin")
    }

    /// From here on, the toolchain's cargo writes a line into a file for each build.
    pub fn count_builds(&self) -> PathBuf {
        let log = "for word; do test \"$word\" = build && echo build; done";
        self.log("cargo", log, "builds")
    }

    /// From here on, the toolchain's rustc writes its arguments into a file, a line for each run.
    pub fn log_rustc(&self) -> PathBuf {
        self.log("rustc", "echo \"$@\"", "compiled")
    }

    /// From here on, the toolchain is another one than that with which the binary was built: its rustc says so.
    pub fn is_another(&self) {
        self.log(
            "rustc",
            "test \"$*\" = -vV && echo another: yes >&3",
            "none",
        );
    }

    /// From here on, a program of the toolchain has what a shell's command says written into a file of this name.
    fn log(&self, program: &str, says: &str, file: &str) -> PathBuf {
        let (program, log) = (
            self.sysroot().join("bin").join(program),
            self.folder.path().join(file),
        );
        let mut real = program.clone().into_os_string();
        real.push("-real");
        fs::rename(&program, &real).expect("a move within a folder");
        let script = format!(
            "#!/bin/sh\n{{ {says}; }} 3>&1 >> '{}'\nexec '{}' \"$@\"\n",
            log.display(),
            real.display()
        );
        fs::write(&program, script).expect("a script");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("its mode");
        fs::write(&log, "").expect("a file");
        log
    }

    /// For files of the user's.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn at_home<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command
            .current_dir(self.folder.path())
            .env_remove("RUSTUP_TOOLCHAIN")
            // Cargo's: it leads to the libraries of the toolchain that the tests run with.
            .env_remove("LD_LIBRARY_PATH")
            .env("RUSTUP_HOME", self.rustup_home())
            .env("RUSTUP_AUTO_INSTALL", "0")
            .env("XDG_CACHE_HOME", self.folder.path().join("cache"))
            .env("XDG_DATA_HOME", self.folder.path().join("data"))
            .env("NO_COLOR", "1")
    }

    /// Runs cells; gives what was printed, on standard error first.
    pub fn run(&self, environment: &[(&str, &str)], cells: &[&str]) -> String {
        let mut command = Command::new(BINARY);
        command
            .args(["run", "--keep-going", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        self.at_home(&mut command).envs(environment.iter().copied());
        let mut child = command.spawn().expect("the binary");
        let notebook: String = cells
            .iter()
            .map(|cell| format!("```rust\n{cell}\n```\n"))
            .collect();
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(notebook.as_bytes()).expect("a reader");
        drop(stdin);
        let Output { stdout, stderr, .. } = child.wait_with_output().expect("its output");
        [stderr, stdout]
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .concat()
    }
}

/// Compilers that wait for a next session write into the folder.
impl Drop for Machine {
    fn drop(&mut self) {
        let mut command = Command::new(BINARY);
        let _ = self.at_home(command.args(["warm", "stop"])).output();
    }
}

/// Copies a toolchain without its documentation.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let metadata = entry.metadata().expect("its size");
        if entry.file_name() == "share" {
        } else if metadata.is_dir() {
            copy(&from, &to);
        } else if metadata.len() < LARGE || fs::hard_link(&from, &to).is_err() {
            fs::copy(&from, &to).expect("a copy");
        }
    }
}
