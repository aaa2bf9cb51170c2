//! What is in the server: names, and what is known of each.

use std::borrow::Cow;
use std::collections::BTreeSet;

use redis::{Cmd, FromRedisValue, Value, cmd};
use regatta_cell::store::call::{Entry, EntryKind, Kind, Reply};

use super::holder::who;
use super::line::{Repeat, Server};
use super::values::{json, shown};
use super::{Answer, Fault, OURS, Shared, holds};
use crate::store::glob::matches;

/// How many keys the server looks at per step.
const STEP: usize = 1000;

/// Keys that are asked about at once.
const AT_ONCE: usize = 256;

/// How much of a value is read for its preview, bytes.
const PREVIEW: i64 = 200;

pub fn keys(shared: &Shared, pattern: &str, details: bool, stops: &dyn Fn() -> bool) -> Answer {
    let server = &shared.server;
    let names = scan(server, pattern, stops)?;
    let plain: Vec<String> = names
        .into_iter()
        .filter(|name| !name.starts_with(OURS))
        .collect();
    if !details {
        let entries = plain.into_iter().map(|key| Entry {
            key,
            ..Entry::default()
        });
        return Ok(Reply::Keys(entries.collect()));
    }
    let mut entries = Vec::new();
    for part in plain.chunks(AT_ONCE) {
        entries.extend(values(server, part, stops)?);
    }
    for entry in &mut entries {
        entry.age = shared.ages.of(&entry.key);
    }
    for kind in [EntryKind::Lock, EntryKind::Semaphore, EntryKind::Barrier] {
        let start = format!("{OURS}{}:", kind.name());
        for name in scan(server, &format!("{start}{pattern}"), stops)? {
            if let Some(key) = name.strip_prefix(&start) {
                entries.extend(hold(server, kind, key, &name, stops)?);
            }
        }
    }
    entries.extend(channels(server, pattern, stops)?);
    entries.sort_by(|one, other| (&one.key, one.kind).cmp(&(&other.key, other.kind)));
    Ok(Reply::Keys(entries))
}

/// A pattern of the server's, for which a letter is a byte: what matches by letters matches it.
pub fn wide(pattern: &str) -> Cow<'_, str> {
    match pattern.find(['?', '[']) {
        Some(at) if !pattern[..at].ends_with('\\') => format!("{}*", &pattern[..at]).into(),
        Some(_) => "*".into(),
        None => pattern.into(),
    }
}

pub fn scan(
    server: &Server,
    pattern: &str,
    stops: &dyn Fn() -> bool,
) -> Result<BTreeSet<String>, Fault> {
    let wide = wide(pattern);
    let mut names = BTreeSet::new();
    let mut cursor = "0".to_owned();
    loop {
        let mut command = cmd("SCAN");
        command.arg(&cursor).arg("MATCH").arg(&*wide);
        command.arg("COUNT").arg(STEP);
        let (next, found): (String, Vec<Vec<u8>>) =
            server.call(Repeat::Safe, stops, |line| line.ask(&command))?;
        // What is no text has been put there by somebody else, for somebody else.
        names.extend(
            found
                .into_iter()
                .filter_map(|name| String::from_utf8(name).ok())
                .filter(|name| matches(pattern, name)),
        );
        if next == "0" {
            return Ok(names);
        }
        if stops() {
            return Err(Fault::Stopped);
        }
        cursor = next;
    }
}

fn command(name: &str, key: &str) -> Cmd {
    let mut command = cmd(name);
    command.arg(key);
    command
}

/// An answer that may have become another since the key was asked about.
fn read<T: FromRedisValue>(value: Option<redis::RedisResult<Value>>) -> Option<T> {
    redis::from_redis_value(value?.ok()?).ok()
}

