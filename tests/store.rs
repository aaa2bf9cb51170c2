//! The store through the real binary: cells on every pool, `%store`, and child scripts in sh and Python through
//! `regatta store`. Cases of redis-py's tests (lists, publish and subscribe) and of multiprocessing's Queue are here in our
//! words; those of locks, semaphores and barriers stand in `tests/store_holds.rs`, those of the store's own rules in
//! `src/store/state/tests.rs`.

mod support;

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use support::serving::{Serving, said, until};
use support::{BINARY, PATIENCE, Session, contains, lacks};

#[test]
fn scripts_read_and_write_values() {
    let store = Serving::start();
    // What is JSON stays as it is, the rest is a text, and texts are read as they are.
    assert_eq!(
        store.ok("regatta store set n 1; regatta store get n"),
        "1\n"
    );
    let object = "regatta store set o '{\"a\": [1, \"x\"]}'; regatta store get o";
    assert_eq!(store.ok(object), "{\"a\": [1, \"x\"]}\n");
    let text =
        "regatta store set t 'Ada Lovelace'; regatta store get t; regatta store get t --json";
    assert_eq!(store.ok(text), "Ada Lovelace\n\"Ada Lovelace\"\n");
    let text = "regatta store set --text t 1; regatta store get --json t";
    assert_eq!(store.ok(text), "\"1\"\n");
    let input = "printf 'two\\nlines\\n' | regatta store set i -; regatta store get i --json";
    assert_eq!(store.ok(input), "\"two\\nlines\"\n");
    assert_eq!(
        store.ok("regatta store set m -5; regatta store get m"),
        "-5\n"
    );
    assert_eq!(store.ok("regatta store keys"), "i\nm\nn\no\nt\n");
    assert_eq!(store.ok("regatta store keys '[mn]'"), "m\nn\n");
    assert_eq!(store.ok("regatta store take m"), "-5\n");
    assert_eq!(store.ok("regatta store del n o"), "2\n");
    // What a child wrote last is there for the next one, whatever the language.
    let python = "import json, subprocess\n\
        def store(*words): return subprocess.run(['regatta', 'store', *words], check=True, capture_output=True, text=True).stdout.strip()\n\
        store('set', 'from python', json.dumps({'pi': 3.14, 'ä': None}))\n\
        print(json.loads(store('get', 'from python')), store('incr', 'count', '2.5'))";
    let ran = store.named("python3", python).output().expect("python3");
    let expected = "{'pi': 3.14, 'ä': None} 2.5\n".to_owned();
    assert_eq!(said(ran), (0, expected, String::new()));
}

