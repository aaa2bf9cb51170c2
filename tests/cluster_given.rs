//! Clusters on a server that is there and that others use too: users, accounts, credentials, queues, and what stays on it.

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use async_nats::{ConnectOptions, jetstream};
use data_encoding::BASE64URL_NOPAD;
use futures_util::TryStreamExt as _;
use nix::sys::signal::Signal;
use nkeys::KeyPair;
use serde_json::{Value, json};
use support::joining::{Node, Server};
use support::{BINARY, PATIENCE, Session, contains, kept::Kept, lacks, serving::until};

/// The name of the cluster that the session waits with for nodes.
fn named(session: &mut Session, server: &Server) -> String {
    session.shows("regatta node --join ", PATIENCE);
    session.shows(&format!("{}/regatta-", server.1), PATIENCE);
    let found = || {
        let shown = session.shown();
        let words = shown.split_whitespace();
        let mut names = words.filter_map(|word| word.split_once("/regatta-"));
        let (_, name) = names.next()?;
        let name = name.split('?').next()?;
        (name.len() == 32).then(|| format!("regatta-{name}"))
    };
    until(found, "the cluster's name")
}

#[test]
fn a_cluster_may_use_a_server_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let users = "authorization { users = [ { user: me, password: secret }, { user: little, password: secret, permissions: { publish: \"other.>\" } } ] }";
    let server = Server::start(folder.path(), users);
    let mut session = Session::start();
    let start = |url: &str| format!("%pool start cluster --url {url}");
    session.enter(&start(&server.url("me:secret@")));
    let name = named(&mut session, &server);
    // What is shown can be copied, but for what is secret.
    lacks(&session.shown(), &["secret@"]);
    contains(&session.shown(), &["nats://USER:PASSWORD@127.0.0.1"]);
    contains(
        &Node::start(Path::new(&format!("{}/{name}", server.url(""))), 2).says(),
        &["does not let this node in", "USER:PASSWORD@", "--creds"],
    );
    let join = format!("{}/{name}", server.url("me:secret@"));
    let node = Node::start(Path::new(&join), 2);
    contains(&session.prompt(PATIENCE), &["2 cluster engines"]);
    contains(&session.cell("%px engine::rank() * 10"), &["0", "10"]);
    let map = "let r = %map |x: u64| x * 2 over 0..100u64\nr.iter().sum::<u64>()";
    contains(&session.cell(map), &["9900"]);
    contains(&session.cell("%pool stop"), &["stopped c0"]);
    assert!(node.ended().status.success());

    contains(
        &session.cell(&start(&server.url("me:wrong@"))),
        &["does not let this user in"],
    );
    contains(
        &session.cell(&start(&server.url(""))),
        &["does not let this user in", "--creds"],
    );
    contains(
        &session.cell(&start(&server.url("little:secret@"))),
        &["does not allow this user to use", "*.to.>"],
    );
    contains(
        &session.cell(&start("nats://127.0.0.1:1")),
        &["cannot be reached"],
    );
    contains(
        &session.cell(&start("http://127.0.0.1")),
        &["is no URL of a NATS server"],
    );
    let none = format!("{} --creds /no/such.creds", start(&server.url("")));
    contains(&session.cell(&none), &["/no/such.creds cannot be read"]);
    let small = Server::start(folder.path(), "max_payload: 64KB");
    contains(
        &session.cell(&start(&small.url(""))),
        &["messages of at most 65536 bytes", "max_payload"],
    );
}

/// The streams that the account of `me` has there.
fn streams(server: &Server) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let options = ConnectOptions::with_user_and_password("me".to_owned(), "secret".to_owned());
    runtime.expect("a runtime").block_on(async {
        let client = { options.connect(server.url("")).await }.expect("a connection");
        let names = jetstream::new(client).stream_names();
        names.try_collect().await.expect("names")
    })
}

