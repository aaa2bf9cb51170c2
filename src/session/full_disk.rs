//! A full disk, as the tools that write to it tell of it: said once, with where and what to do, in place of their
//! own many lines.

use std::path::Path;

use crate::compiler::is_full;
use crate::outcome::{ErrorKind, Report};

/// What to do when cells cannot be built for want of room, if that is what a tool's message says.
pub fn full_disk(message: &str, folder: &Path, starting: bool) -> Option<Report> {
    if !is_full(message) {
        return None;
    }
    let what = format!(
        "there is no room to build cells in {}: the disk is full",
        folder.display()
    );
    let report = Report::new(ErrorKind::System, what);
    Some(if starting {
        report.hint(
            "make room there, or set TMPDIR to a folder with 200 MB of room, and start again; magics that \
             need no compiler still work",
        )
    } else {
        report.hint("make room there and run the cell again; nothing is lost")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_in_one_line() {
        let told = "Compilation failed\nrustc-LLVM ERROR: IO failure: No space left on device (os error 28)";
        let report = full_disk(told, Path::new("/tmp"), false).expect("a report");
        assert_eq!(
            report.what,
            "there is no room to build cells in /tmp: the disk is full"
        );
        assert_eq!(report.kind, ErrorKind::System);
        assert!(report.notes.is_empty());
        assert!(full_disk("Disk quota exceeded", Path::new("/tmp"), true).is_some());
        assert!(full_disk("mismatched types", Path::new("/tmp"), true).is_none());
    }
}
