//! Values, lists, numbers, what is listed.

use redis::Value;

use super::*;

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
        wrong(store.incr("n", Number::Int(1))),
        ("whole number".to_owned(), "-9.5".to_owned())
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
    assert_eq!(
        (wanted.as_str(), found.as_str()),
        ("whole number", "\"abc\"")
    );
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
fn a_list_that_others_have_filled_with_texts_is_swapped_too() {
    let server = Running::start(false);
    let mut store = server.store();
    server.cli(&["RPUSH", "l", "hello", "1", "\"x\"", "a, b"]);
    let before = store.get("l").unwrap();
    assert_eq!(before, r#"["hello",1,"x","a, b"]"#);
    assert!(!store.swap("l", Some(r#"["hello",1,"x"]"#), Some("[2]")));
    assert!(!store.swap("l", Some(r#"[1,"x"]"#), Some("[2]")));
    assert!(store.swap("l", Some(&before), Some("[2]")));
    assert_eq!(store.get("l").unwrap(), "[2]");
    // It is a value now, and an array.
    assert!(!store.swap("l", Some("[3]"), Some("[4]")));
    assert!(store.swap("l", Some("[2]"), Some("[4]")));
}

#[test]
fn what_is_no_text_is_named_and_does_no_harm() {
    let server = Running::start(false);
    let address = Address::parse(&format!("unix:{}", server.socket()), None).unwrap();
    let other = super::super::line::Server::new(address);
    let mut other = other.line(&|| false).unwrap();
    let bytes: &[u8] = &[0xff, 0x00, 0xfe];
    let mut put = |name: &str, key: &[u8]| {
        other
            .ask::<()>(redis::cmd(name).arg(key).arg(bytes))
            .unwrap();
    };
    put("SET", b"v");
    put("SET", bytes);
    put("RPUSH", b"l");
    put("RPUSH", b"q");
    let mut store = server.store();
    let none = ("JSON".to_owned(), "bytes that are no text".to_owned());
    for key in ["v", "l"] {
        let key = key.to_owned();
        let get = Call::Get { key: key.clone() };
        assert_eq!(wrong(store.ask(get)), none);
        let wait = Call::Wait {
            key,
            unlike: None,
            wait: Some(10_000),
        };
        assert_eq!(wrong(store.ask(wait)), none);
    }
    assert_eq!(wrong(store.pop("q", Some(0))), none);
    assert!(!store.swap("v", Some("1"), Some("2")));
    assert!(!store.swap("l", Some("[1]"), Some("2")));
    for (by, wanted) in [
        (Number::Int(1), "whole number"),
        (Number::Float(1.0), "number"),
    ] {
        let found = wrong(store.incr("v", by));
        assert_eq!(found, (wanted.to_owned(), none.1.clone()));
    }
    // Nor do names that are none hide the others.
    other
        .ask::<Value>(redis::cmd("SUBSCRIBE").arg(bytes))
        .unwrap();
    let subscribe = Call::Subscribe {
        pattern: "näws".to_owned(),
    };
    store.ask(subscribe);
    let names = |entries: Vec<Entry>| -> Vec<String> {
        entries.into_iter().map(|entry| entry.key).collect()
    };
    assert_eq!(names(store.keys("*", false)), ["l", "v"]);
    assert_eq!(names(store.keys("*", true)), ["l", "näws", "v"]);
    assert_eq!(names(store.keys("n?ws", true)), ["näws"]);
    store.set("v", "1");
    assert_eq!(store.get("v").unwrap(), "1");
}

#[test]
fn what_no_server_takes_is_not_sent() {
    let text = || "x".repeat(11);
    let key = || "k".to_owned();
    for call in [
        Call::Set {
            key: key(),
            value: text(),
            expire: None,
        },
        Call::Set {
            key: text(),
            value: key(),
            expire: None,
        },
        Call::Push {
            key: key(),
            values: vec![key(), text(), key()],
        },
        Call::Swap {
            key: key(),
            before: Some(text()),
            after: None,
        },
        Call::Publish {
            channel: key(),
            message: text(),
        },
    ] {
        let refused = super::super::too_large(&call, 10);
        assert!(
            matches!(
                refused,
                Some(Reply::Failed(Trouble::TooLarge { limit: 10, .. }))
            ),
            "{call:?}: {refused:?}"
        );
        assert_eq!(super::super::too_large(&call, 12), None);
    }
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
    assert_eq!(of("list").preview, "\"a\"");
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
fn the_age_of_what_anybody_changes_is_known_from_then_on() {
    let mut server = Running::start(true);
    server.cli(&["SET", "before", "1"]);
    server.cli(&["SET", "again", "1"]);
    let mut store = server.store();
    let ages = |store: &mut Redis| -> Vec<(String, Option<u64>)> {
        let entries = store.keys("*", true).into_iter();
        entries.map(|entry| (entry.key, entry.age)).collect()
    };
    let known = |store: &mut Redis, key: &str| {
        let all = ages(store);
        let found = all.into_iter().find(|(name, _)| name == key);
        found.unwrap_or_else(|| panic!("no {key}")).1
    };
    assert_eq!(known(&mut store, "again"), None);
    store.follow_ages();
    let patience = Instant::now() + Duration::from_secs(10);
    let until = |store: &mut Redis, key: &str| loop {
        match known(store, key) {
            Some(age) => return age,
            None => assert!(Instant::now() < patience, "{key}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    // Whoever changes it.
    server.cli(&["RPUSH", "list", "1"]);
    store.set("own", "1");
    server.cli(&["INCR", "again"]);
    for key in ["list", "own", "again"] {
        until(&mut store, key);
    }
    assert_eq!(known(&mut store, "before"), None);
    std::thread::sleep(Duration::from_millis(1_500));
    let age = until(&mut store, "own");
    assert!((1_500..9_000).contains(&age), "{age}");
    // To look at it is no change.
    store.get("own");
    assert!(until(&mut store, "own") >= age);
    server.cli(&["SET", "own", "2"]);
    let patience = Instant::now() + Duration::from_secs(10);
    while until(&mut store, "own") >= age {
        assert!(Instant::now() < patience, "it is not known to be changed");
    }
    // What happened while the server was gone is not known.
    server.restart();
    let patience = Instant::now() + Duration::from_secs(10);
    while known(&mut store, "own").is_some() {
        assert!(Instant::now() < patience, "it is not known");
        std::thread::sleep(Duration::from_millis(10));
    }
    while known(&mut store, "own").is_none() {
        assert!(Instant::now() < patience, "it is told again");
        server.cli(&["INCR", "own"]);
        std::thread::sleep(Duration::from_millis(50));
    }
}
