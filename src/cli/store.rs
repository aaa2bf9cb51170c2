//! `regatta store`: the store for child scripts of any language. It starts nothing else of regatta's, prints what it was
//! asked for and nothing more, and says by its exit status what came of it.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{BufRead as _, Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use regatta_cell::store::call::{ADDRESS, Call, Entry, Kind, Number, Reply, Trouble, Who, missing};

use crate::store::redis::{REDIS_URL, mortal};
use crate::store::text::{plain, string, value};
use crate::store::{Store, connect};

/// The values that a session shares with its engines and children; for scripts of any language.
#[derive(Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "\
Values are JSON. One that is written and is none is a text, so `set name Ada` and `set n 1` need no quotes; --text makes a \
text of anything. A text that is read is printed as it is, all else as JSON; --json prints texts as JSON too. Times are \
seconds. $REGATTA_STORE names the store; a session sets it for its commands, engines and children. Without it \
$REGATTA_REDIS_URL names a Redis server.

Exit status: 0 done; 1 nothing there; 2 misused, or a value of another type; 3 time is over; 4 the store is out of reach.

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
    verb: Verb,
}

#[derive(Args)]
struct Shown {
    /// Print a text as JSON too.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Written {
    /// It is a text, even if it looks like JSON.
    #[arg(long)]
    text: bool,
}

#[derive(Subcommand)]
enum Verb {
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
    Expire {
        key: String,
        /// `never` lets it stay.
        #[arg(value_parser = after)]
        seconds: After,
    },
    /// Run a command that holds a lock, and end with its exit status.
    ///
    /// The command finds the lock's fencing number in $REGATTA_FENCE. The lock is held as long as one of the two lives.
    Lock {
        name: String,
        /// Wait for it so long; for ever without.
        #[arg(long, value_name = "SECONDS", value_parser = seconds)]
        timeout: Option<Duration>,
        /// It is free after so long, whatever the command does.
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
struct After(Option<Duration>);

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "not a number of seconds")?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}

fn after(text: &str) -> Result<After, String> {
    match text {
        "never" => Ok(After(None)),
        text => seconds(text).map(|time| After(Some(time))),
    }
}

fn number(text: &str) -> Result<Number, String> {
    if let Ok(whole) = text.parse() {
        return Ok(Number::Int(whole));
    }
    let float = text.parse::<f64>().ok().filter(|float| float.is_finite());
    float
        .map(Number::Float)
        .ok_or_else(|| "not a number".to_owned())
}

/// Rounded up: a short wait is no look.
fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

const NOTHING: u8 = 1;
const MISUSED: u8 = 2;
const TIME_OVER: u8 = 3;
const OUT_OF_REACH: u8 = 4;

/// The word by which it is called.
pub const ROLE: &str = "store";

/// How it ends when it does not end well: the exit status, and what to say first.
struct Ended(u8, String);

type Done = Result<(), Ended>;

/// The values that a session shares with its engines and children; for scripts of any language.
// Read alone: it is to be there at once, and has none of the other options.
#[derive(Parser)]
#[command(name = "regatta store", bin_name = "regatta store")]
struct Alone {
    #[command(flatten)]
    args: StoreArgs,
}

/// `words` are those behind `regatta`, of which `store` is the first.
pub fn alone(words: impl Iterator<Item = OsString>) -> ExitCode {
    main(Alone::parse_from(words).args)
}

pub fn main(args: StoreArgs) -> ExitCode {
    match run(args.verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Ended(status, why)) => {
            if !why.is_empty() {
                let _ = writeln!(std::io::stderr(), "regatta store: {why}");
            }
            ExitCode::from(status)
        }
    }
}

/// The store of the environment.
struct Caller(Box<dyn Store>);

impl Caller {
    fn call(&mut self, call: &Call) -> Result<Reply, Ended> {
        // Ctrl-C ends the process, and with it the wait.
        match self.0.call(call, &|| false) {
            Reply::Failed(trouble) => Err(failed(&trouble)),
            reply => Ok(reply),
        }
    }

    fn value(&mut self, call: &Call) -> Result<Option<String>, Ended> {
        match self.call(call)? {
            Reply::Value(value) => Ok(value),
            other => Err(strange(&other)),
        }
    }

