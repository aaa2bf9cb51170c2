//! The private `nats-server` of a cluster: on a port of the loopback interface that only those can use who have a password
//! from the session.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::message::Join;
use crate::servers::{Server, installed};
use crate::wire::VERSION;

const PROGRAM: &str = "nats-server";
const CONFIGURATION: &str = "nats.conf";
const PID: &str = "nats.pid";

/// The users of a server, and what they may do.
const SESSION: &str = "session";
const NODE: &str = "node";

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("there is no `{PROGRAM}` on the PATH")]
    Missing,
    #[error("`{PROGRAM}` cannot be started: {0}")]
    Start(#[from] std::io::Error),
}

/// A server that runs for one cluster. It ends when this is dropped.
pub struct Private {
    pub server: Server,
    pub port: u16,
    /// What the session and the nodes connect with.
    pub session: Join,
    pub node: Join,
}

impl Private {
    pub fn start(path: Option<&str>) -> Result<Self, ServerError> {
        let folder = tempfile::Builder::new().prefix("regatta-nats-").tempdir()?;
        Self::start_in(folder, path)
    }

    /// The same, with its files in this folder.
    pub fn start_in(folder: TempDir, path: Option<&str>) -> Result<Self, ServerError> {
        let program = installed(PROGRAM, path).ok_or(ServerError::Missing)?;
        let port = free_port()?;
        let cluster = format!("regatta-{}", secret()?);
        let passwords = [secret()?, secret()?];
        let configuration = configuration(port, &cluster, &passwords);
        write_private(&folder.path().join(CONFIGURATION), &configuration)?;
        let arguments = ["-c", CONFIGURATION].map(OsStr::new);
        let server = Server::start(folder, &program, &arguments)?;
        let [session, node] = passwords;
        let join = |user: &str, password: String| Join {
            version: VERSION,
            cluster: cluster.clone(),
            server: format!("nats://127.0.0.1:{port}"),
            user: user.to_owned(),
            password,
            node: None,
            host: None,
            slots: None,
            epoch: 0,
            keeps: None,
        };
        Ok(Self {
            server,
            port,
            session: join(SESSION, session),
            node: join(NODE, node),
        })
    }

    /// Whoever has the session's password has it no more: its connection ends, and another needs the new one.
    pub fn change_password(&mut self) -> std::io::Result<()> {
        let passwords = [secret()?, self.node.password.clone()];
        let text = configuration(self.port, &self.session.cluster, &passwords);
        let file = self.server.folder().join(CONFIGURATION);
        let new = file.with_extension("new");
        write_private(&new, &text)?;
        std::fs::rename(new, file)?;
        let [session, _] = passwords;
        self.session.password = session;
        let pid = std::fs::read_to_string(self.server.folder().join(PID))?;
        let pid = pid.trim().parse().map_err(std::io::Error::other)?;
        // It reads its configuration anew. One that has just been killed does so when it is started again.
        Ok(kill(Pid::from_raw(pid), Signal::SIGHUP)?)
    }
}

/// A port that nobody listens on now. It stays the server's also when that is started again.
fn free_port() -> std::io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

/// 128 bits that nobody can guess, in hexadecimal digits.
pub fn secret() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

/// A file for this user alone.
pub fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path)?.write_all(text.as_bytes())
}

/// Nodes may say what nodes say, and hear what is said to nodes; nothing else. They are not kept apart from each other.
fn configuration(port: u16, cluster: &str, [session, node]: &[String; 2]) -> String {
    format!(
        r#"listen: "127.0.0.1:{port}"
server_name: "{cluster}"
pid_file: "{PID}"
max_payload: 1MB
max_pending: 256MB
write_deadline: "30s"
ping_interval: "5s"
authorization {{
  users = [
    {{ user: {SESSION}, password: "{session}", permissions: {{
        publish: ["{cluster}.to.*", "{cluster}.beat"], subscribe: ["{cluster}.from.*", "{cluster}.pulse.*"] }} }}
    {{ user: {NODE}, password: "{node}", permissions: {{
        publish: ["{cluster}.from.*", "{cluster}.pulse.*"], subscribe: ["{cluster}.to.*", "{cluster}.beat"] }} }}
  ]
}}
"#
    )
}
