//! Connections to a server: kept for the next call, looked at before they are used again, replaced when they break.

use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::{
    Cmd, Connection, ConnectionLike as _, ErrorKind, FromRedisValue, Msg, RedisError, RedisResult,
    ServerErrorKind, Value, cmd,
};
use regatta_cell::store::call::Trouble;

use super::address::Address;
use super::scripts::Script;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a server may take to answer.
const ANSWER: Duration = Duration::from_secs(30);

/// A connection that nobody used for so long is asked whether it is still one.
const IDLE: Duration = Duration::from_millis(500);

/// How long a connection that has subscribed may hear nothing.
const SILENCE: Duration = Duration::from_secs(2);

/// How long calls wait for a server that was there before.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often it is tried meanwhile.
const AGAIN: Duration = Duration::from_millis(20);

/// A key that a server has which forgets nothing that it has acknowledged, however it ends: [`super::private`] starts such.
pub const KEEPS_ALL: &str = "regatta:keeps_all";

/// A server, reached by any thread.
pub struct Server {
    address: Address,
    idle: Mutex<Vec<Line>>,
    /// It has answered once.
    known: AtomicBool,
    /// When a connection broke, or there was none yet.
    lost: Mutex<Instant>,
}

/// Whether a call may be made once more when the connection broke before the answer came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Made twice it comes to the same.
    Safe,
    /// Only when it was not sent.
    Never,
}

/// Why a call has no answer.
#[derive(Debug)]
pub enum Fault {
    /// There is no server, or no connection any more.
    Gone(Trouble),
    /// What the server says.
    Said(RedisError),
    /// Nobody waits any more.
    Stopped,
}

impl Fault {
    /// For calls of which the server can say nothing that is expected.
    pub fn trouble(self) -> Trouble {
        match self {
            Self::Gone(trouble) => trouble,
            Self::Said(error) => Trouble::Refused { why: said(&error) },
            Self::Stopped => Trouble::Refused {
                why: "it was stopped".to_owned(),
            },
        }
    }

    /// Whether the key is of another type than the command is for.
    pub fn is_wrong_type(&self) -> bool {
        matches!(self, Self::Said(error) if error.code() == Some("WRONGTYPE"))
    }
}

/// What the server said.
pub fn said(error: &RedisError) -> String {
    let text = match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    };
    text.trim().to_owned()
}

/// A run of a server, as its process.
#[derive(Clone, Debug)]
pub struct Run {
    pub id: String,
    /// It was up by then.
    pub since: Instant,
    /// It knows all that earlier runs knew, and the next one will.
    pub keeps_all: bool,
}

/// A connection.
pub struct Line {
    connection: Connection,
    used: Instant,
    /// The last command has gone out as a whole.
    pub sent: bool,
    /// The number by which another connection can end a wait of this one; `None` in it where this user may not.
    number: Option<Option<i64>>,
    /// Messages that came while something else was waited for.
    heard: VecDeque<Msg>,
    pub run: Run,
}