    fn count(&mut self, call: &Call) -> Result<u64, Ended> {
        match self.call(call)? {
            Reply::Count(count) => Ok(count),
            other => Err(strange(&other)),
        }
    }

    fn is(&mut self, call: &Call) -> Result<bool, Ended> {
        match self.call(call)? {
            Reply::Is(is) => Ok(is),
            other => Err(strange(&other)),
        }
    }
}

fn failed(trouble: &Trouble) -> Ended {
    let status = match trouble {
        Trouble::NoStore | Trouble::Unavailable { .. } | Trouble::Lost { .. } => OUT_OF_REACH,
        _ => MISUSED,
    };
    Ended(status, trouble.to_string())
}

fn strange(reply: &Reply) -> Ended {
    Ended(
        OUT_OF_REACH,
        format!("the store has answered something else: {reply:?}"),
    )
}

fn run(verb: Verb) -> Done {
    let address = std::env::var(ADDRESS).or_else(|_| std::env::var(REDIS_URL));
    let address = address.map_err(|_| failed(&Trouble::NoStore))?;
    let mut store = Caller(connect(&address).map_err(|trouble| failed(&trouble))?);
    let nothing = || Ended(NOTHING, String::new());
    match verb {
        Verb::Set {
            key,
            value,
            written,
            expire,
        } => {
            let value = written.json(&input(value)?);
            let expire = expire.map(milliseconds);
            match store.call(&Call::Set { key, value, expire })? {
                Reply::Done => Ok(()),
                other => Err(strange(&other)),
            }
        }
        Verb::Get { key, shown } => {
            let json = store.value(&Call::Get { key })?.ok_or_else(nothing)?;
            shown.print(&json)
        }
        Verb::Take { key, shown } => {
            let json = store.value(&Call::Take { key })?.ok_or_else(nothing)?;
            shown.print(&json)
        }
        Verb::Update { key, command } => update(&mut store, &key, &command),
        Verb::Incr { key, by } => match store.call(&Call::Incr { key, by })? {
            Reply::Number(sum) => print(sum),
            other => Err(strange(&other)),
        },
        Verb::Push {
            key,
            values,
            written,
        } => {
            let values = values_of(values)?;
            let values = values.iter().map(|text| written.json(text)).collect();
            print(store.count(&Call::Push { key, values })?)
        }
        Verb::Pop { key, wait, shown } => {
            let wait = match wait {
                None => Some(0),
                Some(wait) => wait.map(milliseconds),
            };
            let json = store.value(&Call::Pop { key, wait })?;
            shown.print(&json.ok_or_else(nothing)?)
        }
        Verb::Len { key } => print(store.count(&Call::Len { key })?),
        Verb::Keys { pattern, json } => keys(&mut store, pattern, json),
        Verb::Del { keys } => {
            let count = store.count(&Call::Delete { keys })?;
            print(count)?;
            if count == 0 { Err(nothing()) } else { Ok(()) }
        }
        Verb::Expire { key, seconds } => {
            let after = seconds.0.map(milliseconds);
            match store.is(&Call::Expire { key, after })? {
                true => Ok(()),
                false => Err(nothing()),
            }
        }
        Verb::Lock {
            name,
            timeout,
            lease,
            command,
        } => hold(store, Kind::Lock, name, (1, lease, timeout), &command),
        Verb::Semaphore {
            name,
            permits,
            timeout,
            command,
        } => {
            let how = (permits, None, timeout);
            hold(store, Kind::Semaphore, name, how, &command)
        }
        Verb::Barrier {
            name,
            size,
            timeout,
        } => barrier(&mut store, name, size, timeout),
        Verb::WaitFor {
            key,
            value,
            written,
            timeout,
            shown,
        } => {
            let wanted = value.map(|text| written.json(&text));
            let json = wait_for(&mut store, &key, wanted.as_deref(), timeout)?;
            shown.print(&json)
        }
        Verb::Publish {
            channel,
            message,
            written,
        } => {
            let message = written.json(&input(message)?);
            print(store.count(&Call::Publish { channel, message })?)
        }
        Verb::Subscribe {
            channel,
            count,
            timeout,
            shown,
        } => subscribe(&mut store, channel, count, timeout, &shown),
    }
}

