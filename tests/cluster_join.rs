//! Nodes that nobody starts for the session: they join by a file. Who has it is one node, or several, and nobody else.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use async_nats::{ConnectOptions, Event};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rexpect::process::PtyProcess;
use serde_json::Value;
use support::screen::Screen;
use support::{BINARY, PATIENCE, Session, contains, joining::Node, lacks, proc, serving::until};
use tokio::sync::mpsc::unbounded_channel;

/// The file that the session has written.
fn file(session: &mut Session) -> PathBuf {
    let shown = session.shows("/join-1", PATIENCE);
    let name = shown
        .split_whitespace()
        .rfind(|word| word.ends_with("/join-1"));
    PathBuf::from(name.expect("a file to join with"))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// What a plain client comes to with a file's user: what it says and hears there, in the server's words.
fn tried(file: &Path, publish: &[String], subscribe: &[String]) -> Vec<String> {
    let join: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let text = |name: &str| join[name].as_str().unwrap().to_owned();
    let certificate = tempfile::NamedTempFile::new().unwrap();
    fs::write(&certificate, text("certificate")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (told, mut events) = unbounded_channel();
        let options = ConnectOptions::with_user_and_password(text("user"), text("password"))
            .add_root_certificates(certificate.path().to_owned())
            .event_callback(move |event| {
                let told = told.clone();
                async move { told.send(event).unwrap() }
            });
        let client = options.connect(text("server")).await.unwrap();
        assert_eq!(events.recv().await, Some(Event::Connected));
        let mut said = Vec::new();
        for subject in publish {
            client.publish(subject.clone(), "no".into()).await.unwrap();
            said.push(events.recv().await.unwrap().to_string());
        }
        for subject in subscribe {
            let _refused = client.subscribe(subject.clone()).await.unwrap();
            said.push(events.recv().await.unwrap().to_string());
        }
        said
    })
}

