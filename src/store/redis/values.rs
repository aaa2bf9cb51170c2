//! Values and lists.

use redis::{Cmd, RedisResult, Value, cmd};
use regatta_cell::store::call::{Json, Number, Reply, Trouble};
use serde::de::IgnoredAny;

use super::line::{Fault, Line, Repeat, Server};
use super::watch::{Limit, Look, until};
use super::{Answer, Shared, scripts};
use crate::store::text::{is_whole, string};

/// The longest time to live that a server takes, milliseconds.
const LONGEST: u64 = 1 << 53;

/// Letters of a value that an error shows.
const SHOWN: usize = 60;

/// What stands under a key as JSON: itself, or as a JSON string a text that is none.
pub fn json(bytes: Vec<u8>) -> Result<Json, Vec<u8>> {
    let text = String::from_utf8(bytes).map_err(std::string::FromUtf8Error::into_bytes)?;
    if serde_json::from_str::<IgnoredAny>(&text).is_ok() {
        return Ok(text);
    }
    Ok(string(&text))
}

/// What may stand under a key for a JSON string, when it is no JSON itself.
fn bare(json: &str) -> Option<String> {
    let text = serde_json::from_str::<String>(json).ok()?;
    serde_json::from_str::<IgnoredAny>(&text)
        .is_err()
        .then_some(text)
}

pub fn array<'a>(values: impl IntoIterator<Item = &'a Json>) -> Json {
    let mut array = "[".to_owned();
    for (at, value) in values.into_iter().enumerate() {
        if at > 0 {
            array.push(',');
        }
        array += value;
    }
    array + "]"
}

fn wrong(key: &str, wanted: &str, found: &str) -> Fault {
    Fault::Gone(Trouble::WrongType {
        key: key.to_owned(),
        wanted: wanted.to_owned(),
        found: found.to_owned(),
    })
}

/// What is found that no call can read.
const NO_TEXT: &str = "bytes that are no text";

fn no_text(key: &str) -> Fault {
    wrong(key, "JSON", NO_TEXT)
}

pub fn value(key: &str, bytes: Option<Vec<u8>>) -> Answer {
    let json = bytes.map(json).transpose().map_err(|_| no_text(key))?;
    Ok(Reply::Value(json))
}

fn list(key: &str, values: Vec<Vec<u8>>) -> Answer {
    let values: Result<Vec<Json>, _> = values.into_iter().map(json).collect();
    let values = values.map_err(|_| no_text(key))?;
    Ok(Reply::Value((!values.is_empty()).then(|| array(&values))))
}

/// What a key of another type is said to be.
pub fn kind(name: &str) -> &'static str {
    match name {
        "list" => "a list",
        "hash" => "a hash of Redis",
        "set" => "a set of Redis",
        "zset" => "a sorted set of Redis",
        "stream" => "a stream of Redis",
        "string" => "a value",
        _ => "a type of Redis that is not the store's",
    }
}

/// A fault of a command that is for another type, with what the key is.
pub fn of_type(server: &Server, key: &str, wanted: &str, fault: Fault) -> Fault {
    if !fault.is_wrong_type() {
        return fault;
    }
    let name = server.call(Repeat::Safe, &|| false, |line| {
        line.ask::<String>(cmd("TYPE").arg(key))
    });
    match (name, found(server, key)) {
        (_, Ok(Some(text))) => wrong(key, wanted, &shown(&text)),
        (Ok(name), _) => wrong(key, wanted, kind(&name)),
        (Err(_), _) => fault,
    }
}

pub fn set(
    server: &Server,
    key: &str,
    json: &str,
    expire: Option<u64>,
    stops: &dyn Fn() -> bool,
) -> Answer {
    let mut command = cmd("SET");
    command.arg(key).arg(json);
    match expire {
        // At once.
        Some(0) => return delete(server, &[key.to_owned()], stops).map(|_| Reply::Done),
        Some(after) => _ = command.arg("PX").arg(after.min(LONGEST)),
        None => {}
    }
    server.call(Repeat::Safe, stops, |line| line.ask::<()>(&command))?;
    Ok(Reply::Done)
}

pub fn get(server: &Server, key: &str, stops: &dyn Fn() -> bool) -> Answer {
    let mut command = cmd("GET");
    command.arg(key);
    match server.call(Repeat::Safe, stops, |line| line.ask(&command)) {
        Ok(bytes) => value(key, bytes),
        Err(fault) if fault.is_wrong_type() => {
            let mut command = cmd("LRANGE");
            command.arg(key).arg(0).arg(-1);
            let values = server
                .call(Repeat::Safe, stops, |line| line.ask(&command))
                .map_err(|fault| of_type(server, key, "value", fault))?;
            list(key, values)
        }
        Err(fault) => Err(fault),
    }
}

