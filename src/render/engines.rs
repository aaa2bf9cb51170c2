//! The words for what happens to engines and jobs.

use std::fmt;

use nix::sys::signal::Signal;

use super::notices::quoted;
use crate::ids::{PoolName, Rank};
use crate::outcome::{
    Counted, DeathCause, Deaths, EngineChange, JobAnswer, JobEnd, JobState, JobWork, MpiFault,
    NodeFault, ServerFault, SlurmState, StartFault,
};

/// `killed by SIGKILL`, `ended itself with exit status 3`.
impl fmt::Display for DeathCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(number) => match Signal::try_from(*number) {
                Ok(Signal::SIGSEGV) => f.write_str("segmentation fault (SIGSEGV)"),
                Ok(Signal::SIGABRT) => f.write_str("aborted (SIGABRT)"),
                Ok(signal) => write!(f, "killed by {signal}"),
                Err(_) => f.write_str("killed by a signal"),
            },
            Self::Exit(status) => write!(f, "ended itself with exit status {status}"),
            Self::Version { says, ours } => write!(
                f,
                "not a regatta engine, or one of another version (it says {says}, this is {ours})"
            ),
            Self::Spent { items: 1 } => f.write_str("it had done its item"),
            Self::Spent { items } => write!(f, "it had done its {items} items"),
            Self::Stopped => f.write_str("it was stopped"),
            Self::NotStarted => f.write_str("not started"),
            Self::WithNode => f.write_str("their nodes ended with them"),
            Self::EndedBefore => f.write_str("it had ended before"),
            Self::GivenUp => f.write_str("it could not be ended"),
            Self::Unknown => f.write_str("ended"),
            Self::Together { first } => write!(f, "ended by MPI with engine {first}"),
            Self::NodeGone { host, why } => write!(f, "its node {host} is gone: {why}"),
            Self::Launcher { says } => f.write_str(says),
        }
    }
}

impl fmt::Display for NodeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent { seconds } => write!(f, "nothing was heard of it for {seconds} s"),
            Self::Version { says, ours } => write!(
                f,
                "its regatta is another version (it speaks {says}, this is {ours})"
            ),
            Self::Architecture { its, ours } => {
                write!(f, "it is {its}, and cells are compiled for {ours}")
            }
            Self::Processor { lacks } => write!(
                f,
                "its processor lacks {}, and cells are compiled for this host's (`%opt --cpu generic` compiles later \
                 ones for all, `%reset` forgets earlier ones)",
                lacks.join(", ")
            ),
            Self::Libc { its, ours } => write!(
                f,
                "its C library is glibc {its}, and cells are linked with {ours} here"
            ),
            Self::NoQueue => f.write_str(
                "maps go through a queue, and it was not told to take from it: `?durable`, or `?keep=SECONDS`, stands behind \
                 the cluster's name in the URL that the session names",
            ),
            Self::Garbage => f.write_str("it sent what is no message"),
            Self::Ended => f.write_str("it has ended"),
            Self::Says(words) => f.write_str(words),
            Self::NoWayBack => f.write_str(
                "ssh has made no way back from it (does its sshd allow TCP forwarding?); `--listen ADDRESS` has it come over \
                 the network",
            ),
            Self::NoServer => f.write_str("the server does not answer"),
            Self::Removed => f.write_str("it was removed"),
            Self::NoneLeft => f.write_str("no node of the cluster is left"),
            Self::TakenOver { pid } => {
                write!(f, "another session (process {pid}) has the cluster now")
            }
            Self::NoHolder => f.write_str("the process that kept the cluster has ended"),
            Self::NoMemory => f.write_str("the host has no memory for messages"),
        }
    }
}

impl fmt::Display for StartFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(fault) => fault.fmt(f),
            Self::Says(words) => f.write_str(words),
        }
    }
}

