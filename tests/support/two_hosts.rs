//! Two hosts made of network namespaces, each with an sshd and nothing of Rust.

use std::path::PathBuf;
use std::process::Command;

use super::{Session, contains, proc};

const HOSTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/two_hosts.sh");

/// Two hosts, taken away when this is dropped.
pub struct Hosts(PathBuf);

impl Hosts {
    pub fn up(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("regatta-hosts-{}-{name}", std::process::id()));
        let hosts = Self(folder);
        let up = hosts.script("up");
        assert!(up, "root, iproute2 and openssh-server are needed");
        hosts
    }

    fn script(&self, verb: &str) -> bool {
        let status = Command::new("sh").args([HOSTS, verb]).arg(&self.0).status();
        status.is_ok_and(|status| status.success())
    }

    /// What starts a pool on both, of so many engines.
    pub fn start(&self, [one, two]: [usize; 2]) -> String {
        let config = self.0.join("config");
        format!(
            "%pool start cluster --ssh node1:{one},node2:{two} --ssh-options '-F {}'",
            config.display()
        )
    }

    /// A session with a pool on both, of so many engines.
    pub fn session(&self, [one, two]: [usize; 2]) -> Session {
        let mut session = Session::start();
        let started = session.cell(&self.start([one, two]));
        contains(&started, &["cluster engines on node1, node2"]);
        session
    }

    /// The processes of a host with this argument: its node, or its engines.
    pub fn processes(&self, host: usize, argument: &str) -> Vec<i32> {
        let home = self.0.join(format!("home{host}"));
        let is_of = |pid: &i32| {
            let program = std::fs::read_link(format!("/proc/{pid}/exe"));
            program.is_ok_and(|program| program.starts_with(&home))
        };
        let all = proc::with_argument(argument);
        all.into_iter().filter(is_of).collect()
    }

    pub fn engines(&self) -> Vec<i32> {
        [1, 2].map(|host| self.processes(host, "__engine")).concat()
    }

    pub fn nodes(&self) -> Vec<i32> {
        [1, 2].map(|host| self.processes(host, "--join")).concat()
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        self.script("down");
    }
}
