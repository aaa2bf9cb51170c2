//! What engines of nodes have beside maps, as engines of a pool of processes have it: the store, messages, child scripts.
//! On two hosts made of network namespaces, so that no socket of the session's host is one of theirs.

mod support;

use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::hosts::{Faults, Hosts};
use support::{PATIENCE, contains, lacks, serving::until};

#[test]
fn engines_of_nodes_share_the_store() {
    let hosts = Hosts::up("store");
    let mut s = hosts.session([2, 1]);
    s.cells(&[
        "store::set(\"point\", vec![(1, \"a\".to_owned()), (2, \"b\".to_owned())]);",
        "let kept = 7;",
    ]);
    contains(
        &s.cell("%px store::get::<Vec<(u8, String)>>(\"point\")"),
        &["0-2", "Some([(1, \"a\"), (2, \"b\")])"],
    );
    // More than is under way at once, there and back.
    s.cells(&["%px -t 2 store::set(\"large\", \"x\".repeat(5_000_000));"]);
    contains(
        &s.cell("%px store::get::<String>(\"large\").map(|it| it.len())"),
        &["0-2", "Some(5000000)"],
    );
    contains(
        &s.cell("%px store::get::<u32>(\"point\")"),
        &["`point` in the store is no u32"],
    );
    // Nothing is lost, wherever it is counted.
    s.cells(&["%px for _ in 0..300 { store::incr(\"n\", 1); store::update(\"m\", |m: Option<u32>| m.unwrap_or(0) + 1); }"]);
    contains(
        &s.cell("(store::take::<u32>(\"n\"), store::take::<u32>(\"m\"))"),
        &["(Some(900), Some(900))"],
    );
    contains(
        &s.cell("%map |x: u64| { let _one = store::lock(\"sum\", 30); let sum = store::get::<u64>(\"sum\").unwrap_or(0); store::set(\"sum\", sum + x); x } over 0..20u64"),
        &["19"],
    );
    contains(&s.cell("store::take::<u64>(\"sum\")"), &["Some(190)"]);
    // They meet, wait for each other, and hear what is said.
    contains(
        &s.cell("%px store::barrier(\"all\", 3, 60) < 3"),
        &["0-2", "true"],
    );
    contains(
        &s.cell("%px if engine::rank() != 1 { store::barrier(\"two\", 3, 1.5); }"),
        &["2 of 3 are there (rank ", "missing: rank 1 of c0"],
    );
    contains(
        &s.cell("%px if engine::rank() == 2 { store::push(\"work\", 5u8); 0 } else if engine::rank() == 0 { store::pop_wait::<u8>(\"work\", 60).unwrap() } else { 1 }"),
        &["5", "1", "0"],
    );
    s.cells(&["%px let mut news = store::subscribe::<u32>(\"news\");"]);
    contains(&s.cell("store::publish(\"news\", 6)"), &["3"]);
    contains(&s.cell("%px news.next_within(30)"), &["0-2", "Some(6)"]);
    // Who holds it is told, and where.
    s.cells(&["%px -t 2 let guard = store::lock(\"l\", 600);"]);
    contains(
        &s.cell("store::lock(\"l\", 0.1).fence()"),
        &["lock `l` was not free within 0.1 s: held by rank 2 of c0"],
    );
    contains(&s.cell("%store"), &["lock", "held by rank 2 of c0"]);
    s.cells(&["%px -t 2 drop(guard);"]);
    contains(&s.cell("store::try_lock(\"l\").is_some()"), &["true"]);

    // A holder that dies releases it: an engine, and a node with all that it has.
    contains(
        &s.cell("%px -t 1 { std::mem::forget(store::lock(\"l\", 600)); std::process::abort() }"),
        &["SIGABRT"],
    );
    contains(&s.cell("store::lock(\"l\", 30).release()"), &["true"]);
    // Ctrl-C ends a wait, and nothing else.
    s.enter("%px store::wait_for::<u8>(\"none\", 600)");
    s.taken(PATIENCE);
    thread::sleep(Duration::from_millis(1500));
    let shown = s.interrupt();
    contains(&shown, &["interrupted"]);
    lacks(&shown, &["restarted", "died"]);
    s.cells(&["%px -t 2 let guard = store::lock(\"l\", 600);"]);
    for pid in hosts.processes(2, "--join") {
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }
    contains(&s.cell("store::lock(\"l\", 30).release()"), &["true"]);
    contains(&s.cell("kept"), &[": 7"]);
    assert_eq!(s.end(), 0);
}

