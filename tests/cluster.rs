//! Pools on several hosts: two "machines" made of network namespaces, each with an sshd and nothing of Rust, a real
//! `nats-server` between them and the session.

mod support;

use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::trial::{is_server, send};
use support::{
    Session, contains,
    hosts::{Cut, Hosts},
    is_like_others, lacks, proc,
    serving::until,
};

/// What is appended to a start: chunks are pushed to engines, or nodes take them from a queue.
const PUSHED: &str = "";
const QUEUED: &str = " --durable";

#[test]
fn a_cluster_is_a_pool_like_any_other() {
    is_a_pool_like_any_other("like", PUSHED);
}

#[test]
fn a_durable_cluster_is_a_pool_like_any_other() {
    is_a_pool_like_any_other("like-queued", QUEUED);
}

fn is_a_pool_like_any_other(name: &str, kind: &str) {
    let hosts = Hosts::up(name);
    let mut session = Session::start();
    contains(
        &session.cell(&(hosts.start([2, 1]) + kind)),
        &["pool c0: 3 cluster engines on node1, node2, up in"],
    );
    contains(
        &session.cell("%pool list"),
        &["c0 *", "idle", "node1", "node2"],
    );
    contains(
        &session.cell("%nodes"),
        &["node1", "2 of 2", "node2", "1 of 1", "up"],
    );

    is_like_others(&mut session, "c0");
    // Large data there and back.
    session.cell("let big: Vec<u64> = (0..3_000_000).collect();");
    session.cell("%push big");
    contains(
        &session.cell("%px big.iter().sum::<u64>()"),
        &["0-2", "4499998500000"],
    );
    contains(
        &session.cell("let sums = %map |x: u64| x + big[x as usize] over 0..4u64\nsums"),
        &["[0, 2, 4, 6]"],
    );
    // A panic is one engine's, and what engines print without end slows them down.
    contains(
        &session.cell("%px if engine::rank() == 1 { panic!(\"no\") }"),
        &["engine 1 panicked: no"],
    );
    contains(&session.cell("%px mine"), &["0", "2", "4"]);
    contains(
        &session.cell("%px for n in 0..200000 { println!(\"{n}\"); }"),
        &["199999"],
    );
}

#[test]
fn a_map_outlives_engines_and_nodes() {
    outlives_engines_and_nodes("outlives", PUSHED);
}

#[test]
fn a_queued_map_outlives_engines_and_nodes() {
    outlives_engines_and_nodes("outlives-queued", QUEUED);
}

fn outlives_engines_and_nodes(name: &str, kind: &str) {
    let hosts = Hosts::up(name);
    let mut session = Session::start();
    contains(
        &session.cell(&(hosts.start([2, 2]) + kind)),
        &["4 cluster engines"],
    );
    session.enter(
        "let r = %map |x: u64| { std::thread::sleep(std::time::Duration::from_millis(40)); x * 2 } over 0..200u64",
    );
    // It runs by now.
    session.shows("items", Duration::from_secs(60));
    for pid in hosts
        .processes(1, "__engine")
        .into_iter()
        .take(1)
        .chain(hosts.processes(2, "--join"))
    {
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }
    session.prompt(Duration::from_secs(60));
    contains(&session.cell("r.iter().sum::<u64>()"), &["39800"]);
    contains(&session.cell("%nodes"), &["node2 is gone: "]);
    contains(
        &session.cell("%pool remove node2"),
        &["node2 is not listed any more"],
    );
    lacks(&session.cell("%nodes"), &["node2"]);
    drop(session);
    let left = || {
        [hosts.engines(), hosts.nodes()]
            .concat()
            .is_empty()
            .then_some(())
    };
    until(left, "a node or an engine is left");
}

#[test]
fn large_inputs_of_engines_that_died_are_sent_again_as_they_were() {
    let hosts = Hosts::up("again");
    let mut session = Session::start();
    contains(&session.cell(&hosts.start([2, 2])), &["4 cluster engines"]);
    // Longer than what travels within a frame: the caller writes later inputs where earlier ones stood.
    session.cell(
        "let inputs: Vec<Vec<u64>> = (0..120).map(|n| vec![n + (1 << 60); 20_000]).collect();",
    );
    session.enter(
        "let got = pool::pool(\"\").chunk(1).map(inputs, |it: Vec<u64>| { \
         println!(\"at {}\", it[0]); std::thread::sleep(std::time::Duration::from_millis(100)); \
         (it[0] - (1 << 60), it.iter().all(|n| *n == it[0])) });",
    );
    session.shows("at 1", Duration::from_secs(60));
    for _ in 0..7 {
        for pid in hosts.processes(1, "__engine").into_iter().take(1) {
            kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        }
        std::thread::sleep(Duration::from_millis(350));
    }
    session.prompt(Duration::from_secs(60));
    contains(
        &session.cell("got.iter().enumerate().filter(|(n, it)| **it != (*n as u64, true)).count()"),
        &["0"],
    );
    contains(&session.cell("got.len()"), &["120"]);
}

