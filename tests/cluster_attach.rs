//! Clusters that outlive their session: kept by a process of their own while sessions are killed, leave and come back, and
//! ended by their lease, by hand, or with what keeps them.

mod support;

use std::ops::Deref;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::hosts::Hosts;
use support::joining::Node;
use support::kept::{self, beside};
use support::serving::until;
use support::{PATIENCE, Session, contains, dose, lacks, proc};

/// A cluster that is kept on two hosts.
struct Kept {
    of: kept::Kept,
    hosts: Hosts,
}

impl Deref for Kept {
    type Target = kept::Kept;

    fn deref(&self) -> &kept::Kept {
        &self.of
    }
}

impl Kept {
    fn on(name: &str) -> Self {
        Self {
            of: kept::Kept::named(name),
            hosts: Hosts::up(name),
        }
    }

    /// What starts it.
    fn start(&self, keep: &str, engines: [usize; 2]) -> String {
        let start = self.hosts.start(engines);
        format!("{start} --keep {keep} --name {}", self.name)
    }

    /// Until nothing is left of it anywhere.
    fn is_gone(&self, holder: i32, data: &str) {
        let processes = || [self.hosts.engines(), self.hosts.nodes()].concat();
        self.of.is_gone(holder, data, processes);
    }
}

fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).expect("a living process");
}

/// Killed sessions, and sessions that leave, take nothing of a kept cluster with them.
#[test]
fn a_kept_cluster_outlives_its_sessions() {
    let kept = Kept::on("outlives");
    let mut session = Session::start();
    contains(
        &session.cell(&kept.start("1h", [2, 1])),
        &["3 cluster engines on node1, node2, kept for 1 h 0 min without a session"],
    );
    let (holder, data) = (kept.holder(), kept.told("data").expect("a folder"));
    let nodes = kept.hosts.nodes();
    let mut random = dose::random();
    for round in 0..dose::of(2, 20) {
        session.cell("let mine = 7u64;");
        session.cell("%push mine");
        contains(
            &session.cell("%px mine + engine::rank() as u64"),
            &["7", "8", "9"],
        );
        if round % 2 == 0 {
            session.enter("%px std::thread::sleep(std::time::Duration::from_secs(100))");
            std::thread::sleep(Duration::from_millis(random.u64(0..300)));
        }
        session.signal(Signal::SIGKILL);
        drop(session);
        assert_eq!(kept.hosts.nodes(), nodes);
        assert!(proc::alive(holder));
        let listed = beside(&["attach"]);
        contains(&listed, &[&kept.name, "node1, node2", "none"]);
        session = kept.attach();
        // Its engines are others.
        contains(&session.cell("%px mine"), &["error"]);
        contains(&session.cell("%px engine::size()"), &["0-2", "3"]);
        contains(
            &session.cell("let r = %map |x: u64| x * 2 over 0..100u64\nr.iter().sum::<u64>()"),
            &["9900"],
        );
        until(
            || (kept.hosts.engines().len() == 3).then_some(()),
            "an engine of an earlier session is left",
        );
    }
    session.type_keys("\x04");
    contains(
        &session.shows("ends it", PATIENCE),
        &["goes on for 1 h 0 min, until"],
    );
    assert!(session.ended(PATIENCE).is_some());
    assert_eq!(kept.hosts.nodes(), nodes);
    contains(&beside(&["attach", "--end", &kept.name]), &["has ended"]);
    kept.is_gone(holder, &data);
}

