//! `%compare POOLS… -- F over EXPR`: the same map on several pools, side by side.

use clap::Args;
use regatta_cell::options::MapOptions;

use super::document::kind_word;
use super::map_options::{Chunks, Tries};
use super::parts::{Form, request};
use super::{Call, Example, Magic, Takes};
use crate::ids::PoolName;
use crate::outcome::{Event, PoolKind, Report, Sink};
use crate::pool::Starter;
use crate::session::{Done, Failed, MapRequest, Pool, PoolRequest, Session};
use crate::vocabulary::nearest;

/// One after the other in the local engine.
const SERIAL: &str = "serial";

const KINDS: [(&str, PoolKind); 2] = [
    ("threads", PoolKind::Threads),
    ("processes", PoolKind::Processes),
];

const FORM: Form = Form {
    magic: Compare::NAME,
    combines: false,
    example: "`%compare serial threads processes -- |x: u64| x * 2 over 0..10`",
};

/// runs the same map on several pools and compares times and results
#[derive(Args)]
#[command(override_usage = "%compare [OPTIONS] POOLS… -- F over EXPR")]
pub struct Compare {
    /// names of pools, `serial`, or `threads` and `processes` for the first pool of that kind; one that is missing
    /// is started for the time
    pub pools: Vec<PoolName>,
    #[command(flatten)]
    chunks: Chunks,
    #[command(flatten)]
    tries: Tries,
}

impl Magic for Compare {
    const NAME: &'static str = "compare";
    const TAKES: Takes = Takes::WordsThenCode;
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%compare serial threads processes -- |x: u64| x * x over 1..=4",
        shows: "serial",
    }];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let started: Vec<(String, PoolKind)> = session
            .pools()
            .iter()
            .map(|pool| (pool.name.0.clone(), pool.kind))
            .collect();
        if self.pools.is_empty() {
            return Err(Report::usage("%compare needs the pools to compare")
                .hint(format!("for example {}", FORM.example))
                .into());
        }
        let meant: Vec<Meant> = self
            .pools
            .iter()
            .map(|word| pool(&word.0, &started))
            .collect::<Result<_, _>>()?;
        let request = self.request(call)?;
        let used = session.current_pool().map(|pool| pool.name.clone());
        let mut passing = Vec::new();
        let compared = names(&meant, &mut passing, session, sink).and_then(|pools| {
            if !passing.is_empty() {
                let passing: Vec<String> = passing.iter().map(described).collect();
                let line = format!("started for the time: {}", passing.join(", "));
                sink.send(Event::Text(line));
            }
            session.compare(&pools, &request, sink)
        });
        let stopped = passing
            .iter()
            .map(|pool| session.stop_pool(Some(&pool.name.0), false, sink).map(drop))
            .fold(Ok(()), Result::and);
        if let Some(used) = used {
            session.use_pool(&used.0)?;
        }
        compared.and(stopped.map_err(Failed::from))
    }
}

impl Compare {
    /// The map that runs on each of the pools.
    pub fn request(self, call: &Call<'_>) -> Result<MapRequest, Report> {
        let options = self.tries.of(self.chunks.of(MapOptions::default()));
        request(call, &FORM, None, None, options)
    }
}

/// `p0 (2 process engines)`
fn described(pool: &Pool) -> String {
    let engines = if pool.size == 1 { "engine" } else { "engines" };
    format!(
        "{} ({} {} {engines})",
        pool.name,
        pool.size,
        kind_word(pool.kind)
    )
}

/// What a word names.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Meant {
    /// A pool that there is, or [`SERIAL`].
    Named(String),
    /// A pool of this kind, of which there is none.
    Missing(PoolKind),
}

/// The pools' names; those that are missing are started for the time.
fn names(
    meant: &[Meant],
    passing: &mut Vec<Pool>,
    session: &mut Session,
    sink: &mut dyn Sink,
) -> Result<Vec<String>, Failed> {
    let mut names = Vec::new();
    for meant in meant {
        let kind = match meant {
            Meant::Named(name) => {
                names.push(name.clone());
                continue;
            }
            Meant::Missing(kind) => *kind,
        };
        if !passing.iter().any(|pool| pool.kind == kind) {
            let request = PoolRequest {
                kind,
                size: None,
                name: None,
                init: None,
                items: None,
                starter: Starter::Session,
            };
            passing.push(session.start_pool(request, sink)?.0);
        }
        let started = passing.iter().find(|pool| pool.kind == kind);
        names.extend(started.map(|pool| pool.name.0.clone()));
    }
    Ok(names)
}

/// What a word means, by name or as the first pool of a kind.
fn pool(word: &str, started: &[(String, PoolKind)]) -> Result<Meant, Report> {
    if word == SERIAL || started.iter().any(|(name, _)| name == word) {
        return Ok(Meant::Named(word.to_owned()));
    }
    if let Some((_, kind)) = KINDS.iter().find(|(kind, _)| *kind == word) {
        let first = started.iter().find(|(_, other)| other == kind);
        return Ok(match first {
            Some((name, _)) => Meant::Named(name.clone()),
            None => Meant::Missing(*kind),
        });
    }
    let known: Vec<&str> = started
        .iter()
        .map(|(name, _)| name.as_str())
        .chain([SERIAL, "threads", "processes"])
        .collect();
    let report = Report::usage(format!("there is no pool `{word}`"));
    Err(match nearest(word, known.iter().copied()) {
        Some(name) => report.hint(format!("did you mean {name}?")),
        None => report.hint(format!("one of {}", known.join(", "))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_means_a_pool_by_name_or_the_first_of_a_kind() {
        let started = [
            ("p0".to_owned(), PoolKind::Processes),
            ("p1".to_owned(), PoolKind::Processes),
        ];
        let meant = |word: &str| {
            pool(word, &started).map_err(|report| report.hint.map(|hint| hint.to_string()))
        };
        let named = |name: &str| Ok(Meant::Named(name.to_owned()));
        assert_eq!(meant("p1"), named("p1"));
        assert_eq!(meant("serial"), named("serial"));
        assert_eq!(meant("processes"), named("p0"));
        assert_eq!(meant("threads"), Ok(Meant::Missing(PoolKind::Threads)));
        let hint = meant("seriel").expect_err("a slip");
        assert_eq!(hint.as_deref(), Some("did you mean serial?"));
        let hint = meant("workstation").expect_err("unknown");
        assert_eq!(
            hint.as_deref(),
            Some("one of p0, p1, serial, threads, processes")
        );
    }
}
