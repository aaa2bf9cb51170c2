//! Pools on several hosts: two "machines" made of network namespaces, each with an sshd and nothing of Rust, a real
//! `nats-server` between them and the session.

mod support;

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Session, contains, hosts::Hosts, is_like_others, serving::until};

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
    contains(&session.cell("%nodes"), &["node2", "gone"]);
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
    let add = format!("%pool add node2:2 {options}");
    let start = format!("%pool start cluster --ssh node1:2 {options}{kind}");
    contains(&session.cell(&start), &["2 cluster engines on node1"]);
    session.cell("%px let mine = engine::rank() + 10;");

    // Those that are there hold on to an item each: what is left is for those that come.
    let flag = hosts.0.join("flag");
    session.cell(&format!(
        "fn held(x: u64) -> (u64, u32) {{
            let short = std::time::Duration::from_millis(1);
            while x < 2 && !std::path::Path::new({flag:?}).exists() {{ std::thread::sleep(short); }}
            std::thread::sleep(short);
            (x * x, engine::rank())
        }}"
    ));
    session.cell("%map -a held over 0..200u64");
    contains(
        &session.cell(&add),
        &["4 cluster engines on node1, node2", "2 engines more"],
    );
    std::fs::write(&flag, "").unwrap();
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
