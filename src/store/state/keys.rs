//! Keys: values and lists.

use std::collections::VecDeque;

use regatta_cell::store::call::{Call, Entry, EntryKind, Number, Reply, Trouble};

use super::{Client, Due, For, State};
use crate::store::frame::LIMIT;
use crate::store::glob::matches;
use crate::store::text::is_whole;

#[derive(Debug)]
pub struct Item {
    data: Data,
    /// When it was last written.
    written: u64,
    /// When it goes.
    until: Option<u64>,
}

#[derive(Debug)]
enum Data {
    Value(String),
    /// Never empty.
    List(VecDeque<String>),
}

impl Data {
    /// As one JSON text.
    fn json(&self) -> String {
        match self {
            Self::Value(json) => json.clone(),
            Self::List(list) => {
                let mut text = String::from("[");
                for (at, json) in list.iter().enumerate() {
                    if at > 0 {
                        text.push(',');
                    }
                    text.push_str(json);
                }
                text.push(']');
                text
            }
        }
    }

    fn is(&self, json: &str) -> bool {
        match self {
            Self::Value(own) => own == json,
            Self::List(_) => self.json() == json,
        }
    }

    /// Of [`Data::json`].
    fn json_bytes(&self) -> usize {
        match self {
            Self::Value(json) => json.len(),
            Self::List(list) => self.bytes() + list.len() + 1,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Value(json) => json.len(),
            Self::List(list) => list.iter().map(String::len).sum(),
        }
    }
}

/// Bytes of JSON that an answer has room for.
const MOST_AT_ONCE: usize = LIMIT - 1024;

/// The beginning of a JSON text.
fn beginning(json: &str) -> String {
    const MOST: usize = 60;
    match json.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", &json[..at]),
        None => json.to_owned(),
    }
}

impl State {
    pub(super) fn key_call(&mut self, client: Client, call: Call) -> Option<Reply> {
        let reply = match call {
            Call::Set { key, value, expire } => {
                self.put(&key, Data::Value(value));
                self.expires(&key, expire);
                self.changed(&key);
                Reply::Done
            }
            Call::Get { key } => Reply::Value(self.json(&key)),
            Call::Take { key } => {
                let bytes = self.keys.get(&key).map_or(0, |item| item.data.json_bytes());
                if bytes > MOST_AT_ONCE {
                    // It would be lost.
                    return Some(Reply::Failed(Trouble::TooLarge {
                        bytes: bytes as u64,
                        limit: LIMIT as u64,
                    }));
                }
                let taken = self.drop_key(&key);
                if taken.is_some() {
                    self.changed(&key);
                }
                Reply::Value(taken.map(|data| data.json()))
            }
            Call::Swap { key, before, after } => self.swap(&key, before.as_deref(), after),
            Call::Incr { key, by } => self.incr(&key, by),
            Call::Push { key, values } => self.push(&key, values),
            Call::Pop { key, wait } => match self.pop(&key) {
                Ok(None) => return self.wait(client, For::Pop { key }, wait, Reply::Value(None)),
                Ok(value) => {
                    self.changed(&key);
                    Reply::Value(value)
                }
                Err(trouble) => Reply::Failed(trouble),
            },
            Call::Len { key } => match self.keys.get(&key).map(|item| &item.data) {
                None => Reply::Count(0),
                Some(Data::List(list)) => Reply::Count(list.len() as u64),
                Some(Data::Value(json)) => wrong(&key, "list", json),
            },
            Call::Delete { keys } => {
                let mut count = 0;
                for key in keys {
                    if self.drop_key(&key).is_some() {
                        count += 1;
                        self.changed(&key);
                    }
                }
                Reply::Count(count)
            }
            Call::Expire { key, after } => {
                let there = self.keys.contains_key(&key);
                if there && after == Some(0) {
                    self.drop_key(&key);
                    self.changed(&key);
                } else if there {
                    self.expires(&key, after);
                }
                Reply::Is(there)
            }
            Call::Wait { key, unlike, wait } => {
                if self.is_now(&key, unlike.as_deref()) {
                    let what = For::Change { key, unlike };
                    return self.wait(client, what, wait, Reply::TimedOut);
                }
                Reply::Value(self.json(&key))
            }
            // The others are not about keys, and went elsewhere.
            _ => Reply::Failed(Trouble::Refused { why: String::new() }),
        };
        Some(reply)
    }

    fn json(&self, key: &str) -> Option<String> {
        self.keys.get(key).map(|item| item.data.json())
    }

    /// Whether the key's value is this text; `None`: whether it is not there.
    fn is_now(&self, key: &str, json: Option<&str>) -> bool {
        match (self.keys.get(key), json) {
            (None, None) => true,
            (Some(item), Some(json)) => item.data.is(json),
            _ => false,
        }
    }

    /// What it had of a time to live, it keeps.
    fn put(&mut self, key: &str, data: Data) {
        let written = self.now;
        match self.keys.get_mut(key) {
            Some(item) => (item.data, item.written) = (data, written),
            None => {
                let until = None;
                let item = Item {
                    data,
                    written,
                    until,
                };
                self.keys.insert(key.to_owned(), item);
            }
        }
    }

    fn drop_key(&mut self, key: &str) -> Option<Data> {
        let item = self.keys.remove(key)?;
        if let Some(until) = item.until {
            self.dues.remove(&(until, Due::Key(key.to_owned())));
        }
        Some(item.data)
    }

    /// The key goes after so many milliseconds.
    fn expires(&mut self, key: &str, after: Option<u64>) {
        let Some(item) = self.keys.get_mut(key) else {
            return;
        };
        let until = after.map(|after| self.now.saturating_add(after));
        let before = std::mem::replace(&mut item.until, until);
        if let Some(before) = before {
            self.dues.remove(&(before, Due::Key(key.to_owned())));
        }
        if let Some(until) = until {
            self.dues.insert((until, Due::Key(key.to_owned())));
        }
    }

