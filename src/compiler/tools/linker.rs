//! The linker without its drivers: rustc runs `cc`, which runs `collect2`, which runs `ld.lld`, which becomes
//! rustc's own linker, for every cell. What `cc` adds on the way is asked once, and stands beside the builds' records.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::record::{Run, Stamped};
use super::{Tool, found};

/// Beside the records.
const FILE: &str = "linker";

/// Where rustc links with its own linker by way of `cc`, when nobody asks for another one.
const TRIPLES: [&str; 1] = ["x86_64-unknown-linux-gnu"];

/// Words of a linker's command line that rustc says itself, and what follows them.
const SAID: [(&str, usize); 6] = [
    ("-shared", 0),
    ("-o", 1),
    ("-plugin", 1),
    ("-m", 1),
    ("--as-needed", 0),
    ("--eh-frame-hdr", 0),
];

/// How a cell is linked without `cc`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linker {
    /// What it was learnt from, and the linker itself.
    files: Vec<Stamped>,
    program: PathBuf,
    /// What `cc` adds.
    added: Vec<String>,
    /// It has failed where `cc` may not.
    failed: bool,
}

impl Linker {
    /// As it is known in a folder of records; asks `cc` when it is not.
    pub fn known(records: &Path, triple: &str, run: &Run) -> Option<Self> {
        if run.arguments.iter().any(|argument| chooses(argument)) {
            return None;
        }
        let file = records.join(FILE);
        let known = fs::read(&file).ok();
        let known = known.and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        let known = known.filter(|known| known.files.iter().all(Stamped::is_same));
        let linker = known.or_else(|| {
            let learnt = Self::learnt(triple)?;
            learnt.keep(records);
            Some(learnt)
        })?;
        (!linker.failed).then_some(linker)
    }

    fn learnt(triple: &str) -> Option<Self> {
        let rustc = PathBuf::from(Tool::Rustc.real().get_program());
        let sysroot = rustc.parent()?.parent()?;
        let program = sysroot
            .join("lib/rustlib")
            .join(triple)
            .join("bin/rust-lld");
        if !TRIPLES.contains(&triple) || !program.is_file() {
            return None;
        }
        let cc = found("cc")?;
        // Prints what it would do.
        let asked = std::process::Command::new(&cc)
            .args([
                "-m64",
                "-shared",
                "-nodefaultlibs",
                "-###",
                OBJECT,
                "-o",
                RESULT,
            ])
            .env("LC_ALL", "C")
            .current_dir("/")
            .output()
            .ok()?;
        let added = added(&String::from_utf8(asked.stderr).ok()?);
        Some(Self {
            // Not asked again either, when it says more than is understood.
            failed: added.is_none(),
            added: added.unwrap_or_default(),
            files: vec![Stamped::new(cc), Stamped::new(program.clone())],
            program,
        })
    }

    fn keep(&self, records: &Path) {
        // Without it, `cc` is asked again.
        if let Ok(bytes) = serde_json::to_vec(self) {
            let _ = fs::write(records.join(FILE), bytes);
        }
    }

    /// Remembers that a cell could not be linked in this way.
    pub fn has_failed(mut self, records: &Path) {
        self.failed = true;
        self.keep(records);
    }

    /// rustc's arguments, in the place of those that are for `cc`.
    pub fn arguments(&self, arguments: Vec<OsString>) -> Vec<OsString> {
        let mut direct: Vec<OsString> = Vec::new();
        for argument in arguments {
            match argument
                .to_str()
                .and_then(|text| text.strip_prefix("-Clink-arg=-Wl,"))
            {
                Some(words) => direct.extend(
                    words
                        .split(',')
                        .map(|word| format!("-Clink-arg={word}").into()),
                ),
                None => direct.push(argument),
            }
        }
        direct.push("-Clinker-flavor=ld.lld".into());
        // To start threads takes longer than to link a cell.
        direct.push("-Clink-arg=--threads=1".into());
        direct.push(format!("-Clinker={}", self.program.display()).into());
        direct.extend(
            self.added
                .iter()
                .map(|word| format!("-Clink-arg={word}").into()),
        );
        direct
    }
}

/// Stand for a cell's in what `cc` is asked.
const OBJECT: &str = "regatta-object.o";
const RESULT: &str = "regatta-result.so";

/// Whether an argument of rustc's says how to link.
fn chooses(argument: &str) -> bool {
    let option = argument.strip_prefix("-C").unwrap_or(argument);
    ["linker", "link-arg", "link-self-contained"]
        .iter()
        .any(|name| option.starts_with(name))
}

