//! Pools: the engines, the maps that run on them, and the thread that serves both.
//!
//! One thread, the hub, owns every engine. The session tells it what to do with [`Hub`]'s methods
//! and reads [`PoolEvent`]s; neither side waits for the other's reading.
//!
//! # Where a new kind of pool plugs in
//!
//! | seam | says | so far |
//! |---|---|---|
//! | `link::Link` | one engine as the hub sees it | a process on this host; one that `mpiexec` started; one of a node (`cluster`); a recorder for tests |
//! | `link::Launcher` | where engines come from | fork and exec; `mpiexec`, all of a pool at once; the nodes of a cluster |
//! | `dispatch::Dispatch` | who gets which chunk, and how large the next one is; pure | chunks pushed by the hub; chunks that nodes take from a queue (`cluster::queue`) |
//! | `ledger::Ledger` | what has become of each input; pure, and only one | |
//! | `wire::Runs` | what a chunk runs | a function of an artifact |
//! | `connections::Connection` | a service that user code reaches from any engine | maps |

mod artifacts;
mod assignment;
mod callers;
mod captures;
pub mod cluster;
mod commands;
mod connections;
mod deaths;
mod dispatch;
mod ears;
mod endings;
mod engine;
mod event;
mod frames;
mod hands;
mod hub;
mod jobs;
mod ledger;
mod link;
mod map;
mod mpi;
mod numbers;
mod pace;
mod prints;
mod process;
mod queued;
mod schedule;
mod together;
mod turns;
mod wires;
mod worlds;

use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::eventfd::{EfdFlags, EventFd};
pub use nix::sys::signal::Signal;

use crate::ids::{ArtifactId, CellId, EngineId, JobId, PoolName, Rank};
use crate::outcome::{CommTable, DeathCause, JobState, MpiFault, PoolKind, Timeline};
pub use crate::wire::Payload;
use crate::wire::PoolSpec;
use crate::wire::places::Places;
use cluster::Cluster;
use ears::Ears;
use endings::COUNTDOWN;
use event::Bell;
pub use event::{
    Happening, ItemEnd, MapFailure, MapFault, MapRefusal, PoolEvent, Printed, QueueFault,
};
pub use map::Written;
pub use worlds::Ends;

/// Which engine to start.
#[derive(Clone, Debug)]
pub struct Launch {
    pub id: EngineId,
    pub rank: Rank,
    pub size: u32,
    /// `None`: the local engine.
    pub pool: Option<PoolName>,
    /// What every process that stands in for it runs first.
    pub init: Option<Init>,
    /// The session has this process run that when it is up: before that it is given nothing of a queue.
    pub begins: bool,
    /// Items of maps after which another process stands in for it.
    pub items: Option<NonZeroU64>,
    pub starter: Starter,
}

impl Launch {
    /// One that a node starts for its session.
    fn on_node(id: EngineId, rank: Rank, size: u32, pool: Option<PoolName>) -> Self {
        Self {
            id,
            rank,
            size,
            pool,
            init: None,
            begins: false,
            items: None,
            starter: Starter::Session,
        }
    }
}

/// What starts the engines of a pool.
#[derive(Clone, Debug, Default)]
pub enum Starter {
    /// Each is a process that the session starts.
    #[default]
    Session,
    /// They begin and end together.
    Mpi(Arc<MpiStart>),
    /// The nodes of a cluster.
    Cluster(Arc<Cluster>),
}

impl Starter {
    pub fn mpi(&self) -> Option<&Arc<MpiStart>> {
        match self {
            Self::Mpi(start) => Some(start),
            _ => None,
        }
    }

    pub fn cluster(&self) -> Option<&Arc<Cluster>> {
        match self {
            Self::Cluster(cluster) => Some(cluster),
            _ => None,
        }
    }
}

/// How the engines of an MPI pool are started.
#[derive(Clone, Debug)]
pub struct MpiStart {
    /// What stands before the engine's own command; `{n}` is the number of engines.
    pub command: Vec<String>,
    /// Which MPI the command is of, as it says itself: `Open MPI 4.1.4`.
    pub launcher: String,
    /// A shared object, through which engines reach MPI.
    pub shim: Arc<OwnedFd>,
}

