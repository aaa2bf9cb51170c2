//! Shell commands from code: [`run`] runs one here, [`map`] runs many on the engines of the pool in use, each a
//! [`Command`] whose outcome is a [`ShellResult`]. A command that fails is a result like any other.
//!
//! The engine's process runs them (`sh -c`, a process group each); here is only what crosses to it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::ops::Deref;
use std::os::unix::fs::FileExt as _;
use std::sync::{Mutex, OnceLock, PoisonError};

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::error::ItemError;
use crate::exchange::Handle;
use crate::host::{Bytes, PoolKind, append, host, packed};
pub use crate::piped::{Input, input, texts};
use crate::pool::PoolView;

/// Stands in a command for the number of the engine that runs it, from 1: `{%}`.
pub const SLOT: char = '\u{f8ff}';

/// A command on its way to an engine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// Its number, from 1.
    pub seq: u64,
    /// What `sh -c` is given.
    pub text: String,
    /// Its standard input; none when empty.
    pub input: Output,
    /// Or a part of a file of the session's host.
    pub range: Option<Range>,
    /// Why that could not be read.
    pub unread: Option<String>,
    /// What stands in front of each line that it prints.
    pub tag: Option<String>,
    pub how: How,
    /// The folder for its `stdout`, `stderr` and `seq`.
    pub folder: Option<String>,
}

impl Command {
    /// Bytes of its standard input.
    #[must_use]
    pub fn input_length(&self) -> u64 {
        let of = |range: &Range| range.to.saturating_sub(range.from);
        self.range.as_ref().map_or(self.input.len() as u64, of)
    }

    /// Takes its standard input out of its file.
    pub fn read_input(&mut self) {
        let Some(range) = self.range.take() else {
            return;
        };
        let mut bytes = vec![0; range.to.saturating_sub(range.from) as usize];
        let read =
            File::open(&range.path).and_then(|file| file.read_exact_at(&mut bytes, range.from));
        match read {
            Ok(()) => self.input = Output(bytes),
            Err(error) => {
                let why = format!("its input cannot be read from {}: {error}", range.path);
                self.unread = Some(why);
            }
        }
    }

    /// As its engine gets it. One on another host has no file of the session's: its input goes along, and what came of
    /// it is written where that comes back.
    fn sent(mut self) -> Self {
        if self.how.far {
            self.read_input();
            (self.folder, self.how.log) = (None, None);
        }
        self
    }

    /// What of it has to be known when it comes back from another host, to write what came of it.
    fn written(&self) -> Option<Self> {
        let is = self.how.far && (self.folder.is_some() || self.how.log.is_some());
        is.then(|| self.clone())
    }
}

/// Bytes of a file, from `from` up to `to`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Range {
    pub path: String,
    pub from: u64,
    pub to: u64,
}

/// How commands are run; the same for all of one call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct How {
    /// The most that one may take, seconds.
    pub timeout: Option<f64>,
    /// The same in parts of the median of those that went well.
    pub timeout_share: Option<f64>,
    /// How often it is run until it goes well.
    pub tries: u32,
    pub prints: Prints,
    /// A file that gets a line for each that is over.
    pub log: Option<String>,
    /// What all engines that run them look at.
    pub board: Option<Board>,
    /// The least time between two that begin, seconds.
    pub delay: f64,
    pub halt: Option<Halt>,
    /// How many there are.
    pub total: u64,
    /// The engines are those of a cluster.
    pub far: bool,
}

/// What the engines of one call share. `mark` is this call's alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Board {
    /// A page of numbers, see [`board`]. Another call's may have this path later, and on another host anything: the mark
    /// stands in the page.
    Page { path: String, mark: u64 },
    /// Values of a server of the session's, which the environment of engines names as [`BOARD`].
    Served { mark: u64 },
}

/// The variable of engines' environment that names the server of [`Board::Served`].
pub const BOARD: &str = "REGATTA_BOARD";

/// The variable that names the host of a cluster's engine, as the session calls it.
pub const HOST: &str = "REGATTA_HOST";

/// When no more commands are begun.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Halt {
    /// Those under way are ended too.
    pub now: bool,
    pub counted: Counted,
    pub count: u64,
    /// The same in parts of all.
    pub share: Option<f64>,
}

/// Which outcomes count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Counted {
    Failed,
    WentWell,
    /// Both.
    Ended,
}

