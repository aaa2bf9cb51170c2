//! When keys were last changed. A server does not keep that; but from the time at which a session comes to it, it tells
//! of each change, whoever makes it (`CLIENT TRACKING` of all keys), and here stands when that was. Nothing is written
//! for it, and of what was not changed since then nothing is known.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use redis::{Msg, RedisResult, Value, cmd};

use super::line::{Line, Server, is_of_connection};
use super::watch::CHANGES;
use super::{OURS, Shared};

/// So many keys are remembered; then it begins anew.
const MOST: usize = 100_000;

/// How often it looks whether anybody still wants to know, and comes back to a server that was gone.
const SLICE: Duration = Duration::from_millis(250);

/// How often it looks whether the server still tells.
const CHECK: Duration = Duration::from_secs(2);

#[derive(Default)]
pub struct Ages {
    changed: Mutex<HashMap<String, Instant>>,
    is_followed: AtomicBool,
}

impl Ages {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the key was changed, if that is known.
    pub fn of(&self, key: &str) -> Option<u64> {
        let age = self.lock().get(key)?.elapsed();
        u64::try_from(age.as_millis()).ok()
    }

    fn note(&self, message: &Msg) {
        let now = Instant::now();
        let mut known = self.lock();
        // Without keys: all of them are gone.
        let Ok(Some(keys)) = message.get_payload::<Option<Vec<Vec<u8>>>>() else {
            return known.clear();
        };
        let keys = keys
            .into_iter()
            .filter_map(|key| String::from_utf8(key).ok());
        for key in keys.filter(|key| !key.starts_with(OURS)) {
            if known.len() >= MOST && !known.contains_key(&key) {
                known.clear();
            }
            known.insert(key, now);
        }
    }
}

/// From now on; where the server does not tell, nothing is known.
pub fn follow(shared: &Arc<Shared>) {
    let is_followed = &shared.ages.is_followed;
    if is_followed.swap(true, Ordering::Relaxed) {
        return;
    }
    // What is changed from here on is told, unless the server cannot be asked right now: then it is asked later.
    let lines = open(&shared.server).ok();
    let of = Arc::downgrade(shared);
    let thread = std::thread::Builder::new().name("ages".to_owned());
    // Without a thread nothing is known.
    if thread.spawn(move || listen(&of, lines)).is_err() {
        is_followed.store(false, Ordering::Relaxed);
    }
}

/// The connection that watches, and the one on which it is told.
fn open(server: &Server) -> RedisResult<(Line, Line)> {
    let (mut watches, mut changes) = (server.line(&|| false)?, server.line(&|| false)?);
    let id: i64 = changes.ask(cmd("CLIENT").arg("ID"))?;
    changes.ask::<Value>(cmd("SUBSCRIBE").arg(CHANGES))?;
    let mut tracking = cmd("CLIENT");
    tracking.arg("TRACKING").arg("ON").arg("REDIRECT").arg(id);
    watches.ask::<()>(tracking.arg("BCAST"))?;
    Ok((watches, changes))
}

fn listen(of: &Weak<Shared>, mut lines: Option<(Line, Line)>) {
    let mut checked = Instant::now();
    while let Some(shared) = of.upgrade() {
        let Some((watches, changes)) = &mut lines else {
            let opened = open(&shared.server);
            drop(shared);
            match opened {
                Ok(opened) => lines = Some(opened),
                Err(error) if is_of_connection(&error) => std::thread::sleep(SLICE),
                // One that does not want to tell is not asked as often.
                Err(_) => std::thread::sleep(CHECK),
            }
            continue;
        };
        let told = changes.message(SLICE).and_then(|message| {
            if checked.elapsed() > CHECK {
                watches.ask::<Value>(&cmd("PING"))?;
                checked = Instant::now();
            }
            Ok(message)
        });
        match told {
            Ok(Some(message)) => shared.ages.note(&message),
            Ok(None) => {}
            Err(_) => {
                // What was changed meanwhile is not known.
                shared.ages.lock().clear();
                lines = None;
            }
        }
    }
}
