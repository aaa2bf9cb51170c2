//! The session: composes a workshop, which turns text into artifacts, and a crew, which runs them. It renders
//! nothing: events go to a [`Sink`].

mod c;
mod child;
mod children;
mod cluster;
mod code;
mod comm;
mod compare;
mod compiling;
mod crew;
mod data;
mod evaluate;
mod explain;
mod former;
mod history;
mod inspect;
mod interrupt;
mod jobs;
mod map;
mod marks;
mod memo;
mod mpi;
mod names;
mod namespace;
mod outs;
mod parallel;
mod past;
mod places;
mod pools;
mod px;
mod px_jobs;
mod px_out;
mod px_outcome;
mod px_plan;
mod px_result;
mod px_threads;
mod redis;
mod results;
mod scaling;
mod shell;
mod store;
mod surroundings;
mod types;
mod workshop;
mod written;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::Waker;
use std::time::{Duration, Instant};

pub use c::CRequest;
pub use children::{ChildStatus, Restart, SpawnRequest};
pub use cluster::{ClusterRequest, MoreHosts, by_file, missing};
pub use code::{Code, Done, Failed};
pub use crew::{
    MOST as MOST_ENGINES, MemoRow, OnInterrupt, Out, Pool, PoolRequest, ValueStyle, Whereabouts,
    cores,
};
pub use data::{DataRequest, DataVerb};
pub use former::{CHUNKS, EndingJob, status_of};
pub use history::{CellTiming, Record};
pub use interrupt::Interrupt;
pub use jobs::{JobStatus, counted};
pub use map::MapRequest;
pub use memo::Kept;
pub use parallel::{Limit, ParallelRequest, Resume};
pub use px::PxOptions;
pub use px_result::PxWanted;
pub use redis::Place;
pub use scaling::ScalingRequest;
pub use shell::ShellRequest;

use regatta_cell::checks::OWN_PREFIX;

use crate::compiler::toolchain::Toolchain;
use crate::compiler::{Setting, Warmth};
use crate::ids::{CellId, PoolName, Rank};
use crate::outcome::{About, Event, Notice, Sink};
use crate::pool::EngineStatus;
use crate::store::redis::hide_passwords;
use crew::Crew;
use history::History;
use workshop::Workshop;

/// How often flags and deadlines are looked at while something is awaited.
const TICK: Duration = Duration::from_millis(20);

/// How long a Ctrl-C leaves to what it interrupts before that is killed.
const GRACE: Duration = Duration::from_millis(300);

pub struct Session {
    workshop: Workshop,
    crew: Crew,
    history: History,
    c_definitions: c::CDefinitions,
    px_settings: px::Settings,
    pub autopx: Option<PxOptions>,
    last_px: Option<px::LastPx>,
    surroundings: surroundings::Surroundings,
    shared: store::Shared,
    /// What commands of one call that run on several hosts share; since there is a cluster.
    boards: Option<crate::store::Server>,
    /// What the next prompts begin with.
    pub next_inputs: VecDeque<String>,
    /// Cells under way: one may run others.
    pub depth: usize,
    /// `%quit` was said.
    pub quitting: bool,
    /// Somebody reads along.
    live: bool,
}

impl Session {
    /// Starts the compiler's warm-up and the local engine, and waits for neither. With `outlives` the compiler may
    /// have served other sessions, and may serve others later.
    pub fn start(
        toolchain: Toolchain,
        interrupt: Interrupt,
        outlives: bool,
    ) -> std::io::Result<Self> {
        let crew = Crew::start(interrupt)?;
        let mut session = Self {
            workshop: Workshop::start(toolchain, outlives, crew.hub().waker()),
            crew,
            history: History::default(),
            c_definitions: c::CDefinitions::default(),
            px_settings: px::Settings::default(),
            autopx: None,
            last_px: None,
            surroundings: surroundings::Surroundings::default(),
            shared: store::Shared::start()?,
            boards: None,
            next_inputs: VecDeque::new(),
            depth: 0,
            quitting: false,
            live: false,
        };
        session.name_store();
        Ok(session)
    }

    pub fn toolchain(&self) -> &Toolchain {
        self.workshop.toolchain()
    }

    pub fn interrupt(&self) -> &Interrupt {
        self.crew.interrupt()
    }

