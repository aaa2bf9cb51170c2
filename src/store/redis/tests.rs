//! Every call on a real server, which each test starts for itself. Debian's package `redis-server` has it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use regatta_cell::store::call::{Call, Entry, EntryKind, Json, Kind, Number, Reply, Trouble, Who};

use super::Redis;
use super::holds::LEASE;
use crate::store::Store as _;

const NEVER: &dyn Fn() -> bool = &|| false;

/// A server on a socket in a folder of its own; it keeps what it knows when it is killed and started again.
struct Running {
    folder: tempfile::TempDir,
    child: Child,
    keeps: bool,
}

impl Running {
    fn start(keeps: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let child = Self::spawn(folder.path(), keeps);
        let running = Self {
            folder,
            child,
            keeps,
        };
        running.wait();
        running
    }

    /// Nobody has to wait for what an earlier run may have known.
    fn old() -> Self {
        let running = Self::start(false);
        running.forgets_nothing();
        running
    }

    fn forgets_nothing(&self) {
        self.cli(&["SET", super::line::KEEPS_ALL, "1"]);
    }

    fn spawn(folder: &Path, keeps: bool) -> Child {
        Command::new("redis-server")
            .args(["--port", "0", "--unixsocket", "redis.sock", "--save", ""])
            .args(["--appendfsync", "no", "--appendonly"])
            .arg(if keeps { "yes" } else { "no" })
            .current_dir(folder)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server, of the package of this name")
    }

