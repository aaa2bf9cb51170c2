//! Locks and semaphores: a lease in the server that the holder renews while it lives.
//!
//! Who waits has a place in a queue, and only those who have none before them are let in: first come, first served. A place
//! is kept for as long as its waiter goes on to look.
//!
//! A holder or waiter that is gone is found out by those that wait on the same machine, and elsewhere by the end of its
//! lease or its place. A server that has started anew may have forgotten who holds what. So for the time of a lease after its start nothing is
//! given away, unless it is known to have forgotten nothing; holders tell it of their leases meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use redis::{RedisResult, cmd};
use regatta_cell::store::call::{Kind, Reply, Trouble, Who};

use super::holder::{Token, is_gone, who};
use super::line::{Fault, Line, Repeat, Server};
use super::watch::{Limit, Look, until};
use super::{Answer, OURS, Shared, scripts};

/// How long a hold lasts after it was last renewed.
pub const LEASE: Duration = Duration::from_secs(4);

/// How often it is renewed.
const BEAT: Duration = Duration::from_secs(1);

/// How often a renewal is tried again that the server did not answer.
const RETRY: Duration = Duration::from_millis(100);

/// How long the place of one who waits is kept after its last look.
const PLACE: Duration = LEASE;

/// How often those that wait look whether the holder is still there.
const LOOK_AFTER: Duration = Duration::from_millis(250);

/// What is wanted.
pub struct Wanted<'a> {
    pub kind: Kind,
    pub name: &'a str,
    pub limit: u32,
    /// Milliseconds after which it ends although the holder lives.
    pub lease: Option<u64>,
    pub who: &'a Who,
}

/// What this process holds.
#[derive(Default)]
pub struct Holds {
    held: Mutex<Held>,
    changed: Condvar,
}

#[derive(Default)]
struct Held {
    all: HashMap<(Kind, String, u64), Hold>,
    /// A thread renews them.
    is_kept: bool,
}

#[derive(Clone)]
struct Hold {
    token: String,
    limit: u32,
    /// The run of the server that knows of it.
    run: String,
    /// The server keeps it until then at least.
    sure: Instant,
    /// It is to end then.
    ends: Option<Instant>,
    /// When it is renewed next.
    due: Instant,
}

impl Holds {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Lock => "lock",
        Kind::Semaphore => "semaphore",
    }
}

/// The key of what is held, and the one of its fencing numbers.
pub fn keys(kind: Kind, name: &str) -> (String, String) {
    let kind = name_of(kind);
    (
        format!("{OURS}{kind}:{name}"),
        format!("{OURS}fence:{kind}:{name}"),
    )
}

/// The keys of those who wait for it, and of their places.
fn queue(kind: Kind, name: &str) -> (String, String) {
    let kind = name_of(kind);
    (
        format!("{OURS}queue:{kind}:{name}"),
        format!("{OURS}places:{kind}:{name}"),
    )
}

/// How long the server is to keep it from now on.
fn time_of(ends: Option<Instant>) -> Duration {
    let time = ends.map_or(LEASE, |ends| {
        ends.saturating_duration_since(Instant::now()).min(LEASE)
    });
    time.max(Duration::from_millis(1))
}

fn flag(is: bool) -> &'static str {
    if is { "1" } else { "" }
}

enum Got {
    Granted { fence: u64, hold: Hold },
    OtherSize(u32),
}

