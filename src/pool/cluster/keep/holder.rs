//! The holder of a kept cluster, a process that belongs to no session: it starts the server and the connections to the
//! nodes, starts those again that end, and ends everything when the lease is over or when it is told to. It knows which
//! session has the cluster, and gives it to one at a time. To the nodes it must never say anything but that the cluster is
//! over: the rest is a session's.

use std::collections::BTreeMap;
use std::io::{self, BufReader};
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::super::backbone::Backbone;
use super::super::joins::JoinFiles;
use super::super::launch::{self, Reached, Way};
use super::super::message::Join;
use super::super::slurm::{Asked, Slurm, Surroundings};
use super::super::{do_aside, drop_aside};
use super::protocol::{self, Answer, Ask, Grant, Order, Status, Who};
use super::watch::{Heard, Watch};
use super::{Record, Shelf, farewell, host, machine};
use crate::outcome::{KeepFault, NodeFault, SlurmState};
use crate::servers::Tries;
use crate::wire::{VERSION, since_1970};

/// The first command line argument of a holder; what to hold comes on standard input.
pub const ROLE: &str = "__hold";

/// How long a session may take to take an answer.
const PATIENCE: Duration = Duration::from_millis(200);

/// How long nobody is let in when no more files may be open.
const FULL: Duration = Duration::from_millis(100);

/// How often it is looked at what is due.
const GLANCE: Duration = Duration::from_secs(1);

/// How often it is looked whether what Slurm was asked for is over.
const LOOK: Duration = Duration::from_secs(60);

/// A host that was reached, and whose connection has lasted so long, is tried again when that ends.
const LASTED: Duration = Duration::from_secs(5);

/// Between two tries of a node, the first and the longest.
const AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// Numbers of nodes that one session may use.
const NUMBERS: u32 = 10_000;

/// From here on are the holder's own ones.
const OWN: u32 = 1 << 31;

/// Serves until the cluster has ended.
pub fn main() -> io::Result<()> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block()?;
    // Of a terminal that may be closed.
    let _ = nix::unistd::setsid();
    let order: Order = serde_json::from_reader(io::stdin())?;
    let (events, happens) = channel();
    let begun = begin(&order, &events);
    let mut holder = match begun {
        Ok(begun) => begun,
        Err(fault) => return serde_json::to_writer(io::stdout(), &fault).map_err(Into::into),
    };
    // Whoever has started it waits for this.
    let nothing = std::fs::File::options().write(true).open("/dev/null")?;
    nix::unistd::dup2_stdout(nothing.as_fd())?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            while let Ok(signal) = signals.wait() {
                // A terminal's are not for it.
                if signal == Signal::SIGTERM && events.send(Happens::End).is_err() {
                    return;
                }
            }
        })?;
    holder.serve(&happens);
    holder.end();
    Ok(())
}

type Connection = u64;

enum Happens {
    Connected(Connection, UnixStream),
    Asked(Connection, Ask),
    Closed(Connection),
    Tried(u32, bool),
    Gone(u32, NodeFault),
    /// The connection to a node that is not wanted has ended.
    Dropped(u32),
    /// Of the server.
    Heard(Heard),
    End,
}

/// A host, as it was asked for.
struct Node {
    host: String,
    way: Way,
    /// Where the session was.
    folder: Option<PathBuf>,
    slots: Option<u32>,
    connection: Option<Reached>,
    /// Since when the host is reached, or was: ssh may wait long for one that does not answer. Of other ways it is not known.
    since: Option<Instant>,
    /// When to try again, and how long to wait after that.
    again: Option<(Instant, Duration)>,
}

/// What Slurm was asked for: by which session, with which question.
type Submitted = ((u64, u64), Slurm);

struct Holder {
    record: Record,
    shelf: Shelf,
    backbone: Backbone,
    watch: Watch,
    files: JoinFiles,
    slurm: Vec<Submitted>,
    /// When it was looked at last.
    looked: Instant,
    events: Sender<Happens>,
    connections: BTreeMap<Connection, UnixStream>,
    /// By the number under which they know themselves.
    nodes: BTreeMap<u32, Node>,
    /// Those that somebody else has started, as they are called on their subjects, and their hosts.
    met: BTreeMap<String, String>,
    /// Who has the cluster.
    has: Option<(Connection, Who)>,
    /// Since when nobody has it.
    free: Duration,
    /// Counts the sessions that have had it.
    epoch: u64,
    own: u32,
}

