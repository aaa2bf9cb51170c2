//! What the lower rooms hand up: events and outcomes as plain values. Nothing here prints, decides or
//! touches an engine; the renderers turn these values into a terminal's text or into JSON lines.

mod children;
mod comm;
mod engines;
mod explained;
mod map;
mod memo;
mod notice;
mod report;
mod scaling;

use std::time::Duration;

pub use children::{ChildChange, ChildEnd, ChildLine, ChildNews, ChildState};
pub use comm::{
    CommAt, CommCall, CommReport, CommSpan, CommTable, CommTraffic, CommTrouble, CommWait,
    LaneSpan, PxLane, PxTimeline, RankState, Unreceived,
};
pub use engines::{
    Counted, DeathCause, Deaths, EngineChange, JobAnswer, JobEnd, JobWork, KeepFault, MpiFault,
    NodeFault, ServerFault, SlurmState, StartFault,
};
pub use explained::{
    Cause, CodeCause, Doing, FirstFailure, Gone, Help, Label, MapCause, Missing, MpiCause,
    NotExchanged, NotForThreads, NotKept, Note, PoolCause, SessionCause, Showing, Stuck,
    ThreadsFailed, Unkept, Unshown,
};
pub use map::{
    CaptureSize, ChunkSpan, Compare, CompareRow, EngineActivity, EngineView, ItemRow, JobState,
    JobView, Lookups, MapPlan, MapReport, MapRow, Schedule, Spent, Timeline,
};
pub use memo::{
    Change, Changed, DiffKind, DiffLine, Made, MadeOf, Maker, MemoDisk, MemoExplained, MemoWhy,
    Nearest, Part,
};
pub use notice::Notice;
pub use report::{ErrorKind, Mark, Report, Snippet};
pub use scaling::{Scaling, ScalingRow, amdahl};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::ids::{CellId, JobId, PoolName, Rank};

/// What a pool's engines are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PoolKind {
    Processes,
    Threads,
}

/// Who printed or returned something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The local engine, in which plain cells run.
    Local,
    Engine(Rank),
    /// A child of this name.
    Child(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// The cell and the job that something belongs to, where it belongs to any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct About {
    pub cell: Option<CellId>,
    pub job: Option<JobId>,
}

impl About {
    pub fn cell(cell: CellId) -> Self {
        Self {
            cell: Some(cell),
            job: None,
        }
    }
}

/// Something that happens while a cell runs, in the order in which it happens.
#[derive(Clone, Debug)]
pub enum Event {
    CellStarted {
        cell: CellId,
        code: String,
    },
    /// Printed by user code. From an engine: whole lines, each ended by `\n`. From the local engine: as it
    /// was written, so that a progress bar that uses `\r` works.
    Output {
        about: About,
        origin: Origin,
        stream: Stream,
        text: String,
    },
    /// The value of a plain cell's last expression: `Out[n]`.
    Result {
        cell: CellId,
        value: Value,
    },
    /// A value that the user asked to see whole: `%show`.
    Whole {
        cell: CellId,
        value: Value,
    },
    /// What every engine made of a `%px` cell.
    Px(PxReport),
    MapPlan(About, MapPlan),
    /// How far a job or a build is; a later one replaces it. `None` clears it.
    Progress(Option<Progress>),
    MapFinished(About, MapReport),
    /// The table of a job under way; a later one replaces it, `None` clears it.
    Live(Option<(About, JobView)>),
    /// `%timeline`.
    Timeline(Timeline),
    /// `%timeline` of a `%px`.
    PxTimeline(PxTimeline),
    /// `%compare`.
    Compare(Compare),
    /// `%scaling`.
    Scaling(Scaling),
    /// `%memo explain`.
    Memo(MemoExplained),
    /// `%comm`.
    Comm(CommReport),
    /// Timings of `%time` and `%timeit`.
    Timing(Timing),
    /// `%doc`.
    Docs(Docs),
    /// The listing of a magic such as `%pool list` or `%who`.
    Table(Table),
    /// The fields of a list's items: `%table`.
    Rows(Rows),
    /// `%plot`.
    Plot(Plot),
    /// A magic's plain text, such as `%history`, or one line such as `pool p0: 2 process engines, up in 6 ms`.
    Text(String),
    /// Something the user should know that is not an error: a lost variable, a compiler warning.
    Notice(About, Notice),
    /// The same of engines.
    Engines(About, EngineChange),
    /// The same of a child.
    Child(About, ChildNews),
    /// A job in the background for which nobody has waited.
    JobOver(About, JobEnd),
    /// What `%wait` or `%cancel` has to say of a job.
    JobAnswer(JobAnswer),
    Error(Report),
    CellFinished {
        cell: CellId,
        ok: bool,
        compile: Duration,
        run: Duration,
    },
}

