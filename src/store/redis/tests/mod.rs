//! Every call on a real server, which each test starts for itself. Debian's package `redis-server` has it.

mod access;
mod between;
mod faults;
mod holds;
mod values;
mod waits;

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use regatta_cell::store::call::{Call, Entry, EntryKind, Json, Kind, Number, Reply, Trouble, Who};

use super::{Address, Redis};
use crate::store::Store as _;

const NEVER: &dyn Fn() -> bool = &|| false;

/// A server on a socket in a folder of its own; it keeps what it knows when it is killed and started again.
pub struct Running {
    folder: tempfile::TempDir,
    child: Child,
    keeps: bool,
}

impl Running {
    pub fn start(keeps: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let child = Self::spawn(folder.path(), keeps);
        let running = Self {
            folder,
            child,
            keeps,
        };
        running.wait();
        running
    }

    /// Nobody has to wait for what an earlier run may have known.
    pub fn old() -> Self {
        let running = Self::start(false);
        running.forgets_nothing();
        running
    }

    fn forgets_nothing(&self) {
        self.cli(&["SET", super::line::KEEPS_ALL, "1"]);
    }

    fn spawn(folder: &Path, keeps: bool) -> Child {
        Command::new("redis-server")
            .args(["--port", "0", "--unixsocket", "redis.sock", "--save", ""])
            .args(["--appendfsync", "no", "--appendonly"])
            .arg(if keeps { "yes" } else { "no" })
            .current_dir(folder)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server, of the package of this name")
    }

    fn wait(&self) {
        let patience = Instant::now() + Duration::from_secs(10);
        while self.cli(&["PING"]) != "PONG" {
            assert!(Instant::now() < patience, "the server does not come up");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn restart(&mut self) {
        self.kill();
        self.child = Self::spawn(self.folder.path(), self.keeps);
        self.wait();
    }

    pub fn socket(&self) -> String {
        self.folder.path().join("redis.sock").display().to_string()
    }

    pub fn cli(&self, words: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-s", &self.socket()])
            .args(words)
            .output()
            .expect("redis-cli, of the package redis-tools");
        String::from_utf8(output.stdout)
            .unwrap()
            .trim_end()
            .to_owned()
    }

    fn store(&self) -> Redis {
        Redis::at_url(&format!("unix:{}", self.socket())).unwrap()
    }

    /// As another process would be: it shares no connection and no hold with other clients.
    fn stranger(&self, number: usize) -> Redis {
        // The same place by another name.
        let name = self.folder.path().join(format!("{number}.sock"));
        let _ = std::os::unix::fs::symlink("redis.sock", &name);
        Redis::at_url(&format!("unix:{}", name.display())).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Redis {
    fn ask(&mut self, call: Call) -> Reply {
        self.call(&call, NEVER)
    }

    fn set(&mut self, key: &str, value: &str) {
        let (key, value) = (key.to_owned(), value.to_owned());
        let expire = None;
        assert_eq!(self.ask(Call::Set { key, value, expire }), Reply::Done);
    }

    fn get(&mut self, key: &str) -> Option<Json> {
        match self.ask(Call::Get {
            key: key.to_owned(),
        }) {
            Reply::Value(value) => value,
            other => panic!("{other:?}"),
        }
    }

    fn incr(&mut self, key: &str, by: Number) -> Reply {
        self.ask(Call::Incr {
            key: key.to_owned(),
            by,
        })
    }

    fn push(&mut self, key: &str, values: &[&str]) -> Reply {
        self.ask(Call::Push {
            key: key.to_owned(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        })
    }

    fn pop(&mut self, key: &str, wait: Option<u64>) -> Reply {
        self.ask(Call::Pop {
            key: key.to_owned(),
            wait,
        })
    }

    fn swap(&mut self, key: &str, before: Option<&str>, after: Option<&str>) -> bool {
        let reply = self.ask(Call::Swap {
            key: key.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        });
        match reply {
            Reply::Is(is) => is,
            other => panic!("{other:?}"),
        }
    }

    fn hold(&mut self, kind: Kind, name: &str, limit: u32, wait: Option<u64>) -> Reply {
        self.ask(Call::Acquire {
            kind,
            name: name.to_owned(),
            limit,
            lease: None,
            wait,
            who: Who {
                group: "tests".to_owned(),
                ..Who::default()
            },
        })
    }

    fn lock(&mut self, name: &str, wait: Option<u64>) -> Reply {
        self.hold(Kind::Lock, name, 1, wait)
    }

    fn release(&mut self, kind: Kind, name: &str, fence: u64) -> Reply {
        self.ask(Call::Release {
            kind,
            name: name.to_owned(),
            fence,
        })
    }

    fn meet(&mut self, name: &str, size: u32, rank: u32, wait: Option<u64>) -> Reply {
        self.ask(Call::Barrier {
            name: name.to_owned(),
            size,
            wait,
            who: Who {
                group: "p0".to_owned(),
                rank: Some(rank),
                size: Some(size),
                pid: 0,
            },
        })
    }

    fn keys(&mut self, pattern: &str, details: bool) -> Vec<Entry> {
        match self.ask(Call::Keys {
            pattern: pattern.to_owned(),
            details,
        }) {
            Reply::Keys(entries) => entries,
            other => panic!("{other:?}"),
        }
    }
}

fn fence(reply: Reply) -> u64 {
    match reply {
        Reply::Granted { fence } => fence,
        other => panic!("{other:?}"),
    }
}

fn value(text: &str) -> Reply {
    Reply::Value(Some(text.to_owned()))
}

fn wrong(reply: Reply) -> (String, String) {
    match reply {
        Reply::Failed(Trouble::WrongType { wanted, found, .. }) => (wanted, found),
        other => panic!("{other:?}"),
    }
}