/// Nobody comes back.
#[test]
fn a_lease_ends_a_forgotten_cluster() {
    let kept = Kept::on("lease");
    let mut session = Session::start();
    contains(&session.cell(&kept.start("3s", [1, 1])), &["kept for 3"]);
    let (holder, data) = (kept.holder(), kept.told("data").expect("a folder"));
    // It does not begin while there is a session.
    std::thread::sleep(Duration::from_secs(4));
    contains(&session.cell("%px engine::rank()"), &["0", "1"]);
    session.signal(Signal::SIGKILL);
    kept.is_gone(holder, &data);
    drop(session);

    // A pool that is stopped is not kept; nodes that are stopped end when they go on.
    let mut session = Session::start();
    contains(
        &session.cell(&kept.start("1h", [1, 1])),
        &["2 cluster engines"],
    );
    let (holder, data) = (kept.holder(), kept.told("data").expect("a folder"));
    let nodes = kept.hosts.nodes();
    for node in &nodes {
        signal(*node, Signal::SIGSTOP);
    }
    contains(&session.cell("%pool stop"), &["stopped"]);
    for node in nodes {
        signal(node, Signal::SIGCONT);
    }
    kept.is_gone(holder, &data);

    // What keeps it dies: the cluster ends, and what is left of it in the folder goes when somebody looks.
    contains(
        &session.cell(&kept.start("1h", [1, 1])),
        &["2 cluster engines"],
    );
    let (holder, data) = (kept.holder(), kept.told("data").expect("a folder"));
    signal(holder, Signal::SIGKILL);
    let is_told = || {
        let told = session.cell("%px 1");
        told.contains("the process that kept").then_some(())
    };
    until(is_told, "the end of what keeps a cluster is not told");
    let listed = beside(&["attach"]);
    assert!(!listed.contains(&kept.name), "{listed}");
    kept.is_gone(holder, &data);
    let unknown = beside(&["attach", "--end", &kept.name]);
    contains(&unknown, &["no cluster", "is kept here"]);
}

/// Hosts come to a kept cluster and go from it, and the next session has those that there are.
#[test]
fn hosts_come_to_a_kept_cluster_and_go() {
    let kept = Kept::on("hosts");
    let options = format!(
        "--ssh-options '-F {}'",
        kept.hosts.0.join("config").display()
    );
    let mut session = Session::start();
    contains(
        &session.cell(&format!(
            "%pool start cluster --ssh node1:1 {options} --keep 1h --name {}",
            kept.name
        )),
        &["1 cluster engine on node1, kept for"],
    );
    let (holder, data) = (kept.holder(), kept.told("data").expect("a folder"));
    contains(
        &session.cell(&format!("%pool add node2:1 {options}")),
        &["2 cluster engines on node1, node2", "1 engine more"],
    );
    session.signal(Signal::SIGKILL);
    drop(session);
    let mut session = kept.attach();
    contains(
        &session.cell("%px engine::rank() + 40"),
        &["   40 │", "   41 │"],
    );
    // To stop it would end it.
    let again = session.cell(&format!("%pool attach {}", kept.name));
    contains(&again, &["has the cluster", "already", "`%pool use"]);
    lacks(&again, &["stop"]);
    contains(
        &session.cell("%pool remove node1"),
        &["1 cluster engine on", "node1 is gone with 1 engine"],
    );
    until(
        || kept.hosts.nodes_of(1).is_empty().then_some(()),
        "a node that was taken out is left",
    );
    session.signal(Signal::SIGKILL);
    drop(session);
    // Others may come with the session.
    let more = format!("--ssh node1:2 {options}");
    let mut session = kept.attach_with(&more, &[]);
    contains(&session.cell("%px engine::size() + 50"), &["   53 │"]);
    session.signal(Signal::SIGKILL);
    drop(session);
    let refused = kept.attach_beside(&["--slurm", "-N1"], "1");
    contains(&refused, &["do not reach the server", "`--listen`"]);
    let mut session = kept.attach();
    contains(&session.cell("%px engine::size() + 60"), &["   63 │"]);
    contains(&session.cell("%pool stop"), &["stopped"]);
    kept.is_gone(holder, &data);
}

