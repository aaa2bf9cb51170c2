//! Compilers outlive their sessions, are taken over, and forget everything; and the death of one costs nothing.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rexpect::process::Signal;
use support::{BINARY, PATIENCE, Session, contains, dose, lacks, proc};
use tempfile::TempDir;

/// Each test has some sessions at once.
static ALONE: Mutex<()> = Mutex::new(());

/// A user with no compilers but those of this test.
struct User {
    home: TempDir,
    /// How long a compiler of theirs waits.
    seconds: u32,
    _alone: MutexGuard<'static, ()>,
}

impl User {
    fn new(seconds: u32) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            home: tempfile::tempdir().expect("a folder"),
            seconds,
            _alone: alone,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command
            .args(arguments)
            .env("XDG_RUNTIME_DIR", self.home.path())
            .env("XDG_DATA_HOME", self.home.path())
            .env("XDG_CONFIG_HOME", self.home.path())
            .env("REGATTA_WARM_SECONDS", self.seconds.to_string())
            .env("NO_COLOR", "1")
            .env("COLUMNS", "120")
            .stdin(Stdio::null());
        command
    }

    /// What it prints, on both streams. That a compiler which stays keeps neither open is tried by each call.
    fn run(&self, arguments: &[&str]) -> String {
        let Output { stdout, stderr, .. } = self.command(arguments).output().expect("the binary");
        String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned()
    }

    /// A cell in a session that finds every compiler there is waiting.
    fn cell(&self, code: &str) -> String {
        self.settled();
        self.run(&["-e", code])
    }

    fn begin(&self, code: &str) -> Child {
        let mut command = self.command(&["-e", code]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("the binary")
    }

    /// The compilers and whether they wait.
    fn compilers(&self) -> Vec<(i32, bool)> {
        let rows = support::table::rows(&self.run(&["warm", "status"]));
        let pid = |row: &Vec<String>| row.first()?.parse().ok();
        rows.iter()
            .filter_map(|row| Some((pid(row)?, row[1] == "idle")))
            .collect()
    }

    /// Waits until none has a session.
    fn settled(&self) -> Vec<i32> {
        let until = Instant::now() + PATIENCE;
        loop {
            let there = self.compilers();
            if there.iter().all(|(_, idle)| *idle) {
                return there.into_iter().map(|(pid, _)| pid).collect();
            }
            assert!(Instant::now() < until, "{there:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for so many, all without a session.
    fn waiting(&self, count: usize) -> Vec<i32> {
        let until = Instant::now() + PATIENCE;
        loop {
            let there = self.settled();
            if there.len() == count {
                return there;
            }
            assert!(Instant::now() < until, "not {count}: {there:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn one(&self) -> i32 {
        self.waiting(1)[0]
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.run(&["warm", "stop"]);
    }
}

/// The folder in which a compiler builds.
fn folder(pid: i32) -> PathBuf {
    let all = fs::read_dir(std::env::temp_dir()).expect("a folder");
    let mut all = all.flatten().map(|entry| entry.path());
    let named = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        let name = name.to_string_lossy();
        let rest = name.strip_prefix("regatta-").unwrap_or_default();
        let its = rest.split_once('-').and_then(|(its, _)| its.parse().ok());
        its == Some(pid)
    };
    all.find(named).expect("the compiler's folder")
}

/// Cells that are compiled, and what there is of a crate that only a session asked for.
fn left_over(folder: &Path) -> usize {
    let of_session = |name: &str| name.contains("itoa") || name.starts_with("libcode_");
    proc::files(folder.join("build"), &of_session).len()
}

fn is_gone(pid: i32, folder: &Path) {
    let left = proc::leftovers(&[pid], Duration::from_secs(30));
    assert!(left.is_empty(), "still there: {left:?}");
    assert!(!folder.exists(), "{} is still there", folder.display());
}

#[test]
fn a_compiler_serves_one_session_after_the_other_and_forgets_them() {
    let user = User::new(600);
    contains(&user.cell("1 + 1"), &["Out[1]: 2"]);
    let pid = user.one();
    let folder = folder(pid);
    let fresh = left_over(&folder);

    let since = Instant::now();
    contains(&user.cell("40 + 2"), &["Out[1]: 42"]);
    let took = since.elapsed();
    assert_eq!(user.one(), pid, "it is taken over");
    dose::told(&format!("the first result with a warm compiler: {took:?}"));
    assert!(took < Duration::from_secs(15), "{took:?}");

    // What a session leaves.
    let notebook = user.home.path().join("left.md");
    let cells = [
        "%dep itoa = \"1\"",
        "%opt 1",
        "fn helper() -> u8 { 1 }",
        "use std::sync::atomic::{AtomicU32, Ordering};\nstatic N: AtomicU32 = AtomicU32::new(5);\nN.fetch_add(1, Ordering::Relaxed) + helper() as u32",
        "let kept = itoa::Buffer::new().format(N.fetch_add(1, Ordering::Relaxed)).len();\nkept",
    ];
    let text: String = cells
        .iter()
        .map(|cell| format!("```rust\n{cell}\n```\n"))
        .collect();
    fs::write(&notebook, text).expect("a notebook");
    user.settled();
    let ran = user.run(&["run", notebook.to_str().expect("a path")]);
    contains(&ran, &["Out[4]: 6", "Out[5]: 1"]);
    assert_eq!(user.one(), pid);
    assert_eq!(left_over(&folder), fresh, "nothing is left in its folder");

    // The next one knows nothing of it.
    contains(&user.cell("itoa::Buffer::new();"), &["itoa", "error"]);
    contains(&user.cell("helper()"), &["cannot find function `helper`"]);
    contains(&user.cell("kept"), &["cannot find value `kept`"]);
    let again = "use std::sync::atomic::{AtomicU32, Ordering}; static N: AtomicU32 = AtomicU32::new(7); N.fetch_add(1, Ordering::Relaxed)";
    contains(&user.cell(again), &["Out[1]: 7"]);
    lacks(&user.cell("%dep"), &["itoa"]);
    assert_eq!(user.one(), pid, "it was one all the time");

    // Another environment is another compiler's.
    let mut other = user.command(&["-e", "1 + 2"]);
    let output = other.env("SOMETHING_ELSE", "1").output().expect("it runs");
    contains(&String::from_utf8_lossy(&output.stdout), &["Out[1]: 3"]);
    assert_eq!(user.waiting(2).len(), 2);

    // And nothing comes to be with `--no-warm`.
    for arguments in [["--no-warm", "-e", "1 + 3"], ["-e", "1 + 3", "--no-warm"]] {
        contains(&user.run(&arguments), &["Out[1]: 4"]);
    }
    assert_eq!(user.waiting(2).len(), 2);

    let told = user.run(&["warm", "stop"]);
    contains(&told, &["ended", &pid.to_string()]);
    contains(&user.run(&["warm", "status"]), &["no compiler waits"]);
    is_gone(pid, &folder);
}

/// A session that a child runs has other variables of its environment each time. They are its cells', and no matter to
/// a compiler.
#[test]
fn sessions_in_children_take_over_compilers_too() {
    let user = User::new(600);
    let code =
        r#"(std::env::var("REGATTA_NAME"), option_env!("REGATTA_NAME"), store::incr("n", 2i64))"#;
    let outer = |name: &str| {
        user.settled();
        let cell = format!(
            "store::set(\"n\", &{}i64);\n%spawn --name {name} -- {BINARY} -e '{code}'\n%wait {name}\nstd::env::var(\"REGATTA_NAME\")",
            name.len()
        );
        user.run(&["-e", &cell])
    };
    let shown = outer("first");
    contains(&shown, &[r#"(Ok("first"), None, 7)"#, "Err(NotPresent)"]);
    let mut two = user.waiting(2);
    two.sort_unstable();
    contains(&outer("second"), &[r#"(Ok("second"), None, 8)"#]);
    let mut still = user.waiting(2);
    still.sort_unstable();
    assert_eq!(still, two, "both were taken over");
}

#[test]
fn several_sessions_have_one_each_and_few_of_them_stay() {
    let user = User::new(600);
    let slow = "std::thread::sleep(std::time::Duration::from_millis(1500))";
    let mut sessions: Vec<Child> = (0..3).map(|_| user.begin(slow)).collect();
    let until = Instant::now() + PATIENCE;
    while user.compilers().iter().filter(|(_, idle)| !idle).count() < 3 {
        assert!(Instant::now() < until, "{:?}", user.compilers());
        std::thread::sleep(Duration::from_millis(20));
    }
    contains(&user.run(&["warm", "stop"]), &["in use by a session"]);
    for session in &mut sessions {
        assert!(session.wait().expect("its status").success());
    }
    user.waiting(2);
}

#[test]
fn a_session_that_is_killed_at_work_leaves_a_compiler_that_works() {
    let user = User::new(600);
    contains(&user.cell("1 + 1"), &["Out[1]: 2"]);
    let pid = user.one();
    let mut chance = dose::random();
    for _ in 0..dose::of(3, 30) {
        assert_eq!(user.one(), pid);
        let mut session = user.begin("let v = vec![1, 2, 3]; v.iter().sum::<i32>()");
        std::thread::sleep(Duration::from_millis(chance.u64(50..800)));
        session.kill().expect("a session");
        session.wait().expect("its status");
        assert_eq!(user.one(), pid);
        contains(&user.cell("20 + 22"), &["Out[1]: 42"]);
    }
}

#[test]
fn it_ends_when_nobody_comes_and_holds_nothing_of_its_callers_meanwhile() {
    let user = User::new(10);
    // The shell's pipe has no end while anybody has it open.
    let mut shell = Command::new("sh");
    shell.args(["-c", "\"$0\" -e '1 + 1' 3>&1 | cat", BINARY]);
    for (name, value) in user.command(&[]).get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    let output = shell.output().expect("a shell");
    contains(&String::from_utf8_lossy(&output.stdout), &["Out[1]: 2"]);
    let pid = user.one();
    let folder = folder(pid);
    let about = |what: &str| fs::read_link(format!("/proc/{pid}/{what}")).expect("a link");
    assert_eq!(about("cwd"), Path::new("/"));
    let open = fs::read_dir(format!("/proc/{pid}/fd")).expect("its files");
    let terminal = open
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .find(|file| file.starts_with("/dev/pts") || file.starts_with("/dev/tty"));
    assert_eq!(terminal, None);
    is_gone(pid, &folder);
}

/// The compiler of a session that has one of its own.
fn compiler(session: &Session) -> Option<i32> {
    let is_compiler = |pid: &i32| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.contains("__compiler") && proc::alive(*pid)
    };
    proc::below(session.pid()).into_iter().find(is_compiler)
}

#[test]
fn a_compiler_dies_and_nothing_else_is_lost() {
    let mut session = Session::alone();
    session.cells(&[
        "%pool start -n 2",
        "#[derive(Debug, Clone, PartialEq)] struct P { x: i32 }",
        "fn twice(p: &P) -> i32 { p.x * 2 }",
        "use std::sync::atomic::{AtomicI32, Ordering}; static N: AtomicI32 = AtomicI32::new(1);",
        "let mut sum = 0;",
        "let p = P { x: 21 };",
        "let m = std::collections::HashMap::from([(1u8, String::from(\"one\"))]);",
        "%px let r = engine::rank() + 100;",
        "%dep itoa = \"1\"",
    ]);
    let mut chance = dose::random();
    let mut sum = 0;
    for round in 0..dose::of(4, 60) {
        let pid = compiler(&session).expect("a compiler");
        // Every other time it works.
        let working = round % 2 == 1;
        if working {
            session.enter(&format!("sum += {round} - {round} + 1;"));
            std::thread::sleep(Duration::from_millis(chance.u64(0..600)));
        }
        dose::told(&format!("round {round}, working: {working}"));
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).expect("a kill");
        if working {
            // Another compiler is asked.
            lacks(&session.prompt(PATIENCE), &["error"]);
            sum += 1;
        }
        let shown = session.cell("sum");
        contains(&shown, &[&format!(": {sum}")]);
        let shown = session.cell(&format!("twice(&p) + m.len() as i32 + {round}"));
        contains(&shown, &[&format!(": {}", 43 + round as i32)]);
        let shown = session.cell(&format!("N.fetch_add(1, Ordering::Relaxed) + {round}"));
        contains(&shown, &[&format!(": {}", 1 + 2 * round)]);
        contains(&session.cell("%px r + 1"), &["101", "102"]);
        let shown = session.cell(&format!("itoa::Buffer::new().format(p.x + {round}).len()"));
        contains(&shown, &[": 2"]);
    }
    // A type that changes takes its values with it, also after all that.
    session.cells(&["#[derive(Debug)] struct P { x: i32, y: u8 }"]);
    lacks(&session.cell("p"), &["Out["]);
    contains(&session.cell("m.len()"), &[": 1"]);
    assert_eq!(session.end(), 0);
}