impl fmt::Display for SlurmState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("Slurm is asked"),
            Self::Pending { job, reason } if reason.is_empty() || reason == "None" => {
                write!(f, "Slurm's job {job} is pending")
            }
            Self::Pending { job, reason } => write!(f, "Slurm's job {job} is pending: {reason}"),
            Self::Running { job } => write!(f, "Slurm's job {job} runs; its nodes come"),
            Self::Over { says } if says.is_empty() => {
                f.write_str("what Slurm started has ended before its nodes came")
            }
            Self::Over { says } => write!(f, "Slurm started no nodes: {says}"),
        }
    }
}

/// The program of a cluster's server.
const NATS: &str = "nats-server";

impl fmt::Display for ServerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(f, "there is no `{NATS}` on the PATH"),
            Self::NotStarted { says } | Self::NoRoom { says } => {
                write!(f, "`{NATS}` cannot be started: {says}")
            }
            Self::PortTaken { address } => {
                write!(f, "{address} is taken: another program listens there")
            }
            Self::NoSuchAddress { address } => write!(f, "{address} is no address of this host"),
            Self::NotAllowed { address } => {
                write!(f, "this user may not listen on {address}")
            }
            Self::UnknownHost { host, says } => write!(f, "`{host}` is no host: {says}"),
            Self::NoAddress => f.write_str("by which address others reach this host is not known"),
            Self::NoCertificate { says } => write!(f, "no certificate can be made: {says}"),
            Self::NoUrl { url } => write!(f, "`{url}` is no URL of a NATS server"),
            Self::NoCredentials { file, says } => write!(f, "{file} cannot be read: {says}"),
            Self::Unreached { url, says } => write!(f, "{url} cannot be reached: {says}"),
            Self::NotLetIn { url } => {
                write!(f, "{url} does not let this user in, or wants one")
            }
            Self::SmallMessages { url, most, needs } => write!(
                f,
                "{url} takes messages of at most {most} bytes, and a cluster sends some of {needs}"
            ),
            Self::NoStreams { url } => write!(
                f,
                "{url} has no JetStream for this user, in which the queue of a durable cluster is"
            ),
            Self::NotAllowedThere { url, subject, says } => {
                write!(f, "{url} does not allow this user to use {subject}: {says}")
            }
        }
    }
}

impl ServerFault {
    /// What to do now.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Missing => {
                format!("install it: `apt install {NATS}`; or `--url nats://HOST:4222` uses one that runs somewhere")
            }
            Self::PortTaken { .. } => {
                "name another port, or none: `--listen ADDRESS` takes a free one".to_owned()
            }
            Self::NoSuchAddress { .. } | Self::UnknownHost { .. } => {
                "`ip address` tells this host's; `--listen 0.0.0.0` means all of them".to_owned()
            }
            Self::NotAllowed { .. } => "ports from 1024 on are for everybody".to_owned(),
            Self::NoAddress => "name it: `--listen ADDRESS`".to_owned(),
            Self::NoRoom { .. } => {
                "make room there, or set TMPDIR to another folder before you start regatta"
                    .to_owned()
            }
            Self::NoUrl { .. } => {
                "`--url nats://USER:PASSWORD@HOST:4222`, or `tls://…`".to_owned()
            }
            Self::NotLetIn { .. } => {
                "`--url nats://USER:PASSWORD@HOST`, or `--creds FILE` with a user's key".to_owned()
            }
            Self::SmallMessages { needs, .. } => {
                format!("`max_payload: {needs}` or more in its configuration")
            }
            Self::NoStreams { .. } => {
                "`jetstream: enabled` in its configuration; without `--durable` or `--keep` no queue is needed"
                    .to_owned()
            }
            Self::NotAllowedThere { .. } => {
                "it has to allow `*.to.>`, `*.now.>`, `*.from.>`, `*.pulse.>`, `*.beat` to be published and subscribed to, \
                 and with `--durable` or `--keep` also `*.job.>`, `*.work.>`, `*.result.>`, `$JS.>`, `$O.>`, `_INBOX.>`"
                    .to_owned()
            }
            Self::Unreached { .. } => {
                "without `--url` the session starts a server of its own".to_owned()
            }
            Self::NotStarted { .. } | Self::NoCertificate { .. } | Self::NoCredentials { .. } => {
                return None;
            }
        })
    }
}