/// Nodes that nobody has started for it stay with a kept cluster too, as long as they live; others come with the same file,
/// also while there is no session; and all end with it.
#[test]
fn nodes_that_came_by_themselves_are_kept() {
    let kept = kept::Kept::named("open");
    let mut session = Session::start();
    session.enter(&format!(
        "%pool start cluster --listen 127.0.0.1 --need 2 --keep 1h --name {}",
        kept.name
    ));
    let shown = session.shows("/join-1", PATIENCE);
    let file = shown.split_whitespace().rfind(|it| it.ends_with("join-1"));
    let file = PathBuf::from(file.expect("a file to join with"));
    let first = Node::start(&file, 1);
    let second = Node::start(&file, 2);
    contains(
        &session.prompt(PATIENCE),
        &["3 cluster engines on", "kept for 1 h"],
    );
    let (holder, data) = (kept.holder(), kept.told("data").expect("a folder"));
    contains(&session.cell("%px engine::size() + 40"), &["   43 │"]);
    kept.leave_job(session);
    let host = || {
        let listed = beside(&["attach"]);
        let row = listed.lines().find(|line| line.contains(&kept.name));
        row.expect("a row").to_owned()
    };
    lacks(&host(), &["none,", "not reached"]);

    let mut session = kept.attach();
    contains(&session.cell("%px engine::size() + 50"), &["   53 │"]);
    kept.take_job(&mut session);
    session.signal(Signal::SIGKILL);
    drop(session);

    // One dies without a session, and another comes: who attaches waits for neither of them long.
    drop(second);
    let third = Node::start(&file, 3);
    let mut session = kept.attach();
    let began = Instant::now();
    let is_whole = || {
        let shown = session.cell("%px engine::size() + 60");
        if shown.contains("   64 │") {
            return Some(());
        }
        session.cell("%pool add");
        None
    };
    until(is_whole, "a node that came without a session");
    assert!(began.elapsed() < Duration::from_secs(60));
    // One more file, and it is worth nothing when the cluster has ended.
    let folder = tempfile::tempdir().expect("a folder");
    let other = folder.path().join("other");
    contains(
        &session.cell(&format!("%nodes --join-file {}", other.display())),
        &["regatta node --join"],
    );
    assert!(other.exists());
    session.signal(Signal::SIGKILL);
    drop(session);
    contains(&kept.end(), &["has ended"]);
    for node in [first, third] {
        let ended = node.ended();
        assert!(ended.status.success(), "{ended:?}");
    }
    assert!(!other.exists() && !file.exists());
    kept.is_gone(holder, &data, Vec::new);
}

/// One session has a cluster at a time, and one that comes back late does no harm.
#[test]
fn a_cluster_is_one_sessions() {
    let kept = Kept::on("one");
    let mut first = Session::start();
    contains(
        &first.cell(&kept.start("1h", [1, 1])),
        &["2 cluster engines"],
    );
    let refused = kept.attach_beside(&[], "1");
    contains(
        &refused,
        &[
            "another session has the cluster",
            &first.pid().to_string(),
            "--steal",
        ],
    );
    contains(
        &beside(&["attach", "--end", &kept.name]),
        &["another session has the cluster", "--steal"],
    );
    contains(&first.cell("%px engine::rank()"), &["0", "1"]);
    signal(first.pid(), Signal::SIGSTOP);
    let stolen = kept.attach_beside(&["--steal"], "%px engine::rank() + 40");
    contains(&stolen, &["40", "41", "goes on for"]);
    signal(first.pid(), Signal::SIGCONT);
    let is_told = || {
        let nodes = first.cell("%nodes");
        nodes.contains("another session").then_some(())
    };
    until(
        is_told,
        "a session is not told that it has lost its cluster",
    );
    // That its engines have ended comes after it.
    let is_refused = || {
        let shown = first.cell("%px 1");
        shown
            .contains("`%pool attach NAME --steal`")
            .then_some(shown)
    };
    let shown = until(is_refused, "what to do about it is not told");
    contains(&shown, &["error", "another session"]);
    contains(&first.cell("1 + 1"), &["2"]);
    // What it stops is not the other one's.
    contains(&first.cell("%pool stop"), &["stopped"]);
    let again = kept.attach_beside(&[], "%px engine::rank() + 50");
    contains(&again, &["   50 │", "   51 │"]);
    assert_eq!(first.end(), 0);
    let again = kept.attach_beside(&[], "%px engine::rank() + 60");
    contains(&again, &["   60 │", "   61 │"]);
    contains(
        &kept.attach_beside(&[], "%pool start -n 1 --keep 1h"),
        &["`--keep` is for clusters"],
    );
}

