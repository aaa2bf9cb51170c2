//! The session: the one owner of compiler, engines, pools, namespaces and history. It compiles cells, runs
//! them and keeps account of which variables live where. It renders nothing: events go to a [`Sink`].

mod beginnings;
mod blocks;
mod cache;
mod code;
mod compare;
mod compile;
mod crates;
mod data;
mod evaluate;
mod events;
mod explain;
mod flight;
mod follow;
mod full_disk;
mod inspect;
mod interrupt;
mod jobs;
mod map;
mod marks;
mod moved;
mod names;
mod namespace;
mod outs;
mod past;
mod places;
mod pools;
mod prints;
mod pump;
mod px;
mod px_jobs;
mod px_out;
mod px_plan;
mod px_result;
mod px_threads;
mod results;
mod retold;
mod shell;
mod surroundings;
mod types;
mod written;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

pub use code::{Code, Failed};
pub use data::{DataRequest, DataVerb};
pub use follow::OnInterrupt;
pub use interrupt::Interrupt;
pub use jobs::JobStatus;
pub use map::{MapOptions, MapRequest};
pub use outs::{Out, Whereabouts};
pub use pools::{Pool, PoolRequest};
pub use px::PxOptions;
pub use px_result::PxWanted;
pub use shell::ShellRequest;

use crate::compiler::toolchain::Toolchain;
use crate::compiler::{Compiler, Setting, State, Warmth};
use crate::ids::{CellId, EngineId, JobId, PoolName, Rank};
use crate::outcome::{Event, LINES, MapReport, Sink, Stream, Value};
use crate::pool::{Hub, Payload};
use crate::wire::PanicInfo;
use cache::Cache;
use namespace::{Definitions, Namespace};
use prints::{Prints, Told};

/// How often flags are looked at while something is awaited.
const TICK: Duration = Duration::from_millis(20);

/// How long a Ctrl-C leaves to what it interrupts before that is killed.
const GRACE: Duration = Duration::from_millis(300);

/// A cell that was entered.
#[derive(Clone, Debug)]
pub struct Record {
    pub cell: CellId,
    pub code: String,
}

pub struct Session {
    compiler: Compiler,
    hub: Hub,
    toolchain: Toolchain,
    interrupt: Interrupt,
    /// `None` until the compiler is warm.
    root: Option<Namespace>,
    namespaces: HashMap<EngineId, Namespace>,
    /// States of a compiler that has died, and what they are in the one that there is now.
    retellings: Vec<(State, State)>,
    definitions: Definitions,
    /// The crates of `%dep`, and what stands behind their names.
    crates: BTreeMap<String, String>,
    moved: moved::Moved,
    cache: Cache,
    /// Changes with crates and settings.
    settings_version: u64,
    /// Changes when the user has edited a crate.
    sources: u64,
    settings: Vec<Setting>,
    local: EngineId,
    next_engine: u32,
    pools: Vec<Pool>,
    current: Option<PoolName>,
    history: Vec<Record>,
    /// The earlier cell for which something is done now.
    acting: Option<CellId>,
    timing: CellTiming,
    begun: Instant,
    /// A finished map's table that waits for its first results.
    map_report: Option<MapReport>,
    /// The artifact of the last local cell.
    /// How the threads of the last `%px` on a thread pool ended, and their values.
    broadcast: Vec<(Duration, Option<PanicInfo>)>,
    thread_values: Vec<(Rank, Value)>,
    /// Cells under way on engines, the oldest first.
    flights: BTreeMap<flight::FlightId, flight::Flight>,
    next_flight: u64,
    /// Engines whose beginning is waited for.
    starting: HashMap<EngineId, pump::Beginning>,
    /// Engines die because the session kills them.
    interrupting: bool,
    /// Variables of engines that have died, until they are named.
    graves: HashMap<EngineId, Vec<String>>,
    /// What engines have that have run no more than their pool's `--init`.
    begun_with: HashMap<EngineId, Namespace>,
    /// Those that stand in for others and have not run it yet.
    unready: HashSet<EngineId>,
    /// Engines that have died, and that no other ones stand in for.
    dead: HashSet<EngineId>,
    /// What engines without a cell print, such as the functions of a map.
    stray_prints: HashMap<(EngineId, Stream), Prints>,
    px_jobs: Vec<px_jobs::PxJob>,
    /// Jobs whose end was waited for: it need not be told besides.
    awaited: HashSet<JobId>,
    /// Maps in the background that magics began.
    map_jobs: Vec<jobs::MapJob>,
    /// Values that the last local cell has sent.
    sent: Vec<Payload>,
    /// Reports of maps without a table, while they are wanted.
    quiet_reports: Option<Vec<MapReport>>,
    /// The last line that each engine has printed in a map.
    last_lines: HashMap<(PoolName, Rank), String>,
    /// Values that cells have shown.
    outs: outs::Outs,
    /// How many lines of a value are shown.
    pub lines: usize,
    /// Whether their types are shown.
    pub types: bool,
    px_defaults: PxOptions,
    /// Defaults of single pools.
    pool_px: BTreeMap<PoolName, PxOptions>,
    pub autopx: Option<PxOptions>,
    last_px: Option<px::LastPx>,
    surroundings: surroundings::Surroundings,
    past: Option<past::Past>,
    /// What the next prompts begin with.
    pub next_inputs: VecDeque<String>,
    /// Cells under way: one may run others.
    pub depth: usize,
    /// The cells under way are those of the startup notebook.
    pub starting_up: bool,
    /// `%quit` was said.
    pub quitting: bool,
}

