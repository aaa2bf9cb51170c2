//! A node: a host's part of a cluster. It runs engines for the session as processes of its own, and carries what they and
//! the session say to each other. It decides nothing; when the session is gone, it ends its engines and itself, or waits for
//! the next session when the cluster outlives its own.

mod around;
mod clock;
mod doors;
mod engine;
mod entry;
mod folder;
mod listed;
mod memory;
mod objects;
mod stand_ins;
mod told;
mod urgent;
mod world;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use async_nats::Event;
use futures_util::StreamExt as _;
use nix::sys::signal::Signal;
use tokio::sync::Notify;
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::Instant;

use super::backbone;
use super::joins::{self, FileError};
use super::line::Line;
use super::message::{Beat, FromNode, Join, LineId, OVER, Pulse};
use super::ordered::Garbage;
use super::post::{self, Post};
use super::queue::Worklist;
use super::server;
use super::shelf::Shelf;
use super::tunnel::Tunnels;
use crate::ids::{EngineId, JobId};
use crate::outcome::NodeFault;
use crate::pool::Launch;
use crate::wire::{ToEngine, VERSION, since_1970};
use around::Around;
use clock::Ahead;
use doors::Doors;
use engine::Here;
use entry::{about, connect, input_ended, told_to_end, wait_for, whispered};
use objects::Objects;
use stand_ins::StandIns;
use world::World;

/// How often a node without a session looks whether anything is queued.
const LOOK: Duration = Duration::from_secs(5);

/// How long a node that was taken out, or is told to end, may take to give back what it has.
const ENDING: Duration = Duration::from_secs(1);

/// The pieces of a node that has heard nothing for so long may be others'.
const OWN: Duration = Duration::from_secs(3);

/// A session of which nothing is heard for so long is gone.
const ALONE: Duration = Duration::from_secs(30);

/// A node that has not reached its server for so long does not wait for it any more: the cluster may have ended without a
/// word, with the host that it was on.
const UNREACHED: Duration = Duration::from_secs(3600);

/// How often engines are looked at without an event.
const TICK: Duration = Duration::from_millis(100);

