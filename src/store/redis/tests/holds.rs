//! Locks and semaphores.

use super::super::holds::LEASE;
use super::*;

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
    // One that is told in time is enough: the machine may do something else.
    let (mut holds, mut is_told) = (first, false);
    for _ in 0..5 {
        let waiter = std::thread::spawn({
            let mut store = server.stranger(1);
            move || (fence(store.lock("l", None)), Instant::now(), store)
        });
        std::thread::sleep(Duration::from_millis(200));
        let released = Instant::now();
        assert_eq!(one.release(Kind::Lock, "l", holds), Reply::Is(true));
        let (second, when, mut other) = waiter.join().unwrap();
        assert!(second > holds);
        assert_eq!(one.release(Kind::Lock, "l", holds), Reply::Is(false));
        assert_eq!(other.release(Kind::Lock, "l", second), Reply::Is(true));
        is_told = when < released + Duration::from_millis(150);
        if is_told {
            break;
        }
        holds = fence(one.lock("l", Some(0)));
    }
    assert!(is_told, "who waits was not told");
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

/// How many wait for it.
fn waiting(server: &Running, kind: &str) -> u64 {
    let count = server.cli(&["ZCARD", &format!("regatta:queue:{kind}:l")]);
    count.parse().unwrap()
}

fn until(server: &Running, kind: &str, count: u64) {
    let patience = Instant::now() + Duration::from_secs(30);
    while waiting(server, kind) != count {
        assert!(Instant::now() < patience, "{count} do not wait for it");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn who_comes_first_is_served_first() {
    for (kind, name) in [(Kind::Lock, "lock"), (Kind::Semaphore, "semaphore")] {
        let server = Running::old();
        let mut one = server.stranger(0);
        let held = fence(one.hold(kind, "l", 1, Some(0)));
        let (told, order) = std::sync::mpsc::channel();
        let waiters: Vec<_> = (1..=12)
            .map(|number| {
                let (mut store, told) = (server.stranger(number), told.clone());
                let waiter = std::thread::spawn(move || {
                    let held = fence(store.hold(kind, "l", 1, None));
                    told.send(number).unwrap();
                    assert_eq!(store.release(kind, "l", held), Reply::Is(true));
                    held
                });
                until(&server, name, number as u64);
                waiter
            })
            .collect();
        // Whoever has had it does not get it again before those who wait.
        assert_eq!(one.release(kind, "l", held), Reply::Is(true));
        let again = fence(one.hold(kind, "l", 1, None));
        assert_eq!(
            order.try_iter().collect::<Vec<_>>(),
            (1..=12).collect::<Vec<_>>()
        );
        let fences: Vec<u64> = waiters.into_iter().map(|it| it.join().unwrap()).collect();
        assert!(
            fences.is_sorted() && fences.last() < Some(&again),
            "{fences:?}"
        );
        assert_eq!(waiting(&server, name), 0);
        assert_eq!(one.release(kind, "l", again), Reply::Is(true));
        assert_eq!(server.cli(&["EXISTS", &format!("regatta:{name}:l")]), "0");
    }
}

#[test]
fn nobody_is_let_in_before_those_who_wait() {
    let server = Running::old();
    let (mut one, mut other) = (server.stranger(0), server.stranger(1));
    let held = fence(one.lock("l", Some(0)));
    let waiter = std::thread::spawn({
        let mut store = server.stranger(2);
        move || (fence(store.lock("l", None)), store)
    });
    until(&server, "lock", 1);
    // Its place stays as long as it waits, and is the first one's when the lock is free.
    std::thread::sleep(LEASE + Duration::from_millis(500));
    assert_eq!(waiting(&server, "lock"), 1);
    one.release(Kind::Lock, "l", held);
    assert!(matches!(other.lock("l", Some(0)), Reply::Held { .. }));
    let (held, mut store) = waiter.join().unwrap();
    // Who does not wait any more has no place.
    assert!(matches!(other.lock("l", Some(50)), Reply::Held { .. }));
    assert_eq!(waiting(&server, "lock"), 0);
    let stops = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let interrupted = scope.spawn(|| {
            let acquire = Call::Acquire {
                kind: Kind::Lock,
                name: "l".to_owned(),
                limit: 1,
                lease: None,
                wait: None,
                who: Who::default(),
            };
            let stops = || stops.load(Ordering::Relaxed);
            server.stranger(3).call(&acquire, &stops)
        });
        until(&server, "lock", 1);
        stops.store(true, Ordering::Relaxed);
        assert_eq!(interrupted.join().unwrap(), Reply::Interrupted);
    });
    until(&server, "lock", 0);
    assert_eq!(store.release(Kind::Lock, "l", held), Reply::Is(true));
    fence(other.lock("l", Some(0)));
}

#[test]
fn waiters_that_die_keep_nobody_waiting() {
    let server = Running::old();
    let (mut one, mut other) = (server.stranger(0), server.stranger(1));
    let held = fence(one.lock("l", Some(0)));
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    let token = server.cli(&["GET", "regatta:lock:l"]);
    let ours = format!("\"pid\":{}", std::process::id());
    assert!(token.contains(&ours), "{token}");
    let dead = token.replace(&ours, &format!("\"pid\":{}", child.id()));
    // One whose process is gone, and one of another machine, of which nobody here can know.
    let place = |token: &str, number: &str, milliseconds: u128| {
        let now = std::time::SystemTime::now();
        let now = now.duration_since(std::time::UNIX_EPOCH).unwrap();
        let ends = (now.as_millis() + milliseconds).to_string();
        server.cli(&["ZADD", "regatta:queue:lock:l", number, token]);
        server.cli(&["ZADD", "regatta:places:lock:l", &ends, token]);
    };
    place(&dead, "1", 600_000);
    one.release(Kind::Lock, "l", held);
    let since = Instant::now();
    let held = fence(other.lock("l", None));
    assert!(since.elapsed() < LEASE / 2, "{:?}", since.elapsed());
    assert_eq!(other.release(Kind::Lock, "l", held), Reply::Is(true));
    place("elsewhere", "1", 2_000);
    assert!(matches!(one.lock("l", Some(0)), Reply::Held { .. }));
    let since = Instant::now();
    fence(one.lock("l", None));
    assert!(since.elapsed() < 2 * LEASE, "{:?}", since.elapsed());
    assert_eq!(waiting(&server, "lock"), 0);
}

#[test]
fn what_is_held_stays_held_and_is_given_back_when_memory_is_full() {
    let server = Running::old();
    let (mut one, mut other) = (server.stranger(0), server.stranger(1));
    let lock = fence(one.lock("l", Some(0)));
    let permit = fence(one.hold(Kind::Semaphore, "s", 1, Some(0)));
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    assert!(server.cli(&["SET", "x", "1"]).starts_with("OOM"));
    std::thread::sleep(LEASE + Duration::from_millis(500));
    assert_ne!(server.cli(&["EXISTS", "regatta:semaphore:s"]), "0");
    assert_eq!(one.release(Kind::Semaphore, "s", permit), Reply::Is(true));
    assert_eq!(one.release(Kind::Lock, "l", lock), Reply::Is(true));
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    fence(other.hold(Kind::Semaphore, "s", 1, Some(0)));
}
