//! Locks, semaphores and barriers of the session's own store for child scripts. Cases of redis-py's tests of locks and of
//! multiprocessing's (Lock, Semaphore, Barrier) in our words.

mod support;

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use support::serving::{Serving, said, until};
use support::{contains, dose};

#[test]
fn scripts_meet_at_a_barrier_and_learn_who_is_missing() {
    let store = Serving::start();
    let meet = |rank: i32, timeout: &str| {
        let script = format!("exec regatta store barrier start 3 --timeout {timeout}");
        let mut command = store.sh(&script);
        command
            .env("REGATTA_NAME", "child")
            .env("REGATTA_RANK", rank.to_string())
            .env("REGATTA_SIZE", "3")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().expect("sh")
    };
    for _ in 0..2 {
        let children = [0, 1, 2].map(|rank| meet(rank, "60"));
        let mut places: Vec<String> = children
            .map(|child| {
                let (status, out, err) = said(child.wait_with_output().expect("it ends"));
                assert_eq!(status, 0, "{err}");
                out
            })
            .to_vec();
        places.sort();
        assert_eq!(places, ["0\n", "1\n", "2\n"]);
    }
    let mut waits = meet(0, "60");
    let there = "regatta store keys --json start";
    until(
        || store.ok(there).contains("rank 0").then_some(()),
        "rank 0 at the barrier",
    );
    let (status, _, err) = said(meet(2, "0.1").wait_with_output().expect("it ends"));
    assert_eq!(status, 3);
    contains(
        &err,
        &["2 of 3 are there (rank 0 of child, rank 2 of child); missing: rank 1 of child"],
    );
    // Who is killed leaves it.
    waits.kill().expect("it lives");
    waits.wait().expect("it ends");
    until(|| store.ok(there).is_empty().then_some(()), "empty barrier");
}

#[test]
fn semaphores_and_leases_let_in_whom_they_may() {
    let store = Serving::start();
    // No more than two at once, and two at once there were.
    let script = "regatta store semaphore two 2 -- sh -c 'regatta store incr in; sleep 0.1; regatta store incr in -1'";
    let children: Vec<Child> = (0..6)
        .map(|_| {
            let mut command = store.sh(script);
            command.stdout(Stdio::piped()).spawn().expect("sh")
        })
        .collect();
    for child in children {
        let (status, out, _) = said(child.wait_with_output().expect("it ends"));
        assert_eq!(status, 0);
        let first = out.lines().next().expect("a number");
        assert!(["1", "2"].contains(&first), "{out}");
    }
    // A lease frees what hangs, and the next holder has a larger number.
    let script =
        "regatta store lock slow --lease 0.2 -- sh -c 'echo $REGATTA_FENCE > first; exec sleep 2'";
    let mut slow = store.sh(script);
    let slow = slow.stderr(Stdio::piped()).spawn().expect("sh");
    until(|| store.file("first").exists().then_some(()), "holder");
    let second = store.ok("regatta store lock slow --timeout 30 -- sh -c 'echo $REGATTA_FENCE'");
    let first = fs::read_to_string(store.file("first")).expect("a number");
    let number = |text: &str| text.trim().parse::<u64>().expect("a number");
    assert!(number(&second) > number(&first));
    // It is told that it was not alone; what it says itself stays.
    let over = "lock `slow` was no longer held when the command ended: its lease was over";
    let (status, _, err) = said(slow.wait_with_output().expect("it ends"));
    assert_eq!(status, 5, "{err}");
    contains(&err, &[over]);
    let (status, _, err) =
        store.run("regatta store lock slow --lease 0.1 -- sh -c 'sleep 1; exit 9'");
    assert_eq!(status, 9, "{err}");
    contains(&err, &[over]);
}

/// Fifty holders die by `kill -9`, in the middle of what only one may do, and some while they wait; a checker that the
/// kernel keeps, which knows nothing of the store, sees no two at once, and no number that is not larger than all before.
#[test]
fn fifty_holders_that_are_killed_release_the_lock_and_nobody_holds_it_twice() {
    let store = Serving::start();
    let holder = "import fcntl, os, sys, time\n\
        held = open('held', 'a')\n\
        log = open('log', 'a')\n\
        try: fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)\n\
        except BlockingIOError: log.write('twice\\n'); log.flush(); sys.exit(1)\n\
        log.write(os.environ['REGATTA_FENCE'] + ' ' + sys.argv[1] + '\\n'); log.flush()\n\
        time.sleep(600)\n";
    fs::write(store.file("holder.py"), holder).expect("a file");
    let mut random = dose::random();
    let mut left: Vec<(usize, Child)> = (0..60)
        .map(|index| {
            let script = format!("exec regatta store lock l -- python3 holder.py {index}");
            let child = store.sh(&script).process_group(0).spawn().expect("sh");
            (index, child)
        })
        .collect();
    let log = store.file("log");
    let entries = || fs::read_to_string(&log).unwrap_or_default();
    let kill = |left: &mut Vec<(usize, Child)>, at: usize| {
        let (_, mut holder) = left.swap_remove(at);
        let group = Pid::from_raw(holder.id().cast_signed());
        killpg(group, Signal::SIGKILL).expect("it lives");
        holder.wait().expect("it ends");
    };
    let mut fences = Vec::<u64>::new();
    while fences.len() < 50 {
        // Now and then one that waits dies too.
        if random.u8(0..8) == 0 && left.len() + fences.len() > 50 {
            let held = entries();
            let waits = |(index, _): &(usize, Child)| !held.contains(&format!(" {index}\n"));
            if let Some(at) = left.iter().position(waits) {
                kill(&mut left, at);
            }
        }
        let line = until(
            || entries().lines().nth(fences.len()).map(str::to_owned),
            "next holder",
        );
        let (fence, index) = line.split_once(' ').unwrap_or_else(|| panic!("{line}"));
        fences.push(fence.parse().expect("a number"));
        thread::sleep(Duration::from_millis(random.u64(0..10)));
        let at = left.iter().position(|(own, _)| own.to_string() == index);
        kill(
            &mut left,
            at.unwrap_or_else(|| panic!("{index} is gone, and has it")),
        );
    }
    assert!(fences.is_sorted_by(|one, next| one < next), "{fences:?}");
    for at in (0..left.len()).rev() {
        kill(&mut left, at);
    }
    // It is free.
    store.ok("regatta store lock l --timeout 30 -- true");
}

/// As with `flock`, the command that holds a lock goes on to hold it when the one that took it for it is killed.
#[test]
fn a_lock_is_held_as_long_as_its_command_runs() {
    let store = Serving::start();
    let script =
        "exec regatta store lock l -- sh -c 'echo $$ > pid.part; mv pid.part pid; exec sleep 60'";
    let mut taker = store.sh(script).spawn().expect("sh");
    let pid = until(|| fs::read_to_string(store.file("pid")).ok(), "holder");
    taker.kill().expect("it lives");
    taker.wait().expect("it ends");
    let (status, _, err) = store.run("regatta store lock l --timeout 0.2 -- true");
    assert_eq!(status, 3, "{err}");
    contains(&err, &["lock `l` is held by pid"]);
    let pid = Pid::from_raw(pid.trim().parse().expect("a pid"));
    nix::sys::signal::kill(pid, Signal::SIGKILL).expect("it lives");
    store.ok("regatta store lock l --timeout 30 -- true");
}
