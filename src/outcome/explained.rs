//! What errors are about, as data: one variant for each cause, with the names, types and places that its words need.
//! Those are the renderer's; what others have worded (rustc, tools, the system, magics) stands as they told it.

use std::path::PathBuf;

use super::{DeathCause, Deaths, EngineOutcome, ErrorKind, KeepFault, Report, StartFault};
use crate::ids::{CellId, PoolName, Rank};

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// One line, no full stop: `unknown magic %pol`.
    Told(String),
    Code(CodeCause),
    Map(MapCause),
    Pool(PoolCause),
    Session(SessionCause),
}

/// Why code is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodeCause {
    /// What stands around the user's code, and none of it.
    Around(String),
    /// rustc's parser expected other words.
    Syntax(String),
    NotFound {
        name: String,
        what: Missing,
        told: String,
    },
    /// What is to be kept is a closure, whose type has no name.
    IsClosure(String),
    /// A function that threads share changes a variable: rustc's message.
    Shared(String),
    /// Several threads would use a value of this type, or it would go from one to another (`sent`); the variables
    /// of the session that are of it.
    NotForThreads {
        kind: String,
        sent: bool,
        variables: Vec<String>,
        is: NotForThreads,
    },
    /// This type, of what is to be shown or a part of it, has no `Debug`.
    NoDebug {
        kind: String,
        shown: Showing,
        is: Unshown,
    },
    /// The variable cannot be kept.
    Unkept { name: String, why: Unkept },
    /// Nobody says why.
    Unexplained,
    /// A `let` without a name.
    NoPattern,
    /// It would overflow the stack of any parser.
    TooDeep { most: usize },
    /// Variables that stand in text, `{name}`, and have no `Display`; what rustc says.
    NotDisplayed { fields: Vec<String>, told: String },
}

/// What may not be used by several threads, by what can be in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotForThreads {
    Rc,
    /// One of `std::cell`.
    Cell,
    Other,
}

/// What rustc cannot find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    Value,
    Crate,
    Other,
}

/// What is to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Showing {
    /// The cell's value.
    Value,
    /// The results of a map.
    Results,
}

/// What a type without `Debug` is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unshown {
    Closure,
    Function,
    Future,
    /// It can be one of the session's own.
    Named(String),
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unkept {
    Closure,
    /// Its type cannot be written down.
    Unnamed,
    /// Its type cannot be told.
    Unknown,
}

/// Why a map is refused, or has no results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapCause {
    /// The function captures where none can: variables, and their types where they are known.
    Captures {
        variables: Vec<(String, Option<String>)>,
        /// It may capture nothing and be a function pointer.
        pointer: bool,
    },
    /// serde cannot carry this type of what travels.
    Stuck {
        kind: String,
        of: Stuck,
    },
    /// serde cannot carry this type of the inputs or results.
    NotExchanged {
        kind: String,
        is: NotExchanged,
    },
    /// A job's inputs borrow from these variables.
    Borrows(Vec<String>),
    /// The function takes so many arguments, and the inputs are no tuples of them.
    NoTuples {
        arguments: usize,
    },
    NothingToReduce,
    Panicked {
        item: u64,
        message: String,
    },
    /// It ended three engines.
    Crashed {
        item: u64,
        last: DeathCause,
    },
    /// Ten engines ended before they came to it.
    Lost {
        item: u64,
        last: DeathCause,
    },
    TimedOut {
        item: u64,
    },
    NoEngineLeft,
    Interrupted {
        done: u64,
        total: Option<u64>,
    },
    InputsPanicked {
        message: String,
    },
    /// The disk with the folder of the cluster's server is full.
    NoRoom {
        folder: PathBuf,
        /// Bytes.
        left: u64,
        /// The folder is where temporary files are.
        temporary: bool,
    },
    Failed {
        why: String,
    },
}

/// What it is that cannot travel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stuck {
    /// A value without a name.
    Value,
    /// The value of this variable.
    Variable(String),
    /// What the function of a map captures: the variable with its type, where it is known.
    Captured(Option<(String, String)>),
}

/// What a type that cannot be exchanged is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotExchanged {
    Never,
    Reference,
    /// One of the standard library's.
    Standard,
    Other,
}

/// Why there is no pool, or no such one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolCause {
    /// Threads end with each cell.
    ThreadsEnd,
    /// They have nothing of their own to begin with.
    ThreadsBorrow,
    NoneStarted,
    Unknown {
        name: String,
        /// Those that there are.
        others: Vec<PoolName>,
    },
    /// It cannot name a pool.
    NoName(String),
    Taken(String),
    TooFew {
        size: i64,
        cores: u32,
    },
    TooMany {
        size: u32,
        most: u32,
        /// Of this machine, where it is to run them.
        cores: Option<u32>,
    },
    NotStarted {
        why: StartFault,
    },
    DiedAtStart(DeathCause),
    NoAnswer {
        engines: u32,
        seconds: u64,
    },
    Mpi(MpiCause),
    /// A cluster that outlives its session.
    Keep(KeepFault),
}

