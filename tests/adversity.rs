//! Sessions where something that they need is full, missing or read-only. Each ends with a right answer or one
//! clear error, and leaves nothing behind.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use support::{BINARY, PATIENCE, Session, contains, lacks, proc};

/// What no user should have to read.
const RAW: [&str; 5] = ["STDERR", "--crate-name", "os error", "evcxr", "thread '"];

/// Starts a session by a shell in a mount namespace of its own, in which `mounts` were made.
fn mounted(mounts: &str, variables: &[(&str, &str)]) -> Session {
    may_mount();
    let script = format!("exec unshare -m sh -c '{mounts} && exec \"$0\" --no-warm' \"$0\"");
    Session::under(&script, variables)
}

/// The tests mount file systems of their own: as root, or as root of a user namespace.
fn may_mount() {
    let tried = Command::new("unshare").args(["-m", "true"]).status();
    assert!(
        tried.is_ok_and(|status| status.success()),
        "these tests need leave to mount: run them as root, or by `unshare -r cargo test`"
    );
}

#[test]
fn a_full_folder_for_temporary_files_while_cold() {
    // The one is full at the first steps, the other while the cell crate is built or linked.
    for size in ["5m", "30m"] {
        let mounts = format!("mount -t tmpfs -o size={size} none \"$TMPDIR\"");
        let mut session = mounted(&mounts, &[]);
        session.prompt(PATIENCE);
        let shown = session.cell("40 + 2");
        contains(
            &shown,
            &["error: there is no room to build cells in", "TMPDIR"],
        );
        assert_eq!(shown.matches("error").count(), 1, "{shown}");
        lacks(&shown, &RAW);
        // What needs no compiler works.
        contains(&session.cell("%pool start -n 1"), &["p0: 1 process engine"]);
        contains(&session.cell("!echo $((40 + 2))"), &["42"]);
        assert_eq!(session.end(), 0);
    }
}

#[test]
fn a_full_folder_for_temporary_files_while_warm() {
    // What a session needs, so that the small one is full after some cells only.
    let mut session = mounted("mount -t tmpfs -o size=130m none \"$TMPDIR\"", &[]);
    session.prompt(PATIENCE);
    let room = session.temporary().display().to_string();
    session.cells(&[
        "let kept = vec![1u8, 2];",
        "fn twice(x: u8) -> u8 { x * 2 }",
        "%pool start -n 2",
        "%px let there = 7;",
    ]);
    let fill = format!("!cat /dev/zero > {room}/fill 2>/dev/null; echo full");
    contains(&session.cell(&fill), &["full"]);
    for code in [
        "let more = kept.len() + 1;",
        "%px there + 1",
        "%map twice over kept.clone()",
        "%dep kernels",
    ] {
        let shown = session.cell(code);
        if code == "%dep kernels" && !shown.contains("error") {
            continue;
        }
        contains(&shown, &["error: there is no room to build cells in"]);
        assert_eq!(shown.matches("error").count(), 1, "{shown}");
        lacks(&shown, &RAW);
    }
    session.cell(&format!("!rm {room}/fill"));
    contains(&session.cell("kept.len() + 40"), &["42"]);
    contains(&session.cell("%map twice over kept.clone()"), &["[2, 4]"]);
    contains(&session.cell("%px there + 1"), &["8"]);
    // A cell fills it itself, and what it computed is still shown.
    let shown = session.cell(&format!(
        "let full = std::fs::write(\"{room}/fill\", vec![0u8; 200 << 20]).is_err(); full"
    ));
    contains(&shown, &["true"]);
    // A build clears away the one before the last, which may be room enough for the next one.
    let shown = session.cell("full");
    let told = ["error: there is no room", "true"];
    assert!(told.iter().any(|told| shown.contains(told)), "{shown}");
    lacks(&shown, &RAW);
    session.cell(&format!("!rm {room}/fill"));
    contains(&session.cell("full"), &["true"]);
    assert_eq!(session.end(), 0);
}

