//! `%store`: the values that the session, its engines and its children share.

mod watch;

use std::borrow::Cow;

use clap::{Args, Subcommand};
use regatta_cell::store::call::{Call as Asked, Entry, EntryKind, Reply};

use super::{Call, Example, Magic};
use crate::outcome::{About, Event, Field, Report, Sink, Table};
use crate::session::{Done, Place, Session};
use crate::store::redis::with_ca;
use crate::store::text::{plain, value};
use crate::vocabulary::nearest;

/// lists, shows and changes the values that engines and child scripts share
#[derive(Args)]
#[command(
    override_usage = "%store [PATTERN]  ·  %store get KEY  ·  %store set KEY VALUE  ·  %store del KEY…  ·  %store watch KEY | PATTERN  ·  %store use ADDRESS | embedded  ·  %store start redis",
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = "Cells on every pool use it as `store::set(\"key\", 1)`, `store::get::<u32>(\"key\")`, take, update, incr, \
                  push, pop, pop_wait, len, keys, delete, expire, lock, semaphore, barrier, wait_for, publish and \
                  subscribe; child scripts of any language as `\"$REGATTA\" store get KEY`, see `regatta store --help`; so do `!` commands. \
                  Values are JSON; a VALUE that is none is a text. `watch` shows each change until Ctrl-C; of the keys of a pattern what each is at a look, and new keys and those that go. A PATTERN is \
                  as Redis has it: `job:*`. The list has locks, semaphores, barriers and channels too, with who holds \
                  them or waits there. A key's age is the time since it was changed; on a server it is known of what \
                  anybody has changed since the session came there. `use` goes to a Redis or Valkey server, `redis://user:password@host:6379/0`, \
                  `rediss://host:6379` (TLS, with `--ca FILE` for an authority of one's own), `unix:/path`; `start redis` runs \
                  the installed redis-server or valkey-server for this session alone; `use embedded` goes back. Engines, \
                  and scripts that are started from then on, or again, go along: these find it in $REGATTA_REDIS_URL, and any client \
                  of Redis takes part, `redis-cli` by the path alone: `redis-cli -s PATH`, as `%store` says it, where that is `unix://PATH`. \
                  Values stay where they are, and so does what a cell holds or has subscribed. $REGATTA_STORE names the store: a session in whose environment it is set takes \
                  part in that one."
)]
pub struct Store {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// shows a value; of a list all of them
    Get {
        #[arg(value_name = "KEY")]
        key: String,
    },
    /// sets a value: JSON, or a text as it stands
    #[command(override_usage = "%store set KEY VALUE")]
    Set,
    /// deletes keys
    Del {
        #[arg(value_name = "KEY", required = true)]
        keys: Vec<String>,
    },
    /// shows a value now and at each change, or those of all keys that match a pattern, until Ctrl-C
    Watch {
        #[arg(value_name = "KEY | PATTERN")]
        key: String,
    },
    /// goes to a Redis server, or back to the session's own store; without ADDRESS: says where it is
    Use {
        #[arg(value_name = "ADDRESS")]
        place: Option<String>,
        /// the variable of the environment that has the password
        #[arg(long, value_name = "NAME")]
        password_env: Option<String>,
        /// the certificates that a server of `rediss://` is known by, as PEM
        #[arg(long, value_name = "FILE")]
        ca: Option<String>,
    },
    /// runs a Redis server for this session and goes there: `redis` or `valkey`
    Start {
        #[arg(value_name = "PROGRAM", default_value = "redis")]
        program: String,
    },
    #[command(external_subcommand)]
    Other(Vec<String>),
}

const VERBS: [&str; 6] = ["get", "set", "del", "watch", "use", "start"];

