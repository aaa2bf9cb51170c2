//! What anyone asks of a pool, whatever it is called elsewhere: the same cases on threads and on processes.

mod support;

use std::time::Duration;

use support::{PATIENCE, Session, contains, lacks};

const NAP: &str =
    "fn nap(ms: u64) -> u64 { std::thread::sleep(std::time::Duration::from_millis(ms)); ms }";

const PICKY: &str = "fn picky(x: u64) -> u64 { assert!(x != 3, \"three is wrong\"); x * 10 }";

/// A session with two engines, which are the pool in use.
fn with(kind: &str) -> Session {
    let mut session = Session::start();
    session.cells(&[&format!("%pool start {kind} -n 2"), NAP, PICKY]);
    session
}

/// Each of these cells shows its value.
#[track_caller]
fn values(session: &mut Session, cells: &[(&str, &str)]) {
    for (code, value) in cells {
        let shown = session.cell(code);
        assert!(
            shown.contains(&format!("]: {value}")),
            "{code} is not {value}:\n{shown}"
        );
    }
}

#[test]
fn on_threads() {
    let mut session = with("threads");
    inputs_of_any_kind(&mut session);
    results_as_they_come(&mut session);
    contains(
        &session.cell("pool::map(0..3u64, |x| pool::map_iter(0..x, |x| x).count())"),
        &["a map inside the function of a map gives its results all at once"],
    );
    errors_in_the_middle(&mut session);
    jobs_are_looked_at(&mut session);
    jobs_are_waited_for(&mut session);
    jobs_are_cancelled(&mut session);

    // What threads share is the session's own, and none of it is kept.
    session.cells(&[
        "let seen = std::sync::Mutex::new(Vec::<u64>::new());",
        "let one = std::sync::Arc::new(1u64);",
        "%map -q |x: u64| seen.lock().unwrap().push(x) over 0..5u64",
        "let ones = %map -q |x: std::sync::Arc<u64>| *x over vec![one.clone(), one.clone()]",
    ]);
    values(
        &mut session,
        &[
            ("seen.lock().unwrap().iter().sum::<u64>()", "10"),
            ("(std::sync::Arc::strong_count(&one), ones)", "(1, [1, 1])"),
        ],
    );
    for option in [
        "timeout(std::time::Duration::from_secs(1))",
        "retries(1)",
        "targets(&[0])",
    ] {
        for call in [
            "map(0..3u64, |x| x)",
            "start(0..3u64, |x| x)",
            "map_iter(0..3u64, |x| x)",
        ] {
            let shown = session.cell(&format!("pool::pool(\"t0\").{option}.{call};"));
            contains(&shown, &["error", "a process pool can do it", "^"]);
            lacks(&shown, &["cell/src"]);
        }
    }
    assert_eq!(session.end(), 0);
}

#[test]
fn on_processes() {
    let mut session = with("processes");
    inputs_of_any_kind(&mut session);
    results_as_they_come(&mut session);
    errors_in_the_middle(&mut session);
    jobs_are_looked_at(&mut session);
    jobs_are_waited_for(&mut session);
    jobs_are_cancelled(&mut session);
    what_cannot_travel_ends_its_item_alone(&mut session);
    assert_eq!(session.end(), 0);
}

