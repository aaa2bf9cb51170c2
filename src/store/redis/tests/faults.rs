//! Servers that go and come back.

use super::*;

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
        began.elapsed() < Duration::from_secs(5),
        "nobody ever was there"
    );
}

#[test]
fn each_wait_goes_on_or_says_so_when_the_server_starts_anew() {
    let mut server = Running::start(true);
    server.forgets_nothing();
    let mut holder = server.stranger(0);
    let held = fence(holder.lock("l", Some(0)));
    let mut listener = server.store();
    let Reply::Subscribed { subscription } = listener.ask(Call::Subscribe {
        pattern: "c".to_owned(),
    }) else {
        panic!("no subscription")
    };
    let next = move |wait| Call::Next { subscription, wait };
    let wait = Call::Wait {
        key: "w".to_owned(),
        unlike: None,
        wait: Some(60_000),
    };
    let waits = |ask: Box<dyn FnOnce(&mut Redis) -> Reply + Send>, number| {
        let mut store: Redis = server.stranger(number);
        std::thread::spawn(move || ask(&mut store))
    };
    let waiting = [
        waits(Box::new(|store| store.pop("q", Some(60_000))), 1),
        waits(Box::new(|store| store.lock("l", Some(60_000))), 2),
        waits(Box::new(|store| store.meet("b", 2, 1, Some(60_000))), 3),
        waits(Box::new(move |store| store.ask(wait)), 4),
    ];
    let listens = std::thread::spawn(move || (listener.ask(next(Some(60_000))), listener));
    std::thread::sleep(Duration::from_millis(300));
    server.restart();
    let lost = |reply: &Reply| matches!(reply, Reply::Failed(Trouble::Lost { .. }));
    let (reply, mut listener) = listens.join().unwrap();
    assert!(lost(&reply), "{reply:?}");
    let [pop, lock, meet, wait] = waiting;
    // Of a value it is not known whether it came.
    let reply = pop.join().unwrap();
    assert!(lost(&reply), "{reply:?}");
    // The others wait on for what has not come yet.
    std::thread::sleep(Duration::from_millis(300));
    for one in [&lock, &meet, &wait] {
        assert!(!one.is_finished());
    }
    assert_eq!(holder.release(Kind::Lock, "l", held), Reply::Is(true));
    assert!(fence(lock.join().unwrap()) > held);
    assert_eq!(holder.meet("b", 2, 0, Some(10_000)), Reply::Count(1));
    assert_eq!(meet.join().unwrap(), Reply::Count(0));
    server.cli(&["SET", "w", "1"]);
    assert_eq!(wait.join().unwrap(), value("1"));
    // And what was lost goes on with the next call.
    assert_eq!(listener.ask(next(Some(0))), Reply::TimedOut);
    server.cli(&["PUBLISH", "c", "5"]);
    let heard = listener.ask(next(Some(10_000)));
    assert!(
        matches!(&heard, Reply::Message { message, .. } if message == "5"),
        "{heard:?}"
    );
    holder.push("q", &["6"]);
    assert_eq!(listener.pop("q", Some(10_000)), value("6"));
}

#[test]
fn ages_are_known_once_a_server_is_back_that_could_not_be_asked_at_first() {
    let mut server = Running::start(true);
    let mut store = server.store();
    store.set("own", "1");
    server.kill();
    store.follow_ages();
    server.restart();
    let patience = Instant::now() + Duration::from_secs(20);
    while store.keys("own", true)[0].age.is_none() {
        assert!(Instant::now() < patience, "nobody tells");
        server.cli(&["INCR", "own"]);
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_listener_whom_the_server_gives_up_is_told_and_listens_on() {
    let server = Running::old();
    server.cli(&[
        "CONFIG",
        "SET",
        "client-output-buffer-limit",
        "pubsub 1mb 0 0",
    ]);
    let mut store = server.store();
    let Reply::Subscribed { subscription } = store.ask(Call::Subscribe {
        pattern: "c".to_owned(),
    }) else {
        panic!("no subscription")
    };
    let mut other = server.stranger(0);
    let large = format!("\"{}\"", "x".repeat(600_000));
    let mut publish = |message: &str| {
        other.ask(Call::Publish {
            channel: "c".to_owned(),
            message: message.to_owned(),
        })
    };
    // It does not listen, until the server has no more room for it.
    let patience = Instant::now() + Duration::from_secs(10);
    while publish(&large) == Reply::Count(1) {
        assert!(Instant::now() < patience, "there is room without end");
    }
    let next = |wait| Call::Next { subscription, wait };
    let lost = loop {
        match store.ask(next(Some(10_000))) {
            Reply::Message { message, .. } => assert_eq!(message, large),
            other => break other,
        }
    };
    let Reply::Failed(Trouble::Lost { why, .. }) = lost else {
        panic!("{lost:?}")
    };
    assert!(
        why.contains("the subscription goes on with the next call"),
        "{why}"
    );
    assert_eq!(store.ask(next(Some(0))), Reply::TimedOut);
    assert_eq!(publish("3"), Reply::Count(1));
    let heard = store.ask(next(Some(10_000)));
    assert!(
        matches!(&heard, Reply::Message { message, .. } if message == "3"),
        "{heard:?}"
    );
}

/// How often the server is killed.
const KILLS: usize = 50;

#[test]
fn killed_servers_lose_no_acknowledged_call_and_give_no_lock_twice() {
    let seed = std::env::var("REGATTA_SEED")
        .ok()
        .and_then(|it| it.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    let _ = writeln!(std::io::stderr(), "REGATTA_SEED={seed}");
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
    let _ = writeln!(
        std::io::stderr(),
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