/// What the cell under way has needed so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct CellTiming {
    pub compile: Duration,
    pub run: Duration,
}

impl Session {
    /// Starts the compiler's warm-up and the local engine, and waits for neither. With `outlives` the compiler may
    /// have served other sessions, and may serve others later.
    pub fn start(
        toolchain: Toolchain,
        interrupt: Interrupt,
        outlives: bool,
    ) -> std::io::Result<Self> {
        let compiler = Compiler::start(&toolchain, outlives);
        let hub = Hub::start()?;
        let mut session = Self {
            compiler,
            hub,
            toolchain,
            interrupt,
            root: None,
            namespaces: HashMap::new(),
            retellings: Vec::new(),
            definitions: Definitions::default(),
            crates: BTreeMap::new(),
            moved: moved::Moved::default(),
            cache: Cache::default(),
            settings_version: 0,
            sources: 0,
            settings: Vec::new(),
            local: EngineId(0),
            next_engine: 0,
            pools: Vec::new(),
            current: None,
            history: Vec::new(),
            acting: None,
            timing: CellTiming::default(),
            begun: Instant::now(),
            map_report: None,
            broadcast: Vec::new(),
            thread_values: Vec::new(),
            flights: BTreeMap::new(),
            next_flight: 0,
            starting: HashMap::new(),
            interrupting: false,
            graves: HashMap::new(),
            begun_with: HashMap::new(),
            unready: HashSet::new(),
            dead: HashSet::new(),
            stray_prints: HashMap::new(),
            px_jobs: Vec::new(),
            awaited: HashSet::new(),
            map_jobs: Vec::new(),
            sent: Vec::new(),
            quiet_reports: None,
            last_lines: HashMap::new(),
            outs: outs::Outs::default(),
            lines: LINES,
            types: false,
            px_defaults: PxOptions::default(),
            pool_px: BTreeMap::new(),
            autopx: None,
            last_px: None,
            surroundings: surroundings::Surroundings::default(),
            past: None,
            next_inputs: VecDeque::new(),
            depth: 0,
            starting_up: false,
            quitting: false,
        };
        session.launch_local();
        Ok(session)
    }

    pub fn toolchain(&self) -> &Toolchain {
        &self.toolchain
    }

    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    pub fn warmth(&self) -> Warmth {
        self.compiler.warmth()
    }

    /// How often something was compiled.
    pub fn builds(&self) -> u64 {
        self.compiler.builds()
    }

    pub fn history(&self) -> &[Record] {
        &self.history
    }

    /// The number of the cell under way, or of the last one.
    pub fn cell(&self) -> CellId {
        self.record().map_or(CellId(0), |record| record.cell)
    }

    /// The cell under way.
    fn record(&self) -> Option<&Record> {
        let acting = |record: &&Record| Some(record.cell) == self.acting;
        let found = self.acting.and_then(|_| self.history.iter().rfind(acting));
        found.or_else(|| self.history.last())
    }

    /// The number that the next cell gets.
    pub fn next_cell(&self) -> CellId {
        if self.starting_up {
            return CellId::STARTUP;
        }
        CellId(self.history.last().map_or(0, |record| record.cell.0) + 1)
    }

