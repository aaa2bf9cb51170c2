//! The words of notices.

use super::engines::lost_words;
use super::text::engines;
use crate::outcome::{Notice, PoolKind, Snippet};

/// One line, no full stop.
pub(crate) fn words(notice: &Notice) -> String {
    match notice {
        Notice::Warning(report) => match &report.snippet {
            Some(Snippet { name, marks, .. }) => {
                let line = marks.first().map_or(0, |mark| mark.start.0);
                format!("{name}:{line}: {report}")
            }
            None => report.to_string(),
        },
        Notice::ReadAsRust { line } => {
            format!("`{line}` is read as Rust: there is no such command")
        }
        Notice::CommandFailed { status } => format!("the command ended with {status}"),
        Notice::Redefined { name } => {
            format!("the variable `{name}` is lost: its type was redefined")
        }
        Notice::RedefinedOn { ranks, names } => {
            let (engines, names) = (engines(ranks), quoted(names));
            format!("lost on {engines}: {names}: the type was redefined")
        }
        Notice::Lost { rank, names } => format!("engine {rank} has {}", lost_words(names)),
        Notice::ReturnedEarly { names } => format!(
            "the cell returned before its end, so what it bound is not kept: {}",
            quoted(names)
        ),
        Notice::Released => {
            "that is released again, because it has no name: `let held = …` holds it until `drop(held)`".to_owned()
        }
        Notice::MapInterrupted => {
            "the map was interrupted: what was done is kept, the rest are errors".to_owned()
        }
        Notice::NotBound { name, kind } => {
            let why = match kind {
                PoolKind::Threads => "not every thread gave a value",
                PoolKind::Processes => "no engine gave a value",
            };
            format!("`{name}` is not bound: {why}")
        }
        Notice::PartlyBound {
            name,
            value_type,
            missing,
        } => {
            let engines = engines(missing);
            format!("`{name}` is Vec<Option<{value_type}>>: {engines} gave no value")
        }
        Notice::Unreceived { messages } => super::comm::unreceived_words(messages),
        Notice::PartOfJob { job, done, total } => {
            let items = match total {
                Some(total) if total == done => format!("all {done} items"),
                Some(total) => format!("the {done} of {total} items that were done"),
                None => format!("the {done} items that were done"),
            };
            format!("job {job} was cancelled: these are {items}, each with the index of its input")
        }
        Notice::CompilerDied { how } => format!(
            "the compiler's process has died{how}; it is started again, and variables and definitions stay"
        ),
        Notice::CompilerLacks { names } => format!(
            "the new compiler cannot be told of {}: cells no longer know of it",
            names.join(", ")
        ),
        Notice::SharedCores { engines, cores } => {
            let cores = match cores {
                1 => "1 core".to_owned(),
                cores => format!("{cores} cores"),
            };
            let engines = listed(engines);
            format!("{engines} engines share the {cores} of this machine")
        }
        Notice::NoSources { why } => format!(
            "the sources of Rust's standard library are missing, so only variables with a written type can be kept; {why}"
        ),
        Notice::StoreNotUsed { why } => format!(
            "$REGATTA_STORE names a store that is not used: {why}. This session has a store of its own now, which no other session sees; `%store use ADDRESS` goes to another"
        ),
        Notice::StoreEvicts { address, policy } => format!(
            "{address} throws keys away when its memory is full (maxmemory-policy {policy}): locks and values may be lost without a word; `redis-cli CONFIG SET maxmemory-policy noeviction` keeps them"
        ),
        Notice::DetachedFrom { job, options } => format!(
            "job {job} goes on without {}: that is this session's to do",
            listed(options)
        ),
        Notice::StartupFailed { line, left } => {
            let rest = match left {
                0 => String::new(),
                1 => "; the cell below it was not run".to_owned(),
                _ => format!("; the {left} cells below it were not run"),
            };
            format!("the cell at line {line} of init.md failed{rest}")
        }
        Notice::NoLineEditor { why } => format!("the line editor does not start: {why}"),
        Notice::HistoryFile { why } => why.clone(),
        Notice::MemoSetAside { file } => format!(
            "the file of kept results was damaged, and is now {file}; they are computed anew"
        ),
        Notice::NoFolder {
            host,
            folder,
            stays,
        } => {
            let host = host.as_deref().unwrap_or("this machine");
            let (folder, stays) = (folder.display(), stays.display());
            format!("{host} has no folder {folder}: its engines stay in {stays}")
        }
        Notice::MemoOff { why } => {
            format!("results are kept in memory alone, not on disk for later sessions: {why}")
        }
        Notice::GoesOn {
            name,
            now,
            lease,
            jobs,
            parts,
        } => super::kept::goes_on(name, *now, *lease, *jobs, parts),
        Notice::Said { text } => text.clone(),
    }
}

