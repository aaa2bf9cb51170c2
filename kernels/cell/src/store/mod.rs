//! The session's store: named values that every cell on every pool and every child script sees, and with which they
//! wait for each other.
//!
//! Values are JSON there, so that every language reads them: whatever serde can write as JSON can be kept, and is read
//! as any type that reads it. What cannot be done ends the cell with a message; times to wait are seconds, or a
//! [`Duration`](std::time::Duration), or [`FOREVER`], and end with Ctrl-C, which leaves the engine as it is.
//!
//! Locks, semaphores and barriers have names of their own, apart from the keys.
//!
//! The store is the session's own, or after `%store use ADDRESS` or `%store start redis` a Redis server, on which the same
//! calls are as atomic. When the connection to one breaks, what may be done twice is done again: `set`, `get`, `len`,
//! `keys`, `expire`, `lock`, `semaphore`, `barrier`, `wait_for`. `take`, `update`, `incr`, `push`, `pop`, `pop_wait`,
//! `delete` and `publish` are done again only when they were not sent: otherwise the cell ends and says that nobody knows
//! whether they were done. A lock on a server lasts for four seconds after its holder was last heard of.

#[doc(hidden)]
pub mod call;
mod held;
mod messages;
mod number;
mod wait;

use std::any::type_name;

use serde::{Serialize, de::DeserializeOwned};

use crate::host::{append, host, packed};
use call::{Call, Reply, Trouble};
pub use held::{Held, barrier, lock, lock_for, semaphore, try_lock};
pub use messages::{Subscription, publish, subscribe};
pub use number::Counts;
pub use wait::{FOREVER, Wait};

/// Makes a call.
fn call(call: &Call) -> Reply {
    let mut bytes = Vec::<u8>::new();
    let asked = packed(call);
    (host().store)(
        crate::host::Bytes::of(&asked),
        (&raw mut bytes).cast(),
        append,
    );
    postcard::from_bytes(&bytes).unwrap_or_else(|error| {
        Reply::Failed(Trouble::Refused {
            why: error.to_string(),
        })
    })
}

/// The call did not give what it is for.
#[cold]
#[track_caller]
fn refused(reply: Reply, what: &str) -> ! {
    match reply {
        Reply::Failed(trouble) => panic!("{trouble}"),
        Reply::Interrupted => panic!("interrupted: {what}"),
        other => panic!("the store has answered something else: {other:?}"),
    }
}

#[track_caller]
fn json<T: Serialize + ?Sized>(key: &str, value: &T) -> String {
    match serde_json::to_string(value) {
        Ok(json) => json,
        Err(error) => not_json(key, &error),
    }
}

#[cold]
#[track_caller]
fn not_json(key: &str, error: &serde_json::Error) -> ! {
    panic!("the value for `{key}` in the store is no JSON: {error}")
}

#[track_caller]
fn read<T: DeserializeOwned>(key: &str, json: &str) -> T {
    match serde_json::from_str(json) {
        Ok(value) => value,
        Err(error) => wrong_type(key, type_name::<T>(), json, &error),
    }
}

#[allow(
    clippy::manual_map,
    reason = "in a closure the caller's place would be lost"
)]
#[track_caller]
fn read_if_any<T: DeserializeOwned>(key: &str, json: Option<String>) -> Option<T> {
    match json {
        Some(json) => Some(read(key, &json)),
        None => None,
    }
}

#[cold]
#[track_caller]
fn wrong_type(key: &str, wanted: &str, json: &str, why: &serde_json::Error) -> ! {
    const MOST: usize = 60;
    let found = match json.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", &json[..at]),
        None => json.to_owned(),
    };
    let trouble = Trouble::WrongType {
        key: key.to_owned(),
        wanted: short(wanted),
        found,
    };
    let why = why.to_string();
    // A value is one line, of which the beginning is shown.
    let why = why.split(" at line ").next().unwrap_or_default();
    panic!("{trouble} ({why})")
}