/// Words to engines and back take their time, and those that heed them keep their variables.
#[test]
fn an_interrupt_waits_for_engines_that_are_far_away() {
    let hosts = Hosts::up("far");
    let mut s = hosts.session([1, 1]);
    s.cells(&["%px let mine = engine::rank() + 7;"]);
    let faults = Faults {
        delay_ms: 250,
        lost: 0.0,
        repeated: 0.0,
        late: 0.0,
        bytes_per_second: 1e7,
        seed: 0,
    };
    let cable = hosts.bad_cable(2, &faults);
    contains(&s.cell("%px mine"), &["7", "8"]);
    s.enter("%px println!(\"waits\"); store::wait_for::<u8>(\"none\", 600)");
    // The other one's word of that comes later.
    s.shows("[stdout:1] waits", PATIENCE);
    let shown = s.interrupt();
    contains(&shown, &["interrupted"]);
    lacks(&shown, &["restarted", "died"]);
    contains(&s.cell("%px mine"), &["7", "8"]);
    drop(cable);
    assert_eq!(s.end(), 0);
}

/// However many engines of a host take it, it goes there once, and they have it each for itself.
#[test]
fn what_is_pushed_goes_to_each_host_once() {
    let hosts = Hosts::up("once");
    let mut s = hosts.session([1, 3]);
    s.cells(&["%px engine::rank()"]);
    let faults = Faults {
        delay_ms: 0,
        lost: 0.0,
        repeated: 0.0,
        late: 0.0,
        bytes_per_second: 1e9,
        seed: 0,
    };
    let cable = hosts.bad_cable(2, &faults);
    for round in 0..2 {
        s.cells(&[
            &format!("let much: Vec<u64> = (0..1_000_000).map(|x: u64| x.wrapping_mul(0x9E37_79B9_7F4A_7C15 + {round})).collect();"),
            "%push much",
        ]);
        contains(
            &s.cell("%px -o all much.iter().fold(0, |sum, x| sum ^ x)\nall == [much.iter().fold(0, |sum, x| sum ^ x); 4]"),
            &["true"],
        );
    }
    // To some of its engines too.
    s.cells(&["%push -t 1,2 much"]);
    contains(&s.cell("%px -t 1,2 much.len()"), &["1000000"]);
    let bytes = cable.unplug();
    assert!(
        bytes < 40_000_000,
        "{bytes} bytes for three values of 10 MB"
    );
    assert_eq!(s.end(), 0);
}

#[test]
fn child_scripts_of_nodes_share_the_store() {
    let hosts = Hosts::up("scripts");
    let mut s = hosts.session([1, 1]);
    s.cells(&["store::set(\"word\", \"hello\".to_owned());"]);
    contains(
        &s.cell("%parallel 'regatta store get word; regatta store incr count; cat /proc/sys/kernel/hostname; :' ::: 1 2 3 4"),
        &["hello", "node1", "node2"],
    );
    contains(&s.cell("store::take::<u32>(\"count\")"), &["Some(4)"]);
    // A lock is held as long as its command runs.
    contains(
        &s.cell("%parallel 'for n in 1 2 3 4 5; do regatta store lock l -- sh -c \"n=\\$(regatta store get sum || echo 0); regatta store set sum \\$((n + 1))\"; done; :' ::: 1 2 3 4"),
        &["4 items"],
    );
    contains(&s.cell("store::take::<u32>(\"sum\")"), &["Some(20)"]);
    assert_eq!(s.end(), 0);
}

#[test]
fn a_redis_server_of_the_session_is_reached_from_nodes() {
    let hosts = Hosts::up("redis");
    let mut s = hosts.session([1, 1]);
    s.cells(&["store::set(\"here\", 1);"]);
    contains(&s.cell("%store start redis"), &["redis"]);
    s.cells(&["%px store::incr(\"n\", 1);"]);
    contains(&s.cell("store::get::<u32>(\"n\")"), &["Some(2)"]);
    contains(&s.cell("%px store::get::<u32>(\"here\")"), &["None"]);
    // Only this user finds the way to it, and nothing stays of it.
    let folders = || {
        let all = std::fs::read_dir(std::env::temp_dir()).unwrap().flatten();
        let nodes = hosts.nodes();
        let is_ours = |name: &String| {
            nodes
                .iter()
                .any(|pid| name.starts_with(&format!("regatta-node-{pid}-")))
        };
        let names = all.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(is_ours).collect::<Vec<_>>()
    };
    let there = folders();
    assert_eq!(there.len(), 2, "{there:?}");
    contains(&s.cell("%store use embedded"), &["session"]);
    contains(&s.cell("%px store::get::<u32>(\"here\")"), &["Some(1)"]);
    assert_eq!(s.end(), 0);
    let gone = || {
        let is_there = |name: &String| std::env::temp_dir().join(name).exists();
        (!there.iter().any(is_there)).then_some(())
    };
    until(gone, "a folder of a node is left");
}
