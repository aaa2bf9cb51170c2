//! Waiting until a key changes, whoever changes it, `redis-cli` too: the server tracks what this connection has read
//! and says when it is no longer so (`CLIENT TRACKING`). It asks nothing of the server's configuration.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::{Cmd, RedisResult, cmd};

use super::line::{Fault, Line, Server, is_of_connection};

/// The channel on which the server says so.
pub const CHANGES: &str = "__redis__:invalidate";

/// How often a wait looks whether it is to go on.
const SLICE: Duration = Duration::from_millis(50);

/// How often the key is read again although nothing was said: a server on the way may keep it to itself.
const READ_AGAIN: Duration = Duration::from_secs(2);

/// How often it is read where the server does not track.
const POLL: Duration = Duration::from_millis(20);

/// What a look at the keys found.
pub enum Look<T> {
    /// What was waited for.
    Is(T),
    /// Not yet; it may be so at this time without any change of the keys.
    NotBefore(Option<Duration>),
}

/// Two connections: on one the keys are read, on the other the server says that they have changed.
pub struct Watch {
    pub line: Line,
    changes: Option<Line>,
}

impl Watch {
    fn open(server: &Server, mut line: Line, stops: &dyn Fn() -> bool) -> RedisResult<Self> {
        let mut changes = server.line(stops)?;
        let prepared = changes.ask::<i64>(cmd("CLIENT").arg("ID")).and_then(|id| {
            changes.ask::<redis::Value>(cmd("SUBSCRIBE").arg(CHANGES))?;
            let mut tracking = cmd("CLIENT");
            tracking.arg("TRACKING").arg("ON").arg("REDIRECT").arg(id);
            line.ask::<()>(tracking.arg("OPTIN").arg("NOLOOP"))
        });
        match prepared {
            Ok(()) => Ok(Self {
                line,
                changes: Some(changes),
            }),
            Err(error) if is_of_connection(&error) => Err(error),
            // Not allowed, or a server that cannot: it is asked again and again.
            Err(_) => Ok(Self {
                line,
                changes: None,
            }),
        }
    }

    /// Goes ahead of the command whose keys are to be watched.
    pub fn tracked(&self) -> Option<Cmd> {
        self.changes.as_ref().map(|_| {
            let mut command = cmd("CLIENT");
            command.arg("CACHING").arg("YES");
            command
        })
    }

    /// Waits for a change, not for longer than that.
    fn wait(&mut self, most: Duration) -> RedisResult<bool> {
        match &mut self.changes {
            Some(changes) => Ok(changes.message(most)?.is_some()),
            None => {
                std::thread::sleep(most.min(POLL));
                Ok(true)
            }
        }
    }
}

/// Those that wait for nobody at the moment.
#[derive(Default)]
pub struct Watches(Mutex<Vec<(String, Watch)>>);

impl Watches {
    fn take(&self, run: &str) -> Option<Watch> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(of, _)| of == run);
        idle.pop().map(|(_, watch)| watch)
    }

    fn keep(&self, watch: Watch) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push((watch.line.run.id.clone(), watch));
    }
}

/// When a wait ends without what it waits for.
#[derive(Clone, Copy)]
pub struct Limit(Option<Instant>);

impl Limit {
    /// From now on.
    pub fn of(wait: Option<u64>) -> Self {
        Self(wait.and_then(|wait| Instant::now().checked_add(Duration::from_millis(wait))))
    }

    pub fn left(self) -> Option<Duration> {
        self.0
            .map(|end| end.saturating_duration_since(Instant::now()))
    }

    pub fn is_over(self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// That, but not longer than is left.
    pub fn at_most(self, time: Duration) -> Duration {
        self.left().map_or(time, |left| left.min(time))
    }
}

/// Looks until it is so; `None` when the time is over. Connections that break in between are replaced for as long as there
/// is time, so a look may be made twice.
pub fn until<T>(
    server: &Server,
    watches: &Watches,
    limit: Limit,
    stops: &dyn Fn() -> bool,
    mut look: impl FnMut(&mut Watch) -> RedisResult<Look<T>>,
) -> Result<Option<T>, Fault> {
    loop {
        let line = server.patient_line(None, stops)?;
        let kept = watches.take(&line.run.id);
        let watch = match kept {
            Some(watch) => {
                server.keep(line);
                Ok(watch)
            }
            None => Watch::open(server, line, stops),
        };
        let ended = watch.and_then(|mut watch| {
            let found = wait_with(&mut watch, limit, stops, &mut look);
            if found.is_ok() {
                watches.keep(watch);
            }
            found
        });
        match ended {
            Ok(Ended::Is(found)) => return Ok(Some(found)),
            Ok(Ended::TimedOut) => return Ok(None),
            Ok(Ended::Stopped) => return Err(Fault::Stopped),
            Err(error) if is_of_connection(&error) => {
                server.broke();
                if stops() {
                    return Err(Fault::Stopped);
                }
            }
            Err(error) => return Err(Fault::Said(error)),
        }
    }
}

enum Ended<T> {
    Is(T),
    TimedOut,
    Stopped,
}

fn wait_with<T>(
    watch: &mut Watch,
    limit: Limit,
    stops: &dyn Fn() -> bool,
    look: &mut impl FnMut(&mut Watch) -> RedisResult<Look<T>>,
) -> RedisResult<Ended<T>> {
    loop {
        let not_before = match look(watch)? {
            Look::Is(found) => return Ok(Ended::Is(found)),
            Look::NotBefore(time) => time.unwrap_or(READ_AGAIN).min(READ_AGAIN),
        };
        let again = Instant::now() + not_before;
        loop {
            if limit.is_over() {
                return Ok(Ended::TimedOut);
            }
            if stops() {
                return Ok(Ended::Stopped);
            }
            let left = again.saturating_duration_since(Instant::now());
            if left.is_zero() || watch.wait(limit.at_most(left.min(SLICE)))? {
                break;
            }
        }
    }
}