pub fn take(server: &Server, key: &str, stops: &dyn Fn() -> bool) -> Answer {
    let mut command = cmd("GETDEL");
    command.arg(key);
    match server.call(Repeat::Never, stops, |line| line.ask(&command)) {
        Ok(bytes) => value(key, bytes),
        Err(fault) if fault.is_wrong_type() => {
            let values = server
                .call(Repeat::Never, stops, |line| {
                    line.run(&scripts::TAKE_LIST, &[key], &[], &[])
                })
                .map_err(|fault| of_type(server, key, "value", fault))?;
            list(key, values)
        }
        Err(fault) => Err(fault),
    }
}

pub fn swap(
    server: &Server,
    key: &str,
    before: Option<&str>,
    after: Option<&str>,
    stops: &dyn Fn() -> bool,
) -> Answer {
    let given = |json: &str| format!("1{json}");
    let swap = |other: Option<String>| {
        let arguments = [before, other.as_deref(), after].map(|it| it.map(given));
        let arguments = arguments
            .each_ref()
            .map(|it| it.as_deref().unwrap_or_default());
        server
            .call(Repeat::Never, stops, |line| {
                line.run::<bool>(&scripts::SWAP, &[key], &arguments, &[])
            })
            .map_err(|fault| of_type(server, key, "value", fault))
    };
    if swap(before.and_then(bare))? {
        return Ok(Reply::Is(true));
    }
    let Some(list) = before.filter(|json| json.starts_with('[')) else {
        return Ok(Reply::Is(false));
    };
    // The list may have texts in it that another client has put there.
    match as_it_stands(server, key, list, stops)? {
        Some(other) if other != list => swap(Some(other)).map(Reply::Is),
        _ => Ok(Reply::Is(false)),
    }
}

