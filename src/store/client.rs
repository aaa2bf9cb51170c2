//! Whoever makes calls: [`Store`], and the client of a session's own store.

use std::io::{ErrorKind, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use regatta_cell::store::call::{Call, Reply, Trouble};

use super::awake::{Awake, Here};
use super::frame::{Asked, GREETING, Incoming, LIMIT, write};
use super::place::dial;
use super::redis;

/// A store as one thread calls it.
pub trait Store: Send {
    /// Makes a call and waits for its answer. A wait ends with [`Reply::Interrupted`] soon after `stops` says so; it is
    /// asked now and then. Errors are [`Reply::Failed`]. A connection that was lost is made anew by a later call.
    fn call(&mut self, call: &Call, stops: &dyn Fn() -> bool) -> Reply;

    /// The connection, where whoever has it open keeps alive what was taken through it.
    fn connection(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// How often `stops` is asked.
pub const LOOK: Duration = Duration::from_millis(50);

/// The store at this address; nothing is connected yet.
pub fn connect(address: &str) -> Result<Box<dyn Store>, Trouble> {
    if redis::is_url(address) {
        return Ok(Box::new(redis::Redis::at_url(address)?));
    }
    Ok(Box::new(Embedded::at(address)))
}

/// A session's own store. What the connection holds is released when it closes.
pub struct Embedded {
    address: String,
    open: Option<Open>,
}

struct Open {
    stream: UnixStream,
    incoming: Incoming,
    out: Vec<u8>,
    awake: Awake,
}

impl Embedded {
    /// `address` is a path, or with `@` in front an abstract name.
    #[must_use]
    pub fn at(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            open: None,
        }
    }

    fn unavailable(&self, error: &std::io::Error) -> Trouble {
        let why = match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::NotFound => {
                "nobody serves it, so its session is over".to_owned()
            }
            _ => error.to_string(),
        };
        Trouble::Unavailable {
            address: self.address.clone(),
            why,
        }
    }

    fn open(address: &str) -> std::io::Result<Open> {
        let stream = dial(address)?;
        // After a moment the thread sleeps in the call itself: it is woken fastest so.
        stream.set_read_timeout(Some(LOOK))?;
        stream.set_write_timeout(Some(LOOK))?;
        Ok(Open {
            stream,
            incoming: Incoming::default(),
            out: GREETING.to_vec(),
            awake: Awake::default(),
        })
    }
}

impl Store for Embedded {
    fn call(&mut self, call: &Call, stops: &dyn Fn() -> bool) -> Reply {
        if let Some(refused) = super::senseless(call) {
            return refused;
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => match Self::open(&self.address) {
                Ok(open) => none.insert(open),
                Err(error) => return Reply::Failed(self.unavailable(&error)),
            },
        };
        if let Err(bytes) = write(&Asked::Call(call), &mut open.out) {
            return Reply::Failed(Trouble::TooLarge {
                bytes: bytes as u64,
                limit: LIMIT as u64,
            });
        }
        let answered = open.send().and_then(|()| open.answer(stops));
        answered.unwrap_or_else(|error| {
            self.open = None;
            let why = match error.kind() {
                ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
                    "the session has ended it".to_owned()
                }
                _ => error.to_string(),
            };
            Reply::Failed(Trouble::Lost {
                address: self.address.clone(),
                why,
            })
        })
    }

    fn connection(&self) -> Option<BorrowedFd<'_>> {
        self.open.as_ref().map(|open| open.stream.as_fd())
    }
}

impl Open {
    /// Sends all that is queued.
    fn send(&mut self) -> std::io::Result<()> {
        let mut sent = 0;
        while sent < self.out.len() {
            match self.stream.write(&self.out[sent..]) {
                Ok(count) => sent += count,
                Err(error) if goes_on(&error) => {}
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.out.shrink_to(KEPT);
        Ok(())
    }

    fn answer(&mut self, stops: &dyn Fn() -> bool) -> std::io::Result<Reply> {
        let mut cancelled = false;
        self.awake.begin();
        loop {
            let is_awake = self.awake.is();
            let filled = match is_awake {
                true => self.incoming.fill(&mut Here(&self.stream)),
                false => self.incoming.fill(&mut self.stream),
            };
            match filled {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => {
                    if let Some(reply) = self.incoming.frame()? {
                        return Ok(reply);
                    }
                }
                Err(error) if goes_on(&error) => {
                    if !is_awake && !cancelled && stops() {
                        cancelled = true;
                        // Its answer may be on its way: then that is the one.
                        let _ = write(&Asked::<&Call>::Cancel, &mut self.out);
                        self.send()?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether nothing more is said than that it took its time.
fn goes_on(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

/// Bytes that a connection's buffer keeps from call to call.
const KEPT: usize = 64 * 1024;
