//! Clusters that find trouble: engines, nodes, the server and the session killed, nodes stopped, networks cut and bad, a full
//! disk, and all of it mixed. Results are those of a local run, one per index; errors name the node; nothing is left.
//!
//! Chances are logged (`REGATTA_SEED`). The usual dose is small; `REGATTA_DOSE=full` gives 300 engines killed, 50 nodes
//! killed, 20 stopped for 30 s, each for maps that are sent and for maps that are queued; 30 servers killed and 10 stopped, 20
//! sessions killed, 50 cuts.

mod support;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use support::hosts::{Cut, Faults, Hosts};
use support::trial::{
    BIG, BOUND, Disk, SLOW, Trial, WANTED, WORKS, Work, is_server, nothing_is_left, send,
    server_folders,
};
use support::{PATIENCE, Session, contains, dose, lacks, proc, serving::until};

#[test]
fn killed_engines_of_nodes_lose_no_item() {
    Trial::both("engines", |mut trial| {
        let mut killed = 0;
        while killed < dose::of(3, 300) {
            trial.begin(Work::Map);
            for _ in 0..3 {
                trial.pause(150);
                if let Some(pid) = trial.random.choice(trial.hosts.engines()) {
                    send(pid, Signal::SIGKILL);
                    killed += 1;
                }
            }
            trial.ends(Work::Map, false);
            trial.goes_on();
            dose::told(&format!("{killed} engines killed"));
        }
        trial.end();
    });
}

#[test]
fn killed_nodes_are_named_and_the_others_go_on() {
    Trial::both("nodes", |mut trial| {
        for round in 1..=dose::of(1, 50) {
            let (host, other) = if trial.random.bool() { (1, 2) } else { (2, 1) };
            let work = if round == 1 {
                Work::Map
            } else {
                trial.random.choice(WORKS).unwrap_or(Work::Map)
            };
            trial.begin(work);
            trial.pause(400);
            for pid in trial.hosts.nodes_of(host) {
                send(pid, Signal::SIGKILL);
            }
            let shown = trial.ends(work, false);
            dose::told(&format!("round {round}: node{host} in {work:?}"));
            let told = trial.session.shown();
            // It may have come after the cell.
            if shown.contains("died") || shown.contains("error") {
                contains(&format!("{shown}{told}"), &[&format!("node{host}")]);
            }
            trial.loses(host);
            trial.goes_on();
            assert_eq!(trial.hosts.engines_of(other).len(), 4);
            assert_eq!(trial.hosts.engines_of(host).len(), 0);
            trial.anew();
        }
        trial.end();
    });
}

#[test]
fn nodes_that_stand_still_are_given_up_and_end_when_they_go_on() {
    Trial::both("still", |mut trial| {
        // Shorter than that, they only make others wait.
        trial.begin(Work::Map);
        let node = trial.hosts.nodes_of(2)[0];
        send(node, Signal::SIGSTOP);
        std::thread::sleep(Duration::from_secs(3));
        send(node, Signal::SIGCONT);
        trial.ends(Work::Map, true);
        trial.goes_on();
        for round in 1..=dose::of(1, 20) {
            let host = trial.random.usize(1..=2);
            let work = trial
                .random
                .choice([Work::Map, Work::Px])
                .unwrap_or(Work::Map);
            trial.begin(work);
            trial.pause(400);
            let (node, engines) = (trial.hosts.nodes_of(host)[0], trial.hosts.engines_of(host));
            send(node, Signal::SIGSTOP);
            let since = Instant::now();
            let shown = trial.ends(work, false);
            trial.loses(host);
            contains(&trial.node(host), &["is gone: nothing was heard"]);
            if shown.contains("died") || shown.contains("error") {
                contains(&shown, &[&format!("node{host}")]);
            }
            trial.goes_on();
            if round % 2 == 1 {
                // What it was told last is lost.
                let (server, _) = trial.server();
                send(server, Signal::SIGKILL);
                until(|| trial.serves().filter(|it| *it != server), "server");
                trial.goes_on();
            }
            std::thread::sleep(
                Duration::from_secs(dose::of(0, 30) as u64).saturating_sub(since.elapsed()),
            );
            send(node, Signal::SIGCONT);
            let zombies = [&engines[..], &[node]].concat();
            let left = proc::leftovers(&zombies, Duration::from_secs(10));
            assert!(left.is_empty(), "{left:?}");
            trial.goes_on();
            dose::told(&format!("round {round}: node{host} in {work:?}"));
            trial.anew();
        }
        // More than goes without an answer.
        trial
            .session
            .cells(&["let huge: Vec<u64> = (0..3_000_000).collect();"]);
        let (node, engines) = (trial.hosts.nodes_of(2)[0], trial.hosts.engines_of(2));
        send(node, Signal::SIGSTOP);
        // It hears that it is not wanted all the same.
        let shown = trial.cell("%push huge");
        contains(&shown, &["node2"]);
        trial.goes_on();
        send(node, Signal::SIGCONT);
        let zombies = [&engines[..], &[node]].concat();
        let left = proc::leftovers(&zombies, Duration::from_secs(20));
        assert!(left.is_empty(), "{left:?}");
        trial.goes_on();
        trial.end();
    });
}

