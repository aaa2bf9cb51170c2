//! The session: composes a workshop, which turns text into artifacts, and a crew, which runs them. It renders
//! nothing: events go to a [`Sink`].

mod beginnings;
mod blocks;
mod cache;
mod code;
mod compare;
mod compile;
mod crates;
mod crew;
mod data;
mod evaluate;
mod events;
mod explain;
mod flight;
mod follow;
mod full_disk;
mod history;
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
mod workshop;
mod written;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

pub use code::{Code, Failed};
pub use crew::ValueStyle;
pub use data::{DataRequest, DataVerb};
pub use follow::OnInterrupt;
pub use history::{CellTiming, Record};
pub use interrupt::Interrupt;
pub use jobs::JobStatus;
pub use map::MapRequest;
pub use outs::{Out, Whereabouts};
pub use pools::{Pool, PoolRequest};
pub use px::PxOptions;
pub use px_result::PxWanted;
pub use shell::ShellRequest;

use crate::compiler::toolchain::Toolchain;
use crate::compiler::{Setting, Warmth};
use crate::ids::{CellId, EngineId, Rank};
use crate::outcome::{Event, Sink, Stream, Value};
use crate::pool::{Hub, Payload};
use crate::wire::PanicInfo;
use crew::Crew;
use history::History;
use prints::{Prints, Told};
use workshop::Workshop;

/// How often flags are looked at while something is awaited.
const TICK: Duration = Duration::from_millis(20);

/// How long a Ctrl-C leaves to what it interrupts before that is killed.
const GRACE: Duration = Duration::from_millis(300);

pub struct Session {
    workshop: Workshop,
    crew: Crew,
    history: History,
    /// How the threads of the last `%px` on a thread pool ended, and their values.
    broadcast: Vec<(Duration, Option<PanicInfo>)>,
    thread_values: Vec<(Rank, Value)>,
    /// Values that the last local cell has sent.
    sent: Vec<Payload>,
    px_settings: px::Settings,
    pub autopx: Option<PxOptions>,
    last_px: Option<px::LastPx>,
    surroundings: surroundings::Surroundings,
    /// What the next prompts begin with.
    pub next_inputs: VecDeque<String>,
    /// Cells under way: one may run others.
    pub depth: usize,
    /// `%quit` was said.
    pub quitting: bool,
}

impl Session {
    /// Starts the compiler's warm-up and the local engine, and waits for neither. With `outlives` the compiler may
    /// have served other sessions, and may serve others later.
    pub fn start(
        toolchain: Toolchain,
        interrupt: Interrupt,
        outlives: bool,
    ) -> std::io::Result<Self> {
        let mut session = Self {
            workshop: Workshop::start(toolchain, outlives),
            crew: Crew::start(interrupt)?,
            history: History::default(),
            broadcast: Vec::new(),
            thread_values: Vec::new(),
            sent: Vec::new(),
            px_settings: px::Settings::default(),
            autopx: None,
            last_px: None,
            surroundings: surroundings::Surroundings::default(),
            next_inputs: VecDeque::new(),
            depth: 0,
            quitting: false,
        };
        session.launch_local();
        Ok(session)
    }

    pub fn toolchain(&self) -> &Toolchain {
        &self.workshop.toolchain
    }

    pub fn interrupt(&self) -> &Interrupt {
        &self.crew.interrupt
    }

    pub fn hub(&self) -> &Hub {
        &self.crew.hub
    }

    pub fn warmth(&self) -> Warmth {
        self.workshop.compiler.warmth()
    }

    /// How often something was compiled.
    pub fn builds(&self) -> u64 {
        self.workshop.compiler.builds()
    }

    pub fn history(&self) -> &[Record] {
        &self.history.records
    }

    /// The number of the cell under way, or of the last one.
    pub fn cell(&self) -> CellId {
        self.history.cell()
    }

    /// The cell under way.
    fn record(&self) -> Option<&Record> {
        self.history.record()
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
        &mut self.crew.screen.style
    }

    /// Tells what the user should know before the first cell.
    pub fn begin(&self, sink: &mut dyn Sink) {
        if let Some(why) = &self.workshop.toolchain.no_sources {
            sink.send(Event::Notice(format!(
                "the sources of Rust's standard library are missing, so only variables with a written type can be kept; {why}"
            )));
        }
    }

    /// Begins a cell.
    pub fn begin_cell(&mut self, code: &str, sink: &mut dyn Sink) -> CellId {
        let _ = self.crew.interrupt.take();
        self.drain_events(sink);
        self.advance_px(sink);
        let cell = self.history.begin(code);
        sink.send(Event::CellStarted {
            cell,
            code: code.to_owned(),
        });
        cell
    }

    /// Ends it.
    pub fn end_cell(&mut self, ok: bool, sink: &mut dyn Sink) {
        let CellTiming { compile, run } = self.history.spent();
        sink.send(Event::Progress(None));
        sink.send(Event::CellFinished {
            cell: self.cell(),
            ok,
            compile,
            run,
        });
    }

    pub fn timing(&self) -> CellTiming {
        self.history.timing
    }

    /// Variables of the local engine with their types.
    pub fn variables(&self) -> Vec<(String, String)> {
        let local = self.crew.namespaces.get(&self.crew.local);
        local
            .into_iter()
            .flat_map(|namespace| namespace.variables().iter())
            .filter(|(name, _)| !jobs::is_ours(name))
            .map(|(name, kind)| (name.clone(), kind.clone()))
            .collect()
    }

    /// Names of the functions and types that cells have defined.
    pub fn definitions(&self) -> Vec<(String, crate::cell::ItemKind)> {
        self.workshop
            .definitions
            .names()
            .filter(|(name, _)| !name.starts_with("regatta_"))
            .map(|(name, kind)| (name.to_owned(), kind))
            .collect()
    }

    /// Changes a setting of the compiler for all later cells.
    pub fn configure(&mut self, setting: Setting) {
        self.workshop
            .settings
            .retain(|other| std::mem::discriminant(other) != std::mem::discriminant(&setting));
        self.workshop.settings.push(setting.clone());
        self.workshop.settings_version += 1;
        // Takes effect in the order of requests, so nobody need wait for the answer.
        drop(self.workshop.compiler.configure(setting));
    }

    pub fn settings(&self) -> &[Setting] {
        &self.workshop.settings
    }

    /// Forgets all variables and definitions, local and on engines; pools stay.
    pub fn reset(&mut self, sink: &mut dyn Sink) {
        self.crew.hub.stop(vec![self.crew.local]);
        self.crew.namespaces.clear();
        self.workshop.definitions.clear();
        self.crew.moved.clear();
        self.workshop.cache.clear();
        self.launch_local();
        self.restart_all_pools(sink);
    }

    /// What an engine prints outside of a cell of its own: whole lines.
    fn stray_print(&mut self, engine: EngineId, stream: Stream, bytes: &[u8], sink: &mut dyn Sink) {
        let prints = self
            .crew
            .screen
            .stray_prints
            .entry((engine, stream))
            .or_insert_with(|| Prints::new(stream, true));
        let told = prints.push(bytes);
        self.show_stray(engine, told, sink);
    }

    fn finish_stray_prints(&mut self, sink: &mut dyn Sink) {
        for ((engine, _), mut prints) in std::mem::take(&mut self.crew.screen.stray_prints) {
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
                    self.crew
                        .screen
                        .last_lines
                        .insert((pool, rank), line.to_owned());
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
        self.crew.interrupt.ended_flag()
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