/// What becomes of what a command prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Prints {
    /// It is kept, and shown in the order of the commands.
    #[default]
    Grouped,
    /// The same, but only standard error is shown: standard output is what was asked for.
    Kept,
    /// It is kept, and each line is shown at once.
    Lines,
    /// It is shown at once, and not kept.
    Ungrouped,
}

/// The places of the eight-byte numbers on the page that the engines share.
pub mod board {
    /// Commands that failed.
    pub const FAILED: usize = 0;
    /// Commands that went well.
    pub const WENT_WELL: usize = 1;
    /// 1: no more are begun; 2: those under way are ended.
    pub const HALTED: usize = 2;
    /// When the last one began, on the machine's monotonic clock; nanoseconds.
    pub const BEGAN: usize = 3;
    /// The call's own number.
    pub const MARK: usize = 4;
    /// Where the nanoseconds of those that went well begin, a ring of [`TIMES`] numbers.
    pub const FIRST_TIME: usize = 8;
    pub const TIMES: usize = 256;
    /// Bytes of the page.
    pub const LENGTH: u64 = 4096;
}

/// The names of the values on the server.
pub mod served {
    /// As the page's `HALTED`, or [`OVER`].
    #[must_use]
    pub fn halted(mark: u64) -> String {
        format!("{mark:016x} halted")
    }

    /// The call is over.
    pub const OVER: u64 = 3;

    /// How many commands have ended as `--halt` counts them.
    #[must_use]
    pub fn count(mark: u64) -> String {
        format!("{mark:016x} count")
    }

    /// A list of the nanoseconds of those that went well.
    #[must_use]
    pub fn times(mark: u64) -> String {
        format!("{mark:016x} times")
    }

    /// The lock of the one that has begun last.
    #[must_use]
    pub fn turn(mark: u64) -> String {
        format!("{mark:016x} turn")
    }
}

/// What a command has printed: bytes, which are text nearly always.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Output(pub Vec<u8>);

impl Output {
    /// As text; what is no UTF-8 becomes `�`.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

impl Deref for Output {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text().fmt(f)
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl Serialize for Output {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Output {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Output;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Output, E> {
                Ok(Output(bytes.to_vec()))
            }

            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Output, E> {
                Ok(Output(bytes))
            }
        }
        from.deserialize_byte_buf(Visitor)
    }
}

/// What came of a command.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ShellResult {
    pub command: String,
    /// Its exit code; `None` when a signal ended it, or it never ran.
    pub status: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    pub stdout: Output,
    pub stderr: Output,
    /// From its begin to its end, of the last try.
    pub seconds: f64,
    /// The rank of the engine that ran it.
    pub engine: u32,
    /// How often it was run; 0: it was never begun.
    pub tries: u32,
    /// It took longer than it was allowed to.
    pub timed_out: bool,
    /// It was ended because of others: by `--halt now`, or with the whole call.
    pub stopped: bool,
    /// The host that it ran on, of a cluster's; else empty.
    pub host: String,
}

impl ShellResult {
    /// Whether it ended with exit code 0.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.status == Some(0)
    }

    /// Its standard output as text.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        self.stdout.text()
    }
}

/// What the session is told of commands that did not go well.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Told {
    pub ran: u64,
    /// Never begun.
    pub left: u64,
    pub failed: u64,
    /// The first of them, each with its number and the end of its standard error.
    pub failures: Vec<(u64, ShellResult)>,
}

/// Of how many failures the session is told.
const MOST_TOLD: usize = 100;
/// Bytes of standard error that go with each.
const MOST_SAID: usize = 2000;

/// Runs a command by `sh -c` in this engine, and waits for it.
#[must_use]
pub fn run(command: impl Into<String>) -> ShellResult {
    work(Command {
        seq: 1,
        text: command.into(),
        ..Command::default()
    })
}

/// Runs commands on the engines of the pool in use; results in their order.
#[track_caller]
pub fn map<C: Into<String>>(commands: impl IntoIterator<Item = C>) -> Vec<ShellResult> {
    let commands = (1..).zip(commands).map(|(seq, command)| Command {
        seq,
        text: command.into(),
        ..Command::default()
    });
    PoolView::of_commands().map(commands.collect::<Vec<_>>(), work)
}

