//! Where a session's store is: what the environment names, what cannot be used, and what is told of it. The servers are
//! Debian's `redis-server`.

mod support;

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};

use rustix::process::geteuid;

use support::redis::Server;
use support::serving::Serving;
use support::{BINARY, contains, lacks};

/// A session that runs one cell, with a store in its environment.
fn session(store: &str, cell: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(BINARY)
        .args(["--no-warm", "-e", cell])
        .env("XDG_DATA_HOME", folder.path())
        .env("XDG_CONFIG_HOME", folder.path())
        .env("NO_COLOR", "1")
        .env("COLUMNS", "400")
        .env("REGATTA_STORE", store)
        .env_remove("REGATTA_REDIS_URL")
        .stdin(Stdio::null())
        .output();
    said(&output.expect("the binary"))
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

const NOT_USED: &str = "$REGATTA_STORE names a store that is not used";

#[test]
fn a_session_says_when_the_store_of_its_environment_is_not_the_one_it_has() {
    let server = Server::start(&["--requirepass", "s3cret"]);
    let wrong = format!("{}?password=wr0ng", server.url());
    for (store, why) in [
        ("redis://127.0.0.1:1", "cannot be reached"),
        ("redis://u:wr0ng?x@127.0.0.1:1", "%3F"),
        (&wrong, "refuses the password"),
        ("@regatta-1-0000000000000000", "its session is over"),
    ] {
        let said = session(store, "%store use");
        contains(
            &said,
            &[
                NOT_USED,
                why,
                "a store of its own now",
                "%store use ADDRESS",
                "the store is the session's own",
            ],
        );
        lacks(&said, &["wr0ng"]);
    }
}

#[test]
fn a_session_says_whose_the_store_is_that_it_takes_part_in() {
    let serving = Serving::start();
    let said = session(&serving.address, "%store use");
    contains(
        &said,
        &[
            "the store is another session's",
            &format!("pid {}", serving.session.id()),
            &serving.address,
        ],
    );
    lacks(&said, &[NOT_USED, "the session's own"]);
    let server = Server::start(&[]);
    let script = "%store use\n!\"$REGATTA\" store set x 5; echo url=$REGATTA_REDIS_URL";
    let said = session(&server.url(), script);
    let url = format!("url=unix://{}", server.socket().display());
    contains(&said, &["the store is Redis", "$REGATTA_STORE", &url]);
    lacks(&said, &[NOT_USED]);
    assert_eq!(server.cli(&["GET", "x"]), "5");
}

#[test]
fn a_server_that_cannot_keep_locks_is_refused_and_one_that_may_lose_them_told_of() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr());
    let port = free.expect("a port").port().to_string();
    let cluster = Server::start(&["--cluster-enabled", "yes", "--cluster-port", &port]);
    let replica = Server::start(&["--replicaof", "127.0.0.1", "1"]);
    for (server, why, hint) in [
        (
            &cluster,
            "a node of a cluster",
            "name a server that is in no cluster",
        ),
        (&replica, "a replica that only reads", "127.0.0.1:1"),
    ] {
        let refused = session("", &format!("%store use {}", server.url()));
        contains(&refused, &[why, hint, "the store stays where it was"]);
        let not_used = session(&server.url(), "%store use");
        contains(&not_used, &[NOT_USED, why, hint, "the session's own"]);
    }
    let evicting = ["--maxmemory", "50mb", "--maxmemory-policy"];
    let server = Server::start(&[&evicting[..], &["allkeys-lru"]].concat());
    let told = session("", &format!("%store use {}", server.url()));
    contains(&told, &["the store is Redis", "allkeys-lru", "may be lost"]);
    contains(
        &session(&server.url(), "1"),
        &["allkeys-lru", "may be lost"],
    );
    let server = Server::start(&[&evicting[..], &["noeviction"]].concat());
    let told = session("", &format!("%store use {}", server.url()));
    contains(&told, &["the store is Redis"]);
    lacks(&told, &["may be lost", "eviction"]);
}

/// Python's own words for what comes of a connection to a session's store: nothing is said there before a request.
const LISTENS: &str = r#"
import socket, sys
connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
connection.settimeout(1)
connection.connect("\0" + sys.argv[1][1:])
try:
    print("closed" if connection.recv(1) == b"" else "spoken to")
except ConnectionResetError:
    print("closed")
except TimeoutError:
    print("listened to")
"#;

#[test]
fn a_sessions_store_is_its_users_alone() {
    let serving = Serving::start();
    let connect = |user: Option<u32>| {
        let mut python = Command::new("python3");
        python.args(["-c", LISTENS, &serving.address]);
        if let Some(user) = user {
            python.uid(user).current_dir("/");
        }
        said(&python.output().expect("Python"))
    };
    assert_eq!(connect(None).trim(), "listened to");
    // Only root can be somebody else.
    if geteuid().is_root() {
        assert_eq!(connect(Some(65534)).trim(), "closed");
        assert_eq!(connect(None).trim(), "listened to");
    }
}