impl Magic for Store {
    const NAME: &'static str = "store";
    const CODE_BEHIND: &'static [&'static str] = &["set"];
    const EXAMPLES: &'static [Example] = &[
        Example {
            input: "store::incr(\"visits\", 1);\n%store",
            shows: "visits",
        },
        Example {
            input: "%store set limits {\"low\": 1, \"high\": 9}\n%store get limits",
            shows: "{\"low\": 1, \"high\": 9}",
        },
        Example {
            input: "%store del visits limits",
            shows: "deleted 2 keys",
        },
    ];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        match self.verb {
            None => list("*", session, sink),
            Some(Verb::Get { key }) => {
                let asked = Asked::Get { key: key.clone() };
                match session.store(&asked) {
                    Reply::Value(Some(json)) => sink.send(Event::Text(plain(&json))),
                    Reply::Value(None) => return Err(no_key(&key, session).into()),
                    other => return Err(refused(&other).into()),
                }
                Ok(())
            }
            Some(Verb::Set) => set(call.text, session),
            Some(Verb::Del { keys }) => {
                let there = self::keys(session);
                let asked = Asked::Delete { keys: keys.clone() };
                match session.store(&asked) {
                    Reply::Count(0) => return Err(no_key(&keys[0], session).into()),
                    Reply::Count(count) => {
                        sink.send(Event::Text(deleted(count, &keys, &there)));
                    }
                    other => return Err(refused(&other).into()),
                }
                Ok(())
            }
            Some(Verb::Watch { key }) => watch::watch(&key, session, sink),
            Some(Verb::Use {
                place: address,
                password_env,
                ca,
            }) => {
                let password = password_env
                    .map(|name| password(&name, session))
                    .transpose()?;
                let place = match address.as_deref() {
                    None => session.store_place()?,
                    Some("embedded") => session.use_embedded()?,
                    Some("redis" | "valkey") => {
                        let what = "%store: `use` wants the address of a server that runs";
                        let hint = "`%store start redis` starts one for this session";
                        return Err(Report::usage(what).hint(hint).into());
                    }
                    Some(address) => {
                        let address = match &ca {
                            Some(path) => Cow::Owned(with_ca(address, path)),
                            None => Cow::Borrowed(address),
                        };
                        session.use_redis(&address, password.as_deref())?
                    }
                };
                tell(&place, session, sink);
                Ok(())
            }
            Some(Verb::Start { program }) => {
                let wanted = match program.as_str() {
                    "redis" | "redis-server" => None,
                    "valkey" | "valkey-server" => Some("valkey"),
                    other => {
                        let what = format!("%store: there is no `{other}` to start");
                        return Err(Report::usage(what)
                            .hint("`%store start redis` or `%store start valkey`")
                            .into());
                    }
                };
                let place = session.start_redis(wanted)?;
                tell(&place, session, sink);
                Ok(())
            }
            Some(Verb::Other(words)) => match words.as_slice() {
                [pattern] if meant(pattern).is_none() => list(pattern, session, sink),
                // A key may be called as a verb is.
                [pattern] if matching(pattern, session).is_ok_and(|keys| !keys.is_empty()) => {
                    list(pattern, session, sink)
                }
                words => Err(unknown(words).into()),
            },
        }
    }
}

fn tell(place: &Place, session: &Session, sink: &mut dyn Sink) {
    sink.send(Event::Text(told(place)));
    if let Some(notice) = place.warning() {
        sink.send(Event::Notice(About::cell(session.cell()), notice));
    }
}

/// Where the store is.
fn told(place: &Place) -> String {
    match place {
        Place::Embedded => "the store is the session's own".to_owned(),
        Place::Theirs { address } => {
            let mut parts = address
                .strip_prefix("@regatta-")
                .unwrap_or_default()
                .split('-');
            let whose = parts.next().filter(|pid| pid.parse::<u32>().is_ok());
            let whose = whose.map_or_else(String::new, |pid| format!(" (pid {pid})"));
            format!("the store is another session's{whose}, as $REGATTA_STORE has it: {address}")
        }
        Place::Redis {
            address,
            about,
            socket,
            is_given,
        } => {
            let keys = if about.keys == 1 { "key" } else { "keys" };
            let cli = socket
                .as_ref()
                .map(|path| format!("; `redis-cli -s {path}` looks into it"))
                .unwrap_or_default();
            let given = match is_given {
                true => " (of $REGATTA_STORE, since the session's start)",
                false => "",
            };
            format!(
                "the store is {about} at {address}{given} with {} {keys}{cli}",
                about.keys
            )
        }
    }
}

