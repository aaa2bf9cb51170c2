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