#[test]
fn no_room_for_what_c_is_compiled_to() {
    let shelf = format!("{}/regatta/c", cache());
    let mounts = format!("mkdir -p \"{shelf}\" && mount -t tmpfs -o size=16k none \"{shelf}\"");
    let mut session = mounted(&mounts, &[]);
    session.prompt(PATIENCE);
    session.cells(&["let kept = 40;"]);
    let source = "%%c\nint plus(int x) { return x + 2; }";
    // The first time the linker is short of room, the second time the compiler.
    for fill in ["true", &format!("cat /dev/zero > {shelf}/fill 2>/dev/null")] {
        session.cell(&format!("!{fill}; true"));
        let shown = session.cell(source);
        contains(&shown, &["there is no room in", "XDG_CACHE_HOME"]);
        assert_eq!(shown.matches("error").count(), 1, "{shown}");
        lacks(&shown, &RAW);
        contains(
            &session.cell("plus(kept)"),
            &["cannot find function `plus`"],
        );
        contains(&session.cell("kept + 2"), &["42"]);
    }
    session.cell(&format!(
        "!mount -o remount,size=1m {shelf}; rm {shelf}/fill; ls -A {shelf} | wc -l"
    ));
    contains(&session.cell(source), &["fn plus(x: i32) -> i32"]);
    contains(&session.cell("plus(kept)"), &["42"]);
    // The library, and what the compiler said of it.
    contains(&session.cell(&format!("!ls -A {shelf} | wc -l")), &["2"]);
    assert_eq!(session.end(), 0);
}

#[test]
fn no_room_in_shared_memory() {
    let mut session = mounted(
        "mount -t tmpfs -o size=4k none /dev/shm && (cat /dev/zero > /dev/shm/fill 2>/dev/null; true)",
        &[],
    );
    session.prompt(PATIENCE);
    contains(
        &session.cell("%pool start -n 2"),
        &["p0: 2 process engines"],
    );
    // Captures and items of several megabytes travel through memory that needs no room there.
    session.cells(&["let table: Vec<u64> = (0..1_000_000).collect();"]);
    let shown = session.cell("%map |x: usize| table[x] + 1 over [999_999usize, 4]");
    contains(&shown, &["[1000000, 5]"]);
    session.cells(&["let long = %map |x: u64| vec![x; 1 << 20] over [7u64, 8]"]);
    contains(
        &session.cell("long.iter().map(Vec::len).sum::<usize>()"),
        &["2097152"],
    );
    assert_eq!(session.end(), 0);
}

#[test]
fn no_home_no_folder_and_a_plain_terminal() {
    // No tests that wait for a cold compiler: its cache is where it always is.
    let cache = cache();
    let mounts = "mkdir \"$TMPDIR/home\" && mount --bind -o ro \"$TMPDIR/home\" \"$TMPDIR/home\" && mount -o remount,ro,bind \"$TMPDIR/home\" && export HOME=\"$TMPDIR/home\" XDG_DATA_HOME=\"$TMPDIR/home/data\" && mkdir \"$TMPDIR/gone\" && cp rust-toolchain.toml \"$TMPDIR/gone\" && cd \"$TMPDIR/gone\"";
    let mut session = mounted(
        mounts,
        &[
            ("XDG_CACHE_HOME", &cache),
            ("RUSTUP_HOME", &tool_home("RUSTUP_HOME", ".rustup")),
            ("CARGO_HOME", &tool_home("CARGO_HOME", ".cargo")),
            ("TERM", "dumb"),
        ],
    );
    session.echoes("In [1]: ", PATIENCE);
    session.type_keys("let x = vec![20u8, 1];\r");
    session.echoes("In [2]: ", PATIENCE);
    session.type_keys("!rm -r \"$PWD\"\r");
    session.echoes("In [3]: ", PATIENCE);
    session.type_keys("x[0] * 2 + 2\r");
    session.echoes("Out[3]: 42", PATIENCE);
    session.type_keys("%pool start -n 2\r");
    session.echoes("p0: 2 process engines", PATIENCE);
    session.type_keys("%map |x: u8| x + 1 over [41u8]\r");
    session.echoes("Out[5]: [42]", PATIENCE);
    session.type_keys("fn f() -> u8 {\r7\r}\r");
    session.type_keys("f() + x[1]\r");
    session.echoes("Out[7]: 8", PATIENCE);
    assert_eq!(session.end(), 0);
}

