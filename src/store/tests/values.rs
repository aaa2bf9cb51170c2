//! Values, numbers and times to live.

use super::*;

#[test]
fn keys_may_be_of_any_letters() {
    on_each(|place| {
        let mut store = place.caller();
        for (at, name) in NAMES.into_iter().enumerate() {
            store.set(name, &at.to_string());
        }
        for (at, name) in NAMES.into_iter().enumerate() {
            assert_eq!(store.get(name), Some(at.to_string()), "{name:?}");
            assert_eq!(
                store.incr(name, Number::Int(10)),
                Reply::Number(Number::Int(at as i64 + 10))
            );
        }
        let mut names = NAMES.map(str::to_owned).to_vec();
        names.sort();
        assert_eq!(store.keys("*"), names, "{}", place.name);
        assert_eq!(store.delete(&NAMES), Reply::Count(NAMES.len() as u64));
        let long = "long ".repeat(200_000);
        store.set(&long, "1");
        assert_eq!(store.keys("long *"), [&*long], "{}", place.name);
        assert_eq!(store.take(&long).as_deref(), Some("1"));
        for name in NAMES {
            assert_eq!(store.push(name, &["1", "2"]), Reply::Count(2), "{name:?}");
            assert_eq!(store.pop(name, Some(1000)), value("1"));
            assert_eq!(store.take(name).as_deref(), Some("[2]"));
        }
        assert!(store.keys("*").is_empty());
    });
}

#[test]
fn values_stay_as_they_are_written() {
    on_each(|place| {
        let mut store = place.caller();
        for json in [
            "null",
            "true",
            "18446744073709551615",
            "-170141183460469231731687303715884105728",
            "1.7976931348623157e308",
            "5e-324",
            "-0.0",
            "\"\"",
            "\"a\\u0000b \\\"q\\\" 🔑\"",
            "[]",
            "{}",
            "{\"a\":[1,{\"b\":null}]}",
            "[[[[[[[[]]]]]]]]",
            " 1",
        ] {
            store.set("v", json);
            assert_eq!(store.get("v").as_deref(), Some(json), "{}", place.name);
            assert_eq!(store.swap("v", Some(json), Some("1")), Reply::Is(true));
            store.push("l", &[json]);
            assert_eq!(store.pop("l", Some(0)), value(json));
        }
        // One that is there and null is not one that is not there.
        store.set("n", "null");
        assert_eq!(store.swap("n", None, Some("1")), Reply::Is(false));
        assert_eq!(store.get("nothing"), None);
    });
}

#[test]
fn large_values_come_back_whole() {
    on_each(|place| {
        let mut store = place.caller();
        let large = format!("\"{}\"", "0123456789".repeat(10_000_000));
        store.set("large", &large);
        assert!(store.get("large") == Some(large.clone()), "{}", place.name);
        assert_eq!(store.push("list", &[&large, "1"]), Reply::Count(2));
        assert!(store.pop("list", None) == value(&large));
        assert_eq!(
            store.swap("large", Some(&large), Some("2")),
            Reply::Is(true)
        );
        assert_eq!(store.get("large").as_deref(), Some("2"));
        let preview = "x".repeat(100_000);
        store.set("large", &format!("\"{preview}\""));
        let (_, found) = wrong(store.push("large", &["1"]));
        assert!(found.chars().count() < 100, "{found}");
    });
}

#[test]
fn numbers_count_as_those_of_redis() {
    on_each(|place| {
        let mut store = place.caller();
        let int = |number| Reply::Number(Number::Int(number));
        assert_eq!(store.incr("a", Number::Int(-1)), int(-1));
        assert_eq!(store.incr("a", Number::Int(-1)), int(-2));
        assert_eq!(store.incr("a", Number::Int(5)), int(3));
        assert_eq!(store.incr("a", Number::Int(0)), int(3));
        assert_eq!(store.get("a").as_deref(), Some("3"));
        // At the ends, where nothing changes any more.
        store.set("a", &i64::MAX.to_string());
        overflows(&store.incr("a", Number::Int(1)));
        assert_eq!(store.get("a"), Some(i64::MAX.to_string()));
        assert_eq!(store.incr("a", Number::Int(i64::MIN)), int(-1));
        store.set("a", &i64::MIN.to_string());
        overflows(&store.incr("a", Number::Int(-1)));
        // A whole number that is larger than they count to is one, all the same.
        for number in [
            u64::MAX.to_string(),
            i128::MIN.to_string(),
            "9223372036854775808".to_owned(),
        ] {
            store.set("a", &number);
            overflows(&store.incr("a", Number::Int(-1)));
            assert_eq!(store.get("a"), Some(number), "{}", place.name);
        }
        for (json, shown) in [
            ("\"5\"", "\"5\""),
            ("\"five\"", "\"five\""),
            ("1.5", "1.5"),
            ("true", "true"),
            ("null", "null"),
            ("[1]", "[1]"),
            ("1e3", "1e3"),
        ] {
            store.set("a", json);
            let found = wrong(store.incr("a", Number::Int(1)));
            assert_eq!(found, ("whole number".to_owned(), shown.to_owned()));
            assert_eq!(store.get("a").as_deref(), Some(json));
        }
        store.push("l", &["1"]);
        let found = wrong(store.incr("l", Number::Int(1)));
        assert_eq!(found, ("number".to_owned(), "a list".to_owned()));
    });
}