#[test]
fn nodes_join_by_a_file() {
    let mut session = Session::start();
    session.enter("%pool start cluster --listen 127.0.0.1 --need 2");
    let first = file(&mut session);
    assert_eq!(
        (mode(&first), mode(first.parent().unwrap())),
        (0o600, 0o700)
    );
    let nodes = [Node::start(&first, 1), Node::start(&first, 2)];
    contains(
        &session.prompt(PATIENCE),
        &[
            "waiting for 2 nodes",
            "regatta node --join",
            "scp -p",
            "3 cluster engines",
        ],
    );
    contains(&session.cell("%px engine::rank() * 10"), &["0", "10", "20"]);
    let map = "let r = %map |x: u64| x * 2 over 0..100u64\nr.iter().sum::<u64>()";
    contains(&session.cell(map), &["9900"]);

    // Who starts one at a terminal sees that it has joined, and when it is over.
    let mut command = Command::new(BINARY);
    command.args(["node", "--slots", "2", "--join"]).arg(&first);
    let at_terminal = PtyProcess::new(command).expect("a terminal");
    let terminal = Screen::new(at_terminal.get_file_handle().expect("its output"));
    let says = |text: &str| {
        let is_there = |shown: &str| shown.contains(text).then_some(());
        let said = terminal.wait(0, PATIENCE, is_there);
        assert!(said.is_some(), "`{text}`: {}", terminal.text(0));
    };
    says("joined the cluster at 127.0.0.1:");
    says("with 2 engines");

    // Another file is another user: it cannot pose as those of the first one, nor hear what they are told.
    let folder = tempfile::tempdir().unwrap();
    let second = folder.path().join("second");
    contains(
        &session.cell(&format!("%nodes --join-file {}", second.display())),
        &["regatta node --join"],
    );
    assert_eq!(mode(&second), 0o600);
    // A mistyped place is told, and the server takes those who come by later files.
    let nowhere = folder.path().join("no/such/folder");
    contains(
        &session.cell(&format!("%nodes --join-file {}", nowhere.display())),
        &["No such file"],
    );
    // Whom a file names the server knows when the file is there.
    for number in 0..20 {
        let next = folder.path().join(format!("next-{number}"));
        session.cell(&format!("%nodes --join-file {}", next.display()));
        assert!(tried(&next, &[], &[]).is_empty());
    }
    let join: Value = serde_json::from_str(&fs::read_to_string(&second).unwrap()).unwrap();
    let cluster = join["cluster"].as_str().unwrap();
    let subjects = |ends: &[&str]| -> Vec<String> {
        ends.iter().map(|end| format!("{cluster}.{end}")).collect()
    };
    let publish = subjects(&[
        "from.f1.a",
        "pulse.f1.a",
        "from.0",
        "to.f1.a",
        "to.f2.a",
        "beat",
        "from.f2",
    ]);
    let subscribe = subjects(&["to.>", "to.f1.*", "to.*.*", "from.>", ">"]);
    let refused = |said: Vec<String>, what: &str, subjects: &[String]| {
        assert_eq!(said.len(), subjects.len());
        for (said, subject) in said.iter().zip(subjects) {
            assert!(said.contains(what), "{subject}: {said}");
        }
    };
    refused(
        tried(&second, &publish, &[]),
        "Permissions Violation for Publish",
        &publish,
    );
    refused(
        tried(&second, &[], &subscribe),
        "Permissions Violation for Subscription",
        &subscribe,
    );

    // What others may read is not read, and what is no such file is told.
    fs::set_permissions(&second, fs::Permissions::from_mode(0o644)).unwrap();
    contains(
        &Node::start(&second, 1).says(),
        &["others may read it", "644", "chmod 600"],
    );
    fs::set_permissions(&second, fs::Permissions::from_mode(0o600)).unwrap();
    let none = folder.path().join("none");
    contains(&Node::start(&none, 1).says(), &["none: No such file"]);
    fs::write(&none, "{}").unwrap();
    fs::set_permissions(&none, fs::Permissions::from_mode(0o600)).unwrap();
    contains(&Node::start(&none, 1).says(), &["does not say how to join"]);
    // A server with another certificate is not the cluster's.
    let mut other = join.clone();
    other["certificate"] = certificate(&folder.path().join("key")).into();
    fs::write(&none, other.to_string()).unwrap();
    contains(
        &Node::start(&none, 1).says(),
        &["has not the certificate of this cluster"],
    );
    // A password that the server does not know.
    other = join.clone();
    other["password"] = "wrong".into();
    fs::write(&none, other.to_string()).unwrap();
    contains(&Node::start(&none, 1).says(), &["does not take this node"]);
    // What was there goes on.
    contains(&session.cell("%px engine::rank() * 10"), &["0", "10", "20"]);

    // Code for this very processor runs on nodes that are as good.
    let feature = match std::env::consts::ARCH {
        "aarch64" => "lse",
        _ => "sse4.2",
    };
    let asks = format!("%px cfg!(target_feature = {feature:?})");
    contains(&session.cell(&asks), &["false"]);
    contains(
        &session.cell("%opt --cpu native"),
        &["for this host's processor"],
    );
    contains(&session.cell(&asks), &["true"]);
    contains(
        &session.cell("%opt --cpu generic"),
        &["for any processor", "until `%reset`"],
    );
    contains(&session.cell(&asks), &["false"]);

    // With the cluster all of it ends.
    fs::write(&none, join.to_string()).unwrap();
    contains(&session.cell("%pool stop"), &["stopped c0"]);
    for node in nodes {
        let ended = node.ended();
        assert!(ended.status.success(), "{ended:?}");
    }
    says("the cluster has ended");
    assert!(!first.exists() && !second.exists());
    contains(&Node::start(&none, 1).says(), &["cannot be reached"]);
    contains(
        &session.cell("%nodes --join-file"),
        &["no cluster is in use"],
    );
}

/// An item that takes its whole node down is given up as one that takes engines, by name; the nodes that are left go on.
#[test]
fn an_item_that_ends_its_nodes_does_not_end_all_of_them() {
    let mut session = Session::start();
    session.enter("%pool start cluster --durable --listen 127.0.0.1 --need 6");
    let file = file(&mut session);
    let nodes = [1; 6].map(|slots| Node::start(&file, slots));
    contains(&session.prompt(PATIENCE), &["6 cluster engines"]);
    session.cell(
        "fn end_node() { let node = std::os::unix::process::parent_id().to_string(); \
         std::process::Command::new(\"kill\").args([\"-9\", &node]).status().unwrap(); \
         std::thread::sleep(std::time::Duration::from_secs(60)) }",
    );
    let shown =
        session.cell("let r = %map |x: u64| { if x == 37 { end_node() }; x * 2 } over 0..100u64");
    contains(
        &shown,
        &["item 37 ended three engines", "their nodes ended with them"],
    );
    lacks(&shown, &["no engine is left"]);
    let map = "let r = %map |x: u64| x * 2 over 0..100u64\nr.iter().sum::<u64>()";
    contains(&session.cell(map), &["9900"]);
    let mut gone = 0;
    for mut node in nodes {
        gone += u32::from(node.is_gone());
    }
    assert!((3..6).contains(&gone), "{gone}");
}