fn tool_home(variable: &str, usual: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        let home = std::env::var("HOME").expect("a home");
        format!("{home}/{usual}")
    })
}

fn cache() -> String {
    std::env::var("XDG_CACHE_HOME").unwrap_or_else(|_| tool_home("XDG_CACHE_HOME", ".cache"))
}

#[test]
fn what_is_missing_at_the_start_is_told_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let gone = folder.path().join("gone");
    std::fs::create_dir(&gone).expect("a folder in it");
    let start = |command: &mut Command| -> Output {
        let output = command.stdin(Stdio::null()).output();
        output.expect("a command that runs")
    };
    let mut in_gone = Command::new("sh");
    in_gone.args(["-c", "rmdir \"$PWD\"; exec \"$0\" -e 1", BINARY]);
    let mut no_tmpdir = Command::new(BINARY);
    no_tmpdir
        .args(["--no-warm", "-e", "1"])
        .env("TMPDIR", &gone);
    let mut no_rustc = Command::new(BINARY);
    no_rustc.args(["-e", "1"]).env("PATH", folder.path());
    for (command, told) in [
        (
            in_gone.current_dir(&gone),
            "the working folder does not exist any more",
        ),
        (
            &mut no_tmpdir,
            "cannot make a folder for temporary files in",
        ),
        (&mut no_rustc, "rustc cannot be run"),
    ] {
        let output = start(command);
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{err}");
        contains(&err, &[told]);
        assert_eq!(err.lines().count(), 1, "one line: {err}");
    }
}

#[test]
fn two_cold_sessions_at_once_on_one_empty_cache() {
    let cache = tempfile::tempdir().expect("a folder");
    let start = |n: u32| {
        let code = format!("let v: Vec<_> = (0..{n}).map(|x| x * 2).collect(); v.len() + 40");
        Command::new(BINARY)
            .args(["--no-warm", "-e", &code])
            .env("XDG_CACHE_HOME", cache.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary")
    };
    let both = [start(2), start(3)];
    for (session, sum) in both.into_iter().zip(["42", "43"]) {
        let output = session.wait_with_output().expect("its output");
        let out = String::from_utf8_lossy(&output.stdout);
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{out}{err}");
        contains(&out, &[&format!("Out[1]: {sum}")]);
    }
    // The next one finds what they left in order.
    let output = start(4).wait_with_output().expect("its output");
    contains(&String::from_utf8_lossy(&output.stdout), &["Out[1]: 44"]);
    let left = |folder: &Path| std::fs::read_dir(folder).map_or(0, Iterator::count);
    assert!(left(&cache.path().join("regatta")) > 0, "a cache is kept");
}

#[test]
fn types_are_known_again_when_damaged_sources_are_mended() {
    let cache = tempfile::tempdir().expect("a folder");
    let variables = [("XDG_CACHE_HOME", cache.path().to_str().expect("a path"))];
    let mut session = Session::under("exec \"$0\" --no-warm", &variables);
    session.prompt(PATIENCE);
    contains(&session.cell("let v = vec![1]; v.len()"), &["Out[1]: 1"]);
    assert_eq!(session.end(), 0);

    let of_core = |path: &PathBuf| path.ends_with("core/src/lib.rs");
    let copied = proc::files(cache.path().join("regatta/std"), &|it| it == "lib.rs");
    let core = copied
        .into_iter()
        .find(of_core)
        .expect("a copy of the sources");
    let whole = std::fs::read(&core).expect("the sources");
    std::fs::write(&core, "").expect("a file that can be written");
    let mut session = Session::under("exec \"$0\" --no-warm", &variables);
    session.prompt(PATIENCE);
    contains(
        &session.cell("let v = vec![1];"),
        &[
            "the type of the variable `v` cannot be told",
            "rust-analyzer",
            "cannot be read",
            "let v: Type",
        ],
    );
    contains(&session.cell("let w: Vec<u8> = vec![1]; w.len()"), &["1"]);
    std::fs::write(&core, whole).expect("a file that can be written");
    contains(&session.cell("let v = vec![1]; v.len() + w.len()"), &["2"]);
    assert_eq!(session.end(), 0);
}
