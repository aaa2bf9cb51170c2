//! Taking the first value of a list, and waiting for it in the server's own queue: of several who wait, the first to come
//! gets the first value.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SendError, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::SigSet;
use redis::{Cmd, RedisResult, Value, cmd};
use regatta_cell::store::call::Trouble;

use super::line::{Fault, Line, Repeat, is_of_connection};
use super::values::{of_type, value};
use super::watch::Limit;
use super::{Answer, Shared};

/// How long the server waits at once where the wait could not be ended.
const WAIT: Duration = Duration::from_millis(200);

/// How often a wait looks whether it is to go on.
const SLICE: Duration = Duration::from_millis(50);

/// How often it looks whether the server is still there, and the key a list.
const LOOK: Duration = Duration::from_secs(2);

/// The longest time that a server waits; beyond it waits for ever.
const LONGEST: Duration = Duration::from_secs(1 << 30);

pub fn pop(shared: &Shared, key: &str, wait: Option<u64>, stops: &dyn Fn() -> bool) -> Answer {
    let limit = Limit::of(wait);
    let mut command = cmd("LPOP");
    command.arg(key);
    loop {
        let bytes: Option<Vec<u8>> = shared
            .server
            .call(Repeat::Never, stops, |line| line.ask(&command))
            .map_err(|fault| of_type(&shared.server, key, "list", fault))?;
        if bytes.is_some() || limit.is_over() {
            return value(key, bytes);
        }
        if let Some(bytes) = blocked(shared, key, limit, stops)? {
            return value(key, Some(bytes));
        }
        if stops() {
            return Err(Fault::Stopped);
        }
    }
}

/// Waits in the server; `None` when the time is over, or to come again.
fn blocked(
    shared: &Shared,
    key: &str,
    limit: Limit,
    stops: &dyn Fn() -> bool,
) -> Result<Option<Vec<u8>>, Fault> {
    let server = &shared.server;
    let (line, id) = loop {
        let mut line = server.patient_line(None, stops)?;
        match line.number() {
            Ok(id) => break (line, id),
            Err(error) if is_of_connection(&error) => {
                server.broke();
                if stops() {
                    return Err(Fault::Stopped);
                }
            }
            Err(error) => return Err(Fault::Said(error)),
        }
    };
    let time = match id {
        Some(_) => limit.left().filter(|left| *left < LONGEST),
        None => Some(limit.at_most(WAIT)),
    };
    // No time at all is for ever.
    let seconds = time.map_or(0.0, |time| time.as_secs_f64().max(0.001));
    let mut command = cmd("BLPOP");
    command.arg(key).arg(format!("{seconds:.3}"));
    let waits = waiting(line, command).map_err(|error| {
        Fault::Gone(Trouble::Refused {
            why: format!("nobody can wait for it: {error}"),
        })
    })?;
    let mut looked = Instant::now();
    let mut ended = false;
    let (line, answer) = loop {
        match waits.recv_timeout(SLICE) {
            Ok(answered) => break answered,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(Fault::Stopped),
        }
        let Some(id) = id.filter(|_| !ended) else {
            continue;
        };
        let mut end = stops();
        if !end && looked.elapsed() > LOOK {
            looked = Instant::now();
            // A server that is gone without a word would be waited for in vain.
            let name: Result<String, Fault> =
                server.call(Repeat::Safe, stops, |line| line.ask(cmd("TYPE").arg(key)));
            end = match name {
                Ok(name) => !matches!(name.as_str(), "none" | "list"),
                // It is there, and does not say.
                Err(Fault::Said(_)) => false,
                Err(_) => true,
            };
        }
        if end {
            // The answer may be on its way: then that is the one. Or the question is: then it is ended the next time.
            let unblocked = server.call(Repeat::Safe, stops, |line| {
                line.ask::<i64>(cmd("CLIENT").arg("UNBLOCK").arg(id))
            })?;
            ended = unblocked == 1;
        }
    };
    match answer {
        Ok(popped) => {
            if line.is_patient(false).is_ok() {
                server.keep(line);
            }
            Ok(popped.map(|(_, bytes)| bytes))
        }
        Err(error) if is_of_connection(&error) => {
            server.broke();
            match line.sent {
                true => Err(Fault::Gone(server.lost_call(&error))),
                false => Ok(None),
            }
        }
        Err(error) => Err(of_type(server, key, "list", Fault::Said(error))),
    }
}

type Answered = (Line, RedisResult<Option<(Vec<u8>, Vec<u8>)>>);

/// A thread sleeps for the answer, because no answer can be read in parts.
fn waiting(mut line: Line, command: Cmd) -> std::io::Result<Receiver<Answered>> {
    let (to, from) = channel();
    std::thread::Builder::new()
        .name("pop".to_owned())
        .spawn(move || {
            // A signal would end the wait for it.
            let _ = SigSet::all().thread_block();
            let answer = line.is_patient(true).and_then(|()| line.ask(&command));
            // Who waited could not end the wait, and has given up: what has come goes back to where it was.
            if let Err(SendError((mut line, Ok(Some((key, bytes)))))) = to.send((line, answer)) {
                let _: RedisResult<Value> = line.ask(cmd("LPUSH").arg(key).arg(bytes));
            }
        })?;
    Ok(from)
}