/// Why a node ends.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error("{0}")]
    Url(String),
    #[error("{0}: {1}")]
    File(String, FileError),
    #[error("that does not say how to join a cluster: {0}")]
    Malformed(String),
    #[error("the session is another version of regatta (it speaks {0}, this is {VERSION})")]
    Version(u32),
    #[error("{0} cannot be reached: {1}")]
    Unreachable(String, String),
    #[error("{0} does not take this node: the cluster has ended, or the file is another one's")]
    Unknown(String),
    #[error("{0} does not let this node in: `nats://USER:PASSWORD@HOST/…`, or `--creds FILE`")]
    NotLetIn(String),
    #[error("{0} has not the certificate of this cluster's server ({1})")]
    Impostor(String, String),
    #[error("the session does not take this node: {0}")]
    Refused(NodeFault),
    #[error("nothing was heard of the session for {0} s")]
    Alone(u64),
    #[error("the server was not reached for {0} s")]
    Unreached(u64),
    #[error("the session has given this node up; it goes on without it")]
    GivenUp,
    #[error("it was told to end ({0})")]
    Asked(Signal),
    #[error("{0}")]
    Garbage(#[from] Garbage),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Joins the cluster that a file describes, `-` being standard input, or a URL with the cluster's name behind it, and serves until the session ends it. `slots`:
/// engines that it may run. `joined`: it takes part, at this server and with so many engines.
pub fn main(
    file: &str,
    credentials: Option<&Path>,
    slots: Option<u32>,
    joined: impl FnOnce(&str, u32),
) -> Result<(), NodeError> {
    let (join, from_input) = match file {
        "-" => (whispered(std::io::stdin())?, true),
        url if url.contains("://") => {
            let join = backbone::given(url, credentials);
            let join = join.map_err(|fault| NodeError::Url(fault.to_string()))?;
            (join, false)
        }
        _ => {
            let opened = File::open(file).map_err(FileError::from);
            let join = opened.and_then(joins::read);
            (
                join.map_err(|error| NodeError::File(file.to_owned(), error))?,
                false,
            )
        }
    };
    if join.version != VERSION {
        return Err(NodeError::Version(join.version));
    }
    crate::engine::open_many_files();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let served = LocalSet::new().block_on(&runtime, serve(join, slots, from_input, joined));
    // What it waits for has no end.
    runtime.shutdown_background();
    served
}

async fn serve(
    join: Join,
    slots: Option<u32>,
    from_input: bool,
    joined: impl FnOnce(&str, u32),
) -> Result<(), NodeError> {
    let mut joined = Some(joined);
    let (told, mut events) = unbounded_channel();
    let client = connect(&join, &told).await?;
    let number = match (join.node, join.file) {
        (Some(number), _) => number.to_string(),
        (None, Some(file)) => format!("{}.{}", server::file_seat(file), server::secret()?),
        (None, None) => server::secret()?,
    };
    let subject = |what: &str| format!("{}.{what}", join.cluster);
    let unreachable = |error: async_nats::SubscribeError| {
        NodeError::Unreachable(join.server.clone(), error.to_string())
    };
    let mut words =
        { client.subscribe(subject(&format!("to.{number}"))).await }.map_err(unreachable)?;
    let mut urgent =
        { client.subscribe(subject(&format!("now.{number}"))).await }.map_err(unreachable)?;
    let mut beats = client
        .subscribe(subject("beat"))
        .await
        .map_err(unreachable)?;
    let shelf = Rc::new(Shelf::default());
    let list = (join.is_durable)
        .then(|| Rc::new(Worklist::new(client.clone(), &join.cluster, shelf.clone())));
    if let Some(list) = &list {
        spawn_local(list.clone().serve());
    }
    let mut input = if from_input {
        Some(input_ended()?)
    } else {
        None
    };
    let mut asked = told_to_end()?;
    let mut tick = tokio::time::interval(TICK);
    let mut daily = tokio::time::interval(folder::DAILY);
    let lease = Duration::from_secs(join.keeps.unwrap_or_default());
    // Of sessions that are gone, while engines do something for them.
    let mut former: Vec<Rc<Node>> = Vec::new();
    let mut heard = Instant::now();
    // Since when the server is not reached.
    let mut away: Option<Instant> = None;
    let mut epoch = join.epoch;
    let ended = 'sessions: loop {
        let post = Post::new(
            client.clone(),
            subject(&format!("from.{number}")),
            None,
            epoch,
        );
        let node = Node::new(post, epoch, &shelf, list.as_ref());
        node.post.send(&FromNode::Hello(about(&join, slots)));
        let serves = spawn_local({
            let post = node.post.clone();
            async move { post.serve().await }
        });
        let given_up = post::given_up(epoch);
        let mut looked = Instant::now();
        let next = loop {
            tokio::select! {
                word = words.next() => match word {
                    Some(word) if *word.payload == *given_up => break Err(NodeError::GivenUp),
                    Some(word) => {
                        if post::is_of(&word.payload, epoch) {
                            heard = Instant::now();
                            node.attends(Duration::ZERO);
                        }
                        let told = |message, behind: &[u8]| Node::told(&node, message, behind);
                        if let Err(garbage) = node.post.take(&word.payload, told) {
                            break Err(garbage.into());
                        }
                    }
                    None => break Err(NodeError::Alone(0)),
                },
                word = urgent.next() => if let Some(word) = word {
                    match node.post.take_urgent(&word.payload) {
                        Ok(Some(message)) => node.hurried(message),
                        Ok(None) => {}
                        Err(garbage) => break Err(garbage.into()),
                    }
                },
                beat = beats.next() => if let Some(beat) = &beat
                    && *beat.payload == *OVER
                {
                    break Ok(None);
                } else if let Some(beat) = beat
                    && let Ok(beat) = postcard::from_bytes::<Beat>(&beat.payload)
                {
                    if beat.epoch > epoch {
                        break Ok(Some(beat.epoch));
                    }
                    if beat.epoch == epoch && !node.is_left.get() {
                        heard = Instant::now();
                        node.attends(Duration::ZERO);
                        if let Some(list) = &list {
                            list.has_room(beat.has_room);
                        }
                        node.compare_clocks(beat.sent);
                        if let Ok(pulse) = postcard::to_stdvec(&node.pulse(beat)) {
                            let to = subject(&format!("pulse.{number}"));
                            // It waits when the server does not take what is sent to it, and there is more to look at.
                            let _ = tokio::time::timeout(TICK, client.publish(to, pulse.into())).await;
                        }
                    }
                },
                event = events.recv() => match (event, &list) {
                    (Some(Event::Connected), list) => {
                        away = None;
                        node.post.send_again();
                        if let Some(list) = list {
                            list.again();
                        }
                    }
                    (Some(Event::Disconnected), list) => {
                        away = Some(Instant::now());
                        if let Some(list) = list {
                            list.has_room(false);
                        }
                    }
                    _ => {}
                },
                _ = tick.tick() => {
                    if node.has_joined.get() && let Some(joined) = joined.take() {
                        joined(join.address(), about(&join, slots).slots);
                    }
                    node.look_at_engines();
                    node.tell_unreadable();
                    node.attends(heard.elapsed());
                    if looked.elapsed() > LOOK {
                        looked = Instant::now();
                        Node::looks_whether_drained(&node);
                    }
                    former.retain(|node| node.is_at_work());
                    if let Some(away) = away.filter(|away| away.elapsed() > UNREACHED) {
                        break Err(NodeError::Unreached(away.elapsed().as_secs()));
                    }
                    if heard.elapsed() > ALONE + lease {
                        break Err(NodeError::Alone(heard.elapsed().as_secs()));
                    }
                    if heard.elapsed() > ALONE && join.keeps.is_some() {
                        node.leave();
                    }
                }
                _ = daily.tick() => folder::is_used(),
                () = node.over.notified() => break match node.refused.take() {
                    Some(why) => Err(NodeError::Refused(why)),
                    None => Ok(None),
                },
                // Whoever has started it over this connection is gone.
                () = wait_for(&mut input) => break Ok(None),
                Ok(signal) = &mut asked => break Err(NodeError::Asked(signal)),
            }
        };
        serves.abort();
        let gives_back = match &next {
            // The pieces of one that was silent for long are others' by now.
            Err(NodeError::GivenUp) => heard.elapsed() < OWN,
            Err(NodeError::Asked(_)) => away.is_none(),
            _ => false,
        };
        if let Some(list) = list.as_ref().filter(|_| gives_back) {
            node.retire();
            // What is not done by then is given to others later.
            let _ = tokio::time::timeout(ENDING, list.ends(ENDING / 2)).await;
            let _ = tokio::time::timeout(ENDING, client.flush()).await;
        }
        node.leave();
        node.retire();
        former.push(node);
        match next {
            Ok(Some(newer)) => epoch = newer,
            Ok(None) => break 'sessions Ok(()),
            Err(error) => break 'sessions Err(error),
        }
    };
    for node in former {
        node.end_engines();
    }
    ended
}

