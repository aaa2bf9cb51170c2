//! The state machine alone, with cases of redis-py's and of multiprocessing's own tests.

use regatta_cell::store::call::{Call, EntryKind, Kind, Number, Reply, Trouble, Who};

use super::{Client, State};

const A: Client = Client(1);
const B: Client = Client(2);
const C: Client = Client(3);

fn key(name: &str) -> String {
    name.to_owned()
}

fn set(name: &str, value: &str) -> Call {
    Call::Set {
        key: key(name),
        value: value.to_owned(),
        expire: None,
    }
}

fn get(name: &str) -> Call {
    Call::Get { key: key(name) }
}

fn push(name: &str, values: &[&str]) -> Call {
    Call::Push {
        key: key(name),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    }
}

fn pop(name: &str, wait: Option<u64>) -> Call {
    Call::Pop {
        key: key(name),
        wait,
    }
}

fn incr(name: &str, by: i64) -> Call {
    Call::Incr {
        key: key(name),
        by: Number::Int(by),
    }
}

fn value(json: &str) -> Reply {
    Reply::Value(Some(json.to_owned()))
}

fn who(rank: u32, size: u32) -> Who {
    Who {
        group: key("p0"),
        rank: Some(rank),
        size: Some(size),
        pid: 100 + rank,
    }
}

fn lock(lease: Option<u64>, wait: Option<u64>, rank: u32) -> Call {
    acquire(Kind::Lock, 1, lease, wait, rank)
}

fn acquire(kind: Kind, limit: u32, lease: Option<u64>, wait: Option<u64>, rank: u32) -> Call {
    Call::Acquire {
        kind,
        name: key("l"),
        limit,
        lease,
        wait,
        who: who(rank, 4),
    }
}

fn release(fence: u64) -> Call {
    Call::Release {
        kind: Kind::Lock,
        name: key("l"),
        fence,
    }
}

fn barrier(size: u32, wait: Option<u64>, rank: u32) -> Call {
    Call::Barrier {
        name: key("b"),
        size,
        wait,
        who: who(rank, 4),
    }
}

/// All answers that are due.
fn answers(state: &mut State) -> Vec<(Client, Reply)> {
    state.answers().collect()
}

/// The answer of a call that does not wait, and nobody else's.
#[track_caller]
fn now(state: &mut State, client: Client, call: Call) -> Reply {
    let at = state.now;
    state.call(client, call, at);
    let mut all = answers(state);
    assert_eq!(all.len(), 1, "{all:?}");
    let (whose, reply) = all.remove(0);
    assert_eq!(whose, client);
    reply
}

/// A call that waits.
#[track_caller]
fn waits(state: &mut State, client: Client, call: Call) {
    let at = state.now;
    state.call(client, call, at);
    assert_eq!(answers(state), []);
    assert!(state.is_waiting(client));
}

fn fence(reply: &Reply) -> u64 {
    match reply {
        Reply::Granted { fence } => *fence,
        other => panic!("not granted: {other:?}"),
    }
}

fn wrong(name: &str, wanted: &str, found: &str) -> Reply {
    Reply::Failed(Trouble::WrongType {
        key: key(name),
        wanted: wanted.to_owned(),
        found: found.to_owned(),
    })
}

#[test]
fn values_are_set_got_taken_and_deleted() {
    let s = &mut State::default();
    assert_eq!(now(s, A, get("x")), Reply::Value(None));
    assert_eq!(now(s, A, set("x", "1")), Reply::Done);
    assert_eq!(now(s, B, get("x")), value("1"));
    assert_eq!(now(s, B, Call::Take { key: key("x") }), value("1"));
    assert_eq!(now(s, B, Call::Take { key: key("x") }), Reply::Value(None));
    now(s, A, set("a", "1"));
    now(s, A, push("b", &["1", "2"]));
    let keys = ["a", "b", "c"].map(key).to_vec();
    assert_eq!(now(s, A, Call::Delete { keys }), Reply::Count(2));
    assert_eq!(now(s, A, get("b")), Reply::Value(None));
}

