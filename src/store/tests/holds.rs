//! Locks, semaphores and barriers.

use super::*;

fn held(reply: &Reply) -> usize {
    match reply {
        Reply::Held { by } => by.len(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_lock_is_held_by_one() {
    on_each(|place| {
        let (mut one, mut other) = (place.caller(), place.caller());
        let first = fence(&one.lock("l", None, Some(0)));
        assert_eq!(held(&other.lock("l", None, Some(0))), 1);
        // Not twice by the same one either.
        assert_eq!(held(&one.lock("l", None, Some(0))), 1);
        let began = Instant::now();
        assert_eq!(held(&one.lock("l", None, Some(150))), 1);
        assert!(began.elapsed() >= Duration::from_millis(150));
        // Neither a key nor a semaphore of this name has anything to do with it.
        one.set("l", "1");
        assert_eq!(one.keys("*"), ["l"]);
        fence(&one.ask(acquire(Kind::Semaphore, "l", 1, None, Some(0))));
        one.delete(&["l"]);
        assert_eq!(held(&other.lock("l", None, Some(0))), 1, "{}", place.name);
        assert_eq!(one.release(Kind::Lock, "l", first), Reply::Is(true));
        assert_eq!(one.release(Kind::Lock, "l", first), Reply::Is(false));
        let second = fence(&other.lock("l", None, None));
        assert!(second > first);
        // Who has it no more takes it from nobody.
        assert_eq!(one.release(Kind::Lock, "l", first), Reply::Is(false));
        assert_eq!(held(&one.lock("l", None, Some(0))), 1);
        assert_eq!(one.release(Kind::Lock, "none", 1), Reply::Is(false));
        assert_eq!(other.release(Kind::Lock, "l", second), Reply::Is(true));
        for name in NAMES {
            let number = fence(&one.lock(name, None, Some(0)));
            assert_eq!(held(&other.lock(name, None, Some(0))), 1, "{name:?}");
            assert_eq!(one.release(Kind::Lock, name, number), Reply::Is(true));
        }
    });
}

#[test]
fn a_lease_that_is_over_is_over_for_its_holder() {
    on_each(|place| {
        let (mut one, mut other) = (place.caller(), place.caller());
        let renew = |fence, lease| Call::Renew {
            kind: Kind::Lock,
            name: "l".to_owned(),
            fence,
            lease,
        };
        let first = fence(&one.lock("l", Some(2_000), Some(0)));
        assert_eq!(held(&other.lock("l", None, Some(0))), 1);
        // Who waits longer than the lease gets it.
        let second = fence(&other.lock("l", None, Some(60_000)));
        assert!(second > first, "{}", place.name);
        assert_eq!(one.ask(renew(first, Some(10_000))), Reply::Is(false));
        assert_eq!(one.release(Kind::Lock, "l", first), Reply::Is(false));
        assert_eq!(held(&one.lock("l", None, Some(0))), 1);
        assert_eq!(other.release(Kind::Lock, "l", second), Reply::Is(true));
        // Renewed, it begins anew; with none it stays.
        let third = fence(&one.lock("l", Some(3_000), Some(0)));
        for lease in [Some(3_000), Some(3_000), Some(3_000), None] {
            std::thread::sleep(Duration::from_millis(100));
            assert_eq!(one.ask(renew(third, lease)), Reply::Is(true));
        }
        std::thread::sleep(Duration::from_millis(3_200));
        assert_eq!(held(&other.lock("l", None, Some(0))), 1, "{}", place.name);
        assert_eq!(one.ask(renew(third + 100, None)), Reply::Is(false));
        // A lease of no time, and one of all time.
        assert_eq!(one.release(Kind::Lock, "l", third), Reply::Is(true));
        fence(&one.lock("l", Some(0), Some(0)));
        let last = fence(&other.lock("l", Some(u64::MAX), Some(10_000)));
        assert_eq!(other.ask(renew(last, Some(u64::MAX))), Reply::Is(true));
        assert_eq!(held(&one.lock("l", None, Some(0))), 1);
        assert_eq!(other.release(Kind::Lock, "l", last), Reply::Is(true));
    });
}

#[test]
fn no_two_are_inside_at_once() {
    on_each(|place| {
        let inside = std::sync::atomic::AtomicU32::new(0);
        let most = std::sync::atomic::AtomicU32::new(0);
        let last = std::sync::Mutex::new(0);
        let order = std::sync::atomic::Ordering::SeqCst;
        for (kind, limit) in [(Kind::Lock, 1), (Kind::Semaphore, 2)] {
            std::thread::scope(|scope| {
                for _ in 0..6 {
                    scope.spawn(|| {
                        let mut store = place.caller();
                        for _ in 0..10 {
                            let call = acquire(kind, "l", limit, None, None);
                            let number = fence(&store.ask(call));
                            let count = inside.fetch_add(1, order) + 1;
                            most.fetch_max(count, order);
                            assert!(count <= limit, "{count} on {}", place.name);
                            if kind == Kind::Lock {
                                let mut last = last.lock().unwrap();
                                assert!(number > *last, "{number} after {last}");
                                *last = number;
                            }
                            std::thread::sleep(Duration::from_millis(1));
                            inside.fetch_sub(1, order);
                            assert_eq!(store.release(kind, "l", number), Reply::Is(true));
                        }
                    });
                }
            });
            assert_eq!(most.swap(0, order), limit, "{}", place.name);
        }
    });
}

#[test]
fn a_semaphore_has_so_many_permits_and_never_more() {
    on_each(|place| {
        let mut store = place.caller();
        let enter = |limit, wait| acquire(Kind::Semaphore, "s", limit, None, wait);
        let one = fence(&store.ask(enter(2, Some(0))));
        let two = fence(&store.ask(enter(2, None)));
        let began = Instant::now();
        assert_eq!(held(&store.ask(enter(2, Some(120)))), 2);
        assert!(began.elapsed() >= Duration::from_millis(120));
        // What is given back twice makes no room for two.
        assert_eq!(store.release(Kind::Semaphore, "s", one), Reply::Is(true));
        assert_eq!(store.release(Kind::Semaphore, "s", one), Reply::Is(false));
        let three = fence(&store.ask(enter(2, Some(0))));
        assert_eq!(held(&store.ask(enter(2, Some(0)))), 2, "{}", place.name);
        // All say the same number.
        for limit in [1, 3, u32::MAX] {
            match store.ask(enter(limit, Some(0))) {
                Reply::Failed(Trouble::OtherSize { given, theirs, .. }) => {
                    assert_eq!((given, theirs), (limit, 2));
                }
                other => panic!("{other:?} on {}", place.name),
            }
        }
        for number in [two, three] {
            let released = store.release(Kind::Semaphore, "s", number);
            assert_eq!(released, Reply::Is(true));
        }
        // Free, it may become another one.
        let large = fence(&store.ask(enter(u32::MAX, Some(0))));
        assert_eq!(store.release(Kind::Semaphore, "s", large), Reply::Is(true));
    });
}

#[test]
fn nobody_enters_a_semaphore_without_permits_or_meets_at_a_barrier_for_nobody() {
    on_each(|place| {
        let mut store = place.caller();
        for (call, told) in [
            (acquire(Kind::Semaphore, "s", 0, None, Some(0)), "permit"),
            (acquire(Kind::Semaphore, "s", 0, None, None), "permit"),
            (barrier("b", 0, 0, Some(0)), "barrier"),
        ] {
            match store.ask(call) {
                Reply::Failed(Trouble::Refused { why }) => assert!(why.contains(told), "{why}"),
                other => panic!("{other:?} on {}", place.name),
            }
        }
    });
}

#[test]
fn a_barrier_is_passed_in_step_again_and_again() {
    const ALL: u32 = 5;
    on_each(|place| {
        let order = std::sync::atomic::Ordering::SeqCst;
        let counts = [0, 0].map(std::sync::atomic::AtomicU32::new);
        let places = std::sync::Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for rank in 0..ALL {
                let (counts, places) = (&counts, &places);
                scope.spawn(move || {
                    let mut store = place.caller();
                    let mut meet = || match store.ask(barrier("b", ALL, rank, Some(60_000))) {
                        Reply::Count(which) => which,
                        other => panic!("{other:?} on {}", place.name),
                    };
                    for pass in 0..10 {
                        counts[0].fetch_add(1, order);
                        assert_eq!(counts[1].load(order), pass * ALL);
                        let which = meet();
                        places.lock().unwrap().push(which);
                        counts[1].fetch_add(1, order);
                        assert_eq!(counts[0].load(order), (pass + 1) * ALL);
                        meet();
                    }
                });
            }
        });
        for mut round in places
            .into_inner()
            .unwrap()
            .chunks(ALL as usize)
            .map(<[u64]>::to_vec)
        {
            round.sort_unstable();
            assert!(round.into_iter().eq(0..u64::from(ALL)), "{}", place.name);
        }
    });
}

#[test]
fn a_barrier_that_was_not_reached_is_reached_later() {
    on_each(|place| {
        let mut store = place.caller();
        assert_eq!(store.ask(barrier("one", 1, 0, Some(0))), Reply::Count(0));
        let Reply::Missing { size, here } = store.ask(barrier("b", 3, 0, Some(0))) else {
            panic!("it is not reached on {}", place.name);
        };
        assert_eq!((size, here.len()), (3, 1));
        // Two wait, one of them not for long: the other waits on.
        let patient = place.waits(barrier("b", 3, 1, Some(60_000)));
        let hasty = place.waits(barrier("b", 3, 2, Some(300)));
        match store.ask(barrier("b", 2, 0, Some(0))) {
            Reply::Failed(Trouble::OtherSize { given, theirs, .. }) => {
                assert_eq!((given, theirs), (2, 3));
            }
            other => panic!("{other:?} on {}", place.name),
        }
        let Reply::Missing { here, .. } = hasty.join().unwrap() else {
            panic!("it is not reached on {}", place.name);
        };
        let ranks: Vec<_> = here.iter().filter_map(|who| who.rank).collect();
        assert!(ranks.contains(&1) && ranks.contains(&2), "{here:?}");
        assert!(!patient.is_finished());
        let again = place.waits(barrier("b", 3, 2, None));
        assert!(matches!(
            store.ask(barrier("b", 3, 0, Some(u64::MAX))),
            Reply::Count(_)
        ));
        for one in [patient, again] {
            assert!(matches!(one.join().unwrap(), Reply::Count(_)));
        }
        // All have left: it may be for another number.
        let two = place.waits(barrier("b", 2, 1, Some(60_000)));
        assert!(matches!(
            store.ask(barrier("b", 2, 0, None)),
            Reply::Count(_)
        ));
        assert!(matches!(two.join().unwrap(), Reply::Count(_)));
    });
}

#[test]
fn ten_who_want_two_permits_each_get_them_as_others_give_theirs_back() {
    // As multiprocessing's: one holds a permit of seven, ten want two each.
    on_each(|place| {
        let order = std::sync::atomic::Ordering::SeqCst;
        let (got, given) = (
            std::sync::atomic::AtomicU32::new(0),
            std::sync::Mutex::new(Vec::new()),
        );
        let enter = |wait| acquire(Kind::Semaphore, "s", 7, None, wait);
        let settles = |wanted| {
            let patience = Instant::now() + Duration::from_secs(20);
            while got.load(order) < wanted {
                assert!(
                    Instant::now() < patience,
                    "{} of {wanted} on {}",
                    got.load(order),
                    place.name
                );
                std::thread::sleep(Duration::from_millis(5));
            }
            std::thread::sleep(Duration::from_millis(100));
            assert_eq!(got.load(order), wanted, "{}", place.name);
        };
        let mut store = place.caller();
        let first = fence(&store.ask(enter(Some(0))));
        std::thread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| {
                    let mut store = place.caller();
                    for _ in 0..2 {
                        let number = fence(&store.ask(enter(None)));
                        got.fetch_add(1, order);
                        given.lock().unwrap().push(number);
                    }
                    // Until all is over: whoever is gone gives back what it has.
                    while got.load(order) < 20 {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                });
            }
            settles(6);
            let mut give_back = |numbers: Vec<u64>| {
                for number in numbers {
                    assert_eq!(store.release(Kind::Semaphore, "s", number), Reply::Is(true));
                }
            };
            give_back(vec![first]);
            settles(7);
            for wanted in [14, 20] {
                let numbers = std::mem::take(&mut *given.lock().unwrap());
                give_back(
                    numbers
                        .into_iter()
                        .take(wanted - got.load(order) as usize)
                        .collect(),
                );
                settles(wanted as u32);
            }
        });
        let numbers = given.into_inner().unwrap();
        assert!(numbers.len() >= 6, "{numbers:?}");
    });
}