/// A type's name without the modules that its parts stand in.
fn short(name: &str) -> String {
    let mut short = String::new();
    let mut word = String::new();
    for letter in name.chars() {
        match letter {
            ':' => word.clear(),
            letter if letter.is_alphanumeric() || letter == '_' => word.push(letter),
            letter => {
                short.push_str(&word);
                word.clear();
                short.push(letter);
            }
        }
    }
    short + &word
}

#[track_caller]
fn value_of(reply: Reply, what: &str) -> Option<String> {
    match reply {
        Reply::Value(value) => value,
        other => refused(other, what),
    }
}

#[track_caller]
fn count_of(reply: Reply) -> usize {
    match reply {
        Reply::Count(count) => usize::try_from(count).unwrap_or(usize::MAX),
        other => refused(other, ""),
    }
}

#[track_caller]
fn is(reply: Reply) -> bool {
    match reply {
        Reply::Is(is) => is,
        other => refused(other, ""),
    }
}

/// Sets a key to a value, whatever was there.
///
/// # Panics
/// When the value is no JSON, such as a map whose keys are no texts, or the store is out of reach.
#[track_caller]
pub fn set(key: &str, value: impl Serialize) {
    let value = json(key, &value);
    let key = key.to_owned();
    let expire = None;
    match call(&Call::Set { key, value, expire }) {
        Reply::Done => {}
        other => refused(other, ""),
    }
}

/// The value of a key; a list that was pushed is read as a `Vec`. `None` when it is not there.
///
/// # Panics
/// When it is of another type: the message names the key, the type that was wanted and what was found.
#[track_caller]
pub fn get<T: DeserializeOwned>(key: &str) -> Option<T> {
    let reply = call(&Call::Get {
        key: key.to_owned(),
    });
    read_if_any(key, value_of(reply, ""))
}

/// The same, and the key is gone: of many who take it, one gets it.
///
/// # Panics
/// As [`get`]; the key is gone then too.
#[track_caller]
pub fn take<T: DeserializeOwned>(key: &str) -> Option<T> {
    let reply = call(&Call::Take {
        key: key.to_owned(),
    });
    read_if_any(key, value_of(reply, ""))
}

/// Changes a value by a function of what is there (`None` when it is not), and gives the new one. Nothing comes between:
/// when another has changed it meanwhile, the function is called again.
///
/// # Panics
/// As [`get`] and [`set`], or when the function does; the value is as it was then.
#[track_caller]
pub fn update<T: Serialize + DeserializeOwned>(
    key: &str,
    mut change: impl FnMut(Option<T>) -> T,
) -> T {
    loop {
        let before = value_of(
            call(&Call::Get {
                key: key.to_owned(),
            }),
            "",
        );
        let new = change(read_if_any(key, before.clone()));
        let swap = Call::Swap {
            key: key.to_owned(),
            before,
            after: Some(json(key, &new)),
        };
        if is(call(&swap)) {
            return new;
        }
    }
}

/// Adds to a number and gives the sum. A key that is not there counts from 0.
///
/// # Panics
/// When the key is no such number, or the sum is none of this type; what was added is taken off again then.
#[track_caller]
pub fn incr<N: Counts>(key: &str, by: N) -> N {
    number::sum(key, by)
}

/// Appends a value to a list and gives its new length. The list begins with its first value and ends with its last.
///
/// # Panics
/// When the key is no list, or the value no JSON.
#[track_caller]
pub fn push(key: &str, value: impl Serialize) -> usize {
    let values = vec![json(key, &value)];
    let key = key.to_owned();
    count_of(call(&Call::Push { key, values }))
}

/// Takes the first value of a list; `None` when there is none.
///
/// # Panics
/// When the key is no list, or its first value of another type; the value is taken then too, and the message has it.
#[track_caller]
pub fn pop<T: DeserializeOwned>(key: &str) -> Option<T> {
    pop_wait(key, 0)
}

