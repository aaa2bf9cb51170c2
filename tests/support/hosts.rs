//! Two hosts made of network namespaces, each with an sshd and nothing of Rust, and what can befall the cable of one.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::serving::until;
use super::{Session, contains, proc};

const HOSTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/two_hosts.sh");
const CABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/cable.py");

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

    /// A session with a pool on both, of so many engines.
    pub fn session(&self, engines: [usize; 2]) -> Session {
        let mut session = Session::start();
        let started = session.cell(&self.start(engines));
        contains(&started, &["cluster engines on node1, node2"]);
        session
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

    /// All that runs on a host beside the sshd that waits there for others.
    pub fn guests(&self, host: usize) -> Vec<(i32, String)> {
        let output = Command::new("ip")
            .args(["netns", "pids", &self.namespace(host)])
            .output();
        let pids = String::from_utf8(output.expect("iproute2").stdout).expect("numbers");
        let pids = pids.lines().filter_map(|pid| pid.trim().parse().ok());
        let named = pids.map(|pid| (pid, proc::arguments(pid)));
        named
            .filter(|(pid, arguments)| proc::alive(*pid) && !arguments.contains("[listener]"))
            .collect()
    }

    /// The files that a host has got.
    pub fn files(&self, host: usize) -> Vec<PathBuf> {
        proc::files(self.home(host), &|_| true)
    }

    fn number(&self) -> String {
        let number = std::fs::read_to_string(self.0.join("net"));
        number.expect("hosts that are up").trim().to_owned()
    }

    pub fn namespace(&self, host: usize) -> String {
        format!("rg{}-{host}", self.number())
    }

    /// The address at which this host sees the session.
    pub fn address_of_session(&self, host: usize) -> String {
        format!("198.18.{}.{}", self.number(), 8 * host - 7)
    }

    /// At which the session sees it.
    pub fn address(&self, host: usize) -> String {
        format!("198.18.{}.{}", self.number(), 8 * host - 6)
    }

    /// A command on a host's network.
    fn on(&self, host: usize, words: &[&str]) {
        let status = Command::new("ip")
            .args(["netns", "exec", &self.namespace(host)])
            .args(words)
            .status();
        assert!(status.expect("iproute2").success(), "{words:?}");
    }

    /// A host runs this in the place of whatever it is asked, which is `$SSH_ORIGINAL_COMMAND` there.
    pub fn force(&self, host: usize, command: &str) {
        let file = self.0.join(format!("sshd{host}.conf"));
        let said = std::fs::read_to_string(&file).expect("a configuration");
        let mut lines: Vec<&str> = said.lines().collect();
        lines.retain(|line| !line.starts_with("ForceCommand"));
        let forced = format!("{}\nForceCommand {command}\n", lines.join("\n"));
        std::fs::write(file, forced).expect("a configuration");
        self.reload(host);
    }

    /// Its sshd reads what it is to do anew.
    pub fn reload(&self, host: usize) {
        let id = self.0.join(format!("sshd{host}.pid"));
        let pid = || std::fs::read_to_string(&id).ok()?.trim().parse().ok();
        let sshd = pid().expect("an sshd");
        // It writes its number when it takes connections, and is the same process.
        std::fs::remove_file(&id).expect("its number");
        kill(Pid::from_raw(sshd), Signal::SIGHUP).expect("an sshd");
        until(|| pid().map(drop), "sshd has not begun anew");
    }

    /// A cable between both, by which they reach each other.
    pub fn wire_to_each_other(&self) {
        let other = self.namespace(2);
        let cable = "ip link add eth1 type veth peer name eth1 netns";
        let words: Vec<&str> = cable.split(' ').chain([&other[..]]).collect();
        self.on(1, &words);
        for host in [1, 2] {
            self.on(host, &["ip", "link", "set", "eth1", "up"]);
            let there = self.address(3 - host);
            self.on(host, &["ip", "route", "add", &there, "dev", "eth1"]);
        }
    }

    pub fn cut(&self, host: usize, how: Cut) {
        let address = format!("{}/32", self.address_of_session(host));
        let rules = |rules: &[(&str, &str)]| {
            self.on(host, &["nft", "add table ip cut"]);
            for (hook, verdict) in rules {
                let chain =
                    format!("add chain ip cut {hook} {{ type filter hook {hook} priority 0; }}");
                let interface = if *hook == "input" {
                    "iifname"
                } else {
                    "oifname"
                };
                let rule = format!("add rule ip cut {hook} {interface} eth0 {verdict}");
                self.on(host, &["nft", &chain]);
                self.on(host, &["nft", &rule]);
            }
        };
        match how {
            Cut::Drop => rules(&[("input", "drop"), ("output", "drop")]),
            Cut::DropThere => rules(&[("input", "drop")]),
            Cut::DropBack => rules(&[("output", "drop")]),
            Cut::Reject => rules(&[("input", "reject"), ("output", "reject")]),
            Cut::Reset => rules(&[("input", "meta l4proto tcp reject with tcp reset")]),
            Cut::Blackhole => self.on(host, &["ip", "route", "add", "blackhole", &address]),
            Cut::Unreachable => self.on(host, &["ip", "route", "add", "unreachable", &address]),
            Cut::Prohibit => self.on(host, &["ip", "route", "add", "prohibit", &address]),
            Cut::Unplug => self.on(host, &["ip", "link", "set", "eth0", "down"]),
        }
    }

    pub fn mend(&self, host: usize, how: Cut) {
        let address = format!("{}/32", self.address_of_session(host));
        match how {
            Cut::Drop | Cut::DropThere | Cut::DropBack | Cut::Reject | Cut::Reset => {
                self.on(host, &["nft", "delete table ip cut"]);
            }
            Cut::Blackhole | Cut::Unreachable | Cut::Prohibit => {
                self.on(host, &["ip", "route", "del", &address]);
            }
            Cut::Unplug => self.on(host, &["ip", "link", "set", "eth0", "up"]),
        }
    }

    /// Puts a bad cable between the session and a host.
    pub fn bad_cable(&self, host: usize, faults: &Faults) -> Cable {
        let there = self.address(host);
        let mut child = Command::new("python3")
            .arg(CABLE)
            .args([
                &self.namespace(host),
                &self.address_of_session(host),
                &there,
            ])
            .args([
                faults.delay_ms.to_string(),
                faults.lost.to_string(),
                faults.repeated.to_string(),
                faults.late.to_string(),
                faults.bytes_per_second.to_string(),
                faults.seed.to_string(),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let mut word = [0; 1];
        let output = child.stdout.as_mut().expect("a pipe");
        let plugged = std::io::Read::read_exact(output, &mut word);
        plugged.expect("a cable: /dev/net/tun is needed");
        Cable(child)
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

/// How a host can be cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Packets are dropped both ways, on the way to the host, and on the way back.
    Drop,
    DropThere,
    DropBack,
    /// They are refused: the port cannot be reached.
    Reject,
    /// Connections are reset.
    Reset,
    /// The host's routes lead nowhere.
    Blackhole,
    Unreachable,
    Prohibit,
    /// Its network card is off.
    Unplug,
}

impl Cut {
    /// Those that a connection can outlive.
    pub const OUTLIVED: [Self; 8] = [
        Self::Drop,
        Self::DropThere,
        Self::DropBack,
        Self::Reject,
        Self::Blackhole,
        Self::Unreachable,
        Self::Prohibit,
        Self::Unplug,
    ];
}

/// What a bad cable does to packets; shares of 1.
pub struct Faults {
    pub delay_ms: u32,
    pub lost: f64,
    pub repeated: f64,
    pub late: f64,
    pub bytes_per_second: f64,
    pub seed: u64,
}

/// A bad cable; the good one is there again when it is dropped.
pub struct Cable(Child);

impl Cable {
    /// Unplugs it; the bytes that the session has sent over it.
    pub fn unplug(mut self) -> u64 {
        drop(self.0.stdin.take());
        let mut said = String::new();
        let output = self.0.stdout.as_mut().expect("a pipe");
        std::io::Read::read_to_string(output, &mut said).expect("its last words");
        said.trim().parse().expect("a number")
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