/// A value shown to the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Representations by MIME type; `text/plain` (the `Debug` text) comes first and is always there.
    pub content: Vec<(String, String)>,
    /// The Rust type, paths shortened: `Vec<u64>`. Empty when unknown.
    pub type_name: String,
    /// How many lines of it the user wants to see, [`LINES`] or so.
    pub most_lines: usize,
    /// Whether the user wants to see its type.
    pub with_type: bool,
}

/// Lines that a value takes at most, unless the user has said another number.
pub const LINES: usize = 10;

impl Default for Value {
    fn default() -> Self {
        Self {
            content: Vec::new(),
            type_name: String::new(),
            most_lines: LINES,
            with_type: false,
        }
    }
}

impl Value {
    pub fn plain(text: impl Into<String>, type_name: impl Into<String>) -> Self {
        Self {
            content: vec![("text/plain".to_owned(), text.into())],
            type_name: type_name.into(),
            ..Self::default()
        }
    }

    /// The `text/plain` representation.
    pub fn text(&self) -> &str {
        self.content
            .iter()
            .find(|(mime, _)| mime == "text/plain")
            .map_or("", |(_, text)| text)
    }
}

/// How one engine ended one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineOutcome {
    /// Ran to its end; the value of the last expression, unless that is `()`.
    Done(Option<Value>),
    Panicked {
        message: String,
        place: Option<String>,
    },
    /// A `?` left the cell early; the error's `Debug` text.
    Errored {
        message: String,
    },
    /// The engine process ended, and these variables with it.
    Died {
        cause: DeathCause,
        lost: Vec<String>,
    },
    /// The cell did not run here, and why.
    Skipped {
        why: String,
    },
    Interrupted,
    /// Something went wrong between it and others: all that it befell have the same here.
    Comm(Box<CommTrouble>),
}

impl EngineOutcome {
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum GroupOutputs {
    /// Engine by engine.
    Engine,
    /// In the order of arrival.
    Order,
    /// All outputs of a type together (ipyparallel's default).
    #[default]
    Type,
}

#[derive(Clone, Debug)]
pub struct PxReport {
    pub cell: CellId,
    pub pool: PoolName,
    pub engines: Vec<PxRow>,
    pub group: GroupOutputs,
    /// Show time, outcome and type per engine even where there is no value.
    pub verbose: bool,
}

impl PxReport {
    /// Whether every engine came to its end.
    pub fn is_ok(&self) -> bool {
        self.engines.iter().all(|row| row.outcome.is_ok())
    }
}

#[derive(Clone, Debug)]
pub struct PxRow {
    pub rank: Rank,
    pub outcome: EngineOutcome,
    /// Time the engine spent in the cell.
    pub busy: Duration,
    /// Output that was held back (`--no-stream`, `--group-outputs engine|type`), as (stream, text).
    pub output: Vec<(Stream, String)>,
}

#[derive(Clone, Debug)]
pub struct Progress {
    /// `map`, `px`, `compiling serde_json`, …
    pub what: String,
    /// `items`, `engines`, `crates`.
    pub unit: &'static str,
    pub done: u64,
    pub total: Option<u64>,
    pub elapsed: Duration,
}

/// `%time` has one sample, `%timeit` several.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Seconds per loop, one entry per run.
    pub per_loop: Vec<f64>,
    pub loops: u64,
    /// Only for `%time`: what the compiler needed.
    pub compile: Option<Duration>,
}

/// What is known about a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Docs {
    /// As it was asked for.
    pub name: String,
    /// Where it is defined: `alloc::vec::Vec`; empty for the session's own.
    pub path: String,
    /// Rust code, one or more lines.
    pub signature: String,
    /// Markdown; empty where nothing is documented.
    pub text: String,
    /// The paths by which it can be named, when its name alone is not known to cells.
    pub imports: Vec<String>,
    pub source: Option<Definition>,
    /// All of it is wanted, however long it is.
    pub whole: bool,
}

/// Where something is defined, and its text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// `library/alloc/src/vec/mod.rs:2450`; empty for the session's own.
    pub place: String,
    pub code: String,
}

/// A listing: typed fields, so that a renderer aligns and formats them.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub title: Option<String>,
    pub columns: Vec<&'static str>,
    pub rows: Vec<Vec<Field>>,
}

/// The first items of a list, field by field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    pub heads: Vec<String>,
    pub rows: Vec<Vec<String>>,
    /// Items that follow.
    pub left_out: u64,
}

/// A chart of points.
#[derive(Clone, Debug, PartialEq)]
pub struct Plot {
    pub title: String,
    /// `x` and `y`; where one is no finite number there is a gap.
    pub points: Vec<(f64, f64)>,
    /// Each point is joined with the next.
    pub joined: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Field {
    Text(String),
    /// How it failed: the row is one of trouble.
    Failure(String),
    Count(u64),
    Seconds(f64),
    Bytes(u64),
    /// Nothing to show here; a column of nothing but these is hidden.
    Empty,
}

/// Where events go: a terminal, JSON lines, a notebook's transcript.
pub trait Sink {
    fn send(&mut self, event: Event);
}