#[test]
fn who_takes_its_own_lock_again_waits_for_the_end_of_the_lease() {
    on_each(|place| {
        let (mut store, mut other) = (place.caller(), place.caller());
        let first = fence(&store.lock("l", Some(2_000), Some(0)));
        assert_eq!(held(&store.lock("l", None, Some(0))), 1);
        assert_eq!(held(&store.lock("l", None, Some(25))), 1);
        // It waits longer than its own lease is, which begins when it has it.
        let second = fence(&store.lock("l", Some(1_000), None));
        assert!(second > first, "{}", place.name);
        assert_eq!(held(&other.lock("l", None, Some(0))), 1, "{}", place.name);
        let renew = Call::Renew {
            kind: Kind::Lock,
            name: "l".to_owned(),
            fence: second,
            lease: Some(200),
        };
        assert_eq!(store.ask(renew), Reply::Is(true), "{}", place.name);
        // Given back too late, twice, and in time.
        assert_eq!(store.release(Kind::Lock, "l", first), Reply::Is(false));
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(store.release(Kind::Lock, "l", second), Reply::Is(false));
        let third = fence(&store.lock("l", Some(60_000), Some(0)));
        assert!(third > second);
        assert_eq!(store.release(Kind::Lock, "l", third), Reply::Is(true));
        assert_eq!(store.release(Kind::Lock, "l", third), Reply::Is(false));
    });
}

