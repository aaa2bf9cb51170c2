//! The words for clusters that outlive their session.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::ids::JobId;
use crate::outcome::{KeepFault, ServerFault};

pub(crate) fn what(fault: &KeepFault) -> String {
    match fault {
        KeepFault::Server(fault) => fault.to_string(),
        KeepFault::NoFolder(why) => {
            format!("there is no folder in which clusters can be kept: {why}")
        }
        KeepFault::NoHome => {
            "clusters are kept in the user's cache, and there is no home".to_owned()
        }
        KeepFault::Open(folder) => {
            format!("{folder} is open to others: no cluster can be kept there")
        }
        KeepFault::Unknown { name, .. } => format!("no cluster `{name}` is kept here"),
        KeepFault::Exists(name) => format!("a cluster `{name}` is kept already"),
        KeepFault::Has { name, pid } => {
            format!("another session has the cluster {name} (process {pid})")
        }
        KeepFault::Version { name, says, ours } => format!(
            "the cluster {name} is kept by another version of regatta (it speaks {says}, this is {ours})"
        ),
        KeepFault::Elsewhere { name, host } => format!("the cluster {name} was started on {host}"),
        KeepFault::Silent { name, pid } => {
            format!("the process that keeps the cluster {name} does not answer (process {pid})")
        }
        KeepFault::NoNode { name } => format!("no node of the cluster {name} answers"),
        KeepFault::Failed(why) => format!("the cluster cannot be kept: {why}"),
    }
}

pub(crate) fn hint(fault: &KeepFault) -> Option<String> {
    Some(match fault {
        KeepFault::Server(ServerFault::NoRoom { .. }) => {
            "make room in the user's cache folder, or set XDG_CACHE_HOME to another".to_owned()
        }
        KeepFault::Server(fault) => return fault.hint(),
        KeepFault::Unknown { others, .. } if others.is_empty() => {
            "none is; `%pool start cluster --keep 24h --ssh node1:8,node2` starts one".to_owned()
        }
        KeepFault::Unknown { others, .. } => format!("there is {}", others.join(", ")),
        KeepFault::Exists(name) => format!(
            "`%pool attach {name}` takes it, `regatta attach --end {name}` ends it; or choose another name: `--name NAME`"
        ),
        KeepFault::Has { name, .. } => format!(
            "it goes on when that session ends; `--steal` takes {name} from it, and it loses its engines there"
        ),
        KeepFault::Version { name, .. } => format!(
            "the regatta that started it takes it; where that is gone, `regatta attach --end {name}` ends it, and its jobs with it"
        ),
        KeepFault::Elsewhere { host, .. } => format!("`regatta attach` has to run on {host}"),
        KeepFault::Silent { pid, .. } => {
            format!(
                "is it stopped? `kill -CONT {pid}` lets it go on, `kill -9 {pid}` ends the cluster"
            )
        }
        KeepFault::NoNode { name } => format!(
            "those of ssh are tried again while the cluster is kept; `regatta attach {name} --ssh HOST:N`, or `--slurm`, takes it with others; `regatta attach --end {name}` ends it"
        ),
        KeepFault::NoHome => "`HOME` or `XDG_CACHE_HOME` names one".to_owned(),
        KeepFault::Open(folder) => format!("`chmod 700 {folder}`, if it is yours"),
        KeepFault::NoFolder(_) | KeepFault::Failed(_) => return None,
    })
}

/// How long something goes on, and until when: `24 h 0 min, until Tue 2026-12-01 13:05`. `from`: since 1970.
pub fn until(from: Duration, lasts: Duration) -> String {
    let lasts_words = super::units::duration(lasts);
    match clock(from.saturating_add(lasts)) {
        Some(clock) => format!("{lasts_words}, until {clock}"),
        None => lasts_words,
    }
}

/// A time, since 1970, as the user's clock shows it.
pub fn clock(time: Duration) -> Option<String> {
    let time = Timestamp::from_second(time.as_secs().cast_signed()).ok()?;
    let time = TimeZone::system().to_datetime(time);
    Some(time.strftime("%a %Y-%m-%d %H:%M").to_string())
}

/// What is said of a cluster when its session ends.
pub(crate) fn goes_on(
    name: &str,
    now: Duration,
    lease: Duration,
    jobs: usize,
    parts: &[(JobId, u64, Option<u64>)],
) -> String {
    let jobs = match jobs {
        0 => String::new(),
        1 => " with 1 job".to_owned(),
        jobs => format!(" with {jobs} jobs"),
    };
    let until = until(now, lease);
    let part = |(job, queued, all): &(JobId, u64, Option<u64>)| {
        let of = all.map_or_else(String::new, |all| format!(" of {all}"));
        format!("\nof job {job} go on the {queued}{of} items that are queued")
    };
    let parts: String = parts.iter().map(part).collect();
    format!(
        "the cluster {name} goes on{jobs} for {until}: `regatta attach {name}` comes back to it, `regatta attach --end {name}` ends it{parts}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_session_says_what_goes_on() {
        let said = |jobs| {
            goes_on(
                "c0",
                Duration::from_secs(1_764_000_000),
                Duration::from_secs(86_400),
                jobs,
                &[(JobId(3), 1200, Some(5000))],
            )
        };
        let none = said(0);
        assert!(
            none.starts_with("the cluster c0 goes on for 24 h 0 min, until "),
            "{none}"
        );
        assert!(said(1).contains("goes on with 1 job for 24 h"));
        assert!(said(3).contains("goes on with 3 jobs for"));
        assert!(none.contains("`regatta attach --end c0` ends it"));
        assert!(
            none.ends_with("\nof job 3 go on the 1200 of 5000 items that are queued"),
            "{none}"
        );
    }
}
