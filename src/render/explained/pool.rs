//! The words for pools that cannot be, and for what engines and cells have not left.

use std::fmt;

use crate::outcome::{
    DeathCause, EngineOutcome, FirstFailure, MpiCause, NodeFault, NotKept, PoolCause, StartFault,
    ThreadsFailed,
};
use crate::render::{comm, kept};

pub(super) fn what(cause: &PoolCause) -> String {
    match cause {
        PoolCause::ThreadsEnd => "the threads of a pool end with each cell anyway".to_owned(),
        PoolCause::ThreadsBorrow => {
            "the threads of a pool have nothing of their own to begin with".to_owned()
        }
        PoolCause::NoneStarted => "no pool is started".to_owned(),
        PoolCause::Unknown { name, .. } => format!("there is no pool `{name}`"),
        PoolCause::NoName(name) => format!("`{name}` cannot name a pool"),
        PoolCause::Taken(name) => format!("there is already a pool `{name}`"),
        PoolCause::TooFew { size, .. } => format!("a pool of {size} engines cannot work"),
        PoolCause::TooMany { size, cores, .. } => {
            let machine = cores.map_or("a cluster", |_| "one machine");
            format!("{size} engines are too many for {machine}")
        }
        PoolCause::NotStarted { why } => format!("an engine could not be started: {why}"),
        PoolCause::DiedAtStart(DeathCause::Launcher { says }) => {
            format!("the pool's engines did not start: {says}")
        }
        PoolCause::DiedAtStart(cause) => format!("an engine died while it started: {cause}"),
        PoolCause::Mpi(cause) => mpi_what(cause),
        PoolCause::Keep(fault) => kept::what(fault),
        PoolCause::NoAnswer { engines, seconds } => {
            format!("{engines} engines did not answer within {seconds} s")
        }
    }
}

fn mpi_what(cause: &MpiCause) -> String {
    match cause {
        MpiCause::NoLauncher { programs } => {
            format!("there is no {} here to start MPI's processes", or(programs))
        }
        MpiCause::NotRun { program, why } => format!("`{program}` is no program: {why}"),
        MpiCause::NoCompiler { programs } => {
            format!(
                "there is no {} here, which engines need to reach MPI",
                or(programs)
            )
        }
        MpiCause::LauncherWords { text } => format!("`--launcher '{text}'` is no command"),
        MpiCause::LauncherCounts { launcher, count } => format!(
            "`{count}` of `--launcher '{launcher}'` would meet the pool's own number of engines"
        ),
        MpiCause::Refused { program, says } => {
            format!("`{program}` does not compile what engines need to reach MPI: {says}")
        }
        MpiCause::NotExchanged => {
            "a process of MPI's cannot be exchanged for a new one while the others go on".to_owned()
        }
        MpiCause::NotResized { pool, .. } => {
            format!("{pool} cannot be resized: MPI has a fixed number of processes")
        }
        MpiCause::AllRestart => "MPI's processes begin and end together".to_owned(),
        MpiCause::LauncherWithoutMpi => {
            "`--launcher` is for MPI pools and clusters: others are started by regatta itself"
                .to_owned()
        }
    }
}

fn mpi_hint(cause: &MpiCause) -> String {
    match cause {
        MpiCause::NoLauncher { .. } => "install one: `apt install openmpi-bin libopenmpi-dev`, or \
            `apt install mpich libmpich-dev` (Debian, Ubuntu); `--launcher 'srun -n {n}'` names another command"
            .to_owned(),
        MpiCause::NotRun { .. } => {
            "`--launcher 'mpiexec -n {n}'` names a program; `!chmod +x FILE` makes a script one".to_owned()
        }
        MpiCause::NoCompiler { .. } => "install it: `apt install libopenmpi-dev` for Open MPI, `apt install libmpich-dev` for \
            MPICH (Debian, Ubuntu); `%env MPICC=…` names another"
            .to_owned(),
        MpiCause::LauncherWords { .. } => {
            "as in a shell: `--launcher 'mpiexec.mpich -n {n}'`; `{n}` is the number of engines".to_owned()
        }
        MpiCause::LauncherCounts { launcher, count } => {
            let option = count.trim_end_matches(|c: char| c.is_ascii_digit());
            format!("write `{{n}}` for it: `--launcher '{}'`", launcher.replacen(count, &format!("{option}{{n}}"), 1))
        }
        MpiCause::Refused { .. } => {
            "does it compile a program of yours with `#include <mpi.h>`? `%env MPICC=…` names another".to_owned()
        }
        MpiCause::NotExchanged => "leave `--tasks-per-engine` out".to_owned(),
        MpiCause::NotResized { size, .. } => {
            format!("`%pool stop`, then `%pool start mpi -n {size}`")
        }
        MpiCause::AllRestart => "`%pool restart` starts all of them anew".to_owned(),
        MpiCause::LauncherWithoutMpi => {
            "`%pool start mpi --launcher …`, `%pool start cluster --launcher 'COMMAND {command}'`".to_owned()
        }
    }
}

