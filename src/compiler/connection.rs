//! The session's end of the connection to its compiler's process. One thread reads what comes; whoever asks
//! waits on a channel of its own, so that no question waits behind the answer to another.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use super::analysis::{Found, Name};
use super::message::{FromCompiler, Id, Made, StateId, ToCompiler};
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
}

pub struct Connection {
    out: Mutex<Channel>,
    socket: UnixStream,
    standing: Mutex<Standing>,
    /// The process and the folder in which it builds; known from its first message on.
    about: OnceLock<(u32, PathBuf)>,
    /// The state without variables and definitions, when the compiler is warm.
    root: Mutex<Receiver<State>>,
}

impl Connection {
    /// Begins to read what comes through `socket`. `begun`: what the compiler has said of itself already.
    pub fn start(
        socket: UnixStream,
        begun: Option<(u32, PathBuf)>,
        building: Building,
    ) -> std::io::Result<Arc<Self>> {
        let channel_in = Channel::new(socket.try_clone()?);
        let (root_out, root) = channel();
        let about = OnceLock::new();
        if let Some(begun) = begun {
            let _ = about.set(begun);
        }
        let connection = Arc::new(Self {
            out: Mutex::new(channel_in.twin()),
            socket,
            standing: Mutex::new(Standing {
                warmth: Warmth::Warming,
                awaited: HashMap::new(),
                next: 0,
                ended: false,
            }),
            about,
            root: Mutex::new(root),
        });
        let reader = Reader {
            connection: Arc::downgrade(&connection),
            root_out,
            building,
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
        self.about.get().map(|(_, folder)| folder)
    }

    pub fn root(&self) -> &Mutex<Receiver<State>> {
        &self.root
    }

    /// Takes leave: the compiler has served this session.
    pub fn close(&self) {
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
}

impl Reader {
    fn read(self, mut channel: Channel) {
        while let Ok((message, _)) = channel.receive() {
            let Some(connection) = self.connection.upgrade() else {
                return;
            };
            self.take(&connection, message);
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
    }

    fn take(&self, connection: &Arc<Connection>, message: FromCompiler) {
        let awaited = |id: Id| connection.standing().awaited.remove(&id);
        // Whoever has asked may have given up waiting: then nobody takes the answer.
        match message {
            FromCompiler::Hello { pid, folder } => {
                let _ = connection.about.set((pid, folder));
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
                    } = made;
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
