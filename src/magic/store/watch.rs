//! `%store watch`: a key, or all that match a pattern, until Ctrl-C.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use regatta_cell::store::call::{Call as Asked, Json, Reply, Trouble, milliseconds};

use super::{matching, refused};
use crate::outcome::{Event, Sink};
use crate::session::{Done, Session};
use crate::store::text::plain;

/// The time between two looks at the keys of a pattern, at least; and so many times as long as a look takes.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSES: u32 = 10;

pub fn watch(name: &str, session: &mut Session, sink: &mut dyn Sink) -> Done {
    let key = name.to_owned();
    let mut seen = match session.store(&Asked::Get { key }) {
        Reply::Value(value) => value,
        other => return Err(refused(&other).into()),
    };
    // A key may be called as a pattern is.
    if seen.is_none() && name.contains(['*', '?', '[']) {
        return watch_all(name, session, sink);
    }
    loop {
        tell(name, seen.as_deref(), sink);
        seen = match wait(name, seen, None, session) {
            Reply::Value(value) => value,
            Reply::Interrupted => return Ok(()),
            other => return Err(refused(&other).into()),
        };
    }
}

fn tell(key: &str, value: Option<&str>, sink: &mut dyn Sink) {
    let text = match value {
        Some(json) => Cow::Owned(plain(json)),
        None => Cow::Borrowed("(not there)"),
    };
    sink.send(Event::Text(format!("{key}: {text}")));
}

fn wait(key: &str, unlike: Option<Json>, time: Option<Duration>, session: &mut Session) -> Reply {
    session.store(&Asked::Wait {
        key: key.to_owned(),
        unlike,
        wait: time.map(milliseconds),
    })
}

fn watch_all(pattern: &str, session: &mut Session, sink: &mut dyn Sink) -> Done {
    let mut seen: BTreeMap<String, Json> = BTreeMap::new();
    // The one that changed last is the one that most likely changes next: its change ends the pause.
    let mut last = None;
    let mut is_first = true;
    loop {
        let began = Instant::now();
        let mut now = BTreeMap::new();
        for key in matching(pattern, session)? {
            match session.store(&Asked::Get { key: key.clone() }) {
                Reply::Value(Some(json)) => _ = now.insert(key, json),
                // It has gone meanwhile, or is none of the store's types.
                Reply::Value(None) | Reply::Failed(Trouble::WrongType { .. }) => {}
                Reply::Interrupted => return Ok(()),
                other => return Err(refused(&other).into()),
            }
        }
        let names = seen
            .keys()
            .chain(now.keys().filter(|key| !seen.contains_key(*key)));
        for key in names.filter(|key| seen.get(*key) != now.get(*key)) {
            tell(key, now.get(key).map(String::as_str), sink);
            last = Some(key.clone());
        }
        if is_first && now.is_empty() {
            sink.send(Event::Text(format!("no key matches `{pattern}` yet")));
        }
        is_first = false;
        let pause = PAUSE.max(began.elapsed() * PAUSES);
        let key = last.as_deref().unwrap_or(pattern);
        match wait(key, now.get(key).cloned(), Some(pause), session) {
            Reply::Value(_) | Reply::TimedOut => {}
            Reply::Failed(Trouble::WrongType { .. }) => last = None,
            Reply::Interrupted => return Ok(()),
            other => return Err(refused(&other).into()),
        }
        seen = now;
    }
}
