//! The crew: the one owner of who lives and what it has. It has the hub, the local engine, the pools, the variables
//! of each engine, the cells that are in flight, and what was lost with whom. It compiles nothing.

mod beginnings;
mod children;
mod comm;
mod events;
mod flight;
mod follow;
mod jobs;
mod memos;
mod moved;
mod outs;
mod pools;
mod prints;
mod pump;
mod screen;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

pub use beginnings::Beginning;
pub use comm::Comms;
pub use flight::{Ended, Flight, FlightId, Hold, Leg};
pub use follow::{Batch, Flown, Followed, OnInterrupt, Wait, entry_of};
pub use jobs::{End, JOB_VARIABLE, Jobs, MapJob, PxJob, Stage, is_ours};
pub use memos::{MemoRow, Memos};
pub use outs::{Out, Outs, Whereabouts, is_out, variable};
pub use pools::{MOST, Pool, PoolRequest, cores};
pub use pump::{Awaited, Waits, until};
pub use screen::ValueStyle;

use super::Interrupt;
use super::namespace::Namespace;
use crate::children::Supervisor;
use crate::ids::{CellId, EngineId, PoolName};
use crate::pool::{Hub, Init};
use moved::Moved;
use screen::Screen;

pub struct Crew {
    hub: Hub,
    interrupt: Interrupt,
    /// What each engine has.
    namespaces: HashMap<EngineId, Namespace>,
    local: EngineId,
    next_engine: u32,
    pools: Vec<Pool>,
    /// The pool in use.
    current: Option<PoolName>,
    /// Cells under way on engines, the oldest first.
    flights: BTreeMap<FlightId, Flight>,
    next_flight: u64,
    pub jobs: Jobs,
    pub memos: Memos,
    pub children: Supervisor,
    pub comms: Comms,
    /// Engines whose beginning is waited for.
    starting: HashMap<EngineId, Beginning>,
    /// Variables of engines that have died, until they are named.
    graves: HashMap<EngineId, Vec<String>>,
    /// What engines have that have run no more than their pool's `--init`.
    begun_with: HashMap<EngineId, Namespace>,
    /// Those that stand in for others and have not run it yet.
    unready: HashSet<EngineId>,
    /// Engines that have died, and that no other ones stand in for.
    dead: HashSet<EngineId>,
    moved: Moved,
    /// Hosts that have not the folder that engines were to go to last, and that folder: those were told.
    pub homeless: BTreeSet<(Option<String>, PathBuf)>,
    /// Values that cells have shown.
    pub outs: Outs,
    screen: Screen,
    /// The cell under way, or the last one.
    cell: CellId,
    /// Time in which engines ran cells since the one under way began.
    spent: Duration,
}

impl Drop for Crew {
    /// Children have a moment to end by themselves; after that the guard sees to them.
    fn drop(&mut self) {
        self.children.close();
    }
}

impl Crew {
    /// Starts the local engine, and does not wait for it.
    pub fn start(interrupt: Interrupt) -> std::io::Result<Self> {
        let hub = Hub::start()?;
        let mut crew = Self {
            children: Supervisor::new(hub.waker())?,
            hub,
            interrupt,
            namespaces: HashMap::new(),
            local: EngineId(0),
            next_engine: 0,
            pools: Vec::new(),
            current: None,
            flights: BTreeMap::new(),
            next_flight: 0,
            jobs: Jobs::default(),
            memos: Memos::default(),
            comms: Comms::default(),
            starting: HashMap::new(),
            graves: HashMap::new(),
            begun_with: HashMap::new(),
            unready: HashSet::new(),
            dead: HashSet::new(),
            moved: Moved::default(),
            homeless: BTreeSet::new(),
            outs: Outs::default(),
            screen: Screen::default(),
            cell: CellId(0),
            spent: Duration::ZERO,
        };
        crew.launch_local();
        Ok(crew)
    }

    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// The engine in which plain cells run.
    pub fn local(&self) -> EngineId {
        self.local
    }

    /// What an engine has, as far as that is known.
    pub fn namespace(&self, engine: EngineId) -> Option<&Namespace> {
        self.namespaces.get(&engine)
    }

    /// Variables of the local engine with their types.
    pub fn variables(&self) -> Vec<(String, String)> {
        let local = self.namespaces.get(&self.local);
        let variables = local.into_iter().flat_map(Namespace::variables);
        variables
            .filter(|(name, _)| !is_ours(name))
            .map(|(name, kind)| (name.clone(), kind.clone()))
            .collect()
    }

    /// Keeps account of what an engine has now.
    pub fn has_now(&mut self, engine: EngineId, namespace: Namespace) {
        self.namespaces.insert(engine, namespace);
    }

    pub fn is_dead(&self, engine: EngineId) -> bool {
        self.dead.contains(&engine)
    }

    /// What was lost with an engine that has died.
    pub fn lost_there(&self, engine: EngineId) -> &[String] {
        self.graves.get(&engine).map_or(&[], Vec::as_slice)
    }

    /// What an engine has run first, which processes that stand in for it run too.
    pub fn begins_with(&mut self, engine: EngineId, init: Init, after: Namespace) {
        self.hub.init(vec![engine], init);
        self.begun_with.insert(engine, after);
    }

    pub fn value_style(&mut self) -> &mut ValueStyle {
        &mut self.screen.style
    }

    /// Another cell is the one under way.
    pub fn acts_for(&mut self, cell: CellId) {
        self.cell = cell;
    }

    /// A cell begins.
    pub fn begin_cell(&mut self, cell: CellId) {
        self.cell = cell;
        self.spent = Duration::ZERO;
    }

    /// Time in which engines ran cells since the one under way began.
    pub fn spent(&self) -> Duration {
        self.spent
    }

    /// Another local engine in the place of this one; all that it had is forgotten.
    pub fn restart_local(&mut self) {
        self.hub.stop(vec![self.local]);
        self.namespaces.clear();
        self.moved.clear();
        self.launch_local();
    }
}