#[test]
fn the_server_may_be_killed_or_stand_still_at_any_time() {
    let mut trial = Trial::start("server");
    for round in 1..=dose::of(5, 40) {
        let work = WORKS[round % WORKS.len()];
        let still = round % 4 == 1;
        let (server, _) = trial.server();
        trial.begin(work);
        // While much is on its way.
        trial.pause(if matches!(work, Work::Map | Work::Px) {
            600
        } else {
            80
        });
        dose::told(&format!("round {round}: {work:?}, still {still}"));
        // Nodes are not to blame for one that does not move: it is started again.
        send(
            server,
            if still {
                Signal::SIGSTOP
            } else {
                Signal::SIGKILL
            },
        );
        trial.ends(work, true);
        trial.goes_on();
        assert_eq!(trial.hosts.engines().len(), 4);
        let (now, _) = trial.server();
        assert_ne!(now, server);
    }
    trial.end();
}

#[test]
fn nothing_outlives_a_session_that_is_killed() {
    let hosts = Hosts::up("session");
    let mut random = dose::random();
    // Of these sessions alone, so that nothing there is another one's.
    let temporary = tempfile::tempdir().expect("a folder");
    let at = temporary.path().to_str().expect("a path");
    for round in 1..=dose::of(2, 20) {
        let mut session = Session::taking_over(&[("TMPDIR", at)]);
        // While it starts, too.
        session.enter(&hosts.start([2, 2]));
        let early = round % 4 == 2;
        if early {
            std::thread::sleep(Duration::from_millis(random.u64(0..800)));
        } else {
            contains(&session.prompt(BOUND), &["4 cluster engines"]);
            session.cells(&[SLOW, BIG]);
            session.enter(match random.usize(0..3) {
                0 => "let got = %map slow over 0..1_200u64",
                1 => "%px std::thread::sleep(std::time::Duration::from_secs(100))",
                _ => "%push big",
            });
            std::thread::sleep(Duration::from_millis(random.u64(0..1500)));
        }
        let below = proc::below(session.pid());
        // One that has only begun has none yet, or has one without a server.
        assert!(early || server_folders(temporary.path()).len() == 1);
        session.signal(Signal::SIGKILL);
        session.ended(PATIENCE);
        drop(session);
        nothing_is_left(&hosts, temporary.path(), &below);
        dose::told(&format!("round {round}"));
    }
}

#[test]
fn short_cuts_and_pauses_lose_nothing() {
    let mut trial = Trial::start("short");
    trial.short_cuts(dose::of(4, 30), &WORKS);
    // Nor does a session that stands still.
    for round in 1..=dose::of(1, 5) {
        trial.begin(Work::Map);
        trial.pause(300);
        let pid = trial.session.pid();
        send(pid, Signal::SIGSTOP);
        std::thread::sleep(Duration::from_millis(trial.random.u64(6_000..9_000)));
        send(pid, Signal::SIGCONT);
        trial.ends(Work::Map, true);
        trial.goes_on();
        dose::told(&format!("round {round}: the session"));
    }
    assert_eq!(trial.hosts.engines().len(), 4);
    trial.end();
}

