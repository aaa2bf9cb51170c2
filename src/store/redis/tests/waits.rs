//! Calls that wait for others.

use super::*;

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
        ("list".to_owned(), "1".to_owned())
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
            when < changed + Duration::from_millis(1_900),
            "{change:?}: it was not told"
        );
    }
    // What is there already is not waited for.
    server.cli(&["SET", "w", "5"]);
    assert_eq!(store.ask(wait(None, None)), value("5"));
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
        move || store.meet("b", 3, 2, Some(950))
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
    // Who has just left in vain was there.
    let ranks: Vec<_> = here.iter().map(|who| who.rank.unwrap()).collect();
    assert_eq!(ranks, [0, 2]);
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