#[test]
fn counters_count_from_nothing_and_change_nothing_when_they_cannot() {
    let s = &mut State::default();
    let int = |n| Reply::Number(Number::Int(n));
    let float = |name: &str, by| Call::Incr {
        key: key(name),
        by: Number::Float(by),
    };
    assert_eq!(now(s, A, incr("n", 1)), int(1));
    assert_eq!(now(s, B, incr("n", -3)), int(-2));
    assert_eq!(
        now(s, A, float("n", 0.5)),
        Reply::Number(Number::Float(-1.5))
    );
    assert_eq!(now(s, A, get("n")), value("-1.5"));
    assert_eq!(now(s, A, incr("n", 1)), wrong("n", "whole number", "-1.5"));
    now(s, A, set("big", &i64::MAX.to_string()));
    let overflow = Reply::Failed(Trouble::Overflow { key: key("big") });
    assert_eq!(now(s, A, incr("big", 1)), overflow);
    assert_eq!(now(s, A, get("big")), value(&i64::MAX.to_string()));
    now(s, A, set("text", "\"a\""));
    assert_eq!(
        now(s, A, incr("text", 1)),
        wrong("text", "whole number", "\"a\"")
    );
    now(s, A, push("list", &["1"]));
    assert_eq!(
        now(s, A, incr("list", 1)),
        wrong("list", "number", "a list")
    );
}

#[test]
fn a_swap_needs_the_value_that_it_names() {
    let s = &mut State::default();
    let swap = |before: Option<&str>, after: Option<&str>| Call::Swap {
        key: key("x"),
        before: before.map(str::to_owned),
        after: after.map(str::to_owned),
    };
    assert_eq!(now(s, A, swap(Some("1"), Some("2"))), Reply::Is(false));
    assert_eq!(now(s, A, swap(None, Some("1"))), Reply::Is(true));
    assert_eq!(now(s, B, swap(None, Some("9"))), Reply::Is(false));
    assert_eq!(now(s, B, swap(Some("1"), Some("2"))), Reply::Is(true));
    assert_eq!(now(s, B, get("x")), value("2"));
    assert_eq!(now(s, B, swap(Some("2"), None)), Reply::Is(true));
    assert_eq!(now(s, B, get("x")), Reply::Value(None));
}

#[test]
fn lists_are_queues() {
    let s = &mut State::default();
    assert_eq!(now(s, A, push("q", &["1", "2"])), Reply::Count(2));
    assert_eq!(now(s, B, push("q", &["3"])), Reply::Count(3));
    assert_eq!(now(s, B, get("q")), value("[1,2,3]"));
    assert_eq!(now(s, B, Call::Len { key: key("q") }), Reply::Count(3));
    for json in ["1", "2", "3"] {
        assert_eq!(now(s, A, pop("q", Some(0))), value(json));
    }
    assert_eq!(now(s, A, pop("q", Some(0))), Reply::Value(None));
    assert_eq!(now(s, A, Call::Len { key: key("q") }), Reply::Count(0));
    assert_eq!(now(s, A, push("q", &[])), Reply::Count(0));
    now(s, A, set("x", "1"));
    assert_eq!(now(s, A, push("x", &["1"])), wrong("x", "list", "1"));
    assert_eq!(now(s, A, pop("x", None)), wrong("x", "list", "1"));
}

#[test]
fn who_waits_for_a_value_gets_the_first_that_comes_in_turn() {
    let s = &mut State::default();
    waits(s, A, pop("q", None));
    waits(s, B, pop("q", None));
    let at = s.now;
    s.call(C, push("q", &["1", "2", "3"]), at);
    assert_eq!(
        answers(s),
        [(A, value("1")), (B, value("2")), (C, Reply::Count(3))]
    );
    assert_eq!(now(s, C, get("q")), value("[3]"));
    assert!(!s.is_waiting(A));
}

#[test]
fn a_wait_ends_when_its_time_is_over() {
    let s = &mut State::default();
    waits(s, A, pop("q", Some(100)));
    // A part of the first millisecond has passed already.
    assert_eq!(s.next_due(), Some(101));
    s.pass(100);
    assert_eq!(answers(s), []);
    s.pass(101);
    assert_eq!(answers(s), [(A, Reply::Value(None))]);
    assert_eq!(s.next_due(), None);
    // And is not answered a second time.
    assert_eq!(now(s, B, push("q", &["1"])), Reply::Count(1));
}

#[test]
fn a_wait_that_was_cancelled_takes_nothing() {
    let s = &mut State::default();
    waits(s, A, pop("q", None));
    s.cancel(A, 0);
    assert_eq!(answers(s), [(A, Reply::Interrupted)]);
    s.cancel(A, 0);
    assert_eq!(answers(s), []);
    now(s, B, push("q", &["1"]));
    assert_eq!(now(s, B, pop("q", Some(0))), value("1"));
}