/// The function of such a map.
#[doc(hidden)]
#[must_use]
pub fn work(command: Command) -> ShellResult {
    let mut encoded = Vec::new();
    let mut bytes = Vec::<u8>::new();
    if codec::append(&command, codec::Form::Serde, &mut encoded).is_ok() {
        (host().command)(Bytes::of(&encoded), (&raw mut bytes).cast(), append);
    }
    match codec::take(&mut &bytes[..], codec::Form::Serde) {
        Ok(Ok(result)) => result,
        Ok(Err(why)) => {
            let why: String = why;
            panic!("{why}")
        }
        Err(_) => panic!("the command's outcome did not come back from the engine"),
    }
}

/// The commands that the session has given to this cell.
fn given(number: u64) -> Vec<Command> {
    // SAFETY: the host keeps the bytes until the cell ends.
    let mut bytes = unsafe { (host().receive)(number).as_slice() };
    codec::take(&mut bytes, codec::Form::Serde).expect("what was encoded can be decoded")
}

/// Runs the commands that the session has given beside the options of the map. `work` is [`work`] by way of a closure
/// of the artifact's: functions of maps are found in artifacts.
#[doc(hidden)]
#[track_caller]
pub fn all<F>(view: &PoolView, number: u64, work: F) -> Vec<ShellResult>
where
    F: Fn(Command) -> ShellResult + Sync,
{
    let commands = given(number);
    let known: Vec<Known> = commands.iter().map(Known::of).collect();
    let screen = Screen {
        known: &known,
        map: OnceLock::new(),
        waiting: Mutex::default(),
    };
    let begun = |map: &Handle| {
        let _ = screen.map.set(map.clone());
    };
    let results = match view.kind() {
        PoolKind::Threads => {
            let run = |command: Command| {
                // Their numbers rise.
                let at = known.partition_point(|known| known.seq < command.seq);
                let mut turn = Turn(&screen, at as u64, None);
                let result = work(command);
                turn.2 = Some(result.clone());
                result
            };
            view.try_on_threads_begun(commands, run, &begun)
        }
        _ => {
            let seen = &mut |at, result: &Result<ShellResult, _>| {
                let result = result.as_ref().ok();
                note(&known, at, result);
                screen.seen(at, result);
            };
            let commands = commands.into_iter().map(Command::sent);
            view.try_on_processes_seen((), commands, move |()| work, &begun, seen)
        }
    };
    let whole = |(known, result): (&Known, Result<ShellResult, ItemError>)| {
        result.unwrap_or_else(|error| ShellResult {
            command: known.text.clone(),
            stderr: Output(error.to_string().into_bytes()),
            tries: u32::from(!matches!(error, ItemError::Cancelled { .. })),
            ..ShellResult::default()
        })
    };
    let results: Vec<ShellResult> = known.iter().zip(results).map(whole).collect();
    let numbers = known.iter().map(|known| known.seq);
    tell(numbers.zip(&results), 0);
    results
}

/// What is known of a command while it is elsewhere.
struct Known {
    seq: u64,
    text: String,
    tag: Option<String>,
    /// What of its output is shown when its turn comes.
    prints: Prints,
    /// What is still to be written of it here.
    written: Option<Command>,
}

impl Known {
    fn of(command: &Command) -> Self {
        Self {
            seq: command.seq,
            text: command.text.clone(),
            tag: command.tag.clone(),
            // What goes to files is not shown.
            prints: command
                .folder
                .as_ref()
                .map_or(command.how.prints, |_| Prints::Ungrouped),
            written: command.written(),
        }
    }
}

/// Writes what came of the command at this place, where its engine could not.
fn note(known: &[Known], at: u64, result: Option<&ShellResult>) {
    let written = known.get(at as usize).and_then(|it| it.written.as_ref());
    let (Some(command), Some(result)) = (written, result) else {
        return;
    };
    let (command, result) = (packed(command), packed(result));
    (host().command_over)(Bytes::of(&command), Bytes::of(&result));
}

/// Shows what commands have printed, in their order.
struct Screen<'a> {
    known: &'a [Known],
    map: OnceLock<Handle>,
    /// The next one to be shown, and those that have ended before their turn.
    waiting: Mutex<(u64, BTreeMap<u64, Option<ShellResult>>)>,
}

