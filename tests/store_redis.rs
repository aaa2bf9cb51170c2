//! The store on Redis through the real binary: cells, `%store`, `regatta store`, and other clients of the server, which is
//! Debian's `redis-server`. `REGATTA_SEED` repeats a run of the faults.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::redis::{Server, cli};
use support::{BINARY, PATIENCE, Session, contains, dose, lacks, proc, regatta};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}

/// A Python that has redis-py: the system's, or one in the target folder into which it is installed.
fn python() -> PathBuf {
    let has = |python: &Path| {
        let status = Command::new(python)
            .args(["-c", "import redis"])
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    };
    let system = PathBuf::from("python3");
    let own = Path::new(env!("CARGO_TARGET_TMPDIR")).join("redis-py");
    let python = own.join("bin/python");
    for python in [&system, &python] {
        if has(python) {
            return python.clone();
        }
    }
    let made = Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&own)
        .status();
    assert!(
        made.is_ok_and(|status| status.success()),
        "no python3 with its module venv"
    );
    let installed = Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "redis"])
        .status();
    assert!(
        installed.is_ok_and(|status| status.success()),
        "pip does not install redis"
    );
    python
}

/// What a script of redis-py does with what cells have made, and the other way round.
const SCRIPT: &str = r#"
import json, os, redis
r = redis.from_url(os.environ["REGATTA_REDIS_URL"])
assert json.loads(r.get("config")) == {"low": 1, "names": ["a", "ä"]}, r.get("config")
assert r.incr("visits") == 6
assert json.loads(r.lpop("jobs")) == [1, "one"]
r.rpush("jobs", json.dumps([3, "three"]))
r.set("from:python", json.dumps({"pi": 3.5}))
lock = redis.lock.Lock(r, "regatta:lock:shared", timeout=30)
assert not lock.acquire(blocking=False), "the session holds it"
mine = redis.lock.Lock(r, "regatta:lock:python", timeout=30)
assert mine.acquire(blocking=False)
print("python is content")
"#;