fn begin(order: &Order, events: &Sender<Happens>) -> Result<Holder, KeepFault> {
    let failed = |error: io::Error| KeepFault::Failed(error.to_string());
    let shelf = Shelf::find()?;
    // What is left of an earlier one goes.
    if shelf.all().iter().any(|record| record.name == order.name) {
        return Err(KeepFault::Exists(order.name.clone()));
    }
    // Jobs go on without a session: their queue is with it.
    let (path, folder) = (order.path.as_deref(), || shelf.data());
    let backbone = Backbone::open(path, &order.server, true, Tries::All, folder);
    let backbone = backbone.map_err(KeepFault::Server)?;
    let record = Record {
        version: VERSION,
        name: order.name.clone(),
        host: host(),
        machine: machine(),
        pid: std::process::id(),
        data: backbone.folder(),
        since: since_1970(),
        lease: order.lease,
    };
    let lock = shelf.lock().map_err(failed)?;
    let listener = shelf
        .listen(&order.name)
        .map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => KeepFault::Exists(order.name.clone()),
            _ => failed(error),
        })?;
    if let Err(error) = shelf.put(&record) {
        shelf.remove(&record);
        return Err(failed(error));
    }
    drop(lock);
    accept(listener, events.clone()).map_err(failed)?;
    Ok(Holder {
        record,
        shelf,
        watch: Watch::of(backbone.folder()),
        backbone,
        files: JoinFiles::default(),
        slurm: Vec::new(),
        looked: Instant::now(),
        events: events.clone(),
        connections: BTreeMap::new(),
        nodes: BTreeMap::new(),
        met: BTreeMap::new(),
        has: None,
        free: since_boot(),
        epoch: 0,
        own: 0,
    })
}

/// A clock that goes on while the machine sleeps, and that nobody sets.
fn since_boot() -> Duration {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME);
    time.map_or(Duration::ZERO, Duration::from)
}

fn accept(listener: UnixListener, events: Sender<Happens>) -> io::Result<()> {
    let read = |connection, stream: UnixStream, events: &Sender<Happens>| {
        let own = getsockopt(&stream, PeerCredentials)?.uid() == rustix::process::getuid().as_raw();
        if !own {
            return Ok(());
        }
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut lines = BufReader::new(stream.try_clone()?);
        let told = events.clone();
        // Of a holder that is over, whoever is told nothing goes.
        let _ = events.send(Happens::Connected(connection, stream));
        std::thread::Builder::new()
            .name("session".to_owned())
            .spawn(move || {
                while let Ok(Some(ask)) = protocol::read(&mut lines) {
                    let _ = told.send(Happens::Asked(connection, ask));
                }
                let _ = told.send(Happens::Closed(connection));
            })?;
        Ok::<(), io::Error>(())
    };
    std::thread::Builder::new()
        .name("accept".to_owned())
        .spawn(move || {
            for (connection, stream) in (0..).zip(listener.incoming()) {
                let Ok(stream) = stream else {
                    // No more files may be open: some are closed soon.
                    std::thread::sleep(FULL);
                    continue;
                };
                // One that cannot be served sees its end.
                let _ = read(connection, stream, &events);
            }
        })?;
    Ok(())
}

