//! Maps on a cluster through its queue: what is right while engines, nodes, the server and the session are killed, and what is
//! on the server meanwhile. On two hosts made of network namespaces, with a real `nats-server`.

mod support;

use std::collections::BTreeMap;
use std::fs;

use std::time::{Duration, Instant};

use async_nats::jetstream;
use async_nats::jetstream::consumer::{Consumer, pull};
use async_nats::jetstream::stream::Stream;
use async_nats::{Client, ConnectOptions};
use futures_util::TryStreamExt as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{
    Session, contains, dose, hosts::Hosts, kept::Kept, lacks, proc, serving::until, table,
    trial::Trial,
};
use tokio::runtime::Runtime;

/// For maps on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// A piece of a silent node goes to another one after so long.
const ACK_WAIT: Duration = Duration::from_secs(5);

/// A session with a pool on both hosts, of two engines each.
fn durable(hosts: &Hosts) -> Session {
    let mut session = Session::start();
    let started = session.cell(&(hosts.start([2, 2]) + " --durable"));
    contains(&started, &["4 cluster engines on node1, node2"]);
    session
}

fn signal(pids: &[i32], signal: Signal) {
    for pid in pids {
        // It may have ended by itself, with another one.
        let _ = kill(Pid::from_raw(*pid), signal);
    }
}

/// The processes of a session's server, and its keeper.
fn servers(session: i32) -> [Vec<i32>; 2] {
    let below = proc::below(session);
    let server = |pid: &&i32| proc::arguments(**pid).contains("nats-server -c");
    let keeper = |pid: &&i32| proc::arguments(**pid).contains("__keep");
    [
        below
            .iter()
            .filter(|pid| server(pid) && !keeper(pid))
            .copied()
            .collect(),
        below.iter().filter(keeper).copied().collect(),
    ]
}

/// A look into a session's server.
struct Server {
    runtime: Runtime,
    url: String,
    configuration: String,
    cluster: String,
}

/// What stands in a configuration between this and the next `"`.
fn after(configuration: &str, what: &str) -> String {
    let (_, rest) = configuration.split_once(what).expect(what);
    rest.split('"').next().unwrap_or_default().to_owned()
}

impl Server {
    fn of(session: i32) -> Self {
        let pid = until(|| servers(session)[0].first().copied(), "no server runs");
        let file = format!("/proc/{pid}/cwd/nats.conf");
        let configuration = fs::read_to_string(file).expect("its configuration");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        Self {
            runtime: runtime.expect("a runtime"),
            url: format!("nats://{}", after(&configuration, "listen: \"")),
            cluster: after(&configuration, "server_name: \""),
            configuration,
        }
    }