/// The password that a variable of the environment has.
fn password(name: &str, session: &Session) -> Result<String, Report> {
    session.environment_variable(name).ok_or_else(|| {
        Report::usage(format!("%store: the environment has no `{name}`")).hint(
            "a session has the variables with which it was started, and those that `%env` sets",
        )
    })
}

fn refused(reply: &Reply) -> Report {
    match reply {
        Reply::Failed(trouble) => Report::usage(trouble.to_string()),
        other => Report::usage(format!("the store has answered something else: {other:?}")),
    }
}

fn unknown(words: &[String]) -> Report {
    let word = words.first().map_or("", String::as_str);
    let report = Report::usage(format!("%store: there is no `%store {word}`"));
    match meant(word) {
        Some("") => report.hint("`%store` lists what it has"),
        Some(verb) => report.hint(format!("did you mean {verb}?")),
        None => report.hint("`%help store` shows how it is written"),
    }
}

/// What others call a verb; the empty one lists.
const ALIASES: [(&str, &str); 7] = [
    ("ls", ""),
    ("lst", ""),
    ("list", ""),
    ("keys", ""),
    ("rm", "del"),
    ("delete", "del"),
    ("remove", "del"),
];

/// The verb that a word most likely means.
fn meant(word: &str) -> Option<&'static str> {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == word);
    alias.map_or_else(|| nearest(word, VERBS), |(_, verb)| Some(*verb))
}

/// What was deleted, by name where that was not all.
fn deleted(count: u64, asked: &[String], there: &[String]) -> String {
    let quoted = |names: Vec<&String>| {
        let names = names.into_iter().map(|name| format!("`{name}`"));
        names.collect::<Vec<_>>().join(", ")
    };
    let noun = if count == 1 { "key" } else { "keys" };
    let (gone, missing): (Vec<_>, Vec<_>) = asked.iter().partition(|key| there.contains(key));
    match missing.is_empty() {
        true => format!("deleted {count} {noun}"),
        false => format!(
            "deleted {count} {noun}, {}; the store has no {}",
            quoted(gone),
            quoted(missing)
        ),
    }
}

/// The names of all keys.
fn keys(session: &mut Session) -> Vec<String> {
    matching("*", session).unwrap_or_default()
}

/// The names of the keys that a pattern means.
fn matching(pattern: &str, session: &mut Session) -> Result<Vec<String>, Report> {
    let all = Asked::Keys {
        pattern: pattern.to_owned(),
        details: false,
    };
    match session.store(&all) {
        Reply::Keys(entries) => Ok(entries.into_iter().map(|entry| entry.key).collect()),
        other => Err(refused(&other)),
    }
}

fn no_key(key: &str, session: &mut Session) -> Report {
    let report = Report::usage(format!("the store has no `{key}`"));
    let keys = keys(session);
    match nearest(key, keys.iter().map(String::as_str)) {
        Some(near) => report.hint(format!("did you mean {near}?")),
        None => report.hint("`%store` lists what it has"),
    }
}

/// The first word, as the other verbs read theirs: quotes may stand around it. The rest is as it was written.
fn first_word(text: &str) -> Option<(String, &str)> {
    let ends = text.match_indices(char::is_whitespace).map(|(at, _)| at);
    let word = |end: usize| match shell_words::split(&text[..end]).as_deref() {
        Ok([word]) => Some((word.clone(), &text[end..])),
        _ => None,
    };
    { ends }.find_map(word).or_else(|| {
        let (word, rest) = text.split_once(char::is_whitespace)?;
        Some((word.to_owned(), rest))
    })
}

/// `text` is what stands behind `set`.
fn set(text: &str, session: &mut Session) -> Done {
    let text = text.trim();
    let Some((key, rest)) = first_word(text) else {
        let what = match text {
            "" => "%store set needs a key and a value".to_owned(),
            key => format!("%store set needs a value for `{key}`"),
        };
        return Err(Report::usage(what)
            .hint("`%store set KEY VALUE`: JSON, or a text as it stands")
            .into());
    };
    let asked = Asked::Set {
        key,
        value: value(rest.trim()),
        expire: None,
    };
    match session.store(&asked) {
        Reply::Done => Ok(()),
        other => Err(refused(&other).into()),
    }
}

