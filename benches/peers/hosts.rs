//! Four "machines" of this one, made of network namespaces by `examples/two_hosts.sh`, each with an sshd, and taken away
//! again when this is dropped.

use std::io::Read as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::outside::{Failure, Outcome, Programs, output};

pub const COUNT: usize = 4;

pub struct Hosts {
    folder: PathBuf,
    /// The number of their network.
    net: String,
}

impl Hosts {
    pub fn up(programs: &Programs) -> Outcome<Self> {
        let folder =
            std::env::temp_dir().join(format!("regatta-bench-hosts-{}", std::process::id()));
        script(programs, "up", &folder)?;
        let net = std::fs::read_to_string(folder.join("net"))
            .map_err(|error| Failure(format!("{}: {error}", folder.display())))?;
        let net = net.trim().to_owned();
        Ok(Self { folder, net })
    }

    pub fn config(&self) -> PathBuf {
        self.folder.join("config")
    }

    /// What ssh has to be told to reach them.
    pub fn options(&self) -> String {
        format!("-F {}", self.config().display())
    }

    /// This machine's address, for all hosts.
    pub fn here(&self) -> String {
        format!("198.18.{}.1", self.net)
    }

    /// Cables to the first hosts on which packets take so many milliseconds each way, until they are dropped.
    pub fn far(&self, hosts: usize, milliseconds: u32) -> Outcome<Vec<Cable>> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/cable.py");
        let cable = |host: usize| -> Outcome<Cable> {
            let [here, there] =
                [7, 6].map(|less| format!("198.18.{}.{}", self.net, 8 * host - less));
            let mut child = Command::new("python3")
                .arg(&script)
                .args([&format!("rg{}-{host}", self.net), &here, &there])
                // Nothing is lost, repeated or late; as fast as it goes.
                .args([&milliseconds.to_string(), "0", "0", "0", "1e12", "1"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .map_err(failed)?;
            let mut plugged = [0];
            if let Some(output) = &mut child.stdout {
                output.read_exact(&mut plugged).map_err(failed)?;
            }
            Ok(Cable(child))
        };
        (1..=hosts).map(cable).collect()
    }

    /// A command on a host, over ssh.
    pub fn on(&self, host: usize, options: &[&str], command: &[&str]) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(self.config()).args(options);
        ssh.arg(format!("node{host}")).args(command);
        ssh
    }

    /// Seconds of copying a file to each of these hosts at once.
    pub fn copy(&self, file: &Path, hosts: usize) -> Outcome<f64> {
        let begin = std::time::Instant::now();
        let start = |host| {
            Command::new("scp")
                .args(["-q", "-F"])
                .arg(self.config())
                .arg(file)
                .arg(format!("node{host}:/dev/shm/regatta-bench-{host}"))
                .spawn()
        };
        let started: Vec<Child> = (1..=hosts)
            .map(start)
            .collect::<Result<_, _>>()
            .map_err(failed)?;
        for mut copy in started {
            if !copy.wait().map_err(failed)?.success() {
                return Err(Failure("scp failed".to_owned()));
            }
        }
        let seconds = begin.elapsed().as_secs_f64();
        for host in 1..=hosts {
            let file = format!("/dev/shm/regatta-bench-{host}");
            output(&mut self.on(host, &[], &["rm", &file]), "")?;
        }
        Ok(seconds)
    }
}

/// See [`Hosts::far`].
pub struct Cable(Child);

impl Drop for Cable {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        // What is left is seen in the next run's listing.
        let _ = Command::new("sh")
            .args(["examples/two_hosts.sh", "down"])
            .arg(&self.folder)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stderr(Stdio::null())
            .status();
    }
}

fn failed(error: std::io::Error) -> Failure {
    Failure(error.to_string())
}

fn script(programs: &Programs, verb: &str, folder: &Path) -> Outcome<()> {
    let mut command = programs.command(Path::new("sh"));
    command
        .args(["examples/two_hosts.sh", verb])
        .arg(folder)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("HOSTS", COUNT.to_string());
    output(&mut command, "").map(drop)
}

/// A port that nobody listens on now.
pub fn free_port() -> Outcome<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(failed)?;
    Ok(listener.local_addr().map_err(failed)?.port())
}