/// A session is killed with a job under way, and one with a cell that waits for its map.
#[test]
fn jobs_go_on_when_their_session_is_killed() {
    let kept = Kept::on("jobs");
    let mut session = Session::start();
    contains(
        &session.cell(&kept.start("1h", [2, 1])),
        &["3 cluster engines"],
    );
    let height = "#[derive(Debug, Clone, Serialize, Deserialize)]\nstruct Height(f64);";
    session.cell(&format!(
        "{height}\n#[derive(Debug, Clone, Serialize, Deserialize)]\nstruct Point {{ x: u64, y: Height }}"
    ));
    let slow = "std::thread::sleep(std::time::Duration::from_millis(40));";
    contains(
        &session.cell(&format!(
            "%map -a |x: u64| {{ {slow} Point {{ x, y: Height(x as f64 / 2.0) }} }} over 0..90u64"
        )),
        &["job 1 runs in the background"],
    );
    session.enter(&format!(
        "let r = %map |x: u64| {{ println!(\"item {{x}} runs\"); {slow} if x == 80 {{ panic!(\"no eighty\") }}; x }} over 0..90u64"
    ));
    session.shows("item 0 runs", PATIENCE);
    session.signal(Signal::SIGKILL);
    drop(session);

    contains(
        &kept.attach_beside(&[], "%jobs"),
        &["2 jobs are there", "goes on with 2 jobs"],
    );
    let mut session = kept.attach();
    contains(&session.cell("%jobs"), &["|x: u64|", &kept.name]);
    // All that it takes is told at once.
    contains(
        &session.cell("let points = %result 1"),
        &[
            "type `Point`",
            "there is no `Height` and no `Point`",
            "as one cell",
            "struct Height(f64);",
            "x: u64, y: Height",
        ],
    );
    // What it was is there to be read, with what its results are made of.
    contains(
        &session.cell("%jobs 1"),
        &[
            "struct Point { x: u64, y: Height }",
            "%map -a |x: u64|",
            "over 0..90u64",
            &kept.name,
        ],
    );
    contains(&session.cell("%jobs 7"), &["there is no job 7"]);
    // Later jobs are others.
    contains(
        &session.cell("let r = %map |x: u64| x + 1 over 0..100u64\nr.iter().sum::<u64>()"),
        &["5050"],
    );
    session.cell(&format!(
        "{height}\n#[derive(Serialize, Deserialize)]\nstruct Point {{ x: u32, y: Height }}"
    ));
    contains(
        &session.cell("let points = %result 1"),
        &["`Point` is another type now"],
    );
    session.cell("#[derive(Debug, Clone, Serialize, Deserialize)]\n// As it was.\nstruct Point { x: u64, y: Height }");
    contains(
        &session.cell("let points = %result 1\n(points.len(), points.iter().map(|p| p.x).sum::<u64>(), points[89].y.0)"),
        &["(90, 4005, 44.5)"],
    );
    contains(&session.cell("%result 2"), &["item 80", "no eighty"]);
    contains(&session.cell("%jobs"), &["90/90"]);
    contains(&session.cell("%jobs --drop all"), &["2 jobs"]);
    contains(&session.cell("%jobs"), &["no jobs"]);
    assert_eq!(session.end(), 0);
    contains(&kept.attach_beside(&[], "%jobs"), &["no jobs"]);
}

/// A crate of this version, of which a map's results are.
fn shape(version: &str, size: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let manifest = format!(
        "[package]\nname = \"shape\"\nversion = \"{version}\"\nedition = \"2024\"\n[dependencies]\nserde = {{ version = \"1\", features = [\"derive\"] }}\n"
    );
    std::fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    std::fs::create_dir(folder.path().join("src")).unwrap();
    let code = format!(
        "#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]\npub struct Size(pub {size});\n"
    );
    std::fs::write(folder.path().join("src/lib.rs"), code).unwrap();
    folder
}

