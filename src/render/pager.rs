//! Texts that are longer than the screen, through the user's pager.

use std::io::{self, Write as _};
use std::process::{Command, Stdio};

/// The pager where `PAGER` names none: with colours.
const DEFAULT: &str = "less -R";

/// The pager that `PAGER` names, or less.
pub fn pager(named: Option<&str>) -> String {
    let named = named.filter(|name| !name.trim().is_empty());
    named.unwrap_or(DEFAULT).to_owned()
}

/// Shows a text in a pager and waits until the user leaves it. An error when it can't be run.
pub(super) fn page(pager: &str, text: &str) -> io::Result<()> {
    let mut child = Command::new("sh")
        .args(["-c", pager])
        .stdin(Stdio::piped())
        .spawn()?;
    if let Some(mut pipe) = child.stdin.take() {
        // Who leaves the pager early closes the pipe.
        let _ = pipe.write_all(text.as_bytes());
    }
    match child.wait()?.code() {
        // What the shell says when there is no such program.
        Some(126 | 127) => Err(io::ErrorKind::NotFound.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{page, pager};

    #[test]
    fn a_pager_gets_the_text_or_is_missing() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("paged");
        let long = "line\n".repeat(100_000);
        page(&format!("cat > '{}'", file.display()), &long).expect("a pager");
        assert_eq!(std::fs::read_to_string(file).expect("its text"), long);
        page("true", &long).expect("a pager that is left at once");
        assert!(page("no-such-pager-at-all 2>/dev/null", &long).is_err());
        assert_eq!(pager(Some("most")), "most");
        assert_eq!(pager(Some(" ")), pager(None));
    }
}
