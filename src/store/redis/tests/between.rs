//! What stands between a store and its server: a network that passes on pieces, or nothing any more without saying so.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::AtomicUsize;

use super::super::line::Server;
use super::*;

/// Passes everything on between a socket of its own and the server's.
struct Between {
    folder: tempfile::TempDir,
    /// Connections so far.
    count: Arc<AtomicUsize>,
    /// On those before this one nothing arrives any more, and nobody is told.
    dead: Arc<AtomicUsize>,
    /// What the server answers ends the connection.
    loses: Arc<AtomicBool>,
}

impl Between {
    /// In pieces of so many bytes at most from the server, with a pause before each.
    fn start(server: &Running, piece: usize, pause: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("redis.sock")).unwrap();
        let (count, dead) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let between = Self {
            folder,
            count: count.clone(),
            dead: dead.clone(),
            loses: Arc::default(),
        };
        let loses = between.loses.clone();
        let server = server.socket();
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let Ok(far) = UnixStream::connect(&server) else {
                    continue;
                };
                let (near_too, far_too) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                let (dead, dead_too) = (dead.clone(), dead.clone());
                let (all, never, loses) = (
                    (1 << 16, Duration::ZERO),
                    AtomicBool::new(false),
                    loses.clone(),
                );
                std::thread::spawn(move || pass(near_too, far_too, all, number, &dead_too, &never));
                std::thread::spawn(move || pass(far, near, (piece, pause), number, &dead, &loses));
            }
        });
        between
    }

    fn url(&self) -> String {
        format!("unix:{}", self.folder.path().join("redis.sock").display())
    }

    /// Those that are there hear nothing more.
    fn falls_silent(&self) {
        let count = self.count.load(Ordering::SeqCst);
        self.dead.store(count, Ordering::SeqCst);
    }
}

fn pass(
    mut from: UnixStream,
    mut to: UnixStream,
    (piece, pause): (usize, Duration),
    number: usize,
    dead: &AtomicUsize,
    loses: &AtomicBool,
) {
    let mut bytes = vec![0; piece];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        std::thread::sleep(pause);
        if loses.load(Ordering::SeqCst) {
            break;
        }
        if number >= dead.load(Ordering::SeqCst) && to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    if number >= dead.load(Ordering::SeqCst) {
        let _ = to.shutdown(std::net::Shutdown::Both);
    }
}

