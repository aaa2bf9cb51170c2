//! What holds of every store, held against each: the session's own one, and a Redis server. Of the suites of redis-py,
//! redis-rs, python-redis-lock and multiprocessing, what they have too is here in our words.

mod holds;
mod lists;
mod messages;
mod values;

use std::time::{Duration, Instant};

use regatta_cell::store::call::{Call, Json, Kind, Number, Reply, Trouble, Who};

use super::redis::tests::Running;
use super::{Server, Store, connect};

/// A place of values, with as many callers as a test wants.
pub struct Place {
    name: &'static str,
    address: String,
}

/// One caller of it.
pub struct Caller(Box<dyn Store>);

/// Runs a test on each of them; its message says on which.
pub fn on_each(test: impl Fn(&Place)) {
    let own = Server::start().expect("the session's own store");
    test(&Place {
        name: "the session's own",
        address: own.address().to_owned(),
    });
    let redis = Running::old();
    test(&Place {
        name: "Redis",
        address: format!("unix:{}", redis.socket()),
    });
}

impl Place {
    pub fn caller(&self) -> Caller {
        Caller(connect(&self.address).expect("an address"))
    }

    /// What waits in a thread of its own for its answer, and surely waits by now.
    pub fn waits(&self, call: Call) -> std::thread::JoinHandle<Reply> {
        let mut caller = self.caller();
        let thread = std::thread::spawn(move || caller.ask(call));
        std::thread::sleep(Duration::from_millis(120));
        thread
    }

    pub fn is_redis(&self) -> bool {
        self.name == "Redis"
    }
}

impl Caller {
    pub fn ask(&mut self, call: Call) -> Reply {
        self.0.call(&call, &|| false)
    }

    pub fn set(&mut self, key: &str, value: &str) {
        assert_eq!(self.set_for(key, value, None), Reply::Done);
    }

    pub fn set_for(&mut self, key: &str, value: &str, expire: Option<u64>) -> Reply {
        let (key, value) = (key.to_owned(), value.to_owned());
        self.ask(Call::Set { key, value, expire })
    }

    pub fn get(&mut self, key: &str) -> Option<Json> {
        match self.ask(Call::Get {
            key: key.to_owned(),
        }) {
            Reply::Value(value) => value,
            other => panic!("{other:?}"),
        }
    }

    pub fn take(&mut self, key: &str) -> Option<Json> {
        match self.ask(Call::Take {
            key: key.to_owned(),
        }) {
            Reply::Value(value) => value,
            other => panic!("{other:?}"),
        }
    }

    pub fn incr(&mut self, key: &str, by: Number) -> Reply {
        let key = key.to_owned();
        self.ask(Call::Incr { key, by })
    }

    pub fn push(&mut self, key: &str, values: &[&str]) -> Reply {
        self.ask(Call::Push {
            key: key.to_owned(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        })
    }

    pub fn pop(&mut self, key: &str, wait: Option<u64>) -> Reply {
        self.ask(pop(key, wait))
    }

    pub fn len(&mut self, key: &str) -> Reply {
        self.ask(Call::Len {
            key: key.to_owned(),
        })
    }

    pub fn keys(&mut self, pattern: &str) -> Vec<String> {
        match self.ask(Call::Keys {
            pattern: pattern.to_owned(),
            details: false,
        }) {
            Reply::Keys(entries) => entries.into_iter().map(|entry| entry.key).collect(),
            other => panic!("{other:?}"),
        }
    }

    /// Milliseconds until a key goes.
    pub fn left(&mut self, key: &str) -> Option<u64> {
        match self.ask(Call::Keys {
            pattern: key.to_owned(),
            details: true,
        }) {
            Reply::Keys(entries) => {
                assert_eq!(entries.len(), 1, "{entries:?}");
                entries[0].expires
            }
            other => panic!("{other:?}"),
        }
    }

    pub fn expire(&mut self, key: &str, after: Option<u64>) -> Reply {
        let key = key.to_owned();
        self.ask(Call::Expire { key, after })
    }

    pub fn delete(&mut self, keys: &[&str]) -> Reply {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        self.ask(Call::Delete { keys })
    }

    pub fn swap(&mut self, key: &str, before: Option<&str>, after: Option<&str>) -> Reply {
        self.ask(Call::Swap {
            key: key.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        })
    }

    pub fn lock(&mut self, name: &str, lease: Option<u64>, wait: Option<u64>) -> Reply {
        self.ask(acquire(Kind::Lock, name, 1, lease, wait))
    }

    pub fn release(&mut self, kind: Kind, name: &str, fence: u64) -> Reply {
        let name = name.to_owned();
        self.ask(Call::Release { kind, name, fence })
    }

    pub fn publish(&mut self, channel: &str, message: &str) -> Reply {
        self.ask(Call::Publish {
            channel: channel.to_owned(),
            message: message.to_owned(),
        })
    }

    pub fn subscribe(&mut self, pattern: &str) -> u64 {
        match self.ask(Call::Subscribe {
            pattern: pattern.to_owned(),
        }) {
            Reply::Subscribed { subscription } => subscription,
            other => panic!("{other:?}"),
        }
    }

    pub fn next(&mut self, subscription: u64, wait: Option<u64>) -> Reply {
        self.ask(Call::Next { subscription, wait })
    }
}

pub fn pop(key: &str, wait: Option<u64>) -> Call {
    let key = key.to_owned();
    Call::Pop { key, wait }
}

pub fn acquire(kind: Kind, name: &str, limit: u32, lease: Option<u64>, wait: Option<u64>) -> Call {
    Call::Acquire {
        kind,
        name: name.to_owned(),
        limit,
        lease,
        wait,
        who: Who {
            group: "tests".to_owned(),
            ..Who::default()
        },
    }
}

pub fn barrier(name: &str, size: u32, rank: u32, wait: Option<u64>) -> Call {
    Call::Barrier {
        name: name.to_owned(),
        size,
        wait,
        who: Who {
            group: "p0".to_owned(),
            rank: Some(rank),
            size: Some(size),
            pid: 1,
        },
    }
}

#[track_caller]
pub fn fence(reply: &Reply) -> u64 {
    match reply {
        Reply::Granted { fence } => *fence,
        other => panic!("{other:?}"),
    }
}

pub fn value(json: &str) -> Reply {
    Reply::Value(Some(json.to_owned()))
}

/// What was wanted of a key of another type, and what was found.
#[track_caller]
pub fn wrong(reply: Reply) -> (String, String) {
    match reply {
        Reply::Failed(Trouble::WrongType { wanted, found, .. }) => (wanted, found),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub fn overflows(reply: &Reply) {
    let overflow = matches!(reply, Reply::Failed(Trouble::Overflow { .. }));
    assert!(overflow, "{reply:?}");
}

/// A subscription's message: its channel, what it says, and how many were missed before it.
#[track_caller]
pub fn heard(reply: Reply) -> (String, String, u64) {
    match reply {
        Reply::Message {
            channel,
            message,
            missed,
        } => (channel, message, missed),
        other => panic!("{other:?}"),
    }
}

/// Names that are hard to pass on.
pub const NAMES: [&str; 9] = [
    "",
    " foo bar ",
    " foo\r\nbar\r\n ",
    " \r\n\t\u{7}\u{13} ",
    "it's \"quoted\" `so` $HOME",
    "*[a]?\\",
    "ключ 🔑",
    "a\0b",
    "--help",
];
