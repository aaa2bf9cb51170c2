//! Channels.

use super::*;

#[test]
fn messages_reach_those_who_listen_by_then() {
    on_each(|place| {
        let (mut one, mut other) = (place.caller(), place.caller());
        assert_eq!(one.publish("news", "1"), Reply::Count(0));
        let names = one.subscribe("news");
        let all = other.subscribe("n*s");
        assert_eq!(one.next(names, Some(0)), Reply::TimedOut);
        let began = Instant::now();
        assert_eq!(one.next(names, Some(150)), Reply::TimedOut);
        assert!(began.elapsed() >= Duration::from_millis(150));
        for number in 0..20 {
            assert_eq!(one.publish("news", &number.to_string()), Reply::Count(2));
        }
        assert_eq!(other.publish("nuts", "null"), Reply::Count(1));
        for number in 0..20 {
            for (store, subscription) in [(&mut one, names), (&mut other, all)] {
                let (channel, message, missed) = heard(store.next(subscription, Some(10_000)));
                assert_eq!((&*channel, missed), ("news", 0));
                assert_eq!(message, number.to_string(), "{}", place.name);
            }
        }
        assert_eq!(heard(other.next(all, None)).0, "nuts");
        assert_eq!(one.next(names, Some(0)), Reply::TimedOut);
        // Who has left hears nothing, and who comes back what comes then.
        one.ask(Call::Unsubscribe {
            subscription: names,
        });
        assert_eq!(
            one.next(names, Some(0)),
            Reply::Failed(Trouble::NoSubscription)
        );
        until(|| other.publish("news", "1") == Reply::Count(1));
        let again = one.subscribe("news");
        assert_eq!(one.next(again, Some(0)), Reply::TimedOut);
        other.publish("news", "\"again\"");
        assert_eq!(heard(one.next(again, Some(10_000))).1, "\"again\"");
    });
}

/// The server may need a moment until it knows that a connection is over.
fn until(mut is: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(10);
    while !is() {
        assert!(Instant::now() < patience);
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn channels_may_have_any_name_and_who_waits_is_woken() {
    on_each(|place| {
        let mut store = place.caller();
        for name in NAMES.into_iter().filter(|name| !name.contains('*')) {
            let subscription = store.subscribe(name);
            let mut other = place.caller();
            let told = std::thread::spawn({
                let name = name.to_owned();
                move || {
                    std::thread::sleep(Duration::from_millis(60));
                    other.publish(&name, "1")
                }
            });
            let (channel, _, _) = heard(store.next(subscription, None));
            assert_eq!(channel, name, "{}", place.name);
            assert_eq!(told.join().unwrap(), Reply::Count(1));
            store.ask(Call::Unsubscribe { subscription });
        }
        let subscription = store.subscribe("k?y [ä-ü]");
        until(|| store.publish("käy ö", "1") == Reply::Count(1));
        assert_eq!(heard(store.next(subscription, Some(10_000))).0, "käy ö");
    });
}

#[test]
fn who_is_slow_gets_all_that_waited() {
    on_each(|place| {
        let mut store = place.caller();
        let subscription = store.subscribe("c");
        let mut other = place.caller();
        for number in 0..2_000 {
            other.publish("c", &number.to_string());
        }
        // As large as all that may wait.
        let large = format!(
            "\"{}\"",
            "x".repeat(if place.is_redis() { 20 } else { 70 } << 20)
        );
        assert_eq!(other.publish("d", &large), Reply::Count(0));
        for number in 0..2_000 {
            let (_, message, missed) = heard(store.next(subscription, Some(10_000)));
            assert_eq!((message, missed), (number.to_string(), 0), "{}", place.name);
        }
        assert_eq!(other.publish("c", &large), Reply::Count(1));
        let (_, message, missed) = heard(store.next(subscription, Some(30_000)));
        assert!(message == large && missed == 0, "{}", place.name);
    });
}

#[test]
fn each_subscription_that_matches_gets_a_message_of_its_own() {
    on_each(|place| {
        let (mut store, mut other) = (place.caller(), place.caller());
        let all = ["foo", "f*", "*o", "bar", "*"].map(|pattern| store.subscribe(pattern));
        assert_eq!(other.publish("foo", "1"), Reply::Count(4), "{}", place.name);
        assert_eq!(other.publish("bar", "2"), Reply::Count(2));
        for (at, wanted) in [
            (0, &["1"][..]),
            (1, &["1"]),
            (2, &["1"]),
            (3, &["2"]),
            (4, &["1", "2"]),
        ] {
            for message in wanted {
                assert_eq!(heard(store.next(all[at], Some(10_000))).1, *message);
            }
            assert_eq!(store.next(all[at], Some(0)), Reply::TimedOut);
        }
        // One leaves, and the others stay.
        store.ask(Call::Unsubscribe {
            subscription: all[1],
        });
        until(|| other.publish("foo", "3") == Reply::Count(3));
        assert_eq!(heard(store.next(all[0], Some(10_000))).1, "3");
        assert_eq!(
            store.next(all[1], Some(0)),
            Reply::Failed(Trouble::NoSubscription)
        );
        // Twice is once.
        let again = Call::Unsubscribe {
            subscription: all[1],
        };
        assert_eq!(store.ask(again), Reply::Done);
    });
}

#[test]
fn one_at_a_time_waits_for_the_next_message_and_learns_that_it_is_over() {
    on_each(|place| {
        let mut store = place.caller();
        let subscription = store.subscribe("c");
        let next = |wait| Call::Next { subscription, wait };
        let waits = place.waits(next(None));
        assert_eq!(store.ask(next(Some(0))), Reply::TimedOut, "{}", place.name);
        match store.ask(next(Some(1000))) {
            Reply::Failed(Trouble::Refused { why }) => {
                assert!(why.contains("another thread"), "{why}")
            }
            other => panic!("{other:?} on {}", place.name),
        }
        // What comes is the first one's.
        assert_eq!(store.publish("c", "1"), Reply::Count(1));
        assert_eq!(heard(waits.join().unwrap()).1, "1");
        let waits = place.waits(next(None));
        store.ask(Call::Unsubscribe { subscription });
        let over = Reply::Failed(Trouble::NoSubscription);
        assert_eq!(waits.join().unwrap(), over, "{}", place.name);
    });
}
