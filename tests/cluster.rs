//! Pools on several hosts: two "machines" made of network namespaces, each with an sshd and nothing of Rust, a real
//! `nats-server` between them and the session.

mod support;

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Session, contains, hosts::Hosts, is_like_others, serving::until};

#[test]
fn a_cluster_is_a_pool_like_any_other() {
    let hosts = Hosts::up("like");
    let mut session = Session::start();
    contains(
        &session.cell(&hosts.start([2, 1])),
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
    let hosts = Hosts::up("outlives");
    let mut session = Session::start();
    contains(&session.cell(&hosts.start([2, 2])), &["4 cluster engines"]);
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