struct Node {
    post: Rc<Post>,
    /// The session's.
    epoch: u64,
    engines: RefCell<BTreeMap<EngineId, Rc<Here>>>,
    /// What engines take from the session, once for all of them.
    objects: RefCell<Objects>,
    /// What it takes from the queue of a durable cluster.
    list: Option<Rc<Worklist>>,
    /// A session listens.
    is_attended: Cell<bool>,
    /// Another session has come: engines end what they have of the queue, and then themselves.
    is_retired: Cell<bool>,
    stand_ins: RefCell<StandIns>,
    lines: RefCell<HashMap<LineId, Rc<Line>>>,
    next_line: Cell<u64>,
    /// Connections to stores.
    tunnels: Tunnels,
    doors: Doors,
    world: RefCell<Option<Rc<World>>>,
    ahead: Cell<Ahead>,
    /// The session has said so; it is told where it was started.
    has_joined: Cell<bool>,
    /// The session has said so.
    over: Notify,
    /// The session is gone, and another may come.
    is_left: Cell<bool>,
    refused: RefCell<Option<NodeFault>>,
    /// Of which the session was told that they cannot be read on the server.
    unreadable: RefCell<BTreeSet<JobId>>,
}

impl Node {
    /// What it has for one session.
    fn new(post: Post, epoch: u64, shelf: &Rc<Shelf>, list: Option<&Rc<Worklist>>) -> Rc<Self> {
        Rc::new(Self {
            post: Rc::new(post),
            epoch,
            engines: RefCell::default(),
            objects: RefCell::new(Objects::on(shelf.clone())),
            list: list.cloned(),
            is_attended: Cell::new(true),
            is_retired: Cell::new(false),
            stand_ins: RefCell::default(),
            lines: RefCell::default(),
            next_line: Cell::new(0),
            tunnels: Tunnels::default(),
            doors: Doors::default(),
            world: RefCell::default(),
            ahead: Cell::default(),
            has_joined: Cell::new(false),
            over: Notify::new(),
            is_left: Cell::new(false),
            refused: RefCell::default(),
            unreadable: RefCell::default(),
        })
    }

