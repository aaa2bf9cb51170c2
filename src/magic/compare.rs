//! `%compare POOLS… -- F over EXPR`: the same map on several pools, side by side.

use clap::{Arg, Command};

use super::map_options::{options, with_options};
use super::parts::{Form, request};
use super::suggest::nearest;
use super::{Call, Example, Magic, Takes};
use crate::outcome::{PoolKind, Report, Sink};
use crate::session::{Failed, Session};

pub struct Compare;

/// One after the other in the local engine.
const SERIAL: &str = "serial";

const KINDS: [(&str, PoolKind); 2] = [
    ("threads", PoolKind::Threads),
    ("processes", PoolKind::Processes),
];

const FORM: Form = Form {
    magic: "compare",
    combines: false,
    example: "`%compare serial threads processes -- |x: u64| x * 2 over 0..10`",
};

/// What can be the same on each pool.
const OPTIONS: &[&str] = &["chunk", "schedule", "retries", "timeout", "seed", "take"];

impl Magic for Compare {
    fn command(&self) -> Command {
        let command = Command::new("compare")
            .about("runs the same map on several pools and compares times and results")
            .override_usage("%compare [OPTIONS] POOLS… -- F over EXPR")
            .arg(Arg::new("pools").value_name("POOLS").num_args(0..).help(
                "names of pools, `serial`, or `threads` and `processes` for the first pool of that kind",
            ));
        with_options(command, OPTIONS)
    }

    fn takes(&self) -> Takes {
        Takes::WordsThenCode
    }

    fn examples(&self) -> &'static [Example] {
        &[Example {
            input: "%pool start threads -n 2 --name crew\n%compare serial crew -- |x: u64| x * x over 1..=4",
            shows: "serial",
        }]
    }

    fn run(
        &self,
        call: &Call<'_>,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let started: Vec<(String, PoolKind)> = session
            .pools()
            .iter()
            .map(|pool| (pool.name.0.clone(), pool.kind))
            .collect();
        let words = call.all_of("pools");
        if words.is_empty() {
            return Err(Report::usage("%compare needs the pools to compare")
                .hint(format!("for example {}", FORM.example))
                .into());
        }
        let pools: Vec<String> = words
            .into_iter()
            .map(|word| pool(word, &started))
            .collect::<Result<_, _>>()?;
        let options = options(call, FORM.magic)?;
        session.compare(&pools, &request(call, &FORM, None, options)?, sink)
    }
}

/// The name of the pool that a word means.
fn pool(word: &str, started: &[(String, PoolKind)]) -> Result<String, Report> {
    if word == SERIAL || started.iter().any(|(name, _)| name == word) {
        return Ok(word.to_owned());
    }
    if let Some((_, kind)) = KINDS.iter().find(|(kind, _)| *kind == word) {
        return started
            .iter()
            .find(|(_, other)| other == kind)
            .map(|(name, _)| name.clone())
            .ok_or_else(|| {
                Report::usage(format!("no pool of {word} is started"))
                    .hint(format!("`%pool start {word}` starts one"))
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
        let meant = |word: &str| pool(word, &started).map_err(|report| (report.what, report.hint));
        assert_eq!(meant("p1"), Ok("p1".to_owned()));
        assert_eq!(meant("serial"), Ok("serial".to_owned()));
        assert_eq!(meant("processes"), Ok("p0".to_owned()));
        let (what, hint) = meant("threads").expect_err("no threads");
        assert_eq!(what, "no pool of threads is started");
        assert_eq!(hint.as_deref(), Some("`%pool start threads` starts one"));
        let (_, hint) = meant("seriel").expect_err("a slip");
        assert_eq!(hint.as_deref(), Some("did you mean serial?"));
        let (_, hint) = meant("workstation").expect_err("unknown");
        assert_eq!(
            hint.as_deref(),
            Some("one of p0, p1, serial, threads, processes")
        );
    }
}