impl Shown {
    fn print(&self, json: &str) -> Done {
        match self.json {
            true => print(json),
            false => print(plain(json)),
        }
    }
}

impl Written {
    fn json(&self, text: &str) -> String {
        match self.text {
            true => string(text),
            false => value(text),
        }
    }
}

/// A pipe that is closed takes nothing: whoever read from it has enough.
fn print(text: impl Display) -> Done {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(|_| Ended(NOTHING, String::new()))
}

fn unread(error: impl Display) -> Ended {
    Ended(MISUSED, format!("standard input cannot be read: {error}"))
}

/// What was written, or standard input without the end of its last line.
fn input(text: String) -> Result<String, Ended> {
    if text != "-" {
        return Ok(text);
    }
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    read.map_err(unread)?;
    Ok(text.strip_suffix('\n').map_or(text.clone(), str::to_owned))
}

fn values_of(texts: Vec<String>) -> Result<Vec<String>, Ended> {
    let mut values = Vec::new();
    for text in texts {
        if text == "-" {
            for line in std::io::stdin().lock().lines() {
                values.push(line.map_err(unread)?);
            }
        } else {
            values.push(text);
        }
    }
    Ok(values)
}

/// Ends as a command has ended.
fn ended_as(status: std::process::ExitStatus) -> Done {
    let code = status.code().or(status.signal().map(|number| 128 + number));
    match code.and_then(|code| u8::try_from(code).ok()) {
        Some(0) => Ok(()),
        Some(code) => Err(Ended(code, String::new())),
        None => Err(Ended(MISUSED, String::new())),
    }
}

fn not_run(command: &[String], error: &std::io::Error) -> Ended {
    // As a shell has it.
    let status = match error.kind() {
        std::io::ErrorKind::NotFound => 127,
        _ => 126,
    };
    Ended(status, format!("cannot run {}: {error}", command[0]))
}

fn update(store: &mut Caller, key: &str, command: &[String]) -> Done {
    loop {
        let before = store.value(&Call::Get {
            key: key.to_owned(),
        })?;
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| not_run(command, &error))?;
        if let Some(mut stdin) = child.stdin.take() {
            let json = before.clone().unwrap_or_default();
            // One that prints before it has read all is not waited for; one that does not read it need not.
            std::thread::spawn(move || {
                let _ = stdin.write_all(json.as_bytes());
            });
        }
        let ended = child.wait_with_output().map_err(unread)?;
        ended_as(ended.status)?;
        let text = String::from_utf8(ended.stdout).map_err(unread)?;
        let after = value(text.strip_suffix('\n').unwrap_or(&text));
        let swap = Call::Swap {
            key: key.to_owned(),
            before,
            after: Some(after.clone()),
        };
        if store.is(&swap)? {
            return print(plain(&after));
        }
    }
}

fn keys(store: &mut Caller, pattern: String, json: bool) -> Done {
    let details = json;
    let entries = match store.call(&Call::Keys { pattern, details })? {
        Reply::Keys(entries) => entries,
        other => return Err(strange(&other)),
    };
    for entry in entries {
        match json {
            true => print(described(&entry))?,
            false => print(entry.key)?,
        }
    }
    Ok(())
}

fn described(entry: &Entry) -> serde_json::Value {
    let who: Vec<String> = entry.who.iter().map(ToString::to_string).collect();
    serde_json::json!({
        "key": entry.key,
        "type": entry.kind.name(),
        "bytes": entry.bytes,
        "count": entry.count,
        "of": entry.of,
        "age_ms": entry.age,
        "expires_ms": entry.expires,
        "who": who,
        "preview": entry.preview,
    })
}

/// Who this is: what a session's child was told of itself, and the script that calls.
fn this() -> Who {
    let of = |name: &str| std::env::var(name).ok();
    Who {
        group: of("REGATTA_NAME").unwrap_or_default(),
        rank: of("REGATTA_RANK").and_then(|rank| rank.parse().ok()),
        size: of("REGATTA_SIZE").and_then(|size| size.parse().ok()),
        // This process lives no longer than the call.
        pid: std::os::unix::process::parent_id(),
    }
}