impl fmt::Display for MpiFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherLibrary {
                program,
                launcher,
                wanted,
                size,
                library,
            } => {
                let library = library.split(',').next().unwrap_or_default();
                write!(
                    f,
                    "`{program}` started {wanted} processes, but to the MPI library of `mpicc` each of them is one of \
                     {size}: "
                )?;
                match launcher.is_empty() {
                    true => write!(
                        f,
                        "`{program}` does not start them as processes of {library}, of which `mpicc` is"
                    ),
                    false => write!(
                        f,
                        "the two are of different MPIs, `{program}` of {launcher}, `mpicc` of {library}"
                    ),
                }
            }
            Self::Twice(rank) => write!(f, "two processes are rank {rank}"),
            Self::NotAnEngine(says) => write!(f, "an engine says {says}"),
            Self::Late {
                come,
                size,
                seconds,
                says,
            } => {
                let come = match come {
                    0 => "none".to_owned(),
                    come => come.to_string(),
                };
                write!(f, "{come} of {size} have come within {seconds} s")?;
                match says.is_empty() {
                    true => write!(f, ", and what was to start them says nothing"),
                    false => write!(f, "; what was to start them says: {says}"),
                }
            }
            Self::World { size: 1, wanted } => write!(
                f,
                "what was to start {wanted} of them has started 1 process"
            ),
            Self::World { size, wanted } => write!(
                f,
                "what was to start {wanted} of them has started {size} processes"
            ),
            Self::TooMany { size } => write!(
                f,
                "more processes have come than the {size} that were asked for"
            ),
            Self::NoBegin {
                size,
                seconds,
                says,
            } => {
                write!(
                    f,
                    "all {size} have come, and in one of them `MPI_Init` has not ended within {seconds} s"
                )?;
                match says.is_empty() {
                    true => Ok(()),
                    false => write!(f, "; what has started them says: {says}"),
                }
            }
            Self::Ended(status) => {
                write!(f, "what was to start them ended with exit status {status}")
            }
        }
    }
}

impl fmt::Display for Deaths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.times {
            1 => self.last.fmt(f),
            times => write!(f, "{times} times, last {}", self.last),
        }
    }
}

/// `killed by SIGKILL; lost there: a, b`
pub(crate) fn death(cause: &DeathCause, lost: &[String]) -> String {
    match lost {
        [] => cause.to_string(),
        lost => format!("{cause}; lost there: {}", lost.join(", ")),
    }
}

pub(crate) fn change_words(change: &EngineChange) -> String {
    match change {
        EngineChange::NotStarted { why } => format!("an engine could not be started: {why}"),
        EngineChange::DiedInCell { rank, cause } => {
            format!("engine {rank} died: {cause}; the others go on")
        }
        EngineChange::Died {
            pool,
            rank,
            cause,
            lost,
            all,
        } => {
            let next = match all {
                false => "the next %px or map starts it again",
                true => {
                    "MPI has ended the others; the next %px or map, or `%pool restart`, starts all of them again"
                }
            };
            format!(
                "engine {rank} of {pool} died: {}; {next}",
                death(cause, lost)
            )
        }
        EngineChange::LocalDied { cause, lost } => {
            format!(
                "the local engine died while idle: {cause}; {}",
                lost_words(lost)
            )
        }
        EngineChange::Replaced {
            pool,
            rank,
            cause,
            lost,
        } => format!(
            "engine {rank} of {pool} was replaced ({cause}); lost there: {}",
            lost.join(", ")
        ),
        EngineChange::Restarted { pool, ranks, lost } => {
            let lost = match lost.as_deref() {
                Some([]) => "no variables were lost".to_owned(),
                Some(lost) => format!("lost there: {}", lost.join(", ")),
                None => "they did not come up again: `%pool restart`".to_owned(),
            };
            let ranks = numbers(ranks.iter());
            format!("interrupted engines {ranks} of {pool} were restarted; {lost}")
        }
        EngineChange::Revived { pool, dead, lost } => {
            let lost = match lost.as_slice() {
                [] => String::new(),
                lost => format!("; lost there: {}", lost.join(", ")),
            };
            format!("{} and started again{lost}", were_dead(pool, dead))
        }
        EngineChange::NotBegun { pool, rank } => format!(
            "engine {rank} of {pool}: what it begins with failed; `%pool restart {rank}` tries again"
        ),
    }
}

