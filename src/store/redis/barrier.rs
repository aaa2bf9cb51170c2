//! Barriers: those that have come stand in the server for as long as they say so, and the last one lets all of them go.

use std::time::{Duration, Instant};

use redis::{RedisResult, Value, cmd};
use regatta_cell::store::call::{Reply, Trouble, Who};

use super::holder::{Token, is_gone, who};
use super::holds::LEASE;
use super::line::{Line, Repeat};
use super::watch::{Limit, Look, until};
use super::{Answer, OURS, Shared, scripts};

/// So long who has left in vain counts as having been there: those who came together may leave together, and are not
/// missing.
const TOGETHER: Duration = Duration::from_secs(1);

/// How often a caller says that it is still there.
const BEAT: Duration = Duration::from_secs(1);

pub fn key(name: &str) -> String {
    format!("{OURS}barrier:{name}")
}

/// The keys of a barrier.
struct Places {
    here: String,
    passed: String,
    left: String,
}

impl Places {
    fn keys(&self) -> [&str; 3] {
        [&self.here, &self.passed, &self.left]
    }
}

enum Met {
    All(u64),
    OtherSize(u32),
}

pub fn meet(
    shared: &Shared,
    name: &str,
    size: u32,
    wait: Option<u64>,
    caller: &Who,
    stops: &dyn Fn() -> bool,
) -> Answer {
    let token = Token::text_for(caller);
    let places = Places {
        here: key(name),
        passed: format!("{OURS}passed:{name}"),
        left: format!("{OURS}left:{name}"),
    };
    let (time, wanted) = (LEASE.as_millis().to_string(), size.max(1).to_string());
    // The server's run that knows of this caller, and when it is to be told again.
    let mut told: Option<(String, Instant)> = None;
    let met = until(
        &shared.server,
        &shared.watches,
        Limit::of(wait),
        stops,
        |watch| {
            let now = Instant::now();
            let run = watch.line.run.id.clone();
            if told
                .as_ref()
                .is_none_or(|(of, due)| *of != run || *due <= now)
            {
                let (how, number) = arrive(&mut watch.line, &places, [&token, &time, &wanted])?;
                match how {
                    1 => return Ok(Look::Is(Met::All(number))),
                    2 => {
                        let theirs = u32::try_from(number).unwrap_or(u32::MAX);
                        return Ok(Look::Is(Met::OtherSize(theirs)));
                    }
                    _ => told = Some((run, now + BEAT)),
                }
            }
            let before = watch.tracked();
            let which: Option<u64> = watch.line.run(
                &scripts::PASSED,
                &[&places.passed],
                &[&token],
                before.as_slice(),
            )?;
            Ok(which.map_or(Look::NotBefore(Some(BEAT)), |which| {
                Look::Is(Met::All(which))
            }))
        },
    );
    let met = match met {
        Ok(met) => met,
        Err(fault) => {
            if told.is_some() {
                let _ = give_up(shared, &places, &token, Duration::ZERO);
            }
            return Err(fault);
        }
    };
    match met {
        Some(Met::All(which)) => Ok(Reply::Count(which)),
        Some(Met::OtherSize(theirs)) => Ok(Reply::Failed(Trouble::OtherSize {
            name: name.to_owned(),
            given: size,
            theirs,
        })),
        None => {
            let tokens = give_up(shared, &places, &token, TOGETHER)?;
            if let [which] = tokens.as_slice()
                && let Ok(which) = which.parse()
            {
                return Ok(Reply::Count(which));
            }
            let mut parts = tokens.split(String::is_empty);
            let (left, here) = (parts.next(), parts.next());
            let here = here.unwrap_or_default().iter();
            let here: Vec<Who> = here
                .filter(|token| !is_gone(token))
                .map(|token| who(token))
                .collect();
            let left = left.unwrap_or_default().iter();
            let mut all: Vec<Who> = left.map(|token| who(token)).collect();
            // Who has come again has not left.
            all.retain(|one| !here.iter().any(|other| is_same(one, other)));
            all.extend(here);
            Ok(Reply::Missing { size, here: all })
        }
    }
}

/// Of one rank there is one, whichever process calls for it.
fn is_same(one: &Who, other: &Who) -> bool {
    one.group == other.group
        && one.rank == other.rank
        && (one.rank.is_some() || one.pid == other.pid)
}

/// Comes to the barrier. Before it opens, whoever came from this machine and is gone is taken off: another may have come in
/// its place.
fn arrive(
    line: &mut Line,
    places: &Places,
    [token, time, size]: [&str; 3],
) -> RedisResult<(u8, u64)> {
    let mut known = "\n".to_owned();
    loop {
        let arguments = [token, time, size, &known];
        let (how, number, others): (u8, u64, String) =
            line.run(&scripts::ARRIVE, &places.keys(), &arguments, &[])?;
        if how != 3 {
            return Ok((how, number));
        }
        let (gone, there): (Vec<&str>, Vec<&str>) = others.split('\n').partition(|it| is_gone(it));
        if !gone.is_empty() {
            line.ask::<Value>(cmd("HDEL").arg(&places.here).arg(gone))?;
        }
        for token in there {
            known += token;
            known.push('\n');
        }
    }
}

fn give_up(
    shared: &Shared,
    places: &Places,
    token: &str,
    counts: Duration,
) -> Result<Vec<String>, super::Fault> {
    shared.server.call(Repeat::Safe, &|| false, |line| {
        let counts = counts.as_millis().to_string();
        line.run(&scripts::GIVE_UP, &places.keys(), &[token, &counts], &[])
    })
}