impl MpiStart {
    /// Why a library that counts `size` processes instead of `wanted` cannot be used.
    fn other_library(&self, size: u32, wanted: usize, library: &str) -> String {
        let program = self.command.first().map_or("mpiexec", String::as_str);
        let fault = MpiFault::OtherLibrary {
            program: program.to_owned(),
            launcher: self.launcher.clone(),
            wanted,
            size,
            library: library.to_owned(),
        };
        fault.to_string()
    }
}

/// A function of an artifact that engines run.
#[derive(Clone, Debug)]
pub struct EntryPoint {
    pub artifact: ArtifactId,
    /// Where the hub finds it for engines that lack it.
    pub file: PathBuf,
    /// The function's symbol.
    pub symbol: String,
    /// Where the artifact's lines stand in the cells of the user's.
    pub places: Places,
}

/// A cell that an engine begins with.
#[derive(Clone, Debug)]
pub struct Init {
    pub entry: EntryPoint,
    pub cell: CellId,
}

/// A cell for some engines.
#[derive(Clone, Debug)]
pub struct Run {
    pub engines: Vec<EngineId>,
    pub entry: EntryPoint,
    /// Which cell it belongs to, for listings.
    pub cell: CellId,
    /// What `pool::map` in the cell may map over; the pool in use comes first.
    pub pools: Vec<PoolUse>,
    /// Per engine the values that the cell takes from the session.
    pub data: Vec<Vec<Payload>>,
    /// Runs of one flight belong together: their engines may speak with each other.
    pub flight: u64,
    /// All engines of the flight.
    pub together: Vec<EngineId>,
    /// The threads of this pool that the cell is for; `None`: whichever it asks.
    pub threads: Option<(PoolName, Vec<Rank>)>,
}

#[derive(Clone, Debug)]
pub enum PoolUse {
    Threads {
        name: PoolName,
        size: u32,
    },
    Processes {
        name: PoolName,
        engines: Vec<EngineId>,
    },
}

impl PoolUse {
    /// `is_far`: of an engine.
    fn spec(&self, is_far: impl Fn(EngineId) -> bool) -> PoolSpec {
        match self {
            Self::Threads { name, size } => PoolSpec {
                name: name.clone(),
                size: *size,
                threads: true,
                far: false,
            },
            Self::Processes { name, engines } => PoolSpec {
                name: name.clone(),
                size: engines.len() as u32,
                threads: false,
                far: engines.iter().any(|engine| is_far(*engine)),
            },
        }
    }
}

/// What `%pool list` shows of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineStatus {
    pub id: EngineId,
    pub pid: u32,
    pub state: EngineState,
    /// Cells and chunks done.
    pub tasks: u64,
    /// Time in user code.
    pub busy: Duration,
    /// Resident memory in bytes; `None` when it is dead.
    pub memory: Option<u64>,
}

/// What an engine is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    Cell(CellId),
    Map(JobId),
}

/// How much of a map is in a cluster's queue: that goes on without the session where the cluster does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InQueue {
    /// It goes through none.
    Nothing,
    /// The inputs that were drawn so far.
    Part,
    All,
}

/// A map as `%jobs` lists it.
#[derive(Clone, Debug)]
pub struct JobRecord {
    pub job: JobId,
    pub what: String,
    pub state: JobState,
    pub background: bool,
    pub done: u64,
    pub total: Option<u64>,
    pub elapsed: Duration,
    pub pool: PoolName,
    pub kind: PoolKind,
    /// Of its results, encoded.
    pub bytes: u64,
    /// The type of a result; the result of its one item is the whole result.
    pub output: String,
    pub single: bool,
    /// User code can still reach its results.
    pub held: bool,
    /// Items that failed in a map that collects errors.
    pub failed: u64,
    /// Why it failed.
    pub why: Option<String>,
    /// Inputs that were drawn.
    pub pulled: u64,
    /// It goes on without the session.
    pub is_detached: bool,
    pub queued: InQueue,
    /// The cell whose `%px` on threads it is.
    pub px: Option<CellId>,
    /// The engines that it was for; all when empty.
    pub ranks: Vec<Rank>,
}

