//! The sources of Rust's standard library, which type inference reads. A toolchain without them gets them from
//! rustup; where that can't be, an empty stand-in lets cells run, and only types that need inference are unknown.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::toolchain::cache_dir;

/// How long rustup may take: it fetches some 4 MB.
const PATIENCE: Duration = Duration::from_secs(120);

/// What rust-analyzer looks for in a standard library before it reads one.
const CRATES: [&str; 4] = ["core", "alloc", "std", "proc_macro"];

/// Where a toolchain keeps the sources.
pub fn sources(sysroot: &Path) -> PathBuf {
    sysroot.join("lib/rustlib/src/rust/library")
}

/// Sees to it that the toolchain has the sources. `say` tells the user what is done meanwhile.
///
/// # Errors
/// Why they are still missing, and what to do about it.
pub fn obtain(sysroot: &Path, say: impl Fn(&str)) -> Result<(), String> {
    // A library that was left half removed is as good as none.
    let there = || sources(sysroot).join("core/src/lib.rs").exists();
    if there() {
        return Ok(());
    }
    let Some(name) = rustup_name(sysroot) else {
        return Err(without_rustup());
    };
    // Two sessions at once would both unpack them.
    let _lock = lock();
    if there() {
        return Ok(());
    }
    say(&format!(
        "the sources of Rust's standard library are missing; adding them: `rustup component add rust-src --toolchain {name}`"
    ));
    match add_component(&name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(without_rustup()),
        Err(error) => Err(format!("rustup does not run: {error}")),
        Ok(Some(why)) => Err(format!(
            "`rustup component add rust-src` failed: {why}; run it again when you are online"
        )),
        Ok(None) if there() => Ok(()),
        Ok(None) => Err("rustup has added rust-src, but not to the toolchain in use".to_owned()),
    }
}

fn without_rustup() -> String {
    "this toolchain is not rustup's: install your system's package of Rust's sources (`rust-src` on Debian and Fedora)"
        .to_owned()
}

/// The name by which rustup knows the toolchain, when it is one of rustup's.
fn rustup_name(sysroot: &Path) -> Option<String> {
    let shelf = sysroot.parent()?.file_name()?;
    let name = sysroot.file_name()?.to_str()?;
    (shelf == "toolchains").then(|| name.to_owned())
}

/// Held until dropped, or `None` where the cache can't be written.
fn lock() -> Option<nix::fcntl::Flock<fs::File>> {
    let file = fs::File::create(cache_dir().join("rust-src.lock")).ok()?;
    nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusive).ok()
}

/// Runs rustup; why it failed, if it did.
fn add_component(toolchain: &str) -> io::Result<Option<String>> {
    let mut child = Command::new("rustup")
        .args(["component", "add", "rust-src", "--toolchain", toolchain])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    // Read beside the wait, so that a long tale does not fill the pipe.
    let stderr = child.stderr.take();
    let reader = std::thread::spawn(move || {
        stderr.map_or_else(String::new, |pipe| {
            io::read_to_string(pipe).unwrap_or_default()
        })
    });
    let since = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if since.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            return Ok(Some("it took too long".to_owned()));
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    if status.success() {
        return Ok(None);
    }
    let said = reader.join().unwrap_or_default();
    Ok(Some(
        last_error(&said).unwrap_or_else(|| status.to_string()),
    ))
}

/// What rustup said was wrong: its first `error:` line.
fn last_error(said: &str) -> Option<String> {
    let error = |line: &str| line.trim().strip_prefix("error: ").map(str::to_owned);
    said.lines()
        .find_map(error)
        .or_else(|| said.lines().last().map(|line| line.trim().to_owned()))
        .filter(|line| !line.is_empty())
}

/// Where the stand-in is, or will be.
pub fn none() -> PathBuf {
    cache_dir().join("rust-src").join("none").join("library")
}

/// A standard library without content, for rust-analyzer to read in the place of the real one.
pub fn stand_in() -> io::Result<PathBuf> {
    let library = none();
    for name in CRATES {
        let folder = library.join(name).join("src");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("lib.rs"), "")?;
        fs::write(
            library.join(name).join("Cargo.toml"),
            format!("[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n"),
        )?;
    }
    Ok(library)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_toolchains_of_rustup_have_a_name_there() {
        let name = |path: &str| rustup_name(Path::new(path));
        assert_eq!(
            name("/home/a/.rustup/toolchains/stable-x86_64"),
            Some("stable-x86_64".to_owned())
        );
        assert_eq!(name("/usr"), None);
        assert_eq!(name("/"), None);
    }

    #[test]
    fn rustups_own_words_say_why_it_failed() {
        let said = "info: downloading component rust-src\nerror: could not download file\n\nCaused by:\n    1: dns\n";
        assert_eq!(last_error(said).as_deref(), Some("could not download file"));
        assert_eq!(last_error("broken\n").as_deref(), Some("broken"));
        assert_eq!(last_error(""), None);
    }
}