impl Line {
    /// Sends a command and waits for its answer.
    pub fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        let value = self.value(command)?;
        if let Value::ServerError(error) = value {
            return Err(error.into());
        }
        Ok(redis::from_redis_value(value)?)
    }

    fn value(&mut self, command: &Cmd) -> RedisResult<Value> {
        self.sent = false;
        self.connection
            .send_packed_command(&command.get_packed_command())?;
        self.sent = true;
        self.connection.recv_response()
    }

    /// Sends commands at once and waits for their answers.
    pub fn ask_all(&mut self, commands: &[Cmd]) -> RedisResult<Vec<RedisResult<Value>>> {
        let mut packed = Vec::new();
        for command in commands {
            packed.extend(command.get_packed_command());
        }
        if packed.is_empty() {
            return Ok(Vec::new());
        }
        self.sent = false;
        self.connection.send_packed_command(&packed)?;
        self.sent = true;
        commands
            .iter()
            .map(|_| match self.connection.recv_response()? {
                Value::ServerError(error) => Ok(Err(error.into())),
                value => Ok(Ok(value)),
            })
            .collect()
    }

    /// Runs a script, which the server may have to be given first; `before` goes ahead of it.
    pub fn run<T: FromRedisValue>(
        &mut self,
        script: &Script,
        keys: &[&str],
        arguments: &[&str],
        before: &[Cmd],
    ) -> RedisResult<T> {
        let called = |by: &str, what: &str| {
            let mut command = cmd(by);
            command.arg(what).arg(keys.len()).arg(keys).arg(arguments);
            command
        };
        let mut ask = |command: Cmd| {
            if before.is_empty() {
                return self.ask(&command);
            }
            let all = [before, &[command]].concat();
            let answer = self.ask_all(&all)?.into_iter().next_back();
            let answer = answer.unwrap_or(Ok(Value::Nil))?;
            Ok(redis::from_redis_value(answer)?)
        };
        match ask(called("EVALSHA", script.hash())) {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                ask(called("EVAL", script.text()))
            }
            other => other,
        }
    }

    /// From now on answers may take as long as they like, or not.
    pub fn is_patient(&self, is: bool) -> RedisResult<()> {
        let most = if is { None } else { Some(ANSWER) };
        self.connection.set_read_timeout(most)
    }

    /// Whether the server answers, and soon.
    fn is_there(&mut self) -> bool {
        let connection = &mut self.connection;
        connection.set_read_timeout(Some(CONNECT)).is_ok()
            && connection.check_connection()
            && connection.set_read_timeout(Some(ANSWER)).is_ok()
    }

    /// The number by which another connection can end a wait of this one; `None` where this user may not. The server is asked
    /// once.
    pub fn number(&mut self) -> RedisResult<Option<i64>> {
        if let Some(number) = self.number {
            return Ok(number);
        }
        let allowed = self.ask::<i64>(cmd("CLIENT").arg("ID")).and_then(|id| {
            // It does not wait yet.
            self.ask::<i64>(cmd("CLIENT").arg("UNBLOCK").arg(id))?;
            Ok(id)
        });
        let number = match allowed {
            Ok(id) => Some(id),
            Err(error) if is_of_connection(&error) => return Err(error),
            Err(_) => None,
        };
        self.number = Some(number);
        Ok(number)
    }

    /// Asks the server for an answer on a connection that has subscribed; what comes meanwhile is kept.
    fn check_messages(&mut self) -> RedisResult<()> {
        self.connection.set_read_timeout(Some(CONNECT))?;
        // Dropped, it would unsubscribe; nothing is left in it.
        let mut messages = ManuallyDrop::new(self.connection.as_pubsub());
        let answered = messages.ping::<Value>();
        let _ = messages.set_read_timeout(Some(Duration::from_millis(1)));
        while let Ok(message) = messages.get_message() {
            self.heard.push_back(message);
        }
        answered.map(|_| ())
    }

    /// Takes back what this connection has subscribed to, and waits until the server has done it.
    pub fn leave(mut self) {
        if self.connection.set_read_timeout(Some(CONNECT)).is_ok() {
            drop(self.connection.as_pubsub());
        }
    }

    /// The next message of what this connection has subscribed to; `None` when none came in time. After a silence the
    /// server is asked whether it is there: one that is gone without a word would be silent for ever.
    pub fn message(&mut self, within: Duration) -> RedisResult<Option<Msg>> {
        if let Some(message) = self.heard.pop_front() {
            return Ok(Some(message));
        }
        let within = within.max(Duration::from_millis(1));
        self.connection.set_read_timeout(Some(within))?;
        // Dropped, it would unsubscribe; it holds nothing, because the subscription is not its own.
        let mut messages = ManuallyDrop::new(self.connection.as_pubsub());
        match messages.get_message() {
            Ok(message) => {
                self.used = Instant::now();
                return Ok(Some(message));
            }
            Err(error) if error.is_timeout() || is_interrupted(&error) => {}
            Err(error) => return Err(error),
        }
        if self.used.elapsed() > SILENCE {
            self.check_messages()?;
            self.used = Instant::now();
        }
        Ok(None)
    }
}

fn is_interrupted(error: &RedisError) -> bool {
    // A signal ended the wait: `Interrupted system call`.
    error.is_io_error() && error.to_string().contains("Interrupted")
}

impl Server {
    pub fn new(address: Address) -> Self {
        Self {
            address,
            idle: Mutex::default(),
            known: AtomicBool::new(false),
            lost: Mutex::new(Instant::now()),
        }
    }