/// How a map is ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndEarly {
    /// No new chunks; items that run come to their end, or their engines to theirs when the time is up.
    Cancel,
    /// Engines that are busy are killed and replaced.
    Kill,
    /// It is over now.
    Abandon,
}

/// Which maps a command is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhichMaps {
    /// Those that a cell waits for.
    Foreground,
    Job(JobId),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineState {
    Starting,
    Idle,
    Busy(Work),
    Dead(DeathCause),
}

enum Command {
    Launch(Launch),
    /// The engines of an MPI pool, by rank.
    LaunchTogether(Vec<Launch>),
    Run(Run),
    /// Ends engines without a `Died` event.
    Stop(Vec<EngineId>),
    Signal(Vec<EngineId>, Signal),
    /// Answers which ones there were.
    Maps(EndEarly, WhichMaps, Sender<Vec<JobId>>),
    Jobs(Sender<Vec<JobRecord>>),
    Timeline(JobId, Sender<Option<Timeline>>),
    /// A finished job is not listed any more.
    Forget(JobId),
    /// The number of a job that is not a map.
    Number(Sender<JobId>),
    /// Numbers are above this one from now on.
    NumbersBehind(JobId),
    Written(Written),
    /// A queued map goes on without the session; answers whether it can.
    Detach(JobId, Sender<bool>),
    /// It does not after all; answers whether that is not too late.
    Stays(JobId, Sender<bool>),
    Resized(Vec<EngineId>, u32),
    /// Engines that are up take part in their pool's maps under way.
    Joined(PoolName, Vec<(EngineId, Rank)>),
    /// Engines take no more chunks.
    Leave(Vec<EngineId>),
    /// They stay.
    Stay(Vec<EngineId>),
    /// Answers whether all of them have ended what they had.
    Free(Vec<EngineId>, Sender<bool>),
    /// The engines of a pool, by the ranks that they have now.
    Renumbered(Vec<EngineId>),
    Environment(String, Option<String>),
    /// Where a library lies that artifacts call.
    Library(ArtifactId, Arc<OwnedFd>),
    Folder(PathBuf),
    /// Engines drop what functions have kept, or all of them.
    ClearMemo(Option<Vec<String>>),
    /// An engine is asked what is kept on disk.
    AskMemo(EngineId),
    Init(Vec<EngineId>, Init),
    /// Variables that are gone, or have another value.
    LetGo(Vec<String>),
    /// What the ranks of a pool have sent each other.
    Comm(PoolName, Sender<Option<CommTable>>),
    /// Have the ranks of a pool that these engines are say what they have not received, and drop it.
    AskMessages(Vec<EngineId>, Option<PoolName>, bool),
    /// Ranks that wait for others end their calls; answers which ones they are.
    EndWaits(Vec<EngineId>, Sender<Vec<(EngineId, Ends)>>),
    Status(Sender<Vec<EngineStatus>>),
    Quit,
}

/// The session's end of the hub thread.
pub struct Hub {
    commands: Sender<Command>,
    wake: Arc<EventFd>,
    events: Receiver<Happening>,
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
}

impl Hub {
    /// Starts the thread. Engines have this process's environment.
    pub fn start() -> std::io::Result<Self> {
        let wake = Arc::new(EventFd::from_flags(
            EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC,
        )?);
        let (commands, incoming) = channel();
        let (out, events) = channel();
        let bell = Arc::new(Bell::new(out.clone()));
        let thread = std::thread::Builder::new().name("hub".to_owned()).spawn({
            let wake = wake.clone();
            let ears = Ears::new(wake.clone());
            let launcher = Box::new(process::Forks::new(ears.clone()));
            let state = hub::State::new(launcher, out);
            move || hub::serve(state, &incoming, &wake, &ears)
        })?;
        Ok(Self {
            commands,
            wake,
            events,
            bell,
            thread: Some(thread),
        })
    }