/// Why something is not done with engines that `mpiexec` starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MpiCause {
    /// There is no such program, of those that were looked for.
    NoLauncher {
        programs: Vec<String>,
    },
    /// What is to start engines is there, and cannot be run.
    NotRun {
        program: String,
        why: &'static str,
    },
    /// There is a compiler of MPI's nowhere.
    NoCompiler {
        programs: Vec<String>,
    },
    /// The launcher's words cannot be read.
    LauncherWords {
        text: String,
    },
    /// They have a number of engines of their own: `-n 2`.
    LauncherCounts {
        launcher: String,
        count: String,
    },
    /// It does not compile; what the compiler says.
    Refused {
        program: String,
        says: String,
    },
    /// One process cannot take another's place.
    NotExchanged,
    /// Engines are not started and stopped alone.
    NotResized {
        pool: PoolName,
        size: u32,
    },
    AllRestart,
    /// A launcher is for this kind of pool alone.
    LauncherWithoutMpi,
}

/// Why a value that a cell has shown is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotKept {
    /// Its type shows itself.
    ShowsItself,
    /// No cell could write its type.
    NoName(String),
    /// A value of this type may borrow from others.
    Borrows(String),
    /// It is not the value of a plain expression.
    NotPlain,
    /// More is kept than this: so many values, so many megabytes; `large`: by the value alone.
    NoRoom {
        large: bool,
        values: usize,
        megabytes: u64,
    },
    /// It went with the session's other variables.
    WithOthers,
    /// Its type was redefined.
    Redefined,
    Moved(CellId),
    Dropped,
    /// It held a lock or a permit of the store.
    Released,
}

/// How engines failed in a cell, in a few words: the first, and how many more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstFailure<'a> {
    pub rank: Rank,
    pub outcome: &'a EngineOutcome,
    pub more: usize,
}

/// On how many threads of those asked a cell in the background failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadsFailed {
    pub failed: u64,
    pub of: u64,
}

/// The session's own trouble, and how cells end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionCause {
    CompilerDied {
        why: String,
    },
    NoCompiler {
        why: Option<String>,
    },
    /// Nothing can be built in this folder.
    FullDisk {
        folder: PathBuf,
        /// The compiler has not started yet.
        starting: bool,
    },
    Interrupted(Doing),
    /// A `?` ended the cell; the error has been printed by then.
    Errored,
    LocalDied {
        cause: DeathCause,
        interrupted: bool,
        lost: Vec<String>,
    },
}

/// What was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    Compiling,
    CompilingC,
    Measuring,
    ReadingDocs,
    RunningCommand,
    StartingEngines,
    Waiting,
    WaitingForCompiler,
}

/// A further fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    Told(String),
    /// Variables that are gone.
    Lost(Vec<String>),
    /// The error is in code of an earlier cell, in this line.
    EarlierCell(String),
    /// In a map; others took its place.
    EngineDied(Deaths),
    /// `In [3]:2`, or a place in another crate's file.
    At(String),
    /// The variable is gone since that cell.
    Gone {
        name: String,
        cell: CellId,
        why: Gone,
    },
    /// These engines have the variable.
    There {
        name: String,
        pool: PoolName,
        ranks: Vec<Rank>,
    },
}

/// Why a variable is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    Moved,
    Redefined,
    Panicked,
    Died,
}

/// What to do now, where the cause alone does not tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Help {
    /// `did you mean %pool?`
    Told(String),
    /// A variable holds a reference, which cannot outlive its cell.
    KeepOwner,
    /// Perhaps this crate is meant.
    AddCrate(String),
    /// The closure boxed, as code.
    Boxed(String),
    /// The variable is gone; `moved`: it need not have been.
    MakeAnew {
        name: String,
        moved: bool,
    },
    /// Engines have the variable.
    UseThere {
        name: String,
    },
    /// To leave, to see the magics, the variables: as it is done here.
    Quit,
    ListMagics,
    ListVariables,
}

/// What is written below a marked place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Label {
    /// Empty: nothing.
    Told(String),
    RunsInThreads,
    RunsInProcesses,
    Borrowed,
}

impl Default for Label {
    fn default() -> Self {
        Self::Told(String::new())
    }
}

/// What is told becomes this, and each kind of cause a cause.
macro_rules! told {
    ($($of:ident)*) => {$(
        impl From<String> for $of {
            fn from(told: String) -> Self {
                Self::Told(told)
            }
        }

        impl From<&str> for $of {
            fn from(told: &str) -> Self {
                Self::Told(told.to_owned())
            }
        }
    )*};
}
told!(Cause Help Label Note);

macro_rules! causes {
    ($($kind:ident: $of:ident)*) => {$(
        impl From<$of> for Cause {
            fn from(cause: $of) -> Self {
                Self::$kind(cause)
            }
        }
    )*};
}
causes!(Code: CodeCause Map: MapCause Pool: PoolCause Session: SessionCause);

impl From<KeepFault> for Cause {
    fn from(fault: KeepFault) -> Self {
        Self::Pool(PoolCause::Keep(fault))
    }
}

impl From<KeepFault> for Report {
    fn from(fault: KeepFault) -> Self {
        Self::new(ErrorKind::System, fault)
    }
}

impl From<MpiCause> for Cause {
    fn from(cause: MpiCause) -> Self {
        Self::Pool(PoolCause::Mpi(cause))
    }
}
