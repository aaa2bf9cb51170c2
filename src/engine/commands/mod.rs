//! Shell commands that user code hands to its engine: each is run until it goes well or its tries are used up, unless
//! it is not to begin at all. What it came to is a value; that it failed is no error of the engine's.

mod board;
mod child;
pub mod guard;
mod log;

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime};

use regatta_cell::host::{Bytes, Write};
use regatta_cell::shell::{Command, HOST, Output, SLOT, ShellResult};

use super::context::context;
use super::host::rank;
use super::notes;
use crate::wire::status;
pub use board::is_at as board_is_at;
use child::{Ended, Watch};

/// How often a command that runs, or waits for its turn, is asked about.
const LOOK: Duration = Duration::from_millis(20);

/// So long a command holds up those that wait behind it, and what is to be told of those before it.
pub const PATIENCE: Duration = Duration::from_millis(8);

/// For the C table.
pub extern "C" fn command(command: Bytes, to: *mut c_void, write: Write) {
    // SAFETY: the cell lends the bytes for this call.
    let bytes = unsafe { command.as_slice() };
    let result = postcard::from_bytes::<Command>(bytes)
        .map_err(|error| format!("the command could not be read: {error}"))
        .and_then(run);
    if let Ok(bytes) = postcard::to_stdvec(&result) {
        write(to, Bytes::of(&bytes));
    }
}

/// For the C table: a command that another host's engine has run.
pub extern "C" fn over(command: Bytes, result: Bytes) {
    // SAFETY: the cell lends the bytes for this call.
    let (command, result) = unsafe { (command.as_slice(), result.as_slice()) };
    let (Ok(command), Ok(result)) = (
        postcard::from_bytes::<Command>(command),
        postcard::from_bytes::<ShellResult>(result),
    ) else {
        return;
    };
    if result.tries > 0 && !result.stopped {
        // By this host's clock; the way back is short.
        let took = Duration::try_from_secs_f64(result.seconds).unwrap_or_default();
        let began = SystemTime::now().checked_sub(took);
        log::write(&command, &result, began.unwrap_or(SystemTime::UNIX_EPOCH));
    }
}

/// As the session calls this engine's host, if it is another one.
fn this_host() -> &'static str {
    static HERE: OnceLock<String> = OnceLock::new();
    HERE.get_or_init(|| std::env::var(HOST).unwrap_or_default())
}

/// Whether the job under way is to end: on a thread of a pool its map, else what the session says.
pub fn is_stopped() -> bool {
    if let Some(ends) = notes::is_to_end() {
        return ends;
    }
    let word = |index| context().status.word(index).load(Relaxed);
    let job = word(status::JOB);
    job != 0 && word(status::STOP) == job
}

/// A command that takes its time lets those behind it go elsewhere; also those that were on their way here meanwhile.
pub struct HoldsUp {
    since: Instant,
    /// When it is looked at again.
    due: Cell<Duration>,
}

impl Default for HoldsUp {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            due: Cell::new(PATIENCE),
        }
    }
}

impl HoldsUp {
    fn look(&self) {
        let now = self.since.elapsed();
        if now >= self.due.get() {
            self.due.set(now + LOOK);
            context().command_holds_up();
        }
    }

    /// How long until then.
    fn look_in(&self) -> Duration {
        self.due.get().saturating_sub(self.since.elapsed())
    }
}

fn run(mut command: Command) -> Result<ShellResult, String> {
    command.read_input();
    if let Some(why) = command.unread.take() {
        return Err(why);
    }
    let board = board::of(&command.how)?;
    let board = board.as_deref();
    let engine = rank();
    if command.text.contains(SLOT) {
        command.text = command.text.replace(SLOT, &(engine + 1).to_string());
    }
    let mut result = ShellResult {
        command: command.text.clone(),
        engine,
        host: this_host().to_owned(),
        ..ShellResult::default()
    };
    let halted = || board.map_or(0, |board| board.halted());
    let holds_up = HoldsUp::default();
    let stops = || {
        holds_up.look();
        is_stopped() || halted() == 2
    };
    while result.tries < command.how.tries.max(1) {
        let waited = board.is_none_or(|board| board.take_turn(command.how.delay, &stops));
        if !waited || stops() || result.tries == 0 && halted() != 0 {
            result.stopped = true;
            break;
        }
        let began = SystemTime::now();
        let since = Instant::now();
        let limit = board.map_or_else(
            || command.how.timeout.map(Duration::from_secs_f64),
            |board| board.limit(&command.how),
        );
        let ran = child::run(
            &command,
            engine,
            Watch {
                limit,
                stops: &stops,
                holds_up: &holds_up,
            },
        )
        .map_err(|error| format!("sh cannot be run: {error}"))?;
        let took = since.elapsed();
        result.tries += 1;
        result.status = ran.code;
        result.signal = ran.signal;
        result.stdout = Output(ran.stdout);
        result.stderr = Output(ran.stderr);
        result.seconds = took.as_secs_f64();
        result.timed_out = ran.ended == Ended::TookTooLong;
        result.stopped = ran.ended == Ended::Stopped;
        if result.stopped {
            break;
        }
        if result.ok() || result.tries >= command.how.tries.max(1) {
            if let Some(board) = board {
                board.note(&command.how, result.ok(), took);
            }
            log::write(&command, &result, began);
            break;
        }
    }
    Ok(result)
}