/// How many may hold it, for how long, and how long it is waited for.
type How = (u32, Option<Duration>, Option<Duration>);

fn hold(mut store: Caller, kind: Kind, name: String, how: How, command: &[String]) -> Done {
    let (limit, lease, timeout) = how;
    let asked = Call::Acquire {
        kind,
        name: name.clone(),
        limit,
        lease: lease.map(milliseconds),
        wait: timeout.map(milliseconds),
        who: this(),
    };
    let fence = match store.call(&asked)? {
        Reply::Granted { fence } => fence,
        Reply::Held { by } => {
            let by: Vec<String> = by.iter().map(ToString::to_string).collect();
            let what = kind.name();
            let why = format!("{what} `{name}` is held by {}", by.join(", "));
            return Err(Ended(TIME_OVER, why));
        }
        other => return Err(strange(&other)),
    };
    // The command has the connection too, as with `flock`: should this process be killed, the lock is held on as long as
    // the command runs.
    // Where it cannot have it, it is killed with this process.
    let mut program = match store.0.connection() {
        Some(connection) => {
            let _ = rustix::io::fcntl_setfd(connection, rustix::io::FdFlags::empty());
            Command::new(&command[0])
        }
        None => mortal::command(&command[0]),
    };
    let ran = program
        .args(&command[1..])
        .env("REGATTA_FENCE", fence.to_string())
        .status();
    let released = store.is(&Call::Release { kind, name, fence });
    ended_as(ran.map_err(|error| not_run(command, &error))?)?;
    released.map(|_| ())
}

fn barrier(store: &mut Caller, name: String, size: u32, timeout: Option<Duration>) -> Done {
    let asked = Call::Barrier {
        name: name.clone(),
        size,
        wait: timeout.map(milliseconds),
        who: this(),
    };
    match store.call(&asked)? {
        Reply::Count(index) => print(index),
        Reply::Missing { size, here } => Err(Ended(
            TIME_OVER,
            format!("barrier `{name}`: {}", missing(size, &here)),
        )),
        other => Err(strange(&other)),
    }
}

fn wait_for(
    store: &mut Caller,
    key: &str,
    wanted: Option<&str>,
    timeout: Option<Duration>,
) -> Result<String, Ended> {
    let began = std::time::Instant::now();
    let mut seen = None;
    loop {
        let left = timeout.map(|time| milliseconds(time.saturating_sub(began.elapsed())));
        let reply = store.call(&Call::Wait {
            key: key.to_owned(),
            unlike: seen.clone(),
            wait: left,
        })?;
        match reply {
            Reply::Value(Some(json)) if wanted.is_none_or(|wanted| same(&json, wanted)) => {
                return Ok(json);
            }
            Reply::Value(value) => seen = value,
            Reply::TimedOut => {
                let why = match seen {
                    Some(json) => format!("`{key}` is {json}"),
                    None => format!("`{key}` is not there"),
                };
                return Err(Ended(TIME_OVER, why));
            }
            other => return Err(strange(&other)),
        }
    }
}

/// Whether two JSON texts mean the same.
fn same(one: &str, other: &str) -> bool {
    let read = |json: &str| serde_json::from_str::<serde_json::Value>(json).ok();
    one == other || read(one).is_some_and(|one| Some(one) == read(other))
}

fn subscribe(
    store: &mut Caller,
    pattern: String,
    count: Option<u64>,
    timeout: Option<Duration>,
    shown: &Shown,
) -> Done {
    let subscription = match store.call(&Call::Subscribe { pattern })? {
        Reply::Subscribed { subscription } => subscription,
        other => return Err(strange(&other)),
    };
    let mut left = count;
    while left != Some(0) {
        let wait = timeout.map(milliseconds);
        match store.call(&Call::Next { subscription, wait })? {
            Reply::Message { message, .. } => shown.print(&message)?,
            Reply::TimedOut => return Err(Ended(TIME_OVER, String::new())),
            other => return Err(strange(&other)),
        }
        left = left.map(|left| left - 1);
    }
    Ok(())
}
