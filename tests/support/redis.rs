//! A Redis server of a test's own: Debian's `redis-server`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::{BINARY, PATIENCE};

/// A server of the test's own.
pub struct Server {
    folder: tempfile::TempDir,
    child: Child,
}

impl Server {
    pub fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let child = Command::new("redis-server")
            .args(["--port", "0", "--unixsocket", "redis.sock", "--save", ""])
            .args(options)
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server, of the package of this name");
        let server = Self { folder, child };
        let patience = Instant::now() + PATIENCE;
        while std::os::unix::net::UnixStream::connect(server.socket()).is_err() {
            assert!(Instant::now() < patience, "the server does not come up");
            std::thread::sleep(Duration::from_millis(5));
        }
        server
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status();
        assert!(sent.is_ok_and(|sent| sent.success()), "kill {signal}");
    }

    pub fn url(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    pub fn cli(&self, words: &[&str]) -> String {
        cli(&self.socket(), words)
    }

    /// `regatta store …`, as a script runs it.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command
            .arg("store")
            .args(words)
            .env_remove("REGATTA_STORE")
            .env("REGATTA_REDIS_URL", self.url());
        command
    }

    pub fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("the binary")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn cli(socket: &Path, words: &[&str]) -> String {
    let output = Command::new("redis-cli")
        .arg("-s")
        .arg(socket)
        .args(words)
        .output()
        .expect("redis-cli, of the package redis-tools");
    let text = String::from_utf8(output.stdout).expect("text");
    text.trim_end().to_owned()
}
