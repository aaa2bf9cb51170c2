//! rustc's wrapper. evcxr uses this binary as that, to keep its cache of built crates. For the cells' own
//! crate there is something to mend first.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// evcxr sets it for its wrapper.
const ROLE_VARIABLE: &str = "EVCXR_RUSTC_WRAPPER";

/// The name that evcxr gives to the crate of every cell.
const CELL_CRATE: &str = "ctx";

/// What distinguishes crates of the same name; any fixed value.
const METADATA: &str = "metadata=regatta";

/// Serves in this role, and then never returns; returns when this is another role.
pub fn serve() {
    if std::env::var_os(ROLE_VARIABLE).is_none() {
        return;
    }
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let is_cell = arguments
        .windows(2)
        .any(|two| two[0] == "--crate-name" && two[1] == CELL_CRATE);
    if let (true, Some((rustc, rest))) = (is_cell, arguments.split_first()) {
        // Only returns when rustc cannot be executed, which the way below reports.
        let _ = Command::new(rustc).args(steady(rest)).exec();
    }
    evcxr::runtime_hook();
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
