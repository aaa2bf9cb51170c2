//! However a session ends, nothing of it is left: no engine, no relay, no compiler, no file.

mod support;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rexpect::process::Signal;
use support::{BINARY, PATIENCE, Session, contains, proc};

/// Until everything is gone, on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// A session with engines of all kinds that has compiled something.
fn at_work() -> (Session, Vec<i32>) {
    let mut session = Session::alone();
    session.cells(&[
        "%pool start -n 2",
        "%px let a = 1;",
        "%pool start threads -n 2",
    ]);
    contains(&session.cell("%px engine::rank()"), &["│"]);
    session.cells(&["%pool use p0"]);
    assert_eq!(
        session.engines().len(),
        3,
        "the local engine and two of the pool"
    );
    let below = proc::below(session.pid());
    assert!(below.len() > 3, "the relay is there too");
    (session, below)
}

fn entries(folder: PathBuf) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Asserts that the session, its processes and its files go away.
fn leaves_nothing(how: &str, session: &Session, processes: &[i32]) {
    assert!(
        session.ended(PATIENCE).is_some(),
        "{how}: the session still runs"
    );
    let left = proc::leftovers(processes, SOON);
    assert!(left.is_empty(), "{how}: still running: {left:?}");
    for _ in 0..50 {
        if entries(session.temporary()).is_empty() {
            return;
        }
        std::thread::sleep(SOON / 50);
    }
    panic!("{how}: still there: {:?}", entries(session.temporary()));
}

/// What runs when the session ends.
fn busy(session: &mut Session, code: &str) -> Vec<i32> {
    session.enter(code);
    session.shows("begun", PATIENCE);
    proc::below(session.pid())
}

#[test]
fn quit_and_end_of_input() {
    for keys in ["%quit\r", "\x04"] {
        let (mut session, processes) = at_work();
        assert!(
            !entries(session.temporary()).is_empty(),
            "a session at work has files"
        );
        session.type_keys(keys);
        leaves_nothing(&format!("{keys:?}"), &session, &processes);
    }
}

#[test]
fn signals_at_the_prompt() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGKILL] {
        let (mut session, processes) = at_work();
        session.signal(signal);
        leaves_nothing(&format!("{signal} at the prompt"), &session, &processes);
    }
}

/// What `nohup` promises: a hangup that whoever has started the session ignores does not end it.
#[test]
fn a_hangup_that_is_ignored_ends_nothing() {
    let mut session = Session::under("trap '' HUP; exec \"$0\" --no-warm", &[]);
    session.prompt(PATIENCE);
    session.signal(Signal::SIGHUP);
    contains(&session.cell("!echo still here"), &["still here"]);
    session.signal(Signal::SIGTERM);
    assert!(session.ended(PATIENCE).is_some(), "it ends");
}

#[test]
fn signals_while_cells_run() {
    let forever =
        "println!(\"begun\"); loop { std::thread::sleep(std::time::Duration::from_millis(1)) }";
    for (signal, code) in [
        (Signal::SIGTERM, format!("%px {forever}")),
        (Signal::SIGHUP, forever.to_owned()),
        (Signal::SIGKILL, format!("%px {forever}")),
        (
            Signal::SIGKILL,
            format!("%map |_: u8| -> u8 {{ {forever} }} over [1, 2]"),
        ),
    ] {
        let (mut session, mut processes) = at_work();
        processes.extend(busy(&mut session, &code));
        session.signal(signal);
        leaves_nothing(&format!("{signal} during {code}"), &session, &processes);
    }
}

#[test]
fn signals_while_the_compiler_warms() {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let mut session = Session::cold();
        session.enter("%pool start -n 1");
        session.prompt(PATIENCE);
        let processes = proc::below(session.pid());
        session.signal(signal);
        leaves_nothing(&format!("{signal} while it warms"), &session, &processes);
    }
}

/// A session in a terminal that is not its controlling one: nobody sends it a SIGHUP.
struct Loose {
    session: Child,
    /// The terminal's other end.
    other: File,
    shown: Vec<u8>,
}

impl Loose {
    fn start() -> Self {
        let ends = nix::pty::openpty(None, None).expect("a terminal");
        // Clones, unlike what `openpty` gives, are closed in the processes that are started.
        let other = ends.master.try_clone().expect("its end");
        drop(ends.master);
        let end = || ends.slave.try_clone().expect("its end");
        let session = Command::new(BINARY)
            .arg("--no-warm")
            .env("TERM", "xterm")
            .env("NO_COLOR", "1")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("the binary");
        let mut loose = Self {
            session,
            other: File::from(other),
            shown: Vec::new(),
        };
        loose.shows("In [1]: ");
        loose
    }

    fn keys(&mut self, keys: &str) {
        self.shown.clear();
        self.other
            .write_all(keys.as_bytes())
            .expect("a terminal that takes keys");
    }

    fn shows(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        while !String::from_utf8_lossy(&self.shown).contains(text) {
            assert!(Instant::now() < until, "no `{text}`: {:?}", self.shown);
            let mut terminal = [PollFd::new(self.other.as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut terminal, PollTimeout::from(100u8)).expect("a terminal");
            if ready > 0 {
                let mut bytes = [0; 4096];
                let count = self.other.read(&mut bytes).expect("a session that runs");
                self.shown.extend(&bytes[..count]);
            }
        }
    }

    /// Closes the other end of the terminal, by which all must end.
    fn close(mut self, what: &str) {
        let pid = self.session.id().cast_signed();
        let below = proc::below(pid);
        drop(self.other);
        let left = proc::leftovers(&[pid], SOON);
        if !left.is_empty() {
            self.session.kill().expect("a process of ours");
        }
        self.session.wait().expect("its status");
        assert!(left.is_empty(), "{what}: the session lives on");
        let left = proc::leftovers(&below, SOON);
        assert!(left.is_empty(), "{what}: still running: {left:?}");
    }
}

#[test]
fn the_other_end_of_the_terminal_closes() {
    for typed in ["", "40 + ", "!echo begun; sleep 60\r"] {
        let mut session = Loose::start();
        session.keys(typed);
        session.shows(if typed.contains("begun") {
            "begun\r\n"
        } else {
            typed
        });
        session.close(&format!("with {typed:?} typed"));
    }
    let mut session = Loose::start();
    session.keys("%pool start -n 1\r");
    session.shows("p0: 1 process engine");
    session.keys("%map -a |x: u8| -> u8 { if x < 9 { loop {} } x } over [1]\r");
    session.shows("In [3]: ");
    // Its output, not its echo.
    session.keys("println!(\"be{}\", \"gun\"); loop {}\r");
    session.shows("begun\r\n");
    session.close("a cell and a job run");
}

#[test]
fn sigint_from_outside_disturbs_no_idle_session() {
    let mut session = Session::cold();
    session.type_keys("40 + ");
    session.echoes("40 + ", PATIENCE);
    for _ in 0..3 {
        session.signal(Signal::SIGINT);
        std::thread::sleep(Duration::from_millis(50));
    }
    session.type_keys("2\r");
    contains(&session.prompt(PATIENCE), &["Out[1]: 42"]);
    assert_eq!(session.end(), 0);
}