    pub fn launch(&self, launch: Launch) {
        self.tell(Command::Launch(launch));
    }

    /// Starts the engines of an MPI pool, by rank.
    pub fn launch_together(&self, launches: Vec<Launch>) {
        self.tell(Command::LaunchTogether(launches));
    }

    pub fn run(&self, run: Run) {
        self.tell(Command::Run(run));
    }

    /// Ends engines, whatever they do.
    pub fn stop(&self, engines: Vec<EngineId>) {
        self.tell(Command::Stop(engines));
    }

    /// Waits until what was asked for before is done: engines that were stopped have closed their files.
    pub fn settle(&self) {
        let _ = self.status();
    }

    pub fn signal(&self, engines: Vec<EngineId>, signal: Signal) {
        self.tell(Command::Signal(engines, signal));
    }

    /// Ends maps early, and tells which ones. The cell that waits goes on with an error.
    pub fn end_maps(&self, which: WhichMaps, how: EndEarly) -> Vec<JobId> {
        let (answer, incoming) = channel();
        self.tell(Command::Maps(how, which, answer));
        incoming.recv().unwrap_or_default()
    }

    /// All maps that run or are remembered, the oldest first.
    pub fn jobs(&self) -> Vec<JobRecord> {
        let (answer, incoming) = channel();
        self.tell(Command::Jobs(answer));
        incoming.recv().unwrap_or_default()
    }

    /// Which engine worked on what when.
    pub fn timeline(&self, job: JobId) -> Option<Timeline> {
        let (answer, incoming) = channel();
        self.tell(Command::Timeline(job, answer));
        incoming.recv().ok().flatten()
    }

    /// A number for a job that is not a map.
    pub fn number(&self) -> JobId {
        let (answer, incoming) = channel();
        self.tell(Command::Number(answer));
        incoming.recv().unwrap_or(JobId(0))
    }

    /// Later jobs have numbers above this one.
    pub fn numbers_behind(&self, job: JobId) {
        self.tell(Command::NumbersBehind(job));
    }

    /// What later sessions may ask of the maps that begin from now on.
    pub fn has_written(&self, written: Written) {
        self.tell(Command::Written(written));
    }

    /// Has a queued map in the background go on without the session, once all its inputs are queued; whether it can.
    pub fn detach(&self, job: JobId) -> bool {
        let (answer, incoming) = channel();
        self.tell(Command::Detach(job, answer));
        incoming.recv().unwrap_or(false)
    }

    /// A map that is about to go on without the session is not to; whether that is not too late.
    pub fn stays(&self, job: JobId) -> bool {
        let (answer, incoming) = channel();
        self.tell(Command::Stays(job, answer));
        incoming.recv().unwrap_or(false)
    }

    pub fn forget_job(&self, job: JobId) {
        self.tell(Command::Forget(job));
    }

    /// Tells engines their pool's new size.
    pub fn resized(&self, engines: Vec<EngineId>, size: u32) {
        self.tell(Command::Resized(engines, size));
    }

    /// Has engines that are up take part in their pool's maps under way.
    pub fn joined(&self, pool: &PoolName, engines: Vec<(EngineId, Rank)>) {
        self.tell(Command::Joined(pool.clone(), engines));
    }

    /// Gives engines no more chunks of maps.
    pub fn leave(&self, engines: Vec<EngineId>) {
        self.tell(Command::Leave(engines));
    }

    /// Engines that were to leave take part in the maps that begin from now on.
    pub fn stay(&self, engines: Vec<EngineId>) {
        self.tell(Command::Stay(engines));
    }

    /// Whether engines have ended all that they had.
    pub fn are_free(&self, engines: Vec<EngineId>) -> bool {
        let (answer, incoming) = channel();
        self.tell(Command::Free(engines, answer));
        incoming.recv().unwrap_or(true)
    }