#[test]
fn an_answer_may_come_in_pieces() {
    let server = Running::old();
    // Longer than any wait looks at once.
    let between = Between::start(&server, 150, Duration::from_millis(70));
    let mut store = Redis::at_url(&between.url()).unwrap();
    let long = format!("\"{}\"", "x".repeat(600));
    store.set("k", &long);
    assert_eq!(store.get("k").unwrap(), long);
    store.push("q", &[&long, &long]);
    assert_eq!(store.pop("q", Some(0)), value(&long));
    assert_eq!(store.pop("q", None), value(&long));
    let waiter = std::thread::spawn({
        let mut store = Redis::at_url(&between.url()).unwrap();
        move || store.pop("q", Some(60_000))
    });
    let Reply::Subscribed { subscription } = store.ask(Call::Subscribe {
        pattern: "c".to_owned(),
    }) else {
        panic!("no subscription")
    };
    let mut direct = server.stranger(0);
    for message in [&long, "1", &long] {
        let (channel, message) = ("c".to_owned(), message.to_owned());
        assert_eq!(
            direct.ask(Call::Publish { channel, message }),
            Reply::Count(1)
        );
    }
    for wanted in [&long, "1", &long] {
        let next = |wait| Call::Next { subscription, wait };
        // Whoever only looks sees a part of it, and loses nothing.
        let message = loop {
            match store.ask(next(Some(0))) {
                Reply::TimedOut => {}
                Reply::Message { message, .. } => break message,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(message, wanted);
    }
    direct.push("q", &[&long]);
    assert_eq!(waiter.join().unwrap(), value(&long));
}

#[test]
fn whoever_listens_learns_that_the_network_is_gone_although_nothing_says_so() {
    let server = Running::old();
    let between = Between::start(&server, 1 << 16, Duration::ZERO);
    let mut store = Redis::at_url(&between.url()).unwrap();
    store.follow_ages();
    let known = |store: &mut Redis| {
        let entries = store.keys("own", true);
        entries.first().and_then(|entry| entry.age)
    };
    let patience = Instant::now() + Duration::from_secs(30);
    let told = |store: &mut Redis| {
        while known(store).is_none() {
            assert!(Instant::now() < patience, "nobody tells");
            server.cli(&["INCR", "own"]);
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    told(&mut store);
    let Reply::Subscribed { subscription } = store.ask(Call::Subscribe {
        pattern: "c".to_owned(),
    }) else {
        panic!("no subscription")
    };
    // What is idle is not used for the next call before it has answered.
    std::thread::sleep(Duration::from_millis(600));
    between.falls_silent();
    let next = |wait| Call::Next { subscription, wait };
    let lost = store.ask(next(Some(60_000)));
    assert!(
        matches!(lost, Reply::Failed(Trouble::Lost { .. })),
        "{lost:?}"
    );
    assert_eq!(store.ask(next(Some(0))), Reply::TimedOut);
    server.cli(&["PUBLISH", "c", "7"]);
    let heard = store.ask(next(Some(10_000)));
    assert!(
        matches!(&heard, Reply::Message { message, .. } if message == "7"),
        "{heard:?}"
    );
    // What was known of ages is not known any more, and then it is again.
    while known(&mut store).is_some() {
        assert!(Instant::now() < patience, "it is not known");
        std::thread::sleep(Duration::from_millis(50));
    }
    told(&mut store);
}

#[test]
fn a_value_is_not_lost_when_the_wait_for_it_cannot_be_ended() {
    let server = Running::old();
    let address = Address::parse(&format!("unix:{}", server.socket()), None).unwrap();
    let admin = Server::new(address);
    let mut admin = admin.line(&|| false).unwrap();
    let stop = AtomicBool::new(false);
    let mut store = server.stranger(0);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let key = "q".to_owned();
            let call = Call::Pop { key, wait: None };
            store.call(&call, &|| stop.load(Ordering::Relaxed))
        });
        std::thread::sleep(Duration::from_millis(300));
        // Nobody else is let in.
        let mut most = redis::cmd("CONFIG");
        most.arg("SET").arg("maxclients");
        admin.ask::<()>(most.clone().arg(2)).unwrap();
        stop.store(true, Ordering::Relaxed);
        assert_eq!(waiter.join().unwrap(), Reply::Interrupted);
        admin.ask::<()>(most.arg(1000)).unwrap();
        admin
            .ask::<u64>(redis::cmd("RPUSH").arg("q").arg(1).arg(2))
            .unwrap();
        let patience = Instant::now() + Duration::from_secs(10);
        while server.cli(&["LRANGE", "q", "0", "-1"]) != "1\n2" {
            assert!(Instant::now() < patience, "it is lost");
            std::thread::sleep(Duration::from_millis(10));
        }
    });
}

#[test]
fn a_call_to_which_nobody_answers_ends_and_does_not_say_that_nothing_was_done() {
    let server = Running::old();
    let between = Between::start(&server, 1 << 16, Duration::ZERO);
    let mut store = Redis::at_url(&between.url()).unwrap();
    store.set("k", "1");
    let stopped = |signal: &str| {
        let pid = server.child.id().to_string();
        let done = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(done.success());
    };
    stopped("-STOP");
    // It was idle, so it is asked first; that takes seconds, and no half minutes.
    std::thread::sleep(Duration::from_millis(600));
    let began = Instant::now();
    let reply = store.incr("k", Number::Int(1));
    let Reply::Failed(Trouble::Unavailable { why, .. }) = reply else {
        panic!("{reply:?}")
    };
    assert!(
        why.contains("there is no answer; nothing was changed"),
        "{why}"
    );
    assert!(
        began.elapsed() < Duration::from_secs(25),
        "it takes too long"
    );
    stopped("-CONT");
    assert_eq!(store.get("k").as_deref(), Some("1"));
    // The answer gets lost, and so do those of each time that it is tried again.
    between.loses.store(true, Ordering::SeqCst);
    let (key, value) = ("k".to_owned(), "2".to_owned());
    let set = Call::Set {
        key,
        value,
        expire: None,
    };
    let reply = store.ask(set);
    assert!(
        matches!(reply, Reply::Failed(Trouble::Lost { .. })),
        "{reply:?}"
    );
    assert_eq!(server.cli(&["GET", "k"]), "2");
    between.loses.store(false, Ordering::SeqCst);
    assert_eq!(store.get("k").as_deref(), Some("2"));
}