#[test]
fn a_client_that_is_gone_takes_nothing() {
    let s = &mut State::default();
    waits(s, A, pop("q", None));
    s.gone(A, 0);
    assert_eq!(now(s, B, push("q", &["1"])), Reply::Count(1));
    assert_eq!(now(s, B, pop("q", Some(0))), value("1"));
}

#[test]
fn keys_go_at_their_time() {
    let s = &mut State::default();
    let expiring = Call::Set {
        key: key("x"),
        value: key("1"),
        expire: Some(50),
    };
    now(s, A, expiring.clone());
    s.pass(49);
    assert_eq!(now(s, A, get("x")), value("1"));
    s.pass(50);
    assert_eq!(now(s, A, get("x")), Reply::Value(None));
    // A value that is set anew stays; one that counts keeps its time.
    now(s, A, expiring);
    now(s, A, incr("x", 1));
    assert_eq!(s.next_due(), Some(100));
    now(s, A, set("x", "1"));
    assert_eq!(s.next_due(), None);
    let expire = |after| Call::Expire {
        key: key("x"),
        after,
    };
    assert_eq!(now(s, A, expire(Some(10))), Reply::Is(true));
    assert_eq!(s.next_due(), Some(60));
    assert_eq!(now(s, A, expire(None)), Reply::Is(true));
    assert_eq!(s.next_due(), None);
    assert_eq!(now(s, A, expire(Some(0))), Reply::Is(true));
    assert_eq!(now(s, A, expire(Some(10))), Reply::Is(false));
}

#[test]
fn a_change_wakes_who_waits_for_it() {
    let s = &mut State::default();
    let wait = |unlike: Option<&str>| Call::Wait {
        key: key("x"),
        unlike: unlike.map(str::to_owned),
        wait: Some(100),
    };
    waits(s, A, wait(None));
    s.call(B, set("x", "1"), 0);
    assert_eq!(answers(s), [(A, value("1")), (B, Reply::Done)]);
    assert_eq!(now(s, A, wait(None)), value("1"));
    waits(s, A, wait(Some("1")));
    assert_eq!(now(s, B, set("x", "1")), Reply::Done);
    s.call(B, Call::Take { key: key("x") }, 0);
    assert_eq!(answers(s), [(A, Reply::Value(None)), (B, value("1"))]);
    waits(s, A, wait(None));
    s.pass(101);
    assert_eq!(answers(s), [(A, Reply::TimedOut)]);
    // What one takes off is a change for another.
    now(s, C, push("x", &["1"]));
    waits(s, A, wait(Some("[1]")));
    s.call(C, pop("x", Some(0)), 100);
    assert_eq!(answers(s), [(A, Reply::Value(None)), (C, value("1"))]);
}

#[test]
fn a_lock_is_held_by_one_and_handed_on_in_turn() {
    let s = &mut State::default();
    let first = fence(&now(s, A, lock(None, None, 0)));
    assert_eq!(
        now(s, B, lock(None, Some(0), 1)),
        Reply::Held {
            by: vec![who(0, 4)]
        }
    );
    waits(s, B, lock(None, None, 1));
    waits(s, C, lock(None, None, 2));
    s.call(A, release(first), 0);
    let all = answers(s);
    assert_eq!(all.len(), 2);
    assert_eq!((all[0].0, &all[1]), (B, &(A, Reply::Is(true))));
    let second = fence(&all[0].1);
    assert!(second > first);
    // Twice is once.
    assert_eq!(now(s, A, release(first)), Reply::Is(false));
    assert!(s.is_waiting(C));
}

#[test]
fn a_holder_that_is_gone_releases_its_locks() {
    let s = &mut State::default();
    let first = fence(&now(s, A, lock(None, None, 0)));
    waits(s, B, lock(None, Some(1000), 1));
    s.gone(A, 5);
    let all = answers(s);
    assert_eq!(all.len(), 1);
    assert!(all[0].0 == B && fence(&all[0].1) > first);
    assert_eq!(s.next_due(), None);
    s.gone(B, 5);
    assert_eq!(
        now(
            s,
            C,
            Call::Keys {
                pattern: key("*"),
                details: true
            }
        ),
        Reply::Keys(vec![])
    );
}

#[test]
fn a_waiter_that_is_gone_is_passed_over() {
    let s = &mut State::default();
    let first = fence(&now(s, A, lock(None, None, 0)));
    waits(s, B, lock(None, None, 1));
    waits(s, C, lock(None, None, 2));
    s.gone(B, 0);
    s.call(A, release(first), 0);
    let all = answers(s);
    assert_eq!((all[0].0, all[1].0), (C, A));
}

