//! The crew: the one owner of who lives and what it has. It has the hub, the local engine, the pools, the variables
//! of each engine, the cells that are in flight, and what was lost with whom. It compiles nothing.

mod screen;

use std::collections::{BTreeMap, HashMap, HashSet};

pub use screen::{Screen, ValueStyle};

use super::flight::{Flight, FlightId};
use super::jobs::Jobs;
use super::moved::Moved;
use super::namespace::Namespace;
use super::outs::Outs;
use super::pump::Beginning;
use super::{Interrupt, Pool};
use crate::ids::{EngineId, PoolName};
use crate::pool::Hub;

pub struct Crew {
    pub(super) hub: Hub,
    pub(super) interrupt: Interrupt,
    pub(super) namespaces: HashMap<EngineId, Namespace>,
    pub(super) local: EngineId,
    pub(super) next_engine: u32,
    pub(super) pools: Vec<Pool>,
    pub(super) current: Option<PoolName>,
    /// Cells under way on engines, the oldest first.
    pub(super) flights: BTreeMap<FlightId, Flight>,
    pub(super) next_flight: u64,
    pub(super) jobs: Jobs,
    /// Engines whose beginning is waited for.
    pub(super) starting: HashMap<EngineId, Beginning>,
    /// Engines die because the session kills them.
    pub(super) interrupting: bool,
    /// Variables of engines that have died, until they are named.
    pub(super) graves: HashMap<EngineId, Vec<String>>,
    /// What engines have that have run no more than their pool's `--init`.
    pub(super) begun_with: HashMap<EngineId, Namespace>,
    /// Those that stand in for others and have not run it yet.
    pub(super) unready: HashSet<EngineId>,
    /// Engines that have died, and that no other ones stand in for.
    pub(super) dead: HashSet<EngineId>,
    pub(super) moved: Moved,
    /// Values that cells have shown.
    pub(super) outs: Outs,
    pub(super) screen: Screen,
}

impl Crew {
    pub fn start(interrupt: Interrupt) -> std::io::Result<Self> {
        Ok(Self {
            hub: Hub::start()?,
            interrupt,
            namespaces: HashMap::new(),
            local: EngineId(0),
            next_engine: 0,
            pools: Vec::new(),
            current: None,
            flights: BTreeMap::new(),
            next_flight: 0,
            jobs: Jobs::default(),
            starting: HashMap::new(),
            interrupting: false,
            graves: HashMap::new(),
            begun_with: HashMap::new(),
            unready: HashSet::new(),
            dead: HashSet::new(),
            moved: Moved::default(),
            outs: Outs::default(),
            screen: Screen::default(),
        })
    }
}