#[test]
fn results_of_a_crates_types_are_taken_with_the_same_crate() {
    let kept = Kept::on("crates");
    let (was, other) = (shape("0.1.0", "u64"), shape("0.2.0", "u32"));
    let add = |of: &tempfile::TempDir| format!("%dep shape = {{ path = {:?} }}", of.path());
    let mut session = Session::start();
    contains(&session.cell(&kept.start("1h", [1, 1])), &["2 cluster"]);
    session.cells(&[
        &add(&was),
        "%map -a |x: u64| shape::Size(x * 2) over 0..10u64",
        "%detach",
    ]);
    session.end();

    let mut session = kept.attach();
    let take = "let sizes = %result 1";
    let added = add(&was);
    contains(&session.cell(take), &["no `shape` here", &added[..30]]);
    session.cell(&add(&other));
    contains(&session.cell(take), &["`shape` is another crate now"]);
    session.cell(&added);
    // In the same version, of other types.
    let code = was.path().join("src/lib.rs");
    let then = std::fs::read_to_string(&code).unwrap();
    std::fs::write(&code, then.replace("u64", "u32")).unwrap();
    contains(
        &session.cell(take),
        &["the crate `shape`, which has been edited", "bring ", "back"],
    );
    std::fs::write(&code, then).unwrap();
    contains(
        &session.cell("let sizes = %result 1\nsizes.iter().map(|it| it.0).sum::<u64>()"),
        &["90"],
    );
    session.end();
}

#[test]
fn jobs_that_were_dropped_as_the_session_ended_are_gone() {
    let kept = Kept::on("dropped");
    let mut session = Session::start();
    contains(
        &session.cell(&kept.start("1h", [1, 1])),
        &["2 cluster engines"],
    );
    for _ in 0..12 {
        session.cell("%map -a |x: u64| x * 2 over 0..10u64");
        contains(&session.cell("%detach"), &["goes on without this session"]);
    }
    contains(&session.cell("%jobs --drop all"), &["12 jobs"]);
    assert_eq!(session.end(), 0);
    contains(&kept.attach_beside(&[], "%jobs"), &["no jobs"]);
}

/// Numbers of jobs are given once, also when a session drops an old job and has none of its own.
#[test]
fn no_number_is_given_again() {
    let kept = Kept::on("numbers");
    let mut session = Session::start();
    contains(&session.cell(&kept.start("1h", [1, 1])), &["2 cluster"]);
    session.cell("let r = %map -a |x: u64| x + 1 over 0..10u64");
    session.cell("%detach 1");
    session.cell("for i in 0..20u64 { assert_eq!(pool::map([i], |x: u64| x + 1), [i + 1]); }");
    assert_eq!(session.end(), 0);
    contains(&kept.attach_beside(&[], "%jobs"), &["|x: u64|", "done"]);
    kept.attach_beside(&[], "%jobs --drop 1");
    contains(&kept.attach_beside(&[], "%jobs"), &["no jobs"]);
    let map = "let r = %map |x: u64| x * 2 over 0..100u64\nr.iter().sum::<u64>()";
    for _ in 0..3 {
        contains(&kept.attach_beside(&[], map), &["9900"]);
    }
    contains(
        &beside(&["attach", "--ssh", "node1:1"]),
        &["error", "which cluster", "`attach NAME"],
    );
}

/// What is left of maps in a loop goes from the server for many of them at once: a session that comes after one that was
/// killed finds none of those that were over, but for the very last.
#[test]
fn maps_that_are_over_are_no_jobs_of_the_next_session() {
    let kept = Kept::on("over");
    let mut session = Session::start();
    contains(&session.cell(&kept.start("1h", [1, 1])), &["2 cluster"]);
    session.cell("%map -a |x: u64| { std::thread::sleep(std::time::Duration::from_secs(600)); x } over 0..1u64");
    session.enter(
        "for i in 0..100u64 { assert_eq!(pool::map([i], |x: u64| x + 1), [i + 1]); }\n\
         std::process::Command::new(\"kill\").args([\"-9\", &std::os::unix::process::parent_id().to_string()]).status();",
    );
    assert!(session.ended(PATIENCE).is_some(), "{}", session.shown());
    drop(session);
    let jobs = kept.attach_beside(&[], "%jobs");
    contains(&jobs, &["std::thread::sleep", "running"]);
    assert!(jobs.matches("done").count() <= 1, "{jobs}");
}

