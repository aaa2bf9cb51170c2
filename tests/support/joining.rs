//! Nodes that nobody starts for the session, and servers that are there before it.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use super::{BINARY, serving::until};

/// A node by hand, ended when this is dropped.
pub struct Node(Option<Child>);

impl Node {
    pub fn start(file: &Path, slots: u32) -> Self {
        Self::with(file, &["--slots", &slots.to_string()])
    }

    pub fn with(file: &Path, options: &[&str]) -> Self {
        // It hears of what ends it, also where who runs the tests ignores that.
        let child = Command::new("env")
            .args(["--default-signal=HUP,INT", BINARY, "node", "--join"])
            .arg(file)
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Self(Some(child.expect("the binary")))
    }

    pub fn pid(&self) -> i32 {
        let child = self.0.as_ref().expect("it has not been waited for");
        child.id().cast_signed()
    }

    /// What it has said when it has ended.
    pub fn ended(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }

    pub fn is_gone(&mut self) -> bool {
        let child = self.0.as_mut().expect("it has not been waited for");
        child.try_wait().unwrap().is_some()
    }

    pub fn says(self) -> String {
        String::from_utf8(self.ended().stderr).unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A server that others have started, ended when this is dropped.
pub struct Server(Child, pub u16);

impl Server {
    pub fn start(folder: &Path, rest: &str) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let file = folder.join(format!("{port}.conf"));
        fs::write(&file, format!("listen: \"127.0.0.1:{port}\"\n{rest}")).unwrap();
        let child = Command::new("sh")
            .args(["-c", "PATH=$PATH:/usr/sbin exec nats-server -c \"$0\""])
            .arg(file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let connects = || std::net::TcpStream::connect(("127.0.0.1", port)).ok();
        until(connects, "the server does not start");
        Self(child, port)
    }

    pub fn url(&self, user: &str) -> String {
        format!("nats://{user}127.0.0.1:{}", self.1)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