/// What to do about what a launcher says most.
fn launcher_hint(says: &str) -> Option<String> {
    let says_one_of = |parts: &[&str]| parts.iter().any(|part| says.contains(part));
    let hint = if says_one_of(&["not enough slots", "allocated resources"]) {
        "fewer engines: `-n N`; or more than there are slots: `--launcher 'mpiexec --oversubscribe -n {n}'`"
    } else if says_one_of(&["waiting for resources"]) {
        "fewer engines: `-n N`; or wait for an allocation first, and start `regatta` in it: `salloc -n N regatta`"
    } else if says_one_of(&[
        "engines run on their session's host",
        "resolve host",
        "No route to host",
    ]) {
        "the engines of an MPI pool run on the host of their session: no other host in `--launcher`, and of a hostfile \
         this one alone"
    } else if says_one_of(&[
        "SLURM's PMI",
        "PMI support",
        "Exited with exit code",
        "Invalid MPI type",
    ]) {
        "`srun` has to know the MPI: `--mpi=pmix` for Open MPI, `--mpi=pmi2` for MPICH; `srun --mpi=list` shows which there are"
    } else if says_one_of(&["ended with exit status 0"]) {
        "a launcher starts the command that stands behind its own words, and stays until that has ended, as \
         `--launcher 'mpiexec -n {n}'` does"
    } else if says_one_of(&["have come than", "of them has started"])
        || says_one_of(&[" have come within"]) && !says.starts_with("none")
    {
        "`{n}` in `--launcher` is the number of engines, of which each is one process: `--launcher 'mpiexec -n {n}'`"
    } else {
        return None;
    };
    Some(hint.to_owned())
}

/// `a`, `b` or `c`
fn or(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

pub(super) fn hint(cause: &PoolCause) -> Option<String> {
    Some(match cause {
        PoolCause::ThreadsEnd => {
            "`--tasks-per-engine` is for process engines: `%pool start processes`".to_owned()
        }
        PoolCause::ThreadsBorrow => {
            "they borrow the session's variables: run the code as a cell".to_owned()
        }
        PoolCause::NoneStarted => "`%pool start` starts one process engine per core".to_owned(),
        PoolCause::Unknown { others, .. } if others.is_empty() => {
            "no pool is started: `%pool start`".to_owned()
        }
        PoolCause::Unknown { others, .. } => {
            let names: Vec<&str> = others.iter().map(|name| name.0.as_str()).collect();
            format!("there is {}", names.join(", "))
        }
        PoolCause::NoName(_) => "a name has letters, digits, `-` and `_`".to_owned(),
        PoolCause::Taken(name) => format!("`%pool stop {name}` first, or choose another name"),
        PoolCause::TooFew { cores, .. } => format!("this machine has {cores} cores: `-n {cores}`"),
        PoolCause::TooMany { most, cores, .. } => match cores {
            Some(cores) => format!("the most is {most}; this machine has {cores} cores"),
            None => format!("the most is {most}"),
        },
        PoolCause::NotStarted { why } => match why {
            StartFault::Node(NodeFault::TakenOver { .. }) => {
                "`%pool stop`, then `%pool attach NAME --steal` takes it back".to_owned()
            }
            StartFault::Node(NodeFault::NoHolder) => {
                "`%pool stop`, then `%pool start cluster …` starts another".to_owned()
            }
            StartFault::Node(_) => "`%nodes` lists them; `%pool add HOST` adds one".to_owned(),
            StartFault::Says(_) => {
                "fewer engines need fewer processes and file descriptors: `-n N`".to_owned()
            }
        },
        PoolCause::Mpi(cause) => mpi_hint(cause),
        PoolCause::Keep(fault) => return kept::hint(fault),
        PoolCause::DiedAtStart(DeathCause::Launcher { says }) => return launcher_hint(says),
        PoolCause::DiedAtStart(_) | PoolCause::NoAnswer { .. } => return None,
    })
}

/// Behind `Out[3] is not kept: `.
impl fmt::Display for NotKept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShowsItself => {
                f.write_str("its type shows itself, and only plain values are kept")
            }
            Self::NoName(kind) => {
                write!(f, "the type {kind} has no name that a cell could write")
            }
            Self::Borrows(kind) => {
                write!(f, "a value of the type {kind} may borrow from others")
            }
            Self::NotPlain => f.write_str("only values of plain expressions are kept"),
            Self::NoRoom {
                large,
                values,
                megabytes,
            } => {
                let why = match large {
                    true => "it was too large",
                    false => "newer values took its room",
                };
                write!(
                    f,
                    "{why}: the last {values} values are kept, of {megabytes} MB in all"
                )
            }
            Self::WithOthers => f.write_str("it went with the session's other variables"),
            Self::Redefined => f.write_str("its type was redefined"),
            Self::Moved(cell) => write!(f, "it was moved in In [{cell}]"),
            Self::Dropped => f.write_str("it was dropped by `%out --drop`"),
            Self::Released => f.write_str("a value without a name holds nothing of the store"),
        }
    }
}

/// `engine 1 (and 2 more): panicked: oh`
impl fmt::Display for ThreadsFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it failed on {} of {} threads", self.failed, self.of)
    }
}

impl fmt::Display for FirstFailure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "engine {}", self.rank)?;
        if self.more > 0 {
            write!(f, " (and {} more)", self.more)?;
        }
        match self.outcome {
            EngineOutcome::Panicked { message, .. } => write!(f, ": panicked: {message}"),
            EngineOutcome::Errored { message } => write!(f, ": {message}"),
            EngineOutcome::Died { cause, .. } => write!(f, ": died: {cause}"),
            EngineOutcome::Skipped { why } => write!(f, ": {why}"),
            EngineOutcome::Interrupted => f.write_str(": was interrupted"),
            EngineOutcome::Comm(trouble) => write!(f, ": {}", comm::head(trouble)),
            EngineOutcome::Done(_) => Ok(()),
        }
    }
}