/// Whenever a session is killed, what its job had queued is done once, and a later session has it.
#[test]
fn a_session_may_be_killed_at_any_time() {
    let kept = Kept::on("any");
    let mut random = dose::random();
    let mut session = Session::start();
    contains(
        &session.cell(&kept.start("1h", [2, 2])),
        &["4 cluster engines"],
    );
    for round in 1..=dose::of(2, 20) {
        let slow = "std::thread::sleep(std::time::Duration::from_millis(2));";
        let begun = session.cell(&format!(
            "%map -a --chunk 2 |x: u64| {{ {slow} x * 3 + 1 }} over 0..1_200u64"
        ));
        contains(&begun, &["runs in the background"]);
        std::thread::sleep(Duration::from_millis(random.u64(0..400)));
        let is_detached = random.bool();
        if is_detached {
            contains(&session.cell("%detach"), &["goes on without this session"]);
        }
        session.signal(Signal::SIGKILL);
        drop(session);
        session = kept.attach();
        let job = session
            .cell("let r = %result\n(r.len(), (0..).zip(&r).all(|(x, r)| *r == x * 3u64 + 1))");
        if !is_detached && job.contains("there is no job") {
            // It had not come to the server.
            dose::told(&format!("round {round}: it had not begun"));
            continue;
        }
        contains(&job, &["true)"]);
        let is_whole = job.contains("(1200, true)");
        dose::told(&format!(
            "round {round}: detached {is_detached}, whole {is_whole}"
        ));
        assert!(
            is_whole || !is_detached && job.contains("its session ended"),
            "{job}"
        );
        contains(&session.cell("%jobs --drop all"), &["1 job"]);
    }
    assert_eq!(session.end(), 0);
}

/// What is detached needs no session, however many inputs it has.
#[test]
fn detached_jobs_need_no_session() {
    let kept = Kept::on("detach");
    let mut session = Session::start();
    session.cell("%pool start -n 1");
    session.cell("%map -a |x: u64| x over 0..4u64");
    contains(&session.cell("%detach"), &["job 1 ends with this session"]);
    contains(&session.cell("%detach 7"), &["there is no job 7"]);
    contains(
        &session.cell(&kept.start("1h", [2, 1])),
        &["3 cluster engines"],
    );
    session.cell("let k = 3u64;");
    contains(
        &session.cell("%nodes --join-file"),
        &[
            "regatta node --join",
            "on this host alone",
            "`--listen ADDRESS`",
        ],
    );
    // More pieces than wait in the queue of a session that stays, and an error among them.
    session.cell("%map -a --chunk 1 --on-error collect |x: u64| { std::thread::sleep(std::time::Duration::from_millis(10)); if x == 1999 { panic!(\"the last\") }; x * k } over 0..2000u64");
    // Whoever leaves is told what ends with the session.
    session.type_keys("\x04");
    session.shows("job 2 comes to the end of the", PATIENCE);
    session.shows("of 2000 items that are queued", PATIENCE);
    session.type_keys("n\r");
    session.prompt(PATIENCE);
    contains(
        &session.cell("%detach"),
        &[
            "job 2 goes on without this session",
            "%result 2",
            &kept.name,
        ],
    );
    contains(&session.cell("%detach"), &["needs no session already"]);
    contains(&session.cell("%jobs"), &["/2000", "chunks"]);
    // It is asked for like any other.
    contains(
        &session.cell("let r = %map |x: u64| x over 0..10u64\nr.len()"),
        &["10"],
    );
    session.type_keys("\x04");
    session.shows("goes on with 1 job for 1 h 0 min", PATIENCE);
    assert!(session.ended(PATIENCE).is_some());
    drop(session);
    until(
        || kept.hosts.engines().is_empty().then_some(()),
        "engines are left when there is nothing to do",
    );
    // Beside any session it is seen what there is, and nothing of it goes by mistake.
    contains(&beside(&["attach"]), &[&kept.name, "1 done", "none"]);
    let end = beside(&["attach", "--end", &kept.name]);
    contains(
        &end,
        &["error", "job 2 (done)", "`let r = %result 2`", "--drop"],
    );
    let taken = kept.attach_beside(
        &[],
        "let r = %result 2\n(r.len(), r.iter().flatten().sum::<u64>(), r[1999].is_err())",
    );
    contains(&taken, &["1 job is there", "(2000, 5991003, true)"]);
    let mut session = kept.attach();
    // Results that nobody has taken do not go with the pool by mistake.
    for stop in ["%pool stop", "%pool stop --all"] {
        contains(
            &session.cell(stop),
            &[
                "job 2 (done)",
                "nobody has taken its results",
                "`let r = %result 2`",
                "--drop",
            ],
        );
    }
    contains(&session.cell("%px engine::size() + 70"), &["   73 │"]);
    session.cell("%map -a |x: u64| { std::thread::sleep(std::time::Duration::from_secs(1)); x } over 0..30u64");
    contains(&session.cell("%detach"), &["goes on without"]);
    let cancelled = session.cell("%cancel");
    contains(&cancelled, &["is cancelled"]);
    contains(
        &session.cell("let some = %result\nsome.len() < 30"),
        &["true", "it was cancelled"],
    );
    assert_eq!(session.end(), 0);
    // A later session finds it so.
    let mut session = kept.attach();
    let jobs = session.cell("%jobs");
    let line = jobs
        .lines()
        .find(|line| line.contains("over 0..30") || line.contains("cancelled"));
    contains(line.unwrap_or(&jobs), &["cancelled"]);
    contains(&session.cell("let r = %result 2\nr.len()"), &["2000"]);
    // Whoever gives up while a job without an end is queued has it still.
    session.cell("%map -a --chunk 1 |x: u64| { std::thread::sleep(std::time::Duration::from_millis(10)); x } over 0u64..");
    for _ in 0..2 {
        session.enter("%detach");
        session.taken(PATIENCE);
        session.shows("queueing job", PATIENCE);
        session.press_interrupt();
        contains(&session.prompt(PATIENCE), &["goes on", "`%cancel "]);
        contains(&session.cell("%jobs"), &["running"]);
    }
    contains(&session.cell("%cancel"), &["is cancelled"]);
    session.cell("%map -a |x: u64| { std::thread::sleep(std::time::Duration::from_millis(1)); x + 1 } over 0..400u64");
    // Whenever that is, it is one or the other.
    session.enter("%detach");
    session.taken(PATIENCE);
    session.press_interrupt();
    session.prompt(PATIENCE);
    contains(
        &session.cell("let r = %result\nr.iter().sum::<u64>()"),
        &["80200"],
    );
    // Taken, and cancelled: nothing is lost with the pool.
    contains(&session.cell("%pool stop"), &["stopped"]);
    assert_eq!(session.end(), 0);
}