#[test]
fn queues_of_several_sessions_are_beside_each_other_on_a_server_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = format!(
        "jetstream {{ store_dir: {:?} }}
         accounts {{
           crew {{ jetstream: enabled, users: [
             {{ user: me, password: secret }}
             {{ user: little, password: secret, permissions: {{ publish: {{ deny: \"$O.>\" }} }} }}
             {{ user: deaf, password: secret, permissions: {{ subscribe: {{ deny: \"*.result.>\" }} }} }}
           ] }}
           bare {{ users: [ {{ user: bare, password: secret }} ] }}
         }}",
        folder.path().join("store")
    );
    let server = Server::start(folder.path(), &accounts);
    let url = server.url("me:secret@");
    let start = |url: &str| format!("%pool start cluster --durable --url {url}");
    let mut session = Session::start();
    session.enter(&start(&url));
    let name = named(&mut session, &server);
    // One that would do nothing of what is queued is told so.
    contains(
        &Node::start(Path::new(&format!("{url}/{name}")), 2).says(),
        &["the session does not take this node", "`?durable`"],
    );
    let node = Node::start(Path::new(&format!("{url}/{name}?durable")), 2);
    contains(&session.prompt(PATIENCE), &["2 cluster engines"]);
    let map = |number: u64| {
        let slow = "std::thread::sleep(std::time::Duration::from_millis(10));";
        format!(
            "let r = %map |x: u64| {{ {slow} x * {number} }} over 0..600u64\n(r.iter().sum::<u64>(), r.len())"
        )
    };
    // Another session meanwhile, whose cluster has a name of its user's.
    let theirs = format!("{url}/theirs");
    let cells = format!("{}\n{}", start(&theirs), map(2));
    let other = Command::new(BINARY)
        .args(["--no-warm", "-e", &cells])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let other = other.expect("the binary");
    let their_node = Node::start(Path::new(&format!("{theirs}?durable")), 2);
    let both = || {
        let all = streams(&server);
        let of = |name: &str| all.iter().any(|it| *it == format!("{name}-work"));
        (of(&name) && of("theirs")).then_some(())
    };
    until(both, "queue of each of them");
    contains(&session.cell(&map(1)), &["(179700, 600)"]);
    let said = other.wait_with_output().unwrap();
    let shown = String::from_utf8_lossy(&said.stdout);
    contains(&shown, &["(359400, 600)"]);
    assert!(their_node.ended().status.success());
    // What is theirs has gone, and nothing else.
    let left = streams(&server);
    assert!(
        !left.is_empty() && left.iter().all(|it| it.contains(&name)),
        "{left:?}"
    );
    contains(&session.cell(&map(3)), &["(539100, 600)"]);
    contains(&session.cell("%pool stop"), &["stopped c0"]);
    assert!(node.ended().status.success());
    until(
        || streams(&server).is_empty().then_some(()),
        "end of its streams",
    );
    contains(
        &session.cell(&start(&server.url("bare:secret@"))),
        &["has no JetStream for this user", "without `--durable`"],
    );
    for (user, subject) in [("little", "-objects.C.x"), ("deaf", ".result.*.*.*")] {
        let shown = session.cell(&start(&server.url(&format!("{user}:secret@"))));
        contains(&shown, &["does not allow this user to", subject, "`$O.>`"]);
    }
}

/// A cluster at such a server outlives its session, and leaves nothing there when it ends.
#[test]
fn a_cluster_on_a_server_that_is_there_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let rest = format!(
        "jetstream {{ store_dir: {:?} }}
         authorization {{ users = [ {{ user: me, password: secret }} ] }}",
        folder.path().join("store")
    );
    let server = Server::start(folder.path(), &rest);
    let url = server.url("me:secret@");
    let kept = Kept::named("given");
    let mut session = Session::start();
    session.enter(&format!(
        "%pool start cluster --url {url} --keep 1h --name {}",
        kept.name
    ));
    let name = named(&mut session, &server);
    let node = Node::start(Path::new(&format!("{url}/{name}?keep=3600")), 2);
    contains(
        &session.prompt(PATIENCE),
        &["2 cluster engines", "kept for 1 h"],
    );
    let holder = kept.holder();
    kept.leave_job(session);
    let mut session = kept.attach();
    contains(&session.cell("%px engine::size() + 40"), &["   42 │"]);
    kept.take_job(&mut session);
    // One that stood still while another one took it does that one's jobs no harm, though the server takes what it says.
    session.cell("for i in 0..3u64 { assert_eq!(pool::map([i], |x: u64| x + 1), [i + 1]); }");
    session.signal(Signal::SIGSTOP);
    let cells = "let late = %map -a |x: u64| x + 7 over 0..50u64\n%detach 5";
    contains(&kept.attach_beside(&["--steal"], cells), &["job 5"]);
    session.signal(Signal::SIGCONT);
    let is_told = || {
        { session.cell("%nodes") }
            .contains("another session")
            .then_some(())
    };
    until(is_told, "it is not told that it has lost its cluster");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(session.end(), 0);
    let mut session = kept.attach();
    contains(
        &session.cell("let r = %result 5\nr.iter().sum::<u64>()"),
        &["1575"],
    );
    assert!(!streams(&server).is_empty());
    // Job 1 was another session's to take.
    contains(&session.cell("%pool stop"), &["job 1 (done)", "--drop"]);
    contains(&session.cell("%pool stop --drop"), &["stopped"]);
    assert!(node.ended().status.success());
    kept.is_gone(holder, "", Vec::new);
    assert_eq!(streams(&server), Vec::<String>::new());
}

/// A JSON web token as NATS has them: claims, signed by who issues them.
fn token(issuer: &KeyPair, subject: &KeyPair, kind: &str, more: &Value) -> String {
    let mut claims = json!({
        "jti": "none", "iat": 0, "iss": issuer.public_key(), "name": kind, "sub": subject.public_key(),
        "nats": { "type": kind, "version": 2 },
    });
    if let Some(more) = more.as_object() {
        claims["nats"].as_object_mut().unwrap().extend(more.clone());
    }
    let head = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let said = format!("{}.{}", part(&head), part(&claims));
    let signed = issuer.sign(said.as_bytes()).unwrap();
    format!("{said}.{}", BASE64URL_NOPAD.encode(&signed))
}

#[test]
fn a_user_may_have_a_file_of_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let (operator, account, user) = (
        KeyPair::new_operator(),
        KeyPair::new_account(),
        KeyPair::new_user(),
    );
    let limits = json!({ "limits": { "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1 } });
    let server = Server::start(
        folder.path(),
        &format!(
            "operator: {}\nresolver: MEMORY\nresolver_preload: {{ {}: {} }}",
            token(&operator, &operator, "operator", &json!({})),
            account.public_key(),
            token(&operator, &account, "account", &limits),
        ),
    );
    let credentials = folder.path().join("me.creds");
    let jwt = token(
        &account,
        &user,
        "user",
        &json!({ "subs": -1, "data": -1, "payload": -1 }),
    );
    let text = format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        user.seed().unwrap()
    );
    fs::write(&credentials, text).unwrap();
    let mut session = Session::start();
    let start = format!("%pool start cluster --url {}", server.url(""));
    contains(
        &session.cell(&start),
        &["does not let this user in", "--creds"],
    );
    session.enter(&format!("{start} --creds {}", credentials.display()));
    let name = named(&mut session, &server);
    let node = Node::with(
        Path::new(&format!("{}/{name}", server.url(""))),
        &["--slots", "2", "--creds", credentials.to_str().unwrap()],
    );
    contains(&session.prompt(PATIENCE), &["2 cluster engines"]);
    contains(&session.cell("%px engine::rank() * 10"), &["0", "10"]);
    contains(&session.cell("%pool stop"), &["stopped c0"]);
    assert!(node.ended().status.success());
}