    /// A connection of somebody whom the server knows: `session`, `node-1`.
    async fn connect(&self, user: &str) -> Option<Client> {
        let known = format!("user: \"{user}\", password: \"");
        let password = after(&self.configuration, &known);
        // It refuses everybody while it reads anew who its users are, which it does when a node goes.
        for _ in 0..20 {
            let options = ConnectOptions::with_user_and_password(user.to_owned(), password.clone())
                .custom_inbox_prefix(format!("_INBOX.{user}"));
            if let Ok(client) = options.connect(&self.url).await {
                return Some(client);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        None
    }

    async fn stream(&self, name: &str) -> Option<Stream> {
        let client = self.connect("session").await?;
        let name = format!("{}-{name}", self.cluster);
        jetstream::new(client).get_stream(name).await.ok()
    }

    /// Says something as the node of this seat, which wants its answer where answers to it come.
    fn says_as(&self, seat: u32, subject: &str, what: &'static str) {
        let user = format!("node-{seat}");
        let answers = format!("_INBOX.{user}.x.kept.0");
        self.runtime.block_on(async {
            let client = self.connect(&user).await.expect("a connection");
            let said = client.publish_with_reply(subject.to_owned(), answers, what.into());
            said.await.unwrap();
            client.flush().await.unwrap();
        });
    }

    /// How many pieces of a lane nodes have that other nodes had before.
    fn given_twice(&self, lane: &str) -> usize {
        let consumer = format!("nodes-{lane}");
        self.runtime.block_on(async {
            let works = self.stream("work").await.expect("a stream");
            let consumer: Consumer<pull::Config> = works.get_consumer(&consumer).await.unwrap();
            consumer.cached_info().num_redelivered
        })
    }

    /// Takes away what no node has.
    fn lose_work(&self) {
        self.runtime.block_on(async {
            let works = self.stream("work").await.expect("a stream");
            works.purge().await.expect("an empty stream");
        });
    }

    /// Takes away the records that were too large for a message.
    fn lose_large(&self) {
        self.runtime.block_on(async {
            let client = self.connect("session").await.expect("a connection");
            let name = format!("OBJ_{}-large", self.cluster);
            let large = jetstream::new(client).get_stream(name).await;
            let purged = large.expect("a stream").purge().await;
            assert!(purged.expect("an empty stream").purged > 0);
        });
    }

    /// Says something as the session.
    fn says_as_session(&self, subject: &str) {
        self.runtime.block_on(async {
            let client = self.connect("session").await.expect("a connection");
            let jetstream = jetstream::new(client);
            let stored = jetstream.publish(subject.to_owned(), "late".into());
            stored.await.unwrap().await.expect("a message of a stream");
        });
    }

    /// Has it give nobody what is queued now, as a server does that was killed in a bad moment.
    fn pass_over_work(&self) {
        self.runtime.block_on(async {
            let works = self.stream("work").await.expect("a stream");
            let known = works.get_consumer::<pull::Config>("nodes-now").await;
            let mut config = known.expect("a consumer").cached_info().config.clone();
            config.filter_subject = format!("{}.work.now.0.never", self.cluster);
            works.delete_consumer("nodes-now").await.unwrap();
            works.create_consumer(config).await.unwrap();
        });
    }

    /// How many messages each subject of a stream has.
    /// The number of the newest job, which stays, is none of them.
    fn subjects(&self, stream: &str) -> BTreeMap<String, usize> {
        let looked = self.runtime.block_on(async {
            let stream = self.stream(stream).await?;
            let all = stream.info_with_subjects(">").await.ok()?;
            all.try_collect().await.ok()
        });
        let mut all: BTreeMap<String, usize> = looked.expect("a server that answers");
        all.remove(&format!("{}.job.highest.0", self.cluster));
        all
    }

    /// Of results, the pieces that have any.
    fn results(&self) -> BTreeMap<String, usize> {
        let mut all = self.subjects("results");
        all.retain(|subject, _| !subject.ends_with(".strikes"));
        all
    }

    /// Nothing of any job is left.
    fn is_empty(&self) {
        let left = || {
            let all = ["work", "results", "jobs"].map(|stream| self.subjects(stream).len());
            (all == [0; 3]).then_some(())
        };
        until(left, "something of a map is left on the server");
    }
}

#[test]
fn a_map_goes_through_the_queue_and_leaves_nothing() {
    let hosts = Hosts::up("queue");
    let mut session = durable(&hosts);
    let server = Server::of(session.pid());
    contains(
        &session.cell("let r = %map |x: u64| x * x over 0..1000u64\nr.iter().sum::<u64>()"),
        &["332833500", "c0 (4 engines)"],
    );
    server.is_empty();
    // Large values there and back: captured, given and returned.
    session.cell("let big: Vec<u64> = (0..600_000).collect();");
    session.cell("let inputs: Vec<Vec<u64>> = (0..4).map(|n| vec![n; 300_000]).collect();");
    contains(
        &session.cell(
            "let r = %map |v: Vec<u64>| { let k = big[v[0] as usize]; v.iter().map(|x| x + k).collect::<Vec<u64>>() } over inputs\nr.iter().map(|v| (v.len(), v[299_999])).collect::<Vec<_>>()",
        ),
        &["[(300000, 0), (300000, 2), (300000, 4), (300000, 6)]"],
    );
    server.is_empty();
    // What items print is there before the table.
    let shown = session.cell("let r = %map |x: u64| { println!(\"item {x}\"); x } over 0..4u64");
    for item in 0..4 {
        let (before, _) = shown.split_once("wall").expect("a table");
        contains(before, &[&format!("item {item}")]);
    }
    // Beside a job in the background, and its results afterwards.
    session.cell("let slow = %map -a |x: u64| { std::thread::sleep(std::time::Duration::from_millis(5)); x } over 0..2000u64");
    until(
        || session.cell("%pool").contains("busy: job").then_some(()),
        "no engine is busy with what it has taken from the queue",
    );
    contains(
        &session.cell("let r = %map |x: u64| x + 1 over 0..100u64\nr.iter().sum::<u64>()"),
        &["5050"],
    );
    contains(&session.cell("%px engine::rank()"), &["0", "3"]);
    contains(
        &session.cell("let all = %result\nall.iter().sum::<u64>()"),
        &["1999000"],
    );
    // Panics, limits and Ctrl-C are told as on processes.
    contains(
        &session
            .cell("let r = %map |x: u64| { if x == 7 { panic!(\"no seven\") }; x } over 0..20u64"),
        &["item 7 panicked", "no seven"],
    );
    contains(
        &session.cell(
            "let r = %map --timeout 2 |x: u64| { if x == 3 { loop { std::hint::spin_loop() } }; x } over 0..8u64",
        ),
        &["item 3 took longer than"],
    );
    session.enter("let r = %map |x: u64| { std::thread::sleep(std::time::Duration::from_millis(50)); x } over 0..10_000u64");
    session.shows("items", PATIENCE);
    until(
        || (!server.results().is_empty()).then_some(()),
        "no result comes",
    );
    session.press_interrupt();
    contains(&session.prompt(PATIENCE), &["interrupted"]);
    contains(
        &session.cell("let r = %map |x: u64| x + 1 over 0..100u64\nr.iter().sum::<u64>()"),
        &["5050"],
    );
    session.cell("drop(all)");
    let idle = session.cell("%pool");
    let rows = table::rows(&idle)
        .into_iter()
        .filter(|row| row[0] == "c0 *");
    let tasks: Vec<String> = rows.map(|row| row[5].clone()).collect();
    assert!(
        tasks.len() == 4 && tasks.iter().all(|count| count != "0"),
        "{idle}"
    );
}

/// A host that is taken out gives back what it has: nobody waits until it is missed.
#[test]
fn a_removed_host_gives_its_pieces_back() {
    let mut trial = Trial::durable("removed");
    let server = Server::of(trial.session.pid());
    let item =
        "std::thread::sleep(std::time::Duration::from_millis(if x < 4 { 2000 } else { 1 }));";
    trial.cell(&format!(
        "%map -a --chunk 1 |x: u64| {{ {item} x }} over 0..200u64"
    ));
    // Two of the long ones are there.
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(server.given_twice("later"), 0);
    contains(&trial.cell("%pool remove node1 --now"), &["node1"]);
    // The node has said last that they are its own at most 1.5 s before.
    let since = Instant::now();
    until(
        || (server.given_twice("later") > 0).then_some(()),
        "piece is given to the other host",
    );
    assert!(since.elapsed() < ACK_WAIT - Duration::from_secs(2));
    contains(
        &trial.cell("let got = %result\ngot == (0..200).collect::<Vec<u64>>()"),
        &["true"],
    );
    trial.end();
}

/// A cell of more than a message may have: what nodes are told of its job is stored beside the queue.
#[test]
fn a_cell_of_a_megabyte_goes_through_the_queue() {
    let mut trial = Trial::durable("megabyte");
    let text = "x".repeat(1 << 20);
    let long = format!(
        "/* {text} */ let r = pool::map(0..100u64, |x: u64| x + 1);\nr.iter().sum::<u64>()"
    );
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("long.rs");
    fs::write(&file, long).expect("a file");
    let run = format!("%run {}", file.display());
    contains(&trial.cell(&run), &["5050"]);
    trial.goes_on();
    trial.end();
}

/// What a long cell's job is, is an object, which the server may lose: the other jobs are there nevertheless. What came of a job
/// after its end goes.
#[test]
fn a_job_that_cannot_be_read_hides_no_other() {
    let kept = Kept::named("unread");
    let mut session = Session::start();
    let started = session.cell(&format!(
        "%pool start cluster --launcher 'env {{command}}' -n 2 --keep 1h --name {}",
        kept.name
    ));
    contains(&started, &["2 cluster engines"]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("long.md");
    let text = "x".repeat(600 << 10);
    let long = format!("```rust\n%map -a |x: u64| {{ /* {text} */ x + 1 }} over 0..10u64\n```\n");
    fs::write(&file, long).expect("a file");
    session.cell(&format!("%run {}", file.display()));
    contains(&session.cell("%detach 1"), &["goes on without"]);
    session.cell("%map -a |x: u64| x * 3 over 0..10u64");
    contains(&session.cell("%detach 2"), &["goes on without"]);
    session.cell("let r = %map |x: u64| x over 0..10u64");
    let server = Server::of(kept.holder());
    let is_over = || {
        let jobs = server.subjects("jobs");
        (!jobs.keys().any(|it| it.ends_with(".3"))).then_some(())
    };
    until(is_over, "a map is on the server still");
    server.lose_large();
    session.signal(Signal::SIGKILL);
    drop(session);
    server.says_as_session(&format!("{}.result.0.3.0", server.cluster));
    assert!(server.results().keys().any(|it| it.ends_with(".3.0")));

    let mut session = kept.attach();
    contains(&session.cell("%jobs"), &["failed", "done"]);
    contains(&session.cell("%jobs 1"), &["cannot be read"]);
    contains(&session.cell("let r = %result 1"), &["cannot be read"]);
    contains(
        &session.cell("let r = %result 2\nr.iter().sum::<u64>()"),
        &["135"],
    );
    session.cell("%jobs --drop 1");
    session.cell("%jobs --drop 2");
    Server::of(kept.holder()).is_empty();
    contains(&session.cell("%jobs"), &["no jobs"]);
}

/// What the server has lost of a job that needs no session is told, whoever waits for it hears so, and all else is there.
#[test]
fn what_is_lost_of_a_detached_job_takes_nothing_else_with_it() {
    let kept = Kept::named("lossy");
    let mut session = Session::start();
    let started = session.cell(&format!(
        "%pool start cluster --launcher 'env {{command}}' -n 2 --keep 1h --name {}",
        kept.name
    ));
    contains(&started, &["2 cluster engines"]);
    // One result of five is large.
    session
        .cell("%map -a --chunk 1 |x: u64| vec![x; if x == 3 { 800_000 } else { 1 }] over 0..5u64");
    contains(&session.cell("%wait"), &["done"]);
    contains(&session.cell("%detach 1"), &["goes on without"]);
    session.cell("%submit { std::thread::sleep(std::time::Duration::from_secs(60)); 7u64 }");
    contains(&session.cell("%detach 2"), &["goes on without"]);
    contains(&session.cell("%cancel 2"), &["cancelled"]);
    contains(
        &session.cell("let r = %result 2"),
        &["job 2 has no result: it was cancelled", "%jobs --drop 2"],
    );
    let server = Server::of(kept.holder());
    server.lose_large();
    contains(
        &session.cell("let r = %result 1\nr.iter().map(|it| it[0]).collect::<Vec<_>>()"),
        &[
            "the results of 4 of 5 items, without 3; those of a chunk are damaged",
            "[0, 1, 2, 4]",
        ],
    );
    // Chunks that nobody has begun are gone when it comes back.
    session.cell("%map -a --chunk 1 |x: u64| { std::thread::sleep(std::time::Duration::from_millis(100)); x } over 0..200u64");
    contains(&session.cell("%detach 3"), &["goes on without"]);
    server.lose_work();
    signal(&servers(kept.holder())[0], Signal::SIGKILL);
    let waited = session.cell("%wait 3");
    contains(
        &waited,
        &["job 3", "failed", "the server has lost the rest"],
    );
    contains(
        &session.cell("let r = %result 3\n!r.is_empty() && r.is_sorted()"),
        &[
            "of 200 items, without ",
            "..200; the server has lost the others",
            "true",
        ],
    );
    // Of another cluster there may be jobs of the same numbers.
    contains(&session.cell("%pool stop --drop"), &["stopped"]);
    contains(&session.cell("%result 3"), &["there is no job"]);
    assert_eq!(session.end(), 0);
}

/// What took too long is given up, not tried again; others may run twice, when their results had not been sent.
#[test]
fn an_item_that_takes_too_long_runs_once() {
    let hosts = Hosts::up("slow-queue");
    let mut session = durable(&hosts);
    let folder = tempfile::tempdir().expect("a folder");
    for round in 0..dose::of(2, 30) {
        let path = folder.path().join(format!("runs{round}"));
        let shown = session.cell(&format!(
            "let r = %map --timeout 0.4 --on-error collect |x: u64| {{\n\
             let mut log = std::fs::File::options().append(true).create(true).open({path:?}).unwrap();\n\
             std::io::Write::write_all(&mut log, format!(\"{{x}}\\n\").as_bytes()).unwrap();\n\
             if x % 10 == 3 {{ std::thread::sleep(std::time::Duration::from_secs(60)) }}\n\
             x }} over 0..40u64\n\
             r.iter().filter(|one| one.is_ok()).count()"
        ));
        contains(&shown, &["Out[", ": 36"]);
        let text = fs::read_to_string(&path).expect("what has run");
        let mut runs = BTreeMap::<u64, u32>::new();
        for line in text.lines() {
            *runs.entry(line.parse().expect("a number")).or_default() += 1;
        }
        assert_eq!(runs.len(), 40, "round {round}: {runs:?}\n{shown}");
        runs.retain(|item, times| item % 10 == 3 && *times > 1);
        assert!(runs.is_empty(), "round {round}: {runs:?}\n{shown}");
    }
}

#[test]
fn engines_nodes_and_the_server_are_killed_in_the_middle() {
    let hosts = Hosts::up("killed-queue");
    let mut session = durable(&hosts);
    let map = "let r = %map |x: u64| { std::thread::sleep(std::time::Duration::from_millis(20)); x * 2 } over 0..400u64";
    let sum = "(r.len(), r.iter().sum::<u64>())";
    let right = "(400, 159600)";
    let begin = |session: &mut Session| {
        session.enter(map);
        session.shows("items", PATIENCE);
    };

    begin(&mut session);
    for host in [1, 2] {
        signal(&hosts.processes(host, "__engine")[..1], Signal::SIGKILL);
    }
    session.prompt(PATIENCE);
    contains(&session.cell(sum), &[right]);

    begin(&mut session);
    signal(&servers(session.pid())[0], Signal::SIGKILL);
    session.prompt(PATIENCE);
    contains(&session.cell(sum), &[right]);

    // A node that is silent and comes back: what it had was done by others, and its own results come too late.
    let server = Server::of(session.pid());
    begin(&mut session);
    until(
        || (server.results().len() > 20).then_some(()),
        "no result comes",
    );
    let node = hosts.processes(2, "--join");
    signal(&node, Signal::SIGKILL);
    session.prompt(PATIENCE);
    contains(&session.cell(sum), &[right]);
    contains(&session.cell("%nodes"), &["node2", "gone"]);
    server.is_empty();
}

#[test]
fn the_server_may_be_killed_or_stand_still_at_any_time() {
    let hosts = Hosts::up("server-queue");
    let mut session = durable(&hosts);
    let mut random = dose::random();
    for round in 0..dose::of(4, 40) {
        session.enter(
            "let r = %map |x: u64| { std::thread::sleep(std::time::Duration::from_millis(2)); x * 2 } over 0..500u64",
        );
        std::thread::sleep(Duration::from_millis(random.u64(0..500)));
        let how = if round % 4 == 3 {
            Signal::SIGSTOP
        } else {
            Signal::SIGKILL
        };
        signal(&servers(session.pid())[0], how);
        lacks(&session.prompt(PATIENCE), &["error", "died"]);
        contains(
            &session.cell("(r.len(), r.iter().sum::<u64>())"),
            &["(500, 249500)"],
        );
        contains(&session.cell("%px engine::rank()"), &["0", "3"]);
    }
    assert_eq!(hosts.engines().len(), 4);
}

#[test]
fn what_the_server_loses_is_queued_again() {
    let hosts = Hosts::up("lost");
    let mut session = durable(&hosts);
    let server = Server::of(session.pid());
    for lose in [Server::lose_work, Server::pass_over_work] {
        session.enter(
            "let r = %map --chunk 2 |x: u64| { std::thread::sleep(std::time::Duration::from_millis(20)); x * 2 } over 0..400u64",
        );
        let some = || (server.results().len() > 20).then_some(());
        until(some, "no result comes");
        lose(&server);
        lacks(&session.prompt(PATIENCE), &["error", "died"]);
        contains(
            &session.cell("(r.len(), r.iter().sum::<u64>())"),
            &["(400, 159600)"],
        );
        server.is_empty();
    }
}

#[test]
fn an_item_that_ends_three_engines_is_given_up_by_name() {
    let hosts = Hosts::up("poison");
    let mut session = durable(&hosts);
    let poison = "|x: u64| { if x == 13 { std::process::abort() }; x }";
    contains(
        &session.cell(&format!("let r = %map --chunk 10 {poison} over 0..40u64")),
        &["item 13 ended three engines", "SIGABRT"],
    );
    let shown = session.cell(&format!(
        "let r = %map --on-error collect --chunk 10 {poison} over 0..40u64\nr.iter().filter_map(|r| r.as_ref().ok()).sum::<u64>()"
    ));
    contains(&shown, &["767"]);
    // Engines' ends are told to the queue at once: nothing waits until its node's time for a piece is up.
    let wall = shown.split("wall ").nth(1).expect("a table");
    let mut words = wall.split_whitespace();
    let (number, unit) = (words.next().expect("a number"), words.next());
    let number: f64 = number.parse().expect("a number");
    assert!(
        unit == Some("ms") || number < ACK_WAIT.as_secs_f64(),
        "{shown}"
    );
    contains(&session.cell("r[13]"), &["Err", "SIGABRT"]);
    contains(&session.cell("r[14]"), &["Ok(14)"]);
}

#[test]
fn what_is_no_result_ends_its_map_and_its_node_at_once() {
    let hosts = Hosts::up("spoilt");
    let mut session = durable(&hosts);
    let server = Server::of(session.pid());
    session.enter(
        "let r = %map |x: u64| { std::thread::sleep(std::time::Duration::from_millis(300)); x } over 0..400u64",
    );
    let queued = || server.subjects("work").into_keys().next_back();
    let subject = until(queued, "nothing is queued");
    // The first jobs are one lot.
    let (lane, result) = (".work.now.", ".result.0.");
    assert!(subject.contains(lane), "{subject}");
    server.says_as(1, &subject.replace(lane, result), "no result");
    let shown = session.prompt(PATIENCE);
    contains(&shown, &["for chunk", "is no result"]);
    contains(
        &session.cell("%nodes"),
        &["node2", "sent what is no message"],
    );
    // The other node goes on, with the next one.
    let map = "let r = %map |x: u64| x * 2 over 0..100u64\nr.iter().sum::<u64>()";
    contains(&session.cell(map), &["9900"]);
}

#[test]
fn a_result_that_comes_too_late_is_no_second_one() {
    let hosts = Hosts::up("zombie");
    let mut session = durable(&hosts);
    let server = Server::of(session.pid());
    session.enter(
        "let r = %map |x: u64| { std::thread::sleep(std::time::Duration::from_millis(300)); x * 2 } over 0..120u64",
    );
    until(
        || (server.results().len() > 4).then_some(()),
        "no result comes",
    );
    let node = hosts.processes(2, "--join");
    let has = server.subjects("work").len();
    signal(&node, Signal::SIGSTOP);
    // Longer than the server waits for it; its session may have given the node up by then.
    std::thread::sleep(ACK_WAIT + Duration::from_millis(700));
    let late = server.results();
    signal(&node, Signal::SIGCONT);
    until(
        || (server.results().len() > late.len() + 4).then_some(()),
        "it does not go on",
    );
    let twice: Vec<_> = server
        .results()
        .into_iter()
        .filter(|(_, count)| *count > 1)
        .collect();
    assert_eq!(twice, [], "of {has} pieces that were queued");
    session.prompt(PATIENCE);
    contains(
        &session.cell("(r.len(), r.iter().sum::<u64>())"),
        &["(120, 14280)"],
    );
    let shown = session.cell("%nodes");
    lacks(&shown, &["garbage"]);
}