#[test]
fn a_lease_ends_what_it_was_given_for() {
    let s = &mut State::default();
    let first = fence(&now(s, A, lock(Some(100), None, 0)));
    waits(s, B, lock(Some(100), None, 1));
    s.pass(60);
    let renew = |fence| Call::Renew {
        kind: Kind::Lock,
        name: key("l"),
        fence,
        lease: Some(100),
    };
    assert_eq!(now(s, A, renew(first)), Reply::Is(true));
    s.pass(150);
    assert_eq!(answers(s), []);
    s.pass(160);
    let all = answers(s);
    assert_eq!(all[0].0, B);
    assert!(fence(&all[0].1) > first);
    // Whose lease is over can neither renew nor release what another has by now.
    assert_eq!(now(s, A, renew(first)), Reply::Is(false));
    assert_eq!(now(s, A, release(first)), Reply::Is(false));
    assert_eq!(
        now(s, C, lock(None, Some(0), 2)),
        Reply::Held {
            by: vec![who(1, 4)]
        }
    );
}

#[test]
fn who_waits_in_vain_learns_who_holds_it_then() {
    let s = &mut State::default();
    now(s, A, lock(None, None, 0));
    waits(s, B, lock(None, Some(10), 1));
    s.pass(11);
    let by = vec![who(0, 4)];
    assert_eq!(answers(s), [(B, Reply::Held { by })]);
}

#[test]
fn a_semaphore_lets_so_many_in() {
    let s = &mut State::default();
    let two = |wait, rank| acquire(Kind::Semaphore, 2, None, wait, rank);
    let first = fence(&now(s, A, two(None, 0)));
    fence(&now(s, B, two(None, 1)));
    waits(s, C, two(None, 2));
    // A lock of the same name is another thing.
    let lock = fence(&now(s, Client(9), lock(None, Some(0), 3)));
    now(s, Client(9), release(lock));
    let other = acquire(Kind::Semaphore, 3, None, None, 3);
    assert_eq!(
        now(s, Client(4), other),
        Reply::Failed(Trouble::OtherSize {
            name: key("l"),
            given: 3,
            theirs: 2
        })
    );
    let release = Call::Release {
        kind: Kind::Semaphore,
        name: key("l"),
        fence: first,
    };
    s.call(A, release, 0);
    let all = answers(s);
    assert_eq!((all[0].0, &all[1]), (C, &(A, Reply::Is(true))));
}

#[test]
fn a_barrier_lets_all_go_once_all_are_there_and_again() {
    let s = &mut State::default();
    for _ in 0..2 {
        waits(s, A, barrier(3, None, 0));
        waits(s, B, barrier(3, None, 1));
        s.call(C, barrier(3, None, 2), 0);
        let all: Vec<_> = answers(s);
        let expected = [(A, 0), (B, 1), (C, 2)].map(|(client, at)| (client, Reply::Count(at)));
        assert_eq!(all, expected);
    }
    assert_eq!(now(s, A, barrier(1, None, 0)), Reply::Count(0));
}

#[test]
fn a_barrier_says_who_was_there_and_goes_on_without_who_left() {
    let s = &mut State::default();
    waits(s, A, barrier(3, Some(10), 0));
    waits(s, B, barrier(3, None, 2));
    assert_eq!(
        now(s, C, barrier(4, None, 1)),
        Reply::Failed(Trouble::OtherSize {
            name: key("b"),
            given: 4,
            theirs: 3
        })
    );
    s.pass(11);
    let here = vec![who(0, 4), who(2, 4)];
    assert_eq!(answers(s), [(A, Reply::Missing { size: 3, here })]);
    waits(s, A, barrier(3, None, 0));
    s.gone(B, 20);
    assert_eq!(
        now(s, C, barrier(3, Some(0), 1)),
        Reply::Missing {
            size: 3,
            here: vec![who(0, 4), who(1, 4)]
        }
    );
    waits(s, C, barrier(3, None, 1));
    s.call(B, barrier(3, None, 2), 20);
    assert_eq!(answers(s).len(), 3);
}