pub(super) fn quoted(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

/// `2, 4 and 8`
fn listed<T: ToString>(items: &[T]) -> String {
    let texts: Vec<String> = items.iter().map(ToString::to_string).collect();
    match texts.split_last() {
        Some((last, before)) if !before.is_empty() => {
            format!("{} and {last}", before.join(", "))
        }
        _ => texts.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{JobId, Rank};

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn one_and_several_are_told_apart() {
        let (one, two) = (vec![Rank(1)], vec![Rank(0), Rank(2)]);
        let lost = names(&["a", "b"]);
        let partly = |missing: &[Rank]| Notice::PartlyBound {
            name: "v".to_owned(),
            value_type: "u64".to_owned(),
            missing: missing.to_vec(),
        };
        let startup = |left| Notice::StartupFailed { line: 7, left };
        let part = |total| Notice::PartOfJob {
            job: JobId(3),
            done: 4,
            total,
        };
        let not_bound = |kind| Notice::NotBound {
            name: "v".to_owned(),
            kind,
        };
        let redefined = |ranks: &[Rank]| Notice::RedefinedOn {
            ranks: ranks.to_vec(),
            names: lost.clone(),
        };
        let shared = |engines: &[u32], cores| Notice::SharedCores {
            engines: engines.to_vec(),
            cores,
        };
        let gone = Notice::Lost {
            rank: Rank(1),
            names: lost.clone(),
        };
        for (notice, told) in [
            (
                redefined(&one),
                "lost on engine 1: `a`, `b`: the type was redefined",
            ),
            (
                redefined(&two),
                "lost on engines 0,2: `a`, `b`: the type was redefined",
            ),
            (gone, "engine 1 has lost: `a`, `b`"),
            (
                Notice::DetachedFrom {
                    job: JobId(2),
                    options: vec!["--joblog", "--results", "--halt"],
                },
                "job 2 goes on without --joblog, --results and --halt: that is this session's to do",
            ),
            (
                partly(&one),
                "`v` is Vec<Option<u64>>: engine 1 gave no value",
            ),
            (
                partly(&two),
                "`v` is Vec<Option<u64>>: engines 0,2 gave no value",
            ),
            (
                not_bound(PoolKind::Threads),
                "`v` is not bound: not every thread gave a value",
            ),
            (
                not_bound(PoolKind::Processes),
                "`v` is not bound: no engine gave a value",
            ),
            (
                part(Some(9)),
                "job 3 was cancelled: these are the 4 of 9 items that were done, each with the index of its input",
            ),
            (
                part(Some(4)),
                "job 3 was cancelled: these are all 4 items, each with the index of its input",
            ),
            (
                part(None),
                "job 3 was cancelled: these are the 4 items that were done, each with the index of its input",
            ),
            (
                shared(&[8], 4),
                "8 engines share the 4 cores of this machine",
            ),
            (
                shared(&[2, 4, 8], 1),
                "2, 4 and 8 engines share the 1 core of this machine",
            ),
            (startup(0), "the cell at line 7 of init.md failed"),
            (
                startup(1),
                "the cell at line 7 of init.md failed; the cell below it was not run",
            ),
            (
                startup(2),
                "the cell at line 7 of init.md failed; the 2 cells below it were not run",
            ),
        ] {
            assert_eq!(words(&notice), told);
        }
    }
}