    fn swap(&mut self, key: &str, before: Option<&str>, after: Option<String>) -> Reply {
        if !self.is_now(key, before) {
            return Reply::Is(false);
        }
        match after {
            Some(after) => self.put(key, Data::Value(after)),
            None => {
                self.drop_key(key);
            }
        }
        self.changed(key);
        Reply::Is(true)
    }

    fn incr(&mut self, key: &str, by: Number) -> Reply {
        let json = match self.keys.get(key).map(|item| &item.data) {
            None => "0",
            Some(Data::Value(json)) => json,
            Some(Data::List(_)) => return wrong(key, "number", LIST),
        };
        let whole = json.parse::<i64>();
        let sum = match (by, whole) {
            (Number::Int(by), Ok(whole)) => whole.checked_add(by).map(Number::Int),
            (Number::Int(_), Err(_)) if is_whole(json) => None,
            (Number::Int(_), Err(_)) => return wrong(key, "whole number", json),
            (Number::Float(by), _) => match json.parse::<f64>() {
                Ok(number) => Some(number + by).filter(|sum| sum.is_finite()),
                Err(_) => return wrong(key, "number", json),
            }
            .map(Number::Float),
        };
        let Some(sum) = sum else {
            let key = key.to_owned();
            return Reply::Failed(Trouble::Overflow { key });
        };
        self.put(key, Data::Value(sum.to_string()));
        self.changed(key);
        Reply::Number(sum)
    }

    fn push(&mut self, key: &str, values: Vec<String>) -> Reply {
        let now = self.now;
        match self.keys.get_mut(key) {
            Some(item) => match &mut item.data {
                Data::List(list) => {
                    list.extend(values);
                    item.written = now;
                }
                Data::Value(json) => return wrong(key, "list", json),
            },
            None if values.is_empty() => return Reply::Count(0),
            None => self.put(key, Data::List(values.into())),
        }
        let length = match self.keys.get(key).map(|item| &item.data) {
            Some(Data::List(list)) => list.len(),
            _ => 0,
        };
        self.changed(key);
        Reply::Count(length as u64)
    }

    /// Whoever waits for a change is not answered by it.
    fn pop(&mut self, key: &str) -> Result<Option<String>, Trouble> {
        let now = self.now;
        let Some(item) = self.keys.get_mut(key) else {
            return Ok(None);
        };
        match &mut item.data {
            Data::Value(json) => Err(trouble(key, "list", json)),
            Data::List(list) => {
                let first = list.pop_front();
                item.written = now;
                if list.is_empty() {
                    self.drop_key(key);
                }
                Ok(first)
            }
        }
    }

    /// Answers those who wait for a change of this key, first come first.
    pub(super) fn changed(&mut self, key: &str) {
        // What is taken off for one is a change for others.
        while self.answer_waits(key) {}
    }

    /// Whether the key has changed by it.
    fn answer_waits(&mut self, key: &str) -> bool {
        let Some(waits) = self.key_waits.get(key) else {
            return false;
        };
        let mut taken = false;
        for client in waits.clone() {
            let Some(waiting) = self.waits.get(&client) else {
                continue;
            };
            match &waiting.what {
                For::Pop { .. } => match self.pop(key) {
                    Ok(None) => {}
                    Ok(value) => {
                        taken = true;
                        self.answer(client, Reply::Value(value));
                    }
                    Err(trouble) => self.answer(client, Reply::Failed(trouble)),
                },
                For::Change { unlike, .. } => {
                    if !self.is_now(key, unlike.as_deref()) {
                        let value = Reply::Value(self.json(key));
                        self.answer(client, value);
                    }
                }
                For::Hold(..) | For::Barrier(_) | For::Message(_) => {}
            }
        }
        taken
    }

    /// What matches, sorted.
    pub(super) fn entries(&self, pattern: &str, details: bool) -> Vec<Entry> {
        let keys = self.keys.iter().filter(|(key, _)| matches(pattern, key));
        let mut entries: Vec<Entry> = keys
            .map(|(key, item)| match details {
                true => self.entry(key, item),
                false => Entry {
                    key: key.clone(),
                    ..Entry::default()
                },
            })
            .collect();
        if details {
            entries.extend(self.held_entries(pattern));
            entries.extend(self.channel_entries(pattern));
        }
        entries.sort_by(|a, b| (&a.key, a.kind).cmp(&(&b.key, b.kind)));
        entries
    }

    fn entry(&self, key: &str, item: &Item) -> Entry {
        let (kind, count, preview) = match &item.data {
            Data::Value(json) => (EntryKind::Value, None, json.as_str()),
            Data::List(list) => {
                let first = list.front().map_or("", String::as_str);
                (EntryKind::List, Some(list.len() as u64), first)
            }
        };
        Entry {
            key: key.to_owned(),
            kind,
            bytes: item.data.bytes() as u64,
            count,
            age: Some(self.now - item.written),
            expires: item.until.map(|until| until.saturating_sub(self.now)),
            preview: beginning(preview),
            ..Entry::default()
        }
    }
}

/// What a list is called that was found in the place of something else.
const LIST: &str = "a list";

fn trouble(key: &str, wanted: &str, found: &str) -> Trouble {
    Trouble::WrongType {
        key: key.to_owned(),
        wanted: wanted.to_owned(),
        found: beginning(found),
    }
}

fn wrong(key: &str, wanted: &str, found: &str) -> Reply {
    Reply::Failed(trouble(key, wanted, found))
}
