//! Publishing and subscribing. The server queues what a subscription has not read yet.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use redis::{RedisResult, Value, cmd};
use regatta_cell::store::call::{Reply, Trouble};

use super::line::{Fault, Line, Repeat, Server, is_of_connection};
use super::listing::wide;
use super::values::json;
use super::watch::Limit;
use super::{Answer, Shared};
use crate::store::glob::matches;
use crate::store::text::string;

/// How often a wait looks whether it is to go on.
const SLICE: Duration = Duration::from_millis(50);

/// This process's subscriptions.
#[derive(Default)]
pub struct Channels {
    all: Mutex<HashMap<u64, Arc<Mutex<Subscription>>>>,
    next: AtomicU64,
}

struct Subscription {
    pattern: String,
    line: Option<Line>,
}

impl Channels {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Mutex<Subscription>>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From then on nothing that is published is counted as heard by it.
    pub fn drop(&self, subscription: u64) {
        let found = self.lock().remove(&subscription);
        // Where another thread waits for its next message, it goes with that.
        if let Some(found) = found
            && let Ok(mut found) = found.try_lock()
            && let Some(line) = found.line.take()
        {
            line.leave();
        }
    }
}

pub fn publish(server: &Server, channel: &str, message: &str, stops: &dyn Fn() -> bool) -> Answer {
    let mut command = cmd("PUBLISH");
    command.arg(channel).arg(message);
    let count = server.call(Repeat::Never, stops, |line| line.ask(&command))?;
    Ok(Reply::Count(count))
}

pub fn subscribe(shared: &Shared, pattern: &str, stops: &dyn Fn() -> bool) -> Answer {
    let line = subscribed(&shared.server, pattern, stops)?;
    let channels = &shared.channels;
    let subscription = channels.next.fetch_add(1, Ordering::Relaxed);
    let entry = Subscription {
        pattern: pattern.to_owned(),
        line: Some(line),
    };
    channels
        .lock()
        .insert(subscription, Arc::new(Mutex::new(entry)));
    Ok(Reply::Subscribed { subscription })
}

/// The server's patterns are of bytes. Of one that has other letters than ASCII's more is asked of it, and what does not
/// match left out; `publish` counts its subscriber then.
fn is_by_letters(pattern: &str) -> bool {
    !pattern.is_ascii() && pattern.contains(['?', '['])
}

/// A connection that has subscribed.
fn subscribed(server: &Server, pattern: &str, stops: &dyn Fn() -> bool) -> Result<Line, Fault> {
    let is_pattern = pattern.contains(['*', '?', '[', '\\']);
    let wide = if is_by_letters(pattern) {
        wide(pattern)
    } else {
        pattern.into()
    };
    let name = if is_pattern {
        "PSUBSCRIBE"
    } else {
        "SUBSCRIBE"
    };
    loop {
        let mut line = server.patient_line(None, stops)?;
        match line.ask::<Value>(cmd(name).arg(&*wide)) {
            Ok(_) => return Ok(line),
            Err(error) if is_of_connection(&error) => server.broke(),
            Err(error) => return Err(Fault::Said(error)),
        }
    }
}

pub fn next(
    shared: &Shared,
    subscription: u64,
    wait: Option<u64>,
    stops: &dyn Fn() -> bool,
) -> Answer {
    let found = shared.channels.lock().get(&subscription).cloned();
    let Some(found) = found else {
        return Ok(Reply::Failed(Trouble::NoSubscription));
    };
    let mut found = match found.try_lock() {
        Ok(found) => found,
        Err(TryLockError::Poisoned(found)) => found.into_inner(),
        Err(TryLockError::WouldBlock) if wait == Some(0) => return Ok(Reply::TimedOut),
        Err(TryLockError::WouldBlock) => {
            let why = "another thread waits for the subscription's next message".to_owned();
            return Ok(Reply::Failed(Trouble::Refused { why }));
        }
    };
    let limit = Limit::of(wait);
    loop {
        let line = match &mut found.line {
            Some(line) => line,
            None => {
                let line = subscribed(&shared.server, &found.pattern, stops)?;
                found.line.insert(line)
            }
        };
        match message(line, limit.at_most(SLICE)) {
            Ok(Some((channel, _)))
                if is_by_letters(&found.pattern) && !matches(&found.pattern, &channel) => {}
            Ok(Some((channel, message))) => {
                return Ok(Reply::Message {
                    channel,
                    message,
                    missed: 0,
                });
            }
            Ok(None) => {}
            Err(error) => {
                found.line = None;
                shared.server.broke();
                return Ok(Reply::Failed(Trouble::Lost {
                    address: shared.server.address().to_string(),
                    why: format!(
                        "{error}; the subscription goes on with the next call, without what was published meanwhile"
                    ),
                }));
            }
        }
        if !shared.channels.lock().contains_key(&subscription) {
            return Ok(Reply::Failed(Trouble::NoSubscription));
        }
        if limit.is_over() {
            return Ok(Reply::TimedOut);
        }
        if stops() {
            return Err(Fault::Stopped);
        }
    }
}

fn message(line: &mut Line, within: Duration) -> RedisResult<Option<(String, String)>> {
    let Some(message) = line.message(within)? else {
        return Ok(None);
    };
    let bytes = message.get_payload_bytes().to_vec();
    let text = json(bytes).unwrap_or_else(|bytes| string(&String::from_utf8_lossy(&bytes)));
    Ok(Some((message.get_channel_name().to_owned(), text)))
}
