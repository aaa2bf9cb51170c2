//! Two hosts made of network namespaces, each with an sshd and nothing of Rust.

use std::path::PathBuf;
use std::process::Command;

use super::proc;

const HOSTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/two_hosts.sh");

/// Two hosts, taken away when this is dropped.
pub struct Hosts(pub PathBuf);

impl Hosts {
    pub fn up(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("regatta-hosts-{}-{name}", std::process::id()));
        let hosts = Self(folder);
        hosts.script("up");
        hosts
    }

    fn script(&self, verb: &str) {
        let status = Command::new("sh")
            .arg(HOSTS)
            .arg(verb)
            .arg(&self.0)
            .status();
        assert!(
            status.unwrap().success(),
            "two_hosts.sh {verb}: root, iproute2 and openssh-server are needed"
        );
    }

    /// What starts a cluster on both.
    pub fn start(&self, engines: [usize; 2]) -> String {
        let [one, two] = engines;
        format!(
            "%pool start cluster --ssh node1:{one},node2:{two} --ssh-options '-F {}'",
            self.0.join("config").display()
        )
    }

    pub fn home(&self, host: usize) -> PathBuf {
        self.0.join(format!("home{host}"))
    }

    /// The processes of a host with this argument: its node, or its engines.
    pub fn processes(&self, host: usize, argument: &str) -> Vec<i32> {
        let home = self.home(host);
        let is_of = |pid: &i32| {
            let program = std::fs::read_link(format!("/proc/{pid}/exe"));
            program.is_ok_and(|program| program.starts_with(&home))
        };
        proc::with_argument(argument)
            .into_iter()
            .filter(is_of)
            .collect()
    }

    pub fn engines_of(&self, host: usize) -> Vec<i32> {
        self.processes(host, "__engine")
    }

    pub fn nodes_of(&self, host: usize) -> Vec<i32> {
        self.processes(host, "--join")
    }

    pub fn engines(&self) -> Vec<i32> {
        [1, 2].map(|host| self.engines_of(host)).concat()
    }

    pub fn nodes(&self) -> Vec<i32> {
        [1, 2].map(|host| self.nodes_of(host)).concat()
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        let _ = Command::new("sh")
            .arg(HOSTS)
            .arg("down")
            .arg(&self.0)
            .status();
    }
}