pub fn acquire(
    shared: &Arc<Shared>,
    wanted: &Wanted<'_>,
    wait: Option<u64>,
    stops: &dyn Fn() -> bool,
) -> Answer {
    let token = Token::text_for(wanted.who);
    let (key, fences) = keys(wanted.kind, wanted.name);
    let (queue, places) = queue(wanted.kind, wanted.name);
    let all = [&*key, &*fences, &*queue, &*places];
    // Who does not wait has no place.
    let place = match wait {
        Some(0) => 0,
        _ => PLACE.as_millis(),
    };
    let place = place.to_string();
    let mut holders = Vec::new();
    // With the time since which it is known. What a holder has started is killed with it, and may need a moment to end.
    let mut gone: Vec<(String, Instant)> = Vec::new();
    let mut young = None;
    let limit = Limit::of(wait);
    let got = until(&shared.server, &shared.watches, limit, stops, |watch| {
        let run = watch.line.run.clone();
        let age = run.since.elapsed();
        young = (!run.keeps_all && age < LEASE).then(|| LEASE - age);
        if let Some(left) = young {
            return Ok(Look::NotBefore(Some(left)));
        }
        // What the script reads besides changes with each who comes, which is nothing to the others.
        let before = watch.tracked().map(|caching| {
            let mut exists = cmd("EXISTS");
            exists.arg(&*key);
            [caching, exists]
        });
        let before = before.as_ref().map_or(&[][..], |both| &both[..]);
        let began = Instant::now();
        // From when it is given: who waits has nothing that could end.
        let lease = wanted.lease.map(Duration::from_millis);
        let ends = lease.map(|lease| began + lease);
        let time = time_of(ends);
        let time_text = time.as_millis().to_string();
        let limit = wanted.limit.to_string();
        let (script, arguments) = match wanted.kind {
            Kind::Lock => (&scripts::LOCK, vec![&*token, &time_text, &place]),
            Kind::Semaphore => (&scripts::ENTER, vec![&*token, &time_text, &place, &limit]),
        };
        let (how, number, others, ahead): (u8, i64, String, String) =
            watch.line.run(script, &all, &arguments, before)?;
        let left = u64::try_from(number).map_or(LOOK_AFTER, Duration::from_millis);
        let number = u64::try_from(number).unwrap_or(0);
        match how {
            1 => Ok(Look::Is(Got::Granted {
                fence: number,
                hold: Hold {
                    token: token.clone(),
                    limit: wanted.limit,
                    run: run.id,
                    sure: began + time,
                    ends,
                    due: began + BEAT,
                },
            })),
            2 => Ok(Look::Is(Got::OtherSize(
                u32::try_from(number).unwrap_or(u32::MAX),
            ))),
            _ => {
                let ahead: Vec<&str> = ahead.split('\n').filter(|it| !it.is_empty()).collect();
                if let Some(waiter) = ahead.iter().find(|waiter| is_gone(waiter)) {
                    let _: bool = watch.line.run(&scripts::QUIT, &all, &[waiter], &[])?;
                    return Ok(Look::NotBefore(Some(Duration::ZERO)));
                }
                holders = tokens(wanted.kind, &others);
                if holders.is_empty() {
                    // It is about to be this one's.
                    holders.extend(ahead.first().map(|waiter| (*waiter).to_owned()));
                }
                let now = Instant::now();
                let mut dying = Vec::new();
                for holder in holders.iter().filter(|holder| is_gone(holder)) {
                    let seen = gone.iter().find(|(token, _)| token == holder);
                    let since = seen.map_or(now, |(_, since)| *since);
                    if now - since >= LOOK_AFTER {
                        let _: bool =
                            watch
                                .line
                                .run(ending(wanted.kind), &[&key], &[holder], &[])?;
                        return Ok(Look::NotBefore(Some(Duration::ZERO)));
                    }
                    dying.push((holder.clone(), since));
                }
                gone = dying;
                let soon = left.clamp(Duration::from_millis(1), LOOK_AFTER);
                Ok(Look::NotBefore(Some(soon)))
            }
        }
    });
    if wait != Some(0) && !matches!(got, Ok(Some(Got::Granted { .. }))) {
        let all = all.map(str::to_owned);
        quit(shared, all, token, matches!(got, Err(Fault::Stopped)));
    }
    match (got?, young) {
        (Some(Got::Granted { fence, hold }), _) => {
            keep(shared, (wanted.kind, wanted.name.to_owned(), fence), hold);
            Ok(Reply::Granted { fence })
        }
        (Some(Got::OtherSize(theirs)), _) => Ok(Reply::Failed(Trouble::OtherSize {
            name: wanted.name.to_owned(),
            given: wanted.limit,
            theirs,
        })),
        (None, Some(left)) => Ok(Reply::Failed(Trouble::Unavailable {
            address: shared.server.address().to_string(),
            why: format!(
                "the server has just started and may have forgotten who held `{}`; call again in {:.1} s",
                wanted.name,
                left.as_secs_f64()
            ),
        })),
        (None, None) => Ok(Reply::Held {
            by: holders.iter().map(|holder| who(holder)).collect(),
        }),
    }
}

/// Gives up a place in the queue. Without an answer it ends by itself, so nobody who was interrupted waits for one.
fn quit(shared: &Arc<Shared>, keys: [String; 4], token: String, stopped: bool) {
    let of = shared.clone();
    let quit = move || {
        let keys = keys.each_ref().map(String::as_str);
        let _ = once(&of.server, |line| {
            line.run::<bool>(&scripts::QUIT, &keys, &[&token], &[])
        });
    };
    match stopped {
        true => _ = std::thread::Builder::new().spawn(quit),
        false => quit(),
    }
}

/// Those that hold it, in the order in which they got it.
pub fn tokens(kind: Kind, text: &str) -> Vec<String> {
    match kind {
        Kind::Lock if text.is_empty() => Vec::new(),
        Kind::Lock => vec![text.to_owned()],
        Kind::Semaphore => {
            let mut all: Vec<(u64, &str)> = text
                .split('\n')
                .filter_map(|line| line.split_once(':'))
                .filter_map(|(fence, token)| Some((fence.parse().ok()?, token)))
                .collect();
            all.sort_unstable();
            all.into_iter().map(|(_, token)| token.to_owned()).collect()
        }
    }
}

fn ending(kind: Kind) -> &'static scripts::Script {
    match kind {
        Kind::Lock => &scripts::UNLOCK,
        Kind::Semaphore => &scripts::LEAVE,
    }
}

