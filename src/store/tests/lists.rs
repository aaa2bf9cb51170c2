//! Lists as queues, and waiting for a value.

use super::*;

#[test]
fn a_list_gives_what_came_first() {
    on_each(|place| {
        let mut store = place.caller();
        assert_eq!(store.len("q"), Reply::Count(0));
        assert_eq!(store.pop("q", Some(0)), Reply::Value(None));
        for number in 0..20 {
            store.push("q", &[&number.to_string()]);
        }
        assert_eq!(store.len("q"), Reply::Count(20));
        for number in 0..20 {
            let wait = [Some(0), Some(1000), None, Some(u64::MAX)][number % 4];
            assert_eq!(store.pop("q", wait), value(&number.to_string()));
        }
        assert_eq!(store.len("q"), Reply::Count(0));
        assert_eq!(store.push("q", &[]), Reply::Count(0));
        assert!(store.keys("*").is_empty(), "{}", place.name);
        // As long as it was told to wait, and not shorter.
        for wait in [1, 120, 350] {
            let began = Instant::now();
            assert_eq!(store.pop("q", Some(wait)), Reply::Value(None));
            assert!(began.elapsed() >= Duration::from_millis(wait), "{wait}");
        }
    });
}

#[test]
fn of_several_who_wait_the_first_to_come_gets_the_first() {
    on_each(|place| {
        let waiting: Vec<_> = (0..5)
            .map(|_| place.waits(pop("q", Some(60_000))))
            .collect();
        // Longer than anything that might be done again meanwhile.
        std::thread::sleep(Duration::from_millis(500));
        let mut store = place.caller();
        store.push("q", &["0", "1"]);
        store.push("q", &["2"]);
        store.push("q", &["3", "4", "5"]);
        for (at, one) in waiting.into_iter().enumerate() {
            assert_eq!(
                one.join().unwrap(),
                value(&at.to_string()),
                "{}",
                place.name
            );
        }
        assert_eq!(store.take("q").as_deref(), Some("[5]"));
    });
}

#[test]
fn each_value_goes_to_one() {
    on_each(|place| {
        let mut got: Vec<u32> = std::thread::scope(|scope| {
            let takers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut store = place.caller();
                        let mut got = Vec::new();
                        loop {
                            match store.pop("q", None) {
                                Reply::Value(Some(end)) if end == "null" => return got,
                                Reply::Value(Some(number)) => got.push(number.parse().unwrap()),
                                other => panic!("{other:?}"),
                            }
                        }
                    })
                })
                .collect();
            let givers: Vec<_> = (0..3_u32)
                .map(|giver| {
                    scope.spawn(move || {
                        let mut store = place.caller();
                        for number in 0..50 {
                            store.push("q", &[&(giver * 50 + number).to_string()]);
                        }
                    })
                })
                .collect();
            for giver in givers {
                giver.join().unwrap();
            }
            place.caller().push("q", &["null"; 4]);
            let takers = takers.into_iter();
            takers.flat_map(|taker| taker.join().unwrap()).collect()
        });
        got.sort_unstable();
        assert!(got.into_iter().eq(0..150), "{}", place.name);
    });
}

#[test]
fn a_wait_that_is_ended_takes_nothing() {
    on_each(|place| {
        let mut store = place.caller();
        for _ in 0..5 {
            let stop = std::sync::atomic::AtomicBool::new(false);
            std::thread::scope(|scope| {
                let waits = scope.spawn(|| {
                    let stops = || stop.load(std::sync::atomic::Ordering::Relaxed);
                    place.caller().0.call(&pop("q", None), &stops)
                });
                std::thread::sleep(Duration::from_millis(60));
                stop.store(true, std::sync::atomic::Ordering::Relaxed);
                assert_eq!(waits.join().unwrap(), Reply::Interrupted, "{}", place.name);
            });
            assert_eq!(store.push("q", &["1"]), Reply::Count(1));
            assert_eq!(store.pop("q", Some(0)), value("1"));
        }
    });
}

#[test]
fn who_waits_for_a_list_is_told_that_it_has_become_something_else() {
    on_each(|place| {
        let waits = place.waits(pop("q", Some(60_000)));
        place.caller().set("q", "7");
        let found = ("list".to_owned(), "7".to_owned());
        assert_eq!(wrong(waits.join().unwrap()), found, "{}", place.name);
    });
}

#[test]
fn what_is_no_list_is_none() {
    on_each(|place| {
        let mut store = place.caller();
        store.set("v", "{\"a\":1}");
        let found = ("list".to_owned(), "{\"a\":1}".to_owned());
        assert_eq!(wrong(store.push("v", &["1"])), found);
        assert_eq!(wrong(store.pop("v", Some(0))), found);
        assert_eq!(wrong(store.pop("v", Some(500))), found);
        assert_eq!(wrong(store.pop("v", None)), found);
        assert_eq!(wrong(store.len("v")), found);
        assert_eq!(
            store.get("v").as_deref(),
            Some("{\"a\":1}"),
            "{}",
            place.name
        );
        // A list is replaced by a value, and read as an array.
        store.delete(&["v"]);
        store.push("v", &["1", "null"]);
        assert_eq!(store.get("v").as_deref(), Some("[1,null]"));
        store.set("v", "1");
        assert_eq!(store.get("v").as_deref(), Some("1"));
    });
}

#[test]
fn a_change_wakes_all_who_wait_for_it() {
    on_each(|place| {
        let wait = |unlike: Option<&str>, wait| Call::Wait {
            key: "w".to_owned(),
            unlike: unlike.map(str::to_owned),
            wait,
        };
        let mut store = place.caller();
        assert_eq!(store.ask(wait(None, Some(0))), Reply::TimedOut);
        let began = Instant::now();
        assert_eq!(store.ask(wait(None, Some(150))), Reply::TimedOut);
        assert!(began.elapsed() >= Duration::from_millis(150));
        let six: Vec<_> = (0..6).map(|_| place.waits(wait(None, None))).collect();
        store.set("w", "0");
        for one in six {
            assert_eq!(one.join().unwrap(), value("0"), "{}", place.name);
        }
        assert_eq!(store.ask(wait(None, Some(u64::MAX))), value("0"));
        // What was set to what it was is no change.
        let one = place.waits(wait(Some("0"), Some(60_000)));
        store.set("w", "0");
        store.incr("w", Number::Int(4));
        assert_eq!(one.join().unwrap(), value("4"));
        for (unlike, change) in [("4", "gone"), ("5", "over")] {
            let one = place.waits(wait(Some(unlike), Some(60_000)));
            match change {
                "gone" => _ = store.delete(&["w"]),
                _ => _ = store.expire("w", Some(50)),
            }
            assert_eq!(one.join().unwrap(), Reply::Value(None), "{change}");
            store.set("w", "5");
        }
    });
}