/// A node whose time is over, as in an allocation of Slurm's, gives back what it has: however often that happens, the item is
/// not to blame.
#[test]
fn an_item_outlives_nodes_that_are_told_to_end() {
    let mut session = Session::start();
    session.enter("%pool start cluster --durable --listen 127.0.0.1 --need 5");
    let file = file(&mut session);
    let mut nodes = Vec::from([1; 5].map(|slots| Node::start(&file, slots)));
    contains(&session.prompt(PATIENCE), &["5 cluster engines"]);
    let folder = tempfile::tempdir().expect("a folder");
    let [at, go] = ["at", "go"].map(|name| folder.path().join(name));
    session.cell(&format!(
        "fn long(x: u64) -> u64 {{ \
         std::fs::write({at:?}, std::os::unix::process::parent_id().to_string()).unwrap(); \
         while !std::path::Path::new({go:?}).exists() {{ \
         std::thread::sleep(std::time::Duration::from_millis(5)) }}; x * 2 }}"
    ));
    session.cell("%map -a --chunk 1 long over 21..22u64");
    for signal in [
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGTERM,
    ] {
        let has_it = |nodes: &[Node]| {
            let pid: i32 = fs::read_to_string(&at).ok()?.parse().ok()?;
            nodes.iter().position(|node| node.pid() == pid)
        };
        let place = until(|| has_it(&nodes), "the item goes to no other node");
        let node = nodes.remove(place);
        // Slurm tells all processes of a step, in whatever order.
        for pid in { proc::below(node.pid()) }.into_iter().chain([node.pid()]) {
            kill(Pid::from_raw(pid), signal).expect("it is there");
        }
        let says = node.says();
        contains(&says, &["told to end", signal.as_str()]);
    }
    fs::write(&go, "").expect("a file");
    contains(&session.cell("let r = %result\nr == [42]"), &["true"]);
}

/// Another certificate for the same address.
fn certificate(key: &Path) -> String {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ])
        .args([
            "-subj",
            "/CN=other",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-keyout",
        ])
        .arg(key)
        .output()
        .expect("openssl, which openssh-server brings");
    String::from_utf8(made.stdout).unwrap()
}

#[test]
fn a_cluster_that_cannot_listen_says_why() {
    let mut session = Session::start();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let start = |listen: &str| format!("%pool start cluster --listen {listen}");
    contains(
        &session.cell(&start(&address.to_string())),
        &["is taken", "--listen ADDRESS"],
    );
    contains(
        &session.cell(&start("192.0.2.1")),
        &["no address of this host"],
    );
    contains(
        &session.cell(&start("no-such-host.invalid")),
        &["is no host"],
    );
    contains(
        &session.cell(&start("127.0.0.1:0")),
        &["that is no address"],
    );
    contains(
        &session.cell("%pool start --listen 127.0.0.1"),
        &["`--listen` is for clusters"],
    );
    contains(
        &session.cell("%pool start --need 2"),
        &["`--need` is for clusters"],
    );
    contains(
        &session.cell("%pool start cluster --listen 127.0.0.1 -n 2"),
        &["`-n 2` is for hosts", "--slots"],
    );
    // Who waits sees for what, also where a launcher's node does not come.
    session.enter("%pool start cluster --launcher \"sh -c 'sleep 1000'\"");
    session.shows("waiting for sh -c 'sleep 1000'", PATIENCE);
    contains(
        &session.interrupt(),
        &["interrupted", "not there yet: sh -c 'sleep 1000'"],
    );
    // Ctrl-C ends the wait, and the cluster with it.
    session.enter(&start("127.0.0.1"));
    let file = file(&mut session);
    session.shows("waiting for a node", PATIENCE);
    session.press_interrupt();
    session.prompt(PATIENCE);
    until(|| (!file.exists()).then_some(()), "the file is left");
    lacks(&session.cell("%nodes"), &["127.0.0.1"]);

    // Also when the session is killed.
    session.enter(&start("127.0.0.1"));
    let path = self::file(&mut session);
    let node = Node::start(&path, 1);
    contains(&session.prompt(PATIENCE), &["1 cluster engine"]);
    session.signal(Signal::SIGKILL);
    until(|| (!path.exists()).then_some(()), "the file is left");
    // Its engine is gone at once or soon; the node as soon as it knows that nobody comes back.
    drop(node);
}