fn inputs_of_any_kind(session: &mut Session) {
    values(
        session,
        &[
            ("pool::map(Vec::<u64>::new(), |x| x)", "[]"),
            ("pool::map([7u64], |x| x * x)", "[49]"),
            (
                "pool::map((0..16u64).collect::<Vec<_>>().into_iter(), |x| x * x).iter().sum::<u64>()",
                "1240",
            ),
            // A prime number of them, from an iterator that does not say how many it has.
            (
                "pool::map((0..101u64).filter(|x| x % 1 == 0), |x| x) == (0..101).collect::<Vec<_>>()",
                "true",
            ),
            // Of several, the shortest one ends.
            (
                "pool::map(pool::zip((0..10u64, 0..4u64)), |(x, y)| x * y)",
                "[0, 1, 4, 9]",
            ),
            (
                "pool::map(pool::zip((0..4u64, 0..10u64)), |(x, y)| x * y)",
                "[0, 1, 4, 9]",
            ),
            (
                "[1, 6, 39, 40, 50, u64::MAX].map(|size| pool::pool(\"\").chunk(size).map(0..40u64, |x| x * x) == (0..40).map(|x| x * x).collect::<Vec<u64>>())",
                "[true, true, true, true, true, true]",
            ),
            (
                "[pool::Schedule::Dynamic, pool::Schedule::Static, pool::Schedule::Guided].map(|how| pool::pool(\"\").schedule(how).map(0..40u64, |x| x).len())",
                "[40, 40, 40]",
            ),
            // Megabytes there and back.
            (
                "let large = pool::map((0..4u8).map(|x| vec![x; 5_000_000]), |mut v| { v.push(9); v }); large.iter().map(|v| (v.len(), v[0], v[5_000_000])).collect::<Vec<_>>()",
                "[(5000001, 0, 9), (5000001, 1, 9), (5000001, 2, 9), (5000001, 3, 9)]",
            ),
            // The same pool again and again.
            (
                "(0..20u64).map(|n| pool::map(0..n, |x| x).len() as u64).sum::<u64>()",
                "190",
            ),
            (
                "pool::for_each(0..3u64, |_| ()); pool::reduce(0..0u64, |x| x, |a, b| a + b)",
                "None",
            ),
            (
                "pool::pool(\"\").unordered().reduce([\"a\", \"b\", \"c\"].map(String::from), |x| x, |a, b| a + &b)",
                "Some(\"abc\")",
            ),
        ],
    );
}

fn results_as_they_come(session: &mut Session) {
    values(
        session,
        &[
            // In the order in which they are done, and none of them twice.
            (
                "pool::map_iter([2000u64, 0, 1, 2], nap).last()",
                "Some((0, 2000))",
            ),
            (
                "pool::pool(\"\").unordered().map([2000u64, 0, 1, 2], nap).last().copied()",
                "Some(2000)",
            ),
            (
                "pool::pool(\"\").unordered().try_map([2000u64, 0, 1, 2], nap).pop()",
                "Some(Ok(2000))",
            ),
            (
                "pool::pool(\"\").unordered().start([2000u64, 0, 1, 2], nap).get().unwrap().pop()",
                "Some(2000)",
            ),
            (
                "let mut all: Vec<_> = pool::map_iter(0..1000u64, |x| x * 2).collect(); all.sort(); all == (0..1000).map(|x| (x, x * 2)).collect::<Vec<_>>()",
                "true",
            ),
            (
                "let mut all: Vec<_> = pool::pool(\"\").chunk(7).map_iter(0..100u64, |x| x * 2).collect(); all.sort(); all == (0..100).map(|x| (x, x * 2)).collect::<Vec<_>>()",
                "true",
            ),
            ("pool::map_iter(Vec::<u64>::new(), |x| x).next()", "None"),
            (
                "let mut it = pool::map_iter([5u64], |x| x); (it.next(), it.next(), it.next())",
                "(Some((0, 5)), None, None)",
            ),
            // Of inputs without an end no more are taken than are needed, and the rest is left.
            ("pool::map_iter(0u64.., |x| x + 1).take(3).count()", "3"),
            (
                "let taken = std::cell::Cell::new(0); let one = pool::map_iter((0u64..).inspect(|_| taken.set(taken.get() + 1)), nap).next(); (one, taken.get() < 5_000)",
                "(Some((0, 0)), true)",
            ),
            (
                "let k = 3u64; pool::map_iter_with(&k, 0..5u64, |k, x| x * k).map(|(_, x)| x).sum::<u64>()",
                "30",
            ),
        ],
    );
    // They go on over cells, beside other maps.
    session.cells(&["let mut it = pool::map_iter(0u64.., |x| x + 1);"]);
    values(
        session,
        &[
            ("it.next().is_some()", "true"),
            ("pool::map([1u64], |x| x)", "[1]"),
            ("it.by_ref().take(100).count()", "100"),
        ],
    );
    session.cells(&["drop(it);"]);
    // What came before a failure is given; whoever makes the inputs may fail too.
    let shown =
        session.cell("for (_, x) in pool::map_iter(0u64.., picky) { println!(\"got {x}\"); }");
    contains(&shown, &["item 3 panicked: three is wrong"]);
    let shown = session.cell(
        "pool::map_iter((0..5u64).map(|x| { assert!(x < 3, \"no input {x}\"); x }), |x| x).count()",
    );
    contains(&shown, &["no input 3", "^"]);
    contains(&session.cell("pool::map([1u64], |x| x)"), &["[1]"]);
    // Ctrl-C ends them, and they can be begun again.
    session.enter(
        "for (_, x) in pool::map_iter(std::iter::repeat(100u64), nap) { if x == 0 { break } }",
    );
    session.taken(PATIENCE);
    std::thread::sleep(Duration::from_secs(1));
    let shown = session.interrupt();
    contains(&shown, &["interrupted"]);
    lacks(&shown, &["restarted"]);
    contains(
        &session.cell("pool::map_iter([1u64], |x| x).count()"),
        &["]: 1"],
    );
    let shown = session.cell("%map -u nap over [2000u64, 0, 1, 2]");
    contains(&shown, &[", 2000]", "wall"]);
    session.cells(&["let job = %map -a -u nap over [2000u64, 0, 1, 2]"]);
    contains(&session.cell("%result"), &[", 2000]"]);
}