fn were_dead(pool: &PoolName, dead: &[(Rank, DeathCause)]) -> String {
    match dead {
        [(rank, cause)] => format!("engine {rank} of {pool} was dead ({cause})"),
        several => {
            let ranks = numbers(several.iter().map(|(rank, _)| rank));
            format!("engines {ranks} of {pool} were dead")
        }
    }
}

pub(super) fn lost_words(lost: &[String]) -> String {
    match lost {
        [] => "no variables were lost".to_owned(),
        lost => format!("lost: {}", quoted(lost)),
    }
}

pub(super) fn numbers<'a>(ranks: impl Iterator<Item = &'a Rank>) -> String {
    let numbers: Vec<String> = ranks.map(ToString::to_string).collect();
    numbers.join(",")
}

/// `job 3 finished: 1000 items in 2.1 s; `let r = %result 3` gives them`
pub(crate) fn end_words(end: &JobEnd) -> String {
    let job = end.job;
    let time = format!("{:.3} s", end.took.as_secs_f64());
    match &end.work {
        JobWork::Map {
            state,
            done,
            total,
            held,
        } => {
            let items = match (total, done) {
                (Some(total), done) if total != done => format!("{done} of {total} items"),
                (_, 1) => "1 item".to_owned(),
                (_, done) => format!("{done} items"),
            };
            match (state, held) {
                (JobState::Done, false) => {
                    format!("job {job} finished: {items} in {time}; nothing keeps its results")
                }
                (JobState::Done, true) => format!(
                    "job {job} finished: {items} in {time}; `let r = %result {job}` gives the results"
                ),
                (JobState::Cancelled, _) => {
                    let counted = Counted {
                        done: *done,
                        total: *total,
                        unit: "items",
                    };
                    format!("job {job} was cancelled{}", until(&counted))
                }
                _ => format!("job {job} failed after {items}: `%result {job}` tells why"),
            }
        }
        JobWork::Px { cell, pool, failed } => {
            let what = format!("%px of {} on {pool}", cell.name());
            match failed {
                None => format!(
                    "job {job} finished: {what} in {time}; `%pxresult {job}` shows the results"
                ),
                Some(why) => {
                    format!("job {job} failed: {what}: {why}; `%pxresult {job}` tells more")
                }
            }
        }
    }
}

/// ``job 3 is cancelled: 3 of 4 items done; `%result 3` gives them``
pub(crate) fn answer_words(answer: &JobAnswer) -> String {
    let JobAnswer {
        job,
        cancelled_now,
        state,
        counted,
        why,
    } = answer;
    let is_px = counted.unit == "engines";
    let magic = if is_px { "pxresult" } else { "result" };
    let amount = amount(counted);
    if *cancelled_now && is_px {
        return format!("job {job} is cancelled");
    }
    let next = format!("`%{magic} {job}`");
    match (state, cancelled_now) {
        (JobState::Done, true) => {
            format!("job {job} was done before it could be cancelled: {amount}; {next} gives them")
        }
        (JobState::Failed, _) => {
            let why = why.as_ref().map(|why| format!(": {why}"));
            let why = why.unwrap_or_default();
            format!("job {job} has failed: {amount}{why}; {next} tells more")
        }
        (_, true) if counted.done == 0 => format!("job {job} is cancelled{}", until(counted)),
        (_, true) => format!(
            "job {job} is cancelled{}; {next} gives them",
            until(counted)
        ),
        (JobState::Cancelled, false) => {
            format!(
                "job {job} was cancelled{}; {next} gives what was done",
                until(counted)
            )
        }
        (_, false) if is_px => format!("job {job} is done: {amount}; {next} shows the results"),
        (_, false) => format!("job {job} is done: {amount}; {next} gives the results"),
    }
}