/// A list that reads as this array, as its values stand there.
fn as_it_stands(
    server: &Server,
    key: &str,
    array_of_it: &str,
    stops: &dyn Fn() -> bool,
) -> Result<Option<String>, Fault> {
    let mut command = cmd("LRANGE");
    command.arg(key).arg(0).arg(-1);
    let values = server.call(Repeat::Safe, stops, |line| {
        line.ask::<Vec<Vec<u8>>>(&command)
    });
    let values = match values {
        Ok(values) => values,
        // It is a list no more.
        Err(fault) if fault.is_wrong_type() => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let texts = values.into_iter().map(String::from_utf8);
    let Ok(texts) = texts.collect::<Result<Vec<String>, _>>() else {
        return Ok(None);
    };
    let read = texts.iter().map(|text| json(text.clone().into_bytes()));
    let read = read.collect::<Result<Vec<Json>, _>>();
    let is = read.is_ok_and(|read| array(&read) == array_of_it);
    Ok(is.then(|| array(&texts)))
}

pub fn incr(server: &Server, key: &str, by: Number, stops: &dyn Fn() -> bool) -> Answer {
    let overflow = || {
        Fault::Gone(Trouble::Overflow {
            key: key.to_owned(),
        })
    };
    let float = |by: &str| {
        // The server's own command keeps seventeen digits behind the point, whatever stands before it.
        let sum: String = server.call(Repeat::Never, stops, |line| {
            line.run(&scripts::ADD_FLOAT, &[key], &[by], &[])
        })?;
        let sum = sum.parse().map_err(|_| overflow())?;
        Ok(Reply::Number(Number::Float(sum)))
    };
    let added = match by {
        Number::Float(by) if !by.is_finite() => return Err(overflow()),
        Number::Float(by) => float(&format!("{by:e}")),
        Number::Int(by) => {
            let mut command = cmd("INCRBY");
            command.arg(key).arg(by);
            match server.call(Repeat::Never, stops, |line| line.ask(&command)) {
                Ok(sum) => Ok(Reply::Number(Number::Int(sum))),
                Err(fault) => Err(fault),
            }
        }
    };
    added.map_err(|fault| {
        if is_said(&fault, "overflow") || is_said(&fault, "NaN or Infinity") {
            return overflow();
        }
        for (words, wanted) in [
            ("not an integer", "whole number"),
            ("not a valid float", "number"),
        ] {
            if is_said(&fault, words)
                && let Ok(Some(text)) = found(server, key)
            {
                if wanted == "whole number" && is_whole(&text) {
                    return overflow();
                }
                return wrong(key, wanted, &shown(&text));
            }
        }
        of_type(server, key, "number", fault)
    })
}

fn is_said(fault: &Fault, words: &str) -> bool {
    matches!(fault, Fault::Said(error) if error.detail().is_some_and(|text| text.contains(words)))
}

/// The text that stands there.
fn found(server: &Server, key: &str) -> Result<Option<String>, Fault> {
    let bytes = server.call(Repeat::Safe, &|| false, |line| {
        line.ask::<Option<Vec<u8>>>(cmd("GET").arg(key))
    })?;
    Ok(bytes.map(|bytes| json(bytes).unwrap_or_else(|_| NO_TEXT.to_owned())))
}

/// How it begins.
pub fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

pub fn push(server: &Server, key: &str, values: &[Json], stops: &dyn Fn() -> bool) -> Answer {
    if values.is_empty() {
        return len(server, key, stops);
    }
    let mut command = cmd("RPUSH");
    command.arg(key).arg(values);
    let length = server
        .call(Repeat::Never, stops, |line| line.ask(&command))
        .map_err(|fault| of_type(server, key, "list", fault))?;
    Ok(Reply::Count(length))
}

pub fn len(server: &Server, key: &str, stops: &dyn Fn() -> bool) -> Answer {
    let mut command = cmd("LLEN");
    command.arg(key);
    let length = server
        .call(Repeat::Safe, stops, |line| line.ask(&command))
        .map_err(|fault| of_type(server, key, "list", fault))?;
    Ok(Reply::Count(length))
}

pub fn delete(server: &Server, keys: &[String], stops: &dyn Fn() -> bool) -> Answer {
    if keys.is_empty() {
        return Ok(Reply::Count(0));
    }
    let mut command = cmd("DEL");
    command.arg(keys);
    let count = server.call(Repeat::Never, stops, |line| line.ask(&command))?;
    Ok(Reply::Count(count))
}

pub fn expire(server: &Server, key: &str, after: Option<u64>, stops: &dyn Fn() -> bool) -> Answer {
    let commands: Vec<Cmd> = match after {
        Some(after) => {
            let mut command = cmd("PEXPIRE");
            command.arg(key).arg(after.min(LONGEST));
            vec![command]
        }
        None => ["PERSIST", "EXISTS"]
            .into_iter()
            .map(|name| {
                let mut command = cmd(name);
                command.arg(key);
                command
            })
            .collect(),
    };
    let is = server.call(Repeat::Safe, stops, |line| {
        let last = line.ask_all(&commands)?.pop();
        last.unwrap_or(Ok(Value::Int(0)))
    })?;
    Ok(Reply::Is(is == Value::Int(1)))
}

pub fn wait(
    shared: &Shared,
    key: &str,
    unlike: Option<&str>,
    wait: Option<u64>,
    stops: &dyn Fn() -> bool,
) -> Answer {
    let limit = Limit::of(wait);
    let found = until(&shared.server, &shared.watches, limit, stops, |watch| {
        let tracked = watch.tracked();
        let read = read(&mut watch.line, key, tracked)?;
        Ok(match &read {
            Ok(json) if json.as_deref() == unlike => Look::NotBefore(None),
            _ => Look::Is(read),
        })
    })?;
    match found {
        None => Ok(Reply::TimedOut),
        Some(Ok(json)) => Ok(Reply::Value(json)),
        Some(Err(name)) if name == BYTES => Err(no_text(key)),
        Some(Err(name)) => Err(wrong(key, "value", kind(&name))),
    }
}

/// What is no text, where the names of types stand.
const BYTES: &str = "bytes";

/// A value or a list as JSON, or the name of what else it is; the key is watched from then on.
fn read(
    line: &mut Line,
    key: &str,
    tracked: Option<Cmd>,
) -> RedisResult<Result<Option<Json>, String>> {
    let mut ask = |command: Cmd| {
        let commands: Vec<Cmd> = tracked.iter().cloned().chain([command]).collect();
        let answer = line.ask_all(&commands)?.pop();
        answer.unwrap_or(Ok(Value::Nil))
    };
    let mut get = cmd("GET");
    get.arg(key);
    let text = |bytes| json(bytes).map_err(|_| BYTES.to_owned());
    match ask(get) {
        Ok(value) => {
            let bytes: Option<Vec<u8>> = redis::from_redis_value(value)?;
            return Ok(bytes.map(text).transpose());
        }
        Err(error) if error.code() == Some("WRONGTYPE") => {}
        Err(error) => return Err(error),
    }
    let mut range = cmd("LRANGE");
    range.arg(key).arg(0).arg(-1);
    match ask(range) {
        Ok(value) => {
            let values: Vec<Vec<u8>> = redis::from_redis_value(value)?;
            let values: Result<Vec<Json>, String> = values.into_iter().map(text).collect();
            Ok(values.map(|values| (!values.is_empty()).then(|| array(&values))))
        }
        Err(error) if error.code() == Some("WRONGTYPE") => Ok(Err(line.ask(cmd("TYPE").arg(key))?)),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::{bare, json};

    #[test]
    fn what_other_clients_wrote_is_json_or_a_string() {
        let read = |text: &str| json(text.as_bytes().to_vec()).unwrap();
        for text in [
            "5",
            "-1.5e3",
            "true",
            "null",
            "[1, 2]",
            "{\"a\":1}",
            "\"hello\"",
        ] {
            assert_eq!(read(text), text);
        }
        assert_eq!(read("hello"), "\"hello\"");
        assert_eq!(read("say \"hi\"\n"), r#""say \"hi\"\n""#);
        assert_eq!(read(""), "\"\"");
        assert_eq!(read("NaN"), "\"NaN\"");
        assert!(json(vec![0xff, 0x00]).is_err());
    }

    #[test]
    fn only_a_text_that_is_no_json_may_stand_for_a_string() {
        assert_eq!(bare("\"hello\"").as_deref(), Some("hello"));
        assert_eq!(bare("\"5\""), None);
        assert_eq!(bare("5"), None);
    }
}