/// What `cc` would add to the command line of a linker; `None` when that holds more than folders, start files and
/// plain settings.
fn added(said: &str) -> Option<Vec<String>> {
    let line = said
        .lines()
        .rfind(|line| line.contains(OBJECT) && !line.contains("COLLECT_GCC_OPTIONS"))?;
    let words = shell_words::split(line.trim()).ok()?;
    let mut words = words.into_iter().skip(1);
    let mut added = Vec::new();
    while let Some(word) = words.next() {
        if let Some((_, behind)) = SAID.iter().find(|(said, _)| *said == word) {
            for _ in 0..*behind {
                words.next()?;
            }
            continue;
        }
        let plain = ["--build-id", "--hash-style="]
            .iter()
            .any(|plain| word.starts_with(plain));
        let folder = word.len() > 2 && word.starts_with("-L");
        let start = word.starts_with('/') && word.ends_with(".o");
        if plain || folder || start {
            added.push(word);
        } else if word != OBJECT && !word.starts_with("-plugin-opt=") {
            return None;
        }
    }
    Some(added)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Using built-in specs.\nCOLLECT_GCC_OPTIONS='-shared' 'regatta-object.o'\n \
        /usr/lib/collect2 -plugin /usr/lib/lto.so \"-plugin-opt=-fresolution=/tmp/c.res\" --build-id --eh-frame-hdr \
        -m elf_x86_64 \"--hash-style=gnu\" --as-needed -shared -o regatta-result.so /usr/lib/crti.o \
        /usr/lib/gcc/crtbeginS.o -L/usr/lib/gcc -L/lib regatta-object.o /usr/lib/gcc/crtendS.o /usr/lib/crtn.o\n\
        COLLECT_GCC_OPTIONS='-shared'\n";

    #[test]
    fn folders_and_start_files_are_taken_over_in_their_order() {
        let added = added(SAID).unwrap();
        assert_eq!(
            added,
            [
                "--build-id",
                "--hash-style=gnu",
                "/usr/lib/crti.o",
                "/usr/lib/gcc/crtbeginS.o",
                "-L/usr/lib/gcc",
                "-L/lib",
                "/usr/lib/gcc/crtendS.o",
                "/usr/lib/crtn.o"
            ]
        );
    }

    #[test]
    fn what_is_not_understood_is_left_to_cc() {
        assert_eq!(added(&SAID.replace("-L/lib", "-T/my/script")), None);
        assert_eq!(added("cc: fatal error"), None);
        for choice in [
            "linker=clang",
            "-Clink-arg=-fuse-ld=gold",
            "linker-flavor=gcc",
        ] {
            assert!(chooses(choice), "{choice}");
        }
        assert!(!chooses("opt-level=2") && !chooses("-Cprefer-dynamic"));
    }

    #[test]
    fn arguments_for_cc_become_the_linker_s() {
        let linker = Linker {
            files: Vec::new(),
            program: "/lld".into(),
            added: vec!["-L/lib".to_owned()],
            failed: false,
        };
        let given = ["-Crpath", "-Clink-arg=-Wl,-rpath,/deps"].map(OsString::from);
        assert_eq!(
            linker.arguments(given.to_vec()),
            [
                "-Crpath",
                "-Clink-arg=-rpath",
                "-Clink-arg=/deps",
                "-Clinker-flavor=ld.lld",
                "-Clink-arg=--threads=1",
                "-Clinker=/lld",
                "-Clink-arg=-L/lib"
            ]
        );
    }

    #[test]
    fn a_linker_that_has_failed_is_not_taken_again() {
        let folder = tempfile::tempdir().unwrap();
        let run = Run {
            arguments: Vec::new(),
            environment: Vec::new(),
        };
        let linker = || Linker {
            files: vec![Stamped::new("/bin/sh".into())],
            program: "/lld".into(),
            added: Vec::new(),
            failed: false,
        };
        linker().keep(folder.path());
        assert_eq!(
            Linker::known(folder.path(), TRIPLES[0], &run),
            Some(linker())
        );
        linker().has_failed(folder.path());
        assert_eq!(Linker::known(folder.path(), TRIPLES[0], &run), None);
        let chosen = Run {
            arguments: vec!["-C".to_owned(), "linker=clang".to_owned()],
            environment: Vec::new(),
        };
        linker().keep(folder.path());
        assert_eq!(Linker::known(folder.path(), TRIPLES[0], &chosen), None);
    }
}
