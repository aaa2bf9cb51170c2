//! Sessions for the end-to-end tests: the real binary in a terminal of its own (a pty), or over a notebook.
//! Nothing here knows what a cell should show; it must never reach into the binary by another way than its
//! terminal, its signals and `/proc`.

// Every test file compiles this file for itself and uses a part of it.
#![allow(dead_code)]

pub mod cuts;
pub mod dose;
pub mod hosts;
pub mod joining;
pub mod kept;
pub mod machine;
pub mod messages;
pub mod peers;
pub mod proc;
pub mod redis;
pub mod screen;
pub mod serving;
pub mod slurm;
pub mod table;
pub mod trial;

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rexpect::process::{PtyProcess, Signal, WaitStatus};
use tempfile::TempDir;

use screen::Screen;

pub const BINARY: &str = env!("CARGO_BIN_EXE_regatta");

/// For what may have to compile on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// What is promised within a second, on a machine that others use too.
pub const SECOND: Duration = Duration::from_secs(10);

/// One session of a file at a time: each takes a core while it warms.
static ALONE: Mutex<()> = Mutex::new(());

/// A `regatta` at work in a terminal of 100 columns. Dropping it ends it.
pub struct Session {
    process: PtyProcess,
    pid: i32,
    keys: File,
    screen: Screen,
    /// Where the last input began in what the terminal got.
    since: usize,
    folder: TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Session {
    /// Starts a session with an empty history, and warms it: it may take over another one's compiler.
    pub fn start() -> Self {
        let mut session = Self::taking_over(&[]);
        let two = session.cell("1 + 1");
        assert!(
            two.contains("Out[1]: 2"),
            "the session does not start: {two}"
        );
        session
    }

    /// Starts a session whose kept results are in this folder: other sessions may have the same.
    pub fn keeping(memo: &Path) -> Self {
        Self::taking_over(&[("REGATTA_MEMO", memo.to_str().expect("a path"))])
    }

    /// Starts a session with variables of the environment, which may take over another one's compiler, and waits for
    /// its first prompt.
    pub fn taking_over(variables: &[(&str, &str)]) -> Self {
        // Compilers that fit have the same folder for temporary files.
        let temporary = std::env::temp_dir();
        let temporary = temporary.to_str().expect("a folder");
        let variables = [&[("TMPDIR", temporary)], variables].concat();
        let mut session = Self::under("exec \"$0\"", &variables);
        session.prompt(PATIENCE);
        session
    }

    /// Starts a session that has a compiler of its own, which ends with it, and warms it.
    pub fn alone() -> Self {
        let mut session = Self::cold();
        let two = session.cell("1 + 1");
        assert!(
            two.contains("Out[1]: 2"),
            "the session does not start: {two}"
        );
        session
    }

    /// Starts a session that has a compiler of its own and waits for its first prompt only.
    pub fn cold() -> Self {
        let mut session = Self::under("exec \"$0\" --no-warm", &[]);
        session.prompt(PATIENCE);
        session
    }

    /// Starts a session by the end of a shell script, in which `$0` is the binary, and with variables of the
    /// environment. It waits for nothing.
    pub fn under(script: &str, variables: &[(&str, &str)]) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("tmp")).expect("a folder in it");
        let script = format!("stty rows 50 cols 100; echo pid $$ end; {script}");
        let mut command = Command::new("sh");
        command
            .args(["-c", &script, BINARY])
            .env("XDG_DATA_HOME", folder.path().join("data"))
            // Without a startup notebook.
            .env("XDG_CONFIG_HOME", folder.path().join("config"))
            .env("REGATTA_MEMO", folder.path().join("memo"))
            .env("TMPDIR", folder.path().join("tmp"))
            .env("NO_COLOR", "1")
            .env("TERM", "xterm")
            .env("COLUMNS", "100")
            .envs(variables.iter().copied());
        let mut process = PtyProcess::new(command).expect("a terminal");
        process.set_kill_timeout(Some(5000));
        let screen = Screen::new(process.get_file_handle().expect("its output"));
        let keys = process.get_file_handle().expect("its input");
        let said = screen.wait(0, PATIENCE, |text| {
            let (_, rest) = text.split_once("pid ")?;
            rest.split_once(" end").map(|(pid, _)| pid.to_owned())
        });
        let pid = said.expect("a shell").trim().parse().expect("a process id");
        Self {
            process,
            pid,
            keys,
            screen,
            since: 0,
            folder,
            _alone: alone,
        }
    }

    /// Enters a cell and gives what it showed until the next prompt.
    pub fn cell(&mut self, code: &str) -> String {
        self.enter(code);
        self.prompt(PATIENCE)
    }

    /// Enters several cells, each of which must succeed in showing no error.
    pub fn cells(&mut self, cells: &[&str]) {
        for code in cells {
            let shown = self.cell(code);
            assert!(!shown.contains("error"), "{code}\n{shown}");
        }
    }

    /// Enters a cell, as a paste and Enter, and waits for nothing.
    pub fn enter(&mut self, code: &str) {
        // An empty line ends a cell magic's body.
        let empty_line = if code.starts_with("%%") { "\n" } else { "" };
        self.type_keys(&format!("\x1b[200~{code}{empty_line}\x1b[201~\r"));
    }

    /// Presses keys.
    pub fn type_keys(&mut self, keys: &str) {
        self.type_bytes(keys.as_bytes());
    }

    /// Presses keys that need not be text.
    pub fn type_bytes(&mut self, keys: &[u8]) {
        self.since = self.screen.len();
        self.keys
            .write_all(keys)
            .expect("a terminal that takes keys");
    }

    /// Gives the terminal another size.
    pub fn resize(&mut self, rows: u16, columns: u16) {
        let size = rustix::termios::Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(&self.keys, size).expect("a terminal");
    }

    /// Waits for the next prompt after the last input; gives what was shown between.
    pub fn prompt(&mut self, within: Duration) -> String {
        let shown = self
            .screen
            .wait(self.since, within, screen::between_prompts);
        shown.unwrap_or_else(|| {
            let text = self.screen.text(self.since);
            panic!(
                "no prompt within {within:?}; the terminal shows: {}",
                screen::plain(&text)
            );
        })
    }

    /// Waits until the line editor has handed the last input over.
    pub fn taken(&self, within: Duration) {
        let taken = self.screen.wait(self.since, within, |raw| {
            screen::after_input(raw).map(|_| ())
        });
        assert!(taken.is_some(), "the input is not read within {within:?}");
    }

    /// Waits until `text` has been shown since the last input was read, its own echo not counted; gives all
    /// that was shown since.
    pub fn shows(&mut self, text: &str, within: Duration) -> String {
        self.sees(text, within, |raw| {
            screen::after_input(raw).unwrap_or_default()
        })
    }

    /// Waits until the line editor has shown `text`.
    pub fn echoes(&mut self, text: &str, within: Duration) -> String {
        self.sees(text, within, |raw| raw)
    }

    /// Whether the line editor shows `text` within this time.
    pub fn has_echoed(&self, text: &str, within: Duration) -> bool {
        let is_there = |raw: &str| screen::plain(raw).contains(text).then_some(());
        self.screen.wait(self.since, within, is_there).is_some()
    }

    fn sees(&self, text: &str, within: Duration, part: fn(&str) -> &str) -> String {
        let found = self.screen.wait(self.since, within, |raw| {
            let plain = screen::plain(part(raw));
            plain.contains(text).then_some(plain)
        });
        found.unwrap_or_else(|| {
            let raw = self.screen.text(self.since);
            panic!(
                "no `{text}` within {within:?}; the terminal shows: {}",
                screen::plain(&raw)
            );
        })
    }

    /// Everything that has been shown since the last input.
    pub fn shown(&self) -> String {
        let raw = self.screen.text(self.since);
        screen::plain(screen::after_input(&raw).unwrap_or_default())
    }

    /// Ctrl-C, and the prompt within a second or so; gives what was shown since the cell was entered.
    pub fn interrupt(&mut self) -> String {
        let pressed = Instant::now();
        self.press_interrupt();
        let shown = self.prompt(PATIENCE);
        let took = pressed.elapsed();
        assert!(took < SECOND, "Ctrl-C took {took:?}: {shown}");
        shown
    }

    /// Ctrl-C; it waits for nothing.
    pub fn press_interrupt(&mut self) {
        self.keys
            .write_all(b"\x03")
            .expect("a terminal that takes keys");
    }

    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Process ids of the engines, the local one first, the others by rank as they were started.
    pub fn engines(&self) -> Vec<i32> {
        proc::engines(self.pid)
    }

    /// The folder in which the session keeps what is temporary.
    pub fn temporary(&self) -> PathBuf {
        self.folder.path().join("tmp")
    }

    /// The folder for the user's data.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn signal(&mut self, signal: Signal) {
        self.process.signal(signal).expect("a living session");
    }

    /// How the session ended, if it does so in time.
    pub fn ended(&self, within: Duration) -> Option<WaitStatus> {
        let until = Instant::now() + within;
        while Instant::now() < until {
            match self.process.status() {
                Some(WaitStatus::StillAlive) | None => {}
                ended => return ended,
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }

    /// Leaves by Ctrl-D; gives the exit status.
    pub fn end(mut self) -> i32 {
        self.type_keys("\x04");
        match self.ended(PATIENCE) {
            Some(WaitStatus::Exited(_, status)) => status,
            other => panic!(
                "Ctrl-D ended the session as {other:?}; the terminal shows: {:?}",
                self.screen.text(self.since.saturating_sub(2000))
            ),
        }
    }
}

/// What a run of the binary came to.
pub struct Ran {
    pub status: i32,
    pub out: String,
    pub err: String,
}

/// Runs the binary with arguments, and `input` as its standard input.
pub fn regatta(arguments: &[&str], input: &[u8]) -> Ran {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut child = Command::new(BINARY)
        .args(arguments)
        .env("XDG_DATA_HOME", folder.path())
        .env("XDG_CONFIG_HOME", folder.path())
        .env("REGATTA_MEMO", folder.path().join("memo"))
        .env("NO_COLOR", "1")
        .env("COLUMNS", "100")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    // A session that ends early does not read all of it.
    let feeding = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("its output");
    feeding.join().expect("the input was written");
    Ran {
        status: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs a notebook with `regatta run`; gives the exit status, what was printed, and the file's text after it.
pub fn notebook(text: &str, options: &[&str]) -> (Ran, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("notebook.md");
    std::fs::write(&path, text).expect("a file");
    let ran = run_file(&path, options);
    (ran, std::fs::read_to_string(&path).expect("the file"))
}

/// Runs a notebook's file.
pub fn run_file(path: &Path, options: &[&str]) -> Ran {
    let mut arguments = vec!["run", path.to_str().expect("a path")];
    arguments.extend(options);
    regatta(&arguments, b"")
}

/// What engines print and return is told of each, and they keep variables and run maps, on this pool of three as on any.
pub fn is_like_others(session: &mut Session, pool: &str) {
    let shown = session
        .cell("%px { println!(\"I am {}\", engine::rank()); (engine::rank(), engine::size()) }");
    contains(
        &shown,
        &["[stdout:0] I am 0", "[stdout:2] I am 2", "(1, 3)"],
    );
    session.cell("%px let mine = engine::rank() * 2;");
    contains(&session.cell("%px -t 1: mine"), &["2", "4"]);
    contains(
        &session.cell("let squares = %map |x: u64| x * x over 0..8u64\nsquares"),
        &[
            &format!("on {pool} (3 engines)"),
            "[0, 1, 4, 9, 16, 25, 36, 49]",
        ],
    );
}

/// Asserts that a text contains all these.
#[track_caller]
pub fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
}

/// Asserts that a text contains none of these.
#[track_caller]
pub fn lacks(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(!text.contains(part), "`{part}` in:\n{text}");
    }
}
