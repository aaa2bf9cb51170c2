//! The folder to which a session has brought this program (`bring.sh`). It goes when nobody has used it for long: a node that
//! runs uses it, also when no session starts another one from there.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// How often it is told to be in use.
pub const DAILY: Duration = Duration::from_secs(24 * 3600);

/// Says that this program is in use.
pub fn is_used() {
    if let Ok(own) = std::env::current_exe() {
        uses(&own);
    }
}

/// Says so of the folder of a program that was brought; of others nothing is to be said.
fn uses(program: &Path) {
    if let Some(folder) = brought_to(program) {
        // One that cannot be told is none that this user's sessions take away.
        let _ = File::open(folder).and_then(|folder| folder.set_modified(SystemTime::now()));
    }
}

/// The folder of a program that was brought: it is called by the program's hash, below one for all of them.
fn brought_to(program: &Path) -> Option<&Path> {
    let folder = program.parent()?;
    let hash = folder.file_name()?.to_str()?;
    let is_hash = hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_hash && folder.parent()?.ends_with("regatta/node")).then_some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_program_that_was_brought_is_known() {
        let hash = "0123456789abcdef0123456789abcdef";
        let folder = format!("/home/me/.cache/regatta/node/{hash}");
        let program = format!("{folder}/regatta");
        assert_eq!(brought_to(Path::new(&program)), Some(Path::new(&folder)));
        for other in ["/usr/bin/regatta", "/home/me/.cache/regatta/node/x/regatta"] {
            assert_eq!(brought_to(Path::new(other)), None);
        }
    }

    #[test]
    fn a_folder_in_use_is_none_of_the_past() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("regatta/node").join("0".repeat(32));
        std::fs::create_dir_all(&folder).unwrap();
        let opened = File::open(&folder).unwrap();
        opened.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        uses(&folder.join("regatta"));
        let told = folder.metadata().unwrap().modified().unwrap();
        assert!(told > SystemTime::UNIX_EPOCH);
    }
}