    /// The session is gone: nothing is said to it any more, and engines end unless there is a queue that they go on with.
    fn leave(&self) {
        if !self.is_left.replace(true) {
            self.post.close();
            self.leaves_queue();
            self.doors.close();
            self.tunnels.hang_up();
            for line in self.lines.take().values() {
                line.hang_up();
            }
            self.world.take();
        }
    }

    fn end_engines(&self) {
        for engine in self.engines.take().into_values() {
            engine.kill();
        }
    }

    fn with(&self, engine: EngineId, what: impl FnOnce(&Here)) {
        let here = self.engines.borrow().get(&engine).cloned();
        if let Some(here) = here {
            what(&here);
        }
    }

    /// Whether it could be started; otherwise the session is told. `is_held`: it is given pieces after its first run.
    fn start(
        node: &Rc<Self>,
        engine: EngineId,
        launch: &Launch,
        around: Around,
        is_held: bool,
    ) -> bool {
        match Here::start(engine, launch, around, node) {
            Ok(here) => {
                for library in node.objects.borrow().libraries() {
                    here.send(&ToEngine::Library, &library);
                }
                here.goes_to_folder();
                let pid = here.pid();
                node.engines.borrow_mut().insert(engine, here.clone());
                if let Some(list) = &node.list {
                    list.joins(node.seat(engine), here, is_held);
                }
                node.post.send(&FromNode::Started { engine, pid });
                true
            }
            Err(error) => {
                node.post.send(&FromNode::Ended {
                    engine,
                    cause: crate::outcome::DeathCause::Launcher {
                        says: error.to_string(),
                    },
                    changes: Vec::new(),
                });
                false
            }
        }
    }

    /// Tells of what nobody else tells: that an engine has ended whose connection is still open, what it is at.
    fn look_at_engines(&self) {
        for engine in self.engines.borrow().values() {
            engine.look(self);
        }
    }

    fn pulse(&self, Beat { epoch, sent, .. }: Beat) -> Pulse {
        let about = rustix::system::sysinfo();
        let unit = u64::from(about.mem_unit);
        let free = (about.freeram as u64 + about.bufferram as u64) * unit;
        let free = memory::available().unwrap_or(free);
        let engines = self.engines.borrow();
        let memory = engines
            .iter()
            .filter_map(|(id, it)| Some((*id, it.memory()?)));
        Pulse {
            epoch,
            sent,
            now: since_1970(),
            // In units of 1/65536, says `getloadavg`'s system call.
            load: about.loads[0] as f64 / 65536.0,
            used: (about.totalram as u64 * unit).saturating_sub(free),
            engines: memory.collect(),
        }
    }
}