#[test]
fn long_cuts_cost_a_node_that_is_named() {
    let mut trial = Trial::start("long");
    trial.long_cuts(dose::of(1, 20), &[Work::Map, Work::Px]);
    trial.end();
}

#[test]
fn bad_cables_only_take_time() {
    let mut trial = Trial::start("cable");
    let seed = trial.random.u64(..);
    let faults = Faults {
        delay_ms: 50,
        lost: 0.02,
        repeated: 0.02,
        late: 0.02,
        bytes_per_second: 1e7,
        seed,
    };
    let cables = [1, 2].map(|host| trial.hosts.bad_cable(host, &faults));
    trial
        .session
        .cells(&["let small: Vec<u64> = (0..100_000).collect();"]);
    for _ in 0..dose::of(1, 10) {
        trial.begin(Work::Map);
        trial.ends(Work::Map, true);
        trial.begin(Work::Px);
        trial.ends(Work::Px, true);
        lacks(&trial.cell("%push small"), &["error"]);
        contains(&trial.cell("%px small.len()"), &["│    0-3 │ 100000 │"]);
        contains(
            &trial.cell("let pulled = %pull small\npulled.iter().map(|it| it.iter().sum::<u64>()).collect::<Vec<_>>()"),
            &["[4999950000, 4999950000, 4999950000, 4999950000]"],
        );
        trial.goes_on();
    }
    drop(cables);

    // What is only slow is not sent again and again. It needs a machine that has time for it: a node is silent at last when
    // packets come too late.
    for _ in 0..dose::of(0, 1) {
        let faults = Faults {
            delay_ms: 300,
            lost: 0.0,
            repeated: 0.0,
            late: 0.0,
            bytes_per_second: 200_000.0,
            seed: 0,
        };
        let cable = trial.hosts.bad_cable(2, &faults);
        // 800 kB, once for the two engines there.
        lacks(
        &trial.cell("let more: Vec<u64> = (0..100_000).map(|x: u64| x.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();\n%push more"),
        &["error"],
    );
        contains(&trial.cell("%px more.len()"), &["│    0-3 │ 100000 │"]);
        trial.begin(Work::Map);
        trial.ends(Work::Map, true);
        let bytes = cable.unplug();
        dose::told(&format!("{bytes} bytes"));
        assert!(bytes < 1_700_000, "{bytes} bytes for 0.8 MB");
    }
    trial.goes_on();
    assert_eq!(trial.hosts.engines().len(), 4);
    trial.end();
}

#[test]
fn a_server_that_ends_without_a_word_is_told_of() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = folder.path().join("nats-server");
    std::fs::write(&server, "#!/bin/sh\nkill -KILL $$\n").expect("a script");
    std::fs::set_permissions(&server, Permissions::from_mode(0o755)).expect("a script");
    let path = std::env::var("PATH").expect("a path");
    let path = format!("{}:{path}", folder.path().display());
    let mut session = Session::taking_over(&[("PATH", &path)]);
    contains(
        &session.cell("%pool start cluster --ssh nowhere"),
        &["error: `nats-server` cannot be started: signal: 9 (SIGKILL)"],
    );
    contains(&session.cell("1 + 1"), &["2"]);
}