#[test]
fn fences_grow_from_store_to_store() {
    // A resource that has seen a number of yesterday's session takes today's.
    let fences = std::cell::RefCell::new([0, 0]);
    for _ in 0..3 {
        on_each(|place| {
            let mut store = place.caller();
            for kind in [Kind::Lock, Kind::Semaphore] {
                let number = fence(&store.ask(acquire(kind, "l", 1, None, Some(0))));
                let last = &mut fences.borrow_mut()[usize::from(place.is_redis())];
                assert!(number > *last, "{number} after {last} on {}", place.name);
                *last = number;
            }
        });
    }
}

#[test]
fn those_who_leave_a_barrier_together_do_not_miss_each_other() {
    on_each(|place| {
        let ranks = |reply: Reply| match reply {
            Reply::Missing { size: 4, here } => {
                let mut ranks: Vec<_> = here.iter().filter_map(|who| who.rank).collect();
                ranks.sort_unstable();
                ranks
            }
            other => panic!("{other:?} on {}", place.name),
        };
        let all: Vec<_> = (0..3)
            .map(|rank| place.waits(barrier("b", 4, rank, Some(2000))))
            .collect();
        for one in all {
            assert_eq!(ranks(one.join().unwrap()), [0, 1, 2], "{}", place.name);
        }
        // Who has come again is there once, and what was is over once it has opened.
        let mut store = place.caller();
        let patient = place.waits(barrier("b", 4, 0, Some(60_000)));
        assert_eq!(ranks(store.ask(barrier("b", 4, 1, Some(50)))), [0, 1]);
        assert_eq!(
            ranks(store.ask(barrier("b", 4, 1, Some(50)))),
            [0, 1],
            "{}",
            place.name
        );
        let others = [1, 2].map(|rank| place.waits(barrier("b", 4, rank, Some(60_000))));
        assert_eq!(store.ask(barrier("b", 4, 3, Some(10_000))), Reply::Count(3));
        for one in others.into_iter().chain([patient]) {
            assert!(matches!(one.join().unwrap(), Reply::Count(_)));
        }
        assert_eq!(
            ranks(store.ask(barrier("b", 4, 3, Some(0)))),
            [3],
            "{}",
            place.name
        );
    });
}