fn errors_in_the_middle(session: &mut Session) {
    let shown = session.cell("pool::map(0..10u64, picky)");
    contains(&shown, &["item 3 panicked: three is wrong"]);
    values(
        session,
        &[
            (
                "pool::pool(\"\").try_map(0..5u64, picky).iter().map(Result::is_ok).collect::<Vec<_>>()",
                "[true, true, true, false, true]",
            ),
            // Each look at a job tells it again, and its other results are there.
            (
                "let job = pool::pool(\"\").chunk(1).start([0u64, 1, 2, 3], picky); let one = job.get(); (one.is_err(), one == job.get(), one.unwrap_err().contains(\"three is wrong\"), job.is_failed())",
                "(true, true, true, true)",
            ),
            (
                "pool::submit(|| 1 / std::hint::black_box(0u64)).result().unwrap_err().contains(\"divide by zero\")",
                "true",
            ),
            // The pool is as it was.
            ("pool::map(4..6u64, picky)", "[40, 50]"),
        ],
    );
}

fn jobs_are_looked_at(session: &mut Session) {
    values(
        session,
        &[
            (
                "let job = pool::submit(|| nap(300)); let zero = std::time::Duration::ZERO; (job.wait(zero), job.ready(), job.wall_time(), job.serial_time(), job.progress())",
                "(false, false, None, None, (0, Some(1)))",
            ),
            (
                "(job.result(), job.result(), job.get(), job.ready(), job.wait(std::time::Duration::ZERO))",
                "(Ok(300), Ok(300), Ok([300]), true, true)",
            ),
            (
                "let wall = job.wall_time().unwrap().as_millis(); (300..2_000).contains(&wall) && job.serial_time().unwrap().as_millis() >= 300 && job.elapsed() == job.wall_time().unwrap()",
                "true",
            ),
            // As they come, once they are there, and as often as one likes.
            (
                "let job = pool::pool(\"\").chunk(1).start([2000u64, 0, 1, 2], nap); let came: Vec<_> = job.arriving().map(|(item, _)| item).collect(); (came.last().copied(), came.len(), job.arriving().count(), job.get(), job.progress())",
                "(Some(0), 4, 4, Ok([2000, 0, 1, 2]), (4, Some(4)))",
            ),
            (
                "job.engine_of(0).is_some_and(|rank| rank < 2) && job.engine_of(4).is_none()",
                "true",
            ),
            (
                "pool::pool(\"\").start(Vec::<u64>::new(), nap).get()",
                "Ok([])",
            ),
            // Many more than there are engines.
            (
                "let jobs: Vec<_> = (0..30u64).map(|_| pool::submit(|| 2u64)).collect(); jobs.iter().map(|job| job.result().unwrap()).sum::<u64>()",
                "60",
            ),
        ],
    );
}