#[test]
fn a_full_disk_of_the_servers_is_told_or_does_not_matter() {
    let disk = Disk::mount();
    let hosts = Hosts::up("disk");
    let mut session = Session::taking_over(&[("TMPDIR", disk.0.to_str().expect("a path"))]);
    session.cells(&[SLOW, WANTED, "let kept = 41;"]);
    let start = hosts.start([2, 2]);

    // It cannot start.
    disk.fill();
    contains(
        &session.cell(&start),
        &[
            "error: `nats-server` cannot be started",
            "nats.conf",
            "os error 28",
            "TMPDIR",
        ],
    );
    assert_eq!(hosts.nodes().len(), 0);
    disk.free();

    // It cannot write, and is killed, and starts again.
    contains(&session.cell(&start), &["4 cluster engines"]);
    let map = "let got = %map slow over 0..1_200u64";
    lacks(&session.cell(map), &["error"]);
    session.enter(map);
    session.shows("u64 → u64", BOUND);
    disk.fill();
    for pid in proc::below(session.pid()) {
        if is_server(pid) {
            send(pid, Signal::SIGKILL);
        }
    }
    let shown = session.prompt(BOUND);
    lacks(&shown, &["error", "died"]);
    disk.free();
    contains(&session.cell("(got == wanted, kept + 1)"), &["(true, 42)"]);
    contains(
        &session.cell("%px engine::size()"),
        &["│    0-3 │      4 │"],
    );
    let below = proc::below(session.pid());
    assert_eq!(server_folders(&disk.0).len(), 1);
    assert_eq!(session.end(), 0);
    nothing_is_left(&hosts, &disk.0, &below);
    let left = proc::files(disk.0.clone(), &|name| name == "nats.conf");
    assert!(left.is_empty(), "{left:?}");
}

/// What can happen in a storm.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Engine,
    Node,
    Still,
    Server,
    Short(Cut),
    Long(Cut),
}

#[test]
fn a_storm_of_troubles_is_survived() {
    let mut trial = Trial::start("storm");
    for round in 1..=dose::of(4, 100) {
        let cut = Cut::OUTLIVED[trial.random.usize(0..Cut::OUTLIVED.len())];
        let trouble = match trial.random.usize(0..20) {
            0..6 => Trouble::Engine,
            6..9 => Trouble::Node,
            9 => Trouble::Still,
            10..14 => Trouble::Server,
            14..19 => Trouble::Short(cut),
            _ => Trouble::Long(cut),
        };
        // The first of them holds on while others come.
        let host = trial.random.usize(1..=2);
        let work = WORKS[trial.random.usize(0..WORKS.len())];
        dose::told(&format!(
            "round {round}: {trouble:?} node{host} in {work:?}"
        ));
        trial.begin(work);
        trial.pause(300);
        if trial.random.u8(..) < 60
            && let Some(pid) = trial.random.choice(trial.hosts.engines())
        {
            send(pid, Signal::SIGKILL);
        }
        let mut stopped = Vec::new();
        match trouble {
            Trouble::Engine => {
                if let Some(pid) = trial.random.choice(trial.hosts.engines()) {
                    send(pid, Signal::SIGKILL);
                }
            }
            Trouble::Node => {
                let nodes = trial.hosts.nodes_of(host);
                nodes.into_iter().for_each(|pid| send(pid, Signal::SIGKILL));
            }
            Trouble::Still => {
                stopped = trial.hosts.nodes_of(host);
                stopped.iter().for_each(|pid| send(*pid, Signal::SIGSTOP));
            }
            Trouble::Server => send(trial.server().0, Signal::SIGKILL),
            Trouble::Short(cut) => {
                trial.hosts.cut(host, cut);
                trial.pause(1500);
                trial.hosts.mend(host, cut);
            }
            Trouble::Long(cut) => trial.hosts.cut(host, cut),
        }
        if trial.random.bool() {
            trial.pause(200);
            send(trial.server().0, Signal::SIGKILL);
        }
        trial.ends(work, false);
        if matches!(trouble, Trouble::Node | Trouble::Still | Trouble::Long(_)) {
            trial.loses(host);
        }
        // Of what was killed last it may hear only now.
        trial.settles();
        stopped.iter().for_each(|pid| send(*pid, Signal::SIGCONT));
        trial.goes_on();
        if let Trouble::Long(cut) = trouble {
            trial.hosts.mend(host, cut);
        }
        // Two nodes again.
        if trial.cell("%nodes").contains("gone") {
            trial.anew();
        }
    }
    trial.end();
}