    /// Tells the engines of a pool the ranks that they have now: each its place here.
    pub fn renumbered(&self, engines: Vec<EngineId>) {
        self.tell(Command::Renumbered(engines));
    }

    /// Changes a variable of all engines' environment, also of those to come.
    pub fn set_environment(&self, name: &str, value: Option<&str>) {
        let value = value.map(str::to_owned);
        self.tell(Command::Environment(name.to_owned(), value));
    }

    /// Says where a library lies, for engines that come to call it.
    pub fn library(&self, library: ArtifactId, file: Arc<OwnedFd>) {
        self.tell(Command::Library(library, file));
    }

    /// Changes the working folder of the engines that there are; later ones begin in this process's.
    pub fn change_folder(&self, path: PathBuf) {
        self.tell(Command::Folder(path));
    }

    /// Lets every engine drop the results that functions of these names have kept, or that all of them have.
    pub fn clear_memo(&self, functions: Option<Vec<String>>) {
        self.tell(Command::ClearMemo(functions));
    }

    /// Asks an engine what is kept on disk; [`PoolEvent::MemoShelf`] comes of it.
    pub fn ask_memo(&self, engine: EngineId) {
        self.tell(Command::AskMemo(engine));
    }

    /// Says what processes that stand in for these engines run first.
    pub fn init(&self, engines: Vec<EngineId>, init: Init) {
        self.tell(Command::Init(engines, init));
    }

    /// Captured values of these variables are not wanted any more.
    pub fn let_go_of(&self, variables: Vec<String>) {
        if !variables.is_empty() {
            self.tell(Command::LetGo(variables));
        }
    }

    /// What the ranks of a pool have sent each other since its world began; `None` when they have not.
    pub fn comm_table(&self, pool: &PoolName) -> Option<CommTable> {
        let (answer, incoming) = channel();
        self.tell(Command::Comm(pool.clone(), answer));
        incoming.recv().ok().flatten()
    }

    /// Asks engines which messages they have not received, and to drop them when `clear` is set; `pool`: a thread
    /// pool of the local engine. A [`PoolEvent::Comm`] of each rank comes of it.
    pub fn ask_messages(&self, engines: Vec<EngineId>, pool: Option<PoolName>, clear: bool) {
        self.tell(Command::AskMessages(engines, pool, clear));
    }

    /// Has those of these engines that wait for messages of others or speak with them end their calls, and tells which
    /// ones they are.
    pub fn end_waits(&self, engines: &[EngineId]) -> Vec<(EngineId, Ends)> {
        let (answer, incoming) = channel();
        self.tell(Command::EndWaits(engines.to_vec(), answer));
        incoming.recv().unwrap_or_default()
    }

    /// All engines that were not stopped, also dead ones.
    pub fn status(&self) -> Vec<EngineStatus> {
        let (answer, incoming) = channel();
        self.tell(Command::Status(answer));
        incoming.recv().unwrap_or_default()
    }

    /// Ends a wait for the next event.
    pub fn waker(&self) -> Waker {
        self.bell.clone().into()
    }

    /// The next event, when there is one within `patience`, and before somebody ends the wait.
    pub fn event(&self, patience: Duration) -> Result<Option<Happening>, HubGone> {
        loop {
            match self.events.recv_timeout(patience) {
                Ok(Happening {
                    event: PoolEvent::Woken,
                    ..
                }) => {
                    self.bell.heard();
                    if !patience.is_zero() {
                        return Ok(None);
                    }
                }
                Ok(event) => return Ok(Some(event)),
                Err(_) if self.thread.as_ref().is_none_or(JoinHandle::is_finished) => {
                    return Err(HubGone);
                }
                Err(_) => return Ok(None),
            }
        }
    }

    fn tell(&self, command: Command) {
        // A hub that is gone is reported by `event`.
        let _ = self.commands.send(command);
        let _ = self.wake.write(1);
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the thread that serves the engines has ended; start regatta again")]
pub struct HubGone;

impl Drop for Hub {
    fn drop(&mut self) {
        self.tell(Command::Quit);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