fn jobs_are_waited_for(session: &mut Session) {
    session.cells(&["use std::time::Duration;"]);
    values(
        session,
        &[
            // None, those that are over, and one of them twice.
            (
                "pool::as_completed(&Vec::<pool::Job<u64>>::new()).count()",
                "0",
            ),
            (
                "let one = pool::submit(|| 1u64); one.get().unwrap(); let all = [one.clone(), one.clone(), pool::submit(|| nap(200))]; pool::as_completed(&all).map(|(place, _)| place).collect::<Vec<_>>()",
                "[0, 1, 2]",
            ),
            (
                "let all = [pool::submit(|| nap(600)), pool::submit(|| nap(1))]; let first = pool::wait(&all, None, pool::Until::First); (first.done, first.pending)",
                "([1], [0])",
            ),
            (
                "let some = pool::wait(&all, Duration::ZERO, pool::Until::All); some.done.len() + some.pending.len()",
                "2",
            ),
            (
                "let every = pool::wait(&all, None, pool::Until::All); (every.done.len(), every.pending)",
                "(2, [])",
            ),
            (
                "let all = [pool::submit(|| picky(3)), pool::submit(|| nap(600))]; (pool::first_error(&all), pool::first_done(&all))",
                "(Some(0), Some(0))",
            ),
            (
                "pool::first_error(&[pool::submit(|| 1u64), pool::submit(|| 2u64)])",
                "None",
            ),
            (
                "pool::join(&[pool::submit(|| 1u64), pool::submit(|| 2u64)])",
                "Ok([[1], [2]])",
            ),
        ],
    );
}

fn jobs_are_cancelled(session: &mut Session) {
    // Before it begins: each engine has something else to do.
    session.cells(&[
        "let busy = pool::pool(\"\").chunk(1).start([700u64; 2], nap);",
        "let idle = pool::pool(\"\").start([1u64; 10], nap); idle.cancel();",
    ]);
    values(
        session,
        &[
            (
                "idle.get().is_err() || idle.get().unwrap().len() == 10",
                "true",
            ),
            ("busy.get()", "Ok([700, 700])"),
            // While it runs: what is done stays, and doing it again changes nothing.
            (
                "let long = pool::pool(\"\").chunk(1).start([100u64; 1000], nap); while long.progress().0 < 2 { nap(5); } long.cancel(); long.cancel(); let why = long.get().unwrap_err(); (why.contains(\"cancelled\"), (2..900).contains(&long.partial().len()), long.is_failed())",
                "(true, true, false)",
            ),
            // When it is over.
            (
                "let done = pool::submit(|| 5u64); done.get().unwrap(); done.cancel(); done.result()",
                "Ok(5)",
            ),
            ("pool::map([1u64, 2], |x| x)", "[1, 2]"),
        ],
    );
}

/// Code that runs while a value is encoded or decoded fails as any other.
fn what_cannot_travel_ends_its_item_alone(session: &mut Session) {
    session.cells(&[
        "use serde::{Serialize, Deserialize};",
        "#[derive(Debug)] struct Odd(u8);",
        "impl Serialize for Odd { fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> { match self.0 { 1 => Err(serde::ser::Error::custom(\"odd\")), 2 => panic!(\"not like this\"), 3 => std::process::exit(9), x => to.serialize_u8(x) } } }",
        "impl<'de> Deserialize<'de> for Odd { fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> { match u8::deserialize(from)? { 11 => Err(serde::de::Error::custom(\"odd\")), 12 => panic!(\"nor like that\"), x => Ok(Odd(x)) } } }",
        "let kept = 5u64;",
    ]);
    for (code, why) in [
        ("pool::map([Odd(0), Odd(1)], |x| x.0)", "encode"),
        ("pool::map([Odd(0), Odd(2)], |x| x.0)", "not like this"),
        ("pool::map([0u8, 1], |x| Odd(x))", "serde could not encode"),
        ("pool::map([0u8, 2], |x| Odd(x))", "not like this"),
        ("pool::map([0u8, 3], |x| Odd(x))", "exit"),
        (
            "pool::map([Odd(0), Odd(11)], |x| x.0)",
            "serde could not decode",
        ),
        ("pool::map([Odd(0), Odd(12)], |x| x.0)", "nor like that"),
        ("pool::map([0u8, 11], |x| Odd(x))", "decode"),
        ("pool::map([0u8, 12], |x| Odd(x))", "nor like that"),
    ] {
        let shown = session.cell(code);
        contains(&shown, &["error", why]);
        lacks(&shown, &["cell/src"]);
    }
    // An engine that ends with much to read or much to say.
    for code in [
        "pool::map(vec![vec![1u8; 5_000_000]; 6], |x: Vec<u8>| -> usize { std::process::exit(x.len() as i32 % 7) })",
        "pool::map([5_000_000usize; 6], |n| { if n > 0 { std::process::abort() } vec![1u8; n] })",
    ] {
        contains(&session.cell(code), &["error", "item", "three engines"]);
    }
    values(session, &[("pool::map([kept, 6], |x| x)", "[5, 6]")]);
}