    /// Ends what [`Session::idle`] waits for, from any thread.
    pub fn waker(&self) -> Waker {
        self.crew.hub().waker()
    }

    pub fn warmth(&self) -> Warmth {
        self.workshop.warmth()
    }

    pub fn history(&self) -> &[Record] {
        &self.history.records
    }

    /// The number of the cell under way, or of the last one.
    pub fn cell(&self) -> CellId {
        self.history.cell()
    }

    /// The number that the next cell gets.
    pub fn next_cell(&self) -> CellId {
        self.history.next_cell()
    }

    /// Whether the cells to come are those of the startup notebook.
    pub fn set_starting_up(&mut self, starting_up: bool) {
        self.history.starting_up = starting_up;
    }

    /// How values are shown.
    pub fn value_style(&mut self) -> &mut ValueStyle {
        self.crew.value_style()
    }

    /// Tells what the user should know before the first cell.
    pub fn begin(&self, sink: &mut dyn Sink) {
        if let Some(why) = &self.workshop.toolchain().no_sources {
            let why = why.to_string();
            sink.send(Event::Notice(About::default(), Notice::NoSources { why }));
        }
        if let Some(told) = &self.shared.told {
            sink.send(Event::Notice(About::default(), told.clone()));
        }
    }

    /// Tells something of the cell under way.
    fn notice(&self, notice: Notice, sink: &mut dyn Sink) {
        sink.send(Event::Notice(About::cell(self.cell()), notice));
    }

    /// Begins a cell.
    pub fn begin_cell(&mut self, code: &str, sink: &mut dyn Sink) -> CellId {
        let _ = self.crew.interrupt().take();
        self.crew.drain_events(sink);
        self.advance_px(sink);
        let code = hide_passwords(code);
        let cell = self.history.begin(&code);
        self.workshop.begin_cell();
        self.crew.begin_cell(cell);
        self.crew.children.set_environment(self.environment());
        sink.send(Event::CellStarted {
            cell,
            code: code.into_owned(),
        });
        cell
    }

    /// Ends it.
    pub fn end_cell(&mut self, ok: bool, sink: &mut dyn Sink) {
        let CellTiming { compile, mut run } = self.timing();
        if run.is_zero() {
            // A magic that runs no code of the user's takes its time too.
            run = self.history.elapsed().saturating_sub(compile);
        }
        sink.send(Event::Progress(None));
        sink.send(Event::CellFinished {
            cell: self.cell(),
            ok,
            compile,
            run,
        });
    }

    /// What the cell under way has needed so far.
    pub fn timing(&self) -> CellTiming {
        CellTiming {
            compile: self.workshop.spent(),
            run: self.crew.spent(),
        }
    }

    /// Variables of the local engine with their types.
    pub fn variables(&self) -> Vec<(String, String)> {
        self.crew.variables()
    }

    /// Names of the functions and types that cells have defined.
    pub fn definitions(&self) -> Vec<(String, crate::cell::ItemKind)> {
        self.workshop
            .definitions()
            .names()
            .filter(|(name, _)| !name.starts_with(OWN_PREFIX))
            .map(|(name, kind)| (name.to_owned(), kind))
            .collect()
    }

    /// Changes a setting of the compiler for all later cells.
    pub fn configure(&mut self, setting: Setting) {
        self.workshop.configure(setting);
    }

    pub fn settings(&self) -> &[Setting] {
        self.workshop.settings()
    }

    /// Forgets all variables and definitions, local and on engines; pools stay.
    pub fn reset(&mut self, sink: &mut dyn Sink) {
        self.workshop.forget_all();
        let native = self.workshop.is_for_this_processor();
        for cluster in { self.pools().iter() }.filter_map(|pool| pool.starter.cluster()) {
            // They have run what there was before.
            let _ = cluster.are_for_this_processor(native);
        }
        self.c_definitions = c::CDefinitions::default();
        self.crew.restart_local();
        self.restart_all_pools(sink);
    }

    /// All engines with pool and rank, for listings.
    pub fn engines(&mut self, sink: &mut dyn Sink) -> Vec<(Option<PoolName>, Rank, EngineStatus)> {
        self.crew.drain_events(sink);
        self.crew.engines()
    }

    /// A flag that is set when the session is told to end by a signal.
    pub fn ended_flag(&self) -> Arc<AtomicBool> {
        self.crew.interrupt().ended_flag()
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