#[test]
fn a_session_starts_a_server_and_every_client_takes_part() {
    let python = python();
    let mut session = Session::start();
    session.cells(&["store::set(\"visits\", 100);"]);
    let by_command = "!cd / && PATH=/usr/bin:/bin \"$REGATTA\" store get visits";
    contains(&session.cell(by_command), &["100"]);
    let started = session.cell("%store start redis");
    contains(&started, &["the store is", "with 0 keys", "redis-cli -s"]);
    let url = session.cell("!echo $REGATTA_REDIS_URL $REGATTA_STORE");
    let socket = url
        .split_whitespace()
        .find_map(|word| word.strip_prefix("unix://"));
    let socket = PathBuf::from(socket.expect("the address of a socket"));
    let folder = socket.parent().expect("a folder").to_owned();
    session.cells(&[
        "%pool start processes -n 2",
        "store::set(\"config\", std::collections::BTreeMap::from([(\"x\", 1)]));",
        "%store set config {\"low\": 1, \"names\": [\"a\", \"ä\"]}",
        "%px store::incr(\"visits\", 2);",
        "store::incr(\"visits\", 1);",
        "store::push(\"jobs\", (1, \"one\"));",
        "store::push(\"jobs\", (2, \"two\"));",
        "let shared = store::lock(\"shared\", 5);",
    ]);
    // The value of the session's own store is another one.
    assert_eq!(cli(&socket, &["GET", "visits"]), "5");
    let json = "{\"low\": 1, \"names\": [\"a\", \"ä\"]}";
    assert_eq!(cli(&socket, &["GET", "config"]), json);
    let script = folder.join("script.py");
    std::fs::write(&script, SCRIPT).expect("a file");
    let ran = session.cell(&format!("!{} {}", python.display(), script.display()));
    contains(&ran, &["python is content"]);
    contains(
        &session.cell("store::get::<std::collections::HashMap<String, f64>>(\"from:python\")"),
        &["3.5"],
    );
    contains(
        &session.cell("store::pop::<(u32, String)>(\"jobs\")"),
        &["(2, \"two\")"],
    );
    contains(
        &session.cell("store::pop::<(u32, String)>(\"jobs\")"),
        &["(3, \"three\")"],
    );
    contains(&session.cell("store::incr(\"visits\", 1)"), &["7"]);
    let barrier =
        session.cell("%px store::barrier(\"all\", 2, std::time::Duration::from_secs(20))");
    lacks(&barrier, &["missing", "error"]);
    let listed = session.cell("%store");
    contains(
        &listed,
        &["config", "visits", "shared", "held by", "another client"],
    );
    lacks(&listed, &["regatta:"]);
    // Killed, it comes back with all it had.
    let keeper: Vec<i32> = proc::below(session.pid())
        .into_iter()
        .filter(|pid| proc::arguments(*pid).contains("__keep"))
        .collect();
    assert_eq!(keeper.len(), 1, "its keeper");
    let server = proc::below(keeper[0]);
    for pid in &server {
        let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
    }
    contains(&session.cell("store::incr(\"visits\", 1)"), &["8"]);
    contains(
        &session.cell("drop(shared);\n%store use embedded"),
        &["the session's own"],
    );
    contains(&session.cell("store::get::<i64>(\"visits\")"), &["100"]);
    contains(
        &session.cell("%px store::incr(\"visits\", 1)"),
        &["101", "102"],
    );
    contains(&session.cell("!echo url=$REGATTA_REDIS_URL."), &["url=."]);
    contains(&session.cell("%store start redis"), &["with 3 keys"]);
    // However the session ends, nothing stays.
    let below = proc::below(session.pid());
    session.signal(rexpect::process::Signal::SIGKILL);
    assert!(session.ended(PATIENCE).is_some());
    let mut all = below.clone();
    all.extend(keeper);
    let servers: Vec<i32> = all
        .into_iter()
        .filter(|pid| proc::arguments(*pid).contains("redis"))
        .collect();
    let left = proc::leftovers(&servers, Duration::from_secs(10));
    assert!(left.is_empty(), "{left:?}");
    let patience = Instant::now() + Duration::from_secs(5);
    while folder.exists() {
        assert!(
            Instant::now() < patience,
            "{} is still there",
            folder.display()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_password_is_in_nothing_that_a_session_shows_or_keeps() {
    let server = Server::start(&["--requirepass", "s3cret"]);
    let url = format!("unix:{}?password=s3cret", server.socket().display());
    let address = format!("unix:{}", server.socket().display());
    let mut session = Session::taking_over(&[("REDIS_PASSWORD", "s3cret")]);
    let mut shown = session.cell(&format!("%store use {url}"));
    contains(&shown, &["the store is", "password=***"]);
    // What was typed is on the screen.
    shown = shown.replace(&url, "");
    shown += &session.cell("store::set(\"x\", 1);");
    shown += &session.cell("%store use");
    shown += &session.cell("%store");
    shown += &session.cell("%env");
    shown += &session.cell("%history");
    shown += &session.cell(&format!("%store use {address}"));
    shown += &session.cell(&format!(
        "%store use {address} --password-env REDIS_PASSWORD"
    ));
    contains(&shown, &["wants a password", "REGATTA_STORE"]);
    shown += &session.cell("store::get::<i64>(\"x\")");
    contains(&shown, &["Some(1)"]);
    lacks(&shown, &["s3cret"]);
    let files = proc::files(session.data(), &|_| true);
    for file in &files {
        let kept = std::fs::read(file).expect("a file");
        lacks(&String::from_utf8_lossy(&kept), &["s3cret"]);
    }
    drop(session);
    let cell = format!("%store use {url}\n%store use redis://:s3cret@127.0.0.1:1");
    let ran = regatta(&["--format", "json", "-e", &cell], b"");
    contains(
        &ran.out,
        &[
            "password=***",
            "redis://:***@127.0.0.1:1",
            "cannot be reached",
        ],
    );
    lacks(&(ran.out + &ran.err), &["s3cret"]);
}

#[test]
fn scripts_use_the_server_by_its_url_alone() {
    let server = Server::start(&[]);
    assert_eq!(text(&server.run(&["incr", "n"]).stdout), "1");
    assert_eq!(text(&server.run(&["incr", "n", "4"]).stdout), "5");
    server.cli(&["SET", "word", "hello"]);
    assert_eq!(text(&server.run(&["get", "word"]).stdout), "hello");
    server.run(&["set", "config", "{\"a\": [1, 2]}"]);
    assert_eq!(server.cli(&["GET", "config"]), "{\"a\": [1, 2]}");
    server.run(&["push", "jobs", "1", "two"]);
    assert_eq!(text(&server.run(&["pop", "jobs"]).stdout), "1");
    assert_eq!(
        text(&server.run(&["pop", "jobs", "--wait", "1"]).stdout),
        "two"
    );
    assert_eq!(server.run(&["pop", "jobs"]).status.code(), Some(1));
    let late = server.run(&["barrier", "b", "2", "--timeout", "0.2"]);
    assert_eq!(late.status.code(), Some(3));
    contains(&text(&late.stderr), &["1 of 2 are there"]);
    let url = server.url();
    drop(server);
    let gone = Command::new(BINARY)
        .args(["store", "get", "n"])
        .env_remove("REGATTA_STORE")
        .env("REGATTA_REDIS_URL", url)
        .output()
        .expect("the binary");
    assert_eq!(gone.status.code(), Some(4));
    contains(&text(&gone.stderr), &["cannot be reached", "redis.sock"]);
}

#[test]
fn who_was_killed_at_a_barrier_is_not_there_when_another_comes_in_its_place() {
    let server = Server::start(&[]);
    let meet = |rank: u32, timeout: &str| {
        server
            .command(&["barrier", "b", "3", "--timeout", timeout])
            .env("REGATTA_NAME", "child")
            .env("REGATTA_RANK", rank.to_string())
            .env("REGATTA_SIZE", "3")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary")
    };
    let there = |count: usize| {
        let patience = Instant::now() + PATIENCE;
        let entries = || server.cli(&["HKEYS", "regatta:barrier:b"]);
        while entries().matches("\"rank\"").count() != count {
            assert!(Instant::now() < patience, "{} are there", entries());
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    // Nobody has asked about its end when the others come.
    let mut killed = meet(0, "60");
    there(1);
    killed.kill().expect("it lives");
    let first = meet(1, "60");
    there(2);
    let late = meet(0, "1").wait_with_output().expect("it ends");
    let (out, err) = (text(&late.stdout), text(&late.stderr));
    assert_eq!(late.status.code(), Some(3), "it has opened: {out}{err}");
    contains(
        &err,
        &["2 of 3 are there (rank 1 of child, rank 0 of child); missing: rank 2 of child"],
    );
    // Once more: it is there once. Who comes within a second of it is told so, which a busy machine may be too slow for.
    let come_within_a_second = || {
        let late = meet(0, "0.2").wait_with_output().expect("it ends");
        contains(
            &text(&late.stderr),
            &["2 of 3 are there (rank 1 of child, rank 0 of child); missing: rank 2 of child"],
        );
        let late = meet(2, "0.2").wait_with_output().expect("it ends");
        text(&late.stderr).contains("all 3 have come, but not at the same time")
    };
    assert!(
        (0..5).any(|_| come_within_a_second()),
        "nobody is told that all came"
    );
    killed.wait().expect("it ends");
    let all = [first, meet(0, "60"), meet(2, "60")];
    for child in all {
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    assert_eq!(server.cli(&["EXISTS", "regatta:barrier:b"]), "0");
}

/// As `flock` and a file handle would be: what was taken from one store is not the other one's.
#[test]
fn what_a_cell_holds_stays_where_it_was_taken_when_the_session_goes_elsewhere() {
    let mut session = Session::start();
    session.cells(&[
        "%pool start processes -n 1",
        "let own = store::lock(\"l\", 5);",
        "let mut heard = store::subscribe::<u8>(\"c\");",
        "%store start redis",
    ]);
    session.cells(&[
        "let other = store::lock(\"l\", 5);",
        "let mut here = store::subscribe::<u8>(\"c\");",
    ]);
    let publish = "%px store::publish(\"c\", 2)";
    contains(&session.cell(publish), &["1"]);
    contains(
        &session.cell("(here.next_within(5), heard.next_within(0.1))"),
        &["(Some(2), None)"],
    );
    session.cells(&["%store use embedded"]);
    contains(
        &session.cell("(store::try_lock(\"l\").is_some(), own.renew(), other.renew())"),
        &["(false, true, true)"],
    );
    contains(
        &session.cell("%px store::try_lock(\"l\").is_some()"),
        &["false"],
    );
    session.cells(&["store::publish(\"c\", 1);"]);
    contains(
        &session.cell("(here.next_within(0.1), heard.next_within(5))"),
        &["(None, Some(1))"],
    );
    // It goes back where it came from, and nothing else is let go.
    contains(
        &session.cell("(other.release(), own.renew())"),
        &["(true, true)"],
    );
    contains(&session.cell("own.release()"), &["true"]);
    contains(
        &session.cell("%px store::try_lock(\"l\").is_some()"),
        &["true"],
    );
    session.cells(&["drop(here);", "%store start redis"]);
    contains(&session.cell("store::try_lock(\"l\").is_some()"), &["true"]);
    contains(&session.cell("store::publish(\"c\", 3)"), &["0"]);
}

/// How many holders are killed.
const KILLS: usize = 50;

/// What those that hold the lock do: whoever finds another one's file lock says so. The system drops it with the process.
const HOLDS: &str = r#"
exec 9>>inside
flock -n 9 || echo "$$ is not alone" >> twice
echo "$REGATTA_FENCE" >> fences
sleep 0.02 9>&-
"#;

#[test]
fn killed_holders_give_their_lock_back_and_it_is_never_held_twice() {
    let mut random = dose::random();
    let server = Server::start(&["--appendonly", "yes"]);
    // As `%store start redis` has it: it forgets nothing.
    server.cli(&["SET", "regatta:keeps_all", "1"]);
    let folder = tempfile::tempdir().expect("a folder");
    let holder = || {
        server
            .command(&["lock", "l", "--", "sh", "-c", HOLDS])
            .current_dir(folder.path())
            .spawn()
            .expect("the binary")
    };
    let mut running: Vec<Child> = (0..3).map(|_| holder()).collect();
    let fences = || -> Vec<u64> {
        let told = std::fs::read_to_string(folder.path().join("fences")).unwrap_or_default();
        told.lines().filter_map(|line| line.parse().ok()).collect()
    };
    let mut killed = 0;
    // Where programs start slowly, others get it only when they are left alone for longer.
    while killed < KILLS || (fences().len() <= 3 && killed < 2 * KILLS) {
        let longest = if killed < KILLS { 60 } else { 1000 };
        std::thread::sleep(Duration::from_millis(random.u64(1..longest)));
        let which = random.usize(0..running.len());
        let child = &mut running[which];
        if child.try_wait().expect("a child").is_none() {
            child.kill().expect("a child");
            killed += 1;
        }
        let _ = child.wait();
        running[which] = holder();
        for other in &mut running {
            if other.try_wait().expect("a child").is_some() {
                *other = holder();
            }
        }
    }
    let since = Instant::now();
    for mut child in running {
        let status = child.wait().expect("a child");
        assert!(status.success(), "{status}");
    }
    assert!(
        since.elapsed() < Duration::from_secs(30),
        "a killed holder holds on"
    );
    let twice = std::fs::read_to_string(folder.path().join("twice")).unwrap_or_default();
    assert_eq!(twice, "", "held twice");
    let fences = fences();
    assert!(fences.len() > 3, "{} got it", fences.len());
    assert!(fences.is_sorted_by(|one, next| one < next), "{fences:?}");
    dose::told(&format!("{} held it, {killed} were killed", fences.len()));
}

#[test]
fn all_keys_of_a_pattern_are_watched_wherever_they_are() {
    let server = Server::start(&[]);
    let mut session = Session::start();
    let address = session.cell("!echo $REGATTA_STORE").trim().to_owned();
    for place in ["embedded".to_owned(), server.url()] {
        session.cells(&[&format!("%store use {place}")]);
        let run = |words: &[&str]| {
            let mut command = server.command(words);
            if place == "embedded" {
                command.env("REGATTA_STORE", &address);
            }
            command.stdout(Stdio::null());
            assert!(command.status().expect("the binary").success(), "{words:?}");
        };
        session.enter("%store watch job:[0-9]");
        session.shows("no key matches `job:[0-9]` yet", PATIENCE);
        run(&["set", "job:1", "begun"]);
        session.shows("job:1: begun", PATIENCE);
        run(&["set", "job:x", "5"]);
        run(&["push", "job:2", "1", "2"]);
        session.shows("job:2: [1,2]", PATIENCE);
        run(&["set", "job:1", "done"]);
        session.shows("job:1: done", PATIENCE);
        run(&["del", "job:1"]);
        session.shows("job:1: (not there)", PATIENCE);
        let shown = session.interrupt();
        lacks(&shown, &["job:x", "error"]);
        session.enter("%store watch job:*");
        session.shows("job:x: 5", PATIENCE);
        contains(&session.interrupt(), &["job:2: [1,2]"]);
        session.cells(&["%store del job:2 job:x"]);
    }
}

/// Whoever comes next is never inside beside what a killed holder has left.
#[test]
fn what_a_killed_holder_has_started_is_killed_with_it() {
    let server = Server::start(&[]);
    server.cli(&["SET", "regatta:keeps_all", "1"]);
    let folder = tempfile::tempdir().expect("a folder");
    let script = ": > pids; for how in '' setsid; do $how sh -c 'trap \"\" HUP INT TERM; echo $$ >> pids; sleep 600; true' & done\n\
        while [ \"$(wc -l < pids)\" -lt 2 ]; do sleep 0.01; done\n\
        touch inside; wait";
    let mut holder = server
        .command(&["lock", "l", "--", "sh", "-c", script])
        .current_dir(folder.path())
        .spawn()
        .expect("the binary");
    let patience = Instant::now() + PATIENCE;
    while !folder.path().join("inside").exists() {
        assert!(Instant::now() < patience, "it is not inside");
        std::thread::sleep(Duration::from_millis(10));
    }
    let pids = std::fs::read_to_string(folder.path().join("pids")).expect("a file");
    let living = || {
        let pids = pids.lines().filter(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z ")
        });
        pids.count()
    };
    assert_eq!(living(), 2);
    holder.kill().expect("it lives");
    holder.wait().expect("it ends");
    let next = server.run(&["lock", "l", "--timeout", "30", "--", "true"]);
    assert_eq!(next.status.code(), Some(0), "{}", text(&next.stderr));
    assert_eq!(living(), 0);
    // What ends by itself leaves what it has started, and its own status.
    let script = "setsid sleep 600 > /dev/null 2>&1 & echo $!; exit 7";
    let left = server.run(&["lock", "l", "--", "sh", "-c", script]);
    assert_eq!(left.status.code(), Some(7), "{}", text(&left.stderr));
    let pid = text(&left.stdout);
    let killed = Command::new("kill").args(["-9", &pid]).status();
    assert!(killed.is_ok_and(|status| status.success()), "{pid}");
    let killed = server.run(&["lock", "l", "--", "sh", "-c", "kill -TERM $$"]);
    assert_eq!(killed.status.code(), Some(128 + 15));
    let none = server.run(&["lock", "l", "--", "no-such-program"]);
    assert_eq!(none.status.code(), Some(127), "{}", text(&none.stderr));
}
