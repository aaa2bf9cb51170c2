//! A Redis server of the session's own: the installed `redis-server` or `valkey-server`, on a socket in its folder, without
//! a port. What it has acknowledged is in a file of that folder, so that it forgets nothing when it is killed.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::time::{Duration, Instant};

use redis::cmd;
use tempfile::TempDir;

use super::address::Address;
use super::line::{self, KEEPS_ALL};
use crate::servers::{Server, Tries, installed};

/// The programs, in the order in which they are looked for.
const PROGRAMS: [&str; 2] = ["redis-server", "valkey-server"];

const SOCKET: &str = "redis.sock";

/// Who is slow to listen is not given up for what the session's own store keeps for it.
const ARGUMENTS: &str = "--port 0 --unixsocket redis.sock --unixsocketperm 700 --appendonly yes --appendfsync no \
                         --daemonize no --loglevel warning";
const LISTENERS: [&str; 5] = ["--client-output-buffer-limit", "pubsub", "256mb", "0", "0"];
const EMPTY: [&str; 4] = ["--save", "", "--logfile", ""];

/// The longest path of a socket, bytes.
const LONGEST: usize = 100;

/// How long it may take to come up.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that the session has started. It ends when this is dropped.
#[derive(Debug)]
pub struct Private {
    server: Server,
    /// `redis-server`, `valkey-server`
    pub program: &'static str,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum PrivateError {
    /// Nothing is installed that could be started.
    #[error("there is no {} on the PATH", .0.join(" and no "))]
    Missing(Vec<&'static str>),
    /// It could not be started, or came to an end.
    #[error("{program} does not come up: {why}")]
    Start { program: &'static str, why: String },
}

impl Private {
    /// Starts the server of this name, or any that is installed.
    pub fn start(wanted: Option<&str>, path: Option<&str>) -> Result<Self, PrivateError> {
        let names: Vec<&'static str> = PROGRAMS
            .into_iter()
            .filter(|name| wanted.is_none_or(|wanted| name.starts_with(wanted)))
            .collect();
        let found = names
            .iter()
            .find_map(|name| Some((*name, installed(name, path)?)));
        let (program, file) = found.ok_or(PrivateError::Missing(names))?;
        let trouble = |why: String| PrivateError::Start { program, why };
        let failed = |error: std::io::Error| trouble(error.to_string());
        let arguments = ARGUMENTS
            .split_ascii_whitespace()
            .chain(LISTENERS)
            .chain(EMPTY);
        let arguments: Vec<&OsStr> = arguments.map(OsStr::new).collect();
        let folder = folder().map_err(failed)?;
        let server = Server::start(folder, &file, &arguments, &[], Tries::Few).map_err(failed)?;
        let mut private = Self { server, program };
        private.wait().map_err(trouble)?;
        Ok(private)
    }

    pub fn address(&self) -> String {
        format!("unix:{}", self.server.folder().join(SOCKET).display())
    }

    /// Until it answers; an error is what it has said.
    fn wait(&mut self) -> Result<(), String> {
        let address = Address::parse(&self.address(), None).map_err(|error| error.to_string())?;
        let server = line::Server::new(address);
        let since = Instant::now();
        loop {
            let up = server
                .line(&|| false)
                .and_then(|mut line| line.ask::<()>(cmd("SET").arg(KEEPS_ALL).arg(1)));
            let Err(error) = up else {
                return Ok(());
            };
            if self.server.has_ended() || since.elapsed() > PATIENCE {
                let last = self.server.last_words();
                return Err(last.unwrap_or_else(|| error.to_string()));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A folder whose paths are short enough for a socket.
fn folder() -> std::io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("regatta-redis-");
    let folder = builder.tempdir()?;
    if folder.path().as_os_str().as_bytes().len() + SOCKET.len() < LONGEST {
        return Ok(folder);
    }
    builder.tempdir_in("/tmp")
}