    fn wait(&self) {
        let patience = Instant::now() + Duration::from_secs(10);
        while self.cli(&["PING"]) != "PONG" {
            assert!(Instant::now() < patience, "the server does not come up");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn restart(&mut self) {
        self.kill();
        self.child = Self::spawn(self.folder.path(), self.keeps);
        self.wait();
    }

    fn socket(&self) -> String {
        self.folder.path().join("redis.sock").display().to_string()
    }

    fn cli(&self, words: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-s", &self.socket()])
            .args(words)
            .output()
            .expect("redis-cli, of the package redis-tools");
        String::from_utf8(output.stdout)
            .unwrap()
            .trim_end()
            .to_owned()
    }

    fn store(&self) -> Redis {
        Redis::at_url(&format!("unix:{}", self.socket())).unwrap()
    }

    /// As another process would be: it shares no connection and no hold with other clients.
    fn stranger(&self, number: usize) -> Redis {
        // The same place by another name.
        let name = self.folder.path().join(format!("{number}.sock"));
        let _ = std::os::unix::fs::symlink("redis.sock", &name);
        Redis::at_url(&format!("unix:{}", name.display())).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Redis {
    fn ask(&mut self, call: Call) -> Reply {
        self.call(&call, NEVER)
    }

    fn set(&mut self, key: &str, value: &str) {
        let (key, value) = (key.to_owned(), value.to_owned());
        let expire = None;
        assert_eq!(self.ask(Call::Set { key, value, expire }), Reply::Done);
    }

    fn get(&mut self, key: &str) -> Option<Json> {
        match self.ask(Call::Get {
            key: key.to_owned(),
        }) {
            Reply::Value(value) => value,
            other => panic!("{other:?}"),
        }
    }

    fn incr(&mut self, key: &str, by: Number) -> Reply {
        self.ask(Call::Incr {
            key: key.to_owned(),
            by,
        })
    }

    fn push(&mut self, key: &str, values: &[&str]) -> Reply {
        self.ask(Call::Push {
            key: key.to_owned(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        })
    }

    fn pop(&mut self, key: &str, wait: Option<u64>) -> Reply {
        self.ask(Call::Pop {
            key: key.to_owned(),
            wait,
        })
    }

    fn swap(&mut self, key: &str, before: Option<&str>, after: Option<&str>) -> bool {
        let reply = self.ask(Call::Swap {
            key: key.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        });
        match reply {
            Reply::Is(is) => is,
            other => panic!("{other:?}"),
        }
    }

    fn hold(&mut self, kind: Kind, name: &str, limit: u32, wait: Option<u64>) -> Reply {
        self.ask(Call::Acquire {
            kind,
            name: name.to_owned(),
            limit,
            lease: None,
            wait,
            who: Who {
                group: "tests".to_owned(),
                ..Who::default()
            },
        })
    }

    fn lock(&mut self, name: &str, wait: Option<u64>) -> Reply {
        self.hold(Kind::Lock, name, 1, wait)
    }

    fn release(&mut self, kind: Kind, name: &str, fence: u64) -> Reply {
        self.ask(Call::Release {
            kind,
            name: name.to_owned(),
            fence,
        })
    }

    fn meet(&mut self, name: &str, size: u32, rank: u32, wait: Option<u64>) -> Reply {
        self.ask(Call::Barrier {
            name: name.to_owned(),
            size,
            wait,
            who: Who {
                group: "p0".to_owned(),
                rank: Some(rank),
                size: Some(size),
                pid: 0,
            },
        })
    }

    fn keys(&mut self, pattern: &str, details: bool) -> Vec<Entry> {
        match self.ask(Call::Keys {
            pattern: pattern.to_owned(),
            details,
        }) {
            Reply::Keys(entries) => entries,
            other => panic!("{other:?}"),
        }
    }
}

fn fence(reply: Reply) -> u64 {
    match reply {
        Reply::Granted { fence } => fence,
        other => panic!("{other:?}"),
    }
}

fn value(text: &str) -> Reply {
    Reply::Value(Some(text.to_owned()))
}

fn wrong(reply: Reply) -> (String, String) {
    match reply {
        Reply::Failed(Trouble::WrongType { wanted, found, .. }) => (wanted, found),
        other => panic!("{other:?}"),
    }
}

#[test]
fn values_are_plain_json_under_plain_keys() {
    let server = Running::start(false);
    let mut store = server.store();
    assert_eq!(store.get("x"), None);
    store.set("x", r#"{"a":[1,2.5,"ä"]}"#);
    assert_eq!(server.cli(&["GET", "x"]), r#"{"a":[1,2.5,"ä"]}"#);
    assert_eq!(store.get("x").unwrap(), r#"{"a":[1,2.5,"ä"]}"#);
    server.cli(&["SET", "y", "17"]);
    assert_eq!(store.get("y").unwrap(), "17");
    server.cli(&["SET", "y", "hello"]);
    assert_eq!(store.get("y").unwrap(), "\"hello\"");
    assert!(store.swap("y", Some("\"hello\""), Some("\"you\"")));
    assert_eq!(server.cli(&["GET", "y"]), "\"you\"");
    server.cli(&["INCR", "n"]);
    assert_eq!(store.get("n").unwrap(), "1");
    server.cli(&["RPUSH", "l", "1", "\"b\"", "bare"]);
    assert_eq!(store.get("l").unwrap(), r#"[1,"b","bare"]"#);
    assert_eq!(
        store.ask(Call::Take {
            key: "l".to_owned()
        }),
        value(r#"[1,"b","bare"]"#)
    );
    assert_eq!(
        store.ask(Call::Take {
            key: "x".to_owned()
        }),
        value(r#"{"a":[1,2.5,"ä"]}"#)
    );
    assert_eq!(server.cli(&["EXISTS", "x", "l"]), "0");
    assert_eq!(
        store.ask(Call::Take {
            key: "x".to_owned()
        }),
        Reply::Value(None)
    );
    server.cli(&["HSET", "h", "f", "1"]);
    let get = store.ask(Call::Get {
        key: "h".to_owned(),
    });
    assert_eq!(
        wrong(get),
        ("value".to_owned(), "a hash of Redis".to_owned())
    );
    // What is set replaces whatever was there.
    store.set("h", "1");
    assert_eq!(store.get("h").unwrap(), "1");
}

#[test]
fn numbers_add_up_and_stay_numbers() {
    let server = Running::start(false);
    let mut store = server.store();
    let int = |value| Reply::Number(Number::Int(value));
    assert_eq!(store.incr("n", Number::Int(1)), int(1));
    assert_eq!(store.incr("n", Number::Int(-11)), int(-10));
    assert_eq!(server.cli(&["GET", "n"]), "-10");
    assert_eq!(
        store.incr("n", Number::Float(0.5)),
        Reply::Number(Number::Float(-9.5))
    );
    assert_eq!(
        store.incr("n", Number::Int(1)),
        Reply::Number(Number::Float(-8.5))
    );
    store.set("most", &i64::MAX.to_string());
    let overflow = Reply::Failed(Trouble::Overflow {
        key: "most".to_owned(),
    });
    assert_eq!(store.incr("most", Number::Int(1)), overflow);
    assert_eq!(store.incr("most", Number::Float(f64::INFINITY)), overflow);
    assert_eq!(store.get("most").unwrap(), i64::MAX.to_string());
    store.set("text", "\"abc\"");
    let (wanted, found) = wrong(store.incr("text", Number::Int(1)));
    assert_eq!((wanted.as_str(), found.as_str()), ("number", "\"abc\""));
    store.push("list", &["1"]);
    let (wanted, found) = wrong(store.incr("list", Number::Int(1)));
    assert_eq!((wanted.as_str(), found.as_str()), ("number", "a list"));
}

#[test]
fn a_swap_is_done_when_nobody_came_between_and_keeps_the_time_to_live() {
    let server = Running::start(false);
    let mut store = server.store();
    assert!(!store.swap("k", Some("1"), Some("2")));
    assert!(store.swap("k", None, Some("1")));
    assert!(!store.swap("k", None, Some("9")));
    server.cli(&["PEXPIRE", "k", "100000"]);
    assert!(store.swap("k", Some("1"), Some("2")));
    let left: i64 = server.cli(&["PTTL", "k"]).parse().unwrap();
    assert!(left > 90_000, "{left}");
    assert!(store.swap("k", Some("2"), None));
    assert_eq!(store.get("k"), None);
    store.push("l", &["1", "2"]);
    assert!(!store.swap("l", Some("[1]"), Some("[]")));
    assert!(store.swap("l", Some("[1,2]"), Some("[1,2,3]")));
    assert_eq!(store.get("l").unwrap(), "[1,2,3]");
}

#[test]
fn lists_are_queues_and_waiting_for_them_ends() {
    let server = Running::start(false);
    let mut store = server.store();
    assert_eq!(store.pop("q", Some(0)), Reply::Value(None));
    assert_eq!(store.push("q", &["1", "\"two\"", "[3]"]), Reply::Count(3));
    assert_eq!(
        store.ask(Call::Len {
            key: "q".to_owned()
        }),
        Reply::Count(3)
    );
    assert_eq!(server.cli(&["LRANGE", "q", "0", "-1"]), "1\n\"two\"\n[3]");
    assert_eq!(store.pop("q", Some(0)), value("1"));
    assert_eq!(store.pop("q", Some(1000)), value("\"two\""));
    assert_eq!(store.pop("q", None), value("[3]"));
    assert_eq!(server.cli(&["EXISTS", "q"]), "0");
    assert_eq!(
        store.ask(Call::Len {
            key: "q".to_owned()
        }),
        Reply::Count(0)
    );
    assert_eq!(store.push("q", &[]), Reply::Count(0));

    let began = Instant::now();
    assert_eq!(store.pop("q", Some(300)), Reply::Value(None));
    assert!(began.elapsed() >= Duration::from_millis(300));
    let waiter = std::thread::spawn({
        let mut store = server.store();
        move || store.pop("q", None)
    });
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(store.push("q", &["7"]), Reply::Count(1));
    assert_eq!(waiter.join().unwrap(), value("7"));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(100));
            stop.store(true, Ordering::Relaxed);
        });
        let call = Call::Pop {
            key: "q".to_owned(),
            wait: None,
        };
        let reply = server.store().call(&call, &|| stop.load(Ordering::Relaxed));
        assert_eq!(reply, Reply::Interrupted);
    });
    store.set("v", "1");
    assert_eq!(
        wrong(store.push("v", &["1"])),
        ("list".to_owned(), "a value".to_owned())
    );
    assert_eq!(wrong(store.pop("v", Some(10))).0, "list");
    assert_eq!(
        wrong(store.ask(Call::Len {
            key: "v".to_owned()
        }))
        .0,
        "list"
    );
}

#[test]
fn keys_go_when_they_are_deleted_or_their_time_is_over() {
    let server = Running::start(false);
    let mut store = server.store();
    for key in ["a", "b", "c"] {
        store.set(key, "1");
    }
    let delete = |keys: &[&str]| Call::Delete {
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
    };
    assert_eq!(store.ask(delete(&["a", "none", "b"])), Reply::Count(2));
    assert_eq!(store.ask(delete(&[])), Reply::Count(0));
    let expire = |key: &str, after| Call::Expire {
        key: key.to_owned(),
        after,
    };
    assert_eq!(store.ask(expire("none", Some(5))), Reply::Is(false));
    assert_eq!(store.ask(expire("none", None)), Reply::Is(false));
    assert_eq!(store.ask(expire("c", Some(60_000))), Reply::Is(true));
    assert_ne!(server.cli(&["PTTL", "c"]), "-1");
    assert_eq!(store.ask(expire("c", None)), Reply::Is(true));
    assert_eq!(server.cli(&["PTTL", "c"]), "-1");
    assert_eq!(store.ask(expire("c", None)), Reply::Is(true));
    assert_eq!(store.ask(expire("c", Some(0))), Reply::Is(true));
    assert_eq!(store.get("c"), None);
    let set = Call::Set {
        key: "d".to_owned(),
        value: "1".to_owned(),
        expire: Some(50),
    };
    assert_eq!(store.ask(set), Reply::Done);
    std::thread::sleep(Duration::from_millis(60));
    assert_eq!(store.get("d"), None);
}

#[test]
fn a_wait_ends_when_anybody_changes_the_key() {
    let server = Running::start(false);
    let mut store = server.store();
    let wait = |unlike: Option<&str>, wait| Call::Wait {
        key: "w".to_owned(),
        unlike: unlike.map(str::to_owned),
        wait,
    };
    assert_eq!(store.ask(wait(None, Some(0))), Reply::TimedOut);
    let began = Instant::now();
    assert_eq!(store.ask(wait(None, Some(120))), Reply::TimedOut);
    assert!(began.elapsed() >= Duration::from_millis(120));
    for (change, unlike, found) in [
        (vec!["SET", "w", "1"], None, Some("1")),
        (vec!["INCR", "w"], Some("1"), Some("2")),
        (vec!["DEL", "w"], Some("2"), None),
        (vec!["RPUSH", "w", "1"], None, Some("[1]")),
        (vec!["FLUSHALL"], Some("[1]"), None),
    ] {
        let waiter = std::thread::spawn({
            let (mut store, call) = (server.store(), wait(unlike, Some(10_000)));
            move || (store.ask(call), Instant::now())
        });
        std::thread::sleep(Duration::from_millis(200));
        let changed = Instant::now();
        server.cli(&change);
        let (reply, when) = waiter.join().unwrap();
        assert_eq!(reply, Reply::Value(found.map(str::to_owned)), "{change:?}");
        assert!(
            when < changed + Duration::from_secs(1),
            "{change:?}: it was not told"
        );
    }
    // What is there already is not waited for.
    server.cli(&["SET", "w", "5"]);
    assert_eq!(store.ask(wait(None, None)), value("5"));
}

#[test]
fn a_lock_is_held_by_one_and_given_on() {
    let server = Running::old();
    let (mut one, mut other) = (server.stranger(0), server.stranger(1));
    let first = fence(one.lock("l", Some(0)));
    let Reply::Held { by } = other.lock("l", Some(0)) else {
        panic!("held twice")
    };
    assert_eq!(by[0].group, "tests");
    assert!(
        server
            .cli(&["GET", "regatta:lock:l"])
            .contains("\"group\":\"tests\"")
    );
    let ttl: i64 = server.cli(&["PTTL", "regatta:lock:l"]).parse().unwrap();
    assert!(ttl > 0 && ttl <= LEASE.as_millis() as i64, "{ttl}");
    // Nobody releases what is another's.
    assert_eq!(other.release(Kind::Lock, "l", first), Reply::Is(false));
    assert_eq!(other.lock("l", Some(100)), Reply::Held { by });
    let waiter = std::thread::spawn({
        let mut store = server.stranger(1);
        move || (fence(store.lock("l", None)), Instant::now(), store)
    });
    std::thread::sleep(Duration::from_millis(200));
    let released = Instant::now();
    assert_eq!(one.release(Kind::Lock, "l", first), Reply::Is(true));
    let (second, when, mut other) = waiter.join().unwrap();
    assert!(second > first);
    assert!(
        when < released + Duration::from_millis(150),
        "it was not told"
    );
    assert_eq!(one.release(Kind::Lock, "l", first), Reply::Is(false));
    assert_eq!(other.release(Kind::Lock, "l", second), Reply::Is(true));
    assert_eq!(server.cli(&["EXISTS", "regatta:lock:l"]), "0");
}

#[test]
fn a_lease_is_renewed_while_its_holder_lives_and_ends_when_it_is_to() {
    let server = Running::old();
    let mut store = server.store();
    let held = fence(store.lock("long", Some(0)));
    let short = store.ask(Call::Acquire {
        kind: Kind::Lock,
        name: "short".to_owned(),
        limit: 1,
        lease: Some(300),
        wait: Some(0),
        who: Who::default(),
    });
    let short = fence(short);
    std::thread::sleep(Duration::from_millis(400));
    let mut other = server.stranger(0);
    assert!(fence(other.lock("short", Some(0))) > short);
    assert_eq!(store.release(Kind::Lock, "short", short), Reply::Is(false));
    std::thread::sleep(LEASE);
    assert!(matches!(other.lock("long", Some(0)), Reply::Held { .. }));
    // A lease may begin anew, and be shorter than it was.
    let renew = |lease| Call::Renew {
        kind: Kind::Lock,
        name: "long".to_owned(),
        fence: held,
        lease,
    };
    assert_eq!(store.ask(renew(Some(200))), Reply::Is(true));
    std::thread::sleep(Duration::from_millis(1300));
    assert_eq!(store.ask(renew(None)), Reply::Is(false));
    fence(other.lock("long", Some(0)));
    // Somebody took it away: the holder is told.
    let again = fence(store.lock("gone", Some(0)));
    server.cli(&["SET", "regatta:lock:gone", "mine"]);
    assert_eq!(store.release(Kind::Lock, "gone", again), Reply::Is(false));
    assert_eq!(server.cli(&["GET", "regatta:lock:gone"]), "mine");
}

#[test]
fn a_semaphore_has_so_many_places() {
    let server = Running::old();
    let (mut one, mut other) = (server.stranger(0), server.stranger(1));
    let first = fence(one.hold(Kind::Semaphore, "s", 2, Some(0)));
    let second = fence(other.hold(Kind::Semaphore, "s", 2, Some(0)));
    assert!(second > first);
    let Reply::Held { by } = one.hold(Kind::Semaphore, "s", 2, Some(50)) else {
        panic!("three have two places")
    };
    assert_eq!(by.len(), 2);
    let size = Reply::Failed(Trouble::OtherSize {
        name: "s".to_owned(),
        given: 3,
        theirs: 2,
    });
    assert_eq!(one.hold(Kind::Semaphore, "s", 3, Some(0)), size);
    std::thread::sleep(LEASE + Duration::from_millis(300));
    assert!(matches!(
        one.hold(Kind::Semaphore, "s", 2, Some(0)),
        Reply::Held { .. }
    ));
    assert_eq!(other.release(Kind::Semaphore, "s", second), Reply::Is(true));
    let third = fence(one.hold(Kind::Semaphore, "s", 2, Some(0)));
    let renew = Call::Renew {
        kind: Kind::Semaphore,
        name: "s".to_owned(),
        fence: third,
        lease: None,
    };
    assert_eq!(one.ask(renew), Reply::Is(true));
    assert_eq!(one.release(Kind::Semaphore, "s", first), Reply::Is(true));
    assert_eq!(one.release(Kind::Semaphore, "s", third), Reply::Is(true));
    assert_eq!(server.cli(&["EXISTS", "regatta:semaphore:s"]), "0");
}

#[test]
fn a_barrier_lets_all_go_at_once_again_and_again_and_names_who_is_there() {
    let server = Running::start(false);
    let places = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..5)
            .map(|rank| {
                let mut store = server.store();
                scope.spawn(move || {
                    (0..40)
                        .map(|_| match store.meet("b", 5, rank, Some(20_000)) {
                            Reply::Count(which) => which,
                            other => panic!("{other:?}"),
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        let places: Vec<Vec<u64>> = callers.into_iter().map(|it| it.join().unwrap()).collect();
        places
    });
    for round in 0..40 {
        let mut all: Vec<u64> = places.iter().map(|places| places[round]).collect();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 4]);
    }
    assert_eq!(server.cli(&["KEYS", "*"]), "", "nothing is left");

    let mut store = server.store();
    let other = std::thread::spawn({
        let mut store = server.store();
        move || store.meet("b", 3, 2, Some(600))
    });
    std::thread::sleep(Duration::from_millis(200));
    assert!(matches!(
        store.meet("b", 4, 0, Some(0)),
        Reply::Failed(Trouble::OtherSize { theirs: 3, .. })
    ));
    let Reply::Missing { size: 3, here } = store.meet("b", 3, 0, Some(100)) else {
        panic!("nobody is missing")
    };
    let ranks: Vec<_> = here.iter().map(|who| who.rank.unwrap()).collect();
    assert_eq!(ranks, [2, 0]);
    let Reply::Missing { here, .. } = other.join().unwrap() else {
        panic!("nobody is missing")
    };
    assert_eq!(here.len(), 1);
    assert_eq!(store.meet("b", 1, 0, None), Reply::Count(0));
    assert_eq!(server.cli(&["KEYS", "*"]), "");
}

#[test]
fn messages_reach_those_that_have_subscribed_in_order() {
    let server = Running::start(false);
    let (mut store, mut publisher) = (server.store(), server.stranger(0));
    let publish = |channel: &str, message: &str| Call::Publish {
        channel: channel.to_owned(),
        message: message.to_owned(),
    };
    assert_eq!(publisher.ask(publish("c1", "0")), Reply::Count(0));
    let mut subscribe = |pattern: &str| match store.ask(Call::Subscribe {
        pattern: pattern.to_owned(),
    }) {
        Reply::Subscribed { subscription } => subscription,
        other => panic!("{other:?}"),
    };
    let (one, all) = (subscribe("c1"), subscribe("c*"));
    let next = |subscription, wait| Call::Next { subscription, wait };
    assert_eq!(store.ask(next(one, Some(0))), Reply::TimedOut);
    assert_eq!(publisher.ask(publish("c1", "1")), Reply::Count(2));
    assert_eq!(publisher.ask(publish("c2", "{\"a\":2}")), Reply::Count(1));
    server.cli(&["PUBLISH", "c1", "plain words"]);
    let message = |channel: &str, message: &str| Reply::Message {
        channel: channel.to_owned(),
        message: message.to_owned(),
        missed: 0,
    };
    assert_eq!(store.ask(next(one, None)), message("c1", "1"));
    assert_eq!(
        store.ask(next(one, Some(1000))),
        message("c1", "\"plain words\"")
    );
    assert_eq!(store.ask(next(one, Some(20))), Reply::TimedOut);
    assert_eq!(store.ask(next(all, None)), message("c1", "1"));
    assert_eq!(store.ask(next(all, None)), message("c2", "{\"a\":2}"));
    assert_eq!(store.ask(next(all, None)), message("c1", "\"plain words\""));
    assert_eq!(
        store.ask(Call::Unsubscribe { subscription: one }),
        Reply::Done
    );
    assert_eq!(
        store.ask(next(one, None)),
        Reply::Failed(Trouble::NoSubscription)
    );
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(publisher.ask(publish("c1", "3")), Reply::Count(1));
    let late = std::thread::spawn(move || store.ask(next(all, None)));
    assert_eq!(late.join().unwrap(), message("c1", "3"));
}

#[test]
fn the_listing_tells_what_everything_is() {
    let server = Running::old();
    let mut store = server.store();
    store.set("value", "[1,2]");
    store.push("list", &["\"a\"", "2"]);
    server.cli(&["SADD", "set", "x"]);
    server.cli(&["PEXPIRE", "value", "60000"]);
    fence(store.lock("lock", Some(0)));
    fence(store.hold(Kind::Semaphore, "places", 3, Some(0)));
    store.ask(Call::Subscribe {
        pattern: "news".to_owned(),
    });
    let names: Vec<String> = store
        .keys("*", false)
        .into_iter()
        .map(|it| it.key)
        .collect();
    assert_eq!(names, ["list", "set", "value"]);
    assert_eq!(store.keys("va[a-l]*", false).len(), 1);
    let all = store.keys("*", true);
    let of = |key: &str| all.iter().find(|entry| entry.key == key).unwrap();
    assert_eq!(of("value").kind, EntryKind::Value);
    assert_eq!(
        (of("value").bytes, of("value").preview.as_str()),
        (5, "[1,2]")
    );
    assert!(of("value").expires.unwrap() > 50_000);
    assert_eq!(
        (of("list").kind, of("list").count),
        (EntryKind::List, Some(2))
    );
    assert_eq!(of("list").preview, "[\"a\"]");
    assert_eq!(
        (of("set").kind, of("set").preview.as_str()),
        (EntryKind::Other, "set")
    );
    assert_eq!(of("lock").kind, EntryKind::Lock);
    assert_eq!(of("lock").who[0].pid, std::process::id());
    let places = of("places");
    assert_eq!(
        (places.kind, places.count, places.of),
        (EntryKind::Semaphore, Some(1), Some(3))
    );
    assert_eq!(
        (of("news").kind, of("news").count),
        (EntryKind::Channel, Some(1))
    );
    assert_eq!(all.len(), 6);
}

#[test]
fn a_call_says_that_the_server_is_gone_and_goes_on_when_it_is_back() {
    let mut server = Running::start(true);
    let mut store = server.store();
    store.set("k", "1");
    server.kill();
    let Reply::Failed(Trouble::Unavailable { address, why }) = store.incr("k", Number::Int(1))
    else {
        panic!("there is no server")
    };
    assert!(address.contains("redis.sock"), "{address}");
    assert!(why.contains("nothing was changed"), "{why}");
    server.restart();
    assert_eq!(
        store.incr("k", Number::Int(1)),
        Reply::Number(Number::Int(2))
    );
    // Waiting goes on across a restart.
    let waiter = std::thread::spawn({
        let mut store = server.store();
        move || {
            store.ask(Call::Wait {
                key: "k".to_owned(),
                unlike: Some("2".to_owned()),
                wait: Some(20_000),
            })
        }
    });
    std::thread::sleep(Duration::from_millis(200));
    server.restart();
    server.cli(&["SET", "k", "3"]);
    assert_eq!(waiter.join().unwrap(), value("3"));
    let mut nowhere = Redis::at_url("redis://127.0.0.1:1").unwrap();
    let began = Instant::now();
    assert!(matches!(
        nowhere.ask(Call::Get {
            key: "k".to_owned()
        }),
        Reply::Failed(Trouble::Unavailable { .. })
    ));
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "nobody ever was there"
    );
}

#[test]
fn after_a_start_without_memory_no_lock_is_given_away_that_may_be_held() {
    let mut server = Running::old();
    let (mut holder, mut other) = (server.stranger(0), server.stranger(1));
    let held = fence(holder.lock("l", Some(0)));
    // It forgets that too.
    server.restart();
    let Reply::Failed(Trouble::Unavailable { why, .. }) = other.lock("l", Some(0)) else {
        panic!("held twice")
    };
    assert!(why.contains("has just started"), "{why}");
    // The holder tells the server of its lock, and then it is as it was.
    assert!(matches!(
        other.lock("l", Some(2 * LEASE.as_millis() as u64)),
        Reply::Held { .. }
    ));
    assert_eq!(holder.release(Kind::Lock, "l", held), Reply::Is(true));
    assert!(fence(other.lock("l", Some(1000))) > held);
}

/// How often the server is killed.
const KILLS: usize = 50;

#[test]
fn killed_servers_lose_no_acknowledged_call_and_give_no_lock_twice() {
    let seed = std::env::var("REGATTA_SEED")
        .ok()
        .and_then(|it| it.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("REGATTA_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut server = Running::start(true);
    server.forgets_nothing();
    let over = Arc::new(AtomicBool::new(false));
    let inside = Arc::new(AtomicU64::new(0));
    let last_fence = Arc::new(AtomicU64::new(0));
    let workers: Vec<_> = (0..3)
        .map(|number| {
            let mut store = server.stranger(number);
            let (over, inside, last) = (over.clone(), inside.clone(), last_fence.clone());
            std::thread::spawn(move || {
                let (mut done, mut unknown, mut locked) = (0_u64, 0_u64, 0_u64);
                while !over.load(Ordering::Relaxed) {
                    match store.incr("n", Number::Int(1)) {
                        Reply::Number(_) => done += 1,
                        Reply::Failed(Trouble::Lost { .. }) => unknown += 1,
                        Reply::Failed(Trouble::Unavailable { .. }) => {}
                        other => panic!("{other:?}"),
                    }
                    match store.lock("l", Some(200)) {
                        Reply::Granted { fence } => {
                            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "held twice");
                            let before = last.swap(fence, Ordering::SeqCst);
                            assert!(before < fence, "{before} was before {fence}");
                            std::thread::sleep(Duration::from_millis(1));
                            inside.fetch_sub(1, Ordering::SeqCst);
                            locked += 1;
                            store.release(Kind::Lock, "l", fence);
                        }
                        Reply::Held { .. } | Reply::Failed(Trouble::Unavailable { .. }) => {}
                        other => panic!("{other:?}"),
                    }
                }
                (done, unknown, locked)
            })
        })
        .collect();
    for _ in 0..KILLS {
        std::thread::sleep(Duration::from_millis(random.u64(1..40)));
        server.restart();
    }
    std::thread::sleep(Duration::from_millis(300));
    over.store(true, Ordering::Relaxed);
    let (mut done, mut unknown, mut locked) = (0, 0, 0);
    for worker in workers {
        let (these, maybe, holds) = worker.join().expect("no lock was held twice");
        (done, unknown, locked) = (done + these, unknown + maybe, locked + holds);
    }
    let counted: u64 = server.cli(&["GET", "n"]).parse().unwrap();
    println!(
        "{done} increments, {unknown} of which nothing is known, {locked} locks; counted {counted}"
    );
    assert!(done > 100 && locked > 50, "there was load");
    assert!(
        counted >= done,
        "{counted} of {done} acknowledged ones were counted"
    );
    assert!(
        counted <= done + unknown,
        "{counted}, but {done} and {unknown} were made"
    );
}