#[test]
fn the_exit_status_tells_what_came_of_it() {
    let store = Serving::start();
    for (script, status, told) in [
        ("get none", 1, ""),
        ("take none", 1, ""),
        ("pop none", 1, ""),
        ("pop none --wait 0.05", 1, ""),
        ("del none", 1, ""),
        ("expire none 5", 1, ""),
        ("set late 1", 0, ""),
        ("expire late 1e300", 2, "too"),
        ("expire late soon", 2, "not a number of seconds"),
        ("expire late nan", 2, "NaN"),
        ("expire late never", 0, ""),
        ("expire late -5", 0, ""),
        ("get late", 1, ""),
        ("set late 1 --expire=-1", 2, "negative"),
        ("set late 1 --expire 0", 0, ""),
        ("get late", 1, ""),
        ("pop none --wait=-1", 2, "negative"),
        ("set word hello", 0, ""),
        (
            "incr word",
            2,
            "`word` in the store is no whole number: found \"hello\"",
        ),
        ("push word 1", 2, "`word` in the store is no list"),
        ("incr word much", 2, "not a number"),
        (
            "incr many 9223372036854775808",
            2,
            "not a whole number of 64 bits",
        ),
        ("get many", 1, ""),
        ("semaphore s 0 -- true", 2, "0 is not in 1.."),
        ("gett word", 2, "unrecognized subcommand 'gett'"),
        ("wait-for none --timeout 0.05", 3, "`none` is not there"),
        ("wait-for word bye --timeout 0.05", 3, "`word` is \"hello\""),
        ("barrier b 2 --timeout 0.05", 3, "1 of 2 are there"),
        ("barrier b 0", 2, "0 is not in 1.."),
        ("lock l -- sh -c 'exit 7'", 7, ""),
        (
            "lock l -- no-such-command",
            127,
            "cannot run no-such-command",
        ),
        ("lock l", 2, "required"),
        ("subscribe c --timeout 0.05", 3, ""),
    ] {
        let (code, _, err) = store.run(&format!("regatta store {script}"));
        assert_eq!(code, status, "{script}: {err}");
        assert!(err.contains(told), "{script}: {err}");
        assert_eq!(err.is_empty(), told.is_empty(), "{script}: {err}");
    }
    let (code, _, err) = store.run("unset REGATTA_STORE; regatta store get word");
    assert_eq!(code, 4);
    contains(&err, &["there is no store here: REGATTA_STORE is not set"]);
    let (code, _, err) = store.run("REGATTA_STORE=@none regatta store get word");
    assert_eq!(code, 4);
    contains(&err, &["cannot be reached", "its session is over"]);
    let (code, help, _) = store.run("regatta store --help");
    assert_eq!(code, 0);
    contains(&help, &["Exit status:", "Examples:", "wait-for"]);
    lacks(&help, &["--no-warm"]);
    contains(&store.run("regatta --help").1, &["store"]);
}

#[test]
fn lists_are_queues_for_any_number_of_scripts() {
    let store = Serving::start();
    // As multiprocessing's queue: what many put, many take, each value once.
    let consumers: Vec<Child> = (0..4)
        .map(|_| {
            let script = "while job=$(regatta store pop jobs --wait); do \
                          [ \"$job\" = end ] && exit; regatta store push done \"$job\" > /dev/null; done";
            store.sh(script).spawn().expect("sh")
        })
        .collect();
    let producer = |from: i32| {
        let script = format!("seq {from} {} | regatta store push jobs -", from + 24);
        store.sh(&script).stdout(Stdio::null()).spawn().expect("sh")
    };
    for mut child in [0, 25, 50].map(producer) {
        assert!(child.wait().expect("it ends").success());
    }
    until(
        || (store.ok("regatta store len done") == "75\n").then_some(()),
        "done work",
    );
    store.ok("regatta store push jobs end end end end");
    for mut child in consumers {
        assert!(child.wait().expect("it ends").success());
    }
    let mut done: Vec<i32> = store
        .ok("regatta store get done")
        .trim_matches(['[', ']', '\n'])
        .split(',')
        .map(|number| number.parse().expect("a number"))
        .collect();
    done.sort_unstable();
    assert!(done.into_iter().eq(0..75));
}

#[test]
fn five_children_count_and_change_values_without_losing_any() {
    let store = Serving::start();
    let script = "for i in 1 2 3 4 5 6 7 8 9 10; do \
                  regatta store incr count; \
                  regatta store update twice -- sh -c 'read n; echo $(( ${n:-0} + 2 ))'; \
                  regatta store lock file -- sh -c 'n=$(cat n 2> /dev/null || echo 0); echo $((n + 1)) > n'; \
                  done > /dev/null";
    let children: Vec<Child> = (0..5)
        .map(|_| store.sh(script).spawn().expect("sh"))
        .collect();
    for mut child in children {
        assert!(child.wait().expect("it ends").success());
    }
    assert_eq!(store.ok("regatta store get count"), "50\n");
    assert_eq!(store.ok("regatta store get twice"), "100\n");
    assert_eq!(fs::read_to_string(store.file("n")).expect("n"), "50\n");
}