#[test]
fn floats_add_up_as_a_program_adds_them() {
    on_each(|place| {
        let mut store = place.caller();
        let float = |number| Reply::Number(Number::Float(number));
        for (before, by) in [
            ("0", 1.1),
            ("1", 1.1),
            ("0.1", 0.2),
            ("2.5", 0.5),
            ("-1", 1.0),
            ("1e300", 1e300),
            ("1e-30", 2e-30),
            ("0", 5e-324),
            ("0", 1e22),
            ("1E+2", 0.0),
            ("9007199254740993", 0.5),
            ("18446744073709551615", 1.0),
        ] {
            store.set("f", before);
            let sum = before.parse::<f64>().unwrap() + by;
            assert_eq!(
                store.incr("f", Number::Float(by)),
                float(sum),
                "{before} + {by} on {}",
                place.name
            );
            let kept = store.get("f").unwrap();
            assert_eq!(kept.parse::<f64>().unwrap(), sum, "{kept}");
            assert!(kept.len() < 30, "{kept}");
            // It stays a float, for who counts in whole numbers.
            assert_eq!(wrong(store.incr("f", Number::Int(1))).0, "whole number");
        }
        store.delete(&["f"]);
        assert_eq!(store.incr("f", Number::Float(0.25)), float(0.25));
        store.set("f", "1.7976931348623157e308");
        for by in [f64::MAX, f64::INFINITY, f64::NAN] {
            overflows(&store.incr("f", Number::Float(by)));
        }
        assert_eq!(store.get("f").as_deref(), Some("1.7976931348623157e308"));
        for json in ["\"1.5\"", "null", "[1.5]", "\"0x10\"", "\" 5 \""] {
            store.set("f", json);
            assert_eq!(wrong(store.incr("f", Number::Float(1.0))).0, "number");
        }
    });
}

#[test]
fn keys_go_at_their_time_and_not_before() {
    on_each(|place| {
        let mut store = place.caller();
        let there = |is| Reply::Is(is);
        assert_eq!(store.expire("a", Some(10_000)), there(false));
        assert_eq!(store.expire("a", None), there(false));
        store.set("a", "1");
        assert_eq!(store.left("a"), None);
        assert_eq!(store.expire("a", Some(10_000)), there(true));
        let left = store.left("a").unwrap();
        assert!(left > 8_000 && left <= 10_000, "{left}");
        // The later word counts.
        assert_eq!(store.expire("a", Some(100_000)), there(true));
        assert!(store.left("a").unwrap() > 10_000);
        assert_eq!(store.expire("a", None), there(true));
        assert_eq!(store.left("a"), None);
        // What adds keeps the time, what sets anew does not.
        store.expire("a", Some(50_000));
        store.incr("a", Number::Int(1));
        store.incr("a", Number::Float(0.5));
        assert_eq!(store.swap("a", Some("2.5"), Some("3")), there(true));
        assert!(store.left("a").is_some(), "{}", place.name);
        store.set("a", "1");
        assert_eq!(store.left("a"), None);
        store.push("l", &["1"]);
        store.expire("l", Some(50_000));
        store.push("l", &["2"]);
        store.pop("l", Some(0));
        assert!(store.left("l").is_some());
        assert_eq!(store.swap("l", Some("[2]"), Some("[3]")), there(true));
        assert!(store.left("l").is_some());
        store.delete(&["l"]);
        store.push("l", &["1"]);
        assert_eq!(store.left("l"), None, "the new one is not the old one");
        // At once.
        assert_eq!(store.expire("a", Some(0)), there(true));
        assert_eq!(store.get("a"), None);
        store.set("a", "1");
        assert_eq!(store.set_for("a", "2", Some(0)), Reply::Done);
        assert_eq!(store.get("a"), None);
        // Longer than any clock runs.
        for long in [u64::MAX, u64::MAX / 2, i64::MAX as u64, 1 << 53] {
            assert_eq!(
                store.set_for("a", "1", Some(long)),
                Reply::Done,
                "{long} on {}",
                place.name
            );
            assert_eq!(store.get("a").as_deref(), Some("1"));
            store.set("a", "2");
            assert_eq!(store.expire("a", Some(long)), there(true));
            assert_eq!(store.get("a").as_deref(), Some("2"));
        }
        store.set_for("a", "1", Some(1_500));
        assert_eq!(store.get("a").as_deref(), Some("1"));
        std::thread::sleep(Duration::from_millis(1_700));
        assert_eq!(store.get("a"), None);
        assert_eq!(
            store.incr("a", Number::Int(1)),
            Reply::Number(Number::Int(1))
        );
        assert_eq!(store.left("a"), None);
    });
}