#[test]
fn those_whose_time_is_over_together_are_not_missing_to_each_other() {
    let s = &mut State::default();
    waits(s, A, barrier(3, Some(10), 0));
    waits(s, B, barrier(3, Some(10), 2));
    s.pass(11);
    let here = vec![who(0, 4), who(2, 4)];
    let missing = |client| {
        (
            client,
            Reply::Missing {
                size: 3,
                here: here.clone(),
            },
        )
    };
    assert_eq!(answers(s), [missing(A), missing(B)]);
    // The next time begins with nobody.
    let here = vec![who(1, 4)];
    assert_eq!(
        now(s, C, barrier(3, Some(0), 1)),
        Reply::Missing { size: 3, here }
    );
}

#[test]
fn subscribers_get_what_is_published_from_then_on() {
    let s = &mut State::default();
    let publish = |message: &str| Call::Publish {
        channel: key("news/1"),
        message: message.to_owned(),
    };
    let next = |wait| Call::Next {
        subscription: 1,
        wait,
    };
    let message = |json: &str| Reply::Message {
        channel: key("news/1"),
        message: json.to_owned(),
        missed: 0,
    };
    assert_eq!(now(s, B, publish("0")), Reply::Count(0));
    let subscribe = |pattern: &str| Call::Subscribe {
        pattern: pattern.to_owned(),
    };
    assert_eq!(
        now(s, A, subscribe("news/*")),
        Reply::Subscribed { subscription: 1 }
    );
    now(s, C, subscribe("other"));
    assert_eq!(now(s, B, publish("1")), Reply::Count(1));
    assert_eq!(now(s, B, publish("2")), Reply::Count(1));
    assert_eq!(now(s, A, next(None)), message("1"));
    assert_eq!(now(s, A, next(None)), message("2"));
    assert_eq!(now(s, A, next(Some(0))), Reply::TimedOut);
    waits(s, A, next(Some(10)));
    s.call(B, publish("3"), 0);
    assert_eq!(answers(s), [(A, message("3")), (B, Reply::Count(1))]);
    waits(s, A, next(Some(10)));
    s.pass(11);
    assert_eq!(answers(s), [(A, Reply::TimedOut)]);
    assert_eq!(
        now(s, A, Call::Unsubscribe { subscription: 1 }),
        Reply::Done
    );
    assert_eq!(
        now(s, A, next(None)),
        Reply::Failed(Trouble::NoSubscription)
    );
    s.gone(C, 10);
    assert_eq!(now(s, B, publish("4")), Reply::Count(0));
}

#[test]
fn a_subscriber_that_does_not_read_loses_its_oldest_and_learns_how_many() {
    let s = &mut State::default();
    now(s, A, Call::Subscribe { pattern: key("c") });
    let count = super::messages::MOST + 3;
    for at in 0..count {
        let message = at.to_string();
        let channel = key("c");
        now(s, B, Call::Publish { channel, message });
    }
    let next = Call::Next {
        subscription: 1,
        wait: None,
    };
    let Reply::Message {
        message, missed, ..
    } = now(s, A, next)
    else {
        panic!("no message");
    };
    assert_eq!((message.as_str(), missed), ("3", 3));
}

#[test]
fn entries_tell_all_that_is_there() {
    let s = &mut State::default();
    now(s, A, set("v", "\"text\""));
    now(s, A, push("l", &["10", "20"]));
    now(s, A, lock(Some(100), None, 0));
    waits(s, B, barrier(3, None, 1));
    now(s, A, Call::Subscribe { pattern: key("c") });
    s.pass(7);
    let all = |pattern: &str| Call::Keys {
        pattern: pattern.to_owned(),
        details: true,
    };
    let Reply::Keys(entries) = now(s, C, all("*")) else {
        panic!("no keys");
    };
    let seen: Vec<_> = entries
        .iter()
        .map(|one| (one.key.as_str(), one.kind, one.count, one.of, one.bytes))
        .collect();
    assert_eq!(
        seen,
        [
            ("b", EntryKind::Barrier, Some(1), Some(3), 0),
            ("c", EntryKind::Channel, Some(1), None, 0),
            ("l", EntryKind::List, Some(2), None, 4),
            ("l", EntryKind::Lock, Some(1), Some(1), 0),
            ("v", EntryKind::Value, None, None, 6),
        ]
    );
    assert!(entries.iter().all(|one| one.age == Some(7)));
    assert_eq!(entries[3].expires, Some(93));
    assert_eq!(entries[3].who, [who(0, 4)]);
    let names = Call::Keys {
        pattern: key("*"),
        details: false,
    };
    let Reply::Keys(names) = now(s, C, names) else {
        panic!("no keys");
    };
    let names: Vec<_> = names.into_iter().map(|one| one.key).collect();
    assert_eq!(names, ["l", "v"]);
}
