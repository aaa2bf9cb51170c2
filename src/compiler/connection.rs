//! The session's end of the connection to its compiler's process. One thread reads what comes; whoever asks
//! waits on a channel of its own, so that no question waits behind the answer to another.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::Waker;

use super::analysis::{Found, Name};
use super::message::{FromCompiler, Id, Made, StateId, ToCompiler};
use super::warm::Taken;
use super::{Building, CompileError, Compiled, State, StateHandle, Warmth};
use crate::wire::{Channel, Payload};

type Answer = Result<Compiled, CompileError>;

/// Who waits for an answer.
pub enum Awaited {
    Compiled(Sender<Answer>),
    Names(Sender<Vec<Name>>),
    Docs(Sender<Result<Found, String>>),
}

/// What changes while the connection is there.
struct Standing {
    warmth: Warmth,
    awaited: HashMap<Id, Awaited>,
    next: Id,
    ended: bool,
    /// The crates that its namespaces have: lines of a manifest.
    crates: Vec<String>,
    /// Holds back the cleaner of its folder.
    held: Option<OwnedFd>,
}

pub struct Connection {
    out: Mutex<Channel>,
    socket: UnixStream,
    standing: Mutex<Standing>,
    /// The folder in which it builds; known from its first message on.
    about: OnceLock<PathBuf>,
    /// The state without variables and definitions, when the compiler is warm.
    root: Mutex<Receiver<State>>,
}

impl Connection {
    /// Begins to read what comes through the channel, which is on `socket`. `begun`: what the compiler has said of itself
    /// already. `waker`: of whoever waits for what comes.
    pub fn start(
        channel_in: Channel,
        socket: UnixStream,
        begun: Option<Taken>,
        building: Building,
        waker: Waker,
    ) -> std::io::Result<Arc<Self>> {
        let (root_out, root) = channel();
        let about = OnceLock::new();
        if let Some(begun) = &begun {
            let _ = about.set(begun.folder.clone());
        }
        let connection = Arc::new(Self {
            out: Mutex::new(channel_in.twin()),
            socket,
            standing: Mutex::new(Standing {
                warmth: Warmth::Warming,
                awaited: HashMap::new(),
                next: 0,
                ended: false,
                crates: Vec::new(),
                held: begun.and_then(|begun| begun.held),
            }),
            about,
            root: Mutex::new(root),
        });
        let reader = Reader {
            connection: Arc::downgrade(&connection),
            root_out,
            building,
            waker,
        };
        std::thread::Builder::new()
            .name("compiler".to_owned())
            .spawn(move || reader.read(channel_in))?;
        Ok(connection)
    }

    /// Sends what has no answer.
    pub fn tell(&self, message: &ToCompiler) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        if out.queue(message, &Payload::None).is_ok() {
            // The end of the connection is noticed where it is read.
            let _ = out.flush();
        }
    }

    /// Asks what has an answer. When there will be none, the other end of `awaited` closes.
    pub fn ask(&self, awaited: Awaited, question: impl FnOnce(Id) -> ToCompiler) {
        let mut standing = self.standing();
        if standing.ended {
            return;
        }
        let id = standing.next;
        standing.next += 1;
        standing.awaited.insert(id, awaited);
        drop(standing);
        self.tell(&question(id));
    }

    pub fn warmth(&self) -> Warmth {
        self.standing().warmth.clone()
    }

    pub fn folder(&self) -> Option<&PathBuf> {
        self.about.get()
    }

    pub fn root(&self) -> &Mutex<Receiver<State>> {
        &self.root
    }

    /// Whether the other side is gone.
    pub fn ended(&self) -> bool {
        self.standing().ended
    }

    /// What a compiler that has died leaves to the next one: its folder and what holds back the folder's cleaner, and
    /// the crates that its namespaces had. Nothing from one that never was warm.
    pub fn estate(&self) -> Option<(PathBuf, OwnedFd, Vec<String>)> {
        let mut standing = self.standing();
        let folder = self.about.get()?.clone();
        if standing.warmth != Warmth::Ready {
            return None;
        }
        let crates = std::mem::take(&mut standing.crates);
        Some((folder, standing.held.take()?, crates))
    }

    /// Takes leave: the compiler has served this session.
    pub fn close(&self) {
        // The cleaner need not wait for this process.
        drop(self.standing().held.take());
        // One that is gone is left already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(
        self: &Arc<Self>,
        id: StateId,
        variables: std::collections::BTreeMap<String, String>,
    ) -> State {
        State(Arc::new(StateHandle {
            id,
            variables,
            home: Arc::downgrade(self),
        }))
    }
}

impl Drop for StateHandle {
    fn drop(&mut self) {
        // A compiler that is gone has freed everything.
        if let Some(home) = self.home.upgrade() {
            home.tell(&ToCompiler::Free(self.id));
        }
    }
}

struct Reader {
    connection: Weak<Connection>,
    root_out: Sender<State>,
    building: Building,
    waker: Waker,
}

impl Reader {
    fn read(self, mut channel: Channel) {
        while let Ok((message, payload)) = channel.receive() {
            let Some(connection) = self.connection.upgrade() else {
                return;
            };
            self.take(&connection, message, payload);
            self.waker.wake_by_ref();
        }
        let Some(connection) = self.connection.upgrade() else {
            return;
        };
        let mut standing = connection.standing();
        standing.ended = true;
        if standing.warmth == Warmth::Warming {
            standing.warmth = Warmth::Failed("its process has ended".to_owned());
        }
        // Whoever waits sees the channel close.
        let awaited = std::mem::take(&mut standing.awaited);
        drop(standing);
        drop(awaited);
        self.waker.wake();
    }

    fn take(&self, connection: &Arc<Connection>, message: FromCompiler, payload: Payload) {
        let awaited = |id: Id| connection.standing().awaited.remove(&id);
        // Whoever has asked may have given up waiting: then nobody takes the answer.
        match message {
            FromCompiler::Hello { folder, .. } => {
                connection.standing().held = payload.into_file();
                let _ = connection.about.set(folder);
            }
            FromCompiler::Ready(root) => {
                let _ = self
                    .root_out
                    .send(connection.state(root, Default::default()));
                connection.standing().warmth = Warmth::Ready;
            }
            FromCompiler::Failed(why) => connection.standing().warmth = Warmth::Failed(why),
            FromCompiler::Compiled { id, answer } => {
                let compiled = answer.map(|made| {
                    let Made {
                        artifact,
                        after,
                        variables,
                        crates,
                    } = made;
                    connection.standing().crates = crates;
                    Compiled {
                        artifact: Arc::new(artifact),
                        after: connection.state(after, variables),
                    }
                });
                if let Some(Awaited::Compiled(waiting)) = awaited(id) {
                    let _ = waiting.send(compiled);
                }
            }
            FromCompiler::Names { id, names } => {
                if let Some(Awaited::Names(waiting)) = awaited(id) {
                    let _ = waiting.send(names);
                }
            }
            FromCompiler::Docs { id, found } => {
                if let Some(Awaited::Docs(waiting)) = awaited(id) {
                    let _ = waiting.send(found);
                }
            }
            FromCompiler::Nothing { id } => drop(awaited(id)),
            FromCompiler::Building(name) => self.building.add(name),
            FromCompiler::Stderr(bytes) => {
                // A terminal that is gone takes nothing; there is nobody to tell.
                let _ = std::io::stderr().write_all(&bytes);
            }
        }
    }
}
