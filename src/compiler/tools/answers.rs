//! What cargo and rustc have said before, kept in the user's cache: at each start evcxr and rust-analyzer ask them
//! some thirty times for the same.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::{cell_crate, toolchain};
use super::surroundings::HERE;
use super::{Surroundings, Tool};

/// Answers kept; a session needs some twenty.
const KEPT: usize = 200;

/// One answer of a tool that ended well.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub stdout: String,
    pub stderr: String,
    /// The manifests that it names: the answer is about them. It is good while they are there.
    pub about: Vec<PathBuf>,
}

/// Answers as the tool did before, or asks it and keeps what it says. `None` for a question whose answer may be
/// another one the next time.
pub fn answer(tool: Tool, arguments: &[OsString]) -> Option<ExitCode> {
    let surroundings = question(tool, arguments)?;
    let shelf = shelf();
    let file = shelf.join(format!("{:016x}", surroundings.number()));
    if let Some(answer) = read(&file) {
        return Some(tell(&answer, &surroundings));
    }
    let asked = tool.real().args(arguments).output().ok()?;
    let (stdout, stderr) = (text(asked.stdout)?, text(asked.stderr)?);
    let answer = Answer {
        stdout: surroundings.kept(&stdout),
        stderr: surroundings.kept(&stderr),
        about: manifests(&stdout),
    };
    if asked.status.success() {
        // Without room for it, it is asked again.
        let _ = keep(&shelf, &file, &answer);
        return Some(tell(&answer, &surroundings));
    }
    let _ = tell(&answer, &surroundings);
    let code = asked.status.code().and_then(|code| u8::try_from(code).ok());
    Some(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Where answers are kept.
pub fn shelf() -> PathBuf {
    toolchain::cache_dir().join("answers")
}

fn text(bytes: Vec<u8>) -> Option<String> {
    String::from_utf8(bytes).ok()
}

fn tell(answer: &Answer, surroundings: &Surroundings) -> ExitCode {
    let told = io::stderr()
        .write_all(surroundings.told(&answer.stderr).as_bytes())
        .and_then(|()| io::stdout().write_all(surroundings.told(&answer.stdout).as_bytes()));
    super::ended(told)
}

/// The answer, when all that it is about is there.
pub fn read(file: &Path) -> Option<Answer> {
    let answer: Answer = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    answer
        .about
        .iter()
        .all(|manifest| manifest.exists())
        .then_some(answer)
}

pub fn keep(shelf: &Path, file: &Path, answer: &Answer) -> io::Result<()> {
    fs::create_dir_all(shelf)?;
    // Written beside and moved into place, so that two sessions at once do not see half of it.
    let mut beside = tempfile::NamedTempFile::new_in(shelf)?;
    beside.write_all(&serde_json::to_vec(answer)?)?;
    beside.persist(file)?;
    toolchain::keep_newest(shelf, KEPT)
}

/// The manifests outside of the session's folder that cargo's metadata name.
fn manifests(stdout: &str) -> Vec<PathBuf> {
    let metadata: Option<Value> = serde_json::from_str(stdout).ok();
    let packages = metadata
        .as_ref()
        .and_then(|metadata| metadata["packages"].as_array());
    let session = std::env::var_os(super::relay::FOLDER_VARIABLE).unwrap_or_default();
    let named = packages.into_iter().flatten();
    named
        .filter_map(|package| package["manifest_path"].as_str())
        .map(PathBuf::from)
        .filter(|manifest| !manifest.starts_with(&session))
        .collect()
}

/// What the answer depends on; `None` when that is not known.
fn question(tool: Tool, arguments: &[OsString]) -> Option<Surroundings> {
    let words: Vec<&str> = arguments
        .iter()
        .map(|word| word.to_str())
        .collect::<Option<_>>()?;
    let project = match (tool, words.as_slice()) {
        (Tool::Rustc, ["-vV" | "-Vv" | "--version"] | ["--print", "sysroot" | "target-libdir"])
        | (Tool::Cargo, ["--version"]) => None,
        (Tool::Cargo, words) if about_project(words) => Some(project(words)?),
        _ => return None,
    };
    let mut surroundings = Surroundings::new();
    surroundings.text(tool.name());
    words.iter().for_each(|word| surroundings.text(word));
    let Some(manifest) = project else {
        return Some(surroundings);
    };
    let text = fs::read_to_string(&manifest).ok()?;
    let folder = manifest.parent()?;
    let cache = toolchain::cache_dir();
    let session = PathBuf::from(std::env::var_os(super::relay::FOLDER_VARIABLE)?);
    let own = || cell_crate::lines(&cache, &session.join("build")).ok();
    if !folder.starts_with(&cache) && !names_only(&text, &own()?) {
        return None;
    }
    let here = std::env::current_dir().ok()?;
    if !surroundings.configuration(&here) {
        return None;
    }
    surroundings.manifests_above(folder);
    surroundings.text(&text);
    let lock = std::env::var_os("CARGO_RESOLVER_LOCKFILE_PATH").map(PathBuf::from);
    let lock = lock.unwrap_or_else(|| folder.join("Cargo.lock"));
    surroundings.text(&fs::read_to_string(lock).unwrap_or_default());
    Some(surroundings)
}

/// Whether cargo is asked about a project, and does nothing with it.
fn about_project(words: &[&str]) -> bool {
    let words = words.strip_prefix(&["--offline"]).unwrap_or(words);
    matches!(
        words,
        ["metadata" | "locate-project", ..]
            | ["-Z", "unstable-options", "config", "get", ..]
            | ["rustc", "-Z", "unstable-options", "--print", ..]
    )
}

/// The manifest of the project that is asked about.
fn project(words: &[&str]) -> Option<PathBuf> {
    let named = words.windows(2).find(|two| two[0] == "--manifest-path");
    match named {
        Some(two) => Some(two[1].into()),
        None => Some(std::env::current_dir().ok()?.join("Cargo.toml")),
    }
}

/// Whether a manifest depends on nothing but what these lines say.
fn names_only(manifest: &str, lines: &[String]) -> bool {
    let Some((package, dependencies)) = manifest.split_once("[dependencies]") else {
        return !manifest.contains("dependencies");
    };
    !package.contains("dependencies")
        && !package.contains("workspace")
        && !package.contains(HERE)
        && dependencies
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .all(|line| lines.iter().any(|own| own == line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_crates_are_answered_for() {
        let own = vec![
            "serde = { version = \"1\" }".to_owned(),
            "cell = { path = \"/c\" }".to_owned(),
        ];
        let head = "[package]\nname = \"ctx\"\n\n[dependencies]\n";
        assert!(names_only(head, &own));
        assert!(names_only(
            &format!("{head}{}\n\n{}\n", own[1], own[0]),
            &own
        ));
        assert!(!names_only(
            &format!("{head}{}\nrand = \"1\"\n", own[0]),
            &own
        ));
        assert!(!names_only(
            &format!("{head}{}\n[dev-dependencies]\n", own[0]),
            &own
        ));
        assert!(!names_only(
            "[build-dependencies]\ncc = \"1\"\n[dependencies]\n",
            &own
        ));
        assert!(names_only("[package]\nname = \"alone\"\n", &own));
    }

    #[test]
    fn what_changes_something_is_no_question() {
        assert!(about_project(&["metadata", "--format-version=1"]));
        assert!(about_project(&[
            "--offline",
            "metadata",
            "--format-version=1"
        ]));
        assert!(about_project(&[
            "rustc",
            "-Z",
            "unstable-options",
            "--print",
            "cfg"
        ]));
        assert!(!about_project(&["rustc", "--release"]));
        assert!(!about_project(&["update"]) && !about_project(&[]));
    }

    #[test]
    fn an_answer_is_good_while_what_it_is_about_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = folder.path().join("Cargo.toml");
        fs::write(&manifest, "").unwrap();
        let answer = Answer {
            stdout: "{}".to_owned(),
            stderr: String::new(),
            about: vec![manifest.clone()],
        };
        let shelf = folder.path().join("answers");
        keep(&shelf, &shelf.join("1"), &answer).unwrap();
        assert_eq!(read(&shelf.join("1")), Some(answer));
        fs::remove_file(manifest).unwrap();
        assert_eq!(read(&shelf.join("1")), None);
        fs::write(shelf.join("1"), "{ broken").unwrap();
        assert_eq!(read(&shelf.join("1")), None);
    }
}
