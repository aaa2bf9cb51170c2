//! A session's end of a kept cluster.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::Pid;

use super::super::backbone::Which;
use super::super::launch::Way;
use super::protocol::{self, Answer, Ask, Order};
pub use super::protocol::{Grant, Status, Who};
use super::{Record, Shelf, holder};
use crate::outcome::KeepFault;

/// How long a holder may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it may take to end, and how often it is looked whether it stands still.
const ENDING: Duration = Duration::from_secs(120);
const GLANCE: Duration = Duration::from_millis(500);

/// How long a holder may take to take what it is asked, when that is more than waits for it already.
const TAKING: Duration = Duration::from_secs(2);

/// A cluster that this session has until the connection ends.
pub struct Held {
    pub name: String,
    pub lease: Duration,
    /// The process that keeps it.
    pub pid: u32,
    /// The server's folder, when the cluster has a server of its own.
    pub data: Option<PathBuf>,
    stream: UnixStream,
    asks: Mutex<()>,
}

impl Held {
    /// Starts a holder, and takes its cluster.
    pub fn start(
        path: Option<&str>,
        server: &Which,
        name: &str,
        lease: Duration,
    ) -> Result<(Self, Grant), KeepFault> {
        let failed = |error: std::io::Error| KeepFault::Failed(error.to_string());
        let mut child = Command::new("/proc/self/exe")
            .arg0("regatta-keeper")
            .arg(holder::ROLE)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let mut server = server.clone();
        if let Which::Given {
            credentials: Some(file),
            ..
        } = &mut server
        {
            // The holder is in another folder.
            *file = std::path::absolute(&file).map_err(failed)?;
        }
        let order = Order {
            name: name.to_owned(),
            lease,
            path: path.map(str::to_owned),
            server,
        };
        if let Some(input) = child.stdin.take() {
            serde_json::to_writer(input, &order).map_err(|error| failed(error.into()))?;
        }
        // It says nothing when all is well, and closes its output then.
        let mut says = String::new();
        if let Some(output) = child.stdout.take() {
            output
                .take(4096)
                .read_to_string(&mut says)
                .map_err(failed)?;
        }
        // When it has ended, nothing is left of it.
        std::thread::spawn(move || child.wait());
        if !says.is_empty() {
            let fault = serde_json::from_str(&says);
            return Err(fault.unwrap_or(KeepFault::Failed(says)));
        }
        Self::attach(name, false)
    }

    /// Takes a cluster that is there; with `steal` also one that another session has.
    pub fn attach(name: &str, steal: bool) -> Result<(Self, Grant), KeepFault> {
        let (record, stream) = Shelf::find()?.speak(name)?;
        let pid = std::process::id();
        let ask = Ask::Attach {
            who: Who { pid },
            steal,
        };
        let answer = answer(&record, &stream, &ask)?;
        // A session does not stand still with its holder.
        let _ = stream.set_write_timeout(Some(TAKING));
        match answer {
            Answer::Granted(grant) => Ok((
                Self {
                    name: record.name,
                    lease: record.lease,
                    pid: record.pid,
                    data: record.data,
                    stream,
                    asks: Mutex::default(),
                },
                *grant,
            )),
            Answer::Refused { has } => Err(KeepFault::Has {
                name: record.name,
                pid: has.pid,
            }),
            _ => Err(KeepFault::Silent {
                name: record.name,
                pid: record.pid,
            }),
        }
    }

    pub fn add(&self, number: u32, host: &str, way: &Way, slots: Option<u32>) {
        let (host, way) = (host.to_owned(), way.clone());
        let folder = std::env::current_dir().ok();
        self.ask(&Ask::Add {
            number,
            host,
            way,
            // Of one that is no text nothing can be said.
            folder: folder.filter(|it| it.to_str().is_some()),
            slots,
        });
    }

    pub fn drop_node(&self, number: u32) {
        self.ask(&Ask::Drop { number });
    }

    /// A node that nobody has started from here has come, from this host, or is gone.
    pub fn met(&self, seat: &str, host: Option<&str>) {
        let (seat, host) = (seat.to_owned(), host.map(str::to_owned));
        self.ask(&Ask::Met { seat, host });
    }