    /// Tells what the user should know before the first cell.
    pub fn begin(&self, sink: &mut dyn Sink) {
        if let Some(why) = &self.toolchain.no_sources {
            sink.send(Event::Notice(format!(
                "the sources of Rust's standard library are missing, so only variables with a written type can be kept; {why}"
            )));
        }
    }

    /// Begins a cell.
    pub fn begin_cell(&mut self, code: &str, sink: &mut dyn Sink) -> CellId {
        let _ = self.interrupt.take();
        self.drain_events(sink);
        self.advance_px(sink);
        let cell = self.next_cell();
        let record = Record {
            cell,
            code: code.to_owned(),
        };
        if !self.starting_up {
            self.note_for_later(&record);
        }
        self.history.push(record);
        self.timing = CellTiming::default();
        self.begun = Instant::now();
        sink.send(Event::CellStarted {
            cell,
            code: code.to_owned(),
        });
        cell
    }

    /// Ends it.
    pub fn end_cell(&mut self, ok: bool, sink: &mut dyn Sink) {
        let CellTiming { compile, mut run } = self.timing;
        if run.is_zero() {
            // A magic that runs no code of the user's takes its time too.
            run = self.begun.elapsed().saturating_sub(compile);
        }
        sink.send(Event::Progress(None));
        sink.send(Event::CellFinished {
            cell: self.cell(),
            ok,
            compile,
            run,
        });
    }

    pub fn timing(&self) -> CellTiming {
        self.timing
    }

    /// Variables of the local engine with their types.
    pub fn variables(&self) -> Vec<(String, String)> {
        let local = self.namespaces.get(&self.local);
        local
            .into_iter()
            .flat_map(|namespace| namespace.variables().iter())
            .filter(|(name, _)| !jobs::is_ours(name))
            .map(|(name, kind)| (name.clone(), kind.clone()))
            .collect()
    }

    /// Names of the functions and types that cells have defined.
    pub fn definitions(&self) -> Vec<(String, crate::cell::ItemKind)> {
        self.definitions
            .names()
            .filter(|(name, _)| !name.starts_with("regatta_"))
            .map(|(name, kind)| (name.to_owned(), kind))
            .collect()
    }

    /// Changes a setting of the compiler for all later cells.
    pub fn configure(&mut self, setting: Setting) {
        self.settings
            .retain(|other| std::mem::discriminant(other) != std::mem::discriminant(&setting));
        self.settings.push(setting.clone());
        self.settings_version += 1;
        // Takes effect in the order of requests, so nobody need wait for the answer.
        drop(self.compiler.configure(setting));
    }

    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// Forgets all variables and definitions, local and on engines; pools stay.
    pub fn reset(&mut self, sink: &mut dyn Sink) {
        self.hub.stop(vec![self.local]);
        self.namespaces.clear();
        self.definitions.clear();
        self.moved.clear();
        self.cache.clear();
        self.launch_local();
        self.restart_all_pools(sink);
    }

    /// What an engine prints outside of a cell of its own: whole lines.
    fn stray_print(&mut self, engine: EngineId, stream: Stream, bytes: &[u8], sink: &mut dyn Sink) {
        let prints = self
            .stray_prints
            .entry((engine, stream))
            .or_insert_with(|| Prints::new(stream, true));
        let told = prints.push(bytes);
        self.show_stray(engine, told, sink);
    }

    fn finish_stray_prints(&mut self, sink: &mut dyn Sink) {
        for ((engine, _), mut prints) in std::mem::take(&mut self.stray_prints) {
            let told = prints.finish();
            self.show_stray(engine, told, sink);
        }
    }

    fn show_stray(&mut self, engine: EngineId, told: Vec<Told>, sink: &mut dyn Sink) {
        let origin = self.origin_of(engine);
        for one in told {
            if let Told::Text(stream, text) = one {
                if let (Some((pool, rank)), Some(line)) = (self.place(engine), text.lines().last())
                {
                    self.last_lines.insert((pool, rank), line.to_owned());
                }
                self.flush_map_report(sink);
                sink.send(Event::Output {
                    origin: origin.clone(),
                    stream,
                    text,
                });
            }
        }
    }

    /// A flag that is set when the session is told to end by a signal.
    pub fn ended_flag(&self) -> Arc<AtomicBool> {
        self.interrupt.ended_flag()
    }
}

/// A deadline that is looked at between events.
#[derive(Clone, Copy, Debug)]
struct Grace(Option<Instant>);

impl Grace {
    fn over(self) -> bool {
        self.0.is_some_and(|until| Instant::now() >= until)
    }
}