#[test]
fn hosts_that_do_not_come_are_named() {
    let hosts = Hosts::up("named");
    let config = hosts.0.join("config");
    let mut session = Session::start();
    let start = |hosts: &str, more: &str| {
        format!(
            "%pool start cluster --ssh {hosts} --ssh-options '-F {}' {more}",
            config.display()
        )
    };
    contains(
        &session.cell(&start("node1:1,nowhere", "")),
        &["node nowhere did not come", "Could not resolve", "--need 1"],
    );
    contains(
        &session.cell(&start("node1:1,nowhere", "--need 1")),
        &["node nowhere did not come", "1 cluster engine on node1"],
    );
    contains(&session.cell("%px 1 + 1"), &["2"]);
    contains(
        &session.cell("%pool start cluster"),
        &["a cluster needs hosts"],
    );
    contains(
        &session.cell("%pool start cluster --ssh node1:x"),
        &["engines of a host are a number"],
    );
    contains(
        &session.cell("%pool start cluster --ssh 8"),
        &["`8`: a number is no host", "`node1:8`"],
    );
    for (asked, told) in [
        ("--ssh node1:2 -n 3", "hosts that do not say how many"),
        (
            "--ssh node1:2 --need 5",
            "that many nodes cannot come, 1 are asked for",
        ),
        (
            "--ssh node1 --durable --keep 1h",
            "`--keep` has the queue of `--durable` already",
        ),
    ] {
        contains(
            &session.cell(&format!("%pool start cluster {asked}")),
            &["error: ", told],
        );
    }
    for (many, typed) in [
        ("node1:1,node2:257", "node2:257"),
        ("node1 -n 900", "-n 900"),
    ] {
        contains(
            &session.cell(&format!("%pool start cluster --ssh {many}")),
            &[
                &format!("error: {typed}: too many for one machine"),
                "the most is 256",
            ],
        );
    }
}

/// What users have as shells, and what those say first.
#[test]
fn hosts_have_whatever_shells() {
    assert!(Path::new("/usr/bin/tcsh").exists(), "tcsh is needed");
    let hosts = Hosts::up("shells");
    let start = format!(
        "%pool start cluster --ssh node1:1 --ssh-options '-F {}'",
        hosts.0.join("config").display()
    );
    let mut session = Session::start();
    for shell in [
        "tcsh -c \"$SSH_ORIGINAL_COMMAND\"",
        "echo Welcome; echo; echo a word >&2; printf 'mail> '; exec sh -c \"$SSH_ORIGINAL_COMMAND\"",
    ] {
        hosts.force(1, shell);
        // With the program brought, and with the one that is there.
        for _ in 0..2 {
            contains(&session.cell(&start), &["1 cluster engine on node1"]);
            contains(&session.cell("%px engine::rank() + 41"), &["41"]);
            contains(&session.cell("%pool stop"), &["stopped"]);
        }
        std::fs::remove_dir_all(hosts.home(1).join(".cache")).expect("a program");
    }
    // A program that nobody has started for long goes when another one comes; one of last week stays.
    let programs = hosts.home(1).join(".cache/regatta/node");
    let day = Duration::from_hours(24);
    for (name, days) in [("old", 40), ("recent", 7)] {
        let folder = programs.join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("regatta"), "a program").expect("a file");
        let then = SystemTime::now() - days * day;
        let opened = std::fs::File::open(&folder).expect("a folder");
        opened.set_modified(then).expect("a time");
    }
    contains(&session.cell(&start), &["1 cluster engine on node1"]);
    contains(&session.cell("%pool stop"), &["stopped"]);
    let left = proc::files(programs, &|name| name == "regatta");
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(
        !left
            .iter()
            .any(|file| file.to_string_lossy().contains("/old/")),
        "{left:?}"
    );
    hosts.force(1, "echo This account is not available.; exit 1");
    contains(
        &session.cell(&start),
        &[
            "node node1 did not come: This account is not available.",
            "try the host with `!ssh -F ",
            " node1 true` first",
        ],
    );
}

