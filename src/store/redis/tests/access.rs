//! Passwords and TLS, with certificates that the test makes.

use super::*;

/// A server on TCP, with what its command line says.
struct Guarded {
    folder: tempfile::TempDir,
    child: Child,
    port: u16,
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Below those that the system gives to whoever connects: one of those could connect to itself.
fn free_port() -> u16 {
    loop {
        let port = fastrand::u16(10_000..32_000);
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn openssl(folder: &Path, words: &str) {
    let output = Command::new("openssl")
        .args(words.split(' '))
        .current_dir(folder)
        .output()
        .expect("openssl, of the package of this name");
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {words}: {why}");
}

/// An authority in `ca.crt`, and what it has signed: `server.crt` for `localhost`, `client.crt` for who connects, and
/// `expired.crt`, which was good until yesterday.
fn certificates(folder: &Path) {
    let new =
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.crt";
    openssl(folder, new);
    std::fs::write(
        folder.join("names"),
        "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n",
    )
    .unwrap();
    for (name, days) in [("server", 2), ("client", 2), ("expired", -1)] {
        openssl(
            folder,
            &format!(
                "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout {name}.key -out {name}.csr"
            ),
        );
        openssl(
            folder,
            &format!(
                "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days {days} -extfile names -out {name}.crt"
            ),
        );
    }
}

impl Guarded {
    fn start(tls: bool, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut command = Command::new("redis-server");
        if tls {
            certificates(folder.path());
            command
                .args(["--port", "0", "--tls-port", &port.to_string()])
                .args(["--tls-cert-file", "server.crt"])
                .args(["--tls-key-file", "server.key"])
                .args(["--tls-ca-cert-file", "ca.crt"]);
        } else {
            command.args(["--port", &port.to_string()]);
        }
        let child = command
            .args(["--bind", "127.0.0.1", "--save", ""])
            .args(more.iter().flat_map(|words| words.split(' ')))
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server, of the package of this name");
        let patience = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < patience, "the server does not come up");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self {
            folder,
            child,
            port,
        }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

/// What cannot be reached, and why.
fn refused(url: &str) -> (String, String) {
    let mut store = match Redis::at_url(url) {
        Ok(store) => store,
        Err(Trouble::Unavailable { address, why }) => return (address, why),
        Err(other) => panic!("{other:?}"),
    };
    match store.ask(Call::Get {
        key: "x".to_owned(),
    }) {
        Reply::Failed(Trouble::Unavailable { address, why }) => (address, why),
        other => panic!("{url}: {other:?}"),
    }
}

fn works(url: &str) {
    let mut store = Redis::at_url(url).unwrap();
    store.set("x", "\"y\"");
    assert_eq!(store.get("x").unwrap(), "\"y\"");
    assert_eq!(store.meet("b", 1, 0, Some(0)), Reply::Count(0));
    assert_eq!(store.pop("none", Some(20)), Reply::Value(None));
}

#[test]
fn a_password_opens_and_is_never_shown() {
    let server = Guarded::start(
        false,
        &[
            "--requirepass",
            "pa:ss@wo/rd",
            "--user",
            "ada on >s3cret ~* &* +@all",
        ],
    );
    let port = server.port;
    works(&format!("redis://:pa%3Ass%40wo%2Frd@127.0.0.1:{port}"));
    works(&format!("redis://ada:s3cret@127.0.0.1:{port}/1"));
    let given = Address::parse(&format!("redis://127.0.0.1:{port}"), Some("pa:ss@wo/rd"));
    works(given.unwrap().url());
    let (_, why) = refused(&format!("redis://127.0.0.1:{port}"));
    assert!(why.contains("wants a password"), "{why}");
    let (address, why) = refused(&format!("redis://ada:wr0ng@127.0.0.1:{port}/1"));
    assert_eq!(address, format!("redis://ada:***@127.0.0.1:{port}/1"));
    assert!(
        why.contains("refuses the password") && !why.contains("wr0ng"),
        "{why}"
    );
    let (_, why) = refused(&format!("redis://ada:s3cret@127.0.0.1:{port}/99"));
    assert!(
        why.contains("database") || why.contains("DB index"),
        "{why}"
    );
}

#[test]
fn a_user_who_may_do_little_is_told_what() {
    let server = Guarded::start(
        false,
        &["--user", "eve on >s3cret ~app:* resetchannels +get +set"],
    );
    let mut store =
        Redis::at_url(&format!("redis://eve:s3cret@127.0.0.1:{}", server.port)).unwrap();
    store.set("app:x", "1");
    assert_eq!(store.get("app:x").unwrap(), "1");
    let Reply::Failed(Trouble::Refused { why }) = store.incr("app:x", Number::Int(1)) else {
        panic!("eve may not")
    };
    assert!(why.contains("NOPERM") && why.contains("incrby"), "{why}");
    // It cannot be told of changes: it asks again and again.
    let waiter = std::thread::spawn({
        let mut store =
            Redis::at_url(&format!("redis://eve:s3cret@127.0.0.1:{}", server.port)).unwrap();
        move || {
            store.ask(Call::Wait {
                key: "app:x".to_owned(),
                unlike: Some("1".to_owned()),
                wait: Some(10_000),
            })
        }
    });
    std::thread::sleep(Duration::from_millis(200));
    store.set("app:x", "2");
    assert_eq!(waiter.join().unwrap(), value("2"));
}

#[test]
fn tls_is_for_the_authority_that_is_named() {
    let server = Guarded::start(true, &["--tls-auth-clients", "no", "--requirepass", "pw"]);
    let port = server.port;
    let ca = server.file("ca.crt");
    works(&format!("rediss://:pw@localhost:{port}/0?ca={ca}"));
    works(&format!(
        "rediss://:pw@localhost:{port}/0?ssl_ca_certs={ca}"
    ));
    let (address, why) = refused(&format!("rediss://:pw@localhost:{port}"));
    assert_eq!(address, format!("rediss://:***@localhost:{port}/0"));
    assert!(why.contains("certificate"), "{why}");
    let (_, why) = refused(&format!("rediss://:pw@127.0.0.1:{port}?ca={ca}"));
    assert!(why.contains("certificate"), "{why}: it is for another name");
    refused(&format!("redis://:pw@localhost:{port}"));
    // Of another authority, however good it is elsewhere.
    let other = tempfile::tempdir().unwrap();
    certificates(other.path());
    let other = other.path().join("ca.crt").display().to_string();
    let (_, why) = refused(&format!("rediss://:pw@localhost:{port}?ca={other}"));
    assert!(why.contains("certificate"), "{why}");
    let (address, why) = refused(&format!("rediss://ada:pw@localhost:{port}?ca={ca}"));
    assert_eq!(address, format!("rediss://ada:***@localhost:{port}/0"));
    assert!(why.contains("refuses the password"), "{why}: no such user");
    let (_, why) = refused(&format!("rediss://:wrong@localhost:{port}?ca={ca}"));
    assert!(why.contains("refuses the password"), "{why}");
    let (_, why) = refused(&format!("rediss://localhost:{port}?ca={ca}"));
    assert!(why.contains("wants a password"), "{why}");
    let (_, why) = refused(&format!("rediss://:pw@localhost:{port}?ca=/no/such/file"));
    assert!(why.contains("/no/such/file"), "{why}");
    let (_, why) = refused(&format!(
        "rediss://:pw@localhost:{port}?ca={}",
        server.file("names")
    ));
    assert!(why.contains("certificate"), "{why}");
}

#[test]
fn tls_knows_no_server_by_a_certificate_that_is_over() {
    let expired = "--tls-cert-file expired.crt --tls-key-file expired.key";
    let server = Guarded::start(true, &["--tls-auth-clients no", expired]);
    let at = format!("rediss://localhost:{}", server.port);
    let (_, why) = refused(&format!("{at}?ca={}", server.file("ca.crt")));
    assert!(why.contains("certificate: Expired"), "{why}");
    // Nor is there a way around it.
    for word in ["?ssl_cert_reqs=none", "#insecure"] {
        refused(&format!("{at}{word}"));
    }
}

#[test]
fn tls_shows_a_certificate_of_ones_own_where_it_is_wanted() {
    let server = Guarded::start(true, &["--tls-auth-clients", "yes"]);
    let [ca, cert, key] = ["ca.crt", "client.crt", "client.key"].map(|name| server.file(name));
    let at = format!("rediss://localhost:{}?ca={ca}", server.port);
    works(&format!("{at}&cert={cert}&key={key}"));
    refused(&at);
    let (_, why) = refused(&format!("{at}&cert={cert}"));
    assert!(why.contains("stand together"), "{why}");
}