fn list(pattern: &str, session: &mut Session, sink: &mut dyn Sink) -> Done {
    let asked = Asked::Keys {
        pattern: pattern.to_owned(),
        details: true,
    };
    let entries = match session.store(&asked) {
        Reply::Keys(entries) => entries,
        other => return Err(refused(&other).into()),
    };
    sink.send(match entries.is_empty() {
        true if pattern == "*" => Event::Text(EMPTY.to_owned()),
        true => Event::Text(format!("the store has nothing that matches `{pattern}`")),
        false => Event::Table(table(&entries)),
    });
    Ok(())
}

const EMPTY: &str = "the store is empty: `store::set(\"key\", 1)` in a cell, or `%store set key 1`, puts something there";

fn table(entries: &[Entry]) -> Table {
    let seconds = |milliseconds: Option<u64>| {
        milliseconds.map_or(Field::Empty, |ms| Field::Seconds(ms as f64 / 1000.0))
    };
    let row = |entry: &Entry| {
        vec![
            Field::Text(entry.key.clone()),
            Field::Text(entry.kind.name().to_owned()),
            match entry.bytes {
                0 => Field::Empty,
                bytes => Field::Bytes(bytes),
            },
            seconds(entry.age),
            seconds(entry.expires),
            Field::Text(what(entry)),
        ]
    };
    Table {
        title: None,
        columns: vec!["key", "type", "size", "age", "expires in", "value"],
        rows: entries.iter().map(row).collect(),
    }
}

/// What it has, as far as a line has room for it.
fn what(entry: &Entry) -> String {
    let count = entry.count.unwrap_or_default();
    let who: Vec<String> = entry.who.iter().map(ToString::to_string).collect();
    let who = who.join(", ");
    let of = entry.of.unwrap_or_default();
    match entry.kind {
        EntryKind::Value | EntryKind::Other => entry.preview.clone(),
        EntryKind::List => {
            let values = if count == 1 { "value" } else { "values" };
            format!("{count} {values}: {}", entry.preview)
        }
        EntryKind::Lock => format!("held by {who}"),
        EntryKind::Semaphore => format!("{count} of {of} held: {who}"),
        EntryKind::Barrier => format!("{count} of {of} there: {who}"),
        EntryKind::Channel => match count {
            1 => "1 subscriber".to_owned(),
            _ => format!("{count} subscribers"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{deleted, first_word, meant};

    #[test]
    fn what_was_deleted_is_named_where_that_was_not_all() {
        let names =
            |names: &[&str]| -> Vec<String> { names.iter().map(ToString::to_string).collect() };
        let (asked, there) = (names(&["x", "y"]), names(&["w", "x"]));
        assert_eq!(
            deleted(1, &asked, &there),
            "deleted 1 key, `x`; the store has no `y`"
        );
        assert_eq!(deleted(2, &asked, &asked), "deleted 2 keys");
    }

    #[test]
    fn words_of_others_mean_our_verbs() {
        for (word, verb) in [
            ("lst", Some("")),
            ("delete", Some("del")),
            ("gte", Some("get")),
            ("job:*", None),
        ] {
            assert_eq!(meant(word), verb, "{word}");
        }
    }

    #[test]
    fn keys_may_stand_in_quotes_and_values_are_as_written() {
        for (text, key, rest) in [
            ("n 1", "n", " 1"),
            (
                "\"two words\" {\"a\": \"b c\"}",
                "two words",
                " {\"a\": \"b c\"}",
            ),
            ("'two words' 'x'", "two words", " 'x'"),
            ("\"\" 1", "", " 1"),
            ("it's mine", "it's", "mine"),
            ("\"open 1", "\"open", "1"),
        ] {
            assert_eq!(first_word(text), Some((key.to_owned(), rest)), "{text}");
        }
        assert_eq!(first_word("alone"), None);
    }
}