/// What a user's configuration has ssh do at a login is not for nodes, and does them no harm.
#[test]
fn what_ssh_does_at_a_login_does_nodes_no_harm() {
    let hosts = Hosts::up("login");
    let config = hosts.0.join("config");
    let mut known = std::fs::read_to_string(&config).expect("a configuration");
    // The second host finds the first way's port taken.
    known += "Host *\n    LocalForward 127.0.0.1:18888 127.0.0.1:8888\n    RemoteForward 0 127.0.0.1:9\n    \
              RemoteCommand tmux\n    RequestTTY force\n    LogLevel QUIET\n    ClearAllForwardings yes\n";
    std::fs::write(&config, known).expect("a configuration");
    let mut session = hosts.session([1, 1]);
    contains(&session.cell("%px engine::rank() + 41"), &["41", "42"]);
    // A host that makes no way back is named.
    let sshd = hosts.0.join("sshd1.conf");
    let mut served = std::fs::read_to_string(&sshd).expect("a configuration");
    served += "AllowTcpForwarding no\n";
    std::fs::write(&sshd, served).expect("a configuration");
    hosts.reload(1);
    contains(
        &session.cell(&hosts.start([1, 1])),
        &[
            "node node1 did not come: ssh has made no way back",
            "--listen",
        ],
    );
    // It comes over the network where it can.
    let open = format!(
        "{} --listen {}",
        hosts.start([1, 1]),
        hosts.address_of_session(1)
    );
    contains(&session.cell(&open), &["2 cluster engines"]);
    contains(&session.cell("%px engine::rank() + 51"), &["51", "52"]);
}

/// An sshd lets only so many in at once who have not said who they are: behind one host there may be many. It is tried again.
#[test]
fn a_host_that_is_busy_with_others_is_tried_again() {
    let hosts = Hosts::up("busy");
    let file = hosts.0.join("sshd1.conf");
    let mut served = std::fs::read_to_string(&file).expect("a configuration");
    served += "MaxStartups 1:100:1\n";
    std::fs::write(&file, served).expect("a configuration");
    hosts.reload(1);
    let mut session = Session::start();
    let stranger = TcpStream::connect((hosts.address(1), 22)).expect("an sshd");
    let since = Instant::now();
    let leaves = std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(2));
        drop(stranger);
    });
    contains(
        &session.cell(&hosts.start([1, 1])),
        &["2 cluster engines on node1, node2"],
    );
    assert!(
        since.elapsed() > Duration::from_secs(2),
        "none was let in before"
    );
    leaves.join().expect("a stranger");
    contains(&session.cell("%px engine::rank() + 41"), &["41", "42"]);
}