/// A map that is interrupted while what it needs goes to the server leaves no job there, and no results that nobody takes.
#[test]
fn nothing_is_left_of_interrupted_maps() {
    let kept = Kept::on("interrupted");
    let mut session = Session::start();
    contains(&session.cell(&kept.start("1h", [1, 1])), &["kept for"]);
    session.cells(&[
        "let mut much: Vec<u64> = (0..6_000_000).collect();",
        "fn slow(x: u64) -> u64 { std::thread::sleep(std::time::Duration::from_millis(20)); x }",
    ]);
    session.cell("%map slow over 0..4u64");
    let mut random = dose::random();
    let rounds = dose::of(4, 40);
    for round in 0..rounds {
        // The last one is interrupted before nodes hear of it: no other job has its number.
        let latest = if round + 1 == rounds { 150 } else { 700 };
        // Values are captured anew when they have changed.
        session.cell(&format!("much[0] = {};", round + 1));
        session.enter("%map |x: u64| slow(x) + much[x as usize] over 0..2_000u64");
        // Before, Ctrl-C is a key of the line editor's, which is the next prompt's.
        session.taken(PATIENCE);
        std::thread::sleep(Duration::from_millis(random.u64(0..latest)));
        session.press_interrupt();
        session.prompt(PATIENCE);
    }
    assert_eq!(session.end(), 0);
    let mut session = kept.attach();
    contains(&session.cell("%jobs"), &["no jobs"]);
    contains(
        &session.cell("let got = %map |x: u64| x + 1 over 0..4u64\ngot"),
        &["[1, 2, 3, 4]"],
    );
}