#[test]
fn messages_reach_who_listens() {
    let store = Serving::start();
    let listen = |words: &str| {
        let mut command = store.sh(&format!("exec regatta store subscribe {words}"));
        command.stdout(Stdio::piped()).spawn().expect("sh")
    };
    assert_eq!(store.ok("regatta store publish news/1 early"), "0\n");
    let (one, all) = (listen("news/1 -n 2"), listen("'news/*' -n 3 --json"));
    let publish = |channel: &str, message: &str| {
        store.ok(&format!("regatta store publish {channel} '{message}'"))
    };
    let listeners = || {
        let entries = store.ok("regatta store keys --json 'news*'");
        (entries.lines().count() == 2).then_some(())
    };
    until(listeners, "two who listen");
    assert_eq!(publish("news/1", "first"), "2\n");
    assert_eq!(publish("news/2", "[2]"), "1\n");
    assert_eq!(publish("news/1", "third"), "2\n");
    let heard = |child: Child| said(child.wait_with_output().expect("it ends"));
    assert_eq!(heard(one), (0, "first\nthird\n".to_owned(), String::new()));
    let expected = "\"first\"\n[2]\n\"third\"\n".to_owned();
    assert_eq!(heard(all), (0, expected, String::new()));
    assert_eq!(publish("news/1", "late"), "0\n");
}

#[test]
fn sessions_have_stores_of_their_own_and_leave_nothing() {
    let (mut one, two) = (Serving::start(), Serving::start());
    one.ok("regatta store set x 1");
    assert_eq!(two.run("regatta store get x").0, 1);
    // A session that a session starts takes part in its store.
    let (_, nested, _) = one.run("regatta --no-warm -e '%store get x'");
    assert_eq!(nested, "1\n");
    let waits = one.sh("regatta store pop none --wait").spawn().expect("sh");
    one.session.kill().expect("it lives");
    one.session.wait().expect("it ends");
    let (status, _, err) = said(waits.wait_with_output().expect("it ends"));
    assert_eq!(
        (status, err.as_str()),
        (4, ""),
        "its own stderr is the test's"
    );
    let (status, _, err) = one.run("regatta store get x");
    assert_eq!(status, 4);
    contains(&err, &["nobody serves it, so its session is over"]);
    let sockets = fs::read_to_string("/proc/net/unix").expect("the sockets");
    assert!(!sockets.contains(&one.address), "{}", one.address);
    assert!(sockets.contains(&two.address), "{}", two.address);
}

