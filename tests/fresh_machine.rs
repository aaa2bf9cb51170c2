//! A machine whose toolchain came without the standard library's sources: the first command gets them, and
//! where they can't be had, cells run all the same.

mod support;

use support::machine::Machine;
use support::{contains, lacks};

/// Cells find the standard library wherever their files are, also below a folder that the toolchain is in.
#[test]
fn temporary_files_may_be_beside_the_toolchain() {
    let machine = Machine::new();
    for folder in ["temporary", "a/deeper/one"] {
        let folder = machine.folder().join(folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        let place = folder.to_str().expect("a path");
        let cells = ["%pool start -n 1", "%px 40 + 2"];
        contains(&machine.run(&[("TMPDIR", place)], &cells), &["42"]);
    }
}

#[test]
fn missing_sources_are_fetched_or_done_without() {
    let machine = Machine::new();
    machine.remove_sources();

    // No network.
    let unreachable = ("https_proxy", "http://127.0.0.1:9");
    let said = machine.run(&[unreachable], &["1 + 1"]);
    contains(
        &said,
        &["adding them", "component add rust-src", "Out[1]: 2"],
    );
    contains(
        &said,
        &[
            "note: the sources of Rust's standard library are missing",
            "failed",
        ],
    );
    assert!(!machine.has_sources());

    // The same machine, a moment later.
    let said = machine.run(&[], &["let v = vec![1, 2];\nv"]);
    contains(&said, &["adding them", "Out[1]: [1, 2]"]);
    lacks(&said, &["note: "]);
    assert!(machine.has_sources());

    // A toolchain that is not rustup's.
    machine.remove_sources();
    let path = machine.taken_from_rustup().into_os_string();
    let path = format!("{}:/usr/bin:/bin", path.to_string_lossy());
    let said = machine.run(
        &[("PATH", &path)],
        &[
            "let v: Vec<i32> = vec![1, 2]; v",
            "let m = std::collections::HashMap::from([(1, 2)]);",
            "v.len()",
        ],
    );
    contains(
        &said,
        &[
            "note: the sources of Rust's standard library are missing",
            "package",
            "Out[1]: [1, 2]",
            "the type of the variable `m` cannot be told",
            "Out[3]: 2",
        ],
    );
    lacks(&said, &["adding them"]);
}
