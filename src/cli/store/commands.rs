//! Verbs that run a command: under a lock or a permit, or to change a value.

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use regatta_cell::store::call::{Call, Kind, Reply, milliseconds};

use super::texts::{print, unread};
use super::{Caller, Done, ENDED_EARLY, Ended, MISUSED, TIME_OVER, strange, this};
use crate::servers::tree;
use crate::store::text::{plain, value};

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

pub(super) fn update(store: &mut Caller, key: &str, command: &[String]) -> Done {
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

/// How many may hold it, for how long, and how long it is waited for.
pub(super) type How = (u32, Option<Duration>, Option<Duration>);

fn ended_early(kind: Kind, name: &str, has_lease: bool) -> String {
    let kind = kind.name();
    let why = match has_lease {
        true => "its lease was over",
        false => "the store had not heard of its holder in time",
    };
    format!(
        "{kind} `{name}` was no longer held when the command ended: {why}, and others may have been inside"
    )
}

pub(super) fn hold(
    mut store: Caller,
    kind: Kind,
    name: String,
    how: How,
    command: &[String],
) -> Done {
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
    // Where it cannot have it, it is killed with this process, and all that it has started too.
    let mut program = match store.0.connection() {
        Some(connection) => {
            let _ = rustix::io::fcntl_setfd(connection, rustix::io::FdFlags::empty());
            Command::new(&command[0])
        }
        None => tree::command(&command[0]),
    };
    let ran = program
        .args(&command[1..])
        .env("REGATTA_FENCE", fence.to_string())
        .status();
    let release = Call::Release {
        kind,
        name: name.clone(),
        fence,
    };
    let released = store.is(&release);
    let ran = ended_as(ran.map_err(|error| not_run(command, &error))?);
    let why = match released {
        Ok(true) => return ran,
        Ok(false) => Ended(ENDED_EARLY, ended_early(kind, &name, lease.is_some())),
        Err(why) => why,
    };
    // The status is the command's where that says something.
    Err(match ran {
        Err(Ended(status, said)) if said.is_empty() => Ended(status, why.1),
        Err(Ended(status, said)) => Ended(status, format!("{said}; {}", why.1)),
        Ok(()) => why,
    })
}