fn values(server: &Server, keys: &[String], stops: &dyn Fn() -> bool) -> Result<Vec<Entry>, Fault> {
    let types: Vec<Cmd> = keys
        .iter()
        .flat_map(|key| [command("TYPE", key), command("PTTL", key)])
        .collect();
    let mut answers = server
        .call(Repeat::Safe, stops, |line| line.ask_all(&types))?
        .into_iter();
    let mut entries = Vec::new();
    let mut questions = Vec::new();
    for key in keys {
        let name: String = read(answers.next()).unwrap_or_default();
        let expires: i64 = read(answers.next()).unwrap_or(-1);
        let kind = match name.as_str() {
            // It has gone meanwhile.
            "none" => continue,
            "string" => EntryKind::Value,
            "list" => EntryKind::List,
            _ => EntryKind::Other,
        };
        entries.push(Entry {
            key: key.clone(),
            kind,
            expires: u64::try_from(expires).ok(),
            preview: if kind == EntryKind::Other {
                name
            } else {
                String::new()
            },
            ..Entry::default()
        });
        let mut size = cmd("MEMORY");
        size.arg("USAGE").arg(key);
        let mut begins = match kind {
            EntryKind::Value => command("GETRANGE", key),
            _ => command("LRANGE", key),
        };
        begins
            .arg(0)
            .arg(if kind == EntryKind::Value { PREVIEW } else { 0 });
        questions.push(match kind {
            EntryKind::Value => [command("STRLEN", key), begins],
            EntryKind::List => [command("LLEN", key), begins],
            _ => [size.clone(), cmd("PING")],
        });
        if kind == EntryKind::List {
            questions.push([size, cmd("PING")]);
        }
    }
    let questions: Vec<Cmd> = questions.into_iter().flatten().collect();
    let mut answers = server
        .call(Repeat::Safe, stops, |line| line.ask_all(&questions))?
        .into_iter();
    for entry in &mut entries {
        let size = read(answers.next()).unwrap_or(0);
        let begins = answers.next();
        match entry.kind {
            EntryKind::Value => {
                entry.bytes = size;
                let text: Vec<u8> = read(begins).unwrap_or_default();
                let text = String::from_utf8_lossy(&text).into_owned();
                // A part of a text is no JSON: it is shown as it is.
                let text = if size <= PREVIEW.unsigned_abs() {
                    json(text.into_bytes()).unwrap_or_default()
                } else {
                    text
                };
                entry.preview = shown(&text);
            }
            EntryKind::List => {
                entry.count = Some(size);
                let first: Vec<Vec<u8>> = read(begins).unwrap_or_default();
                let first = first.into_iter().next();
                let first = first.and_then(|first| json(first).ok());
                entry.preview = shown(&first.unwrap_or_default());
                entry.bytes = read(answers.next()).unwrap_or(0);
                answers.next();
            }
            _ => entry.bytes = size,
        }
    }
    Ok(entries)
}

/// A lock, semaphore or barrier, when it is still there.
fn hold(
    server: &Server,
    kind: EntryKind,
    key: &str,
    name: &str,
    stops: &dyn Fn() -> bool,
) -> Result<Option<Entry>, Fault> {
    let read = match kind {
        EntryKind::Lock => command("GET", name),
        _ => command("HGETALL", name),
    };
    let questions = [read, command("PTTL", name)];
    let mut answers = server
        .call(Repeat::Safe, stops, |line| line.ask_all(&questions))?
        .into_iter();
    let first = answers.next();
    let expires: i64 = self::read(answers.next()).unwrap_or(-1);
    let mut entry = Entry {
        key: key.to_owned(),
        kind,
        expires: u64::try_from(expires).ok(),
        ..Entry::default()
    };
    if kind == EntryKind::Lock {
        let Some(token) = self::read::<String>(first) else {
            return Ok(None);
        };
        entry.who = holds::tokens(Kind::Lock, &token)
            .iter()
            .map(|token| who(token))
            .collect();
    } else {
        let Some(fields) = self::read::<Vec<(String, String)>>(first) else {
            return Ok(None);
        };
        let mut callers = Vec::new();
        for (field, value) in fields {
            match field.as_str() {
                "limit" | "size" => entry.of = value.parse().ok(),
                "next" => {}
                _ => {
                    let number = value
                        .split_once(':')
                        .and_then(|(_, it)| it.parse::<u64>().ok());
                    callers.push((number, field));
                }
            }
        }
        callers.sort();
        entry.who = callers.iter().map(|(_, token)| who(token)).collect();
        // Its leases are not of interest to one who waits for the others.
        entry.expires = None;
    }
    entry.count = Some(entry.who.len() as u64);
    Ok((!entry.who.is_empty()).then_some(entry))
}

fn channels(server: &Server, pattern: &str, stops: &dyn Fn() -> bool) -> Result<Vec<Entry>, Fault> {
    let mut command = cmd("PUBSUB");
    command.arg("CHANNELS").arg(&*wide(pattern));
    let names: Vec<Vec<u8>> = match server.call(Repeat::Safe, stops, |line| line.ask(&command)) {
        // This user may not ask: all else is listed.
        Err(Fault::Said(_)) => Vec::new(),
        names => names?,
    };
    let names: Vec<String> = names
        .into_iter()
        .filter_map(|name| String::from_utf8(name).ok())
        .filter(|name| matches(pattern, name) && !name.starts_with("__"))
        .collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let mut command = cmd("PUBSUB");
    command.arg("NUMSUB").arg(&names);
    let counts: Vec<(String, u64)> = server.call(Repeat::Safe, stops, |line| line.ask(&command))?;
    Ok(counts
        .into_iter()
        .map(|(key, count)| Entry {
            key,
            kind: EntryKind::Channel,
            count: Some(count),
            ..Entry::default()
        })
        .collect())
}