/// The same, and waits for one so long; of several who wait, the first to come gets the first value.
///
/// # Panics
/// As [`pop`], and when Ctrl-C ends it.
#[track_caller]
pub fn pop_wait<T: DeserializeOwned>(key: &str, timeout: impl Into<Wait>) -> Option<T> {
    let reply = call(&Call::Pop {
        key: key.to_owned(),
        wait: timeout.into().milliseconds(),
    });
    let what = || format!("it waited for a value in `{key}`");
    read_if_any(key, value_of(reply, &what()))
}

/// How many values a list has.
///
/// # Panics
/// When the key is no list.
#[track_caller]
pub fn len(key: &str) -> usize {
    count_of(call(&Call::Len {
        key: key.to_owned(),
    }))
}

/// The keys that match a pattern, sorted: `*` stands for anything, `?` for one letter, `[a-z]` for one of these.
///
/// # Panics
/// When the store is out of reach.
#[must_use]
#[track_caller]
pub fn keys(pattern: &str) -> Vec<String> {
    let pattern = pattern.to_owned();
    let details = false;
    match call(&Call::Keys { pattern, details }) {
        Reply::Keys(entries) => entries.into_iter().map(|entry| entry.key).collect(),
        other => refused(other, ""),
    }
}

/// Deletes a key; whether it was there.
///
/// # Panics
/// When the store is out of reach.
#[track_caller]
pub fn delete(key: &str) -> bool {
    let keys = vec![key.to_owned()];
    count_of(call(&Call::Delete { keys })) > 0
}

/// The key goes after so long ([`FOREVER`]: it stays); whether it is there. A new [`set`] lets it stay.
///
/// # Panics
/// When the store is out of reach.
#[track_caller]
pub fn expire(key: &str, after: impl Into<Wait>) -> bool {
    is(call(&Call::Expire {
        key: key.to_owned(),
        after: after.into().milliseconds(),
    }))
}

/// Waits until a key is there, and gives its value, which stays.
///
/// # Panics
/// When it is not there in time, or of another type.
#[track_caller]
pub fn wait_for<T: DeserializeOwned>(key: &str, timeout: impl Into<Wait>) -> T {
    wait_until(key, |_: &T| true, timeout)
}

/// Waits until a key's value is as wanted, such as `|n: &u32| *n >= 5`, and gives it.
///
/// # Panics
/// When it is not so in time, or of another type.
#[track_caller]
pub fn wait_until<T: DeserializeOwned>(
    key: &str,
    wanted: impl Fn(&T) -> bool,
    timeout: impl Into<Wait>,
) -> T {
    let timeout = timeout.into();
    let deadline = timeout.deadline();
    let mut seen = None;
    loop {
        let reply = call(&Call::Wait {
            key: key.to_owned(),
            unlike: seen.clone(),
            wait: wait::left(deadline),
        });
        if reply == Reply::TimedOut {
            in_vain(key, &timeout, seen.as_deref());
        }
        seen = value_of(reply, &format!("it waited for `{key}`"));
        if let Some(json) = &seen {
            let value = read(key, json);
            if wanted(&value) {
                return value;
            }
        }
    }
}

#[cold]
#[track_caller]
fn in_vain(key: &str, timeout: &Wait, seen: Option<&str>) -> ! {
    match seen {
        Some(json) => {
            panic!("`{key}` in the store was not as wanted within {timeout}: it is {json}")
        }
        None => panic!("nobody has set `{key}` in the store within {timeout}"),
    }
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn types_are_named_as_they_are_written() {
        for (long, written) in [
            ("i32", "i32"),
            ("alloc::vec::Vec<alloc::string::String>", "Vec<String>"),
            ("(i32, core::option::Option<&str>)", "(i32, Option<&str>)"),
            ("user_code_1::Point", "Point"),
        ] {
            assert_eq!(short(long), written);
        }
    }
}
