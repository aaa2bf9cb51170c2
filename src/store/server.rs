//! The session's own store: one thread that serves [`State`] on a socket without a name in any file system, so that
//! nothing stays behind however the session ends. Only this user's processes are served.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use regatta_cell::store::call::{Reply, Trouble};

use super::awake::Awake;
use super::frame::{Asked, GREETING, Incoming, LIMIT, write};
use super::place::{is_this_users, listen};
use super::state::{Client, State};

/// As long as it lives, the store is served.
pub struct Server {
    address: String,
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start() -> io::Result<Self> {
        let (listener, address) = listen()?;
        let stop = Arc::new(EventFd::from_flags(
            EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK,
        )?);
        let mut serving = Serving::new(listener, stop.clone());
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || serving.run())?;
        Ok(Self {
            address,
            stop,
            thread: Some(thread),
        })
    }

    /// By which clients find it.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop.write(1);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Serving {
    listener: UnixListener,
    stop: Arc<EventFd>,
    state: State,
    connections: BTreeMap<Client, Connection>,
    next: u64,
    began: Instant,
}

struct Connection {
    stream: UnixStream,
    incoming: Incoming,
    greeted: bool,
    out: Vec<u8>,
    sent: usize,
}

/// So long nobody new is let in when there are no file descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

/// Since 1970. With fencing numbers that begin there, whoever has seen those of an earlier session's store sees larger
/// ones.
fn microseconds() -> u64 {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    time.map_or(0, |time| time.as_micros() as u64)
}

impl Serving {
    fn new(listener: UnixListener, stop: Arc<EventFd>) -> Self {
        Self {
            listener,
            stop,
            state: State::since_fence(microseconds()),
            connections: BTreeMap::new(),
            next: 0,
            began: Instant::now(),
        }
    }

    /// Milliseconds of this store's own clock.
    fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    fn run(&mut self) {
        let mut full: Option<Instant> = None;
        let mut awake = Awake::default();
        loop {
            self.state.pass(self.now());
            self.send_answers();
            let is_full = full.is_some_and(|since| since.elapsed() < PAUSE);
            let Ok(ready) = self.wait(is_full, awake.is()) else {
                return;
            };
            if ready.new || !ready.clients.is_empty() {
                awake.begin();
            }
            if ready.stop {
                return;
            }
            if ready.new {
                full = self.accept().is_err().then(Instant::now);
            }
            for client in ready.clients {
                self.hear(client);
            }
        }
    }

    /// Waits for something to do, or only looks.
    fn wait(&mut self, is_full: bool, is_awake: bool) -> nix::Result<Ready> {
        let mut fds = vec![PollFd::new(self.stop.as_fd(), PollFlags::POLLIN)];
        let new = match is_full {
            true => PollFlags::empty(),
            false => PollFlags::POLLIN,
        };
        fds.push(PollFd::new(self.listener.as_fd(), new));
        let first = fds.len();
        for connection in self.connections.values() {
            // Who does not take its answers makes no calls.
            let flags = match connection.out.is_empty() {
                true => PollFlags::POLLIN,
                false => PollFlags::POLLOUT,
            };
            fds.push(PollFd::new(connection.stream.as_fd(), flags));
        }
        let patience = match is_awake {
            true => PollTimeout::ZERO,
            false => self.patience(is_full),
        };
        let found = match poll(&mut fds, patience) {
            Ok(found) => found,
            Err(nix::errno::Errno::EINTR) => 0,
            Err(error) => return Err(error),
        };
        let is_ready = |fd: &PollFd| fd.revents().is_some_and(|events| !events.is_empty());
        let clients = match found {
            0 => Vec::new(),
            _ => {
                let fds = fds[first..].iter();
                let ready = fds.zip(self.connections.keys());
                let ready = ready.filter(|(fd, _)| is_ready(fd));
                ready.map(|(_, client)| *client).collect()
            }
        };
        Ok(Ready {
            stop: is_ready(&fds[0]),
            new: is_ready(&fds[1]),
            clients,
        })
    }

    fn patience(&self, is_full: bool) -> PollTimeout {
        let due = self.state.next_due();
        let due = due.map(|at| at.saturating_sub(self.now()));
        let pause = is_full.then_some(PAUSE.as_millis() as u64);
        match due.into_iter().chain(pause).min() {
            // Longer ones are looked at again.
            Some(milliseconds) => {
                PollTimeout::from(u16::try_from(milliseconds).unwrap_or(u16::MAX))
            }
            None => PollTimeout::NONE,
        }
    }

    /// Lets in who knocks; an error when there is no room.
    fn accept(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::Interrupted | ErrorKind::ConnectionAborted
                    ) =>
                {
                    continue;
                }
                Err(error) => return Err(error),
            };
            if !is_this_users(&stream) {
                continue;
            }
            stream.set_nonblocking(true)?;
            self.next += 1;
            let connection = Connection {
                stream,
                incoming: Incoming::default(),
                greeted: false,
                out: Vec::new(),
                sent: 0,
            };
            self.connections.insert(Client(self.next), connection);
        }
    }

    /// Takes what a client has sent, or sends it what it has not taken yet.
    fn hear(&mut self, client: Client) {
        let Some(connection) = self.connections.get_mut(&client) else {
            return;
        };
        let heard = match connection.out.is_empty() {
            true => connection.receive(),
            false => connection.send().map(|()| Vec::new()),
        };
        let Ok(messages) = heard else {
            return self.drop_client(client);
        };
        for message in messages {
            let now = self.now();
            match message {
                Asked::Call(_) if self.state.is_waiting(client) => {
                    return self.drop_client(client);
                }
                Asked::Call(call) => self.state.call(client, call, now),
                Asked::Cancel => self.state.cancel(client, now),
            }
            self.send_answers();
        }
    }

    fn send_answers(&mut self) {
        let mut lost = Vec::new();
        for (client, reply) in self.state.answers() {
            let Some(connection) = self.connections.get_mut(&client) else {
                continue;
            };
            if let Err(bytes) = write(&reply, &mut connection.out) {
                let too_large = Reply::Failed(Trouble::TooLarge {
                    bytes: bytes as u64,
                    limit: LIMIT as u64,
                });
                let _ = write(&too_large, &mut connection.out);
            }
            if connection.send().is_err() {
                lost.push(client);
            }
        }
        for client in lost {
            self.drop_client(client);
        }
    }

    fn drop_client(&mut self, client: Client) {
        self.connections.remove(&client);
        self.state.gone(client, self.now());
        self.send_answers();
    }
}

struct Ready {
    stop: bool,
    new: bool,
    clients: Vec<Client>,
}

impl Connection {
    /// What has come; an error when nothing more will.
    fn receive(&mut self) -> io::Result<Vec<Asked>> {
        match self.incoming.fill(&mut self.stream) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
        if !self.greeted {
            match self.incoming.take(GREETING.len()) {
                None => return Ok(Vec::new()),
                Some(greeting) if greeting == GREETING => self.greeted = true,
                Some(_) => return Err(io::Error::other("another language")),
            }
        }
        let mut messages = Vec::new();
        while let Some(message) = self.incoming.frame()? {
            messages.push(message);
        }
        Ok(messages)
    }

    /// Sends as much as goes without waiting.
    fn send(&mut self) -> io::Result<()> {
        while self.sent < self.out.len() {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(sent) => self.sent += sent,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.out.shrink_to(64 * 1024);
        self.sent = 0;
        Ok(())
    }
}
