//! rustc's wrapper: cargo runs this binary instead of rustc. It mends one thing for the cells' own crate and
//! becomes rustc.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

/// Set for cargo, and so for its wrapper.
pub const ROLE_VARIABLE: &str = "REGATTA_RUSTC_WRAPPER";

/// The name that evcxr gives to the crate of every cell.
const CELL_CRATE: &str = "ctx";

/// What distinguishes crates of the same name; any fixed value.
const METADATA: &str = "metadata=regatta";

/// Whether cargo has started this process as its wrapper: with rustc's path and arguments.
pub fn is_role() -> bool {
    std::env::var_os(ROLE_VARIABLE).is_some()
        && std::env::args_os().nth(1).is_some_and(|rustc| {
            std::path::Path::new(&rustc)
                .file_stem()
                .is_some_and(|name| name == "rustc")
        })
}

/// Becomes rustc; returns only when that fails.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let Some((rustc, rest)) = arguments.split_first() else {
        return ExitCode::FAILURE;
    };
    let is_cell = rest
        .windows(2)
        .any(|two| two[0] == "--crate-name" && two[1] == CELL_CRATE);
    let rest = if is_cell { steady(rest) } else { rest.to_vec() };
    let _ = Command::new(rustc).args(rest).exec();
    ExitCode::FAILURE
}

/// The arguments with metadata that stay the same. Cargo's contain the crates that the cell depends on; a
/// type's id depends on them, so that adding a crate would make every value of the user's own types another
/// type's.
fn steady(arguments: &[OsString]) -> Vec<OsString> {
    let is_metadata = |text: &OsString| text.to_string_lossy().starts_with("metadata=");
    arguments
        .iter()
        .map(|text| {
            if is_metadata(text) {
                METADATA.into()
            } else {
                text.clone()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_metadata_change() {
        let given = [
            "--crate-name",
            "ctx",
            "-C",
            "metadata=0123",
            "-C",
            "extra-filename=-0123",
        ];
        let given: Vec<OsString> = given.iter().map(OsString::from).collect();
        let steady = steady(&given);
        assert_eq!(steady[3], "metadata=regatta");
        assert_eq!(steady[5], given[5]);
    }
}
