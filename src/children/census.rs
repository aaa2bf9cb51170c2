//! The processes of children as Linux tells them in `/proc`: which there are, and what they take. A child's processes
//! are those of its group, and those that have its mark in their environment, whatever group they moved to.

use std::collections::HashMap;
use std::time::Duration;

use nix::unistd::Pid;
use rustix::param::{clock_ticks_per_second, page_size};

use super::launch::NUMBER;
use crate::engine::guard;

/// A process that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    pid: i32,
    group: i32,
    ended: bool,
    /// By a signal, or because it wants to read from a terminal.
    suspended: bool,
    /// Of its own and of its children that have ended, in clock ticks.
    ticks: u64,
    /// Resident pages.
    pages: u64,
}

/// What a child's processes take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub memory: u64,
}

/// All processes of the machine at one moment.
pub struct Census(Vec<Entry>);

impl Census {
    pub fn take() -> Self {
        let pids = guard::processes().into_iter().flatten();
        Self(pids.filter_map(entry).collect())
    }

    /// Those that live of a group whose leader nobody has waited for yet.
    pub fn of_group(&self, leader: u32) -> impl Iterator<Item = Pid> + '_ {
        let living = self.0.iter().filter(|entry| !entry.ended);
        living
            .filter(move |entry| u32::try_from(entry.group) == Ok(leader))
            .map(|entry| Pid::from_raw(entry.pid))
    }

    /// Those that live with the mark of one of this session's children, by the child's number.
    pub fn marked(&self) -> HashMap<u64, Vec<Pid>> {
        let mark = format!("{}={}", guard::VARIABLE, guard::mark());
        let mut marked: HashMap<u64, Vec<Pid>> = HashMap::new();
        for entry in self.0.iter().filter(|entry| !entry.ended) {
            // Of another user's processes, and of those that have just ended, it cannot be read.
            let environment = std::fs::read(format!("/proc/{}/environ", entry.pid));
            if let Some(number) = environment.ok().and_then(|bytes| number(&bytes, &mark)) {
                let of = marked.entry(number).or_default();
                of.push(Pid::from_raw(entry.pid));
            }
        }
        marked
    }

    /// Whether this process stands still until a signal lets it go on.
    pub fn is_suspended(&self, pid: u32) -> bool {
        let of = |entry: &&Entry| u32::try_from(entry.pid) == Ok(pid);
        self.0.iter().find(of).is_some_and(|entry| entry.suspended)
    }

    /// What the group of this leader takes.
    pub fn usage(&self, leader: u32) -> Usage {
        let of = self
            .0
            .iter()
            .filter(|entry| u32::try_from(entry.group) == Ok(leader));
        let mut usage = Usage::default();
        for entry in of {
            usage.cpu += time(entry.ticks);
            usage.memory += entry.pages * page_size() as u64;
        }
        usage
    }
}

/// The processor time of a process that has ended and that nobody has waited for.
pub fn spent(pid: u32) -> Option<Duration> {
    let pid = i32::try_from(pid).ok()?;
    entry(pid).map(|entry| time(entry.ticks))
}

fn number(environment: &[u8], mark: &str) -> Option<u64> {
    let entries = || environment.split(|byte| *byte == 0);
    if !entries().any(|entry| entry == mark.as_bytes()) {
        return None;
    }
    let value = entries().find_map(|entry| {
        let entry = std::str::from_utf8(entry).ok()?;
        entry.strip_prefix(NUMBER)?.strip_prefix('=')
    });
    value?.parse().ok()
}

fn entry(pid: i32) -> Option<Entry> {
    parsed(
        pid,
        &std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?,
    )
}

fn parsed(pid: i32, stat: &str) -> Option<Entry> {
    // The name in parentheses may hold anything.
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let number = |index: usize| fields.get(index)?.trim().parse::<u64>().ok();
    Some(Entry {
        pid,
        group: fields.get(2)?.parse().ok()?,
        ended: matches!(*fields.first()?, "Z" | "X"),
        suspended: matches!(*fields.first()?, "T" | "t"),
        ticks: number(11)? + number(12)? + number(13)? + number(14)?,
        pages: number(21)?,
    })
}

fn time(ticks: u64) -> Duration {
    Duration::from_micros(ticks.saturating_mul(1_000_000) / clock_ticks_per_second().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name_is() {
        let stat = "7 (a) Z 1 (b) S 1 42 7 0 -1 4194304 105 0 0 0 3 4 1 2 20 0 1 0 9 8000 250 1";
        let read = parsed(7, stat).expect("an entry");
        let wanted = Entry {
            pid: 7,
            group: 42,
            ended: false,
            suspended: false,
            ticks: 10,
            pages: 250,
        };
        assert_eq!(read, wanted);
        assert_eq!(parsed(7, "7 (a"), None);
        let stopped = parsed(7, &stat.replace(") S ", ") T "));
        assert!(stopped.is_some_and(|entry| entry.suspended && !entry.ended));
    }

    #[test]
    fn a_mark_counts_as_a_whole() {
        let number = |text: &str| number(text.as_bytes(), "REGATTA_COMMAND_OF=1-2");
        assert_eq!(
            number("A=b\0REGATTA_COMMAND_OF=1-2\0REGATTA_CHILD=7\0"),
            Some(7)
        );
        assert_eq!(number("REGATTA_CHILD=7\0REGATTA_COMMAND_OF=1-23\0"), None);
        assert_eq!(number("REGATTA_CHILD=7\0"), None);
        assert_eq!(number("REGATTA_COMMAND_OF=1-2\0REGATTA_CHILD=x"), None);
        assert_eq!(number(""), None);
    }

    #[test]
    fn this_process_is_in_its_group() {
        let census = Census::take();
        let group = nix::unistd::getpgrp();
        let leader = u32::try_from(group.as_raw()).expect("a group");
        assert!(
            census
                .of_group(leader)
                .any(|pid| pid == nix::unistd::getpid())
        );
        assert!(census.usage(leader).memory > 0);
    }
}
