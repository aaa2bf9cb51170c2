//! What is written behind `regatta store`.

use std::time::Duration;

use clap::{Args, Subcommand};
use regatta_cell::store::call::Number;

use crate::store::text::is_whole;

/// The values that a session shares with its engines and children; for scripts of any language.
#[derive(Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "\
Values are JSON. One that is written and is none is a text, so `set name Ada` and `set n 1` need no quotes; --text makes a \
text of anything. A text that is read is printed as it is, all else as JSON; --json prints texts as JSON too. Times are \
seconds. $REGATTA_STORE names the store; a session sets it for its commands, engines and children. Without it \
$REGATTA_REDIS_URL names a Redis server.

Exit status: 0 done; 1 nothing there; 2 misused, or a value of another type; 3 time is over; 4 the store is out of reach; \
5 the command went well, but its lock or permit had ended before, so that others may have been inside.

Examples:
  n=$(regatta store incr visits)
  regatta store push jobs '{\"file\": \"a.csv\"}'
  while job=$(regatta store pop jobs --wait 5); do process \"$job\"; done
  regatta store lock report --timeout 30 -- python3 write_report.py
  regatta store barrier start 5 --timeout 60 || exit
  regatta store update config -- jq -c '.retries += 1'"
)]
pub struct StoreArgs {
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Args)]
pub(super) struct Shown {
    /// Print a text as JSON too.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args)]
pub(super) struct Written {
    /// It is a text, even if it looks like JSON.
    #[arg(long)]
    pub(super) text: bool,
}

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Set a key; `-` reads the value from standard input.
    #[command(allow_negative_numbers = true)]
    Set {
        key: String,
        value: String,
        #[command(flatten)]
        written: Written,
        /// The key goes after so long.
        #[arg(long, value_name = "SECONDS", value_parser = seconds)]
        expire: Option<Duration>,
    },
    /// Print a value; of a list all of them, as a JSON array.
    Get {
        key: String,
        #[command(flatten)]
        shown: Shown,
    },
    /// Print a value and delete it: of many who take it, one gets it.
    Take {
        key: String,
        #[command(flatten)]
        shown: Shown,
    },
    /// Replace a value by what a command prints that reads it; again, if another has changed it meanwhile.
    Update {
        key: String,
        /// It gets the value on standard input as JSON, nothing if there is none, and prints the new one.
        #[arg(last = true, required = true, value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// Add to a number, which is 0 if it is not there, and print the sum.
    #[command(allow_negative_numbers = true)]
    Incr {
        key: String,
        #[arg(default_value = "1", value_parser = number)]
        by: Number,
    },
    /// Append values to a list and print its length; `-` reads one from each line of standard input.
    #[command(allow_negative_numbers = true)]
    Push {
        key: String,
        #[arg(required = true, value_name = "VALUE")]
        values: Vec<String>,
        #[command(flatten)]
        written: Written,
    },
    /// Take the first value of a list and print it.
    Pop {
        key: String,
        /// Wait for one so long; without SECONDS for ever.
        #[arg(long, value_name = "SECONDS", num_args = 0..=1, value_parser = seconds)]
        wait: Option<Option<Duration>>,
        #[command(flatten)]
        shown: Shown,
    },
    /// Print how many values a list has.
    Len { key: String },
    /// Print the keys, one a line.
    Keys {
        /// Those that match, as Redis matches: `job:*`.
        #[arg(default_value = "*")]
        pattern: String,
        /// A JSON object a line with all that is known; locks, semaphores, barriers and channels too.
        #[arg(long)]
        json: bool,
    },
    /// Delete keys and print how many there were.
    Del {
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
    },
    /// Let a key go after so long.
    #[command(allow_negative_numbers = true)]
    Expire {
        key: String,
        /// `never` lets it stay; 0 or less deletes it.
        #[arg(value_parser = after)]
        seconds: After,
    },
    /// Run a command that holds a lock, and end with its exit status.
    ///
    /// The command finds the lock's fencing number in $REGATTA_FENCE. When this process is killed, the lock is
    /// held on as long as the command lives, or what it has started; on Redis these are killed with it.
    /// When it ended before the command did, that is said, and the exit status is 5 where the command's own was 0.
    Lock {
        name: String,
        /// Wait for it so long; for ever without.
        #[arg(long, value_name = "SECONDS", value_parser = seconds)]
        timeout: Option<Duration>,
        /// It is free so long after it was got, whatever the command does.
        #[arg(long, value_name = "SECONDS", value_parser = seconds)]
        lease: Option<Duration>,
        #[arg(last = true, required = true, value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// The same with one of several permits of a semaphore.
    Semaphore {
        name: String,
        /// How many may hold it at once; all say the same number.
        #[arg(value_parser = clap::value_parser!(u32).range(1..))]
        permits: u32,
        /// Wait for it so long; for ever without.
        #[arg(long, value_name = "SECONDS", value_parser = seconds)]
        timeout: Option<Duration>,
        #[arg(last = true, required = true, value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// Wait until so many are at a barrier, and print which one this was, from 0.
    Barrier {
        name: String,
        #[arg(value_parser = clap::value_parser!(u32).range(1..))]
        size: u32,
        /// Wait for them so long; for ever without.
        #[arg(long, value_name = "SECONDS", value_parser = seconds)]
        timeout: Option<Duration>,
    },
    /// Wait until a key is there, or until it has a value, and print it.
    #[command(allow_negative_numbers = true)]
    WaitFor {
        key: String,
        /// The value; compared as JSON.
        value: Option<String>,
        #[command(flatten)]
        written: Written,
        /// Wait for it so long; for ever without.
        #[arg(long, value_name = "SECONDS", value_parser = seconds)]
        timeout: Option<Duration>,
        #[command(flatten)]
        shown: Shown,
    },
    /// Send a message to who listens, and print how many these are; `-` reads it from standard input.
    #[command(allow_negative_numbers = true)]
    Publish {
        channel: String,
        message: String,
        #[command(flatten)]
        written: Written,
    },
    /// Print the messages of a channel, one a line.
    Subscribe {
        /// A name or a pattern: `news:*`.
        channel: String,
        /// End after so many.
        #[arg(short = 'n', long, value_name = "COUNT")]
        count: Option<u64>,
        /// End when none has come for so long.
        #[arg(long, value_name = "SECONDS", value_parser = seconds)]
        timeout: Option<Duration>,
        #[command(flatten)]
        shown: Shown,
    },
}

/// When a key goes.
#[derive(Clone, Copy)]
pub(super) struct After(pub(super) Option<Duration>);

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "not a number of seconds")?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}

fn after(text: &str) -> Result<After, String> {
    match text {
        "never" => Ok(After(None)),
        // As Redis has it: its time is over.
        text if text.parse().is_ok_and(|number: f64| number < 0.0) => {
            Ok(After(Some(Duration::ZERO)))
        }
        text => seconds(text).map(|time| After(Some(time))),
    }
}

fn number(text: &str) -> Result<Number, String> {
    if let Ok(whole) = text.parse() {
        return Ok(Number::Int(whole));
    }
    // As a float it would be another number.
    if is_whole(text) {
        return Err("not a whole number of 64 bits".to_owned());
    }
    let float = text.parse::<f64>().ok().filter(|float| float.is_finite());
    float
        .map(Number::Float)
        .ok_or_else(|| "not a number".to_owned())
}