pub fn release(
    shared: &Shared,
    kind: Kind,
    name: &str,
    fence: u64,
    stops: &dyn Fn() -> bool,
) -> Answer {
    let hold = shared
        .holds
        .lock()
        .all
        .remove(&(kind, name.to_owned(), fence));
    let Some(hold) = hold else {
        return Ok(Reply::Is(false));
    };
    let (key, _) = keys(kind, name);
    let mut asked = 0;
    // It ends with its lease when the server cannot be told.
    let was = shared.server.call(Repeat::Safe, stops, |line| {
        asked += 1;
        line.run::<bool>(ending(kind), &[&key], &[&hold.token], &[])
    })?;
    // When the first answer was lost, it was this call that ended it.
    Ok(Reply::Is(was || asked > 1 && Instant::now() < hold.sure))
}

pub fn renew(
    shared: &Arc<Shared>,
    kind: Kind,
    name: &str,
    fence: u64,
    lease: Option<u64>,
    stops: &dyn Fn() -> bool,
) -> Answer {
    let id = (kind, name.to_owned(), fence);
    let Some(mut hold) = shared.holds.lock().all.get(&id).cloned() else {
        return Ok(Reply::Is(false));
    };
    hold.ends = lease.map(|lease| Instant::now() + Duration::from_millis(lease));
    let server = &shared.server;
    let is = server.call(Repeat::Safe, stops, |line| renewed(line, &id, &mut hold))?;
    let mut held = shared.holds.lock();
    if is && held.all.contains_key(&id) {
        held.all.insert(id, hold);
        shared.holds.changed.notify_all();
    } else {
        held.all.remove(&id);
    }
    Ok(Reply::Is(is))
}

/// Renews it; whether it is still held.
fn renewed(line: &mut Line, id: &(Kind, String, u64), hold: &mut Hold) -> RedisResult<bool> {
    let (kind, name, fence) = id;
    let (key, fences) = keys(*kind, name);
    let began = Instant::now();
    let time = time_of(hold.ends);
    let forgotten = line.run.id != hold.run && began < hold.sure;
    let (time_text, fence, limit) = (
        time.as_millis().to_string(),
        fence.to_string(),
        hold.limit.to_string(),
    );
    let mut arguments = vec![&*hold.token, &time_text, &fence, flag(forgotten)];
    let script = match kind {
        Kind::Lock => &scripts::RENEW_LOCK,
        Kind::Semaphore => {
            arguments.push(&limit);
            &scripts::RENEW_ENTRY
        }
    };
    let is = line.run(script, &[&key, &fences], &arguments, &[])?;
    hold.run.clone_from(&line.run.id);
    hold.sure = began + time;
    hold.due = began + BEAT;
    Ok(is)
}

fn keep(shared: &Arc<Shared>, id: (Kind, String, u64), hold: Hold) {
    let mut held = shared.holds.lock();
    held.all.insert(id, hold);
    if !held.is_kept {
        let of = Arc::downgrade(shared);
        let thread = std::thread::Builder::new().name("leases".to_owned());
        // Without a thread, leases end: locks are safe, and soon over.
        held.is_kept = thread.spawn(move || renew_all(&of)).is_ok();
    }
    drop(held);
    shared.holds.changed.notify_all();
}

/// Renews what is held, until nothing is.
fn renew_all(of: &Weak<Shared>) {
    while let Some(shared) = of.upgrade() {
        let now = Instant::now();
        let due: Vec<_> = {
            let mut held = shared.holds.lock();
            held.all
                .retain(|_, hold| hold.sure > now && hold.ends.is_none_or(|ends| ends > now));
            if held.all.is_empty() {
                held.is_kept = false;
                return;
            }
            let next = held.all.values().map(|hold| hold.due).min().unwrap_or(now);
            let wait = next.saturating_duration_since(now);
            if !wait.is_zero() {
                let holds = &shared.holds;
                let waited = holds.changed.wait_timeout(held, wait);
                drop(waited.unwrap_or_else(PoisonError::into_inner));
                continue;
            }
            held.all
                .iter()
                .filter(|(_, hold)| hold.due <= now)
                .map(|(id, hold)| (id.clone(), hold.clone()))
                .collect()
        };
        for (id, mut hold) in due {
            let is = once(&shared.server, |line| renewed(line, &id, &mut hold));
            let mut held = shared.holds.lock();
            // It may have been released meanwhile.
            let Some(kept) = held.all.get_mut(&id) else {
                continue;
            };
            match is {
                Ok(true) => {
                    hold.ends = kept.ends;
                    *kept = hold;
                }
                Ok(false) => _ = held.all.remove(&id),
                Err(_) => kept.due = Instant::now() + RETRY,
            }
        }
    }
}

/// Without the patience of calls: other leases wait.
fn once<T>(server: &Server, ask: impl FnOnce(&mut Line) -> RedisResult<T>) -> Result<T, Fault> {
    let unavailable = |error| Fault::Gone(server.unavailable(&error));
    let mut line = server.line(&|| false).map_err(unavailable)?;
    let answer = ask(&mut line);
    match answer {
        Ok(answer) => {
            server.keep(line);
            Ok(answer)
        }
        Err(error) => {
            server.broke();
            Err(unavailable(error))
        }
    }
}
