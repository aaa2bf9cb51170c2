//! Shell commands that user code hands to its engine: each is run until it goes well or its tries are used up, unless
//! it is not to begin at all. What it came to is a value; that it failed is no error of the engine's.

mod board;
mod child;
pub mod guard;
mod log;

use std::cell::Cell;
use std::ffi::c_void;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use regatta_cell::host::{Bytes, Write};
use regatta_cell::shell::{Command, Output, SLOT, ShellResult};

use super::context::context;
use super::host::rank;
use super::notes;
use crate::wire::status;
use board::Board;
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
        .and_then(|command| run(command).map_err(|error| format!("sh cannot be run: {error}")));
    if let Ok(bytes) = postcard::to_stdvec(&result) {
        write(to, Bytes::of(&bytes));
    }
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

fn run(mut command: Command) -> std::io::Result<ShellResult> {
    if let Some(range) = &command.range {
        let mut bytes = vec![0; range.to.saturating_sub(range.from) as usize];
        std::fs::File::open(&range.path)?.read_exact_at(&mut bytes, range.from)?;
        command.input = Output(bytes);
    }
    let board = command.how.board.as_ref().and_then(Board::open);
    let board = board.as_deref();
    let engine = rank();
    if command.text.contains(SLOT) {
        command.text = command.text.replace(SLOT, &(engine + 1).to_string());
    }
    let mut result = ShellResult {
        engine,
        ..ShellResult::default()
    };
    let halted = || board.map_or(0, Board::halted);
    let holds_up = HoldsUp::default();
    let stops = || {
        holds_up.look();
        is_stopped() || halted() == 2
    };
    while result.tries < command.how.tries.max(1) {
        let waited = board.is_none_or(|board| board.take_turn(command.how.delay, &stops));
        if !waited || stops() || result.tries == 0 && halted() != 0 {
            break;
        }
        let began = std::time::SystemTime::now();
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
        )?;
        let took = since.elapsed();
        result.tries += 1;
        result.status = ran.code;
        result.signal = ran.signal;
        result.stdout = Output(ran.stdout);
        result.stderr = Output(ran.stderr);
        result.seconds = took.as_secs_f64();
        result.timed_out = ran.ended == Ended::TookTooLong;
        if ran.ended == Ended::Stopped {
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
    result.command = command.text;
    Ok(result)
}