    pub fn ask(&self, ask: &Ask) {
        // One whole line after the other, of all threads.
        let _one = self.asks.lock().unwrap_or_else(PoisonError::into_inner);
        if protocol::write(&self.stream, ask).is_err() {
            // One that takes nothing keeps nothing for this session: it sees that where answers are read.
            let _ = self.stream.shutdown(std::net::Shutdown::Both);
        }
    }

    /// Hands on what the holder says, on a thread of its own; `None` is its end.
    pub fn listen(
        &self,
        mut told: impl FnMut(Option<Answer>) + Send + 'static,
    ) -> std::io::Result<()> {
        let mut lines = BufReader::new(self.stream.try_clone()?);
        std::thread::Builder::new()
            .name("kept".to_owned())
            .spawn(move || {
                while let Ok(Some(answer)) = protocol::read(&mut lines) {
                    told(Some(answer));
                }
                told(None);
            })?;
        Ok(())
    }

    /// Ends the cluster; when this returns, it has ended.
    pub fn end(&self) -> Result<(), KeepFault> {
        end(&self.name)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Also for the thread that reads.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

/// The answer to a question that has just one.
fn answer(record: &Record, stream: &UnixStream, ask: &Ask) -> Result<Answer, KeepFault> {
    let answered = || {
        protocol::write(stream, ask)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // Byte by byte: what follows is read elsewhere.
        let answer = protocol::read(&mut BufReader::with_capacity(1, stream))?;
        stream.set_read_timeout(None)?;
        Ok::<_, std::io::Error>(answer)
    };
    answered().ok().flatten().ok_or_else(|| KeepFault::Silent {
        name: record.name.clone(),
        pid: record.pid,
    })
}

/// Whether a process stands still because it was told to.
fn is_stopped(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let behind_name = stat.rsplit_once(") ");
    behind_name.is_some_and(|(_, rest)| rest.starts_with(['T', 't']))
}

/// How a kept cluster is.
pub fn look(record: &Record) -> Result<Status, KeepFault> {
    super::speaks(record)?;
    let stream = Shelf::find()?.reach_that(record)?;
    match answer(record, &stream, &Ask::Look)? {
        Answer::Status(status) => Ok(*status),
        _ => Err(KeepFault::Silent {
            name: record.name.clone(),
            pid: record.pid,
        }),
    }
}

/// Whether nodes of a kept cluster reach its server by themselves.
pub fn is_reached(name: &str) -> Result<bool, KeepFault> {
    let (record, _) = Shelf::find()?.reach(name)?;
    look(&record).map(|status| status.is_reached)
}

/// The same as [`end`], but not of one that a session has, as far as its holder tells.
pub fn end_unused(name: &str) -> Result<(), KeepFault> {
    let (record, _) = Shelf::find()?.reach(name)?;
    match look(&record).ok().and_then(|status| status.has) {
        Some(who) => Err(KeepFault::Has {
            name: record.name,
            pid: who.pid,
        }),
        None => end(name),
    }
}

/// Ends a kept cluster, of whatever version; when this returns, it has ended.
pub fn end(name: &str) -> Result<(), KeepFault> {
    let (record, stream) = Shelf::find()?.reach(name)?;
    let silent = || KeepFault::Silent {
        name: record.name.clone(),
        pid: record.pid,
    };
    // Who is at the other end is surely the holder.
    let holder = getsockopt(&stream, PeerCredentials).map_err(|_| silent())?;
    let ended = kill(Pid::from_raw(holder.pid()), Signal::SIGTERM);
    ended.map_err(|error| KeepFault::Failed(error.to_string()))?;
    let since = Instant::now();
    let mut rest = BufReader::new(&stream);
    let _ = stream.set_read_timeout(Some(GLANCE));
    while since.elapsed() < ENDING {
        // It may have much to remove.
        if since.elapsed() > PATIENCE && is_stopped(holder.pid()) {
            break;
        }
        match rest.fill_buf() {
            Ok([]) => return Ok(()),
            Ok(bytes) => {
                let count = bytes.len();
                rest.consume(count);
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(()),
            Err(_) => {}
        }
    }
    Err(silent())
}