/// The session itself has no way to it: `ProxyJump` in ssh's configuration, and `-J` in the options.
#[test]
fn a_host_behind_another_one_is_reached_through_it() {
    let hosts = Hosts::up("jump");
    hosts.wire_to_each_other();
    hosts.cut(2, Cut::Drop);
    let config = hosts.0.join("config");
    let mut known = std::fs::read_to_string(&config).expect("a configuration");
    known += &known.replace("Host node2", "Host behind\n    ProxyJump node1");
    std::fs::write(&config, known).expect("a configuration");
    let mut session = Session::start();
    for (host, options) in [("behind", ""), ("node2", "-J node1")] {
        let started = session.cell(&format!(
            "%pool start cluster --ssh {host}:2 --ssh-options '-F {} {options}'",
            config.display()
        ));
        contains(&started, &[&format!("2 cluster engines on {host}")]);
        contains(
            &session.cell(r#"%px std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap()"#),
            &["node2"],
        );
        let map = "let r = %map |x: u64| x * x over 0..1000u64\nr.iter().sum::<u64>()";
        contains(&session.cell(map), &["332833500", "(2 engines)"]);
        session.cell("%pool stop --all");
        assert_eq!(hosts.processes(2, "--join"), [0; 0]);
    }
}

/// Of each the server is told, and then reads anew who its users are, while others connect. Here it does so all the time.
#[test]
fn nodes_come_while_the_server_reads_its_users_anew() {
    let hosts = Hosts::up("anew");
    let config = hosts.0.join("config");
    let all = ["node1:1,node2:1"; 6].join(",");
    let mut session = Session::start();
    let pid = session.pid();
    let is_over = Arc::new(AtomicBool::new(false));
    let reads = std::thread::spawn({
        let is_over = is_over.clone();
        move || {
            while !is_over.load(Ordering::Relaxed) {
                for server in proc::below(pid).into_iter().filter(|it| is_server(*it)) {
                    // Before it has written its process id it does not listen to this, and ends of it.
                    if let Some(it) = said_pid(server) {
                        send(it, Signal::SIGHUP);
                    }
                }
                std::thread::sleep(Duration::from_millis(30));
            }
        }
    });
    for _ in 0..3 {
        let start = format!(
            "%pool start cluster --ssh {all} --ssh-options '-F {}'",
            config.display()
        );
        contains(&session.cell(&start), &["12 cluster engines on"]);
        contains(&session.cell("%px 1 + 1"), &["2"]);
        session.cell("%pool stop");
    }
    is_over.store(true, Ordering::Relaxed);
    reads.join().unwrap();
}

/// The process id that a server has written.
fn said_pid(server: i32) -> Option<i32> {
    let file = format!("/proc/{server}/cwd/nats.pid");
    let said = std::fs::read_to_string(file).ok()?.trim().parse().ok()?;
    (said == server).then_some(said)
}

#[test]
fn hosts_come_and_go_while_maps_run() {
    come_and_go("go", PUSHED);
}

#[test]
fn hosts_of_a_durable_cluster_come_and_go_while_maps_run() {
    come_and_go("go-queued", QUEUED);
}

fn come_and_go(name: &str, kind: &str) {
    let hosts = Hosts::up(name);
    let options = format!("--ssh-options '-F {}'", hosts.0.join("config").display());
    let mut session = Session::start();
    // Reached as the hosts that it began with.
    let add = "%pool add node2:2".to_owned();
    let start = format!("%pool start cluster --ssh node1:2 {options}{kind}");
    contains(&session.cell(&start), &["2 cluster engines on node1"]);
    session.cell("%px let mine = engine::rank() + 10;");

    // Those that are there wait at their first items until one of those that come has done some.
    let flag = hosts.0.join("flag");
    session.cell(&format!(
        "fn held(x: u64) -> (u64, u32) {{
            let short = std::time::Duration::from_millis(1);
            let flag = std::path::Path::new({flag:?});
            if engine::rank() > 1 && !flag.exists() {{ std::fs::write(flag, \"\").unwrap(); }}
            while !flag.exists() {{ std::thread::sleep(short); }}
            std::thread::sleep(short);
            (x * x, engine::rank())
        }}"
    ));
    session.cell("%map -a held over 0..200u64");
    contains(
        &session.cell(&add),
        &["4 cluster engines on node1, node2", "2 engines more"],
    );
    session.cell("let r = %result");
    contains(
        &session.cell(
            "(r.iter().enumerate().all(|(at, (x, _))| *x == (at * at) as u64), r.len(), r.iter().any(|(_, rank)| *rank > 1))",
        ),
        &["(true, 200, true)"],
    );

    // The first host goes: its engines end what they are at, and the others have their ranks.
    session.cell("%px -t 2: let mine = engine::rank() + 10;");
    session.cell("%map -a held over 0..500u64");
    contains(
        &session.cell("%pool remove node1"),
        &["2 cluster engines on node2", "node1 is gone with 2 engines"],
    );
    session.cell("let r = %result");
    let all = "(r.iter().enumerate().all(|(at, (x, _))| *x == (at * at) as u64), r.len())";
    contains(&session.cell(all), &["(true, 500)"]);
    contains(
        &session.cell("%px (engine::rank(), engine::size(), mine)"),
        &["(0, 2, 12)", "(1, 2, 13)"],
    );
    until(
        || hosts.processes(1, "__engine").is_empty().then_some(()),
        "an engine is left",
    );

    // Messages too.
    contains(
        &session.cell("%px comm::all_reduce(&1, comm::op::sum)"),
        &["0,1", "2"],
    );

    // In and out under load.
    let add = add.replace("node2", "node1");
    let mut random = support::dose::random();
    for round in 0..support::dose::of(4, 100) {
        session.cell("%map -a held over 0..1000u64");
        contains(&session.cell(&add), &["2 engines more"]);
        std::thread::sleep(Duration::from_millis(random.u64(0..300)));
        let now = if random.bool() { "--now" } else { "" };
        contains(
            &session.cell(&format!("%pool remove node1 {now}")),
            &["2 cluster engines on node2"],
        );
        session.cell("let r = %result");
        let said = session.cell(all);
        assert!(said.contains("(true, 1000)"), "round {round}: {said}");
    }

    // What cannot be.
    contains(
        &session.cell("%pool remove node7"),
        &["has no node node7", "its nodes are node2"],
    );
    contains(
        &session.cell("%pool remove node2"),
        &["has all engines", "%pool stop c0"],
    );
    contains(
        &session.cell(&format!("%pool add nowhere {options}")),
        &[
            "node nowhere did not come",
            "Could not resolve",
            "as it was",
        ],
    );
    contains(&session.cell("%pool add"), &["no node of c0 has room"]);
    contains(
        &session.cell("%px (engine::rank(), engine::size())"),
        &["(0, 2)", "(1, 2)"],
    );
}