impl Screen<'_> {
    /// The command at this place has ended.
    fn seen(&self, at: u64, result: Option<&ShellResult>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, early) = &mut *waiting;
        if at != *next {
            early.insert(at, result.cloned());
            return;
        }
        self.show(at, result);
        *next += 1;
        while let Some(result) = early.remove(next) {
            self.show(*next, result.as_ref());
            *next += 1;
        }
    }

    fn show(&self, at: u64, result: Option<&ShellResult>) {
        let known = self.known.get(at as usize);
        let (Some(known), Some(result), Some(map)) = (known, result, self.map.get()) else {
            return;
        };
        let stdout: &[u8] = match known.prints {
            Prints::Grouped => &result.stdout,
            Prints::Kept => &[],
            Prints::Lines | Prints::Ungrouped => return,
        };
        if !(stdout.is_empty() && result.stderr.is_empty()) {
            let tag = known.tag.as_deref();
            map.print(&tagged(tag, stdout), &tagged(tag, &result.stderr));
        }
    }
}

/// A command on a thread: it has had its turn when this is dropped, also by a panic.
struct Turn<'a>(&'a Screen<'a>, u64, Option<ShellResult>);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.seen(self.1, self.2.as_ref());
    }
}

/// The same, without waiting.
#[doc(hidden)]
#[track_caller]
pub fn start<F>(view: &PoolView, number: u64, work: F) -> crate::job::Job<ShellResult>
where
    F: Fn(Command) -> ShellResult + Send + Sync + 'static,
{
    let commands = given(number);
    if view.kind() == PoolKind::Threads {
        return view.start(commands, work);
    }
    let known: Vec<Known> = commands.iter().map(Known::of).collect();
    let seen = move |at, result: ShellResult| note(&known, at, Some(&result));
    let commands = commands.into_iter().map(Command::sent);
    view.start_on_processes_seen((), commands, move |()| work, Some(Box::new(seen)))
}

/// The lines with the tag in front of each.
fn tagged<'a>(tag: Option<&str>, bytes: &'a [u8]) -> Cow<'a, [u8]> {
    let Some(tag) = tag else {
        return Cow::Borrowed(bytes);
    };
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let tagged = lines.flat_map(|line| [tag.as_bytes(), b"\t", line]);
    tagged.flatten().copied().collect()
}

/// Tells the session of results, each with its number, and of as many as were left.
fn tell<'a>(results: impl Iterator<Item = (u64, &'a ShellResult)>, left: u64) {
    let mut told = Told {
        left,
        ..Told::default()
    };
    for (seq, result) in results {
        if result.tries == 0 {
            told.left += 1;
            continue;
        }
        told.ran += 1;
        if result.ok() {
            continue;
        }
        told.failed += 1;
        if told.failures.len() < MOST_TOLD {
            let said = &result.stderr[result.stderr.len().saturating_sub(MOST_SAID)..];
            let result = ShellResult {
                stdout: Output::default(),
                stderr: Output(said.to_vec()),
                ..result.clone()
            };
            told.failures.push((seq, result));
        }
    }
    crate::magic::send(&told);
}

/// Tells the session how the commands of a job went.
#[doc(hidden)]
pub fn tell_of(job: &crate::job::Job<ShellResult>) {
    let results = job.partial();
    let (done, all) = job.progress();
    let left = all.unwrap_or(done).saturating_sub(results.len() as u64);
    tell(results.iter().map(|(at, result)| (at + 1, result)), left);
}

#[cfg(test)]
mod tests {
    use super::{Command, How, Output, ShellResult};
    use crate::codec::{self, Form};

    #[test]
    fn commands_and_their_outcomes_travel() {
        let command = Command {
            seq: 7,
            text: "echo hello".to_owned(),
            input: Output(vec![0, 255, 10]),
            how: How {
                timeout: Some(1.5),
                ..How::default()
            },
            ..Command::default()
        };
        let mut bytes = Vec::new();
        codec::append(&command, Form::Serde, &mut bytes).unwrap();
        let came: Command = codec::take(&mut &bytes[..], Form::Serde).unwrap();
        assert_eq!(came, command);
    }

    #[test]
    fn a_result_shows_text() {
        let result = ShellResult {
            status: Some(0),
            stdout: Output(b"a\xffb\n".to_vec()),
            ..ShellResult::default()
        };
        assert!(result.ok());
        assert_eq!(result.text(), "a\u{fffd}b\n");
        assert!(format!("{result:?}").contains("stdout: \"a\u{fffd}b\\n\""));
    }
}
