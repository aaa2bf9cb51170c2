//! `regatta store`: the store for child scripts of any language. It starts nothing else of regatta's, prints what it was
//! asked for and nothing more, and says by its exit status what came of it.

mod commands;
mod texts;
mod waits;
mod words;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use regatta_cell::store::call::{ADDRESS, Call, Entry, Kind, Reply, Trouble, Who, milliseconds};

use crate::store::redis::REDIS_URL;
use crate::store::{Store, connect};
use commands::{hold, update};
use texts::{input, print, values_of};
use waits::{barrier, subscribe, wait_for};
pub use words::StoreArgs;
use words::Verb;

const NOTHING: u8 = 1;
const MISUSED: u8 = 2;
const TIME_OVER: u8 = 3;
const OUT_OF_REACH: u8 = 4;
/// The command went well, and not all of it under the lock.
const ENDED_EARLY: u8 = 5;

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
