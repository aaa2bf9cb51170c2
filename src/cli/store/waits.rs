//! Verbs that wait for others: at a barrier, for a value, for messages.

use std::time::Duration;

use regatta_cell::store::call::{Call, Reply, milliseconds, missing};

use super::texts::print;
use super::words::Shown;
use super::{Caller, Done, Ended, TIME_OVER, strange, this};

pub(super) fn barrier(
    store: &mut Caller,
    name: String,
    size: u32,
    timeout: Option<Duration>,
) -> Done {
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

pub(super) fn wait_for(
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

pub(super) fn subscribe(
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