    pub fn address(&self) -> &Address {
        &self.address
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Line>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost(&self) -> MutexGuard<'_, Instant> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that works, as far as can be told.
    pub fn line(&self, stops: &dyn Fn() -> bool) -> RedisResult<Line> {
        loop {
            let kept = self.idle().pop();
            let Some(mut line) = kept else {
                return self.connect();
            };
            if line.used.elapsed() < IDLE || line.is_there() {
                return Ok(line);
            }
            if stops() {
                return Err(std::io::Error::from(std::io::ErrorKind::Interrupted).into());
            }
        }
    }

    fn connect(&self) -> RedisResult<Line> {
        let connection = self.address.client().get_connection_with_timeout(CONNECT)?;
        connection.set_read_timeout(Some(ANSWER))?;
        connection.set_write_timeout(Some(ANSWER))?;
        let now = Instant::now();
        let mut line = Line {
            connection,
            used: now,
            sent: false,
            number: None,
            heard: VecDeque::new(),
            run: Run {
                id: String::new(),
                since: *self.lost(),
                keeps_all: false,
            },
        };
        // A user who may not ask is told nothing, and is careful.
        match line.ask::<String>(cmd("INFO").arg("server")) {
            Ok(info) => line.run = run(&info, now).unwrap_or(line.run),
            Err(error) if is_of_connection(&error) || wants_password(&error) => return Err(error),
            Err(_) => {}
        }
        match line.ask::<Option<String>>(cmd("GET").arg(KEEPS_ALL)) {
            Ok(keeps) => line.run.keeps_all = keeps.is_some(),
            Err(error) if is_of_connection(&error) || is_loading(&error) => return Err(error),
            Err(_) => {}
        }
        self.known.store(true, Ordering::Relaxed);
        Ok(line)
    }

    /// For the next call.
    pub fn keep(&self, mut line: Line) {
        line.used = Instant::now();
        self.idle().push(line);
    }

    /// A connection has broken: the others to the same process have too.
    pub fn broke(&self) {
        self.idle().clear();
        *self.lost() = Instant::now();
    }

    /// Waits for a connection for as long as a server that was there may take to come back, or at most until then.
    pub fn patient_line(
        &self,
        until: Option<Instant>,
        stops: &dyn Fn() -> bool,
    ) -> Result<Line, Fault> {
        let patience = until.unwrap_or_else(|| Instant::now() + PATIENCE);
        loop {
            let error = match self.line(stops) {
                Ok(line) => return Ok(line),
                Err(error) => error,
            };
            if stops() {
                return Err(Fault::Stopped);
            }
            let comes_back = is_loading(&error)
                || self.known.load(Ordering::Relaxed) && is_of_connection(&error);
            if !comes_back || Instant::now() >= patience {
                return Err(Fault::Gone(self.unavailable(&error)));
            }
            std::thread::sleep(AGAIN);
        }
    }

    /// Makes a call: on another connection when it was not sent, or may be made twice.
    pub fn call<T>(
        &self,
        repeat: Repeat,
        stops: &dyn Fn() -> bool,
        mut call: impl FnMut(&mut Line) -> RedisResult<T>,
    ) -> Result<T, Fault> {
        let patience = Instant::now() + PATIENCE;
        // Sent once, and without an answer.
        let mut earlier = None;
        loop {
            let mut line = match (self.patient_line(Some(patience), stops), &earlier) {
                (Err(Fault::Gone(_)), Some(error)) => {
                    return Err(Fault::Gone(self.lost_call(error)));
                }
                (line, _) => line?,
            };
            line.sent = false;
            let error = match call(&mut line) {
                Ok(value) => {
                    self.keep(line);
                    return Ok(value);
                }
                Err(error) => error,
            };
            let is_early = Instant::now() < patience;
            if is_of_connection(&error) {
                let sent = line.sent;
                drop(line);
                self.broke();
                // A signal has ended the read.
                if stops() {
                    return Err(Fault::Stopped);
                }
                let again = !sent || repeat == Repeat::Safe && !error.is_timeout();
                if sent {
                    earlier = Some(error);
                } else if !is_early && earlier.is_none() {
                    return Err(Fault::Gone(self.unavailable(&error)));
                }
                match &earlier {
                    Some(error) if !(is_early && again) => {
                        return Err(Fault::Gone(self.lost_call(error)));
                    }
                    _ => continue,
                }
            }
            self.keep(line);
            // Said before anything is done.
            if !(is_early && is_loading(&error)) {
                return Err(Fault::Said(error));
            }
            std::thread::sleep(AGAIN);
        }
    }

    pub fn unavailable(&self, error: &RedisError) -> Trouble {
        let why = match error.kind() {
            ErrorKind::AuthenticationFailed => {
                "the server refuses the password; give it as `redis://user:password@host`, or with --password-env"
                    .to_owned()
            }
            _ if wants_password(error) => {
                "the server wants a password; give it as `redis://:password@host`, or with --password-env"
                    .to_owned()
            }
            _ => format!(
                "{}; nothing was changed. Calls go on once it is back; `%store use embedded` leaves it",
                cause(error)
            ),
        };
        Trouble::Unavailable {
            address: self.address.to_string(),
            why,
        }
    }

    pub fn lost_call(&self, error: &RedisError) -> Trouble {
        Trouble::Lost {
            address: self.address.to_string(),
            why: format!("{}; look at the key before you call again", cause(error)),
        }
    }
}

fn cause(error: &RedisError) -> String {
    if error.is_timeout() {
        return "there is no answer".to_owned();
    }
    let text = error.to_string();
    match text.as_str() {
        "unexpected end of file" | "failed to fill whole buffer" => {
            "the server closed the connection".to_owned()
        }
        _ => text,
    }
}

/// Whether it is the connection's, so that there is none any more.
pub fn is_of_connection(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Io | ErrorKind::Parse) || error.is_connection_dropped()
}

fn wants_password(error: &RedisError) -> bool {
    error.code() == Some("NOAUTH")
}

fn is_loading(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::BusyLoading)
        || error.code() == Some("LOADING")
}

/// What `INFO server` tells.
fn run(info: &str, now: Instant) -> Option<Run> {
    let field = |name: &str| {
        info.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
    };
    let seconds = field("uptime_in_seconds")?.parse().ok()?;
    Some(Run {
        id: field("run_id")?.to_owned(),
        since: now.checked_sub(Duration::from_secs(seconds)).unwrap_or(now),
        keeps_all: false,
    })
}