/// How far a job came that was cancelled: `: 3 of 4 items done`.
fn until(counted: &Counted) -> String {
    match counted.total {
        Some(total) if total == counted.done => {
            let all = match total {
                1 => format!("its 1 {} is", counted.unit.trim_end_matches('s')),
                total => format!("all {total} {} are", counted.unit),
            };
            format!(", but {all} done")
        }
        _ => format!(": {} done", amount(counted)),
    }
}

/// `3 of 4 items`
fn amount(counted: &Counted) -> String {
    let Counted { done, total, unit } = counted;
    match total {
        Some(total) => format!("{done} of {total} {unit}"),
        None => format!("{done} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::JobId;

    #[test]
    fn what_was_cancelled_too_late_is_not_told_as_a_part() {
        let said = |cancelled_now, state, done, total| {
            answer_words(&JobAnswer {
                job: JobId(3),
                cancelled_now,
                state,
                counted: Counted {
                    done,
                    total,
                    unit: "items",
                },
                why: None,
            })
        };
        let cancelled = JobState::Cancelled;
        for (said, words) in [
            (
                said(true, cancelled, 3, Some(4)),
                "job 3 is cancelled: 3 of 4 items done; `%result 3` gives them",
            ),
            (
                said(true, cancelled, 4, Some(4)),
                "job 3 is cancelled, but all 4 items are done; `%result 3` gives them",
            ),
            (
                said(true, cancelled, 1, Some(1)),
                "job 3 is cancelled, but its 1 item is done; `%result 3` gives them",
            ),
            (
                said(true, cancelled, 0, Some(4)),
                "job 3 is cancelled: 0 of 4 items done",
            ),
            (
                said(true, JobState::Done, 4, Some(4)),
                "job 3 was done before it could be cancelled: 4 of 4 items; `%result 3` gives them",
            ),
            (
                said(false, cancelled, 3, None),
                "job 3 was cancelled: 3 items done; `%result 3` gives what was done",
            ),
            (
                said(false, cancelled, 4, Some(4)),
                "job 3 was cancelled, but all 4 items are done; `%result 3` gives what was done",
            ),
            (
                said(false, JobState::Done, 4, Some(4)),
                "job 3 is done: 4 of 4 items; `%result 3` gives the results",
            ),
        ] {
            assert_eq!(said, words);
        }
    }

    #[test]
    fn deaths_have_causes() {
        for (cause, words) in [
            (DeathCause::Signal(9), "killed by SIGKILL"),
            (DeathCause::Signal(11), "segmentation fault (SIGSEGV)"),
            (DeathCause::Signal(200), "killed by a signal"),
            (DeathCause::Exit(3), "ended itself with exit status 3"),
            (DeathCause::Spent { items: 1 }, "it had done its item"),
            (DeathCause::Spent { items: 4 }, "it had done its 4 items"),
        ] {
            assert_eq!(cause.to_string(), words);
        }
        let several = Deaths {
            rank: Rank(1),
            times: 2,
            last: DeathCause::Signal(6),
        };
        assert_eq!(several.to_string(), "2 times, last aborted (SIGABRT)");
    }

    #[test]
    fn a_death_names_what_was_lost() {
        let died = |lost: &[&str]| {
            change_words(&EngineChange::Died {
                pool: PoolName("p0".to_owned()),
                rank: Rank(1),
                cause: DeathCause::Exit(3),
                lost: lost.iter().map(|name| (*name).to_owned()).collect(),
                all: false,
            })
        };
        let next = "the next %px or map starts it again";
        let cause = "ended itself with exit status 3";
        assert_eq!(died(&[]), format!("engine 1 of p0 died: {cause}; {next}"));
        assert_eq!(
            died(&["a", "b"]),
            format!("engine 1 of p0 died: {cause}; lost there: a, b; {next}")
        );
    }
}