#[test]
fn cells_on_every_pool_share_the_store() {
    let mut s = Session::start();
    s.cells(&[
        "store::set(\"point\", vec![(1, \"a\".to_owned()), (2, \"b\".to_owned())]);",
        "#[derive(Serialize, Deserialize, Debug, PartialEq)] struct Job { file: String, tries: u32 }",
        "%pool start -n 3",
    ]);
    contains(
        &s.cell("store::get::<Vec<(u8, String)>>(\"point\")"),
        &["Some([(1, \"a\"), (2, \"b\")])"],
    );
    // What a cell writes every language reads, and the other way round.
    s.cells(&[
        "let kept = 7;",
        "store::push(\"jobs\", Job { file: \"a\".into(), tries: 0 });",
    ]);
    let binary = Path::new(BINARY).parent().expect("a folder").display();
    contains(
        &s.cell(&format!("!PATH={binary}:$PATH; regatta store pop jobs; regatta store push jobs '{{\"file\":\"b\",\"tries\":2}}'")),
        &["{\"file\":\"a\",\"tries\":0}"],
    );
    contains(
        &s.cell("store::pop::<Job>(\"jobs\")"),
        &["Some(Job { file: \"b\", tries: 2 })"],
    );
    // A wrong type says which key, what was wanted and what was found, and where.
    let wrong = s.cell("let n = 1;\nlet x = store::get::<u32>(\"point\");");
    contains(
        &wrong,
        &[
            "`point` in the store is no u32: found [[1,\"a\"],[2,\"b\"]]",
            ":2",
        ],
    );
    contains(
        &s.cell("store::incr(\"point\", 1)"),
        &["`point` in the store is no whole number"],
    );
    contains(&s.cell("kept"), &[": 7"]);

    // Three processes, a thousand times each: nothing is lost.
    s.cells(&["%px for _ in 0..300 { store::incr(\"n\", 1); store::update(\"m\", |m: Option<u32>| m.unwrap_or(0) + 1); }"]);
    contains(
        &s.cell("(store::get::<u32>(\"n\"), store::get::<u32>(\"m\"))"),
        &["(Some(900), Some(900))"],
    );
    contains(
        &s.cell("%map |x: u64| { let _one = store::lock(\"sum\", 30); let sum = store::get::<u64>(\"sum\").unwrap_or(0); store::set(\"sum\", sum + x); x } over 0..20u64"),
        &["19"],
    );
    contains(&s.cell("store::take::<u64>(\"sum\")"), &["Some(190)"]);
    s.cells(&["%pool start threads -n 3"]);
    contains(&s.cell("%px store::barrier(\"all\", 3, 60) < 3"), &["true"]);
    s.cells(&["%px for _ in 0..100 { store::incr(\"n\", 1); }"]);
    contains(&s.cell("store::take::<u32>(\"n\")"), &["Some(1200)"]);

    // Who is missing, who holds it, what nobody has set.
    contains(
        &s.cell("%px_p0 if engine::rank() != 1 { store::barrier(\"two\", 3, 1.5); }"),
        &["2 of 3 are there (rank ", "missing: rank 1 of p0"],
    );
    s.cells(&["let guard = store::lock(\"l\", 5);"]);
    contains(
        &s.cell("%px_p0 -t 0 store::lock(\"l\", 0.1).fence()"),
        &["lock `l` was not free within 0.1 s: held by the session"],
    );
    contains(&s.cell("%store"), &["lock", "held by the session", "point"]);
    s.cells(&["drop(guard);"]);
    // A panic drops its guard, an engine that dies releases it.
    contains(
        &s.cell("{ let _guard = store::lock(\"l\", 5); panic!(\"midway\") }"),
        &["midway"],
    );
    contains(&s.cell("store::try_lock(\"l\").is_some()"), &["true"]);
    contains(
        &s.cell("%px_p0 -t 1 { std::mem::forget(store::lock(\"l\", 5)); std::process::abort() }"),
        &["SIGABRT"],
    );
    contains(&s.cell("store::lock(\"l\", 30).release()"), &["true"]);
    contains(
        &s.cell("store::wait_for::<u8>(\"nothing\", 0.1)"),
        &["nobody has set `nothing` in the store within 0.1 s"],
    );
    s.cells(&["let mut news = store::subscribe::<u32>(\"news\");"]);
    contains(&s.cell("%px_p0 -t 0 store::publish(\"news\", 5)"), &["1"]);
    contains(&s.cell("news.next_within(30)"), &["Some(5)"]);

    // Ctrl-C ends a wait, and nothing else.
    for (code, what) in [
        (
            "store::pop_wait::<u8>(\"none\", store::FOREVER)",
            "a value in `none`",
        ),
        ("%px_p0 store::wait_for::<u8>(\"none\", 600)", "interrupted"),
        ("%px store::barrier(\"none\", 9, 600)", "interrupted"),
    ] {
        s.enter(code);
        s.taken(PATIENCE);
        thread::sleep(Duration::from_millis(2500));
        let shown = s.interrupt();
        contains(&shown, &["interrupted", what]);
        lacks(&shown, &["restarted", "died"]);
    }
    contains(&s.cell("kept"), &[": 7"]);

    // The prompt's own way.
    s.cells(&["%store set colours {\"red\": 1}"]);
    contains(&s.cell("%store get colours"), &["{\"red\": 1}"]);
    contains(
        &s.cell("%store get colors"),
        &["the store has no `colors`", "did you mean colours?"],
    );
    contains(&s.cell("%store gte colours"), &["did you mean get?"]);
    contains(&s.cell("%store col*"), &["colours", "value", "10 B"]);
    contains(&s.cell("%store del colours point"), &["deleted 2 keys"]);
    s.enter("%store watch colours");
    s.shows("colours: (not there)", PATIENCE);
    s.press_interrupt();
    s.prompt(PATIENCE);
    assert_eq!(s.end(), 0);
}