impl Holder {
    fn serve(&mut self, happens: &Receiver<Happens>) {
        loop {
            let left = self.left().unwrap_or(GLANCE);
            match happens.recv_timeout(left.min(GLANCE)) {
                Ok(Happens::End) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(happens) => self.happens(happens),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.left() == Some(Duration::ZERO) {
                return;
            }
            // What does not start now is tried again with the next glance: what the server keeps is needed until the end.
            let _ = self.backbone.keep_up();
            let events = self.events.clone();
            // Of a holder that is over.
            let told = move |heard| drop(events.send(Happens::Heard(heard)));
            self.watch.look(self.backbone.session(), told);
            self.try_again();
            self.look_at_slurm();
        }
    }

    /// What is left of the lease, while nobody has the cluster.
    fn left(&self) -> Option<Duration> {
        let gone = since_boot().saturating_sub(self.free);
        self.has
            .is_none()
            .then(|| self.record.lease.saturating_sub(gone))
    }

    /// Ends all, and leaves nothing behind.
    fn end(mut self) {
        farewell::say(self.backbone.session(), self.record.data.is_none());
        self.nodes.clear();
        self.slurm.clear();
        let Self {
            shelf,
            record,
            backbone,
            files,
            connections,
            ..
        } = self;
        drop((files, backbone));
        if let Ok(_lock) = shelf.lock() {
            shelf.remove(&record);
        }
        // Whoever waits for the end sees it.
        drop(connections);
    }

    fn happens(&mut self, happens: Happens) {
        match happens {
            Happens::Connected(connection, stream) => {
                self.connections.insert(connection, stream);
            }
            Happens::Closed(connection) => {
                self.connections.remove(&connection);
                if self.has.as_ref().is_some_and(|(has, _)| *has == connection) {
                    self.has = None;
                    self.free = since_boot();
                }
            }
            Happens::Asked(connection, ask) => self.asked(connection, ask),
            Happens::Tried(number, is_waited_for) => {
                if let Some(node) = self.nodes.get_mut(&number) {
                    node.since = Some(Instant::now());
                }
                self.tell(&Answer::Tried {
                    number,
                    is_waited_for,
                });
            }
            Happens::Gone(number, why) => self.gone(number, why),
            Happens::Dropped(number) => self.dismiss(number),
            Happens::Heard(heard) => self.watch.hears(heard),
            Happens::End => {}
        }
    }

    /// Tells the session that has the cluster.
    fn tell(&self, answer: &Answer) {
        if let Some((connection, _)) = &self.has {
            self.say(*connection, answer);
        }
    }

    fn say(&self, connection: Connection, answer: &Answer) {
        if let Some(stream) = self.connections.get(&connection) {
            // Whoever does not take it is gone, or stopped.
            let _ = protocol::write(stream, answer);
        }
    }

    fn asked(&mut self, connection: Connection, ask: Ask) {
        let is_its = self.has.as_ref().is_some_and(|(has, _)| *has == connection);
        match ask {
            Ask::Look => {
                let nodes = self.nodes.values();
                let nodes = nodes.map(|node| {
                    // A launcher's node is here, whatever its command is.
                    let name = match node.way {
                        Way::Ssh { .. } => node.host.clone(),
                        Way::Launcher(_) => host(),
                    };
                    (name, Some(node.connection.is_some()))
                });
                let met = self.met.values().map(|host| (host.clone(), None));
                let status = Status {
                    session: self.backbone.session().clone(),
                    is_reached: self.backbone.session().is_reached(),
                    nodes: nodes.chain(met).collect(),
                    has: self.has.as_ref().map(|(_, who)| who.clone()),
                    left: self.left(),
                };
                self.say(connection, &Answer::Status(Box::new(status)));
            }
            Ask::Attach { who, steal } => self.attach(connection, who, steal),
            Ask::Add {
                number,
                host,
                way,
                folder,
                slots,
            } if is_its => self.start(
                number,
                Node {
                    host,
                    way,
                    folder,
                    slots,
                    connection: None,
                    since: None,
                    again: None,
                },
            ),
            Ask::Drop { number } if is_its => {
                let gone = self.nodes.remove(&number);
                match gone.and_then(|node| node.connection) {
                    Some(connection) => {
                        let events = self.events.clone();
                        do_aside(move || {
                            // It gives back what it has.
                            connection.ends();
                            drop(connection);
                            // Of a holder that is over.
                            let _ = events.send(Happens::Dropped(number));
                        });
                    }
                    None => self.dismiss(number),
                }
            }
            Ask::Met { seat, host } if is_its => {
                match host {
                    Some(host) => self.met.insert(seat, host),
                    None => self.met.remove(&seat),
                };
            }
            Ask::JoinFile { question, path } if is_its => {
                let written = self.join_file(path.as_deref());
                let written = written.map_err(|error| error.to_string());
                self.say(connection, &Answer::JoinFile(question, written));
            }
            Ask::Submit {
                question,
                asked,
                from,
            } if is_its => {
                let submitted = self.submit(question, &asked, &from);
                let submitted = submitted.map_err(|error| error.to_string());
                self.say(connection, &Answer::Submitted(question, submitted));
            }
            Ask::Slurm if is_its => {
                if let Some((_, slurm)) = self.slurm.last() {
                    let (state, nodes) = slurm.look();
                    self.say(connection, &Answer::Slurm(state, nodes));
                }
            }
            Ask::Recall { question } if is_its => {
                let asked = (self.epoch, question);
                self.slurm
                    .extract_if(.., |(of, _)| *of == asked)
                    .for_each(drop_aside);
            }
            Ask::Add { .. }
            | Ask::Drop { .. }
            | Ask::Met { .. }
            | Ask::JoinFile { .. }
            | Ask::Submit { .. }
            | Ask::Slurm
            | Ask::Recall { .. } => {}
        }
    }

    /// As a node joins it that this session has asked for.
    fn as_said(&self) -> impl FnOnce(Join) -> Join + use<> {
        let (epoch, keeps) = (self.epoch, Some(self.record.lease.as_secs()));
        move |join| Join {
            epoch,
            keeps,
            ..join
        }
    }

    fn join_file(&self, path: Option<&Path>) -> io::Result<PathBuf> {
        let written = self.files.write(&self.backbone, path, self.as_said());
        written.map(|(path, _)| path)
    }

    fn submit(&mut self, question: u64, asked: &Asked, from: &Surroundings) -> io::Result<()> {
        let write = |file: &Path| self.join_file(Some(file)).map(drop);
        let slurm = Slurm::start(asked, from, write)?;
        self.slurm.push(((self.epoch, question), slurm));
        Ok(())
    }

    /// What is over of what Slurm was asked for is nobody's, and its folder goes.
    fn look_at_slurm(&mut self) {
        if self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = Instant::now();
        let is_over =
            |(_, slurm): &mut Submitted| matches!(slurm.look().0, SlurmState::Over { .. });
        self.slurm.extract_if(.., is_over).for_each(drop_aside);
    }

    fn attach(&mut self, connection: Connection, who: Who, steal: bool) {
        match &self.has {
            Some((_, has)) if !steal => {
                let has = has.clone();
                return self.say(connection, &Answer::Refused { has });
            }
            Some((had, _)) => {
                // Its password is none any more, so that what it still does when it is continued does no harm.
                let changed = self.backbone.change_password();
                self.say(*had, &Answer::TakenOver { by: who.clone() });
                if changed.is_err() {
                    let had = *had;
                    self.connections.remove(&had);
                }
            }
            None => {}
        }
        self.epoch += 1;
        self.has = Some((connection, who));
        // One that has never come and does not now is of no use to anybody.
        self.nodes
            .retain(|_, node| node.connection.is_some() || node.again.is_some());
        let nodes = self
            .nodes
            .iter()
            .filter(|(_, node)| node.connection.is_some());
        let url = self.backbone.url(Some(self.record.lease.as_secs()));
        let grant = Grant {
            session: Join {
                epoch: self.epoch,
                ..self.backbone.session().clone()
            },
            nodes: nodes
                .map(|(number, node)| (*number, node.host.clone()))
                .collect(),
            met: { self.met.iter() }
                .map(|(seat, host)| (seat.clone(), host.clone()))
                .collect(),
            is_open: url.is_some() || !self.files.are_none(),
            url,
            first: self.first(),
        };
        self.say(connection, &Answer::Granted(Box::new(grant)));
    }

    /// The numbers of nodes that this session starts begin here; no number is ever used twice.
    fn first(&self) -> u32 {
        (self.epoch as u32).wrapping_mul(NUMBERS) % OWN
    }

    /// Whoever has the password of this node has it no more.
    fn dismiss(&self, number: u32) {
        // A server that cannot be told is none for anybody.
        let _ = self.backbone.dismiss(number);
    }

    fn start(&mut self, number: u32, mut node: Node) {
        let admitted = match self.backbone.admit(number) {
            Ok(admitted) => admitted,
            Err(error) => {
                self.nodes.insert(number, node);
                let why = NodeFault::Says(error.to_string());
                return drop(self.events.send(Happens::Gone(number, why)));
            }
        };
        let join = Join {
            host: matches!(node.way, Way::Ssh { .. }).then(|| node.host.clone()),
            slots: node.slots,
            ..self.as_said()(admitted)
        };
        let (tried, ended) = (self.events.clone(), self.events.clone());
        let started = launch::start(
            &node.way,
            node.folder.clone(),
            join,
            self.backbone.tunnel(),
            // Of a holder that is over.
            move |is_waited_for| drop(tried.send(Happens::Tried(number, is_waited_for))),
            move |why| drop(ended.send(Happens::Gone(number, why))),
        );
        node.since = (!matches!(node.way, Way::Ssh { .. })).then(Instant::now);
        match started {
            Ok(reached) => node.connection = Some(reached),
            Err(error) => {
                let why = NodeFault::Says(error.to_string());
                drop(self.events.send(Happens::Gone(number, why)));
            }
        }
        self.nodes.insert(number, node);
    }

    /// A connection has ended, or none could be made.
    fn gone(&mut self, number: u32, why: NodeFault) {
        self.tell(&Answer::Gone { number, why });
        self.dismiss(number);
        let Some(mut node) = self.nodes.remove(&number) else {
            return;
        };
        let lasted = node.since.is_some_and(|since| since.elapsed() >= LASTED);
        node.connection = None;
        let pause = match node.again {
            _ if lasted => AGAIN[0],
            Some((_, pause)) => pause,
            // It has never come.
            None => return,
        };
        node.again = Some((Instant::now() + pause, (2 * pause).min(AGAIN[1])));
        self.nodes.insert(number, node);
    }

    fn try_again(&mut self) {
        let is_due = |node: &Node| {
            let due = node.again.filter(|_| node.connection.is_none());
            due.is_some_and(|(at, _)| at <= Instant::now())
        };
        let due = self.nodes.iter().filter(|(_, node)| is_due(node));
        let due: Vec<u32> = due.map(|(number, _)| *number).collect();
        for number in due {
            if let Some(node) = self.nodes.remove(&number) {
                // The old number is of a node that was given up.
                let number = OWN | self.own;
                self.own += 1;
                let host = node.host.clone();
                self.tell(&Answer::Again { number, host });
                self.start(number, node);
            }
        }
    }
}