#[test]
fn what_is_deleted_or_taken_is_counted_once() {
    on_each(|place| {
        let mut store = place.caller();
        assert_eq!(store.delete(&["a"]), Reply::Count(0));
        assert_eq!(store.delete(&[]), Reply::Count(0));
        store.set("a", "1");
        store.push("b", &["1"]);
        assert_eq!(store.delete(&["a", "b", "a", "c"]), Reply::Count(2));
        assert_eq!((store.get("a"), store.get("b")), (None, None));
        assert_eq!(store.take("a"), None);
        store.set("a", "1");
        assert_eq!(store.take("a").as_deref(), Some("1"));
        assert_eq!(store.take("a"), None);
        store.push("b", &["1", "\"two\""]);
        assert_eq!(store.take("b").as_deref(), Some("[1,\"two\"]"));
        assert_eq!(store.take("b"), None, "{}", place.name);
        // Only if it was not there, and only if it was: as redis's nx and xx.
        assert_eq!(store.swap("a", None, Some("1")), Reply::Is(true));
        assert_eq!(store.swap("a", None, Some("2")), Reply::Is(false));
        assert_eq!(store.swap("b", Some("1"), Some("2")), Reply::Is(false));
        assert_eq!(store.swap("a", Some("1"), None), Reply::Is(true));
        assert_eq!(store.swap("a", None, None), Reply::Is(true));
        assert_eq!(store.get("a"), None);
    });
}

#[test]
fn patterns_match_letters_whatever_their_bytes() {
    on_each(|place| {
        let mut store = place.caller();
        for name in [
            "hello", "hällo", "h🔑llo", "hllo", "test_a", "test_b", "testc",
        ] {
            store.set(name, "1");
        }
        for (pattern, found) in [
            ("test_*", &["test_a", "test_b"][..]),
            ("test*", &["test_a", "test_b", "testc"]),
            ("h?llo", &["hello", "hällo", "h🔑llo"]),
            ("h[ä🔑]llo", &["hällo", "h🔑llo"]),
            ("h[à-å]llo", &["hällo"]),
            ("h[^e]llo", &["hällo", "h🔑llo"]),
            ("h*llo", &["hello", "hllo", "hällo", "h🔑llo"]),
            (r"h\ello", &["hello"]),
            ("nothing", &[]),
            ("", &[]),
        ] {
            assert_eq!(store.keys(pattern), found, "{pattern} on {}", place.name);
        }
    });
}

#[test]
fn many_callers_lose_no_change() {
    on_each(|place| {
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let mut store = place.caller();
                    for _ in 0..50 {
                        store.incr("n", Number::Int(1));
                        loop {
                            let before = store.get("m");
                            let number = before.as_deref().unwrap_or("0").parse::<u32>().unwrap();
                            let after = (number + 1).to_string();
                            if store.swap("m", before.as_deref(), Some(&after)) == Reply::Is(true) {
                                break;
                            }
                        }
                    }
                });
            }
        });
        let mut store = place.caller();
        assert_eq!(store.get("n").as_deref(), Some("300"), "{}", place.name);
        assert_eq!(store.get("m").as_deref(), Some("300"), "{}", place.name);
    });
}
